# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Tables as Parquet shards that carry the bytes of their frames, for training that streams from anywhere.

A row keeps its columns, but for these: `frames` becomes `frames_bytes`, the bytes of each image file, or of the one
video file that `frame_indices` points into; masks become run-length codes; and of `audio_path` the name remains. Rows
keep their order, and which of them make a shard follows from the sizes of the files alone, so that an interrupted
export can go on. The shards lie where `datasets` looks for the splits of a repository.
"""

import io
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset
from PIL import Image

from ..video_io import masks_to_rle, open_binary, replacing
from .moving_shapes import PREFIX, render_frames
from .pixels import read_masks
from .schema import SHARD_FEATURES
from .tables import require

SHARD_BYTES = 500 * 10**6
# What a reader holds at once: `datasets` reads whole groups.
GROUP_BYTES = 50 * 10**6
# Frames of a video lie in a group once, however many of its expressions do: as entries of a dictionary of this size.
DICTIONARY_BYTES = 2 * GROUP_BYTES
FRAMES_COLUMN = "frames_bytes.list.element"
ROW_BYTES = 1024  # the columns that do not grow with the video
FRAME_BYTES = 64  # name, index and framing of one frame
CARD = "README.md"

Row = Mapping[str, Any]
Report = Callable[[str], None]


def pack_row(row: Row) -> dict[str, Any]:
    """
    A row of the common schema in the form of `SHARD_FEATURES`.

    Raises:
        FileNotFoundError: a frame or mask is missing.
        ValueError: a mask is corrupt or has another size than the row says.
    """
    packed = {name: row[name] for name in SHARD_FEATURES if name in row}
    packed["frames_bytes"] = _frames_bytes(tuple(row["frames"]))
    packed["mask_paths"] = None
    if row["audio_path"] is not None:
        packed["audio_path"] = Path(row["audio_path"]).name
    if row["mask_format"] == "none":
        return packed
    annotated = row["annotated_frame_indices"]
    masks = read_masks(row, annotated)
    if row["mask_format"] != "rle":
        codes: list[list[dict[str, Any]]] = [[] for _ in range(row["num_frames"])]
        for index, mask in zip(annotated, masks, strict=True):
            codes[index] = masks_to_rle([mask]) if mask.any() else []
        packed["mask_format"], packed["mask_rles"] = "rle", codes
    return packed


@lru_cache(maxsize=2)  # the expressions of a video stand one after the other
def _frames_bytes(names: tuple[str, ...]) -> list[bytes]:
    """The files of a video, or pictures of frames that have none."""
    if not names[0].startswith(PREFIX):
        return [_read_bytes(name) for name in names]
    pictures = []
    for frame in render_frames(names):
        file = io.BytesIO()
        Image.fromarray(frame).save(file, format="PNG")
        pictures.append(file.getvalue())
    return pictures


def _read_bytes(name: str) -> bytes:
    with open_binary(name) as (file, _):
        return file.read()


def count_bytes(row: Row) -> int:
    """Bytes that a row takes, found without opening its files; those of masks are an estimate."""
    try:
        return ROW_BYTES + FRAME_BYTES * row["num_frames"] + _count_frames(row) + _count_masks(row)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{row['sample_id']}: {error}") from error


def _count_frames(row: Row) -> int:
    if row["frames"][0].startswith(PREFIX):
        # Compression never adds more to the pixels of a picture than this.
        return row["num_frames"] * ((3 * row["width"] + 2) * row["height"] + FRAME_BYTES)
    return sum(map(_file_bytes, row["frames"]))


def _count_masks(row: Row) -> int:
    if row["mask_format"] == "rle":
        return sum(len(code["counts"]) + FRAME_BYTES for codes in row["mask_rles"] for code in codes)
    # A file of masks is about as large as their codes, and far smaller than the frames.
    return sum(map(_file_bytes, {path for path in row["mask_paths"] or () if path is not None}))


@lru_cache(maxsize=2**20)
def _file_bytes(path: str) -> int:
    return require(Path(path), "a frame or mask of the data set").stat().st_size


def plan_shards(table: Dataset, max_bytes: int = SHARD_BYTES) -> list[range]:
    """
    The rows of each shard: as many as `max_bytes` hold by `count_bytes`. A row that is larger has a shard of its own.
    """
    shards: list[range] = []
    start = filled = 0
    for index, row in enumerate(table):
        size = count_bytes(row)
        if index > start and filled + size > max_bytes:
            shards.append(range(start, index))
            start, filled = index, 0
        filled += size
    return [*shards, range(start, len(table))] if len(table) else shards


def write_shard(path: str | Path, rows: Iterator[Row]) -> None:
    """Write rows of the common schema as one Parquet file, which appears when it is complete."""
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(
            temporary,
            SHARD_FEATURES.arrow_schema,
            use_dictionary=[FRAMES_COLUMN],
            dictionary_pagesize_limit=DICTIONARY_BYTES,
        ) as writer,
    ):
        group: list[dict[str, Any]] = []
        filled = 0
        for row in rows:
            size = count_bytes(row)
            if group and filled + size > GROUP_BYTES:
                writer.write_table(pa.Table.from_pylist(group, schema=SHARD_FEATURES.arrow_schema))
                group, filled = [], 0
            group.append(pack_row(row))
            filled += size
        writer.write_table(pa.Table.from_pylist(group, schema=SHARD_FEATURES.arrow_schema))


def missing_shards(
    table: Dataset, split: str, present: Collection[str], max_bytes: int = SHARD_BYTES
) -> list[tuple[str, range]]:
    """
    Name and rows of each shard of a split that is not in `present`.

    Raises:
        ValueError: `present` has shards that are cut otherwise.
    """
    plan = plan_shards(table, max_bytes)
    names = [f"data/{split}-{number:05d}-of-{len(plan):05d}.parquet" for number in range(len(plan))]
    pattern = re.compile(rf"data/{re.escape(split)}-\d{{5}}-of-\d{{5}}\.parquet")
    others = sorted(name for name in present if pattern.fullmatch(name) and name not in names)
    if others:
        raise ValueError(
            f"{others[0]!r} is there already, of another version of the data, which now make {len(plan)} shards: "
            f"delete the shards of the split {split!r}, or choose another place"
        )
    return [(name, rows) for name, rows in zip(names, plan, strict=True) if name not in present]


def _rows(table: Dataset, places: range) -> Iterator[Row]:
    return (table[place] for place in places)


def save_shards(
    table: Dataset, split: str, folder: str | Path, max_bytes: int = SHARD_BYTES, report: Report | None = None
) -> None:
    """
    Write the shards of a split that a folder does not have yet.

    Args:
        table: in the common schema.
        split: its name, which becomes part of the names of the files.
        folder: made when it does not exist; the files are `data/<split>-<number>-of-<total>.parquet` in it.
        max_bytes: of a shard.
        report: called with the name of each file when it is there.

    Raises:
        FileNotFoundError, ValueError: see `pack_row` and `missing_shards`.
    """
    (Path(folder) / "data").mkdir(parents=True, exist_ok=True)
    present = {f"data/{path.name}" for path in (Path(folder) / "data").iterdir()}
    for name, places in missing_shards(table, split, present, max_bytes):
        write_shard(Path(folder) / name, _rows(table, places))
        if report is not None:
            report(name)


def push_shards(
    api: Any,
    table: Dataset,
    split: str,
    repository: str,
    max_bytes: int = SHARD_BYTES,
    report: Report | None = None,
) -> None:
    """
    Upload the shards of a split that a data set repository does not have yet, one after the other.

    Args:
        api: a `huggingface_hub.HfApi`.
        repository: its id; it must exist.
        table, split, max_bytes, report: see `save_shards`.
    """
    present = set(api.list_repo_files(repository, repo_type="dataset"))
    for name, places in missing_shards(table, split, present, max_bytes):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(name).name
            write_shard(path, _rows(table, places))
            api.upload_file(path_or_fileobj=str(path), path_in_repo=name, repo_id=repository, repo_type="dataset")
        if report is not None:
            report(name)


def card_text(title: str, citation: str, license_name: str, splits: Sequence[str], place: str) -> str:
    """
    A card for a repository of shards.

    Args:
        title: of the benchmark.
        citation: its key and paper.
        license_name: as the Hub names licences, such as "cc-by-4.0" or "other".
        splits: names of the splits.
        place: id of the repository, or the folder.
    """
    return f"""---
license: {license_name}
pretty_name: {title}
---

# {title}, as Parquet shards

The splits {", ".join(splits)} of {title} with one row for each expression: the files of the frames (`frames_bytes`),
the masks as COCO run-length codes, and the other columns of the common schema of transformers-soc. The data are those
of the authors of the benchmark, under their licence; please cite them:

> {citation}

```python
from datasets import load_dataset
from transformers_soc.data.pixels import read_frames, read_masks

rows = load_dataset("{place}", split="{splits[0]}", streaming=True)
row = next(iter(rows))
frames = read_frames(row, range(row["num_frames"]))
masks = read_masks(row, range(row["num_frames"]))
```
"""


def check_license(name: str) -> str:
    """
    The name of a licence, if it can be one.

    Raises:
        ValueError: it is no name as the Hub has them.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", name):
        raise ValueError(f"{name!r} is no licence as the Hub names them, such as cc-by-nc-4.0 or other")
    return name


__all__ = [
    "SHARD_BYTES",
    "card_text",
    "check_license",
    "count_bytes",
    "missing_shards",
    "pack_row",
    "plan_shards",
    "push_shards",
    "save_shards",
    "write_shard",
]

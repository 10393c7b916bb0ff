# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
MeViS, in a folder like this:

    train/JPEGImages/<video>/<frame>.jpg
    train/meta_expressions.json                         version 1, or
    train/meta_expressions_v2.json                      version 2, also as meta_expressions_v2_release.json
    train/mask_dict.json                                run-length codes by annotation and place of the frame
    valid_u/...                                         as train
    valid/...                                           without masks, which are kept on the server

An archive `JPEGImages.tar` has to be unpacked first, since rows hold the paths of frames; the error says how. The form
that SOC++ converts to is read with `mask_source="png"`: `train/Annotations/<video>/<frame>.png` with the values object
id + 1, and, if one likes, the meta file in `meta_expressions/train/`. There, one object covers the others.

Version 2 has a spoken form of the expressions. How it is named in the meta file is not documented: a key `audio` of an
expression is taken for a path from the folder of the split, and kept where there is such a file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset, IterableDataset
from transformers.utils import logging

from .mask_dict import rle_columns
from .meta_expressions import (
    frame_columns,
    hidden_columns,
    label_values,
    list_expressions,
    naming,
    read_video,
    read_videos,
    video_folders,
)
from .tables import below, build_table, choose_split, frame_paths, require

logger = logging.get_logger(__name__)

SPLITS = {"train": (), "validation_u": ("valid_u",), "validation": ("valid",)}
FOLDERS = {"train": "train", "validation_u": "valid_u", "validation": "valid"}
META_FILES = {"v1": ("meta_expressions.json",), "v2": ("meta_expressions_v2.json", "meta_expressions_v2_release.json")}
MASK_SOURCES = {"mask_dict": "mask_dict.json", "png": "Annotations"}


def load_mevis(
    root: str | Path,
    split: str,
    *,
    version: str = "v1",
    mask_source: str = "mask_dict",
    streaming: bool = False,
    num_proc: int | None = None,
    on_error: str = "raise",
) -> Dataset | IterableDataset:
    """
    One split of MeViS in the common schema; the module describes the folder.

    Args:
        root: the folder that holds `train`, `valid_u` and `valid`.
        split: "train", "validation_u" ("valid_u") or "validation" ("valid").
        version: "v1", or "v2" with expressions that nothing in the video fits: `no_target`, without objects.
        mask_source: "mask_dict", or "png" for the converted form of SOC++.
        streaming, num_proc, on_error: see `build_table`.

    Returns:
        a row per expression, by video and number. Frames are sorted by name, and the masks, stored by place, belong
        to the sorted names. The masks of "validation" are unknown, so that `no_target` is null.

    Raises:
        FileNotFoundError: a file or folder is missing, or only its archive is there.
        ValueError: a split, version or mask source that does not exist, an unknown annotation, a corrupt mask.
    """
    split = choose_split(split, SPLITS)
    for name, value, known in (("version", version, META_FILES), ("mask_source", mask_source, MASK_SOURCES)):
        if value not in known:
            raise ValueError(f"{name} must be {' or '.join(map(repr, known))}, got {value!r}")
    root = Path(root).absolute()
    folder = root / FOLDERS[split]
    meta = _find_meta(root, FOLDERS[split], version)
    require(folder / "JPEGImages", f"the frames of the split {split}")
    masks = None
    if split != "validation":
        masks = require(folder / MASK_SOURCES[mask_source], f"the masks of the split {split}")
    videos = read_videos(meta)
    entries = [entry for video in videos.values() for entry in video["expressions"].values()]
    if masks and not any(entry.get("obj_id") for entry in entries):
        raise ValueError(f"{str(meta)!r} has no obj_id at all: it is not the file of the split {split}")
    folders = [folder / "JPEGImages", *([masks] if masks and mask_source == "png" else [])]
    return build_table(
        _make_row,
        list_expressions(meta, videos),
        split,
        streaming=streaming,
        num_proc=num_proc,
        on_error=on_error,
        sources=[folder, meta, *([masks] if masks else []), *video_folders(folders, videos)],
        meta=str(meta),
        folder=str(folder),
        masks=masks and str(masks),
        columns={"dataset": "mevis", "dataset_version": version, "split": split},
    )


def _find_meta(root: Path, folder: str, version: str) -> Path:
    """The meta file of a split, in the official place or that of the converted form."""
    places = (root / folder, root / "meta_expressions" / folder)
    for path in (place / name for place in places for name in META_FILES[version]):
        if path.exists():
            return path
    for other in META_FILES:
        if any((place / name).exists() for place in places for name in META_FILES[other]):
            raise FileNotFoundError(
                f"{str(places[0] / META_FILES[version][0])!r} is missing, but the file of the version {other!r} is "
                f"there: load it with version={other!r}"
            )
    return require(places[0] / META_FILES[version][0], f"the expressions of MeViS {version}")


def _make_row(
    item: Mapping[str, str],
    meta: str,
    folder: str,
    masks: str | None,
    columns: Mapping[str, str],
) -> dict[str, Any]:
    """A row of the table; `masks` is a mask_dict, a folder of PNGs, or None: hidden."""
    video = read_video(Path(meta), item["video"])
    entry = video["expressions"][item["expression"]]
    with naming(item, columns) as row:
        row["audio_path"] = _find_audio(folder, entry.get("audio"))
        row |= {"expression": entry["exp"], **frame_columns(Path(folder, "JPEGImages"), item["video"], video)}
        if masks is None:
            return row | hidden_columns()
        if columns["dataset_version"] == "v1" and not entry.get("obj_id"):
            raise ValueError(f"{meta!r} gives the expression no obj_id, though each one of v1 has a target")
        if Path(masks).is_dir():
            return row | _png_columns(Path(masks), entry, row)
        return row | rle_columns(Path(masks), entry, row)


def _find_audio(folder: str, name: Any) -> str | None:
    """The path of the spoken expression, where the folder has it; what lies elsewhere is not looked for."""
    try:
        path = below(folder, str(name or ""))
    except ValueError:
        return None
    return str(path) if path.is_file() else None


def _png_columns(masks: Path, entry: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of targets and masks of the converted form."""
    objects = [str(value) for value in entry.get("obj_id") or []]
    if not all(value.isdecimal() for value in objects):
        raise ValueError(f"obj_id {objects} are not numbers from 0")
    paths = frame_paths(below(masks, row["video_id"]), row["frame_names"], ".png")
    values = {int(value) + 1 for value in objects}
    target = any(values.intersection(label_values(path)) for path in paths)
    if objects and not target:
        logger.warning("%s has no target: no mask shows one of the objects %s", row["sample_id"], ", ".join(objects))
    return {
        "object_ids": objects if target else [],
        "annotation_ids": [str(value) for value in entry.get("anno_id") or []] if target else [],
        "no_target": not target,
        "mask_format": "png_id",
        "mask_paths": paths,
        "mask_values": sorted(values) if target else [],
        "annotated_frame_indices": list(range(row["num_frames"])),
    }


__all__ = ["load_mevis"]

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Long-RVOS, in a folder like this, with `valid` and `test` as `train`:

    train/JPEGImages/<video>/<frame>.jpg
    train/Annotations/<video>/<object>/<frame>.png      255 is the object; no file: absent in this frame
    train/meta_expressions.json

The archives `JPEGImages.tar.gz` and `Annotations.tar.gz` have to be unpacked first, since rows hold paths. Not every
release has masks of `test`: without the folder, they count as hidden.

The official loader takes 255 for the object, the official evaluation all that is not 0. Here 255 is the object, and
other values than 0 and 255 in the first mask of an object are an error: masks of 0 and 1 would be read as empty.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, IterableDataset
from transformers.utils import logging

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
from .tables import below, build_table, choose_split, list_files, require

logger = logging.get_logger(__name__)

SPLITS = {"train": (), "validation": ("valid",), "test": ()}
FOLDERS = {"train": "train", "validation": "valid", "test": "test"}
META_FILE = "meta_expressions.json"
OBJECT_VALUE = 255


def load_long_rvos(
    root: str | Path,
    split: str,
    *,
    streaming: bool = False,
    num_proc: int | None = None,
    on_error: str = "raise",
) -> Dataset | IterableDataset:
    """
    One split of Long-RVOS in the common schema; the module describes the folder.

    Args:
        root: the folder that holds `train`, `valid` and `test`.
        split: "train", "validation" ("valid") or "test".
        streaming, num_proc, on_error: see `build_table`.

    Returns:
        a row per expression, by video and number, of the type "static", "dynamic" or "hybrid", or null where the meta
        file has none. `no_target` is true where the object has no mask in any frame. `fps`, about 6, is null, since
        the files do not tell it.

    Raises:
        FileNotFoundError: a file or folder is missing, or only its archive is there.
        ValueError: a split that does not exist, an unknown object, masks of other values or named as no frame.
    """
    split = choose_split(split, SPLITS)
    folder = Path(root).absolute() / FOLDERS[split]
    meta = require(folder / META_FILE, f"the expressions of the split {split}")
    frames = require(folder / "JPEGImages", f"the frames of the split {split}")
    masks = folder / "Annotations"
    hidden = split == "test" and not any(folder.glob("Annotations*"))
    if not hidden:
        require(masks, f"the masks of the split {split}")
    videos = read_videos(meta)
    _warn_of_types(meta, videos)
    objects = {f"{name}/{entry.get('obj_id')}": None for name in videos for entry in _entries(videos[name])}
    return build_table(
        _make_row,
        list_expressions(meta, videos),
        split,
        streaming=streaming,
        num_proc=num_proc,
        on_error=on_error,
        sources=[meta, *video_folders([frames], videos), *video_folders([masks], objects)],
        folder=str(folder),
        hidden=hidden,
        columns={"dataset": "long_rvos", "split": split},
    )


def _entries(video: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(video["expressions"].values())


def _warn_of_types(meta: Path, videos: Mapping[str, Any]) -> None:
    types = Counter(entry.get("type") for video in videos.values() for entry in _entries(video))
    if types[None]:
        logger.warning("%s gives %d of %d expressions no type: theirs is null", meta, types[None], types.total())


def _make_row(item: Mapping[str, str], folder: str, hidden: bool, columns: Mapping[str, str]) -> dict[str, Any]:
    meta = Path(folder, META_FILE)
    video = read_video(meta, item["video"])
    entry = video["expressions"][item["expression"]]
    known = isinstance(entry.get("obj_id"), (str, int))
    with naming(item, columns) as row:
        row |= {"expression": entry["exp"], "expression_type": entry.get("type")}
        row |= frame_columns(Path(folder, "JPEGImages"), item["video"], video)
        if hidden:
            return row | hidden_columns() | {"object_ids": [str(entry["obj_id"])] if known else []}
        if not known:
            raise ValueError(f"{str(meta)!r} gives the obj_id {entry.get('obj_id')!r}, not that of one object")
        return row | _mask_columns(below(Path(folder, "Annotations"), item["video"], str(entry["obj_id"])), row)


def _mask_columns(folder: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of target and masks out of the folder of an object."""
    paths = _mask_paths(folder, row["frame_names"])
    target = any(paths)
    return {
        "object_ids": [folder.name] if target else [],
        "no_target": not target,
        "mask_format": "png_binary",
        "mask_paths": paths,
        "mask_values": [OBJECT_VALUE],
        "annotated_frame_indices": list(range(row["num_frames"])),
    }


def _mask_paths(folder: Path, names: Sequence[str]) -> list[str | None]:
    """The mask of an object for each frame, None where there is none."""
    if not folder.is_dir():
        raise ValueError(f"the object {folder.name!r} is unknown: it has no folder of masks {str(folder)!r}")
    present = {file for file in list_files(folder) if file.endswith(".png")}
    paths = [str(folder / f"{name}.png") if f"{name}.png" in present else None for name in names]
    first = next(filter(None, paths), None)
    if first is None:
        if present:
            raise ValueError(f"{str(folder / min(present))!r} is named as none of the frames, nor is any other mask")
        return paths
    values = label_values(first)
    if not {0, OBJECT_VALUE}.issuperset(values):
        raise ValueError(f"{first!r} has the values {sorted(values)[:5]}, a mask has 0 and {OBJECT_VALUE}")
    return paths


__all__ = ["load_long_rvos"]

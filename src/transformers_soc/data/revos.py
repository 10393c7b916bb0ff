# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
ReVOS, in a folder like this, in which both splits share frames and masks:

    JPEGImages/<video>/<frame>.jpg
    mask_dict.json                          run-length codes by annotation and place of the frame
    mask_dict_foreground.json               by video, the union of all objects that are annotated
    meta_expressions_train_.json
    meta_expressions_valid_.json

The names of videos may hold "_" and "/".
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from datasets import Dataset, IterableDataset

from .mask_dict import check_code, rle_columns
from .meta_expressions import (
    frame_columns,
    list_expressions,
    naming,
    read_once,
    read_video,
    read_videos,
    video_folders,
)
from .tables import build_table, choose_split, require

SPLITS = {"train": (), "validation": ("valid",)}
META_FILES = {"train": "meta_expressions_train_.json", "validation": "meta_expressions_valid_.json"}
EXPRESSION_TYPES = ("referring", "reasoning", "no_target")  # by type_id


def load_revos(
    root: str | Path,
    split: str,
    *,
    streaming: bool = False,
    num_proc: int | None = None,
    on_error: str = "raise",
) -> Dataset | IterableDataset:
    """
    One split of ReVOS in the common schema; the module describes the folder.

    Args:
        root: the folder that holds `JPEGImages`.
        split: "train" or "validation" ("valid").
        streaming, num_proc, on_error: see `build_table`.

    Returns:
        a row per expression, by video and number, of the type "referring", "reasoning" or "no_target". Frames are
        sorted by name, and the masks, stored by place, belong to the sorted names. `no_target` goes by the masks.

    Raises:
        FileNotFoundError: a file or folder is missing, or only its archive is there.
        ValueError: a split that does not exist, an unknown annotation or type, a corrupt mask.
    """
    split = choose_split(split, SPLITS)
    root = Path(root).absolute()
    meta = require(root / META_FILES[split], f"the expressions of the split {split}")
    frames = require(root / "JPEGImages", "the frames of both splits")
    masks = require(root / "mask_dict.json", "the masks of both splits")
    videos = read_videos(meta)
    return build_table(
        _make_row,
        list_expressions(meta, videos),
        split,
        streaming=streaming,
        num_proc=num_proc,
        on_error=on_error,
        sources=[meta, masks, *video_folders([frames], videos)],
        root=str(root),
        columns={"dataset": "revos", "split": split},
    )


def _make_row(item: Mapping[str, str], root: str, columns: Mapping[str, str]) -> dict[str, Any]:
    meta = Path(root, META_FILES[columns["split"]])
    video = read_video(meta, item["video"])
    entry = video["expressions"][item["expression"]]
    kind = entry.get("type_id")
    with naming(item, columns) as row:
        if kind not in range(len(EXPRESSION_TYPES)):
            raise ValueError(f"{str(meta)!r} gives the expression the type_id {kind!r}; known are 0, 1 and 2")
        row |= {"expression": entry["exp"], "expression_type": EXPRESSION_TYPES[kind]}
        row |= frame_columns(Path(root, "JPEGImages"), item["video"], video)
        return row | rle_columns(Path(root, "mask_dict.json"), entry, row)


def load_revos_foreground(root: str | Path) -> dict[str, list[dict[str, Any] | None]]:
    """
    The union of all annotated objects of each video of ReVOS, for the measure of robustness.

    Args:
        root: the folder that holds `mask_dict_foreground.json`, which is read once in each process.

    Returns:
        by video, a run-length code per frame, in the order of the sorted names of frames; None where it is empty. Not
        to be changed.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: the file holds something else, or a code is corrupt.
    """
    path = require(Path(root).absolute() / "mask_dict_foreground.json", "the foreground of both splits")
    return _read_foreground(str(path), path.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _read_foreground(path: str, changed: int) -> dict[str, list[dict[str, Any] | None]]:
    foreground: dict[str, list[dict[str, Any] | None]] = {}
    for name, entry in read_once(Path(path), "the foreground").items():
        if not isinstance(entry, dict) or "masks_rle" not in entry:
            raise ValueError(f"{path!r} gives the video {name!r} no masks_rle; get the file anew")
        codes = foreground[name] = []
        for place, code in enumerate(entry["masks_rle"]):
            try:
                codes.append(check_code(code))
            except ValueError as error:
                raise ValueError(f"{path!r}: the mask {place} of the video {name!r} is corrupt: {error}") from error
    return foreground


__all__ = ["load_revos", "load_revos_foreground"]

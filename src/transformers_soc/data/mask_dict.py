# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""A `mask_dict.json` of MeViS and ReVOS: run-length codes by annotation and place of the frame."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from .meta_expressions import read_once
from .pixels import rle_runs
from .tables import require

# A run-length code of each object that is present.
FrameCodes = list[dict[str, Any]]


def rle_columns(masks: Path, entry: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """
    The columns of targets and masks out of a mask_dict. Without annotations, or if all of them are empty in all
    frames, the row has no target.

    Args:
        masks: the file.
        entry: an expression of the meta file, with `obj_id` and `anno_id`, or neither.
        row: its other columns.

    Raises:
        ValueError: ids that do not fit together, an annotation that the file lacks, a track that is not as long as
            the video, a corrupt code.
    """
    objects = [str(value) for value in entry.get("obj_id") or []]
    annotations = [str(value) for value in entry.get("anno_id") or []]
    if len(objects) != len(annotations):
        raise ValueError(f"obj_id {objects} and anno_id {annotations} do not pair up")
    stamp = require(masks, "the masks").stat().st_mtime_ns
    size = (row["height"], row["width"])
    tracks = [_read_track(str(masks), stamp, value, tuple(row["frame_names"]), size) for value in annotations]
    shown: list[FrameCodes] = [
        [code for track in tracks if (code := track[frame])] for frame in range(row["num_frames"])
    ]
    target = any(shown)
    return {
        "object_ids": objects if target else [],
        "annotation_ids": annotations if target else [],
        "no_target": not target,
        "mask_format": "rle",
        "mask_rles": shown,
        "annotated_frame_indices": list(range(row["num_frames"])),
    }


# Expressions of one video share its objects and come one after the other.
@lru_cache(maxsize=256)
def _read_track(
    path: str, changed: int, annotation: str, names: tuple[str, ...], size: tuple[int, int]
) -> list[dict[str, Any] | None]:
    """The masks of one object in the frames `names`, checked; None where no pixel of it is seen."""
    tracks = read_once(Path(path), "the masks")
    if annotation not in tracks:
        raise ValueError(f"{path!r} has no annotation {annotation!r}, which the meta file refers to")
    track = tracks[annotation]
    if len(track) != len(names):
        raise ValueError(
            f"{path!r} has {len(track)} masks of the annotation {annotation!r}, the video has {len(names)} frames"
        )
    checked = []
    for name, code in zip(names, track, strict=True):
        try:
            checked.append(check_code(code, size))
        except ValueError as error:
            raise ValueError(
                f"the mask of the frame {name!r} in {path!r}, annotation {annotation!r}, is corrupt: {error}"
            ) from error
    return checked


def check_code(code: Any, size: tuple[int, int] | None = None) -> dict[str, Any] | None:
    """
    A stored mask as one run-length code, None where it is empty.

    Args:
        code: a code, None, or several codes, whose union is meant (they decode to three dimensions).
        size: (height, width) that it must have; None: any.

    Raises:
        ValueError: see `rle_runs`.
    """
    codes = code if isinstance(code, list) else [code] if code is not None else []
    seen = [part for part in codes if rle_runs(part, size)[1::2].any()]
    if len(seen) > 1:
        from pycocotools import mask as coco_mask

        merged = coco_mask.merge(seen)
        seen = [merged | {"counts": merged["counts"].decode()}]
    return {"size": seen[0]["size"], "counts": seen[0]["counts"]} if seen else None


__all__ = ["check_code", "rle_columns"]

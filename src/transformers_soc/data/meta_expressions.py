# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Meta files in the layout of Ref-YouTube-VOS, which later benchmarks share: videos, expressions, names of frames."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from transformers.utils import logging

from .pixels import read_label_image
from .tables import below, frame_paths, image_size, numeric_order, read_json, require

logger = logging.get_logger(__name__)

Videos = dict[str, dict[str, Any]]


def read_videos(path: Path) -> Videos:
    """
    The videos of a `meta_expressions.json`, each with "expressions" and "frames".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it lacks something that every video and expression must have.
    """
    content = read_json(path, "the expressions and frames of the videos")
    videos = content.get("videos") if isinstance(content, dict) else None
    if not isinstance(videos, dict):
        raise ValueError(f"{str(path)!r} has no 'videos'; get the file anew")
    for video_id, video in videos.items():
        if not (isinstance(video, dict) and isinstance(video.get("expressions"), dict) and _are_names(video)):
            raise ValueError(f"{str(path)!r}: {video_id!r} lacks 'expressions' or 'frames'; get the file anew")
        for expression_id, entry in video["expressions"].items():
            if not (isinstance(entry, dict) and isinstance(entry.get("exp"), str)):
                raise ValueError(
                    f"{str(path)!r}: expression {expression_id!r} of {video_id!r} lacks 'exp'; get the file anew"
                )
    return videos


def _are_names(video: Mapping[str, Any]) -> bool:
    """Whether a video lists names of frames."""
    names = video.get("frames")
    return isinstance(names, list) and bool(names) and all(isinstance(name, str) for name in names)


def read_once(path: Path, remedy: str) -> Any:
    """Content of a JSON file, read once in each process and anew when it changes: a mask_dict has 400 MB."""
    return _read_once(str(path), require(path, remedy).stat().st_mtime_ns, remedy)


@lru_cache(maxsize=8)
def _read_once(path: str, changed: int, remedy: str) -> Any:
    return read_json(Path(path), remedy)


def read_video(meta: Path, name: str) -> dict[str, Any]:
    """One video of a meta file that `read_videos` has found good."""
    return read_once(meta, "the expressions")["videos"][name]


def list_expressions(meta: Path, videos: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Items for `build_table`, by video and number; frames that are listed out of order give one warning."""
    unsorted = [name for name, video in videos.items() if video["frames"] != sorted(video["frames"])]
    if unsorted:
        logger.warning(
            "%s lists the frames of %d videos out of order, %r among them: they are sorted by name",
            meta,
            len(unsorted),
            unsorted[0],
        )
    return [
        {"video": name, "expression": number}
        for name in sorted(videos)
        for number in sorted(videos[name]["expressions"], key=numeric_order)
    ]


def video_folders(folders: Sequence[Path], videos: Collection[str]) -> list[Path]:
    """Those folders of videos that exist; a table is made anew when files come to one."""
    return [path for folder in folders for path in (folder / name for name in videos) if path.is_dir()]


def frame_columns(frames: Path, name: str, video: Mapping[str, Any]) -> dict[str, Any]:
    """
    The columns that describe the frames of the video `name`, whose folder lies in `frames`; the size is that of the
    first one, where the meta lacks it.
    """
    names = sorted(video["frames"])
    paths = frame_paths(below(frames, name), names)
    height, width = image_size(paths[0])
    return {
        "frames": paths,
        "frame_names": names,
        "num_frames": len(names),
        "height": video.get("height") or height,
        "width": video.get("width") or width,
    }


@contextmanager
def naming(item: Mapping[str, str], columns: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The names of a row, with `columns`, to add to; errors about files and values say which sample they belong to."""
    names = {"video_id": item["video"], "expression_id": item["expression"]}
    sample = "/".join((columns["dataset"], columns["split"], *names.values()))
    try:
        yield {**columns, **names, "sample_id": sample}
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{sample}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{sample}: {error}") from error


def hidden_columns() -> dict[str, Any]:
    """The columns of a row whose target is kept from the public."""
    return {"object_ids": [], "mask_format": "none", "annotated_frame_indices": []}


@lru_cache(maxsize=1024)
def label_values(path: str) -> frozenset[int]:
    """The values of an image of masks."""
    return frozenset(np.flatnonzero(np.bincount(read_label_image(path).ravel())).tolist())


__all__ = [
    "Videos",
    "frame_columns",
    "hidden_columns",
    "label_values",
    "list_expressions",
    "naming",
    "read_once",
    "read_video",
    "read_videos",
    "video_folders",
]

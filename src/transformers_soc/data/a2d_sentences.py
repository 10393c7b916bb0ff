# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
A2D-Sentences: sentences about one object each in short videos, of which a few frames have masks. The official layout:

    Release/videoset.csv                                                a row per video, without a header
    Release/clips320H/<video>.mp4
    text_annotations/a2d_annotation.txt                                 video_id,instance_id,query
    text_annotations/a2d_missed_videos.txt                              videos that are left out
    text_annotations/a2d_annotation_with_instances/<video>/00001.h5     `instance` and `reMask` of an annotated frame
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, IterableDataset
from transformers.utils import logging

from ..video_io import DEFAULT_LIMITS, VideoInfo, probe_video
from .tables import Item, below, build_table, choose_split, read_csv, require

logger = logging.get_logger(__name__)

SUBSETS = {"train": "0", "test": "1"}
VIDEO_FILE = "Release/videoset.csv"
VIDEO_COLUMNS = "vid,label,start_time,end_time,height,width,total_frames,annotated_frames,subset".split(",")
VIDEOS = "Release/clips320H"
EXPRESSION_FILE = "text_annotations/a2d_annotation.txt"
MISSED_FILE = "text_annotations/a2d_missed_videos.txt"
MASKS = "text_annotations/a2d_annotation_with_instances"
COPIED_INSTANCE = "1 (copy)"  # of one row, a slip of the official file that the official loader leaves out


def load_a2d_sentences(
    root: str | Path,
    split: str,
    *,
    streaming: bool = False,
    num_proc: int | None = None,
    on_error: str = "raise",
    expected_videos: int | None = 3782,
) -> Dataset | IterableDataset:
    """
    A2D-Sentences in the common schema: a row for each sentence and annotated frame that shows its object.

    Size and number of frames are those of the video file, not of `videoset.csv`: the official windows end at the last
    frame that is decoded, and the masks have the size of the frames.

    Args:
        root: the folder that holds `Release` and `text_annotations`.
        split: "train" or "test".
        streaming, num_proc, on_error: see `build_table`.
        expected_videos: rows of `videoset.csv`, 3,782 in the official file; None: any number.

    Returns:
        rows in the order of video, instance and frame.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: no such split, or a file that does not hold what it should.
        ImportError: h5py is not installed.
    """
    root = Path(root).absolute()
    split = choose_split(split, dict.fromkeys(SUBSETS, ()))
    _import_h5py()
    num_videos = len(video_rows(root))
    if expected_videos not in (None, num_videos):
        raise ValueError(
            f"{str(root / VIDEO_FILE)!r} has {num_videos} rows, not {expected_videos}: get the file anew, or pass "
            "expected_videos=None"
        )
    videos = split_videos(root, split)
    folder = require(root / VIDEOS, "the videos")
    items = _list_items(root, split_expressions(root, videos), on_error)
    paths = [folder / f"{video}.mp4" for video in sorted(videos)]
    return build_table(
        _make_row,
        items,
        split,
        streaming=streaming,
        num_proc=num_proc,
        on_error=on_error,
        sources=[folder, *(path for path in paths if path.exists())],
        root=str(root),
        split_name=split,
    )


def video_rows(root: Path) -> list[list[str]]:
    """The rows of the list of videos."""
    return read_csv(root / VIDEO_FILE, VIDEO_COLUMNS, "the list of videos", header=False)


def expression_rows(root: Path) -> list[list[str]]:
    """The rows of the file of sentences: video, instance and sentence."""
    return read_csv(root / EXPRESSION_FILE, ("video_id", "instance_id", "query"), "the sentences")


def split_videos(root: Path, split: str) -> set[str]:
    """The videos of a split, without those that the data set leaves out."""
    missed = require(root / MISSED_FILE, "the videos that are left out").read_text(encoding="utf-8").split()
    return {row[0] for row in video_rows(root) if row[-1] == SUBSETS[split]} - set(missed)


def split_expressions(root: Path, videos: set[str]) -> list[tuple[str, int, str]]:
    """
    (video, instance, expression) of these videos, in the order of video and instance.

    Raises:
        ValueError: an instance that is no number, or comes twice.
    """
    path = root / EXPRESSION_FILE
    expressions: dict[tuple[str, int], str] = {}
    for video, instance, expression in expression_rows(root):
        if video not in videos or instance == COPIED_INSTANCE:
            continue
        if not instance.isdecimal():
            raise ValueError(f"{str(path)!r}: the instance {instance!r} of {video!r} is no number; get the file anew")
        if (video, int(instance)) in expressions:
            raise ValueError(f"{str(path)!r} has the instance {instance} of {video!r} twice; keep one of the rows")
        expressions[video, int(instance)] = expression
    return [(*key, expressions[key]) for key in sorted(expressions)]


def _list_items(root: Path, expressions: Sequence[tuple[str, int, str]], on_error: str) -> list[Item]:
    """What is known of each row; a file of masks that cannot be read gives an item that says why."""
    read = cache(_read_header)  # the sentences of a video share its files
    items: list[Item] = []
    for video, instance, expression in expressions:
        folder = below(root / MASKS, video)
        named = {"video": video, "instance": instance, "expression": expression}
        known = len(items)
        for path in sorted(folder.glob("*.h5")) or [folder / "00001.h5"]:
            try:
                instances, height, width = read(below(root / MASKS, video, path.name))
            except (OSError, ValueError) as error:
                if on_error == "raise":
                    raise
                items.append(named | {"error": str(error)})
                continue
            if instance in instances:
                items.append(named | {"frame": int(path.stem), "height": height, "width": width})
        if len(items) == known:
            logger.warning("no annotated frame of %r shows the instance %d: it has no row", video, instance)
    return items


def _read_header(path: Path) -> tuple[list[int], int, int]:
    """Instances, height and width of the masks of a file."""
    if not path.stem.isdecimal():
        raise ValueError(f"{str(path)!r} should be named by the number of its frame, as 00001.h5")
    with _open_masks(path) as (instances, masks):
        return instances, masks.shape[-1], masks.shape[-2]


def _make_row(item: Item, root: str, split_name: str) -> dict[str, Any]:
    if "error" in item:
        raise ValueError(item["error"])
    video, instance, frame = item["video"], item["instance"], item["frame"]
    masks = Path(root, MASKS, video, f"{frame:05d}.h5")
    path = require(below(Path(root, VIDEOS), f"{video}.mp4"), "a video of the data set")
    info = _probe(str(path))
    if not 1 <= frame <= info.total_num_frames:
        raise ValueError(f"{str(masks)!r} belongs to no frame: {str(path)!r} has {info.total_num_frames}")
    if (item["height"], item["width"]) != (info.height, info.width):
        raise ValueError(
            f"the masks of {str(masks)!r} are {item['width']}x{item['height']}, but the frames of {str(path)!r} are "
            f"{info.width}x{info.height}"
        )
    return {
        "dataset": "a2d_sentences",
        "split": split_name,
        "video_id": video,
        "expression_id": str(instance),
        "expression": item["expression"],
        "object_ids": [str(instance)],
        "no_target": False,
        "frames": [str(path)],
        "frame_names": [video],
        "frame_indices": list(range(info.total_num_frames)),
        "num_frames": info.total_num_frames,
        "height": info.height,
        "width": info.width,
        "fps": info.fps,
        "mask_format": "h5",
        "mask_paths": [str(masks)],
        "mask_values": [instance],
        "annotated_frame_indices": [frame - 1],
        "image_id": f"v_{video}_f_{frame}_i_{instance}",
        "sample_id": f"a2d_sentences/{split_name}/{video}/{instance}/{frame}",
    }


@lru_cache(maxsize=16)  # the rows of a video follow one another
def _probe(path: str) -> VideoInfo:
    """Of the whole video; its packets are counted, which gives the frames of a full decode in milliseconds."""
    return probe_video(path)


def read_instance_mask(path: str, instance: int) -> np.ndarray:
    """
    Mask (height, width) bool of one instance in an annotated frame.

    Raises:
        FileNotFoundError, ValueError: there is no such file, it cannot be read, or it does not show the instance.
    """
    with _open_masks(Path(path)) as (instances, masks):
        if instance not in instances:
            shown = ", ".join(map(str, instances)) or "none"
            raise ValueError(f"{path!r} has no mask of the instance {instance}; its instances are {shown}")
        mask = masks[instances.index(instance)] if masks.ndim == 3 else masks[()]
    return mask.T > 0  # stored as (width, height)


@contextmanager
def _open_masks(path: Path) -> Iterator[tuple[list[int], Any]]:
    """Instances of a file, and its masks ([instances,] width, height): one instance has no leading axis."""
    h5py = _import_h5py()
    require(path, "the masks of an annotated frame")
    try:
        with h5py.File(path, "r") as file:
            if any(_leads_out(file, name) for name in ("instance", "reMask")):
                raise ValueError(f"{str(path)!r} holds no masks but points to other files; get the file anew")
            DEFAULT_LIMITS.check_pixels(repr(str(path)), *file["reMask"].shape[-2:])
            DEFAULT_LIMITS.check_pixels(repr(str(path)), 1, file["instance"].size)
            instances = [int(instance) for instance in np.ravel(file["instance"])]
            masks = file["reMask"]
            if masks.ndim not in (2, 3) or (masks.shape[0] if masks.ndim == 3 else 1) != len(instances):
                raise ValueError(f"{str(path)!r} has {len(instances)} instances, but masks {masks.shape}")
            yield instances, masks
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{str(path)!r} has no masks that can be read ({error}); get the file anew") from error


def _leads_out(file: Any, name: str) -> bool:
    """Whether the content of a data set may lie in other files."""
    linked = isinstance(file.get(name, getlink=True), _import_h5py().ExternalLink)
    return linked or file[name].is_virtual or file[name].external is not None


def _import_h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            "the masks of A2D-Sentences are read with h5py: install it with `pip install transformers-soc[eval]`"
        ) from error
    return h5py


__all__ = ["load_a2d_sentences", "read_instance_mask"]

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
One's own clips, in a folder like this:

    sentences.json                      what is said of them
    videos/dogs.mp4                     a video, or
    videos/dogs/00000.jpg               a folder with an image for each frame
    masks/dogs/00000.png                a palette or grey image for each frame, whose values are the ids of objects, or
    masks/dogs/1/00000.png              an image for each object and frame, where what is not black is the object

`sentences.json` lists the sentences of each split. `objects` are the ids of the target: one or several, or none where
nothing in the video fits the sentence. `kind` and `category` may be left out:

    {"train": [{"video": "dogs", "expression": "the dog that runs off", "objects": [1], "kind": "motion"}]}

Images of masks are named as those of the frames; for a video file, by the number of the frame from 0. A frame without
an image of masks shows no object.
"""

from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from ..video_io import IMAGE_SUFFIXES, list_frames, masks_to_rle, probe_video
from .pixels import read_label_image
from .schema import COMMON_FEATURES
from .tables import below, list_files, read_json

SENTENCES = "sentences.json"
FIELDS: dict[str, type] = {"video": str, "expression": str, "objects": list, "kind": str, "category": str}
REQUIRED = ("video", "expression", "objects")

# The run-length codes of each object: a code for each frame, None where it is absent.
ObjectCodes = dict[str, list[dict[str, Any] | None]]


def load_folder(root: str | Path, split: str = "train") -> Dataset:
    """
    The sentences of one split of a folder, in the common schema; the module describes the folder.

    Args:
        root: the folder.
        split: a key of `sentences.json`.

    Returns:
        a row per sentence, in the order of the file, with the masks as run-length codes.

    Raises:
        FileNotFoundError: a file or folder is missing.
        ValueError: a split or object that does not exist, a sentence without what it needs, masks that do not fit to
            the frames.
    """
    root = Path(root)
    entries = _read_entries(root, split)
    videos = {name: _read_video(root, name) for name in dict.fromkeys(entry["video"] for entry in entries)}
    codes = {name: _read_codes(root, name, video) for name, video in videos.items()}
    rows: list[dict[str, Any]] = []
    counts = dict.fromkeys(videos, 0)
    for number, entry in enumerate(entries):
        name = entry["video"]
        objects = [str(item) for item in entry["objects"]]
        for item in objects:
            if item not in codes[name]:
                raise ValueError(
                    f"{split}, sentence {number}: no mask of {name!r} shows the object {item!r}; its objects are "
                    f"{', '.join(sorted(codes[name])) or 'none'}"
                )
        shown = [
            [code for item in objects if (code := codes[name][item][t])] for t in range(videos[name]["num_frames"])
        ]
        row = {
            "dataset": "folder",
            "split": split,
            "video_id": name,
            "expression_id": str(counts[name]),
            "expression": entry["expression"],
            "expression_type": entry.get("kind"),
            "object_ids": objects,
            "category": entry.get("category"),
            "no_target": not any(shown),
            "mask_format": "rle",
            "mask_rles": shown,
            "annotated_frame_indices": list(range(videos[name]["num_frames"])),
            "sample_id": f"folder/{split}/{name}/{counts[name]}",
        }
        rows.append(dict.fromkeys(COMMON_FEATURES) | videos[name] | row)
        counts[name] += 1
    return Dataset.from_list(rows, features=COMMON_FEATURES)


def _read_entries(root: Path, split: str) -> list[dict[str, Any]]:
    """The checked sentences of a split."""
    path = root / SENTENCES
    splits = read_json(path, "the sentences of each split")
    if not isinstance(splits, dict) or split not in splits:
        known = ", ".join(splits) if isinstance(splits, dict) else "none"
        raise ValueError(f"{path} has no split {split!r}; its splits are {known}")
    for number, entry in enumerate(splits[split]):
        where = f"{path}, {split}, sentence {number}"
        if not isinstance(entry, dict):
            raise ValueError(f"{where}: must be an object with {', '.join(REQUIRED)}, got {entry!r}")
        for name, value in entry.items():
            if name not in FIELDS or not isinstance(value, FIELDS[name]):
                raise ValueError(f"{where}: {name!r} must not be {value!r}; the fields are {', '.join(FIELDS)}")
        missing = [name for name in REQUIRED if name not in entry]
        if missing or not entry["expression"].strip():
            raise ValueError(f"{where}: {', '.join(missing) or 'the expression'} is missing")
    return splits[split]


def _read_video(root: Path, name: str) -> dict[str, Any]:
    """The columns of the common schema that describe one video."""
    folder = below(root / "videos", name)
    files = [folder] if folder.exists() else [path for path in folder.parent.iterdir() if path.stem == folder.name]
    if len(files) != 1:
        found = "several" if files else "no"
        raise FileNotFoundError(f"there are {found} videos {str(folder)!r}: put one file or folder of frames there")
    if files[0].is_dir():
        list_files(files[0])
    else:
        below(folder.parent, files[0].name)
    frames = [str(path) for path in list_frames(files[0])] if files[0].is_dir() else [str(files[0])]
    info = probe_video(files[0])
    indices = list(range(info.total_num_frames))
    names = [Path(path).stem for path in frames] if files[0].is_dir() else [str(index) for index in indices]
    return {
        "frames": frames,
        "frame_names": names,
        "frame_indices": None if files[0].is_dir() else indices,
        "num_frames": info.total_num_frames,
        "height": info.height,
        "width": info.width,
        "fps": info.fps,
    }


def _read_codes(root: Path, name: str, video: dict[str, Any]) -> ObjectCodes:
    """The masks of one video."""
    folder = below(root / "masks", name)
    if not folder.is_dir():
        raise FileNotFoundError(f"the folder of masks {str(folder)!r} does not exist")
    codes: ObjectCodes = {}
    sources = [(None, folder)] + [(path.name, path) for path in sorted(folder.iterdir()) if path.is_dir()]
    for item, source in sources:
        list_files(source)
        for path in sorted(path for path in source.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES):
            frame = _frame_index(path, video)
            for own, mask in _read_objects(path, item, video).items():
                codes.setdefault(own, [None] * video["num_frames"])[frame] = masks_to_rle([mask])[0]
    return codes


def _frame_index(path: Path, video: dict[str, Any]) -> int:
    """Which frame an image of masks belongs to."""
    stem = path.stem
    if video["frame_indices"] is not None and stem.isdigit():
        stem = str(int(stem))
    if stem not in video["frame_names"]:
        names = video["frame_names"]
        raise ValueError(f"{path} belongs to no frame: the frames are named {names[0]} to {names[-1]}")
    return video["frame_names"].index(stem)


def _read_objects(path: Path, item: str | None, video: dict[str, Any]) -> dict[str, np.ndarray]:
    """Masks (height, width) bool by object; `item` names the only object of the image."""
    labels = read_label_image(path)
    size = (video["height"], video["width"])
    if labels.shape != size:
        raise ValueError(f"{path} is {labels.shape[1]}x{labels.shape[0]}, but the frames are {size[1]}x{size[0]}")
    if item is not None:
        return {item: labels > 0} if labels.any() else {}
    return {str(value): labels == value for value in np.unique(labels) if value}


__all__ = ["load_folder"]

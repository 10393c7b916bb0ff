# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""A small Ref-YouTube-VOS in the official layout, with the oddities of the real one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from miniature_shapes import draw_video, save_jpeg, save_palette_png
from PIL import Image

# Video: frames, width, height, objects, number of the first frame.
TRAIN = {
    "0a11c8d2f0": (6, 96, 54, 2, 0),
    "1b5e3307aa": (8, 91, 48, 2, 25),
    "5c09f1e2d4": (11, 54, 96, 2, 0),
    "e7741b90c3": (17, 64, 64, 3, 0),
}
VALID = {
    "2f8d10b6e1": (7, 96, 54, 2, 25),
    "40c3aa917e": (12, 91, 48, 2, 0),
    "9d62e05b18": (20, 54, 96, 2, 0),
    "c81f7734d9": (36, 64, 64, 3, 0),
}
TEST = {"7e20b5c4f8": (5, 96, 54, 2, 0), "b3f6190ad2": (5, 54, 96, 2, 0)}

PHRASES = ("a {} over the ground", "the {} of the video")
# Texts that must come out of the table as they are here.
ODD_TEXTS = {
    ("0a11c8d2f0", "1"): "The  Square that  moves ",
    ("0a11c8d2f0", "2"): "the bright left shape",
    ("0a11c8d2f0", "3"): "a shape @ the middle",
}
CATEGORIES = ("person", "dog", "truck")

Truth = dict[str, np.ndarray]


def make_refer_youtube_vos(
    root: Path,
    *,
    seed: int = 0,
    valid_truth: bool = False,
    test_meta: bool = True,
    objects_meta: bool = True,
    uneven_video: bool = False,
) -> Truth:
    """
    Write the data set.

    Args:
        valid_truth: give the masks and `obj_id` of the validation set too, as the later release does.
        test_meta: the older release: the test set has a meta file, and its videos are in that of the validation set.
        objects_meta: give `train/meta.json`.
        uneven_video: the second frame of a video of the training set has another size than the first.

    Returns:
        labels (frames, height, width) uint8 of each video, whose values are the ids of the objects.
    """
    truth: Truth = {}
    entries: dict[str, dict[str, Any]] = {"train": {}, "valid": {}, "test": {}}
    for folder, videos in (("train", TRAIN), ("valid", VALID), ("test", TEST)):
        shown = folder == "train" or (folder == "valid" and valid_truth)
        for video_id, shape in videos.items():
            frames, labels, texts = _draw(seed + len(truth), video_id, shape)
            names = _frame_names(video_id, shape)
            truth[video_id] = labels
            _write_images(root / folder, video_id, names, frames, labels if shown else None)
            entries[folder][video_id] = _describe(video_id, texts, names, shown)
    if test_meta:
        _write_json(root / "meta_expressions/test/meta_expressions.json", {"videos": entries["test"]})
        entries["valid"] |= entries["test"]
    for folder in ("train", "valid"):
        _write_json(root / f"meta_expressions/{folder}/meta_expressions.json", {"videos": entries[folder]})
    if objects_meta:
        _write_json(root / "train/meta.json", {"videos": {name: _categories(name, truth) for name in TRAIN}})
    # A list of windows of 5 frames, left behind by the official loader: nothing may read it.
    _write_json(
        root / "meta_expressions/train/train_samples_metadata_win_size_8.json", [["0a11c8d2f0", ["00000"], {}]]
    )
    if uneven_video:
        save_jpeg(root / "train/JPEGImages/1b5e3307aa/00030.jpg", np.zeros((24, 24, 3), np.uint8))
    return truth


def hide(frames: np.ndarray, labels: np.ndarray, ground: np.ndarray, item: int, hidden: list[int]) -> None:
    """Take the object `item` out of the `hidden` frames, which show the ground instead."""
    for frame in hidden:
        place = labels[frame] == item
        frames[frame][place] = ground[frame][place]
        labels[frame][place] = 0


def _draw(seed: int, video_id: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Frames, labels and a text for each object, with objects that come and go."""
    num_frames, width, height, num_objects, _ = shape
    video = draw_video(seed, num_frames, width, height, num_objects)
    ground = draw_video(seed, num_frames, width, height, 0).frames
    if video_id == "e7741b90c3":
        hide(video.frames, video.labels, ground, 2, list(range(8)))
        hide(video.frames, video.labels, ground, 3, [3, 12])
    if video_id == "5c09f1e2d4":
        video.labels[video.labels == 2] = 3
    return video.frames, video.labels, video.texts


def _frame_names(video_id: str, shape: tuple[int, ...]) -> list[str]:
    """Every fifth frame; two videos have a gap after the fourth."""
    numbers = [shape[4] + 5 * index for index in range(shape[0])]
    if video_id in ("5c09f1e2d4", "40c3aa917e"):
        numbers = numbers[:4] + [number + 5 for number in numbers[4:]]
    return [f"{number:05d}" for number in numbers]


def _write_images(
    folder: Path, video_id: str, names: list[str], frames: np.ndarray, labels: np.ndarray | None
) -> None:
    for index, name in enumerate(names):
        grey = video_id == "1b5e3307aa" and index == 2
        frame = frames[index].mean(-1).astype(np.uint8) if grey else frames[index]
        save_jpeg(folder / "JPEGImages" / video_id / f"{name}.jpg", frame)
        if labels is not None:
            path = folder / "Annotations" / video_id / f"{name}.png"
            save_palette_png(path, labels[index])
            if grey:
                Image.fromarray(labels[index]).save(path)


def _describe(video_id: str, texts: list[str], names: list[str], shown: bool) -> dict[str, Any]:
    """The entry of a video in `meta_expressions.json`, whose expressions are in no order."""
    objects = ["1", "3"] if video_id == "5c09f1e2d4" else [str(index + 1) for index in range(len(texts))]
    spoken = [(item, phrase.format(text)) for item, text in zip(objects, texts, strict=True) for phrase in PHRASES]
    if video_id == "40c3aa917e":
        spoken.pop()
    expressions: dict[str, dict[str, str]] = {}
    for number, (item, text) in reversed(list(enumerate(spoken))):
        entry = {"exp": ODD_TEXTS.get((video_id, str(number)), text)}
        expressions[str(number)] = entry | {"obj_id": item} if shown else entry
    return {"expressions": expressions, "frames": names}


def _categories(video_id: str, truth: Truth) -> dict[str, Any]:
    items = [int(item) for item in np.unique(truth[video_id]) if item]
    return {"objects": {str(item): {"category": CATEGORIES[item - 1], "frames": ["00000"]} for item in items}}


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")

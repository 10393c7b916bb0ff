# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""A small Long-RVOS in the official layout, with the oddities of the real one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from miniature_shapes import draw_video, save_jpeg, save_palette_png
from PIL import Image

# Video: frames, width, height. The masks of "train" are grey images, those of the others palette images.
SPLITS = {
    "train": {"long_0001": (60, 48, 27)},
    "valid": {"long_0002": (60, 48, 27)},
    "test": {"long_0003": (6, 48, 27)},
}
# The first object is gone in these frames, and comes back.
ABSENT = slice(20, 35)

Truth = dict[str, np.ndarray]


def make_long_rvos(root: Path, *, test_masks: bool = False, seed: int = 0) -> Truth:
    """
    Write the data set; `test_masks` gives the masks of "test" too.

    Returns:
        the target (frames, height, width) bool of each sample with masks.
    """
    truth: Truth = {}
    names = {"train": "train", "valid": "validation", "test": "test"}
    for number, (folder, videos) in enumerate(SPLITS.items()):
        meta = {}
        for video_id, (num_frames, width, height) in videos.items():
            video = draw_video(seed + number, num_frames, width, height)
            # The folder of the third object is empty; the second object overlaps the first one.
            masks = np.concatenate([video.masks, np.zeros_like(video.masks[:1])])
            masks[1, :5] |= masks[0, :5]
            masks[0, ABSENT] = False
            for index, frame in enumerate(video.frames):
                save_jpeg(root / folder / "JPEGImages" / video_id / f"{index:05d}.jpg", frame)
            if folder != "test" or test_masks:
                _write_masks(root / folder / "Annotations" / video_id, masks, palette=folder != "train")
                for key, entry in _expressions().items():
                    truth[f"long_rvos/{names[folder]}/{video_id}/{key}"] = masks[int(entry["obj_id"])]
            frames = [f"{index:05d}" for index in range(num_frames)]
            meta[video_id] = {"frames": frames, "expressions": _expressions()}
        (root / folder / "meta_expressions.json").write_text(json.dumps({"videos": meta}))
    return truth


def _expressions() -> dict[str, dict[str, Any]]:
    return {
        "0": {"exp": "The shape in front", "obj_id": "0", "type": "static"},
        "1": {"exp": "the shape that moves behind it", "obj_id": 1, "type": "dynamic"},
        "10": {"exp": "the shape that is never seen", "obj_id": 2, "type": "static"},
        "2": {"exp": "the bright shape that comes back", "obj_id": 0, "type": "hybrid"},
        "3": {"exp": "a shape of no type", "obj_id": "1"},
    }


def _write_masks(folder: Path, masks: np.ndarray, palette: bool) -> None:
    """A folder for each object, and an image for each frame in which it is seen."""
    for number, track in enumerate(masks):
        (folder / str(number)).mkdir(parents=True)
        for index, mask in enumerate(track):
            path = folder / str(number) / f"{index:05d}.png"
            labels = mask.astype(np.uint8) * 255
            if mask.any() and palette:
                save_palette_png(path, labels)
            elif mask.any():
                Image.fromarray(labels).save(path)

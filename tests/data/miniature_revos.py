# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""A small ReVOS in the official layout, with the oddities of the real one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from miniature_shapes import draw_video, save_jpeg

from transformers_soc.video_io import masks_to_rle

# Video: names of its frames. The first one is in "train", the other one in "valid".
VIDEOS = {
    "OVIS/train_4f/clip_a": [f"{number:05d}" for number in range(1, 21)],
    "lv_0009": [f"img_{chr(97 + number)}" for number in range(20)],
}
WIDTH, HEIGHT = 48, 27

Truth = dict[str, np.ndarray]


def make_revos(root: Path, *, seed: int = 0) -> tuple[Truth, Truth]:
    """
    Write the data set.

    Returns:
        the target (frames, height, width) bool of each sample; the union of all objects of each video.
    """
    truth, foreground, tracks = {}, {}, {}
    for place, (video_id, names) in enumerate(VIDEOS.items()):
        video = draw_video(seed + place, len(names), WIDTH, HEIGHT, 3)
        masks = video.masks.copy()
        # The second object overlaps the first one, and is absent at the end.
        masks[1, :5] |= masks[0, :5]
        masks[1, 15:] = False
        for name, frame in zip(names, video.frames, strict=True):
            save_jpeg(root / "JPEGImages" / video_id / f"{name}.jpg", frame)
        entries = _expressions(3 * place)
        split, folder = (("train", "train"), ("validation", "valid"))[place]
        meta = {"expressions": entries, "vid_id": place, "frames": names, "height": HEIGHT, "width": WIDTH}
        (root / f"meta_expressions_{folder}_.json").write_text(json.dumps({"videos": {video_id: meta}}))
        for key, entry in entries.items():
            truth[f"revos/{split}/{video_id}/{key}"] = masks[entry["obj_id"]].any(0)
        tracks |= {str(3 * place + index): _codes(track, index == 2) for index, track in enumerate(masks)}
        foreground[video_id] = masks.any(0)
    (root / "mask_dict.json").write_text(json.dumps(tracks))
    codes = {
        name: {"masks_rle": masks_to_rle(masks), "foreground_ratio": masks.mean((1, 2)).tolist()}
        for name, masks in foreground.items()
    }
    # Of one frame, the parts are stored one by one.
    codes["lv_0009"]["masks_rle"][0] = [track[0] for track in list(tracks.values())[3:5]] + tracks["5"][0]
    (root / "mask_dict_foreground.json").write_text(json.dumps(codes))
    return truth, foreground


def _expressions(first: int) -> dict[str, dict[str, Any]]:
    return {
        "0": {"exp": "The shape on top", "obj_id": [0], "anno_id": [first], "type_id": 0},
        "1": {"exp": "Which shapes could meet?", "obj_id": [0, 1], "anno_id": [first, first + 1], "type_id": 1},
        "10": {"exp": "the shape in two parts", "obj_id": [2], "anno_id": [first + 2], "type_id": 0},
        "2": {"exp": "Where is the dog?", "obj_id": [], "anno_id": [], "type_id": 2},
    }


def _codes(track: np.ndarray, parts: bool) -> list[Any]:
    """Codes of an object; with `parts`, that of each frame is a list, which decodes to three dimensions."""
    codes: list[Any] = [masks_to_rle([mask])[0] if mask.any() else None for mask in track]
    if not parts:
        return codes
    left = np.arange(WIDTH) < WIDTH // 2
    return [masks_to_rle([mask & left, mask & ~left]) for mask in track]

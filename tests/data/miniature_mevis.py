# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""A small MeViS in the official layout, with the oddities of the real one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from miniature_shapes import draw_video, save_jpeg, save_palette_png

from transformers_soc.video_io import masks_to_rle

# Video: frames, width, height, objects.
TRAIN = {
    "f2c51d90ab": (81, 48, 27, 3),
    "0a7be3c411": (1, 48, 27, 3),
    "93d0e8bb02": (12, 40, 40, 4),
    "b4417fa6c9": (41, 48, 27, 3),
}
VALID_U = {"1f0d9932ce": (16, 48, 27, 3), "c8b2075e1a": (30, 40, 40, 3)}
VALID = {"22aa01f7d3": (15, 48, 27, 3), "7be90c4412": (80, 40, 40, 3), "e60d3c95b8": (130, 48, 27, 3)}
SPLITS = {"train": TRAIN, "valid_u": VALID_U, "valid": VALID}
# Its last object is in no frame, and its expressions go up to number 10.
ODD_VIDEO = "93d0e8bb02"
# Its second object is absent in these frames.
ABSENT = slice(3, 6)

Truth = dict[str, np.ndarray]


def make_mevis(
    root: Path, *, version: str = "v1", converted: bool = False, unsorted: bool = False, seed: int = 0
) -> Truth:
    """
    Write the data set.

    Args:
        version: "v1", or "v2" with expressions without target and with sound.
        converted: the form of SOC++, with palette images, where one object covers the others.
        unsorted: list the frames of each video from the last to the first.

    Returns:
        the target (frames, height, width) bool of each sample of "train" and "validation_u".
    """
    truth: Truth = {}
    names = {"train": "train", "valid_u": "validation_u"}
    for number, (folder, videos) in enumerate(SPLITS.items()):
        meta, tracks = {}, {}
        for place, (video_id, shape) in enumerate(videos.items()):
            masks = _write_video(root / folder, video_id, shape, seed + 10 * number + place, converted)
            entries = _expressions(video_id, len(masks), version, len(tracks))
            tracks |= {str(len(tracks) + index): _codes(track) for index, track in enumerate(masks)}
            for key, entry in entries.items():
                if folder == "valid":
                    entries[key] = {"exp": entry["exp"]}
                else:
                    truth[f"mevis/{names[folder]}/{video_id}/{key}"] = masks[entry.get("obj_id", [])].any(0)
            frames = [f"{index:05d}" for index in range(shape[0])]
            meta[video_id] = {
                "expressions": entries,
                "vid_id": place,
                "frames": frames[::-1] if unsorted else frames,
            }
        _write_json(_meta_path(root, folder, version, converted), {"videos": meta})
        if folder != "valid" and not converted:
            _write_json(root / folder / "mask_dict.json", tracks)
    if version == "v2":
        (root / "train/audio").mkdir()
        (root / "train/audio/0.wav").write_bytes(b"RIFF")
    return truth


def _write_video(folder: Path, video_id: str, shape: tuple, seed: int, converted: bool) -> np.ndarray:
    """Frames on disk; masks (objects, frames, height, width) bool as they can be read back."""
    num_frames, width, height, num_objects = shape
    video = draw_video(seed, num_frames, width, height, num_objects)
    masks = video.masks.copy()
    masks[1, ABSENT] = False
    # The first object is on the second one in the first frame, wherever they are later.
    masks[1, 0] |= masks[0, 0]
    if video_id == ODD_VIDEO:
        masks[3] = False
    for index, frame in enumerate(video.frames):
        save_jpeg(folder / "JPEGImages" / video_id / f"{index:05d}.jpg", frame)
    if not converted or folder.name == "valid":
        return masks
    labels = np.zeros(masks.shape[1:], np.uint8)
    for index, mask in enumerate(masks):
        labels[mask] = index + 1
    for index, image in enumerate(labels):
        save_palette_png(folder / "Annotations" / video_id / f"{index:05d}.png", image)
    return np.stack([labels == index + 1 for index in range(len(masks))])


def _expressions(video_id: str, num_objects: int, version: str, first: int) -> dict[str, dict[str, Any]]:
    """Expressions of a video whose annotations are numbered from `first`."""
    groups = [("The Shape that moves first", [0]), ("all three shapes", [0, 1, 2]), ("the second shape", [1])]
    groups += [("the same Shape, said otherwise ", [0])]
    if video_id == ODD_VIDEO:
        groups += [("the last shape", [3])] + [(f"the third shape, {time} times", [2]) for time in range(6)]
    entries: dict[str, dict[str, Any]] = {
        str(key): {"exp": text, "obj_id": objects, "anno_id": [first + index for index in objects]}
        for key, (text, objects) in enumerate(groups)
    }
    if version == "v2":
        entries["0"]["audio"] = "audio/0.wav"
        entries["1"]["audio"] = "audio/1.wav"
        number = len(entries)
        entries[str(number)] = {"exp": "a bird that sings", "obj_id": [], "anno_id": []}
        entries[str(number + 1)] = {"exp": "a bird that flies off"}
    # As in a dictionary that was filled in another order.
    return dict(reversed(entries.items()))


def _codes(track: np.ndarray) -> list[dict[str, Any] | None]:
    return [masks_to_rle([mask])[0] if mask.any() else None for mask in track]


def _meta_path(root: Path, folder: str, version: str, converted: bool) -> Path:
    if converted:
        return root / "meta_expressions" / folder / "meta_expressions.json"
    release = "_release" if folder == "valid" else ""
    return root / folder / ("meta_expressions.json" if version == "v1" else f"meta_expressions_v2{release}.json")


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""A small Ref-DAVIS17 in the layout of its authors, with the oddities of the real one, and the official conversion."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from miniature_refer_youtube_vos import hide
from miniature_shapes import draw_video, save_jpeg, save_palette_png

# Video: frames, objects.
TRAIN = {"classic-car": (10, 1), "dogs-scale": (10, 2)}
VALIDATION = {"motorbike": (40, 2), "blackswan": (36, 1), "gold-fish": (73, 10)}
WIDTH, HEIGHT = 85, 48

MISSPELT = {"classic-car": "clasic-car", "dogs-scale": "dog-scale", "motorbike": "motor-bike"}
# File, encoding and the phrase around the text of an object.
TEXTS = (
    ("Davis17_annot1.txt", "utf-8", "a {}"),
    ("Davis17_annot1_full_video.txt", "utf-8", "the {} to the end"),
    ("Davis17_annot2.txt", "latin-1", "a {}, passé"),
    ("Davis17_annot2_full_video.txt", "latin-1", 'on a café\x85bar the "{}"'),
)

Truth = dict[str, np.ndarray]


def make_refer_davis(root: Path, *, seed: int = 0, semantics: bool = True) -> Truth:
    """
    Write the data set: DAVIS 2017 and the four files of expressions.

    Args:
        semantics: give `davis_semantics.json`.

    Returns:
        labels (frames, height, width) uint8 of each video, whose values are the ids of the objects, 255 void.
    """
    truth: Truth = {}
    texts: dict[str, list[str]] = {}
    for number, (video_id, (num_frames, num_objects)) in enumerate({**TRAIN, **VALIDATION}.items()):
        frames, truth[video_id], texts[video_id] = _draw(seed + number, video_id, num_frames, num_objects)
        for index, (frame, labels) in enumerate(zip(frames, truth[video_id], strict=True)):
            save_jpeg(root / f"DAVIS/JPEGImages/480p/{video_id}/{index:05d}.jpg", frame)
            save_palette_png(root / f"DAVIS/Annotations_unsupervised/480p/{video_id}/{index:05d}.png", labels)
    for name, videos in (("train", TRAIN), ("val", VALIDATION)):
        path = root / f"DAVIS/ImageSets/2017/{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{video_id}\n" for video_id in videos), encoding="utf-8")
    if semantics:
        kinds = {video_id: {str(item + 1): "fish" for item in range(len(texts[video_id]))} for video_id in texts}
        (root / "DAVIS/davis_semantics.json").write_text(json.dumps(kinds), encoding="utf-8")
    (root / "davis_text_annotations").mkdir()
    for file, encoding, phrase in TEXTS:
        content = "\n".join(_lines(file, phrase, texts)) + "\n"
        (root / "davis_text_annotations" / file).write_bytes(content.encode(encoding))
    return truth


def _draw(seed: int, video_id: str, num_frames: int, num_objects: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Frames, labels and a text for each object, with objects that come and go, and a void strip in one frame."""
    video = draw_video(seed, num_frames, WIDTH, HEIGHT, num_objects)
    ground = draw_video(seed, num_frames, WIDTH, HEIGHT, 0).frames
    if video_id == "motorbike":
        hide(video.frames, video.labels, ground, 1, [0])
        hide(video.frames, video.labels, ground, 2, list(range(30, num_frames)))
    if video_id == "blackswan":
        video.labels[5, :3] = 255
    return video.frames, video.labels, video.texts


def _lines(file: str, phrase: str, texts: dict[str, list[str]]) -> list[str]:
    """The lines of a file: some videos misspelt, objects in no order, and one line missing."""
    lines = []
    for video_id, own in texts.items():
        for item in reversed(range(len(own))):
            if (file, video_id, item) == ("Davis17_annot2_full_video.txt", "dogs-scale", 0):
                continue
            name = MISSPELT.get(video_id, video_id) if item == 0 else video_id
            lines.append(f'{name} {item + 1} "{phrase.format(own[item])}"')
    return lines


def convert_refer_davis(root: Path, target: Path, expressions: dict[str, dict[str, Any]]) -> None:
    """
    Write a copy in the layout of Ref-YouTube-VOS, as the official conversion does.

    Args:
        expressions: of each video, the entries by expression id.
    """
    for folder, videos in (("train", TRAIN), ("valid", VALIDATION)):
        entries, kinds = {}, {}
        for video_id, (num_frames, num_objects) in videos.items():
            for kind, source in (("JPEGImages", "JPEGImages"), ("Annotations", "Annotations_unsupervised")):
                shutil.copytree(root / "DAVIS" / source / "480p" / video_id, target / folder / kind / video_id)
            names = [f"{index:05d}" for index in range(num_frames)]
            entries[video_id] = {"expressions": expressions[video_id], "frames": names}
            kinds[video_id] = {"objects": {str(item + 1): {"category": "fish"} for item in range(num_objects)}}
        (target / folder / "meta.json").write_text(json.dumps({"videos": kinds}), encoding="utf-8")
        meta_file = target / "meta_expressions" / folder / "meta_expressions.json"
        meta_file.parent.mkdir(parents=True)
        meta_file.write_text(json.dumps({"videos": entries}), encoding="utf-8")

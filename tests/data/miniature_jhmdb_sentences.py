# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""A small JHMDB-Sentences in the official layout, with the oddities of the real one."""

import csv
import json
from pathlib import Path

import numpy as np
from miniature_shapes import draw_video
from PIL import Image
from scipy.io import savemat

WIDTH, HEIGHT = 32, 24
# Video: action, images, masks.
VIDEOS = {
    "AmazingCatch(1)_catch_f_cm_np1_ri_med_0": ("catch", 22, 20),
    "Long_walk!!_walk_f_nm_np1_ba_goo_2": ("walk", 40, 40),
    "brief_walk_f_cm_np1_le_bad_1": ("walk", 3, 3),
    "cut_catch_u_nm_np1_fr_med_11": ("catch", 2, 2),
}
MORE_IMAGES, LONG, THREE, TWO = VIDEOS
EXPRESSIONS = {
    THREE: "a shape",
    MORE_IMAGES: "Shape, of One colour",
    LONG: " shape that moves",
    TWO: "a shape in two frames",
}
EMPTY = (THREE, 2)  # a frame with a mask of zeros
OLD_LIST, NEW_LIST = "jhmdb_sentences_samples_metadata.json", "jhmdb_sentences_samples_metadata_new.json"
# Frames from 1 that each list holds; those of other videos are not asked for.
LISTS = {
    OLD_LIST: {MORE_IMAGES: (3, 11, 20), LONG: (1, 2, 40), THREE: (1, 2, 3)},
    NEW_LIST: {MORE_IMAGES: (1, 12, 19), LONG: (7, 8, 33), THREE: (1, 2, 3)},
}


def make_jhmdb_sentences(root: Path, *, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """
    Write the data set.

    Returns:
        frames (frames, height, width, 3) uint8 of each video with all its images, and masks (frames, height, width)
        bool.
    """
    frames, masks = {}, {}
    for index, (video, (action, num_images, num_masks)) in enumerate(VIDEOS.items()):
        drawn = draw_video(seed + index, num_images, WIDTH, HEIGHT, 1)
        frames[video], masks[video] = drawn.frames, drawn.masks[0, :num_masks]
        if video == EMPTY[0]:
            masks[video][EMPTY[1] - 1] = False
        folder = root / "Rename_Images" / action / video
        folder.mkdir(parents=True, exist_ok=True)
        for number, frame in enumerate(drawn.frames, 1):
            image = Image.fromarray(frame)
            if (video, number) == (MORE_IMAGES, 2):
                image = image.quantize(256)
                frames[video][number - 1] = np.asarray(image.convert("RGB"))
            if (video, number) == (LONG, 1):
                image.putalpha(7)
            image.save(folder / f"{number:05d}.png")
        path = root / "puppet_mask" / action / video / "puppet_mask.mat"
        path.parent.mkdir(parents=True, exist_ok=True)
        part_mask = masks[video].transpose(1, 2, 0).astype(np.uint8)
        savemat(path, {"part_mask": part_mask}, do_compression=True)
    with (root / "jhmdb_annotation.txt").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("video_id", "query"), *EXPRESSIONS.items()])
    for name in LISTS:
        (root / name).write_text(json.dumps(_list_entries(name)))
    return frames, masks


def _list_entries(name: str) -> list[list[object]]:
    """A list as its authors made it, with the paths of their machine: absolute ones, or those of a repository."""
    home = "/home/someone/data/jhmdb_sentences" if name == OLD_LIST else "./jhmdb_sentences"
    return [
        [
            video,
            f"{home}/Rename_Images/{VIDEOS[video][0]}/{video}/{number:05d}.png",
            f"{home}/puppet_mask/{VIDEOS[video][0]}/{video}/puppet_mask.mat",
            VIDEOS[video][2],
            EXPRESSIONS[video].lower(),
        ]
        for video, numbers in LISTS[name].items()
        for number in numbers
    ]

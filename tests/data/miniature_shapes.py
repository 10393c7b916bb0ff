# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Small drawn videos for miniatures of the benchmarks: frames, labels, and the files that hold them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"red": (220, 30, 30), "green": (30, 180, 60), "blue": (40, 70, 230), "yellow": (240, 220, 40)}
SHAPES = ("square", "disk", "bar")


@dataclass
class DrawnVideo:
    """
    frames: uint8 (frames, height, width, 3); masks: bool (objects, frames, height, width), whole even where another
    object covers them; labels: uint8 (frames, height, width), the id from 1 of the object on top, 0 = ground.
    """

    frames: np.ndarray
    masks: np.ndarray
    labels: np.ndarray
    texts: list[str]


def draw_video(seed: int, num_frames: int, width: int, height: int, num_objects: int = 2) -> DrawnVideo:
    """Objects that move over a smooth ground; later ones cover earlier ones."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    ground = 90 + 60 * rows[..., None] / height + 40 * columns[..., None] / width + np.array([0, 10, -10])
    frames = np.repeat(ground[None], num_frames, 0) + generator.normal(0, 2, (num_frames, height, width, 3))
    masks = np.zeros((num_objects, num_frames, height, width), bool)
    texts = []
    for index in range(num_objects):
        colour = list(COLOURS)[(index + seed) % len(COLOURS)]
        shape = SHAPES[int(generator.integers(len(SHAPES)))]
        radius = max(3, min(width, height) // 6)
        x, y = generator.uniform(radius, width - radius), generator.uniform(radius, height - radius)
        step = int(generator.choice([-1, 1]))
        for frame in range(num_frames):
            centre = radius + (x - radius + step * frame) % max(1, width - 2 * radius)
            across, down = np.abs(columns - centre), np.abs(rows - y)
            inside = {
                "square": np.maximum(across, down) <= radius,
                "disk": across**2 + down**2 <= radius**2,
                "bar": (across <= radius) & (down <= radius / 2),
            }
            masks[index, frame] = inside[shape]
        frames[masks[index]] = COLOURS[colour]
        texts.append(f"{colour} {shape} moving {'right' if step > 0 else 'left'}")
    labels = np.zeros(masks.shape[1:], np.uint8)
    for index, mask in enumerate(masks):
        labels[mask] = index + 1
    return DrawnVideo(frames.clip(0, 255).astype(np.uint8), masks, labels, texts)


def save_jpeg(path: Path, frame: np.ndarray) -> None:
    """uint8 (height, width, 3), or (height, width) for a grey image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(frame).save(path, quality=95, subsampling=0)


def save_palette_png(path: Path, labels: np.ndarray) -> None:
    """uint8 (height, width) ids, as an image of the mode P."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels)
    image.putpalette(
        [value for index in range(256) for value in (index * 67 % 256, index * 131 % 256, index * 29 % 256)]
    )
    image.save(path)

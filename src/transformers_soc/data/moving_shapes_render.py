# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Pixels of MovingShapes: signed distances in a small box around each object, and backgrounds."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .moving_shapes_scene import MovingShapesObject, Scene

REACH = 1.25  # no shape reaches further than this many radii
BACKGROUNDS = ("plain", "ramp", "blobs", "checker", "stripes", "speckle")
MIN_CONTRAST = 0.45  # distance of a background from every object, in RGB of 0..1


@dataclass(frozen=True)
class Sprite:
    """One object in a box that follows it.

    Attributes:
        top, left: int (frames,), where the box lies in the frame; may be negative.
        opacity: float32 (frames, box, box), 0..1 with smooth edges.
        shade: float32 (frames, box, box), how much of the second colour; None for a plain object.
        edge: float32 (frames, box, box), how dark the outline is; None without one.
    """

    top: np.ndarray
    left: np.ndarray
    opacity: np.ndarray
    shade: np.ndarray | None
    edge: np.ndarray | None


def draw_sprite(item: MovingShapesObject) -> Sprite:
    """Draw one object in all frames."""
    reach = REACH * item.radius.max() + 1
    box = int(np.ceil(2 * reach)) + 1
    corner = np.floor(item.centre - reach).astype(int)
    grid = np.arange(box) + 0.5
    x = (corner[:, :1] + grid - item.centre[:, :1]).astype(np.float32)
    y = (corner[:, 1:] + grid - item.centre[:, 1:]).astype(np.float32)
    x, y = x[:, None, :], y[:, :, None]
    if item.angle.any():
        cosine, sine = (f(item.angle).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
        x, y = cosine * x + sine * y, cosine * y - sine * x
    radius = item.radius.astype(np.float32)[:, None, None]
    x, y = x / radius, y / radius
    distance = SHAPE_DISTANCES[item.shape](x, y) * radius
    opacity = np.clip(0.5 - distance, 0, 1)
    opacity[~item.present] = 0
    edge = np.clip(distance + np.maximum(1.0, 0.1 * radius) + 0.5, 0, 1) if item.outlined else None
    shade = None if item.texture == "plain" else _texture(item.texture, x, y, radius)
    return Sprite(corner[:, 1], corner[:, 0], opacity, shade, edge)


def _texture(texture: str, x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Where the second colour lies: stripes or dots that move, turn and grow with the object."""
    period = np.float32(0.62)
    if texture == "striped":
        wave = np.abs((y + 0 * x) / period - np.round((y + 0 * x) / period)) - 0.25
    else:
        u, v = x / period, y / period
        wave = np.hypot(u - np.round(u), v - np.round(v)) - 0.32
    return np.clip(0.5 - wave * period * radius, 0, 1)


# Signed distances from the outline in units of the radius, negative inside; y points down.


def _circle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(x * x + y * y) - np.float32(1.0)


def _ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.abs(np.sqrt(x * x + y * y) - np.float32(0.77)) - np.float32(0.25)


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(x), np.abs(y)) - np.float32(0.86)


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    side = np.float32(np.sqrt(3) / 2) * np.abs(x) - np.float32(0.5) * y
    return np.maximum(side, y) - np.float32(0.6)


def _cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = np.abs(x), np.abs(y)
    return np.maximum(np.maximum(x, y) - np.float32(1.05), np.minimum(x, y) - np.float32(0.36))


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A five-pointed star with one point up: the plane is folded onto half of one point."""
    cosine, sine = np.float32(np.cos(np.pi / 5)), np.float32(np.sin(np.pi / 5))
    x, y = np.abs(x), -y
    over = 2 * np.maximum(cosine * x - sine * y, 0)
    x, y = x - over * cosine, y + over * sine
    over = 2 * np.maximum(-cosine * x - sine * y, 0)
    x, y = np.abs(x + over * cosine), y + over * sine
    # The edge from the tip (0, outer) to the notch between two tips.
    outer, inner = np.float32(1.22), np.float32(0.56)
    along_x, along_y = inner * sine, inner * cosine - outer
    return ((y - outer) * along_x - x * along_y) / np.hypot(along_x, along_y)


SHAPE_DISTANCES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
}


def _boxes(sprite: Sprite, height: int, width: int) -> list[tuple[int, tuple[slice, slice], tuple[slice, slice]]]:
    """For each frame in which the box meets the picture: frame, place in the picture, part of the box."""
    size = sprite.opacity.shape[1]
    boxes = []
    for frame, (top, left) in enumerate(zip(sprite.top.tolist(), sprite.left.tolist(), strict=True)):
        y0, y1, x0, x1 = max(top, 0), min(top + size, height), max(left, 0), min(left + size, width)
        if y0 < y1 and x0 < x1:
            picture = (slice(y0, y1), slice(x0, x1))
            boxes.append((frame, picture, (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))))
    return boxes


def visible_masks(scene: Scene, sprites: list[Sprite], order: np.ndarray) -> np.ndarray:
    """Bool (objects, frames, height, width): the pixels in which each object is on top."""
    masks = np.zeros((len(sprites), scene.num_frames, scene.height, scene.width), bool)
    for position, index in enumerate(order):
        below = order[:position]
        inside = sprites[index].opacity > 0.5
        for frame, picture, part in _boxes(sprites[index], scene.height, scene.width):
            cover = inside[frame][part]
            masks[(index, frame, *picture)] = cover
            for other in below:
                masks[(other, frame, *picture)] &= ~cover
    return masks


def paint(rng: np.random.Generator, scene: Scene, sprites: list[Sprite], order: np.ndarray, plain: bool) -> np.ndarray:
    """Uint8 (frames, height, width, 3): the background, the objects in painting order, blur and noise."""
    canvas = _background(rng, scene, plain)
    for index in order:
        item, sprite = scene.objects[index], sprites[index]
        first = np.array(item.rgb, np.float32)
        second = first * 0.45 if first.max() > 0.3 else first * 0.3 + np.float32(0.55)
        for frame, picture, part in _boxes(sprite, scene.height, scene.width):
            colour = first
            if sprite.shade is not None:
                colour = first + sprite.shade[frame][part][..., None] * (second - first)
            if sprite.edge is not None:
                colour = colour * (1 - 0.55 * sprite.edge[frame][part][..., None])
            region = canvas[(frame, *picture)]
            region += sprite.opacity[frame][part][..., None] * (colour - region)
    if rng.random() < 0.15:
        canvas = _blur(canvas)
    sigma = rng.choice([0.0, 0.01, 0.02, 0.035]) * rng.uniform(0.6, 1.2)
    if sigma:
        canvas += np.float32(sigma) * rng.standard_normal(canvas.shape, dtype=np.float32)
    np.clip(canvas, 0, 1, out=canvas)
    canvas *= 255
    canvas += 0.5
    return canvas.astype(np.uint8)


def _blur(canvas: np.ndarray) -> np.ndarray:
    """Soften each frame by the weights 1, 2, 1 along both axes."""
    for axis in (1, 2):
        moved = np.moveaxis(canvas, axis, 0)
        inner = 0.5 * moved[1:-1] + 0.25 * (moved[:-2] + moved[2:])
        moved[1:-1] = inner
    return canvas


def _ground_colour(rng: np.random.Generator, scene: Scene) -> np.ndarray:
    """A colour that every object stands out from."""
    objects = np.array([item.rgb for item in scene.objects])
    candidates = rng.random((24, 3))
    # Real grounds are seldom of a pure colour.
    candidates = candidates.mean(axis=1, keepdims=True) + 0.6 * (candidates - candidates.mean(axis=1, keepdims=True))
    contrast = np.linalg.norm(candidates[:, None] - objects, axis=2).min(axis=1)
    good = contrast >= MIN_CONTRAST
    return candidates[good.argmax() if good.any() else contrast.argmax()].astype(np.float32)


def _background(rng: np.random.Generator, scene: Scene, plain: bool) -> np.ndarray:
    """Float32 (frames, height, width, 3) in 0..1, textured unless `plain` or chance says otherwise."""
    frames, height, width = scene.num_frames, scene.height, scene.width
    ground = _ground_colour(rng, scene)
    kind = "plain" if plain else BACKGROUNDS[int(rng.choice(len(BACKGROUNDS), p=(0.25, 0.2, 0.2, 0.1, 0.1, 0.15)))]
    if kind == "plain":
        return np.broadcast_to(ground, (frames, height, width, 3)).copy()
    moving = rng.random() < 0.35
    speed = rng.uniform(-0.025, 0.025, 2) * min(height, width) if moving else np.zeros(2)
    shift = np.round(np.arange(frames)[:, None] * speed).astype(int)
    shift -= shift.min(axis=0)
    pattern = _pattern(rng, kind, height + shift[:, 0].max(), width + shift[:, 1].max(), min(height, width))
    contrast = rng.uniform(0.05, 0.13)
    tint = np.float32(1.0) + rng.uniform(-0.4, 0.4, 3).astype(np.float32)
    picture = ground + np.float32(contrast) * pattern[..., None] * tint
    return np.stack([picture[dy : dy + height, dx : dx + width] for dy, dx in shift])


def _pattern(rng: np.random.Generator, kind: str, height: int, width: int, side: int) -> np.ndarray:
    """Float32 (height, width) around -1..1."""
    y = np.arange(height, dtype=np.float32)[:, None] / side
    x = np.arange(width, dtype=np.float32)[None] / side
    angle = rng.uniform(0, 2 * np.pi)
    along = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y
    across = np.float32(np.cos(angle)) * y - np.float32(np.sin(angle)) * x
    if kind == "ramp":
        return 2 * (along - along.min()) / np.ptp(along) - 1
    cell = np.float32(rng.uniform(0.08, 0.3))
    if kind == "stripes":
        return np.sin(2 * np.pi * along / cell).astype(np.float32)
    if kind == "checker":
        return np.where((np.floor(along / cell) + np.floor(across / cell)) % 2 == 0, np.float32(1), np.float32(-1))
    coarse = 5 if kind == "blobs" else 24
    grid = rng.uniform(-1, 1, (coarse, coarse)).astype(np.float32)
    return _spread(height, coarse) @ grid @ _spread(width, coarse).T


def _spread(size: int, coarse: int) -> np.ndarray:
    """Float32 (size, coarse): weights of linear interpolation between `coarse` values."""
    place = np.linspace(0, coarse - 1, size, dtype=np.float32)[:, None]
    return np.clip(1 - np.abs(place - np.arange(coarse, dtype=np.float32)), 0, 1)

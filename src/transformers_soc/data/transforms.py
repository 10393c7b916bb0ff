# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Training-time changes of clips, before the processor: which frames are taken, flips with the words they turn round,
colours, scales, and clips made of one image. Every random draw comes from the NumPy generator that is handed in.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch.nn import functional

from ..video_io import sample_indices
from ..video_processing_soc import resized_size
from .moving_shapes_words import MIRROR_WORDS, REVERSAL_WORDS, TRANSPOSE_WORDS, VERTICAL_WORDS

# The official clip loaders flip where a standard normal draw exceeds 0.5.
OFFICIAL_FLIP_PROBABILITY = 0.3085
FLIP_WORDS = ("word", "official")
CLIP_POLICIES = ("soc", "referformer", "whole")


@dataclass
class Clip:
    """
    Frames of one video and what several expressions mean in them.

    Args:
        frames: (frames, height, width, 3) uint8.
        masks: (expressions, frames, height, width) bool.
        expressions: the sentences.
        class_labels: (expressions,) class of each target, for models with several classes; empty: class 0.
        annotated_frame: the only frame that is answered for, where just one is annotated.
    """

    frames: np.ndarray
    masks: np.ndarray
    expressions: list[str]
    class_labels: list[int] = field(default_factory=list)
    annotated_frame: int | None = None


# ---- which frames


def consecutive_windows(num_frames: int, window_size: int) -> list[list[int]]:
    """
    Windows of the official Ref-YouTube-VOS and MeViS loaders: runs of `window_size` frames one after the other. A
    short rest becomes the last `window_size` frames; a shorter video repeats its last frame.
    """
    windows = [list(range(start, start + window_size)) for start in range(0, num_frames, window_size)]
    first = max(0, num_frames - window_size)
    windows[-1] = [min(index, num_frames - 1) for index in range(first, first + window_size)]
    return windows


def centered_window(frame: int, num_frames: int, window_size: int) -> list[int]:
    """Window of the official A2D loader: `frame` at place `window_size // 2`, edge frames repeated."""
    start = frame - window_size // 2
    return [min(max(index, 0), num_frames - 1) for index in range(start, start + window_size)]


def spread_window(num_frames: int, window_size: int | None) -> list[int]:
    """The whole video, or `window_size` frames spread evenly over it where it is longer."""
    if window_size is None or num_frames <= window_size:
        return list(range(num_frames))
    return sample_indices(num_frames, num_frames=window_size)


def anchored_window(frame: int, num_frames: int, window_size: int, generator: np.random.Generator) -> list[int]:
    """
    Sampling of ReferFormer: `frame`, one of 1 to 3 frames before it, one of 1 to 3 after it, and the rest drawn from
    outside that span, or from the whole video where too little is left; sorted.
    """
    before, after = generator.integers(1, 4, size=2)
    picked = [frame, max(0, frame - int(before)), min(num_frames - 1, frame + int(after))][:window_size]
    missing = window_size - len(picked)
    outside = [index for index in range(num_frames) if not min(picked) <= index <= max(picked)]
    pool = outside if len(outside) >= missing else list(range(num_frames))
    picked += generator.choice(pool, size=missing, replace=len(pool) < missing).tolist()
    return sorted(picked)


# ---- flips and time


def swap_words(text: str, words: Mapping[str, str]) -> str:
    """Replace whole words by the table at once, whatever their case; a capital first letter is kept."""
    if not words:
        return text
    pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))

    def replacement(match: re.Match) -> str:
        word = words[match[0].lower()]
        return word.capitalize() if match[0][0].isupper() else word

    return re.sub(rf"\b({pattern})\b", replacement, text, flags=re.IGNORECASE)


def swap_left_right(text: str, flip_words: str = "word") -> str:
    """
    The sentence for the mirrored picture: whole words ("word"), or the official replacement of the letters, which
    turns "bright" into "bleft" and leaves capital "Left" alone ("official").
    """
    if flip_words == "word":
        return swap_words(text, MIRROR_WORDS)
    if flip_words == "official":
        return text.replace("left", "@").replace("right", "left").replace("@", "right")
    raise ValueError(f"flip_words must be one of {', '.join(FLIP_WORDS)}, got {flip_words!r}")


def horizontal_flip(clip: Clip, flip_words: str = "word") -> Clip:
    """Mirror left and right, in pictures and words."""
    texts = [swap_left_right(text, flip_words) for text in clip.expressions]
    return replace(clip, frames=clip.frames[:, :, ::-1], masks=clip.masks[..., ::-1], expressions=texts)


def vertical_flip(clip: Clip) -> Clip:
    """Turn the clip upside down, in pictures and words."""
    texts = [swap_words(text, VERTICAL_WORDS) for text in clip.expressions]
    return replace(clip, frames=clip.frames[:, ::-1], masks=clip.masks[..., ::-1, :], expressions=texts)


def transpose(clip: Clip) -> Clip:
    """Exchange rows and columns, in pictures and words."""
    texts = [swap_words(text, TRANSPOSE_WORDS) for text in clip.expressions]
    return replace(clip, frames=clip.frames.swapaxes(1, 2), masks=clip.masks.swapaxes(2, 3), expressions=texts)


def time_reversal(clip: Clip) -> Clip:
    """Play the clip backwards, in pictures and words."""
    texts = [swap_words(text, REVERSAL_WORDS) for text in clip.expressions]
    frame = clip.annotated_frame
    return replace(
        clip,
        frames=clip.frames[::-1],
        masks=clip.masks[:, ::-1],
        expressions=texts,
        annotated_frame=None if frame is None else len(clip.frames) - 1 - frame,
    )


# ---- sizes


def resize_masks(masks: np.ndarray, height: int, width: int) -> torch.Tensor:
    """Masks (expressions, frames, h, w) bool to the given size by nearest neighbour, as the official code does."""
    resized = functional.interpolate(torch.from_numpy(masks.astype(np.float32)), size=(height, width), mode="nearest")
    return resized > 0.5


def resize_clip(clip: Clip, shortest_edge: int, longest_edge: int | None = None) -> Clip:
    """Frames by Pillow's bilinear filter, masks by nearest neighbour, to `video_processing_soc.resized_size`."""
    _, height, width, _ = clip.frames.shape
    height, width = resized_size(height, width, shortest_edge, longest_edge)
    if (height, width) == clip.frames.shape[1:3]:
        return clip
    size = (width, height)
    frames = [np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR)) for frame in clip.frames]
    return replace(clip, frames=np.stack(frames), masks=resize_masks(clip.masks, height, width).numpy())


# ---- colours


def rgb_to_hsv(pixels: np.ndarray) -> np.ndarray:
    """(..., 3) float32 to hue in 0..360, saturation in 0..1 and value in the scale of the input, as OpenCV does."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    value, chroma = pixels.max(-1), np.ptp(pixels, axis=-1)
    divisor = np.where(chroma == 0, 1, chroma)
    hue = np.where(value == red, (green - blue) / divisor, 4 + (red - green) / divisor)
    hue = np.where((value == green) & (value != red), 2 + (blue - red) / divisor, hue)
    saturation = chroma / (np.abs(value) + np.finfo(np.float32).eps)
    return np.stack([60 * hue % 360, saturation, value], axis=-1).astype(np.float32)


def hsv_to_rgb(pixels: np.ndarray) -> np.ndarray:
    """Inverse of `rgb_to_hsv`, (..., 3) float32."""
    hue, saturation, value = np.moveaxis(pixels, -1, 0)
    sector = (np.array([5.0, 3.0, 1.0], np.float32) + hue[..., None] / 60) % 6
    ramp = np.clip(np.minimum(sector, 4 - sector), 0, 1)
    return (value[..., None] * (1 - saturation[..., None] * ramp)).astype(np.float32)


def photometric_distortion(
    frames: np.ndarray, generator: np.random.Generator, clip_values: bool = False
) -> np.ndarray:
    """
    Brightness, contrast, saturation, hue and order of the channels of each frame by itself, each with probability 0.5
    (ReferFormer; the SOC recipes do without). It changes colours, so sentences that name colours may become false.

    Args:
        frames: (frames, height, width, 3) uint8.
        clip_values: keep values in 0..255 instead of letting them wrap round, as they do officially.
    """
    distorted = np.empty_like(frames)
    for index, frame in enumerate(frames):
        # The official code takes the RGB frame for BGR.
        pixels = frame[..., ::-1].astype(np.float32)
        if generator.random() < 0.5:
            pixels += np.float32(generator.uniform(-32, 32))
        contrast_first = generator.random() < 0.5
        if contrast_first:
            pixels = _change_contrast(pixels, generator)
        pixels = _change_saturation_and_hue(pixels, generator)
        if not contrast_first:
            pixels = _change_contrast(pixels, generator)
        if generator.random() < 0.5:
            pixels = pixels[..., generator.permutation(3)]
        pixels = np.clip(pixels, 0, 255) if clip_values else pixels
        distorted[index] = pixels[..., ::-1].astype(np.int32).astype(np.uint8)
    return distorted


def _change_contrast(pixels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return pixels * np.float32(generator.uniform(0.5, 1.5)) if generator.random() < 0.5 else pixels


def _change_saturation_and_hue(pixels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    hsv = rgb_to_hsv(pixels)
    if generator.random() < 0.5:
        hsv[..., 1] *= np.float32(generator.uniform(0.5, 1.5))
    if generator.random() < 0.5:
        hsv[..., 0] = (hsv[..., 0] + np.float32(generator.uniform(-18, 18))) % 360
    return hsv_to_rgb(hsv)


# ---- all of them, by chance


@dataclass(frozen=True)
class Augmentation:
    """
    Random changes of a clip. Each probability is that of the whole clip being changed; `flip_probability` 0.3085 and
    `flip_words="official"` repeat the official recipes, which do nothing else.

    Args:
        flip_probability: of mirroring left and right.
        flip_words: "word" or "official", see `swap_left_right`.
        vertical_flip_probability, transpose_probability, time_reversal_probability: of these changes; their word
            tables suit sentences such as those of MovingShapes.
        distortion_probability: of `photometric_distortion`.
        short_sides: short sides to draw from, for training at several scales; empty: the size of the processor.
        long_side: limit of the long side, with `short_sides`.
    """

    flip_probability: float = 0.5
    flip_words: str = "word"
    vertical_flip_probability: float = 0.0
    transpose_probability: float = 0.0
    time_reversal_probability: float = 0.0
    distortion_probability: float = 0.0
    short_sides: Sequence[int] = ()
    long_side: int | None = None

    def __post_init__(self) -> None:
        if self.flip_words not in FLIP_WORDS:
            raise ValueError(f"flip_words must be one of {', '.join(FLIP_WORDS)}, got {self.flip_words!r}")

    def __call__(self, clip: Clip, generator: np.random.Generator) -> Clip:
        # One draw for each change, whether or not it is switched on: recipes that differ in one change share the rest.
        flip, vertical, transposed, backwards, distorted = generator.random(5)
        if flip < self.flip_probability:
            clip = horizontal_flip(clip, self.flip_words)
        if vertical < self.vertical_flip_probability:
            clip = vertical_flip(clip)
        if transposed < self.transpose_probability:
            clip = transpose(clip)
        if backwards < self.time_reversal_probability:
            clip = time_reversal(clip)
        if distorted < self.distortion_probability:
            clip = replace(clip, frames=photometric_distortion(clip.frames, generator))
        if self.short_sides:
            clip = resize_clip(clip, int(generator.choice(self.short_sides)), self.long_side)
        return clip


# ---- a clip of one image


def pseudo_video(clip: Clip, num_frames: int, generator: np.random.Generator) -> Clip:
    """
    A clip made of one image, as in the official joint training: the image and `num_frames - 1` copies with changed
    brightness, perspective, rotation, place and sharpness, in random order.

    Args:
        clip: with one frame.
    """
    if len(clip.frames) != 1:
        raise ValueError(f"a pseudo-video is made of one image, got {len(clip.frames)} frames")
    copies = [(clip.frames[0], clip.masks[:, 0])]
    copies += [_changed_copy(clip.frames[0], clip.masks[:, 0], generator) for _ in range(num_frames - 1)]
    order = generator.permutation(num_frames)
    frames = np.stack([copies[index][0] for index in order])
    return replace(clip, frames=frames, masks=np.stack([copies[index][1] for index in order], axis=1))


def _changed_copy(
    image: np.ndarray, masks: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One copy of an image (height, width, 3) and its masks (expressions, height, width)."""
    height, width = image.shape[:2]
    brighter = image.astype(np.int16) + generator.integers(-40, 41)
    image = np.clip(brighter, 0, 255).astype(np.uint8)
    for coefficients in (_draw_perspective(height, width, generator), _draw_affine(height, width, generator)):
        image = _warp(image, coefficients, Image.Resampling.BILINEAR)
        masks = np.array([_warp(mask, coefficients, Image.Resampling.NEAREST) for mask in masks]).reshape(masks.shape)
    if generator.random() < 0.25:
        kernel = _draw_motion_kernel(generator)
        blurred = ndimage.convolve(image.astype(np.float32), kernel[..., None], mode="mirror")
        image = np.clip(np.round(blurred), 0, 255).astype(np.uint8)
    return image, masks


def _warp(picture: np.ndarray, coefficients: np.ndarray, resample: Image.Resampling) -> np.ndarray:
    """Picture or bool mask whose pixel (x, y) is taken from the homography of (x, y); 0 outside."""
    source = picture.astype(np.uint8)
    size = (source.shape[1], source.shape[0])
    warped = Image.fromarray(source).transform(size, Image.Transform.PERSPECTIVE, coefficients.tolist(), resample)
    return np.asarray(warped).astype(picture.dtype)


def _draw_perspective(height: int, width: int, generator: np.random.Generator) -> np.ndarray:
    """Homography (8,) from the frame to a quadrangle inside it, whose corners lie some 8 % from those of the frame."""
    inwards = np.abs(generator.normal(0, 0.08, size=(4, 2))) % 1
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
    size = np.array([width, height])
    targets = (corners + inwards * (1 - 2 * corners)) * size
    rows, values = [], []
    for (x, y), (u, v) in zip(corners * size, targets, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(np.array(rows), np.array(values))


def _draw_affine(height: int, width: int, generator: np.random.Generator) -> np.ndarray:
    """Homography (8,) that turns by up to 20 degrees about the centre and moves by up to a tenth of each side."""
    share, angle = generator.uniform(-0.1, 0.1), math.radians(generator.uniform(-20, 20))
    cosine, sine = math.cos(angle), math.sin(angle)
    center_x, center_y = width / 2, height / 2
    moved_x, moved_y = center_x + share * width, center_y + share * height
    offset_x = center_x - cosine * moved_x - sine * moved_y
    offset_y = center_y + sine * moved_x - cosine * moved_y
    return np.array([cosine, sine, offset_x, -sine, cosine, offset_y, 0, 0])


def _draw_motion_kernel(generator: np.random.Generator) -> np.ndarray:
    """Kernel (9, 9) or (11, 11) of sum 1: a line at a random angle, whose weights rise or fall along it."""
    size = int(generator.choice([9, 11]))
    start = (generator.uniform(-1, 1) + 1) / 2
    kernel = np.zeros((size, size), np.float32)
    kernel[:, size // 2] = np.linspace(start, 1 - start, size)
    turned = ndimage.rotate(kernel, generator.uniform(0, 360), reshape=False, order=1)
    return turned / turned.sum()


__all__ = [
    "Augmentation",
    "Clip",
    "anchored_window",
    "centered_window",
    "consecutive_windows",
    "horizontal_flip",
    "photometric_distortion",
    "pseudo_video",
    "resize_clip",
    "resize_masks",
    "spread_window",
    "swap_left_right",
    "swap_words",
    "time_reversal",
    "transpose",
    "vertical_flip",
]

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import colorsys

import numpy as np
import pytest
from PIL import Image

from transformers_soc.data import transforms
from transformers_soc.data.transforms import Augmentation, Clip


def make_clip(num_frames: int = 4, height: int = 6, width: int = 10, text: str = "the left one") -> Clip:
    """Random frames and masks of two expressions; the second sentence says nothing about places."""
    generator = np.random.default_rng(0)
    frames = generator.integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)
    return Clip(frames, generator.random((2, num_frames, height, width)) > 0.5, [text, "the red one"])


@pytest.mark.parametrize(
    ("num_frames", "expected"),
    [
        (8, [[0, 1, 2, 3], [4, 5, 6, 7]]),
        (10, [[0, 1, 2, 3], [4, 5, 6, 7], [6, 7, 8, 9]]),
        (5, [[0, 1, 2, 3], [1, 2, 3, 4]]),
        (3, [[0, 1, 2, 2]]),
        (1, [[0, 0, 0, 0]]),
    ],
)
def test_consecutive_windows(num_frames: int, expected: list):
    assert transforms.consecutive_windows(num_frames, 4) == expected


@pytest.mark.parametrize(
    ("frame", "expected"),
    [(10, [6, 7, 8, 9, 10, 11, 12, 13]), (1, [0, 0, 0, 0, 1, 2, 3, 4]), (18, [14, 15, 16, 17, 18, 19, 19, 19])],
)
def test_centered_window(frame: int, expected: list):
    assert transforms.centered_window(frame, 20, 8) == expected


def test_spread_window():
    assert transforms.spread_window(5, 8) == [0, 1, 2, 3, 4] == transforms.spread_window(5, None)
    assert transforms.spread_window(16, 4) == [0, 4, 8, 12]


@pytest.mark.parametrize(("frame", "num_frames"), [(0, 30), (15, 30), (29, 30), (2, 4), (0, 1)])
def test_anchored_window(frame: int, num_frames: int):
    for seed in range(20):
        window = transforms.anchored_window(frame, num_frames, 5, np.random.default_rng(seed))
        assert len(window) == 5 and window == sorted(window) and frame in window
        assert 0 <= window[0] and window[-1] < num_frames
        if num_frames == 30 and 3 < frame < 26:
            assert sum(abs(index - frame) <= 3 for index in window) >= 3


@pytest.mark.parametrize(
    ("text", "by_word", "official"),
    [
        ("left of the right one", "right of the left one", "right of the left one"),
        ("bright leftmost cup", "bright rightmost cup", "bleft rightmost cup"),
        ("Left hand, upright", "Right hand, upright", "Left hand, upleft"),
        ("@home", "@home", "righthome"),
    ],
)
def test_words_of_the_mirrored_picture(text: str, by_word: str, official: str):
    assert transforms.swap_left_right(text) == by_word
    assert transforms.swap_left_right(text, "official") == official


def test_unknown_flip_words_are_refused():
    with pytest.raises(ValueError, match="word, official"):
        Augmentation(flip_words="none")
    with pytest.raises(ValueError, match="word, official"):
        transforms.swap_left_right("left", "none")


@pytest.mark.parametrize("name", ["horizontal_flip", "vertical_flip", "transpose", "time_reversal"])
def test_flips_move_pixels_together_and_undo_themselves(name: str):
    clip, change = make_clip(text="moving left, then up"), getattr(transforms, name)
    changed = change(clip)
    # A mask that is a copy of a frame's brightness must stay so.
    linked = Clip(clip.frames, (clip.frames[None, ..., 0] > 100), ["a"])
    moved = change(linked)
    assert np.array_equal(moved.masks[0], moved.frames[..., 0] > 100)
    assert changed.expressions[0] != clip.expressions[0] and changed.expressions[1] == clip.expressions[1]
    again = change(changed)
    assert np.array_equal(again.frames, clip.frames) and np.array_equal(again.masks, clip.masks)
    assert again.expressions == clip.expressions


def test_directions_after_each_change():
    text = "moving left, then down"
    clip = make_clip(text=text)
    expected = {
        "horizontal_flip": "moving right, then down",
        "vertical_flip": "moving left, then up",
        "transpose": "moving up, then right",
    }
    for name, words in expected.items():
        assert getattr(transforms, name)(clip).expressions[0] == words
    assert transforms.time_reversal(make_clip(text="moving left")).expressions[0] == "moving right"


def test_time_reversal_keeps_the_annotated_frame():
    clip = make_clip()
    clip.annotated_frame = 1
    changed = transforms.time_reversal(clip)
    assert np.array_equal(changed.frames[changed.annotated_frame], clip.frames[1])


def test_resize_follows_the_official_rule():
    clip = transforms.resize_clip(make_clip(2, 40, 80), 30, 50)
    assert clip.frames.shape == (2, 25, 50, 3) and clip.masks.shape == (2, 2, 25, 50)
    original = make_clip(2, 40, 80)
    expected = np.asarray(Image.fromarray(original.frames[1]).resize((50, 25), Image.Resampling.BILINEAR))
    assert np.array_equal(clip.frames[1], expected)
    # Nearest neighbour takes the pixel at floor(index * scale).
    rows, columns = np.arange(25) * 40 // 25, np.arange(50) * 80 // 50
    assert np.array_equal(clip.masks, original.masks[..., rows, :][..., columns])
    assert transforms.resize_clip(original, 40).frames is original.frames


def test_augmentation_repeats_with_its_generator_and_keeps_its_rates():
    augmentation = Augmentation(flip_probability=transforms.OFFICIAL_FLIP_PROBABILITY, flip_words="official")
    generator = np.random.default_rng(3)
    clip = make_clip(1, 2, 2)
    flips = [augmentation(clip, generator).expressions[0] == "the right one" for _ in range(4000)]
    assert np.mean(flips) == pytest.approx(0.3085, abs=0.025)
    everything = Augmentation(0.5, "word", 0.5, 0.5, 0.5, 0.5, short_sides=(4, 5), long_side=9)
    for seed in range(8):
        first, second = (everything(make_clip(), np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(first.frames, second.frames) and np.array_equal(first.masks, second.masks)
        assert first.expressions == second.expressions
        assert min(first.frames.shape[1:3]) in (4, 5) and first.frames.shape[:3] == first.masks.shape[1:]


def test_no_augmentation_changes_nothing():
    clip = make_clip()
    assert Augmentation(flip_probability=0)(clip, np.random.default_rng(0)) is clip


def test_hsv_is_that_of_colorsys_and_goes_back():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 3)).astype(np.float32)
    pixels[:3] = [[0, 0, 0], [7, 7, 7], [255, 0, 255]]
    hsv = transforms.rgb_to_hsv(pixels)
    expected = [colorsys.rgb_to_hsv(*(pixel / 255)) for pixel in pixels]
    assert np.allclose(hsv / [360, 1, 255], expected, atol=1e-5)
    assert np.allclose(transforms.hsv_to_rgb(hsv), pixels, atol=1e-2)


def test_photometric_distortion_treats_frames_apart_and_may_wrap():
    frames = np.full((60, 4, 4, 3), 250, np.uint8)
    wrapped = transforms.photometric_distortion(frames, np.random.default_rng(0))
    kept = transforms.photometric_distortion(frames, np.random.default_rng(0), clip_values=True)
    assert wrapped.dtype == np.uint8 and len(np.unique(kept[:, 0, 0], axis=0)) > 10
    # A grey frame cannot become dark by at most 32 and a factor of 0.5, unless it wraps.
    assert kept.min() > 100 and wrapped.min() < 100
    same = (wrapped == kept).all((1, 2, 3))
    assert same.any() and not same.all()


def test_pseudo_video_moves_masks_with_pixels():
    image = np.zeros((1, 60, 90, 3), np.uint8)
    image[:, 20:40, 30:60] = 200
    clip = Clip(image, (image[None, ..., 0] > 0), ["a box"])
    video = transforms.pseudo_video(clip, 6, np.random.default_rng(1))
    assert video.frames.shape == (6, 60, 90, 3) and video.masks.shape == (1, 6, 60, 90)
    bright = video.frames[..., 0] > 100
    overlap = (bright & video.masks[0]).sum((1, 2)) / (bright | video.masks[0]).sum((1, 2))
    # Blur widens the bright box a little.
    assert overlap.min() > 0.75 and video.masks.sum((0, 2, 3)).min() > 300
    originals = [np.array_equal(frame, image[0]) for frame in video.frames]
    assert sum(originals) == 1
    again = transforms.pseudo_video(clip, 6, np.random.default_rng(1))
    assert np.array_equal(again.frames, video.frames)
    with pytest.raises(ValueError, match="one image"):
        transforms.pseudo_video(video, 6, np.random.default_rng(1))

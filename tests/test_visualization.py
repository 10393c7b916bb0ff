# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Overlays and contact sheets on clips drawn here."""

import numpy as np
import pytest
from PIL import Image

from transformers_soc.visualization import PALETTE, contact_sheet, expression_colors, iter_overlays, overlay_masks


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (3, 60, 80, 3), dtype=np.uint8)


@pytest.fixture
def masks():
    squares = np.zeros((2, 3, 60, 80), dtype=bool)
    squares[0, :, 5:20, 10:30] = True
    squares[1, :, 8:20, 50:70] = True
    return squares


def test_colors_are_distinct_beyond_the_palette():
    colors = expression_colors(20)
    assert tuple(colors[: len(PALETTE)]) == PALETTE
    assert len(set(colors)) == 20


def test_inside_is_blended_edge_is_opaque_and_outside_untouched(frames, masks):
    original = frames.copy()
    painted = overlay_masks(frames, masks, alpha=0.25)
    assert painted.dtype == np.uint8 and painted.shape == frames.shape
    np.testing.assert_array_equal(frames, original)
    outside = ~masks.any(0)
    np.testing.assert_array_equal(painted[outside], frames[outside])
    np.testing.assert_array_equal(painted[:, 5, 10:30], np.broadcast_to(PALETTE[0], (3, 20, 3)))
    expected = 0.75 * frames[0, 12, 20] + 0.25 * np.array(PALETTE[0])
    np.testing.assert_allclose(painted[0, 12, 20], expected, atol=0.51)


def test_mask_at_the_border_has_no_contour_there(frames):
    full = np.ones((1, 3, 60, 80), dtype=bool)
    np.testing.assert_array_equal(overlay_masks(frames, full, alpha=0.0), frames)
    np.testing.assert_array_equal(overlay_masks(frames, ~full), frames)


def test_caption_strip_has_the_color_of_its_expression(frames, masks):
    painted = overlay_masks(frames, masks, labels=["a dog", "a cat"], colors=[(255, 0, 0), (0, 0, 255)])
    strip = painted[0, 30:].reshape(-1, 3)
    assert (strip == (255, 0, 0)).all(1).any() and (strip == (0, 0, 255)).all(1).any()
    np.testing.assert_array_equal(painted[:, 22:30], frames[:, 22:30])


@pytest.mark.parametrize("label", ["", "word " * 2000, "左边的狗 🐕", "line\nbreak", "\ud800"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (60, 80)])
def test_any_caption_on_any_size(label, size):
    frames = np.zeros((1, *size, 3), dtype=np.uint8)
    masks = np.ones((1, 1, *size), dtype=bool)
    assert overlay_masks(frames, masks, labels=[label]).shape == frames.shape


def test_many_captions_leave_most_of_the_frame_free(frames, masks):
    many = [masks[0]] * 40
    painted = overlay_masks(frames, many, labels=[f"number {index}" for index in range(40)])
    np.testing.assert_array_equal(painted[:, 22:30], frames[:, 22:30])


def test_stream_is_lazy_and_equals_the_array_form(frames, masks):
    seen = []
    source = (seen.append(index) or Image.fromarray(frame) for index, frame in enumerate(frames))
    stream = iter_overlays(source, masks, labels=["a", "b"])
    assert seen == []
    first = next(stream)
    assert seen == [0]
    np.testing.assert_array_equal(np.stack([first, *stream]), overlay_masks(frames, masks, labels=["a", "b"]))


@pytest.mark.parametrize("count", [2, 4])
def test_stream_of_another_length_is_refused(frames, masks, count):
    source = np.concatenate([frames, frames])[:count]
    with pytest.raises(ValueError, match="masks"):
        list(iter_overlays(source, masks))


@pytest.mark.parametrize(
    "change, error",
    [
        ({"labels": ["one"]}, ValueError),
        ({"labels": "ab"}, ValueError),
        ({"colors": [(0, 0, 0)]}, ValueError),
        ({"alpha": 1.5}, ValueError),
        ({"masks": np.zeros((2, 3, 60, 81), dtype=bool)}, ValueError),
        ({"masks": np.zeros((3, 60, 80), dtype=bool)}, ValueError),
        ({"masks": np.zeros((2, 3, 60, 80))}, TypeError),
        ({"masks": [np.zeros((3, 60, 80), dtype=bool), np.zeros((2, 60, 80), dtype=bool)]}, ValueError),
        ({"frames": np.zeros((3, 60, 80, 3))}, TypeError),
        ({"frames": np.zeros((3, 60, 80), dtype=np.uint8)}, ValueError),
        ({"frames": []}, ValueError),
        ({"labels": ["a", "b"], "font": "no_such_font.ttf"}, OSError),
    ],
)
def test_bad_input_is_refused(frames, masks, change, error):
    arguments = {"frames": frames, "masks": masks, **change}
    with pytest.raises(error):
        overlay_masks(**arguments)


def test_contact_sheet_shows_first_and_last_frame():
    frames = np.stack([np.full((30, 40, 3), value, dtype=np.uint8) for value in range(0, 250, 10)])
    sheet = contact_sheet(frames, max_frames=4, columns=2, frame_width=80)
    assert sheet.mode == "RGB"
    values = np.unique(np.asarray(sheet)[20 : 20 + 20, 10:70])
    assert values.tolist() == [0]
    assert (np.asarray(sheet) == 240).all(-1).sum() >= 80 * 60


@pytest.mark.parametrize("arguments", [{"captions": ["one"]}, {"max_frames": 0}, {"columns": -1}, {"frames": []}])
def test_contact_sheet_refuses(arguments):
    with pytest.raises(ValueError):
        contact_sheet(**{"frames": np.zeros((2, 8, 8, 3), dtype=np.uint8), **arguments})

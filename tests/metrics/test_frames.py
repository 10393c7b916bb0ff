# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from golden import BOX, FULL, SIZE, named, paint
from scipy.ndimage import binary_dilation

from transformers_soc.metrics import contour_accuracy, region_similarity
from transformers_soc.metrics.frames import dilate

MEASURES = (region_similarity, contour_accuracy)


def random_masks(seed: int, share: float = 0.4) -> np.ndarray:
    """Prediction and target (2, frames, height, width) bool, among them empty and full ones."""
    masks = np.random.default_rng(seed).random((2, 6, 30, 40)) < share
    masks[0, 2] = masks[1, 3] = masks[:, 4] = False
    masks[0, 5] = True
    return masks


@pytest.mark.parametrize(**named("frames"))
def test_golden_frames(case: dict):
    prediction, target = (paint(case["size"], case[name])[None] for name in ("prediction", "target"))
    void = None if case["void"] is None else paint(case["size"], case["void"])[None]
    region = region_similarity(prediction, target, void)
    contour = contour_accuracy(prediction, target, void, bound_th=case["bound_th"])
    assert region.shape == contour.shape == (1,) and region.dtype == contour.dtype == np.float64
    assert region[0] == pytest.approx(case["region"], abs=1e-12)
    assert contour[0] == pytest.approx(case["contour"], abs=1e-12)


@pytest.mark.parametrize(("size", "tolerance"), [(SIZE, 1), ((480, 854), 8), ((200, 150), 2)])
def test_default_tolerance_is_a_share_of_the_diagonal(size: tuple[int, int], tolerance: int):
    target, found, missed = (
        paint(size, [{"box": [15, 40, 15 + step, 30]}])[None] for step in (0, tolerance, tolerance + 1)
    )
    assert contour_accuracy(found, target)[0] == 1 > contour_accuracy(missed, target)[0]


@pytest.mark.parametrize("share", [0.02, 0.4])
def test_both_are_symmetric_and_between_0_and_1(share: float):
    prediction, target = random_masks(0, share)
    for measure in MEASURES:
        values = measure(prediction, target)
        assert values == pytest.approx(measure(target, prediction), abs=1e-12)
        assert values.min() >= 0 and values.max() <= 1
        assert measure(target, target).tolist() == [1] * 6


def test_frames_are_independent():
    prediction, target = random_masks(1)
    for measure in MEASURES:
        alone = [measure(prediction[i : i + 1], target[i : i + 1])[0] for i in range(6)]
        assert measure(prediction, target).tolist() == alone
        assert measure(prediction[:0], target[:0]).shape == (0,)


def plain_contour_accuracy(prediction: np.ndarray, target: np.ndarray, radius: int) -> float:
    """F of one frame by the definition, on the whole frame: a pixel, its neighbours, and a disk as it stands."""
    contours = []
    for mask in (prediction, target):
        right, below = np.pad(mask, ((0, 0), (0, 1)), "edge")[:, 1:], np.pad(mask, ((0, 1), (0, 0)), "edge")[1:]
        corner = np.pad(mask, ((0, 1), (0, 1)), "edge")[1:, 1:]
        contours.append((mask != right) | (mask != below) | (mask != corner))
    rows, columns = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    found, true = contours
    hit, covered = (
        (own & binary_dilation(other, rows**2 + columns**2 <= radius**2)).sum()
        for own, other in (contours, contours[::-1])
    )
    if not found.any() or not true.any():
        return float(found.any() == true.any())
    precision, recall = hit / found.sum(), covered / true.sum()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize("radius", [1, 2, 5])
def test_contour_accuracy_is_the_definition(radius: int):
    """Also where objects are small, touch the border, or lie in different corners."""
    generator = np.random.default_rng(radius)
    rows, columns = np.ogrid[:50, :60]
    masks = np.zeros((2, 40, 50, 60), bool)
    for mask in masks.reshape(-1, 50, 60):
        row, column, size = generator.integers((-5, -5, 0), (55, 65, 20))
        mask[(rows - row) ** 2 + (columns - column) ** 2 <= size**2] = True
    expected = [plain_contour_accuracy(*frame, radius) for frame in masks.swapaxes(0, 1)]
    assert contour_accuracy(*masks, bound_th=radius).tolist() == expected


@pytest.mark.parametrize("radius", [0, 1, 2, 2.5, 6, 12])
def test_dilation_is_by_a_disk(radius: float):
    rows, columns = np.ogrid[-12:13, -12:13]
    disk = rows**2 + columns**2 <= radius**2
    for shape in ((25, 31), (3, 40), (2, 1)):
        mask = np.random.default_rng(1).random(shape) > 0.95
        assert np.array_equal(dilate(mask, radius), binary_dilation(mask, disk))


def test_void_pixels_never_count():
    target, void = paint(SIZE, BOX)[None], paint(SIZE, [{"box": [0, 48, 40, 50]}])[None]
    wider = paint(SIZE, [{"box": [10, 30, 12, 46]}])[None]
    for measure in MEASURES:
        assert measure(wider, target)[0] < 1
        assert measure(wider, target, void).tolist() == measure(target, wider, void=void).tolist() == [1]
        assert measure(~target, target, paint(SIZE, FULL)[None]).tolist() == [1]


@pytest.mark.parametrize("measure", MEASURES)
def test_masks_of_other_shapes_are_refused(measure):
    for shapes in (((2, 4, 4), (2, 4, 5)), ((4, 4), (4, 4)), ((1, 4, 4), (2, 4, 4))):
        with pytest.raises(ValueError, match="frames, height, width"):
            measure(*map(np.zeros, shapes))
    with pytest.raises(ValueError, match="void must have"):
        measure(*np.zeros((2, 1, 4, 4)), void=np.zeros((1, 4, 5)))


def test_tolerance_must_not_be_negative():
    with pytest.raises(ValueError, match="bound_th"):
        contour_accuracy(*np.zeros((2, 1, 4, 4)), bound_th=-1)

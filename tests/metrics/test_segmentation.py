# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from transformers_soc.metrics.segmentation import (
    boundary_accuracy,
    dilate,
    format_table,
    region_similarity,
    score_expression,
    summarize,
)

# Shapes are painted in order: (first row, end row, first column, end column), negative = erased; or a disk (row,
# column, radius). The numbers are J and F of the DAVIS 2017 evaluation code on these masks.
BOX, FULL = [(10, 30, 12, 40)], [(0, 48, 0, 64)]
HOLE = [(10, 30, 12, 40), (-16, 24, 20, 32)]
GOLDEN = {
    "both empty": ((48, 64), [], [], 1, 1),
    "the target is empty": ((48, 64), [], BOX, 0, 0),
    "the prediction is empty": ((48, 64), BOX, [], 0, 0),
    "both full": ((48, 64), FULL, FULL, 1, 1),
    "a full target has no boundary": ((48, 64), FULL, [], 0, 1),
    "a full prediction": ((48, 64), BOX, FULL, 0.18229166666666666, 0),
    "one pixel beside one": ((48, 64), [(20, 21, 30, 31)], [(20, 21, 31, 32)], 0, 1),
    "one pixel far from one": ((48, 64), [(20, 21, 30, 31)], [(20, 21, 33, 34)], 0, 0),
    "the last pixel": ((48, 64), [(47, 48, 63, 64)], [], 0, 0),
    "shift by 2": ((48, 64), BOX, [(10, 30, 14, 42)], 0.8666666666666667, 0.6041666666666666),
    "diagonal shift by 3": ((48, 64), BOX, [(13, 33, 15, 43)], 0.6115107913669064, 0.0625),
    "a filled hole": ((48, 64), HOLE, BOX, 0.8285714285714286, 0.8275862068965517),
    "a shifted hole": ((48, 64), HOLE, [(10, 30, 12, 40), (-18, 26, 22, 34)], 0.856, 0.75),
    "last corner": ((48, 64), [(30, 48, 40, 64)], [(28, 48, 38, 64)], 0.8307692307692308, 0),
    "half of the frame": ((48, 64), [(0, 48, 0, 32)], [(0, 48, 0, 30)], 0.9375, 0),
    "disk": ((120, 160), [(60, 80, 30)], [(60, 80, 32)], 0.8790900592084762, 0.8573529411764705),
    "disk beyond": ((120, 160), [(60, 80, 30)], [(60, 80, 33)], 0.8275154004106776, 0.09375000000000001),
    "large disk": ((360, 640), [(180, 320, 80)], [(180, 326, 80)], 0.909112516043162, 1),
    "large disk beyond": ((360, 640), [(180, 320, 80)], [(180, 329, 80)], 0.8667844194478014, 0.5186335403726708),
    "tiny": ((5, 7), [(1, 4, 2, 6)], [(0, 3, 1, 5)], 0.3333333333333333, 0.923076923076923),
    "one row": ((1, 9), [(0, 1, 2, 6)], [(0, 1, 3, 7)], 0.6, 1),
}


def paint(size: tuple[int, int], shapes: list[tuple[int, ...]]) -> np.ndarray:
    mask = np.zeros((1, *size), bool)
    rows, columns = np.ogrid[: size[0], : size[1]]
    for shape in shapes:
        if len(shape) == 3:
            mask[0] |= (rows - shape[0]) ** 2 + (columns - shape[1]) ** 2 <= shape[2] ** 2
        else:
            mask[:, abs(shape[0]) : shape[1], shape[2] : shape[3]] = shape[0] >= 0
    return mask


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_frames(name: str):
    size, target, prediction, region, boundary = GOLDEN[name]
    masks = paint(size, target), paint(size, prediction)
    assert region_similarity(*masks)[0] == pytest.approx(region, abs=1e-12)
    assert boundary_accuracy(*masks)[0] == pytest.approx(boundary, abs=1e-12)


def test_void_and_tolerance_in_pixels():
    target, wider = paint((48, 64), BOX), paint((48, 64), [(10, 30, 12, 46)])
    for void, prediction in ((paint((48, 64), [(0, 48, 40, 50)]), wider), (paint((48, 64), FULL), ~target)):
        assert region_similarity(target, prediction, void).tolist() == [1]
        assert boundary_accuracy(target, prediction, void).tolist() == [1]
    assert boundary_accuracy(target, paint((48, 64), [(13, 33, 15, 43)]), tolerance=5).tolist() == [1]


def test_frames_are_independent():
    generator = np.random.default_rng(0)
    target, prediction = generator.random((2, 5, 30, 40)) > 0.6
    target[2] = prediction[3] = False
    for measure in (region_similarity, boundary_accuracy):
        alone = [measure(target[i : i + 1], prediction[i : i + 1])[0] for i in range(5)]
        assert measure(target, prediction).tolist() == alone


@pytest.mark.parametrize("radius", [1, 2, 2.5, 6])
def test_dilation_is_by_a_disk(radius: float):
    masks = np.random.default_rng(1).random((2, 25, 31)) > 0.98
    rows, columns = np.ogrid[-7:8, -7:8]
    disk = rows**2 + columns**2 <= radius**2
    assert np.array_equal(dilate(masks, radius), [binary_dilation(mask, disk) for mask in masks])


@pytest.mark.parametrize("shapes", [((2, 4, 4), (2, 4, 5)), ((4, 4), (4, 4))])
def test_masks_of_other_shapes_are_refused(shapes: tuple):
    with pytest.raises(ValueError, match="frames, height, width"):
        region_similarity(*map(np.zeros, shapes))


def test_summary_by_kind():
    box, empty = paint((48, 64), BOX), paint((48, 64), [])
    late = np.concatenate([empty, empty, box, box, box, box])
    scores = [
        score_expression("a", "static", box, box),
        score_expression("b", "motion", box.repeat(6, 0), late),
        score_expression("c", "motion", box, empty),
        score_expression("d", "absent", empty, empty),
        score_expression("e", "absent", empty, box),
        score_expression("a", "static", box, box),
    ]
    summary = summarize(scores)
    assert [(name, group["expressions"]) for name, group in summary.items()] == [
        ("all", 5),
        ("target", 3),
        ("kind: absent", 2),
        ("kind: motion", 2),
        ("kind: static", 1),
    ]
    motion = {"expressions": 2, "J": 100 / 3, "F": 100 / 3, "J&F": 100 / 3, "false_refusals": 50}
    assert summary["kind: motion"] == pytest.approx(motion | {"no_target_accuracy": None})
    assert summary["kind: absent"]["no_target_accuracy"] == 50
    assert summary["kind: absent"]["false_refusals"] is None
    assert summary["all"]["J"] == pytest.approx(100 * (1 + 2 / 3 + 0 + 1 + 0) / 5)
    lines = format_table(summary).splitlines()
    assert lines[0].split() == ["number", "J", "F", "J&F", "no-target", "acc.", "false", "refusals"]
    assert lines[-1].split() == ["kind:", "static", "1", "100.0", "100.0", "100.0", "-", "0.0"]


def test_summary_of_nothing():
    assert summarize([]) == {}

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import random

import numpy as np
import pytest
from golden import CASES, named, paint_labels

from transformers_soc.metrics import (
    contour_accuracy,
    davis_statistics,
    davis_unsupervised,
    region_similarity,
    score_davis_sequence,
    summarize_davis,
)


@pytest.mark.parametrize(**named("statistics"))
def test_golden_statistics(case: dict):
    statistics = davis_statistics(case["values"])
    expected = [case[name] for name in ("mean", "recall", "decay")]
    assert list(statistics) == pytest.approx(expected, abs=1e-9)


def golden_scores(case: dict) -> list:
    return [
        score
        for number, annotator in enumerate(case["annotators"])
        for name, frames in annotator["prediction"].items()
        for score in score_davis_sequence(
            name, number, paint_labels(case["size"], frames), paint_labels(case["size"], case["target"][name])
        )
    ]


@pytest.mark.parametrize(**named("davis"))
def test_golden_annotators(case: dict):
    scores = golden_scores(case)
    summary = summarize_davis(scores)
    for number, annotator in enumerate(case["annotators"]):
        objects = {
            f"{score.video_id}/{score.object_id}": [score.region.mean, score.contour.mean]
            for score in scores
            if score.annotator == number
        }
        assert objects.keys() == annotator["objects"].keys()
        for name, values in annotator["objects"].items():
            assert objects[name] == pytest.approx(values, abs=1e-9)
        means = {name: 100 * value for name, value in annotator["means"].items()}
        assert summary[f"annotator {number}"] == pytest.approx(means | {"objects": 3}, abs=1e-9)
    mean = {name: 100 * value for name, value in case["mean"].items()}
    assert summary["mean"] == pytest.approx(mean | {"objects": 3}, abs=1e-9)


def test_order_and_repetition_change_nothing():
    scores = golden_scores(CASES["davis"][0])
    repeated = scores + scores[3:8]
    random.Random(0).shuffle(repeated)
    assert summarize_davis(repeated) == summarize_davis(scores)
    assert summarize_davis([]) == {}


def test_an_annotator_without_a_sequence_is_refused():
    scores = golden_scores(CASES["davis"][0])
    with pytest.raises(ValueError, match="annotator 2 has no score for object 1 of 'swan'"):
        summarize_davis([score for score in scores if (score.video_id, score.annotator) != ("swan", 2)])


def label_map(*columns: int) -> np.ndarray:
    """Two frames of five stripes with the labels `columns`."""
    return np.repeat(np.array(columns, np.uint8), 6)[None, None].repeat(20, 1).repeat(2, 0)


def test_each_object_gets_the_proposal_that_suits_it_best():
    """With more proposals than objects, in another order, and with proposals that overlap no object."""
    target, prediction = label_map(0, 1, 1, 0, 2), label_map(3, 2, 4, 0, 1)
    region, contour = davis_unsupervised(prediction, target)
    assert region.tolist() == [[0.5, 0.5], [1, 1]]
    assert contour[0] == pytest.approx(contour_accuracy(prediction == 2, target == 1))
    assert davis_unsupervised(np.zeros_like(target), target).region.tolist() == [[0, 0], [0, 0]]


def test_region_and_contour_choose_the_proposal_together():
    """The first proposal has the better J, but a speck far away that spoils its F."""
    target, prediction = np.zeros((2, 2, 20, 30), np.uint8)
    target[:, 5:15, 5:17] = 1
    prediction[0, 5:15, 5:17] = prediction[0, 1:4, 22:27] = 1
    prediction[1, 5:15, 6:18] = 2
    region, contour = davis_unsupervised(prediction, target)
    assert region.tolist() == [[0, 110 / 130]] and contour.tolist() == [[0, 1]]


def test_void_pixels_do_not_count():
    target, prediction = label_map(0, 1, 255, 0, 0), label_map(0, 1, 1, 0, 0)
    region, contour = davis_unsupervised(prediction, target)
    assert region.tolist() == contour.tolist() == [[1, 1]]
    assert (region_similarity(prediction == 1, target == 1) < 1).all()


def test_objects_are_those_of_the_first_frame():
    target = label_map(0, 1, 0, 0, 2)
    target[0][target[0] == 2] = 0
    assert davis_unsupervised(target, target).region.shape == (1, 2)


def test_bad_label_maps_are_refused():
    target = label_map(0, 1, 0, 0, 0)
    for prediction, message in ((target[:1], "frames, height, width"), (label_map(0, 21, 0, 0, 0), "the label 21")):
        with pytest.raises(ValueError, match=f"swan, annotator 3: .*{message}"):
            score_davis_sequence("swan", 3, prediction, target)
    for masks in (target[0], target[:0]):
        with pytest.raises(ValueError, match="frames, height, width"):
            davis_unsupervised(masks, masks)
    with pytest.raises(ValueError, match="no object"):
        davis_unsupervised(target, np.zeros_like(target))
    for values in ([], [[0.5]]):
        with pytest.raises(ValueError, match="at least one frame"):
            davis_statistics(values)

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import random
import warnings

import numpy as np
import pytest
from golden import BOX, SIZE, named, paint

from transformers_soc.metrics import (
    coco_map,
    generalized_iou,
    mean_iou,
    overall_iou,
    precision_at_k,
    score_image,
    summarize_images,
)
from transformers_soc.video_io import masks_to_rle


def code(size: list[int], shapes: list) -> dict:
    return masks_to_rle([paint(size, shapes)])[0]


def golden_scores(case: dict) -> list:
    return [
        score_image(
            image["image_id"],
            [code(case["size"], item["mask"]) for item in image["predictions"]],
            [item["score"] for item in image["predictions"]],
            code(case["size"], image["target"]),
        )
        for image in case["images"]
    ]


@pytest.mark.parametrize(**named("images"))
def test_golden_summaries(case: dict, capsys):
    summary = summarize_images(golden_scores(case))
    assert summary.pop("images") == len(case["images"]) and capsys.readouterr().out == ""
    assert summary.keys() == case["expected"].keys()
    for name, value in case["expected"].items():
        tolerance = 1e-9 if "AP" in name else 1e-6
        expected = None if value == -1 else pytest.approx(100 * value, abs=100 * tolerance)
        assert summary[name] == expected, name


@pytest.mark.parametrize(**named("images"))
def test_golden_values_of_masks(case: dict):
    best = [
        max(enumerate(image["predictions"]), key=lambda item: (item[1]["score"], item[0]))[1]
        for image in case["images"]
    ]
    prediction = [paint(case["size"], item["mask"]) for item in best]
    target = [paint(case["size"], image["target"]) for image in case["images"]]
    expected = case["expected"]
    assert overall_iou(prediction, target) == pytest.approx(expected["overall_iou"], abs=1e-9)
    assert mean_iou(prediction, target) == pytest.approx(expected["mean_iou"], abs=1e-6)
    assert precision_at_k(prediction, target) == {name: expected[name] for name in expected if name.startswith("P@")}


def test_images_may_differ_in_size():
    target = [np.ones((2, 3), bool), np.ones((4, 5), bool)]
    prediction = [np.ones((2, 3), bool), np.zeros((4, 5), bool)]
    assert overall_iou(prediction, target) == 6 / 26
    assert mean_iou(prediction, target) == pytest.approx(0.5, abs=1e-6)
    assert precision_at_k(prediction, target, k=[0.25]) == {"P@0.25": 0.5}
    assert overall_iou(prediction[1:], prediction[1:]) == mean_iou(prediction[1:], prediction[1:]) == 1


def test_order_and_repetition_change_nothing():
    case = next(iter(named("images")["argvalues"]))
    scores = golden_scores(case)
    repeated = scores + scores[1:4]
    random.Random(0).shuffle(repeated)
    assert summarize_images(repeated) == summarize_images(scores)
    assert summarize_images([]) == {}


def test_an_image_without_predictions_counts_as_0_and_is_named():
    box = code(SIZE, BOX)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert summarize_images([score_image("a", [box], [0.9], box)])["mean_iou"] == pytest.approx(100)
    scores = [score_image("a", [box], [0.9], box), score_image("b", [], [], box)]
    with pytest.warns(UserWarning, match="1 of 2 images .* 'b'") as caught:
        summary = summarize_images(scores)
    assert caught[0].filename == __file__
    assert (summary["mean_iou"], summary["overall_iou"], summary["P@0.5"]) == pytest.approx((50, 50, 50))
    assert summary["mAP 0.5:0.95"] == pytest.approx(100 * 51 / 101)
    with pytest.warns(UserWarning, match="1 of 1 images"):
        assert summarize_images([score_image("a", [], [], code(SIZE, []))])["mean_iou"] == 0


@pytest.mark.parametrize(**named("no_target"))
def test_golden_generalized_iou(case: dict):
    prediction, target = (
        [paint(case["size"], item[name]) for item in case["samples"]] for name in ("prediction", "target")
    )
    values = generalized_iou(prediction, target, [item["refused"] for item in case["samples"]])
    assert {name: 100 * value for name, value in values.items()} == pytest.approx(
        {name: case[name] for name in ("gIoU", "cIoU")}, abs=1e-9
    )
    # Without the answers the masks decide: the last one is not empty.
    assert generalized_iou(prediction, target)["gIoU"] == pytest.approx(values["gIoU"] - 1 / 6)
    box = paint(SIZE, BOX)
    assert generalized_iou([box], [box], [True]) == {"gIoU": 0, "cIoU": 0}
    assert generalized_iou(np.ones((1, 1, 1)), np.ones((1, 1, 1))) == {"gIoU": 1, "cIoU": 1}


def test_bad_input_is_refused():
    box, small = code(SIZE, BOX), code([5, 5], [])
    for measure in (overall_iou, mean_iou, precision_at_k):
        for masks in (
            ([], []),
            (np.zeros((1, 3, 3)), np.zeros((2, 3, 3))),
            (np.zeros((1, 3, 3)), np.zeros((1, 3, 4))),
            (np.zeros((1, 3)), np.zeros((1, 3))),
            (np.zeros((1, 2, 3, 3)), np.zeros((1, 2, 3, 3))),
        ):
            with pytest.raises(ValueError, match="got"):
                measure(*masks)
    with pytest.raises(ValueError, match="a: there are 1 predictions and 2 scores"):
        score_image("a", [box], [0.1, 0.2], box)
    with pytest.raises(ValueError, match="a: a prediction is"):
        score_image("a", [small], [0.1], box)
    with pytest.raises(ValueError, match="no target for the image 'b'"):
        coco_map([{"image_id": "b", "score": 1, "segmentation": box}], [{"image_id": "a", "segmentation": box}])
    with pytest.raises(ValueError, match="no targets"):
        coco_map([], [])

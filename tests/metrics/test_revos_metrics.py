# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from golden import BOX, SIZE, named, paint_video

from transformers_soc.metrics import revos_accuracy, revos_robustness, score_revos, summarize_revos


@pytest.mark.parametrize(**named("revos"))
def test_golden_expressions(case: dict):
    prediction, target, foreground = (
        paint_video(case["size"], case[name]) for name in ("prediction", "target", "foreground")
    )
    for scale in (1, 255):
        raw = {"prediction": prediction * np.uint8(scale), "target": target.astype(np.uint8)}
        for raw_values, key in ((False, "values_0_1"), (True, f"values_0_{scale}")):
            accuracy = revos_accuracy(**raw, raw_values=raw_values)
            robustness = revos_robustness(**raw, foreground=foreground, raw_values=raw_values)
            assert accuracy.shape == robustness.shape == (len(target),)
            assert accuracy.mean() == pytest.approx(case[key]["accuracy"], abs=1e-9)
            assert robustness.mean() == pytest.approx(case[key]["robustness"], abs=1e-9)


def test_raw_values_wrap_where_objects_overlap():
    """1 - 2 is 255 in eight bits: a pixel of two objects that is found counts as 255 outside."""
    target, found = np.full((1, 20, 20), 2, np.uint8), np.zeros((1, 20, 20), np.uint8)
    found[0, 0, 0] = 1
    assert revos_robustness(found, target, target)[0] == 1
    assert revos_robustness(found, target, target, raw_values=True)[0] == pytest.approx(1 - 255 / 800)
    assert revos_accuracy(found, target, raw_values=True)[0] == 0


def test_masks_of_255_are_masks_unless_raw_values_are_asked_for():
    box = paint_video(SIZE, [BOX])
    found = box * np.uint8(255)
    assert revos_accuracy(found, box).tolist() == [1]
    assert score_revos("a", "referring", found, box, box) == score_revos("a", "referring", box, box, box)
    raw = score_revos("a", "referring", found, box, box, raw_values=True)
    assert raw.accuracy == pytest.approx(1 - box.mean())


def three_scores() -> list:
    box = paint_video(SIZE, [BOX])
    grown = paint_video(SIZE, [[{"box": [8, 32, 10, 44]}]])
    full, empty = np.ones_like(box), np.zeros_like(box)
    return [
        score_revos("a", "referring", grown, box, full),
        score_revos("b", "referring", box, box, full),
        score_revos("c", "reasoning", empty, box, full),
        score_revos("d", "no_target", full, empty, full),
    ]


def test_overall_is_the_mean_of_both_kinds_whatever_their_numbers():
    summary = summarize_revos(three_scores())
    region = round(100 * 560 / 816, 2)
    assert summary["referring"]["J"] == pytest.approx((region + 100) / 2, abs=1e-12)
    assert summary["reasoning"]["J"] == 0 and summary["reasoning"]["R"] == 100
    assert summary["overall"]["J"] == pytest.approx((region + 100) / 4, abs=1e-12)
    assert [group["expressions"] for group in summary.values()] == [2, 1, 3]


def test_percentages_are_rounded_before_averaging():
    score = summarize_revos(three_scores()[:1])["referring"]
    assert score["J"] == 68.63 and score["A"] == 91.67
    assert score["J&F"] == pytest.approx((score["J"] + score["F"]) / 2)


def test_order_and_repetition_change_nothing():
    scores = three_scores()
    assert summarize_revos([*scores[::-1], *scores[:2]]) == summarize_revos(scores)
    assert summarize_revos(scores[:2]).keys() == {"referring"}
    assert summarize_revos([]) == {}


def test_masks_of_other_shapes_are_refused():
    masks = np.zeros((2, 2, 4, 4))
    for pair in ((masks[0], masks[1, :1]), (masks[0, 0], masks[1, 0]), masks[:, None]):
        with pytest.raises(ValueError, match="one shape"):
            revos_accuracy(*pair)
    with pytest.raises(ValueError, match="one shape"):
        revos_robustness(*masks, np.zeros((2, 4, 5)))
    with pytest.raises(ValueError, match="video/1"):
        score_revos("video/1", "referring", *np.zeros((3, 0, 4, 4)))

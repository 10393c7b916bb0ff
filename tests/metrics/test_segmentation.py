# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import random

import numpy as np
import pytest
from golden import BOX, SIZE, named, paint

from transformers_soc.metrics import format_table, no_target_accuracy, score_expression, summarize


def box_scores() -> list:
    box, empty = paint(SIZE, BOX)[None], np.zeros((1, *SIZE), bool)
    late = np.concatenate([empty, empty, box, box, box, box])
    return [
        score_expression("a", "static", box, box),
        score_expression("b", "motion", late, box.repeat(6, 0)),
        score_expression("c", "motion", empty, box),
        score_expression("d", "absent", empty, empty),
        score_expression("e", "absent", box, empty),
    ]


def test_summary_by_kind():
    summary = summarize(box_scores())
    numbers = {name: group["expressions"] for name, group in summary.items()}
    assert numbers == {"all": 5, "target": 3, "kind: absent": 2, "kind: motion": 2, "kind: static": 1}
    third = 100 / 3
    motion = {"expressions": 2, "J": third, "F": third, "J&F": third, "tIoU": third, "vIoU": third, "T-acc": 50}
    assert summary["kind: motion"] == pytest.approx(motion | {"N-acc": None})
    assert (summary["kind: absent"]["N-acc"], summary["kind: absent"]["T-acc"]) == (50, None)
    assert summary["all"]["J"] == pytest.approx(100 * (1 + 2 / 3 + 0 + 1 + 0) / 5)
    lines = format_table(summary).splitlines()
    assert lines[0].split() == ["expressions", "J", "F", "J&F", "tIoU", "vIoU", "N-acc", "T-acc"]
    assert lines[-1].split() == ["kind:", "static", "1", *["100.0"] * 5, "-", "100.0"]


def test_order_and_repetition_change_nothing():
    generator = np.random.default_rng(0)
    masks = generator.random((7, 2, 2, 12, 14)) > 0.5
    scores = [score_expression(str(number), "ab"[number % 2], *pair) for number, pair in enumerate(masks)]
    summary = summarize(scores)
    for seed in range(5):
        repeated = scores + scores[2:4]
        random.Random(seed).shuffle(repeated)
        assert summarize(repeated) == summary


def test_summary_of_nothing():
    assert summarize([]) == {}
    assert format_table({}) == ""


def test_an_expression_without_frames_is_refused():
    with pytest.raises(ValueError, match="video/1"):
        score_expression("video/1", None, *np.zeros((2, 0, 4, 4)))


@pytest.mark.parametrize(**named("no_target"))
def test_golden_accuracies_of_no_target(case: dict):
    answers = [[sample[name] for sample in case["samples"]] for name in ("refused", "no_target")]
    expected = {name: case[name] for name in ("N-acc", "T-acc")}
    assert no_target_accuracy(*answers) == pytest.approx(expected, abs=1e-12)


def test_accuracies_of_no_target_without_samples():
    assert no_target_accuracy([True, False], [True, True]) == {"N-acc": 0.5, "T-acc": None}
    assert no_target_accuracy([True], [False]) == {"N-acc": None, "T-acc": 0}
    with pytest.raises(ValueError, match="per sample"):
        no_target_accuracy([True], [True, False])

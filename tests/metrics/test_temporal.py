# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from golden import named, paint_video

from transformers_soc.metrics import (
    contour_accuracy,
    region_similarity,
    score_expression,
    spatio_temporal_iou,
    temporal_iou,
)


@pytest.mark.parametrize(**named("sequences"))
def test_golden_sequences(case: dict):
    prediction, target = (paint_video(case["size"], case[name]) for name in ("prediction", "target"))
    assert region_similarity(prediction, target) == pytest.approx(case["region_per_frame"], abs=1e-12)
    assert contour_accuracy(prediction, target) == pytest.approx(case["contour_per_frame"], abs=1e-12)
    assert temporal_iou(prediction, target) == pytest.approx(case["temporal_iou"], abs=1e-12)
    assert spatio_temporal_iou(prediction, target) == pytest.approx(case["spatio_temporal_iou"], abs=1e-12)
    score = score_expression("a", None, prediction, target)
    for name in ("region", "contour", "temporal_iou", "spatio_temporal_iou"):
        assert getattr(score, name) == pytest.approx(case[name], abs=1e-12)


@pytest.mark.parametrize("measure", [temporal_iou, spatio_temporal_iou])
def test_both_are_symmetric_and_1_for_the_same_masks(measure):
    prediction, target = np.random.default_rng(0).random((2, 8, 6, 7)) > 0.9
    prediction[2:4] = target[3:6] = False
    assert 0 < measure(prediction, target) < 1
    assert measure(prediction, target) == pytest.approx(measure(target, prediction))
    assert measure(target, target) == 1
    with pytest.raises(ValueError, match="frames, height, width"):
        measure(prediction[:3], target)

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Gradients of the official objective, of every parameter, and the assignments behind them."""

import pytest
import torch
from official import CASES, load_case, needs_parity

from transformers_soc.conversion import to_original_state_dict
from transformers_soc.loss_soc import matching_cost, read_target

pytestmark = [needs_parity, pytest.mark.parity]


@pytest.mark.parametrize("name", CASES)
def test_gradients_equal_the_official_ones(name):
    """In float64: in float32 another order of summation flips a few ReLUs of the ResNet, and norms move by 1.2e-3."""
    case = load_case(name)
    model, inputs = case.model().double().train(), case.inputs()
    inputs["pixel_values_videos"] = inputs["pixel_values_videos"].double()
    model(**inputs, labels=case.labels()).loss.backward()
    own = {key: torch.zeros_like(p) if p.grad is None else p.grad for key, p in model.named_parameters()}
    gradients = to_original_state_dict(own, model.config)
    norms = case.meta["grad_norm"]
    floor = 1e-6 * max(norms.values())  # covers what is zero in exact arithmetic
    off = {key: norm for key, norm in norms.items() if abs(gradients[key].norm() - norm) > 1e-3 * norm + floor}
    assert off == {}
    for key, reference in case.tensors.items():
        if key.startswith("grad."):
            difference = (gradients[key.removeprefix("grad.")] - reference).norm()
            assert difference <= 1e-3 * reference.norm() + floor, key


@pytest.mark.parametrize("name", CASES)
def test_assignments_equal_the_official_ones(name):
    case = load_case(name)
    model = case.model().train()
    with torch.no_grad():
        outputs = model(**case.inputs())
    size = case.tensors["input.size"].float()
    target = read_target(case.labels()[0], 0, case.meta["frames_out"], size, model.config)
    for layer, level in enumerate([*outputs.auxiliary_outputs, dict(outputs)]):
        own = {key: level[key][0] for key in ("logits", "pred_boxes", "pred_masks", "video_queries")}
        cost = matching_cost(own, target, outputs.text_features[0], model.config)
        torch.testing.assert_close(cost, case.tensors[f"train.match.cost.{layer}"][:, 0], atol=1e-4, rtol=1e-4)
        assert cost.argmin() == case.tensors[f"train.match.query.{layer}"][0]

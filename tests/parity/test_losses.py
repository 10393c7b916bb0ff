# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Losses of both modes equal the official criterion's."""

import pytest
from official import CASES, load_case, needs_parity

pytestmark = [needs_parity, pytest.mark.parity]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_losses_equal_the_official_ones(name, training):
    case = load_case(name)
    outputs = case.model().train(training)(**case.inputs(), labels=case.labels())
    losses = {key: value.item() for key, value in outputs.loss_dict.items()}
    assert losses == pytest.approx(case.meta["losses"], rel=1e-4)
    assert outputs.loss.item() == pytest.approx(case.meta["loss_total"], rel=1e-4)

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from transformers.models.deformable_detr.modeling_deformable_detr import MultiScaleDeformableAttention

from transformers_soc.deformable_attention import (
    BorderedLevels,
    SocDeformableAttention,
    compass_offsets,
    sample_levels,
)

SHAPES = [(6, 5), (3, 4), (2, 2), (1, 1)]


def random_arguments() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    tokens = sum(height * width for height, width in SHAPES)
    value = torch.randn(2, tokens, 2, 8, generator=generator)
    locations = torch.rand(2, 7, 2, 4, 3, 2, generator=generator) * 1.4 - 0.2  # some outside the maps
    weights = torch.rand(2, 7, 2, 4, 3, generator=generator)
    return value, locations, weights


def test_sampling_equals_deformable_detr():
    value, locations, weights = random_arguments()
    shapes = torch.tensor(SHAPES)
    starts = torch.cat([shapes.new_zeros(1), shapes.prod(1).cumsum(0)[:-1]])
    expected = MultiScaleDeformableAttention()(value, shapes, SHAPES, starts, locations, weights, 64)
    torch.testing.assert_close(sample_levels(value, SHAPES, locations, weights), expected)


def test_bags_equal_samples_of_maps():
    value, locations, weights = random_arguments()
    locations[0, :, 0, :, 0] = torch.tensor([0.0, 1.0, 0.5, -3.0, 7.0, 1.0, 0.0])[:, None, None]  # on borders, beyond
    expected = sample_levels(value, SHAPES, locations, weights)
    columns, rows = (
        (locations[..., axis] * locations.new_tensor([shape[1 - axis] for shape in SHAPES])[:, None] - 0.5).flatten(3)
        for axis in (0, 1)
    )
    for index in range(2):
        levels = BorderedLevels(value[index], SHAPES)
        found = levels.sample(columns[index], rows[index], weights[index].flatten(2))
        torch.testing.assert_close(found, expected[index], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("coordinates", [2, 4])
def test_inference_samples_as_training(coordinates):
    torch.manual_seed(0)
    attention = SocDeformableAttention(d_model=16, num_heads=2, num_levels=4, num_points=3).eval()
    tokens = sum(height * width for height, width in SHAPES)
    mask = torch.rand(2, 1, tokens) > 0.2
    arguments = (torch.randn(2, 3, 5, 16), torch.rand(2, 1, 5, 4, coordinates), torch.randn(2, 3, tokens, 16), mask)
    expected = attention(*arguments, SHAPES)
    with torch.no_grad():
        found = attention(*arguments, SHAPES)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_position_that_is_no_number_samples_nothing():
    levels = BorderedLevels(torch.ones(sum(height * width for height, width in SHAPES), 1, 2), SHAPES)
    nowhere, weights = torch.full((1, 1, 4), float("nan")), torch.ones(1, 1, 4)
    assert levels.sample(nowhere, nowhere.clone(), weights).tolist() == [[0.0, 0.0]]


def test_half_precision_keeps_positions_exact():
    value, locations, weights = random_arguments()
    sampled = sample_levels(value.bfloat16(), SHAPES, locations, weights.bfloat16())
    assert sampled.dtype == torch.bfloat16
    expected = sample_levels(value, SHAPES, locations, weights)
    torch.testing.assert_close(sampled.float(), expected, atol=0.05, rtol=0.02)


def test_first_offsets_point_around_the_compass():
    offsets = compass_offsets(num_heads=8, num_levels=2, num_points=3)
    assert offsets.shape == (8, 2, 3, 2)
    torch.testing.assert_close(offsets[0, 0], torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]))
    torch.testing.assert_close(offsets[1, 1, 0], torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(offsets[4, 0, 1], torch.tensor([-2.0, 0.0]), atol=1e-6, rtol=0)

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Multi-scale deformable attention (arXiv 2010.04159) in plain PyTorch: the only place that samples feature maps."""

import math

import torch
from torch import nn


def sample_levels(
    value: torch.Tensor,
    spatial_shapes: list[tuple[int, int]],
    sampling_locations: torch.Tensor,
    attention_weights: torch.Tensor,
) -> torch.Tensor:
    """
    Weighted sum of bilinear samples of all levels; a neighbour outside its map counts as zero.

    Args:
        value: (batch, tokens, heads, width), the levels one after the other in row-major order.
        spatial_shapes: (height, width) of each level.
        sampling_locations: (batch, queries, heads, levels, points, 2) float32, (x, y) in 0..1 of the padded map.
        attention_weights: (batch, queries, heads, levels, points).

    Returns:
        (batch, queries, heads * width).
    """
    batch, _, heads, width = value.shape
    queries = sampling_locations.shape[1]
    grids = 2 * sampling_locations - 1
    # Half precision would lose sub-pixel positions, so maps are sampled in the precision of the locations.
    levels = value.to(grids.dtype).split([height * width for height, width in spatial_shapes], dim=1)
    output = grids.new_zeros(batch * heads, width, queries)
    for index, ((map_height, map_width), level) in enumerate(zip(spatial_shapes, levels, strict=True)):
        # (batch, h*w, heads, width) to (batch * heads, width, h, w)
        feature_map = level.permute(0, 2, 3, 1).reshape(batch * heads, width, map_height, map_width)
        grid = grids[:, :, :, index].transpose(1, 2).flatten(0, 1)  # (batch * heads, queries, points, 2)
        sampled = nn.functional.grid_sample(feature_map, grid, "bilinear", "zeros", align_corners=False)
        weights = attention_weights[:, :, :, index].transpose(1, 2).flatten(0, 1)[:, None]
        output = output + (sampled * weights).sum(-1)
    return output.view(batch, heads * width, queries).transpose(1, 2).to(value.dtype)


def compass_offsets(num_heads: int, num_levels: int, num_points: int) -> torch.Tensor:
    """Initial offsets (heads, levels, points, 2): each head looks in its own direction, one step more per point."""
    angles = torch.arange(num_heads, dtype=torch.float32) * (2 * math.pi / num_heads)
    directions = torch.stack([angles.cos(), angles.sin()], dim=-1)
    directions = directions / directions.abs().amax(-1, keepdim=True)
    steps = torch.arange(1, num_points + 1, dtype=torch.float32)
    return (directions[:, None, None, :] * steps[None, None, :, None]).expand(-1, num_levels, -1, -1)


class SocDeformableAttention(nn.Module):
    """Each query samples a few points around its reference point on every level."""

    def __init__(self, d_model: int, num_heads: int, num_levels: int, num_points: int):
        super().__init__()
        self.num_heads, self.num_levels, self.num_points = num_heads, num_levels, num_points
        samples = num_heads * num_levels * num_points
        self.sampling_offsets = nn.Linear(d_model, 2 * samples)
        self.attention_weights = nn.Linear(d_model, samples)
        self.value_proj = nn.Linear(d_model, d_model)
        self.output_proj = nn.Linear(d_model, d_model)

    def forward(
        self,
        queries: torch.Tensor,
        reference_points: torch.Tensor,
        memory: torch.Tensor,
        memory_mask: torch.Tensor,
        spatial_shapes: list[tuple[int, int]],
    ) -> torch.Tensor:
        """
        Args:
            queries: (..., queries, channels), positions added.
            reference_points: float32, broadcastable to (..., queries, levels, 2) points (x, y) or
                (..., queries, levels, 4) boxes (cx, cy, w, h), in 0..1 of the padded map.
            memory: (..., tokens, channels) of all levels.
            memory_mask: bool, broadcastable to (..., tokens); False = padding, which is sampled as zero.
            spatial_shapes: (height, width) of each level.

        Returns:
            (..., queries, channels).
        """
        leading, num_queries = queries.shape[:-2], queries.shape[-2]
        value = self.value_proj(memory).masked_fill(~memory_mask[..., None], 0.0)
        value = value.reshape(-1, value.shape[-2], self.num_heads, value.shape[-1] // self.num_heads)

        grid = (*leading, num_queries, self.num_heads, self.num_levels, self.num_points)
        weights = self.attention_weights(queries).view(*grid[:-2], -1).softmax(-1).view(grid)
        offsets = self.sampling_offsets(queries).view(*grid, 2).float()
        reference_points = reference_points.float()[..., :, None, :, None, :]  # heads and points broadcast
        if reference_points.shape[-1] == 2:
            sizes = offsets.new_tensor([[width, height] for height, width in spatial_shapes])
            locations = reference_points + offsets / sizes[:, None, :]
        else:
            locations = reference_points[..., :2] + offsets / self.num_points * reference_points[..., 2:] * 0.5
        sampled = sample_levels(value, spatial_shapes, locations.flatten(0, -6), weights.flatten(0, -5))
        return self.output_proj(sampled.view(*leading, num_queries, -1))


__all__ = ["SocDeformableAttention"]

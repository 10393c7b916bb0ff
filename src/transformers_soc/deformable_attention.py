# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Multi-scale deformable attention (arXiv 2010.04159) in plain PyTorch: the only place that samples feature maps."""

import math

import torch
from torch import nn

from .modeling_inference import linear, works_in_pieces


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


def level_sizes(spatial_shapes: list[tuple[int, int]], like: torch.Tensor) -> torch.Tensor:
    """(levels, 2) width and height of each level, of the dtype of `like`."""
    # Where a graph is recorded sizes may be symbols, which `torch.tensor` would turn into numbers.
    return torch.stack([torch.stack([like.new_full((), size) for size in shape[::-1]]) for shape in spatial_shapes])


SAMPLED_QUERIES = 512  # queries of one frame whose samples are computed at a time


class BorderedLevels:
    """
    All levels of one frame as one table of rows, each level inside a border of zeros: a sample beside the map then
    reads zeros without a test, and its four neighbours lie at fixed distances in the table.

    Args:
        value: (tokens, heads, width), the levels one after the other in row-major order.
        spatial_shapes: (height, width) of each level.
    """

    def __init__(self, value: torch.Tensor, spatial_shapes: list[tuple[int, int]]):
        _, self.heads, self.width = value.shape
        self.shapes = spatial_shapes
        sizes = [(height + 2) * (width + 2) for height, width in spatial_shapes]
        # A sample on the far border has neighbours of weight zero one row and one column further.
        tail = spatial_shapes[-1][1] + 3
        table = torch.zeros(sum(sizes) + tail, self.heads, self.width, device=value.device)
        tokens = value.split([height * width for height, width in spatial_shapes])
        for (height, width), level, place in zip(spatial_shapes, tokens, table.split([*sizes, tail]), strict=False):
            inside = place.view(height + 2, width + 2, self.heads, self.width)[1:-1, 1:-1]
            inside.copy_(level.view(height, width, self.heads, self.width))
        self.rows = table.view(-1, self.width)
        self.starts = [sum(sizes[:index]) for index in range(len(sizes))]

    def sample(self, columns: torch.Tensor, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """
        Weighted sums of bilinear samples: one `embedding_bag` over the table. Columns and rows are overwritten.

        Args:
            columns, rows: (queries, heads, levels * points) float32 pixels of their level, 0 = its first centre.
            weights: (queries, heads, levels * points) float32.

        Returns:
            (queries, heads * width) float32.
        """
        queries, heads, samples = columns.shape
        points = samples // len(self.shapes)

        def per_sample(values: list[int]) -> torch.Tensor:
            return columns.new_tensor(values).repeat_interleave(points)

        stride = per_sample([width + 2 for _, width in self.shapes])  # table rows from one map row to the next
        start = per_sample(self.starts) + stride + 1  # of the first pixel
        self._clamp(columns, per_sample([width for _, width in self.shapes]))
        self._clamp(rows, per_sample([height for height, _ in self.shapes]))
        left, top = columns.floor(), rows.floor()
        columns -= left
        rows -= top
        # Numbers of table rows are far below 2**24, so float32 holds them exactly.
        first = top.mul_(stride).add_(left).add_(start).mul_(heads)
        first += torch.arange(heads, device=first.device)[:, None]
        first = first.to(torch.int32)
        steps = (heads * torch.stack([0 * stride, 0 * stride + 1, stride, stride + 1])).to(torch.int32)
        neighbours = first[:, :, None] + steps  # (queries, heads, 4, samples)

        shares = torch.empty_like(neighbours, dtype=torch.float32)
        right = weights * columns
        left_weight = weights - right
        torch.mul(right, rows, out=shares[:, :, 3])
        torch.mul(left_weight, rows, out=shares[:, :, 2])
        torch.sub(right, shares[:, :, 3], out=shares[:, :, 1])
        torch.sub(left_weight, shares[:, :, 2], out=shares[:, :, 0])
        bags = (queries * heads, 4 * samples)
        summed = nn.functional.embedding_bag(
            neighbours.view(bags), self.rows, per_sample_weights=shares.view(bags), mode="sum"
        )
        return summed.view(queries, heads * self.width)

    @staticmethod
    def _clamp(places: torch.Tensor, size: torch.Tensor) -> None:
        """To -1..size, where the border's zeros lie; what is no number goes there, too."""
        torch.fmax(places, places.new_tensor(-1.0), out=places)
        torch.minimum(places, size, out=places)


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
        value = linear(self.value_proj, memory).masked_fill(~memory_mask[..., None], 0.0)
        if works_in_pieces(self) and queries.device.type == "cpu":
            return self._sample_frame_by_frame(queries, reference_points, value, spatial_shapes)
        value = value.reshape(-1, value.shape[-2], self.num_heads, value.shape[-1] // self.num_heads)

        grid = (*leading, num_queries, self.num_heads, self.num_levels, self.num_points)
        weights = self.attention_weights(queries).view(*grid[:-2], -1).softmax(-1).view(grid)
        offsets = self.sampling_offsets(queries).view(*grid, 2).float()
        reference_points = reference_points.float()[..., :, None, :, None, :]  # heads and points broadcast
        if reference_points.shape[-1] == 2:
            locations = reference_points + offsets / level_sizes(spatial_shapes, offsets)[:, None, :]
        else:
            locations = reference_points[..., :2] + offsets / self.num_points * reference_points[..., 2:] * 0.5
        sampled = sample_levels(value, spatial_shapes, locations.flatten(0, -6), weights.flatten(0, -5))
        return self.output_proj(sampled.view(*leading, num_queries, -1))

    def _sample_frame_by_frame(
        self,
        queries: torch.Tensor,
        reference_points: torch.Tensor,
        value: torch.Tensor,
        spatial_shapes: list[tuple[int, int]],
    ) -> torch.Tensor:
        """The same on a CPU, for pieces of queries whose samples stay in the cache; value: (..., tokens, channels)."""
        leading = queries.shape[:-2]
        references = reference_points.float().expand(*leading, *queries.shape[-2:-1], self.num_levels, -1).flatten(-2)
        outputs = torch.empty_like(queries)
        frames = (tensor.flatten(0, -3) for tensor in (queries, references, value, outputs))
        for frame_queries, frame_references, frame_value, frame_output in zip(*frames, strict=True):
            levels = BorderedLevels(frame_value.unflatten(-1, (self.num_heads, -1)), spatial_shapes)
            pieces = (part.split(SAMPLED_QUERIES) for part in (frame_queries, frame_references, frame_output))
            for piece, reference, output in zip(*pieces, strict=True):
                points = reference.unflatten(-1, (self.num_levels, -1))
                sampled = levels.sample(*self._samples(piece, points, spatial_shapes)).to(piece.dtype)
                output.copy_(linear(self.output_proj, sampled))
        return outputs

    def _samples(
        self, queries: torch.Tensor, reference_points: torch.Tensor, spatial_shapes: list[tuple[int, int]]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Columns, rows and weights (queries, heads, levels * points) float32 of what each query samples."""
        shape = (queries.shape[0], self.num_heads, self.num_levels * self.num_points)
        weights = linear(self.attention_weights, queries).view(shape).float().softmax(-1)
        offsets = linear(self.sampling_offsets, queries).view(*shape, 2).float()
        axes = []
        for axis in (0, 1):
            size = offsets.new_tensor([level_shape[1 - axis] for level_shape in spatial_shapes])
            centre = reference_points[..., axis] * size - 0.5  # (queries, levels) in pixels
            places = offsets[..., axis]
            if reference_points.shape[-1] == 4:
                reach = reference_points[..., 2 + axis] * size * (0.5 / self.num_points)
                places = places * reach.repeat_interleave(self.num_points, -1)[:, None]
            axes.append(places + centre.repeat_interleave(self.num_points, -1)[:, None])
        return axes[0], axes[1], weights


__all__ = ["SocDeformableAttention"]

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Video-Swin in a form whose recorded graph holds for maps of any height and width.

A graph cannot choose between windows that cover a map and windows that do not. Here every map is padded to full
windows along height and width, and what the rules of the model make of a small map is arithmetic on tensors. The
tokens of a map are rows of one matrix, and their places are computed once per stage: so the shapes in the graph stay
simple, on which the time of recording depends. The results are those of the form that the model itself has.
"""

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import nn

from ..modeling_video_swin import (
    SHIFT_MASK_VALUE,
    VideoSwinBackbone,
    VideoSwinBlock,
    VideoSwinPatchEmbedding,
    VideoSwinPatchMerging,
    VideoSwinStage,
    VideoSwinStem,
    VideoSwinWindowAttention,
)


def as_size(count: torch.Tensor) -> int:
    """A scalar as the size of an axis."""
    size: int = count.item()  # type: ignore[assignment]
    torch._check(size >= 1)
    return size


def strides(sizes: torch.Tensor) -> torch.Tensor:
    """(3, 1) distances of neighbours along frames, rows and columns of a row-major grid of sizes (3, 1)."""
    return torch.stack([sizes[1] * sizes[2], sizes[2], torch.ones_like(sizes[2])])


def unravel(places: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Coordinates (3, places) of row-major places in a grid."""
    return places // strides(sizes) % sizes


def ravel(coordinates: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Row-major places of coordinates (3, places) in a grid."""
    return (coordinates * strides(sizes)).sum(0)


def gather(rows: torch.Tensor, coordinates: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Rows of a map at coordinates (3, places), zeros beside the map."""
    found = rows.index_select(0, ravel(torch.minimum(coordinates, sizes - 1), sizes))
    return found * (coordinates < sizes).all(0)[:, None].to(rows.dtype)


class Windows:
    """
    The windows that the layers of one kind lay over the maps of one stage.

    Args:
        attention: a layer of this kind.
        sizes: (3, 1) of the map.
        count: tokens of the map.
        frames: their number where it is fixed; None: there are more than a window has.
    """

    def __init__(self, attention: VideoSwinWindowAttention, sizes: torch.Tensor, count: int, frames: int | None):
        full = attention.window_size
        widths = [full[0] if frames is None else min(frames, full[0]), *full[1:]]
        self.sizes, self.tokens = sizes, math.prod(widths)
        self.widths = torch.tensor(widths)[:, None]
        self.counts = (sizes + self.widths - 1) // self.widths
        self.padded = self.counts * self.widths
        largest = torch.tensor(full)[:, None]
        self.shifts = (sizes > largest).long() * (largest // 2) if attention.shifted else torch.zeros_like(sizes)

        flat = torch.arange(as_size(self.counts.prod()) * self.tokens)
        self.inner = unravel(torch.arange(self.tokens), self.widths)
        # Row-major within each window, and windows one after the other, after the cyclic shift.
        places = unravel(flat // self.tokens, self.counts) * self.widths + unravel(flat % self.tokens, self.widths)
        self.coordinates = (places + self.shifts) % self.padded
        self.regions = None
        if attention.shifted:
            # Along a shifted axis the last window mixes two ends of the video.
            ends = (places >= self.padded - self.shifts).long()
            self.regions = (4 * ends[0] + 2 * ends[1] + ends[2]).view(-1, self.tokens)
        tokens = unravel(torch.arange(count), sizes)
        shifted = (tokens + self.padded - self.shifts) % self.padded
        window, place = ravel(shifted // self.widths, self.counts), ravel(shifted % self.widths, self.widths)
        self.places = window * self.tokens + place  # of each token of the map

    def bias(self, attention: VideoSwinWindowAttention) -> torch.Tensor:
        """(1 or windows, heads, tokens, tokens) added to the logits of the layer."""
        # A map that is smaller than the window has a window of its own size: the rest of ours is not there.
        span = torch.minimum(self.sizes, self.widths)
        # The prefix of the full index, even where rows or columns are clamped: the weights were trained with it.
        ranks = ravel(self.inner, span)
        index = attention.get_buffer("relative_position_index").index_select(0, ranks).index_select(1, ranks)
        bias = attention.relative_position_bias_table.index_select(0, index.flatten())
        bias = bias.view(self.tokens, self.tokens, -1).permute(2, 0, 1)[None]
        bias = bias.masked_fill(~(self.inner < span).all(0), torch.finfo(bias.dtype).min)
        if self.regions is None:
            return bias
        apart = (self.regions[:, :, None] != self.regions[:, None, :]).to(bias.dtype)
        return bias + SHIFT_MASK_VALUE * apart[:, None]


def embed(stem: VideoSwinStem, video: torch.Tensor) -> torch.Tensor:
    """`VideoSwinStem.forward`, with the padding in a form that symbolic sizes are simplified in."""
    if isinstance(stem.embedding, VideoSwinPatchEmbedding):
        height, width = video.shape[-2:]
        padding = (0, (width + 3) // 4 * 4 - width, 0, (height + 3) // 4 * 4 - height)
        video = nn.functional.pad(video, padding)
    return stem._embed(video)


def attend(attention: VideoSwinWindowAttention, rows: torch.Tensor, windows: Windows) -> torch.Tensor:
    """`VideoSwinWindowAttention.forward` on the tokens of a map (tokens, channels)."""
    # Padded tokens take part as keys: official behaviour, the weights were trained with it.
    gathered = gather(rows, windows.coordinates, windows.sizes).view(-1, windows.tokens, rows.shape[1])
    attended = attention._attend(gathered, windows.bias(attention))
    return attended.reshape(-1, rows.shape[1]).index_select(0, windows.places)


def merge(
    merging: VideoSwinPatchMerging, rows: torch.Tensor, sizes: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """`VideoSwinPatchMerging.forward` on the tokens of a map: tokens and sizes of the next stage."""
    step = torch.tensor([1, 2, 2])[:, None]
    merged = (sizes + step - 1) // step
    first = unravel(torch.arange(as_size(merged.prod())), merged) * step
    places = [torch.tensor([0, row, column])[:, None] for column in (0, 1) for row in (0, 1)]
    corners = [gather(rows, first + place, sizes) for place in places]
    return merging.reduction(merging.norm(torch.cat(corners, dim=-1))), merged


def run_stage(stage: VideoSwinStage, rows: torch.Tensor, sizes: torch.Tensor, frames: int | None) -> torch.Tensor:
    """The blocks of a stage on the tokens of its map."""
    kinds: dict[bool, Windows] = {}
    for block in cast(Iterable[VideoSwinBlock], stage.blocks):
        shifted = block.attention.shifted
        if shifted not in kinds:
            kinds[shifted] = Windows(block.attention, sizes, rows.shape[0], frames)
        rows = rows + attend(block.attention, block.norm1(rows), kinds[shifted])
        rows = rows + block.mlp(block.norm2(rows))
    return rows


def swin_maps(backbone: VideoSwinBackbone, video: torch.Tensor) -> list[torch.Tensor]:
    """
    The maps of all stages for one video in evaluation.

    Args:
        backbone: with any config.
        video: (1, frames, 3, height, width); the frames are a number, or more than a window has.

    Returns:
        for each stage (1, frames, channels, height, width).
    """
    hidden_states = embed(backbone.stem, video)
    frames = hidden_states.shape[1] if isinstance(hidden_states.shape[1], int) else None
    sizes = torch.stack([torch.full((1,), size, dtype=torch.long) for size in hidden_states.shape[1:4]])
    rows = hidden_states.flatten(0, 3)
    maps = []
    for stage in cast(Iterable[VideoSwinStage], backbone.stages):
        if isinstance(stage.downsample, VideoSwinPatchMerging):
            rows, sizes = merge(stage.downsample, rows, sizes)
        rows = run_stage(stage, rows, sizes, frames)
        height, width = as_size(sizes[1, 0]), as_size(sizes[2, 0])
        maps.append(rows.view(1, hidden_states.shape[1], height, width, rows.shape[1]).permute(0, 1, 4, 2, 3))
    return maps

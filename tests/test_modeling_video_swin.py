# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from models import TINY_SWIN
from transformers import AutoBackbone

from transformers_soc import VideoSwinBackbone, VideoSwinConfig
from transformers_soc.modeling_video_swin import VideoSwinWindowAttention


def backbone(**overrides) -> VideoSwinBackbone:
    torch.manual_seed(0)
    return AutoBackbone.from_config(VideoSwinConfig(**(TINY_SWIN | overrides))).eval()


@pytest.mark.parametrize("stem", [{"stem": "patch"}, {"stem": "conv3d"}, {"stem": "conv3d", "stem_depths": (1, 2)}])
def test_maps_have_strides_4_to_32(stem):
    with torch.no_grad():
        maps = backbone(**stem)(torch.randn(2, 5, 3, 50, 70)).feature_maps
    shapes = [(2, 5, 8, 13, 18), (2, 5, 16, 7, 9), (2, 5, 32, 4, 5), (2, 5, 64, 2, 3)]
    assert [tuple(feature_map.shape) for feature_map in maps] == shapes


def reference_window_attention(attention: VideoSwinWindowAttention, x: torch.Tensor) -> torch.Tensor:
    """One masked attention over all windows, written from the definition: regions are labelled before the shift."""
    sizes, full = x.shape[1:4], attention.window_size
    window = [min(size, limit) for size, limit in zip(sizes, full, strict=True)]
    shift = [limit // 2 if attention.shifted and size > limit else 0 for size, limit in zip(sizes, full, strict=True)]
    padding = [-size % width for size, width in zip(sizes, window, strict=True)]
    x = torch.nn.functional.pad(x, (0, 0, 0, padding[2], 0, padding[1], 0, padding[0]))
    axes = [torch.arange(size) for size in x.shape[1:4]]
    rolled = [(axis - step) % len(axis) for axis, step in zip(axes, shift, strict=True)]
    cell = [place // width for place, width in zip(rolled, window, strict=True)]
    wrapped = [(place >= len(axis) - step).long() for place, axis, step in zip(rolled, axes, shift, strict=True)]
    inside = [place % width for place, width in zip(rolled, window, strict=True)]
    grid = lambda parts: torch.stack(torch.meshgrid(*parts, indexing="ij"), -1).reshape(-1, 3)  # noqa: E731
    cells, wraps, insides = grid(cell), grid(wrapped), grid(inside)
    same_window = (cells[:, None] == cells[None]).all(-1)
    same_region = (wraps[:, None] == wraps[None]).all(-1)
    number = (insides[:, 0] * window[1] + insides[:, 1]) * window[2] + insides[:, 2]
    bias = attention.relative_position_bias_table[attention.relative_position_index[number][:, number]]
    query, key, value = attention.qkv(x.flatten(1, 3)).unflatten(-1, (3, attention.num_heads, -1)).unbind(2)
    scores = torch.einsum("bqhd,bkhd->bhqk", query, key) * attention.scaling + bias.permute(2, 0, 1)
    scores = scores + torch.where(same_region, 0.0, -100.0)
    weights = scores.masked_fill(~same_window, float("-inf")).softmax(-1)
    output = attention.proj(torch.einsum("bhqk,bkhd->bqhd", weights, value).flatten(2)).view(x.shape)
    return output[:, : sizes[0], : sizes[1], : sizes[2]]


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("sizes", [(3, 2, 5), (6, 7, 5), (4, 3, 3), (9, 3, 8)])
def test_window_attention_equals_its_definition(sizes, shifted):
    torch.manual_seed(0)
    config = VideoSwinConfig(**TINY_SWIN)
    config._attn_implementation = "sdpa"
    attention = VideoSwinWindowAttention(config, dim=8, num_heads=2, shifted=shifted)
    torch.nn.init.normal_(attention.relative_position_bias_table)
    x = torch.randn(2, *sizes, 8)
    torch.testing.assert_close(attention(x), reference_window_attention(attention, x))


def test_eager_equals_sdpa():
    model, frames = backbone(), torch.randn(1, 6, 3, 48, 64)
    with torch.no_grad():
        fast = model(frames).feature_maps
        model.set_attn_implementation("eager")
        plain = model(frames).feature_maps
    for left, right in zip(fast, plain, strict=True):
        torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-4)


def test_conv_stem_sees_the_order_of_frames():
    """Of one frame, the patch stem sees nothing of its neighbours; the convolutions see two on either side."""
    frames = torch.randn(1, 5, 3, 16, 16)
    changed = frames.clone()
    changed[:, 0] += 1
    for stem, depths, sees in (("patch", (0, 0), False), ("conv3d", (0, 0), True), ("conv3d", (1, 1), True)):
        model = backbone(stem=stem, stem_depths=depths).stem
        with torch.no_grad():
            assert (not torch.equal(model(frames)[:, 2], model(changed)[:, 2])) == sees
            assert torch.equal(model(frames)[:, 3], model(changed)[:, 3])

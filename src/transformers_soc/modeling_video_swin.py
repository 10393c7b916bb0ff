# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Video-Swin backbone: window attention over frames, rows and columns, with no temporal stride."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.backbone_utils import BackboneMixin, filter_output_hidden_states
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BackboneOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, PreTrainedModel
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, can_return_tuple

from .configuration_soc import VideoSwinConfig
from .modeling_inference import linear, map_rows, piece_rows, works_in_pieces

# Added to the attention logits of two tokens that the cyclic shift brought together (official value, not -inf).
SHIFT_MASK_VALUE = -100.0

STEM_CHUNK_FRAMES = 8  # frames that pass the stem or a merging at a time in inference

Size3 = tuple[int, ...]  # frames, rows, columns


def init_torch_default(module: nn.Linear | nn.Conv2d | nn.Conv3d) -> None:
    """Initialises a linear or convolution layer as PyTorch does by default, skipping loaded parameters."""
    init.kaiming_uniform_(module.weight, a=math.sqrt(5))
    if module.bias is not None:
        bound = 1 / math.sqrt(module.weight[0].numel())
        init.uniform_(module.bias, -bound, bound)


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Plain attention. query, key, value: (batch, heads, tokens, width); returns (batch, tokens, heads, width)."""
    scores = torch.matmul(query, key.transpose(-1, -2)) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = nn.functional.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


def drop_path(hidden_states: torch.Tensor, rate: float, training: bool) -> torch.Tensor:
    """Stochastic depth: zeroes whole samples (axis 0) with probability `rate` and rescales the others."""
    if rate == 0.0 or not training:
        return hidden_states
    keep = hidden_states.new_empty((hidden_states.shape[0],) + (1,) * (hidden_states.ndim - 1)).bernoulli_(1 - rate)
    return hidden_states * keep / (1 - rate)


def relative_position_index(window_size: Size3) -> torch.Tensor:
    """(tokens, tokens) rows of the bias table for each pair of tokens of a full window, tokens in (t, h, w) order."""
    axes = [torch.arange(size) for size in window_size]
    coordinates = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
    offsets = coordinates[:, :, None] - coordinates[:, None, :]
    index = torch.zeros_like(offsets[0])
    for offset, size in zip(offsets, window_size, strict=True):
        index = index * (2 * size - 1) + offset + size - 1
    return index


def window_places(videos: int, sizes: Size3, window: Size3, shift: Size3) -> torch.Tensor:
    """
    The token that each place of each window holds, after padding at the end of each axis and a cyclic shift.

    Returns:
        (videos, windows t, windows h, windows w, window t, window h, window w) long rows of the flattened map
        (videos, frames, height, width), -1 = padding.
    """
    places = torch.arange(videos).view(-1, 1, 1, 1, 1, 1, 1)
    real = torch.ones(1, dtype=torch.bool)
    for axis, (size, width, step) in enumerate(zip(sizes, window, shift, strict=True)):
        padded = size + -size % width
        along = ((torch.arange(padded) + step) % padded).view(-1, width)
        shape = [1] * 7
        shape[1 + axis], shape[4 + axis] = along.shape
        places = places * size + along.view(shape)
        real = real & (along < size).view(shape)
    return places.masked_fill(~real, -1)


class VideoSwinPatchEmbedding(nn.Module):
    """Stem of the papers: a linear embedding of 4x4 pixels of one frame."""

    context = 0  # frames on either side that a frame sees

    def __init__(self, config: VideoSwinConfig):
        super().__init__()
        self.channels = config.embed_dim
        self.projection = nn.Conv3d(config.num_channels, config.embed_dim, kernel_size=(1, 4, 4), stride=(1, 4, 4))

    def forward(self, videos: torch.Tensor) -> torch.Tensor:
        """(videos, 3, frames, H, W) to (videos, channels, frames, ceil(H/4), ceil(W/4))."""
        height, width = videos.shape[-2:]
        videos = nn.functional.pad(videos, (0, -width % 4, 0, -height % 4))
        return self.projection(videos)


class VideoSwinStemBlock(nn.Module):
    """Residual block of two 3x3 convolutions inside each frame: outlines and shapes, before any attention."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.activation = nn.GELU()

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """(frames, channels, h, w) in and out."""
        hidden = self.conv1(self.activation(self.norm1(frames)))
        return frames + self.conv2(self.activation(self.norm2(hidden)))


class VideoSwinConvStem(nn.Module):
    """Stem of two 3x3x3 convolutions of spatial stride 2: sees motion over five frames before any attention."""

    context = 2

    def __init__(self, config: VideoSwinConfig):
        super().__init__()
        self.channels = config.embed_dim
        hidden = max(1, config.embed_dim // 2)
        self.conv1 = nn.Conv3d(config.num_channels, hidden, kernel_size=3, stride=(1, 2, 2), padding=1)
        self.conv2 = nn.Conv3d(hidden, config.embed_dim, kernel_size=3, stride=(1, 2, 2), padding=1)
        self.activation = nn.GELU()
        half, quarter = config.stem_depths
        self.blocks1 = nn.Sequential(*(VideoSwinStemBlock(hidden) for _ in range(half)))
        self.blocks2 = nn.Sequential(*(VideoSwinStemBlock(config.embed_dim) for _ in range(quarter)))

    def forward(self, videos: torch.Tensor) -> torch.Tensor:
        """(videos, 3, frames, H, W) to (videos, channels, frames, ceil(H/4), ceil(W/4))."""
        hidden = self._by_frame(self.blocks1, self.activation(self.conv1(videos)))
        return self._by_frame(self.blocks2, self.conv2(hidden))

    @staticmethod
    def _by_frame(blocks: nn.Sequential, hidden: torch.Tensor) -> torch.Tensor:
        """Runs blocks over the frames of (videos, channels, frames, h, w)."""
        if not len(blocks):
            return hidden
        frames = hidden.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return blocks(frames).unflatten(0, (hidden.shape[0], hidden.shape[2])).transpose(1, 2)


STEMS = {"patch": VideoSwinPatchEmbedding, "conv3d": VideoSwinConvStem}


class VideoSwinStem(nn.Module):
    """Stem of the config's choice, and the norm after it."""

    def __init__(self, config: VideoSwinConfig):
        super().__init__()
        self.embedding: Any = STEMS[config.stem](config)
        self.norm = nn.LayerNorm(config.embed_dim, eps=config.layer_norm_eps) if config.patch_norm else nn.Identity()

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(videos, frames, 3, H, W) to (videos, frames, ceil(H/4), ceil(W/4), channels)."""
        return self._embed_in_chunks(pixel_values) if works_in_pieces(self) else self._embed(pixel_values)

    def _embed(self, pixel_values: torch.Tensor) -> torch.Tensor:
        embedded = self.embedding(pixel_values.transpose(1, 2))
        return self.norm(embedded.permute(0, 2, 3, 4, 1))

    def _embed_in_chunks(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """The same, a few frames at a time with the frames beside them that they see."""
        videos, frames, _, height, width = pixel_values.shape
        channels, context = self.embedding.channels, self.embedding.context
        embedded = pixel_values.new_empty(videos, frames, -(-height // 4), -(-width // 4), channels)
        for start in range(0, frames, STEM_CHUNK_FRAMES):
            first = max(0, start - context)
            size = min(STEM_CHUNK_FRAMES, frames - start)
            seen = self._embed(pixel_values[:, first : start + size + context])
            embedded[:, start : start + size] = seen[:, start - first : start - first + size]
        return embedded


class VideoSwinWindowAttention(nn.Module):
    """Attention inside (possibly shifted) windows, with a learned bias per head and relative position."""

    def __init__(self, config: VideoSwinConfig, dim: int, num_heads: int, shifted: bool):
        super().__init__()
        self.config = config
        self.window_size: Size3 = tuple(config.window_size)
        self.shifted = shifted
        self.num_heads = num_heads
        self.head_dim = dim // num_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = False
        self.attention_dropout = config.attention_probs_dropout_prob
        self.qkv = nn.Linear(dim, 3 * dim, bias=config.qkv_bias)
        self.proj = nn.Linear(dim, dim)
        table_rows = math.prod(2 * size - 1 for size in self.window_size)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(table_rows, num_heads))
        self.register_buffer("relative_position_index", relative_position_index(self.window_size), persistent=False)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(videos, frames, height, width, channels) in and out."""
        sizes: Size3 = tuple(hidden_states.shape[1:4])
        window, shift = self._window_and_shift(sizes)
        pad_t, pad_h, pad_w = (-size % width for size, width in zip(sizes, window, strict=True))
        # Padded tokens take part as keys: official behaviour, the weights were trained with it.
        hidden_states = nn.functional.pad(hidden_states, (0, 0, 0, pad_w, 0, pad_h, 0, pad_t))
        if any(shift):
            hidden_states = torch.roll(hidden_states, [-step for step in shift], dims=(1, 2, 3))
        hidden_states = self._attend_in_windows(hidden_states, window, shift)
        if any(shift):
            hidden_states = torch.roll(hidden_states, shift, dims=(1, 2, 3))
        return hidden_states[:, : sizes[0], : sizes[1], : sizes[2]]

    def _window_and_shift(self, sizes: Size3) -> tuple[Size3, Size3]:
        """Window and shift for a map of (frames, height, width); an axis that the window covers is not shifted."""
        window = tuple(min(size, full) for size, full in zip(sizes, self.window_size, strict=True))
        shift = tuple(
            full // 2 if self.shifted and size > full else 0
            for size, full in zip(sizes, self.window_size, strict=True)
        )
        return window, shift

    def _bias(self, tokens: int) -> torch.Tensor:
        """(1, heads, tokens, tokens) for windows of so many tokens."""
        # The prefix of the full index, even where rows or columns are clamped: the weights were trained with it.
        index = self.get_buffer("relative_position_index")[:tokens, :tokens]
        return self.relative_position_bias_table[index].permute(2, 0, 1)[None]

    def add_attended(self, hidden_states: torch.Tensor, norm: nn.Module) -> None:
        """
        Adds to a contiguous map (videos, frames, height, width, channels), in place, what its tokens read after
        `norm`: a few windows at a time are gathered, attend and are put back.
        """
        sizes: Size3 = tuple(hidden_states.shape[1:4])
        window, shift = self._window_and_shift(sizes)
        rows = hidden_states.view(-1, hidden_states.shape[-1])
        tokens = math.prod(window)
        places = window_places(hidden_states.shape[0], sizes, window, shift).to(rows.device)
        padded = any(size % width for size, width in zip(sizes, window, strict=True))
        bias = self._bias(tokens)
        for where, regions in self._window_kinds(window, shift, rows.device):
            mask = self._region_mask(bias, regions).to(rows.dtype)
            group = places[where].reshape(-1, tokens)
            for piece in group.split(max(1, piece_rows(3 * rows.shape[1], rows) // tokens)):
                self._add_attended_windows(rows, piece, norm, mask, padded)

    def _add_attended_windows(
        self, rows: torch.Tensor, places: torch.Tensor, norm: nn.Module, mask: torch.Tensor, padded: bool
    ) -> None:
        """The same for windows whose tokens are the rows (windows, tokens), -1 = padding."""
        flat = places.flatten()
        gathered = rows.index_select(0, flat.clamp(min=0) if padded else flat)
        normed = norm(gathered)
        if padded:
            # Padded tokens take part as keys: official behaviour, the weights were trained with it.
            normed.masked_fill_((flat < 0)[:, None], 0)
        attended = self._attend(normed.view(*places.shape, -1), mask).view(gathered.shape)
        gathered += attended
        if padded:
            real = flat >= 0
            flat, gathered = flat[real], gathered[real]
        rows.index_copy_(0, flat, gathered)

    def _attend_in_windows(self, hidden_states: torch.Tensor, window: Size3, shift: Size3) -> torch.Tensor:
        """Splits (videos, t, h, w, channels) into windows, attends inside each and joins them again."""
        videos, *padded, channels = hidden_states.shape
        counts = [size // width for size, width in zip(padded, window, strict=True)]
        split = (videos, counts[0], window[0], counts[1], window[1], counts[2], window[2], channels)
        # (videos, windows t, windows h, windows w, window t, window h, window w, channels)
        windows = hidden_states.reshape(split).permute(0, 1, 3, 5, 2, 4, 6, 7)
        tokens = math.prod(window)
        bias = self._bias(tokens)
        attended = windows.new_empty(0)
        for where, regions in self._window_kinds(window, shift, windows.device):
            group = windows[where]
            mask = self._region_mask(bias, regions)
            result = self._attend(group.reshape(-1, tokens, channels), mask).view(group.shape)
            attended = attended if attended.numel() else result.new_empty(windows.shape)
            attended[where] = result
        return attended.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(hidden_states.shape)

    @staticmethod
    def _region_mask(bias: torch.Tensor, regions: torch.Tensor | None) -> torch.Tensor:
        """The bias, and what keeps tokens of different regions (tokens,) apart."""
        if regions is None:
            return bias
        return bias + SHIFT_MASK_VALUE * (regions[:, None] != regions[None, :]).to(bias.dtype)

    @staticmethod
    def _window_kinds(
        window: Size3, shift: Size3, device: torch.device
    ) -> Iterator[tuple[tuple[slice, ...], torch.Tensor | None]]:
        """
        Groups of windows that share one mask: along a shifted axis only the last window mixes two ends of the video.
        Yields an index into the window grid and the region of each token (tokens,), None for a single region.
        """
        for last in itertools.product(*[(False, True) if step else (False,) for step in shift]):
            where = [
                slice(-1, None) if is_last else slice(None, -1 if step else None)
                for is_last, step in zip(last, shift, strict=True)
            ]
            regions = None
            if any(last):
                axes = [
                    (torch.arange(size, device=device) >= size - step).long() * is_last
                    for size, step, is_last in zip(window, shift, last, strict=True)
                ]
                regions = (4 * axes[0][:, None, None] + 2 * axes[1][:, None] + axes[2]).flatten()
            yield (slice(None), *where), regions

    def _attend(self, windows: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """windows: (windows, tokens, channels); attention_mask: additive (1, heads, tokens, tokens)."""
        batch, tokens, _ = windows.shape
        qkv = linear(self.qkv, windows).view(batch, tokens, 3, self.num_heads, self.head_dim)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (windows, heads, tokens, width)
        attention = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        dropout = self.attention_dropout if self.training else 0.0
        mask = attention_mask.to(query.dtype)
        output, _ = attention(self, query, key, value, mask, dropout=dropout, scaling=self.scaling)
        return linear(self.proj, output.reshape(batch, tokens, -1))


class VideoSwinMLP(nn.Module):
    def __init__(self, config: VideoSwinConfig, dim: int):
        super().__init__()
        self.hidden_width = int(dim * config.mlp_ratio)
        self.fc1 = nn.Linear(dim, self.hidden_width)
        self.activation = ACT2FN[config.hidden_act]
        self.fc2 = nn.Linear(self.hidden_width, dim)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return linear(self.fc2, linear(self.fc1, hidden_states, self.activation))


class VideoSwinBlock(GradientCheckpointingLayer):
    """Window attention and MLP, each after a norm and beside a residual with stochastic depth."""

    def __init__(self, config: VideoSwinConfig, dim: int, num_heads: int, shifted: bool, drop_path_rate: float):
        super().__init__()
        self.drop_path_rate = drop_path_rate
        self.norm1 = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.attention = VideoSwinWindowAttention(config, dim, num_heads, shifted)
        self.norm2 = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.mlp = VideoSwinMLP(config, dim)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(videos, frames, height, width, channels) in and out; in inference the input becomes the output."""
        if works_in_pieces(self):
            return self._update(hidden_states)
        attended = self.attention(self.norm1(hidden_states))
        hidden_states = hidden_states + drop_path(attended, self.drop_path_rate, self.training)
        expanded = self.mlp(self.norm2(hidden_states))
        return hidden_states + drop_path(expanded, self.drop_path_rate, self.training)

    def _update(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """The same in place and in pieces: beside the map itself only a few windows and tokens are held."""
        self.attention.add_attended(hidden_states, self.norm1)
        rows = hidden_states.view(-1, hidden_states.shape[-1])
        map_rows(rows, self.mlp.hidden_width, lambda piece: piece + self.mlp(self.norm2(piece)), out=rows)
        return hidden_states


class VideoSwinPatchMerging(nn.Module):
    """Halves height and width: four neighbours are joined along the channels and projected to twice the width."""

    def __init__(self, config: VideoSwinConfig, dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim, eps=config.layer_norm_eps)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(videos, frames, h, w, channels) to (videos, frames, ceil(h/2), ceil(w/2), 2 * channels)."""
        if not works_in_pieces(self):
            return self._merge(hidden_states)
        videos, frames, height, width, channels = hidden_states.shape
        merged = hidden_states.new_empty(videos, frames, -(-height // 2), -(-width // 2), 2 * channels)
        for source, target in zip(
            hidden_states.split(STEM_CHUNK_FRAMES, 1), merged.split(STEM_CHUNK_FRAMES, 1), strict=True
        ):
            target.copy_(self._merge(source))
        return merged

    def _merge(self, hidden_states: torch.Tensor) -> torch.Tensor:
        height, width = hidden_states.shape[2:4]
        hidden_states = nn.functional.pad(hidden_states, (0, 0, 0, width % 2, 0, height % 2))
        corners = [hidden_states[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return linear(self.reduction, self.norm(torch.cat(corners, dim=-1)))


class VideoSwinStage(nn.Module):
    """Blocks of one resolution, after the merging that leads to it."""

    def __init__(self, config: VideoSwinConfig, index: int, drop_path_rates: list[float]):
        super().__init__()
        dim = config.embed_dim * 2**index
        self.downsample = VideoSwinPatchMerging(config, dim // 2) if index else nn.Identity()
        self.blocks = nn.ModuleList(
            VideoSwinBlock(config, dim, config.num_heads[index], shifted=bool(position % 2), drop_path_rate=rate)
            for position, rate in enumerate(drop_path_rates)
        )

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        hidden_states = self.downsample(hidden_states)
        for block in self.blocks:
            hidden_states = block(hidden_states)
        return hidden_states


class VideoSwinPreTrainedModel(PreTrainedModel):
    config: VideoSwinConfig
    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    input_modalities = "video"
    supports_gradient_checkpointing = True
    _no_split_modules = ["VideoSwinBlock"]
    _supports_sdpa = True

    def _initialize_weights(self, module: nn.Module, is_custom_code: bool = False) -> None:
        # For code outside of transformers the base class skips modules without parameters of their own, in case they
        # overwrite loaded weights; ours initialise through `transformers.initialization`, which never does.
        super()._initialize_weights(module, is_custom_code=False)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.Conv3d)):
            init_torch_default(module)
        elif isinstance(module, VideoSwinWindowAttention):
            init.trunc_normal_(module.relative_position_bias_table, std=self.config.initializer_range)
            index = relative_position_index(module.window_size)
            init.copy_(module.get_buffer("relative_position_index"), index)
        else:
            super()._init_weights(module)


class VideoSwinBackbone(BackboneMixin, VideoSwinPreTrainedModel):
    """
    Video Swin Transformer (arXiv 2106.13230) that returns the maps of its stages for every frame, of strides 4, 8, 16
    and 32, without a norm on them. What a frame gets depends on its clip: temporal windows join up to
    `window_size[0]` frames, and shifted ones carry information beyond.
    """

    # Windows of one layer attend under different masks, so there is no single attention tensor to return.
    has_attentions = False

    def __init__(self, config: VideoSwinConfig):
        super().__init__(config)
        self.num_features = [config.embed_dim] + [config.embed_dim * 2**index for index in range(len(config.depths))]
        self.stem = VideoSwinStem(config)
        total = sum(config.depths)
        rates = iter(config.drop_path_rate * index / max(1, total - 1) for index in range(total))
        self.stages = nn.ModuleList(
            VideoSwinStage(config, index, list(itertools.islice(rates, depth)))
            for index, depth in enumerate(config.depths)
        )
        self.post_init()

    @can_return_tuple
    def forward(self, pixel_values: torch.Tensor, **kwargs: Unpack[TransformersKwargs]) -> BackboneOutput:
        """
        Args:
            pixel_values: (videos, frames, 3, height, width) normalised frames; all clips use all frames.

        Returns:
            `BackboneOutput` whose `feature_maps` hold (videos, frames, channels, height, width) for each of
            `out_features`; `hidden_states` are the maps of the stem and all stages.
        """
        wanted = kwargs.get("output_hidden_states", self.config.output_hidden_states)
        return self._all_maps(pixel_values, keep_stem=bool(wanted) or "stem" in self.out_features, **kwargs)

    @filter_output_hidden_states
    def _all_maps(self, pixel_values: torch.Tensor, keep_stem: bool, **kwargs: Any) -> BackboneOutput:
        hidden_states = self.stem(pixel_values)
        maps = [hidden_states.permute(0, 1, 4, 2, 3)]
        if keep_stem and works_in_pieces(self):
            hidden_states = hidden_states.clone()  # the first stage works in place
        for stage in self.stages:
            hidden_states = stage(hidden_states)
            maps.append(hidden_states.permute(0, 1, 4, 2, 3))
        feature_maps = tuple(
            feature_map for name, feature_map in zip(self.stage_names, maps, strict=True) if name in self.out_features
        )
        return BackboneOutput(feature_maps=feature_maps, hidden_states=tuple(maps))


__all__ = ["VideoSwinBackbone", "VideoSwinPreTrainedModel"]

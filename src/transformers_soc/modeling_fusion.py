# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Early fusion: what is known of a video before any word, and how vision and words read each other."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from transformers.utils import ModelOutput

from .configuration_soc import SocConfig
from .modeling_attention import SocAttention, additive_key_mask, map_positions
from .modeling_mask_head import NUM_LEVELS


@dataclass
class SocVideoFeatures(ModelOutput):
    """
    What the model knows of videos before any word; compute it once and ask many sentences.

    Args:
        fine_map: (videos, frames, channels, ceil(H/4), ceil(W/4)) stride-4 map of the backbone, projected for the
            mask features.
        level_maps: four maps (videos, frames, d_model, h, w) of strides 8, 16, 32 and 64.
        pixel_mask: (videos, H, W) bool, True = inside the unpadded frame.
        frame_mask: (videos, frames) bool, True = real frame.
    """

    # ModelOutput wants defaults; all four are always given.
    fine_map: torch.Tensor = None  # type: ignore[assignment]
    level_maps: tuple[torch.Tensor, ...] = None  # type: ignore[assignment]
    pixel_mask: torch.Tensor = None  # type: ignore[assignment]
    frame_mask: torch.Tensor = None  # type: ignore[assignment]


@dataclass
class LevelGeometry:
    """
    Shapes, padding and positions of the four levels, per expression. `tokens` counts all levels, row-major, finest
    first; `level` counts one.

    Args:
        shapes: (h, w) of each level.
        masks: (expressions, level tokens) bool per level, True = real.
        positions: (expressions, level tokens, d_model) per level.
        valid_ratios: (expressions, levels, 2) float32, share of the width and height of a level that is real.
        valid_sizes: (expressions, 2) float32, (height, width) of the unpadded frames in pixels.
        frame_mask: (expressions, frames) bool, True = real.
    """

    shapes: list[tuple[int, int]]
    masks: list[torch.Tensor]
    positions: list[torch.Tensor]
    valid_ratios: torch.Tensor
    valid_sizes: torch.Tensor
    frame_mask: torch.Tensor

    @classmethod
    def from_features(cls, features: SocVideoFeatures, video_indices: torch.Tensor) -> "LevelGeometry":
        pixel_mask = features.pixel_mask
        shapes, masks, positions, ratios = [], [], [], []
        for level in features.level_maps:
            height, width = level.shape[-2:]
            mask = nn.functional.interpolate(pixel_mask[:, None].float(), size=(height, width)).squeeze(1) > 0.5
            shapes.append((height, width))
            masks.append(mask.flatten(1)[video_indices])
            position = map_positions(mask, level.shape[2]).to(level.dtype).flatten(1, 2)
            positions.append(position[video_indices])
            ratio = torch.stack([mask[:, 0].sum(1) / width, mask[:, :, 0].sum(1) / height], dim=-1)
            ratios.append(ratio[video_indices])
        valid_sizes = torch.stack([pixel_mask[:, :, 0].sum(1), pixel_mask[:, 0].sum(1)], dim=-1).float()
        frame_mask = features.frame_mask[video_indices]
        return cls(shapes, masks, positions, torch.stack(ratios, dim=1), valid_sizes[video_indices], frame_mask)

    def memory_mask(self, level: int, frames: slice | None = None) -> torch.Tensor:
        """(expressions, frames * level tokens) bool over those frames of the clip, or over all."""
        frame_mask = self.frame_mask if frames is None else self.frame_mask[:, frames]
        return (frame_mask[:, :, None] & self.masks[level][:, None]).flatten(1)

    def rows(self, expressions: slice) -> "LevelGeometry":
        """That of some of the expressions."""
        return LevelGeometry(
            self.shapes,
            [mask[expressions] for mask in self.masks],
            [position[expressions] for position in self.positions],
            self.valid_ratios[expressions],
            self.valid_sizes[expressions],
            self.frame_mask[expressions],
        )


@dataclass
class FusedInputs:
    """
    Vision and words after they have read each other.

    Args:
        levels: (expressions, frames, level tokens, d_model) per level.
        text_features: (expressions, d_model) mean of the fused words.
        decoder_target: (expressions, d_model) content of the decoder queries; None = zeros.
    """

    levels: list[torch.Tensor]
    text_features: torch.Tensor
    decoder_target: torch.Tensor | None


@dataclass
class Words:
    """Projected words of each expression: features and positions (expressions, tokens, d_model), mask as given."""

    features: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor

    def mean(self, features: torch.Tensor) -> torch.Tensor:
        """Mean of (expressions, tokens, d_model) over the real words."""
        mask = self.mask[..., None].to(features.dtype)
        return (features * mask).sum(1) / mask.sum(1)

    def rows(self, expressions: slice) -> "Words":
        """Those of some of the expressions."""
        return Words(self.features[expressions], self.positions[expressions], self.mask[expressions])


class SocModulatedAttention(nn.Module):
    """Attention whose result scales the reader: no residual, no norm (SOC 3.1, official `MMF`)."""

    def __init__(self, config: SocConfig):
        super().__init__()
        self.attention = SocAttention(config, config.fusion_attention_heads)

    def forward(
        self,
        reader: torch.Tensor,
        memory: torch.Tensor,
        memory_position: torch.Tensor | None = None,
        memory_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """reader: (batch, readers, d_model); memory and its position: (batch, tokens, d_model); mask: True = real."""
        key = memory if memory_position is None else memory + memory_position
        mask = None if memory_mask is None else additive_key_mask(memory_mask, reader.dtype)
        return reader * self.attention(reader, key, memory, mask)

    def read_chunks(
        self, reader: torch.Tensor, chunks: Iterable[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
    ) -> torch.Tensor:
        """The same for a memory that comes in chunks: memory, its position, mask."""
        keys = ((memory + position, memory, mask) for memory, position, mask in chunks)
        return reader * self.attention.read_chunks(reader, keys)


# Tokens (expressions, frames, level tokens, d_model) of the four levels in some frames of the clips.
ReadFrames = Callable[[slice], list[torch.Tensor]]


class SocCrossFusion(nn.Module):
    """Early fusion of SOC: every level reads the words; the words read the stride-32 level of all frames."""

    def __init__(self, config: SocConfig):
        super().__init__()
        self.vision_reads_words = SocModulatedAttention(config)
        self.words_read_vision = SocModulatedAttention(config)

    def forward(self, levels: list[torch.Tensor], words: Words, geometry: LevelGeometry) -> FusedInputs:
        """levels: (expressions, frames, level tokens, d_model) each."""
        fused = self.fuse_levels(levels, words)
        frames = levels[2].shape[1]
        position = geometry.positions[2][:, None].expand(-1, frames, -1, -1).flatten(1, 2)
        fused_words = self.words_read_vision(
            words.features, levels[2].flatten(1, 2), position, geometry.memory_mask(2)
        )
        return FusedInputs(fused, words.mean(fused_words), None)

    def fuse_levels(self, levels: list[torch.Tensor], words: Words) -> list[torch.Tensor]:
        return [self.fuse_level(level, words) for level in levels]

    def fuse_level(self, level: torch.Tensor, words: Words) -> torch.Tensor:
        fused = self.vision_reads_words(level.flatten(1, 2), words.features, words.positions, words.mask)
        return fused.view(level.shape)

    def read_chunks(self, read: ReadFrames, chunks: list[slice], words: Words, geometry: LevelGeometry) -> FusedInputs:
        """As `forward`, but the frames pass chunk by chunk, and the fused levels are left to `fuse_levels`."""
        fused_words = self.words_read_vision.read_chunks(words.features, self._memory(read, chunks, geometry))
        return FusedInputs([], words.mean(fused_words), None)

    @staticmethod
    def _memory(
        read: ReadFrames, chunks: list[slice], geometry: LevelGeometry
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        for chunk in chunks:
            memory = read(chunk)[2]
            position = geometry.positions[2][:, None].expand_as(memory)
            yield memory.flatten(1, 2), position.flatten(1, 2), geometry.memory_mask(2, chunk)


class SocProxyFusion(SocCrossFusion):
    """Early fusion of SOC++: proxies collect the fused levels of all frames, and the words read the proxies."""

    def __init__(self, config: SocConfig):
        super().__init__(config)
        self.proxies = nn.Embedding(config.num_proxies, config.d_model)
        self.proxies_read_vision = SocModulatedAttention(config)

    def forward(self, levels: list[torch.Tensor], words: Words, geometry: LevelGeometry) -> FusedInputs:
        """levels: (expressions, frames, level tokens, d_model) each."""
        fused = self.fuse_levels(levels, words)
        proxies = self._initial_proxies(words)
        for index in range(NUM_LEVELS - 1):
            memory = fused[index].flatten(1, 2)
            # The official keys take the map itself for its position.
            proxies = proxies + self.proxies_read_vision(proxies, memory, memory, geometry.memory_mask(index))
        return self._finish(fused, words, proxies)

    def read_chunks(self, read: ReadFrames, chunks: list[slice], words: Words, geometry: LevelGeometry) -> FusedInputs:
        """As `forward`, but the frames pass chunk by chunk, and the fused levels are left to `fuse_levels`."""
        proxies = self._initial_proxies(words)
        for index in range(NUM_LEVELS - 1):
            fused = ((self.fuse_level(read(chunk)[index], words).flatten(1, 2), chunk) for chunk in chunks)
            memory = ((level, level, geometry.memory_mask(index, chunk)) for level, chunk in fused)
            proxies = proxies + self.proxies_read_vision.read_chunks(proxies, memory)
        return self._finish([], words, proxies)

    def _initial_proxies(self, words: Words) -> torch.Tensor:
        return self.proxies.weight.expand(words.features.shape[0], -1, -1)

    def _finish(self, fused: list[torch.Tensor], words: Words, proxies: torch.Tensor) -> FusedInputs:
        fused_words = self.words_read_vision(words.features, proxies)
        return FusedInputs(fused, words.mean(fused_words), proxies.mean(1))


EARLY_FUSIONS = {"cross": SocCrossFusion, "proxy": SocProxyFusion}

__all__ = [
    "EARLY_FUSIONS",
    "FusedInputs",
    "LevelGeometry",
    "SocModulatedAttention",
    "SocVideoFeatures",
    "Words",
]

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Mask head of SOC: mask features from the encoder, and for each query a small network that reads them."""

from itertools import pairwise

import torch
from torch import nn

from .configuration_soc import SocConfig
from .modeling_inference import RELU, linear, works_in_pieces

# The mask decoder joins the three finest levels, and the fusion reads words at the third: the papers' fixed layout.
NUM_LEVELS = 4
MASK_STRIDE = 4
MASK_GROUP_NORM_GROUPS = 8
MASK_CHUNK_FRAMES = 8  # frames whose masks are computed at a time in inference


class SocMLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, widths: list[int]):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        for layer in self.layers[:-1]:
            hidden_states = linear(layer, hidden_states, RELU)
        return linear(self.layers[-1], hidden_states)


class SocPixelDecoder(nn.Module):
    """Joins encoder memory of strides 32, 16 and 8 with the stride-4 backbone map (official `FPNSpatialDecoder`)."""

    def __init__(self, config: SocConfig, fine_channels: int):
        super().__init__()
        widths = [config.d_model // 2**step for step in range(5)]
        if config.mask_decoder_round_widths:
            widths = [-(-width // MASK_GROUP_NORM_GROUPS) * MASK_GROUP_NORM_GROUPS for width in widths]
        inputs = [config.d_model, *widths[:-1]]
        self.convs = nn.ModuleList(nn.Conv2d(*pair, 3, padding=1) for pair in zip(inputs, widths, strict=True))
        self.norms = nn.ModuleList(nn.GroupNorm(MASK_GROUP_NORM_GROUPS, width) for width in widths)
        laterals = [config.d_model, config.d_model, fine_channels]
        self.laterals = nn.ModuleList(nn.Conv2d(*pair, 1) for pair in zip(laterals, widths[1:4], strict=True))
        self.output = nn.Conv2d(widths[-1], config.mask_feature_channels, 3, padding=1)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """
        maps: strides 32, 16, 8 and 4, each (frames, channels, h, w), the last from `project_fine`; returns mask
        features of stride 4.
        """
        skips = [self.laterals[0](maps[1]), self.laterals[1](maps[2]), maps[3]]
        features = self._block(0, maps[0])
        for step, skip in enumerate(skips, start=1):
            features = self._block(step, features)
            features = skip + nn.functional.interpolate(features, size=skip.shape[-2:], mode="nearest")
        return self.output(self._block(4, features))

    def project_fine(self, fine_map: torch.Tensor) -> torch.Tensor:
        """Stride-4 map of the backbone (frames, channels, h, w) at the width of its place; it knows no words."""
        return self.laterals[-1](fine_map)

    def _block(self, step: int, features: torch.Tensor) -> torch.Tensor:
        return self.norms[step](self.convs[step](features)).relu()


class SocMaskHead(nn.Module):
    """Each query writes the weights of a small network that reads mask features and its own relative coordinates."""

    def __init__(self, config: SocConfig, fine_channels: int):
        super().__init__()
        hidden, inputs = config.mask_dynamic_channels, config.mask_feature_channels
        self.relative_coordinates = config.mask_relative_coordinates
        inputs += 2 if self.relative_coordinates else 0
        widths = [inputs] + [hidden] * (config.mask_dynamic_layers - 1) + [1]
        self.layer_shapes = list(zip(widths[1:], widths[:-1], strict=True))  # (out, in) of each dynamic layer
        self.num_weights = [rows * columns for rows, columns in self.layer_shapes]
        self.num_biases = [rows for rows, _ in self.layer_shapes]
        self.pixel_decoder = SocPixelDecoder(config, fine_channels)
        parameters = sum(self.num_weights) + sum(self.num_biases)
        self.controller = SocMLP([config.d_model] * 3 + [parameters])

    def mask_features(
        self, memory: torch.Tensor, fine_map: torch.Tensor, shapes: list[tuple[int, int]]
    ) -> torch.Tensor:
        """
        Args:
            memory: (expressions, frames, tokens, d_model) encoder output, finest level first.
            fine_map: (expressions, frames, channels, h, w) stride-4 map from `pixel_decoder.project_fine`.
            shapes: (h, w) of each level.

        Returns:
            (expressions, frames, mask channels, h, w) at stride 4.
        """
        levels = memory.flatten(0, 1).split([height * width for height, width in shapes], dim=1)
        maps = [
            level.transpose(1, 2).unflatten(2, shape)
            for level, shape in zip(levels[: NUM_LEVELS - 1], shapes, strict=False)
        ]
        features = self.pixel_decoder([*reversed(maps), fine_map.flatten(0, 1)])
        return features.unflatten(0, memory.shape[:2])

    def forward(
        self, queries: torch.Tensor, references: torch.Tensor, mask_features: torch.Tensor, valid_sizes: torch.Tensor
    ) -> torch.Tensor:
        """
        Args:
            queries: (expressions, frames, queries, d_model).
            references: (expressions, frames, queries, 2) float32 (x, y) in 0..1 of the unpadded frame.
            mask_features: (expressions, frames, mask channels, h, w).
            valid_sizes: (expressions, 2) float32 (height, width) of the unpadded frames.

        Returns:
            (expressions, frames, queries, h, w) float32 mask logits.
        """
        # Coordinates are pixels and logits reach hundreds, so the dynamic layers run in float32.
        parameters = self.controller(queries).float()
        frames = parameters.shape[1]
        size = MASK_CHUNK_FRAMES if works_in_pieces(self) else frames
        chunks = zip(*(part.split(size, 1) for part in (parameters, references, mask_features)), strict=True)
        with torch.autocast(queries.device.type, enabled=False):
            masks = [self._dynamic_masks(own, points, maps.float(), valid_sizes) for own, points, maps in chunks]
        return masks[0] if len(masks) == 1 else torch.cat(masks, dim=1)

    def _dynamic_masks(
        self,
        parameters: torch.Tensor,
        references: torch.Tensor,
        mask_features: torch.Tensor,
        valid_sizes: torch.Tensor,
    ) -> torch.Tensor:
        expressions, frames, num_queries, _ = parameters.shape
        height, width = mask_features.shape[-2:]
        *layer_weights, biases = parameters.split([*self.num_weights, sum(self.num_biases)], dim=-1)
        layer_biases = biases.split(self.num_biases, dim=-1)
        weights = [
            weight.unflatten(-1, shape) for weight, shape in zip(layer_weights, self.layer_shapes, strict=True)
        ]  # (expressions, frames, queries, out, in) each

        # The first layer is linear in features and coordinates: one product reads them once for all queries.
        inputs = mask_features.flatten(3)  # (expressions, frames, channels, pixels)
        bias = layer_biases[0]
        if self.relative_coordinates:
            x_weight, y_weight = weights[0][..., -2:].unbind(-1)
            reference_x, reference_y = (references * valid_sizes.flip(-1)[:, None, None]).unsqueeze(-2).unbind(-1)
            bias = bias + x_weight * reference_x + y_weight * reference_y
            rows, columns = (
                torch.arange(size, device=inputs.device) * MASK_STRIDE + MASK_STRIDE / 2 for size in (height, width)
            )
            places = -torch.stack(torch.meshgrid(columns, rows, indexing="xy")).flatten(1)  # (2, pixels) x, y
            inputs = torch.cat([inputs, places.expand(expressions, frames, -1, -1)], dim=2)
        hidden = torch.baddbmm(
            bias.flatten(0, 1).flatten(1)[..., None],
            weights[0].flatten(0, 1).flatten(1, 2),
            inputs.flatten(0, 1),
        )  # (expressions * frames, queries * out, pixels)
        hidden = hidden.view(expressions * frames * num_queries, -1, height * width)
        for weight, bias in zip(weights[1:], layer_biases[1:], strict=True):
            hidden = torch.baddbmm(bias.flatten(0, 2)[..., None], weight.flatten(0, 2), hidden.relu())
        return hidden.view(expressions, frames, num_queries, height, width)


__all__ = ["SocMLP", "SocMaskHead", "SocPixelDecoder"]

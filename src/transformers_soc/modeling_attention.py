# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Attention, feed-forward layers and sine positions that the parts of SOC share."""

from collections.abc import Iterable

import torch
from torch import nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_soc import SocConfig
from .modeling_inference import RELU, linear, map_rows, works_in_pieces
from .modeling_video_swin import eager_attention_forward


def sine_embedding(coordinates: torch.Tensor, num_features: int) -> torch.Tensor:
    """(...) coordinates in radians to (..., num_features), sine and cosine interleaved; temperature 10000."""
    exponents = torch.arange(0, num_features, 2, device=coordinates.device, dtype=torch.float32) / num_features
    angles = coordinates[..., None] / 10000**exponents
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def map_positions(mask: torch.Tensor, d_model: int) -> torch.Tensor:
    """Sine positions (batch, h, w, d_model) float32 of maps, rows before columns; mask: (batch, h, w), True = real."""
    rows, columns = mask.cumsum(1, dtype=torch.float32), mask.cumsum(2, dtype=torch.float32)
    rows = (rows - 0.5) / (rows[:, -1:] + 1e-6) * 2 * torch.pi
    columns = (columns - 0.5) / (columns[:, :, -1:] + 1e-6) * 2 * torch.pi
    return torch.cat([sine_embedding(rows, d_model // 2), sine_embedding(columns, d_model // 2)], dim=-1)


def word_positions(mask: torch.Tensor, d_model: int) -> torch.Tensor:
    """Sine positions (expressions, tokens, d_model) float32 of words; mask: (expressions, tokens), True = real."""
    places = mask.cumsum(1, dtype=torch.float32)
    return sine_embedding(places / (places[:, -1:] + 1e-6) * 2 * torch.pi, d_model)


def additive_key_mask(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(batch, keys) with True = attend, to an additive mask (batch, 1, 1, keys)."""
    blocked = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)
    return blocked[:, None, None, :]


class SocAttention(nn.Module):
    """Multi-head attention through the attention interface of transformers."""

    def __init__(self, config: SocConfig, num_heads: int, dropout: float = 0.0):
        super().__init__()
        self.config = config
        self.num_heads = num_heads
        self.head_dim = config.d_model // num_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = False
        self.dropout = dropout
        self.q_proj = nn.Linear(config.d_model, config.d_model)
        self.k_proj = nn.Linear(config.d_model, config.d_model)
        self.v_proj = nn.Linear(config.d_model, config.d_model)
        self.out_proj = nn.Linear(config.d_model, config.d_model)

    def _split_heads(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(batch, tokens, channels) to (batch, heads, tokens, width)."""
        return hidden_states.view(*hidden_states.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """query: (batch, queries, channels); key, value: (batch, keys, channels); attention_mask: additive, 4-D."""
        query = self._split_heads(linear(self.q_proj, query))
        key = self._split_heads(linear(self.k_proj, key))
        value = self._split_heads(linear(self.v_proj, value))
        attention = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        dropout = self.dropout if self.training else 0.0
        if attention_mask is not None:
            attention_mask = attention_mask.to(query.dtype)
        output, _ = attention(self, query, key, value, attention_mask, dropout=dropout, scaling=self.scaling)
        return linear(self.out_proj, output.flatten(2))

    def read_chunks(
        self, query: torch.Tensor, chunks: Iterable[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
    ) -> torch.Tensor:
        """
        Attention over keys and values that come in chunks (key, value, mask with True = attend), for few queries:
        sums are carried on, in float32, under the largest score so far, so that the result is that of one pass.
        """
        query = self._split_heads(linear(self.q_proj, query)).float() * self.scaling
        largest = query.new_full((*query.shape[:-1], 1), torch.finfo(torch.float32).min)
        total, summed = torch.zeros_like(largest), torch.zeros_like(query)
        for key, value, mask in chunks:
            keys = self._split_heads(linear(self.k_proj, key)).float()
            values = self._split_heads(linear(self.v_proj, value)).float()
            scores = (query @ keys.mT).masked_fill(~mask[:, None, None], torch.finfo(torch.float32).min)
            raised = torch.maximum(largest, scores.amax(-1, keepdim=True))
            weights = (scores - raised).exp_()
            kept = (largest - raised).exp_()
            total = total * kept + weights.sum(-1, keepdim=True)
            summed = summed * kept + weights @ values
            largest = raised
        output = (summed / total).to(self.q_proj.weight.dtype)
        return linear(self.out_proj, output.transpose(1, 2).flatten(2))


class SocFeedForward(nn.Module):
    """Two linear layers beside a residual, with a norm after it."""

    def __init__(self, width: int, hidden_width: int, dropout: float):
        super().__init__()
        self.linear1 = nn.Linear(width, hidden_width)
        self.linear2 = nn.Linear(hidden_width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(..., width) in and out."""
        if not works_in_pieces(self):
            return self._update(hidden_states)
        rows = hidden_states.reshape(-1, hidden_states.shape[-1])
        return map_rows(rows, self.linear1.out_features, self._update).view(hidden_states.shape)

    def _update(self, hidden_states: torch.Tensor) -> torch.Tensor:
        expanded = self.dropout(linear(self.linear1, hidden_states, RELU))
        return self.norm(hidden_states + self.dropout(linear(self.linear2, expanded)))


__all__ = ["SocAttention", "SocFeedForward", "additive_key_mask", "map_positions", "sine_embedding", "word_positions"]

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
The object clusters of a whole clip, and what frame queries take from them: the video cluster with the frame weights of
SOC++, and the fusion of video-level and frame-level queries.
"""

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .configuration_soc import SocConfig
from .modeling_attention import SocAttention, SocFeedForward, additive_key_mask
from .modeling_inference import linear

# Constants of the SOC++ fusion (paper and official code).
WALK_PROBABILITY = 0.5
WALK_SHARPNESS = 5.0
VARIATION_WEIGHT = 0.5


class SocFrameScorer(nn.Module):
    """Scalar from all queries of a frame (official `score_embd`, `diff_embd`)."""

    def __init__(self, config: SocConfig):
        super().__init__()
        width = config.num_queries * config.d_model
        hidden = config.frame_scorer_ffn_dim
        self.feed_forward = SocFeedForward(width, hidden, config.cluster_dropout) if hidden else nn.Identity()
        self.output = nn.Linear(width, 1)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """(..., queries * d_model) to (...)."""
        return linear(self.output, self.feed_forward(frames)).squeeze(-1).sigmoid()


class SocFrameWeighting(nn.Module):
    """How informative each frame is: what its queries show, how they match the words, and how much is new."""

    def __init__(self, config: SocConfig):
        super().__init__()
        self.official_match_order = config.official_match_order
        self.visibility = SocFrameScorer(config)
        self.variation = SocFrameScorer(config)

    def forward(
        self, hidden: torch.Tensor, text_features: torch.Tensor, frame_mask: torch.Tensor, first_layer: int
    ) -> torch.Tensor:
        """
        Args:
            hidden: (layers, expressions, frames, queries, d_model) frame queries of all decoder layers.
            text_features: (expressions, d_model) mean of the fused words.
            frame_mask: (expressions, frames) bool.
            first_layer: weights are computed from this layer on.

        Returns:
            (layers - first_layer, expressions, frames) weights in 0..2.5.
        """
        frames = hidden[first_layer:].flatten(3)  # (layers, expressions, frames, queries * d_model)
        # Half precision would lose the frames of a long sum.
        count = torch.arange(1, frames.shape[2] + 1, device=frames.device, dtype=torch.float32)
        running_mean = frames.cumsum(2, dtype=torch.float32) / count[:, None]
        news = (frames - running_mean).to(frames.dtype)
        match = self._match(hidden, text_features, frame_mask)[first_layer:]
        return self.visibility(frames) + match + VARIATION_WEIGHT * self.variation(news)

    def _match(self, hidden: torch.Tensor, text_features: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
        """Language match (layers, expressions, frames)."""
        directions = nn.functional.normalize(hidden, dim=-1)
        text_direction = nn.functional.normalize(text_features, dim=-1)
        match = self._cosines(directions, text_direction).mean(-1).sigmoid()
        if not self.official_match_order:
            return match
        layers, expressions, frames = match.shape
        # The official code fills (frame, layer) and reads (layer, frame), over the clip's own frames.
        filled = match.permute(1, 2, 0).reshape(expressions, frames * layers)
        lengths = frame_mask.sum(1)[:, None, None]
        layer = torch.arange(layers, device=match.device)[:, None]
        frame = torch.arange(frames, device=match.device)
        read = (layer * lengths + frame).clamp(max=frames * layers - 1).flatten(1)
        return filled.gather(1, read).view(expressions, layers, frames).transpose(0, 1)

    @staticmethod
    def _cosines(directions: torch.Tensor, text_direction: torch.Tensor) -> torch.Tensor:
        """(layers, expressions, frames, queries) between unit vectors of queries and of the text."""
        return torch.einsum("lefnc,ec->lefn", directions, text_direction)


class SocClusterEncoderLayer(GradientCheckpointingLayer):
    """Frame queries of the clip attend to each other (or to their weighted originals)."""

    def __init__(self, config: SocConfig):
        super().__init__()
        self.attention = SocAttention(config, config.cluster_attention_heads, config.cluster_dropout)
        self.attention_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = SocFeedForward(config.d_model, config.cluster_ffn_dim, config.cluster_dropout)
        self.dropout = nn.Dropout(config.cluster_dropout)

    def forward(
        self, hidden_states: torch.Tensor, memory: torch.Tensor | None, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """hidden_states, memory: (clips, frames * queries, d_model); no memory: self-attention."""
        memory = hidden_states if memory is None else memory
        attended = self.attention(hidden_states, memory, memory, attention_mask)
        return self.feed_forward(self.attention_norm(hidden_states + self.dropout(attended)))


class SocClusterDecoderLayer(GradientCheckpointingLayer):
    """Video queries collect the frame queries of the clip."""

    def __init__(self, config: SocConfig):
        super().__init__()
        self.cross_attn = SocAttention(config, config.cluster_attention_heads, config.cluster_dropout)
        self.cross_attn_norm = nn.LayerNorm(config.d_model)
        self.self_attn = SocAttention(config, config.cluster_attention_heads, config.cluster_dropout)
        self.self_attn_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = SocFeedForward(config.d_model, config.cluster_ffn_dim, config.cluster_dropout)
        self.dropout = nn.Dropout(config.cluster_dropout)

    def forward(
        self,
        hidden_states: torch.Tensor,
        query_position: torch.Tensor,
        memory: torch.Tensor,
        memory_position: torch.Tensor,
        attention_mask: torch.Tensor,
    ) -> torch.Tensor:
        """hidden_states: (clips, queries, d_model); memory and its position: (clips, frames * queries, d_model)."""
        attended = self.cross_attn(hidden_states + query_position, memory + memory_position, memory, attention_mask)
        hidden_states = self.cross_attn_norm(hidden_states + self.dropout(attended))
        placed = hidden_states + query_position
        attended = self.self_attn(placed, placed, hidden_states)
        return self.feed_forward(self.self_attn_norm(hidden_states + self.dropout(attended)))


class SocVideoCluster(nn.Module):
    """Semantic-assisted object cluster (SOC 3.2): frame queries and words become queries of the whole clip."""

    def __init__(self, config: SocConfig):
        super().__init__()
        self.window_size = config.cluster_window_size
        self.frame_weighting = SocFrameWeighting(config) if config.frame_weighting else None
        self.query_content = nn.Embedding(config.num_queries, config.d_model) if config.frame_weighting else None
        self.frame_query_position = nn.Embedding(config.num_queries, config.d_model)
        self.query_position = nn.Embedding(config.num_queries, config.d_model)
        self.encoder_layers = nn.ModuleList(
            SocClusterEncoderLayer(config) for _ in range(config.cluster_encoder_layers)
        )
        self.decoder_layers = nn.ModuleList(
            SocClusterDecoderLayer(config) for _ in range(config.cluster_decoder_layers)
        )
        self.norm = nn.LayerNorm(config.d_model)

    def forward(
        self,
        hidden: torch.Tensor,
        sentence: torch.Tensor,
        frame_mask: torch.Tensor,
        first_layer: int,
        shift_windows: bool,
    ) -> torch.Tensor:
        """
        Args:
            hidden: (layers, expressions, frames, queries, d_model) frame queries of all decoder layers.
            sentence: (expressions, d_model).
            frame_mask: (expressions, frames) bool.
            first_layer: decoder layers from this one on are clustered, each on its own.
            shift_windows: whether every second encoder layer shifts its windows (`cluster_window_size` > 0).

        Returns:
            (layers - first_layer, expressions, queries, d_model) video queries.
        """
        selected = hidden[first_layer:]
        layers, expressions, frames, num_queries, _ = selected.shape
        frame_queries = selected.reshape(layers * expressions, frames * num_queries, -1)
        memory = None
        content = sentence[:, None].expand(-1, num_queries, -1)
        if self.frame_weighting is not None and self.query_content is not None:
            weights = self.frame_weighting(hidden, sentence, frame_mask, first_layer)
            memory = (selected * weights[..., None, None]).reshape(frame_queries.shape)
            content = content + self.query_content.weight

        encoded = frame_queries
        for index, layer in enumerate(self.encoder_layers):
            shift = -(-self.window_size // 2) if shift_windows and index % 2 else 0
            mask = self._encoder_mask(frame_mask, num_queries, shift, encoded.dtype).repeat(layers, 1, 1, 1)
            encoded = layer(encoded, memory, mask)

        token_mask = frame_mask.repeat_interleave(num_queries, dim=1).repeat(layers, 1)
        mask = additive_key_mask(token_mask, encoded.dtype)
        frame_position = self.frame_query_position.weight.repeat(frames, 1)
        video_queries = content.repeat(layers, 1, 1)
        for layer in self.decoder_layers:
            video_queries = layer(video_queries, self.query_position.weight, encoded, frame_position, mask)
        return self.norm(video_queries).unflatten(0, (layers, expressions))

    def _encoder_mask(
        self, frame_mask: torch.Tensor, num_queries: int, shift: int, dtype: torch.dtype
    ) -> torch.Tensor:
        """Additive (expressions, 1, 1 or tokens, tokens): real frames, of the same window where there are windows."""
        if not self.window_size:
            return additive_key_mask(frame_mask.repeat_interleave(num_queries, dim=1), dtype)
        window = (torch.arange(frame_mask.shape[1], device=frame_mask.device) + shift) // self.window_size
        same_window = window[:, None] == window[None, :]
        # A padded frame may read its whole window: its row must not be empty, and nobody reads it.
        allowed = same_window & (frame_mask[:, None, :] | ~frame_mask[:, :, None])
        allowed = allowed.repeat_interleave(num_queries, dim=1).repeat_interleave(num_queries, dim=2)
        blocked = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
        return blocked.masked_fill(~allowed, torch.finfo(dtype).min)[:, None]


class SocNoFusion(nn.Module):
    """Without a video cluster the heads read the frame queries, and a video query is the mean over the clip."""

    def forward(self, hidden: torch.Tensor, video_queries: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
        return hidden


class SocResidualFusion(nn.Module):
    """Query fusion of SOC: the video query is added to the frame query of the same index."""

    def forward(self, hidden: torch.Tensor, video_queries: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
        """hidden: (layers, expressions, frames, queries, d_model); video_queries: the same without frames."""
        return hidden + video_queries[:, :, None]


class SocRandomWalkFusion(nn.Module):
    """Query fusion of SOC++: video queries walk over the frame queries, which then attend to them."""

    def __init__(self, config: SocConfig):
        super().__init__()
        self.attention = SocAttention(config, config.query_fusion_attention_heads, config.cluster_dropout)
        self.norm = nn.LayerNorm(config.d_model)
        self.dropout = nn.Dropout(config.cluster_dropout)

    def forward(self, hidden: torch.Tensor, video_queries: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
        """hidden: (layers, expressions, frames, queries, d_model); video_queries: the same without frames."""
        frame_queries = hidden.flatten(2, 3)  # (layers, expressions, frames * queries, d_model)
        token_mask = frame_mask.repeat_interleave(hidden.shape[3], dim=1)
        walked = self.random_walk(video_queries, frame_queries, token_mask).flatten(0, 1)
        flat = frame_queries.flatten(0, 1)
        attended = self.attention(flat, walked, walked)
        return self.norm(flat + self.dropout(attended)).view(hidden.shape)

    @staticmethod
    def random_walk(
        video_queries: torch.Tensor, frame_queries: torch.Tensor, token_mask: torch.Tensor
    ) -> torch.Tensor:
        """
        Limit of the walk between video queries (layers, expressions, M, d_model) and frame queries (layers,
        expressions, K, d_model), solved in float32; token_mask: (expressions, K) bool. Returns the walked ones.
        """
        with torch.autocast(video_queries.device.type, enabled=False):
            walked = SocRandomWalkFusion._solve_walk(video_queries.float(), frame_queries.float(), token_mask)
        return walked.to(video_queries.dtype)

    @staticmethod
    def _solve_walk(video: torch.Tensor, frame: torch.Tensor, token_mask: torch.Tensor) -> torch.Tensor:
        steps, start = SocRandomWalkFusion.walk_system(video, frame, token_mask)
        # Eigenvalues of `steps` lie in 0..1, so the system is never singular.
        system = torch.eye(steps.shape[-1], device=steps.device) - WALK_PROBABILITY**2 * steps
        return (1 - WALK_PROBABILITY) * torch.linalg.solve(system, start)

    @staticmethod
    def walk_system(
        video: torch.Tensor, frame: torch.Tensor, token_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Steps between video queries (layers, expressions, M, M), and where the walk starts (..., M, d_model)."""
        unit_video = video / (video.norm(dim=-1, keepdim=True) + 1e-9)
        unit_frame = frame / (frame.norm(dim=-1, keepdim=True) + 1e-9)
        affinity = WALK_SHARPNESS * unit_frame @ unit_video.mT  # (layers, expressions, K, M)
        affinity = affinity.masked_fill(~token_mask[..., None], float("-inf")).softmax(dim=-2)
        back = affinity / (affinity.sum(-1, keepdim=True) + 1e-9)
        return affinity.mT @ back, video + WALK_PROBABILITY * affinity.mT @ frame


def build_query_fusion(config: SocConfig) -> nn.Module:
    if config.query_fusion == "random_walk":
        return SocRandomWalkFusion(config)
    return SocResidualFusion() if config.query_fusion == "residual" else SocNoFusion()


__all__ = ["SocVideoCluster", "build_query_fusion"]

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
SOC and SOC++ for referring video object segmentation, in the order in which data flows.

Every tensor is batch first. Axes are named videos, expressions (one sentence about one video), frames, queries, tokens
and channels. Padding never reaches a real frame or word: masks are True where something is real.
"""

from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoBackbone, AutoModel
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import PreTrainedModel
from transformers.models.detr.modeling_detr import replace_batch_norm
from transformers.processing_utils import Unpack
from transformers.utils import ModelOutput, TransformersKwargs, can_return_tuple
from transformers.utils.output_capturing import resolve_hidden_states_indices, selected_hidden_states

from .configuration_checks import shorten
from .configuration_soc import SocConfig
from .deformable_attention import SocDeformableAttention, compass_offsets, level_sizes
from .loss_soc import soc_loss
from .modeling_attention import SocAttention, SocFeedForward, word_positions
from .modeling_fusion import (
    EARLY_FUSIONS,
    FusedInputs,
    LevelGeometry,
    SocModulatedAttention,
    SocVideoFeatures,
    Words,
)
from .modeling_inference import chunk_size, is_recorded, works_in_pieces
from .modeling_mask_head import NUM_LEVELS, SocMaskHead, SocMLP, SocPixelDecoder
from .modeling_video_cluster import SocVideoCluster, build_query_fusion
from .modeling_video_swin import VideoSwinBackbone, init_torch_default

GROUP_NORM_GROUPS = 32
CLASS_PRIOR_BIAS = -4.59511985013459  # log(0.01 / 0.99): a query refers to the sentence with probability 0.01
PADDED_LOGIT = -1e4
PROJECTION_CHUNK_FRAMES = 4  # frames of a backbone map that are projected at a time in inference


@dataclass
class SocModelOutput(ModelOutput):
    """
    Output of [`SocModel`]. In time-padded frames logits and masks are -1e4 and boxes 0.

    Args:
        loss: scalar weighted sum of `loss_dict`, with `labels`.
        loss_dict: unweighted losses by their official names, `_0`, `_1` for the auxiliary levels.
        logits: (expressions, frames, queries, classes).
        pred_boxes: (expressions, frames, queries, 4) float32 (cx, cy, w, h) in 0..1 of the unpadded frame.
        pred_masks: (expressions, frames, queries, ceil(H/4), ceil(W/4)) float32 logits; one query with
            `best_query_only`.
        selected_queries: (expressions,) the query of `pred_masks`, with `best_query_only`.
        video_queries: (expressions, queries, d_model) clusters of the clip, vision side of the contrastive loss.
        frame_queries: (expressions, frames, queries, d_model) queries that the heads read.
        text_features: (expressions, d_model) mean of the fused words, text side of the contrastive loss.
        auxiliary_outputs: in training, for each earlier decoder layer a dict of `logits`, `pred_boxes`, `pred_masks`
            and `video_queries`.
        hidden_states: decoder input and layer outputs, each (expressions, frames, queries, d_model), on request.
    """

    loss: torch.FloatTensor | None = None
    loss_dict: dict[str, torch.FloatTensor] | None = None
    logits: torch.FloatTensor | None = None
    pred_boxes: torch.FloatTensor | None = None
    pred_masks: torch.FloatTensor | None = None
    selected_queries: torch.LongTensor | None = None
    video_queries: torch.FloatTensor | None = None
    frame_queries: torch.FloatTensor | None = None
    text_features: torch.FloatTensor | None = None
    auxiliary_outputs: list[dict[str, torch.FloatTensor]] | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None


def inverse_sigmoid(probability: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
    probability = probability.clamp(0, 1)
    return torch.log(probability.clamp(min=eps) / (1 - probability).clamp(min=eps))


class SocTextProjection(nn.Module):
    """Brings words and sentence to the width of the model."""

    def __init__(self, config: SocConfig):
        super().__init__()
        text_config: Any = config.text_config
        self.linear = nn.Linear(text_config.hidden_size, config.d_model)
        self.norm = nn.LayerNorm(config.d_model, eps=1e-12)
        self.dropout = nn.Dropout(config.text_projection_dropout)

    def forward(self, text_states: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.norm(self.linear(text_states)))


class SocLevelProjections(nn.Module):
    """Backbone maps of strides 8, 16 and 32 to width d_model, and a fourth level of stride 64."""

    def __init__(self, config: SocConfig, channels: list[int]):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width, config.d_model, kernel_size=1) for width in channels[1:])
        self.convs.append(nn.Conv2d(channels[-1], config.d_model, kernel_size=3, stride=2, padding=1))
        self.norms = nn.ModuleList(nn.GroupNorm(GROUP_NORM_GROUPS, config.d_model) for _ in range(NUM_LEVELS))

    def forward(self, backbone_maps: Iterable[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """
        Maps (videos, frames, channels, h, w) of strides 32, 16 and 8, each dropped once it is projected, to four of
        strides 8 to 64 (videos, frames, d_model, h, w).
        """
        levels: list[torch.Tensor] = []
        for source in backbone_maps:
            if not levels:
                levels.append(self._project(3, source))
            levels.append(self._project(3 - len(levels), source))
            del source  # before the next one is made ready
        return tuple(reversed(levels))

    def _project(self, level: int, source: torch.Tensor) -> torch.Tensor:
        def project(frames: torch.Tensor) -> torch.Tensor:
            return self.norms[level](self.convs[level](frames))

        return map_frames(project, source, PROJECTION_CHUNK_FRAMES if works_in_pieces(self) else None)


def map_frames(
    function: Callable[[torch.Tensor], torch.Tensor], source: torch.Tensor, size: int | None
) -> torch.Tensor:
    """
    Applies a function of (frames, channels, h, w) to every frame of (videos, frames, channels, h, w): to all at once,
    or to `size` at a time with the results laid out channels last.
    """
    flat = source.flatten(0, 1)
    if size is None:
        return function(flat).unflatten(0, source.shape[:2])
    (results,) = map_chunks(lambda frames: [function(frames)], flat, size)
    return results.unflatten(0, source.shape[:2])


def map_chunks(
    function: Callable[[torch.Tensor], list[torch.Tensor]], frames: torch.Tensor, size: int
) -> list[torch.Tensor]:
    """
    Applies a function from frames (frames, channels, h, w) to several such maps to `size` frames at a time, with the
    results laid out channels last.
    """
    results: list[torch.Tensor] = []
    for start in range(0, len(frames), size):
        parts = function(frames[start : start + size])
        results = results or [
            part.new_empty(len(frames), *part.shape[2:], part.shape[1]).permute(0, 3, 1, 2) for part in parts
        ]
        for whole, part in zip(results, parts, strict=True):
            whole[start : start + size] = part
    return results


class SocDeformableEncoderLayer(GradientCheckpointingLayer):
    def __init__(self, config: SocConfig):
        super().__init__()
        self.self_attn = SocDeformableAttention(
            config.d_model, config.encoder_attention_heads, NUM_LEVELS, config.encoder_n_points
        )
        self.self_attn_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = SocFeedForward(config.d_model, config.encoder_ffn_dim, config.dropout)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        hidden_states: torch.Tensor,
        position: torch.Tensor,
        reference_points: torch.Tensor,
        mask: torch.Tensor,
        spatial_shapes: list[tuple[int, int]],
    ) -> torch.Tensor:
        """hidden_states: (expressions, frames, tokens, d_model); position: (expressions, 1, tokens, d_model)."""
        queries = hidden_states + position
        attended = self.self_attn(queries, reference_points, hidden_states, mask, spatial_shapes)
        return self.feed_forward(self.self_attn_norm(hidden_states + self.dropout(attended)))


class SocDeformableEncoder(nn.Module):
    """Multi-scale tokens of each frame exchange what they know; frames stay apart."""

    def __init__(self, config: SocConfig):
        super().__init__()
        self.level_embed = nn.Parameter(torch.zeros(NUM_LEVELS, config.d_model))
        self.layers = nn.ModuleList(SocDeformableEncoderLayer(config) for _ in range(config.encoder_layers))

    def forward(self, levels: list[torch.Tensor], geometry: LevelGeometry) -> torch.Tensor:
        """levels: (expressions, frames, level tokens, d_model) each; returns their encoded tokens, joined."""
        hidden_states = torch.cat(levels, dim=2)
        positions = [place + embed for place, embed in zip(geometry.positions, self.level_embed, strict=True)]
        position = torch.cat(positions, dim=1)[:, None].to(hidden_states.dtype)
        mask = torch.cat(geometry.masks, dim=1)[:, None]
        reference_points = self._reference_points(geometry)[:, None]
        for layer in self.layers:
            hidden_states = layer(hidden_states, position, reference_points, mask, geometry.shapes)
        return hidden_states

    @staticmethod
    def _reference_points(geometry: LevelGeometry) -> torch.Tensor:
        """Centre of each token seen from each level, (expressions, tokens, levels, 2) in 0..1 of the padded map."""
        centres = []
        for index, (height, width) in enumerate(geometry.shapes):
            ratios = geometry.valid_ratios[:, index]  # (expressions, 2)
            rows = torch.arange(height, device=ratios.device) + 0.5
            columns = torch.arange(width, device=ratios.device) + 0.5
            grid_rows, grid_columns = torch.meshgrid(rows, columns, indexing="ij")
            pixels = torch.stack([grid_columns, grid_rows], dim=-1).flatten(0, 1)  # (level tokens, 2)
            centres.append(pixels / (ratios * level_sizes([(height, width)], ratios)[0])[:, None])
        return torch.cat(centres, dim=1)[:, :, None] * geometry.valid_ratios[:, None]


class SocDeformableDecoderLayer(GradientCheckpointingLayer):
    def __init__(self, config: SocConfig):
        super().__init__()
        self.self_attn = SocAttention(config, config.decoder_attention_heads, config.dropout)
        self.self_attn_norm = nn.LayerNorm(config.d_model)
        self.cross_attn = SocDeformableAttention(
            config.d_model, config.decoder_attention_heads, NUM_LEVELS, config.decoder_n_points
        )
        self.cross_attn_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = SocFeedForward(config.d_model, config.decoder_ffn_dim, config.dropout)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        hidden_states: torch.Tensor,
        query_position: torch.Tensor,
        reference_points: torch.Tensor,
        memory: torch.Tensor,
        mask: torch.Tensor,
        spatial_shapes: list[tuple[int, int]],
    ) -> torch.Tensor:
        """hidden_states: (expressions, frames, queries, d_model); reference_points: (..., queries, levels, 2 or 4)."""
        flat = hidden_states.flatten(0, 1)
        attended = self.self_attn(flat + query_position, flat + query_position, flat).view(hidden_states.shape)
        hidden_states = self.self_attn_norm(hidden_states + self.dropout(attended))
        queries = hidden_states + query_position
        attended = self.cross_attn(queries, reference_points, memory, mask, spatial_shapes)
        return self.feed_forward(self.cross_attn_norm(hidden_states + self.dropout(attended)))


@dataclass
class DecoderStates:
    """
    What the deformable decoder found in each frame.

    Args:
        states: its input and its layers' outputs, (expressions, frames, queries, d_model) each.
        hidden: (layers, expressions, frames, queries, d_model) its layers' outputs in one tensor.
        init_reference: (expressions, frames, queries, 2) float32 first reference points.
        references: (layers, expressions, frames, queries, 4) float32 boxes after each layer, detached.
    """

    states: tuple[torch.Tensor, ...]
    hidden: torch.Tensor
    init_reference: torch.Tensor
    references: torch.Tensor

    def before(self, layer: int) -> torch.Tensor:
        """Reference points or boxes that layer `layer` refines."""
        return self.init_reference if layer == 0 else self.references[layer - 1]

    @classmethod
    def join(cls, parts: list["DecoderStates"], axis: int) -> "DecoderStates":
        """Those of more expressions (axis 0) or of more frames (axis 1)."""
        if len(parts) == 1:
            return parts[0]
        states = zip(*(part.states for part in parts), strict=True)
        return cls(
            tuple(torch.cat(state, axis) for state in states),
            torch.cat([part.hidden for part in parts], axis + 1),
            torch.cat([part.init_reference for part in parts], axis),
            torch.cat([part.references for part in parts], axis + 1),
        )


class SocDeformableDecoder(nn.Module):
    """Frame queries look for the object in their own frame; boxes are refined from layer to layer."""

    def __init__(self, config: SocConfig):
        super().__init__()
        self.query_embed = nn.Embedding(config.num_queries, config.d_model)
        self.reference_points = nn.Linear(config.d_model, 2)
        self.layers = nn.ModuleList(SocDeformableDecoderLayer(config) for _ in range(config.decoder_layers))

    def forward(
        self, memory: torch.Tensor, target: torch.Tensor | None, geometry: LevelGeometry, box_heads: nn.ModuleList
    ) -> DecoderStates:
        """memory: (expressions, frames, tokens, d_model); target: (expressions, d_model) or None for zeros."""
        query_position = self.query_embed.weight
        shape = (*memory.shape[:2], *query_position.shape)
        hidden_states = memory.new_zeros(shape) if target is None else self._spread(target, shape)
        reference = self.reference_points(query_position).float().sigmoid().expand(*shape[:3], 2)
        init_reference = reference
        mask = torch.cat(geometry.masks, dim=1)[:, None]
        ratios = geometry.valid_ratios[:, None, None]  # (expressions, frames, queries, levels, 2)
        states, references = [hidden_states], []
        for layer, box_head in zip(self.layers, box_heads, strict=True):
            scale = ratios if reference.shape[-1] == 2 else torch.cat([ratios, ratios], dim=-1)
            points = reference[:, :, :, None] * scale
            hidden_states = layer(hidden_states, query_position, points, memory, mask, geometry.shapes)
            reference = refine_boxes(box_head(hidden_states), reference).detach()
            states.append(hidden_states)
            references.append(reference)
        return DecoderStates(tuple(states), torch.stack(states[1:]), init_reference, torch.stack(references))

    @staticmethod
    def _spread(target: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """The content (expressions, d_model) for all queries of all frames."""
        return target[:, None, None].expand(shape)


def refine_boxes(offsets: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Boxes (..., 4) float32 from raw offsets and reference boxes (..., 4), or points (..., 2) without a size yet."""
    size = reference.shape[-1]
    centre = offsets[..., :size].float() + inverse_sigmoid(reference)
    return torch.cat([centre, offsets[..., size:].float()], dim=-1).sigmoid()


# Whether the caller of `from_pretrained` gets the list of missing tensors and judges for itself.
TELLS_MISSING: ContextVar[bool] = ContextVar("TELLS_MISSING", default=False)


class CheckpointError(ValueError, RuntimeError):
    """Weights that are damaged, or not those of the configuration; also the RuntimeError of transformers for these."""


class SocPreTrainedModel(PreTrainedModel):
    config: SocConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values_videos"
    input_modalities = ["video", "text"]
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False
    _no_split_modules = [
        "VideoSwinBlock",
        "SocDeformableEncoderLayer",
        "SocDeformableDecoderLayer",
        "SocClusterEncoderLayer",
        "SocClusterDecoderLayer",
        "SocMaskHead",
    ]
    _supports_sdpa = True

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *model_args: Any, **kwargs: Any) -> Any:
        """
        As in transformers, with three differences: weights are read from safetensors alone unless `use_safetensors`
        says otherwise; tensors that are missing are an error like those of other shapes, unless
        `ignore_mismatched_sizes=True` lets them start anew or `output_loading_info=True` tells them; and weights that
        are not finite are an error.

        Raises:
            CheckpointError: names the tensors, or the folder whose file is damaged.
            OSError, ValueError: as in transformers.
        """
        if kwargs.get("use_safetensors") is None:
            kwargs["use_safetensors"] = True
        token = TELLS_MISSING.set(bool(kwargs.get("output_loading_info")))
        try:
            loaded = super().from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)
        except (SafetensorError, LookupError) as error:  # the second of a list of shards
            raise CheckpointError(
                f"The weights in '{pretrained_model_name_or_path}' are damaged or incomplete ({shorten(error)}): copy "
                "or download them again."
            ) from None
        finally:
            TELLS_MISSING.reset(token)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        broken = [name for name, weight in model.state_dict().items() if not is_finite(weight)]
        if broken:
            raise CheckpointError(
                f"The weights in '{pretrained_model_name_or_path}' are not finite in {list_names(broken)}: the "
                "training diverged, or the file is damaged."
            )
        return loaded

    @staticmethod
    def _finalize_model_loading(model: Any, load_config: Any, loading_info: Any, *others: Any) -> Any:
        # Before transformers makes what a file lacks, of any size that its configuration asks for.
        if not load_config.ignore_mismatched_sizes:
            shapes = [f"{name} {list(got)} instead of {list(own)}" for name, got, own in loading_info.mismatched_keys]
            folder = load_config.pretrained_model_name_or_path
            missing = () if folder is None or TELLS_MISSING.get() else loading_info.missing_keys
            problems = {"missing": missing, "of other shapes": shapes}
            told = [f"{problem}: {list_names(names, 4)}" for problem, names in problems.items() if names]
            if told:
                raise CheckpointError(
                    f"The weights in '{folder}' are not those of the configuration; "
                    f"{'; '.join(told)}. With `ignore_mismatched_sizes=True` such weights start anew."
                )
        return PreTrainedModel._finalize_model_loading(model, load_config, loading_info, *others)

    def _initialize_weights(self, module: nn.Module, is_custom_code: bool = False) -> None:
        # As in `VideoSwinPreTrainedModel`: modules without parameters of their own have an initialisation, too.
        super()._initialize_weights(module, is_custom_code=False)

    @torch.no_grad()
    def _init_weights(self, module: Any) -> None:
        """The official initialisation; the backbone and the text encoder initialise themselves."""
        if isinstance(module, SocDeformableAttention):
            init.zeros_(module.sampling_offsets.weight)
            offsets = compass_offsets(module.num_heads, module.num_levels, module.num_points)
            init.copy_(module.sampling_offsets.bias, offsets.flatten())
            init.zeros_(module.attention_weights.weight)
            init.zeros_(module.attention_weights.bias)
            for projection in (module.value_proj, module.output_proj):
                init_xavier(projection)
        elif isinstance(module, SocAttention):
            for projection in (module.q_proj, module.k_proj, module.v_proj):
                # The gain of the official joint (3 * d_model, d_model) matrix.
                init_xavier(projection, gain=2**-0.5)
            init_xavier(module.out_proj)
        elif isinstance(module, SocModulatedAttention):
            init_torch_default(module.attention.out_proj)
            init.zeros_(module.attention.out_proj.bias)
        elif isinstance(module, SocFeedForward):
            for linear in (module.linear1, module.linear2):
                init_torch_default(linear)
                init.xavier_uniform_(linear.weight)
        elif isinstance(module, SocDeformableEncoder):
            init.normal_(module.level_embed)
        elif isinstance(module, SocDeformableDecoder):
            init_xavier(module.reference_points)
        elif isinstance(module, SocLevelProjections):
            for conv in module.convs:
                init_xavier(conv)
        elif isinstance(module, SocPixelDecoder):
            for conv in (*module.convs, *module.laterals, module.output):
                init.kaiming_uniform_(conv.weight, a=1)
                init.zeros_(conv.bias)
        elif isinstance(module, SocMaskHead):
            for layer in module.controller.layers:
                init_xavier(layer)
        elif isinstance(module, SocModel):
            self._init_heads(module)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight)
        elif isinstance(module, (nn.Linear, nn.Conv2d)):
            init_torch_default(module)
        else:
            super()._init_weights(module)

    @staticmethod
    def _init_heads(model: Any) -> None:
        for head in model.class_heads:
            init.constant_(head.bias, CLASS_PRIOR_BIAS)
        for index, head in enumerate(model.box_heads):
            last = head.layers[-1]
            init.zeros_(last.weight)
            # The first layer's boxes start small around their point.
            size_bias = -2.0 if index == 0 else 0.0
            init.copy_(last.bias, last.bias.new_tensor([0.0, 0.0, size_bias, size_bias]))


def is_finite(weight: torch.Tensor) -> bool:
    """Whether no value is NaN or infinite, in one pass over memory; True for weights elsewhere and for no floats."""
    if weight.is_meta or not weight.is_floating_point():
        return True
    # A sum is not finite if a value is not; the other way around it may have overflowed.
    return bool(weight.sum(dtype=torch.float32).isfinite()) or bool(weight.isfinite().all())


def list_names(names: Iterable[str], limit: int = 8) -> str:
    names = sorted(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def init_xavier(module: Any, gain: float = 1.0) -> None:
    """Xavier-uniform weight and zero bias of a linear or convolution layer, skipping loaded parameters."""
    init.xavier_uniform_(module.weight, gain=gain)
    init.zeros_(module.bias)


class SocModel(SocPreTrainedModel):
    """
    SOC (arXiv 2305.17011) and SOC++: masks of the object that a sentence speaks of, in every frame of a video. Which
    of the two is a matter of the config.
    """

    def __init__(self, config: SocConfig):
        super().__init__(config)
        backbone_config: Any = config.backbone_config
        if backbone_config.model_type == "soc_video_swin":
            # Built directly: code from a Hub folder knows this class under another module name.
            self.backbone = VideoSwinBackbone._from_config(backbone_config)
        else:
            self.backbone = self._build_part(AutoBackbone, "backbone_config")
        if config.freeze_backbone_norms:
            replace_batch_norm(self.backbone)
        channels = list(self.backbone.channels)
        if len(channels) != NUM_LEVELS:
            raise ValueError(f"The backbone must return four maps (strides 4, 8, 16 and 32), got {len(channels)}.")
        self.level_projections = SocLevelProjections(config, channels)

        self.text_encoder = self._build_part(AutoModel, "text_config", add_pooling_layer=config.uses_pooled_sentence)
        self.text_projection = SocTextProjection(config)
        self.early_fusion = EARLY_FUSIONS[config.early_fusion](config)

        self.encoder = SocDeformableEncoder(config)
        self.decoder = SocDeformableDecoder(config)
        self.video_cluster = SocVideoCluster(config) if config.video_cluster else None
        self.query_fusion = build_query_fusion(config)

        self.class_heads = nn.ModuleList(
            nn.Linear(config.d_model, config.num_classes) for _ in range(config.decoder_layers)
        )
        self.box_heads = nn.ModuleList(
            SocMLP([config.d_model, config.d_model, config.d_model, 4]) for _ in range(config.decoder_layers)
        )
        self.mask_head = SocMaskHead(config, channels[0])
        self.post_init()

    def _build_part(self, auto_class: Any, name: str, **options: Any) -> Any:
        """A part that transformers knows; what it says of a configuration that makes none names the field."""
        part = getattr(self.config, name)
        try:
            return auto_class.from_config(part, **options)
        except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"`{name}` of type '{part.model_type}' cannot be built: {shorten(error)}") from error

    def get_input_embeddings(self) -> nn.Module:
        return self.text_encoder.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.text_encoder.set_input_embeddings(value)

    def get_video_features(
        self,
        pixel_values_videos: torch.Tensor,
        pixel_mask: torch.Tensor | None = None,
        annotated_frame_indices: torch.Tensor | None = None,
    ) -> SocVideoFeatures:
        """
        Everything that does not depend on the words; hand it to `forward(video_features=...)` as often as you like.

        Args:
            pixel_values_videos: (videos, frames, 3, H, W) normalised frames, zero in the padding.
            pixel_mask: (videos, frames, H, W), 1 = real pixel, 0 = padding to the right, below and, for whole frames,
                at the end of a clip. All real frames of a clip have the same size. Default: no padding.
            annotated_frame_indices: (videos,) the one frame to answer for; the backbone still sees the whole clip.

        Returns:
            [`SocVideoFeatures`].
        """
        if pixel_values_videos.ndim != 5:
            raise ValueError(
                "`pixel_values_videos` must be (videos, frames, 3, height, width), got the shape "
                f"{tuple(pixel_values_videos.shape)}."
            )
        videos, frames, _, height, width = pixel_values_videos.shape
        lengths = [frames] * videos
        if pixel_mask is None:
            spatial_mask = pixel_values_videos.new_ones((videos, height, width), dtype=torch.bool)
            frame_mask = spatial_mask.new_ones((videos, frames))
        else:
            if pixel_mask.shape != (videos, frames, height, width):
                raise ValueError(
                    f"`pixel_mask` must be (videos, frames, height, width) = {(videos, frames, height, width)}, got "
                    f"{tuple(pixel_mask.shape)}."
                )
            real = pixel_mask.bool()
            spatial_mask, frame_mask = real.any(1), real.flatten(2).any(2)
            if videos == 1 and is_recorded():
                # A graph cannot depend on the length; that of one video is whole unless somebody padded it by hand.
                torch._assert_async(frame_mask.all(), "A compiled model takes one video only without padded frames.")
            else:
                lengths = frame_mask.sum(1).tolist()
            if min(lengths) == 0:
                raise ValueError(f"Video {lengths.index(0)} has no real frame: its `pixel_mask` is all zero.")
        picked = None
        if annotated_frame_indices is not None:
            picked = torch.arange(videos, device=frame_mask.device), annotated_frame_indices.to(frame_mask.device)
            if annotated_frame_indices.shape != (videos,):
                raise ValueError(
                    f"`annotated_frame_indices` must hold one frame for each of {videos} videos, got the shape "
                    f"{tuple(annotated_frame_indices.shape)}."
                )
            frame_mask = frame_mask[picked][:, None]
        maps = self._encode_frames(pixel_values_videos.to(self.dtype), lengths, picked)
        return SocVideoFeatures(
            fine_map=maps[0], level_maps=tuple(maps[1:]), pixel_mask=spatial_mask, frame_mask=frame_mask
        )

    def _encode_frames(
        self, frames: torch.Tensor, lengths: list[int], picked: tuple[torch.Tensor, torch.Tensor] | None
    ) -> list[torch.Tensor]:
        """Projected maps (videos, frames, channels, h, w) of strides 4 to 64; of one frame of each video if picked."""
        if isinstance(self.backbone, VideoSwinBackbone):
            maps = self._clip_maps(frames, lengths)
            return self._project(maps if picked is None else [part[picked][:, None] for part in maps])
        # A 2-D backbone sees each frame alone: in inference a few at a time, since its maps are wide.
        flat = frames.flatten(0, 1)
        tokens = flat.shape[-2] * flat.shape[-1] // 48  # of the encoder: all cells of strides 8 to 64
        size = chunk_size(len(flat), tokens, flat.device) if works_in_pieces(self) else len(flat)
        whole = size == len(flat)
        maps = self._project_backbone(flat) if whole else map_chunks(self._project_backbone, flat, size)
        maps = [part.unflatten(0, frames.shape[:2]) for part in maps]
        return maps if picked is None else [part[picked][:, None] for part in maps]

    def _project_backbone(self, frames: torch.Tensor) -> list[torch.Tensor]:
        """Projected maps (frames, channels, h, w) of a 2-D backbone for frames (frames, 3, H, W)."""
        return [part[0] for part in self._project([part[None] for part in self.backbone(frames).feature_maps])]

    def _project(self, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """Projected maps of strides 4 to 64 from four of a backbone, which are taken out of the list."""
        levels = self.level_projections(self._coarse_to_fine(maps))
        return [maps[0], *levels]

    def _coarse_to_fine(self, maps: list[torch.Tensor]) -> Iterator[torch.Tensor]:
        """
        Takes the maps of strides 32, 16 and 8 out of the list, so that each is freed once it is projected; that of
        stride 4 turns into its projection before the last, largest level is made.
        """
        while len(maps) > 2:
            yield maps.pop()
        size = PROJECTION_CHUNK_FRAMES if works_in_pieces(self) else None
        maps[0] = map_frames(self.mask_head.pixel_decoder.project_fine, maps[0], size)
        yield maps.pop()

    def _clip_maps(self, frames: torch.Tensor, lengths: list[int]) -> list[torch.Tensor]:
        """Four maps (videos, frames, channels, h, w) of a 3-D backbone, which sees each clip at its own length."""
        videos, count = frames.shape[:2]
        if min(lengths) == count:
            return list(self.backbone(frames).feature_maps)
        # Temporal windows depend on the length, so clips run with those of the same length.
        maps: list[torch.Tensor] = []
        for length in sorted(set(lengths)):
            rows = [index for index, own in enumerate(lengths) if own == length]
            group = self.backbone(frames[rows, :length]).feature_maps
            maps = maps or [part.new_zeros(videos, count, *part.shape[2:]) for part in group]
            for whole, part in zip(maps, group, strict=True):
                whole[rows, :length] = part
        return maps

    def _encode_words(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> tuple[Words, torch.Tensor | None]:
        """Projected words, and the projected pooled sentence (expressions, d_model) where the model uses one."""
        self._check_length(input_ids.shape[1])
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        outputs = self.text_encoder(input_ids=input_ids, attention_mask=attention_mask)
        features = self.text_projection(outputs.last_hidden_state)
        mask = attention_mask.bool()
        positions = word_positions(mask, self.config.d_model).to(features.dtype)
        sentence = self.text_projection(outputs.pooler_output) if self.config.uses_pooled_sentence else None
        return Words(features, positions, mask), sentence

    def _check_length(self, tokens: int) -> None:
        """Refuses sentences with more tokens than the text encoder has positions."""
        positions = getattr(getattr(self.text_encoder, "embeddings", None), "position_embeddings", None)
        if is_recorded() or not isinstance(positions, nn.Embedding):
            return
        # RoBERTa counts from the position after that of padding.
        limit = positions.num_embeddings - (0 if positions.padding_idx is None else positions.padding_idx + 1)
        if tokens > limit:
            raise ValueError(f"`input_ids` have {tokens} tokens, but the text encoder reads at most {limit}.")

    @can_return_tuple
    def forward(
        self,
        pixel_values_videos: torch.Tensor | None = None,
        pixel_mask: torch.Tensor | None = None,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        video_indices: torch.Tensor | None = None,
        annotated_frame_indices: torch.Tensor | None = None,
        labels: list[dict[str, torch.Tensor]] | None = None,
        video_features: SocVideoFeatures | None = None,
        best_query_only: bool = False,
        **kwargs: Unpack[TransformersKwargs],
    ) -> SocModelOutput:
        r"""
        Args:
            pixel_values_videos: (videos, frames, 3, H, W) normalised frames.
            pixel_mask: (videos, frames, H, W), 1 = real pixel; 0 also for whole padded frames.
            input_ids, attention_mask: (expressions, tokens) sentences.
            video_indices: (expressions,) the video that each sentence is about; by default one to one, or all about
                the only video.
            annotated_frame_indices: (videos,) for benchmarks with one annotated frame per clip: outputs and labels
                have one frame.
            labels: one dict per expression: `masks` (frames, H, W) bool at the padded input size, `visible` (frames,)
                bool, optional `boxes` (frames, 4) (cx, cy, w, h) in 0..1 of the unpadded frame, and `class_labels`,
                one index, where the model has more than one class. `frames` is the clip's own length.
            video_features: output of [`SocModel.get_video_features`], instead of the videos and frame indices.
            best_query_only: compute the masks of the best-scored query alone.

        Returns:
            [`SocModelOutput`].

        Raises:
            ValueError: inputs are missing, contradict each other or do not fit together.
        """
        if input_ids is None:
            raise ValueError("`input_ids` are missing: a model of referring segmentation needs at least one sentence.")
        if video_features is None:
            if pixel_values_videos is None:
                raise ValueError("Give `pixel_values_videos`, or `video_features` from `get_video_features`.")
            video_features = self.get_video_features(pixel_values_videos, pixel_mask, annotated_frame_indices)
        elif pixel_values_videos is not None or annotated_frame_indices is not None:
            raise ValueError(
                "`video_features` replace `pixel_values_videos` and `annotated_frame_indices`: give either of them."
            )
        indices = self._resolve_video_indices(video_indices, input_ids, video_features.frame_mask.shape[0])
        if labels is not None and len(labels) != input_ids.shape[0]:
            raise ValueError(f"`labels` must hold one dict per expression: {len(labels)} for {input_ids.shape[0]}.")

        words, sentence = self._encode_words(input_ids, attention_mask)
        geometry = LevelGeometry.from_features(video_features, indices)
        text_features, states, mask_features = self._read_videos(video_features, indices, words, geometry)
        sentence = text_features if sentence is None else sentence

        fields: dict[str, Any] = {"text_features": text_features}
        if self.training or labels is not None:
            levels = self._all_levels(states, sentence, mask_features, geometry)
        if labels is not None:
            supervised = levels if self.config.auxiliary_loss else levels[-1:]
            fields["loss"], fields["loss_dict"] = soc_loss(
                supervised, labels, text_features, geometry.frame_mask, geometry.valid_sizes, self.config
            )
        if self.training:
            fields |= levels[-1]
            names = ("logits", "pred_boxes", "pred_masks", "video_queries")
            fields["auxiliary_outputs"] = [{name: level[name] for name in names} for level in levels[:-1]]
        else:
            fields |= self._inference_level(states, sentence, mask_features, geometry, best_query_only)
        wanted = kwargs.get("output_hidden_states", self.config.output_hidden_states)
        if wanted is not None and wanted is not False:
            fields["hidden_states"] = self._select_hidden_states(states.states, wanted)
        return SocModelOutput(**fields)

    def _read_videos(
        self, features: SocVideoFeatures, indices: torch.Tensor, words: Words, geometry: LevelGeometry
    ) -> tuple[torch.Tensor, DecoderStates, torch.Tensor]:
        """
        What the frames say to the words: (expressions, d_model) means of the fused words, the decoder's states and
        the mask features; in inference a group of expressions at a time.
        """
        expressions, tokens = indices.shape[0], sum(height * width for height, width in geometry.shapes)
        size = chunk_size(expressions, tokens, indices.device) if works_in_pieces(self) else expressions
        if size == expressions:
            return self._read_group(features, indices, words, geometry)
        groups = [slice(start, start + size) for start in range(0, expressions, size)]
        parts = [
            self._read_group(features, indices[group], words.rows(group), geometry.rows(group)) for group in groups
        ]
        texts, states, mask_features = zip(*parts, strict=True)
        return torch.cat(texts), DecoderStates.join(list(states), 0), torch.cat(mask_features)

    def _read_group(
        self, features: SocVideoFeatures, indices: torch.Tensor, words: Words, geometry: LevelGeometry
    ) -> tuple[torch.Tensor, DecoderStates, torch.Tensor]:
        """The same, in inference with few frames at a time: between chunks only what is small per frame is kept."""

        def read(chunk: slice) -> list[torch.Tensor]:
            return [level[:, chunk][indices].flatten(3).transpose(2, 3) for level in features.level_maps]

        frames = geometry.frame_mask.shape[1]
        tokens = indices.shape[0] * sum(height * width for height, width in geometry.shapes)
        size = chunk_size(frames, tokens, indices.device) if works_in_pieces(self) else frames
        if size == frames:
            fused = self.early_fusion(read(slice(None)), words, geometry)
            return fused.text_features, *self._decode(fused.levels, fused, features.fine_map[indices], geometry)
        chunks = [slice(start, start + size) for start in range(0, frames, size)]
        fused = self.early_fusion.read_chunks(read, chunks, words, geometry)
        parts = []
        for chunk in chunks:
            levels = self.early_fusion.fuse_levels(read(chunk), words)
            parts.append(self._decode(levels, fused, features.fine_map[:, chunk][indices], geometry))
        states, mask_features = zip(*parts, strict=True)
        return fused.text_features, DecoderStates.join(list(states), 1), torch.cat(mask_features, dim=1)

    def _decode(
        self, levels: list[torch.Tensor], fused: FusedInputs, fine_map: torch.Tensor, geometry: LevelGeometry
    ) -> tuple[DecoderStates, torch.Tensor]:
        """Decoder states and mask features of frames; nothing here passes from frame to frame."""
        memory = self.encoder(levels, geometry)
        states = self.decoder(memory, fused.decoder_target, geometry, self.box_heads)
        return states, self.mask_head.mask_features(memory, fine_map, geometry.shapes)

    def _select_hidden_states(self, states: tuple[torch.Tensor, ...], wanted: Any) -> tuple[torch.Tensor | None, ...]:
        """All states, or those of the wanted indices with None in place of the others."""
        selected = selected_hidden_states(wanted)
        if selected is None:
            return states
        indices = resolve_hidden_states_indices(self, selected, num_hidden_states=len(states))
        return tuple(state if index in indices else None for index, state in enumerate(states))

    @staticmethod
    def _resolve_video_indices(
        video_indices: torch.Tensor | None, input_ids: torch.Tensor, num_videos: int
    ) -> torch.Tensor:
        expressions = input_ids.shape[0]
        if video_indices is None:
            if num_videos not in (1, expressions):
                raise ValueError(
                    f"{expressions} expressions do not match {num_videos} videos one to one: say with `video_indices` "
                    "which video each expression is about."
                )
            indices = torch.arange(expressions, device=input_ids.device)
            return indices if num_videos == expressions else torch.zeros_like(indices)
        if video_indices.shape != (expressions,):
            raise ValueError(
                f"`video_indices` must hold one video for each of {expressions} expressions, got the shape "
                f"{tuple(video_indices.shape)}."
            )
        return video_indices

    def _cluster(
        self, states: DecoderStates, sentence: torch.Tensor, frame_mask: torch.Tensor, first: int, shift_windows: bool
    ) -> torch.Tensor:
        """Video queries (layers - first, expressions, queries, d_model) of decoder layers from `first` on."""
        if self.video_cluster is not None:
            return self.video_cluster(states.hidden, sentence, frame_mask, first, shift_windows)
        real = frame_mask[:, :, None, None].to(states.hidden.dtype)
        return (states.hidden[first:] * real).sum(2) / real.sum(1)

    def _all_levels(
        self, states: DecoderStates, sentence: torch.Tensor, mask_features: torch.Tensor, geometry: LevelGeometry
    ) -> list[dict[str, torch.Tensor]]:
        """Predictions of every decoder layer with its own clusters, as in training."""
        video_queries = self._cluster(states, sentence, geometry.frame_mask, 0, shift_windows=False)
        queries = self.query_fusion(states.hidden, video_queries, geometry.frame_mask)
        return [
            self._predict(layer, queries[layer], video_queries[layer], states, mask_features, geometry)
            for layer in range(self.config.decoder_layers)
        ]

    def _inference_level(
        self,
        states: DecoderStates,
        sentence: torch.Tensor,
        mask_features: torch.Tensor,
        geometry: LevelGeometry,
        best_query_only: bool,
    ) -> dict[str, torch.Tensor]:
        """Predictions of the decoder layer read at inference, fused with the clusters of the last layer."""
        last = self.config.decoder_layers - 1
        layer = self.config.inference_decoder_layer % self.config.decoder_layers
        video_queries = self._cluster(states, sentence, geometry.frame_mask, last, shift_windows=True)
        queries = self.query_fusion(states.hidden[layer : layer + 1], video_queries, geometry.frame_mask)
        return self._predict(layer, queries[0], video_queries[0], states, mask_features, geometry, best_query_only)

    def _predict(
        self,
        layer: int,
        queries: torch.Tensor,
        video_queries: torch.Tensor,
        states: DecoderStates,
        mask_features: torch.Tensor,
        geometry: LevelGeometry,
        best_query_only: bool = False,
    ) -> dict[str, Any]:
        """Heads of one decoder layer on its fused queries (expressions, frames, queries, d_model)."""
        padded = ~geometry.frame_mask[:, :, None, None]
        logits = self.class_heads[layer](queries)
        boxes = refine_boxes(self.box_heads[layer](queries), states.before(layer))
        references = states.references[layer][..., :2]
        prediction = {
            "logits": logits.masked_fill(padded, PADDED_LOGIT),
            "pred_boxes": boxes.masked_fill(padded, 0.0),
            "video_queries": video_queries,
            "frame_queries": queries,
        }
        if best_query_only:
            selected = select_queries(prediction["logits"], geometry.frame_mask)
            prediction["selected_queries"] = selected
            rows = torch.arange(selected.shape[0], device=selected.device)
            queries = queries[rows, :, selected][:, :, None]
            references = references[rows, :, selected][:, :, None]
        masks = self.mask_head(queries, references, mask_features, geometry.valid_sizes)
        prediction["pred_masks"] = masks.masked_fill(padded[..., None], PADDED_LOGIT)
        return prediction


def select_queries(logits: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
    """The official choice (expressions,): sigmoid, mean over real frames, best class, best query."""
    real = frame_mask[:, :, None, None].float()
    probabilities = logits.float().sigmoid().nan_to_num(nan=0.0)  # what is no number must not win
    scores = (probabilities * real).sum(1) / real.sum(1)  # (expressions, queries, classes)
    return scores.amax(-1).argmax(-1)


__all__ = ["CheckpointError", "SocModel", "SocModelOutput", "SocPreTrainedModel", "SocVideoFeatures"]

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
A model in three parts, so that a video is encoded once however many sentences are asked: vision, text, and fusion with
all that follows. Each takes and returns plain tensors, of one video whose frames are all real.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from ..modeling_attention import word_positions
from ..modeling_fusion import LevelGeometry, SocProxyFusion, SocVideoFeatures, Words
from ..modeling_mask_head import SocMaskHead
from ..modeling_soc import SocModel, map_frames
from ..modeling_video_cluster import WALK_PROBABILITY, SocRandomWalkFusion
from ..modeling_video_swin import VideoSwinBackbone
from .symbolic import swin_maps

# Every map of a smaller frame would not have two rows and columns, which graphs of any size take for granted.
MIN_SIDE, MAX_SIDE = 65, 4096
# A convolution over the frames of all sentences is recorded for more than one of them.
MIN_FRAMES, MAX_FRAMES = 2, 2**16
MAX_EXPRESSIONS = 2**12
WALK_STEPS = 4  # 0.25 ** (2 ** 4) is 2e-10
EXAMPLE = {"height": 288, "width": 320, "tokens": 7, "expressions": 3, "frames": 17}
LEVEL_NAMES = ("level_8", "level_16", "level_32", "level_64")


@dataclass
class Part:
    """
    What is recorded as one graph.

    Args:
        module: takes the inputs in order and returns a tuple, one tensor for each output.
        inputs: an example of each input by name.
        axes: names of the axes of each input; a name in `ranges` is an axis of any size, another one of fixed size.
        outputs: names of the axes of each output by name.
        ranges: smallest and largest size of each axis that may vary.
    """

    module: nn.Module
    inputs: dict[str, torch.Tensor]
    axes: dict[str, tuple[str, ...]]
    outputs: dict[str, tuple[str, ...]]
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)


class VisionPart(nn.Module):
    """The maps of `SocModel.get_video_features`."""

    def __init__(self, model: SocModel):
        super().__init__()
        self.backbone, self.level_projections = model.backbone, model.level_projections
        self.project_fine = model.mask_head.pixel_decoder.laterals[-1]

    def forward(self, pixel_values_videos: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if isinstance(self.backbone, VideoSwinBackbone):
            maps = swin_maps(self.backbone, pixel_values_videos)
        else:
            flat = self.backbone(pixel_values_videos.flatten(0, 1)).feature_maps
            maps = [feature_map.unflatten(0, pixel_values_videos.shape[:2]) for feature_map in flat]
        return map_frames(self.project_fine, maps[0], None), *self.level_projections(reversed(maps[1:]))


class TextPart(nn.Module):
    """Words of sentences, and the pooled sentences where the model uses them."""

    def __init__(self, model: SocModel):
        super().__init__()
        self.model = with_modules(model, ("text_encoder", "text_projection"))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        words, sentence = self.model._encode_words(input_ids, attention_mask)
        return (words.features,) if sentence is None else (words.features, sentence)


class FusionPart(nn.Module):
    """What the frames of one video say to sentences: the predictions that the processor reads."""

    def __init__(self, model: SocModel, best_query_only: bool):
        super().__init__()
        left_out = ("backbone", "level_projections", "text_encoder", "text_projection")
        self.model = with_modules(model, [name for name in model._modules if name not in left_out])
        self.best_query_only = best_query_only

    def forward(
        self,
        fine_map: torch.Tensor,
        level_8: torch.Tensor,
        level_16: torch.Tensor,
        level_32: torch.Tensor,
        level_64: torch.Tensor,
        pixel_mask: torch.Tensor,
        attention_mask: torch.Tensor,
        word_features: torch.Tensor,
        sentence_features: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        model, mask = self.model, attention_mask.bool()
        frames = pixel_mask.new_ones((1, fine_map.shape[1]))
        features = SocVideoFeatures(fine_map, (level_8, level_16, level_32, level_64), pixel_mask, frames)
        words = Words(word_features, word_positions(mask, model.config.d_model).to(word_features.dtype), mask)
        indices = torch.zeros_like(attention_mask[:, 0])
        geometry = LevelGeometry.from_features(features, indices)
        text_features, states, mask_features = model._read_videos(features, indices, words, geometry)
        sentence = text_features if sentence_features is None else sentence_features
        fields = model._inference_level(states, sentence, mask_features, geometry, self.best_query_only)
        names = ["logits", "pred_boxes", "pred_masks", *(["selected_queries"] if self.best_query_only else [])]
        return tuple(fields[name] for name in names)


def with_modules(model: SocModel, names: Iterable[str]) -> SocModel:
    """A model that shares only some of the modules, so that its graph does not carry the weights of the others."""
    part = copy.copy(model)
    part._modules = {name: model._modules[name] for name in names}
    return part


def recordable(model: SocModel) -> SocModel:
    """A copy of a model, in evaluation and float32 on the CPU, without what a graph cannot hold."""
    model = copy.deepcopy(model).eval().float().cpu()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.set_attn_implementation("eager")
    forms: list[tuple[nn.Module, str, Callable[..., torch.Tensor]]] = [
        (model.decoder, "_spread", spread),
        (model.mask_head, "forward", partial(masks, model.mask_head)),
    ]
    if isinstance(model.early_fusion, SocProxyFusion):
        forms.append((model.early_fusion, "_initial_proxies", partial(initial_proxies, model.early_fusion)))
    if model.video_cluster is not None and model.video_cluster.frame_weighting is not None:
        forms.append((model.video_cluster.frame_weighting, "_cosines", cosines))
    if isinstance(model.query_fusion, SocRandomWalkFusion):
        forms.append((model.query_fusion, "random_walk", random_walk))
    for module, name, form in forms:
        setattr(module, name, form)
    return model


def masks(head: SocMaskHead, queries: torch.Tensor, *arguments: torch.Tensor) -> torch.Tensor:
    """`SocMaskHead.forward` for all frames at once, without its guard against autocast."""
    return head._dynamic_masks(head.controller(queries), *arguments)


def random_walk(video: torch.Tensor, frame: torch.Tensor, token_mask: torch.Tensor) -> torch.Tensor:
    """
    `SocRandomWalkFusion.random_walk` without a linear solve, which ONNX does not have.

    The matrix M of the system I - M has eigenvalues in 0..0.25, so that its inverse is (I + M)(I + M^2)(I + M^4)... up
    to the power of M that is left out.
    """
    steps, start = SocRandomWalkFusion.walk_system(video, frame, token_mask)
    power = WALK_PROBABILITY**2 * steps
    for _ in range(WALK_STEPS):
        start = start + power @ start
        power = power @ power
    return (1 - WALK_PROBABILITY) * start


def cosines(directions: torch.Tensor, text_direction: torch.Tensor) -> torch.Tensor:
    """`SocFrameWeighting._cosines` without `einsum`, which asks whether there is more than one frame."""
    return (directions * text_direction[:, None, None]).sum(-1)


def initial_proxies(fusion: SocProxyFusion, words: Words) -> torch.Tensor:
    """`SocProxyFusion._initial_proxies` in memory of their own: of a mere view products ask whether it is one."""
    return fusion.proxies.weight.repeat(words.features.shape[0], 1, 1)


def spread(target: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """`SocDeformableDecoder._spread`, likewise."""
    return target[:, None, None] + target.new_zeros(shape)


def map_axes(name: str) -> tuple[str, ...]:
    """Names of the axes of a map."""
    name = name.removesuffix("_map")
    return "videos", "frames", "channels", f"{name}_rows", f"{name}_columns"


def vision_part(model: SocModel, frames: int | None) -> Part:
    """For videos of so many frames; None: of more than a temporal window has, or of any number without windows."""
    windows = isinstance(model.backbone, VideoSwinBackbone)
    first = max(MIN_FRAMES, model.backbone.config.window_size[0] + 1) if windows else MIN_FRAMES
    height, width = EXAMPLE["height"], EXAMPLE["width"]
    ranges = {"height": (MIN_SIDE, MAX_SIDE), "width": (MIN_SIDE, MAX_SIDE)}
    if frames is None:
        ranges["frames"] = (first, MAX_FRAMES)
        frames = first + EXAMPLE["frames"]
    maps = {name: map_axes(name) for name in ("fine_map", *LEVEL_NAMES)}
    return Part(
        VisionPart(model),
        {"pixel_values_videos": torch.zeros(1, frames, model.backbone.config.num_channels, height, width)},
        {"pixel_values_videos": ("videos", "frames", "colors", "height", "width")},
        maps,
        ranges,
    )


def text_part(model: SocModel, longest: int) -> Part:
    """For sentences of up to so many tokens."""
    shape = (EXAMPLE["expressions"], EXAMPLE["tokens"])
    outputs: dict[str, tuple[str, ...]] = {"word_features": ("expressions", "tokens", "channels")}
    if model.config.uses_pooled_sentence:
        outputs["sentence_features"] = ("expressions", "channels")
    axes = ("expressions", "tokens")
    return Part(
        TextPart(model),
        {"input_ids": torch.full(shape, 5), "attention_mask": torch.ones(shape, dtype=torch.long)},
        {"input_ids": axes, "attention_mask": axes},
        outputs,
        {"expressions": (1, MAX_EXPRESSIONS), "tokens": (2, longest)},
    )


def fusion_part(model: SocModel, longest: int, best_query_only: bool) -> Part:
    """For one video of any number of frames, and any number of sentences about it."""
    config = model.config
    frames, expressions, tokens = EXAMPLE["frames"], EXAMPLE["expressions"], EXAMPLE["tokens"]
    height, width = EXAMPLE["height"], EXAMPLE["width"]
    inputs: dict[str, torch.Tensor] = {}
    axes: dict[str, tuple[str, ...]] = {}
    ranges = {
        "frames": (MIN_FRAMES, MAX_FRAMES),
        "height": (MIN_SIDE, MAX_SIDE),
        "width": (MIN_SIDE, MAX_SIDE),
        "expressions": (1, MAX_EXPRESSIONS),
        "tokens": (2, longest),
    }
    lateral: Any = model.mask_head.pixel_decoder.laterals[-1]
    for name, stride in zip(("fine_map", *LEVEL_NAMES), (4, 8, 16, 32, 64), strict=True):
        channels = lateral.out_channels if stride == 4 else config.d_model
        inputs[name] = torch.zeros(1, frames, channels, -(-height // stride), -(-width // stride))
        axes[name] = map_axes(name)
        for axis in axes[name][3:]:
            ranges[axis] = (2, MAX_SIDE // stride)
    inputs["pixel_mask"] = torch.ones(1, height, width, dtype=torch.bool)
    axes["pixel_mask"] = ("videos", "height", "width")
    inputs["attention_mask"] = torch.ones(expressions, tokens, dtype=torch.long)
    axes["attention_mask"] = ("expressions", "tokens")
    inputs["word_features"] = torch.zeros(expressions, tokens, config.d_model)
    axes["word_features"] = ("expressions", "tokens", "channels")
    if config.uses_pooled_sentence:
        inputs["sentence_features"] = torch.zeros(expressions, config.d_model)
        axes["sentence_features"] = ("expressions", "channels")
    queries = "query" if best_query_only else "queries"
    outputs: dict[str, tuple[str, ...]] = {
        "logits": ("expressions", "frames", "queries", "classes"),
        "pred_boxes": ("expressions", "frames", "queries", "corners"),
        "pred_masks": ("expressions", "frames", queries, "fine_rows", "fine_columns"),
    }
    if best_query_only:
        outputs["selected_queries"] = ("expressions",)
    return Part(FusionPart(model, best_query_only), inputs, axes, outputs, ranges)

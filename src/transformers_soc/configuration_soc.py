# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Configurations of SOC, SOC++ and their Video-Swin backbone."""

import math
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import CONFIG_MAPPING, AutoConfig
from transformers.backbone_utils import BackboneConfigMixin
from transformers.configuration_utils import PreTrainedConfig, SubConfigSpec

from .configuration_checks import MAX_WINDOW_BYTES, build_part, check_fields, plain_errors

# Whether this module is the copy in a folder with remote code, and not the installed package.
IS_COPY = __name__.startswith("transformers_modules")

BACKBONE_STAGES = ["stage1", "stage2", "stage3", "stage4"]

# The sizes of roberta-base; RobertaConfig's own defaults are BERT's.
ROBERTA_BASE = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}

VIDEO_SWIN_SIZES: dict[str, dict[str, Any]] = {
    "video-swin-t": {"embed_dim": 96, "depths": (2, 2, 6, 2), "num_heads": (3, 6, 12, 24)},
    "video-swin-s": {"embed_dim": 96, "depths": (2, 2, 18, 2), "num_heads": (3, 6, 12, 24)},
    "video-swin-b": {"embed_dim": 128, "depths": (2, 2, 18, 2), "num_heads": (4, 8, 16, 32)},
}

# What makes a model SOC or SOC++, with the quirks of the official inference that released checkpoints rely on.
VARIANTS: dict[str, dict[str, Any]] = {
    "soc": {
        "early_fusion": "cross",
        "frame_weighting": False,
        "query_fusion": "residual",
        "inference_decoder_layer": 0,
    },
    "soc++": {
        "early_fusion": "proxy",
        "frame_weighting": True,
        "query_fusion": "random_walk",
        "inference_decoder_layer": -1,
        "official_match_order": True,
    },
}

# Preset name: (variant, backbone).
PRESETS = {
    "soc-swin-t": ("soc", "video-swin-t"),
    "soc-swin-s": ("soc", "video-swin-s"),
    "soc-swin-b": ("soc", "video-swin-b"),
    "soc-resnet50": ("soc", "resnet50"),
    "socpp-swin-t": ("soc++", "video-swin-t"),
    "socpp-swin-b": ("soc++", "video-swin-b"),
}


@plain_errors
@strict
class VideoSwinConfig(BackboneConfigMixin, PreTrainedConfig):
    r"""
    Configuration of [`VideoSwinBackbone`]: Video Swin Transformer (arXiv 2106.13230) without temporal striding, so
    that every frame keeps its own feature maps. The defaults are Video-Swin-T.

    Args:
        num_channels (`int`, defaults to 3): channels of a frame.
        embed_dim (`int`, defaults to 96): width of the first stage; it doubles with each stage.
        depths (`list[int]`): blocks of each stage; every second block shifts its windows.
        num_heads (`list[int]`): attention heads of each stage.
        window_size (`list[int]`, defaults to `(8, 7, 7)`): frames, rows and columns of an attention window. An axis
            that is no larger than the window is covered by one window.
        mlp_ratio (`float`, defaults to 4.0): width of the MLP over the width of its stage.
        qkv_bias (`bool`, defaults to `True`): whether the query, key and value projections have a bias.
        patch_norm (`bool`, defaults to `True`): whether a LayerNorm follows the stem.
        hidden_act (`str`, defaults to `"gelu"`): activation of the MLP.
        drop_path_rate (`float`, defaults to 0.2): stochastic depth of the last block; it grows linearly from 0.
        attention_probs_dropout_prob (`float`, defaults to 0.0): dropout of the attention weights.
        layer_norm_eps (`float`, defaults to 1e-5): epsilon of every LayerNorm.
        initializer_range (`float`, defaults to 0.02): standard deviation of the relative position bias tables.
        stem (`str`, defaults to `"patch"`): `"patch"` embeds 4x4 pixels of one frame (the papers' form); `"conv3d"`
            is two 3x3x3 convolutions of spatial stride 2, which see motion before the first attention.
        stem_depths (`list[int]`, defaults to `(0, 0)`): residual blocks of two 3x3 convolutions after each of the two
            convolutions of the `"conv3d"` stem; they tell shapes apart that attention learns slowly.
        out_features, out_indices: stages to return, of `["stem", "stage1", ...]`; the last one by default.
    """

    model_type = "soc_video_swin"
    attribute_map = {"num_attention_heads": "num_heads"}

    num_channels: int = 3
    embed_dim: int = 96
    depths: list[int] | tuple[int, ...] = (2, 2, 6, 2)
    num_heads: list[int] | tuple[int, ...] = (3, 6, 12, 24)
    window_size: list[int] | tuple[int, ...] = (8, 7, 7)
    mlp_ratio: float | int = 4.0
    qkv_bias: bool = True
    patch_norm: bool = True
    hidden_act: str = "gelu"
    drop_path_rate: float | int = 0.2
    attention_probs_dropout_prob: float | int = 0.0
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02
    stem: str = "patch"
    stem_depths: list[int] | tuple[int, ...] = (0, 0)
    _out_features: list[str] | None = None
    _out_indices: list[int] | None = None

    def __post_init__(self, **kwargs):
        check_fields(self, kwargs)
        kwargs.pop("stage_names", None)
        self.stage_names = ["stem"] + [f"stage{index}" for index in range(1, len(self.depths) + 1)]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None), out_features=kwargs.pop("out_features", None)
        )
        super().__post_init__(**kwargs)
        self.validate_architecture()  # here a plain ValueError reaches the caller, unlike from strict's own pass

    @property
    def num_hidden_layers(self) -> int:
        return len(self.depths)

    @property
    def hidden_size(self) -> int:
        """Channels of the last stage."""
        return self.embed_dim * 2 ** (len(self.depths) - 1)

    def validate_architecture(self):
        """Refuses sizes that cannot be built, with a sentence."""
        super().validate_architecture()
        if not self.depths or len(self.depths) != len(self.num_heads):
            raise ValueError(
                f"`depths` {tuple(self.depths)} and `num_heads` {tuple(self.num_heads)} must list the same stages."
            )
        positive = {"embed_dim": [self.embed_dim], "depths": self.depths, "num_heads": self.num_heads}
        positive |= {"window_size": self.window_size, "num_channels": [self.num_channels]}
        for name, values in positive.items():
            if min(values, default=0) < 1:
                raise ValueError(f"`{name}` must be positive, got {values}.")
        for index, heads in enumerate(self.num_heads):
            if (self.embed_dim * 2**index) % heads:
                raise ValueError(
                    f"`num_heads` of stage {index + 1} ({heads}) must divide its width {self.embed_dim * 2**index}."
                )
        if len(self.window_size) != 3:
            raise ValueError(f"`window_size` must be (frames, rows, columns), got {tuple(self.window_size)}.")
        table = 8 * math.prod(self.window_size) ** 2 * sum(self.depths)
        if table > MAX_WINDOW_BYTES:
            raise ValueError(
                f"`window_size` {tuple(self.window_size)} needs tables of {table / 1e6:,.0f} MB in {sum(self.depths)} "
                f"blocks, more than {MAX_WINDOW_BYTES / 1e6:,.0f} MB."
            )
        if self.embed_dim * self.mlp_ratio < 1:
            raise ValueError(f"`mlp_ratio` {self.mlp_ratio} leaves the MLP of a block no width.")
        if self.stem not in ("patch", "conv3d"):
            raise ValueError(f"`stem` must be 'patch' or 'conv3d', got '{self.stem}'.")
        if len(self.stem_depths) != 2 or min(self.stem_depths) < 0:
            raise ValueError(f"`stem_depths` must be two numbers of at least 0, got {tuple(self.stem_depths)}.")
        if self.stem == "patch" and any(self.stem_depths):
            raise ValueError("`stem_depths` belongs to the stem 'conv3d'; the stem 'patch' has no blocks.")


# Remote code reads a composite config before any model class exists, so the sub-config registers itself here. A copy
# leaves the installed package's registration alone, which would else stop knowing its own configs.
if not IS_COPY or "soc_video_swin" not in CONFIG_MAPPING:
    AutoConfig.register("soc_video_swin", VideoSwinConfig, exist_ok=True)


def _own_pipelines(custom_pipelines: dict[str, Any]) -> dict[str, Any]:
    """
    The pipelines of a folder with remote code, under names that do not hide the installed pipeline: transformers
    prefers a folder's own pipeline to a registered one of the same name, and then insists on `trust_remote_code`.
    """
    if IS_COPY:
        return custom_pipelines
    return {name if name.startswith("soc-") else f"soc-{name}": entry for name, entry in custom_pipelines.items()}


@plain_errors
@strict
class SocConfig(PreTrainedConfig):
    r"""
    Configuration of [`SocModel`]: SOC (arXiv 2305.17011) and SOC++ are switches of one model. The defaults are SOC
    with Video-Swin-T and roberta-base sizes, without the quirks of the official inference;
    [`SocConfig.from_preset`] gives the released settings, quirks included.

    Args:
        backbone_config (`PreTrainedConfig` or `dict`): a [`VideoSwinConfig`] or the config of any 2-D backbone
            (applied to each frame) that returns four maps of strides 4, 8, 16 and 32.
        text_config (`PreTrainedConfig` or `dict`): the text encoder; roberta-base sizes by default.
        freeze_backbone_norms (`bool`, defaults to `False`): replace the batch norms of a 2-D backbone by frozen ones.
        d_model (`int`, defaults to 256): width of words, queries and projected feature maps.
        num_classes (`int`, defaults to 1): classes of a query; 1 = referred or not.
        num_queries (`int`, defaults to 20): frame queries per frame, and video queries per clip.
        early_fusion (`str`, defaults to `"cross"`): `"cross"` (SOC: words read the last backbone map) or `"proxy"`
            (SOC++: words read proxies that collect the fused maps).
        num_proxies (`int`, defaults to 20): proxies of `early_fusion="proxy"`.
        fusion_attention_heads (`int`, defaults to 8): heads of the early fusion.
        encoder_layers, decoder_layers (`int`, defaults to 3): layers of the deformable transformer.
        encoder_attention_heads, decoder_attention_heads (`int`, defaults to 8): their heads.
        encoder_ffn_dim, decoder_ffn_dim (`int`, defaults to 2048): their hidden widths.
        encoder_n_points, decoder_n_points (`int`, defaults to 4): sampling points per head and level.
        dropout (`float`, defaults to 0.1): dropout of the deformable transformer.
        video_cluster (`bool`, defaults to `True`): whether frame queries are clustered over the clip. Without it
            `query_fusion` must be `"none"`: the heads read the frame queries, and the contrastive loss their mean.
        cluster_window_size (`int`, defaults to 0): frames per attention window of the cluster encoder; 0 = the clip.
        cluster_encoder_layers, cluster_decoder_layers (`int`, defaults to 3): layers of the video cluster.
        cluster_attention_heads (`int`, defaults to 8): its heads.
        cluster_ffn_dim (`int`, defaults to 2048): its hidden width.
        cluster_dropout (`float`, defaults to 0.1): dropout of the cluster, the frame scorer and the query fusion.
        frame_weighting (`bool`, defaults to `False`): whether the cluster weighs frames by how informative they are
            (SOC++). It also starts the video queries from the fused words instead of the pooled sentence.
        frame_scorer_ffn_dim (`int`, defaults to 2048): hidden width of the frame scorer; 0 = a single linear layer.
        official_match_order (`bool`, defaults to `False`): read the language-match scores of the frames in the
            scrambled (layer, frame) order of the official code. Converted SOC++ checkpoints were trained with it.
        query_fusion (`str`, defaults to `"residual"`): how video queries reach the frame queries: `"residual"` (SOC),
            `"random_walk"` (SOC++) or `"none"`.
        query_fusion_attention_heads (`int`, defaults to 8): heads of the random-walk fusion.
        inference_decoder_layer (`int`, defaults to -1): decoder layer whose queries and heads answer in eval mode;
            they are fused with the clusters of the last layer. The official SOC reads layer 0.
        mask_feature_channels (`int`, defaults to 8): channels of the mask features.
        mask_dynamic_channels (`int`, defaults to 8): channels inside the dynamic mask head.
        mask_dynamic_layers (`int`, defaults to 3): 1x1 convolutions of the dynamic mask head.
        mask_relative_coordinates (`bool`, defaults to `True`): whether the dynamic mask head sees the offset to the
            reference point of its query.
        mask_decoder_round_widths (`bool`, defaults to `False`): round the widths of the mask decoder up to a multiple
            of 8, which makes `d_model` below 128 legal.
        text_projection_dropout (`float`, defaults to 0.1): dropout after the projection of the words.
        auxiliary_loss (`bool`, defaults to `True`): whether every decoder layer is supervised.
        class_cost, dice_cost, bbox_cost, giou_cost, contrastive_cost (`float`): weights of the matching cost.
        class_loss_coefficient, mask_loss_coefficient, dice_loss_coefficient, bbox_loss_coefficient,
            giou_loss_coefficient, contrastive_loss_coefficient (`float`): weights of the losses.
        threshold (`float`, *optional*): score below which the answer is "no target"; nothing is refused without it.
        union_threshold (`float`, *optional*): score from which a query joins the union of masks; one query without it.
    """

    model_type = "soc"
    sub_configs_defaults = {
        "backbone_config": SubConfigSpec(
            config_class=AutoConfig, model_type="soc_video_swin", init_kwargs={"out_features": BACKBONE_STAGES}
        ),
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="roberta", init_kwargs=ROBERTA_BASE),
    }
    attribute_map = {
        "hidden_size": "d_model",
        "num_attention_heads": "decoder_attention_heads",
        "num_hidden_layers": "decoder_layers",
    }

    backbone_config: dict | PreTrainedConfig | None = None
    text_config: dict | PreTrainedConfig | None = None
    freeze_backbone_norms: bool = False
    d_model: int = 256
    num_classes: int = 1
    num_queries: int = 20
    early_fusion: str = "cross"
    num_proxies: int = 20
    fusion_attention_heads: int = 8
    encoder_layers: int = 3
    decoder_layers: int = 3
    encoder_attention_heads: int = 8
    decoder_attention_heads: int = 8
    encoder_ffn_dim: int = 2048
    decoder_ffn_dim: int = 2048
    encoder_n_points: int = 4
    decoder_n_points: int = 4
    dropout: float | int = 0.1
    video_cluster: bool = True
    cluster_window_size: int = 0
    cluster_encoder_layers: int = 3
    cluster_decoder_layers: int = 3
    cluster_attention_heads: int = 8
    cluster_ffn_dim: int = 2048
    cluster_dropout: float | int = 0.1
    frame_weighting: bool = False
    frame_scorer_ffn_dim: int = 2048
    official_match_order: bool = False
    query_fusion: str = "residual"
    query_fusion_attention_heads: int = 8
    inference_decoder_layer: int = -1
    mask_feature_channels: int = 8
    mask_dynamic_channels: int = 8
    mask_dynamic_layers: int = 3
    mask_relative_coordinates: bool = True
    mask_decoder_round_widths: bool = False
    text_projection_dropout: float | int = 0.1
    auxiliary_loss: bool = True
    class_cost: float | int = 2
    dice_cost: float | int = 5
    bbox_cost: float | int = 2
    giou_cost: float | int = 2
    contrastive_cost: float | int = 0
    class_loss_coefficient: float | int = 2
    mask_loss_coefficient: float | int = 2
    dice_loss_coefficient: float | int = 5
    bbox_loss_coefficient: float | int = 2
    giou_loss_coefficient: float | int = 2
    contrastive_loss_coefficient: float | int = 1
    threshold: float | int | None = None
    union_threshold: float | int | None = None

    def __post_init__(self, **kwargs):
        check_fields(self, kwargs)
        if isinstance(kwargs.get("custom_pipelines"), dict):
            kwargs["custom_pipelines"] = _own_pipelines(kwargs["custom_pipelines"])
        for name, part in self.sub_configs_defaults.items():
            fields = getattr(self, name)
            if isinstance(fields, dict):
                setattr(self, name, build_part(part, name, fields))
        super().__post_init__(**kwargs)
        self.validate_architecture()  # here a plain ValueError reaches the caller, unlike from strict's own pass

    @classmethod
    def get_config_dict(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> Any:
        try:
            fields, others = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
            if not isinstance(fields, dict):
                raise TypeError(f"{type(fields).__name__} is no dict")
            return fields, others
        except (RecursionError, TypeError) as error:
            raise ValueError(
                f"The configuration in '{pretrained_model_name_or_path}' is no dict of fields, or nested too deep."
            ) from error

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> "SocConfig":
        """
        Configuration of a released setting.

        Args:
            name (`str`): one of `soc-swin-t`, `soc-swin-s`, `soc-swin-b`, `soc-resnet50`, `socpp-swin-t`,
                `socpp-swin-b`.
            overrides: fields that differ from the preset.

        Raises:
            ValueError: the name is not a preset.
        """
        if name not in PRESETS:
            raise ValueError(f"'{name}' is not a preset; the presets are {', '.join(PRESETS)}.")
        variant, backbone = PRESETS[name]
        if backbone == "resnet50":
            backbone_fields: dict[str, Any] = {
                "backbone_config": {"model_type": "resnet", "out_features": BACKBONE_STAGES},
                "freeze_backbone_norms": True,
            }
        else:
            sizes = {"model_type": "soc_video_swin", "out_features": BACKBONE_STAGES} | VIDEO_SWIN_SIZES[backbone]
            backbone_fields = {"backbone_config": sizes}
        return cls(**(VARIANTS[variant] | backbone_fields | overrides))

    @property
    def uses_pooled_sentence(self) -> bool:
        """Whether the video queries start from the text encoder's pooled output (SOC)."""
        return self.video_cluster and not self.frame_weighting

    def validate_architecture(self):
        """Refuses sizes and switches that do not go together, with a sentence."""
        super().validate_architecture()
        self._validate_switches()
        self._validate_sizes()
        if not -self.decoder_layers <= self.inference_decoder_layer < self.decoder_layers:
            raise ValueError(
                f"`inference_decoder_layer` {self.inference_decoder_layer} does not exist: there are "
                f"{self.decoder_layers} decoder layers."
            )
        for name in ("threshold", "union_threshold"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"`{name}` is a score and must lie in 0 to 1, got {value}.")
        stages = getattr(self.backbone_config, "out_features", None)
        if stages is not None and len(stages) != len(BACKBONE_STAGES):
            raise ValueError(
                f"The backbone must return four maps (strides 4, 8, 16 and 32), but its `out_features` are {stages}."
            )

    def _validate_switches(self):
        choices = {"early_fusion": ("cross", "proxy"), "query_fusion": ("residual", "random_walk", "none")}
        for name, values in choices.items():
            if getattr(self, name) not in values:
                raise ValueError(f"`{name}` must be one of {values}, got '{getattr(self, name)}'.")
        if self.video_cluster == (self.query_fusion == "none"):
            raise ValueError(
                "`query_fusion` is 'none' exactly where `video_cluster` is False: got "
                f"query_fusion='{self.query_fusion}' with video_cluster={self.video_cluster}."
            )
        if self.frame_weighting and not self.video_cluster:
            raise ValueError("`frame_weighting` happens inside the cluster and needs `video_cluster=True`.")

    def _validate_sizes(self):
        at_least_one = ["num_classes", "num_queries", "num_proxies", "encoder_layers", "decoder_layers"]
        at_least_one += ["encoder_n_points", "decoder_n_points", "cluster_decoder_layers"]
        at_least_one += ["encoder_ffn_dim", "decoder_ffn_dim", "cluster_ffn_dim"]
        at_least_one += ["mask_feature_channels", "mask_dynamic_channels", "mask_dynamic_layers"]
        for name in at_least_one:
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        for name in ("cluster_window_size", "cluster_encoder_layers", "frame_scorer_ffn_dim"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, got {getattr(self, name)}.")
        if self.d_model < 64 or self.d_model % 32:
            raise ValueError(
                f"`d_model` must be a multiple of 32 (group norm of 32 groups) from 64 on, got {self.d_model}."
            )
        if not self.mask_decoder_round_widths and self.d_model % 128:
            raise ValueError(
                f"`d_model` {self.d_model} is no multiple of 128, which the mask decoder's group norms need: set "
                "`mask_decoder_round_widths=True`."
            )
        for part in ("encoder", "decoder", "fusion", "cluster", "query_fusion"):
            heads = getattr(self, f"{part}_attention_heads")
            if heads < 1 or self.d_model % heads:
                raise ValueError(f"`{part}_attention_heads` ({heads}) must divide `d_model` ({self.d_model}).")


if not IS_COPY:  # a folder names its own class in `auto_map`
    AutoConfig.register("soc", SocConfig, exist_ok=True)

__all__ = ["SocConfig", "VideoSwinConfig"]

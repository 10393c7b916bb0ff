# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Official SOC and SOC++ checkpoints, and Kinetics Video-Swin checkpoints, to this package.

One table of names maps our parameters to the official ones; it is read in both directions. Every official key is
either used or named in a list of harmless ones, everything else is an error. No pickled code is ever executed.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy
import torch
from transformers import AutoConfig, AutoTokenizer

from .configuration_soc import BACKBONE_STAGES, ROBERTA_BASE, VARIANTS, VIDEO_SWIN_SIZES, SocConfig, VideoSwinConfig
from .modeling_soc import SocModel, list_names
from .modeling_video_swin import VideoSwinBackbone
from .outputs import beside, naming
from .processing_soc import SocProcessor
from .video_processing_soc import SocVideoProcessor

# The values of every shipped YAML file for the keys that change the computation.
SHIPPED_CONFIG: dict[str, Any] = {
    "with_box_refine": True,
    "num_classes": 1,
    "num_proxy_query": 20,
    "DeformTransformer": {
        "enc_layers": 3,
        "dec_layers": 3,
        "dim_feedforward": 2048,
        "d_model": 256,
        "dropout": 0.1,
        "nheads": 8,
        "num_queries": 20,
        "num_feature_levels": 4,
        "dec_n_points": 4,
        "enc_n_points": 4,
        "two_stage": False,
    },
    "VOC": {
        "input_dim": 256,
        "window_size": 0,
        "num_frame_queries": 20,
        "num_queries": 20,
        "nheads": 8,
        "dim_feedforward": 2048,
        "enc_layers": 3,
        "dec_layers": 3,
    },
    "mask_kernels_dim": 8,
    "controller_layers": 3,
    "dynamic_mask_channels": 8,
    "rel_coord": True,
    "aux_loss": True,
    "vl_loss": True,
    "set_cost_con": 0,
    "set_cost_cls": 2,
    "set_cost_dice": 5,
    "set_costs_box": 2,
    "set_costs_giou": 2,
    "class_loss_coef": 2,
    "con_loss_coef": 1,
    "sigmoid_focal_loss_coef": 2,
    "dice_loss_coef": 5,
    "box_loss_coef": 2,
    "giou_coef": 2,
}

# Keys of the shipped YAML files and command lines that do not change what the network computes.
IGNORED_KEYS = frozenset(
    """
    lr lr_backbone text_encoder_lr lr_drop weight_decay clip_max_norm enable_amp seed epochs batch_size eval_batch_size
    num_workers train_backbone backbone backbone_pretrained backbone_pretrained_path use_checkpoint freeze_text_encoder
    text_encoder_type dataset_name dataset_path davis_path img_folder ann_file output_dir out_dir checkpoint_path
    pretrained_weights resize_and_crop_augmentations horizontal_flip_augmentations random_color train_short_size
    train_max_size eval_short_size eval_max_size use_random_sample window_size version running_mode wandb_mode eos_coef
    dataset_coco_gt_format_path calculate_precision_and_iou_metrics generate_new_samples_metadata
    """.split()
)
IGNORED_SECTION_KEYS = {"VOC": frozenset({"num_frames"}), "DeformTransformer": frozenset()}

# Values without which the official code does not run, or which no release has.
REQUIRED_VALUES = {
    ("with_box_refine",): True,
    ("vl_loss",): True,
    ("DeformTransformer", "num_feature_levels"): 4,
    ("DeformTransformer", "two_stage"): False,
}

# Our parameter names to the official ones, applied in order.
BACKBONE_RENAMES = [
    (r"^stem\.embedding\.projection\.", "patch_embed.proj."),
    (r"^stem\.norm\.", "patch_embed.norm."),
    (r"^stages\.(\d+)\.blocks\.(\d+)\.attention\.", r"layers.\1.blocks.\2.attn."),
    (r"^stages\.(\d+)\.blocks\.", r"layers.\1.blocks."),
    (r"^embedder\.embedder\.convolution\.", "conv1."),
    (r"^embedder\.embedder\.normalization\.", "bn1."),
]
RENAMES = [
    (r"^level_projections\.convs\.(\d+)\.", r"input_proj.\1.0."),
    (r"^level_projections\.norms\.(\d+)\.", r"input_proj.\1.1."),
    (r"^text_projection\.linear\.", "txt_proj.fc."),
    (r"^text_projection\.norm\.", "txt_proj.layer_norm."),
    (r"^early_fusion\.vision_reads_words\.attention\.", "vlf.multihead_attn."),
    (r"^early_fusion\.words_read_vision\.attention\.", "lvf.multihead_attn."),
    (r"^early_fusion\.proxies_read_vision\.attention\.", "v2p.multihead_attn."),
    (r"^early_fusion\.proxies\.", "proxy_embed."),
    (r"^decoder\.query_embed\.", "query_embed."),
    (r"^encoder\.level_embed$", "transformer.level_embed"),
    (r"^decoder\.reference_points\.", "transformer.reference_points."),
    (r"^(encoder\.layers\.\d+)\.self_attn_norm\.", r"transformer.\1.norm1."),
    (r"^(encoder\.layers\.\d+)\.feed_forward\.norm\.", r"transformer.\1.norm2."),
    (r"^(encoder\.layers\.\d+)\.feed_forward\.", r"transformer.\1."),
    (r"^(decoder\.layers\.\d+)\.self_attn_norm\.", r"transformer.\1.norm2."),
    (r"^(decoder\.layers\.\d+)\.cross_attn_norm\.", r"transformer.\1.norm1."),
    (r"^(decoder\.layers\.\d+)\.feed_forward\.norm\.", r"transformer.\1.norm3."),
    (r"^(decoder\.layers\.\d+)\.feed_forward\.", r"transformer.\1."),
    (r"^((?:en|de)coder\.layers\.\d+\.)", r"transformer.\1"),
    (r"^video_cluster\.frame_query_position\.", "voc.fq_pos."),
    (r"^video_cluster\.query_position\.", "voc.query_embed."),
    (r"^video_cluster\.query_content\.", "voc.video_query_embed."),
    (r"^video_cluster\.norm\.", "voc.decoder_norm."),
    (r"^video_cluster\.encoder_layers\.(\d+)\.attention_norm\.", r"voc.enc_self_attn.\1.norm."),
    (r"^video_cluster\.encoder_layers\.(\d+)\.attention\.", r"voc.enc_self_attn.\1.self_attn."),
    (r"^video_cluster\.encoder_layers\.(\d+)\.feed_forward\.", r"voc.enc_ffn.\1."),
    (r"^video_cluster\.decoder_layers\.(\d+)\.cross_attn_norm\.", r"voc.transformer_cross_attention_layers.\1.norm."),
    (
        r"^video_cluster\.decoder_layers\.(\d+)\.cross_attn\.",
        r"voc.transformer_cross_attention_layers.\1.multihead_attn.",
    ),
    (r"^video_cluster\.decoder_layers\.(\d+)\.self_attn_norm\.", r"voc.transformer_self_attention_layers.\1.norm."),
    (r"^video_cluster\.decoder_layers\.(\d+)\.self_attn\.", r"voc.transformer_self_attention_layers.\1.self_attn."),
    (r"^video_cluster\.decoder_layers\.(\d+)\.feed_forward\.", r"voc.transformer_ffn_layers.\1."),
    (r"^video_cluster\.frame_weighting\.visibility\.feed_forward\.", "voc.score_embd.0."),
    (r"^video_cluster\.frame_weighting\.visibility\.output\.", "voc.score_embd.1."),
    (r"^video_cluster\.frame_weighting\.variation\.feed_forward\.", "voc.diff_embd.0."),
    (r"^video_cluster\.frame_weighting\.variation\.output\.", "voc.diff_embd.1."),
    (r"^query_fusion\.attention\.", "query_fusion.multihead_attn."),
    (r"^class_heads\.", "class_embed."),
    (r"^box_heads\.", "bbox_embed."),
    (r"^mask_head\.controller\.", "controller."),
    (r"^mask_head\.pixel_decoder\.output\.", "spatial_decoder.out_lay."),
]
# Parts that the official mask decoder counts from 1.
PIXEL_DECODER_NAMES = {"convs": "lay", "norms": "gn", "laterals": "adapter"}
PROJECTION_PARTS = {"q": 0, "k": 1, "v": 2}

# Official keys that carry nothing the model needs: recomputed buffers and what counters and other versions left.
HARMLESS_KEYS = re.compile(
    r"(\.relative_position_index|\.embeddings\.(position|token_type)_ids|total_ops|total_params|num_batches_tracked)$"
)
REFINEMENT_ALIAS = "transformer.decoder."

BACKBONE_PREFIX = "backbone.0.body."


def original_name(name: str, config: SocConfig) -> tuple[str, int | None]:
    """Official name of a parameter of [`SocModel`], and its third of a joint query-key-value parameter."""
    if name.startswith("text_encoder."):
        return name, None
    if name.startswith("backbone."):
        return BACKBONE_PREFIX + _original_backbone_name(name.removeprefix("backbone.")), None
    for pattern, replacement in RENAMES:
        name = re.sub(pattern, replacement, name)
    match = re.match(r"^mask_head\.pixel_decoder\.(\w+)\.(\d+)\.(\w+)$", name)
    if match:
        part, index, suffix = match.groups()
        name = f"spatial_decoder.{PIXEL_DECODER_NAMES[part]}{int(index) + 1}.{suffix}"
    if config.frame_weighting:  # the official SOC++ encoder reads weighted frames through a cross-attention
        name = re.sub(r"^(voc\.enc_self_attn\.\d+\.)self_attn\.", r"\1multihead_attn.", name)
    match = re.match(r"^(.*\.)([qkv])_proj\.(weight|bias)$", name)
    if match:
        return f"{match[1]}in_proj_{match[3]}", PROJECTION_PARTS[match[2]]
    return name, None


def _original_backbone_name(name: str) -> str:
    """Official name of a backbone parameter, without its prefix; ResNet names are torchvision's."""
    for pattern, replacement in BACKBONE_RENAMES:
        name = re.sub(pattern, replacement, name)
    # A stage begins with the merging that the official code counts as the end of the stage before.
    name = re.sub(r"^stages\.(\d+)\.downsample\.", lambda found: f"downsamples.{int(found[1]) - 1}.", name)
    match = re.match(r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.(.*)$", name)
    if not match:
        return name
    rest = (
        match[3].replace("shortcut.convolution.", "downsample.0.").replace("shortcut.normalization.", "downsample.1.")
    )
    rest = re.sub(r"^layer\.(\d+)\.convolution\.", lambda found: f"conv{int(found[1]) + 1}.", rest)
    rest = re.sub(r"^layer\.(\d+)\.normalization\.", lambda found: f"bn{int(found[1]) + 1}.", rest)
    return f"layer{int(match[1]) + 1}.{match[2]}.{rest}"


def _expected_tensors(config: SocConfig) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return SocModel(config).state_dict()


def convert_state_dict(original_state_dict: Mapping[str, torch.Tensor], config: SocConfig) -> dict[str, torch.Tensor]:
    """
    Renames and splits an official state dict for [`SocModel`].

    Args:
        original_state_dict: official names, as under `model_state_dict` of a checkpoint; a `module.` prefix of all
            keys is dropped.
        config: what `config_from_original` gives for the checkpoint.

    Returns:
        A state dict that `AutoModel.from_config(config).load_state_dict(...)` takes strictly.

    Raises:
        ValueError: keys are missing, unexpected or of another shape than the config says; all of them are named.
    """
    original = dict(original_state_dict)
    if original and all(name.startswith("module.") for name in original):
        original = {name.removeprefix("module."): value for name, value in original.items()}
    converted, used, missing, misshaped = {}, set(), set(), set()
    for name, expected in _expected_tensors(config).items():
        source, part = original_name(name, config)
        used.add(source)
        if source not in original:
            missing.add(source)
            continue
        tensor = original[source]
        wanted = list(expected.shape)
        if part is not None:
            wanted[0] *= len(PROJECTION_PARTS)
        if list(tensor.shape) != wanted:
            misshaped.add(f"{source} {list(tensor.shape)} instead of {wanted}")
            continue
        converted[name] = tensor.clone() if part is None else tensor.chunk(len(PROJECTION_PARTS))[part].clone()
    unexpected = {name for name in original if name not in used and not _is_harmless(name, original, config)}
    problems = {"missing keys": missing, "unexpected keys": unexpected, "other shapes": misshaped}
    told = [f"{title}: {list_names(names)}" for title, names in problems.items() if names]
    if told:
        raise ValueError("The state dict does not fit the configuration; " + "; ".join(told) + ".")
    return converted


def _is_harmless(name: str, original: Mapping[str, torch.Tensor], config: SocConfig) -> bool:
    """Whether a key may be dropped. The second copy of the box heads must equal the first."""
    if HARMLESS_KEYS.search(name):
        return True
    if name.startswith("text_encoder.pooler."):
        return not config.uses_pooled_sentence
    if name.startswith(REFINEMENT_ALIAS + "bbox_embed."):
        copy, source = original[name], original.get(name.removeprefix(REFINEMENT_ALIAS))
        if source is None:
            return False
        return copy.is_meta or torch.equal(copy, source)
    return False


def to_original_state_dict(state_dict: Mapping[str, torch.Tensor], config: SocConfig) -> dict[str, torch.Tensor]:
    """The inverse of [`convert_state_dict`]: a state dict of [`SocModel`] under the official names."""
    original: dict[str, torch.Tensor] = {}
    parts: dict[str, dict[int, torch.Tensor]] = {}
    for name, tensor in state_dict.items():
        target, part = original_name(name, config)
        if part is None:
            original[target] = tensor
        else:
            parts.setdefault(target, {})[part] = tensor
    for target, thirds in parts.items():
        original[target] = torch.cat([thirds[part] for part in sorted(thirds)])
    aliases = {REFINEMENT_ALIAS + name: tensor for name, tensor in original.items() if name.startswith("bbox_embed.")}
    return original | aliases


def _fill_config(original_config: Mapping[str, Any]) -> dict[str, Any]:
    """The official config with the shipped values where it is silent; unknown keys are an error."""
    unknown = set()
    filled: dict[str, Any] = {"use_proxymmf": None}
    for name, shipped in SHIPPED_CONFIG.items():
        given = original_config.get(name, shipped)
        if isinstance(shipped, dict):
            ignored = IGNORED_SECTION_KEYS[name]
            unknown |= {f"{name}.{key}" for key in given if key not in shipped and key not in ignored}
            given = shipped | dict(given)
        filled[name] = given
    filled["use_proxymmf"] = original_config.get("use_proxymmf")
    unknown |= {key for key in original_config if key not in filled and key not in IGNORED_KEYS}
    if unknown:
        raise ValueError(f"The official configuration has keys of unknown meaning: {list_names(unknown)}.")
    for path, required in REQUIRED_VALUES.items():
        value: Any = filled
        for key in path:
            value = value[key]
        if value != required:
            raise ValueError(f"`{'.'.join(path)}` is {value}; only {required} is supported, as in every release.")
    return filled


def _backbone_fields(backbone: str | Mapping[str, Any]) -> dict[str, Any]:
    if backbone == "resnet50":
        resnet = {"model_type": "resnet", "out_features": BACKBONE_STAGES}
        return {"backbone_config": resnet, "freeze_backbone_norms": True}
    if isinstance(backbone, str):
        if backbone not in VIDEO_SWIN_SIZES:
            known = ", ".join([*VIDEO_SWIN_SIZES, "resnet50"])
            raise ValueError(f"'{backbone}' is not an official backbone; these are: {known}.")
        sizes: dict[str, Any] = dict(VIDEO_SWIN_SIZES[backbone])
    else:
        sizes = dict(backbone)
        patch = sizes.pop("patch_size", [1, 4, 4])
        if list(patch) != [1, 4, 4]:
            raise ValueError(f"The official Video-Swin embeds patches of 1x4x4 pixels, got patch_size {patch}.")
        known_sizes = {"embed_dim", "depths", "num_heads", "window_size", "mlp_ratio", "drop_path_rate", "qkv_bias"}
        unknown = set(sizes) - known_sizes - {"patch_norm"}
        if unknown:
            raise ValueError(f"The backbone sizes have keys of unknown meaning: {list_names(unknown)}.")
    swin = {"model_type": VideoSwinConfig.model_type, "out_features": BACKBONE_STAGES} | sizes
    return {"backbone_config": swin}


def config_from_original(
    original_config: Mapping[str, Any],
    *,
    variant: str,
    backbone: str | Mapping[str, Any],
    text_config: Mapping[str, Any],
) -> SocConfig:
    """
    The configuration that computes what the official code computes, quirks of its inference included.

    Args:
        original_config: official keys and values (`DeformTransformer`, `VOC`, ...). Missing keys take the shipped
            value; keys that do not change the computation are ignored.
        variant: `"soc"` or `"soc++"`.
        backbone: `"video-swin-t"`, `"video-swin-s"`, `"video-swin-b"`, `"resnet50"`, or Video-Swin sizes.
        text_config: arguments of `RobertaConfig`.

    Raises:
        ValueError: an unknown key, or a value that the official code cannot run.
    """
    if variant not in VARIANTS:
        raise ValueError(f"`variant` must be one of {', '.join(VARIANTS)}, got '{variant}'.")
    filled = _fill_config(original_config)
    transformer, cluster = filled["DeformTransformer"], filled["VOC"]
    if transformer["d_model"] != cluster["input_dim"]:
        raise ValueError(
            f"`DeformTransformer.d_model` ({transformer['d_model']}) and `VOC.input_dim` ({cluster['input_dim']}) "
            "must be equal."
        )
    counts = {transformer["num_queries"], cluster["num_queries"], cluster["num_frame_queries"]}
    if len(counts) > 1:
        raise ValueError(
            "`DeformTransformer.num_queries`, `VOC.num_queries` and `VOC.num_frame_queries` must be equal, got "
            f"{sorted(counts)}."
        )
    fields = VARIANTS[variant] | _backbone_fields(backbone)
    if filled["use_proxymmf"] is not None:
        fields["early_fusion"] = "proxy" if filled["use_proxymmf"] else "cross"
    return SocConfig(
        **fields,
        text_config={"model_type": "roberta", **text_config},
        d_model=transformer["d_model"],
        num_classes=filled["num_classes"],
        num_queries=transformer["num_queries"],
        num_proxies=filled["num_proxy_query"],
        encoder_layers=transformer["enc_layers"],
        decoder_layers=transformer["dec_layers"],
        encoder_attention_heads=transformer["nheads"],
        decoder_attention_heads=transformer["nheads"],
        encoder_ffn_dim=transformer["dim_feedforward"],
        decoder_ffn_dim=transformer["dim_feedforward"],
        encoder_n_points=transformer["enc_n_points"],
        decoder_n_points=transformer["dec_n_points"],
        dropout=transformer["dropout"],
        cluster_window_size=cluster["window_size"],
        cluster_encoder_layers=cluster["enc_layers"],
        cluster_decoder_layers=cluster["dec_layers"],
        cluster_attention_heads=cluster["nheads"],
        cluster_ffn_dim=cluster["dim_feedforward"],
        frame_scorer_ffn_dim=cluster["dim_feedforward"],
        mask_feature_channels=filled["mask_kernels_dim"],
        mask_dynamic_channels=filled["dynamic_mask_channels"],
        mask_dynamic_layers=filled["controller_layers"],
        mask_relative_coordinates=filled["rel_coord"],
        auxiliary_loss=filled["aux_loss"],
        class_cost=filled["set_cost_cls"],
        dice_cost=filled["set_cost_dice"],
        bbox_cost=filled["set_costs_box"],
        giou_cost=filled["set_costs_giou"],
        contrastive_cost=filled["set_cost_con"],
        class_loss_coefficient=filled["class_loss_coef"],
        mask_loss_coefficient=filled["sigmoid_focal_loss_coef"],
        dice_loss_coefficient=filled["dice_loss_coef"],
        bbox_loss_coefficient=filled["box_loss_coef"],
        giou_loss_coefficient=filled["giou_coef"],
        contrastive_loss_coefficient=filled["con_loss_coef"],
    )


def _count_layers(names: Iterable[str], prefix: str) -> int:
    return len({match[1] for name in names if (match := re.match(re.escape(prefix) + r"(\d+)\.", name))})


def read_facts(state_dict: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """
    What the keys and shapes of an official state dict say about its configuration: `variant`, `backbone` and official
    keys, those of a section under `SECTION.key`.

    Raises:
        ValueError: the keys are not those of SOC or SOC++.
    """

    def rows(name: str, axis: int = 0) -> int:
        if name not in state_dict:
            raise ValueError(f"This is no SOC or SOC++ checkpoint: it has no '{name}'.")
        return state_dict[name].shape[axis]

    plus = "proxy_embed.weight" in state_dict or any(name.startswith("query_fusion.") for name in state_dict)
    queries, d_model = rows("query_embed.weight"), rows("query_embed.weight", 1)
    facts: dict[str, Any] = {"variant": "soc++" if plus else "soc", "num_classes": rows("class_embed.0.weight")}
    if BACKBONE_PREFIX + "conv1.weight" in state_dict:
        facts["backbone"] = "resnet50"
    else:
        width = rows(BACKBONE_PREFIX + "patch_embed.proj.weight")
        depths = tuple(_count_layers(state_dict, f"{BACKBONE_PREFIX}layers.{stage}.blocks.") for stage in range(4))
        tables = [f"{BACKBONE_PREFIX}layers.{i}.blocks.0.attn.relative_position_bias_table" for i in range(4)]
        sizes = {"embed_dim": width, "depths": depths, "num_heads": tuple(rows(table, 1) for table in tables)}
        facts["backbone"] = next((name for name, known in VIDEO_SWIN_SIZES.items() if known == sizes), sizes)
    if plus:
        facts["use_proxymmf"] = "proxy_embed.weight" in state_dict
        if facts["use_proxymmf"]:
            facts["num_proxy_query"] = rows("proxy_embed.weight")
    offsets = "transformer.{0}.layers.0.{1}.sampling_offsets.bias"
    weights = "transformer.{0}.layers.0.{1}.attention_weights.bias"
    levels = rows("transformer.level_embed")
    for part, attention, short in (("encoder", "self_attn", "enc"), ("decoder", "cross_attn", "dec")):
        rows(offsets.format(part, attention))
        facts[f"DeformTransformer.{short}_layers"] = _count_layers(state_dict, f"transformer.{part}.layers.")
        facts[f"DeformTransformer.{short}_samples"] = rows(weights.format(part, attention)) // levels
    facts |= {
        "DeformTransformer.d_model": d_model,
        "DeformTransformer.num_queries": queries,
        "DeformTransformer.num_feature_levels": levels,
        "DeformTransformer.dim_feedforward": rows("transformer.encoder.layers.0.linear1.weight"),
        "VOC.input_dim": rows("voc.fq_pos.weight", 1),
        "VOC.num_frame_queries": rows("voc.fq_pos.weight"),
        "VOC.num_queries": rows("voc.query_embed.weight"),
        "VOC.dim_feedforward": rows("voc.transformer_ffn_layers.0.linear1.weight"),
        "VOC.enc_layers": _count_layers(state_dict, "voc.enc_self_attn."),
        "VOC.dec_layers": _count_layers(state_dict, "voc.transformer_cross_attention_layers."),
        "mask_kernels_dim": rows("spatial_decoder.out_lay.weight"),
    }
    return facts


def apply_facts(original_config: Mapping[str, Any], facts: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The official config overruled by what the keys of the checkpoint say, and a line for each disagreement."""
    merged = {name: dict(value) if isinstance(value, Mapping) else value for name, value in original_config.items()}
    facts = dict(facts)
    heads = (merged.get("DeformTransformer") or {}).get("nheads", SHIPPED_CONFIG["DeformTransformer"]["nheads"])
    for short in ("enc", "dec"):
        facts[f"DeformTransformer.{short}_n_points"] = facts.pop(f"DeformTransformer.{short}_samples") // heads
    lines = []
    for path, value in facts.items():
        *section, key = path.split(".")
        if key == "variant":
            continue
        place = merged.setdefault(section[0], {}) if section else merged
        if key in place and place[key] != value:
            lines.append(f"the configuration says {path} = {place[key]}, the checkpoint has {value}: {value} is used")
        place[key] = value
    return merged, lines


def load_checkpoint(path: str | os.PathLike) -> dict[str, torch.Tensor]:
    """
    The state dict of an official checkpoint file (`.pth`, `.tar`), read without executing pickled code: beside tensors
    and plain Python values only NumPy's float64 scalars are allowed, which the authors' A2D checkpoints carry.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no checkpoint, or it holds pickled code.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint file '{path}'.")
    scalar = numpy._core.multiarray.scalar  # type: ignore[attr-defined]
    allowed: list[Any] = [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        numpy.dtype,
        type(numpy.dtype("float64")),
    ]
    try:
        with torch.serialization.safe_globals(allowed):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader raises whatever a damaged file makes it stumble over
        found = re.search(r"GLOBAL (\S+) was not an allowed global", str(error))
        if found:
            raise ValueError(
                f"'{path}' was refused: it asks to run pickled code ({found[1]}), and a checkpoint needs none."
            ) from None
        raise ValueError(f"'{path}' is not a PyTorch checkpoint, or it is damaged.") from None
    state_dict = checkpoint.get("model_state_dict", checkpoint) if isinstance(checkpoint, Mapping) else None
    if not isinstance(state_dict, Mapping) or not state_dict:
        raise ValueError(f"'{path}' holds no state dict: expected 'model_state_dict' or parameter names.")
    if not all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state_dict.items()):
        raise ValueError(f"'{path}' holds no state dict: its entries are not named tensors.")
    return dict(state_dict)


def read_original_config(path: str | os.PathLike) -> dict[str, Any]:
    """An official YAML file, without its `{desc, value}` wrapper."""
    try:
        import yaml
    except ImportError as error:
        raise ImportError(
            "Reading an official YAML file needs PyYAML: pip install 'transformers-soc[train]'."
        ) from error
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ValueError(f"'{path}' is not a YAML file.") from None
    if not isinstance(content, dict):
        raise ValueError(f"'{path}' is not an official configuration: expected keys and values.")
    wrapped = {"value", "desc"}
    return {
        key: entry["value"] if isinstance(entry, dict) and "value" in entry and set(entry) <= wrapped else entry
        for key, entry in content.items()
    }


def convert_checkpoint(
    checkpoint: str | os.PathLike,
    output: str | os.PathLike,
    *,
    tokenizer: str | os.PathLike,
    original_config: Mapping[str, Any] | str | os.PathLike | None = None,
    variant: str | None = None,
    backbone: str | Mapping[str, Any] | None = None,
    text_config: str | os.PathLike | Mapping[str, Any] | None = None,
) -> list[str]:
    """
    Converts an official checkpoint file to a folder for `from_pretrained`: safetensors, configuration and processor.

    Args:
        checkpoint: file with the official state dict, alone or under `model_state_dict`.
        output: folder to write; it must not exist or be empty. It appears complete or not at all.
        tokenizer: folder or Hub id of the RoBERTa tokenizer.
        original_config: official YAML file, or its content as a dict without the `{desc, value}` wrapper.
        variant, backbone: as in [`config_from_original`]; read from the keys by default.
        text_config: folder or Hub id of the text encoder's configuration, or a dict; roberta-base by default.

    Returns:
        Lines that say what was done.

    Raises:
        FileNotFoundError, FileExistsError, ValueError: with one sentence about what is wrong.
    """
    output = Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise FileExistsError(f"'{output}' exists already: give a new or empty folder as the output.")
    if original_config is None:
        original_config = {}
    elif not isinstance(original_config, Mapping):
        original_config = read_original_config(original_config)
    state_dict = load_checkpoint(checkpoint)
    facts = read_facts(state_dict)
    merged, lines = apply_facts(original_config, facts)
    if variant not in (None, facts["variant"]):
        raise ValueError(f"`variant` is '{variant}', but the keys of '{checkpoint}' are those of {facts['variant']}.")
    config = config_from_original(
        merged,
        variant=facts["variant"],
        backbone=facts["backbone"] if backbone is None else backbone,
        text_config=_read_text_config(text_config),
    )
    model = SocModel(config)
    converted = convert_state_dict(state_dict, config)
    model.load_state_dict(converted)
    processor = SocProcessor(
        video_processor=SocVideoProcessor(size=_evaluation_size(original_config)),
        tokenizer=AutoTokenizer.from_pretrained(tokenizer),
        do_lower_case=False,  # the official inference scripts pass sentences as they are stored
    )
    _save_together(output, model, processor)
    dropped = len(state_dict) - len({original_name(name, config)[0] for name in converted})
    parameters = sum(tensor.numel() for tensor in model.parameters())
    lines.insert(0, f"variant {facts['variant']}, backbone {facts['backbone']}, {facts['num_classes']} classes")
    lines.append(f"{len(state_dict)} official tensors read, {dropped} of them redundant, {parameters:,} parameters")
    lines.append(f"written to {output}")
    return lines


def _read_text_config(text_config: str | os.PathLike | Mapping[str, Any] | None) -> dict[str, Any]:
    if text_config is None:
        return dict(ROBERTA_BASE)
    if isinstance(text_config, Mapping):
        return dict(text_config)
    return AutoConfig.from_pretrained(text_config).to_dict()


def _evaluation_size(original_config: Mapping[str, Any]) -> dict[str, int]:
    """Frame size of the official evaluation: A2D and JHMDB have their own."""
    return {
        "shortest_edge": int(original_config.get("eval_short_size", 360)),
        "longest_edge": int(original_config.get("eval_max_size", 640)),
    }


def _save_together(output: Path, *parts: Any) -> None:
    """
    Saves all parts to a temporary folder beside `output` and renames it.

    Raises:
        OSError: they cannot be written, or another run has written there in the meantime.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with beside(output) as temporary:
        folder = temporary / "new"
        with naming(output):
            for part in parts:
                part.save_pretrained(folder)
        if output.exists():
            output.rmdir()
        os.replace(folder, output)


def convert_video_swin_state_dict(state: Mapping[str, Any], config: VideoSwinConfig) -> dict[str, torch.Tensor]:
    """
    Renames a Kinetics checkpoint of the Video-Swin release for [`VideoSwinBackbone`]. Its patch embedding joins two
    frames; the sum over them gives a static clip the same embedding frame by frame.

    Args:
        state: the state dict, or the checkpoint that holds it under `state_dict`.
        config: sizes of the backbone, with the `patch` stem.

    Raises:
        ValueError: keys are missing, unexpected or of another shape; all of them are named.
    """
    if config.stem != "patch":
        raise ValueError(f"A Kinetics checkpoint has a 'patch' stem and does not fit the stem '{config.stem}'.")
    original = dict(state.get("state_dict", state))
    original = {name.removeprefix("backbone."): value for name, value in original.items() if "backbone." in name}
    patches = original.get("patch_embed.proj.weight")
    if patches is not None and patches.ndim == 5:
        original["patch_embed.proj.weight"] = patches.sum(2, keepdim=True)
    with torch.device("meta"):
        expected = VideoSwinBackbone(config).state_dict()
    converted, problems = {}, []
    for name, tensor in expected.items():
        # In the release the merging of a stage lies at its end.
        source = re.sub(r"^downsamples\.(\d+)\.", r"layers.\1.downsample.", _original_backbone_name(name))
        value = original.pop(source, None)
        if value is None:
            problems.append(f"{source} is missing")
        elif value.shape != tensor.shape:
            problems.append(f"{source} has the shape {list(value.shape)} instead of {list(tensor.shape)}")
        else:
            converted[name] = value.clone()
    harmless = ("norm.weight", "norm.bias")  # the last norm is not part of the backbone
    left = [name for name in original if name not in harmless and not HARMLESS_KEYS.search("." + name)]
    problems += [f"{name} is unexpected" for name in left]
    if problems:
        raise ValueError(f"The Video-Swin checkpoint does not fit the configuration: {list_names(problems)}.")
    return converted


__all__ = [
    "config_from_original",
    "convert_checkpoint",
    "convert_state_dict",
    "convert_video_swin_state_dict",
    "load_checkpoint",
    "to_original_state_dict",
]

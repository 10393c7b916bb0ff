# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Small random models that several test files share."""

from pathlib import Path
from typing import Any

import torch
from transformers import RobertaConfig, RobertaTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from transformers_soc import SocConfig, SocModel
from transformers_soc.configuration_soc import BACKBONE_STAGES, VARIANTS
from transformers_soc.conversion import config_from_original, convert_checkpoint, to_original_state_dict

TINY_SWIN: dict[str, Any] = {
    "model_type": "soc_video_swin",
    "embed_dim": 8,
    "depths": (2, 2, 2, 2),
    "num_heads": (1, 2, 2, 4),
    "window_size": (4, 3, 3),
    "out_features": BACKBONE_STAGES,
}
TINY_TEXT: dict[str, Any] = {
    "model_type": "roberta",
    "vocab_size": 261,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "type_vocab_size": 1,
}
TINY_SIZES: dict[str, Any] = {
    "d_model": 64,
    "mask_decoder_round_widths": True,
    "num_queries": 4,
    "num_proxies": 3,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "encoder_n_points": 2,
    "decoder_n_points": 2,
    "cluster_encoder_layers": 2,
    "cluster_decoder_layers": 1,
    "cluster_ffn_dim": 64,
    "frame_scorer_ffn_dim": 64,
    "dropout": 0.0,
    "cluster_dropout": 0.0,
    "text_projection_dropout": 0.0,
}


def tiny_config(variant: str = "soc", **overrides: Any) -> SocConfig:
    """SOC or SOC++ with widths of a few dozen and no dropout."""
    swin = TINY_SWIN | {"drop_path_rate": 0.0}
    text = TINY_TEXT | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    fields = VARIANTS[variant] | TINY_SIZES | {"backbone_config": swin, "text_config": text}
    return SocConfig(**(fields | overrides))


def tiny_model(variant: str = "soc", **overrides: Any) -> SocModel:
    """A seeded random model in eval mode, without the zeros and ones of a fresh initialisation."""
    model = SocModel(tiny_config(variant, **overrides))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.15 * torch.randn(parameter.shape, generator=generator))
            if parameter.ndim == 1 and parameter.numel() > 1:
                parameter.add_(0.5)
    return model.eval()


def tiny_inputs(num_frames: int = 3, num_expressions: int = 1, height: int = 48, width: int = 64) -> dict[str, Any]:
    """One random video and sentences of 5 words."""
    generator = torch.Generator().manual_seed(1)
    words = torch.randint(3, 261, (num_expressions, 5), generator=generator)
    return {
        "pixel_values_videos": torch.randn(1, num_frames, 3, height, width, generator=generator),
        "input_ids": words,
        "attention_mask": torch.ones_like(words),
    }


def ragged_inputs() -> dict[str, Any]:
    """Three videos of different lengths and sizes with five sentences of different lengths."""
    generator = torch.Generator().manual_seed(2)
    videos = torch.zeros(3, 9, 3, 64, 96)
    pixel_mask = torch.zeros(3, 9, 64, 96, dtype=torch.bool)
    for index, (frames, height, width) in enumerate([(7, 64, 96), (5, 50, 78), (9, 61, 64)]):
        videos[index, :frames, :, :height, :width] = torch.randn(frames, 3, height, width, generator=generator)
        pixel_mask[index, :frames, :height, :width] = True
    lengths = [5, 9, 4, 7, 6]
    attention_mask = (torch.arange(9) < torch.tensor(lengths)[:, None]).long()
    words = torch.randint(3, 261, (5, 9), generator=generator)
    return {
        "pixel_values_videos": videos,
        "pixel_mask": pixel_mask,
        "input_ids": torch.where(attention_mask.bool(), words, 1),
        "attention_mask": attention_mask,
        "video_indices": torch.tensor([0, 1, 1, 2, 0]),
    }


def single_inputs(inputs: dict[str, Any], expression: int) -> dict[str, Any]:
    """One expression of `ragged_inputs` on its own: the clip's own frames and words, the same spatial padding."""
    video = int(inputs["video_indices"][expression])
    frames = int(inputs["pixel_mask"][video].flatten(1).any(1).sum())
    words = int(inputs["attention_mask"][expression].sum())
    return {
        "pixel_values_videos": inputs["pixel_values_videos"][video : video + 1, :frames],
        "pixel_mask": inputs["pixel_mask"][video : video + 1, :frames],
        "input_ids": inputs["input_ids"][expression : expression + 1, :words],
        "attention_mask": inputs["attention_mask"][expression : expression + 1, :words],
    }


def random_labels(inputs: dict[str, Any]) -> list[dict[str, torch.Tensor]]:
    """A moving square for each expression, absent in its first frame."""
    videos = inputs["pixel_values_videos"]
    indices = inputs.get("video_indices", torch.zeros(len(inputs["input_ids"]), dtype=torch.long))
    mask = inputs.get("pixel_mask", torch.ones_like(videos[:, :, 0], dtype=torch.bool))
    labels = []
    for expression, video in enumerate(indices.tolist()):
        frames = int(mask[video].flatten(1).any(1).sum())
        masks = torch.zeros(frames, *videos.shape[-2:], dtype=torch.bool)
        for frame in range(1, frames):
            masks[frame, 8 + frame : 24 + frame, 8 + 2 * expression : 28 + 2 * expression] = True
        labels.append({"masks": masks, "visible": masks.flatten(1).any(1)})
    return labels


# A small SOC in the terms of the official configuration.
OFFICIAL_CONFIG: dict[str, Any] = {
    "eval_short_size": 96,
    "eval_max_size": 160,
    "DeformTransformer": {
        "d_model": 128,
        "dim_feedforward": 64,
        "num_queries": 5,
        "enc_layers": 1,
        "dec_layers": 2,
    },
    "VOC": {
        "input_dim": 128,
        "dim_feedforward": 64,
        "num_queries": 5,
        "num_frame_queries": 5,
        "enc_layers": 1,
        "dec_layers": 1,
    },
}
OFFICIAL_SWIN = {"embed_dim": 24, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8]}
OFFICIAL_TEXT: dict[str, Any] = {
    "vocab_size": 261,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
    "type_vocab_size": 1,
}


def random_checkpoint(folder: Path) -> Path:
    """Make random weights in the official layout, convert them, and return the folder of the converted model.

    The folder also holds what a conversion needs: official.pth, tokenizer and text (its configuration).
    """
    torch.manual_seed(0)
    config = config_from_original(OFFICIAL_CONFIG, variant="soc", backbone=OFFICIAL_SWIN, text_config=OFFICIAL_TEXT)
    state_dict = to_original_state_dict(SocModel(config).state_dict(), config)
    torch.save({"model_state_dict": state_dict}, folder / "official.pth")
    byte_tokenizer(64).save_pretrained(folder / "tokenizer")
    RobertaConfig(**OFFICIAL_TEXT).save_pretrained(folder / "text")
    convert_checkpoint(
        folder / "official.pth",
        folder / "model",
        original_config=OFFICIAL_CONFIG,
        tokenizer=folder / "tokenizer",
        text_config=folder / "text",
    )
    return folder / "model"


def byte_tokenizer(model_max_length: int) -> RobertaTokenizer:
    """A tokenizer that needs no file: every byte is a token."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *bytes_to_unicode().values()]
    vocab = {piece: index for index, piece in enumerate(pieces)}
    return RobertaTokenizer(vocab=vocab, merges=[], model_max_length=model_max_length)

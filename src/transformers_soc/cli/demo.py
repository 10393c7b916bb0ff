# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""`transformers-soc demo`: conversion, segmentation and pictures with a small random model and a generated clip."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from transformers import RobertaConfig, RobertaTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode
from transformers.utils import logging

from ..conversion import config_from_original, convert_checkpoint, to_original_state_dict
from ..modeling_soc import SocModel
from ..video_io import read_video, replacing, write_video
from ..visualization import contact_sheet
from .segment import load_pipeline, segment_to_files

NUM_FRAMES = 24
FPS = 12
WIDTH, HEIGHT = 320, 180
SENTENCES = ["the orange ball that rolls to the right", "the blue square that stays"]

# A small SOC in the terms of the official configuration.
ORIGINAL_CONFIG: dict[str, Any] = {
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
BACKBONE = {"embed_dim": 24, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8]}
TEXT_CONFIG: dict[str, Any] = {
    "vocab_size": 261,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
    "type_vocab_size": 1,
}


def run(options: argparse.Namespace) -> None:
    """Write clip.mp4, overlay.mp4 and contact_sheet.png to the output folder.

    Raises:
        OSError: the output folder cannot be written.
    """
    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        print("1. A small SOC model with RANDOM weights, converted from the layout of the official checkpoints:")
        model = random_checkpoint(Path(folder))
        print("2. A generated clip, segmented by two sentences.")
        write_video(output / "clip.mp4", moving_shapes(), FPS)
        segmenter = load_pipeline(model)
        segment_to_files(segmenter, str(output / "clip.mp4"), SENTENCES, output / "overlay.mp4", progress=False)
    frames, _ = read_video(output / "overlay.mp4")
    with replacing(output / "contact_sheet.png") as temporary:
        contact_sheet(frames, max_frames=9).save(temporary, format="PNG")
    print("The weights are random, so the masks are noise: they show that the parts work together, nothing more.")
    for name in ("clip.mp4", "overlay.mp4", "contact_sheet.png"):
        print(f"  {output / name}")


def moving_shapes() -> np.ndarray:
    """Draw a ball that rolls to the right past a square that stays: uint8 (frames, height, width, 3)."""
    frames = []
    for index in range(NUM_FRAMES):
        picture = Image.new("RGB", (WIDTH, HEIGHT), (70, 80, 75))
        draw = ImageDraw.Draw(picture)
        draw.rectangle((0, 125, WIDTH, HEIGHT), fill=(110, 95, 70))
        draw.rectangle((200, 50, 260, 110), fill=(40, 90, 200))
        left = 12 + 10 * index
        draw.ellipse((left, 75, left + 56, 131), fill=(235, 130, 30))
        frames.append(np.asarray(picture))
    return np.stack(frames)


def random_checkpoint(folder: Path) -> Path:
    """Make random weights in the official layout, convert them, and return the folder of the converted model.

    The folder also holds what a conversion needs: official.pth, tokenizer and text (its configuration).
    """
    torch.manual_seed(0)
    config = config_from_original(ORIGINAL_CONFIG, variant="soc", backbone=BACKBONE, text_config=TEXT_CONFIG)
    state_dict = to_original_state_dict(SocModel(config).state_dict(), config)
    torch.save({"model_state_dict": state_dict}, folder / "official.pth")
    byte_tokenizer().save_pretrained(folder / "tokenizer")
    RobertaConfig(**TEXT_CONFIG).save_pretrained(folder / "text")
    report = convert_checkpoint(
        folder / "official.pth",
        folder / "model",
        original_config=ORIGINAL_CONFIG,
        tokenizer=folder / "tokenizer",
        text_config=folder / "text",
    )
    print("\n".join(f"   {line}" for line in report))
    return folder / "model"


def byte_tokenizer() -> RobertaTokenizer:
    """Return a tokenizer that needs no file: every byte is a token."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *bytes_to_unicode().values()]
    return RobertaTokenizer(vocab={piece: index for index, piece in enumerate(pieces)}, merges=[], model_max_length=64)

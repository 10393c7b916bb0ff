# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The checkpoint that the package carries: what it is, and that it listens to the sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import pipeline

import transformers_soc
from transformers_soc.data.moving_shapes import render_clip
from transformers_soc.metrics import region_similarity

DIRECTIONS = ("left", "right", "up", "down")


@pytest.fixture(scope="module")
def segment():
    return pipeline("referring-video-segmentation")


def test_files_are_small_and_hold_no_code():
    folder = Path(transformers_soc.bundled_checkpoint())
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".safetensors", ".md", ".png"}
    assert sum(path.stat().st_size for path in folder.glob("*.safetensors")) < 12e6
    config, processor = (json.loads((folder / f"{name}.json").read_text()) for name in ("config", "processor_config"))
    assert config["dtype"] == "float32" and config["threshold"] == processor["threshold"] is not None


def test_pipeline_takes_it_without_a_name(segment):
    assert segment.model.dtype == torch.float32 and segment.model.config.early_fusion == "proxy"


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="soc-plus-micro is"):
        transformers_soc.bundled_checkpoint("soc-plus-huge")


def test_direction_words_choose_between_look_alikes(segment):
    """On unseen clips: of two look-alikes that move apart, the one that the sentence names."""
    right = []
    for index in range(80):
        clip = render_clip("test", index, kinds=("motion",), motions=DIRECTIONS, num_frames=8, height=96, width=96)
        asked = [entry for entry in clip.expressions if entry.family in DIRECTIONS and entry.reversed_targets]
        answers = segment(clip.frames, [entry.text for entry in asked], threshold=0.0) if asked else []
        for entry, answer in zip(asked, answers, strict=True):
            other = clip.masks[list(entry.reversed_targets)].any(0)
            own = region_similarity(answer["masks"], clip.target_mask(entry)).mean()
            right.append(own > region_similarity(answer["masks"], other).mean())
        if len(right) >= 30:
            break
    assert len(right) >= 30 and np.mean(right) > 0.8

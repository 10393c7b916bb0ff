# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What runs without autograd in pieces and chunks equals the plain form, which runs with it."""

import copy

import pytest
import torch
from models import TINY_SWIN, ragged_inputs, tiny_inputs, tiny_model
from torch import nn
from transformers.activations import ACT2FN

from transformers_soc import VideoSwinBackbone, VideoSwinConfig, modeling_inference
from transformers_soc.configuration_soc import BACKBONE_STAGES
from transformers_soc.modeling_inference import RELU, linear, map_rows

OUTPUTS = ("logits", "pred_boxes", "pred_masks", "video_queries", "frame_queries", "text_features")
CONV_STEM = {"backbone_config": TINY_SWIN | {"stem": "conv3d", "stem_depths": (1, 2)}}
RESNET = {"model_type": "resnet", "embedding_size": 8, "hidden_sizes": (8, 12, 16, 20), "depths": (1, 1, 1, 1)}
VARIANTS = {
    "soc": {},
    "soc++": {},
    "convolution stem": CONV_STEM,
    "windows": {"cluster_window_size": 2},
    "frame by frame": {"backbone_config": RESNET | {"out_features": BACKBONE_STAGES}},
}


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces of a few rows and chunks of one or two frames, so that small inputs need many of them."""
    monkeypatch.setattr(modeling_inference, "MIN_PIECE_ROWS", 16)
    monkeypatch.setitem(modeling_inference.PIECE_BYTES, "cpu", 2**12)
    monkeypatch.setitem(modeling_inference.CHUNK_TOKENS, "cpu", 300)


def assert_same(found, expected):
    for name in OUTPUTS:
        error = (found[name] - expected[name]).abs().max() / expected[name].abs().max()
        assert error < 1e-4, f"{name}: {error}"


@pytest.mark.parametrize("inputs", [ragged_inputs(), tiny_inputs(19, 2)], ids=["ragged", "long"])
@pytest.mark.parametrize("name", VARIANTS)
def test_inference_equals_the_plain_form(name, inputs, small_pieces):
    model = tiny_model("soc++" if name == "soc++" else "soc", **VARIANTS[name])
    before = inputs["pixel_values_videos"].clone()
    with torch.no_grad():
        found = model(**inputs)
    assert_same(found, model(**inputs))
    assert torch.equal(inputs["pixel_values_videos"], before)


def test_frames_pass_in_chunks(small_pieces):
    """The encoder never holds more than the bound, and each frame passes it once per group of expressions."""
    model, seen = tiny_model("soc++"), []
    model.encoder.register_forward_hook(lambda module, arguments, output: seen.append(output.shape[:2]))
    with torch.no_grad():
        model(**tiny_inputs(num_frames=10, num_expressions=8))
    tokens = 300 // (6 * 8 + 3 * 4 + 2 * 2 + 1)
    assert len(seen) > 1 and all(expressions * frames <= tokens for expressions, frames in seen)
    assert sum(expressions * frames for expressions, frames in seen) == 80


def test_a_backbone_of_frames_sees_a_few_at_a_time(small_pieces):
    model, seen = tiny_model("soc", **VARIANTS["frame by frame"]), []
    model.backbone.register_forward_hook(lambda module, arguments, output: seen.append(len(arguments[0])))
    with torch.no_grad():
        model.get_video_features(tiny_inputs(num_frames=10)["pixel_values_videos"])
    assert sum(seen) == 10 and max(seen) == 300 // (48 * 64 // 48)


def test_hidden_states_survive_the_work_in_place(small_pieces):
    torch.manual_seed(0)
    backbone = VideoSwinBackbone(VideoSwinConfig(**TINY_SWIN)).eval()
    frames = torch.randn(2, 9, 3, 33, 50)
    expected = backbone(frames, output_hidden_states=True).hidden_states
    with torch.no_grad():
        found = backbone(frames, output_hidden_states=True).hidden_states
        assert backbone(frames).hidden_states is None
    for state, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(state, plain, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("activation", [None, RELU, ACT2FN["gelu"], ACT2FN["silu"]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_linear_and_activation_are_those_of_torch(activation, dtype):
    torch.manual_seed(0)
    layer, inputs = nn.Linear(24, 40).to(dtype).eval(), torch.randn(2, 3, 24, dtype=dtype)
    with torch.no_grad():
        found = linear(layer, inputs, activation)
    expected = layer(inputs) if activation is None else activation(layer(inputs))
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected)


def test_a_wrapped_layer_is_called():
    layer, inputs = nn.Linear(4, 4).eval(), torch.randn(2, 4)
    layer.forward = lambda values: values + 1
    with torch.no_grad():
        assert torch.equal(linear(layer, inputs), inputs + 1)
        assert torch.equal(linear(nn.Sequential(nn.Identity()).eval(), inputs, RELU), inputs.relu())


def test_rows_in_place_stay_in_their_memory(small_pieces):
    rows = torch.randn(1000, 8)
    expected, memory = 2 * rows, rows.data_ptr()
    assert torch.equal(map_rows(rows, 8, lambda piece: 2 * piece), expected)
    map_rows(rows, 8, lambda piece: 2 * piece, out=rows)
    assert torch.equal(rows, expected) and rows.data_ptr() == memory


@torch.no_grad()
def test_half_precision_keeps_the_mean_of_many_frames():
    weighting = tiny_model("soc++").video_cluster.frame_weighting
    torch.manual_seed(0)
    hidden = 1 + 0.05 * torch.randn(2, 1, 600, 4, 64)
    arguments = (torch.randn(1, 64), torch.ones(1, 600, dtype=torch.bool))
    low = copy.deepcopy(weighting).bfloat16()(hidden.bfloat16(), arguments[0].bfloat16(), arguments[1], 0)
    expected = weighting(hidden.bfloat16().float(), *arguments, 0)
    assert (low[..., -100:].float() - expected[..., -100:]).abs().max() < 0.03

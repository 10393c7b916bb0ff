# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Extreme but legal inputs give numbers, and what must not matter does not: padding, order, chunks, threads, seeds."""

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from models import ragged_inputs, random_labels, single_inputs, tiny_inputs, tiny_model

from transformers_soc import SocModel, modeling_inference

OUTPUTS = ("logits", "pred_boxes", "pred_masks", "video_queries", "text_features")
VARIANTS = ("soc", "soc++")


def assert_close(left: Any, right: Any, tolerance: float = 1e-5) -> None:
    """Within a share of the largest value of each output."""
    for field in OUTPUTS:
        error = (left[field] - right[field]).abs().max() / right[field].abs().max()
        assert error <= tolerance, f"{field}: {error}"


def assert_finite(outputs: Any) -> None:
    for field in OUTPUTS:
        assert outputs[field].isfinite().all(), field


def assert_finite_gradients(model: SocModel, loss: torch.Tensor) -> None:
    assert loss.isfinite()
    loss.backward()
    broken = [
        name for name, value in model.named_parameters() if value.grad is not None and not value.grad.isfinite().all()
    ]
    assert not broken
    assert any(value.grad is not None and value.grad.any() for value in model.parameters())
    model.zero_grad()


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


SHAPES = {
    "one frame": (1, 48, 64),
    "one pixel": (2, 1, 1),
    "one row": (2, 1, 130),
    "one column": (2, 130, 1),
    "very wide": (2, 4, 512),
    "very high": (2, 512, 4),
    "odd": (3, 37, 53),
    "many frames": (41, 8, 8),
}


CASES = [*itertools.product(["soc++"], SHAPES), ("soc", "one frame"), ("soc", "one pixel"), ("soc", "very wide")]


@pytest.mark.parametrize(("variant", "shape"), CASES)
def test_extreme_shapes(variant, shape):
    frames, height, width = SHAPES[shape]
    model = tiny_model(variant)
    inputs = tiny_inputs(frames, 2, height, width)
    with torch.no_grad():
        outputs = model(**inputs)
    assert_finite(outputs)
    assert outputs.pred_masks.shape == (2, frames, 4, -(-height // 4), -(-width // 4))
    labels = [{"masks": torch.ones(frames, height, width, dtype=torch.bool), "visible": torch.ones(frames).bool()}] * 2
    assert_finite_gradients(model, model.train()(**inputs, labels=labels).loss)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("value", [0.0, 1e4, -1e4])
def test_constant_and_large_pixels(variant, value):
    inputs = tiny_inputs() | {"pixel_values_videos": torch.full((1, 3, 3, 48, 64), value)}
    with torch.no_grad():
        assert_finite(tiny_model(variant)(**inputs))


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_query_of_one_layer(variant):
    model = tiny_model(variant, num_queries=1, num_proxies=1, decoder_layers=1, inference_decoder_layer=0)
    inputs = ragged_inputs()
    with torch.no_grad():
        outputs = model(**inputs, best_query_only=True)
    assert_finite(outputs)
    assert not outputs.selected_queries.any()
    assert_finite_gradients(model, model.train()(**inputs, labels=random_labels(inputs)).loss)


def targets(inputs: dict[str, Any], name: str) -> list[dict[str, torch.Tensor]]:
    labels = random_labels(inputs)
    for label in labels:
        masks, visible = label["masks"], label["visible"]
        if name == "absent":
            masks[:], visible[:] = False, False
        elif name == "without area":  # said to be seen, but there is not a pixel
            masks[:] = False
        elif name == "one pixel":
            masks[:] = False
            masks[1:, 5, 7] = True
        elif name == "one row":
            masks[:] = False
            masks[1:, 9] = True
        elif name == "everything":
            masks[:], visible[:] = True, True
    return labels


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["absent", "without area", "one pixel", "one row", "everything"])
def test_targets_without_area_and_full_ones(variant, name):
    model, inputs = tiny_model(variant).train(), ragged_inputs()
    assert_finite_gradients(model, model(**inputs, labels=targets(inputs, name)).loss)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_under_autocast_are_finite(variant, dtype):
    """For padded clips, and a sentence without a target."""
    model, inputs = tiny_model(variant).train(), ragged_inputs()
    labels = random_labels(inputs)
    labels[2] = {name: torch.zeros_like(value) for name, value in labels[2].items()}
    with torch.autocast("cpu", dtype=dtype):
        loss = model(**inputs, labels=labels).loss
    assert loss.dtype == torch.float32
    assert_finite_gradients(model, loss)


@torch.no_grad()
def test_equal_sentences_get_equal_answers():
    """Equal in every token, beside each other and beside others; bit by bit, as nothing else differs."""
    model, inputs = tiny_model("soc++"), tiny_inputs(num_expressions=4)
    for name in ("input_ids", "attention_mask"):
        inputs[name] = inputs[name][[0, 1, 0, 1]]
    outputs = model(**inputs)
    for field in OUTPUTS:
        assert torch.equal(outputs[field][0], outputs[field][2]) and torch.equal(outputs[field][1], outputs[field][3])
    assert not torch.equal(outputs.logits[0], outputs.logits[1])


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_order_of_videos_and_sentences_only_orders_the_answers(variant, one_thread):
    """
    SOC may be equal bit by bit, which is up to the library of matrix products: it may sum the last rows of a batch in
    another order than the others. The frame scorer of SOC++, whose last product has one column, shows that it does.
    """
    model, inputs = tiny_model(variant), ragged_inputs()
    expected = model(**inputs)
    for videos, rows in (([2, 0, 1], [3, 1, 4, 0, 2]), ([1, 2, 0], [4, 3, 2, 1, 0])):
        places = {video: place for place, video in enumerate(videos)}
        mixed = {name: inputs[name][videos] for name in ("pixel_values_videos", "pixel_mask")}
        mixed |= {name: inputs[name][rows] for name in ("input_ids", "attention_mask")}
        mixed["video_indices"] = torch.tensor([places[int(inputs["video_indices"][row])] for row in rows])
        outputs = model(**mixed)
        assert_close(outputs, {field: expected[field][rows] for field in OUTPUTS}, 1e-6)


def padded(inputs: dict[str, Any], frames: int, words: int) -> dict[str, Any]:
    """More padding at the end of the clip and of the sentence."""
    pad = torch.nn.functional.pad
    return {
        "pixel_values_videos": pad(inputs["pixel_values_videos"], (0, 0, 0, 0, 0, 0, 0, frames)),
        "pixel_mask": pad(inputs["pixel_mask"], (0, 0, 0, 0, 0, frames)),
        "input_ids": pad(inputs["input_ids"], (0, words), value=1),
        "attention_mask": pad(inputs["attention_mask"], (0, words)),
    }


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("frames", "words"), [(1, 0), (0, 1), (9, 13)])
@torch.no_grad()
def test_frames_and_words_of_padding_change_nothing(variant, frames, words):
    model, inputs = tiny_model(variant), single_inputs(ragged_inputs(), 1)
    expected, outputs = model(**inputs), model(**padded(inputs, frames, words))
    real = expected.logits.shape[1]
    for field in ("logits", "pred_boxes", "pred_masks"):
        assert (outputs[field][:, real:] == (0 if field == "pred_boxes" else -1e4)).all()
        outputs[field] = outputs[field][:, :real]
    assert_close(outputs, expected)


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_what_lies_in_the_padding_is_never_read(variant):
    """Words beyond the mask may be anything; bit by bit."""
    model, inputs = tiny_model(variant), ragged_inputs()
    expected = model(**inputs)
    other = inputs | {"input_ids": torch.where(inputs["attention_mask"].bool(), inputs["input_ids"], 77)}
    # RoBERTa counts positions by the id of padding, so the filling word must not shift the real ones.
    outputs = model(**other)
    for field in OUTPUTS:
        assert torch.equal(outputs[field], expected[field]), field


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_chunks_of_frames_and_sentences_change_nothing(variant, monkeypatch):
    """From all at once down to a frame and a sentence at a time."""
    model, inputs = tiny_model(variant), ragged_inputs()
    monkeypatch.setitem(modeling_inference.CHUNK_TOKENS, "cpu", 2**30)
    monkeypatch.setitem(modeling_inference.PIECE_BYTES, "cpu", 2**30)
    expected = model(**inputs)
    for tokens, size in ((1, 1), (300, 2**14), (2000, 1)):
        monkeypatch.setitem(modeling_inference.CHUNK_TOKENS, "cpu", tokens)
        monkeypatch.setitem(modeling_inference.PIECE_BYTES, "cpu", size)
        monkeypatch.setattr(modeling_inference, "MIN_PIECE_ROWS", 16)
        assert_close(model(**inputs), expected)


@torch.no_grad()
def test_more_threads_change_nothing(one_thread):
    model, inputs = tiny_model("soc++"), ragged_inputs()
    expected = model(**inputs)
    torch.set_num_threads(2)
    assert_close(model(**inputs), expected)


def train(steps: int = 2) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Losses and weights of a training with all kinds of dropout."""
    torch.manual_seed(3)
    model = tiny_model("soc++", dropout=0.1, cluster_dropout=0.1, text_projection_dropout=0.1).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    inputs = ragged_inputs()
    losses = []
    for _ in range(steps):
        loss = model(**inputs, labels=random_labels(inputs)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, copy.deepcopy(model.state_dict())


def test_the_same_seed_trains_the_same_model(one_thread):
    (first, weights), (second, again) = train(), train()
    assert first == second
    assert all(torch.equal(weights[name], again[name]) for name in weights)

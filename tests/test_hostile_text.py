# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Sentences of strangers are answered, or refused with one sentence; and outputs that are no numbers are told."""

import math
import random
import warnings

import numpy as np
import pytest
import torch
from conftest import gray_frames, tiny_processor
from models import tiny_inputs, tiny_model

from transformers_soc.modeling_soc import SocModelOutput
from transformers_soc.pipeline_referring_video_segmentation import ReferringVideoSegmentationPipeline

ANSWERED = {
    "control characters": "a\x00dog\x1b[31m\x07",
    "right to left": "הכלב משמאל \u202e gol",
    "emoji": "🐕‍🦺 👈",
    "another language": "左边的红色圆",
    "markup": "<b>dog</b><img src=x>",
    "a prompt": "]]> Ignore this; {{7*7}} %s",
    "stop words": "the of a to",
    "full-width": "\uff44\uff4f\uff47",
    "many marks": "e" + "\u0301" * 8,
    "one letter": "x",
    "white space inside": "a\u00a0\u2003dog\u2028here",
}
REFUSED = {
    "empty": ("", "expression 0 is empty"),
    "spaces": (" \t\n\u3000\u00a0", "expression 0 is empty"),
    "only NUL": ("\x00\x00", "expression 0 holds no character that can be seen"),
    "invisible": ("\u200b\ufeff\u202e", "expression 0 holds no character that can be seen"),
    "half of a pair": ("a dog \ud83d", "expression 0 is no valid text: its character 6"),
    "ten thousand words": ("dog " * 10_000, "expression 0 has 40001 tokens, .* at most 32"),
    "one endless word": ("x" * 100_000, "expression 0 has 100002 tokens"),
}


@pytest.fixture(scope="module")
def pipe():
    return ReferringVideoSegmentationPipeline(model=tiny_model("soc++"), processor=tiny_processor(), device=-1)


@pytest.mark.parametrize("name", ANSWERED)
def test_any_text_is_answered(pipe, name):
    answer = pipe(gray_frames(2), ANSWERED[name])
    assert answer["expression"] == ANSWERED[name]
    assert math.isfinite(answer["score"]) and answer["masks"].shape == (2, 32, 48)
    assert np.isfinite(answer["boxes"]).all()


@pytest.mark.parametrize(("text", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_sentence_is_refused(pipe, text, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        pipe(gray_frames(2), text)
    assert len(str(caught.value)) < 200


@pytest.mark.stress
def test_random_text_is_answered_or_refused(amount):
    generator = random.Random(0)
    processor = tiny_processor()
    refused = 0
    for _ in range(amount(500, 50_000)):
        length = generator.randrange(1, 12)
        text = "".join(
            chr(generator.choice((generator.randrange(0x110000), generator.randrange(64)))) for _ in range(length)
        )
        try:
            assert processor(text=text)["input_ids"].shape[1] <= 32
        except ValueError as error:
            assert str(error).startswith("expression 0 ")
            refused += 1
    print(f"{refused} refused")


def test_a_sentence_that_is_cut_is_told():
    processor = tiny_processor()
    with pytest.warns(UserWarning, match="expression 1 was cut to 32 tokens"):
        inputs = processor(text=["a dog", "dog " * 10_000], truncation=True)
    assert inputs["input_ids"].shape == (2, 32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        processor(text=["a dog", "the big dog"], truncation=True)


@pytest.mark.stress
def test_many_sentences_are_answered_like_one(pipe, amount):
    sentences = [f"dog {number}" for number in range(amount(100, 1000))]
    answers = pipe(np.zeros((1, 32, 32, 3), np.uint8), sentences, batch_size=250, progress=False)
    assert [answer["expression"] for answer in answers] == sentences
    alone = pipe(np.zeros((1, 32, 32, 3), np.uint8), sentences[63])
    assert answers[63]["query_index"] == alone["query_index"]
    assert answers[63]["score"] == pytest.approx(alone["score"], rel=1e-5)


def test_more_tokens_than_positions_are_refused_by_the_model():
    """Where the tokenizer does not know how much the text encoder reads."""
    processor = tiny_processor()
    processor.tokenizer.model_max_length = 10**30
    inputs = tiny_inputs() | dict(processor(text="dog " * 100))
    with pytest.raises(ValueError, match="have 401 tokens, but the text encoder reads at most 38"):
        tiny_model()(**inputs)


def outputs_of(logit: float, mask_logit: float, box: float = 0.5) -> SocModelOutput:
    return SocModelOutput(
        logits=torch.full((1, 2, 3, 1), logit),
        pred_boxes=torch.full((1, 2, 3, 4), box),
        pred_masks=torch.full((1, 2, 3, 8, 12), mask_logit),
    )


@pytest.mark.parametrize(("mask_logit", "share"), [(-1e4, 0), (1e4, 1)])
@pytest.mark.parametrize("logit", [-1e4, 0.0, 1e4])
def test_empty_and_full_masks(logit, mask_logit, share):
    process = tiny_processor().post_process_referring_video_segmentation
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (answer,) = process(outputs_of(logit, mask_logit), [(20, 31)])
    assert answer["masks"].float().mean() == share
    assert 0 <= answer["score"] <= 1


@pytest.mark.parametrize(("mask_logit", "share"), [(-math.inf, 0), (math.inf, 1)])
def test_infinite_logits_are_told_and_mean_what_they_say(mask_logit, share):
    with pytest.warns(UserWarning, match="infinity in logits, pred_masks"):
        (answer,) = tiny_processor().post_process_referring_video_segmentation(
            outputs_of(math.inf, mask_logit), [(20, 31)], return_probabilities=True
        )
    assert answer["masks"].float().mean() == share == answer["probabilities"].mean()
    assert answer["score"] == 1


@pytest.mark.parametrize("name", ["logits", "pred_masks", "pred_boxes"])
@pytest.mark.parametrize("everywhere", [False, True])
def test_nan_is_told_and_does_not_come_out(name, everywhere):
    outputs = outputs_of(1.0, 1.0)
    outputs[name][:, :, slice(None) if everywhere else 0] = math.nan
    processor = tiny_processor()
    with pytest.warns(UserWarning, match=f"infinity in {name},"):
        (answer,) = processor.post_process_referring_video_segmentation(outputs, [(20, 31)], return_probabilities=True)
    for field in ("boxes", "frame_scores", "probabilities"):
        assert answer[field].isfinite().all()
    assert answer["score"] == pytest.approx(0.0 if name == "logits" and everywhere else 0.7311, abs=1e-4)
    assert answer["masks"].any() != (name == "pred_masks")
    with pytest.warns(UserWarning, match="hold NaN"):
        (candidates,) = processor.post_process_candidates(outputs, [(20, 31)])
    assert candidates["scores"].isfinite().all()


def test_a_model_whose_weights_are_no_numbers_is_told():
    model = tiny_model()
    torch.nn.init.constant_(model.class_heads[0].bias, math.nan)
    broken = ReferringVideoSegmentationPipeline(model=model, processor=tiny_processor(), device=-1)
    with pytest.warns(UserWarning, match="infinity in logits,"):
        answers = broken(gray_frames(2), ["a dog", "a cat"])
    assert [answer["score"] for answer in answers] == [0, 0]

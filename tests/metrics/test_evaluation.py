# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import tiny_processor
from models import TINY_TEXT, tiny_model

from transformers_soc.data.moving_shapes import load_moving_shapes
from transformers_soc.data.pixels import read_masks
from transformers_soc.metrics import evaluation
from transformers_soc.metrics.evaluation import ModelAnswers, StoredAnswers, score_rows
from transformers_soc.metrics.protocols import PROTOCOLS
from transformers_soc.video_io import rle_to_masks

WHOLE = PROTOCOLS["moving_shapes"]


@pytest.fixture(scope="module")
def rows():
    options = {"num_frames": 6, "height": 64, "width": 80, "num_expressions": 3}
    return list(load_moving_shapes("test", 1, **options))


@pytest.fixture(scope="module")
def model():
    return tiny_model("soc++", text_config=TINY_TEXT | {"max_position_embeddings": 130})


def processor():
    made = tiny_processor()
    made.tokenizer.model_max_length = 128
    return made


def answers(model, **changes) -> ModelAnswers:
    return ModelAnswers(model, processor(), replace(WHOLE, **changes), expressions_per_pass=2)


@torch.no_grad()
def test_each_clip_chooses_its_own_query(model, rows):
    """Passes of three frames give what each half gives as a video of its own."""
    parts = list(answers(model, clips="consecutive", clip_length=3).masks(rows))
    for start in (0, 3):
        half = [row | {"frames": row["frames"][start : start + 3], "num_frames": 3} for row in rows]
        for part, alone in zip(parts, answers(model).masks(half), strict=True):
            assert part[start : start + 3] == alone
    assert list(answers(model, clips="consecutive", clip_length=6).masks(rows)) == list(answers(model).masks(rows))


@torch.no_grad()
def test_interleaved_parts_come_back_in_the_order_of_the_video(model, rows):
    parts = list(answers(model, clips="interleaved", clip_length=3).masks(rows))
    for start in (0, 1):
        half = [row | {"frames": row["frames"][start::2], "num_frames": 3} for row in rows]
        for part, alone in zip(parts, answers(model).masks(half), strict=True):
            assert part[start::2] == alone


@torch.no_grad()
def test_label_maps_hold_the_masks_where_no_other_object_is_as_likely(model, rows):
    labels = answers(model).label_maps(rows)
    masks = [rle_to_masks(codes) for codes in answers(model).masks(rows)]
    assert labels.shape == masks[0].shape and labels.max() <= len(rows)
    # A probability of exactly one half counts for label maps, and not for masks.
    assert (np.logical_or.reduce(masks) <= (labels > 0)).all()
    for place, mask in enumerate(masks, 1):
        others = np.logical_or.reduce([other for index, other in enumerate(masks, 1) if index != place])
        assert (labels[mask & ~others] == place).all()


@torch.no_grad()
def test_candidates_are_scored_with_the_best_one(model, rows):
    one = [row | {"annotated_frame_indices": [2]} for row in rows]
    protocol = replace(PROTOCOLS["a2d_sentences"], clip_length=4)
    records, masks = score_rows(ModelAnswers(model, processor(), protocol), one, protocol)
    assert not masks and [record.sample_id for record in records] == [row["sample_id"] for row in rows]
    assert all(len(record.predictions) == model.config.num_queries for record in records)


def test_too_little_memory_names_the_option(model, rows, monkeypatch):
    monkeypatch.setattr(evaluation, "available_memory", lambda device: 1000)
    with pytest.raises(MemoryError, match="--clip_length"):
        list(answers(model).masks(rows))


class Stored:
    """Reader whose masks are those of the data set, or empty ones."""

    def __init__(self, empty: bool):
        self.empty = empty

    def read(self, row):
        return read_masks(row, range(row["num_frames"])) & (not self.empty)


def test_perfect_and_empty_predictions(rows):
    (everything,) = {record.region for record in score_rows(StoredAnswers(Stored(False)), rows, WHOLE)[0]}
    assert everything == 1
    records = score_rows(StoredAnswers(Stored(True)), rows, WHOLE)[0]
    seen = [record for record in records if not record.no_target]
    assert seen and all(record.region < 1 and record.refused for record in seen)

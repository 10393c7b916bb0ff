# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Each benchmark from its official files to a trained step, its figures and its archive."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny_processor
from miniature_refer_youtube_vos import make_refer_youtube_vos
from miniatures import MINIATURES, NAMES, load_miniature, make_miniatures
from models import TINY_TEXT, tiny_model

from transformers_soc.data.benchmarks import BENCHMARKS, load_benchmark
from transformers_soc.data.clips import ClipDataset, group_by_video, read_clip
from transformers_soc.data.collator import SocDataCollator
from transformers_soc.data.pixels import read_masks
from transformers_soc.data.revos import load_revos_foreground
from transformers_soc.data.submission import LAYOUTS, check_submission, write_submission
from transformers_soc.metrics.evaluation import ModelAnswers, StoredAnswers, score_rows
from transformers_soc.metrics.protocols import PROTOCOLS
from transformers_soc.metrics.runs import summarize_records
from transformers_soc.video_io import rle_to_masks


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_miniatures(tmp_path_factory)


def text_model() -> Any:
    return tiny_model("soc++", text_config=TINY_TEXT | {"max_position_embeddings": 130})


def long_processor() -> Any:
    processor = tiny_processor()
    processor.tokenizer.model_max_length = 128
    return processor


def test_every_benchmark_has_a_miniature():
    assert set(BENCHMARKS) - {"refcoco+", "refcocog"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_two_steps_of_training(roots, name):
    dataset = ClipDataset(load_miniature(roots, name, MINIATURES[name].train), window_size=3, expressions_per_clip=2)
    model = text_model().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    collate = SocDataCollator(long_processor())
    for index in (0, len(dataset) - 1):
        loss = model(**collate([dataset[index]])).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert torch.isfinite(loss)
    assert any(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


class Truth:
    """Reader of predictions that are the ground truth, or nothing."""

    def __init__(self, empty: bool):
        self.empty = empty

    def read(self, row):
        frames = (
            row["annotated_frame_indices"] if len(row["annotated_frame_indices"]) == 1 else range(row["num_frames"])
        )
        return read_masks(row, frames) & (not self.empty)


def answer(answers: Any, name: str, root: Path, table: Any) -> tuple[list[Any], dict[str, Any]]:
    """Records and codes of all videos, as `score_rows` gives them for one."""
    foreground = load_revos_foreground(root) if name == "revos" else {}
    records: list[Any] = []
    codes: dict[str, Any] = {}
    with torch.no_grad():
        for group in group_by_video(table):
            rows = [table[index] for index in group]
            own, masks = score_rows(answers, rows, PROTOCOLS[name], foreground.get(rows[0]["video_id"]))
            records, codes = records + own, codes | masks
    return records, codes


@pytest.mark.parametrize("name", [name for name in NAMES if name != "refer_davis"])
def test_figures_of_perfect_and_of_empty_predictions(roots, name):
    table = load_miniature(roots, name)
    perfect, nothing = (
        summarize_records(answer(StoredAnswers(Truth(empty)), name, roots[name], table)[0], PROTOCOLS[name])
        for empty in (False, True)
    )
    assert perfect
    for group, values in perfect.items():
        for metric in {"J", "F", "overall_iou", "mean_iou", "A", "P@0.9"} & values.keys():
            assert values[metric] == pytest.approx(100), (group, metric)
            assert nothing[group][metric] < 100


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_scored_and_packed(roots, name, tmp_path):
    table = load_miniature(roots, name)
    answers = ModelAnswers(text_model(), long_processor(), PROTOCOLS[name])
    records, codes = answer(answers, name, roots[name], table)
    assert summarize_records(records, PROTOCOLS[name])
    if name != "refer_davis":  # whose records are objects, not expressions
        assert sorted(record.sample_id for record in records) == sorted(table["sample_id"])
    if name in LAYOUTS:
        report = write_submission(
            tmp_path / "a.zip", name, table, ((key, rle_to_masks(value)) for key, value in codes.items())
        )
        assert report.expressions == len(table)
        assert check_submission(tmp_path / "a.zip", name, table).checksum == report.checksum


def test_damaged_frames_are_named_or_skipped(tmp_path):
    """In training, too: the sample and the file, or a warning that counts."""
    make_refer_youtube_vos(tmp_path)
    table = load_benchmark("refer_youtube_vos", tmp_path, "train")
    row = table[0]
    frame = Path(row["frames"][1])
    frame.write_bytes(frame.read_bytes()[:200])
    with pytest.raises(ValueError, match=rf"{row['sample_id']}: .*{frame.name}"):
        read_clip([row], [0, 1])
    dataset = ClipDataset(table, window_size=8, on_error="skip")
    clips = [dataset[index] for index in range(len(dataset))]
    assert len(clips) == len(dataset) and dataset.num_skipped == 1
    frame.unlink()
    with pytest.raises(FileNotFoundError, match=frame.name):
        read_clip([row], [0, 1])

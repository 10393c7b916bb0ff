# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import json

import numpy as np
import pytest

from transformers_soc.metrics import runs, score_davis_sequence, score_expression, summarize
from transformers_soc.metrics.protocols import PROTOCOLS
from transformers_soc.metrics.runs import (
    DESCRIPTION,
    EvaluationFolder,
    model_stamp,
    result_entries,
    summarize_records,
)


def record(name: str, seed: int):
    masks = np.random.default_rng(seed).random((2, 3, 8, 9)) > 0.5
    return score_expression(name, "static", masks[0], masks[1])


def test_goes_on_where_a_crash_cut_a_line_off(tmp_path):
    folder = EvaluationFolder(tmp_path / "scores", {"model": "m"})
    folder.open()
    folder.append(0, "a", [record("a", 0)], {})
    folder.append(1, "b", [record("b", 1)], {})
    with open(tmp_path / "scores" / "done-1.jsonl", "a") as file:
        file.write('{"unit": "c", "rec')
    again = EvaluationFolder(tmp_path / "scores", {"model": "m"})
    again.open()
    assert again.units() == {"a", "b"}
    again.append(0, "c", [record("c", 2)], {})
    whole = [record("c", 2), record("a", 0), record("b", 1)]
    assert summarize_records(again.records("expressions"), PROTOCOLS["mevis"]) == summarize(whole)


def test_a_video_that_two_processes_answered_counts_once(tmp_path):
    folder = EvaluationFolder(tmp_path, {})
    folder.open()
    for rank in (0, 1):
        folder.append(rank, "a", [record("a", 0)], {"a": [{"size": [8, 9], "counts": "x"}]})
    assert len(folder.records("expressions")) == 1 and len(list(folder.masks())) == 1


def test_other_settings_are_refused(tmp_path):
    EvaluationFolder(tmp_path, {"model": "m", "split": "test"}).open()
    with pytest.raises(ValueError, match=r"other settings \(model\)"):
        EvaluationFolder(tmp_path, {"model": "n", "split": "test"}).open()


def test_the_stamp_of_a_model_is_that_of_its_content_or_commit(tmp_path, monkeypatch):
    for name, content in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text(content)
    stamps = [model_stamp(tmp_path / name) for name in "abc"]
    assert stamps[0] == stamps[1] != stamps[2]
    (tmp_path / "b/config.json").write_text("{}")
    (tmp_path / "c/README.md").write_text("of no account")
    assert model_stamp(tmp_path / "b") != stamps[1] and model_stamp(tmp_path / "c") == stamps[2]
    monkeypatch.setattr(
        runs, "cached_file", lambda *names: f"cache/{'/'.join(names)}".replace("soc", "snapshots/7f88")
    )
    assert model_stamp("me/soc") == "7f88"


def test_davis_records_survive_the_file(tmp_path):
    generator = np.random.default_rng(0)
    target, prediction = generator.integers(0, 3, (2, 4, 20, 30)).astype(np.uint8)
    target[0, 0, 0] = 2
    scores = score_davis_sequence("swan", 0, prediction, target)
    folder = EvaluationFolder(tmp_path, {})
    folder.open()
    folder.append(0, "swan", scores, {})
    protocol = PROTOCOLS["refer_davis"]
    assert summarize_records(folder.records("davis"), protocol) == summarize_records(scores, protocol)


def test_entries_carry_their_description_and_number_of_samples():
    summary = {"all": {"expressions": 4, "J": 50.0, "N-acc": None}}
    description = dict.fromkeys(DESCRIPTION) | {"model": "m"}
    (entry,) = result_entries(summary, description)
    assert json.loads(json.dumps(entry)) == entry
    assert (entry["metric"], entry["value"], entry["num_samples"], entry["group"]) == ("J", 50.0, 4, "all")
    with pytest.raises(ValueError, match="lacks model"):
        result_entries(summary, {})

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import json
from pathlib import Path

import numpy as np
import pytest
from example_tools import EVALUATE, load_script, save_tiny_model, write_clips

from transformers_soc import SocModel, SocProcessor
from transformers_soc.data.folder import load_folder
from transformers_soc.metrics.evaluation import score_videos

evaluate = load_script(EVALUATE)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_tiny_model(folder)
    return folder


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_clips(root, "test")
    return root


def test_scores_do_not_depend_on_how_the_work_is_split(model_folder: Path, data_root: Path):
    model = SocModel.from_pretrained(model_folder).eval()
    processor = SocProcessor.from_pretrained(model_folder)
    table = load_folder(data_root, "test")
    whole = [score for video in score_videos(model, processor, table) for score in video]
    assert [score.sample_id for score in whole] == table["sample_id"][:]
    assert [score.no_target for score in whole] == [False, False, True] * 2
    shares = [score_videos(model, processor, table, rank=r, num_processes=3) for r in range(3)]
    assert [score for share in shares for video in share for score in video] == whole
    parts = [score for video in score_videos(model, processor, table, expressions_per_pass=2) for score in video]
    assert [score.region for score in parts] == pytest.approx([score.region for score in whole], abs=1e-3)


def test_only_annotated_frames_count(model_folder: Path, data_root: Path):
    model, processor = SocModel.from_pretrained(model_folder).eval(), SocProcessor.from_pretrained(model_folder)
    row = load_folder(data_root, "test")[0]
    one = [[score.region for score in video] for video in score_videos(model, processor, [row])]
    frames = [
        next(score_videos(model, processor, [row | {"annotated_frame_indices": [index]}]))[0].region
        for index in range(3)
    ]
    assert one[0][0] == pytest.approx(np.mean(frames))


def test_script_prints_and_writes_the_results(model_folder: Path, data_root: Path, tmp_path: Path, capsys):
    file = tmp_path / "scores.json"
    arguments = ["--model_name_or_path", str(model_folder), "--dataset", "folder", "--data_root", str(data_root)]
    evaluate.main([*arguments, "--cpu", "--threshold", "1", "--output_file", str(file)])
    written = json.loads(file.read_text())
    assert written["settings"]["threshold"] == "1.0"
    # A threshold of 1 refuses everything.
    everything = written["results"]["all"]
    assert everything["expressions"] == 6 and everything["J&F"] == pytest.approx(100 / 3)
    assert everything["no_target_accuracy"] == everything["false_refusals"] == 100
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == ["all", "target", "kind: none", "kind: static"]


def test_folder_needs_its_root(capsys):
    with pytest.raises(SystemExit):
        evaluate.parse_args(["--model_name_or_path", "m", "--dataset", "folder"])
    assert "needs --data_root" in capsys.readouterr().err

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import save_tiny_model
from example_tools import ENVIRONMENT, EVALUATE, load_script, write_clips
from PIL import Image

from transformers_soc import SocModel, SocProcessor
from transformers_soc.data.folder import load_folder
from transformers_soc.metrics.evaluation import score_videos
from transformers_soc.video_io import write_mask_pngs

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


@pytest.fixture(scope="module")
def options(model_folder: Path, data_root: Path) -> list[str]:
    return ["--model", str(model_folder), "--benchmark", "folder", "--data_root", str(data_root), "--cpu"]


def results(folder: Path) -> dict[tuple[str, str], float]:
    entries = json.loads((folder / "results.json").read_text())
    return {(entry["group"], entry["metric"]): entry["value"] for entry in entries}


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


def test_script_prints_and_writes_the_results(options: list[str], tmp_path: Path, capsys):
    evaluate.main([*options, "--threshold", "1", "--output_dir", str(tmp_path)])
    # A threshold of 1 refuses everything.
    found = results(tmp_path)
    assert found["all", "J&F"] == pytest.approx(100 / 3)
    assert found["all", "N-acc"] == 100 and found["all", "T-acc"] == 0
    entry = json.loads((tmp_path / "results.json").read_text())[0]
    assert entry["num_samples"] == 6 and entry["resize_path"] == "logits_to_original" and entry["measured_here"]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == ["all", "target", "kind: none", "kind: static"]


def test_goes_on_with_what_is_left(options: list[str], tmp_path: Path, monkeypatch):
    """A crash after the first video loses the second one alone."""
    asked = []

    def failing(answers, rows, *arguments):
        asked.append(rows[0]["video_id"])
        if len(asked) == 2:
            raise KeyboardInterrupt
        return score_rows(answers, rows, *arguments)

    score_rows = evaluate.score_rows
    monkeypatch.setattr(evaluate, "score_rows", failing)
    arguments = [*options, "--output_dir", str(tmp_path / "broken")]
    with pytest.raises(KeyboardInterrupt):
        evaluate.main(arguments)
    evaluate.main(arguments)
    evaluate.main([*options, "--output_dir", str(tmp_path / "whole")])
    assert asked == ["a", "b", "b", "a", "b"]
    assert results(tmp_path / "broken") == results(tmp_path / "whole")
    with pytest.raises(ValueError, match="other settings"):
        evaluate.main([*arguments, "--threshold", "0.1"])


def test_another_model_of_the_same_name_is_refused(options: list[str], tmp_path: Path):
    save_tiny_model(tmp_path / "model")
    model = SocModel.from_pretrained(tmp_path / "model")
    arguments = ["--model", str(tmp_path / "model"), *options[2:], "--output_dir", str(tmp_path / "scores")]
    for _ in range(2):
        model.save_pretrained(tmp_path / "model")
        evaluate.main(arguments)
    model.class_heads[0].bias.data += 1
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match=r"other settings \(model_files\)"):
        evaluate.main(arguments)


def test_videos_that_cannot_be_read_are_named_or_counted(options: list[str], tmp_path: Path, capsys):
    root = tmp_path / "data"
    write_clips(root, "test")
    file = root / "videos" / "a" / "1.png"
    arguments = [*options, "--data_root", str(root), "--output_dir", str(tmp_path / "scores")]
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"folder/test/a/0 cannot be evaluated: .*1\.png"):
        evaluate.main(arguments)
    evaluate.main([*arguments, "--tolerate_errors"])
    assert "1 videos could not be read and are left out" in capsys.readouterr().out
    assert json.loads((tmp_path / "scores" / "results.json").read_text())[0]["num_samples"] == 3


@pytest.mark.slow
def test_two_processes_give_exactly_what_one_gives(options: list[str], tmp_path: Path):
    evaluate.main([*options, "--output_dir", str(tmp_path / "one")])
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(EVALUATE)]
    subprocess.run([*command, *options, "--output_dir", str(tmp_path / "two")], check=True, env=ENVIRONMENT)
    assert results(tmp_path / "two") == results(tmp_path / "one")


def test_masks_of_another_program_are_scored(options: list[str], data_root: Path, tmp_path: Path):
    """Perfect ones reach 100; a missing one is an error that names it, or empty."""
    for video in ("a", "b"):
        files = sorted((data_root / "masks" / video).glob("*.png"))
        for expression in ("0", "1", "2"):
            masks = [np.asarray(Image.open(file)) == (1 if expression != "2" else 9) for file in files]
            for path in write_mask_pngs(tmp_path / "masks" / video / expression, masks):
                path.rename(path.with_name(f"{int(path.stem)}.png"))
    arguments = [*options[2:], "--predictions", str(tmp_path / "masks")]
    evaluate.main([*arguments, "--output_dir", str(tmp_path / "whole")])
    found = results(tmp_path / "whole")
    assert found["all", "J&F"] == found["all", "N-acc"] == found["all", "T-acc"] == 100
    (tmp_path / "masks" / "b" / "1" / "2.png").unlink()
    with pytest.raises(ValueError, match=r"b/1/2\.png"):
        evaluate.main([*arguments, "--output_dir", str(tmp_path / "part")])
    evaluate.main([*arguments, "--missing", "empty", "--output_dir", str(tmp_path / "empty")])
    assert 50 < results(tmp_path / "empty")["all", "J&F"] < 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "m", "--benchmark", "folder"], "needs --data_root"),
        (["--benchmark", "moving_shapes"], "either --model or --predictions"),
        (["--model", "m", "--interleaved"], "needs --clip_length"),
        (["--model", "m", "--submission", "a.zip"], "no server for moving_shapes"),
    ],
)
def test_arguments_that_do_not_fit(arguments: list[str], message: str, capsys):
    with pytest.raises(SystemExit):
        evaluate.parse_args([*arguments, "--output_dir", "scores"])
    assert message in capsys.readouterr().err

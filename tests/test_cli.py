# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The command: help without the package, exit codes, and the sub-commands end to end."""

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import run_command
from models import random_checkpoint
from PIL import Image
from transformers import AutoModel
from transformers.utils import logging

import transformers_soc_cli
from transformers_soc.data.moving_shapes import render_clip
from transformers_soc.video_io import read_video, write_video

SOURCE = Path(transformers_soc_cli.__file__).parent / "transformers_soc"


def _parsers(parser):
    """Name and parser of each command."""
    action = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return list(action.choices.items())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A converted random model; the files that it was made of lie beside it."""
    return random_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(path, render_clip("test", 0, num_frames=12, height=64, width=96).frames, 12)
    return path


@pytest.fixture(autouse=True)
def progress_bars():
    """Leave the progress bars on for other tests: the command may turn them off for its process."""
    yield
    logging.enable_progress_bar()


@pytest.mark.parametrize("arguments", [[], ["segment"], ["convert"], ["data", "push"], ["info"], ["train"]])
def test_help_imports_neither_torch_nor_the_package(arguments):
    script = (
        "import sys, transformers_soc_cli\n"
        "try:\n    transformers_soc_cli.main(sys.argv[1:])\n"
        "finally:\n    assert not {'torch', 'transformers', 'transformers_soc'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "usage: transformers-soc" in done.stdout, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unknown"],
        ["segment", "clip.mp4", "--model", "m", "--output", "o.mp4"],
        ["segment", "clip.mp4", "a dog", "--model", "m"],
        ["segment", "clip.mp4", "a dog", "--model", "m", "--output", "o.mp4", "--fps", "0"],
        ["segment", "clip.mp4", "a dog", "--model", "m", "--output", "o.mp4", "--num-frames", "2.5"],
        ["segment", "clip.mp4", "a dog", "--model", "m", "--output", "o.mp4", "--threshold", "1.5"],
        ["segment", "clip.mp4", "a dog", "--model", "m", "--output", "o.mp4", "--fps", "5", "--stride", "2"],
        ["convert", "file.pth", "--output", "o"],
        ["data", "check", "unknown", "folder"],
        ["data", "push", "mevis", "folder", "me/mevis"],
        ["info", "--unknown"],
        ["export-hub", "model"],
        ["train", "--dataset", "folder", "--model", "m", "--output", "o"],
        ["evaluate", "--num-vid", "2"],
        ["evaluate", "--num-processes", "0", "--output", "o"],
    ],
)
def test_wrong_usage_exits_with_2(capsys, arguments):
    code, _, errors = run_command(capsys, *arguments)
    assert code == 2 and "error:" in errors


def test_segment_writes_overlay_masks_and_codes(capsys, tmp_path, checkpoint, clip):
    outputs = ["--output", tmp_path / "o.mp4", "--masks-dir", tmp_path / "masks", "--rle", tmp_path / "rle.json"]
    sentences = ["the ball", "the square"]
    code, out, errors = run_command(capsys, "segment", clip, *sentences, "--model", checkpoint, "--fps", 4, *outputs)
    assert code == 0, errors
    assert all(sentence in out for sentence in sentences)
    frames, info = read_video(tmp_path / "o.mp4")
    assert frames.shape == (4, 64, 96, 3) and info.fps == pytest.approx(4, rel=0.05)
    codes = json.loads((tmp_path / "rle.json").read_text())
    assert codes["frame_indices"] == [0, 3, 6, 9]
    assert [entry["expression"] for entry in codes["expressions"]] == sentences
    folders = sorted(path.name for path in (tmp_path / "masks").iterdir())
    assert folders == ["00-the-ball", "01-the-square"]
    mask = np.asarray(Image.open(tmp_path / "masks" / "00-the-ball" / "00003.png"))
    assert mask.shape == (64, 96) and set(np.unique(mask)) <= {0, 255}


def test_segment_keeps_existing_output_unless_told(capsys, tmp_path, checkpoint, clip):
    output = tmp_path / "o.mp4"
    output.write_text("precious")
    arguments = ["segment", clip, "a ball", "--model", checkpoint, "--output", output, "--num-frames", 2]
    code, _, errors = run_command(capsys, *arguments)
    assert code == 1 and "--overwrite" in errors and output.read_text() == "precious"
    code, _, _ = run_command(capsys, *arguments, "--overwrite", "--threshold", 1, "--no-progress")
    assert code == 0 and len(read_video(output)[0]) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"video": "missing.mp4"},
        {"sentence": " "},
        {"--output": "overlay.avi"},
        {"--output": "no/such/folder/overlay.mp4"},
        {"--model": "no-such-model"},
        {"--device": "toaster"},
    ],
)
def test_failure_is_one_line_and_leaves_nothing(capsys, tmp_path, monkeypatch, checkpoint, clip, change):
    monkeypatch.chdir(tmp_path)
    given = {"video": clip, "sentence": "a ball", "--model": checkpoint, "--output": "overlay.mp4", **change}
    options = [part for name, value in given.items() if name.startswith("--") for part in (name, value)]
    code, _, errors = run_command(capsys, "segment", given["video"], given["sentence"], "--num-frames", 2, *options)
    lines = [line for line in errors.splitlines() if line.startswith("transformers-soc: error: ")]
    assert code == 1 and len(lines) == 1 and "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(tmp_path, clip):
    with pytest.raises(ValueError):
        transformers_soc_cli.main(["segment", str(clip), "a", "--model", "m", "--output", "o.avi", "--debug"])


def test_convert_reports_and_refuses_a_file_that_is_no_checkpoint(capsys, tmp_path, checkpoint):
    tokenizer = ["--tokenizer", checkpoint.parent / "tokenizer"]
    (tmp_path / "bad.pth").write_bytes(b"no checkpoint")
    code, _, errors = run_command(capsys, "convert", tmp_path / "bad.pth", *tokenizer, "--output", tmp_path / "bad")
    assert code == 1 and "bad.pth" in errors and not (tmp_path / "bad").exists()
    files = [checkpoint.parent / "official.pth", *tokenizer, "--text-config", checkpoint.parent / "text"]
    arguments = ["convert", *files, "--output", tmp_path / "good"]
    code, out, errors = run_command(capsys, *arguments)
    assert code == 0, errors
    assert "variant soc" in out
    assert (tmp_path / "good" / "model.safetensors").is_file()
    code, out, errors = run_command(capsys, "convert", *files, "--output", tmp_path / "again", "--json")
    assert code == 0 and json.loads(out)["output"] == str(tmp_path / "again"), errors


def test_demo_prints_a_table_and_writes_pictures(capsys, tmp_path):
    code, out, errors = run_command(capsys, "demo", "--output", tmp_path / "demo")
    assert code == 0, errors
    assert "sentence" in out and "score" in out and ("J&F" in out or "no target" in out)
    names = {"clip.mp4", "overlay.mp4", "contact_sheet.png"}
    assert {path.name for path in (tmp_path / "demo").iterdir()} == names


def test_demo_as_json(capsys, tmp_path):
    code, out, errors = run_command(capsys, "demo", "--output", tmp_path / "demo", "--json")
    assert code == 0, errors
    content = json.loads(out)
    assert {"sentence", "kind", "score", "no_target", "has_target", "J&F"} == set(content["sentences"][0])
    assert all(Path(file).is_file() for file in content["files"])


def test_info_names_versions_presets_and_recipes(capsys):
    code, out, _ = run_command(capsys, "info")
    assert code == 0 and torch.__version__.partition("+")[0] in out
    assert all(name in out for name in ("soc-swin-t", "socpp_mevis_swin_t", "many_gpus"))


def test_info_describes_a_model(capsys, checkpoint):
    code, out, errors = run_command(capsys, "info", "--model", checkpoint, "--json")
    assert code == 0, errors
    model = json.loads(out)["model"]
    weights = AutoModel.from_pretrained(checkpoint).parameters()
    assert model["parameters"] == sum(weight.numel() for weight in weights)
    assert model["variant"] == "soc" and model["frame_size"] == {"shortest_edge": 96, "longest_edge": 160}
    code, _, errors = run_command(capsys, "info", "--model", checkpoint.parent / "text")
    assert code == 1 and "'roberta', not a SOC model" in errors


@pytest.mark.parametrize("path", [p for p in _parsers(transformers_soc_cli.build_parser()) if p[1].epilog])
def test_examples_in_help_texts_are_understood(path):
    lines = path[1].epilog.replace("\\\n", " ").splitlines()[1:]
    assert len(lines) >= 2
    for line in lines:
        program, *arguments = shlex.split(line)
        options, rest = transformers_soc_cli.build_parser().parse_known_args(arguments)
        assert program == "transformers-soc" and arguments[0] == options.command == path[0]
        assert not rest or options.command in transformers_soc_cli.SCRIPT_COMMANDS


def test_every_command_has_a_module():
    commands = dict(_parsers(transformers_soc_cli.build_parser()))
    modules = {path.stem.replace("_", "-") for path in (SOURCE / "cli").glob("*.py") if "def run(" in path.read_text()}
    assert commands.keys() == modules


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("transformers-soc exp", "export-hub"),
        ("transformers-soc train --accel", "--accelerate-config"),
        ("transformers-soc data check long", "long_rvos"),
    ],
)
def test_the_shell_completes(tmp_path, line, expected):
    pytest.importorskip("argcomplete")
    answer = tmp_path / "answer"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": " "}
    environment = os.environ | asked | {"_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
    subprocess.run([sys.executable, "-m", "transformers_soc_cli"], env=environment, check=True)
    assert expected in answer.read_text().split()


def test_module_form_forwards():
    done = subprocess.run(
        [sys.executable, "-m", "transformers_soc.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("transformers-soc ")


def test_a_collection_is_answered_and_summed_up(capsys, tmp_path, checkpoint, clip):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "clip.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "videos" / "sentences.json").write_text(json.dumps({"clip.mp4": ["the ball"]}))
    arguments = ["segment-collection", tmp_path / "videos", tmp_path / "out", "--model", checkpoint, "--num-frames", 2]
    code, out, errors = run_command(capsys, *arguments, "--json")
    assert code == 0, errors
    manifest = str(tmp_path / "out" / "manifest.jsonl")
    assert json.loads(out) == {"num_done": 1, "num_failed": 0, "num_new": 1, "manifest": manifest}


def test_segment_as_json(capsys, tmp_path, checkpoint, clip):
    output = tmp_path / "overlay.mp4"
    arguments = ["segment", clip, "the ball", "--model", checkpoint, "--num-frames", 2, "--output", output, "--json"]
    code, out, errors = run_command(capsys, *arguments)
    assert code == 0, errors
    content = json.loads(out)
    assert content["files"] == [str(output)] and content["sentences"][0]["sentence"] == "the ball"

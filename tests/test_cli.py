# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The command: help without the package, exit codes, and the sub-commands end to end."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from models import random_checkpoint
from PIL import Image
from transformers.utils import logging

import transformers_soc_cli
from transformers_soc.data.moving_shapes import render_clip
from transformers_soc.video_io import read_video, write_video


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


def run(capsys, *arguments):
    """Run the command in this process and return its exit code, output and errors."""
    try:
        code = transformers_soc_cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("arguments", [[], ["segment"], ["convert"], ["demo"], ["data"], ["data", "push"], ["info"]])
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
    ],
)
def test_wrong_usage_exits_with_2(capsys, arguments):
    code, _, errors = run(capsys, *arguments)
    assert code == 2 and "error:" in errors


def test_segment_writes_overlay_masks_and_codes(capsys, tmp_path, checkpoint, clip):
    outputs = ["--output", tmp_path / "o.mp4", "--masks-dir", tmp_path / "masks", "--rle", tmp_path / "rle.json"]
    sentences = ["the ball", "the square"]
    code, out, errors = run(capsys, "segment", clip, *sentences, "--model", checkpoint, "--fps", 4, *outputs)
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
    code, _, errors = run(capsys, *arguments)
    assert code == 1 and "--overwrite" in errors and output.read_text() == "precious"
    code, _, _ = run(capsys, *arguments, "--overwrite", "--threshold", 1, "--no-progress")
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
    code, _, errors = run(capsys, "segment", given["video"], given["sentence"], "--num-frames", 2, *options)
    lines = [line for line in errors.splitlines() if line.startswith("transformers-soc: error: ")]
    assert code == 1 and len(lines) == 1 and "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(tmp_path, clip):
    with pytest.raises(ValueError):
        transformers_soc_cli.main(["segment", str(clip), "a", "--model", "m", "--output", "o.avi", "--debug"])


def test_convert_reports_and_refuses_a_file_that_is_no_checkpoint(capsys, tmp_path, checkpoint):
    tokenizer = ["--tokenizer", checkpoint.parent / "tokenizer"]
    (tmp_path / "bad.pth").write_bytes(b"no checkpoint")
    code, _, errors = run(capsys, "convert", tmp_path / "bad.pth", *tokenizer, "--output", tmp_path / "bad")
    assert code == 1 and "bad.pth" in errors and not (tmp_path / "bad").exists()
    files = [checkpoint.parent / "official.pth", *tokenizer, "--text-config", checkpoint.parent / "text"]
    arguments = ["convert", *files, "--output", tmp_path / "good"]
    code, out, errors = run(capsys, *arguments)
    assert code == 0, errors
    assert "variant soc" in out
    assert (tmp_path / "good" / "model.safetensors").is_file()


def test_demo_prints_a_table_and_writes_pictures(capsys, tmp_path):
    code, out, errors = run(capsys, "demo", "--output", tmp_path / "demo")
    assert code == 0, errors
    assert "sentence" in out and "score" in out and ("J&F" in out or "no target" in out)
    names = {"clip.mp4", "overlay.mp4", "contact_sheet.png"}
    assert {path.name for path in (tmp_path / "demo").iterdir()} == names


def test_info_names_versions_and_presets(capsys):
    code, out, _ = run(capsys, "info")
    assert code == 0 and torch.__version__ in out and "soc-swin-t" in out


def test_module_form_forwards():
    done = subprocess.run(
        [sys.executable, "-m", "transformers_soc.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("transformers-soc ")

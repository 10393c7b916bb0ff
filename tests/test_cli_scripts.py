# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""`train` and `evaluate`: what the scripts are told, how they are started, and both end to end."""

import json
import shlex
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState, GradientState
from conftest import run_command, save_tiny_model

from transformers_soc.cli import launch
from transformers_soc.cli.launch import find_shipped, script_arguments, shipped_files

EXAMPLES = Path(__file__).parents[1] / "examples"
SMALL = ["--data-options", json.dumps({"num_frames": 4, "height": 48, "width": 48, "num_expressions": 3}), "--cpu"]


@pytest.fixture(autouse=True)
def fresh_state():
    """Let each test choose its precision and device anew."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_tiny_model(folder)
    return folder


def test_options_become_those_of_the_script():
    given = ["--data-root", "a-b", "--num-videos=3", "--no-tolerate-errors", "--cpu", "-x"]
    expected = ["--model=m-o", "--data_root", "a-b", "--num_videos=3", "--no-tolerate_errors", "--cpu", "-x"]
    assert script_arguments(given, {"model": "m-o", "output_dir": None}) == expected


def test_recipes_and_configurations_are_those_of_the_examples():
    for folder in ("recipes", "accelerate_configs"):
        assert sorted(shipped_files(folder)) == sorted(path.stem for path in (EXAMPLES / folder).iterdir())
    assert find_shipped("recipes", "socpp_a2d_swin_t").samefile(EXAMPLES / "recipes" / "socpp_a2d_swin_t.yaml")
    with pytest.raises(ValueError, match="no file 'unknown', and the shipped ones are soc_a2d"):
        find_shipped("recipes", "unknown")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "python finetune.py"),
        (["--num-processes", 2], "-m torch.distributed.run --standalone --nproc_per_node=2 finetune.py"),
        (["--accelerate-config", "many_gpus"], "accelerate.commands.launch --config_file many_gpus.yaml finetune.py"),
        (
            ["--accelerate-config", "fsdp", "--num-processes", 4],
            "accelerate.commands.launch --config_file fsdp.yaml --num_processes 4 finetune.py",
        ),
    ],
)
def test_dry_run_names_the_launcher(capsys, tmp_path, options, expected):
    arguments = ["train", "--recipe", "socpp_mevis_swin_t", "--data-root", "mevis", "--output", tmp_path / "out"]
    code, out, errors = run_command(capsys, *arguments, "--dry-run", *options)
    assert code == 0, errors
    command = " ".join(Path(part).name if part.startswith("/") else part for part in shlex.split(out))
    script = "finetune_referring_video_segmentation.py"
    assert expected.replace("finetune.py", f"{script} --recipe=") in command
    assert not (tmp_path / "out").exists()


def test_train_and_evaluate(capsys, tmp_path, model):
    train = [
        "--num-train-videos",
        2,
        "--validation-split",
        "none",
        "--max-train-steps",
        2,
        "--output",
        tmp_path / "out",
    ]
    code, out, errors = run_command(capsys, "train", "--model", model, *SMALL, *train, "--json")
    assert code == 0, errors
    assert json.loads(out)["last"] == str(tmp_path / "out" / "last")
    arguments = ["evaluate", "--model", tmp_path / "out" / "last", *SMALL, "--num-videos", 2]
    code, out, errors = run_command(capsys, *arguments, "--output", tmp_path / "scores", "--json")
    assert code == 0 and "expressions" in errors, errors
    assert {"J", "F", "J&F"} <= {entry["metric"] for entry in json.loads(out)}
    assert json.loads(out)[0]["command"].startswith("transformers-soc evaluate --model=")
    code, out, errors = run_command(capsys, "train", "--model", model, *SMALL, *train)
    assert code == 1 and "Traceback" not in errors and "holds checkpoints" in errors


def test_all_options_are_those_of_the_script(capsys):
    code, out, _ = run_command(capsys, "evaluate", "--all-options")
    assert code == 0 and "usage: transformers-soc evaluate" in out and "--clip_length" in out


def test_failure_of_a_launched_script_is_one_sentence(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(launch, "_run_launched", lambda *_, **__: 3)
    code, _, errors = run_command(capsys, "evaluate", "--num-processes", 2, "--output", tmp_path)
    assert code == 1 and "exit code 3" in errors

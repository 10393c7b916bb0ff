# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import json
import math
from pathlib import Path

import pytest
import torch
from conftest import save_tiny_model
from example_tools import EXAMPLES, load_script

from transformers_soc import SocModel

trainer_example = load_script(EXAMPLES / "train_with_trainer.py")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_tiny_model(folder)
    return folder


def train(model: Path, output: Path, *options: str) -> list[dict]:
    """Two steps; returns what the Trainer logged."""
    arguments = ["--model_name_or_path", str(model), "--num_videos", "4", "--window_size", "4", "--max_steps", "2"]
    arguments += ["--output_dir", str(output), "--per_device_train_batch_size", "2", "--logging_steps", "1"]
    arguments += [
        "--eval_strategy",
        "steps",
        "--eval_steps",
        "2",
        "--report_to",
        "none",
        "--use_cpu",
        "--learning_rate",
        "1e-3",
        *options,
    ]
    trainer_example.main(arguments)
    state = next(output.glob("checkpoint-*/trainer_state.json"))
    return json.loads(state.read_text())["log_history"]


def changed_weights(model: Path, output: Path) -> set[str]:
    before, after = (SocModel.from_pretrained(folder).state_dict() for folder in (model, output))
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_trainer_trains_the_whole_model(model_folder: Path, tmp_path: Path, capsys):
    history = train(model_folder, tmp_path)
    assert [math.isfinite(entry["loss"]) for entry in history if "loss" in entry] == [True, True]
    assert any("eval_loss" in entry for entry in history)
    assert {"backbone.stem.embedding.projection.weight", "class_heads.0.weight"} < changed_weights(
        model_folder, tmp_path
    )
    assert "J&F" in capsys.readouterr().out


def test_lora_trains_adapters_alone(model_folder: Path, tmp_path: Path):
    pytest.importorskip("peft")
    train(model_folder, tmp_path, "--lora")
    changed = changed_weights(model_folder, tmp_path)
    assert changed
    assert all(name.split(".")[-2] in trainer_example.LORA_TARGETS for name in changed), changed

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import json
import os
import random
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState
from conftest import save_tiny_model
from example_tools import (
    DATA,
    ENVIRONMENT,
    FINETUNE,
    collate,
    gradient_model,
    gradients,
    load_script,
    make_clips,
    read_log,
    write_clips,
)
from safetensors.torch import load_file

from transformers_soc import SocConfig, SocModel, SocProcessor

finetune = load_script(FINETUNE)
TWO_PROCESS_RUN = ["--num_train_videos", "5", "--num_validation_videos", "3", "--max_train_steps", "4"]
TWO_PROCESS_RUN += ["--logging_steps", "1", "--checkpointing_steps", "2", "--clip_policy", "whole"]


@pytest.fixture(autouse=True)
def fresh_accelerator() -> Iterator[None]:
    """Scripts run in this process, one after the other, as if each were alone; on one thread, as the others are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_tiny_model(folder, dropout=0.1)
    return folder


@pytest.fixture(scope="module")
def plain_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without dropout, which differs between processes."""
    folder = tmp_path_factory.mktemp("plain_model")
    save_tiny_model(folder)
    return folder


@pytest.fixture(scope="module")
def two_processes(plain_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what two processes of `two_process_worker.py` wrote."""
    output = tmp_path_factory.mktemp("two_processes")
    # `accelerate launch --cpu` starts several processes only through MPI.
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    worker = [str(Path(__file__).with_name("two_process_worker.py")), str(plain_model_folder), str(output)]
    result = subprocess.run(
        [*launch, *worker, *TWO_PROCESS_RUN], env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return output


def run(model: Path, output: Path, *options: str) -> list[dict]:
    """Train in this process; returns the log."""
    common = ["--model_name_or_path", str(model), "--output_dir", str(output), "--num_train_videos", "4"]
    finetune.main([*DATA, *common, "--num_validation_videos", "2", "--logging_steps", "1", *options])
    return read_log(output)


@pytest.mark.slow
@pytest.mark.parametrize("case", [0, 1])
def test_gradients_of_two_processes_are_those_of_the_joint_batch(two_processes: Path, case: int):
    model = gradient_model()
    model(**collate([clip for share in make_clips()[case] for clip in share])).loss.backward()
    expected, found = gradients(model), load_file(two_processes / f"gradients-{case}.safetensors")
    assert expected.keys() == found.keys()
    scale = max(value.abs().max() for value in expected.values())
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-4, atol=1e-6 * scale), name


@pytest.mark.slow
def test_two_processes_train_as_one_with_the_joint_batch(two_processes: Path, plain_model_folder: Path, tmp_path):
    alone = run(plain_model_folder, tmp_path, "--per_device_train_batch_size", "2", *TWO_PROCESS_RUN)
    together = read_log(two_processes / "run")
    assert len(alone) == len(together)
    for one, two in zip(alone, together, strict=True):
        assert two == pytest.approx(one, rel=1e-3, abs=1e-5)


@pytest.mark.slow
def test_killed_run_goes_on_as_if_nothing_had_happened(model_folder: Path, tmp_path: Path):
    options = ["--model_name_or_path", str(model_folder), "--num_train_videos", "5", "--num_validation_videos", "2"]
    options += ["--max_train_steps", "12", "--gradient_accumulation_steps", "2", "--expressions_per_clip", "2"]
    # Losses are logged for three steps together, which checkpoints interrupt; epochs end within both.
    options += ["--logging_steps", "3", "--checkpointing_steps", "2", "--evaluation_steps", "4", "--ema_decay", "0.9"]
    options += ["--lr_schedule", "cosine", "--num_warmup_steps", "3", "--resume_from_checkpoint", "latest"]
    command = [sys.executable, str(FINETUNE), *DATA, *options, "--output_dir"]
    quiet = {"env": ENVIRONMENT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*command, str(tmp_path / "whole")], check=True, **quiet)

    folder = tmp_path / "killed"
    process = subprocess.Popen([*command, str(folder)], **quiet)
    while not (folder / "checkpoint-2").exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.5 * random.random())
    process.send_signal(signal.SIGKILL)
    process.wait()
    for checkpoint in finetune.list_checkpoints(folder):
        assert json.loads((checkpoint / "training_state.json").read_text())["step"] >= 2
        assert load_file(checkpoint / "model.safetensors") and load_file(checkpoint / "ema.safetensors")
        torch.load(checkpoint / "optimizer.bin", weights_only=True)
    subprocess.run([*command, str(folder)], check=True, **quiet)

    assert read_log(folder) == read_log(tmp_path / "whole")
    names = [path.name for path in finetune.list_checkpoints(folder)]
    assert names == ["checkpoint-10", "checkpoint-12"]
    for name in ("last", "best"):
        first, second = (load_file(run / name / "model.safetensors") for run in (folder, tmp_path / "whole"))
        assert all(torch.equal(first[key], second[key]) for key in second)


def test_memory_savers_and_mixed_precision_compute_the_same(model_folder: Path, tmp_path: Path):
    plain = run(model_folder, tmp_path / "plain", "--max_train_steps", "1")
    saving = run(model_folder, tmp_path / "saving", "--max_train_steps", "1", "--gradient_checkpointing")
    assert saving[0] == pytest.approx(plain[0], rel=1e-4)
    AcceleratorState._reset_state(reset_partial_state=True)
    short = run(model_folder, tmp_path / "bf16", "--max_train_steps", "1", "--mixed_precision", "bf16")
    assert short[0]["loss"] == pytest.approx(plain[0]["loss"], rel=0.1) and short[0]["loss"] != plain[0]["loss"]


def test_new_model_from_a_configuration_is_saved_and_uploaded(model_folder: Path, tmp_path: Path, monkeypatch):
    uploads = []
    monkeypatch.setattr(finetune, "create_repo", lambda name, **_: Namespace(repo_id=f"someone/{name}"))
    monkeypatch.setattr(finetune, "upload_folder", lambda **options: uploads.append(options))
    output = tmp_path / "my-model"
    arguments = ["--config_name", str(model_folder), "--processor_name", str(model_folder), "--short_side", "40"]
    arguments += ["--output_dir", str(output), "--num_train_videos", "3", "--num_validation_videos", "2"]
    arguments += ["--short_sides", "32", "40", "--num_train_epochs", "1", "--freeze_text_encoder", "--push_to_hub"]
    finetune.main([*DATA, *arguments])
    assert [upload["repo_id"] for upload in uploads] == ["someone/my-model"]
    assert uploads[0]["folder_path"] == output / "best"
    processor = SocProcessor.from_pretrained(output / "best")
    assert processor.video_processor.size["shortest_edge"] == 40
    model = SocModel.from_pretrained(output / "best")
    assert isinstance(model.config, SocConfig) and (output / "checkpoint-3").is_dir()


def test_own_clips_and_a_tracker(model_folder: Path, tmp_path: Path):
    pytest.importorskip("tensorboard")
    write_clips(tmp_path / "clips", "train", "validation")
    options = ["--dataset", "folder", "--data_root", str(tmp_path / "clips"), "--with_tracking"]
    log = run(model_folder, tmp_path / "out", *options, "--num_train_epochs", "2", "--num_workers", "1")
    assert [line["step"] for line in log] == [1, 2, 2, 3, 4, 4]
    assert {"all/J&F", "kind: none/N-acc"} < log[-1].keys()
    assert list((tmp_path / "out").rglob("events.out.tfevents.*"))


def test_moving_average_follows_and_is_lent():
    model = torch.nn.Linear(2, 1, bias=False)
    model.weight.data.fill_(0)
    average = finetune.MovingAverage(model, 0.75)
    model.weight.data.fill_(4)
    average.update(model)
    with average.applied_to(model):
        assert model.weight.tolist() == [[1, 1]]
    assert model.weight.tolist() == [[4, 4]] and average.weights["weight"].tolist() == [[1, 1]]


def test_three_learning_rates_and_frozen_weights():
    model = gradient_model()
    model.text_encoder.requires_grad_(False)
    rates = Namespace(backbone_learning_rate=1, text_learning_rate=2, learning_rate=3, weight_decay=0)
    groups = finetune.build_optimizer(finetune.LossOnly(model), rates).param_groups
    assert [group["lr"] for group in groups] == [1, 2, 3] and groups[1]["params"] == []
    assert {id(weight) for weight in groups[0]["params"]} == {id(weight) for weight in model.backbone.parameters()}
    trained = sum(weight.requires_grad for weight in model.parameters())
    assert sum(len(group["params"]) for group in groups) == trained


def test_schedules():
    args = Namespace(num_warmup_steps=2, lr_schedule="step", lr_drop_epochs=[1, 2], lr_gamma=0.1)

    def factors() -> list[float]:
        return [round(finetune.learning_rate_factor(step, 3.5, 10, args), 3) for step in range(10)]

    assert factors() == [0.5, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01]
    args.lr_schedule = "cosine"
    assert factors()[1:7] == [1, 1, 0.962, 0.854, 0.691, 0.5]
    args.lr_schedule = "constant"
    assert factors()[2:] == [1] * 8


def test_leftovers_of_a_killed_process_are_tidied_up(tmp_path: Path):
    names = (".checkpoint-4.part", ".checkpoint-2.old", ".best.part", ".best.old", "checkpoint-3", "checkpoint-10")
    for name in names:
        (tmp_path / name).mkdir()
    finetune.tidy_up(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "checkpoint-10", "checkpoint-3"]
    assert [path.name for path in finetune.list_checkpoints(tmp_path)] == ["checkpoint-3", "checkpoint-10"]


def test_files_are_on_the_disk_before_their_folder_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = [tmp_path / ".last.part" / name for name in ("model.safetensors", "states/random.bin")]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text("new")
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append((os.fstat(number).st_ino, files[0].exists())))
    finetune.replace_folder(tmp_path / ".last.part", tmp_path / "last")
    assert sorted(flushed) == sorted((path.stat().st_ino, True) for path in (tmp_path / "last").rglob("*.*"))


def test_checkpoints_are_neither_mixed_nor_missed(tmp_path: Path):
    args = Namespace(output_dir=tmp_path, resume_from_checkpoint="latest")
    assert finetune.find_checkpoint(args) is None
    (tmp_path / "checkpoint-3").mkdir()
    assert finetune.find_checkpoint(args) == tmp_path / "checkpoint-3"
    with pytest.raises(FileNotFoundError, match="is no checkpoint"):
        finetune.load_checkpoint(None, tmp_path / "checkpoint-3", None)
    args.resume_from_checkpoint = None
    with pytest.raises(SystemExit, match="holds checkpoints"):
        finetune.find_checkpoint(args)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "folder", "--preset", "soc-swin-t", "--tokenizer_name", "t"], "needs --data_root"),
        (["--preset", "soc-swin-t", "--model_name_or_path", "m"], "give one of"),
        (["--preset", "soc-swin-t"], "needs --processor_name or --tokenizer_name"),
    ],
)
def test_arguments_that_do_not_go_together(arguments: list[str], message: str, capsys):
    with pytest.raises(SystemExit):
        finetune.parse_args([*arguments, "--output_dir", "out"])
    assert message in capsys.readouterr().err

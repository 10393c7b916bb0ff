# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Commands that are killed, stopped, out of space, without rights, or run twice at once: files appear whole or not at
all, and the next run gives what an undisturbed one gives. `test_collection.py`, `examples/test_finetune.py` and
`examples/test_evaluate.py` hold what goes on after a kill in more detail."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from conftest import save_tiny_model
from faults import Command, Fault, Outcome, hidden, run, visible
from miniature_refer_youtube_vos import make_refer_youtube_vos
from models import random_checkpoint
from PIL import Image
from safetensors.torch import load_file

import transformers_soc_cli
from transformers_soc.cli import launch
from transformers_soc.data.moving_shapes import render_clip
from transformers_soc.video_io import read_video, write_video

PAGE = 4096
SMALL = ["--data-options", json.dumps({"num_frames": 4, "height": 48, "width": 48, "num_expressions": 3}), "--cpu"]
TRAINING = ["--num-train-videos", 2, "--validation-split", "none", "--max-train-steps", 2]
TRAINING += ["--checkpointing-steps", 1, "--logging-steps", 1, "--num-workers", 1]


def segment(given: Path, place: Path) -> list[Any]:
    line = ["segment", given / "videos/0.mp4", "the ball", "--model", given / "model", "--num-frames", 2]
    outputs = ["--output", place / "out.mp4", "--masks-dir", place / "out-masks", "--rle", place / "out.json"]
    return [*line, *outputs, "--overwrite"]


def segment_collection(given: Path, place: Path) -> list[Any]:
    line = ["segment-collection", given / "videos", place / "out", "--model", given / "model"]
    return [*line, "--num-frames", 2, "--device", "cpu"]


def train(given: Path, place: Path) -> list[Any]:
    line = ["train", "--model", given / "model", "--output", place / "out", "--resume-from-checkpoint", "latest"]
    return [*line, *SMALL, *TRAINING]


def evaluate(given: Path, place: Path) -> list[Any]:
    return ["evaluate", "--model", given / "model", "--output", place / "out", *SMALL, "--num-videos", 2]


def convert(given: Path, place: Path) -> list[Any]:
    files = given / "official"
    parts = ["--tokenizer", files / "tokenizer", "--text-config", files / "text"]
    return ["convert", files / "official.pth", "--output", place / "out", *parts]


def export_hub(given: Path, place: Path) -> list[Any]:
    return ["export-hub", given / "model", place / "out", "--overwrite"]


def push(given: Path, place: Path) -> list[Any]:
    return ["data", "push", "refer_youtube_vos", given / "youtube", "--output", place / "out", "--license", "other"]


@dataclass(frozen=True)
class Case:
    """A command, and what is known of its work.

    Attributes:
        line: its arguments, from the folder with what it needs and that in which it writes.
        moment: the renaming by which an output appears, after others or after long work.
        folders: those that appear with all their files or not at all.
        done: what begins the changes that a run makes which does work again that was finished at the moment; None: the
            command starts anew. Such a command lets no second run into its folder.
    """

    line: Callable[[Path, Path], list[Any]]
    moment: str
    folders: str = ""
    done: str | None = None


CASES = {
    "segment": Case(segment, "/.out.mp4", folders="out-masks"),
    "segment-collection": Case(segment_collection, "/out/.shard-00000", done="open /out/pieces/"),
    "train": Case(train, "/out/.checkpoint-2", folders="out/*", done="os.mkdir /out/.checkpoint-1"),
    "evaluate": Case(evaluate, "/out/.results.json", done="open /out/done-0"),
    "convert": Case(convert, "/.out-", folders="out"),
    "export-hub": Case(export_hub, "/.out-", folders="out"),
    "data push": Case(push, "/out/data/.validation-", done="os.rename /out/data/.train-"),
}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model, two videos with sentences, an official checkpoint and a benchmark."""
    root = tmp_path_factory.mktemp("given")
    save_tiny_model(root / "model")
    for name in ("videos", "official"):
        (root / name).mkdir()
    for index in range(2):
        frames = render_clip("test", index, num_frames=4, height=48, width=64).frames
        write_video(root / "videos" / f"{index}.mp4", frames, 6)
    (root / "videos/sentences.json").write_text(json.dumps({"0.mp4": ["the ball"], "1.mp4": ["the box"]}))
    random_checkpoint(root / "official")
    make_refer_youtube_vos(root / "youtube")
    return root


@pytest.fixture(scope="module")
def undisturbed(given: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Outcome]]:
    """The folder and outcome of a run of each command that meets no fault."""

    @cache
    def make(name: str) -> tuple[Path, Outcome]:
        place = tmp_path_factory.mktemp("undisturbed")
        outcome = run(CASES[name].line(given, place), place)
        assert outcome.code == 0 and hidden(place) == [], outcome.out
        return place, outcome

    return make


def results(name: str, place: Path) -> dict[str, Any]:
    """What a command leaves, without times, numbers of attempts and the name of the folder."""
    files = visible(place)
    if name == "segment-collection":
        shards = [pq.read_table(place / path).to_pylist() for path in files if path.endswith(".parquet")]
        return {"rows": [row for shard in shards for row in shard]}
    if name == "evaluate":
        entries = json.loads(files["out/results.json"])
        return {"results": [{**entry, "command": None} for entry in entries]}
    if name == "train":
        log = [json.loads(line) for line in files.pop("out/log.jsonl").splitlines()]
        losses = {"log": [(line["step"], line["loss"], line["grad_norm"]) for line in log]}
        return losses | {path: content for path, content in files.items() if path.endswith("model.safetensors")}
    return {path: content.replace(str(place).encode(), b"") for path, content in files.items()}


def check_whole(case: Case, place: Path, complete: Path) -> None:
    """All that can be seen in `place` can be read, and folders that appear at once have all files of `complete`."""
    readers: dict[str, Callable[[Path], Any]] = {
        ".json": lambda path: json.loads(path.read_text()),
        ".mp4": read_video,
        ".parquet": pq.read_table,
        ".png": lambda path: Image.open(path).load(),
        ".safetensors": load_file,
        ".bin": lambda path: torch.load(path, weights_only=True),
    }
    for name in visible(place):
        if Path(name).suffix in readers:
            readers[Path(name).suffix](place / name)
    if case.folders:
        expected = {tuple(visible(folder)) for folder in complete.glob(case.folders)}
        assert {tuple(visible(folder)) for folder in place.glob(case.folders) if folder.name[0] != "."} <= expected


def moments(case: Case, changes: list[str], number: int) -> list[int]:
    """The case's moment, or so many of the changes from the first to the last."""
    if number == 1:
        return [next(i for i, change in enumerate(changes) if change.startswith(f"os.rename {case.moment}"))]
    return sorted({round(i * (len(changes) - 1) / (number - 1)) for i in range(number)})


@pytest.mark.stress
@pytest.mark.parametrize("name", CASES)
def test_what_is_killed_leaves_whole_files_and_the_next_run_goes_on(name, given, undisturbed, tmp_path, amount):
    """Before changes of its folder and, in the long form, at random times."""
    case, (complete, outcome) = CASES[name], undisturbed(name)
    kills = [Fault(signal.SIGKILL, change) for change in moments(case, outcome.changes, amount(1, 8))]
    draw = random.Random(name)
    kills += [Fault(signal.SIGKILL, seconds=draw.uniform(0, outcome.seconds)) for _ in range(amount(0, 8))]
    for index, kill in enumerate(kills):
        place = tmp_path / str(index)
        place.mkdir()
        line = case.line(given, place)
        killed = run(line, place, kill)
        assert killed.code in (-signal.SIGKILL, None if kill.seconds is None else 0) and not killed.left_processes
        check_whole(case, place, complete)
        at_moment = len(kills) == 1
        assert not at_moment or case.done or not visible(place)
        following = run(line, place)
        refused = name == "convert" and "exists already" in following.out  # killed after its work
        assert following.code == 0 or refused, following.out
        assert results(name, place) == results(name, complete)
        assert refused or hidden(place) == []
        if case.done:
            assert not at_moment or not any(change.startswith(case.done) for change in following.changes)


@pytest.mark.stress
@pytest.mark.parametrize("name", CASES)
def test_what_is_terminated_says_so_and_tidies_up(name, given, undisturbed, tmp_path, amount):
    case, (complete, outcome) = CASES[name], undisturbed(name)
    for change in moments(case, outcome.changes, amount(1, 8)):
        place = tmp_path / str(change)
        place.mkdir()
        ended = run(case.line(given, place), place, Fault(signal.SIGTERM, change))
        assert (ended.code, ended.error) == (143, "terminated") and not ended.left_processes
        check_whole(case, place, complete)
        assert hidden(place) == []


def test_what_is_to_be_replaced_stays_where_the_new_does_not_appear(given, undisturbed, tmp_path):
    name = "export-hub"
    case, (complete, outcome) = CASES[name], undisturbed(name)
    shutil.copytree(complete / "out", tmp_path / "out")
    (change,) = moments(case, outcome.changes, 1)
    ended = run(case.line(given, tmp_path), tmp_path, Fault(signal.SIGTERM, change + 1))
    assert ended.code == 143 and ended.changes[-4].startswith("os.rename /out")
    assert visible(tmp_path) == visible(complete) and hidden(tmp_path) == []


def is_running(process: Path) -> bool:
    """Whether a process, named by its folder in /proc, is there and has not ended."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_processes_of_a_launcher_end_with_the_command(tmp_path):
    """The launcher leaves its own process behind when it is terminated, as that of Accelerate does."""
    note = tmp_path / "note"
    launcher = (
        "import pathlib, subprocess, sys\n"
        "process = subprocess.Popen(['sleep', '1000'])\n"
        "pathlib.Path(sys.argv[1]).write_text(f'{process.pid} ')\n"
        "process.wait()\n"
    )

    def terminate() -> None:
        while not (note.exists() and note.read_text().endswith(" ")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=terminate).start()
    with pytest.raises(transformers_soc_cli.Terminated), transformers_soc_cli.terminable():
        launch._run_launched([sys.executable, "-c", launcher, str(note)], quiet=False)
    started = Path(f"/proc/{note.read_text().strip()}")
    until = time.monotonic() + 30
    while time.monotonic() < until and is_running(started):
        time.sleep(0.01)
    assert not is_running(started)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.slow
@pytest.mark.stress
def test_two_training_processes_end_with_the_command_and_go_on(given, tmp_path, amount):
    def line(place: Path) -> list[Any]:
        return [*train(given, place), "--num-processes", 2, "--max-train-steps", 40, "--checkpointing-steps", 5]

    complete = tmp_path / "complete"
    outcome = run(line(complete), complete)
    assert outcome.code == 0, outcome.out
    for number in amount([signal.SIGKILL], [signal.SIGKILL, signal.SIGTERM]):
        place = tmp_path / number.name
        command = Command(line(place), place)
        command.send_once_there_is(place / "out/checkpoint-5", number)
        ended = command.wait()
        assert ended.code == (143 if number == signal.SIGTERM else -number) and not ended.left_processes
        assert hidden(place) == [] and not (place / "out/last").exists()
        following = run(line(place), place)
        assert following.code == 0, following.out
        assert results("train", place) == results("train", complete)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes or changes a disk of so many bytes, and gives its folder."""
    place = tmp_path / "disk"
    place.mkdir()

    def make(size: int) -> Path:
        options = f"size={size}" if not place.is_mount() else f"remount,size={size}"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        return place

    yield make
    if place.is_mount():
        subprocess.run(["umount", place], check=True)


@pytest.mark.stress
@pytest.mark.parametrize("name", CASES)
def test_a_full_disk_is_named_and_spoils_nothing(name, given, undisturbed, small_disk, amount):
    case, (complete, _) = CASES[name], undisturbed(name)
    pages = sum(-(-len(content) // PAGE) for content in visible(complete).values())
    for share in amount([0.6], [0.1, 0.3, 0.5, 0.7, 0.9]):
        place = small_disk(max(1, int(share * pages)) * PAGE)
        line = case.line(given, place)
        ended = run(line, place)
        assert ended.code == 1 and "make room" in ended.error and str(place) in ended.error
        check_whole(case, place, complete)
        assert hidden(place) == []
        assert run(line, small_disk(4 * pages * PAGE)).code == 0 and results(name, place) == results(name, complete)
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_lacks_its_last_byte_is_no_output(name, given, undisturbed, tmp_path):
    case, (complete, _) = CASES[name], undisturbed(name)
    largest = max(len(content) for content in visible(complete).values())
    ended = run(case.line(given, tmp_path), tmp_path, Fault(file_bytes=largest - 1))
    assert ended.code == 1 and "make room" in ended.error and str(tmp_path) in ended.error
    check_whole(case, tmp_path, complete)
    assert hidden(tmp_path) == [] and max(map(len, visible(tmp_path).values()), default=0) < largest


@pytest.mark.parametrize("name", CASES)
def test_a_place_that_is_read_only_is_refused_before_the_work(name, given, tmp_path):
    tmp_path.chmod(0o500)
    ended = run(CASES[name].line(given, tmp_path), tmp_path, Fault(powerless=True))
    tmp_path.chmod(0o700)
    assert ended.code == 1 and str(tmp_path) in ended.error and "permissions" in ended.error
    assert "Loading weights" not in ended.out and len(ended.changes) <= 1 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", CASES)
def test_two_runs_at_once_do_not_mix(name, given, undisturbed, tmp_path):
    case, (complete, outcome) = CASES[name], undisturbed(name)
    (change,) = moments(case, outcome.changes, 1)
    line = case.line(given, tmp_path)
    first = Command(line, tmp_path, Fault(signal.SIGSTOP, change))
    first.wait_until_stopped()
    second = run(line, tmp_path)
    first.go_on()
    ended = first.wait()
    if case.done:
        assert second.code == 1 and "another run writes to" in second.error and ended.code == 0
    elif name == "segment":
        assert second.code == ended.code == 0
    else:
        assert second.code == 0 and ended.code == 1 and "something is there by now" in ended.error
    check_whole(case, tmp_path, complete)
    assert results(name, tmp_path) == results(name, complete) and hidden(tmp_path) == []

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The modules of the Space by themselves, and its files for the Hub."""

import importlib
import os
import signal
import sys
import time
import types

import app
import decoding
import gradio as gr
import hostile_videos
import pytest
import segmenters
import yaml
from conftest import FOLDER
from packaging.requirements import Requirement
from packaging.version import Version
from settings import Refusal, Settings, read_settings
from storage import Storage

BOMBS = {
    "picture.png": lambda: hostile_videos.png_bomb(30_000),
    "picture.gif": lambda: hostile_videos.gif_bomb(9000),
    "clip.mp4": lambda: hostile_videos.jpeg_bomb(16_000),
    "frames.mp4": lambda: hostile_videos.many_samples(10**9),
}


def test_settings_come_from_the_environment():
    given = {"SOC_SPACE_MODELS": "soc-plus-micro, large=user/soc-swin-b", "SOC_SPACE_MAX_SECONDS": "7"}
    settings = read_settings(given)
    assert settings.models == {"soc-plus-micro": "soc-plus-micro", "large": "user/soc-swin-b"}
    assert settings.max_seconds == 7


@pytest.mark.parametrize(
    "name, value", [("MODELS", "a=x,a=y"), ("MODELS", ","), ("MAX_FPS", "-1"), ("MAX_FPS", "two")]
)
def test_settings_that_mean_nothing_are_refused(name, value):
    with pytest.raises(ValueError, match=f"SOC_SPACE_{name}"):
        read_settings({f"SOC_SPACE_{name}": value})


@pytest.fixture
def storage(monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    return Storage(keep_seconds=3600, max_bytes=1000)


def test_old_files_and_the_oldest_of_too_many_are_deleted(storage):
    for name, age, size in (("old", 3700, 1), ("large", 600, 900), ("new", 10, 900)):
        (storage.served / name).write_bytes(bytes(size))
        os.utime(storage.served / name, (time.time() - age, time.time() - age))
    storage.sweep()
    assert [path.name for path in storage.served.iterdir()] == ["new"]


def test_only_this_user_can_read_the_files(storage):
    assert storage.root.stat().st_mode & 0o077 == 0


DEATHS = [f"import os; os.kill(os.getpid(), {number})" for number in (signal.SIGABRT, signal.SIGKILL, signal.SIGSEGV)]


@pytest.mark.parametrize("code", [*DEATHS, "x = bytearray(10**11)", "while True: pass"])
def test_a_decoder_that_dies_is_one_refusal(code, small_clip, tmp_path, monkeypatch):
    child = tmp_path / "child.py"
    child.write_text(code)
    with monkeypatch.context() as patched:
        patched.setattr(decoding, "CHILD", child)
        with pytest.raises(Refusal, match="give a smaller"):
            decoding.decode(small_clip, 6, Settings(decode_seconds=5), tmp_path)
    assert len(decoding.decode(small_clip, 6, Settings(), tmp_path).frames) == 64


@pytest.mark.parametrize(
    "limits, message",
    [
        ({"max_pixels": 57_599}, "The video has 320 x 180 pixels, and 0.0576 million are the limit: scale it down."),
        ({"max_seconds": 10}, "The video lasts 11 seconds, and 10 are the limit: give a shorter one."),
        (
            {"max_frames": 32},
            "The video would give 64 frames, and 32 are the limit: take fewer, at most 3 in a second.",
        ),
        ({"max_megabytes": 0}, r"The video has at least [0-9]+ bytes, and 0 are the limit: give a smaller file."),
    ],
)
def test_the_operator_sets_what_is_too_large(limits, message, small_clip, tmp_path):
    with pytest.raises(Refusal, match=f"^{message}$"):
        decoding.decode(small_clip, 6, Settings(**limits), tmp_path)


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_in_one_sentence(name, tmp_path):
    (tmp_path / name).write_bytes(BOMBS[name]())
    with pytest.raises(Refusal, match=r"^The video (has|is|announces) [^\n]*[.]$"):
        decoding.decode(tmp_path / name, 6, Settings(), tmp_path)


def test_memory_of_the_decoder_is_bounded(large_clip, tmp_path):
    with pytest.raises(Refusal):
        decoding.decode(large_clip, 6, Settings(decode_megabytes=100), tmp_path)


def test_a_folder_is_no_video(tmp_path):
    with pytest.raises(Refusal, match="upload it again"):
        decoding.decode(tmp_path, 6, Settings(), tmp_path)


def test_a_job_that_crashes_is_an_error_of_one_sentence(storage, monkeypatch):
    monkeypatch.setattr(app, "run_job", lambda *_, **__: {}["a secret of the program"])
    with pytest.raises(gr.Error) as caught:
        app.make_handler(Settings(), storage)("clip.mp4", "the ring", 6, 0.3, "soc-plus-micro")
    assert "secret" not in str(caught.value.message) and caught.value.message.startswith("The program failed")


def test_html_in_errors_is_escaped():
    assert app.polite_error("<b>bold</b>").message == "&lt;b&gt;bold&lt;/b&gt;"


def test_the_model_runs_on_a_lent_gpu_where_there_is_one(monkeypatch):
    lent = types.SimpleNamespace(GPU=lambda duration: lambda function: ("lent", duration, function.__name__))
    monkeypatch.setitem(sys.modules, "spaces", lent)
    assert importlib.reload(segmenters).answer == ("lent", 60, "answer")
    monkeypatch.delitem(sys.modules, "spaces")
    assert callable(importlib.reload(segmenters).answer)


def test_the_front_matter_describes_the_space():
    front = yaml.safe_load((FOLDER / "README.md").read_text().split("---")[1])
    assert front["sdk"] == "gradio" and (FOLDER / front["app_file"]).is_file()
    assert Version(front["sdk_version"]) >= Version("6.20") and front["python_version"] == "3.11"
    assert len(front["short_description"]) <= 60


def test_the_requirements_name_the_package():
    lines = (FOLDER / "requirements.txt").read_text().splitlines()
    (requirement,) = [Requirement(line) for line in lines if not line.startswith("#")]
    assert requirement.name == "transformers-soc" and requirement.extras == {"demo"}


def test_the_screenshot_is_small():
    assert 10_000 < (FOLDER / "screenshot.png").stat().st_size <= 300_000

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What several test files share: generated video files, a tokenizer, processors, a saved model, and the command."""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import datasets
import numpy as np
import pytest
from models import TINY_TEXT, byte_tokenizer, tiny_model
from PIL import Image
from transformers import RobertaTokenizer

import transformers_soc_cli
from transformers_soc.processing_soc import SocProcessor
from transformers_soc.video_io import write_video
from transformers_soc.video_processing_soc import SocVideoProcessor


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stress", action="store_true", help="the long form of the tests marked stress")


@pytest.fixture(scope="session")
def amount(pytestconfig: pytest.Config) -> Callable[[int, int], int]:
    """How much a test tries: `amount(short, long)` is `short` in `make test` and `long` in `make stress`."""
    return lambda short, long: long if pytestconfig.getoption("--stress") else short


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tables that the loaders build go to a folder of this run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("datasets")))
        yield


def gray_frames(num_frames: int, height: int = 32, width: int = 48) -> np.ndarray:
    """Frames (num_frames, height, width, 3) uint8 whose brightness, 10 times their index, survives compression."""
    levels = (10 * np.arange(num_frames)).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (num_frames, height, width, 3)).copy()


def frame_numbers(frames: np.ndarray) -> list[int]:
    """Which frames of `gray_frames` these are."""
    return np.round(frames.mean(axis=(1, 2, 3)) / 10).astype(int).tolist()


def audio_bytes(cover: bool = False) -> bytes:
    """A sound file, with a cover picture or without any."""
    file, picture = io.BytesIO(), io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000)
        if cover:
            Image.new("RGB", (16, 16)).save(picture, "JPEG")
            packet = av.Packet(picture.getvalue())
            packet.pts = packet.dts = 0
            packet.stream = container.add_stream("mjpeg", width=16, height=16, pix_fmt="yuvj420p")
            packet.stream.disposition = av.stream.Disposition.attached_pic.value
            container.start_encoding()
            container.mux(packet)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    return file.getvalue()


def tiny_tokenizer(model_max_length: int = 32) -> RobertaTokenizer:
    """A tokenizer with one token per byte."""
    return byte_tokenizer(model_max_length)


def tiny_processor(**kwargs) -> SocProcessor:
    """A processor for small frames: short side 32, long side at most 48."""
    video_processor = SocVideoProcessor(size={"shortest_edge": 32, "longest_edge": 48})
    return SocProcessor(video_processor, tiny_tokenizer(), **kwargs)


def save_tiny_model(folder: Path, dropout: float = 0.0) -> None:
    """A random model with a processor that reads sentences of up to 128 bytes."""
    text = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout, "max_position_embeddings": 130}
    model = tiny_model("soc++", text_config=TINY_TEXT | text, dropout=dropout, cluster_dropout=dropout)
    model.save_pretrained(folder)
    processor = tiny_processor()
    processor.tokenizer.model_max_length = 128
    processor.save_pretrained(folder)


def run_command(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[Any, str, str]:
    """Run `transformers-soc` in this process; its exit code, output and errors."""
    try:
        code: Any = transformers_soc_cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small SOC++ and its processor, which no test changes."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model("soc++").save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    return folder


@pytest.fixture
def own_folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of `tiny_folder` that the test may change."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "folder"))


@pytest.fixture(scope="session")
def video_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An mp4 file with 20 frames of 48x32 at 10 frames per second, as `gray_frames` makes them."""
    path = tmp_path_factory.mktemp("video") / "gray.mp4"
    write_video(path, gray_frames(20), fps=10)
    return path


@pytest.fixture(scope="session")
def parity_dir() -> Path:
    """The folder of reference tensors; tests that need it are skipped where it is not given."""
    folder = os.environ.get("SOC_PARITY_DIR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SOC_PARITY_DIR does not name the folder of reference tensors")
    return Path(folder)

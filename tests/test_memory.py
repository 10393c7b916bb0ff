# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The memory that clips need, and that there is; and that neither calls nor the length of a video take more of it."""

import ctypes
import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import gray_frames, tiny_processor
from models import tiny_model

from transformers_soc.memory import available_memory, check_memory, estimate_memory
from transformers_soc.pipeline_referring_video_segmentation import ReferringVideoSegmentationPipeline
from transformers_soc.session import SocVideoSession
from transformers_soc.video_io import write_video

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
needs_linux = pytest.mark.skipif(not RESET.exists(), reason="the kernel does not tell the memory of a process")


def test_free_memory_is_read():
    free = available_memory(torch.device("cpu"))
    assert free is None or 1e7 < free < 1e14


def test_need_grows_with_the_frames():
    one, two, ten = (estimate_memory(frames, 100, 100, 5) for frames in (1, 2, 10))
    assert ten - one == 9 * (two - one) > 0


def test_clips_count_at_their_common_size():
    need = estimate_memory(2 * 8, 100, 120, 10)
    check_memory([(8, 100, 60), (4, 50, 120)], 10, need)
    check_memory([(8, 100, 60), (4, 50, 120)], 10, None)
    with pytest.raises(ValueError, match=r"2 videos of 8 frames of 120x100 need .* mode='clip'"):
        check_memory([(8, 100, 60), (4, 50, 120)], 10, need - 1)


FRESH_PAGES = """
import resource, torch
from transformers_soc.memory import keep_freed_memory
def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.zeros(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
before = pages()
keep_freed_memory()
pages()
print(before, pages())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc is asked to keep memory")
def test_freed_memory_is_kept_once_asked():
    done = subprocess.run([sys.executable, "-c", FRESH_PAGES], stdout=subprocess.PIPE, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before > 10_000 and after < before / 100


def process_memory(name: str) -> float:
    """Memory of this process in MB: "VmRSS" now, "VmHWM" at most since it was last reset."""
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:"))


def give_back() -> None:
    """Give freed memory back to the system: what tests before this one freed would hide what is taken anew."""
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):  # not in every C library
        libc.malloc_trim(0)


def peak_memory(work: Callable[[], object]) -> float:
    give_back()
    RESET.write_text("5")
    work()
    return process_memory("VmHWM")


@pytest.fixture(scope="module")
def pipe():
    return ReferringVideoSegmentationPipeline(model=tiny_model("soc++"), processor=tiny_processor(), device=-1)


@needs_linux
@pytest.mark.stress
def test_calls_in_a_row_take_no_more_memory(pipe, amount):
    """At most 0.1 MB a call, after ten calls in which the libraries make their buffers."""
    calls, start = amount(20, 200), 0.0
    for call in range(10 + calls):
        if call == 10:
            give_back()
            start = process_memory("VmRSS")
        pipe(gray_frames(1 + call % 4), ["a dog", "a cat"])
    give_back()
    grown = process_memory("VmRSS") - start
    print(f"{grown:.2f} MB more after {calls} calls, of {start:.0f} MB")
    assert grown < 0.1 * calls


def moving_noise(frames: int) -> Iterator[np.ndarray]:
    picture = np.random.default_rng(0).integers(0, 256, (96, 144, 3), np.uint8)
    return (np.roll(picture, index, axis=1) for index in range(frames))


@needs_linux
@pytest.mark.stress
@pytest.mark.parametrize("way", ["clips", "sampled"])
def test_long_videos_take_the_memory_of_short_ones(pipe, amount, tmp_path, way):
    """Clip by clip, and as a few frames of the whole: a few MB more at most, for the codes of the masks."""

    def answer(seconds: int) -> None:
        path = str(tmp_path / f"{seconds}.mp4")
        if way == "sampled":
            pipe(path, "a dog", num_frames=8)
            return
        session = SocVideoSession(pipe.model, pipe.processor, mode="clip", clip_frames=8, overlap=0)
        session.add_expressions("a dog")
        session.add_video(path)
        assert sum(1 for _ in session.masks(progress=False)) == 5 * seconds

    long = amount(30, 600)
    for seconds in (10, long):
        write_video(tmp_path / f"{seconds}.mp4", moving_noise(5 * seconds), fps=5)
    answer(10)
    peaks = [peak_memory(partial(answer, seconds)) for seconds in (10, long)]
    print(f"{peaks[0]:.1f} MB for 10 s, {peaks[1]:.1f} MB for {long} s")
    assert peaks[1] - peaks[0] < amount(3, 8)

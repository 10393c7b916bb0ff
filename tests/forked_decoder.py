# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Decode files in forked processes: a request in JSON on the standard input, a line of JSON for each file. A request
without `seconds` is decoded in one process, and the answer is how much it grew.

The process loads `video_io.py` by its path and warms it up, so that a fork costs milliseconds. It is a program of its
own because a process with threads, as that of the tests is, must not be forked.
"""

import json
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "spaces_demo"))
from decode_child import load_module

BYTES = 2 * 2**30


def warm_up(video_io: Any) -> None:
    """Import what decoding needs and run it once."""
    if not hasattr(video_io, "write_video"):
        return
    with tempfile.TemporaryDirectory() as folder:
        video_io.write_video(f"{folder}/clip.mp4", np.zeros((2, 16, 16, 3), np.uint8), 10)
        video_io.read_video(f"{folder}/clip.mp4")
    video_io.read_video(np.zeros((1, 1, 1, 3), np.uint8))


def decode(video_io: Any, path: str, limits: Any) -> tuple[str, str, list[int]]:
    """Result, message and shape."""
    try:
        frames, _ = video_io.read_video(path, limits=limits)
        return "frames", "", list(frames.shape)
    except Exception as error:  # whatever comes is what the test asks for
        return type(error).__name__, str(error), []


def peak() -> float:
    """The most memory that the process has had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def held() -> float:
    """The memory that the process has, in megabytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def decode_in_fork(video_io: Any, path: str, limits: Any, seconds: int) -> list[Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(seconds)  # ends the process wherever it hangs
        before, started = held(), time.process_time()
        answer = [*decode(video_io, path, limits), time.process_time() - started, peak() - before]
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(answer) if answer else [f"signal {os.waitstatus_to_exitcode(status)}", "", [], 0.0, 0.0]


def main() -> None:
    request = json.load(sys.stdin)
    warnings.simplefilter("ignore")
    video_io = load_module(request["video_io"])
    warm_up(video_io)
    limits = video_io.VideoLimits(**request["limits"])
    paths = request["paths"]
    if "seconds" in request:
        for path in paths:
            print(json.dumps(decode_in_fork(video_io, path, limits, request["seconds"])))
        return
    for number, path in enumerate(paths):
        if number == len(paths) // 10:
            before = held()
        decode(video_io, path, limits)
    print(json.dumps(held() - before))


if __name__ == "__main__":
    main()

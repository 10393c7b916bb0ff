# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Clips per second of a collection in one process, and with one and two workers of Ray.

    python benchmarks/segment_collection.py --num_clips 40

The rate is that of the time in which all workers are at work. Start-up, from the call to that time, is given apart: it
is paid once, however large the collection. Each worker has one thread, so that a worker stands for a core; beside each
rate stands the matrix peak of as many threads, measured just before.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import torch
from matrix_peak import matrix_peak

from transformers_soc.collection import CollectionSettings, VideoSegmenter, segment_collection
from transformers_soc.data.moving_shapes import render_clip
from transformers_soc.video_io import write_video

# Workers inherit the environment of the process that starts them.
LOG = "SEGMENT_COLLECTION_LOG"


class ClipTime(NamedTuple):
    """Who answered a clip, and from when to when, in seconds."""

    process: int
    begin: float
    end: float


class TimedSegmenter(VideoSegmenter):
    """Notes when it begins and ends each clip."""

    def __call__(self, video, sentences):
        begin = time.time()
        results = super().__call__(video, sentences)
        with open(os.environ[LOG], "a", encoding="utf-8") as log:
            log.write(f"{os.getpid()} {begin} {time.time()}\n")
        return results


def write_clips(folder: Path, num_clips: int, num_frames: int) -> None:
    """Generated clips of 256x192 pixels, with two sentences each."""
    sentences = {}
    for index in range(num_clips):
        clip = render_clip("test", index, num_frames=num_frames, height=192, width=256, num_expressions=2)
        write_video(folder / f"{index:05d}.mp4", clip.frames, 6)
        sentences[f"{index:05d}.mp4"] = [expression.text for expression in clip.expressions]
    (folder / "sentences.json").write_text(json.dumps(sentences), encoding="utf-8")


def busy_rate(times: list[ClipTime], num_processes: int) -> tuple[float, float]:
    """When all processes are at work, in seconds, and the clips they answer per second until the first is done."""
    processes = {clip.process for clip in times}
    if len(processes) < num_processes:
        raise SystemExit(f"{len(processes)} of {num_processes} workers answered all clips: take a larger --num_clips")
    begin = max(min(clip.begin for clip in times if clip.process == process) for process in processes)
    end = min(max(clip.end for clip in times if clip.process == process) for process in processes)
    if begin >= end:
        raise SystemExit("the workers were not at work at the same time: take a larger --num_clips")
    # A clip that is cut by the begin or the end counts in part.
    shares = (max(0.0, min(clip.end, end) - max(clip.begin, begin)) / (clip.end - clip.begin) for clip in times)
    return begin, sum(shares) / (end - begin)


def measure(source: Path, output: Path, device: str, num_workers: int, gpus_per_worker: float) -> tuple[float, float]:
    """Seconds until all are at work, and clips per second."""
    log = output.with_suffix(".log")
    os.environ[LOG] = str(log)
    settings = CollectionSettings(device=device, num_threads=1)
    workers = {"num_workers": num_workers, "gpus_per_worker": gpus_per_worker}
    start = time.time()
    segment_collection(source, output, settings, **workers, progress=False, segmenter=TimedSegmenter)
    lines = [line.split() for line in log.read_text(encoding="utf-8").splitlines()]
    times = [ClipTime(int(process), float(begin), float(end)) for process, begin, end in lines]
    begin, rate = busy_rate(times, max(1, num_workers))
    return begin - start, rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n\n")[0])
    parser.add_argument("--num_clips", type=int, default=40)
    parser.add_argument("--num_frames", type=int, default=16)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--num_workers", type=int, nargs="+", default=[0, 1, 2], help="0: one process, without Ray.")
    parser.add_argument("--gpus_per_worker", type=float, default=0.5, help="So that two workers share a GPU.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "clips"
        source.mkdir()
        write_clips(source, args.num_clips, args.num_frames)
        print(f"{args.num_clips} clips of {args.num_frames} frames, 256x192, on {args.device}", flush=True)
        for num_workers in args.num_workers:
            output = Path(folder) / f"answers-{num_workers}"
            threads = max(1, num_workers)
            torch.set_num_threads(threads)
            peak = matrix_peak()
            begin, rate = measure(source, output, args.device, num_workers, args.gpus_per_worker)
            name = f"Ray, workers: {num_workers}" if num_workers else "one process"
            print(
                f"{name:15} {rate:6.2f} clips per second, start-up {begin:5.1f} s; matrix peak {peak:4.0f} GFLOP/s, "
                f"threads: {threads}",
                flush=True,
            )


if __name__ == "__main__":
    main()

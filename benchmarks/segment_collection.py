# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Clips per second of a collection in one process, and with one and two workers of Ray.

    python benchmarks/segment_collection.py --num_clips 40

Start-up, from the call to the first clip, is given apart: it is paid once, however large the collection. Each worker
has one thread, so that a worker stands for a core.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from transformers_soc.collection import CollectionSettings, VideoSegmenter, segment_collection
from transformers_soc.data.moving_shapes import render_clip
from transformers_soc.video_io import write_video

# Workers inherit the environment of the process that starts them.
LOG = "SEGMENT_COLLECTION_LOG"


class TimedSegmenter(VideoSegmenter):
    """Notes when it begins and ends each clip."""

    def __call__(self, video, sentences):
        begin = time.time()
        results = super().__call__(video, sentences)
        with open(os.environ[LOG], "a", encoding="utf-8") as log:
            log.write(f"{begin} {time.time()}\n")
        return results


def write_clips(folder: Path, num_clips: int, num_frames: int) -> None:
    """Generated clips of 256x192 pixels, with two sentences each."""
    sentences = {}
    for index in range(num_clips):
        clip = render_clip("test", index, num_frames=num_frames, height=192, width=256, num_expressions=2)
        write_video(folder / f"{index:05d}.mp4", clip.frames, 6)
        sentences[f"{index:05d}.mp4"] = [expression.text for expression in clip.expressions]
    (folder / "sentences.json").write_text(json.dumps(sentences), encoding="utf-8")


def measure(source: Path, output: Path, device: str, num_workers: int, gpus_per_worker: float) -> tuple[float, float]:
    """Seconds to the first clip, and clips per second from then on."""
    log = output.with_suffix(".log")
    os.environ[LOG] = str(log)
    settings = CollectionSettings(device=device, num_threads=1)
    start = time.time()
    segment_collection(
        source, output, settings, num_workers=num_workers, gpus_per_worker=gpus_per_worker, segmenter=TimedSegmenter
    )
    times = [[float(number) for number in line.split()] for line in log.read_text(encoding="utf-8").splitlines()]
    first, last = min(begin for begin, _ in times), max(end for _, end in times)
    return first - start, len(times) / (last - first)


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
        print(f"{args.num_clips} clips of {args.num_frames} frames, 256x192, on {args.device}")
        for num_workers in args.num_workers:
            output = Path(folder) / f"answers-{num_workers}"
            begin, rate = measure(source, output, args.device, num_workers, args.gpus_per_worker)
            name = f"{num_workers} workers of Ray" if num_workers else "one process"
            print(f"{name:18} {rate:6.2f} clips per second, first clip after {begin:5.1f} s")


if __name__ == "__main__":
    main()

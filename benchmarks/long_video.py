# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Memory and time of a long video in mode "clip" of `SocVideoSession`, and how its masks agree with mode "exact".

    python benchmarks/long_video.py --plot memory.png
    python benchmarks/long_video.py --agreement 20

The first makes an mp4 file from a generated clip that goes forward and back, answers one sentence with the bundled
model while the file is decoded frame by frame, and draws the memory of the process over the frames. The second plays
generated clips of 16 frames forward, back and forward, and gives the mean J of clip by clip against all at once.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from itertools import chain, cycle, islice
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoProcessor

from transformers_soc import SocVideoSession, bundled_checkpoint
from transformers_soc import session as session_module
from transformers_soc.data.moving_shapes import render_clip
from transformers_soc.metrics import region_similarity
from transformers_soc.session import SCORE_MARGIN
from transformers_soc.video_io import iter_video, replacing, write_video

FPS = 5
FIRST_CLIP = 1000  # of the test split
CLIP_FRAMES = 16


def process_memory(name: str) -> float:
    """Memory of this process in MB: "VmRSS" now, "VmHWM" at most so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(f"{name}:"))


def there_and_back(num_frames: int, height: int, width: int) -> Iterator[np.ndarray]:
    """Frames of a generated clip, played forward and back until there are enough."""
    frames = render_clip("test", FIRST_CLIP, num_frames=CLIP_FRAMES, height=height, width=width).frames
    return islice(cycle(chain(frames, frames[::-1])), num_frames)


def watch(path: Path, session: SocVideoSession) -> list[tuple[int, float]]:
    """Add the frames of a file one by one; the number of frames and the memory in MB at each clip's end."""
    session.add_expressions("the red circle")
    _, frames = iter_video(path)
    points = [(0, process_memory("VmRSS"))]
    for index, frame in enumerate(frames, 1):
        session.add_frames(frame)
        if index % session.clip_frames == 0:
            points.append((index, process_memory("VmRSS")))
    session.results()
    return points


def draw(points: list[tuple[int, float]], path: Path) -> None:
    """Write the curve of memory over frames as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*points, strict=True))
    axes.set(xlabel="frames answered", ylabel="memory of the process (MB)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def measure_memory(args: argparse.Namespace, model: torch.nn.Module, processor: object) -> None:
    session = SocVideoSession(model, processor, "clip", clip_frames=args.clip_frames, overlap=args.overlap)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mp4"
        write_video(path, there_and_back(args.num_frames, args.height, args.width), FPS)
        start = time.perf_counter()
        points = watch(path, session)
    seconds = time.perf_counter() - start
    half = len(points) // 2
    print(f"{args.num_frames} frames of {args.width}x{args.height}, {args.threads} threads: {seconds:.0f} s")
    print(f"peak {process_memory('VmHWM'):.0f} MB, of which {points[0][1]:.0f} MB were there before the first frame")
    print(f"most in the first half {max(y for _, y in points[:half]):.0f} MB, in the second", end=" ")
    print(f"{max(y for _, y in points[half:]):.0f} MB")
    if args.plot:
        draw(points, args.plot)


def measure_agreement(args: argparse.Namespace, model: torch.nn.Module, processor: object) -> None:
    """Print mean J over all sentences of the clips, and how often both modes find the same about a target."""
    settings = {
        "all": None,
        "24, overlap 8": (24, 8, SCORE_MARGIN),
        "16, overlap 8": (16, 8, SCORE_MARGIN),
        "16, overlap 8, by score alone": (16, 8, 0.0),
    }
    agreement: dict[str, list[float]] = {name: [] for name in settings}
    decisions: dict[str, list[bool]] = {name: [] for name in settings}
    for index in range(FIRST_CLIP, FIRST_CLIP + args.agreement):
        clip = render_clip("test", index, num_frames=CLIP_FRAMES, height=96, width=128, num_expressions=4)
        video = np.concatenate([clip.frames, clip.frames[::-1], clip.frames])
        exact: list[dict] = []
        for name, chosen in settings.items():
            clips = {} if chosen is None else {"mode": "clip", "clip_frames": chosen[0], "overlap": chosen[1]}
            session_module.SCORE_MARGIN = chosen[2] if chosen else SCORE_MARGIN
            # No sentence is refused, so that there are masks to compare.
            session = SocVideoSession(model, processor, batch_size=4, threshold=0.0, **clips)
            session.add_expressions([expression.text for expression in clip.expressions])
            session.add_frames(video)
            results = session.results("numpy")
            exact = exact or results
            for result, other in zip(results, exact, strict=True):
                agreement[name].append(float(np.mean(region_similarity(result["masks"], other["masks"]))))
                decisions[name].append(
                    (result["score"] < processor.threshold) == (other["score"] < processor.threshold)
                )
    print(f"{args.agreement} videos of {3 * CLIP_FRAMES} frames, {len(agreement['all'])} sentences")
    print(f"{'frames of a clip':30}{'J':>6}{'same decision':>15}")
    for name in settings:
        print(f"{name:30}{np.mean(agreement[name]):6.3f}{np.mean(decisions[name]):15.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n\n")[0])
    parser.add_argument("--num_frames", type=int, default=3000)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--clip_frames", type=int, default=40)
    parser.add_argument("--overlap", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw memory over frames")
    parser.add_argument("--agreement", type=int, metavar="N", help="compare the modes on N videos instead")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    folder = bundled_checkpoint()
    model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    (measure_agreement if args.agreement else measure_memory)(args, model, processor)


if __name__ == "__main__":
    main()

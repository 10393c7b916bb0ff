# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Peak memory of one answer, weights included, each in a process of its own, and its growth per frame.

    python benchmarks/memory.py --size soc-swin-t --frames 16 32 64 --json memory.json

Each process builds the model, encodes a random video, asks its sentences and reads its largest resident size. `idle`
is that size before the video exists; on CUDA the allocator's peak is read instead.
"""

import argparse
import json
import resource
import subprocess
import sys
from typing import Any

import torch
from speed import add_model_arguments, build_inputs, build_model, machine, write


def peak_megabytes(device: str) -> float:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def one_answer(args: argparse.Namespace) -> dict[str, float]:
    """Megabytes before and after one video and its sentences, in this process."""
    torch.set_num_threads(args.threads)
    model = build_model(args.size, args.device).to(getattr(torch, args.dtype))
    idle = peak_megabytes(args.device)
    inputs = {name: value.to(args.device) for name, value in build_inputs(model, args).items()}
    with torch.inference_mode():
        features = model.get_video_features(inputs["pixel_values_videos"])
        encoded = peak_megabytes(args.device)
        words = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        model(video_features=features, **words, best_query_only=True)
    return {"idle": idle, "encoded": encoded, "peak": peak_megabytes(args.device)}


def fresh_process(frames: int) -> dict[str, float]:
    """The same in a new process with this one's options."""
    command = [sys.executable, *sys.argv, "--only", str(frames)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def markdown(record: dict[str, Any]) -> str:
    settings = record["settings"]
    height, width = settings["frame_size"]
    lines = [
        f"### {settings['size']}, {height}x{width}, {settings['expressions']} expression(s), {settings['dtype']}, "
        f"{settings['device']}",
        "",
        "| frames | idle MB | after the video MB | peak MB | MB per additional frame |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in record["rows"]:
        growth = f"{row['per_frame']:.1f}" if "per_frame" in row else ""
        lines.append(f"| {row['frames']} | {row['idle']:.0f} | {row['encoded']:.0f} | {row['peak']:.0f} | {growth} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    add_model_arguments(parser)
    parser.add_argument("--frames", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only is not None:
        args.frames = args.only
        print(json.dumps(one_answer(args)))
        return
    rows: list[dict[str, float]] = []
    for frames in args.frames:
        row = {"frames": frames} | fresh_process(frames)
        if rows:
            row["per_frame"] = (row["peak"] - rows[-1]["peak"]) / (frames - rows[-1]["frames"])
        rows.append(row)
    settings = {name: value for name, value in vars(args).items() if name not in ("json", "markdown", "only")}
    record = {"settings": settings, "machine": machine(args.device), "rows": rows}
    write(args, record, markdown(record))


if __name__ == "__main__":
    main()

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Exported graphs, in ONNX Runtime or as programs of `torch.export`, against the model in torch, on the CPU.

    transformers-soc export soc-plus-micro graphs --frames 8
    transformers-soc export soc-plus-micro programs --frames 8 --format torch
    python benchmarks/export.py --graphs graphs programs --frames 8 16 --threads 1 2

One video and one sentence, medians, beside the float32 product of two matrices (`benchmarks/speed.py`).
"""

import argparse
import statistics
from functools import partial
from pathlib import Path

import torch
from matrix_peak import matrix_peak
from speed import CLOCKS, add_model_arguments, build_inputs, build_model, machine, timed, write

from transformers_soc import SocExportedModel


def measure(args: argparse.Namespace, threads: int, frames: int) -> dict[str, float]:
    """Medians of the model and of each folder in seconds, and GFLOP/s of the matrix product in the same minute."""
    torch.set_num_threads(threads)
    args.frames = frames
    model = build_model(args.size)
    inputs = build_inputs(model, args)
    calls = {"model": partial(model, **inputs, best_query_only=True)}
    for folder in args.graphs:
        calls[folder.name] = partial(SocExportedModel.from_pretrained(folder, num_threads=threads), **inputs)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    with torch.inference_mode():
        for round_number in range(args.repeats + 1):
            for name, call in calls.items():
                taken = timed(call, args)
                if round_number:  # the first warms up
                    seconds[name].append(taken)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    peak = round(matrix_peak(clock=CLOCKS[args.clock]))
    return {"threads": threads, "frames": frames} | medians | {"torch.mm, GFLOP/s": peak}


def markdown(args: argparse.Namespace, rows: list[dict[str, float]]) -> str:
    height, width = args.frame_size
    name = machine("cpu")["name"]
    lines = [
        f"{args.size}, frames of {height}x{width}, {args.expressions} sentence(s), {name}, {args.clock} time, "
        f"torch {torch.__version__}",
        "",
        "| " + " | ".join(rows[0]) + " |",
        "|" + " ---: |" * len(rows[0]),
    ]
    for row in rows:
        values = [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()]
        lines.append("| " + " | ".join(values) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0], conflict_handler="resolve")
    add_model_arguments(parser)
    parser.set_defaults(size="soc-plus-micro", frame_size=(80, 112), device="cpu", dtype="float32")
    parser.add_argument(
        "--graphs", type=Path, nargs="+", required=True, help="folders of `transformers-soc export` of the same model"
    )
    parser.add_argument("--frames", type=int, nargs="+", default=[8, 16])
    parser.add_argument(
        "--clock", choices=list(CLOCKS), default="wall", help="process: of one thread, on a busy machine"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    counts = args.frames
    rows = [measure(args, threads, frames) for threads in args.threads for frames in counts]
    write(args, rows, markdown(args, rows))


if __name__ == "__main__":
    main()

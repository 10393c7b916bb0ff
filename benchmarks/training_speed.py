# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
What a step of training costs, one option after the other, with the fine-tuning script on MovingShapes.

    python benchmarks/training_speed.py --size soc-swin-t --frame-size 180 320 --frames 8 --output runs/training

Each row adds an option to the row above. The first step is not counted. Sentences per second are what counts: a clip
with one sentence is the official form, which runs the backbone anew for each. Memory is the most that a process had.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from matrix_peak import matrix_peak
from speed import add_model_arguments, build_model, machine, write

from transformers_soc import SocProcessor, bundled_checkpoint

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "finetune_referring_video_segmentation.py"
SENTENCES = 4
ROWS = {
    "one sentence for each pass": ["--expressions_per_clip", "1"],
    f"{SENTENCES} sentences share the backbone": ["--expressions_per_clip", str(SENTENCES)],
    "loading in the background": ["--num_workers", "1"],
    "bf16": ["--mixed_precision", "bf16"],
    "gradient checkpointing": ["--gradient_checkpointing"],
}


def make_source(args: argparse.Namespace) -> Path:
    """A folder with the model, and the processor of the bundled one."""
    folder = args.output / "source"
    if not folder.exists():
        build_model(args.size).save_pretrained(folder)
        SocProcessor.from_pretrained(bundled_checkpoint()).save_pretrained(folder)
    return folder


def train(args: argparse.Namespace, source: Path, options: list[str], folder: Path) -> dict[str, float]:
    """Run the script and add up the seconds of all steps but the first."""
    height, width = args.frame_size
    command = [sys.executable, str(SCRIPT), "--model_name_or_path", str(source), "--output_dir", str(folder), "--cpu"]
    command += ["--clip_policy", "soc", "--window_size", str(args.frames), "--validation_split", "none"]
    command += ["--num_train_videos", "64", "--short_side", str(height), "--long_side", str(width)]
    command += ["--max_train_steps", str(args.steps + 1), "--logging_steps", "1", "--checkpointing_steps", "100000"]
    environment = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
    with subprocess.Popen([*command, *options], env=environment) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"the training ended with {process.returncode}")
    lines = (folder / "log.jsonl").read_text().splitlines()
    steps = [entry for entry in map(json.loads, lines) if "seconds_data" in entry][1:]
    seconds = {part: sum(step[f"seconds_{part}"] for step in steps) for part in ("data", "forward", "backward")}
    return seconds | {"gigabytes": usage.ru_maxrss / 2**20}


def measure(args: argparse.Namespace) -> list[dict[str, object]]:
    source = make_source(args)
    options: list[str] = []
    rows: list[dict[str, object]] = []
    for index, (name, added) in enumerate(ROWS.items()):
        options += added
        before = matrix_peak()
        figures = train(args, source, options, args.output / str(index))
        seconds = sum(figures[part] for part in ("data", "forward", "backward"))
        clips = args.steps / seconds
        sentences = clips * (SENTENCES if index else 1)
        peak = (before + matrix_peak()) / 2
        rows.append({"name": name, "clips": clips, "sentences": sentences, "peak": peak} | figures)
    return rows


def markdown(args: argparse.Namespace, rows: list[dict[str, object]]) -> str:
    height, width = args.frame_size
    lines = [
        f"{args.size}, clips of {args.frames} frames of {height}x{width}, {args.steps} steps, "
        f"{machine('cpu')['name']}, {args.threads} thread(s), torch {torch.__version__}",
        "",
        "| and | clips/s | sentences/s | data, s | forward, s | backward, s | memory, GB | torch.mm, GFLOP/s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(
            "| {name} | {clips:.3f} | {sentences:.3f} | {data:.1f} | {forward:.1f} | {backward:.1f} | {gigabytes:.1f} "
            "| {peak:.0f} |".format(**row)
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0], conflict_handler="resolve")
    add_model_arguments(parser)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--output", type=Path, required=True, help="a folder for the model and the runs")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = measure(args)
    write(args, rows, markdown(args, rows))


if __name__ == "__main__":
    main()

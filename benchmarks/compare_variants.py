# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
What the temporal modules are worth: trains SOC, SOC++ and SOC++ without the video cluster on the same MovingShapes
clips, for the same steps and with several seeds, and compares J&F by kind of expression. All begin with those weights
of a trained SOC++ that the three of them have; the proxies, the video cluster, the frame weighting and the fusion of
queries begin at random.

  python benchmarks/compare_variants.py --shared runs/micro/state-scores.pt --output runs/variants

A run that is done is not repeated, and one that was killed goes on: give the same command again.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
VARIANTS = ("soc", "soc++", "no-cluster")


def train_and_examine(variant: str, seed: int, options: argparse.Namespace) -> Path:
    """Trains one variant with one seed and examines it; returns the JSON file of its results."""
    folder = options.output / f"{variant}-{seed}"
    results = folder / "results.json"
    if results.exists():
        return results
    shutil.copytree(options.shared.parent / "tokenizer", folder / "tokenizer", dirs_exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    train = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(options.num_processes)]
    train += [str(EXAMPLES / "train_soc_plus_micro.py"), "--output", str(folder), "--variant", variant]
    train += ["--seed", str(seed), "--shared-from", str(options.shared)]
    train += ["--steps", "0", "0", "0", str(options.steps), "0", "0", "0", *(["--bf16"] if options.bf16 else [])]
    examine = [sys.executable, str(EXAMPLES / "examine_soc_plus_micro.py"), "--model", str(folder / "model")]
    examine += ["--num-videos", str(options.num_videos), "--validation-videos", "20", "--output", str(results)]
    for command in (train, examine):
        subprocess.run(command, check=True, env=environment)
    return results


def table(results: dict[str, list[Path]]) -> str:
    """Markdown table of mean and standard deviation of J&F over the seeds, a row per kind, a column per variant."""
    read = {name: [json.loads(path.read_text(encoding="utf-8")) for path in paths] for name, paths in results.items()}
    first = next(iter(read.values()))[0]["by kind"]
    lines = ["| kind | sentences | " + " | ".join(read) + " |", "| --- | --- |" + " --- |" * len(read)]
    for kind in first:
        cells = []
        for runs in read.values():
            values = [run["by kind"][kind]["J&F"] for run in runs]
            cells.append(f"{np.mean(values):.1f} ± {np.std(values, ddof=min(1, len(values) - 1)):.1f}")
        lines.append(f"| {kind} | {first[kind]['number']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="state of a trained SOC++")
    parser.add_argument("--output", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--num-videos", type=int, default=200, help="of the test split")
    parser.add_argument("--num-processes", type=int, default=2)
    parser.add_argument("--bf16", action="store_true", help="run the backbone under bfloat16 autocast")
    options = parser.parse_args()
    results: dict[str, list[Path]] = {variant: [] for variant in VARIANTS}
    for seed in options.seeds:  # seeds outside, so that an unfinished comparison has all variants
        for variant, paths in results.items():
            paths.append(train_and_examine(variant, seed, options))
    print(table(results))


if __name__ == "__main__":
    main()

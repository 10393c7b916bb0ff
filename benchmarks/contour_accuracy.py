# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Time of the contour accuracy F on masks of 480 x 854 pixels, beside the matrix peak of the machine.

    python benchmarks/contour_accuracy.py

The reference is the OpenCV form of DAVIS 2017: 4.5 ms a frame on a machine with a matrix peak of 240 GFLOP/s. It is
scaled by the peak measured here, before and after the timing, of which the higher one counts.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from matrix_peak import matrix_peak

from transformers_soc.metrics import contour_accuracy
from transformers_soc.metrics.frames import contour_map

SIZE = (480, 854)
REFERENCE_MILLISECONDS, REFERENCE_GFLOPS = 4.5, 240.0


def fastest(function: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of several calls."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def disks(num_frames: int, radius: int, shift: int) -> np.ndarray:
    """One disk that moves to the right, (frames, height, width) bool."""
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    centres = 300 + shift + 5 * np.arange(num_frames)[:, None, None]
    return (rows - 240) ** 2 + (columns - centres) ** 2 <= radius**2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="of the matrix product; F itself uses one")
    args = parser.parse_args()
    noise = np.random.default_rng(0).random((2, args.frames, *SIZE)) < 0.5
    cases = {"one object": (disks(args.frames, 128, 4), disks(args.frames, 125, 0)), "noise": (noise[0], noise[1])}

    torch.set_num_threads(args.threads)
    peak = matrix_peak()
    milliseconds = {}
    for name, masks in cases.items():
        milliseconds[name] = 1e3 * fastest(partial(contour_accuracy, *masks), args.repeats) / args.frames
    peak = max(peak, matrix_peak())
    reference = REFERENCE_MILLISECONDS * REFERENCE_GFLOPS / peak
    print(f"matrix peak {peak:.0f} GFLOP/s, {args.threads} threads; reference {reference:.2f} ms a frame")
    print(f"{'masks':12}{'contour pixels':>16}{'ms a frame':>12}{'reference / ours':>18}")
    for name, (_, target) in cases.items():
        pixels = np.count_nonzero(contour_map(target[0]))
        print(f"{name:12}{pixels:16}{milliseconds[name]:12.2f}{reference / milliseconds[name]:18.1f}")


if __name__ == "__main__":
    main()

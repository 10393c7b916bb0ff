# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What the machine can do at the moment: the speed of a large matrix product, to read other figures by."""

import time
from collections.abc import Callable

import torch

MATRIX_SIZE = 4096


def matrix_peak(
    dtype: torch.dtype = torch.float32, device: str = "cpu", clock: Callable[[], float] = time.perf_counter
) -> float:
    """GFLOP/s of the product of two square matrices, the fastest of three, in the seconds that `clock` counts."""
    matrix = torch.rand(MATRIX_SIZE, MATRIX_SIZE, device=device).to(dtype)
    seconds = []
    for _ in range(3):
        start = clock()
        torch.mm(matrix, matrix)
        seconds.append(clock() - start)
    return 2e-9 * MATRIX_SIZE**3 / min(seconds)

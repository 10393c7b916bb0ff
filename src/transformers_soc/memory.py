# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""How much memory a video needs and how much there is, so that one that does not fit is refused with a sentence; and
how a training on a CPU uses the same memory again."""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

import torch

# Upper estimate of what grows with the video, in float32, per pixel of the model's input. `benchmarks/memory.py` finds
# 64 with Video-Swin-T and 44 with ResNet-50 for one sentence; the weights once more cover what is constant.
BYTES_PER_PIXEL = 100
# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def estimate_memory(frames: int, height: int, width: int, parameters: int) -> int:
    """Upper estimate, in bytes, of the memory for one pass over `frames` padded frames of height x width pixels."""
    return frames * height * width * BYTES_PER_PIXEL + 4 * parameters


def available_memory(device: torch.device) -> int | None:
    """Free memory of the device in bytes; None where it cannot be told."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type != "cpu":
        return None
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        try:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (ValueError, OSError, AttributeError):
            return None
    try:  # a container may have less than the machine
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        return min(free, limit - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    except (OSError, ValueError):
        return free


def check_memory(sizes: Sequence[tuple[int, int, int]], parameters: int, free: int | None) -> None:
    """Refuse clips of these (frames, height, width) that would not fit into `free` bytes when padded to one size."""
    frames, height, width = (max(sides) for sides in zip(*sizes, strict=True))
    needed = estimate_memory(len(sizes) * frames, height, width, parameters)
    if free is not None and needed > free:
        count = f"{len(sizes)} videos of {frames}" if len(sizes) > 1 else f"{frames}"
        raise ValueError(
            f"{count} frames of {width}x{height} need about {needed / 1e9:.1f} GB of memory, but only "
            f"{free / 1e9:.1f} GB are free: take fewer frames with num_frames or fps, or shorter clips with "
            "mode='clip' and clip_frames"
        )


def keep_freed_memory() -> None:
    """
    Let glibc keep what is freed for the next tensors, in all of this process; elsewhere nothing happens.

    Otherwise it returns each block of more than 32 MB to the system, which clears it before it gives it out again. A
    step of training on a CPU can spend as much time on that as on its work; inference in pieces gains nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # another C library
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, -1)


__all__ = ["available_memory", "check_memory", "estimate_memory", "keep_freed_memory"]

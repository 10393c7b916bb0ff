# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Decode one upload in a process of its own: `python decode_child.py REQUEST`, with the fields of `decoding.decode`.

The frames go to a NumPy file, and one line of JSON to the standard output: what is known of the clip, or an error that
can be shown. The process limits its own memory before it opens the file, ends with the Space, and imports neither
torch nor the package, so that it starts at once.
"""

import ctypes
import importlib.util
import json
import os
import resource
import signal
import sys
import warnings
from typing import Any

import numpy as np
from PIL import Image

PR_SET_PDEATHSIG = 1  # of prctl, on Linux


def main() -> None:
    request = json.loads(sys.argv[1])
    set_limits(request)
    end_with(request["parent"])
    try:
        answer = decode(request, load_module(request["video_io"]))
    except MemoryError:
        answer = {"error": "the video needs too much memory: give a smaller one"}
    except (ValueError, OSError) as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))


def set_limits(request: dict[str, Any]) -> None:
    """Bound what a hostile file can take: memory, time on the processor, bytes written, and no core files."""
    limits = (
        (resource.RLIMIT_AS, 2**20 * request["decode_megabytes"]),
        (resource.RLIMIT_CPU, 2 * request["decode_seconds"]),
        (resource.RLIMIT_FSIZE, 1024 + 3 * request["max_frames"] * request["max_side"] ** 2),
        (resource.RLIMIT_CORE, 0),
    )
    for kind, most in limits:
        resource.setrlimit(kind, (most, most))


def end_with(parent: int) -> None:
    """Let the kernel end this process as soon as the Space is gone, however that ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit("the Space is gone")


def load_module(path: str) -> Any:
    """The module at `path`, without the package around it."""
    spec = importlib.util.spec_from_file_location("video_io", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def decode(request: dict[str, Any], video_io: Any) -> dict[str, Any]:
    """Check the clip against the limits, write its sampled frames, and tell what they are."""
    limits = video_io.VideoLimits(
        max_pixels=request["max_pixels"],
        max_frames=request["max_frames"],
        max_bytes=2**20 * request["max_megabytes"],
        max_seconds=request["max_seconds"],
    )
    with open(request["video"], "rb") as file, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        info, frames = video_io.iter_video(file, fps=request["fps"], limits=limits)
        scaled = [scale_down(frame, request["max_side"]) for frame in frames]
    np.save(request["frames"], np.stack(scaled), allow_pickle=False)
    # A damaged file may give fewer frames than it announces, the first of them.
    return {
        "frame_indices": info.frames_indices[: len(scaled)],
        "timestamps": None if info.timestamps is None else info.timestamps[: len(scaled)],
        "notes": sorted({str(warning.message) for warning in caught}),
    }


def scale_down(frame: np.ndarray, most: int) -> np.ndarray:
    """A frame (height, width, 3) with neither side longer than `most` pixels."""
    height, width = frame.shape[:2]
    scale = min(1.0, most / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return frame if scale == 1 else np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    # Threads of the decoder need no orderly end.
    os._exit(0)

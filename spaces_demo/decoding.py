# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""From an upload to frames, decoded in a child process so that no file can harm this one."""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from settings import Refusal, Settings

from transformers_soc import video_io

CHILD = Path(__file__).with_name("decode_child.py")
# No secrets of the operator; few arenas and threads, because each takes address space.
ENVIRONMENT = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Clip:
    """Frames that the model will see.

    Attributes:
        frames: uint8 (frames, height, width, 3).
        frame_indices: their places in the upload.
        timestamps: seconds from its start; None for a still image.
        notes: sentences about damage that was passed over.
    """

    frames: np.ndarray
    frame_indices: list[int]
    timestamps: list[float] | None
    notes: list[str]


def decode(video: Path, fps: float, settings: Settings, folder: Path) -> Clip:
    """Decode `fps` frames per second of an upload; `folder` takes an intermediate file.

    Raises:
        Refusal: a file that is no video, that is larger than the settings allow, or takes too long.
    """
    if not video.is_file():  # a folder, or deleted while the job waited
        raise Refusal("The video is no longer here: upload it again.")
    request = {name: value for name, value in asdict(settings).items() if name != "models"}
    request |= {"video": str(video), "frames": str(folder / "frames.npy"), "fps": fps, "video_io": video_io.__file__}
    request["parent"] = os.getpid()
    command = [sys.executable, "-I", str(CHILD), json.dumps(request)]
    try:
        done = subprocess.run(  # noqa: S603 - our own program; the upload's path is inside its JSON
            command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, timeout=settings.decode_seconds
        )
    except subprocess.TimeoutExpired:
        raise Refusal(f"Decoding took more than {settings.decode_seconds} seconds: give a smaller video.") from None
    if done.returncode != 0:
        print(
            f"decoding ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}", file=sys.stderr
        )
        raise Refusal("The video cannot be decoded within the memory of this Space: give a smaller one.")
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise Refusal(sentence(answer["error"]))
    return Clip(
        np.load(request["frames"]),
        answer["frame_indices"],
        answer["timestamps"],
        [sentence(note) for note in answer["notes"]],
    )


def sentence(message: str) -> str:
    """A message of the library as a sentence to the visitor, who counts sentences from 1."""
    text = message.replace("the given file object", "the video").replace(", or pass truncation=True", "")
    text = re.sub(r"\bexpression (\d+)", lambda found: f"sentence {int(found[1]) + 1}", text)
    return text[:1].upper() + text[1:].rstrip(".") + "."

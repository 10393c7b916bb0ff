# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Odd, broken and hostile video files, made in memory, and their decoding in processes that may die."""

import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from transformers_soc import video_io

FORKED_DECODER = Path(__file__).with_name("forked_decoder.py")
# Numbers that headers are overwritten with.
EXTREMES = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x00FFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def moving_frames(num_frames: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Frames (num_frames, height, width, 3) uint8 of a pattern that moves."""
    places = np.arange(width) + 2 * np.arange(num_frames)[:, None]
    pattern = (7 * places % 256).astype(np.uint8)
    return np.broadcast_to(pattern[:, None, :, None], (num_frames, height, width, 3)).copy()


def encode(
    frames: np.ndarray,
    container: str = "mp4",
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    *,
    rate: int = 10,
    times: Sequence[int] | None = None,
    muxing: dict[str, str] | None = None,
) -> bytes:
    """A video file of frames (frames, height, width, 3) uint8; `times` are in periods of `rate`."""
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "video")
        with av.open(str(path), "w", format=container, options=muxing or {}) as output:
            write_frames(output, frames, output.add_stream(codec, rate=rate, options=quiet), pix_fmt, times)
        return path.read_bytes()


def write_frames(output: Any, frames: np.ndarray, stream: Any, pix_fmt: str, times: Sequence[int] | None) -> None:
    """Encode frames into the only stream of a container."""
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = pix_fmt
    output.start_encoding()
    for index, pixels in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pix_fmt)
        frame.pts = index if times is None else times[index]
        output.mux(stream.encode(frame))
    output.mux(stream.encode())


def overwrite(data: bytes, mark: bytes, offset: int, layout: str, *values: int) -> bytes:
    """`data` with packed values at this distance from the end of the first `mark`."""
    changed = bytearray(data)
    struct.pack_into(layout, changed, changed.index(mark) + len(mark) + offset, *values)
    return bytes(changed)


def rotated(data: bytes, degrees: int) -> bytes:
    """An mp4 file whose metadata say that it is shown turned clockwise."""
    turn = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[degrees]
    a, b, c, d = (number << 16 for number in turn)
    return overwrite(data, b"tkhd", 40, ">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)


def png_bomb(side: int) -> bytes:
    """A PNG file that announces `side` x `side` pixels and holds a few."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")


def gif_bomb(side: int) -> bytes:
    """A GIF file that announces `side` x `side` pixels."""
    return overwrite(encode(moving_frames(5), "gif", "gif", "rgb8"), b"GIF89a", 0, "<HH", side, side)


def jpeg_bomb(side: int) -> bytes:
    """An mp4 file of JPEG frames, each of which announces `side` x `side` pixels."""
    data = bytearray(encode(moving_frames(30), "mp4", "mjpeg", "yuvj420p"))
    place = -1
    while (place := data.find(b"\xff\xc0\x00\x11\x08", place + 1)) >= 0:
        struct.pack_into(">HH", data, place + 5, side, side)
    return bytes(data)


def many_samples(count: int) -> bytes:
    """An mp4 file of 2 kB that announces `count` frames of one byte each."""
    data = overwrite(encode(moving_frames(20)), b"stsz", 4, ">II", 1, count)
    data = overwrite(data, b"stsc", 8, ">III", 1, count, 1)
    return overwrite(data, b"stts", 8, ">II", count, 1)


def many_fragment_samples(count: int) -> bytes:
    """As `many_samples`, in a fragmented file."""
    muxing = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    return overwrite(encode(moving_frames(20), muxing=muxing), b"trun", 0, ">II", 1, count)


def without_frames() -> bytes:
    """An mp4 file with a video stream of no frames."""
    return encode(moving_frames(0), muxing={"movflags": "empty_moov"})


SEEDS: dict[str, Callable[[], bytes]] = {
    "h264.mp4": lambda: encode(moving_frames(20), muxing={"movflags": "faststart"}),
    "h264-one-frame.mp4": lambda: encode(moving_frames(1)),
    "h264-fragments.mp4": lambda: encode(moving_frames(20), muxing={"movflags": "frag_every_frame+empty_moov"}),
    "h265.mp4": lambda: encode(moving_frames(10), codec="libx265"),
    "av1.mp4": lambda: encode(moving_frames(10, 64), codec="libsvtav1"),
    "vp9.webm": lambda: encode(moving_frames(20), "webm", "libvpx-vp9"),
    "vp8.webm": lambda: encode(moving_frames(10), "webm", "libvpx"),
    "mpeg4.avi": lambda: encode(moving_frames(20), "avi", "mpeg4"),
    "mjpeg.avi": lambda: encode(moving_frames(5), "avi", "mjpeg", "yuvj420p"),
    "qtrle.mov": lambda: rotated(encode(moving_frames(10), "mov", "qtrle", "argb"), 90),
    "gif.gif": lambda: encode(moving_frames(10), "gif", "gif", "rgb8"),
    "h264.ts": lambda: encode(moving_frames(20), "mpegts"),
}


def mutate(data: bytes, random: random.Random) -> bytes:
    """A damaged copy: bytes flipped, the end cut off, numbers of the header overwritten, or a part doubled."""
    changed = bytearray(data)
    kind = random.choice(("flip", "flip header", "cut", "numbers", "double", "remove"))
    header = min(len(data), 1500)
    if kind in ("flip", "flip header"):
        for _ in range(random.choice((1, 2, 4, 16, 64))):
            place = random.randrange(header if kind == "flip header" else len(data))
            changed[place] ^= 1 << random.randrange(8) if random.random() < 0.5 else random.randrange(1, 256)
    elif kind == "cut":
        del changed[random.randrange(len(data)) :]
    elif kind == "numbers":
        for _ in range(random.randint(1, 4)):
            layout = random.choice((">I", "<I", ">H", "<H"))
            # The header of some files is at their end.
            place = random.choice((0, len(data) - header)) + random.randrange(header - 4)
            struct.pack_into(layout, changed, place, random.choice(EXTREMES) & (0xFFFF if layout[1] == "H" else -1))
    else:
        start, stop = random.choice(find_atoms(data) or [chunk(data, random)])
        changed[start:stop] = bytes(changed[start:stop]) * (2 if kind == "double" else 0)
    return bytes(changed)


def chunk(data: bytes, random: random.Random) -> tuple[int, int]:
    """Start and end of any part of the data."""
    start = random.randrange(len(data))
    return start, random.randrange(start, len(data)) + 1


def find_atoms(data: bytes, start: int = 0, stop: int | None = None) -> list[tuple[int, int]]:
    """Start and end of the boxes of an mp4 file, with those inside; of another file, none."""
    if start == 0 and data[4:8] != b"ftyp":
        return []
    stop = len(data) if stop is None else stop
    atoms = []
    while start + 8 <= stop:
        size = int.from_bytes(data[start : start + 4], "big")
        if size < 8 or start + size > stop:
            break
        atoms.append((start, start + size))
        if data[start + 4 : start + 8] in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"):
            atoms += find_atoms(data, start + 8, start + size)
        start += size
    return atoms


class Outcome(NamedTuple):
    """How the decoding of a file ended.

    Attributes:
        result: "frames", or the type of the error, or "signal" and its number where the process died of one.
        message: of the error.
        shape: of the frames.
        seconds: of work.
        megabytes: that the process grew by at its largest.
    """

    result: str
    message: str
    shape: list[int]
    seconds: float
    megabytes: float


def decode_in_forks(
    paths: Iterable[Path], limits: dict[str, Any] | None = None, module: str = video_io.__file__, seconds: int = 10
) -> list[Outcome]:
    """Decode each file in a forked process, with 2 GB of address space and so many seconds, by `module`."""
    answers = run_decoder({"paths": [str(path) for path in paths], "limits": limits or {}, "seconds": seconds}, module)
    return [Outcome(*answer) for answer in answers]


def growth_of_decoding(paths: Iterable[Path], limits: dict[str, Any]) -> float:
    """Megabytes that one process grows by between the first tenth of these files and the last."""
    return run_decoder({"paths": [str(path) for path in paths], "limits": limits}, video_io.__file__)[0]


def run_decoder(request: dict[str, Any], module: str) -> list[Any]:
    """The answers of the program that decodes in forks, or without `seconds` in one process."""
    done = subprocess.run(
        [sys.executable, "-I", str(FORKED_DECODER)],
        input=json.dumps(request | {"video_io": module}),
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Make the README's picture from what `transformers-soc demo` writes: its overlay as an animated GIF.

    python tools/make_picture.py docs/images/demo.gif
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

import transformers_soc_cli
from transformers_soc.video_io import read_video, replacing

MAX_BYTES = 1_500_000
SCALE = 2
PAUSE = 1200  # milliseconds on the last frame


def make_picture(output: Path) -> None:
    """Run the demo and write its overlay, enlarged so that its text can be read."""
    with tempfile.TemporaryDirectory() as temporary:
        if transformers_soc_cli.main(["demo", "--output", temporary]):
            sys.exit("the demo failed")
        frames, info = read_video(Path(temporary) / "overlay.mp4")
    size = (SCALE * frames.shape[2], SCALE * frames.shape[1])
    pictures = [Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS) for frame in frames]
    # One palette for all, without dithering, so that still areas stay still and the file small.
    palette = Image.fromarray(frames.reshape(-1, *frames.shape[2:])).quantize(255)
    first, *others = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    durations = [round(1000 / (info.fps or 6))] * len(others) + [PAUSE]
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as temporary_name:
        first.save(
            temporary_name,
            format="GIF",
            save_all=True,
            append_images=others,
            duration=durations,
            loop=0,
            optimize=True,
        )
    if output.stat().st_size > MAX_BYTES:
        sys.exit(f"{output} has {output.stat().st_size:,} bytes, more than {MAX_BYTES:,}")
    print(f"written: {output}, {output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_picture.py FILE.gif")
    make_picture(Path(sys.argv[1]))

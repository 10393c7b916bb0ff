# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The command `transformers-soc`: parser and dispatch.

A module of its own beside the package, because importing the package takes seconds: help and usage errors must not
wait for that. The work of each sub-command is in `transformers_soc.cli`, imported when the sub-command is chosen.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

PROGRAM = "transformers-soc"
FAILURE = 1
INTERRUPTED = 130
DTYPES = ("auto", "float32", "bfloat16", "float16")


def positive_int(text: str) -> int:
    """Parse a whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return value


def positive_float(text: str) -> float:
    """Parse a finite number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above 0")
    return value


def fraction(text: str) -> float:
    """Parse a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 1")
    return value


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command and all its sub-commands."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Segment the objects that sentences describe in videos, with SOC and SOC++."
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--debug", action="store_true", help="show the traceback of an error")
    _add_segment(commands, [shared])
    _add_convert(commands, [shared])
    _add_demo(commands, [shared])
    commands.add_parser(
        "info",
        parents=[shared],
        help="print versions, device and presets",
        description="Print the versions of the packages, the default device and the names of the presets.",
    )
    return parser


def _add_segment(commands: argparse._SubParsersAction, parents: list[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "segment",
        parents=parents,
        help="segment a video by sentences and write an overlay video",
        description="Segment the objects that the sentences describe and write a video with one colour per sentence.",
    )
    parser.add_argument("video", metavar="VIDEO", help="video file or folder of frames")
    parser.add_argument("sentences", metavar="SENTENCE", nargs="+", help="description of an object in the video")
    parser.add_argument(
        "--model", metavar="DIR", help="checkpoint folder (or id) of a SOC model (default: the bundled soc-plus-micro)"
    )
    parser.add_argument("--output", required=True, metavar="FILE.mp4", help="overlay video to write")
    sampling = parser.add_mutually_exclusive_group()
    sampling.add_argument("--num-frames", type=positive_int, metavar="N", help="take N evenly spaced frames")
    sampling.add_argument("--fps", type=positive_float, metavar="F", help="take F frames per second")
    sampling.add_argument("--stride", type=positive_int, metavar="K", help="take every K-th frame")
    parser.add_argument(
        "--threshold",
        type=fraction,
        metavar="T",
        help="score below which a sentence has no target (default: the value saved with the model)",
    )
    parser.add_argument("--masks-dir", metavar="DIR", help="also write the masks as PNG files, a folder per sentence")
    parser.add_argument("--rle", metavar="FILE.json", help="also write the masks as COCO run-length codes")
    parser.add_argument("--overwrite", action="store_true", help="replace output that already exists")
    parser.add_argument(
        "--device", metavar="NAME", help="device such as cpu or cuda:0 (default: an accelerator, if any)"
    )
    parser.add_argument("--dtype", choices=DTYPES, default="auto", help="number format of the model (default: auto)")
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")


def _add_convert(commands: argparse._SubParsersAction, parents: list[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "convert",
        parents=parents,
        help="convert an official checkpoint",
        description="Convert an official SOC or SOC++ checkpoint to a folder that AutoModel and pipeline load.",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="official checkpoint file (.pth, .pth.tar)")
    parser.add_argument("--tokenizer", required=True, metavar="PATH_OR_ID", help="folder or id of the tokenizer")
    parser.add_argument("--output", required=True, metavar="DIR", help="new or empty folder to write")
    parser.add_argument("--config", metavar="YAML", help="official configuration file (default: the shipped values)")
    parser.add_argument("--variant", choices=("soc", "soc++"), help="default: what the checkpoint's keys say")
    parser.add_argument(
        "--backbone",
        choices=("video-swin-t", "video-swin-s", "video-swin-b", "resnet50"),
        help="default: what the checkpoint's keys say",
    )
    parser.add_argument(
        "--text-config", metavar="PATH_OR_ID", help="configuration of the text encoder (default: roberta-base)"
    )


def _add_demo(commands: argparse._SubParsersAction, parents: list[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "demo",
        parents=parents,
        help="segment a generated clip with the bundled model",
        description="Segment a generated clip by several sentences with the bundled model, and write pictures.",
    )
    parser.add_argument("--output", default="demo", metavar="DIR", help="folder to write (default: demo)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.version:
        metadata = importlib.import_module("importlib.metadata")
        print(f"{PROGRAM} {metadata.version(PROGRAM)}")
        return 0
    if options.command is None:
        parser.error("a command is needed: segment, convert, demo or info")
    try:
        importlib.import_module(f"transformers_soc.cli.{options.command}").run(options)
    except (ValueError, OSError, TypeError, ImportError) as error:
        if options.debug:
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"{PROGRAM}: error: {message}", file=sys.stderr)
        return FAILURE
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())

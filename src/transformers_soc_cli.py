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
BENCHMARKS = (
    "a2d_sentences",
    "jhmdb_sentences",
    "refer_youtube_vos",
    "refer_davis",
    "mevis",
    "refcoco",
    "long_rvos",
    "revos",
)
REFCOCO_VARIANTS = ("refcoco", "refcoco+", "refcocog")


def positive_int(text: str) -> int:
    """Parse a whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return value


def whole_number(text: str) -> int:
    """Parse a whole number of at least 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
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
    _add_segment_collection(commands, [shared])
    _add_convert(commands, [shared])
    _add_demo(commands, [shared])
    _add_data(commands, [shared])
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
    parser.add_argument("--output", required=True, metavar="FILE.mp4", help="overlay video to write")
    _add_answering(parser)
    parser.add_argument("--masks-dir", metavar="DIR", help="also write the masks as PNG files, a folder per sentence")
    parser.add_argument("--rle", metavar="FILE.json", help="also write the masks as COCO run-length codes")
    parser.add_argument("--overwrite", action="store_true", help="replace output that already exists")
    parser.add_argument(
        "--device", metavar="NAME", help="device such as cpu or cuda:0 (default: an accelerator, if any)"
    )


def _add_answering(parser: argparse.ArgumentParser) -> None:
    """Options of all commands that answer sentences."""
    parser.add_argument(
        "--model", metavar="DIR", help="checkpoint folder (or id) of a SOC model (default: the bundled soc-plus-micro)"
    )
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
    parser.add_argument("--dtype", choices=DTYPES, default="auto", help="number format of the model (default: auto)")
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")


def _add_segment_collection(commands: argparse._SubParsersAction, parents: list[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "segment-collection",
        parents=parents,
        help="segment many videos, in one process or with Ray",
        description="Segment the objects that sentences describe in many videos, and write masks, scores and boxes to "
        "Parquet shards. Started again, the command goes on where it stopped.",
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="folder with videos and sentences.json ({file: [sentence, ...]}), Parquet file with the columns "
        "sample_id, video and sentences, or folder of a saved data set with them",
    )
    parser.add_argument("output", metavar="OUTPUT", help="new folder to write, or that of a former run")
    _add_answering(parser)
    parser.add_argument(
        "--num-workers",
        type=whole_number,
        default=0,
        metavar="N",
        help="processes of Ray that hold the model each (default: 0, this process, without Ray)",
    )
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="Ray cluster that runs already (default: workers on this machine)"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="where the model runs (default: a GPU, if any)")
    parser.add_argument(
        "--threads-per-worker",
        type=positive_int,
        metavar="N",
        help="cores of each worker (default: those of this machine, shared; with --address 1)",
    )
    parser.add_argument(
        "--gpus-per-worker", type=positive_float, default=1.0, metavar="F", help="share of a GPU (default: 1)"
    )
    parser.add_argument("--retry-failed", action="store_true", help="try the videos again that have failed")


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


def _add_data(commands: argparse._SubParsersAction, parents: list[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "data",
        help="check the files of a benchmark, or write them as Parquet shards",
        description="Check the files of a benchmark, or write them as Parquet shards to stream from.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    benchmark = argparse.ArgumentParser(add_help=False)
    benchmark.add_argument("name", metavar="NAME", choices=BENCHMARKS, help=", ".join(BENCHMARKS))
    benchmark.add_argument("root", metavar="ROOT", help="folder of the benchmark")
    benchmark.add_argument("--variant", choices=REFCOCO_VARIANTS, default="refcoco", help="of refcoco")
    benchmark.add_argument(
        "--version", dest="benchmark_version", choices=("v1", "v2"), default="v1", help="of mevis (default: v1)"
    )
    check = actions.add_parser(
        "check",
        parents=[*parents, benchmark],
        help="say what is there and what is missing",
        description="Say which files of a benchmark are there, which are missing and where they come from, and "
        "whether the numbers of videos and expressions are the official ones. The exit code is 0 if a split is "
        "complete.",
    )
    check.add_argument("--deep", action="store_true", help="also open the header of each image and video file")
    check.add_argument("--json", action="store_true", help="print JSON")
    push = actions.add_parser(
        "push",
        parents=[*parents, benchmark],
        help="write Parquet shards and upload them to the Hub",
        description="Write the complete splits of a benchmark as Parquet shards with the bytes of the frames, and "
        "upload them to a data set repository. Started again, the command goes on where it stopped.",
    )
    push.add_argument(
        "repository", metavar="REPO", nargs="?", help="id of the repository, made when it does not exist"
    )
    push.add_argument("--output", metavar="DIR", help="write the shards to this folder and upload nothing")
    push.add_argument("--license", required=True, metavar="L", help="licence of the data, as the Hub names licences")
    push.add_argument("--split", metavar="S", action="append", help="only this split; may be repeated")
    push.add_argument("--samples", metavar="FILE", help="of jhmdb_sentences: a published draw of frames")
    push.add_argument("--private", action="store_true", help="make a new repository private")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.version:
        metadata = importlib.import_module("importlib.metadata")
        print(f"{PROGRAM} {metadata.version(PROGRAM)}")
        return 0
    if options.command is None:
        parser.error("a command is needed: segment, segment-collection, convert, demo, data or info")
    try:
        command = importlib.import_module(f"transformers_soc.cli.{options.command.replace('-', '_')}")
        return command.run(options) or 0
    except (ValueError, OSError, TypeError, ImportError) as error:
        if options.debug:
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"{PROGRAM}: error: {message}", file=sys.stderr)
        return FAILURE
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The command `transformers-soc`: parser and dispatch.

A module of its own beside the package, because importing the package takes seconds: help and usage errors must not
wait for that. The work of each sub-command is in `transformers_soc.cli`, imported when the sub-command is chosen.
"""

import argparse
import contextlib
import errno
import importlib
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from typing import Any

PROGRAM = "transformers-soc"
FAILURE = 1
INTERRUPTED = 130
# Signals that end a process; what it was writing is put in order first.
ENDING_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
# What helps where the system refuses to write.
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room, or choose another place"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "change the permissions, or choose another place"),
    **dict.fromkeys((errno.EEXIST, errno.ENOTEMPTY), "something is there by now: choose another place"),
}
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
# Commands that hand the options which they do not know to a script.
SCRIPT_COMMANDS = ("train", "evaluate")
_BY_SCRIPT = (
    "All other options, with dashes or underscores, are those of the script {}_referring_video_segmentation.py; "
    "--all-options lists them."
)


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
    shared.add_argument("--json", action="store_true", help="print JSON, and all else to the standard error")
    shared.add_argument("--debug", action="store_true", help="show the traceback of an error")
    _add_segment(commands, [shared])
    _add_segment_collection(commands, [shared])
    _add_convert(commands, [shared])
    _add_export(commands, [shared])
    _add_export_hub(commands, [shared])
    _add_evaluate(commands, [shared])
    _add_train(commands, [shared])
    _add_data(commands, [shared])
    _add_demo(commands, [shared])
    _add_info(commands, [shared])
    return parser


def _add_command(
    commands: Any, name: str, examples: str, description: str, **arguments: Any
) -> argparse.ArgumentParser:
    """A sub-command whose help ends with examples, a line each or several joined by backslashes."""
    return commands.add_parser(
        name,
        description=textwrap.fill(description, 80),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n" + examples.strip("\n"),
        **arguments,
    )


def _add_segment(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    parser = _add_command(
        commands,
        "segment",
        """
  transformers-soc segment clip.mp4 "the red circle" "both green stars" --output overlay.mp4
  transformers-soc segment clip.mp4 "the dog that runs off" --model soc-swin-t --fps 5 --output overlay.mp4 \\
      --masks-dir masks --rle masks.json
""",
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
    parser.add_argument(
        "--mode",
        choices=("exact", "clip"),
        default="exact",
        help="exact: all frames at once; clip: overlapping clips one after the other, with memory that does not grow "
        "with the video (default: exact)",
    )
    parser.add_argument("--clip-frames", type=positive_int, metavar="N", help="frames of a clip (default: 40)")
    parser.add_argument(
        "--overlap",
        type=whole_number,
        metavar="N",
        help="frames that two clips share, at least (default: 8, or half a clip where that is less)",
    )
    parser.add_argument("--dtype", choices=DTYPES, default="auto", help="number format of the model (default: auto)")
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")


def _add_segment_collection(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    parser = _add_command(
        commands,
        "segment-collection",
        """
  transformers-soc segment-collection videos answers --num-frames 32
  transformers-soc segment-collection videos answers --model soc-swin-t --num-workers 2
""",
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


def _add_convert(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    parser = _add_command(
        commands,
        "convert",
        """
  transformers-soc convert checkpoint.pth --tokenizer roberta-base --output soc-swin-t
  transformers-soc convert checkpoint.pth --tokenizer roberta-base --config ref_youtube_vos.yaml --output soc-swin-t
""",
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


def _add_export(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    parser = _add_command(
        commands,
        "export",
        """
  transformers-soc export soc-swin-t graphs
  transformers-soc export soc-plus-micro graphs --frames 4 8
  transformers-soc export soc-swin-t programs --format torch
""",
        parents=parents,
        help="write a model as graphs for ONNX Runtime or torch.export",
        description="Write a model as three graphs, so that a video is encoded once for all sentences: vision, text, "
        "and fusion with the heads. Frames, height, width, tokens and sentences may vary; manifest.json says how far.",
    )
    parser.add_argument("model", metavar="MODEL", help="checkpoint folder, or name of a bundled checkpoint")
    parser.add_argument("output", metavar="DIR", help="new or empty folder to write")
    parser.add_argument("--format", choices=("onnx", "torch"), default="onnx", help="default: onnx")
    parser.add_argument(
        "--frames",
        type=positive_int,
        nargs="+",
        default=[],
        metavar="N",
        help="also write a vision graph for each of these numbers of frames, from 2 to those that one temporal window "
        "of the backbone covers; longer videos always have one",
    )
    parser.add_argument(
        "--check",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare the graphs with the model (default: yes)",
    )


def _add_export_hub(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    parser = _add_command(
        commands,
        "export-hub",
        """
  transformers-soc export-hub soc-swin-t hub/soc-swin-t
  transformers-soc export-hub out/best hub/my-model --push my-name/my-model --private
""",
        parents=parents,
        help="write a folder for the Hub that also works without this package",
        description="Write a model with its code and card to a folder that the Hub takes as it is: with this package "
        "it loads as any other, without the package with trust_remote_code=True.",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="checkpoint folder of a SOC model, or the name of a bundled one"
    )
    parser.add_argument("output", metavar="DIR", help="folder to write")
    parser.add_argument("--push", metavar="REPO", help="also upload the folder to this repository of the Hub")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--overwrite", action="store_true", help="replace output that already exists")


def _add_evaluate(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    parser = _add_command(
        commands,
        "evaluate",
        """
  transformers-soc evaluate --benchmark refer_davis --data-root ref-davis --split validation --model soc-swin-t \\
      --output davis
  transformers-soc evaluate --benchmark moving_shapes --split test --num-videos 20 --output shapes
  transformers-soc evaluate --benchmark mevis --data-root mevis --split validation --model out/best \\
      --output mevis-scores --submission mevis.zip
""",
        parents=parents,
        allow_abbrev=False,
        usage="%(prog)s --output DIR [options]",
        help="measure a model, or masks on disk, on a benchmark",
        description="Measure a model on a benchmark under the benchmark's own protocol. The output folder gets "
        "results.json; started again, the command goes on with what is left. " + _BY_SCRIPT.format("evaluate"),
    )
    parser.add_argument(
        "--model", metavar="DIR", help="checkpoint folder (or id) of a SOC model (default: the bundled soc-plus-micro)"
    )
    _add_launching(parser)


def _add_train(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    parser = _add_command(
        commands,
        "train",
        """
  transformers-soc train --dataset folder --data-root clips --model soc-swin-t --output out
  transformers-soc train --recipe socpp_mevis_swin_t --data-root mevis --output out --accelerate-config many_gpus
  transformers-soc train --dataset folder --data-root clips --model soc-swin-t --output out --num-processes 2 --cpu
""",
        parents=parents,
        allow_abbrev=False,
        usage="%(prog)s --output DIR [options]",
        help="train or fine-tune a model",
        description="Train a model on a benchmark, on one's own clips or on generated ones. The output folder gets "
        "the models best and last, log.jsonl, and checkpoints from which --resume-from-checkpoint latest goes on. "
        + _BY_SCRIPT.format("finetune"),
    )
    parser.add_argument("--model", metavar="DIR", help="checkpoint folder (or id) of the model to fine-tune")
    parser.add_argument("--recipe", metavar="NAME", help="file of settings, or name of a shipped one (see info)")
    _add_launching(parser)


def _add_launching(parser: argparse.ArgumentParser) -> None:
    """Options of the commands that run a script."""
    parser.add_argument("--output", metavar="DIR", help="folder to write, or that of a former run")
    parser.add_argument("--all-options", action="store_true", help="list the options of the script and exit")
    parser.add_argument(
        "--num-processes",
        type=positive_int,
        metavar="N",
        help="processes on this machine, one for each GPU (default: 1, or as the configuration says)",
    )
    parser.add_argument(
        "--accelerate-config",
        metavar="NAME",
        help="start with accelerate launch, and this configuration file or the shipped one of this name (see info)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the command that would be started, and exit")


def _add_demo(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    parser = _add_command(
        commands,
        "demo",
        """
  transformers-soc demo
  transformers-soc demo --output pictures
""",
        parents=parents,
        help="segment a generated clip with the bundled model",
        description="Segment a generated clip by several sentences with the bundled model, and write pictures.",
    )
    parser.add_argument("--output", default="demo", metavar="DIR", help="folder to write (default: demo)")


def _add_data(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    parser = _add_command(
        commands,
        "data",
        """
  transformers-soc data check mevis data/mevis
  transformers-soc data push mevis data/mevis --output shards --license cc-by-nc-sa-4.0
""",
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


def _add_info(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    parser = _add_command(
        commands,
        "info",
        """
  transformers-soc info
  transformers-soc info --model soc-swin-t --json
""",
        parents=parents,
        help="print versions, device, presets, recipes, and what a model is",
        description="Print the versions of the packages, the default device and the names of presets, recipes and "
        "configurations of Accelerate; with --model also what that model is.",
    )
    parser.add_argument("--model", metavar="DIR", help="checkpoint folder (or id) of a SOC model")


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell where it asks how to complete a line; `argcomplete` is an extra."""
    if "_ARGCOMPLETE" in os.environ:
        importlib.import_module("argcomplete").autocomplete(parser)


class Terminated(KeyboardInterrupt):
    """A signal, whose number is the argument, asked the process to end."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Let the signals that end a process raise `Terminated`, so that nothing half-written stays behind."""
    # Only the main thread can, and a program that calls `main` may have handlers of its own.
    main_thread = threading.current_thread() is threading.main_thread()
    numbers = [number for number in ENDING_SIGNALS if main_thread and signal.getsignal(number) is signal.SIG_DFL]
    own = os.getpid()

    def end(number: int, _: Any) -> None:
        if os.getpid() == own:
            raise Terminated(number)
        signal.signal(number, signal.SIG_DFL)  # a worker that was forked
        os.kill(os.getpid(), number)

    try:
        for number in numbers:
            signal.signal(number, end)
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def describe(error: BaseException, options: argparse.Namespace) -> str:
    """One sentence about an error; where the system refused to write, with the place and a remedy."""
    message = " ".join(str(error).split()) or type(error).__name__
    number = getattr(error, "errno", None)
    if number not in REMEDIES:
        return message
    names = (getattr(error, name, None) for name in ("filename2", "filename"))
    place = next((name for name in names if name), None) or getattr(options, "output", None)
    return f"{os.strerror(number)}: {str(place)!r}; {REMEDIES[number]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted, 143 terminated."""
    parser = build_parser()
    complete(parser)
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command not in SCRIPT_COMMANDS:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.script_arguments = rest
    if options.version:
        metadata = importlib.import_module("importlib.metadata")
        print(f"{PROGRAM} {metadata.version(PROGRAM)}")
        return 0
    if options.command is None:
        parser.error(f"a command is needed; {PROGRAM} --help lists them")
    try:
        with terminable():
            command = importlib.import_module(f"transformers_soc.cli.{options.command.replace('-', '_')}")
            return command.run(options) or 0
    except (ValueError, OSError, TypeError, ImportError, RecursionError) as error:
        if options.debug:
            raise
        print(f"{PROGRAM}: error: {describe(error, options)}", file=sys.stderr)
        return FAILURE
    except Terminated as end:
        print(f"{PROGRAM}: terminated", file=sys.stderr)
        return 128 + end.args[0]
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())

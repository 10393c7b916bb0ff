# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Measure a SOC or SOC++ model on a benchmark, under the benchmark's own protocol.

    accelerate launch examples/evaluate_referring_video_segmentation.py \
        --benchmark refer_davis --data_root ref-davis --split validation --model soc-swin-t --output_dir davis

On generated clips, or on one's own:

    python examples/evaluate_referring_video_segmentation.py \
        --benchmark moving_shapes --split test --num_videos 500 --model model --output_dir scores

The output folder gets `results.json`. Several processes share the videos out; each expression counts once. After an
interruption the same command goes on with what is left. `--submission archive.zip` packs the masks for the benchmark's
server; `--predictions` scores masks that any program made, instead of a model.
"""

import argparse
import json
import shlex
import sys
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from tqdm.auto import tqdm

from transformers_soc import SocModel, SocProcessor, __version__
from transformers_soc.cli.launch import ending_cleanly
from transformers_soc.data.benchmarks import BENCHMARKS, load_benchmark
from transformers_soc.data.clips import group_by_video
from transformers_soc.data.folder import load_folder
from transformers_soc.data.moving_shapes import load_moving_shapes
from transformers_soc.data.revos import load_revos_foreground
from transformers_soc.data.submission import LAYOUTS, write_submission
from transformers_soc.metrics import format_table
from transformers_soc.metrics.evaluation import ModelAnswers, StoredAnswers, score_rows
from transformers_soc.metrics.predictions import PredictionReader
from transformers_soc.metrics.protocols import PROTOCOLS, Protocol
from transformers_soc.metrics.runs import RESULTS, EvaluationFolder, model_stamp, result_entries, summarize_records
from transformers_soc.outputs import only_writer
from transformers_soc.processing_soc import MODES
from transformers_soc.video_io import replacing, rle_to_masks

QUERY_RULES = {
    "masks": "best mean score over the clip",
    "label_maps": "best mean score over the clip",
    "candidates": "all queries",
}


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    add = parser.add_argument
    add("--model", "--model_name_or_path")
    add("--processor", "--processor_name", help="Default: `--model`.")
    add("--predictions", type=Path, help="Instead of a model, a folder or ZIP archive of masks to score.")
    add("--missing", choices=["raise", "empty"], default="raise", help="What a missing mask of `--predictions` is.")
    add("--benchmark", "--dataset", choices=list(PROTOCOLS), default="moving_shapes")
    add("--data_root", type=Path, help="The folder of the data, but for generated data.")
    add("--split", default="test")
    add("--num_videos", type=int, default=500, help="Of generated data.")
    add("--data_seed", type=int, default=0, help="Of generated data.")
    add("--data_options", type=json.loads, default={}, help="Further arguments of the loader, as JSON.")
    add("--clip_length", type=int, help="Frames of one pass, instead of the protocol's.")
    add("--interleaved", action="store_true", help="Passes of every n-th frame, each at most `--clip_length` long.")
    add("--mode", choices=MODES, help="How mask logits become masks, instead of the protocol's way.")
    add("--text", choices=["raw", "clean"], help="Expressions as stored, or cleaned as in training.")
    add("--threshold", type=float, help="Score below which the answer is 'no target'. Default: the processor's.")
    add("--tolerate_errors", action="store_true", help="Leave out videos that cannot be read, and count them.")
    add("--submission", type=Path, help="Where to write the archive for the benchmark's server.")
    add("--strict", action="store_true", help="Refuse to pack expressions without any mask.")
    add("--mixed_precision", choices=["no", "fp16", "bf16"], default="no")
    add("--cpu", action="store_true")
    add("--output_dir", type=Path, required=True)
    args = parser.parse_args(arguments)
    if (args.model is None) == (args.predictions is None):
        parser.error("give either --model or --predictions")
    if args.benchmark != "moving_shapes" and args.data_root is None:
        parser.error(f"--benchmark {args.benchmark} needs --data_root")
    if args.submission is not None and args.benchmark not in LAYOUTS:
        parser.error(f"there is no server for {args.benchmark}; --submission is for {', '.join(LAYOUTS)}")
    if args.interleaved and args.clip_length is None:
        parser.error("--interleaved needs --clip_length")
    return args


def choose_protocol(args: argparse.Namespace) -> Protocol:
    """The benchmark's protocol, with what the arguments change."""
    protocol = PROTOCOLS[args.benchmark]
    if args.clip_length is not None:
        clips = "consecutive" if protocol.clips == "whole" else protocol.clips
        protocol = replace(protocol, clips=clips, clip_length=args.clip_length)
    if args.interleaved:
        protocol = replace(protocol, clips="interleaved")
    if args.text is not None:
        protocol = replace(protocol, do_lower_case=args.text == "clean")
    return protocol if args.mode is None else replace(protocol, mode=args.mode)


def load_table(args: argparse.Namespace) -> Any:
    """The split in the common schema."""
    if args.benchmark in BENCHMARKS:
        return load_benchmark(args.benchmark, args.data_root, args.split, **args.data_options)
    if args.benchmark == "folder":
        return load_folder(args.data_root, args.split)
    return load_moving_shapes(args.split, args.num_videos, seed=args.data_seed, **args.data_options)


def load_answers(args: argparse.Namespace, protocol: Protocol, device: torch.device) -> Any:
    """The model, or the masks on disk, as who answers."""
    if args.predictions is not None:
        return StoredAnswers(PredictionReader(args.predictions, missing=args.missing))
    model = SocModel.from_pretrained(args.model).eval().to(device)
    processor = SocProcessor.from_pretrained(args.processor or args.model)
    processor.do_lower_case = protocol.do_lower_case
    return ModelAnswers(model, processor, protocol, args.threshold)


def evaluation_settings(args: argparse.Namespace, protocol: Protocol) -> dict[str, Any]:
    """What makes two evaluations the same."""
    ignored = ("output_dir", "submission", "strict", "cpu", "tolerate_errors")
    chosen = {name: value for name, value in vars(args).items() if name not in ignored}
    chosen = {name: str(value) if isinstance(value, Path) else value for name, value in chosen.items()}
    stamps = {f"{name}_files": model_stamp(chosen[name]) for name in ("model", "processor") if chosen[name]}
    return {**chosen, **stamps, "protocol": asdict(protocol), "masks_kept": args.submission is not None}


@torch.no_grad()
def evaluate(
    args: argparse.Namespace, protocol: Protocol, table: Any, folder: EvaluationFolder, accelerator: Accelerator
) -> None:
    """Answer and score this process's share of what is not done yet."""
    done = folder.units()
    groups = [group for group in group_by_video(table) if table[group[0]]["sample_id"] not in done]
    own = groups[accelerator.process_index :: accelerator.num_processes]
    answers = load_answers(args, protocol, accelerator.device)
    foregrounds = load_revos_foreground(args.data_root) if protocol.metrics == "revos" else {}
    for group in tqdm(own, unit="video", disable=not accelerator.is_local_main_process):
        rows = [table[index] for index in group]
        unit, error = rows[0]["sample_id"], None
        try:
            with accelerator.autocast():
                records, masks = score_rows(answers, rows, protocol, foregrounds.get(rows[0]["video_id"]))
        except (OSError, ValueError) as problem:
            if not args.tolerate_errors:
                raise ValueError(f"{unit} cannot be evaluated: {problem}") from problem
            records, masks, error = [], {}, f"{unit}: {problem}"
        folder.append(accelerator.process_index, unit, records, masks if args.submission else {}, error)


def report(args: argparse.Namespace, protocol: Protocol, table: Any, folder: EvaluationFolder) -> None:
    """Print and write the figures, and pack the masks."""
    errors = folder.errors()
    for error in errors:
        print(f"left out: {error}", file=sys.stderr)
    summary = summarize_records(folder.records(protocol.metrics), protocol)
    print(format_table(summary) if summary else "the split has no public masks, so there are no figures")
    if errors:
        print(f"{len(errors)} videos could not be read and are left out")
    first = table[0]
    description = {
        "model": args.model or str(args.predictions),
        "dataset": first["dataset"],
        "dataset_version": first["dataset_version"],
        "split": first["split"],
        "protocol": f"{protocol.name}; {protocol.source}",
        "clip_length": protocol.clip_length,
        "query_rule": QUERY_RULES[protocol.answer],
        "resize_path": protocol.mode,
        "dtype": {"no": "float32"}.get(args.mixed_precision, args.mixed_precision),
        "command": shlex.join(sys.argv),
        "package_version": __version__,
        "source": "this package",
        "source_url": None,
        "measured_here": True,
    }
    with replacing(folder.path / RESULTS) as temporary:
        temporary.write_text(json.dumps(result_entries(summary, description), indent=2) + "\n", encoding="utf-8")
    if args.submission is not None:
        masks = ((name, rle_to_masks(codes)) for name, codes in folder.masks())
        print(write_submission(args.submission, args.benchmark, table, masks, strict=args.strict))


def main(arguments: list[str] | None = None) -> None:
    args = parse_args(arguments)
    protocol = choose_protocol(args)
    accelerator = Accelerator(cpu=args.cpu, mixed_precision=args.mixed_precision)
    with accelerator.main_process_first():
        table = load_table(args)
    folder = EvaluationFolder(args.output_dir, evaluation_settings(args, protocol))
    with only_writer(args.output_dir) if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            folder.open()
        accelerator.wait_for_everyone()
        evaluate(args, protocol, table, folder, accelerator)
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            report(args, protocol, table, folder)
    accelerator.end_training()


if __name__ == "__main__":
    with ending_cleanly():
        main()

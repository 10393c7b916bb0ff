# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Measure a SOC or SOC++ model: J, F, J&F and the accuracy of "no target", by kind of expression.

    accelerate launch examples/evaluate_referring_video_segmentation.py \
        --model_name_or_path model --dataset moving_shapes --split test --num_videos 500 --output_file scores.json

With several processes each scores its share of the videos, and each expression counts once.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm.auto import tqdm

from transformers_soc import SocModel, SocProcessor
from transformers_soc.data.clips import group_by_video
from transformers_soc.data.folder import load_folder
from transformers_soc.data.moving_shapes import load_moving_shapes
from transformers_soc.metrics.evaluation import score_videos
from transformers_soc.metrics.segmentation import format_table, summarize
from transformers_soc.video_io import replacing


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    add = parser.add_argument
    add("--model_name_or_path", required=True)
    add("--processor_name", help="Default: `--model_name_or_path`.")
    add("--dataset", choices=["moving_shapes", "folder"], default="moving_shapes")
    add("--data_root", type=Path, help="The folder, with `--dataset folder`.")
    add("--split", default="test")
    add("--num_videos", type=int, default=500, help="Of generated data.")
    add("--data_seed", type=int, default=0, help="Of generated data.")
    add("--data_options", type=json.loads, default={}, help="Of generated data, as JSON: see `MovingShapesOptions`.")
    add("--threshold", type=float, help="Score below which the answer is 'no target'. Default: the processor's.")
    add("--mixed_precision", choices=["no", "fp16", "bf16"], default="no")
    add("--cpu", action="store_true")
    add("--output_file", type=Path, help="Where to write the results as JSON.")
    args = parser.parse_args(arguments)
    if args.dataset == "folder" and args.data_root is None:
        parser.error("--dataset folder needs --data_root")
    return args


def load_table(args: argparse.Namespace) -> Any:
    """The split in the common schema."""
    if args.dataset == "folder":
        return load_folder(args.data_root, args.split)
    return load_moving_shapes(args.split, args.num_videos, seed=args.data_seed, **args.data_options)


def main(arguments: list[str] | None = None) -> None:
    args = parse_args(arguments)
    accelerator = Accelerator(cpu=args.cpu, mixed_precision=args.mixed_precision)
    model = SocModel.from_pretrained(args.model_name_or_path).eval().to(accelerator.device)
    processor = SocProcessor.from_pretrained(args.processor_name or args.model_name_or_path)
    with accelerator.main_process_first():
        table = load_table(args)

    share = {"rank": accelerator.process_index, "num_processes": accelerator.num_processes}
    num_videos = len(group_by_video(table)[share["rank"] :: share["num_processes"]])
    with accelerator.autocast():
        videos = score_videos(model, processor, table, threshold=args.threshold, **share)
        hidden = not accelerator.is_local_main_process
        own = [score for video in tqdm(videos, total=num_videos, unit="video", disable=hidden) for score in video]
    scores = gather_object(own)

    if accelerator.is_main_process:
        summary = summarize(scores)
        print(format_table(summary))
        if args.output_file is not None:
            settings = {name: None if value is None else str(value) for name, value in vars(args).items()}
            results = {"settings": settings, "results": summary}
            with replacing(args.output_file) as temporary:
                temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    accelerator.end_training()


if __name__ == "__main__":
    main()

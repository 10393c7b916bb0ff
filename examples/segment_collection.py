# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Segment a collection of videos by their sentences, on one machine or on a Ray cluster, and look at the answers.

    python examples/segment_collection.py videos answers --num_workers 2

`videos` is a folder with videos and a file `sentences.json` such as `{"dogs.mp4": ["the dog on the left"]}`, or a
Parquet file with the columns sample_id, video and sentences. Started again, the script goes on where it stopped.
"""

import argparse
import json
from pathlib import Path

import pyarrow.parquet as pq
from pycocotools import mask as coco_mask

from transformers_soc.collection import CollectionSettings, segment_collection


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    add = parser.add_argument
    add("source", type=Path)
    add("output", type=Path)
    add("--model_name_or_path", help="Default: the bundled model.")
    add("--num_frames", type=int, help="Of each video, evenly spaced. Default: all.")
    add("--num_workers", type=int, default=0, help="Processes of Ray. Default: this process, without Ray.")
    add("--address", help="Of a Ray cluster that runs already. Default: workers on this machine.")
    add("--device", choices=["cpu", "cuda"], help="Default: a GPU where there is one.")
    return parser.parse_args(arguments)


def print_answers(output: Path) -> None:
    """A line for each sentence, and for each video that has failed."""
    for shard in sorted(output.glob("shard-*.parquet")):
        for batch in pq.ParquetFile(shard).iter_batches(batch_size=16):
            for row in batch.to_pylist():
                pixels = sum(int(coco_mask.area(code)) for code in row["masks"])
                share = pixels / (len(row["masks"]) * row["height"] * row["width"])
                answer = "no target" if row["no_target"] else f"{share:.1%} of the pixels"
                print(f"{row['sample_id']}: {row['sentence']}: {answer} (score {row['score']:.2f})")
    with open(output / "manifest.jsonl", encoding="utf-8") as lines:
        for entry in map(json.loads, lines):
            if entry["status"] == "failed":
                print(f"{entry['sample_id']}: failed: {entry['error']}")


def main(arguments: list[str] | None = None) -> None:
    args = parse_args(arguments)
    settings = CollectionSettings(model=args.model_name_or_path, num_frames=args.num_frames, device=args.device)
    segment_collection(args.source, args.output, settings, num_workers=args.num_workers, address=args.address)
    print_answers(args.output)


if __name__ == "__main__":
    main()

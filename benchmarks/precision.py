# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
How close a reduced precision comes to float32: the same sentences about MovingShapes test clips, in both.

    python benchmarks/precision.py --dtype bfloat16 --num_clips 60
"""

import argparse
import json

import numpy as np
from tqdm import tqdm
from transformers import pipeline

from transformers_soc import bundled_checkpoint
from transformers_soc.data.moving_shapes import render_clip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=bundled_checkpoint("soc-plus-micro"))
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float16"))
    parser.add_argument("--num_clips", type=int, default=60)
    args = parser.parse_args()
    task = "referring-video-segmentation"
    # Nothing is refused, so that every mask counts.
    segmenters = [pipeline(task, str(args.model), dtype=dtype, threshold=0.0) for dtype in ("float32", args.dtype)]

    rows = []
    for index in tqdm(range(args.num_clips), "clips", disable=None):
        clip = render_clip("test", index)
        texts = [expression.text for expression in clip.expressions if expression.targets]
        for plain, reduced in zip(*(segment(clip.frames, text=texts) for segment in segmenters), strict=True):
            masks = plain["masks"], reduced["masks"]
            shared, joint = (masks[0] & masks[1]).sum(), (masks[0] | masks[1]).sum()
            same = plain["query_index"] == reduced["query_index"]
            rows.append((shared, joint, same, abs(plain["score"] - reduced["score"])))
    shared, joint, same, error = np.array(rows, float).T
    iou = np.where(joint > 0, shared / np.maximum(joint, 1), 1.0)
    report = {
        "sentences": len(rows),
        "mean mask IoU": iou.mean(),
        "mask IoU over all pixels": shared.sum() / joint.sum(),
        "median mask IoU": np.median(iou),
        "share of sentences with IoU of at least 0.95": (iou >= 0.95).mean(),
        "same query": same.mean(),
        "mean mask IoU where the query is the same": iou[same == 1].mean(),
        "mean difference of the score": error.mean(),
    }
    print(json.dumps({name: round(float(value), 4) for name, value in report.items()}, indent=2))


if __name__ == "__main__":
    main()

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Examines a model on MovingShapes: J&F by kind, family and frame size, refusals, and controls that show what it uses.

  python examples/examine_soc_plus_micro.py --model DIR --num-videos 500 --output results.json

The threshold for "no target" is the score below which 5 % of the real sentences of the validation split fall; with
--write-threshold it is saved with the model. Controls, on motion sentences with a direction:
  reversed   the direction word is exchanged for its opposite: the score of the old target must collapse;
  one frame  the middle frame is repeated: the right look-alike can only be guessed;
  backward   the clip runs backwards under the same sentence: the score must collapse, too.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from transformers_soc import SocModel, SocProcessor
from transformers_soc.data.moving_shapes import MovingShapesClip, render_clip
from transformers_soc.data.moving_shapes_words import MIRROR_WORDS, VERTICAL_WORDS
from transformers_soc.data.transforms import swap_words
from transformers_soc.metrics.segmentation import score_expression
from transformers_soc.video_io import replacing

REFUSED_SHARE = 0.05  # of real sentences
DIRECTIONS = ("left", "right", "up", "down")


@torch.no_grad()
def answer(model: SocModel, processor: SocProcessor, frames: np.ndarray, texts: list[str]) -> list[dict[str, Any]]:
    """Results of the post-processing for every sentence about one video (frames, height, width, 3), none refused."""
    inputs = processor(videos=[frames], text=texts)
    outputs = model(**inputs, best_query_only=True)
    size = [frames.shape[1:3]]
    return processor.post_process_referring_video_segmentation(
        outputs, size, threshold=0.0, pixel_mask=inputs["pixel_mask"], video_indices=inputs["video_indices"]
    )


def judge(target: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """J and F of (frames, height, width) masks, means over the frames, in percent."""
    score = score_expression("", None, mask, target)
    return 100 * score.region, 100 * score.contour


def opposite(text: str) -> str:
    """The sentence with left and right, and up and down, exchanged."""
    return swap_words(swap_words(text, MIRROR_WORDS), VERTICAL_WORDS)


def examine_clip(model: SocModel, processor: SocProcessor, clip: MovingShapesClip) -> list[dict[str, Any]]:
    """A record for each sentence of a clip."""
    texts = [expression.text for expression in clip.expressions]
    records = []
    for expression, result in zip(clip.expressions, answer(model, processor, clip.frames, texts), strict=True):
        record = {
            "kind": expression.kind,
            "family": expression.family,
            "side": min(clip.frames.shape[1:3]),
            "num_lookalikes": expression.num_lookalikes,
            "score": result["score"],
        }
        if expression.targets:
            record["J"], record["F"] = judge(clip.target_mask(expression), result["masks"].numpy())
        records.append(record)
    return records


def control_clip(model: SocModel, processor: SocProcessor, clip: MovingShapesClip) -> list[dict[str, float]]:
    """J&F of the target under each control, for motion sentences whose reversal means another object."""
    asked = [entry for entry in clip.expressions if entry.family in DIRECTIONS and entry.reversed_targets]
    if not asked:
        return []
    texts = [expression.text for expression in asked]
    still = np.repeat(clip.frames[len(clip.frames) // 2][None], len(clip.frames), axis=0)
    answers = {
        "plain": answer(model, processor, clip.frames, texts),
        "reversed": answer(model, processor, clip.frames, [opposite(text) for text in texts]),
        "one frame": answer(model, processor, still, texts),
        "backward": answer(model, processor, clip.frames[::-1].copy(), texts),
    }
    records = []
    for row, expression in enumerate(asked):
        target = clip.target_mask(expression)
        other = clip.masks[list(expression.reversed_targets or ())].any(0)
        record = {}
        for name, results in answers.items():
            mask = results[row]["masks"].numpy()
            truth = target[::-1] if name == "backward" else target
            record[name] = float(np.mean(judge(truth, mask)))
            if name == "reversed":
                record["reversed, new target"] = float(np.mean(judge(other, mask)))
            if name in ("plain", "one frame"):
                better = judge(truth, mask)[0] > judge(other, mask)[0]
                record[f"{name}, right look-alike"] = 100.0 * better
        records.append(record)
    return records


def means(records: Iterable[dict[str, Any]], key: str) -> dict[str, dict[str, float]]:
    """J, F, J&F and number of the sentences with a target, by the value of `key`."""
    groups = defaultdict(list)
    for record in records:
        if "J" in record:
            groups[str(record[key])].append((record["J"], record["F"]))
    table = {}
    for name, values in sorted(groups.items()):
        j, f = np.mean(values, axis=0)
        table[name] = {"number": len(values), "J": round(j, 1), "F": round(f, 1), "J&F": round((j + f) / 2, 1)}
    return table


def refusals(records: list[dict[str, Any]], threshold: float) -> dict[str, float]:
    """Share of sentences that are refused, in percent: of real ones, and of those without a target by family."""
    groups = defaultdict(list)
    for record in records:
        group = "real sentences" if "J" in record else "no target"
        groups[group].append(record["score"] < threshold)
        if group == "no target":
            groups[f"no target: {record['family']}"].append(record["score"] < threshold)
    return {name: round(100 * float(np.mean(values)), 1) for name, values in sorted(groups.items())}


def draw_clips(split: str, count: int, seed: int, name: str) -> Iterable[MovingShapesClip]:
    return (render_clip(split, index, seed) for index in tqdm(range(count), name, disable=None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of the model and its processor")
    parser.add_argument("--num-videos", type=int, default=500, help="of the test split")
    parser.add_argument("--validation-videos", type=int, default=200, help="for the threshold")
    parser.add_argument("--seed", type=int, default=0, help="of the data")
    parser.add_argument("--split", default="test", choices=("validation", "test", "test_compositional"))
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    parser.add_argument("--write-threshold", action="store_true", help="save the threshold with the model")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = SocModel.from_pretrained(options.model, dtype=torch.float32).eval()
    processor = SocProcessor.from_pretrained(options.model)

    def examine(split: str, count: int) -> list[dict[str, Any]]:
        clips = draw_clips(split, count, options.seed, split)
        return [record for clip in clips for record in examine_clip(model, processor, clip)]

    validation = examine("validation", options.validation_videos)
    threshold = float(np.quantile([record["score"] for record in validation if "J" in record], REFUSED_SHARE))
    records = examine(options.split, options.num_videos)
    clips = draw_clips(options.split, options.num_videos, options.seed, "controls")
    controls = [record for clip in clips for record in control_clip(model, processor, clip)]
    results = {
        "model": Path(options.model).name,
        "split": options.split,
        "seed": options.seed,
        "videos": options.num_videos,
        "sentences": len(records),
        "threshold": round(threshold, 4),
        "by kind": means(records, "kind"),
        "by family": means(records, "family"),
        "by short side of the frame": means(records, "side"),
        "by number of look-alikes, motion": means([r for r in records if r["kind"] == "motion"], "num_lookalikes"),
        "refused at the threshold": refusals(records, threshold),
        "controls, J&F": {"number": len(controls)}
        | {name: round(float(np.mean([record[name] for record in controls])), 1) for name in (controls or [{}])[0]},
    }
    text = json.dumps(results, indent=2)
    print(text)
    if options.output is not None:
        with replacing(options.output) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    if options.write_threshold:
        write_threshold(Path(options.model), round(threshold, 4))


def write_threshold(folder: Path, threshold: float) -> None:
    """Writes the threshold into the configuration and the processor of a model folder."""
    for name in ("config.json", "processor_config.json"):
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        with replacing(folder / name) as temporary:
            temporary.write_text(json.dumps(content | {"threshold": threshold}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

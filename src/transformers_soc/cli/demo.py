# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""`transformers-soc demo`: the bundled model segments a generated clip by several sentences."""

import argparse
import json
from pathlib import Path
from typing import Any

from transformers.utils import logging

from .. import bundled_checkpoint
from ..data.moving_shapes import MovingShapesClip, render_clip
from ..metrics.segmentation import score_expression
from ..video_io import read_video, replacing, write_video
from ..visualization import contact_sheet
from .segment import load_pipeline, segment_to_files

# A clip of the test split, unseen in training, on which the bundled model does well; its card has the averages.
SPLIT, INDEX = "test", 276
CLIP: dict[str, Any] = {"num_frames": 16, "height": 192, "width": 256, "num_expressions": 12}
FPS = 6
MAX_SENTENCES = 3


def run(options: argparse.Namespace) -> None:
    """Write clip.mp4, overlay.mp4 and contact_sheet.png to the output folder, and tell how each sentence went.

    Raises:
        OSError: the output folder cannot be written.
    """
    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    logging.disable_progress_bar()
    clip = render_clip(SPLIT, INDEX, **CLIP)
    chosen = choose_expressions(clip)
    write_video(output / "clip.mp4", clip.frames, FPS)
    segmenter = load_pipeline(bundled_checkpoint())
    sentences = [expression.text for expression in chosen]
    results = segment_to_files(segmenter, str(output / "clip.mp4"), sentences, output / "overlay.mp4", progress=False)
    frames, _ = read_video(output / "overlay.mp4")
    with replacing(output / "contact_sheet.png") as temporary:
        contact_sheet(frames, max_frames=9).save(temporary, format="PNG")
    answers = judge(clip, chosen, results)
    files = [str(output / name) for name in ("clip.mp4", "overlay.mp4", "contact_sheet.png")]
    if options.json:
        print(json.dumps({"sentences": answers, "files": files}, indent=2))
        return
    print(f"soc-plus-micro on a generated clip of {len(frames)} frames:\n")
    print(table(answers))
    print("\nJ&F is the agreement with the true masks, 100 at best. Look at:")
    for file in files:
        print(f"  {file}")


def choose_expressions(clip: MovingShapesClip) -> list[Any]:
    """Sentences of different kinds, those of one kind after each other only where others have run out."""
    chosen: list[Any] = []
    left = list(clip.expressions)
    while left and len(chosen) < MAX_SENTENCES:
        used = [expression.kind for expression in chosen]
        best = min(left, key=lambda expression: used.count(expression.kind))
        left.remove(best)
        chosen.append(best)
    return chosen


def judge(clip: MovingShapesClip, expressions: list[Any], results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each sentence what it is, its score, how well its masks agree with the true ones, and what is refused."""
    answers = []
    for expression, result in zip(expressions, results, strict=True):
        quality = score_expression(expression.text, expression.kind, result["masks"], clip.target_mask(expression))
        answers.append(
            {
                "sentence": expression.text,
                "kind": expression.kind,
                "score": result["score"],
                "no_target": result["no_target"],
                "has_target": bool(expression.targets),
                "J&F": 50 * (quality.region + quality.contour),
            }
        )
    return answers


def table(answers: list[dict[str, Any]]) -> str:
    """A line for each sentence."""
    width = max(len(answer["sentence"]) for answer in answers)
    lines = [f"{'sentence':{width}}  {'kind':8}  score  answer"]
    for answer in answers:
        text = "no target" if answer["no_target"] else f"J&F {answer['J&F']:.0f}"
        if answer["has_target"] == answer["no_target"]:
            text += " (wrong)"
        lines.append(f"{answer['sentence']:{width}}  {answer['kind']:8}  {answer['score']:.2f}   {text}")
    return "\n".join(lines)

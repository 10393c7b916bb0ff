# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Computes everything on the CPU and on the device "far", and prints as JSON by how much the two differ, and which
operators the device needs.

Usage: far_worker.py VARIANT
"""

import copy
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from conftest import gray_frames, tiny_processor
from far_device import FAR, USED_OPERATORS, FarDevice, FarTensor, near, to_far
from models import tiny_model

from transformers_soc import SocModel
from transformers_soc.pipeline_referring_video_segmentation import ReferringVideoSegmentationPipeline
from transformers_soc.session import SocVideoSession

SENTENCES = ["a dog", "a cat"]
Move = Callable[[torch.Tensor], torch.Tensor]


def inputs(move: Move) -> dict[str, Any]:
    """Two padded videos of different length, and three sentences."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(2, 5, 64, 96, dtype=torch.bool)
    mask[1, 4], mask[0, :, :, 80:] = False, False
    return {
        "pixel_values_videos": move(torch.randn(2, 5, 3, 64, 96, generator=generator)),
        "pixel_mask": move(mask),
        "input_ids": move(torch.randint(0, 20, (3, 7), generator=generator)),
        "attention_mask": move(torch.ones(3, 7, dtype=torch.long)),
        "video_indices": move(torch.tensor([0, 1, 1])),
    }


def labels(move: Move) -> list[dict[str, torch.Tensor]]:
    """A square in each frame of the sentence's video, and a sentence without a target."""
    masks = [torch.zeros(frames, 64, 96, dtype=torch.bool) for frames in (5, 4, 4)]
    for mask in masks[:2]:
        mask[1:, 20:40, 10:30] = True
    return [{"masks": move(mask), "visible": move(mask.flatten(1).any(1))} for mask in masks]


def forward(model: SocModel, move: Move) -> list[torch.Tensor]:
    with torch.no_grad():
        outputs = model(**inputs(move))
    return [outputs.logits, outputs.pred_boxes, outputs.pred_masks]


def training(model: SocModel, move: Move) -> list[torch.Tensor]:
    """The loss and its gradients."""
    loss = model.train()(**inputs(move), labels=labels(move)).loss
    loss.backward()
    weights = [tensor for module in model.modules() for tensor in module._parameters.values() if tensor is not None]
    return [loss.detach(), *(weight.grad for weight in weights if weight.grad is not None)]


def session(model: SocModel, move: Move, mode: str = "exact", **clips: int) -> list[torch.Tensor]:
    running = SocVideoSession(model, tiny_processor(), mode=mode, **clips)
    running.add_expressions(SENTENCES)
    running.add_frames(gray_frames(5))
    return answers(running.results("numpy"))


def clips(model: SocModel, move: Move) -> list[torch.Tensor]:
    return session(model, move, mode="clip", clip_frames=3, overlap=1)


def pipeline(model: SocModel, move: Move) -> list[torch.Tensor]:
    device = torch.device("cpu") if move is near else FAR
    segment = ReferringVideoSegmentationPipeline(model=model, processor=tiny_processor(), device=device)
    return answers(segment(gray_frames(5), SENTENCES))


def answers(results: list[dict[str, Any]]) -> list[torch.Tensor]:
    fields = ("frame_scores", "masks")
    return [torch.from_numpy(np.asarray(result[name], np.float32)) for result in results for name in fields]


def largest_difference(expected: list[torch.Tensor], found: list[torch.Tensor]) -> float:
    """The mean over a tensor's values, as a share of its largest value; some gradients are nothing but rounding."""
    rounding = 1e-3 * max(float(tensor.detach().abs().max()) for tensor in expected)
    pairs = zip(expected, found, strict=True)
    return max(float((near(b) - a).abs().mean() / a.abs().max().clamp_min(rounding)) for a, b in pairs)


def main(variant: str) -> None:
    differences, operators = {}, {}
    for work in (forward, training, session, clips, pipeline):
        torch.manual_seed(0)
        model = tiny_model(variant)
        expected = work(copy.deepcopy(model), near)
        with FarDevice():
            USED_OPERATORS.clear()
            differences[work.__name__] = largest_difference(expected, work(to_far(model), FarTensor))
        operators[work.__name__] = sorted(USED_OPERATORS)
    print(json.dumps({"differences": differences, "operators": operators}))


if __name__ == "__main__":
    main(sys.argv[1])

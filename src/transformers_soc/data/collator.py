# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""From clips to the inputs and labels of [`SocModel`]."""

from collections.abc import Sequence
from typing import Any

import torch

from ..loss_soc import boxes_from_masks
from .transforms import Clip, resize_masks


class SocDataCollator:
    """
    Batch clips, each with its own expressions, for [`SocModel`]; for `transformers.Trainer`, too, with
    `remove_unused_columns=False` and `eval_do_concat_batches=False`.

    Args:
        processor: [`SocProcessor`]; its video processor resizes the frames, and the masks follow.
        do_resize: False: the clips have their size already.
    """

    def __init__(self, processor: Any, do_resize: bool | None = None) -> None:
        self.processor = processor
        self.options: dict[str, Any] = {} if do_resize is None else {"do_resize": do_resize}

    def __call__(self, clips: Sequence[Clip]) -> dict[str, Any]:
        """
        Args:
            clips: one annotated frame in all of them, or in none.

        Returns:
            what the processor makes, `pixel_values_videos`, `pixel_mask`, `input_ids`, `attention_mask` and
            `video_indices`; `annotated_frame_indices` where only one frame of each clip is; and `labels`, a dict per
            expression: `masks` (frames, height, width) bool at the padded size, `visible` (frames,) bool, `boxes`
            (frames, 4) and `class_labels` ().

        Raises:
            ValueError: clips with and without an annotated frame in one batch.
        """
        annotated = [clip.annotated_frame for clip in clips if clip.annotated_frame is not None]
        if annotated and len(annotated) != len(clips):
            raise ValueError("clips with one annotated frame and clips with all frames annotated do not go together")
        batch = dict(
            self.processor(
                videos=[clip.frames for clip in clips],
                text=[list(clip.expressions) for clip in clips],
                do_sample_frames=False,
                **self.options,
            )
        )
        if annotated:
            batch["annotated_frame_indices"] = torch.tensor(annotated)
        batch["labels"] = [
            label for clip, mask in zip(clips, batch["pixel_mask"], strict=True) for label in _labels(clip, mask)
        ]
        return batch


def _labels(clip: Clip, pixel_mask: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    """Labels of the expressions of a clip, whose real pixels are `pixel_mask` (frames, height, width)."""
    masks = clip.masks if clip.annotated_frame is None else clip.masks[:, [clip.annotated_frame]]
    height, width = int(pixel_mask[0, :, 0].sum()), int(pixel_mask[0, 0].sum())
    padded = torch.zeros(*masks.shape[:2], *pixel_mask.shape[1:], dtype=torch.bool)
    padded[..., :height, :width] = resize_masks(masks, height, width)
    original = torch.from_numpy(masks.copy())
    size = torch.tensor(masks.shape[-2:])
    classes = clip.class_labels or [0] * len(masks)
    return [
        {
            "masks": resized,
            "visible": own.flatten(1).any(1),
            "boxes": boxes_from_masks(own, size),
            "class_labels": torch.tensor(index),
        }
        for resized, own, index in zip(padded, original, classes, strict=True)
    ]


__all__ = ["SocDataCollator"]

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Scores of a model on a table in the common schema."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ..data.clips import group_by_video, read_clip
from .segmentation import ExpressionScore, score_expression


@torch.no_grad()
def score_videos(
    model: Any,
    processor: Any,
    table: Any,
    *,
    threshold: float | None = None,
    expressions_per_pass: int = 16,
    rank: int = 0,
    num_processes: int = 1,
) -> Iterator[list[ExpressionScore]]:
    """
    Answer every expression of a table on all frames of its video, and compare at the original size of the frames.

    Args:
        model: [`SocModel`] in eval mode.
        processor: [`SocProcessor`].
        table: a `datasets.Dataset` or a list of rows of the common schema, with masks.
        threshold: score below which the answer is "no target"; None: the one saved with the processor.
        expressions_per_pass: how many expressions go through the model at once.
        rank, num_processes: score only the videos of this process, every `num_processes`-th one.

    Yields:
        the scores of the expressions about one video after the other.
    """
    for group in group_by_video(table)[rank::num_processes]:
        rows = [table[index] for index in group]
        clip = read_clip(rows, range(rows[0]["num_frames"]))
        pixels = processor(videos=[clip.frames], do_sample_frames=False).to(model.device)
        features = model.get_video_features(**pixels)
        answered = rows[0]["annotated_frame_indices"]
        scores = []
        for start in range(0, len(rows), expressions_per_pass):
            part = slice(start, start + expressions_per_pass)
            text = processor(text=clip.expressions[part]).to(model.device)
            results = processor.post_process_referring_video_segmentation(
                model(video_features=features, best_query_only=processor.union_threshold is None, **text),
                target_sizes=[clip.frames.shape[1:3]],
                pixel_mask=pixels["pixel_mask"],
                video_indices=[0] * len(clip.expressions[part]),
                threshold=threshold,
            )
            for row, target, result in zip(rows[part], clip.masks[part], results, strict=True):
                prediction = np.asarray(result["masks"])
                scores.append(
                    score_expression(row["sample_id"], row["expression_type"], target[answered], prediction[answered])
                )
        yield scores


__all__ = ["score_videos"]

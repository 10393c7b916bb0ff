# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
What the masks of one expression are worth, over all its frames, and means over expressions, as MeViS and Long-RVOS
take them; and how often "no target" is answered rightly.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .frames import contour_accuracy, region_similarity
from .records import unique_records
from .temporal import spatio_temporal_iou, temporal_iou


def no_target_accuracy(prediction: Sequence[bool], target: Sequence[bool]) -> dict[str, float | None]:
    """
    How often "no target" is answered where it should be and not where it should not, as GRES measures it.

    Args:
        prediction: for each sample, True where the answer is "no target"; for a video, that all masks are empty.
        target: for each sample, True where there is no target.

    Returns:
        `N-acc`, the share of the samples without a target that are answered so, and `T-acc`, the share of those with a
        target that are not; None where there are no such samples.

    Raises:
        ValueError: the numbers of samples differ.
    """
    refused, no_target = np.asarray(prediction, bool), np.asarray(target, bool)
    if refused.ndim != 1 or refused.shape != no_target.shape:
        raise ValueError(
            f"prediction and target must hold one bool each per sample, got {refused.shape} and {no_target.shape}"
        )
    return {
        "N-acc": float(refused[no_target].mean()) if no_target.any() else None,
        "T-acc": float((~refused[~no_target]).mean()) if not no_target.all() else None,
    }


@dataclass(frozen=True)
class ExpressionScore:
    """
    What the masks of one expression are worth.

    Args:
        sample_id: names the expression.
        kind: kind of expression, as the data set calls it; None where it has no kinds.
        region, contour: mean over all frames of J and F, in 0..1.
        temporal_iou, spatio_temporal_iou: tIoU and vIoU, in 0..1.
        no_target: the expression has no target in any frame.
        refused: the predicted masks of all frames are empty.
    """

    sample_id: str
    kind: str | None
    region: float
    contour: float
    temporal_iou: float
    spatio_temporal_iou: float
    no_target: bool
    refused: bool


def score_expression(sample_id: str, kind: str | None, prediction: np.ndarray, target: np.ndarray) -> ExpressionScore:
    """
    Score the masks (frames, height, width) of one expression.

    Raises:
        ValueError: the shapes differ, or there are no frames.
    """
    prediction, target = np.asarray(prediction, bool), np.asarray(target, bool)
    if not len(target):
        raise ValueError(f"{sample_id}: there are no frames to score")
    return ExpressionScore(
        sample_id=sample_id,
        kind=kind,
        region=float(region_similarity(prediction, target).mean()),
        contour=float(contour_accuracy(prediction, target).mean()),
        temporal_iou=temporal_iou(prediction, target),
        spatio_temporal_iou=spatio_temporal_iou(prediction, target),
        no_target=not target.any(),
        refused=not prediction.any(),
    )


Summary = dict[str, dict[str, float | int | None]]


def summarize(scores: Iterable[ExpressionScore]) -> Summary:
    """
    Means over expressions, for `all` of them, for those with a target (`target`) and for each kind.

    Each sample id counts once, however often it is given, and the order does not matter.

    Returns:
        for each group `expressions`, their number; `J`, `F`, `J&F`, `tIoU` and `vIoU` in percent; `N-acc`, the
        percentage of expressions without a target that are refused, and `T-acc`, that of those with a target that are
        not; None where there are no such expressions.
    """
    groups = {"all": unique_records(scores)}
    groups["target"] = [score for score in groups["all"] if not score.no_target]
    for kind in sorted({score.kind for score in groups["all"] if score.kind is not None}):
        groups[f"kind: {kind}"] = [score for score in groups["all"] if score.kind == kind]
    return {name: _means(group) for name, group in groups.items() if group}


def _means(scores: list[ExpressionScore]) -> dict[str, float | int | None]:
    region = float(np.mean([score.region for score in scores]))
    contour = float(np.mean([score.contour for score in scores]))
    answers = no_target_accuracy([score.refused for score in scores], [score.no_target for score in scores])
    return {
        "expressions": len(scores),
        "J": 100 * region,
        "F": 100 * contour,
        "J&F": 50 * (region + contour),
        "tIoU": 100 * float(np.mean([score.temporal_iou for score in scores])),
        "vIoU": 100 * float(np.mean([score.spatio_temporal_iou for score in scores])),
        **{name: None if share is None else 100 * share for name, share in answers.items()},
    }


def format_table(summary: Summary) -> str:
    """A summary as a table in plain text, a line for each group, a column for each number of the first group."""
    columns = list(next(iter(summary.values()), {}))
    rows = [["", *columns]]
    for name, values in summary.items():
        rows.append([name, *map(_cell, (values.get(column) for column in columns))])
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
    return "\n".join(lines)


def _cell(value: float | int | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.1f}"


__all__ = ["ExpressionScore", "format_table", "no_target_accuracy", "score_expression", "summarize"]

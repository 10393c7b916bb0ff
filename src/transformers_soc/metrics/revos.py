# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""ReVOS: accuracy and robustness of the masks of one expression, and the means that its papers report."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .frames import contour_accuracy, region_similarity
from .records import unique_records

REPORTED_KINDS = ("referring", "reasoning")


def revos_accuracy(prediction: np.ndarray, target: np.ndarray, *, raw_values: bool = False) -> np.ndarray:
    """
    Accuracy A of each frame: the share of pixels with the right value.

    Args:
        prediction, target: (frames, height, width), not 0 = object.
        raw_values: compare the numbers as they are, as the ReVOS code does; with masks of 0 and 255 every pixel found
            then counts as wrong.

    Returns:
        (frames,) float64 in 0..1.

    Raises:
        ValueError: the shapes differ.
    """
    prediction, target = _values(raw_values, prediction, target)
    return (prediction == target).mean((1, 2), dtype=np.float64)


def revos_robustness(
    prediction: np.ndarray, target: np.ndarray, foreground: np.ndarray, *, raw_values: bool = False
) -> np.ndarray:
    """
    Robustness R of each frame: 1 less the pixels found outside the target, as a share of the foreground; at least 0.

    Args:
        prediction, target: (frames, height, width), not 0 = object.
        foreground: (frames, height, width), the union of all annotated objects of the video.
        raw_values: calculate with the numbers as they are, in eight bits that wrap, as the ReVOS code does.

    Returns:
        (frames,) float64 in 0..1.

    Raises:
        ValueError: the shapes differ.
    """
    prediction, target, foreground = _values(raw_values, prediction, target, foreground)
    outside = ((1 - target) * prediction).sum((1, 2), dtype=np.int64)
    return np.maximum(1 - outside / (foreground.sum((1, 2), dtype=np.int64) + 1e-6), 0.0)


def _values(raw_values: bool, *masks: np.ndarray) -> list[np.ndarray]:
    """The masks as uint8, of 0 and 1 unless their raw values are asked for."""
    arrays = [np.asarray(mask) for mask in masks]
    if arrays[0].ndim != 3 or any(array.shape != arrays[0].shape for array in arrays):
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ValueError(f"all masks must be (frames, height, width) of one shape, got {shapes}")
    return [array.astype(np.uint8) if raw_values else array.astype(bool).astype(np.uint8) for array in arrays]


@dataclass(frozen=True)
class RevosScore:
    """
    What the masks of one expression are worth on ReVOS.

    Args:
        sample_id: names the expression.
        kind: "referring" or "reasoning"; others, such as "no_target", are not part of the means.
        region, contour, accuracy, robustness: mean over all frames of J, F, A and R, in 0..1.
    """

    sample_id: str
    kind: str | None
    region: float
    contour: float
    accuracy: float
    robustness: float


def score_revos(
    sample_id: str,
    kind: str | None,
    prediction: np.ndarray,
    target: np.ndarray,
    foreground: np.ndarray,
    *,
    raw_values: bool = False,
) -> RevosScore:
    """
    Score the masks (frames, height, width) of one expression.

    Raises:
        ValueError: the shapes differ, or there are no frames.
    """
    if not len(target):
        raise ValueError(f"{sample_id}: there are no frames to score")
    return RevosScore(
        sample_id=sample_id,
        kind=kind,
        region=float(region_similarity(prediction, target).mean()),
        contour=float(contour_accuracy(prediction, target).mean()),
        accuracy=float(revos_accuracy(prediction, target, raw_values=raw_values).mean()),
        robustness=float(revos_robustness(prediction, target, foreground, raw_values=raw_values).mean()),
    )


def summarize_revos(scores: Iterable[RevosScore]) -> dict[str, dict[str, float]]:
    """
    Means over the expressions of each kind, and `overall`, the mean of both kinds whatever their numbers.

    The percentages of each expression are rounded to two decimals first, as the ReVOS code does. Each sample id counts
    once, however often it is given, and the order does not matter.

    Returns:
        for `referring`, `reasoning` and, where both are there, `overall`: the number of `expressions`, and `J`, `F`,
        `J&F`, `A` and `R` in percent.
    """
    records = unique_records(scores)
    groups = {kind: [record for record in records if record.kind == kind] for kind in REPORTED_KINDS}
    summary = {kind: _means(group) for kind, group in groups.items() if group}
    if len(summary) == len(REPORTED_KINDS):
        first, second = summary.values()
        summary["overall"] = {name: (first[name] + second[name]) / 2 for name in first}
        summary["overall"]["expressions"] = sum(map(len, groups.values()))
    return summary


def _means(scores: list[RevosScore]) -> dict[str, float]:
    names = {"J": "region", "F": "contour", "A": "accuracy", "R": "robustness"}
    means = {
        name: float(np.round([100 * getattr(score, field) for score in scores], 2).mean())
        for name, field in names.items()
    }
    return {"expressions": len(scores), **means, "J&F": (means["J"] + means["F"]) / 2}


__all__ = ["RevosScore", "revos_accuracy", "revos_robustness", "score_revos", "summarize_revos"]

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Region similarity J and boundary accuracy F as DAVIS defines them, per frame; their means over the frames of an
expression and over expressions, as MeViS takes them; and how often "no target" is answered rightly.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

BOUNDARY_TOLERANCE = 0.008  # of the diagonal of the frame


def _check_masks(target: np.ndarray, prediction: np.ndarray, void: np.ndarray | None) -> list[np.ndarray]:
    """Both masks as bool (frames, height, width), without the void pixels, and the mask of the counted pixels."""
    target, prediction = np.asarray(target, bool), np.asarray(prediction, bool)
    if target.ndim != 3 or target.shape != prediction.shape:
        raise ValueError(
            f"target and prediction must both be (frames, height, width), got {target.shape} and {prediction.shape}"
        )
    counted = np.ones_like(target) if void is None else ~np.asarray(void, bool)
    if counted.shape != target.shape:
        raise ValueError(f"void must have the shape of the masks, {target.shape}, got {counted.shape}")
    return [target & counted, prediction & counted]


def region_similarity(target: np.ndarray, prediction: np.ndarray, void: np.ndarray | None = None) -> np.ndarray:
    """
    Intersection over union J (frames,) float64 of masks (frames, height, width); 1 where the union is empty.

    Args:
        target, prediction: (frames, height, width), not 0 = object.
        void: (frames, height, width), pixels that do not count.

    Raises:
        ValueError: the shapes differ; nothing is resized.
    """
    target, prediction = _check_masks(target, prediction, void)
    union = (target | prediction).sum((1, 2))
    shared = (target & prediction).sum((1, 2))
    return np.where(union == 0, 1.0, shared / np.maximum(union, 1))


def boundary_accuracy(
    target: np.ndarray,
    prediction: np.ndarray,
    void: np.ndarray | None = None,
    tolerance: float = BOUNDARY_TOLERANCE,
) -> np.ndarray:
    """
    F (frames,) float64: the harmonic mean of precision and recall of the boundary pixels, of which one is right when
    the other mask has a boundary pixel within the tolerance.

    A mask that reaches the border of the frame has no boundary there, so a full frame has none at all.

    Args:
        target, prediction: (frames, height, width), not 0 = object.
        void: (frames, height, width), pixels that do not count.
        tolerance: in pixels from 1 on, else a share of the diagonal, rounded up to whole pixels.

    Raises:
        ValueError: the shapes differ; nothing is resized.
    """
    target, prediction = _check_masks(target, prediction, void)
    height, width = target.shape[1:]
    radius = tolerance if tolerance >= 1 else math.ceil(tolerance * math.hypot(height, width))
    edges, found = boundary_map(target), boundary_map(prediction)
    num_edges, num_found = edges.sum((1, 2)), found.sum((1, 2))
    hit = (found & dilate(edges, radius)).sum((1, 2))
    covered = (edges & dilate(found, radius)).sum((1, 2))
    # Without boundary pixels nothing is wrong among them, unless all of the other mask's are missed.
    precision = np.where(num_found == 0, 1.0, hit / np.maximum(num_found, 1))
    recall = np.where(num_edges == 0, 1.0, covered / np.maximum(num_edges, 1))
    total = precision + recall
    return np.where(total == 0, 0.0, 2 * precision * recall / np.where(total == 0, 1.0, total))


def boundary_map(masks: np.ndarray) -> np.ndarray:
    """Pixels of bool masks (frames, height, width) that differ from the one to the right, below, or both."""
    edges = np.zeros_like(masks)
    edges[:, :, :-1] |= masks[:, :, :-1] != masks[:, :, 1:]
    edges[:, :-1] |= masks[:, :-1] != masks[:, 1:]
    edges[:, :-1, :-1] |= masks[:, :-1, :-1] != masks[:, 1:, 1:]
    return edges


def dilate(masks: np.ndarray, radius: float) -> np.ndarray:
    """Grow bool masks (frames, height, width) by a disk; meant for masks with few pixels, such as boundaries."""
    reach = math.floor(radius)
    frames, height, width = masks.shape
    grown = np.zeros((frames, height + 2 * reach, width + 2 * reach), bool)
    frame, row, column = np.nonzero(masks)
    places = np.ravel_multi_index((frame, row + reach, column + reach), grown.shape)
    flat = grown.reshape(-1)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            if down**2 + right**2 <= radius**2:
                flat[places + (down * grown.shape[2] + right)] = True
    return grown[:, reach : reach + height, reach : reach + width]


@dataclass(frozen=True)
class ExpressionScore:
    """
    What the masks of one expression are worth.

    Args:
        sample_id: names the expression.
        kind: kind of expression, as the data set calls it; None where it has no kinds.
        region, boundary: mean over all frames of J and F, in 0..1.
        no_target: the expression has no target in any frame.
        refused: the predicted masks of all frames are empty.
    """

    sample_id: str
    kind: str | None
    region: float
    boundary: float
    no_target: bool
    refused: bool


def score_expression(sample_id: str, kind: str | None, target: np.ndarray, prediction: np.ndarray) -> ExpressionScore:
    """Score masks (frames, height, width) of one expression; raises as `region_similarity` does."""
    return ExpressionScore(
        sample_id=sample_id,
        kind=kind,
        region=float(region_similarity(target, prediction).mean()),
        boundary=float(boundary_accuracy(target, prediction).mean()),
        no_target=not np.any(target),
        refused=not np.any(prediction),
    )


def summarize(scores: Iterable[ExpressionScore]) -> dict[str, dict[str, float | int | None]]:
    """
    Means over expressions, for `all` of them, for those with a target (`target`) and for each kind.

    Each sample id counts once, however often it is given.

    Returns:
        for each group `expressions`, their number; `J`, `F` and `J&F` in percent; `no_target_accuracy`, the percentage
        of expressions without a target that are refused, and `false_refusals`, that of those with a target; None where
        there are no such expressions.
    """
    unique = {score.sample_id: score for score in scores}
    groups: dict[str, list[ExpressionScore]] = {"all": list(unique.values())}
    groups["target"] = [score for score in groups["all"] if not score.no_target]
    for kind in sorted({score.kind for score in groups["all"] if score.kind is not None}):
        groups[f"kind: {kind}"] = [score for score in groups["all"] if score.kind == kind]
    return {name: _means(group) for name, group in groups.items() if group}


def _means(scores: list[ExpressionScore]) -> dict[str, float | int | None]:
    region = float(np.mean([score.region for score in scores]))
    boundary = float(np.mean([score.boundary for score in scores]))
    return {
        "expressions": len(scores),
        "J": 100 * region,
        "F": 100 * boundary,
        "J&F": 50 * (region + boundary),
        "no_target_accuracy": _percentage([score.refused for score in scores if score.no_target]),
        "false_refusals": _percentage([score.refused for score in scores if not score.no_target]),
    }


def _percentage(answers: list[bool]) -> float | None:
    return 100 * float(np.mean(answers)) if answers else None


def format_table(summary: dict[str, dict[str, float | int | None]]) -> str:
    """The summary as a table in plain text, a line for each group."""
    columns = ["expressions", "J", "F", "J&F", "no_target_accuracy", "false_refusals"]
    rows = [["", "number", "J", "F", "J&F", "no-target acc.", "false refusals"]]
    for name, values in summary.items():
        cells = [values[column] for column in columns]
        rows.append([name, *("-" if cell is None else f"{cell:.1f}" for cell in cells)])
        rows[-1][1] = str(values["expressions"])
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
    return "\n".join(lines)


__all__ = [
    "ExpressionScore",
    "boundary_accuracy",
    "format_table",
    "region_similarity",
    "score_expression",
    "summarize",
]

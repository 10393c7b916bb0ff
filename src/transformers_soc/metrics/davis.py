# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Ref-DAVIS17: the unsupervised protocol of DAVIS 2017 on label maps, its statistics over frames, and means over all
objects and over the annotators, each of whom described every object.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from .frames import contour_accuracy, region_similarity
from .records import unique_records

VOID = 255
MAX_PROPOSALS = 20


class DavisStatistics(NamedTuple):
    """
    Statistics of the values of one object over its frames.

    Args:
        mean: mean value.
        recall: share of the values above 0.5.
        decay: mean of the first quarter less that of the last.
    """

    mean: float
    recall: float
    decay: float


class DavisSequence(NamedTuple):
    """J and F of the proposal that each object was given, (objects, frames) float64."""

    region: np.ndarray
    contour: np.ndarray


def davis_statistics(values: np.ndarray) -> DavisStatistics:
    """
    Mean, recall and decay of values (frames,) of one object; NaN is left out of means and never above 0.5.

    The limits of the quarters are wide integers. The DAVIS 2017 code keeps them in eight bits, which wrap from 256
    frames on; up to 255 frames both agree.

    Raises:
        ValueError: there are no values, or they have more than one dimension.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"values must be (frames,) with at least one frame, got {values.shape}")
    limits = (np.round(np.linspace(1, len(values), 5) + 1e-10) - 1).astype(np.int64)
    # Neighbouring quarters share the frame between them.
    first, last = values[limits[0] : limits[1] + 1], values[limits[3] : limits[4] + 1]
    decay = np.nanmean(first) - np.nanmean(last)
    return DavisStatistics(float(np.nanmean(values)), float(np.mean(values > 0.5)), float(decay))


def davis_unsupervised(prediction: np.ndarray, target: np.ndarray) -> DavisSequence:
    """
    Score a sequence whose labels need not agree: each object is given the proposal that suits it, by the assignment
    with the best mean of J and F over frames. All frames count.

    Args:
        prediction: (frames, height, width) integers, 0 = background, proposals from 1.
        target: (frames, height, width) integers, 0 = background, objects from 1, 255 = pixels that do not count. The
            objects are those up to the highest label of the first frame.

    Raises:
        ValueError: the shapes differ, the first frame has no object, or there are more than 20 proposals.
    """
    prediction, target = np.asarray(prediction), np.asarray(target)
    if target.ndim != 3 or target.shape != prediction.shape or not len(target):
        raise ValueError(
            f"prediction and target must both be (frames, height, width), got {prediction.shape} and {target.shape}"
        )
    void = target == VOID
    num_objects = int(np.where(void, 0, target)[0].max())
    num_proposals = int(prediction.max())
    if not num_objects:
        raise ValueError("the first frame of the target has no object, so there is nothing to score")
    if num_proposals > MAX_PROPOSALS:
        raise ValueError(f"the protocol takes at most {MAX_PROPOSALS} proposals, got the label {num_proposals}")
    scores = np.empty((2, max(num_proposals, num_objects), num_objects, len(target)))
    for proposal, of_proposal in enumerate(scores.swapaxes(0, 1), 1):
        found = prediction == proposal
        for label in range(1, num_objects + 1):
            true = target == label
            of_proposal[0, label - 1] = region_similarity(found, true, void)
            of_proposal[1, label - 1] = contour_accuracy(found, true, void)
    proposals, objects = linear_sum_assignment(scores.mean((0, 3)), maximize=True)
    chosen = proposals[np.argsort(objects)]
    region, contour = scores[:, chosen, np.arange(num_objects)]
    return DavisSequence(region, contour)


@dataclass(frozen=True)
class DavisObjectScore:
    """
    What the masks of one object are worth, as one annotator described it.

    Args:
        video_id: name of the sequence.
        object_id: label of the object, from 1.
        annotator: number of the annotator.
        region, contour: statistics of J and F over frames.
    """

    video_id: str
    object_id: int
    annotator: int
    region: DavisStatistics
    contour: DavisStatistics

    @property
    def sample_id(self) -> str:
        """Names the object and the annotator."""
        return f"{self.video_id}/{self.object_id}/{self.annotator}"


def score_davis_sequence(
    video_id: str, annotator: int, prediction: np.ndarray, target: np.ndarray
) -> list[DavisObjectScore]:
    """
    A score for each object of a sequence, from label maps (frames, height, width) as `davis_unsupervised` takes them.

    Raises:
        ValueError: as `davis_unsupervised`, with the name of the sequence.
    """
    try:
        sequence = davis_unsupervised(prediction, target)
    except ValueError as error:
        raise ValueError(f"{video_id}, annotator {annotator}: {error}") from error
    return [
        DavisObjectScore(video_id, label, annotator, davis_statistics(region), davis_statistics(contour))
        for label, (region, contour) in enumerate(zip(*sequence, strict=True), 1)
    ]


def summarize_davis(scores: Iterable[DavisObjectScore]) -> dict[str, dict[str, float | int | None]]:
    """
    Means over the objects of all sequences, for each annotator, and the mean over annotators.

    Each object counts once for each annotator, however often it is given, and the order does not matter.

    Returns:
        for each `annotator 0`, `annotator 1` ... and for `mean` the number of `objects` and, in percent, `J&F-Mean`,
        `J-Mean`, `J-Recall`, `J-Decay`, `F-Mean`, `F-Recall` and `F-Decay`.

    Raises:
        ValueError: an annotator lacks an object that another one has.
    """
    groups: dict[int, list[DavisObjectScore]] = {}
    for score in unique_records(scores):
        groups.setdefault(score.annotator, []).append(score)
    if not groups:
        return {}
    objects = {number: {(score.video_id, score.object_id) for score in group} for number, group in groups.items()}
    everything = set().union(*objects.values())
    for number, own in objects.items():
        if own != everything:
            video_id, object_id = min(everything - own)
            raise ValueError(
                f"annotator {number} has no score for object {object_id} of {video_id!r}; score every sequence for "
                "every annotator"
            )
    summary = {f"annotator {number}": _means(groups[number]) for number in sorted(groups)}
    mean = {
        name: float(np.mean([values[name] for values in summary.values()])) for name in _means(groups[min(groups)])
    }
    return {**summary, "mean": {**mean, "objects": len(everything)}}


def _means(scores: list[DavisObjectScore]) -> dict[str, float | int | None]:
    region = 100 * np.mean([score.region for score in scores], axis=0)
    contour = 100 * np.mean([score.contour for score in scores], axis=0)
    names = ("Mean", "Recall", "Decay")
    return {
        "objects": len(scores),
        "J&F-Mean": float(region[0] + contour[0]) / 2,
        **{f"J-{name}": float(value) for name, value in zip(names, region, strict=True)},
        **{f"F-{name}": float(value) for name, value in zip(names, contour, strict=True)},
    }


__all__ = [
    "DavisObjectScore",
    "DavisSequence",
    "DavisStatistics",
    "davis_statistics",
    "davis_unsupervised",
    "score_davis_sequence",
    "summarize_davis",
]

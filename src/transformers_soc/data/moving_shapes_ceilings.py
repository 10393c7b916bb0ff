# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""How far an answer gets in MovingShapes that does not read the sentence, or that sees one frame only."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..metrics.frames import region_similarity
from .moving_shapes import MovingShapesClip
from .moving_shapes_language import MOTION_KINDS, MovingShapesExpression

Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]
FRAME_PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class _BlindAnswers:
    """What answers to one expression score that are chosen among the target's look-alikes, with perfect masks."""

    family: str
    fold: int
    num_lookalikes: int
    random: float
    union: float
    one_frame: np.ndarray  # (rules,)


def ceilings(
    clips: Iterable[MovingShapesClip], kinds: Sequence[str] = MOTION_KINDS, measure: Measure | None = None
) -> dict[str, dict[str, float]]:
    """The best answers that do not read the sentence or do not see motion, in percent.

    Args:
        clips: rendered clips; some hundred for figures that mean something.
        kinds: kinds of expressions; those with one target count.
        measure: what a predicted mask scores, (prediction, target) of shape (frames, height, width) to (frames,);
            region similarity J if None.

    Returns:
        For each number of look-alikes ("2", "3" ...) and "all" the number of `expressions` and mean scores: `random`,
        one look-alike by chance; `union`, all of them; `one_frame`, the one that a rule about a single frame chooses.
        Such a rule takes the look-alike that is first or last in some direction, size or distance from the middle or
        the edges at some time of the clip; the best rule for each family is found on one half of the clips and
        measured on the other.
    """
    measure = measure or region_similarity
    answers = [
        _blind_answers(clip, expression, number % 2, measure)
        for number, clip in enumerate(clips)
        for expression in clip.expressions
        if expression.kind in kinds and len(expression.targets) == 1
    ]
    one_frame = np.array([answer.one_frame[_best_rule(answers, answer)] for answer in answers])
    groups = {str(count): count for count in sorted({answer.num_lookalikes for answer in answers})}
    table = {}
    for name, count in {**groups, "all": None}.items():
        chosen = [i for i, answer in enumerate(answers) if count is None or answer.num_lookalikes == count]
        if chosen:
            table[name] = {
                "expressions": len(chosen),
                "random": 100 * float(np.mean([answers[i].random for i in chosen])),
                "union": 100 * float(np.mean([answers[i].union for i in chosen])),
                "one_frame": 100 * float(one_frame[chosen].mean()),
            }
    return table


def _blind_answers(
    clip: MovingShapesClip, expression: MovingShapesExpression, fold: int, measure: Measure
) -> _BlindAnswers:
    target = expression.targets[0]
    look = clip.objects[target].appearance
    alike = [index for index, item in enumerate(clip.objects) if item.appearance == look]
    truth = clip.masks[target]
    scores = np.array([measure(clip.masks[index], truth).mean() for index in alike])
    nothing = measure(np.zeros_like(truth), truth).mean()
    union = measure(np.logical_or.reduce(clip.masks[alike], axis=0), truth).mean()
    one_frame = _one_frame_scores(clip, alike, scores, nothing)
    return _BlindAnswers(expression.family, fold, len(alike), float(scores.mean()), float(union), one_frame)


def _one_frame_scores(clip: MovingShapesClip, alike: list[int], scores: np.ndarray, nothing: float) -> np.ndarray:
    """What each rule scores (rules,): it can choose only among what its frame shows."""
    num_frames, height, width = clip.frames.shape[:3]
    results = []
    for place in FRAME_PLACES:
        frame = round(place * (num_frames - 1))
        seen = np.array([clip.masks[index, frame].any() for index in alike])
        centre = np.stack([clip.objects[index].centre[frame] for index in alike])
        radius = np.array([clip.objects[index].radius[frame] for index in alike])
        edge = np.minimum(centre, np.array([width, height]) - centre).min(axis=1) - radius
        middle = np.linalg.norm(centre - centre.mean(axis=0), axis=1)
        for feature in (centre[:, 0], centre[:, 1], radius, edge, middle):
            for sign in (1, -1):
                value = np.where(seen, sign * feature, -np.inf)
                best = value == value.max()
                results.append(scores[best].mean() if seen.any() else nothing)
    return np.array(results)


def _best_rule(answers: list[_BlindAnswers], answer: _BlindAnswers) -> int:
    """The rule that scores best for the family of `answer` on the other half of the clips."""
    others = [a.one_frame for a in answers if a.fold != answer.fold and a.family == answer.family]
    return int(np.mean(others, axis=0).argmax()) if others else 0

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What is true in a scene of MovingShapes, decided from the paths of its objects.

Every statement about every object is `TRUE`, `FALSE` or `UNKNOWN`. Unknown is whatever a reader could take either way,
as for an object that hardly moves; no expression rests on it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .moving_shapes_scene import DIRECTIONS, MovingShapesObject, Scene

TRUE, FALSE, UNKNOWN = 1, 0, -1
STILL_STEP = 0.004  # of the shorter side; a step below it is no motion
MIN_COURSE = 4  # frames; what is present for less shows no manner of motion
WALLS = ("left", "right", "top", "bottom")


@dataclass(frozen=True)
class Path:
    """One object's course while it is present, in units of the shorter side."""

    centre: np.ndarray  # (frames, 2)
    radius: np.ndarray  # (frames,)
    angle: np.ndarray  # (frames,)
    first: int
    last: int
    num_frames: int
    gaps: np.ndarray  # (frames, 4): from the object's edge to each wall, negative outside

    @property
    def steps(self) -> np.ndarray:
        return np.diff(self.centre, axis=0)

    @property
    def speed(self) -> np.ndarray:
        return np.linalg.norm(self.steps, axis=1)

    @property
    def always_present(self) -> bool:
        return self.first == 0 and self.last == self.num_frames - 1


def path_of(item: MovingShapesObject, height: int, width: int) -> Path:
    """The path of an object in a frame of `height` x `width` pixels."""
    side = min(height, width)
    frames = np.flatnonzero(item.present)
    centre, radius = item.centre[frames] / side, item.radius[frames] / side
    far = np.array([width, height]) / side - centre
    gaps = np.stack([centre[:, 0], far[:, 0], centre[:, 1], far[:, 1]], axis=1) - radius[:, None]
    return Path(centre, radius, item.angle[frames], int(frames[0]), int(frames[-1]), len(item.present), gaps)


def motion_facts(scene: Scene) -> dict[str, np.ndarray]:
    """For each statement about motion, int8 (objects,) of `TRUE`, `FALSE` and `UNKNOWN`."""
    paths = scene_paths(scene)
    facts = {name: np.array([rule(path) for path in paths], np.int8) for name, rule in MOTION_RULES.items()}
    too_short = [len(path.radius) < MIN_COURSE for path in paths]
    for name in facts.keys() - COMINGS_AND_GOINGS:
        facts[name][too_short] = UNKNOWN
    for name in ("clockwise", "counterclockwise", "rotate"):
        # Nobody sees a plain circle turn.
        round_ones = [item.shape in ("circle", "ring") for item in scene.objects]
        facts[name][np.logical_and(round_ones, facts[name] == TRUE)] = UNKNOWN
    return facts


def scene_paths(scene: Scene) -> list[Path]:
    """The paths of all objects."""
    return [path_of(item, scene.height, scene.width) for item in scene.objects]


def _judge(true: bool, false: bool) -> int:
    return TRUE if true else FALSE if false else UNKNOWN


def _is_still(path: Path) -> int:
    length = path.speed.sum()
    constant = np.ptp(path.angle) < 0.01 and np.ptp(path.radius) < 0.02 * path.radius[0]
    return _judge(length < 0.005 and constant and path.always_present, length > 0.04)


def _is_moving(path: Path) -> int:
    return _judge(path.speed.sum() > 0.04, _is_still(path) == TRUE)


def _goes(direction: str) -> Callable[[Path], int]:
    """True if nearly every step is within 25 degrees of the direction, false if none is within 65."""
    unit = np.array(DIRECTIONS[direction])

    def rule(path: Path) -> int:
        moving = path.speed > STILL_STEP
        along = path.steps @ unit
        near = moving & (along > np.cos(np.deg2rad(25)) * path.speed)
        wide = moving & (along > np.cos(np.deg2rad(65)) * path.speed)
        return _judge(len(moving) > 0 and near.mean() > 0.95, not wide.any())

    return rule


def _reversal(path: Path) -> tuple[str, int]:
    """Whether a straight path has "none", "one" or "other" change of direction, and the step after it."""
    speed, steps = path.speed, path.steps
    moving = np.flatnonzero(speed > STILL_STEP)
    if len(moving) < 2:
        return "none", 0
    heading = steps[moving] / speed[moving, None]
    cosine = heading @ heading[0]
    if (np.abs(cosine) < 0.97).any():
        return "other", 0
    changes = np.flatnonzero(np.diff(np.sign(cosine)))
    if len(changes) == 0:
        return "none", 0
    after = int(moving[changes[0] + 1])
    lengths = speed[:after].sum(), speed[after:].sum()
    clear = len(changes) == 1 and min(after, len(speed) - after) >= 2 and min(lengths) > 0.03
    return ("one", after) if clear else ("other", after)


def _turns_back(path: Path) -> int:
    kind, after = _reversal(path)
    return _judge(kind == "one" and path.gaps[after].min() > 0.05, kind == "none")


def _turns(first: str) -> Callable[[Path], int]:
    """Whether it goes in the direction `first` and then back."""
    unit = np.array(DIRECTIONS[first])

    def rule(path: Path) -> int:
        kind, _ = _reversal(path)
        if kind != "one":
            return FALSE if kind == "none" else UNKNOWN
        start = path.steps[0] / path.speed[0] @ unit
        # A reader may take a bounce for it as well: where it turns does not matter here.
        return _judge(start > np.cos(np.deg2rad(25)), start < np.cos(np.deg2rad(65)))

    return rule


def _stops(path: Path) -> int:
    speed = path.speed
    moving = speed > STILL_STEP
    if not moving.any():
        return FALSE
    end = int(np.flatnonzero(moving)[-1]) + 1
    true = bool(moving[:end].all()) and end >= 2 and len(speed) - end >= 2 and path.last == path.num_frames - 1
    return _judge(true, bool(moving[-1]) and speed[-1] > 0.6 * speed.max())


def _is_faster_later(path: Path) -> int:
    speed = path.speed
    third = max(1, len(speed) // 3)
    early, late = speed[:third].mean(), speed[-third:].mean()
    if speed.sum() < 0.005:
        return FALSE
    steady = bool((speed > STILL_STEP).all() and (np.diff(speed) > -1e-6).all())
    return _judge(steady and late > 2 * early and late - early > 0.015, late < 1.1 * early)


def _rotates(sign: int | None) -> Callable[[Path], int]:
    """Whether it turns clockwise (1), counterclockwise (-1) or at all (None) by 40 degrees or more."""

    def rule(path: Path) -> int:
        turn = path.angle[-1] - path.angle[0]
        turn = abs(turn) if sign is None else sign * turn
        return _judge(turn > np.deg2rad(40), turn < np.deg2rad(1))

    return rule


def _grows(path: Path) -> int:
    ratio = path.radius[-1] / path.radius[0]
    return _judge(ratio > 1.35, ratio < 1.03)


def _orbits(path: Path) -> int:
    steps = path.steps[path.speed > STILL_STEP]
    if len(steps) < 2:
        return FALSE
    heading = np.arctan2(steps[:, 1], steps[:, 0])
    turns = (np.diff(heading) + np.pi) % (2 * np.pi) - np.pi
    bent = turns[np.abs(turns) > 0.15]
    circle = len(bent) == len(turns) and abs(np.sign(turns).sum()) == len(turns) and abs(turns.sum()) > 3.4
    return _judge(circle, len(bent) <= 1)


def _bounces(path: Path) -> int:
    steps = path.steps
    before, after = steps[:-1], steps[1:]
    turned = (before * after < 0) & (np.minimum(np.abs(before), np.abs(after)) > STILL_STEP)
    if not turned.any():
        return FALSE
    gaps = path.gaps[1:-1]
    touching = np.zeros(turned.shape, bool)
    for wall in range(4):
        axis, outward = wall // 2, -1 if wall % 2 == 0 else 1
        touching[:, axis] |= (np.abs(gaps[:, wall]) < 0.02) & (before[:, axis] * outward > 0)
    clear = turned.sum() == 1 and (turned & touching).any()
    return _judge(clear, gaps[turned.any(axis=1)].min() > 0.05)


def _appears(path: Path) -> int:
    return _judge(path.first >= 1, path.first == 0 and path.gaps[0].min() > -path.radius[0])


def _enters(wall: str | None) -> Callable[[Path], int]:
    """Whether it comes from outside the frame, over one wall or any."""

    def rule(path: Path) -> int:
        outside = path.gaps[0] < -2 * path.radius[0]
        wanted = outside.any() if wall is None else outside[WALLS.index(wall)]
        inside = path.gaps[-1].min() > -0.5 * path.radius[-1]
        visible = path.gaps[0].min() > -0.8 * path.radius[0]
        return _judge(
            wanted and inside and path.first == 0, (visible and path.first == 0) or (outside.any() and not wanted)
        )

    return rule


def _backwards(rule: Callable[[Path], int]) -> Callable[[Path], int]:
    """The rule for the clip played backwards."""

    def reversed_rule(path: Path) -> int:
        turned = Path(
            path.centre[::-1],
            path.radius[::-1],
            path.angle[::-1],
            path.num_frames - 1 - path.last,
            path.num_frames - 1 - path.first,
            path.num_frames,
            path.gaps[::-1],
        )
        return rule(turned)

    return reversed_rule


MOTION_RULES: dict[str, Callable[[Path], int]] = {
    "still": _is_still,
    "moving": _is_moving,
    **{direction: _goes(direction) for direction in DIRECTIONS},
    "turn_back": _turns_back,
    **{f"turn_{direction}": _turns(direction) for direction in DIRECTIONS},
    "stop": _stops,
    "start": _backwards(_stops),
    "speed_up": _is_faster_later,
    "slow_down": _backwards(_is_faster_later),
    "rotate": _rotates(None),
    "clockwise": _rotates(1),
    "counterclockwise": _rotates(-1),
    "grow": _grows,
    "shrink": _backwards(_grows),
    "orbit": _orbits,
    "bounce": _bounces,
    "appear": _appears,
    "disappear": _backwards(_appears),
    "enter": _enters(None),
    "leave": _backwards(_enters(None)),
    **{f"enter_{wall}": _enters(wall) for wall in WALLS},
    **{f"leave_{wall}": _backwards(_enters(wall)) for wall in WALLS},
}

COMINGS_AND_GOINGS = {name for name in MOTION_RULES if name.startswith(("appear", "disappear", "enter", "leave"))}


# Comparisons between the objects of a chosen set.


def leading(values: np.ndarray, chosen: np.ndarray, margin: float) -> np.ndarray | None:
    """Bool (objects,): the chosen object whose value (objects, frames) is above the others' by `margin` in all frames.

    None where no object stands out, or fewer than two are chosen.
    """
    ids = np.flatnonzero(chosen)
    if len(ids) < 2:
        return None
    ranked = np.argsort(values[ids], axis=0)
    best, frames = ranked[-1], np.arange(values.shape[1])
    lead = values[ids[best], frames] - values[ids[ranked[-2]], frames]
    if (best != best[0]).any() or lead.min() < margin:
        return None
    return np.arange(len(chosen)) == ids[best[0]]


def mean_speeds(scene: Scene) -> np.ndarray:
    """Float (objects,): mean speed while present; not a number for objects that do not move steadily."""
    speeds = []
    for path in scene_paths(scene):
        steady = path.speed.max() < 1.2 * path.speed.min() + 1e-6
        speeds.append(path.speed.mean() if steady and path.always_present else np.nan)
    return np.array(speeds)


def event_frames(scene: Scene, event: str, facts: dict[str, np.ndarray]) -> np.ndarray:
    """Float (objects,): the frame of "appear", "disappear", "stop" or "start"; nan without it, inf if unknown."""
    frames = np.full(len(scene.objects), np.nan)
    frames[facts[event] == UNKNOWN] = np.inf
    for index, path in enumerate(scene_paths(scene)):
        if facts[event][index] == TRUE:
            moving = np.flatnonzero(path.speed > STILL_STEP)
            frames[index] = {
                "appear": path.first,
                "disappear": path.last + 1,
                "stop": path.first + moving[-1] + 1 if len(moving) else np.nan,
                "start": path.first + moving[0] if len(moving) else np.nan,
            }[event]
    return frames

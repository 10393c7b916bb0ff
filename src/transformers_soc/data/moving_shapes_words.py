# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The words of MovingShapes: phrases for each statement, and what a change of the clip does to them.

The four tables at the end give for a mirrored, upside-down, transposed or reversed clip the words of the true
sentence. Keys are whole words or phrases, in lower case; longer ones go before shorter ones, all at once. A key that
stands for itself keeps its words from being changed by a shorter key.
"""

from dataclasses import dataclass

from .moving_shapes_scene import DIRECTIONS

GENERIC_NOUNS = ("object", "shape", "thing", "one")
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
WALL_OF_DIRECTION = {"left": "left", "right": "right", "up": "top", "down": "bottom"}


@dataclass(frozen=True)
class Phrases:
    """Three lists of equal meaning: "moving left", "moves left" (after "that") and "move left" (plural)."""

    participles: tuple[str, ...]
    singular: tuple[str, ...]
    plural: tuple[str, ...]


def _verbs(participles: str, singular: str, plural: str) -> Phrases:
    """Phrases from lists that are separated by "|"."""
    return Phrases(tuple(participles.split("|")), tuple(singular.split("|")), tuple(plural.split("|")))


def _direction_phrases(direction: str) -> Phrases:
    ends = [direction, f"{direction}wards"]
    if direction in ("left", "right"):
        ends = [f"to the {direction}", f"to the {direction}", *ends]
    return Phrases(
        tuple(f"{verb} {end}" for verb in ("moving", "going") for end in ends),
        tuple(f"{verb} {end}" for verb in ("moves", "is moving", "goes") for end in ends),
        tuple(f"{verb} {end}" for verb in ("move", "are moving", "go") for end in ends),
    )


def _turn_phrases(first: str, second: str) -> Phrases:
    ends = [f"{first} and then {second}", f"{first} and then back"]
    if first in ("left", "right"):
        ends.insert(0, f"to the {first} and then to the {second}")
    return Phrases(
        tuple(f"{verb} {end}" for verb in ("moving", "going") for end in ends),
        tuple(f"{verb} {end}" for verb in ("moves", "goes") for end in ends),
        tuple(f"{verb} {end}" for verb in ("move", "go") for end in ends),
    )


MOTION_PHRASES: dict[str, Phrases] = {
    "still": _verbs(
        "standing still|staying in place",
        "is still|stays still|stands still|does not move|is not moving|stays in place",
        "are still|stay still|stand still|do not move|are not moving|stay in place",
    ),
    "moving": _verbs("moving", "moves|is moving", "move|are moving"),
    **{direction: _direction_phrases(direction) for direction in DIRECTIONS},
    "turn_back": _verbs(
        "turning back|reversing direction",
        "turns back|turns around|reverses direction|changes direction and comes back",
        "turn back|turn around|reverse direction|change direction and come back",
    ),
    "turn_left": _turn_phrases("left", "right"),
    "turn_right": _turn_phrases("right", "left"),
    "turn_up": _turn_phrases("up", "down"),
    "turn_down": _turn_phrases("down", "up"),
    "stop": _verbs(
        "stopping",
        "stops|stops moving|moves and then stops|comes to a stop",
        "stop|stop moving|move and then stop|come to a stop",
    ),
    "start": _verbs(
        "starting to move",
        "starts to move|starts moving|waits and then moves|begins to move",
        "start to move|start moving|wait and then move|begin to move",
    ),
    "speed_up": _verbs(
        "speeding up|getting faster|accelerating",
        "speeds up|gets faster|accelerates|becomes faster",
        "speed up|get faster|accelerate|become faster",
    ),
    "slow_down": _verbs(
        "slowing down|getting slower|decelerating",
        "slows down|gets slower|decelerates|becomes slower",
        "slow down|get slower|decelerate|become slower",
    ),
    "rotate": _verbs(
        "rotating|spinning|turning on the spot",
        "rotates|spins|is rotating|is spinning|turns on the spot",
        "rotate|spin|are rotating|are spinning|turn on the spot",
    ),
    **{
        word: _verbs(
            f"rotating {word}|spinning {word}|turning {word}",
            f"rotates {word}|spins {word}|turns {word}",
            f"rotate {word}|spin {word}|turn {word}",
        )
        for word in ("clockwise", "counterclockwise")
    },
    "grow": _verbs(
        "growing|getting bigger",
        "grows|is growing|gets bigger|becomes bigger",
        "grow|are growing|get bigger|become bigger",
    ),
    "shrink": _verbs(
        "shrinking|getting smaller",
        "shrinks|is shrinking|gets smaller|becomes smaller",
        "shrink|are shrinking|get smaller|become smaller",
    ),
    "orbit": _verbs(
        "moving in a circle|going round in circles|circling|orbiting",
        "moves in a circle|goes round in circles|circles|orbits",
        "move in a circle|go round in circles|circle|orbit",
    ),
    "bounce": _verbs(
        "bouncing|bouncing off the edge",
        "bounces|bounces off the edge|bounces off the wall",
        "bounce|bounce off the edge|bounce off the wall",
    ),
    "appear": _verbs(
        "appearing late",
        "appears|appears late|shows up late|is not there at the start",
        "appear|appear late|show up late|are not there at the start",
    ),
    "disappear": _verbs(
        "disappearing early",
        "disappears|disappears early|vanishes early|is not there at the end",
        "disappear|disappear early|vanish early|are not there at the end",
    ),
    "enter": _verbs(
        "entering the frame|coming into view", "enters the frame|comes into view", "enter the frame|come into view"
    ),
    "leave": _verbs(
        "leaving the frame|going out of view", "leaves the frame|goes out of view", "leave the frame|go out of view"
    ),
    **{
        f"enter_{wall}": _verbs(
            f"entering from the {wall}|coming in from the {wall}",
            f"enters from the {wall}|comes in from the {wall}",
            f"enter from the {wall}|come in from the {wall}",
        )
        for wall in WALL_OF_DIRECTION.values()
    },
    **{
        f"leave_{wall}": _verbs(
            f"leaving at the {wall}|going out at the {wall}",
            f"leaves at the {wall}|goes out at the {wall}",
            f"leave at the {wall}|go out at the {wall}",
        )
        for wall in WALL_OF_DIRECTION.values()
    },
}

# Plain form and third person.
EVENT_VERBS = {
    "appear": (("appear", "appears"),),
    "disappear": (("disappear", "disappears"),),
    "stop": (("stop", "stops"), ("stop moving", "stops moving")),
    "start": (("start to move", "starts to move"), ("start moving", "starts moving")),
}

# {np} is the noun phrase without an article, {anchor} one with it, {when} "", " at the start" or " at the end".
RELATION_TEMPLATES: dict[str, tuple[str, ...]] = {
    "left_of": (
        "the {np} left of {anchor}{when}",
        "the {np} to the left of {anchor}{when}",
        "the {np} that is left of {anchor}{when}",
    ),
    "right_of": (
        "the {np} right of {anchor}{when}",
        "the {np} to the right of {anchor}{when}",
        "the {np} that is right of {anchor}{when}",
    ),
    "above": ("the {np} above {anchor}{when}", "the {np} that is above {anchor}{when}"),
    "below": ("the {np} below {anchor}{when}", "the {np} that is below {anchor}{when}"),
    "closest": ("the {np} closest to {anchor}{when}", "the {np} nearest to {anchor}{when}"),
    "leftmost": ("the leftmost {np}{when}", "the {np} on the left{when}"),
    "rightmost": ("the rightmost {np}{when}", "the {np} on the right{when}"),
    "topmost": ("the topmost {np}{when}", "the {np} at the top{when}", "the highest {np}{when}"),
    "bottommost": ("the bottommost {np}{when}", "the {np} at the bottom{when}", "the lowest {np}{when}"),
}
SUPERLATIVE_TEMPLATES: dict[str, tuple[str, ...]] = {
    "largest": ("the largest {np}", "the biggest {np}", "the {np} that is the largest"),
    "smallest": ("the smallest {np}", "the tiniest {np}", "the {np} that is the smallest"),
    "larger": ("the larger {np}", "the bigger {np}", "the bigger of the two {nps}"),
    "smaller": ("the smaller {np}", "the smaller of the two {nps}"),
    "fastest": ("the fastest {np}", "the {np} that moves fastest", "the {np} moving fastest"),
    "slowest": ("the slowest {np}", "the {np} that moves slowest", "the {np} moving slowest"),
    "faster": ("the faster {np}", "the faster of the two {nps}", "the {np} that moves faster"),
    "slower": ("the slower {np}", "the slower of the two {nps}", "the {np} that moves slower"),
}
ORDER_TEMPLATES = (
    "the {rank} {np} to {verb}",
    "the {np} that {verbs} {rank}",
    "the {np} which {verbs} {rank}",
)
BEFORE_TEMPLATE = "the {np} that {verbs} {relation} {anchor}"


def _both_ways(pairs: list[tuple[str, str]]) -> dict[str, str]:
    return dict(pairs) | {second: first for first, second in pairs}


def _keep(*phrases: str) -> dict[str, str]:
    return {phrase: phrase for phrase in phrases}


_SPEED_PHRASES = _keep(*(f"{verb} {end}" for verb, end in (
    ("speeding", "up"), ("speeds", "up"), ("speed", "up"), ("shows", "up"), ("show", "up"),
    ("slowing", "down"), ("slows", "down"), ("slow", "down"),
)))  # fmt: skip

MIRROR_WORDS: dict[str, str] = _both_ways(
    [
        ("left", "right"),
        ("leftmost", "rightmost"),
        ("leftwards", "rightwards"),
        ("leftward", "rightward"),
        ("clockwise", "counterclockwise"),
    ]
)
VERTICAL_WORDS: dict[str, str] = _SPEED_PHRASES | _both_ways(
    [
        ("up", "down"),
        ("upwards", "downwards"),
        ("upward", "downward"),
        ("above", "below"),
        ("top", "bottom"),
        ("upper", "lower"),
        ("topmost", "bottommost"),
        ("highest", "lowest"),
        ("clockwise", "counterclockwise"),
    ]
)
_WALL_VERBS = (
    ("entering from", "leaving at"),
    ("enters from", "leaves at"),
    ("enter from", "leave at"),
    ("coming in from", "going out at"),
    ("comes in from", "goes out at"),
    ("come in from", "go out at"),
)
# Undoes itself in meaning, not in letters: "to the left" and "left" both become "up".
TRANSPOSE_WORDS: dict[str, str] = (
    _SPEED_PHRASES
    | _both_ways(
        [
            ("left", "up"),
            ("right", "down"),
            ("leftwards", "upwards"),
            ("rightwards", "downwards"),
            ("leftward", "upward"),
            ("rightward", "downward"),
            ("leftmost", "topmost"),
            ("rightmost", "bottommost"),
            ("left of", "above"),
            ("right of", "below"),
            ("on the left", "at the top"),
            ("on the right", "at the bottom"),
            ("clockwise", "counterclockwise"),
            *(
                (f"{verb} the {first}", f"{verb} the {second}")
                for verbs in _WALL_VERBS
                for verb in verbs
                for first, second in (("left", "top"), ("right", "bottom"))
            ),
        ]
    )
    | {
        "to the left": "up",
        "to the right": "down",
        "to the left of": "above",
        "to the right of": "below",
        "highest": "leftmost",
        "lowest": "rightmost",
    }
)
REVERSAL_WORDS: dict[str, str] = _both_ways(
    [
        ("left", "right"),
        ("up", "down"),
        ("leftwards", "rightwards"),
        ("upwards", "downwards"),
        ("leftward", "rightward"),
        ("upward", "downward"),
        ("clockwise", "counterclockwise"),
        ("starts to move", "stops"),
        ("start to move", "stop"),
        ("starting to move", "stopping"),
        ("starts moving", "stops moving"),
        ("start moving", "stop moving"),
        ("waits and then moves", "moves and then stops"),
        ("wait and then move", "move and then stop"),
        ("begins to move", "comes to a stop"),
        ("begin to move", "come to a stop"),
        ("speeding up", "slowing down"),
        ("speeds up", "slows down"),
        ("speed up", "slow down"),
        *((f"{verb} faster", f"{verb} slower") for verb in ("getting", "gets", "get", "becomes", "become")),
        ("accelerating", "decelerating"),
        ("accelerates", "decelerates"),
        ("accelerate", "decelerate"),
        ("growing", "shrinking"),
        ("grows", "shrinks"),
        ("grow", "shrink"),
        *((f"{verb} bigger", f"{verb} smaller") for verb in ("getting", "gets", "get", "becomes", "become")),
        ("appearing late", "disappearing early"),
        ("appears late", "disappears early"),
        ("appear late", "disappear early"),
        ("appears", "disappears"),
        ("appear", "disappear"),
        ("shows up late", "vanishes early"),
        ("show up late", "vanish early"),
        ("entering the frame", "leaving the frame"),
        ("enters the frame", "leaves the frame"),
        ("enter the frame", "leave the frame"),
        ("coming into view", "going out of view"),
        ("comes into view", "goes out of view"),
        ("come into view", "go out of view"),
        ("at the start", "at the end"),
        ("first", "last"),
        ("before", "after"),
        *(
            (f"{enter} the {wall}", f"{leave} the {wall}")
            for enter, leave in _WALL_VERBS
            for wall in WALL_OF_DIRECTION.values()
        ),
    ]
) | _keep(
    # Places, and ways there and back, are the same in both directions of time.
    *(f"{place} {side}" for place in ("on the", "from the", "at the") for side in ("left", "right")),
    *(f"{start}{side} of" for start in ("", "to the ") for side in ("left", "right")),
    *(
        f"{start}{side} and then {rest}"
        for side, back in (("left", "right"), ("right", "left"), ("up", "down"), ("down", "up"))
        for start in (("", "to the ") if side in ("left", "right") else ("",))
        for rest in (f"{start}{back}", "back")
    ),
)

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Reads sentences of MovingShapes and looks in the paths of the objects for what they mean.

Written apart from the package, with sharp limits where the package has margins: a sentence of the dataset must come
out the same here, because it never rests on a doubtful case.
"""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

COLOURS = "red|green|blue|yellow|purple|orange|white|pink|cyan|black"
SHAPES = "circle|square|triangle|star|cross|ring"
NOUN = (
    rf"(?:(?P<size>small|large) )?(?:(?P<texture>plain|striped|dotted) )?(?:(?P<colour>{COLOURS}) )?"
    rf"(?P<noun>{SHAPES}|object|shape|thing|one)(?P<plural>e?s)?"
)
WHEN = r"(?P<when> at the (?:start|end))?"
NUMBERS = {"one": 1, "two": 2, "both": 2, "three": 3, "four": 4, "five": 5, "six": 6}
AXES = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1), "top": (1, -1), "bottom": (1, 1)}


class Reader:
    """What sentences mean in one clip: `objects` in a frame of `height` x `width` pixels."""

    def __init__(self, objects, height, width):
        self.objects = objects
        self.limits = np.array([width, height])
        self.side = min(height, width)

    def meaning(self, text: str) -> tuple[tuple[int, ...], int | None]:
        """The ids of the objects that the sentence is true of, and how many of them its words promise, if they do."""
        for pattern, rule in PATTERNS:
            if match := re.fullmatch(pattern, text):
                return tuple(i for i in sorted(set(rule(self, match)))), _promised(text)
        raise AssertionError(f"no sentence of the grammar: {text!r}")

    def noun(self, match: re.Match) -> list[int]:
        """The objects of the noun phrase in the groups of `match`."""
        words = match.groupdict()
        chosen = [
            index
            for index, item in enumerate(self.objects)
            if words["noun"] in (item.shape, "object", "shape", "thing", "one")
            and words["colour"] in (None, item.colour)
            and words["texture"] in (None, item.texture)
        ]
        limit = {"small": lambda d: d < 0.2, "large": lambda d: d > 0.2}.get(words["size"], lambda d: True)
        return [i for i in chosen if limit(2 * self.objects[i].radius.mean() / self.side)]

    def anchor(self, text: str) -> int:
        """The only object of a noun phrase."""
        (index,) = self.noun(re.fullmatch(NOUN, text))
        return index

    def course(self, index: int) -> np.ndarray:
        """Places while present, in units of the shorter side."""
        item = self.objects[index]
        return item.centre[item.present] / self.side

    def at(self, index: int, when: str | None) -> np.ndarray:
        """Places at the time of a sentence: (1, 2) or, without a word for it, (frames, 2)."""
        item = self.objects[index]
        part = slice(None) if not when else slice(0, 1) if "start" in when else slice(-1, None)
        assert item.present[part].all()
        return item.centre[part] / self.side


def _promised(text: str) -> int | None:
    """How many objects a sentence is about."""
    if text.startswith("the ") and " and the " in text and "then" not in text:
        return 2
    if number := re.match(r"(?:the|all) (two|three|four|five|six) ", text) or re.match(r"(both) ", text):
        return NUMBERS[number[1]]
    plural = re.match(rf"(?:all|every|the) (?:the )?{NOUN}", text)
    if text.startswith(("all ", "every ")) or (plural and plural["plural"]):
        return None
    return 1


# Motion.


def _steps(reader, index):
    return np.diff(reader.course(index), axis=0)


def _length(reader, index):
    return np.linalg.norm(_steps(reader, index), axis=1)


def goes(reader, index, direction):
    axis, sign = AXES[direction]
    steps = _steps(reader, index)
    return bool((sign * steps[:, axis] > np.abs(steps[:, 1 - axis])).all())


def still(reader, index):
    item = reader.objects[index]
    return bool(np.ptp(reader.course(index), axis=0).max() < 0.01) and np.ptp(item.angle) == 0 == np.ptp(item.radius)


def moves(reader, index):
    return _length(reader, index).sum() > 0.02


def turns_back(reader, index):
    centred = reader.course(index) - reader.course(index).mean(axis=0)
    _, spread, axes = np.linalg.svd(centred)
    way = centred @ axes[0]
    beyond = max(way.max() - max(way[0], way[-1]), min(way[0], way[-1]) - way.min())
    return beyond > 0.02 and spread[1] < 0.2 * spread[0]


def turns(reader, index, first):
    axis, sign = AXES[first]
    way = sign * reader.course(index)[:, axis]
    return turns_back(reader, index) and way.max() > max(way[0], way[-1]) + 0.02


def stops(reader, index):
    length = _length(reader, index)
    return bool(length[0] > 0.004 and length[-2:].max() < 0.002 and reader.objects[index].present[-1])


def gets_faster(reader, index):
    length = _length(reader, index)
    half = len(length) // 2
    return length[-half:].sum() > 1.25 * length[:half].sum() and bool((length > 0.002).all())


def rotates(reader, index, word=None):
    turn = np.rad2deg(reader.objects[index].angle[-1] - reader.objects[index].angle[0])
    seen = reader.objects[index].shape not in ("circle", "ring")
    return seen and {None: abs(turn), "clockwise": turn, "counterclockwise": -turn}[word] > 20


def grows(reader, index):
    radius = reader.objects[index].radius
    return radius[-1] > 1.15 * radius[0]


def orbits(reader, index):
    course = reader.course(index)
    x, y = (course - (course.max(axis=0) + course.min(axis=0)) / 2).T
    distance = np.hypot(x, y)
    if distance.mean() < 0.03 or distance.std() > 0.15 * distance.mean():
        return False
    return np.ptp(np.unwrap(np.arctan2(y, x))) > np.deg2rad(200)


def bounces(reader, index):
    course, radius = reader.course(index), reader.objects[index].radius[0] / reader.side
    for axis, far in enumerate(reader.limits / reader.side):
        for way in (course[:, axis], far - course[:, axis]):
            nearest = way.min()
            if abs(nearest - radius) < 0.03 and min(way[0], way[-1]) > nearest + 0.02:
                return True
    return False


def appears(reader, index):
    return not reader.objects[index].present[0]


def enters(reader, index, wall=None):
    item = reader.objects[index]
    if not item.present[0]:
        return False
    x, y = item.centre[0]
    width, height = reader.limits
    outside = {"left": -x, "right": x - width, "top": -y, "bottom": y - height}
    return max(outside.values()) > item.radius[0] and (wall is None or outside[wall] > 0)


def backwards(rule):
    """The rule for the clip played from its end."""

    def turned(reader, index, *words):
        return rule(Reader(reversed_in_time(reader.objects), *reader.limits[::-1]), index, *words)

    return turned


def reversed_in_time(objects):
    arrays = ("centre", "radius", "angle", "present")
    return [replace(item, **{name: getattr(item, name)[::-1] for name in arrays}) for item in objects]


# What may follow "the circle" or "the circle that"; "V(a|b|c)" are forms of a verb.
DIRECTION = r"(?:to the )?(left|right|up|down)(?:wards)?"
MOVE = r"(?:moving|going|moves|goes|move|go|(?:is|are) (?:moving|going))"
STATEMENTS: list[tuple[str, Callable]] = [
    (rf"{MOVE} {DIRECTION}", goes),
    (rf"{MOVE} (?:to the )?(left|right|up|down) and then (?:back|(?:to the )?(?:left|right|up|down))", turns),
    (r"(?:is|are|standing|staying|stays?|stands?) still|(?:staying|stays?) in place", still),
    (r"(?:is|are|do|does) not mov(?:e|ing)", still),
    (r"moves?|(?:is |are )?moving", moves),
    (r"turn(?:ing|s)? (?:back|around)|revers(?:ing|e|es) direction|changes? direction and comes? back", turns_back),
    (r"stop(?:ping|s)?(?: moving)?|moves? and then stops?|comes? to a stop", stops),
    (r"(?:start(?:ing|s)?|begins?) to move|starts? moving|waits? and then moves?", backwards(stops)),
    (r"speed(?:ing|s)? up|(?:gets?|getting|becomes?) faster|accelerat(?:ing|es?)", gets_faster),
    (r"slow(?:ing|s)? down|(?:gets?|getting|becomes?) slower|decelerat(?:ing|es?)", backwards(gets_faster)),
    (r"(?:is |are )?(?:rotat(?:ing|es?)|spin(?:ning|s)?)|turn(?:ing|s)? on the spot", rotates),
    (r"(?:rotat(?:ing|es?)|spin(?:ning|s)?|turn(?:ing|s)?) (clockwise|counterclockwise)", rotates),
    (r"(?:is |are )?grow(?:ing|s)?|(?:gets?|getting|becomes?) bigger", grows),
    (r"(?:is |are )?shrink(?:ing|s)?|(?:gets?|getting|becomes?) smaller", backwards(grows)),
    (r"mov(?:ing|es?) in a circle|go(?:ing|es)? round in circles|circl(?:ing|es?)|orbit(?:ing|s)?", orbits),
    (r"bounc(?:ing|es?)(?: off the (?:edge|wall))?", bounces),
    (r"appear(?:ing|s)?(?: late)?|shows? up late|(?:is|are) not there at the start", appears),
    (r"disappear(?:ing|s)?(?: early)?|vanish(?:es)? early|(?:is|are) not there at the end", backwards(appears)),
    (r"enter(?:ing|s)? the frame|com(?:ing|es?) into view", enters),
    (r"leav(?:ing|es?) the frame|go(?:ing|es)? out of view", backwards(enters)),
    (r"(?:enter(?:ing|s)?|com(?:ing|es?) in) from the (left|right|top|bottom)", enters),
    (r"(?:leav(?:ing|es?)|go(?:ing|es)? out) at the (left|right|top|bottom)", backwards(enters)),
]


def _stating(rule: Callable) -> Callable:
    """Objects of the noun phrase for which the rule holds, given the words that its pattern caught."""

    def meaning(reader, match):
        words = match.groups()[len(re.compile(NOUN).groupindex) :]
        return [index for index in reader.noun(match) if rule(reader, index, *words)]

    return meaning


# Comparison.


def _most(value: Callable) -> Callable:
    """The object of the noun phrase with the largest value."""

    def meaning(reader, match):
        chosen = reader.noun(match)
        return [max(chosen, key=lambda index: value(reader, index))]

    return meaning


def _size(reader, index):
    return reader.objects[index].radius.mean()


def _speed(reader, index):
    return _length(reader, index).mean()


def _first_place(reader, match):
    """Leftmost and its like, which must be the same object at all the times of the sentence."""
    side = next(word for word in re.findall(r"\w+", match["place"]) if word != "the" and word != "at" and word != "on")
    side = {"highest": "top", "lowest": "bottom"}.get(side, side.removesuffix("most"))
    axis, sign = AXES[side]
    chosen = reader.noun(match)
    ways = np.stack([sign * reader.at(index, match["when"])[:, axis] for index in chosen])
    best = set(ways.argmax(axis=0))
    assert len(best) == 1
    return [chosen[best.pop()]]


def _beside(reader, match):
    side = {"above": "up", "below": "down"}.get(match["side"], match["side"])
    axis, sign = AXES[side]
    mark = reader.at(reader.anchor(match["anchor"]), match["when"])[:, axis]
    ways = {i: sign * (reader.at(i, match["when"])[:, axis] - mark) for i in reader.noun(match)}
    assert all((way > 0.05).all() or (way < 0).all() for way in ways.values())
    return [index for index, way in ways.items() if (way > 0).all()]


def _closest(reader, match):
    mark = reader.at(reader.anchor(match["anchor"]), match["when"])
    chosen = reader.noun(match)
    far = np.stack([np.linalg.norm(reader.at(i, match["when"]) - mark, axis=1) for i in chosen])
    best = set(far.argmin(axis=0))
    assert len(best) == 1
    return [chosen[best.pop()]]


def _event(reader, index, verb):
    """The frame in which it happens."""
    present = reader.objects[index].present
    if verb.startswith("appear"):
        assert not present[0]
        return np.flatnonzero(present)[0]
    if verb.startswith("disappear"):
        assert not present[-1]
        return np.flatnonzero(present)[-1]
    moving = np.flatnonzero(_length(reader, index) > 0.002)
    if verb.startswith("stop"):
        assert stops(reader, index)
        return moving[-1]
    assert backwards(stops)(reader, index)
    return moving[0]


def _in_order(reader, match):
    ranked = sorted(reader.noun(match), key=lambda index: _event(reader, index, match["verb"]))
    assert len(ranked) >= 2
    return [ranked[{"first": 0, "second": 1, "last": -1}[match["rank"]]]]


def _before(reader, match):
    mark = _event(reader, reader.anchor(match["anchor"]), match["verb"])
    sign = 1 if match["relation"] == "before" else -1
    return [i for i in reader.noun(match) if sign * _event(reader, i, match["verb"]) < sign * mark]


def _pair(reader, match):
    return [*reader.noun(match), reader.anchor(match["anchor"])]


NUMBER = "two|three|four|five|six"
START = rf"(?:the|an?|every|both|all|all the|(?:the|all) (?:{NUMBER}))"
EVENT = r"(?P<verb>(?:dis)?appears?|(?:stops?|starts?)(?: moving| to move)?)"
PLACE = r"(?:left|right|top|bottom)most|highest|lowest"


def _that_is(reader, match):
    return reader.noun(re.fullmatch(NOUN, f"{match['tint']} {match['kind']}"))


PATTERNS: list[tuple[str, Callable]] = [
    (rf"(?:{START} )?{NOUN}(?: in the video)?", Reader.noun),
    (rf"the (?P<kind>{SHAPES}) that is (?P<tint>{COLOURS})", _that_is),
    (rf"the moving {NOUN}", _stating(moves)),
    *((rf"{START} {NOUN} (?:that |which |that is )?(?:{words})", _stating(rule)) for words, rule in STATEMENTS),
    (rf"the (?:larger|bigger|largest|biggest) (?:of the two )?{NOUN}", _most(_size)),
    (rf"the {NOUN} that is the largest", _most(_size)),
    (rf"the (?:smaller|smallest|tiniest) (?:of the two )?{NOUN}", _most(lambda r, i: -_size(r, i))),
    (rf"the {NOUN} that is the smallest", _most(lambda r, i: -_size(r, i))),
    (rf"the (?:faster|fastest) (?:of the two )?{NOUN}", _most(_speed)),
    (rf"the {NOUN} (?:that moves|moving) (?:fastest|faster)", _most(_speed)),
    (rf"the (?:slower|slowest) (?:of the two )?{NOUN}", _most(lambda r, i: -_speed(r, i))),
    (rf"the {NOUN} (?:that moves|moving) (?:slowest|slower)", _most(lambda r, i: -_speed(r, i))),
    (rf"the (?P<place>{PLACE}) {NOUN}{WHEN}", _first_place),
    (rf"the {NOUN} (?P<place>on the (?:left|right)|at the (?:top|bottom)){WHEN}", _first_place),
    (rf"the {NOUN} (?:that is )?(?:to the )?(?P<side>left|right) of the (?P<anchor>.+?){WHEN}", _beside),
    (rf"the {NOUN} (?:that is )?(?P<side>above|below) the (?P<anchor>.+?){WHEN}", _beside),
    (rf"the {NOUN} (?:closest|nearest) to the (?P<anchor>.+?){WHEN}", _closest),
    (rf"the (?P<rank>first|second|last) {NOUN} to {EVENT}", _in_order),
    (rf"the {NOUN} (?:that|which) {EVENT} (?P<rank>first|second|last)", _in_order),
    (rf"the {NOUN} that {EVENT} (?P<relation>before|after) the (?P<anchor>.+)", _before),
    (rf"the {NOUN} and the (?P<anchor>.+)", _pair),
]

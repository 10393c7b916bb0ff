# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Expressions of MovingShapes: statements about a scene, the objects they are true of, and the words for them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np

from .moving_shapes_facts import FALSE, TRUE, UNKNOWN, event_frames, leading, mean_speeds, motion_facts
from .moving_shapes_scene import (
    COLOURS,
    DIRECTIONS,
    HELD_OUT_COMBINATIONS,
    ORDER_EVENTS,
    SHAPES,
    TEXTURES,
    MovingShapesObject,
    Scene,
    draw,
    draw_index,
)
from .moving_shapes_words import (
    BEFORE_TEMPLATE,
    EVENT_VERBS,
    GENERIC_NOUNS,
    MOTION_PHRASES,
    NUMBERS,
    ORDER_TEMPLATES,
    RELATION_TEMPLATES,
    SUPERLATIVE_TEMPLATES,
)

KINDS = ("static", "relation", "motion", "order", "several", "none")
MOTION_KINDS = ("motion", "order")
OPPOSITES = {
    "left": "right", "right": "left", "up": "down", "down": "up",
    "turn_left": "turn_right", "turn_right": "turn_left", "turn_up": "turn_down", "turn_down": "turn_up",
}  # fmt: skip


@dataclass(frozen=True)
class MovingShapesExpression:
    """A sentence and the objects it means.

    Attributes:
        text: the sentence, in lower case.
        kind: one of `KINDS`; "none" has no target.
        targets: ids of exactly the objects that the sentence is true of, ascending.
        family: what the sentence rests on, such as "same_colour" (static), "left" (motion) or "absent_shape" (none).
        num_lookalikes: objects equal to the target in all static attributes, itself included; 0 without a target,
            and for several targets the number of objects that their noun phrase is true of.
        reversed_targets: what the sentence means when left is exchanged with right and up with down, for motion
            sentences with a direction; None where that has no clear answer.
    """

    text: str
    kind: str
    targets: tuple[int, ...]
    family: str
    num_lookalikes: int = 0
    reversed_targets: tuple[int, ...] | None = None


@dataclass(frozen=True)
class NounPhrase:
    """Static attributes; None stands for any."""

    shape: str | None = None
    colour: str | None = None
    size: str | None = None
    texture: str | None = None

    def words(self, noun: str = "object", plural: bool = False) -> str:
        """Such as "small striped red circle"; `noun` where the shape is not named."""
        head = self.shape or noun
        if plural:
            head += "es" if head == "cross" else "s"
        return " ".join(word for word in (self.size, self.texture, self.colour, head) if word)

    @property
    def combination(self) -> tuple[str | None, str | None]:
        return (self.colour, self.shape)


@dataclass(frozen=True)
class _Candidate:
    """A statement whose truth is settled; the words are chosen when it is taken."""

    kind: str
    family: str
    targets: tuple[int, ...]
    phrase: NounPhrase
    templates: tuple[str, ...]
    extra: dict[str, str]
    weight: float = 1.0
    num_lookalikes: int = 0
    reversed_targets: tuple[int, ...] | None = None


class SceneReader:
    """Finds the expressions of one scene.

    Args:
        scene: the scene.
        held_out: whether sentences may name the held-out combinations of colour and shape; then all of them do, or
            mean an object of such a combination.
    """

    def __init__(self, scene: Scene, held_out: bool = False) -> None:
        self.scene = scene
        self.held_out = held_out
        self.objects = scene.objects
        self.facts = motion_facts(scene)
        self.alike = np.array([[a.appearance == b.appearance for b in self.objects] for a in self.objects])
        side = min(scene.height, scene.width)
        self.places = np.stack([item.centre for item in self.objects]) / side
        self.diameters = np.stack([2 * item.radius / side for item in self.objects])

    # Which objects a noun phrase is true of.

    def truth(self, phrase: NounPhrase) -> np.ndarray:
        """Int8 (objects,): `TRUE`, `FALSE` or, for sizes, `UNKNOWN`."""
        facts = np.array(
            [
                (phrase.shape in (None, o.shape))
                and (phrase.colour in (None, o.colour))
                and (phrase.texture in (None, o.texture))
                for o in self.objects
            ]
        ).astype(np.int8)
        if phrase.size is not None:
            facts = self._with_size(phrase.size, facts)
        return facts

    def _with_size(self, size: str, facts: np.ndarray) -> np.ndarray:
        """Narrow down by "small" or "large", which are taken alone and beside the others of the noun."""
        chosen = np.flatnonzero(facts == TRUE)
        low, high = self.diameters.min(axis=1), self.diameters.max(axis=1)
        result = facts.copy()
        for index in chosen:
            smaller_than_others = all(high[index] * 1.3 < low[j] for j in chosen if self.objects[j].size != size)
            larger_than_others = all(low[index] > 1.3 * high[j] for j in chosen if self.objects[j].size != size)
            steady = high[index] < 1.05 * low[index]
            if size == "small":
                yes = steady and high[index] <= 0.165 and smaller_than_others
                no = low[index] >= 0.25
            else:
                yes = steady and low[index] >= 0.25 and larger_than_others
                no = high[index] <= 0.165
            result[index] = TRUE if yes else FALSE if no else UNKNOWN
        return result

    def noun_phrases(self) -> list[tuple[NounPhrase, float]]:
        """Noun phrases that are true of some object, with weights."""
        found: dict[NounPhrase, float] = {NounPhrase(): 0.5}
        for o in self.objects:
            found.setdefault(NounPhrase(o.shape, o.colour), 3.0)
            found.setdefault(NounPhrase(o.shape), 1.2)
            found.setdefault(NounPhrase(None, o.colour), 0.6)
            if o.size != "medium":
                found.setdefault(NounPhrase(o.shape, o.colour, o.size), 0.8)
                found.setdefault(NounPhrase(o.shape, None, o.size), 0.4)
            if 2 * o.radius.min() >= 14:
                found.setdefault(NounPhrase(o.shape, o.colour, None, o.texture), 0.5)
                found.setdefault(NounPhrase(o.shape, None, None, o.texture), 0.3)
        return [(phrase, weight) for phrase, weight in found.items() if self._may_say(phrase)]

    def _may_say(self, phrase: NounPhrase) -> bool:
        return self.held_out or phrase.combination not in HELD_OUT_COMBINATIONS

    # Candidates of each kind.

    def candidates(self) -> Iterator[_Candidate]:
        """All statements about the scene that are clearly true or clearly false."""
        phrases = [(phrase, weight, self.truth(phrase)) for phrase, weight in self.noun_phrases()]
        settled = [(p, w, t == TRUE) for p, w, t in phrases if not (t == UNKNOWN).any() and (t == TRUE).any()]
        yield from self._static(settled)
        yield from self._absent()
        yield from self._moving(settled)
        yield from self._superlatives(settled)
        yield from self._relations(settled)
        yield from self._orders(settled)
        yield from self._pairs(settled)

    def _family(self, phrase: NounPhrase, target: int) -> str:
        """What distinguishes the target of a static sentence."""
        if phrase.size:
            return "size"
        if phrase.texture:
            return "texture"
        others = [o for index, o in enumerate(self.objects) if index != target]
        same = any(o.colour == self.objects[target].colour for o in others)
        return "same_colour" if same else "unique_colour"

    def _static(self, settled: list[tuple[NounPhrase, float, np.ndarray]]) -> Iterator[_Candidate]:
        """Sentences without motion: one object, or several by number."""
        for phrase, weight, chosen in settled:
            targets = _ids(chosen)
            if len(targets) == 1:
                templates = ["the {np}"] * 6 + ["a {np}", "{np}"]
                if phrase.shape and phrase.colour and not (phrase.size or phrase.texture):
                    templates += [f"the {phrase.shape} that is {phrase.colour}", "the {np} in the video"]
                if phrase == NounPhrase():
                    continue
                family = self._family(phrase, targets[0])
                yield self._one("static", family, targets, phrase, templates, weight)
            else:
                yield self._many("attributes", targets, phrase, _plural_templates(len(targets)), weight)

    def _moving(self, settled: list[tuple[NounPhrase, float, np.ndarray]]) -> Iterator[_Candidate]:
        """Sentences with a statement about motion."""
        names = list(self.facts)
        facts = np.stack([self.facts[name] for name in names])
        chosen = np.stack([chosen for _, _, chosen in settled])[:, None]
        true = chosen & (facts == TRUE)
        known = ~(chosen & (facts == UNKNOWN)).any(axis=2)
        counts = true.sum(axis=2)
        for row, column in np.argwhere(known).tolist():
            phrase, weight, _ = settled[row]
            name = names[column]
            if counts[row, column]:
                yield from self._moving_one(name, phrase, weight, chosen[row, 0], _ids(true[row, column]))
            elif phrase != NounPhrase():
                weight *= 3.0 if name in DIRECTIONS else 1.0
                yield _Candidate("none", "absent_motion", (), phrase, _motion_templates(name), {}, weight)

    def _moving_one(
        self, name: str, phrase: NounPhrase, weight: float, chosen: np.ndarray, targets: tuple[int, ...]
    ) -> Iterator[_Candidate]:
        """The sentence that a true statement about a noun phrase makes, if it makes one."""
        if len(targets) > 1:
            if len(targets) < chosen.sum():
                yield self._many("motion", targets, phrase, _motion_templates(name, len(targets)), weight)
        elif chosen.sum() == 1:
            if phrase != NounPhrase():
                yield self._one("static", "described", targets, phrase, _motion_templates(name), weight)
        elif self._has_lookalike(targets[0], chosen):
            opposite = self._opposite(name, chosen)
            yield self._one("motion", name, targets, phrase, _motion_templates(name), weight, opposite)

    def _opposite(self, name: str, chosen: np.ndarray) -> tuple[int, ...] | None:
        """What the sentence with the opposite direction is true of."""
        if name not in OPPOSITES:
            return None
        true = self._apply(chosen, self.facts[OPPOSITES[name]])
        return None if true is None else _ids(true)

    @staticmethod
    def _apply(chosen: np.ndarray, facts: np.ndarray) -> np.ndarray | None:
        """Bool (objects,): chosen and true; None if that is unknown of any."""
        if (facts[chosen] == UNKNOWN).any():
            return None
        return chosen & (facts == TRUE)

    def _has_lookalike(self, target: int, chosen: np.ndarray) -> bool:
        return bool((self.alike[target] & chosen).sum() >= 2)

    def _superlatives(self, settled: list[tuple[NounPhrase, float, np.ndarray]]) -> Iterator[_Candidate]:
        """The largest and the smallest, the fastest and the slowest of a noun."""
        speeds = mean_speeds(self.scene)
        low, high = np.log(self.diameters.min(axis=1)), np.log(self.diameters.max(axis=1))
        for phrase, weight, chosen in settled:
            if phrase.size or chosen.sum() < 2:
                continue
            two = chosen.sum() == 2
            if (high - low)[chosen].max() < 0.05:
                for stem, values in (("larg", low), ("small", -high)):
                    true = leading(values[:, None], chosen, 0.28)
                    if true is not None:
                        words = _comparison(stem, two)
                        yield self._one("static", "superlative", _ids(true), phrase, words, 0.5 * weight)
            if np.isfinite(speeds[chosen]).all() and speeds[chosen].min() > 0.008:
                for stem, sign in (("fast", 1), ("slow", -1)):
                    true = leading(sign * np.log(np.maximum(speeds, 1e-6))[:, None], chosen, 0.33)
                    if true is not None and self._has_lookalike(_ids(true)[0], chosen):
                        words = _comparison(stem, two)
                        yield self._one("motion", f"{stem}est", _ids(true), phrase, words, weight)

    def _anchors(self, settled: list[tuple[NounPhrase, float, np.ndarray]]) -> list[tuple[int, str]]:
        """Objects that a colour and a shape, or a shape alone, name without doubt."""
        named: dict[int, str] = {}
        for phrase, _, chosen in settled:
            if chosen.sum() == 1 and phrase.shape and not (phrase.size or phrase.texture):
                # The shape alone is the later and shorter name.
                named[int(chosen.argmax())] = "the " + phrase.words()
        return list(named.items())

    def _relations(self, settled: list[tuple[NounPhrase, float, np.ndarray]]) -> Iterator[_Candidate]:
        """Where an object is, beside another one or among its like: all the time, at the start or at the end."""
        simple = [(p, w, c) for p, w, c in settled if not (p.size or p.texture)]
        anchors = self._anchors(settled)
        parts = {"": slice(None), " at the start": slice(0, 1), " at the end": slice(-1, None)}
        for when, part in parts.items():
            places = self.places[:, part]
            seen = np.array([self._in_frame(item, part) for item in self.objects])
            beside = [(anchor, words, _beside(places, anchor)) for anchor, words in anchors if seen[anchor]]
            for phrase, weight, chosen in simple:
                if not seen[chosen].all():
                    continue
                for name, true in _outermost(places, chosen):
                    yield from self._relation(name, phrase, 0.7 * weight, chosen, true, {"when": when})
                for anchor, words, facts in beside:
                    if chosen[anchor]:
                        continue
                    extra = {"when": when, "anchor": words}
                    distance = np.log(np.linalg.norm(places - places[anchor], axis=-1) + 1e-9)
                    found = {name: self._apply(chosen, fact) for name, fact in facts.items()}
                    found["closest"] = leading(-distance, chosen, 0.35)
                    for name, answer in found.items():
                        if answer is not None:
                            yield from self._relation(name, phrase, 0.6 * weight, chosen, answer, extra)

    def _in_frame(self, item: MovingShapesObject, part: slice) -> bool:
        """Whether the object is present and its centre in the frame in all these frames."""
        inside = (item.centre[part] > 0) & (item.centre[part] < [self.scene.width, self.scene.height])
        return bool(item.present[part].all() and inside.all())

    def _relation(
        self,
        name: str,
        phrase: NounPhrase,
        weight: float,
        chosen: np.ndarray,
        true: np.ndarray,
        extra: dict[str, str],
    ) -> Iterator[_Candidate]:
        templates, targets = RELATION_TEMPLATES[name], _ids(true)
        if len(targets) == 1:
            weight *= 1.0 if chosen.sum() > 1 else 0.25
            yield self._one("relation", name, targets, phrase, templates, weight, None, extra)
        elif not targets and phrase != NounPhrase():
            yield _Candidate("none", "absent_relation", (), phrase, templates, extra, 0.5 * weight)

    def _orders(self, settled: list[tuple[NounPhrase, float, np.ndarray]]) -> Iterator[_Candidate]:
        """Which of several look-alikes comes first, second or last, and what happens before or after."""
        anchors = self._anchors(settled)
        for event in ORDER_EVENTS:
            frames = event_frames(self.scene, event, self.facts)
            if np.isfinite(frames).sum() < 2:
                continue
            for phrase, weight, chosen in settled:
                if not np.isfinite(frames[chosen]).all():
                    continue
                if chosen.sum() >= 2:
                    yield from self._ranks(event, frames, phrase, weight, chosen)
                for anchor, words in anchors:
                    if np.isfinite(frames[anchor]) and not chosen[anchor]:
                        yield from self._before(event, frames, phrase, weight, chosen, anchor, words)

    def _ranks(
        self, event: str, frames: np.ndarray, phrase: NounPhrase, weight: float, chosen: np.ndarray
    ) -> Iterator[_Candidate]:
        order = np.flatnonzero(chosen)[np.argsort(frames[chosen])]
        if np.diff(frames[order]).min() < 2:
            return
        ranks = {"first": order[0], "last": order[-1]} | ({"second": order[1]} if len(order) == 3 else {})
        for rank, target in ranks.items():
            if self._has_lookalike(int(target), chosen):
                for verb, verbs in EVENT_VERBS[event]:
                    extra = {"rank": rank, "verb": verb, "verbs": verbs}
                    targets = (int(target),)
                    yield self._one("order", f"{event}_{rank}", targets, phrase, ORDER_TEMPLATES, weight, None, extra)

    def _before(
        self,
        event: str,
        frames: np.ndarray,
        phrase: NounPhrase,
        weight: float,
        chosen: np.ndarray,
        anchor: int,
        words: str,
    ) -> Iterator[_Candidate]:
        ahead = frames[anchor] - frames
        for relation, sign in (("before", 1), ("after", -1)):
            facts = np.where(sign * ahead >= 2, TRUE, np.where(sign * ahead <= -2, FALSE, UNKNOWN))
            true = self._apply(chosen, facts)
            if true is None or true.sum() != 1 or not self._has_lookalike(_ids(true)[0], chosen):
                continue
            verb, verbs = EVENT_VERBS[event][0]
            extra = {"verb": verb, "verbs": verbs, "relation": relation, "anchor": words}
            family = f"{event}_{relation}"
            yield self._one("order", family, _ids(true), phrase, (BEFORE_TEMPLATE,), weight, None, extra)

    def _pairs(self, settled: list[tuple[NounPhrase, float, np.ndarray]]) -> Iterator[_Candidate]:
        """ "The red circle and the blue square"."""
        single = [(p, c) for p, _, c in settled if c.sum() == 1 and p.shape and not (p.size or p.texture)]
        for (first, one), (second, two) in product(single, single):
            if not (one & two).any() and (first.colour is None) == (second.colour is None):
                template = "the {np} and the " + second.words()
                yield self._many("pair", _ids(one | two), first, (template,), 0.5)

    def _absent(self) -> Iterator[_Candidate]:
        """Noun phrases that are true of nothing here."""
        colours, shapes = {o.colour for o in self.objects}, {o.shape for o in self.objects}
        pairs = {(o.colour, o.shape) for o in self.objects}
        for colour, shape in product(COLOURS, SHAPES):
            phrase = NounPhrase(shape, colour)
            if (colour, shape) in pairs or not self._may_say(phrase):
                continue
            # Rare among all pairs, and the ones that are hard to refuse.
            if colour in colours:
                yield self._none("absent_shape", phrase, 4.0)
            else:
                yield self._none("absent_colour", phrase, 0.8 if shape in shapes else 0.12)
        for shape in SHAPES:
            if shape not in shapes:
                yield self._none("absent_shape", NounPhrase(shape), 0.8)
        for colour in COLOURS:
            if colour not in colours:
                yield self._none("absent_colour", NounPhrase(None, colour), 0.15)
        for o in self.objects:
            yield from self._absent_details(NounPhrase(o.shape, o.colour))

    def _absent_details(self, phrase: NounPhrase) -> Iterator[_Candidate]:
        """The right colour and shape, but of another size or texture."""
        if not self._may_say(phrase):
            return
        for size in ("small", "large"):
            if (self.truth(replace(phrase, size=size)) == FALSE).all():
                yield self._none("absent_size", replace(phrase, size=size), 1.5)
        large_enough = all(2 * o.radius.min() >= 14 for o in self.objects)
        for texture in TEXTURES[1:]:
            if large_enough and (self.truth(replace(phrase, texture=texture)) == FALSE).all():
                yield self._none("absent_texture", replace(phrase, texture=texture), 0.7)

    # Building candidates.

    def _one(
        self,
        kind: str,
        family: str,
        targets: tuple[int, ...],
        phrase: NounPhrase,
        templates: Sequence[str],
        weight: float,
        opposite: tuple[int, ...] | None = None,
        extra: dict[str, str] | None = None,
    ) -> _Candidate:
        count = int(self.alike[targets[0]].sum())
        return _Candidate(kind, family, targets, phrase, tuple(templates), extra or {}, weight, count, opposite)

    def _many(
        self, family: str, targets: tuple[int, ...], phrase: NounPhrase, templates: Sequence[str], weight: float
    ) -> _Candidate:
        count = int((self.truth(phrase) == TRUE).sum())
        return _Candidate("several", family, targets, phrase, tuple(templates), {}, weight, count)

    @staticmethod
    def _none(family: str, phrase: NounPhrase, weight: float) -> _Candidate:
        return _Candidate("none", family, (), phrase, ("the {np}",) * 5 + ("a {np}", "{np}"), {}, weight)

    def fits_split(self, candidate: _Candidate) -> bool:
        """With held-out combinations: whether the sentence is about one."""
        if not self.held_out:
            return True
        return candidate.phrase.combination in HELD_OUT_COMBINATIONS or any(
            (self.objects[index].colour, self.objects[index].shape) in HELD_OUT_COMBINATIONS
            for index in candidate.targets
        )


def _outermost(places: np.ndarray, chosen: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Leftmost and its like, which must hold by a margin in all frames of `places` (objects, frames, 2)."""
    for name, axis, sign in (("leftmost", 0, -1), ("rightmost", 0, 1), ("topmost", 1, -1), ("bottommost", 1, 1)):
        true = leading(sign * places[:, :, axis], chosen, 0.08)
        if true is not None:
            yield name, true


def _beside(places: np.ndarray, anchor: int) -> dict[str, np.ndarray]:
    """Facts (objects,) for left of and its like, which must hold by a margin in all frames of `places`."""
    away = places - places[anchor]
    facts = {}
    for name, axis, sign in (("left_of", 0, -1), ("right_of", 0, 1), ("above", 1, -1), ("below", 1, 1)):
        along, across = sign * away[..., axis], np.abs(away[..., 1 - axis])
        yes = ((along > 0.1) & (along > 0.4 * across)).all(axis=1)
        no = (along < -0.02).all(axis=1)
        facts[name] = np.where(yes, TRUE, np.where(no, FALSE, UNKNOWN))
    return facts


def _ids(chosen: np.ndarray) -> tuple[int, ...]:
    return tuple(index for index, one in enumerate(chosen.tolist()) if one)


def _plural_templates(count: int) -> tuple[str, ...]:
    """Noun phrases for `count` objects."""
    number = NUMBERS[count]
    templates = (f"the {number} {{nps}}", "all {nps}", "all the {nps}", "the {nps}", "every {np}")
    return ("both {nps}", "both {nps}", *templates) if count == 2 else (*templates, f"all {number} {{nps}}")


def _comparison(stem: str, two: bool) -> tuple[str, ...]:
    """The templates of "fastest" for the stem "fast", and of "faster" where there are just two."""
    return (SUPERLATIVE_TEMPLATES[f"{stem}er"] if two else ()) + SUPERLATIVE_TEMPLATES[f"{stem}est"]


@lru_cache
def _motion_templates(name: str, count: int = 1) -> tuple[str, ...]:
    """The templates of a statement about motion for one object or several."""
    phrases = MOTION_PHRASES[name]
    if count == 1:
        templates = [f"the {{np}} {words}" for words in phrases.participles]
        templates += [f"the {{np}} that {words}" for words in phrases.singular]
        templates += [f"the {{np}} which {phrases.singular[0]}", f"the {{np}} that is {phrases.participles[0]}"]
        if name == "moving":
            templates.append("the moving {np}")
        return tuple(templates)
    number = NUMBERS[count]
    starts = [f"the {number} {{nps}}", "all {nps}", "the {nps}"] + (["both {nps}"] if count == 2 else [])
    templates = [f"{start} {words}" for start in starts for words in phrases.participles]
    return tuple(templates + [f"{start} that {words}" for start in starts for words in phrases.plural])


# Choosing: first the kind, then what is said of which objects, then the words.

KIND_WEIGHTS = {"static": 0.3, "relation": 0.1, "motion": 0.5, "order": 0.5, "several": 0.12, "none": 0.22}
# Families without an entry weigh 1.
FAMILY_WEIGHTS = {
    "unique_colour": 2.0,
    "same_colour": 4.0,
    "described": 1.2,
    **{direction: 2.0 for direction in DIRECTIONS},
    "moving": 0.5,
    "rotate": 0.5,
    "pair": 0.5,
    "absent_motion": 4.0,
    "absent_shape": 3.0,
    "absent_colour": 1.5,
}

Pool = dict[tuple[str, tuple[int, ...]], list[_Candidate]]


def describe(
    rng: np.random.Generator, scene: Scene, count: int, kinds: Sequence[str] = KINDS, held_out: bool = False
) -> tuple[MovingShapesExpression, ...]:
    """Draw up to `count` expressions of different meaning or words, of the given kinds."""
    reader = SceneReader(scene, held_out)
    pools: dict[str, Pool] = {}
    for candidate in reader.candidates():
        if candidate.kind in kinds and reader.fits_split(candidate):
            pool = pools.setdefault(candidate.kind, {})
            pool.setdefault((candidate.family, candidate.targets), []).append(candidate)
    taken: dict[str, MovingShapesExpression] = {}
    uses: dict[tuple[str, object], int] = {}
    while len(taken) < count and pools:
        kind = draw(rng, list(pools), [KIND_WEIGHTS[kind] for kind in pools])
        expression = _realise(rng, _take(rng, pools[kind], uses), scene.everyday)
        taken.setdefault(expression.text, expression)
        if not pools[kind]:
            del pools[kind]
    return tuple(taken.values())


def _take(rng: np.random.Generator, pool: Pool, uses: dict[tuple[str, object], int]) -> _Candidate:
    """Take a candidate out of the pool, rather one for targets or a family that had fewer."""
    groups = list(pool)
    weights = [
        FAMILY_WEIGHTS.get(family, 1.0) * 0.3 ** (uses.get(("family", family), 0) + uses.get(("targets", targets), 0))
        for family, targets in groups
    ]
    family, targets = groups[draw_index(rng, weights)]
    group = pool[family, targets]
    candidate = group.pop(draw_index(rng, [candidate.weight for candidate in group]))
    if not group:
        del pool[family, targets]
    for key in (("family", family), ("targets", targets or family)):
        uses[key] = uses.get(key, 0) + 1
    return candidate


def _realise(rng: np.random.Generator, candidate: _Candidate, everyday: bool) -> MovingShapesExpression:
    """Choose the words."""
    templates = candidate.templates[:1] if everyday and rng.random() < 0.4 else candidate.templates
    template = templates[int(rng.integers(len(templates)))]
    # "the red one" reads well, "a one", "every one" and "both ones" do not.
    nouns = GENERIC_NOUNS if "{np}" in template and template.startswith("the") else GENERIC_NOUNS[:2]
    noun = nouns[int(rng.integers(len(nouns)))]
    phrase = candidate.phrase
    text = template.format(np=phrase.words(noun), nps=phrase.words(noun, plural=True), **candidate.extra)
    text = re.sub(r"^a (?=[aeiou])", "an ", text)
    count, opposite = candidate.num_lookalikes, candidate.reversed_targets
    return MovingShapesExpression(text, candidate.kind, candidate.targets, candidate.family, count, opposite)

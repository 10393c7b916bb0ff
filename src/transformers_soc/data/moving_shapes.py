# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""MovingShapes: a procedural dataset of short videos, sentences about their objects, and exact masks.

A clip is a function of its split, index and seed and of the options that restrict it. Frames of a table are names such
as "moving-shapes:test/0/17#3", which `render_frames` turns into pixels; options that are not the default stand between
the index and the frame: "moving-shapes:train/0/17?num_frames=8&plain=1#3".
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import numpy as np

from ..video_io import masks_to_rle
from .moving_shapes_language import KINDS, MovingShapesExpression, describe
from .moving_shapes_render import Sprite, draw_sprite, paint, visible_masks
from .moving_shapes_scene import (
    EVENT_FRAMES,
    MOTIONS,
    ORDER_EVENTS,
    SCENE_TYPES,
    SIZES,
    MovingShapesObject,
    Scene,
    SceneLimits,
    sample_scene,
)

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

PREFIX = "moving-shapes:"
SPLITS = ("train", "validation", "test", "test_compositional")
SIDES = (64, 96, 128, 160, 192, 256)
SIDE_WEIGHTS = (0.28, 0.14, 0.26, 0.1, 0.08, 0.14)
MIN_FRAMES, MAX_FRAMES = 4, 16
MIN_SIDE, MAX_SIDE = 48, 512
SCENE_ATTEMPTS = 200
CHUNK = 64  # videos of one piece of a table
# Which scenes give sentences of a kind.
SCENE_TYPES_OF_KIND = {
    "static": ("everyday", "static"),
    "relation": ("static", "motion"),
    "motion": ("motion",),
    "order": ("order",),
    "several": ("static", "motion"),
    "none": SCENE_TYPES,
}


@dataclass(frozen=True)
class MovingShapesOptions:
    """What a clip is restricted to; None and the full ranges leave it to the clip's own draw.

    Attributes:
        kinds: kinds of expressions.
        motions: motions that objects may have.
        sizes: words for the sizes of objects.
        num_frames: 4 to 16.
        height, width: of the frame in pixels; one of them alone gives a square.
        num_objects: the fewest and the most objects, within 2 to 6.
        num_expressions: the most expressions of a clip.
        plain: only plain backgrounds, without a pattern.
    """

    kinds: tuple[str, ...] = KINDS
    motions: tuple[str, ...] = MOTIONS
    sizes: tuple[str, ...] = SIZES
    num_frames: int | None = None
    height: int | None = None
    width: int | None = None
    num_objects: tuple[int, int] = (2, 6)
    num_expressions: int = 8
    plain: bool = False

    def __post_init__(self) -> None:
        for name, known in (("kinds", KINDS), ("motions", MOTIONS), ("sizes", SIZES)):
            given = getattr(self, name)
            object.__setattr__(self, name, tuple(word for word in known if word in given))
            if not given or set(given) - set(known):
                raise ValueError(f"{name} must be some of {', '.join(known)}, got {given!r}")
        object.__setattr__(self, "num_objects", tuple(self.num_objects))
        self._check_range("num_frames", self.num_frames, MIN_FRAMES, MAX_FRAMES)
        self._check_range("height", self.height, MIN_SIDE, MAX_SIDE)
        self._check_range("width", self.width, MIN_SIDE, MAX_SIDE)
        self._check_range("num_expressions", self.num_expressions, 1, 100)
        least, most = self.num_objects
        if not 2 <= least <= most <= 6:
            raise ValueError(f"num_objects must be two numbers within 2 to 6, got {self.num_objects}")
        if self.kinds == ("order",) and not set(ORDER_EVENTS).intersection(self.motions):
            raise ValueError(f"sentences about order need one of the motions {', '.join(ORDER_EVENTS)}")
        if self.kinds == ("order",) and self.num_frames is not None and self.num_frames < EVENT_FRAMES:
            raise ValueError(f"sentences about order need at least {EVENT_FRAMES} frames, got {self.num_frames}")

    @staticmethod
    def _check_range(name: str, value: int | None, low: int, high: int) -> None:
        if value is not None and not low <= value <= high:
            raise ValueError(f"{name} must lie within {low} to {high}, got {value}")

    def query(self) -> str:
        """The options that are not the default, as they stand in frame names."""
        changed = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if value != item.default:
                changed[item.name] = "-".join(map(str, value)) if isinstance(value, tuple) else str(int(value))
        return urlencode(changed)

    @classmethod
    def from_query(cls, query: str) -> "MovingShapesOptions":
        """The inverse of `query`."""
        values: dict[str, Any] = {}
        for name, text in parse_qsl(query, strict_parsing=bool(query)):
            if name in ("kinds", "motions", "sizes"):
                values[name] = tuple(text.split("-"))
            elif name == "num_objects":
                values[name] = tuple(int(number) for number in text.split("-"))
            else:
                values[name] = bool(int(text)) if name == "plain" else int(text)
        return cls(**values)


@dataclass(frozen=True)
class MovingShapesClip:
    """A rendered clip with all that is known of it.

    Attributes:
        split, index, seed: which clip it is.
        frames: uint8 (frames, height, width, 3).
        masks: bool (objects, frames, height, width), the visible pixels of each object.
        objects: their attributes and paths, by id.
        expressions: sentences with their targets.
        scene_type: "everyday", "static", "motion" or "order".
    """

    split: str
    index: int
    seed: int
    frames: np.ndarray
    masks: np.ndarray
    objects: tuple[MovingShapesObject, ...]
    expressions: tuple[MovingShapesExpression, ...]
    scene_type: str

    def target_mask(self, expression: MovingShapesExpression) -> np.ndarray:
        """Bool (frames, height, width): the union of the targets, empty without any."""
        return np.logical_or.reduce(self.masks[list(expression.targets)], axis=0)

    def label_map(self) -> np.ndarray:
        """Uint8 (frames, height, width): 0 for the ground, 1 more than the id for an object."""
        numbers = np.arange(1, len(self.objects) + 1, dtype=np.uint8)[:, None, None, None]
        return (self.masks * numbers).max(axis=0)


@dataclass(frozen=True)
class _Composition:
    """A clip without its colours: enough for masks and sentences."""

    scene: Scene
    sprites: list[Sprite]
    order: np.ndarray
    masks: np.ndarray
    expressions: tuple[MovingShapesExpression, ...]
    paint_rng: np.random.Generator


def render_clip(split: str, index: int, seed: int = 0, **options: Any) -> MovingShapesClip:
    """Render one clip.

    Args:
        split: one of `SPLITS`; their clips are disjoint, and "test_compositional" is about combinations of colour and
            shape (`HELD_OUT_COMBINATIONS`) that occur in no other split.
        index, seed: any numbers from 0.
        options: the fields of `MovingShapesOptions`.

    Raises:
        ValueError: an unknown split, a negative number, or options out of range or that leave nothing to say.
    """
    return _render(split, index, seed, MovingShapesOptions(**options))


def _render(split: str, index: int, seed: int, options: MovingShapesOptions) -> MovingShapesClip:
    parts = _compose(split, index, seed, options)
    frames = paint(parts.paint_rng, parts.scene, parts.sprites, parts.order, options.plain or parts.scene.everyday)
    objects, expressions = parts.scene.objects, parts.expressions
    return MovingShapesClip(split, index, seed, frames, parts.masks, objects, expressions, parts.scene.scene_type)


def _compose(split: str, index: int, seed: int, options: MovingShapesOptions) -> _Composition:
    """Draw scenes until one has an expression of the wanted kinds."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if index < 0 or seed < 0:
        raise ValueError(f"index and seed must not be negative, got {index} and {seed}")
    entropy = np.random.SeedSequence([SPLITS.index(split), seed, index])
    rng, paint_rng = (np.random.default_rng(child) for child in entropy.spawn(2))
    held_out = split == "test_compositional"
    for _ in range(SCENE_ATTEMPTS):
        scene = sample_scene(rng, _limits(rng, split, options))
        if scene is None:
            continue
        sprites = [draw_sprite(item) for item in scene.objects]
        order = rng.permutation(len(sprites))
        masks = visible_masks(scene, sprites, order)
        if not _all_seen(masks, scene):
            continue
        expressions = describe(rng, scene, options.num_expressions, options.kinds, held_out)
        if expressions:
            return _Composition(scene, sprites, order, masks, expressions, paint_rng)
    raise ValueError(f"no clip with an expression of {', '.join(options.kinds)} was found within {options}")


def _all_seen(masks: np.ndarray, scene: Scene) -> bool:
    """Whether every object can be seen in half of the frames in which it is present."""
    seen = masks.any(axis=(2, 3)).sum(axis=1)
    present = np.array([item.present.sum() for item in scene.objects])
    return bool((2 * seen >= present).all())


def _limits(rng: np.random.Generator, split: str, options: MovingShapesOptions) -> SceneLimits:
    """Draw the format of a clip as far as the options leave it open."""
    num_frames, height, width = _draw_format(rng, options)
    scene_types = {name for kind in options.kinds for name in SCENE_TYPES_OF_KIND[kind]}
    return SceneLimits(
        num_frames=num_frames,
        height=height,
        width=width,
        scene_types=tuple(name for name in SCENE_TYPES if name in scene_types),
        motions=options.motions,
        sizes=options.sizes,
        num_objects=options.num_objects,
        held_out=split == "test_compositional",
        many_lookalikes=split.startswith("test"),
    )


def _draw_format(rng: np.random.Generator, options: MovingShapesOptions) -> tuple[int, int, int]:
    """Frames, height and width. The draws do not depend on the options, so that these change nothing else."""
    least = EVENT_FRAMES if options.kinds == ("order",) else MIN_FRAMES
    drawn_frames = 8 if rng.random() < 0.3 else int(rng.integers(least, MAX_FRAMES + 1))
    side = SIDES[int(rng.choice(len(SIDES), p=SIDE_WEIGHTS))]
    ratio = (1.0, 4 / 3, 16 / 9)[int(rng.choice(3, p=(0.5, 0.25, 0.25)))]
    other = min(256, 2 * round(side * ratio / 2))
    height, width = (side, other) if rng.random() < 0.7 else (other, side)
    if options.height is not None or options.width is not None:
        height = options.height or options.width  # type: ignore[assignment]
        width = options.width or options.height  # type: ignore[assignment]
    return options.num_frames or drawn_frames, height, width


# Names of frames.


def frame_name(split: str, index: int, frame: int, seed: int = 0, **options: Any) -> str:
    """The name of a frame, which `render_frames` understands."""
    return f"{_clip_name(split, index, seed, MovingShapesOptions(**options))}#{frame}"


def _clip_name(split: str, index: int, seed: int, options: MovingShapesOptions) -> str:
    query = options.query()
    return f"{PREFIX}{split}/{seed}/{index}" + (f"?{query}" if query else "")


def clip_of_name(name: str) -> MovingShapesClip:
    """The whole clip to which the frame of this name belongs; clips asked for lately are kept.

    Raises:
        ValueError: no name of a MovingShapes frame.
    """
    return _clip_of(_split_name(name)[0])


def _split_name(name: str) -> tuple[str, int]:
    """The clip's part of a frame name, and the frame."""
    clip, mark, frame = name.rpartition("#")
    if not (mark and frame.isdecimal() and clip.startswith(PREFIX)):
        raise ValueError(f"{name!r} is no frame of MovingShapes: expected {PREFIX}split/seed/index#frame")
    return clip, int(frame)


@lru_cache(maxsize=8)
def _clip_of(name: str) -> MovingShapesClip:
    place, _, query = name[len(PREFIX) :].partition("?")
    parts = place.split("/")
    if len(parts) != 3 or not (parts[1].isdecimal() and parts[2].isdecimal()):
        raise ValueError(f"{name!r} is no clip of MovingShapes: expected {PREFIX}split/seed/index")
    return _render(parts[0], int(parts[2]), int(parts[1]), MovingShapesOptions.from_query(query))


def render_frames(names: Sequence[str]) -> np.ndarray:
    """Uint8 (frames, height, width, 3): the frames of these names, all of one size.

    Raises:
        ValueError: a name of no MovingShapes frame, a frame that its clip does not have, or frames of several sizes.
    """
    frames = []
    for name in names:
        clip, frame = _split_name(name)
        video = _clip_of(clip).frames
        if frame >= len(video):
            raise ValueError(f"{name!r}: the clip has {len(video)} frames")
        frames.append(video[frame])
    if len({frame.shape for frame in frames}) > 1:
        raise ValueError("the names are of clips of different sizes: render them apart")
    return np.stack(frames)


# Tables.


def load_moving_shapes(
    split: str, num_videos: int, seed: int = 0, streaming: bool = False, **options: Any
) -> "Dataset | IterableDataset":
    """A table in the common schema, with one row for every expression of the clips 0 to `num_videos` - 1.

    Masks are run-length codes in the table; frames are names, which `render_frames` turns into pixels when they are
    needed. `expression_type` is the kind of the expression.

    Args:
        split, seed, options: see `render_clip`.
        num_videos: number of clips.
        streaming: return an `IterableDataset`, which makes its rows as it goes and can be split among workers.

    Raises:
        ValueError: see `render_clip`; or no videos.
    """
    import datasets

    from .schema import COMMON_FEATURES

    choice = MovingShapesOptions(**options)
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if num_videos < 1:
        raise ValueError(f"num_videos must be positive, got {num_videos}")
    pieces = [range(first, min(first + CHUNK, num_videos)) for first in range(0, num_videos, CHUNK)]
    if streaming:
        arguments = {"pieces": pieces, "split": split, "seed": seed, "options": asdict(choice)}
        return datasets.IterableDataset.from_generator(_rows, features=COMMON_FEATURES, gen_kwargs=arguments)
    tables = [
        datasets.Dataset.from_list(list(_rows([piece], split, seed, asdict(choice))), features=COMMON_FEATURES)
        for piece in pieces
    ]
    return datasets.concatenate_datasets(tables)


def _rows(pieces: Iterable[range], split: str, seed: int, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    from .schema import COMMON_FEATURES

    choice = MovingShapesOptions(**options)
    empty = dict.fromkeys(COMMON_FEATURES)
    for piece in pieces:
        for index in piece:
            yield from (empty | row for row in _rows_of_clip(split, index, seed, choice))


def _rows_of_clip(split: str, index: int, seed: int, options: MovingShapesOptions) -> Iterator[dict[str, Any]]:
    """The columns of one clip's rows that are not null, without rendering its colours."""
    parts = _compose(split, index, seed, options)
    num_frames, height, width = parts.masks.shape[1:]
    codes = [masks_to_rle(masks) for masks in parts.masks]
    seen = np.logical_or.reduce(parts.masks, axis=(2, 3))
    name = _clip_name(split, index, seed, options)
    video_id = f"{seed}-{index:06d}"
    for number, expression in enumerate(parts.expressions):
        yield {
            "dataset": "moving_shapes",
            "dataset_version": "v1",
            "split": split,
            "video_id": video_id,
            "expression_id": str(number),
            "expression": expression.text,
            "expression_type": expression.kind,
            "object_ids": [str(target) for target in expression.targets],
            "no_target": not expression.targets,
            "frames": [f"{name}#{frame}" for frame in range(num_frames)],
            "frame_names": [f"{frame:05d}" for frame in range(num_frames)],
            "num_frames": num_frames,
            "height": height,
            "width": width,
            "mask_format": "rle",
            "mask_rles": [
                [codes[target][frame] for target in expression.targets if seen[target, frame]]
                for frame in range(num_frames)
            ],
            "annotated_frame_indices": list(range(num_frames)),
            "sample_id": f"moving_shapes/{split}/{video_id}/{number}",
        }


def expression_of_row(row: dict[str, Any]) -> MovingShapesExpression:
    """What is known of a row's expression beyond the schema: family, look-alikes, the reversed meaning."""
    return clip_of_name(row["frames"][0]).expressions[int(row["expression_id"])]

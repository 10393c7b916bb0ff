# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Scenes of MovingShapes: which objects there are, what they look like and how they move.

Lengths are given in units of the shorter side of the frame until the scene is complete; its objects are in pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
# Several shades of each colour, in RGB; every object adds a little of its own.
COLOUR_SHADES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "red": ((225, 25, 30), (255, 0, 0), (200, 20, 20)),
    "green": ((20, 160, 50), (0, 200, 0), (0, 128, 0), (40, 220, 70)),
    "blue": ((30, 60, 230), (0, 0, 255), (50, 100, 240)),
    "yellow": ((245, 225, 30), (255, 255, 0), (250, 235, 60)),
    "purple": ((130, 30, 180), (128, 0, 128), (150, 60, 210)),
    "orange": ((255, 130, 10), (255, 165, 0), (240, 120, 30)),
    "white": ((250, 250, 250), (255, 255, 255), (235, 235, 235)),
    "pink": ((255, 130, 190), (255, 105, 180), (255, 160, 205)),
    "cyan": ((0, 215, 225), (0, 255, 255), (60, 200, 220)),
    "black": ((12, 12, 15), (0, 0, 0), (24, 24, 24)),
}
COLOURS = tuple(COLOUR_SHADES)
TEXTURES = ("plain", "striped", "dotted")
# Diameters; the gaps between the classes keep the words apart.
SIZE_RANGES = {"small": (0.10, 0.155), "medium": (0.18, 0.22), "large": (0.26, 0.335)}
SIZES = tuple(SIZE_RANGES)
DIRECTIONS = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}
MOTIONS = (
    "still",
    *DIRECTIONS,
    "turn_back",
    "stop",
    "start",
    "speed_up",
    "slow_down",
    "clockwise",
    "counterclockwise",
    "grow",
    "shrink",
    "orbit",
    "bounce",
    "appear",
    "disappear",
    "enter",
    "leave",
)
OPPOSITE_MOTIONS = {
    first: second
    for pair in (
        ("left", "right"),
        ("up", "down"),
        ("stop", "start"),
        ("speed_up", "slow_down"),
        ("clockwise", "counterclockwise"),
        ("grow", "shrink"),
        ("appear", "disappear"),
        ("enter", "leave"),
    )
    for first, second in (pair, pair[::-1])
}
# Motions that a clip of four or five frames can show.
SHORT_MOTIONS = ("still", *DIRECTIONS, "clockwise", "counterclockwise", "grow", "shrink")
ORDER_EVENTS = ("appear", "disappear", "stop", "start")
EVENT_FRAMES = 6  # the fewest frames of a clip with an event in time
ROTATING_SHAPES = ("square", "triangle", "star", "cross")
# Never together in one object of train, validation and test, nor in their sentences; every shape once.
HELD_OUT_COMBINATIONS = (
    ("black", "circle"),
    ("pink", "square"),
    ("purple", "triangle"),
    ("orange", "star"),
    ("white", "cross"),
    ("cyan", "ring"),
)
SCENE_TYPES = ("everyday", "static", "motion", "order")
PLACE_ATTEMPTS = 50
MIN_SPEED, MAX_SPEED = 0.02, 0.10  # a frame
MIN_DIAMETER = 7.3  # pixels; below, the shapes look alike
MIN_DETAILED_DIAMETER = 18.0  # pixels; smaller objects have neither texture nor outline
TEXTURED_SHAPES = ("circle", "square", "triangle", "star", "cross")


@dataclass(frozen=True)
class MovingShapesObject:
    """What is known of one object.

    Attributes:
        shape, colour, size, texture: words of `SHAPES`, `COLOURS`, `SIZES` and `TEXTURES`.
        motion: one of `MOTIONS`.
        rgb: colour in 0..1.
        outlined: whether it has a dark edge.
        centre: float (frames, 2), x and y in pixels; the centre of the first pixel is at 0.5. May lie outside.
        radius: float (frames,), pixels: half the diameter.
        angle: float (frames,), radians, clockwise on the screen.
        present: bool (frames,): false before the object appears and after it disappears.
    """

    shape: str
    colour: str
    size: str
    texture: str
    motion: str
    rgb: tuple[float, float, float]
    outlined: bool
    centre: np.ndarray
    radius: np.ndarray
    angle: np.ndarray
    present: np.ndarray

    @property
    def appearance(self) -> tuple[str, str, str, str, tuple[float, float, float], bool]:
        """What one frame shows: objects of equal appearance are look-alikes."""
        return (self.shape, self.colour, self.size, self.texture, self.rgb, self.outlined)


@dataclass(frozen=True)
class Scene:
    """Objects in a frame of `height` x `width` pixels, in the order of their ids."""

    height: int
    width: int
    objects: tuple[MovingShapesObject, ...]
    scene_type: str
    everyday: bool

    @property
    def num_frames(self) -> int:
        return len(self.objects[0].radius)


@dataclass(frozen=True)
class SceneLimits:
    """What a scene may hold; see `render_clip`."""

    num_frames: int
    height: int
    width: int
    scene_types: tuple[str, ...] = SCENE_TYPES
    motions: tuple[str, ...] = MOTIONS
    sizes: tuple[str, ...] = SIZES
    num_objects: tuple[int, int] = (2, 6)
    held_out: bool = False
    many_lookalikes: bool = False

    @property
    def extent(self) -> np.ndarray:
        """Width and height in units of the shorter side."""
        return np.array([self.width, self.height]) / min(self.height, self.width)


@dataclass(frozen=True)
class Appearance:
    """The static side of an object; the diameter is in units of the shorter side."""

    shape: str
    colour: str
    size: str
    texture: str
    diameter: float
    rgb: tuple[float, float, float]
    outlined: bool
    tilt: float


@dataclass
class Track:
    """A path before it is placed: the centre is `anchor + offset`, with the anchor between `low` and `high`."""

    offset: np.ndarray
    scale: np.ndarray
    angle: np.ndarray
    present: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def reversed_in_time(self) -> "Track":
        return replace(
            self,
            offset=self.offset[::-1].copy(),
            scale=self.scale[::-1].copy(),
            angle=self.angle[::-1].copy(),
            present=self.present[::-1].copy(),
        )


@dataclass(frozen=True)
class MotionRequest:
    """Which motion an object gets; what is None is drawn."""

    motion: str
    speed: float | None = None
    event_frame: int | None = None
    direction: str | None = None


@dataclass
class _Plan:
    """Appearances and motions of a scene; the first `num_lookalikes` objects are equal in appearance."""

    appearances: list[Appearance]
    requests: list[MotionRequest]
    num_lookalikes: int
    everyday: bool = False
    crossing: bool = field(default=False)


def available_motions(limits: SceneLimits, shape: str) -> list[str]:
    """The allowed motions that `shape` can show in a clip of this length."""
    known = MOTIONS if limits.num_frames >= EVENT_FRAMES else SHORT_MOTIONS
    turning = ("clockwise", "counterclockwise")
    return [m for m in known if m in limits.motions and (m not in turning or shape in ROTATING_SHAPES)]


def sample_scene(rng: np.random.Generator, limits: SceneLimits) -> Scene | None:
    """Draw a scene: its type, its objects, and a place for them in which they can be told apart; None without one."""
    weights = {"everyday": 0.17, "static": 0.25, "motion": 0.42, "order": 0.16}
    ordered = limits.num_frames >= EVENT_FRAMES and not set(ORDER_EVENTS).isdisjoint(limits.motions)
    types = [name for name in limits.scene_types if name != "order" or ordered]
    scene_type = draw(rng, types, [weights[name] for name in types])
    for _ in range(PLACE_ATTEMPTS):
        plan = _PLANNERS[scene_type](rng, limits)
        tracks = [_make_track(rng, limits, a, r) for a, r in zip(plan.appearances, plan.requests, strict=True)]
        anchors = _place(rng, limits, plan, tracks)
        if anchors is not None:
            objects = tuple(
                _finish(limits, *parts) for parts in zip(plan.appearances, plan.requests, tracks, anchors, strict=True)
            )
            return Scene(limits.height, limits.width, objects, scene_type, plan.everyday)
    return None


def _finish(
    limits: SceneLimits, look: Appearance, request: MotionRequest, track: Track, anchor: np.ndarray
) -> MovingShapesObject:
    """The object in pixels."""
    side = min(limits.height, limits.width)
    return MovingShapesObject(
        shape=look.shape,
        colour=look.colour,
        size=look.size,
        texture=look.texture,
        motion=request.motion,
        rgb=look.rgb,
        outlined=look.outlined,
        centre=side * (anchor + track.offset),
        radius=side * look.diameter / 2 * track.scale,
        angle=track.angle,
        present=track.present,
    )


# Plans: appearances and motions of the four types of scene.


def draw(rng: np.random.Generator, options: Sequence[str], weights: Sequence[float] | None = None) -> str:
    """One of `options`, by weight."""
    return options[int(rng.integers(len(options))) if weights is None else draw_index(rng, weights)]


def draw_index(rng: np.random.Generator, weights: Sequence[float]) -> int:
    """A place in `weights`, by weight."""
    chance = np.cumsum(weights)
    return min(int(np.searchsorted(chance, rng.random() * chance[-1], side="right")), len(weights) - 1)


def _draw_combination(rng: np.random.Generator, held_out: bool, colour: str | None = None) -> tuple[str, str]:
    """A colour and a shape, one of the held-out combinations or none of them."""
    if held_out:
        return HELD_OUT_COMBINATIONS[int(rng.integers(len(HELD_OUT_COMBINATIONS)))]
    while True:
        pair = (colour or draw(rng, COLOURS), draw(rng, SHAPES))
        if pair not in HELD_OUT_COMBINATIONS:
            return pair


def _draw_appearance(
    rng: np.random.Generator, limits: SceneLimits, combination: tuple[str, str], crowd: int, size: str | None = None
) -> Appearance:
    """An object of this colour and shape, for a scene of `crowd` objects."""
    colour, shape = combination
    side = min(limits.height, limits.width)
    weights = {"small": 0.3, "medium": 0.35, "large": 0.35 if crowd <= 3 else 0.1}
    size = size or draw(rng, limits.sizes, [weights[name] for name in limits.sizes])
    low, high = SIZE_RANGES[size]
    low, high = max(low, MIN_DIAMETER / side), max(high, MIN_DIAMETER / side)
    diameter = float(rng.uniform(low, high))
    detailed = diameter * side >= MIN_DETAILED_DIAMETER
    texture = draw(rng, TEXTURES, (0.62, 0.19, 0.19)) if detailed and shape in TEXTURED_SHAPES else "plain"
    tilted = shape in ROTATING_SHAPES and rng.random() < 0.3
    return Appearance(
        shape=shape,
        colour=colour,
        size=size,
        texture=texture,
        diameter=diameter,
        rgb=_draw_shade(rng, colour),
        outlined=bool(detailed and rng.random() < 0.3),
        tilt=float(rng.uniform(-np.pi, np.pi)) if tilted else 0.0,
    )


def _draw_shade(rng: np.random.Generator, colour: str) -> tuple[float, float, float]:
    """A shade of the colour in RGB, 0..1."""
    shades = COLOUR_SHADES[colour]
    shade = np.array(shades[int(rng.integers(len(shades)))]) / 255
    red, green, blue = np.clip(shade + rng.uniform(-0.035, 0.035, 3), 0, 1)
    return float(red), float(green), float(blue)


def _draw_motion(rng: np.random.Generator, limits: SceneLimits, shape: str, exclude: Sequence[str] = ()) -> str:
    """A motion; the four directions together are as frequent as all others together, as far as they are allowed."""
    motions = [m for m in available_motions(limits, shape) if m not in exclude] or ["still"]
    weights = [3.5 if m in DIRECTIONS else 1.3 if m in ("still", "turn_back", "stop") else 0.9 for m in motions]
    return draw(rng, motions, weights)


def _calm_motion(rng: np.random.Generator, limits: SceneLimits, shape: str) -> str:
    """A motion for scenes that are about looks: often none or a plain direction."""
    calm = [m for m in ("still", *DIRECTIONS) if m in limits.motions]
    return draw(rng, calm) if calm and rng.random() < 0.8 else _draw_motion(rng, limits, shape)


def _crowd(rng: np.random.Generator, limits: SceneLimits, low: int, high: int) -> int:
    """A number of objects between `low` and `high` that the limits allow."""
    least, most = limits.num_objects
    return int(rng.integers(min(max(low, least), most), max(min(high, most), least) + 1))


def _plan_everyday(rng: np.random.Generator, limits: SceneLimits) -> _Plan:
    """Few plain objects that differ in colour and shape."""
    plan = _Plan([], [], 0, everyday=True)
    crowd = _crowd(rng, limits, 2, 3 if rng.random() < 0.2 else 2)
    used: set[str] = set()
    while len(plan.appearances) < crowd:
        combination = _draw_combination(rng, limits.held_out and not plan.appearances)
        if not used.intersection(combination):
            used.update(combination)
            look = _draw_appearance(rng, limits, combination, crowd)
            plan.appearances.append(replace(look, texture="plain", tilt=0.0))
            plan.requests.append(MotionRequest(_calm_motion(rng, limits, combination[1])))
    return plan


def _plan_static(rng: np.random.Generator, limits: SceneLimits) -> _Plan:
    """Objects that differ in one attribute only: shape, colour, size or texture."""
    crowd = _crowd(rng, limits, 2, 6)
    plan = _Plan([], [], 0, crossing=bool(rng.random() < 0.35))
    looks = plan.appearances
    first = _draw_combination(rng, limits.held_out)
    looks.append(_draw_appearance(rng, limits, first, crowd))
    while len(looks) < crowd:
        rival = looks[int(rng.integers(len(looks)))]
        looks.append(_draw_rival(rng, limits, rival, crowd))
    plan.requests.extend(MotionRequest(_calm_motion(rng, limits, look.shape)) for look in looks)
    return plan


def _draw_rival(rng: np.random.Generator, limits: SceneLimits, look: Appearance, crowd: int) -> Appearance:
    """An object that shares much with `look`."""
    change = draw(rng, ("shape", "colour", "size", "texture", "nothing", "all"), (0.4, 0.12, 0.14, 0.08, 0.1, 0.16))
    if change == "nothing":
        return look
    if change == "size" and len(limits.sizes) > 1:
        other = draw(rng, [size for size in limits.sizes if size != look.size])
        return replace(_draw_appearance(rng, limits, (look.colour, look.shape), crowd, other), texture=look.texture)
    detailed = look.diameter * min(limits.height, limits.width) >= MIN_DETAILED_DIAMETER
    if change == "texture" and detailed and look.shape in TEXTURED_SHAPES:
        return replace(look, texture=draw(rng, [t for t in TEXTURES if t != look.texture]))
    keep_colour = change == "shape" and any(
        (look.colour, shape) not in HELD_OUT_COMBINATIONS for shape in SHAPES if shape != look.shape
    )
    while True:
        colour, shape = _draw_combination(rng, False, look.colour if keep_colour else None)
        if shape != look.shape if keep_colour else (colour, shape) != (look.colour, look.shape):
            rival = _draw_appearance(rng, limits, (colour, shape), crowd)
            return replace(rival, rgb=look.rgb) if keep_colour else rival


def _num_lookalikes(rng: np.random.Generator, limits: SceneLimits) -> int:
    """How many objects are equal in appearance, in a scene about motion."""
    weights = (0.17, 0.43, 0.4) if limits.many_lookalikes else (0.42, 0.36, 0.22)
    most = limits.num_objects[1]
    return min(int(draw(rng, ("2", "3", "4"), weights)), most)


def _group(rng: np.random.Generator, limits: SceneLimits, count: int) -> list[Appearance]:
    """`count` look-alikes; crowds are not large, so that they find room."""
    combination = _draw_combination(rng, limits.held_out)
    return [_draw_appearance(rng, limits, combination, count + 1)] * count


def _add_others(rng: np.random.Generator, limits: SceneLimits, plan: _Plan) -> _Plan:
    """Add objects that differ from the look-alikes; every second one has their colour."""
    least, most = limits.num_objects
    room = max(0, min(2, most - len(plan.appearances)))
    extra = max(int(rng.integers(0, room + 1)), least - len(plan.appearances))
    group = plan.appearances[0]
    for _ in range(extra):
        shared = group.colour if rng.random() < 0.5 else None
        while (combination := _draw_combination(rng, False, shared)) == (group.colour, group.shape):
            pass
        plan.appearances.append(_draw_appearance(rng, limits, combination, 4))
        plan.requests.append(MotionRequest(_draw_motion(rng, limits, combination[1])))
    plan.crossing = bool(rng.random() < 0.3)
    return plan


def _plan_motion(rng: np.random.Generator, limits: SceneLimits) -> _Plan:
    """Look-alikes that differ in their motion alone."""
    count = _num_lookalikes(rng, limits)
    looks = _group(rng, limits, count)
    moving = [d for d in DIRECTIONS if d in limits.motions]
    if moving and rng.random() < 0.12:
        requests = _race(rng, limits, count, moving)
    else:
        first = _draw_motion(rng, limits, looks[0].shape, exclude=() if count > 2 else ("still",))
        motions = [first]
        opposite = OPPOSITE_MOTIONS.get(first)
        if opposite in available_motions(limits, looks[0].shape) and rng.random() < 0.65:
            motions.append(opposite)
        while len(motions) < count:
            repeat = len(motions) > 1 and rng.random() < 0.2
            motions.append(_draw_motion(rng, limits, looks[0].shape, exclude=() if repeat else motions))
        requests = [MotionRequest(motions[index]) for index in rng.permutation(count)]
    return _add_others(rng, limits, _Plan(looks, requests, count))


def _race(rng: np.random.Generator, limits: SceneLimits, count: int, directions: Sequence[str]) -> list[MotionRequest]:
    """Motions of clearly different speed, often all in one direction."""
    count_speeds = min(count, 3)
    top = min(MAX_SPEED, 0.45 / (limits.num_frames - 1))
    ratio = min(2.0, (top / 0.012) ** (1 / max(1, count_speeds - 1)))
    speeds = [top / ratio ** min(step, count_speeds - 1) for step in range(count)]
    one = draw(rng, directions) if rng.random() < 0.6 else None
    order = rng.permutation(count)
    return [MotionRequest(d := one or draw(rng, directions), speed=speeds[i], direction=d) for i in order]


def _plan_order(rng: np.random.Generator, limits: SceneLimits) -> _Plan:
    """Look-alikes to which the same happens one after the other."""
    events = [event for event in ORDER_EVENTS if event in limits.motions]
    # One frame tells more of appearing and disappearing.
    event = draw(rng, events, [0.2 if event in ("appear", "disappear") else 1.0 for event in events])
    first, last = (1, limits.num_frames - 2) if event in ("appear", "disappear") else (2, limits.num_frames - 3)
    count = max(2, min(_num_lookalikes(rng, limits), (last - first) // 2 + 1))
    slack = last - first - 2 * (count - 1)
    gaps = np.sort(rng.integers(0, max(slack, 0) + 1, count))
    frames = first + gaps + 2 * np.arange(count)
    requests = [MotionRequest(event, event_frame=int(frames[index])) for index in rng.permutation(count)]
    plan = _add_others(rng, limits, _Plan(_group(rng, limits, count), requests, count))
    for index in range(count, len(plan.requests)):
        if rng.random() < 0.6:
            plan.requests[index] = MotionRequest(event, event_frame=int(rng.integers(first, last + 1)))
    return plan


_PLANNERS: dict[str, Callable[[np.random.Generator, SceneLimits], _Plan]] = {
    "everyday": _plan_everyday,
    "static": _plan_static,
    "motion": _plan_motion,
    "order": _plan_order,
}


# Tracks: one function per family of motions.


def _make_track(rng: np.random.Generator, limits: SceneLimits, look: Appearance, request: MotionRequest) -> Track:
    """Draw a path for a motion; motions that are another one backwards are made by turning it in time."""
    backwards = {"start": "stop", "slow_down": "speed_up", "disappear": "appear", "leave": "enter"}
    last = limits.num_frames - 1
    if request.motion in backwards:
        frame = None if request.event_frame is None else last - request.event_frame
        forward = replace(request, motion=backwards[request.motion], event_frame=frame)
        return _make_track(rng, limits, look, forward).reversed_in_time()
    maker = _TRACKS.get(request.motion, _direction_track)
    return maker(rng, limits, look, request)


def _still(limits: SceneLimits, look: Appearance) -> Track:
    """A track that stays in place."""
    frames = limits.num_frames
    track = Track(
        offset=np.zeros((frames, 2)),
        scale=np.ones(frames),
        angle=np.full(frames, look.tilt),
        present=np.ones(frames, bool),
        low=np.zeros(2),
        high=np.ones(2),
    )
    return _keep_inside(track, limits, look)


def _keep_inside(track: Track, limits: SceneLimits, look: Appearance) -> Track:
    """Let the anchor range over all places from which the path stays inside the frame."""
    margin = 0.55 * look.diameter * track.scale.max()
    track.low = margin - track.offset.min(axis=0)
    track.high = limits.extent - margin - track.offset.max(axis=0)
    return track


def _speed(rng: np.random.Generator, axis_extent: float, frames: float, wanted: float | None = None) -> float:
    """A speed at which a path of `frames` steps leaves room for the place along its axis."""
    top = min(MAX_SPEED, 0.42 * axis_extent / frames)
    if wanted is not None:
        return min(wanted, top)
    return float(np.exp(rng.uniform(np.log(min(MIN_SPEED, top)), np.log(top))))


def _heading(rng: np.random.Generator, request: MotionRequest) -> tuple[str, np.ndarray]:
    """The name of a direction, and a unit vector within 6 degrees of it."""
    name = request.direction or draw(rng, tuple(DIRECTIONS))
    x, y = DIRECTIONS[name]
    turn = rng.uniform(-0.1, 0.1)
    cosine, sine = np.cos(turn), np.sin(turn)
    return name, np.array([cosine * x - sine * y, sine * x + cosine * y])


def _along(
    rng: np.random.Generator, limits: SceneLimits, look: Appearance, request: MotionRequest, way: np.ndarray
) -> Track:
    """A straight path that follows `way` (frames,), in units of the speed."""
    name, heading = _heading(rng, request)
    extent = limits.extent[0 if name in ("left", "right") else 1]
    speed = _speed(rng, extent, np.ptp(way), request.speed)
    track = _still(limits, look)
    track.offset = speed * (way - (way.min() + way.max()) / 2)[:, None] * heading
    return _keep_inside(track, limits, look)


def _direction_track(rng: np.random.Generator, limits: SceneLimits, look: Appearance, request: MotionRequest) -> Track:
    way = np.arange(limits.num_frames, dtype=float)
    return _along(rng, limits, look, replace(request, direction=request.motion), way)


def _turn_back_track(rng: np.random.Generator, limits: SceneLimits, look: Appearance, request: MotionRequest) -> Track:
    turn = _event_frame(rng, limits, 0.35, 0.65, 2)
    track = _along(rng, limits, look, request, -np.abs(np.arange(limits.num_frames) - float(turn)))
    # Away from the edges, so that it is no bounce.
    track.low, track.high = track.low + 0.07, track.high - 0.07
    return track


def _event_frame(rng: np.random.Generator, limits: SceneLimits, low: float, high: float, margin: int) -> int:
    """A frame between two shares of the clip, at least `margin` frames away from both ends."""
    last = limits.num_frames - 1
    first_choice, last_choice = int(np.ceil(low * last)), int(high * last)
    frame = int(rng.integers(first_choice, max(first_choice, last_choice) + 1))
    return min(max(frame, margin), last - margin)


def _stop_track(rng: np.random.Generator, limits: SceneLimits, look: Appearance, request: MotionRequest) -> Track:
    frame = request.event_frame if request.event_frame is not None else _event_frame(rng, limits, 0.35, 0.6, 2)
    return _along(rng, limits, look, request, np.minimum(np.arange(limits.num_frames), frame).astype(float))


def _speed_up_track(rng: np.random.Generator, limits: SceneLimits, look: Appearance, request: MotionRequest) -> Track:
    ratio = rng.uniform(0.12, 0.22)
    steps = np.linspace(ratio, 1.0, limits.num_frames - 1)
    return _along(rng, limits, look, replace(request, speed=MAX_SPEED), np.concatenate([[0.0], np.cumsum(steps)]))


def _rotation_track(rng: np.random.Generator, limits: SceneLimits, look: Appearance, request: MotionRequest) -> Track:
    step = np.deg2rad(rng.uniform(9, 18)) * (1 if request.motion == "clockwise" else -1)
    step = max(abs(step), np.deg2rad(45) / (limits.num_frames - 1)) * np.sign(step)
    track = _still(limits, look)
    track.angle = look.tilt + step * np.arange(limits.num_frames)
    return track


def _scale_track(rng: np.random.Generator, limits: SceneLimits, look: Appearance, request: MotionRequest) -> Track:
    track = _still(limits, look)
    growth = np.log(rng.uniform(1.7, 2.2)) * (1 if request.motion == "grow" else -1)
    # No smaller than a tenth and no larger than a third of the side, whatever the size in the middle.
    half = min(abs(growth) / 2, np.log(0.34 / look.diameter) if look.diameter < 0.25 else np.log(0.40 / look.diameter))
    half = max(half, 0.17)
    track.scale = np.exp(np.sign(growth) * half * np.linspace(-1, 1, limits.num_frames))
    return _keep_inside(track, limits, look)


def _orbit_track(rng: np.random.Generator, limits: SceneLimits, look: Appearance, request: MotionRequest) -> Track:
    step = np.deg2rad(rng.uniform(280, 360)) / (limits.num_frames - 1)
    largest = min(0.2, MAX_SPEED / (2 * np.sin(step / 2)))
    radius = max(rng.uniform(0.6, 1.0) * largest, 0.07)
    phase = rng.uniform(0, 2 * np.pi) + rng.choice([-1, 1]) * step * np.arange(limits.num_frames)
    track = _still(limits, look)
    track.offset = radius * np.stack([np.cos(phase), np.sin(phase)], axis=1)
    return _keep_inside(track, limits, look)


def _bounce_track(rng: np.random.Generator, limits: SceneLimits, look: Appearance, request: MotionRequest) -> Track:
    frame = _event_frame(rng, limits, 0.35, 0.65, 2)
    time = np.arange(limits.num_frames)
    axis, wall = int(rng.integers(2)), int(rng.integers(2))
    way = np.abs(time - float(frame))
    speed = _speed(rng, limits.extent[axis], way.max())
    drift = speed * rng.uniform(-0.5, 0.5)
    track = _still(limits, look)
    track.offset[:, 1 - axis] = drift * (time - frame)
    _keep_inside(track, limits, look)
    track.offset[:, axis] = speed * way * (1 if wall == 0 else -1)
    at_wall = look.diameter / 2 if wall == 0 else limits.extent[axis] - look.diameter / 2
    track.low[axis] = track.high[axis] = at_wall
    return track


def _appear_track(rng: np.random.Generator, limits: SceneLimits, look: Appearance, request: MotionRequest) -> Track:
    frame = request.event_frame if request.event_frame is not None else _event_frame(rng, limits, 0.3, 0.6, 1)
    moving = rng.random() < 0.4
    base = draw(rng, tuple(DIRECTIONS)) if moving else "still"
    track = _direction_track(rng, limits, look, MotionRequest(base)) if moving else _still(limits, look)
    track.present = np.arange(limits.num_frames) >= frame
    return track


def _enter_track(rng: np.random.Generator, limits: SceneLimits, look: Appearance, request: MotionRequest) -> Track:
    last = limits.num_frames - 1
    axis, wall = int(rng.integers(2)), int(rng.integers(2))
    radius = look.diameter / 2
    length = min(max(rng.uniform(0.3, 0.6), 2.8 * radius), MAX_SPEED * last)
    track = _still(limits, look)
    inward = 1 if wall == 0 else -1
    track.offset[:, axis] = inward * length * np.arange(limits.num_frames) / last
    outside = 1.25 * radius
    track.low[axis] = track.high[axis] = -outside if wall == 0 else limits.extent[axis] + outside
    return track


_TRACKS: dict[str, Callable[[np.random.Generator, SceneLimits, Appearance, MotionRequest], Track]] = {
    "still": lambda rng, limits, look, request: _still(limits, look),
    "turn_back": _turn_back_track,
    "stop": _stop_track,
    "speed_up": _speed_up_track,
    "clockwise": _rotation_track,
    "counterclockwise": _rotation_track,
    "grow": _scale_track,
    "shrink": _scale_track,
    "orbit": _orbit_track,
    "bounce": _bounce_track,
    "appear": _appear_track,
    "enter": _enter_track,
}


# Placing.


def _place(rng: np.random.Generator, limits: SceneLimits, plan: _Plan, tracks: list[Track]) -> np.ndarray | None:
    """Anchors (objects, 2) at which no object hides another for long; None if chance finds none.

    The anchor of a straight path is its middle, so that a place in the middle of the clip says nothing of the
    direction.
    """
    low = np.stack([track.low for track in tracks])
    high = np.stack([track.high for track in tracks])
    if (low > high + 1e-9).any():
        return None
    radius = np.stack([look.diameter / 2 * t.scale for look, t in zip(plan.appearances, tracks, strict=True)])
    candidates = low + (high - low) * rng.random((48, len(tracks), 2))
    offsets = np.stack([track.offset for track in tracks])
    absent = np.stack([~track.present for track in tracks])
    good = np.ones(len(candidates), bool)
    for i in range(len(tracks)):
        for j in range(i):
            distance = np.linalg.norm(
                (candidates[:, i, None] - candidates[:, j, None]) + (offsets[i] - offsets[j]), axis=-1
            )
            depth = (radius[i] + radius[j] - distance) / (2 * np.minimum(radius[i], radius[j]))
            depth[:, absent[i] | absent[j]] = -1.0
            alike = plan.appearances[i].colour == plan.appearances[j].colour
            good &= _bearable(depth, plan.crossing and not alike)
    return candidates[good.argmax()] if good.any() else None


def _bearable(depth: np.ndarray, crossing: bool) -> np.ndarray:
    """Whether two discs may overlap that much: depth (candidates, frames), 1 where one hides the other."""
    if not crossing:
        return depth.max(axis=1) <= -0.05
    ends = np.maximum(depth[:, 0], depth[:, -1])
    return (depth.max(axis=1) <= 0.9) & (ends <= 0.15) & ((depth > 0.4).mean(axis=1) <= 0.4)

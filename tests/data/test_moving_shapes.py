# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""MovingShapes: sentences are true of their targets alone, clips are reproducible, and the table has the schema."""

import ast
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from moving_shapes_reader import Reader, reversed_in_time
from pycocotools import mask as coco_mask

from transformers_soc.data import load_moving_shapes, render_clip
from transformers_soc.data.moving_shapes import (
    SPLITS,
    MovingShapesOptions,
    clip_of_name,
    expression_of_row,
    frame_name,
    render_frames,
)
from transformers_soc.data.moving_shapes_ceilings import ceilings
from transformers_soc.data.moving_shapes_language import KINDS, MOTION_KINDS
from transformers_soc.data.moving_shapes_scene import COLOURS, HELD_OUT_COMBINATIONS, MOTIONS, SHAPES
from transformers_soc.data.moving_shapes_words import (
    MIRROR_WORDS,
    REVERSAL_WORDS,
    TRANSPOSE_WORDS,
    VERTICAL_WORDS,
)
from transformers_soc.data.transforms import swap_words

ROOT = Path(__file__).parents[2]
SMALL = {"height": 64, "num_expressions": 12}


@pytest.fixture(scope="module")
def clips():
    """Clips of all splits, three in four of them small."""
    formats = ({"num_expressions": 12}, SMALL, SMALL, SMALL)
    return [render_clip(split, index, seed=3, **formats[index % 4]) for split in SPLITS for index in range(60)]


def change_nothing(objects, height, width):
    return objects, height, width


def mirror(objects, height, width):
    return [replace(o, centre=o.centre * [-1, 1] + [width, 0], angle=-o.angle) for o in objects], height, width


def turn_upside_down(objects, height, width):
    return [replace(o, centre=o.centre * [1, -1] + [0, height], angle=-o.angle) for o in objects], height, width


def transpose(objects, height, width):
    return [replace(o, centre=o.centre[:, ::-1], angle=-o.angle) for o in objects], width, height


def reverse(objects, height, width):
    return reversed_in_time(objects), height, width


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_nothing, {}),
        (mirror, MIRROR_WORDS),
        (turn_upside_down, VERTICAL_WORDS),
        (transpose, TRANSPOSE_WORDS),
        (reverse, REVERSAL_WORDS),
    ],
)
def test_exactly_the_targets_satisfy_the_sentence(clips, change, words):
    """An independent reader finds them in the paths, also when clip and words are mirrored, turned or reversed."""
    for clip in clips:
        reader = Reader(*change(clip.objects, *clip.frames.shape[1:3]))
        for expression in clip.expressions:
            found, promised = reader.meaning(swap_words(expression.text, words))
            assert found == expression.targets, (clip.split, clip.index, expression)
            if expression.targets:
                assert len(found) == promised or (promised is None and len(found) > 1), expression


def test_reversed_targets_are_what_the_opposite_direction_means(clips):
    opposite = MIRROR_WORDS | VERTICAL_WORDS
    checked = 0
    for clip in clips:
        reader = Reader(clip.objects, *clip.frames.shape[1:3])
        for expression in clip.expressions:
            if expression.reversed_targets is not None:
                assert reader.meaning(swap_words(expression.text, opposite))[0] == expression.reversed_targets
                checked += 1
    assert checked > 100


def test_every_kind_motion_and_word_occurs(clips):
    kinds = Counter(e.kind for clip in clips for e in clip.expressions)
    assert set(kinds) == set(KINDS) and min(kinds.values()) > 40
    motion = {e.family for clip in clips for e in clip.expressions if e.kind == "motion"}
    assert set(MOTIONS) - motion == set()
    absent = {e.family for clip in clips for e in clip.expressions if e.kind == "none"}
    assert {"absent_colour", "absent_shape", "absent_motion", "absent_relation", "absent_size"} <= absent
    words = {word for clip in clips for e in clip.expressions for word in e.text.split()}
    assert {*COLOURS, *SHAPES, "small", "large", "first", "last", "both"} <= words
    texts = " | ".join(e.text for clip in clips for e in clip.expressions)
    assert all(f"moving {way}" in texts for way in ("to the left", "to the right", "up", "down"))


def test_none_means_no_target_and_several_more_than_one(clips):
    for clip in clips:
        assert len({e.text for e in clip.expressions}) == len(clip.expressions)
        for expression in clip.expressions:
            expected = {"none": (0, 0), "several": (2, 6)}.get(expression.kind, (1, 1))
            assert expected[0] <= len(expression.targets) <= expected[1]
            assert expression.text == expression.text.lower()


def test_formats_sizes_and_speeds_cover_the_ranges():
    clips = [render_clip("train", index, seed=8, num_expressions=1) for index in range(100)]
    assert {len(clip.frames) for clip in clips} == set(range(4, 17))
    sides = [clip.frames.shape[1:3] for clip in clips]
    assert min(map(min, sides)) == 64 and max(map(max, sides)) == 256
    assert 25 < sum(height == width for height, width in sides) < 75
    assert {len(clip.objects) for clip in clips} == {2, 3, 4, 5, 6}
    short = [min(side) for side in sides]
    diameters = np.array([2 * o.radius.mean() / s for clip, s in zip(clips, short, strict=True) for o in clip.objects])
    assert diameters.min() < 0.12 and diameters.max() > 0.31
    speeds = [
        np.linalg.norm(np.diff(o.centre, axis=0), axis=1).max() / s
        for clip, s in zip(clips, short, strict=True)
        for o in clip.objects
        if o.motion in ("left", "right", "up", "down")
    ]
    assert min(speeds) < 0.025 and 0.085 < max(speeds) < 0.101


def test_motion_sentences_have_a_distractor_equal_in_looks(clips):
    counts = {split: [] for split in SPLITS}
    for clip in clips:
        for expression in clip.expressions:
            if expression.kind in MOTION_KINDS:
                target = clip.objects[expression.targets[0]]
                alike = [o for o in clip.objects if o.appearance == target.appearance]
                assert len(alike) == expression.num_lookalikes >= 2
                assert len({o.rgb for o in alike}) == len({o.outlined for o in alike}) == 1
                counts[clip.split].append(len(alike))
    assert np.mean(np.array(counts["test"]) >= 3) > 0.5


def test_blind_answers_stay_below_the_limits(clips):
    table = ceilings([clip for clip in clips if clip.split.startswith("test")])
    assert table["all"]["union"] < 50 and table["all"]["random"] < 50 and table["all"]["one_frame"] < 60
    assert table["2"]["union"] == pytest.approx(50, abs=4) and table["3"]["union"] < 42
    assert sum(row["expressions"] for name, row in table.items() if name != "all") == table["all"]["expressions"]


def test_held_out_combinations_stay_out(clips):
    for clip in clips:
        pairs = {(o.colour, o.shape) for o in clip.objects}
        held_out = [f"{colour} {shape}" for colour, shape in HELD_OUT_COMBINATIONS]
        if clip.split != "test_compositional":
            assert not pairs.intersection(HELD_OUT_COMBINATIONS)
            assert not any(words in e.text for e in clip.expressions for words in held_out)
            continue
        for expression in clip.expressions:
            targets = {(clip.objects[i].colour, clip.objects[i].shape) for i in expression.targets}
            assert targets.intersection(HELD_OUT_COMBINATIONS) or not targets


def test_clips_depend_on_split_index_and_seed_alone():
    places = [(split, index, seed) for split in SPLITS for index in (0, 1) for seed in (0, 1)]
    pictures = [render_clip(*place, height=64, num_frames=4) for place in places]
    again = [render_clip(*place, height=64, num_frames=4) for place in reversed(places)][::-1]
    for one, two in zip(pictures, again, strict=True):
        np.testing.assert_array_equal(one.frames, two.frames)
        np.testing.assert_array_equal(one.masks, two.masks)
        assert one.expressions == two.expressions
    assert len({clip.frames.tobytes() for clip in pictures}) == len(places)


def test_masks_are_disjoint_and_show_the_colour_of_their_object():
    clip = next(c for i in range(20) if (c := render_clip("train", i, height=128)).scene_type == "everyday")
    assert clip.masks.sum(axis=0).max() == 1
    labels = clip.label_map()
    for number, (item, mask) in enumerate(zip(clip.objects, clip.masks, strict=True), 1):
        np.testing.assert_array_equal(labels == number, mask)
        colour = np.median(clip.frames[mask], axis=0) / 255
        np.testing.assert_allclose(colour, item.rgb, atol=0.06)


@pytest.mark.parametrize(
    ("options", "holds"),
    [
        ({"num_objects": (2, 2)}, lambda c: len(c.objects) == 2),
        ({"num_objects": (5, 6)}, lambda c: len(c.objects) >= 5),
        (
            {"motions": ("left", "right", "still")},
            lambda c: {o.motion for o in c.objects} <= {"left", "right", "still"},
        ),
        ({"sizes": ("medium",)}, lambda c: {o.size for o in c.objects} == {"medium"}),
        ({"kinds": ("motion",)}, lambda c: {e.kind for e in c.expressions} == {"motion"}),
        ({"kinds": ("order", "none")}, lambda c: {e.kind for e in c.expressions} <= {"order", "none"}),
        ({"num_frames": 4, "height": 96, "width": 72}, lambda c: c.frames.shape == (4, 96, 72, 3)),
        ({"num_expressions": 3}, lambda c: len(c.expressions) <= 3),
    ],
)
def test_options_restrict_clips(options, holds):
    for index in range(8):
        assert holds(render_clip("train", index, **options))


def test_plain_backgrounds_are_of_one_colour():
    clip = render_clip("train", 1, plain=True, height=64)
    ground = clip.frames[~clip.masks.any(axis=0)].astype(int)
    assert (np.abs(ground - np.median(ground, axis=0)).max(axis=1) < 40).mean() > 0.9


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("dev", 0), {}, "split must be one of"),
        (("test", -1), {}, "must not be negative"),
        (("test", 0), {"num_frames": 3}, "num_frames must lie within 4 to 16"),
        (("test", 0), {"kinds": ("verbs",)}, "kinds must be some of"),
        (("test", 0), {"num_objects": (1, 2)}, "num_objects must be"),
        (("test", 0), {"kinds": ("order",), "motions": ("left",)}, "need one of the motions appear"),
        (("test", 0), {"kinds": ("motion",), "motions": ("still",)}, "no clip with an expression of motion"),
        (("test", 0), {"kinds": ("order",), "num_frames": 4}, "need at least 6 frames"),
    ],
)
def test_impossible_requests_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        render_clip(*arguments, **options)


def test_frame_names_render_the_same_pixels():
    assert frame_name("test", 4, 2) == "moving-shapes:test/0/4#2"
    names = [frame_name("test", 4, frame, seed=7, num_frames=5, height=64, plain=True) for frame in (3, 0)]
    clip = render_clip("test", 4, 7, num_frames=5, height=64, plain=True)
    np.testing.assert_array_equal(render_frames(names), clip.frames[[3, 0]])
    assert clip_of_name(names[0]).expressions == clip.expressions
    for broken in (
        "moving-shapes:test/0/4",
        "moving-shapes:test/4#1",
        "a.png",
        "moving-shapes:test/0/4?num_frames=5#5",
    ):
        with pytest.raises(ValueError, match=r"moving-shapes|MovingShapes"):
            render_frames([broken])


def test_options_survive_the_way_through_a_name():
    options = MovingShapesOptions(kinds=("none", "static"), num_objects=[2, 3], plain=True, num_frames=6)
    assert MovingShapesOptions.from_query(options.query()) == options
    assert MovingShapesOptions().query() == ""


def test_table_follows_the_common_schema():
    from transformers_soc.data.schema import COMMON_FEATURES

    table = load_moving_shapes("validation", 5, seed=2, num_frames=6, height=64)
    assert table.features == COMMON_FEATURES
    assert len(set(table["sample_id"])) == len(table)
    for row in table:
        clip = clip_of_name(row["frames"][0])
        expression = expression_of_row(row)
        assert (row["expression"], row["expression_type"]) == (expression.text, expression.kind)
        assert row["object_ids"] == [str(index) for index in expression.targets]
        assert row["no_target"] == (not expression.targets)
        assert len(row["frames"]) == len(row["frame_names"]) == len(row["mask_rles"]) == row["num_frames"] == 6
        decoded = [
            coco_mask.decode(codes).any(axis=-1) if codes else np.zeros((64, 64), bool) for codes in row["mask_rles"]
        ]
        np.testing.assert_array_equal(np.stack(decoded), clip.target_mask(expression))


def test_streaming_gives_the_rows_of_the_table():
    table = load_moving_shapes("train", 70, num_expressions=1, num_frames=4, height=64)
    stream = load_moving_shapes("train", 70, streaming=True, num_expressions=1, num_frames=4, height=64)
    assert stream.num_shards == 2
    assert list(stream) == list(table)


def test_datasets_is_imported_by_the_loader_only():
    for file in (ROOT / "src" / "transformers_soc" / "data").glob("*.py"):
        if file.stem == "__init__" or file.stem.startswith("moving_shapes"):
            for node in ast.parse(file.read_text()).body:
                names = (
                    [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in getattr(node, "names", [])]
                )
                assert not {"datasets", "schema"}.intersection(names), file.name

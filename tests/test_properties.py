# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Properties of masks, measures and archives that hold for any input, tried with inputs that hypothesis makes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from conftest import tiny_processor
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image
from pycocotools import mask as coco_mask

from transformers_soc.data import transforms
from transformers_soc.data.collator import SocDataCollator
from transformers_soc.data.pixels import read_label_image, rle_runs
from transformers_soc.data.submission import LAYOUTS, check_submission, write_submission
from transformers_soc.data.transforms import Clip
from transformers_soc.metrics import contour_accuracy, region_similarity
from transformers_soc.metrics.predictions import davis_palette, write_label_maps
from transformers_soc.metrics.temporal import spatio_temporal_iou, temporal_iou
from transformers_soc.modeling_soc import SocModelOutput
from transformers_soc.video_io import masks_to_rle, rle_to_masks, write_mask_pngs
from transformers_soc.video_processing_soc import pad_clips, resized_size

Masks = np.ndarray
SIDES = some.integers(1, 24)
SEEDS = some.integers(0, 2**32 - 1)


def random_masks(shape: tuple[int, ...], seed: int, shares: tuple[float, ...] = (0, 0.02, 0.3, 0.98, 1)) -> Masks:
    """Masks whose frames are empty, full, or hold random pixels; hypothesis itself draws arrays far more slowly."""
    generator = np.random.default_rng(seed)
    return generator.random(shape) < generator.choice(shares, (*shape[:-2], 1, 1))


VIDEOS = some.tuples(some.integers(1, 6), SIDES, SIDES)
MASKS = some.builds(random_masks, VIDEOS, SEEDS)
PAIRS = some.builds(lambda shape, seed: tuple(random_masks((2, *shape), seed)), VIDEOS, SEEDS)

pytestmark = pytest.mark.stress


def examples(count: int) -> Callable[[Callable], Callable]:
    """Always the same inputs, however long they take."""
    return settings(max_examples=count, derandomize=True, deadline=None, database=None)


def test_run_length_codes_keep_every_pixel(amount):
    @examples(amount(60, 10_000))
    @given(MASKS)
    def check(masks: Masks) -> None:
        codes = masks_to_rle(masks)
        assert np.array_equal(rle_to_masks(codes), masks)
        for code, mask in zip(codes, masks, strict=True):
            runs = rle_runs(code)
            # Columns one after the other, runs of ground and object in turn.
            flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
            assert np.array_equal(flat.reshape(mask.shape, order="F"), mask)

    check()


def test_mask_images_keep_every_pixel(amount, tmp_path):
    @examples(amount(20, 10_000))
    @given(MASKS)
    def check(masks: Masks) -> None:
        paths = write_mask_pngs(tmp_path, masks)
        assert np.array_equal([np.asarray(Image.open(path)) == 255 for path in paths], masks)

    check()


def test_label_images_keep_every_label_and_the_palette(amount, tmp_path):
    colours = np.asarray(davis_palette(), np.uint8).reshape(256, 3)

    @examples(amount(20, 10_000))
    @given(VIDEOS, SEEDS, some.integers(1, 256))
    def check(shape: tuple[int, int, int], seed: int, most: int) -> None:
        labels = np.random.default_rng(seed).integers(0, most, shape, np.uint8)
        frames, height, width = labels.shape
        row = {"frame_names": [f"{index:05d}" for index in range(frames)], "height": height, "width": width}
        for path, label in zip(
            write_label_maps(tmp_path, row | {"annotator": 0, "video_id": "v"}, labels), labels, strict=True
        ):
            assert np.array_equal(read_label_image(path), label)
            assert np.array_equal(np.asarray(Image.open(path).convert("RGB")), colours[label])

    check()


def test_region_similarity_is_intersection_over_union(amount):
    @examples(amount(60, 10_000))
    @given(PAIRS)
    def check(pair: tuple[Masks, Masks]) -> None:
        left, right = pair
        measured = region_similarity(left, right)
        assert np.array_equal(measured, region_similarity(right, left))
        assert (region_similarity(left, left) == 1).all() and ((measured >= 0) & (measured <= 1)).all()
        for value, a, b in zip(measured, left, right, strict=True):
            shared, either = int((a & b).sum()), int((a | b).sum())
            assert value == (shared / either if either else 1)
            assert value == region_similarity(a[None, ::-1, ::-1], b[None, ::-1, ::-1])[0]
            if either:
                codes = [coco_mask.encode(np.asfortranarray(mask, np.uint8)) for mask in (a, b)]
                assert value == pytest.approx(coco_mask.iou(codes[:1], codes[1:], [0])[0, 0], abs=1e-12)
        assert region_similarity(left, ~left).max() == 0
        assert spatio_temporal_iou(left, right) <= temporal_iou(left, right)

    check()


def test_contour_accuracy_is_symmetric_and_grows_with_the_tolerance(amount):
    @examples(amount(60, 10_000))
    @given(PAIRS, some.floats(0, 6))
    def check(pair: tuple[Masks, Masks], tolerance: float) -> None:
        left, right = pair
        measured = contour_accuracy(left, right, bound_th=tolerance)
        assert np.allclose(measured, contour_accuracy(right, left, bound_th=tolerance), rtol=1e-12)
        assert ((measured >= 0) & (measured <= 1)).all()
        assert (contour_accuracy(left, left, bound_th=tolerance) == 1).all()
        wider = contour_accuracy(left, right, bound_th=max(1, tolerance) + 2)
        assert tolerance < 1 or (wider >= measured - 1e-12).all()

    check()


@some.composite
def tables(draw: some.DrawFn) -> tuple[str, list[dict[str, Any]], dict[str, Masks]]:
    """A benchmark, rows of its split, and masks for them."""
    benchmark = draw(some.sampled_from(sorted(LAYOUTS)))
    names = some.text("abcXYZ019_-", min_size=1, max_size=6)
    rows, masks = [], {}
    for video in draw(some.lists(names, min_size=1, max_size=3, unique_by=str.lower)):
        height, width = draw(SIDES), draw(SIDES)
        frames = sorted(
            draw(some.sets(some.integers(0, 99999).map(lambda number: f"{number:05d}"), min_size=1, max_size=3))
        )
        for expression in draw(some.lists(some.integers(0, 99).map(str), min_size=1, max_size=3, unique=True)):
            row = {"dataset": LAYOUTS[benchmark].dataset, "video_id": video, "expression_id": expression}
            row |= {"frame_names": frames, "height": height, "width": width, "no_target": None}
            rows.append(row | {"sample_id": f"{benchmark}/test/{video}/{expression}"})
            masks[rows[-1]["sample_id"]] = random_masks((len(frames), height, width), draw(SEEDS))
    return benchmark, rows, masks


def test_the_validator_accepts_what_the_writer_writes(amount, tmp_path):
    @examples(amount(20, 10_000))
    @given(tables())
    def check(case: tuple[str, list[dict[str, Any]], dict[str, Masks]]) -> None:
        benchmark, rows, masks = case
        path = tmp_path / "out.zip"
        report = write_submission(path, benchmark, rows, masks.items())
        assert check_submission(path, benchmark, rows) == report
        assert (report.expressions, report.frames) == (len(masks), sum(map(len, masks.values())))
        assert set(report.empty) == {name for name, mask in masks.items() if not mask.any()}

    check()


def test_padding_is_taken_off_again(amount):
    """Frames come back as they were; masks have the sign of their cell, and nothing of the padding."""
    process = tiny_processor().post_process_referring_video_segmentation
    generator = torch.Generator().manual_seed(0)

    @examples(amount(40, 10_000))
    @given(
        some.lists(some.tuples(some.integers(1, 3), some.integers(1, 9), some.integers(1, 9)), min_size=1, max_size=3)
    )
    def check(sizes: list[tuple[int, int, int]]) -> None:
        clips = [torch.rand(frames, 3, 4 * height, 4 * width, generator=generator) for frames, height, width in sizes]
        pixels, mask = pad_clips(clips)
        for video, clip in enumerate(clips):
            real = pixels[video].permute(1, 0, 2, 3)[:, mask[video]].view(3, *clip[:, 0].shape).transpose(0, 1)
            assert torch.equal(real, clip)
            assert not pixels[video].permute(1, 0, 2, 3)[:, ~mask[video]].any()
        cells = torch.randint(
            0, 2, (len(clips), mask.shape[1], 1, mask.shape[2] // 4, mask.shape[3] // 4), generator=generator
        )
        outputs = SocModelOutput(
            logits=torch.zeros(len(clips), mask.shape[1], 1, 1),
            pred_boxes=torch.tensor([0.5, 0.5, 1, 1]).expand(len(clips), mask.shape[1], 1, 4),
            pred_masks=20.0 * cells - 10,
        )
        targets = [clip.shape[-2:] for clip in clips]
        for answer, clip, cell in zip(process(outputs, targets, pixel_mask=mask), clips, cells, strict=True):
            frames, _, height, width = clip.shape
            assert answer["masks"].shape == (frames, height, width)
            assert torch.equal(answer["masks"][:, 1::4, 1::4], cell[:frames, 0, : height // 4, : width // 4].bool())
            assert answer["boxes"].tolist() == [[0, 0, width, height]] * frames

    check()


def test_resized_frames_keep_their_shape(amount):
    @examples(amount(100, 10_000))
    @given(some.integers(1, 5000), some.integers(1, 5000), some.integers(1, 600), some.integers(0, 600))
    def check(height: int, width: int, short: int, more: int) -> None:
        resized = resized_size(height, width, short, short + more)
        # The official rule rounds the short side, and the long side follows.
        assert min(resized) <= short and max(resized) <= short + more + max(height, width) / min(height, width)
        assert resized_size(width, height, short, short + more) == resized[::-1] or height == width
        scale = min(resized) / min(height, width)
        assert abs(max(resized) - max(height, width) * scale) < 1

    check()


def random_clip(shape: tuple[int, int, int], seed: int) -> tuple[np.ndarray, Masks]:
    """Frames and the masks of two objects."""
    frames = np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)
    return frames, random_masks((2, *shape), seed)


CLIPS = some.builds(random_clip, some.tuples(*[some.integers(1, 12)] * 3), SEEDS)
FLIPS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "horizontal_flip": lambda tensor: tensor.flip(-1),
    "vertical_flip": lambda tensor: tensor.flip(-2),
    "transpose": lambda tensor: tensor.mT,
    "time_reversal": lambda tensor: tensor.flip(0),
}


@pytest.mark.parametrize("name", FLIPS)
def test_flipped_frames_flip_pixels_and_labels(amount, name):
    """What the model gets, bit by bit; and twice is the identity."""
    collate, change = SocDataCollator(tiny_processor(), do_resize=False), getattr(transforms, name)

    @examples(amount(15, 2500))
    @given(CLIPS)
    def check(case: tuple[np.ndarray, Masks]) -> None:
        clip = Clip(*case, ["it moves left", "the upper one"])
        batch, flipped, again = (collate([one]) for one in (clip, change(clip), change(change(clip))))
        flip = FLIPS[name]
        assert torch.equal(flipped["pixel_values_videos"][0], flip(batch["pixel_values_videos"][0]))
        for label, other, same in zip(batch["labels"], flipped["labels"], again["labels"], strict=True):
            assert torch.equal(other["masks"], flip(label["masks"]))
            assert all(torch.equal(same[field], label[field]) for field in label)
        for field in ("pixel_values_videos", "pixel_mask", "input_ids"):
            assert torch.equal(again[field], batch[field])

    check()

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import tiny_processor
from miniature_refer_youtube_vos import make_refer_youtube_vos
from models import tiny_model
from PIL import Image

from transformers_soc.data import clips
from transformers_soc.data.clips import ClipDataset, EpochStream, group_by_video, read_clip
from transformers_soc.data.collator import SocDataCollator
from transformers_soc.data.pixels import read_label_image, read_masks, target_presence
from transformers_soc.data.refer_youtube_vos import load_refer_youtube_vos
from transformers_soc.data.schema import COMMON_FEATURES
from transformers_soc.data.transforms import Augmentation, Clip
from transformers_soc.video_io import masks_to_rle


def make_clip(num_frames: int, height: int, width: int, expressions: int = 1) -> Clip:
    """A bright square that moves to the right, which every expression but the second is about."""
    frames = np.zeros((num_frames, height, width, 3), np.uint8)
    masks = np.zeros((expressions, num_frames, height, width), bool)
    for index in range(num_frames):
        frames[index, 8:20, 4 + 4 * index : 16 + 4 * index] = 255
    masks[:] = frames[..., 0] > 0
    masks[1:2] = False
    return Clip(frames, masks, [f"square {number}" for number in range(expressions)])


def make_rows(folder: Path, num_frames: int, video: str, masks: dict[str, np.ndarray], **fields: Any) -> list[dict]:
    """Rows of the common schema about one video of 24x32; `masks` are those of each expression."""
    (folder / video).mkdir()
    frames = [str(folder / video / f"{index}.png") for index in range(num_frames)]
    for index, path in enumerate(frames):
        Image.new("L", (32, 24), 10 * index).save(path)
    columns = {"dataset": "own", "split": "train", "video_id": video, "frames": frames, "num_frames": num_frames}
    columns |= {"height": 24, "width": 32, "mask_format": "rle", "annotated_frame_indices": list(range(num_frames))}
    own = [
        {"expression": text, "mask_rles": [[code] for code in masks_to_rle(mask)], "no_target": not mask.any()}
        for text, mask in masks.items()
    ]
    columns |= fields
    return [
        dict.fromkeys(COMMON_FEATURES) | columns | row | {"sample_id": f"{video}/{row['expression']}"} for row in own
    ]


def seen_in(num_frames: int, *frames: int) -> np.ndarray:
    mask = np.zeros((num_frames, 24, 32), bool)
    mask[list(frames), 3:9, 4:10] = True
    return mask


def test_batch_has_the_padded_size_and_one_label_per_expression():
    batch = SocDataCollator(tiny_processor())([make_clip(3, 32, 48, 2), make_clip(5, 32, 40), make_clip(2, 64, 64)])
    assert batch["pixel_values_videos"].shape == (3, 5, 3, 32, 48)
    assert batch["video_indices"].tolist() == [0, 0, 1, 2]
    assert [tuple(label["masks"].shape) for label in batch["labels"]] == [(length, 32, 48) for length in (3, 3, 5, 2)]
    assert [int(label["class_labels"]) for label in batch["labels"]] == [0] * 4
    # Where the target is bright, the input is: resized and padded alike.
    bright = batch["pixel_values_videos"][batch["video_indices"], :, 0] > 0
    for row, label in enumerate(batch["labels"]):
        seen = bright[row, : len(label["masks"])] if row != 1 else torch.zeros_like(label["masks"])
        assert (label["masks"] & seen).sum() >= 0.9 * (label["masks"] | seen).sum()
    assert batch["labels"][1]["visible"].tolist() == [False] * 3 and batch["labels"][0]["visible"].all()


def test_boxes_are_those_of_the_original_masks():
    boxes = SocDataCollator(tiny_processor())([make_clip(2, 64, 64)])["labels"][0]["boxes"]
    # Inclusive columns 8 to 19 and rows 8 to 19 of 64 in the second frame.
    assert boxes[1].tolist() == [13.5 / 64, 13.5 / 64, 11 / 64, 11 / 64]


def test_model_takes_the_batch():
    model = tiny_model("soc++").train()
    batch = SocDataCollator(tiny_processor())([make_clip(3, 32, 48, 3), make_clip(5, 32, 40)])
    model(**batch).loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None)


def test_one_annotated_frame():
    clips = [make_clip(5, 32, 48), make_clip(4, 32, 48)]
    collator = SocDataCollator(tiny_processor())
    clips[0].annotated_frame = 2
    with pytest.raises(ValueError, match="do not go together"):
        collator(clips)
    clips[1].annotated_frame = 3
    batch = collator(clips)
    assert batch["annotated_frame_indices"].tolist() == [2, 3]
    assert torch.equal(batch["labels"][0]["masks"][0], torch.from_numpy(clips[0].masks[0, 2]))
    assert torch.isfinite(tiny_model("soc").train()(**batch).loss)


def test_collator_keeps_the_size_of_resized_clips():
    batch = SocDataCollator(tiny_processor(), do_resize=False)([make_clip(2, 40, 56)])
    assert batch["pixel_values_videos"].shape[-2:] == batch["labels"][0]["masks"].shape[-2:] == (40, 56)


def test_official_windows_ask_for_what_is_seen(tmp_path: Path):
    masks = {"early": seen_in(10, 0, 1), "late": seen_in(10, 9), "never": seen_in(10), "always": seen_in(10, 0, 4, 8)}
    rows = make_rows(tmp_path, 10, "a", masks) + make_rows(tmp_path, 3, "b", {"short": seen_in(3, 2)})
    dataset = ClipDataset(rows, window_size=4)
    pairs = [(dataset[index].expressions, dataset[index].frames[:, 0, 0, 0] // 10) for index in range(len(dataset))]
    found = [(sorted(texts), frames.tolist()) for texts, frames in pairs]
    assert found == [
        (["always", "early", "never"], [0, 1, 2, 3]),
        (["always", "never"], [4, 5, 6, 7]),
        (["always", "late", "never"], [6, 7, 8, 9]),
        (["short"], [0, 1, 2, 2]),
    ]


def test_masks_are_read_once_until_one_of_them_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """For all that is made of a table; and none at all where the windows do not depend on them."""
    read: list[str] = []
    monkeypatch.setattr(clips, "target_presence", lambda row: read.append(row["sample_id"]) or target_presence(row))
    make_refer_youtube_vos(tmp_path)
    table = load_refer_youtube_vos(tmp_path, "train")
    expected = ClipDataset(table.to_list()).windows
    assert read == table["sample_id"][:]
    ClipDataset(table, "whole")
    for policy in ("soc", "referformer", "soc"):
        again = ClipDataset(load_refer_youtube_vos(tmp_path, "train"), policy)
    assert read == 2 * table["sample_id"][:] and again.windows == expected
    path = Path(table[0]["mask_paths"][0])
    Image.fromarray(np.zeros_like(read_label_image(path))).save(path)
    ClipDataset(table)
    assert read == 3 * table["sample_id"][:]


@pytest.mark.parametrize(
    ("policy", "windows"), [("soc", [2, 2, 2, 2, 2]), ("referformer", [2, 1, 1, 1, 2]), ("whole", [1, 1, 1, 1, 1])]
)
def test_every_pair_comes_once_in_an_epoch(tmp_path: Path, policy: str, windows: list[int]):
    rows = make_rows(tmp_path, 9, "a", {str(number): seen_in(9, number, 8) for number in range(5)})
    dataset = ClipDataset(rows, policy, window_size=4, expressions_per_clip=2, augmentation=Augmentation(), seed=5)
    epochs = [[dataset[epoch, index] for index in range(len(dataset))] for epoch in (0, 1)]
    texts = [Counter(text for clip in clips for text in clip.expressions) for clips in epochs]
    assert texts[0] == texts[1] == {str(number): count for number, count in enumerate(windows)}
    assert [clip.expressions for clip in epochs[0]] != [clip.expressions for clip in epochs[1]]
    again = ClipDataset(rows, policy, window_size=4, expressions_per_clip=2, augmentation=Augmentation(), seed=5)
    again.set_epoch(1)
    for index in reversed(range(len(again))):
        assert again[index].expressions == epochs[1][index].expressions
        assert np.array_equal(again[index].frames, epochs[1][index].frames)


def test_annotated_frames_give_windows_around_them(tmp_path: Path):
    rows = make_rows(tmp_path, 9, "a", {"one": seen_in(9, 2)}, annotated_frame_indices=[2])
    other = dict(rows[0], annotated_frame_indices=[8], sample_id="other")
    assert group_by_video([*rows, other, dict(rows[0])]) == [[0, 2], [1]]
    dataset = ClipDataset([*rows, other], "whole", window_size=6)
    assert [(dataset[index].frames[:, 0, 0, 0] // 10).tolist() for index in (0, 1)] == [
        [0, 0, 1, 2, 3, 4],
        [5, 6, 7, 8, 8, 8],
    ]
    assert dataset[0].annotated_frame == 3


def test_images_become_pseudo_videos(tmp_path: Path):
    rows = make_rows(tmp_path, 1, "a", {"one": seen_in(1, 0)})
    assert ClipDataset(rows, window_size=3)[0].frames.shape == (3, 24, 32, 3)
    assert ClipDataset(rows, window_size=1)[0].frames.shape == (1, 24, 32, 3)


def test_bad_choices_are_refused():
    with pytest.raises(ValueError, match="soc, referformer, whole"):
        ClipDataset([], "windows")
    with pytest.raises(ValueError, match="needs a window_size"):
        ClipDataset([], "soc", window_size=None)
    with pytest.raises(ValueError, match="nothing to train on"):
        EpochStream(0, 2)


def test_png_masks(tmp_path: Path):
    rows = make_rows(tmp_path, 3, "a", {"one": seen_in(3, 0)})
    labels = np.arange(24 * 32, dtype=np.uint8).reshape(24, 32) % 4
    Image.fromarray(labels).save(tmp_path / "labels.png")
    paths = [None, str(tmp_path / "labels.png"), None]
    row = rows[0] | {"mask_format": "png_id", "mask_paths": paths, "mask_values": [1, 3]}
    assert np.array_equal(read_masks(row, [1, 2]), [labels % 2 == 1, np.zeros((24, 32))])
    assert ClipDataset([row], window_size=3)[0].masks.any((0, 2, 3)).tolist() == [False, True, False]
    with pytest.raises(ValueError, match="a/one: mask 1 is"):
        read_masks(row | {"height": 20}, [1])
    with pytest.raises(ValueError, match="'polygon' cannot be read"):
        read_masks(row | {"mask_format": "polygon"}, [1])


def test_class_labels_follow_the_categories(tmp_path: Path):
    rows = make_rows(tmp_path, 2, "a", {"one": seen_in(2, 0)}, category="dog")
    assert read_clip(rows, [0], class_names=["cat", "dog"]).class_labels == [1]
    batch = SocDataCollator(tiny_processor())([ClipDataset(rows, window_size=2, class_names=["cat", "dog"])[0]])
    assert int(batch["labels"][0]["class_labels"]) == 1


def test_stream_is_the_same_from_any_step_and_for_any_number_of_processes():
    alone = list(islice(EpochStream(7, 4, seed=3), 8))
    samples = [key for batch in alone for key in batch]
    for epoch in range(4):
        own = samples[7 * epoch : 7 * (epoch + 1)]
        assert sorted(own) == [(epoch, index) for index in range(7)]
    assert samples[:7] != [(0, index) for _, index in samples[7:14]]
    assert list(islice(EpochStream(7, 4, seed=3, start=3), 5)) == alone[3:]
    halves = [list(islice(EpochStream(7, 2, rank, 2, seed=3), 8)) for rank in range(2)]
    assert [first + second for first, second in zip(*halves, strict=True)] == alone

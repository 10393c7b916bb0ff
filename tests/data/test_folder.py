# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import gray_frames
from PIL import Image

from transformers_soc.data.clips import read_clip
from transformers_soc.data.folder import load_folder
from transformers_soc.data.pixels import read_frames, target_presence
from transformers_soc.data.schema import COMMON_FEATURES
from transformers_soc.video_io import write_video

SENTENCES = [
    {"video": "cups", "expression": "the upper cup", "objects": [1], "kind": "static"},
    {"video": "ball", "expression": "the ball", "objects": ["ball"]},
    {"video": "cups", "expression": "both cups", "objects": [1, 2], "category": "cup"},
    {"video": "cups", "expression": "a dog", "objects": []},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Frames with palette images, in which object 2 is absent at first, and a video file with an image per object."""
    for part in ("videos/cups", "masks/cups", "masks/ball/ball"):
        (tmp_path / part).mkdir(parents=True)
    for index in range(3):
        Image.new("RGB", (48, 32), (10 * index, 0, 0)).save(tmp_path / f"videos/cups/f{index}.png")
        labels = np.zeros((32, 48), np.uint8)
        labels[:8, :10] = 1
        labels[20:, 30:] = 2 if index else 0
        image = Image.fromarray(labels, "L").convert("P", palette=Image.Palette.WEB)
        image.putdata(labels.flatten().tolist())
        image.save(tmp_path / f"masks/cups/f{index}.png")
    write_video(tmp_path / "videos/ball.mp4", gray_frames(6), fps=10)
    mask = np.zeros((32, 48), np.uint8)
    mask[4:9, 5:20] = 255
    Image.fromarray(mask).save(tmp_path / "masks/ball/ball/00002.png")
    Image.fromarray(np.repeat(mask[..., None], 3, 2)).save(tmp_path / "masks/ball/ball/00005.png")
    (tmp_path / "sentences.json").write_text(json.dumps({"train": SENTENCES, "validation": SENTENCES[:1]}))
    return tmp_path


def test_rows_of_the_common_schema(folder: Path):
    table = load_folder(folder, "train")
    assert table.features == COMMON_FEATURES and len(load_folder(folder, "validation")) == 1
    assert table["sample_id"][:] == [f"folder/train/{name}" for name in ("cups/0", "ball/0", "cups/1", "cups/2")]
    assert table["no_target"][:] == [False, False, False, True]
    assert table["expression_type"][:] == ["static", None, None, None]
    assert table["num_frames"][:] == [3, 6, 3, 3] and table[0]["height"] == 32 and table[1]["width"] == 48
    assert table[0]["fps"] is None and table[1]["fps"] == 10
    assert table[2]["frame_names"] == ["f0", "f1", "f2"]
    assert [target_presence(row).tolist() for row in table] == [
        [True] * 3,
        [False, False, True, False, False, True],
        [True] * 3,
        [False] * 3,
    ]


def test_pixels_of_frames_and_files(folder: Path):
    table = load_folder(folder, "train")
    clip = read_clip([table[0], table[2], table[3]], [2, 0])
    assert clip.frames[:, 0, 0, 0].tolist() == [20, 0]
    assert clip.masks.sum((2, 3)).tolist() == [[80, 80], [80 + 12 * 18, 80], [0, 0]]
    assert clip.masks[0, 0, :8, :10].all()
    frames = read_frames(table[1], [5, 2, 2])
    assert np.round(frames.mean((1, 2, 3)) / 10).tolist() == [5, 2, 2]
    assert read_clip([table[1]], [2, 3, 5]).masks.sum((0, 2, 3)).tolist() == [75, 0, 75]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"video": "cups", "expression": "a cup", "objects": [7]}, "the object '7'; its objects are 1, 2"),
        ({"video": "cups", "expression": " ", "objects": [1]}, "the expression is missing"),
        ({"video": "cups", "objects": [1]}, "expression is missing"),
        ({"video": "cups", "expression": "a cup", "objects": 1}, "'objects' must not be 1"),
        ({"video": "cups", "expression": "a cup", "objects": [1], "colour": "red"}, "'colour' must not be 'red'"),
        ({"video": "cats", "expression": "a cat", "objects": [1]}, "no videos"),
        ("the cup", "must be an object with video"),
    ],
)
def test_bad_sentences(folder: Path, entry: dict, message: str):
    (folder / "sentences.json").write_text(json.dumps({"train": [entry]}))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_folder(folder, "train")


def test_bad_files(folder: Path):
    with pytest.raises(ValueError, match="no split 'test'; its splits are train, validation"):
        load_folder(folder, "test")
    image = folder / "masks/cups/f1.png"
    Image.new("L", (10, 10)).save(image)
    with pytest.raises(ValueError, match=r"f1\.png is 10x10, but the frames are 48x32"):
        load_folder(folder)
    image.rename(folder / "masks/cups/f9.png")
    with pytest.raises(ValueError, match=r"f9\.png belongs to no frame: the frames are named f0 to f2"):
        load_folder(folder)
    (folder / "masks/cups").rename(folder / "masks/mugs")
    with pytest.raises(FileNotFoundError, match="masks/cups"):
        load_folder(folder)

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from miniature_refer_youtube_vos import ODD_TEXTS, Truth, make_refer_youtube_vos
from transformers.testing_utils import CaptureLogger

from transformers_soc.data import refer_youtube_vos, tables
from transformers_soc.data.clips import ClipDataset
from transformers_soc.data.pixels import read_frames, read_masks
from transformers_soc.data.refer_youtube_vos import load_refer_youtube_vos
from transformers_soc.data.schema import COMMON_FEATURES

Made = tuple[Path, Truth]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The older release; nothing may be changed in it."""
    root = tmp_path_factory.mktemp("ref_youtube_vos")
    return root, make_refer_youtube_vos(root)


@pytest.fixture
def own(made: Made, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(made[0], tmp_path / "own")


def edit(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content["videos"])
    path.write_text(json.dumps(content))


def tree_hash(root: Path) -> str:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return hashlib.sha256(
        b"".join(str(path.relative_to(root)).encode() + path.read_bytes() for path in files)
    ).hexdigest()


def test_same_files_from_same_seed(made: Made, tmp_path: Path):
    make_refer_youtube_vos(tmp_path / "again")
    make_refer_youtube_vos(tmp_path / "other", seed=1)
    assert tree_hash(made[0]) == tree_hash(tmp_path / "again") != tree_hash(tmp_path / "other")


def test_rows_of_the_training_set(made: Made):
    table = load_refer_youtube_vos(made[0], "train")
    assert table.features == COMMON_FEATURES and len(table) == 18
    assert table["sample_id"][:] == sorted(table["sample_id"][:])
    first, last = table[0], table[17]
    assert first["sample_id"] == "ref_youtube_vos/train/0a11c8d2f0/0" and last["sample_id"].endswith("e7741b90c3/5")
    assert (first["dataset"], first["split"], first["expression_id"]) == ("ref_youtube_vos", "train", "0")
    assert (first["num_frames"], first["height"], first["width"]) == (6, 54, 96)
    assert first["frame_names"] == ["00000", "00005", "00010", "00015", "00020", "00025"]
    assert first["frames"][5] == str(made[0] / "train/JPEGImages/0a11c8d2f0/00025.jpg")
    assert first["mask_paths"][5] == str(made[0] / "train/Annotations/0a11c8d2f0/00025.png")
    assert first["annotated_frame_indices"] == list(range(6)) and first["no_target"] is False
    assert (last["object_ids"], last["mask_values"], last["category"]) == (["3"], [3], "truck")
    unused = ("dataset_version", "expression_type", "annotator", "fps", "audio_path", "annotation_ids", "mask_rles")
    assert [first[name] for name in unused] == [None] * 7


def test_texts_and_ids_are_as_stored(made: Made):
    table = load_refer_youtube_vos(made[0], "train")
    texts = {(row["video_id"], row["expression_id"]): row["expression"] for row in table}
    assert {key: texts[key] for key in ODD_TEXTS} == ODD_TEXTS
    objects = {row["object_ids"][0] for row in table if row["video_id"] == "5c09f1e2d4"}
    assert objects == {"1", "3"}


def test_frames_that_start_late_or_have_a_gap(made: Made):
    names = {row["video_id"]: row["frame_names"] for row in load_refer_youtube_vos(made[0], "validation")}
    assert names["2f8d10b6e1"][:2] == ["00025", "00030"] and names["2f8d10b6e1"][-1] == "00055"
    assert names["40c3aa917e"][2:6] == ["00010", "00015", "00025", "00030"]


def test_order_of_frames_and_expressions(own: Path):
    path = own / "meta_expressions/valid/meta_expressions.json"

    def shuffle(videos: dict) -> None:
        entry = videos["9d62e05b18"]
        entry["frames"].reverse()
        entry["expressions"] = {str(index): {"exp": f"text {index}"} for index in (10, 9, 2, 0, 11)}

    edit(path, shuffle)
    rows = [row for row in load_refer_youtube_vos(own, "valid") if row["video_id"] == "9d62e05b18"]
    assert [row["expression"] for row in rows] == [f"text {index}" for index in (0, 2, 9, 10, 11)]
    assert rows[0]["frame_names"] == sorted(rows[0]["frame_names"])


def test_masks_are_the_drawn_ones(made: Made):
    root, truth = made
    for row in load_refer_youtube_vos(root, "train"):
        masks = read_masks(row, range(row["num_frames"]))
        assert np.array_equal(masks, truth[row["video_id"]] == int(row["object_ids"][0]))
        assert masks.any() and read_frames(row, [2]).shape == (1, *masks.shape[1:], 3)


def test_hidden_ground_truth(made: Made):
    for split, count in (("validation", 17), ("test", 8)):
        table = load_refer_youtube_vos(made[0], split)
        assert len(table) == count
        for row in table:
            assert row["mask_format"] == "none" and row["object_ids"] == row["annotated_frame_indices"] == []
            assert row["no_target"] is row["mask_paths"] is row["mask_values"] is row["category"] is None
    with pytest.raises(ValueError, match="'none' cannot be read"):
        read_masks(table[0], [0])


def test_ground_truth_of_the_validation_set(tmp_path: Path):
    truth = make_refer_youtube_vos(tmp_path, valid_truth=True)
    table = load_refer_youtube_vos(tmp_path, "validation")
    assert len(table) == 17 and set(table["mask_format"][:]) == {"png_id"}
    row = table[16]
    assert np.array_equal(read_masks(row, range(36)), truth["c81f7734d9"] == row["mask_values"][0])
    shutil.rmtree(tmp_path / "valid/Annotations")
    assert set(load_refer_youtube_vos(tmp_path, "validation")["mask_format"][:]) == {"none"}


def test_videos_of_the_test_set_are_left_out(made: Made, own: Path):
    whole = load_refer_youtube_vos(made[0], "validation")
    assert len(set(whole["video_id"][:])) == 4
    (own / "meta_expressions/test/meta_expressions.json").unlink()
    with CaptureLogger(refer_youtube_vos.logger) as log:
        table = load_refer_youtube_vos(own, "validation")
    assert table["sample_id"][:] == whole["sample_id"][:] and "the 2 videos without a folder" in log.out


def test_without_test_meta_and_with_all_folders(tmp_path: Path):
    make_refer_youtube_vos(tmp_path, test_meta=False)
    with CaptureLogger(refer_youtube_vos.logger) as log:
        assert len(load_refer_youtube_vos(tmp_path, "validation")) == 17
    assert log.out == ""
    (tmp_path / "valid/JPEGImages").rename(tmp_path / "valid/frames")
    (tmp_path / "valid/JPEGImages").mkdir()
    with pytest.raises(FileNotFoundError, match="has no folder of any video"):
        load_refer_youtube_vos(tmp_path, "validation")


def test_without_categories(tmp_path: Path):
    make_refer_youtube_vos(tmp_path, objects_meta=False)
    table = load_refer_youtube_vos(tmp_path, "train")
    assert table["category"][:] == [None] * 18 and table["object_ids"][10] == ["3"]


def test_aliases_of_splits(made: Made):
    table = load_refer_youtube_vos(made[0], "valid")
    assert str(table.split) == "validation" and set(table["split"][:]) == {"validation"}
    with pytest.raises(ValueError, match="no split 'val'; the splits are train, validation, test"):
        load_refer_youtube_vos(made[0], "val")


def test_windows_for_training(made: Made):
    table = load_refer_youtube_vos(made[0], "train")
    found = [
        (table[window.rows[0]]["video_id"], [int(table[row]["expression_id"]) for row in window.rows], window.frames)
        for window in ClipDataset(table, "soc", 8).windows
    ]
    assert found == [
        ("0a11c8d2f0", [0, 1, 2, 3], [0, 1, 2, 3, 4, 5, 5, 5]),
        ("1b5e3307aa", [0, 1, 2, 3], list(range(8))),
        ("5c09f1e2d4", [0, 1, 2, 3], list(range(8))),
        ("5c09f1e2d4", [0, 1, 2, 3], list(range(3, 11))),
        ("e7741b90c3", [0, 1, 4, 5], list(range(8))),
        ("e7741b90c3", [0, 1, 2, 3, 4, 5], list(range(8, 16))),
        ("e7741b90c3", [0, 1, 2, 3, 4, 5], list(range(9, 17))),
    ]


def test_clips_of_the_short_video(made: Made):
    root, truth = made
    table = load_refer_youtube_vos(root, "train")
    clip = ClipDataset(table, "soc", 8, expressions_per_clip=1)[0]
    item = 1 if clip.expressions[0] in table["expression"][:2] else 2
    expected = truth["0a11c8d2f0"][[0, 1, 2, 3, 4, 5, 5, 5]] == item
    assert clip.frames.shape == (8, 54, 96, 3) and np.array_equal(clip.masks[0], expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("train/JPEGImages", "train/JPEGImages' is missing: it should hold the frames of the split train"),
        ("train/Annotations", "train/Annotations' is missing: it should hold the masks of the split train"),
        ("meta_expressions/train/meta_expressions.json", "meta_expressions.json' is missing"),
        ("train/JPEGImages/1b5e3307aa", "1b5e3307aa' is missing: it should hold the frames of the video"),
        ("train/Annotations/1b5e3307aa", "1b5e3307aa' is missing: it should hold the masks of the video"),
        ("train/JPEGImages/1b5e3307aa/00030.jpg", r"1b5e3307aa/00030\.jpg' is missing, a frame that the meta file"),
        ("train/Annotations/1b5e3307aa/00030.png", r"1b5e3307aa/00030\.png' is missing, a frame that the meta file"),
    ],
)
def test_missing_files(own: Path, name: str, message: str):
    (own / name).rename(own / "elsewhere")
    with pytest.raises(FileNotFoundError, match=message):
        load_refer_youtube_vos(own, "train")


@pytest.mark.parametrize(
    ("objects_meta", "end"), [(True, "the objects of the video are 1, 3"), (False, "none of its")]
)
def test_unknown_object(tmp_path: Path, objects_meta: bool, end: str):
    make_refer_youtube_vos(tmp_path, objects_meta=objects_meta)
    path = tmp_path / "meta_expressions/train/meta_expressions.json"
    edit(path, lambda videos: videos["5c09f1e2d4"]["expressions"]["1"].update(obj_id="2"))
    message = f"{path}': expression '1' of the video '5c09f1e2d4' is about the object '2'"
    for streaming in (False, True):
        with pytest.raises(ValueError, match=f"{message}.*{end}"):
            list(load_refer_youtube_vos(tmp_path, "train", streaming=streaming))
    with CaptureLogger(tables.logger) as log:
        table = load_refer_youtube_vos(tmp_path, "train", on_error="skip")
    assert len(table) == 17 and "ref_youtube_vos/train/5c09f1e2d4/1" not in table["sample_id"][:]
    assert message in log.out and "1 of 18 rows" in log.out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda videos: videos["1b5e3307aa"].pop("frames"), "'1b5e3307aa' lacks 'expressions' or 'frames'"),
        (lambda videos: videos["1b5e3307aa"]["expressions"]["2"].pop("exp"), "expression '2' of '1b5e3307aa' lacks"),
        (lambda videos: videos["1b5e3307aa"]["expressions"]["2"].pop("obj_id"), "'1b5e3307aa' has no object"),
        (lambda videos: videos.clear(), "the split 'train' has no expressions"),
    ],
)
def test_damaged_meta_file(own: Path, change: Callable[[dict], object], message: str):
    edit(own / "meta_expressions/train/meta_expressions.json", change)
    with pytest.raises(ValueError, match=message):
        load_refer_youtube_vos(own, "train")


def test_damaged_categories(own: Path):
    edit(own / "train/meta.json", lambda videos: videos["1b5e3307aa"]["objects"]["1"].clear())
    with pytest.raises(ValueError, match=r"meta\.json' does not give the category of each object"):
        load_refer_youtube_vos(own, "train")


def test_frames_of_different_sizes_are_rejected(tmp_path: Path):
    make_refer_youtube_vos(tmp_path, uneven_video=True)
    row = load_refer_youtube_vos(tmp_path, "train")[4]
    assert row["video_id"] == "1b5e3307aa"
    with pytest.raises(ValueError, match="frames of different sizes in one video"):
        read_frames(row, range(8))

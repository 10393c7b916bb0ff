# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from miniature_refer_davis import Truth, convert_refer_davis, make_refer_davis
from transformers.testing_utils import CaptureLogger

from transformers_soc.data import refer_davis, tables
from transformers_soc.data.pixels import read_masks, target_presence
from transformers_soc.data.refer_davis import load_refer_davis
from transformers_soc.data.schema import COMMON_FEATURES

Made = tuple[Path, Truth]
FULL_2 = "davis_text_annotations/Davis17_annot2_full_video.txt"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The data set as its authors give it out; nothing may be changed in it."""
    root = tmp_path_factory.mktemp("ref_davis")
    return root, make_refer_davis(root)


@pytest.fixture
def own(made: Made, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(made[0], tmp_path / "own")


def tree(root: Path) -> dict[str, tuple[int, str]]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


def test_same_files_from_same_seed(made: Made, tmp_path: Path):
    make_refer_davis(tmp_path)
    again = {name.removeprefix(str(tmp_path)): digest for name, (_, digest) in tree(tmp_path).items()}
    assert again == {name.removeprefix(str(made[0])): digest for name, (_, digest) in tree(made[0]).items()}


def test_rows_of_the_validation_set(made: Made):
    table = load_refer_davis(made[0], "validation")
    assert table.features == COMMON_FEATURES and len(table) == 4 + 40 + 8
    order = [("blackswan", 4), ("gold-fish", 40), ("motorbike", 8)]
    ids = [f"ref_davis17/validation/{video}/{index}" for video, count in order for index in range(count)]
    assert table["sample_id"][:] == ids
    first, last = table[0], table[51]
    assert (first["dataset"], first["split"], first["num_frames"]) == ("ref_davis17", "validation", 36)
    assert (first["height"], first["width"], first["category"]) == (48, 85, "fish")
    assert first["frame_names"] == [f"{index:05d}" for index in range(36)]
    assert first["frames"][35] == str(made[0] / "DAVIS/JPEGImages/480p/blackswan/00035.jpg")
    assert first["mask_paths"][35] == str(made[0] / "DAVIS/Annotations_unsupervised/480p/blackswan/00035.png")
    assert first["annotated_frame_indices"] == list(range(36)) and first["no_target"] is False
    assert (last["object_ids"], last["mask_values"], last["expression_type"]) == (["2"], [2], "a2_full")


def test_ids_follow_annotators_and_objects_as_strings(made: Made):
    rows = [row for row in load_refer_davis(made[0], "validation") if row["video_id"] == "gold-fish"]
    objects = ["1", "10", "2", "3", "4", "5", "6", "7", "8", "9"]
    assert [row["object_ids"] for row in rows] == [[item] for item in objects for _ in range(4)]
    assert [row["annotator"] for row in rows] == [0, 1, 2, 3] * 10
    assert [row["expression_type"] for row in rows] == ["a1_first", "a1_full", "a2_first", "a2_full"] * 10
    text = rows[4]["expression"].removeprefix("a ")
    assert [row["expression"] for row in rows[4:8]] == [
        f"a {text}",
        f"the {text} to the end",
        f"a {text}, passé",
        f'on a café bar the "{text}"',
    ]


def test_missing_line_ends_the_expressions_of_a_video(made: Made):
    with CaptureLogger(refer_davis.logger) as log:
        table = load_refer_davis(made[0], "train")
    assert table["video_id"][:] == ["classic-car"] * 4 + ["dogs-scale"] * 4
    # The file that lacks object 1 speaks of object 2 instead, as in the official conversion.
    assert table["object_ids"][4:] == [["1"], ["1"], ["1"], ["2"]]
    assert "'dogs-scale'" in log.out and "the first 1" in log.out and "classic-car" not in log.out


def test_masks_are_the_drawn_ones(made: Made):
    root, truth = made
    table = load_refer_davis(root, "validation")
    for row in (table[0], *(table[index] for index in range(4, 52, 4))):
        masks = read_masks(row, range(row["num_frames"]))
        assert np.array_equal(masks, truth[row["video_id"]] == int(row["object_ids"][0])) and masks.any()
    assert (truth["blackswan"][5] == 255).any()
    assert target_presence(table[44]).tolist() == [False] + [True] * 39
    assert target_presence(table[48]).tolist() == [True] * 30 + [False] * 10


def test_aliases_of_splits(made: Made):
    assert [len(load_refer_davis(str(made[0]), split)) for split in ("valid", "val", "train")] == [52, 52, 8]
    with pytest.raises(ValueError, match="no split 'test'; the splits are train, validation"):
        load_refer_davis(made[0], "test")


def test_converted_folder_gives_the_same_rows(made: Made, tmp_path: Path):
    expressions: dict[str, dict] = {}
    before = tree(made[0])
    for split in ("train", "validation"):
        for row in load_refer_davis(made[0], split):
            entry = {"exp": row["expression"], "obj_id": row["object_ids"][0]}
            expressions.setdefault(row["video_id"], {})[row["expression_id"]] = entry
    convert_refer_davis(made[0], tmp_path, expressions)
    for split in ("train", "validation"):
        raw, converted = load_refer_davis(made[0], split), load_refer_davis(tmp_path, split)
        paths = ["frames", "mask_paths"]
        assert raw.remove_columns(paths).to_list() == converted.remove_columns(paths).to_list()
        assert converted[0]["frames"][0].startswith(str(tmp_path)) and read_masks(converted[0], [0]).any()
    assert tree(made[0]) == before


def test_frames_that_come_later_are_seen(own: Path):
    before = load_refer_davis(own, "validation")[0]
    for path in (before["frames"][35], before["mask_paths"][35]):
        shutil.copy(path, path.replace("00035", "00036"))
    after = load_refer_davis(own, "validation")[0]
    assert after["frame_names"] == [*before["frame_names"], "00036"] and after["num_frames"] == 37


def test_without_categories(tmp_path: Path):
    make_refer_davis(tmp_path, semantics=False)
    table = load_refer_davis(tmp_path, "validation")
    assert table["category"][:] == [None] * 52 and table["object_ids"][51] == ["2"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("DAVIS", r"DAVIS' is missing: it should hold DAVIS 2017; or convert Ref-DAVIS17"),
        ("DAVIS/ImageSets/2017/val.txt", r"val\.txt' is missing: it should hold the videos"),
        ("DAVIS/JPEGImages/480p", "480p' is missing: it should hold the frames"),
        ("DAVIS/Annotations_unsupervised/480p/motorbike", "motorbike' is missing: it should hold the masks"),
        ("DAVIS/JPEGImages/480p/motorbike/00039.jpg", r"motorbike/00039\.jpg' is missing, a frame that its folder"),
        ("DAVIS/Annotations_unsupervised/480p/motorbike/00003.png", r"motorbike/00003\.png' is missing, a frame"),
        (FULL_2, r"annot2_full_video\.txt' is missing: it should hold expressions"),
    ],
)
def test_missing_files(own: Path, name: str, message: str):
    (own / name).rename(own / "elsewhere")
    with pytest.raises(FileNotFoundError, match=message):
        load_refer_davis(own, "validation")


def test_video_without_frames(own: Path):
    for folder in ("JPEGImages", "Annotations_unsupervised"):
        shutil.rmtree(own / "DAVIS" / folder / "480p/blackswan")
        (own / "DAVIS" / folder / "480p/blackswan").mkdir()
    with pytest.raises(FileNotFoundError, match="blackswan' has no frames"):
        load_refer_davis(own, "validation")


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (FULL_2, (b"blackswan", b"black-swan"), "annot2_full_video.txt' has no expression of the video 'blackswan'"),
        (FULL_2, (b'blackswan 1 "', b'\nblackswan\n"'), "line .*: must be a video, an object and an expression"),
        (FULL_2, (b'blackswan 1 "', b'\nblackswan 1\n"'), "line .*: must be a video, an object and an expression"),
        (FULL_2.replace("2_full", "1_full"), (b"the end", b"caf\xe9"), "annot1_full_video.txt' is not utf-8 text"),
    ],
)
def test_damaged_expressions(own: Path, file: str, change: tuple[bytes, bytes], message: str):
    path = own / file
    path.write_bytes(path.read_bytes().replace(*change))
    with pytest.raises(ValueError, match=message):
        load_refer_davis(own, "validation")


@pytest.mark.parametrize("semantics", [True, False])
def test_unknown_object(tmp_path: Path, semantics: bool):
    make_refer_davis(tmp_path, semantics=semantics)
    path = tmp_path / FULL_2
    path.write_bytes(path.read_bytes().replace(b"blackswan 1", b"blackswan 3"))
    message = f"{path}': expression '3' of the video 'blackswan' is about the object '3'"
    with pytest.raises(ValueError, match=message):
        load_refer_davis(tmp_path, "validation")
    with CaptureLogger(tables.logger) as log:
        table = load_refer_davis(tmp_path, "validation", on_error="skip")
    assert len(table) == 51 and message in log.out and "1 of 52 rows" in log.out

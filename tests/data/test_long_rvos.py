# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import json
from pathlib import Path

import numpy as np
import pytest
from miniature_long_rvos import ABSENT, Truth, make_long_rvos
from PIL import Image

from transformers_soc.data.long_rvos import load_long_rvos
from transformers_soc.data.pixels import read_masks, target_presence
from transformers_soc.data.schema import COMMON_FEATURES


@pytest.fixture
def long_rvos(tmp_path: Path) -> tuple[Path, Truth]:
    return tmp_path, make_long_rvos(tmp_path)


def target(row: dict) -> np.ndarray:
    return read_masks(row, range(row["num_frames"]))


def test_rows_and_their_order(long_rvos: tuple[Path, Truth], caplog: pytest.LogCaptureFixture):
    table = load_long_rvos(long_rvos[0], "train")
    assert table.features == COMMON_FEATURES and table["expression_id"][:] == ["0", "1", "2", "3", "10"]
    assert table["object_ids"][:] == [["0"], ["1"], ["0"], ["1"], []]
    assert table["no_target"][:] == [False] * 4 + [True]
    assert table["expression_type"][:] == ["static", "dynamic", "hybrid", None, "static"]
    assert "gives 1 of 5 expressions no type" in caplog.text
    row = table[0]
    assert (row["num_frames"], row["height"], row["width"], row["fps"]) == (60, 27, 48, None)
    assert row["mask_values"] == [255] and row["sample_id"] == "long_rvos/train/long_0001/0"


def test_masks_are_those_that_were_drawn(long_rvos: tuple[Path, Truth]):
    rows = [row for split in ("train", "valid") for row in load_long_rvos(long_rvos[0], split)]
    assert {row["sample_id"] for row in rows} == set(long_rvos[1])
    for row in rows:
        assert np.array_equal(target(row), long_rvos[1][row["sample_id"]])
    assert (target(rows[0]) & target(rows[1])).any(), "objects overlap"


def test_frames_without_a_mask_show_no_object(long_rvos: tuple[Path, Truth]):
    row = load_long_rvos(long_rvos[0], "train")[0]
    missing = [index for index, path in enumerate(row["mask_paths"]) if path is None]
    assert missing == list(range(60))[ABSENT] and len(row["annotated_frame_indices"]) == 60
    assert np.flatnonzero(~target_presence(row)).tolist() == missing


def test_masks_of_test_are_optional(tmp_path: Path):
    make_long_rvos(tmp_path / "hidden")
    row = load_long_rvos(tmp_path / "hidden", "test")[0]
    assert (row["mask_format"], row["no_target"], row["object_ids"]) == ("none", None, ["0"])
    assert row["annotated_frame_indices"] == [] and row["mask_paths"] is None
    (tmp_path / "hidden/test/Annotations.tar.gz").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"unpack it with `tar -xf .*Annotations.tar.gz -C .*test`"):
        load_long_rvos(tmp_path / "hidden", "test")
    truth = make_long_rvos(tmp_path / "known", test_masks=True)
    for row in load_long_rvos(tmp_path / "known", "test"):
        assert np.array_equal(target(row), truth[row["sample_id"]])


def test_masks_that_come_later_are_seen(long_rvos: tuple[Path, Truth]):
    assert load_long_rvos(long_rvos[0], "train")[0]["mask_paths"][20] is None
    folder = long_rvos[0] / "train/Annotations/long_0001/0"
    Image.open(folder / "00019.png").save(folder / "00020.png")
    assert load_long_rvos(long_rvos[0], "train")[0]["mask_paths"][20] == str(folder / "00020.png")


def test_missing_files(long_rvos: tuple[Path, Truth]):
    root = long_rvos[0]
    (root / "train/JPEGImages/long_0001/00007.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"long_rvos/train/long_0001/0: .*00007.jpg' is missing"):
        load_long_rvos(root, "train")
    (root / "valid/Annotations").rename(root / "valid/Masks")
    with pytest.raises(FileNotFoundError, match="Annotations' is missing: it should hold the masks of the split"):
        load_long_rvos(root, "validation")
    (root / "test/JPEGImages").rename(root / "test/JPEGImages.tar.gz")
    with pytest.raises(FileNotFoundError, match="unpack it with"):
        load_long_rvos(root, "test")
    (root / "test/meta_expressions.json").write_text("{")
    with pytest.raises(FileNotFoundError, match="JPEGImages' is missing"):
        load_long_rvos(root, "test")
    with pytest.raises(ValueError, match="there is no split 'val'; the splits are train, validation, test"):
        load_long_rvos(root, "val")


def test_unknown_objects_are_named_or_left_out(long_rvos: tuple[Path, Truth], caplog: pytest.LogCaptureFixture):
    meta = long_rvos[0] / "train/meta_expressions.json"
    content = json.loads(meta.read_text())
    entry = content["videos"]["long_0001"]["expressions"]["2"]
    entry["obj_id"] = 7
    meta.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"long_rvos/train/long_0001/2: the object '7' is unknown"):
        load_long_rvos(long_rvos[0], "train")
    assert len(load_long_rvos(long_rvos[0], "train", on_error="skip")) == 4
    assert "1 of 5 rows of 'train' could not be made" in caplog.text
    entry["obj_id"] = [0, 1]
    meta.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"gives the obj_id \[0, 1\], not that of one object"):
        load_long_rvos(long_rvos[0], "train")


def test_masks_that_would_be_read_as_empty(long_rvos: tuple[Path, Truth]):
    folder = long_rvos[0] / "train/Annotations/long_0001/0"
    for path in folder.iterdir():
        path.rename(folder / f"frame_{path.name}")
    with pytest.raises(ValueError, match=r"frame_00000.png' is named as none of the frames"):
        load_long_rvos(long_rvos[0], "train")
    for path in folder.iterdir():
        Image.fromarray(np.asarray(Image.open(path)) // 255).save(path.with_name(path.name.removeprefix("frame_")))
    with pytest.raises(ValueError, match=r"long_0001/0: .*00000.png' has the values \[0, 1\], a mask has 0 and 255"):
        load_long_rvos(long_rvos[0], "train")

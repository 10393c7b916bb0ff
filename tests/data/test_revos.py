# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import json
from pathlib import Path

import numpy as np
import pytest
from miniature_revos import Truth, make_revos
from pycocotools import mask as coco_mask

from transformers_soc.data.pixels import read_masks
from transformers_soc.data.revos import load_revos, load_revos_foreground
from transformers_soc.data.schema import COMMON_FEATURES


@pytest.fixture
def revos(tmp_path: Path) -> tuple[Path, Truth, Truth]:
    return tmp_path, *make_revos(tmp_path)


def change_json(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_rows_and_their_order(revos: tuple[Path, Truth, Truth]):
    table = load_revos(revos[0], "train")
    assert table.features == COMMON_FEATURES and table["expression_id"][:] == ["0", "1", "2", "10"]
    assert table["expression_type"][:] == ["referring", "reasoning", "no_target", "referring"]
    assert table["no_target"][:] == [False, False, True, False]
    assert table["object_ids"][:] == [["0"], ["0", "1"], [], ["2"]]
    row = table[1]
    assert row["expression"] == "Which shapes could meet?" and row["annotation_ids"] == ["0", "1"]
    assert row["sample_id"] == "revos/train/OVIS/train_4f/clip_a/1" and row["frame_names"][0] == "00001"
    assert Path(row["frames"][19]) == revos[0] / "JPEGImages/OVIS/train_4f/clip_a/00020.jpg"
    other = load_revos(revos[0], "valid")[0]
    assert other["sample_id"] == "revos/validation/lv_0009/0" and other["frame_names"][-1] == "img_t"


def test_masks_are_those_that_were_drawn(revos: tuple[Path, Truth, Truth]):
    rows = [row for split in ("train", "validation") for row in load_revos(revos[0], split)]
    assert {row["sample_id"] for row in rows} == set(revos[1])
    for row in rows:
        masks = read_masks(row, range(20))
        assert np.array_equal(masks, revos[1][row["sample_id"]])
    assert [len(codes) for codes in rows[1]["mask_rles"]] == [2] * 15 + [1] * 5
    assert sum(coco_mask.area(rows[1]["mask_rles"][0])) > read_masks(rows[1], [0]).sum(), "objects overlap"
    assert {len(codes) for codes in rows[3]["mask_rles"]} == {1}, "parts of an object are one code"


def test_the_size_is_that_of_the_frames_where_the_meta_file_has_none(revos: tuple[Path, Truth, Truth]):
    def forget_size(content):
        del content["videos"]["lv_0009"]["height"], content["videos"]["lv_0009"]["width"]

    change_json(revos[0] / "meta_expressions_valid_.json", forget_size)
    row = load_revos(revos[0], "validation")[0]
    assert (row["height"], row["width"]) == (27, 48)


def test_foreground_is_the_union_of_all_objects(revos: tuple[Path, Truth, Truth]):
    foreground = load_revos_foreground(revos[0])
    assert set(foreground) == set(revos[2]) and load_revos_foreground(revos[0]) is foreground
    for name, codes in foreground.items():
        masks = coco_mask.decode(codes).astype(bool).transpose(2, 0, 1)
        assert np.array_equal(masks, revos[2][name])


def test_changed_files_are_read_anew(revos: tuple[Path, Truth, Truth]):
    before, foreground = load_revos(revos[0], "train")[0], load_revos_foreground(revos[0])
    meta, video = revos[0] / "meta_expressions_train_.json", before["video_id"]
    change_json(meta, lambda content: content["videos"][video]["expressions"]["0"].update(exp="said otherwise"))
    assert load_revos(revos[0], "train")[0]["expression"] == "said otherwise" != before["expression"]
    change_json(revos[0] / "mask_dict.json", lambda tracks: tracks.update({"0": [None] * 20}))
    assert load_revos(revos[0], "train")[0]["no_target"] and not before["no_target"]
    change_json(revos[0] / "mask_dict_foreground.json", lambda content: content.pop("lv_0009"))
    assert set(foreground) - set(load_revos_foreground(revos[0])) == {"lv_0009"}


def test_corrupt_foreground(revos: tuple[Path, Truth, Truth]):
    path = revos[0] / "mask_dict_foreground.json"
    change_json(path, lambda content: content["lv_0009"]["masks_rle"][4].update(counts="zz"))
    with pytest.raises(ValueError, match=r"mask 4 of the video 'lv_0009' is corrupt: its counts"):
        load_revos_foreground(revos[0])
    change_json(path, lambda content: content["lv_0009"].pop("masks_rle"))
    with pytest.raises(ValueError, match="gives the video 'lv_0009' no masks_rle"):
        load_revos_foreground(revos[0])
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"mask_dict_foreground.json' is missing"):
        load_revos_foreground(revos[0])


def test_missing_files(revos: tuple[Path, Truth, Truth]):
    for name, remedy in (
        ("JPEGImages", "the frames of both splits"),
        ("mask_dict.json", "the masks of both splits"),
        ("meta_expressions_valid_.json", "the expressions of the split validation"),
    ):
        (revos[0] / name).rename(revos[0] / "kept")
        with pytest.raises(FileNotFoundError, match=f"{name}' is missing: it should hold {remedy}"):
            load_revos(revos[0], "validation")
        (revos[0] / "kept").rename(revos[0] / name)
    (revos[0] / "JPEGImages/lv_0009/img_c.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"revos/validation/lv_0009/0: .*img_c.jpg' is missing"):
        load_revos(revos[0], "validation")
    with pytest.raises(ValueError, match="there is no split 'test'; the splits are train, validation"):
        load_revos(revos[0], "test")


@pytest.mark.parametrize(
    ("values", "message"),
    [({"anno_id": [77]}, "has no annotation '77'"), ({"type_id": 3}, "the type_id 3; known are 0, 1 and 2")],
)
def test_unknown_ids_are_named_or_left_out(revos: tuple[Path, Truth, Truth], values: dict, message: str):
    entry = "0"
    change_json(
        revos[0] / "meta_expressions_valid_.json",
        lambda content: content["videos"]["lv_0009"]["expressions"][entry].update(values),
    )
    with pytest.raises(ValueError, match=f"revos/validation/lv_0009/0: .*{message}"):
        load_revos(revos[0], "validation")
    kept = load_revos(revos[0], "validation", on_error="skip")
    assert kept["expression_id"][:] == ["1", "2", "10"]


def test_corrupt_codes_are_errors(revos: tuple[Path, Truth, Truth]):
    change_json(revos[0] / "mask_dict.json", lambda tracks: tracks["5"][3].append({"size": [27, 48], "counts": "5"}))
    with pytest.raises(ValueError, match=r"lv_0009/10: .*'img_d' in .*mask_dict.json', annotation '5', is corrupt"):
        load_revos(revos[0], "validation")

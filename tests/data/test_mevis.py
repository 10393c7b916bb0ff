# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import json
import os
from pathlib import Path

import numpy as np
import pytest
from miniature_mevis import ODD_VIDEO, Truth, make_mevis
from pycocotools import mask as coco_mask

from transformers_soc.data.mevis import load_mevis
from transformers_soc.data.pixels import read_frames, read_masks, rle_runs
from transformers_soc.data.schema import COMMON_FEATURES
from transformers_soc.video_io import masks_to_rle

ONE_FRAME = "0a7be3c411"


@pytest.fixture
def mevis(tmp_path: Path) -> tuple[Path, Truth]:
    return tmp_path, make_mevis(tmp_path)


def target(row: dict) -> np.ndarray:
    return read_masks(row, range(row["num_frames"]))


def change_json(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_rows_and_their_order(mevis: tuple[Path, Truth]):
    table = load_mevis(mevis[0], "train")
    assert table.features == COMMON_FEATURES and set(table["dataset_version"]) == {"v1"}
    assert len(table) == 3 * 4 + 11 and len(load_mevis(mevis[0], "valid_u")) == 8
    keys = [(row["video_id"], int(row["expression_id"])) for row in table]
    assert keys == sorted(keys) and keys[0] == (ONE_FRAME, 0)
    row = table[1]
    assert row["sample_id"] == f"mevis/train/{ONE_FRAME}/1" and row["object_ids"] == ["0", "1", "2"]
    assert row["expression"] == "all three shapes" and table[3]["expression"] == "the same Shape, said otherwise "
    assert table[0]["annotation_ids"] == table[3]["annotation_ids"] == ["3"]
    assert (row["num_frames"], row["height"], row["width"]) == (1, 27, 48) and row["audio_path"] is None


def test_masks_are_those_that_were_drawn(mevis: tuple[Path, Truth]):
    rows = [row for split in ("train", "validation_u") for row in load_mevis(mevis[0], split)]
    assert {row["sample_id"] for row in rows} == set(mevis[1])
    for row in rows:
        assert np.array_equal(target(row), mevis[1][row["sample_id"]])
        assert row["annotated_frame_indices"] == list(range(row["num_frames"]))
        assert read_frames(row, [-1]).shape == (1, row["height"], row["width"], 3)


def test_one_code_for_each_object_that_is_present(mevis: tuple[Path, Truth]):
    rows = {row["sample_id"]: row for row in load_mevis(mevis[0], "train")}
    group = rows[f"mevis/train/{ODD_VIDEO}/1"]
    assert [len(codes) for codes in group["mask_rles"][:7]] == [3, 3, 3, 2, 2, 2, 3]
    assert sum(coco_mask.area(group["mask_rles"][0])) > target(group)[0].sum()
    never = rows[f"mevis/train/{ODD_VIDEO}/4"]
    assert never["no_target"] and never["object_ids"] == never["annotation_ids"] == []
    assert not target(never).any() and rows[f"mevis/train/{ODD_VIDEO}/10"]["no_target"] is False


def test_hidden_ground_truth(mevis: tuple[Path, Truth]):
    rows = list(load_mevis(mevis[0], "valid"))
    assert len(rows) == 12 and [row["num_frames"] for row in rows[::4]] == [15, 80, 130]
    for row in rows:
        assert (row["mask_format"], row["no_target"], row["mask_rles"]) == ("none", None, None)
        assert row["annotated_frame_indices"] == row["object_ids"] == [] and row["split"] == "validation"


def test_frames_are_sorted_and_masks_bound_to_them(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    truth = make_mevis(tmp_path, unsorted=True)
    table = load_mevis(tmp_path, "train")
    assert [record.message for record in caplog.records if "3 videos out of order" in record.message]
    for row in table:
        assert row["frame_names"] == sorted(row["frame_names"])
        assert [Path(path).stem for path in row["frames"]] == row["frame_names"]
        assert np.array_equal(target(row), truth[row["sample_id"]])


def test_version_2_has_expressions_without_target_and_sound(tmp_path: Path):
    truth = make_mevis(tmp_path, version="v2")
    table = load_mevis(tmp_path, "train", version="v2")
    rows = {row["sample_id"]: row for row in table}
    assert len(table) == 4 * 6 + 7 and set(table["dataset_version"]) == {"v2"}
    absent = [f"mevis/train/{ONE_FRAME}/{number}" for number in (4, 5)]
    assert {name for name, row in rows.items() if row["no_target"]} > set(absent)
    for name, row in rows.items():
        assert row["no_target"] == (row["object_ids"] == []) == (not truth[name].any())
        assert np.array_equal(target(row), truth[name])
    assert rows[f"mevis/train/{ONE_FRAME}/0"]["audio_path"] == str(tmp_path / "train/audio/0.wav")
    assert rows[f"mevis/train/{ONE_FRAME}/1"]["audio_path"] is None
    assert len(load_mevis(tmp_path, "validation", version="v2")) == 18
    with pytest.raises(FileNotFoundError, match="load it with version='v2'"):
        load_mevis(tmp_path, "train")


def test_converted_form(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    truth = make_mevis(tmp_path, converted=True)
    rows = {row["sample_id"]: row for row in load_mevis(tmp_path, "train", mask_source="png")}
    for name, row in rows.items():
        assert np.array_equal(target(row), truth[name])
    group = rows[f"mevis/train/{ODD_VIDEO}/1"]
    assert group["mask_format"] == "png_id" and group["mask_values"] == [1, 2, 3]
    assert not target(rows[f"mevis/train/{ODD_VIDEO}/0"])[0].any(), "the second object covers the first one"
    never = rows[f"mevis/train/{ODD_VIDEO}/4"]
    assert never["no_target"] and never["object_ids"] == never["annotation_ids"] == never["mask_values"] == []
    assert f"mevis/train/{ODD_VIDEO}/4 has no target: no mask shows one of the objects 3" in caplog.text
    Path(group["mask_paths"][2]).unlink()
    with pytest.raises(FileNotFoundError, match=rf"mevis/train/{ODD_VIDEO}/0: .*00002.png' is missing"):
        load_mevis(tmp_path, "train", mask_source="png")
    meta = tmp_path / "meta_expressions/train/meta_expressions.json"
    change_json(meta, lambda content: content["videos"][ONE_FRAME]["expressions"]["0"].update(obj_id=["x"]))
    with pytest.raises(ValueError, match=rf"mevis/train/{ONE_FRAME}/0: obj_id \['x'\] are not numbers from 0"):
        load_mevis(tmp_path, "train", mask_source="png")


def test_a_changed_mask_dict_is_read_anew(mevis: tuple[Path, Truth]):
    assert not load_mevis(mevis[0], "train")[0]["no_target"]
    path = mevis[0] / "train/mask_dict.json"
    empty = masks_to_rle([np.zeros((27, 48), bool)])
    change_json(path, lambda tracks: tracks.update({"3": empty}))
    os.utime(path, ns=(1, 1))
    assert load_mevis(mevis[0], "train")[0]["no_target"]


def test_missing_files(mevis: tuple[Path, Truth]):
    root = mevis[0]
    (root / "train/mask_dict.json").rename(root / "kept.json")
    with pytest.raises(FileNotFoundError, match=r"train/mask_dict.json' is missing: it should hold the masks"):
        load_mevis(root, "train")
    (root / "kept.json").rename(root / "train/mask_dict.json")
    (root / f"train/JPEGImages/{ONE_FRAME}/00000.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=rf"mevis/train/{ONE_FRAME}/0: .*00000.jpg' is missing"):
        load_mevis(root, "train")
    (root / "train/JPEGImages").rename(root / "train/Images")
    with pytest.raises(FileNotFoundError, match="JPEGImages' is missing: it should hold the frames of the split"):
        load_mevis(root, "train")
    (root / "train/JPEGImages.tar").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"unpack it with `tar -xf .*JPEGImages.tar -C .*train`"):
        load_mevis(root, "train")
    (root / "train/meta_expressions.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"expressions.json' is missing: it should hold the expressions"):
        load_mevis(root, "train")


def test_broken_annotations_are_named_or_left_out(mevis: tuple[Path, Truth], caplog: pytest.LogCaptureFixture):
    meta = mevis[0] / "train/meta_expressions.json"
    entries = ["videos", ONE_FRAME, "expressions", "2"]

    def set_entry(**values):
        def change(content):
            for key in entries:
                content = content[key]
            content.update(values)

        change_json(meta, change)

    set_entry(anno_id=[99])
    with pytest.raises(ValueError, match=rf"mevis/train/{ONE_FRAME}/2: .*mask_dict.json' has no annotation '99'"):
        load_mevis(mevis[0], "train")
    assert len(load_mevis(mevis[0], "train", on_error="skip")) == 22
    assert "1 of 23 rows of 'train' could not be made" in caplog.text
    set_entry(anno_id=[1, 2])
    with pytest.raises(ValueError, match=r"obj_id \['1'\] and anno_id \['1', '2'\] do not pair up"):
        load_mevis(mevis[0], "train")
    set_entry(anno_id=[0])
    with pytest.raises(ValueError, match="has 81 masks of the annotation '0', the video has 1 frames"):
        load_mevis(mevis[0], "train")
    set_entry(obj_id=[], anno_id=[])
    with pytest.raises(ValueError, match="gives the expression no obj_id"):
        load_mevis(mevis[0], "train")


@pytest.mark.parametrize("counts", ["", "0", "zzzz", "é", "X3", "o"])
def test_corrupt_codes_are_errors_when_loaded_and_when_read(mevis: tuple[Path, Truth], counts: str):
    row = load_mevis(mevis[0], "train")[0]
    row["mask_rles"][0][0]["counts"] = counts
    with pytest.raises(ValueError, match=f"{row['sample_id']}: the mask of the frame '00000' is corrupt"):
        read_masks(row, [0])
    code = {"size": [27, 48], "counts": counts}
    change_json(mevis[0] / "train/mask_dict.json", lambda tracks: tracks.update({"3": [code]}))
    with pytest.raises(ValueError, match=rf"{row['sample_id']}: .*'00000' in .*annotation '3', is corrupt"):
        load_mevis(mevis[0], "train")


def test_codes_of_another_size_are_errors(mevis: tuple[Path, Truth]):
    row = load_mevis(mevis[0], "train")[0]
    row["mask_rles"][0] += masks_to_rle([np.ones((48, 27), bool)])
    with pytest.raises(ValueError, match=r"its size is \(48, 27\), that of the frames \(27, 48\)"):
        read_masks(row, [0])


def test_runs_of_codes_decode_to_the_mask():
    generator = np.random.default_rng(0)
    for density in (0, 0.01, 0.5, 0.99, 1):
        for height, width in ((1, 1), (7, 300), (400, 3)):
            mask = generator.random((height, width)) < density
            runs = rle_runs(masks_to_rle([mask])[0], (height, width))
            decoded = np.repeat(np.arange(len(runs)) % 2, runs).reshape(width, height).T
            assert np.array_equal(decoded, mask)


def test_options_that_do_not_exist(mevis: tuple[Path, Truth]):
    with pytest.raises(ValueError, match="there is no split 'test'; the splits are train, validation_u, validation"):
        load_mevis(mevis[0], "test")
    with pytest.raises(ValueError, match="version must be 'v1' or 'v2', got 'v3'"):
        load_mevis(mevis[0], "train", version="v3")
    (mevis[0] / "valid/meta_expressions.json").rename(mevis[0] / "train/meta_expressions.json")
    with pytest.raises(ValueError, match="has no obj_id at all: it is not the file of the split train"):
        load_mevis(mevis[0], "train")

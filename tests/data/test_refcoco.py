# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from miniature_refcoco import TRAIN, image_name, make_instances, make_refcoco, make_references, python2_pickle

from transformers_soc.data.benchmarks import BENCHMARKS, load_benchmark
from transformers_soc.data.clips import ClipDataset, read_clip
from transformers_soc.data.pixels import read_masks
from transformers_soc.data.refcoco import load_refcoco, read_references, repair_text
from transformers_soc.data.schema import COMMON_FEATURES


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    make_refcoco(folder)
    return folder


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted")
    make_refcoco(folder / "coco", converted=True, originals=False)
    return folder


def by_expression(table: Any) -> dict[str, dict[str, Any]]:
    return {row["expression"]: row for row in table}


def test_rows_of_the_common_schema(root: Path):
    table = load_refcoco(root, "train")
    assert table.features == COMMON_FEATURES and str(table.split) == "train"
    assert table["expression_id"][:] == TRAIN
    row = by_expression(table)["red square Left of the blue ones"]
    path = (root / "train2014" / image_name(9)).absolute()
    assert row["frames"] == [str(path)] and row["frame_names"] == [path.stem]
    assert (row["height"], row["width"], row["num_frames"]) == (48, 64, 1)
    assert (row["sample_id"], row["image_id"], row["object_ids"]) == ("refcoco/train/9/12", "12", ["501"])
    assert (row["dataset_version"], row["category"], row["no_target"]) == ("unc", "shape", False)
    assert row["annotated_frame_indices"] == [0] and row["frame_indices"] is None


@pytest.mark.parametrize(
    ("variant", "split", "samples"),
    [
        ("refcoco", "val", ["refcoco/val/1000/13"]),
        ("refcoco", "validation", ["refcoco/val/1000/13"]),
        ("refcoco+", "testA", ["refcoco_plus/testA/581/14"]),
        ("refcoco+", "testB", ["refcoco_plus/testB/20000/15"]),
        ("refcocog", "test", ["refcocog/test/581/14", "refcocog/test/20000/15"]),
    ],
)
def test_variants_and_splits(root: Path, variant: str, split: str, samples: list[str]):
    table = load_refcoco(root, split, variant=variant)
    assert table["sample_id"][:] == samples
    assert set(table["dataset_version"]) == {"umd" if variant == "refcocog" else "unc"}


def test_both_sources_give_the_same_rows(root: Path, converted: Path):
    originals = by_expression(load_refcoco(root, "train"))
    rows = by_expression(load_refcoco(converted, "train"))
    assert rows.keys() == originals.keys()
    same = COMMON_FEATURES.keys() - {"expression_id", "image_id", "sample_id", "frames"}
    for name, row in rows.items():
        assert [row[key] for key in same] == [originals[name][key] for key in same]
    assert [row["expression_id"] for row in rows.values()] == ["1", "2", "3", "4", "9", "5", "6"]
    assert rows["red square"]["image_id"] == "3" and Path(rows["red square"]["frames"][0]).is_file()


def test_masks_join_all_parts_of_the_outline(root: Path):
    rows = by_expression(load_refcoco(root, "train"))
    bars = np.zeros((48, 64), bool)
    bars[8:28, 30:38] = bars[8:28, 46:56] = True
    assert np.array_equal(read_masks(rows["both blue bars"], [0])[0], bars)
    edge = rows["green square at the edge"]
    assert edge["height"] == 64 and read_masks(edge, [0]).sum() == 18 * 20
    clip = read_clip([rows["blue bar in the corner"]], [0])
    assert clip.frames.shape == (1, 48, 64, 3) and clip.masks[0, 0, 0, 63]


def test_crowds_and_boxes_outside_the_image_are_left_out(root: Path, caplog):
    expressions = load_refcoco(root, "train")["expression"][:]
    assert "yellow square" not in expressions and "a crowd of red" not in expressions
    assert "2 of 9 sentences of refcoco train are left out" in caplog.text


def test_images_stay_images_and_videos_move(root: Path):
    images, videos = (load_refcoco(root, "train", as_video=as_video) for as_video in (False, True))
    assert set(videos["image_id"]) == {None}
    assert images.remove_columns("image_id").to_list() == videos.remove_columns("image_id").to_list()
    assert ClipDataset(images, window_size=4)[0].frames.shape == (1, 48, 64, 3)
    clip = ClipDataset(videos, window_size=4)[0]
    assert clip.frames.shape == (4, 48, 64, 3) and (clip.frames[0] != clip.frames[1]).any()
    assert {clip.annotated_frame for clip in ClipDataset(videos, window_size=4)} == {None}


def test_text_of_python_2(root: Path):
    assert "the red café sign" in load_refcoco(root, "train")["expression"][:]
    assert [repair_text(text) for text in ("cafÃ©", "café", "日本", "a")] == ["café", "café", "日本", "a"]


class Spy:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_that_a_pickle_asks_for_is_run(root: Path, tmp_path: Path):
    witness, file = tmp_path / "witness", tmp_path / "refs(unc).p"
    payload = pickle.dumps([Spy(witness)], protocol=2)
    pickle.loads(payload)  # noqa: S301
    assert witness.exists()
    witness.unlink()
    for content in (payload, b"cos\nsystem\n(S'touch " + str(witness).encode() + b"'\ntR."):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"refs\(unc\)\.p'.* asks for the code .*refused"):
            read_references(file)
        assert not witness.exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x02](U", b"\x80\x02}.", b"\xff\xd8\xff", b"N."])
def test_damaged_pickles(content: bytes, tmp_path: Path):
    (tmp_path / "refs(umd).p").write_bytes(content)
    with pytest.raises(ValueError, match=r"refs\(umd\)\.p' .*get the file anew"):
        read_references(tmp_path / "refs(umd).p")


def rewrite(folder: Path, references: Any = None, instances: Any = None) -> None:
    make_refcoco(folder)
    if references is not None:
        (folder / "refcoco" / "refs(unc).p").write_bytes(python2_pickle(references))
    if instances is not None:
        (folder / "refcoco" / "instances.json").write_text(json.dumps(instances))


def test_unknown_objects_and_images_are_errors_that_can_be_skipped(tmp_path: Path, caplog):
    references = make_references("unc")
    references[1]["ann_id"], references[5]["image_id"] = 999, 7
    rewrite(tmp_path, references)
    with pytest.raises(ValueError, match=r"refcoco/train/7/9: the image 7 is not in"):
        load_refcoco(tmp_path, "train")
    references[5]["image_id"] = 25
    (tmp_path / "refcoco" / "refs(unc).p").write_bytes(python2_pickle(references))
    with pytest.raises(ValueError, match=r"refcoco/train/9/4: the object 999 is not in"):
        load_refcoco(tmp_path, "train")
    table = load_refcoco(tmp_path, "train", on_error="skip")
    assert table["expression_id"][:] == [name for name in TRAIN if name != "4"]
    assert "1 of 7 rows" in caplog.text


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1, 2, 3, 4]], "refcoco/train/9/3: the object has no outline"),
        ({"size": [64, 48], "counts": [64 * 48]}, "refcoco/train/9/3: the mask is corrupt: its size"),
        ({"size": [48, 64], "counts": "zz0"}, "refcoco/train/9/3: the mask is corrupt"),
    ],
)
def test_corrupt_masks(segmentation: Any, message: str, tmp_path: Path):
    instances = make_instances()
    instances["annotations"][0]["segmentation"] = segmentation
    rewrite(tmp_path, instances=instances)
    with pytest.raises(ValueError, match=message):
        load_refcoco(tmp_path, "train")


def test_missing_files_are_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"refs\(unc\)\.p.*instances_refcoco_train\.json"):
        load_refcoco(tmp_path, "train")
    make_refcoco(tmp_path)
    (tmp_path / "train2014" / image_name(110)).unlink()
    with pytest.raises(FileNotFoundError, match=r"000000000110.*refcoco/train/110/5"):
        load_refcoco(tmp_path, "train")
    rewrite(tmp_path / "other", instances={"images": []})
    with pytest.raises(ValueError, match=r"instances\.json.*annotations"):
        load_refcoco(tmp_path / "other", "train")


def test_bad_names(root: Path):
    with pytest.raises(ValueError, match="the variants are refcoco, "):
        load_refcoco(root, "train", variant="refclef")
    with pytest.raises(ValueError, match="the splits are train, val, test"):
        load_refcoco(root, "testA", variant="refcocog")
    with pytest.raises(ValueError, match="there is no benchmark 'coco'"):
        load_benchmark("coco", root, "train")


def test_benchmarks_by_name(root: Path):
    names = {name: load_benchmark(name, root, "val", as_video=True)[0] for name in BENCHMARKS if "refcoco" in name}
    assert {name: row["dataset"] for name, row in names.items()} == {
        "refcoco": "refcoco",
        "refcoco+": "refcoco_plus",
        "refcocog": "refcocog",
    }
    assert all(row["image_id"] is None for row in names.values())


def test_the_miniature_is_always_the_same(tmp_path: Path):
    for name in ("a", "b"):
        make_refcoco(tmp_path / name, converted=True)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 6 + 3 * 2 + 11
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)

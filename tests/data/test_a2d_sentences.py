# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import shutil
import sys
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
from miniature_a2d_sentences import EXPRESSIONS, MISSED, ROWS, VIDEOS, make_a2d_sentences

from transformers_soc.data.a2d_sentences import load_a2d_sentences
from transformers_soc.data.clips import ClipDataset, group_by_video
from transformers_soc.data.pixels import read_frames, read_masks, target_presence

MASKS = "text_annotations/a2d_annotation_with_instances"
TEXTS = "text_annotations/a2d_annotation.txt"
CLIPS = "Release/clips320H"


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory):
    """The folder, which no test changes, and the frames and masks that are drawn."""
    root = tmp_path_factory.mktemp("a2d")
    return root, *make_a2d_sentences(root)


@pytest.fixture
def own(miniature, tmp_path: Path) -> Path:
    """A copy of the folder, to be broken."""
    return Path(shutil.copytree(miniature[0], tmp_path / "a2d"))


def load(root: Path, split: str = "train", **options):
    return load_a2d_sentences(root, split, **{"expected_videos": len(VIDEOS) + 1, **options})


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_row_for_each_sentence_and_frame_that_shows_its_instance(miniature, split: str):
    table = load(miniature[0], split)
    assert table["image_id"][:] == ROWS[split]  # among them the first video of the list, and instance 2 before 10
    assert len(set(table["sample_id"])) == len(table) and str(table.split) == split
    assert {(row["video_id"], row["expression_id"], row["expression"]) for row in table} <= set(EXPRESSIONS)
    assert MISSED not in table["video_id"][:]
    assert all(row["object_ids"] == [row["expression_id"]] and row["no_target"] is False for row in table)


def test_size_and_length_are_those_of_the_file(miniature):
    root, frames, _ = miniature
    for row in load(root):
        drawn = frames[row["video_id"]]
        assert (row["num_frames"], row["height"], row["width"], 3) == drawn.shape
        assert row["frames"] == [str(root / CLIPS / f"{row['video_id']}.mp4")]
        assert row["frame_names"] == [row["video_id"]] and row["frame_indices"] == list(range(len(drawn)))


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_masks_are_those_that_were_drawn_and_only_in_the_annotated_frame(miniature, split: str):
    root, _, masks = miniature
    for row in load(root, split):
        (annotated,) = row["annotated_frame_indices"]
        assert annotated == int(row["image_id"].split("_f_")[-1].split("_")[0]) - 1
        read = read_masks(row, [annotated, *range(row["num_frames"]), annotated])
        assert read[0].any() and (read[[0, 1 + annotated, -1]] == masks[row["image_id"]]).all()
        assert read.any((1, 2)).sum() == 3


def test_presence_is_known_without_the_video(miniature):
    row = load(miniature[0])[1] | {"frames": ["nowhere.mp4"]}
    assert target_presence(row).tolist() == [index == 4 for index in range(9)]


def test_frames_are_exact_where_the_codec_reorders_them(miniature):
    root, frames, _ = miniature
    row = load(root)[-1]
    with av.open(row["frames"][0]) as container:
        kinds = [frame.pict_type for frame in container.decode(video=0)]
    assert kinds.count(av.video.frame.PictureType.B) > 10
    drawn = frames[row["video_id"]].astype(int)
    for index in range(len(drawn)):
        distance = np.abs(read_frames(row, [index]) - drawn).max((1, 2, 3))
        assert distance[index] <= 2 and distance.argmin() == index and (np.delete(distance, index) > 9).all()


@pytest.mark.parametrize(
    ("image", "window"),
    [
        ("v_e4Copied_f_1_i_1", [0, 0, 0, 0, 0, 1, 2, 3]),
        ("v_e4Copied_f_15_i_1", range(10, 18)),
        ("v_e4Copied_f_30_i_1", [25, 26, 27, 28, 29, 29, 29, 29]),
        ("v_b1Short_f_3_i_0", [0, 0, 0, 1, 2, 3, 4, 4]),
    ],
)
def test_clips_are_the_official_windows(miniature, image: str, window):
    root, frames, masks = miniature
    split = "train" if image in ROWS["train"] else "test"
    clip = ClipDataset(load(root, split).select([ROWS[split].index(image)]), window_size=8)[0]
    assert clip.annotated_frame == 4 and (clip.masks[0, 4] == masks[image]).all()
    drawn = frames[image.split("_")[1]][list(window)].astype(int)
    assert np.abs(clip.frames - drawn).max() <= 2


def test_sentences_about_one_frame_share_a_clip(miniature):
    table = load(miniature[0])
    groups = [[table[row]["image_id"] for row in group] for group in group_by_video(table)]
    assert ["v_-A0first_row_f_5_i_1", "v_-A0first_row_f_5_i_2"] in groups
    assert ["v_c2Zero_f_8_i_0"] in groups and len(groups) == 9
    assert sorted(len(clip.expressions) for clip in ClipDataset(table)) == sorted(len(group) for group in groups)


def test_the_official_number_of_videos_is_asked_for(miniature):
    with pytest.raises(ValueError, match=r"'.*videoset.csv' has 6 rows, not 3782: .* expected_videos=None"):
        load_a2d_sentences(miniature[0], "train")
    assert len(load(miniature[0], expected_videos=None)) == 14
    with pytest.raises(ValueError, match="'validation'; the splits are train, test"):
        load(miniature[0], "validation")


@pytest.mark.parametrize(
    "name",
    [
        "Release/videoset.csv",
        TEXTS,
        "text_annotations/a2d_missed_videos.txt",
        CLIPS,
        f"{CLIPS}/c2Zero.mp4",
        f"{MASKS}/c2Zero",
    ],
)
def test_what_is_missing_is_named(own: Path, name: str):
    path = own / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    with pytest.raises(FileNotFoundError, match=f"'{path}.*' is missing"):
        load(own)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("video_id,instance_id,query\n", "", "must start with the row 'video_id,instance_id,query'"),
        ("e4Copied,1,", "e4Copied,one,", "the instance 'one' of 'e4Copied' is no number"),
        ("c2Zero,10,", "c2Zero,00,", "the instance 00 of 'c2Zero' twice"),
        ("zero\n", "zero, unquoted\n", "has a row without the columns .*: 'c2Zero,0,.*, unquoted'"),
    ],
)
def test_a_text_file_that_is_not_as_it_should_be(own: Path, old: str, new: str, message: str):
    text = (own / TEXTS).read_text()
    assert old in text
    (own / TEXTS).write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        load(own)


def write_masks(path: Path, instances: list[int], shape: tuple[int, ...]) -> None:
    with h5py.File(path, "w") as file:
        file["instance"], file["reMask"] = instances, np.ones(shape, np.uint8)


def test_masks_that_do_not_fit(own: Path):
    folder = own / MASKS / "c2Zero"
    write_masks(folder / "00017.h5", [0], (48, 27))
    with pytest.raises(ValueError, match=r"00017.h5' belongs to no frame: '.*c2Zero.mp4' has 16"):
        load(own)
    (folder / "00017.h5").unlink()
    write_masks(folder / "00016.h5", [0, 10], (2, 27, 48))
    with pytest.raises(ValueError, match=r"00016.h5' are 27x48, but the frames of '.*c2Zero.mp4' are 48x27"):
        load(own)
    write_masks(folder / "00016.h5", [0, 10], (48, 27))
    with pytest.raises(ValueError, match=r"00016.h5' has 2 instances, but masks \(48, 27\)"):
        load(own)


def test_an_instance_that_a_frame_does_not_show(miniature):
    row = load(miniature[0])[0] | {"mask_values": [3]}
    with pytest.raises(ValueError, match=r"00001.h5' has no mask of the instance 3; its instances are 1, 2"):
        read_masks(row, [0])


def test_without_h5py_the_extra_is_named(miniature, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"h5py: install it with `pip install transformers-soc\[eval\]`"):
        load(miniature[0])


@pytest.mark.parametrize("streaming", [False, True])
def test_broken_files_are_an_error_or_left_out(own: Path, streaming: bool):
    masks, video = own / MASKS / "c2Zero/00016.h5", own / CLIPS / "e4Copied.mp4"
    whole = masks.read_bytes()
    masks.write_bytes(whole[:1000])
    with pytest.raises(ValueError, match=r"'.*c2Zero/00016.h5' has no masks that can be read"):
        load(own)
    video.rename(own / "elsewhere")
    left = [name for name in ROWS["train"] if "c2Zero_f_16" not in name and "e4Copied" not in name]
    assert [row["image_id"] for row in load(own, on_error="skip", streaming=streaming)] == left
    masks.write_bytes(whole)
    left = [name for name in ROWS["train"] if "e4Copied" not in name]
    assert [row["image_id"] for row in load(own, on_error="skip", streaming=streaming)] == left
    (own / "elsewhere").rename(video)  # a table of before must not come from the cache
    assert [row["image_id"] for row in load(own, on_error="skip", streaming=streaming)] == ROWS["train"]


def test_the_same_seed_writes_the_same_files(miniature, tmp_path: Path):
    make_a2d_sentences(tmp_path)
    for path in miniature[0].rglob("*.*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / path.relative_to(miniature[0])).read_bytes()

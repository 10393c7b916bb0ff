# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from miniature_jhmdb_sentences import (
    EMPTY,
    EXPRESSIONS,
    LISTS,
    LONG,
    MORE_IMAGES,
    NEW_LIST,
    OLD_LIST,
    THREE,
    TWO,
    VIDEOS,
    make_jhmdb_sentences,
)
from scipy.io import savemat

from transformers_soc.data.clips import ClipDataset, group_by_video
from transformers_soc.data.jhmdb_sentences import load_jhmdb_sentences, save_samples
from transformers_soc.data.pixels import read_frames, read_masks, target_presence


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory):
    """The folder, which no test changes, and the frames and masks that are drawn."""
    root = tmp_path_factory.mktemp("jhmdb")
    return root, *make_jhmdb_sentences(root)


@pytest.fixture
def own(miniature, tmp_path: Path) -> Path:
    """A copy of the folder, to be broken."""
    return Path(shutil.copytree(miniature[0], tmp_path / "jhmdb"))


def numbers(table) -> list[tuple[str, int]]:
    """Video and frame, from 1, of each row."""
    return [(row["video_id"], row["annotated_frame_indices"][0] + 1) for row in table]


def mask_file(root: Path, video: str) -> Path:
    return root / "puppet_mask" / VIDEOS[video][0] / video / "puppet_mask.mat"


@pytest.mark.parametrize("name", [OLD_LIST, NEW_LIST])
def test_a_published_list_gives_its_frames(miniature, name: str):
    root = miniature[0]
    table = load_jhmdb_sentences(root, samples=root / name)
    expected = [(video, frame) for video in VIDEOS for frame in LISTS[name].get(video, ())]
    assert numbers(table) == expected
    assert table["image_id"][:] == [f"v_{video}_f_{frame}" for video, frame in expected]
    assert table["sample_id"][:] == [f"jhmdb_sentences/test/{video}/0/{frame}" for video, frame in expected]
    assert set(table["dataset_version"]) == {name} and set(table["split"]) == {"test"}
    assert table["expression"][:] == [EXPRESSIONS[video] for video, _ in expected]  # as stored, not as listed


def test_a_draw_takes_three_frames_with_masks_of_each_video(miniature):
    table = load_jhmdb_sentences(miniature[0], short_videos="all")
    drawn = {video: [frame for name, frame in numbers(table) if name == video] for video in VIDEOS}
    assert drawn[THREE] == [1, 2, 3] and drawn[TWO] == [1, 2]
    for video in (MORE_IMAGES, LONG):
        assert len(set(drawn[video])) == 3 and drawn[video] == sorted(drawn[video])
        assert 1 <= drawn[video][0] and drawn[video][-1] <= VIDEOS[video][2]
    assert list(drawn) == sorted(drawn) and set(table["dataset_version"]) == {"seed 0"}


def test_the_draw_depends_on_the_seed_and_on_nothing_else(miniature, own: Path):
    draws = [numbers(load_jhmdb_sentences(miniature[0], seed=seed, short_videos="all")) for seed in range(4)]
    assert len(set(map(tuple, draws))) == 4
    text = own / "jhmdb_annotation.txt"
    text.write_text("".join(line for line in text.open() if not line.startswith((TWO, MORE_IMAGES))))
    assert numbers(load_jhmdb_sentences(own, seed=2)) == [item for item in draws[2] if item[0] in (LONG, THREE)]


def test_a_draw_can_be_saved_and_loaded(miniature, tmp_path: Path):
    table = load_jhmdb_sentences(miniature[0], seed=3, short_videos="all")
    save_samples(table, tmp_path / "mine.json")
    again = load_jhmdb_sentences(miniature[0], samples=tmp_path / "mine.json")
    assert set(again["dataset_version"]) == {"mine.json"}
    assert list(again.remove_columns("dataset_version")) == list(table.remove_columns("dataset_version"))
    assert str(miniature[0]) not in (tmp_path / "mine.json").read_text()


def test_a_video_ends_with_its_masks(miniature):
    root = miniature[0]
    row = load_jhmdb_sentences(root, samples=root / OLD_LIST)[0]
    folder = root / "Rename_Images/catch" / MORE_IMAGES
    assert row["num_frames"] == 20 and row["frames"] == [str(folder / f"{n:05d}.png") for n in range(1, 21)]
    assert row["frame_names"] == [f"{n:05d}" for n in range(1, 21)]
    assert (row["height"], row["width"]) == (24, 32)
    assert row["mask_paths"] == [str(mask_file(root, MORE_IMAGES)) if n == 3 else None for n in range(1, 21)]


def test_frames_and_masks_are_those_that_were_drawn(miniature):
    root, frames, masks = miniature
    for row in load_jhmdb_sentences(root, samples=root / OLD_LIST):
        video, places = row["video_id"], range(row["num_frames"])
        (annotated,) = row["annotated_frame_indices"]
        assert (read_frames(row, places) == frames[video][: row["num_frames"]]).all()  # palette and RGBA images too
        expected = np.zeros_like(masks[video])
        expected[annotated] = masks[video][annotated]
        assert (read_masks(row, places) == expected).all()
        assert target_presence(row).tolist() == expected.any((1, 2)).tolist()
        assert expected.any() == ((video, annotated + 1) != EMPTY)


@pytest.mark.parametrize(
    ("place", "window"),
    [
        (2, [15, 16, 17, 18, 19, 19, 19, 19]),
        (3, [0, 0, 0, 0, 0, 1, 2, 3]),
        (6, [0, 0, 0, 0, 0, 1, 2, 2]),
        (7, [0, 0, 0, 0, 1, 2, 2, 2]),
    ],
)
def test_clips_are_the_official_windows(miniature, place: int, window: list[int]):
    root, frames, masks = miniature
    table = load_jhmdb_sentences(root, samples=root / OLD_LIST)
    clip = ClipDataset(table.select([place]))[0]
    video = table[place]["video_id"]
    assert clip.annotated_frame == 4 and (clip.frames == frames[video][window]).all()
    assert (clip.masks[0, 4] == masks[video][window[4]]).all()
    assert len(group_by_video(table)) == len(table)


def test_a_video_of_one_frame(own: Path):
    text = own / "jhmdb_annotation.txt"
    text.write_text("".join(line for line in text.open() if line.startswith(("video_id", TWO))))
    mask = np.arange(24 * 32).reshape(24, 32) % 5 == 0
    savemat(mask_file(own, TWO), {"part_mask": mask.astype(np.uint8)[..., None]})
    (row,) = load_jhmdb_sentences(own, short_videos="all")
    assert row["num_frames"] == 1 and (read_masks(row, [0])[0] == mask).all()


def test_fewer_than_three_frames_are_an_error_or_left_out_or_all_taken(miniature):
    with pytest.raises(ValueError, match=r"2 frames of 'cut_.*' have masks, and 3 are drawn: pass short_videos='all'"):
        load_jhmdb_sentences(miniature[0])
    assert TWO not in load_jhmdb_sentences(miniature[0], on_error="skip")["video_id"][:]
    with pytest.raises(ValueError, match="short_videos must be 'raise' or 'all', got 'none'"):
        load_jhmdb_sentences(miniature[0], short_videos="none")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ([LONG, f"x/walk/{LONG}/00041.png", "", 40, ""], "frame 41 of 'Long_.*' has no mask: '.*' has 40"),
        ([MORE_IMAGES, f"a\\catch\\{MORE_IMAGES}\\00021.png", "", 22, ""], "frame 21 .* has no mask: '.*' has 20"),
        ([LONG, f"x/walk/{LONG}/00003.png", "", 41, ""], "00041.png' is missing"),
        (
            ["gone", "x/walk/gone/00001.png", "", 9, ""],
            "mine.json', entry 1: jhmdb_annotation.txt has no video 'gone'",
        ),
        ([LONG, f"x/walk/{LONG}/first.png", "", 9, ""], "mine.json', entry 1: must be .video, image, masks"),
        ([LONG, 3], "mine.json', entry 1: must be .video, image, masks"),
        ([THREE, f"x/walk/{THREE}/00001.png", "", 3, ""], "entry 1: has the frame 1 of 'brief_.*' a second time"),
    ],
)
def test_a_list_that_does_not_fit(miniature, tmp_path: Path, entry: list, message: str):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps([[THREE, f"x/walk/{THREE}/00001.png", "", 3, ""], entry]))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_jhmdb_sentences(miniature[0], samples=path)


def test_what_is_missing_is_named(own: Path):
    places = [mask_file(own, LONG), own / "Rename_Images/walk" / LONG, own / "Rename_Images", own / OLD_LIST]
    for path in places[:3]:
        path.rename(own / "elsewhere")
        with pytest.raises(FileNotFoundError, match=rf"'{path}' is missing|no folder of frames '{path.name}'"):
            load_jhmdb_sentences(own, short_videos="all")
        (own / "elsewhere").rename(path)
    (own / OLD_LIST).unlink()
    with pytest.raises(FileNotFoundError, match=f"'{own / OLD_LIST}' is missing: it should hold a published draw"):
        load_jhmdb_sentences(own, samples=own / OLD_LIST)
    with pytest.raises(ValueError, match="'train'; the splits are test"):
        load_jhmdb_sentences(own, "train")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": np.ones((24, 32, 3))}, "has no part_mask"),
        ({"part_mask": np.ones((32, 24, 3))}, "are 24x32, the frames are not"),
        (None, "has no masks that can be read"),
    ],
)
def test_broken_masks_are_an_error_or_left_out(own: Path, content: dict | None, message: str):
    path = mask_file(own, THREE)
    if content is None:
        path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(200, b"\1"))
    else:
        savemat(path, content)
    options = {"short_videos": "all"}
    with pytest.raises(ValueError, match=message):
        load_jhmdb_sentences(own, **options)
    left = load_jhmdb_sentences(own, on_error="skip", **options)
    assert sorted(set(left["video_id"])) == [MORE_IMAGES, LONG, TWO]


def test_masks_that_break_after_loading_name_the_file(own: Path):
    row = load_jhmdb_sentences(own, samples=own / OLD_LIST)[5]
    path = mask_file(own, LONG)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=rf"{path}' has no masks that can be read"):
        read_masks(row, [39])
    savemat(path, {"part_mask": np.ones((24, 32, 7), np.uint8)})
    with pytest.raises(ValueError, match=rf"{path}' has no mask of frame 39, only 7 masks"):
        read_masks(row, [39])


def test_a_video_with_two_sentences(own: Path):
    with (own / "jhmdb_annotation.txt").open("a") as file:
        file.write(f"{LONG},another shape\n")
    with pytest.raises(ValueError, match=rf"has the video '{LONG}' twice"):
        load_jhmdb_sentences(own)


def test_the_same_seed_writes_the_same_files(miniature, tmp_path: Path):
    make_jhmdb_sentences(tmp_path)
    for path in miniature[0].rglob("*.*"):
        if path.is_file() and path.suffix != ".mat":  # which hold the time of writing
            assert path.read_bytes() == (tmp_path / path.relative_to(miniature[0])).read_bytes()

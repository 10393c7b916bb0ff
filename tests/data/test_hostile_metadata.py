# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Files of a data set from a stranger read nothing outside its folder, and take no memory that they do not fill."""

import json
import os
import shutil
import time
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import hostile_videos
import numpy as np
import psutil
import pytest
from miniature_a2d_sentences import make_a2d_sentences
from miniature_jhmdb_sentences import make_jhmdb_sentences
from miniature_long_rvos import make_long_rvos
from miniature_mevis import make_mevis
from miniature_refcoco import make_refcoco
from miniature_refer_youtube_vos import make_refer_youtube_vos
from miniatures import MINIATURES, load_miniature
from PIL import Image

from transformers_soc.data.a2d_sentences import read_instance_mask
from transformers_soc.data.folder import load_folder
from transformers_soc.data.jhmdb_sentences import load_jhmdb_sentences
from transformers_soc.data.long_rvos import load_long_rvos
from transformers_soc.data.mevis import load_mevis
from transformers_soc.data.pixels import read_frames, read_label_image, read_masks, rle_runs
from transformers_soc.data.refcoco import load_refcoco
from transformers_soc.data.refer_youtube_vos import load_refer_youtube_vos
from transformers_soc.data.submission import MaskFiles
from transformers_soc.data.tables import below, image_size, read_json

META = "meta_expressions/train/meta_expressions.json"
VIDEO = "0a11c8d2f0"  # of the miniature of Ref-YouTube-VOS


@pytest.fixture
def youtube(tmp_path: Path) -> Path:
    make_refer_youtube_vos(tmp_path / "root", objects_meta=False)
    return tmp_path / "root"


def replace_in_texts(root: Path, old: str, new: str) -> None:
    """Change a name in all text files, and leave folders and pictures as they are."""
    for path in root.rglob("*"):
        if path.suffix in (".json", ".csv", ".txt") and path.is_file():
            path.write_text(path.read_text(encoding="latin-1").replace(old, new), encoding="latin-1")


@pytest.mark.parametrize("outside", ["../../../outside", "/etc/passwd"])
@pytest.mark.parametrize("name", [name for name in MINIATURES if name not in ("jhmdb_sentences", "refcoco")])
def test_a_video_must_lie_in_the_folder(tmp_path, name, outside):
    miniature = MINIATURES[name]
    miniature.make(tmp_path)
    videos = load_miniature({name: tmp_path}, name, miniature.train)["video_id"]
    replace_in_texts(tmp_path, videos[len(videos) - 1], outside)
    with pytest.raises(ValueError, match="leads out of"):
        load_miniature({name: tmp_path}, name, miniature.train)


def test_an_action_an_image_and_an_object_must_lie_in_the_folder(tmp_path):
    make_jhmdb_sentences(tmp_path / "jhmdb")
    video = load_jhmdb_sentences(tmp_path / "jhmdb", short_videos="all")[0]["video_id"]
    samples = [[video, f"Rename_Images/../{video}/00001.png", "masks", 5, "text"]]
    (tmp_path / "samples.json").write_text(json.dumps(samples))
    with pytest.raises(ValueError, match="leads out of"):
        load_jhmdb_sentences(tmp_path / "jhmdb", samples=tmp_path / "samples.json")
    make_refcoco(tmp_path / "coco")
    replace_in_texts(tmp_path / "coco", "COCO_train2014", "../COCO_train2014")
    with pytest.raises(ValueError, match="leads out of"):
        load_refcoco(tmp_path, "train")
    make_long_rvos(tmp_path / "long")
    replace_in_texts(tmp_path / "long", '"obj_id": "', '"obj_id": "../../')
    with pytest.raises(ValueError, match="leads out of"):
        load_long_rvos(tmp_path / "long", "train")


def test_sound_that_lies_elsewhere_is_not_taken(tmp_path):
    make_mevis(tmp_path / "root")
    (tmp_path / "secret.wav").write_text("secret")
    path = tmp_path / "root/train/meta_expressions.json"
    path.write_text(path.read_text().replace('"exp":', '"audio": "../../secret.wav", "exp":'))
    assert set(load_mevis(tmp_path / "root", "train")["audio_path"]) == {None}


def first_row(root: Path) -> dict:
    """Made anew, not from a table in the cache."""
    return next(iter(load_refer_youtube_vos(root, "train", streaming=True)))


def test_links_may_not_lead_out(youtube):
    """But the folders that the layout names may be links, and links may lead to other videos."""
    frames = youtube / "train/JPEGImages"
    frames.rename(youtube.parent / "disk")
    frames.symlink_to(youtube.parent / "disk")
    first = sorted((frames / VIDEO).iterdir())[0]
    shutil.move(first, frames / "common.jpg")
    first.symlink_to("../common.jpg")
    assert first_row(youtube)["video_id"] == VIDEO
    shutil.move(frames / "common.jpg", youtube.parent / "secret.jpg")
    first.unlink()
    first.symlink_to(youtube.parent / "secret.jpg")
    with pytest.raises(ValueError, match=rf"{first.name}' leads out of"):
        first_row(youtube)
    shutil.move(frames / VIDEO, youtube.parent / "secret")
    (frames / VIDEO).symlink_to(youtube.parent / "secret")
    with pytest.raises(ValueError, match=f"{VIDEO}' leads out of"):
        first_row(youtube)


def make_folder(root: Path, sentences: list[dict]) -> Path:
    """One's own clip "a", an image with a mask."""
    for part in ("videos/a", "masks/a"):
        (root / part).mkdir(parents=True)
        Image.new("L", (8, 8), 1).save(root / part / "0.png")
    (root / "sentences.json").write_text(json.dumps({"train": sentences}))
    return root


SENTENCE = {"video": "a", "expression": "a dog", "objects": [1]}


@pytest.mark.parametrize("video", ["../videos/../../secret", "/etc", "a\0"])
def test_own_clips_lie_in_the_folder(tmp_path, video):
    make_folder(tmp_path / "root", [SENTENCE | {"video": video}])
    with pytest.raises(ValueError, match="leads out of"):
        load_folder(tmp_path / "root")


@pytest.mark.parametrize("link", ["videos/a/0.png", "masks/a/0.png", "masks/a", "videos/a"])
def test_own_clips_are_no_links_to_other_places(tmp_path, link):
    root = make_folder(tmp_path / "root", [SENTENCE])
    shutil.move(root / link, tmp_path / "secret")
    (root / link).symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="leads out of"):
        load_folder(root)


@pytest.mark.parametrize("name", ["..", "../x", "/x", "a/../../x", "\0"])
def test_paths_below_a_folder(tmp_path, name):
    assert below(tmp_path, "a", "../b") == tmp_path / "a/../b"
    with pytest.raises(ValueError, match="leads out of"):
        below(tmp_path, name)


def test_deep_and_damaged_files_are_named(youtube):
    for text in ("[" * 100_000, '{"videos": ', "\ud800"):
        (youtube / META).write_bytes(text.encode("utf-8", "surrogatepass"))
        with pytest.raises(ValueError, match="not valid JSON"):
            read_json(youtube / META, "the expressions")
    for frames in ([1], "00000", {"00000": 1}, [None]):
        videos = {VIDEO: {"expressions": {}, "frames": frames}}
        (youtube / META).write_text(json.dumps({"videos": videos}))
        with pytest.raises(ValueError, match="lacks 'expressions' or 'frames'"):
            load_refer_youtube_vos(youtube, "train")


@pytest.mark.parametrize("side", [30_000, 9000])
def test_pictures_that_announce_too_much(youtube, side):
    row = load_refer_youtube_vos(youtube, "train")[0]
    for path in (row["frames"][0], row["mask_paths"][0]):
        Path(path).write_bytes(hostile_videos.png_bomb(side))
    for read in (lambda: read_frames(row, [0]), lambda: read_masks(row, [0]), lambda: image_size(row["frames"][0])):
        image_size.cache_clear()
        with pytest.raises(ValueError, match="pixels"):
            read()


def test_masks_that_announce_too_much(youtube):
    row = load_refer_youtube_vos(youtube, "train")[0]
    with pytest.raises(ValueError, match=f"{row['sample_id']}: a mask has 1000000 x 1000000 pixels"):
        read_masks(row | {"height": 10**6, "width": 10**6}, [0])
    # One run of ground, over a hundred million pixels.
    with pytest.raises(ValueError, match="10000 x 10000 pixels"):
        rle_runs({"size": [10_000, 10_000], "counts": "PXh[o2"})


@pytest.mark.parametrize("place, message", [(1e9, "far from the image"), (float("nan"), "far from the image")])
def test_outlines_that_lie_far_away(tmp_path, place, message):
    make_refcoco(tmp_path)
    path = tmp_path / "refcoco/instances.json"
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        if isinstance(annotation["segmentation"], list):
            annotation["segmentation"][0][0] = place
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        load_refcoco(tmp_path, "train")


def test_masks_in_other_files_and_of_any_size(tmp_path):
    make_a2d_sentences(tmp_path)
    path = next(tmp_path.rglob("b1Short/00001.h5"))
    with h5py.File(path, "a") as file:
        del file["reMask"]
        file["reMask"] = h5py.ExternalLink("other.h5", "secret")
    with pytest.raises(ValueError, match="points to other files"):
        read_instance_mask(str(path), 0)
    with h5py.File(path, "a") as file:
        del file["reMask"]
        file.create_dataset("reMask", (8,), "u1", external=[("/etc/passwd", 0, 8)])
    with pytest.raises(ValueError, match="points to other files"):
        read_instance_mask(str(path), 0)
    with h5py.File(path, "a") as file:
        del file["reMask"]
        file.create_dataset("reMask", (10**5, 10**5), "u1", chunks=(1000, 1000), compression="gzip")
    with pytest.raises(ValueError, match="100000 x 100000 pixels"):
        read_instance_mask(str(path), 0)


def test_a_pipe_among_the_masks_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "0.png")
    for read in (read_label_image, image_size):
        with pytest.raises(ValueError, match="no regular file"):
            read(str(tmp_path / "0.png"))


def test_an_archive_that_inflates_a_thousandfold_is_read_up_to_the_size_of_a_mask(tmp_path):
    path = tmp_path / "masks.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.png", bytes(5 * 10**7))
        archive.writestr("bomb.png", hostile_videos.png_bomb(30_000))
    assert path.stat().st_size < 60_000
    tracemalloc.start()
    with MaskFiles(path) as files:
        for name in ("zeros.png", "bomb.png"):
            with pytest.raises(ValueError, match=r"too much for one mask|no PNG file, or damaged"):
                files.read_png(name, (32, 48))
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


@pytest.mark.stress
def test_a_hundred_thousand_expressions(youtube, amount):
    count = amount(2_000, 100_000)
    content = json.loads((youtube / META).read_text())
    video = content["videos"][VIDEO]
    entry = next(iter(video["expressions"].values()))
    video["expressions"] = {str(number): entry for number in range(count)}
    (youtube / META).write_text(json.dumps({"videos": {VIDEO: video}}))
    memory, started = psutil.Process().memory_info().rss, time.perf_counter()
    table = load_refer_youtube_vos(youtube, "train")
    grown = (psutil.Process().memory_info().rss - memory) / 2**20
    print(f"{count} expressions: {time.perf_counter() - started:.1f} s, {grown:.0f} MB")
    assert len(table) == count and table[count - 1]["expression_id"] == str(count - 1)
    assert grown < 1000
    assert np.array_equal(read_masks(table[count - 1], [0]), read_masks(table[0], [0]))

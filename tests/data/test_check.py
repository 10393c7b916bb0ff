# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What the check of a folder finds: whole miniatures, missing files, lost frames, damaged images."""

import json
import shutil
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

import transformers_soc_cli
from transformers_soc.data.benchmarks import load_benchmark
from transformers_soc.data.check import CHECKS, BenchmarkReport, Count, check_benchmark
from transformers_soc.data.official import OFFICIAL
from transformers_soc.data.refcoco import VARIANTS

# Videos and expressions of each split of the miniatures.
COUNTS = {
    "a2d_sentences": {"train": (3, 5), "test": (2, 4)},
    "jhmdb_sentences": {"test": (4, 4)},
    "refer_youtube_vos": {"train": (4, 18), "validation": (4, 17), "test": (2, 8)},
    "refer_davis": {"train": (2, 8), "validation": (3, 52)},
    "mevis": {"train": (4, 23), "validation_u": (2, 8), "validation": (3, 12)},
    "refcoco": {"train": (3, 9), "val": (1, 1), "testA": (1, 1), "testB": (1, 1)},
    "long_rvos": {"train": (1, 5), "validation": (1, 5), "test": (1, 5)},
    "revos": {"train": (1, 4), "validation": (1, 4)},
}


def test_the_command_knows_the_same_names():
    """Its parser lists them by itself, so that help imports nothing."""
    assert set(transformers_soc_cli.BENCHMARKS) == set(CHECKS)
    assert set(transformers_soc_cli.REFCOCO_VARIANTS) == set(VARIANTS)


@pytest.fixture(scope="module")
def miniatures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    roots = {}
    for name in COUNTS:
        roots[name] = tmp_path_factory.mktemp(name)
        getattr(import_module(f"miniature_{name}"), f"make_{name}")(roots[name])
    return roots


@pytest.fixture
def youtube(miniatures: dict[str, Path], tmp_path: Path) -> Path:
    """A copy, to be broken."""
    return Path(shutil.copytree(miniatures["refer_youtube_vos"], tmp_path / "youtube"))


def complete(report: BenchmarkReport) -> dict[str, bool]:
    return {split.split: split.complete for split in report.splits}


@pytest.mark.parametrize("name", CHECKS)
def test_whole_folders_are_complete(miniatures: dict[str, Path], name: str):
    report = check_benchmark(name, miniatures[name], deep=True)
    found = {split.split: tuple(count.found for count in split.counts) for split in report.splits}
    assert found == COUNTS[name]
    assert all(complete(report).values()), [split.problems for split in report.splits]


@pytest.mark.parametrize("name", ["refer_youtube_vos", "refer_davis", "mevis", "revos"])
def test_expressions_are_the_rows_of_the_loader(miniatures: dict[str, Path], name: str):
    for split, (_, expressions) in COUNTS[name].items():
        assert len(load_benchmark(name, miniatures[name], split)) == expressions


@pytest.mark.parametrize(
    ("name", "lost", "path", "splits"),
    [
        ("a2d_sentences", "Release/clips320H", "Release/clips320H", ["train", "test"]),
        ("a2d_sentences", "Release/videoset.csv", "Release/videoset.csv", ["train", "test"]),
        ("jhmdb_sentences", "puppet_mask", "puppet_mask", ["test"]),
        ("refer_youtube_vos", "train/Annotations", "train/Annotations", ["train"]),
        ("refer_davis", "DAVIS/ImageSets/2017/val.txt", "DAVIS/ImageSets/2017/val.txt", ["validation"]),
        ("refer_davis", "davis_text_annotations/Davis17_annot2.txt", None, ["train", "validation"]),
        ("mevis", "valid_u/mask_dict.json", "valid_u/mask_dict.json", ["validation_u"]),
        ("mevis", "train/meta_expressions.json", "train/meta_expressions.json", ["train"]),
        ("refcoco", "train2014", "train2014", ["train", "val", "testA", "testB"]),
        ("refcoco", "refcoco", "refcoco/instances_refcoco_train.json", ["train", "val", "testA", "testB"]),
        ("long_rvos", "valid/Annotations", "valid/Annotations", ["validation"]),
        ("revos", "mask_dict.json", "mask_dict.json", ["train", "validation"]),
    ],
)
def test_what_is_missing_is_named(miniatures: dict[str, Path], tmp_path: Path, name, lost, path, splits):
    place, away = miniatures[name] / lost, tmp_path / "away"
    place.rename(away)
    try:
        report = check_benchmark(name, miniatures[name])
    finally:
        away.rename(place)
    assert [split for split, whole in complete(report).items() if not whole] == splits
    files = [file for split in report.splits if split.split == splits[0] for file in split.missing if file.required]
    assert [file.path for file in files] == [path or lost] and files[0].source and files[0].what


def test_files_that_one_can_do_without(youtube: Path):
    (youtube / "train/meta.json").unlink()
    report = check_benchmark("refer_youtube_vos", youtube).splits[0]
    assert report.complete and [(file.path, file.required) for file in report.missing] == [("train/meta.json", False)]


def test_validation_videos_without_the_test_file(youtube: Path):
    shutil.rmtree(youtube / "meta_expressions/test")
    report = check_benchmark("refer_youtube_vos", youtube)
    assert complete(report) == {"train": True, "validation": True, "test": False}
    assert [count.found for count in report.splits[1].counts] == [4, 17] and report.counts == []


def test_lost_frames_videos_and_archives(youtube: Path):
    (youtube / "train/JPEGImages/0a11c8d2f0/00005.jpg").unlink()
    shutil.rmtree(youtube / "train/Annotations/e7741b90c3")
    (youtube / "test/JPEGImages").rename(youtube / "JPEGImages")
    (youtube / "test/JPEGImages.tar").touch()
    train, _, test = check_benchmark("refer_youtube_vos", youtube).splits
    assert train.problems == [
        "1 files in 'train/JPEGImages' are missing, '0a11c8d2f0/00005.jpg' among them",
        "1 of 4 folders in 'train/Annotations' are missing, 'e7741b90c3' among them",
    ]
    assert test.missing[0].source == "unpack 'JPEGImages.tar', which is there" and not test.complete


def test_only_a_deep_check_opens_images(youtube: Path):
    (youtube / "train/JPEGImages/0a11c8d2f0/00005.jpg").write_bytes(b"\xff\xd8\xff no image")
    Image.new("RGB", (10, 10)).save(youtube / "valid/JPEGImages/c81f7734d9/00000.jpg")
    assert all(complete(check_benchmark("refer_youtube_vos", youtube)).values())
    train, valid, _ = check_benchmark("refer_youtube_vos", youtube, deep=True).splits
    assert "1 files cannot be read, 'train/JPEGImages/0a11c8d2f0/00005.jpg'" in train.problems[0]
    assert "1 folders hold images of several sizes, 'valid/JPEGImages/c81f7734d9'" in valid.problems[0]


def test_damaged_files_of_expressions_are_problems(youtube: Path):
    (youtube / "meta_expressions/train/meta_expressions.json").write_text('{"videos": ')
    report = check_benchmark("refer_youtube_vos", youtube).splits[0]
    assert not report.complete and "not valid JSON" in report.problems[0]


def test_verdicts():
    assert [Count("videos", 3, official).verdict for official in (3, 4, None)] == [
        "as published",
        "differs",
        "no official figure known",
    ]


def test_official_figures_of_splits_add_up():
    videos = OFFICIAL["refer_youtube_vos"].videos
    assert videos["train"] + videos["validation"] + videos["test"] == videos["all"] == 3978
    assert OFFICIAL["mevis v2"].expressions["validation_u"] == 907


def test_variants_and_versions(miniatures: dict[str, Path]):
    report = check_benchmark("refcoco", miniatures["refcoco"], variant="refcocog")
    assert complete(report) == {"train": True, "val": True, "test": True}
    report = check_benchmark("mevis", miniatures["mevis"], version="v2")
    assert report.title == "MeViS, version 2" and not any(complete(report).values())
    assert report.splits[0].missing[0].path == "train/meta_expressions_v2.json"
    with pytest.raises(ValueError, match="no variant 'refcoco-'"):
        check_benchmark("refcoco", miniatures["refcoco"], variant="refcoco-")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        check_benchmark("revos", miniatures["revos"] / "away")


def check(capsys, *arguments: object) -> tuple[int, str]:
    code = transformers_soc_cli.main(["data", "check", *map(str, arguments)])
    return code, capsys.readouterr().out


def test_command_reports_in_words_and_json(youtube: Path, tmp_path: Path, capsys):
    (youtube / "train/JPEGImages").rename(tmp_path / "away")
    code, out = check(capsys, "refer_youtube_vos", youtube)
    assert code == 0 and "train: not complete" in out and "validation: complete" in out
    assert "missing  train/JPEGImages: the frames; from: the release of Ref-YouTube-VOS" in out
    assert "videos: 4 of 202, differs" in out and "expressions: 18, no official figure known" in out
    code, out = check(capsys, "refer_youtube_vos", youtube, "--json")
    train = json.loads(out)["splits"][0]
    assert train["missing"][0]["path"] == "train/JPEGImages" and not train["complete"]
    assert train["counts"][0] == {"item": "videos", "found": 4, "official": 3471, "verdict": "differs"}
    (tmp_path / "empty").mkdir()
    assert check(capsys, "revos", tmp_path / "empty")[0] == 1

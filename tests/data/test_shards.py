# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Shards: the same clips from bytes as from paths, names and sizes, and exports that go on after an interruption."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import tiny_processor
from datasets import Dataset, load_dataset
from miniature_a2d_sentences import make_a2d_sentences
from miniature_jhmdb_sentences import make_jhmdb_sentences
from miniature_mevis import make_mevis
from miniature_refer_youtube_vos import make_refer_youtube_vos
from pycocotools import mask as coco_mask
from torch.utils.data import DataLoader

import transformers_soc_cli
from transformers_soc.data import shards
from transformers_soc.data.a2d_sentences import load_a2d_sentences
from transformers_soc.data.clips import ClipDataset, ClipStream
from transformers_soc.data.collator import SocDataCollator
from transformers_soc.data.jhmdb_sentences import load_jhmdb_sentences
from transformers_soc.data.mevis import load_mevis
from transformers_soc.data.moving_shapes import load_moving_shapes
from transformers_soc.data.pixels import read_frames, read_masks
from transformers_soc.data.refer_youtube_vos import load_refer_youtube_vos
from transformers_soc.data.schema import COMMON_FEATURES, SHARD_FEATURES
from transformers_soc.data.shards import count_bytes, pack_row, plan_shards, push_shards, save_shards

SMALL = 150_000  # bytes of a shard, so that a miniature makes several
CHANGED = {"frames", "frames_bytes", "audio_path", "mask_format", "mask_paths", "mask_rles"}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """Frames as JPEG and PNG files, as one video file and as names; masks of each format."""
    roots = {name: tmp_path_factory.mktemp(name) for name in ("youtube", "a2d", "jhmdb", "mevis")}
    make_refer_youtube_vos(roots["youtube"])
    make_a2d_sentences(roots["a2d"])
    make_jhmdb_sentences(roots["jhmdb"])
    make_mevis(roots["mevis"])
    return {
        "youtube": load_refer_youtube_vos(roots["youtube"], "train"),
        "hidden": load_refer_youtube_vos(roots["youtube"], "test"),
        "a2d": load_a2d_sentences(roots["a2d"], "train", expected_videos=None),
        "jhmdb": load_jhmdb_sentences(roots["jhmdb"], short_videos="all"),
        "mevis": load_mevis(roots["mevis"], "validation_u"),
        "shapes": load_moving_shapes("train", 2),
    }


@pytest.fixture
def youtube(tables: dict[str, Dataset]) -> Dataset:
    return tables["youtube"]


def stream(folder: Path, split: str) -> list[dict]:
    files = str(folder / "data" / f"{split}-*.parquet")
    return list(load_dataset("parquet", data_files=files, split="train", streaming=True))


class FakeApi:
    """A repository in memory; the upload with the number `fails_at` is interrupted."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.fails_at = fails_at

    def create_repo(self, repo_id: str, **options) -> None:
        assert options["repo_type"] == "dataset" and options["exist_ok"]

    def list_repo_files(self, repo_id: str, repo_type: str) -> list[str]:
        return [".gitattributes", *self.files]

    def upload_file(self, path_or_fileobj, path_in_repo: str, repo_id: str, repo_type: str) -> None:
        if len(self.uploads) == self.fails_at:
            raise KeyboardInterrupt
        self.uploads.append(path_in_repo)
        is_path = isinstance(path_or_fileobj, str)
        self.files[path_in_repo] = Path(path_or_fileobj).read_bytes() if is_path else path_or_fileobj


@pytest.mark.parametrize("name", ["youtube", "hidden", "a2d", "jhmdb", "mevis", "shapes"])
def test_rows_from_bytes_are_those_from_paths(tables: dict[str, Dataset], tmp_path: Path, name: str):
    table = tables[name]
    save_shards(table, "train", tmp_path, SMALL)
    packed = stream(tmp_path, "train")
    assert len(packed) == len(table) and set(packed[0]) == set(SHARD_FEATURES)
    for row, own in zip(table, packed, strict=True):
        assert {key: own[key] for key in own if key not in CHANGED} == {
            key: value for key, value in row.items() if key not in CHANGED
        }
        assert own["mask_format"] == ("none" if name == "hidden" else "rle") and own["mask_paths"] is None
        places = [row["num_frames"] - 1, 0, 0]
        np.testing.assert_array_equal(read_frames(own, places), read_frames(row, places))
        if name != "hidden":
            everything = range(row["num_frames"])
            np.testing.assert_array_equal(read_masks(own, everything), read_masks(row, everything))
            assert all(coco_mask.area(code) for codes in own["mask_rles"] for code in codes), (
                "an empty mask is no code"
            )


def test_frames_are_the_bytes_of_the_files(tables: dict[str, Dataset]):
    for name, count in (("youtube", 6), ("a2d", 1)):
        row = tables[name][0]
        assert pack_row(row)["frames_bytes"] == [Path(path).read_bytes() for path in row["frames"]]
        assert len(row["frames"]) == count


def test_frames_of_a_video_file_are_those_of_their_indices(tables: dict[str, Dataset]):
    row = tables["a2d"][0]
    for form in (row, pack_row(row)):
        turned = form | {"frame_indices": form["frame_indices"][::-1]}
        np.testing.assert_array_equal(read_frames(turned, [0, 1]), read_frames(form, [-1, -2]))


@pytest.mark.parametrize("name", ["youtube", "a2d", "shapes"])
def test_batches_are_the_same(tables: dict[str, Dataset], tmp_path: Path, name: str):
    save_shards(tables[name], "train", tmp_path)
    processor, batches = tiny_processor(), []
    processor.tokenizer.model_max_length = 128
    for table in (tables[name], stream(tmp_path, "train")):
        clips = ClipDataset(table, window_size=4)
        batches.append(SocDataCollator(processor)([clips[0, 1], clips[0, 2]]))
    assert batches[0].keys() == batches[1].keys()
    for key in batches[0].keys() - {"labels"}:
        torch.testing.assert_close(batches[1][key], batches[0][key], rtol=0, atol=0)
    for one, other in zip(batches[0]["labels"], batches[1]["labels"], strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_shards_hold_as_much_as_they_may_in_the_order_of_the_rows(youtube: Dataset):
    plan = plan_shards(youtube, SMALL)
    assert [index for places in plan for index in places] == list(range(len(youtube)))
    sizes = [sum(count_bytes(youtube[index]) for index in places) for places in plan]
    assert len(plan) > 2 and max(sizes) <= SMALL
    for size, following in zip(sizes, plan[1:], strict=False):
        assert size + count_bytes(youtube[following[0]]) > SMALL
    assert plan_shards(youtube, 1) == [range(index, index + 1) for index in range(len(youtube))]
    assert plan_shards(youtube.select([]), SMALL) == []


@pytest.mark.parametrize("name", ["youtube", "a2d", "jhmdb", "mevis", "shapes"])
def test_counted_bytes_are_no_less_than_those_written(tables: dict[str, Dataset], tmp_path: Path, name: str):
    for index in (0, len(tables[name]) - 1):
        row = tables[name][index]
        packed = pack_row(row)
        codes = [code["counts"] for codes in packed["mask_rles"] for code in codes]
        assert sum(map(len, packed["frames_bytes"])) + sum(map(len, codes)) <= count_bytes(row)


def test_masks_are_counted(tables: dict[str, Dataset]):
    row = tables["youtube"][0]
    sizes = [Path(path).stat().st_size for path in row["mask_paths"]]
    assert count_bytes(row) - count_bytes(row | {"mask_paths": None}) == sum(sizes)
    row = tables["mevis"][0]
    codes = [code["counts"] for codes in row["mask_rles"] for code in codes]
    assert count_bytes(row) - count_bytes(row | {"mask_rles": []}) >= sum(map(len, codes)) > 0


def test_expressions_of_a_video_share_its_frames_on_disk(youtube: Dataset, tmp_path: Path):
    rows = [row for row in youtube if row["video_id"] == youtube[0]["video_id"]]
    for count in (1, 3):
        save_shards(Dataset.from_list(rows[:1] * count, features=COMMON_FEATURES), str(count), tmp_path)
    sizes = [(tmp_path / f"data/{count}-00000-of-00001.parquet").stat().st_size for count in (1, 3)]
    assert sizes[1] < 1.2 * sizes[0]


def test_readers_need_not_hold_a_whole_shard(youtube: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shards, "GROUP_BYTES", SMALL)
    save_shards(youtube, "train", tmp_path)
    (path,) = (tmp_path / "data").iterdir()
    groups = pq.ParquetFile(path).num_row_groups
    assert groups == len(plan_shards(youtube, SMALL)) and stream(tmp_path, "train") == list(map(pack_row, youtube))


def test_a_second_run_writes_only_what_is_missing(youtube: Dataset, tmp_path: Path):
    reported: list[str] = []
    save_shards(youtube, "train", tmp_path, SMALL, reported.append)
    names = [f"data/train-{number:05d}-of-{len(reported):05d}.parquet" for number in range(len(reported))]
    assert reported == names == sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.parquet"))
    content = (tmp_path / names[1]).read_bytes()
    (tmp_path / names[1]).unlink()
    save_shards(youtube, "train", tmp_path, SMALL, reported.append)
    assert reported[len(names) :] == [names[1]] and (tmp_path / names[1]).read_bytes() == content
    save_shards(youtube, "train", tmp_path, SMALL, reported.append)
    assert len(reported) == len(names) + 1


def test_a_shard_appears_when_it_is_complete(youtube: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    packed = pack_row
    calls = iter([False, False, True])
    monkeypatch.setattr(shards, "pack_row", lambda row: packed(row) if not next(calls) else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_shards(youtube, "train", tmp_path)
    assert list((tmp_path / "data").iterdir()) == []


def test_an_interrupted_push_goes_on(youtube: Dataset):
    interrupted, whole = FakeApi(fails_at=2), FakeApi()
    with pytest.raises(KeyboardInterrupt):
        push_shards(interrupted, youtube, "train", "me/shapes", SMALL)
    assert len(interrupted.uploads) == 2
    interrupted.fails_at = None
    for api in (interrupted, interrupted, whole):
        push_shards(api, youtube, "train", "me/shapes", SMALL)
    assert interrupted.uploads == whole.uploads == sorted(set(whole.uploads))
    assert interrupted.files == whole.files


def test_shards_of_other_data_are_not_mixed_in(youtube: Dataset, tmp_path: Path):
    save_shards(youtube, "train", tmp_path, SMALL)
    save_shards(youtube, "validation", tmp_path)
    with pytest.raises(ValueError, match=r"'data/train-00000-of-\d+\.parquet' is there already"):
        save_shards(youtube, "train", tmp_path)


def test_a_missing_frame_and_a_damaged_one_are_named(youtube: Dataset):
    row = youtube[0]
    with pytest.raises(FileNotFoundError, match=f"{row['sample_id']}.*away.jpg"):
        count_bytes(row | {"frames": ["away.jpg"]})
    packed = pack_row(row)
    packed["frames_bytes"][2] = packed["frames_bytes"][2][:200]
    with pytest.raises(ValueError, match=f"{row['sample_id']}: the frame '{row['frame_names'][2]}'"):
        read_frames(packed, [0, 2])


def push(*arguments: object) -> int:
    return transformers_soc_cli.main(["data", "push", "refer_youtube_vos", *map(str, arguments)])


def test_command_uploads_the_complete_splits_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    make_refer_youtube_vos(tmp_path)
    (tmp_path / "valid/JPEGImages/2f8d10b6e1/00025.jpg").unlink()
    api = FakeApi()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: api)
    for _ in range(2):
        assert push(tmp_path, "me/rvos", "--license", "cc-by-4.0") == 0
    expected = ["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet", "README.md"]
    assert api.uploads == expected
    card = api.files["README.md"].decode()
    assert "license: cc-by-4.0" in card and "seo2020urvos" in card and "me/rvos" in card
    assert "left out: validation, 1 files" in capsys.readouterr().err


def test_command_keeps_a_card_and_needs_no_network_for_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make_refer_youtube_vos(tmp_path / "data")
    monkeypatch.setattr("huggingface_hub.HfApi", None)
    output = tmp_path / "shards"
    arguments = [tmp_path / "data", "--output", output, "--license", "other", "--split", "test"]
    assert push(*arguments) == 0 and 'split="test"' in (output / "README.md").read_text()
    (output / "README.md").write_text("my own")
    assert push(*arguments) == 0 and (output / "README.md").read_text() == "my own"
    assert len(stream(output, "test")) == 8 and [path.name for path in (output / "data").iterdir()] == [
        "test-00000-of-00001.parquet"
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--license", "other"], "either the id of a repository or --output"),
        (["me/rvos", "--output", "here", "--license", "other"], "either the id of a repository or --output"),
        (["--output", "here", "--license", "CC BY"], "'CC BY' is no licence"),
        (["--output", "here", "--license", "cc by"], "'cc by' is no licence"),
        (["--output", "here", "--license", "other", "--split", "val"], "there is no split 'val'"),
        (["--output", "here", "--license", "other"], "no split is complete"),
    ],
)
def test_command_refuses_before_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert push(tmp_path, *arguments) == 1 and message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_clips_of_a_stream_are_those_of_the_table(youtube: Dataset, tmp_path: Path):
    """With two workers, too; every window comes once, and an epoch draws anew."""
    save_shards(youtube, "train", tmp_path, max_bytes=SMALL)
    files = str(tmp_path / "data" / "train-*.parquet")
    rows = load_dataset("parquet", data_files=files, split="train", streaming=True)
    expected = ClipDataset(youtube, window_size=8)
    wanted = sorted(
        (sorted(clip.expressions), int(clip.frames.sum())) for clip in map(expected.__getitem__, range(len(expected)))
    )
    for workers in (0, 2):
        loader = DataLoader(ClipStream(rows, window_size=8), batch_size=None, num_workers=workers)
        found = [(sorted(clip.expressions), int(clip.frames.sum())) for clip in loader]
        # A video whose rows are in two shards has its windows in both, with some of its expressions each.
        assert {pixels for _, pixels in found} == {pixels for _, pixels in wanted}
        assert sorted(text for texts, _ in found for text in texts) == sorted(
            text for texts, _ in wanted for text in texts
        )

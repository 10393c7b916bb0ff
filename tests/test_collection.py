# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Collections: sources, failures, and going on after interruptions, in one process and with Ray."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from models import random_checkpoint
from pycocotools import mask as coco_mask

import transformers_soc_cli
from transformers_soc.collection import CollectionSettings, VideoSegmenter, results, segment, segment_collection
from transformers_soc.data.moving_shapes import render_clip
from transformers_soc.video_io import write_video

NAMES = [f"{index}.mp4" for index in range(6)]


class FatalSegmenter(VideoSegmenter):
    """Notes the videos that it begins, and ends its process as often at each as the environment says."""

    def __call__(self, video, sentences):
        name, log = Path(video).name, Path(os.environ["COLLECTION_LOG"])
        with log.open("a") as file:
            file.write(name + "\n")
        if begun(log).count(name) <= json.loads(os.environ["COLLECTION_KILLS"]).get(name, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(video, sentences)


class InterruptedSegmenter(VideoSegmenter):
    """The user stops the run at the second video."""

    def __call__(self, video, sentences):
        if video.endswith(NAMES[1]):
            raise KeyboardInterrupt
        return super().__call__(video, sentences)


@pytest.fixture
def ray_workers(monkeypatch):
    """Skip without Ray; its workers find the classes of this module."""
    pytest.importorskip("ray", reason="Ray, the extra distributed, is not installed")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def begun(log):
    return log.read_text().split()


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A small random model, and one thread, so that answers are equal bit by bit."""
    model = random_checkpoint(tmp_path_factory.mktemp("checkpoint"))
    return CollectionSettings(model=str(model), device="cpu", num_threads=1, stride=2)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for index, name in enumerate(NAMES):
        write_video(folder / name, render_clip("test", index, num_frames=4, height=48, width=64).frames, 6)
    sentences = {name: ["the ball", f"square {index}"][: 1 + index % 2] for index, name in enumerate(NAMES)}
    (folder / "sentences.json").write_text(json.dumps(sentences))
    return folder


@pytest.fixture(scope="module")
def answers(tmp_path_factory, videos, settings):
    """Output of the run in one process that others are compared with."""
    output = tmp_path_factory.mktemp("answers") / "output"
    summary = segment_collection(videos, output, settings, progress=False)
    assert (summary.num_done, summary.num_failed, summary.num_new) == (6, 0, 6)
    return output


def read_rows(output, *dropped):
    """Rows of all shards, sorted."""
    tables = [pq.ParquetFile(path).read() for path in output.glob("shard-*.parquet")]
    table = pa.concat_tables(tables).drop_columns(list(dropped))
    return table.sort_by([("sample_id", "ascending"), ("sentence_index", "ascending")]).to_pylist()


def read_manifest(output):
    entries = [json.loads(line) for line in (output / "manifest.jsonl").read_text().splitlines()]
    return {entry.pop("sample_id"): entry for entry in entries}


def copy_with(videos, folder, **files):
    """The same collection with the bytes of some videos replaced."""
    folder.mkdir()
    for path in videos.iterdir():
        (folder / path.name).write_bytes(files.get(path.stem, path.read_bytes()))
    return folder


def test_rows_hold_what_the_pipeline_answers(answers, videos, settings):
    rows = read_rows(answers)
    assert [row["sample_id"] for row in rows] == [name for i, name in enumerate(NAMES) for _ in range(1 + i % 2)]
    row = rows[-1]
    expected = VideoSegmenter(settings)(str(videos / NAMES[-1]), ["the ball", "square 5"])[1]
    assert row["sentence"] == "square 5" and row["video"] == str(videos / NAMES[-1])
    assert row["score"] == pytest.approx(expected["score"]) and row["no_target"] == expected["no_target"]
    assert (row["height"], row["width"], row["frame_indices"]) == (48, 64, [0, 2])
    assert row["timestamps"] == pytest.approx([0, 2 / 6])
    assert np.array_equal(np.stack([coco_mask.decode(code) for code in row["masks"]]), expected["masks"])
    assert np.allclose(row["boxes"], expected["boxes"])


def test_manifest_and_second_run(answers, videos, settings, monkeypatch):
    assert read_manifest(answers)[NAMES[0]] == {"status": "done", "attempts": 1, "shard": "shard-00000.parquet"}
    monkeypatch.setattr(segment, "CollectionWorker", None)
    assert segment_collection(videos, answers, settings, progress=False).num_new == 0


@pytest.mark.parametrize("kind", ["paths", "bytes", "videos", "saved"])
def test_sources_give_the_same(tmp_path, answers, videos, settings, kind):
    sentences = json.loads((videos / "sentences.json").read_text())
    stored = [(videos / name).read_bytes() if kind == "bytes" else str(videos / name) for name in NAMES]
    table = pa.table(
        {"sample_id": NAMES, "video": stored, "sentences": [sentences[name] for name in NAMES], "x": NAMES}
    )
    source = tmp_path / "collection.parquet"
    if kind in ("paths", "bytes"):
        pq.write_table(table, source, row_group_size=4)
    else:
        dataset = datasets.Dataset(table)
        source = dataset.cast_column("video", datasets.Video()) if kind == "videos" else str(tmp_path / "saved")
        dataset.save_to_disk(tmp_path / "saved")
    segment_collection(source, tmp_path / "output", settings, progress=False)
    dropped = ["video"] if kind == "bytes" else []
    assert read_rows(tmp_path / "output", *dropped) == read_rows(answers, *dropped)


def test_rows_of_a_parquet_file_are_read_in_any_order(tmp_path):
    table = pa.table({"sample_id": ["a", "b", "c"], "video": [b"1", b"2", b"3"], "sentences": [["s"]] * 3})
    pq.write_table(table, tmp_path / "one.parquet", row_group_size=2)
    pq.write_table(table, tmp_path / "two.parquet")
    source = segment.open_source(tmp_path)
    assert [source.video(index) for index in (2, 0, 1, 5, 4)] == [b"3", b"1", b"2", b"3", b"2"]


def test_paths_start_at_the_source_and_bytes_come_first(tmp_path, monkeypatch):
    table = pa.table({"sample_id": ["a"], "video": ["clips/a.mp4"], "sentences": [["s"]]})
    pq.write_table(table, tmp_path / "rows.parquet")
    datasets.Dataset(table).save_to_disk(tmp_path / "saved")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    sources = {tmp_path / "rows.parquet": tmp_path, tmp_path / "saved": tmp_path / "saved"}
    for source, root in sources.items():
        assert segment.open_source(source).video(0) == str(root / "clips/a.mp4")
    assert segment.open_source(datasets.Dataset(table)).video(0) == str(tmp_path / "here/clips/a.mp4")
    both = table.set_column(1, "video", [[{"bytes": b"1", "path": "a.mp4"}]])
    assert segment.open_source(datasets.Dataset(both)).video(0) == b"1"


def test_corrupt_and_missing_videos_are_recorded_and_tried_again_when_asked(tmp_path, answers, videos, settings):
    source, output = copy_with(videos, tmp_path / "videos", **{"1": b"no video"}), tmp_path / "output"
    (source / NAMES[2]).unlink()
    summary = segment_collection(source, output, settings, progress=False)
    assert (summary.num_done, summary.num_failed) == (4, 2)
    manifest = read_manifest(output)
    assert manifest[NAMES[1]]["status"] == "failed" and "1.mp4' is no video file" in manifest[NAMES[1]]["error"]
    assert "2.mp4' does not exist" in manifest[NAMES[2]]["error"]
    for name in NAMES[1:3]:
        (source / name).write_bytes((videos / name).read_bytes())
    assert segment_collection(source, output, settings, progress=False).num_new == 0
    assert segment_collection(source, output, settings, progress=False, retry_failed=True).num_done == 6
    assert read_rows(output, "video") == read_rows(answers, "video")


def test_killed_run_goes_on_and_computes_no_finished_video_twice(tmp_path, answers, videos, settings, monkeypatch):
    log, output = tmp_path / "log", tmp_path / "output"
    monkeypatch.setenv("COLLECTION_LOG", str(log))
    monkeypatch.setenv("COLLECTION_KILLS", json.dumps({NAMES[3]: 1}))
    script = (
        "import sys; from test_collection import *; segment_collection(sys.argv[1], sys.argv[2], "
        "CollectionSettings(**json.loads(sys.argv[3])), progress=False, segmenter=FatalSegmenter)"
    )
    command = [sys.executable, "-c", script, str(videos), str(output), json.dumps(vars(settings))]
    killed = subprocess.run(command, cwd=Path(__file__).parent)
    assert killed.returncode == -signal.SIGKILL and begun(log) == NAMES[:4]
    segment_collection(videos, output, settings, progress=False, segmenter=FatalSegmenter)
    assert begun(log) == NAMES[:4] + NAMES[3:]
    assert read_rows(output) == read_rows(answers)
    assert read_manifest(output)[NAMES[3]]["attempts"] == 2


def test_row_that_ended_the_run_three_times_is_given_up(tmp_path, videos, settings):
    with results.ResultFolder(tmp_path / "output").opened(settings.recorded()):
        results.VideoFiles(tmp_path / "output").note_attempts(NAMES[0], 3)
    assert segment_collection(videos, tmp_path / "output", settings, progress=False).num_failed == 1
    entry = read_manifest(tmp_path / "output")[NAMES[0]]
    assert entry["attempts"] == 3 and "ended without an error 3 times" in entry["error"]


def test_interruption_by_the_user_counts_as_no_attempt(tmp_path, videos, settings):
    with pytest.raises(KeyboardInterrupt):
        segment_collection(videos, tmp_path, settings, progress=False, segmenter=InterruptedSegmenter)
    assert list(read_manifest(tmp_path)) == NAMES[:1]
    segment_collection(videos, tmp_path, settings, progress=False)
    assert {entry["attempts"] for entry in read_manifest(tmp_path).values()} == {1}


@pytest.mark.parametrize("reported", [False, True])
@pytest.mark.parametrize(("limit", "value", "early", "late"), [("VIDEOS", 2, 2, 3), ("BYTES", 1, 5, 5)])
def test_shards_keep_to_their_limits(tmp_path, monkeypatch, reported, limit, value, early, late):
    """Those that are written on the way, of videos that are reported, and those in the end."""
    monkeypatch.setattr(results, f"{limit}_PER_SHARD", value)
    (tmp_path / ".lock").touch()  # as of a run that was killed before it wrote anything
    folder = results.ResultFolder(tmp_path)
    result = {"expression": "s", "score": 1, "no_target": False, "frame_indices": [0], "timestamps": None}
    result |= {"boxes": np.zeros((1, 4)), "masks": np.zeros((1, 4, 6), bool)}
    with folder.opened({}):
        for name in NAMES[:5]:
            folder.files.write_results(name, None, ["s"], [result])
            if reported:
                folder.report(name)
        assert len(list(tmp_path.glob("shard-*.parquet"))) == (early if reported else 0)
    assert len(list(tmp_path.glob("shard-*.parquet"))) == late
    assert list(read_manifest(tmp_path)) == NAMES[:5] and len(read_rows(tmp_path)) == 5


def test_crash_between_folding_and_deleting_doubles_nothing(tmp_path, answers, videos, settings, monkeypatch):
    monkeypatch.setattr(results, "VIDEOS_PER_SHARD", 4)
    with monkeypatch.context() as patch, pytest.raises(PermissionError):
        patch.setattr(Path, "unlink", refuse_pieces(Path.unlink))
        segment_collection(videos, tmp_path, settings, progress=False)
    assert (tmp_path / "shard-00000.parquet").exists() and len(list(tmp_path.glob("pieces/*.parquet"))) == 4
    segment_collection(videos, tmp_path, settings, progress=False)
    assert read_rows(tmp_path) == read_rows(answers)
    assert len(list(tmp_path.glob("shard-*.parquet"))) == 2 and list(tmp_path.glob("pieces/*")) == []


def refuse_pieces(unlink):
    def refusing(path, **arguments):
        if path.suffix == ".parquet":
            raise PermissionError
        unlink(path, **arguments)

    return refusing


@pytest.mark.parametrize(
    "content, message",
    [
        ({}, "no rows"),
        ({"a.mp4": []}, "'a.mp4'"),
        ({"a.mp4": "the ball"}, "'a.mp4'"),
        ({"a.mp4": [" "]}, "'a.mp4'"),
        (["a.mp4"], "sentences.json must hold"),
    ],
)
def test_bad_sentences_are_refused_before_work(tmp_path, content, message):
    (tmp_path / "sentences.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        segment_collection(tmp_path, tmp_path / "output")
    assert not (tmp_path / "output").exists()


def test_a_model_is_the_same_by_its_relative_path(answers, videos, settings, monkeypatch):
    path = Path(settings.model)
    monkeypatch.chdir(path.parent)
    assert segment_collection(videos, answers, replace(settings, model=path.name), progress=False).num_new == 0


def test_workers_have_the_threads_and_skip_what_is_finished(tmp_path, settings, monkeypatch):
    threads = []
    monkeypatch.setattr(segment.torch, "set_num_threads", threads.append)
    worker = segment.CollectionWorker(None, tmp_path, replace(settings, num_threads=3), lambda settings: None)
    worker.files.pieces.mkdir()
    worker.files.piece_path("a").touch()
    worker.answer(segment._Row(0, "a", ["s"]))
    assert threads == [3] and worker.files.num_attempts("a") == 0


def test_bad_tables_are_refused(tmp_path):
    for columns, message in [
        ({"sample_id": ["a"], "video": ["a.mp4"]}, "sentences"),
        ({"sample_id": ["a", "a"], "video": ["a.mp4"] * 2, "sentences": [["s"]] * 2}, "comes twice"),
        ({"sample_id": [None], "video": ["a.mp4"], "sentences": [["s"]]}, "row 0"),
    ]:
        pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
        with pytest.raises(ValueError, match=message):
            segment_collection(tmp_path / "rows.parquet", tmp_path / "output")
    (tmp_path / "rows.parquet").write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"rows\.parquet' is no Parquet file"):
        segment_collection(tmp_path / "rows.parquet", tmp_path / "output")


def test_folder_of_other_content_settings_or_sentences_is_refused(tmp_path, answers, videos, settings):
    (tmp_path / "precious").write_text("")
    with pytest.raises(FileExistsError, match="something else"):
        segment_collection(videos, tmp_path, settings)
    with pytest.raises(ValueError, match="stride=2"):
        segment_collection(videos, answers, CollectionSettings(model=settings.model))
    (tmp_path / "sentences.json").write_text(json.dumps({NAMES[0]: ["another sentence"]}))
    with pytest.raises(ValueError, match="other sentences"):
        segment_collection(tmp_path, answers, settings)
    with (
        results.ResultFolder(answers).opened(settings.recorded()),
        pytest.raises(BlockingIOError, match="another run"),
    ):
        segment_collection(videos, answers, settings)


def test_command_runs_in_one_process(capsys, tmp_path, answers, videos, settings):
    options = ["--model", settings.model, "--stride", "2", "--threads-per-worker", "1", "--no-progress"]
    command = ["segment-collection", str(videos), str(tmp_path / "output"), *options, "--device", "cpu"]
    assert transformers_soc_cli.main(command) == 0
    assert "6 videos done, 0 failed" in capsys.readouterr().out
    assert read_rows(tmp_path / "output") == read_rows(answers)


def test_contradicting_settings_are_refused_before_work(tmp_path, videos):
    with pytest.raises(ValueError, match="exclude each other"):
        segment_collection(videos, tmp_path / "output", CollectionSettings(fps=1, stride=2))
    with pytest.raises(ValueError, match="num_workers"):
        segment_collection(videos, tmp_path / "output", address="auto")
    assert not (tmp_path / "output").exists()


def test_missing_ray_names_the_extra(capsys, tmp_path, videos, settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    command = ["segment-collection", str(videos), str(tmp_path / "output"), "--model", settings.model]
    assert transformers_soc_cli.main([*command, "--num-workers", "2"]) == 1
    assert "transformers-soc[distributed]" in capsys.readouterr().err and not (tmp_path / "output").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*")
@pytest.mark.slow
def test_two_workers_of_ray_equal_one_process(ray_workers, capfd, tmp_path, answers, videos, settings):
    summary = segment_collection(videos, tmp_path / "output", settings, num_workers=2, progress=False)
    assert summary.num_done == 6 and read_rows(tmp_path / "output") == read_rows(answers)
    out, errors = capfd.readouterr()
    assert out == "" and all("RAY_BACKEND_LOG_LEVEL" in line for line in errors.splitlines())


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*")
@pytest.mark.slow
def test_lost_workers_lose_nothing_and_a_fatal_row_is_given_up(
    ray_workers, tmp_path, answers, videos, settings, monkeypatch
):
    log, output = tmp_path / "log", tmp_path / "output"
    kills = {NAMES[1]: 1, NAMES[4]: 99}
    monkeypatch.setenv("COLLECTION_LOG", str(log))
    monkeypatch.setenv("COLLECTION_KILLS", json.dumps(kills))
    monkeypatch.setattr(segment, "TASKS_PER_WORKER", 1)  # three rows for each worker, the second of them fatal
    segment_collection(videos, output, settings, num_workers=2, progress=False, segmenter=FatalSegmenter)
    manifest = read_manifest(output)
    assert manifest[NAMES[4]]["status"] == "failed" and "3 times" in manifest[NAMES[4]]["error"]
    assert {name: begun(log).count(name) for name in NAMES} == dict.fromkeys(NAMES, 1) | {NAMES[1]: 2, NAMES[4]: 3}
    assert read_rows(output) == [row for row in read_rows(answers) if row["sample_id"] != NAMES[4]]

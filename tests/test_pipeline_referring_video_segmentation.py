# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Input forms, batching, sampling and limits of the pipeline, with a small random model."""

import numpy as np
import pytest
import torch
from conftest import tiny_processor
from models import tiny_model
from PIL import Image
from torch.utils.data import Dataset
from transformers import pipeline
from transformers.utils import logging

from transformers_soc import SocVideoSession
from transformers_soc import pipeline_referring_video_segmentation as module
from transformers_soc.pipeline_referring_video_segmentation import ReferringVideoSegmentationPipeline


@pytest.fixture(scope="module")
def pipe():
    return ReferringVideoSegmentationPipeline(model=tiny_model(), processor=tiny_processor(), device=-1)


def noise(num_frames: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(num_frames).integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)


def assert_same(answer: dict, expected: dict) -> None:
    assert answer["expression"] == expected["expression"] and answer["query_index"] == expected["query_index"]
    assert answer["frame_indices"] == expected["frame_indices"]
    assert answer["masks"].shape == expected["masks"].shape
    assert (answer["masks"] != expected["masks"]).mean() < 1e-3
    for name in ("boxes", "frame_scores", "score"):
        np.testing.assert_allclose(answer[name], expected[name], atol=1e-3)


def test_one_video_one_sentence(pipe, video_path):
    answer = pipe(str(video_path), "a dog", fps=2)
    assert answer["masks"].shape == (4, 32, 48) and answer["masks"].dtype == bool
    assert isinstance(answer["masks"], np.ndarray) and answer["boxes"].shape == (4, 4)
    assert answer["frame_scores"].shape == (4,) and 0 < answer["score"] < 1
    assert answer["expression"] == "a dog" and answer["no_target"] is False
    assert answer["frame_indices"] == [0, 5, 10, 15]
    assert answer["timestamps"] == pytest.approx([0, 0.5, 1, 1.5])


def test_forms_of_input(pipe, tmp_path):
    frames = noise(2, 32, 48)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{index}.png")
    expected = pipe(frames, "a dog")
    forms = [list(frames), [Image.fromarray(frame) for frame in frames], torch.from_numpy(frames), tmp_path]
    for one in [*forms, {"video": frames}]:
        assert_same(pipe(one, "a dog"), expected)
    assert_same(pipe({"video": frames, "text": ["a dog"]})[0], expected)
    for several in ([frames, frames], np.stack([frames, frames]), [tmp_path, str(tmp_path)], [list(frames)] * 2):
        answers = pipe(several, "a dog")
        assert len(answers) == 2
        assert_same(answers[1], expected)
    nested = pipe([frames, frames], ["a cat", "a dog"])
    assert [[answer["expression"] for answer in group] for group in nested] == [["a cat", "a dog"]] * 2
    assert len(pipe([Image.fromarray(frames[0])] * 2, "a")["masks"]) == 2
    assert len(pipe(Image.fromarray(frames[0]), "a")["masks"]) == 1


@pytest.mark.parametrize("batch_size", [2, 3])
def test_answers_do_not_depend_on_the_batch_size(pipe, batch_size):
    items = [
        {"video": noise(2, 32, 48), "text": ["a dog", "the red cat on the left"]},
        {"video": noise(4, 32, 48), "text": "something"},
        {"video": noise(3, 32, 48), "text": ["a", "b", "c"]},
    ]
    for answers, expected in zip(pipe(items, batch_size=batch_size), pipe(items), strict=True):
        assert type(answers) is type(expected)
        pairs = zip(answers, expected, strict=True) if isinstance(expected, list) else [(answers, expected)]
        for answer, alone in pairs:
            assert_same(answer, alone)


def test_videos_of_different_size_keep_their_own_size(pipe):
    videos = [noise(2, 40, 60), noise(3, 60, 40), noise(1, 50, 50)]
    answers = pipe(videos, "a dog", batch_size=3)
    assert [answer["masks"].shape for answer in answers] == [(2, 40, 60), (3, 60, 40), (1, 50, 50)]


def test_a_video_is_encoded_once(pipe, monkeypatch):
    calls = []
    encode = pipe.model.get_video_features
    monkeypatch.setattr(pipe.model, "get_video_features", lambda *args: calls.append(1) or encode(*args))
    answers = pipe(noise(2, 32, 48), ["a", "b", "c", "d", "e", "f"])
    assert len(answers) == 6 and len(calls) == 1


class Videos(Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return {"video": noise(index + 1, 32, 48), "text": ["a", "b"]}


def test_generators_and_datasets_are_read_lazily(pipe):
    read = []

    def clips():
        for index in range(3):
            read.append(index)
            yield noise(index + 1, 32, 48)

    answers = pipe(clips(), "a dog")
    assert not read and len(next(answers)["masks"]) == 1 and read == [0]
    assert [len(answer["masks"]) for answer in answers] == [2, 3]
    assert [len(pair[1]["masks"]) for pair in pipe(Videos(), batch_size=2)] == [1, 2, 3]


def test_parameters_of_the_call_replace_those_of_the_pipeline(video_path):
    pipe = ReferringVideoSegmentationPipeline(
        model=tiny_model(), processor=tiny_processor(), device=-1, num_frames=3, threshold=1.0
    )
    refused = pipe(video_path, "a dog")
    assert refused["masks"].shape == (3, 32, 48) and refused["no_target"] and not refused["masks"].any()
    assert len(pipe(video_path, "a dog", stride=10)["masks"]) == 2
    assert not pipe(video_path, "a dog", threshold=0.0)["no_target"]


def test_union_asks_for_all_queries(pipe):
    frames = noise(2, 32, 48)
    one, union = pipe(frames, "a dog"), pipe(frames, "a dog", union_threshold=0.0)
    assert (one["masks"] <= union["masks"]).all()
    all_queries = pipe(frames, "a dog", union_threshold=1.0)
    assert (all_queries["masks"] == one["masks"]).all()


def test_long_videos_go_through_a_session(pipe, video_path):
    answers = pipe(str(video_path), ["a dog", "a cat"], stride=2, mode="clip", clip_frames=6, overlap=2)
    session = SocVideoSession(pipe.model, pipe.processor, "clip", clip_frames=6, overlap=2)
    session.add_video(video_path, stride=2)
    session.add_expressions(["a dog", "a cat"])
    for answer, expected in zip(answers, session.results("numpy"), strict=True):
        assert answer["frame_indices"] == list(range(0, 20, 2)) and (answer["masks"] == expected["masks"]).all()
        assert answer["masks"].shape == (10, 32, 48) and answer["score"] == expected["score"]
    videos = pipe(
        (noise(3, 32, 48) for _ in range(2)),
        "a dog",
        mode="clip",
        threshold=1.0,
        resize_mode="padded_threshold_nearest",
    )
    assert [answer["no_target"] for answer in videos] == [True, True]


def test_a_pipeline_for_long_videos_can_be_asked_at_once(video_path):
    long = ReferringVideoSegmentationPipeline(
        model=tiny_model(), processor=tiny_processor(), device=-1, mode="clip", clip_frames=8
    )
    once = ReferringVideoSegmentationPipeline(model=tiny_model(), processor=tiny_processor(), device=-1)
    assert len(long(video_path, "a dog")["query_indices"]) == 20
    assert_same(long(video_path, "a dog", mode="exact"), once(video_path, "a dog"))


def test_masks_can_be_resized_as_the_official_evaluation_does(pipe):
    frames = noise(2, 40, 60)
    smooth, nearest = pipe(frames, "a dog"), pipe(frames, "a dog", resize_mode="padded_threshold_nearest")
    assert 0 < (smooth["masks"] != nearest["masks"]).mean() < 0.3


def test_too_little_memory_is_told_before_anything_is_encoded(pipe, video_path, monkeypatch):
    monkeypatch.setattr(module, "available_memory", lambda device: 5_000_000)
    monkeypatch.setattr(pipe.model, "get_video_features", None)
    with pytest.raises(ValueError, match=r"20 frames of 48x32 need about .* GB .* num_frames or fps"):
        pipe(video_path, "a dog")


def test_progress_bar_counts_sentences(pipe, capsys):
    logging.enable_progress_bar()  # which commands switch off for the whole process
    pipe(noise(1, 32, 48), ["a", "b", "c"], progress=True)
    assert "3/3" in capsys.readouterr().err
    pipe(noise(1, 32, 48), ["a", "b", "c"])
    assert not capsys.readouterr().err


def test_saved_folder_is_loaded_by_the_name_of_the_task(pipe, tmp_path):
    pipe.save_pretrained(tmp_path)
    loaded = pipeline("referring-video-segmentation", model=str(tmp_path), device=-1, threshold=0.0)
    assert isinstance(loaded, ReferringVideoSegmentationPipeline)
    frames = noise(2, 32, 48)
    assert_same(loaded(frames, "A dog"), pipe(frames, "A dog"))


@pytest.mark.parametrize(
    ("arguments", "keywords", "error"),
    [
        ((noise(1, 32, 48),), {}, ValueError),
        ((noise(1, 32, 48), []), {}, ValueError),
        ((noise(1, 32, 48), 5), {}, TypeError),
        (([], "a"), {}, ValueError),
        (({"video": noise(1, 32, 48), "txt": "a"},), {}, ValueError),
        (({"video": noise(1, 32, 48), "text": "a"}, "b"), {}, ValueError),
        (({"video": ["a.mp4", "b.mp4", b""], "text": "a"},), {}, ValueError),
        ((noise(1, 32, 48), "a"), {"frames": 3}, TypeError),
        ((noise(1, 32, 48), "a"), {"batch_size": -1}, ValueError),
        ((noise(1, 32, 48), "a"), {"mode": "nearest"}, ValueError),
        ((noise(1, 32, 48), "a"), {"resize_mode": "nearest"}, ValueError),
        ((noise(1, 32, 48), "a"), {"clip_frames": 8}, ValueError),
        ((noise(1, 32, 48), "a"), {"mode": "clip", "clip_frames": 8, "overlap": 8}, ValueError),
    ],
)
def test_wrong_calls_are_refused(pipe, arguments, keywords, error):
    with pytest.raises(error):
        pipe(*arguments, **keywords)

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What a user can get wrong ends in one clear sentence, or in a documented result."""

import io

import numpy as np
import pytest
import torch
from conftest import audio_bytes, gray_frames, tiny_processor
from models import tiny_model
from PIL import Image

from transformers_soc.pipeline_referring_video_segmentation import ReferringVideoSegmentationPipeline
from transformers_soc.video_io import VideoDecodeError, read_video, write_video


@pytest.fixture(scope="module")
def pipe():
    return ReferringVideoSegmentationPipeline(model=tiny_model(), processor=tiny_processor(), device=-1)


def mixed_sizes() -> list[np.ndarray]:
    return [np.zeros((32, 48, 3), np.uint8), np.zeros((32, 46, 3), np.uint8)]


BAD_VIDEOS = {
    "missing file": (lambda: "no/such/clip.mp4", FileNotFoundError, "does not exist"),
    "empty file": (lambda: b"", VideoDecodeError, "is empty"),
    "no video": (lambda: b"this is a text and no video" * 50, VideoDecodeError, "no video file"),
    "sound only": (audio_bytes, VideoDecodeError, "holds no video, only audio"),
    "sound with a cover": (lambda: audio_bytes(cover=True), VideoDecodeError, "holds no video, only audio"),
    "address": (lambda: "https://example.org/clip.mp4", ValueError, "allow_url=True"),
    "other address": (lambda: "ftp://example.org/clip.mp4", ValueError, "only local paths"),
    "text file": (lambda: io.StringIO("text"), TypeError, "'rb'"),
    "no frames": (lambda: np.zeros((0, 32, 48, 3), np.uint8), ValueError, "no frames"),
    "empty list": (list, ValueError, "empty"),
    "no pixels": (lambda: np.zeros((2, 0, 48, 3), np.uint8), ValueError, "no pixels"),
    "mixed sizes": (mixed_sizes, ValueError, "frame 0 is 48x32, frame 1 is 46x32"),
    "NaN": (lambda: np.full((2, 32, 48, 3), np.nan, np.float32), ValueError, "NaN"),
    "large floats": (lambda: np.full((2, 32, 48, 3), 128.0), ValueError, "divide by 255"),
    "integers": (lambda: np.zeros((2, 32, 48, 3), np.int64), ValueError, "uint8"),
    "four channels": (lambda: np.zeros((2, 32, 48, 4), np.uint8), ValueError, r"\(frames, height, width, 3\)"),
    "a number": (lambda: 7, TypeError, "int is no video"),
    "nothing": (lambda: None, TypeError, "NoneType is no video"),
}


@pytest.mark.parametrize("name", BAD_VIDEOS)
def test_bad_videos(pipe, name):
    make, error, words = BAD_VIDEOS[name]
    with pytest.raises(error, match=words) as caught:
        pipe(make(), "a dog")
    assert not type(caught.value).__module__.startswith("av")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("index", [0, 1, 5])
def test_nan_in_any_frame_is_found(index):
    frames = np.zeros((6, 8, 8, 3), np.float32)
    frames[index, 3, 4, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        read_video(torch.from_numpy(frames))


@pytest.fixture(scope="module")
def noisy_file(tmp_path_factory) -> bytes:
    """An mp4 file of 30 frames whose data are spread over the whole file."""
    path = tmp_path_factory.mktemp("noise") / "noise.mp4"
    write_video(path, np.random.default_rng(0).integers(0, 256, (30, 48, 64, 3), dtype=np.uint8), fps=10)
    return path.read_bytes()


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_file_gives_the_frames_before_the_cut(noisy_file, share):
    with pytest.warns(UserWarning, match="cut off"):
        frames, info = read_video(noisy_file[: int(len(noisy_file) * share)])
    assert 1 <= len(frames) <= 30 * share
    assert info.total_num_frames == len(frames) == len(info.timestamps)
    with pytest.warns(UserWarning, match="cut off"):
        assert len(read_video(noisy_file[: int(len(noisy_file) * share)], num_frames=3)[0]) == 3


@pytest.mark.parametrize("share", [0.01, 0.02])
def test_file_cut_off_in_its_head_is_refused(tmp_path, noisy_file, share):
    (tmp_path / "cut.mp4").write_bytes(noisy_file[: int(len(noisy_file) * share)])
    with pytest.raises(VideoDecodeError, match=r"cut\.mp4.*complete"):
        read_video(tmp_path / "cut.mp4")


def test_damaged_middle_costs_few_frames(noisy_file):
    data = bytearray(noisy_file)
    middle = len(data) // 2
    data[middle : middle + 2000] = np.random.default_rng(0).bytes(2000)
    assert len(read_video(bytes(data))[0]) >= 20
    frames, info = read_video(bytes(data), num_frames=5)
    assert len(frames) == 5 == len(info.frames_indices)


def test_image_that_is_cut_off(tmp_path):
    Image.fromarray(gray_frames(1, 64, 64)[0]).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    for source in (tmp_path / "b.png", tmp_path):
        with pytest.raises(VideoDecodeError, match=r"b\.png.*complete"):
            read_video(source)


def test_folder_without_images(tmp_path):
    with pytest.raises(VideoDecodeError, match="holds no images"):
        read_video(tmp_path)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ([], ValueError, "at least one"),
        ("", ValueError, "expression 0 is empty"),
        (["a dog", " \t "], ValueError, "expression 1 is empty"),
        ("dog " * 20, ValueError, "expression 0 has 81 tokens, .* at most 32"),
        (["a dog", 7], TypeError, "expression 1 is a int"),
        (b"a dog", TypeError, "bytes"),
    ],
)
def test_bad_sentences_are_told_before_the_video_is_read(pipe, monkeypatch, text, error, words):
    monkeypatch.setattr("transformers_soc.video_processing_soc.read_video", None)
    with pytest.raises(error, match=words):
        pipe(gray_frames(2), text)


def test_long_sentence_can_be_cut_on_purpose():
    assert tiny_processor()(text="dog " * 20, truncation=True)["input_ids"].shape == (1, 32)


@pytest.mark.parametrize(
    ("videos", "text", "video_indices"),
    [(2, ["a", "b", "c"], None), (2, "a", None), (2, [["a"]], None), (1, ["a"], [1]), (1, ["a"], [0, 0])],
)
def test_expressions_that_do_not_go_with_the_videos(videos, text, video_indices):
    with pytest.raises(ValueError, match=r"videos|video_indices"):
        tiny_processor()(videos=[gray_frames(1)] * videos, text=text, video_indices=video_indices)


def test_one_pixel_is_enough(pipe):
    answer = pipe(np.zeros((2, 1, 1, 3), np.uint8), "a dog")
    assert answer["masks"].shape == (2, 1, 1) and answer["boxes"].shape == (2, 4)


def test_nothing_to_process():
    with pytest.raises(ValueError, match="videos, text or both"):
        tiny_processor()()

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Sessions about long videos: exact and clip by clip."""

import json
import tracemalloc

import numpy as np
import pytest
import torch
from conftest import gray_frames, tiny_processor
from models import TINY_SWIN, tiny_model
from transformers import AutoModel, AutoProcessor
from transformers.utils import logging

import transformers_soc_cli
from transformers_soc import SocModelOutput, SocVideoSession, bundled_checkpoint
from transformers_soc import session as module
from transformers_soc.collection import CollectionSettings, VideoSegmenter, segment_collection
from transformers_soc.data.moving_shapes import render_clip
from transformers_soc.session import choose_query
from transformers_soc.video_io import read_video, rle_to_masks, write_video

TEXTS = ["a dog", "the red cat on the left"]


@pytest.fixture(scope="module")
def model():
    return tiny_model("soc++")


def noise(num_frames: int, height: int = 40, width: int = 60) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)


def session(model, texts=TEXTS, frames=None, **arguments) -> SocVideoSession:
    made = SocVideoSession(model, tiny_processor(), **arguments)
    if texts is not None:
        made.add_expressions(texts)
    if frames is not None:
        made.add_frames(frames)
    return made


def encoded_frames(monkeypatch, model) -> list[torch.Tensor]:
    """A list that collects the frames (frames, 3, height, width) of each call of the vision side of the model."""
    calls = []
    encode = model.get_video_features
    monkeypatch.setattr(
        model, "get_video_features", lambda pixels, mask: calls.append(pixels[0]) or encode(pixels, mask)
    )
    return calls


def assert_same(results, expected) -> None:
    for result, other in zip(results, expected, strict=True):
        assert result["expression"] == other["expression"] and result["no_target"] == other["no_target"]
        for name in ("masks", "boxes", "frame_scores", "score"):
            np.testing.assert_allclose(result[name], other[name], rtol=0, atol=1e-4)


def one_forward(model, frames) -> list[dict]:
    """What the processor makes of a single call of the model with all frames and sentences."""
    processor = tiny_processor()
    inputs = processor(videos=frames, text=TEXTS)
    with torch.no_grad():
        outputs = model(**inputs)
    return processor.post_process_referring_video_segmentation(
        outputs, [frames.shape[1:3]], pixel_mask=inputs["pixel_mask"], expressions=TEXTS
    )


@pytest.mark.parametrize("variant", ["soc", "soc++"])
def test_exact_mode_equals_one_forward_over_100_frames(variant):
    model, frames = tiny_model(variant), noise(100)
    expected = one_forward(model, frames)
    asked = session(model, frames=frames[:37])
    for frame in frames[37:]:
        asked.add_frames([frame])
    results = asked.results("numpy")
    assert_same(results, expected)
    assert [set(result["query_indices"]) for result in results] == [{each["query_index"]} for each in expected]
    assert results[0]["masks"].shape == (100, 40, 60)


def test_exact_mode_equals_one_forward_over_float_frames(model):
    frames = (noise(3) / 255).astype(np.float32)
    assert_same(session(model, frames=frames).results("numpy"), one_forward(model, frames))


def test_exact_mode_encodes_once_also_for_later_sentences(monkeypatch, model):
    calls = []
    hook = model.backbone.register_forward_hook(lambda *_: calls.append(1))
    asked = session(model, texts=None, frames=noise(3))
    asked.add_frames(noise(2))
    assert asked.add_expressions("a dog") == [0]
    first = asked.results("numpy")
    assert asked.add_expressions(["something", "a dog"]) == [1, 2]
    results = asked.results("numpy")
    hook.remove()
    assert len(calls) == 1
    assert_same([results[0], results[2]], [first[0], first[0]])


@pytest.mark.parametrize(
    ("clip_frames", "overlap", "clips"),
    [
        (10, 3, [(0, 10), (4, 14), (8, 18), (12, 22), (16, 25)]),  # the windows have 4 frames
        (10, 1, [(0, 10), (8, 18), (12, 20)]),  # the last clip is shifted back
        (5, 3, [(0, 5), (2, 7), (3, 8)]),
    ],
)
def test_clips_start_at_windows_and_cover_the_video(monkeypatch, model, clip_frames, overlap, clips):
    calls = encoded_frames(monkeypatch, model)
    asked = session(model, mode="clip", clip_frames=clip_frames, overlap=overlap)
    frames = gray_frames(clips[-1][1])
    asked.add_frames(frames[:clip_frames])
    assert len(calls) == 1  # what is complete is answered at once
    asked.add_frames(frames[clip_frames:])
    asked.results()
    brightness = tiny_processor()(videos=frames)["pixel_values_videos"][0, :, 0, 0, 0].tolist()
    seen = [[brightness.index(value) for value in call[:, 0, 0, 0].tolist()] for call in calls]
    assert seen == [list(range(*ends)) for ends in clips]


def test_one_clip_equals_the_exact_mode(model):
    frames = noise(9)
    exact = session(model, frames=frames).results("numpy")
    clip = session(model, frames=frames, mode="clip", clip_frames=9, overlap=2, batch_size=2).results("numpy")
    assert_same(clip, exact)


def test_maps_of_answered_frames_equal_those_of_the_whole_video(monkeypatch):
    """Clips begin at windows and keep what a temporal stem sees, here in a backbone without shifted windows."""
    model = tiny_model(backbone_config=TINY_SWIN | {"depths": (1, 1, 1, 1), "stem": "conv3d"})
    frames, maps = noise(40), []
    whole = model.get_video_features(tiny_processor()(videos=frames)["pixel_values_videos"]).level_maps[1][0]
    encode = model.get_video_features
    monkeypatch.setattr(model, "get_video_features", lambda *args: maps.append(encode(*args)) or maps[-1])
    session(model, frames=frames, mode="clip", clip_frames=16, overlap=8).results()
    answered = [
        each.level_maps[1][0, 4 if start else 0 : 12] for start, each in zip((0, 8, 16, 24), maps, strict=True)
    ]
    assert (torch.cat(answered) - whole[:36]).abs().max() < 1e-4


def test_chosen_query_agrees_with_the_previous_clip():
    masks = torch.zeros(2, 3, 4, 4, dtype=torch.bool)
    masks[:, 0, :2], masks[:, 1, 2:], masks[:, 2, 2:, :3] = True, True, True
    previous = masks[:, 1]
    assert choose_query(torch.tensor([0.60, 0.55, 0.58]), masks, previous) == 1
    assert choose_query(torch.tensor([0.60, 0.40, 0.58]), masks, previous) == 2  # too far below the best
    assert choose_query(torch.tensor([0.60, 0.55, 0.58]), masks, torch.zeros_like(previous)) == 0  # out of sight
    assert choose_query(torch.tensor([0.60, 0.55, 0.58]), masks[:0], previous[:0]) == 0


def scripted(monkeypatch, model, clips) -> None:
    """Let the model answer each clip with two queries: (scores, rows of the mask) of each come from `clips`."""
    script = iter(clips)

    def forward(video_features, **kwargs):
        frames, (height, width) = video_features.fine_map.shape[1], video_features.fine_map.shape[-2:]
        scores, rows = next(script)
        masks = torch.full((1, frames, 2, height, width), -9.0)
        for query, row in enumerate(rows):
            masks[:, :, query, row] = 9.0
        logits = torch.logit(torch.tensor(scores)).expand(1, frames, 2)[..., None]
        return SocModelOutput(logits=logits, pred_boxes=torch.rand(1, frames, 2, 4), pred_masks=masks)

    monkeypatch.setattr(model, "forward", forward)


def mask_rows(result) -> list[int]:
    """Row of the mask in each frame, in the units of `scripted`: the frames are four times as high."""
    return [int(np.flatnonzero(mask.any(1)).mean() // 4) for mask in result["masks"]]


def test_one_object_is_kept_where_queries_swap(monkeypatch, model):
    clips = [((0.60, 0.55), (1, 6)), ((0.52, 0.60), (1, 6)), ((0.58, 0.55), (6, 1)), ((0.90, 0.50), (6, 1))]
    scripted(monkeypatch, model, clips)
    asked = session(model, ["a dog"], noise(20, 32, 48), mode="clip", clip_frames=8, overlap=4)
    (result,) = asked.results("numpy")
    assert result["query_indices"].tolist() == [0] * 6 + [0] * 4 + [1] * 4 + [0] * 6
    assert mask_rows(result) == [1] * 14 + [6] * 6  # a much better query may take over


def test_each_clip_answers_its_middle(monkeypatch, model):
    scripted(monkeypatch, model, [((0.6, 0.1), (row, 0)) for row in (1, 2, 3)])
    asked = session(model, ["a dog"], noise(15, 32, 48), mode="clip", clip_frames=8, overlap=4)
    assert mask_rows(asked.results("numpy")[0]) == [1] * 6 + [2] * 4 + [3] * 5


@pytest.mark.parametrize(("threshold", "refused"), [(0.55, False), (0.65, True)])
def test_the_whole_video_decides_whether_there_is_a_target(monkeypatch, model, threshold, refused):
    scripted(monkeypatch, model, [((0.9, 0.1), (1, 2)), ((0.3, 0.1), (1, 2))])
    asked = session(model, ["a dog"], noise(12, 32, 48), mode="clip", clip_frames=8, overlap=4, threshold=threshold)
    (result,) = asked.results("numpy")
    assert result["score"] == pytest.approx(0.6) and result["no_target"] is refused
    assert result["masks"].any() != refused and result["boxes"].any() != refused
    assert all(masks[0].any() != refused for _, masks in asked.masks())


def test_memory_does_not_grow_with_the_video(model):
    (frame,) = noise(1, 64, 96)
    processor, peaks = tiny_processor(), []
    processor.video_processor.do_resize = False
    for num_frames in (24, 96):
        asked = SocVideoSession(model, processor, "clip", clip_frames=8, overlap=0)
        asked.add_expressions("a dog")
        tracemalloc.start()
        for _ in range(num_frames):
            asked.add_frames([frame])
        asked.results()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 0.2 * (96 - 24) * frame.nbytes  # codes and scores alone


@pytest.mark.parametrize("mode", ["exact", "clip"])
def test_masks_and_both_formats_agree(model, mode):
    asked = session(model, frames=noise(11), mode=mode, clip_frames=6, overlap=2, threshold=0.0)
    frames = list(asked.masks(progress=False))
    assert [index for index, _ in frames] == list(range(11))
    codes, arrays = asked.results(), asked.results("numpy")
    for name in (0, 1):
        shown = np.stack([masks[name] for _, masks in frames])
        assert shown.dtype == bool and shown.shape == (11, 40, 60) and shown.any()
        assert (shown == arrays[name]["masks"]).all() and (shown == rle_to_masks(codes[name]["masks"])).all()


@pytest.mark.parametrize(("mode", "count"), [("exact", "2/2"), ("clip", "11/11")])
def test_progress_counts_sentences_or_frames(model, capsys, mode, count):
    logging.enable_progress_bar()  # which commands switch off for the whole process
    asked = session(model, texts=None, frames=noise(11), mode=mode, clip_frames=6, overlap=2)
    asked.add_expressions(TEXTS)
    asked.results(progress=True)
    assert count in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["exact", "clip"])
def test_video_files_are_sampled(model, video_path, mode):
    frames, info = read_video(video_path, fps=5)
    asked = session(model, mode=mode, clip_frames=6, overlap=2)
    asked.add_video(video_path, fps=5)
    results = asked.results("numpy")
    assert results[0]["frame_indices"] == info.frames_indices and results[0]["timestamps"] == info.timestamps
    assert_same(results, session(model, frames=frames, mode=mode, clip_frames=6, overlap=2).results("numpy"))
    asked = SocVideoSession(model, tiny_processor(), mode)
    asked.processor.video_processor.stride = 8  # saved with the processor
    asked.add_video(video_path)
    assert asked.num_frames == 3


def test_bundled_model_answers_clip_by_clip_nearly_as_at_once():
    folder = bundled_checkpoint()
    model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    clip = render_clip("test", 276, num_frames=16, height=96, width=128, num_expressions=8)
    # A clip may not show the motion that a sentence is about.
    texts = [expression.text for expression in clip.expressions if expression.kind == "static"]
    answers = []
    for arguments in ({}, {"mode": "clip", "clip_frames": 16, "overlap": 8}):
        asked = SocVideoSession(model, processor, batch_size=4, threshold=0.0, **arguments)
        asked.add_expressions(texts)
        asked.add_frames(np.concatenate([clip.frames, clip.frames[:7:-1]]))
        answers.append(np.stack([result["masks"] for result in asked.results("numpy")]))
    both, either = (answers[0] & answers[1]).sum((2, 3)), (answers[0] | answers[1]).sum((2, 3))
    assert (both / either.clip(min=1))[either > 0].mean() > 0.9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"mode": "fast"}, "mode 'fast' does not exist: use one of exact, clip"),
        ({"mode": "clip", "clip_frames": 8, "overlap": 8}, "clips of 8 frames cannot overlap by 8"),
        ({"clip_frames": 0}, "clip_frames must be at least 1"),
        ({"overlap": -1}, "overlap from 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"mask_threshold": 2.0}, "probability in 0..1"),
        ({"resize_mode": "nearest"}, "use one of logits_to_original"),
        ({"mode": "clip", "union_threshold": 0.5}, "use mode='exact'"),
    ],
)
def test_wrong_arguments_are_refused(model, arguments, words):
    with pytest.raises(ValueError, match=words):
        session(model, **arguments)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda made: made.masks(), "there are no frames"),
        (lambda made: (made.add_frames(noise(1)), made.results()), "there are no sentences"),
        (lambda made: made.results("png"), "format 'png' does not exist: use one of rle, numpy"),
        (lambda made: made.add_frames(noise(0)), "no frames"),
        (
            lambda made: (made.add_frames(noise(1)), made.add_frames(noise(1, 32, 48))),
            "first are 60x40, a later .* 48x32",
        ),
        (
            lambda made: (made.add_frames(noise(1)), made.add_frames(noise(1) / 255)),
            "are uint8 and a later one float32",
        ),
        (lambda made: made.add_expressions([]), "at least one"),
        (lambda made: made.add_expressions(["a dog", " "]), "expression 1 is empty"),
    ],
)
def test_wrong_calls_are_refused_before_the_model_runs(model, monkeypatch, act, words):
    monkeypatch.setattr(model, "get_video_features", None)
    with pytest.raises(ValueError, match=words):
        act(session(model, texts=None))


def test_what_comes_too_late_is_refused(model):
    asked = session(model, ["a dog"], noise(5), mode="clip", clip_frames=4, overlap=1)
    with pytest.raises(ValueError, match="frames of the clips answered so far are gone"):
        asked.add_expressions("a cat")
    asked.results()
    with pytest.raises(ValueError, match="start a new session for more frames"):
        asked.add_frames(noise(1))


def test_training_models_and_too_long_videos_are_refused(model, monkeypatch):
    with pytest.raises(ValueError, match=r"model.eval\(\)"):
        SocVideoSession(tiny_model().train(), tiny_processor())
    monkeypatch.setattr(module, "available_memory", lambda device: 5_000_000)
    with pytest.raises(ValueError, match=r"20 frames of 48x32 need about .* mode='clip'"):
        session(model, frames=noise(20, 32, 48))
    session(model, frames=noise(20, 32, 48), mode="clip", clip_frames=2, overlap=0)


def test_an_error_ends_the_session(model, monkeypatch):
    asked = session(model, frames=noise(3))
    with monkeypatch.context() as patch:
        patch.setattr(model, "get_video_features", None)
        with pytest.raises(TypeError):
            asked.results()
    with pytest.raises(ValueError, match="half done: start a new one"):
        asked.results()


def test_command_writes_the_overlay_clip_by_clip(tmp_path, capsys):
    clip = render_clip("test", 0, num_frames=12, height=64, width=96)
    write_video(tmp_path / "clip.mp4", clip.frames, 6)
    names = [str(tmp_path / name) for name in ("clip.mp4", "overlay.mp4", "rle.json")]
    clips = ["--clip-frames", "8", "--overlap", "0"]
    arguments = ["segment", names[0], "the red circle", "--output", names[1], "--rle", names[2], "--threshold", "0"]
    assert transformers_soc_cli.main([*arguments, "--mode", "clip", *clips, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == names[1:]
    assert read_video(names[1])[0].shape == clip.frames.shape
    (answer,) = json.loads((tmp_path / "rle.json").read_text())["expressions"]
    assert rle_to_masks(answer["masks"]).shape == (12, 64, 96) and len(answer["boxes"]) == 12
    assert transformers_soc_cli.main([*arguments, *clips, "--overwrite"]) == 1
    assert "--mode clip" in capsys.readouterr().err


def test_collections_are_answered_clip_by_clip(tmp_path):
    clip = render_clip("test", 0, num_frames=12, height=64, width=96)
    write_video(tmp_path / "clip.mp4", clip.frames, 6)
    settings = CollectionSettings(mode="clip", clip_frames=8, overlap=0, device="cpu")
    (answer,) = VideoSegmenter(settings)(str(tmp_path / "clip.mp4"), ["the red circle"])
    assert answer["masks"].shape == (12, 64, 96) and len(answer["query_indices"]) == 12
    with pytest.raises(ValueError, match="use one of exact, clip"):
        segment_collection(tmp_path, tmp_path / "answers", CollectionSettings(mode="fast"))
    assert not (tmp_path / "answers").exists()

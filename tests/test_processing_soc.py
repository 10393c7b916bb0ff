# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Pairing of videos with expressions, and the post-processing of model outputs."""

import numpy as np
import pytest
import torch
from conftest import gray_frames, tiny_processor
from safetensors.torch import load_file
from torch.nn.functional import interpolate

from transformers_soc.modeling_soc import SocModelOutput
from transformers_soc.processing_soc import SocProcessor


def clip(num_frames: int = 2, height: int = 32, width: int = 48) -> np.ndarray:
    return gray_frames(num_frames, height, width)


def random_outputs(expressions: int = 1, frames: int = 3, queries: int = 4, size=(8, 12), seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return SocModelOutput(
        logits=torch.randn(expressions, frames, queries, 1, generator=generator),
        pred_boxes=torch.rand(expressions, frames, queries, 4, generator=generator),
        pred_masks=torch.randn(expressions, frames, queries, *size, generator=generator),
    )


@pytest.mark.parametrize(
    ("num_videos", "text", "video_indices", "expected"),
    [
        (1, "a dog", None, [0]),
        (1, ["a dog", "a cat", "both"], None, [0, 0, 0]),
        (2, ["a dog", "a cat"], None, [0, 1]),
        (2, [["a dog", "a cat"], ["both"]], None, [0, 0, 1]),
        (2, ["a dog", "a cat", "both"], torch.tensor([1, 0, 1]), [1, 0, 1]),
    ],
)
def test_pairing(num_videos, text, video_indices, expected):
    inputs = tiny_processor()(videos=[clip()] * num_videos, text=text, video_indices=video_indices)
    assert inputs["video_indices"].tolist() == expected and inputs["video_indices"].dtype == torch.long
    assert inputs["pixel_values_videos"].shape == (num_videos, 2, 3, 32, 48)
    assert inputs["pixel_mask"].shape == (num_videos, 2, 32, 48)
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape
    assert len(inputs["input_ids"]) == len(expected)


def test_text_only_and_videos_only():
    processor = tiny_processor()
    assert set(processor(text=["a", "bc"])) == {"input_ids", "attention_mask"}
    assert set(processor(videos=clip())) == {"pixel_values_videos", "pixel_mask"}
    assert isinstance(processor(text="a", return_tensors="np")["input_ids"], np.ndarray)


def test_lower_case_is_saved_and_cleans_the_text(tmp_path):
    cleaning, plain = tiny_processor(), tiny_processor(do_lower_case=False)
    text, clean = "  The  Dog\ton the LEFT ", "the dog on the left"
    assert torch.equal(cleaning(text=text)["input_ids"], plain(text=clean)["input_ids"])
    assert not torch.equal(plain(text=text)["input_ids"], plain(text=clean)["input_ids"])
    processor = tiny_processor(do_lower_case=False, threshold=0.25, union_threshold=0.5)
    processor.save_pretrained(tmp_path)
    loaded = SocProcessor.from_pretrained(tmp_path)
    assert (loaded.do_lower_case, loaded.threshold, loaded.union_threshold) == (False, 0.25, 0.5)
    assert loaded.video_processor.to_dict() == processor.video_processor.to_dict()


def test_stride_means_frames_and_not_the_tokenizer():
    processor = tiny_processor()
    processor.tokenizer.init_kwargs["stride"] = 3
    assert processor(videos=clip(4), text="a")["pixel_values_videos"].shape[1] == 4
    for kwargs in ({"stride": 2}, {"videos_kwargs": {"stride": 2}}):
        assert processor(videos=clip(4), text="a", **kwargs)["pixel_values_videos"].shape[1] == 2


def test_best_query_answers_with_logits_resized_straight_to_the_original():
    outputs = random_outputs()
    (answer,) = tiny_processor().post_process_referring_video_segmentation(
        outputs, target_sizes=[(50, 70)], expressions=["a dog"]
    )
    scores = outputs.logits[0, ..., 0].sigmoid()
    query = int(scores.mean(0).argmax())
    masks = interpolate(outputs.pred_masks[0, :, query][None], size=(50, 70), mode="bilinear")[0].sigmoid() > 0.5
    assert torch.equal(answer["masks"], masks)
    assert answer["query_index"] == query and answer["expression"] == "a dog" and not answer["no_target"]
    assert answer["score"] == pytest.approx(scores.mean(0).max().item())
    torch.testing.assert_close(answer["frame_scores"], scores[:, query])
    x, y, width, height = (outputs.pred_boxes[0, 0, query] * torch.tensor([70, 50, 70, 50])).tolist()
    assert answer["boxes"][0].tolist() == pytest.approx([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    assert answer["frame_indices"] is None and answer["timestamps"] is None


def test_several_classes_use_the_best_class_of_the_average():
    outputs = random_outputs()
    outputs["logits"] = torch.full((1, 3, 4, 2), -3.0)
    outputs["logits"][0, 0, 1, 0] = 9.0  # high in one frame
    outputs["logits"][0, :, 2, 1] = torch.tensor([0.5, 1.0, 1.5])  # high on average
    (answer,) = tiny_processor().post_process_referring_video_segmentation(outputs)
    assert answer["query_index"] == 2
    torch.testing.assert_close(answer["frame_scores"], torch.tensor([0.5, 1.0, 1.5]).sigmoid())


def test_threshold_refuses_with_empty_masks_of_full_shape():
    outputs = random_outputs()
    processor = tiny_processor(threshold=0.99)
    (refused,) = processor.post_process_referring_video_segmentation(outputs, [(20, 30)])
    assert refused["no_target"] and refused["masks"].shape == (3, 20, 30)
    assert not refused["masks"].any() and not refused["boxes"].any()
    (given,) = processor.post_process_referring_video_segmentation(outputs, [(20, 30)], threshold=0.1)
    assert not given["no_target"] and given["masks"].any()


def test_union_of_queries_and_its_boxes():
    outputs = random_outputs()
    outputs["logits"] = torch.tensor([2.0, 3.0, -2.0, -3.0]).expand(3, 4)[None, ..., None]
    outputs["pred_masks"] = torch.full((1, 3, 4, 8, 12), -5.0)
    outputs["pred_masks"][0, :, 0, 1:3, 1:3] = 5.0
    outputs["pred_masks"][0, :, 1, 5:7, 8:10] = 5.0
    process = tiny_processor().post_process_referring_video_segmentation
    both, one = process(outputs, union_threshold=0.8)[0], process(outputs)[0]
    assert both["query_index"] == one["query_index"] == 1
    assert both["masks"][0, 6, 6] and both["masks"][0, 24, 36] and not one["masks"][0, 6, 6]
    rows, columns = both["masks"][0].any(1).nonzero(), both["masks"][0].any(0).nonzero()
    assert both["boxes"][0].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert torch.equal(process(outputs, union_threshold=0.99)[0]["masks"], one["masks"])


def test_padding_is_neither_averaged_nor_returned():
    outputs = random_outputs(frames=4)
    outputs["logits"][0, 3], outputs["pred_masks"][0, 3] = -1e4, -1e4
    mask = torch.zeros(1, 4, 32, 48, dtype=torch.bool)
    mask[:, :3, :20, :36] = True
    process = tiny_processor().post_process_referring_video_segmentation
    (answer,) = process(outputs, [(40, 72)], pixel_mask=mask)
    query = int(outputs.logits[0, :3, :, 0].sigmoid().mean(0).argmax())
    logits = interpolate(outputs.pred_masks[0, :3, query][None], size=(64, 96), mode="bilinear")[0]
    assert answer["query_index"] == query
    assert torch.equal(answer["masks"], (logits.sigmoid() > 0.5)[:, :40, :72])
    assert process(outputs, pixel_mask=mask)[0]["masks"].shape == (3, 20, 36)


def test_best_query_only_gives_the_same_answer():
    outputs = random_outputs()
    process = tiny_processor().post_process_referring_video_segmentation
    (full,) = process(outputs, [(50, 70)])
    short = SocModelOutput(
        logits=outputs.logits,
        pred_boxes=outputs.pred_boxes,
        pred_masks=outputs.pred_masks[:, :, full["query_index"] : full["query_index"] + 1],
        selected_queries=torch.tensor([full["query_index"]]),
    )
    (answer,) = process(short, [(50, 70)])
    assert torch.equal(answer["masks"], full["masks"]) and torch.equal(answer["boxes"], full["boxes"])
    with pytest.raises(ValueError, match="best_query_only"):
        process(short, [(50, 70)], union_threshold=0.0)


def test_probabilities_are_those_of_the_chosen_query():
    """Also where the answer is refused, and from outputs that hold the best query alone."""
    outputs = random_outputs()
    process = tiny_processor().post_process_referring_video_segmentation
    (answer,) = process(outputs, [(50, 70)], return_probabilities=True)
    assert answer["probabilities"].shape == (3, 50, 70)
    assert torch.equal(answer["probabilities"] > 0.5, answer["masks"])
    (refused,) = process(outputs, [(50, 70)], threshold=1.0, return_probabilities=True)
    assert refused["no_target"] and torch.equal(refused["probabilities"], answer["probabilities"])
    outputs["pred_masks"] = outputs.pred_masks[:, :, [answer["query_index"]]]
    outputs["selected_queries"] = torch.tensor([answer["query_index"]])
    (best,) = process(outputs, [(50, 70)], return_probabilities=True)
    assert torch.equal(best["probabilities"], answer["probabilities"])
    with pytest.raises(ValueError, match="return_probabilities"):
        process(outputs, [(50, 70)], return_probabilities=True, mode="padded_threshold_nearest")


def test_candidates_are_the_masks_of_all_queries():
    outputs = random_outputs(expressions=2)
    processor = tiny_processor()
    mode = "padded_threshold_nearest"
    candidates = processor.post_process_candidates(outputs, [(50, 70)], video_indices=[0, 0], mode=mode)
    answers = processor.post_process_referring_video_segmentation(outputs, [(50, 70)], video_indices=[0, 0], mode=mode)
    for candidate, answer in zip(candidates, answers, strict=True):
        assert candidate["masks"].shape == (3, 4, 50, 70) and candidate["scores"].shape == (3, 4)
        assert torch.equal(candidate["masks"][:, answer["query_index"]], answer["masks"])
        assert candidate["scores"][:, answer["query_index"]].mean() == pytest.approx(answer["score"])
    outputs["selected_queries"] = torch.tensor([0, 0])
    with pytest.raises(ValueError, match="best_query_only"):
        processor.post_process_candidates(outputs, [(50, 70)])


def test_indices_and_times_come_from_the_metadata(video_path):
    processor = tiny_processor()
    inputs = processor(videos=[clip(3), video_path], num_frames=3, return_metadata=True)
    answers = processor.post_process_referring_video_segmentation(
        random_outputs(expressions=3), video_indices=[1, 0, 1], video_metadata=inputs["video_metadata"]
    )
    assert [answer["frame_indices"] for answer in answers] == [[0, 6, 13], [0, 1, 2], [0, 6, 13]]
    assert answers[0]["timestamps"] == pytest.approx([0, 0.6, 1.3]) and answers[1]["timestamps"] is None


@pytest.mark.parametrize(
    "kwargs",
    [
        {"mode": "nearest"},
        {"mask_threshold": 2},
        {"target_sizes": [(8, 8)] * 3},
        {"expressions": ["one"]},
        {"pixel_mask": torch.ones(2, 5, 32, 48)},
        {"video_indices": [0, 2], "target_sizes": [(8, 8)] * 2},
    ],
)
def test_arguments_that_do_not_fit_are_refused(kwargs):
    with pytest.raises(ValueError):
        tiny_processor().post_process_referring_video_segmentation(random_outputs(expressions=2), **kwargs)


CASES = [
    ("soc_t2_small", "video_eval"),
    ("soc_r50", "infer"),
    ("soc_r50", "video_eval"),
    ("socpp_small", "infer"),
    ("socpp_small", "video_eval"),
    ("soc_vocwin", "infer"),
    ("soc_a2d", "a2d"),
    ("socpp_a2d", "a2d"),
]


@pytest.mark.parametrize(("case", "rule"), CASES)
def test_masks_of_the_official_post_processing(parity_dir, case, rule):
    tensors = load_file(parity_dir / f"{case}.safetensors")
    names = {"logits": "pred_logits", "pred_boxes": "pred_boxes", "pred_masks": "pred_masks"}
    outputs = SocModelOutput(**{ours: tensors[f"eval.{theirs}"][None] for ours, theirs in names.items()})
    expected, borderline = tensors[f"post.{rule}.masks"].bool(), tensors[f"post.{rule}.borderline"].bool()
    (answer,) = tiny_processor().post_process_referring_video_segmentation(
        outputs,
        target_sizes=[expected.shape[-2:]],
        pixel_mask=tensors["input.pixel_mask"][None],
        mode="logits_to_original" if rule == "infer" else "padded_threshold_nearest",
    )
    query = answer["query_index"]
    if rule == "a2d":  # one frame, and a mask of every query
        assert query == int(tensors["post.a2d.scores"].argmax())
        expected, borderline = expected[query : query + 1], borderline[query : query + 1]
    else:
        assert query == int(tensors["post.query"])
    assert answer["masks"].any()
    assert torch.equal(answer["masks"][~borderline], expected[~borderline])

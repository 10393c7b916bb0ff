# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import copy

import pytest
import torch
from models import TINY_SWIN, ragged_inputs, random_labels, single_inputs, tiny_config, tiny_inputs, tiny_model
from transformers import AutoModel

from transformers_soc import SocModel
from transformers_soc.configuration_soc import BACKBONE_STAGES

OUTPUTS = ("logits", "pred_boxes", "pred_masks", "video_queries", "frame_queries", "text_features")
VARIANTS = {
    "soc": ("soc", {}),
    "soc++": ("soc++", {}),
    "soc++ in straight order": ("soc++", {"official_match_order": False}),
    "windows": ("soc", {"cluster_window_size": 2}),
    "weighted windows": ("soc++", {"cluster_window_size": 2}),
    "no cluster": ("soc", {"video_cluster": False, "query_fusion": "none"}),
    "small scorer": ("soc++", {"frame_scorer_ffn_dim": 0}),
    "convolution stem": ("soc++", {"backbone_config": TINY_SWIN | {"stem": "conv3d", "stem_depths": (1, 2)}}),
    "proxies without weights": ("soc", {"early_fusion": "proxy", "query_fusion": "random_walk"}),
}


def build(name: str, **overrides) -> SocModel:
    variant, fields = VARIANTS[name]
    return tiny_model(variant, **(fields | overrides))


@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_batch_equals_single_runs(name):
    """Neither other clips nor padding in time or in words change what an expression gets."""
    model, inputs = build(name), ragged_inputs()
    together = model(**inputs)
    for expression in range(5):
        alone = model(**single_inputs(inputs, expression))
        for field in OUTPUTS:
            left, right = together[field][expression], alone[field][0]
            if left.shape != right.shape:  # the time-padded frames
                assert (left[len(right) :] == (0 if field == "pred_boxes" else -1e4)).all() or field == "frame_queries"
                left = left[: len(right)]
            error = (left - right).abs().max() / right.abs().max()
            assert error < 1e-5, f"{field} of expression {expression}: {error}"


@torch.no_grad()
def test_video_is_encoded_once_for_many_sentences():
    model, inputs = build("soc++"), tiny_inputs(num_expressions=6)
    calls = []
    model.backbone.register_forward_hook(lambda *_: calls.append(1))
    together = model(**inputs)
    assert len(calls) == 1
    features = model.get_video_features(inputs["pixel_values_videos"])
    calls.clear()
    for row in range(6):
        words = {name: inputs[name][row : row + 1] for name in ("input_ids", "attention_mask")}
        alone = model(video_features=features, **words)
        difference = (alone.pred_masks[0] - together.pred_masks[row]).abs().max()
        assert difference < 1e-5 * together.pred_masks[row].abs().max()
    assert not calls


@torch.no_grad()
def test_best_query_only_gives_the_masks_of_the_best_query():
    model, inputs = build("soc"), ragged_inputs()
    everything, best = model(**inputs), model(**inputs, best_query_only=True)
    assert best.pred_masks.shape[2] == 1 and everything.selected_queries is None
    lengths = [7, 5, 5, 9, 7]
    for row, length in enumerate(lengths):
        scores = everything.logits[row, :length].sigmoid().mean(0).amax(-1)
        assert best.selected_queries[row] == scores.argmax()
        expected = everything.pred_masks[row, :, scores.argmax()]
        torch.testing.assert_close(best.pred_masks[row, :, 0], expected, atol=1e-4, rtol=1e-5)


@torch.no_grad()
def test_annotated_frame_comes_from_the_whole_clip():
    model, inputs = build("soc"), tiny_inputs(num_frames=6)
    one = model(**inputs, annotated_frame_indices=torch.tensor([3]))
    assert one.pred_masks.shape[1] == 1
    changed = inputs | {"pixel_values_videos": inputs["pixel_values_videos"].clone()}
    changed["pixel_values_videos"][:, 2] += 1  # another frame of the same temporal window
    other = model(**changed, annotated_frame_indices=torch.tensor([3]))
    assert not torch.equal(one.logits, other.logits)


def test_training_is_deterministic_without_dropout_and_has_auxiliary_levels():
    model, inputs = build("soc++").train(), tiny_inputs()
    first, second = model(**inputs), model(**inputs)
    assert torch.equal(first.pred_masks, second.pred_masks)
    assert len(first.auxiliary_outputs) == 1
    assert first.auxiliary_outputs[0]["pred_masks"].shape == first.pred_masks.shape
    assert model.eval()(**inputs).auxiliary_outputs is None


@pytest.mark.parametrize("name", ["soc", "soc++", "windows"])
def test_labels_give_the_same_loss_in_both_modes(name):
    model, inputs = build(name), ragged_inputs()
    labels = random_labels(inputs)
    evaluated = model(**inputs, labels=labels)
    trained = model.train()(**inputs, labels=labels)
    assert evaluated.loss_dict.keys() == trained.loss_dict.keys()
    torch.testing.assert_close(evaluated.loss, trained.loss)
    plain = model.eval()(**inputs)
    torch.testing.assert_close(evaluated.pred_masks, plain.pred_masks)


@pytest.mark.parametrize("name", ["soc", "soc++"])
@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_gives_the_same_gradients(name, reentrant):
    # In float32 the recomputation without autograd takes other kernels, and their rounding hides what is compared.
    model, inputs = build(name).train().double(), tiny_inputs(num_frames=5)
    labels = random_labels(inputs)
    gradients = []
    for checkpointed in (False, True):
        model.zero_grad()
        if checkpointed:
            model.activation_checkpointing_enable({"use_reentrant": reentrant})
        model(**inputs, labels=labels).loss.backward()
        gradients.append({key: value.grad.clone() for key, value in model.named_parameters()})
    largest = max(expected.norm() for expected in gradients[0].values())
    for key, expected in gradients[0].items():
        # The floor covers what is zero in exact arithmetic.
        assert (gradients[1][key] - expected).norm() <= 1e-8 * expected.norm() + 1e-10 * largest, key


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["soc", "soc++"])
@torch.no_grad()
def test_half_precision_stays_close(name, dtype):
    model, inputs = build(name), tiny_inputs(num_frames=5)
    expected = model(**inputs)
    low = copy.deepcopy(model).to(dtype)(**inputs)
    assert low.logits.dtype == dtype and low.pred_boxes.dtype == torch.float32
    assert (low.pred_boxes - expected.pred_boxes).abs().mean() < 0.02
    difference = (low.logits.float() - expected.logits).abs().mean()
    assert difference < 0.1 * expected.logits.std() + 0.02


@pytest.mark.parametrize("name", ["soc", "soc++"])
@torch.no_grad()
def test_forward_compiles_without_a_graph_break(name):
    model, inputs = build(name), tiny_inputs()
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    masks = compiled(**inputs).pred_masks
    with torch.enable_grad():  # the plain form, which is what a compiler sees
        expected = model(**inputs).pred_masks
    assert (masks - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("name", ["soc", "soc++"])
@torch.no_grad()
def test_save_and_load_through_auto_model(name, tmp_path):
    model, inputs = build(name), tiny_inputs()
    model.save_pretrained(tmp_path)
    loaded, report = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert isinstance(loaded, SocModel)
    assert not any(report.values())
    for (key, buffer), (_, other) in zip(model.named_buffers(), loaded.named_buffers(), strict=True):
        assert torch.equal(buffer, other), key
    for (key, parameter), (_, other) in zip(model.named_parameters(), loaded.named_parameters(), strict=True):
        assert torch.equal(parameter, other), key
    torch.testing.assert_close(model(**inputs).logits, loaded(**inputs).logits)


def test_eager_equals_sdpa():
    model, inputs = build("soc++"), ragged_inputs()
    with torch.no_grad():
        fast = model(**inputs)
        model.set_attn_implementation("eager")
        plain = model(**inputs)
    torch.testing.assert_close(fast.pred_boxes, plain.pred_boxes, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(fast.logits, plain.logits, atol=1e-4, rtol=1e-4)


TWO_D = {
    "resnet": {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 16, 32, 64],
        "depths": [1, 1, 1, 1],
        "out_features": BACKBONE_STAGES,
    },
    "timm": {
        "model_type": "timm_backbone",
        "backbone": "resnet10t",
        "out_indices": [1, 2, 3, 4],
        "use_pretrained_backbone": False,
    },
}


@pytest.mark.parametrize("name", TWO_D)
@torch.no_grad()
def test_two_dimensional_backbones_see_one_frame_at_a_time(name):
    frozen = name == "resnet"
    model = SocModel(tiny_config("soc", backbone_config=TWO_D[name], freeze_backbone_norms=frozen)).eval()
    inputs = tiny_inputs(num_frames=4)
    outputs = model(**inputs)
    assert outputs.pred_masks.shape == (1, 4, 4, 12, 16)
    features = model.get_video_features(inputs["pixel_values_videos"])
    third = model.get_video_features(inputs["pixel_values_videos"][:, 2:3])
    torch.testing.assert_close(features.fine_map[:, 2:3], third.fine_map, atol=1e-5, rtol=1e-4)
    norms = [module for module in model.backbone.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert bool(norms) != frozen


def test_first_weights_follow_the_official_recipe():
    torch.manual_seed(0)
    model = SocModel(tiny_config("soc++"))
    assert torch.allclose(model.class_heads[0].bias, torch.tensor(-4.595), atol=1e-3)
    assert model.box_heads[0].layers[-1].bias.tolist() == [0, 0, -2, -2]
    assert model.box_heads[1].layers[-1].bias.tolist() == [0, 0, 0, 0]
    assert not model.encoder.layers[0].self_attn.sampling_offsets.weight.any()
    assert abs(model.encoder.level_embed.std() - 1) < 0.2
    assert model.early_fusion.words_read_vision.attention.out_proj.bias.abs().max() == 0
    bound = (6 / (4 * 64)) ** 0.5  # Xavier over the joint query, key and value matrix
    assert 0.9 * bound < model.query_fusion.attention.q_proj.weight.abs().max() <= bound


def _broken(**changes):
    inputs = ragged_inputs()
    return {key: value for key, value in (inputs | changes).items() if value is not None}


EMPTY_MASK = ragged_inputs()["pixel_mask"].clone()
EMPTY_MASK[1] = False
BAD_INPUTS = {
    "no words": (lambda: _broken(input_ids=None), "`input_ids` are missing"),
    "no video": (lambda: _broken(pixel_values_videos=None), "Give `pixel_values_videos`"),
    "pairing": (lambda: _broken(video_indices=None), "do not match 3 videos one to one"),
    "indices": (lambda: _broken(video_indices=torch.zeros(2, dtype=torch.long)), "one video for each of 5"),
    "four axes": (lambda: _broken(pixel_values_videos=torch.zeros(2, 3, 8, 8)), "must be .videos, frames, 3"),
    "mask": (lambda: _broken(pixel_mask=torch.ones(3, 9, 64, 64)), "`pixel_mask` must be"),
    "no frame": (lambda: _broken(pixel_mask=EMPTY_MASK), "Video 1 has no real frame"),
    "frame index": (lambda: _broken(annotated_frame_indices=torch.tensor([1])), "one frame for each of 3"),
    "labels": (lambda: _broken(labels=[{}]), "one dict per expression: 1 for 5"),
    "label": (lambda: _broken(labels=[{}] * 5), "has no 'masks'"),
}


@pytest.mark.parametrize("make, sentence", BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_bad_inputs_are_named(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        build("soc")(**make())

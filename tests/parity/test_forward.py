# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Every intermediate and every output equals the official code's."""

import re

import pytest
import torch
from conftest import tiny_processor
from official import CASES, NEVER_READ, Case, Recorder, load_case, needs_parity, relative_error, run_eval, run_train

from transformers_soc import SocModel

pytestmark = [needs_parity, pytest.mark.parity]

TOLERANCE = 1e-4  # of the reference tensor's largest value


def reference_names(case: Case, mode: str) -> list[str]:
    """Fixture names of the forward in one mode; what equals in both modes is stored once, under `eval.`."""
    names = []
    for key in case.tensors:
        stored, _, name = key.partition(".")
        if stored not in ("eval", "train") or name.startswith(("loss", "match")) or key in NEVER_READ[case.variant]:
            continue
        if stored == mode or (mode == "train" and name in case.meta["train_equals_eval"]):
            names.append(key)
    return names


def errors(case: Case, names: list[str], found: dict[str, torch.Tensor]) -> dict[str, float]:
    """Relative error of each fixture tensor."""
    result = {}
    for key in names:
        name, reference = key.partition(".")[2], case.tensors[key]
        if name == "frame_query_encoded":  # the official windows append padded frames
            reference = reference[:, : case.meta["frames_out"]]
        result[key] = relative_error(found[name], reference)
    return result


@pytest.mark.parametrize("name", CASES)
def test_eval_equals_the_official_code(name):
    case = load_case(name)
    found = run_eval(case)
    names = reference_names(case, "eval")
    # The official SOC++ computes every decoder layer in eval mode, ours the one that answers; train compares the rest.
    if case.variant == "soc++":
        names = [key for key in names if key[5:] in found and found[key[5:]].shape == case.tensors[key].shape]
    assert len(names) > 30
    assert {key: error for key, error in errors(case, names, found).items() if error > TOLERANCE} == {}


@pytest.mark.parametrize("name", CASES)
def test_train_equals_the_official_code(name):
    case = load_case(name)
    names = reference_names(case, "train")
    assert len(names) > (40 if case.variant == "soc++" else 8)
    found = errors(case, names, run_train(case))
    assert {key: error for key, error in found.items() if error > TOLERANCE} == {}


@pytest.mark.parametrize("name", CASES)
def test_final_masks_equal_the_official_ones(name):
    case = load_case(name)
    model, inputs = case.model().eval(), case.inputs()
    with torch.no_grad():
        outputs = model(**inputs)
    post_process = tiny_processor().post_process_referring_video_segmentation
    modes = {"infer": "logits_to_original", "video_eval": "padded_threshold_nearest"}
    compared = 0
    for path, mode in modes.items():
        if f"post.{path}.masks" not in case.tensors:
            continue
        (result,) = post_process(outputs, [case.meta["original_size"]], pixel_mask=inputs["pixel_mask"], mode=mode)
        decided = case.tensors[f"post.{path}.borderline"] == 0
        expected = case.tensors[f"post.{path}.masks"].bool()
        assert result["query_index"] == int(case.tensors["post.query"])
        assert torch.equal(torch.as_tensor(result["masks"])[decided], expected[decided])
        compared += 1
    if "post.a2d.masks" in case.tensors:
        (result,) = post_process(
            outputs, [case.meta["original_size"]], pixel_mask=inputs["pixel_mask"], mode="padded_threshold_nearest"
        )
        query = result["query_index"]
        decided = case.tensors["post.a2d.borderline"][query] == 0
        expected = case.tensors["post.a2d.masks"][query].bool()
        assert torch.equal(torch.as_tensor(result["masks"])[0][decided], expected[decided])
        assert relative_error(torch.tensor(result["score"]), case.tensors["post.a2d.scores"].max()) < TOLERANCE
        compared += 1
    assert compared


def corrupted_parameters(model: SocModel) -> dict[str, str]:
    """
    One parameter of each kind of module: names without their indices, to the name of the last such parameter. In the
    first decoder layer all queries have the same content, so that nothing depends on whom they attend to.
    """
    kinds: dict[str, str] = {}
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 or name.replace(".bias", ".weight") not in kinds.values():
            kinds[re.sub(r"\d+", "#", name.rpartition(".")[0])] = name
    return kinds


@pytest.mark.parametrize("name", ["soc_t2_small", "socpp_small"])
def test_every_comparison_can_fail(name):
    """A changed parameter of any module is seen by a comparison, and any comparison that reads weights sees one."""
    case = load_case(name)
    names = reference_names(case, "train") + [key for key in reference_names(case, "eval") if key.startswith("eval.")]
    model = case.model().train()
    blind, seen = [], set()
    front = {key for key in names if not key.startswith("train.")}
    for parameter_name in corrupted_parameters(model).values():
        parameter = model.get_parameter(parameter_name)
        original = parameter.detach().clone()
        with torch.no_grad():
            parameter.mul_(1.5).add_(0.1)
        found = run_train(case, model)
        comparable = [key for key in names if key.partition(".")[2] in found]
        failed = {key for key, error in errors(case, comparable, found).items() if error > TOLERANCE}
        blind += [] if failed else [parameter_name]
        seen |= failed
        with torch.no_grad():
            parameter.copy_(original)
    assert blind == []
    weightless = re.compile(r"\.(level_padding_mask|level_position|text\.position)")
    decoder_input = {"eval.decoder_target"} if case.variant == "soc" else set()  # zeros in SOC
    assert {key for key in front if not weightless.search(key)} - decoder_input - seen == set()


@pytest.mark.parametrize("name", ["soc_t2_small"])
def test_comparisons_without_weights_can_fail(name):
    case = load_case(name)
    recorder = Recorder(case.model().eval())
    inputs = case.inputs()
    inputs["pixel_mask"] = torch.ones_like(inputs["pixel_mask"])
    inputs["attention_mask"] = torch.ones_like(inputs["attention_mask"])
    with torch.no_grad():
        recorder.forward(**inputs)
    found = recorder.front(inputs["attention_mask"])
    for key in ("level_padding_mask.0", "level_position.0", "text.position"):
        assert relative_error(found[key], case.tensors[f"eval.{key}"]) > TOLERANCE, key

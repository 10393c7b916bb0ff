# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from golden import CASES, paint, paint_video

import transformers_soc.metrics
from transformers_soc.metrics import module_path, score_expression, score_image, summarize, summarize_images
from transformers_soc.video_io import masks_to_rle

evaluate = pytest.importorskip("evaluate")


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable]:
    """Loads a module of ours offline, with the files of `evaluate` in a folder of this run."""
    folder = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate.config, "HF_MODULES_CACHE", str(folder / "modules"))
        patch.setattr(evaluate.config, "HF_EVALUATE_OFFLINE", True)
        yield lambda name: evaluate.load(module_path(name), cache_dir=str(folder / "cache"))


def expressions() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Prediction and target of each golden sequence."""
    return {
        case["name"]: tuple(paint_video(case["size"], case[name]) for name in ("prediction", "target"))
        for case in CASES["sequences"]
    }


def test_expressions_give_the_numbers_of_the_functions(load):
    metric = load("referring_video_segmentation")
    types = {name: "static" if "target" in name else "motion" for name in expressions()}
    for name, (prediction, target) in expressions().items():
        metric.add(sample_ids=name, prediction=masks_to_rle(prediction), reference=masks_to_rle(target))
    batch = {name: expressions()[name] for name in ("perfect", "target_missed")}
    metric.add_batch(
        sample_ids=list(batch),
        predictions=[masks_to_rle(prediction) for prediction, _ in batch.values()],
        references=[masks_to_rle(target) for _, target in batch.values()],
    )
    result = metric.compute(expression_types=types)
    expected = summarize(score_expression(name, types[name], *pair) for name, pair in expressions().items())
    assert result == {**expected.pop("all"), "groups": expected}
    assert result["expressions"] == len(CASES["sequences"]) and len(result["groups"]) == 3


def test_expressions_need_no_types(load):
    names = ["late_detection", "no_target_rejected"]
    prediction, target = ([masks_to_rle(expressions()[name][which]) for name in names] for which in (0, 1))
    metric = load("referring_video_segmentation")
    result = metric.compute(sample_ids=names, predictions=prediction, references=target)
    assert result["J"] == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert (result["N-acc"], result["T-acc"], list(result["groups"])) == (100, 100, ["target"])


def test_images_give_the_numbers_of_the_functions(load):
    metric = load("a2d_sentences")
    scores = []
    for case in CASES["images"]:
        for image in case["images"]:
            target, *codes = masks_to_rle(
                paint(case["size"], shapes)
                for shapes in (image["target"], *(item["mask"] for item in image["predictions"]))
            )
            values = [item["score"] for item in image["predictions"]]
            found = [{"score": score, "segmentation": rle} for score, rle in zip(values, codes, strict=True)]
            metric.add(sample_ids=image["image_id"], prediction=found, reference=target)
            scores.append(score_image(image["image_id"], codes, values, target))
    assert metric.compute() == summarize_images(scores)


def test_names_of_modules():
    with pytest.raises(ValueError, match="a2d_sentences, referring_video_segmentation"):
        module_path("davis")


def test_every_exported_name_is_there():
    for name in transformers_soc.metrics.__all__:
        assert callable(getattr(transformers_soc.metrics, name))
    with pytest.raises(AttributeError, match="boundary_accuracy"):
        getattr(transformers_soc.metrics, "boundary_accuracy")  # noqa: B009

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""J, F and their companions over expressions, from run-length codes, as a module of `evaluate`."""

from typing import Any

import datasets
import evaluate
import numpy as np
from pycocotools import mask as coco_mask

from transformers_soc.metrics import score_expression, summarize

DESCRIPTION = """Region similarity J, contour accuracy F, their mean J&F, temporal and spatio-temporal intersection
over union, and the accuracies of "no target", as means over expressions and in percent."""
INPUTS = """
Args:
    sample_ids: a name for each expression; each counts once.
    predictions, references: for each expression, a list with a code for every frame, also where the mask is empty,
        {"size": [height, width], "counts": str}.
    expression_types: None, or a dict from sample ids to types of expressions.
Returns:
    expressions, J, F, J&F, tIoU, vIoU, N-acc, T-acc over all expressions; and in `groups` the same numbers over those
    with a target (`target`) and of each type (`kind: ...`).
"""
CITATION = """@inproceedings{perazzi2016benchmark, title={A Benchmark Dataset and Evaluation Methodology for Video
Object Segmentation}, author={Perazzi, Federico and Pont-Tuset, Jordi and McWilliams, Brian and Van Gool, Luc and
Gross, Markus and Sorkine-Hornung, Alexander}, booktitle={CVPR}, year={2016}}"""
CODE = {"size": datasets.List(datasets.Value("int32")), "counts": datasets.Value("string")}


class ReferringVideoSegmentation(evaluate.Metric):
    """Wraps `score_expression` and `summarize`."""

    def _info(self) -> evaluate.MetricInfo:
        codes = datasets.List(CODE)
        features = {"sample_ids": datasets.Value("string"), "predictions": codes, "references": codes}
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=datasets.Features(features),
        )

    def _compute(
        self,
        sample_ids: list[str],
        predictions: list[list[dict[str, Any]]],
        references: list[list[dict[str, Any]]],
        expression_types: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        types = expression_types or {}
        groups = summarize(
            score_expression(name, types.get(name), _decode(found), _decode(target))
            for name, found, target in zip(sample_ids, predictions, references, strict=True)
        )
        return {**groups.pop("all", {}), "groups": groups}


def _decode(codes: list[dict[str, Any]]) -> np.ndarray:
    """Masks (frames, height, width) uint8."""
    return coco_mask.decode(codes).transpose(2, 0, 1) if codes else np.zeros((0, 0, 0), np.uint8)

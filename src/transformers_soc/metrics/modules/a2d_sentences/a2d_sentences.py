# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The numbers of A2D-Sentences and JHMDB-Sentences, from run-length codes, as a module of `evaluate`."""

from typing import Any

import datasets
import evaluate

from transformers_soc.metrics import score_image, summarize_images

DESCRIPTION = """Overall and mean intersection over union and precision at thresholds of the best prediction for each
expression and image, and mean average precision of all its predictions, in percent."""
INPUTS = """
Args:
    sample_ids: a name for each expression and image; each counts once.
    predictions: for each, a list of {"score": float, "segmentation": code}, where a code is
        {"size": [height, width], "counts": str}.
    references: for each, the code of the target.
Returns:
    images, mAP 0.5:0.95, AP 0.5, AP 0.75, AP 0.5:0.95 S, M and L, P@0.5 to P@0.9, overall_iou, mean_iou.
"""
CITATION = """@inproceedings{gavrilyuk2018actor, title={Actor and Action Video Segmentation from a Sentence},
author={Gavrilyuk, Kirill and Ghodrati, Amir and Li, Zhenyang and Snoek, Cees G. M.}, booktitle={CVPR}, year={2018}}"""
CODE = {"size": datasets.List(datasets.Value("int32")), "counts": datasets.Value("string")}


class A2dSentences(evaluate.Metric):
    """Wraps `summarize_images`."""

    def _info(self) -> evaluate.MetricInfo:
        prediction = {"score": datasets.Value("float64"), "segmentation": CODE}
        features = {
            "sample_ids": datasets.Value("string"),
            "predictions": datasets.List(prediction),
            "references": CODE,
        }
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=datasets.Features(features),
        )

    def _compute(
        self, sample_ids: list[str], predictions: list[list[dict[str, Any]]], references: list[dict[str, Any]]
    ) -> dict[str, Any]:
        return summarize_images(
            score_image(name, [item["segmentation"] for item in found], [item["score"] for item in found], target)
            for name, found, target in zip(sample_ids, predictions, references, strict=True)
        )

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Intersection over union of single images, as A2D-Sentences and JHMDB-Sentences report it, mean average precision of all
predictions, and the variant for images without a target.
"""

import contextlib
import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from .records import unique_records

# In float32, as the papers' numbers were made: it decides whether 60 of 100 pixels are above 0.6 (they are).
EPSILON = np.float32(1e-6)
PRECISION_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
COCO_NAMES = ("mAP 0.5:0.95", "AP 0.5", "AP 0.75", "AP 0.5:0.95 S", "AP 0.5:0.95 M", "AP 0.5:0.95 L")

Code = Mapping[str, Any]  # COCO run-length code {"size": [height, width], "counts": str or bytes}


def overall_iou(prediction: Sequence[np.ndarray], target: Sequence[np.ndarray]) -> float:
    """
    Sum of the intersections of all images over the sum of their unions; 1 where all masks are empty.

    Args:
        prediction, target: a mask (height, width) for each image, not 0 = object; images may differ in size.

    Raises:
        ValueError: the numbers of masks or the shapes of two differ, or there are none.
    """
    return _ratio(*_areas(prediction, target))


def mean_iou(prediction: Sequence[np.ndarray], target: Sequence[np.ndarray]) -> float:
    """
    Mean over images of the intersection over union, in float32, with 1e-6 added to both areas.

    Args and errors as of `overall_iou`.
    """
    return float(_smoothed_iou(*_areas(prediction, target)).mean())


def precision_at_k(
    prediction: Sequence[np.ndarray], target: Sequence[np.ndarray], k: Sequence[float] = PRECISION_THRESHOLDS
) -> dict[str, float]:
    """
    Share of the images whose intersection over union, as of `mean_iou`, is above each threshold: `P@0.5` ...

    Args and errors as of `overall_iou`.
    """
    return _precision(_smoothed_iou(*_areas(prediction, target)), k)


def generalized_iou(
    prediction: Sequence[np.ndarray], target: Sequence[np.ndarray], refused: Sequence[bool] | None = None
) -> dict[str, float]:
    """
    gIoU and cIoU of GRES, where an answer can be "no target" and a target can be missing.

    Args:
        prediction, target: a mask (height, width) for each image, not 0 = object; an empty target is none.
        refused: for each image, whether the answer is "no target"; None: where the predicted mask is empty.

    Returns:
        `gIoU`, the mean over images, where one without a target counts 1 if it is refused and 0 if not, and one with a
        target 0 if it is refused; `cIoU`, the intersections over the unions, to which images rightly refused add
        nothing.

    Raises:
        ValueError: as `overall_iou`.
    """
    empty = np.array([not np.any(mask) for mask in prediction], bool)
    no_target = np.array([not np.any(mask) for mask in target], bool)
    answers = empty if refused is None else np.asarray(refused, bool)
    shared, union = _areas(prediction, target)
    shared = np.where(answers, 0, shared)
    union = np.where(answers & no_target, 0, union)
    each = np.where(no_target, answers, shared / np.maximum(union, 1))
    return {"gIoU": float(each.mean()), "cIoU": _ratio(shared, union)}


def _areas(prediction: Sequence[np.ndarray], target: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the intersection and of the union of each image, (images,) int64."""
    if len(prediction) != len(target) or not len(target):
        raise ValueError(
            f"needs as many predictions as targets, at least one, got {len(prediction)} and {len(target)}"
        )
    shared, union = np.zeros((2, len(target)), np.int64)
    for index, (found, true) in enumerate(zip(prediction, target, strict=True)):
        found, true = np.asarray(found, bool), np.asarray(true, bool)
        if true.ndim != 2 or found.shape != true.shape:
            raise ValueError(f"the masks of image {index} must be (height, width), got {found.shape} and {true.shape}")
        shared[index], union[index] = np.count_nonzero(found & true), np.count_nonzero(found | true)
    return shared, union


def _ratio(shared: np.ndarray, union: np.ndarray) -> float:
    return float(shared.sum() / union.sum()) if union.any() else 1.0


def _smoothed_iou(shared: np.ndarray, union: np.ndarray) -> np.ndarray:
    """(images,) float64 holding float32 values, so that thresholds are compared with exactly those."""
    return ((shared.astype(np.float32) + EPSILON) / (union.astype(np.float32) + EPSILON)).astype(np.float64)


def _precision(iou: np.ndarray, thresholds: Sequence[float]) -> dict[str, float]:
    return {f"P@{threshold}": float((iou > threshold).mean()) for threshold in thresholds}


def coco_map(prediction: Sequence[Mapping[str, Any]], target: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """
    Mean average precision of masks by pycocotools, of one category, which prints nothing here.

    Args:
        prediction: dicts with `image_id`, `score` and `segmentation`, a run-length code; several for an image.
        target: dicts with `image_id` and `segmentation`.

    Returns:
        `mAP 0.5:0.95`, `AP 0.5`, `AP 0.75`, and `AP 0.5:0.95 S`, `M` and `L` of targets below 32 x 32, between, and
        from 96 x 96 pixels on; in 0..1, or -1 where there are no such targets.

    Raises:
        ValueError: there is no target, or none for the image of a prediction.
    """
    images = {item["image_id"]: item["segmentation"]["size"] for item in target}
    if not images:
        raise ValueError("there are no targets, so there is nothing to score")
    for item in prediction:
        if item["image_id"] not in images:
            raise ValueError(f"there is no target for the image {item['image_id']!r} of a prediction")
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_coco(images, target), _coco(images, prediction), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: float(value) for name, value in zip(COCO_NAMES, evaluation.stats[:6], strict=True)}


def _coco(images: Mapping[str, Sequence[int]], items: Sequence[Mapping[str, Any]]) -> COCO:
    """Annotations as pycocotools holds them; ids start from 1 because it takes 0 for "not matched"."""
    coco = COCO()
    coco.dataset = {
        "images": [{"id": name, "height": size[0], "width": size[1]} for name, size in images.items()],
        "categories": [{"id": 1}],
        "annotations": [
            {**item, "id": number, "category_id": 1, "iscrowd": 0, "area": int(coco_mask.area(item["segmentation"]))}
            for number, item in enumerate(items, 1)
        ],
    }
    coco.createIndex()
    return coco


@dataclass(frozen=True)
class ImageScore:
    """
    What the predictions for one expression and image are worth, with the codes that mean average precision needs.

    Args:
        sample_id: names the expression and image.
        intersection, union: pixels of the prediction with the highest score and the target; of equal ones the last.
        target: run-length code of the target.
        predictions: a (score, run-length code) of each prediction.
    """

    sample_id: str
    intersection: int
    union: int
    target: Code
    predictions: tuple[tuple[float, Code], ...]


def score_image(sample_id: str, prediction: Sequence[Code], scores: Sequence[float], target: Code) -> ImageScore:
    """
    Score the predictions for one expression and image.

    Args:
        sample_id: names the expression and image.
        prediction: a run-length code for each prediction; there may be none.
        scores: the score of each prediction.
        target: run-length code of the target.

    Raises:
        ValueError: there are more or fewer scores than predictions, or the sizes differ.
    """
    if len(prediction) != len(scores):
        raise ValueError(f"{sample_id}: there are {len(prediction)} predictions and {len(scores)} scores")
    for code in prediction:
        if list(code["size"]) != list(target["size"]):
            raise ValueError(f"{sample_id}: a prediction is {code['size']}, the target {target['size']}")
    pairs = tuple((float(score), code) for score, code in zip(scores, prediction, strict=True))
    best = [pairs[max(range(len(pairs)), key=lambda index: (pairs[index][0], index))][1]] if pairs else []
    shared = int(coco_mask.area(coco_mask.merge([*best, target], intersect=True))) if best else 0
    union = int(coco_mask.area(coco_mask.merge([*best, target])))
    return ImageScore(sample_id, shared, union, target, pairs)


def summarize_images(scores: Iterable[ImageScore]) -> dict[str, float | int | None]:
    """
    Overall and mean intersection over union, precision at thresholds and mean average precision over all images.

    Each sample id counts once, however often it is given, and the order does not matter. An image without a prediction
    counts as an intersection over union of 0, with a warning.

    Returns:
        the number of `images` and, in percent, the numbers of `coco_map` (None where there are no such targets) and
        `precision_at_k`, `overall_iou` and `mean_iou`.
    """
    records = unique_records(scores)
    if not records:
        return {}
    unanswered = np.array([not record.predictions for record in records])
    if unanswered.any():
        first = records[int(unanswered.argmax())].sample_id
        warnings.warn(
            f"{unanswered.sum()} of {len(records)} images have no prediction and count as 0; the first is {first!r}",
            stacklevel=2,
        )
    shared = np.array([record.intersection for record in records], np.int64)
    union = np.array([record.union for record in records], np.int64)
    iou = np.where(unanswered, 0.0, _smoothed_iou(shared, union))
    precision = {
        **_average_precision(records),
        **_precision(iou, PRECISION_THRESHOLDS),
        "overall_iou": _ratio(shared, union),
        "mean_iou": float(iou.mean()),
    }
    return {"images": len(records), **{name: None if value < 0 else 100 * value for name, value in precision.items()}}


def _average_precision(records: Sequence[ImageScore]) -> dict[str, float]:
    predictions = [
        {"image_id": record.sample_id, "score": score, "segmentation": code}
        for record in records
        for score, code in record.predictions
    ]
    return coco_map(predictions, [{"image_id": record.sample_id, "segmentation": record.target} for record in records])


__all__ = [
    "ImageScore",
    "coco_map",
    "generalized_iou",
    "mean_iou",
    "overall_iou",
    "precision_at_k",
    "score_image",
    "summarize_images",
]

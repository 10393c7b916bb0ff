# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""How well the frames are found in which the target is seen, as Long-RVOS measures it."""

import numpy as np

from .frames import check_masks, region_similarity


def temporal_iou(prediction: np.ndarray, target: np.ndarray) -> float:
    """
    tIoU: intersection over union of the frames whose masks are not empty; 1 where all masks are.

    Args:
        prediction, target: (frames, height, width), not 0 = object.

    Raises:
        ValueError: the shapes differ.
    """
    both, either = _shown(*check_masks(prediction, target))
    return float(both.sum() / either.sum()) if either.any() else 1.0


def spatio_temporal_iou(prediction: np.ndarray, target: np.ndarray) -> float:
    """
    vIoU: region similarity, summed over the frames in which both masks have pixels, over the number of frames in which
    at least one has; 1 where all masks are empty.

    Args:
        prediction, target: (frames, height, width), not 0 = object.

    Raises:
        ValueError: the shapes differ.
    """
    prediction, target = check_masks(prediction, target)
    both, either = _shown(prediction, target)
    region = region_similarity(prediction[both], target[both])
    return float(region.sum() / either.sum()) if either.any() else 1.0


def _shown(prediction: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frames (frames,) bool in which both masks have pixels, and those in which at least one has."""
    found = np.array([mask.any() for mask in prediction], bool)
    seen = np.array([mask.any() for mask in target], bool)
    return found & seen, found | seen


__all__ = ["spatio_temporal_iou", "temporal_iou"]

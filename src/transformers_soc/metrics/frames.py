# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Region similarity J and contour accuracy F, a value for each frame, as DAVIS 2017 defines them."""

import math

import numpy as np

CONTOUR_TOLERANCE = 0.008  # of the diagonal of the frame


def check_masks(
    prediction: np.ndarray, target: np.ndarray, void: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """
    Both masks as (frames, height, width) bool, empty where `void` is not 0.

    Raises:
        ValueError: masks of other dimensions, or of unequal shapes; nothing is resized.
    """
    prediction, target = np.asarray(prediction, bool), np.asarray(target, bool)
    if target.ndim != 3 or target.shape != prediction.shape:
        raise ValueError(
            f"prediction and target must both be (frames, height, width), got {prediction.shape} and {target.shape}"
        )
    if void is None:
        return prediction, target
    counted = ~np.asarray(void, bool)
    if counted.shape != target.shape:
        raise ValueError(f"void must have the shape of the masks, {target.shape}, got {counted.shape}")
    return prediction & counted, target & counted


def region_similarity(prediction: np.ndarray, target: np.ndarray, void: np.ndarray | None = None) -> np.ndarray:
    """
    Intersection over union J of each frame; 1 where both masks are empty.

    Args:
        prediction, target: (frames, height, width), not 0 = object.
        void: (frames, height, width), not 0 = pixels that do not count.

    Returns:
        (frames,) float64 in 0..1.

    Raises:
        ValueError: the shapes differ.
    """
    prediction, target = check_masks(prediction, target, void)
    # np.count_nonzero of one whole bool array is many times faster than sums along axes.
    shared = np.array([np.count_nonzero(p & t) for p, t in zip(prediction, target, strict=True)], np.float64)
    union = np.array([np.count_nonzero(p | t) for p, t in zip(prediction, target, strict=True)], np.float64)
    return np.where(union == 0, 1.0, shared / np.maximum(union, 1))


def contour_accuracy(
    prediction: np.ndarray,
    target: np.ndarray,
    void: np.ndarray | None = None,
    bound_th: float = CONTOUR_TOLERANCE,
) -> np.ndarray:
    """
    F of each frame: the harmonic mean of precision and recall of the contour pixels, of which one is right when the
    other mask has a contour pixel within the tolerance.

    A mask that reaches the border of the frame has no contour there, so a full frame has none at all.

    Args:
        prediction, target: (frames, height, width), not 0 = object.
        void: (frames, height, width), not 0 = pixels that do not count.
        bound_th: tolerance, from 1 on in pixels, else a share of the diagonal, rounded up to whole pixels.

    Returns:
        (frames,) float64 in 0..1.

    Raises:
        ValueError: the shapes differ, or the tolerance is negative.
    """
    prediction, target = check_masks(prediction, target, void)
    if bound_th < 0:
        raise ValueError(f"bound_th must not be negative, got {bound_th}")
    radius = bound_th if bound_th >= 1 else math.ceil(bound_th * math.hypot(*target.shape[1:]))
    frames = zip(prediction, target, strict=True)
    return np.array([_contour_accuracy_of_frame(p, t, radius) for p, t in frames], np.float64)


def _contour_accuracy_of_frame(prediction: np.ndarray, target: np.ndarray, radius: float) -> float:
    extent = _extent(prediction | target)
    found, true = contour_map(prediction[extent]), contour_map(target[extent])
    num_found, num_true = np.count_nonzero(found), np.count_nonzero(true)
    if not num_found or not num_true:
        return float(num_found == num_true)
    precision = np.count_nonzero(found & dilate(true, radius)) / num_found
    recall = np.count_nonzero(true & dilate(found, radius)) / num_true
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _extent(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of a mask (height, width) with its object and, inside the frame, one pixel around it."""
    rows = np.flatnonzero(mask.any(1))
    if not len(rows):
        return slice(0), slice(0)
    inner = slice(max(rows[0] - 1, 0), rows[-1] + 2)
    columns = np.flatnonzero(mask[inner].any(0))
    return inner, slice(max(columns[0] - 1, 0), columns[-1] + 2)


def contour_map(mask: np.ndarray) -> np.ndarray:
    """Pixels of a bool mask (height, width) that differ from the one to the right, below, or both."""
    contour = np.zeros_like(mask)
    contour[:, :-1] = mask[:, :-1] ^ mask[:, 1:]
    contour[:-1] |= mask[:-1] ^ mask[1:]
    contour[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return contour


def dilate(mask: np.ndarray, radius: float) -> np.ndarray:
    """
    Grow a bool mask (height, width) by a disk.

    The disk is cut into its rows. Runs of pixels as long as each row come from shifting and joining shorter runs, so
    the work does not depend on how many pixels the mask has.
    """
    height, width = mask.shape
    reach = math.floor(radius)
    stride = width + reach  # enough zeros behind each row that no run reaches the next one
    padded = np.zeros((height + 2 * reach + 1, stride), bool)
    padded[reach + 1 : reach + 1 + height, :width] = mask
    grown = np.zeros((height, stride), bool)
    flat = grown.reshape(-1)[: height * stride - reach]
    # run[i] says whether any of the pixels i to i + length - 1 of the padded mask is set.
    run, length = padded.reshape(-1), 1
    for row in range(reach, -1, -1):
        half = math.floor(math.sqrt(radius**2 - row**2))
        while length <= 2 * half:
            step = min(length, 2 * half + 1 - length)
            run, length = run[:-step] | run[step:], length + step
        for offset in {row, -row}:
            start = (reach + 1 + offset) * stride - half
            flat |= run[start : start + len(flat)]
    return grown[:, :width]


__all__ = ["check_masks", "contour_accuracy", "contour_map", "dilate", "region_similarity"]

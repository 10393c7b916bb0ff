# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Reads `metrics_golden.json`: expected values of the metrics, and the masks that they belong to."""

import json
from pathlib import Path
from typing import Any

import numpy as np

CASES: dict[str, Any] = json.loads((Path(__file__).parent / "metrics_golden.json").read_text(encoding="utf-8"))
SIZE = (48, 64)
BOX, FULL = [{"box": [10, 30, 12, 40]}], [{"box": [0, 48, 0, 64]}]


def paint(size: tuple[int, int], shapes: list[dict[str, Any]]) -> np.ndarray:
    """A bool mask (height, width) of the shapes, painted in order."""
    mask = np.zeros(size, bool)
    rows, columns = np.ogrid[: size[0], : size[1]]
    for shape in shapes:
        if "disk" in shape:
            row, column, radius = shape["disk"]
            inside = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
        else:
            top, bottom, left, right = shape["box"]
            inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
        mask[inside] = "erase" not in shape
    return mask


def paint_video(size: tuple[int, int], frames: list[list[dict[str, Any]]]) -> np.ndarray:
    """Bool masks (frames, height, width)."""
    return np.stack([paint(size, shapes) for shapes in frames])


def paint_labels(size: tuple[int, int], frames: list[list[list[dict[str, Any]]]]) -> np.ndarray:
    """A label map (frames, height, width) uint8 of the objects of each frame, the first one 1, later ones on top."""
    labels = np.zeros((len(frames), *size), np.uint8)
    for image, objects in zip(labels, frames, strict=True):
        for label, shapes in enumerate(objects, 1):
            image[paint(size, shapes)] = label
    return labels


def named(group: str) -> dict[str, Any]:
    """Arguments of `pytest.mark.parametrize` for the cases of a group."""
    return {"argnames": "case", "argvalues": CASES[group], "ids": [case["name"] for case in CASES[group]]}

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Metrics of referring video object segmentation, in NumPy; they are imported when they are asked for."""

from importlib import import_module
from typing import Any

_HOMES = {
    "DavisObjectScore": "davis",
    "DavisSequence": "davis",
    "DavisStatistics": "davis",
    "ExpressionScore": "segmentation",
    "ImageScore": "iou",
    "RevosScore": "revos",
    "coco_map": "iou",
    "contour_accuracy": "frames",
    "davis_statistics": "davis",
    "davis_unsupervised": "davis",
    "format_table": "segmentation",
    "generalized_iou": "iou",
    "mean_iou": "iou",
    "module_path": "modules",
    "no_target_accuracy": "segmentation",
    "overall_iou": "iou",
    "precision_at_k": "iou",
    "region_similarity": "frames",
    "revos_accuracy": "revos",
    "revos_robustness": "revos",
    "score_davis_sequence": "davis",
    "score_expression": "segmentation",
    "score_image": "iou",
    "score_revos": "revos",
    "spatio_temporal_iou": "temporal",
    "summarize": "segmentation",
    "summarize_davis": "davis",
    "summarize_images": "iou",
    "summarize_revos": "revos",
    "temporal_iou": "temporal",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)

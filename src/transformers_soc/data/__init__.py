# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Data sets in one common schema; the loaders are imported when they are asked for."""

from importlib import import_module
from typing import Any

_HOMES = {
    "load_a2d_sentences": "a2d_sentences",
    "load_benchmark": "benchmarks",
    "load_folder": "folder",
    "load_jhmdb_sentences": "jhmdb_sentences",
    "load_long_rvos": "long_rvos",
    "load_mevis": "mevis",
    "load_moving_shapes": "moving_shapes",
    "load_refcoco": "refcoco",
    "load_refer_davis": "refer_davis",
    "load_refer_youtube_vos": "refer_youtube_vos",
    "load_revos": "revos",
    "render_clip": "moving_shapes",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Data sets in one common schema; the loaders are imported when they are asked for."""

from importlib import import_module
from typing import Any

_HOMES = {"load_folder": "folder", "load_moving_shapes": "moving_shapes", "render_clip": "moving_shapes"}

__all__ = ["load_folder", "load_moving_shapes", "render_clip"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)

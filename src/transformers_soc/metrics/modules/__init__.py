# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Folders that `evaluate.load` takes: `evaluate.load(module_path("a2d_sentences"))`."""

from pathlib import Path


def module_path(name: str) -> str:
    """
    Path of the folder of an `evaluate` module.

    Args:
        name: "a2d_sentences" or "referring_video_segmentation".

    Raises:
        ValueError: there is no such module.
    """
    root = Path(__file__).parent
    names = sorted(path.parent.name for path in root.glob("*/*.py"))
    if name not in names:
        raise ValueError(f"there is no evaluate module {name!r}; the modules are {', '.join(names)}")
    return str(root / name)


__all__ = ["module_path"]

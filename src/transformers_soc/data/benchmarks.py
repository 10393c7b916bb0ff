# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The benchmarks by name, for scripts and commands that let the user choose one."""

from importlib import import_module
from pathlib import Path
from typing import Any

from datasets import Dataset, IterableDataset

# The module of each benchmark, with a function `load_<module>`, and options that its name stands for.
BENCHMARKS: dict[str, tuple[str, dict[str, Any]]] = {
    "a2d_sentences": ("a2d_sentences", {}),
    "jhmdb_sentences": ("jhmdb_sentences", {}),
    "refer_youtube_vos": ("refer_youtube_vos", {}),
    "refer_davis": ("refer_davis", {}),
    "mevis": ("mevis", {}),
    "refcoco": ("refcoco", {}),
    "refcoco+": ("refcoco", {"variant": "refcoco+"}),
    "refcocog": ("refcoco", {"variant": "refcocog"}),
    "long_rvos": ("long_rvos", {}),
    "revos": ("revos", {}),
}


def load_benchmark(name: str, root: str | Path, split: str, **options: Any) -> Dataset | IterableDataset:
    """
    A split of a benchmark in the common schema; its module is imported only now.

    Args:
        name: a key of `BENCHMARKS`.
        root: its folder.
        split: our name of the split, or an official one.
        options: of its loader, such as `streaming` and `num_proc`.

    Raises:
        ValueError: there is no such benchmark; or what the loader raises.
    """
    if name not in BENCHMARKS:
        raise ValueError(f"there is no benchmark {name!r}; the benchmarks are {', '.join(BENCHMARKS)}")
    module, fixed = BENCHMARKS[name]
    load = getattr(import_module(f".{module}", __package__), f"load_{module}")
    return load(root, split, **(fixed | options))


__all__ = ["BENCHMARKS", "load_benchmark"]

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The miniatures of all benchmarks, by name."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from miniature_a2d_sentences import make_a2d_sentences
from miniature_jhmdb_sentences import make_jhmdb_sentences
from miniature_long_rvos import make_long_rvos
from miniature_mevis import make_mevis
from miniature_refcoco import make_refcoco
from miniature_refer_davis import make_refer_davis
from miniature_refer_youtube_vos import make_refer_youtube_vos
from miniature_revos import make_revos

from transformers_soc.data.benchmarks import load_benchmark


class Miniature(NamedTuple):
    """
    Attributes:
        make: writes the miniature to a folder.
        train, test: splits that have masks.
        options: of the loader.
    """

    make: Any
    train: str
    test: str
    options: dict[str, Any]


MINIATURES = {
    "refer_youtube_vos": Miniature(partial(make_refer_youtube_vos, valid_truth=True), "train", "validation", {}),
    "refer_davis": Miniature(make_refer_davis, "train", "validation", {}),
    "a2d_sentences": Miniature(make_a2d_sentences, "train", "test", {"expected_videos": None}),
    "jhmdb_sentences": Miniature(make_jhmdb_sentences, "test", "test", {"short_videos": "all"}),
    "mevis": Miniature(make_mevis, "train", "validation_u", {}),
    "refcoco": Miniature(make_refcoco, "train", "val", {}),
    "long_rvos": Miniature(make_long_rvos, "validation", "validation", {}),
    "revos": Miniature(make_revos, "train", "validation", {}),
}
NAMES = list(MINIATURES)


def make_miniatures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each, by name."""
    roots: dict[str, Path] = {}
    for name, miniature in MINIATURES.items():
        roots[name] = tmp_path_factory.mktemp(name)
        miniature.make(roots[name])
    return roots


def load_miniature(roots: dict[str, Path], name: str, split: str | None = None, **options: Any) -> Any:
    """The table of a split, of `test` where none is named."""
    miniature = MINIATURES[name]
    return load_benchmark(name, roots[name], split or miniature.test, **(miniature.options | options))

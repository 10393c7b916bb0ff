# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The rows of each benchmark, however they are made: as a stream, by processes, by workers and on several machines."""

from pathlib import Path
from typing import Any

import pytest
from datasets.distributed import split_dataset_by_node
from miniatures import MINIATURES, NAMES, load_miniature, make_miniatures
from torch.utils.data import DataLoader

from transformers_soc.data.schema import COMMON_FEATURES
from transformers_soc.data.tables import MAX_SHARDS, build_table

NUM_NODES = 2


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_miniatures(tmp_path_factory)


def load(roots: dict[str, Path], name: str, **options: Any) -> Any:
    """The split with the most rows: more than there are processes, workers or machines."""
    return load_miniature(roots, name, MINIATURES[name].train, **options)


def by_sample(rows: Any) -> dict[str, dict[str, Any]]:
    """Rows by name, none of which may come twice."""
    rows = list(rows)
    named = {row["sample_id"]: row for row in rows}
    assert len(named) == len(rows)
    return named


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_and_several_processes_give_the_rows_of_the_table(roots, name, monkeypatch, tmp_path):
    table = load(roots, name, num_proc=1)
    rows = table.to_list()
    stream = load(roots, name, streaming=True)
    assert table.features == stream.features == COMMON_FEATURES and len(by_sample(rows)) == len(table) >= 4
    assert list(stream) == rows
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path))  # so that the table is made anew
    table = load(roots, name, num_proc=4)
    assert table.to_list() == rows and len(table.cache_files) == 4


@pytest.mark.parametrize("name", NAMES)
def test_workers_and_nodes_share_the_rows(roots, name):
    rows = by_sample(load(roots, name))
    stream = load(roots, name, streaming=True)
    assert by_sample(DataLoader(stream, batch_size=None, num_workers=2)) == rows
    parts = [list(split_dataset_by_node(stream, rank, NUM_NODES)) for rank in range(NUM_NODES)]
    assert all(parts) and by_sample(row for part in parts for row in part) == rows


@pytest.mark.parametrize("name", ["mevis", "long_rvos"])
def test_workers_of_several_nodes_share_the_rows(roots, name):
    """Of shards that are divided among the nodes, and of an odd number, which each node reads and skips through."""
    rows = by_sample(load(roots, name))
    stream = load(roots, name, streaming=True)
    parts = [split_dataset_by_node(stream, rank, NUM_NODES) for rank in range(NUM_NODES)]
    assert by_sample(row for part in parts for row in DataLoader(part, batch_size=None, num_workers=2)) == rows


def make_row(item: dict[str, Any]) -> dict[str, Any]:
    return {"sample_id": item["name"]}


def test_long_tables_have_shards_of_several_rows():
    names = [f"{number:04d}" for number in range(2 * MAX_SHARDS + 1)]
    stream = build_table(make_row, [{"name": name} for name in names], "train", streaming=True)
    assert MAX_SHARDS / 2 < stream.num_shards <= MAX_SHARDS
    assert [row["sample_id"] for row in stream] == names
    parts = [[row["sample_id"] for row in split_dataset_by_node(stream, rank, 3)] for rank in range(3)]
    assert all(parts) and sorted(name for part in parts for name in part) == names

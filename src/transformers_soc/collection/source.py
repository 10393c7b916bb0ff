# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Where the videos and sentences of a collection come from. One of:

- a folder with videos (files, or folders of frames) and a file `sentences.json` that names them, by their paths in the
  folder, with the sentences about each: `{"dogs.mp4": ["the dog that runs off", "the cat"], "trips/day1.mp4": [...]}`;
- a Parquet file, or a folder of them, with the columns `sample_id` (string), `video` (a path, the bytes of a video
  file, or a struct with both, as `datasets.Video` stores it) and `sentences` (list of strings); further columns are
  not read;
- a `datasets.Dataset` with these columns, or the folder that its `save_to_disk` wrote.

Relative paths of videos start at the folder of the source; those of a `Dataset` in memory at the current folder.
"""

import os
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from ..data.tables import read_json

SENTENCES = "sentences.json"
DATASET_STATE = "state.json"
COLUMNS = ("sample_id", "video", "sentences")


class CollectionSource(ABC):
    """
    Rows in a fixed order. Sentences are read together, a video only when it is asked for, so that a worker holds one
    at a time. Workers get a copy of the object, which is small: it knows where the videos are.
    """

    @abstractmethod
    def sentences(self) -> Iterator[tuple[Any, Any]]:
        """`sample_id` and `sentences` of every row, as they are stored."""

    @abstractmethod
    def video(self, index: int) -> str | bytes:
        """
        Path or bytes of the video of a row.

        Raises:
            ValueError: the row has no video.
        """


class FolderSource(CollectionSource):
    """Videos in a folder, with their sentences in a file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        content = read_json(root / SENTENCES, "the sentences about each video")
        if not isinstance(content, dict):
            raise ValueError(f'{root / SENTENCES} must hold an object like {{"clip.mp4": ["a sentence"]}}')
        self.entries = list(content.items())

    def sentences(self) -> Iterator[tuple[Any, Any]]:
        return iter(self.entries)

    def video(self, index: int) -> str | bytes:
        return str(self.root / self.entries[index][0])


class ParquetSource(CollectionSource):
    """Rows of Parquet files. Videos are read forwards through a row group, which is fast for ascending rows."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files
        self.groups: list[tuple[Path, int]] = []
        self.starts: list[int] = []  # the first row of each group
        num_rows = 0
        for file in files:
            try:
                metadata, names = pq.read_metadata(file), pq.read_schema(file).names
            except pa.ArrowInvalid as error:
                raise ValueError(f"{str(file)!r} is no Parquet file, or is cut off; get the file anew") from error
            _check_columns(names, str(file))
            for group in range(metadata.num_row_groups):
                self.groups.append((file, group))
                self.starts.append(num_rows)
                num_rows += metadata.row_group(group).num_rows
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._group = self._next = -1

    def sentences(self) -> Iterator[tuple[Any, Any]]:
        for file in self.files:
            with pq.ParquetFile(file) as reader:
                for batch in reader.iter_batches(columns=["sample_id", "sentences"]):
                    columns = [batch.column(name).to_pylist() for name in ("sample_id", "sentences")]
                    yield from zip(*columns, strict=True)

    def video(self, index: int) -> str | bytes:
        group = bisect_right(self.starts, index) - 1
        file, number = self.groups[group]
        if group != self._group or index < self._next:
            reader = pq.ParquetFile(file)
            self._batches = reader.iter_batches(batch_size=1, row_groups=[number], columns=["video"])
            self._group, self._next = group, self.starts[group]
        while self._next <= index:
            batch = next(self._batches)
            self._next += 1
        return _stored_video(batch.column("video")[0].as_py(), file.parent)


class DatasetSource(CollectionSource):
    """Rows of a `datasets.Dataset`, read as stored: a column of the type `Video` is not decoded here."""

    def __init__(self, dataset: datasets.Dataset, root: Path) -> None:
        _check_columns(dataset.column_names, "the data set")
        self.dataset = dataset.with_format("arrow")
        self.root = root

    def sentences(self) -> Iterator[tuple[Any, Any]]:
        for batch in self.dataset.select_columns(["sample_id", "sentences"]).iter(batch_size=1000):
            columns = [batch[name].to_pylist() for name in ("sample_id", "sentences")]
            yield from zip(*columns, strict=True)

    def video(self, index: int) -> str | bytes:
        return _stored_video(self.dataset[index]["video"][0].as_py(), self.root)


def open_source(source: str | os.PathLike | datasets.Dataset) -> CollectionSource:
    """
    The rows of a folder, Parquet file or data set; the module describes them.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: something that is none of these, or columns that are missing.
    """
    if isinstance(source, datasets.Dataset):
        return DatasetSource(source, Path.cwd())
    path = Path(source).absolute()
    if not path.exists():
        raise FileNotFoundError(f"{str(path)!r} does not exist: give a folder or a Parquet file")
    if path.is_file() and path.suffix == ".parquet":
        return ParquetSource([path])
    if (path / SENTENCES).exists():
        return FolderSource(path)
    if (path / DATASET_STATE).exists():
        return DatasetSource(datasets.Dataset.load_from_disk(str(path)), path)
    if path.is_dir() and (files := sorted(path.glob("*.parquet"))):
        return ParquetSource(files)
    raise ValueError(
        f"{str(path)!r} is no collection: give a Parquet file, or a folder with videos and {SENTENCES}, with Parquet "
        "files, or of a saved data set"
    )


def read_rows(source: CollectionSource) -> list[tuple[str, list[str]]]:
    """
    The checked (sample_id, sentences) of all rows.

    Raises:
        ValueError: no rows, a sample without a name or with the name of another, or without sentences.
    """
    rows: dict[str, list[str]] = {}
    for number, (sample_id, sentences) in enumerate(source.sentences()):
        if not isinstance(sample_id, str) or not sample_id:
            raise ValueError(f"row {number} has the sample_id {sample_id!r}: give each row a text of its own")
        if sample_id in rows:
            raise ValueError(f"the sample_id {sample_id!r} comes twice: put all sentences about a video into one row")
        listed = isinstance(sentences, list) and bool(sentences)
        if not listed or not all(isinstance(text, str) and text.strip() for text in sentences):
            raise ValueError(
                f"the sentences of {sample_id!r} are {sentences!r}: give a list with at least one sentence"
            )
        rows[sample_id] = sentences
    if not rows:
        raise ValueError("the collection has no rows")
    return list(rows.items())


def _check_columns(names: Sequence[str], where: str) -> None:
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise ValueError(f"{where} has no column {missing[0]!r}; the columns needed are {', '.join(COLUMNS)}")


def _stored_video(value: Any, root: Path) -> str | bytes:
    """Path or bytes of a value of the column `video`."""
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, str) and value:
        return str(root / value)
    if isinstance(value, bytes) and value:
        return value
    raise ValueError(f"the column 'video' holds {value!r}: give a path, or the bytes of a video file")


__all__ = ["CollectionSource", "open_source", "read_rows"]

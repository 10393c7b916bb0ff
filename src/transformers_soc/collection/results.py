# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
The output folder of a collection, which any process may leave at any moment and a later run takes up:

    shard-00000.parquet        finished videos, a row for each sentence
    manifest.jsonl             a line for each video that is done or has failed
    settings.json              what the answers depend on
    failed/<key>.json          a video that has failed, and why
    pieces/<key>.parquet       a finished video that is in no shard yet
    pieces/<key>.attempts      how often the video that is being answered was begun

Workers may die, so each finished video is a file at once, written by its worker under a temporary name and renamed:
nothing that is finished is lost with a worker, with the process that leads it, or with the network between them.
A worker also notes that it begins a video, the only trace of one that ends the process. The leading process alone
writes shards and manifest, by folding pieces together; both follow from files that are complete, since the footer of a
shard lists its videos. A piece whose video is in a shard is what a crash between folding and deleting leaves: it is
deleted. All machines of a cluster must see the folder.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..outputs import only_writer
from ..video_io import masks_to_rle, replacing

MAX_ATTEMPTS = 3
# A shard is closed at the first of these; both keep the folding within a small memory.
VIDEOS_PER_SHARD = 1000
BYTES_PER_SHARD = 256 * 2**20
# Key of the footer of pieces and shards: JSON, {sample_id: record}.
FOOTER = b"transformers_soc_videos"

RESULT_SCHEMA = pa.schema(
    {
        "sample_id": pa.string(),
        "video": pa.string(),  # path; null where the source holds the bytes
        "sentence_index": pa.int32(),
        "sentence": pa.string(),
        "score": pa.float32(),
        "no_target": pa.bool_(),
        "frame_indices": pa.list_(pa.int32()),
        "timestamps": pa.list_(pa.float64()),  # seconds from the first frame; null where the rate is unknown
        "height": pa.int32(),
        "width": pa.int32(),
        "boxes": pa.list_(pa.list_(pa.float32(), 4)),  # for each frame x1, y1, x2, y2 in pixels
        "masks": pa.list_(pa.struct({"size": pa.list_(pa.int32(), 2), "counts": pa.string()})),  # for each frame
    }
)

Record = dict[str, Any]


def file_key(sample_id: str) -> str:
    """Name of the files about a sample, whose own name may hold any characters."""
    return hashlib.sha256(sample_id.encode()).hexdigest()[:32]


def sentences_digest(sentences: Sequence[str]) -> str:
    """Short text that changes with the sentences."""
    return hashlib.sha256(json.dumps(list(sentences)).encode()).hexdigest()[:16]


class VideoFiles:
    """The files about single videos, written by workers."""

    def __init__(self, root: Path) -> None:
        self.pieces = root / "pieces"
        self.failed = root / "failed"

    def is_finished(self, sample_id: str) -> bool:
        """Whether a video is done or has failed, so far as its own files tell."""
        return self.piece_path(sample_id).exists() or self._failure_path(sample_id).exists()

    def piece_path(self, sample_id: str) -> Path:
        """Where the results of a finished video are put."""
        return self.pieces / f"{file_key(sample_id)}.parquet"

    def num_attempts(self, sample_id: str) -> int:
        """How often an unfinished video was begun."""
        try:
            return int(self._attempts_path(sample_id).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return 0

    def note_attempts(self, sample_id: str, number: int) -> None:
        """Note how often a video was begun; 0 leaves no note."""
        self._write_attempts(self._attempts_path(sample_id), number)

    def withdraw_attempts(self) -> None:
        """Count the attempts that are under way as not made: the user stopped them."""
        for path in self.pieces.glob("*.attempts"):
            self._write_attempts(path, int(path.read_text(encoding="utf-8")) - 1)

    def write_results(
        self, sample_id: str, video: str | None, sentences: Sequence[str], results: Sequence[Mapping[str, Any]]
    ) -> None:
        """Write a finished video: the results of the pipeline, one for each sentence."""
        rows = [_result_row(sample_id, video, index, result) for index, result in enumerate(results)]
        footer = {sample_id: self._record(sample_id, sentences)}
        table = pa.Table.from_pylist(rows, schema=RESULT_SCHEMA.with_metadata({FOOTER: json.dumps(footer)}))
        with replacing(self.piece_path(sample_id)) as temporary:
            pq.write_table(table, temporary, compression="zstd")
        self.note_attempts(sample_id, 0)

    def write_failure(self, sample_id: str, sentences: Sequence[str], error: str) -> None:
        """Write why a video has failed."""
        record = {"sample_id": sample_id, **self._record(sample_id, sentences), "error": error}
        with replacing(self._failure_path(sample_id)) as temporary:
            temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")
        self.note_attempts(sample_id, 0)

    def _record(self, sample_id: str, sentences: Sequence[str]) -> Record:
        return {"attempts": self.num_attempts(sample_id), "sentences_digest": sentences_digest(sentences)}

    def _write_attempts(self, path: Path, number: int) -> None:
        if number == 0:
            path.unlink(missing_ok=True)
            return
        with replacing(path) as temporary:
            temporary.write_text(str(number), encoding="utf-8")

    def _failure_path(self, sample_id: str) -> Path:
        return self.failed / f"{file_key(sample_id)}.json"

    def _attempts_path(self, sample_id: str) -> Path:
        return self.pieces / f"{file_key(sample_id)}.attempts"


def _result_row(sample_id: str, video: str | None, index: int, result: Mapping[str, Any]) -> dict[str, Any]:
    _, height, width = result["masks"].shape
    return {
        "sample_id": sample_id,
        "video": video,
        "sentence_index": index,
        "sentence": result["expression"],
        "score": float(result["score"]),
        "no_target": bool(result["no_target"]),
        "frame_indices": result["frame_indices"],
        "timestamps": result["timestamps"],
        "height": height,
        "width": width,
        "boxes": np.asarray(result["boxes"], np.float32).tolist(),
        "masks": masks_to_rle(result["masks"]),
    }


class ResultFolder:
    """
    The whole output folder, for the process that leads.

    Attributes:
        done: record and shard of each video in a shard, by sample_id.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = VideoFiles(root)
        self.done: dict[str, Record] = {}
        self._reported: dict[Path, int] = {}  # pieces for the next shard, with their sizes in bytes

    @contextmanager
    def opened(self, settings: Mapping[str, Any]) -> Iterator[None]:
        """
        Make the folder, or take it up, and keep other runs out of it; what is finished is folded at both ends.

        Raises:
            FileExistsError: a folder with something else.
            ValueError: answers made with other settings.
            BlockingIOError: another run writes to the folder.
        """
        self._check(settings)
        with only_writer(self.root, self.files.pieces.name, self.files.failed.name):
            with replacing(self.root / "settings.json") as temporary:
                temporary.write_text(json.dumps(dict(settings), indent=2) + "\n", encoding="utf-8")
            for folder in (self.files.pieces, self.files.failed):
                folder.mkdir(exist_ok=True)
            self._read_shards()
            self.fold()
            try:
                yield
            finally:
                self.fold()

    def _check(self, settings: Mapping[str, Any]) -> None:
        path = self.root / "settings.json"
        # Hidden files are what a run leaves that is killed at its very beginning.
        if not path.exists() and self.root.exists() and any(item.name[0] != "." for item in self.root.iterdir()):
            raise FileExistsError(
                f"{str(self.root)!r} holds something else: give a new folder, or that of a former run"
            )
        if path.exists():
            known = json.loads(path.read_text(encoding="utf-8"))
            for name, value in settings.items():
                if known.get(name) != value:
                    raise ValueError(
                        f"{str(self.root)!r} was begun with {name}={known.get(name)!r}, not {value!r}: go on with the "
                        "former value, or give another folder"
                    )

    def _read_shards(self) -> None:
        for path in sorted(self.root.glob("shard-*.parquet")):
            for sample_id, record in _read_footer(path).items():
                self.done[sample_id] = {**record, "shard": path.name}

    def failures(self) -> dict[str, Record]:
        """The record of each video that has failed, by sample_id."""
        records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(self.files.failed.glob("*.json"))]
        by_sample = {record.pop("sample_id"): record for record in records}
        # A lost worker may still finish what its successor gave up.
        return {sample_id: record for sample_id, record in by_sample.items() if sample_id not in self.done}

    def forget_failures(self) -> None:
        """Make the videos that have failed pending again."""
        for path in self.files.failed.glob("*.json"):
            path.unlink()

    def report(self, sample_id: str) -> None:
        """
        Take note that a video is finished and its worker will not come back to it; full shards are written.

        Pieces of videos that are not reported stay where they are: a worker that takes over from a lost one skips the
        videos that have a piece.
        """
        path = self.files.piece_path(sample_id)
        if path.exists():
            self._reported[path] = path.stat().st_size
        if len(self._reported) >= VIDEOS_PER_SHARD or sum(self._reported.values()) >= BYTES_PER_SHARD:
            self._fold(list(self._reported))

    def fold(self) -> None:
        """Put all pieces into shards, and write the manifest; no worker may be at work."""
        self._fold(sorted(self.files.pieces.glob("*.parquet")))

    def _fold(self, pieces: Iterable[Path]) -> None:
        known = {self.files.piece_path(sample_id) for sample_id in self.done}
        new = []
        for path in pieces:
            if path in known:
                path.unlink()
            else:
                new.append(path)
        for group in _shard_groups(new):
            self._write_shard(group)
        self._reported.clear()
        self._write_manifest()

    def _write_shard(self, pieces: Sequence[Path]) -> None:
        numbers = [int(path.stem.removeprefix("shard-")) for path in self.root.glob("shard-*.parquet")]
        name = f"shard-{max(numbers, default=-1) + 1:05d}.parquet"
        records = {path: _read_footer(path) for path in pieces}
        videos = {sample_id: record for path in pieces for sample_id, record in records[path].items()}
        # Read as files, not as a data set, so that nothing is taken from the names of folders.
        ordered = sorted(pieces, key=lambda path: min(records[path]))
        table = pa.concat_tables([pq.ParquetFile(path).read() for path in ordered])
        with replacing(self.root / name) as temporary:
            table = table.replace_schema_metadata({FOOTER: json.dumps(videos)})
            pq.write_table(table, temporary, compression="zstd", row_group_size=100)
        for sample_id, record in videos.items():
            self.done[sample_id] = {**record, "shard": name}
        for path in pieces:
            path.unlink()

    def _write_manifest(self) -> None:
        lines = [
            {"sample_id": sample_id, "status": status, **record}
            for status, records in (("done", self.done), ("failed", self.failures()))
            for sample_id, record in records.items()
        ]
        for line in lines:
            del line["sentences_digest"]
        with replacing(self.root / "manifest.jsonl") as temporary:
            lines.sort(key=lambda line: line["sample_id"])
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _read_footer(path: Path) -> dict[str, Record]:
    """The videos of a piece or shard."""
    return json.loads((pq.read_schema(path).metadata or {}).get(FOOTER, b"{}"))


def _shard_groups(pieces: Iterable[Path]) -> Iterator[list[Path]]:
    """Pieces in groups that fit into a shard."""
    group: list[Path] = []
    size = 0
    for path in pieces:
        length = path.stat().st_size
        if group and (len(group) == VIDEOS_PER_SHARD or size + length > BYTES_PER_SHARD):
            yield group
            group, size = [], 0
        group.append(path)
        size += length
    if group:
        yield group


__all__ = ["MAX_ATTEMPTS", "RESULT_SCHEMA", "ResultFolder", "VideoFiles", "sentences_digest"]

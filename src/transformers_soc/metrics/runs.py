# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
The folder of an evaluation, from which it goes on after an interruption:

    .lock             held by the run that writes
    settings.json     what is evaluated, and how
    done.jsonl        a line for each video of earlier runs: its records, and its masks where they are kept
    done-<rank>.jsonl the same, of the run in progress
    results.json      the figures, one entry each
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers.utils import cached_file

from ..video_io import replacing
from .evaluation import RECORDS, SUMMARIES, Code, Summary
from .protocols import Protocol

SETTINGS, DONE, RESULTS = "settings.json", "done.jsonl", "results.json"
MODEL_FILES = ("*.json", "*.safetensors", "*.txt")  # of a model and its processor
# Columns of `results.json`, besides the group, the metric, its value and the number of samples.
DESCRIPTION = (
    "model",
    "dataset",
    "dataset_version",
    "split",
    "protocol",
    "clip_length",
    "query_rule",
    "resize_path",
    "dtype",
    "command",
    "package_version",
    "source",
    "source_url",
    "measured_here",
)


def model_stamp(model: str | Path) -> str:
    """Text that changes with the files of a model or processor: their digest, or, on the Hub, the commit."""
    folder = Path(model)
    if not folder.is_dir():
        return Path(str(cached_file(str(model), "config.json"))).parent.name
    digest = hashlib.sha256()
    for path in sorted(path for pattern in MODEL_FILES for path in folder.glob(pattern)):
        with open(path, "rb") as file:
            digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:32]


class EvaluationFolder:
    """
    What is done of an evaluation. One process opens the folder first; then each appends what it has answered.

    Args:
        path: of the folder; made where it does not exist.
        settings: values for JSON; what has been done under others is refused.
    """

    def __init__(self, path: str | Path, settings: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.settings = dict(settings)

    def open(self) -> None:
        """
        Check the settings and gather what earlier runs did; lines that were cut off by a crash are dropped.

        Raises:
            ValueError: the folder holds an evaluation with other settings.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        file = self.path / SETTINGS
        if file.exists():
            known = json.loads(file.read_text(encoding="utf-8"))
            names = sorted(set(known) | set(self.settings))
            differing = [name for name in names if known.get(name) != self.settings.get(name)]
            if differing:
                raise ValueError(
                    f"{str(self.path)!r} holds an evaluation with other settings ({', '.join(differing)}): choose "
                    "another folder, or remove this one"
                )
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(self.settings, indent=2) + "\n", encoding="utf-8")
        # Line by line: the masks of a whole data set do not fit into memory.
        with replacing(self.path / DONE) as temporary, open(temporary, "w", encoding="utf-8") as gathered:
            for entry in self.entries():
                gathered.write(json.dumps(entry) + "\n")
        for part in self.path.glob("done-*.jsonl"):
            part.unlink()

    def entries(self) -> Iterator[dict[str, Any]]:
        """What is done, each video once."""
        seen = set()
        for file in sorted(self.path.glob("done*.jsonl")):
            with open(file, encoding="utf-8") as lines:
                for line in lines:
                    try:
                        entry = json.loads(line)
                    except ValueError:  # cut off
                        continue
                    if entry["unit"] not in seen:
                        seen.add(entry["unit"])
                        yield entry

    def units(self) -> set[str]:
        """Names of the videos that are done."""
        return {entry["unit"] for entry in self.entries()}

    def append(
        self, rank: int, unit: str, records: Sequence[Any], masks: Mapping[str, list[Code]], error: str | None = None
    ) -> None:
        """Add a video; `error` says why it could not be answered."""
        entry = {"unit": unit, "records": [asdict(record) for record in records], "masks": dict(masks), "error": error}
        with open(self.path / f"done-{rank}.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def records(self, family: str) -> list[Any]:
        """The records of all videos, of a family of `evaluation.RECORDS`."""
        kind: Any = RECORDS[family]
        return [kind(**values) for entry in self.entries() for values in entry["records"]]

    def masks(self) -> Iterator[tuple[str, list[Code]]]:
        """(sample id, a code for each frame) of all videos."""
        for entry in self.entries():
            yield from entry["masks"].items()

    def errors(self) -> list[str]:
        """Why videos could not be answered."""
        return [entry["error"] for entry in self.entries() if entry["error"] is not None]


def summarize_records(records: Sequence[Any], protocol: Protocol) -> Summary:
    """The figures of a benchmark, by group of samples."""
    return SUMMARIES[protocol.metrics](records) if records else {}


def result_entries(summary: Summary, description: Mapping[str, Any]) -> list[dict[str, Any]]:
    """
    The figures as entries of `results.json`, from which model cards are made.

    Args:
        summary: of `summarize_records`; the first integer of a group is its number of samples.
        description: a value for each of `DESCRIPTION`.
    """
    missing = [name for name in DESCRIPTION if name not in description]
    if missing:
        raise ValueError(f"the description of the results lacks {', '.join(missing)}")
    entries = []
    for group, values in summary.items():
        number = next((value for value in values.values() if isinstance(value, int)), None)
        entries += [
            {
                **{name: description[name] for name in DESCRIPTION},
                "group": group,
                "metric": metric,
                "value": value,
                "num_samples": number,
            }
            for metric, value in values.items()
            if isinstance(value, float)
        ]
    return entries


__all__ = ["DESCRIPTION", "EvaluationFolder", "model_stamp", "result_entries", "summarize_records"]

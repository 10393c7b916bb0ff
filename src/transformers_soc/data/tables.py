# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What the loaders of benchmarks share: split names, files that must be there, tables of rows made one by one."""

import csv
import hashlib
import json
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from datasets import Dataset, IterableDataset, NamedSplit
from datasets.exceptions import DatasetGenerationError
from transformers.utils import logging

from ..video_io import open_binary, open_image
from .schema import COMMON_FEATURES

logger = logging.get_logger(__name__)

ARCHIVES = (".tar", ".tar.gz")
ON_ERROR = ("raise", "skip")
MAX_SHARDS = 1024  # many more than workers, few enough to open quickly

Item = Mapping[str, Any]
MakeRow = Callable[..., dict[str, Any]]


def choose_split(split: str, names: Mapping[str, Sequence[str]]) -> str:
    """
    Our name of a split.

    Args:
        split: our name, or one that the benchmark uses.
        names: our names, each with the benchmark's other names for it.

    Raises:
        ValueError: there is no such split.
    """
    for name, aliases in names.items():
        if split == name or split in aliases:
            return name
    raise ValueError(f"there is no split {split!r}; the splits are {', '.join(names)}")


def require(path: Path, remedy: str) -> Path:
    """The path, which must exist. `remedy` says what belongs there, as in "the frames of the split train"."""
    if path.exists():
        return path
    for suffix in ARCHIVES:
        archive = path.with_name(path.name + suffix)
        if archive.exists():
            command = f"tar -xf {shlex.quote(str(archive))} -C {shlex.quote(str(path.parent))}"
            raise FileNotFoundError(f"{str(path)!r} is missing, but its archive is there: unpack it with `{command}`")
    raise FileNotFoundError(f"{str(path)!r} is missing: it should hold {remedy}")


def below(folder: str | Path, *names: str) -> Path:
    """
    A path that a file of a data set names below a folder, which it may not leave, by `..` or by links.

    The folder itself may be a link: the user puts data on another disk so.

    Raises:
        ValueError: the path leads out of the folder.
    """
    path = Path(folder, *names)
    try:
        inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    except ValueError:  # a NUL character
        inside = False
    if not inside:
        raise ValueError(
            f"{str(Path(*names))!r} leads out of {str(folder)!r}: files of a data set must lie below it, also those "
            "that are links; copy them there"
        )
    return path


def read_json(path: Path, remedy: str) -> Any:
    """Content of a JSON file, which must exist and be whole."""
    try:
        return json.loads(require(path, remedy).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is not valid JSON ({error}); get the file anew") from error


def read_csv(path: Path, columns: Sequence[str], remedy: str, header: bool = True) -> list[list[str]]:
    """
    Rows of a CSV file, which must exist, with all cells as text.

    Args:
        columns: names of the columns; `header` says that the first row gives them, and it is left out.
        remedy: see `require`.

    Raises:
        FileNotFoundError, ValueError: no such file, other columns, or no text.
    """
    try:
        with require(path, remedy).open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{str(path)!r} is not valid CSV ({error}); get the file anew") from error
    if header and (not rows or rows.pop(0) != list(columns)):
        raise ValueError(f"{str(path)!r} must start with the row {','.join(columns)!r}; get the file anew")
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"{str(path)!r} has a row without the columns {','.join(columns)!r}: {','.join(row)!r}")
    return rows


@lru_cache(maxsize=65536)
def image_size(path: str) -> tuple[int, int]:
    """(height, width) of an image file, from its header."""
    with open_binary(path) as (file, name), open_image(file, name) as image:
        return image.height, image.width


def numeric_order(name: str) -> tuple[int, int, str]:
    """Sort key of official ids: numbers by value and before other words."""
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def build_table(
    make_row: MakeRow,
    items: Sequence[Item],
    split: str,
    *,
    streaming: bool = False,
    num_proc: int | None = None,
    on_error: str = "raise",
    sources: Sequence[Path] = (),
    **arguments: Any,
) -> Dataset | IterableDataset:
    """
    A table in the common schema, with one row per item, in the order of the items.

    Args:
        make_row: function of a module that turns an item, and the arguments, into the columns that are not null.
        items: what is known of each row beforehand; values that JSON can hold.
        split: our name of the split.
        streaming: make the rows as they are asked for, in up to 1,024 shards.
        num_proc: processes that make the rows of a map-style table.
        on_error: what a row that cannot be made (OSError, ValueError, KeyError) does: "raise" the error, or be left
            out, with a warning that counts ("skip").
        sources: files that rows are made from; when one changes, the cached table is made anew.
        arguments: further arguments of `make_row`, of values that JSON can hold.

    Raises:
        ValueError: `on_error` is neither, or there are no items.
    """
    if on_error not in ON_ERROR:
        raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
    if not items:
        raise ValueError(f"the split {split!r} has no expressions")
    size = -(-len(items) // MAX_SHARDS)
    shards = [list(items[start : start + size]) for start in range(0, len(items), size)]
    options = {"make_row": make_row, "arguments": arguments, "on_error": on_error}
    kwargs = {"shards": shards, **options}
    name = NamedSplit(split)
    if streaming:
        return IterableDataset.from_generator(_rows, features=COMMON_FEATURES, gen_kwargs=kwargs, split=name)
    stamps = [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in sources]
    what: list[Any] = [
        make_row.__module__,
        make_row.__qualname__,
        shards,
        arguments,
        on_error,
        stamps,
        str(COMMON_FEATURES),
    ]
    if on_error == "skip":
        what.append(time.time_ns())  # what was left out may have been repaired since
    fingerprint = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]
    try:
        table = Dataset.from_generator(
            _rows,
            features=COMMON_FEATURES,
            gen_kwargs=kwargs,
            split=name,
            num_proc=num_proc and min(num_proc, len(shards)),
            fingerprint=fingerprint,
        )
    except DatasetGenerationError as error:
        raise error.__cause__ or error from None
    if len(table) < len(items):
        logger.warning(
            "%d of %d rows of %r could not be made and are left out", len(items) - len(table), len(items), split
        )
    return table


def _rows(
    shards: list[list[Item]], make_row: MakeRow, arguments: dict[str, Any], on_error: str
) -> Iterator[dict[str, Any]]:
    for shard in shards:
        for item in shard:
            try:
                row = make_row(item, **arguments)
            except (OSError, ValueError, KeyError) as error:
                if on_error == "raise":
                    raise
                logger.warning("left out: %s", error)
                continue
            yield dict.fromkeys(COMMON_FEATURES) | row


def list_files(folder: Path) -> set[str]:
    """
    The names in the folder of a video.

    Raises:
        ValueError: one of them is a link that leads out of the folder of all videos.
    """
    with os.scandir(folder) as entries:
        linked = {entry.name: entry.is_symlink() for entry in entries}
    for name in (name for name, link in linked.items() if link):
        below(folder.parent, folder.name, name)
    return set(linked)


def frame_paths(
    folder: Path, names: Sequence[str], suffix: str = ".jpg", listed_by: str = "the meta file"
) -> list[str]:
    """Absolute paths of the named frames of a folder; a missing one is an error that names it, and who lists it."""
    present = list_files(require(folder, "the frames of the video"))
    missing = [name for name in names if name + suffix not in present]
    if missing:
        raise FileNotFoundError(f"{str(folder / (missing[0] + suffix))!r} is missing, a frame that {listed_by} lists")
    return [str((folder / (name + suffix)).absolute()) for name in names]


__all__ = [
    "below",
    "build_table",
    "choose_split",
    "frame_paths",
    "image_size",
    "list_files",
    "numeric_order",
    "read_csv",
    "read_json",
    "require",
]

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Outputs on a disk: checked before the work, written by one run at a time, seen when they are complete."""

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError

LOCK = ".lock"


def check_writable(output: str | Path) -> None:
    """
    Refuse an output that could not be written, before the long work starts.

    Raises:
        PermissionError: its folder, or the nearest one above that exists, is read-only.
    """
    folder = next(parent for parent in Path(output).absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(
            f"The output {output} cannot be written, as {str(folder)!r} is read-only for you: change its permissions, "
            "or choose another place."
        )


@contextmanager
def only_writer(folder: Path, *inner: str) -> Iterator[None]:
    """
    Make a folder, keep other runs out of it, and delete what killed ones were writing to it and its `inner` folders.

    The lock is the hidden file `.lock`, which stays; the system frees it when the process ends, however it ends.

    Raises:
        BlockingIOError: another run writes to the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise BlockingIOError(f"another run writes to {str(folder)!r}: wait until it has ended") from error
    with lock:
        for path in [path for name in ("", *inner) for path in (folder / name).glob(".*.part")]:
            if path.is_file():
                path.unlink(missing_ok=True)
        yield


@contextmanager
def beside(output: Path, place: Path | None = None) -> Iterator[Path]:
    """
    A hidden folder in which to make an output, and from which to move it; it goes, whatever ends the block.

    Once the block has succeeded, the folders that killed runs left for the same output go, too.

    Args:
        output: a file or folder.
        place: where to make the folder; None: beside the output.
    """
    place = place or output.parent
    with tempfile.TemporaryDirectory(dir=place, prefix=f".{output.name}-", suffix=".part") as folder:
        with FileLock(Path(folder) / LOCK):
            yield Path(folder)
    for left in place.glob(f".{glob.escape(output.name)}-????????.part"):
        _remove_abandoned(left)


def _remove_abandoned(folder: Path) -> None:
    """Remove a folder of `beside` unless its run lives, which locks it before it puts anything else into it."""
    if LOCK in (names := os.listdir(folder)) and len(names) > 1:
        lock = FileLock(folder / LOCK, timeout=0)
        try:
            lock.acquire()
        except (OSError, Timeout):  # it is in use, has gone by now, or belongs to somebody else
            return
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def naming(output: Path) -> Iterator[None]:
    """Name the output in errors of safetensors and torch, which say nothing of files.

    Raises:
        OSError: in the place of theirs.
    """
    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise OSError(f"'{output}' cannot be written ({reason}): make room, or choose another place.") from error


__all__ = ["beside", "check_writable", "naming", "only_writer"]

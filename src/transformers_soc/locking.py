# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""One writer at a time for a folder of outputs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def only_writer(folder: Path, *inner: str) -> Iterator[None]:
    """
    Make a folder, keep other runs out of it, and delete what killed ones were writing to it and its `inner` folders.

    The lock is the hidden file `.lock`, which stays; the system frees it when the process ends, however it ends.

    Raises:
        BlockingIOError: another run writes to the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise BlockingIOError(f"another run writes to {str(folder)!r}: wait until it has ended") from error
    with lock:
        for path in [path for name in ("", *inner) for path in (folder / name).glob(".*.part")]:
            if path.is_file():
                path.unlink(missing_ok=True)
        yield


__all__ = ["only_writer"]

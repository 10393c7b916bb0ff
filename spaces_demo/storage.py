# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The folder of the Space: uploads and answers under names that cannot be guessed, deleted when their time is over."""

import contextlib
import os
import secrets
import shutil
import tempfile
import threading
import time
from pathlib import Path

SWEEP_EVERY = 30.0  # seconds


class Storage:
    """Folders that only this process can read, and that vanish with it.

    Gradio serves every file of `served` to whoever knows its path, so each answer lies in a folder whose name has
    128 random bits. `examples` is shown to all visitors. `work` is never served.
    """

    def __init__(self, keep_seconds: float, max_bytes: int) -> None:
        self.keep_seconds = keep_seconds
        self.max_bytes = max_bytes
        self._root = tempfile.TemporaryDirectory(prefix="soc-space-", ignore_cleanup_errors=True)
        self.root = Path(self._root.name).resolve()
        self.served, self.examples, self.work = (self.root / name for name in ("served", "examples", "work"))
        for folder in (self.served, self.examples, self.work):
            folder.mkdir()
        self._removed = threading.Event()
        os.environ["GRADIO_TEMP_DIR"] = str(self.served)

    def new_work_folder(self) -> "tempfile.TemporaryDirectory[str]":
        """A folder for the intermediate files of a job, deleted at its end."""
        return tempfile.TemporaryDirectory(dir=self.work)

    def publish(self, *files: Path) -> list[Path]:
        """Move the finished files of one answer to a new folder that is served; returns their new paths."""
        folder = self.served / secrets.token_hex(16)
        folder.mkdir()
        return [Path(shutil.move(file, folder / file.name)) for file in files]

    def remove(self) -> None:
        """Delete everything, also what a job that still runs writes in the meantime."""
        self._removed.set()
        for _ in range(100):
            shutil.rmtree(self.root, ignore_errors=True)
            if not self.root.exists():
                return
            time.sleep(0.01)

    def start_sweeping(self) -> None:
        """Sweep every half minute in a thread that ends with the process."""
        threading.Thread(target=self._sweep_forever, name="sweep", daemon=True).start()

    def _sweep_forever(self) -> None:
        while not self._removed.wait(min(SWEEP_EVERY, self.keep_seconds / 2)):
            with contextlib.suppress(OSError):  # a folder that goes while it is looked at; the next time will do
                self.sweep()

    def sweep(self) -> None:
        """Delete what is too old, then the oldest files while there are too many bytes, then empty folders."""
        files = []
        for path in self.served.rglob("*"):
            try:
                found = path.lstat()
            except FileNotFoundError:  # deleted or renamed by a request
                continue
            if not path.is_dir():
                files.append((found.st_mtime, found.st_size, path))
        stored = sum(size for _, size, _ in files)
        for written, size, path in sorted(files):
            if time.time() - written > self.keep_seconds or stored > self.max_bytes:
                path.unlink(missing_ok=True)
                stored -= size
        self._remove_empty_folders()

    def _remove_empty_folders(self) -> None:
        """Remove folders without files that are no longer being filled."""
        for folder in self.served.iterdir():
            try:
                if folder.is_dir() and time.time() - folder.stat().st_mtime > self.keep_seconds:
                    folder.rmdir()
            except OSError:  # not empty
                continue

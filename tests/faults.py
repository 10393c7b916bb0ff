# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Commands in processes of their own that meet a fault: a signal at a chosen change of a folder, a limit on the size
of files, no right to write where the permissions forbid it.

The processes are forked from one that has imported what the commands need, and that is no fork of the tests' own.
"""

import contextlib
import ctypes
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "transformers_soc.cli.convert",
        "transformers_soc.cli.data",
        "transformers_soc.cli.export_hub",
        "transformers_soc.cli.segment",
        "transformers_soc.cli.segment_collection",
        "transformers_soc.scripts.evaluate_referring_video_segmentation",
        "transformers_soc.scripts.finetune_referring_video_segmentation",
        "transformers.models.roberta.modeling_roberta",
        "transformers.models.roberta.tokenization_roberta",
    ]
)
# Audit events of changes of files and folders; `open` is one where the file is opened to write.
CHANGES = ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
SECONDS = 300


@dataclass(frozen=True)
class Fault:
    """What a command meets.

    Attributes:
        number: the signal that it gets,
        change: before this change of its folder, counted from 0,
        seconds: or so long after its start.
        file_bytes: no file grows larger than this.
        powerless: without the rights of root, which ignores permissions.
    """

    number: signal.Signals | None = None
    change: int | None = None
    seconds: float | None = None
    file_bytes: int | None = None
    powerless: bool = False


NO_FAULT = Fault()


class Command:
    """A started command; its folder is that in which changes are counted."""

    def __init__(self, arguments: Sequence[Any], folder: Path, fault: Fault = NO_FAULT) -> None:
        self._notes = Path(tempfile.mkdtemp())
        for name in ("out", "changes"):  # it may end before it opens them
            (self._notes / name).touch()
        values = [str(argument) for argument in arguments]
        self.process = CONTEXT.Process(target=_run, args=(values, str(folder), fault, str(self._notes)))
        self._start = time.monotonic()
        self.process.start()
        if fault.seconds is not None:
            time.sleep(fault.seconds)
            with contextlib.suppress(ProcessLookupError):  # it was done sooner
                os.kill(self._pid, fault.number)

    @property
    def _pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def wait_until_stopped(self) -> None:
        """Wait for the effect of SIGSTOP."""
        stat = Path(f"/proc/{self._pid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.01)

    def go_on(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def send_once_there_is(self, file: Path, number: signal.Signals) -> None:
        """Send a signal to it as soon as it has made a file or folder."""
        until = time.monotonic() + SECONDS
        while not file.exists():
            assert self.process.is_alive() and time.monotonic() < until, (self._notes / "out").read_text()
            time.sleep(0.01)
        os.kill(self._pid, number)

    def wait(self) -> "Outcome":
        self.process.join(SECONDS)
        outcome = Outcome(
            self.process.exitcode,
            (self._notes / "out").read_text(),
            (self._notes / "changes").read_text().splitlines(),
            time.monotonic() - self._start,
            self._has_left_processes(),
        )
        shutil.rmtree(self._notes)
        return outcome

    def _has_left_processes(self) -> bool:
        """Whether a process that it started, which prints to the same file, is there after a while."""
        for _ in range(200):
            if not any(prints_to(process, self._notes / "out") for process in Path("/proc").glob("[0-9]*")):
                return False
            time.sleep(0.1)
        return True


@dataclass(frozen=True)
class Outcome:
    """The exit code (below 0: the signal that ended it), what it printed, each change of its folder, with the path in
    it, how long it took, and whether processes that it started outlive it."""

    code: int | None
    out: str
    changes: list[str]
    seconds: float
    left_processes: bool

    @property
    def error(self) -> str:
        """The sentence in which it says why it failed."""
        parts = self.out.split("transformers-soc: ")  # a progress bar may stand before it
        assert len(parts) == 2 and "Traceback" not in self.out, self.out
        return parts[1].partition("\n")[0]


def prints_to(process: Path, file: Path) -> bool:
    """Whether the standard output of a process, named by its folder in /proc, is this file."""
    try:
        return (process / "fd" / "1").readlink() == file
    except OSError:  # it has ended, or belongs to somebody else
        return False


def run(arguments: Sequence[Any], folder: Path, fault: Fault = NO_FAULT) -> Outcome:
    """Run a command to its end."""
    return Command(arguments, folder, fault).wait()


def _run(arguments: list[str], folder: str, fault: Fault, notes: str) -> None:
    """In the new process: meet the fault, and run the command as its console script does."""
    flags = os.O_WRONLY | os.O_CREAT
    for descriptor in (1, 2):
        os.dup2(os.open(f"{notes}/out", flags | os.O_APPEND), descriptor)
    changes = os.open(f"{notes}/changes", flags)
    if fault.powerless:
        give_up_rights()
    if fault.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault.file_bytes, fault.file_bytes))
    number_of_changes = 0

    def note(event: str, arguments: tuple) -> None:
        nonlocal number_of_changes
        if event not in CHANGES or not str(arguments[0]).startswith(folder):
            return
        if event == "open" and not arguments[2] & WRITING:
            return
        number_of_changes += 1
        os.write(changes, f"{event} {str(arguments[0]).removeprefix(folder)}\n".encode())
        if number_of_changes - 1 == fault.change:
            os.kill(os.getpid(), fault.number)

    sys.addaudithook(note)
    import datasets

    import transformers_soc_cli

    datasets.config.HF_DATASETS_CACHE = f"{notes}/cache"
    sys.exit(transformers_soc_cli.main(arguments))


def give_up_rights() -> None:
    """Give up the capabilities with which root reads and writes whatever the permissions say."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, nothing):
        raise OSError(ctypes.get_errno(), "the rights of root cannot be given up")


def visible(folder: Path) -> dict[str, bytes]:
    """Path and content of all files that are not hidden, nor in hidden folders."""
    return {name: (folder / name).read_bytes() for name in _files(folder) if not _is_hidden(name)}


def hidden(folder: Path) -> list[str]:
    """Paths of the other files, but for locks."""
    return [name for name in _files(folder) if _is_hidden(name) and Path(name).name != ".lock"]


def _files(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))

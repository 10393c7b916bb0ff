# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""How `train` and `evaluate` run a script of `transformers_soc.scripts`, in a checkout the folder examples."""

import argparse
import contextlib
import importlib
import os
import shlex
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from transformers_soc_cli import Terminated, terminable

SCRIPTS = "transformers_soc.scripts"
# Set for launched processes: their standard input is a pipe that closes when the command ends, however it ends.
ENDS_WITH_STDIN = "SOC_ENDS_WITH_STDIN"
SECONDS_TO_TIDY_UP = 30


def run_script(name: str, arguments: list[str], options: argparse.Namespace) -> Path | None:
    """Run a script in this process or, where several are asked for, with a launcher.

    Args:
        name: of the script's module.
        arguments: those of the script.
        options: those of the command that say how to start it.

    Returns:
        The output folder; None where what would be run was only printed.

    Raises:
        ValueError: the script ended with a message, or a launched process failed.
        SystemExit: the script does not understand its arguments.
    """
    script = importlib.import_module(f"{SCRIPTS}.{name}")
    if options.all_options:
        arguments = ["--help"]
    with _command_line([f"transformers-soc {options.command}", *arguments]):
        output = script.parse_args(arguments).output_dir  # before any launch, so that wrong usage is said once
    command = launch_command(script, arguments, options.num_processes, options.accelerate_config)
    if options.dry_run:
        print(shlex.join(command))
        return None
    if options.num_processes in (None, 1) and options.accelerate_config is None:
        with _command_line(["transformers-soc", options.command, *arguments]):
            _run_here(script, arguments, quiet=options.json)
        return output
    code = _run_launched(command, quiet=options.json)
    if code:
        raise ValueError(f"{options.command} ended with exit code {code}; what went wrong is said above")
    return output


def script_arguments(given: Sequence[str], named: dict[str, object]) -> list[str]:
    """Arguments of a script: those `named` that have a value, and those `given` with the script's underscores."""
    arguments = [f"--{name}={value}" for name, value in named.items() if value is not None]
    return arguments + [_with_underscores(argument) for argument in given]


def _with_underscores(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument[2:].partition("=")
    prefix = "no-" if name.startswith("no-") else ""  # of a switch's negative form, which keeps its dash
    return "--" + prefix + name.removeprefix(prefix).replace("-", "_") + equals + value


def launch_command(
    script: ModuleType, arguments: Sequence[str], num_processes: int | None, accelerate_config: str | None
) -> list[str]:
    """The command that runs a script in processes of its own."""
    run = [str(script.__file__), *arguments]
    if accelerate_config is not None:
        config = str(find_shipped("accelerate_configs", accelerate_config))
        number = [] if num_processes is None else ["--num_processes", str(num_processes)]
        return [sys.executable, "-m", "accelerate.commands.launch", "--config_file", config, *number, *run]
    if num_processes in (None, 1):
        return [sys.executable, *run]
    # `accelerate launch --cpu` starts several processes only through MPI.
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={num_processes}", *run]


def find_shipped(folder: str, name: str) -> Path:
    """Return the path of a YAML file: `name` itself where it is one, else the shipped file of this name.

    Raises:
        ValueError: there is neither.
    """
    if Path(name).is_file():
        return Path(name)
    shipped = shipped_files(folder)
    if name not in shipped:
        raise ValueError(f"there is no file {name!r}, and the shipped ones are {', '.join(shipped)}")
    return shipped[name]


def shipped_files(folder: str) -> dict[str, Path]:
    """YAML files that come with the scripts, by name."""
    scripts = Path(importlib.import_module(SCRIPTS).__path__[0])
    return {path.stem: path for path in sorted((scripts / folder).glob("*.yaml"))}


@contextlib.contextmanager
def _command_line(arguments: list[str]) -> Iterator[None]:
    """Lend a script the command line that its messages and results name."""
    before, sys.argv = sys.argv, arguments
    try:
        yield
    finally:
        sys.argv = before


def _run_here(script: ModuleType, arguments: list[str], quiet: bool) -> None:
    """Run a script in this process; where `quiet`, what it prints goes to the standard error."""
    try:
        with contextlib.redirect_stdout(sys.stderr) if quiet else contextlib.nullcontext():
            script.main(arguments)
    except SystemExit as stop:
        if isinstance(stop.code, str):
            raise ValueError(stop.code) from stop
        raise


def _run_launched(command: list[str], quiet: bool) -> int:
    """Run a launcher and return its exit code; when this process ends, so do those of the launcher."""
    process = subprocess.Popen(  # noqa: S603, the command is of this module and the user's options
        command,
        stdin=subprocess.PIPE,
        stdout=sys.stderr if quiet else None,
        env=os.environ | {ENDS_WITH_STDIN: "1"},
        process_group=0,  # which a signal reaches as a whole
    )
    try:
        return process.wait()
    except BaseException:
        if sys.platform == "win32":
            process.terminate()
        else:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise


@contextlib.contextmanager
def ending_cleanly() -> Iterator[None]:
    """Around a script that is the main program: it tidies up when it is terminated, or when the command that launched
    it has ended, be it by a signal that reaches no other process."""
    if ENDS_WITH_STDIN in os.environ and stat.S_ISFIFO(os.fstat(0).st_mode):  # a launcher may put another in its place
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        with terminable():
            yield
    except Terminated as end:
        sys.exit(128 + end.args[0])


def _end_with_stdin() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SECONDS_TO_TIDY_UP)
    os._exit(1)

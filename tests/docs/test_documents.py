# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""All Python and shell blocks of the documents, run page by page where miniatures stand in for data and weights."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState, GradientState
from pages import PAGES, RUN, SHOWN, Block, read_blocks
from stand_ins import make_stand_ins, short_run

import transformers_soc_cli

LEFT_OUT = [(page.name, block) for page in PAGES for block in read_blocks(page) if block.reason is not None]


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stand_ins")
    make_stand_ins(folder)
    return folder


@pytest.fixture
def workplace(stand_ins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the stand-ins as working folder, and the programs of this environment first on the path."""
    folder = tmp_path / "work"
    shutil.copytree(stand_ins, folder, symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder


def run_python(page: Path, block: Block, namespace: dict[str, object]) -> None:
    """Run a block in this process, with the lines of the page in the traceback."""
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec", dont_inherit=True)
    exec(code, namespace)  # noqa: S102 - the documents are ours


def run_shell(page: Path, block: Block) -> None:
    """Run a block: commands of the package in this process, which has imported it; anything else with a shell."""
    lines = [line for line in block.text.replace("\\\n", " ").splitlines() if line.strip() and line[0] != "#"]
    if all(line.startswith("transformers-soc ") and not set(line) & set("|<>&;$`") for line in lines):
        codes = [run_command(shlex.split(line, comments=True)[1:]) for line in lines]
        assert not any(codes), f"{page.name}, line {block.line}: exit codes {codes}"
        return
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", block.text], capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.fail(f"{page.name}, line {block.line}: exit code {done.returncode}\n{done.stdout}{done.stderr[-3000:]}")


def run_command(arguments: list[str]) -> int:
    """Run `transformers-soc` and return its exit code; a later command may choose another device or precision."""
    try:
        return transformers_soc_cli.main(short_run(arguments))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_runs(page: Path, workplace: Path):
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in read_blocks(page):
        if block.language == "python" and block.reason is None:
            run_python(page, block, namespace)
        elif block.language == "bash" and block.reason is None:
            run_shell(page, block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_name_their_language(page: Path):
    blocks = read_blocks(page)
    fences = sum(line.strip().startswith("```") for line in page.read_text(encoding="utf-8").splitlines())
    assert fences == 2 * len(blocks)
    for block in blocks:
        assert block.language in RUN + SHOWN, f"{page.name}, line {block.line}: {block.language!r}"
        assert block.reason is None or block.language in RUN


@pytest.mark.parametrize("page, block", LEFT_OUT, ids=[f"{name}:{block.line}" for name, block in LEFT_OUT])
def test_not_run(page: str, block: Block):
    """Nothing but the list, with the reasons, of what is shown and not run."""
    pytest.skip(f"{page}, line {block.line}: {block.reason}")

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Mutation score of the loss and the metrics: how many small faults, put into a module one at a time, its tests find.

    python tools/check_mutants.py                           # 40 places of each module
    python tools/check_mutants.py loss_soc --sample 1000    # all places of one module

cosmic-ray makes the faults. Places are drawn by chance, and at each place one of its faults; type annotations and
faults that are no Python are left out. No file is changed: every fault lives in a process of its own, a fork of one
that has imported everything but this package, and ends there with the module's tests. Ends with 1 where less than
`--least` percent of a module's faults are found.
"""

import argparse
import ast
import difflib
import gc
import importlib.machinery
import os
import random
import resource
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "transformers_soc"
TESTS = {  # of each module; the first ones find the most
    "loss_soc": ["test_loss_soc.py"],
    "metrics/frames": ["metrics/test_frames.py", "metrics/test_temporal.py"],
    "metrics/iou": ["metrics/test_iou.py"],
    "metrics/davis": ["metrics/test_davis.py"],
    "metrics/temporal": ["metrics/test_temporal.py"],
    "metrics/segmentation": ["metrics/test_segmentation.py", "metrics/test_temporal.py"],
    "metrics/revos": ["metrics/test_revos_metrics.py"],
    "metrics/protocols": ["metrics/test_protocols.py"],
    "metrics/records": ["metrics/test_segmentation.py", "metrics/test_davis.py"],
    "metrics/predictions": ["metrics/test_predictions.py"],
}
CPU_SECONDS = 120
MEMORY_BYTES = 3 * 10**9  # beyond what the process has: a fault may ask for any amount

Position = tuple[int, int]  # line and column
Fault = tuple[str, int]  # name of an operator of cosmic-ray, and which of its occurrences


def annotations(source: str) -> Iterator[tuple[Position, Position]]:
    """Start and end of each type annotation, which is checked by mypy and not by tests."""
    for node in ast.walk(ast.parse(source)):
        for name in ("annotation", "returns"):
            if part := getattr(node, name, None):
                yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)


def find_places(source: str) -> dict[Position, list[Fault]]:
    """The faults that cosmic-ray can make of a source, by where they are."""
    outside, nodes = list(annotations(source)), list(ast_nodes(get_ast(source)))
    places: dict[Position, list[Fault]] = {}
    for name in operator_names():
        if get_operator(name).arguments():
            continue
        positions = [start for node in nodes for start, _ in get_operator(name)().mutation_positions(node)]
        for occurrence, place in enumerate(positions):
            if not any(start <= place < end for start, end in outside):
                places.setdefault(place, []).append((name, occurrence))
    return places


def make_mutant(source: str, faults: list[Fault]) -> str | None:
    """The source with the first of the faults that leaves it Python."""
    for name, occurrence in faults:
        mutant = mutate_code(source, get_operator(name)(), occurrence)
        try:
            compile(mutant, "mutant", "exec", dont_inherit=True)
        except SyntaxError:
            continue
        return mutant
    return None


def import_everything(path: Path, tests: list[str]) -> None:
    """Import what tests import, and forget the tests and what may have imported the module: that is for the forks."""
    run_pytest(["--collect-only", *tests])
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or "/")
        if file.is_relative_to(path.parent) or file.is_relative_to(ROOT / "tests"):
            del sys.modules[name]
    gc.freeze()


def run_pytest(arguments: list[str]) -> int:
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *arguments]))


def survives(path: Path, mutant: str, tests: list[str]) -> bool:
    """Whether all tests pass, in a process of their own, where a module has this source."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    memory = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    get_code = importlib.machinery.SourceFileLoader.get_code

    def get_other_code(loader, fullname):
        if Path(loader.path) == path:
            return compile(mutant, loader.path, "exec", dont_inherit=True)
        return get_code(loader, fullname)

    importlib.machinery.SourceFileLoader.get_code = get_other_code  # type: ignore[method-assign]
    code = 1
    try:
        code = run_pytest(tests)
    finally:
        os._exit(code)


def changed_lines(source: str, mutant: str) -> str:
    lines = difflib.unified_diff(source.splitlines(), mutant.splitlines(), n=0, lineterm="")
    return "\n".join(f"      {line}" for line in lines if line[:3] not in ("---", "+++"))


def check_module(name: str, sample: int, seed: int) -> tuple[int, int]:
    """Try faults at some places of a module and print those that live; returns how many were found, and tried."""
    path, tests, start = SOURCE / f"{name}.py", [f"tests/{test}" for test in TESTS[name]], time.time()
    source = path.read_text(encoding="utf-8")
    import_everything(path, tests)
    if not survives(path, source, tests):
        sys.exit(f"{name}: its tests fail without any fault")
    chance, places = random.Random(seed), find_places(source)
    lived = tried = 0
    for place in chance.sample(sorted(places), len(places)):
        mutant = make_mutant(source, chance.sample(places[place], len(places[place])))
        if mutant is None:
            continue
        tried += 1
        if survives(path, mutant, tests):
            lived += 1
            print(changed_lines(source, mutant), flush=True)
        if tried == sample:
            break
    show(f"{name}, {len(places)} places, {time.time() - start:.0f} s", tried - lived, tried)
    return tried - lived, tried


def show(name: str, found: int, tried: int) -> None:
    print(f"{found:4} of {tried:4} found, {100 * found / tried:5.1f} %: {name}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="module", help=f"default: all of {', '.join(TESTS)}")
    parser.add_argument("--sample", type=int, default=40, metavar="PLACES", help="of each module; default: 40")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--least", type=float, default=80, metavar="PERCENT", help="default: 80")
    options = parser.parse_args()
    if unknown := sorted(set(options.modules) - set(TESTS)):
        parser.error(f"no module {', '.join(unknown)}; there are {', '.join(TESTS)}")
    os.chdir(ROOT)
    warnings.simplefilter("ignore", SyntaxWarning)  # some faults are odd Python
    counts = [check_module(name, options.sample, options.seed) for name in options.modules or TESTS]
    found, tried = map(sum, zip(*counts, strict=True))
    show("all", found, tried)
    sys.exit(100 * found < options.least * tried)


if __name__ == "__main__":
    main()

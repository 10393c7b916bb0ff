# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
The modules that a folder with remote code carries, and what they need.

transformers copies from such a folder only what it finds by searching the text of a module for `from .name import`,
and imports every absolute import outside of `try` before it runs anything. The checks here are those rules.
"""

import ast
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from transformers.dynamic_module_utils import get_relative_imports

PACKAGE = Path(__file__).parents[1]
DISTRIBUTION = "transformers-soc"
# What users load by name; all other modules of the set follow from their imports.
ENTRY_POINTS = ("configuration_*.py", "modeling_*.py", "*processing_*.py", "pipeline_*.py", "session.py")
# transformers' video processors need it, although nothing imports it by name.
IMPLIED = ("torchvision",)


def travelling_modules(package: Path = PACKAGE) -> list[Path]:
    """
    The files of the travelling set, sorted by name: the entry points, and what they import with one dot.

    Args:
        package: folder of the modules.

    Raises:
        ValueError: an import that would fail in a folder with remote code.
    """
    found: set[Path] = set()
    pending = [path for pattern in ENTRY_POINTS for path in package.glob(pattern)]
    while pending:
        path = pending.pop()
        if path in found:
            continue
        found.add(path)
        siblings = _imports(path)[0]
        missing = sorted(name for name in siblings if not (package / f"{name}.py").is_file())
        if missing:
            raise ValueError(f"{path.name} imports .{missing[0]}, which is no module beside it.")
        pending += [package / f"{name}.py" for name in siblings]
    return sorted(found)


def _imports(path: Path) -> tuple[set[str], set[str]]:
    """Names of the modules that a file imports with one dot, and of the packages that it imports absolutely."""
    siblings, packages = set(), set()
    for node, guarded in _import_nodes(ast.parse(path.read_text(encoding="utf-8")), False):
        place = f"{path.name}, line {node.lineno}"
        if isinstance(node, ast.ImportFrom) and node.level:
            if node.level > 1 or not node.module or "." in node.module:
                raise ValueError(f"{place}: this import does not travel; write `from .module import name`.")
            siblings.add(node.module)
            continue
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names:
            if name == PACKAGE.name:
                raise ValueError(f"{place}: {name} is not there where the folder is loaded; write `from .module`.")
            if not guarded and importlib.util.find_spec(name) is None:
                raise ValueError(f"{place}: {name} is not installed; install it, or import it inside `try`.")
            packages.add(name)
    if siblings != set(get_relative_imports(path)):
        raise ValueError(
            f"{path.name}: transformers, which searches the text for `from .module import`, finds "
            f"{sorted(get_relative_imports(path))}, the code imports {sorted(siblings)}; reword the text."
        )
    return siblings, packages


def _import_nodes(node: ast.AST, guarded: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import statement below a node, and whether it stands inside `try`."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield node, guarded
    for child in ast.iter_child_nodes(node):
        yield from _import_nodes(child, guarded or isinstance(node, ast.Try))


def requirements(modules: Iterable[Path]) -> list[str]:
    """The lines of a requirements.txt for some modules, with the bounds of this package's own dependencies."""
    imported = {name for path in modules for name in _imports(path)[1]}
    owners = metadata.packages_distributions()
    needed = {owner.lower() for name in imported for owner in owners.get(name, [name])} | set(IMPLIED)
    declared = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or []]
    bounds = {entry.name.lower(): str(entry.specifier) for entry in declared if entry.marker is None}
    normal = {name.replace("_", "-") for name in needed}
    undeclared = sorted(normal - set(bounds))
    if undeclared:
        raise ValueError(f"The package does not declare {undeclared[0]} as a requirement, but its modules import it.")
    return sorted(name + bounds[name] for name in normal)


__all__ = ["requirements", "travelling_modules"]

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What users rely on by name stands in api.json: nothing of it goes or changes its name without being declared."""

import argparse
import contextlib
import dataclasses
import importlib
import inspect
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import transformers_soc
import transformers_soc_cli
from transformers_soc.cli.launch import SCRIPTS

FILE = Path(__file__).with_name("api.json")
REWRITE = "python tests/test_api.py"
# What the sub-commands of the same first word hand their other options to.
MODULES = {"train": "finetune_referring_video_segmentation", "evaluate": "evaluate_referring_video_segmentation"}


def parameters(function: Callable[..., Any]) -> list[str]:
    """The parameters of a signature as a stub writes them, without `self` and types."""
    found = []
    star = False
    for parameter in inspect.signature(function).parameters.values():
        star = star or parameter.kind is parameter.VAR_POSITIONAL
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            found.append("*")
            star = True
        optional = parameter.default is not parameter.empty
        found.append(str(parameter.replace(annotation=parameter.empty, default=parameter.empty)) + "=..." * optional)
    return [name for name in found if name not in ("self", "cls")]


def members(cls: type) -> dict[str, Any]:
    """Fields and methods of a class that are written in this package, whatever transformers adds to them."""
    fields: dict[str, None] = {}  # a set that keeps the order
    methods = {}
    for part in reversed(cls.__mro__):
        if not part.__module__.startswith("transformers_soc."):
            continue
        fields |= {name: None for name in inspect.get_annotations(part) if not name.startswith("_")}
        for name, value in vars(part).items():
            written = name == "__call__" or (name == "__init__" and not dataclasses.is_dataclass(part))
            if name.startswith("_") and not written:
                continue
            if isinstance(value, property):
                fields[name] = None
            elif inspect.isroutine(value) and name not in fields:
                methods[name] = parameters(getattr(cls, name))
    return {"fields": list(fields), "methods": dict(sorted(methods.items()))}


def commands(parser: argparse.ArgumentParser, name: str = "") -> dict[str, list[str]]:
    """Arguments of each sub-command: options by name, the others as usage shows them; `data check` is one."""
    arguments: dict[str, list[str]] = {name: []}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice, inner in action.choices.items():
                arguments |= commands(inner, f"{name} {choice}".strip())
        elif not isinstance(action, argparse._HelpAction):
            arguments[name] += sorted(action.option_strings) or [str(action.metavar)]
    return arguments


def script_options(module: str) -> list[str]:
    """The options of a script, from its help."""
    script = importlib.import_module(f"{SCRIPTS}.{module}")
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        script.parse_args(["--help"])
    return re.findall(r"^  (--\w+)", printed.getvalue(), re.MULTILINE)


def surface() -> dict[str, Any]:
    """All that is public: exports, commands, and the options of the scripts behind `train` and `evaluate`."""
    exports = {name: getattr(transformers_soc, name) for name in sorted(transformers_soc.__all__)}
    return {
        "exports": {
            name: members(value) if inspect.isclass(value) else parameters(value) for name, value in exports.items()
        },
        "commands": commands(transformers_soc_cli.build_parser(), "transformers-soc"),
        "scripts": {command: script_options(module) for command, module in MODULES.items()},
    }


def lines(content: Any, path: str = "") -> Iterator[str]:
    """Every name with the way to it."""
    yield path
    for key in content if isinstance(content, dict | list) else ():
        yield from lines(content[key] if isinstance(content, dict) else None, f"{path} {key}".strip())


def test_nothing_public_goes_undeclared():
    declared, found = json.loads(FILE.read_text(encoding="utf-8")), surface()
    gone = sorted(set(lines(declared)) - set(lines(found)))
    assert not gone, f"gone: {gone}. Bring it back, or say so in CHANGELOG.md and run `{REWRITE}`."
    new = sorted(set(lines(found)) - set(lines(declared)))
    assert found == declared, f"new, or in another order: {new}. Run `{REWRITE}`."


if __name__ == "__main__":
    FILE.write_text(json.dumps(surface(), indent=1) + "\n", encoding="utf-8")

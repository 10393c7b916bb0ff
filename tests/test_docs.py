# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The documents name what exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"


def modules():
    files = [path for path in SOURCE.rglob("*.py") if "egg-info" not in str(path)]
    return {path.relative_to(SOURCE).as_posix().removeprefix("transformers_soc/") for path in files}


def test_design_names_every_module_and_no_other():
    text = (ROOT / "docs" / "design.md").read_text()
    named = set(re.findall(r"[\w/]+\.py\b", text)) - {"setup.py"}
    tools = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tools").glob("*.py")}
    assert named - tools == modules()


def test_readme_names_targets_and_commands_that_exist():
    text = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= targets
    commands = {path.stem for path in (SOURCE / "transformers_soc" / "cli").glob("*.py")}
    assert set(re.findall(r"transformers-soc ([a-z]+)", text)) <= commands


def test_links_between_documents_lead_somewhere():
    for document in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"

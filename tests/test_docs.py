# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The documents name what exists."""

import configparser
import json
import re
from pathlib import Path

import transformers_soc

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
    commands = {path.stem.replace("_", "-") for path in (SOURCE / "transformers_soc" / "cli").glob("*.py")}
    assert set(re.findall(r"transformers-soc ([a-z][a-z-]*)", text)) <= commands


def test_links_between_documents_lead_somewhere():
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_readme_has_the_figures_of_the_bundled_model():
    kinds = ("static", "several", "motion", "order", "relation")
    results = json.loads((Path(transformers_soc.bundled_checkpoint()) / "results.json").read_text())["by kind"]
    expected = " | ".join(str(results[kind]["J&F"]) for kind in kinds)
    assert f"| J&F | {expected} |" in (ROOT / "README.md").read_text()


def test_the_workflow_runs_what_ci_runs():
    steps = re.findall(r"^make .+", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    workflow = (ROOT / ".github" / "workflows" / "checks.yml").read_text()
    assert re.findall(r"- run: (.+)", workflow) == steps and len(steps) > 5
    assert "shared" not in workflow


def test_one_version():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    version = setup["metadata"]["version"]
    assert version == transformers_soc.__version__
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_setup_lists_every_package():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    found = {".".join(path.parent.relative_to(SOURCE).parts) for path in SOURCE.rglob("__init__.py")}
    assert set(setup["options"]["packages"].split()) == found | {"transformers_soc.scripts"}

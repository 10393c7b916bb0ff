# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Models work on a device that is not the CPU and has no float64, with all that they make on their way."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torchgen
import yaml

# What torch can compute on which device, operator by operator.
TABLE = Path(torchgen.__path__[0]) / "packaged/ATen/native/native_functions.yaml"
INFERENCE = {"forward", "session", "clips", "pipeline"}


@pytest.fixture(scope="module", params=["soc", "soc++"])
def report(request) -> dict[str, Any]:
    worker = Path(__file__).with_name("far_worker.py")
    done = subprocess.run([sys.executable, worker, request.param], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_tensor_is_made_on_the_device_of_the_model(report):
    differences = report["differences"]
    assert differences.keys() == INFERENCE | {"training"}
    assert max(differences.values()) < 1e-3, differences


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, Any]]:
    """The entry of each operator in torch's own table."""
    entries = yaml.load(TABLE.read_text(), yaml.CSafeLoader)
    return {entry["func"].partition("(")[0]: entry for entry in entries}


def test_gpus_of_apple_have_every_operator_of_inference(report, table):
    def devices(name: str) -> set[str]:
        entry = table[name]
        own = {key for keys in entry.get("dispatch", {}) for key in keys.split(", ")}
        if "structured_delegate" in entry:
            return own | devices(entry["structured_delegate"])
        return own or {"CompositeImplicitAutograd"}

    anywhere = {"CompositeImplicitAutograd", "CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional"}
    used = {operator for work in INFERENCE for operator in report["operators"][work]}
    names = {operator.removeprefix("aten.").removesuffix(".default") for operator in used}
    assert len(names) > 50
    assert [name for name in names if not devices(name) & (anywhere | {"MPS"})] == []

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Models work on a device that is not the CPU and has no float64, with all that they make on their way."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("variant", ["soc", "soc++"])
def test_every_tensor_is_made_on_the_device_of_the_model(variant):
    worker = Path(__file__).with_name("far_worker.py")
    done = subprocess.run([sys.executable, worker, variant], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    differences = json.loads(done.stdout.splitlines()[-1])
    assert differences.keys() == {"forward", "training", "session", "clips", "pipeline"}
    assert max(differences.values()) < 1e-3, differences

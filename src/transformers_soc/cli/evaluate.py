# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""`transformers-soc evaluate`: the evaluation script, in one process or several."""

import argparse

from .. import bundled_checkpoint
from ..metrics.runs import RESULTS
from .launch import run_script, script_arguments

SCRIPT = "evaluate_referring_video_segmentation"


def run(options: argparse.Namespace) -> None:
    """Evaluate, and with `--json` print the results.

    Raises:
        ValueError: there is no such configuration, or the evaluation failed.
        SystemExit: the script does not understand its arguments.
    """
    stored = any(argument.partition("=")[0] == "--predictions" for argument in options.script_arguments)
    model = options.model or (None if stored else bundled_checkpoint())
    named = {"model": model, "output_dir": options.output}
    output = run_script(SCRIPT, script_arguments(options.script_arguments, named), options)
    if output is not None and options.json:
        print((output / RESULTS).read_text(encoding="utf-8"), end="")

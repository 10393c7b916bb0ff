# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""`transformers-soc train`: the fine-tuning script, in one process or several."""

import argparse
import json

from .launch import find_shipped, run_script, script_arguments

SCRIPT = "finetune_referring_video_segmentation"


def run(options: argparse.Namespace) -> None:
    """Train, and with `--json` print where the models are.

    Raises:
        ValueError: there is no such recipe or configuration, or the training failed.
        SystemExit: the script does not understand its arguments.
    """
    recipe = None if options.recipe is None else find_shipped("recipes", options.recipe)
    named = {"recipe": recipe, "model_name_or_path": options.model, "output_dir": options.output}
    output = run_script(SCRIPT, script_arguments(options.script_arguments, named), options)
    if output is not None and options.json:
        models = {name: str(output / name) if (output / name).is_dir() else None for name in ("best", "last")}
        print(json.dumps({**models, "log": str(output / "log.jsonl")}, indent=2))

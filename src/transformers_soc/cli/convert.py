# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""`transformers-soc convert`: an official checkpoint becomes a folder for AutoModel and pipeline."""

import argparse
import json

from ..conversion import convert_checkpoint
from ..outputs import check_writable


def run(options: argparse.Namespace) -> None:
    """Convert and print the report.

    Raises:
        OSError: the output folder is not empty, or a file cannot be read.
        ValueError: the checkpoint or the configuration is not an official one.
    """
    check_writable(options.output)
    report = convert_checkpoint(
        options.checkpoint,
        options.output,
        original_config=options.config,
        variant=options.variant,
        backbone=options.backbone,
        tokenizer=options.tokenizer,
        text_config=options.text_config,
    )
    if options.json:
        print(json.dumps({"output": options.output, "report": report}, indent=2))
    else:
        print("\n".join(report))

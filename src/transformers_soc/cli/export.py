# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""`transformers-soc export`: a model becomes graphs for ONNX Runtime or `torch.export`, checked against the model."""

import argparse
import json
import sys
from pathlib import Path

from transformers.utils import logging

from ..export.graphs import export_graphs


def run(options: argparse.Namespace) -> None:
    """
    Write the graphs and say how far they are from the model; progress goes to the standard error.

    Raises:
        OSError: the model cannot be read, or the output exists.
        ImportError: the packages of the extra `export` are missing.
        ValueError: no model of this package, frames that need no graph, or graphs that differ from the model.
    """
    logging.disable_progress_bar()
    manifest = export_graphs(
        options.model,
        options.output,
        format=options.format,
        frames=options.frames,
        check=options.check,
        report=lambda message: print(message, file=sys.stderr, flush=True),
    )
    files = {path.name: path.stat().st_size for path in sorted(Path(options.output).iterdir())}
    difference = manifest.get("largest_difference")
    if options.json:
        report = {"folder": options.output, "files": files, "largest_difference": difference}
        print(json.dumps(report, indent=2))
        return
    print(f"written: {options.output}, {len(files)} files, {sum(files.values()) / 1e6:.1f} MB")
    if difference is not None:
        parts = ", ".join(f"{name} {share:.1e}" for name, share in difference.items())
        print(f"largest difference from the model, as a share of the largest value: {parts}")

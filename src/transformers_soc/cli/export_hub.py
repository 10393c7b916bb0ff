# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""`transformers-soc export-hub`: a model becomes a folder that carries its own code, and a repository of the Hub."""

import argparse
import json
from pathlib import Path

from ..export.hub import check_repository, export_hub, push_folder
from ..outputs import check_writable


def run(options: argparse.Namespace) -> None:
    """
    Write the folder, upload it where a repository is given, and say what was done.

    Raises:
        OSError: the model cannot be read, the output exists, or the Hub cannot be reached.
        ValueError: no model of this package, or no id of a repository.
    """
    if options.push is not None:
        check_repository(options.push)
    check_writable(options.output)
    files = export_hub(options.model, options.output, overwrite=options.overwrite)
    size = sum((Path(options.output) / name).stat().st_size for name in files)
    commit = None if options.push is None else push_folder(options.output, options.push, options.private)
    if options.json:
        print(json.dumps({"folder": str(options.output), "files": files, "bytes": size, "commit": commit}, indent=2))
        return
    print(f"written: {options.output}, {len(files)} files, {size / 1e6:.1f} MB")
    if commit is not None:
        print(f"uploaded: {commit}")

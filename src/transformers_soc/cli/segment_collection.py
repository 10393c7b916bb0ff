# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""`transformers-soc segment-collection`: many videos with their sentences in, Parquet shards out."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from transformers.utils import logging

from ..collection import CollectionSettings, segment_collection
from ..collection.segment import ANSWER_SETTINGS
from .segment import usable_device


def run(options: argparse.Namespace) -> None:
    """Answer a collection, or go on with it.

    Raises:
        OSError, ValueError, ImportError: as `segment_collection`.
    """
    logging.disable_progress_bar()  # of the weights; the videos have a bar of their own
    if not options.num_workers:  # workers may run where there are other devices
        usable_device(options.device)
    names = ("model", "dtype", "device", *ANSWER_SETTINGS)
    settings = CollectionSettings(
        **{name: getattr(options, name) for name in names}, num_threads=options.threads_per_worker
    )
    summary = segment_collection(
        options.source,
        options.output,
        settings,
        num_workers=options.num_workers,
        address=options.address,
        gpus_per_worker=options.gpus_per_worker,
        retry_failed=options.retry_failed,
        progress=not options.no_progress,
    )
    manifest = Path(options.output) / "manifest.jsonl"
    if options.json:
        print(json.dumps({**asdict(summary), "manifest": str(manifest)}, indent=2))
        return
    print(f"{summary.num_done} videos done, {summary.num_failed} failed, {summary.num_new} of them in this run")
    print(f"written: {manifest}")

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Writes a folder for each released checkpoint: configuration, processor and card.

    python hub_configs/generate.py            # write what has changed
    python hub_configs/generate.py --check    # write nothing; exit code 1 where something would change

`data/` holds what the cards say: checkpoints.json (what was released), reported_results.json (results of others, each
with its source), speed/ (files of `benchmarks/speed.py --json`), citations.bib, and the files of soc-plus-micro, which
micro_card.py describes.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from card_text import FOLDER, hub_results
from micro_card import NAME as MICRO
from micro_card import micro_card
from official_card import Checkpoint, official_card

from transformers_soc import bundled_checkpoint
from transformers_soc.video_io import replacing

DATA = FOLDER / "data"
CARD = "README.md"
# Of the bundled checkpoint: all but the weights.
MICRO_FILES = (
    "config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "results.json",
    "curves.png",
)


def read_data(name: str) -> Any:
    return json.loads((DATA / name).read_text(encoding="utf-8"))


def read_speed() -> list[Any]:
    """What was measured, one entry for each file."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((DATA / "speed").glob("*.json"))]


def read_checkpoints() -> list[Checkpoint]:
    """The checkpoints of the authors."""
    shared = read_data("checkpoints.json")
    return [Checkpoint(entry, shared) for entry in shared["checkpoints"]]


def official_files() -> Iterator[tuple[Path, bytes]]:
    """Path and content of each file of the authors' checkpoints."""
    reported, speed = read_data("reported_results.json"), read_speed()
    benchmarks = read_data("checkpoints.json")["hub_benchmarks"]
    for checkpoint in read_checkpoints():
        folder = FOLDER / checkpoint.name
        records = [record for record in reported if record["model"] == checkpoint.name]
        for name, text in (checkpoint.files() | {CARD: official_card(checkpoint, records, speed)}).items():
            yield folder / name, text.encode()
        for name, entries in hub_results(records, benchmarks).items():
            yield folder / ".eval_results" / name, yaml.safe_dump(entries, sort_keys=False).encode()


def micro_files() -> Iterator[tuple[Path, bytes]]:
    """Path and content of each file of soc-plus-micro, and its card once more, for the package."""
    bundled = Path(bundled_checkpoint(MICRO))
    for name in MICRO_FILES:
        yield FOLDER / MICRO / name, (bundled / name).read_bytes()
    card = micro_card(bundled, read_speed()).encode()
    yield FOLDER / MICRO / CARD, card
    yield bundled / CARD, card


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where something would change")
    options = parser.parse_args(arguments)
    try:
        wanted = dict([*official_files(), *micro_files()])
    except ValueError as error:
        print(f"generate.py: {error}", file=sys.stderr)
        return 1
    changed = [path for path, content in wanted.items() if not path.is_file() or path.read_bytes() != content]
    generated = [path for folder in FOLDER.glob("soc-*") for path in folder.rglob("*") if path.is_file()]
    stale = [path for path in generated if path not in wanted]
    for path in changed:
        print(f"{'differs' if options.check else 'written'}: {path.relative_to(FOLDER.parent)}")
    for path in stale:
        print(f"not generated, remove it: {path.relative_to(FOLDER.parent)}")
    if options.check:
        return int(bool(changed or stale))
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(wanted[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())

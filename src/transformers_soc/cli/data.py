# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""`transformers-soc data`: check the files of a benchmark, and write them as Parquet shards."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from ..data.benchmarks import load_benchmark
from ..data.check import BenchmarkReport, Count, MissingFile, SplitReport, check_benchmark, official_name
from ..data.official import OFFICIAL
from ..data.shards import CARD, card_text, check_license, push_shards, save_shards
from ..outputs import only_writer
from ..video_io import replacing

INCOMPLETE = 1


def run(options: argparse.Namespace) -> int:
    """Do what `options.action` says and return the exit code."""
    return _check(options) if options.action == "check" else _push(options)


def _check(options: argparse.Namespace) -> int:
    """Print what is there of a benchmark; 0 if a split is complete, else 1."""
    report = _report(options, deep=options.deep)
    print(json.dumps(report.to_dict(), indent=2) if options.json else "\n".join(_describe(report)))
    return 0 if any(split.complete for split in report.splits) else INCOMPLETE


def _report(options: argparse.Namespace, deep: bool = False) -> BenchmarkReport:
    return check_benchmark(
        options.name, options.root, variant=options.variant, version=options.benchmark_version, deep=deep
    )


def _describe(report: BenchmarkReport) -> Iterable[str]:
    yield f"{report.title} in {report.root}"
    for split in report.splits:
        yield ""
        yield f"{split.split}: {'complete' if split.complete else 'not complete'}"
        yield from (f"  there    {name}" for name in split.present)
        yield from (_describe_missing(file) for file in split.missing)
        yield from (f"  problem  {problem}" for problem in split.problems)
        yield from map(_describe_count, split.counts)
    if report.counts:
        yield ""
        yield "all splits:"
        yield from map(_describe_count, report.counts)


def _describe_missing(file: MissingFile) -> str:
    needed = "missing" if file.required else "without"
    return f"  {needed}  {file.path}: {file.what}; from: {file.source}"


def _describe_count(count: Count) -> str:
    official = "" if count.official is None else f" of {count.official:,}"
    return f"  {count.item}: {count.found:,}{official}, {count.verdict}"


def _push(options: argparse.Namespace) -> int:
    """Write the complete splits as shards.

    Raises:
        ValueError: neither or both of repository and folder, no licence, a split that does not exist or is not
            complete, or none that is.
    """
    if (options.repository is None) == (options.output is None):
        raise ValueError("give either the id of a repository or --output")
    check_license(options.license)
    splits = _choose_splits(_report(options), options.split)
    official = OFFICIAL[official_name(options.name, options.variant, options.benchmark_version)]
    place = options.repository or str(options.output)
    card = card_text(official.title, official.citation, options.license, splits, place)
    if options.output is not None:
        _save(options, splits, card)
    else:
        _upload(options, splits, card)
    if options.json:
        print(json.dumps({"place": place, "splits": splits}, indent=2))
    return 0


def _reporter(options: argparse.Namespace) -> Callable[[str], None]:
    """Where the lines about written files go."""
    return partial(print, file=sys.stderr) if options.json else print


def _choose_splits(report: BenchmarkReport, wanted: list[str] | None) -> list[str]:
    """The splits that are complete, or those asked for, which must be."""
    splits = {split.split: split for split in report.splits}
    for name in wanted or ():
        if name not in splits:
            raise ValueError(f"there is no split {name!r}; the splits are {', '.join(splits)}")
        if not splits[name].complete:
            raise ValueError(f"the split {name!r} is not complete: {_first_fault(splits[name])}")
    complete = [name for name, split in splits.items() if split.complete]
    if not complete:
        first = report.splits[0]
        raise ValueError(f"no split is complete; of {first.split!r}: {_first_fault(first)}")
    for name in splits:
        if not wanted and name not in complete:
            print(f"left out: {name}, {_first_fault(splits[name])}", file=sys.stderr)
    return [name for name in complete if not wanted or name in wanted]


def _first_fault(split: SplitReport) -> str:
    missing = [f"{file.path!r} is missing" for file in split.missing if file.required]
    return [*missing, *split.problems, "it has no expressions"][0]


def _load(options: argparse.Namespace, split: str) -> Any:
    """The table of a split."""
    chosen: dict[str, dict[str, Any]] = {
        "mevis": {"version": options.benchmark_version},
        "refcoco": {"variant": options.variant},
        "jhmdb_sentences": {"samples": options.samples},
    }
    return load_benchmark(options.name, options.root, split, **chosen.get(options.name, {}))


def _save(options: argparse.Namespace, splits: list[str], card: str) -> None:
    folder = Path(options.output)
    with only_writer(folder, "data"):
        for split in splits:
            save_shards(_load(options, split), split, folder, report=_reporter(options))
        if not (folder / CARD).exists():
            with replacing(folder / CARD) as temporary:
                temporary.write_text(card, encoding="utf-8")


def _upload(options: argparse.Namespace, splits: list[str], card: str) -> None:
    from huggingface_hub import HfApi

    api = HfApi()
    api.create_repo(options.repository, repo_type="dataset", private=options.private or None, exist_ok=True)
    for split in splits:
        push_shards(api, _load(options, split), split, options.repository, report=_reporter(options))
    if CARD not in api.list_repo_files(options.repository, repo_type="dataset"):
        api.upload_file(
            path_or_fileobj=card.encode(), path_in_repo=CARD, repo_id=options.repository, repo_type="dataset"
        )

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Records of what is scored, one for each sample, which several processes can gather and one can average."""

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Record(Protocol):
    """What every record has: the name of its sample."""

    @property
    def sample_id(self) -> str: ...


AnyRecord = TypeVar("AnyRecord", bound=Record)


def unique_records(records: Iterable[AnyRecord]) -> list[AnyRecord]:
    """The first record of each sample, sorted by sample id, so that sums do not depend on who scored what."""
    unique: dict[str, AnyRecord] = {}
    for record in records:
        unique.setdefault(record.sample_id, record)
    return [unique[name] for name in sorted(unique)]


__all__ = ["unique_records"]

# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The documents, cut into blocks of code."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = ("python", "bash")
SHOWN = ("text", "json", "yaml", "bibtex")
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n+)?^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """
    Attributes:
        language: the word after the fence.
        text: the code.
        line: of the page, where the code begins.
        reason: why it is not run; None: it is.
    """

    language: str
    text: str
    line: int
    reason: str | None


def read_blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    content = page.read_text(encoding="utf-8")
    return [
        Block(found["language"], found["text"], content.count("\n", 0, found.start("text")) + 1, found["reason"])
        for found in FENCE.finditer(content)
    ]

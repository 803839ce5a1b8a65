"""The blocks of code in README.md, and printed lines without what changes from run to run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


@dataclass(frozen=True)
class Block:
    """What stands between two fences: its language, its text, and the line where it begins."""

    language: str
    text: str
    line: int


def blocks(language: str) -> list[Block]:
    """Give the blocks of a language, in order."""
    text = README.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)
    return [
        Block(match[1], match[2], text[: match.start(2)].count("\n") + 1)
        for match in found
        if match[1] == language
    ]


def without_figures(line: str) -> str:
    """Leave out what is another one each time: times, sizes, process ids, folders, digests."""
    line = re.sub(r"'[^']*/", "'", line)
    line = re.sub(r"sha256 [0-9a-f]+…", "sha256 #…", line)
    line = re.sub(r"\d[\d.:,]*\s?[kMG]?B\b", "#B", line)
    return re.sub(r"\d[\d.:]*", "#", line)

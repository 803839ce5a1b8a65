"""The blocks of code and the tables in README.md."""

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


def text() -> str:
    """Give the whole page."""
    return README.read_text(encoding="utf-8")


def blocks(*languages: str) -> list[Block]:
    """Give the blocks of some languages, in order."""
    page = text()
    found = re.finditer(r"^```(\w+)\n(.*?)^```$", page, re.M | re.S)
    return [
        Block(match[1], match[2], page[: match.start(2)].count("\n") + 1)
        for match in found
        if match[1] in languages
    ]


def table(head: str) -> list[dict[str, str]]:
    """Give the rows of the table whose first column is called so, by the names of its columns."""
    page = text()
    lines = page[page.index(f"\n| {head} |") + 1 :].split("\n\n")[0].splitlines()
    names, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(names, row, strict=True)) for row in rows]


def code(cell: str) -> list[str]:
    """Give what stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)

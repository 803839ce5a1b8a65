"""Printed lines without what changes from run to run."""

from __future__ import annotations

import re


def without_figures(line: str) -> str:
    """Leave out what is another one each time: times, sizes, process ids, folders, digests."""
    line = re.sub(r"'[^']*/", "'", line)
    line = re.sub(r"sha256 [0-9a-f]+…", "sha256 #…", line)
    line = re.sub(r"\d[\d.:,]*\s?[kMG]?B\b", "#B", line)
    return re.sub(r"\d[\d.:]*", "#", line)

"""TIFF files as the specification has them: what lies where in the file, read byte by byte."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WIDTH, OFFSETS, COUNTS = 256, 324, 325
"""Tags: ImageWidth, TileOffsets, TileByteCounts."""

FORMATS = {1: "B", 2: "B", 3: "H", 4: "I", 5: "Q", 11: "f", 12: "d", 13: "I", 16: "Q", 18: "Q"}
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 11: 4, 12: 8, 13: 4, 16: 8, 18: 8}


@dataclass(frozen=True)
class Directory:
    """An image file directory: the image itself, or an overview.

    Attributes
    ----------
    at : int
        Where it lies.
    width : int
        Pixels along x.
    first, last : int
        Where its first and last tile begin.
    """

    at: int
    width: int
    first: int
    last: int


def directories(path: Path) -> list[Directory]:
    """Read the directories of a classic little-endian TIFF, in their order."""
    data = path.read_bytes()
    assert data[:4] == b"II*\0", "no classic TIFF"
    (at,) = struct.unpack_from("<I", data, 4)
    found = []
    while at:
        (count,) = struct.unpack_from("<H", data, at)
        tags = dict(_tag(data, at + 2 + 12 * n) for n in range(count))
        tiles = [o for o, size in zip(tags[OFFSETS], tags[COUNTS], strict=True) if size]
        found.append(Directory(at, tags[WIDTH][0], min(tiles), max(tiles)))
        (at,) = struct.unpack_from("<I", data, at + 2 + 12 * count)
    return found


def _tag(data: bytes, at: int) -> tuple[int, Any]:
    tag, kind, count = struct.unpack_from("<HHI", data, at)
    where = at + 8
    if SIZES[kind] * count > 4:
        (where,) = struct.unpack_from("<I", data, where)
    return tag, struct.unpack_from(f"<{count}{FORMATS[kind]}", data, where)

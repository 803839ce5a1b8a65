"""What is read from sources to make the images of a band, counted on a sample of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qmosaic.engine.graph.chunks import DeferredChunks
from qmosaic.engine.graph.views import ByChunk, Chunk, Place, Sliced, View, Window

BLOCKS = 5
"""Blocks of the map that a sample takes along each dimension; all where there are fewer."""

IMAGES = 8
"""Parts of the time axis, one after the other, that a sample takes in each of its blocks."""


@dataclass(frozen=True)
class Sources:
    """What the source chunks behind a band are.

    Attributes
    ----------
    bytes : int
        Their size, decoded.
    chunks : int
        Their number.
    again : float
        How often each is read, on average, within one job.
    """

    bytes: int
    chunks: int
    again: float = 1.0

    def times(self, often: float) -> Sources:
        """Give it for sources that are read so often."""
        return Sources(round(self.bytes * often), round(self.chunks * often), self.again)


def count_sources(source: DeferredChunks, size: int, box: Mapping[Hashable, int]) -> Sources | None:
    """Count what all jobs read of a band from its sources, without reading anything.

    Parameters
    ----------
    source : DeferredChunks
        The band.
    size : int
        The bytes of the band itself.
    box : mapping
        The pixels that a job has along dimensions of the map; all, where there is no number.

    Returns
    -------
    Sources or None
        Right where all jobs are alike, and an estimate from a sample elsewhere. None where what
        the source tasks read is theirs to know.
    """
    lengths = [sum(sizes) for sizes in source.map_chunks]
    steps = [box.get(d, n) or 1 for d, n in zip(source.map_dims, lengths, strict=True)]
    counts = [-(-n // step) for n, step in zip(lengths, steps, strict=True)]
    blocks = list(itertools.product(*(spread_over(count, BLOCKS) for count in counts)))
    times = len(source.firsts) - 1
    first = max(0, (times - IMAGES) // 2)
    chosen = range(first, min(first + IMAGES, times))
    area, size_read, number_read, number_once = 0, 0.0, 0.0, 0.0
    for block in blocks:
        window = tuple(
            (n * step, min((n + 1) * step, length))
            for n, step, length in zip(block, steps, lengths, strict=True)
        )
        found: list[dict[Any, int]] = []
        made: set[Any] = set()
        for part in chosen:
            cells, made = _cells_behind(source.view, _target(source, window, part), made)
            found.append(cells)
        if not found or not found[0]:
            return Sources(0, 0) if not found else None
        area += math.prod(stop - start for start, stop in window)
        # what all images use is made for the first one
        others = found[1:] or found
        size_read += sum(found[0].values())
        size_read += sum(sum(c.values()) for c in others) / len(others) * (times - 1)
        number_read += len(found[0]) + sum(map(len, others)) / len(others) * (times - 1)
        new = len(set().union(*found)) - len(found[0])
        number_once += len(found[0]) + new / max(1, len(found) - 1) * (times - 1)
    if not area:
        return Sources(0, 0)
    whole, all_blocks = math.prod(lengths), math.prod(counts)
    return Sources(
        round(size_read * whole / area),
        round(number_read / len(blocks) * all_blocks),
        number_read / number_once if number_once else 1.0,
    )


def _target(source: DeferredChunks, window: Window, part: int) -> Window:
    along = int(source.firsts[part]), int(source.firsts[part + 1])
    return (*window[: source.axis], along, *window[source.axis :])


def spread_over(count: int, most: int) -> list[int]:
    """Choose at most `most` numbers from 0 to below `count`: the first, the last, and some
    between."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


def _cells_behind(view: View, place: Place, made: set[Any]) -> tuple[dict[Any, int], set[Any]]:
    """Name the chunks of sources that are read for a window, with their sizes; none where one of
    them is not known.

    Parameters
    ----------
    view, place
        What is made.
    made : set
        What is there from the image before.

    Returns
    -------
    (dict, set)
        The chunks, and what is there afterwards.
    """
    found: dict[Any, int] = {}
    seen: set[Any] = set()
    todo: list[tuple[View, Place]] = [(view, place)]
    while todo:
        at, where = todo.pop()
        if (id(at), where) in seen:
            continue
        seen.add((id(at), where))
        if (id(at), where) in made:
            continue
        if isinstance(at, Sliced):
            itemsize = np.dtype(at.dtype or at.source.dtype).itemsize
            for cell in at.cells(at.at(where)):
                found[id(at), cell] = itemsize * math.prod(b - a for a, b in cell)
        elif isinstance(at, ByChunk) and at.reads and isinstance(where, Chunk):
            return {}, seen
        todo += at.needs(where)
    return found, seen

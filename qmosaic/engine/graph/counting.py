"""What is read from sources to make the chunks of a band, counted on a sample of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask._task_spec import GraphNode, Task

from qmosaic.engine.graph.chunks import DeferredChunks, overlaps
from qmosaic.engine.graph.recipes import Key, Nodes, Recipes, value_in
from qmosaic.engine.graph.walking import is_read
from qmosaic.engine.graph.windows import Around, make_with_surroundings

BLOCKS = 5
"""Blocks of the map that a sample takes along each dimension; all where there are fewer."""

CHUNKS = 8
"""Chunks of time, one after the other, that a sample takes in each of its blocks."""


@dataclass(frozen=True)
class Sources:
    """What the source chunks behind a band are.

    Attributes
    ----------
    bytes : int
        Their size, decoded.
    chunks : int
        Their number.
    """

    bytes: int
    chunks: int


def count_sources(
    source: DeferredChunks, extra: Mapping[Key, GraphNode], size: int
) -> Sources | None:
    """Count what all blocks of a band read from its sources, without reading anything.

    Parameters
    ----------
    source : DeferredChunks
        The band.
    extra : mapping
        The tasks that stand behind single blocks.
    size : int
        The bytes of the band itself.

    Returns
    -------
    Sources or None
        Right where all blocks are alike, and an estimate from a sample elsewhere. None where what
        the source tasks read is theirs to know.
    """
    axes = [spread_over(len(sizes), BLOCKS) for sizes in source.map_chunks]
    blocks = list(itertools.product(*axes))
    times = len(source.time_chunks)
    first = max(0, (times - CHUNKS) // 2)
    chosen = range(first, min(first + CHUNKS, times))
    area = made = once = read = number_once = number = 0
    for block in blocks:
        keys = [source.key(block, chunk) for chunk in chosen]
        found = [_cuts_behind(source.recipes, [key], extra) for key in keys]
        if any(not cuts for cuts in found):
            return None
        everywhere = set.intersection(*map(set, found)) if times > 1 else set()
        alone = {k: n for cuts in found for k, n in cuts.items() if k not in everywhere}
        once += sum(found[0][k] for k in everywhere)
        number_once += len(everywhere)
        read += sum(alone.values())
        number += len(alone)
        pixels = math.prod(source.block_shape(block))
        area += pixels
        made += pixels * sum(source.time_chunks[c] for c in chosen) * source.dtype.itemsize
    if not made:
        return Sources(0, 0)
    whole = math.prod(sum(sizes) for sizes in source.map_chunks)
    all_blocks = math.prod(len(sizes) for sizes in source.map_chunks)
    return Sources(
        round(read / made * size + once * whole / area),
        round((number / len(chosen) * times + number_once) / len(blocks) * all_blocks),
    )


def spread_over(count: int, most: int) -> list[int]:
    """Choose at most `most` numbers from 0 to below `count`: the first, the last, and some
    between."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


def _cuts_behind(
    recipes: Recipes, keys: Sequence[Key], extra: Mapping[Key, GraphNode]
) -> dict[Any, int]:
    """Name the parts of arrays that are read for some chunks, with their sizes."""
    nodes: Nodes = {}
    recipes.expand(keys, nodes, extra)
    found: dict[Any, int] = {}
    for key, node in nodes.items():
        if not isinstance(node, Task):
            continue
        if node.func is make_with_surroundings:
            place, around = (value_in(a, nodes) for a in node.args[:2])
            inner = list(_around(tuple(place), around))
            found |= _cuts_behind(around.recipes, inner, {})
        elif is_read(node) and (size := _size_of_cut(node, nodes)) is not None:
            found[key] = size
    return found


def _around(place: tuple[int, ...], around: Around) -> Iterator[Key]:
    """Name the chunks that are read to make one with what lies around it."""
    numbers = []
    for axis, (sizes, number) in enumerate(zip(around.chunks, place, strict=True)):
        start, depth = sum(sizes[:number]), around.depth.get(axis, 0)
        low, high = max(0, start - depth), min(sum(sizes), start + sizes[number] + depth)
        numbers.append([n for n, _, _ in overlaps(sizes, low, high)])
    return ((around.name, *found) for found in itertools.product(*numbers))


def _size_of_cut(node: Task, nodes: Nodes) -> int | None:
    """Give the bytes that a task cuts out of an array; None where it does something else."""
    if len(node.args) < 2:
        return None
    array, index = (value_in(argument, nodes) for argument in node.args[:2])
    shape, dtype = getattr(array, "shape", None), getattr(array, "dtype", None)
    if shape is None or dtype is None or not isinstance(index, tuple):
        return None
    whole: tuple[Any, ...] = (*index, *[slice(None)] * (len(shape) - len(index)))
    size: int = np.dtype(dtype).itemsize
    for along, length in zip(whole, shape, strict=True):
        size *= len(range(*along.indices(length))) if isinstance(along, slice) else np.size(along)
    return size

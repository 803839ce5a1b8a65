"""Chunks with what lies around them, read by the task that needs them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask._task_spec import DataNode

from qmosaic.collection.masks import Array
from qmosaic.engine.chunk_checks import UnexpectedChunkError, as_promised
from qmosaic.engine.graph.chunks import overlaps
from qmosaic.engine.graph.lowering import ReadsItself
from qmosaic.engine.graph.recipes import Recipes
from qmosaic.engine.graph.viewing import in_turn, walk_over
from qmosaic.engine.graph.walking import READ_TOGETHER, in_flight
from qmosaic.engine.reading import current


@dataclass(frozen=True)
class Around(ReadsItself):
    """A function of chunks and of what lies around them, which its tasks read themselves.

    Attributes
    ----------
    recipes : Recipes
        What makes the chunks.
    name : str
        Their layer.
    chunks : tuple of tuple of int
        Their sizes.
    depth : dict of int to int
        How far a task looks beyond its chunk, in pixels, by axis.
    dtype : numpy.dtype
        That of the chunks.
    func : callable
        Gets a chunk with its surroundings, gives an array of the same shape.
    scratch : int
        The bytes a pixel that `func` needs.
    """

    recipes: Recipes
    name: str
    chunks: tuple[tuple[int, ...], ...]
    depth: Mapping[int, int]
    dtype: np.dtype[Any]
    func: Callable[[Array], Array]
    scratch: int

    def may_wait(self) -> bool:
        """Whether the chunks around one may take their time to come."""
        first = (self.name, *(0 for _ in self.chunks))
        return walk_over(self.recipes, {}, self.name, [first], frozenset()).may_wait()

    def make(self, place: tuple[int, ...]) -> Array:
        """Make the chunk at a place."""
        spans = [self._span(axis, number) for axis, number in enumerate(place)]
        own = tuple(slice(start - low, stop - low) for low, start, stop, _ in spans)
        window = self._read([(low, high) for low, _, _, high in spans])
        made: Array = self.func(window)
        if np.shape(made) != window.shape:
            raise UnexpectedChunkError(
                f"a function that looks at neighbouring pixels made an array of shape "
                f"{np.shape(made)} of a window of shape {window.shape}, so its pixels have no "
                "place. Let it return a value for each pixel of the window, its margins included."
            )
        return np.ascontiguousarray(made[own])

    def _span(self, axis: int, number: int) -> tuple[int, int, int, int]:
        """Say where a chunk lies along an axis, from margin to margin."""
        sizes = self.chunks[axis]
        start = sum(sizes[:number])
        stop = start + sizes[number]
        depth = self.depth.get(axis, 0)
        return max(0, start - depth), start, stop, min(sum(sizes), stop + depth)

    def _read(self, window: Sequence[tuple[int, int]]) -> Array:
        """Put a part of the array together from the chunks that it touches."""
        pieces = list(
            itertools.product(
                *(
                    overlaps(c, low, high)
                    for c, (low, high) in zip(self.chunks, window, strict=True)
                )
            )
        )
        keys = [(self.name, *(number for number, _, _ in piece)) for piece in pieces]
        varying = frozenset(range(len(self.chunks)) if len(keys) > 1 else ())
        walk = walk_over(self.recipes, {}, self.name, keys, varying)
        count, size = current().count, self.largest_chunk()
        chunks = in_turn(
            walk,
            lambda number: self._accept(walk.make(number, count), keys[number]),
            size,
            in_flight(size),
            count,
        )
        values = np.empty([high - low for low, high in window], self.dtype)
        for piece, chunk in zip(pieces, chunks, strict=True):
            inside, target = tuple(s for _, s, _ in piece), tuple(t for _, _, t in piece)
            values[target] = chunk[inside]
        return values

    def _accept(self, chunk: Any, key: Any) -> Array:
        shape = tuple(c[n] for c, n in zip(self.chunks, key[1:], strict=True))
        try:
            return as_promised(chunk, shape, self.dtype)
        except UnexpectedChunkError as error:
            raise UnexpectedChunkError(f"of the chunk {key} around it, {error}") from None

    def largest_chunk(self) -> int:
        """Give the bytes of the largest chunk, without surroundings."""
        pixels = int(np.prod([max(c, default=0) for c in self.chunks], dtype=np.int64))
        return max(1, pixels * self.dtype.itemsize)

    def held(self) -> int:
        """Give the most bytes that a task holds while it makes a chunk."""
        reach = [
            min(sum(sizes), max(sizes) + 2 * self.depth.get(axis, 0))
            for axis, sizes in enumerate(self.chunks)
        ]
        window = int(np.prod(reach, dtype=np.int64))
        size = self.largest_chunk()
        read = max(READ_TOGETHER // size, in_flight(size)) * size
        return read + window * (self.dtype.itemsize + self.scratch)


def make_with_surroundings(place: tuple[int, ...], around: Around) -> Array:
    return around.make(place)


def held_around(recipes: Recipes) -> int:
    """Give what a task holds of the surroundings of a chunk, where it looks at them."""
    found = [n.value for n in recipes.tasks.values() if isinstance(n, DataNode)]
    around = [value for value in found if isinstance(value, Around)]
    return max((a.held() + held_around(a.recipes) for a in around), default=0)

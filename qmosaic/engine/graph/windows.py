"""A function of pixels and of what lies around them, which the task that calls it reads itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qmosaic.collection.masks import Array
from qmosaic.engine.chunk_checks import UnexpectedChunkError
from qmosaic.engine.graph.asking import READ_TOGETHER, Asking, in_flight
from qmosaic.engine.graph.views import Around, Chunk, View, reached
from qmosaic.engine.reading import current


@dataclass(frozen=True)
class Surroundings:
    """A function of chunks and of what lies around them.

    Attributes
    ----------
    view : View
        What it is called for.
    depth : dict of int to int
        How far it looks beyond a pixel, in pixels, by axis.
    dtype : numpy.dtype
        That of what it gives.
    func : callable
        Gets a window with its surroundings, gives an array of the same shape.
    scratch : int
        The bytes a pixel that `func` needs.
    """

    view: View
    depth: Mapping[int, int]
    dtype: np.dtype[Any]
    func: Callable[[Array], Array]
    scratch: int

    def apply(self, window: Array, own: tuple[slice, ...]) -> Array:
        """Call the function for a window, and give the part of it that is wanted."""
        made: Array = self.func(window)
        if np.shape(made) != window.shape:
            raise UnexpectedChunkError(
                f"a function that looks at neighbouring pixels made an array of shape "
                f"{np.shape(made)} of a window of shape {window.shape}, so its pixels have no "
                "place. Let it return a value for each pixel of the window, its margins included."
            )
        return np.ascontiguousarray(made[own])

    def as_view(self) -> Around:
        """Give what it makes, as a view."""
        return Around("surroundings", self.view.chunks, self.dtype, self.view, self)

    def largest_chunk(self) -> int:
        """Give the bytes of the largest chunk, without surroundings."""
        sizes = [max(c, default=0) for c in self.view.chunks]
        pixels = int(np.prod(sizes, dtype=np.int64))
        return max(1, pixels * (self.view.dtype or np.dtype(float)).itemsize)

    def held(self) -> int:
        """Give the most bytes that a task holds while it makes a chunk."""
        reach = [
            min(sum(sizes), max(sizes) + 2 * self.depth.get(axis, 0))
            for axis, sizes in enumerate(self.view.chunks)
        ]
        window = int(np.prod(reach, dtype=np.int64))
        size = self.largest_chunk()
        read = max(READ_TOGETHER // size, in_flight(size)) * size
        itemsize = (self.view.dtype or np.dtype(float)).itemsize
        return read + window * (itemsize + self.scratch)


def make_with_surroundings(place: tuple[int, ...], around: Surroundings) -> Array:
    """Make a chunk, as a task of dask does."""
    asking = Asking([(around.as_view(), Chunk(place))])
    asking.read_ahead(around.largest_chunk(), in_flight(around.largest_chunk()))
    try:
        made: Array = asking.make(0, current().count)
    finally:
        asking.close()
    return made


def held_around(*roots: View) -> int:
    """Give what a task holds of the surroundings of pixels, where functions look at them."""
    found = [v.around.held() for v in reached(*roots) if isinstance(v, Around)]
    return max(found, default=0)

"""Colours of an image, block by block: only those that are looked at, each computed once."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.location import map_axes
from qmosaic.collection.masks import Array
from qmosaic.display.colours import Paint
from qmosaic.engine.scheduling import compute
from qmosaic.optional import needed

SIDE = 1024
"""Pixels along a side of the blocks of an image that is in memory already."""


class Kept:
    """Keeps what was computed, the latest of it, as far as it fits; computes nothing twice at the
    same time: who asks for what is under way waits for it.

    Parameters
    ----------
    nbytes : int
        The most bytes that are kept.
    """

    def __init__(self, nbytes: int) -> None:
        cachetools = needed("cachetools", "serve", "maps with tiles")
        keeping = cachetools.cached(
            cachetools.LRUCache(nbytes, getsizeof=lambda array: int(array.nbytes)),
            key=lambda owner, number, computing: (owner, number),
            condition=threading.Condition(),
        )
        working = threading.Semaphore(os.cpu_count() or 1)  # as many blocks at a time, no more

        def given(owner: object, number: Any, computing: Callable[[], Array]) -> Array:
            with working:
                return computing()

        self._given: Callable[..., Array] = keeping(given)

    def given(self, owner: object, number: Any, computing: Callable[[], Array]) -> Array:
        """Give what `computing` gives, which is called where it is not known yet."""
        return self._given(owner, number, computing)


class Blocks:
    """The colours of an image.

    Parameters
    ----------
    image : xarray.Dataset
        The bands that make the colours, along y and x.
    paint : callable
        See `Paint`.
    kept : Kept
        Where colours are kept.
    whole : bool, default: False
        Whether the image is one block, however it is chunked.
    """

    def __init__(self, image: xr.Dataset, paint: Paint, kept: Kept, *, whole: bool = False) -> None:
        self._image, self._paint, self._kept = image, paint, kept
        band = next(v for v in image.data_vars.values() if v.ndim >= 2)
        self._dims = map_axes(band, "add_layer()")
        chunks = band.chunksizes  # other bands are cut there, too
        self._borders = [
            _borders(image.sizes[dim], None if whole else chunks.get(dim, SIDE))
            for dim in self._dims
        ]

    def at(self, rows: Array, columns: Array) -> Array:
        """Give the colours of pixels, transparent where a row or column is negative.

        Parameters
        ----------
        rows, columns : numpy.ndarray
            Their numbers; they broadcast against each other.

        Returns
        -------
        numpy.ndarray
            Red, green, blue and opacity, uint8, along a last axis.
        """
        rows, columns = np.broadcast_arrays(rows, columns)
        colours = np.zeros((*rows.shape, 4), np.uint8)
        inside = (rows >= 0) & (columns >= 0)
        down, across = (
            np.searchsorted(borders, numbers, side="right") - 1
            for borders, numbers in zip(self._borders, (rows, columns), strict=True)
        )
        for i, j in itertools.product(np.unique(down[inside]), np.unique(across[inside])):
            here = inside & (down == i) & (across == j)
            if here.any():
                block = self._block(int(i), int(j))
                top, left = self._borders[0][i], self._borders[1][j]
                colours[here] = block[rows[here] - top, columns[here] - left]
        return colours

    def _block(self, *number: int) -> Array:
        return self._kept.given(self, number, lambda: self._computed(number))

    def _computed(self, number: tuple[int, ...]) -> Array:
        window = {
            dim: slice(int(borders[n]), int(borders[n + 1]))
            for dim, borders, n in zip(self._dims, self._borders, number, strict=True)
        }
        (held,) = compute(self._image.isel(window))
        return np.ascontiguousarray(self._paint(held).transpose(*self._dims, "band").values)


def _borders(size: int, sizes: Any) -> Array:
    """Give where blocks begin along an axis, and where the last one ends."""
    if sizes is None:
        return np.array([0, size])
    if isinstance(sizes, int):
        return np.append(np.arange(0, size, sizes), size)
    return np.cumsum([0, *sizes])

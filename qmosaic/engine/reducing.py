"""Bands reduced over the images that count at a pixel: their median, mean or a percentile.

Memory does not grow with the number of images. A mean needs sums. A median needs all values of a
pixel at once: where those of a window take more than `VALUES_BYTES`, it is worked on part by part,
and images that count in several parts are read for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from qmosaic.collection.masks import Array, valid_mask
from qmosaic.engine.deciders import Source, Window
from qmosaic.engine.members import Members, Part, parts_of, placed
from qmosaic.engine.takers import Spread

VALUES_BYTES = 32 * 2**20
"""The bytes of values that are held of a window at once."""


@dataclass(frozen=True)
class Reducer:
    """What becomes of the values of a pixel.

    Attributes
    ----------
    kind : {"median", "mean", "percentile"}
        What is made of them.
    percent : float, default: 50
        Which percentile, 0 to 100.
    between : bool, default: False
        Whether integers are interpolated as floats are, in float64.
    """

    kind: Literal["median", "mean", "percentile"]
    percent: float = 50.0
    between: bool = False

    def dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Give the dtype of what is made of values of a dtype."""
        if self.between:
            return np.dtype(np.float64)
        if self.kind != "mean":
            return dtype
        narrow = dtype.itemsize <= 2 or dtype == np.float32
        return np.dtype(np.float32 if narrow else np.float64)

    def holds(self, images: int, pixels: int, itemsize: int) -> int:
        """Say how many bytes a reduction holds at most beside what it reads and what it makes."""
        sums_or_places = 6 * 8 * pixels
        if self.kind == "mean":
            return sums_or_places
        return sums_or_places + min(VALUES_BYTES, images * pixels * itemsize)


def under(spread: Spread, window: Sequence[Any]) -> tuple[Any, ...]:
    """Say which window, or part, of a decision lies under that of a band."""
    own = [span for axis, span in enumerate(window) if axis not in spread.missing]
    found = dict(zip(spread.axes, own, strict=True))
    return tuple(found[axis] for axis in range(len(own)))


def above(spread: Spread, part: Part) -> Part:
    """Say which part of a band's window lies over a part of the decision's."""
    whole = (*part, *(slice(None) for _ in spread.axes[len(part) :]))
    own = [whole[axis] for axis in spread.axes]
    for axis in spread.missing:
        own.insert(axis, slice(None))
    return tuple(own)


def reduce_block(
    band: Source,
    window: Window,
    spread: Spread,
    members: Members,
    again: Callable[[Window], Members],
    reducer: Reducer,
    nodata: Any,
    fill: Any,
    most: int = VALUES_BYTES,
) -> Array:
    """Reduce a band over the images that count, reading no others.

    Parameters
    ----------
    band : Source
        The band.
    window : tuple of (int, int)
        Which pixels of its map.
    spread : Spread
        How the decision is laid over the band.
    members : Members
        Which images count.
    again : callable
        Finds them again, in a window of the decision, where `members` has no bits.
    reducer : Reducer
        What is made of the values.
    nodata : scalar or None
        The band's declared nodata; masked values are left out.
    fill : scalar
        What a pixel gets at which no value counts.
    most : int
        The bytes of values, and of bits that are found again, that are held at once.
    """
    whole = band.open(window)
    dtype = whole.dtype
    out: Array = np.full(whole.shape, fill, reducer.dtype(dtype))
    over = int(np.prod([whole.shape[axis] for axis in spread.missing], dtype=np.int64))
    for part in parts_of(_cost(members, reducer, dtype.itemsize * over, whole.images), most):
        place = above(spread, part)
        here = placed(window, place)
        found = members.cut(part) if members.bits is not None else again(under(spread, here))
        if found.positions:
            walk = band.open(here).walk(found.positions)
            shape = out[place].shape
            out[place] = reduce_images(walk, found, spread, shape, dtype, reducer, nodata, fill)
    return out


def _cost(members: Members, reducer: Reducer, size: int, images: int) -> Array:
    """Count the bytes that each pixel takes at once."""
    values = 0 if reducer.kind == "mean" else size
    bits = images if members.bits is None else 0
    return members.counts.astype(np.int64) * values + -(-bits // 8)


def reduce_images(
    images: Iterable[tuple[int, Array]],
    members: Members,
    spread: Spread,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    reducer: Reducer,
    nodata: Any,
    fill: Any,
) -> Array:
    """Reduce images over the pixels at which they count.

    Parameters
    ----------
    images : iterable of (int, array)
        Positions and images; those that are missing do not count.
    members : Members
        Which images count where.
    spread : Spread
        How the pixels of `members` are laid over an image.
    shape, dtype
        Those of an image.
    reducer, nodata, fill
        See `reduce_block`.
    """
    pairs = counting(images, members, spread, shape, nodata)
    if reducer.kind == "mean":
        return _mean(pairs, shape, reducer.dtype(dtype), fill)
    counts = np.broadcast_to(spread.apply(members.counts), shape)
    values = Values(counts, dtype)
    for image, mask in pairs:
        values.add(image, mask)
    return values.reduce(reducer, fill)


def counting(
    images: Iterable[tuple[int, Array]],
    members: Members,
    spread: Spread,
    shape: tuple[int, ...],
    nodata: Any,
) -> Iterator[tuple[Array, Array]]:
    """Give each image and the pixels at which its value counts."""
    for position, image in images:
        mask = np.broadcast_to(spread.apply(members.mask(position)), shape)
        valid = valid_mask(image, nodata)
        yield image, mask if valid is None else mask & valid


def _mean(
    pairs: Iterable[tuple[Array, Array]],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    fill: Any,
) -> Array:
    sums, number = np.zeros(shape, np.float64), np.zeros(shape, np.int32)
    with np.errstate(over="ignore", invalid="ignore"):
        for image, mask in pairs:
            np.add(sums, image, out=sums, where=mask)
            number += mask
        np.divide(sums, number, out=sums, where=number > 0)
        made: Array = np.where(number > 0, sums, fill).astype(dtype)
    return made


class Values:
    """All values of each pixel, however many a pixel has, in one piece of memory.

    Pixels with the same number of values lie side by side, so that a table is made of them for
    each number, and sorted row by row.

    Parameters
    ----------
    counts : array of int
        The most values that each pixel gets.
    dtype : numpy.dtype
        That of the values.
    """

    def __init__(self, counts: Array, dtype: np.dtype[Any]) -> None:
        self.shape = counts.shape
        flat = counts.reshape(-1).astype(np.intp)
        self._order = np.argsort(flat, kind="stable")
        sizes = flat[self._order]
        ends = np.cumsum(sizes)
        self._numbers, self._starts = np.unique(sizes, return_index=True)
        self._next = np.empty_like(flat)
        self._next[self._order] = ends - sizes
        self._first = self._next.copy()
        total = int(ends[-1]) if ends.size else 0
        # what is not filled sorts behind everything else
        self._values = np.full(total, _last(dtype), dtype)

    def add(self, image: Array, mask: Array) -> None:
        """Take in the values of an image under a mask."""
        pixels = np.flatnonzero(mask)
        place = self._next[pixels]
        self._values[place] = image.reshape(-1)[pixels]
        self._next[pixels] = place + 1

    def reduce(self, reducer: Reducer, fill: Any) -> Array:
        """Make one value for each pixel, `fill` where there are none."""
        out: Array = np.full(self._order.size, fill, reducer.dtype(self._values.dtype))
        stops = [*self._starts[1:], self._order.size]
        at = 0
        for number, start, stop in zip(self._numbers.tolist(), self._starts, stops, strict=True):
            if number == 0:
                continue
            pixels = self._order[start:stop]
            table = self._values[at : at + number * pixels.size].reshape(-1, number)
            at += table.size
            table.sort(axis=1)
            got = self._next[pixels] - self._first[pixels]
            rows = np.flatnonzero(got)
            out[pixels[rows]] = pick(table, rows, got[rows], reducer)
        return out.reshape(self.shape)


def _last(dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f":
        return np.nan
    return True if dtype.kind == "b" else np.iinfo(dtype).max


def pick(table: Array, rows: Array, got: Array, reducer: Reducer) -> Array:
    """Make one value of each of some rows of a table, whose first `got` values count, in ascending
    order.

    Integers give one of their values: the lower of two. Floats are interpolated, as numpy does, in
    float64.
    """
    at = reducer.percent / 100 * (got - 1)
    low = np.floor(at).astype(np.intp)
    if table.dtype.kind != "f" and not reducer.between:
        lower: Array = table[rows, low]
        return lower
    high = np.minimum(low + 1, got - 1)
    share = at - low
    below, above = (table[rows, n].astype(np.float64) for n in (low, high))
    with np.errstate(over="ignore", invalid="ignore"):
        if reducer.kind == "median":
            between = (below + above) / 2
        else:
            between = below * (1 - share) + above * share
        made = np.where((share == 0) | (below == above), below, between)
    narrowed: Array = made.astype(reducer.dtype(table.dtype))
    return narrowed

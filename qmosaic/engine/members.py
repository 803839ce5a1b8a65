"""Which images count at which pixels of a window of the map: sets of images, pixel by pixel.

A mosaic that takes one image a pixel needs a number for each pixel. A reduction over several needs
to know of each image where it counts: a bit for each image and pixel, packed, so that sixty images
of a block take eight bytes a pixel.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qmosaic.collection.masks import NO_IMAGE, Array
from qmosaic.engine.blocks import Demand, Reader
from qmosaic.engine.deciders import Window
from qmosaic.engine.kernels import Order, index_dtype

MEMBER_BYTES = 16 * 2**20
"""The bytes of packed bits that are kept of a window, from the task that finds them to those that
reduce bands. Where they would take more, they are found again, part of the window by part."""

KEPT_BYTES = 32 * 2**20
"""The bytes of images that a task keeps where it reads them a second time."""

Part = tuple[slice, ...]
"""A part of a window, counted from its corner; dimensions that are left out are whole."""


@dataclass
class Members:
    """Which images count at the pixels of a window.

    Attributes
    ----------
    counts : array of int
        How many images count at each pixel.
    positions : list of int
        The images that count at any pixel, in ascending order.
    bits : array of uint8 or None
        For each of `positions` the pixels at which it counts, packed; None where they would take
        too much memory.
    """

    counts: Array
    positions: list[int]
    bits: Array | None

    def mask(self, position: int) -> Array:
        """Tell at which pixels the image at a position counts."""
        return self._unpacked(bisect.bisect_left(self.positions, position))

    def _unpacked(self, row: int) -> Array:
        assert self.bits is not None
        flat = np.unpackbits(self.bits[row], count=self.counts.size)
        return flat.view(bool).reshape(self.counts.shape)

    def cut(self, part: Part) -> Members:
        """Give those of a part of the window, and only the images that count there; as far as that
        is known."""
        shape = self.counts[part].shape
        if shape == self.counts.shape:
            return self
        if self.bits is None:
            return Members(self.counts[part], self.positions, None)
        masks = ((p, self._unpacked(row)[part]) for row, p in enumerate(self.positions))
        return gather(shape, len(self.positions), masks, None)


def gather(
    shape: tuple[int, ...],
    images: int,
    masks: Iterable[tuple[int, Array]],
    most: int | None = MEMBER_BYTES,
) -> Members:
    """Collect where images count.

    Parameters
    ----------
    shape : tuple of int
        That of the window.
    images : int
        How many may count.
    masks : iterable of (int, array of bool)
        Positions of images, in ascending order, and the pixels at which they count.
    most : int or None
        The most bytes of bits that are kept; None for any.
    """
    counts = np.zeros(shape, index_dtype(images))
    positions: list[int] = []
    size = -(-counts.size // 8)
    rows = images if most is None else min(images, most // max(1, size))
    bits = np.empty((rows, size), np.uint8)
    for position, mask in masks:
        if mask.any():
            counts += mask
            if len(positions) < rows:
                bits[len(positions)] = np.packbits(mask)
            positions.append(position)
    return Members(counts, positions, bits[: len(positions)] if len(positions) <= rows else None)


def join(shape: tuple[int, ...], parts: Sequence[tuple[Part, Members]]) -> Members:
    """Join what is known of the parts of a window."""
    if len(parts) == 1 and parts[0][1].counts.shape == shape:
        return parts[0][1]
    positions = sorted({p for _, one in parts for p in one.positions})
    counts = np.zeros(shape, np.result_type(*(one.counts.dtype for _, one in parts)))
    for at, one in parts:
        counts[at] = one.counts
    if any(one.bits is None for _, one in parts):
        return Members(counts, positions, None)
    size = -(-counts.size // 8)
    bits = np.empty((len(positions), size), np.uint8)
    for row, position in enumerate(positions):
        mask = np.zeros(shape, bool)
        for at, one in parts:
            if position in one.positions:
                mask[at] = one.mask(position)
        bits[row] = np.packbits(mask)
    return Members(counts, positions, bits)


def all_of(shape: tuple[int, ...], positions: Sequence[int]) -> Members:
    """Have images count at every pixel."""
    counts = np.full(shape, len(positions), index_dtype(len(positions)))
    ones = np.packbits(np.ones(shape, bool))
    return Members(counts, list(positions), np.broadcast_to(ones, (len(positions), ones.size)))


def least_scores(best: Array, order: Order, distance: float) -> Array:
    """Give the worst score that counts beside the best one, exactly for every dtype.

    Integers never leave their dtype: how far the best is from the worst is an unsigned number, and
    no more than that is subtracted.

    Parameters
    ----------
    best : array
        The best scores.
    order : Order
        How images are ranked.
    distance : float
        How far behind the best a score may be, at least 0; `inf`: any score counts.
    """
    dtype = best.dtype
    least = _least_float if dtype.kind == "f" else _least_integer
    found = least(best, distance, order.descending)
    if order.min_quality is None:
        return found
    bound: Array = (np.minimum if order.descending else np.maximum)(found, order.min_quality)
    return bound


def _least_float(best: Array, distance: float, descending: bool) -> Array:
    dtype = best.dtype
    end = dtype.type(np.inf if descending else -np.inf)
    if math.isinf(distance):
        return np.full_like(best, end)
    with np.errstate(over="ignore", invalid="ignore"):
        step = dtype.type(distance)
        least = best + step if descending else best - step
    limit = np.finfo(dtype).max if descending else np.finfo(dtype).min
    finite = np.isfinite(best)
    # what is beyond all finite numbers is not as far as the infinite one
    least = np.where(finite & ~np.isfinite(least), limit, least)
    return np.where(finite, least, best).astype(dtype, copy=False)


def _least_integer(best: Array, distance: float, descending: bool) -> Array:
    dtype = best.dtype
    unsigned = np.dtype(f"u{dtype.itemsize}").newbyteorder(dtype.byteorder)
    worst: Any
    if dtype.kind == "b":
        worst = np.array(descending, dtype)
    else:
        ends = np.iinfo(dtype)
        worst = np.array(ends.max if descending else ends.min, dtype)
    bits, end = np.ascontiguousarray(best).view(unsigned), worst.view(unsigned)
    with np.errstate(over="ignore"):
        room = end - bits if descending else bits - end
        most = int(np.iinfo(unsigned).max)
        step = most if distance >= most else math.floor(distance)
        near = np.minimum(room, np.array(step, unsigned))
        least = bits + near if descending else bits - near
    found: Array = least.astype(unsigned, copy=False).view(dtype).reshape(best.shape)
    return found


def near_the_best(
    quality: Reader,
    order: Order,
    distance: float,
    best: Array,
    index: Array,
    demands: Sequence[Demand] = (),
    positions: Sequence[int] | None = None,
) -> Iterator[tuple[int, Array]]:
    """Tell of each image at which pixels its score is no more than `distance` behind the best.

    Parameters
    ----------
    quality : Reader
        The quality band over the window.
    order : Order
        How images are ranked.
    distance : float
        See `least_scores`.
    best, index : array
        The scores and the positions of the winners.
    demands : sequence of Demand
        Bands that have to be valid.
    positions : sequence of int, optional
        The images that take part, in ascending order; by default all.
    """
    least, some = least_scores(best, order, distance), index != NO_IMAGE
    reaches: np.ufunc = np.less_equal if order.descending else np.greater_equal
    for position, score in quality.walk(range(quality.images) if positions is None else positions):
        mask = reaches(score, least)
        mask &= some
        if order.nodata is not None:
            mask &= score != order.nodata
        for demand in demands:
            demand.restrict(mask, position)
        yield position, mask


class Kept:
    """A reader that keeps the images that it has read, for those who read them again."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._kept: dict[int, Array] = {}
        self.images = reader.images
        self.shape = reader.shape
        self.dtype = reader.dtype

    def walk(self, positions: Iterable[int], *, ahead: bool = True) -> Iterator[tuple[int, Array]]:
        """See `Reader.walk`."""
        wanted = list(positions)
        missing = [p for p in wanted if p not in self._kept]
        fresh = self._reader.walk(missing, ahead=ahead) if missing else iter(())
        # a reader may leave images out: what comes next may be for a later position
        coming: tuple[int, Array] | None = None
        for position in wanted:
            if position not in self._kept:
                coming = coming or next(fresh, None)
                if coming is None or coming[0] != position:
                    continue
                self._kept[position], coming = np.ascontiguousarray(coming[1]), None
            yield position, self._kept[position]

    def image(self, position: int) -> Array:
        """See `Reader.image`."""
        if position not in self._kept:
            self._kept[position] = np.ascontiguousarray(self._reader.image(position))
        return self._kept[position]


def kept_if_small(readers: Sequence[Reader], images: int, most: int = KEPT_BYTES) -> list[Reader]:
    """Have readers keep what they read, if so many images are no more than `most` bytes."""
    sizes = (images * r.dtype.itemsize * int(np.prod(r.shape, dtype=np.int64)) for r in readers)
    return [Kept(r) for r in readers] if sum(sizes) <= most else list(readers)


def parts_of(cost: Array, most: int) -> Iterator[Part]:
    """Cut a window into parts that cost no more than `most`, or have a single pixel.

    Parameters
    ----------
    cost : array of int
        What each pixel costs.
    most : int
        What a part may cost.
    """
    if cost.ndim == 0 or int(cost.sum()) <= most:
        yield ()
        return
    rows = cost.reshape(len(cost), -1).sum(axis=1)
    starts, total = [0], 0
    for number, row in enumerate(rows.tolist()):
        if number > starts[-1] and total + row > most:
            starts.append(number)
            total = 0
        total += row
    for start, stop in itertools.pairwise((*starts, len(cost))):
        rows_here = slice(start, stop)
        if stop - start > 1 or rows[start] <= most:
            yield (rows_here,)
        else:
            yield from ((rows_here, *rest) for rest in parts_of(cost[start], most))


def placed(window: Window, part: Part) -> Window:
    """Say which pixels of the map a part of a window has."""
    cut = [
        (low + (s.start or 0), high if s.stop is None else low + s.stop)
        for (low, high), s in zip(window, part, strict=False)
    ]
    return (*cut, *window[len(cut) :])

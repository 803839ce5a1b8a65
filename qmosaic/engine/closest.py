"""The image that lies closest to the median of all: decided for one window of the map.

The median is that of each band by itself, over the images in which all bands are valid. Memory
does not grow with the number of images: where they cannot be kept they are read again, and a window
whose medians would take too much at once is worked on part by part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qmosaic.collection.masks import NO_IMAGE, Array, has_nan, valid_mask
from qmosaic.engine.blocks import Outcome, Reader
from qmosaic.engine.deciders import Source, Window, transposed
from qmosaic.engine.kernels import Contest, Order, Ties, index_dtype
from qmosaic.engine.members import (
    KEPT_BYTES,
    MEMBER_BYTES,
    Kept,
    Members,
    all_of,
    gather,
    kept_if_small,
    parts_of,
    placed,
)
from qmosaic.engine.reducing import VALUES_BYTES, Reducer, Values, counting
from qmosaic.engine.takers import Spread

MIDDLE = Reducer("median", between=True)
"""The median that images are compared with: of integers, too, it may lie between two values."""


@dataclass(frozen=True)
class Compared:
    """A band in which images are compared.

    Attributes
    ----------
    source : Source
        The band.
    nodata : scalar or None
        Its declared nodata.
    axes : tuple of int
        How to transpose an image of the band into the dimension order of the map.
    measured : bool, default: True
        Whether it counts for the distance; if not, it only has to be valid.
    """

    source: Source
    nodata: Any
    axes: tuple[int, ...]
    measured: bool = True

    def open(self, window: Window) -> Reader:
        """Read it at a window of the map, in the dimension order of the map."""
        if self.axes == tuple(range(len(window))):
            return self.source.open(window, candidates=True)
        own = self.source.open(transposed(window, self.axes), candidates=True)
        return _Turned(own, self.axes)

    def can_be_masked(self, dtype: np.dtype[Any]) -> bool:
        """Whether a value may be missing."""
        return self.nodata is not None or has_nan(dtype)


class _Turned:
    """A reader whose images are transposed."""

    def __init__(self, reader: Reader, axes: tuple[int, ...]) -> None:
        self._reader, self._axes = reader, axes
        self.images, self.dtype = reader.images, reader.dtype
        self.shape = tuple(reader.shape[axis] for axis in axes)

    def walk(self, positions: Iterable[int], *, ahead: bool = True) -> Iterator[tuple[int, Array]]:
        """See `Reader.walk`."""
        for position, image in self._reader.walk(positions, ahead=ahead):
            yield position, image.transpose(self._axes)

    def image(self, position: int) -> Array:
        """See `Reader.image`."""
        return self._reader.image(position).transpose(self._axes)


@dataclass(frozen=True)
class Budgets:
    """The bytes that a task may hold: of images that are read again, of bits that say where images
    are candidates, of values of which a median is made."""

    kept: int = KEPT_BYTES
    bits: int = MEMBER_BYTES
    values: int = VALUES_BYTES


def medoid_block(
    bands: Sequence[Compared],
    ties: Ties,
    window: Window,
    positions: Sequence[int] | None = None,
    budgets: Budgets | None = None,
) -> Outcome:
    """Find the image that lies closest to the median of each band, pixel by pixel.

    Candidates are the images in which all bands are valid. The sum of squared differences decides,
    each band in its own numbers; the least wins. A difference that is no number, where a median is
    infinite, is as far as can be: a pixel with a candidate has a winner.

    Parameters
    ----------
    bands : sequence of Compared
        The bands.
    ties : {"first", "last"}
        Which of several images at the same distance wins.
    window : tuple of (int, int)
        Which pixels of the map.
    positions : sequence of int, optional
        The images that take part, in the order of the collection; by default all.
    budgets : Budgets, optional
        What may be held at once.

    Returns
    -------
    Outcome
        How far the winner is from the median, squared, in float64; its position; how many
        candidates there were.
    """
    budgets = budgets or Budgets()
    shape = tuple(stop - start for start, stop in window)
    images = bands[0].source.images
    taking_part = range(images) if positions is None else positions
    dtype = index_dtype(images)
    best, index = np.zeros(shape), np.full(shape, NO_IMAGE, dtype)
    count = np.zeros(shape, dtype)
    bits = np.full(shape, -(-len(taking_part) // 8))
    for part in parts_of(bits, budgets.bits):
        found = _medoid(bands, ties, placed(window, part), taking_part, budgets)
        best[part], index[part], count[part] = found.best, found.index, found.count
    return Outcome(best, index, count)


def _medoid(
    bands: Sequence[Compared],
    ties: Ties,
    window: Window,
    positions: Sequence[int],
    budgets: Budgets,
) -> Outcome:
    readers = [band.open(window) for band in bands]
    readers = kept_if_small(readers, len(positions), budgets.kept)
    members = _candidates(bands, readers, positions)
    measured = [pair for pair in zip(bands, readers, strict=True) if pair[0].measured]
    medians = [_median(band, r, members, window, budgets.values) for band, r in measured]
    order = Order(ties, descending=True)
    images = bands[0].source.images
    contest = Contest(members.counts.shape, np.dtype(np.float64), order, images)
    count = np.zeros(contest.index.shape, contest.index.dtype)
    challengers = members.positions if ties == "first" else members.positions[::-1]
    for position, values in together([reader for _, reader in measured], challengers):
        candidate = members.mask(position)
        count += candidate
        distance = _distance(values, medians)
        better = contest.better(distance)
        better &= candidate
        contest.award(better, distance, position)
    return Outcome(contest.best, contest.index, count)


def together(
    readers: Sequence[Reader], positions: Sequence[int]
) -> Iterator[tuple[int, list[Array]]]:
    """Read the images at `positions` of several bands; one that any reader leaves out is left
    out."""
    walks = [reader.walk(positions) for reader in readers]
    coming: list[tuple[int, Array] | None] = [None] * len(walks)
    for position in positions:
        images = []
        for number, walk in enumerate(walks):
            found = coming[number] or next(walk, None)
            here = found is not None and found[0] == position
            coming[number] = None if here else found
            if found is not None and here:
                images.append(found[1])
        if len(images) == len(walks):
            yield position, images


def _candidates(
    bands: Sequence[Compared], readers: Sequence[Reader], positions: Sequence[int]
) -> Members:
    """Tell where all bands are valid; reads only those that can be masked."""
    shape = readers[0].shape
    looked_at = [
        (band, reader)
        for band, reader in zip(bands, readers, strict=True)
        if band.can_be_masked(reader.dtype)
    ]
    if not looked_at:
        return all_of(shape, positions)
    return gather(shape, len(positions), _valid(looked_at, positions), None)


def _valid(
    looked_at: Sequence[tuple[Compared, Reader]], positions: Sequence[int]
) -> Iterator[tuple[int, Array]]:
    nodata = [band.nodata for band, _ in looked_at]
    readers = [reader for _, reader in looked_at]
    for position, images in together(readers, positions):
        valid = np.ones(readers[0].shape, bool)
        for image, declared in zip(images, nodata, strict=True):
            here = valid_mask(image, declared)
            if here is not None:
                valid &= here
        yield position, valid


def _median(band: Compared, reader: Reader, members: Members, window: Window, most: int) -> Array:
    """Give the median of a band over the candidates, in float64; NaN where there are none."""
    cost = members.counts.astype(np.int64) * reader.dtype.itemsize
    kept = isinstance(reader, Kept)
    out: Array = np.empty(reader.shape)
    for part in [()] if kept else parts_of(cost, most):
        here = members if kept else members.cut(part)
        source = reader if kept else band.open(placed(window, part))
        values = Values(here.counts, reader.dtype)
        as_is = Spread(tuple(range(here.counts.ndim)), ())
        walk = source.walk(here.positions)
        for image, mask in counting(walk, here, as_is, here.counts.shape, None):
            values.add(image, mask)
        out[part] = values.reduce(MIDDLE, np.nan)
    return out


def _distance(images: Sequence[Array], medians: Sequence[Array]) -> Array:
    """Sum the squared differences from the medians."""
    total = np.zeros(medians[0].shape)
    with np.errstate(over="ignore", invalid="ignore"):
        for image, median in zip(images, medians, strict=True):
            wide = image.astype(np.float64)
            # infinite ones that are equal are no way apart
            apart = np.where(wide == median, 0.0, wide - median)
            total += apart * apart
    total[np.isnan(total)] = np.inf
    return total


@dataclass(frozen=True)
class Closest:
    """The image closest to the median, as a `deciders.Decider`.

    Attributes
    ----------
    ties : {"first", "last"}
        Which of several images at the same distance wins.
    nodata : tuple
        That of each band.
    axes : tuple of tuple of int
        For each band after the first, how its images are transposed to those of the first.
    measured : int
        So many bands, the first ones, are compared; those after them only have to be valid.
    counted : bool
        Whether its outcomes count candidates; they always do.
    """

    ties: Ties
    nodata: tuple[Any, ...]
    axes: tuple[tuple[int, ...], ...]
    measured: int
    counted: bool = True
    ranks: None = None
    margin: tuple[int, ...] = ()

    reads_all = True

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the distances."""
        return np.dtype(np.float64)

    @property
    def at_once(self) -> int:
        """See `deciders.Decider.at_once`."""
        return len(self.nodata)

    def holds(self, images: int, pixels: int, itemsize: int) -> int:
        """See `deciders.Decider.holds`: images that are kept, bits, medians, what makes them."""
        kept = images * pixels * itemsize * self.at_once
        bits = min(images * pixels // 8, MEMBER_BYTES)
        medians = 8 * pixels * (self.measured + 4)
        return min(kept, KEPT_BYTES) + bits + medians + MIDDLE.holds(images, pixels, itemsize)

    def readings(self, images: int, pixels: int, itemsize: int) -> int:
        """See `deciders.Decider.readings`; and once more what the winners give."""
        return 2 if images * pixels * itemsize * self.at_once <= KEPT_BYTES else 4

    def decide(
        self,
        window: Window,
        sources: Sequence[Source],
        positions: Sequence[int] | None = None,
        start: Outcome | None = None,
    ) -> Outcome:
        """See `deciders.Decider.decide`."""
        axes = (tuple(range(len(window))), *self.axes)
        bands = [
            Compared(source, nodata, own, number < self.measured)
            for number, (source, nodata, own) in enumerate(
                zip(sources, self.nodata, axes, strict=True)
            )
        ]
        return medoid_block(bands, self.ties, window, positions)

"""What decides which images win a window of the map: over anything that can be read at windows.

The tasks of a lazy mosaic and an eager one call the same objects. They are small, can be pickled,
and hold no pixels: what they read is given to them as sources.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from qmosaic.collection.masks import Array
from qmosaic.engine.blocks import (
    ArrayReader,
    Demand,
    Finer,
    Outcome,
    Reader,
    decide_block,
    rank_block,
)
from qmosaic.engine.kernels import Order

Window = tuple[tuple[int, int], ...]
"""Along each dimension the first pixel, and the one behind the last."""


class Source(Protocol):
    """A band that can be read at any window of the map."""

    images: int
    dtype: np.dtype[Any]

    def open(self, window: Window, *, candidates: bool = False) -> Reader:
        """Give a reader of a window, in the dimension order of the band.

        With `candidates` it leaves out images that could not be read, and count as masked.
        """

    def cells(self, window: Window, fewest: int) -> list[Window]:
        """Cut a window where chunks end, into parts of so many pixels at least."""


class ArraySource:
    """A band in memory, as a source.

    Parameters
    ----------
    values : array
        Its images.
    axis : int
        The axis of time.
    """

    def __init__(self, values: Array, axis: int) -> None:
        self._values, self._axis = values, axis
        self.images, self.dtype = values.shape[axis], values.dtype

    def open(self, window: Window, *, candidates: bool = False) -> Reader:
        """See `Source.open`."""
        index = [slice(a, b) for a, b in window]
        index.insert(self._axis, slice(None))
        return ArrayReader(self._values[tuple(index)], self._axis)

    def cells(self, window: Window, fewest: int) -> list[Window]:
        """See `Source.cells`."""
        return [window]


class Decider(Protocol):
    """Decides a window of the map.

    Attributes
    ----------
    bands : int
        How many bands it reads; the first gives the map its dimensions.
    axes : tuple of tuple of int
        For each band after the first, how its images are transposed to those of the first.
    ranks : int or None
        How many images of each pixel it names; None for one, without an axis of ranks.
    counted : bool
        Whether its outcomes count candidates.
    margin : tuple of int
        Along each dimension of the map, how many pixels it looks beyond a window.
    reads_all : bool
        Whether it reads all of every band; if not, of those after the first what can decide.
    at_once : int
        How many bands it reads side by side.
    """

    @property
    def axes(self) -> tuple[tuple[int, ...], ...]:
        """See above."""

    @property
    def ranks(self) -> int | None:
        """See above."""

    @property
    def counted(self) -> bool:
        """See above."""

    @property
    def margin(self) -> tuple[int, ...]:
        """See above."""

    @property
    def reads_all(self) -> bool:
        """See above."""

    @property
    def at_once(self) -> int:
        """See above."""

    def holds(self, images: int, pixels: int, itemsize: int) -> int:
        """Say how many bytes it holds at most beside its outcome and the chunks that it reads,
        for so many images and pixels of a window, and bytes a pixel of a band."""

    def readings(self, images: int, pixels: int, itemsize: int) -> int:
        """Say how often it reads a chunk of a band at most."""

    def decide(
        self,
        window: Window,
        sources: Sequence[Source],
        positions: Sequence[int] | None,
        start: Outcome | None,
    ) -> Outcome:
        """Decide a window.

        Parameters
        ----------
        window : Window
            Which one, in the dimensions of the first band.
        sources : sequence of Source
            The bands.
        positions : sequence of int or None
            The images that take part, in the order of the collection; None for all.
        start : Outcome or None
            The outcome of another decision, where one is given.
        """


@dataclass(frozen=True)
class Best:
    """The image with the highest quality, see `blocks.decide_block` and `blocks.rank_block`.

    Its bands are the quality, those that decide among equals, and those that have to be valid.

    Attributes
    ----------
    order : Order
        How images are ranked.
    finer : tuple of Order
        The same for the bands that decide among equals.
    nodata : tuple
        That of each band that has to be valid.
    axes : tuple of tuple of int
        For each band after the quality, how its images are transposed to the quality's.
    ranks : int or None
        How many images are named for each pixel; None for one.
    counted : bool
        Whether candidates are counted.
    """

    order: Order
    finer: tuple[Order, ...] = ()
    nodata: tuple[Any, ...] = ()
    axes: tuple[tuple[int, ...], ...] = ()
    ranks: int | None = None
    counted: bool = False
    margin: tuple[int, ...] = ()

    reads_all = False
    at_once = 1

    def holds(self, images: int, pixels: int, itemsize: int) -> int:
        """See `Decider.holds`: further ranks, where an image stands among them, and counts."""
        further = 0 if self.ranks is None else (self.ranks - 1) * (itemsize + 2) + self.ranks
        return pixels * (further + (2 if self.counted else 0))

    def readings(self, images: int, pixels: int, itemsize: int) -> int:
        """See `Decider.readings`: images that tie are read again for each further band."""
        return 1 + len(self.finer)

    def decide(
        self,
        window: Window,
        sources: Sequence[Source],
        positions: Sequence[int] | None = None,
        start: Outcome | None = None,
    ) -> Outcome:
        """See `Decider.decide`."""
        quality, among, demands = self.opened(window, sources)
        options: Any = {"finer": among, "positions": positions, "counted": self.counted}
        if self.ranks is not None:
            return rank_block(quality, self.order, self.ranks, demands, **options)
        first = None if start is None else start.index
        return decide_block(quality, self.order, demands, first, **options)

    def opened(
        self, window: Window, sources: Sequence[Source]
    ) -> tuple[Reader, list[Finer], list[Demand]]:
        """Open its bands over a window: the quality, those that decide among equals, and those that
        have to be valid."""
        places = (window, *(transposed(window, axes) for axes in self.axes))
        quality, *others = (
            s.open(p, candidates=True) for s, p in zip(sources, places, strict=True)
        )
        pairs = list(zip(others, self.axes, strict=True))
        among = [
            Finer(reader, order, axes)
            for (reader, axes), order in zip(pairs, self.finer, strict=False)
        ]
        demands = [
            Demand(reader, nodata, axes)
            for (reader, axes), nodata in zip(pairs[len(among) :], self.nodata, strict=True)
        ]
        return quality, among, demands


def transposed(window: Window, axes: tuple[int, ...]) -> Window:
    """Say where a window lies in the dimension order of a band that `axes` transposes to the first
    band's."""
    place: list[Any] = [None] * len(window)
    for span, axis in zip(window, axes, strict=True):
        place[axis] = span
    return tuple(place)


@dataclass(frozen=True)
class Periods:
    """Which images are of which period.

    Attributes
    ----------
    dim : hashable
        The dimension along which the mosaics of periods lie; it comes first.
    members : tuple of tuple of int
        For each period the positions of its images, in the order of the collection.
    """

    dim: Hashable
    members: tuple[tuple[int, ...], ...]

    def span(self, periods: tuple[int, int]) -> tuple[int, int]:
        """Give the first image of some periods, and the one behind the last."""
        found = [n for places in self.members[slice(*periods)] for n in places]
        return (min(found), max(found) + 1) if found else (0, 0)


@dataclass(frozen=True)
class DecideTask:
    """Decides a window of the map, in each of some periods where there are such.

    Attributes
    ----------
    decider : Decider
        What decides.
    dims : tuple of hashable
        The dimensions of the decision: that of the periods, where there are such, and the map's.
    periods : Periods or None
        The periods; None where all images take part.
    started : bool
        Whether the outcome of another decision is given first.
    """

    decider: Any
    dims: tuple[Hashable, ...]
    periods: Periods | None = None
    started: bool = False

    @property
    def margin(self) -> tuple[int, ...]:
        """How far beyond a window it looks along each dimension of the map; () for nowhere."""
        margin: tuple[int, ...] = self.decider.margin
        return margin

    def __call__(self, block: tuple[int, ...], *inputs: Any) -> Outcome:
        """Decide a block, as a task of dask does."""
        sources = inputs[int(self.started) :]
        front = 0 if self.periods is None else 1
        window = tuple((n, n + 1) for n in block[:front]) + sources[0].window(block[front:])
        return self.over(window, sources, inputs[: int(self.started)])

    def over(
        self, window: Window, sources: Sequence[Source], values: Sequence[Outcome] = ()
    ) -> Outcome:
        """Decide a window.

        Parameters
        ----------
        window : Window
            Which one: the periods first, where there are such.
        sources : sequence of Source
            The bands.
        values : sequence of Outcome
            That of another decision, where there is one.
        """
        start = values[0] if self.started else None
        if self.periods is None:
            made: Outcome = self.decider.decide(window, sources, None, start)
            return made
        (first, last), *place = window
        found = []
        for number in range(first, max(last, first + 1)):
            before = None if start is None or last == first else _row(start, number - first)
            members = self.periods.members[number] if last > first else ()
            found.append(self.decider.decide(tuple(place), sources, members, before))
        together = _behind_each_other(found)
        return together if last > first else _none_of(together)


def _row(outcome: Outcome, number: int) -> Outcome:
    """Give the outcome of one period."""
    count = None if outcome.count is None else outcome.count[number]
    members = None if outcome.members is None else outcome.members[number : number + 1]
    return Outcome(outcome.best[number], outcome.index[number], count, members=members)


def _behind_each_other(found: Sequence[Outcome]) -> Outcome:
    """Put the outcomes of periods together."""

    def joined(arrays: list[Any]) -> Any:
        if arrays[0] is None:
            return None
        return arrays[0][np.newaxis] if len(arrays) == 1 else np.stack(arrays)

    best, index, count = (
        joined([getattr(one, name) for one in found]) for name in ("best", "index", "count")
    )
    known = found[0].members is not None
    members = [one for outcome in found for one in outcome.members] if known else None
    return Outcome(best, index, count, members=members)


def _none_of(outcome: Outcome) -> Outcome:
    """Give the outcome of no period."""
    count = None if outcome.count is None else outcome.count[:0]
    members: list[Any] | None = None if outcome.members is None else []
    return Outcome(outcome.best[:0], outcome.index[:0], count, members=members)

"""Mosaics of several images a pixel: all whose quality is close to the best, reduced to one.

As `deciders` and `takers`: small objects that the tasks of a lazy mosaic and an eager one call.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qmosaic.collection.masks import Array
from qmosaic.engine.blocks import Demand, Outcome, Reader, decide_block
from qmosaic.engine.deciders import Periods, Source, Window, transposed
from qmosaic.engine.kernels import Order
from qmosaic.engine.members import (
    KEPT_BYTES,
    MEMBER_BYTES,
    Members,
    gather,
    kept_if_small,
    near_the_best,
)
from qmosaic.engine.reducing import Reducer, reduce_block, under
from qmosaic.engine.takers import FEWEST_PIXELS, Spread


@dataclass(frozen=True)
class Near:
    """The images whose quality is close to the best, as a `deciders.Decider`.

    Its outcomes name the best, and say which images count beside it. It reads the quality twice,
    unless all images of a window are few enough to be kept.

    Attributes
    ----------
    order : Order
        How images are ranked.
    distance : float
        How far behind the best a score may be, in the numbers of the band.
    nodata : tuple
        That of each band that has to be valid.
    axes : tuple of tuple of int
        For each band after the quality, how its images are transposed to the quality's.
    counted : bool
        Whether candidates are counted.
    most : int or None
        The most bytes in which outcomes say which images count; None for any. What they do not say
        is found again.
    kept : int
        The most bytes of images of the quality and of bands that have to be valid that are kept.
    """

    order: Order
    distance: float
    nodata: tuple[Any, ...] = ()
    axes: tuple[tuple[int, ...], ...] = ()
    counted: bool = False
    most: int | None = MEMBER_BYTES
    kept: int = KEPT_BYTES
    ranks: None = None
    margin: tuple[int, ...] = ()

    reads_all = False
    at_once = 1

    def holds(self, images: int, pixels: int, itemsize: int) -> int:
        """See `deciders.Decider.holds`: images that are kept, and bits."""
        kept = images * pixels * itemsize
        bits = min(images * pixels // 8, MEMBER_BYTES if self.most is None else self.most)
        return (kept if kept <= self.kept else 0) + bits + pixels * itemsize

    def readings(self, images: int, pixels: int, itemsize: int) -> int:
        """See `deciders.Decider.readings`."""
        return 1 if images * pixels * itemsize <= self.kept else 2

    def decide(
        self,
        window: Window,
        sources: Sequence[Source],
        positions: Sequence[int] | None = None,
        start: Outcome | None = None,
    ) -> Outcome:
        """See `deciders.Decider.decide`."""
        images = sources[0].images if positions is None else len(positions)
        quality, demands = self._opened(window, sources, images)
        outcome = decide_block(
            quality, self.order, demands, positions=positions, counted=self.counted
        )
        near = self._near(quality, demands, outcome.best, outcome.index, positions)
        outcome.members = [gather(quality.shape, images, near, self.most)]
        return outcome

    def members(
        self,
        window: Window,
        sources: Sequence[Source],
        positions: Sequence[int] | None,
        best: Array,
        index: Array,
    ) -> Members:
        """Find again which images count in a window, of which the winners are known."""
        images = sources[0].images if positions is None else len(positions)
        quality, demands = self._opened(window, sources, 0)
        near = self._near(quality, demands, best, index, positions)
        return gather(quality.shape, images, near, None)

    def _opened(
        self, window: Window, sources: Sequence[Source], images: int
    ) -> tuple[Reader, list[Demand]]:
        places = (window, *(transposed(window, axes) for axes in self.axes))
        readers: list[Reader] = [
            s.open(p, candidates=True) for s, p in zip(sources, places, strict=True)
        ]
        if images:  # they are walked twice
            readers = kept_if_small(readers, images, self.kept)
        pairs = zip(readers[1:], self.nodata, self.axes, strict=True)
        return readers[0], [Demand(reader, nodata, axes) for reader, nodata, axes in pairs]

    def _near(
        self,
        quality: Reader,
        demands: Sequence[Demand],
        best: Array,
        index: Array,
        positions: Sequence[int] | None,
    ) -> Any:
        return near_the_best(quality, self.order, self.distance, best, index, demands, positions)


@dataclass(frozen=True)
class ReduceTask:
    """Reduces a band over the images that count, as `takers.TakeTask` takes one.

    Attributes
    ----------
    reducer : Reducer
        What is made of the values.
    nodata : scalar or None
        The band's declared nodata.
    fill : scalar
        What a pixel gets at which no value counts.
    dims : tuple of hashable
        The dimensions of what is made: that of the periods, where there are such, and the band's
        without time.
    spread : Spread
        How the winners are laid over an image of the band.
    near : Near or None
        Finds again what outcomes do not say, from the sources behind the band's; None where they
        say all.
    periods : Periods or None
        The periods.
    """

    reducer: Reducer
    nodata: Any
    fill: Any
    dims: tuple[Hashable, ...]
    spread: Spread
    near: Near | None = None
    periods: Periods | None = None
    ranked: bool = False
    margin: tuple[int, ...] = ()

    def __call__(self, block: tuple[int, ...], *given: Any) -> Array:
        """Reduce a block, as a task of dask does; the outcome is given last."""
        *sources, outcome = given
        front = () if self.periods is None else ((block[0], block[0] + 1),)
        window = (*front, *sources[0].window(block[len(front) :]))
        return self.over(window, sources, [outcome])

    def over(self, window: Window, sources: Sequence[Source], values: Sequence[Outcome]) -> Array:
        """Reduce a window.

        Parameters
        ----------
        window : Window
            Which one, in `dims`.
        sources : sequence of Source
            The band, and what `near` reads.
        values : sequence of Outcome
            Which images count.
        """
        (outcome,) = values
        if self.periods is None:
            return self._reduce(window, sources, outcome.best, outcome.index, outcome.members[0])
        place, (first, last) = window[1:], window[0]
        dtype = self.reducer.dtype(sources[0].dtype)
        out: Array = np.empty((last - first, *(b - a for a, b in place)), dtype)
        for row, members in enumerate(outcome.members[: last - first]):
            part = self.periods.members[first + row]
            best, index = outcome.best[row], outcome.index[row]
            out[row] = self._reduce(place, sources, best, index, members, part)
        return out

    def _reduce(
        self,
        place: Window,
        sources: Sequence[Source],
        best: Array,
        index: Array,
        members: Members,
        positions: Sequence[int] | None = None,
    ) -> Array:
        """Reduce a window of the map, chunk by chunk of the band where it has several."""
        band, *quality = sources
        corner = [start for start, _ in under(self.spread, place)]

        def again(window: Window) -> Members:
            assert self.near is not None
            at = tuple(slice(a - c, b - c) for (a, b), c in zip(window, corner, strict=True))
            return self.near.members(window, quality, positions, best[at], index[at])

        out: Array = np.empty([b - a for a, b in place], self.reducer.dtype(band.dtype))
        for cell in band.cells(place, FEWEST_PIXELS):
            at = tuple(
                slice(a - start, b - start) for (a, b), (start, _) in zip(cell, place, strict=True)
            )
            here = members.cut(under(self.spread, at))
            out[at] = reduce_block(
                band, cell, self.spread, here, again, self.reducer, self.nodata, self.fill
            )
        return out

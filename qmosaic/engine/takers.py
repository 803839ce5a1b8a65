"""What is made of the winners of a window of the map: bands, positions, scores, values looked up.

As `deciders`: small objects that the tasks of a lazy mosaic and an eager one call.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qmosaic.collection.masks import Array
from qmosaic.engine.blocks import Outcome, take_block, take_rows
from qmosaic.engine.deciders import Periods, Source, Window
from qmosaic.engine.kernels import Winners, best_scores, look_up

FEWEST_PIXELS = 2**16
"""The least pixels of a part of a window that is taken by itself."""

RANK = "rank"
"""The dimension of the best few images of each pixel."""


@dataclass(frozen=True)
class Spread:
    """How an index is laid over an image of a band that has its dimensions in another order."""

    axes: tuple[int, ...]
    missing: tuple[int, ...]

    @property
    def same(self) -> bool:
        """Whether the image has the dimensions of the index, in their order."""
        return not self.missing and self.axes == tuple(range(len(self.axes)))

    def apply(self, index: Array) -> Array:
        """Transpose, and add dimensions of length 1 where the index has none."""
        return np.expand_dims(index.transpose(self.axes), self.missing)


def spread_over(map_dims: Sequence[Hashable], index_dims: Sequence[Hashable]) -> Spread:
    """Say how an index is laid over the images of a band."""
    present = [d for d in map_dims if d in index_dims]
    missing = tuple(i for i, d in enumerate(map_dims) if d not in index_dims)
    return Spread(tuple(list(index_dims).index(d) for d in present), missing)


@dataclass(frozen=True)
class TakeTask:
    """Takes the winners' pixels of a band.

    Attributes
    ----------
    fill : scalar
        What a pixel without candidate gets.
    dims : tuple of hashable
        The dimensions of what is made: a front one where there is such, and the band's without
        time.
    spread : Spread
        How the winners are laid over an image of the band.
    ranked : bool
        Whether the dimension in front is that of the ranks, of which every outcome has all.
    periods : Periods or None
        The periods, where it is theirs.
    """

    fill: Any
    dims: tuple[Hashable, ...]
    spread: Spread
    ranked: bool = False
    periods: Periods | None = None
    margin: tuple[int, ...] = ()

    def __call__(self, block: tuple[int, ...], source: Any, outcome: Outcome) -> Array:
        """Take a block, as a task of dask does."""
        if self.ranked:
            front: Window = ((0, len(outcome.index)),)
        else:
            front = () if self.periods is None else ((block[0], block[0] + 1),)
        return self.over((*front, *source.window(block[len(front) :])), [source], [outcome])

    def over(self, window: Window, sources: Sequence[Source], values: Sequence[Outcome]) -> Array:
        """Take the winners' pixels in a window of the map.

        Chunk by chunk of the sources, where it has several: of each only images that win there.

        Parameters
        ----------
        window : Window
            Which one, in `dims`.
        sources : sequence of Source
            The band.
        values : sequence of Outcome
            The winners.
        """
        (source,), (outcome,) = sources, values
        alone = not self.ranked and self.periods is None
        place = window if alone else window[1:]
        cells = source.cells(place, FEWEST_PIXELS)
        whole = len(cells) == 1 or not self.spread.same
        if alone:
            if whole:
                return self._take(source, place, [outcome.winners], one=True)
            alone_taken: Array = self._by_cells(source, place, cells, [outcome.index])[0]
            return alone_taken
        rows = outcome.rows
        if self.ranked:
            rows = rows[slice(*window[0])]
        if not rows:
            return np.empty([b - a for a, b in window], source.dtype)
        if whole:
            return self._take(source, place, rows)
        return self._by_cells(source, place, cells, [row.index for row in rows])

    def _take(
        self, source: Source, place: Window, rows: Sequence[Winners], one: bool = False
    ) -> Array:
        spread = None if self.spread.same else self.spread.apply
        if one:
            return take_block(source.open(place), rows[0], self.fill, spread)
        return take_rows(source.open(place), rows, self.fill, spread)

    def _by_cells(self, source: Source, place: Window, cells: Sequence[Window], rows: Any) -> Array:
        out: Array = np.empty([len(rows), *(b - a for a, b in place)], source.dtype)
        for cell in cells:
            at = tuple(
                slice(a - start, b - start) for (a, b), (start, _) in zip(cell, place, strict=True)
            )
            own = [Winners(np.ascontiguousarray(index[at])) for index in rows]
            out[(slice(None), *at)] = take_rows(source.open(cell), own, self.fill)
        return out


@dataclass(frozen=True)
class RankTask:
    """Gives, at each rank, the positions of the images, their scores, or what is looked up.

    Attributes
    ----------
    what : {"index", "scores", "look-up"}
        Which of these.
    fill : scalar
        What a pixel without candidate gets.
    dims : tuple of hashable
        The dimensions of what is made: that of the ranks, and the map's.
    """

    what: str
    fill: Any
    dims: tuple[Hashable, ...]
    periods: None = None
    margin: tuple[int, ...] = ()

    def __call__(self, block: tuple[int, ...], *values: Any) -> Array:
        """Give it for a block, as a task of dask does."""
        return self.over(((0, len(values[0].index)),), (), values)

    def over(self, window: Window, sources: Sequence[Source], values: Sequence[Any]) -> Array:
        """Give it for a window; `values` are the outcome, and the table to look up in."""
        outcome, *table = values
        part = slice(*window[0])
        if self.what == "index":
            index: Array = outcome.index[part]
            return index
        if self.what == "scores":
            return best_scores(outcome.best[part], outcome.index[part], self.fill)
        return look_up(outcome.index[part], table[0], self.fill)

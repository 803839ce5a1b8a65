"""A mosaic that is computed at once: what the tasks of a graph call, the whole map being one
block."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.masks import Array
from qmosaic.engine.blocks import Outcome
from qmosaic.engine.chunk_checks import UnexpectedChunkError, as_promised
from qmosaic.engine.deciders import ArraySource, Decider, DecideTask, Periods, Window
from qmosaic.engine.kernels import best_scores, look_up
from qmosaic.engine.reducing import Reducer
from qmosaic.engine.takers import RANK, TakeTask, spread_over
from qmosaic.engine.within import ReduceTask


@dataclass(frozen=True)
class Decided:
    """The winner of every pixel.

    Attributes
    ----------
    outcome : Outcome
        The winners; the ranks first, where there are such, or the periods.
    map_dims : tuple of hashable
        The dimensions of the map.
    periods : Periods or None
        The periods.
    ranked : bool
        Whether there are ranks.
    decider : Decider
        What has decided.
    sources : tuple of ArraySource
        From which bands.
    """

    outcome: Outcome
    map_dims: tuple[Hashable, ...]
    periods: Periods | None
    ranked: bool
    decider: Decider
    sources: tuple[ArraySource, ...]

    @property
    def front(self) -> tuple[Hashable, ...]:
        """The dimension in front of those of the map, where there is one."""
        if self.ranked:
            return (RANK,)
        return () if self.periods is None else (self.periods.dim,)


class Eager:
    """Bands of a mosaic, computed. See `bands.Engine`."""

    def __init__(self, dim: Hashable) -> None:
        self.dim = dim

    def _source(self, band: xr.DataArray) -> ArraySource:
        return ArraySource(_values_of(band), band.dims.index(self.dim))

    def _map_dims(self, band: xr.DataArray) -> tuple[Hashable, ...]:
        return tuple(d for d in band.dims if d != self.dim)

    def _window(self, band: xr.DataArray) -> Window:
        return tuple((0, band.sizes[d]) for d in self._map_dims(band))

    def decide(
        self,
        decider: Decider,
        bands: Sequence[tuple[xr.DataArray, Any]],
        periods: Periods | None,
        start: Decided | None,
    ) -> Decided:
        first, _ = bands[0]
        dims = self._map_dims(first)
        front, window = ((), ()) if periods is None else ((periods.dim,), (_all(periods),))
        task = DecideTask(decider, (*front, *dims), periods, start is not None)
        sources = [self._source(band) for band, _ in bands]
        before = [] if start is None else [start.outcome]
        outcome = task.over((*window, *self._window(first)), sources, before)
        ranked = decider.ranks is not None
        return Decided(outcome, dims, periods, ranked, decider, tuple(sources))

    def index(self, decision: Decided) -> xr.DataArray:
        index = decision.outcome.index.copy()
        return xr.DataArray(index, dims=(*decision.front, *decision.map_dims))

    def scores(self, decision: Decided, fill: Any) -> xr.DataArray:
        outcome = decision.outcome
        scores = best_scores(outcome.best, outcome.index, fill)
        return xr.DataArray(scores, dims=(*decision.front, *decision.map_dims))

    def count(self, decision: Decided) -> xr.DataArray:
        front = () if decision.periods is None else decision.front
        return xr.DataArray(decision.outcome.count, dims=(*front, *decision.map_dims))

    def look_up(self, band: xr.DataArray, decision: Decided, fill: Any) -> xr.DataArray:
        values = look_up(decision.outcome.index, _values_of(band), fill)
        return xr.DataArray(values, dims=(*decision.front, *decision.map_dims))

    def take(self, band: xr.DataArray, decision: Decided, fill: Any) -> xr.DataArray:
        dims = self._map_dims(band)
        spread = spread_over(dims, decision.map_dims)
        task = TakeTask(fill, (*decision.front, *dims), spread, decision.ranked, decision.periods)
        window = self._window(band)
        if decision.ranked:
            window = ((0, len(decision.outcome.index)), *window)
        elif decision.periods is not None:
            window = (_all(decision.periods), *window)
        taken = task.over(window, [self._source(band)], [decision.outcome])
        return xr.DataArray(taken, dims=task.dims)

    def reduce(
        self, band: xr.DataArray, decision: Decided, reducer: Reducer, fill: Any
    ) -> xr.DataArray:
        dims = self._map_dims(band)
        near: Any = decision.decider
        task = ReduceTask(
            reducer,
            declared_nodata(band),
            fill,
            (*decision.front, *dims),
            spread_over(dims, decision.map_dims),
            near,
            decision.periods,
        )
        window = self._window(band)
        if decision.periods is not None:
            window = (_all(decision.periods), *window)
        sources = [self._source(band), *decision.sources]
        return xr.DataArray(task.over(window, sources, [decision.outcome]), dims=task.dims)


def _all(periods: Periods) -> tuple[int, int]:
    return 0, len(periods.members)


def _values_of(band: xr.DataArray) -> Array:
    """Read a band; one that is opened without dask may give another shape or dtype."""
    values: Array = band.values
    dtype = band.dtype if isinstance(band.dtype, np.dtype) else values.dtype  # pandas has its own
    try:
        return as_promised(values, band.shape, dtype)
    except UnexpectedChunkError as error:
        raise UnexpectedChunkError(f"band {band.name!r}: {error}") from None

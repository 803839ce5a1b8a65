"""A mosaic that is deferred: the calls that make layers of a dask graph."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import dask.array as da
import xarray as xr
from dask.base import tokenize

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.model import bands_of, sources_of
from qmosaic.engine import graph
from qmosaic.engine.deciders import Decider, Periods
from qmosaic.engine.graph import Bands, Decision, Stack
from qmosaic.engine.reading import Origin, labels
from qmosaic.engine.reducing import Reducer
from qmosaic.engine.takers import RANK


class Lazy:
    """Bands of a mosaic as layers of a dask graph; see `bands.Engine`."""

    def __init__(self, collection: xr.Dataset, dim: Hashable) -> None:
        self.dim = dim
        self.collection = collection
        arrays = [collection[name].data for name in bands_of(collection, dim)]
        names = [a.name for a in arrays if isinstance(a, da.Array)]
        self.token = tokenize(sorted(names))  # a store lists its bands in any order
        self.times = labels(collection.indexes[dim]) if dim in collection.indexes else None
        ids = collection.coords.get("id")
        if ids is None or ids.dims != (dim,) or ids.variable.chunks is not None:
            ids = None  # nothing is computed for the sake of errors
        self.ids = None if ids is None else ids.values
        self.known = Bands()

    def _origin(self, band: xr.DataArray) -> Origin:
        sources = sources_of(band) or sources_of(self.collection)
        return Origin(self.token, str(band.name), self.times, ", ".join(sorted(sources)), self.ids)

    def _stack(self, band: xr.DataArray, nodata: Any, images_per_chunk: int = 1) -> Stack:
        """Give a band to the engine; one in memory is cut first."""
        # an index is never chunked
        variable = band.variable.to_base_variable()
        array = variable.data
        if not isinstance(array, da.Array):
            sizes = dict.fromkeys(variable.dims, -1) | {self.dim: images_per_chunk}
            array = variable.chunk(sizes).data
        return Stack(array, tuple(band.dims), self.dim, nodata, self._origin(band))

    def decide(
        self,
        decider: Decider,
        bands: Sequence[tuple[xr.DataArray, Any]],
        periods: Periods | None,
        start: Decision | None,
    ) -> Decision:
        stacks = [self._stack(band, nodata) for band, nodata in bands]
        return graph.decide(decider, stacks, periods=periods, start=start, bands=self.known)

    def index(self, decision: Decision) -> xr.DataArray:
        return xr.DataArray(decision.index(), dims=_ranked(decision))

    def scores(self, decision: Decision, fill: Any) -> xr.DataArray:
        return xr.DataArray(decision.scores(fill), dims=_ranked(decision))

    def count(self, decision: Decision) -> xr.DataArray:
        return xr.DataArray(decision.count(), dims=decision.dims)

    def look_up(self, band: xr.DataArray, decision: Decision, fill: Any) -> xr.DataArray:
        stack = self._stack(band, declared_nodata(band), images_per_chunk=-1)
        return xr.DataArray(decision.look_up(stack, fill), dims=_ranked(decision))

    def take(self, band: xr.DataArray, decision: Decision, fill: Any) -> xr.DataArray:
        stack = self._stack(band, declared_nodata(band))
        return _laid(graph.take(stack, decision, fill, self.known), stack, decision)

    def reduce(
        self, band: xr.DataArray, decision: Decision, reducer: Reducer, fill: Any
    ) -> xr.DataArray:
        stack = self._stack(band, declared_nodata(band))
        return _laid(graph.reduce(stack, decision, reducer, fill, self.known), stack, decision)


def _laid(array: Any, stack: Stack, decision: Decision) -> xr.DataArray:
    """Name the dimensions of a band of the mosaic."""
    front = _ranked(decision)[: len(_ranked(decision)) - len(decision.map_dims)]
    return xr.DataArray(array, dims=(*front, *stack.map_dims))


def _ranked(decision: Decision) -> tuple[Hashable, ...]:
    """Name the dimensions of what there is at each rank, or once where there are no ranks."""
    return decision.dims if decision.ranks is None else (RANK, *decision.dims)

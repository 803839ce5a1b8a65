"""A mosaic that is deferred: the calls that make layers of a dask graph."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import dask.array as da
import xarray as xr
from dask.base import tokenize

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.model import bands_of, sources_of
from qmosaic.engine import graph
from qmosaic.engine.graph import Decision, Stack
from qmosaic.engine.kernels import Order
from qmosaic.engine.reading import Origin, labels


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
        self.ids = ids.values if ids is not None and ids.dims == (dim,) else None

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
        quality: xr.DataArray,
        order: Order,
        demands: list[tuple[xr.DataArray, Any]],
        start: Decision | None,
    ) -> Decision:
        stacks = [self._stack(band, nodata) for band, nodata in demands]
        return graph.decide(self._stack(quality, order.nodata), order, stacks, start)

    def index(self, decision: Decision) -> xr.DataArray:
        return xr.DataArray(decision.index(), dims=decision.dims)

    def scores(self, decision: Decision, fill: Any) -> xr.DataArray:
        return xr.DataArray(decision.scores(fill), dims=decision.dims)

    def look_up(self, band: xr.DataArray, decision: Decision, fill: Any) -> xr.DataArray:
        stack = self._stack(band, declared_nodata(band), images_per_chunk=-1)
        return xr.DataArray(decision.look_up(stack, fill), dims=decision.dims)

    def take(self, band: xr.DataArray, decision: Decision, fill: Any) -> xr.DataArray:
        stack = self._stack(band, declared_nodata(band))
        return xr.DataArray(graph.take(stack, decision, fill), dims=stack.map_dims)

"""A mosaic that is computed at once: the blocks of the graph, the whole map being one."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.masks import Array
from qmosaic.engine.blocks import ArrayReader, Demand, decide_block, take_block
from qmosaic.engine.chunk_checks import UnexpectedChunkError, as_promised
from qmosaic.engine.kernels import Order, Winners, best_scores, look_up


class Eager:
    """Bands of a mosaic, computed; a decision is scores and index. See `bands.Engine`."""

    def __init__(self, dim: Hashable) -> None:
        self.dim = dim

    def _reader(self, band: xr.DataArray) -> ArrayReader:
        return ArrayReader(_values_of(band), band.dims.index(self.dim))

    def _map_dims(self, band: xr.DataArray) -> tuple[Hashable, ...]:
        return tuple(d for d in band.dims if d != self.dim)

    def decide(
        self,
        quality: xr.DataArray,
        order: Order,
        demands: list[tuple[xr.DataArray, Any]],
        start: tuple[xr.DataArray, xr.DataArray] | None,
    ) -> tuple[xr.DataArray, xr.DataArray]:
        dims = self._map_dims(quality)
        needed = [
            Demand(self._reader(b), n, tuple(self._map_dims(b).index(d) for d in dims))
            for b, n in demands
        ]
        first = None if start is None else start[1].values
        best, index = decide_block(self._reader(quality), order, needed, first)
        return xr.DataArray(best, dims=dims), xr.DataArray(index, dims=dims)

    def index(self, decision: tuple[xr.DataArray, xr.DataArray]) -> xr.DataArray:
        return decision[1].copy()

    def scores(self, decision: tuple[xr.DataArray, xr.DataArray], fill: Any) -> xr.DataArray:
        best, index = decision
        return best.copy(data=best_scores(best.values, index.values, fill))

    def look_up(self, band: xr.DataArray, decision: Any, fill: Any) -> xr.DataArray:
        _, index = decision
        return xr.DataArray(look_up(index.values, _values_of(band), fill), dims=index.dims)

    def take(self, band: xr.DataArray, decision: Any, fill: Any) -> xr.DataArray:
        _, index = decision
        dims = self._map_dims(band)
        winners = Winners(np.asarray(index.values, order="C"))

        def spread(values: Array) -> Array:
            present = [d for d in dims if d in index.dims]
            missing = tuple(i for i, d in enumerate(dims) if d not in index.dims)
            return np.expand_dims(xr.Variable(index.dims, values).transpose(*present), missing)

        taken = take_block(
            self._reader(band), winners, fill, None if dims == index.dims else spread
        )
        return xr.DataArray(taken, dims=dims)


def _values_of(band: xr.DataArray) -> Array:
    """Read a band; one that is opened without dask may give another shape or dtype."""
    values: Array = band.values
    dtype = band.dtype if isinstance(band.dtype, np.dtype) else values.dtype  # pandas has its own
    try:
        return as_promised(values, band.shape, dtype)
    except UnexpectedChunkError as error:
        raise UnexpectedChunkError(f"band {band.name!r}: {error}") from None

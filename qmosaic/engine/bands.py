"""The bands of a mosaic: which image wins, substitutes for masked pixels, what is taken."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
import xarray as xr

from qmosaic.collection.declarations import (
    AS_IT_LIES,
    NODATA_NAMES,
    SOURCE_INDEX,
    SOURCE_TIME,
    VALID_COUNT,
    declared_nodata,
    masked_value,
)
from qmosaic.collection.masks import NO_IMAGE, Array, fits
from qmosaic.engine.closest import Closest
from qmosaic.engine.deciders import Best, Decider, Periods
from qmosaic.engine.eager import Eager
from qmosaic.engine.lazy import Lazy
from qmosaic.engine.neighbours import Preferring
from qmosaic.engine.reducing import Reducer
from qmosaic.engine.request import Request, broadcast
from qmosaic.engine.within import Near


class Engine(Protocol):
    """What both `Lazy` and `Eager` offer; a decision is whatever `decide` gives."""

    def decide(
        self,
        decider: Decider,
        bands: Sequence[tuple[xr.DataArray, Any]],
        periods: Periods | None,
        start: Any,
    ) -> Any:
        """Name the winners; bands come with their nodata. See `qmosaic.engine.graph.decide`."""

    def index(self, decision: Any) -> xr.DataArray:
        """Give the positions of the winners."""

    def scores(self, decision: Any, fill: Any) -> xr.DataArray:
        """Give the quality of the winners."""

    def count(self, decision: Any) -> xr.DataArray:
        """Give the number of candidates."""

    def look_up(self, band: xr.DataArray, decision: Any, fill: Any) -> xr.DataArray:
        """Give the winners' values of a band that has nothing but time."""

    def take(self, band: xr.DataArray, decision: Any, fill: Any) -> xr.DataArray:
        """Give the winners' pixels of a band."""

    def reduce(
        self, band: xr.DataArray, decision: Any, reducer: Reducer, fill: Any
    ) -> xr.DataArray:
        """Give a band reduced over the images that count, see `qmosaic.engine.graph.reduce`."""


def make_bands(request: Request, engine: Engine | None = None) -> dict[Hashable, xr.DataArray]:
    """Make the bands of a mosaic, and what is said of where their pixels come from; by the engine
    that suits the collection, unless another one is given."""
    engine = make_engine(request) if engine is None else engine
    demands = demands_on(request) if request.rules.masked == "skip" else []
    if request.compared:
        decision = _find_closest(engine, request, demands)
    else:
        decision = _decide(engine, request, request.deciding[0], demands)
    made: dict[Hashable, xr.DataArray] = {}
    for name in request.bands:
        own = decision
        if request.rules.masked == "fill" and request.may_be_masked(name):
            own = _refine(engine, request, name, decision)
        for coordinate, what in request.source_coordinates(name).items():
            if coordinate not in made:
                made[coordinate] = say_source(engine, request, what, own, decision)
        if request.reducer is not None:
            made[name] = _reduce_band(engine, request, name, request.reducer, own)
        elif own is decision and not request.compared and _is_quality(request, name):
            made[name] = engine.scores(own, request.fill(name))
        else:
            made[name] = take_band(engine, request, name, own)
    return made


def _reduce_band(
    engine: Engine, request: Request, name: Hashable, reducer: Reducer, decision: Any
) -> xr.DataArray:
    """Give a band reduced over the images that count."""
    band = request.collection[name]
    if request.is_lazy and band.variable.chunks is None and band.dims == (request.dim,):
        band = band.chunk()  # as a dask array it can be broadcast without being copied
    return engine.reduce(broadcast(band, request.quality), decision, reducer, request.fill(name))


def _decide(
    engine: Engine,
    request: Request,
    quality: xr.DataArray,
    demands: Sequence[tuple[xr.DataArray, Any]],
    start: Any = None,
) -> Any:
    """Name the winners among images in which all `demands` are valid."""
    finer = [
        (broadcast(request.collection[n], quality), o.nodata) for n, o in request.finer.items()
    ]
    _, order = request.deciding
    bands = [(quality, order.nodata), *finer, *demands]
    nodata = tuple(nodata for _, nodata in demands)
    axes = axes_of([band for band, _ in bands], request.dim)
    counted = start is None and VALID_COUNT in request.provenance
    decider: Decider
    if request.reducer is not None:
        decider = Near(order, request.distance, nodata, axes, counted)
    else:
        finer_orders = tuple(request.finer.values())
        decider = best = Best(order, finer_orders, nodata, axes, request.rules.ranks, counted)
        if request.favour is not None:
            shape = tuple(size for dim, size in quality.sizes.items() if dim != request.dim)
            decider = Preferring(best, request.favour, shape)
    return engine.decide(decider, bands, request.periods, start)


def _find_closest(
    engine: Engine, request: Request, demands: Sequence[tuple[xr.DataArray, Any]]
) -> Any:
    """Name the images that lie closest to the median, among those in which all is valid."""
    compared = [(request.collection[name], request.nodata[name]) for name in request.compared]
    bands = [*compared, *demands]
    decider = Closest(
        request.rules.ties,
        tuple(nodata for _, nodata in bands),
        axes_of([band for band, _ in bands], request.dim),
        len(compared),
    )
    return engine.decide(decider, bands, request.periods, None)


def axes_of(bands: Sequence[xr.DataArray], dim: Hashable) -> tuple[tuple[int, ...], ...]:
    """Say for each band after the first how its images are transposed to those of the first."""
    first, *others = ([d for d in band.dims if d != dim] for band in bands)
    return tuple(tuple(own.index(d) for d in first) for own in others)


def _is_quality(request: Request, name: Hashable) -> bool:
    """Whether a band is the quality itself, under this name or another: its pixels are known once
    it has been decided."""
    if request.smoothed is not None:
        return False
    band, quality = request.collection[name].variable, request.quality.variable
    if name == request.quality_band:
        return True
    ours, its = (getattr(array, "name", None) for array in (band.data, quality.data))
    same = band.data is quality.data or (ours is not None and ours == its)
    return same and band.dims == quality.dims


def make_engine(request: Request) -> Engine:
    """Give what makes a mosaic: deferred, or at once."""
    if request.is_lazy:
        return Lazy(request.collection, request.dim)
    return Eager(request.dim)


def demands_on(request: Request) -> list[tuple[xr.DataArray, Any]]:
    """Give the bands that have to be valid in a candidate, each with its nodata."""
    return [
        _on_quality(request, name)
        for name in request.bands
        if name not in (request.quality_band, *request.compared) and request.can_be_masked(name)
    ]


def _on_quality(request: Request, name: Hashable) -> tuple[xr.DataArray, Any]:
    """Bring a band to the dimensions of the quality: more are combined, fewer broadcast."""
    band, quality, nodata = request.collection[name], request.quality, request.nodata[name]
    extra = [d for d in band.dims if d not in quality.dims]
    if extra:
        valid = band.notnull() if nodata is None else band.notnull() & (band != nodata)
        return broadcast(valid.all(extra), quality), np.False_
    return broadcast(band, quality), nodata


def _refine(engine: Engine, request: Request, name: Hashable, decision: Any) -> Any:
    """Decide anew, for one band, where it is masked in the winner."""
    if name == request.quality_band:
        return decision
    band, nodata = request.collection[name], request.nodata[name]
    quality, _ = request.deciding
    if any(d not in quality.dims for d in band.dims if d != request.dim):
        wide = broadcast(quality, band)
        return _decide(engine, request, wide, [(broadcast(band, wide), nodata)])
    demands = [(broadcast(band, quality), nodata)]
    return _decide(engine, request, quality, demands, decision)


def take_band(engine: Engine, request: Request, name: Hashable, decision: Any) -> xr.DataArray:
    """Give the pixels of a band in the images that won."""
    band, fill = request.collection[name], request.fill(name)
    if band.dims == (request.dim,):
        return engine.look_up(band, decision, fill)
    return engine.take(broadcast(band, request.quality), decision, fill)


# -- where pixels come from -----------------------------------------------------------------------


def say_source(
    engine: Engine, request: Request, what: Hashable, decision: Any, counted: Any
) -> xr.DataArray:
    """Say of each pixel where it comes from.

    Parameters
    ----------
    engine, request
        Of the mosaic.
    what : hashable
        What is said: "source_index", "source_time", "valid_count", or a coordinate along time.
    decision : object
        The winners.
    counted : object
        The decision that has counted candidates.
    """
    dim = request.dim
    if what == SOURCE_INDEX:
        text = f"position along {dim} of the image that the pixel is from; {NO_IMAGE}: none"
        return engine.index(decision).assign_attrs(long_name=text)
    if what == VALID_COUNT:
        return engine.count(counted).assign_attrs(long_name="candidates: images to choose from")
    coordinate = request.collection[dim if what == SOURCE_TIME else what]
    table, fill = _as_table(coordinate, request)
    found = engine.look_up(table, decision, fill)
    found.attrs = {k: v for k, v in coordinate.attrs.items() if k not in NODATA_NAMES}
    if what == SOURCE_TIME:
        found.attrs["long_name"] = "time of the image that the pixel is from"
    if table.dtype.kind == "M":
        found.encoding = {**AS_IT_LIES, "dtype": np.dtype("int64")}
    elif table.dtype.kind in "iu" and request.can_lack_candidate():
        found.attrs["_FillValue"] = fill
    return found


def _as_table(coordinate: xr.DataArray, request: Request) -> tuple[xr.DataArray, Any]:
    """Give a coordinate along time as it is looked up, and what stands for "no image"."""
    bare = xr.DataArray(
        coordinate.variable.to_base_variable(), dims=coordinate.dims, name=coordinate.name
    )
    kind = bare.dtype.kind
    if kind in "OUST":
        deferred = isinstance(bare.variable.chunks, tuple)
        data: Any = (
            bare.data.map_blocks(_as_texts, dtype=object) if deferred else _as_texts(bare.values)
        )
        return bare.copy(data=data), ""
    if kind == "M":
        return bare.astype("datetime64[ns]"), np.datetime64("NaT", "ns")
    if kind in "iu" and declared_nodata(coordinate) is None:
        return bare, _free_number(bare, request.rules.fill_value)
    return bare, masked_value(coordinate)


def _free_number(coordinate: xr.DataArray, asked: Any) -> Any:
    """Give an integer that no image has: the one that was asked for, or else -1, or a bound of the
    dtype. Of a deferred coordinate the values are not known."""
    dtype, limits = coordinate.dtype, np.iinfo(coordinate.dtype)
    deferred = isinstance(coordinate.variable.chunks, tuple)
    taken = set() if deferred else set(coordinate.values.tolist())
    bounds = [limits.min, limits.max] if dtype.kind == "i" else [limits.max, limits.min]
    usual = [] if asked is None or not fits(asked, dtype) else [int(asked)]
    if not deferred and dtype.kind == "i":
        usual.append(NO_IMAGE)
    some = itertools.chain(usual, bounds, range(limits.min, limits.max))
    free = (n for n in some if n not in taken)
    return dtype.type(next(free, limits.min))


def _as_texts(values: Array) -> Array:
    missing = pd.isna(values)
    return np.array(
        ["" if none else str(value) for value, none in zip(values, missing, strict=True)], object
    )

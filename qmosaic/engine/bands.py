"""The bands of a mosaic: which image wins, substitutes for masked pixels, what is taken."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol

import numpy as np
import xarray as xr

from qmosaic.collection.masks import NO_IMAGE
from qmosaic.engine.eager import Eager
from qmosaic.engine.kernels import Order
from qmosaic.engine.lazy import Lazy
from qmosaic.engine.request import Request


class Engine(Protocol):
    """What both `Lazy` and `Eager` offer; a decision is whatever `decide` gives."""

    def decide(
        self,
        quality: xr.DataArray,
        order: Order,
        demands: list[tuple[xr.DataArray, Any]],
        start: Any,
    ) -> Any:
        """Name the winners, see `qmosaic.engine.graph.decide`."""

    def index(self, decision: Any) -> xr.DataArray:
        """Give the positions of the winners."""

    def scores(self, decision: Any, fill: Any) -> xr.DataArray:
        """Give the quality of the winners."""

    def look_up(self, band: xr.DataArray, decision: Any, fill: Any) -> xr.DataArray:
        """Give the winners' values of a band that has nothing but time."""

    def take(self, band: xr.DataArray, decision: Any, fill: Any) -> xr.DataArray:
        """Give the winners' pixels of a band."""


def make_bands(request: Request) -> dict[Hashable, xr.DataArray]:
    """Make the bands of a mosaic, and where it is asked for the image that each pixel is from."""
    engine = _engine(request)
    demands = _demands(request) if request.rules.masked == "skip" else []
    decision = engine.decide(request.quality, request.order, demands, None)
    made: dict[Hashable, xr.DataArray] = {}
    for name in request.bands:
        own = decision
        if request.rules.masked == "fill" and request.can_be_masked(name):
            own = _refine(engine, request, name, decision)
            made[f"{name}_image"] = _provenance(engine.index(own), name, request.dim)
        scored = own is decision and _is_quality(request, name)
        fill = request.fill(name)
        made[name] = engine.scores(own, fill) if scored else _take(engine, request, name, own)
    return made


def _is_quality(request: Request, name: Hashable) -> bool:
    """Whether a band is the quality itself, under this name or another: its pixels are known once
    it has been decided."""
    band, quality = request.collection[name].variable, request.quality.variable
    if name == request.quality_band:
        return True
    ours, its = (getattr(array, "name", None) for array in (band.data, quality.data))
    same = band.data is quality.data or (ours is not None and ours == its)
    return same and band.dims == quality.dims


def _engine(request: Request) -> Engine:
    if request.is_lazy:
        return Lazy(request.collection, request.dim)
    return Eager(request.dim)


def _demands(request: Request) -> list[tuple[xr.DataArray, Any]]:
    """Give the bands that have to be valid in a candidate, each with its nodata."""
    return [
        _on_quality(request, name)
        for name in request.bands
        if name != request.quality_band and request.can_be_masked(name)
    ]


def _on_quality(request: Request, name: Hashable) -> tuple[xr.DataArray, Any]:
    """Bring a band to the dimensions of the quality: more are combined, fewer broadcast."""
    band, quality, nodata = request.collection[name], request.quality, request.nodata[name]
    extra = [d for d in band.dims if d not in quality.dims]
    if extra:
        valid = band.notnull() if nodata is None else band.notnull() & (band != nodata)
        return _broadcast(valid.all(extra), quality), np.False_
    return _broadcast(band, quality), nodata


def _refine(engine: Engine, request: Request, name: Hashable, decision: Any) -> Any:
    """Decide anew, for one band, where it is masked in the winner."""
    if name == request.quality_band:
        return decision
    band, quality, nodata = request.collection[name], request.quality, request.nodata[name]
    if any(d not in quality.dims for d in band.dims if d != request.dim):
        wide = _broadcast(quality, band)
        return engine.decide(wide, request.order, [(_broadcast(band, wide), nodata)], None)
    demands = [(_broadcast(band, quality), nodata)]
    return engine.decide(quality, request.order, demands, decision)


def _take(engine: Engine, request: Request, name: Hashable, decision: Any) -> xr.DataArray:
    """Give the pixels of a band in the images that won."""
    band, fill = request.collection[name], request.fill(name)
    if band.dims == (request.dim,):
        return engine.look_up(band, decision, fill)
    return engine.take(_broadcast(band, request.quality), decision, fill)


def _provenance(index: xr.DataArray, name: Hashable, dim: Hashable) -> xr.DataArray:
    what = f"position along {dim} of the image that band {name} is from; {NO_IMAGE}: none"
    return index.assign_attrs(long_name=what)


def _broadcast(band: xr.DataArray, like: xr.DataArray) -> xr.DataArray:
    """Add the dimensions that `band` lacks, lazily and in the chunks of `like`."""
    missing = [d for d in like.dims if d not in band.dims]
    if not missing:
        return band
    bare = xr.DataArray(band.variable, name=band.name)
    wide = bare.expand_dims({d: like.sizes[d] for d in missing})
    if isinstance(like.variable.chunks, tuple):
        chunks = dict(zip(like.dims, like.variable.chunks, strict=True))
        wide = wide.chunk({d: chunks[d] for d in missing})
    return wide

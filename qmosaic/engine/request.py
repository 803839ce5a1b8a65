"""What a mosaic is asked to be: the arguments, checked and settled before anything is made."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import (
    can_be_masked,
    declared_nodata,
    masked_value,
)
from qmosaic.collection.location import with_crs_coordinate
from qmosaic.collection.masks import fits, valid_mask
from qmosaic.collection.model import (
    bands_of,
    check_collection,
)
from qmosaic.collection.times import in_utc
from qmosaic.engine.deciders import Periods
from qmosaic.engine.kernels import Order
from qmosaic.engine.neighbours import Favour
from qmosaic.engine.ordering import (
    compared_names,
    finer_order_of,
    order_of,
    quality_names,
)
from qmosaic.engine.provenance import asked_provenance, check_names, source_coordinates
from qmosaic.engine.reducing import Reducer
from qmosaic.engine.rules import Rules, reducer_of
from qmosaic.engine.surroundings import check_surroundings, favour_of, smoothed_quality

IMAGE_AND_MAP = 3
"""The dimensions of a band: that of the images, and two of a map."""


@dataclass(frozen=True)
class Request:
    """One mosaic of a Dataset: what is asked for.

    Attributes
    ----------
    collection : xarray.Dataset
        The images.
    quality_band : hashable
        The band that orders them.
    rules : Rules
        The arguments as they were given.
    order : Order
        How images are ranked: bounds and nodata in the dtype of the quality.
    finer : dict of name to Order
        The bands that decide among images of the same quality, one after the other.
    periods : Periods or None
        The periods of each of which a mosaic is made; None for one of all images.
    compared : tuple of hashable
        The bands in which images are compared with their median, where no quality decides; the
        first is `quality_band`.
    smoothed : xarray.DataArray or None
        What orders the images in place of the quality, NaN where they are no candidates.
    favour : Favour or None
        How images are preferred that win what lies around a pixel.
    """

    collection: xr.Dataset
    quality_band: Hashable
    rules: Rules
    order: Order
    finer: Mapping[Hashable, Order] = field(default_factory=dict)
    periods: Periods | None = None
    compared: tuple[Hashable, ...] = ()
    smoothed: xr.DataArray | None = None
    favour: Favour | None = None

    @cached_property
    def quality(self) -> xr.DataArray:
        """Give the band that orders the images, with the dimensions of all that do."""
        quality = self.collection[self.quality_band]
        for name in self.finer:
            quality = broadcast(quality, self.collection[name])
        if quality.ndim < IMAGE_AND_MAP and self.needs_map:
            flat = [self.collection[name] for name in self.bands]
            flat = [band for band in flat if band.ndim <= IMAGE_AND_MAP]
            widest = max(flat, key=lambda band: band.ndim)
            if set(quality.dims) <= set(widest.dims):
                quality = broadcast(quality, widest).transpose(*widest.dims)
        return quality

    @property
    def needs_map(self) -> bool:
        """Whether more is said of pixels than which image wins, so that a quality which is one
        number for an image, or for a row of it, has to have a map."""
        rules = self.rules
        asked = rules.provenance is not False or rules.ranks is not None
        return asked or rules.within is not None or rules.masked == "skip"

    @property
    def deciding(self) -> tuple[xr.DataArray, Order]:
        """Give what orders the images, and how: the quality, where that is not smoothed."""
        if self.smoothed is None:
            return self.quality, self.order
        return self.smoothed, Order(ties=self.order.ties, descending=self.order.descending)

    @property
    def dim(self) -> Hashable:
        """Name the dimension of the images."""
        return self.rules.dim

    @property
    def quality_bands(self) -> list[Hashable]:
        """Name all bands that order the images."""
        return [self.quality_band, *self.finer]

    @cached_property
    def bands(self) -> list[Hashable]:
        """Name the bands."""
        return bands_of(self.collection, self.dim)

    @cached_property
    def nodata(self) -> dict[Hashable, Any]:
        """Give the nodata that each band declares; None for none."""
        return {name: declared_nodata(self.collection[name]) for name in self.bands}

    @property
    def is_lazy(self) -> bool:
        """Whether any band is backed by dask, so that the mosaic is deferred."""
        return any(isinstance(self.collection[name].variable.chunks, tuple) for name in self.bands)

    def can_be_masked(self, name: Hashable) -> bool:
        """Whether a band has a value for "missing"."""
        return can_be_masked(self.collection[name])

    def may_be_masked(self, name: Hashable) -> bool:
        """Whether an image may be masked in a band: where it is one number an image, in memory,
        that is seen at once."""
        if not self.can_be_masked(name):
            return False
        band = self.collection[name]
        if band.dims != (self.dim,) or band.variable.chunks is not None:
            return True
        valid = valid_mask(band.values, self.nodata[name])
        return valid is not None and not valid.all()

    def can_lack_candidate(self) -> bool:
        """Whether there can be pixels without any candidate."""
        periods = () if self.periods is None else self.periods.members
        return (
            (self.rules.ranks or 1) > self.collection.sizes[self.dim]
            or not all(periods)
            or any(map(self.can_be_masked, (self.quality_band, *self.compared)))
            or self.order.min_quality is not None
            or (self.rules.masked == "skip" and any(map(self.can_be_masked, self.bands)))
        )

    @cached_property
    def provenance(self) -> list[Hashable]:
        """Name what is to be said of where pixels come from."""
        return asked_provenance(self.collection, self.rules)

    def source_coordinates(self, name: Hashable) -> dict[Hashable, Hashable]:
        """See `provenance.source_coordinates`."""
        return source_coordinates(self.collection, self.rules, name)

    @cached_property
    def reducer(self) -> Reducer | None:
        """Say what is made of the images that count; None where one image wins each pixel."""
        return reducer_of(self.rules)

    @property
    def distance(self) -> float:
        """Say how far behind the best a quality may be; whole numbers are kept exactly."""
        within = self.rules.within
        return int(within) if isinstance(within, int | np.integer) else float(within)

    def dtype(self, name: Hashable) -> np.dtype[Any]:
        """Give the dtype of the mosaic's band."""
        dtype = self.collection[name].dtype
        return dtype if self.reducer is None else self.reducer.dtype(dtype)

    def keeps_nodata(self, name: Hashable) -> bool:
        """Whether the mosaic's band declares the nodata of the collection's: what is computed in
        floats may be any number, and is NaN where it is masked."""
        return self.reducer is None or self.dtype(name).kind != "f"

    def fill(self, name: Hashable) -> Any:
        """Give the value that stands for "masked" in the mosaic's band."""
        if not self.keeps_nodata(name):
            return self.dtype(name).type(np.nan)
        return masked_value(self.collection[name], self.rules.fill_value)


def make_request(
    collection: Any, quality_band: Any, rules: Rules, periods: Periods | None = None
) -> Request:
    """Check what is asked for, and bring it into the dtype of the quality; nothing is read.

    Parameters
    ----------
    collection, quality_band
        As for `quality_mosaic`; a Dataset.
    rules : Rules
        Its other arguments.
    periods : Periods, optional
        See `Request`.
    """
    _check_kind(collection, rules.dim)
    collection = in_utc(collection)
    if rules.medoid:
        compared = compared_names(collection, rules)
        request = Request(collection, compared[0], rules, Order(rules.ties), compared=compared)
    else:
        first, *others = quality_names(quality_band, collection)
        check_collection(collection, first, rules.dim)
        order = order_of(collection[first], rules)
        finer = {name: finer_order_of(collection, name, rules) for name in others}
        request = Request(collection, first, rules, order, finer, periods)
    check_reducible(request)
    _check_fills(request)
    check_names(collection, rules)
    return _with_surroundings(request)


def _with_surroundings(request: Request) -> Request:
    """Settle what is asked for of what lies around pixels."""
    rules = request.rules
    quality = with_crs_coordinate(request.collection)[request.quality_band]
    check_surroundings(
        rules.smooth, rules.scene_bonus, rules.scene_radius, rules.masked, request.quality_bands
    )
    if rules.smooth is not None:
        lazy = request.is_lazy
        smoothed = smoothed_quality(quality, request.dim, rules.smooth, request.order, lazy=lazy)
        request = replace(request, smoothed=smoothed)
    if rules.scene_bonus is not None:
        favour = favour_of(quality, request.dim, rules.scene_bonus, rules.scene_radius)
        request = replace(request, favour=favour)
    return request


def _check_kind(collection: Any, dim: Hashable) -> None:
    """Refuse what is no collection."""
    if not isinstance(collection, xr.Dataset):
        raise TypeError(
            f"quality_mosaic() got a {type(collection).__name__}; a collection is an "
            f"xarray.Dataset with a dimension {dim!r}, or a DataArray with a dimension 'band'. "
            "Write xr.open_zarr(...) for a Zarr store, xr.concat(images, 'time') for a list of "
            "images, collection.dataset for an ImageCollection of qmosaic.ee."
        )


def _check_fills(request: Request) -> None:
    """Refuse a fill value that a band which needs it cannot hold."""
    if request.rules.fill_value is None:
        return
    for name in request.bands:
        dtype = request.dtype(name)
        needs = dtype.kind in "iu" and request.nodata[name] is None
        if needs and not fits(request.rules.fill_value, dtype):
            raise ValueError(
                f"fill_value={request.rules.fill_value!r} does not fit band {name!r} of dtype "
                f"{dtype}, which would get it where no image is a candidate; dtypes are kept. Give "
                "an integer in its range, or declare a nodata for the band: "
                f"ds[{name!r}].attrs['_FillValue'] = ..."
            )


def check_reducible(request: Request) -> None:
    """Refuse what cannot be reduced.

    Raises
    ------
    TypeError
        A band is not numeric.
    ValueError
        Several bands order the images.
    """
    if request.reducer is None:
        return
    if request.finer:
        raise ValueError(
            f"quality_band= names {len(request.quality_bands)} bands, but within= counts images "
            "whose quality is close to the best: which of several bands is meant? Name one band."
        )
    for name in request.bands:
        dtype = request.collection[name].dtype
        if dtype.kind not in "biuf":
            raise TypeError(
                f"band {name!r} is of dtype {dtype}, of which no {request.rules.reducer!r} can be "
                "made; with within= all bands are reduced. Leave it out: "
                f"collection.drop_vars({name!r})."
            )


def broadcast(band: xr.DataArray, like: xr.DataArray) -> xr.DataArray:
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

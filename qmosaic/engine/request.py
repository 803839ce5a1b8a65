"""What a mosaic is asked to be: the arguments, checked and settled before anything is made."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from qmosaic.collection.declarations import (
    check_decoded,
    declared_nodata,
    declared_packing,
    masked_value,
)
from qmosaic.collection.masks import fits, has_nan
from qmosaic.collection.model import (
    bands_of,
    check_choice,
    check_collection,
    is_name,
    no_name,
)
from qmosaic.collection.times import in_utc
from qmosaic.engine.deciders import Periods
from qmosaic.engine.kernels import Order, Ties

Masked = Literal["keep", "skip", "fill"]
Provenance = bool | Sequence[Hashable]
Collection = TypeVar("Collection", xr.Dataset, xr.DataArray)


@dataclass(frozen=True)
class Rules:
    """The arguments of `quality_mosaic` beside the collection and its quality, as they are given.

    Attributes
    ----------
    dim, ties, masked, fill_value, min_quality, upper_bound, provenance
        See there.
    ranks : int or None
        How many images of each pixel are wanted; None for one, without a dimension of ranks.
    """

    dim: Hashable = "time"
    ties: Ties = "first"
    masked: Masked = "keep"
    fill_value: Any = None
    min_quality: Any = None
    upper_bound: Any = None
    provenance: Provenance = False
    ranks: int | None = None

    def check(self) -> None:
        """Refuse choices that there are not."""
        check_choice("ties", self.ties, ("first", "last"))
        check_choice("masked", self.masked, ("keep", "skip", "fill"))


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
    """

    collection: xr.Dataset
    quality_band: Hashable
    rules: Rules
    order: Order
    finer: Mapping[Hashable, Order] = field(default_factory=dict)
    periods: Periods | None = None

    @cached_property
    def quality(self) -> xr.DataArray:
        """Give the band that orders the images, with the dimensions of all that do."""
        quality = self.collection[self.quality_band]
        for name in self.finer:
            quality = broadcast(quality, self.collection[name])
        return quality

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
        return has_nan(self.collection[name].dtype) or self.nodata[name] is not None

    def can_lack_candidate(self) -> bool:
        """Whether there can be pixels without any candidate."""
        periods = () if self.periods is None else self.periods.members
        return (
            (self.rules.ranks or 1) > self.collection.sizes[self.dim]
            or not all(periods)
            or self.can_be_masked(self.quality_band)
            or self.order.min_quality is not None
            or (self.rules.masked == "skip" and any(map(self.can_be_masked, self.bands)))
        )

    def fill(self, name: Hashable) -> Any:
        """Give the value that stands for "masked" in the mosaic's band."""
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
    first, *others = quality_names(quality_band, collection)
    check_collection(collection, first, rules.dim)
    order = _order(collection[first], rules)
    finer = {name: _finer_order(collection, name, rules) for name in others}
    request = Request(collection, first, rules, order, finer, periods)
    _check_fills(request)
    _check_names(request)
    return request


def quality_names(quality_band: Any, collection: xr.Dataset) -> list[Hashable]:
    """Name the bands that order the images.

    Raises
    ------
    ValueError
        There are none, or one of them twice.
    """
    if isinstance(quality_band, list):
        names = list(quality_band)
    elif isinstance(quality_band, tuple) and quality_band not in collection.variables:
        names = list(quality_band)
    else:
        return [quality_band]
    if not all(map(is_name, names)):
        raise no_name(quality_band, "quality_band", "collection.assign(quality=...)")
    if not names:
        raise ValueError(
            f"quality_band={quality_band!r} names no band, so nothing orders the images. Write the "
            "name of a band, or a list of names: each band decides among those that are equal in "
            "the bands before it."
        )
    if len(set(names)) < len(names):
        raise ValueError(
            f"quality_band={quality_band!r} names a band twice, and the second time it decides "
            "nothing. Write each name once."
        )
    return names


def _finer_order(collection: xr.Dataset, name: Hashable, rules: Rules) -> Order:
    """Settle how a band orders images of the same quality."""
    check_collection(collection, name, rules.dim)
    band = collection[name]
    check_decoded(band, "quality_mosaic()", order_only=True)
    descending = declared_packing(band)[0] < 0
    return Order(ties=rules.ties, nodata=declared_nodata(band), descending=descending)


def _check_kind(collection: Any, dim: Hashable) -> None:
    """Refuse what is no collection."""
    if not isinstance(collection, xr.Dataset):
        raise TypeError(
            f"quality_mosaic() got a {type(collection).__name__}; a collection is an "
            f"xarray.Dataset with a dimension {dim!r}, or a DataArray with a dimension 'band'. "
            "Write xr.open_zarr(...) for a Zarr store, xr.concat(images, 'time') for a list of "
            "images, collection.dataset for an ImageCollection of qmosaic.ee."
        )


def _order(quality: xr.DataArray, rules: Rules) -> Order:
    """Settle how images are ranked."""
    check_decoded(quality, "quality_mosaic()", order_only=True)
    descending = declared_packing(quality)[0] < 0
    order = Order(
        ties=rules.ties,
        nodata=declared_nodata(quality),
        min_quality=_threshold("min_quality", rules.min_quality, quality.dtype, descending),
        upper_bound=_threshold("upper_bound", rules.upper_bound, quality.dtype, descending),
        descending=descending,
    )
    _check_bound(order, quality)
    return order


def _threshold(name: str, value: Any, dtype: np.dtype[Any], descending: bool) -> Any:
    """Bring a bound into the dtype of the scores, so that integers are compared as integers.

    Where the lowest score wins, a bound is rounded and cut off the other way.
    """
    if value is None:
        return None
    if isinstance(value, complex | str | bytes) or np.ndim(value) or math.isnan(value):
        raise ValueError(
            f"{name}={value!r} cannot be compared with a quality of dtype {dtype}: give a single "
            "number, or leave it out."
        )
    if dtype.kind == "f":
        return dtype.type(value)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    worst, best = (high, low) if descending else (low, high)
    if (value < best) if descending else (value > best):
        if name == "min_quality":
            side, other = ("below", "higher") if descending else ("above", "lower")
            why = ", whose scale_factor is negative," if descending else ""
            raise ValueError(
                f"min_quality={value!r} is {side} everything that the quality{why} of dtype "
                f"{dtype} can hold ({best}): no image would be a candidate anywhere. Give a "
                f"{other} one."
            )
        return None  # nothing can reach such a bound, so it never stops the search
    if not math.isfinite(value):
        return dtype.type(worst)
    return dtype.type(min(high, math.floor(value)) if descending else max(low, math.ceil(value)))


def _check_bound(order: Order, quality: xr.DataArray) -> None:
    """Refuse a best score that counts as masked."""
    if order.upper_bound is None or order.nodata is None or order.upper_bound != order.nodata:
        return
    raise ValueError(
        f"upper_bound={order.upper_bound} is also the nodata that the quality {quality.name!r} "
        "declares, so the best images would be masked. xarray keeps attributes in arithmetic, so "
        "a score that is made of a band may declare the nodata of that band: remove it from the "
        "score (_FillValue, nodata or missing_value in its attrs), or leave upper_bound= out."
    )


def _check_fills(request: Request) -> None:
    """Refuse a fill value that a band which needs it cannot hold."""
    if request.rules.fill_value is None:
        return
    for name in request.bands:
        dtype = request.collection[name].dtype
        needs = dtype.kind in "iu" and request.nodata[name] is None
        if needs and not fits(request.rules.fill_value, dtype):
            raise ValueError(
                f"fill_value={request.rules.fill_value!r} does not fit band {name!r} of dtype "
                f"{dtype}, which would get it where no image is a candidate; dtypes are kept. Give "
                "an integer in its range, or declare a nodata for the band: "
                f"ds[{name!r}].attrs['_FillValue'] = ..."
            )


def _check_names(request: Request) -> None:
    """Refuse a variable that stands where it has to be written from which image pixels are."""
    taken = {
        coordinate: name
        for name in request.bands
        for coordinate in source_coordinates(request, name)
        if coordinate in request.collection.variables
        and not _goes(request.collection, coordinate, request.dim)
    }
    for coordinate, name in taken.items():
        asked = "masked='fill'" if request.rules.masked == "fill" else "provenance="
        raise ValueError(
            f"the collection has a variable {coordinate!r}, but {asked} writes there from which "
            f"image each pixel of {name!r} is. Rename it: "
            f"ds.rename({{{coordinate!r}: ...}})."
        )


def _goes(collection: xr.Dataset, name: Hashable, dim: Hashable) -> bool:
    """Whether a variable is a coordinate that goes together with the images."""
    return name in collection.coords and dim in collection[name].dims


SOURCE_INDEX, SOURCE_TIME, VALID_COUNT = "source_index", "source_time", "valid_count"


def asked_provenance(request: Request) -> list[Hashable]:
    """Name what is to be said of where pixels come from.

    Raises
    ------
    ValueError
        There is no such coordinate along time.
    """
    asked, dim = request.rules.provenance, request.dim
    timed = isinstance(request.collection.indexes.get(dim), pd.DatetimeIndex)
    if asked is True:
        return [SOURCE_INDEX, *([SOURCE_TIME] if timed else []), VALID_COUNT]
    if asked is False:
        return []
    coords = request.collection.coords
    known = [n for n, c in coords.items() if c.dims == (dim,) and n != dim]
    own = [SOURCE_INDEX, SOURCE_TIME, VALID_COUNT]
    names: list[Any] = [asked] if isinstance(asked, str) or not np.iterable(asked) else list(asked)
    for name in names:
        if name in own and (name != SOURCE_TIME or timed):
            continue
        if name == SOURCE_TIME:
            raise ValueError(
                f"provenance= asks for 'source_time', but there are no times along {dim!r}. Write "
                f"collection.assign_coords({dim}=pandas.to_datetime([...])), or ask for "
                "'source_index', the position of the image."
            )
        if name not in known:
            raise ValueError(
                f"provenance= asks for {name!r}, which is none of {', '.join(map(repr, own))} and "
                f"no coordinate along {dim!r}; these are {', '.join(map(repr, known)) or 'none'}. "
                f"Add it, collection.assign_coords({{{name!r}: ({dim!r}, [...])}}), or leave it "
                "out."
            )
    return list(dict.fromkeys(names))


def source_coordinates(request: Request, band: Hashable) -> dict[Hashable, Hashable]:
    """Name the coordinates that say where the pixels of a band come from, and what each says.

    With ``masked="fill"`` each band has its own, and says at least from which image it is.
    """
    asked = asked_provenance(request)
    if request.rules.masked != "fill":
        return {name: name for name in asked}
    own = [name for name in asked if name != VALID_COUNT]
    if SOURCE_INDEX not in own and request.can_be_masked(band):
        own.insert(0, SOURCE_INDEX)
    found: dict[Hashable, Hashable] = {f"{band}_{name}": name for name in own}
    if VALID_COUNT in asked:
        found[VALID_COUNT] = VALID_COUNT
    return found


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

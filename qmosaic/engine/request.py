"""What a mosaic is asked to be: the arguments, checked and settled before anything is made."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import (
    check_decoded,
    declared_nodata,
    declared_packing,
    masked_value,
)
from qmosaic.collection.masks import fits, has_nan
from qmosaic.collection.model import bands_of, check_choice, check_collection
from qmosaic.collection.times import in_utc
from qmosaic.engine.kernels import Order, Ties

Masked = Literal["keep", "skip", "fill"]
Collection = TypeVar("Collection", xr.Dataset, xr.DataArray)


@dataclass(frozen=True)
class Rules:
    """The arguments of `quality_mosaic` beside the collection and its quality, as they are given.

    Attributes
    ----------
    dim, ties, masked, fill_value, min_quality, upper_bound
        See there.
    """

    dim: Hashable
    ties: Ties
    masked: Masked
    fill_value: Any
    min_quality: Any
    upper_bound: Any

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
    among_empty : bool
        Whether some of the mosaics beside it have no image at all, so that every band has to say
        what stands for masked.
    """

    collection: xr.Dataset
    quality_band: Hashable
    rules: Rules
    order: Order
    among_empty: bool

    @property
    def quality(self) -> xr.DataArray:
        """Give the band that orders the images."""
        return self.collection[self.quality_band]

    @property
    def dim(self) -> Hashable:
        """Name the dimension of the images."""
        return self.rules.dim

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
        return (
            self.among_empty
            or self.can_be_masked(self.quality_band)
            or self.order.min_quality is not None
            or (self.rules.masked == "skip" and any(map(self.can_be_masked, self.bands)))
        )

    def fill(self, name: Hashable) -> Any:
        """Give the value that stands for "masked" in the mosaic's band."""
        return masked_value(self.collection[name], self.rules.fill_value)


def make_request(
    collection: Any, quality_band: Hashable, rules: Rules, among_empty: bool = False
) -> Request:
    """Check what is asked for, and bring it into the dtype of the quality; nothing is read.

    Parameters
    ----------
    collection, quality_band
        As for `quality_mosaic`; a Dataset.
    rules : Rules
        Its other arguments.
    among_empty : bool, default: False
        See `Request`.
    """
    _check_kind(collection, rules.dim)
    collection = in_utc(collection)
    check_collection(collection, quality_band, rules.dim)
    order = _order(collection[quality_band], rules)
    request = Request(collection, quality_band, rules, order, among_empty)
    _check_fills(request)
    _check_names(request)
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
    """Refuse a variable that stands where the provenance of a band has to."""
    for name in request.bands if request.rules.masked == "fill" else []:
        taken = f"{name}_image"
        if request.can_be_masked(name) and taken in request.collection.variables:
            raise ValueError(
                f"the collection has a variable {taken!r}, but masked='fill' writes there from "
                f"which image each pixel of {name!r} is. Rename one of the two: "
                f"ds.rename({{{taken!r}: ...}})."
            )

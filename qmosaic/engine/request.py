"""What a mosaic is asked to be: the arguments, checked and settled before anything is made."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from qmosaic.collection.location import with_crs_coordinate
from qmosaic.collection.masks import fits, has_nan
from qmosaic.collection.model import (
    bands_of,
    check_choice,
    check_collection,
    check_sizes,
    is_name,
    no_name,
)
from qmosaic.collection.times import in_utc
from qmosaic.engine.deciders import Periods
from qmosaic.engine.kernels import Order, Ties
from qmosaic.engine.neighbours import Favour
from qmosaic.engine.reducing import Reducer
from qmosaic.engine.surroundings import check_surroundings, favour_of, smoothed_quality

Masked = Literal["keep", "skip", "fill"]
Provenance = bool | Sequence[Hashable]
Collection = TypeVar("Collection", xr.Dataset, xr.DataArray)


@dataclass(frozen=True)
class Rules:
    """The arguments of `quality_mosaic` beside the collection and its quality, as they are given.

    Attributes
    ----------
    dim, ties, masked, fill_value, min_quality, upper_bound, provenance, smooth, scene_bonus, \
scene_radius
        See there.
    ranks : int or None
        How many images of each pixel are wanted; None for one, without a dimension of ranks.
    within : scalar or None
        How far behind the best a quality may be for its image to count; None for one image.
    reducer : {"median", "mean"} or number
        What is made of the images that count.
    medoid : bool
        Whether the image closest to the median wins, and no quality decides.
    compared : hashable, sequence of hashable or None
        The bands of which that is; None for all.
    """

    dim: Hashable = "time"
    ties: Ties = "first"
    masked: Masked = "keep"
    fill_value: Any = None
    min_quality: Any = None
    upper_bound: Any = None
    provenance: Provenance = False
    ranks: int | None = None
    within: Any = None
    reducer: Any = "median"
    medoid: bool = False
    compared: Any = None
    smooth: Any = None
    scene_bonus: Any = None
    scene_radius: Any = None

    def check(self) -> None:
        """Refuse choices that there are not."""
        check_choice("ties", self.ties, ("first", "last"))
        check_choice("masked", self.masked, ("keep", "skip", "fill"))
        check_reduction(self)


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
        return quality

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
        return has_nan(self.collection[name].dtype) or self.nodata[name] is not None

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
        order = _order(collection[first], rules)
        finer = {name: _finer_order(collection, name, rules) for name in others}
        request = Request(collection, first, rules, order, finer, periods)
    check_reducible(request)
    _check_fills(request)
    _check_names(request)
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


def compared_names(collection: xr.Dataset, rules: Rules) -> tuple[Hashable, ...]:
    """Name the bands in which images are compared with their median.

    Raises
    ------
    KeyError
        There is no such band.
    TypeError
        One is not numeric.
    ValueError
        There are none, one twice, or one whose dimensions are not those of the others.
    """
    asked, dim = rules.compared, rules.dim
    check_sizes(collection, dim)
    known = bands_of(collection, dim)
    if asked is None:
        names = [n for n in known if collection[n].ndim > 1 and collection[n].dtype.kind in "biuf"]
    elif isinstance(asked, str) or (is_name(asked) and asked in known):
        names = [asked]
    else:
        names = list(asked) if np.iterable(asked) else [asked]
    if not names:
        raise ValueError(
            f"bands={asked!r} names no band, so there is nothing in which images could be "
            f"compared. Name some of {', '.join(map(repr, known)) or 'the bands (there are none)'}."
        )
    for name in names:
        if not is_name(name) or name not in known:
            raise KeyError(
                f"bands= names {name!r:.80}, which is no band of the collection: these are "
                f"{', '.join(map(repr, known))}. Write some of these."
            )
        if collection[name].dtype.kind not in "biuf":
            raise TypeError(
                f"bands= names {name!r} of dtype {collection[name].dtype}, which has no distance "
                "from a median. Name numeric bands; the others are taken from the same images."
            )
    if len(set(names)) < len(names):
        raise ValueError(
            f"bands={asked!r} names a band twice, and it would count twice. Write each name once."
        )
    check_collection(collection, names[0], dim)
    first = set(collection[names[0]].dims)
    for name in names[1:]:
        if set(collection[name].dims) != first:
            raise ValueError(
                f"bands to be compared have a value each for every pixel, but {name!r} has "
                f"dimensions {', '.join(map(repr, collection[name].dims))}, {names[0]!r} has "
                f"{', '.join(map(repr, collection[names[0]].dims))}. Name bands of the same "
                "dimensions: bands=[...]."
            )
    return tuple(names)


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
        dtype = request.dtype(name)
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
    if request.rules.within is not None:
        return counts_only(asked)
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


def counts_only(asked: Provenance) -> list[Hashable]:
    """Name what can be said of pixels that are made of several images."""
    names = [asked] if isinstance(asked, str | bool) or not np.iterable(asked) else list(asked)
    others = [name for name in names if name not in (True, False, VALID_COUNT)]
    if others:
        raise ValueError(
            f"provenance= asks for {', '.join(map(repr, others))}, but with within= a pixel is "
            "made of several images. Write provenance=['valid_count'] for how many candidates it "
            "had, or leave within= out."
        )
    return [VALID_COUNT] if any(names) else []


def check_reduction(rules: Rules) -> None:
    """Refuse a tolerance, or a reduction, that there is not.

    Raises
    ------
    ValueError
        `within` is no distance, `reducer` names none, or other arguments do not go with them.
    """
    within, reducer = rules.within, rules.reducer
    if within is None:
        if reducer != "median":
            raise ValueError(
                f"reducer={reducer!r} says what becomes of several images, but one image wins "
                "each pixel: within= is left out. Write within=0.05, how far behind the best the "
                "quality of an image may be, or leave reducer= out."
            )
        return
    if not _is_number(within) or not within >= 0:
        raise ValueError(
            f"within={within!r} is no distance: it says how far behind the best the quality of an "
            "image may be. Give a number from 0 on, in the numbers of the quality band, such as "
            "within=0.05."
        )
    if reducer not in ("median", "mean") and not (_is_number(reducer) and 0 <= reducer <= 100):
        raise ValueError(
            f"reducer={reducer!r} is none of 'median', 'mean' and a percentile. Write one of the "
            "two names, or the percentile as a number from 0 to 100, such as reducer=25."
        )
    if rules.scene_bonus is not None:
        raise ValueError(
            f"scene_bonus={rules.scene_bonus!r} prefers images that win pixels around, but with "
            "within= no single image wins: all whose quality is close to the best count. Leave "
            "scene_bonus= out, or write smooth= in its place, which averages the quality itself."
        )
    if rules.masked == "fill":
        raise ValueError(
            "masked='fill' takes a band from the best image in which it is valid, but with within= "
            "bands are reduced over several images, each over those in which it is valid. Leave "
            "masked= out, or write masked='skip' to count only images in which all are."
        )


def _is_number(given: Any) -> bool:
    kinds = int | float | np.integer | np.floating
    return isinstance(given, kinds) and not isinstance(given, bool | np.bool_)


def reducer_of(rules: Rules) -> Reducer | None:
    """Say what is made of the images that count; None where one image wins each pixel."""
    if rules.within is None:
        return None
    if _is_number(rules.reducer):
        return Reducer("percentile", float(rules.reducer))
    return Reducer(rules.reducer)


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
    if request.rules.scene_bonus is not None:
        raise ValueError(
            f"scene_bonus={request.rules.scene_bonus!r} prefers single images, and within= reduces "
            "bands over several: leave one of them out. smooth= goes together with within=."
        )
    for name in request.bands:
        dtype = request.collection[name].dtype
        if dtype.kind not in "biuf":
            raise TypeError(
                f"band {name!r} is of dtype {dtype}, of which no {request.rules.reducer!r} can be "
                "made; with within= all bands are reduced. Leave it out: "
                f"collection.drop_vars({name!r})."
            )


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

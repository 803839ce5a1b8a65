"""The bands that decide which image wins: what they are, and how each orders the images."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import check_decoded, declared_nodata, declared_packing
from qmosaic.collection.model import bands_of, check_collection, check_sizes, is_name, no_name
from qmosaic.engine.kernels import Order
from qmosaic.engine.rules import Rules


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
    if all(collection[name].dims == (dim,) for name in names):
        raise ValueError(
            f"bands={asked!r} have one number for an image, so all pixels would come from the same "
            "image. Name bands that have a value for each pixel; the others are taken along."
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


def order_of(quality: xr.DataArray, rules: Rules) -> Order:
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


def finer_order_of(collection: xr.Dataset, name: Hashable, rules: Rules) -> Order:
    """Settle how a band orders images of the same quality."""
    check_collection(collection, name, rules.dim)
    band = collection[name]
    check_decoded(band, "quality_mosaic()", order_only=True)
    descending = declared_packing(band)[0] < 0
    return Order(ties=rules.ties, nodata=declared_nodata(band), descending=descending)


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

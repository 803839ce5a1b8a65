"""What a collection is: its dimension of images, its bands, their declared nodata, and the
checks."""

from __future__ import annotations

import difflib
import keyword
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import xarray as xr


def bands_of(collection: xr.Dataset, dim: Hashable) -> list[Hashable]:
    """Name the bands: the data variables that have the dimension of the images."""
    return [name for name, band in collection.data_vars.items() if dim in band.dims]


def sources_of(data: xr.Dataset | xr.DataArray) -> set[str]:
    """Name the files and stores that an object of xarray says it is read from."""
    named = [data.encoding.get("source")]
    if isinstance(data, xr.Dataset):
        named += [variable.encoding.get("source") for variable in data.variables.values()]
    return {str(source) for source in named if source}


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Refuse a value that is not among the choices, and name the one that was probably meant."""
    choices = list(choices)
    if value in choices:
        return
    close = difflib.get_close_matches(str(value), choices, n=1)
    hint = f" Did you mean {name}={close[0]!r}?" if close else ""
    raise ValueError(f"{name}={value!r} is not known; it takes {_listed(choices)}.{hint}")


def check_collection(collection: xr.Dataset, quality_band: Hashable, dim: Hashable) -> None:
    """Refuse what cannot be mosaicked, before anything is computed.

    Raises
    ------
    KeyError
        There is no such band.
    ValueError
        No time dimension, no image, chunks of unknown size, bands on another grid.
    TypeError
        The quality band has no order, or something else than its name was given.
    """
    if not is_name(quality_band):
        raise no_name(quality_band, "quality_band", "collection.assign(quality=...)")
    check_sizes(collection, dim)
    bands = bands_of(collection, dim)
    if quality_band not in bands:
        raise _no_such_band(collection, quality_band, dim, bands)
    _check_order(collection[quality_band])
    for name in bands:
        _check_grid(collection, quality_band, name, dim)


def check_sizes(collection: xr.Dataset, dim: Hashable) -> None:
    """Refuse a collection without the dimension of the images, or without images."""
    if dim not in collection.dims:
        raise ValueError(
            f"the collection has no dimension {dim!r}, along which its images would lie; its "
            f"dimensions are {_listed(collection.dims)}. Name yours with dim=..., or give a single "
            f"image one: ds.expand_dims({dim!r})."
        )
    if collection.sizes[dim] == 0:
        raise ValueError(
            f"the collection has zero images (dimension {dim!r} has length 0): there is nothing to "
            "choose from. Check the filter that made it."
        )


def is_name(given: object) -> bool:
    """Tell whether something can be the name of a band."""
    try:
        hash(given)
    except TypeError:
        return False
    return True


def no_name(given: Any, argument: str, adding: str) -> TypeError:
    """Make the error for something else than the name of the band that orders the images.

    Parameters
    ----------
    given : object
        An array, an image or a list of names.
    argument : str
        What it was given for.
    adding : str
        How a band called quality is added to a collection.
    """
    kind = type(given).__name__
    article = "an" if kind[0] in "AEIOUaeiou" else "a"
    if isinstance(given, list | tuple | set) and all(map(is_name, given)):
        one = len(given) == 1
        hint = f"Write {next(iter(given))!r}." if one else "Write the name of one of them."
        return TypeError(
            f"{argument}={given!r:.80} is {article} {kind}; it takes the name of one band, which "
            f"orders the images. {hint}"
        )
    return TypeError(
        f"{argument}= got {article} {kind}; it takes the name of a band of the collection, which "
        f"orders the images. Add the band, {adding}, if it is not there yet, and write its name, "
        "'quality'."
    )


def _no_such_band(
    collection: xr.Dataset, quality_band: Hashable, dim: Hashable, bands: list[Hashable]
) -> KeyError:
    if quality_band in collection.variables:
        return KeyError(
            f"{quality_band!r} has dimensions {_listed(collection[quality_band].dims)} and no "
            f"{dim!r}, or "
            f"is a coordinate: it is not a band, and cannot order images. The bands are "
            f"{_listed(bands)}."
        )
    close = difflib.get_close_matches(str(quality_band), [str(b) for b in bands], n=1)
    called = str(quality_band)
    if not called.isidentifier() or keyword.iskeyword(called):
        called = "quality"
    hint = f"Did you mean {close[0]!r}?" if close else f"Add one with ds.assign({called}=...)."
    return KeyError(
        f"there is no band {quality_band!r} to order the images by; the bands are "
        f"{_listed(bands)}. {hint}"
    )


def _check_order(quality: xr.DataArray) -> None:
    if quality.dtype.kind not in "biuf":
        raise TypeError(
            f"the quality band {quality.name!r} is of dtype {quality.dtype}, which has no "
            f"numeric order, so no "
            "image can be the highest. Make a score of integers, floats or bools, for instance "
            "with "
            "ds.assign(quality=...)."
        )


def _check_grid(
    collection: xr.Dataset, quality_band: Hashable, name: Hashable, dim: Hashable
) -> None:
    band, quality = collection[name], collection[quality_band]
    if any(np.isnan(size) for sizes in getattr(band, "chunks", None) or () for size in sizes):
        raise ValueError(
            f"band {name!r} has dask chunks of unknown size, so it cannot be cut into blocks of "
            f"the map. Call "
            "compute_chunk_sizes() on its dask array first."
        )
    own = [d for d in band.dims if d != dim]
    missing = [d for d in quality.dims if d != dim and d not in own]
    foreign = [d for d in own if d not in quality.dims]
    if own and missing and foreign:
        raise ValueError(
            f"band {name!r} has dimensions {_listed(band.dims)}, the quality band {quality_band!r} "
            f"has {_listed(quality.dims)}: they are not on the same grid, so a pixel of one is "
            f"no pixel of the other. "
            f"Bring them onto one grid first (interp, reproject or odc.stac.load with one geobox), "
            f"or leave the band out: ds.drop_vars({name!r})."
        )


def _listed(names: Iterable[Hashable]) -> str:
    return ", ".join(repr(name) for name in names) or "none"

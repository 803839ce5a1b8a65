"""Single images, and collections, put together along time."""

from __future__ import annotations

from collections.abc import Hashable

import dask
import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.location import GRID_MAPPING
from qmosaic.ee.collections.widening import on_one_map
from qmosaic.ee.names import LACKING, TIME, along_time, lacking
from qmosaic.ee.pixels import masked_like, refill
from qmosaic.ee.properties import nothing


def stacked(images: list[xr.Dataset]) -> xr.Dataset:
    """Stack single images along time; their properties become coordinates along time."""
    return joined([along_time(image) for image in _with_known_texts(images)])


def _with_known_texts(images: list[xr.Dataset]) -> list[xr.Dataset]:
    """Read the texts among the properties that are lazy: dask with NumPy 1 cuts them to the first.

    A single text out of an array is only as wide as it is long, whatever dtype dask announces.
    """
    lazy = [
        {name: c.variable for name, c in image.coords.items() if _is_lazy_text(c)}
        for image in images
    ]
    if not any(lazy):
        return images
    (texts,) = dask.compute(lazy)
    return [image.assign_coords(own) for image, own in zip(images, texts, strict=True)]


def _is_lazy_text(values: xr.DataArray) -> bool:
    return values.dtype.kind == "U" and isinstance(values.data, da.Array)


def joined(parts: list[xr.Dataset]) -> xr.Dataset:
    """Concatenate collections: bands get one nodata value, images the properties of all.

    A band that only some images have is masked in the others, which are told to lack it. Images
    that were cut to different regions are masked where they do not reach.
    """
    parts = _with_all_bands(on_one_map([p for p in parts if p.sizes[TIME]] or parts[:1]))
    parts = _with_one_grid(parts)
    masked = {name: refill([part[name] for part in parts]) for name in parts[0].data_vars}
    alike = [
        _with_properties(part, parts).assign({n: b[i].variable for n, b in masked.items()})
        for i, part in enumerate(parts)
    ]
    try:
        joined: xr.Dataset = xr.concat(
            alike,
            TIME,
            data_vars="minimal",
            coords="minimal",
            compat="override",
            join="exact",
            combine_attrs="override",
        )
    except ValueError as error:
        raise ValueError(
            f"ee.ImageCollection: the images are not on one grid ({error}). Bring them onto one "
            "first, with open_collection(..., geobox=...) or odc-geo's reproject."
        ) from error
    return joined


def _with_one_grid(parts: list[xr.Dataset]) -> list[xr.Dataset]:
    """Give constants, which have no pixels, the grid of the other images."""
    placed = [bool(set(part.dims) - {TIME}) for part in parts]
    if not any(placed) or all(placed):
        return parts
    grid = {
        name: c
        for name, c in parts[placed.index(True)].coords.items()
        if TIME not in c.dims and (c.ndim or GRID_MAPPING & set(c.attrs))
    }
    return [p if has else p.assign_coords(grid) for p, has in zip(parts, placed, strict=True)]


def _with_all_bands(parts: list[xr.Dataset]) -> list[xr.Dataset]:
    """Give every collection the bands of all, masked where it lacks them."""
    like: dict[Hashable, xr.DataArray] = {}
    for part in parts:
        for name, band in part.data_vars.items():
            like.setdefault(name, band)
    lacked = {name for name in like if not all(name in part.data_vars for part in parts)}
    flagged = lacked.union(*(lacking(part) for part in parts))
    return [_with_bands(part, like, flagged) for part in parts]


def _with_bands(
    part: xr.Dataset, like: dict[Hashable, xr.DataArray], flagged: set[Hashable]
) -> xr.Dataset:
    images, known = part.sizes[TIME], lacking(part)
    flags = {
        f"{LACKING}{name}": (TIME, known.get(name, np.full(images, name not in part.data_vars)))
        for name in flagged
    }
    missing = {n: masked_like(b, images) for n, b in like.items() if n not in part.data_vars}
    if not part.data_vars and like:
        part = part.assign_coords(_grid_of(next(iter(like.values()))))
    in_order = part.assign(missing)[list(like)] if like else part
    return in_order.assign_coords(flags)


def _grid_of(band: xr.DataArray) -> dict[Hashable, xr.DataArray]:
    """Give the CRS of a band: what is no property of an image."""
    return {
        name: c for name, c in band.coords.items() if c.ndim == 0 and GRID_MAPPING & set(c.attrs)
    }


def _with_properties(part: xr.Dataset, parts: list[xr.Dataset]) -> xr.Dataset:
    """Add the properties that only other images have, as NaN, NaT or None."""
    missing = {}
    for other in parts:
        for name, c in other.coords.items():
            if name not in part.coords and c.dims == (TIME,):
                missing[name] = (TIME, nothing(c.dtype, part.sizes[TIME]))
    shared = [set(p.coords) for p in parts]
    extra = [
        n
        for n, c in part.coords.items()
        if c.dims != (TIME,) and not all(n in names for names in shared)
    ]
    return part.drop_vars(extra).assign_coords(missing)

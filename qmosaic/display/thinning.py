"""Fewer pixels of a large image: of its level that fits, every k-th row and column, from the middle
of what they stand for."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from qmosaic.collection.levels import fitting
from qmosaic.collection.location import map_axes
from qmosaic.collection.transforms import true_to_grid
from qmosaic.sink import open_mosaic


def shown(image: Any, caller: str) -> xr.Dataset:
    """Take what can be shown: a Dataset, a band, the path of a store, or what has one in its
    ``dataset``.

    The numbers of an image of `qmosaic.ee` are those that are stored, as in its arithmetic and in
    Earth Engine: what they are packed with does not count.

    Raises
    ------
    TypeError
        It is nothing of the kind.
    ValueError
        It is the path of a file that is no Zarr store.
    """
    if isinstance(image, str | Path):
        image = _opened(str(image), caller)
    if isinstance(image, pd.DataFrame):
        raise TypeError(
            f"{caller} got a table; it shows an image. Of contributions, "
            "qmosaic.display.shares(table) draws bars, and qmosaic.display.provenance(mosaic) the "
            "map that belongs to them."
        )
    if not isinstance(image, xr.Dataset | xr.DataArray) and hasattr(image, "dataset"):
        image = image.dataset.assign({n: as_stored(b) for n, b in image.dataset.data_vars.items()})
    if isinstance(image, xr.DataArray):
        if "band" in image.dims:
            bands: xr.Dataset = image.to_dataset("band")
            return true_to_grid(bands)
        if image.name in image.coords and image.ndim > 1:  # a coordinate on the map, by itself
            image = image.drop_vars([image.name])
        image = image.to_dataset(name=image.name if image.name is not None else "band")
    if not isinstance(image, xr.Dataset):
        raise TypeError(
            f"{caller} got a {type(image).__name__}; it shows an image, an xarray.Dataset or "
            "DataArray: a mosaic, or collection.isel(time=0); or the path of a mosaic's store."
        )
    return true_to_grid(image)


EMPTIED = "qmosaic_emptied"
"""The attribute in which `qmosaic.ee` says which filter left no image."""


def why_nothing(thing: Any) -> str | None:
    """Say why there is nothing to show of a collection that has no image, or no feature, left, or
    of the mosaic of one, which has no bands; None where there is something."""
    dataset = getattr(thing, "dataset", thing)
    why = "Check the filter that made it."
    if isinstance(dataset, xr.Dataset):
        there = dataset.sizes.get("time") != 0 and bool(dataset.data_vars)
        return None if there else str(dataset.attrs.get(EMPTIED, why))
    features = getattr(thing, "geodataframe", None)
    return why if isinstance(features, pd.DataFrame) and features.empty else None


def _opened(path: str, caller: str) -> xr.Dataset:
    if path.lower().endswith((".tif", ".tiff", ".nc", ".png")):
        raise ValueError(
            f"{caller} got the path {path!r}; of a path it opens a mosaic in a Zarr store. Open "
            "the file first: qmosaic.open_collection(path).isel(time=0)."
        )
    if path.lower().endswith((".shp", ".gpkg", ".kml", ".kmz", ".gml", ".fgb", ".parquet")):
        raise ValueError(
            f"{caller} got the path {path!r}, of a table; of a path it opens a mosaic in a Zarr "
            "store, or GeoJSON. Read the table first: geopandas.read_file(path)."
        )
    return open_mosaic(path)


def as_stored(band: xr.DataArray) -> xr.DataArray:
    """Take the numbers of a band as they are stored, however they are packed."""
    packing = ("scale_factor", "add_offset")
    band = band.copy(deep=False)
    band.attrs = {name: value for name, value in band.attrs.items() if name not in packing}
    return band


def bands_on_map(image: xr.Dataset, caller: str) -> list[Hashable]:
    """Name the bands that lie on a map and hold numbers.

    Raises
    ------
    ValueError
        There is none, or they are of several images.
    """
    bands = [n for n, v in image.data_vars.items() if v.ndim >= 2 and v.dtype.kind in "biuf"]
    if not bands:
        raise ValueError(
            f"{caller} got an image without any band of numbers on a map; its variables are "
            f"{', '.join(map(repr, image.data_vars)) or 'none'}."
        )
    for name in bands:
        check_one_image(image[name], caller)
    return bands


def check_one_image(band: xr.DataArray, caller: str) -> None:
    """Refuse what has more dimensions than a map.

    Raises
    ------
    ValueError
        It has.
    """
    if band.ndim > 2:
        extra = [d for d in band.dims if d not in map_axes(band, caller)]
        raise ValueError(
            f"{caller} got band {band.name!r} with dimensions {', '.join(map(repr, extra))} beside "
            f"those of the map: that is not one image. Choose one, image.isel({extra[0]}=0), "
            "or make a mosaic first."
        )


def listed(given: str | Sequence[Any]) -> list[Any]:
    """Take a list, or a text that lists: "B4, B3, B2"."""
    if isinstance(given, str):
        return [part.strip() for part in given.split(",")]
    return list(given)


def as_kept(image: xr.Dataset, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Name the bands that are asked for as the Dataset has them: an image of `qmosaic.ee` keeps a
    band called as a dimension, ``time``, as ``band:time``."""
    asked = parameters.get("bands")
    if asked is None:
        return dict(parameters)
    kept = {str(name).removeprefix("band:"): name for name in image.data_vars}
    return {**parameters, "bands": [kept.get(name, name) for name in listed(asked)]}


def only(image: xr.Dataset, bands: Any) -> xr.Dataset:
    """Leave out bands that were not asked for, so that they are not computed; where one is not
    there, `visualize` says so."""
    names = list(dict.fromkeys(listed(bands)))
    return image[names] if all(name in image.data_vars for name in names) else image


def north_up(image: xr.Dataset, caller: str) -> xr.Dataset:
    """Turn an image so that north is up and east is right, as far as its coordinates tell."""
    band = next(v for v in image.data_vars.values() if v.ndim >= 2)
    for axis, rising in zip(map_axes(band, caller), (False, True), strict=True):
        if axis in image.coords and image.sizes[axis] > 1 and image[axis].dtype.kind in "iuf":
            if (float(image[axis][-1]) > float(image[axis][0])) != rising:
                image = image.isel({axis: slice(None, None, -1)})
    return image


def at_level(image: xr.Dataset, max_size: int) -> xr.Dataset:
    """Take the level of an image from which `thin` leaves no fewer pixels than from the image
    itself.

    Levels are half as large as the one before. One with more pixels than `max_size` would be
    thinned to every second row: the next one has as many.

    Raises
    ------
    ValueError
        `max_size` is no number of pixels.
    """
    if isinstance(max_size, bool) or not isinstance(max_size, int) or max_size < 1:
        raise ValueError(f"max_size={max_size!r} is no number of pixels; give 1 or more.")
    return fitting(image, max_size // 2 + 1)


def thin(image: xr.Dataset, max_size: int) -> xr.Dataset:
    """Keep as many rows and columns as fit `max_size`, of the level that fits; of lazy images no
    more is ever held.

    Raises
    ------
    ValueError
        `max_size` is no number of pixels.
    """
    image = at_level(image, max_size)
    band = next(v for v in image.data_vars.values() if v.ndim >= 2)
    axes = map_axes(band, "a picture")
    if any(band.sizes[axis] == 0 for axis in axes):
        raise ValueError(
            f"the image has {band.sizes[axes[0]]} × {band.sizes[axes[1]]} pixels: there is nothing "
            "to show."
        )
    step = -(-max(band.sizes[axis] for axis in axes) // max_size)
    if step == 1:
        return image
    # where an axis is shorter than a step, its middle stands for it
    start = {axis: min(step // 2, band.sizes[axis] // 2) for axis in axes}
    thinned = image.isel({axis: slice(start[axis], None, step) for axis in axes})
    return true_to_grid(thinned, thinned=True)

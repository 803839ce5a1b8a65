"""The overviews of a map that was opened from a store: the same map in larger pixels."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import xarray as xr
import zarr

from qmosaic.collection.location import map_axes
from qmosaic.collection.readers import ZarrReader

OVERVIEWS = "qmosaic_overviews"
"""Where in the encoding of a variable its overviews are found."""


@dataclass(frozen=True)
class Overviews:
    """Where the overviews of a map are.

    Attributes
    ----------
    store : zarr Store
        The store.
    groups : tuple of str
        The group of each level, the finest first.
    options : mapping
        For ``xarray.open_dataset``, as the map itself was opened.
    """

    store: Any
    groups: tuple[str, ...]
    options: Mapping[str, Any]

    def opened(self, number: int, only: Iterable[Hashable] | None = None) -> xr.Dataset:
        """Open a level lazily, all of it or some variables; 0 is the map itself."""
        group, options = self.groups[number] or None, dict(self.options)
        if only is not None:
            # xarray reads a chunk of times to decode them; those that are not wanted stay unread
            there = zarr.open_group(self.store, path=group or "", mode="r", use_consolidated=False)
            dropped = {name for name in there.array_keys() if name not in set(map(str, only))}
            options["drop_variables"] = [*dropped, *_listed(options.get("drop_variables"))]
        return xr.open_dataset(self.store, engine=ZarrReader, group=group, **options)


@dataclass(frozen=True)
class Known:
    """A variable as it was opened, and where its overviews are.

    Attributes
    ----------
    overviews : Overviews
        Where they are.
    name : hashable
        What it is called in the store.
    data : str
        What dask calls its array, which anything that is computed with it is not called.
    """

    overviews: Overviews
    name: Hashable
    data: str


def with_overviews(opened: xr.Dataset, overviews: Overviews) -> xr.Dataset:
    """Note for each lazy variable of a map where its overviews are."""
    for name, variable in opened.variables.items():
        if variable.chunks is not None:
            variable.encoding[OVERVIEWS] = Known(overviews, name, variable.data.name)
    return opened


def levels_of(image: xr.Dataset) -> list[xr.Dataset]:
    """Give a map in all resolutions that its store has, the finest first.

    Parameters
    ----------
    image : xarray.Dataset
        A map as `qmosaic.open_mosaic` gives it, or some of its bands.

    Returns
    -------
    list of xarray.Dataset
        The image itself, and its overviews, with the attributes that it has. The image alone where
        it is from no store with overviews, was cut, or computed with.
    """
    overviews = _overviews_of(image)
    if overviews is None:
        return [image]
    return [image, *(_level(image, overviews, n) for n in range(1, len(overviews.groups)))]


def fitting(image: xr.Dataset, max_size: int) -> xr.Dataset:
    """Give a map in the coarsest resolution that still has so many pixels along its longer side.

    Parameters
    ----------
    image : xarray.Dataset
        A map as `qmosaic.open_mosaic` gives it, or some of its bands.
    max_size : int
        How many pixels are wanted.

    Returns
    -------
    xarray.Dataset
        The image itself where no overview has as many.
    """
    overviews = _overviews_of(image)
    if overviews is None:
        return image
    longest = _longest(image)
    numbers = range(len(overviews.groups) - 1, 0, -1)
    number = next((n for n in numbers if -(-longest // 2**n) >= max_size), 0)
    return _level(image, overviews, number) if number else image


def _longest(image: xr.Dataset) -> int:
    bands = [v for v in image.data_vars.values() if v.ndim >= 2]
    return max((band.sizes[axis] for band in bands[:1] for axis in map_axes(band, "it")), default=0)


def _overviews_of(image: xr.Dataset) -> Overviews | None:
    """Find the overviews that all lazy variables of a map share, where it is as it was opened."""
    lazy = {name: v for name, v in image.variables.items() if v.chunks is not None}
    known = {n: v.encoding[OVERVIEWS] for n, v in lazy.items() if OVERVIEWS in v.encoding}
    if not known or len(known) < len(lazy):
        return None
    found: Overviews = next(iter(known.values())).overviews
    same = all(one == Known(found, name, lazy[name].data.name) for name, one in known.items())
    held = [n for n, v in image.variables.items() if v.chunks is None and n in image.data_vars]
    return found if same and not held and _in_place(image, found) else None


def _in_place(image: xr.Dataset, overviews: Overviews) -> bool:
    """Whether the pixels lie where they do in the store: coordinates may have been replaced."""
    there = overviews.opened(0, image.indexes)
    return all(
        name in there.indexes and there.indexes[name].equals(index)
        for name, index in image.indexes.items()
    )


def _level(image: xr.Dataset, overviews: Overviews, number: int) -> xr.Dataset:
    """Open the variables of an image in a level, with the attributes that it has."""
    level = overviews.opened(number, image.variables).reset_coords()
    level = level.set_coords([name for name in image.coords if name in level.variables])
    level = level[list(image.data_vars)]
    bands = [v for v in image.data_vars.values() if v.ndim >= 2]
    on_grid = {axis for band in bands for axis in map_axes(band, "it")}
    for name in image.variables:
        if name in level.variables and on_grid & set(image[name].dims):
            level[name].attrs = dict(image[name].attrs)
    level.attrs = dict(image.attrs)
    return level


def _listed(names: Any) -> list[Any]:
    return [names] if isinstance(names, str) else list(names or ())

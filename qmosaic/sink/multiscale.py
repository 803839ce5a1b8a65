"""A map in several resolutions: how many, and how the store says so.

The full resolution lies in the group "0" of the mosaic, each overview in a group below it, "1",
"2" ..., with pixels twice as large as those of the one before. The group of the mosaic says so by
conventions that other readers know, too:

- multiscales, https://github.com/zarr-conventions/multiscales
- spatial, https://github.com/zarr-conventions/spatial
- proj, https://github.com/zarr-conventions/proj
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.kinds import overview_resampling_of
from qmosaic.collection.location import GRID_MAPPING, map_axes
from qmosaic.collection.transforms import even_step

FULL = "0"
"""The group of the full resolution."""

SMALLEST = 512
"""How many pixels along its longer side the coarsest overview has at most, where nothing is
said."""

Axes = tuple[Hashable, Hashable]


@dataclass(frozen=True)
class Pyramid:
    """The overviews of a mosaic.

    Attributes
    ----------
    axes : (hashable, hashable)
        The dimensions of the map, down and across.
    count : int
        How many there are, beside the full resolution.
    methods : mapping
        By variable, how its pixels become those of an overview.
    """

    axes: Axes
    count: int
    methods: Mapping[Hashable, str] = field(default_factory=dict)

    def said(self) -> dict[str, Any]:
        """Say it in the form in which a journal keeps it."""
        methods = {str(name): method for name, method in self.methods.items()}
        return {"levels": self.count, "overview resampling": methods}


def settle_pyramid(dataset: xr.Dataset, levels: Any, resampling: Any) -> Pyramid | None:
    """Settle which overviews a mosaic gets.

    Parameters
    ----------
    dataset : xarray.Dataset
        The mosaic.
    levels : "auto", int or None
        How many; None for a mosaic that is written as it is.
    resampling : str, mapping or None
        As `qmosaic.collection.kinds.overview_resampling_of` takes it.

    Raises
    ------
    ValueError
        There cannot be so many, or it is no map.
    """
    if levels is None:
        if resampling is not None:
            raise ValueError(
                f"overview_resampling={resampling!r} says how overviews are made, and none are "
                "asked for. Write levels='auto' too, or leave it out."
            )
        return None
    if levels != "auto" and (isinstance(levels, bool) or not isinstance(levels, int) or levels < 0):
        raise ValueError(
            f"levels={levels!r} does not say how many overviews are written: give 'auto', a whole "
            "number such as 3, or None for none."
        )
    maps = [v for v in dataset.data_vars.values() if v.ndim >= 2]
    if not maps:
        raise ValueError(
            "levels= asks for overviews of a map, and no variable has two dimensions. Leave it out."
        )
    axes = map_axes(maps[0], "to_zarr(levels=)")
    longest = max(dataset.sizes[axis] for axis in axes)
    if longest == 0:
        raise ValueError(
            "levels= asks for overviews of a map without pixels. Leave it out, or give a map."
        )
    most = int(longest - 1).bit_length()
    if levels == "auto":
        levels = max(0, (-(-longest // SMALLEST) - 1).bit_length())
    elif levels > most:
        raise ValueError(
            f"levels={levels} asks for more overviews than the map has sizes: after {most} of them "
            f"its {longest} pixels are a single one. Write levels='auto', or {most} at most."
        )
    methods = overview_resampling_of(dataset, resampling)
    of_map = {n: m for n, m in methods.items() if set(axes) <= set(dataset[n].dims)}
    return Pyramid(axes, levels, of_map)


def groups_in(state: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Name the groups of the levels of a mosaic, the finest first, by what its journal says; "" for
    one that has none, as its arrays lie in its own group."""
    count = ((state or {}).get("plan", {}).get("format") or {}).get("levels")
    return ("",) if count is None else tuple(map(str, range(count + 1)))


def conventions(dataset: xr.Dataset, pyramid: Pyramid) -> dict[str, Any]:
    """Describe a map and its overviews by the conventions of Zarr.

    Parameters
    ----------
    dataset : xarray.Dataset
        The map in its full resolution.
    pyramid : Pyramid
        Its overviews.

    Returns
    -------
    dict
        Attributes of the group.
    """
    import zarr_cm  # a mosaic without levels needs none of it

    layout = [_entry(dataset, pyramid, number) for number in range(pyramid.count + 1)]
    methods = set(pyramid.methods.values())
    multiscales: dict[str, Any] = {"layout": layout}
    if len(methods) == 1:
        multiscales["resampling_method"] = methods.pop()
    found: dict[Any, Any] = {"multiscales": multiscales}
    axes = {"spatial:dimensions": [str(axis) for axis in pyramid.axes]}
    found["spatial"] = axes | _placed(dataset, pyramid.axes, 0) | _bbox(dataset, pyramid.axes)
    crs = _crs_of(dataset)
    if crs:
        found["proj"] = crs
    attributes: dict[str, Any] = zarr_cm.create_many(found)
    return attributes


def _entry(dataset: xr.Dataset, pyramid: Pyramid, number: int) -> dict[str, Any]:
    """Describe a level: its group, from which it was made, and where its pixels lie."""
    scale = [1.0 if number == 0 else 2.0] * 2
    entry: dict[str, Any] = {"asset": str(number)}
    if number:
        entry["derived_from"] = str(number - 1)
    entry["transform"] = {"scale": scale, "translation": [0.0, 0.0]}
    return entry | _placed(dataset, pyramid.axes, number)


def _placed(dataset: xr.Dataset, axes: Axes, number: int) -> dict[str, Any]:
    """Say how many pixels a level has, and where they lie, by their corners."""
    shape = [-(-dataset.sizes[axis] // 2**number) for axis in axes]
    edges = _edges(dataset, axes)
    if edges is None:
        return {"spatial:shape": shape}
    (top, height), (left, width) = edges
    size = 2**number
    transform = [width * size, 0.0, left, 0.0, height * size, top]
    return {"spatial:shape": shape, "spatial:transform": transform}


def _bbox(dataset: xr.Dataset, axes: Axes) -> dict[str, Any]:
    edges = _edges(dataset, axes)
    if edges is None:
        return {}
    (bottom, top), (left, right) = (
        sorted((start, start + step * dataset.sizes[axis]))
        for (start, step), axis in zip(edges, axes, strict=True)
    )
    return {"spatial:bbox": [left, bottom, right, top]}


def _edges(dataset: xr.Dataset, axes: Axes) -> list[tuple[float, float]] | None:
    """Give where the first pixel begins, and the size of one, down and across; None where the
    coordinates are not even."""
    found = []
    for axis in axes:
        known = axis in dataset.coords and dataset[axis].dtype.kind in "iuf"
        values = dataset[axis].values.astype(float) if known else np.array([])
        step = even_step(values)
        if step is None:
            return None
        found.append((float(values[0]) - step / 2, step))
    return found


def _crs_of(dataset: xr.Dataset) -> dict[str, str]:
    """Give the CRS as its convention has it: a code where the text of the CRS ends with one."""
    for variable in dataset.variables.values():
        if variable.ndim == 0 and GRID_MAPPING & set(variable.attrs):
            text = variable.attrs.get("crs_wkt") or variable.attrs.get("spatial_ref")
            if text:
                return _code_of(str(text)) or {"proj:wkt2": str(text)}
    return {}


def _code_of(text: str) -> dict[str, str]:
    """Look a CRS up by its text, where pyproj is installed."""
    try:
        from pyproj import CRS
        from pyproj.exceptions import CRSError
    except ModuleNotFoundError:
        return {}
    try:
        crs = CRS.from_wkt(text)
        authority = crs.to_authority()
    except CRSError:
        return {}
    return {"proj:code": ":".join(authority)} if authority else {"proj:wkt2": crs.to_wkt()}

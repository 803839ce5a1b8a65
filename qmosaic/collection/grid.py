"""How large pixels are."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.geometry import short_crs
from qmosaic.collection.location import crs_of, map_axes, map_dims
from qmosaic.optional import needed, serving

OR_SAY_IT = "write resolution=10 (metres), or resolution=(down, across)"
"""What to do where nothing tells how large a pixel is, for functions that can be told."""


def metres_per_pixel(
    band: xr.DataArray, resolution: Any, caller: str, otherwise: str = OR_SAY_IT
) -> tuple[float, float]:
    """Give the height and width of a pixel in metres.

    Parameters
    ----------
    band : xarray.DataArray
        A band with coordinates and a CRS.
    resolution : float or (float, float), optional
        The size in metres, down and across, where it is known already.
    caller : str
        The function that asks, for errors.
    otherwise : str, optional
        What errors advise, as the second of two ways.

    Raises
    ------
    ValueError
        The CRS is in degrees or not declared, or coordinates are not evenly spaced.
    """
    if resolution is not None:
        sizes = np.abs(np.atleast_1d(np.asarray(resolution, float)))
        if sizes.size > 2 or not (np.isfinite(sizes).all() and (sizes > 0).all()):
            raise ValueError(
                f"{caller} got resolution={resolution!r}; it has to be the size of a pixel in "
                "metres, a number above 0 or two of them (down, across)."
            )
        return float(sizes[0]), float(sizes[-1])
    down, across = map_axes(band, caller)
    if down not in band.coords or across not in band.coords:
        raise ValueError(
            f"{caller} cannot tell how large a pixel is: the band has no coordinates {down!r} and "
            f"{across!r}. Add them, assign_coords({down}=..., {across}=...), or {otherwise}."
        )
    with serving("geo", "sizes of pixels in metres"):
        metres = _metres_per_unit(band, caller, otherwise)
    steps = (_step(band, dim, caller, otherwise) for dim in (down, across))
    down_step, across_step = (step * metres for step in steps)
    return down_step, across_step


def _metres_per_unit(band: xr.DataArray, caller: str, otherwise: str) -> float:
    collection = band.to_dataset(name="band to be measured")  # which no coordinate is called
    map_dims(collection)
    try:
        crs = crs_of(collection)
    except ValueError as error:
        raise ValueError(
            f"{caller} cannot tell how large a pixel is: {error} Or {otherwise}."
        ) from error
    if crs.geographic:
        raise ValueError(
            f"{caller} needs metres, and the band is in degrees ({short_crs(crs)}), whose pixels "
            "differ in size. Bring it onto a projected CRS (odc.geo's reproject, or "
            f"open_collection(..., crs=...)), or {otherwise}."
        )
    return float(crs.proj.axis_info[0].unit_conversion_factor)


def _step(band: xr.DataArray, dim: Hashable, caller: str, otherwise: str = OR_SAY_IT) -> float:
    centres = band[dim].values.astype(float)
    if len(centres) < 2:
        raise ValueError(
            f"{caller} cannot tell how large a pixel is: there is one along {dim!r} only. Take "
            f"more of the map, or {otherwise}."
        )
    steps = np.diff(centres)
    if not np.allclose(steps, steps[0], rtol=1e-3):
        raise ValueError(
            f"{caller} needs evenly spaced pixels, and those along {dim!r} are {steps.min():g} to "
            f"{steps.max():g} apart. Resample to a regular grid, or {otherwise}."
        )
    return abs(float(steps[0]))


def pixel_steps(band: xr.DataArray, caller: str) -> tuple[float, float]:
    """Give the height and width of a pixel in the unit of the coordinates."""
    down, across = map_axes(band, caller)
    if down not in band.coords or across not in band.coords:
        raise ValueError(
            f"{caller} got a band without coordinates {down!r} and {across!r}, so nothing tells "
            f"how large its pixels are. Write band.assign_coords({down}=..., {across}=...)."
        )
    return _step(band, down, caller), _step(band, across, caller)


def axis_of(image: xr.Dataset, dim: Hashable, caller: str) -> tuple[float, float]:
    """Give the edge at which an axis of a map begins, and the step to the next pixel.

    Raises
    ------
    ValueError
        There is one pixel along it only, or pixels are not evenly spaced.
    """
    centres = image[dim].values.astype(float)
    _step(image[dim], dim, caller, "assign coordinates to it")
    step = float(centres[-1] - centres[0]) / (len(centres) - 1)
    return float(centres[0]) - step / 2, step


def ground_width(band: xr.DataArray, crs: Any) -> float:
    """Measure the width of the pixel in the middle of a map on the ellipsoid, in metres.

    What a projection calls a metre need not be one: at 60° in Web Mercator it is half of that.
    """
    pyproj = needed("pyproj", "geo", "the size of pixels")
    down, across = map_axes(band, "ground_width()")
    y, x = float(band[down][band.sizes[down] // 2]), float(band[across][band.sizes[across] // 2])
    _, step = pixel_steps(band, "ground_width()")
    to_degrees = pyproj.Transformer.from_crs(crs.proj, "EPSG:4326", always_xy=True)
    (lon_a, lon_b), (lat_a, lat_b) = to_degrees.transform([x - step / 2, x + step / 2], [y, y])
    _, _, metres = pyproj.Geod(ellps="WGS84").inv(lon_a, lat_a, lon_b, lat_b)
    return float(metres)

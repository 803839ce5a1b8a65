"""The grid of a request: an image cut to a region, on the grid that is asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.clipping import clip_to, pixels_in
from qmosaic.collection.geometry import (
    LON_LAT,
    as_crs,
    as_geometry,
    everywhere,
    near,
    projected,
)
from qmosaic.collection.grid import axis_of
from qmosaic.collection.location import crs_of, extent_of, map_dims, meets_grid, whereabouts
from qmosaic.collection.nearest import EDGE, on_grid
from qmosaic.optional import needed

if TYPE_CHECKING:
    from odc.geo.crs import CRS
    from odc.geo.geobox import GeoBox
    from odc.geo.geom import Geometry

DEGREE = 6_378_137.0 * math.pi / 180
"""Metres in a degree at the equator of WGS84, which is where degrees have their true scale."""

ROUNDED = 1e-4
"""By which part a scale in metres may differ from the size of pixels: in degrees it is rounded."""

CHUNK = 2048
"""Rows and columns of a chunk of a map that is made."""

Box = tuple[float, float, float, float]
"""West, south, east, north."""


def on_grid_of(
    image: xr.Dataset,
    region: Any = None,
    scale: float | None = None,
    crs: Any = None,
    crs_transform: Sequence[float] | None = None,
    caller: str = "on_grid_of()",
    *,
    dimensions: int | tuple[int, int] | None = None,
) -> xr.Dataset:
    """Cut an image to the bounding box of a region, and bring it onto a grid by nearest neighbour.

    Parameters
    ----------
    image : xarray.Dataset
        A map, with or without other dimensions such as ``time``.
    region : what `as_geometry` takes, optional
        Its bounding box in the CRS of the grid is what counts. All pixels that the box reaches into
        are kept, as far as the image reaches. By default all of the image.
    scale : float, optional
        The side of a pixel in metres. By default, that of the image. Pixels begin at multiples of
        it; only where CRS and scale are those of the image they are its pixels.
    crs : any CRS, optional
        By default that of the image.
    crs_transform : sequence of 6 numbers, optional
        The grid, in the unit of `crs`, in place of `scale`: ``[width, 0, x, 0, -height, y]``, where
        (x, y) is a corner of a pixel.
    caller : str
        Who asks, for errors.
    dimensions : int or (int, int), optional
        In place of `scale`, the number of pixels into which the box is divided: across and down, or
        along its longer side.

    Returns
    -------
    xarray.Dataset
        With the bands, dtypes, masks and attributes of the image, and its coordinates, those on the
        map too. Lazy where the image is. North is up where pixels were taken one by one. Where the
        grid has pixels outside the image these are masked; an integer band that declares no nodata
        gets the next larger dtype for that, and a nodata.

    Raises
    ------
    ValueError
        The region does not meet the image, the image has no CRS, or the grid is none.

    Notes
    -----
    Earth Engine's ``Image.clipToBoundsAndScale``,
    https://developers.google.com/earth-engine/apidocs/ee-image-cliptoboundsandscale, which its
    exports call: "clipped to the bounding box, in the image's projection, of this geometry".
    """
    if all(one is None for one in (region, scale, crs, crs_transform, dimensions)):
        return image
    outline = None if region is None else as_geometry(region)
    asked = crs_of(image) if crs is None else as_crs(crs)
    lattice = _asked(image, outline, scale, asked, crs_transform, dimensions, caller)
    if lattice is None or lattice.is_that_of(image, caller):
        return image if outline is None else _cut(image, outline, caller)
    return on_grid(image, lattice.covering(_box(image, outline, asked, caller)), caller)


def on_grid_around(
    image: xr.Dataset,
    region: Geometry | None,
    scale: float | None,
    crs: Any,
    crs_transform: Sequence[float] | None,
    caller: str,
) -> xr.Dataset | None:
    """Bring an image onto a grid, as `on_grid_of` does, for pixels that are looked for in a region;
    None where the region lies elsewhere.

    Where the grid is that of the image, it is the image, whole. Else it is cut around the region,
    with a pixel more on each side where that is thin or a row or column would be alone: nothing
    tells how large a pixel is that is alone, and so what lies in it.
    """
    asked = crs_of(image) if crs is None else as_crs(crs)
    lattice = _asked(image, None, scale, asked, crs_transform, None, caller)
    if lattice is None or lattice.is_that_of(image, caller):
        return image
    if region is None:
        grid = lattice.covering(_box(image, None, asked, caller))
        return on_grid(image, grid.pad(1) if min(grid.shape) < 2 else grid, caller)
    if not meets_grid(image, region) and pixels_in(image, region, all_touched=True) is None:
        return None
    extent = projected(extent_of(image), asked)
    # rounding may let what lies on the very edge of an image miss it in another CRS
    missed = (everywhere(projected(near(region, extent), asked)) & extent).is_empty
    grid = lattice.covering(_box(image, None if missed else region, asked, caller))
    thin = needed("shapely", "geo", "regions").get_dimensions(region.geom) < 2
    return on_grid(image, grid.pad(1) if thin or min(grid.shape) < 2 else grid, caller)


def map_around(
    region: Geometry, scale: float | None, crs: Any, crs_transform: Any, caller: str
) -> xr.Dataset:
    """Make a map of the pixels that a region reaches into, and one more on each side: the band
    "pixels", of 0 everywhere, lazy. The CRS is longitude and latitude where none is given."""
    asked = as_crs(LON_LAT if crs is None else crs)
    if crs_transform is not None:
        lattice = _of_transform(crs_transform, asked, caller)
    else:
        _check_scale(scale, caller)
        size = float(cast("float", scale)) / nominal_scale(asked)
        lattice = Lattice(asked, 0.0, 0.0, size, size)
    left, bottom, right, top = projected(region, asked).boundingbox.bbox
    grid = lattice.covering((left, bottom, right, top)).pad(1)
    places = needed("odc.geo.xr", "geo", "grids").xr_coords(grid)
    zeros = da.zeros((grid.height, grid.width), dtype="uint8", chunks=CHUNK)
    return xr.Dataset({"pixels": (grid.dims, zeros)}, places)


def has_grid(
    image: xr.Dataset,
    scale: float | None = None,
    crs: Any = None,
    crs_transform: Sequence[float] | None = None,
    caller: str = "has_grid()",
) -> bool:
    """Tell whether a grid is that of an image, so that `on_grid_of` moves no pixel."""
    asked = crs_of(image) if crs is None else as_crs(crs)
    lattice = _asked(image, None, scale, asked, crs_transform, None, caller)
    return lattice is None or lattice.is_that_of(image, caller)


def share_pixels(image: xr.Dataset, other: xr.Dataset) -> bool:
    """Tell whether pixels of two maps lie on each other: both have one CRS and pixels of one size,
    whole pixels apart. Where a map does not tell its CRS or its grid, so it seems."""
    try:
        down, across = map_dims(other)
        caller = "share_pixels()"
        (top, height), (left, width) = (axis_of(other, dim, caller) for dim in (down, across))
        lattice = Lattice(crs_of(other), left, top, abs(width), abs(height))
        return lattice.is_that_of(image, caller)
    except (ModuleNotFoundError, ValueError):
        return True


def nominal_scale(crs: CRS) -> float:
    """Give the metres of a CRS's unit, where its scale is true.

    https://developers.google.com/earth-engine/apidocs/ee-projection-nominalscale
    """
    return DEGREE if crs.geographic else float(crs.proj.axis_info[0].unit_conversion_factor)


def _cut(image: xr.Dataset, outline: Geometry, caller: str) -> xr.Dataset:
    """Cut an image on its own grid: by slices."""
    geom, shapely = (needed(name, "geo", "regions") for name in ("odc.geo.geom", "shapely"))
    extent = extent_of(image)
    left, bottom, right, top = _meeting(image, outline, extent, caller)
    # the box of a point is a point, and that of a line along an axis a line
    box = shapely.MultiPoint([(left, bottom), (right, top)]).envelope
    return clip_to(image, geom.Geometry(box, extent.crs), caller, all_touched=True)


def _box(image: xr.Dataset, outline: Geometry | None, crs: CRS, caller: str) -> Box:
    """Give the box that is asked for, as far as the image reaches."""
    extent = projected(extent_of(image), crs)
    if outline is not None:
        return _meeting(image, outline, extent, caller)
    left, bottom, right, top = extent.boundingbox.bbox
    return left, bottom, right, top


def _meeting(image: xr.Dataset, outline: Geometry, extent: Geometry, caller: str) -> Box:
    """Give the bounding box of a region, as far as an extent reaches."""
    region = projected(outline, extent.crs)
    if (everywhere(region) & extent).is_empty:
        raise ValueError(
            f"{caller} got a region that does not meet the image{whereabouts(image)}. Give another "
            "region, or none for the whole image."
        )
    west, south, east, north = extent.boundingbox.bbox
    shared = [
        (max(left + turn, west), max(bottom, south), min(right + turn, east), min(top, north))
        for left, bottom, right, top in _boxes(region)
        for turn in ((-360, 0, 360) if extent.crs is not None and extent.crs.geographic else (0,))
    ]
    met = np.array([box for box in shared if box[0] <= box[2] and box[1] <= box[3]])
    (left, bottom, _, _), (_, _, right, top) = met.min(0), met.max(0)
    return float(left), float(bottom), float(right), float(top)


def _boxes(region: Geometry) -> list[Box]:
    """Give the bounding box of a region; of one across the antimeridian, that of each part."""
    left, bottom, right, top = region.boundingbox.bbox
    if region.crs is not None and region.crs.geographic and right - left > 180:
        return [part.bounds for part in getattr(region.geom, "geoms", [region.geom])]
    return [(left, bottom, right, top)]


# -- the grid that is asked for ------------------------------------------------------------------


@dataclass(frozen=True)
class Lattice:
    """Pixels of one size, without an end.

    Attributes
    ----------
    crs : odc.geo.crs.CRS
    x, y : float
        A corner of a pixel.
    width, height : float
        The size of a pixel, above 0.
    """

    crs: CRS
    x: float
    y: float
    width: float
    height: float

    def is_that_of(self, image: xr.Dataset, caller: str) -> bool:
        """Tell whether the pixels of an image are among these."""
        if crs_of(image) != self.crs:
            return False
        places = zip(map_dims(image), _steps(image, caller), strict=True)
        for (dim, step), size, corner in zip(
            places, (self.height, self.width), (self.y, self.x), strict=True
        ):
            centres = image[dim].values
            off = (float(centres[0]) - corner) / size - 0.5
            # over the whole map, pixels that are too large by a trifle would shift
            if abs(step / size - 1) * len(centres) > 0.01 or abs(off - round(off)) > 0.01:
                return False
        return True

    def covering(self, box: Box) -> GeoBox:
        """Give the pixels that a box reaches into."""
        left, bottom, right, top = box
        make = needed("odc.geo.geobox", "geo", "grids").GeoBox
        affine = needed("affine", "geo", "grids").Affine
        first, columns = _reached((left - self.x) / self.width, (right - self.x) / self.width)
        above, rows = _reached((self.y - top) / self.height, (self.y - bottom) / self.height)
        place = affine(
            self.width,
            0.0,
            self.x + first * self.width,
            0.0,
            -self.height,
            self.y - above * self.height,
        )
        grid: GeoBox = make((rows, columns), place, self.crs)
        return grid


def _reached(begin: float, end: float) -> tuple[int, int]:
    """Give the first of the pixels that a span reaches into, and how many they are."""
    first = math.floor(begin + EDGE)
    return first, max(1, math.ceil(end - EDGE) - first)


def _steps(image: xr.Dataset, caller: str) -> tuple[float, float]:
    down, across = (abs(axis_of(image, dim, caller)[1]) for dim in map_dims(image))
    return down, across


def _asked(
    image: xr.Dataset,
    outline: Geometry | None,
    scale: Any,
    crs: CRS,
    crs_transform: Any,
    dimensions: Any,
    caller: str,
) -> Lattice | None:
    """Settle which pixels are asked for; None where they are those of the image."""
    given = {"scale": scale, "crsTransform": crs_transform, "dimensions": dimensions}
    told = [name for name, value in given.items() if value is not None]
    if len(told) > 1:
        raise ValueError(
            f"{caller} got {' and '.join(told)}, and each of them says how large pixels are. Give "
            "one of them."
        )
    if crs_transform is not None:
        return _of_transform(crs_transform, crs, caller)
    if dimensions is not None:
        return _divided(_box(image, outline, crs, caller), dimensions, crs, caller)
    if scale is not None:
        _check_scale(scale, caller)
    own = crs_of(image)
    if crs == own and scale is None:
        return None
    down, across = _steps(image, caller)
    if scale is None:
        size = math.sqrt(down * across) * nominal_scale(own) / nominal_scale(crs)
        return Lattice(crs, 0.0, 0.0, size, size)
    size = float(scale) / nominal_scale(crs)
    same = [abs(step / size - 1) < ROUNDED for step in (down, across)]
    return None if crs == own and all(same) else Lattice(crs, 0.0, 0.0, size, size)


def _check_scale(scale: Any, caller: str) -> None:
    try:
        good = 0 < float(scale) < math.inf
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(
            f"{caller} got scale={scale!r}; it is the side of a pixel in metres, a number above 0. "
            "Write scale=10."
        )


def _of_transform(given: Any, crs: CRS, caller: str) -> Lattice:
    try:
        width, turn, x, other_turn, height, y = (float(number) for number in given)
    except (TypeError, ValueError):
        width = turn = x = other_turn = height = y = 0.0
    if not (width and height) or turn or other_turn:
        raise ValueError(
            f"{caller} got the transform {given!r}; it takes six numbers of a grid that is not "
            "turned: [width, 0, x, 0, -height, y], in the unit of the CRS; (x, y) is a corner "
            "of a pixel. Write [30, 0, 399960, 0, -30, 4200000]."
        )
    return Lattice(crs, x, y, abs(width), abs(height))


def _divided(box: Box, dimensions: Any, crs: CRS, caller: str) -> Lattice:
    """Divide a box into as many pixels as are asked for."""
    left, bottom, right, top = box
    try:
        sizes = [int(n) for n in np.atleast_1d(dimensions)]
    except (TypeError, ValueError):
        sizes = []
    if len(sizes) not in (1, 2) or min(sizes) < 1:
        raise ValueError(
            f"{caller} got dimensions={dimensions!r}; they are the numbers of pixels across and "
            "down, or one for the longer side. Write '1024x768', or 1024."
        )
    if len(sizes) == 1:
        size = max(right - left, top - bottom) / sizes[0]
        return Lattice(crs, left, top, size, size)
    return Lattice(crs, left, top, (right - left) / sizes[0], (top - bottom) / sizes[1])

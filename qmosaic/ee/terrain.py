"""``ee.Terrain``: how steep the ground is, and which way it falls."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.location import map_axes
from qmosaic.collection.masks import Array
from qmosaic.ee import ground
from qmosaic.ee.images import Image
from qmosaic.ee.images.neighbourhoods import surroundings
from qmosaic.ee.reducers import counting
from qmosaic.ee.unsupported import Hinting
from qmosaic.ee.values import known, plain
from qmosaic.scores.expressions import by_chunk

SCRATCH = 24
"""Bytes a pixel that differences need: values in float64, their mask, and the difference."""

MASKED = 65535
"""What stands for masked in a hillshade; all values from 0 to 255 are shades."""


class Terrain(Hinting):
    """What a band of elevations in metres says of the ground.

    The slope of a pixel is that between its neighbours left and right, above and below; a pixel is
    masked where one of these four is masked or missing, as along the edges of an image. Distances
    and directions are those on the ellipsoid, whatever the CRS.

    Of an image with more than one band, the band "elevation" is used.

    Examples
    --------
    A plane that rises by 1 m for each metre to the east, so that it falls to the west:

    >>> import numpy as np, odc.geo.xr, xarray as xr
    >>> from qmosaic import ee
    >>> places = {"y": [25.0, 15.0, 5.0], "x": 500_000 + np.array([5.0, 15.0, 25.0])}
    >>> plane = xr.Dataset({"elevation": (("y", "x"), np.float32([[0, 10, 20]] * 3))}, places)
    >>> image = ee.Image(plane.odc.assign_crs("EPSG:32631"))
    >>> def middle(image):
    ...     return [round(float(band[1, 1])) for band in image.dataset.values()]
    >>> middle(ee.Terrain.slope(image)), middle(ee.Terrain.aspect(image))
    ([45], [270])
    >>> middle(ee.Terrain.hillshade(image, 270, 45)), middle(ee.Terrain.hillshade(image, 90))
    ([255], [0])
    >>> ee.Terrain.products(image).bandNames()
    ['elevation', 'slope', 'aspect', 'hillshade']
    """

    _name = "ee.Terrain"

    @staticmethod
    def slope(input: Any) -> Any:
        """Give the slope in degrees, 0 to 90, as the band "slope": float32.

        https://developers.google.com/earth-engine/apidocs/ee-terrain-slope
        """
        return _relief(input, ["slope"], "ee.Terrain.slope()")

    @staticmethod
    def aspect(input: Any) -> Any:
        """Give the direction in which the ground falls, in degrees, as the band "aspect": float32.

        0 is north, 90 east. Where the ground is level it is 0.
        https://developers.google.com/earth-engine/apidocs/ee-terrain-aspect
        """
        return _relief(input, ["aspect"], "ee.Terrain.aspect()")

    @staticmethod
    def hillshade(input: Any, azimuth: Any = 270, elevation: Any = 45) -> Any:
        """Give how bright the sun makes the ground, 0 to 255, as the band "hillshade".

        It is 255 times the cosine of the angle between the sun and the normal of the ground; no
        shadows are cast. https://developers.google.com/earth-engine/apidocs/ee-terrain-hillshade

        Parameters
        ----------
        input : Image
            Elevations in metres.
        azimuth, elevation : float, default: 270, 45
            Where the sun is, in degrees: 0 is north, 90 east; and how high.
        """
        caller = "ee.Terrain.hillshade()"
        return _relief(input, ["hillshade"], caller, _sun(azimuth, elevation, caller))

    @staticmethod
    def products(input: Any) -> Any:
        """Add the bands "slope", "aspect" and "hillshade" to an image.

        The sun of the hillshade is in the west, 45° high.
        https://developers.google.com/earth-engine/apidocs/ee-terrain-products
        """
        image = Image(input)
        made = _relief(image, ["slope", "aspect", "hillshade"], "ee.Terrain.products()")
        return image.addBands(made, None, True)


def _sun(azimuth: Any, elevation: Any, caller: str) -> tuple[float, float]:
    given = [plain(known(one, caller)) for one in (azimuth, elevation)]
    if not all(isinstance(one, int | float) and math.isfinite(one) for one in given):
        raise TypeError(
            f"{caller} got azimuth={given[0]!r} and elevation={given[1]!r}, and takes angles in "
            "degrees. Write ee.Terrain.hillshade(image, 270, 45)."
        )
    return float(given[0]), float(given[1])


def _relief(
    given: Any, products: list[str], caller: str, sun: tuple[float, float] = (270.0, 45.0)
) -> Any:
    image = Image(given)
    band = _elevations(image, caller)
    axes = map_axes(band, caller)
    rises = [_differences(band, axis) for axis in axes]
    frame, edges = ground.frame_and_edges(image.dataset, caller)
    made: Any = {}
    for product in products:
        dtype = np.dtype("uint16" if product == "hillshade" else "float32")
        of_pixels: Any = functools.partial(_product, frame=frame, sun=sun, product=product)
        computed = by_chunk(of_pixels, [*rises, *edges], dtype, result=dtype)
        made[product] = computed.transpose(*band.dims)
        if product == "hillshade":
            made[product].attrs["_FillValue"] = dtype.type(MASKED)
    return image._with(made)


def _elevations(image: Any, caller: str) -> xr.DataArray:
    bands = image._bands()
    if image._is_constant():
        raise ValueError(
            f"{caller} was asked of an image that is the same everywhere and has no pixels. Give "
            "an image of elevations: ee.Terrain.slope(ee.Image('MY/ELEVATION'))."
        )
    if len(bands) == 1 or "elevation" in bands:
        found: xr.DataArray = bands.get("elevation", next(iter(bands.values())))
        return found
    raise ValueError(
        f"{caller} got the bands {', '.join(map(repr, bands)) or 'none'}, and which of them has "
        "elevations is unknown. Select one, image.select('AVE'), or call it 'elevation'."
    )


def _differences(band: xr.DataArray, dim: Any) -> xr.DataArray:
    """Subtract the pixel before from the pixel after, along a dimension of the map.

    NaN where the pixel itself, or one of the four around it, is masked.
    """
    axes = map_axes(band, "ee.Terrain")
    places = band.dims.index(axes[0]), band.dims.index(axes[1])
    nodata = declared_nodata(band)
    kernel = functools.partial(_rise, axes=places, along=axes.index(dim) - 2, nodata=nodata)
    depth = {axis: min(1, band.shape[axis]) for axis in places}
    return surroundings(band, kernel, depth, np.dtype("float64"), SCRATCH)


def _rise(values: Array, *, axes: tuple[int, int], along: int, nodata: Any) -> Array:
    valid = counting([values], [nodata])
    images = np.where(valid, values, np.nan).astype(np.float64)
    images = np.moveaxis(images, axes, (-2, -1))
    margins = [(0, 0)] * (images.ndim - 2) + [(1, 1), (1, 1)]
    wide = np.pad(images, margins, constant_values=np.nan)
    above, below = wide[..., :-2, 1:-1], wide[..., 2:, 1:-1]
    left, right = wide[..., 1:-1, :-2], wide[..., 1:-1, 2:]
    before, after = (above, below) if along == -2 else (left, right)
    missing = np.isnan(images + above + below + left + right)
    return np.moveaxis(np.where(missing, np.nan, after - before), (-2, -1), axes)


def _product(
    down: Array,
    across: Array,
    upper: Array,
    lower: Array,
    left: Array,
    right: Array,
    *,
    frame: ground.Frame,
    sun: tuple[float, float],
    product: str,
    result: np.dtype[Any],
) -> Array:
    """Compute one product of how much the ground rises from neighbour to neighbour.

    Neighbours are two pixels apart. Their places in metres to the east and north, by the pixel's
    own size, give two equations for how much the ground rises in each of these directions.
    """
    (right_east, right_north), (below_east, below_north) = ground.pixel_vectors(
        upper, lower, left, right, frame
    )
    size = 2 * (right_east * below_north - right_north * below_east)
    with np.errstate(invalid="ignore", divide="ignore"):
        to_east = (across * below_north - down * right_north) / size
        to_north = (down * right_east - across * below_east) / size
        steep = np.arctan(np.hypot(to_east, to_north))
        if product == "slope":
            slope: Array = np.degrees(steep).astype(result)
            return slope
        falls = np.arctan2(-to_east, -to_north)
        falls = np.where(steep == 0, 0.0, falls)
        if product == "aspect":
            made = np.mod(np.degrees(falls), 360).astype(result)
            return np.where(made == 360, result.type(0), made)
        azimuth, height = map(math.radians, sun)
        light = np.cos(azimuth - falls) * np.sin(steep) * math.cos(height)
        shade = np.rint(255 * np.clip(light + math.sin(height) * np.cos(steep), 0, 1))
        return np.where(np.isnan(shade), MASKED, shade).astype(result)

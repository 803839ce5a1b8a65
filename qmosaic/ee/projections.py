"""``ee.Projection``: a CRS, and the grid of pixels in it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import xarray as xr

from qmosaic.collection.geometry import as_crs, short_crs
from qmosaic.collection.grid import axis_of
from qmosaic.collection.location import crs_of, map_dims
from qmosaic.collection.requests import nominal_scale
from qmosaic.ee.unsupported import Hinting
from qmosaic.ee.values import Number, String, known, plain

Transform = tuple[float, float, float, float, float, float]
"""Width, turn and left edge, turn, height and upper edge: the order of rows."""

UNIT: Transform = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""Pixels of one unit of the CRS."""

LIKE_BY_NAME = 25
"""How sure PROJ is of a code that it finds by the name alone, in percent."""


class Projection(Hinting):
    """A CRS, and where pixels lie in it.

    Parameters
    ----------
    crs : str, Projection, or any CRS
        "EPSG:32633", WKT ...
    transform : sequence of 6 numbers, optional
        ``[width, 0, x, 0, -height, y]``; pixels of one unit by default.
    transformWkt : str, optional
        Not supported.

    Examples
    --------
    >>> from qmosaic import ee
    >>> projection = ee.Projection("EPSG:32633", [10, 0, 300000, 0, -10, 5000000])
    >>> projection.crs(), projection.nominalScale()
    ('EPSG:32633', 10)
    >>> projection.atScale(30).getInfo()["transform"]
    [30.0, 0.0, 300000.0, 0.0, -30.0, 5000000.0]
    >>> ee.Projection("EPSG:4326").nominalScale().round()
    111319
    >>> projection.scale(2, 2).translate(1, 0).transform()
    'PARAM_MT["Affine", PARAMETER["num_row", 3], PARAMETER["num_col", 3], \
PARAMETER["elt_0_0", 20.0], PARAMETER["elt_0_2", 300020.0], PARAMETER["elt_1_1", -20.0], \
PARAMETER["elt_1_2", 5000000.0]]'
    >>> projection.wkt().slice(0, 33)
    'PROJCRS["WGS 84 / UTM zone 33N",B'
    """

    _name = "ee.Projection"

    def __init__(self, crs: Any, transform: Any = None, transformWkt: Any = None) -> None:
        if transformWkt is not None:
            raise ValueError(
                "ee.Projection() got a transform as WKT, which is not read. Write its six numbers: "
                "ee.Projection(crs, [width, 0, x, 0, -height, y])."
            )
        crs = plain(known(crs, "ee.Projection()"))
        own = getattr(crs, "transform_of_pixels", UNIT)
        self.crs_of_pixels: Any = crs.crs_of_pixels if isinstance(crs, Projection) else as_crs(crs)
        self.transform_of_pixels: Transform = own if transform is None else six(transform)

    def __repr__(self) -> str:
        return f"ee.Projection({short_crs(self.crs_of_pixels)!r}, {list(self.transform_of_pixels)})"

    def crs(self) -> String:
        """Give the code of the CRS, or its WKT where it has none."""
        code = self._code()
        return String(f"EPSG:{code}" if code else self.crs_of_pixels.to_wkt())

    def _code(self) -> int | None:
        """Give the code; of a CRS that is bound to another (TOWGS84), that of the CRS itself."""
        found: int | None = self.crs_of_pixels.to_epsg()
        if found or not self.crs_of_pixels.proj.is_bound:
            return found
        own = self.crs_of_pixels.proj.source_crs
        # files write the axes in another order, and a datum without its realisations: there the
        # name is alike, and the numbers tell whether it is the same CRS
        near: int | None = own.to_epsg() or own.to_epsg(min_confidence=LIKE_BY_NAME)
        return near if near and _numbers(own) == _numbers(type(own).from_epsg(near)) else None

    def wkt(self) -> String:
        """Give the CRS as WKT."""
        return String(self.crs_of_pixels.to_wkt())

    def transform(self) -> String:
        """Give the transform as WKT."""
        rows = [self.transform_of_pixels[:3], self.transform_of_pixels[3:]]
        numbers = [
            f'PARAMETER["elt_{i}_{j}", {number}]'
            for i, row in enumerate(rows)
            for j, number in enumerate(row)
            if number != float(i == j)
        ]
        sizes = ['PARAMETER["num_row", 3]', 'PARAMETER["num_col", 3]']
        return String(f'PARAM_MT["Affine", {", ".join([*sizes, *numbers])}]')

    def nominalScale(self) -> Number:
        """Give the side of a pixel in metres, where the scale of the CRS is true.

        https://developers.google.com/earth-engine/apidocs/ee-projection-nominalscale. Of pixels
        that are not square, that of a square of their area.
        """
        width, turn, _, other, height, _ = self.transform_of_pixels
        side = math.sqrt(abs(width * height - turn * other))
        metres = side * nominal_scale(self.crs_of_pixels)
        return Number(int(metres) if metres == int(metres) else metres)

    def atScale(self, meters: Any) -> Projection:
        """Give it with pixels of another size, in metres."""
        factor = float(plain(known(meters, "atScale()"))) / float(self.nominalScale().getInfo())
        return self.scale(factor, factor)

    def scale(self, x: Any, y: Any) -> Projection:
        """Give it with pixels that are some times wider and higher."""
        across, down = (float(plain(known(one, "scale()"))) for one in (x, y))
        a, b, c, d, e, f = self.transform_of_pixels
        return Projection(self, (a * across, b * down, c, d * across, e * down, f))

    def translate(self, x: Any, y: Any) -> Projection:
        """Give it moved by some pixels."""
        across, down = (float(plain(known(one, "translate()"))) for one in (x, y))
        a, b, c, d, e, f = self.transform_of_pixels
        return Projection(self, (a, b, c + a * across + b * down, d, e, f + d * across + e * down))

    def getInfo(self) -> dict[str, Any]:
        """Give it as a dict: type, CRS, transform."""
        crs = self.crs().getInfo()
        name = "crs" if crs.startswith("EPSG:") else "wkt"
        return {"type": "Projection", name: crs, "transform": list(self.transform_of_pixels)}


def _numbers(crs: Any) -> dict[str, Any]:
    """Give the numbers of a CRS of pyproj, as PROJ writes them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it is not all of the CRS
        numbers: dict[str, Any] = crs.to_dict()
    return numbers


def projection_of(dataset: xr.Dataset, caller: str) -> Projection:
    """Give the projection of an image with pixels."""
    down, across = map_dims(dataset)
    (top, height), (left, width) = (axis_of(dataset, dim, caller) for dim in (down, across))
    return Projection(crs_of(dataset), (width, 0.0, left, 0.0, height, top))


def six(numbers: Any) -> Transform:
    """Take a transform: six numbers, in a list or a text."""
    given = plain(known(numbers, "crsTransform"))
    listed: Sequence[Any] = given.strip("[] ").split(",") if isinstance(given, str) else given
    try:
        a, b, c, d, e, f = (float(number) for number in listed)
    except (TypeError, ValueError):
        raise ValueError(
            f"the transform {given!r} is not six numbers: [width, 0, x, 0, -height, y]. Write, for "
            "instance, [30, 0, 399960, 0, -30, 4200000]."
        ) from None
    return a, b, c, d, e, f


def grid_of(crs: Any, crs_transform: Any, scale: Any, caller: str) -> dict[str, Any]:
    """Take a grid as Earth Engine's methods are given one, as arguments of `on_grid_of`.

    A projection says how large pixels are, too; a code of a CRS does not.
    """
    if crs_transform is not None and scale is not None:
        raise ValueError(
            f"{caller} got crsTransform and scale, and each of them says how large pixels are. "
            "Give one of them."
        )
    crs = plain(known(crs, caller))
    if isinstance(crs, dict):  # what getInfo() of a projection gives
        crs = Projection(crs.get("crs", crs.get("wkt")), crs.get("transform"))
    size = plain(known(scale, caller))
    transform = None if crs_transform is None else six(crs_transform)
    if isinstance(crs, Projection):
        if transform is None and crs.transform_of_pixels != UNIT:
            placed = crs if size is None else crs.atScale(size)
            transform, size = placed.transform_of_pixels, None
        crs = crs.crs_of_pixels
    return {"crs": crs, "crs_transform": transform, "scale": size}

"""``ee.Algorithms``."""

from __future__ import annotations

import math
from typing import Any

from qmosaic.ee import pixels
from qmosaic.ee.dtypes import number
from qmosaic.ee.geometries import Geometry
from qmosaic.ee.images import Image
from qmosaic.ee.landsat import Landsat
from qmosaic.ee.names import properties, property_in
from qmosaic.ee.properties import of_images
from qmosaic.ee.terrain import Terrain
from qmosaic.ee.unsupported import Hinting
from qmosaic.ee.values import (
    Boolean,
    Computed,
    Date,
    EachImage,
    Number,
    String,
    Value,
    known,
    lift,
    plain,
    wrapped,
)


class GeometryConstructors(Hinting):
    """What Earth Engine's own library calls to make geometries; `ee.Geometry` has the same."""

    _name = "ee.Algorithms.GeometryConstructors"
    Point = staticmethod(Geometry.Point)
    MultiPoint = staticmethod(Geometry.MultiPoint)
    LineString = staticmethod(Geometry.LineString)
    LinearRing = staticmethod(Geometry.LinearRing)
    MultiLineString = staticmethod(Geometry.MultiLineString)
    Polygon = staticmethod(Geometry.Polygon)
    MultiPolygon = staticmethod(Geometry.MultiPolygon)
    Rectangle = staticmethod(Geometry.Rectangle)
    BBox = staticmethod(Geometry.BBox)


class Algorithms(Hinting):
    """Functions that are methods of nothing.

    Examples
    --------
    >>> from qmosaic import ee
    >>> ee.Algorithms.If(ee.Number(3).gt(2), "more", "less"), ee.Algorithms.If([], 1, 2)
    ('more', 2)
    >>> ee.Algorithms.String(7), ee.Algorithms.Date("2020-02-05").millis()
    ('7', 1580860800000)
    >>> ee.Algorithms.ObjectType(1.5), ee.Algorithms.IsEqual([1, 2], ee.List([1, 2]))
    ('Float', True)
    >>> ee.Algorithms.GeometryConstructors.Point([7, 47])
    ee.Geometry.Point(7, 47) in EPSG:4326
    """

    _name = "ee.Algorithms"
    Landsat = Landsat
    GeometryConstructors = GeometryConstructors

    @staticmethod
    def Terrain(input: Any) -> Any:
        """Add the bands "slope", "aspect" and "hillshade" to an image, see `ee.Terrain.products`.

        https://developers.google.com/earth-engine/apidocs/ee-algorithms-terrain

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> places = {"latitude": [40.2, 40.1, 40], "longitude": [-103.2, -103.1, -103]}
        >>> level = xr.Dataset({"a": (("latitude", "longitude"), np.zeros((3, 3)))}, places)
        >>> terrain = ee.Algorithms.Terrain(ee.Image(level))
        >>> [float(band[1, 1]) for band in terrain.dataset.values()]
        [0.0, 0.0, 0.0, 180.0]
        """
        return Terrain.products(input)

    @staticmethod
    def String(input: Any) -> Any:
        """Give a value as a text.

        https://developers.google.com/earth-engine/apidocs/ee-algorithms-string
        """
        return lift(_as_text, input)

    @staticmethod
    def Date(value: Any, timeZone: Any = None) -> Any:
        """Make a date, see `ee.Date`: of a text, or of milliseconds since 1970.

        https://developers.google.com/earth-engine/apidocs/ee-algorithms-date
        """
        return Date(value) if timeZone is None else Date(value, timeZone)

    @staticmethod
    def ObjectType(value: Any = None) -> Any:
        """Name the type of a value: "Integer", "Float", "String", "List", "Image" and the like.

        https://developers.google.com/earth-engine/apidocs/ee-algorithms-objecttype
        """
        return lift(_type_of, value)

    @staticmethod
    def IsEqual(left: Any = None, right: Any = None) -> Any:
        """Tell whether two values are equal; images and collections where they are the same object.

        https://developers.google.com/earth-engine/apidocs/ee-algorithms-isequal
        """
        return wrapped(lift(_are_equal, left, right))

    @staticmethod
    def If(condition: Any, trueCase: Any = None, falseCase: Any = None) -> Any:
        """Choose one of two values or images by a condition.

        It is false where it is 0, NaN, null (None), an empty text, list or dictionary. Inside
        `ImageCollection.map` the choice is made for each image,
        https://developers.google.com/earth-engine/apidocs/ee-algorithms-if
        """
        if not isinstance(condition, Computed):
            return wrapped(trueCase if is_true(condition) else falseCase)
        if isinstance(trueCase, Image) and isinstance(falseCase, Image):
            return _either_image(condition, trueCase, falseCase)
        if condition.images is None and not _are_values(trueCase, falseCase):
            return wrapped(trueCase if is_true(known(condition)) else falseCase)
        return wrapped(lift(_either, condition, trueCase, falseCase))


def _as_text(value: Any) -> String:
    return String(str(plain(value)))


def _type_of(value: Any) -> String:
    value = wrapped(plain(value)) if not isinstance(value, Date) else value
    if isinstance(value, Boolean):
        return String("Boolean")
    if isinstance(value, Number):
        return String("Integer" if isinstance(plain(value), int) else "Float")
    return String("Null" if value is None else type(value).__name__)


def _are_equal(left: Any, right: Any) -> bool:
    a, b = (one.getInfo() if isinstance(one, Value) else one for one in (left, right))
    return a is b if hasattr(a, "dataset") or hasattr(b, "dataset") else bool(a == b)


def is_true(value: Any) -> bool:
    """Tell whether Earth Engine takes a value for true."""
    value = plain(value)
    if isinstance(value, float) and math.isnan(value):
        return False
    return isinstance(value, Image) or bool(value)


def _either(condition: Any, if_true: Any, if_false: Any) -> Any:
    return if_true if is_true(condition) else if_false


def _are_values(*given: Any) -> bool:
    return all(one is None or not hasattr(one, "dataset") for one in given)


def _either_image(condition: Computed, if_true: Image, if_false: Image) -> Image:
    """Choose one of two images for each image: band by band, property by property."""
    bands, others = if_true._bands(), if_false._bands()
    if list(bands) != list(others):
        if condition.images is None:
            return if_true if is_true(known(condition)) else if_false
        raise EachImage("ee.Algorithms.If() chooses between images with other bands")
    test = number(lift(_as_number, condition))
    made = if_true._with({n: pixels.choose(test, b, others[n]) for n, b in bands.items()}, if_false)
    return made.set({str(n): one for n, one in _either_property(condition, if_true, if_false)})


def _as_number(condition: Any) -> int:
    return int(is_true(condition))


def _either_property(condition: Computed, if_true: Image, if_false: Image) -> Any:
    for name in dict.fromkeys([*properties(if_true.dataset), *properties(if_false.dataset)]):
        pair = [property_in(one.dataset, str(name)) for one in (if_true, if_false)]
        a, b = pair
        if a is None or b is None or not a.variable.equals(b.variable):  # type: ignore[no-untyped-call]
            values = [None if one is None else of_images(one) for one in pair]
            yield name, lift(_either, condition, *values)

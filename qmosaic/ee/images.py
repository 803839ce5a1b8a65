"""``ee.Image``."""

from __future__ import annotations

import html
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.clipping import clip_to
from qmosaic.collection.filters import matching
from qmosaic.collection.geometry import everywhere, projected
from qmosaic.collection.location import crs_of, map_dims, with_crs_coordinate
from qmosaic.collection.masks import Array
from qmosaic.collection.times import in_utc
from qmosaic.ee import pixels
from qmosaic.ee.geometries import Geometry
from qmosaic.ee.names import bands as bands_by_name
from qmosaic.ee.names import properties as properties_of
from qmosaic.ee.names import property_in, settled, with_bands, with_properties
from qmosaic.ee.properties import (
    KNOWN_AS,
    Date,
    List,
    Number,
    Text,
    as_number,
    as_property,
    property_of,
)
from qmosaic.ee.unsupported import Hinting
from qmosaic.optional import needed
from qmosaic.scores import normalized_difference
from qmosaic.scores.expressions import by_chunk, is_number


def _plain(value: Any) -> Any:
    """Take a number of `qmosaic.ee` as Python's: a whole one is an integer."""
    return value.getInfo() if isinstance(value, Number) else value


def _example(call: str, result: Any) -> str:
    """Write the example of a method that is made like many others."""
    return (
        f"\n\nExamples\n--------\n>>> from qmosaic import ee\n"
        f">>> {call}.dataset['constant'].item()\n{result!r}\n"
    )


def _named(method: Any, name: str, text: str, call: str, result: Any) -> Any:
    method.__name__, method.__doc__ = name, text + _example(call, result)
    return method


def _binary(name: str, text: str, result: Any) -> Any:
    """Make a method that combines an image with another one; `result` is that of 12 and 5."""

    def method(self: Image, image2: Any) -> Image:
        return self._combined(name, image2)

    return _named(method, name, f"{text}.\n\n{PAIRED}", f"ee.Image(12).{name}(5)", result)


def _unary(name: str, text: str, value: Any, result: Any) -> Any:
    """Make a method that changes each value; `result` is that of `value`."""

    def method(self: Image) -> Image:
        return self._changed(lambda band: pixels.change(name, band))

    return _named(method, name, f"{text}: float.", f"ee.Image({value}).{name}()", result)


def _cast(name: str, dtype: str, result: Any) -> Any:
    """Make a method that changes the dtype; `result` is that of 300.5."""

    def method(self: Image) -> Image:
        return self._changed(lambda band: pixels.cast(band, dtype))

    whole = f"Cast all bands to {dtype}; fractions and what is out of range are cut off.\n\n{CUT}"
    text = f"Cast all bands to {dtype}." if "float" in dtype else whole
    return _named(method, name, text, f"ee.Image(300.5).{name}()", result)


PAIRED = """Band by band; an image of one band is combined with all bands of the other. A pixel is
masked where it is masked in one of the two."""

CUT = """Values beyond the range of the dtype become its lowest or highest. Of a band that can be
masked, one value of the dtype stands for masked: the nodata that it has already where that fits,
else the highest of an unsigned dtype, the lowest of a signed one. A pixel of that value cannot be
told from a masked one."""


class Image(Hinting):
    """An image: bands on one grid, and properties.

    In the function that `ImageCollection.map` calls, it stands for all images of the collection:
    arithmetic on it is done for each of them.

    Parameters
    ----------
    source : xarray.Dataset, xarray.DataArray, number, sequence of these, or Image
        A number is a constant everywhere; a sequence is an image with all their bands.

    Attributes
    ----------
    dataset : xarray.Dataset
        The bands as data variables, the properties as coordinates.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from qmosaic import ee
    >>> bands = {"red": ("x", np.uint8([0, 40])), "nir": ("x", np.uint8([0, 120]))}
    >>> image = ee.Image(xr.Dataset(bands, {"time": np.datetime64("2020-07-01"), "id": "S2A"}))
    >>> def of(image):
    ...     return {str(name): band.values.tolist() for name, band in image.dataset.items()}

    Bands:

    >>> image.bandNames()
    ['red', 'nir']
    >>> of(image.select("nir").rename("infrared"))
    {'infrared': [0, 120]}
    >>> of(image.addBands(ee.Image.constant(7)).select([0, "constant"]))
    {'red': [0, 40], 'constant': 7}
    >>> ee.Image.cat(image, ee.Image(1)).bandNames()
    ['red', 'nir', 'constant']

    Arithmetic:

    >>> of(image.select("red").Not())
    {'red': [1, 0]}
    >>> of(image.select("red").subtract(50).abs())
    {'red': [50, 10]}
    >>> of(image.clamp(10, 100))
    {'red': [10, 40], 'nir': [10, 100]}
    >>> of(image.select("nir").unitScale(0, 240))
    {'nir': [0.0, 0.5]}
    >>> of(image.normalizedDifference(["nir", "red"]).unmask(-1))
    {'nd': [-1.0, 0.5]}

    Masks:

    >>> clear = image.select("red").updateMask(image.select("nir").gt(0))
    >>> of(clear.mask()), of(clear.unmask(9)), of(image.select("red").selfMask().unmask(9))
    ({'red': [0, 1]}, {'red': [9, 40]}, {'red': [9, 40]})
    >>> of(image.select("red").where(image.select("nir").gt(100), 1))
    {'red': [0, 1]}

    Properties:

    >>> image.id(), image.date(), image.set("sun", 31).get("sun")
    ('S2A', ee.Date('2020-07-01T00:00:00'), 31)
    >>> of(image.set("sun", 31).metadata("sun"))
    {'sun': 31}
    >>> ee.Image(1).copyProperties(image, ["system:index"]).id()
    'S2A'
    """

    _name = "ee.Image"

    def __init__(self, source: Any) -> None:
        if isinstance(source, list | tuple):
            first, *others = (Image(one) for one in source)
            for other in others:
                first = first.addBands(other)
            source = first
        if isinstance(source, Image | ClippedConstant):
            dataset = source.dataset
        elif isinstance(source, xr.Dataset):
            dataset = source
        elif isinstance(source, xr.DataArray) and "band" in source.dims:
            dataset = source.to_dataset("band")
        elif isinstance(source, xr.DataArray):
            dataset = source.to_dataset(name=source.name if source.name is not None else "b1")
        elif is_number(source):
            dataset = xr.Dataset({"constant": pixels.number(_plain(source))})
        else:
            raise TypeError(
                f"ee.Image() got a {type(source).__name__}; give an xarray.Dataset, a number, or "
                "take an image of a collection: collection.first(), collection.qualityMosaic(...)."
            )
        self.dataset: xr.Dataset = settled(with_crs_coordinate(in_utc(dataset)))

    @staticmethod
    def constant(value: Any) -> Image:
        """Make an image that is a number everywhere."""
        return Image(value)

    @staticmethod
    def cat(*images: Any) -> Image:
        """Put the bands of several images into one."""
        return Image(list(images[0] if len(images) == 1 else images))

    def __repr__(self) -> str:
        """Give id and date of a single image that has them, and the bands."""
        named = [property_in(self.dataset, name) for name in ("id", "time")]
        known = [c.values[()] for c in named if c is not None and c.ndim == 0]
        texts = [str(v)[:19] if isinstance(v, np.datetime64) else repr(str(v)) for v in known]
        return " ".join(["ee.Image", *texts, f"with {listed(self._bands())}"])

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>{self.dataset._repr_html_()}"

    # -- bands -----------------------------------------------------------------------------------

    def _bands(self) -> dict[Hashable, xr.DataArray]:
        return bands_by_name(self.dataset)

    def _names(self) -> list[Hashable]:
        return list(self._bands())

    def _with(self, bands: dict[Hashable, xr.DataArray], grid: Image | None = None) -> Image:
        """Give an image with other bands and the same properties.

        A constant has no grid: it gets that of the image that it was combined with.
        """
        placed = self if grid is None or self.dataset.sizes else grid
        return Image(with_bands(placed.dataset, bands))

    def _as_image(self, other: Any) -> Image:
        """Take what this image is combined with as an image."""
        return other.on(self) if isinstance(other, ClippedConstant) else Image(other)

    def _aligned(self, other: Image) -> tuple[Image, Image]:
        """Cut two images to the pixels that both have: one of them may have been clipped."""
        places = [d for d in self.dataset.dims if d != "time" and d in other.dataset.dims]
        same = all(
            d not in self.dataset.coords
            or d not in other.dataset.coords
            or np.array_equal(self.dataset[d].values, other.dataset[d].values)
            for d in places
        )
        if same:
            return self, other
        a, b = _overlapping(self.dataset, other.dataset, places)
        if any(a.sizes[d] == 0 for d in places):
            raise ValueError(
                "the two images have no pixel in common, so they cannot be combined: they lie in "
                "different places, or on different grids. Bring one onto the grid of the other: "
                "image.dataset.odc.reproject(other.dataset.odc.geobox)."
            )
        return Image(a), Image(b)

    def bandNames(self) -> List:
        """List the bands."""
        return List(self._names())

    def select(self, *selectors: Any, opt_names: Any = None) -> Image:
        """Choose bands by name, number or regular expression; with new names, rename them.

        ``select("B4", "B3")``, ``select(["B4", "B3"], ["red", "green"])``, ``select(0)``.
        """
        names = opt_names
        if selectors and isinstance(selectors[0], list | tuple):
            names = selectors[1] if len(selectors) > 1 else names
            asked: Sequence[Any] = selectors[0]
        else:
            asked = selectors
        chosen: dict[Hashable, None] = {}
        for one in asked:
            chosen.update(dict.fromkeys(self._find(one)))
        own = self._bands()
        kept = self._with({name: own[name] for name in chosen})
        return kept if names is None else kept.rename(names)

    def _find(self, selector: Any) -> list[Hashable]:
        own = self._names()
        if is_number(selector):
            if not -len(own) <= selector < len(own):
                raise IndexError(
                    f"ee.Image.select({selector}): the image has {len(own)} bands, "
                    f"numbered from 0. Name or number one: {', '.join(map(repr, own))}."
                )
            return [own[selector]]
        return matching(selector, own)

    def rename(self, *names: Any) -> Image:
        """Rename the bands: one name for each."""
        listed = list(names[0]) if len(names) == 1 and isinstance(names[0], list | tuple) else names
        own = self._bands()
        if len(listed) != len(own):
            raise ValueError(
                f"ee.Image.rename() got {len(listed)} names for {len(own)} bands: "
                f"{', '.join(map(repr, own))}. Give one for each."
            )
        if len(set(listed)) != len(listed):
            raise ValueError(
                f"ee.Image.rename() got a name twice: {', '.join(map(repr, listed))}. Bands are "
                "found by their names: give each another one."
            )
        return self._with(dict(zip(listed, own.values(), strict=True)))

    def addBands(self, srcImg: Any, names: Any = None, overwrite: bool = False) -> Image:
        """Add the bands of another image.

        A band whose name is taken is called ``name_1``; with `overwrite` it replaces the band of
        that name. `names` are the bands to add, all by default.
        """
        self, source = self._aligned(self._as_image(srcImg))
        source = source if names is None else source.select(names)
        bands = self._bands()
        for name, band in source._bands().items():
            bands[name if overwrite else _free(name, bands)] = band
        return self._with(bands, source)

    # -- arithmetic ------------------------------------------------------------------------------

    def _combined(self, name: str, other: Any) -> Image:
        """Combine band by band; an image of one band is combined with all of the other's."""
        if is_number(other):
            value = _plain(other)
            return self._changed(lambda band: pixels.combine(name, band, value))
        self, image = self._aligned(self._as_image(other))
        own, theirs = self._bands(), image._bands()
        if len(own) != len(theirs) and 1 not in (len(own), len(theirs)):
            raise ValueError(
                f"ee.Image.{name}() got images of {len(own)} and {len(theirs)} bands, which do "
                "not pair up: both have as many, or one has one band. Select the bands first."
            )
        count = max(len(own), len(theirs))
        names = own if len(own) == count else theirs
        pairs = zip(names, _as_many(own, count), _as_many(theirs, count), strict=True)
        return self._with({band: pixels.combine(name, a, b) for band, a, b in pairs}, image)

    def _changed(self, change: Callable[[xr.DataArray], xr.DataArray]) -> Image:
        return self._with({name: change(band) for name, band in self._bands().items()})

    add = _binary("add", "Add an image or a number", 17)
    subtract = _binary("subtract", "Subtract an image or a number", 7)
    multiply = _binary("multiply", "Multiply by an image or a number", 60)
    divide = _binary("divide", "Divide by an image or a number; a division by 0 gives 0", 2.4)
    pow = _binary("pow", "Raise to the power of an image or a number", 248832.0)
    mod = _binary(
        "mod",
        "Give the remainder of the division by an image or a number, with the sign of the first",
        2.0,
    )
    min = _binary(
        "min", "Give the smaller of the values of two images, or of an image and a number", 5
    )
    max = _binary(
        "max", "Give the larger of the values of two images, or of an image and a number", 12
    )
    eq = _binary(
        "eq", "Give 1 where the value is equal to that of an image, or to a number, else 0", 0
    )
    neq = _binary(
        "neq", "Give 1 where the value is not equal to that of an image, or to a number, else 0", 1
    )
    lt = _binary(
        "lt", "Give 1 where the value is less than that of an image, or a number, else 0", 0
    )
    lte = _binary(
        "lte",
        "Give 1 where the value is less than or equal to that of an image, or a number, else 0",
        0,
    )
    gt = _binary(
        "gt", "Give 1 where the value is greater than that of an image, or a number, else 0", 1
    )
    gte = _binary(
        "gte", "Give 1 where the value is at least that of an image, or a number, else 0", 1
    )
    And = _binary("And", "Give 1 where both values are not 0, else 0", 1)
    Or = _binary("Or", "Give 1 where one of the values is not 0, else 0", 1)
    bitwiseAnd = _binary("bitwiseAnd", "Give the bits that are set in both integers", 4)
    bitwiseOr = _binary("bitwiseOr", "Give the bits that are set in one of the integers", 13)
    bitwiseXor = _binary(
        "bitwiseXor", "Give the bits that are set in exactly one of the integers", 9
    )
    leftShift = _binary(
        "leftShift", "Shift the bits of integers to the left by an image or a number", 384
    )
    rightShift = _binary(
        "rightShift", "Shift the bits of integers to the right by an image or a number", 0
    )
    sqrt = _unary("sqrt", "Give the square root", 2.25, 1.5)
    exp = _unary("exp", "Give e to the power of each value", 0, 1.0)
    log = _unary("log", "Give the natural logarithm", 1, 0.0)
    log10 = _unary("log10", "Give the logarithm to base 10", 100, 2.0)
    sin = _unary("sin", "Give the sine of an angle in radians", 0, 0.0)
    cos = _unary("cos", "Give the cosine of an angle in radians", 0, 1.0)
    floor = _unary("floor", "Round down to a whole number", 2.5, 2.0)
    ceil = _unary("ceil", "Round up to a whole number", 2.5, 3.0)
    round = _unary(
        "round", "Round to the nearest whole number, of a half to the even one", 2.6, 3.0
    )

    def normalizedDifference(self, bandNames: Any = None) -> Image:
        """Compute ``(a - b) / (a + b)`` of two bands, as "nd"; masked where one is negative."""
        names = self._names()[:2] if bandNames is None else list(bandNames)
        if len(names) != 2:
            raise ValueError(
                f"ee.Image.normalizedDifference() takes two bands, and got {len(names)}. Write "
                "normalizedDifference(['B8', 'B4'])."
            )
        own = self._bands()
        a, b = (own[self._find(name)[0]] for name in names)
        index = normalized_difference(a, b)
        for band in (a, b):
            if band.dtype.kind in "if":
                index = pixels.update_mask(index, pixels.combine("gte", band, 0))
        return self._with({"nd": index})

    def Not(self) -> Image:
        """Give 1 where the value is 0, and 0 elsewhere."""
        return self._changed(lambda band: pixels.change("Not", band))

    def abs(self) -> Image:
        """Give the absolute values."""
        return self._changed(lambda band: pixels.change("abs", band))

    def where(self, test: Any, value: Any) -> Image:
        """Give each band the value of another image, or a number, where `test` is not 0.

        Pixels keep their value where the image, the test or the value is masked,
        https://developers.google.com/earth-engine/apidocs/ee-image-where
        """
        self, tests = self._aligned(self._as_image(test))
        self, values = self._aligned(self._as_image(value))
        tests, values = tests._aligned(values)  # either may have been clipped
        self, tests = self._aligned(tests)
        own, conditions, others = (one._bands() for one in (self, tests, values))
        count = len(own)
        if len(conditions) not in (1, count) or len(others) not in (1, count):
            raise ValueError(
                f"ee.Image.where() got a test of {len(conditions)} and a value of {len(others)} "
                f"bands for an image of {count}: give one band, or as many. Select "
                "the bands first."
            )
        made = zip(own.items(), _as_many(conditions, count), _as_many(others, count), strict=True)
        grid = tests if tests.dataset.sizes else values
        return self._with({name: pixels.where(band, t, v) for (name, band), t, v in made}, grid)

    def unitScale(self, low: float, high: float) -> Image:
        """Scale linearly, so that `low` becomes 0 and `high` becomes 1."""
        scaled: Image = self.subtract(low).divide(high - low)
        return scaled

    def clamp(self, low: float, high: float) -> Image:
        """Limit values to a range: below it they become `low`, above it `high`."""
        clamped: Image = self.max(low).min(high)
        return clamped

    # -- masks -----------------------------------------------------------------------------------

    def updateMask(self, mask: Any) -> Image:
        """Mask pixels where another image is 0 or masked; what is masked stays masked."""
        self, other = self._aligned(self._as_image(mask))
        own, masks = self._bands(), other._bands()
        if len(masks) not in (1, len(own)):
            raise ValueError(
                f"ee.Image.updateMask() got a mask of {len(masks)} bands for an image of "
                f"{len(own)}: give one band, or as many. Select the bands first."
            )
        pairs = zip(own.items(), _as_many(masks, len(own)), strict=True)
        return self._with({name: pixels.update_mask(b, m) for (name, b), m in pairs}, other)

    def selfMask(self) -> Image:
        """Mask pixels that are 0."""
        return self.updateMask(self)

    def mask(self, mask: Any = None) -> Image:
        """Give 1 where a band is valid and 0 where it is masked; given a mask, see updateMask."""
        return self._changed(pixels.mask_of) if mask is None else self.updateMask(mask)

    def unmask(self, value: Any = 0, sameFootprint: Any = True) -> Image:
        """Replace masked pixels by a number, or by the pixels of another image.

        https://developers.google.com/earth-engine/apidocs/ee-image-unmask
        """
        if is_number(value):
            return self._changed(lambda band: pixels.unmask(band, _plain(value)))
        self, other = self._aligned(self._as_image(value))
        own, others = self._bands(), other._bands()
        if len(others) not in (1, len(own)):
            raise ValueError(
                f"ee.Image.unmask() got an image of {len(others)} bands for an image of "
                f"{len(own)}: give one band, or as many. Select the bands first."
            )
        pairs = zip(own.items(), _as_many(others, len(own)), strict=True)
        return self._with({n: pixels.unmask_with(b, o) for (n, b), o in pairs}, other)

    def clip(self, geometry: Any) -> Any:
        """Cut the image to a region, see `qmosaic.clip`.

        A constant has no grid: it is cut on the grid of the image that it is combined with.

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> places = {"latitude": [40.2, 40.1], "longitude": [-103.2, -103.1]}
        >>> image = xr.Dataset({"a": (("latitude", "longitude"), np.ones((2, 2)))}, places)
        >>> west = ee.Geometry.BBox(-103.25, 40, -103.15, 41)
        >>> dict(ee.Image(image).clip(west).dataset.sizes)
        {'latitude': 2, 'longitude': 1}
        >>> ee.Image(image).updateMask(ee.Image(1).clip(west)).mask().dataset["a"].values
        array([[1, 0],
               [1, 0]], dtype=uint8)
        """
        region = Geometry(geometry).geometry
        if not self.dataset.sizes:
            return ClippedConstant(self, lambda grid: self.updateMask(_inside(grid, region)))
        return Image(clip_to(self.dataset, region, "ee.Image.clip()"))

    # -- properties ------------------------------------------------------------------------------

    def metadata(self, property: str, name: str | None = None) -> Image:
        """Make a band of a property: one number an image; times in milliseconds since 1970."""
        values = as_number(property_of(self.dataset, property, "ee.Image.metadata()"))
        return self._with({property if name is None else name: values})

    def get(self, property: str) -> Any:
        """Give a property of a single image: a number, a text or, of a time, milliseconds."""
        values = property_of(self.dataset, property, "ee.Image.get()")
        if values.ndim:
            raise ValueError(
                f"ee.Image.get({property!r}): inside map() the image stands for all images, and "
                f"each has its own value. Make a band of it: img.metadata({property!r})."
            )
        value = values.values[()]
        if values.dtype.kind == "M":
            return Date(value).millis()
        if values.dtype.kind in "iuf":
            return Number(value)
        return Text(value) if isinstance(value, str) else value

    def set(self, *properties: Any) -> Image:
        """Set properties of a single image: a mapping, or names and values in turn."""
        given = (
            properties[0]
            if len(properties) == 1
            else dict(zip(properties[::2], properties[1::2], strict=True))
        )
        count = self.dataset.sizes.get("time")
        along = {}
        for name, value in dict(given).items():
            kept = name if property_in(self.dataset, name) is not None else KNOWN_AS.get(name, name)
            one = as_property(str(kept), value, f"ee.Image.set({name!r})")
            along[kept] = one if count is None else ("time", np.full(count, one))
        return Image(with_properties(self.dataset, along))

    def copyProperties(self, source: Any, properties: Any = None, exclude: Any = None) -> Image:
        """Copy properties from another image; a property that this image has stays as it is."""
        there = Image(source).dataset
        names = [n for n in properties_of(there) if property_in(self.dataset, str(n)) is None]
        names = [n for n in names if n not in (exclude or ())]
        if properties is not None:
            wanted = {KNOWN_AS.get(name, name) for name in properties}
            names = [name for name in names if name in wanted]
        found = {name: property_in(there, str(name)) for name in names}
        return Image(with_properties(self.dataset, found))

    def date(self) -> Date:
        """Give the date and time of a single image."""
        times = property_of(self.dataset, "system:time_start", "ee.Image.date()")
        if times.ndim:
            raise ValueError(
                "ee.Image.date(): inside map() the image stands for all images, and each has its "
                "own date. Make a band of it, in milliseconds: img.metadata('system:time_start')."
            )
        return Date(times.values[()])

    def id(self) -> Any:
        """Give the id of a single image."""
        return self.get("system:index")

    # -- dtypes (last: two of these names are types of Python) --------------------------------

    toByte = _cast("toByte", "uint8", 255)
    toUint8 = _cast("toUint8", "uint8", 255)
    toInt8 = _cast("toInt8", "int8", 127)
    toUint16 = _cast("toUint16", "uint16", 300)
    toInt16 = _cast("toInt16", "int16", 300)
    toShort = _cast("toShort", "int16", 300)
    toUint32 = _cast("toUint32", "uint32", 300)
    toInt32 = _cast("toInt32", "int32", 300)
    toInt = _cast("toInt", "int32", 300)
    toInt64 = _cast("toInt64", "int64", 300)
    toLong = _cast("toLong", "int64", 300)
    toFloat = _cast("toFloat", "float32", 300.5)
    toDouble = _cast("toDouble", "float64", 300.5)
    byte = _cast("byte", "uint8", 255)
    uint8 = _cast("uint8", "uint8", 255)
    int8 = _cast("int8", "int8", 127)
    uint16 = _cast("uint16", "uint16", 300)
    int16 = _cast("int16", "int16", 300)
    short = _cast("short", "int16", 300)
    uint32 = _cast("uint32", "uint32", 300)
    int32 = _cast("int32", "int32", 300)
    int64 = _cast("int64", "int64", 300)
    long = _cast("long", "int64", 300)
    double = _cast("double", "float64", 300.5)
    float = _cast("float", "float32", 300.5)
    int = _cast("int", "int32", 300)


class ClippedConstant(Hinting):
    """A constant that was clipped: it has no pixels before it is combined with an image.

    Methods that are called before are recorded: ``ee.Image(1).clip(region).mask()`` is computed on
    the grid of the image that it masks.

    Parameters
    ----------
    constant : Image
        The constant inside the region.
    on : callable
        Makes it an image on the grid of another.
    """

    _name = "ee.Image"
    _without_pixels = ("bandNames", "get", "date", "id")

    def __init__(self, constant: Image, on: Callable[[Image], Image]) -> None:
        self._constant = constant
        self._on = on

    def __repr__(self) -> str:
        return f"{self._constant!r}, clipped: on the grid of the image that it is combined with"

    def on(self, image: Image) -> Image:
        """Make it an image on the grid of another."""
        if not image.dataset.sizes:
            raise ValueError(
                "a clipped constant was combined with a constant, and neither has pixels. Combine "
                "one with an image first, for instance "
                "image.updateMask(ee.Image(1).clip(region))."
            )
        return self._on(image)

    @property
    def dataset(self) -> xr.Dataset:
        """Refuse: there are no pixels yet."""
        raise ValueError(
            "a constant that was clipped has no pixels of its own: its grid is that of the image "
            "that it is combined with. Combine it with one, for instance "
            "image.updateMask(ee.Image(1).clip(region))."
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in dir(Image):
            return super().__getattr__(name)
        if name in self._without_pixels:
            return getattr(self._constant, name)

        def recorded(*args: Any, **options: Any) -> Any:
            for one in (*args, *options.values()):
                if isinstance(one, Image) and one.dataset.sizes:
                    return getattr(self.on(one), name)(*args, **options)
            inside = [one._constant if isinstance(one, ClippedConstant) else one for one in args]
            return ClippedConstant(
                self._constant if name == "clip" else getattr(self._constant, name)(*inside),
                lambda grid: getattr(self.on(grid), name)(*args, **options),
            )

        return recorded


def _inside(image: Image, region: Any) -> Image:
    """Give 1 on the pixels of an image whose centre lies in a region, 0 elsewhere."""
    dataset = image.dataset
    still = dataset.isel(time=0, drop=True) if "time" in dataset.dims else dataset
    down, across = map_dims(still)
    outline = everywhere(projected(region, crs_of(still))).geom.wkb
    band = max(still.data_vars.values(), key=lambda one: one.ndim)
    inside = by_chunk(_centres_in, [band, still[down], still[across]], "uint8", outline=outline)
    return Image(with_bands(still, {"inside": inside}))


def _centres_in(values: Array, ys: Array, xs: Array, *, outline: bytes) -> Array:
    shapely = needed("shapely", "geo", "regions")
    shape = shapely.from_wkb(outline)
    shapely.prepare(shape)
    inside: Array = np.asarray(shapely.intersects_xy(shape, *np.broadcast_arrays(xs, ys)), "uint8")
    return np.broadcast_to(inside, np.shape(values))


def _overlapping(
    a: xr.Dataset, b: xr.Dataset, dims: list[Hashable]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Cut two images to the pixels that both have, by slices where possible: chunks stay whole."""
    for dim in dims:
        if dim in a.coords and dim in b.coords:
            ours, theirs = a[dim].values, b[dim].values
            a = a.isel({dim: _run(np.flatnonzero(np.isin(ours, theirs)))})
            b = b.isel({dim: _run(np.flatnonzero(np.isin(theirs, ours)))})
    return xr.align(a, b, join="inner", exclude={"time"})


def _run(places: Any) -> Any:
    """Give consecutive positions as a slice."""
    if len(places) and places[-1] - places[0] == len(places) - 1:
        return slice(int(places[0]), int(places[-1]) + 1)
    return places


def listed(bands: Mapping[Hashable, xr.DataArray]) -> str:
    """List bands and their dtypes."""
    names = ", ".join(f"{name} ({band.dtype})" for name, band in bands.items())
    return f"band{'' if len(bands) == 1 else 's'} {names or 'none'}"


def _as_many(bands: dict[Hashable, xr.DataArray], count: int) -> list[xr.DataArray]:
    """Repeat a single band, to be combined with each band of another image."""
    listed = list(bands.values())
    return listed * count if len(listed) == 1 else listed


def _free(name: Hashable, taken: Any) -> Hashable:
    """Find a name that is free: name, name_1, name_2 ..."""
    number, free = 0, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free

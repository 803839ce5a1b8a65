"""``ee.Image``."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from qmosaic import pixels
from qmosaic.ee.geometries import Geometry
from qmosaic.ee.properties import KNOWN_AS, Date, List, Number, Text, as_number, property_of
from qmosaic.ee.unsupported import Words
from qmosaic.filters import clip_to, matching
from qmosaic.geometry import with_crs_coordinate
from qmosaic.moments import in_utc
from qmosaic.scores import normalized_difference
from qmosaic.scores.expressions import is_number


def _plain(value: Any) -> Any:
    """Take a number of `qmosaic.ee` as Python's: a whole one is an integer."""
    return value.getInfo() if isinstance(value, Number) else value


def _binary(word: str) -> Any:
    """Make a method of two operands."""

    def method(self: Image, image2: Any) -> Image:
        return self._combined(word, image2)

    method.__name__, method.__doc__ = word, f"{word}, band by band, with an image or a number."
    return method


def _unary(word: str) -> Any:
    """Make a method of one."""

    def method(self: Image) -> Image:
        return self._changed(lambda band: pixels.change(word, band))

    method.__name__, method.__doc__ = word, f"{word} of every pixel."
    return method


def _cast(word: str, dtype: str) -> Any:
    """Make a method that changes the dtype."""

    def method(self: Image) -> Image:
        return self._changed(lambda band: pixels.cast(band, dtype))

    method.__name__, method.__doc__ = word, f"Bring all bands to {dtype}."
    return method


class Image(Words):
    """An image: bands on a map.

    Inside ``ImageCollection.map`` it stands for every image of the collection at once: what is
    written as arithmetic on it holds for each of them.

    Parameters
    ----------
    source : xarray.Dataset, xarray.DataArray, number, sequence of these, or Image
        A number is a constant everywhere; a sequence is an image with all their bands.

    Attributes
    ----------
    dataset : xarray.Dataset
        What is behind it: bands as data variables, properties as coordinates.
    """

    _word = "ee.Image"

    def __init__(self, source: Any) -> None:
        if isinstance(source, list | tuple):
            first, *others = (Image(one) for one in source)
            for other in others:
                first = first.addBands(other)
            source = first
        if isinstance(source, Image):
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
        self.dataset: xr.Dataset = with_crs_coordinate(in_utc(dataset))

    @staticmethod
    def constant(value: Any) -> Image:
        """Make an image that is a number everywhere."""
        return Image(value)

    @staticmethod
    def cat(*images: Any) -> Image:
        """Put the bands of several images into one."""
        return Image(list(images[0] if len(images) == 1 else images))

    def __repr__(self) -> str:
        return f"ee.Image with bands {', '.join(map(str, self._names()))}"

    # -- bands -----------------------------------------------------------------------------------

    def _names(self) -> list[Hashable]:
        return list(self.dataset.data_vars)

    def _with(self, bands: dict[Hashable, xr.DataArray]) -> Image:
        """Give an image with other bands and the same properties."""
        bare = self.dataset.drop_vars(self._names())
        for name in bands:
            if name in bare.dims:
                raise ValueError(
                    f"a band cannot be called {name!r} here: that is a dimension of the image. "
                    f"Rename it, for instance .rename('{name}_band')."
                )
        # a property that is made a band is one from here on
        return Image(bare.drop_vars([n for n in bands if n in bare.coords]).assign(bands))

    def _beside(self, other: Image) -> tuple[Image, Image]:
        """Bring two images onto the pixels that both have: one of them may have been clipped."""
        places = [d for d in self.dataset.dims if d != "time" and d in other.dataset.dims]
        same = all(
            d not in self.dataset.coords
            or d not in other.dataset.coords
            or np.array_equal(self.dataset[d].values, other.dataset[d].values)
            for d in places
        )
        if same:
            return self, other
        a, b = xr.align(self.dataset, other.dataset, join="inner", exclude={"time"})
        if any(a.sizes[d] == 0 for d in places):
            raise ValueError(
                "the two images have no pixel in common: they lie elsewhere, or on other grids "
                "(odc-geo's reproject brings one onto the other's)."
            )
        return Image(a), Image(b)

    def bandNames(self) -> List:
        """List the bands."""
        return List(self._names())

    def select(self, *selectors: Any, opt_names: Any = None) -> Image:
        """Choose bands by name, number or regular expression, and rename them where names follow.

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
        kept = self._with({name: self.dataset[name] for name in chosen})
        return kept if names is None else kept.rename(names)

    def _find(self, selector: Any) -> list[Hashable]:
        own = self._names()
        if is_number(selector):
            if not -len(own) <= selector < len(own):
                raise IndexError(
                    f"ee.Image.select({selector}): there are {len(own)} bands, numbered from 0: "
                    f"{', '.join(map(repr, own))}."
                )
            return [own[selector]]
        return matching(selector, own)

    def rename(self, *names: Any) -> Image:
        """Give the bands other names, all of them."""
        listed = list(names[0]) if len(names) == 1 and isinstance(names[0], list | tuple) else names
        own = self._names()
        if len(listed) != len(own):
            raise ValueError(
                f"ee.Image.rename() got {len(listed)} names for {len(own)} bands: "
                f"{', '.join(map(repr, own))}. Give one for each."
            )
        if len(set(listed)) != len(listed):
            raise ValueError(f"ee.Image.rename() got a name twice: {', '.join(map(repr, listed))}.")
        return self._with({n: self.dataset[o] for n, o in zip(listed, own, strict=True)})

    def addBands(self, srcImg: Any, names: Any = None, overwrite: bool = False) -> Image:
        """Add the bands of another image.

        A band whose name is taken is called ``name_1``; with `overwrite` it replaces the one that
        has it. `names` are the bands to add, all by default.
        """
        self, source = self._beside(Image(srcImg))
        source = source if names is None else source.select(names)
        bands = dict(self.dataset.data_vars)
        for name, band in source.dataset.data_vars.items():
            bands[name if overwrite else _free(name, bands)] = band
        return self._with(bands)

    # -- arithmetic ------------------------------------------------------------------------------

    def _combined(self, word: str, other: Any) -> Image:
        """Combine band by band; an image of one band goes with all of the other's."""
        if is_number(other):
            value = _plain(other)
            return self._with(
                {n: pixels.combine(word, b, value) for n, b in self.dataset.data_vars.items()}
            )
        self, image = self._beside(Image(other))
        own, theirs = self._names(), image._names()
        if len(own) != len(theirs) and 1 not in (len(own), len(theirs)):
            raise ValueError(
                f"ee.Image.{word}() got images of {len(own)} and {len(theirs)} bands; they have as "
                "many, or one of them has one band. Select the bands first."
            )
        count = max(len(own), len(theirs))
        pairs = zip(own * (count // len(own)), theirs * (count // len(theirs)), strict=True)
        names = own if len(own) == count else theirs
        context = self if self.dataset.sizes or not image.dataset.sizes else image
        return context._with(
            {
                name: pixels.combine(word, self.dataset[a], image.dataset[b])
                for name, (a, b) in zip(names, pairs, strict=True)
            }
        )

    def _changed(self, change: Callable[[xr.DataArray], xr.DataArray]) -> Image:
        return self._with({name: change(band) for name, band in self.dataset.data_vars.items()})

    add = _binary("add")
    subtract = _binary("subtract")
    multiply = _binary("multiply")
    divide = _binary("divide")
    pow = _binary("pow")
    mod = _binary("mod")
    min = _binary("min")
    max = _binary("max")
    eq = _binary("eq")
    neq = _binary("neq")
    lt = _binary("lt")
    lte = _binary("lte")
    gt = _binary("gt")
    gte = _binary("gte")
    And = _binary("And")
    Or = _binary("Or")
    bitwiseAnd = _binary("bitwiseAnd")
    bitwiseOr = _binary("bitwiseOr")
    bitwiseXor = _binary("bitwiseXor")
    leftShift = _binary("leftShift")
    rightShift = _binary("rightShift")
    sqrt = _unary("sqrt")
    exp = _unary("exp")
    log = _unary("log")
    log10 = _unary("log10")
    sin = _unary("sin")
    cos = _unary("cos")
    floor = _unary("floor")
    ceil = _unary("ceil")
    round = _unary("round")

    def normalizedDifference(self, bandNames: Any = None) -> Image:
        """Compare two bands, ``(a - b) / (a + b)``, as band "nd"; masked where one is negative."""
        names = self._names()[:2] if bandNames is None else list(bandNames)
        if len(names) != 2:
            raise ValueError(
                f"ee.Image.normalizedDifference() takes two bands, and got {len(names)}."
            )
        a, b = (self.dataset[self._find(name)[0]] for name in names)
        index = normalized_difference(a, b)
        for band in (a, b):
            if band.dtype.kind in "if":
                index = pixels.update_mask(index, pixels.combine("gte", band, 0))
        return self._with({"nd": index})

    def Not(self) -> Image:
        """Give 1 where a band is 0, and 0 elsewhere."""
        return self._changed(lambda band: pixels.change("Not", band))

    def abs(self) -> Image:
        """Give the absolute values."""
        return self._changed(lambda band: pixels.change("abs", band))

    def where(self, test: Any, value: Any) -> Image:
        """Give each band the value of another image, or a number, where `test` is not 0."""
        tests = list(Image(test).dataset.data_vars.values())
        values = list(Image(value).dataset.data_vars.values())
        own = self._names()
        if len(tests) not in (1, len(own)) or len(values) not in (1, len(own)):
            raise ValueError(
                f"ee.Image.where() got a test of {len(tests)} and a value of {len(values)} bands "
                f"for {len(own)}; they have one, or as many."
            )
        tests, values = tests * (len(own) // len(tests)), values * (len(own) // len(values))
        return self._with(
            {
                name: pixels.where(self.dataset[name], t, v)
                for name, t, v in zip(own, tests, values, strict=True)
            }
        )

    def unitScale(self, low: float, high: float) -> Image:
        """Bring `low` to 0 and `high` to 1."""
        scaled: Image = self.subtract(low).divide(high - low)
        return scaled

    def clamp(self, low: float, high: float) -> Image:
        """Cut values to a range."""
        clamped: Image = self.max(low).min(high)
        return clamped

    # -- masks -----------------------------------------------------------------------------------

    def updateMask(self, mask: Any) -> Image:
        """Mask pixels also where another image is 0 or masked."""
        self, other = self._beside(Image(mask))
        masks = list(other.dataset.data_vars.values())
        own = self._names()
        if len(masks) not in (1, len(own)):
            raise ValueError(
                f"ee.Image.updateMask() got a mask of {len(masks)} bands for {len(own)}; it has "
                "one, or as many."
            )
        masks = masks * (len(own) // len(masks))
        return self._with(
            {n: pixels.update_mask(self.dataset[n], m) for n, m in zip(own, masks, strict=True)}
        )

    def selfMask(self) -> Image:
        """Mask pixels that are 0."""
        return self.updateMask(self)

    def mask(self, mask: Any = None) -> Image:
        """Give 1 where a band is valid and 0 where it is masked; with a mask, see updateMask."""
        return self._changed(pixels.mask_of) if mask is None else self.updateMask(mask)

    def unmask(self, value: Any = 0, sameFootprint: Any = True) -> Image:
        """Give masked pixels a value, or those of another image."""
        if is_number(value):
            return self._changed(lambda band: pixels.unmask(band, _plain(value)))
        raise TypeError(
            f"ee.Image.unmask() got a {type(value).__name__}; it takes a number. To fill holes "
            "from another image, make a collection of both: "
            "ee.ImageCollection([other, image]).mosaic()."
        )

    def clip(self, geometry: Any) -> Image:
        """Cut the image to a region."""
        region = Geometry(geometry).geometry
        return Image(clip_to(self.dataset, region, self._names()))

    # -- properties ------------------------------------------------------------------------------

    def metadata(self, property: str, name: str | None = None) -> Image:
        """Make a band of a property: one number an image; times are milliseconds since 1970."""
        values = as_number(property_of(self.dataset, property, "ee.Image.metadata()"))
        return self._with({property if name is None else name: values})

    def get(self, property: str) -> Any:
        """Give a property of a single image."""
        values = property_of(self.dataset, property, "ee.Image.get()")
        if values.ndim:
            raise ValueError(
                f"ee.Image.get({property!r}): inside map() the image stands for all images, which "
                f"have a property each. As a band it is img.metadata({property!r})."
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
        for name, value in dict(given).items():
            if not isinstance(value, str | int | float | bool | np.generic):
                raise TypeError(
                    f"ee.Image.set({name!r}) got a {type(value).__name__}; it takes a number or a "
                    "text, the same for all images inside map(). To give each image its own, "
                    "write collection.dataset.assign_coords({name: ('time', [...])}), and wrap it."
                )
        count = self.dataset.sizes.get("time")
        along = {
            KNOWN_AS.get(name, name): value if count is None else ("time", np.full(count, value))
            for name, value in dict(given).items()
        }
        return Image(self.dataset.assign_coords(along))

    def copyProperties(self, source: Any, properties: Any = None, exclude: Any = None) -> Image:
        """Take properties of another image; those of an image stay with it anyway."""
        there = Image(source).dataset.coords
        names = [n for n in there if n not in self.dataset.coords and n not in (exclude or ())]
        if properties is not None:
            wanted = {KNOWN_AS.get(name, name) for name in properties}
            names = [name for name in names if name in wanted]
        return Image(self.dataset.assign_coords({name: there[name] for name in names}))

    def date(self) -> Date:
        """Give when a single image was taken."""
        times = property_of(self.dataset, "system:time_start", "ee.Image.date()")
        if times.ndim:
            raise ValueError(
                "ee.Image.date(): inside map() the image stands for all images, which have a date "
                "each. As a band of milliseconds it is img.metadata('system:time_start')."
            )
        return Date(times.values[()])

    def id(self) -> Any:
        """Give the id of a single image."""
        return self.get("system:index")

    # -- dtypes (last: two of these words are types of Python) --------------------------------

    toByte = _cast("toByte", "uint8")
    toUint8 = _cast("toUint8", "uint8")
    toInt8 = _cast("toInt8", "int8")
    toUint16 = _cast("toUint16", "uint16")
    toInt16 = _cast("toInt16", "int16")
    toShort = _cast("toShort", "int16")
    toUint32 = _cast("toUint32", "uint32")
    toInt32 = _cast("toInt32", "int32")
    toInt = _cast("toInt", "int32")
    toInt64 = _cast("toInt64", "int64")
    toLong = _cast("toLong", "int64")
    toFloat = _cast("toFloat", "float32")
    toDouble = _cast("toDouble", "float64")
    byte = _cast("byte", "uint8")
    uint8 = _cast("uint8", "uint8")
    int8 = _cast("int8", "int8")
    uint16 = _cast("uint16", "uint16")
    int16 = _cast("int16", "int16")
    short = _cast("short", "int16")
    uint32 = _cast("uint32", "uint32")
    int32 = _cast("int32", "int32")
    int64 = _cast("int64", "int64")
    long = _cast("long", "int64")
    double = _cast("double", "float64")
    float = _cast("float", "float32")
    int = _cast("int", "int32")


def _free(name: Hashable, taken: Any) -> Hashable:
    """Find a name that is not taken: name, name_1, name_2 ..."""
    number, free = 0, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free

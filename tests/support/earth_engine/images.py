"""Images: bands by their names, and properties in a dictionary.

As in https://developers.google.com/earth-engine/apidocs, under ee.Image.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support.earth_engine import bands as of_bands
from tests.support.earth_engine.bands import Band, constant, pixelwise
from tests.support.earth_engine.dates import Date
from tests.support.earth_engine.geometries import Geometry
from tests.support.earth_engine.values import List, String, Value, plain, wrapped

CASTS = {
    "uint8": ("toByte", "toUint8", "byte", "uint8"),
    "int8": ("toInt8", "int8"),
    "uint16": ("toUint16", "uint16"),
    "int16": ("toInt16", "toShort", "int16", "short"),
    "uint32": ("toUint32", "uint32"),
    "int32": ("toInt32", "toInt", "int32", "int"),
    "int64": ("toInt64", "toLong", "int64", "long"),
    "float32": ("toFloat", "float"),
    "float64": ("toDouble", "double"),
}


def name_beside(name: str, taken: Any) -> str:
    """Find a name that is free: ``name_1`` and so on."""
    free, number = name, 0
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


class Image:
    """An image."""

    def __init__(self, source: Any = None, properties: dict[str, Any] | None = None) -> None:
        known = not isinstance(source, Value)  # when the script is written: a number of Python
        source = plain(source)
        self.bands: dict[str, Band] = {}
        self.properties: dict[str, Any] = dict(properties or {})
        if isinstance(source, Image):
            self.bands, self.properties = dict(source.bands), dict(source.properties)
        elif isinstance(source, dict):
            self.bands = source
        elif isinstance(source, list):
            made = Image(source[0])
            for one in source[1:]:
                made = made.addBands(Image(one))
            self.bands, self.properties = made.bands, made.properties
        else:
            self.bands = {"constant": constant(source, fixed=known)}

    @staticmethod
    def constant(value: Any) -> Image:
        """Make an image of a number, or of a list of numbers."""
        if not isinstance(plain(value), list):
            return Image(value)
        return Image({f"constant_{i}": constant(one) for i, one in enumerate(plain(value))})

    @staticmethod
    def rgb(r: Any, g: Any, b: Any) -> Image:
        """Make an image of three bands."""
        return Image.cat(r, g, b).rename(["vis-red", "vis-green", "vis-blue"])

    def cast(self, bandTypes: Any, bandOrder: Any = None) -> Image:
        """Cast some bands."""
        made = dict(self.bands)
        for name, dtype in bandTypes.items():
            made[name] = next(iter(getattr(self.select(name), dtype)().bands.values()))
        return self._with({name: made[name] for name in bandOrder or made})

    @staticmethod
    def cat(*images: Any) -> Image:
        """Put bands together."""
        return Image(images[0] if len(images) == 1 else list(images))

    def _with(self, bands: dict[str, Band], other: Image | None = None) -> Image:
        """Other bands; a constant takes the properties of what it is combined with."""
        still = other is not None and all(b.grid is None for b in self.bands.values())
        return Image(bands, (other if still and other is not None else self).properties)

    def _each(self, function: Callable[[Band], Band]) -> Image:
        return self._with({name: function(band) for name, band in self.bands.items()})

    # -- bands --------------------------------------------------------------------------------

    def bandNames(self) -> List:
        """List the bands."""
        return List(list(self.bands))

    def _found(self, selector: Any) -> list[str]:
        selector = plain(selector)
        if isinstance(selector, int | float):
            return [list(self.bands)[int(selector)]]
        found = [name for name in self.bands if re.fullmatch(selector, name)]
        if not found:
            raise KeyError(selector)
        return found

    def select(self, *selectors: Any, opt_names: Any = None) -> Image:
        """Choose bands; a list may be followed by new names."""
        given, names = list(selectors), opt_names
        if isinstance(plain(given[0]), list):
            names = given[1] if len(given) > 1 else names
            given = plain(given[0])
        chosen = [name for one in given for name in self._found(one)]
        made = self._with({name: self.bands[name] for name in dict.fromkeys(chosen)})
        return made if names is None else made.rename(names)

    def rename(self, *names: Any) -> Image:
        """Give the bands other names."""
        given = plain(names[0] if isinstance(plain(names[0]), list) else list(names))
        return self._with(dict(zip(given, self.bands.values(), strict=True)))

    def regexpRename(self, regex: Any, replacement: Any, all: bool = True) -> Image:
        """Change names by a regular expression."""
        count = 0 if all else 1
        return self.rename([re.sub(regex, replacement, n, count=count) for n in self.bands])

    def addBands(self, srcImg: Any, names: Any = None, overwrite: bool = False) -> Image:
        """Add the bands of another image."""
        source = Image(srcImg) if names is None else Image(srcImg).select(names)
        made = dict(self.bands)
        for name, band in source.bands.items():
            made[name if overwrite else name_beside(name, made)] = band
        return self._with(made)

    # -- arithmetic ---------------------------------------------------------------------------

    def _paired(self, other: Any) -> dict[str, tuple[Band, Band]]:
        """Pair bands: one with all; those of the same names by name; else in their order."""
        own, theirs = self.bands, Image(other).bands
        if len(own) == 1 or len(theirs) == 1:
            names = list(own if len(own) >= len(theirs) else theirs)
            a = list(own.values()) * (len(names) if len(own) == 1 else 1)
            b = list(theirs.values()) * (len(names) if len(theirs) == 1 else 1)
            return {name: (a[i], b[i]) for i, name in enumerate(names)}
        assert len(own) == len(theirs)
        if set(own) == set(theirs):
            return {name: (own[name], theirs[name]) for name in own}
        return {name: (own[name], b) for name, b in zip(own, theirs.values(), strict=True)}

    def _matched(self, other: Any) -> dict[str, tuple[Band, Band]]:
        """Pair bands with the one of another image, or with as many in their order."""
        theirs = list(Image(other).bands.values())
        theirs = theirs * len(self.bands) if len(theirs) == 1 else theirs
        return {n: (a, b) for (n, a), b in zip(self.bands.items(), theirs, strict=True)}

    def _combined(self, name: str, other: Any) -> Image:
        other = Image(other)
        made = {n: of_bands.combine(name, a, b) for n, (a, b) in self._paired(other).items()}
        return self._with(made, other)

    def normalizedDifference(self, bandNames: Any = None) -> Image:
        """Compute (a - b) / (a + b); masked where one is negative, or both are 0."""
        a, b = self.select(list(self.bands)[:2] if bandNames is None else bandNames).bands.values()

        def index(x: Any, y: Any) -> Any:
            return None if x < 0 or y < 0 or x + y == 0 else (x - y) / (x + y)

        return self._with({"nd": pixelwise(index, [a, b], None)})

    def where(self, test: Any, value: Any) -> Image:
        """Take the value of another image where a test is not 0."""
        tests, values = self._matched(test), self._matched(value)
        made = {
            name: of_bands.replaced(band, tests[name][1], values[name][1])
            for name, band in self.bands.items()
        }
        return self._with(made, Image(test))

    def unitScale(self, low: Any, high: Any) -> Image:
        """Bring a range to 0 to 1."""
        low, high = plain(low), plain(high)
        return self.subtract(low).divide(high - low)

    def clamp(self, low: Any, high: Any) -> Image:
        """Limit values to a range."""
        return self.max(low).min(high)

    # -- masks --------------------------------------------------------------------------------

    def mask(self, mask: Any = None) -> Image:
        """Give the masks as 1 and 0."""
        return self._each(of_bands.mask_of) if mask is None else self.updateMask(mask)

    def updateMask(self, mask: Any) -> Image:
        """Mask also where another image is 0 or masked."""
        made = {n: of_bands.with_mask(a, b) for n, (a, b) in self._matched(mask).items()}
        return self._with(made, Image(mask))

    def selfMask(self) -> Image:
        """Mask what is 0."""
        return self._each(lambda band: of_bands.with_mask(band, band))

    def unmask(self, value: Any = 0, sameFootprint: bool = True) -> Image:
        """Give masked pixels a number or what another image has there."""
        value = plain(value)
        if not isinstance(value, Image):
            return self._each(lambda band: of_bands.filled(band, value))
        made = {n: of_bands.filled_from(a, b) for n, (a, b) in self._matched(value).items()}
        return self._with(made, value)

    def blend(self, top: Any) -> Image:
        """Lay another image on top."""
        made = {n: of_bands.filled_from(b, a) for n, (a, b) in self._matched(top).items()}
        return self._with(made, Image(top))

    def clipToCollection(self, collection: Any) -> Image:
        """Mask outside the regions of features."""
        return self.clip(collection.geometry())

    def clip(self, geometry: Any) -> Image:
        """Mask outside a region."""
        region = Geometry(getattr(geometry, "geometry", lambda: geometry)())
        (grid,) = of_bands.HERE
        inside = set(region.pixels_of(grid))
        rows = [[int((y, x) in inside) for x in range(len(grid.xs))] for y in range(len(grid.ys))]
        test = of_bands.whole(grid, rows, np.dtype("uint8"))
        made = self._each(lambda band: of_bands.with_mask(band, test))
        for band in made.bands.values():
            band.dtype = None
        return made

    @staticmethod
    def pixelLonLat() -> Image:
        """Give the places of the pixels."""
        (grid,) = of_bands.HERE
        return Image(
            {
                "longitude": of_bands.whole(grid, [list(grid.xs) for _ in grid.ys]),
                "latitude": of_bands.whole(grid, [[y] * len(grid.xs) for y in grid.ys]),
            }
        )

    @staticmethod
    def pixelArea() -> Image:
        """Give the areas of the pixels in square metres."""
        (grid,) = of_bands.HERE
        return Image({"area": of_bands.whole(grid, of_bands.areas(grid))})

    # -- properties ---------------------------------------------------------------------------

    def get(self, property: Any) -> Any:
        """Give a property."""
        return wrapped(self.properties[plain(property)])

    getNumber = getString = get

    def set(self, *properties: Any) -> Image:
        """Set properties: a dictionary, or names and values in turn."""
        given = plain(properties[0]) if len(properties) == 1 else None
        if given is None:
            given = dict(zip(plain(properties[::2]), plain(properties[1::2]), strict=True))
        given = {k: v.millis().value if isinstance(v, Date) else v for k, v in given.items()}
        return Image(self.bands, {**self.properties, **given})

    def copyProperties(self, source: Any, properties: Any = None, exclude: Any = None) -> Image:
        """Copy properties; without names all that do not begin with "system:"."""
        there = source.properties
        names = plain(properties) or [n for n in there if not n.startswith("system:")]
        names = [name for name in names if name not in (exclude or [])]
        return self.set({name: there[name] for name in names if name in there})

    def propertyNames(self) -> List:
        """List the properties."""
        return List(list(self.properties))

    def toDictionary(self, properties: Any = None) -> Any:
        """Give the properties."""
        names = plain(properties) or [n for n in self.properties if not n.startswith("system:")]
        return wrapped({name: self.properties[name] for name in names})

    def metadata(self, property: Any, name: Any = None) -> Image:
        """Make a band of a property."""
        band = constant(self.properties[property], fixed=False)
        return self._with({name or property: band})

    def date(self) -> Date:
        """Give the date."""
        return Date(self.properties["system:time_start"])

    def id(self) -> String:
        """Give the id."""
        return String(self.properties["system:index"])


def _binary(name: str) -> Any:
    return lambda self, image2: self._combined(name, image2)


def _unary(name: str) -> Any:
    return lambda self: self._each(lambda band: of_bands.change(name, band))


def _cast(dtype: str) -> Any:
    return lambda self: self._each(lambda band: of_bands.cast(band, dtype))


for _table in (of_bands.ARITHMETIC, of_bands.REAL, of_bands.COMPARING, of_bands.BITS):
    for _name in _table:
        setattr(Image, _name, _binary(_name))
for _name in (*of_bands.UNARY, "abs", "Not", "signum", "bitwiseNot", "bitCount"):
    setattr(Image, _name, _unary(_name))
for _dtype, _names in CASTS.items():
    for _name in _names:
        setattr(Image, _name, _cast(_dtype))

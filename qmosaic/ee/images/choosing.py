"""Bands of an image: names, order, those of other images."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Self

from qmosaic.ee.images.base import Bands, free
from qmosaic.ee.images.gridless import ClippedConstant
from qmosaic.ee.names import band_names
from qmosaic.ee.values import Computed, EachImage, List, known, known_name


class Choosing(Bands):
    """Which bands an image has, and their names."""

    @classmethod
    def constant(cls, value: Any) -> Self:
        """Make an image that is a number everywhere; of a number of each image, one for each.

        Of a list, the bands ``constant_0``, ``constant_1`` and so on.
        """
        numbers = _listed(value)
        if numbers is None:
            return cls(value)
        return cls([cls(one).rename(f"constant_{place}") for place, one in enumerate(numbers)])

    @classmethod
    def cat(cls, *images: Any) -> Self:
        """Put the bands of several images into one."""
        return cls(list(images[0] if len(images) == 1 else images))

    @classmethod
    def rgb(cls, r: Any, g: Any, b: Any) -> Self:
        """Make an image of the first bands of three: "vis-red", "vis-green", "vis-blue".

        https://developers.google.com/earth-engine/apidocs/ee-image-rgb
        """
        parts = [one if isinstance(one, Bands | ClippedConstant) else cls(one) for one in (r, g, b)]
        first = [one.select([0]) for one in parts]
        return cls.cat(first).rename(["vis-red", "vis-green", "vis-blue"])

    def bandNames(self) -> Any:
        """List the bands; inside `ImageCollection.map`, where images have others, of each."""
        each = band_names(self.dataset)
        if all(one == each[0] for one in each[1:]):
            return List(each[0] if each else self._names())
        return Computed(List, [List(one) for one in each], len(each))

    def select(self, *selectors: Any, opt_names: Any = None) -> Self:
        """Choose bands by name, number or regular expression; with new names, rename them.

        ``select("B4", "B3")``, ``select(["B4", "B3"], ["red", "green"])``, ``select(0)``.
        """
        names, selectors = opt_names, tuple(known(one, "select()") for one in selectors)
        if selectors and isinstance(selectors[0], list | tuple):
            names = selectors[1] if len(selectors) > 1 else names
            asked: Sequence[Any] = selectors[0]
        else:
            asked = selectors
        found = [name for one in asked for name in self._find(one)]
        own = self._bands()
        if names is None:
            return self._with({name: own[name] for name in found})
        new = _known_names([names], "ee.Image.select()")
        _check_names(new, found, "select")
        return self._with({name: own[old] for name, old in zip(new, found, strict=True)})

    def rename(self, *names: Any) -> Self:
        """Rename the bands: one name for each."""
        listed = _known_names(names, "ee.Image.rename()")
        own = self._bands()
        _check_names(listed, list(own), "rename")
        return self._with(dict(zip(listed, own.values(), strict=True)))

    def addBands(self, srcImg: Any, names: Any = None, overwrite: bool = False) -> Self:
        """Add the bands of another image.

        A band whose name is taken is called ``name_1``; with `overwrite` it replaces the band of
        that name. `names` are the bands to add, all by default.
        """
        self, source = self._aligned(self._as_image(srcImg))
        source = source if names is None else source.select(names)
        bands = self._bands()
        for name, band in source._bands().items():
            bands[name if overwrite else free(name, bands)] = band
        return self._with(bands, source)


def _known_names(names: Sequence[Any], caller: str) -> list[str]:
    """Take names of bands, or a list of them; names that are computed have to be known."""
    first = known(names[0], caller) if len(names) == 1 else None
    asked = first if isinstance(first, list | tuple) else names
    return [str(known_name(name, caller)) for name in asked]


def _check_names(names: Sequence[Any], bands: Sequence[Hashable], method: str) -> None:
    """Refuse names that are not one for each band, each another one."""
    if len(names) != len(bands):
        raise ValueError(
            f"ee.Image.{method}() got {len(names)} names for {len(bands)} bands: "
            f"{', '.join(map(repr, bands))}. Give one for each."
        )
    if len(set(names)) != len(names):
        raise ValueError(
            f"ee.Image.{method}() got a name twice: {', '.join(map(repr, names))}. Bands are "
            "found by their names: give each another one."
        )


def _listed(value: Any) -> list[Any] | None:
    """Give the numbers of a list, of which each image may have its own; None of one number."""
    if isinstance(value, list | tuple):
        return list(value)
    if not isinstance(value, Computed) or value.kind is not List:
        return None
    if value.images is None:
        return list(known(value))
    lengths = set() if value.is_lazy else {len(one) for one in value.content}
    if len(lengths) != 1:
        raise EachImage("lists of images are bands where all are as long, and known")
    return [value.get(place) for place in range(lengths.pop())]

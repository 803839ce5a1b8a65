"""What all methods of an image build on: its bands, the grid that it shares with others."""

from __future__ import annotations

import html
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import xarray as xr

from qmosaic.collection.filters import matching
from qmosaic.collection.location import with_crs_coordinate
from qmosaic.collection.masks import free_value
from qmosaic.collection.nearest import on_grid_like
from qmosaic.collection.requests import share_pixels
from qmosaic.collection.times import in_utc
from qmosaic.ee import pixels
from qmosaic.ee.catalog import resolve
from qmosaic.ee.dtypes import number
from qmosaic.ee.images.gridless import ClippedConstant
from qmosaic.ee.names import EMPTIED, TIME, property_in, settled, with_bands
from qmosaic.ee.names import bands as bands_by_name
from qmosaic.ee.unsupported import Hinting
from qmosaic.ee.values import Computed, known_name, plain
from qmosaic.scores.expressions import is_number


class Bands(Hinting):
    """Bands on one grid, and properties: what the methods of an image are made of."""

    _name = "ee.Image"

    def __init__(self, source: Any = None) -> None:
        if isinstance(source, list | tuple):
            first, *others = self._placed(source)
            for other in others:
                first = first.addBands(other)
            source = first
        if source is None:
            nothing = np.uint8(free_value("uint8"))
            dataset = xr.Dataset({"constant": ((), nothing, {"_FillValue": nothing})})
        elif isinstance(source, Bands | ClippedConstant):
            dataset = source.dataset
        elif isinstance(source, str):
            dataset = resolve(source, "ee.Image")
        elif isinstance(source, xr.Dataset):
            dataset = source
        elif isinstance(source, xr.DataArray) and "band" in source.dims:
            dataset = source.to_dataset("band")
        elif isinstance(source, xr.DataArray):
            dataset = source.to_dataset(name=source.name if source.name is not None else "b1")
        elif is_number(source) or isinstance(source, Computed):
            dataset = xr.Dataset({"constant": number(plain(source))})
        else:
            raise TypeError(
                f"ee.Image() got a {type(source).__name__}; give an id, an xarray.Dataset, a "
                "number, or take an image of a collection: collection.first(), "
                "collection.qualityMosaic(...)."
            )
        self.dataset: xr.Dataset = settled(with_crs_coordinate(in_utc(dataset)))

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

    def _with(self, bands: dict[Hashable, xr.DataArray], grid: Bands | None = None) -> Self:
        """Give an image with other bands and the same properties.

        A constant has no grid: it gets that of the image that it was combined with.
        """
        placed = (self if grid is None or not bands or not self._is_constant() else grid).dataset
        if TIME not in placed.dims and any(TIME in band.dims for band in bands.values()):
            placed = placed.drop_vars(TIME, errors="ignore")  # a number for each image, on one
        return type(self)(with_bands(placed, bands))

    def _is_constant(self) -> bool:
        """Tell whether it has no grid: a number everywhere, or one for each image."""
        return not set(self.dataset.dims) - {TIME}

    def _as_image(self, other: Any) -> Self:
        """Take what this image is combined with as an image."""
        if isinstance(other, list | tuple) and not self._is_constant():
            other = [self._as_image(one) for one in other]
        return other.on(self) if isinstance(other, ClippedConstant) else type(self)(other)

    @classmethod
    def _placed(cls, several: Sequence[Any]) -> list[Self]:
        """Take several as images; those without pixels get those of the first that has some."""
        made = [one if isinstance(one, ClippedConstant) else cls(one) for one in several]
        known = [one for one in made if not isinstance(one, ClippedConstant)]
        grid = next((one for one in known if not one._is_constant()), cls(0))
        return [one.on(grid) if isinstance(one, ClippedConstant) else one for one in made]

    def _aligned(self, other: Self) -> tuple[Self, Self]:
        """Cut two images to the pixels that both have: one of them may have been clipped.

        An image on another grid is brought onto that of this one by nearest neighbour.
        """
        places = [d for d in self.dataset.dims if d != "time" and d in other.dataset.dims]
        same = all(
            d not in self.dataset.coords
            or d not in other.dataset.coords
            or np.array_equal(self.dataset[d].values, other.dataset[d].values)
            for d in places
        )
        if same and (len(places) == 2 or self._is_constant() or other._is_constant()):
            return self, other
        if not share_pixels(other.dataset, self.dataset):
            return self, type(self)(on_grid_like(other.dataset, self.dataset, "an image"))
        if same:
            return self, other
        a, b = _overlapping(self.dataset, other.dataset, places)
        if any(a.sizes[d] == 0 for d in places):
            raise ValueError(
                "the two images have no pixel in common, so they cannot be combined: they lie in "
                "different places. Take a region in which both lie, or mosaic() of both."
            )
        return type(self)(a), type(self)(b)

    def _check_bands(self, caller: str) -> None:
        """Refuse an image without bands, such as the mosaic of a collection without images."""
        if not self._names():
            why = self.dataset.attrs.get(EMPTIED, "Add some first: image.addBands(...).")
            raise ValueError(f"{caller}: the image has no bands. {why}")

    def _lacking_bands(self, *others: Self) -> Self:
        """Give what is made of several images, of which one has no bands: none, and why."""
        bare = next(one for one in (self, *others) if not one._names())
        why = {EMPTIED: bare.dataset.attrs[EMPTIED]} if EMPTIED in bare.dataset.attrs else {}
        return type(self)(with_bands(self.dataset, {}).assign_attrs(why))

    def _find(self, selector: Any) -> list[Hashable]:
        own = self._names()
        selector = known_name(selector, "select()")
        self._check_bands(f"ee.Image.select({selector!r})")
        if is_number(selector):
            if not -len(own) <= selector < len(own):
                raise IndexError(
                    f"ee.Image.select({selector}): the image has {len(own)} bands, "
                    f"numbered from 0. Name or number one: {', '.join(map(repr, own))}."
                )
            return [own[int(selector)]]
        return matching(selector, own)

    def _combined(self, name: str, other: Any) -> Self:
        """Combine band by band; an image of one band is combined with all of the other's.

        Bands of the same names are paired by name, whatever their order, others in their order,
        https://developers.google.com/earth-engine/apidocs/ee-image-add. Of one without
        bands an image without bands is made: Earth Engine refuses it, but not where `If` does not
        choose it.
        """
        caller = f"ee.Image.{name}()"
        if is_number(other):
            value = plain(other)
            return self._changed(lambda band: pixels.combine(name, band, value))
        self, image = self._aligned(self._as_image(other))
        own, theirs = self._bands(), image._bands()
        if not own or not theirs:
            return self._lacking_bands(image)
        if len(own) != len(theirs) and 1 not in (len(own), len(theirs)):
            raise ValueError(
                f"{caller} got images of {len(own)} and {len(theirs)} bands, which do "
                "not pair up: both have as many, or one has one band. Select the bands first."
            )
        if own.keys() == theirs.keys():
            theirs = {band: theirs[band] for band in own}
        count = max(len(own), len(theirs))
        names = own if len(own) == count else theirs
        pairs = zip(names, as_many(own, count), as_many(theirs, count), strict=True)
        return self._with({band: pixels.combine(name, a, b) for band, a, b in pairs}, image)

    def _changed(self, change: Callable[[xr.DataArray], xr.DataArray]) -> Self:
        return self._with({name: change(band) for name, band in self._bands().items()})


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


def as_many(bands: dict[Hashable, xr.DataArray], count: int) -> list[xr.DataArray]:
    """Repeat a single band, to be combined with each band of another image."""
    listed = list(bands.values())
    return listed * count if len(listed) == 1 else listed


def free(name: Hashable, taken: Any) -> Hashable:
    """Find a name that is free: name, name_1, name_2 ..."""
    number, free = 0, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free

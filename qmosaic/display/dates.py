"""Which image each pixel is from, in colours: one for each image, or a scale of time."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from qmosaic.collection.declarations import SOURCE_INDEX, SOURCE_TIME, VALID_COUNT
from qmosaic.collection.location import map_axes
from qmosaic.collection.masks import NO_IMAGE, Array
from qmosaic.display.asides import Ramp, Swatches
from qmosaic.display.drawing import MASKED
from qmosaic.display.thinning import listed
from qmosaic.optional import needed

SEVERAL = 12
"""How many images have colours of their own, which can still be told from each other."""

OTHERS = "#9fb0b8"
"""The colour of images that have none of their own."""

MUTED = 0.14
"""How far the colours of single images are from the brightest and the darkest of a screen."""

STEPS = 256
"""Colours of a scale."""

EVEN = (0.06, 0.165, 0.23, 0.274, 0.324, 0.386, 0.453, 0.547, 0.621, 0.707, 0.8, 0.94)
"""Where on matplotlib's scale "turbo" twelve colours lie that the eye finds equally different, by
their distances in CIELAB: evenly spaced ones would be three greens."""


def telling_images(image: xr.Dataset, parameters: Mapping[str, Any]) -> Hashable | None:
    """Name the one variable that is to be shown, where it says from which image each pixel is, and
    no visualisation parameter gives it other colours."""
    bands = parameters.get("bands")
    names = list(image.data_vars) if bands is None else listed(bands)
    if set(parameters) <= {"bands"} and len(names) == 1 and _tells_images(names[0]):
        return names[0] if names[0] in image.variables else None
    return None


def _tells_images(name: Hashable) -> bool:
    return str(name).endswith((SOURCE_INDEX, SOURCE_TIME))


def dated(mosaic: xr.Dataset, name: Hashable) -> xr.Dataset:
    """Take what tells from which image each pixel is, and of what time that image is.

    Parameters
    ----------
    mosaic : xarray.Dataset
        With the variable, and perhaps with its other half.
    name : hashable
        ``source_index`` or ``source_time``, or those of a band.

    Returns
    -------
    xarray.Dataset
        ``image``, its position, or ``taken``, its time, or both, on the map; lazy where they were.
    """
    start = str(name).removesuffix(SOURCE_INDEX).removesuffix(SOURCE_TIME)
    wanted = {"image": start + SOURCE_INDEX, "taken": start + SOURCE_TIME}
    if str(name).endswith(SOURCE_TIME):  # equal times are one: nothing else was asked for
        del wanted["image"]
    here = {own: mosaic[n] for own, n in wanted.items() if n in mosaic.variables}
    on_map = mosaic[name].dims
    others = [c for c in mosaic.coords if _tells_images(c) or c == VALID_COUNT]
    return xr.Dataset(
        {own: v.drop_vars(others, errors="ignore") for own, v in here.items() if v.dims == on_map}
    )


@dataclass(frozen=True)
class Images:
    """The images that gave pixels, in the order of their times.

    Attributes
    ----------
    keys : numpy.ndarray
        What a pixel tells: the positions of images, or their times.
    times : numpy.ndarray, optional
        Their times, where these are known.
    """

    keys: Array
    times: Array | None

    @staticmethod
    def of(keys: Any, times: Any = None) -> Images:
        """Take the images once each, and put them in order; what is none is left out."""
        keys = np.asarray(keys).ravel()
        known = ~pd.isna(keys) if keys.dtype.kind in "fmM" else keys != NO_IMAGE
        found, firsts = np.unique(keys[known], return_index=True)
        if found.dtype.kind == "M":
            return Images(found, found)
        if times is None:
            return Images(found, None)
        when = np.asarray(times).ravel()[known][firsts]
        order = np.argsort(when, kind="stable")
        return Images(found[order], when[order])

    @staticmethod
    def on(maps: Sequence[xr.Dataset]) -> Images:
        """Find the images of several maps, which are in memory."""
        key = "image" if all("image" in one for one in maps) else "taken"
        timed = key == "image" and all("taken" in one for one in maps)
        return Images.of(
            np.concatenate([one[key].values.ravel() for one in maps]),
            np.concatenate([one["taken"].values.ravel() for one in maps]) if timed else None,
        )

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def labels(self) -> list[str]:
        """Name them: by their dates, by their times too where dates are not enough."""
        if self.times is None:
            return [f"image {key}" for key in self.keys]
        days = [str(time)[:10] for time in self.times]
        if len(set(days)) == len(days):
            return days
        return [str(time)[:16].replace("T", " ") for time in self.times]

    @property
    def colours(self) -> Array:
        """Give each a colour of its own, (n, 3): as far apart as can be, and in order."""
        if len(self) <= SEVERAL:
            steps = np.linspace(0, 1, len(self))
            places = np.interp(steps, np.linspace(0, 1, len(EVEN)), EVEN)
            return MUTED + (1 - 2 * MUTED) * _scale("turbo", places)
        return _scale("viridis", self._places)

    @property
    def _numbers(self) -> Array:
        return (self.keys if self.times is None else self.times.astype("int64")).astype(float)

    @property
    def _places(self) -> Array:
        """Say where on the scale of time each lies, 0 to 1."""
        numbers = self._numbers
        places: Array = (numbers - numbers[0]) / max(numbers[-1] - numbers[0], 1.0)
        return places

    def legend(self, *, masked: bool) -> Swatches | Ramp:
        """Say what the colours mean, and which that of pixels without an image is."""
        if len(self) <= SEVERAL:
            named = zip(map(tuple, self.colours), self.labels, strict=True)
            return Swatches([*named, *([(MASKED, "no image")] if masked else [])])
        grey = MASKED if masked else None
        return Ramp(_scale("viridis", np.linspace(0, 1, STEPS)), self._ticks(), grey)

    def _ticks(self) -> list[tuple[float, str]]:
        """Find round times (or positions) to write beside the scale."""
        low, high = self._numbers[0], self._numbers[-1]
        if self.times is None:
            ticker = needed("matplotlib.ticker", "plot", "pictures")
            marks = ticker.MaxNLocator(6, integer=True).tick_values(low, high)
            texts = [f"image {number:g}" for number in marks]
        else:
            dates = needed("matplotlib.dates", "plot", "pictures")
            days = dates.date2num(self.times[[0, -1]])
            found = dates.AutoDateLocator(minticks=4, maxticks=9).tick_values(*dates.num2date(days))
            apart = float(np.diff(found).min(initial=np.inf))
            texts = [_text(moment, apart) for moment in dates.num2date(found)]
            marks = low + (found - days[0]) / (days[1] - days[0]) * (high - low)
        places = (marks - low) / (high - low)
        return [(float(p), t) for p, t in zip(places, texts, strict=True) if 0 <= p <= 1]


def _text(moment: Any, days: float) -> str:
    """Write a time as exactly as its neighbours are apart."""
    if days >= 360:
        return f"{moment:%Y}"
    if days >= 28:
        return f"{moment:%Y-%m}"
    return f"{moment:%Y-%m-%d}" if days >= 1 else f"{moment:%m-%d %H:%M}"


def _scale(name: str, places: Array) -> Array:
    colours: Array = needed("matplotlib", "plot", "pictures").colormaps[name](places)[:, :3]
    return colours


def coloured(
    one: xr.Dataset, images: Images, colours: Array, others: Any = (0.0, 0.0, 0.0)
) -> xr.DataArray:
    """Colour a map of dates.

    Parameters
    ----------
    one : xarray.Dataset
        What `dated` gives, in memory.
    images : Images
        The images that have colours.
    colours : numpy.ndarray
        Red, green and blue of each, (n, 3).
    others : (float, float, float)
        The colour of pixels from other images.

    Returns
    -------
    xarray.DataArray
        Red, green, blue and opacity, uint8, (y, x, band); pixels without an image are transparent.
    """
    key = one["image"] if "image" in one else one["taken"]
    key = key.transpose(*map_axes(key, "a map of dates"))
    values = key.values
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), NO_IMAGE, values).astype(np.int64)
    given = ~np.isnat(values) if values.dtype.kind == "M" else values != NO_IMAGE
    picture = np.zeros((*values.shape, 4), np.uint8)
    picture[given] = np.round(255 * np.array((*others, 1.0)))
    places = pd.Index(images.keys).get_indexer(values.ravel()).reshape(values.shape)
    known = given & (places >= 0)
    picture[known, :3] = np.round(255 * colours[places[known]])
    return xr.DataArray(picture, {**key.coords, "band": list("rgba")}, (*key.dims, "band"))


def any_masked(picture: xr.DataArray) -> bool:
    """Tell whether a picture has pixels that are from no image."""
    return bool((picture.isel(band=3) == 0).any())

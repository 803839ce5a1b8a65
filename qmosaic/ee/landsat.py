"""``ee.Algorithms.Landsat``: scores of clouds, and a composite by them."""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.masks import Array
from qmosaic.ee.collections import ImageCollection
from qmosaic.ee.images import Image
from qmosaic.ee.names import TIME
from qmosaic.ee.pixels import computed
from qmosaic.ee.properties import property_of
from qmosaic.ee.unsupported import Hinting
from qmosaic.ee.values import EachImage, known, plain
from qmosaic.engine.mosaic import quality_mosaic
from qmosaic.scores.expressions import is_number

ROLES = ("blue", "green", "red", "nir", "swir1", "swir2", "thermal")
TM = ("B1", "B2", "B3", "B4", "B5", "B7")
OLI = ("B2", "B3", "B4", "B5", "B6", "B7")

BANDS = {
    "4": (*TM, "B6"),
    "5": (*TM, "B6"),
    "7": (*TM, "B6_VCID_1"),
    "8": (*OLI, "B10"),
    "9": (*OLI, "B10"),
}
"""By the number of a satellite: its bands, in the order of `ROLES`."""

THERMAL = ("B6_VCID_1", "B6_VCID_2", "B10", "B11")
"""Thermal bands; of Landsat 4 and 5 B6 is one, too."""

BAND = re.compile(r"B\d+(_VCID_\d)?")
"""What bands of a sensor are called, and those of quality flags and angles are not."""


class Landsat(Hinting):
    """``ee.Algorithms.Landsat``.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from qmosaic import ee
    >>> values = {"B2": 0.25, "B3": 0.3, "B4": 0.3, "B5": 0.35, "B6": 0.3, "B7": 0.2, "B10": 291}
    >>> image = ee.Image(xr.Dataset({name: ("x", [value]) for name, value in values.items()}))
    >>> ee.Algorithms.Landsat.simpleCloudScore(image).dataset["cloud"].values
    array([75], dtype=uint8)
    """

    _name = "ee.Algorithms.Landsat"

    @staticmethod
    def simpleCloudScore(image: Any) -> Any:
        """Add the band "cloud" to an image of Landsat: how much each pixel looks like a cloud.

        It is no detector of clouds: it compares several looks at one place.
        https://developers.google.com/earth-engine/apidocs/ee-algorithms-landsat-simplecloudscore

        Parameters
        ----------
        image : Image
            Reflectances at the top of the atmosphere (0 to 1) and the brightness temperature (K) of
            Landsat 4, 5, 7, 8 or 9, with the names that they have in Earth Engine. Which satellite
            it is says the property ``SPACECRAFT_ID`` (or ``platform``); without it the bands do.

        Returns
        -------
        Image
            The image and "cloud", 0 to 100: uint8, fractions cut off. It is masked where one of the
            bands is that it is made of.

        Raises
        ------
        ValueError
            It is none of these satellites, or a band is missing.
        TypeError
            A band has integers, which are no reflectances.

        Notes
        -----
        The formula is that of Google's published example "Simple Cloud Score" of the Code Editor:
        100 times the lowest of these, each cut to 0 and 1, so that clouds are bright in the blue
        band, in all visible bands, in all infrared bands, cool, and no snow::

            (blue - 0.1) / 0.2
            (red + green + blue - 0.2) / 0.6
            (nir + swir1 + swir2 - 0.3) / 0.5
            (300 - thermal) / 10
            (0.8 - (green - swir1) / (green + swir1)) / 0.2

        The documentation of the built-in function names the same parts (brightness, temperature and
        a snow index), and not its numbers.
        """
        image = _as_image(image)
        return image.addBands(_score_of(image))

    @staticmethod
    def simpleComposite(
        collection: Any,
        percentile: Any = 50,
        cloudScoreRange: Any = 10,
        maxDepth: Any = 40,
        asFloat: Any = False,
    ) -> Image:
        """Make a composite of the least cloudy pixels of images of Landsat.

        At each pixel the images count whose cloud score (`simpleCloudScore`) is at most the lowest
        one plus `cloudScoreRange`; each band is a percentile of these.
        https://developers.google.com/earth-engine/apidocs/ee-algorithms-landsat-simplecomposite

        Parameters
        ----------
        collection : ImageCollection
            Images as for `simpleCloudScore`: Earth Engine takes raw scenes and computes
            reflectances of them, here they have to be reflectances.
        percentile : number, default: 50
        cloudScoreRange : number, default: 10
        maxDepth : int, default: 40
            How many images of one path and row (properties ``WRS_PATH``, ``WRS_ROW``; without them
            of all) are used at most: those with the lowest ``CLOUD_COVER``. Without that property
            all are used.
        asFloat : bool, default: False
            Whether bands keep their units. Else reflectances are multiplied by 255, 100 K are
            subtracted from temperatures, and both are rounded to uint8.

        Returns
        -------
        Image
            The bands of the sensor, ``B1`` and on.

        Raises
        ------
        ValueError, TypeError
            As `simpleCloudScore`; or an argument is no number.
        """
        images = ImageCollection(collection)
        share, reach, depth = (
            _number(value, name)
            for value, name in (
                (percentile, "percentile"),
                (cloudScoreRange, "cloudScoreRange"),
                (maxDepth, "maxDepth"),
            )
        )
        if not images.dataset.sizes[TIME]:
            return images.mosaic()
        least = ImageCollection(images.dataset.isel({TIME: _least_cloudy(images.dataset, depth)}))
        scored = least.map(_with_quality)
        mosaic = Image(quality_mosaic(scored.dataset, "quality", within=reach, reducer=share))
        names = [str(name) for name in mosaic._names()]
        composite: Image = mosaic.select([name for name in names if BAND.fullmatch(name)])
        return composite if known(asFloat) else _as_bytes(composite)


def _as_image(image: Any) -> Any:
    if isinstance(image, Image):
        return image
    raise TypeError(
        f"ee.Algorithms.Landsat.simpleCloudScore() got a {type(image).__name__}; it takes an "
        "image. Write collection.map(ee.Algorithms.Landsat.simpleCloudScore) for all of one."
    )


def _number(value: Any, name: str) -> Any:
    number = plain(known(value, "ee.Algorithms.Landsat.simpleComposite()"))
    if not is_number(number):
        raise TypeError(
            f"ee.Algorithms.Landsat.simpleComposite() got {name}={number!r}, which is no number. "
            "Write for instance simpleComposite(collection, percentile=50, cloudScoreRange=10)."
        )
    return number


def _with_quality(image: Any) -> Any:
    return image.addBands(_score_of(image).multiply(-1).rename("quality"), None, True)


def _score_of(image: Any) -> Any:
    names, own = _bands_of(image), image._bands()
    for name in names[:-1]:
        _check_reflectance(name, own[name])
    bands = [own[name] for name in names]
    score = computed(_cloud_score, bands, np.dtype("uint8"), (0, 100), exact=True)
    return image._with({"cloud": score})


def _bands_of(image: Any) -> tuple[str, ...]:
    """Name the bands of an image, in the order of `ROLES`."""
    names = {str(name) for name in image._names()}
    numbers = _satellites(image.dataset)
    if len({BANDS.get(number) for number in numbers}) > 1:
        raise EachImage("images of several satellites have bands of several meanings")
    wanted = BANDS[numbers.pop()] if numbers else _by_bands(names)
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(
            f"ee.Algorithms.Landsat got an image without the band{'s' * (len(missing) > 1)} "
            f"{', '.join(missing)}; its bands are {', '.join(sorted(names)) or 'none'}. It needs "
            f"{', '.join(f'{n} ({r})' for n, r in zip(wanted, ROLES, strict=True))}: rename them, "
            "or set SPACECRAFT_ID to the satellite that it is of."
        )
    return wanted


def _satellites(dataset: xr.Dataset) -> set[str]:
    """Find the numbers of satellites among the properties, none where nothing tells."""
    try:
        given = property_of(dataset, "SPACECRAFT_ID", "ee.Algorithms.Landsat")
    except KeyError:
        return set()
    found = set()
    for value in {str(one) for one in np.ravel(given.values)}:
        number = value.strip()[-1:]
        if number not in BANDS:
            raise ValueError(
                f"ee.Algorithms.Landsat got an image of {value!r}, and knows the bands of "
                "LANDSAT_4, 5, 7, 8 and 9. Choose these with ee.Filter.eq('SPACECRAFT_ID', ...)."
            )
        found.add(number)
    return found


def _by_bands(names: set[str]) -> tuple[str, ...]:
    if "B6_VCID_1" in names:
        return BANDS["7"]
    return BANDS["8"] if names & {"B10", "B11", "B9"} else BANDS["5"]


def _check_reflectance(name: str, band: xr.DataArray) -> None:
    if band.dtype.kind != "f":
        raise TypeError(
            f"ee.Algorithms.Landsat got {name} with integers ({band.dtype}), and needs "
            "reflectances at the top of the atmosphere (0 to 1) and temperatures (K). Compute them "
            "first, with the scale and offset of the product: image.multiply(scale).add(offset)."
        )


def _cloud_score(*bands: Array) -> Array:
    blue, green, red, nir, swir1, swir2, thermal = (band.astype("float64") for band in bands)
    total = green + swir1
    snow = np.divide(green - swir1, total, out=np.zeros_like(total), where=total != 0)
    parts = (
        (blue - 0.1) / (0.3 - 0.1),
        (red + green + blue - 0.2) / (0.8 - 0.2),
        (nir + swir1 + swir2 - 0.3) / (0.8 - 0.3),
        (thermal - 300) / (290 - 300),
        (snow - 0.8) / (0.6 - 0.8),
    )
    score: Array = np.clip(functools.reduce(np.minimum, parts), 0, 1) * 100
    return score


def _least_cloudy(dataset: xr.Dataset, depth: float) -> list[int]:
    """Find the images with the lowest cloud cover, so many of each path and row; in their order."""
    count = dataset.sizes[TIME]
    cover = _values(dataset, "CLOUD_COVER", np.full(count, np.nan))
    if np.isnan(cover).all():
        return list(range(count))
    scenes = zip(
        *(_values(dataset, name, np.zeros(count)) for name in ("WRS_PATH", "WRS_ROW")), strict=True
    )
    places: dict[Any, list[int]] = {}
    for place, scene in enumerate(scenes):
        places.setdefault(scene, []).append(place)
    kept = [
        place
        for group in places.values()
        for place in sorted(group, key=lambda one: np.nan_to_num(cover[one], nan=100))[: int(depth)]
    ]
    return sorted(kept)


def _values(dataset: xr.Dataset, name: str, otherwise: Array) -> Array:
    try:
        found = property_of(dataset, name, "ee.Algorithms.Landsat.simpleComposite()").values
    except KeyError:
        return otherwise
    return found.astype("float64") if found.dtype.kind in "biuf" else otherwise


def _as_bytes(composite: Image) -> Image:
    """Bring reflectances and temperatures into bytes."""
    names = [str(name) for name in composite._names()]
    also = ("B6",) if _by_bands(set(names)) == BANDS["5"] else ()
    thermal = [name for name in names if name in (*THERMAL, *also)]
    warm = composite.select(thermal).subtract(100)
    bright = composite.select([name for name in names if name not in thermal]).multiply(255)
    found: Image = bright.addBands(warm).round().toByte().select(names)
    return found

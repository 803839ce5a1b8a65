"""Values replaced by a table or a function of lines; images of where pixels lie."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Self

import xarray as xr

from qmosaic.ee import ground, lookups
from qmosaic.ee.images.base import Bands
from qmosaic.ee.images.gridless import ClippedConstant
from qmosaic.ee.names import TIME, with_bands
from qmosaic.ee.values import known, plain
from qmosaic.scores.expressions import is_number


class Classes(Bands):
    """Values replaced by others; images of where pixels lie."""

    def remap(
        self,
        from_: Any = None,
        to: Any = None,
        defaultValue: Any = None,
        bandName: Any = None,
        **named: Any,
    ) -> Self:
        """Replace the values of a band by others.

        https://developers.google.com/earth-engine/apidocs/ee-image-remap

        Parameters
        ----------
        from_ : list of number
            The values to be replaced; as in Earth Engine also ``**{"from": [...]}``. Of one that is
            there twice the last counts.
        to : list of number
            What they become, as many.
        defaultValue : number, optional
            What all other values become. By default they are masked.
        bandName : str, optional
            The band; the first by default.

        Returns
        -------
        Image
            One band, ``remapped``: of the smallest integer that holds the new values, of float64
            where one of them is a fraction. What was masked stays masked.

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> cover = ee.Image(xr.DataArray(np.uint8([10, 20, 30]), dims="x", name="Map"))
        >>> cover.remap([10, 20], [1, 2], 0).dataset["remapped"].values
        array([1, 2, 0], dtype=uint8)
        """
        keys = _numbers(from_ if from_ is not None else named.pop("from", None), "remap", "from")
        values = _numbers(to, "remap", "to")
        if named:
            raise TypeError(
                f"ee.Image.remap() got the argument {next(iter(named))!r}; it takes from_ (or "
                "**{'from': [...]}), to, defaultValue and bandName."
            )
        if len(keys) != len(values) or not keys:
            raise ValueError(
                f"ee.Image.remap() got {len(keys)} values and {len(values)} to replace them by; it "
                "needs a pair for each, and at least one: remap([10, 20], [1, 2])."
            )
        default = None if defaultValue is None else _number(defaultValue, "remap", "defaultValue")
        band = self._one(bandName, "remap")
        return self._with({"remapped": lookups.remap(band, keys, values, default)})

    def interpolate(self, x: Any, y: Any, behavior: Any = "extrapolate") -> Self:
        """Put the values of the first band into a function that is linear between points.

        https://developers.google.com/earth-engine/apidocs/ee-image-interpolate

        Parameters
        ----------
        x, y : list of number
            The points, by increasing x.
        behavior : {"extrapolate", "clamp", "mask", "input"}, default: "extrapolate"
            What becomes of values below the first x or above the last: what the nearest two points
            give; the y of the nearest point; masked; the value itself.

        Returns
        -------
        Image
            One band, called as before: float32 of a band of float32, else float64.

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> image = ee.Image(xr.DataArray(np.uint8([0, 5, 30]), dims="x", name="a"))
        >>> image.interpolate([0, 10], [100, 200], "clamp").dataset["a"].values
        array([100., 150., 200.])
        """
        xs, ys = _numbers(x, "interpolate", "x"), _numbers(y, "interpolate", "y")
        behavior = known(behavior, "ee.Image.interpolate()")
        if behavior not in lookups.BEHAVIORS:
            raise ValueError(
                f"ee.Image.interpolate() got the behavior {behavior!r}; it takes "
                f"{', '.join(map(repr, lookups.BEHAVIORS))}."
            )
        rising = all(a < b for a, b in itertools.pairwise(xs))
        if len(xs) != len(ys) or len(xs) < 2 or not rising:
            raise ValueError(
                f"ee.Image.interpolate() got x={xs} and y={ys}, which are no points of a function: "
                "it needs two or more, as many x as y, and each x above the one before: "
                "interpolate([0, 10], [100, 200])."
            )
        name = next(iter(self._names()), None)
        band = self._one(name, "interpolate")
        return self._with({name: lookups.interpolate(band, xs, ys, behavior)})

    @classmethod
    def pixelArea(cls) -> ClippedConstant:
        """Give the area of each pixel in square metres, as the band "area": float64.

        It is the area on the ground, on the ellipsoid of the CRS, and has the pixels of the image
        that it is combined with: ``image.multiply(ee.Image.pixelArea())``.
        https://developers.google.com/earth-engine/apidocs/ee-image-pixelarea
        """
        return _on_the_ground(cls, ["area"], lambda grid: [ground.areas(grid)])

    @classmethod
    def pixelLonLat(cls) -> ClippedConstant:
        """Give where pixels lie, in degrees, as the bands "longitude" and "latitude": float64.

        It has the pixels of the image that it is combined with:
        ``image.addBands(ee.Image.pixelLonLat())``.
        https://developers.google.com/earth-engine/apidocs/ee-image-pixellonlat
        """
        names = ["longitude", "latitude"]
        return _on_the_ground(cls, names, lambda grid: list(ground.longitudes_latitudes(grid)))

    def _one(self, name: Any, method: str) -> xr.DataArray:
        bands = self._bands()
        if not bands:
            raise ValueError(
                f"ee.Image.{method}() got an image without bands, and it needs one. Select an "
                "image that has bands: a filter may have left none."
            )
        return bands[next(iter(bands)) if name is None else self._find(name)[0]]


def _on_the_ground(
    image: Any, names: list[str], compute: Callable[[xr.Dataset], list[xr.DataArray]]
) -> ClippedConstant:
    def on(grid: Any) -> Any:
        dataset = grid.dataset
        still = dataset.isel({TIME: 0}, drop=True) if TIME in dataset.dims else dataset
        made = dict(zip(names, compute(still), strict=True))
        return image(with_bands(still, made))

    return ClippedConstant(image([0] * len(names)).rename(names), on)


def _numbers(given: Any, method: str, argument: str) -> list[Any]:
    listed = known(given, f"ee.Image.{method}()")
    if not isinstance(listed, list | tuple):
        raise TypeError(
            f"ee.Image.{method}() got a {type(listed).__name__} as {argument}; it takes a list of "
            "numbers: [1, 2, 3]."
        )
    return [_number(one, method, argument) for one in listed]


def _number(given: Any, method: str, argument: str) -> Any:
    value = plain(known(given, f"ee.Image.{method}()"))
    if not is_number(value):
        raise TypeError(
            f"ee.Image.{method}() got {value!r} in {argument}, which is no number. Write numbers."
        )
    return value

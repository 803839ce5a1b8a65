"""One script on two engines: `qmosaic.ee`, and the loops of `tests.support.earth_engine`.

A script is a function of the module and a collection. What it returns is compared: images and
collections by band names, dtypes, masks and values; numbers, texts, lists and dictionaries as they
are.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

from qmosaic import ee
from tests.support import earth_engine as oracle
from tests.support.earth_engine.bands import HERE, Band, Grid

Script = Callable[[Any, Any], Any]

XS = (-103.195, -103.185, -103.175, -103.165)
YS = (40.145, 40.135, 40.125)
GRID = Grid(XS, YS)
HERE[:] = [GRID]
SHAPE = (len(YS), len(XS))

BANDS: dict[str, tuple[str, int, int]] = {
    "a": ("uint8", 0, 6),
    "b": ("int16", -3, 4),
    "c": ("uint16", 0, 900),
    "d": ("float32", -2, 3),
    "q": ("int16", -5, 6),
}
"""Names, dtypes, and ranges of values: small ones, so that ties and zeros are frequent."""


class Both:
    """A random collection, once for each engine.

    Parameters
    ----------
    seed : int
        Says how many images there are, their dates and properties, their values and masks, what
        stands for masked, and the chunks.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.images = int(self.rng.integers(2, 6))
        self.nodata = {name: self._nodata(dtype, seed) for name, (dtype, _, _) in BANDS.items()}
        self.properties = self._properties()
        self.values = {name: self._values(name) for name in BANDS}
        self.chunks = [None, (1, 3, 4), (2, 2, 3), (5, 1, 1)][seed % 4]

    def _nodata(self, dtype: str, seed: int) -> Any:
        """Declare none, a frequent value, or one that is never there but where it is masked."""
        if dtype == "float32":
            return None
        return [None, 0, {"uint8": 255, "int16": -999, "uint16": 65535}[dtype]][seed % 3]

    def _properties(self) -> dict[str, list[Any]]:
        begin = datetime.datetime(2019, 1, 1)
        seconds = np.sort(self.rng.choice(2 * 365 * 24, self.images, replace=False)) * 3600
        times = [begin + datetime.timedelta(seconds=int(s)) for s in seconds]
        return {
            "time": times,
            "id": [f"image_{i}" for i in self.rng.permutation(self.images)],
            "cloud_cover": [float(v) for v in self.rng.integers(0, 200, self.images) / 2],
            "orbit": [int(v) for v in self.rng.integers(1, 4, self.images)],
            "mission": [str(v) for v in self.rng.choice(["one", "two"], self.images)],
        }

    def _values(self, name: str) -> np.ndarray:
        dtype, low, high = BANDS[name]
        shape = (self.images, *SHAPE)
        values = self.rng.integers(low, high, shape).astype(dtype)
        if dtype == "float32":
            values += self.rng.choice([0, 0.25, 0.5], shape).astype(dtype)
        missing = np.nan if dtype == "float32" else self.nodata[name]
        if missing is not None:
            values[self.rng.random(shape) < 0.25] = missing
        return values

    def dataset(self) -> xr.Dataset:
        """Make the collection as qmosaic takes it."""
        data: dict[str, Any] = {}
        for name, values in self.values.items():
            nodata = self.nodata[name]
            attrs = {} if nodata is None else {"_FillValue": values.dtype.type(nodata)}
            data[name] = (("time", "latitude", "longitude"), values.copy(), attrs)
        coords = {"latitude": list(YS), "longitude": list(XS)}
        times = np.array(self.properties["time"], "M8[ns]")
        along = {k: ("time", v) for k, v in self.properties.items() if k != "time"}
        made = xr.Dataset(data, {"time": times, **coords, **along})
        if self.chunks is None:
            return made
        return made.chunk(dict(zip(("time", "latitude", "longitude"), self.chunks, strict=True)))

    def loops(self) -> oracle.ImageCollection:
        """Make the collection as lists of rows."""
        images = []
        for i in range(self.images):
            bands = {name: self._band(name, values[i]) for name, values in self.values.items()}
            time = self.properties["time"][i]
            millis = int((time - datetime.datetime(1970, 1, 1)).total_seconds() * 1000)
            known = {
                "system:time_start": millis,
                "system:index": self.properties["id"][i],
                "CLOUDY_PIXEL_PERCENTAGE": self.properties["cloud_cover"][i],
                "orbit": self.properties["orbit"][i],
                "mission": self.properties["mission"][i],
            }
            images.append(oracle.Image(bands, known))
        return oracle.ImageCollection(images)

    def _band(self, name: str, values: np.ndarray) -> Band:
        nodata = self.nodata[name]
        rows = values.tolist()
        valid = [[v == v and (nodata is None or v != nodata) for v in row] for row in rows]
        return Band(GRID, rows, valid, values.dtype, nodata)


class Scripts(dict[str, Script]):
    """Scripts by their names; a decorator that adds one."""

    def __call__(self, script: Script) -> Script:
        self[script.__name__] = script
        return script

    def cases(self, seeds: int) -> list[Any]:
        """Give each script with some seeds, other ones than the script before."""
        return [
            pytest.param(name, place + seed, id=f"{name}-{place + seed}")
            for place, name in enumerate(self)
            for seed in range(seeds)
        ]


def same_on_both(script: Script, seed: int) -> None:
    """Run a script on both engines, and compare what it returns."""
    both = Both(seed)
    want = script(oracle, both.loops())
    with dask.config.set(scheduler="synchronous"):
        got = script(ee, ee.ImageCollection(both.dataset()))
        assert_same(got, want, script.__name__)


def assert_same(got: Any, want: Any, where: str) -> None:
    """Compare a result of qmosaic with one of the loops."""
    if isinstance(want, oracle.Image):
        same_bands(bands_of(got), {name: [band] for name, band in want.bands.items()}, where)
    elif isinstance(want, oracle.ImageCollection):
        assert got.size().getInfo() == len(want.images), where
        if want.images:
            names = list(want.images[0].bands)
            bands = {name: [image.bands[name] for image in want.images] for name in names}
            same_bands(bands_of(got), bands, where)
    elif isinstance(want, list | tuple):
        assert len(got) == len(want), where
        for i, (one, other) in enumerate(zip(got, want, strict=True)):
            assert_same(one, other, f"{where}[{i}]")
    else:
        same_values(info_of(got), info_of(want), where)


def info_of(value: Any) -> Any:
    """Give a value of Python."""
    return value.getInfo() if hasattr(value, "getInfo") else value


def same_values(got: Any, want: Any, where: str) -> None:
    """Compare values of Python: numbers nearly, nothing is NaN or None."""
    got = info_of(got)
    if isinstance(want, dict):
        assert isinstance(got, dict), where
        assert list(got) == list(want), where
        for key, one in want.items():
            same_values(got[key], one, f"{where}[{key!r}]")
    elif isinstance(want, list | tuple):
        assert isinstance(got, list | tuple), f"{where}: {got!r}"
        assert len(got) == len(want), f"{where}: {got!r} for {want!r}"
        for i, (one, other) in enumerate(zip(got, want, strict=True)):
            same_values(one, other, f"{where}[{i}]")
    elif want is None:
        assert got is None or got != got, f"{where}: {got!r}"
    elif isinstance(want, float):
        assert got == pytest.approx(want, rel=1e-6, abs=1e-9), where
    else:
        assert got == want, f"{where}: {got!r} for {want!r}"


def bands_of(thing: Any) -> dict[str, xr.DataArray]:
    """Give the bands of an image or a collection by their names, computed."""
    names = [name.removeprefix("band:") for name in map(str, thing.dataset.data_vars)]
    loaded = thing.dataset.compute()
    return dict(zip(names, loaded.data_vars.values(), strict=True))


def same_bands(got: dict[str, xr.DataArray], want: dict[str, list[Band]], where: str) -> None:
    """Compare names, dtypes, masks and values."""
    assert list(got) == list(want), f"{where}: the names of the bands"
    for name, stack in want.items():
        band = got[name]
        dtypes = {one.dtype for one in stack}
        if None not in dtypes and len(dtypes) == 1:
            assert band.dtype == stack[0].dtype, f"{where}: the dtype of {name!r}"
        layers = [band.isel(time=i) for i in range(len(stack))] if "time" in band.dims else [band]
        for i, (layer, one) in enumerate(
            zip(layers * (len(stack) // len(layers)), stack, strict=True)
        ):
            same_pixels(layer, one, f"{where}: band {name!r} of image {i}")


def same_pixels(got: xr.DataArray, want: Band, where: str) -> None:
    """Compare one band of one image, pixel by pixel; what was cut off is masked."""
    nodata = got.attrs.get("_FillValue", got.attrs.get("nodata"))
    places = {}
    for axis, centres in (("latitude", YS), ("longitude", XS)):
        own = got[axis].values.tolist() if axis in got.dims else list(centres)
        places[axis] = [
            next((i for i, v in enumerate(own) if math.isclose(v, c)), None) for c in centres
        ]
    for y, x in GRID.pixels():
        at = {"latitude": places["latitude"][y], "longitude": places["longitude"][x]}
        expected = want.at(y, x)
        if None in at.values():
            found = None
        else:
            number = got.values[tuple(at[str(dim)] for dim in got.dims)].item()
            found = (
                None if number != number or (nodata is not None and number == nodata) else number
            )
        text = f"{where} at {y}, {x}: {found!r} for {expected!r}"
        if expected is None or found is None or got.dtype.kind in "iu":
            assert found == expected, text
        else:
            assert found == pytest.approx(expected, rel=2e-6, abs=1e-6), text

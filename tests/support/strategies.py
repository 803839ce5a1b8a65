"""Random collections for hypothesis, and what the rules say about them, pixel by pixel.

The rules are applied to whole collections here (named dimensions in any order, bands that have only
time, further dimensions, dates), on top of the loop over pixels of `tests.support.oracle`.
Nothing of the package is imported.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from hypothesis import strategies as st

from tests.support.oracle import is_masked, meaning, winner

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float32", "float64"]
DTYPES = [*INTEGERS, *FLOATS, "bool"]
SPACE = ("level", "y", "x")


# -- what the rules say ---------------------------------------------------------------------------


@dataclass
class Band:
    """One band, its values in the order of `dims`, and the nodata that it declares."""

    dims: tuple[str, ...]
    values: np.ndarray
    nodata: Any = None
    declared_as: str = "_FillValue"
    cut: tuple[tuple[int, ...], ...] | None = None
    scale: float | None = None

    def at(self, t: int, place: dict[str, int]) -> Any:
        """Give the value of one image at one pixel."""
        return self.values[tuple(t if d == "time" else place[d] for d in self.dims)]

    def masked_at(self, t: int, place: dict[str, int]) -> bool:
        """Whether one image is masked at one pixel."""
        value = self.at(t, place)
        return (
            bool(np.isnat(value))
            if self.values.dtype.kind == "M"
            else (is_masked(value, self.nodata))
        )

    def has_hole(self, t: int, place: dict[str, int]) -> bool:
        """Whether one image is masked at one pixel in any of the band's layers."""
        layers = self.values.shape[self.dims.index("level")] if "level" in self.dims else 1
        return any(self.masked_at(t, place | {"level": n}) for n in range(layers))

    @property
    def can_be_masked(self) -> bool:
        """Whether any value of the band's dtype means "no value"."""
        return self.values.dtype.kind in "fM" or self.nodata is not None

    def missing(self, fill: int) -> Any:
        """Give what stands where no image is a candidate."""
        kind = self.values.dtype.kind
        if kind == "M":
            return np.datetime64("NaT")
        if kind == "b":
            return False
        if kind == "f":
            return math.nan
        return fill if self.nodata is None else self.nodata


@dataclass
class Want:
    """One band of the mosaic: pixels, the image of each (-1: none), dimensions."""

    dims: tuple[str, ...]
    values: np.ndarray
    image: np.ndarray


def mosaic(
    bands: dict[str, Band],
    quality: str,
    *,
    ties: str = "first",
    masked: str = "keep",
    min_quality: Any = None,
    fill: int = 0,
) -> dict[str, Want]:
    """Apply the rules to each pixel of each band, one at a time."""
    sizes: dict[str, int] = {}
    for band in bands.values():
        sizes |= dict(zip(band.dims, band.values.shape, strict=True))
    score = bands[quality]
    wants = {}
    for name, band in bands.items():
        dims = tuple(d for d in SPACE if d in {*band.dims, *score.dims})
        shape = tuple(sizes[d] for d in dims)
        values = np.full(shape, band.missing(fill), band.values.dtype)
        image = np.full(shape, -1)
        for pixel in itertools.product(*map(range, shape)):
            place = dict(zip(dims, pixel, strict=True))
            entries = [
                (meaning(score.at(t, place).item(), score.scale), t)
                for t in range(sizes["time"])
                if not score.masked_at(t, place)
            ]
            if min_quality is not None:
                least = meaning(min_quality, score.scale)
                entries = [(s, t) for s, t in entries if s >= least]
            if masked == "skip":
                entries = [
                    (s, t)
                    for s, t in entries
                    if not any(b.has_hole(t, place) for b in bands.values())
                ]
            if masked == "fill":
                entries = [(s, t) for s, t in entries if not band.masked_at(t, place)]
            won = winner(entries, ties)
            if won is not None:
                values[pixel] = band.at(won, place)
                image[pixel] = won
        wants[name] = Want(dims, values, image)
    return wants


def assert_same(got: xr.DataArray, want: Want) -> None:
    """Compare dtype, dimensions, values, the places of NaN and NaT, and the sign of zeros."""
    assert got.dtype == want.values.dtype
    assert set(got.dims) == set(want.dims)
    values = got.transpose(*want.dims).values
    np.testing.assert_array_equal(values, want.values)
    if values.dtype.kind == "f":
        number = ~np.isnan(want.values)
        np.testing.assert_array_equal(
            np.signbit(values[number]), np.signbit(want.values[number]), "the sign of a zero"
        )


# -- random collections ---------------------------------------------------------------------------


def few(dtype: np.dtype[Any]) -> list[Any]:
    """Give few values, so that ties are common; the extremes of the dtype among them."""
    if dtype.kind == "b":
        return [False, True]
    if dtype.kind == "f":
        big = float(np.finfo(dtype).max)
        return [math.nan, math.inf, -math.inf, big, -big, -1.0, -0.0, 0.0, 1.0, 2.5]
    if dtype.kind == "M":
        return [np.datetime64("NaT"), *np.array(["2020-07-01", "2020-07-02"], dtype)]
    ends = np.iinfo(dtype)
    near = [ends.min, ends.min + 1, 0, 1, 2, ends.max - 1, ends.max]
    return sorted({int(n) for n in near})


@st.composite
def cuts(draw: st.DrawFn, length: int) -> tuple[int, ...]:
    """Cut a length into chunks, anywhere."""
    inner = draw(st.sets(st.integers(1, length - 1))) if length > 1 else set()
    return tuple(b - a for a, b in itertools.pairwise([0, *sorted(inner), length]))


@st.composite
def bands(draw: st.DrawFn, sizes: dict[str, int], dims: tuple[str, ...], dtypes: list[str]) -> Band:
    """Draw a band: dtype, values, nodata, order of dimensions, chunks."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    ordered = tuple(draw(st.permutations(dims)))
    shape = tuple(sizes[d] for d in ordered)
    count = math.prod(shape)
    drawn = draw(st.lists(st.sampled_from(few(dtype)), min_size=count, max_size=count))
    nodata = None
    if dtype.kind in "iu":
        nodata = draw(st.none() | st.sampled_from(few(dtype)))
    elif dtype.kind == "f":
        nodata = draw(st.sampled_from([None, None, math.nan, -1.0]))
    return Band(
        ordered,
        np.array(drawn, dtype).reshape(shape),
        nodata,
        draw(st.sampled_from(["_FillValue", "nodata", "missing_value"])),
        draw(st.none() | st.tuples(*(cuts(n) for n in shape))),
        draw(st.sampled_from([None, None, 0.01, -0.01, -1])) if dtype.kind in "iu" else None,
    )


@dataclass
class Case:
    """A collection and the rules to mosaic it with."""

    bands: dict[str, Band]
    ties: str = "first"
    masked: str = "keep"
    min_quality: Any = None
    upper_bound: Any = None
    fill_value: int | None = None
    images: int = field(default=1)

    def collection(self, *, lazy: bool) -> xr.Dataset:
        """Make the collection: in memory, or with the drawn chunks where some were drawn."""
        data = {}
        for name, band in self.bands.items():
            values: Any = band.values.copy()
            if lazy and band.cut is not None:
                values = da.from_array(values, chunks=band.cut)
            attrs = {} if band.nodata is None else {band.declared_as: band.nodata}
            if band.scale is not None:
                attrs |= {"scale_factor": band.scale, "add_offset": 3.5}
            data[name] = (band.dims, values, attrs)
        return xr.Dataset(data, {"time": pd.date_range("2020-07-01", periods=self.images)})

    def options(self) -> dict[str, Any]:
        """Give the options of the call."""
        return {
            "ties": self.ties,
            "masked": self.masked,
            "min_quality": self.min_quality,
            "upper_bound": self.upper_bound,
            "fill_value": self.fill_value,
        }

    def want(self) -> dict[str, Want]:
        """Give the mosaic that the rules ask for."""
        return mosaic(
            self.bands,
            "q",
            ties=self.ties,
            masked=self.masked,
            min_quality=self.min_quality,
            fill=self.fill_value or 0,
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a collection and rules. The quality is `q`; it has time, y and x."""
    sizes = {name: draw(st.integers(1, n)) for name, n in (("time", 5), ("y", 3), ("x", 4))}
    sizes["level"] = 2
    masked = draw(st.sampled_from(["keep", "skip", "fill"]))
    drawn = {"q": draw(bands(sizes, ("time", "y", "x"), DTYPES))}
    for name in ("a", "b")[: draw(st.integers(0, 2))]:
        kind = draw(st.sampled_from(["plain", "time", "layers"]))
        dims = {"plain": ("time", "y", "x"), "time": ("time",), "layers": ("time", *SPACE)}[kind]
        dtypes = [*DTYPES, "datetime64[ns]"] if kind == "time" else DTYPES
        drawn[name] = draw(bands(sizes, dims, dtypes))
    names = draw(st.permutations(list(drawn)))
    q = drawn["q"]
    scores = [v.item() for v in q.values.ravel() if not is_masked(v, q.nodata)]
    least = bound = None
    if scores:
        least = draw(st.none() | st.sampled_from(sorted(set(scores))))
        bound = draw(st.none() | st.just(max(scores, key=lambda s: meaning(s, q.scale))))
    return Case(
        {name: drawn[name] for name in names},
        draw(st.sampled_from(["first", "last"])),
        masked,
        least,
        bound,
        draw(st.sampled_from([None, 0, 1])),
        sizes["time"],
    )

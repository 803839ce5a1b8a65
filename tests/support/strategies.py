"""Random collections for hypothesis; what the rules make of them is said by the oracle."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from hypothesis import strategies as st

from tests.support.oracle import Band, Want, meaning, mosaic
from tests.support.sources import CountingArray

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES = [*INTEGERS, "float32", "float64", "bool"]
SHAPES = {
    "plain": ("time", "y", "x"),
    "one number an image": ("time",),
    "layers": ("time", "level", "y", "x"),
}


@dataclass
class Layout:
    """How a band comes: under which name its nodata is declared, and as what kind of array."""

    declared_as: str
    kind: str
    chunks: tuple[tuple[int, ...], ...]

    def lazily(self, values: np.ndarray) -> Any:
        """Make the array, of dask or in memory."""
        if self.kind == "memory":
            return values
        if self.kind == "dask":
            return da.from_array(values, chunks=self.chunks)
        source = da.from_array(CountingArray(values), chunks=self.chunks)
        return source if self.kind == "source" else da.where(source == source, source, source)


@dataclass
class Case:
    """A collection and the rules to mosaic it with."""

    bands: dict[str, Band]
    layouts: dict[str, Layout]
    ties: str
    masked: str
    min_quality: Any
    upper_bound: Any
    fill_value: int | None

    def collection(self, *, lazy: bool) -> xr.Dataset:
        """Make the collection: in memory, or as drawn."""
        data = {}
        for name, band in self.bands.items():
            layout, values = self.layouts[name], band.values.copy()
            attrs = {} if band.nodata is None else {layout.declared_as: band.nodata}
            if band.scale is not None:
                attrs |= {"scale_factor": band.scale, "add_offset": 3.5}
            data[name] = (band.dims, layout.lazily(values) if lazy else values, attrs)
        images = self.bands["q"].sizes["time"]
        return xr.Dataset(data, {"time": pd.date_range("2020-07-01", periods=images)})

    def options(self) -> dict[str, Any]:
        """Give the arguments of the call."""
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
def bands(draw: st.DrawFn, sizes: dict[str, int], dims: tuple[str, ...], dtypes: list[str]) -> Band:
    """Draw a band: dtype, values, nodata, order of dimensions, packing."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    ordered = tuple(draw(st.permutations(dims)))
    shape = tuple(sizes[d] for d in ordered)
    count = math.prod(shape)
    drawn = draw(st.lists(st.sampled_from(few(dtype)), min_size=count, max_size=count))
    nodata, scale = None, None
    if dtype.kind in "iu":
        nodata = draw(st.none() | st.sampled_from(few(dtype)))
        scale = draw(st.sampled_from([None, None, 0.01, -0.01, -1]))
    elif dtype.kind == "f":
        nodata = draw(st.sampled_from([None, None, math.nan, -1.0]))
    return Band(ordered, np.array(drawn, dtype).reshape(shape), nodata, scale)


@st.composite
def cuts(draw: st.DrawFn, length: int) -> tuple[int, ...]:
    """Cut a length into chunks, anywhere."""
    inner = draw(st.sets(st.integers(1, length - 1))) if length > 1 else set()
    return tuple(b - a for a, b in itertools.pairwise([0, *sorted(inner), length]))


@st.composite
def layouts(draw: st.DrawFn, shape: tuple[int, ...]) -> Layout:
    """Draw how a band comes."""
    return Layout(
        draw(st.sampled_from(["_FillValue", "nodata", "missing_value"])),
        draw(st.sampled_from(["memory", "dask", "source", "derived"])),
        draw(st.tuples(*(cuts(n) for n in shape))),
    )


@st.composite
def cases(draw: st.DrawFn, images: int = 1) -> Case:
    """Draw a collection of so many images at least, and rules. The quality is `q`; it has time, y
    and x."""
    sizes = {"time": draw(st.integers(images, 5))}
    sizes |= {name: draw(st.integers(1, n)) for name, n in (("y", 3), ("x", 4))}
    sizes["level"] = 2
    drawn = {"q": draw(bands(sizes, SHAPES["plain"], DTYPES))}
    for name in ("a", "b")[: draw(st.integers(0, 2))]:
        shape = draw(st.sampled_from(list(SHAPES)))
        dtypes = [*DTYPES, "datetime64[ns]"] if shape == "one number an image" else DTYPES
        drawn[name] = draw(bands(sizes, SHAPES[shape], dtypes))
    names = draw(st.permutations(list(drawn)))
    q = drawn["q"]
    numbers = [v.item() for v in q.values.ravel()]
    scores = [n for n in numbers if n == n and n != q.nodata]
    thresholds = st.none() | st.sampled_from([*sorted(set(scores)), 0, 0.5, 1])
    highest = max(scores, key=lambda n: meaning(n, q.scale), default=None)
    return Case(
        {name: drawn[name] for name in names},
        {name: draw(layouts(drawn[name].values.shape)) for name in names},
        ties=draw(st.sampled_from(["first", "last"])),
        masked=draw(st.sampled_from(["keep", "skip", "fill"])),
        min_quality=draw(thresholds),
        upper_bound=draw(st.none() | st.just(highest)),
        fill_value=draw(st.sampled_from([None, 0, 1])),
    )

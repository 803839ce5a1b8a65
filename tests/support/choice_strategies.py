"""Random collections for what a mosaic can be beyond one image a pixel by one quality."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from hypothesis import strategies as st

from tests.support.choices import Choice
from tests.support.oracle import Band, meaning
from tests.support.strategies import DTYPES, SHAPES, Case, cases, few, layouts

DAY_ONE = datetime.datetime(2020, 7, 1)

TOLD = {
    "id": (np.array(list("abcde"), object), ""),
    "platform": (np.array(["S2A", "S2B", "S2A", "S2A", "S2B"]), ""),
    "orbit": (np.array([7, 8, 9, 10, 11], "int32"), 0),
    "cover": (np.array([0.5, 0.25, 0.0, 1.0, 2.0], "float32"), np.float32(np.nan)),
    "received": (np.array(["2021", "NaT", "2022", "NaT", "2023"], "M8[ns]"), np.datetime64("NaT")),
    "ours": (np.array([True, False, True, False, True]), False),
}  # fmt: skip
"""What coordinates say of five images at most, and what stands where there is none."""


@dataclass
class Wide:
    """A collection, the bands that order it, and when its images were taken."""

    case: Case
    qualities: tuple[str, ...]
    days: list[int]

    @property
    def bands(self) -> dict[str, Band]:
        """Give the bands."""
        return self.case.bands

    @property
    def images(self) -> int:
        """Count the images."""
        return len(self.days)

    @property
    def quality_band(self) -> Any:
        """Give what is written as `quality_band`."""
        return self.qualities[0] if len(self.qualities) == 1 else list(self.qualities)

    def collection(self, *, lazy: bool) -> xr.Dataset:
        """Make the collection, with a coordinate of every kind."""
        made = self.case.collection(lazy=lazy)
        told = {name: ("time", values[: self.images]) for name, (values, _) in TOLD.items()}
        return made.assign_coords(time=self.times, **told)

    @property
    def times(self) -> pd.DatetimeIndex:
        """Say when the images were taken."""
        return pd.DatetimeIndex([DAY_ONE + datetime.timedelta(days=d) for d in self.days])

    def choice(self, masked: str | None = None) -> Choice:
        """Give the rules for the oracle."""
        case = self.case
        return Choice(
            self.qualities,
            case.ties,
            masked or case.masked,
            case.min_quality,
            case.fill_value or 0,
        )


@st.composite
def _decider(draw: st.DrawFn, sizes: dict[str, int], dims: tuple[str, ...]) -> Band:
    """Draw a band of few different values, so that many pixels tie."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    ordered = tuple(draw(st.permutations(dims)))
    shape = tuple(sizes[d] for d in ordered)
    pool = draw(st.lists(st.sampled_from(few(dtype)), min_size=2, max_size=3, unique_by=repr))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    values = np.array(pool, dtype)[rng.integers(0, len(pool), shape)]
    nodata, scale = None, None
    if dtype.kind in "iu":
        nodata = draw(st.sampled_from([None, None, pool[0]]))
        scale = draw(st.sampled_from([None, None, 0.01, -0.01, -1]))
    return Band(ordered, values, nodata, scale)


def _highest(band: Band) -> Any:
    """Give the number that means the most; None where all are masked."""
    numbers = [v.item() for v in band.values.ravel()]
    scores = [n for n in numbers if n == n and n != band.nodata]
    return max(scores, key=lambda n: meaning(n, band.scale), default=None)


@st.composite
def wide_cases(draw: st.DrawFn, *, qualities: int = 1, masked: Any = None) -> Wide:
    """Draw a collection, rules, and times that are in no order.

    With `qualities`, so many bands order the images: the first has time, y and x, each other one
    these or time alone.
    """
    case = draw(cases(images=1 if qualities == 1 else 3))
    if masked is not None:
        case.masked = draw(st.sampled_from(masked))
    names = ["q"]
    if qualities > 1:
        sizes = case.bands["q"].sizes
        shapes = [SHAPES["plain"]] + [
            draw(st.sampled_from([SHAPES["plain"], SHAPES["one number an image"]]))
            for _ in range(qualities - 1)
        ]
        names = ["q", "r", "s"][:qualities]
        for name, dims in zip(names, shapes, strict=True):
            case.bands[name] = draw(_decider(sizes, dims))
            case.layouts[name] = draw(layouts(case.bands[name].values.shape))
        numbers = sorted({v.item() for v in case.bands["q"].values.ravel() if v == v})
        case.min_quality = draw(st.sampled_from([None, None, *numbers]))
        case.upper_bound = draw(st.none() | st.just(_highest(case.bands["q"])))
    days = draw(st.permutations(range(case.bands["q"].sizes["time"])))
    return Wide(case, tuple(names), list(days))

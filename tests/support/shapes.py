"""What people do to a collection before they make a mosaic of it, for hypothesis to chain.

Each step is a function of a Dataset with `time`, `y` and `x`, made by a strategy that knows the
sizes which it meets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import scipy.ndimage
import xarray as xr
from hypothesis import strategies as st

from tests.support.sources import CountingArray, as_dataset, dates, in_store
from tests.support.strategies import cuts

Dims = tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """A change of a collection; two that read the same do the same."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __call__(self, collection: xr.Dataset) -> xr.Dataset:
        return STEPS[self.name](collection, **self.arguments)


# -- sources --------------------------------------------------------------------------------------


def from_store(values: dict[str, np.ndarray], path: Path, chunks: Any, opened: Any) -> xr.Dataset:
    """Open a store, in its chunks or in others."""
    in_store(values, path, chunks)
    found = xr.open_zarr(path, chunks=opened, consolidated=False, mask_and_scale=False)
    return found.assign_coords(as_dataset(values).coords).drop_encoding()


def image_by_image(values: dict[str, np.ndarray]) -> xr.Dataset:
    """Put single images together."""
    images = next(iter(values.values())).shape[0]
    made = as_dataset({n: da.from_array(CountingArray(v)) for n, v in values.items()})
    return xr.concat([made.isel(time=[t]) for t in range(images)], "time")


def by_loader(values: dict[str, np.ndarray], together: int) -> xr.Dataset:
    """Load several images with a task, as loaders of STAC items do."""

    def load(band: np.ndarray, first: int) -> np.ndarray:
        return band[first : first + together].copy()

    def joined(band: np.ndarray) -> da.Array:
        parts = [
            da.from_delayed(
                dask.delayed(load)(band, first),
                (min(together, len(band) - first), *band.shape[1:]),
                band.dtype,
            )
            for first in range(0, len(band), together)
        ]
        return da.concatenate(parts)

    return as_dataset({n: joined(v) for n, v in values.items()})


# -- steps ----------------------------------------------------------------------------------------


def _isel(c: xr.Dataset, **index: Any) -> xr.Dataset:
    return c.isel(index)


def _chunk(c: xr.Dataset, **chunks: Any) -> xr.Dataset:
    return c.chunk({d: (n if sum(n) == c.sizes[d] else -1) for d, n in chunks.items()})


def _transpose(c: xr.Dataset, dims: Dims) -> xr.Dataset:
    return c.transpose(*dims)


def _shift(c: xr.Dataset, **by: int) -> xr.Dataset:
    return c.shift({d: n for d, n in by.items() if c.sizes[d] > 1})


def _roll(c: xr.Dataset, **by: int) -> xr.Dataset:
    return c.roll(by)


def _pad(c: xr.Dataset, **by: Any) -> xr.Dataset:
    padded = c.pad(by)
    return padded.assign_coords(time=dates(padded.sizes["time"]))


def _reindex(c: xr.Dataset, missing: int) -> xr.Dataset:
    times = c.indexes["time"]
    labels = times.insert(missing % (len(times) + 1), np.datetime64("2031-01-01"))
    return c.reindex(time=labels)


def _land(c: xr.Dataset) -> xr.Dataset:
    land = np.add.outer(np.arange(c.sizes["y"]), np.arange(c.sizes["x"])) % 3 > 0
    return c.where(xr.DataArray(land, dims=("y", "x")))


def _where(c: xr.Dataset) -> xr.Dataset:
    first = c["quality"]
    return c.where(first > 1, c * 0)


def _fillna(c: xr.Dataset) -> xr.Dataset:
    return c.fillna(2)


def _rolling(c: xr.Dataset, y: int, x: int) -> xr.Dataset:
    return c.rolling(y=min(y, c.sizes["y"]), x=min(x, c.sizes["x"]), center=True).mean()


def _rolling_time(c: xr.Dataset) -> xr.Dataset:
    return c.rolling(time=min(2, c.sizes["time"]), min_periods=1).max()


def _overlap(c: xr.Dataset, depth: int, boundary: str) -> xr.Dataset:
    def one(band: xr.DataArray) -> xr.DataArray:
        if not band.chunks:
            return band
        far = min(depth, *(n for d, n in band.sizes.items() if d != "time"))
        size = tuple(1 if d == "time" else 2 * far + 1 for d in band.dims)
        depths = {n: 0 if d == "time" else far for n, d in enumerate(band.dims)}
        return band.copy(
            data=da.map_overlap(
                scipy.ndimage.maximum_filter,
                band.data,
                depth=depths,
                boundary=boundary,
                size=size,
                dtype=band.dtype,
                meta=np.empty((0, 0, 0), band.dtype),
            )
        )

    return c.map(one)


def _coarsen(c: xr.Dataset, how: str) -> xr.Dataset:
    even = {d: min(2, c.sizes[d]) for d in ("y", "x")}
    return getattr(c.coarsen(even, boundary="trim"), how)()


def _halved(c: xr.Dataset) -> xr.Dataset:
    """Bring a band of half the resolution to the grid."""

    def one(band: xr.DataArray) -> xr.DataArray:
        axis = band.dims.index("x")
        half = band.isel(x=slice(None, None, 2)).data
        whole = da.repeat(half, 2, axis=axis)
        index = tuple(slice(0, n) for n in band.shape)
        return band.copy(data=whole[index])

    return c.map(one)


def _ufunc(c: xr.Dataset) -> xr.Dataset:
    return xr.apply_ufunc(_plus_one, c, dask="parallelized", keep_attrs=True)


def _plus_one(values: np.ndarray) -> np.ndarray:
    return values + values.dtype.type(1)


def _sum_of_images(values: np.ndarray) -> np.ndarray:
    return np.cumsum(values, axis=-1, dtype=float)


def _along_time(c: xr.Dataset) -> xr.Dataset:
    dims = next(iter(c.data_vars.values())).dims
    made = xr.apply_ufunc(
        _sum_of_images,
        c.chunk(time=-1),
        input_core_dims=[["time"]],
        output_core_dims=[["time"]],
        dask="parallelized",
        output_dtypes=[float],
    )
    return made.transpose(*dims)


def _less_mean_of_image(c: xr.Dataset) -> xr.Dataset:
    return c - c.mean(["y", "x"])


def _less_mean_of_times(c: xr.Dataset) -> xr.Dataset:
    return c - c.mean("time")


def _less_median(c: xr.Dataset) -> xr.Dataset:
    return (c - c.chunk(time=-1).quantile(0.5, "time")).drop_vars("quantile")


def _stretched(c: xr.Dataset) -> xr.Dataset:
    return (c - c.min()) / (c.max() - c.min())


def _above_mean(c: xr.Dataset) -> xr.Dataset:
    return c.where(c >= c.mean())


def _anomaly(c: xr.Dataset) -> xr.Dataset:
    c = c.unify_chunks()
    groups = c.groupby("time.dayofyear" if c.sizes["time"] < 3 else "time.weekday")
    return (groups - groups.mean("time")).drop_vars(["dayofyear", "weekday"], errors="ignore")


def _split(c: xr.Dataset, dim: str, at: int) -> xr.Dataset:
    at = at % c.sizes[dim]
    parts = [c.isel({dim: slice(0, at)}), c.isel({dim: slice(at, None)})]
    return xr.concat([p for p in parts if p.sizes[dim]], dim)


def _cumsum(c: xr.Dataset) -> xr.Dataset:
    return c.cumsum("time").assign_coords(c.coords)


def _persist(c: xr.Dataset) -> xr.Dataset:
    return c.persist()


def _load_one(c: xr.Dataset) -> xr.Dataset:
    name = list(c.data_vars)[-1]
    return c.assign({name: c[name].compute()})


STEPS: dict[str, Callable[..., xr.Dataset]] = {
    name.removeprefix("_"): function
    for name, function in list(vars().items())
    if name.startswith("_") and callable(function) and not name.startswith("__")
}

ONE_SIDE = st.sampled_from(["y", "x"])
ANY_SIDE = st.sampled_from(["time", "y", "x"])


@st.composite
def _indices(draw: st.DrawFn, size: int) -> Any:
    """Draw what may stand in isel along an axis of this size."""
    kind = draw(st.sampled_from(["cut", "step", "flip", "list", "boolean", "one"]))
    low = draw(st.integers(0, size - 1))
    high = draw(st.integers(low + 1, size))
    if kind == "cut":
        return slice(low, high)
    if kind == "step":
        return slice(low, None, draw(st.integers(2, 3)))
    if kind == "flip":
        return slice(None, None, -draw(st.integers(1, 2)))
    if kind == "list":
        return draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=size + 1))
    if kind == "one":
        return slice(low, low + 1)
    chosen = draw(st.lists(st.booleans(), min_size=size, max_size=size).filter(any))
    return np.flatnonzero(chosen).tolist()


def _simple(*names: str) -> list[st.SearchStrategy[Step]]:
    return [st.just(Step(name)) for name in names]


@st.composite
def steps(draw: st.DrawFn, sizes: dict[str, int], keeps_grid: bool) -> Step:
    """Draw a step for a collection of these sizes; one that keeps the grid, where that is asked
    for."""
    chunking = st.fixed_dictionaries({}, optional={d: cuts(n) for d, n in sizes.items()})
    keeping: list[st.SearchStrategy[Step]] = [
        chunking.map(partial(Step, "chunk")),
        chunking.map(partial(Step, "chunk")),
        st.permutations(sorted(sizes)).map(lambda dims: Step("transpose", {"dims": tuple(dims)})),
        st.builds(lambda d, n: Step("shift", {d: n}), ANY_SIDE, st.sampled_from([-1, 1])),
        st.builds(lambda d, n: Step("roll", {d: n}), ANY_SIDE, st.sampled_from([-1, 1])),
        st.builds(lambda d, n: Step("split", {"dim": d, "at": n}), ANY_SIDE, st.integers(1, 9)),
        st.builds(
            lambda y, x: Step("rolling", {"y": y, "x": x}), st.integers(1, 3), st.integers(1, 3)
        ),
        st.builds(
            lambda n, b: Step("overlap", {"depth": n, "boundary": b}),
            st.integers(1, 2),
            st.sampled_from(["none", "reflect", "nearest", "periodic"]),
        ),
        *_simple(
            *("land", "where", "fillna", "rolling_time", "halved", "ufunc", "along_time"),
            *(
                "less_mean_of_image",
                "less_mean_of_times",
                "less_median",
                "stretched",
                "above_mean",
                "anomaly",
            ),
            *("cumsum", "persist"),
        ),
    ]
    changing: list[st.SearchStrategy[Step]] = [
        *(
            _indices(n).map(lambda index, d=d: Step("isel", {d: index}))
            for d, n in sizes.items()
            for _ in range(2)
        ),
        st.builds(
            lambda d, a, b: Step("pad", {d: (a, b)}), ANY_SIDE, st.integers(0, 2), st.integers(0, 2)
        ),
        st.integers(0, 9).map(lambda n: Step("reindex", {"missing": n})),
        st.sampled_from(["mean", "max"]).map(lambda how: Step("coarsen", {"how": how})),
        *_simple("load_one"),
    ]
    return draw(st.one_of(keeping if keeps_grid else keeping + changing))

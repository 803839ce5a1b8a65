"""Any shape of input gives the pixels that the same collection gives in memory."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import qmosaic as qm
from tests.support.shapes import by_loader, from_store, image_by_image, steps
from tests.support.sources import CountingArray, as_dataset
from tests.support.strategies import cuts


def bands(rng: np.random.Generator, shape: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """Make bands with ties and holes, of several dtypes."""
    quality = rng.integers(0, 5, shape).astype("float32")
    quality[rng.random(shape) < 0.15] = np.nan
    nir = rng.integers(0, 9, shape) / 2
    nir[rng.random(shape) < 0.1] = np.nan
    return {"red": rng.integers(1, 60000, shape).astype("uint16"), "nir": nir, "quality": quality}


@st.composite
def opened(draw: st.DrawFn, path: Path) -> xr.Dataset:
    """Draw a collection as somebody opens it."""
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)))
    values = bands(np.random.default_rng(draw(st.integers(0, 99))), shape)
    kind = draw(st.sampled_from(["store", "store", "arrays", "images", "loader", "memory"]))
    if kind == "store":
        chunks = draw(st.tuples(*(st.integers(1, n) for n in shape)))
        how: list[Any] = [{}, "auto", {"time": -1}, {"y": 3}, {"time": 2, "x": 4}]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The specified chunks separate the stored chunks")
            return from_store(values, path, chunks, draw(st.sampled_from(how)))
    if kind == "images":
        return image_by_image(values)
    if kind == "loader":
        return by_loader(values, draw(st.integers(1, 3)))
    chunks = {n: draw(st.tuples(*(cuts(size) for size in shape))) for n in values}
    if kind == "memory":
        return as_dataset({n: da.from_array(v, chunks=chunks[n]) for n, v in values.items()})
    return as_dataset(
        {n: da.from_array(CountingArray(v), chunks=chunks[n]) for n, v in values.items()}
    )


def changed(data: st.DataObject, collection: xr.Dataset, most: int, keeps: bool) -> xr.Dataset:
    """Do up to so many things to a collection."""
    for _ in range(data.draw(st.integers(0, most))):
        sizes = {d: collection.sizes[d] for d in ("time", "y", "x")}
        step = data.draw(steps(sizes, keeps))
        collection = step(collection)
        assume(all(collection.sizes[d] for d in ("time", "y", "x")))
    return collection


Rules = dict[str, Any]

WINNERS: st.SearchStrategy[Rules] = st.fixed_dictionaries(
    {
        "masked": st.sampled_from(["keep", "keep", "skip", "fill"]),
        "ties": st.sampled_from(["first", "last"]),
        "min_quality": st.sampled_from([None, None, 1]),
    }
)

SEVERAL: st.SearchStrategy[Rules] = st.fixed_dictionaries(
    {
        "masked": st.sampled_from(["keep", "skip"]),
        "within": st.sampled_from([0, 1, 2.5]),
        "reducer": st.sampled_from(["median", "mean", 25]),
        "provenance": st.booleans(),
    }
)

MEDOIDS: st.SearchStrategy[Rules] = st.fixed_dictionaries(
    {
        "bands": st.sampled_from([["quality"], ["nir", "red"], None]),
        "masked": st.sampled_from(["keep", "skip"]),
        "ties": st.sampled_from(["first", "last"]),
    }
)


def made(collection: xr.Dataset, rules: Rules) -> xr.Dataset:
    """Make a mosaic, or a medoid."""
    if "bands" in rules:
        return qm.medoid(collection, **rules)
    return qm.quality_mosaic(collection, "quality", **rules)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_any_shape_gives_the_pixels_of_the_collection_in_memory(data: st.DataObject) -> None:
    """Rule 11: whatever was done to a collection and to its quality, and however the mosaic is cut
    and written; by tasks of dask and by the jobs of ``to_zarr``."""
    check(data, WINNERS)


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_so_does_any_composite(data: st.DataObject) -> None:
    """The same for several images a pixel, and for medoids."""
    check(data, SEVERAL | MEDOIDS)


def check(data: st.DataObject, asked: st.SearchStrategy[Rules]) -> None:
    """Make a mosaic of any shape, cut it, write it, and compare it with that in memory."""
    with (
        tempfile.TemporaryDirectory() as folder,
        dask.config.set(scheduler="synchronous"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        collection = changed(data, data.draw(opened(Path(folder, "in.zarr"))), 3, False)
        quality = changed(data, collection[["quality"]], 2, True)
        collection = collection.assign(quality=quality["quality"])
        rules = data.draw(asked)
        eager, mosaic = made(collection.compute(), rules), made(collection, rules)
        low = {d: data.draw(st.integers(0, mosaic.sizes[d] - 1)) for d in ("y", "x")}
        if data.draw(st.booleans()):
            cut = {
                d: slice(low[d], data.draw(st.integers(low[d] + 1, mosaic.sizes[d]))) for d in low
            }
            eager, mosaic = eager.isel(cut), mosaic.isel(cut)
        chunks = data.draw(
            st.none()
            | st.fixed_dictionaries({d: st.integers(1, mosaic.sizes[d]) for d in ("y", "x")})
        )
        more: dict[str, Any] = data.draw(st.sampled_from([{}, {}, {"block_bytes": 400}]))
        xr.testing.assert_equal(mosaic.compute(), eager)
        if any(v.chunks for v in mosaic.variables.values()):
            qm.explain(mosaic, chunks=chunks, **more)
            qm.to_zarr(mosaic, Path(folder, "out.zarr"), chunks=chunks, **more)
            written = xr.open_zarr(
                Path(folder, "out.zarr"), consolidated=False, mask_and_scale=False
            )
            for name, want in eager.data_vars.items():
                assert written[name].dtype == want.dtype
                np.testing.assert_array_equal(
                    written[name].transpose(*want.dims).values, want.values, str(name)
                )

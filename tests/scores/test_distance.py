"""Distances to clouds, against a loop over all pairs of pixels and by hand."""

from __future__ import annotations

import math
from typing import Any

import dask.array as da
import numpy as np
import odc.geo.xr
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import qmosaic as qm
from qmosaic.collection.location import crs_of
from tests.support.small import NAN
from tests.support.sources import CountingArray


def far(mask: np.ndarray, dy: float, dx: float, farthest: float) -> np.ndarray:
    """Measure distances with a loop over all pairs of pixels."""
    wanted = np.full(mask.shape, farthest)
    for t in range(mask.shape[0]):
        for y, x in np.ndindex(mask.shape[1:]):
            for v, u in np.argwhere(mask[t]):
                way = math.hypot((y - v) * dy, (x - u) * dx)
                wanted[t, y, x] = min(wanted[t, y, x], way)
    return wanted


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 99),
    cut=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    sizes=st.tuples(st.sampled_from([10.0, 20.0, 7.5]), st.sampled_from([10.0, 30.0])),
    farthest=st.sampled_from([5.0, 10.0, 25.0, 60.0, 500.0]),
    share=st.sampled_from([0.0, 0.03, 0.3, 1.0]),
    order=st.sampled_from([("time", "y", "x"), ("y", "x", "time"), ("x", "time", "y")]),
)
def test_distances_are_exact_across_chunk_borders(
    shape: Any, seed: int, cut: Any, sizes: Any, farthest: float, share: float, order: Any
) -> None:
    """As a loop over all pairs of pixels, whatever the chunks, never between images."""
    mask = np.random.default_rng(seed).random(shape) < share
    wanted = far(mask, *sizes, farthest)
    plain = xr.DataArray(mask, dims=("time", "y", "x")).transpose(*order)
    in_memory = plain.chunk(dict(zip(("time", "y", "x"), cut, strict=True)))
    deferred = plain.copy(
        data=da.from_array(CountingArray(plain.values), chunks=in_memory.data.chunks)
    )
    for data in (plain, in_memory, deferred):
        score = qm.scores.distance_to(data, max_distance=farthest, resolution=sizes)
        assert score.dims == order
        assert score.dtype == "float32"
        assert score.chunks == data.chunks
        np.testing.assert_allclose(score.transpose("time", "y", "x").values, wanted, rtol=1e-6)


def cloudy(crs: str | None = "EPSG:32633", step: float = 10.0) -> xr.DataArray:
    """A mask with a cloud at one end of a row."""
    mask = xr.DataArray(
        np.array([[True, False, False], [False, False, False]]),
        {"y": [step, 0.0], "x": [0.0, step, 2 * step]},
        ("y", "x"),
    )
    assert odc.geo.xr is not None
    return mask if crs is None else mask.odc.assign_crs(crs)


def test_the_size_of_pixels_comes_from_the_grid() -> None:
    """Metres from the coordinates; feet are converted: 1 US foot is 1200/3937 m."""
    score = qm.scores.distance_to(cloudy(), max_distance=100)
    np.testing.assert_allclose(score.values, [[0, 10, 20], [10, 200**0.5, 500**0.5]], rtol=1e-6)
    assert "spatial_ref" in score.coords
    feet = qm.scores.distance_to(cloudy("EPSG:2263"), max_distance=100)
    np.testing.assert_allclose(feet.values[0], [0, 12000 / 3937, 24000 / 3937], rtol=1e-6)


@pytest.mark.parametrize(
    ("mask", "options", "error", "message"),
    [
        (cloudy("EPSG:4326", 0.01), {}, ValueError, "degrees"),
        (cloudy(None), {}, ValueError, "nothing declares the CRS.*resolution=10"),
        (cloudy().drop_vars(["x", "y"]), {}, ValueError, "no coordinates.*resolution=10"),
        (cloudy().isel(x=[0]), {}, ValueError, "one along 'x' only"),
        (cloudy().assign_coords(x=[0.0, 10.0, 30.0]), {}, ValueError, "evenly spaced"),
        (cloudy().astype("uint8"), {}, TypeError, r"isin\(\[3, 8, 9, 10\]\)"),
        (np.zeros((2, 2), bool), {}, TypeError, "ndarray"),
        (cloudy(), {"max_distance": 0}, ValueError, "max_distance=0"),
        (cloudy(), {"resolution": -0.0}, ValueError, "resolution="),
        (cloudy(), {"resolution": (1, 2, 3)}, ValueError, "resolution="),
        (cloudy().isel(y=0, drop=True), {"resolution": 10}, ValueError, "no map"),
    ],
)
def test_masks_that_cannot_be(
    mask: Any, options: Any, error: type[Exception], message: str
) -> None:
    """What came, why not, what to write."""
    with pytest.raises(error, match=message):
        qm.scores.distance_to(mask, **{"max_distance": 100, **options})


def test_pixels_without_data_are_not_far_from_clouds() -> None:
    """With `valid` they are no candidates, though no cloud is near."""
    scl = xr.DataArray(np.uint8([[0, 4, 4, 9]]), dims=("y", "x"))
    for band_ in (scl, scl.chunk(x=1)):
        mask, valid = band_ == 9, band_ != 0
        metres = qm.scores.distance_to(mask, max_distance=25, resolution=10, valid=valid)
        np.testing.assert_array_equal(metres.values, [[NAN, 20, 10, 0]])
    with pytest.raises(TypeError, match="True where there is data"):
        qm.scores.distance_to(mask, max_distance=25, resolution=10, valid=scl)
    with pytest.raises(ValueError, match="differ along 'x'"):
        qm.scores.distance_to(mask, max_distance=25, resolution=10, valid=valid.isel(x=[0]))


def test_masks_as_rioxarray_and_stackstac_leave_them() -> None:
    """A scalar coordinate called band, a CRS among the data variables: the distance all the
    same."""
    mask = cloudy().assign_coords(band="scl").rename("band")
    score = qm.scores.distance_to(mask, max_distance=100)
    np.testing.assert_allclose(score.values, [[0, 10, 20], [10, 200**0.5, 500**0.5]], rtol=1e-6)
    collection = cloudy().to_dataset(name="cloud").reset_coords("spatial_ref")
    assert "spatial_ref" in collection.data_vars
    assert crs_of(collection) == "EPSG:32633"
    flat = cloudy()
    valid = xr.concat([flat, ~flat], "time")
    both = qm.scores.distance_to(flat, max_distance=100, valid=valid)
    assert both.dims == ("y", "x", "time")


@pytest.mark.parametrize("wrong", [True, "3", None, np.inf])
def test_what_is_no_distance(wrong: Any) -> None:
    """Texts and bools are no numbers."""
    with pytest.raises(ValueError, match="max_distance="):
        qm.scores.distance_to(cloudy(), max_distance=wrong)

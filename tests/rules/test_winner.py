"""Rule 1: the winner, the image whose quality is highest at a pixel, gives all bands of that pixel,
the quality band included; never a mixture of images by accident.

Whatever form the collection has: bands in any order of dimensions, with more of them than the
quality or with time alone, in one array, along a dimension of another name.
"""

from __future__ import annotations

from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import qmosaic as qm
from tests.support.oracle import Band, assert_same, bands_in, mosaic
from tests.support.small import BACKENDS, LAZY, row, row_of, scene, wanted


@BACKENDS
def test_every_band_of_a_pixel_is_of_one_image(backend: str) -> None:
    """All bands, the quality and a band that has only time included, are the winner's."""
    rng = np.random.default_rng(0)
    number = np.arange(9)[:, None] * np.ones(5, int)
    c = row_of(
        backend,
        q=rng.permuted(number, axis=0).astype("int16"),
        a=number.astype("uint8"),
        b=number / 8,
        c=number.astype("int64") << 40,
        d=np.arange(9, dtype="float32"),
    )
    m = qm.quality_mosaic(c, "q")
    won = np.array(row(m, "a"))
    assert row(m, "q") == [8] * 5
    for x, t in enumerate(won):
        assert c["q"].values[t, 0, x] == 8
    assert row(m, "b") == (won / 8).tolist()
    assert row(m, "c") == [int(t) << 40 for t in won]
    assert row(m, "d") == won.tolist()
    assert list(m.data_vars) == ["q", "a", "b", "c", "d"]


@BACKENDS
@pytest.mark.parametrize("images", [31, 32, 33, 63, 64, 65, 127, 128, 129, 256, 257, 300])
def test_more_images_than_a_small_index_can_count(backend: str, images: int) -> None:
    """32, 64, 128 and 256 images are where selections (np.choose) and index dtypes end."""
    q = np.zeros((images, 3), "uint8")
    q[images - 1, 0] = q[images // 2, 1] = 9
    t = (np.arange(images)[:, None] + [1, 1, 1]).astype("uint16")
    c = row_of(backend, {"t": {"_FillValue": 0}}, q=q, t=t)
    for masked in ("keep", "skip", "fill"):
        m = qm.quality_mosaic(c, "q", masked=masked)
        assert row(m, "t") == [images, images // 2 + 1, 1]
        if masked == "fill":
            assert row(m, "t_source_index") == [images - 1, images // 2, 0]


# -- forms of collections --------------------------------------------------------------------------


@LAZY
def test_any_order_of_dimensions(lazy: bool) -> None:
    """Every band may have its own order; each keeps it."""
    c = scene()
    c = c.assign(red=c["red"].transpose("x", "time", "y"), nir=c["nir"].transpose("y", "x", "time"))
    m = qm.quality_mosaic(c if lazy else c.load(), "quality")
    for name, want in wanted(scene().load()).items():
        assert_same(m[name], want)
    assert m["red"].dims == ("x", "y")


@LAZY
def test_further_dimensions_are_kept(lazy: bool) -> None:
    """A band of layers: each pixel gives all its layers from the image that won it."""
    c = scene()
    layers = c["nir"].expand_dims(level=3).transpose("time", "level", "y", "x")
    c = c.assign(deep=layers * xr.DataArray([1.0, 10.0, 100.0], dims="level"))
    m = qm.quality_mosaic(c if lazy else c.load(), "quality")
    assert m["deep"].dims == ("level", "y", "x")
    for level, factor in enumerate((1.0, 10.0, 100.0)):
        np.testing.assert_array_equal(m["deep"].isel(level=level), m["nir"] * factor)


@LAZY
def test_a_data_array_comes_back_in_its_shape(lazy: bool) -> None:
    """A stack (time, band, y, x), as stackstac makes it: the quality is a label; coordinates of the
    bands, the name and attributes are kept."""
    rng = np.random.default_rng(2)
    values = rng.integers(0, 5, (5, 3, 4, 6)).astype("int16")
    stack = xr.DataArray(
        values,
        dims=("time", "band", "y", "x"),
        coords={
            "time": pd.date_range("2020-07-01", periods=5),
            "band": ["red", "nir", "q"],
            "title": ("band", ["Red", "Near infrared", "Score"]),
            "x": np.arange(6.0),
        },
        name="stack",
        attrs={"crs": "EPSG:32633"},
    )
    stack = stack.chunk(time=1, band=1, y=2) if lazy else stack
    m = qm.quality_mosaic(stack, "q")
    assert isinstance(m, xr.DataArray)
    assert m.dims == ("band", "y", "x")
    assert dask.is_dask_collection(m.data) is lazy
    assert m["band"].values.tolist() == ["red", "nir", "q"]
    assert m["title"].values.tolist() == ["Red", "Near infrared", "Score"]
    np.testing.assert_array_equal(m["x"], stack["x"])
    assert m.name == "stack"
    assert m.attrs["crs"] == "EPSG:32633"
    assert m.attrs["qmosaic_quality_band"] == "q"
    bands = {n: Band(("time", "y", "x"), values[:, i]) for i, n in enumerate(["red", "nir", "q"])}
    for name, want in mosaic(bands, "q").items():
        assert_same(m.sel(band=name), want)
    xr.testing.assert_identical(stack.qmosaic.quality_mosaic("q"), m)


@LAZY
def test_a_mosaic_a_month(lazy: bool) -> None:
    """Through resample, as users of xarray write it: each month's mosaic is that of its images,
    dtypes kept."""
    rng = np.random.default_rng(8)
    time = pd.date_range("2020-06-20", periods=6, freq="8D")
    c = xr.Dataset(
        {
            "red": (("time", "y", "x"), rng.integers(1, 99, (6, 3, 4)).astype("uint16")),
            "quality": (("time", "y", "x"), rng.integers(0, 3, (6, 3, 4)).astype("int8")),
        },
        {"time": time},
    )
    months = (c.chunk(time=1) if lazy else c).resample(time="MS")
    m = months.map(qm.quality_mosaic, quality_band="quality")
    assert [str(t)[:7] for t in m["time"].values] == ["2020-06", "2020-07"]
    for month in (6, 7):
        images = c.isel(time=np.flatnonzero(time.month == month))
        for name, want in wanted(images).items():
            assert_same(m.isel(time=month - 6)[name], want)


@LAZY
def test_images_along_another_dimension(lazy: bool) -> None:
    """dim= names the dimension of the images; the function and the method take it."""
    c = scene().rename(time="date_of_image").drop_vars("date")
    c = c if lazy else c.load()
    want = wanted(scene().drop_vars("date").load())
    for m in (
        qm.quality_mosaic(c, "quality", dim="date_of_image"),
        c.qmosaic.quality_mosaic("quality", dim="date_of_image"),
    ):
        assert "date_of_image" not in m.dims
        for name, band in want.items():
            assert_same(m[name], band)


def test_the_method_is_the_function() -> None:
    """ds.qmosaic.quality_mosaic takes the same arguments and gives the same mosaic."""
    c = scene()
    assert bands_in(c).keys() == {"red", "nir", "quality", "doy", "date"}
    rules: list[dict[str, Any]] = [
        {},
        {"ties": "last", "masked": "fill", "min_quality": -3, "upper_bound": 0},
        {"masked": "skip", "fill_value": 7},
    ]
    for given in rules:
        xr.testing.assert_identical(
            c.qmosaic.quality_mosaic("quality", **given).compute(),
            qm.quality_mosaic(c, "quality", **given).compute(),
        )

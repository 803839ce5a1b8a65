"""The inverse of a band and normalized differences: nothing wraps round, masked stays masked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from tests.support.small import BACKENDS, row, row_of


@pytest.mark.parametrize(
    ("dtype", "wide"),
    [
        ("uint8", "int16"),
        ("uint16", "int32"),
        ("uint32", "int64"),
        ("int8", "int16"),
        ("int16", "int32"),
        ("int32", "int64"),
        ("int64", "int64"),
    ],
)
def test_inverse_widens_before_it_negates(dtype: str, wide: str) -> None:
    """-band on an unsigned band wraps round; inverse does not, at either end of the dtype."""
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    got = qm.scores.inverse(xr.DataArray(np.array([low + (dtype == "int64"), 0, 1, high], dtype)))
    assert got.dtype == wide
    assert [int(v) for v in got.values] == [-(low + (dtype == "int64")), 0, -1, -high]


def test_inverse_of_the_lowest_int64_is_the_highest() -> None:
    """-(-2**63) does not exist; the lowest score still becomes the highest."""
    low = np.iinfo("int64").min
    got = qm.scores.inverse(xr.DataArray(np.array([low, 5], "int64")))
    assert [int(v) for v in got.values] == [2**63 - 1, -5]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inverse_keeps_floats(dtype: str) -> None:
    """Floats keep their dtype, NaN stays NaN, -0 and inf are turned round."""
    got = qm.scores.inverse(xr.DataArray(np.array([1.5, np.nan, np.inf], dtype)))
    np.testing.assert_array_equal(got.values, np.array([-1.5, np.nan, -np.inf], dtype))
    assert got.dtype == dtype


def test_inverse_of_bool() -> None:
    """A cloud mask turned round: clear pixels rank higher."""
    got = qm.scores.inverse(xr.DataArray([True, False]))
    assert got.dtype == "int8"
    assert list(got.values) == [-1, 0]


@pytest.mark.parametrize("where", ["attrs", "encoding"])
def test_inverse_carries_nodata(where: str) -> None:
    """A masked pixel stays masked: 255 declared becomes -255 declared."""
    band = xr.DataArray(np.array([0, 255], "uint8"), name="cloud")
    getattr(band, where)["_FillValue"] = 255
    got = qm.scores.inverse(band)
    assert got.attrs["_FillValue"] == -255
    assert list(got.values) == [0, -255]
    assert getattr(band, where)["_FillValue"] == 255


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("uint64", r"uint64 band: no signed integer .*astype\('int64'\)"),
        ("complex64", "complex64"),
        ("datetime64[ns]", "datetime64"),
        ("str", "<U"),
    ],
)
def test_inverse_refuses(bad: Any, message: str) -> None:
    """What has no negative is refused by name; no integer is wider than uint64, and the error says
    which dtype to choose."""
    with pytest.raises(TypeError, match=rf"inverse\(\) got a.*{message}"):
        qm.scores.inverse(xr.DataArray(np.zeros(2).astype(bad)))


@pytest.mark.parametrize("lazy", [False, True])
def test_normalized_difference_by_hand(lazy: bool) -> None:
    """(300 - 100) / 400 = 0.5; 0 / 0 is NaN; neither sums nor differences wrap round in uint16."""
    nir = xr.DataArray(np.array([300, 0, 60000, 0, 100], "uint16"), dims="x")
    red = xr.DataArray(np.array([100, 0, 60000, 7, 300], "uint16"), dims="x")
    got = qm.scores.normalized_difference(*((b.chunk(x=2) if lazy else b) for b in (nir, red)))
    assert got.dtype == "float32"
    np.testing.assert_array_equal(got.values, np.array([0.5, np.nan, 0, -1, -0.5], "float32"))


def test_normalized_difference_of_opposites_is_no_candidate() -> None:
    """a + b = 0 with a != b would be infinite, and would win everywhere."""
    got = qm.scores.normalized_difference(xr.DataArray([5.0]), xr.DataArray([-5.0]))
    assert np.isnan(got.values).all()


def test_normalized_difference_masks_nodata() -> None:
    """A declared nodata in either band gives NaN."""
    nir = xr.DataArray(np.array([0, 300, 300], "uint16"), attrs={"nodata": 0})
    red = xr.DataArray(np.array([100, 65535, 100], "uint16"), attrs={"_FillValue": 65535})
    got = qm.scores.normalized_difference(nir, red)
    np.testing.assert_array_equal(got.values, np.array([np.nan, np.nan, 0.5], "float32"))


def test_normalized_difference_refuses() -> None:
    """Strings have no difference."""
    with pytest.raises(TypeError, match="normalized_difference\\(\\) got a band of dtype"):
        qm.scores.normalized_difference(xr.DataArray(["a"]), xr.DataArray([1]))


@BACKENDS
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int8", "int64", "bool"])
def test_the_inverse_takes_the_clearest_pixel(backend: str, dtype: str) -> None:
    """-uint8 gives 0 -> 0, 1 -> 255, and -int8 keeps -128: neither wins where it must not."""
    ends = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    clouds = np.array([[1, ends[1]], [0, 1], [1, ends[0]], [ends[1], ends[1]]], dtype)
    c = row_of(backend, cloud=clouds, t=np.uint8([[1, 1], [2, 2], [3, 3], [4, 4]]))
    c = c.assign(quality=qm.scores.inverse(c["cloud"]))
    m = qm.quality_mosaic(c, "quality")
    assert row(m, "cloud") == [0, ends[0]]
    assert row(m, "t") == [2, 3]
    assert row(qm.quality_mosaic(c, "cloud"), "cloud") == [ends[1]] * 2

"""Makers of quality bands, against values worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from tests.support.sources import expected, in_store, random_stack


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


@pytest.mark.parametrize("bad", ["uint64", "complex64", "datetime64[ns]", "str"])
def test_inverse_refuses(bad: Any) -> None:
    """What has no negative is refused by name."""
    with pytest.raises(TypeError, match="inverse\\(\\) got a"):
        qm.scores.inverse(xr.DataArray(np.zeros(2).astype(bad)))


def test_normalized_difference_by_hand() -> None:
    """(300 - 100) / 400 = 0.5; 0 / 0 is NaN; sums do not wrap in uint16."""
    nir = xr.DataArray(np.array([300, 0, 60000, 0], "uint16"))
    red = xr.DataArray(np.array([100, 0, 60000, 7], "uint16"))
    got = qm.scores.normalized_difference(nir, red)
    assert got.dtype == "float32"
    np.testing.assert_array_equal(got.values, np.array([0.5, np.nan, 0, -1], "float32"))


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


def test_scores_are_lazy() -> None:
    """Scores of dask-backed bands are dask-backed, in the same chunks."""
    band = xr.DataArray(da.ones((4, 6), chunks=(1, 3), dtype="uint8"), dims=("time", "x"))
    for score in (qm.scores.inverse(band), qm.scores.normalized_difference(band, band)):
        assert isinstance(score.data, da.Array)
        assert score.chunks == band.chunks


@pytest.mark.parametrize("side", [8, 16])
def test_a_score_of_one_number_an_image_keeps_a_block_one_task(tmp_path: Path, side: int) -> None:
    """However few blocks the map has: a season or a date beside the score of pixels is no data of
    the map."""
    values = random_stack(images=6, side=side)
    stored, _ = in_store(values, tmp_path / "in.zarr", (1, 8, 8))
    season = qm.scores.target_date(stored, "2020-07-15", sigma=20)
    quality = qm.scores.weighted([(stored["quality"].astype("float64"), 1.0), (season, 0.5)])
    mosaic = qm.quality_mosaic(stored.assign(quality=quality), "quality")
    assert "reads only what won" in str(qm.explain(mosaic))
    # steps of 1 in one score, less than 1 in the other: a tie in the first is decided by the second
    both = (values["quality"] + 0.5 * season.values[:, None, None]) / 1.5
    wanted = expected({"red": values["red"], "quality": both})["red"]
    np.testing.assert_array_equal(mosaic["red"].values, wanted)

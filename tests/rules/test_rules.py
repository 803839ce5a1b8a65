"""The rules of a quality mosaic, each stated as a test; in memory and in blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import qmosaic as qm
from tests.support.strategies import INTEGERS, Band, assert_same, mosaic

NAN = np.nan
BACKENDS = pytest.mark.parametrize("backend", ["numpy", "dask"])
MASKED = ["keep", "skip", "fill"]


def collection_of(
    backend: str, attrs: dict[str, dict[str, Any]] | None = None, **bands: Any
) -> xr.Dataset:
    """Make a collection of one row of pixels; a band of one number an image has only time."""
    data = {}
    for name, values in bands.items():
        array = np.asarray(values)
        dims = ("time",) if array.ndim == 1 else ("time", "y", "x")
        array = array if array.ndim == 1 else array[:, None, :]
        data[name] = (dims, array, (attrs or {}).get(name, {}))
    images = len(next(iter(bands.values())))
    made = xr.Dataset(data, {"time": pd.date_range("2020-07-01", periods=images)})
    return made.chunk(time=2, x=1) if backend == "dask" and "x" in made.dims else made


def row(made: xr.Dataset, band: str) -> np.ndarray:
    """Give the one row of a band of the mosaic."""
    return made[band].transpose("y", "x").values[0]


def scene() -> xr.Dataset:
    """Make a collection with ties, holes and a CRS, as people have them; lazy."""
    rng = np.random.default_rng(11)
    shape = (6, 7, 9)
    red = rng.integers(1, 60000, shape).astype("uint16")
    red[rng.random(shape) < 0.2] = 0
    quality = rng.integers(-4, 1, shape).astype("float32")
    quality[rng.random(shape) < 0.2] = NAN
    data = xr.Dataset(
        {
            "red": (("time", "y", "x"), red, {"_FillValue": 0, "long_name": "red light"}),
            "nir": (("time", "y", "x"), rng.normal(size=shape), {"grid_mapping": "spatial_ref"}),
            "quality": (("time", "y", "x"), quality),
            "doy": ("time", np.arange(183, 189, dtype="int16"), {"units": "day"}),
            "elevation": (("y", "x"), rng.random((7, 9)), {"units": "m"}),
        },
        {
            "time": pd.date_range("2020-07-01", periods=6),
            "platform": ("time", list("ABABAB")),
            "y": ("y", np.arange(7) * -10.0, {"units": "m"}),
            "x": ("x", np.arange(9) * 10.0, {"units": "m"}),
            "spatial_ref": ((), 0, {"crs_wkt": 'PROJCS["any"]', "GeoTransform": "0 10 0 0 0 -10"}),
        },
        {"title": "July"},
    )
    return data.chunk(time=2, y=4, x=(5, 4))


def wanted(collection: xr.Dataset, **rules: Any) -> dict[str, Any]:
    """Give what the loop over pixels makes of a collection's bands."""
    bands = {
        str(name): Band(tuple(map(str, band.dims)), band.values, band.attrs.get("_FillValue"))
        for name, band in collection.data_vars.items()
        if "time" in band.dims
    }
    return mosaic(bands, "quality", **rules)


# -- rules 1 to 7: which image ---------------------------------------------------------------------


@BACKENDS
def test_rule_1_every_band_of_a_pixel_is_of_one_image(backend: str) -> None:
    """Rule 1: all bands, the quality included and bands that have only time, are the winner's."""
    rng = np.random.default_rng(0)
    number = np.arange(9)[:, None] * np.ones(5, int)
    c = collection_of(
        backend,
        q=rng.permuted(number, axis=0).astype("int16"),
        a=number.astype("uint8"),
        b=number / 8,
        c=number.astype("int64") << 40,
        d=np.arange(9, dtype="float32"),
    )
    m = qm.quality_mosaic(c, "q")
    won = row(m, "a").astype(int)
    assert row(m, "q").tolist() == [8] * 5
    for x, t in enumerate(won):
        assert c["q"].values[t, 0, x] == 8
    np.testing.assert_array_equal(row(m, "b"), won / 8)
    np.testing.assert_array_equal(row(m, "c"), won << 40)
    np.testing.assert_array_equal(row(m, "d"), won)
    assert list(m.data_vars) == ["q", "a", "b", "c", "d"]


@BACKENDS
@pytest.mark.parametrize("dtype", INTEGERS)
def test_rule_2_declared_nodata_is_no_score(backend: str, dtype: str) -> None:
    """Rule 2: nodata never wins, be it the lowest, the highest or a middling number."""
    ends = np.iinfo(dtype)
    for nodata in (ends.min, 3, ends.max):
        other = 2 if nodata == ends.min else ends.min
        c = collection_of(
            backend,
            {"q": {"_FillValue": nodata}},
            q=np.array([[nodata], [other], [nodata]], dtype),
            t=np.uint8([[1], [2], [3]]),
        )
        for ties in ("first", "last"):
            m = qm.quality_mosaic(c, "q", ties=ties)
            assert row(m, "t").tolist() == [2]
            assert row(m, "q").tolist() == [other]


@BACKENDS
def test_rule_2_the_places_where_nodata_is_declared(backend: str) -> None:
    """Rule 2: `_FillValue`, odc's `nodata`, `missing_value`; then the encoding. Attributes that
    differ are refused: what one of them masks would win."""
    q = np.uint8([[9, 8, 7], [6, 6, 6]])
    t = np.uint8([[1] * 3, [2] * 3])

    def winners(attrs: dict[str, Any], encoding: dict[str, Any] | None = None) -> list[int]:
        c = collection_of(backend, {"q": attrs}, q=q, t=t)
        c["q"].encoding |= encoding or {}
        return row(qm.quality_mosaic(c, "q"), "t").tolist()

    assert winners({}) == [1, 1, 1]
    for attrs in ({"_FillValue": 9, "missing_value": 7}, {"nodata": 8, "missing_value": [8, 7]}):
        with pytest.raises(ValueError, match=r"'q' declares .*of several values only one"):
            winners(attrs)
    assert winners({"_FillValue": 9, "nodata": 9.0, "missing_value": [9, 9]}) == [2, 1, 1]
    assert winners({"nodata": 8}, {"_FillValue": 9}) == [1, 2, 1]
    assert winners({"missing_value": 7}, {"_FillValue": 9}) == [1, 1, 2]
    assert winners({}, {"_FillValue": 9}) == [2, 1, 1]


@BACKENDS
def test_rule_2_floats_are_masked_by_nan_and_by_a_nodata_in_attrs(backend: str) -> None:
    """Rule 2: -9999 in attrs masks a float; the packed nodata in its encoding does not."""
    q = np.float32([[-9999, NAN, 0], [-10000, -3, -1]])
    c = collection_of(backend, {"q": {"nodata": -9999.0}}, q=q, t=np.uint8([[1] * 3, [2] * 3]))
    assert row(qm.quality_mosaic(c, "q"), "t").tolist() == [2, 2, 1]
    c["q"].attrs = {}
    c["q"].encoding = {"_FillValue": 0, "dtype": "int16"}
    assert row(qm.quality_mosaic(c, "q"), "t").tolist() == [1, 2, 1]


@BACKENDS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rule_2_validity_is_kept_apart_from_the_score(backend: str, dtype: str) -> None:
    """Rule 2: -inf wins where all else is NaN; two of them tie; +inf beats the largest number."""
    low, high = np.finfo(dtype).min, np.finfo(dtype).max
    c = collection_of(
        backend,
        q=np.array([[NAN, -np.inf, high, -np.inf], [-np.inf, -np.inf, np.inf, low]], dtype),
        t=np.uint8([[1] * 4, [2] * 4]),
    )
    assert row(qm.quality_mosaic(c, "q"), "t").tolist() == [2, 1, 2, 2]
    assert row(qm.quality_mosaic(c, "q", ties="last"), "t").tolist() == [2, 2, 2, 2]
    assert row(qm.quality_mosaic(c, "q"), "q")[0] == -np.inf


@BACKENDS
@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_rule_2_the_lowest_of_a_dtype_is_a_score(backend: str, dtype: str) -> None:
    """Rule 2: the dtype's minimum wins where it stands alone, beside nodata too."""
    low = 0 if dtype == "bool" else np.iinfo(dtype).min
    q = np.array([[low], [low]], dtype)
    c = collection_of(backend, q=q, t=np.uint8([[1], [2]]))
    assert row(qm.quality_mosaic(c, "q"), "t").tolist() == [1]
    assert row(qm.quality_mosaic(c, "q", ties="last"), "t").tolist() == [2]
    if dtype != "bool":
        q = np.array([[5], [low], [5]], dtype)
        c = collection_of(backend, {"q": {"nodata": 5}}, q=q, t=np.uint8([[1], [2], [3]]))
        assert row(qm.quality_mosaic(c, "q"), "t").tolist() == [2]


@BACKENDS
def test_rule_3_no_candidate_masks_every_band(backend: str) -> None:
    """Rule 3: NaN, the band's own nodata, 0 where none is declared, NaT and False."""
    c = collection_of(
        backend,
        {"own": {"_FillValue": 9}},
        q=np.float32([[NAN, 1], [NAN, 2]]),
        own=np.int16([[1, 1], [2, 2]]),
        none=np.uint16([[1, 1], [2, 2]]),
        flag=np.array([[True, True], [True, True]]),
        real=np.array([[0.1, 0.1], [0.2, 0.2]]),
        date=pd.date_range("2020-07-01", periods=2).values,
        sun=np.float32([30, 40]),
        orbit=np.int32([7, 8]),
    )
    m = qm.quality_mosaic(c, "q")
    np.testing.assert_array_equal(row(m, "q"), np.float32([NAN, 2]))
    assert row(m, "own").tolist() == [9, 2]
    assert row(m, "none").tolist() == [0, 2]
    assert row(m, "flag").tolist() == [False, True]
    np.testing.assert_array_equal(row(m, "real"), [NAN, 0.2])
    np.testing.assert_array_equal(row(m, "date"), np.array(["NaT", "2020-07-02"], m["date"].dtype))
    np.testing.assert_array_equal(row(m, "sun"), np.float32([NAN, 40]))
    assert row(m, "orbit").tolist() == [0, 8]
    assert {n: b.attrs.get("_FillValue") for n, b in m.items()} == {
        "q": None, "own": 9, "none": 0, "flag": None,
        "real": None, "date": None, "sun": None, "orbit": 0,
    }  # fmt: skip
    assert {n: m[n].dtype for n in m} == {n: c[n].dtype for n in c}


@BACKENDS
def test_rule_3_the_fill_value_of_the_user(backend: str) -> None:
    """Rule 3: fill_value= is for integers that declare no nodata, and is declared by the output."""
    c = collection_of(
        backend,
        {"own": {"nodata": 9}},
        q=np.array([[NAN]]),
        own=np.int16([[1]]),
        none=np.uint16([[1]]),
    )
    m = qm.quality_mosaic(c, "q", fill_value=65535)
    assert (row(m, "own").tolist(), row(m, "none").tolist()) == ([9], [65535])
    assert m["none"].attrs["_FillValue"] == 65535
    assert m["own"].attrs == {"nodata": 9}
    assert np.isnan(row(m, "q")).all()


@BACKENDS
def test_rule_3_a_bool_band_gives_false_whatever_the_fill_value(backend: str) -> None:
    """Rule 3: fill_value= is for integers; a bool band has False and declares nothing."""
    c = collection_of(backend, q=np.array([[NAN]]), flag=np.array([[True]]), i=np.uint8([[5]]))
    m = qm.quality_mosaic(c, "q", fill_value=1)
    assert row(m, "i").tolist() == [1]
    assert row(m, "flag").tolist() == [False]
    assert "_FillValue" not in m["flag"].attrs


@BACKENDS
def test_rule_3_nodata_is_declared_only_where_a_pixel_can_lack_a_candidate(backend: str) -> None:
    """Rule 3: float scores, declared nodata and thresholds can leave a pixel without an image."""
    a = np.uint8([[1], [2]])
    whole = collection_of(backend, q=np.int8([[1], [2]]), a=a)
    assert "_FillValue" not in qm.quality_mosaic(whole, "q")["a"].attrs
    assert "_FillValue" not in qm.quality_mosaic(whole, "q", fill_value=7)["a"].attrs
    assert qm.quality_mosaic(whole, "q", min_quality=0)["a"].attrs["_FillValue"] == 0
    nodata = collection_of(backend, {"q": {"nodata": 5}}, q=np.int8([[1], [2]]), a=a)
    assert qm.quality_mosaic(nodata, "q")["a"].attrs["_FillValue"] == 0
    real = collection_of(backend, q=np.float32([[1], [2]]), a=a)
    assert qm.quality_mosaic(real, "q")["a"].attrs["_FillValue"] == 0
    holes = collection_of(
        backend, {"b": {"nodata": 3}}, q=np.int8([[1], [2]]), a=a, b=np.int8([[3], [3]])
    )
    m = qm.quality_mosaic(holes, "q", masked="skip")
    assert (row(m, "a").tolist(), m["a"].attrs["_FillValue"]) == ([0], 0)


@BACKENDS
def test_rule_4_bad_quality_wins_until_a_threshold_is_asked_for(backend: str) -> None:
    """Rule 4: min_quality is inclusive, and also stands between the integers."""
    c = collection_of(
        backend, q=np.int16([[-100, -3, -2], [-99, -4, -9]]), t=np.uint8([[1] * 3, [2] * 3])
    )
    assert row(qm.quality_mosaic(c, "q"), "t").tolist() == [2, 1, 1]
    for least, want in ((-3, [0, 1, 1]), (-2.5, [0, 0, 1]), (np.int64(-99), [2, 1, 1])):
        m = qm.quality_mosaic(c, "q", min_quality=least)
        assert row(m, "t").tolist() == want
        assert "qmosaic_min_quality" in m.attrs
    assert "qmosaic_min_quality" not in qm.quality_mosaic(c, "q").attrs


@BACKENDS
def test_rule_5_ties(backend: str) -> None:
    """Rule 5: the first of equals by default, the last on request; -0.0 and 0.0 are equal."""
    c = collection_of(
        backend,
        q=np.array([[NAN, 0.0, 1], [3, -0.0, 1], [3, NAN, 1], [2, NAN, 1]]),
        t=np.uint8([[1] * 3, [2] * 3, [3] * 3, [4] * 3]),
    )
    assert row(qm.quality_mosaic(c, "q"), "t").tolist() == [2, 1, 1]
    assert row(qm.quality_mosaic(c, "q", ties="first"), "t").tolist() == [2, 1, 1]
    assert row(qm.quality_mosaic(c, "q", ties="last"), "t").tolist() == [3, 2, 4]


@BACKENDS
def test_rule_5_collection_order_is_not_the_order_of_dates(backend: str) -> None:
    """Rule 5: "first" is the first in the collection, even where its date is the latest."""
    c = collection_of(backend, q=np.uint8([[1], [1]]), t=np.uint8([[1], [2]]))
    c = c.assign_coords(time=c["time"].values[::-1])
    assert row(qm.quality_mosaic(c, "q"), "t").tolist() == [1]


def holes(backend: str) -> xr.Dataset:
    """Make images of falling quality with holes; pixel 2 has no image without one."""
    return collection_of(
        backend,
        {"a": {"_FillValue": 0}},
        q=np.int8([[9, 9, 9], [7, 7, 7], [5, 5, 5]]),
        a=np.uint8([[0, 1, 0], [2, 2, 2], [3, 3, 3]]),
        b=np.float32([[0.1, NAN, 0.1], [NAN, NAN, NAN], [0.3, 0.3, NAN]]),
        whole=np.uint8([[1] * 3, [2] * 3, [3] * 3]),
    )


@BACKENDS
def test_rule_6_keep(backend: str) -> None:
    """Rule 6: the winner's holes stay, so that one pixel is one image; it is the default."""
    for m in (qm.quality_mosaic(holes(backend), "q"), holes(backend).qmosaic.quality_mosaic("q")):
        assert row(m, "whole").tolist() == [1, 1, 1]
        assert row(m, "a").tolist() == [0, 1, 0]
        np.testing.assert_array_equal(row(m, "b"), np.float32([0.1, NAN, 0.1]))


@BACKENDS
def test_rule_6_skip(backend: str) -> None:
    """Rule 6: only an image whose bands are all valid is a candidate; else the pixel is masked."""
    m = qm.quality_mosaic(holes(backend), "q", masked="skip", fill_value=99)
    assert row(m, "q").tolist() == [5, 5, 99]
    assert row(m, "whole").tolist() == [3, 3, 99]
    assert row(m, "a").tolist() == [3, 3, 0]
    np.testing.assert_array_equal(row(m, "b"), np.float32([0.3, 0.3, NAN]))
    assert m.attrs["qmosaic_masked"] == "skip"


@BACKENDS
def test_rule_6_skip_looks_at_bands_that_have_only_time(backend: str) -> None:
    """Rule 6: a date that is missing is a hole like any other."""
    date = np.array(["NaT", "2020-07-02"], "datetime64[ns]")
    c = collection_of(backend, q=np.int8([[9, 9], [7, 7]]), date=date)
    m = qm.quality_mosaic(c, "q", masked="skip")
    assert row(m, "q").tolist() == [7, 7]
    np.testing.assert_array_equal(row(m, "date"), date[[1, 1]])


@BACKENDS
def test_rule_6_fill(backend: str) -> None:
    """Rule 6: each band is of the best image in which it is valid, and says of which."""
    m = qm.quality_mosaic(holes(backend), "q", masked="fill")
    assert row(m, "q").tolist() == [9, 9, 9]
    assert row(m, "whole").tolist() == [1, 1, 1]
    assert row(m, "a").tolist() == [2, 1, 2]
    np.testing.assert_array_equal(row(m, "b"), np.float32([0.1, 0.3, 0.1]))
    assert {n for n in map(str, m.coords) if n.endswith("_image")} == {"a_image", "b_image"}
    for band, images in (("a", [1, 0, 1]), ("b", [0, 2, 0])):
        where = m.coords[f"{band}_image"]
        assert where.dtype.kind == "i"
        assert where.transpose("y", "x").values[0].tolist() == images


@BACKENDS
@pytest.mark.parametrize("kind", ["float", "nodata"])
def test_rule_6_fill_records_the_image_of_a_quality_that_can_be_masked(
    backend: str, kind: str
) -> None:
    """Rule 6: a quality with NaN or nodata is a band that can be masked, and has provenance."""
    q = np.float32([[NAN, 4], [NAN, 5]]) if kind == "float" else np.int8([[0, 4], [0, 5]])
    c = collection_of(backend, {} if kind == "float" else {"q": {"nodata": 0}}, q=q)
    m = qm.quality_mosaic(c, "q", masked="fill")
    assert m.coords["q_image"].transpose("y", "x").values[0].tolist() == [-1, 1]


@BACKENDS
def test_rule_6_the_threshold_holds_for_fill_and_skip(backend: str) -> None:
    """Rules 4 and 6: an image below min_quality fills no hole."""
    fill = qm.quality_mosaic(holes(backend), "q", masked="fill", min_quality=6)
    assert row(fill, "a").tolist() == [2, 1, 2]
    np.testing.assert_array_equal(row(fill, "b"), np.float32([0.1, NAN, 0.1]))
    assert fill.coords["b_image"].transpose("y", "x").values[0].tolist() == [0, -1, 0]
    skip = qm.quality_mosaic(holes(backend), "q", masked="skip", min_quality=6)
    assert row(skip, "whole").tolist() == [0, 0, 0]


@BACKENDS
@pytest.mark.parametrize("dtype", [*INTEGERS, "float32", "float64", "bool"])
@pytest.mark.parametrize("masked", MASKED)
def test_rule_7_dtypes_are_kept(backend: str, dtype: str, masked: Any) -> None:
    """Rule 7: as quality and as band, and nothing is promoted where a pixel has no candidate."""
    a = np.array([[0, 1], [1, 1]], dtype)
    c = collection_of(backend, q=a, a=a)
    for m in (
        qm.quality_mosaic(c, "q", masked=masked),
        qm.quality_mosaic(c, "q", masked=masked, min_quality=1),
        qm.quality_mosaic(c.assign(q=c["a"] * np.float32(NAN)), "q", masked=masked),
    ):
        assert m["a"].dtype == dtype
        assert m["a"].values.dtype == dtype


@BACKENDS
@pytest.mark.parametrize("ties", ["first", "last"])
@pytest.mark.parametrize(
    ("dtype", "low"),
    [("int64", 2**53), ("int64", 2**63 - 2), ("int64", -(2**63)), ("uint64", 2**64 - 2)],
)
def test_rule_7_integers_are_compared_as_integers(
    backend: str, ties: Any, dtype: str, low: int
) -> None:
    """Rule 7: neighbours that float64 cannot tell apart, as scores, thresholds and values."""
    q = np.array([[low, low], [low + 1, low], [low, low]], dtype)
    c = collection_of(backend, q=q, v=q, t=np.uint8([[1, 1], [2, 2], [3, 3]]))
    m = qm.quality_mosaic(c, "q", ties=ties)
    assert row(m, "t").tolist() == [2, 1 if ties == "first" else 3]
    assert row(m, "v").tolist() == [low + 1, low]
    m = qm.quality_mosaic(c, "q", ties=ties, min_quality=low + 1)
    assert row(m, "t").tolist() == [2, 0]
    m = qm.quality_mosaic(c, "q", ties=ties, upper_bound=low + 1)
    assert row(m, "t").tolist() == [2, 1 if ties == "first" else 3]


@BACKENDS
@pytest.mark.parametrize("dtype", [">i2", ">u4", ">f4"])
@pytest.mark.parametrize("masked", MASKED)
def test_rule_7_the_byte_order_is_kept(backend: str, dtype: str, masked: Any) -> None:
    """Rule 7: big-endian bands, as NetCDF-3 has them; what is announced is what is computed."""
    a = np.array([[1, 9], [5, 2]], dtype)
    m = qm.quality_mosaic(collection_of(backend, q=a, a=a), "q", masked=masked)
    for name in ("q", "a"):
        assert row(m, name).tolist() == [5, 9]
        assert m[name].dtype.str == dtype
        assert m[name].values.dtype.str == dtype


@BACKENDS
def test_rule_7_nodata_is_compared_as_an_integer(backend: str) -> None:
    """Rule 7: the neighbour of a nodata of 2**53 + 1 is a score."""
    n = 2**53 + 1
    c = collection_of(
        backend, {"q": {"_FillValue": n}}, q=np.array([[n], [n - 1]]), t=np.uint8([[1], [2]])
    )
    assert row(qm.quality_mosaic(c, "q"), "t").tolist() == [2]


# -- rule 8: what is kept and recorded -------------------------------------------------------------


def test_rule_8_attributes_coordinates_and_blocks() -> None:
    """Rule 8: band attributes, CRS, x/y and blocks are kept; what has no time passes through."""
    c = scene()
    m = qm.quality_mosaic(c, "quality")
    assert "time" not in m.dims
    assert set(m.coords) == {"y", "x", "spatial_ref"}
    for name in ("y", "x", "spatial_ref", "elevation"):
        xr.testing.assert_identical(m[name].variable, c[name].variable)
    assert m["red"].attrs == {"_FillValue": 0, "long_name": "red light"}
    assert m["nir"].attrs == {"grid_mapping": "spatial_ref"}
    assert m["doy"].attrs["units"] == "day"
    for name in ("red", "nir", "quality"):
        assert m[name].dims == ("y", "x")
        assert m[name].chunks == ((4, 3), (5, 4))


def test_rule_8_the_mosaic_says_how_it_was_made() -> None:
    """Rule 8: quality band, rules, number of images, first and last time; attrs are plain."""
    c = scene()
    want = {
        "title": "July",
        "qmosaic_quality_band": "quality",
        "qmosaic_ties": "first",
        "qmosaic_masked": "keep",
        "qmosaic_images": 6,
        "qmosaic_time_first": "2020-07-01T00:00:00",
        "qmosaic_time_last": "2020-07-06T00:00:00",
    }
    assert qm.quality_mosaic(c, "quality").attrs == want
    rules = {"ties": "last", "masked": "fill", "min_quality": -3, "upper_bound": 0}
    assert qm.quality_mosaic(c, "quality", **rules).attrs == want | {
        f"qmosaic_{k}": v for k, v in rules.items()
    }
    later = c.isel(time=[4, 1, 3])
    attrs = qm.quality_mosaic(later, "quality").attrs
    assert attrs["qmosaic_time_first"] == "2020-07-02T00:00:00"
    assert attrs["qmosaic_time_last"] == "2020-07-05T00:00:00"
    assert type(attrs["qmosaic_images"]) is int


WRITERS = pytest.mark.parametrize("writer", ["qmosaic", "xarray"])


def write(made: xr.Dataset, path: Path, writer: str) -> None:
    """Write a mosaic with the package's sink or with xarray's."""
    if writer == "qmosaic":
        qm.to_zarr(made, path)
    else:
        made.to_zarr(path, consolidated=False)


@WRITERS
def test_rule_8_a_store_gives_back_the_mosaic(tmp_path: Path, writer: str) -> None:
    """Rule 8: dtype, nodata, CRS, coordinates, attributes and chunks are in the store."""
    c = scene().chunk(x=5)
    m = qm.quality_mosaic(c, "quality", ties="last")
    write(m, tmp_path / "m.zarr", writer)
    back = xr.open_zarr(
        tmp_path / "m.zarr", consolidated=False, mask_and_scale=False, decode_coords="all"
    )
    for name, want in wanted(c.load(), ties="last").items():
        assert_same(back[name], want)
    assert back["red"].attrs["_FillValue"] == 0
    assert back["doy"].attrs["_FillValue"] == 0
    assert back["spatial_ref"].attrs == c["spatial_ref"].attrs
    np.testing.assert_array_equal(back["x"], c["x"])
    np.testing.assert_array_equal(back["elevation"], c["elevation"])
    assert back.attrs == m.attrs
    stored = zarr.open_group(tmp_path / "m.zarr", mode="r")
    assert stored["red"].chunks == (4, 5)
    decoded = xr.open_zarr(tmp_path / "m.zarr", consolidated=False)
    np.testing.assert_array_equal(decoded["red"].isnull(), back["red"] == 0)


@WRITERS
def test_rule_8_packing_survives(tmp_path: Path, writer: str) -> None:
    """Rule 8: floats that xarray has unpacked are written as the packed integers they were."""
    rng = np.random.default_rng(5)
    packed = rng.integers(0, 500, (4, 6, 8)).astype("int16")
    packed[rng.random(packed.shape) < 0.3] = -999
    attrs = {"scale_factor": 0.01, "add_offset": 2.0, "_FillValue": np.int16(-999)}
    raw = xr.Dataset(
        {
            "t": (("time", "y", "x"), packed, attrs),
            "q": (("time", "y", "x"), rng.integers(0, 3, packed.shape).astype("uint8")),
        },
        {"time": pd.date_range("2020-07-01", periods=4)},
    )
    raw.chunk(time=1, y=3, x=4).to_zarr(tmp_path / "in.zarr", consolidated=False)
    decoded = xr.open_zarr(tmp_path / "in.zarr", consolidated=False, chunks={})
    assert decoded["t"].dtype.kind == "f"
    write(qm.quality_mosaic(decoded, "q"), tmp_path / "m.zarr", writer)
    back = xr.open_zarr(tmp_path / "m.zarr", consolidated=False, mask_and_scale=False)
    bands = {n: Band(("time", "y", "x"), raw[n].values) for n in ("t", "q")}
    bands["t"].nodata = -999
    want = mosaic(bands, "q")
    assert_same(back["t"], want["t"])
    for name, value in attrs.items():
        assert back["t"].attrs[name] == value
    stored = zarr.open_group(tmp_path / "m.zarr", mode="r")
    assert stored["t"].chunks == (3, 4)


@WRITERS
def test_rule_8_encodings_that_no_longer_fit_go(tmp_path: Path, writer: str) -> None:
    """Rule 8: the chunks and shards of a store with time do not stand in the mosaic's way."""
    values = np.arange(2 * 8 * 8, dtype="uint16").reshape(2, 8, 8)
    group = zarr.open_group(tmp_path / "in.zarr", mode="w", zarr_format=3)
    group.create_array(
        "q",
        data=values,
        chunks=(1, 2, 2),
        shards=(2, 4, 4),
        dimension_names=("time", "y", "x"),
    )
    c = xr.open_zarr(tmp_path / "in.zarr", consolidated=False, mask_and_scale=False, chunks={})
    m = qm.quality_mosaic(c, "q")
    assert not {"chunks", "preferred_chunks", "shards"} & set(m["q"].encoding)
    write(m, tmp_path / "m.zarr", writer)
    assert zarr.open_group(tmp_path / "m.zarr", mode="r")["q"].chunks == m["q"].data.chunksize
    back = xr.open_zarr(tmp_path / "m.zarr", consolidated=False, mask_and_scale=False)
    np.testing.assert_array_equal(back["q"], values[1])


# -- rules 9 to 11: how it is made -----------------------------------------------------------------


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("masked", MASKED)
def test_rule_9_the_input_is_not_modified(lazy: bool, masked: Any, tmp_path: Path) -> None:
    """Rule 9: data, attributes, encodings and chunks, also after the mosaic was changed."""
    c = scene() if lazy else scene().load()
    c["red"].encoding = {"dtype": np.dtype("uint16"), "chunks": (1, 4, 5)}
    before = c.copy(deep=True)
    encodings = {n: dict(v.encoding) for n, v in c.variables.items()}
    chunks = {n: v.chunks for n, v in c.variables.items()}
    m = qm.quality_mosaic(c, "quality", masked=masked)
    qm.to_zarr(m, tmp_path / "m.zarr")
    m.attrs["new"] = m["red"].attrs["new"] = m["x"].attrs["new"] = 1
    m["red"].encoding["new"] = m["spatial_ref"].attrs["new"] = 1
    m["elevation"].attrs["new"] = 1
    computed = m.load()
    for name in ("red", "nir", "quality"):
        computed[name].values[:] = 1
    xr.testing.assert_identical(c, before)
    assert {n: dict(v.encoding) for n, v in c.variables.items()} == encodings
    assert {n: v.chunks for n, v in c.variables.items()} == chunks


@pytest.mark.parametrize("masked", MASKED)
def test_rule_9_nothing_is_computed_before_it_is_asked_for(masked: Any) -> None:
    """Rule 9: blocks that cannot be computed, and a scheduler that must not be called."""

    def unreadable(block: Any) -> Any:
        raise AssertionError("a block was computed")

    def scheduler(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a scheduler was called")

    zeros = da.zeros((3, 4, 5), chunks=(1, 2, 5), dtype="float32")
    source = da.map_blocks(unreadable, zeros, dtype="float32", meta=np.empty((0,) * 3, "float32"))
    c = xr.Dataset({n: (("time", "y", "x"), source) for n in ("red", "nir")})
    c["quality"] = qm.scores.normalized_difference(c["nir"], c["red"])
    with dask.config.set(scheduler=scheduler):
        m = qm.quality_mosaic(c, "quality", masked=masked, min_quality=0, upper_bound=1)
        assert dask.is_dask_collection(m["red"].data)
        assert m["red"].shape == (4, 5)
    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(AssertionError, match="a block was computed"),
    ):
        m["red"].compute()


@pytest.mark.parametrize("ties", ["first", "last"])
@pytest.mark.parametrize("masked", MASKED)
def test_rule_10_memory_and_blocks_give_the_same(ties: Any, masked: Any) -> None:
    """Rule 10: one function, the same mosaic; in memory it is computed at once."""
    rules = {"ties": ties, "masked": masked, "min_quality": -3}
    lazy = qm.quality_mosaic(scene(), "quality", **rules)
    eager = qm.quality_mosaic(scene().load(), "quality", **rules)
    assert not any(dask.is_dask_collection(v.data) for v in eager.variables.values())
    xr.testing.assert_identical(lazy.compute(), eager)
    for name, want in wanted(scene().load(), ties=ties, masked=masked, min_quality=-3).items():
        assert_same(eager[name], want)


@pytest.mark.parametrize("masked", MASKED)
@pytest.mark.parametrize(
    "chunks",
    [
        {"time": 1, "y": 1, "x": 1},
        {"time": -1, "y": -1, "x": -1},
        {"time": (1, 3, 2), "y": (2, 5), "x": (8, 1)},
        {"time": 4, "y": -1, "x": 2},
    ],
)
def test_rule_11_chunks_do_not_matter(masked: Any, chunks: dict[str, Any]) -> None:
    """Rule 11: one image or all in a chunk, uneven blocks, another grid for every band."""
    c = scene().chunk(chunks)
    other = c.assign(red=c["red"].chunk(time=5, y=3, x=4), doy=c["doy"].chunk(time=1))
    for made in (c, other):
        m = qm.quality_mosaic(made, "quality", masked=masked)
        for name, want in wanted(scene().load(), masked=masked).items():
            assert_same(m[name].compute(scheduler="synchronous"), want)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_rule_11_schedulers_and_repetition_do_not_matter(scheduler: str) -> None:
    """Rule 11: the same pixels whoever runs the tasks and however often, in any part."""
    m = qm.quality_mosaic(scene(), "quality", masked="fill")
    want = wanted(scene().load(), masked="fill")
    with dask.config.set(scheduler=scheduler):
        for _ in range(3):
            for name, expected in want.items():
                assert_same(m[name].compute(), expected)
        part = m["red"].isel(y=slice(3, 6), x=[8, 0])
        np.testing.assert_array_equal(part, want["red"].values[3:6][:, [8, 0]])


def test_rule_11_the_same_mosaic_has_the_same_name() -> None:
    """Rule 11: built twice from the same blocks it has the same keys; other rules, other keys."""
    c = scene()
    keys = [set(qm.quality_mosaic(c, "quality").__dask_keys__()[0][0]) for _ in range(2)]
    names = [qm.quality_mosaic(c, "quality")["red"].data.name for _ in range(2)]
    assert keys[0] == keys[1]
    assert names[0] == names[1]
    others = [{"ties": "last"}, {"masked": "skip"}, {"masked": "fill"}, {"min_quality": -2}]
    made = [qm.quality_mosaic(c, "quality", **rules)["red"].data.name for rules in others]
    assert len({names[0], *made}) == 5


# -- shapes of collections -------------------------------------------------------------------------


@pytest.mark.parametrize("lazy", [True, False])
def test_any_order_of_dimensions(lazy: bool) -> None:
    """Every band may have its own order; each keeps it."""
    c = scene()
    c = c.assign(red=c["red"].transpose("x", "time", "y"), nir=c["nir"].transpose("y", "x", "time"))
    m = qm.quality_mosaic(c if lazy else c.load(), "quality")
    for name, want in wanted(scene().load()).items():
        assert_same(m[name], want)
    assert m["red"].dims == ("x", "y")


@pytest.mark.parametrize("lazy", [True, False])
def test_further_dimensions_are_kept(lazy: bool) -> None:
    """A band of layers: each pixel gives all its layers from the image that won it."""
    c = scene()
    layers = c["nir"].expand_dims(level=3).transpose("time", "level", "y", "x")
    c = c.assign(deep=layers * xr.DataArray([1.0, 10.0, 100.0], dims="level"))
    m = qm.quality_mosaic(c if lazy else c.load(), "quality")
    assert m["deep"].dims == ("level", "y", "x")
    for level, factor in enumerate((1.0, 10.0, 100.0)):
        np.testing.assert_array_equal(m["deep"].isel(level=level), m["nir"] * factor)


@pytest.mark.parametrize("lazy", [True, False])
def test_a_data_array_comes_back_in_its_shape(lazy: bool) -> None:
    """A stack (time, band, y, x): the quality is a label; coordinates of the bands are kept."""
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
    m = qm.quality_mosaic(stack.chunk(time=1, band=1, y=2) if lazy else stack, "q")
    assert isinstance(m, xr.DataArray)
    assert m.dims == ("band", "y", "x")
    assert dask.is_dask_collection(m.data) is lazy
    assert m["band"].values.tolist() == ["red", "nir", "q"]
    assert m["title"].values.tolist() == ["Red", "Near infrared", "Score"]
    np.testing.assert_array_equal(m["x"], stack["x"])
    assert m.attrs["crs"] == "EPSG:32633"
    assert m.attrs["qmosaic_quality_band"] == "q"
    bands = {n: Band(("time", "y", "x"), values[:, i]) for i, n in enumerate(["red", "nir", "q"])}
    for name, want in mosaic(bands, "q").items():
        assert_same(m.sel(band=name), want)


@pytest.mark.parametrize("lazy", [True, False])
def test_a_mosaic_a_month(lazy: bool) -> None:
    """Through resample: each month's mosaic is that of its images, dtypes and nodata kept."""
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
        got = m.isel(time=month - 6)
        for name, want in wanted(images).items():
            assert_same(got[name], want)


def test_the_accessor_is_the_function() -> None:
    """ds.qmosaic.quality_mosaic takes the same options and gives the same mosaic."""
    c = scene()
    rules = {"ties": "last", "masked": "fill", "min_quality": -3, "upper_bound": 0}
    xr.testing.assert_identical(
        c.qmosaic.quality_mosaic("quality", **rules).compute(),
        qm.quality_mosaic(c, "quality", **rules).compute(),
    )


@BACKENDS
@pytest.mark.parametrize("ties", ["first", "last"])
@pytest.mark.parametrize("masked", MASKED)
def test_an_upper_bound_changes_no_pixel(backend: str, ties: Any, masked: Any) -> None:
    """Rule 11: what the bound saves is reading; also where a band of the best image is masked."""
    c = scene() if backend == "dask" else scene().load()
    rules = {"ties": ties, "masked": masked}
    bounded = qm.quality_mosaic(c, "quality", upper_bound=0, **rules)
    for name, want in wanted(scene().load(), **rules).items():
        assert_same(bounded[name], want)


def test_images_along_another_dimension() -> None:
    """dim= names the dimension of the images; time is then one like any other, or absent."""
    c = scene().rename(time="date")
    m = qm.quality_mosaic(c, "quality", dim="date")
    for name, want in wanted(scene().load()).items():
        assert_same(m[name], want)
    assert "date" not in m.dims

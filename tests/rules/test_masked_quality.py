"""Rules 2 and 3: a masked quality is never a candidate, and what stands where there is none.

2. NaN never wins, declared nodata never wins, whatever the sign of the other scores. Validity is
   kept apart from the score: -inf, +inf and the lowest number of a dtype are scores like any other.
3. Without a candidate every band is masked: NaN, or the band's nodata; an integer band that
   declares none gets `fill_value=`, which the mosaic declares where a pixel can lack a candidate
   at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import qmosaic as qm
from tests.support.small import BACKENDS, MASKED, NAN, TIES, row, row_of
from tests.support.strategies import INTEGERS

# -- rule 2: what is no candidate ------------------------------------------------------------------


@BACKENDS
@TIES
def test_a_nan_score_never_wins(backend: str, ties: Any) -> None:
    """Rule 2: np.argmax answers the NaN; a comparison with a NaN start never moves on."""
    c = row_of(
        backend,
        q=np.float32([[NAN, NAN, 1], [-5, NAN, NAN], [-7, -9, NAN]]),
        t=np.uint8([[1] * 3, [2] * 3, [3] * 3]),
    )
    assert row(qm.quality_mosaic(c, "q", ties=ties), "t") == [2, 3, 1]


@BACKENDS
@pytest.mark.parametrize("dtype", INTEGERS)
def test_declared_nodata_never_wins(backend: str, dtype: str) -> None:
    """Rule 2: be it the lowest, the highest or a middling number of the dtype."""
    ends = np.iinfo(dtype)
    for nodata in (ends.min, 3, ends.max):
        other = 2 if nodata == ends.min else ends.min
        c = row_of(
            backend,
            {"q": {"_FillValue": nodata}},
            q=np.array([[nodata], [other], [nodata]], dtype),
            t=np.uint8([[1], [2], [3]]),
        )
        for ties in ("first", "last"):
            m = qm.quality_mosaic(c, "q", ties=ties)
            assert (row(m, "t"), row(m, "q")) == ([2], [other])


@BACKENDS
@TIES
@pytest.mark.parametrize("nodata", [0, 1, 32767, -32768])
def test_negative_scores_beside_nodata(backend: str, ties: Any, nodata: int) -> None:
    """Rule 2: nodata 0 is higher than every score of a negated probability, and never wins."""
    c = row_of(
        backend,
        {"q": {"_FillValue": nodata}},
        q=np.int16([[nodata, -90, nodata], [-60, nodata, nodata], [nodata, -3, nodata]]),
        t=np.uint8([[1] * 3, [2] * 3, [3] * 3]),
    )
    m = qm.quality_mosaic(c, "q", ties=ties)
    assert (row(m, "t"), row(m, "q")) == ([2, 3, 0], [-60, -3, nodata])


@BACKENDS
def test_the_places_where_nodata_is_declared(backend: str) -> None:
    """Rule 2: `_FillValue`, odc's `nodata`, `missing_value`; then the encoding. Attributes that
    differ are refused: what one of them masks would win."""
    q = np.uint8([[9, 8, 7], [6, 6, 6]])
    t = np.uint8([[1] * 3, [2] * 3])

    def winners(attrs: dict[str, Any], encoding: dict[str, Any] | None = None) -> list[int]:
        c = row_of(backend, {"q": attrs}, q=q, t=t)
        c["q"].encoding |= encoding or {}
        return row(qm.quality_mosaic(c, "q"), "t")

    assert winners({}) == [1, 1, 1]
    for name in ("_FillValue", "nodata", "missing_value"):
        assert winners({name: 9}) == [2, 1, 1]
        assert winners({name: 8}, {"_FillValue": 9}) == [1, 2, 1]
    assert winners({}, {"_FillValue": 9}) == [2, 1, 1]
    assert winners({"_FillValue": 9, "nodata": 9.0, "missing_value": [9, 9]}) == [2, 1, 1]
    for attrs in ({"_FillValue": 9, "missing_value": 7}, {"nodata": 8, "missing_value": [8, 7]}):
        with pytest.raises(ValueError, match=r"'q' declares .*of several values only one"):
            winners(attrs)


@BACKENDS
def test_floats_are_masked_by_nan_and_by_a_nodata_in_attrs(backend: str) -> None:
    """Rule 2: -9999 in attrs masks a float; the packed nodata in its encoding does not."""
    q = np.float32([[-9999, NAN, 0], [-10000, -3, -1]])
    c = row_of(backend, {"q": {"nodata": -9999.0}}, q=q, t=np.uint8([[1] * 3, [2] * 3]))
    assert row(qm.quality_mosaic(c, "q"), "t") == [2, 2, 1]
    c["q"].attrs = {}
    c["q"].encoding = {"_FillValue": 0, "dtype": "int16"}
    assert row(qm.quality_mosaic(c, "q"), "t") == [1, 2, 1]


@BACKENDS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinities_are_scores(backend: str, dtype: str) -> None:
    """Rule 2: -inf wins where all else is NaN; two of them tie; +inf beats the largest number."""
    low, high = np.finfo(dtype).min, np.finfo(dtype).max
    c = row_of(
        backend,
        q=np.array([[NAN, -np.inf, high, -np.inf], [-np.inf, -np.inf, np.inf, low]], dtype),
        t=np.uint8([[1] * 4, [2] * 4]),
    )
    m = qm.quality_mosaic(c, "q")
    assert row(m, "t") == [2, 1, 2, 2]
    assert row(m, "q")[0] == -np.inf
    assert row(qm.quality_mosaic(c, "q", ties="last"), "t") == [2, 2, 2, 2]


@BACKENDS
@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_the_lowest_number_of_a_dtype_is_a_score(backend: str, dtype: str) -> None:
    """Rule 2: it wins where it stands alone, beside nodata too."""
    low = 0 if dtype == "bool" else np.iinfo(dtype).min
    c = row_of(backend, q=np.array([[low], [low]], dtype), t=np.uint8([[1], [2]]))
    assert row(qm.quality_mosaic(c, "q"), "t") == [1]
    assert row(qm.quality_mosaic(c, "q", ties="last"), "t") == [2]
    if dtype != "bool":
        q = np.array([[5], [low], [5]], dtype)
        c = row_of(backend, {"q": {"nodata": 5}}, q=q, t=np.uint8([[1], [2], [3]]))
        assert row(qm.quality_mosaic(c, "q"), "t") == [2]


# -- rule 3: no candidate --------------------------------------------------------------------------


@BACKENDS
@TIES
@MASKED
def test_without_a_candidate_every_band_is_masked(backend: str, ties: Any, masked: Any) -> None:
    """Rule 3: NaN, the band's own nodata, 0 where none is declared, NaT and False. np.nanargmax
    raises there, and others give the first image."""
    c = row_of(
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
    m = qm.quality_mosaic(c, "q", ties=ties, masked=masked)
    np.testing.assert_array_equal(row(m, "q"), [NAN, 2])
    assert row(m, "own") == [9, 2]
    assert row(m, "none") == [0, 2]
    assert row(m, "flag") == [False, True]
    np.testing.assert_array_equal(row(m, "real"), [NAN, 0.2])
    np.testing.assert_array_equal(m["date"].values.ravel(), np.array(["NaT", "2020-07-02"], "M8"))
    np.testing.assert_array_equal(row(m, "sun"), [NAN, 40])
    assert row(m, "orbit") == [0, 8]
    declared = {n: b.attrs["_FillValue"] for n, b in m.items() if "_FillValue" in b.attrs}
    assert declared == {"own": 9, "none": 0, "orbit": 0}
    assert {n: m[n].dtype for n in m} == {n: c[n].dtype for n in c}


@BACKENDS
def test_the_fill_value_of_the_user(backend: str) -> None:
    """Rule 3: fill_value= is for integers that declare no nodata, and is declared by the mosaic; a
    band of bools has False, and declares nothing."""
    c = row_of(
        backend,
        {"own": {"nodata": 9}},
        q=np.array([[NAN]]),
        own=np.int16([[1]]),
        none=np.uint16([[1]]),
        flag=np.array([[True]]),
    )
    for fill in (65535, 1):
        m = qm.quality_mosaic(c, "q", fill_value=fill)
        assert (row(m, "own"), row(m, "none"), row(m, "flag")) == ([9], [fill], [False])
        assert m["none"].attrs == {"_FillValue": fill}
        assert m["own"].attrs == {"nodata": 9}
        assert m["flag"].attrs == {}
        assert np.isnan(row(m, "q")).all()


@BACKENDS
def test_a_fill_value_is_declared_only_where_a_pixel_can_lack_a_candidate(backend: str) -> None:
    """Rule 3: float scores, declared nodata and thresholds can leave a pixel without an image."""
    a = np.uint8([[1], [2]])
    whole = row_of(backend, q=np.int8([[1], [2]]), a=a)
    assert "_FillValue" not in qm.quality_mosaic(whole, "q")["a"].attrs
    assert "_FillValue" not in qm.quality_mosaic(whole, "q", fill_value=7)["a"].attrs
    assert qm.quality_mosaic(whole, "q", min_quality=0)["a"].attrs["_FillValue"] == 0
    nodata = row_of(backend, {"q": {"nodata": 5}}, q=np.int8([[1], [2]]), a=a)
    assert qm.quality_mosaic(nodata, "q")["a"].attrs["_FillValue"] == 0
    real = row_of(backend, q=np.float32([[1], [2]]), a=a)
    assert qm.quality_mosaic(real, "q")["a"].attrs["_FillValue"] == 0
    holes = row_of(backend, {"b": {"nodata": 3}}, q=np.int8([[1], [2]]), a=a, b=np.int8([[3], [3]]))
    m = qm.quality_mosaic(holes, "q", masked="skip")
    assert (row(m, "a"), m["a"].attrs["_FillValue"]) == ([0], 0)

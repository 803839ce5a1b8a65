"""Rule 7: dtypes are kept, uint16 in and uint16 out; nothing is promoted to float on the way, at
any size, and integer scores are compared as integers. What a declared packing has to do with it
stands in `test_packed_quality.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import qmosaic as qm
from tests.support.small import BACKENDS, MASKED, NAN, TIES, row, row_of
from tests.support.strategies import DTYPES


@BACKENDS
@pytest.mark.parametrize("dtype", DTYPES)
@MASKED
def test_dtypes_are_kept(backend: str, dtype: str, masked: Any) -> None:
    """As quality and as band, and nothing is promoted where a pixel has no candidate."""
    a = np.array([[0, 1], [1, 1]], dtype)
    c = row_of(backend, q=a, a=a)
    for m in (
        qm.quality_mosaic(c, "q", masked=masked),
        qm.quality_mosaic(c, "q", masked=masked, min_quality=1),
        qm.quality_mosaic(c.assign(q=c["a"] * np.float32(NAN)), "q", masked=masked),
    ):
        assert m["a"].dtype == dtype
        assert m["a"].values.dtype == dtype


@BACKENDS
@TIES
@pytest.mark.parametrize(
    ("dtype", "low"),
    [
        ("int64", 2**53),
        ("int64", 2**63 - 2),
        ("int64", -(2**63)),
        ("int64", -(2**53) - 1),
        ("uint64", 2**64 - 2),
    ],
)
def test_integers_are_compared_as_integers(backend: str, ties: Any, dtype: str, low: int) -> None:
    """Neighbours that float64 cannot tell apart, as scores, thresholds and values."""
    q = np.array([[low, low], [low + 1, low], [low, low]], dtype)
    c = row_of(backend, {"t": {"nodata": 0}}, q=q, v=q, t=np.uint8([[1, 1], [2, 2], [3, 3]]))
    want = [2, 1 if ties == "first" else 3]
    for rules in (
        {},
        {"masked": "skip"},
        {"masked": "fill"},
        {"upper_bound": low + 1},
    ):
        m = qm.quality_mosaic(c, "q", ties=ties, **rules)
        assert row(m, "t") == want
        assert row(m, "q") == row(m, "v") == [low + 1, low]
    m = qm.quality_mosaic(c, "q", ties=ties, min_quality=low + 1)
    assert row(m, "t") == [2, 0]


@BACKENDS
def test_nodata_is_compared_as_an_integer(backend: str) -> None:
    """The neighbour of a nodata of 2**53 + 1 is a score."""
    n = 2**53 + 1
    c = row_of(
        backend, {"q": {"_FillValue": n}}, q=np.array([[n], [n - 1]]), t=np.uint8([[1], [2]])
    )
    assert row(qm.quality_mosaic(c, "q"), "t") == [2]


@BACKENDS
@pytest.mark.parametrize("dtype", [">i2", ">u4", ">f4"])
@MASKED
def test_the_byte_order_is_kept(backend: str, dtype: str, masked: Any) -> None:
    """Big-endian bands, as NetCDF-3 has them; what is announced is what is computed."""
    a = np.array([[1, 9], [5, 2]], dtype)
    m = qm.quality_mosaic(row_of(backend, q=a, a=a), "q", masked=masked)
    for name in ("q", "a"):
        assert row(m, name) == [5, 9]
        assert m[name].dtype.str == dtype
        assert m[name].values.dtype.str == dtype

"""Rule 5: of several best images the first wins, in the order of the collection (`ties="first"`),
or the last (`ties="last"`). Ties are the normal case: a cloud probability is an integer."""

from __future__ import annotations

from typing import Any

import numpy as np

import qmosaic as qm
from tests.support.small import BACKENDS, NAN, TIES, row, row_of


@BACKENDS
def test_the_first_or_the_last_of_equals(backend: str) -> None:
    """The first is the default; -0.0 and 0.0 are equal."""
    c = row_of(
        backend,
        q=np.array([[NAN, 0.0, 1], [3, -0.0, 1], [3, NAN, 1], [2, NAN, 1]]),
        t=np.uint8([[1] * 3, [2] * 3, [3] * 3, [4] * 3]),
    )
    assert row(qm.quality_mosaic(c, "q"), "t") == [2, 1, 1]
    assert row(qm.quality_mosaic(c, "q", ties="first"), "t") == [2, 1, 1]
    assert row(qm.quality_mosaic(c, "q", ties="last"), "t") == [3, 2, 4]


@BACKENDS
def test_the_order_of_the_collection_is_not_that_of_dates(backend: str) -> None:
    """ "first" is the first in the collection, even where its date is the latest."""
    c = row_of(backend, q=np.uint8([[1], [1]]), t=np.uint8([[1], [2]]))
    c = c.assign_coords(time=c["time"].values[::-1])
    assert row(qm.quality_mosaic(c, "q"), "t") == [1]
    assert row(qm.quality_mosaic(c, "q", ties="last"), "t") == [2]


@BACKENDS
@TIES
def test_ties_next_to_nodata(backend: str, ties: Any) -> None:
    """Rules 2 and 5: nodata stands before, between and after equal scores, and is none of them."""
    for nodata in (255, 0):
        n = nodata
        c = row_of(
            backend,
            {"q": {"nodata": nodata}},
            q=np.uint8([[n, 4, n], [4, n, n], [n, 4, 1], [4, n, 1], [n, 4, n]]),
            t=np.uint8([[number] * 3 for number in (1, 2, 3, 4, 5)]),
        )
        want = {"first": [2, 1, 3], "last": [4, 5, 4]}[ties]
        assert row(qm.quality_mosaic(c, "q", ties=ties), "t") == want


@BACKENDS
@TIES
def test_ties_next_to_nan_and_infinity(backend: str, ties: Any) -> None:
    """Rules 2 and 5: equal infinities tie like other scores, with NaN between them."""
    inf = np.inf
    c = row_of(
        backend,
        q=np.array([[NAN, inf], [-inf, NAN], [NAN, inf], [-inf, -inf]]),
        t=np.uint8([[1] * 2, [2] * 2, [3] * 2, [4] * 2]),
    )
    want = {"first": [2, 1], "last": [4, 3]}[ties]
    assert row(qm.quality_mosaic(c, "q", ties=ties), "t") == want

"""Rule 4: bad quality still wins where nothing better exists; a threshold is something the user
asks for: `min_quality=`. And `upper_bound=`, which saves reading, changes no pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

import qmosaic as qm
from tests.support.oracle import assert_same
from tests.support.small import BACKENDS, MASKED, TIES, row, row_of, scene, wanted


@BACKENDS
def test_bad_quality_wins_until_a_threshold_is_asked_for(backend: str) -> None:
    """Rule 4: min_quality is inclusive, may stand between integers, and leaves a pixel masked that
    nothing reaches."""
    c = row_of(backend, q=np.int16([[-100, -3, -2], [-99, -4, -9]]), t=np.uint8([[1] * 3, [2] * 3]))
    m = qm.quality_mosaic(c, "q")
    assert row(m, "t") == [2, 1, 1]
    assert "qmosaic_min_quality" not in m.attrs
    for least, want in (
        (-3, [0, 1, 1]),
        (-2.5, [0, 0, 1]),
        (np.int64(-99), [2, 1, 1]),
        (-2, [0, 0, 1]),
        (-np.inf, [2, 1, 1]),
        (-1, [0, 0, 0]),
    ):
        m = qm.quality_mosaic(c, "q", min_quality=least)
        assert row(m, "t") == want
        assert m.attrs["qmosaic_min_quality"] == least


@BACKENDS
@TIES
@MASKED
def test_an_upper_bound_changes_no_pixel(backend: str, ties: Any, masked: Any) -> None:
    """Rules 4 and 6: what the bound saves is reading, also where a band of the best is masked."""
    c = scene() if backend == "dask" else scene().load()
    bounded = qm.quality_mosaic(c, "quality", upper_bound=0, ties=ties, masked=masked)
    for name, want in wanted(scene().load(), ties=ties, masked=masked).items():
        assert_same(bounded[name], want)

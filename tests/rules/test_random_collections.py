"""All rules at once: random collections against the loop over pixels of `tests.support.oracle`."""

from __future__ import annotations

import dask
import numpy as np
from hypothesis import HealthCheck, given, settings

import qmosaic as qm
from tests.support.oracle import assert_same
from tests.support.strategies import Case, cases


@settings(
    max_examples=440,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(cases())
def test_any_collection_gives_the_pixels_that_the_rules_ask_for(case: Case) -> None:
    """Rules 1 to 7, 10 and 11: any dtype, nodata, tie, mask rule, packing, threshold, kind of
    array, chunks, order of dimensions; layers, and bands with one number an image."""
    want = case.want()
    q = case.bands["q"]
    can_lack = q.can_be_masked or case.min_quality is not None
    with dask.config.set(scheduler="synchronous"):
        for lazy in (False, True):
            got = qm.quality_mosaic(case.collection(lazy=lazy), "q", **case.options())
            assert list(got.data_vars) == list(case.bands)
            for name, expected in want.items():
                band, made = case.bands[name], got[name]
                assert_same(made, expected)
                declared = made.attrs.get("_FillValue")
                if band.values.dtype.kind in "iu" and band.nodata is None:
                    if can_lack:
                        assert declared == (case.fill_value or 0)
                    elif case.masked == "keep":
                        assert declared is None
                images = f"{name}_source_index"
                if case.masked != "fill" or not band.can_be_masked:
                    assert images not in got.coords
                else:
                    where = got.coords[images].transpose(*expected.dims)
                    np.testing.assert_array_equal(where.values, expected.image)

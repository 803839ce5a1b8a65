"""Scores of classes and of bit flags, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import qmosaic as qm
from tests.support.bands import band
from tests.support.small import NAN


def test_classes() -> None:
    """Listed classes get their score, others none; nodata is masked though it were listed."""
    scl = band([4, 5, 9, 0, 11], "uint8", nodata=0)
    score = qm.scores.classes(scl, {4: 1.0, 5: 0.9, 0: 0.7, 11: 0.1})
    np.testing.assert_allclose(score.values, [1, 0.9, NAN, NAN, 0.1], rtol=1e-6)
    assert score.dtype == "float32"
    assert score.attrs == {}
    other = qm.scores.classes(scl, {4: 1.0}, other=0.2)
    np.testing.assert_allclose(other.values, [1, 0.2, 0.2, NAN, 0.2], rtol=1e-6)
    decoded = band([4, NAN, 9], "float32")  # as xarray decodes classes with nodata
    np.testing.assert_array_equal(qm.scores.classes(decoded, {4: 1.0}, other=0).values, [1, NAN, 0])


def test_bits() -> None:
    """The lowest score of the flags that are set; fields of several bits; clear where none is."""
    qa = band(
        [0, 0b1000, 0b1_0000, 0b1_1000, 0b10_0000_0000, 0b11_0000_0000, 0b01_0000_0000, 1], "uint16"
    )
    flags = {0: NAN, 3: 0.0, 4: 0.2, (8, 9): {2: 0.5, 3: 0.1}}
    score = qm.scores.bits(qa, flags, clear=0.9)
    wanted = [0.9, 0.0, 0.2, 0.0, 0.5, 0.1, 0.9, NAN]
    np.testing.assert_allclose(score.values, wanted, rtol=1e-6)
    assert score.dtype == "float32"
    everything = band([0xFFFF], "uint16")
    assert np.isnan(qm.scores.bits(everything, flags).values[0])  # NaN wins over all
    high = band([-(2**15), 0], "int16")  # the highest bit of a signed dtype
    np.testing.assert_array_equal(qm.scores.bits(high, {15: 0.0}).values, [0, 1])
    fill = band([1, 8], "uint16", nodata=1)
    np.testing.assert_array_equal(qm.scores.bits(fill, {3: 0.0}).values, [NAN, 0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: qm.scores.classes(band([1], "uint8"), {}), ValueError, "no entry"),
        (lambda: qm.scores.classes(band([1], "uint8"), [4, 5]), ValueError, "a list"),
        (lambda: qm.scores.classes(band([1], "uint8"), {4: "good"}), ValueError, "'good'"),
        (lambda: qm.scores.classes(band([1], "uint8"), {4: 1}, other=None), ValueError, "other="),
        (lambda: qm.scores.classes(band([1], "uint8"), {300: 1}), ValueError, "300"),
        (lambda: qm.scores.classes(band(["a"], "U1"), {1: 1}), TypeError, "no numbers"),
        (lambda: qm.scores.classes([1], {1: 1}), TypeError, "list"),
        (lambda: qm.scores.bits(band([1], "float32"), {1: 1}), TypeError, "has no bits"),
        (lambda: qm.scores.bits(band([1], "uint8"), {}), ValueError, "no entry"),
        (lambda: qm.scores.bits(band([1], "bool"), {1: 1}), TypeError, "a score already"),
        (lambda: qm.scores.bits(band([1], "uint8"), {3: "bad"}), ValueError, "'bad'"),
        (lambda: qm.scores.bits(band([1], "uint8"), {(2, 3): {}}), ValueError, "no entry"),
        (lambda: qm.scores.bits(band([1], "uint8"), {8: 1}), ValueError, "bits 0 to 7"),
        (lambda: qm.scores.bits(band([1], "uint8"), {True: 1}), ValueError, "flag True"),
        (lambda: qm.scores.bits(band([1], "uint8"), {(3, 2): {1: 1}}), ValueError, r"\(2, 3\)"),
        (lambda: qm.scores.bits(band([1], "uint8"), {(2, 3): 0.5}), ValueError, "0 to 3"),
        (lambda: qm.scores.bits(band([1], "uint8"), {(2, 3): {4: 0.5}}), ValueError, "value 4"),
    ],
)
def test_codes_that_cannot_be(call: Any, error: type[Exception], message: str) -> None:
    """What came, why not, what to write."""
    with pytest.raises(error, match=message):
        call()

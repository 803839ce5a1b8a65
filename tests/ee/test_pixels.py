"""Arithmetic on bands: integers do not wrap round, masks are intersected, against Python's own."""

from __future__ import annotations

import math
import operator
import pickle
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from qmosaic.ee import pixels

PYTHON = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "mod": lambda a, b: math.fmod(a, b) if b else 0,
    "min": min,
    "max": max,
    "eq": operator.eq,
    "neq": operator.ne,
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
    "And": lambda a, b: bool(a) and bool(b),
    "Or": lambda a, b: bool(a) or bool(b),
    "bitwiseAnd": operator.and_,
    "bitwiseOr": operator.or_,
    "bitwiseXor": operator.xor,
}
SMALL = ["uint8", "int8", "uint16", "int16"]


def band(values: Any, dtype: str, nodata: Any = None) -> xr.DataArray:
    attrs = {} if nodata is None else {"_FillValue": nodata}
    return xr.DataArray(np.array(values, dtype), dims="x", attrs=attrs)


def masked(band_: xr.DataArray) -> list[Any]:
    """Give the values as Python's numbers, None where they are masked."""
    nodata = band_.attrs.get("_FillValue")
    return [
        None if (nodata is not None and v == nodata) or v != v else v.item() for v in band_.values
    ]


def test_64_bits_hold_what_is_below_0() -> None:
    """The larger of a number below 0 and another one is computed in int64, in which both fit; in
    uint64 it would wrap round."""
    wide = band([-5, 7], "int64")
    made = pixels.combine("max", wide, band([3, 200], "uint8"))
    assert made.dtype == "int64"
    assert made.values.tolist() == [3, 200]
    assert (
        pixels.combine("max", pixels.update_mask(wide, band([1, 0], "uint8")), 0).dtype == "int64"
    )


@settings(max_examples=120, deadline=None)
@given(
    data=st.data(),
    name=st.sampled_from(sorted(PYTHON)),
    types=st.tuples(*[st.sampled_from(SMALL)] * 2),
)
def test_integers_are_those_of_python(data: Any, name: str, types: Any) -> None:
    """Whatever the dtypes and values: no result wraps round, and a masked input masks it."""
    operands = []
    for dtype in types:
        limits = np.iinfo(dtype)
        numbers = st.integers(int(limits.min), int(limits.max))
        nodata = data.draw(st.none() | numbers)
        values = data.draw(st.lists(numbers, min_size=3, max_size=3))
        operands.append(band(values, dtype, nodata))
    wanted = [
        None if None in pair else int(PYTHON[name](*pair))
        for pair in zip(*map(masked, operands), strict=True)
    ]
    got = pixels.combine(name, *operands)
    assert masked(got) == wanted
    assert got.dtype.kind in "iu"
    lazy = [o.copy(data=da.from_array(o.values, chunks=2)) for o in operands]
    assert masked(pixels.combine(name, *lazy).compute()) == wanted


@pytest.mark.parametrize(
    ("dtype", "number", "result"),
    [
        ("uint8", -1, "int16"),
        ("uint16", -1, "int32"),
        ("uint8", 2, "uint16"),
        ("uint8", 1, "uint8"),
        ("int8", -1, "int16"),
        ("uint16", 0.5, "float64"),
        ("int32", 0.5, "float64"),
    ],
)
def test_the_dtype_of_a_product(dtype: str, number: Any, result: str) -> None:
    """The smallest that holds what the dtype can give: an unsigned band times −1 does not wrap."""
    limits = np.iinfo(dtype)
    values = [int(limits.min), int(limits.max)]
    got = pixels.combine("multiply", band(values, dtype), number)
    assert got.dtype == result
    np.testing.assert_allclose(got.values, [v * number for v in values], rtol=1e-7)


@pytest.mark.parametrize("chunks", [7, (4, 6), (3, 3, 4), 10])
def test_bands_in_other_chunks(chunks: Any) -> None:
    """The chunks of one band are not those of the other: the same pixels go together."""
    numbers = np.arange(10)
    a = band(numbers, "uint8").copy(data=da.from_array(numbers.astype("uint8"), chunks=5))
    b = band(numbers, "uint8").copy(data=da.from_array(numbers[::-1].astype("uint8"), chunks))
    assert masked(pixels.combine("subtract", a, b)) == [2 * n - 9 for n in range(10)]
    assert masked(pixels.where(a, b, 77)) == [77] * 9 + [9]
    # nor those of what is known along the images
    known = a.assign_coords(cloud=("x", da.ones(10, chunks=3)))
    assert masked(pixels.combine("subtract", known, b)) == [2 * n - 9 for n in range(10)]
    assert masked(pixels.combine("add", known, 1)) == list(range(1, 11))


def test_shifts_and_bits_of_floats() -> None:
    """As Python's; a float has no bits."""
    flags = band([0b1000, 0b1100, 7], "uint8", 7)
    assert masked(pixels.combine("rightShift", flags, 2)) == [2, 3, None]
    assert masked(pixels.combine("leftShift", flags, 6)) == [512, 768, None]
    assert masked(pixels.combine("bitwiseAnd", flags, 1 << 10)) == [0, 0, None]
    with pytest.raises(TypeError, match=r"has no bits.*mask_and_scale=False"):
        pixels.combine("bitwiseAnd", band([1.0], "float32"), 1)


@pytest.mark.parametrize(
    ("dtype", "divisor", "result"),
    [
        ("uint16", 2, "uint8"),
        ("uint16", 1000, "uint16"),
        ("int16", 7, "int8"),
        ("uint8", np.int16([3, -3]), "uint8"),
        ("uint8", 0, "uint8"),
        ("int8", 0.5, "float64"),
        ("float32", 2, "float32"),
    ],
)
def test_the_dtype_of_a_remainder(dtype: str, divisor: Any, result: str) -> None:
    """Of integers it is the smallest integer that holds what can be left, and not masked where the
    divisor is 0; it has the sign of the first value."""
    values = band([7, 100 if dtype[0] == "u" else -100], dtype)
    other = band(divisor, "int16") if isinstance(divisor, np.ndarray) else divisor
    made = pixels.combine("mod", values, other)
    assert made.dtype == result
    divisors = [n.item() if isinstance(n, np.generic) else n for n in np.ones(2, int) * divisor]
    wanted = [math.fmod(a, b) if b else 0 for a, b in zip(values.values, divisors, strict=True)]
    assert masked(made) == wanted


def test_casts_mask_no_valid_pixel() -> None:
    """A valid pixel that is cut to the value that stands for masked gets the next one; where
    nothing can be masked it is cut to the ends of the dtype."""
    values, missing = [-80000, -32768, 0, 255, 80000, 7], 7
    ends = {"uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767)}
    for dtype, (low, high) in ends.items():
        cut = [min(max(v, low), high) for v in values]
        assert masked(pixels.cast(band(values, "int32"), dtype)) == cut
        # a nodata that fits is kept, and stands for masked
        assert masked(pixels.cast(band(values, "int32", missing), dtype)) == [*cut[:5], None]
        taken = high if dtype[0] == "u" else low
        beside = high - 1 if dtype[0] == "u" else low + 1
        for kind, away in [("int32", 2**31 - 1), ("float64", np.nan), ("float32", np.nan)]:
            given = band([*values[:5], away], kind, None if kind[0] == "f" else away)
            made = masked(pixels.cast(given, dtype))
            assert made == [*(beside if v == taken else v for v in cut[:5]), None]
    # of a nodata of 0, and of floats that are beyond the largest integer
    assert masked(pixels.cast(band([-5, 0, 9], "int16", 0), "uint8")) == [1, None, 9]
    large = band([3e9, np.nan, -3e9, np.inf], "float32")
    assert masked(pixels.cast(large, "int32")) == [2**31 - 1, None, 1 - 2**31, 2**31 - 1]


def test_the_larger_of_uint64_and_numbers_below_0() -> None:
    """They do not wrap round, though no dtype holds both."""
    large = xr.DataArray(np.array([0, 5, 2**63 + 7], "uint64"), dims="x", name="a")
    small = xr.DataArray(np.int16([-3, -1, 4]), dims="x", name="a")
    for other in (-2, small):
        np.testing.assert_array_equal(pixels.combine("max", large, other), large)
        np.testing.assert_array_equal(pixels.combine("min", large, other), other)


def test_where() -> None:
    """Another value where a test holds; where the band, the test or the value is masked, nothing
    changes, and what is valid stays so."""
    values = band([1, 2, 3, 4, 255], "uint8", 4)
    test = band([1, 0, 9, 1, 0], "uint8", 9)
    got = pixels.where(values, test, 7)
    assert masked(got) == [7, 2, 3, None, 255]
    assert got.dtype == "uint8"
    assert masked(pixels.where(values, test, -1)) == [-1, 2, 3, None, 255]
    # what masks the band is a value of the other: 4 is one then, and what was masked is masked
    assert masked(pixels.where(values, test, 4)) == [4, 2, 3, None, 255]
    fours = band([4, 4, 4, 4, 4], "uint8")
    assert masked(pixels.where(values, test, fours)) == [4, 2, 3, None, 255]
    others = band([9, 9, 9, 9, 9], "uint16", 9)
    assert masked(pixels.where(values, test, others)) == [1, 2, 3, None, 255]
    floats = pixels.where(band([1.0, np.nan], "float32"), band([1, 1], "uint8"), 5)
    assert (masked(floats), floats.dtype) == ([5, None], "float32")


@settings(max_examples=80, deadline=None)
@given(data=st.data(), types=st.tuples(*[st.sampled_from(SMALL)] * 3))
def test_where_is_that_of_a_loop(data: Any, types: Any) -> None:
    """Whatever the dtypes, values and nodata, as Earth Engine says it."""
    given_bands = []
    for dtype in types:
        limits = np.iinfo(dtype)
        some = st.sampled_from([int(limits.min), 0, 1, int(limits.max)])
        nodata = data.draw(st.none() | some)
        given_bands.append(band(data.draw(st.lists(some, min_size=4, max_size=4)), dtype, nodata))
    wanted = [
        value if None not in (own, test, value) and test else own
        for own, test, value in zip(*map(masked, given_bands), strict=True)
    ]
    assert masked(pixels.where(*given_bands)) == wanted
    filled = [
        other if own is None else own
        for own, _, other in zip(*map(masked, given_bands), strict=True)
    ]
    assert masked(pixels.unmask_with(given_bands[0], given_bands[2])) == filled


def test_divisions() -> None:
    """Always floats; by 0 it gives 0, as Earth Engine says."""
    got = pixels.combine("divide", band([6, 7, 0, 9], "uint8", 9), band([3, 0, 0, 1], "uint8"))
    assert got.dtype == "float64"
    np.testing.assert_array_equal(got.values, [2, 0, 0, np.nan])


def test_thresholds_are_those_of_doubles() -> None:
    """A decimal number is a double, as in Earth Engine: 3000 · 0.0001 is not below 0.3."""
    numbers = np.arange(1, 10_001).astype("uint16")
    scaled = pixels.combine("multiply", band(numbers, "uint16"), 0.0001)
    for limit in (0.1, 0.15, 0.3, 0.35, 0.7):
        wanted = [int(n) * 0.0001 >= limit for n in numbers]
        assert pixels.combine("gte", scaled, limit).values.astype(bool).tolist() == wanted
    assert pixels.combine("multiply", band([0.5], "float32"), 0.1).dtype == "float32"


def test_numbers_beyond_the_dtype() -> None:
    """They do not wrap round on their way in; long minus long is long."""
    assert masked(pixels.combine("max", band([1, 255], "uint8"), -10)) == [1, 255]
    assert masked(pixels.combine("min", band([1, 65535], "uint16"), 100_000)) == [1, 65535]
    large = pixels.combine("subtract", band([2**53 + 1], "int64"), band([2**53], "int64"))
    assert (masked(large), large.dtype) == ([1], "int64")
    assert pixels.combine("pow", band([65535], "uint16"), 2).values[0] == 65535**2


def test_infinite_values_are_values() -> None:
    """Rule 2: only NaN is masked."""
    got = pixels.combine("multiply", band([np.inf, -np.inf, np.nan], "float32"), 1)
    np.testing.assert_array_equal(got.values, [np.inf, -np.inf, np.nan])


def test_masks_of_full_range_integers() -> None:
    """A band without nodata has no value to spare: it gets the next larger dtype, and 255 stays
    255."""
    got = pixels.update_mask(band([255, 10, 7], "uint8"), band([1, 1, 0], "uint8"))
    assert (masked(got), got.dtype) == ([255, 10, None], "uint16")
    wide = band([1, 2], "uint8").expand_dims(y=3)
    narrow = pixels.update_mask(band([5, 6], "uint8", 0), wide)
    assert narrow.shape == (3, 2) or narrow.shape == (2, 3)


@pytest.mark.parametrize("nodata", [(0, 65535), (0, None), (None, 0), (65535, None)])
def test_bands_that_mask_by_other_values(nodata: Any) -> None:
    """Put together, what was masked is masked, and what was valid is valid."""
    pair = [band([5, 0, 65535], "uint16", value) for value in nodata]
    for one, other in zip(pair, pixels.refill(pair), strict=True):
        assert masked(other) == masked(one)
    a, b = pixels.refill(pair)
    assert a.dtype == b.dtype
    assert a.attrs == b.attrs


def test_functions_of_one_band() -> None:
    """By hand; where there is no value, the pixel is masked."""
    got = pixels.change("sqrt", band([4, -1, 9], "int16", 9))
    np.testing.assert_array_equal(got.values, [2, np.nan, np.nan])
    assert masked(pixels.change("abs", band([-128, 5], "int8"))) == [128, 5]
    assert masked(pixels.change("Not", band([0, 3, 7], "uint8", 7))) == [1, 0, None]
    np.testing.assert_array_equal(pixels.change("round", band([0.4, 1.6], "float32")), [0, 2])


def test_casts() -> None:
    """Fractions are cut off, what is out of range is its end, masked pixels stay masked."""
    got = pixels.cast(band([1.9, -1.9, 400.0, np.nan], "float32"), "uint8")
    assert got.dtype == "uint8"
    assert masked(got)[3] is None
    assert masked(got)[:2] == [1, 0]
    kept = pixels.cast(band([0, 5], "uint16", 0), "int16")
    assert masked(kept) == [None, 5]
    assert kept.attrs["_FillValue"] == 0
    assert masked(pixels.cast(band([3, 9], "uint8", 9), "float64")) == [3, None]


def test_masks() -> None:
    """updateMask masks more, mask tells, unmask fills."""
    values = band([1, 2, 3, 4], "uint8", 4)
    mask = band([1, 0, 9, 1], "uint8", 9)
    assert masked(pixels.update_mask(values, mask)) == [1, None, None, None]
    assert list(pixels.mask_of(values).values) == [1, 1, 1, 0]
    filled = pixels.unmask(values, 7)
    assert (list(filled.values), filled.dtype, filled.attrs) == ([1, 2, 3, 7], "uint8", {})
    assert pixels.unmask(values, -1).dtype == "int16"
    floats = band([0.5, np.nan], "float32")
    assert masked(pixels.update_mask(floats, band([0, 1], "uint8"))) == [None, None]


def test_results_travel_and_bad_operands_are_refused() -> None:
    """The graph can be pickled; text and bands on other grids have no arithmetic."""
    lazy = band([1, 2], "uint8").chunk(x=1)
    pickle.loads(pickle.dumps(pixels.combine("add", lazy, 1)))
    with pytest.raises(TypeError, match=r"add\(\) got a str"):
        pixels.combine("add", lazy, "1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="differ along 'x'"):
        pixels.combine("add", lazy, band([1, 2, 3], "uint8"))

"""Arithmetic on bands as Earth Engine does it: masks are kept, integers do not wrap round.

An integer result has the smallest dtype that holds whatever the dtypes of its inputs can give
(int64 at most). With floats in it, or where an integer may become a fraction, it is float64; of
float32 bands alone float32. A pixel is masked where one of the inputs is.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.masks import Array, fits, free_value, valid_mask
from qmosaic.ee.dtypes import Operand, Range, holding, number, operand, range_of, real, union
from qmosaic.scores.expressions import bare, by_chunk, check_aligned


def _divide(a: Array, b: Array) -> Array:
    return np.divide(
        a, b, out=np.zeros(np.broadcast_shapes(a.shape, b.shape), a.dtype), where=b != 0
    )


def _power(a: Array, b: Array) -> Array:
    result: Array = np.power(a, b)
    return result


def _first(a: Array, b: Array) -> Array:
    return a + np.zeros_like(b)


def _first_nonzero(a: Array, b: Array) -> Array:
    chosen: Array = np.where(a != 0, a, b)
    return chosen


def _angle(x: Array, y: Array) -> Array:
    angle: Array = np.arctan2(y, x)
    return angle


def _remainder(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        remainder: Array = np.fmod(a, b)
        return remainder
    none = np.zeros(np.broadcast_shapes(a.shape, b.shape), a.dtype)
    remainder = np.fmod(a, b, out=none, where=b != 0)
    return remainder


ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "mod": _remainder,
    "min": np.minimum,
    "max": np.maximum,
    "first": _first,
    "firstNonZero": _first_nonzero,
}
"""Functions that give integers for integers; their range follows from those of the inputs. A
remainder has the sign of the first value; of integers, one by 0 is 0."""

WHOLE: dict[str, Callable[..., Any]] = {
    "bitwiseAnd": np.bitwise_and,
    "bitwiseOr": np.bitwise_or,
    "bitwiseXor": np.bitwise_xor,
    "leftShift": np.left_shift,
    "rightShift": np.right_shift,
}
"""Functions that take integers only."""

REAL: dict[str, Callable[..., Any]] = {
    "divide": _divide,
    "pow": _power,
    "hypot": np.hypot,
    "atan2": _angle,
}
"""Functions that give floats. A division by 0 gives 0."""

COMPARING: dict[str, Callable[..., Any]] = {
    "eq": operator.eq,
    "neq": operator.ne,
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
    "And": np.logical_and,
    "Or": np.logical_or,
}
"""Functions that give 0 or 1."""

UNARY: dict[str, Callable[..., Any]] = {
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "log10": np.log10,
    "cbrt": np.cbrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
}
"""Functions of one band that give floats."""


def combine(name: str, a: Operand, b: Operand) -> xr.DataArray:
    """Combine two bands, or a band and a number.

    Parameters
    ----------
    name : str
        "add", "subtract", "multiply", "divide", "pow", "mod", "min", "max", "first",
        "firstNonZero", "hypot", "atan2", "eq", "neq", "lt", "lte", "gt", "gte", "And", "Or",
        "bitwiseAnd", "bitwiseOr", "bitwiseXor", "leftShift" or "rightShift".
    a, b : xarray.DataArray or number
        At least one band; on one grid.

    Returns
    -------
    xarray.DataArray
        Lazy where a band is. Comparisons give uint8, 0 or 1.

    Raises
    ------
    TypeError
        An operand is neither a band of numbers nor a number; or bits of a float were asked for.
    ValueError
        The bands are not on one grid.
    """
    operands = [operand(value, name) for value in (a, b)]
    bands = [band for band in operands if band.ndim or declared_nodata(band) is not None]
    check_aligned(bands or operands, f"{name}()")
    if name in COMPARING:
        return computed(COMPARING[name], operands, np.dtype("uint8"), (0, 1), exact=True)
    if name in WHOLE:
        return _bits(name, operands)
    if name in ARITHMETIC and all(band.dtype.kind in "iub" for band in operands):
        return computed(ARITHMETIC[name], operands, None, _range(name, *map(range_of, operands)))
    return computed({**ARITHMETIC, **REAL}[name], operands, real(operands))


def _bits(name: str, operands: list[xr.DataArray]) -> xr.DataArray:
    for band in operands:
        _check_bits(name, band)
    (low_a, high_a), (low_b, high_b) = map(range_of, operands)
    if name == "leftShift":
        corners = [x << max(0, min(y, 63)) for x in (low_a, high_a) for y in (low_b, high_b)]
        span = (min(corners), max(corners))
    elif name == "rightShift":
        span = (min(low_a, 0), max(high_a, 0))
    elif low_a < 0 or low_b < 0:
        span = (min(low_a, low_b), max(high_a, high_b))
    elif name == "bitwiseAnd":
        span = (0, min(high_a, high_b))
    else:
        span = (0, (1 << max(high_a, high_b).bit_length()) - 1)
    return computed(WHOLE[name], operands, None, span)


def _check_bits(name: str, band: xr.DataArray) -> None:
    if band.dtype.kind not in "iu":
        raise TypeError(
            f"{name}() got a band of dtype {band.dtype}, which has no bits; xarray decodes "
            "integers with nodata to floats. Open it with mask_and_scale=False, as "
            "open_collection does, or cast it first: toUint16()."
        )


def where(band: xr.DataArray, test: xr.DataArray, value: Operand) -> xr.DataArray:
    """Give a band the value of another, or a number, where a test is not 0.

    Where the band, the test or the value is masked the band stays as it is. The result has a dtype
    that holds both; where what masks the band is a value of the other, the next larger one.
    """
    other = operand(value, "where")
    operands = [band, test, other]
    check_aligned([b for b in operands if b.ndim] or operands, "where()")
    fill = declared_nodata(band)
    if band.dtype.kind in "iub" and other.dtype.kind in "iub":
        dtype = _holding_both(band, other)
        if fill is not None and _can_be(other, fill):
            dtype, fill = holding(union(band, other), True)
    else:
        dtype, fill = real([band, other]), None
    made = by_chunk(
        _chosen,
        operands,
        dtype,
        nodata=[declared_nodata(b) for b in operands],
        result=dtype,
        fill=np.nan if dtype.kind == "f" else fill,
    )
    if fill is not None:
        made.attrs["_FillValue"] = dtype.type(fill)
    return made


def _holding_both(band: xr.DataArray, other: xr.DataArray) -> np.dtype[Any]:
    """Keep the dtype of a band where it holds the other too, else find one for both."""
    low, high = range_of(other)
    if fits(low, band.dtype) and fits(high, band.dtype):
        return band.dtype
    return np.result_type(band.dtype, other.dtype)


def _can_be(band: xr.DataArray, value: Any) -> bool:
    """Tell whether a valid pixel of an integer band can have a value."""
    low, high = range_of(band)
    return bool(low <= int(value) <= high) and declared_nodata(band) != value


def _chosen(
    values: Array,
    test: Array,
    others: Array,
    *,
    nodata: list[Any],
    result: np.dtype[Any],
    fill: Any,
) -> Array:
    shape = np.broadcast_shapes(values.shape, test.shape, others.shape)
    take = np.broadcast_to(np.asarray(test) != 0, shape).copy()
    for array, missing in zip((values, test, others), nodata, strict=True):
        valid = valid_mask(np.asarray(array), missing)
        if valid is not None:
            take &= valid
    own = np.broadcast_to(np.asarray(values), shape).astype(result)
    valid = valid_mask(np.asarray(values), nodata[0])
    if valid is not None and fill is not None:
        own = np.where(valid, own, result.type(fill))
    chosen: Array = np.where(take, np.asarray(others).astype(result), own)
    return chosen


def change(name: str, band: xr.DataArray) -> xr.DataArray:
    """Apply a function to a band: one of `UNARY`, "abs", "signum", "Not", "bitwiseNot" or
    "bitCount"."""
    band = operand(band, name)
    if name == "Not":
        return computed(np.logical_not, [band], np.dtype("uint8"), (0, 1), exact=True)
    if name in ("bitwiseNot", "bitCount"):
        return _bits_of(name, band)
    if name in ("abs", "signum"):
        function = {"abs": np.abs, "signum": np.sign}[name]
        if band.dtype.kind not in "iub":
            return computed(function, [band], band.dtype)
        low, high = range_of(band)
        ends = (0, max(-low, high)) if name == "abs" else (int(np.sign(low)), int(np.sign(high)))
        return computed(function, [band], None, ends)
    return computed(UNARY[name], [band], real([band]))


def _bits_of(name: str, band: xr.DataArray) -> xr.DataArray:
    _check_bits(name, band)
    if name == "bitCount":
        return computed(_count_bits, [band], np.dtype("uint8"), (0, 64), exact=True)
    low, high = range_of(band)
    return computed(np.bitwise_not, [band], None, (-high - 1, -low - 1))


def _count_bits(values: Array) -> Array:
    """Count the bits that are set in the 64 of each number, as in two's complement."""
    wide = np.ascontiguousarray(values.astype("int64"))
    octets = wide.view("uint8").reshape(*wide.shape, 8)
    counts: Array = np.unpackbits(octets, axis=-1).sum(axis=-1)
    return counts


def cast(band: xr.DataArray, dtype: Any) -> xr.DataArray:
    """Cast a band to another dtype; fractions and values out of its range are cut off.

    A valid pixel stays valid: one that would get the value that stands for masked gets the next.
    """
    dtype = np.dtype(dtype)
    nodata = declared_nodata(band)
    if dtype.kind == "f":
        return computed(np.positive, [band], dtype)
    maskable = nodata is not None or (band.dtype.kind == "f" and not _is_number_everywhere(band))
    own = nodata is not None and band.dtype.kind in "iu" and fits(nodata, dtype)
    fill = (nodata if own else free_value(dtype)) if maskable else None
    cut = functools.partial(_cut, dtype=dtype, taken=None if fill is None else int(fill))
    return _masked_as(cut, [band], dtype, fill)


def _is_number_everywhere(band: xr.DataArray) -> bool:
    """Tell whether a band is a known constant, of which nothing is masked."""
    known = band.ndim == 0 and isinstance(band.data, np.ndarray | np.generic)
    return known and bool(np.isfinite(band))


def _cut(values: Array, *, dtype: np.dtype[Any], taken: int | None) -> Array:
    """Cut values to the range of an integer, and leave out one that is taken.

    A value beside it is the next one towards 0, and of a taken 0 it is 1.
    """
    limits = np.iinfo(dtype)
    low, high = int(limits.min), int(limits.max)
    with np.errstate(invalid="ignore"):  # what is not finite is masked
        whole = np.clip(np.trunc(values) if values.dtype.kind == "f" else values, low, high)
        made: Array = whole.astype(dtype)
    if values.dtype.kind == "f":  # 2**31 - 1 is no float32, 2**63 - 1 no float at all
        made = np.where(values >= float(high), dtype.type(high), made)
    if taken is None:
        return made
    return np.where(made == taken, dtype.type(taken - 1 if taken > 0 else taken + 1), made)


def update_mask(band: xr.DataArray, mask: xr.DataArray) -> xr.DataArray:
    """Mask a band also where a mask is 0 or masked itself.

    The dtype is kept; but an integer band that declares no nodata has no value for "masked": it
    gets the next larger dtype, and one of its values as nodata.
    """
    check_aligned([band, mask], "updateMask()")
    dtype, fill = band.dtype, declared_nodata(band)
    if fill is None and dtype.kind in "iub":
        dtype, fill = holding(range_of(band.astype("uint8") if dtype.kind == "b" else band), True)
    return _masked_as(_values, [band, mask], dtype, fill, needs_true=1)


def maskable(band: xr.DataArray) -> xr.DataArray:
    """Let a band have masked pixels: an integer band that declares no nodata gets the next larger
    dtype, and one of its values as nodata. Others stay as they are."""
    if band.dtype.kind not in "iub" or declared_nodata(band) is not None:
        return band
    whole = band.astype("uint8") if band.dtype.kind == "b" else band
    dtype, fill = holding(range_of(whole), True)
    return _masked_as(_values, [band], dtype, fill)


def refill(bands: Sequence[xr.DataArray]) -> list[xr.DataArray]:
    """Give bands that are to be concatenated one dtype and one nodata value.

    Where the nodata of one could be a value of another, all get the next larger dtype.
    """
    nodata = [declared_nodata(band) for band in bands]
    if all(value == nodata[0] for value in nodata) and len({b.dtype for b in bands}) == 1:
        return list(bands)
    if any(band.dtype.kind == "f" for band in bands):
        dtype = np.result_type(*(band.dtype for band in bands))
        return [_masked_as(_values, [band], dtype, None) for band in bands]
    spans = [range_of(band) for band in bands]
    span = (min(low for low, _ in spans), max(high for _, high in spans))
    dtype, fill = holding(span, True)
    return [_masked_as(_values, [band], dtype, fill) for band in bands]


def _values(values: Array, *_: Array) -> Array:
    return values


def masked_like(band: xr.DataArray, images: int) -> xr.DataArray:
    """Make a band like another one for some images, masked everywhere."""
    still = operand(band.isel(time=0, drop=True) if "time" in band.dims else band, "merge")
    fill = declared_nodata(still)
    fill = free_value(still.dtype) if fill is None else fill
    sizes, chunks = (images, *still.shape), still.chunks
    data: Any = np.full(sizes, fill, still.dtype)
    if chunks:
        data = da.full(sizes, fill, dtype=still.dtype, chunks=(1, *chunks))
    places = {dim: still[dim] for dim in still.dims if dim in still.coords}
    attrs = {} if still.dtype.kind == "f" else {"_FillValue": still.dtype.type(fill)}
    return xr.DataArray(data, places, ("time", *still.dims), attrs={**still.attrs, **attrs})


def choose(test: xr.DataArray, if_true: xr.DataArray, if_false: xr.DataArray) -> xr.DataArray:
    """Take a band, masks and all, where a test is not 0, and another where it is 0.

    A pixel is masked where the test is. The dtype and the nodata of the bands are kept where they
    are the same; else it is one that holds both.
    """
    test = operand(test, "condition ? a : b")
    pair = [operand(band, "condition ? a : b") for band in (if_true, if_false)]
    if any(band.dtype.kind == "f" for band in pair):
        pair = [computed(np.positive, [band], real(pair)) for band in pair]
    elif _maskable(pair):
        pair = refill(pair)
    else:
        dtype, _ = holding(union(*pair), False)
        pair = [_masked_as(_values, [band], dtype, None) for band in pair]
    bands = [test, *pair]
    check_aligned([band for band in bands if band.ndim] or bands, "condition ? a : b")
    dtype, fill = pair[0].dtype, declared_nodata(pair[0])
    if fill is None and dtype.kind in "iu" and _maskable([test]):
        dtype, fill = holding(union(*pair), True)
    missing = np.nan if dtype.kind == "f" else fill
    made = by_chunk(_one_of, bands, dtype, nodata=declared_nodata(test), result=dtype, fill=missing)
    made = bare(made)
    if fill is not None and dtype.kind in "iu":
        made.attrs["_FillValue"] = dtype.type(fill)
    return made


def _one_of(
    test: Array, if_true: Array, if_false: Array, *, nodata: Any, result: np.dtype[Any], fill: Any
) -> Array:
    test = np.asarray(test)
    chosen: Array = np.where(test != 0, if_true, if_false).astype(result)
    known = valid_mask(test, nodata)
    return chosen if known is None or known.all() else np.where(known, chosen, result.type(fill))


def mask_of(band: xr.DataArray) -> xr.DataArray:
    """Give 1 where a band is valid, and 0 where it is masked: uint8."""
    return by_chunk(_valid, [band], np.dtype("uint8"), nodata=declared_nodata(band))


def _valid(values: Array, *, nodata: Any) -> Array:
    valid = valid_mask(values, nodata)
    return np.ones(values.shape, np.uint8) if valid is None else valid.astype(np.uint8)


def unmask(band: xr.DataArray, value: float = 0) -> xr.DataArray:
    """Give masked pixels a value; the result declares no nodata."""
    whole = isinstance(value, int | np.integer) and band.dtype.kind in "iu"
    dtype = (
        band.dtype
        if whole and fits(value, band.dtype)
        else np.result_type(band.dtype, number(value).dtype)
    )
    return by_chunk(_filled, [band], dtype, nodata=declared_nodata(band), value=value, result=dtype)


def _filled(values: Array, *, nodata: Any, value: float, result: np.dtype[Any]) -> Array:
    valid = valid_mask(values, nodata)
    wide = values.astype(result)
    return wide if valid is None else np.where(valid, wide, result.type(value))


def unmask_with(band: xr.DataArray, other: xr.DataArray) -> xr.DataArray:
    """Give masked pixels what another band has there, masked where that is."""
    check_aligned([b for b in (band, other) if b.ndim] or [band], "unmask()")
    pair = refill([band, other])
    fill = declared_nodata(pair[0])
    made = by_chunk(_either, pair, pair[0].dtype, nodata=fill)
    if fill is not None:
        made.attrs["_FillValue"] = fill
    return made


def _either(values: Array, others: Array, *, nodata: Any) -> Array:
    valid = valid_mask(np.asarray(values), nodata)
    if valid is None:
        valid = np.ones(np.shape(values), bool)
    chosen: Array = np.where(valid, values, others)
    return chosen


def _range(name: str, a: Range, b: Range) -> Range:
    if name == "firstNonZero":
        return min(*a, *b), max(*a, *b)
    if name == "mod":  # no larger than the first value, smaller than the second
        most = max(0, *(abs(end) - 1 for end in b))
        return max(min(a[0], 0), -most), min(max(a[1], 0), most)
    of_any_size: dict[str, Callable[..., Any]] = {"min": min, "max": max}
    function = of_any_size.get(name, ARITHMETIC[name])
    corners = [int(function(x, y)) for x in a for y in b]
    return min(corners), max(corners)


def computed(
    func: Callable[..., Any],
    bands: Sequence[xr.DataArray],
    dtype: np.dtype[Any] | None,
    span: Range | None = None,
    *,
    exact: bool = False,
) -> xr.DataArray:
    """Apply a function of single pixels to bands; a pixel is masked where it is in one of them.

    With a range (`span`) the dtype is an integer that holds it. With `exact` the function gets the
    values in the dtypes that they have.
    """
    fill = None
    if span is not None:
        dtype, fill = holding(span, _maskable(bands))
    assert dtype is not None
    # the inputs have to fit too: the larger of -1 and 5 is 5, but not as unsigned integers
    work = None if exact else np.result_type(dtype, *(band.dtype for band in bands))
    if dtype.kind == "f":
        work = dtype
    elif work is not None and work.kind == "f":  # int64 and uint64 together
        work = dtype
    return _masked_as(func, list(bands), dtype, fill, work=work)


def _maskable(bands: Sequence[xr.DataArray]) -> bool:
    return any(b.dtype.kind == "f" or declared_nodata(b) is not None for b in bands)


def _masked_as(
    func: Callable[..., Any],
    bands: list[xr.DataArray],
    dtype: np.dtype[Any],
    fill: Any,
    *,
    work: np.dtype[Any] | None = None,
    needs_true: int | None = None,
) -> xr.DataArray:
    made = by_chunk(
        _compute,
        bands,
        dtype,
        func=func,
        nodata=[declared_nodata(band) for band in bands],
        result=dtype,
        fill=np.nan if fill is None and dtype.kind == "f" else fill,
        work=work,
        needs_true=needs_true,
    )
    made = bare(made)
    if fill is not None and dtype.kind in "iu":
        made.attrs["_FillValue"] = dtype.type(fill)
    return made


def _cast_to(dtype: np.dtype[Any], values: Array) -> Array:
    """Cast values to the dtype that is computed in, without wrapping round.

    int64 and uint64 have no dtype that holds both: what is beyond the one is cut off.
    """
    if dtype.kind in "iu" and values.dtype.kind in "iu" and not np.can_cast(values.dtype, dtype):
        low = max(int(np.iinfo(dtype).min), int(np.iinfo(values.dtype).min))
        high = min(int(np.iinfo(dtype).max), int(np.iinfo(values.dtype).max))
        values = np.clip(values, values.dtype.type(low), values.dtype.type(high))
    cast: Array = values.astype(dtype)
    return cast


def _compute(
    *arrays: Array,
    func: Callable[..., Any],
    nodata: list[Any],
    result: np.dtype[Any],
    fill: Any,
    work: np.dtype[Any] | None,
    needs_true: int | None,
) -> Array:
    """Compute a block; masked where one of its inputs is."""
    given = [a if work is None else _cast_to(work, a) for a in map(np.asarray, arrays)]
    shape = np.broadcast_shapes(*(a.shape for a in given))
    with np.errstate(all="ignore"):
        values = np.broadcast_to(np.asarray(func(*given)).astype(result), shape)
    valid = np.ones(shape, bool)
    for place, (array, missing) in enumerate(zip(arrays, nodata, strict=True)):
        own = valid_mask(np.asarray(array), missing)
        if own is not None:
            valid &= own
        if place == needs_true:
            valid &= np.asarray(array) != 0
    whole: Array = np.asarray(values, order="C")  # a constant has no dimension, and keeps none
    return whole if fill is None or valid.all() else np.where(valid, whole, result.type(fill))

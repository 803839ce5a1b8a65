"""Expressions as text: they mean what Python's own operators mean at each pixel, masked pixels stay
masked, integers exact; a mosaic of them reads no more than it has to; bad texts are pointed at."""

from __future__ import annotations

import itertools
import math
import operator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import qmosaic as qm
from tests.support.mosaics import is_deferred
from tests.support.sources import dates, in_store, random_stack

NAN, INF = float("nan"), float("inf")
DIMS = ("time", "y", "x")


def collection_of(**bands: Any) -> xr.Dataset:
    """Make a collection of two images with a row of pixels each; nodata behind an array."""
    made = {}
    for name, given_ in bands.items():
        values, nodata = given_ if isinstance(given_, tuple) else (given_, None)
        pixels = np.asarray(values).reshape(2, 1, -1)
        made[name] = (DIMS, pixels, {} if nodata is None else {"_FillValue": nodata})
    return xr.Dataset(made, {"time": dates(2)})


RNG = np.random.default_rng(15)
PLAIN = collection_of(
    B4=RNG.integers(1, 9, 8).astype("uint8"),
    B8=RNG.integers(1, 9, 8).astype("int16"),
    SCL=RNG.integers(0, 12, 8).astype("uint8"),
    F=RNG.normal(size=8),
)

MEANING = {
    "where": lambda condition, a, b: a if condition else b,
    "minimum": min,
    "maximum": max,
    "clip": lambda x, low, high: min(max(x, low), high),
    "abs": abs,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "valid": lambda _: True,
}


@pytest.mark.parametrize(
    "text",
    [
        "-B4",
        "-B4 ** 2 + 3 * B8 - B4 / B8",
        "2 ** -B4 ** 0.5",
        "2 * B4 - -B8 * +B4",
        "B4 - 200 - (B8 - 200)",
        "B4 * B4 * B4 * B4 * B4 * B4 * B4 * B4",
        "1 < B4 <= B8 != 4 >= SCL",
        "B4 > 3 and not B8 > 3 or SCL == 4",
        "(B4 > 3) & (~(B8 > 3)) | (SCL != 4)",
        "SCL in [4, 5, 6.0, -1, 999]",
        "F not in (0.5, 1) and SCL not in [7]",
        "where(SCL in [4, 5, 6], B4, -B8)",
        "where(B4 > B8, F, B4 * (SCL > 5))",
        "minimum(B4, B8, 5) + maximum(B4, F)",
        "clip(B4, 3, 5) - clip(F, 0, 1)",
        "abs(F) + abs(B4 - B8) + exp(log(abs(F))) + sqrt(B4)",
        "(SCL & 12) + (B4 | 32)",
        "10 ** 3 * B4 / (1 / 3) + abs(-2) - minimum(2, 1)",
        "B4\n  + B8\t* 2 ",
    ],
)
def test_a_text_means_what_python_means_by_it(text: str) -> None:
    """Operators bind as in Python, and mean at each pixel what they mean for two numbers."""
    score = qm.expression(text, PLAIN).values
    one_line = text.replace("\n", " ").replace("~", "not ").strip()
    for place in np.ndindex(*PLAIN["B4"].shape):
        pixel = {name: band.values[place].item() for name, band in PLAIN.items()}
        wanted = eval(one_line, {"__builtins__": {}}, {**MEANING, **pixel})
        assert float(score[place]) == pytest.approx(float(wanted), rel=1e-6), pixel


# -- masked pixels, integers: against an evaluation of trees, pixel by pixel ----------------------

OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul}
ORDERS = {"<": operator.lt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne}
INTEGERS = {"U8": ("uint8", 0), "I16": ("int16", -5), "U32": ("uint32", None), "I64": ("int64", 7)}

leaves = st.sampled_from(sorted(INTEGERS)).map(lambda name: ("band", name))
narrow = st.sampled_from(["U8", "I16", "U32"]).map(lambda name: ("band", name))
literals = st.integers(-300, 300).map(lambda number: ("number", number))
floats = st.one_of(
    st.just(("band", "F")),
    st.tuples(st.sampled_from(["+", "-", "*", "/"]), st.just(("band", "F")), leaves | literals),
    st.tuples(st.just("/"), leaves, st.just(("band", "F"))),
)


def conditions_over(values: Any) -> Any:
    """Draw conditions; those of several are joined."""
    simple = st.one_of(
        st.tuples(st.sampled_from(sorted(ORDERS)), values, leaves),
        st.tuples(st.just("in"), leaves, st.lists(st.integers(-9, 9), min_size=1, max_size=3)),
        st.tuples(st.just("valid"), leaves),
        st.tuples(st.just("<"), st.just(("band", "F")), st.just(("number", 0.5))),
    )
    return st.one_of(
        simple,
        st.tuples(st.just("not"), simple),
        st.tuples(st.sampled_from(["and", "or"]), simple, simple),
    )


def integers_of(bands: Any) -> Any:
    """Draw integers that are made of some bands."""
    return st.one_of(
        bands,
        st.tuples(st.sampled_from(sorted(OPERATORS)), bands, bands | literals),
        st.tuples(st.sampled_from(["negative", "abs"]), bands),
        st.tuples(st.sampled_from(["minimum", "maximum"]), bands, bands),
    )


integers = integers_of(leaves)  # what int64 does not hold is rounded: no comparisons of those
conditions = conditions_over(integers_of(narrow))
trees = st.one_of(
    integers,
    conditions,
    floats,
    st.tuples(st.just("where"), conditions, integers | st.just(("nan",)), integers),
    st.tuples(st.just("where"), conditions, floats, integers | st.just(("nan",))),
    st.tuples(st.sampled_from(sorted(OPERATORS)), floats, floats),
)


def written(tree: Any) -> str:
    """Write a tree as text."""
    name, *given_ = tree
    if name in ("band", "number"):
        return f"({given_[0]})"
    if name == "nan":
        return "nan"
    if name == "in":
        return f"({written(given_[0])} in {given_[1]})"
    if name in ("negative", "not"):
        return f"({'-' if name == 'negative' else 'not '}{written(given_[0])})"
    if name in ("where", "abs", "minimum", "maximum", "valid"):
        return f"{name}({', '.join(map(written, given_))})"
    return f"({written(given_[0])} {name} {written(given_[1])})"


def value_of(tree: Any, pixel: dict[str, Any]) -> Any:
    """Evaluate a tree at a pixel: None is masked, integers are Python's, which have no limit."""
    name, *given_ = tree
    if name == "nan":
        return None
    if name in ("band", "number"):
        return pixel[given_[0]] if name == "band" else given_[0]
    if name == "where":
        choice = value_of(given_[0], pixel)
        return None if choice is None else value_of(given_[1] if choice else given_[2], pixel)
    if name == "valid":
        return value_of(given_[0], pixel) is not None
    if name == "in":
        value = value_of(given_[0], pixel)
        return None if value is None else value in given_[1]
    values = [value_of(one, pixel) for one in given_]
    if None in values:
        return None
    return computed(name, values)


def computed(name: str, values: list[Any]) -> Any:
    """Compute with what is not masked; no finite number is masked, but for what was infinite and is
    only chosen."""
    if name in ORDERS:
        return ORDERS[name](*values)
    if name in ("and", "or", "not"):
        found = {"and": all(values), "or": any(values), "not": not values[0]}
        return found[name]
    if name == "negative":
        return min(-values[0], 2**63 - 1) if isinstance(values[0], int) else -values[0]
    if name == "abs":
        return min(abs(values[0]), 2**63 - 1)
    if name in ("minimum", "maximum"):
        return (min if name == "minimum" else max)(values)
    if any(isinstance(value, float) for value in values):
        values = [float(value) for value in values]
        if name == "/" and values[1] == 0:
            return None
    result = values[0] / values[1] if name == "/" else OPERATORS[name](*values)
    return result if isinstance(result, int) or math.isfinite(result) else None


def pixels_of(seed: int) -> dict[str, tuple[np.ndarray, Any]]:
    """Make bands with the ends of their dtypes, nodata, NaN, infinities and zeros."""
    rng = np.random.default_rng(seed)
    bands: dict[str, tuple[np.ndarray, Any]] = {}
    for name, (dtype, nodata) in INTEGERS.items():
        limits = np.iinfo(dtype)
        # the lowest int64 gives way to "masked"
        special = [
            limits.min + (dtype == "int64"),
            limits.max,
            0,
            limits.max - 1,
            1,
            nodata if nodata else 2,
        ]
        bands[name] = rng.choice(np.array(special, dtype), 12), nodata
    bands["F"] = rng.choice([NAN, INF, -INF, 0.0, 0.5, -1.25, 3.0], 12), None
    return bands


@settings(max_examples=40, deadline=None)
@given(tree=trees, seed=st.integers(0, 99))
def test_random_expressions(tree: Any, seed: int) -> None:
    """As by hand, pixel by pixel: what is masked, in a band or by dividing by 0, is masked;
    integers neither overflow nor wrap round; dask gives what numpy gives."""
    bands = pixels_of(seed)
    collection = collection_of(**bands)
    score = qm.expression(written(tree), collection)
    nodata = score.attrs.get("_FillValue")
    lazy = qm.expression(written(tree), collection.chunk(time=1, x=5))
    np.testing.assert_array_equal(lazy.values, score.values)
    for number, got in enumerate(score.values.ravel()):
        pixel: dict[str, Any] = {}
        for name, (values, missing) in bands.items():
            value = values[number].item()
            pixel[name] = None if value != value or value == missing else value
        wanted = value_of(tree, pixel)
        masked = got == nodata if nodata is not None else got != got
        assert masked == (wanted is None), (written(tree), pixel)
        if wanted is not None:
            exact = score.dtype.kind in "biu"
            assert got == wanted if exact else got == pytest.approx(float(wanted), rel=1e-15)


# -- dtypes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("-U1", "int16"),
        ("-U2", "int32"),
        ("-U4", "int64"),
        ("-U8", "float64"),
        ("U1 + U1", "uint16"),
        ("U1 - 1", "int16"),
        ("U2 * U2", "uint32"),
        ("I8 + I8", "float64"),
        ("I8 == 9007199254740993", "bool"),
        ("U1 > 3", "bool"),
        ("(U2 - U1) / (U2 + U1)", "float32"),
        ("0.5 * U1 + 1e-3 * F4", "float32"),
        ("U4 / 2", "float64"),
        ("U2 ** 4", "uint64"),
        ("U2 ** 5", "float64"),
        ("U2 * U2 * U2 * U2 * U2", "float64"),
        ("U1 * 9223372036854775807", "float64"),
        ("(U1 > 3) ** 300", "uint16"),
        ("F4 ** 4", "float32"),
        ("F4 ** 5", "float64"),
        ("F4 * 1e39", "float64"),
        ("F4 / 1e-39", "float64"),
        ("U1 * 1e38", "float64"),
        ("2 ** U1", "float64"),
        ("exp(U1)", "float64"),
        ("exp(-U1)", "float32"),
        ("exp(-((U2 - 3000) / 500) ** 2)", "float32"),
        ("F4 + F8", "float64"),
        ("F4 * of_image", "float32"),
        ("where(U1 > 3, U1, nan)", "uint16"),
        ("where(U1 > 3, F4, U1)", "float32"),
        ("of_image / 3", "float64"),
    ],
)
def test_dtypes(text: str, dtype: str) -> None:
    """As the docstring says: integers that hold every result, floats that hold the bands."""
    ints = {f"{k}{n}": np.ones(2, f"{k.lower()}{n}") for k in "UI" for n in (1, 2, 4, 8)}
    collection = collection_of(**ints, F4=np.ones(2, "f4"), F8=np.ones(2))
    collection["of_image"] = ("time", np.array([0.5, 1.5]))
    score = qm.expression(text, collection)
    assert score.dtype == dtype
    assert score.values.dtype == dtype


def test_integers_are_compared_exactly() -> None:
    """2**53 + 1 wins over 2**53, whatever is taken away from both."""
    big = np.int64([2**53, 2**53 + 1])
    for text in ("B", "B * 1", "-(-B)", "where(B > 0, B, nan)", "maximum(B, 5)"):
        collection = collection_of(B=big, number=np.uint8([1, 2]))
        quality = qm.expression(text, collection)
        best = qm.quality_mosaic(collection.assign(quality=quality), "quality")
        assert best["number"].item() == 2, text


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("{0} ** 12", 65535**12),
        ("{0} ** 12.5", 65535**12.5),
        ("{0} * {0} * {0} * {0} * {0} * {0} * {0} * {0} * {0}", 65535**9),
        ("{0} * 9223372036854775807", 65535 * (2**63 - 1)),
        ("-({0} ** 30) + 1e150", 1e150 - 65535**30),
        ("{0} * 1e38 * 10", 65535e39),
        ("1e38 / (1 / {0})", 65535e38),
        ("2 ** (-{0} / -600)", 2 ** (65535 / 600)),
        ("exp({0} / 600)", math.exp(65535 / 600)),
        ("exp(clip({0}, 0, 600))", math.exp(600)),
        ("where({0} > 9, {0} ** 9, {0})", 65535**9),
        ("maximum({0} ** 9, {0})", 65535**9),
        ("sqrt(abs(-({0} ** 30)))", 65535**15),
        ("log({0} ** 30)", 30 * math.log(65535)),
    ],
)
def test_no_overflow_masks_a_pixel(text: str, most: float) -> None:
    """Large results are float64; where a dtype has values that float64 does not hold the result of,
    the text is refused."""
    largest = collection_of(B4=np.uint16([65535, 65535]))
    score = qm.expression(text.format("B4"), largest).values.ravel()[0]
    assert float(score) == pytest.approx(float(most), rel=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        "B4 ** 70",
        "(-B4) ** 71",
        "B4 ** 400.5",
        "2 ** B4",
        "0.5 ** (0.5 - B4)",
        "exp(B4)",
        "B4 ** 40 * B4 ** 40",
        "B4 ** 60 / 1e-100",
        "B4 * 1e300 * 1e5",
        "-1e308 - B4 * 1e304",
    ],
)
def test_what_no_float_holds_is_refused(text: str) -> None:
    """As infinite it would be masked, in every pixel perhaps."""
    with pytest.raises(ValueError, match=r"more than a float holds.*\n.*\n.*\^\n.*limit the band"):
        qm.expression(text, BAD)


ENDS = {
    "I8": (np.int64, [-(2**63), -(2**63) + 1, -1, 0, 1, 2**53, 2**53 + 1, 2**63 - 2, 2**63 - 1]),
    "U8": (np.uint64, [0, 1, 2, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1]),
    "U1": (np.uint8, [0, 1, 2, 3, 4, 127, 128, 254, 255]),
}
NUMBERS = "-9223372036854775809 -9223372036854775808 -1.5 -0.0 0.5 1 254.5 256 9007199254740992.5 \
9007199254740993 9223372036854775807 9223372036854775808 18446744073709551614 \
18446744073709551615 18446744073709551616 18446744073709551617 1e30 -1e30".split()


@pytest.mark.parametrize("order", ["==", "!=", "<", "<=", ">", ">="])
def test_comparisons_of_integers_are_exact(order: str) -> None:
    """As Python compares: at the ends of 64 bits, beyond them, between two integers; integers with
    a sign and without."""
    bands = {name: (DIMS, np.array([v, v], dtype)[:, None]) for name, (dtype, v) in ENDS.items()}
    collection = xr.Dataset(bands, {"time": dates(2)})
    compare = {"<=": operator.le, ">": operator.gt, **ORDERS}[order]
    for name, (_, values) in ENDS.items():
        for number in NUMBERS:
            value = float(number) if set(number) & set(".e") else int(number)
            got = qm.expression(f"{name} {order} {number}", collection).values[0, 0]
            assert got.tolist() == [compare(v, value) for v in values], (name, number)
            got = qm.expression(f"{number} {order} {name}", collection).values[0, 0]
            assert got.tolist() == [compare(value, v) for v in values], (number, name)
            got = qm.expression(f"{name} in [{number}, 3]", collection).values[0, 0]
            assert got.tolist() == [v in (value, 3) for v in values], (name, number)
        for other, (_, others) in ENDS.items():
            pairs = list(zip(values, others, strict=True))
            got = qm.expression(f"{name} {order} {other}", collection).values[0, 0]
            assert got.tolist() == [compare(*pair) for pair in pairs], (name, other)


def test_what_a_score_says_of_a_band_an_expression_says_too() -> None:
    """Bands alone come as they are; functions give what they give in Python; indices are those of
    `scores.index`; declared packings are undone."""
    packed = {"_FillValue": 0, "scale_factor": 1e-4, "add_offset": -0.1}
    collection = collection_of(
        B4=(np.uint16([0, 2000, 3000, 1000]), 0), B8=(np.uint16([9, 4000, 3000, 1000]), 0)
    ).assign_coords(platform=("time", ["sentinel-2a", "sentinel-2b"]))
    for name in ("B4", "B8"):
        collection[name].attrs.update(packed)
    near, red = collection["B8"], collection["B4"]
    assert qm.expression("B4", collection).identical(red)
    pairs = {
        "(B8 - B4) / (B8 + B4)": qm.scores.normalized_difference(near, red),
        "normalized_difference(B8, b=B4)": qm.scores.normalized_difference(near, red),
        "inverse(B4)": qm.scores.inverse(red),
        "Ndvi": qm.scores.index(collection, "NDVI"),
        "index('SAVI', L=0.25, scale=0.0001)": qm.scores.index(
            collection, "SAVI", L=0.25, scale=1e-4
        ),
        "classes(B8, {3000: 1, 9: nan}, other=-1)": qm.scores.classes(
            near, {3000: 1, 9: NAN}, other=-1
        ),
        "bits(B8, {3: 0.5, (4, 5): {1: nan}})": qm.scores.bits(near, {3: 0.5, (4, 5): {1: NAN}}),
        "target_date(2020-07-01)": qm.scores.target_date(collection, "2020-07-01", sigma=30),
        "target_date('2020-07-01T12:00', sigma=2)": qm.scores.target_date(
            collection, "2020-07-01T12:00", sigma=2
        ),
        "target_day_of_year(07-15, sigma=9)": qm.scores.target_day_of_year(
            collection, "07-15", sigma=9
        ),
        "weighted([(ndvi, 2), (target_date(2020-07-01), 1)])": qm.scores.weighted(
            [
                (qm.scores.index(collection, "NDVI"), 2),
                (qm.scores.target_date(collection, "2020-07-01", sigma=30), 1),
            ]
        ),
    }
    for text, wanted in pairs.items():
        got = qm.expression(text, collection)
        assert got.dtype == wanted.dtype, text
        np.testing.assert_array_equal(got.values, wanted.values, text)
        np.testing.assert_array_equal(collection.qmosaic.expression(text).values, wanted.values)


@pytest.mark.parametrize(
    ("text", "noted"),
    [
        ("-B4", "-B4"),
        (" (B8-B4)/( B8 +B4)", "(B8 - B4) / (B8 + B4)"),
        ("target_date( 2020-08-01 )*2", "target_date(2020-08-01) * 2"),
        ("inverse('B4')", "inverse('B4')"),
        (
            "where(B4>1,target_day_of_year(07-15),nan)",
            "where(B4 > 1, target_day_of_year(07-15), nan)",
        ),
        ("B4", None),
        ("band('B4')", None),
    ],
)
def test_what_is_made_says_of_which_text(text: str, noted: str | None) -> None:
    """Its attribute is a text that makes the same; a band that is given as it is has none."""
    made = qm.expression(text, PLAIN)
    assert made.attrs.get("expression") == noted
    assert qm.expression(noted or text, PLAIN).identical(made)


def test_the_platform_is_told_by_the_names_of_bands() -> None:
    """``ndvi`` needs no platform where bands are called as one satellite's alone; where they may
    be of two, it is asked for."""
    sentinel = collection_of(B4=np.uint16([1000] * 2), B8=np.uint16([3000] * 2))
    assert qm.expression("ndvi", sentinel).values.ravel() == pytest.approx([0.5, 0.5])
    names = ("SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7")
    landsat = collection_of(
        **{name: np.uint16([10000 + 4000 * n] * 2) for n, name in enumerate(names)}
    )
    nine, seven = landsat, landsat.drop_vars("SR_B6")
    wanted = {n: (10000 + 4000 * i) * 2.75e-5 - 0.2 for i, n in enumerate(names)}
    for bands, near, red in ((nine, "SR_B5", "SR_B4"), (seven, "SR_B4", "SR_B3")):
        ratio = (wanted[near] - wanted[red]) / (wanted[near] + wanted[red])
        assert qm.expression("NDVI", bands).values.ravel()[0] == pytest.approx(ratio, rel=1e-5)
    for unknown in (landsat[["SR_B4", "SR_B5"]], sentinel.assign(B10=sentinel["B4"])):
        with pytest.raises(KeyError, match=r"Say platform=\.\.\."):
            qm.expression("ndvi", unknown)


def test_what_only_looks_like_a_date() -> None:
    """Numbers are subtracted and divided, where they can be no date, or have blanks between."""
    texts = ("B4 + 2020-45-3", "B4 + 2020 - 8 - 1", "B4*2020/8/1", "B4 - 0.5-10-2020", "B4 - 7-15")
    for text in texts:
        wanted = eval(text, {"B4": PLAIN["B4"].astype("float64")})
        np.testing.assert_allclose(qm.expression(text, PLAIN), wanted, rtol=1e-6)


def test_names_that_are_none_in_python() -> None:
    """Quoted, or in band(): other characters, keywords, what means something else; a coordinate
    along time is a band as well."""
    collection = collection_of(B=np.uint8([1, 2]))
    names = ("B 4", "8A", "in", "nan", "eo:cloud_cover", "ndvi", "größe")
    for number, name in enumerate(names):
        collection[name] = collection["B"] + np.uint8(number)
    for number, name in enumerate(names):
        for text in (f'"{name}" * 1', f"1 * band('{name}')"):
            score = qm.expression(text, collection)
            np.testing.assert_array_equal(score.values.ravel(), [1 + number, 2 + number])
    np.testing.assert_array_equal(
        qm.expression("ndvi - größe", collection).values.ravel(), [-1, -1]
    )
    cloudy = collection.assign_coords(cloud_cover=("time", [3.5, 0.5]))
    np.testing.assert_array_equal(qm.expression("-cloud_cover", cloudy), [-3.5, -0.5])
    array = collection[["B", "in"]].to_dataarray("band")
    np.testing.assert_array_equal(qm.expression('"in" - B', array).values.ravel(), [2, 2])


def test_masked_pixels_of_a_mask_are_not_valid() -> None:
    """``distance_to(SCL in [9])`` of a pixel without a class is masked: it would be far from
    clouds."""
    classes = (np.uint8([9, 4, 0, 4] * 2), 0)
    collection = collection_of(SCL=classes, B4=np.uint8([1, 1, 1, 0] * 2))
    text = "distance_to(SCL in [9], max_distance=50, resolution=10)"
    np.testing.assert_array_equal(qm.expression(text, collection)[0, 0], [0, 10, NAN, 30])
    text = "distance_to(SCL in [9], max_distance=50, resolution=10, valid=B4 > 0)"
    np.testing.assert_array_equal(qm.expression(text, collection)[0, 0], [0, 10, NAN, NAN])


# -- what a mosaic reads --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("-red", {"red"}),
        ("where(red > 100, (quality - red) / (quality + red), nan)", {"red", "quality"}),
        ("0.7 * target_date(2020-07-05) + 0.3 * inverse(quality)", {"quality"}),
    ],
)
def test_a_mosaic_of_an_expression_reads_what_it_needs(
    tmp_path: Path, text: str, reads: set[str]
) -> None:
    """A block stays a task, an image a chunk; of other bands only what won is read."""
    collection, store = in_store(random_stack(images=12, side=16), tmp_path / "in.zarr")
    score = qm.expression(text, collection)
    assert score.chunks == ((1,) * 12, (8, 8), (8, 8))
    mosaic = qm.quality_mosaic(collection[["nir"]].assign(score=score), "score")
    explained = qm.explain(mosaic)
    assert "reads only what won" in str(explained)
    assert explained.tasks == explained.blocks + 2
    assert is_deferred(mosaic)
    assert not store.reads
    with dask.config.set(scheduler="synchronous"):
        mosaic["score"].load()
    assert {key.split("/")[0] for key in store.reads if "/c/" in key} == reads
    assert all(set(store.chunks(band).values()) == {1} for band in reads)


# -- bad texts ------------------------------------------------------------------------------------

BAD = collection_of(
    B4=np.uint16([1, 2]), B8=np.uint16([3, 4]), SCL=np.uint8([4, 5]), name=np.array(["a", "b"])
)

BAD = BAD.assign_coords(spatial_ref=((), 0), lat=(("y", "x"), np.ones((1, 1))), x=[0]).assign(
    dem=(("y", "x"), np.ones((1, 1))), time_bounds=("bounds", [1, 2])
)

POINTED_AT = [
    ("nvdi", KeyError, "nvdi", "Did you mean ndvi?"),
    ("2 * ndvii", KeyError, "ndvii", "Did you mean ndvi?"),
    ("inverze", KeyError, "inverze", r"Did you mean inverse\(band\)"),
    ("nvdi(B4)", KeyError, "nvdi", "Did you mean ndvi, without"),
    ("foo(B4)", KeyError, "foo", "clip, .*spectral indices go by name"),
    ("clip(B4, 5, 1)", ValueError, "clip(B4, 5, 1)", r"Write clip\(B4, 1, 5\)"),
    ("spatial_ref", ValueError, "spatial_ref", r"is no band.*\(\)"),
    ("B4 * spatial_ref", ValueError, "spatial_ref", "The bands are B4, B8, SCL, name, dem"),
    ("time_bounds", ValueError, "time_bounds", "is no band"),
    ("time", ValueError, "time", r"a dimension.*\n.*\n.*\n.*target_date"),
    ("dem", ValueError, "dem", "same in all images"),
    ("dem * lat", ValueError, "dem * lat", "no dimension 'time'"),
    ("target_date(2020-8-1)", ValueError, "2020-8-1", "Write 2020-08-01"),
    ("target_date(2020/08/01)", ValueError, "2020/08/01", "Write 2020-08-01"),
    ("B4 + target_date(08-01-2020)", ValueError, "08-01-2020", "2020-01-08 or 2020-08-01"),
    ("target_date(25.12.2020)", ValueError, "25.12.2020", "Write 2020-12-25;"),
    ("target_day_of_year(7-5)", ValueError, "7-5", "Write 07-05"),
    ("B44 * 2", KeyError, "B44", "Did you mean B4?"),
    ("größe + B44", KeyError, "größe", "The bands are"),
    ("'B 4' + 1", KeyError, "'B 4'", "Did you mean B4?"),
    ("evy", KeyError, "evy", "nor a spectral index"),
    ("name * 2", ValueError, "name", "no numbers"),
    ("iverse(B4)", KeyError, "iverse", r"Did you mean inverse\(band\)"),
    ("min(B4, B8)", KeyError, "min", r"Write minimum\(x, y\)"),
    ("ndvi()", KeyError, "ndvi", "Write ndvi alone"),
    ("B4(B8)", KeyError, "B4", r"B4 is a band; write \*"),
    ("inverse", ValueError, "inverse", r"Write inverse\(band\)"),
    ("inverse()", ValueError, "inverse()", "lacks band"),
    ("inverse(B4, B8)", ValueError, "B8", "number 2"),
    ("target_date(2020-08-01, width=3)", ValueError, "width=3", "has no width="),
    ("2 + target_date(2020-13-01)", ValueError, "target_date(2020-13-01)", "is no time"),
    ("B4 + 2020-08-01", ValueError, "2020-08-01", r"Write target_date\(2020-08-01\)"),
    ("1 + index('NDVY')", KeyError, "index('NDVY')", "Did you mean .*NDVI"),
    ("distance_to(B4, max_distance=9)", ValueError, "B4", "takes a condition"),
    ("weighted(B4)", ValueError, "B4", "pairs of score and weight"),
    ("classes(SCL, {4: B4})", ValueError, "B4", "no number"),
    ("classes(SCL, {[4]: 1})", ValueError, "[4]", "no key"),
    ("sqrt(B4, B8)", ValueError, "sqrt(B4, B8)", r"Write sqrt\(x\)"),
    ("sqrt(x=B4)", ValueError, "x=B4", "has no options"),
    ("abs(*B4)", ValueError, "*B4", "spreads"),
    ("where(B4, 1, 2)", ValueError, "B4", "condition first"),
    ("where(B4 > 1, nan, nan)", ValueError, "where(B4 > 1, nan, nan)", "masked everywhere"),
    ("B4 > 1 and B8", ValueError, "B8", "and takes conditions"),
    ("not B8", ValueError, "not B8", "takes a condition"),
    ("B4 > 5 & B8 < 3", ValueError, "5 & B8", "Write and"),
    ("B4 > 5 & (B8 < 3)", ValueError, "5 & (B8 < 3)", "binds tighter"),
    ("B4 == nan", ValueError, "B4 == nan", r"not valid\(band\)"),
    ("1 < 2", ValueError, "1 < 2", "same everywhere"),
    ("SCL in [4, 5] == B4", ValueError, "[4, 5]", "Write and between them"),
    ("SCL in 4", ValueError, "4", "SCL in "),
    ("SCL in [4, B4]", ValueError, "B4", "Write a number"),
    ("1 + 2", ValueError, "1 + 2", "the same in all images"),
    ("nan", ValueError, "nan", "the same in all images"),
    ("0,7 * B4", ValueError, "0,7 * B4", "decimals with a point"),
    ("B4 * (1 / 0)", ValueError, "1 / 0", "no finite number"),
    ("B4 + 9**9**9", ValueError, "9**9**9", "no finite number"),
    ("B4 * 1e999", ValueError, "1e999", "no finite number"),
    ("B4 * " + "9" * 400, ValueError, "9" * 67, "no finite number"),
    ("(B8 - B4", ValueError, "(", "never closed"),
    ("SCL = 4", ValueError, "=", "To compare, write =="),
    ("B4 > 1 && B8 > 2", ValueError, "&", "Write and"),
    ("8A + B4", ValueError, "8", "quotation marks"),
    ("B4 − 1", ValueError, "−", "minus sign of the keyboard"),
    ("B4 # red", ValueError, "#", "comment"),
    ("B4 + \x00", ValueError, "\x00", "cannot be printed"),
    ("B4 if SCL else B8", ValueError, "B4 if SCL else B8", r"where\(condition, a, b\)"),
    ("B4.values", ValueError, "B4.values", "point"),
    ("1 + B4[0]", ValueError, "B4[0]", "brackets"),
    ("f'{B4}'", ValueError, "f'{B4}'", "f-string"),
    ("(lambda: B4)()", ValueError, "(lambda: B4)()", "by their names alone"),
    ("[b for b in B4]", ValueError, "[b for b in B4]", "ListComp"),
    ("(b := B4)", ValueError, "b := B4", "NamedExpr"),
    ("__import__('os').remove('x')", ValueError, "__import__('os').remove('x')", "names alone"),
    ("B4 ^ 2", ValueError, "B4 ^ 2", r"\*\* for a power"),
    ("B4 is 2", ValueError, "B4 is 2", "Write =="),
    ("True * B4", ValueError, "True", "no number"),
]


@pytest.mark.parametrize(("text", "error", "place", "message"), POINTED_AT)
def test_bad_texts(text: str, error: type[Exception], place: str, message: str) -> None:
    """The message shows the text, carets under the place, and what to write instead; a name that
    stands for nothing is a KeyError; all are ValueErrors. Nothing is run."""
    with pytest.raises(error, match=message) as caught:
        qm.expression(text, BAD)
    assert isinstance(caught.value, ValueError)
    _, shown, carets, *instead = str(caught.value).splitlines()
    begin, end = carets.index("^"), carets.rindex("^") + 1
    assert shown[begin:end] == place
    assert all(len(line) > 5 for line in instead)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 300 + "B4" + ")" * 300,
        "- " * 1900 + "B4",
        "B4" + " + B4" * 700,
        "sqrt(" * 150 + "B4" + ")" * 150,
        "[" * 150 + "]" * 150,
    ],
)
def test_nesting_has_a_limit(text: str) -> None:
    """A text that would take Python's stack, or hours, is refused before anything is made of it."""
    with pytest.raises(ValueError, match="more than 100 parts that lie in each other"):
        qm.expression(text, BAD)
    with pytest.raises(ValueError, match="4000"):
        qm.expression("B4" + " + B4" * 1000, BAD)
    with pytest.raises(ValueError, match="is empty"):
        qm.expression(" \n ", BAD)


def test_what_is_written_twice_is_computed_once() -> None:
    """Each step is computed once, though a chain of comparisons names its middle twice: forty
    such chains in each other would take 2**40 steps."""
    text = "B4 < 9"
    for _ in range(40):
        text = f"0 <= ({text}) <= 1"
    assert qm.expression(text, BAD).values.all()


def test_other_things_than_a_text_and_a_collection() -> None:
    """What came, and what to write."""
    with pytest.raises(TypeError, match=r"got a Dataset as its text.*the text first"):
        qm.expression(BAD, "B4")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"expression\(\) got a str; it needs a collection"):
        qm.expression("B4", "B4")  # type: ignore[arg-type]


def test_long_texts_are_shown_around_the_place() -> None:
    """Of a long text the error shows what stands around the place."""
    text = " + ".join(itertools.repeat("B4", 60)) + " + B9"
    with pytest.raises(KeyError) as caught:
        qm.expression(text, BAD)
    _, shown, carets, _ = str(caught.value).splitlines()
    assert len(shown) < 90
    assert shown[carets.index("^") :] == "B9"

"""Expressions as text: what Earth Engine's operators give, against loops over single pixels."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from qmosaic import ee
from qmosaic.ee.grammar import parse
from tests.support.sources import Forbidden

A = [-3, 0, 0, 2, 5, None, 7, 1]
B = [2, 0, 4, None, 5, None, 3, -1]
"""Pixels of two bands; None is masked."""

NODATA = -128


def image() -> ee.Image:
    bands = {}
    for name, values in {"a": A, "b": B}.items():
        filled = [NODATA if value is None else value for value in values]
        bands[name] = ("x", np.array(filled, "int8"), {"_FillValue": np.int8(NODATA)})
    return ee.Image(xr.Dataset(bands))


def pixels(made: ee.Image, band: str | None = None) -> list[Any]:
    """Give the pixels of a band as numbers of Python, None where they are masked."""
    (found,) = [v for n, v in made.dataset.items() if band in (None, n)]
    nodata = found.attrs.get("_FillValue")
    return [
        None if v != v or (nodata is not None and v == nodata) else v.item() for v in found.values
    ]


def quotient(a: float, b: float) -> float:
    return a / b if b else 0


MEANT: dict[str, Callable[[float, float], float | None]] = {
    "a + b": lambda a, b: a + b,
    "a - b - 1": lambda a, b: (a - b) - 1,
    "a - (b - 1)": lambda a, b: a - (b - 1),
    "a * b * 100": lambda a, b: a * b * 100,
    "a / b": quotient,
    "a / b / 2": lambda a, b: quotient(a, b) / 2,
    "1 + 2 * a % 3": lambda a, b: 1 + math.fmod(2 * a, 3),
    "a % b": lambda a, b: math.fmod(a, b) if b else 0,
    "a ** 2 + b": lambda a, b: a**2 + b,
    "2 ** a ** 2": lambda a, b: 2.0 ** (a**2),
    "-a ** 2": lambda a, b: -(a**2),
    "-a": lambda a, b: -a,
    "+a - -b": lambda a, b: a + b,
    "2 ** -b": lambda a, b: 2.0**-b,
    "a > b": lambda a, b: a > b,
    "a <= b == 1": lambda a, b: (a <= b) == 1,
    "a + 1 >= b * 2": lambda a, b: a + 1 >= b * 2,
    "a != b": lambda a, b: a != b,
    "a && b": lambda a, b: bool(a) and bool(b),
    "a || b && 0": lambda a, b: bool(a),
    "!a": lambda a, b: not a,
    "!a == b": lambda a, b: (not a) == b,
    "!(a == b)": lambda a, b: a != b,
    "a ^ b": lambda a, b: bool(a) != bool(b),
    "a > 0 ^ b > 0": lambda a, b: (a > 0) != (b > 0),
    "a > 1 ? b : 200": lambda a, b: b if a > 1 else 200,
    "a < 0 ? 1 : a < 3 ? 2 : 3": lambda a, b: 1 if a < 0 else 2 if a < 3 else 3,
    "(a > b) ? a - b : b - a": lambda a, b: abs(a - b),
    "min(a, b, 1) + max(a, b)": lambda a, b: min(a, b, 1) + max(a, b),
    "hypot(a, b)": math.hypot,
    "atan2(a, b)": lambda x, y: math.atan2(y, x),
    "pow(a, 3)": lambda a, b: a**3,
    "mod(a, 2)": lambda a, b: math.fmod(a, 2),
    "sqrt(abs(a - b))": lambda a, b: math.sqrt(abs(a - b)),
    "exp(a) + log(abs(b) + 1) - log10(abs(a) + 1)": lambda a, b: (
        math.exp(a) + math.log(abs(b) + 1) - math.log10(abs(a) + 1)
    ),
    "sin(a) * cos(b) + tan(a)": lambda a, b: math.sin(a) * math.cos(b) + math.tan(a),
    "asin(a / 9) + acos(a / 9) + atan(b)": lambda a, b: (
        math.asin(a / 9) + math.acos(a / 9) + math.atan(b)
    ),
    "sinh(a) - cosh(a) + tanh(b)": lambda a, b: math.sinh(a) - math.cosh(a) + math.tanh(b),
    "floor(a / 2) + ceil(b / 2)": lambda a, b: math.floor(a / 2) + math.ceil(b / 2),
    "signum(a) * cbrt(8)": lambda a, b: 2 * (a > 0) - 2 * (a < 0),
    "int(a / 2) + float(b)": lambda a, b: math.trunc(a / 2) + b,
    "img.a * img[1] - img['b']": lambda a, b: a * b - b,
    "b('a') - b(1) + b": lambda a, b: a,
    "Math.PI * a + Math.E": lambda a, b: math.pi * a + math.e,
    "1.5e1 * a + .5": lambda a, b: 15 * a + 0.5,
}
"""Texts, and what they say of one pixel."""


@pytest.mark.parametrize("text", MEANT)
def test_expressions_say_what_they_say_of_each_pixel(text: str) -> None:
    """Operators, functions and their precedence are those of Earth Engine's documentation, a
    division by 0 gives 0, and a pixel is masked where a band is masked that it is made of."""
    given = ee.Image(image().dataset.chunk(x=3))
    named = {"a": given.select("a"), "b": given.select("b"), "img": given}
    expected: list[float | None] = []
    for a, b in zip(A, B, strict=True):
        needs_b = "b" in text.replace("abs", "").replace("cbrt", "")
        masked = a is None or (b is None and needs_b)
        if text == "a > 1 ? b : 200" and a is not None and a <= 1:
            masked = False  # the other side is not looked at
        expected.append(None if masked else MEANT[text](a, b))  # type: ignore[arg-type]
    found = pixels(given.expression(text, named))
    assert [one is None for one in found] == [one is None for one in expected]
    kept = [(f, e) for f, e in zip(found, expected, strict=True) if e is not None]
    assert [f for f, _ in kept] == pytest.approx([float(e) for _, e in kept])


METHODS: dict[str, Callable[[ee.Image, ee.Image], ee.Image]] = {
    "a / b": lambda a, b: a.divide(b),
    "a + b * 2": lambda a, b: a.add(b.multiply(2)),
    "a > b && a != 0": lambda a, b: a.gt(b).And(a.neq(0)),
    "2 * a": lambda a, b: ee.Image(2).multiply(a),
    "atan2(a, b)": lambda a, b: a.atan2(b),
    "uint8(a)": lambda a, b: a.uint8(),
}


@pytest.mark.parametrize("text", METHODS)
def test_expressions_are_the_methods(text: str) -> None:
    """`a / b` is `a.divide(b)`: with the same name, dtype, nodata and pixels."""
    a, b = image().select("a"), image().select("b")
    made = image().expression(text, {"a": a, "b": b})
    xr.testing.assert_identical(made.dataset, METHODS[text](a, b).dataset)


def test_names_of_results() -> None:
    """A result is called like the first operand with most bands, which of `2 * NIR` is the
    constant; a name before `=` replaces it."""
    given = image()
    assert given.expression("b('b') + b('a')").bandNames() == ["b"]
    assert given.expression("2 * b('b')").bandNames() == ["constant"]
    assert given.expression("2 * b()").bandNames() == ["a", "b"]
    assert given.expression("b('a') - img", {"img": given}).bandNames() == ["a", "b"]
    assert given.expression("img['b', 'a']", {"img": given}).bandNames() == ["b", "a"]
    assert given.expression("ndvi = b(0) / b(1)").bandNames() == ["ndvi"]


def test_several_bands_go_pairwise() -> None:
    """Images of as many bands go band by band, an image of one band with all of the other."""
    given = image()
    made = given.expression("img > 1 ? b() * 10 : one", {"img": given, "one": ee.Image(1)})
    assert pixels(made, "a") == [1, 1, 1, 20, 50, None, 70, 1]
    assert pixels(made, "b") == [20, 1, 40, None, 50, None, 30, 1]


def test_bands_of_the_same_names_go_together() -> None:
    """Images with the same bands in another order are matched by name, as in Earth Engine's
    arithmetic; with other names by their order."""
    one, turned = ee.Image([1, 2]).rename(["a", "b"]), ee.Image([20, 10]).rename(["b", "a"])
    other = turned.rename(["c", "d"])
    for text, expected in {
        "one + turned": {"a": 11, "b": 22},
        "one > 0 ? turned : one": {"a": 10, "b": 20},
        "one + other": {"a": 21, "b": 12},
    }.items():
        made = one.expression(text, {"one": one, "turned": turned, "other": other})
        assert {name: band.item() for name, band in made.dataset.items()} == expected


def test_choices_keep_dtypes() -> None:
    """The two sides of a choice get a dtype that holds both, and no nodata where nothing can be
    masked; one where the condition can be."""
    whole = ee.Image(xr.DataArray(np.uint8([0, 200]), dims="x", name="w"))
    made = whole.expression("b(0) > 100 ? 300 : 2").dataset["w"]
    assert made.dtype == "uint16"
    assert "_FillValue" not in made.attrs
    assert made.values.tolist() == [2, 300]
    masked = whole.updateMask(whole).expression("b(0) > 100 ? 1 : 2")
    assert pixels(masked) == [None, 1]


def stack() -> xr.Dataset:
    values = np.arange(1, 13, dtype="uint16").reshape(3, 2, 2)
    days = np.array(["2020-01-05", "2020-02-06", "2020-12-31"], "M8[ns]")
    sun = ("time", [10.0, 20.0, 40.0])
    return xr.Dataset(
        {"red": (("time", "y", "x"), values), "nir": (("time", "y", "x"), values * 3)},
        {"time": days, "sun": sun, "y": [2.0, 1.0], "x": [1.0, 2.0]},
    )


def test_one_number_for_each_image_inside_map() -> None:
    """Inside map a name may stand for a number of each image; the function is called once."""
    calls = []

    def scaled(one: ee.Image) -> ee.Image:
        calls.append(1)
        sun = ee.Number(one.get("sun")).divide(10)
        return one.addBands(
            one.expression("q = NIR * sun - b('red')", {"NIR": one.select("nir"), "sun": sun})
        )

    made = ee.ImageCollection(stack()).map(scaled)
    source = stack()
    assert len(calls) == 1
    for image_, sun in enumerate([10.0, 20.0, 40.0]):
        for place in np.ndindex(2, 2):
            nir, red = (int(source[n].values[image_][place]) for n in ("nir", "red"))
            assert made.dataset["q"].values[image_][place] == nir * sun / 10 - red


@pytest.mark.parametrize("text", ["e * sun", "sun > 10 ? e : sun", "r = e * sun + b('red') * 0"])
def test_a_map_goes_with_a_number_of_each_image(text: str) -> None:
    """An image that is the same for all (an elevation) is combined with a number of each image:
    images come first among the dimensions, and keep their times."""
    source = stack()
    elevation = ee.Image(source["nir"].isel(time=0, drop=True).rename("e"))

    def scaled(one: ee.Image) -> ee.Image:
        return one.expression(text, {"e": elevation, "sun": one.get("sun")})

    made = ee.ImageCollection(source).map(scaled)
    (band,) = made.dataset.data_vars.values()
    assert band.dims == ("time", "y", "x")
    assert np.array_equal(made.dataset["time"].values, source["time"].values)
    for image_, sun in enumerate([10.0, 20.0, 40.0]):
        for place in np.ndindex(2, 2):
            e = int(source["nir"].values[0][place])
            expected = (e if sun > 10 else sun) if "?" in text else e * sun
            assert band.values[image_][place] == expected


def test_nothing_is_read() -> None:
    """An expression is built without reading a pixel, and its mosaic is a task a block, whatever
    stands in the text."""
    lazy = stack()
    for name in lazy:
        source = da.from_array(Forbidden((3, 2, 2), "uint16"), chunks=(1, 2, 2))
        lazy[name] = (("time", "y", "x"), source)

    def quality(text: str) -> Any:
        def added(one: ee.Image) -> ee.Image:
            made = one.expression(text, {"NIR": one.select("nir"), "RED": one.select("red")})
            return one.addBands(made.rename("q"))

        return qm.explain(ee.ImageCollection(lazy).map(added).qualityMosaic("q").dataset)

    short = quality("NIR + 1")
    long = quality("NIR > 5 ? 2.5 * (NIR - RED) / (NIR + 6 * RED + 1) : sqrt(RED) - b('red') ** 2")
    assert long.deferred
    assert long.tasks == short.tasks


PLACES = [
    ("(NIR - b('b4')) / NIR", "no band 'b4'", "'b4'", "The bands are a, b"),
    ("(NIR - b(2)) / NIR", "2 bands, numbered from 0", "2", "The bands are a, b"),
    ("NIR - NRI", "no 'NRI'", "NRI", "Did you mean NIR?"),
    ("NIR - a", "no 'a'", "a", "write b('a')"),
    ("sqrt(NIR) + squrt(NIR)", "no function 'squrt'", "squrt", "Did you mean sqrt?"),
    ("ln(NIR)", "no function 'ln'", "ln", "Write log(x)"),
    ("pow(NIR)", "pow takes 2 values, not 1", "pow(NIR)", "Write pow(x, y)"),
    ("abs(NIR, 1)", "abs takes 1 value, not 2", "abs(NIR, 1)", "Write abs(x)"),
    ("max(NIR)", "two or more", "max(NIR)", "Write max(x, y)"),
    ("NIR & 1", "stops making sense", "&", "bitwiseAnd"),
    ("NIR > 1 and NIR < 2", "stops making sense", "and", "Write &&"),
    ("2 + NIR = 1", "stops making sense", "=", "write =="),
    ("(NIR + 1", "stops making sense", " ", "Close the parenthesis"),
    ("NIR ? 1", "stops making sense", " ", "condition ? a : b"),
    ("NIR +", "stops making sense", " ", "is missing"),
    ("NIR – 1", "stops making sense", "–", "minus sign of the keyboard"),
    ("NIR // 2", "stops making sense", "/", "floor(a / b)"),
    ("'NIR' + 1", "a text stands", "'NIR'", "Write b('NIR')"),
    ("Math.sqrt(NIR)", "no function", "Math.sqrt", "sqrt(x)"),
    ("Math.TAU * NIR", "no number Math.TAU", "Math.TAU", "without Math"),
    ("(NIR + 1).b1", "a part that is computed", "(NIR + 1).b1", "img.B8"),
    ("NIR[NIR]", "named or numbered", "NIR", "b(0)"),
    ("both + NIR + both3", "no 'both3'", "both3", "Did you mean both?"),
    ("b() + three", "this cannot be computed", "b() + three", "do not pair up"),
    ("x = b() * 2", "a result of 2 bands", "x", "rename"),
    ("__import__('os')", "no function '__import__'", "__import__", "There are"),
    ("(" * 120 + "NIR" + ")" * 120, "100 parts that lie in each other", None, "in the map"),
    ("  ", "is empty", None, "Write for instance"),
]


@pytest.mark.parametrize(("text", "what", "where", "instead"), PLACES)
def test_errors_say_what_where_and_what_instead(
    text: str, what: str, where: str | None, instead: str
) -> None:
    """What cannot be understood or computed is pointed at in the text, with what to write."""
    three = ee.Image([1, 2, 3])
    named = {"NIR": image().select("a"), "both": image(), "three": three}
    with pytest.raises(ValueError, match=re.escape(what)) as caught:
        image().expression(text, named)
    said = str(caught.value)
    assert instead in said
    if where is not None:
        line, carets = said.splitlines()[1:3]
        begin = carets.index("^")
        assert (line + " ")[begin : begin + carets.count("^")] == where


def test_names_that_are_not_there_are_key_errors() -> None:
    """A missing band or name is a KeyError, as it is of `select`."""
    for text in ("b('c')", "NIR", "f(1)"):
        with pytest.raises(KeyError):
            image().expression(text)


def test_an_image_of_nothing_asks_for_the_map() -> None:
    """Scripts write `ee.Image().expression(text, {...})`: an image that is masked everywhere, whose
    own band is not used."""
    given = image().select("a")
    made = ee.Image().expression("c = sqrt(pow(a, 2) + pow(b, 2))", {"a": ee.Image(5), "b": given})
    assert made.bandNames() == ["c"]
    assert pixels(made)[3] == pytest.approx(math.sqrt(29))
    assert pixels(ee.Image().add(given), "constant") == [None] * len(A)


def test_what_is_no_text_and_no_map() -> None:
    """The error says which argument is which."""
    with pytest.raises(TypeError, match="takes a text, then the images"):
        image().expression(image())
    with pytest.raises(TypeError, match="the images by their names"):
        image().expression("a", [image()])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["map_", "opt_map", "map"])
def test_every_name_of_the_map(name: str) -> None:
    """Scripts give the map by position, or by one of the names that it has had."""
    options: Any = {name: {"n": image().select("a")}}
    assert image().expression(expression="n * 2", **options).bandNames() == ["a"]


def test_places_are_those_of_the_whole_text() -> None:
    """Each part of a text knows where it stands, signs and parentheses in front included."""
    text, name, tree = parse("  x = -(a + 'é'['β']) * 2")
    assert name == "x"
    assert text.part(tree) == "-(a + 'é'['β']) * 2"
    assert text.part(tree.left) == "-(a + 'é'['β'])"  # type: ignore[attr-defined]

"""``expression``: one text on `qmosaic.ee` and on a parser of its own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.two_engines import Scripts, same_on_both

scripts = Scripts()

TEXTS = [
    "b('a') + b('b')",
    "b('a') * 2 - b('c') / 4",
    "b(0) - b(1) - b(2)",
    "(b('c') - b('a')) / (b('c') + b('a'))",
    "2.5 * ((C - A) / (C + 6 * A - 7.5 * B + 1))",
    "index = (C - A) / (C + A)",
    "-A ** 2",
    "-A + -B",
    "2 ** A ** 0.5",
    "A % 3",
    "C % -4",
    "A > 2",
    "A >= B && C < 500",
    "A < 2 || B > 1",
    "!(A > 2)",
    "!A + 1",
    "A == 3",
    "A != B",
    "A > 2 ^ B > 1",
    "1 + 2 * 3 - 4 / 2",
    "A * (B + 2) * 0.1",
    "abs(B) + sqrt(A)",
    "min(A, B) + max(A, 2)",
    "pow(A, 2) + exp(B) - log(A + 1)",
    "floor(D) + ceil(D)",
    "sin(A) * cos(B)",
    "img.a + img.b",
    "img['c'] - img[0]",
    "D > 1 ? D : D * 2",
    "D > 2 ? 3 : D > 1 ? 2 : 1",
    "x = D < 0 ? -D : D + 1",
    "1 / A",
    "A / 0",
    "n + A",
    "1e-3 * C + .5",
]


def names(ee: Any, image: Any) -> dict[str, Any]:
    """Give names to bands, to the image, and to a number."""
    bands = {name.upper(): image.select(name) for name in ["a", "b", "c", "d"]}
    return {**bands, "img": image, "n": 7}


@scripts
def of_one_image(ee: Any, col: Any) -> Any:
    image = col.first()
    return [image.expression(text, names(ee, image)) for text in TEXTS]


@scripts
def of_all_images(ee: Any, col: Any) -> Any:
    def changed(img: Any) -> Any:
        made = [img.expression(text, names(ee, img)) for text in TEXTS[::4]]
        return ee.Image.cat(*(one.rename(f"e{i}") for i, one in enumerate(made)))

    return col.map(changed)


@scripts
def of_several_bands(ee: Any, col: Any) -> Any:
    image = col.first()
    ab, bc = image.select(["a", "b"]), image.select(["b", "c"])
    return [
        image.expression("two * 2 + one", {"two": ab, "one": image.select("c")}),
        image.expression("x - y", {"x": ab, "y": bc}),
        image.expression("x > 1 && y > 1", {"x": ab, "y": bc}),
    ]


@scripts
def of_properties(ee: Any, col: Any) -> Any:
    def changed(img: Any) -> Any:
        made = img.expression(
            "a * gain + offset",
            {"a": img.select("a"), "gain": ee.Number(img.get("orbit")), "offset": 0.5},
        )
        return img.addBands(made.rename("scaled").toFloat())

    return col.map(changed)


@scripts
def an_index_and_its_best_pixel(ee: Any, col: Any) -> Any:
    def scored(img: Any) -> Any:
        index = img.expression(
            "2.5 * (NIR - RED) / (NIR + 6 * RED - 7.5 * BLUE + 1)",
            {"NIR": img.select("c"), "RED": img.select("a").add(1), "BLUE": img.select("b")},
        ).rename("evi")
        return img.select(["c", "d"]).addBands(index).updateMask(index.gt(-100))

    return col.map(scored).qualityMosaic("evi").select(["d", "evi"])


@pytest.mark.parametrize(("name", "seed"), scripts.cases(2))
def test_as_earth_engine(name: str, seed: int) -> None:
    """Precedence, functions, names of the results, masks and dtypes."""
    same_on_both(scripts[name], seed)

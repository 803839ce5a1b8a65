"""Arithmetic and masks: one script on `qmosaic.ee` and on Earth Engine as loops."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.two_engines import Script, Scripts, same_on_both

scripts, by_name = Scripts(), Scripts()


def two_bands(name: str) -> Script:
    """Make a script that combines bands of all dtypes, numbers and constants, by one method."""

    def of_pairs(ee: Any, col: Any) -> Any:
        image = col.first()
        few = name in ("leftShift", "rightShift")  # 900 bits are beyond any dtype
        ints = image.select(["a", "b"] if few else ["a", "b", "c"])
        combined = [
            getattr(ints, name)(image.select("a")),
            getattr(image.select("q"), name)(ints.select("a") if few else ints),
            getattr(ints, name)(2),
            getattr(ints, name)(ee.Image(3)),
            getattr(ee.Image(5), name)(image.select("a")),
            getattr(ee.Image(5), name)(ee.Image(2)),
            getattr(ee.Image.constant([5, 6]), name)(image.select(["a", "q"]).abs()),
            col.map(lambda img: getattr(img.select("b"), name)(img.select("a"))),
        ]
        if few or name.startswith("bitwise"):
            return combined
        floats = image.select("d")
        return [
            *combined,
            getattr(floats, name)(floats),
            getattr(floats, name)(image.select("b")),
            getattr(image.select("a"), name)(floats),
            getattr(floats, name)(1.5),
            getattr(ints, name)(0.5),
            getattr(ints, name)(-1),
            getattr(floats, name)(0),
        ]

    of_pairs.__name__ = name
    return of_pairs


def one_band(name: str) -> Script:
    """Make a script that changes bands of all dtypes by one method."""

    def of_one(ee: Any, col: Any) -> Any:
        return [
            getattr(col.first(), name)(),
            getattr(ee.Image(7), name)(),
            col.map(lambda img: getattr(img.select(["b", "d"]), name)()),
        ]

    of_one.__name__ = name
    return of_one


PAIRED = """add subtract multiply divide pow mod min max eq neq lt lte gt gte And Or bitwiseAnd
bitwiseOr bitwiseXor leftShift rightShift firstNonZero atan2 hypot""".split()
SINGLE = """sqrt exp log log10 sin cos tan asin acos atan sinh cosh tanh cbrt signum floor ceil
round abs Not toByte toUint8 toInt8 toUint16 toInt16 toShort toUint32 toInt32 toInt toInt64 toLong
toFloat toDouble byte uint8 int8 uint16 int16 short uint32 int32 int64 long float double int mask
selfMask unmask""".split()
by_name.update(
    {name: two_bands(name) for name in PAIRED} | {name: one_band(name) for name in SINGLE}
)


@scripts
def same_names_in_another_order(ee: Any, col: Any) -> Any:
    image = col.first()
    return image.select(["a", "b"]).subtract(image.select(["b", "a"]))


@scripts
def as_many_bands_in_their_order(ee: Any, col: Any) -> Any:
    image = col.first()
    return [
        image.select(["a", "b"]).add(image.select(["c", "q"])),
        image.select(["a", "b"]).gt(image.select(["b", "c"])),
        col.map(lambda img: img.select(["c", "d"]).divide(img.select(["a", "b"]))),
    ]


@scripts
def names_of_the_longer(ee: Any, col: Any) -> Any:
    image = col.first()
    return [
        image.select("a").multiply(image.select(["b", "c"])),
        image.select("a").add(image.select("b")),
        ee.Image(1).subtract(image.select(["b", "c"])),
    ]


@scripts
def normalizedDifference(ee: Any, col: Any) -> Any:
    image = col.first()
    return [
        image.normalizedDifference(),
        image.normalizedDifference(["c", "a"]),
        image.normalizedDifference(["d", "b"]).rename("index"),
        col.map(lambda img: img.normalizedDifference(["c", "a"])),
    ]


@scripts
def unitScale_and_clamp(ee: Any, col: Any) -> Any:
    image = col.first()
    return [
        image.unitScale(-1, 4),
        image.clamp(0, 3),
        image.clamp(-0.5, 2.5),
        col.map(lambda img: img.select("c").unitScale(0, 500).clamp(0, 1)),
    ]


@scripts
def constants(ee: Any, col: Any) -> Any:
    return [
        ee.Image(100).subtract(5),
        ee.Image(250).int16(),
        ee.Image(3).gt(2),
        ee.Image(100).multiply(-1),
        ee.Image([1, 2.5, -3]),
        ee.Image.constant([1, 2]).rename(["one", "two"]).add(1),
        ee.Image.cat(ee.Image(1), ee.Image(2), col.first().select("a")),
        ee.Image([col.first().select("b"), 5]),
        ee.Image(3.7).toByte(),
        ee.Image(1).divide(3),
    ]


@scripts
def casts_of_what_is_out_of_range(ee: Any, col: Any) -> Any:
    image = col.first().select(["b", "c", "d"])
    return [
        image.multiply(100).toByte(),
        image.multiply(100).toInt8(),
        image.multiply(-100).toUint16(),
        image.multiply(0.7).toInt16(),
        image.subtract(300).toFloat(),
    ]


@scripts
def updateMask(ee: Any, col: Any) -> Any:
    image = col.first()
    return [
        image.updateMask(image.select("a").gt(2)),
        image.updateMask(image.select("d")),
        image.updateMask(0),
        image.select(["a", "b"]).updateMask(image.select(["c", "d"])),
        ee.Image(5).updateMask(image.select("a").gt(2)),
        ee.Image.constant([1, 2]).updateMask(image.select("a").gt(2)),
        col.map(lambda img: img.updateMask(img.select("q").gte(0))),
    ]


@scripts
def mask_with_an_image(ee: Any, col: Any) -> Any:
    return col.first().mask(col.first().select("a").neq(3))


@scripts
def unmask(ee: Any, col: Any) -> Any:
    image = col.first()
    return [
        image.unmask(3),
        image.unmask(-20),
        image.unmask(300),
        image.select("a").unmask(image.select("b")),
        image.select(["a", "b"]).unmask(image.select(["c", "d"])),
        image.unmask(col.mosaic()),
        image.select("a").updateMask(image.select("b")).unmask(image.select("q")),
        col.map(lambda img: img.select("c").unmask(7)),
    ]


@scripts
def where(ee: Any, col: Any) -> Any:
    image = col.first()
    a = image.select("a")
    return [
        a.where(a.gt(2), 1),
        a.where(a.mask().Not(), 77),
        a.where(image.select("b").lt(0), image.select("c")),
        image.where(a.eq(2), -5),
        image.where(image.select("d").gt(1), image.select("d")),
        image.select(["a", "b"]).where(image.select(["b", "a"]).gt(1), image.select(["c", "q"])),
        ee.Image(0).where(a.gt(2), 1).where(a.lte(1), 2),
        col.map(lambda img: img.select("q").where(img.select("a").gt(3), 0)),
    ]


@scripts
def where_unmasked_before(ee: Any, col: Any) -> Any:
    return col.map(lambda img: img.unmask(-1).where(img.select("a").mask().Not(), 9))


@scripts
def masks_of_bits(ee: Any, col: Any) -> Any:
    def clear(img: Any) -> Any:
        qa = img.select("c")
        cloud = qa.bitwiseAnd(1 << 3).eq(0)
        shadow = qa.rightShift(4).bitwiseAnd(1).eq(0)
        return img.updateMask(cloud.And(shadow))

    return col.map(clear)


@scripts
def bands(ee: Any, col: Any) -> Any:
    image = col.first()
    return [
        image.select("a", "b"),
        image.select(["c", "a"], ["x1", "x2"]),
        image.select("[ab]"),
        image.select(0, 2),
        image.select([-1]) if False else image.select([4]),
        image.rename("v", "w", "x", "y", "z"),
        image.rename(["v", "w", "time", "id", "orbit"]),
        image.addBands(image.select("a")),
        image.addBands(image.select(["a", "b"]).multiply(2), ["b"], True),
        image.addBands(image.select("a").rename("e")).addBands(ee.Image(1)),
        image.addBands(image.select(["a", "c"]), None, True),
        image.bandNames(),
        col.select(["b", "a"]),
        col.select(["b", "a"], ["one", "two"]),
        col.select("c"),
        col.select(1),
    ]


@scripts
def bits_of_one(ee: Any, col: Any) -> Any:
    whole = col.first().select(["a", "b", "c"])
    return [whole.bitwiseNot(), whole.bitCount(), ee.Image(5).bitwiseNot()]


@scripts
def blend_and_cast(ee: Any, col: Any) -> Any:
    image = col.first()
    return [
        image.select(["a", "b"]).blend(
            image.select(["c", "q"]).updateMask(image.select("a").gt(2))
        ),
        image.cast({"a": "float", "c": "int16"}),
        image.select(["a", "b"]).cast({"b": "double"}, ["b", "a"]),
        ee.Image.rgb(image.select("a"), image.select("b"), ee.Image(7)),
    ]


@scripts
def a_long_one(ee: Any, col: Any) -> Any:
    def quality(img: Any) -> Any:
        bright = img.select("c").multiply(0.001).subtract(0.1).divide(0.4)
        score = ee.Image(1).min(bright).max(0).multiply(100).round().toByte().rename("score")
        hot = img.select("b").gt(2).Or(img.select("d").gt(2.5))
        return (
            img.addBands(score)
            .addBands(img.normalizedDifference(["c", "a"]).rename("index"))
            .updateMask(hot.Not())
        )

    scored = col.map(quality)
    best = scored.qualityMosaic("score")
    return [
        scored,
        best,
        best.select("index").multiply(10000).toInt16().unmask(-1),
        best.where(best.select("score").gt(50), scored.mosaic()),
    ]


@pytest.mark.parametrize(("name", "seed"), [*by_name.cases(1), *scripts.cases(2)])
def test_as_earth_engine(name: str, seed: int) -> None:
    """Band names, dtypes, masks and values are those of Earth Engine as loops."""
    same_on_both({**by_name, **scripts}[name], seed)

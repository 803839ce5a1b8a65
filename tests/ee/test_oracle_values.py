"""Numbers, texts, dates, lists, dictionaries: one script on `qmosaic.ee` and on the loops."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.two_engines import Scripts, same_on_both

scripts = Scripts()
DAYS = ["2020-01-31", "2019-12-30", "2020-02-29T12:30:45", "2021-3-5", "2016-07-01T23:59:59"]


@scripts
def numbers(ee: Any, col: Any) -> Any:
    a = [ee.Number(7), ee.Number(-3), ee.Number(2.5), ee.Number(0)]
    two = "add subtract multiply divide pow mod min max eq neq lt lte gt gte And Or hypot".split()
    one = "abs floor ceil exp sin cos tan Not signum int toInt float toFloat double".split()
    return [
        [getattr(n, name)(2) for n in a for name in two],
        [getattr(n, name)(ee.Number(4)) for n in a for name in two],
        [getattr(n, name)() for n in a for name in one],
        [
            ee.Number(2.25).sqrt(),
            ee.Number(100).log10(),
            ee.Number(8).log(),
            ee.Number(2.6).round(),
        ],
        [ee.Number(2.5).round(), ee.Number(-2.5).round(), ee.Number(-0.4).round()],
        [n.clamp(0, 5) for n in a],
        [n.unitScale(0, 10) for n in a],
        [ee.Number(12).bitwiseAnd(10), ee.Number(12).bitwiseOr(3), ee.Number(12).bitwiseXor(5)],
        [ee.Number(3).leftShift(4), ee.Number(48).rightShift(3)],
        [ee.Number.parse("12"), ee.Number.parse("-2.5"), ee.Number.parse("ff", 16)],
        [ee.Number(3).format("%03d"), ee.Number(2.345).format("%.1f"), ee.Number(7).format()],
    ]


@scripts
def texts(ee: Any, col: Any) -> Any:
    text = ee.String("S2A_MSIL2A_20200101T1000")
    return [
        text.cat("_x").cat(ee.String("y")),
        [text.slice(0, 3), text.slice(4), text.slice(-4), text.slice(4, -5)],
        [text.replace("2A", "2B"), text.replace("2A", "2B", "g"), text.replace("[0-9]+", "#", "g")],
        [text.split("_"), ee.String("a,b;c").split("[,;]"), text.split("_").get(1)],
        [text.length(), text.index("MSI"), text.index("none"), text.rindex("0")],
        [text.toLowerCase(), text.toUpperCase(), ee.String("  a b ").trim()],
        text.match("[0-9]{8}"),
        [text.equals("S2A"), ee.String("a").equals("a")],
        [
            ee.String("a").compareTo("b"),
            ee.String("b").compareTo("b"),
            ee.String("c").compareTo("b"),
        ],
        ee.Number.parse(text.slice(11, 15)).add(1),
    ]


@scripts
def dates(ee: Any, col: Any) -> Any:
    made = [ee.Date(day) for day in DAYS]
    units = ["year", "month", "week", "day", "hour", "minute", "second"]
    patterns = [
        "YYYY-MM-dd",
        "yyyyMMdd",
        "d MMM yyyy",
        "DDD",
        "D",
        "YYYY-MM-dd'T'HH:mm:ss",
        "M/d/YY",
    ]
    return [
        [date.millis() for date in made],
        made,
        [date.advance(n, unit) for date in made for unit in units for n in (1, -13, 2)],
        [date.advance(1.5, unit) for date in made for unit in ["week", "day", "hour"]],
        [date.get(unit) for date in made for unit in units],
        [date.difference(made[0], unit) for date in made for unit in units],
        [date.getRelative("day", "year") for date in made],
        [date.getRelative("day", "month") for date in made],
        [date.getRelative("month", "year") for date in made],
        [date.getRelative("hour", "day") for date in made],
        [date.format(pattern) for date in made for pattern in patterns],
        [date.format() for date in made],
        [date.getFraction(unit) for date in made for unit in ["year", "month", "day"]],
        [date.getRange(unit).start() for date in made for unit in ["year", "month", "day"]],
        [date.getRange(unit).end() for date in made for unit in ["year", "month", "day"]],
        [date.update(2018, 5, 1) for date in made],
        [ee.Date.fromYMD(2020, 2, 5), ee.Date(0), ee.Date(1580428800123), ee.Date(made[2])],
        ee.DateRange("2020-01-01", made[0]).start(),
    ]


@scripts
def lists(ee: Any, col: Any) -> Any:
    a = ee.List([3, 1, 2, 3])
    return [
        [ee.List.sequence(1, 5), ee.List.sequence(0, 10, 5), ee.List.sequence(5, 1, -2)],
        [ee.List.sequence(0, 1, None, 5), ee.List.sequence(2, None, 3, 3), ee.List.repeat("x", 3)],
        [a.size(), a.length(), a.get(0), a.get(-1), a.add(9), a.cat([7, 8]), a.insert(1, 0)],
        [a.set(1, 5), a.remove(3), a.removeAll([3]), a.retainAll([3, 2])],
        [a.replace(3, 4), a.replaceAll(3, 4), a.splice(1, 2, [9]), a.splice(1, 2), a.swap(0, 2)],
        [a.slice(1), a.slice(1, 3), a.slice(0, -1), a.slice(0, 4, 2)],
        [a.reverse(), a.sort(), a.distinct(), a.sort([4, 3, 2, 1])],
        [a.contains(2), a.contains(5), a.containsAll([1, 2]), a.indexOf(3), a.indexOf(8)],
        [a.frequency(3), a.equals([3, 1, 2, 3]), a.join("-"), ee.List(["b", "a"]).sort()],
        [
            ee.List([[1, 2], [3, [4]]]).flatten(),
            a.zip([5, 6, 7, 8]),
            ee.List([[1, 2], [3, 4]]).unzip(),
        ],
        a.map(lambda n: ee.Number(n).multiply(2).add(1)),
        ee.List(["B4", "B3"]).map(lambda name: ee.String(name).cat("_mean")),
        ee.List.sequence(1, 3).map(lambda m: ee.Date.fromYMD(2020, m, 1).format("MMM")),
        ee.List([1, 2, 3]).map(lambda n: ee.List([n, ee.Number(n).pow(2)])),
        a.iterate(lambda n, total: ee.Number(total).add(n), 0),
        a.iterate(
            lambda n, made: ee.List(made).add(ee.Number(n).add(ee.List(made).size())), ee.List([])
        ),
        ee.List([1, None, 2]).map(lambda n: n, True),
        [a.filter(ee.Filter.gt("item", 1)), a.filter(ee.Filter.eq("item", 3)).size()],
    ]


@scripts
def dictionaries(ee: Any, col: Any) -> Any:
    known = ee.Dictionary({"b": 2, "a": 1, "c": "text"})
    return [
        [known, known.keys(), known.values(), known.values(["c", "a"]), known.size()],
        [
            known.get("a"),
            known.get("z", 5),
            known.getNumber("b").add(1),
            known.getString("c").cat("!"),
        ],
        [known.contains("a"), known.contains("z"), known.set("d", [1]), known.select(["a", "b"])],
        [known.combine({"a": 9, "e": 5}), known.combine({"a": 9, "e": 5}, False)],
        [known.remove(["a"]), known.rename(["a"], ["z"]), ee.Dictionary(["x", 1, "y", 2])],
        ee.Dictionary.fromLists(["x", "y"], [1, 2]),
        ee.Dictionary({"a": 1, "b": 2}).map(lambda key, value: ee.Number(value).multiply(10)),
        known.keys().map(lambda key: ee.String(key).toUpperCase()),
    ]


@scripts
def aggregates(ee: Any, col: Any) -> Any:
    return [
        col.aggregate_array("orbit").distinct().sort(),
        col.aggregate_array("mission").reverse(),
        col.aggregate_array("CLOUDY_PIXEL_PERCENTAGE").sort().get(0),
        ee.Date(col.aggregate_array("system:time_start").get(0)).format("YYYY"),
        col.size().add(1).multiply(2),
        col.first().bandNames().map(lambda name: ee.String(name).cat("_x")),
        col.first().bandNames().size(),
        ee.Number(col.first().get("orbit")).add(col.size()),
    ]


@scripts
def properties_of_one(ee: Any, col: Any) -> Any:
    image = col.first()
    more = image.set("year", image.date().get("year"), "note", "n").set(
        {"sun": 31.5, "list": [1, 2]}
    )
    return [
        [image.get(name) for name in ["orbit", "mission", "system:time_start", "system:index"]],
        [image.date(), image.id(), image.getNumber("orbit"), image.getString("mission")],
        [more.get(name) for name in ["year", "note", "sun", "list", "orbit"]],
        more,
        image.set("a", 5).select("a").get("a"),
        image.select("a").set("system:time_start", ee.Date("2020-02-03")).date().format(),
        ee.Image(1).copyProperties(image).get("orbit"),
        ee.Image(1).copyProperties(image, ["system:time_start"]).date(),
        image.metadata("orbit"),
        image.select("a").addBands(image.metadata("system:time_start", "when")),
    ]


@scripts
def numbers_inside_map(ee: Any, col: Any) -> Any:
    def changed(img: Any) -> Any:
        clear = ee.Number(100).subtract(img.get("CLOUDY_PIXEL_PERCENTAGE"))
        day = img.date().getRelative("day", "year").add(1)
        orbit = ee.Number(img.get("orbit"))
        return (
            img.addBands(ee.Image.constant(day).rename("day"))
            .addBands(img.select("c").multiply(orbit).rename("weighted"))
            .addBands(ee.Image(clear).rename("clear").toFloat())
            .set("day", day, "clear", clear, "odd", orbit.mod(2))
        )

    made = col.map(changed)
    return [
        made,
        [made.aggregate_array(name) for name in ["day", "clear", "odd", "orbit"]],
        made.sort("clear").first().get("system:index"),
        made.filter(ee.Filter.gte("day", 1)).size(),
        made.qualityMosaic("day"),
        made.first().select("day").toUint16(),
    ]


@scripts
def dates_inside_map(ee: Any, col: Any) -> Any:
    def changed(img: Any) -> Any:
        date = img.date()
        return img.set(
            {
                "label": date.format("YYYY-MM-dd"),
                "year": date.get("year"),
                "next": date.advance(1, "month").millis(),
                "since": date.difference(ee.Date("2019-01-01"), "day"),
                "season": date.get("month").divide(3).floor(),
            }
        )

    made = col.map(changed)
    names = ["label", "year", "next", "since", "season"]
    return [
        [made.aggregate_array(name) for name in names],
        made.filter(ee.Filter.eq("year", made.first().get("year"))).size(),
        made.map(lambda img: img.addBands(ee.Image.constant(img.get("since")).float().rename("t"))),
    ]


@scripts
def texts_inside_map(ee: Any, col: Any) -> Any:
    def changed(img: Any) -> Any:
        name = ee.String(img.get("mission")).cat("_").cat(ee.String(img.id()).slice(0, 5))
        return img.set("name", name.toUpperCase(), "parts", name.split("_").get(1))

    made = col.map(changed)
    return [made.aggregate_array("name"), made.aggregate_array("parts"), made.select("a")]


@scripts
def metadata_inside_map(ee: Any, col: Any) -> Any:
    made = col.map(
        lambda img: (
            img.addBands(img.metadata("system:time_start", "when"))
            .addBands(img.metadata("orbit"))
            .addBands(img.select("d").multiply(img.metadata("CLOUDY_PIXEL_PERCENTAGE")).rename("e"))
        )
    )
    return [made, made.qualityMosaic("when"), made.qualityMosaic("orbit"), made.select("e").mean()]


@scripts
def the_time_of_an_image(ee: Any, col: Any) -> Any:
    """A reducing of periods: each with its own start."""
    starts = ["2019-01-01", "2019-07-01"]
    images = [
        col.max()
        .select(["a", "d"])
        .set("system:time_start", ee.Date(start).millis(), "start", start)
        for start in starts
    ]
    made = ee.ImageCollection.fromImages(images)
    return [
        made,
        made.aggregate_array("start"),
        made.aggregate_array("system:time_start"),
        made.filterDate("2019-06-01", "2019-08-01").size(),
        made.sort("system:time_start", False).first().get("start"),
    ]


@pytest.mark.parametrize(("name", "seed"), scripts.cases(2))
def test_as_earth_engine(name: str, seed: int) -> None:
    """Values, and the bands and properties made of them, are those of the loops."""
    same_on_both(scripts[name], seed)

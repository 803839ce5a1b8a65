"""Values of Earth Engine: for each image inside map, computed when needed, chosen by conditions."""

from __future__ import annotations

import datetime
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

from qmosaic import ee
from qmosaic.ee.values import Dictionary, later
from tests.support.sources import Forbidden

DAYS = np.array(["2020-01-05", "2020-02-06", "2020-12-31"], "M8[ns]")
CLOUDS = [5.0, 7.5, 9.0]


def stack(*, chunks: Any = None) -> xr.Dataset:
    """Three images of two bands; the first pixel of the first image of band `a` is masked."""
    values = np.arange(1, 13, dtype="uint8").reshape(3, 2, 2)
    values[0, 0, 0] = 0
    made = xr.Dataset(
        {
            "a": (("time", "y", "x"), values, {"_FillValue": np.uint8(0)}),
            "b": (("time", "y", "x"), values + 100),
        },
        {
            "time": DAYS,
            "id": ("time", ["one", "two", "three"]),
            "cloud": ("time", CLOUDS),
            "y": [2.0, 1.0],
            "x": [1.0, 2.0],
        },
    )
    return made if chunks is None else made.chunk(chunks)


def forbidden() -> xr.Dataset:
    """The same, of which no pixel may be read."""
    made = stack()
    for name in made:
        lazy = dask.array.from_array(Forbidden((3, 2, 2), "uint8"), chunks=(1, 2, 2))
        made[name] = (("time", "y", "x"), lazy, made[name].attrs)
    return made


def mean_of(image: ee.Image, band: str = "a") -> Any:
    """A dictionary with the mean of a band, computed when it is needed."""
    values = image.dataset[band]
    images = values.sizes.get("time")

    def means(array: xr.DataArray) -> Any:
        if images is None:
            return {"mean": float(array.mean())}
        return [{"mean": float(one.mean())} for one in array.values]

    return later(Dictionary, means, values, images=images)


def test_a_property_in_map_is_one_value_for_each_image() -> None:
    """What is computed of dates and properties is a band of one number an image, and a property."""

    def dated(image: ee.Image) -> ee.Image:
        day = image.date().getRelative("day", "year").add(1)
        half = ee.Number(image.get("cloud")).divide(2)
        text = ee.String("n_").cat(image.id()).slice(0, 4)
        return (
            image.addBands(ee.Image.constant(day).rename("day"))
            .addBands(image.select("b").multiply(half).rename("half"))
            .set({"day": day, "name": text, "month": image.date().format("MMM")})
        )

    col = ee.ImageCollection(stack()).map(dated)
    days = [datetime.date(2020, m, d).timetuple().tm_yday for m, d in ((1, 5), (2, 6), (12, 31))]
    assert col.aggregate_array("day") == days
    assert col.aggregate_array("name") == ["n_on", "n_tw", "n_th"]
    assert col.aggregate_array("month") == ["Jan", "Feb", "Dec"]
    best = col.qualityMosaic("day").dataset
    assert (best["day"].values == 366).all()
    assert best["day"].dtype == "uint16"
    np.testing.assert_array_equal(best["a"].values, stack()["a"].values[2])
    np.testing.assert_allclose(
        col.dataset["half"].values,
        stack()["b"].values * (np.array(CLOUDS) / 2)[:, None, None],
    )


def test_times_in_map_are_whole_numbers() -> None:
    """Milliseconds since 1970 are int64, in a band as in a property."""
    col = ee.ImageCollection(stack()).map(
        lambda image: image.addBands(ee.Image.constant(image.date().millis()).rename("ms"))
    )
    wanted = DAYS.astype("M8[ms]").astype("int64")
    assert col.dataset["ms"].dtype == "int64"
    np.testing.assert_array_equal(col.dataset["ms"].values, wanted)


def test_what_depends_on_pixels_is_computed_when_it_is_needed() -> None:
    """Nothing is read before a filter, a band or getInfo() asks for it."""

    def with_mean(image: ee.Image) -> ee.Image:
        mean = ee.Number(mean_of(image).get("mean"))
        doubled = ee.Image.constant(mean.multiply(2)).rename("doubled")
        return image.set("mean", mean).addBands(doubled).addBands(image.gt(mean).rename("c", "d"))

    untouched = ee.ImageCollection(forbidden()).map(with_mean)
    assert untouched.qualityMosaic("doubled").bandNames() == ["a", "b", "doubled", "c", "d"]
    for chunks in (None, {"time": 1}, {"time": 2, "x": 1}):
        col = ee.ImageCollection(stack(chunks=chunks)).map(with_mean)
        means = stack()["a"].values.reshape(3, 4).mean(axis=1)
        assert col.aggregate_array("mean") == list(means)
        assert col.filter(ee.Filter.gt("mean", 6)).size() == 2
        np.testing.assert_allclose(col.dataset["doubled"].values, means * 2)
        above = stack()["b"].values > means[:, None, None]
        np.testing.assert_array_equal(col.dataset["d"].values, above)
        assert col.first().get("mean").getInfo() == means[0]


def test_one_value_is_computed_when_it_is_needed() -> None:
    """getInfo() reads the pixels that a value is made of; one can calculate with it before."""
    untouched = ee.ImageCollection(forbidden()).first()
    mean = ee.Number(mean_of(untouched).get("mean")).add(1)
    assert "getInfo()" in repr(mean)
    assert untouched.subtract(mean).set("mean", mean).bandNames() == ["a", "b"]
    image = ee.ImageCollection(stack(chunks={"x": 1})).first()
    mean = ee.Number(mean_of(image, "b").get("mean")).add(1)
    values = stack()["b"].values[0]
    assert mean.getInfo() == values.mean() + 1
    np.testing.assert_allclose(
        image.select("b").subtract(mean).dataset["b"].values, values - values.mean() - 1
    )


def test_functions_that_need_single_images_are_called_for_each() -> None:
    """Another collection filtered by the date of each image: as in Earth Engine."""
    col = ee.ImageCollection(stack())

    def before(image: ee.Image) -> ee.Image:
        earlier = col.filterDate(image.date().advance(-40, "day"), image.date())
        return image.addBands(earlier.select("b").count().rename("earlier"))

    made = col.filterDate("2020-02-01", "2020-03-01").map(before)
    assert made.dataset["earlier"].values.tolist() == [[[1, 1], [1, 1]]]


def test_conditions_choose_for_each_image() -> None:
    """If takes for each image the one or the other: pixels, masks and properties."""
    col = ee.ImageCollection(stack(chunks={"time": 1}))

    def chosen(image: ee.Image) -> Any:
        cloudy = ee.Number(image.get("cloud")).gt(6)
        return ee.Algorithms.If(
            cloudy, image.select("a").multiply(2), image.select("a").set("kind", "clear")
        )

    made = col.map(chosen)
    source = stack()["a"].values.astype(int)
    wanted = np.stack([source[0], source[1] * 2, source[2] * 2])
    valid = made.dataset["a"].values != made.dataset["a"].attrs["_FillValue"]
    assert not valid[0, 0, 0]
    assert valid.sum() == 11
    np.testing.assert_array_equal(made.dataset["a"].values[valid], wanted[valid])
    assert made.aggregate_array("kind") == ["clear"]
    numbers = col.map(
        lambda i: i.set("n", ee.Algorithms.If(ee.Number(i.get("cloud")).gt(6), 1, i.get("cloud")))
    )
    assert numbers.aggregate_array("n") == [5, 1, 1]
    other_bands = col.map(
        lambda i: ee.Algorithms.If(ee.Number(i.get("cloud")).gt(6), i.select("a"), i)
    )
    assert other_bands.aggregate_array("system:band_names") == [["a", "b"], ["a"], ["a"]]
    dropped = col.map(
        lambda i: ee.Algorithms.If(ee.Number(i.get("cloud")).gt(6), i, None), dropNulls=True
    )
    assert dropped.aggregate_array("system:index") == ["two", "three"]


def test_lazy_texts_stay_whole() -> None:
    """Images one by one make a collection whose ids are whole, also where these are lazy."""
    one, two, three = (ee.Image(stack(chunks={"time": 1}).isel(time=i)) for i in range(3))
    made = ee.ImageCollection([one, three, two])
    assert made.aggregate_array("system:index") == ["one", "three", "two"]


@pytest.mark.parametrize("false", [0, 0.0, float("nan"), None, "", [], {}, False])
def test_what_is_false(false: Any) -> None:
    """False are 0, NaN, null, an empty text, list and dictionary; all else is true."""
    assert ee.Algorithms.If(false, "yes", "no") == "no"
    for true in (1, -0.5, "0", [0], {"a": 0}, ee.Image(0)):
        assert ee.Algorithms.If(true, "yes", "no") == "yes"


def test_a_value_in_an_if_of_python_is_refused() -> None:
    """Python's `if` cannot know a value of each image, or one that is not computed."""
    col = ee.ImageCollection(stack())
    with pytest.raises(TypeError, match=r"in an if.*ee\.Algorithms\.If"):
        col.map(lambda image: image if image.get("cloud").gt(6) else image.multiply(2))
    with pytest.raises(AttributeError, match=r"ee\.Date\.weekday is not supported"):
        col.map(lambda image: image.set("day", image.date().weekday()))
    with pytest.raises(AttributeError, match=r"ee\.Number\.flor is not supported.*Did you mean"):
        ee.Number(3).flor()
    with pytest.raises(AttributeError, match=r"ee\.List\.gett is not supported.*Did you mean get"):
        ee.List([3]).gett(0)


def test_an_empty_collection_has_images_without_bands() -> None:
    """A month without images gives an image without bands, which listContains can leave out."""
    col = ee.ImageCollection(stack())
    empty = col.filterDate("2019-01-01", "2019-02-01")
    assert empty.size() == 0
    for made in (empty.first(), empty.mosaic(), empty.median(), empty.qualityMosaic("a")):
        assert made.bandNames() == []
        with pytest.raises(ValueError, match=r"has no bands.*'2019-01-01'.*left none of 3 images"):
            made.select("a")
    assert empty.map(lambda image: image.multiply(2)).size() == 0
    months = ee.List.sequence(1, 12).map(
        lambda m: col.filter(ee.Filter.calendarRange(m, m, "month")).max().set("month", m)
    )
    year = ee.ImageCollection.fromImages(months)
    assert year.size() == 12
    names = year.aggregate_array("system:band_names")
    assert [len(one) for one in names] == [2, 2, *[0] * 9, 2]
    np.testing.assert_array_equal(year.mosaic().dataset["b"].values, stack()["b"].values[2])
    assert year.merge(empty).size() == 12
    begun = ee.ImageCollection([]).merge(col.limit(2))  # as loops begin
    assert begun.size() == 2
    assert ee.ImageCollection([]).mosaic().bandNames() == []


def test_a_band_that_some_images_lack_is_masked_in_them() -> None:
    """Images with other bands go together; a band that is not there is no candidate."""
    col = ee.ImageCollection(stack())
    both = col.select("a").merge(col.select("b").limit(1))
    assert both.dataset["b"].attrs["_FillValue"] == 65535  # every value of uint8 may be one of b
    lacking = both.dataset["b"].values == 65535
    assert lacking[:3].all()
    assert not lacking[3].any()
    np.testing.assert_array_equal(both.mosaic().dataset["b"].values, stack()["b"].values[0])
    again = both.merge(col.limit(1))
    assert again.aggregate_array("system:band_names") == [["a"]] * 3 + [["b"], ["a", "b"]]
    assert again.select("a").aggregate_array("system:band_names") == [["a"]] * 3 + [[], ["a"]]
    assert again.map(lambda i: i.set("n", i.bandNames().size())).aggregate_array("n") == [
        1,
        1,
        1,
        1,
        2,
    ]


def test_lists_and_texts_are_properties() -> None:
    """Lists, dates and dictionaries are set, stacked and got as they are."""
    image = ee.ImageCollection(stack()).first()
    rich = image.set({"list": ["VV", "VH"], "bounds": {"west": 1}, "day": ee.Date("2020-05-01")})
    assert rich.get("list").contains("VH")
    assert rich.get("bounds").get("west") == 1
    assert rich.get("day") == ee.Date("2020-05-01").millis()
    pair = ee.ImageCollection.fromImages([rich, image])
    assert pair.aggregate_array("list") == [["VV", "VH"]]


def test_dates_of_a_calendar() -> None:
    """Parts, differences and formats of dates, against Python's calendar."""
    rng = np.random.default_rng(3)
    for days in rng.integers(0, 30_000, 60):
        day = datetime.datetime(1970, 1, 1) + datetime.timedelta(days=int(days), hours=7)
        date = ee.Date(day)
        assert date.format("yyyy-M-d") == f"{day.year}-{day.month}-{day.day}"
        assert date.format("D EEE ww") == f"{day.timetuple().tm_yday} {day:%a} {day:%V}"
        assert date.getRelative("month", "year") == day.month - 1
        assert date.getRelative("day", "month") == day.day - 1
        assert date.getRelative("hour", "day") == 7
        assert date.get("week") == day.isocalendar().week
        assert date.difference(ee.Date("1970-01-01T07:00"), "day") == days
        ends = date.getRange("month")
        assert ends.contains(day)
        assert ends.start().get("day") == 1
        assert ends.end().difference(ends.start(), "day") in (28, 29, 30, 31)
    assert ee.Date("2020-03-01").difference("2019-03-01", "year") == 366 * 86_400 / 31_556_952
    assert ee.Date("2020-06-01", "America/New_York").format() == "2020-06-01T04:00:00"
    assert ee.Date("2020-06-01T02:00").format("d", "America/New_York") == "31"
    with pytest.raises(ValueError, match="larger than the first"):
        ee.Date("2020-06-01").getRelative("year", "month")


def test_values_refuse_what_they_are_not() -> None:
    """A text is no number, a number no text: what came, and what to write."""
    for wrong, message in (
        (lambda: ee.Number("5"), r"ee\.Number\.parse"),
        (lambda: ee.String(5), r"format\('%d'\)"),
        (lambda: ee.List("abc"), r"ee\.List\(\[\.\.\.\]\)"),
        (lambda: ee.Dictionary(5), "names and values"),
    ):
        with pytest.raises(TypeError, match=message):
            wrong()  # type: ignore[no-untyped-call]
    with pytest.raises(KeyError, match="there is no such name, only 'a'"):
        ee.Dictionary({"a": 1}).get("b")
    with pytest.raises(IndexError, match="2 entries"):
        ee.List([1, 2]).get(2)


def test_numbers_that_do_not_exist_are_nan() -> None:
    """Arithmetic on numbers raises no error of Python: NaN where there is none, else infinity."""
    below = ee.Number(-3)
    none = [below.log(), below.sqrt(), below.asin(), below.pow(0.5), ee.Number(7).mod(0)]
    assert all(np.isnan(one) for one in none)
    assert np.isnan(ee.Number(float("nan")).floor())
    assert ee.Number(1000).exp() == ee.Number(10).pow(400) == float("inf")

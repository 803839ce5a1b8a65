"""Joined and linked collections have the images that loops over properties find."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import qmosaic as qm
from qmosaic import ee
from tests.support.sources import in_store, random_stack

DAY = 24 * 3600 * 1000
MASKED = 255


def images(band: str, count: int, seed: int, chunks: bool = True) -> ee.ImageCollection:
    """Make images on irregular days, some of the same tile, some without a cloud cover."""
    rng = np.random.default_rng(seed)
    days = np.sort(rng.choice(40, count, replace=False))
    cover = np.where(rng.random(count) < 0.2, np.nan, rng.integers(0, 5, count))
    values = rng.integers(0, 250, (count, 4, 4)).astype("uint8")
    made = xr.Dataset(
        {band: (("time", "y", "x"), values, {"_FillValue": np.uint8(MASKED), "unit": "%"})},
        {
            "time": np.datetime64("2020-01-01", "ns") + days * np.timedelta64(1, "D"),
            "y": np.arange(4.0),
            "x": np.arange(4.0),
            "id": ("time", [f"{band}{day}" for day in days]),
            "day": ("time", days),
            "tile": ("time", rng.choice(["T1", "T2", "T3"], count)),
            "cover": ("time", cover),
        },
    )
    if chunks:
        made[band] = made[band].chunk(time=1, y=2, x=2)
    return ee.ImageCollection(made)


def rows(collection: ee.ImageCollection) -> list[dict[str, Any]]:
    """Give the images as dictionaries of their properties, and their pixels."""
    dataset = collection.dataset
    return [
        {
            **{n: dataset[n].values[place] for n in ("id", "day", "tile", "cover")},
            "pixels": next(iter(dataset.data_vars.values())).values[place],
        }
        for place in range(dataset.sizes["time"])
    ]


SAME_TILE = ee.Filter.equals(leftField="tile", rightField="tile")
NEAR = ee.Filter.maxDifference(4 * DAY, "system:time_start", None, "system:time_start")
CONDITIONS: dict[str, tuple[Any, Callable[[Any, Any], bool]]] = {
    "same tile": (SAME_TILE, lambda a, b: a["tile"] == b["tile"]),
    "near": (NEAR, lambda a, b: abs(a["day"] - b["day"]) <= 4),
    "both": (
        ee.Filter.And(NEAR, SAME_TILE),
        lambda a, b: abs(a["day"] - b["day"]) <= 4 and a["tile"] == b["tile"],
    ),
    "clearer": (
        ee.Filter.lessThan(leftField="cover", rightField="cover"),
        lambda a, b: a["cover"] < b["cover"],
    ),
    "either": (
        ee.Filter.Or(SAME_TILE, NEAR).Not(),
        lambda a, b: a["tile"] != b["tile"] and abs(a["day"] - b["day"]) > 4,
    ),
    "of one": (ee.Filter.gt("cover", 2), lambda a, b: a["cover"] > 2),
}


def matched(joined: ee.ImageCollection, key: str, band: str) -> list[Any]:
    """Give the pixels of the match of each image, None where it is masked everywhere."""
    taken = joined.map(lambda img: ee.Image(img.get(key)).select(band))
    stack = taken.dataset[band].values
    return [None if (one == MASKED).all() else one.tolist() for one in stack]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_joins(condition: str) -> None:
    """Each join finds the pairs that two loops find; what it saves are the matched images."""
    filter, rule = CONDITIONS[condition]
    first, second = images("a", 9, 2), images("b", 12, 12)
    ours, theirs = rows(first), rows(second)
    found = [[n for n, b in enumerate(theirs) if rule(a, b)] for a in ours]

    def kept(joined: ee.ImageCollection) -> list[str]:
        return joined.aggregate_array("id").getInfo() if joined.size() else []

    there = [a["id"] for a, pairs in zip(ours, found, strict=True) if pairs]
    assert kept(ee.Join.simple().apply(first, second, filter)) == there
    missing = [a["id"] for a, pairs in zip(ours, found, strict=True) if not pairs]
    assert kept(ee.Join.inverted().apply(first, second, filter)) == missing

    saved = ee.Join.saveFirst("m").apply(first, second, filter)
    assert kept(saved) == there
    assert matched(saved, "m", "b") == [
        theirs[pairs[0]]["pixels"].tolist() for pairs in found if pairs
    ]

    def latest(pairs: list[int]) -> Any:
        return theirs[max(pairs)]["pixels"].tolist() if pairs else None

    saved = ee.Join.saveFirst("m", "day", False, outer=True).apply(first, second, filter)
    assert kept(saved) == [a["id"] for a in ours]
    assert matched(saved, "m", "b") == [latest(pairs) for pairs in found]

    pairs = ee.Join.inner("p", "s").apply(first, second, filter)
    wanted = [(a, n) for a, listed in zip(ours, found, strict=True) for n in listed]
    assert matched(pairs, "p", "a") == [a["pixels"].tolist() for a, _ in wanted]
    assert matched(pairs, "s", "b") == [theirs[n]["pixels"].tolist() for _, n in wanted]

    every = ee.Join.saveAll("all", "day").apply(first, second, filter)
    assert kept(every) == there
    of_each = [[one.get("id") for one in img.get("all")] for img in every.toList()]
    assert of_each == [[theirs[n]["id"] for n in listed] for listed in found if listed]


@pytest.mark.parametrize("condition", ["near", "both"])
def test_the_best_match(condition: str) -> None:
    """It is the one that is least apart, the first of equals; how far it is stands in the match."""
    filter, rule = CONDITIONS[condition]
    first, second = images("a", 9, 3), images("b", 12, 4)
    wanted = []
    for a in rows(first):
        best: Any = None
        for b in rows(second):
            apart = abs(a["day"] - b["day"])
            if rule(a, b) and (best is None or apart < best[0]):
                best = (apart, b["pixels"].tolist())
        wanted.append(best)
    joined = ee.Join.saveBest("m", "apart", outer=True).apply(first, second, filter)
    assert matched(joined, "m", "b") == [best and best[1] for best in wanted]
    assert None in wanted or condition == "near"
    inner = ee.Join.saveBest("m", "apart").apply(first, second, filter)
    far = inner.map(lambda img: img.set("far", ee.Image(img.get("m")).getNumber("apart")))
    there = [best[0] * DAY for best in wanted if best is not None]
    assert far.aggregate_array("far") == there
    assert [ee.Image(img.get("m")).get("apart") for img in inner.toList()] == there
    dated = inner.map(lambda img: img.set("then", ee.Image(img.get("m")).date().millis()))
    days = inner.aggregate_array("system:time_start")
    apart = np.abs(np.array(dated.aggregate_array("then")) - np.array(days))
    assert apart.tolist() == there


def test_matches_follow_their_images() -> None:
    """Through filters, sorting, merging and a pickle; they are no bands, of a mosaic either."""
    first, second = images("a", 9, 5), images("b", 12, 6)
    joined = ee.Join.saveFirst("m").apply(first, second, SAME_TILE)
    tiles = {a["id"]: a["tile"] for a in rows(first)}

    def check(collection: ee.ImageCollection) -> None:
        seen = collection.map(lambda img: img.set("other", ee.Image(img.get("m")).get("tile")))
        names = seen.aggregate_array("id")
        assert seen.size()
        assert seen.aggregate_array("other") == [tiles[name] for name in names]

    check(joined)
    check(joined.sort("cover", False))
    check(joined.filter(ee.Filter.gt("day", 10)))
    check(joined.merge(joined.limit(2)))
    check(joined.map(lambda img: img.addBands(img.add(1).rename("c")).select("c")))
    check(ee.ImageCollection(pickle.loads(pickle.dumps(joined.dataset))))
    other = ee.Join.saveFirst("m").apply(first, images("b", 8, 8), SAME_TILE)
    check(joined.merge(other))
    assert joined.first().bandNames() == ["a"]
    assert list(joined.qualityMosaic("a").dataset) == ["a"]
    assert "m" not in joined.qualityMosaic("a").dataset.coords


def test_idioms() -> None:
    """The ways in which scripts take what was joined."""
    first, second = images("a", 9, 5), images("b", 12, 6)
    pairs = ee.Join.inner().apply(first, second, SAME_TILE)
    both = ee.ImageCollection(
        pairs.map(lambda f: ee.Image(f.get("primary")).addBands(ee.Image(f.get("secondary"))))
    )
    cat = pairs.map(lambda f: ee.Image.cat(f.get("primary"), f.get("secondary")))
    xr.testing.assert_identical(both.dataset[["a", "b"]], cat.dataset[["a", "b"]])
    assert both.first().get("tile") == rows(first)[0]["tile"]
    cast = pairs.map(lambda f: ee.Image(ee.Feature(f).get("secondary")))
    np.testing.assert_array_equal(cast.dataset["b"].values, both.dataset["b"].values)
    days = cast.aggregate_array("day").getInfo()
    early = cast.filterDate("2020-01-01", "2020-01-12")
    assert early.aggregate_array("day") == [day for day in days if day < 11]
    every = ee.Join.saveAll("all").apply(first, second, SAME_TILE)
    highest = every.map(lambda i: i.addBands(ee.ImageCollection.fromImages(i.get("all")).max()))
    wanted = [
        np.max([b["pixels"] for b in rows(second) if b["tile"] == a["tile"]], axis=0)
        for a in rows(every)
    ]
    np.testing.assert_array_equal(highest.dataset["b"].values, np.array(wanted))
    single = first.first().set("mask", second.first())
    np.testing.assert_array_equal(
        ee.Image(single.get("mask")).dataset["b"].values, rows(second)[0]["pixels"]
    )
    marked = first.map(lambda img: img.set("own", img.gt(100)))
    wanted = [one["pixels"] > 100 for one in rows(first)]
    own = marked.map(lambda img: ee.Image(img.get("own")))
    np.testing.assert_array_equal(own.dataset["a"].values, wanted)


def test_features_are_joined() -> None:
    """Features are joined by their properties and by where they lie, with features and images."""
    left = [ee.Feature(ee.Geometry.BBox(n, 0, n + 1, 1), {"n": n}) for n in range(4)]
    right = [ee.Feature(ee.Geometry.Point(n, 0.5), {"n": n, "name": f"p{n}"}) for n in (2, 1)]
    primary, secondary = ee.FeatureCollection(left), ee.FeatureCollection(right)
    same = ee.Filter.equals(leftField="n", rightField="n")
    touching = ee.Filter.intersects(leftField=".geo", rightField=".geo")
    assert ee.Join.simple().apply(primary, secondary, touching).aggregate_array("n") == [0, 1, 2]
    assert ee.Join.inverted().apply(primary, secondary, same).aggregate_array("n") == [0, 3]
    saved = ee.Join.saveFirst("m").apply(primary, secondary, same)
    named = saved.map(lambda f: f.set("name", ee.Feature(f.get("m")).get("name")))
    assert named.aggregate_array("name") == ["p1", "p2"]
    pairs = ee.Join.inner().apply(primary, secondary, touching)
    assert pairs.map(
        lambda f: ee.Feature(f.get("primary")).copyProperties(f.get("secondary"), ["name"])
    ).aggregate_array("name") == ["p1", "p2", "p1", "p2"]
    every = ee.Join.saveAll("all", "n").apply(primary, secondary, touching)
    assert [[one.get("n") for one in f.get("all")] for f in every.toList()] == [[1], [1, 2], [2]]
    of_images = ee.Join.saveFirst("image").apply(
        ee.FeatureCollection([ee.Feature(None, {"tile": "T2"})]), images("a", 9, 5), SAME_TILE
    )
    assert ee.Image(of_images.first().get("image")).get("tile") == "T2"


# -- linked collections ----------------------------------------------------------------------------


def with_ids(collection: ee.ImageCollection, names: list[str]) -> ee.ImageCollection:
    return ee.ImageCollection(collection.dataset.assign_coords(id=("time", names)))


@pytest.mark.parametrize("chunks", [True, False])
def test_linked_collections(chunks: bool) -> None:
    """Bands and properties of the image with the same id; without one, masked and missing. Linked
    bands replace those of their name; dtypes, nodata and attributes stay."""
    own = with_ids(images("a", 5, 1, chunks), ["p", "q", "r", "s", "t"])
    other = with_ids(images("b", 4, 2, chunks), ["t", "x", "q", "q"])
    other = other.map(lambda img: img.addBands(img.select("b").rename("a")))
    linked = own.linkCollection(other, ["b", "a"], ["cover", "tile"])
    theirs = {row["id"]: row for row in reversed(rows(other))}
    for place, name in enumerate(["p", "q", "r", "s", "t"]):
        image = linked.dataset.isel(time=place)
        row = theirs.get(name)
        wanted = np.full((4, 4), MASKED) if row is None else row["pixels"]
        for band in ("a", "b"):
            np.testing.assert_array_equal(image[band].values, wanted)
        tile = image["tile"].item()
        assert pd.isna(tile) if row is None else tile == row["tile"]
        np.testing.assert_equal(image["cover"].item(), np.nan if row is None else row["cover"])
        assert image["day"].item() == rows(own)[place]["day"]
    assert linked.dataset["b"].dtype == "uint8"
    assert linked.dataset["b"].attrs["_FillValue"] == MASKED
    assert linked.dataset["b"].attrs["unit"] == "%"
    whole = own.linkCollection(own.select("a").map(lambda i: i.rename("c")), "c")
    np.testing.assert_array_equal(whole.dataset["c"].values, own.dataset["a"].values)
    by_day = own.linkCollection(own, linkedProperties="tile", matchPropertyName="day")
    assert by_day.aggregate_array("tile") == own.aggregate_array("tile")


def test_a_single_image_is_linked() -> None:
    """`Image.linkCollection` does for one image what the collection's does for all."""
    own = with_ids(images("a", 3, 1), ["p", "q", "r"])
    other = with_ids(images("b", 2, 2), ["q", "x"])
    linked = own.linkCollection(other, ["b"], ["cover"])
    for place, image in enumerate(own.toList()):
        one = image.linkCollection(other, ["b"], ["cover"]).dataset
        want = linked.dataset.isel(time=place)
        np.testing.assert_array_equal(one["b"].values, want["b"].values)
        np.testing.assert_equal(one["cover"].item(), want["cover"].item())
    inside = own.map(lambda img: img.linkCollection(other, "b"))
    np.testing.assert_array_equal(inside.dataset["b"].values, linked.dataset["b"].values)


def test_a_band_without_nodata_is_linked() -> None:
    """An integer band that declares no nodata gets one where an image is missing, and then only."""
    own, other = with_ids(images("a", 3, 1), ["p", "q", "r"]), images("b", 3, 2)
    bare = other.dataset.copy()
    bare["b"].attrs.clear()
    every = ee.ImageCollection(bare.assign_coords(id=("time", ["r", "p", "q"])))
    assert own.linkCollection(every, "b").dataset["b"].dtype == "uint8"
    some = ee.ImageCollection(bare.assign_coords(id=("time", ["r", "p", "x"])))
    linked = own.linkCollection(some, "b").dataset["b"]
    assert linked.dtype == "uint16"
    assert (linked[1] == linked.attrs["_FillValue"]).all()
    np.testing.assert_array_equal(linked[0], bare["b"][1])
    floats = ee.ImageCollection(some.dataset.astype("float32"))
    assert own.linkCollection(floats, "b").dataset["b"].dtype == "float32"
    assert np.isnan(own.linkCollection(floats, "b").dataset["b"][1]).all()


def test_an_empty_collection_is_linked_and_joined() -> None:
    """Of a collection without images nothing matches: bands are masked, joins are empty."""
    own, other = images("a", 3, 1), images("b", 3, 2)
    empty = other.filter(ee.Filter.eq("tile", "none"))
    linked = own.linkCollection(empty, "b", "cover")
    assert (linked.dataset["b"] == MASKED).all()
    assert np.isnan(linked.dataset["cover"]).all()
    assert ee.Join.saveFirst("m").apply(own, empty, SAME_TILE).size() == 0
    assert ee.Join.saveBest("m").apply(own, empty, NEAR).size() == 0
    assert ee.Join.inverted().apply(own, empty, SAME_TILE).size() == 3
    assert ee.Join.inner().apply(empty, own, SAME_TILE).size() == 0
    assert own.combine(empty).size() == 0


def test_combined_collections() -> None:
    """All bands of the images of one id; images without one are left out."""
    own = with_ids(images("a", 4, 1), ["p", "q", "r", "s"])
    other = with_ids(images("a", 3, 2), ["s", "x", "q"])
    both = own.combine(other)
    assert both.aggregate_array("id") == ["q", "s"]
    ours, theirs = rows(own), rows(other)
    np.testing.assert_array_equal(both.dataset["a"].values, [ours[1]["pixels"], ours[3]["pixels"]])
    np.testing.assert_array_equal(
        both.dataset["a_1"].values, [theirs[2]["pixels"], theirs[0]["pixels"]]
    )
    over = own.combine(other, True)
    assert over.first().bandNames() == ["a"]
    np.testing.assert_array_equal(over.dataset["a"][0], theirs[2]["pixels"])


def test_images_one_by_one() -> None:
    """Lists of images, loops over them, the first of each value of a property."""
    own = images("a", 6, 1)
    listed = own.toList(3, 2)
    assert [image.get("id") for image in listed] == [row["id"] for row in rows(own)[2:5]]
    assert own.toList(50).size() == 6
    np.testing.assert_array_equal(
        ee.Image(listed.get(0)).dataset["a"].values, rows(own)[2]["pixels"]
    )
    total = own.iterate(lambda image, so_far: ee.Image(so_far).add(image), ee.Image(0))
    np.testing.assert_array_equal(
        total.dataset["constant"], own.dataset["a"].values.astype(int).sum(axis=0)
    )
    days = own.iterate(lambda image, seen: ee.List(seen).add(image.get("day")), ee.List([]))
    assert days == [row["day"] for row in rows(own)]
    seen: list[str] = []
    for row in rows(own):
        seen += [row["tile"]] if row["tile"] not in seen else []
    assert own.distinct("tile").aggregate_array("tile") == seen
    assert own.distinct(["tile", "day"]).size() == 6


# -- what is read ----------------------------------------------------------------------------------


def test_what_is_joined_is_lazy_and_goes_the_fast_way(tmp_path: Path) -> None:
    """Joining and linking read nothing; the mosaic is a task for each block, and reads of the bands
    those images alone that won there: one image a block here."""
    count, side, size = 10, 16, 8
    rng = np.random.default_rng(0)
    score = rng.integers(0, 50, (count, side, side)).astype("uint8")
    for y in range(0, side, size):
        for x in range(0, side, size):
            score[rng.integers(count), y : y + size, x : x + size] = 90
    red = {"red": random_stack(count, side)["red"]}
    bands, of_bands = in_store(red, tmp_path / "red.zarr", (1, size, size))
    scores, of_scores = in_store({"score": score}, tmp_path / "score.zarr", (1, size, size))
    names = np.array([f"S{n}" for n in range(count)])
    own = ee.ImageCollection(bands.assign_coords(id=("time", names)))
    order = rng.permutation(count)
    other = scores.assign_coords(id=("time", names)).isel(time=order)
    with dask.config.set(scheduler=lambda *_, **__: pytest.fail("something was computed")):
        other = ee.ImageCollection(other)
        same = ee.Filter.equals(leftField="system:index", rightField="system:index")
        saved = ee.Join.saveFirst("m").apply(own, other, same)
        pairs = ee.Join.inner().apply(own, other, same)
        linked = own.linkCollection(other, ["score"])
        made = {
            "linked": linked,
            "sorted": linked.sort("system:index", False),
            "saved": saved.map(lambda i: i.addBands(ee.Image(i.get("m")).select("score"))),
            "pairs": pairs.map(lambda f: ee.Image.cat(f.get("primary"), f.get("secondary"))),
        }
        mosaics = {n: c.qualityMosaic("score", masked="keep") for n, c in made.items()}
        explained = {name: qm.explain(one.dataset) for name, one in mosaics.items()}
    assert not of_bands.chunks("red")
    assert not of_scores.chunks("score")
    want = np.take_along_axis(red["red"], score.argmax(axis=0)[None], axis=0)[0]
    for name, mosaic in mosaics.items():
        assert explained[name].tasks == explained[name].blocks + 2, name
        of_bands.reads.clear()
        with dask.config.set(scheduler="synchronous"):
            np.testing.assert_array_equal(mosaic.dataset["red"].values, want)
        assert sum(of_bands.chunks("red").values()) == (side // size) ** 2, name


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda a, b: ee.Join.saveBest("m").apply(a, b, SAME_TILE),
            ValueError,
            r"how far apart.*equals.*maxDifference\(difference",
        ),
        (
            lambda a, b: ee.Join.saveBest("m").apply(a, b, ee.Filter.Or(NEAR, NEAR)),
            ValueError,
            "how far apart",
        ),
        (lambda a, b: ee.Join.simple().apply(a, b, "id"), TypeError, "got a str as condition"),
        (lambda a, b: ee.Join.simple().apply(a, 5, NEAR), TypeError, "got a int.*FeatureCollect"),
        (lambda a, b: a.linkCollection(b), ValueError, "neither bands nor properties.*Name them"),
        (lambda a, b: a.linkCollection(b, ["c"]), KeyError, "'c'"),
        (lambda a, b: a.linkCollection(b, "b", None, "SUN"), KeyError, "no property 'SUN'"),
        (lambda a, b: ee.Join.saveWorst, AttributeError, "saveWorst is not supported"),
    ],
)
def test_what_cannot_be_joined(
    call: Callable[[Any, Any], Any], error: type[Exception], message: str
) -> None:
    """What came, why it cannot work, what to write instead."""
    with pytest.raises(error, match=message):
        call(images("a", 3, 1), images("b", 3, 2))


def test_a_join_by_a_property_that_none_has() -> None:
    """No pair meets a condition on a property that no image has; a warning says so."""
    a, b = images("a", 3, 1), images("b", 3, 2)
    by = ee.Filter.equals(leftField="SUN", rightField="tile")
    with pytest.warns(UserWarning, match="no property 'SUN'.*'tile'"):
        assert ee.Join.simple().apply(a, b, by).size() == 0

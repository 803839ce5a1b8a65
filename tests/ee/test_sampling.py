"""Features made of pixels: reductions of regions, samples; against loops over pixels."""

from __future__ import annotations

import statistics
from typing import Any

import dask.array as da
import numpy as np
import odc.geo.xr
import pytest
import xarray as xr

from qmosaic import ee
from tests.support.sources import Forbidden

assert odc.geo.xr is not None

CRS = "EPSG:32633"
HEIGHT, WIDTH = 6, 8


def image(bands: int = 2) -> xr.Dataset:
    """Make an image in which every fifth pixel of the second band is masked."""
    numbers = np.arange(HEIGHT * WIDTH, dtype="uint16").reshape(HEIGHT, WIDTH)
    given = {
        "B4": (("y", "x"), numbers + 1, {"_FillValue": 0}),
        "B8": (("y", "x"), np.where(numbers % 5 == 0, 0, 100 - numbers), {"_FillValue": 0}),
    }
    return xr.Dataset(
        dict(list(given.items())[:bands]),
        {"y": 10.0 * np.arange(HEIGHT)[::-1] + 5, "x": 10.0 * np.arange(WIDTH) + 5},
    ).odc.assign_crs(CRS)


def box(west: float, south: float, east: float, north: float, **properties: Any) -> Any:
    return ee.Feature(ee.Geometry.Rectangle([west, south, east, north], CRS), properties)


def rows(images: xr.Dataset, west: float, south: float, east: float, north: float) -> Any:
    """List x, y and the values of all bands, None where they are masked, row by row."""
    found = []
    for row, y in enumerate(images["y"].values.tolist()):
        for column, x in enumerate(images["x"].values.tolist()):
            if west <= x <= east and south <= y <= north:
                values = [band.values[row, column].item() or None for band in images.values()]
                found.append((x, y, values))
    return found


def info(features: Any) -> list[dict[str, Any]]:
    return [one["properties"] for one in features.getInfo()["features"]]


def test_regions_get_what_a_reducer_gives() -> None:
    """As properties beside their own: called as the output where the image has one band, as the
    band where the reducer has one output, else as both; None where no pixel counts."""
    images = image()
    boxes = {"a": (0, 0, 30, 40), "b": (20, 20, 80, 60), "far": (900, 900, 950, 950)}
    regions = ee.FeatureCollection([box(*b, name=name) for name, b in boxes.items()])
    both = ee.Reducer.mean().combine(ee.Reducer.count(), sharedInputs=True)
    for chunks in ({}, {"y": 2, "x": 3}):
        given = ee.Image(images.chunk(chunks) if chunks else images)
        one, two = (
            info(given.select(names).reduceRegions(regions, "mean"))
            for names in (["B4"], ["B4", "B8"])
        )
        several = info(given.reduceRegions(regions, both, 10))
        single = info(given.select("B8").reduceRegions(regions, both))
        for place, (name, corners) in enumerate(boxes.items()):
            columns = zip(*(values for *_, values in rows(images, *corners)), strict=True)
            means, counts = [], []
            for column in list(columns) or [(), ()]:
                valid = [v for v in column if v is not None]
                means.append(statistics.fmean(valid) if valid else None)
                counts.append(len(valid))
            assert one[place] == {"name": name, "mean": means[0]}
            assert two[place] == {"name": name, "B4": means[0], "B8": means[1]}
            assert single[place] == {"name": name, "mean": means[1], "count": counts[1]}
            assert several[place] == {
                "name": name,
                "B4_mean": means[0],
                "B8_mean": means[1],
                "B4_count": counts[0],
                "B8_count": counts[1],
            }


@pytest.mark.parametrize("chunks", [None, {"y": 2, "x": 3}])
def test_samples_are_the_pixels_of_a_region(chunks: Any) -> None:
    """Row by row; those that are masked in a band are left out, or have no value there; their
    centres are their geometries, if asked for."""
    images = image()
    given = ee.Image(images if chunks is None else images.chunk(chunks))
    corners = (12, 0, 61, 38)
    wanted = rows(images, *corners)
    region = box(*corners).geometry()
    found = info(given.sample(region, dropNulls=False))
    assert found == [{"B4": a, "B8": b} for _, _, (a, b) in wanted]
    complete = given.sample(region, geometries=True)
    assert info(complete) == [{"B4": a, "B8": b} for _, _, (a, b) in wanted if b is not None]
    places = complete.geodataframe.geometry
    assert places.crs == CRS
    assert [(p.x, p.y) for p in places] == [(x, y) for x, y, (_, b) in wanted if b is not None]
    assert given.sample(region).geodataframe.geometry.isna().all()
    assert given.sample().size().getInfo() == sum(
        b is not None for *_, (_, b) in rows(images, 0, 0, 80, 60)
    )


def test_samples_of_some_pixels() -> None:
    """As many as asked for, the same whatever the chunks, others with another seed; a part of all
    by a factor."""
    images = image(1)
    taken = [
        [one["B4"] for one in info(ee.Image(given).sample(numPixels=7, seed=seed))]
        for given in (images, images.chunk(y=1), images.chunk(y=4, x=3))
        for seed in (0, 1)
    ]
    assert taken[0] == taken[2] == taken[4] != taken[1] == taken[3] == taken[5]
    assert [len(set(one)) for one in taken] == [7] * 6
    assert all(one == sorted(one) for one in taken)
    counts = [ee.Image(images).sample(factor=f).size().getInfo() for f in (0.25, 0.5, 1)]
    assert 0 < counts[0] < counts[1] < counts[2] == HEIGHT * WIDTH
    assert ee.Image(images).sample(numPixels=999).size().getInfo() == HEIGHT * WIDTH
    away = box(900, 900, 950, 950).geometry()
    assert ee.Image(images).sample(away, 10).size().getInfo() == 0


def test_samples_of_regions_have_their_properties() -> None:
    """All, or those that are named; of a point the pixel in which it lies."""
    images = image()
    corners = (0, 0, 18, 28)
    point = ee.Feature(ee.Geometry.Point([33, 41], CRS), {"class": 7, "name": "p"})
    regions = [box(*corners, **{"class": 3, "name": "b"}), point]
    found = info(ee.Image(images.chunk(y=2)).sampleRegions(regions, ["class"]))
    wanted = [
        {"B4": a, "B8": b, "class": 3} for *_, (a, b) in rows(images, *corners) if b is not None
    ]
    here = images.sel(x=35, y=45)
    wanted.append({"B4": here["B4"].item(), "B8": here["B8"].item(), "class": 7})
    assert found == wanted
    every = ee.Image(images).sampleRegions(regions, geometries=True)
    assert set(info(every)[0]) == {"B4", "B8", "class", "name"}
    assert every.geodataframe.geometry.iloc[-1].coords[0] == (35, 45)


def test_features_of_each_image() -> None:
    """Inside map() each image gives features of its own; flatten() puts them together."""
    days = np.datetime64("2020-07-01", "ns") + np.arange(2) * np.timedelta64(1, "D")
    images = xr.concat([image(1), image(1) + 100], "time").assign_coords(time=days)
    images["B4"].attrs["_FillValue"] = 0
    regions = ee.FeatureCollection([box(0, 0, 30, 40), box(20, 20, 80, 60)])
    made = ee.ImageCollection(images).map(lambda img: img.reduceRegions(regions, "max"))
    found = [one["max"] for one in info(made.flatten())]
    assert found == [43, 32, 143, 132]


def test_nothing_is_read_before_it_is_needed() -> None:
    """Reductions and samples are computed by getInfo()."""
    source = da.from_array(Forbidden((HEIGHT, WIDTH), "uint8"), chunks=3)
    given = ee.Image(image(1).assign(B4=(("y", "x"), source)))
    regions = ee.FeatureCollection([box(0, 0, 30, 40)])
    made = [given.reduceRegions(regions, "mean"), given.sample(), given.sampleRegions(regions)]
    for one in made:
        with pytest.raises(AssertionError, match="was read"):
            one.getInfo()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: i.sample(factor=0.5, numPixels=3), r"factor and numPixels.*Give one"),
        (lambda i: i.reduceRegions([box(0, 0, 9, 9)], ee.Reducer.max(3)), r"3 inputs for 2 bands"),
        (
            lambda i: i.reduceRegions([box(0, 0, 80, 60)], "max", maxPixelsPerRegion=9).getInfo(),
            r"48 pixels.*maxPixels=9",
        ),
    ],
)
def test_what_cannot_work_says_why(call: Any, message: str) -> None:
    """What came, why it cannot work, what to write."""
    with pytest.raises(ValueError, match=message):
        call(ee.Image(image()))

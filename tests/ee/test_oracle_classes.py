"""Classes, neighbouring pixels, pictures: on `qmosaic.ee` and on loops over all pixels."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.two_engines import Scripts, same_on_both

scripts = Scripts()


@scripts
def remap(ee: Any, col: Any) -> Any:
    image = col.first().select(["a", "b", "d"])
    return [
        image.remap([1, 2, 3], [10, 20, 30]),
        image.remap([1, 2, 3], [10, 20, 30], 0),
        image.remap([0, 1], [1, 0], None, "b"),
        image.remap([-1, 0], [0.5, 1.5], -1, "b"),
        image.remap([0, 1, 2.5], [5, 6, 7], 9, "d").rename("class"),
        image.remap(ee.List([1, 2]), ee.List([3, 4]), 5),
        col.map(lambda img: img.remap([0, 1, 2, 3, 4, 5], [1, 0, 0, 0, 1, 1])),
    ]


@scripts
def masks_by_classes(ee: Any, col: Any) -> Any:
    def clear(img: Any) -> Any:
        good = img.select("a").remap([0, 1, 2, 3], [1, 1, 1, 1], 0)
        return img.updateMask(good)

    return [col.map(clear), col.map(clear).qualityMosaic("q")]


@scripts
def interpolate(ee: Any, col: Any) -> Any:
    image = col.first()
    x, y = [0, 2, 3], [0, 1, 5]
    return [
        image.select("d").interpolate(x, y),
        *(
            image.select("d").interpolate(x, y, one)
            for one in ["extrapolate", "clamp", "mask", "input"]
        ),
        image.select("b").interpolate([-1, 1], [10, 20], "clamp"),
    ]


@scripts
def focal(ee: Any, col: Any) -> Any:
    image = col.first()
    return [
        image.focal_max(1),
        image.focal_min(1, "square"),
        image.focal_max(1.5, "circle", "pixels"),
        image.select("a").focal_max(2, "square", "pixels", 1),
        image.select(["a", "d"]).focal_min(1, "circle", "pixels", 2),
        image.select("a").focal_max(radius=1, kernelType="plus"),
        image.select("a").gt(3).focal_max(1).focal_min(1),
        col.map(lambda img: img.select(["a", "d"]).focal_max(1)),
    ]


@scripts
def focal_of_many(ee: Any, col: Any) -> Any:
    image = col.first().select(["a", "d"])
    return [image.focal_mean(1, "square"), image.focal_median(1), image.focal_mode(1, "square")]


@scripts
def reduceNeighborhood(ee: Any, col: Any) -> Any:
    image = col.first().select(["a", "d"])
    return [
        image.reduceNeighborhood(ee.Reducer.mean(), ee.Kernel.square(1)),
        image.reduceNeighborhood(ee.Reducer.max(), ee.Kernel.circle(1)),
        image.reduceNeighborhood(reducer=ee.Reducer.stdDev(), kernel=ee.Kernel.square(1)),
        image.focalMax(1).subtract(image.focalMin(1)),
        image.focalMean(1, "square"),
    ]


@scripts
def buffered_clouds(ee: Any, col: Any) -> Any:
    def clear(img: Any) -> Any:
        cloud = img.select("c").unmask(0).gt(700)
        return img.updateMask(cloud.focal_max(1, "square", "pixels").Not())

    return [col.map(clear), col.map(clear).mosaic()]


@scripts
def fastDistanceTransform(ee: Any, col: Any) -> Any:
    image = col.first().select("a").unmask(0)
    target = image.gt(3).Or(image.eq(image)).And(image.gte(2))
    return [
        target.add(0).fastDistanceTransform(),
        target.fastDistanceTransform(10).sqrt(),
        target.fastDistanceTransform(10, "pixels").rename("far").lt(2),
    ]


@scripts
def visualize(ee: Any, col: Any) -> Any:
    image = col.first()
    six = ["000000", "ff0000", "00ff00", "0000ff", "808080", "ffffff"]
    return [
        image.visualize(bands=["a", "c", "d"], min=0, max=3),
        image.visualize(bands=["a"], min=1, max=4),
        image.visualize(bands=["a"], min=1, max=4, forceRgbOutput=True),
        image.select("b").visualize(min=-1, max=1, palette=["000000", "ff0000", "00ff80"]),
        image.visualize(bands=["a"], min=0, max=5, palette=six),
    ]


@scripts
def simpleCloudScore(ee: Any, col: Any) -> Any:
    names = ["B2", "B3", "B4", "B5", "B6", "B7", "B10"]

    def landsat(img: Any) -> Any:
        c = img.select("c").divide(1000)
        bands = [c, c.add(0.05), c.multiply(0.9), c.add(0.1), c.multiply(0.4), c.multiply(0.3)]
        bands.append(img.select("a").multiply(-4).add(305))
        made = ee.Image.cat(*(one.rename(name) for one, name in zip(bands, names, strict=True)))
        return made.set("SPACECRAFT_ID", "LANDSAT_8").toFloat()

    scored = ee.Algorithms.Landsat.simpleCloudScore(landsat(col.first()))
    return [scored.select("cloud").lt(25), scored.select("B2"), scored.bandNames()]


@scripts
def pixelLonLat(ee: Any, col: Any) -> Any:
    image = col.first().select("a")
    return image.addBands(ee.Image.pixelLonLat())


@scripts
def pixelArea(ee: Any, col: Any) -> Any:
    image = col.first().select("a")
    return image.addBands(ee.Image.pixelArea().divide(1e6))


@pytest.mark.parametrize(("name", "seed"), scripts.cases(2))
def test_as_earth_engine(name: str, seed: int) -> None:
    """Values, masks and names of what classes and neighbours give."""
    same_on_both(scripts[name], seed)

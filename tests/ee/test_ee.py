"""Earth Engine's vocabulary: its example runs as it stands, and its methods do what they say."""

from __future__ import annotations

import statistics
import warnings
from pathlib import Path
from typing import Any

import cloudpickle
import dask
import numpy as np
import odc.geo.xr
import pytest
import xarray as xr

import qmosaic as qm
from qmosaic import ee
from tests.support.scenes import sentinel2
from tests.support.sources import Forbidden, in_store, random_stack

assert odc.geo.xr is not None

SCRIPT = """
col = ee.ImageCollection('COPERNICUS/S2_SR_HARMONIZED').filterBounds(ee.Geometry.Point(-103.19, 40.14)).filterDate('2020-07-01', '2020-09-01')
def invertCloudProbabilityBand(img):
    cldProb = img.select('MSK_CLDPRB')
    cldProbInv = cldProb.multiply(-1).rename('quality')
    return img.addBands(cldProbInv)
col = col.map(invertCloudProbabilityBand)
vis_params = {'bands': ['B4', 'B3', 'B2'], 'min': 0, 'max': 4500}
m = geemap.Map(); m.set_center(-103.19, 40.14, 9)
m.add_layer(col, vis_params, 'Collection (for series inspection)', False)
img = col.qualityMosaic('quality'); m.add_layer(img, vis_params, 'Best-pixel mosaic (by cloud score)')
best = img
img = col.qualityMosaic('MSK_CLDPRB'); m.add_layer(img, vis_params, 'Worst-pixel mosaic (by cloud score)', False)
m
"""


@pytest.fixture
def scene() -> xr.Dataset:
    """The collection, registered under Earth Engine's id."""
    collection = sentinel2()
    ee.register("COPERNICUS/S2_SR_HARMONIZED", collection)
    return collection


def oracle(collection: xr.Dataset, lowest: bool) -> dict[str, np.ndarray]:
    """Take each band from the image of July and August with the lowest or highest probability in
    which it is valid, the last of equals: a loop over pixels."""
    images = [1, 2, 3]
    cloud = collection["MSK_CLDPRB"].values
    out = {}
    for name in ("B2", "B3", "B4", "B8", "MSK_CLDPRB"):
        values = collection[name].values
        out[name] = np.zeros(values.shape[1:], values.dtype)
        for y, x in np.ndindex(out[name].shape):
            best = None
            for t in images:
                if name != "MSK_CLDPRB" and values[t, y, x] == 0:
                    continue
                score = int(cloud[t, y, x]) * (-1 if lowest else 1)
                if best is None or score >= best:
                    best, out[name][y, x] = score, values[t, y, x]
    return out


def test_the_script_of_earth_engine_runs_as_it_stands(scene: xr.Dataset) -> None:
    """But for its two imports; best and worst pixels are those of a loop, ties and masks included;
    dtypes are kept."""
    import qmosaic.display as geemap

    names: dict[str, Any] = {"ee": ee, "geemap": geemap}
    exec(SCRIPT, names)
    for image, lowest in ((names["best"], True), (names["img"], False)):
        for name, wanted in oracle(scene, lowest).items():
            got = image.dataset[name].values
            assert got.dtype == wanted.dtype
            np.testing.assert_array_equal(got, wanted, err_msg=name)
    assert names["best"].dataset["quality"].dtype == "int16"
    assert names["m"].layers == [
        "Collection (for series inspection)",
        "Best-pixel mosaic (by cloud score)",
        "Worst-pixel mosaic (by cloud score)",
    ]
    assert names["m"]._repr_html_()


def test_everything_is_lazy(tmp_path: Path) -> None:
    """Filters, arithmetic and the mosaic read nothing; then only what won is read."""
    import dask.array as da

    source = da.from_array(Forbidden((5, 8, 8), "uint8"), chunks=(1, 4, 4))
    bands = {n: (("time", "y", "x"), source) for n in ("MSK_CLDPRB", "B4", "B8")}
    times = np.datetime64("2020-07-01", "ns") + np.arange(5) * np.timedelta64(1, "D")
    collection = ee.ImageCollection(xr.Dataset(bands, {"time": times}))
    with dask.config.set(scheduler=lambda *_, **__: pytest.fail("something was computed")):
        made = collection.filterDate("2020-07-02", "2020-07-05").map(
            lambda img: (
                img.addBands(img.select("MSK_CLDPRB").multiply(-1).rename("quality"))
                .addBands(img.normalizedDifference(["B8", "B4"]))
                .updateMask(img.select("B4").gt(3))
            )
        )
        mosaic = made.qualityMosaic("quality", masked="keep")
        explained = qm.explain(mosaic.dataset)
        made.mosaic()
    assert explained.tasks == explained.blocks + 2
    values = random_stack(images=6, side=16)
    stored, store = in_store(values, tmp_path / "in.zarr", (1, 8, 8))
    best = ee.ImageCollection(stored).qualityMosaic("quality", ties="first", masked="keep")
    with dask.config.set(scheduler="synchronous"):
        best.dataset["red"].load()
    assert len(store.chunks("red")) < 24 or len(np.unique(best.dataset["red"])) > 1
    assert not store.chunks("nir")


# -- collections -----------------------------------------------------------------------------------


def ids(collection: ee.ImageCollection) -> list[str]:
    return [str(i)[-5:] for i in collection.dataset["id"].values]


def test_fewer_images(scene: xr.Dataset) -> None:
    """Filters, sorting and limits, by Earth Engine's names of properties."""
    col = ee.ImageCollection(scene)
    assert col.size().getInfo() == 5
    assert f"{col.size()}" == "5"
    assert ids(col.filter(ee.Filter.lt("CLOUDY_PIXEL_PERCENTAGE", 20))) == ["06-25"]
    assert ids(col.filter(ee.Filter.lte("cloud_cover", 20))) == ["06-25", "07-20", "08-14"]
    assert ids(col.filterMetadata("CLOUDY_PIXEL_PERCENTAGE", "greater_than", 50)) == [
        "07-05",
        "09-01",
    ]
    either = ee.Filter.Or(ee.Filter.eq("cloud_cover", 5), ee.Filter.gte("cloud_cover", 90))
    assert ids(col.filter(either)) == ["06-25", "09-01"]
    assert ids(col.filter(either.Not())) == ["07-05", "07-20", "08-14"]
    both = ee.Filter.And(
        ee.Filter.date("2020-07-01", "2020-09-01"), ee.Filter.neq("cloud_cover", 60)
    )
    assert ids(col.filter(both)) == ["07-20", "08-14"]
    assert ids(col.filter(ee.Filter.date("2020-07"))) == ["07-05", "07-20"]
    assert ids(col.filter(ee.Filter.inList("system:index", ["S2_2020-08-14"]))) == ["08-14"]
    assert ids(col.filter(ee.Filter.dayOfYear(240, 180))) == ["06-25", "09-01"]
    millis = ee.Date("2020-08-01").millis()
    assert ids(col.filter(ee.Filter.gt("system:time_start", millis))) == ["08-14", "09-01"]
    point = ee.Geometry.Point([-103.19, 40.14])
    assert col.filter(ee.Filter.bounds(point)).size().getInfo() == 5
    assert ids(col.sort("CLOUD_COVER")) == ["06-25", "07-20", "08-14", "07-05", "09-01"]
    assert ids(col.sort("CLOUD_COVER", False)) == ["09-01", "07-05", "07-20", "08-14", "06-25"]
    assert ids(col.limit(2, "system:time_start", False)) == ["09-01", "08-14"]
    assert col.first().get("system:index") == "S2_2020-06-25"
    assert col.first().date().format() == "2020-06-25T00:00:00"
    assert col.aggregate_array("CLOUD_COVER") == [5, 60, 20, 20, 90]
    assert (
        col.filterDate(ee.Date("2020-07-01"), ee.Date("2020-07-01").advance(1, "month")).size() == 2
    )


def test_merged_collections(scene: xr.Dataset) -> None:
    """The images of the second come behind those of the first: ties go by it."""
    col = ee.ImageCollection(scene)
    merged = col.limit(1).merge(col.filterDate("2020-09"))
    assert ids(merged) == ["06-25", "09-01"]
    images = ee.ImageCollection([col.first(), merged.sort("time", False).first()])
    assert ids(images) == ["06-25", "09-01"]
    lacking = col.merge(col.select(["B3", "B4", "B8", "MSK_CLDPRB"]))
    assert [len(names) for names in lacking.aggregate_array("system:band_names")] == [5] * 5 + [
        4
    ] * 5
    np.testing.assert_array_equal(lacking.dataset["B2"].values[:5], scene["B2"].values)
    assert lacking.mosaic().select("B2").dataset["B2"].dtype == "uint16"
    floats = col.map(lambda img: img.addBands(img.select("B2").toFloat(), overwrite=True))
    assert col.merge(floats).dataset["B2"].dtype == "float32"
    bare = ee.ImageCollection(scene.drop_vars("cloud_cover"))
    both = col.merge(bare)  # each image keeps what is known of it
    assert both.filter(ee.Filter.lt("CLOUD_COVER", 10)).size() == 1
    masked = col.map(lambda img: img.updateMask(img.select("MSK_CLDPRB").lt(40)))
    highest = masked.merge(col).max().dataset["MSK_CLDPRB"]
    np.testing.assert_array_equal(highest.values, scene["MSK_CLDPRB"].values.max(axis=0))
    moved = ee.ImageCollection(scene.assign_coords(x=scene["x"] + 5))
    with pytest.raises(ValueError, match="not on one grid"):
        col.merge(moved)


def test_reducers_by_hand() -> None:
    """Of the images in which a pixel is valid; min and max keep the dtype."""
    red = np.uint8([[[1, 9]], [[4, 9]], [[2, 7]], [[9, 9]]])
    collection = xr.Dataset({"red": (("time", "y", "x"), red, {"_FillValue": 9})})
    for given in (collection, collection.chunk(time=1)):
        col = ee.ImageCollection(given)
        wanted: dict[str, list[float]] = {
            "max": [4, 7],
            "min": [1, 7],
            "mean": [7 / 3, 7],
            "median": [2, 7],
        }
        for name, values in wanted.items():
            got = getattr(col, name)().dataset["red"]
            np.testing.assert_allclose(got.values, [values])
            assert got.dtype == ("uint8" if name in ("max", "min") else "float64")
    empty = collection.assign(red=(("time", "y", "x"), np.full_like(red, 9), {"_FillValue": 9}))
    assert np.isnan(ee.ImageCollection(empty).median().dataset["red"].values).all()


def test_select_renames(scene: xr.Dataset) -> None:
    """By name, number and regular expression, as Earth Engine's select."""
    col = ee.ImageCollection(scene)
    assert list(col.select("B.").dataset) == ["B2", "B3", "B4", "B8"]
    assert list(col.select(["B4", "B3"], ["red", "green"]).dataset) == ["red", "green"]
    image = col.first()
    assert image.select(0).bandNames().getInfo() == ["B2"]
    assert image.select(["B8", 0]).bandNames().getInfo() == ["B8", "B2"]
    assert image.select("B4", "B3").rename("r", "g").bandNames().getInfo() == ["r", "g"]
    with pytest.raises(KeyError, match=r"'B44'.*'B4'"):
        image.select("B44")
    with pytest.raises(IndexError, match="5 bands, numbered from 0"):
        image.select(7)
    with pytest.raises(ValueError, match="1 names for 2 bands"):
        image.select("B4", "B3").rename("r")


# -- images ----------------------------------------------------------------------------------------


def image(**bands: Any) -> ee.Image:
    return ee.Image(xr.Dataset({n: ("x", np.asarray(v)) for n, v in bands.items()}))


def values(result: ee.Image) -> dict[str, list[float]]:
    return {str(n): v.values.tolist() for n, v in result.dataset.data_vars.items()}


def test_bands_that_clash() -> None:
    """A name that is taken gets _1, then _2; with overwrite the band is replaced."""
    a = image(red=np.uint8([1]))
    once = a.addBands(image(red=np.uint8([2])))
    assert values(once) == {"red": [1], "red_1": [2]}
    assert values(once.addBands(image(red=np.uint8([3])))) == {
        "red": [1],
        "red_1": [2],
        "red_2": [3],
    }
    assert values(a.addBands(image(red=np.uint8([2])), None, True)) == {"red": [2]}
    some = a.addBands(image(nir=np.uint8([5]), swir=np.uint8([6])), ["swir"])
    assert values(some) == {"red": [1], "swir": [6]}


def test_arithmetic_of_images() -> None:
    """Band by band; one band goes with all; numbers; comparisons give 0 and 1."""
    a = image(red=np.uint8([1, 200]), nir=np.uint8([3, 100]))
    assert values(a.add(a)) == {"red": [2, 400], "nir": [6, 200]}
    assert values(a.multiply(-1)) == {"red": [-1, -200], "nir": [-3, -100]}
    assert values(a.subtract(a.select("nir"))) == {"red": [-2, 100], "nir": [0, 0]}
    assert values(a.select("nir").divide(a)) == {"red": [3, 0.5], "nir": [1, 1]}
    assert values(a.gt(100).Or(a.eq(3)).Not()) == {"red": [1, 0], "nir": [0, 1]}
    scaled = a.unitScale(0, 200).dataset
    np.testing.assert_allclose(scaled["red"].values, [0.005, 1])
    np.testing.assert_allclose(scaled["nir"].values, [0.015, 0.5])
    assert values(a.clamp(2, 150)) == {"red": [2, 150], "nir": [3, 100]}
    assert values(ee.Image(5).add(a.select("red"))) == {"constant": [6, 205]}
    assert values(ee.Image([1, 2])) == {"constant": 1, "constant_1": 2}
    assert values(a.select("red").sqrt()) == {"red": [1, pytest.approx(200**0.5)]}
    assert a.toInt16().dataset["red"].dtype == a.short().dataset["red"].dtype == "int16"
    assert a.float().dataset["red"].dtype == "float32"
    assert a.int().dataset["red"].dtype == "int32"
    with pytest.raises(ValueError, match="2 and 3 bands"):
        a.add(a.addBands(image(swir=np.uint8([1, 1]))))


def test_normalized_difference_masks_negatives() -> None:
    """As Earth Engine documents it."""
    got = image(a=np.int16([3, -3, 0]), b=np.int16([1, 1, 0])).normalizedDifference()
    np.testing.assert_array_equal(got.dataset["nd"].values, np.float32([0.5, np.nan, np.nan]))


def test_masks_of_images(scene: xr.Dataset) -> None:
    """updateMask inside map, mask, unmask, clip; integers stay integers."""
    col = ee.ImageCollection(scene)
    clear = col.map(lambda img: img.updateMask(img.select("MSK_CLDPRB").lt(40)))
    red = clear.dataset["B4"]
    assert red.dtype == "uint16"
    cloudy = scene["MSK_CLDPRB"].values >= 40
    assert (red.values[cloudy] == 0).all()
    assert (red.values[~cloudy] == scene["B4"].values[~cloudy]).all()
    mask = clear.first().select("B4").mask().dataset["B4"].values
    np.testing.assert_array_equal(mask, ~cloudy[0])
    assert (clear.first().select("B4").unmask(7).dataset["B4"].values[cloudy[0]] == 7).all()
    box = ee.Geometry.Rectangle(654_000, 4_444_800, 654_100, 4_444_900, proj="EPSG:32613")
    clipped = clear.first().clip(box)
    assert dict(clipped.dataset.sizes) == {"y": 10, "x": 10}


def test_properties(scene: xr.Dataset) -> None:
    """A property as a band, one number an image, for instance to take the latest pixel."""
    col = ee.ImageCollection(scene).map(
        lambda img: img.addBands(img.metadata("system:time_start", "when"))
    )
    latest = col.qualityMosaic("when").dataset
    np.testing.assert_array_equal(latest["B4"].values, scene["B4"].values[-1])
    assert (latest["when"].values == 1598918400000).all()  # 2020-09-01T00:00:00Z
    latest_clear = col.map(lambda img: img.updateMask(img.select("MSK_CLDPRB").lt(60)))
    clear = latest_clear.qualityMosaic("when").dataset
    cloud = scene["MSK_CLDPRB"].values
    last = [
        max((t for t in range(5) if cloud[t, y, x] < 60), default=-1) for y, x in np.ndindex(48, 48)
    ]
    wanted = [0 if t < 0 else cloud[t].flat[i] for i, t in enumerate(last)]
    got = clear["MSK_CLDPRB"]
    valid = got.values != got.attrs["_FillValue"]
    np.testing.assert_array_equal(np.where(valid, got.values, 0).ravel(), wanted)
    least = ee.ImageCollection(scene).map(
        lambda img: img.addBands(img.metadata("CLOUDY_PIXEL_PERCENTAGE").multiply(-1).rename("q"))
    )
    assert (least.qualityMosaic("q").dataset["q"].values == -5).all()
    day = ee.Date("2020-01-31T12:00")
    assert day.advance(1, "month").format() == "2020-02-29T12:00:00"
    assert ee.Date("2020-03-31").advance(-1, "month").format("YYYY-MM-dd") == "2020-02-29"
    assert ee.Date("2020-02-29").advance(1, "year").format("YYYY-MM-dd") == "2021-02-28"
    assert ee.Date("2020-03-01").difference("2020-02-01", "day").getInfo() == 29
    assert day.format("MMM d") == "Jan 31"
    with pytest.raises(ValueError, match="'Q' is not supported"):
        day.format("Q d")
    with pytest.raises(ValueError, match="months are whole"):
        day.advance(0.5, "month")
    with pytest.raises(ValueError, match="the unit 'eon'"):
        day.advance(1, "eon")
    assert day.advance(1, "day").format("YYYY/MM/dd HH:mm") == "2020/02/01 12:00"
    assert day.get("month").getInfo() == 1
    assert day.millis().getInfo() == 1580472000000
    with pytest.raises(KeyError, match=r"no property 'SUN'.*'cloud_cover'"):
        col.sort("SUN")
    dated = col.map(lambda img: img.set("date", img.date()).set("list", [1, 2]))
    np.testing.assert_array_equal(dated.dataset["date"].values, scene["time"].values)
    assert dated.aggregate_array("list") == [[1, 2]] * 5
    assert dated.first().get("list") == [1, 2]
    with pytest.raises(TypeError, match=r"a property is a number.*addBands"):
        col.map(lambda img: img.set("image", len))
    marked = col.map(lambda img: img.set({"kind": "plain"}).set("level", 2))
    assert marked.aggregate_array("kind") == ["plain"] * 5
    assert marked.filter(ee.Filter.eq("level", 2)).size() == 5
    bare = ee.Image(col.first().dataset[["B4"]].drop_vars("cloud_cover"))
    assert bare.copyProperties(col.first(), ["CLOUD_COVER"]).get("CLOUD_COVER") == 5
    assert bare.set("name", "a").get("name") == "a"


def test_cloud_masks_of_bit_flags() -> None:
    """As most scripts for Sentinel-2 and Landsat begin: QA60, bits 10 and 11."""
    qa = np.uint16([[[0, 1 << 10, 1 << 11, 3 << 10]]])
    red = np.uint16([[[1, 2, 3, 4]]])
    dims = ("time", "y", "x")
    collection = xr.Dataset({"QA60": (dims, qa), "B4": (dims, red)})

    def maskS2clouds(image: ee.Image) -> ee.Image:
        qa = image.select("QA60")
        cloudBitMask, cirrusBitMask = 1 << 10, 1 << 11
        mask = qa.bitwiseAnd(cloudBitMask).eq(0).And(qa.bitwiseAnd(cirrusBitMask).eq(0))
        return image.updateMask(mask).divide(10000)

    masked = ee.ImageCollection(collection).map(maskS2clouds).median().dataset["B4"]
    np.testing.assert_allclose(masked.values, [[1e-4, np.nan, np.nan, np.nan]], rtol=1e-6)
    given = ee.ImageCollection(collection).first().select("B4")
    assert values(given.where(given.gt(2), 0)) == {"B4": [[1, 2, 0, 0]]}


def test_images_of_other_extent(scene: xr.Dataset) -> None:
    """A clipped image goes with any other, on the pixels that both have."""
    image = ee.ImageCollection(scene).first().select("B4")
    box = ee.Geometry.Rectangle(654_000, 4_444_800, 654_100, 4_444_900, proj="EPSG:32613")
    clipped = image.clip(box)
    for both in (clipped.add(image), image.updateMask(clipped), clipped.addBands(image)):
        assert dict(both.dataset.sizes) == {"y": 10, "x": 10}
    # over the borders of chunks, of which each image keeps its own
    large = ee.Geometry.Rectangle(654_000, 4_444_000, 656_100, 4_446_200, proj="EPSG:32613")
    for one, other in ((image, image.clip(large)), (image.clip(large), image)):
        doubled = one.add(other).dataset["B4"]
        wanted = scene["B4"][0].sel(y=doubled["y"], x=doubled["x"]).values.astype("uint32") * 2
        valid = wanted > 0
        np.testing.assert_array_equal(doubled.values[valid], wanted[valid])
    moved = ee.Image(scene.isel(time=0)[["B4"]].assign_coords(x=scene["x"] + 10_000))
    with pytest.raises(ValueError, match="no pixel in common"):
        image.add(moved)


def test_mosaics_of_mosaics(tmp_path: Path) -> None:
    """Arithmetic on mosaics reads nothing, a mosaic of them is made as of any images."""
    stored, store = in_store(random_stack(images=6, side=16), tmp_path / "in.zarr")
    parts = [ee.ImageCollection(stored.isel(time=t)) for t in (slice(3), slice(3, 6))]
    first, second = (part.qualityMosaic("quality") for part in parts)
    change = first.subtract(second)
    again = ee.ImageCollection([first, second]).qualityMosaic("quality")
    assert not store.reads
    whole = ee.ImageCollection(stored).qualityMosaic("quality", ties="first")
    np.testing.assert_array_equal(again.dataset["quality"].values, whole.dataset["quality"].values)
    assert change.dataset["red"].dtype == "int64"  # of uint32: uint16 that can be masked
    explained = qm.explain(whole.dataset)
    assert explained.quality_bytes == 6 * 16 * 16 * 4
    assert explained.most_band_bytes == 6 * 16 * 16 * (4 + 8)
    store.reads.clear()
    qm.to_zarr(whole.select("red"), tmp_path / "red.zarr", progress=False)
    assert not store.chunks("nir")


def test_constants_in_a_collection(scene: xr.Dataset) -> None:
    """A band that is the same everywhere is one of every image."""
    col = ee.ImageCollection(scene).map(lambda img: img.addBands(ee.Image(1).rename("one")))
    np.testing.assert_array_equal(
        col.qualityMosaic("one", masked="keep").dataset["B4"].values, scene["B4"].values[-1]
    )
    assert col.sum().dataset["one"].values.max() == 5
    assert col.count().dataset["B4"].values.min() == 4  # two rows of an image are masked


def test_bands_and_properties_have_names_of_their_own(scene: xr.Dataset) -> None:
    """Earth Engine keeps the two apart: neither takes the place of the other."""
    first = ee.ImageCollection(scene).first().select("B4")
    both = first.rename("year").set("year", 2019)
    assert both.bandNames() == ["year"]
    assert both.get("year") == 2019
    np.testing.assert_array_equal(both.dataset["year"].values, first.dataset["B4"].values)
    again = first.set("year", 2019).rename("year")
    assert (again.bandNames(), again.get("year")) == (["year"], 2019)
    free = both.rename("red")
    assert free.dataset.coords["year"] == 2019  # nothing is in the way any more
    col = ee.ImageCollection(scene).map(
        lambda img: img.addBands(img.metadata("cloud_cover").multiply(-1).rename("cloud_cover"))
    )
    assert ids(col.filter(ee.Filter.lt("CLOUD_COVER", 20))) == ["06-25"]
    assert ids(col.sort("cloud_cover")) == ["06-25", "07-20", "08-14", "07-05", "09-01"]
    best = col.qualityMosaic("cloud_cover")
    assert (best.dataset["cloud_cover"].values == -5).all()
    named = first.rename("id")
    assert named.get("system:index") == "S2_2020-06-25"
    stacked = ee.ImageCollection([named, named.set("system:index", "other")])
    assert stacked.aggregate_array("system:index") == ["S2_2020-06-25", "other"]
    assert stacked.first().bandNames() == ["id"]
    bare = ee.Image(first.dataset.drop_vars("cloud_cover")).rename("cloud_cover")
    copied = bare.copyProperties(ee.ImageCollection(scene).first())
    assert (copied.bandNames(), copied.get("cloud_cover")) == (["cloud_cover"], 5)


def test_bands_with_names_of_dimensions(scene: xr.Dataset, tmp_path: Path) -> None:
    """A band may be called as what the images or pixels lie along: qualityMosaic('time') takes
    the latest."""
    col = ee.ImageCollection(scene).map(
        lambda img: img.addBands(img.metadata("system:time_start").rename("time"))
    )
    assert "time" in col.first().bandNames()
    assert col.filterDate("2020-07").size() == 2
    latest = col.qualityMosaic("time", masked="keep")
    np.testing.assert_array_equal(latest.dataset["B4"].values, scene["B4"].values[-1])
    assert (latest.dataset["time"].values == 1598918400000).all()
    qm.to_zarr(latest.dataset, tmp_path / "latest.zarr", progress=False)
    assert (qm.open_mosaic(tmp_path / "latest.zarr")["time"].values == 1598918400000).all()
    assert list(col.select(["time", "B4"]).max().dataset) == ["time", "B4"]
    dated = latest.set("system:time_start", 0)
    assert (dated.date().format("YYYY"), "time" in dated.bandNames()) == ("1970", True)
    two = ee.ImageCollection([dated, dated.set("system:time_start", ee.Date("2020-01-01"))])
    assert two.aggregate_array("system:time_start") == [0, 1577836800000]
    assert "time" in two.qualityMosaic("time").bandNames()
    assert latest.dataset.attrs["qmosaic_quality_band"] == "time"
    across = ee.ImageCollection(scene).first().select("B4").rename("x")
    assert across.add(1).bandNames() == ["x"]
    both = across.set("x", 3).set({"y": 4, "spatial_ref": "none"})
    assert [both.get(name) for name in ("x", "y", "spatial_ref")] == [3, 4, "none"]
    assert both.rename("spatial_ref").dataset.odc.geobox == scene.odc.geobox
    with pytest.raises(KeyError, match="no property 'x'"):
        across.get("x")
    assert (across.select("x").subtract(scene["B4"][0].values.min()).dataset.sizes["x"]) == 48


def test_times_that_are_set(scene: xr.Dataset) -> None:
    """As scripts date their composites: filters and dates understand them."""
    col = ee.ImageCollection(scene)
    months = [
        col.filterDate(f"2020-0{m}").mosaic().set("system:time_start", ee.Date(f"2020-0{m}-01"))
        for m in (7, 8)
    ]
    made = ee.ImageCollection.fromImages(months)
    assert made.filterDate("2020-08-01", "2020-09-01").size() == 1
    assert made.first().date().format("YYYY-MM-dd") == "2020-07-01"


CONSTANTS = [
    (lambda: ee.Image(250).int16(), 250, "int16"),
    (lambda: ee.Image.constant(1).toFloat(), 1, "float32"),
    (lambda: ee.Image(100).subtract(93.5), 6.5, "float64"),
    (lambda: ee.Image(1).subtract(ee.Image(0.3)), 0.7, "float64"),
    (lambda: ee.Image(100).multiply(-1), -100, "int8"),
    (lambda: ee.Image(200).add(100), 300, "uint16"),
    (lambda: ee.Image(3).gt(2), 1, "uint8"),
    (lambda: ee.Image(4).sqrt(), 2, "float64"),
    (lambda: ee.Image(0).Not(), 1, "uint8"),
    (lambda: ee.Image(-3).abs(), 3, "uint8"),
    (lambda: ee.Image(12).bitwiseAnd(10), 8, "uint8"),
    (lambda: ee.Image(1).where(ee.Image(3).gt(2), 9), 9, "uint8"),
    (lambda: ee.Image(1).where(0, 9), 1, "uint8"),
    (lambda: ee.Image(1).mask(), 1, "uint8"),
    (lambda: ee.Image(1).updateMask(0).mask(), 0, "uint8"),
    (lambda: ee.Image(1).updateMask(0).unmask(7), 7, "uint8"),
    (lambda: ee.Image(1).updateMask(0).unmask(ee.Image(3)), 3, "uint16"),
]


@pytest.mark.parametrize(("make", "value", "dtype"), CONSTANTS)
def test_constants_are_images(make: Any, value: float, dtype: str) -> None:
    """What can be done with an image can be done with a constant; it stays one, without a grid."""
    got = make().dataset["constant"]
    assert got.dims == ()
    assert got.dtype == dtype
    assert got.values == pytest.approx(value)


def test_constants_and_images_together(scene: xr.Dataset) -> None:
    """A constant takes the grid, the CRS and the masks of the image that it is combined with."""
    red = ee.ImageCollection(scene).first().select("B4")
    values = scene["B4"].values[0]
    masked = ee.Image.constant(5).updateMask(red.gt(300))
    np.testing.assert_array_equal(masked.mask().dataset["constant"].values, values > 300)
    assert masked.dataset.odc.crs == scene.odc.crs
    np.testing.assert_array_equal(
        masked.unmask().dataset["constant"].values, np.where(values > 300, 5, 0)
    )
    steps = ee.Image(1).where(red.gt(300), 2).where(red.gt(500), 300)
    wanted = np.where(values > 500, 300, np.where(values > 300, 2, 1))
    np.testing.assert_array_equal(steps.dataset["constant"].values, wanted)
    np.testing.assert_array_equal(
        ee.Image(0).add(red).dataset["constant"].values.astype(int), values
    )


def test_clipped_constants(scene: xr.Dataset) -> None:
    """A region as a mask: ``ee.Image(1).clip(region)`` is laid on the grid of what it masks."""
    from odc.geo.geom import point

    region = ee.Geometry.Polygon(
        [[[654_000, 4_444_000], [656_000, 4_444_500], [655_000, 4_446_000]]], "EPSG:32613"
    )
    red = ee.ImageCollection(scene).first().select("B4")
    inside = np.array(
        [
            [region.geometry.contains(point(x, y, "EPSG:32613")) for x in scene["x"].values]
            for y in scene["y"].values
        ]
    )
    assert 0 < inside.sum() < inside.size

    def valid(image: ee.Image) -> np.ndarray:
        """Tell which pixels of the whole map are valid."""
        mask = image.mask().dataset["B4"].reindex(y=scene["y"], x=scene["x"], fill_value=0)
        return mask.values.astype(bool)

    known = red.mask().dataset["B4"].values.astype(bool)
    here = ee.Image.constant(1).clip(region)
    np.testing.assert_array_equal(valid(red.updateMask(here)), known & inside)
    np.testing.assert_array_equal(valid(red.updateMask(here.mask())), known & inside)
    np.testing.assert_array_equal(valid(red.updateMask(here.mask().Not())), known & ~inside)
    np.testing.assert_array_equal(valid(here.multiply(red).rename("B4")), known & inside)
    col = ee.ImageCollection(scene).map(lambda img: img.updateMask(here))
    np.testing.assert_array_equal(valid(col.first().select("B4")), known & inside)
    elsewhere = ee.Image.constant(1).clip(ee.Geometry.BBox(10, 10, 11, 11))
    assert not valid(red.updateMask(elsewhere)).any()
    both = ee.Image(2).clip(region).add(here).unmask(value=9)
    got = both.multiply(red.multiply(0).unmask(0).add(1)).dataset["constant"]
    np.testing.assert_array_equal(got.values, np.where(inside, 3, 9))
    assert here.rename("one").bandNames() == ["one"]
    with pytest.raises(ValueError, match="no pixels of its own"):
        ee.ImageCollection([here, red])
    assert "on the grid of the image that it is combined with" in repr(here)
    with pytest.raises(ValueError, match="no pixels of its own"):
        here.dataset  # noqa: B018
    with pytest.raises(ValueError, match="neither has pixels"):
        ee.Image(1).add(here)
    with pytest.raises(AttributeError, match="not supported"):
        here.wobble()


def test_where_does_nothing_where_the_image_is_masked() -> None:
    """https://developers.google.com/earth-engine/apidocs/ee-image-where"""
    given = xr.Dataset({"a": ("x", np.uint8([0, 1, 2, 255]), {"_FillValue": np.uint8(0)})})
    a = ee.Image(given)
    filled = a.where(a.mask().Not(), 77)
    assert values(filled.unmask(99)) == {"a": [99, 1, 2, 255]}
    zero = a.where(a.eq(2), 0)  # what masks the band is a value like any other here
    assert values(zero.mask()) == {"a": [0, 1, 1, 1]}
    assert values(zero.unmask(99)) == {"a": [99, 1, 0, 255]}


def test_numbers_lists_and_dates() -> None:
    """Small methods that scripts use; a list stays what it was."""
    two = ee.Number(2)
    got = [two.pow(3), two.gt(0), two.eq(3), two.mod(2), two.max(5), ee.Number(-2.5).round()]
    assert got == [8, 1, 0, 0, 5, -3]
    given = ee.ImageCollection(xr.Dataset({"a": ("time", [1, 2])}, {"n": ("time", [2, 1])}))
    numbers = given.aggregate_array("n")
    assert numbers.reverse().getInfo() == numbers.sort().getInfo() == [1, 2]
    assert numbers.map(lambda n: n + 1).getInfo() == [3, 2]
    assert numbers == [2, 1]
    assert ee.Date.fromYMD(2020, 2, 5).millis() == ee.Date("2020-2-5").millis()
    assert ee.Date("2020-2-5T10:00").format("HH") == "10"


def test_what_is_printed(scene: xr.Dataset) -> None:
    """What a thing is, in a line: ids, numbers of images, bands, places, dates."""
    col = ee.ImageCollection("COPERNICUS/S2_SR_HARMONIZED").select(["B4", "MSK_CLDPRB"])
    assert repr(col) == (
        "ee.ImageCollection of 5 images, 2020-06-25 to 2020-09-01, "
        "bands B4 (uint16), MSK_CLDPRB (uint8)"
    )
    assert "'COPERNICUS/S2_SR_HARMONIZED': 5 images" in repr(
        ee.ImageCollection("COPERNICUS/S2_SR_HARMONIZED")
    )
    assert repr(col.first().select("B4")) == (
        "ee.Image 'S2_2020-06-25' 2020-06-25T00:00:00 with band B4 (uint16)"
    )
    assert repr(ee.Image([1, 0.5])) == (
        "ee.Image with bands constant (uint8), constant_1 (float64)"
    )
    for thing in (col, col.first()):
        shown = thing._repr_html_()
        assert shown.startswith(f"<p>{repr(thing).replace(chr(39), '&#x27;')}</p>")
        assert "xarray" in shown
    assert repr(ee.Geometry.Point(-103.19, 40.14)) == (
        "ee.Geometry.Point(-103.19, 40.14) in EPSG:4326"
    )
    assert repr(ee.Geometry.BBox(-104, 40, -103, 41)) == (
        "ee.Geometry.Polygon within -104 to -103, 40 to 41 in EPSG:4326"
    )
    assert repr(ee.Filter.lt("cloud_cover", 20).Not()) == "ee.Filter.Not(lt('cloud_cover', 20))"
    assert repr(ee.Filter.date("2020-07-01", "2020-08-01")) == (
        "ee.Filter.date(2020-07-01, 2020-08-01)"
    )
    assert repr(ee.Date("2020-07-01")) == "ee.Date('2020-07-01T00:00:00')"


def test_medians_do_not_warn_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter of warnings belongs to the process: another thread may have put it back."""
    rng = np.random.default_rng(3)
    red = rng.integers(0, 4, (6, 9, 9)).astype("uint8")
    red[:, 4] = 0
    stack = xr.Dataset({"red": (("time", "y", "x"), red, {"_FillValue": 0})}).chunk(time=1, y=3)
    wanted = [
        [statistics.median([int(v) for v in red[:, y, x] if v] or [0]) for x in range(9)]
        for y in range(9)
    ]
    monkeypatch.setattr(warnings, "simplefilter", lambda *_, **__: None)
    median = ee.ImageCollection(stack).median().dataset["red"].compute(scheduler="threads")
    np.testing.assert_array_equal(median.fillna(0).values, wanted)
    assert np.isnan(median.values[4]).all()


def test_the_plain_values_of_chains(scene: xr.Dataset) -> None:
    """getInfo at the end of what scripts ask for."""
    col = ee.ImageCollection(scene)
    assert col.aggregate_array("CLOUD_COVER").getInfo() == [5, 60, 20, 20, 90]
    assert col.first().date().format("YYYY").getInfo() == "2020"
    assert col.size().subtract(1).getInfo() == 4
    assert col.first().bandNames().contains("B4")
    assert col.first().bandNames().removeAll(["B2"]).size() == 4
    assert values(col.first().select("B4").multiply(col.size()))
    assert col.first().select("B4").multiply(col.size()).dataset["B4"].dtype == "uint32"
    summer = col.filter(ee.Filter.calendarRange(7, 8, "month"))
    assert ids(summer) == ["07-05", "07-20", "08-14"]
    assert ids(col.filter(ee.Filter.rangeContains("cloud_cover", 20, 60))) == [
        "07-05",
        "07-20",
        "08-14",
    ]
    nameless = ee.ImageCollection(scene.drop_vars("id"))
    assert nameless.aggregate_array("system:index") == ["0", "1", "2", "3", "4"]


def test_geometries() -> None:
    """In the ways in which Earth Engine takes coordinates."""
    square = [[-104, 40], [-103, 40], [-103, 41], [-104, 41]]
    for box in (
        ee.Geometry.Rectangle(-104, 40, -103, 41),
        ee.Geometry.Rectangle([-104, 40, -103, 41]),
        ee.Geometry.Rectangle([[-104, 40], [-103, 41]]),
        ee.Geometry.BBox(-104, 40, -103, 41),
        ee.Geometry.Polygon(square),
        ee.Geometry.Polygon([[*square, square[0]]]),
        ee.Geometry.Polygon([[*square, square[0]]], None, False),
        ee.Geometry.Polygon(coords=square),
        ee.Geometry.Rectangle([-104, 40, -103, 41], None, False),
        ee.Geometry({"type": "Polygon", "coordinates": [[*square, square[0]]]}),
    ):
        assert box.bounds().geometry.boundingbox.bbox == (-104, 40, -103, 41)
    circle = ee.Geometry.Point(-103.19, 40.14).buffer(1000)
    _, south, _, north = circle.geometry.boundingbox.bbox
    assert (north - south) / 2 == pytest.approx(1000 / 111_195, rel=0.01)  # metres a degree
    with pytest.raises(ValueError, match="longitude first"):
        ee.Geometry.Point(1)


# -- the catalogue ---------------------------------------------------------------------------------


def test_ids_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TOML, with paths relative to the file and options of open_collection; opened when used."""
    data = sentinel2().drop_vars(["id"])
    data["MSK_CLDPRB"].attrs["_FillValue"] = 0
    data.to_zarr(tmp_path / "s2.zarr", consolidated=False)
    (tmp_path / "collections.toml").write_text(
        '["TOML/S2"]\nsource = "s2.zarr"\nbands = ["B4", "MSK_CLDPRB"]\n'
        'nodata = {MSK_CLDPRB = "none"}\n'
    )
    assert ee.load_catalog(tmp_path / "collections.toml") == ["TOML/S2"]
    opened = ee.ImageCollection("TOML/S2")
    assert list(opened.dataset) == ["B4", "MSK_CLDPRB"]
    assert "_FillValue" not in opened.dataset["MSK_CLDPRB"].attrs
    other = tmp_path / "other.toml"
    other.write_text('["ENV/S2"]\nsource = "s2.zarr"\nbands = "B4"\n')
    monkeypatch.setenv("QMOSAIC_CATALOG", str(other))
    assert list(ee.ImageCollection("ENV/S2").dataset) == ["B4"]
    with pytest.warns(UserWarning, match="'MSK_CLDPRB' declares nodata = 0"):
        assert ee.ImageCollection(str(tmp_path / "s2.zarr")).select("B4").size() == 5
    (tmp_path / "bad.toml").write_text("[A.B]\nbands = 1\n")
    with pytest.raises(ValueError, match="has no source for 'A'"):
        ee.load_catalog(tmp_path / "bad.toml")
    with pytest.raises(FileNotFoundError, match="no catalogue"):
        ee.load_catalog(tmp_path / "none.toml")


def test_ids_that_nobody_knows(scene: xr.Dataset) -> None:
    """The error says how to register one."""
    with pytest.raises(
        KeyError, match=r"not registered.*ee\.register\('COPERNICUS/S2_SR'.*Did you"
    ):
        ee.ImageCollection("COPERNICUS/S2_SR")
    with pytest.raises(TypeError, match="open already"):
        ee.register("A", scene, chunks={"y": 4})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda col: col.reduce(1), TypeError, r"int 1 came.*Write ee\.Reducer\.mean\(\)"),
        (lambda col: ee.Reducer.linearRegression(2), AttributeError, r"Use linearFit\(\)"),
        (lambda col: col.first().getThumbURL(), AttributeError, r"qmosaic\.quicklook"),
        (lambda col: col.filterDat("2020"), AttributeError, "Did you mean filterDate"),
        (lambda col: col.first().wobble(), AttributeError, r"\.dataset"),
        (lambda col: ee.ImageColection, AttributeError, r"Did you mean ImageCollection\?"),
        (lambda col: ee.Filter.hasType, AttributeError, "ee.Filter.hasType is not supported"),
        (lambda col: ee.Classifier, AttributeError, "ee.Classifier is not supported"),
        (lambda col: ee.Export.video.toDrive, AttributeError, r"qmosaic\.quicklook"),
        (lambda col: col.filter("x"), TypeError, "takes a filter"),
        (lambda col: col.map(lambda img: 5), TypeError, "returned a int"),
        (lambda col: col.limit(0), ValueError, "no number of images. Write 1 or more"),
        (
            lambda col: col.filterDate("2019").mosaic().select("B4"),
            ValueError,
            r"has no bands.*'2019' left none of 5 images.*2020-06-25",
        ),
        (
            lambda col: col.filter(ee.Filter.eq("cloud_cover", 1)).median().select("B4"),
            ValueError,
            r"eq\('cloud_cover', 1\)\) left none of 5",
        ),
        (lambda col: col.qualityMosaic("quality"), KeyError, "no band 'quality'"),
        (
            lambda col: col.qualityMosaic(col.first()),
            TypeError,
            r"qualityBand= got an Image; .*addBands\(.*write its name, 'quality'",
        ),
        (
            lambda col: col.qualityMosaic("B4", period="MS"),
            ValueError,
            "one image. Write qmosaic.quality_mosaic",
        ),
        (lambda col: col.qualityMosaic(["B4"]), TypeError, r"\['B4'\] is a list.*Write 'B4'"),
        (lambda col: ee.Image("x"), KeyError, "not registered"),
        (lambda col: ee.Image({1}), TypeError, "got a set"),
        (lambda col: ee.ImageCollection(col.first().dataset), ValueError, "without a dimension"),
        (lambda col: col.first().normalizedDifference(["B4"]), ValueError, "takes two bands"),
        (lambda col: col.filterMetadata("a", "is", 1), ValueError, "operator 'is'"),
    ],
)
def test_what_is_not_supported(
    scene: xr.Dataset, call: Any, error: type[Exception], message: str
) -> None:
    """What came, why not, what to use."""
    with pytest.raises(error, match=message):
        call(ee.ImageCollection(scene))


def test_nothing_to_begin_with() -> None:
    """Initialize and Authenticate do nothing, with any arguments."""
    ee.Authenticate(auth_mode="notebook")
    ee.Initialize(project="my-project")


def test_a_filter_says_how_it_was_written() -> None:
    """A filter describes itself, and so does a copy of it on another process."""
    either = ee.Filter.Or(ee.Filter.eq("n", 1), ee.Filter.lt("n", 3).Not())
    assert either.description == "Or(eq('n', 1), Not(lt('n', 3)))"
    assert repr(either) == f"ee.Filter.{either.description}"
    assert repr(cloudpickle.loads(cloudpickle.dumps(either))) == repr(either)


def test_an_image_says_where_its_pixels_come_from(scene: xr.Dataset) -> None:
    """On request, as `qmosaic.quality_mosaic` says it; Earth Engine's method itself says nothing."""
    col = ee.ImageCollection("COPERNICUS/S2_SR_HARMONIZED")
    assert not {"B4_source_index", "source_index"} & {*col.qualityMosaic("B4").dataset.coords}
    told = col.qualityMosaic("B4", provenance=True).dataset
    index, whole = told["B4_source_index"].values, scene["B4"].values
    taken = np.take_along_axis(whole, np.maximum(index, 0)[None], 0)[0]
    np.testing.assert_array_equal(np.where(index < 0, told["B4"], taken), told["B4"].values)
    assert (index >= 0).any()


def test_a_band_is_selected_twice_under_two_names(scene: xr.Dataset) -> None:
    """Old and new names pair up, and a band may be there under two of them."""
    image = ee.ImageCollection(scene).first().select(["B4", "B4", "B3"], ["red", "mask", "green"])
    assert image.bandNames() == ["red", "mask", "green"]
    np.testing.assert_array_equal(image.dataset["mask"], image.dataset["red"])
    with pytest.raises(ValueError, match=r"select\(\) got 2 names for 1 bands"):
        image.select(["red"], ["a", "b"])
    with pytest.raises(ValueError, match=r"select\(\) got a name twice"):
        image.select(["red", "mask"], ["a", "a"])

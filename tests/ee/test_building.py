"""A long script over many images: describing its result reads nothing and stays small."""

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from qmosaic import ee
from tests.support.sources import CountingArray

IMAGES, SIDE = 500, 4
OPTICAL = ("B2", "B3", "B4", "B8", "B11", "B12")


def stored() -> tuple[xr.Dataset, xr.Dataset, list[CountingArray]]:
    """Make two years of Sentinel-2, its cloud scores, and the arrays that count what is read."""
    rng = np.random.default_rng(0)
    shape = (IMAGES, SIDE, SIDE)
    arrays = []

    def band(values: np.ndarray) -> tuple:
        arrays.append(CountingArray(values))
        meta = np.empty((0, 0, 0), values.dtype)
        lazy = da.from_array(arrays[-1], chunks=(1, SIDE, SIDE), asarray=False, meta=meta)
        fill = {} if values.dtype.kind == "f" else {"_FillValue": values.dtype.type(0)}
        return ("time", "y", "x"), lazy, fill

    coords = {
        "time": pd.date_range("2021-01-01", periods=IMAGES, freq="35h"),
        "y": 5e6 - 10.0 * np.arange(SIDE),
        "x": 3e5 + 10.0 * np.arange(SIDE),
        "id": ("time", [f"S2_{number}" for number in range(IMAGES)]),
        "CLOUDY_PIXEL_PERCENTAGE": ("time", rng.uniform(0, 90, IMAGES)),
    }
    pixels = {name: band(rng.integers(1, 5000, shape).astype("uint16")) for name in OPTICAL}
    classes = {"SCL": band(rng.integers(4, 12, shape).astype("uint8"))}
    images = xr.Dataset(pixels | classes, coords)
    scores = xr.Dataset({"cs_cdf": band(rng.random(shape).astype("float32"))}, coords)
    return images, scores, arrays


def run(images: xr.Dataset, scores: xr.Dataset) -> ee.Image:
    """Run a script of a hundred lines, as people write them."""
    ee.register("LONG/S2", images)
    ee.register("LONG/CLOUD_SCORE", scores)
    start = ee.Date("2021-01-01")
    end = start.advance(2, "year")
    peak_day = 200
    clear_threshold = 0.4

    s2 = (
        ee.ImageCollection("LONG/S2")
        .filterDate(start, end)
        .filter(ee.Filter.lt("CLOUDY_PIXEL_PERCENTAGE", 85))
        .linkCollection(ee.ImageCollection("LONG/CLOUD_SCORE"), ["cs_cdf"])
    )

    def mask_clouds(img):
        scl = img.select("SCL")
        shadow = scl.eq(3)
        cloud = scl.eq(8).Or(scl.eq(9)).Or(scl.eq(10))
        snow = scl.eq(11)
        clear = img.select("cs_cdf").gte(clear_threshold)
        return img.updateMask(shadow.Or(cloud).Or(snow).Not().And(clear))

    def to_reflectance(img):
        optical = img.select("B.*").multiply(0.0001)
        return img.addBands(optical, None, True)

    def add_indices(img):
        ndvi = img.normalizedDifference(["B8", "B4"]).rename("NDVI")
        ndwi = img.normalizedDifference(["B3", "B8"]).rename("NDWI")
        nbr = img.normalizedDifference(["B8", "B12"]).rename("NBR")
        evi = img.expression(
            "2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1)",
            {
                "nir": img.select("B8"),
                "red": img.select("B4"),
                "blue": img.select("B2"),
            },
        ).rename("EVI")
        return img.addBands([ndvi, ndwi, nbr, evi])

    def add_dates(img):
        day = img.date().getRelative("day", "year").add(1)
        doy = ee.Image.constant(day).rename("doy").toInt16()
        days = ee.Image.constant(img.date().difference(start, "day"))
        return img.addBands(doy).addBands(days.rename("days").toFloat()).set("doy", day)

    def add_score(img):
        percentage = ee.Number(img.get("CLOUDY_PIXEL_PERCENTAGE"))
        cloudiness = ee.Image.constant(percentage).divide(100)
        distance = img.select("doy").subtract(peak_day).abs().divide(365)
        score = (
            img.select("cs_cdf").subtract(cloudiness.multiply(0.3)).subtract(distance.multiply(0.5))
        )
        bright = img.select("B2").gt(0.3)
        water = img.select("NDWI").gt(0.2)
        score = score.where(water, score.subtract(0.1)).where(bright, -1)
        return img.addBands(score.rename("score").toFloat())

    prepared = (
        s2.map(mask_clouds).map(to_reflectance).map(add_indices).map(add_dates).map(add_score)
    )
    bands = ["B2", "B3", "B4", "B8", "NDVI", "EVI", "doy", "score"]
    best = prepared.select(bands).qualityMosaic("score")
    greenest = prepared.select(["NDVI", "doy"]).qualityMosaic("NDVI")
    latest = prepared.select(["days", "B8"]).qualityMosaic("days")

    summer = prepared.filter(ee.Filter.calendarRange(6, 8, "month"))
    burnt = (
        summer.select(["NBR", "doy"])
        .map(lambda img: img.addBands(img.select("NBR").multiply(-1).rename("burnt")))
        .qualityMosaic("burnt")
    )

    peak_month = greenest.select("doy").divide(30.5).floor().add(1).min(12).rename("peak_month")
    season = peak_month.remap([12, 1, 2, 3, 4, 5], [1, 1, 1, 2, 2, 2], 0).rename("season")
    change = greenest.select("NDVI").subtract(best.select("NDVI")).rename("change")
    age = ee.Image(730).subtract(latest.select("days")).rename("age")
    scar = burnt.select("NBR").lt(-0.2).And(change.gt(0.1)).rename("scar")
    quality = best.select("score").multiply(100).clamp(0, 100).toByte().rename("quality")
    return (
        best.select(["B4", "B3", "B2"])
        .addBands([peak_month, season, change, age, scar, quality])
        .set("year", start.get("year"), "system:time_start", start.millis())
    )


def test_a_long_script_reads_nothing_and_makes_few_tasks():
    """Until its result is asked for, a script over 500 images reads no pixel, and its graph has
    fewer tasks than there are images; a band of one mosaic then reads no chunk twice."""
    images, scores, arrays = stored()
    result = run(images, scores)
    assert result.bandNames().getInfo()[-1] == "quality"
    assert sum(len(array.calls) for array in arrays) == 0
    assert len(result.dataset.__dask_graph__()) < IMAGES

    quality = result.dataset["quality"].compute(scheduler="synchronous")
    kept = int((images["CLOUDY_PIXEL_PERCENTAGE"] < 85).sum())
    assert 0 < max(len(array.calls) for array in arrays) <= kept
    assert 0 < quality.max() <= 100


def test_a_band_of_dates_leaves_the_mosaic_deferred():
    """A day of the year of each image, which is never masked, costs no task for each image, though
    the quality is masked where there are clouds."""
    images, _, arrays = stored()
    col = ee.ImageCollection(images).map(lambda img: img.updateMask(img.select("SCL").lt(8)))

    def dated(img):
        day = ee.Image.constant(img.date().getRelative("day", "year").add(1)).toInt16()
        ndvi = img.normalizedDifference(["B8", "B4"]).rename("ndvi")
        return img.addBands([ndvi, day.rename("day")])

    best = col.map(dated).qualityMosaic("ndvi")
    assert len(best.dataset.__dask_graph__()) < 100
    assert sum(len(array.calls) for array in arrays) == 0

"""What scripts for Earth Engine ask for: tasks, and chunks read while described and when written.

``python -m benchmarks scripts`` (extra ``demo``): five kinds of script on the real Sentinel-2
series of `qmosaic.sources.samples`, in chunks of one image × 50 × 50 pixels. Its Cloud Score+ is
made up of scene classes. Counted, so that the load of the machine does not matter.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import xarray as xr

import qmosaic as qm
from qmosaic import ee
from qmosaic.sources.samples import sentinel2_romania

S2, CLOUD_SCORE = "COPERNICUS/S2_SR_HARMONIZED", "GOOGLE/CLOUD_SCORE_PLUS/V1/S2_HARMONIZED"
CLEAR_AS = {4: 0.9, 5: 0.9, 6: 0.9, 7: 0.5, 2: 0.4, 3: 0.3, 10: 0.2, 8: 0.1, 9: 0.0, 11: 0.6}


def _clear(image: Any) -> Any:
    return image.updateMask(image.select("SCL").gte(4).And(image.select("SCL").lte(6)))


def _with_ndvi_and_day(image: Any) -> Any:
    day = ee.Image.constant(image.date().getRelative("day", "year").add(1)).toInt16()
    ndvi = image.normalizedDifference(["B8", "B4"]).rename("ndvi")
    return image.addBands([ndvi, day.rename("day")])


def _greenest() -> Any:
    return ee.ImageCollection(S2).map(_clear).map(_with_ndvi_and_day).qualityMosaic("ndvi")


def _cloud_score() -> Any:
    scores = ee.ImageCollection(CLOUD_SCORE)
    return ee.ImageCollection(S2).linkCollection(scores, ["cs_cdf"]).qualityMosaic("cs_cdf")


def _best_available() -> Any:
    def scored(image: Any) -> Any:
        unclear = image.select("SCL").gte(8)
        pixels = unclear.fastDistanceTransform(16).sqrt().min(16).unmask(16)
        day = ee.Image.constant(image.date().getRelative("day", "year"))
        text = "exp(-0.5 * ((day - 200) / 60) ** 2) + d / 16"
        score = image.expression(text, {"day": day, "d": pixels}).rename("score")
        return image.addBands(score).updateMask(unclear.Not())

    return ee.ImageCollection(S2).map(scored).qualityMosaic("score")


def _percentiles() -> Any:
    bands = ee.ImageCollection(S2).map(_clear).select(["B8", "B4"])
    return bands.reduce(ee.Reducer.percentile([10, 50, 90]))


def _monthly() -> Any:
    year = ee.ImageCollection(S2).filterDate("2020-01-01", "2021-01-01").map(_clear)
    ready = year.map(_with_ndvi_and_day)

    def of_month(month: Any) -> Any:
        images = ready.filter(ee.Filter.calendarRange(month, month, "month"))
        start = ee.Date.fromYMD(2020, month, 1)
        return images.qualityMosaic("ndvi").set("system:time_start", start.millis())

    return ee.ImageCollection.fromImages(ee.List.sequence(1, 12).map(of_month))


SCRIPTS: dict[str, Callable[[], Any]] = {
    "greenest pixel, day of year": _greenest,
    "Cloud Score+ by linkCollection": _cloud_score,
    "best available pixel": _best_available,
    "percentiles": _percentiles,
    "twelve monthly mosaics": _monthly,
}


def count_scripts() -> list[tuple[str, int, int, int, int]]:
    """Count for each script: tasks, chunks read before and by the writing, all chunks."""
    found = []
    for name, script in SCRIPTS.items():
        images, reads = sentinel2_romania()
        images = images.assign_coords(id=images["time"].dt.strftime("S2_%Y%m%d"))
        scores = xr.Dataset({"cs_cdf": qm.scores.classes(images["SCL"], CLEAR_AS)})
        ee.register(S2, images)
        ee.register(CLOUD_SCORE, scores.assign_coords(id=images["id"]))
        made = script().dataset
        tasks, before = len(made.__dask_graph__()), len(reads.chunks)
        with tempfile.TemporaryDirectory() as folder:
            qm.to_zarr(made, f"{folder}/made.zarr", progress=False)
        total = sum(band.data.npartitions for band in images.values() if band.chunks)
        found.append((name, tasks, before, len(reads.chunks), total))
    return found


def table(found: list[tuple[str, int, int, int, int]]) -> str:
    """Write the counts as a table of Markdown."""
    rows = [f"| {' | '.join(map(str, row))} |" for row in found]
    head = "| script | tasks | read while described | read when written | chunks |"
    return "\n".join([head, "|---|---|---|---|---|", *rows])

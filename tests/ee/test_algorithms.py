"""Functions that are methods of nothing: clouds of Landsat, a composite, types of values."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import xarray as xr

from qmosaic import ee

SENSORS = {
    "LANDSAT_5": ("B1", "B2", "B3", "B4", "B5", "B7", "B6"),
    "LANDSAT_7": ("B1", "B2", "B3", "B4", "B5", "B7", "B6_VCID_1"),
    "LANDSAT_8": ("B2", "B3", "B4", "B5", "B6", "B7", "B10"),
    "landsat-9": ("B2", "B3", "B4", "B5", "B6", "B7", "B10"),
}
"""Blue, green, red, near infrared, two short-wave infrared bands, thermal."""

IMAGES, ROWS, COLUMNS = 5, 3, 4


def scenes(sensor: str, *, named: bool = True, **more: Any) -> xr.Dataset:
    """Scenes with reflectances and temperatures of bright, dark and snowy pixels; some masked."""
    draws = np.random.default_rng(7)
    shape = (IMAGES, ROWS, COLUMNS)
    bands = {}
    for name in (*SENSORS[sensor], "B8"):
        values = draws.uniform(0.05, 0.6, shape)
        if name in ("B6_VCID_1", "B10") or (name == "B6" and sensor == "LANDSAT_5"):
            values = draws.uniform(285, 305, shape)
        values[draws.uniform(size=shape) < 0.05] = np.nan
        bands[name] = (("time", "y", "x"), values.astype("float32"))
    bands["QA_PIXEL"] = (("time", "y", "x"), np.zeros(shape, "uint16"))
    days = np.datetime64("2020-06-01", "ns") + np.arange(IMAGES) * np.timedelta64(16, "D")
    named_so = {"SPACECRAFT_ID": ("time", [sensor] * IMAGES)} if named else {}
    places = {"y": np.arange(ROWS) * -30.0, "x": np.arange(COLUMNS) * 30.0}
    return xr.Dataset(bands, {"time": days, **named_so, **more, **places})


def cloud_score(pixel: list[float]) -> float | None:
    """Compute the score of one pixel, by the published formula."""
    if any(value != value for value in pixel):
        return None
    blue, green, red, nir, swir1, swir2, thermal = pixel
    score = 1.0
    for value, (low, high) in (
        (blue, (0.1, 0.3)),
        (red + green + blue, (0.2, 0.8)),
        (nir + swir1 + swir2, (0.3, 0.8)),
        (thermal, (300, 290)),
        ((green - swir1) / (green + swir1), (0.8, 0.6)),
    ):
        score = min(score, (value - low) / (high - low))
    return int(max(score, 0) * 100)


def pixel_of(dataset: xr.Dataset, sensor: str, place: Any) -> list[float]:
    return [float(dataset[name].values[place]) for name in SENSORS[sensor]]


@pytest.mark.parametrize("sensor", SENSORS)
@pytest.mark.parametrize("named", [True, False])
def test_cloud_scores_are_those_of_the_formula(sensor: str, named: bool) -> None:
    """Whichever satellite it is, by the property or by its bands, each pixel has the score of the
    published formula, and is masked where one of the seven bands is; other bands stay."""
    dataset = scenes(sensor, named=named)
    made = ee.ImageCollection(dataset).map(ee.Algorithms.Landsat.simpleCloudScore).dataset
    assert list(made.data_vars) == [*dataset.data_vars, "cloud"]
    cloud = made["cloud"]
    assert cloud.dtype == "uint8"
    for place in np.ndindex(IMAGES, ROWS, COLUMNS):
        expected = cloud_score(pixel_of(dataset, sensor, place))
        found = cloud.values[place].item()
        assert found == (cloud.attrs["_FillValue"] if expected is None else expected)


def test_satellites_of_one_collection_are_told_apart() -> None:
    """Images of two satellites have bands of the same names that mean other things: each is scored
    by its own."""
    bands = {"B7": 0.3, "B6_VCID_1": 295.0, "B6": 0.4, "B10": 291.0}
    bands |= {"B1": 0.25, "B2": 0.28, "B3": 0.3, "B4": 0.15, "B5": 0.5}
    days = np.array(["2020-01-01", "2020-01-02"], "M8[ns]")
    sensors = ["LANDSAT_7", "LANDSAT_8"]
    dataset = xr.Dataset(
        {name: (("time", "x"), [[value]] * 2) for name, value in bands.items()},
        {"time": days, "SPACECRAFT_ID": ("time", sensors)},
    )
    made = ee.ImageCollection(dataset).map(ee.Algorithms.Landsat.simpleCloudScore)
    expected = [cloud_score([bands[name] for name in SENSORS[sensor]]) for sensor in sensors]
    assert made.dataset["cloud"].values.ravel().tolist() == expected
    assert len(set(expected)) == 2


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda ds: ds.drop_vars("B10"), ValueError, "without the band B10"),
        (lambda ds: ds.assign(B4=ds["B4"].fillna(0).astype("uint16")), TypeError, "with integers"),
        (lambda ds: ds.assign_coords(SPACECRAFT_ID="SENTINEL-2A"), ValueError, "LANDSAT_4, 5, 7"),
    ],
)
def test_what_cannot_be_scored(change: Any, error: type[Exception], said: str) -> None:
    """A missing band, integers, another satellite: the error says what came and what is needed."""
    image = ee.Image(change(scenes("LANDSAT_8").isel(time=0)))
    with pytest.raises(error, match=said):
        ee.Algorithms.Landsat.simpleCloudScore(image)
    with pytest.raises(TypeError, match=r"collection\.map"):
        ee.Algorithms.Landsat.simpleCloudScore(ee.ImageCollection(scenes("LANDSAT_8")))


def composite(
    dataset: xr.Dataset, sensor: str, percentile: float, reach: float, images: list[int]
) -> dict[str, Any]:
    """Make the composite pixel by pixel."""
    made = {name: np.full((ROWS, COLUMNS), np.nan) for name in (*SENSORS[sensor], "B8")}
    for row, column in itertools.product(range(ROWS), range(COLUMNS)):
        scores = {
            image: cloud_score(pixel_of(dataset, sensor, (image, row, column))) for image in images
        }
        known = {image: score for image, score in scores.items() if score is not None}
        near = [image for image, score in known.items() if score <= min(known.values()) + reach]
        for name, pixels in made.items():
            values = [float(dataset[name].values[image, row, column]) for image in near]
            values = [value for value in values if value == value]
            if values:
                pixels[row, column] = np.percentile(values, percentile)
    return made


@pytest.mark.parametrize(
    ("sensor", "percentile", "reach"),
    [("LANDSAT_5", 50, 10), ("LANDSAT_7", 75, 100), ("LANDSAT_8", 0, 0)],
)
def test_composites_are_percentiles_of_the_least_cloudy(
    sensor: str, percentile: int, reach: int
) -> None:
    """Each band is the percentile of the images whose score is at most the lowest plus the range;
    without asFloat reflectances are 0 to 255, temperatures less 100 K, rounded."""
    dataset = scenes(sensor)
    collection = ee.ImageCollection(dataset)
    made = ee.Algorithms.Landsat.simpleComposite(collection, percentile, reach, asFloat=True)
    expected = composite(dataset, sensor, percentile, reach, list(range(IMAGES)))
    assert set(made.bandNames()) == {*SENSORS[sensor], "B8"}  # no flags, no score
    for name, pixels in expected.items():
        assert made.dataset[name].values == pytest.approx(pixels, rel=1e-5, nan_ok=True)
    whole = ee.Algorithms.Landsat.simpleComposite(collection, percentile, reach)
    for name, pixels in expected.items():
        found = whole.dataset[name]
        assert found.dtype == "uint8"
        warm = name in ("B6_VCID_1", "B10") or (name == "B6" and sensor == "LANDSAT_5")
        scaled = np.rint(pixels - 100 if warm else pixels * 255)
        valid = ~np.isnan(pixels)
        assert np.abs(found.values[valid].astype(float) - scaled[valid]).max() <= 1
        assert (found.values[~valid] == found.attrs["_FillValue"]).all()


def test_composites_of_the_clearest_scenes() -> None:
    """Of more than maxDepth images of a path and row those with the lowest cloud cover are used."""
    cover = ("time", [50.0, 10.0, 90.0, 0.0, 20.0])
    path = ("time", [33, 33, 33, 34, 33])
    dataset = scenes("LANDSAT_8", CLOUD_COVER=cover, WRS_PATH=path)
    made = ee.Algorithms.Landsat.simpleComposite(
        ee.ImageCollection(dataset), cloudScoreRange=100, maxDepth=2, asFloat=True
    )
    expected = composite(dataset, "LANDSAT_8", 50, 100, [1, 3, 4])
    assert made.dataset["B4"].values == pytest.approx(expected["B4"], rel=1e-5, nan_ok=True)


def test_composites_are_deferred() -> None:
    """A composite reads nothing before it is computed, and of its bands only the images that
    count."""
    dataset = scenes("LANDSAT_8")
    lazy = dataset.chunk(time=1)
    made = ee.Algorithms.Landsat.simpleComposite(ee.ImageCollection(lazy))
    assert all(band.chunks for band in made.dataset.data_vars.values())
    with pytest.raises(TypeError, match="percentile='much'"):
        ee.Algorithms.Landsat.simpleComposite(ee.ImageCollection(lazy), percentile="much")
    nothing = ee.ImageCollection(lazy).filterDate("2019-01-01", "2019-01-02")
    assert ee.Algorithms.Landsat.simpleComposite(nothing).bandNames() == []


def test_types_and_texts_of_values() -> None:
    """Types are named as in Earth Engine; inside map there is one for each image."""
    named = {
        "Integer": ee.Number(3),
        "Float": 2.5,
        "String": "a",
        "List": ee.List([1]),
        "Dictionary": {"a": 1},
        "Date": ee.Date("2020-01-01"),
        "Image": ee.Image(1),
    }
    for name, value in named.items():
        assert ee.Algorithms.ObjectType(value) == name
    assert ee.Algorithms.String(ee.Number(7)) == "7"
    assert ee.Algorithms.IsEqual({"a": 1}, ee.Dictionary({"a": 1}))
    assert not ee.Algorithms.IsEqual(1, 2)
    assert ee.Algorithms.Date(0).format("YYYY") == "1970"
    collection = ee.ImageCollection(scenes("LANDSAT_8", path=("time", [31, 32, 33, 34, 35])))
    texts = collection.map(lambda i: i.set("text", ee.Algorithms.String(i.get("path"))))
    assert texts.aggregate_array("text") == ["31", "32", "33", "34", "35"]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: ee.Algorithms.Landsat.TOA, "scale and offset"),
        (lambda: ee.Algorithms.Landsat.surfaceReflectance, "surface reflectances"),
        (lambda: ee.Algorithms.Sentinel2, "xarray"),
        (lambda: ee.Algorithms.HillShadow, "xrspatial"),
    ],
)
def test_what_is_not_there_says_what_to_use(ask: Any, said: str) -> None:
    """Algorithms that are not supported name a way out."""
    with pytest.raises(AttributeError, match=said):
        ask()

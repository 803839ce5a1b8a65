"""The guides run, show what they say, and keep no outputs."""

from __future__ import annotations

import base64
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="it is in the extra [test]")
nbclient = pytest.importorskip("nbclient", reason="it is in the extra [test]")
for package in ("matplotlib", "folium", "netCDF4", "scipy", "spyndex"):
    pytest.importorskip(package, reason=f"{package} is in the extras [demo], [map] and [scores]")
for package in ("odc.stac", "rioxarray", "distributed", "icechunk", "obstore"):
    pytest.importorskip(package, reason=f"{package} is in the extra [test]")

FOLDER = Path(__file__).parent.parent / "notebooks"
NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))


@dataclass(frozen=True)
class Promise:
    """What a notebook has to show, and what has to be true in its kernel at the end.

    Attributes
    ----------
    pictures : int
        How many it draws.
    shows : tuple of str
        Patterns of what it prints or displays.
    holds : str
        Code that runs in its kernel, after the last cell; it asserts by plain numpy, on values
        that the notebook has made.
    maps : bool
        Whether it shows a map.
    """

    pictures: int
    shows: tuple[str, ...]
    holds: str
    maps: bool = False


FIRST = """
quality = np.asarray(scored["quality"])
nowhere = np.isnan(quality).all(0)
index = np.where(np.isnan(quality), -np.inf, quality).argmax(0)
for name in ("B2", "B3", "B4", "B8"):
    expected = np.take_along_axis(np.asarray(col[name]), index[None], 0)[0]
    expected[nowhere] = 0
    np.testing.assert_array_equal(written[name], expected)
assert (np.asarray(month)[~nowhere] == np.asarray(col["time"].dt.month)[index][~nowhere]).all()
assert np.isin(np.asarray(worst["SCL"]), [8, 9, 10]).mean() > 0.99
assert np.asarray(months["B4"])[2].max() == 0 and months["qmosaic_images"][2] == 0  # May
"""

SECOND = """
raw = qm.open_collection("plains.zarr").sel(time=slice("2020-07-01", "2020-08-31")).load()
cloud = raw["MSK_CLDPRB"].values
last = len(cloud) - 1 - cloud[::-1].argmin(0)  # of equals the last
for name in ("B2", "B3", "B4"):
    expected = np.take_along_axis(raw[name].values, last[None], 0)[0]
    np.testing.assert_array_equal(best.dataset[name], expected)
assert ee.ImageCollection("COPERNICUS/S2_SR_HARMONIZED").first().bandNames() == [
    "B2", "B3", "B4", "MSK_CLDPRB",
]
"""

THIRD = """
for opened in (qm.open_collection("months/*.nc"), qm.open_collection("plains.zarr")):
    np.testing.assert_array_equal(opened["B4"], plains["B4"])
folder = qm.open_collection("scenes", pattern=names, resampling="nearest", missing="mask")
np.testing.assert_array_equal(folder["B4"], plains["B4"][::4])
assert (folder["B8"][1] == 0).all() and (folder["B8"][2] == plains["B8"][8]).all()

cloud = np.asarray(col["cloud"]).astype("int16")  # 255: no image
cloud[cloud == 255] = 999
there = cloud.min(0) < 999
np.testing.assert_array_equal(np.asarray(best["number"])[there], cloud.argmin(0)[there])
assert not np.asarray(best["red"])[~there].any()
assert there.mean() > 0.8
"""

FOURTH = """
product = np.asarray(far) * np.asarray(season)[:, None, None] ** 0.5 * np.asarray(clear_air)
index = np.where(np.isnan(product), -np.inf, product).argmax(0)
expected = np.take_along_axis(np.asarray(col["B4"]), index[None], 0)[0]
assert (np.asarray(mosaics["All together"]["B4"]) == expected).mean() > 0.999  # float32
bright = {title: float((mosaic["B2"] > 1000).mean()) for title, mosaic in mosaics.items()}
assert bright["Greenest"] < bright["All together"] < bright["Cloud distance"] < bright["Season"]
plain, bonus = (np.asarray(pieces[t]["day"]).astype(int) for t in ("as it is", "scene_bonus=0.1"))
assert (np.diff(bonus) != 0).mean() < 0.6 * (np.diff(plain) != 0).mean()
means = {title: float(mosaic["quality"].mean()) for title, mosaic in pieces.items()}
assert means["as it is"] - 0.02 < min(means.values()) < max(means.values()) == means["as it is"]
assert read["is_clear, upper_bound=0"] < read["is_clear"] / 5
assert read["far_from_clouds"] > read["the band SCL"]
"""

FIFTH = """
import numpy as np

cloud = np.asarray(plains["MSK_CLDPRB"])
for mosaic in (resumed, qm.open_mosaic("sharded.zarr", mask_and_scale=False)):
    for name in ("B2", "B3", "B4", "B8"):
        expected = np.take_along_axis(np.asarray(plains[name]), cloud.argmin(0)[None], 0)[0]
        np.testing.assert_array_equal(mosaic[name], expected)
cloud[1, 384:512, :128] = 255  # the chunk that was cut short
skipped = qm.open_mosaic("gaps.zarr", mask_and_scale=False)["B4"]
expected = np.take_along_axis(np.asarray(plains["B4"]), cloud.argmin(0)[None], 0)[0]
np.testing.assert_array_equal(skipped, expected)
assert steps[-1].done == 25
assert not np.asarray(part["B4"])[384:].any()  # whose chunks were broken
assert int(resumed["spatial_ref"]) == 32613 and "spatial_ref" not in resumed.data_vars
"""

SIXTH = """
import numpy as np

quality = np.asarray(scored["quality"])
order = np.argsort(np.where(np.isnan(quality), np.inf, -quality), axis=0, kind="stable")
np.testing.assert_array_equal(five["source_index"], order[:5])
np.testing.assert_array_equal(best["source_index"], order[0])
np.testing.assert_array_equal(best["valid_count"], (~np.isnan(quality)).sum(0))
np.testing.assert_array_equal(best["source_time"], np.asarray(col["time"])[order[0]])
np.testing.assert_array_equal(winners["cloudy"], np.asarray(cloudy)[order[0]])
counts = np.bincount(order[0].ravel(), minlength=140)
assert table.set_index("source_index")["pixels"].to_dict() == {
    int(image): int(counts[image]) for image in np.flatnonzero(counts)
}
assert by_zone.groupby("zone")["pixels"].sum()["forest"] == 65 * 100  # the rows from 350 m on
march = np.isnan(quality[np.asarray(col["time"].dt.strftime("%Y-%m") == "2020-03")]).all(0)
assert none["pixels"].iloc[0] == march.sum()
"""

SEVENTH = """
import numpy as np

images = until_august["quality"].values
there = ~np.isnan(images)
np.testing.assert_array_equal(map_of_august["valid_count"], there.sum(0))
index = np.where(there, images, -np.inf).argmax(0)
index[~there.any(0)] = -1
np.testing.assert_array_equal(map_of_august["source_index"], index)
for number in (6, 7, 8):
    own = until_august.sel(time=until_august["time"].dt.month == number)
    scores = own["quality"].values
    best_score = np.where(np.isnan(scores), -np.inf, scores).max(0)
    best_score[np.isnan(scores).all(0)] = np.nan
    np.testing.assert_array_equal(after["quality"].sel(time=f"2020-0{number}-01"), best_score)
"""

EIGHTH = """
import numpy as np
import qmosaic as qm

red, infrared, scene = (year[name].values.astype("float32") for name in ("B4", "B8", "SCL"))
score = np.where(np.isin(scene, [4, 5, 6]) & (red >= 100), (infrared - red) / (infrared + red), -2)
best = qm.open_mosaic("green.zarr", mask_and_scale=False)
there = score.max(0) > -2
for name in ("B4", "B3", "B2"):
    expected = np.take_along_axis(year[name].values, score.argmax(0)[None], 0)[0]
    np.testing.assert_array_equal(best[name].values[there], expected[there])
assert there.mean() > 0.99
"""

NINTH = """
import warnings

import pyproj
import rasterio

bands = {name: sentinel[name].values for name in ("B2", "B3", "B4", "B8", "SCL")}
dates = sentinel["time"].to_index()
reds, infrareds, scenes = bands["B4"], bands["B8"], bands["SCL"]
ndvi_of_all = (infrareds.astype("float32") - reds) / (infrareds.astype("float32") + reds)
land_of_all = np.isin(scenes, [4, 5, 6])


def best_of(scores):  # of equals the last
    candidate = ~np.isnan(scores)
    last_first = np.where(candidate, scores, -np.inf)[::-1]
    return len(scores) - 1 - last_first.argmax(0), candidate.any(0)


def taken_of(band, winner, there):
    return np.where(there, np.take_along_axis(band, winner[None], 0)[0], 0)


# the greenest pixel
cloudy = 100 * np.isin(scenes, [8, 9, 10]).mean((1, 2))
chosen = (dates >= "2018-01-01") & (dates < "2021-01-01") & (cloudy < 60)
scores = np.where(land_of_all & (reds >= 100), ndvi_of_all, np.nan)[chosen]
winner, there = best_of(scores)
assert there.all()
for name in ("B2", "B3", "B4"):
    expected = taken_of(bands[name][chosen], winner, there)
    np.testing.assert_array_equal(greenest.dataset[name], expected)
np.testing.assert_array_equal(greenest.dataset["day"], dates[chosen].dayofyear.values[winner])
month, red = dates[chosen].month.values[winner], greenest.dataset["B4"].values
assert 0.6 < (month == 6).mean() < 0.7
assert (month > 9).mean() < 0.02
assert red[month > 9].mean() < 0.8 * red.mean()

# Cloud Score+
chosen = (dates >= "2020-05-01") & (dates < "2020-08-01")
scores = cloud_score["cs_cdf"].values[chosen]
winner, there = best_of(scores)
clear_reds = np.where(scores >= 0.6, reds[chosen], np.nan)
for name in ("B2", "B3", "B4"):
    expected = taken_of(bands[name][chosen], winner, there)
    np.testing.assert_array_equal(clearest.dataset[name], expected)
np.testing.assert_array_equal(median.dataset["B4"], np.nanmedian(clear_reds, 0))
assert scores.min() < 0.1 < 0.9 < scores.max() < 1

# Landsat, at every seventh pixel: its distance to each pixel that is not clear
chosen = (dates >= "2018-07-01") & (dates < "2018-09-01")
some = np.mgrid[0:100:7, 0:100:7].reshape(2, -1)
scores = []
for image, number in zip(scenes[chosen], dates[chosen].dayofyear, strict=True):
    rows, columns = np.nonzero(np.isin(image, [3, 8, 9, 10, 11]))
    squares = (some[0][:, None] - rows) ** 2 + (some[1][:, None] - columns) ** 2
    far = np.minimum(10 * np.sqrt(squares.min(1, initial=10**6)), 700)
    season = np.exp(-0.5 * ((number - 200) / 60) ** 2)
    scores.append(np.where(far > 0, season + 1 / (1 + np.exp(-10 / 700 * (far - 350))), np.nan))
winner, there = best_of(np.array(scores))
for name, other in {"SR_B2": "B2", "SR_B4": "B4", "SR_B5": "B8"}.items():
    reflectance = taken_of(bands[other][chosen][:, some[0], some[1]], winner, there) / 10000
    found = best.dataset[name].values[some[0], some[1]]
    np.testing.assert_allclose(found, reflectance, atol=0.0000275 / 2)
assert set(dates[chosen].day[np.unique(winner)]) == {1, 21}

# percentiles, and the mean of what has its centre in the valley
chosen = (dates >= "2018-01-01") & (dates < "2021-01-01") & np.isin(dates.month, range(5, 10))
of_land = {n: np.where(land_of_all, bands[n], np.nan)[chosen] for n in ("B4", "B8")}
expected = np.nanpercentile(of_land["B4"][:, ::7, ::7], [10, 50, 90], axis=0)
for percent, values in zip((10, 50, 90), expected, strict=True):
    np.testing.assert_allclose(percentiles.dataset[f"B4_p{percent}"][::7, ::7], values)
red, infrared = (np.nanmedian(of_land[n], 0) for n in ("B4", "B8"))
to_degrees = pyproj.Transformer.from_crs(3035, 4326, always_xy=True)
lon, lat = to_degrees.transform(*np.meshgrid(sentinel["x"], sentinel["y"]))
inside = (22.147 < lon) & (lon < 22.1575) & (45.2012 < lat) & (lat < 45.2085)
expected = ((infrared - red) / (infrared + red))[inside].mean()
np.testing.assert_allclose(mean.getInfo()["ndvi"], expected)

# months, the GeoTIFF of July, the asset
rows = np.searchsorted(-sentinel["y"].values, -exported.dataset["y"].values - 1)
columns = np.searchsorted(sentinel["x"].values, exported.dataset["x"].values - 1)
cut = np.ix_(rows, columns)
assert len(rows) > 90 < len(columns)
of_year = dates.year == 2020
scores = np.where(land_of_all | (scenes == 11), ndvi_of_all, np.nan)
for place, month in enumerate(of_months["month"].values):
    chosen = of_year & (dates.month == month)
    found = of_months["B4"].values[place]
    if chosen.any():
        winner, there = best_of(scores[chosen])
        np.testing.assert_array_equal(found, taken_of(reds[chosen], winner, there))
    assert chosen.any() or not found.any()
    if month == 7:
        with rasterio.open("exports/valley/greenest_july.tif") as file:
            np.testing.assert_array_equal(file.read(1), found[cut])
            assert file.descriptions == ("B4", "B3", "B2")
winner, there = best_of(scores[of_year])
np.testing.assert_array_equal(exported.dataset["B4"], taken_of(reds[of_year], winner, there)[cut])

# the table: what the errors above do not show
image = ee.ImageCollection("COPERNICUS/S2_SR_HARMONIZED").filterDate("2018-07-21").first()
assert image.get("system:index").getInfo() == "S2_20180721"
assert image.get("CLOUDY_PIXEL_PERCENTAGE").getInfo() == cloudy[dates == "2018-07-21"]
assert col.mosaic().projection().nominalScale().getInfo() == 10
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always", UserWarning)
    same_grid = image.reproject(image.projection())
    assert not warned
    other_grid, as_it_was = image.reproject("EPSG:3035", None, 20), image.resample("bilinear")
    assert [str(one.message)[:18] for one in warned] == ["ee.Image.reproject", "ee.Image.resample("]
sizes = [(same_grid, 100), (other_grid, 51), (as_it_was, 100)]
sizes += [(other_grid.add(image), 51), (image.add(other_grid), 100)]
for changed, size in sizes:
    assert changed.dataset.sizes["x"] == size
count = image.select("B4").reduceRegion(ee.Reducer.count(), valley)
assert count.getInfo() == {"B4": inside.sum()}
try:
    image.reduceRegion(ee.Reducer.mean(), maxPixels=100).getInfo()
except ValueError:
    count = None
assert count is None
assert (image.select("B4").updateMask(0.5).mask().dataset["B4"] == 1).all()
quality = ee.Image(xr.Dataset({"a": ("x", np.uint8([0, 100, 255]))}))
assert quality.multiply(-1).dataset["a"].values.tolist() == [0, -100, -255]
assert quality.updateMask(quality.gt(50)).dataset["a"].dtype == "uint16"
assert quality.divide(2).dataset["a"].dtype == "float64"
assert quality.updateMask(quality.gt(50)).toByte().dataset["a"].values.tolist() == [255, 100, 254]
red = image.select("B4")
both = red.rename("time").addBands(red.rename("year")).set("year", 2019)
assert {"band:time", "property:year"} <= set(both.dataset.variables)
assert not col.filterDate("2031-01-01", "2032-01-01").mosaic().bandNames().getInfo()
ee.register("LANDSAT/LC09/C02/T1_L2", xr.Dataset(
    {"red": (("time", "x"), np.uint16([[1, 2]]))},
    {"id": ("time", ["LC09_L2SP_184029_20220101_20220103_02_T1"])},
))
known = ee.ImageCollection("LANDSAT/LC09/C02/T1_L2").first()
assert known.bandNames().getInfo() == ["SR_B4"]
assert known.get("system:index").getInfo() == "LC09_184029_20220101"
"""

PROMISES = {
    "1_first_mosaic.ipynb": Promise(
        pictures=6,
        shows=(
            r"uint16 from 140 images",
            r"25 +2017-06-21 +4172 +0\.4172\n",
            r"'Sep', 'Oct'",
            r"\('band', 'x'\)",
            r"0, 255",
        ),
        holds=FIRST,
        maps=True,
    ),
    "2_from_earth_engine.ipynb": Promise(
        pictures=3,
        shows=(
            r"^True$",
            r"uint8 → int16",
            r"^0 images \[\]\n.* left none of 17",
            r"ee\.Classifier is not supported",
        ),
        holds=SECOND,
        maps=True,
    ),
    "3_collections.ipynb": Promise(
        pictures=3,
        shows=(
            r"is on another grid.*resampling='nearest'",
            r"band 'B8' is missing in the image 'S2_20200718'",
            r"band 'cloud' declares nodata = 0",
            r"scene-01 +satellite-b",
            r"'/etc/passwd', which allow= does not let be opened",
            r"as opened +uint16 \[4706 4706\]\nharmonize='earth_engine' +uint16 \[3706 3706\]",
            r"^\(0.0001, -0.1\)$",
        ),
        holds=THIRD,
    ),
    "4_scores.ipynb": Promise(
        pictures=11,
        shows=(r"even the clearest has 14%", r"0 255 156.*0 +-1 -100", r"declare a packing"),
        holds=FOURTH,
    ),
    "5_jobs.ipynb": Promise(
        pictures=1,
        shows=(
            r"25 / 25 blocks",
            r"is not complete: \d+ of 25 blocks are there",
            r"^True$",  # the same bytes
            r"holds another mosaic.*qmosaic_ties was 'first', is 'last'",
            r"another job is writing 'shared.zarr'",
            r"chunk \(1, [34], \d\) of .* could not be read: ",
            r"1 image skipped",
            r"blocks +9 of",
            r"before the commit: nothing there\nafter it: B2 B3 B4 B8 MSK_CLDPRB quality\n",
        ),
        holds=FIFTH,
    ),
    "6_where_pixels_come_from.ipynb": Promise(
        pictures=7,
        shows=(
            r"source_index +\(y, x\) int16",
            r"^True$",  # the mosaic is that of its index
            r"25 +2017-06-21 +4172 +0\.4172\n",
            r"2017 +0\.663\n",
            r"meadows +88 +2019-07-06",
            r"45 to 96 candidates",
            r"cloud: 27% of an image, 0\.\d% of one that won",
            r"2020-03-01 +1040 +0\.1040\n",
        ),
        holds=SIXTH,
    ),
    "7_up_to_date.ipynb": Promise(
        pictures=2,
        shows=(
            r"^13 images",
            r"June: 3 images, 95% of the pixels",
            r"'qmosaic_images': 21",
            r"^True$",  # the same bytes
            r"same images goes on with the rest",
            r"is being updated, or its update was interrupted: \d blocks",
            r"another update of 'valley.zarr' was begun",
            r"31 images",
            r"counted twice",
            r"'B8' is only in the store",
            r"and {'x': 80} now",
            r"'May': 4, 'Jun': 3, 'Jul': 3, 'Aug': 2",
        ),
        holds=SEVENTH,
    ),
    "8_from_the_shell.ipynb": Promise(
        pictures=1,
        shows=(
            r"images +13\b[^$]*reads only what won",
            r'end = "2020-08-01"\n',
            r"state +complete[^$]*levels +3: 100 × 100, 50 × 50, 25 × 25",
            r"written +green\.png",
            r"images +20, 2020-04-06 to 2020-09-23",
            r"2020-06-30 +5972 0\.5972",
            r"True,\s+20,\s+'EPSG:3035'",
            r"Error: there is no band 'B44'[^$]*\^\^\^",
            r"\bexit code 1\b",
        ),
        holds=EIGHTH,
    ),
    "9_scripts_from_earth_engine.ipynb": Promise(
        pictures=7,
        shows=(
            r"^Images: 10\n",
            r"'B4_p10', 'B4_p50', 'B4_p90'",
            r"\nMean NDVI: 0\.84",
            r"a month: \[0, 3, 3, 3, 4, 3, 3, 2, 5, 3, 2, 2\]\nCOMPLETED\nCOMPLETED\n",
            r"valley/greenest_july\.tif exports/projects/my-project/assets/greenest_2020\.zarr",
            r"S2_SR_HARMONISED'\): the id is not registered",
            r"Number of each of 140 images> was asked whether it is true",
            r"the images have no property 'CLOUD_COVERAGE_ASSESSMENT'",
            r"to '2032-01-01' .* left none of 140 images",
            r"ee\.Classifier is not supported",
        ),
        holds=NINTH,
        maps=True,
    ),
}


def test_each_has_its_promise() -> None:
    """A notebook that nobody expects anything of could show anything."""
    assert list(PROMISES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_no_outputs_are_kept(name: str) -> None:
    """They would be stale with the next change."""
    for cell in nbformat.read(FOLDER / name, 4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("page", ["README.md", *NAMES])
def test_links_lead_somewhere(page: str) -> None:
    """From one guide to another, also after one is renamed."""
    text = (FOLDER / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?://)([^)#]+)", text):
        assert (FOLDER / link).exists(), link


def test_the_list_is_complete() -> None:
    """Who opens the folder finds all of them in its README."""
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in re.findall(r"\((\d_\w+\.ipynb)\)", text)] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From top to bottom in a fresh kernel and an empty folder; what it promises is there, and
    nothing complains."""
    # commands of this environment are found, whether it was activated or not
    scripts = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    promise = PROMISES[name]
    book = nbformat.read(FOLDER / name, 4)
    written = len(book.cells)
    book.cells.append(nbformat.v4.new_code_cell(promise.holds))
    nbclient.NotebookClient(
        book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs: list[Any] = [o for c in book.cells[:written] for o in c.get("outputs", [])]
    assert not [o for o in outputs if o["output_type"] == "stream" and o["name"] == "stderr"]

    shown = [o["data"] for o in outputs if "data" in o]
    pictures = [base64.b64decode(d["image/png"]) for d in shown if "image/png" in d]
    assert len(pictures) == promise.pictures
    assert all(len(picture) > 5_000 for picture in pictures)
    assert promise.maps == any("<iframe" in d.get("text/html", "") for d in shown)

    texts = [d["text/plain"] for d in shown if "text/plain" in d]
    # what a cell prints comes in one piece or in several
    for cell in book.cells[:written]:
        streams = [o for o in cell.get("outputs", []) if o["output_type"] == "stream"]
        texts.append("".join(o["text"] for o in streams))
    for pattern in promise.shows:
        assert any(re.search(pattern, text) for text in texts), pattern

"""`qmosaic mosaic` and `explain`: the pixels and bands that were asked for, from any source."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from tests.support.shell import best, done, run

Values = dict[str, np.ndarray]


def stored(path: Path) -> xr.Dataset:
    """Open what was written as it is stored, by xarray alone."""
    return xr.open_zarr(path, consolidated=False, mask_and_scale=False)


def same(mosaic: xr.Dataset, values: Values, score: np.ndarray, *bands: str) -> None:
    """Check bands of a mosaic, pixel by pixel, and that their dtypes are kept."""
    for band in bands:
        assert mosaic[band].dtype == values[band].dtype
        np.testing.assert_array_equal(mosaic[band], best(values, score, band))


def test_a_band_as_it_is(series: Path, values: Values, tmp_path: Path) -> None:
    """A plain name orders the images by that band: integers stay integers, no band is added; the
    command says what lies there now."""
    ended = done("mosaic", series, "--quality", "cloud", "--out", tmp_path / "worst.zarr", "-q")
    mosaic = stored(tmp_path / "worst.zarr")
    assert set(mosaic.data_vars) == {"B4", "B8", "cloud"}
    same(mosaic, values, values["cloud"].astype(int), "B4", "B8", "cloud")
    assert ended.out.startswith(f"mosaic      {tmp_path}/worst.zarr\nstate       complete\n")
    assert not ended.err


def test_a_score_that_begins_with_a_minus(series: Path, values: Values, tmp_path: Path) -> None:
    """Both ways to write it are the same; the band ``quality`` is added."""
    score = -values["cloud"].astype(int)
    for number, quality in enumerate((["--quality", "-cloud"], ["--quality=-cloud"])):
        out = tmp_path / f"{number}.zarr"
        done("mosaic", series, *quality, "--out", out, "-q")
        same(stored(out), values, score, "B4", "B8")
        np.testing.assert_array_equal(stored(out)["quality"], score.max(0))


def test_bands_that_are_delivered(series: Path, values: Values, tmp_path: Path) -> None:
    """``--bands`` names what is delivered, in that order; what the expression needs is opened, and
    not delivered. ``--no-quality`` leaves the score out."""
    score = np.where(values["cloud"] < 60, values["B8"].astype(float), np.nan)
    command = ["mosaic", series, "--quality", "where(cloud < 60, B8, nan)", "--bands", "B4"]
    for options, names in (([], ["B4", "quality"]), (["--no-quality"], ["B4"])):
        out = tmp_path / f"{len(options)}.zarr"
        done(*command, *options, "--out", out, "-q")
        assert list(qm.open_mosaic(out)) == names
        same(stored(out), values, score, "B4")
    ended = run(*command, "--bands", "B5", "--out", tmp_path / "no.zarr")
    assert ended.code == 1
    assert "B5" in ended.err
    assert not (tmp_path / "no.zarr").exists()


def test_several_scores(series: Path, values: Values, tmp_path: Path) -> None:
    """Given several times, each decides among images that are equal in those before it."""
    half = ["--quality", "-(cloud > 50)", "--quality", "B8"]
    done("mosaic", series, *half, "--out", tmp_path / "two.zarr", "-q")
    score = np.where(values["cloud"] > 50, 0, 100_000) + values["B8"].astype(int)
    same(stored(tmp_path / "two.zarr"), values, score, "B4", "B8")


def test_images_are_chosen(series: Path, values: Values, tmp_path: Path) -> None:
    """By time, where either end may be left out; by a box, to which the map is cut without a pixel
    being masked; by a polygon, outside of which pixels are masked."""
    cloud = -values["cloud"].astype(int)
    command = ["mosaic", series, "--quality", "-cloud", "-q", "--overwrite", "--out"]
    days = [str(day)[:10] for day in qm.open_collection(series)["time"].values]
    out = tmp_path / "some.zarr"
    for period, kept in (
        (["--start", days[1]], slice(1, None)),
        (["--end", days[3]], slice(0, 3)),
        (["--start", days[1], "--end", days[3]], slice(1, 3)),
    ):
        done(*command, out, *period)
        some = {name: band[kept] for name, band in values.items()}
        same(stored(out), some, cloud[kept], "B4")

    # from the middle of the first pixel to that of the tenth in the sixth row; a box of degrees is
    # askew on the grid, and may touch one row and one column more
    whole = qm.open_collection(series)
    west, north = degrees(whole, 0, 0)
    east, south = degrees(whole, 9, 5)
    box = ",".join(map(str, (west, south, east, north)))
    done(*command, out, "--bbox", box)
    cut = stored(out)
    rows, columns = cut.sizes["y"], cut.sizes["x"]
    assert (6, 10) <= (rows, columns) <= (7, 11)
    part = {name: band[:, :rows, :columns] for name, band in values.items()}
    same(cut, part, cloud[:, :rows, :columns], "B4", "cloud")

    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    region = {"type": "Polygon", "coordinates": [corners]}
    (tmp_path / "region.geojson").write_text(json.dumps(region))
    ended = run(*command, out, "--clip", tmp_path / "region.geojson")
    assert ended.err.endswith("As options: --fill-value 0, or --no-quality.\n")
    clip = ["--clip", tmp_path / "region.geojson", "--bands", "B4", "--no-quality"]
    done(*command, out, *clip)
    clipped = stored(out)["B4"]
    inside = clipped.values != 0
    assert 40 <= inside.sum() <= 70
    wanted = best(part, cloud[:, :rows, :columns], "B4")[: clipped.shape[0], : clipped.shape[1]]
    np.testing.assert_array_equal(clipped.values[inside], wanted[inside])


def degrees(collection: xr.Dataset, column: int, row: int) -> tuple[float, float]:
    """Give longitude and latitude of the middle of a pixel."""
    pyproj = pytest.importorskip("pyproj", reason="it comes with the extra [geo]")
    there = pyproj.Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    x, y = float(collection["x"][column]), float(collection["y"][row])
    lon, lat = there.transform(x, y)
    return lon, lat


def test_rules_are_passed_on(series: Path, tmp_path: Path) -> None:
    """Every rule that is an option is in what the mosaic says of itself."""
    rules = "--ties last --masked skip --min-quality 3 --within 2 --reducer mean --period MS"
    done("mosaic", series, "--quality", "cloud", *rules.split(), "--out", tmp_path / "a.zarr", "-q")
    told = done("info", tmp_path / "a.zarr", "--json").told
    for name, value in {
        "ties": "last",
        "masked": "skip",
        "min_quality": 3,
        "within": 2,
        "reducer": "mean",
        "period": "MS",
    }.items():
        assert told["rules"][name] == value
    assert told["periods"] == ["2020-07-01"]


def test_a_folder_of_geotiffs(values: Values, tmp_path: Path) -> None:
    """The arguments of `open_collection` are options: a pattern for names, nodata by band; the
    mosaic is that of the pixels in the files."""
    rasters = pytest.importorskip("tests.support.rasters", reason="the extra [geotiff]")
    pytest.importorskip("rioxarray", reason="it is in the extra [geotiff]")
    for number in range(3):
        for band in ("B4", "cloud"):
            path = tmp_path / "scenes" / f"S2_2020070{number + 1}_{band}.tif"
            rasters.write_tif(path, values[band][number], nodata=0)
    names = r"_(?P<time>\d{8})_(?P<band>\w+)\.tif"
    source = [tmp_path / "scenes", "--pattern", names, "--nodata", "B4=0,cloud=none"]
    done("mosaic", *source, "--quality", "-cloud", "--out", tmp_path / "best.zarr", "-q")
    some = {name: band[:3] for name, band in values.items()}
    same(stored(tmp_path / "best.zarr"), some, -some["cloud"].astype(int), "B4", "cloud")
    text = done("info", tmp_path / "scenes", "--pattern", names).out
    assert "3, 2020-07-01 to 2020-07-03" in text
    assert "of 10, EPSG:32632" in text


def test_stac_items(values: Values, tmp_path: Path) -> None:
    """The reader of STAC items knows boxes itself, and the CRS and resolution of the grid; only the
    assets that are needed are opened."""
    rasters = pytest.importorskip("tests.support.rasters", reason="the extra [stac]")
    pystac = pytest.importorskip("pystac", reason="it is in the extra [stac]")
    pytest.importorskip("odc.stac", reason="it is in the extra [stac]")
    items = []
    for number in range(3):
        assets: dict[str, Path | str] = {"B8": "/nowhere/B8.tif"}
        for band in ("B4", "cloud"):
            path = tmp_path / f"{number}_{band}.tif"
            nodata = 0 if band == "B4" else None
            assets[band] = rasters.write_tif(
                path, values[band][number], nodata=nodata, crs=rasters.UTM33
            )
        time = f"2020-07-0{number + 1}T10:00:00Z"
        items.append(rasters.make_item(f"item-{number}", assets, time, crs=rasters.UTM33))
    pystac.ItemCollection(items).save_object(str(tmp_path / "items.json"))
    west, north = degrees(utm_grid(), 8, 8)
    east, south = degrees(utm_grid(), 19, 15)
    grid = ["--crs", "EPSG:32633", "--resolution", 10, "--bbox", f"{west},{south},{east},{north}"]
    command = [tmp_path / "items.json", "--quality", "-cloud", "--bands", "B4", *grid]
    done("mosaic", *command, "--out", tmp_path / "best.zarr", "-q")
    mosaic = stored(tmp_path / "best.zarr")
    assert list(qm.open_mosaic(tmp_path / "best.zarr")) == ["B4", "quality"]
    rows = ((rasters.CORNER[1] - mosaic["y"].values) // 10).astype(int)
    columns = ((mosaic["x"].values - rasters.CORNER[0]) // 10).astype(int)
    assert (8, 12) <= (rows.size, columns.size) <= (10, 14)
    assert rows[0] in (7, 8)
    assert columns[0] in (7, 8)
    whole = best({"B4": values["B4"][:3]}, -values["cloud"][:3].astype(int), "B4")
    np.testing.assert_array_equal(mosaic["B4"], whole[np.ix_(rows, columns)])


def utm_grid() -> xr.Dataset:
    """Give the middles of the pixels of the files."""
    steps = np.arange(32) * 10.0 + 5
    return xr.Dataset(coords={"y": 5_400_000 - steps, "x": 500_000 + steps})


def test_a_geotiff(series: Path, values: Values, tmp_path: Path) -> None:
    """``--out best.tif`` writes a GeoTIFF; nothing is replaced unasked."""
    rasterio = pytest.importorskip("rasterio", reason="it is in the extra [geotiff]")
    command = ["mosaic", series, "--quality", "-cloud", "--bands", "B4,B8", "--no-quality"]
    ended = done(*command, "--out", tmp_path / "best.tif", "--json")
    assert str(tmp_path / "best.tif") in ended.told["files"]
    with rasterio.open(tmp_path / "best.tif") as file:
        score = -values["cloud"].astype(int)
        for number, band in enumerate(("B4", "B8"), start=1):
            np.testing.assert_array_equal(file.read(number), best(values, score, band))
        assert file.crs.to_epsg() == 32633
    done("show", tmp_path / "best.tif", "--bands", "B4", "--png", tmp_path / "best.png")
    assert run(*command, "--out", tmp_path / "best.tif").code == 1
    assert run(*command, "--out", tmp_path / "best.tif", "--overwrite").code == 0


def test_explain_runs_nothing(series: Path, tmp_path: Path) -> None:
    """The arguments of `mosaic`, the numbers of `qm.explain`; nothing is written. Workers that
    would have to be started are counted with, and not started."""
    mosaic = qm.quality_mosaic(qm.open_collection(series), "cloud")
    command = ["explain", series, "--quality", "cloud", "--out", tmp_path / "best.zarr"]
    told = done(*command, "--json", "--workers", 3, "--threads", 2, "--memory", "1GB").told
    wanted = qm.explain(mosaic)
    for name in ("images", "blocks", "tasks", "quality_read_bytes", "written_bytes", "peak_bytes"):
        assert told[name] == getattr(wanted, name)
    assert (told["workers"], told["threads"]) == (3, 2)
    assert done(*command).out == f"{wanted}\n"
    assert not (tmp_path / "best.zarr").exists()


def test_a_value_that_was_data_is_told_of(series: Path, tmp_path: Path) -> None:
    """A band of integers without a nodata value gets one where a pixel can be without an image:
    the command says which, and by which option it is another one."""
    command = ["explain", series, "--quality", "where(cloud < 60, B8, nan)"]
    told = done(*command).err
    assert "cloud (0)" in told
    assert "--fill-value" in told
    assert "B4 (" not in told  # it declares its own
    assert "Note" not in done(*command, "--fill-value", 255).err
    assert "Note" not in done("explain", series, "--quality", "-cloud").err


def test_an_update_knows_its_quality(
    series: Path, values: Values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store says of what expression its quality was made, as `info` shows; one that does not
    has a band of that name, or the error says what to write."""
    makes = qm.expression

    def saying(text: str, collection: xr.Dataset) -> xr.DataArray:
        return makes(text, collection).assign_attrs(expression=text)

    days = [str(day)[:10] for day in qm.open_collection(series)["time"].values]
    half = ["-q", "--end", days[2], "--provenance", "--updatable", "--out"]
    rest = [series, "--start", days[2]]
    same_name = ["mosaic", series, "--quality", "cloud", *half, tmp_path / "a.zarr"]
    done(*same_name)
    done("update", tmp_path / "a.zarr", *rest)
    same(stored(tmp_path / "a.zarr"), values, values["cloud"].astype(int), "B4", "cloud")

    monkeypatch.setattr(qm, "expression", saying)
    made = ["mosaic", series, "--quality", "-cloud", *half]
    done(*made, tmp_path / "b.zarr")
    text = done("info", tmp_path / "b.zarr").out
    assert "quality  int16" in text
    assert ", made of -cloud" in text
    assert "quality_band quality = -cloud" in text
    done("update", tmp_path / "b.zarr", *rest)
    same(stored(tmp_path / "b.zarr"), values, -values["cloud"].astype(int), "B4", "B8")

    forgetting = lambda text, images: makes(text, images).drop_attrs()  # noqa: E731
    monkeypatch.setattr(qm, "expression", forgetting)
    done(*made, tmp_path / "c.zarr")
    ended = run("update", tmp_path / "c.zarr", *rest)
    assert ended.code == 2
    assert "does not say of what its quality 'quality' was made" in ended.err
    assert "Write --quality EXPR" in ended.err


def test_a_mosaic_without_any_image(series: Path, tmp_path: Path) -> None:
    """Where no image was a candidate at any pixel, a warning says so, and the object for
    programs."""
    pytest.importorskip("rasterio", reason="it is in the extra [geotiff]")
    command = ["mosaic", series, "-q", "--json", "--overwrite", "--quality"]
    none, some = "where(B4 > 60000, B4, nan)", "where(B4 > 0, B4, nan)"
    for options in ("a.zarr", "a.zarr --provenance", "a.zarr --levels 1", "a.tif"):
        name, *more = options.split()
        for quality, empty in ((none, True), (some, False)):
            ended = done(*command, quality, "--out", tmp_path / name, *more)
            assert ended.told["empty"] is empty, options
            assert ("Warning: no pixel has an image." in ended.err) is empty


def test_another_quality_is_told_once(series: Path, tmp_path: Path) -> None:
    """A mosaic that does not go on with another expression says so of all bands together."""
    command = ["mosaic", series, "-q", "--out", tmp_path / "a.zarr", "--quality"]
    done(*command, "where(B4 > 3, cloud, nan)")
    ended = run(*command, "where(B4 > 4, cloud, nan)", "--resume")
    assert ended.code == 1
    assert ended.err.count("are others") <= 1
    assert "B8" not in ended.err

"""open_collection on GeoTIFFs: times, bands, grids, nodata; real files, from disk and over HTTP."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import odc.geo.xr
import pytest
import rasterio
import shapely
import xarray as xr
from odc.geo.geobox import GeoBox

import qmosaic as qm
from tests.support.rasters import CORNER, UTM32, UTM33, serve, write_tif
from tests.support.sources import expected

SIDE = 32


def stack(images: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """Bands whose pixels tell image and place; nodata 0 in some of them, never in the quality."""
    rng = np.random.default_rng(seed)
    return {
        "red": rng.integers(0, 6000, (images, SIDE, SIDE)).astype("uint16"),
        "rank": rng.integers(1, 100, (images, SIDE, SIDE)).astype("uint16"),
    }


def best(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Mosaic with a loop over the pixels."""
    found = expected({"red": values["red"], "quality": values["rank"]})
    return {"red": found["red"], "rank": found["quality"]}


def write_images(folder: Path, values: dict[str, np.ndarray], **options: Any) -> list[Path]:
    """Write one file an image, both bands in it, the date in the name."""
    return [
        write_tif(
            folder / f"S2_202007{day + 1:02}.tif",
            np.stack([values["red"][day], values["rank"][day]]),
            names=["red", "rank"],
            **options,
        )
        for day in range(len(values["red"]))
    ]


def check_mosaic(opened: xr.Dataset, values: dict[str, np.ndarray]) -> None:
    """The mosaic is the loop's, its dtypes are the files', and only winners are read."""
    mosaic = qm.quality_mosaic(opened, "rank")
    assert "reads only what won" in str(qm.explain(mosaic))
    computed = mosaic.compute()
    wanted = best(values)
    for name in values:
        assert computed[name].dtype == values[name].dtype
        np.testing.assert_array_equal(computed[name].values, wanted[name])


@pytest.mark.parametrize("source", ["folder", "pattern", "list"])
def test_one_file_an_image(tmp_path: Path, source: str) -> None:
    """Bands by their descriptions, times from the names, in the order of time."""
    values = stack()
    files = write_images(tmp_path, values)
    given: Any = {"folder": tmp_path, "pattern": f"{tmp_path}/*.tif", "list": files[::-1]}[source]
    opened = qm.open_collection(given)
    assert list(opened) == ["red", "rank"]
    assert [str(t)[:10] for t in opened["time"].values] == [f"2020-07-0{d}" for d in (1, 2, 3, 4)]
    assert list(opened["id"].values) == [f"S2_2020070{d}" for d in (1, 2, 3, 4)]
    assert opened["red"].dtype == "uint16"
    assert opened["red"].attrs == {"_FillValue": 0}
    assert opened["red"].chunks == ((1,) * 4, (SIDE,), (SIDE,))
    assert opened["x"].values[0] == CORNER[0] + 5
    assert opened["y"].values[0] == CORNER[1] - 5
    assert odc.geo.xr is not None
    assert opened.odc.crs == UTM32
    for name, band in values.items():
        np.testing.assert_array_equal(opened[name].values, band)
    check_mosaic(opened, values)


@pytest.mark.parametrize("nested", [False, True])
def test_one_file_an_image_and_band(tmp_path: Path, nested: bool) -> None:
    """The pattern tells band and time, in the name or in the folders above it."""
    values = stack()
    for name, band in values.items():
        for day in range(4):
            date = f"2020070{day + 1}"
            path = Path(date) / f"{name}.tif" if nested else Path(f"T32UME_{date}_{name}.tif")
            write_tif(tmp_path / path, band[day])
    pattern = r"(?P<time>\d{8})/(?P<band>\w+)\.tif" if nested else r"_(?P<band>[a-z]+)\.tif"
    opened = qm.open_collection(tmp_path, pattern=pattern, bands=["rank", "red"])
    assert list(opened) == ["rank", "red"]
    prefix = "" if nested else "T32UME_"
    assert list(opened["id"].values) == [f"{prefix}2020070{d}" for d in (1, 2, 3, 4)]
    check_mosaic(opened, values)


def test_files_with_named_bands_need_no_pattern(tmp_path: Path) -> None:
    """Files of one time whose descriptions differ are the bands of one image."""
    values = stack()
    for name, band in values.items():
        for day in range(4):
            write_tif(tmp_path / f"{name}_2020-07-0{day + 1}.tif", band[day], names=[name])
    opened = qm.open_collection(tmp_path)
    check_mosaic(opened, values)
    assert list(opened["id"].values) == [f"2020-07-0{d}" for d in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (["S2_20200506_B04.tif", "S2_20200506_B08.tif"], "S2_20200506"),
        (["B04_20200506_10m.tif", "SCL_20200506_20m.tif"], "20200506"),
        (["S2_20200506.SAFE/R10m/B04.tif", "S2_20200506.SAFE/R20m/B11.tif"], "B04"),
        (["S2_20200506.tif"], "S2_20200506"),
    ],
)
def test_an_image_is_called_by_what_its_files_share(
    tmp_path: Path, files: list[str], name: str
) -> None:
    """The id of an image of several files is what their names have in common, without the names of
    bands; only where they have nothing in common it is the name of the first."""
    for number, file in enumerate(files):
        write_tif(
            tmp_path / file,
            np.ones((16, 16), "uint16"),
            names=[("red", "nir")[number]],
            tags={"TIFFTAG_DATETIME": "2020:05:06 10:00:00"},
        )
    opened = qm.open_collection([tmp_path / file for file in files])
    assert list(opened["id"].values) == [name]


@pytest.mark.parametrize(
    ("name", "tags", "options", "moment"),
    [
        ("S2_20200701.tif", {}, {}, "2020-07-01T00:00:00"),
        ("S2_2020-07-01.tif", {}, {}, "2020-07-01T00:00:00"),
        ("S2A_MSIL2A_20200701T101559_N0214_20200702T131112.tif", {}, {}, "2020-07-01T10:15:59"),
        ("LC08_L2SP_193024_20200701_20200913_02_T1.tif", {}, {}, "2020-07-01T00:00:00"),
        (
            "2020/07/01/image.tif",
            {},
            {"pattern": r"(?P<time>\d{4}/\d\d/\d\d)"},
            "2020-07-01T00:00:00",
        ),
        ("x2020183.tif", {}, {"pattern": r"x(?P<time>\d{7})"}, "2020-07-01T00:00:00"),
        ("x2019-366.tif", {}, {"time": lambda path: "2020-366"}, "2020-12-31T00:00:00"),
        (
            "HLS.S30.T33UUP.2020183T101559.v2.0.B04.tif",
            {},
            {"pattern": r"(?P<time>\d{7}T\d{6}).*(?P<band>B\d\d)"},
            "2020-07-01T10:15:59",
        ),
        ("a.tif", {"TIFFTAG_DATETIME": "2020:07:01 10:15:59"}, {}, "2020-07-01T10:15:59"),
        ("a.tif", {"ACQUISITIONDATETIME": "2020-07-01T12:15:59+02:00"}, {}, "2020-07-01T10:15:59"),
        # when a file was written is asked last
        ("S2_20200701.tif", {"TIFFTAG_DATETIME": "2023:01:01 00:00:00"}, {}, "2020-07-01T00:00:00"),
        ("S2_20230101.tif", {"taken": "20200701"}, {"time": "taken"}, "2020-07-01T00:00:00"),
        ("x.tif", {}, {"time": lambda path: "2020-07-01"}, "2020-07-01T00:00:00"),
        ("x.tif", {}, {"time": lambda path: datetime.date(2020, 7, 1)}, "2020-07-01T00:00:00"),
        (
            "x.tif",
            {},
            {"time": lambda path: datetime.datetime(2020, 7, 1, 2, tzinfo=datetime.UTC)},
            "2020-07-01T02:00:00",
        ),
    ],
)
def test_times(tmp_path: Path, name: str, tags: Any, options: Any, moment: str) -> None:
    """From tags, from the name, from a pattern, from a callable; UTC."""
    write_tif(tmp_path / name, np.ones((16, 16), "uint8"), tags=tags)
    opened = qm.open_collection([tmp_path / name], **options)
    assert opened["time"].values[0] == np.datetime64(moment)


def test_equal_times_are_in_the_order_of_names(tmp_path: Path) -> None:
    """Ties go by the order of the collection, so that has to be the same every time."""
    for tile in ("b", "a", "c"):
        pixels = np.full((16, 16), ord(tile), "uint8")
        write_tif(tmp_path / f"{tile}_20200701.tif", pixels, names=["red"])
    opened = qm.open_collection([tmp_path / f"{t}_20200701.tif" for t in "cab"])
    assert list(opened["id"].values) == ["a_20200701", "b_20200701", "c_20200701"]
    assert qm.quality_mosaic(opened.assign(rank=opened["red"] * 0 + 1), "rank")["red"].max() == 97


# -- grids -------------------------------------------------------------------------------------


def shifted(folder: Path) -> np.ndarray:
    """Two images, the second shifted by 3 pixels to the east and 2 to the south."""
    values = np.arange(1, 1 + 2 * SIDE * SIDE, dtype="uint16").reshape(2, SIDE, SIDE)
    write_tif(folder / "a_20200701.tif", values[0], names=["red"])
    corner = (CORNER[0] + 30, CORNER[1] - 20)
    write_tif(folder / "b_20200702.tif", values[1], names=["red"], corner=corner)
    return values


def test_other_grids_are_refused_without_a_resampling(tmp_path: Path) -> None:
    """The error names both grids and the choices."""
    shifted(tmp_path)
    with pytest.raises(
        ValueError, match=r"b_20200702.tif' is on another grid \(EPSG:32632.*'nearest'"
    ):
        qm.open_collection(tmp_path)


def test_files_are_aligned_to_the_first(tmp_path: Path) -> None:
    """Whole pixels move exactly; what a file does not cover is nodata; dtype kept."""
    values = shifted(tmp_path)
    opened = qm.open_collection(tmp_path, resampling="nearest")
    moved = np.zeros((SIDE, SIDE), "uint16")
    moved[2:, 3:] = values[1][:-2, :-3]
    assert opened["red"].dtype == "uint16"
    np.testing.assert_array_equal(opened["red"].values, np.stack([values[0], moved]))
    quality = qm.quality_mosaic(opened.assign(q=opened["red"]), "q")
    assert "reads only what won" in str(qm.explain(quality))
    np.testing.assert_array_equal(quality["red"].values, np.where(moved > 0, moved, values[0]))


def test_a_given_grid(tmp_path: Path) -> None:
    """A GeoBox, or an object of xarray on a grid; averages of 2 × 2 pixels by hand."""
    values = shifted(tmp_path)[:1]
    grid = GeoBox((8, 8), rasterio.transform.from_origin(*CORNER, 20, 20), UTM32)
    like = xr.Dataset(coords=odc.geo.xr.xr_coords(grid))
    for geobox in (grid, like):
        opened = qm.open_collection(
            [tmp_path / "a_20200701.tif"],
            geobox=geobox,
            resampling={"*": "average"},
            nodata={"red": None},
        )
        means = values[0][:16, :16].reshape(8, 2, 8, 2).mean(axis=(1, 3))
        assert opened["red"].dtype == "uint16"
        np.testing.assert_allclose(opened["red"].values[0], means, atol=0.51)
        assert opened.odc.geobox == grid


def test_resampling_by_band(tmp_path: Path) -> None:
    """Classes are not averaged where reflectances are."""
    pixels = np.zeros((2, 16, 16), "uint16") + 1
    pixels[:, ::2] = 9
    write_tif(tmp_path / "a_20200701.tif", pixels, names=["red", "scl"])
    grid = GeoBox((8, 8), rasterio.transform.from_origin(*CORNER, 20, 20), UTM32)
    opened = qm.open_collection(
        tmp_path, geobox=grid, resampling={"scl": "nearest", "*": "average"}
    )
    assert (opened["red"] == 5).all()
    assert set(np.unique(opened["scl"].values)) <= {1, 9}


def test_a_file_in_another_crs(tmp_path: Path) -> None:
    """It is brought onto the first's CRS; each block of 8 × 8 pixels keeps its value."""
    blocks = np.kron(np.arange(1, 17).reshape(4, 4), np.ones((8, 8))).astype("uint16")
    write_tif(tmp_path / "a_20200701.tif", blocks, names=["red"])
    # the same place in the neighbouring zone, by PROJ
    with rasterio.open(tmp_path / "a_20200701.tif") as file:
        transform, width, height = rasterio.warp.calculate_default_transform(
            UTM32, "EPSG:32633", SIDE, SIDE, *file.bounds
        )
        moved = np.zeros((height, width), "uint16")
        rasterio.warp.reproject(
            blocks,
            moved,
            src_transform=file.transform,
            src_crs=UTM32,
            dst_transform=transform,
            dst_crs="EPSG:32633",
        )
    write_tif(
        tmp_path / "b_20200702.tif",
        moved,
        crs="EPSG:32633",
        corner=(transform.c, transform.f),
        resolution=transform.a,
        names=["red"],
    )
    opened = qm.open_collection(tmp_path, resampling="nearest")
    inner = np.zeros((SIDE, SIDE), bool)
    for row in range(4):
        for column in range(4):
            inner[row * 8 + 3 : row * 8 + 5, column * 8 + 3 : column * 8 + 5] = True
    np.testing.assert_array_equal(opened["red"].values[1][inner], blocks[inner])


# -- nodata ------------------------------------------------------------------------------------


def test_where_no_image_lies_is_masked_even_if_nothing_declares_it(tmp_path: Path) -> None:
    """Integers without nodata get the highest value of their dtype there, and declare it."""
    for number, corner in enumerate([CORNER, (CORNER[0] + 160, CORNER[1])]):
        write_tif(
            tmp_path / f"{number}_2020070{number + 1}.tif",
            np.zeros((16, 16), "uint8"),
            corner=corner,
            nodata=None,
            names=["cloud"],
        )
    opened = qm.open_collection(tmp_path, resampling="nearest")
    assert (opened["cloud"].values[1] == 255).all()
    assert opened["cloud"].attrs["_FillValue"] == 255
    assert opened["cloud"].dtype == "uint8"


def test_files_that_declare_different_nodata(tmp_path: Path) -> None:
    """A collection has one nodata a band: which, only the user can say."""
    write_tif(tmp_path / "20200701.tif", np.uint8([[0, 7, 255]]), nodata=0, names=["red"])
    write_tif(tmp_path / "20200702.tif", np.uint8([[0, 7, 255]]), nodata=255, names=["red"])
    with pytest.raises(ValueError, match=r"nodata 0.0 in .* and 255.0 in .*nodata=\{'red'"):
        qm.open_collection(tmp_path)
    told = qm.open_collection(tmp_path, nodata={"red": 7})
    np.testing.assert_array_equal(told["red"].values[:, 0], [[0, 7, 255], [0, 7, 255]])
    assert told["red"].attrs["_FillValue"] == 7
    bare = qm.open_collection(tmp_path, nodata={"red": None})
    assert "_FillValue" not in bare["red"].attrs
    np.testing.assert_array_equal(bare["red"].values[:, 0], [[0, 7, 255], [0, 7, 255]])


def test_a_cloud_probability_whose_nodata_is_wrong(tmp_path: Path) -> None:
    """0 is both "no data" and the clearest there is: warned about by name, mended by nodata=."""
    for number, cloud in enumerate([0, 50]):
        pixels = np.stack([np.full((16, 16), v, "uint8") for v in (cloud, 10 + number)])
        write_tif(tmp_path / f"2020070{number + 1}.tif", pixels, names=["cloud", "red"])
    with pytest.warns(UserWarning, match="'cloud' declares nodata = 0"):
        qm.open_collection(tmp_path)
    opened = qm.open_collection(tmp_path, nodata={"cloud": None})
    opened = opened.assign(rank=qm.scores.inverse(opened["cloud"]))
    assert qm.quality_mosaic(opened, "rank")["red"].max().compute() == 10


def test_floats_stay_floats(tmp_path: Path) -> None:
    """A float band keeps its dtype; its own fill value is masked."""
    pixels = np.float32([[0.5, -9999, 2]])
    write_tif(tmp_path / "20200701.tif", pixels, nodata=-9999, names=["ndvi"])
    opened = qm.open_collection(tmp_path)
    assert opened["ndvi"].dtype == "float32"
    mosaic = qm.quality_mosaic(opened, "ndvi")["ndvi"].values
    np.testing.assert_array_equal(mosaic, [[0.5, -9999, 2]])


# -- bands that are missing, files that do not fit -----------------------------------------------


def test_a_band_that_some_images_lack(tmp_path: Path) -> None:
    """Refused with the image's name, or masked."""
    for day, bands in enumerate([("B02", "B03"), ("B02",)]):
        for band in bands:
            write_tif(tmp_path / f"S2_2020070{day + 1}_{band}.tif", np.ones((16, 16), "uint16"))
    pattern = r"_(?P<band>B\d\d)\.tif"
    with pytest.raises(
        ValueError, match=r"'B03' is missing in the image 'S2_20200702'.*missing='mask'"
    ):
        qm.open_collection(tmp_path, pattern=pattern)
    opened = qm.open_collection(tmp_path, pattern=pattern, missing="mask")
    assert opened["B03"].dtype == "uint16"
    np.testing.assert_array_equal(opened["B03"].max(("y", "x")).values, [1, 0])
    assert list(qm.open_collection(tmp_path, pattern=pattern, bands="B02")) == ["B02"]


def bad_files(folder: Path) -> Iterator[tuple[Any, dict[str, Any], type[Exception], str]]:
    """Sources that cannot be opened, and what the errors say."""
    good = write_tif(folder / "good_20200701.tif", np.ones((16, 16), "uint8"), names=["red"])
    text = folder / "text_20200702.tif"
    text.write_text("no pixels")
    yield [text], {}, ValueError, "cannot be opened as a GeoTIFF"
    yield [folder / "gone.tif"], {}, FileNotFoundError, "gone.tif"
    yield [good], {"bands": "blue"}, KeyError, "no band 'blue'"
    yield [good], {"pattern": "("}, ValueError, "no regular expression"
    yield [good], {"pattern": r"\d+"}, ValueError, "no group named time, band or id"
    yield [good], {"pattern": r"(?P<time>\d{9})"}, ValueError, r"does not match.*/S2\*\.tif'"
    yield [good], {"time": "when"}, ValueError, "no tag 'when'"
    yield [good], {"time": lambda path: "soon"}, ValueError, "'soon', which is no time"
    yield [good], {"time": lambda path: "2021-366"}, ValueError, "year 2021 has no day 366"
    yield [good], {"time": lambda path: "2021000"}, ValueError, "year 2021 has no day 0"
    seven = write_tif(folder / "part_2020183.tif", np.ones((16, 16), "uint8"))
    yield [seven], {}, ValueError, "nothing tells when the image"
    yield [good], {"groupby": "item"}, TypeError, "groupby= is for stac"
    yield [good], {"resolution": "10"}, TypeError, "'10' is no number"
    yield [good], {"resolution": 0}, ValueError, "resolution=0 is no pixel size"
    yield [good], {"crs": "EPSG:none"}, ValueError, "crs='EPSG:none' is no CRS"
    yield [good], {"crs": "EPSG:3035"}, ValueError, "'EPSG:3035' is not that of the files"
    yield [good], {"bbox": (0, 0, 1, 1)}, ValueError, "left none of 1 images"
    yield [good], {"bbox": (0, 0, 1)}, TypeError, "box"
    whole = GeoBox((4, 4), rasterio.Affine(1, 0, 9, 0, -1, 49), "EPSG:4326")
    for given in ({"crs": UTM32}, {"resolution": 10}, {"bbox": (9, 48, 10, 49)}):
        yield [good], {"geobox": whole, **given}, TypeError, "geobox= is a whole grid"
    yield [good], {"resolution": 1e-4}, ValueError, "resolution="
    yield [good], {"geobox": xr.Dataset()}, ValueError, "without a CRS"
    timeless = write_tif(folder / "x.tif", np.ones((16, 16), "uint8"))
    yield [timeless], {}, ValueError, "nothing tells when the image"
    nowhere = write_tif(folder / "n_20200701.tif", np.ones((16, 16), "uint8"), crs=None)  # type: ignore[arg-type]
    yield [nowhere], {}, ValueError, "has no CRS"
    twice = write_tif(
        folder / "t_20200701.tif", np.ones((2, 16, 16), "uint8"), names=["red", "red"]
    )
    yield [twice], {}, ValueError, "the band 'red' 2 times"
    other = write_tif(folder / "o_20200702.tif", np.ones((16, 16), "int16"), names=["red"])
    yield [good, other], {}, ValueError, r"uint8 in the image 'good_20200701' and int16"
    away = write_tif(
        folder / "a_20200703.tif", np.ones((16, 16), "uint8"), corner=(0.0, 0.0), names=["red"]
    )
    zone = write_tif(
        folder / "z_20200704.tif", np.ones((16, 16), "uint8"), crs=UTM33, names=["red"]
    )
    yield [good, zone], {"resolution": 10}, ValueError, r"several CRSs.*crs='EPSG:32632'"
    yield [good, zone], {}, ValueError, "holds all images write crs='EPSG:32632'"
    yield [good, away], {"resampling": "best"}, ValueError, "resampling='best' is not known"


def test_files_that_cannot_be(tmp_path: Path) -> None:
    """What came, why not, what to write."""
    for source, options, error, message in bad_files(tmp_path):
        with pytest.raises(error, match=message):
            qm.open_collection(source, **options)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_files_that_lie_on_no_map(tmp_path: Path) -> None:
    """Points or polynomials in place of a transform: the error says what is there, and how such a
    file is brought onto a grid."""
    point = rasterio.control.GroundControlPoint
    points = [point(r, c, 9 + c / 1e3, 48 - r / 1e3) for r in (0, 16) for c in (0, 16)]
    polynomials = rasterio.rpc.RPC(
        height_off=0, height_scale=1, lat_off=48, lat_scale=1, line_den_coeff=[1.0] * 20,
        line_num_coeff=[1.0] * 20, line_off=8, line_scale=8, long_off=9, long_scale=1,
        samp_den_coeff=[1.0] * 20, samp_num_coeff=[1.0] * 20, samp_off=8, samp_scale=8,
    )  # fmt: skip
    about: dict[str, dict[str, Any]] = {
        "4 ground control points .EPSG:4326.*gdalwarp -t_srs": {"gcps": (points, "EPSG:4326")},
        "rational polynomials.*gdalwarp.* -rpc": {"rpcs": polynomials},
        "a CRS, but no transform.*-a_ullr": {"crs": "EPSG:32632"},
        "no CRS.*gdal_edit": {},
    }
    for message, fields in about.items():
        path = tmp_path / "20200701.tif"
        with rasterio.open(
            path, "w", driver="GTiff", count=1, height=16, width=16, dtype="uint8"
        ) as file:
            file.write(np.ones((1, 16, 16), "uint8"))
            for name, value in fields.items():
                setattr(file, name, value)
        with pytest.raises(ValueError, match=message):
            qm.open_collection(path)
        path.unlink()
        for beside in tmp_path.iterdir():
            beside.unlink()


def test_files_of_one_time_without_names_are_not_guessed(tmp_path: Path) -> None:
    """Two bands of one image, or two images: the error asks."""
    for name in ("B02", "B03"):
        write_tif(tmp_path / f"20200701_{name}.tif", np.ones((16, 16), "uint8"))
    with pytest.raises(ValueError, match="two bands of one image, or two images"):
        qm.open_collection(tmp_path)
    tiles = qm.open_collection(tmp_path, pattern=r"_(?P<id>B\d\d)\.tif")
    assert list(tiles["id"].values) == ["B02", "B03"]
    with pytest.raises(ValueError, match=re.escape("(?P<id>...)")):
        qm.open_collection(tmp_path, pattern=r"(?P<id>2020)\d{4}_(?P<band>B)")


# -- footprints, reads ---------------------------------------------------------------------------


def test_footprints(tmp_path: Path) -> None:
    """Where a file lies is kept, though it was brought onto another grid."""
    shifted(tmp_path)
    opened = qm.open_collection(tmp_path, resampling="nearest")
    a, b = shapely.from_wkt(list(opened["footprint"].values))
    assert a.intersects(b)
    assert b.centroid.x > a.centroid.x
    assert b.centroid.y < a.centroid.y
    east = (a.bounds[2] + 1e-5, b.bounds[1], b.bounds[2], b.bounds[3])
    assert list(qm.filter_bounds(opened, east)["id"].values) == ["b_20200702"]


@pytest.mark.parametrize("driver", ["GTiff", "COG"])
def test_only_winners_are_asked_for_over_http(tmp_path: Path, driver: str) -> None:
    """Of each band only the files of images that won are asked for, and nothing when opened but
    headers."""
    images = 5
    for day in range(images):
        quality = np.full((SIDE, SIDE), 50 if day == 2 else day, "uint16")
        quality[:, 16:] = 60 if day == 4 else day
        for name, pixels in {"rank": quality, "red": quality + 1000}.items():
            options = {"blocksize": 128} if driver == "COG" else {}
            path = tmp_path / f"{name}_2020070{day + 1}.tif"
            write_tif(path, pixels, names=[name], driver=driver, **options)
    with serve(tmp_path) as web:
        files = sorted(path.name for path in tmp_path.glob("*.tif"))
        opened = qm.open_collection(
            [f"{web.address}/{name}" for name in files], chunks={"y": 16, "x": 16}
        )
        mosaic = qm.quality_mosaic(opened, "rank")
        assert "reads only what won" in str(qm.explain(mosaic))
        web.forget()
        computed = mosaic.compute()
        asked = web.asked
    assert (computed["red"].values[:, :16] == 1050).all()
    assert (computed["red"].values[:, 16:] == 1060).all()
    red = {name for name in asked if name.startswith("red")}
    assert red <= {"red_20200703.tif", "red_20200705.tif"}
    assert not any(name.startswith("red") for name in set(asked) - red)


def test_chunks_follow_the_tiles_of_the_files(tmp_path: Path) -> None:
    """Whole tiles, several together; a file in strips is read in its full width."""
    pixels = np.ones((5000, 96), "uint8")
    tiled = write_tif(tmp_path / "t" / "20200701.tif", pixels, blockxsize=48, blockysize=48)
    strips = write_tif(
        tmp_path / "s" / "20200701.tif", pixels, tiled=False, blockysize=1, blockxsize=96
    )
    by_tiles = qm.open_collection([tiled])["band_1"].chunks
    assert by_tiles is not None
    assert by_tiles[1][0] % 48 == 0
    by_strips = qm.open_collection([strips])["band_1"].chunks
    assert by_strips is not None
    assert by_strips[2] == (96,)
    given = qm.open_collection([tiled], chunks={"y": 1000, "x": 96})["band_1"].chunks
    assert given == ((1,), (1000,) * 5, (96,))


def test_tasks_travel_to_other_processes(tmp_path: Path) -> None:
    """What a collection is made of can be pickled: workers of a cluster open the files."""
    values = stack()
    write_images(tmp_path, values)
    opened = qm.open_collection(tmp_path, resampling="nearest")
    computed = qm.quality_mosaic(opened, "rank").compute(scheduler="processes", num_workers=2)
    np.testing.assert_array_equal(computed["red"].values, best(values)["red"])


# -- what looks as if it were something else ------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        # path 196, row 012 of Landsat is no year 1960
        ("LC08_L2SP_196012_20200701_20200913_02_T1_SR_B4.tif", "2020-07-01T00:00:00"),
        ("LC09_L2SP_193012_20220701_20220801_02_T1.tif", "2022-07-01T00:00:00"),
        ("S1A_IW_20200701T1030_VV.tif", "2020-07-01T10:30:00"),
        ("2020.07.01_103000.tif", "2020-07-01T10:30:00"),
        ("HLS.S30.T33UUP.2020183T101559.v2.0.B04.tif", "2020-07-01T10:15:59"),
        ("MOD13Q1.A2021001.h18v04.061.2021034003442.tif", "2021-01-01T00:00:00"),
        ("MOD13Q1.A2020366.h18v04.061.2021034003442.tif", "2020-12-31T00:00:00"),
    ],
)
def test_dates_in_names(tmp_path: Path, name: str, moment: str) -> None:
    """The date of the image, and neither a path nor a number."""
    write_tif(tmp_path / name, np.ones((16, 16), "uint8"))
    opened = qm.open_collection([tmp_path / name])
    assert opened["time"].values[0] == np.datetime64(moment)


@pytest.mark.parametrize(
    "options", [{"time": lambda path: 20200701}, {"time": "clock"}, {"time": lambda path: None}]
)
def test_what_is_no_date(tmp_path: Path, options: Any) -> None:
    """A number and a clock alone are refused: they would be 1970, or today."""
    path = write_tif(tmp_path / "20200701.tif", np.ones((16, 16), "uint8"), tags={"clock": "10:15"})
    with pytest.raises(ValueError, match="which is no time"):
        qm.open_collection([path], **options)


def test_the_folder_above_tells_the_date(tmp_path: Path) -> None:
    """One image alone, its date in the name of its folder."""
    for name in ("B02", "B03"):
        folder = tmp_path / "S2A_32TNS_20200701_0_L2A"
        write_tif(folder / f"{name}.tif", np.ones((16, 16), "uint8"))
    opened = qm.open_collection(folder, pattern=r"(?P<band>B\d\d)\.tif")
    assert list(opened) == ["B02", "B03"]
    assert str(opened["time"].values[0])[:10] == "2020-07-01"


def sentinel(folder: Path) -> str:
    """Write bands of 10 and 20 m as Sentinel-2 names them; gives the pattern."""
    for day in ("20200701T101559", "20200706T101559"):
        for band, size, side in (("B02", "10m", 32), ("B11", "20m", 16), ("B04", "10m", 32)):
            write_tif(
                folder / f"T32UME_{day}_{band}_{size}.tif",
                np.full((side, side), int(day[6:8]) + int(band[1:]), "uint16"),
                resolution=320 / side,
            )
    return r"_(?P<time>\d{8}T\d{6})_(?P<band>B\w\w)_"


def test_bands_of_several_pixel_sizes_are_one_image(tmp_path: Path) -> None:
    """On the grid of the finest band; the others follow; none is lost."""
    pattern = sentinel(tmp_path)
    opened = qm.open_collection(tmp_path, pattern=pattern, resampling="nearest")
    assert list(opened) == ["B02", "B04", "B11"]
    assert dict(opened.sizes) == {"time": 2, "y": 32, "x": 32}
    assert list(opened["id"].values) == ["T32UME_20200701T101559", "T32UME_20200706T101559"]
    for band in ("B02", "B04", "B11"):
        days = opened[band].max(("y", "x")).values
        np.testing.assert_array_equal(days, [1 + int(band[1:]), 6 + int(band[1:])])


def test_only_the_files_of_wanted_bands_matter(tmp_path: Path) -> None:
    """Neither their grids nor their order do; an image without the band is said to lack it."""
    pattern = sentinel(tmp_path)
    opened = qm.open_collection(tmp_path, pattern=pattern, bands="B04")  # no resampling is needed
    assert list(opened) == ["B04"]
    coarse = qm.open_collection(tmp_path, pattern=pattern, bands="B11")
    assert dict(coarse.sizes) == {"time": 2, "y": 16, "x": 16}
    (tmp_path / "T32UME_20200706T101559_B04_10m.tif").unlink()
    with pytest.raises(ValueError, match="'B04' is missing in the image 'T32UME_20200706T101559'"):
        qm.open_collection(tmp_path, pattern=pattern, bands="B04")
    masked = qm.open_collection(tmp_path, pattern=pattern, bands="B04", missing="mask")
    np.testing.assert_array_equal(masked["B04"].max(("y", "x")).values, [5, 0])


def test_arguments_that_nothing_knows(tmp_path: Path) -> None:
    """A misspelt argument is not swallowed."""
    path = write_tif(tmp_path / "20200701.tif", np.ones((16, 16), "uint8"), names=["red"])
    for options, error, message in [
        ({"chnks": {}}, TypeError, r"knows chnks=.* Did you mean chunks="),
        ({"nodata": {"rde": 0}}, KeyError, "nodata= was given.*'rde'.*mean 'red'"),
        ({"resampling": {"rde": "nearest"}}, KeyError, "resampling= was given.*'rde'"),
        ({"resampling": "nearst"}, ValueError, "resampling='nearst' is not known"),
        ({"chunks": {"time": 2}}, ValueError, "2 images in a chunk"),
        ({"chunks": 512}, TypeError, "chunks=512 is no mapping"),
    ]:
        with pytest.raises(error, match=message):
            qm.open_collection([path], **options)
    for chunks in ("auto", {"time": 1, "y": 8, "x": 8}):
        assert qm.open_collection([path], chunks=chunks)["red"].sizes["x"] == 16


def test_files_that_are_packed_differently(tmp_path: Path) -> None:
    """Their integers cannot be compared."""
    for day, scale in enumerate((0.1, 0.01)):
        path = write_tif(
            tmp_path / f"2020070{day + 1}.tif", np.ones((16, 16), "int16"), names=["t"]
        )
        with rasterio.open(path, "r+") as file:
            file.scales = (scale,)
    with pytest.raises(ValueError, match="'t' is packed differently"):
        qm.open_collection(tmp_path)


def test_masks_in_files_are_said_not_to_be_read(tmp_path: Path) -> None:
    """What an internal mask or an alpha band hides would count as data."""
    path = write_tif(tmp_path / "20200701.tif", np.ones((16, 16), "uint8"), nodata=None)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(np.eye(16, dtype=bool))
    with pytest.warns(UserWarning, match="mask or an alpha band, which is not read") as caught:
        qm.open_collection([path])
    assert [Path(w.filename).name for w in caught if "alpha" in str(w.message)] == [
        Path(__file__).name
    ]


def tiles(folder: Path, sets: dict[str, Any], **options: Any) -> dict[tuple[str, str], int]:
    """Write files of one day whose bands have names, some for each tile; a value for each."""
    values: dict[tuple[str, str], int] = {}
    for tile, bands in sets.items():
        for band in bands:
            values[tile, band] = len(values) + 1
            pixels = np.full((16, 16), values[tile, band], "uint16")
            write_tif(folder / f"{tile}_20200701_{band}.tif", pixels, names=[band], **options)
    return values


def test_bands_of_different_images_are_not_put_together(tmp_path: Path) -> None:
    """Rule 1: files of one day are told apart by their names, not by their places in a list."""
    values = tiles(tmp_path, {"T1": ["B04"], "T2": ["B04", "B08"], "T3": ["B08"]})
    with pytest.raises(ValueError, match="'B04' is missing in the image 'T3_20200701'"):
        qm.open_collection(tmp_path)
    opened = qm.open_collection(tmp_path, missing="mask")
    assert list(opened["id"].values) == ["T1_20200701", "T2_20200701", "T3_20200701"]
    for band in ("B04", "B08"):
        wanted = [values.get((tile, band), 0) for tile in ("T1", "T2", "T3")]
        assert list(opened[band].values[:, 0, 0]) == wanted


@pytest.mark.parametrize(
    "sets", [{"T1": ["B04"], "T2": ["B08"]}, {"a": ["SR"], "b": ["SR"], "c": ["UDM"], "d": ["UDM"]}]
)
def test_files_of_one_day_that_nothing_tells_apart(tmp_path: Path, sets: Any) -> None:
    """Two images or one: the error asks."""
    tiles(tmp_path, sets)
    with pytest.raises(ValueError, match=r"two bands of one image, or two images.*pattern="):
        qm.open_collection(tmp_path)


def test_tiles_side_by_side_are_not_one_image(tmp_path: Path) -> None:
    """Though each lacks the band of the other."""
    ones = np.ones((16, 16), "uint16")
    write_tif(tmp_path / "x_20200701.tif", ones, names=["red"])
    corner = (CORNER[0] + 160, CORNER[1])
    write_tif(tmp_path / "y_20200701.tif", ones, names=["nir"], corner=corner)
    with pytest.raises(ValueError, match="two bands of one image, or two images"):
        qm.open_collection(tmp_path)


def test_a_pattern_that_tells_the_time_alone(tmp_path: Path) -> None:
    """It does not make every band an image of its own."""
    for band in ("SR_B4", "SR_B5", "ST_B10"):
        write_tif(tmp_path / f"LC08_192023_20200704_{band}.TIF", np.ones((16, 16), "uint16"))
    for pattern in (r"_(?P<time>\d{8})_", r"_(?P<time>\d{8})_(?P<band>B99)?"):
        with pytest.raises(ValueError, match="two bands of one image, or two images"):
            qm.open_collection(tmp_path, pattern=pattern)
    opened = qm.open_collection(tmp_path, pattern=r"_(?P<time>\d{8})_(?P<band>\w+)\.TIF")
    assert set(opened.data_vars) == {"SR_B4", "SR_B5", "ST_B10"}
    assert opened.sizes["time"] == 1


def test_folders_by_pixel_size_are_one_image(tmp_path: Path) -> None:
    """As in Sentinel-2's SAFE: R10m/…_B04_10m.tif beside R20m/…_SCL_20m.tif."""
    for day in (1, 6):
        scene = tmp_path / f"S2_{day}.SAFE" / "IMG_DATA"
        name = f"T33UVP_2020070{day}T101559"
        red = np.full((32, 32), 100 + day, "uint16")
        write_tif(scene / "R10m" / f"{name}_B04_10m.tif", red, nodata=None)
        scl = np.full((16, 16), day, "uint8")
        write_tif(scene / "R20m" / f"{name}_SCL_20m.tif", scl, resolution=20.0, nodata=None)
    pattern = r"_(?P<time>\d{8}T\d{6})_(?P<band>B04|SCL)_"
    opened = qm.open_collection(tmp_path, pattern=pattern, resampling="nearest")
    assert opened.sizes == {"time": 2, "y": 32, "x": 32}
    assert list(opened["B04"].values[:, 0, 0]) == [101, 106]
    assert list(opened["SCL"].values[:, 0, 0]) == [1, 6]


def test_names_that_differ_by_more_than_the_band(tmp_path: Path) -> None:
    """One image or two: the error asks for what identifies a scene."""
    for band, version in (("B04", "v1"), ("B08", "v2")):
        write_tif(tmp_path / f"T1_20200701_{band}_{version}.tif", np.ones((16, 16), "uint16"))
    pattern = r"_(?P<time>\d{8})_(?P<band>B\d\d)_"
    with pytest.raises(ValueError, match=r"one image or two.*\(\?P<id>"):
        qm.open_collection(tmp_path, pattern=pattern, missing="mask")
    opened = qm.open_collection(tmp_path, pattern=r"(?P<id>T1_(?P<time>\d{8}))_(?P<band>B\d\d)_")
    assert opened.sizes["time"] == 1
    assert list(opened["id"].values) == ["T1_20200701"]


def test_what_a_url_asks_for_is_no_name(tmp_path: Path) -> None:
    """Addresses that are signed file by file; files of other bands are not even opened."""
    for band in ("red", "nir"):
        write_tif(tmp_path / f"a_20200701_{band}.tif", np.ones((16, 16), "uint16"))
    with serve(tmp_path) as web:
        urls = [f"{web.address}/a_20200701_{b}.tif?sign={b}" for b in ("red", "nir")]
        pattern = r"_(?P<time>\d{8})_(?P<band>\w+)\.tif"
        opened = qm.open_collection(urls, pattern=pattern)
        assert opened.sizes["time"] == 1
        assert list(opened["id"].values) == ["a_20200701"]
        web.forget()
        qm.open_collection(urls, pattern=pattern, bands="nir")
        assert not [name for name in web.asked if "red" in name]


@pytest.mark.parametrize("option", ["mask_and_scale", "masked"])
def test_decoding_is_left_to_xarray(tmp_path: Path, option: str) -> None:
    """The nodata of integers would be compared with decoded values."""
    write_tif(tmp_path / "a_20200701.tif", np.ones((16, 16), "uint16"), names=["red"])
    with pytest.raises(TypeError, match=rf"{option}=.*xarray\.decode_cf"):
        qm.open_collection(tmp_path, **{option: True})
    decoded = xr.decode_cf(qm.open_collection(tmp_path))
    assert decoded["red"].dtype == "float32"


def test_images_outside_the_grid_are_told(tmp_path: Path) -> None:
    """Nothing of them will be seen; a grid that holds all of them is the user's to give."""
    near = write_tif(tmp_path / "a_20200701.tif", np.ones((16, 16), "uint8"), names=["red"])
    far = write_tif(
        tmp_path / "b_20200702.tif",
        np.ones((16, 16), "uint8"),
        names=["red"],
        corner=(CORNER[0] + 160, CORNER[1]),
    )
    further = write_tif(
        tmp_path / "c_20200703.tif",
        np.ones((16, 16), "uint8"),
        names=["red"],
        corner=(CORNER[0] + 5000, CORNER[1]),
    )
    with pytest.warns(UserWarning, match="1 of 3 images, 'c_20200703' first, lie outside") as told:
        qm.open_collection([near, far, further], resampling="nearest")
    (warning,) = (w for w in told if "outside" in str(w.message))
    assert Path(warning.filename).name == Path(__file__).name


def test_rounding_is_no_other_grid(tmp_path: Path) -> None:
    """A ten-millionth of a pixel needs no resampling."""
    for day, shift in ((1, 0.0), (2, 1e-6)):
        write_tif(
            tmp_path / f"a_2020070{day}.tif",
            np.full((16, 16), day, "uint8"),
            names=["red"],
            corner=(CORNER[0] + shift, CORNER[1]),
        )
    opened = qm.open_collection(tmp_path)
    assert list(opened["red"].values[:, 0, 0]) == [1, 2]
    assert opened["x"].values[0] == CORNER[0] + 5


def test_floats_are_masked_where_they_are_nan(tmp_path: Path) -> None:
    """Whether that is declared or not."""
    for day, nodata in ((1, np.nan), (2, None)):
        pixels = np.full((16, 16), day, "float32")
        pixels[0, 0] = np.nan
        write_tif(tmp_path / f"a_2020070{day}.tif", pixels, names=["red"], nodata=nodata)
    assert np.isnan(qm.open_collection(tmp_path)["red"].values[:, 0, 0]).all()


def test_files_askew_need_a_grid(tmp_path: Path) -> None:
    """Their pixels have no y and x; those of a grid that is made have, and are as large."""
    path = tmp_path / "a_20200701.tif"
    turned = rasterio.Affine.translation(*CORNER) * rasterio.Affine.rotation(10)
    askew = turned * rasterio.Affine.scale(10, -10)
    with rasterio.open(
        path,
        "w",
        "GTiff",
        16,
        16,
        1,
        UTM32,
        askew * rasterio.Affine.scale(10, -10),
        "uint8",
        nodata=0,
    ) as file:
        file.write(np.ones((1, 16, 16), "uint8"))
    with pytest.raises(ValueError, match=r"is rotated.*crs='EPSG:32632'.*geobox="):
        qm.open_collection(path)
    upright = qm.open_collection(path, crs=UTM32)
    x, y = np.meshgrid(upright["x"], upright["y"])
    column, row = ~file.transform * (x, y)
    inside = (abs(column - 8) < 8) & (abs(row - 8) < 8)
    np.testing.assert_array_equal(upright["band_1"].values[0], inside)
    assert upright.odc.geobox.resolution.xy == pytest.approx((100, -100))


def test_a_list_with_a_file_twice(tmp_path: Path) -> None:
    """It is named as that."""
    path = write_tif(tmp_path / "a_20200701.tif", np.ones((16, 16), "uint8"), names=["red"])
    with pytest.raises(ValueError, match="is in the list 2 times"):
        qm.open_collection([path, path])


def test_hidden_files_are_no_images(tmp_path: Path) -> None:
    """Such as those that macOS leaves."""
    write_tif(tmp_path / "a_20200701.tif", np.ones((16, 16), "uint8"), names=["red"])
    (tmp_path / "._a_20200701.tif").write_bytes(b"x")
    assert qm.open_collection(tmp_path).sizes["time"] == 1


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Its own name, not that of the first file of the collection."""
    for day in (1, 2, 3):
        write_tif(tmp_path / f"a_2020070{day}.tif", np.full((16, 16), day, "uint8"), names=["red"])
    mosaic = qm.quality_mosaic(qm.open_collection(tmp_path), "red")
    (tmp_path / "a_20200703.tif").unlink()
    with pytest.raises(qm.ChunkReadError, match=r"image 2020-07-03.* \(a_20200703\)") as raised:
        qm.to_zarr(mosaic, tmp_path / "out.zarr")
    assert "a_20200701" not in str(raised.value)


def test_a_mosaic_keeps_its_crs_for_all_readers(tmp_path: Path) -> None:
    """Rule 8: rioxarray and odc-geo find it in what was written."""
    write_tif(tmp_path / "a_20200701.tif", np.ones((16, 16), "uint8"), names=["red"])
    qm.to_zarr(qm.quality_mosaic(qm.open_collection(tmp_path), "red"), tmp_path / "out.zarr")
    opened = qm.open_mosaic(tmp_path / "out.zarr")
    assert list(opened) == ["red"]
    assert opened["red"].rio.crs == UTM32
    assert opened.odc.crs == UTM32


def test_nothing_is_looked_for_beside_files_on_the_web(tmp_path: Path) -> None:
    """GDAL would ask for dozens of files that are not there: opening asks for the file alone."""
    write_tif(tmp_path / "a_20200701.tif", np.ones((16, 16), "uint16"), names=["red"])
    with serve(tmp_path) as web:
        qm.open_collection([f"{web.address}/a_20200701.tif"])
        assert set(web.asked) == {"a_20200701.tif"}


def test_sizes_of_chunks_in_degrees(tmp_path: Path) -> None:
    """The map's dimensions are y and x whatever the CRS is; others are refused, and these named."""
    pixels = np.ones((SIDE, SIDE), "uint8")
    degrees: dict[str, Any] = {"crs": "EPSG:4326", "corner": (9, 50), "resolution": 0.01}
    path = write_tif(tmp_path / "20200701.tif", pixels, **degrees)
    for chunks in ({"latitude": 16, "longitude": 16}, {"lat": 16}, {"band": 1}):
        told = f"chunks= has '{next(iter(chunks))}', which is no dimension .* 'time', 'y', 'x'"
        with pytest.raises(ValueError, match=told):
            qm.open_collection([path], chunks=chunks)
    assert qm.open_collection([path], chunks={"y": 16})["y"].sizes == {"y": SIDE}


def test_a_nodata_that_no_pixel_can_have(tmp_path: Path) -> None:
    """Where a file says it, the error says so, and what it says to write opens the file."""
    pixels = np.full((16, 16), 7, "uint16")
    path = write_tif(tmp_path / "20200701.tif", pixels, names=["red"], nodata=0.5)
    told = r"the file '.*tif' says that nodata is 0\.5 in band 'red'.*nodata={'red': 0}"
    with pytest.raises(ValueError, match=told):
        qm.open_collection([path])
    opened = qm.open_collection([path], nodata={"red": 0})
    np.testing.assert_array_equal(opened["red"][0], pixels)

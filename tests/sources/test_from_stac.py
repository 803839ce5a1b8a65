"""open_collection on STAC items: one grid for several zones, dtypes, nodata, order, metadata.

The files are real ones, from disk and over HTTP; the oracle looks pixels up by their coordinates.
"""

from __future__ import annotations

import datetime
import json
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pystac
import pytest
import shapely
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin

import qmosaic as qm
from tests.support.rasters import CORNER, UTM32, UTM33, make_item, serve, write_tif

SIDE = 32
BLOCK = 8
RED = {"data_type": "uint16", "nodata": 0}
CLOUD = {"data_type": "uint8", "nodata": 0}
SAID = {"red": RED, "cloud": CLOUD}

# one place in two zones, by PROJ: 15° E, 55° N
EDGE32 = (883_640.0, 6_110_480.0)
EDGE33 = (500_000.0, 6_094_000.0)


def blocks(seed: int, low: int = 1, high: int = 90) -> np.ndarray:
    """Pixels that are the same within blocks of 8 × 8, so that half a pixel does not matter."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(low, high, (SIDE // BLOCK, SIDE // BLOCK))
    return np.kron(coarse, np.ones((BLOCK, BLOCK), int))


class Scene:
    """An item with a red band and a cloud probability, and its pixels."""

    def __init__(
        self, folder: Path, name: str, time: str | None, number: int, **options: Any
    ) -> None:
        place = {k: options[k] for k in ("crs", "corner") if k in options}
        self.crs, self.corner = place.get("crs", UTM32), place.get("corner", CORNER)
        self.pixels = {
            "red": (blocks(number) * 50).astype("uint16"),
            "cloud": blocks(number + 100, 1, 100).astype("uint8"),
        }
        self.pixels["cloud"][:BLOCK, BLOCK : 2 * BLOCK] = 0
        paths = {
            band: write_tif(folder / f"{name}_{band}.tif", pixels, **place)
            for band, pixels in self.pixels.items()
        }
        self.item = make_item(name, paths, time, **{"declared": SAID, **options})

    def look_up(self, band: str, crs: str, y: np.ndarray, x: np.ndarray) -> tuple[Any, Any]:
        """Give the pixels at coordinates, and where that is sure: away from the edges of blocks."""
        to_own = pyproj.Transformer.from_crs(crs, self.crs, always_xy=True)
        xs, ys = to_own.transform(*np.meshgrid(x, y))
        column, row = (xs - self.corner[0]) / 10, (self.corner[1] - ys) / 10
        inside = (row > 0) & (row < SIDE) & (column > 0) & (column < SIDE)
        edge = np.minimum(*(np.abs(c / BLOCK - np.round(c / BLOCK)) * BLOCK for c in (row, column)))
        clip = (np.clip(c.astype(int), 0, SIDE - 1) for c in (row, column))
        return np.where(inside, self.pixels[band][tuple(clip)], 0), edge > 0.6


def two_zones(folder: Path) -> list[Scene]:
    """Three images in two UTM zones that overlap in part."""
    return [
        Scene(folder, "a", "2020-07-01T10:00:00Z", 1, crs=UTM32, corner=EDGE32),
        Scene(folder, "b", "2020-07-02T10:00:00Z", 2, crs=UTM33, corner=EDGE33),
        Scene(
            folder,
            "c",
            "2020-07-03T10:00:00Z",
            3,
            crs=UTM33,
            corner=(EDGE33[0] + 80, EDGE33[1] - 80),
        ),
    ]


def test_items_in_several_zones_land_on_one_grid(tmp_path: Path) -> None:
    """Each pixel is that of the item at the same place; outside of an item it is masked."""
    scenes = two_zones(tmp_path)
    opened = qm.open_collection(
        [scene.item for scene in scenes], crs=UTM33, resolution=10, nodata={"cloud": None}
    )
    assert opened["red"].dtype == "uint16"
    assert opened["cloud"].dtype == "uint8"
    y, x = opened["y"].values, opened["x"].values
    sure_pixels = 0
    for place, scene in enumerate(scenes):
        for band, outside in (("red", 0), ("cloud", 255)):
            wanted, sure = scene.look_up(band, UTM33, y, x)
            inside, _ = scene.look_up("red", UTM33, y, x)
            wanted = np.where(inside == 0, outside, wanted)
            got = opened[band].values[place]
            np.testing.assert_array_equal(got[sure], wanted[sure])
            sure_pixels += int((sure & (inside > 0)).sum())
    assert sure_pixels > 2000
    assert opened["cloud"].attrs["_FillValue"] == 255


def test_a_mosaic_over_zones_is_the_best_that_lies_there(tmp_path: Path) -> None:
    """A clear pixel wins, though 0 % cloud is what the file calls nodata; no image, no pixel."""
    scenes = two_zones(tmp_path)[1:]
    opened = qm.open_collection([s.item for s in scenes], nodata={"cloud": None})
    opened = opened.assign(quality=qm.scores.inverse(opened["cloud"]))
    mosaic = qm.quality_mosaic(opened, "quality")
    assert "reads only what won" in str(qm.explain(mosaic))
    red = mosaic["red"].values
    size = (SIDE + 8, SIDE + 8)
    assert red.shape == size
    cloud, reds = np.full((2, *size), 999), np.zeros((2, *size), "uint16")
    for place, (scene, at) in enumerate(zip(scenes, (0, 8), strict=True)):
        cloud[place, at : at + SIDE, at : at + SIDE] = scene.pixels["cloud"]
        reds[place, at : at + SIDE, at : at + SIDE] = scene.pixels["red"]
    wanted = np.take_along_axis(reds, cloud.argmin(0)[None], 0)[0]
    np.testing.assert_array_equal(red, wanted)
    assert (red[:8, -8:] == 0).all()
    assert (cloud.min(0) == 0).any()


def test_a_nodata_that_is_a_legal_score_is_warned_about(tmp_path: Path) -> None:
    """Earth Search says that the nodata of ``cloud`` is 0, which is also the clearest."""
    item = Scene(tmp_path, "a", "2020-07-01T10:00:00Z", 1).item
    with pytest.warns(
        UserWarning, match=r"'cloud' declares nodata = 0.*\{'cloud': None\}"
    ) as caught:
        qm.open_collection([item])
    assert [Path(w.filename).name for w in caught if "declares" in str(w.message)] == [
        Path(__file__).name
    ]
    for nodata in ({"cloud": None}, {"cloud": 0}, {"cloud": 255}):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            qm.open_collection([item], nodata=nodata)


def test_what_items_do_not_say_is_read_from_a_header(tmp_path: Path) -> None:
    """Without raster:bands odc would make floats; the dtype and nodata of the file hold."""
    scene = Scene(tmp_path, "a", "2020-07-01T10:00:00Z", 1, declared=None)
    opened = qm.open_collection([scene.item], bands=["red"])
    assert opened["red"].dtype == "uint16"
    assert opened["red"].attrs["_FillValue"] == 0
    np.testing.assert_array_equal(opened["red"].values[0], scene.pixels["red"])
    bare = write_tif(tmp_path / "bare.tif", scene.pixels["red"], nodata=None)
    item = make_item("bare", {"red": bare}, "2020-07-01T10:00:00Z")
    grid = GeoBox((SIDE, SIDE * 2), from_origin(*CORNER, 10, 10), UTM32)
    wide = qm.open_collection([item], geobox=grid)
    assert wide["red"].dtype == "uint16"
    assert wide["red"].attrs["_FillValue"] == 65535
    assert (wide["red"].values[0, :, SIDE:] == 65535).all()


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (("uint8", 0), ("uint16", 0), "'red' is uint8 in 'a' and uint16 in 'b'"),
        (("uint16", 0), ("uint16", 9), "nodata 0 in 'a' and 9 in 'b'"),
        (("uint16", 0), ("uint16", None), "nodata 0 in 'a' and none in 'b'"),
    ],
)
def test_headers_have_to_agree(tmp_path: Path, first: Any, second: Any, message: str) -> None:
    """Every file of which the items say nothing is asked: none is cast, none is masked by the
    nodata of another."""
    items = []
    for number, (dtype, nodata) in enumerate((first, second)):
        name = "ab"[number]
        pixels = np.full((SIDE, SIDE), 7, dtype)
        path = write_tif(tmp_path / f"{name}.tif", pixels, nodata=nodata)
        items.append(make_item(name, {"red": path}, f"2020-07-0{number + 1}T10:00:00Z"))
    with pytest.raises(ValueError, match=message):
        qm.open_collection(items)
    opened = qm.open_collection(items[:1])
    assert opened["red"].dtype == first[0]


def test_nodata_that_is_not_a_number(tmp_path: Path) -> None:
    """JSON has no NaN: STAC writes the text "nan"; for floats none declared means the same."""
    pixels = np.full((SIDE, SIDE), 0.5, "float32")
    pixels[0, 0] = np.nan
    items = []
    for number, said in enumerate(({"nodata": "nan"}, {"nodata": "nan"}, {})):
        path = write_tif(tmp_path / f"{number}.tif", pixels, nodata=None)
        declared = {"red": {"data_type": "float32", **said}}
        item = make_item(f"{number}", {"red": path}, f"2020-07-0{number + 1}", declared=declared)
        items.append(item.to_dict())
    opened = qm.open_collection(items)
    assert opened["red"].dtype == "float32"
    np.testing.assert_array_equal(opened["red"].values, [pixels] * 3)


def test_a_pixel_size_that_is_the_items_own_changes_nothing(tmp_path: Path) -> None:
    """Grids whose edges are no multiples of the pixel size, as Landsat's, stay where they are."""
    for corner in ((213_285.0, 5_374_815.0), (500_007.0, 5_400_000.0)):
        place = {"corner": corner, "crs": UTM33}
        scene = Scene(tmp_path, "a", "2020-07-01T10:00:00Z", 1, **place)
        for options in ({}, {"resolution": 10}):
            opened = qm.open_collection([scene.item], bands="red", **options)
            np.testing.assert_array_equal(opened["red"].values[0], scene.pixels["red"])
            assert opened["x"].values[0] == corner[0] + 5


def test_bands_that_are_called_like_metadata(tmp_path: Path) -> None:
    """A band goes before what items say of themselves; dimensions are refused by name."""
    scene = Scene(tmp_path, "a", "2020-07-01T10:00:00Z", 1)
    scene.item.assets["cloud_cover"] = scene.item.assets.pop("cloud")
    opened = qm.open_collection([scene.item], nodata={"cloud_cover": None})
    assert opened["cloud_cover"].dims == ("time", "y", "x")
    np.testing.assert_array_equal(opened["cloud_cover"].values[0], scene.pixels["cloud"])
    scene.item.assets["time"] = scene.item.assets.pop("cloud_cover")
    with pytest.raises(ValueError, match="an asset 'time'"):
        qm.open_collection([scene.item])


def test_items_without_a_geometry(tmp_path: Path) -> None:
    """Their bbox stands for it; without that, the extent of the grid."""
    scenes = [Scene(tmp_path, n, f"2020-07-0{i + 1}T10:00:00Z", i) for i, n in enumerate("ab")]
    brazil = (-60, -10, -59, -9)
    scenes[1].item.geometry = None
    opened = qm.open_collection([s.item for s in scenes], bands="red")
    assert list(qm.filter_bounds(opened, tuple(scenes[1].item.bbox))["id"].values) == ["a", "b"]
    scenes[1].item.bbox = None
    opened = qm.open_collection([s.item for s in scenes], bands="red")
    assert list(qm.filter_bounds(opened, tuple(scenes[0].item.bbox))["id"].values) == ["a", "b"]
    with pytest.raises(ValueError, match="left none of 2 images"):
        qm.filter_bounds(opened, brazil)


def test_a_grid_that_no_item_touches(tmp_path: Path) -> None:
    """Every pixel would be masked: refused before anything is read."""
    item = Scene(tmp_path, "a", "2020-07-01T10:00:00Z", 1).item
    far = GeoBox((SIDE, SIDE), from_origin(CORNER[0] + 9e5, CORNER[1], 10, 10), UTM32)
    with pytest.raises(ValueError, match="none of 1 items touches the grid"):
        qm.open_collection([item], geobox=far)


@pytest.mark.parametrize("options", [{}, {"crs": UTM33, "resolution": 10}])
def test_items_of_which_some_do_not_tell_their_grid(tmp_path: Path, options: Any) -> None:
    """odc wants all or none; the files tell it too."""
    scenes = [
        Scene(tmp_path, n, f"2020-07-0{i + 1}T10:00:00Z", i, crs=UTM33) for i, n in enumerate("ab")
    ]
    del scenes[1].item.properties["proj:code"]
    for asset in scenes[1].item.assets.values():
        asset.extra_fields = {k: v for k, v in asset.extra_fields.items() if k == "raster:bands"}
    opened = qm.open_collection([s.item for s in scenes], bands="red", **options)
    for scene, image in zip(scenes, opened["red"], strict=True):
        own = image.sel(x=slice(CORNER[0], CORNER[0] + 320), y=slice(CORNER[1], CORNER[1] - 320))
        np.testing.assert_array_equal(own.values, scene.pixels["red"])


def test_common_names_of_stac_1_1(tmp_path: Path) -> None:
    """There they stand in ``bands``; a band of its own goes before one of a picture."""
    scene = Scene(tmp_path, "a", "2020-07-01T10:00:00Z", 1)
    item = scene.item
    item.assets["B04"] = item.assets.pop("red")
    item.assets["B04"].extra_fields["bands"] = [{"name": "B04", "eo:common_name": "red"}]
    picture = write_tif(tmp_path / "rgb.tif", np.ones((3, SIDE, SIDE), "uint16"))
    rgb = make_item("p", {"visual": picture}, None or "2020-07-01T10:00:00Z").assets["visual"]
    rgb.extra_fields["bands"] = [{"eo:common_name": n} for n in ("red", "green", "blue")]
    item.assets = {"visual": rgb, **item.assets}
    opened = qm.open_collection([item], bands=["red", "green"])
    np.testing.assert_array_equal(opened["red"].values[0], scene.pixels["red"])
    assert (opened["green"].values == 1).all()


def test_one_page_of_a_search_is_said_to_be_one(tmp_path: Path) -> None:
    """What follows is not opened, and that is said."""
    scene = Scene(tmp_path, "a", "2020-07-01T10:00:00Z", 1)
    page = {
        "type": "FeatureCollection",
        "features": [scene.item.to_dict()],
        "links": [{"rel": "next", "href": "https://example.com/?page=2"}],
    }
    (tmp_path / "page.json").write_text(json.dumps(page))
    with pytest.warns(UserWarning, match="one page of a search, 1 items") as caught:
        qm.open_collection(tmp_path / "page.json", bands="red")
    assert Path(caught[0].filename).name == Path(__file__).name


def test_nodata_for_all_other_bands(tmp_path: Path) -> None:
    """A star stands for them, as in resampling."""
    item = Scene(tmp_path, "a", "2020-07-01T10:00:00Z", 1).item
    opened = qm.open_collection([item], nodata={"red": 0, "*": None})
    assert (opened["red"].attrs["_FillValue"], opened["cloud"].attrs["_FillValue"]) == (0, 255)


def test_complex_bands(tmp_path: Path) -> None:
    """As they are, without a nodata that nothing equals."""
    pixels = (np.arange(SIDE * SIDE).reshape(SIDE, SIDE) * (1 + 2j)).astype("complex64")
    path = write_tif(tmp_path / "a.tif", pixels, nodata=None)
    item = make_item("a", {"vv": path}, "2020-07-01T10:00:00Z")
    np.testing.assert_array_equal(qm.open_collection([item])["vv"].values[0], pixels)


def test_the_order_is_that_of_time_then_id(tmp_path: Path) -> None:
    """Whatever the order of the items: ties go by it."""
    times = ["2020-07-02T10:00:00Z", "2020-07-01T12:00:00+02:00", "2020-07-01T10:00:00Z"]
    items = [
        Scene(tmp_path, n, t, i).item for i, (n, t) in enumerate(zip("abc", times, strict=True))
    ]
    for seed in range(5):
        random.Random(seed).shuffle(items)
        opened = qm.open_collection(items, bands=["red"])
        assert list(opened["id"].values) == ["b", "c", "a"]
        assert opened["time"].values[0] == np.datetime64("2020-07-01T10:00:00")
        tied = qm.quality_mosaic(opened.assign(one=opened["red"] * 0 + 1), "one")["red"].values
        np.testing.assert_array_equal(tied, opened["red"].values[0])


def test_one_image_a_solar_day(tmp_path: Path) -> None:
    """Items of a day are one image, the first in time on top; days are local, at the longitude."""
    # 15° E is an hour ahead of UTC: 23:30 UTC is the next day there
    times = ["2020-07-01T10:00:00Z", "2020-07-01T23:30:00Z", "2020-07-02T10:00:00Z"]
    scenes = []
    for i, (name, time) in enumerate(zip("abc", times, strict=True)):
        corner = (CORNER[0] + 80 * i, CORNER[1])
        cover = {"eo:cloud_cover": 10 * i}
        scenes.append(Scene(tmp_path, name, time, i, crs=UTM33, corner=corner, **cover))
    opened = qm.open_collection([s.item for s in scenes[::-1]], bands=["red"], groupby="solar_day")
    assert list(opened["id"].values) == ["a", "b c"]
    assert list(opened["cloud_cover"].values) == [0, 15]
    assert opened["time"].values[1] == np.datetime64("2020-07-01T23:30:00")
    red = opened["red"].values[1]
    np.testing.assert_array_equal(red[:, 8:40], scenes[1].pixels["red"])
    np.testing.assert_array_equal(red[:, 40:48], scenes[2].pixels["red"][:, 24:])
    outline = shapely.from_wkt(opened["footprint"].values[1])
    both = shapely.union_all([shapely.geometry.shape(s.item.geometry) for s in scenes[1:]])
    assert outline.symmetric_difference(both).area < 1e-9


def test_metadata_of_images_are_coordinates(tmp_path: Path) -> None:
    """id, platform, cloud cover, footprint along time; filters use them, a mosaic has none."""
    items = [
        Scene(
            tmp_path,
            name,
            f"2020-07-0{day + 1}T10:00:00Z",
            day,
            corner=(CORNER[0] + 1000 * day, CORNER[1]),
            platform=f"sentinel-2{name}",
            **{"eo:cloud_cover": 12.5 * day},
        ).item
        for day, name in enumerate("ab")
    ]
    items[1].properties.pop("eo:cloud_cover")
    opened = qm.open_collection(items, bands=["red"])
    assert list(opened["platform"].values) == ["sentinel-2a", "sentinel-2b"]
    np.testing.assert_array_equal(opened["cloud_cover"].values, [0, np.nan])
    for text, item in zip(opened["footprint"].values, items, strict=True):
        assert shapely.from_wkt(text).equals_exact(shapely.geometry.shape(item.geometry), 1e-9)
    kept = qm.filter_bounds(opened, tuple(items[1].bbox or ()))
    assert list(kept["id"].values) == ["b"]
    mosaic = qm.quality_mosaic(opened, "red")
    assert set(mosaic.coords) == {"y", "x", "spatial_ref"}
    assert list(opened.sel(time=opened["cloud_cover"] < 5)["id"].values) == ["a"]


def as_list(items: list[pystac.Item], folder: Path) -> Any:
    return items


def as_collection(items: list[pystac.Item], folder: Path) -> Any:
    return pystac.ItemCollection(items)


def as_dict(items: list[pystac.Item], folder: Path) -> Any:
    return pystac.ItemCollection(items).to_dict()


def as_dicts(items: list[pystac.Item], folder: Path) -> Any:
    return [item.to_dict() for item in items]


def as_catalog(items: list[pystac.Item], folder: Path) -> Any:
    catalog = pystac.Catalog("s2", "two images")
    catalog.add_items([item.clone() for item in items])
    return catalog


def as_file(items: list[pystac.Item], folder: Path) -> Any:
    path = folder / "items.json"
    pystac.ItemCollection(items).save_object(str(path))
    return path


def as_relative_file(items: list[pystac.Item], folder: Path) -> Any:
    content = pystac.ItemCollection(items).to_dict()
    for feature in content["features"]:
        for asset in feature["assets"].values():
            asset["href"] = "./" + Path(asset["href"]).name
    path = folder / "items.json"
    path.write_text(json.dumps(content))
    return str(path)


def as_catalog_file(items: list[pystac.Item], folder: Path) -> Any:
    catalog = as_catalog(items, folder)
    catalog.normalize_and_save(str(folder / "catalog"), pystac.CatalogType.ABSOLUTE_PUBLISHED)
    return folder / "catalog" / "catalog.json"


class Search:
    """What pystac-client gives for a search."""

    __module__ = "pystac_client.item_search"

    def __init__(self, items: list[pystac.Item]) -> None:
        self._items = items

    def item_collection(self) -> pystac.ItemCollection:
        """Give what was found."""
        return pystac.ItemCollection(self._items)


def as_search(items: list[pystac.Item], folder: Path) -> Any:
    return Search(items)


@pytest.mark.parametrize(
    "form",
    [
        as_list,
        as_collection,
        as_dict,
        as_dicts,
        as_catalog,
        as_file,
        as_relative_file,
        as_catalog_file,
        as_search,
    ],
)
def test_where_items_come_from(tmp_path: Path, form: Any) -> None:
    """Files, pystac objects, GeoJSON, searches; relative addresses are those of the file."""
    scenes = [Scene(tmp_path, n, f"2020-07-0{i + 1}T10:00:00Z", i) for i, n in enumerate("ab")]
    opened = qm.open_collection(form([s.item for s in scenes], tmp_path), bands=["red"])
    assert list(opened["id"].values) == ["a", "b"]
    np.testing.assert_array_equal(opened["red"].values, [s.pixels["red"] for s in scenes])


@pytest.mark.parametrize("start", [".", ".."])
def test_relative_addresses_in_a_file_whose_own_path_is_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    """``open_collection("items.json")``: addresses are relative to it, wherever one stands."""
    folder = tmp_path / "below"
    scene = Scene(folder, "a", "2020-07-01T10:00:00Z", 1)
    as_relative_file([scene.item], folder)
    monkeypatch.chdir(folder / start)
    opened = qm.open_collection("items.json" if start == "." else "below/items.json", bands="red")
    np.testing.assert_array_equal(opened["red"].values, [scene.pixels["red"]])


def test_the_grid(tmp_path: Path) -> None:
    """bbox, resolution, a GeoBox, an object of xarray; resampling by band."""
    scene = Scene(tmp_path, "a", "2020-07-01T10:00:00Z", 1)
    west, south, east, north = scene.item.bbox or ()
    half = qm.open_collection(
        [scene.item], bbox=(west, south, (west + east) / 2, north), bands="red"
    )
    assert half.sizes["x"] in (16, 17)
    coarse = qm.open_collection(
        [scene.item], bands="red", resolution=80, crs=UTM32, resampling="average"
    )
    assert coarse["red"].dtype == "uint16"
    np.testing.assert_array_equal(coarse["red"].values[0], scene.pixels["red"][::8, ::8])
    for geobox in (GeoBox((4, 4), from_origin(*CORNER, 80, 80), UTM32), coarse):
        again = qm.open_collection(
            [scene.item], bands="red", geobox=geobox, resampling={"*": "mode"}
        )
        np.testing.assert_array_equal(again["red"].values, coarse["red"].values)
    assert qm.open_collection([scene.item], bands="red", chunks={"x": 8, "y": 16})[
        "red"
    ].chunks == (
        (1,),
        (16, 16),
        (8,) * 4,
    )


def test_a_band_that_some_items_lack(tmp_path: Path) -> None:
    """Refused with the item's name, or masked there: even where the first item lacks it."""
    items = [Scene(tmp_path, n, f"2020-07-0{i + 1}T10:00:00Z", i).item for i, n in enumerate("ab")]
    del items[0].assets["red"]
    with pytest.raises(ValueError, match=r"'red' is missing in the item 'a'.*missing='mask'"):
        qm.open_collection(items, nodata={"cloud": None})
    opened = qm.open_collection(items, missing="mask", nodata={"cloud": None})
    assert opened["red"].dtype == "uint16"
    assert (opened["red"].values[0] == 0).all()
    assert (opened["red"].values[1] > 0).all()
    assert list(qm.open_collection(items, bands=["cloud"], nodata={"cloud": None})) == ["cloud"]


def test_items_with_a_period_are_placed_at_its_start(tmp_path: Path) -> None:
    """STAC allows no datetime where start and end are given."""
    item = Scene(tmp_path, "a", "2020-07-01T10:00:00Z", 1).item
    item.datetime = None
    item.common_metadata.start_datetime = datetime.datetime(2020, 7, 1, tzinfo=datetime.UTC)
    item.common_metadata.end_datetime = datetime.datetime(2020, 7, 31, tzinfo=datetime.UTC)
    opened = qm.open_collection([item], bands=["red"])
    assert opened["time"].values[0] == np.datetime64("2020-07-01")


def test_items_that_cannot_be(tmp_path: Path) -> None:
    """What came, why not, what to write."""
    a = Scene(tmp_path, "a", "2020-07-01T10:00:00Z", 1).item
    b = Scene(tmp_path, "b", "2020-07-01T10:00:00Z", 2, crs=UTM33).item
    timeless = a.clone()
    timeless.datetime = None
    signed = Scene(
        tmp_path, "s", "2020-07-01T10:00:00Z", 3, declared={**SAID, "red": {"data_type": "int16"}}
    ).item
    unknown = make_item("u", {"red": tmp_path / "gone.tif"}, "2020-07-01T10:00:00Z")
    bare = a.clone()
    bare.stac_extensions = []
    bare.assets["red"].href = str(tmp_path / "gone.tif")
    for name in ("proj:code",):
        del bare.properties[name]
    grid = GeoBox((4, 4), from_origin(*CORNER, 80, 80), UTM32)
    feature = {"type": "Feature", "geometry": None, "properties": {}}
    cases: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        ([timeless], {}, ValueError, "item 'a' has no datetime"),
        ([a, b], {}, ValueError, r"several CRSs \(EPSG:32632, EPSG:32633\).*crs='EPSG:32632'"),
        ([a], {"crs": "EPSG:3035"}, ValueError, "Give resolution="),
        ([a], {"geobox": grid, "crs": UTM32}, TypeError, "geobox= is a whole grid"),
        ([a], {"bands": "reed"}, KeyError, "no band 'reed'.*Did you mean 'red'"),
        ([a], {"bands": ["red", "red"]}, ValueError, "'red' 2 times"),
        ([a], {"bbox": (9, 50, 8, 40)}, ValueError, "bounding box"),
        ([a], {"nodata": {"red": 70_000}}, ValueError, "does not fit its dtype uint16"),
        ([a], {"pattern": "x"}, TypeError, "pattern= is for geotiff"),
        ([a, signed], {}, ValueError, "'red' is uint16 in 'a' and int16 in 's'"),
        ([unknown], {}, ValueError, "gone.tif.*cannot be opened"),
        ([bare], {"bands": "red"}, ValueError, r"nothing in it tells the grid.*gone\.tif"),
        (pystac.ItemCollection([]), {}, ValueError, "no STAC item"),
        (feature, {}, ValueError, "no STAC item: it has no 'assets'"),
        ([a, 3], {}, TypeError, "has a int between"),
    ]
    for source, options, error, message in cases:
        with pytest.raises(error, match=message):
            qm.open_collection(source, **options)


def test_only_winners_are_asked_for_over_http(tmp_path: Path) -> None:
    """Opening asks for the items alone, a mosaic for the quality and the files that won."""
    scenes = [Scene(tmp_path, n, f"2020-07-0{i + 1}T10:00:00Z", i) for i, n in enumerate("abcde")]
    for number, scene in enumerate(scenes):
        value = {1: 0, 3: 0}.get(number, 50)
        cloud = np.full((SIDE, SIDE), 60, "uint8")
        half = np.s_[:, :16] if number == 1 else np.s_[:, 16:]
        cloud[half] = value
        write_tif(tmp_path / f"{scene.item.id}_cloud.tif", cloud)
    as_relative_file([scene.item for scene in scenes], tmp_path)
    with serve(tmp_path) as web:
        opened = qm.open_collection(
            f"{web.address}/items.json", nodata={"cloud": None}, chunks={"x": 16, "y": 16}
        )
        assert set(web.asked) == {"items.json"}
        opened = opened.assign(quality=qm.scores.inverse(opened["cloud"]))
        mosaic = qm.quality_mosaic(opened, "quality")
        assert "reads only what won" in str(qm.explain(mosaic))
        assert set(web.asked) == {"items.json"}
        red = mosaic["red"].values
        asked = {name for name in web.asked if name.endswith(".tif")}
    assert {name for name in asked if "red" in name} == {"b_red.tif", "d_red.tif"}
    assert {name for name in asked if "cloud" in name} == {f"{n}_cloud.tif" for n in "abcde"}
    np.testing.assert_array_equal(red[:, :16], scenes[1].pixels["red"][:, :16])
    np.testing.assert_array_equal(red[:, 16:], scenes[3].pixels["red"][:, 16:])


def test_names_are_the_same_every_time(tmp_path: Path) -> None:
    """A job can be resumed: the same items give the same graph."""
    item = Scene(tmp_path, "a", "2020-07-01T10:00:00Z", 1).item
    first, second = (qm.open_collection([item], nodata={"cloud": None}) for _ in range(2))
    assert first["red"].data.name == second["red"].data.name
    assert first["cloud"].data.name == second["cloud"].data.name
    written = tmp_path / "mosaic.zarr"
    qm.to_zarr(qm.quality_mosaic(first, "cloud"), written)
    qm.to_zarr(qm.quality_mosaic(second, "cloud"), written, mode="resume")
    other = qm.quality_mosaic(qm.open_collection([item], nodata={"cloud": 0}), "cloud")
    with pytest.raises(ValueError, match="mosaic"):
        qm.to_zarr(other, written, mode="resume")


def test_tasks_travel_to_other_processes(tmp_path: Path) -> None:
    """What a collection is made of can be pickled: workers of a cluster open the files."""
    scenes = [Scene(tmp_path, n, f"2020-07-0{i + 1}T10:00:00Z", i) for i, n in enumerate("ab")]
    opened = qm.open_collection([s.item for s in scenes], nodata={"cloud": None})
    mosaic = qm.quality_mosaic(opened, "cloud").compute(scheduler="processes", num_workers=2)
    worst = np.maximum(scenes[0].pixels["cloud"], scenes[1].pixels["cloud"])
    np.testing.assert_array_equal(mosaic["cloud"].values, worst)


def test_nothing_is_changed(tmp_path: Path) -> None:
    """The items are the user's."""
    items = [Scene(tmp_path, "a", "2020-07-01T10:00:00Z", 1).item]
    before = [item.to_dict() for item in items]
    qm.open_collection(items, nodata={"cloud": None}, groupby="solar_day")
    assert [item.to_dict() for item in items] == before
    assert isinstance(qm.open_collection(items, bands="red"), xr.Dataset)


def test_bands_that_only_some_items_have(tmp_path: Path) -> None:
    """Several collections, and items of which none has all bands: masked where one is missing."""
    a, b = (Scene(tmp_path, n, f"2020-07-0{i + 1}T10:00:00Z", i).item for i, n in enumerate("ab"))
    a.collection_id, b.collection_id = "sentinel-2-l2a", "landsat-c2-l2"
    b.assets["thermal"] = b.assets.pop("cloud")
    opened = qm.open_collection([a, b], missing="mask", nodata={"cloud": None, "thermal": None})
    assert set(opened) == {"red", "cloud", "thermal"}
    assert opened["cloud"].dtype == opened["thermal"].dtype == "uint8"
    assert (opened["cloud"].values[1] == 255).all()
    assert (opened["thermal"].values[0] == 255).all()
    assert (opened["red"].values > 0).all()
    assert "reads only what won" in str(qm.explain(qm.quality_mosaic(opened, "red")))


def test_one_item_twice(tmp_path: Path) -> None:
    """Two images, as it was asked for."""
    item = Scene(tmp_path, "a", "2020-07-01T10:00:00Z", 1).item
    assert qm.open_collection([item, item], bands="red").sizes["time"] == 2


def test_a_box_keeps_the_items_that_touch_it(tmp_path: Path) -> None:
    """Of others nothing would be on the map; if none is left the error says so."""
    near = Scene(tmp_path, "near", "2020-07-01T10:00:00Z", 1).item
    far = Scene(
        tmp_path, "far", "2020-07-02T10:00:00Z", 2, corner=(CORNER[0] + 20_000, CORNER[1])
    ).item
    opened = qm.open_collection([near, far], bbox=near.bbox, bands="red")
    assert list(opened["id"].values) == ["near"]
    with pytest.raises(ValueError, match=r"bbox=\(0, 0, 1, 1\).* left none of 2 items"):
        qm.open_collection([near, far], bbox=(0, 0, 1, 1), bands="red")


def test_items_that_disagree_on_nodata(tmp_path: Path) -> None:
    """A collection has one for all: which, only the user can say."""
    said = {**SAID, "red": {"data_type": "uint16", "nodata": 65535}}
    a = Scene(tmp_path, "a", "2020-07-01T10:00:00Z", 1).item
    b = Scene(tmp_path, "b", "2020-07-02T10:00:00Z", 2, declared=said).item
    with pytest.raises(ValueError, match=r"'red' declares nodata 0.* and 65535.*nodata=\{'red'"):
        qm.open_collection([a, b], bands="red")
    assert qm.open_collection([a, b], bands="red", nodata={"red": 0})["red"].dtype == "uint16"


def test_arguments_that_nothing_knows(tmp_path: Path) -> None:
    """A misspelt argument is not swallowed; what odc has beside a grid is told what to use."""
    item = Scene(tmp_path, "a", "2020-07-01T10:00:00Z", 1).item
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"resoluton": 10}, TypeError, "Did you mean resolution="),
        ({"like": 1}, TypeError, "knows no like=. Write geobox="),
        ({"lon": (1, 2)}, TypeError, "knows no lon=. Write bbox="),
        ({"resampling": "gauss"}, ValueError, "'gauss' is not known"),
        ({"geobox": "x"}, TypeError, "geobox='x'"),
        ({"resolution": "10"}, TypeError, "resolution='10'"),
        ({"chunks": {"band": 1}}, ValueError, r"chunks= has 'band'.*'y', 'x'"),
        ({"chunks": {"x": 0}}, ValueError, "'x': 0"),
        ({"nodata": {"clod": None}}, KeyError, "nodata= was given.*'clod'.*mean 'cloud'"),
        ({"resampling": {"scl": "nearest"}}, KeyError, "resampling= was given.*'scl'"),
        ({"resampling": "nearst"}, ValueError, "'nearst' is not known"),
        ({"resolution": 0}, ValueError, "no pixel size"),
        ({"crs": "EPSG:0"}, ValueError, "is no CRS"),
    ]
    for options, error, message in cases:
        with pytest.raises(error, match=message):
            qm.open_collection([item], **options)


def test_files_that_hold_no_items(tmp_path: Path) -> None:
    """Broken JSON, items without an id or a datetime, relative addresses from nowhere."""
    item = Scene(tmp_path, "a", "2020-07-01T10:00:00Z", 1).item
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match="is no JSON"):
        qm.open_collection(tmp_path / "broken.json")
    for key in ("id", "properties"):
        content = item.to_dict()
        del content[key]
        with pytest.raises(ValueError, match="is no STAC item"):
            qm.open_collection([content])
    timeless = item.to_dict()
    timeless["properties"]["datetime"] = None
    with pytest.raises(ValueError, match="datetime"):
        qm.open_collection([timeless])
    relative = item.to_dict()
    relative["assets"]["red"]["href"] = "./red.tif"
    with pytest.raises(ValueError, match="'red' of the item 'a' has the relative address"):
        qm.open_collection([relative])
    assert set(qm.open_collection([relative], bands="cloud", nodata=0)) == {"cloud"}
    badly_dated = item.to_dict()
    badly_dated["properties"]["datetime"] = "yesterday"
    with pytest.raises(ValueError, match="'a' is no STAC item"):
        qm.open_collection([badly_dated])
    with serve(tmp_path) as web, pytest.raises(FileNotFoundError, match=r"nothing\.json.*Check"):
        qm.open_collection(f"{web.address}/nothing.json")
    listed = [item.to_dict(), Scene(tmp_path, "b", "2020-07-02T10:00:00Z", 2).item.to_dict()]
    (tmp_path / "list.json").write_text(json.dumps(listed))
    assert qm.open_collection([tmp_path / "list.json"], bands="red").sizes["time"] == 2
    assert qm.open_collection((i for i in listed), bands="red").sizes["time"] == 2


def test_properties_that_are_asked_for(tmp_path: Path) -> None:
    """They become coordinates along time: numbers, texts, texts of a list; of several items in an
    image numbers are averaged, other texts joined; an item without one has NaN or no text."""
    said: list[dict[str, Any]] = [
        {"sat:relative_orbit": 22, "view:sun_elevation": 40, "s2:mgrs_tile": "33UUP"},
        {"sat:relative_orbit": 22, "view:sun_elevation": 50.0, "s2:mgrs_tile": "33UUQ"},
        {"sat:relative_orbit": 65, "sar:polarizations": ["VV", "VH"]},
    ]
    items = [
        Scene(tmp_path, n, f"2020-07-0{day}T10:00:00Z", i, **own).item
        for i, (n, day, own) in enumerate(zip("abc", (1, 1, 3), said, strict=True))
    ]
    names = ["sat:relative_orbit", "view:sun_elevation", "s2:mgrs_tile", "sar:polarizations"]
    opened = qm.open_collection(items, bands="red", properties=names)
    orbits, suns, tiles, polarisations = (opened[name] for name in names)
    assert orbits.dtype == "int64"
    assert orbits.values.tolist() == [22, 22, 65]
    np.testing.assert_array_equal(suns.values, [40.0, 50.0, np.nan])
    assert tiles.values.tolist() == ["33UUP", "33UUQ", ""]
    assert polarisations.values.tolist() == ["", "", "VV VH"]
    daily = qm.open_collection(items, bands="red", properties=names, groupby="solar_day")
    np.testing.assert_array_equal(daily["view:sun_elevation"].values, [45.0, np.nan])
    assert daily["s2:mgrs_tile"].values.tolist() == ["33UUP 33UUQ", ""]
    assert daily["sat:relative_orbit"].values.tolist() == [22, 65]
    with pytest.raises(KeyError, match=r"'s2:mgrs_tiles', which none of 3.*mean 's2:mgrs_tile'"):
        qm.open_collection(items, bands="red", properties="s2:mgrs_tiles")
    with pytest.raises(TypeError, match="are no names"):
        qm.open_collection(items, bands="red", properties=[5])

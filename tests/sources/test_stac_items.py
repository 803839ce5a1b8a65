"""STAC items as they are: assets with several bands, damaged grids, addresses that are not to be
opened. What is right is said by the files."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import odc.stac
import pyproj
import pystac
import pytest
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin

import qmosaic as qm
from tests.support.rasters import CORNER, UTM32, make_item, write_tif

SIDE = 32
NAMES = ("Red", "Green", "Blue", "NIR")
EO = "https://stac-extensions.github.io/eo/v1.0.0/schema.json"
RED = {"red": {"data_type": "uint16", "nodata": 0}}
GRID = GeoBox((SIDE, SIDE), from_origin(*CORNER, 10, 10), UTM32)

Change = Callable[[dict[str, Any]], None]


# ---------------------------------------------------------------------------------------------
# Bands
# ---------------------------------------------------------------------------------------------


def picture(
    folder: Path, name: str, has: tuple[str, ...] = NAMES, day: int = 1, **fields: Any
) -> tuple[pystac.Item, dict[str, np.ndarray]]:
    """An item with one asset of several bands, and the pixels of each."""
    rng = np.random.default_rng(day)
    pixels = rng.integers(1, 255, (len(has), SIDE, SIDE), "uint8")
    path = write_tif(folder / f"{name}.tif", pixels)
    item = make_item(name, {"image": path}, f"2020-07-0{day}T10:00:00Z")
    item.stac_extensions = [*item.stac_extensions, EO]
    item.collection_id = "pictures"
    item.assets["image"].extra_fields.update(fields)
    return item, dict(zip(has, pixels, strict=True))


def eo_bands(names: tuple[str, ...] = NAMES) -> list[dict[str, str]]:
    return [{"name": name, "common_name": name.lower()} for name in names]


LISTS: dict[str, dict[str, Any]] = {
    "eo:bands alone": {"eo:bands": eo_bands()},
    "one of raster:bands": {"eo:bands": eo_bands(), "raster:bands": [{"data_type": "uint8"}]},
    "raster:bands and eo:bands": {"eo:bands": eo_bands(), "raster:bands": [{}, {}, {}, {}]},
    "STAC 1.1": {"bands": [{"name": n, "eo:common_name": n.lower()} for n in NAMES]},
    "STAC 1.1, for all bands at once": {"eo:bands": eo_bands(), "data_type": "uint8"},
}


@pytest.mark.parametrize("form", LISTS)
@pytest.mark.parametrize("declares", [True, False], ids=["with eo", "without eo"])
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (None, NAMES),
        (["Red", "NIR"], ("Red", "NIR")),
        ("nir", ("NIR",)),
        (["image.2"], ("Green",)),
        ("image", NAMES),
        (["image.4", "red"], ("NIR", "Red")),
    ],
)
def test_all_bands_of_an_asset(
    tmp_path: Path, form: str, declares: bool, asked: Any, found: tuple[str, ...]
) -> None:
    """All bands of an asset come, or those that are named, each with its own pixels; it does not
    matter how the item lists them."""
    item, pixels = picture(tmp_path, "a", **LISTS[form])
    if not declares:
        item.stac_extensions.remove(EO)
    opened = qm.open_collection([item], bands=asked)
    names = found if asked in (None, "image") else (asked,) if isinstance(asked, str) else asked
    assert tuple(opened.data_vars) == tuple(names)
    for name, band in zip(names, found, strict=True):
        assert opened[name].dtype == "uint8"
        np.testing.assert_array_equal(opened[name].values[0], pixels[band])


def test_bands_without_names(tmp_path: Path) -> None:
    """Where an item says nothing of bands, the header of the file tells how many there are."""
    item, pixels = picture(tmp_path, "a")
    opened = qm.open_collection([item])
    assert list(opened.data_vars) == ["image.1", "image.2", "image.3", "image.4"]
    for name, wanted in zip(opened.data_vars, pixels.values(), strict=True):
        np.testing.assert_array_equal(opened[name].values[0], wanted)


def red_item(folder: Path, pixels: np.ndarray, nodata: float | None = 0, **fields: Any) -> Any:
    """Make an item of one file, whose asset has the fields as they are given."""
    path = write_tif(folder / "red.tif", pixels, nodata=nodata)
    item = make_item("odd", {"red": path}, "2020-07-01T10:00:00Z")
    item.stac_extensions.append(EO)
    item.assets["red"].extra_fields.update(fields)
    return item


@pytest.mark.parametrize("own", [{}, {"common_name": "red"}, {"name": "B04"}])
def test_a_single_band_without_a_name(tmp_path: Path, own: dict[str, str]) -> None:
    """The extension allows bands of ``eo:bands`` without names."""
    pixels = np.full((SIDE, SIDE), 7, "uint16")
    opened = qm.open_collection([red_item(tmp_path, pixels, **{"eo:bands": [own]})])
    assert list(opened.data_vars) == ["red"]
    np.testing.assert_array_equal(opened["red"][0], pixels)


@pytest.mark.parametrize("name", ["raster:bands", "bands", "eo:bands"])
@pytest.mark.parametrize("value", [{"scale": 2}, "uint16", 5, ["red"]])
def test_what_is_no_list_of_bands_is_left_out(tmp_path: Path, name: str, value: Any) -> None:
    """A damaged field gives way, with a warning that names the item; the file tells the rest."""
    pixels = np.full((SIDE, SIDE), 7, "uint16")
    item = red_item(tmp_path, pixels, **{name: value})
    with pytest.warns(UserWarning, match=rf"'red' of the item 'odd' has {name} = .*no list"):
        opened = qm.open_collection([item])
    np.testing.assert_array_equal(opened["red"][0], pixels)
    assert item.assets["red"].extra_fields[name] == value


@pytest.mark.parametrize(
    ("band", "told"),
    [
        ({"scale": "much"}, "the scale in raster:bands = 'much', which is no finite number"),
        ({"offset": {}}, "the offset in raster:bands = {}, which is no finite number"),
        ({"scale": 0}, "the scale in raster:bands = 0, with which integers mean nothing"),
    ],
)
def test_a_damaged_scale_is_told(tmp_path: Path, band: dict[str, Any], told: str) -> None:
    """It gives way to what else tells the packing, with a warning that names the item."""
    item = red_item(tmp_path, np.full((SIDE, SIDE), 7, "uint16"), **{"raster:bands": [band]})
    with pytest.warns(UserWarning, match=re.escape(f"the item 'odd' has {told}")):
        opened = qm.open_collection([item])
    assert "scale_factor" not in opened["red"].attrs


@pytest.mark.parametrize("crs", [UTM32, "EPSG:32633"])
@pytest.mark.parametrize(
    ("dtype", "value", "said"),
    [("uint16", 1500, "uint8"), ("int16", -5, "uint16"), ("float32", 0.5, "int16")],
)
def test_pixels_that_the_said_dtype_does_not_hold(
    tmp_path: Path, crs: str, dtype: str, value: float, said: str
) -> None:
    """GDAL would cut them off at its ends: an error names the file and what to correct, and with
    the correction it is read. Copied or warped."""
    pixels = np.full((SIDE, SIDE), value, dtype)
    item = red_item(tmp_path, pixels, **{"raster:bands": [{"data_type": said, "nodata": 0}]})
    lies = qm.open_collection([item], crs=crs, resolution=10)
    with pytest.raises(ValueError, match=rf"red\.tif' has a value of {value}.*are {said}"):
        lies.compute(scheduler="single-threaded")
    del item.assets["red"].extra_fields["raster:bands"][0]["data_type"]
    right = qm.open_collection([item], crs=crs, resolution=10)["red"].values
    assert right.dtype == dtype
    assert {pixels[0, 0]} <= set(right.flat) <= {0, pixels[0, 0]}


@pytest.mark.parametrize("crs", [UTM32, "EPSG:32633"])
def test_pixels_that_the_said_dtype_holds(tmp_path: Path, crs: str) -> None:
    """They are read as it is said, and what the file masks is masked."""
    pixels = np.full((SIDE, SIDE), 200, "int16")
    pixels[: SIDE // 2] = -9999
    said = {"raster:bands": [{"data_type": "uint8", "nodata": 0}]}
    opened = qm.open_collection([red_item(tmp_path, pixels, -9999, **said)], crs=crs, resolution=10)
    assert opened["red"].dtype == "uint8"
    counts = dict(zip(*np.unique(opened["red"], return_counts=True), strict=True))
    assert set(counts) == {0, 200}
    assert counts[200] == pytest.approx(SIDE * SIDE / 2, rel=0.05)


@pytest.mark.parametrize("said", [-1, 65536, 0.5])
def test_a_nodata_that_no_pixel_can_have(tmp_path: Path, said: float) -> None:
    """The error names the item that says it, and what it says to write opens the item."""
    pixels = np.full((SIDE, SIDE), 7, "uint16")
    item = red_item(tmp_path, pixels, **{"raster:bands": [{"data_type": "uint16", "nodata": said}]})
    told = rf"the item 'odd' .*says that nodata is {said} in band 'red'.*nodata={{'red': 0}}"
    with pytest.raises(ValueError, match=told):
        qm.open_collection([item])
    for nodata in (0, None):
        opened = qm.open_collection([item], nodata={"red": nodata})
        np.testing.assert_array_equal(opened["red"][0], pixels)


def test_a_band_that_the_file_lacks(tmp_path: Path) -> None:
    """A name that stands in the item alone is no band: the error names those that are."""
    item, _ = picture(tmp_path, "a", NAMES[:3], **{"eo:bands": eo_bands()})
    with pytest.raises(KeyError, match="no band 'NIR'; there are 'Red', 'Green', 'Blue'"):
        qm.open_collection([item], bands=["NIR"])
    assert list(qm.open_collection([item]).data_vars) == list(NAMES[:3])


def test_pictures_of_three_and_of_four_bands(tmp_path: Path) -> None:
    """A band that some files lack is missing there, as a missing asset is."""
    three, _ = picture(tmp_path, "a", NAMES[:3], 1, **{"eo:bands": eo_bands(NAMES[:3])})
    four, pixels = picture(tmp_path, "b", NAMES, 2, **{"eo:bands": eo_bands()})
    with pytest.raises(ValueError, match="band 'NIR' is missing in the item 'a'"):
        qm.open_collection([three, four])
    opened = qm.open_collection([three, four], missing="mask")
    assert (opened["NIR"].values[0] == 0).all()
    np.testing.assert_array_equal(opened["NIR"].values[1], pixels["NIR"])


@pytest.mark.parametrize("collection", ["pictures", None])
def test_a_band_that_stands_elsewhere_in_some_files(tmp_path: Path, collection: Any) -> None:
    """Bands go by their names, not by their place in the first file."""
    scenes = [
        picture(tmp_path, "a", NAMES, 1, **{"eo:bands": eo_bands()}),
        picture(tmp_path, "b", NAMES[::-1], 2, **{"eo:bands": eo_bands(NAMES[::-1])}),
        picture(tmp_path, "c", NAMES, 3, **{"eo:bands": eo_bands()}),
    ]
    for item, _ in scenes:
        item.collection_id = collection
    opened = qm.open_collection([item for item, _ in scenes], bands=["Red", "NIR"])
    for place, (_, pixels) in enumerate(scenes):
        for name in ("Red", "NIR"):
            np.testing.assert_array_equal(opened[name].values[place], pixels[name])


def test_a_band_before_a_picture_of_it(tmp_path: Path) -> None:
    """Of several assets with a band the one with the fewest is meant; the others keep numbers."""
    item, _ = picture(tmp_path, "a", NAMES[:3], **{"eo:bands": eo_bands(NAMES[:3])})
    pixels = np.full((SIDE, SIDE), 77, "uint8")
    single = make_item("x", {"B04": write_tif(tmp_path / "b4.tif", pixels)}, "2020-07-01")
    single.assets["B04"].extra_fields["eo:bands"] = [{"name": "B04", "common_name": "red"}]
    item.add_asset("B04", single.assets["B04"])
    opened = qm.open_collection([item], bands=["red"])
    assert (opened["red"].values == 77).all()
    assert set(qm.open_collection([item]).data_vars) >= {"B04", "Green", "Blue"}


def test_items_that_tell_all_are_not_asked_again(tmp_path: Path) -> None:
    """No file is opened where the item says number, dtype and nodata of its bands."""
    item = make_item("a", {"red": tmp_path / "not there.tif"}, "2020-07-01", declared=RED)
    item.assets["red"].extra_fields["eo:bands"] = [{"name": "B04"}]
    assert qm.open_collection([item])["red"].dtype == "uint16"


# ---------------------------------------------------------------------------------------------
# Grids
# ---------------------------------------------------------------------------------------------

SINUSOIDAL = pyproj.CRS.from_proj4("+proj=sinu +lon_0=0 +R=6371007.181 +units=m +no_defs").to_wkt()


def scene(folder: Path, name: str = "a", crs: str = UTM32, day: int = 1) -> pystac.Item:
    """An item with one band, right as it is."""
    pixels = np.arange(SIDE * SIDE, dtype="uint16").reshape(SIDE, SIDE) + day
    path = write_tif(folder / f"{name}.tif", pixels, crs=crs)
    return make_item(name, {"red": path}, f"2020-07-0{day}T10:00:00Z", crs=crs, declared=RED)


def of_item(**fields: Any) -> Change:
    """A change of fields of the item; None takes one away."""
    return lambda item: _change(item["properties"], fields)


def of_asset(**fields: Any) -> Change:
    """A change of fields of its asset."""
    return lambda item: _change(item["assets"]["red"], fields)


def _change(place: dict[str, Any], fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        place[f"proj:{name}"] = value


PROJJSON = pyproj.CRS(UTM32).to_json_dict()
WKT = pyproj.CRS(UTM32).to_wkt()
LEFT, TOP = CORNER
BOX = [LEFT, TOP - SIDE * 10, LEFT + SIDE * 10, TOP]

DAMAGE: dict[str, tuple[Change, str, str]] = {
    "no such code": (of_item(code="EPSG:None", wkt2=WKT), "proj:code", "proj:wkt2"),
    "code of nothing": (of_item(code="EPSG:99999", projjson=PROJJSON), "proj:code", "projjson"),
    "empty code": (of_item(code="", wkt2=WKT), "proj:code", "proj:wkt2"),
    "a list": (of_item(code=["EPSG:32632"], wkt2=WKT), "proj:code", "proj:wkt2"),
    "code, then wkt2": (
        of_item(code="EPSG:0", wkt2="PROJCS[", projjson=PROJJSON),
        "proj:wkt2",
        "projjson",
    ),
    "asset before item": (of_asset(code="EPSG:None", wkt2=WKT), "proj:code", "proj:wkt2"),
    "no other CRS": (of_item(code="EPSG:None"), "proj:code", "the header"),
    "a damaged projjson": (of_item(code=None, projjson={"type": "?"}), "projjson", "the header"),
    "words for a shape": (of_asset(shape=["many", "more"]), "proj:shape", "the header"),
    "a side": (of_asset(shape=[SIDE]), "proj:shape", "the header"),
    "no pixels": (of_asset(shape=[0, SIDE]), "proj:shape", "the header"),
    "half a pixel": (of_asset(shape=[31.5, SIDE]), "proj:shape", "the header"),
    "no list": (of_asset(shape=32), "proj:shape", "the header"),
    "a shape from the box": (of_asset(shape=[-1, -1], bbox=BOX), "proj:shape", "proj:bbox"),
    "too short": (of_asset(transform=[10, 0, LEFT]), "proj:transform", "the header"),
    "zeros": (of_asset(transform=[0] * 6), "proj:transform", "the header"),
    "words": (of_asset(transform=["a"] * 6), "proj:transform", "the header"),
    "not affine": (
        of_asset(transform=[10, 0, LEFT, 0, -10, TOP, 1, 1, 1]),
        "proj:transform",
        "the header",
    ),
    "a transform from the box": (of_asset(transform=[], bbox=BOX), "proj:transform", "proj:bbox"),
    "pixels that are no squares": (
        of_asset(transform=[], bbox=[*BOX[:3], TOP + 10]),
        "proj:transform",
        "the header",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_grid_gives_way(tmp_path: Path, kind: str) -> None:
    """What is damaged gives way to the next field that is right, then to the file; a warning
    names the item, the field and what is taken."""
    right = scene(tmp_path)
    change, field, instead = DAMAGE[kind]
    damaged = copy.deepcopy(right.to_dict())
    change(damaged)
    wanted = qm.open_collection([right])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        opened = qm.open_collection([pystac.Item.from_dict(damaged, preserve_dict=True)])
    assert opened.identical(wanted)
    said = [w for w in caught if issubclass(w.category, UserWarning)]
    pattern = re.compile(rf"the item 'a' has .*{field}.*{instead}")
    assert any(pattern.search(str(w.message)) for w in said)
    assert {Path(w.filename).name for w in said} == {Path(__file__).name}


@pytest.mark.parametrize(
    "change",
    [
        of_asset(shape=[str(SIDE), str(SIDE)]),
        of_asset(shape=[float(SIDE), float(SIDE)]),
        of_asset(transform=["10", "0", str(LEFT), "0", "-10", str(TOP)]),
        of_asset(transform=[10, 0, LEFT, 0, -10, TOP, 0, 0, 1]),
        of_item(wkt2="never asked"),
        of_item(code=None, wkt2=WKT),
        of_item(code=None, epsg="32632"),
    ],
)
def test_what_is_clear_is_no_damage(tmp_path: Path, change: Change) -> None:
    """Numbers are numbers, though written as texts; a field that is not needed does not matter."""
    right = scene(tmp_path)
    other = copy.deepcopy(right.to_dict())
    change(other)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        opened = qm.open_collection([other])
    np.testing.assert_array_equal(opened["red"].values, qm.open_collection([right])["red"].values)


def without(*fields: str) -> Change:
    """A change that takes fields away, of the item and its assets."""

    def change(item: dict[str, Any]) -> None:
        for place in (item["properties"], *item["assets"].values()):
            for name in fields:
                place.pop(f"proj:{name}", None)

    return change


def without_extension(item: dict[str, Any]) -> None:
    """Take the projection extension away, and with it what its fields mean."""
    item["stac_extensions"] = [u for u in item["stac_extensions"] if "/projection/" not in u]
    without("code", "shape", "transform")(item)


MISSING: dict[str, Change] = {
    "a null code": of_item(code=None),
    "no code": without("code"),
    "a code alone": without("shape", "transform"),
    "null shape and transform": of_asset(shape=None, transform=None),
    "no shape": without("shape"),
    "no transform": without("transform"),
    "nothing": without("code", "shape", "transform"),
    "no extension": without_extension,
    "box and centroid alone": lambda item: (
        without("shape", "transform")(item)  # type: ignore[func-returns-value]
        or of_item(bbox=BOX, centroid={"lat": 48.7, "lon": 9.0})(item)
    ),
}


@pytest.mark.parametrize("kind", MISSING)
def test_a_grid_that_is_not_told_is_the_files(tmp_path: Path, kind: str) -> None:
    """What is missing or null is taken from the header, read once, and nothing is warned about;
    items beside it that tell all, and those for which a grid is given, stay unopened."""
    items = [scene(tmp_path, name, day=day) for day, name in enumerate("ab", 1)]
    wanted = qm.open_collection(items)
    silent = copy.deepcopy(items[1].to_dict())
    MISSING[kind](silent)
    opened: list[str] = []
    options: Any = {"patch_url": lambda address: opened.append(Path(address).name) or address}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        found = qm.open_collection([items[0], silent], bands=["red"], **options)
        assert opened.count("b.tif") == 1 + opened.count("a.tif")
        opened.clear()
        qm.open_collection([items[0], silent], bands=["red"], geobox=GRID, **options)
        qm.open_collection([items[0], silent], bands=["red"], crs=UTM32, resolution=10, **options)
        graph = opened.count("b.tif") - opened.count("a.tif")
    assert graph == 0
    assert found.odc.geobox == wanted.odc.geobox == GRID
    np.testing.assert_array_equal(found["red"].values, wanted["red"].values)


def test_assets_of_two_pixel_sizes_whose_grids_are_not_told(tmp_path: Path) -> None:
    """Each has the grid of its own file; the collection that of the finest."""
    item = scene(tmp_path)
    coarse = np.arange(256, dtype="uint16").reshape(16, 16) + 1
    other = write_tif(tmp_path / "coarse.tif", coarse, resolution=20)
    item.add_asset("nir", make_item("x", {"n": other}, "2020-07-01").assets["n"])
    silent = copy.deepcopy(item.to_dict())
    without("shape", "transform")(silent)
    opened = qm.open_collection([silent], bands=["nir", "red"])
    assert opened.odc.geobox == GRID
    np.testing.assert_array_equal(opened["nir"].values[0], coarse.repeat(2, 0).repeat(2, 1))


def test_an_asset_without_a_grid_beside_one_that_has_it(tmp_path: Path) -> None:
    """It is opened where it is asked for by name; else it may be no map."""
    item = scene(tmp_path)
    other = scene(tmp_path, "other", day=2).assets["red"]
    del other.extra_fields["proj:shape"]
    item.add_asset("nir", other)
    assert list(qm.open_collection([item]).data_vars) == ["red"]
    opened = qm.open_collection([item], bands=["red", "nir"])
    assert [int(opened[name].values[0, 0, 0]) for name in ("red", "nir")] == [1, 2]


@pytest.mark.parametrize("lost", ["the file", "its CRS"])
def test_a_missing_grid_that_nothing_tells(tmp_path: Path, lost: str) -> None:
    """The error names item, asset and file, and what to pass."""
    silent = scene(tmp_path).to_dict()
    without("shape", "transform")(silent)
    if lost == "the file":
        (tmp_path / "a.tif").unlink()
    else:
        write_tif(tmp_path / "a.tif", np.ones((SIDE, SIDE), "uint16"), crs=None)  # type: ignore
    told = r"item 'a' has no proj:.*asset 'red'.*a\.tif.*crs='EPSG:32633', resolution=.*geobox="
    with pytest.raises(ValueError, match=told):
        qm.open_collection([silent])


def test_a_crs_without_a_code(tmp_path: Path) -> None:
    """MODIS as some catalogues have it: ``EPSG:None`` beside the sinusoidal projection."""
    item = scene(tmp_path, crs=SINUSOIDAL)
    item.properties |= {"proj:code": "EPSG:None", "proj:wkt2": SINUSOIDAL}
    with pytest.warns(UserWarning, match="'EPSG:None', which is no CRS; proj:wkt2 is taken"):
        opened = qm.open_collection([item])
    assert opened.sizes == {"time": 1, "y": SIDE, "x": SIDE}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        given = qm.open_collection([item], crs=SINUSOIDAL, resolution=10)
    np.testing.assert_array_equal(opened["red"].values, given["red"].values)


def test_damage_is_told_once(tmp_path: Path) -> None:
    """One warning for a hundred items; among items that are right, each keeps its own grid."""
    items = [scene(tmp_path, name, day=day) for day, name in enumerate("abc", 1)]
    for item in items[1:]:
        item.properties |= {"proj:code": "EPSG:None", "proj:wkt2": WKT}
    with pytest.warns(UserWarning, match=r"'b' .*2 of 3 items") as caught:
        opened = qm.open_collection(items)
    assert len([w for w in caught if issubclass(w.category, UserWarning)]) == 1
    assert [int(opened["red"].values[i, 0, 0]) for i in range(3)] == [1, 2, 3]
    assert items[1].properties["proj:code"] == "EPSG:None"  # what was given is left alone


@pytest.mark.parametrize("lost", ["the file", "its CRS"])
def test_a_grid_that_nothing_tells(tmp_path: Path, lost: str) -> None:
    """The error names item, field and file; a grid of the user's is enough."""
    item = scene(tmp_path)
    item.properties["proj:code"] = "EPSG:None"
    path = Path(item.assets["red"].href)
    pixels = np.full((SIDE, SIDE), 5, "uint16")
    if lost == "the file":
        path.unlink()
    else:
        write_tif(path, pixels, crs=None)  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"'a' has proj:code = 'EPSG:None'.*a\.tif.*crs='EPSG:32633', resolution="
    ):
        qm.open_collection([item])
    write_tif(path, pixels)
    for grid in ({"geobox": GRID}, {"crs": UTM32, "resolution": 10}):
        opened = qm.open_collection([item], **grid)
        assert (opened["red"].values == 5).any()


def test_one_asset_is_damaged_and_the_other_not(tmp_path: Path) -> None:
    """The damage of an asset that is not opened does not matter; none is left out unsaid."""
    item = scene(tmp_path)
    other = scene(tmp_path, "other").assets["red"]
    other.extra_fields["proj:shape"] = "?"
    item.add_asset("nir", other)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert list(qm.open_collection([item], bands=["red"]).data_vars) == ["red"]
    with pytest.warns(UserWarning, match="proj:shape"):
        assert list(qm.open_collection([item]).data_vars) == ["red", "nir"]


def test_grids_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many pixels that their chunks alone could not be listed are refused before they are."""
    item = scene(tmp_path)
    item.assets["red"].extra_fields["proj:shape"] = [1_000_000, 1_000_000]
    monkeypatch.setattr(odc.stac, "load", lambda *a, **k: pytest.fail("the chunks were listed"))
    with pytest.raises(ValueError, match=r"1000000 × 1000000 pixels .* 239121 chunks.*chunks=\{"):
        qm.open_collection([item])
    monkeypatch.undo()
    with pytest.raises(ValueError, match="chunks of 2048"):
        qm.open_collection([scene(tmp_path)], crs="EPSG:4326", resolution=1e-9)
    wide = GeoBox((10**6, 10**6), from_origin(*CORNER, 10, 10), UTM32)
    with pytest.raises(ValueError, match="are not opened"):
        qm.open_collection(
            [str(tmp_path / "a.tif")],
            geobox=wide,
            resampling="nearest",
            time=lambda _: "2020-07-01",
        )
    large = qm.open_collection([item], chunks={"y": 100_000, "x": 100_000})
    assert large["red"].shape == (1, 10**6, 10**6)


# ---------------------------------------------------------------------------------------------
# Addresses
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allow", "address", "passes"),
    [
        ("https://good.org", "https://good.org/a.tif", True),
        ("https://good.org", "HTTPS://Good.ORG/a.tif", True),
        ("https://good.org/", "https://good.org/deep/a.tif?sig=1", True),
        ("https://good.org/data", "https://good.org/data/a.tif", True),
        ("https://good.org/data", "https://good.org/database/a.tif", False),
        ("https://good.org", "https://good.org.evil.com/a.tif", False),
        ("https://good.org", "https://good.org@evil.com/a.tif", False),
        ("https://good.org/data", "https://good.org/data/../secret/a.tif", False),
        ("https://good.org/data", "https://good.org/data/%2e%2e/secret/a.tif", False),
        ("https://good.org", "http://good.org/a.tif", False),
        ("https://good.org", "/vsicurl/https://good.org/a.tif", False),
        (["s3://bucket", "/data/"], "s3://bucket/a.tif", True),
        (["s3://bucket", "/data/"], "/data/a.tif", True),
        (["s3://bucket", "/data/"], "/data/../etc/a.tif", False),
        (["s3://bucket", "/data/"], "file:///data/a.tif", False),
        (["https://"], "file:///etc/passwd", False),
        ([], "https://good.org/a.tif", False),
        (lambda address: address.endswith("a.tif"), "/anywhere/a.tif", True),
        (lambda address: address.endswith("a.tif"), "/anywhere/b.tif", False),
    ],
)
def test_addresses_that_may_be_opened(allow: Any, address: str, passes: bool) -> None:
    """Nothing is opened whose address does not begin as it was allowed, in whole parts."""
    item = make_item("a", {"red": address}, "2020-07-01", declared=RED)
    if passes:
        assert list(qm.open_collection([item], allow=allow).data_vars) == ["red"]
        return
    with pytest.raises(ValueError, match=r"asset 'red' of the item 'a' is at .*allow=") as caught:
        qm.open_collection([item], allow=allow)
    assert address in str(caught.value)


def test_refused_before_anything_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No header is read as long as one of the files is not allowed; other assets do not matter."""
    items = [scene(tmp_path, name, day=day) for day, name in enumerate("ab", 1)]
    for item in items:
        del item.assets["red"].extra_fields["raster:bands"]
    items[1].add_asset("secret", make_item("x", {"s": "/etc/x.tif"}, "2020-07-01").assets["s"])
    opened: list[str] = []
    options = {
        "allow": str(tmp_path),
        "patch_url": lambda address: opened.append(address) or address,
    }
    with pytest.raises(ValueError, match="'secret' of the item 'b'"):
        qm.open_collection(items, missing="mask", **options)
    assert opened == []
    assert list(qm.open_collection(items, bands=["red"], **options).data_vars) == ["red"]
    assert opened


@pytest.mark.parametrize("allow", [5, [5], "", [""], {"a": 1}])
def test_what_is_no_filter_of_addresses(tmp_path: Path, allow: Any) -> None:
    """A filter that filters nothing, or cannot be one, is refused."""
    with pytest.raises(TypeError, match="no filter of addresses"):
        qm.open_collection([scene(tmp_path)], allow=allow)


def test_files_of_this_machine_in_an_item_of_the_web(tmp_path: Path) -> None:
    """A path that is a file is that file, though the item says that it is on the web."""
    item = scene(tmp_path)
    item.set_self_href("https://example.org/items/a.json")
    item.assets["red"].href = str(tmp_path / "a.tif")
    opened = qm.open_collection([item])
    np.testing.assert_array_equal(opened["red"].values[0, 0], np.arange(1, SIDE + 1))
    item.assets["red"].href = "/not/here.tif"
    with pytest.warns(
        UserWarning, match=r"'/not/here\.tif', which is no file here.*'https://example\.org/not/"
    ) as caught:
        qm.open_collection([item])
    assert Path(caught[0].filename).name == Path(__file__).name


def test_a_copy_on_disk_with_its_files_beside_it(tmp_path: Path) -> None:
    """An item that was saved with its files means these, whatever its self link says."""
    item = scene(tmp_path)
    item.set_self_href("https://example.org/items/a.json")
    item.assets["red"].href = "./a.tif"
    item.save_object(dest_href=str(tmp_path / "a.json"), include_self_link=True)
    opened = qm.open_collection(tmp_path / "a.json")
    np.testing.assert_array_equal(opened["red"].values[0, 0], np.arange(1, SIDE + 1))
    (tmp_path / "a.tif").unlink()
    moved = qm.open_collection(tmp_path / "a.json", allow="https://example.org/items/")
    assert list(moved.data_vars) == ["red"]

"""ee.register: bands and properties get Earth Engine's names; single images, assets, images of
collections.

What a band or property is called there is written here from the pages of its catalogue; the items
are made as the catalogues of STAC have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import qmosaic as qm
from qmosaic import ee
from qmosaic.ee import catalog
from qmosaic.ee.catalog import resolve
from qmosaic.ee.datasets import known, plain_name
from qmosaic.ee.datasets.ids import KNOWN
from tests.support.rasters import make_item, write_tif
from tests.support.sources import Forbidden

SIDE = 32
DAYS = np.array(["2020-07-01", "2020-07-11"], "M8[ns]")


@pytest.fixture(autouse=True)
def _ids_of_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(catalog, "_known", {})


def images(*names: str, **properties: Any) -> xr.Dataset:
    """A collection of two images, whose pixels tell the band."""
    bands = {n: (("time", "y", "x"), np.full((2, 2, 3), i, "uint8")) for i, n in enumerate(names)}
    return xr.Dataset(bands, {"time": DAYS, **{n: ("time", v) for n, v in properties.items()}})


def item(
    folder: Path,
    name: str,
    assets: Mapping[str, int],
    time: str = "2020-07-01T10:00:00Z",
    names: Mapping[str, Mapping[str, str]] | None = None,
    **properties: Any,
) -> Any:
    """An item of STAC with files of one value each; `names` is what ``eo:bands`` says."""
    paths = {
        asset: write_tif(folder / f"{name}_{asset}.tif", np.full((SIDE, SIDE), value, "uint16"))
        for asset, value in assets.items()
    }
    said = {asset: {"data_type": "uint16", "nodata": 0} for asset in assets}
    made = make_item(name, paths, time, declared=said, **properties)
    for asset, own in (names or {}).items():
        made.assets[asset].extra_fields["eo:bands"] = [dict(own)]
    return made


def bands(asset_id: str) -> list[str]:
    return list(ee.ImageCollection(asset_id).first().bandNames())


def values(asset_id: str) -> dict[str, list[int]]:
    """The value of each band in each image, of which all pixels have one."""
    dataset = ee.ImageCollection(asset_id).dataset
    return {str(n): [int(np.unique(i)[0]) for i in b.values] for n, b in dataset.items()}


# -- names of bands --------------------------------------------------------------------------------

TM = ["SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7"]
COMMON = ["blue", "green", "red", "nir08", "swir16", "swir22"]


@pytest.mark.parametrize(
    ("asset_id", "there", "wanted"),
    [
        (
            "COPERNICUS/S2_SR_HARMONIZED",
            ["B01", "B02", "B8A", "B09", "B12", "AOT", "scl", "wvp"],
            ["B1", "B2", "B8A", "B9", "B12", "AOT", "SCL", "WVP"],
        ),
        (
            "COPERNICUS/S2_SR",
            ["coastal", "red", "rededge1", "rededge3", "nir", "nir08", "nir09", "swir16"],
            ["B1", "B4", "B5", "B7", "B8", "B8A", "B9", "B11"],
        ),
        ("COPERNICUS/S2", ["B10", "cirrus_mask", "QA60"], ["B10", "cirrus_mask", "QA60"]),
        ("COPERNICUS/S2_SR", ["cloud", "B4", "ndvi"], ["cloud", "B4", "ndvi"]),
        ("GOOGLE/CLOUD_SCORE_PLUS/V1/S2_HARMONIZED", ["CS", "cs_cdf"], ["cs", "cs_cdf"]),
        ("COPERNICUS/S1_GRD", ["vv", "vh", "angle"], ["VV", "VH", "angle"]),
        ("LANDSAT/LT05/C02/T1_L2", [*COMMON, "lwir"], [*TM, "ST_B6"]),
        ("LANDSAT/LT04/C02/T2_L2", COMMON, TM),
        ("LANDSAT/LE07/C02/T1_L2", [*COMMON, "qa_pixel"], [*TM, "QA_PIXEL"]),
        (
            "LANDSAT/LC08/C02/T1_L2",
            ["coastal", *COMMON, "lwir11", "qa_radsat"],
            [*(f"SR_B{number}" for number in range(1, 8)), "ST_B10", "QA_RADSAT"],
        ),
        (
            "LANDSAT/LC09/C02/T1_TOA",
            ["coastal", *COMMON, "pan", "cirrus", "lwir11", "lwir12"],
            [f"B{number}" for number in range(1, 12)],
        ),
        ("LANDSAT/LT05/C02/T1_TOA", ["red", "lwir", "B7"], ["B3", "B6", "B7"]),
        ("LANDSAT/LE07/C02/T1", ["red", "pan", "B6_VCID_1"], ["B3", "B8", "B6_VCID_1"]),
        (
            "MODIS/061/MOD13Q1",
            ["250m 16 days NDVI", "250m_16_days_VI_Quality", "250m_16_days_NIR_reflectance"],
            ["NDVI", "DetailedQA", "sur_refl_b02"],
        ),
        ("MODIS/006/MYD13A2", ["1_km_16_days_pixel_reliability"], ["SummaryQA"]),
        (
            "MODIS/061/MOD09GA",
            ["sur_refl_b01_1", "sur_refl_b07_1", "state_1km_1", "num_observations_500m"],
            ["sur_refl_b01", "sur_refl_b07", "state_1km", "num_observations_500m"],
        ),
        (
            "MODIS/061/MYD09A1",
            ["sur_refl_b01", "sur_refl_state_500m", "sur_refl_day_of_year"],
            ["sur_refl_b01", "StateQA", "DayOfYear"],
        ),
        ("MODIS/061/MOD11A1", ["LST_Day_1km", "Day_view_angl"], ["LST_Day_1km", "Day_view_angle"]),
        ("MODIS/061/MOD11A2", ["Day_view_angl", "QC_Day"], ["Day_view_angl", "QC_Day"]),
        ("MODIS/061/MCD64A1", ["Burn_Date", "QA"], ["BurnDate", "QA"]),
        ("MY/OWN", ["red", "B04"], ["red", "B04"]),
    ],
)
def test_bands_get_the_names_of_their_collection(
    asset_id: str, there: list[str], wanted: list[str]
) -> None:
    """Names of catalogues and files become those of Earth Engine's page; one that is such a name
    already stays, and so does one of which nothing is known. The pixels stay with their band."""
    ee.register(asset_id, images(*there))
    assert bands(asset_id) == wanted
    assert values(asset_id) == {name: [i, i] for i, name in enumerate(wanted)}


@pytest.mark.parametrize("asset_id", sorted(KNOWN))
def test_no_name_means_two_bands(asset_id: str) -> None:
    """In a table no name stands twice, and a name of Earth Engine means that band."""
    table = known(asset_id)
    assert table is not None
    for names in (table.bands, table.assets):
        others = [plain_name(other) for others in names.values() for other in others]
        assert len(set(others)) == len(others)
    assert set(table.assets) <= set(table.bands)
    assert all(table.names(True)[plain_name(name)] == name for name in table.bands)


def test_two_bands_of_one_name(tmp_path: Path) -> None:
    """They are refused: which two, why, what to write; of a Dataset when it is registered."""
    message = "'B04' and 'red' would both be called 'B4'.*cannot have two.*bands="
    with pytest.raises(ValueError, match=message):
        ee.register("COPERNICUS/S2_SR", images("B04", "red"))
    ee.register("COPERNICUS/S2_SR", images("B04", "red"), bands={"red": "B4"})
    assert values("COPERNICUS/S2_SR") == {"B4": [1, 1]}
    with pytest.raises(ValueError, match="'a' and 'b' would both be called 'c'"):
        ee.register("MY/OWN", images("a", "b"), bands={"a": "c", "b": "c"})
    ee.register("COPERNICUS/S2_SR", [item(tmp_path, "a", {"B04": 1, "red": 2})])
    with pytest.raises(ValueError, match=r"the STAC item 'a'.*'B04' and 'red' would both"):
        ee.ImageCollection("COPERNICUS/S2_SR")


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (["B8", "B4"], ["B8", "B4"]),
        (["red", "cloud"], ["B4", "cloud"]),
        ("B8", ["B8"]),
        ({"red": "R", "nir": "N"}, ["R", "N"]),
        ({"cloud": "MSK_CLDPRB"}, ["MSK_CLDPRB"]),
        (None, ["B4", "B8", "cloud"]),
    ],
)
@pytest.mark.parametrize("form", ["dataset", "zarr", "mosaic", "stac"])
def test_bands_that_are_asked_for(tmp_path: Path, form: str, asked: Any, wanted: list[str]) -> None:
    """By the names of Earth Engine or of the source, in that order; a mapping gives them others.
    Of STAC items the bands that are known are opened where none are asked for."""
    there = images("red", "nir", "cloud").chunk(time=1)
    source: Any = there
    if form == "zarr":
        source = tmp_path / "s2.zarr"
        there.to_zarr(source, consolidated=False)
    elif form == "mosaic":
        source = tmp_path / "s2.zarr"
        qm.to_zarr(there, source)
    elif form == "stac":
        source = [item(tmp_path, "a", {"red": 1, "nir": 2, "cloud": 3, "visual": 4})]
        wanted = ["B4", "B8", "MSK_CLDPRB"] if asked is None else wanted
        wanted = [{"cloud": "MSK_CLDPRB"}.get(name, name) for name in wanted]
    options = {"nodata": {"cloud": None}} if form == "stac" and "cloud" in str(asked) else {}
    ee.register("COPERNICUS/S2_SR", source, bands=asked, **options)
    if form == "zarr" and asked is None:
        wanted = sorted(wanted, key=["cloud", "B8", "B4"].index)  # a store lists them by name
    if form == "stac" and asked is None:
        with pytest.warns(UserWarning, match="'cloud' declares nodata = 0"):
            ee.ImageCollection("COPERNICUS/S2_SR")
    assert bands("COPERNICUS/S2_SR") == wanted


def test_a_band_that_is_not_there(tmp_path: Path) -> None:
    """The names that are there, and the one that may be meant; numbers are no names."""
    with pytest.raises(KeyError, match="no band 'B9'; there are 'B4'"):
        ee.register("COPERNICUS/S2_SR", images("red"), bands=["B9"])
    images("red").to_zarr(tmp_path / "s2.zarr", consolidated=False)
    ee.register("COPERNICUS/S2_SR", tmp_path / "s2.zarr", bands=["B9"])
    with pytest.raises(KeyError, match="no band 'B9'; there are 'B4'"):
        ee.ImageCollection("COPERNICUS/S2_SR")
    with pytest.raises(TypeError, match=r"bands=5, which names no bands.*\{'B04': 'B4'"):
        ee.register("COPERNICUS/S2_SR", images("red"), bands=5)  # type: ignore[arg-type]


def test_a_band_that_is_called_like_a_property() -> None:
    """Both keep the name, as bands and properties are two namespaces."""
    source = images("red").assign_coords(B4=("time", [7, 8]))
    ee.register("COPERNICUS/S2_SR", source)
    collection = ee.ImageCollection("COPERNICUS/S2_SR")
    assert collection.aggregate_array("B4").getInfo() == [7, 8]
    assert bands("COPERNICUS/S2_SR") == ["B4"]


# -- STAC items ------------------------------------------------------------------------------------


def test_items_of_two_catalogues(tmp_path: Path) -> None:
    """Planetary Computer's ``B04`` and Earth Search's ``red`` are the same band of one collection;
    pictures and thumbnails are no bands of it."""
    of_one = {"B04": {"name": "B04", "common_name": "red"}}
    items = [
        item(tmp_path, "a", {"B04": 10, "visual": 3}, names=of_one),
        item(tmp_path, "b", {"red": 20, "visual": 3}, "2020-07-02T10:00:00Z"),
    ]
    ee.register("COPERNICUS/S2_SR", items)
    assert values("COPERNICUS/S2_SR") == {"B4": [10, 20]}


def test_an_asset_goes_before_a_band_of_that_name(tmp_path: Path) -> None:
    """Copernicus Data Space has a band in several resolutions: that in which it was taken is meant,
    though the others have the name of the band too."""
    named = {key: {"name": "B01"} for key in ("B01_20m", "B01_60m")}
    ee.register(
        "COPERNICUS/S2_SR", [item(tmp_path, "a", {"B01_20m": 1, "B01_60m": 2}, names=named)]
    )
    assert values("COPERNICUS/S2_SR") == {"B1": [2]}


def test_a_band_that_some_items_lack_is_masked_there(tmp_path: Path) -> None:
    """As the page of Landsat says it of ST bands of products without temperatures."""
    items = [
        item(tmp_path, "a", {"red": 10, "lwir11": 7}),
        item(tmp_path, "b", {"red": 20}, "2020-07-02T10:00:00Z"),
    ]
    ee.register("LANDSAT/LC08/C02/T1_L2", items)
    assert values("LANDSAT/LC08/C02/T1_L2") == {"SR_B4": [10, 20], "ST_B10": [7, 0]}
    assert ee.ImageCollection("LANDSAT/LC08/C02/T1_L2").dataset["ST_B10"].attrs["_FillValue"] == 0


def landsat(folder: Path, mission: str, tier: str, day: int, **more: Any) -> Any:
    """An item as Planetary Computer's collection landsat-c2-l2 has it."""
    sensor = {"5": "LT05", "8": "LC08"}[mission]
    return item(
        folder,
        f"{sensor}_L2SP_044034_202007{day:02}_02_{tier}",
        {"red": int(mission) * 10 + day},
        f"2020-07-{day:02}T18:00:00Z",
        **{
            "platform": f"landsat-{mission}",
            "instruments": ["tm"] if mission == "5" else ["oli", "tirs"],
            "eo:cloud_cover": 12.5,
            "view:sun_azimuth": 130.25,
            "view:sun_elevation": 60.5,
            "landsat:wrs_path": "044",
            "landsat:wrs_row": "034",
            "landsat:collection_category": tier,
            "landsat:collection_number": "02",
            "landsat:cloud_cover_land": 3,
            "landsat:correction": "L2SP",
            **more,
        },
    )


def test_a_search_for_landsat_has_images_of_several_collections(tmp_path: Path) -> None:
    """Each id takes those of its satellite and tier; where there are none the error says what
    the items have."""
    found = [
        landsat(tmp_path, "5", "T1", 1),
        landsat(tmp_path, "8", "T1", 2),
        landsat(tmp_path, "8", "T2", 3),
    ]
    wanted = {
        "LANDSAT/LT05/C02/T1_L2": {"SR_B3": [51]},
        "LANDSAT/LC08/C02/T1_L2": {"SR_B4": [82]},
        "LANDSAT/LC08/C02/T2_L2": {"SR_B4": [83]},
    }
    for asset_id, pixels in wanted.items():
        ee.register(asset_id, found)
        assert values(asset_id) == pixels
    ee.register("LANDSAT/LE07/C02/T1_L2", found)
    with pytest.raises(
        ValueError, match=r"none of 3 STAC items.*= 'landsat-7'.*landsat-5, landsat-8"
    ):
        ee.ImageCollection("LANDSAT/LE07/C02/T1_L2")


def test_harmonized_collections(tmp_path: Path) -> None:
    """Images of processing baseline 04.00 are shifted to the range of those before; not under the
    id of a collection that is not harmonized, whose pixels are all in the range of the later."""
    items = [
        item(tmp_path, "a", {"B04": 500}, **{"s2:processing_baseline": "02.14"}),
        item(
            tmp_path,
            "b",
            {"B04": 1600},
            "2022-07-01T10:00:00Z",
            **{"s2:processing_baseline": "04.00"},
        ),
    ]
    for one in items:
        one.properties["platform"] = "sentinel-2a"
    ee.register("COPERNICUS/S2_SR_HARMONIZED", items)
    assert values("COPERNICUS/S2_SR_HARMONIZED") == {"B4": [500, 600]}
    ee.register("COPERNICUS/S2_SR", items)
    assert values("COPERNICUS/S2_SR") == {"B4": [1500, 1600]}
    ee.register("COPERNICUS/S2_SR_HARMONIZED", items, harmonize="lossless")
    assert values("COPERNICUS/S2_SR_HARMONIZED") == {"B4": [1500, 1600]}


# -- properties ------------------------------------------------------------------------------------


def test_properties_of_sentinel_2(tmp_path: Path) -> None:
    """Those of STAC become Earth Engine's: names, a zenith angle for an elevation, capitals. Those
    by which the package itself knows images stay."""
    items = [
        item(
            tmp_path,
            "S2A_33UUP",
            {"B04": 1},
            platform="sentinel-2a",
            **{
                "eo:cloud_cover": 12.5,
                "view:sun_azimuth": 160.5,
                "view:sun_elevation": 55.5,
                "s2:mgrs_tile": "33UUP",
                "sat:relative_orbit": 22,
                "sat:orbit_state": "descending",
                "s2:processing_baseline": "02.14",
                "s2:product_uri": "S2A_MSIL2A_20200701T100031_N0214_R122_T33UUP_2020.SAFE",
                "s2:nodata_pixel_percentage": 0.5,
            },
        ),
        item(
            tmp_path,
            "S2B_33UUQ",
            {"B04": 1},
            "2020-07-02T10:00:00Z",
            platform="Sentinel-2B",
            **{
                "eo:cloud_cover": 50,
                "s2:mean_solar_zenith": 33.25,
                "grid:code": "MGRS-33UUQ",
                "s2:processing_baseline": "02.14",
            },
        ),
    ]
    ee.register("COPERNICUS/S2_SR_HARMONIZED", items)
    collection = ee.ImageCollection("COPERNICUS/S2_SR_HARMONIZED")
    wanted = {
        "CLOUDY_PIXEL_PERCENTAGE": [12.5, 50],
        "MGRS_TILE": ["33UUP", "33UUQ"],
        "SPACECRAFT_NAME": ["Sentinel-2A", "Sentinel-2B"],
        "PROCESSING_BASELINE": ["02.14", "02.14"],
        "SENSING_ORBIT_DIRECTION": ["DESCENDING", ""],
        "PRODUCT_ID": ["S2A_MSIL2A_20200701T100031_N0214_R122_T33UUP_2020", ""],
        "system:index": ["S2A_33UUP", "S2B_33UUQ"],
        "system:time_start": [1593597600000, 1593684000000],
        "platform": ["sentinel-2a", "Sentinel-2B"],
        "cloud_cover": [12.5, 50],
    }
    for name, values_of_images in wanted.items():
        assert collection.aggregate_array(name).getInfo() == values_of_images, name
    first = collection.first()
    numbers = ("MEAN_SOLAR_AZIMUTH_ANGLE", "SENSING_ORBIT_NUMBER", "NODATA_PIXEL_PERCENTAGE")
    assert [first.get(name).getInfo() for name in numbers] == [160.5, 22, 0.5]
    tile = collection.filter(ee.Filter.eq("MGRS_TILE", "33UUQ"))
    assert tile.aggregate_array("id").getInfo() == ["S2B_33UUQ"]
    copied = ee.Image(1).copyProperties(first, ["SPACECRAFT_NAME", "CLOUDY_PIXEL_PERCENTAGE"])
    assert copied.get("SPACECRAFT_NAME").getInfo() == "Sentinel-2A"
    assert copied.get("CLOUDY_PIXEL_PERCENTAGE").getInfo() == 12.5


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"view:sun_elevation": [30.0, 55.5]}, [60.0, 34.5]),
        ({"s2:mean_solar_zenith": [33.25, 40.0], "view:sun_elevation": [30.0, 55.5]}, [33.25, 40]),
        ({"MEAN_SOLAR_ZENITH_ANGLE": [1.0, 2.0], "view:sun_elevation": [30.0, 55.5]}, [1, 2]),
    ],
)
def test_properties_of_a_dataset(told: dict[str, Any], wanted: list[float]) -> None:
    """Coordinates that are called as in STAC tell them too; a property that is there stays."""
    ee.register("COPERNICUS/S2_SR", images("B4", **told))
    found = ee.ImageCollection("COPERNICUS/S2_SR").aggregate_array("MEAN_SOLAR_ZENITH_ANGLE")
    assert found.getInfo() == wanted


def test_properties_of_landsat(tmp_path: Path) -> None:
    """Path and row are numbers, the index is that of Earth Engine; what cannot be understood is not
    known, and hinders nothing."""
    items = [
        landsat(tmp_path, "8", "T1", 2),
        landsat(tmp_path, "8", "T1", 18, **{"landsat:wrs_path": "west"}),
    ]
    ee.register("LANDSAT/LC08/C02/T1_L2", items)
    first = ee.ImageCollection("LANDSAT/LC08/C02/T1_L2").first()
    wanted = {
        "system:index": "LC08_044034_20200702",
        "CLOUD_COVER": 12.5,
        "CLOUD_COVER_LAND": 3,
        "SUN_AZIMUTH": 130.25,
        "SUN_ELEVATION": 60.5,
        "WRS_PATH": 44,
        "WRS_ROW": 34,
        "SPACECRAFT_ID": "LANDSAT_8",
        "SENSOR_ID": "OLI_TIRS",
        "COLLECTION_CATEGORY": "T1",
        "COLLECTION_NUMBER": 2,
        "PROCESSING_LEVEL": "L2SP",
        "id": "LC08_L2SP_044034_20200702_02_T1",
    }
    assert {name: first.get(name).getInfo() for name in wanted} == wanted
    paths = ee.ImageCollection("LANDSAT/LC08/C02/T1_L2").dataset["WRS_PATH"].values
    np.testing.assert_array_equal(paths, [44, np.nan])


@pytest.mark.filterwarnings("ignore:.*vlen-utf8")  # texts, in the oldest Zarr supported
def test_properties_of_sentinel_1(tmp_path: Path) -> None:
    """The polarisations are a list for each image; the pass is in capitals."""
    said = {
        "platform": "SENTINEL-1A",
        "constellation": "sentinel-1",
        "sar:instrument_mode": "IW",
        "sar:polarizations": ["VV", "VH"],
        "sar:product_type": "GRD",
        "sat:orbit_state": "ascending",
        "sat:relative_orbit": 59,
        "sat:absolute_orbit": 39156,
        "s1:resolution": "high",
        "end_datetime": "2020-07-01T10:00:25.5Z",
    }
    single = {**said, "sar:polarizations": ["VV"], "sat:orbit_state": "descending"}
    items = [
        item(tmp_path, "a", {"vv": 1, "vh": 2}, **said),
        item(tmp_path, "b", {"vv": 3}, "2020-07-02T10:00:00Z", **single),
    ]
    ee.register("COPERNICUS/S1_GRD", items)
    collection = ee.ImageCollection("COPERNICUS/S1_GRD")
    wanted = {
        "instrumentMode": ["IW", "IW"],
        "orbitProperties_pass": ["ASCENDING", "DESCENDING"],
        "transmitterReceiverPolarisation": [["VV", "VH"], ["VV"]],
        "relativeOrbitNumber_start": [59, 59],
        "orbitNumber_start": [39156, 39156],
        "platform_number": ["A", "A"],
        "productType": ["GRD", "GRD"],
        "resolution": ["H", "H"],
        "familyName": ["SENTINEL-1", "SENTINEL-1"],
        "system:time_end": [1593597625500, 1593597625500],
    }
    for name, values_of_images in wanted.items():
        assert collection.aggregate_array(name).getInfo() == values_of_images, name
    assert values("COPERNICUS/S1_GRD") == {"VV": [1, 3], "VH": [2, 0]}
    first = collection.first()
    assert first.get("transmitterReceiverPolarisation").getInfo() == ["VV", "VH"]
    qm.to_zarr(first.dataset, tmp_path / "first.zarr")


def test_properties_of_an_own_id(tmp_path: Path) -> None:
    """Of a collection of which nothing is known, STAC's stay; more can be asked for."""
    one = item(tmp_path, "a", {"red": 1}, **{"eo:cloud_cover": 5, "s2:mgrs_tile": "33UUP"})
    ee.register("MY/OWN", [one], properties="s2:mgrs_tile")
    collection = ee.ImageCollection("MY/OWN")
    assert collection.aggregate_array("s2:mgrs_tile").getInfo() == ["33UUP"]
    assert collection.aggregate_array("CLOUDY_PIXEL_PERCENTAGE").getInfo() == [5]
    ee.register("COPERNICUS/S2_SR", [one], properties=["s2:mgrs_tile"])
    kept = ee.ImageCollection("COPERNICUS/S2_SR")
    assert kept.aggregate_array("s2:mgrs_tile").getInfo() == ["33UUP"]


# -- single images ---------------------------------------------------------------------------------


def elevation() -> np.ndarray:
    return np.arange(SIDE * SIDE, dtype="int16").reshape(SIDE, SIDE)


def test_single_images(tmp_path: Path) -> None:
    """A Dataset without time, a GeoTIFF of which nothing tells the time, a Zarr store without
    times: an image, with integers and nodata as they are stored. A GeoTIFF's bands without names
    are called as in Earth Engine."""
    write_tif(tmp_path / "dem.tif", elevation(), nodata=-1)
    ee.register("MY/DEM", tmp_path / "dem.tif")
    of_file = resolve("MY/DEM", "ee.Image")
    assert (list(of_file), of_file["b1"].dims, of_file["b1"].dtype) == (["b1"], ("y", "x"), "int16")
    assert of_file["b1"].attrs["_FillValue"] == -1
    np.testing.assert_array_equal(of_file["b1"].values, elevation())
    bare = of_file.rename(b1="elevation").reset_coords(["id", "footprint"], drop=True)
    bare.to_zarr(tmp_path / "dem.zarr", consolidated=False)
    ee.register("MY/STORE", tmp_path / "dem.zarr")
    bare.to_netcdf(tmp_path / "dem.nc")
    ee.register("MY/NETCDF", tmp_path / "dem.nc")
    ee.register("MY/DATASET", bare)
    ee.register("MY/RENAMED", tmp_path / "dem.tif", bands={"band_1": "z"})
    for asset_id in ("STORE", "NETCDF", "DATASET", "RENAMED"):
        found = resolve(f"MY/{asset_id}", "ee.Image")
        band = "z" if asset_id == "RENAMED" else "elevation"
        assert list(found) == [band]
        np.testing.assert_array_equal(found[band].values, elevation())
    assert list(resolve(str(tmp_path / "dem.tif"), "ee.Image")) == ["b1"]
    with pytest.raises(ValueError, match=r"is a single image.*Write ee\.Image\('MY/DEM'\)"):
        ee.ImageCollection("MY/DEM")
    with pytest.raises(ValueError, match="nothing tells when"):
        qm.open_collection(tmp_path / "dem.tif")


def test_several_files_without_times(tmp_path: Path) -> None:
    """They may be an image, if each has other bands; else nothing tells what they are."""
    for band in ("red", "nir"):
        write_tif(tmp_path / f"{band}.tif", elevation(), names=[band])
    ee.register("MY/IMAGE", tmp_path)
    assert set(resolve("MY/IMAGE", "ee.Image")) == {"red", "nir"}
    for name in ("a", "b"):
        write_tif(tmp_path / "same" / f"{name}.tif", elevation(), names=["red"])
    ee.register("MY/IMAGES", tmp_path / "same")
    with pytest.raises(ValueError, match=r"nothing tells when.*time="):
        resolve("MY/IMAGES", "ee.Image")


def test_an_image_and_a_collection_are_told_apart(tmp_path: Path) -> None:
    """Where one is asked for and the other is registered, the error says what to write; a
    collection of one image, such as a GeoTIFF with a date, is that image too."""
    ee.register("MY/IMAGES", images("a"))
    with pytest.raises(ValueError, match=r"collection of 2 images.*ee\.Image\('MY/IMAGES/INDEX'\)"):
        resolve("MY/IMAGES", "ee.Image")
    write_tif(tmp_path / "S2_20200701.tif", elevation(), names=["red"])
    ee.register("MY/SCENE", tmp_path / "S2_20200701.tif")
    assert resolve("MY/SCENE", "ee.Image")["red"].dims == ("y", "x")
    assert ee.ImageCollection("MY/SCENE").size().getInfo() == 1


def test_an_image_of_a_collection() -> None:
    """By the id of the collection and its index there; one that is not there is told from an id
    that nobody knows."""
    ee.register("MY/IMAGES", images("a", id=["S2_1", "S2_2"]))
    found = resolve("MY/IMAGES/S2_2", "ee.Image")
    assert found["time"].values == DAYS[1]
    assert str(found["id"].values) == "S2_2"
    ee.register(
        "LANDSAT/LC08/C02/T1_TOA", images("B4", id=["LC08_L1TP_044034_20140318_02_T1", "b"])
    )
    found = resolve("LANDSAT/LC08/C02/T1_TOA/LC08_044034_20140318", "ee.Image")
    assert found["time"].values == DAYS[0]
    with pytest.raises(KeyError, match=r"none of the 2 images.*Did you mean 'S2_2'"):
        resolve("MY/IMAGES/S2_22", "ee.Image")
    ee.register("MY/IMAGE", images("a").isel(time=0, drop=True))
    with pytest.raises(KeyError, match=r"registered as a single image.*ee\.Image\('MY/IMAGE'\)"):
        resolve("MY/IMAGE/S2_2", "ee.Image")
    with pytest.raises(KeyError, match=r"ee\.Image\('MY/IMAGS'\).*Did you mean 'MY/IMAGE"):
        resolve("MY/IMAGS", "ee.Image")


# -- assets ----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*vlen-utf8")  # texts, in the oldest Zarr supported
def test_a_mosaic_that_was_written(tmp_path: Path) -> None:
    """An image that `to_zarr` has written is an asset: integers as they are stored, nodata
    declared, its properties; one that is not complete is refused."""
    source = images("red", id=["a", "b"]).chunk(time=1)
    source["red"].attrs["_FillValue"] = 9
    image = ee.ImageCollection(source).first().set("version", 3).set("author", "me")
    qm.to_zarr(image.dataset, tmp_path / "asset.zarr")
    ee.register("users/me/asset", tmp_path / "asset.zarr")
    found = resolve("users/me/asset", "ee.Image")
    assert found["red"].dims == ("y", "x")
    assert found["red"].dtype == "uint8"
    assert found["red"].attrs["_FillValue"] == 9
    again = ee.Image(found)
    assert (again.get("version").getInfo(), again.get("author").getInfo()) == (3, "me")
    assert again.date().getInfo() == image.date().getInfo()
    assert again.id().getInfo() == "a"
    zarr.open_group(tmp_path / "asset.zarr")["_qmosaic"].attrs["state"] = "writing"
    ee.register("users/me/asset", tmp_path / "asset.zarr")
    with pytest.raises(qm.IncompleteMosaicError, match="not complete"):
        resolve("users/me/asset", "ee.Image")


def test_mosaics_of_periods_are_a_collection(tmp_path: Path) -> None:
    """They lie along time, so the asset that holds them is a collection."""
    monthly = qm.quality_mosaic(images("red").chunk(time=1), "red", period="D")
    qm.to_zarr(monthly, tmp_path / "daily.zarr")
    ee.register("users/me/daily", tmp_path / "daily.zarr")
    assert ee.ImageCollection("users/me/daily").size().getInfo() == monthly.sizes["time"]
    assert (
        ee.ImageCollection(str(tmp_path / "daily.zarr")).size().getInfo() == monthly.sizes["time"]
    )


def test_opened_once_and_lazily(tmp_path: Path) -> None:
    """Registering opens nothing; what is used twice is opened once; names and properties of a
    Dataset read no pixels."""
    ee.register("MY/LATER", tmp_path / "later.zarr")
    qm.to_zarr(images("red").chunk(time=1), tmp_path / "later.zarr")
    first, second = (ee.ImageCollection("MY/LATER").dataset["red"].data for _ in range(2))
    assert first is second
    unread = da.from_array(Forbidden((2, 8, 8), "uint8"), chunks=(1, 4, 4))
    pixels = xr.Dataset({"red": (("time", "y", "x"), unread)}, {"time": DAYS})
    ee.register("COPERNICUS/S2_SR", pixels)
    assert bands("COPERNICUS/S2_SR") == ["B4"]
    resolve("COPERNICUS/S2_SR/1", "ee.Image")


def test_names_in_a_catalogue_file(tmp_path: Path) -> None:
    """TOML has mappings of names, single images, and ids whose names are known."""
    images("red", "nir").to_zarr(tmp_path / "s2.zarr", consolidated=False)
    write_tif(tmp_path / "dem.tif", elevation(), nodata=-1)
    (tmp_path / "all.toml").write_text(
        '["COPERNICUS/S2_SR"]\nsource = "s2.zarr"\n\n'
        '["MY/IMAGES"]\nsource = "s2.zarr"\nbands = {nir = "B8"}\n\n'
        '["MY/DEM"]\nsource = "dem.tif"\nbands = {band_1 = "elevation"}\n'
    )
    assert ee.load_catalog(tmp_path / "all.toml") == ["COPERNICUS/S2_SR", "MY/IMAGES", "MY/DEM"]
    assert sorted(bands("COPERNICUS/S2_SR")) == ["B4", "B8"]
    assert bands("MY/IMAGES") == ["B8"]
    assert list(resolve("MY/DEM", "ee.Image")) == ["elevation"]

"""Landsat 4 to 9, Collection 2.

Bands and properties: https://developers.google.com/earth-engine/datasets/catalog/ with
LANDSAT_LT05_C02_T1_L2, LANDSAT_LC08_C02_T1_L2, LANDSAT_LC08_C02_T1_TOA and the like. Other names:
the assets of the USGS, Planetary Computer and Earth Search (landsat-c2-l2), which are the common
names of bands: ``red`` is SR_B3 of TM and ETM+, SR_B4 of OLI. Properties of STAC:
https://github.com/stac-extensions/landsat
"""

from __future__ import annotations

import re

from qmosaic.ee.datasets.known import END, Known, Names, capitals, of_each, told

COMMON = ("blue", "green", "red", "nir08", "swir16", "swir22")
"""The bands that all have, by their names in STAC."""

TM = dict(zip(COMMON, ("B1", "B2", "B3", "B4", "B5", "B7"), strict=True))
OLI = {"coastal": "B1", **dict(zip(COMMON, (f"B{n}" for n in range(2, 8)), strict=True))}
QA: Names = {"QA_PIXEL": (), "QA_RADSAT": ()}
OF_TEMPERATURE = ("ATRAN", "CDIST", "DRAD", "EMIS", "EMSD", "QA", "TRAD", "URAD")
"""Bands beside the surface temperature; the assets are called so, in small letters."""


def _of_surface(reflectances: dict[str, str], thermal: str, asset: str) -> tuple[Names, Names]:
    """Give the names of bands of Level 2, and those of assets alone."""
    bands = {f"SR_{band}": (name,) for name, band in reflectances.items()}
    atmosphere = ("SR_QA_AEROSOL",) if thermal == "ST_B10" else ("SR_ATMOS_OPACITY", "SR_CLOUD_QA")
    own = {name: (name.removeprefix("SR_"),) for name in atmosphere}
    beside = {f"ST_{name}": (name,) for name in OF_TEMPERATURE}
    names: Names = {name: () for name in (*own, thermal, *beside)}
    return {**bands, **names, thermal: (asset,), **QA}, {**own, **beside}


def _of_sensor(reflectances: dict[str, str], others: Names) -> Names:
    """Give the names of bands of Level 1."""
    bands = {band: (name,) for name, band in reflectances.items()}
    return {**bands, **others, **QA, **{n: () for n in ("SAA", "SZA", "VAA", "VZA")}}


LEVEL_2 = {
    "TM": _of_surface(TM, "ST_B6", "lwir"),
    "OLI": _of_surface(OLI, "ST_B10", "lwir11"),
}
LEVEL_1: dict[str, Names] = {
    "TM": _of_sensor(TM, {"B6": ("lwir",)}),
    "ETM": _of_sensor(TM, {"B6_VCID_1": (), "B6_VCID_2": (), "B8": ("pan",)}),
    "OLI": _of_sensor(
        OLI, {"B8": ("pan",), "B9": ("cirrus",), "B10": ("lwir11",), "B11": ("lwir12",)}
    ),
}


def _index(item: str) -> str:
    """Make the index of an image of the id of a product: LC08_L2SP_044034_20140318_02_T1."""
    found = re.match(r"(L[A-Z]\d\d)_L\w{3}_(\d{6}_\d{8})(?:_|$)", item)
    return f"{found[1]}_{found[2]}" if found else item


def _spacecraft(platform: str) -> str:
    return platform.upper().replace("-", "_")


PROPERTIES = (
    told("system:index", "id", by=of_each(_index)),
    told("CLOUD_COVER", "cloud_cover", "eo:cloud_cover"),
    told("CLOUD_COVER_LAND", "landsat:cloud_cover_land"),
    told("SUN_AZIMUTH", "view:sun_azimuth"),
    told("SUN_ELEVATION", "view:sun_elevation"),
    told("WRS_PATH", "landsat:wrs_path", by=int),
    told("WRS_ROW", "landsat:wrs_row", by=int),
    told("WRS_TYPE", "landsat:wrs_type", by=int),
    told("SPACECRAFT_ID", "platform", by=of_each(_spacecraft)),
    told("SENSOR_ID", "instruments", by=lambda value: str(value).upper().replace(" ", "_")),
    told("COLLECTION_CATEGORY", "landsat:collection_category", by=capitals),
    told("COLLECTION_NUMBER", "landsat:collection_number", by=int),
    told("PROCESSING_LEVEL", "landsat:correction"),
    told("LANDSAT_SCENE_ID", "landsat:scene_id"),
    END,
)

SENSORS = {"LT04": "TM", "LT05": "TM", "LE07": "ETM", "LC08": "OLI", "LC09": "OLI"}
TIERS = ("T1", "T2", "T1_RT")


def _made() -> dict[str, Known]:
    found = {}
    for mission, sensor in SENSORS.items():
        for tier in TIERS:
            of_images = {"platform": f"landsat-{int(mission[2:])}"}
            if tier != "T1_RT":  # which has images of both categories, T1 and RT
                of_images["landsat:collection_category"] = tier
            surface, assets = LEVEL_2["OLI" if sensor == "OLI" else "TM"]
            name = f"LANDSAT/{mission}/C02/{tier}"
            found[f"{name}_L2"] = Known(surface, assets, PROPERTIES, only=of_images)
            for level in (name, f"{name}_TOA"):
                found[level] = Known(LEVEL_1[sensor], {}, PROPERTIES, only=of_images)
    return found


LANDSAT = _made()

"""Sentinel-2.

Bands and properties: https://developers.google.com/earth-engine/datasets/catalog/ with
COPERNICUS_S2_SR_HARMONIZED, COPERNICUS_S2_HARMONIZED, COPERNICUS_S2_CLOUD_PROBABILITY and
GOOGLE_CLOUD_SCORE_PLUS_V1_S2_HARMONIZED. Other names: Earth Search (``red``; before its version 1
``B04``; ``cloud`` and ``snow`` of the collection sentinel-2-c1-l2a), Planetary Computer (``B04``),
Copernicus Data Space (``B04_10m``), the files of ESA (``MSK_CLDPRB_20m``). Properties of STAC:
https://github.com/stac-extensions/sentinel-2
"""

from __future__ import annotations

from typing import Any

from qmosaic.ee.datasets.known import (
    END,
    Known,
    Names,
    Property,
    as_it_is,
    capitals,
    of_each,
    told,
)

REFLECTANCES: Names = {
    "B1": ("B01", "B01_60m", "coastal"),
    "B2": ("B02", "B02_10m", "blue"),
    "B3": ("B03", "B03_10m", "green"),
    "B4": ("B04", "B04_10m", "red"),
    "B5": ("B05", "B05_20m", "rededge1", "rededge071"),
    "B6": ("B06", "B06_20m", "rededge2", "rededge075"),
    "B7": ("B07", "B07_20m", "rededge3", "rededge078"),
    "B8": ("B08", "B08_10m", "nir"),
    "B8A": ("B8A_20m", "nir08"),
    "B9": ("B09", "B09_60m", "nir09"),
    "B10": ("B10_60m", "cirrus"),
    "B11": ("B11_20m", "swir16"),
    "B12": ("B12_20m", "swir22"),
}
QUALITY: Names = {name: () for name in ("QA10", "QA20", "QA60")}
MASKS: Names = {
    name: () for name in ("MSK_CLASSI_OPAQUE", "MSK_CLASSI_CIRRUS", "MSK_CLASSI_SNOW_ICE")
}
OF_SURFACE: Names = {
    **{name: others for name, others in REFLECTANCES.items() if name != "B10"},
    "AOT": ("AOT_10m",),
    "WVP": ("WVP_10m",),
    "SCL": ("SCL_20m",),
    "TCI_R": (),
    "TCI_G": (),
    "TCI_B": (),
    "MSK_CLDPRB": ("MSK_CLDPRB_20m",),
    "MSK_SNWPRB": ("MSK_SNWPRB_20m",),
    **QUALITY,
    **MASKS,
}
ASSETS: Names = {"MSK_CLDPRB": ("cloud",), "MSK_SNWPRB": ("snow",)}


def _zenith(elevation: Any) -> float:
    return 90 - float(elevation)


def _tile(code: str) -> str:
    return code.upper().removeprefix("MGRS-")


def _spacecraft(platform: str) -> str:
    return f"Sentinel-{platform[-2:].upper()}"


def _product(name: str) -> str:
    return name.removesuffix(".SAFE")


PERCENTAGES = (
    "NODATA_PIXEL_PERCENTAGE",
    "HIGH_PROBA_CLOUDS_PERCENTAGE",
    "MEDIUM_PROBA_CLOUDS_PERCENTAGE",
    "THIN_CIRRUS_PERCENTAGE",
    "SNOW_ICE_PERCENTAGE",
    "VEGETATION_PERCENTAGE",
    "NOT_VEGETATED_PERCENTAGE",
    "WATER_PERCENTAGE",
    "UNCLASSIFIED_PERCENTAGE",
)
"""Properties that STAC has under the same names, in small letters behind ``s2:``."""

PROPERTIES = (
    told("CLOUDY_PIXEL_PERCENTAGE", "cloud_cover", "eo:cloud_cover"),
    told("MEAN_SOLAR_AZIMUTH_ANGLE", "s2:mean_solar_azimuth", "view:sun_azimuth"),
    Property(
        "MEAN_SOLAR_ZENITH_ANGLE",
        {"s2:mean_solar_zenith": as_it_is, "view:sun_elevation": _zenith},
    ),
    told("MGRS_TILE", "s2:mgrs_tile", "grid:code", by=of_each(_tile)),
    told("SPACECRAFT_NAME", "platform", by=of_each(_spacecraft)),
    told("SENSING_ORBIT_NUMBER", "sat:relative_orbit"),
    told("SENSING_ORBIT_DIRECTION", "sat:orbit_state", by=capitals),
    told("PROCESSING_BASELINE", "s2:processing_baseline"),
    told("PRODUCT_ID", "s2:product_uri", by=of_each(_product)),
    told("DATASTRIP_ID", "s2:datastrip_id"),
    told("DATATAKE_IDENTIFIER", "s2:datatake_id"),
    told("DATATAKE_TYPE", "s2:datatake_type"),
    told("REFLECTANCE_CONVERSION_CORRECTION", "s2:reflectance_conversion_factor"),
    *(told(name, f"s2:{name.lower()}") for name in PERCENTAGES),
    END,
)

HARMONIZED = {"harmonize": "earth_engine"}
"""Images of processing baseline 04.00 and later are shifted to the range of those before."""

L1C: Names = {**REFLECTANCES, **QUALITY, **MASKS}
SENTINEL_2 = {
    "COPERNICUS/S2": Known(L1C, {}, PROPERTIES),
    "COPERNICUS/S2_HARMONIZED": Known(L1C, {}, PROPERTIES, HARMONIZED),
    "COPERNICUS/S2_SR": Known(OF_SURFACE, ASSETS, PROPERTIES),
    "COPERNICUS/S2_SR_HARMONIZED": Known(OF_SURFACE, ASSETS, PROPERTIES, HARMONIZED),
    "COPERNICUS/S2_CLOUD_PROBABILITY": Known({"probability": ()}),
    "GOOGLE/CLOUD_SCORE_PLUS/V1/S2_HARMONIZED": Known({"cs": (), "cs_cdf": ()}),
}

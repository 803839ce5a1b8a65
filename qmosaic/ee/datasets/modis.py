"""MODIS, versions 006 and 061.

Bands: https://developers.google.com/earth-engine/datasets/catalog/ with MODIS_061_MOD09GA,
MODIS_061_MOD13Q1 and the like. Other names: the subdatasets of the HDF files, as the user guides of
the products list them; Planetary Computer's assets are called as these, with ``_`` for spaces.
"""

from __future__ import annotations

from qmosaic.ee.datasets.known import END, Known, Names

DAILY_KILOMETRE = (
    "state_1km",
    "SensorZenith",
    "SensorAzimuth",
    "Range",
    "SolarZenith",
    "SolarAzimuth",
    "gflags",
    "orbit_pnt",
    "granule_pnt",
)
DAILY_HALF = ("QC_500m", "obscov_500m", "iobs_res", "q_scan")


def _first(*names: str) -> Names:
    """Name subdatasets of the first observation of a day, which end in ``_1``."""
    return {name: (f"{name}_1",) for name in names}


def _reflectances(*numbers: int) -> tuple[str, ...]:
    return tuple(f"sur_refl_b{number:02}" for number in numbers)


def _indices(resolution: str) -> Names:
    """Name the bands of a product of vegetation indices, MOD13."""
    names = {
        "NDVI": "NDVI",
        "EVI": "EVI",
        "DetailedQA": "VI Quality",
        "sur_refl_b01": "red reflectance",
        "sur_refl_b02": "NIR reflectance",
        "sur_refl_b03": "blue reflectance",
        "sur_refl_b07": "MIR reflectance",
        "ViewZenith": "view zenith angle",
        "SolarZenith": "sun zenith angle",
        "RelativeAzimuth": "relative azimuth angle",
        "DayOfYear": "composite day of the year",
        "SummaryQA": "pixel reliability",
    }
    return {name: (f"{resolution} 16 days {other}",) for name, other in names.items()}


def _temperatures(angle: str, *others: str) -> Names:
    """Name the bands of a product of surface temperatures, MOD11."""
    half = [
        (f"LST_{time}_1km", f"QC_{time}", f"{time}_view_time", f"{time}_view_{angle}")
        for time in ("Day", "Night")
    ]
    names: Names = {name: () for names in half for name in names}
    names = {name: (name.removesuffix("e"),) if name.endswith("angle") else () for name in names}
    return {**names, "Emis_31": (), "Emis_32": (), **{name: () for name in others}}


PRODUCTS: dict[str, Names] = {
    "09GA": {
        "num_observations_1km": (),
        **_first(*DAILY_KILOMETRE),
        "num_observations_500m": (),
        **_first(*_reflectances(*range(1, 8)), *DAILY_HALF),
    },
    "09GQ": {
        "num_observations": (),
        **_first(*_reflectances(1, 2), "QC_250m", "obscov", "iobs_res", "orbit_pnt", "granule_pnt"),
    },
    "09A1": {
        **{name: () for name in _reflectances(*range(1, 8))},
        "QA": ("sur_refl_qc_500m",),
        "SolarZenith": ("sur_refl_szen",),
        "ViewZenith": ("sur_refl_vzen",),
        "RelativeAzimuth": ("sur_refl_raz",),
        "StateQA": ("sur_refl_state_500m",),
        "DayOfYear": ("sur_refl_day_of_year",),
    },
    "09Q1": {
        **{name: () for name in _reflectances(1, 2)},
        "State": ("sur_refl_state_250m",),
        "QA": ("sur_refl_qc_250m",),
    },
    "10A1": {
        name: ()
        for name in (
            "NDSI_Snow_Cover",
            "NDSI_Snow_Cover_Basic_QA",
            "NDSI_Snow_Cover_Algorithm_Flags_QA",
            "NDSI",
            "Snow_Albedo_Daily_Tile",
            "orbit_pnt",
            "granule_pnt",
        )
    },
    "11A1": _temperatures("angle", "Clear_day_cov", "Clear_night_cov"),
    "11A2": _temperatures("angl", "Clear_sky_days", "Clear_sky_nights"),
    "13Q1": _indices("250m"),
    "13A1": _indices("500m"),
    "13A2": _indices("1 km"),
}

OF_BOTH: dict[str, Names] = {
    "MCD43A4": {
        **{f"Nadir_Reflectance_Band{number}": () for number in range(1, 8)},
        **{f"BRDF_Albedo_Band_Mandatory_Quality_Band{number}": () for number in range(1, 8)},
    },
    "MCD64A1": {
        "BurnDate": ("Burn Date",),
        "Uncertainty": ("Burn Date Uncertainty",),
        "QA": (),
        "FirstDay": ("First Day",),
        "LastDay": ("Last Day",),
    },
}

PROPERTIES = (END,)


def _made() -> dict[str, Known]:
    found = {}
    for version in ("006", "061"):
        for product, bands in PRODUCTS.items():
            for satellite, platform in (("MOD", "terra"), ("MYD", "aqua")):
                name = f"MODIS/{version}/{satellite}{product}"
                found[name] = Known(bands, {}, PROPERTIES, only={"platform": platform})
        for product, bands in OF_BOTH.items():
            found[f"MODIS/{version}/{product}"] = Known(bands, {}, PROPERTIES)
    return found


MODIS = _made()

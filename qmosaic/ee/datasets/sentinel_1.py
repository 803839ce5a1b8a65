"""Sentinel-1.

Bands and properties: https://developers.google.com/earth-engine/datasets/catalog/COPERNICUS_S1_GRD.
Other names: the assets of Earth Search, Planetary Computer and others, which are those of the
polarisations in small letters. Properties of STAC: https://github.com/stac-extensions/sar, sat and
sentinel-1.

Earth Engine's images are calibrated and terrain-corrected, in decibels (COPERNICUS/S1_GRD) or
power (COPERNICUS/S1_GRD_FLOAT), with the incidence angle as a band. Pixels of a source stay what
they are.
"""

from __future__ import annotations

from typing import Any

from qmosaic.ee.datasets.known import END, Known, Names, capitals, of_each, told

BANDS: Names = {name: () for name in ("HH", "HV", "VV", "VH", "angle")}


def _listed(polarisations: Any) -> list[str]:
    return str(polarisations).upper().split()


def _letter(platform: str) -> str:
    return platform[-1].upper()


def _initial(resolution: str) -> str:
    return resolution[0].upper()


PROPERTIES = (
    told("instrumentMode", "sar:instrument_mode", by=capitals),
    told("orbitProperties_pass", "sat:orbit_state", by=capitals),
    told("orbitNumber_start", "sat:absolute_orbit"),
    told("relativeOrbitNumber_start", "sat:relative_orbit"),
    told("transmitterReceiverPolarisation", "sar:polarizations", by=_listed),
    told("platform_number", "platform", by=of_each(_letter)),
    told("productType", "sar:product_type", by=capitals),
    told("resolution", "s1:resolution", by=of_each(_initial)),
    told("familyName", "constellation", by=capitals),
    END,
)

SENTINEL_1 = {
    name: Known(BANDS, {}, PROPERTIES) for name in ("COPERNICUS/S1_GRD", "COPERNICUS/S1_GRD_FLOAT")
}

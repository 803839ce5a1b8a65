"""The collections by their ids."""

from __future__ import annotations

from collections.abc import Mapping

from qmosaic.ee.datasets.known import Known
from qmosaic.ee.datasets.landsat import LANDSAT
from qmosaic.ee.datasets.modis import MODIS
from qmosaic.ee.datasets.sentinel_1 import SENTINEL_1
from qmosaic.ee.datasets.sentinel_2 import SENTINEL_2

KNOWN: Mapping[str, Known] = {**SENTINEL_2, **SENTINEL_1, **LANDSAT, **MODIS}


def known(asset_id: str) -> Known | None:
    """Give what is known of the collection of an id; None where nothing is."""
    return KNOWN.get(asset_id)

"""How the headers of many files are read."""

from __future__ import annotations

from typing import Any

from qmosaic.optional import needed

HEADERS_AT_ONCE = 16
"""How many headers are read at the same time; over HTTP each of them waits for an answer."""


def listing_nothing(path: str) -> Any:
    """Keep GDAL from looking for files beside one on the web: dozens of requests for each.

    https://gdal.org/en/stable/user/configoptions.html, GDAL_DISABLE_READDIR_ON_OPEN
    """
    rasterio = needed("rasterio", "geotiff", "GeoTIFFs")
    remote = "://" in path or path.startswith("/vsi")
    quiet = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"} if remote else {}
    return rasterio.Env(**quiet)

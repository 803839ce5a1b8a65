"""Real files for tests: GeoTIFFs, STAC items that point to them, a web server that counts."""

from __future__ import annotations

import datetime
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pystac
import rasterio
from rasterio.transform import from_origin
from shapely.geometry import box, mapping
from shapely.ops import transform as shapely_transform

UTM32, UTM33 = "EPSG:32632", "EPSG:32633"
PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
RASTER = "https://stac-extensions.github.io/raster/v1.1.0/schema.json"
CORNER = (500_000.0, 5_400_000.0)


def write_tif(
    path: Path,
    pixels: np.ndarray,
    *,
    crs: str = UTM32,
    corner: tuple[float, float] = CORNER,
    resolution: float = 10.0,
    nodata: float | None = 0,
    names: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
    driver: str = "GTiff",
    **options: Any,
) -> Path:
    """Write (y, x) or (band, y, x) as a GeoTIFF whose upper left corner is `corner`."""
    pixels = pixels if pixels.ndim == 3 else pixels[np.newaxis]
    count, height, width = pixels.shape
    if driver == "GTiff":
        options = {"tiled": True, "blockxsize": 16, "blockysize": 16, **options}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver=driver,
        count=count,
        height=height,
        width=width,
        dtype=pixels.dtype,
        crs=crs,
        transform=from_origin(*corner, resolution, resolution),
        nodata=nodata,
        **options,
    ) as file:
        file.write(pixels)
        file.update_tags(**(tags or {}))
        for number, name in enumerate(names, start=1):
            file.set_band_description(number, name)
    return path


def make_item(
    name: str,
    assets: Mapping[str, Path | str],
    time: str | None,
    *,
    crs: str = UTM32,
    corner: tuple[float, float] = CORNER,
    shape: tuple[int, int] = (32, 32),
    resolution: float = 10.0,
    declared: Mapping[str, Mapping[str, Any]] | None = None,
    **properties: Any,
) -> pystac.Item:
    """Describe files on one grid as a STAC item; `declared` is what ``raster:bands`` says."""
    left, top = corner
    outline = box(left, top - shape[0] * resolution, left + shape[1] * resolution, top)
    to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform
    footprint = shapely_transform(to_degrees, outline.segmentize(50))
    item = pystac.Item(
        name,
        mapping(footprint),
        list(footprint.bounds),
        None if time is None else datetime.datetime.fromisoformat(time),
        {"proj:code": crs, **properties},
        stac_extensions=[PROJECTION, RASTER],
    )
    for band, path in assets.items():
        fields: dict[str, Any] = {
            "proj:shape": list(shape),
            "proj:transform": [resolution, 0.0, left, 0.0, -resolution, top],
        }
        if declared and band in declared:
            fields["raster:bands"] = [dict(declared[band])]
        item.add_asset(
            band,
            pystac.Asset(
                str(path),
                media_type="image/tiff; application=geotiff; profile=cloud-optimized",
                roles=["data"],
                extra_fields=fields,
            ),
        )
    return item


class Web:
    """A folder on the web of this machine.

    The server is a process of its own: GDAL holds Python's lock while it waits for an answer.

    Attributes
    ----------
    address : str
        Its URL.
    """

    def __init__(self, address: str, log: Path) -> None:
        self.address, self._log, self._seen = address, log, 0

    def forget(self) -> None:
        """Count from here on."""
        self._seen = len(self._log.read_text().splitlines())

    @property
    def asked(self) -> Counter[str]:
        """What was asked for, and how often."""
        return Counter(self._log.read_text().splitlines()[self._seen :])


@contextmanager
def serve(folder: Path) -> Iterator[Web]:
    """Put a folder on the web of this machine."""
    log = folder.with_name(folder.name + ".log")
    log.touch()
    command = [sys.executable, "-m", "tests.support.webserver", str(folder), str(log)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        try:
            yield Web(f"http://127.0.0.1:{port}", log)
        finally:
            server.terminate()

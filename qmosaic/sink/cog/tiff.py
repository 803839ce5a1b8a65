"""One GeoTIFF: written in parts, then copied in the order of a COG.

The parts are temporary GeoTIFFs, one for each way in which overviews are made: GDAL makes those of
all bands of a file alike. A virtual raster (VRT) puts the bands of the parts together, with all
that the file says of them, and GDAL's COG driver copies it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from qmosaic.collection.masks import Array
from qmosaic.engine.threads import Threads
from qmosaic.optional import needed
from qmosaic.sink.cog.bands import Band
from qmosaic.sink.cog.files import File
from qmosaic.sink.cog.grids import Grid, Span

CACHE = 64
"""Megabytes that GDAL keeps of files; by default it is a twentieth of the machine's memory."""

PATIENCE = 1.5
"""Seconds that GDAL gets to end when somebody interrupts it."""

TILES = (512, 256, 128)
"""Sides of tiles in the parts; one that blocks hold whole is written once."""

VRT_TYPES = {
    "uint8": "Byte",
    "int8": "Int8",
    "uint16": "UInt16",
    "int16": "Int16",
    "uint32": "UInt32",
    "int32": "Int32",
    "uint64": "UInt64",
    "int64": "Int64",
    "float32": "Float32",
    "float64": "Float64",
}
"""What GDAL calls dtypes."""


def _rasterio() -> Any:
    return needed("rasterio", "geotiff", "GeoTIFFs")


@contextlib.contextmanager
def gdal() -> Iterator[None]:
    """Keep GDAL's memory small within the block, and its threads to what is there."""
    with _rasterio().Env(GDAL_CACHEMAX=CACHE, GDAL_NUM_THREADS="ALL_CPUS"):
        yield


def at_once(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a function of GDAL that takes its time, so that Ctrl-C does not wait for its end."""

    def call() -> Any:
        with gdal():
            return function(*args, **kwargs)

    pool = Threads(1, "qmosaic-gdal")
    try:
        found = pool.submit(call).result()
    except BaseException:
        pool.leave(PATIENCE)
        raise
    pool.shutdown()
    return found


class Draft:
    """A file that is being written.

    Parameters
    ----------
    file : File
        What is written.
    grid : Grid
        Where its pixels lie.
    folder : Path
        Where its parts lie.
    tags : mapping
        What it says of itself.
    block : (int, int)
        Rows and columns that are written at once, for most of it.
    """

    def __init__(
        self,
        file: File,
        grid: Grid,
        folder: Path,
        tags: Mapping[str, str],
        block: tuple[int, int],
    ) -> None:
        self.file, self.grid, self._folder, self._tags = file, grid, folder, tags
        self._tile = tuple(map(_tile_in, block))
        self._parts: dict[str, list[int]] = {}
        self._places: list[tuple[str, int]] = []
        for number, band in enumerate(file.bands):
            own = self._parts.setdefault(band.resampling, [])
            own.append(number)
            self._places.append((band.resampling, len(own)))
        self._open: dict[str, Any] = {}
        self._sums: list[int] = [0] * len(file.bands)
        self._overviews = 0

    def open(self) -> None:
        """Make the parts."""
        file, grid = self.file, self.grid
        with gdal():
            for name, bands in self._parts.items():
                self._open[name] = _rasterio().open(
                    self._part(name),
                    "w",
                    driver="GTiff",
                    height=grid.height,
                    width=grid.width,
                    count=len(bands),
                    dtype=file.dtype.name,
                    nodata=file.nodata,
                    tiled=True,
                    blockxsize=self._tile[1],
                    blockysize=self._tile[0],
                    interleave="band",
                    compress="deflate",
                    zlevel=1,
                    bigtiff="YES",
                    sparse_ok=True,
                    photometric="minisblack",
                    crs=grid.wkt,
                    transform=_rasterio().transform.Affine.from_gdal(*grid.transform),
                )

    def _part(self, resampling: str) -> Path:
        return self._folder / f"{resampling}.tif"

    def write(self, number: int, rows: Span, columns: Span, values: Array) -> None:
        """Write a part of a band, as it lies in the file."""
        name, place = self._places[number]
        self._sums[number] += _sum(values)
        window = ((rows[0], rows[1]), (columns[0], columns[1]))
        with gdal():
            self._open[name].write(np.ascontiguousarray(values), place, window=window)

    def close(self) -> None:
        """Close the parts, finished or not."""
        with gdal():
            while self._open:
                self._open.popitem()[1].close()

    def finish(self, compress: str, blocksize: int) -> Path:
        """Make the overviews, and copy all in the order of a COG.

        Returns
        -------
        Path
            The file, which lies with its parts still.

        Raises
        ------
        OSError
            Not all pixels are there: GDAL does not tell of what it could not write when a file is
            closed.
        """
        self.close()
        factors = overview_factors(max(self.grid.height, self.grid.width), blocksize)
        self._overviews = len(factors)
        for name in self._parts:
            if factors:
                at_once(_add_overviews, self._part(name), factors, name)
        made = self._folder / "cog.tif"
        source = self._folder / "bands.vrt"
        source.write_text(self._vrt(), encoding="utf-8")
        options = {
            "compress": compress,
            "blocksize": blocksize,
            "overviews": "AUTO" if factors else "NONE",
            "bigtiff": "IF_SAFER",
            "num_threads": "ALL_CPUS",
        }
        if compress != "none":
            options["predictor"] = "YES"
        at_once(_copy, source, made, options)
        if at_once(_sums_of, made) != [total % 2**64 for total in self._sums]:
            raise OSError(f"not all pixels of {self.file.path.name!r} could be written")
        return made

    def _vrt(self) -> str:
        """Describe the file to GDAL."""
        grid = self.grid
        root = ElementTree.Element(
            "VRTDataset", rasterXSize=str(grid.width), rasterYSize=str(grid.height)
        )
        ElementTree.SubElement(root, "SRS").text = grid.wkt
        numbers = ", ".join(map(repr, grid.transform))
        ElementTree.SubElement(root, "GeoTransform").text = numbers
        _add_tags(root, self._tags)
        for number, (band, (part, place)) in enumerate(
            zip(self.file.bands, self._places, strict=True), start=1
        ):
            root.append(self._vrt_band(number, band, part, place))
        return ElementTree.tostring(root, encoding="unicode")

    def _vrt_band(self, number: int, band: Band, part: str, place: int) -> ElementTree.Element:
        kind = VRT_TYPES[band.dtype.name]
        root = ElementTree.Element("VRTRasterBand", dataType=kind, band=str(number))
        _add_tags(root, band.tags)
        texts = {"Description": _plain(band.name)}
        if band.nodata is not None:
            texts["NoDataValue"] = repr(band.nodata)
        if band.unit:
            texts["UnitType"] = _plain(band.unit)
        if (band.scale, band.offset) != (1.0, 0.0):
            texts |= {"Offset": repr(band.offset), "Scale": repr(band.scale)}
        for name, text in texts.items():
            ElementTree.SubElement(root, name).text = text
        # named one by one: those that GDAL finds itself end where one is narrower than 128 pixels
        for level in range(self._overviews):
            directory = f"GTIFF_DIR:{level + 2}:{self._part(part).resolve()}"
            _add_source(root, "Overview", directory, place)
        source = _add_source(root, "SimpleSource", str(self._part(part).resolve()), place)
        size = {"xSize": str(self.grid.width), "ySize": str(self.grid.height)}
        for name in ("SrcRect", "DstRect"):
            ElementTree.SubElement(source, name, {"xOff": "0", "yOff": "0", **size})
        return root


def _add_source(root: ElementTree.Element, kind: str, name: str, place: int) -> ElementTree.Element:
    """Say of a band in which band of which file its pixels are."""
    source = ElementTree.SubElement(root, kind)
    ElementTree.SubElement(source, "SourceFilename", relativeToVRT="0").text = name
    ElementTree.SubElement(source, "SourceBand").text = str(place)
    return source


def _add_tags(root: ElementTree.Element, tags: Mapping[str, str]) -> None:
    if tags:
        own = ElementTree.SubElement(root, "Metadata")
        for key, value in tags.items():
            ElementTree.SubElement(own, "MDI", key=_plain(key)).text = _plain(value)


def _plain(text: str) -> str:
    """Give a text without the characters that XML does not have."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", " ", text)


def _tile_in(side: int) -> int:
    return next((tile for tile in TILES if side % tile == 0), TILES[1])


def overview_factors(size: int, blocksize: int) -> list[int]:
    """Say by which factors overviews are smaller: until one fits into a tile."""
    found, factor = [], 1
    while -(-size // factor) > blocksize:
        factor *= 2
        found.append(factor)
    return found


def _add_overviews(part: Path, factors: list[int], resampling: str) -> None:
    rasterio = _rasterio()
    with rasterio.open(part, "r+") as file:
        file.build_overviews(factors, rasterio.enums.Resampling[resampling])


def _copy(source: Path, target: Path, options: Mapping[str, Any]) -> None:
    needed("rasterio.shutil", "geotiff", "GeoTIFFs").copy(source, target, driver="COG", **options)


def _sums_of(path: Path) -> list[int]:
    """Add up the pixels of a file, band by band."""
    with _rasterio().open(path) as file:
        sums = [0] * file.count
        for _, window in file.block_windows(1):
            for number, values in enumerate(file.read(window=window)):
                sums[number] += _sum(values)
    return [total % 2**64 for total in sums]


def _sum(values: Array) -> int:
    """Add up pixels as they lie in memory; what GDAL takes for the same is the same here."""
    if values.dtype.kind == "f":  # there are many kinds of NaN, and two of 0
        values = np.where(np.isnan(values), values.dtype.type(0), values + values.dtype.type(0))
    plain = np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")
    return int(plain.sum(dtype=np.uint64))

"""The pixels of files, read lazily on the grid of the collection."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from qmosaic.collection.location import FOOTPRINT, footprints
from qmosaic.optional import needed
from qmosaic.sources.geotiff.files import File, Image, outline_of
from qmosaic.sources.headers import listing_nothing
from qmosaic.sources.nodata import declare
from qmosaic.sources.packing import NONE, Packing, declared
from qmosaic.sources.request import DIM, Request
from qmosaic.sources.sentinel_2 import packing_of_original
from qmosaic.sources.warping import how_to_warp

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


@dataclass(frozen=True)
class Reader:
    """How the files of a collection are opened.

    Attributes
    ----------
    grid : odc GeoBox
        The grid of the collection.
    nodata : mapping
        The nodata of each band of the collection; None where it has none.
    request : Request
        Tells which of them replaces what the files declare.
    resampling : str or mapping, optional
        By band.
    options : mapping
        For rioxarray.
    """

    grid: GeoBox
    nodata: Mapping[str, Any]
    request: Request
    resampling: str | Mapping[str, str] | None
    options: Mapping[str, Any]

    def image(self, image: Image) -> xr.Dataset:
        """Open the wanted bands of an image lazily, with its metadata."""
        opened: dict[Any, xr.DataArray] = {}
        bands = {}
        packing = {file.path: self._packing_of(file) for file in image.files}
        for name, (file, number) in image.bands.items():
            if name in self.nodata:
                how = self._warp(file, name, number)
                key = file.path, None if how is None else tuple(map(str, how.values()))
                if key not in opened:
                    opened[key] = self._open(file, how)
                band = opened[key].isel(band=number, drop=True)
                own = packing[file.path](name, _packing(file, number))
                bands[name] = _plain(band, self.nodata[name], own or NONE)
        return with_metadata(xr.Dataset(bands).expand_dims({DIM: [image.time]}), image)

    def _packing_of(self, file: File) -> Callable[[str, Packing], Packing | None]:
        """Ask the user what the integers of a file mean."""
        return self.request.packing.of(file.path, repr(file.path), list(self.nodata))

    def _warp(self, file: File, name: str, number: int) -> dict[str, Any] | None:
        """Say how a band has to be brought onto the grid; None if it is there already."""
        if file.grid == self.grid:
            return None
        own = self.request.nodata_of(name) if self.request.overrides(name) else file.nodata[number]
        method = self.resampling
        if isinstance(method, Mapping):
            method = method.get(name, method.get("*"))
        return {"src_nodata": own, "nodata": self.nodata[name], "resampling": method}

    def _open(self, file: File, warp: dict[str, Any] | None) -> xr.DataArray:
        rioxarray = needed("rioxarray", "geotiff", "GeoTIFFs")
        rasterio = needed("rasterio", "geotiff", "GeoTIFFs")
        if warp is None:
            with listing_nothing(file.path), _packing_by_band():
                opened: xr.DataArray = rioxarray.open_rasterio(file.path, **self.options)
            return opened
        warp["resampling"] = _method(warp["resampling"])
        place = {
            "crs": str(self.grid.crs),
            "transform": self.grid.transform,
            "width": self.grid.shape.x,
            "height": self.grid.shape.y,
            **how_to_warp(file.grid, self.grid),
        }
        virtual = needed("rasterio.vrt", "geotiff", "GeoTIFFs").WarpedVRT
        quiet = listing_nothing(file.path)
        with (
            quiet,
            _packing_by_band(),
            rasterio.open(file.path) as source,
            virtual(source, **place, **warp) as warped,
        ):
            opened = rioxarray.open_rasterio(warped, **self.options)
        return opened


@contextmanager
def _packing_by_band() -> Iterator[None]:
    """Keep rioxarray from warning that it leaves out what is taken from the header."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(Scales|Offsets) differ across bands", UserWarning)
        yield


def with_metadata(images: xr.Dataset, image: Image) -> xr.Dataset:
    about = {"long_name": "outline of the image, WKT", "crs": "EPSG:4326"}
    return images.assign_coords(
        {
            DIM: [image.time],
            "id": (DIM, np.array([image.name], dtype=object)),
            FOOTPRINT: (DIM, footprints([outline_of(image)]), about),
        }
    )


def _method(name: str) -> Any:
    return needed("rasterio.enums", "geotiff", "GeoTIFFs").Resampling[name]


def _packing(file: File, number: int) -> Packing:
    """Tell what the integers of a band mean: as the header says, else as a product is made."""
    said = Packing(*file.packing[number])
    of_product = packing_of_original(file.path) if len(file.bands) == 1 else None
    return of_product if said == NONE and of_product is not None else said


def _plain(band: xr.DataArray, nodata: Any, packing: Packing) -> xr.DataArray:
    """Leave of the attributes what is true of the band as it lies in memory."""
    band = declare(band.drop_vars("band", errors="ignore"), nodata)
    of_file = {"AREA_OR_POINT", "long_name", "scales", "offsets"}
    band.attrs = {
        k: v
        for k, v in band.attrs.items()
        if k not in of_file and not k.startswith(("TIFFTAG_", "STATISTICS_"))
    }
    return declared(band, packing)

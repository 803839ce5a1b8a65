"""Sample data as a collection: a real Sentinel-2 series that pip can install."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import threading
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.kernels import Array

SERIES = "sentinel2_cube_subset_romania_10m.nc"
CHUNK = 50


class ReadCounter:
    """Counts what is read from a collection: chunks of a band and image, and bytes.

    Attributes
    ----------
    chunks : set
        The chunks that were read: band, image, and the chunk's number along y and x.
    bytes : int
        What all reads together delivered, a chunk that was read twice counted twice.
    """

    def __init__(self) -> None:
        self.chunks: set[tuple[Any, ...]] = set()
        self.bytes = 0
        self._lock = threading.Lock()

    def count(self, band: str, index: tuple[slice | int, ...], size: int) -> None:
        """Note a read; several images in one read are several chunks."""
        times, *place = (i if isinstance(i, slice) else slice(i, i + 1) for i in index)
        corner = tuple(s.start // CHUNK for s in place)
        with self._lock:
            self.chunks.update((band, t, *corner) for t in range(times.start, times.stop))
            self.bytes += size


class _CountedBand:
    """A band in a file that is read when it is indexed, and counted."""

    def __init__(self, band: xr.DataArray, counter: ReadCounter) -> None:
        self._variable, self._name, self._counter = band.variable, str(band.name), counter
        self.shape, self.dtype, self.ndim = band.shape, band.dtype, band.ndim

    def __getitem__(self, index: tuple[slice | int, ...]) -> Array:
        values: Array = np.asarray(self._variable[index].values)
        if values.size:
            self._counter.count(self._name, index, values.nbytes)
        return values


def sentinel2_romania() -> tuple[xr.Dataset, ReadCounter]:
    """Open a real Sentinel-2 series: 140 dates from 2015 to 2021, one square kilometre in Romania.

    Returns
    -------
    (xarray.Dataset, ReadCounter)
        A lazy collection, time × y × x = 140 × 100 × 100 pixels of 10 m (EPSG:3035), in chunks of
        one image × 50 × 50 pixels: the bands B2, B3, B4, B8 (uint16, reflectance × 10 000, nodata
        0) and the scene classification SCL. And what counts the reads from it.

    Raises
    ------
    ModuleNotFoundError
        The package ``nrt``, whose data this is, or the reader of NetCDF files is not installed.

    Notes
    -----
    Contains modified Copernicus Sentinel data 2015–2021, from the package nrt 0.1.0 (European
    Commission, Joint Research Centre), https://pypi.org/project/nrt/

    Examples
    --------
    >>> from qmosaic.samples import sentinel2_romania
    >>> collection, reads = sentinel2_romania()
    >>> collection["B4"].shape, len(reads.chunks)
    ((140, 100, 100), 0)
    """
    path = _find_series()
    opened = xr.open_dataset(path, engine="netcdf4", mask_and_scale=False, cache=False)
    counter = ReadCounter()
    bands = {
        name: (band.dims, _lazy(band, counter), band.attrs)
        for name, band in opened.data_vars.items()
        if "time" in band.dims
    }
    return opened.drop_vars(list(bands)).set_coords("spatial_ref").assign(bands), counter


def _lazy(band: xr.DataArray, counter: ReadCounter) -> Any:
    name = f"sentinel2-romania-{band.name}-{id(counter)}"
    return da.from_array(_CountedBand(band, counter), chunks=(1, CHUNK, CHUNK), name=name)


def _find_series() -> Path:
    try:
        files = importlib.metadata.files("nrt") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = [file for file in files if file.name == SERIES]
    if not found or importlib.util.find_spec("netCDF4") is None:
        missing = "netCDF4" if found else "nrt==0.1.0"
        raise ModuleNotFoundError(
            f"the sample series needs the package {missing}, which is not installed. Write: "
            'pip install "qmosaic[demo]"'
        )
    return Path(str(found[0].locate()))

"""Sample data as collections: a real Sentinel-2 series that pip can install, and a made-up one."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import itertools
import threading
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.masks import Array
from qmosaic.collection.readers import NetCDFReader
from qmosaic.optional import how_to_install, needed

__all__ = ["ReadCounter", "made_up_plains", "sentinel2_romania"]

SERIES = "sentinel2_cube_subset_romania_10m.nc"
CHUNK = 50


class ReadCounter:
    """Counts what is read from a collection: chunks of a band and image, and bytes.

    It counts in its own process. Worker processes of a cluster get a copy each; what a copy counts
    stays there.

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

    def __getstate__(self) -> dict[str, Any]:
        """Give what travels to another process: a lock cannot."""
        with self._lock:
            return {"chunks": set(self.chunks), "bytes": self.bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.chunks, self.bytes = state["chunks"], state["bytes"]
        self._lock = threading.Lock()

    def count(self, band: str, index: tuple[slice | int, ...], size: int) -> None:
        """Count a read: every chunk that it touches, of every image.

        Parameters
        ----------
        band : str
            The band that was read.
        index : tuple of slice or int
            What was read of it, along time, y and x.
        size : int
            The bytes that the read delivered.
        """
        times, *place = (i if isinstance(i, slice) else slice(i, i + 1) for i in index)
        touched = (range(s.start // CHUNK, -(-s.stop // CHUNK)) for s in place)
        with self._lock:
            self.chunks.update(
                (band, *chunk)
                for chunk in itertools.product(range(times.start, times.stop), *touched)
            )
            self.bytes += size


class _CountedBand:
    """A band in a file that is read when it is indexed, and counted."""

    def __init__(self, band: xr.DataArray, path: Path, counter: ReadCounter) -> None:
        self._variable, self._name, self._counter = band.variable, str(band.name), counter
        self._path = path
        self.shape, self.dtype, self.ndim = band.shape, band.dtype, band.ndim

    def __dask_tokenize__(self) -> tuple[str, str, str]:
        """Name what is read; what has been counted makes no other band of it."""
        return (type(self).__qualname__, str(self._path), self._name)

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
        0) and the scene classification SCL. And what counts the reads from it, in this process:
        what the worker processes of a cluster read is not counted here.

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
    >>> from qmosaic.sources.samples import sentinel2_romania
    >>> collection, reads = sentinel2_romania()
    >>> collection["B4"].shape, len(reads.chunks)
    ((140, 100, 100), 0)
    """
    path = _find_series()
    opened = xr.open_dataset(path, engine=NetCDFReader, mask_and_scale=False, cache=False)
    counter = ReadCounter()
    bands = {
        name: (band.dims, _lazy(band, path, counter), band.attrs)
        for name, band in opened.data_vars.items()
        if "time" in band.dims
    }
    return opened.drop_vars(list(bands)).set_coords("spatial_ref").assign(bands), counter


def _lazy(band: xr.DataArray, path: Path, counter: ReadCounter) -> Any:
    name = f"sentinel2-romania-{band.name}-{id(counter)}"
    return da.from_array(_CountedBand(band, path, counter), chunks=(1, CHUNK, CHUNK), name=name)


def _find_series() -> Path:
    try:
        files = importlib.metadata.files("nrt") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = [file for file in files if file.name == SERIES]
    if not found or importlib.util.find_spec("netCDF4") is None:
        missing = "netCDF4" if found else "nrt==0.1.0"
        raise ModuleNotFoundError(
            f"the sample series needs the package {missing}, which is not installed. "
            f"{how_to_install('demo')}"
        )
    return Path(str(found[0].locate()))


PLAINS = (622_000.0, 4_476_000.0)
"""The upper left corner of the made-up series in EPSG:32613; 103.19° W, 40.14° N is its middle."""


def made_up_plains(side: int = 640, every: int = 5) -> xr.Dataset:
    """Make up a Sentinel-2 series where Earth Engine's example looks: the plains of Colorado.

    Nothing of it was measured. Circles of irrigated fields lie on dry land; clouds drift over it.

    Parameters
    ----------
    side : int, default: 640
        Pixels of 100 m along each side.
    every : int, default: 5
        Days from one image to the next, 20 June to 10 September 2020.

    Returns
    -------
    xarray.Dataset
        B2, B3, B4, B8 (uint16, reflectance × 10 000, nodata 0), MSK_CLDPRB (uint8, cloud
        probability in %, no nodata) along time, y and x (EPSG:32613), in chunks of one image;
        ``id`` and ``cloud_cover`` along time.

    Examples
    --------
    >>> from qmosaic.sources.samples import made_up_plains
    >>> made_up_plains(side=64, every=20)["MSK_CLDPRB"].dtype
    dtype('uint8')
    """
    days = np.arange(np.datetime64("2020-06-20"), np.datetime64("2020-09-11"), every)
    land = _land(side)
    clouds = [_cloud(side, number) for number in range(len(days))]
    billows = [_noise(side, np.random.default_rng(200 + n), fine=True) for n in range(len(days))]
    bands = {
        name: np.stack([_seen(land[name], *sky) for sky in zip(clouds, billows, strict=True)])
        for name in ("B2", "B3", "B4", "B8")
    }
    bands["MSK_CLDPRB"] = np.stack([np.round(100 * cloud).astype("uint8") for cloud in clouds])
    dims = ("time", "y", "x")
    west, north = PLAINS[0] + 50, PLAINS[1] - 50
    collection = xr.Dataset(
        {n: (dims, v, {} if n == "MSK_CLDPRB" else {"_FillValue": 0}) for n, v in bands.items()},
        {
            "time": days.astype("datetime64[ns]"),
            "y": north - 100.0 * np.arange(side),
            "x": west + 100.0 * np.arange(side),
            "id": ("time", np.array([f"made_up_{day}" for day in days], dtype=object)),
            "cloud_cover": ("time", [round(100 * float((c > 0.5).mean()), 1) for c in clouds]),
        },
    )
    needed("odc.geo.xr", "geo", "grids")  # registers .odc
    placed: xr.Dataset = collection.odc.assign_crs("EPSG:32613")
    return placed.assign({n: v.variable.chunk({"time": 1}) for n, v in placed.data_vars.items()})


def _land(side: int) -> dict[str, Array]:
    """Reflectance × 10 000: dry grass, and circles of crops in squares of half a mile."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:side, :side]
    square = (y // 8, x // 8)
    crop = rng.random((side // 8 + 1, side // 8 + 1))[square]
    watered = 1.6 * _noise(side, rng) - 0.4
    circle = ((y % 8 - 3.5) ** 2 + (x % 8 - 3.5) ** 2 < 14) & (crop < watered)
    dry = 0.7 + 0.6 * _noise(side, rng)
    levels = {"B2": (1450, 550), "B3": (1950, 1400), "B4": (2350, 700), "B8": (2900, 4300)}
    return {
        name: np.where(circle, green * (0.8 + 0.6 * crop), brown * dry)
        for name, (brown, green) in levels.items()
    }


def _noise(side: int, rng: Any, *, fine: bool = False) -> Array:
    """Make smooth noise of 0 to 1: random grids, from coarse to fine, blended."""
    total = np.zeros((side, side))
    for cells, weight in ((9, 3), (25, 2), (70, 1)) if fine else ((3, 8), (7, 4), (15, 2), (40, 1)):
        coarse = rng.random((cells + 1, cells + 1))
        place = np.linspace(0, cells, side, endpoint=False)
        low = place.astype(int)
        part = place - low
        smooth = part * part * (3 - 2 * part)
        rows = coarse[low] * (1 - smooth)[:, None] + coarse[low + 1] * smooth[:, None]
        total += weight * (rows[:, low] * (1 - smooth) + rows[:, low + 1] * smooth)
    spread: Array = (total - total.min()) / np.ptp(total)
    return spread


def _cloud(side: int, number: int) -> Array:
    """Make a cloud probability of 0 to 1; some days are clear, some are not."""
    rng = np.random.default_rng(100 + number)
    cover = (0.25, 0.75, 0.5, 0.4, 0.6)[number % 5]
    probability: Array = np.clip((_noise(side, rng) - (1 - cover)) * 6, 0, 1)
    return probability


def _seen(land: Array, cloud: Array, billows: Array) -> Array:
    """Look at land through clouds: the thicker they are, the less of it is seen."""
    seen: Array = (land * (1 - cloud) + (2600 + 2200 * billows) * cloud).astype("uint16")
    return seen

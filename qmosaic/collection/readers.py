"""xarray's readers of Zarr and NetCDF, for ``engine=`` of `xarray.open_dataset`.

Given a name such as "zarr", older versions of xarray import every reader that is installed, and
what those import: rasterio, pyproj, h5netcdf, tens of megabytes. Given a class, they do not.
"""

from __future__ import annotations

import inspect
from typing import Any

import xarray as xr
from xarray.backends import BackendEntrypoint, NetCDF4BackendEntrypoint, ZarrBackendEntrypoint


def _parameters(reader: type[BackendEntrypoint]) -> tuple[str, ...]:
    """Name what a reader is given; xarray finds it out itself for those that it knows by name."""
    _, *names = inspect.signature(reader.open_dataset).parameters
    return tuple(names)


class ZarrReader(ZarrBackendEntrypoint):
    """The reader that is called "zarr"."""

    open_dataset_parameters = _parameters(ZarrBackendEntrypoint)


class NetCDFReader(NetCDF4BackendEntrypoint):
    """The reader that is called "netcdf4"."""

    open_dataset_parameters = _parameters(NetCDF4BackendEntrypoint)


AS_STORED: dict[str, Any] = {
    "consolidated": False,
    "chunks": {},
    "mask_and_scale": False,
    "decode_times": False,
    "decode_timedelta": False,
    "decode_coords": "all",
}
"""For ``xarray.open_dataset`` of a Zarr store: lazily, in the numbers that are stored."""


def reader_of_netcdf(path: str) -> type[BackendEntrypoint] | None:
    """Give the reader that xarray chooses for a file where no ``engine=`` is named.

    Returns
    -------
    type, optional
        None where it is not the first that xarray asks: then xarray has to look for it.
    """
    options = xr.get_options()  # type: ignore[no-untyped-call]
    order = options.get("netcdf_engine_order", ["netcdf4"])
    first = list(order)[:1] == ["netcdf4"]
    return NetCDFReader if first and NetCDFReader().guess_can_open(path) else None

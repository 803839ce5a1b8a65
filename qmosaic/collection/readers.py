"""xarray's readers of Zarr and NetCDF, for ``engine=`` of `xarray.open_dataset`.

Given a name such as "zarr", older versions of xarray import every reader that is installed, and
what those import: rasterio, pyproj, h5netcdf, tens of megabytes. Given a class, they do not.
"""

from __future__ import annotations

import inspect

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

"""Collections from Zarr stores and NetCDF files, through xarray."""

from __future__ import annotations

import base64
import importlib.util
import inspect
import os
import re
import struct
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.errors import ContainsArrayError
from zarr.storage import ObjectStore, StorePath

from qmosaic.collection.declarations import nodata_values
from qmosaic.collection.model import bands_of
from qmosaic.collection.readers import ZarrReader, reader_of_netcdf
from qmosaic.optional import needed
from qmosaic.sources.final_checks import as_asked, finish, settled
from qmosaic.sources.grids import TILE
from qmosaic.sources.joining import (
    in_one_packing,
    join_images,
    merge_parts,
    with_given_packing,
)
from qmosaic.sources.nodata import is_text
from qmosaic.sources.request import DIM, Request, unknown_option


def open_zarr(
    source: Any,
    request: Request,
    *,
    group: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Open a Zarr store: format 2 or 3, consolidated or not.

    Raises
    ------
    FileNotFoundError
        There is no group of Zarr.
    """
    source = getattr(source, "store", source) if _is_session(source) else source
    if isinstance(source, str) and storage_options is None:
        source = _reachable(source)
    store, path, name = _place(source, group)
    options = {"engine": ZarrReader, "storage_options": storage_options, **options}
    options.setdefault("consolidated", _is_consolidated(store, path, name, storage_options))
    try:
        opened = _open(store, {"group": path or None, "chunks": request.chunks or {}, **options})
    # which of them depends on xarray's version
    except (KeyError, TypeError, ValueError, struct.error) as error:
        _check_dimensions(store, path, name, storage_options, error)
        _check_fill_values(store, path, name, storage_options, error)
        raise
    _check_for_groups(opened, store, path, name, storage_options)
    # a store lists its members in any order
    opened = as_asked(opened[sorted(opened.data_vars, key=_naturally)], request)
    what = f"the store {name!r}"
    opened = _several_decoded(_as_given(opened, source, request, what), request, options)
    return _one_packing(finish(opened, request, what), request, what, options)


def _naturally(name: Any) -> list[Any]:
    """Order names as people do: B2 before B11."""
    parts = re.split(r"(\d+)", str(name))
    return [(part.isdigit(), int(part) if part.isdigit() else part) for part in parts]


def _reachable(url: str) -> Any:
    """Read a URL with obstore where fsspec lacks what it needs for that."""
    scheme = url.split("://")[0] if "://" in url and "::" not in url else ""
    needs = {"http": "aiohttp", "https": "aiohttp", "s3": "s3fs", "gs": "gcsfs"}.get(scheme)
    if needs is None or importlib.util.find_spec(needs) is not None:
        return url
    obstore = needed("obstore.store", "s3", f"Zarr stores at {scheme}://")
    options = {"allow_http": True} if scheme == "http" else {}
    return ObjectStore(obstore.from_url(url, client_options=options), read_only=True)


def _check_dimensions(
    store: Any, path: str, name: str, storage_options: Any, error: Exception
) -> None:
    """Say which arrays do not tell what their dimensions are called."""
    group = zarr.open_group(store, path=path or None, mode="r", storage_options=storage_options)
    bare = sorted(n for n, array in group.arrays() if array.ndim and _dimensions(array) is None)
    if bare:
        field = "dimension_names" if group.metadata.zarr_format == 3 else "_ARRAY_DIMENSIONS"
        component = "/".join(part for part in (path, bare[0]) if part)
        raise ValueError(
            f"the array {bare[0]!r} of the store {name!r} does not say what its dimensions are "
            f"called ({field}), so it is unknown along which its images are. Say it yourself, "
            f"xarray.Dataset({{{bare[0]!r}: (('time', 'y', 'x'), dask.array.from_zarr(..., "
            f"component={component!r}))}}, {{'time': times}}): that "
            "is a collection."
        ) from error


def _check_fill_values(
    store: Any, path: str, name: str, storage_options: Any, error: Exception
) -> None:
    """Say which array has text for a fill value, of which xarray makes nothing."""
    group = zarr.open_group(store, path=path or None, mode="r", storage_options=storage_options)
    for band, array in sorted(group.arrays()):
        value = array.attrs.get("_FillValue")
        if array.dtype.kind in "iuf" and is_text(value) and not _is_encoded(value, array.dtype):
            component = "/".join(part for part in (path, band) if part)
            raise ValueError(
                f"the array {band!r} of the store {name!r} has the attribute _FillValue = "
                f"{value!r}, which is no number of {array.dtype}, so xarray cannot open the "
                "store. Take it out, del zarr.open_group(...)"
                f"[{component!r}].attrs['_FillValue'] (then zarr.consolidate_metadata(...), if "
                "the store is consolidated), and say what is masked when you open it: "
                f"nodata={{{band!r}: 0}} for instance, None if every value is data."
            ) from error


def _is_encoded(value: Any, dtype: np.dtype[Any]) -> bool:
    """Tell whether a text is how xarray writes a float down: its eight bytes, in base64."""
    try:
        return dtype.kind == "f" and len(base64.standard_b64decode(value)) == 8
    except ValueError:
        return False


def _dimensions(array: Any) -> Any:
    if array.metadata.zarr_format == 3:
        return array.metadata.dimension_names
    return array.attrs.get("_ARRAY_DIMENSIONS")


def _check_for_groups(
    opened: xr.Dataset, store: Any, path: str, name: str, storage_options: Any
) -> None:
    """Say which groups a store has where the one that was opened holds nothing."""
    if opened.variables:
        return
    root = zarr.open_group(store, path=path or None, mode="r", storage_options=storage_options)
    try:
        groups = sorted(root.group_keys())
    except NotImplementedError:  # a web server that cannot list
        groups = []
    if groups:
        raise ValueError(
            f"the group {'/' + path!r} of the store {name!r} has no bands, but groups: "
            f"{', '.join(map(repr, groups))}. Open one of them, "
            f"group={'/'.join(p for p in (path, groups[0]) if p)!r}."
        )


def _decoded(collection: xr.Dataset, options: Mapping[str, Any]) -> xr.Dataset:
    """Decode what was asked to be decoded, with the nodata that was settled."""
    if options.get("mask_and_scale") is not True:
        return collection
    return xr.decode_cf(collection, decode_times=False, decode_coords=False, mask_and_scale=True)


def _several_decoded(
    collection: xr.Dataset, request: Request, options: Mapping[str, Any]
) -> xr.Dataset:
    """Decode bands with several nodata, of which integers could keep one."""
    if options.get("mask_and_scale") is not True:
        return collection
    several = [
        name
        for name in bands_of(collection, DIM)
        if len(nodata_values(collection[name])) > 1 and not request.overrides(name)
    ]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "variable .* has multiple fill values")
        return collection.assign(_decoded(collection[several], options).data_vars)


def _is_session(source: Any) -> bool:
    """Whether it is a session of Icechunk, which has a store."""
    return type(source).__module__.startswith("icechunk") and "Session" in type(source).__name__


def _place(source: Any, group: str | None) -> tuple[Any, str, str]:
    """Give the store, the path of the group in it, and what to call it."""
    parts = [group.strip("/")] if group else []
    if isinstance(source, zarr.Group | StorePath):
        parts.insert(0, source.path)
        return source.store, "/".join(p for p in parts if p), str(source.store)
    if type(source).__module__.split(".")[0] == "obstore":
        return ObjectStore(source, read_only=True), "/".join(parts), str(source)
    if isinstance(source, str | os.PathLike):
        text = os.fspath(source)
        local = "://" not in text and "::" not in text
        return str(Path(text).expanduser()) if local else text, "/".join(parts), text
    return source, "/".join(parts), str(source)


def _is_consolidated(store: Any, path: str, name: str, storage_options: Any) -> bool:
    """Ask the store itself: xarray would try, warn and try again."""
    try:
        found = zarr.open_group(store, path=path or None, mode="r", storage_options=storage_options)
    except ContainsArrayError as error:
        raise ValueError(
            f"{name!r} is an array of Zarr, and a collection is a group with coordinates. Name the "
            "group that the array is in."
        ) from error
    except (FileNotFoundError, KeyError) as error:
        raise FileNotFoundError(
            f"there is no group of Zarr at {name!r}"
            + (f" in {path!r}" if path else "")
            + ". Check the path; for a group within a store, write group=...; a plain web server "
            "needs a store with consolidated metadata."
        ) from error
    if path:  # xarray looks for consolidated metadata at the root
        try:
            found = zarr.open_group(store, mode="r", storage_options=storage_options)
        except (FileNotFoundError, KeyError):
            return False
    return found.metadata.consolidated_metadata is not None


def _open(source: Any, options: dict[str, Any]) -> xr.Dataset:
    """Open with integers kept as they are stored; only coordinates and floats are decoded."""
    if options.get("mask_and_scale", True) is True:  # asked for: done in the end, see _decoded
        raw = _opened(source, {**options, "chunks": None, "mask_and_scale": False})
        options = {**options, "mask_and_scale": _to_decode(raw)}
        raw.close()
    opened = _opened(source, options)
    return opened.assign(
        {n: _unsigned(v) for n, v in opened.data_vars.items() if "_Unsigned" in v.attrs}
    )


_UNDECODABLE = re.compile(r"unable to decode time units '([^']*)'", re.I)
"""How xarray says of which times it makes nothing."""


def _opened(source: Any, options: dict[str, Any]) -> xr.Dataset:
    try:
        return xr.open_dataset(source, **options)
    except ValueError as error:
        units = _UNDECODABLE.search(str(error))
        if units is None:
            raise
        raise ValueError(
            f"times of {_called(source)} are counted in {units[1]!r}, which names no instants "
            "(months and years differ in length; other units or calendars may not be known). Take "
            "the numbers as they are and give the times yourself: open_collection(..., "
            "decode_times=False).assign_coords(time=pandas.date_range('2000-01-01', "
            "periods=..., freq='MS'))."
        ) from error
    except TypeError as error:
        found = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if found is None:
            raise
        known = inspect.signature(xr.open_dataset).parameters
        raise unknown_option(found[1], known, "xarray.open_dataset") from error


def _called(source: Any) -> str:
    return f"{source!r}" if isinstance(source, str) else f"the store {source}"


def _to_decode(raw: xr.Dataset) -> dict[Any, bool]:
    return {name: band.dtype.kind not in "iu" for name, band in raw.data_vars.items()}


def _unsigned(band: xr.DataArray) -> xr.DataArray:
    """NetCDF 3 has no unsigned integers, and says in an attribute which are meant."""
    sign = "u" if str(band.attrs["_Unsigned"]).lower() == "true" else "i"
    dtype = np.dtype(f"{sign}{band.dtype.itemsize}")
    meant = band.astype(dtype)
    meant.attrs = {k: v for k, v in band.attrs.items() if k != "_Unsigned"}
    for name in ("_FillValue", "missing_value"):
        if name in meant.attrs:
            meant.attrs[name] = np.asarray(meant.attrs[name]).astype(dtype)[()]
    return meant


# ---------------------------------------------------------------------------------------------
# NetCDF
# ---------------------------------------------------------------------------------------------


def open_netcdf(paths: Sequence[str], request: Request, **options: Any) -> xr.Dataset:
    """Open one NetCDF file, or several with other times or other bands.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    options = {"cache": False, **options}
    if "engine" not in options:
        needed("netCDF4", "netcdf", "NetCDF files")
    parts = [_open_file(path, request, options) for path in paths]
    if len(parts) == 1:
        what = f"the file {paths[0]!r}"
        given = _as_given(parts[0], paths[0], request, what)
        given = _several_decoded(given, request, options)
        return _one_packing(finish(given, request, what), request, what, options)
    request.packing.check_bands(_bands_among(parts), "the files have")
    parts = [
        with_given_packing(part, path, f"the file {path!r}", request, _bands_among(parts))
        for part, path in zip(parts, paths, strict=True)
    ]
    decode = options.get("mask_and_scale") is True
    for i, path in enumerate(paths):
        with warnings.catch_warnings():
            if i > 0 or not decode:  # said once, of the whole
                warnings.simplefilter("ignore", UserWarning)
            part = _several_decoded(parts[i], request, options)
            checked = finish(part, _all_of(part, request), f"the file {path!r}")
        if decode:  # files may be packed differently
            parts[i] = _decoded(checked, options)
    if decode:
        request = replace(request, nodata=None)
    names = [repr(path) for path in paths]
    merged = merge_parts(parts, names, lambda i: _grid(parts[i]))
    names = [repr(part.encoding.get("source", "a file")) for part in merged]
    joined = join_images(merged, names, request, lambda i: _grid(merged[i]), OTHERWISE)
    return finish(joined, settled(request, joined), f"the files from {paths[0]!r} on")


OTHERWISE = (
    "Write mask_and_scale=True to have it decoded to floats; or, if what is declared is wrong, "
    "packing={'name of the band': {'scale': ..., 'offset': ...}}, or a function of the path that "
    "gives such a mapping."
)
"""What to write where files cannot be brought to one packing."""


def _as_given(opened: xr.Dataset, source: Any, request: Request, what: str) -> xr.Dataset:
    """Let what a single store or file holds declare the packing that the user gives for it."""
    if DIM not in opened.dims and DIM in opened.coords:
        opened = opened.expand_dims(DIM)
    bands = bands_of(opened, DIM)
    request.packing.check_bands(bands, f"{what} has")
    return with_given_packing(opened, source, what, request, bands)


def _one_packing(
    finished: xr.Dataset, request: Request, what: str, options: Mapping[str, Any]
) -> xr.Dataset:
    """Decode what a single store or file holds, or bring it to the packing that is asked for."""
    if options.get("mask_and_scale") is True:
        return _decoded(finished, options)
    return in_one_packing(finished, [finished], [what], request, OTHERWISE)


def _bands_among(parts: Sequence[xr.Dataset]) -> list[Any]:
    return list(dict.fromkeys(name for part in parts for name in bands_of(part, DIM)))


def _all_of(part: xr.Dataset, request: Request) -> Request:
    """Ask for all that a part has."""
    given = {n: request.nodata_of(n) for n in part.data_vars if request.overrides(n)}
    return Request(None, None, given, request.missing)


def _open_file(path: str, request: Request, options: dict[str, Any]) -> xr.Dataset:
    if "://" not in path and not Path(path).exists():
        raise FileNotFoundError(f"there is no file {path!r}. Check the path.")
    options = {"engine": reader_of_netcdf(path), **options}
    with _opened(path, {**options, "chunks": None, "decode_cf": False}) as raw:
        chunks = {**_chunks(raw), **(request.chunks or {})}
    part = as_asked(_open(path, {"chunks": chunks, **options}), request)
    return part.expand_dims(DIM) if DIM not in part.dims and DIM in part.coords else part


def _chunks(raw: xr.Dataset) -> dict[Any, int]:
    """Keep a file's own chunks; one without any is cut by image, and into tiles."""
    stored = [v.encoding.get("chunksizes") for v in raw.data_vars.values() if DIM in v.dims]
    if stored and all(stored):
        return {}
    sizes = {d: min(size, TILE) for d, size in raw.sizes.items()}
    return {**sizes, DIM: 1} if DIM in sizes else sizes


def _grid(part: xr.Dataset) -> str:
    spans = []
    for dim in part.dims:
        if dim != DIM:
            ends = (
                f" from {part[dim].values[0]} to {part[dim].values[-1]}"
                if dim in part.coords
                else ""
            )
            spans.append(f"{dim}: {part.sizes[dim]}{ends}")
    return ", ".join(spans)

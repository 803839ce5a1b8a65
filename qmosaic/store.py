"""The sink: a mosaic is computed while it is written to Zarr.

The store is laid out once, as a template without pixels; then every block of the mosaic is
computed and written as one chunk of the store, so that no two tasks ever touch the same chunk.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import xarray as xr
import zarr
from dask.diagnostics import ProgressBar

from qmosaic.collection import check_choice, declared_nodata, sources_of
from qmosaic.mosaic import KEPT_ENCODING


def to_zarr(
    mosaic: xr.Dataset | xr.DataArray,
    store: Any,
    *,
    mode: str = "w-",
    progress: bool | None = None,
    **options: Any,
) -> None:
    """Compute a mosaic and write it to a Zarr store, block by block, on the active scheduler.

    Parameters
    ----------
    mosaic : xarray.Dataset or xarray.DataArray
        The mosaic; chunks of the store become the blocks of the mosaic. Where the blocks of a
        dimension are of different sizes, which Zarr cannot store, the largest is taken for all.
    store : str, Path or zarr store
        Where to write.
    mode : {"w-", "w"}, default: "w-"
        Refuse a store that exists, or replace it.
    progress : bool, optional
        Whether to show a progress bar; by default on a terminal.
    **options
        Passed on to ``xarray.Dataset.to_zarr``: ``group``, ``encoding``, ``zarr_format``,
        ``consolidated``, ``storage_options``.

    Raises
    ------
    FileExistsError
        The store exists and ``mode="w-"``, or what is there is not a Zarr store.
    ValueError
        An unknown mode; a band whose nodata does not fit its dtype; or the store is the one that
        the mosaic is made from.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm, zarr
    >>> mosaic = xr.Dataset({"red": (("y", "x"), np.ones((4, 4), "uint16"))})
    >>> store = zarr.storage.MemoryStore()
    >>> qm.to_zarr(mosaic, store)
    >>> xr.open_zarr(store, consolidated=False)["red"].dtype
    dtype('uint16')
    """
    check_choice("mode", mode, ("w-", "w"))
    for fixed in ("compute", "append_dim", "region"):
        if fixed in options:
            raise ValueError(
                f"to_zarr() got {fixed}={options[fixed]!r}: it writes a whole mosaic to a store "
                f"of its own. Use "
                f"mosaic.to_zarr(..., {fixed}=...) of xarray for that."
            )
    dataset = _as_dataset(mosaic)
    _check_encoding(dataset, options.get("encoding") or {})
    _check_target(dataset, store, mode, options)
    dataset = _in_store_chunks(_declare_nodata(dataset), options.get("encoding") or {})
    # Readers other than zarr-python do not know consolidated metadata in format 3.
    options.setdefault("consolidated", options.get("zarr_format") == 2)
    encoding = _store_encoding(dataset, options.pop("encoding", None) or {})
    write: Any = dataset.to_zarr  # its overloads cannot be told apart with options passed on
    plan = write(store, mode=mode, compute=False, encoding=encoding, **options)
    with _progress(progress):
        plan.compute()


def _as_dataset(mosaic: xr.Dataset | xr.DataArray) -> xr.Dataset:
    if isinstance(mosaic, xr.DataArray):
        return mosaic.to_dataset(name=mosaic.name or "mosaic")
    if not isinstance(mosaic, xr.Dataset):
        raise TypeError(
            f"to_zarr() got a {type(mosaic).__name__}; it writes an xarray.Dataset or DataArray, "
            f"as "
            "quality_mosaic() gives them."
        )
    return mosaic.copy()


def _check_encoding(dataset: xr.Dataset, encoding: dict[Hashable, Any]) -> None:
    """Refuse an encoding for what is not there, before a store is made."""
    for name in encoding:
        if name not in dataset.variables:
            known = ", ".join(repr(n) for n in dataset.variables)
            raise ValueError(
                f"to_zarr() got an encoding for {name!r}, which the mosaic does not have; it has "
                f"{known}. Correct the name, or leave it out."
            )


def _check_target(dataset: xr.Dataset, store: Any, mode: str, options: dict[str, Any]) -> None:
    """Refuse a target before anything in it is touched."""
    path = _local_path(store)
    if path is not None:
        _check_path(dataset, path)
    if mode == "w-" and _holds_group(store, options):
        where = path if path is not None else store
        raise FileExistsError(
            f"the store {str(where)!r} exists already and mode='w-' does not replace anything. "
            f"Write "
            "to another one, or pass mode='w' to replace it."
        )


def _local_path(store: Any) -> Path | None:
    if isinstance(store, os.PathLike) or (isinstance(store, str) and "://" not in store):
        return Path(store)
    root = getattr(store, "root", None)
    return root if isinstance(root, Path) else None


def _check_path(dataset: xr.Dataset, path: Path) -> None:
    if path.is_dir() and any(path.iterdir()) and not _looks_like_zarr(path):
        raise FileExistsError(
            f"{str(path)!r} is a folder with files in it that is no Zarr store; writing would "
            f"mix with them or "
            "delete them. Write to a path of its own, for instance "
            f"{str(path / 'mosaic.zarr')!r}."
        )
    if path.is_file() and path.suffix != ".zip":
        raise FileExistsError(
            f"{str(path)!r} is a file, not a folder that a Zarr store could be in. Write to "
            f"another path."
        )
    for source in sources_of(dataset):
        if "://" not in source and _nested(Path(source).resolve(), path.resolve()):
            raise ValueError(
                f"the mosaic is made from {source!r}, and writing to {str(path)!r} would destroy "
                f"it before it is "
                "read. Write to another path."
            )


def _nested(a: Path, b: Path) -> bool:
    return a == b or a in b.parents or b in a.parents


def _looks_like_zarr(path: Path) -> bool:
    return any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray", ".zmetadata"))


def _holds_group(store: Any, options: dict[str, Any]) -> bool:
    path = _local_path(store)
    if path is not None and not path.exists():
        return False
    storage = options.get("storage_options")
    try:
        zarr.open(store, path=options.get("group"), mode="r", storage_options=storage)
    except (FileNotFoundError, KeyError):
        return False
    return True


def _declare_nodata(dataset: xr.Dataset) -> xr.Dataset:
    """Write a nodata that only an attribute of odc or rioxarray names as ``_FillValue`` too."""
    for name, band in dataset.data_vars.items():
        nodata = declared_nodata(band)
        if nodata is not None and "_FillValue" not in band.attrs | band.encoding:
            dataset[name] = band.assign_attrs(_FillValue=nodata)
    return dataset


def _in_store_chunks(dataset: xr.Dataset, encoding: dict[Hashable, Any]) -> xr.Dataset:
    """Bring every variable into chunks that Zarr can store: all of one size but the last."""
    for name, variable in list(dataset.variables.items()):
        if variable.chunks is None:
            continue
        asked = encoding.get(name, {})
        sizes = asked.get("shards") or asked.get("chunks")
        sizes = sizes or [_regular(chunks) for chunks in variable.chunks]
        wanted = dict(zip(variable.dims, sizes, strict=True))
        chunked = variable.chunk(wanted)
        dataset[name] = (chunked.dims, chunked.data, variable.attrs, dict(variable.encoding))
    return dataset


def _regular(chunks: tuple[int, ...]) -> int:
    return max(max(chunks), 1)


def _store_encoding(
    dataset: xr.Dataset, asked: dict[Hashable, Any]
) -> dict[Hashable, dict[str, Any]]:
    """Let the chunks of the store be the blocks of the mosaic, unless others were asked for.

    What xarray is given as encoding replaces a variable's own: the way its values are packed
    has to be said again.
    """
    full: dict[Hashable, dict[str, Any]] = {n: dict(e) for n, e in asked.items()}
    for name, variable in dataset.variables.items():
        packing = {k: v for k, v in variable.encoding.items() if k in KEPT_ENCODING}
        if variable.chunks is not None:
            packing["chunks"] = tuple(_regular(chunks) for chunks in variable.chunks)
        if name in asked or variable.chunks is not None:
            full[name] = packing | full.get(name, {})
    return full


@contextlib.contextmanager
def _progress(wanted: bool | None) -> Iterator[None]:
    """Show dask's own progress bar."""
    if wanted is None:
        wanted = sys.stderr.isatty()
    with ProgressBar(out=sys.stderr) if wanted else contextlib.nullcontext():
        yield

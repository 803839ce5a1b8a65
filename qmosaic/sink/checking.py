"""The first step: what a user gives, checked one argument after the other."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any, Literal

import xarray as xr

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.model import check_choice
from qmosaic.collection.times import in_utc
from qmosaic.collection.transforms import true_to_grid
from qmosaic.sink.cutting import BLOCK_BYTES
from qmosaic.sink.multiscale import FULL, settle_pyramid
from qmosaic.sink.overwriting import check_place
from qmosaic.sink.steps import Mode, OnError, Request, Sizes, Tell
from qmosaic.sink.store_group import Place, open_place
from qmosaic.sink.template import OWN
from qmosaic.sink.updatable import check_updatable, in_blocks

NAME_OF_DASK = re.compile(r"-[0-9a-f]{32}$")
"""What dask calls an array ends like this, and xarray takes that for a name where none is given."""


def check(
    mosaic: xr.Dataset | xr.DataArray,
    store: Any,
    *,
    mode: Mode = "w-",
    retries: int = 3,
    on_error: OnError = "raise",
    progress: Tell = None,
    inputs: str | None = None,
    group: str | None = None,
    encoding: Mapping[Hashable, Mapping[str, Any]] | None = None,
    chunks: Sizes | None = None,
    shards: Sizes | None = None,
    block_bytes: int | None = None,
    zarr_format: Literal[2, 3] | None = None,
    consolidated: bool | None = None,
    storage_options: dict[str, Any] | None = None,
    updatable: bool = False,
    levels: Literal["auto"] | int | None = None,
    overview_resampling: str | Mapping[Any, str] | None = None,
    others: Mapping[str, Any] | None = None,
) -> Request:
    """Check what `qmosaic.to_zarr` was given, and settle what was not said.

    Raises
    ------
    TypeError, ValueError, FileExistsError
        An argument that cannot be right, or a place that cannot be written.
    """
    check_choice("mode", mode, ("w-", "w", "resume"))
    check_run(retries, on_error, progress)
    block_bytes = check_block_bytes(block_bytes)
    _refuse_options(others or {})
    place = open_place(store, group, storage_options)
    dataset = as_dataset(mosaic)
    check_place(place)
    for name in OWN:
        dataset.attrs.pop(name, None)
    if zarr_format is None:
        zarr_format = (place.format_there() if mode == "resume" else None) or 3
    if zarr_format not in (2, 3):
        raise ValueError(
            f"zarr_format={zarr_format!r} is no format that can be written: give 2 or 3."
        )
    # Readers other than zarr-python do not know consolidated metadata in format 3.
    consolidated = zarr_format == 2 if consolidated is None else consolidated
    if not isinstance(updatable, bool):
        raise ValueError(
            f"updatable={updatable!r} does not say whether the mosaic can be updated later: give "
            "True or False."
        )
    pyramid = settle_pyramid(dataset, levels, overview_resampling)
    if pyramid is not None:
        _check_no_session(place)
        place = replace(place, inner=FULL)
    if updatable:
        check_updatable(dataset, encoding or {})
        dataset = in_blocks(dataset)
    return Request(
        dataset=declare_nodata(dataset),
        place=place,
        mode=mode,
        retries=retries,
        on_error=on_error,
        progress=progress,
        inputs=inputs,
        encoding=encoding or {},
        chunks=chunks,
        shards=shards,
        block_bytes=block_bytes,
        zarr_format=zarr_format,
        consolidated=consolidated,
        updatable=updatable,
        pyramid=pyramid,
    )


def _check_no_session(place: Place) -> None:
    """Refuse overviews in a session of Icechunk, which has to be committed before it is read."""
    if place.session is not None:
        raise ValueError(
            "levels= asks for overviews in a session of Icechunk. They are made from what is "
            "written, and a session cannot be forked for that before it is committed. Leave "
            "levels= out, or write to a store of its own, qmosaic.to_zarr(mosaic, 'best.zarr', "
            "levels='auto')."
        )


def check_run(retries: int, on_error: OnError, progress: Tell) -> None:
    """Check how jobs are to be run.

    Raises
    ------
    ValueError
        An argument that cannot be right.
    """
    check_choice("on_error", on_error, ("raise", "skip"))
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise ValueError(
            f"retries={retries!r} does not say how often a chunk is read again: give a whole "
            "number, 0, 1, 2 ..."
        )
    if progress is not None and not isinstance(progress, bool) and not callable(progress):
        raise ValueError(
            f"progress={progress!r} does not say how progress is shown: give True for a bar, False "
            "for nothing, a function that takes a qmosaic.Progress, or leave it out."
        )


def check_block_bytes(block_bytes: int | None) -> int:
    """Settle how much of a band a job makes at once."""
    if block_bytes is None:
        return BLOCK_BYTES
    if isinstance(block_bytes, bool) or not isinstance(block_bytes, int) or block_bytes < 1:
        raise ValueError(
            f"block_bytes={block_bytes!r} does not say how many bytes of a band a task may make at "
            f"once: give a whole number above 0, such as {BLOCK_BYTES} (the default), or leave it "
            "out."
        )
    return block_bytes


def _refuse_options(others: Mapping[str, Any]) -> None:
    for name, value in others.items():
        if name in ("compute", "append_dim", "region"):
            raise ValueError(
                f"to_zarr() got {name}={value!r}: it writes a complete mosaic to its own store. "
                f"Use xarray for that: xarray.decode_cf(mosaic).to_zarr(..., {name}=...), which "
                "keeps nodata and packing where xarray wants them."
            )
        raise TypeError(
            f"to_zarr() got an unexpected option {name}={value!r}; of xarray's options it takes "
            "encoding, zarr_format, consolidated, group and storage_options."
        )


def as_dataset(mosaic: xr.Dataset | xr.DataArray, function: str = "to_zarr") -> xr.Dataset:
    """Copy a mosaic as a Dataset, to be written; an image of `qmosaic.ee` has one behind it.

    A DataArray without a name of its own (stackstac's has dask's, another one in every run) becomes
    the variable "mosaic".
    """
    if not isinstance(mosaic, xr.Dataset | xr.DataArray):
        mosaic = getattr(mosaic, "dataset", mosaic)
    if isinstance(mosaic, xr.DataArray):
        if mosaic.name in mosaic.coords and mosaic.name not in mosaic.dims:
            # as mosaic["source_index"] has itself as a coordinate
            mosaic = mosaic.reset_coords([mosaic.name], drop=True)
        named = mosaic.name and not NAME_OF_DASK.search(str(mosaic.name))
        return true_to_grid(in_utc(mosaic.to_dataset(name=mosaic.name if named else "mosaic")))
    if not isinstance(mosaic, xr.Dataset):
        raise TypeError(
            f"{function}() got a {type(mosaic).__name__}; it takes an xarray.Dataset or DataArray, "
            "as quality_mosaic() gives them."
        )
    return true_to_grid(in_utc(mosaic.copy()))


def declare_nodata(dataset: xr.Dataset) -> xr.Dataset:
    """Write a nodata that only an attribute of odc or rioxarray names as ``_FillValue`` too."""
    for name, band in dataset.data_vars.items():
        nodata = declared_nodata(band)
        if nodata is not None and "_FillValue" not in band.attrs | band.encoding:
            dataset[name] = band.assign_attrs(_FillValue=nodata)
    return dataset

"""How a score is written: a function of numpy arrays, applied to bands chunk by chunk."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.declarations import check_decoded, declared_nodata, declared_packing
from qmosaic.collection.pixelwise import of_single_pixels

NUMERIC = "biuf"


def score_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Give the float that holds a band: float32 up to 16 bits, else float64."""
    return np.result_type(dtype, np.float32) if dtype.kind != "b" else np.dtype(np.float32)


def bare(band: xr.DataArray) -> xr.DataArray:
    """Keep the coordinates and the CRS of a band; drop the attributes that describe its values."""
    plain = band.copy(deep=False)
    plain.attrs = {k: v for k, v in band.attrs.items() if k == "grid_mapping"}
    plain.encoding = {k: v for k, v in band.encoding.items() if k == "grid_mapping"}
    return plain.rename(None)


def as_collection(collection: Any, caller: str) -> Any:
    """Give a mapping of band names to bands; also of an array with a dimension ``band``."""
    if isinstance(collection, xr.DataArray) and "band" in collection.dims:
        array = collection.drop_vars(
            [n for n, c in collection.coords.items() if "band" in c.dims and n != "band"]
        )
        return array.to_dataset("band")
    if isinstance(collection, xr.Dataset | Mapping):
        return collection
    raise TypeError(
        f"{caller} got a {type(collection).__name__}; it needs a collection, an xarray.Dataset "
        "with the bands that are named."
    )


def check_numeric(band: Any, caller: str) -> None:
    """Refuse what is no band of numbers."""
    if not isinstance(band, xr.DataArray):
        raise TypeError(
            f"{caller} got a {type(band).__name__}; a score is made of bands, xarray.DataArrays. "
            "Write collection['name of the band']."
        )
    if band.dtype.kind not in NUMERIC:
        raise TypeError(
            f"{caller} got a band of dtype {band.dtype}, which has no numbers to make a score of. "
            "Pass an integer, float or bool band."
        )


def is_number(value: Any) -> bool:
    """Tell whether a value is a number, Python's or numpy's; a bool is none."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def check_positive(value: Any, name: str, caller: str) -> float:
    """Refuse a width, distance or angle that is not above 0."""
    number = _number(value)
    if not (np.isfinite(number) and number > 0):
        raise ValueError(f"{caller} got {name}={value!r}; it has to be a finite number above 0.")
    return number


def check_finite(value: Any, name: str, caller: str) -> float:
    """Refuse what is no number."""
    number = _number(value)
    if not np.isfinite(number):
        raise ValueError(f"{caller} got {name}={value!r}; it has to be a finite number.")
    return number


def _number(value: Any) -> float:
    if isinstance(value, str | bool):
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def check_score(value: Any, name: str, caller: str) -> float:
    """Refuse a score that is no number; NaN is one: never a candidate."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(
            f"{caller} got {name}={value!r}; a score is a number, or NaN where such pixels are "
            "never to win."
        ) from None
    return number


def of_band(
    band: xr.DataArray, func: Callable[..., Any], caller: str, **arguments: Any
) -> xr.DataArray:
    """Apply a function of float arrays to one band: masked pixels are NaN, before and after."""
    check_numeric(band, caller)
    return of_bands([band], func, caller, **arguments)


def of_bands(
    bands: list[xr.DataArray],
    func: Callable[..., Any],
    caller: str,
    *,
    scaling: Sequence[tuple[float, float]] | None = None,
    **arguments: Any,
) -> xr.DataArray:
    """Apply a function of float arrays to bands that lie on one grid: one task a chunk.

    Integers become ``band * scale + offset``: by `scaling`, else by what they declare.
    """
    for band in bands:
        check_numeric(band, caller)
        if scaling is None:
            check_decoded(band, caller)
    check_aligned(bands, caller)
    # a score with one number an image (of its date) does not widen those with one a pixel
    widest = max(band.ndim for band in bands)
    dtype = np.result_type(*(score_dtype(band.dtype) for band in bands if band.ndim == widest))
    score = by_chunk(
        _masked,
        bands,
        dtype,
        func=func,
        nodata=[declared_nodata(band) for band in bands],
        scaling=[declared_packing(band) for band in bands] if scaling is None else list(scaling),
        result=dtype,
        arguments=arguments,
    )
    dims = next(band.dims for band in bands if band.ndim == widest)
    wanted = (*dims, *(d for d in score.dims if d not in dims))
    return score if score.dims == wanted else score.transpose(*wanted)


def by_chunk(
    kernel: Callable[..., Any], bands: list[xr.DataArray], dtype: Any, **arguments: Any
) -> xr.DataArray:
    """Apply a function of single pixels to bands, chunk by chunk where they are lazy.

    Unlike what ``apply_ufunc(dask="parallelized")`` makes, the layers are symbolic: however many
    images there are, the tasks of a mosaic carry nothing of them.
    """
    made: xr.DataArray = xr.apply_ufunc(
        functools.partial(
            _chunk_by_chunk,
            kernel=of_single_pixels(functools.partial(kernel, **arguments)),
            dtype=dtype,
        ),
        *_in_same_chunks([bare(band) for band in bands]),
        dask="allowed",
        join="override",
        keep_attrs="override",  # those of coordinates
    )
    return made


def _in_same_chunks(bands: list[xr.DataArray]) -> list[xr.DataArray]:
    """Give lazy bands the same chunks; where they have them, the graph stays as it is."""
    known: dict[Hashable, Any] = {}
    for band in bands:
        for dim, sizes in band.variable.chunksizes.items():
            if known.setdefault(dim, sizes) != sizes:
                # coordinates may be lazy too, and in other chunks
                cut: Any = xr.unify_chunks(*(one.reset_coords(drop=True) for one in bands))
                return [b.copy(data=c.data) for b, c in zip(bands, cut, strict=True)]
    return bands


def _chunk_by_chunk(*arrays: Any, kernel: Callable[..., Any], dtype: Any) -> Any:
    lazy = [array for array in arrays if isinstance(array, da.Array)]
    if not lazy:
        return kernel(*arrays)
    ndim = max(np.ndim(array) for array in arrays)
    chunked = [a if isinstance(a, da.Array) else _chunked_as(np.asarray(a), lazy) for a in arrays]
    return da.map_blocks(
        kernel, *chunked, dtype=dtype, meta=np.empty((0,) * ndim, dtype), chunks=_wide(chunked)
    )


def _wide(arrays: list[Any]) -> tuple[Any, ...]:
    """Give the chunks of a result: those of the arrays that are not of size 1 along an axis."""
    ndim = max(array.ndim for array in arrays)
    chunks: list[Any] = []
    for axis in range(-ndim, 0):
        along = [array.chunks[axis] for array in arrays if -axis <= array.ndim]
        chunks.append(max(along, key=lambda sizes: (sum(sizes) != 1, len(sizes))))
    return tuple(chunks)


def _chunked_as(array: Any, lazy: list[Any]) -> Any:
    """Chunk what lies in memory (one number an image, as a rule) as the lazy bands are."""
    chunks: list[Any] = []
    for axis in range(-array.ndim, 0):
        size = array.shape[axis]
        like = [a.chunks[axis] for a in lazy if -axis <= a.ndim and a.shape[axis] == size]
        chunks.append(like[0] if like and size > 1 else (size,))
    return da.from_array(array, chunks=tuple(chunks))


def _masked(
    *values: Any,
    func: Callable[..., Any],
    nodata: list[Any],
    scaling: list[tuple[float, float]],
    result: Any,
    arguments: Any,
) -> Any:
    """Apply `func` to floats; mask the result where one of them is masked, or it is not finite."""
    floats = []
    for array, missing, (scale, offset) in zip(values, nodata, scaling, strict=True):
        wide = array.astype(result)
        if (scale, offset) != (1.0, 0.0):
            wide = wide * result.type(scale) + result.type(offset)
        if missing is not None:
            wide[array == missing] = np.nan
        floats.append(wide)
    with np.errstate(all="ignore"):
        score = np.asarray(func(*floats, **arguments), result)
    finite = np.isfinite(score)
    if not finite.all():
        score = np.where(finite, score, result.type(np.nan))
    return score


def check_aligned(bands: list[xr.DataArray], caller: str) -> None:
    """Refuse bands whose images or pixels are not the same: xarray would drop what differs."""
    first = bands[0]
    for band in bands[1:]:
        for dim in set(first.dims) & set(band.dims):
            same = first.sizes[dim] == band.sizes[dim] and (
                dim not in first.coords
                or dim not in band.coords
                or np.array_equal(first[dim].values, band[dim].values)
            )
            if not same:
                raise ValueError(
                    f"{caller} got bands that differ along {dim!r} ({first.sizes[dim]} and "
                    f"{band.sizes[dim]} entries, or other coordinates), so a pixel of one is no "
                    "pixel of the other. Take them from one collection, or bring them onto one "
                    "grid first."
                )


def sigmoid(values: Any, slope: float, centre: float) -> Any:
    """Compute ``1 / (1 + exp(slope * (values - centre)))``."""
    return 1 / (1 + np.exp(slope * (values - centre)))

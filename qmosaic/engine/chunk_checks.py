"""Shape and dtype that a chunk was promised to have: checked before a pixel of it is used.

numpy would make room for a chunk of another shape by broadcasting it, and for one of another dtype
by casting it: a mosaic of other pixels, and no error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qmosaic.collection.masks import Array, has_nan

HOW_TO_DECLARE = (
    "Let the function return what its array promises, or declare what it returns: map_blocks(..., "
    "dtype=..., chunks=...), xr.apply_ufunc(..., output_dtypes=[...]), or the dtype and shape of "
    "what da.from_array(...) is given."
)


class UnexpectedChunkError(ValueError):
    """A chunk is not of the shape or dtype that its dask array promises.

    The message says what came, what was promised, and how to make the two agree: let the function
    return what its array promises, or declare what it returns (``dtype=``, ``chunks=``,
    ``output_dtypes=``).

    It is no `qmosaic.ChunkReadError`: reading again would give the same, and nothing that was
    computed with such an array can be relied on. So it is neither repeated nor left out with
    ``on_error="skip"``.
    """


def as_promised(
    values: Any, shape: tuple[int, ...], dtype: np.dtype[Any], nodata: Any = None
) -> Array:
    """Give a chunk in the dtype that was promised.

    Parameters
    ----------
    values : Any
        What came.
    shape, dtype
        What was promised.
    nodata : scalar, optional
        What stands for the masked values of a numpy masked array, where the dtype has no NaN.

    Returns
    -------
    array
        `values` itself, as a rule. Another byte order, or a dtype all of whose values the promised
        one holds exactly (int16 for int32, float32 for float64, uint8 for float32), is cast. Of
        a masked array the masked values are NaN or `nodata`.

    Raises
    ------
    UnexpectedChunkError
        It has another shape, a dtype that would change values or their order, masked values for
        which there is no nodata, or is no array. The message does not name the chunk.
    """
    if type(values) is np.ndarray and values.shape == shape and values.dtype == dtype:
        return values
    promised = f"an array of {_described(dtype, shape)} was promised"
    if not hasattr(values, "__array__"):
        raise UnexpectedChunkError(
            f"a {type(values).__name__} came, and {promised}. {HOW_TO_DECLARE}"
        )
    array = _unmasked(values, nodata) if isinstance(values, np.ma.MaskedArray) else values
    array = np.asarray(array)
    if array.shape != tuple(shape) or not _holds(dtype, array.dtype):
        came = _described(array.dtype, array.shape)
        raise UnexpectedChunkError(f"an array of {came} came, and {promised}. {HOW_TO_DECLARE}")
    return array.astype(dtype, copy=False)


def _described(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    return f"dtype {dtype} and shape {tuple(int(n) for n in shape)}"


def _unmasked(values: Any, nodata: Any) -> Array:
    """Put the value that stands for "masked" where a masked array has its mask."""
    if not np.ma.is_masked(values):
        return np.asarray(values.data)
    if has_nan(values.dtype):
        fill = np.nan if values.dtype.kind in "fc" else values.dtype.type("NaT")
        return np.asarray(values.filled(fill))
    if nodata is None:
        raise UnexpectedChunkError(
            f"a numpy masked array of {values.dtype} came, with masked values, and the band "
            "declares no nodata that could stand for them. Fill them (.filled(...) in the "
            "function, da.ma.filled(...)) and declare that value: "
            "ds[band].attrs['_FillValue'] = ..."
        )
    return np.asarray(values.filled(nodata))


def _holds(promised: np.dtype[Any], came: np.dtype[Any]) -> bool:
    """Whether a dtype has all values of another one, exactly and in the same order."""
    if promised.kind == "O" or came == promised:
        return True
    if promised.kind in "US":
        return came.kind == promised.kind and came.itemsize <= promised.itemsize
    if promised.kind not in "biufcmM" or came.kind not in "biufcmM":
        return False
    if promised.kind in "mM" or came.kind in "mM":
        return came.newbyteorder("=") == promised.newbyteorder("=")
    rounded = came.kind in "iu" and came.itemsize == 8 and promised.kind in "fc"
    return np.can_cast(came, promised, "safe") and not rounded

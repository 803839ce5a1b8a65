"""The simplest scores: a negated band, the normalized difference of two bands."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.declarations import check_decoded, declared_nodata, declared_packing
from qmosaic.collection.pixelwise import of_single_pixels
from qmosaic.scores.expressions import bare, check_numeric, of_bands

_WIDER: dict[str, str] = {
    "bool": "int8",
    "uint8": "int16",
    "uint16": "int32",
    "uint32": "int64",
    "int8": "int16",
    "int16": "int32",
    "int32": "int64",
}


def inverse(band: xr.DataArray) -> xr.DataArray:
    """Negate a band, so that its lowest values rank highest: ``-band``, without wrapping round.

    An unsigned band has no negatives: ``-band`` would turn 1 into 255. Integers are widened
    to the next larger signed dtype before they are negated.

    Parameters
    ----------
    band : xarray.DataArray
        A numeric band of any shape, for instance a cloud probability (0 to 100, %).

    Returns
    -------
    xarray.DataArray
        ``-band`` in the same unit and shape, lazy where `band` is. uint8 and int8 become int16,
        16 bits become int32, 32 bits become int64, bool becomes int8; floats and int64 keep their
        dtype. A declared nodata is negated too, so what was masked stays masked. The lowest int64,
        which has no negative, becomes the highest one, or stays as it is where it is the nodata.

        Packed integers (``scale_factor`` among the attributes) are negated as they are stored,
        without the offset. Where the scale is negative they stay as they are: the lowest integer
        means the highest number already.

    Raises
    ------
    TypeError
        The band is not numeric, or uint64, which no signed integer can hold.
    ValueError
        Its ``scale_factor`` is 0 or no number; or it holds floats and has a negative one, so that
        nothing tells whether they are decoded.

    Notes
    -----
    The first step of Earth Engine's example for ``qualityMosaic``: ``MSK_CLDPRB`` × −1,
    https://developers.google.com/earth-engine/apidocs/ee-imagecollection-qualitymosaic

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> qm.scores.inverse(xr.DataArray(np.array([0, 1, 100], "uint8"))).values
    array([   0,   -1, -100], dtype=int16)
    """
    check_numeric(band, "inverse()")
    check_decoded(band, "inverse()", order_only=True)
    dtype = band.dtype
    if dtype == np.uint64:
        raise TypeError(
            "inverse() got a uint64 band: no signed integer holds the negatives of all its "
            "values. Write inverse(band.astype('int64')) if they stay below 2**63."
        )
    nodata = declared_nodata(band)
    wide = np.dtype(_WIDER.get(dtype.name, dtype)).newbyteorder("=")
    scale, _ = declared_packing(band)
    turn = _widened if scale < 0 else _negative
    if turn is _negative and dtype.name == "int64" and nodata == np.iinfo(dtype).min:
        turn = _wrapping  # it stays what it is, and no other integer becomes that
    data = band.data
    if isinstance(data, da.Array):
        turned = data.map_blocks(turn, wide, dtype=wide)
    else:
        turned = turn(data, wide)
    score = bare(band).copy(data=turned)
    if nodata is not None:
        score.attrs["_FillValue"] = turn(np.array([nodata], dtype), wide)[0]
    return score


@of_single_pixels
def _widened(values: Any, wide: np.dtype[Any]) -> Any:
    """Give integers whose meaning the packing has negated already."""
    return np.asarray(values).astype(wide)


@of_single_pixels
def _wrapping(values: Any, wide: np.dtype[Any]) -> Any:
    """Negate in a wider dtype, without a widened copy in between."""
    return np.asarray(np.negative(values, dtype=wide))


@of_single_pixels
def _negative(values: Any, wide: np.dtype[Any]) -> Any:
    """Negate; the lowest int64 becomes the highest."""
    negative = _wrapping(values, wide)
    if wide == np.int64:
        np.copyto(negative, np.iinfo(wide).max, where=negative == np.iinfo(wide).min)
    return negative


def normalized_difference(a: xr.DataArray, b: xr.DataArray) -> xr.DataArray:
    """Compute ``(a - b) / (a + b)``, the form of NDVI, NDWI, NBR and the like.

    Parameters
    ----------
    a, b : xarray.DataArray
        Two numeric bands of the same unit (reflectances, digital numbers) and shape. For NDVI
        `a` is the near infrared and `b` the red one.

    Returns
    -------
    xarray.DataArray
        The index, without unit, -1 to 1 for bands that are not negative; lazy where `a` or `b`
        is. float32 for integers of up to 16 bits and for float32, else float64. NaN where
        ``a + b`` is 0 and where `a` or `b` is masked (NaN, or its declared nodata), so that such a
        pixel is no candidate.

    Raises
    ------
    TypeError
        A band is not numeric.
    ValueError
        The bands are not on one grid; or one holds floats that declare a packing, so that nothing
        tells whether they are decoded.

    Notes
    -----
    Integers that declare ``scale_factor`` and ``add_offset`` among their attributes are unpacked.
    Rouse et al. (1974), Monitoring vegetation systems in the Great Plains with ERTS. Unlike
    Earth Engine's ``normalizedDifference``, negative inputs are not masked.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> nir, red = xr.DataArray(np.uint16([300, 0])), xr.DataArray(np.uint16([100, 0]))
    >>> qm.scores.normalized_difference(nir, red).values
    array([0.5, nan], dtype=float32)
    """
    return of_bands([a, b], _difference, "normalized_difference()")


def _difference(a: Any, b: Any) -> Any:
    difference = np.asarray(a - b)
    return np.divide(difference, a + b, out=difference)

"""Scores of bands whose numbers are codes: scene classes, bit flags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.masks import fits
from qmosaic.scores.expressions import by_chunk, check_numeric, check_score


def classes(
    band: xr.DataArray, scores: Mapping[int, float], *, other: float = np.nan
) -> xr.DataArray:
    """Give each scene class a score.

    Parameters
    ----------
    band : xarray.DataArray
        Classes, for instance Sentinel-2's SCL (4 vegetation, 5 bare soil, 6 water, 7 unclassified,
        11 snow, 3 cloud shadow, 8 to 10 cloud and cirrus, 0 no data, 1 saturated); any shape.
    scores : mapping of class to score
        Any unit and range, the highest wins. Kept as float32, which holds integers up to 16777216.
    other : float, default: NaN
        The score of classes that are not listed. With NaN they are never candidates.

    Returns
    -------
    xarray.DataArray
        float32, in the shape of `band`, lazy where that is; NaN where it is masked.

    Raises
    ------
    ValueError
        No class is listed, or one that the band's dtype cannot hold.
    TypeError
        The band has no numbers.

    Notes
    -----
    SCL: https://sentiwiki.copernicus.eu/web/s2-processing#S2-Processing-Scene-Classification

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> scl = xr.DataArray(np.uint8([4, 5, 9]))
    >>> qm.scores.classes(scl, {4: 1.0, 5: 0.9}).values
    array([1. , 0.9, nan], dtype=float32)
    """
    check_numeric(band, "classes()")
    _check_table(scores, "classes()", "{4: 1.0, 5: 0.9}")
    for code in scores:
        if band.dtype.kind in "iub" and not fits(code, band.dtype):
            raise ValueError(
                f"classes() got the class {code!r}, which a band of dtype {band.dtype} cannot "
                "have. Correct the class."
            )
    nodata = declared_nodata(band)
    table = {c: check_score(s, f"the class {c!r}: score", "classes()") for c, s in scores.items()}
    rest = check_score(other, "other", "classes()")
    return _coded(band, _look_up, table=table, other=rest, nodata=nodata)


def _look_up(values: Any, *, table: dict[int, float], other: float, nodata: Any) -> Any:
    score = np.full(values.shape, other, np.float32)
    for code, value in table.items():
        score[values == code] = value
    return _without_masked(score, values, nodata)


def bits(
    band: xr.DataArray,
    flags: Mapping[int | tuple[int, int], float | Mapping[int, float]],
    *,
    clear: float = 1.0,
) -> xr.DataArray:
    """Give each bit flag a score; where several flags apply, the lowest score counts.

    Parameters
    ----------
    band : xarray.DataArray
        Integers whose bits are flags, such as Landsat's QA_PIXEL or Sentinel-2's QA60; any shape.
    flags : mapping
        A bit (0 is the lowest) to the score of the pixels in which it is set; or the first and
        last bit of a field to a mapping of the field's value to its score. Any unit and range,
        kept as float32. With NaN such pixels are never candidates.
    clear : float, default: 1.0
        The score of pixels to which none of the flags applies.

    Returns
    -------
    xarray.DataArray
        float32, in the shape of `band`, lazy where that is; NaN where it is masked, or a flag's
        score is NaN.

    Raises
    ------
    TypeError
        The band does not hold integers.
    ValueError
        No flag is listed, a bit that the band's dtype does not have, or a value that a field cannot
        have.

    Notes
    -----
    QA_PIXEL of Landsat Collection 2: bit 0 fill, 1 dilated cloud, 2 cirrus, 3 cloud, 4 cloud
    shadow, 5 snow, 6 clear, 7 water, 8–9 cloud confidence (3 high), 10–11 shadow, 12–13 snow,
    14–15 cirrus;
    https://www.usgs.gov/landsat-missions/landsat-collection-2-quality-assessment-bands

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> qa = xr.DataArray(np.uint16([0b0, 0b1000, 0b10_0000_0000, 0b1]))
    >>> flags = {0: np.nan, 3: 0.0, (8, 9): {2: 0.5, 3: 0.0}}
    >>> qm.scores.bits(qa, flags).values
    array([1. , 0. , 0.5, nan], dtype=float32)
    """
    check_numeric(band, "bits()")
    if band.dtype.kind not in "iu":
        raise TypeError(
            f"bits() got a band of dtype {band.dtype}, which has no bits; "
            + (
                "True and False are a score already, band.astype('float32')."
                if band.dtype.kind == "b"
                else "xarray decodes integers with nodata to floats. Open it with "
                "mask_and_scale=False (open_collection does), or write "
                "band.fillna(1).astype('uint16') with a value that stands for masked."
            )
        )
    _check_table(flags, "bits()", "{3: 0.0, 4: 0.2}")
    fields = [_field(bit, score, band.dtype) for bit, score in flags.items()]
    # a fill of 1, QA_PIXEL's, is a flag of its own: bit 0
    clear = check_score(clear, "clear", "bits()")
    return _coded(band, _lowest, fields=fields, clear=clear, nodata=declared_nodata(band))


def _check_table(table: Any, caller: str, example: str) -> None:
    if not isinstance(table, Mapping) or not table:
        got = "no entry" if isinstance(table, Mapping) else f"a {type(table).__name__}"
        raise ValueError(
            f"{caller} got {got}; it needs a mapping of codes to scores. Write, for instance, "
            f"{example}."
        )


def _field(bit: Any, score: Any, dtype: np.dtype[Any]) -> tuple[int, int, dict[int, float]]:
    """Give a flag as the number of its first bit, its mask, and the score of each value."""
    first, last = bit if isinstance(bit, tuple) and len(bit) == 2 else (bit, bit)
    width = dtype.itemsize * 8
    if isinstance(bit, tuple) and len(bit) == 2 and last < first:
        raise ValueError(f"bits() got the field {bit!r}; the lower bit comes first: {bit[::-1]!r}.")
    whole = all(isinstance(b, int | np.integer) and not isinstance(b, bool) for b in (first, last))
    if not whole or not 0 <= first <= last < width:
        raise ValueError(
            f"bits() got the flag {bit!r}; a band of dtype {dtype} has the bits 0 to {width - 1}. "
            "Write one of them, or the first and last of a field, (8, 9)."
        )
    most = (1 << (last - first + 1)) - 1
    if not isinstance(score, Mapping):
        if last > first:
            raise ValueError(
                f"bits() got one score for the field {bit!r}, whose value can be 0 to {most}. "
                f"Write a score for each value that matters: {{{bit!r}: {{{most}: {score!r}}}}}."
            )
        score = {1: score}
    _check_table(score, f"bits() for the field {bit!r}", f"{{{bit!r}: {{{most}: 0.0}}}}")
    for value in score:
        if not 0 <= value <= most:
            raise ValueError(
                f"bits() got the value {value!r} for the bits {bit!r}, which can be 0 to {most}."
            )
    checked = {int(v): check_score(s, f"{bit!r}: score", "bits()") for v, s in score.items()}
    return int(first), most, checked


def _lowest(values: Any, *, fields: list[Any], clear: float, nodata: Any) -> Any:
    lowest = np.full(values.shape, np.inf, np.float32)
    for first, mask, scores in fields:
        field = (values >> values.dtype.type(first)) & values.dtype.type(mask)
        for value, score in scores.items():
            np.minimum(lowest, np.float32(score), out=lowest, where=field == value)
    lowest[np.isposinf(lowest)] = clear
    return _without_masked(lowest, values, nodata)


def _without_masked(score: Any, values: Any, nodata: Any) -> Any:
    if nodata is not None:
        score[values == nodata] = np.nan
    if values.dtype.kind == "f":
        score[np.isnan(values)] = np.nan
    return score


def _coded(band: xr.DataArray, func: Any, **arguments: Any) -> xr.DataArray:
    return by_chunk(func, [band], np.dtype("float32"), **arguments)

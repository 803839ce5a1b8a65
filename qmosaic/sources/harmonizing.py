"""Images that are packed differently come to mean the same.

Where they differ by an offset that is a whole number of steps of the scale, adding that number to
their integers makes them alike, and nothing is lost.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.declarations import NODATA_NAMES, declared_nodata
from qmosaic.collection.pixelwise import Placed
from qmosaic.sources.packing import NONE, SAME_OFFSET, Harmonize, Packing, declared

IN_PACKED_UNITS = ("valid_min", "valid_max", "valid_range")
"""Attributes that CF wants in the units of the integers: no longer true once these change."""

OF_DTYPE = ("dtype", "rasterio_dtype", *NODATA_NAMES)
"""Encodings by which wider integers would be written as narrow ones again."""


@dataclass(frozen=True)
class Agreement:
    """The packing that all images of a band are brought to.

    Attributes
    ----------
    packing : Packing
        What the band means then.
    steps : tuple of int
        What is added to the integers of each image.
    """

    packing: Packing
    steps: tuple[int, ...]

    @property
    def changes(self) -> bool:
        """Whether any image is changed."""
        return any(self.steps)


def agree(
    band: Hashable,
    dtype: Any,
    packings: Sequence[Packing | None],
    names: Sequence[str],
    harmonize: Harmonize,
    otherwise: str,
) -> Agreement:
    """Find the packing that all images of a band can be brought to.

    Parameters
    ----------
    band : hashable
        Its name.
    dtype : dtype
        Of its pixels.
    packings : sequence of Packing or None
        What is known of each image; None where nothing is said.
    names : sequence of str
        What to call each image in errors.
    harmonize : {"lossless", "wider", "earth_engine"}
        The lowest offset that there is, so that no integer falls, or none.
    otherwise : str
        What to write where there is no such packing.

    Raises
    ------
    ValueError
        Some images say what they mean and others do not, or no whole number of steps lies between
        them.
    """
    known = [p for p in packings if p is not None]
    if not known:
        return Agreement(NONE, (0,) * len(packings))
    _check_known(band, packings, names, otherwise)
    each = [p or NONE for p in packings]
    first = next(i for i, p in enumerate(packings) if p is not None)
    one = all(p.is_like(each[first]) for p in each)
    if one and (harmonize != "earth_engine" or not each[first].offset):
        return Agreement(each[first], (0,) * len(each))
    if np.dtype(dtype).kind not in "iu":
        if one:
            return Agreement(each[first], (0,) * len(each))
        other = next(i for i, p in enumerate(each) if not p.is_like(each[first]))
        raise _apart(band, each, names, first, other, f"its numbers are {dtype}", otherwise)
    # integers grow towards the lowest offset (the highest, for a negative scale)
    lowest = min(each, key=lambda p: p.offset / each[first].scale)
    target = Packing(each[first].scale, 0.0 if harmonize == "earth_engine" else lowest.offset)
    for place, packing in enumerate(each):
        steps = packing.steps_to(target)
        if not packing.has_scale_of(target):
            why = "integers of different steps cannot be compared"
            raise _apart(band, each, names, first, place, why, otherwise)
        if abs(steps - round(steps)) > SAME_OFFSET:
            why = f"{target} is {steps:.6g} steps away, which is no whole number"
            raise _apart(band, each, names, first, place, why, otherwise)
    return Agreement(target, tuple(round(packing.steps_to(target)) for packing in each))


def _check_known(
    band: Hashable, packings: Sequence[Packing | None], names: Sequence[str], otherwise: str
) -> None:
    """Refuse images that say nothing beside others that say what their integers mean."""
    silent = [n for p, n in zip(packings, names, strict=True) if p is None]
    telling = [(p, n) for p, n in zip(packings, names, strict=True) if p not in (None, NONE)]
    if silent and telling:
        packing, teller = telling[0]
        more = f" and {len(silent) - 3} more" if len(silent) > 3 else ""
        raise ValueError(
            f"what the integers of band {band!r} mean is not said by {', '.join(silent[:3])}{more} "
            f"({len(silent)} of {len(names)}), while {teller} says {packing}. Say it: {otherwise}"
        )


def _apart(
    band: Hashable,
    packings: Sequence[Packing],
    names: Sequence[str],
    first: int,
    other: int,
    why: str,
    otherwise: str,
) -> ValueError:
    who = f"{names[first]} ({packings[first]})"
    if other != first:
        who = f"{who} and {names[other]} ({packings[other]})"
    kind = "is packed differently in" if other != first else "cannot be harmonized in"
    return ValueError(f"band {band!r} {kind} {who}: {why}. {otherwise}")


def brought_to(
    band: xr.DataArray, agreement: Agreement, harmonize: Harmonize, dim: Hashable
) -> xr.DataArray:
    """Bring the images of a band to one packing, lazily: one symbolic layer, a task a chunk.

    Parameters
    ----------
    band : xarray.DataArray
        Integers along `dim`, with the nodata declared that stays what it is.
    agreement : Agreement
        What is added to each image.
    harmonize : {"lossless", "wider", "earth_engine"}
        What happens to integers that have no place any more.
    dim : hashable
        The dimension of the images.
    """
    if not agreement.changes:
        return declared(band, agreement.packing)
    nodata = declared_nodata(band)
    dtype = _wider(band) if harmonize == "wider" else band.dtype
    axis = band.dims.index(dim)
    pixels = band.data
    if not isinstance(pixels, da.Array):
        pixels = da.from_array(pixels, chunks=-1)
    how: dict[str, Any] = {
        "steps": np.array(agreement.steps, dtype="int64"),
        "axis": axis,
        "nodata": None if nodata is None else int(nodata),
        "to": np.dtype(dtype),
        "clamp": harmonize == "earth_engine",
        "name": str(band.name),
    }
    empty = np.empty((0,) * pixels.ndim, dtype)
    own = functools.partial(_moved, how=how)
    moved = pixels.map_blocks(Placed(own, [axis], pixels.chunks), dtype=dtype, meta=empty)
    new = declared(band.copy(deep=False, data=moved), agreement.packing)
    new.attrs = {k: v for k, v in new.attrs.items() if k not in IN_PACKED_UNITS}
    if new.dtype != band.dtype:
        cast = new.dtype.type
        new.attrs = {k: cast(nodata) if k in NODATA_NAMES else v for k, v in new.attrs.items()}
        new.encoding = {k: v for k, v in band.encoding.items() if k not in OF_DTYPE}
    return new


def _wider(band: xr.DataArray) -> Any:
    size = band.dtype.itemsize * 2
    if size > 8:
        raise ValueError(
            f"harmonize='wider' asks for integers wider than {band.dtype} for band {band.name!r}, "
            "and there are none. Write harmonize='lossless'."
        )
    return np.dtype(f"{band.dtype.kind}{size}")


def _moved(pixels: Any, *, how: Mapping[str, Any], corner: tuple[int, ...]) -> Any:
    """Add to each image its own number of steps; the first of them has the number `corner`."""
    axis, (start,) = how["axis"], corner
    steps = how["steps"][start : start + pixels.shape[axis]]
    if not steps.any() and pixels.dtype == how["to"]:
        return pixels
    moved = pixels.astype(how["to"])
    images = np.moveaxis(moved, axis, 0)
    for place, own in enumerate(map(int, steps)):
        if own:
            where = f"band {how['name']!r}, image {start + place} (counted from 0)"
            images[place] = add_steps(images[place], own, how["nodata"], how["clamp"], where)
    return moved


def add_steps(pixels: Any, steps: int, nodata: int | None, clamp: bool, where: str) -> Any:
    """Add a number to integers that are not nodata; none wraps round or becomes nodata.

    Parameters
    ----------
    pixels : numpy array of integers
        The pixels of an image.
    steps : int
        What is added.
    nodata : int, optional
        What stays as it is.
    clamp : bool
        Whether what falls below the lowest valid integer becomes that; an error otherwise.
    where : str
        What to call the pixels in errors.

    Raises
    ------
    ValueError
        An integer would have no place in the dtype, or be nodata.
    """
    dtype, limits = pixels.dtype, np.iinfo(pixels.dtype)
    lowest = int(limits.min) + (nodata == limits.min)
    data = np.ones(pixels.shape, bool) if nodata is None else pixels != nodata
    low, lost = np.zeros_like(data), np.zeros_like(data)
    if steps < 0:
        low = data & (pixels < lowest - steps)
    else:
        lost = data & (pixels > int(limits.max) - steps)
    if nodata is not None and limits.min < nodata and limits.min <= nodata - steps <= limits.max:
        lost |= data & (pixels == nodata - steps)
    lost = lost if clamp else lost | low
    if lost.any():
        value = int(pixels[lost][0])
        to_nodata = value + steps == nodata
        end = "which is its nodata" if to_nodata else f"outside of {dtype}"
        ways = [] if to_nodata else ["harmonize='wider' for integers of twice the size"]
        if not clamp:
            how = "(what falls below the lowest integer becomes that)"
            ways.append(f"harmonize='earth_engine' for offset 0 {how}")
        raise ValueError(
            f"{where}: to have one packing for all images, {steps:+d} is added, and {value} would "
            f"be {value + steps}, {end}. Write {', '.join([*ways, 'nodata='])} if such pixels are "
            "no data, or packing= if what is declared is wrong."
        )
    moved = pixels + np.array([steps]).astype(dtype)  # nodata may wrap round here
    moved[low] = lowest
    moved[~data] = pixels[~data]
    return moved

"""A band of a file, and how the pixels of a mosaic become its pixels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qmosaic.collection.masks import Array

DATE_UNIT = "YYYYMMDD"
"""How dates are written: whole numbers that people and GIS programs read alike."""


LONGEST_NODATA = 10**15
"""GDAL's readers take a nodata for a float: a longer one would come back as another number."""


@dataclass(frozen=True)
class Band:
    """A band of a file.

    Attributes
    ----------
    name : str
        Its description in the file.
    variable : hashable
        The variable of the mosaic that it is from.
    place : int, optional
        Which of the bands along the dimension ``band`` of the variable it is.
    dtype : numpy.dtype
        How its pixels are stored.
    nodata : int or float, optional
        The value that stands for "missing" in the file.
    masked : tuple of numbers
        The values that stand for "missing" in the mosaic, beside NaN and NaT.
    resampling : str
        How its overviews are made.
    scale, offset : float
        What a stored number means: number * scale + offset.
    unit : str
        The unit of what it means.
    tags : mapping
        Further attributes.
    """

    name: str
    variable: Hashable
    place: int | None
    dtype: np.dtype[Any]
    nodata: float | None
    masked: tuple[float, ...] = ()
    resampling: str = "nearest"
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def settle(self, values: Array) -> Array:
        """Give pixels as they are stored: in the dtype, and with one value for "missing".

        Raises
        ------
        ValueError
            A pixel that is not missing has that value.
        """
        if values.dtype.kind == "M":
            missing, values = np.isnat(values), dates_of(values)
        elif self._is_settled(values):
            return values.astype(self.dtype, copy=False)
        else:
            missing = values != values
            for value in self.masked:
                missing |= values == value
        stored = np.where(missing, values.dtype.type(0), values).astype(self.dtype)
        taken = ~missing & (stored == self.nodata)
        if taken.any():
            raise ValueError(
                f"band {self.name!r} has pixels of the value {self.nodata:.17g} that are not "
                "missing, and the file says that this value is. Choose one that no pixel has: "
                f"nodata={{{self.name!r}: ...}}."
            )
        stored[missing] = self.nodata
        return stored

    def _is_settled(self, values: Array) -> bool:
        """Whether what is missing has the value of the file already, or nothing can be."""
        own = () if self.nodata is None else (self.nodata,)
        others = [value for value in self.masked if value not in own]
        nan = self.nodata is not None and np.isnan(self.nodata)
        return not others and (values.dtype.kind != "f" or nan)


def dates_of(times: Array) -> Array:
    """Give the dates of times as numbers, 20200731 for 31 July 2020; 0 for one that is missing."""
    known = np.where(np.isnat(times), np.datetime64(0, "D"), times.astype("datetime64[D]"))
    months = known.astype("datetime64[M]")
    years = known.astype("datetime64[Y]").astype(np.int64) + 1970
    month = months.astype(np.int64) % 12 + 1
    day = (known - months.astype("datetime64[D]")).astype(np.int64) + 1
    found: Array = np.where(np.isnat(times), 0, years * 10000 + month * 100 + day)
    return found

"""Which bands lie in which file: a GeoTIFF has one dtype and one nodata."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from qmosaic.sink.cog.bands import LONGEST_NODATA, Band


@dataclass(frozen=True)
class File:
    """A file that is to be written.

    Attributes
    ----------
    path : Path
        Where.
    bands : tuple of Band
        Its bands, in order, of one dtype and one nodata.
    """

    path: Path
    bands: tuple[Band, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of its bands."""
        return self.bands[0].dtype

    @property
    def nodata(self) -> float | None:
        """What stands for "missing" in all of them."""
        return self.bands[0].nodata


def divide(bands: Sequence[Band], path: Path, taken: Iterable[Path] = ()) -> list[File]:
    """Divide bands into files: the most that are alike lie in one, each of the others has its own.

    Parameters
    ----------
    bands : sequence of Band
        In order.
    path : Path
        The file of the most that are alike. The others are called after it and their band.
    taken : iterable of Path
        The files that are written beside them.
    """
    alike: dict[Any, list[Band]] = {}
    for band in bands:
        alike.setdefault((band.dtype, str(band.nodata)), []).append(band)
    if not alike:
        return []
    most = max(alike.values(), key=len)
    found = [File(path, tuple(most))]
    names = {_alike(other) for other in (path, *taken)}
    for band in bands:
        if band not in most:
            own = beside(path, band.name, names)
            found.append(File(own, (band,)))
    return found


def promoted(files: Sequence[File], further: Sequence[Band]) -> list[File]:
    """Put further bands of whole numbers into the first file, in a dtype that holds all of them.

    Raises
    ------
    ValueError
        No dtype of GeoTIFF holds all exactly.
    """
    if not further:
        return list(files)
    first, *others = files
    dtype = np.result_type(first.dtype, *(band.dtype for band in further))
    exact = dtype.kind in "iu" or (dtype == np.float64 and first.dtype.itemsize < 8)
    if not exact:
        raise ValueError(
            f"provenance='bands' would put bands of {first.dtype} and {further[0].dtype} into one "
            "file, and no dtype holds both exactly. Write provenance='file', which puts the "
            "latter into a file beside it."
        )
    nodata: float = np.nan if dtype.kind == "f" else -1
    if first.dtype.kind == "i":  # which may have -1 among its pixels
        lowest = max(int(np.iinfo(dtype).min), 1 - LONGEST_NODATA)
        nodata = lowest if first.nodata is None else first.nodata
    bands = [replace(b, dtype=dtype, nodata=nodata) for b in (*first.bands, *further)]
    return [File(first.path, tuple(bands)), *others]


def beside(path: Path, name: str, taken: set[str]) -> Path:
    """Name a file after another one and a band, as none that is taken; it is taken then."""
    plain = re.sub(r"[^\w.+-]+", "_", name).strip("._") or "band"
    found, number = path.with_name(f"{path.stem}_{plain}{path.suffix}"), 1
    while _alike(found) in taken:
        number += 1
        found = path.with_name(f"{path.stem}_{plain}_{number}{path.suffix}")
    taken.add(_alike(found))
    return found


def _alike(path: Path) -> str:
    """Give what names have in common that some file systems take for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path.name).casefold())

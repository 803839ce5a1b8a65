"""What a user asks of a reader, checked as far as that does not depend on the source."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from qmosaic.optional import needed
from qmosaic.sources.packing import PackingRequest, make_packing_request

Missing = Literal["raise", "mask"]

Nodata = Mapping[Any, float | int | None] | float | int | None

DIM = "time"


class NoTimeError(ValueError):
    """Nothing tells when images were taken: a source is no collection, but may be an image."""


@dataclass(frozen=True)
class Request:
    """What a user asked of a reader.

    Attributes
    ----------
    bands : tuple of str, optional
        The bands to open, in this order; all by default.
    chunks : mapping, optional
        Sizes of chunks; the source's own by default.
    nodata : mapping or number, optional
        What replaces the nodata that bands declare.
    missing : {"raise", "mask"}
        What to do with a band that is missing in some images.
    packing : PackingRequest
        What replaces the packing that images declare, and which one all are brought to.
    single : bool
        Whether a source without times is taken for a single image.
    """

    bands: tuple[str, ...] | None
    chunks: Mapping[Hashable, Any] | None
    nodata: Nodata
    missing: Missing
    packing: PackingRequest = field(default_factory=PackingRequest)
    single: bool = False

    def overrides(self, band: Hashable) -> bool:
        """Tell whether the nodata of a band was given."""
        if isinstance(self.nodata, Mapping):
            return band in self.nodata or "*" in self.nodata
        return self.nodata is not None

    def check_nodata(self, bands: Sequence[Hashable], what: str) -> None:
        """Refuse a nodata for a band that is not opened."""
        if isinstance(self.nodata, Mapping):
            check_known(set(self.nodata) - {"*"}, bands, f"nodata= was given, but {what}")

    def nodata_of(self, band: Hashable) -> Any:
        """Give the nodata that was given for a band."""
        if not isinstance(self.nodata, Mapping):
            return self.nodata
        return self.nodata[band] if band in self.nodata else self.nodata["*"]


def make_request(
    bands: Any,
    chunks: Any,
    nodata: Any,
    missing: Any,
    packing: Any = None,
    harmonize: Any = "lossless",
) -> Request:
    """Check what does not depend on the source."""
    if chunks == "auto":
        chunks = None
    if chunks is not None and not isinstance(chunks, Mapping):
        raise TypeError(
            f"chunks={chunks!r} is no mapping. Write chunks={{'y': 2048, 'x': 2048}}, or leave it "
            "out."
        )
    for dim, size in (chunks or {}).items():
        if isinstance(size, int) and size < 1 and size != -1:
            raise ValueError(
                f"chunks= has {dim!r}: {size!r}; a chunk has one pixel at least. Give a number of "
                "pixels above 0, or -1 for all of them."
            )
    names = None if bands is None else (bands,) if isinstance(bands, str) else tuple(bands)
    if names is not None:
        check_unique(names, "bands= names")
        if not names:
            raise ValueError("bands= is empty; name one band at least, or leave it out for all.")
    if isinstance(nodata, str) or isinstance(nodata, bool):
        raise TypeError(
            f"nodata={nodata!r} is no number. Write nodata=0 for all bands, or "
            "nodata={'cloud': None} for single ones (None: every value of the band is data)."
        )
    return Request(names, chunks, nodata, missing, make_packing_request(packing, harmonize))


def check_unique(names: Sequence[Hashable], where: str) -> None:
    """Refuse a band that is there twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(
            f"{where} the band {twice[0]!r} {names.count(twice[0])} times; the name of a band has "
            "to be unique, or one would hide the other. Rename one of them, or leave it out."
        )


def check_known(asked: Iterable[Hashable] | None, known: Sequence[Hashable], what: str) -> None:
    """Refuse names of bands that the source does not have."""
    for name in asked or ():
        if name not in known:
            close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
            hint = f"Did you mean {close[0]!r}?" if close else "Give one of these."
            raise KeyError(
                f"{what} no band {name!r}; there are {', '.join(map(repr, known)) or 'none'}. "
                f"{hint}"
            )


def check_options(
    options: Mapping[str, Any],
    known: Iterable[str],
    reader: str,
    instead: Mapping[str, str] | None = None,
) -> None:
    """Refuse options that a reader does not know; GDAL's are in capitals."""
    known = list(known)
    for name in options:
        if instead and name in instead:
            raise TypeError(f"open_collection() knows no {name}=. Write {instead[name]}.")
        if name not in known and not name.isupper():
            raise unknown_option(name, known, reader)


def unknown_option(name: str, known: Iterable[str], reader: str) -> TypeError:
    """Make the error for an option that nothing knows; it names the one that may be meant."""
    close = difflib.get_close_matches(name, [*COMMON_OPTIONS, *known], n=1)
    hint = f"Did you mean {close[0]}=?" if close else "Leave it out."
    return TypeError(f"neither open_collection() nor {reader} knows {name}=. {hint}")


COMMON_OPTIONS = (
    "bands",
    "chunks",
    "nodata",
    "missing",
    "packing",
    "harmonize",
    "format",
    "groupby",
    "crs",
    "resolution",
    "bbox",
    "geobox",
    "resampling",
    "time",
    "pattern",
    "properties",
    "allow",
    "group",
    "storage_options",
)
"""The arguments of `open_collection`."""


def check_resampling(resampling: Any, bands: Sequence[str]) -> None:
    """Refuse methods that GDAL does not have, and bands that are not opened."""
    if resampling is None:
        return
    by_band = resampling if isinstance(resampling, Mapping) else {"*": resampling}
    check_known(set(by_band) - {"*"}, bands, "resampling= was given, but there is")
    supported = needed("rasterio.warp", "geotiff", "other grids").SUPPORTED_RESAMPLING
    methods = [method.name for method in supported]
    for method in by_band.values():
        if method not in methods:
            raise ValueError(
                f"resampling={method!r} is not known. Write one of {', '.join(map(repr, methods))}."
            )

"""The dtype, the nodata and the packing of each band: what its items say has to agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from qmosaic.collection.masks import free_value
from qmosaic.sources.harmonizing import Agreement, agree
from qmosaic.sources.nodata import check_fits
from qmosaic.sources.packing import Packing
from qmosaic.sources.request import Request
from qmosaic.sources.stac.band_metadata import BandMetadata, from_header, metadata_of, with_header
from qmosaic.sources.stac.faults import warn_of_faults
from qmosaic.sources.stac.headers import Headers
from qmosaic.sources.stac.packing import (
    faults_of_packing,
    packing_of,
    settle_packing,
    warn_of_doubtful,
    warn_of_unknown,
)

if TYPE_CHECKING:
    import pystac
    from odc.stac import ParsedItem


@dataclass(frozen=True)
class Band:
    """What is known of a band before any pixel is read.

    Attributes
    ----------
    name : str
        Its name, as it was asked for.
    places : tuple of int
        The items that have it, by their places in the order of time.
    dtype : str
        From the items, else from the header of a file.
    nodata : scalar, optional
        What is masked, and what pixels get that no image covers.
    overridden : bool
        Whether that replaces what the files declare.
    agreement : Agreement
        The packing of the band, and what is added to the integers of each item.
    """

    name: str
    places: tuple[int, ...]
    dtype: str
    nodata: Any
    overridden: bool
    agreement: Agreement


OTHERWISE = (
    "Write packing=lambda item: {'name of the band': {'scale': ..., 'offset': ...}} (None for "
    "items that say it rightly), or open the items of each kind on their own."
)
"""What to write where items cannot be brought to one packing."""


def settle_bands(
    names: Sequence[str],
    items: Sequence[pystac.Item],
    parsed: Sequence[ParsedItem],
    request: Request,
    headers: Headers,
) -> list[Band]:
    """Find dtype and nodata of the bands: in the items, else in the headers of files."""
    said = {name: metadata_of(name, items, parsed) for name in names}
    silent = [s for name in names for s in said[name] if s.is_silent(request.overrides(name))]
    headers.ask([source.uri for source in silent])
    found = {source: from_header(source, headers) for source in silent}
    for sources in said.values():
        sources[:] = [with_header(source, found.get(source)) for source in sources]
    told = {
        name: [replace(s, packing=packing_of(s, name, items, parsed)) for s in own]
        for name, own in said.items()
    }
    warn_of_faults(faults_of_packing(said, items, parsed), len(items))
    warn_of_doubtful(told, items, parsed, request)
    packed = settle_packing(told, items, request, headers)
    warn_of_unknown(told, packed, items, parsed)
    return [_band(name, said[name], packed[name], request) for name in names]


def _band(
    name: str, said: Sequence[BandMetadata], packed: Sequence[Packing | None], request: Request
) -> Band:
    """Settle the dtype and the nodata of a band; what its items say has to agree."""
    _check_one(name, "is", [(s.item, s.dtype) for s in said])
    dtype = str(said[0].dtype)
    overridden = request.overrides(name)
    if overridden:
        nodata = request.nodata_of(name)
    else:
        values = [_value(s.nodata, dtype) for s in said]
        _check_one(
            name, "declares nodata", [(s.item, v) for s, v in zip(said, values, strict=True)]
        )
        nodata = said[0].nodata
    check_fits(nodata, name, dtype, "" if overridden else said[0].says_nodata)
    if nodata is None:
        nodata = free_value(dtype)
    items = [f"the item {s.item!r}" for s in said]
    agreement = agree(name, dtype, packed, items, request.packing.harmonize, OTHERWISE)
    return Band(name, tuple(s.place for s in said), dtype, nodata, overridden, agreement)


def _value(nodata: Any, dtype: str) -> str:
    """Write a nodata so that it can be compared: NaN equals NaN, and for floats none."""
    if nodata is None and np.dtype(dtype).kind == "f":
        return "nan"
    return "none" if nodata is None else f"{nodata:g}" if nodata == nodata else "nan"


def _check_one(name: str, verb: str, found: Sequence[tuple[str, Any]]) -> None:
    first, value = found[0]
    for item, other in found:
        if other != value:
            nodata = "nodata" in verb
            why = "a collection has one" if nodata else "one dtype for both would change values"
            raise ValueError(
                f"band {name!r} {verb} {value} in {first!r} and {other} in {item!r}; {why}. Open "
                "the items of each kind on their own"
                + (f", or say which holds: nodata={{{name!r}: ...}}." if nodata else ".")
            )


def places_without(band: Band, images: int) -> list[int]:
    return [place for place in range(images) if place not in band.places]

"""What the integers of bands mean in each item: as the user, the item or the file says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qmosaic.sources.packing import NONE, Packing
from qmosaic.sources.request import Request
from qmosaic.sources.sentinel_2 import CHANGED
from qmosaic.sources.stac.band_metadata import BandMetadata, packing_in_header
from qmosaic.sources.stac.faults import Fault
from qmosaic.sources.stac.headers import Header, Headers
from qmosaic.sources.stac.item_packing import (
    damaged_packing,
    is_doubtful,
    is_probably_packed,
    packing_said,
)
from qmosaic.sources.stac.items import time_taken, utc
from qmosaic.sources.stac.parsing import key_of
from qmosaic.sources.user_warnings import warn

if TYPE_CHECKING:
    import pystac
    from odc.stac import ParsedItem


def packing_of(
    said: BandMetadata, name: str, items: Sequence[pystac.Item], parsed: Sequence[ParsedItem]
) -> Packing | None:
    """Tell what the integers of a band mean: as the item says, else as the header does."""
    key = key_of(parsed[said.place], name)
    assert key is not None  # the item has the band
    return packing_said(items[said.place], *key, said.dtype) or said.packing


def faults_of_packing(
    said: Mapping[str, Sequence[BandMetadata]],
    items: Sequence[pystac.Item],
    parsed: Sequence[ParsedItem],
) -> list[tuple[str, Fault]]:
    """Find scales and offsets that are none."""
    return [
        (source.item, Fault(field, value, why, "what else tells the packing, if anything does,"))
        for name, sources in said.items()
        for source in sources
        if (key := key_of(parsed[source.place], name))
        for field, value, why in damaged_packing(items[source.place], *key)
    ]


def settle_packing(
    said: Mapping[str, Sequence[BandMetadata]],
    items: Sequence[pystac.Item],
    request: Request,
    headers: Headers,
) -> dict[str, list[Packing | None]]:
    """Settle what the integers of bands mean in each item: what the user says counts first; where
    only some items say it, the files of the others are asked."""
    settle = [request.packing.of(i, f"the item {i.id!r}", list(said)) for i in items]
    packed = {n: [settle[s.place](n, s.packing) for s in own] for n, own in said.items()}
    silent = [
        (name, i)
        for name, own in packed.items()
        if any(packing not in (None, NONE) for packing in own)
        for i, packing in enumerate(own)
        if packing is None
    ]
    headers.ask([said[name][i].uri for name, i in silent])
    for name, i in silent:
        source = said[name][i]
        header = headers.get(source.uri)
        if isinstance(header, Header):  # else it says nothing
            packed[name][i] = packing_in_header(header.packing[source.number - 1])
    return packed


def warn_of_doubtful(
    said: Mapping[str, Sequence[BandMetadata]],
    items: Sequence[pystac.Item],
    parsed: Sequence[ParsedItem],
    request: Request,
) -> None:
    """Say of which items it is known that what they say of their packing can be wrong."""
    if request.packing.given is not None:
        return
    doubtful = {
        s.place: name
        for name, own in said.items()
        for s in own
        if (key := key_of(parsed[s.place], name)) and is_doubtful(items[s.place], key[0], s.packing)
    }
    if doubtful:
        place, band = min(doubtful.items())
        warn(
            f"{len(doubtful)} of {len(items)} items, {items[place].id!r} first, say that the "
            "offset of processing baseline 04.00 is still in their pixels "
            "(earthsearch:boa_offset_applied = false). Of some items that is known to be wrong "
            "(https://github.com/Element84/earth-search/issues/71): integers far below 1000 show "
            f"it. Write packing=lambda item: {{{band!r}: {{'offset': 0}}}} if item.id in wrong "
            "else None, or packing=lambda item: None if all are right; the collection "
            "sentinel-2-c1-l2a has no such items.",
        )


def warn_of_unknown(
    said: Mapping[str, Sequence[BandMetadata]],
    packed: Mapping[str, Sequence[Packing | None]],
    items: Sequence[pystac.Item],
    parsed: Sequence[ParsedItem],
) -> None:
    """Say that nothing tells on which side of a change of baseline the integers of items are."""
    for name, own in said.items():
        silent = [s for s, packing in zip(own, packed[name], strict=True) if packing is None]
        sides: dict[bool, list[str]] = {True: [], False: []}
        for source in silent:
            item, key = items[source.place], key_of(parsed[source.place], name)
            if key and is_probably_packed(item, key[0], source.dtype):
                sides[utc(time_taken(item)) >= CHANGED].append(item.id)
        if sides[True] and sides[False]:
            warn(
                f"nothing tells what the integers of band {name!r} mean in {len(silent)} items of "
                f"Sentinel-2, from before and after {CHANGED:%d %B %Y} ({sides[False][0]!r}, "
                f"{sides[True][0]!r}): processing baseline 04.00 added 1000 to them, and the "
                "items have no raster:bands and no s2:processing_baseline. They are taken as they "
                "are. Say it: packing=lambda item: {'B04': {'scale': 0.0001, 'offset': -0.1}} for "
                "those of baseline 04.00 or later, with the offset 0 for the others.",
            )
            return

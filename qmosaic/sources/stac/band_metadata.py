"""What is known of a band in one item: from the item, else from the header of its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qmosaic.sources.packing import NONE, Packing
from qmosaic.sources.stac.headers import Header, Headers
from qmosaic.sources.stac.parsing import UNSAID, key_of

if TYPE_CHECKING:
    import pystac
    from odc.stac import ParsedItem


@dataclass(frozen=True, eq=False)
class BandMetadata:
    """What is known of a band in one item."""

    place: int
    item: str
    uri: str
    number: int
    dtype: str | None
    nodata: float | None
    packing: Packing | None = None
    says_nodata: str = ""

    def is_silent(self, overridden: bool) -> bool:
        """Tell whether a header has to be asked."""
        return self.dtype is None or (self.nodata is None and not overridden)


def metadata_of(
    name: str, items: Sequence[pystac.Item], parsed: Sequence[ParsedItem]
) -> list[BandMetadata]:
    found = []
    for place, (item, known) in enumerate(zip(items, parsed, strict=True)):
        if key := key_of(known, name):
            source: Any = known.bands[key]
            dtype = None if source.meta is None else source.meta.data_type
            nodata = None if source.meta is None else source.meta.nodata
            dtype = None if dtype in (None, UNSAID) else str(dtype)
            told = "" if nodata is None else f"the item {item.id!r} (or stac_cfg=)"
            where = place, item.id, source.uri, source.band
            found.append(BandMetadata(*where, dtype, nodata, says_nodata=told))
    return found


def with_header(said: BandMetadata, header: tuple[str, Any, Packing | None] | None) -> BandMetadata:
    if header is None:
        return said
    if said.nodata is None:
        said = replace(said, nodata=header[1], says_nodata=f"the file {said.uri!r}")
    return replace(said, dtype=said.dtype or header[0], packing=header[2])


def from_header(source: BandMetadata, headers: Headers) -> tuple[str, Any, Packing | None]:
    header = headers.get(source.uri)
    if not isinstance(header, Header):
        raise ValueError(
            f"the item {source.item!r} does not say the dtype and nodata of all bands "
            f"(raster:bands), and the file {headers.opened(source.uri)!r}, which would, cannot be "
            f"opened ({header}). Check its address (patch_url= signs or changes addresses), or "
            "leave out what is no image: bands=[...]."
        ) from header
    number = source.number - 1
    return header.dtypes[number], header.nodata[number], packing_in_header(header.packing[number])


def packing_in_header(packing: Packing) -> Packing | None:
    """Take what a header says; that integers are what they mean, all say that say nothing."""
    return None if packing == NONE else packing

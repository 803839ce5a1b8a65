"""Where items lie: which of them touch a region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qmosaic.collection.geometry import LON_LAT, as_geometry, everywhere, in_words, projected
from qmosaic.optional import needed

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox


def touching(items: Sequence[pystac.Item], bbox: Sequence[float]) -> list[pystac.Item]:
    """Keep the items that touch a box; of the others nothing would be on the map."""
    kept = _in_region(items, as_geometry(tuple(bbox)))
    if not kept:
        raise ValueError(
            f"bbox={tuple(bbox)} (west, south, east, north; degrees) left none of {len(items)} "
            "items: none of them touches it. Check the order of its numbers, or give a larger one; "
            f"{items[0].id!r}, for instance, has the bbox {items[0].bbox}."
        )
    return kept


def check_touched(items: Sequence[pystac.Item], grid: GeoBox) -> None:
    """Refuse a grid on which nothing would be."""
    if grid.crs is not None and not _in_region(items, projected(grid.extent, LON_LAT)):
        raise ValueError(
            f"none of {len(items)} items touches the grid ({in_words(grid)}), so every pixel would "
            "be masked. Check geobox= (or crs=, resolution=, bbox=): does it lie where the items "
            f"do, for instance {items[0].id!r} with the bbox {items[0].bbox}?"
        )


def _in_region(items: Sequence[pystac.Item], region: Any) -> list[pystac.Item]:
    """Choose the items whose footprint touches a region in degrees; without one they may."""
    region = everywhere(region)
    return [
        item
        for item, outline in zip(items, map(outline_of, items), strict=True)
        if outline is None or outline.intersects(region)
    ]


def outline_of(item: pystac.Item) -> Any:
    """Give the footprint of an item: its geometry, else its bbox; None where it has neither."""
    geom = needed("odc.geo.geom", "stac", "STAC items")
    if item.geometry is not None:
        return geom.Geometry(item.geometry, LON_LAT)
    if item.bbox is not None:
        flat = item.bbox if len(item.bbox) == 4 else (*item.bbox[:2], *item.bbox[3:5])
        return as_geometry(tuple(flat))
    return None

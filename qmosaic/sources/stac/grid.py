"""The grid of the collection: that which is given, or that which the items share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qmosaic.collection.geometry import as_crs, short_crs
from qmosaic.optional import needed
from qmosaic.sources.grids import SAME_PLACE, check_alone, different, lattice_of, size_of
from qmosaic.sources.stac.parsing import key_of, tells_grid

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox
    from odc.stac import ParsedItem


def settle_grid(
    parsed: Sequence[ParsedItem],
    names: Sequence[str],
    crs: Any,
    resolution: Any,
    bbox: Sequence[float] | None,
    geobox: Any,
) -> GeoBox:
    """Settle the grid of the collection."""
    output_geobox = needed("odc.stac", "stac", "STAC items").output_geobox
    if geobox is not None:
        check_alone(crs, resolution, bbox)
        given: GeoBox = geobox
        return given
    size = size_of(resolution)
    shared = [name for name in names if all(key_of(item, name) for item in parsed)] or None
    used = different([own for item in parsed if (own := item.crs(shared)) is not None])
    if crs is None and len(used) != 1:
        found = (
            f"in several CRSs ({', '.join(map(short_crs, used))})"
            if used
            else "without a grid of their own (proj:code, proj:shape and proj:transform)"
        )
        raise ValueError(
            f"the items are {found}, and one grid has to hold them all. Say which: "
            f"crs={short_crs(used[0]) if used else 'EPSG:32633'!r}, resolution=10 (in the unit of "
            "that CRS), or geobox=... for a whole grid."
        )
    crs = None if crs is None else crs if crs == "utm" else as_crs(crs)
    if resolution is None and (crs is not None and crs not in used):
        names_used = ", ".join(map(short_crs, used)) or "unknown"
        raise ValueError(
            f"crs={str(crs)!r} is not that of the items ({names_used}), so their "
            "pixel size says nothing there. Give resolution=..., in the unit of that CRS."
        )
    told = all(tells_grid(item, shared or ()) for item in parsed)
    # without a CRS, odc keeps to the pixels of the items
    crs = crs if crs is not None or told else used[0]
    grid: GeoBox | None = output_geobox(parsed, shared, crs=crs, bbox=bbox)
    if size is not None and (crs is not None or grid is None or grid.resolution != size):
        grid = output_geobox(parsed, shared, crs=crs, resolution=size, bbox=bbox)
    if grid is None:
        raise ValueError(
            "the items do not tell their pixel size (proj:transform and proj:shape). Give "
            "resolution=..., in the unit of the CRS, or geobox=..."
        )
    if crs is None or size is None:
        anchor = _anchor_of_items(parsed, shared, grid)
        if anchor is not None:
            size = grid.resolution
            grid = output_geobox(
                parsed, shared, crs=grid.crs, resolution=size, bbox=bbox, anchor=anchor
            )
    return grid


def _anchor_of_items(
    parsed: Sequence[ParsedItem], names: Sequence[str] | None, grid: GeoBox
) -> Any:
    """Say where the pixels of the items lie; None where those of the grid lie there, or have
    another size.

    odc-geo to 0.5 at least takes a fraction of a pixel from the west for one from the east.
    """
    boxes = [found[0] for item in parsed if (found := item.geoboxes(names))]
    own = lattice_of([box for box in boxes if box.crs == grid.crs], grid.resolution)
    if own is None:
        return None
    places = ~grid.transform * (own.transform.c, own.transform.f)
    if all(abs(place - round(place)) < SAME_PLACE for place in places):
        return None
    make = needed("odc.geo", "stac", "STAC items").xy_
    return make(own.transform.c / own.resolution.x % 1, own.transform.f / -own.resolution.y % 1)

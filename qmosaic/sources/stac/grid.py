"""The grid of the collection: that which is given, or that which the items share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qmosaic.collection.geometry import as_crs, short_crs
from qmosaic.optional import needed
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
        if crs is not None or resolution is not None or bbox is not None:
            raise TypeError(
                "geobox= is a whole grid, so crs=, resolution= and bbox= have no say beside it. "
                "Give either that or these."
            )
        given: GeoBox = geobox
        return given
    if isinstance(resolution, str):
        raise TypeError(f"resolution={resolution!r} is no number. Write resolution=10.")
    shared = [name for name in names if all(key_of(item, name) for item in parsed)] or None
    used = _different([own for item in parsed if (own := item.crs(shared)) is not None])
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
    size = _size(resolution)
    grid: GeoBox | None = output_geobox(parsed, shared, crs=crs, bbox=bbox)
    if size is not None and (crs is not None or grid is None or grid.resolution != size):
        grid = output_geobox(parsed, shared, crs=crs, resolution=size, bbox=bbox)
    if grid is None:
        raise ValueError(
            "the items do not tell their pixel size (proj:transform and proj:shape). Give "
            "resolution=..., in the unit of the CRS, or geobox=..."
        )
    return grid


def _different(crs: Sequence[Any]) -> list[Any]:
    """Leave of CRSs those that differ, however they are written; in the order of their names."""
    found: list[Any] = []
    for other in dict.fromkeys(crs):
        if other not in found:
            found.append(other)
    return sorted(found, key=str)


def _size(resolution: Any) -> Any:
    """Understand a pixel size: a number, or (down, across)."""
    if resolution is None or not isinstance(resolution, int | float | tuple | list):
        return resolution
    sizes = np.broadcast_to(np.asarray(resolution, float), 2)
    if not (np.isfinite(sizes).all() and (sizes != 0).all()):
        raise ValueError(f"resolution={resolution!r} is no pixel size: give a number above 0.")
    make = needed("odc.geo", "stac", "STAC items").resyx_
    return make(-abs(float(sizes[0])), abs(float(sizes[1])))

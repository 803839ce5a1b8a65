"""What items say of the grids of assets, put right where it is damaged or missing.

Items are left alone: what is put right is a copy.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qmosaic.optional import needed
from qmosaic.sources.grids import SAME_PLACE
from qmosaic.sources.stac.faults import Fault
from qmosaic.sources.stac.headers import Header

if TYPE_CHECKING:
    import pystac


CRS_FIELDS = ("proj:code", "proj:epsg", "proj:wkt2", "proj:projjson")
"""Where an item tells its CRS; the first that is right holds."""

SHAPE, TRANSFORM, BOX = "proj:shape", "proj:transform", "proj:bbox"

PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"


@dataclass(frozen=True)
class Grid:
    """What an item says of the grid of an asset.

    Attributes
    ----------
    crs : (str, object), optional
        The field of the CRS that holds, and what it says.
    shape, transform : tuple, optional
        As STAC has them.
    faults : tuple of Fault
        What is damaged.
    is_plain : bool
        Whether it stands there in the form in which odc takes it.
    """

    crs: tuple[str, Any] | None
    shape: tuple[int, ...] | None
    transform: tuple[float, ...] | None
    faults: tuple[Fault, ...]
    is_plain: bool = True

    @property
    def is_whole(self) -> bool:
        """Tell whether nothing that is damaged lacks something in its place."""
        return all(fault.instead for fault in self.faults)

    @property
    def is_told(self) -> bool:
        """Tell whether nothing is missing."""
        return bool(self.crs and self.shape and self.transform)


def grid_of(item: pystac.Item, asset: pystac.Asset) -> Grid:
    """Read what an item says of the grid of an asset, and find out what of it can be so.

    A field of the asset stands for that of the item. Of the CRS the first field that is right
    holds; a shape or transform that is damaged is made of the other and the box of the grid.
    """
    faults: list[Fault] = []
    crs = _crs(item, asset, faults)
    shape = _checked(item, asset, SHAPE, _as_shape, faults)
    transform = _checked(item, asset, TRANSFORM, _as_transform, faults)
    box = _as_box(_field(item, asset, BOX))
    for i, fault in enumerate(faults):
        if fault.field == SHAPE and transform is not None and box is not None:
            shape = _shape_in(box, transform)
            faults[i] = fault if shape is None else replace(fault, instead=BOX)
        elif fault.field == TRANSFORM and shape is not None and box is not None:
            transform = _transform_in(box, shape)
            faults[i] = fault if transform is None else replace(fault, instead=BOX)
    return Grid(crs, shape, transform, tuple(faults), _is_plain(item, asset))


def _is_plain(item: pystac.Item, asset: pystac.Asset) -> bool:
    code, epsg, sides, numbers = (
        _field(item, asset, name) for name in ("proj:code", "proj:epsg", SHAPE, TRANSFORM)
    )
    return (
        ((code is None and epsg is None) or isinstance(code, str))
        and _are_all(sides, int)
        and _are_all(numbers, int | float)
    )


def _are_all(values: Any, kind: Any) -> bool:
    listed = isinstance(values, list) and all(isinstance(value, kind) for value in values)
    return values is None or listed


def _field(item: pystac.Item, asset: pystac.Asset, name: str) -> Any:
    own = asset.extra_fields
    return own[name] if name in own else item.properties.get(name)


def _crs(item: pystac.Item, asset: pystac.Asset, faults: list[Fault]) -> tuple[str, Any] | None:
    damaged: list[Fault] = []
    for name in CRS_FIELDS:
        value = _field(item, asset, name)
        if value is None:
            continue
        if _is_crs(_crs_text(name, value)):
            faults += [replace(fault, instead=name) for fault in damaged]
            return _with_code(name, value)
        damaged.append(Fault(name, value, "which is no CRS"))
    faults += damaged
    return None


def _with_code(name: str, value: Any) -> tuple[str, Any]:
    """Say a CRS by its code, where that says the same: so it is that of items with a code."""
    make = needed("odc.geo", "stac", "STAC items").CRS
    crs = make(_crs_text(name, value))
    code = crs.to_epsg()
    return ("proj:code", f"EPSG:{code}") if code and make(f"EPSG:{code}") == crs else (name, value)


def _crs_text(name: str, value: Any) -> str:
    if name == "proj:epsg":
        return f"EPSG:{value}"
    if name == "proj:code" and isinstance(value, int):
        return str(value)
    if name == "proj:projjson":
        return json.dumps(value, default=str)
    return value if isinstance(value, str) else ""


@functools.lru_cache(maxsize=1024)
def _is_crs(text: str) -> bool:
    make = needed("odc.geo", "stac", "STAC items").CRS
    try:
        make(text)
    except Exception:  # pyproj's, and those of what it is made of
        return False
    return bool(text)


def _checked(
    item: pystac.Item,
    asset: pystac.Asset,
    name: str,
    understand: Callable[[Any], Any],
    faults: list[Fault],
) -> Any:
    value = _field(item, asset, name)
    if value is None:
        return None
    try:
        return understand(value)
    except (ValueError, TypeError, OverflowError) as error:
        faults.append(Fault(name, value, f"which {error}"))
        return None


def _numbers(value: Any) -> tuple[float, ...]:
    """Read a list of numbers; written as texts they are numbers still."""
    if not isinstance(value, list | tuple):
        raise TypeError("is no list of numbers")
    try:
        numbers = tuple(float(number) for number in value)
    except (ValueError, TypeError):
        raise ValueError("is no list of numbers") from None
    if not all(map(math.isfinite, numbers)):
        raise ValueError("has numbers that are not finite")
    return numbers


def _as_shape(value: Any) -> tuple[int, ...]:
    sides = _numbers(value)
    if len(sides) != 2 or any(side < 1 or side != int(side) for side in sides):
        raise ValueError("is no shape: two whole numbers above 0, rows and columns")
    return tuple(map(int, sides))


def _as_transform(value: Any) -> tuple[float, ...]:
    numbers = _numbers(value)
    if len(numbers) not in (6, 9) or (len(numbers) == 9 and numbers[6:] != (0, 0, 1)):
        raise ValueError("is no transform: six numbers, or nine that end in 0, 0, 1")
    a, b, _, d, e, _ = numbers[:6]
    if a * e == b * d:
        raise ValueError("is no transform: its pixels have no area")
    return numbers[:6]


def _as_box(value: Any) -> tuple[float, ...] | None:
    try:
        box = _numbers(value)
    except (ValueError, TypeError):
        return None
    box = (*box[:2], *box[3:5]) if len(box) == 6 else box
    return box if len(box) == 4 and box[0] < box[2] and box[1] < box[3] else None


def _shape_in(box: Sequence[float], transform: Sequence[float]) -> tuple[int, ...] | None:
    """Count the pixels of a box; None where it does not hold whole pixels, or they are rotated."""
    a, b, _, d, e, _ = transform
    if b or d:
        return None
    sides = abs((box[3] - box[1]) / e), abs((box[2] - box[0]) / a)
    whole = tuple(map(round, sides))
    near = all(abs(s - w) < SAME_PLACE and w > 0 for s, w in zip(sides, whole, strict=True))
    return whole if near else None


def _transform_in(box: Sequence[float], shape: Sequence[int]) -> tuple[float, ...] | None:
    """Put a shape into a box; None where its pixels would not be squares."""
    across, down = (box[2] - box[0]) / shape[1], (box[3] - box[1]) / shape[0]
    if not math.isclose(across, down, rel_tol=SAME_PLACE / max(shape)):
        return None
    return across, 0.0, box[0], 0.0, -down, box[3]


def without_grid(item: pystac.Item) -> pystac.Item:
    """Copy an item, and leave out that it tells a grid."""
    copy = item.clone()
    copy.stac_extensions = [url for url in copy.stac_extensions if "/projection/" not in url]
    return copy


def with_grids(item: pystac.Item, grids: Mapping[str, Grid]) -> pystac.Item:
    """Copy an item with the grids of its assets as they were found out; others have none."""
    copy = item.clone()
    fields = (*CRS_FIELDS, SHAPE, TRANSFORM)
    for name in fields:
        copy.properties.pop(name, None)
    for key, asset in copy.assets.items():
        for name in fields:
            asset.extra_fields.pop(name, None)
        grid = grids.get(key)
        if grid and grid.crs and grid.shape and grid.transform:
            if not any("/projection/" in url for url in copy.stac_extensions):
                copy.stac_extensions.append(PROJECTION)
            name, value = grid.crs
            asset.extra_fields |= {
                name: value,
                SHAPE: list(grid.shape),
                TRANSFORM: list(grid.transform),
            }
    return copy


def completed(grid: Grid, header: Header) -> Grid:
    """Take what is damaged or missing from the header of the file."""
    faults = tuple(
        f if f.instead else replace(f, instead="the header of the file") for f in grid.faults
    )
    damaged = {fault.field for fault in grid.faults if not fault.instead}
    # shape and transform that are missing are of the file, and mean what its CRS says
    alone = not damaged and (grid.crs is None or grid.shape is None or grid.transform is None)
    told = (alone or grid.crs is None or damaged & set(CRS_FIELDS)) and header.crs
    crs = _with_code("proj:wkt2", header.crs) if told else grid.crs
    lacking = grid.shape is None or grid.transform is None
    if lacking or damaged & {SHAPE, TRANSFORM}:  # of one file, so that they fit each other
        return Grid(crs, header.shape, header.transform, faults)
    return replace(grid, crs=crs, faults=faults)

"""Which items make an image, and what is known of each image beside its pixels."""

from __future__ import annotations

import difflib
import itertools
import json
import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qmosaic.collection.location import FOOTPRINT, footprints
from qmosaic.optional import needed
from qmosaic.sources.request import DIM
from qmosaic.sources.stac.footprints import outline_of
from qmosaic.sources.stac.items import time_taken, utc
from qmosaic.sources.stac.names import PLACES

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox
    from odc.stac import ParsedItem


def groups_of(parsed: Sequence[ParsedItem], groupby: str, grid: GeoBox) -> list[list[int]]:
    """Tell which items make an image, by their places in the order of time."""
    places = range(len(parsed))
    if groupby == "item":
        return [[place] for place in places]
    ((longitude, _),) = grid.extent.centroid.to_crs("EPSG:4326").points
    days = [parsed[place].solar_date_at(longitude).date() for place in places]
    return [list(group) for _, group in itertools.groupby(places, key=lambda i: days[i])]


def check_properties(
    properties: str | Sequence[str] | None, items: Sequence[pystac.Item]
) -> list[str]:
    """Refuse properties that no item has, and names of which nothing can be made."""
    if properties is None:
        return []
    names = [properties] if isinstance(properties, str) else list(properties)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"properties={properties!r} are no names. Write those that the items have, for "
            "instance properties=['view:sun_elevation']."
        )
    known = list(dict.fromkeys(name for item in items for name in item.properties))
    for name in names:
        if name in PLACES:
            raise ValueError(
                f"properties= names {name!r}, and no coordinate along time can be called like a "
                "dimension or the CRS. Leave it out."
            )
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else "Leave it out."
            raise KeyError(
                f"properties= names {name!r}, which none of {len(items)} items has; they have "
                f"{', '.join(map(repr, known)) or 'none'}. {hint}"
            )
    return names


def coordinates_of(
    items: Sequence[pystac.Item], groups: Sequence[Sequence[int]], properties: Sequence[str] = ()
) -> dict[str, tuple[Any, ...]]:
    """Make coordinates along time of what the items say; several values are joined, numbers
    averaged."""
    geom = needed("odc.geo.geom", "stac", "STAC items")
    images = [[items[i] for i in group] for group in groups]
    known = [[o for o in map(outline_of, image) if o is not None] for image in images]
    outlines = [geom.unary_union(own) if own else None for own in known]
    times = [np.datetime64(utc(time_taken(image[0])), "ns") for image in images]
    asked = {
        n: (DIM, _values([[i.properties.get(n) for i in m] for m in images])) for n in properties
    }
    return asked | {
        DIM: (DIM, times),
        "id": (DIM, _texts([[i.id for i in image] for image in images])),
        "platform": (
            DIM,
            _texts([[i.properties.get("platform") or "" for i in image] for image in images]),
        ),
        "cloud_cover": (
            DIM,
            np.array([_mean([i.properties.get("eo:cloud_cover") for i in m]) for m in images]),
            {"long_name": "cloud cover", "units": "%"},
        ),
        FOOTPRINT: (
            DIM,
            footprints(outlines),
            {"long_name": "outline of the image, WKT", "crs": "EPSG:4326"},
        ),
    }


def _values(groups: Sequence[Sequence[Any]]) -> Any:
    """Make one value for each image: a number where all are numbers, else a text."""
    known = [value for group in groups for value in group if value is not None]
    if all(_is_number(value) for value in known):
        means = np.array([_mean(group) for group in groups])
        whole = len(known) and all(isinstance(value, int) for value in known)
        if whole and np.isfinite(means).all() and (means == means.astype("int64")).all():
            return means.astype("int64")
        return means
    return _texts([[_text(value) for value in group if value is not None] for group in groups])


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return " ".join(value)
    return json.dumps(value)


def _texts(groups: Sequence[Sequence[str]]) -> Any:
    return np.array([" ".join(dict.fromkeys(group)) for group in groups], dtype=object)


def _mean(values: Sequence[float | None]) -> float:
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else float("nan")

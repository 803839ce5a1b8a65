"""Which items make an image, and what is known of each image beside its pixels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qmosaic.collection.location import FOOTPRINT, footprints
from qmosaic.optional import needed
from qmosaic.sources.request import DIM
from qmosaic.sources.stac.footprints import outline_of
from qmosaic.sources.stac.items import time_taken, utc

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


def coordinates_of(
    items: Sequence[pystac.Item], groups: Sequence[Sequence[int]]
) -> dict[str, tuple[Any, ...]]:
    """Make coordinates along time of what the items say; several values are joined, numbers
    averaged."""
    geom = needed("odc.geo.geom", "stac", "STAC items")
    images = [[items[i] for i in group] for group in groups]
    known = [[o for o in map(outline_of, image) if o is not None] for image in images]
    outlines = [geom.unary_union(own) if own else None for own in known]
    times = [np.datetime64(utc(time_taken(image[0])), "ns") for image in images]
    return {
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


def _texts(groups: Sequence[Sequence[str]]) -> Any:
    return np.array([" ".join(dict.fromkeys(group)) for group in groups], dtype=object)


def _mean(values: Sequence[float | None]) -> float:
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else float("nan")

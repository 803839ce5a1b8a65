"""Features as pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.location import crs_of, map_dims
from qmosaic.collection.masks import Array
from qmosaic.collection.rasterizing import Places
from qmosaic.ee import ground
from qmosaic.ee.elements import column
from qmosaic.ee.images.gridless import ClippedConstant
from qmosaic.ee.images.reducing import of_pixels
from qmosaic.ee.names import with_bands
from qmosaic.ee.reducers import Output, Reducer, with_none
from qmosaic.ee.values import known
from qmosaic.optional import needed
from qmosaic.scores.expressions import by_chunk

AT_ONCE = 1 << 20
"""How many features are looked at together, of as many rows of pixels as have them."""

INSIDE = 1e-6
"""How much of a pixel, on each side, does not count: a shape that only touches its edge is not in
it."""


def reduce_to_image(image: Any, features: Any, properties: Any, reducer: Any) -> ClippedConstant:
    """Reduce properties of the features that meet each pixel, see
    `FeatureCollection.reduceToImage`.

    Parameters
    ----------
    image : type
        The class of images.
    """
    caller = "ee.FeatureCollection.reduceToImage()"
    asked = Reducer(known(reducer, caller))
    given = known(properties, caller)
    names = [given] if isinstance(given, str) else [str(known(name)) for name in given]
    if len(names) != asked.inputs:
        raise ValueError(
            f"{caller} got the properties {names!r} for a reducer of {asked.inputs} inputs, and "
            "each property is one of them. Give as many: reduceToImage(['year'], "
            "ee.Reducer.first())."
        )
    outputs = of_pixels(asked.outputs, caller)

    def on(grid: Any) -> Any:
        dataset = grid.dataset
        still = dataset.isel(time=0, drop=True) if "time" in dataset.dims else dataset
        table = features.geodataframe
        values = np.empty((len(names), 0))
        if len(table):
            values = np.array([_numbers(table, name, caller) for name in names])
        shapely = needed("shapely", "geo", "regions and footprints")
        shapes = shapely.to_wkb(table.geometry.to_crs(crs_of(still).proj).to_numpy())
        edges = ground.along_chunks(still, _insides(still, caller))
        made: Any = {}
        for output in outputs:
            made[output.name] = by_chunk(
                _reduced, edges, "float64", shapes=shapes, values=values, output=output
            )
        return image(with_bands(still, made))

    nothing = image([0] * len(outputs)).rename([output.name for output in outputs])
    return ClippedConstant(nothing.updateMask(0), on)


def _insides(grid: xr.Dataset, caller: str) -> list[xr.DataArray]:
    """Give the edges of pixels, a little inside: low and high, of rows and of columns."""
    found = []
    for dim in map_dims(grid):
        low, high = ground.edges(grid, dim, caller)
        less = (high - low) * INSIDE
        found += [low + less, high - less]
    return found


def _numbers(table: Any, name: str, caller: str) -> Array:
    try:
        return column(table, name, caller).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{caller} got the property {name!r}, which is not a number in all features, and "
            "pixels hold numbers. Give features a number first: "
            "features.map(lambda feature: feature.set('inside', 1))."
        ) from error


def _reduced(
    south: Array,
    north: Array,
    west: Array,
    east: Array,
    *,
    shapes: Array,
    values: Array,
    output: Output,
) -> Array:
    """Reduce the features of each pixel of a block, some rows at a time."""
    shapely = needed("shapely", "geo", "regions and footprints")
    bounds = tuple(one.ravel() for one in (south, north, west, east))
    places = Places((bounds[0], bounds[1]), (bounds[2], bounds[3]))
    made = np.full((len(bounds[0]), len(bounds[2])), np.nan)
    drawn = shapely.from_wkb(shapes)
    known_values = np.isfinite(values).all(axis=0)
    box = shapely.box(bounds[2].min(), bounds[0].min(), bounds[3].max(), bounds[1].max())
    here = np.flatnonzero(known_values & shapely.intersects(drawn, box))
    if not here.size:
        return made
    rows = max(1, AT_ONCE // (made.shape[1] * here.size))
    inputs = values[:, here]
    for start in range(0, made.shape[0], rows):
        part = places.cut(slice(start, start + rows), slice(None))
        inside = np.stack([part.inside(shape) for shape in drawn[here]], axis=-1)
        columns = [np.broadcast_to(inputs[number], inside.shape) for number in output.inputs]
        columns, valid = with_none(columns, [inside] * len(columns), output.rule.optional)
        found = output.rule.apply(columns, valid, np.dtype("float64"), np.nan)
        made[start : start + rows] = np.where(inside.any(axis=-1), found, np.nan)
    return made

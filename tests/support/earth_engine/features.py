"""Features, and what is reduced over regions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.earth_engine.bands import HERE, pixelwise
from tests.support.earth_engine.collections import kind_of, taking
from tests.support.earth_engine.geometries import Geometry
from tests.support.earth_engine.images import Image
from tests.support.earth_engine.reducers import Reducer
from tests.support.earth_engine.values import Dictionary, List, Number, plain, wrapped


class Feature:
    """A geometry and properties."""

    def __init__(self, geometry: Any, properties: Any = None) -> None:
        given = plain(geometry)
        if isinstance(given, Feature):
            given, properties = given._geometry, {**given.properties, **(plain(properties) or {})}
        if isinstance(given, dict) and given.get("type") == "Feature":
            properties = {**given["properties"], **(plain(properties) or {})}
            given = given["geometry"]
        self._geometry = None if given is None else Geometry(given)
        self.properties: dict[str, Any] = dict(plain(properties) or {})

    def geometry(self) -> Any:
        """Give the geometry."""
        return self._geometry

    def get(self, property: Any) -> Any:
        """Give a property."""
        return wrapped(self.properties[plain(property)])

    getNumber = getString = get

    def set(self, *properties: Any) -> Feature:
        """Set properties."""
        given = plain(properties[0]) if len(properties) == 1 else None
        if given is None:
            given = dict(zip(plain(properties[::2]), plain(properties[1::2]), strict=True))
        return Feature(self._geometry, {**self.properties, **given})

    def toDictionary(self) -> Dictionary:
        """Give the properties."""
        return Dictionary(self.properties)


class FeatureCollection:
    """A list of features."""

    def __init__(self, features: Any) -> None:
        features = plain(features)
        if isinstance(features, FeatureCollection):
            features = features.features
        if isinstance(features, dict):
            features = features["features"]
        listed = features if isinstance(features, list) else [features]
        # a function of `map` may make images of features
        self.features = [f if hasattr(f, "properties") else Feature(f) for f in listed]

    def geometry(self) -> Geometry:
        """Give the geometries of all as one."""
        made = Geometry.Rectangle(0, 0, 1, 1)
        made.rings = [ring for f in self.features for ring in f.geometry().rings]
        return made

    def map(
        self, algorithm: Callable[[Feature], Any], dropNulls: bool = False
    ) -> FeatureCollection:
        """Apply a function to each feature."""
        made = [algorithm(feature) for feature in self.features]
        return FeatureCollection([one for one in made if one is not None])

    def filter(self, filter: Any) -> FeatureCollection:
        """Keep the features that meet a condition."""
        return FeatureCollection([f for f in self.features if filter.test(f.properties)])

    def sort(self, property: Any, ascending: bool = True) -> FeatureCollection:
        """Order by a property."""
        ordered = sorted(self.features, key=lambda f: f.properties[plain(property)])
        return FeatureCollection(ordered if ascending else ordered[::-1])

    def limit(self, maximum: Any) -> FeatureCollection:
        """Keep the first ones."""
        return FeatureCollection(self.features[: plain(maximum)])

    def merge(self, collection2: Any) -> FeatureCollection:
        """Append others."""
        return FeatureCollection([*self.features, *collection2.features])

    def first(self) -> Feature:
        """Give the first one."""
        return self.features[0]

    def size(self) -> Number:
        """Count them."""
        return Number(len(self.features))

    def toList(self, count: Any, offset: Any = 0) -> List:
        """List them."""
        return List(self.features[plain(offset) : plain(offset) + plain(count)])

    def aggregate_array(self, property: Any) -> List:
        """List a property."""
        found = [f.properties.get(plain(property)) for f in self.features]
        return List([one for one in found if one is not None])

    def reduceColumns(self, reducer: Reducer, selectors: Any) -> Dictionary:
        """Reduce properties, in the order of the inputs of the reducer."""
        rows = [[f.properties.get(name) for name in plain(selectors)] for f in self.features]
        return Dictionary(reducer.outputs_of([row for row in rows if None not in row]))

    def _aggregated(self, name: str, property: Any) -> Any:
        rows = [[one] for one in self.aggregate_array(property).value]
        return wrapped(getattr(Reducer, name)().function(rows)[0])

    def aggregate_mean(self, property: Any) -> Any:
        """Give the mean of a property."""
        return self._aggregated("mean", property)

    def aggregate_sum(self, property: Any) -> Any:
        """Give the sum of a property."""
        return self._aggregated("sum", property)

    def aggregate_max(self, property: Any) -> Any:
        """Give the highest value of a property."""
        return self._aggregated("max", property)

    def aggregate_min(self, property: Any) -> Any:
        """Give the lowest value of a property."""
        return self._aggregated("min", property)


def region_of(geometry: Any) -> list[tuple[int, int]]:
    """Number the pixels of a region; without one, all."""
    (grid,) = HERE
    if geometry is None:
        return grid.pixels()
    return Geometry(getattr(geometry, "geometry", lambda: geometry)()).pixels_of(grid)


def reduceRegion(
    self: Image, reducer: Reducer, geometry: Any = None, *_: Any, **__: Any
) -> Dictionary:
    """Reduce each band over the pixels whose centre is in a region.

    A reducer of one output gives it by the name of the band, another one as ``band_output``; one
    of several inputs takes as many bands, and its outputs have their own names.
    """
    pixels = region_of(geometry)
    made = {}
    groups = [[n] for n in self.bands] if reducer.inputs == 1 else [list(self.bands)]
    for names in groups:
        rows = [[self.bands[name].at(*pixel) for name in names] for pixel in pixels]
        found = reducer.outputs_of([row for row in rows if None not in row])
        for output, value in found.items():
            name = f"{names[0]}_{output}" if len(found) > 1 else names[0]
            made[output if reducer.inputs > 1 else name] = value
    return Dictionary(made)


def reduceRegions(self: Image, collection: Any, reducer: Reducer, *_: Any, **__: Any) -> Any:
    """Reduce over the region of each feature; of one band the outputs have their own names."""

    def with_values(feature: Feature) -> Feature:
        found = self.reduceRegion(reducer, feature.geometry()).value
        if len(self.bands) == 1:
            found = dict(zip(reducer.outputs, found.values(), strict=True))
        return feature.set({name: value for name, value in found.items() if value is not None})

    return FeatureCollection(collection).map(with_values)


def sample(self: Image, region: Any = None, *_: Any, dropNulls: bool = True, **__: Any) -> Any:
    """Make a feature of each pixel, row by row; those with a masked band are left out."""
    made = []
    for pixel in region_of(region):
        known = {name: band.at(*pixel) for name, band in self.bands.items()}
        if not dropNulls or None not in known.values():
            made.append(Feature(None, known))
    return FeatureCollection(made)


def sampleRegions(self: Image, collection: Any, properties: Any = None, *_: Any, **__: Any) -> Any:
    """Make a feature of each pixel in the region of each feature, with its properties."""
    made = []
    for feature in collection.features:
        names = feature.properties if properties is None else plain(properties)
        own = {name: feature.properties[name] for name in names}
        for one in self.sample(feature.geometry()).features:
            made.append(one.set({**own, **one.properties}))
    return FeatureCollection(made)


def reduce(self: Image, reducer: Reducer) -> Image:
    """Reduce the bands to one for each output; masked ones do not count."""
    stack = list(self.bands.values())
    kinds = {(band.dtype, band.nodata) for band in stack}
    made = {}
    for place, output in enumerate(reducer.outputs):
        same = reducer.dtypes[place] == "same"
        dtype, nodata = kind_of(reducer.dtypes[place], stack)
        if same and len(kinds) > 1:
            dtype = nodata = None
        made[output] = pixelwise(taking(reducer, place), stack, dtype, nodata, masked_too=True)
    return self._with(made)


METHODS = (reduceRegion, reduceRegions, sample, sampleRegions, reduce)
"""Methods of images."""

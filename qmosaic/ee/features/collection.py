"""``ee.FeatureCollection``: features, and what is done with all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd

from qmosaic.ee.elements import GEOMETRY, column, random_numbers
from qmosaic.ee.features.aggregating import Aggregating
from qmosaic.ee.features.feature import Feature, as_geojson, computed
from qmosaic.ee.features.painted import Painted
from qmosaic.ee.features.tables import EXTRA, features_in, frame_of, geopandas, table_of
from qmosaic.ee.geometries import Geometry
from qmosaic.ee.selecting import Filter
from qmosaic.ee.values import (
    Computed,
    List,
    Number,
    check_function,
    check_returned,
    known,
    later,
    values_of,
    wrapped,
)
from qmosaic.optional import needed, serving


class FeatureCollection(Painted, Aggregating):
    """Features: geometries with properties.

    Parameters
    ----------
    args : str, path, GeoDataFrame, GeoJSON, Geometry, Feature, or list of these
        An id that is registered (`qmosaic.ee.register`), or a file that geopandas reads: GeoJSON,
        GeoPackage, a shapefile. A list is one of features or of geometries.
    opt_column : str, optional
        Not used: a table has one column of geometries.

    Attributes
    ----------
    geodataframe : geopandas.GeoDataFrame
        The features, a row each. What depends on pixels is computed when it is asked for.

    Examples
    --------
    >>> from qmosaic import ee
    >>> fields = ee.FeatureCollection(
    ...     [
    ...         ee.Feature(ee.Geometry.BBox(0, 0, 2, 1), {"crop": "rye", "yield": 5}),
    ...         ee.Feature(ee.Geometry.BBox(1, 0, 3, 1), {"crop": "oats", "yield": 3}),
    ...         ee.Feature(ee.Geometry.BBox(5, 0, 6, 1), {"crop": "rye", "yield": 4}),
    ...     ]
    ... )
    >>> fields.size(), fields.geometry().bounds()
    (3, ee.Geometry.Polygon within 0 to 6, 0 to 1 in EPSG:4326)

    Fewer features:

    >>> rye = fields.filter(ee.Filter.eq("crop", "rye"))
    >>> rye.size(), fields.filterBounds(ee.Geometry.Point(2.5, 0.5)).first().get("crop")
    (2, 'oats')
    >>> fields.sort("yield").aggregate_array("yield"), fields.limit(1, "yield", False).size()
    ([3, 4, 5], 1)
    >>> fields.distinct("crop").aggregate_array("crop"), fields.aggregate_histogram("crop")
    (['rye', 'oats'], {'oats': 1, 'rye': 2})

    >>> fields.filterMetadata("yield", "less_than", 5).toList(1).get(0)
    ee.Feature of ee.Geometry.Polygon within 1 to 3, 0 to 1 in EPSG:4326, with crop, yield
    >>> def dated(feature):
    ...     return feature.set("system:time_start", ee.Date("2020-07-01").millis())
    >>> fields.map(dated).filterDate("2020-01-01", "2020-07-01").size()
    0

    Numbers of a property of all features:

    >>> fields.aggregate_sum("yield"), fields.aggregate_min("yield"), fields.aggregate_max("yield")
    (12, 3, 5)
    >>> fields.aggregate_count("crop"), fields.aggregate_count_distinct("crop")
    (3, 2)
    >>> fields.aggregate_first("crop"), fields.aggregate_product("yield")
    ('rye', 60)
    >>> fields.aggregate_sample_sd("yield"), fields.aggregate_sample_var("yield")
    (1, 1)
    >>> fields.aggregate_total_sd("yield").pow(2).subtract(fields.aggregate_total_var("yield"))
    0

    Other features:

    >>> def with_area(feature):
    ...     return feature.set("km2", feature.area().divide(1e6).round())
    >>> fields.map(with_area).aggregate_array("km2")
    [24619, 24619, 12309]
    >>> fields.reduceColumns(ee.Reducer.toList(), ["crop"]).get("list")
    ['rye', 'oats', 'rye']
    >>> fields.reduceColumns(ee.Reducer.minMax(), ["yield"])
    {'max': 5, 'min': 3}
    >>> fields.randomColumn("part", 7).filter(ee.Filter.lt("part", 0.7)).aggregate_array("yield")
    [5]
    >>> fields.select("yield").first().getInfo()["properties"]
    {'yield': 5}
    >>> fields.iterate(lambda feature, text: ee.String(text).cat(feature.getString("crop")), "")
    'ryeoatsrye'
    >>> fields.map(lambda feature: ee.FeatureCollection([feature, feature])).flatten().size()
    6
    >>> fields.style(color="red").draw("blue", strokeWidth=2).styling, len(fields.getInfo())
    ({'color': 'blue', 'strokeWidth': 2}, 2)
    >>> fields.union().first().geometry(), fields.merge(rye).size(), fields.aggregate_mean("yield")
    (ee.Geometry.MultiPolygon within 0 to 6, 0 to 1 in EPSG:4326, 5, 4)
    """

    _name = "ee.FeatureCollection"

    def __init__(self, args: Any, opt_column: Any = None) -> None:
        self._features: list[Feature] | None = None
        self._make: Callable[[], Any] | None = None
        self._table: Any = None
        self.styling: dict[str, Any] = {}
        with serving(*EXTRA):
            geopandas()
            self._take(known(args, "ee.FeatureCollection()"))

    def _take(self, args: Any) -> None:
        """Take what it is made of."""
        if isinstance(args, FeatureCollection):
            self._features, self._make = args._features, args._make
            self._table, self.styling = args._table, args.styling
        elif isinstance(args, Feature | Geometry):
            self._features = [Feature(args)]
        elif isinstance(args, list | tuple) and args and isinstance(args[0], FeatureCollection):
            together = _put_together(list(args), 0)
            self._table, self._make = together._table, together._make
        elif isinstance(args, list | tuple) and not _is_box(args):
            self._features = [Feature(one) for one in args]
        elif _is_region(args):
            self._features = [Feature(args)]
        else:
            self._table = table_of(args)

    @classmethod
    def _later(cls, function: Callable[[], Any]) -> FeatureCollection:
        """Make one of a function that gives its GeoDataFrame; it is called when that is needed."""
        made: FeatureCollection = cls([])
        made._features, made._make = None, function
        return made

    @classmethod
    def _of_table(cls, table: Any) -> FeatureCollection:
        made = cls([])
        made._features, made._table = None, table
        return made

    @property
    def geodataframe(self) -> Any:
        """The features as a GeoDataFrame."""
        if self._table is None:
            self._table = frame_of(self._features or []) if self._make is None else self._make()
        return self._table

    @property
    def _is_known(self) -> bool:
        """Tell whether nothing of it has to be computed from pixels."""
        if self._table is not None or self._features is None:
            return self._table is not None
        return not any(_is_computed(one._properties) for one in self._features)

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        """Its geometries as GeoJSON, for whatever takes a region."""
        listed = [f.__geo_interface__ for f in self._shapes() if f._geometry is not None]
        crs = listed[0].get("crs") if listed else None
        return {"type": "FeatureCollection", "features": listed, **({"crs": crs} if crs else {})}

    def _shapes(self) -> list[Feature]:
        """Give its features in one CRS, without their properties."""
        bare = [Feature(f._geometry, {}, f._id) for f in self._features or []]
        return features_in(self.geodataframe if self._features is None else frame_of(bare))

    def __repr__(self) -> str:
        if not self._is_known and self._features is None:
            return "ee.FeatureCollection, computed by getInfo()"
        count = len(self._features if self._features is not None else self._table)
        return f"ee.FeatureCollection of {count} feature{'' if count == 1 else 's'}"

    def _value(self, kind: type, function: Callable[[], Any]) -> Any:
        return wrapped(function()) if self._is_known else later(kind, function)

    def _listed(self) -> list[Feature]:
        return features_in(self.geodataframe) if self._features is None else self._features

    def _changed(self, change: Callable[[Any], Any]) -> FeatureCollection:
        """Change its table; later, where it has to be computed from pixels."""
        if self._is_known:
            return self._of_table(change(self.geodataframe))
        return self._later(lambda: change(self.geodataframe))

    # -- fewer features --------------------------------------------------------------------------

    def filter(self, filter: Any) -> FeatureCollection:
        """Keep the features that meet a condition: ``filter(ee.Filter.eq("crop", "rye"))``."""
        chosen = Filter(filter)
        return self._changed(lambda table: table[np.asarray(chosen.keep(table), bool)])

    def filterBounds(self, geometry: Any) -> FeatureCollection:
        """Keep the features that a region intersects."""
        return self.filter(Filter.bounds(geometry))

    def filterDate(self, start: Any, end: Any = None) -> FeatureCollection:
        """Keep features by their property ``system:time_start``."""
        return self.filter(Filter.date(start, end))

    def filterMetadata(self, name: str, operator: str, value: Any) -> FeatureCollection:
        """Keep features by a property and an operator, see `Filter.metadata`."""
        return self.filter(Filter.metadata(name, operator, value))

    def limit(
        self, maximum: Any, property: str | None = None, ascending: bool = True
    ) -> FeatureCollection:
        """Keep the first features, in the order of a property if one is given."""
        count = int(known(maximum, "ee.FeatureCollection.limit()"))
        ordered = self if property is None else self.sort(property, ascending)
        return ordered._changed(lambda table: table.iloc[:count])

    def sort(self, property: str, ascending: bool = True) -> FeatureCollection:
        """Order the features by a property; equal ones stay in their order."""

        def change(table: Any) -> Any:
            values = column(table, property, "ee.FeatureCollection.sort()")
            ranks = pd.Series(values).rank(method="dense", ascending=ascending, na_option="bottom")
            return table.iloc[np.argsort(ranks.to_numpy(), kind="stable")]

        return self._changed(change)

    def distinct(self, properties: Any) -> FeatureCollection:
        """Keep the first feature of each value of some properties; ``".geo"`` is the geometry."""
        names = [properties] if isinstance(properties, str) else list(known(properties))

        def change(table: Any) -> Any:
            keys = {}
            for name in names:
                values = column(table, name, "ee.FeatureCollection.distinct()")
                keys[name] = table.geometry.to_wkb() if name == GEOMETRY else list(map(str, values))
            return table[~pd.DataFrame(keys, index=table.index).duplicated().to_numpy()]

        return self._changed(change)

    def first(self) -> Feature:
        """Give the first feature."""
        listed = self._features or features_in(self.geodataframe.iloc[:1])
        if not listed:
            raise ValueError(
                "ee.FeatureCollection.first(): the collection has no feature. Look at what left "
                "none, a filter for instance: features.size()."
            )
        return listed[0]

    def size(self) -> Any:
        """Count the features."""
        if self._features is not None:
            return Number(len(self._features))
        return self._value(Number, lambda: len(self.geodataframe))

    def toList(self, count: Any = None, offset: Any = 0) -> List:
        """List features: as many as `count`, from one on."""
        first = int(known(offset))
        last = None if count is None else first + int(known(count))
        return List(self._listed()[first:last])

    # -- other features --------------------------------------------------------------------------

    def map(self, algorithm: Callable[[Feature], Any], dropNulls: Any = None) -> Any:
        """Apply a function to every feature.

        Features make a collection of features, and so do geometries. Images make a list, of which
        ``ee.ImageCollection`` makes a collection.
        """
        check_function(algorithm, "ee.FeatureCollection.map()")
        if self._features is None and not self._is_known:
            return self._later(lambda: _table_of_results(self._results(algorithm, dropNulls)))
        results = self._results(algorithm, dropNulls)
        if dropNulls:
            results = [one for one in results if one is not None]
        if all(isinstance(one, Feature | Geometry | FeatureCollection) for one in results):
            return FeatureCollection(results)
        return List(results)

    def _results(self, algorithm: Callable[[Feature], Any], drop_nulls: Any) -> list[Any]:
        made = [algorithm(feature) for feature in self._listed()]
        check_returned(made, drop_nulls, "ee.FeatureCollection.map()")
        return made

    def flatten(self) -> FeatureCollection:
        """Give the features of a collection of collections; they are put together already."""
        return self

    def iterate(self, algorithm: Callable[[Feature, Any], Any], first: Any = None) -> Any:
        """Apply a function to each feature and to what it gave for the one before."""
        check_function(algorithm, "ee.FeatureCollection.iterate()")
        result = wrapped(first)
        for feature in self._listed():
            result = algorithm(feature, result)
        return result

    def select(
        self, *propertySelectors: Any, newProperties: Any = None, retainGeometry: bool = True
    ) -> FeatureCollection:
        """Keep some properties, under new names if these are given."""
        asked = [*propertySelectors]
        if asked and not isinstance(asked[0], str):
            asked, newProperties = list(known(asked[0])), (asked[1:] or [newProperties])[0]
        made: FeatureCollection = self.map(lambda f: f.select(asked, newProperties, retainGeometry))
        return made

    def set(self, *properties: Any) -> FeatureCollection:
        """Leave the features as they are: a collection has no properties of its own here."""
        return self

    def randomColumn(
        self,
        columnName: str = "random",
        seed: Any = 0,
        distribution: str = "uniform",
        rowKeys: Any = None,
    ) -> FeatureCollection:
        """Give each feature a random number, from 0 to 1, or "normal" around 0.

        The same seed gives the same numbers; they are not those of Earth Engine.
        https://developers.google.com/earth-engine/apidocs/ee-featurecollection-randomcolumn
        """
        caller = "ee.FeatureCollection.randomColumn()"
        name = str(known(columnName, caller))
        return self._changed(
            lambda table: table.assign(**{name: random_numbers(table, seed, distribution, caller)})
        )

    def merge(self, collection2: Any) -> FeatureCollection:
        """Append the features of another collection."""
        return _put_together([self, FeatureCollection(collection2)], 1)

    def union(self, maxError: Any = None) -> FeatureCollection:
        """Merge all geometries into one feature."""
        return FeatureCollection([Feature(self.geometry(), {}, "union_result")])

    def geometry(self, maxError: Any = None) -> Geometry:
        """Merge the geometries of all features."""
        shapely = needed("shapely", "geo", "regions")
        geom = needed("odc.geo.geom", "geo", "regions")
        shapes = [f._geometry.geometry for f in self._shapes() if f._geometry is not None]
        if not shapes:
            raise ValueError(
                "ee.FeatureCollection.geometry(): no feature has a geometry. Look at what left "
                "none, a filter for instance: features.size()."
            )
        merged = shapely.unary_union([shape.geom for shape in shapes])
        return Geometry._kept(geom.Geometry(merged, shapes[0].crs))

    # -- what becomes of them --------------------------------------------------------------------

    def style(self, **style: Any) -> FeatureCollection:
        """Say how a map draws them: ``style(color="red", width=2, fillColor="00000000")``."""
        made = FeatureCollection(self)
        made.styling = {**self.styling, **style}
        return made

    def draw(
        self, color: Any, pointRadius: Any = None, strokeWidth: Any = None
    ) -> FeatureCollection:
        """Say in which colour a map draws them; see `style`."""
        sizes = {"pointRadius": pointRadius, "strokeWidth": strokeWidth}
        return self.style(color=color, **{n: v for n, v in sizes.items() if v is not None})

    def getInfo(self) -> dict[str, Any]:
        """Compute them, and give them as GeoJSON in longitude and latitude, a dict."""
        listed = self._listed()
        rows = computed([one._properties for one in listed])
        written = [
            as_geojson(f._geometry, row, str(n) if f._id is None else f._id)
            for n, (f, row) in enumerate(zip(listed, rows, strict=True))
        ]
        return {"type": "FeatureCollection", "features": written}


def of_each_image(feature: Feature, images: int, labels: Any) -> FeatureCollection:
    """Make a collection of the feature that a function gave for all images at once.

    Parameters
    ----------
    feature : Feature
        Its properties have one value for each image, or one for all.
    images : int
        The number of images.
    labels : sequence of str
        Their ids.
    """
    given = feature._properties
    if isinstance(given, Computed):
        rows: Any = values_of(given, images)
    else:
        rows = {name: values_of(value, images) for name, value in given.items()}

    def make() -> list[Feature]:
        (known_,) = dask.compute(rows)
        each = known_
        if isinstance(known_, Mapping):
            each = [{n: values[k] for n, values in known_.items()} for k in range(images)]
        return [
            Feature(feature._geometry, row, str(label))
            for row, label in zip(each, labels, strict=True)
        ]

    if _is_computed_from_pixels(given):
        return FeatureCollection._later(lambda: frame_of(make()))
    return FeatureCollection(make())


def _is_computed_from_pixels(given: Any) -> bool:
    if isinstance(given, Computed):
        return given.is_lazy
    return isinstance(given, Mapping) and any(map(_is_computed_from_pixels, given.values()))


def _is_computed(given: Any) -> bool:
    if isinstance(given, Mapping):
        return any(map(_is_computed, given.values()))
    if isinstance(given, list | tuple):
        return any(map(_is_computed, given))
    return isinstance(given, Computed)


def _is_box(given: Any) -> bool:
    return len(given) == 4 and all(isinstance(one, int | float) for one in given)


def _is_region(given: Any) -> bool:
    """Tell whether something is one geometry, and no table of features."""
    if isinstance(given, str | Path | pd.DataFrame | pd.Series | Mapping):
        return False
    return isinstance(given, list | tuple) or hasattr(given, "__geo_interface__")


def _put_together(collections: list[FeatureCollection], start: int) -> FeatureCollection:
    """Put collections together; the id of a feature begins with the number of its collection."""
    if all(one._is_known for one in collections):
        tables = [one.geodataframe for one in collections]
        return FeatureCollection._of_table(_numbered(tables, start))
    return FeatureCollection._later(
        lambda: _numbered([one.geodataframe for one in collections], start)
    )


def _table_of_results(results: list[Any]) -> Any:
    return FeatureCollection(results).geodataframe


def _numbered(tables: list[Any], start: int) -> Any:
    crs = tables[0].crs
    alike = []
    for number, table in enumerate(tables, start):
        moved = table.to_crs(crs) if table.crs != crs else table
        moved = moved.rename_geometry("geometry") if moved.geometry.name != "geometry" else moved
        alike.append(moved.set_axis([f"{number}_{label}" for label in moved.index]))
    joined = pd.concat(alike)
    return geopandas().GeoDataFrame(joined, geometry="geometry", crs=crs)

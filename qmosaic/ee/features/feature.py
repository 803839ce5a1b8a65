"""``ee.Feature``: a geometry with properties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qmosaic.collection.geometry import LON_LAT, projected
from qmosaic.ee.elements import INDEX
from qmosaic.ee.geometries import Geometry, as_lists
from qmosaic.ee.names import properties as properties_of_images
from qmosaic.ee.unsupported import Hinting
from qmosaic.ee.values import (
    Computed,
    Dictionary,
    Number,
    String,
    known,
    known_name,
    lift,
    plain,
    wrapped,
)

SHAPES = {
    "buffer": "Widen its geometry by a distance in metres",
    "bounds": "Give the bounding box of its geometry",
    "centroid": "Give the middle of its geometry",
    "simplify": "Leave out points of its outline, so that it moves by no more than some metres",
    "transform": "Bring its geometry into another CRS",
    "dissolve": "Merge the parts of its geometry where they overlap",
    "intersection": "Keep what its geometry has in common with that of another feature",
    "union": "Merge its geometry with that of another feature",
    "difference": "Take the geometry of another feature out of its own",
    "symmetricDifference": "Keep what is in one of two geometries, and not in both",
}
"""Methods of a geometry that give a feature with the changed one."""

MEASURES = {
    "area": "Give its area in square metres",
    "length": "Give the length of its lines in metres",
    "perimeter": "Give the length of the edges of its areas in metres",
    "contains": "Tell whether another feature lies in it",
    "containedIn": "Tell whether it lies in another feature",
    "intersects": "Tell whether it has a point in common with another feature",
    "disjoint": "Tell whether it has no point in common with another feature",
}
"""Methods of a geometry that give the same for a feature."""


def _shaped(name: str, text: str) -> Any:
    def method(self: Feature, *args: Any, **options: Any) -> Feature:
        changed = getattr(self._geometry_for(name), name)(*args, **options)
        return Feature(changed, self._properties, self._id)

    method.__name__ = name
    method.__doc__ = f"{text}; see `Geometry`. Properties stay as they are."
    return method


def _measured(name: str, text: str) -> Any:
    def method(self: Feature, *args: Any, **options: Any) -> Any:
        return getattr(self._geometry_for(name), name)(*args, **options)

    method.__name__ = name
    method.__doc__ = f"{text}; see `Geometry`."
    return method


class Feature(Hinting):
    """A geometry with properties.

    Parameters
    ----------
    geom : Geometry, GeoJSON, what `qmosaic.filter_bounds` takes, or None
        Of a feature of GeoJSON, its properties too. An image stays what it is.
    opt_properties : mapping, optional
        Names and values. Those that are computed from pixels are computed by `getInfo`.
    opt_id : str, optional
        Its id.

    Examples
    --------
    >>> from qmosaic import ee
    >>> field = ee.Feature(ee.Geometry.BBox(0, 0, 2, 1), {"crop": "rye", "year": 2020})
    >>> field
    ee.Feature of ee.Geometry.Polygon within 0 to 2, 0 to 1 in EPSG:4326, with crop, year
    >>> field.get("crop"), field.getNumber("year").add(1), field.propertyNames()
    ('rye', 2021, ['crop', 'year'])
    >>> field.set("year", 2021, "wet", 1).toDictionary(["year", "wet"])
    {'wet': 1, 'year': 2021}
    >>> other = ee.Feature(ee.Geometry.BBox(1, 0, 3, 1))
    >>> field.intersection(other).geometry(), other.copyProperties(field, ["crop"]).toDictionary()
    (ee.Geometry.Polygon within 1 to 2, 0 to 1 in EPSG:4326, {'crop': 'rye'})
    >>> field.getString("crop").cat("!"), ee.Feature(field, None, "f1").id()
    ('rye!', 'f1')

    Its geometry, measured and compared as `Geometry` does it:

    >>> round(field.perimeter().divide(1000)), field.length(), field.intersects(other)
    (666, 0, True)
    >>> field.disjoint(other), field.containedIn(field)
    (False, True)

    A feature with another geometry keeps its properties:

    >>> made = [field.bounds(), field.buffer(10), field.centroid(), field.simplify(10)]
    >>> made += [field.transform("EPSG:3857"), field.dissolve(), field.union(other)]
    >>> made += [field.difference(other), field.symmetricDifference(other)]
    >>> made += [field.setGeometry(other.geometry())]
    >>> [feature.get("crop") for feature in made] == ["rye"] * 10
    True
    >>> round(field.area().divide(1e6)), field.contains(other), field.select(["year"]).getInfo()
    (24619, False, {'type': 'Feature', 'geometry': {'type': 'Polygon', 'coordinates': \
[[[2.0, 0.0], [2.0, 1.0], [0.0, 1.0], [0.0, 0.0], [2.0, 0.0]]]}, 'properties': {'year': 2020}})
    """

    _name = "ee.Feature"

    def __new__(cls, geom: Any = None, *_: Any, **__: Any) -> Any:
        """Give an image back as it is: it has properties too."""
        return geom if hasattr(geom, "dataset") else super().__new__(cls)

    def __init__(self, geom: Any = None, opt_properties: Any = None, opt_id: Any = None) -> None:
        known_: Any = {}
        geom = known(geom, "ee.Feature()")
        if isinstance(geom, Feature):
            known_, opt_id = geom._properties, geom._id if opt_id is None else opt_id
            geom = geom._geometry
        elif isinstance(geom, Mapping) and geom.get("type") == "Feature":
            known_ = dict(geom.get("properties") or {})
            opt_id = geom.get("id", known_.pop(INDEX, None)) if opt_id is None else opt_id
            geom = None if geom.get("geometry") is None else geom
        self._geometry: Geometry | None = (
            geom if geom is None or isinstance(geom, Geometry) else Geometry(geom)
        )
        given = known_ if opt_properties is None else opt_properties
        if isinstance(given, Mapping):
            given = dict(given)
        elif not isinstance(given, Computed):
            raise TypeError(
                f"ee.Feature() got properties that are a {type(given).__name__}; it takes a "
                "dictionary of names and values: ee.Feature(geometry, {'name': 'Lake'})."
            )
        self._properties: Any = given
        self._id: str | None = None if opt_id is None else str(opt_id)

    def __repr__(self) -> str:
        where = "no geometry" if self._geometry is None else repr(self._geometry)
        known_ = isinstance(self._properties, dict)
        names = ", ".join(map(str, self._properties)) if known_ else "computed properties"
        return f"ee.Feature of {where}" + (f", with {names}" if names else "")

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        """Its geometry as GeoJSON, for whatever takes a region."""
        geometry = self._geometry_for("geometry")
        return {"properties": {}, **in_its_crs(geometry.geometry, "Feature")}

    # -- geometry --------------------------------------------------------------------------------

    def geometry(self, maxError: Any = None, proj: Any = None, geodesics: Any = None) -> Any:
        """Give its geometry; None where it has none."""
        if self._geometry is None or proj is None:
            return self._geometry
        return self._geometry.transform(proj)

    def setGeometry(self, geometry: Any) -> Feature:
        """Give it another geometry."""
        return Feature(geometry, self._properties, self._id)

    def _geometry_for(self, method: str) -> Geometry:
        if self._geometry is None:
            raise ValueError(
                f"ee.Feature.{method}(): the feature has no geometry. Give it one: "
                "ee.Feature(geometry, properties), or feature.setGeometry(geometry)."
            )
        return self._geometry

    buffer = _shaped("buffer", SHAPES["buffer"])
    bounds = _shaped("bounds", SHAPES["bounds"])
    centroid = _shaped("centroid", SHAPES["centroid"])
    simplify = _shaped("simplify", SHAPES["simplify"])
    transform = _shaped("transform", SHAPES["transform"])
    dissolve = _shaped("dissolve", SHAPES["dissolve"])
    intersection = _shaped("intersection", SHAPES["intersection"])
    union = _shaped("union", SHAPES["union"])
    difference = _shaped("difference", SHAPES["difference"])
    symmetricDifference = _shaped("symmetricDifference", SHAPES["symmetricDifference"])
    area = _measured("area", MEASURES["area"])
    length = _measured("length", MEASURES["length"])
    perimeter = _measured("perimeter", MEASURES["perimeter"])
    contains = _measured("contains", MEASURES["contains"])
    containedIn = _measured("containedIn", MEASURES["containedIn"])
    intersects = _measured("intersects", MEASURES["intersects"])
    disjoint = _measured("disjoint", MEASURES["disjoint"])

    # -- properties ------------------------------------------------------------------------------

    def get(self, property: Any) -> Any:
        """Give a property; None where it has none of that name."""
        name = str(known(property))
        if name == INDEX:
            return self.id()
        if isinstance(self._properties, Computed):
            return lift(dict.get, self._properties, name, None, _kind=object)
        return wrapped(self._properties.get(name))

    def getNumber(self, property: Any) -> Any:
        """Give a property that is a number."""
        return Number(self.get(property))

    def getString(self, property: Any) -> Any:
        """Give a property that is a text."""
        return String(self.get(property))

    def set(self, *properties: Any) -> Feature:
        """Set properties: a dictionary, or names and values in turn."""
        alone = len(properties) == 1 and isinstance(properties[0], Mapping | Computed)
        given = properties[0] if alone else in_turn(properties, "ee.Feature.set()")
        if isinstance(given, Mapping):
            given = {known_name(n, "ee.Feature.set()"): one for n, one in dict(given).items()}
        if isinstance(given, Mapping) and isinstance(self._properties, dict):
            return Feature(self._geometry, {**self._properties, **given}, self._id)
        merged = lift(lambda own, more: {**own, **more}, self._properties, given, _kind=Dictionary)
        return Feature(self._geometry, merged, self._id)

    def copyProperties(self, source: Any, properties: Any = None, exclude: Any = None) -> Feature:
        """Copy properties of another feature, or of an image."""
        there = _properties_of(source)
        if isinstance(there, Computed):
            there = known(there, "ee.Feature.copyProperties()")
        wanted = there if properties is None else known(properties)
        left_out = set(known(exclude) or ())
        return self.set({n: there[n] for n in wanted if n in there and n not in left_out})

    def select(
        self, propertySelectors: Any, newProperties: Any = None, retainGeometry: bool = True
    ) -> Feature:
        """Keep some properties, under new names if these are given."""
        own = known(self._properties, "ee.Feature.select()")
        asked = [propertySelectors] if isinstance(propertySelectors, str) else propertySelectors
        names = list(known(asked))
        new = names if newProperties is None else list(known(newProperties))
        kept = {to: own[name] for name, to in zip(names, new, strict=True) if name in own}
        return Feature(self._geometry if retainGeometry else None, kept, self._id)

    def toDictionary(self, properties: Any = None) -> Any:
        """Give its properties, or some of them, as a dictionary."""
        own = Dictionary(self._properties)
        return own if properties is None else own.select(properties)

    def propertyNames(self) -> Any:
        """List the names of its properties."""
        return Dictionary(self._properties).keys()

    def id(self) -> Any:
        """Give its id; None where it has none."""
        return wrapped(self._id)

    def getInfo(self) -> dict[str, Any]:
        """Compute it, and give it as GeoJSON in longitude and latitude, a dict."""
        return as_geojson(self._geometry, computed(self._properties), self._id)


def as_geojson(geometry: Geometry | None, properties: Any, label: str | None) -> dict[str, Any]:
    """Write a feature as GeoJSON, in longitude and latitude."""
    shape = None if geometry is None else projected(geometry.geometry, LON_LAT).json
    written = None if shape is None else as_lists(shape)
    named = {} if label is None else {"id": label}
    told = {name: _told(value) for name, value in properties.items()}
    return {"type": "Feature", **named, "geometry": written, "properties": told}


def _told(value: Any) -> Any:
    return value.getInfo() if isinstance(value, Feature | Geometry) else plain(value)


def in_its_crs(geometry: Any, kind: str) -> dict[str, Any]:
    """Write an odc geometry as a feature of GeoJSON that says in which CRS it is."""
    crs = str(geometry.crs)
    said = {} if crs == LON_LAT else {"crs": {"type": "name", "properties": {"name": crs}}}
    return {"type": kind, "geometry": geometry.json, **said}


def in_turn(given: Any, caller: str) -> dict[str, Any]:
    """Take names and values in turn."""
    if len(given) % 2 or not given:
        raise ValueError(
            f"{caller} got {len(given)} arguments; it takes a dictionary, or names and values in "
            "turn: set('year', 2020, 'crop', 'rye')."
        )
    return dict(zip(given[::2], given[1::2], strict=True))


def _properties_of(source: Any) -> Any:
    """Give the properties of a feature, or of an image."""
    if isinstance(source, Feature):
        return source._properties
    return {str(name): source.get(name) for name in properties_of_images(source.dataset)}


def computed(given: Any) -> Any:
    """Compute what is not computed yet in lists and dictionaries, all at once."""
    return known(lift(_itself, given), "a property of a feature")


def _itself(given: Any) -> Any:
    return given

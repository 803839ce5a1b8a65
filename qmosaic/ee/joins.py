"""``ee.Join``: images or features of two collections that belong together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.filters import choose_images
from qmosaic.collection.masks import Array
from qmosaic.ee.collections import ImageCollection
from qmosaic.ee.elements import column, count_of, objects
from qmosaic.ee.features import Feature, FeatureCollection
from qmosaic.ee.images import Image
from qmosaic.ee.matches import NONE, Member, image_of, property_of_members
from qmosaic.ee.names import TIME, with_properties
from qmosaic.ee.selecting import Filter
from qmosaic.ee.unsupported import Hinting
from qmosaic.ee.values import List

Found = tuple[Array, Array, Array]
"""Pairs: the places of the first and of the second element, and how far they are apart (NaN where
nothing tells)."""


class Join(Hinting):
    """Which images or features of two collections belong together, by a filter of both.

    Make one with `saveFirst`, `saveBest`, `saveAll`, `inner`, `simple` or `inverted`, and apply it
    to two collections. https://developers.google.com/earth-engine/guides/joins_intro

    Examples
    --------
    Days with clouds, and the weather of the nearest day:

    >>> import numpy as np, xarray as xr
    >>> from qmosaic import ee
    >>> def images(name, values, days):
    ...     bands = {name: (("time", "x"), np.array(values, "int16"))}
    ...     return ee.ImageCollection(xr.Dataset(bands, {"time": np.array(days, "M8[ns]")}))
    >>> scenes = images("B4", [[1, 2], [3, 4]], ["2020-07-01", "2020-07-11"])
    >>> weather = images("rain", [[10, 20], [30, 40]], ["2020-07-02", "2020-07-13"])
    >>> near = ee.Filter.maxDifference(
    ...     2 * 24 * 3600 * 1000, leftField="system:time_start", rightField="system:time_start"
    ... )
    >>> joined = ee.Join.saveBest("weather", "apart").apply(scenes, weather, near)
    >>> wet = joined.map(lambda img: img.addBands(ee.Image(img.get("weather")).select("rain")))
    >>> wet.dataset["rain"].values
    array([[10, 20],
           [30, 40]], dtype=int16)
    >>> ee.Image(joined.first().get("weather")).get("apart").divide(24 * 3600 * 1000)
    1

    Every pair is an image:

    >>> pairs = ee.Join.inner().apply(scenes, weather, near)
    >>> pairs.map(lambda f: ee.Image.cat(f.get("primary"), f.get("secondary"))).first().bandNames()
    ['B4', 'rain']

    Those that something matches, those that nothing matches:

    >>> first_day = weather.limit(1)
    >>> ee.Join.simple().apply(scenes, first_day, near).aggregate_array("system:index")
    ['0']
    >>> ee.Join.inverted().apply(scenes, first_day, near).size()
    1

    The first match, or all of them:

    >>> latest = ee.Join.saveFirst("weather", "system:time_start", False)
    >>> first = latest.apply(scenes, weather, near)
    >>> every = ee.Join.saveAll("weathers").apply(scenes, weather, near)
    >>> ee.Image(first.first().get("weather")).bandNames(), every.first().get("weathers").size()
    (['rain'], 1)
    """

    _name = "ee.Join"

    def __init__(self, join: Callable[[Any, Any, Filter], Any], description: str) -> None:
        self._join = join
        self._description = description

    def __repr__(self) -> str:
        return f"ee.Join.{self._description}"

    def apply(self, primary: Any, secondary: Any, condition: Any) -> Any:
        """Join two collections.

        Parameters
        ----------
        primary, secondary : ImageCollection or FeatureCollection
            What is joined.
        condition : Filter
            Tells which of their elements belong together: with ``leftField``, a property of the
            primary, and ``rightField``, one of the secondary.

        Returns
        -------
        ImageCollection or FeatureCollection
            What the primary is. Of pairs of images, a collection of images without bands that have
            both as properties.

        Raises
        ------
        TypeError
            These are no collections, or the condition is no filter.
        """
        if not isinstance(condition, Filter):
            raise TypeError(
                f"{self!r}.apply() got a {type(condition).__name__} as condition; it takes a "
                "filter of both collections, such as ee.Filter.equals(leftField='system:index', "
                "rightField='system:index')."
            )
        first, second = (_elements(one, self) for one in (primary, secondary))
        return _collection(self._join(first, second, condition))

    @staticmethod
    def simple() -> Join:
        """Keep those of the primary collection that something of the secondary one matches."""
        return Join(
            lambda first, second, condition: _kept(
                first, np.flatnonzero(condition.pairs(first, second).any(axis=1))
            ),
            "simple()",
        )

    @staticmethod
    def inverted() -> Join:
        """Keep those of the primary collection that nothing of the secondary one matches."""
        return Join(
            lambda first, second, condition: _kept(
                first, np.flatnonzero(~condition.pairs(first, second).any(axis=1))
            ),
            "inverted()",
        )

    @staticmethod
    def saveFirst(
        matchKey: str,
        ordering: str | None = None,
        ascending: bool = True,
        measureKey: str | None = None,
        outer: bool = False,
    ) -> Join:
        """Save the first match as a property.

        Parameters
        ----------
        matchKey : str
            The property: ``ee.Image(img.get(matchKey))``.
        ordering : str, optional
            The property of the secondary collection by which it is ordered before.
        ascending : bool
            From the lowest on; False: from the highest.
        measureKey : str, optional
            The property of the match that says how far apart the two are, see
            `Filter.maxDifference`.
        outer : bool
            Keep those without a match too.
        """

        def join(first: Any, second: Any, condition: Filter) -> Any:
            order = _order(second, ordering, ascending)
            met = condition.pairs(first, second)[:, order]
            places = np.full(len(met), NONE)
            there = met.any(axis=1)
            places[there] = order[_place_of_first(met[there])]
            return _saved(first, second, condition, matchKey, places, measureKey, outer)

        return Join(join, f"saveFirst({matchKey!r})")

    @staticmethod
    def saveBest(matchKey: str, measureKey: str | None = None, outer: bool = False) -> Join:
        """Save the match that is least apart as a property.

        Of equally good ones, the first. https://developers.google.com/earth-engine/apidocs/ee-join-savebest

        Parameters
        ----------
        matchKey : str
            The property: ``ee.Image(img.get(matchKey))``.
        measureKey : str, optional
            The property of the match that says how far apart the two are.
        outer : bool
            Keep those without a match too.
        """

        def join(first: Any, second: Any, condition: Filter) -> Any:
            met = condition.pairs(first, second)
            apart = np.where(met, _measured(condition, first, second, "saveBest"), np.inf)
            places = np.where(met.any(axis=1), _place_of_least(apart), NONE)
            return _saved(first, second, condition, matchKey, places, measureKey, outer)

        return Join(join, f"saveBest({matchKey!r})")

    @staticmethod
    def saveAll(
        matchesKey: str,
        ordering: str | None = None,
        ascending: bool = True,
        measureKey: str | None = None,
        outer: bool = False,
    ) -> Join:
        """Save all matches as a property, a list; see `saveFirst`.

        ``ee.ImageCollection.fromImages(img.get(matchesKey))`` is another collection for each image:
        inside ``map`` the function is called for each.
        """

        def join(first: Any, second: Any, condition: Filter) -> Any:
            order = _order(second, ordering, ascending)
            met = condition.pairs(first, second)[:, order]
            apart = _apart(condition, first, second)
            members = [
                [_member(second, place, measureKey, apart[row, place]) for place in order[met[row]]]
                for row in range(len(met))
            ]
            kept = np.arange(len(met)) if outer else np.flatnonzero(met.any(axis=1))
            return _kept(_with(first, matchesKey, members, second), kept)

        return Join(join, f"saveAll({matchesKey!r})")

    @staticmethod
    def inner(
        primaryKey: str = "primary", secondaryKey: str = "secondary", measureKey: str | None = None
    ) -> Join:
        """Make an element of each pair that matches, with both as its properties.

        Parameters
        ----------
        primaryKey, secondaryKey : str
            These properties.
        measureKey : str, optional
            The property that says how far apart the two are, see `Filter.maxDifference`.
        """

        def join(first: Any, second: Any, condition: Filter) -> Any:
            rows, columns = np.nonzero(condition.pairs(first, second))
            labels = [f"{row}_{place}" for row, place in zip(rows, columns, strict=True)]
            pairs = _empty(_kept(first, rows), labels)
            pairs = _with(pairs, primaryKey, [_member(first, row) for row in rows], first)
            pairs = _with(pairs, secondaryKey, [_member(second, n) for n in columns], second)
            if measureKey is None:
                return pairs
            return _measuring(pairs, measureKey, _apart(condition, first, second)[rows, columns])

        return Join(join, f"inner({primaryKey!r}, {secondaryKey!r})")


def _elements(given: Any, join: Join) -> Any:
    """Take a collection as what filters look at."""
    if isinstance(given, FeatureCollection):
        return given.geodataframe
    if isinstance(given, ImageCollection | xr.Dataset | str):
        return ImageCollection(given).dataset
    raise TypeError(
        f"{join!r}.apply() got a {type(given).__name__}; it joins collections: an "
        "ee.ImageCollection or an ee.FeatureCollection."
    )


def _collection(elements: Any) -> Any:
    if isinstance(elements, xr.Dataset):
        return ImageCollection(elements)
    return FeatureCollection(elements)


def _kept(elements: Any, places: Array) -> Any:
    if isinstance(elements, xr.Dataset):
        return choose_images(elements, places)
    return elements.iloc[places]


def _with(elements: Any, key: str, members: list[Any], second: Any) -> Any:
    """Save elements of the second collection as a property of those of the first."""
    if not isinstance(elements, xr.Dataset):
        return elements.assign(**{key: objects([_as_image(one) for one in members])})
    if not isinstance(second, xr.Dataset):
        return with_properties(elements, {key: xr.Variable((TIME,), objects(members))})
    return with_properties(elements, {key: property_of_members(members, second)})


def _as_image(member: Any) -> Any:
    """Give an image as a feature has it as a property."""
    if isinstance(member, list):
        return List([_as_image(one) for one in member])
    return Image(image_of(member)) if isinstance(member, Member) else member


def _member(elements: Any, place: Any, measureKey: str | None = None, apart: float = np.nan) -> Any:
    """Give an element as the value of a property."""
    if isinstance(elements, xr.Dataset):
        measure = None if measureKey is None else (measureKey, float(apart))
        return Member(elements, int(place), measure)
    feature = FeatureCollection(elements.iloc[[place]]).first()
    return feature if measureKey is None else feature.set(measureKey, float(apart))


def _saved(
    first: Any,
    second: Any,
    condition: Filter,
    key: str,
    places: Array,
    measureKey: str | None,
    outer: bool,
) -> Any:
    """Save one match for each element, `places` of the second collection or `NONE`."""
    apart = np.full((len(places), 0), np.nan)
    if measureKey is not None:
        apart = _measured(condition, first, second, "measureKey=")
    found = [
        None
        if place < 0
        else _member(second, place, measureKey, apart[row, place] if apart.size else np.nan)
        for row, place in enumerate(places)
    ]
    kept = np.arange(len(places)) if outer else np.flatnonzero(places >= 0)
    return _kept(_with(first, key, found, second), kept)


def _empty(elements: Any, labels: list[str]) -> Any:
    """Give elements without bands, geometries and properties, under other ids."""
    if not isinstance(elements, xr.Dataset):
        return FeatureCollection([Feature(None, {}, label) for label in labels]).geodataframe
    known = [name for name in elements.coords if name != TIME]
    bare = elements.drop_vars([*elements.data_vars, *known])
    return bare.assign_coords(id=(TIME, objects(labels)))


def _measuring(pairs: Any, key: str, apart: Array) -> Any:
    if isinstance(pairs, xr.Dataset):
        return with_properties(pairs, {key: xr.Variable((TIME,), apart)})
    return pairs.assign(**{key: apart})


def _order(elements: Any, ordering: str | None, ascending: bool) -> Array:
    """Order elements by a property; those that lack it come last."""
    if ordering is None:
        return np.arange(count_of(elements))
    values = column(elements, ordering, "ee.Join")
    there = np.array([one == one and one is not None for one in values], bool)
    known = np.flatnonzero(there)
    ranks = np.unique(values[there], return_inverse=True)[1]
    order = np.argsort(ranks if ascending else -ranks, kind="stable")
    return np.concatenate([known[order], np.flatnonzero(~there)])


def _place_of_first(met: Array) -> Array:
    return np.argmax(met, axis=1) if met.shape[1] else np.zeros(len(met), int)


def _place_of_least(apart: Array) -> Array:
    return np.argmin(apart, axis=1) if apart.shape[1] else np.zeros(len(apart), int)


def _apart(condition: Filter, first: Any, second: Any) -> Array:
    """Tell how far apart elements are; NaN where the condition does not tell."""
    if condition.measure is None:
        return np.full((count_of(first), count_of(second)), np.nan)
    return condition.measure(first, second)


def _measured(condition: Filter, first: Any, second: Any, wanted: str) -> Array:
    if condition.measure is None:
        raise ValueError(
            f"ee.Join: {wanted} needs to know how far apart two elements are, which "
            f"{condition!r} does not tell. Join by one "
            "ee.Filter.maxDifference(difference, leftField=..., rightField=...)."
        )
    return condition.measure(first, second)

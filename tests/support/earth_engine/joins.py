"""Joins; https://developers.google.com/earth-engine/guides/joins_intro."""

from __future__ import annotations

from typing import Any

from tests.support.earth_engine.collections import ImageCollection
from tests.support.earth_engine.features import Feature, FeatureCollection
from tests.support.earth_engine.values import plain


def listed(collection: Any) -> list[Any]:
    """Give images or features as a list."""
    return collection.images if isinstance(collection, ImageCollection) else collection.features


class Join:
    """A way to put together what belongs together; `save` takes one and all that match it."""

    def __init__(self, save: Any) -> None:
        self.save = save

    def apply(self, primary: Any, secondary: Any, condition: Any) -> Any:
        """Put two collections together."""
        made: list[Any] = []
        for one in listed(primary):
            matches = [
                o for o in listed(secondary) if condition.pairs(one.properties, o.properties)
            ]
            made.extend(self.save(one, matches, condition))
        if made and isinstance(made[0], Feature):
            return FeatureCollection(made)
        return type(primary)(made)

    @staticmethod
    def simple() -> Join:
        """Keep what has a match."""
        return Join(lambda one, matches, _: [one] if matches else [])

    @staticmethod
    def inverted() -> Join:
        """Keep what has no match."""
        return Join(lambda one, matches, _: [] if matches else [one])

    @staticmethod
    def saveAll(
        matchesKey: Any,
        ordering: Any = None,
        ascending: bool = True,
        measureKey: Any = None,
        outer: bool = False,
    ) -> Join:
        """Keep all matches as a property."""

        def save(one: Any, matches: list[Any], _: Any) -> list[Any]:
            found = in_order(matches, ordering, ascending)
            return [one.set({plain(matchesKey): found})] if found or outer else []

        return Join(save)

    @staticmethod
    def saveFirst(
        matchKey: Any,
        ordering: Any = None,
        ascending: bool = True,
        measureKey: Any = None,
        outer: bool = False,
    ) -> Join:
        """Keep the first match as a property."""

        def save(one: Any, matches: list[Any], _: Any) -> list[Any]:
            found = in_order(matches, ordering, ascending)
            return [one.set({plain(matchKey): found[0]})] if found else [one] if outer else []

        return Join(save)

    @staticmethod
    def saveBest(matchKey: Any, measureKey: Any, outer: bool = False) -> Join:
        """Keep the nearest match as a property; it knows how far it is."""

        def save(one: Any, matches: list[Any], condition: Any) -> list[Any]:
            def distance(other: Any) -> Any:
                return condition.apart(one.properties, other.properties)

            if not matches:
                return [one] if outer else []
            best = min(matches, key=distance)
            return [one.set({plain(matchKey): best.set({plain(measureKey): distance(best)})})]

        return Join(save)

    @staticmethod
    def inner(primaryKey: str = "primary", secondaryKey: str = "secondary") -> Join:
        """Make a feature of each pair."""

        def save(one: Any, matches: list[Any], _: Any) -> list[Any]:
            return [Feature(None, {primaryKey: one, secondaryKey: other}) for other in matches]

        return Join(save)


def in_order(matches: list[Any], ordering: Any, ascending: bool) -> list[Any]:
    """Order matches by a property."""
    if ordering is None:
        return matches
    ordered = sorted(matches, key=lambda one: one.properties[plain(ordering)])
    return ordered if ascending else ordered[::-1]

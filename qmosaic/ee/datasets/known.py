"""What the tables of collections are made of."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Names = Mapping[str, tuple[str, ...]]
"""Names of bands in Earth Engine, each with the other names that sources have for it."""

Convert = Callable[[Any], Any]
"""Makes Earth Engine's value of that of another catalogue."""


def as_it_is(value: Any) -> Any:
    """Give a value that is the same in both."""
    return value


@dataclass(frozen=True)
class Property:
    """A property of the images of a collection.

    Attributes
    ----------
    name : str
        Its name in Earth Engine.
    sources : mapping of str to callable
        The properties of STAC, or coordinates of a Dataset, of which the first that is there
        tells it, and what makes Earth Engine's value of theirs.
    """

    name: str
    sources: Mapping[str, Convert]


def told(name: str, *sources: str, by: Convert = as_it_is) -> Property:
    """Make a property that is told by one of several others."""
    return Property(name, dict.fromkeys(sources, by))


@dataclass(frozen=True)
class Known:
    """What is known of a collection.

    Attributes
    ----------
    bands : mapping of str to tuple of str
        The bands by their names in Earth Engine, in its order, with other names for them. Capitals,
        spaces and hyphens do not count.
    assets : mapping of str to tuple of str
        The same for names that mean that band in STAC items alone: "qa" may be anything elsewhere.
    properties : tuple of Property
        The properties that others tell.
    options : mapping
        Arguments of `qmosaic.open_collection` that its pixels need.
    only : mapping of str to str
        What the properties of STAC items have to be, if they have them: a search for Landsat finds
        images of several satellites.
    """

    bands: Names
    assets: Names = field(default_factory=dict)
    properties: tuple[Property, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    only: Mapping[str, str] = field(default_factory=dict)

    def names(self, in_items: bool) -> dict[str, str]:
        """Give Earth Engine's names of bands by other names, in the form of `plain_name`."""
        found = {plain_name(name): name for name in self.bands}
        for names in (self.bands, self.assets) if in_items else (self.bands,):
            for name, others in names.items():
                for other in others:
                    found.setdefault(plain_name(other), name)
        return found

    @property
    def asked(self) -> list[str]:
        """The properties that are asked of STAC items."""
        return list(dict.fromkeys(source for one in self.properties for source in one.sources))


def plain_name(name: Any) -> str:
    """Write a name so that capitals, spaces and hyphens do not count."""
    return re.sub(r"[\s-]", "_", str(name)).lower()


# -- values ----------------------------------------------------------------------------------------


def of_each(convert: Callable[[str], str]) -> Convert:
    """Convert each of several texts that were joined by spaces; one image may be of several."""
    return lambda value: " ".join(map(convert, str(value).split()))


def milliseconds(value: Any) -> float:
    """Count the milliseconds since 1970 of a time in ISO 8601, UTC without a zone; of several, of
    the last."""
    times = map(datetime.datetime.fromisoformat, re.split(r"\s+(?=\d{4}-)", str(value)))
    zoned = [t if t.tzinfo else t.replace(tzinfo=datetime.UTC) for t in times]
    return round(max(zoned).timestamp() * 1000)


capitals = of_each(str.upper)

END = told("system:time_end", "end_datetime", by=milliseconds)
"""When the taking of an image, or the period that it is of, ended."""

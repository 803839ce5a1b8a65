"""Properties of images."""

from __future__ import annotations

from typing import Any, Self

from qmosaic.ee.images.base import Bands
from qmosaic.ee.matches import image_in, members_of
from qmosaic.ee.names import properties as properties_of
from qmosaic.ee.names import property_in, with_properties
from qmosaic.ee.properties import KNOWN_AS, as_number, as_property, of_images, property_of
from qmosaic.ee.values import Computed, Date, EachImage, List, Number, String, known, known_name


class Properties(Bands):
    """Properties of an image; inside `ImageCollection.map` one value for each image."""

    def metadata(self, property: str, name: str | None = None) -> Self:
        """Make a band of a property: one number an image; times in milliseconds since 1970."""
        values = as_number(property_of(self.dataset, property, "ee.Image.metadata()"))
        band = property if name is None else name
        return self._with({str(known_name(band, "ee.Image.metadata()")): values})

    def get(self, property: str) -> Any:
        """Give a property: a number, a text, a list, an image that was joined or, of a time,
        milliseconds.

        Inside `ImageCollection.map` it is one value for each image.
        """
        found = property_of(self.dataset, property, "ee.Image.get()")
        image = image_in(found, self.dataset)
        if isinstance(image, list):
            return List([type(self)(one) for one in image])
        return of_images(found) if image is None else type(self)(image)

    def getNumber(self, property: str) -> Any:
        """Give a property that is a number."""
        return Number(self.get(property))

    def getString(self, property: str) -> Any:
        """Give a property that is a text."""
        return String(self.get(property))

    def set(self, *properties: Any) -> Self:
        """Set properties: a mapping, or names and values in turn.

        A value is a number, a text, a date, a list or an image; inside `ImageCollection.map` the
        same for all images, or one that was computed for each.
        """
        given = (
            _named(properties[0])
            if len(properties) == 1
            else dict(zip(properties[::2], properties[1::2], strict=True))
        )
        images = self.dataset.sizes.get("time")
        along = {}
        for name, value in dict(given).items():
            name = str(known_name(name, "ee.Image.set()"))
            kept = name if property_in(self.dataset, name) is not None else KNOWN_AS.get(name, name)
            along[kept] = (
                members_of(value.dataset, images)
                if isinstance(value, Bands)
                else as_property(kept, value, images, f"ee.Image.set({name!r})")
            )
        return type(self)(with_properties(self.dataset, along))

    def copyProperties(self, source: Any, properties: Any = None, exclude: Any = None) -> Self:
        """Copy properties from another image; a property that this image has stays as it is."""
        there = self._as_image(source).dataset
        names = [n for n in properties_of(there) if property_in(self.dataset, str(n)) is None]
        names = [n for n in names if n not in (exclude or ())]
        if properties is not None:
            wanted = {known for name in properties for known in (name, KNOWN_AS.get(name))}
            names = [name for name in names if name in wanted]
        found = {name: property_in(there, str(name)) for name in names}
        return type(self)(with_properties(self.dataset, found))

    def date(self) -> Any:
        """Give the date and time; inside `ImageCollection.map` one for each image."""
        times = property_of(self.dataset, "system:time_start", "ee.Image.date()").values
        if times.ndim:
            return Computed(Date, [Date(one) for one in times], len(times))
        return Date(times[()])

    def id(self) -> Any:
        """Give the id; inside `ImageCollection.map` one for each image."""
        return self.get("system:index")


def _named(properties: Any) -> Any:
    """Give a dictionary, of which each image may have its own, as one of names that are known."""
    if not isinstance(properties, Computed):
        return properties
    names = properties.names
    if names is None and properties.images is not None:
        each = [] if properties.is_lazy else [sorted(dict(one)) for one in properties.content]
        if not each or any(one != each[0] for one in each):
            raise EachImage("ee.Image.set() needs the names of the properties")
        names = each[0]
    return known(properties) if names is None else {n: properties.get(n) for n in names}

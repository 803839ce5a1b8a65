"""Which images of a collection are kept, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import xarray as xr

from qmosaic.collection.filters import (
    choose_images,
    filter_bounds,
    filter_date,
    in_period,
    keep_images,
)
from qmosaic.collection.location import intersecting
from qmosaic.collection.masks import Array
from qmosaic.ee.collections.base import Images
from qmosaic.ee.elements import random_numbers
from qmosaic.ee.geometries import Geometry
from qmosaic.ee.images import Image
from qmosaic.ee.names import EMPTIED, with_properties
from qmosaic.ee.periods import period_of
from qmosaic.ee.properties import listed, property_of
from qmosaic.ee.selecting import Filter
from qmosaic.ee.values import List, Number, known


class Choosing(Images):
    """Fewer images, or in another order."""

    def filterDate(self, start: Any, end: Any = None) -> Self:
        """Keep images from `start` on, before `end`; see `qmosaic.filter_date`."""
        period = period_of(start, end)
        keep = in_period(self.dataset, *period)
        return self._kept(keep, lambda: filter_date(self.dataset, *period))

    def filterBounds(self, geometry: Any) -> Self:
        """Keep images whose footprint a region intersects; see `qmosaic.filter_bounds`.

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> places = {"latitude": [40.2, 40.1], "longitude": [-103.2, -103.1]}
        >>> red = (("time", "latitude", "longitude"), np.ones((3, 2, 2)))
        >>> col = ee.ImageCollection(xr.Dataset({"B4": red}, places))
        >>> col.filterBounds(ee.Geometry.Point(-103.19, 40.14)).size()
        3
        """
        region = Geometry(geometry).geometry
        keep = intersecting(self.dataset, region, "time")
        return self._kept(keep, lambda: filter_bounds(self.dataset, region))

    def filter(self, filter: Filter) -> Self:
        """Keep the images that meet a condition: ``filter(ee.Filter.lt("cloud_cover", 20))``."""
        if not isinstance(filter, Filter):
            raise TypeError(
                f"ee.ImageCollection.filter() got a {type(filter).__name__}; it takes a filter "
                "such as ee.Filter.lt('CLOUDY_PIXEL_PERCENTAGE', 20)."
            )
        keep = filter.keep(self.dataset)
        caller = f"ee.ImageCollection.filter({filter.description})"
        found = "it keeps no image of this collection"
        return self._kept(keep, lambda: keep_images(self.dataset, keep, "time", caller, found))

    def _kept(self, keep: Array, keeping: Callable[[], xr.Dataset]) -> Self:
        """Keep images; where none is left, remember why not."""
        if np.any(keep):
            return type(self)(keeping())
        why = self.dataset.attrs.get(EMPTIED, "The collection has no image.")
        if self.dataset.sizes["time"]:
            try:
                keeping()
            except ValueError as none_left:
                why = str(none_left)
        return type(self)(self.dataset.isel(time=slice(0, 0)).assign_attrs({EMPTIED: why}))

    def filterMetadata(self, name: str, operator: str, value: Any) -> Self:
        """Keep images by a property and an operator: "equals", "less_than", "greater_than", ..."""
        return self.filter(Filter.metadata(name, operator, value))

    def limit(self, maximum: int, property: str | None = None, ascending: bool = True) -> Self:
        """Keep the first images, in the order of a property if one is given."""
        ordered = self if property is None else self.sort(property, ascending)
        if isinstance(maximum, bool) or maximum != int(maximum) or maximum < 1:
            raise ValueError(
                f"ee.ImageCollection.limit() got {maximum!r}, which is no number of images. "
                "Write 1 or more."
            )
        return type(self)(ordered.dataset.isel(time=slice(0, int(maximum))))

    def sort(self, property: str, ascending: bool = True) -> Self:
        """Order the images by a property; equal ones stay in their order."""
        values = property_of(self.dataset, property, "ee.ImageCollection.sort()").values
        places = _order(values, ascending)
        return type(self)(choose_images(self.dataset, places))

    def randomColumn(
        self,
        columnName: str = "random",
        seed: Any = 0,
        distribution: str = "uniform",
        rowKeys: Any = None,
    ) -> Self:
        """Give each image a random number as a property, from 0 to 1, or "normal" around 0.

        The same seed gives the same numbers; they are not those of Earth Engine.
        https://developers.google.com/earth-engine/apidocs/ee-imagecollection-randomcolumn
        """
        caller = "ee.ImageCollection.randomColumn()"
        numbers = random_numbers(self.dataset, seed, distribution, caller)
        added = {str(known(columnName, caller)): xr.Variable(("time",), numbers)}
        return type(self)(with_properties(self.dataset, added))

    def first(self) -> Image:
        """Give the first image; of none, an image without bands."""
        return self._without_bands() or Image(self.dataset.isel(time=0))

    def size(self) -> Number:
        """Count the images."""
        return Number(self.dataset.sizes["time"])

    def aggregate_array(self, property: str) -> List:
        """List a property of all images; those that lack it are left out."""
        found = property_of(self.dataset, property, "ee.ImageCollection.aggregate_array()")
        return List([one for one in listed(found) if one is not None and one == one])


def _order(values: Array, ascending: bool) -> Array:
    order = np.argsort(values, kind="stable")
    if ascending:
        return order
    ranks = np.unique(values, return_inverse=True)[1]
    return np.argsort(-ranks, kind="stable")

"""Images of other collections that belong to those of this one; lists of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import pandas as pd

from qmosaic.collection.filters import choose_images
from qmosaic.ee.collections.base import Images
from qmosaic.ee.elements import column
from qmosaic.ee.images import Image
from qmosaic.ee.matches import NONE, chosen, places_in
from qmosaic.ee.values import List, check_function, known, wrapped


class Linking(Images):
    """Other collections beside this one, and its images one by one."""

    def linkCollection(
        self,
        imageCollection: Any,
        linkedBands: Any = None,
        linkedProperties: Any = None,
        matchPropertyName: str = "system:index",
    ) -> Self:
        """Add bands and properties of the same images in another collection.

        Those that are there are replaced. Where no image matches, the bands are masked and the
        properties missing; where several do, the first is taken.
        https://developers.google.com/earth-engine/apidocs/ee-imagecollection-linkcollection

        Parameters
        ----------
        imageCollection : ImageCollection or str
            The other collection, on the same grid.
        linkedBands, linkedProperties : str or list of str
            What to add, one of the two at least.
        matchPropertyName : str
            The property by whose value an image is found.

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> def images(name, values, ids):
        ...     bands = {name: (("time", "x"), np.array(values, "uint8"), {"_FillValue": 255})}
        ...     return ee.ImageCollection(xr.Dataset(bands, {"id": ("time", ids)}))
        >>> reflectances = images("B4", [[1, 2], [3, 4], [5, 6]], ["a", "b", "c"])
        >>> clouds = images("cloud", [[70, 80], [10, 20]], ["c", "a"])
        >>> reflectances.linkCollection(clouds, ["cloud"]).dataset["cloud"].values
        array([[ 10,  20],
               [255, 255],
               [ 70,  80]], dtype=uint8)
        """
        other = known(imageCollection, "linkCollection()")
        others = other if isinstance(other, Images) else type(self)(other)
        linked = Image(self.dataset).linkCollection(
            others, linkedBands, linkedProperties, matchPropertyName
        )
        return type(self)(linked.dataset)

    def combine(self, secondary: Any, overwrite: bool = False) -> Self:
        """Add all bands of the images of another collection that have the same id.

        Images without such a one are left out. A band whose name is taken is called ``name_1``;
        with `overwrite` it replaces the band of that name.
        https://developers.google.com/earth-engine/apidocs/ee-imagecollection-combine
        """
        others = type(self)(secondary).dataset
        places = places_in(others, self.dataset, "system:index", "ee.ImageCollection.combine()")
        kept = np.flatnonzero(places != NONE)
        own = choose_images(self.dataset, kept)
        if not len(kept):
            return type(self)(own)
        found = Image(chosen(others, places[kept], own))
        return type(self)(Image(own).addBands(found, None, overwrite).dataset)

    def distinct(self, properties: Any) -> Self:
        """Keep the first image of each value of some properties."""
        names = [properties] if isinstance(properties, str) else list(known(properties))
        caller = "ee.ImageCollection.distinct()"
        keys = {n: list(map(str, column(self.dataset, n, caller))) for n in names}
        first = ~pd.DataFrame(keys).duplicated().to_numpy()
        return type(self)(choose_images(self.dataset, np.flatnonzero(first)))

    def toList(self, count: Any = None, offset: Any = 0) -> List:
        """List images: as many as `count`, from one on."""
        start = int(known(offset, "ee.ImageCollection.toList()"))
        every = self.dataset.sizes["time"]
        asked = every if count is None else int(known(count, "ee.ImageCollection.toList()"))
        places = range(start, min(start + asked, every))
        return List([Image(self.dataset.isel(time=place)) for place in places])

    def iterate(self, algorithm: Callable[[Image, Any], Any], first: Any = None) -> Any:
        """Apply a function to each image and to what it gave for the one before."""
        check_function(algorithm, "ee.ImageCollection.iterate()")
        result = wrapped(first)
        for image in self.toList():
            result = wrapped(algorithm(image, result))
        return result

"""Functions of every image; other bands, other images."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Self

import numpy as np
import xarray as xr

from qmosaic.collection.filters import map_images
from qmosaic.collection.model import bands_of
from qmosaic.ee.collections.base import Images
from qmosaic.ee.collections.stacking import joined
from qmosaic.ee.elements import column
from qmosaic.ee.features import Feature, FeatureCollection, of_each_image
from qmosaic.ee.images import ClippedConstant, Image
from qmosaic.ee.names import EMPTIED, PROPERTY, TIME, property_in, with_own_times, with_properties
from qmosaic.ee.values import EachImage, check_function, check_returned


class Mapping(Images):
    """Functions of every image, and the images of other collections."""

    @classmethod
    def fromImages(cls, images: Any) -> Self:
        """Make a collection of single images."""
        return cls(list(images))

    def map(self, algorithm: Callable[[Image], Any], dropNulls: bool = False) -> Any:
        """Apply a function to every image.

        It is called once, with an image that stands for all of them, as Earth Engine traces it
        once; see `qmosaic.map_images`. A property of it is one value for each image, and numbers,
        dates and texts that are made of it too. What cannot be done for all images at once (another
        collection that is filtered by the date of each image, for instance) makes the function be
        called again, for each image.

        Images that the function gives None for are left out; one that gives None for all of them
        has no ``return``, unless `dropNulls` is True.

        Where the function gives features, they make an ``ee.FeatureCollection``.

        Values that it changes in place in numpy arrays behind an image are changed in the
        collection too.
        """

        check_function(algorithm, "ee.ImageCollection.map()")
        features = []

        def traced(images: xr.Dataset) -> Any:
            result = _checked(algorithm(Image(images)), images)
            if result is None:
                raise EachImage("images that the function gives nothing for are dropped")
            if isinstance(result, FeatureCollection):
                raise EachImage("each image gives other features")
            if isinstance(result, Feature):
                features.append(result)
                return images
            if not result._names():
                raise EachImage("images without bands")
            repeated = _along(result.dataset, images.sizes["time"])
            return _with_times(_as_images(repeated, images), images)

        traced.__name__ = getattr(algorithm, "__name__", "the function")
        try:
            made = map_images(self.dataset, traced)
        except EachImage:
            return self._map_one_by_one(algorithm, dropNulls)
        if not features:
            why = {EMPTIED: self.dataset.attrs[EMPTIED]} if EMPTIED in self.dataset.attrs else {}
            return type(self)(with_own_times(made).assign_attrs(why))
        labels = column(self.dataset, "system:index", "ee.ImageCollection.map()")
        return of_each_image(features[0], self.dataset.sizes["time"], labels)

    def _map_one_by_one(self, algorithm: Callable[[Image], Any], drop_nulls: Any) -> Any:
        images = [self.dataset.isel(time=place) for place in range(self.dataset.sizes["time"])]
        made = [_checked(algorithm(Image(image)), image) for image in images]
        check_returned(made, drop_nulls, "ee.ImageCollection.map()")
        kept = [one for one in made if one is not None]
        if not kept:
            why = "ee.ImageCollection.map(): the function gave no image for any image."
            why = why if images else str(self.dataset.attrs.get(EMPTIED, "There was none before."))
            return type(self)(self.dataset.isel(time=slice(0, 0)).assign_attrs({EMPTIED: why}))
        of_features = isinstance(kept[0], Feature | FeatureCollection)
        return FeatureCollection(kept) if of_features else type(self)(kept)

    def select(self, *selectors: Any, opt_names: Any = None) -> Self:
        """Choose bands by name, number or regular expression, and rename them."""
        if opt_names is not None:
            selectors = (selectors[0], opt_names)
        image = Image(self.dataset[bands_of(self.dataset, "time")]).select(*selectors)
        others = {
            name: variable
            for name, variable in self.dataset.data_vars.items()
            if "time" not in variable.dims and name not in image.dataset.variables
        }
        return type(self)(image.dataset.assign(others))

    def merge(self, collection2: Any) -> Self:
        """Append the images of another collection."""
        return type(self)(joined([self.dataset, type(self)(collection2).dataset]))


def _checked(result: Any, images: xr.Dataset) -> Any:
    if isinstance(result, ClippedConstant):
        result = result.on(Image(images))
    if result is not None and not isinstance(result, Image | Feature | FeatureCollection):
        raise TypeError(
            f"ee.ImageCollection.map(): the function returned a {type(result).__name__}; "
            "it has to return an ee.Image, for instance img.addBands(...), or an ee.Feature."
        )
    return result


def _along(dataset: xr.Dataset, images: int) -> xr.Dataset:
    """Repeat a band that is the same in all images (a constant) along time.

    An image that is the same for all images, all of it, may have a time of its own: they have it.
    """
    if TIME in dataset.dims:
        return dataset.assign(_repeated(dataset, images, lazily=False))
    bare = dataset.drop_vars(TIME, errors="ignore")
    made = bare.assign(_repeated(bare, images, lazily=True))
    if TIME not in dataset.coords:
        return made
    return made.assign_coords({f"{PROPERTY}{TIME}": (TIME, np.full(images, dataset[TIME].values))})


def _repeated(dataset: xr.Dataset, images: int, lazily: bool) -> dict[Hashable, Any]:
    """Repeat bands along time; numbers that are not computed yet only where they are asked for."""
    return {
        name: (TIME, np.full(images, band.values))
        if not band.ndim and isinstance(band.data, np.ndarray)
        else band.expand_dims(time=images)
        for name, band in dataset.data_vars.items()
        if TIME not in band.dims and (lazily or band.ndim or isinstance(band.data, np.ndarray))
    }


def _as_images(dataset: xr.Dataset, images: xr.Dataset) -> xr.Dataset:
    """Give images that have nothing of those of the collection the ids of these, as `map` does."""
    ids = property_in(images, "id")
    if ids is None or ids.dims != (TIME,):
        return dataset
    own = property_in(dataset, "id")
    return dataset if own is not None and own.dims else with_properties(dataset, {"id": ids})


def _with_times(dataset: xr.Dataset, images: xr.Dataset) -> xr.Dataset:
    """Give images that are made of one without a time (an elevation) those of the collection."""
    if TIME in dataset.coords or TIME not in images.coords or TIME not in dataset.dims:
        return dataset
    return dataset.assign_coords({TIME: images[TIME]})

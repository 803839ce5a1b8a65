"""Features as an image; images are above features, so that what makes them is given here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qmosaic.ee.unsupported import Hinting

_makers: list[Callable[[Any, Any, Any], Any]] = []


def painter(function: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """Say which function makes an image: of features, properties and a reducer."""
    _makers[:] = [function]
    return function


class Painted(Hinting):
    """Features that become an image."""

    def reduceToImage(self, properties: Any, reducer: Any) -> Any:
        """Make an image of some properties: of the features that meet each pixel, reduced.

        It has the pixels of the image that it is combined with, and is masked where no feature is.
        A feature meets a pixel where it is in it, and does not only touch its edge. Features that
        lack one of the properties do not count.

        https://developers.google.com/earth-engine/apidocs/ee-featurecollection-reducetoimage

        Parameters
        ----------
        properties : list of str
            Properties that are numbers, one for each input of the reducer.
        reducer : Reducer
            What becomes of several features: ``ee.Reducer.first()``, ``max()``, ``count()``.

        Returns
        -------
        Image
            float64 bands, called as the outputs of the reducer.

        Raises
        ------
        ValueError
            The reducer has another number of inputs, or gives lists.
        TypeError
            A property is not a number; raised where pixels are made.

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> places = {"latitude": [40.2, 40.1], "longitude": [-103.2, -103.1]}
        >>> image = xr.Dataset({"a": (("latitude", "longitude"), np.zeros((2, 2)))}, places)
        >>> west = ee.Feature(ee.Geometry.BBox(-103.25, 40, -103.15, 41), {"code": 7})
        >>> codes = ee.FeatureCollection([west]).reduceToImage(["code"], ee.Reducer.first())
        >>> ee.Image(image).add(codes).dataset["a"].values
        array([[ 7., nan],
               [ 7., nan]])
        """
        return _makers[0](self, properties, reducer)

"""What a collection is, in words."""

from __future__ import annotations

from typing import Any

from qmosaic.ee.collections.base import Images
from qmosaic.ee.images import Image


class Describing(Images):
    """Descriptions of a collection."""

    def getInfo(self) -> dict[str, Any]:
        """Describe the collection and each of its images, as Earth Engine does.

        Properties that depend on pixels are computed; no other pixel is read. See `Image.getInfo`.
        https://developers.google.com/earth-engine/apidocs/ee-imagecollection-getinfo

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> ids = ("time", ["a", "b"])
        >>> col = ee.ImageCollection(xr.Dataset({"B4": ("time", [1, 2])}, {"id": ids}))
        >>> [image["id"] for image in col.getInfo()["features"]]
        ['a', 'b']
        """
        count = self.dataset.sizes["time"]
        images = [Image(self.dataset.isel(time=place)).getInfo() for place in range(count)]
        named = {} if self._id is None else {"id": self._id}
        return {"type": "ImageCollection", **named, "bands": [], "features": images}

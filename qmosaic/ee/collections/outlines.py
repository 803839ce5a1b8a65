"""Where the images of a collection lie."""

from __future__ import annotations

from typing import Any

from qmosaic.collection.location import FOOTPRINT
from qmosaic.ee.collections.base import Images
from qmosaic.ee.geometries import Geometry
from qmosaic.ee.images.projections import outline_of
from qmosaic.ee.names import property_in
from qmosaic.optional import needed


class Outlines(Images):
    """Outlines of a collection."""

    def geometry(self, maxError: Any = None) -> Geometry:
        """Give the outline of all images: their footprints where they are known, else the grid.

        https://developers.google.com/earth-engine/apidocs/ee-imagecollection-geometry

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> places = {"latitude": [40.2, 40.1], "longitude": [-103.2, -103.1]}
        >>> red = (("time", "latitude", "longitude"), np.ones((3, 2, 2)))
        >>> ee.ImageCollection(xr.Dataset({"B4": red}, places)).geometry()
        ee.Geometry.Polygon within -103.25 to -103.05, 40.05 to 40.25 in EPSG:4326
        """
        written = property_in(self.dataset, FOOTPRINT)
        texts = [] if written is None else [text for text in written.values if text]
        if not texts:
            return Geometry(outline_of(self.dataset))
        shapely = needed("shapely", "geo", "footprints")
        return Geometry(shapely.union_all(shapely.from_wkt(texts)))

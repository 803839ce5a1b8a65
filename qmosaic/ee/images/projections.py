"""The grid of an image, and images on other grids."""

from __future__ import annotations

import warnings
from typing import Any, Self

import xarray as xr

from qmosaic.collection.geometry import LON_LAT, projected
from qmosaic.collection.location import FOOTPRINT, extent_of
from qmosaic.collection.requests import has_grid, on_grid_of
from qmosaic.ee.geometries import Geometry
from qmosaic.ee.images.base import Bands
from qmosaic.ee.names import property_in
from qmosaic.ee.projections import Projection, grid_of, projection_of
from qmosaic.ee.values.computed import EachImage
from qmosaic.optional import needed

WORLD = (-180.0, -90.0, 180.0, 90.0)
"""Where a constant lies: everywhere."""


class Projections(Bands):
    """Where the pixels of an image lie.

    All images of a collection have one grid, so these methods do the same inside
    `ImageCollection.map`.
    """

    def projection(self) -> Projection:
        """Give the CRS, and where pixels lie in it; of a constant, degrees.

        Examples
        --------
        >>> import numpy as np, xarray as xr, odc.geo.xr
        >>> from qmosaic import ee
        >>> places = {"y": [105.0, 95.0], "x": [5.0, 15.0]}
        >>> red = xr.DataArray(np.ones((2, 2)), places, ("y", "x"), name="red")
        >>> image = ee.Image(red.odc.assign_crs("EPSG:32633"))
        >>> image.projection().nominalScale()
        10
        """
        if self._is_constant():
            return Projection(LON_LAT)
        return projection_of(self.dataset, "ee.Image.projection()")

    def reproject(self, crs: Any, crsTransform: Any = None, scale: Any = None) -> Self:
        """Bring the image onto another grid, by nearest neighbour; a warning says so.

        https://developers.google.com/earth-engine/apidocs/ee-image-reproject. Nothing is done where
        the grid is that of the image. A code of a CRS alone keeps the size of pixels.

        Examples
        --------
        >>> import numpy as np, xarray as xr, odc.geo.xr
        >>> from qmosaic import ee
        >>> places = {"y": [105.0, 95.0], "x": [5.0, 15.0]}
        >>> red = xr.DataArray(np.ones((2, 2)), places, ("y", "x"), name="red")
        >>> image = ee.Image(red.odc.assign_crs("EPSG:32633"))
        >>> image.reproject(image.projection(), None, 10).dataset["red"].shape
        (2, 2)
        """
        caller = "ee.Image.reproject()"
        grid = grid_of(crs, crsTransform, scale, caller)
        if (
            not self._names()
            or self._is_constant()
            or has_grid(self.dataset, caller=caller, **grid)
        ):
            return self
        warnings.warn(
            f"{caller} brings the image onto another grid, and each pixel takes the value of that "
            "in which its centre lies (nearest neighbour). The collection has a grid already: "
            "leave reproject() out where that will do.",
            UserWarning,
            stacklevel=2,
        )
        return type(self)(on_grid_of(self.dataset, caller=caller, **grid))

    def setDefaultProjection(self, crs: Any, crsTransform: Any = None, scale: Any = None) -> Self:
        """Keep the image as it is: it has a grid. A warning says where another is asked for.

        https://developers.google.com/earth-engine/apidocs/ee-image-setdefaultprojection

        Examples
        --------
        >>> from qmosaic import ee
        >>> ee.Image(1).setDefaultProjection("EPSG:32633", None, 10).bandNames()
        ['constant']
        """
        caller = "ee.Image.setDefaultProjection()"
        grid = grid_of(crs, crsTransform, scale, caller)
        if (
            self._names()
            and not self._is_constant()
            and not has_grid(self.dataset, caller=caller, **grid)
        ):
            warnings.warn(
                f"{caller} changes nothing: the image keeps the grid of its collection, which is "
                "another one. To compute on that grid write image.reproject(...), or open "
                "the collection on it: open_collection(..., crs=..., resolution=...).",
                UserWarning,
                stacklevel=2,
            )
        return self

    def resample(self, mode: str = "bilinear") -> Self:
        """Keep the image as it is: on its own grid nothing is resampled. A warning says so.

        https://developers.google.com/earth-engine/apidocs/ee-image-resample

        Examples
        --------
        >>> from qmosaic import ee
        >>> ee.Image(1).resample("bicubic").bandNames()
        ['constant']
        """
        if mode not in ("bilinear", "bicubic"):
            raise ValueError(
                f"ee.Image.resample() got mode={mode!r}; Earth Engine knows 'bilinear' and "
                "'bicubic'. Leave the call out for the nearest neighbour."
            )
        if not self._names() or self._is_constant():
            return self
        warnings.warn(
            f"ee.Image.resample({mode!r}) changes nothing: the image stays on its own grid, and "
            "reproject() and exports take the nearest pixel. To interpolate, open the collection "
            "on the grid that you want: open_collection(..., resampling='bilinear').",
            UserWarning,
            stacklevel=2,
        )
        return self

    def geometry(self, maxError: Any = None, proj: Any = None, geodesics: Any = None) -> Geometry:
        """Give the outline of the image: its footprint where that is known, else that of its grid.

        In longitude and latitude.
        https://developers.google.com/earth-engine/apidocs/ee-image-geometry

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> places = {"latitude": [40.2, 40.1], "longitude": [-103.2, -103.1]}
        >>> image = xr.Dataset({"a": (("latitude", "longitude"), np.ones((2, 2)))}, places)
        >>> ee.Image(image).geometry()
        ee.Geometry.Polygon within -103.25 to -103.05, 40.05 to 40.25 in EPSG:4326
        """
        if self._is_constant():
            return Geometry(WORLD)
        return Geometry(outline_of(self.dataset))


def outline_of(dataset: xr.Dataset) -> Any:
    """Give the outline of an image in longitude and latitude.

    Raises
    ------
    EachImage
        Each image has its own.
    """
    written = property_in(dataset, FOOTPRINT)
    if written is not None and written.ndim:
        raise EachImage("each image has a footprint of its own")
    text = "" if written is None else written.values[()]
    if isinstance(text, str) and text:
        return needed("shapely", "geo", "footprints").from_wkt(text)
    return projected(extent_of(dataset), LON_LAT)

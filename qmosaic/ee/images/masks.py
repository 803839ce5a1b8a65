"""Masks of images, and regions outside which all is masked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import xarray as xr

from qmosaic.collection.clipping import clip_to, cuts_to_a_box
from qmosaic.collection.geometry import everywhere, projected
from qmosaic.collection.location import crs_of, map_dims
from qmosaic.collection.masks import Array
from qmosaic.ee import ground, pixels
from qmosaic.ee.geometries import Geometry
from qmosaic.ee.images.base import Bands, as_many
from qmosaic.ee.images.gridless import ClippedConstant
from qmosaic.ee.names import with_bands
from qmosaic.ee.values import plain
from qmosaic.optional import needed
from qmosaic.scores.expressions import by_chunk, is_number


class Masks(Bands):
    """Which pixels of an image are masked."""

    def updateMask(self, mask: Any) -> Self:
        """Mask pixels where another image is 0 or masked; what is masked stays masked."""
        return self._with_bands_of(mask, pixels.update_mask, "updateMask", "a mask")

    def _with_bands_of(
        self,
        other: Any,
        combine: Callable[[xr.DataArray, xr.DataArray], xr.DataArray],
        method: str,
        what: str,
    ) -> Self:
        """Combine each band with the band of the same number of another image, or with its one."""
        self, image = self._aligned(self._as_image(other))
        own, others = self._bands(), image._bands()
        if not own or not others:
            return self._lacking_bands(image)
        if len(others) not in (1, len(own)):
            raise ValueError(
                f"ee.Image.{method}() got {what} of {len(others)} bands for an image of "
                f"{len(own)}: give one band, or as many. Select the bands first."
            )
        pairs = zip(own.items(), as_many(others, len(own)), strict=True)
        return self._with({name: combine(a, b) for (name, a), b in pairs}, image)

    def selfMask(self) -> Self:
        """Mask pixels that are 0."""
        return self.updateMask(self)

    def mask(self, mask: Any = None) -> Self:
        """Give 1 where a band is valid and 0 where it is masked; given a mask, see updateMask."""
        return self._changed(pixels.mask_of) if mask is None else self.updateMask(mask)

    def unmask(self, value: Any = 0, sameFootprint: Any = True) -> Self:
        """Replace masked pixels by a number, or by the pixels of another image.

        https://developers.google.com/earth-engine/apidocs/ee-image-unmask
        """
        if is_number(value):
            return self._changed(lambda band: pixels.unmask(band, plain(value)))
        return self._with_bands_of(value, pixels.unmask_with, "unmask", "an image")

    def blend(self, top: Any) -> Self:
        """Lay another image on top: where that is masked this one is seen.

        An image of one band goes with all bands of the other.
        https://developers.google.com/earth-engine/apidocs/ee-image-blend
        """
        self, other = self._aligned(self._as_image(top))
        below, above = self._bands(), other._bands()
        if not below or not above:
            return self._lacking_bands(other)
        count = max(len(below), len(above))
        if any(len(bands) not in (1, count) for bands in (below, above)):
            raise ValueError(
                f"ee.Image.blend() got an image of {len(above)} bands on top of one of "
                f"{len(below)}: both have as many, or one has one band. Select the bands first."
            )
        names = below if len(below) == count else above
        pairs = zip(names, as_many(above, count), as_many(below, count), strict=True)
        return self._with({n: pixels.unmask_with(a, b) for n, a, b in pairs}, other)

    def clip(self, geometry: Any) -> Any:
        """Cut the image to a region, a geometry or features; what lies outside is masked.

        See `qmosaic.clip`. An integer band that declares no nodata gets the next larger dtype where
        pixels are masked, as in `updateMask`. A constant has no grid: it is cut on the grid of the
        image that it is combined with.

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> places = {"latitude": [40.2, 40.1], "longitude": [-103.2, -103.1]}
        >>> image = xr.Dataset({"a": (("latitude", "longitude"), np.ones((2, 2)))}, places)
        >>> west = ee.Geometry.BBox(-103.25, 40, -103.15, 41)
        >>> dict(ee.Image(image).clip(west).dataset.sizes)
        {'latitude': 2, 'longitude': 1}
        >>> ee.Image(image).updateMask(ee.Image(1).clip(west)).mask().dataset["a"].values
        array([[1, 0],
               [1, 0]], dtype=uint8)
        """
        region = Geometry(geometry).geometry
        if not self._names():
            return self
        if self._is_constant():
            return ClippedConstant(self, lambda grid: self.updateMask(_inside(grid, region)))
        whole = self if cuts_to_a_box(self.dataset, region) else self._changed(pixels.maskable)
        return type(self)(clip_to(whole.dataset, region, "ee.Image.clip()"))

    def clipToCollection(self, collection: Any) -> Any:
        """Cut the image to features, see `clip`.

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> places = {"latitude": [40.2, 40.1], "longitude": [-103.2, -103.1]}
        >>> image = xr.Dataset({"a": (("latitude", "longitude"), np.ones((2, 2)))}, places)
        >>> west = ee.FeatureCollection(ee.Geometry.BBox(-103.25, 40, -103.15, 41))
        >>> dict(ee.Image(image).clipToCollection(west).dataset.sizes)
        {'latitude': 2, 'longitude': 1}
        """
        return self.clip(collection)


def _inside(image: Any, region: Any) -> Any:
    """Give 1 on the pixels of an image whose centre lies in a region, 0 elsewhere."""
    dataset = image.dataset
    still = dataset.isel(time=0, drop=True) if "time" in dataset.dims else dataset
    outline = everywhere(projected(region, crs_of(still))).geom.wkb
    centres = ground.along_chunks(still, [still[dim] for dim in map_dims(still)])
    inside = by_chunk(_centres_in, centres, "uint8", outline=outline)
    return type(image)(with_bands(still, {"inside": inside}))


def _centres_in(ys: Array, xs: Array, *, outline: bytes) -> Array:
    shapely = needed("shapely", "geo", "regions")
    shape = shapely.from_wkb(outline)
    shapely.prepare(shape)
    inside: Array = np.asarray(shapely.intersects_xy(shape, *np.broadcast_arrays(xs, ys)), "uint8")
    return inside

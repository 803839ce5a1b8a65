"""Reductions of an image: over its bands, and over the pixels of regions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import can_be_masked, declared_nodata
from qmosaic.collection.masks import Array
from qmosaic.collection.requests import map_around, on_grid_around
from qmosaic.ee.geometries import Geometry
from qmosaic.ee.images.base import Bands
from qmosaic.ee.names import TIME
from qmosaic.ee.names import bands as bands_by_name
from qmosaic.ee.pixels import refill
from qmosaic.ee.projections import grid_of
from qmosaic.ee.reducers import AnyOutput, Output, Reducer, Rule
from qmosaic.ee.regions import Pixels, check_count, reduce_region
from qmosaic.ee.values import Computed, known
from qmosaic.scores.expressions import bare, by_chunk

MOST_PIXELS = 10_000_000
"""How many pixels a region may have, as in Earth Engine."""

FLAG_NODATA = 255
"""What stands for masked in a band of 0 and 1."""


class Reducing(Bands):
    """Bands that become one, regions that become numbers."""

    def reduce(self, reducer: Any) -> Self:
        """Reduce the bands to one for each output of a reducer, called as that.

        At every pixel, over the bands that are not masked there.

        https://developers.google.com/earth-engine/apidocs/ee-image-reduce

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> bands = {"a": ("x", np.uint8([1, 4])), "b": ("x", np.uint8([3, 0]))}
        >>> image = ee.Image(xr.Dataset(bands)).reduce(ee.Reducer.minMax())
        >>> image.dataset["min"].values, image.dataset["max"].values
        (array([1, 0], dtype=uint8), array([3, 4], dtype=uint8))
        """
        asked = Reducer(reducer)
        if asked.inputs != 1:
            raise ValueError(
                f"ee.Image.reduce() got a reducer of {asked.inputs} inputs, and the bands are all "
                "values of one. Combine reducers with sharedInputs=True; for several inputs there "
                "are collection.reduce() and image.reduceRegion()."
            )
        self._check_bands("ee.Image.reduce()")
        bands = refill(list(self._bands().values()))
        outputs = of_pixels(asked.outputs, "ee.Image.reduce()")
        return self._with({o.name: _over_bands(bands, o.rule) for o in outputs})

    def reduceRegion(
        self,
        reducer: Any,
        geometry: Any = None,
        scale: Any = None,
        crs: Any = None,
        crsTransform: Any = None,
        bestEffort: Any = False,
        maxPixels: Any = MOST_PIXELS,
        tileScale: Any = None,
    ) -> Computed:
        """Reduce the pixels of a region: a dictionary, computed when it is needed.

        Of a reducer with one output the values are called as the bands, with more ``band_output``;
        of a reducer with as many inputs as there are bands, as the outputs. Inside
        `ImageCollection.map` there is a dictionary for each image.

        Parameters
        ----------
        reducer : Reducer
            ``ee.Reducer.mean()``, for instance. Masked pixels do not count; a value is None where
            none does.
        geometry : Geometry, Feature, or what `qmosaic.clip` takes, optional
            Pixels whose centre lies in it count, all with the same weight; of a point or a line
            those that it touches. By default all of the image.
        scale, crs, crsTransform : optional
            Another grid than that of the image: its pixels are taken by nearest neighbour. What
            lies everywhere, a constant or `pixelArea`, has no other grid; it is in longitude and
            latitude where `crs` is not given.
        bestEffort : bool, default: False
            Whether a region may have more than `maxPixels`. They are all read, none is left out.
        maxPixels : int, default: 10_000_000
            How many pixels a region may have.
        tileScale : optional
            Changes nothing.

        Raises
        ------
        ValueError
            The region has too many pixels, or the reducer needs other inputs; the image lies
            everywhere, and no region or no scale is given.

        Notes
        -----
        https://developers.google.com/earth-engine/apidocs/ee-image-reduceregion

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> places = {"latitude": [40.2, 40.1], "longitude": [-103.2, -103.1]}
        >>> red = (("latitude", "longitude"), np.uint8([[1, 3], [5, 8]]))
        >>> image = ee.Image(xr.Dataset({"B4": red}, places))
        >>> west = ee.Geometry.BBox(-103.25, 40, -103.15, 41)
        >>> image.reduceRegion(ee.Reducer.mean(), west).getInfo()
        {'B4': 3.0}
        >>> image.reduceRegion(ee.Reducer.percentile([0, 50]), west).get("B4_p0").getInfo()
        1
        """
        caller = "ee.Image.reduceRegion()"
        asked = Reducer(reducer)
        region = None if geometry is None else Geometry(geometry).geometry
        most = math.inf if known(bestEffort) or maxPixels is None else float(known(maxPixels))
        image = self._for_regions(region, scale, crs, crsTransform, caller)
        if image is not None:
            check_count(image, region, most, caller)
        images = self.dataset.sizes.get(TIME)
        found = None if image is None else Pixels.of(image, region, caller)
        bands = self._bands() if found is None else bands_by_name(found.image)
        return reduce_region(found, bands, asked, "band", images, caller)

    def _for_regions(
        self, region: Any, scale: Any, crs: Any, transform: Any, caller: str
    ) -> xr.Dataset | None:
        """Give the image on the grid that is asked for; None where the region lies elsewhere."""
        self._check_bands(caller)
        if self._is_constant():
            grid_image = self._map_around(region, scale, crs, transform, caller)
            return self._combined("first", grid_image).dataset
        grid = grid_of(crs, transform, scale, caller)
        if all(one is None for one in grid.values()):
            return self.dataset
        return on_grid_around(self.dataset, region, **grid, caller=caller)

    def _map_around(self, region: Any, scale: Any, crs: Any, transform: Any, caller: str) -> Self:
        """Make an image of the pixels of a region, for what lies everywhere."""
        outline = None if region is None else Geometry(region).geometry
        grid = grid_of(crs, transform, scale, caller)
        if outline is None or (grid["scale"] is None and grid["crs_transform"] is None):
            raise ValueError(
                f"{caller} was asked of an image that lies everywhere (a constant, the area of "
                "pixels) and has no pixels of its own, so nothing tells which ones count. Give a "
                "region and a scale: reduceRegion(reducer, geometry, 10), sample(region, 10); or "
                "combine it with an image first: image.select(0).multiply(0).add(constant)."
            )
        return type(self)(map_around(outline, **grid, caller=caller))


def of_pixels(outputs: Sequence[AnyOutput], caller: str) -> list[Output]:
    """Refuse outputs that no pixel can hold."""
    found = [o for o in outputs if isinstance(o, Output) and o.rule.kind != "object"]
    for output in outputs:
        if output not in found:
            raise ValueError(
                f"{caller} got a reducer whose output {output.name!r} is a list or a dictionary, "
                "which no pixel can hold. Use one that gives numbers, such as mean() or "
                "percentile([...]); image.reduceRegion() takes this one, too."
            )
    return found


def filling(rule: Rule, bands: Sequence[xr.DataArray], dtype: np.dtype[Any]) -> Any:
    """Choose what stands for masked in the result of a rule; None where it cannot be."""
    if rule.of_nothing is not None or not any(map(can_be_masked, bands)):
        return None if dtype.kind != "f" else np.nan
    if dtype.kind == "f":
        return np.nan
    return FLAG_NODATA if rule.kind == "flag" else declared_nodata(bands[-1])


def declaring(made: xr.DataArray, fill: Any) -> xr.DataArray:
    """Say in a band what stands for masked in it; its other attributes go."""
    plain = bare(made)
    if fill is not None and plain.dtype.kind in "iu":
        plain.attrs["_FillValue"] = plain.dtype.type(fill)
    return plain


def _over_bands(bands: list[xr.DataArray], rule: Rule) -> xr.DataArray:
    """Reduce bands that have one dtype and one nodata."""
    dtype = rule.dtype(bands[0].dtype, len(bands))
    fill = filling(rule, bands, dtype)
    nodata = declared_nodata(bands[0])
    made = by_chunk(_stacked, bands, dtype, rule=rule, nodata=nodata, result=dtype, fill=fill)
    return declaring(made, fill)


def _stacked(*bands: Array, rule: Rule, nodata: Any, result: np.dtype[Any], fill: Any) -> Array:
    stack = np.stack(np.broadcast_arrays(*bands), axis=-1)
    return rule.reduce([stack], [nodata], result, fill)

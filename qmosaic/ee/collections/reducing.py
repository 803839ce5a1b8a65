"""One number of many: reductions along time."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.masks import Array
from qmosaic.collection.model import bands_of
from qmosaic.ee.collections.base import Images
from qmosaic.ee.images import Image
from qmosaic.ee.pixels import mask_of
from qmosaic.engine.mosaic import quality_mosaic
from qmosaic.engine.scheduling import rechunk
from qmosaic.scores import inverse


class Reducing(Images):
    """One image, each pixel of which is a number of those of all images."""

    def max(self) -> Image:
        """Give the highest valid value of each band, in its dtype."""
        return self._each(lambda ds, name: quality_mosaic(ds[[name]], name)[name])

    def min(self) -> Image:
        """Give the lowest valid value of each band, in its dtype."""

        def lowest(dataset: xr.Dataset, name: Hashable) -> xr.DataArray:
            scored = dataset[[name]].assign({f"{name}_": inverse(dataset[name])})
            return quality_mosaic(scored, f"{name}_")[name]

        return self._each(lowest)

    def sum(self) -> Image:
        """Give the sum of each band over the images in which it is valid: float64."""
        return self._each(
            lambda ds, name: _as_floats(ds[name]).sum("time", skipna=True, min_count=1)
        )

    def count(self) -> Image:
        """Count the images in which each band is valid."""
        return self._each(lambda ds, name: mask_of(ds[name]).astype("int32").sum("time"))

    def mean(self) -> Image:
        """Give the mean of each band over the images in which it is valid: float64."""
        return self._each(lambda ds, name: _as_floats(ds[name]).mean("time", skipna=True))

    def median(self) -> Image:
        """Give the median of each band over the images in which it is valid: float64.

        All images of a block are held in memory at once.
        """
        return self._each(lambda ds, name: _median(_as_floats(ds[name])))

    def _each(self, reduce: Callable[[xr.Dataset, Hashable], xr.DataArray]) -> Image:
        empty = self._without_bands()
        if empty is not None:
            return empty
        bands = {name: reduce(self.dataset, name) for name in bands_of(self.dataset, "time")}
        timeless = [n for n, v in self.dataset.variables.items() if "time" not in v.dims]
        return Image(self.dataset[timeless].assign(bands))


def _as_floats(band: xr.DataArray) -> xr.DataArray:
    """Bring a band to float64, NaN where it is masked."""
    nodata = declared_nodata(band)
    wide = band.astype("float64")
    floats: xr.DataArray = (wide if nodata is None else wide.where(band != nodata)).drop_attrs(
        deep=False
    )
    return floats


def _median(band: xr.DataArray) -> xr.DataArray:
    axis = band.get_axis_num("time")
    whole = band.copy(data=rechunk(band.data, {axis: -1})) if band.chunks else band
    median: xr.DataArray = xr.apply_ufunc(
        _median_of,
        whole,
        input_core_dims=[["time"]],
        dask="parallelized",
        output_dtypes=[np.dtype("float64")],
    )
    return median


def _median_of(values: Array) -> Array:
    """Compute medians along the last axis, of what is not NaN; NaN where there is nothing.

    `numpy.nanmedian` warns of such pixels, and filters of warnings do not hold in threads.
    """
    ordered = np.sort(values, axis=-1)  # NaN comes last
    count = np.sum(ordered == ordered, axis=-1, keepdims=True)
    lower, upper = (
        np.take_along_axis(ordered, np.clip(place, 0, values.shape[-1] - 1), axis=-1)[..., 0]
        for place in ((count - 1) // 2, count // 2)
    )
    with np.errstate(invalid="ignore"):  # between -inf and inf there is no middle
        median: Array = 0.5 * lower + 0.5 * upper
    return median

"""One number of many: reductions along time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.declarations import can_be_masked, declared_nodata
from qmosaic.collection.masks import Array
from qmosaic.ee.collections.base import Images
from qmosaic.ee.images import Image
from qmosaic.ee.images.reducing import declaring, filling, of_pixels
from qmosaic.ee.names import TIME, band_names, with_bands
from qmosaic.ee.pixels import combine, mask_of, update_mask
from qmosaic.ee.properties import listed, property_of
from qmosaic.ee.reducers import RULES, Moments, Reducer, Rule, counting, outputs_of
from qmosaic.engine.mosaic import quality_mosaic
from qmosaic.engine.scheduling import rechunk
from qmosaic.scores import inverse

Reduction = Callable[[Sequence[xr.DataArray]], xr.DataArray]


class Reducing(Images):
    """One image, each pixel of which is a number of those of all images."""

    def reduce(self, reducer: Any, parallelScale: Any = None) -> Image:
        """Reduce the images at every pixel.

        Parameters
        ----------
        reducer : Reducer
            With one input each band is reduced, and the results are called ``B4_mean``. With more
            inputs these are the bands, and the results are called as the outputs. Images count
            where the bands are not masked.
        parallelScale : optional
            Changes nothing.

        Returns
        -------
        Image
            Lazy. Minimum, maximum, first, last and mode have the dtype of the band; a count the
            smallest dtype that holds it; what may be a fraction is float64.

        Raises
        ------
        ValueError
            The reducer needs more or fewer bands, or gives lists or dictionaries.

        Notes
        -----
        https://developers.google.com/earth-engine/apidocs/ee-imagecollection-reduce

        Sums, means, variances, counts and extremes are made image by image. For medians,
        percentiles, modes and fits all images of a block are held in memory at once.

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> red = (("time", "x"), np.uint16([[1, 9], [3, 5], [8, 4]]))
        >>> col = ee.ImageCollection(xr.Dataset({"B4": red}))
        >>> both = ee.Reducer.median().combine(ee.Reducer.max(), sharedInputs=True)
        >>> col.reduce(both).bandNames(), col.reduce(both).dataset["B4_median"].values
        (['B4_median', 'B4_max'], array([3., 5.]))
        """
        asked, bands = Reducer(reducer), self._bands()
        of_pixels(asked.outputs, "ee.ImageCollection.reduce()")
        empty = self._without_bands()
        if empty is not None:
            return empty
        wanted = outputs_of(asked, list(bands), "band_output", "ee.ImageCollection.reduce()")
        return self._one_image(
            {name: along_time(o, [bands[band] for band in own]) for name, o, own in wanted}
        )

    def max(self) -> Image:
        """Give the highest valid value of each band, in its dtype."""
        return self._each("max")

    def min(self) -> Image:
        """Give the lowest valid value of each band, in its dtype."""
        return self._each("min")

    def sum(self) -> Image:
        """Give the sum of each band over the images in which it is valid: float64."""
        return self._each("sum")

    def product(self) -> Image:
        """Give the product of each band over the images in which it is valid: float64."""
        return self._each("product")

    def count(self) -> Image:
        """Count the images in which each band is valid."""
        return self._each("count")

    def mean(self) -> Image:
        """Give the mean of each band over the images in which it is valid: float64."""
        return self._each("mean")

    def median(self) -> Image:
        """Give the median of each band over the images in which it is valid: float64.

        All images of a block are held in memory at once.
        """
        return self._each("median")

    def mode(self) -> Image:
        """Give the most frequent valid value of each band, in its dtype; of equally frequent ones
        the lowest.

        All images of a block are held in memory at once.
        """
        return self._each("mode")

    def And(self) -> Image:
        """Give 1 where no valid value of a band is 0, else 0."""
        return self._each("allNonZero")

    def Or(self) -> Image:
        """Give 1 where a valid value of a band is not 0, else 0."""
        return self._each("anyNonZero")

    def toBands(self) -> Image:
        """Put the bands of all images into one image: ``ID_B4``, by the ids of the images.

        https://developers.google.com/earth-engine/apidocs/ee-imagecollection-tobands
        """
        ids = listed(property_of(self.dataset, "system:index", "ee.ImageCollection.toBands()"))
        bands, each = self._bands(), band_names(self.dataset)
        return self._one_image(
            {
                f"{label}_{name}": band.isel({TIME: place}, drop=True)
                for place, (label, own) in enumerate(zip(ids, each, strict=True))
                for name, band in bands.items()
                if name in own
            }
        )

    def _each(self, name: str) -> Image:
        """Reduce each band to one of its name."""
        empty = self._without_bands()
        if empty is not None:
            return empty
        (output,) = Reducer(name).outputs
        return self._one_image({n: along_time(output, [b]) for n, b in self._bands().items()})

    def _one_image(self, bands: dict[Any, xr.DataArray]) -> Image:
        """Make an image of bands, and of what is the same in all images."""
        timeless = [n for n, v in self.dataset.variables.items() if TIME not in v.dims]
        still = self.dataset[timeless]
        return Image(with_bands(still, {**still.data_vars, **bands}))


def along_time(output: Any, bands: Sequence[xr.DataArray]) -> xr.DataArray:
    """Reduce bands along time: the inputs of an output of a reducer."""
    rule: Rule = output.rule
    own = _masked_alike(bands) if len(bands) > 1 else list(bands)
    if rule.kind == "own" and _on_map(own):
        made = MOSAICS.get(rule.name)
        if made is not None:
            return made(own)
    if rule.kind == "flag" and _on_map(own):
        flags = combine("neq", own[0], 0)
        return MOSAICS["max" if rule.name == "anyNonZero" else "min"]([flags])
    streamed = SUMS.get(rule.name)
    return _whole(rule, own) if streamed is None else declaring(streamed(own[0]), None)


def _on_map(bands: Sequence[xr.DataArray]) -> bool:
    return any(set(band.dims) - {TIME} for band in bands[:1])


def _masked_alike(bands: Sequence[xr.DataArray]) -> list[xr.DataArray]:
    """Mask bands where one of them is masked: an image counts where all inputs do."""
    maskable = [mask_of(band) for band in bands if can_be_masked(band)]
    if not maskable:
        return list(bands)
    all_valid = functools.reduce(lambda a, b: combine("And", a, b), maskable)
    return [update_mask(band, all_valid) for band in bands]


# -- from one image each pixel -------------------------------------------------------------------


def _best(bands: Sequence[xr.DataArray], *, highest: bool) -> xr.DataArray:
    """Take the last band where the first is best; of equally good ones the last."""
    names = [f"band{number}" for number in range(len(bands))]
    images = xr.Dataset({n: b.reset_coords(drop=True) for n, b in zip(names, bands, strict=True)})
    quality = names[0]
    if not highest:
        quality = "quality"
        images = images.assign(quality=inverse(images[names[0]]))
    wanted = list(dict.fromkeys([names[-1], quality]))
    return quality_mosaic(images[wanted], quality, ties="last")[names[-1]]


def _by_order(bands: Sequence[xr.DataArray], *, ties: Literal["first", "last"]) -> xr.DataArray:
    """Take the first or last valid value: all of them are equally good."""
    valid = mask_of(bands[0])
    if can_be_masked(bands[0]):
        valid = update_mask(valid, valid)
    images = xr.Dataset({"band": bands[0], "valid": valid})
    return quality_mosaic(images.reset_coords(drop=True), "valid", ties=ties)["band"]


MOSAICS: dict[str, Reduction] = {
    "max": functools.partial(_best, highest=True),
    "min": functools.partial(_best, highest=False),
    "first": functools.partial(_by_order, ties="first"),
    "last": functools.partial(_by_order, ties="last"),
}
"""Rules whose results are mosaics."""


# -- image by image ------------------------------------------------------------------------------


def _count(band: xr.DataArray) -> xr.DataArray:
    dtype = np.min_scalar_type(band.sizes[TIME])
    return mask_of(band).sum(TIME, dtype=dtype)


def _spread(band: xr.DataArray, *, rule: Rule) -> xr.DataArray:
    """Compute a variance or standard deviation image by image; in memory of all at once."""
    if not isinstance(band.data, da.Array):
        return _whole(rule, [band])
    spread = da.reduction(
        band.data,
        functools.partial(_moments, nodata=declared_nodata(band)),
        functools.partial(_spread_of, of_moments=rule.of_moments),
        combine=_merged,
        axis=band.get_axis_num(TIME),
        dtype=np.dtype("float64"),
        output_size=3,
        meta=np.empty((0,) * (band.ndim - 1)),
    )
    return band.isel({TIME: 0}, drop=True).copy(data=spread)


def _moments(values: Array, axis: Any, keepdims: bool, *, nodata: Any) -> Array:
    """Look at the images of a chunk: count, total and squares in place of the images."""
    along = np.moveaxis(values, axis, (-1,))
    return _as_three(Moments.of(along, counting([along], [nodata])), axis)


def _as_three(moments: Moments, axis: Any) -> Array:
    three = np.stack([moments.count, moments.total, moments.squares], axis=-1)
    return np.moveaxis(three, (-1,), axis)


def _merged(three: Array, axis: Any, keepdims: bool) -> Array:
    return _as_three(_of_three(three, axis), axis)


def _of_three(three: Array, axis: Any) -> Moments:
    """Put together the moments of several chunks, which follow each other."""
    along = np.moveaxis(three, axis, (-1,))
    parts = (
        Moments(*np.moveaxis(along[..., n : n + 3], -1, 0)) for n in range(0, along.shape[-1], 3)
    )
    return functools.reduce(Moments.__or__, parts, Moments(np.zeros(along.shape[:-1])))


def _spread_of(three: Array, axis: Any, keepdims: bool, *, of_moments: Any) -> Array:
    with np.errstate(all="ignore"):
        spread: Array = of_moments(_of_three(three, axis))
    return spread


SUMS: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "sum": lambda band: as_floats(band).sum(TIME, skipna=True, min_count=1),
    "mean": lambda band: as_floats(band).mean(TIME, skipna=True),
    "product": lambda band: as_floats(band).prod(TIME, skipna=True, min_count=1),
    "count": _count,
    **{
        name: functools.partial(_spread, rule=RULES[name])
        for name in ("variance", "sampleVariance", "stdDev", "sampleStdDev")
    },
}
"""Rules for which an image is looked at once, and need not be held in memory with the others."""


def as_floats(band: xr.DataArray) -> xr.DataArray:
    """Bring a band to float64, NaN where it is masked."""
    nodata = declared_nodata(band)
    wide = band.astype("float64")
    floats: xr.DataArray = (wide if nodata is None else wide.where(band != nodata)).drop_attrs(
        deep=False
    )
    return floats


# -- all images at once --------------------------------------------------------------------------


def _whole(rule: Rule, bands: Sequence[xr.DataArray]) -> xr.DataArray:
    """Reduce bands with all images of a block in memory."""
    dtype = rule.dtype(bands[-1].dtype, bands[0].sizes[TIME])
    fill = filling(rule, bands, dtype)
    nodata = [declared_nodata(band) for band in bands]
    made: xr.DataArray = xr.apply_ufunc(
        functools.partial(_of_images, rule=rule, nodata=nodata, result=dtype, fill=fill),
        *map(_in_one, bands),
        input_core_dims=[[TIME]] * len(bands),
        dask="parallelized",
        output_dtypes=[dtype],
        join="override",
    )
    return declaring(made, fill)


def _in_one(band: xr.DataArray) -> xr.DataArray:
    """Bring all images of a block into one chunk."""
    bare = band.reset_coords(drop=True)
    if not band.chunks:
        return bare
    return bare.copy(data=rechunk(band.data, {band.get_axis_num(TIME): -1}))


def _of_images(
    *bands: Array, rule: Rule, nodata: list[Any], result: np.dtype[Any], fill: Any
) -> Array:
    return rule.reduce(np.broadcast_arrays(*bands), nodata, result, fill)

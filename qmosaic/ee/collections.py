"""``ee.ImageCollection``."""

from __future__ import annotations

import html
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.filters import (
    choose_images,
    filter_bounds,
    filter_date,
    keep_images,
    map_images,
)
from qmosaic.collection.location import GRID_MAPPING, with_crs_coordinate
from qmosaic.collection.masks import Array
from qmosaic.collection.model import bands_of, is_name, no_name
from qmosaic.collection.times import in_utc
from qmosaic.ee.catalog import resolve
from qmosaic.ee.geometries import Geometry
from qmosaic.ee.images import Image, listed
from qmosaic.ee.names import bands as bands_by_name
from qmosaic.ee.names import beside_time, settled, variable_of
from qmosaic.ee.pixels import mask_of, refill
from qmosaic.ee.properties import List, Number, property_of
from qmosaic.ee.selecting import Filter, instant
from qmosaic.ee.unsupported import Hinting
from qmosaic.engine.mosaic import last_on_top, quality_mosaic
from qmosaic.engine.scheduling import rechunk
from qmosaic.scores import inverse
from qmosaic.sources.opening import open_collection

COMPARE = {
    "equals": Filter.eq,
    "not_equals": Filter.neq,
    "less_than": Filter.lt,
    "not_greater_than": Filter.lte,
    "greater_than": Filter.gt,
    "not_less_than": Filter.gte,
}


class ImageCollection(Hinting):
    """A collection: images of the same bands on one grid, along time.

    Parameters
    ----------
    source : str, xarray.Dataset, list of Image, or what `qmosaic.open_collection` opens
        An id that is registered (`qmosaic.ee.register`), a path or URL, a Dataset with a dimension
        ``time``, or single images.

    Attributes
    ----------
    dataset : xarray.Dataset
        The bands along time, the properties as coordinates along time.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from qmosaic import ee
    >>> days = np.array(["2020-07-01", "2020-07-11", "2020-08-01"], "M8[ns]")
    >>> col = ee.ImageCollection(
    ...     xr.Dataset(
    ...         {
    ...             "B4": (("time", "x"), np.uint16([[1, 2], [3, 4], [5, 6]])),
    ...             "cloud": (("time", "x"), np.uint8([[90, 5], [10, 60], [0, 80]])),
    ...         },
    ...         {"time": days, "cloud_cover": ("time", [50, 30, 40])},
    ...     )
    ... )

    Fewer images:

    >>> col.size(), col.filterDate("2020-07-01", "2020-08-01").size(), col.limit(1).size()
    (3, 2, 1)
    >>> col.filter(ee.Filter.lt("cloud_cover", 45)).aggregate_array("cloud_cover")
    [30, 40]
    >>> col.filterMetadata("cloud_cover", "less_than", 35).first().date()
    ee.Date('2020-07-11T00:00:00')
    >>> col.sort("cloud_cover").aggregate_array("cloud_cover")
    [30, 40, 50]

    Other bands, other images:

    >>> def add_quality(image):
    ...     return image.addBands(image.select("cloud").multiply(-1).rename("quality"))
    >>> col.map(add_quality).select("quality").first().bandNames()
    ['quality']
    >>> col.merge(col).size(), ee.ImageCollection.fromImages([col.first()]).size()
    (6, 1)

    One image of many:

    >>> col.map(add_quality).qualityMosaic("quality").dataset["B4"].values
    array([5, 2], dtype=uint16)
    >>> col.mosaic().dataset["B4"].values
    array([5, 6], dtype=uint16)
    >>> images = [col.min(), col.max(), col.sum(), col.mean(), col.median(), col.count()]
    >>> [image.dataset["B4"].values.tolist() for image in images]
    [[1, 2], [5, 6], [9.0, 12.0], [3.0, 4.0], [3.0, 4.0], [3, 3]]
    """

    _name = "ee.ImageCollection"

    def __init__(self, source: Any) -> None:
        if isinstance(source, ImageCollection):
            dataset = source.dataset
        elif isinstance(source, xr.Dataset):
            dataset = source
        elif isinstance(source, xr.DataArray):
            dataset = Image(source).dataset
        elif isinstance(source, str):
            dataset = resolve(source)
        elif isinstance(source, Image):
            dataset = _stacked([source])
        elif isinstance(source, list | tuple) and any(isinstance(one, Image) for one in source):
            dataset = _stacked([Image(one) for one in source])
        else:
            dataset = open_collection(str(source) if isinstance(source, Path) else source)
        if "time" not in dataset.dims:
            raise ValueError(
                "ee.ImageCollection() got a Dataset without a dimension 'time', along which its "
                "images would lie. Rename yours, ds.rename(date='time'), or wrap a single image "
                "with ee.Image(ds)."
            )
        self.dataset: xr.Dataset = settled(with_crs_coordinate(in_utc(dataset)))
        self._id = source if isinstance(source, str) else None

    @staticmethod
    def fromImages(images: Any) -> ImageCollection:
        """Make a collection of single images."""
        return ImageCollection(list(images))

    def __repr__(self) -> str:
        """Give its id where it was opened by one, the number of images, their dates, the bands."""
        count = self.dataset.sizes["time"]
        parts = [f"{count} image{'' if count == 1 else 's'}"]
        if "time" in self.dataset.coords and self.dataset["time"].dtype.kind == "M":
            times = self.dataset["time"].values
            parts.append(f"{str(times.min())[:10]} to {str(times.max())[:10]}")
        parts.append(listed(self._bands()))
        named = "" if self._id is None else f" {self._id!r}:"
        return f"ee.ImageCollection{named or ' of'} {', '.join(parts)}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>{self.dataset._repr_html_()}"

    def _bands(self) -> dict[Hashable, xr.DataArray]:
        return bands_by_name(self.dataset[bands_of(self.dataset, "time")])

    # -- fewer images ----------------------------------------------------------------------------

    def filterDate(self, start: Any, end: Any = None) -> ImageCollection:
        """Keep images from `start` on, before `end`; see `qmosaic.filter_date`."""
        last = None if end is None else instant(end)
        return ImageCollection(filter_date(self.dataset, instant(start), last))

    def filterBounds(self, geometry: Any) -> ImageCollection:
        """Keep images whose footprint a region intersects; see `qmosaic.filter_bounds`.

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> places = {"latitude": [40.2, 40.1], "longitude": [-103.2, -103.1]}
        >>> red = (("time", "latitude", "longitude"), np.ones((3, 2, 2)))
        >>> col = ee.ImageCollection(xr.Dataset({"B4": red}, places))
        >>> col.filterBounds(ee.Geometry.Point(-103.19, 40.14)).size()
        3
        """
        return ImageCollection(filter_bounds(self.dataset, Geometry(geometry).geometry))

    def filter(self, filter: Filter) -> ImageCollection:
        """Keep the images that meet a condition: ``filter(ee.Filter.lt("cloud_cover", 20))``."""
        if not isinstance(filter, Filter):
            raise TypeError(
                f"ee.ImageCollection.filter() got a {type(filter).__name__}; it takes a filter "
                "such as ee.Filter.lt('CLOUDY_PIXEL_PERCENTAGE', 20)."
            )
        keep = filter.keep(self.dataset)
        caller = f"ee.ImageCollection.filter({filter.description})"
        return ImageCollection(
            keep_images(self.dataset, keep, "time", caller, "it keeps no image of this collection")
        )

    def filterMetadata(self, name: str, operator: str, value: Any) -> ImageCollection:
        """Keep images by a property and an operator: "equals", "less_than", "greater_than", ..."""
        if operator not in COMPARE:
            raise ValueError(
                f"ee.ImageCollection.filterMetadata() got the operator {operator!r}; it takes "
                f"{', '.join(map(repr, COMPARE))}."
            )
        return self.filter(COMPARE[operator](name, value))

    def limit(
        self, maximum: int, property: str | None = None, ascending: bool = True
    ) -> ImageCollection:
        """Keep the first images, in the order of a property if one is given."""
        ordered = self if property is None else self.sort(property, ascending)
        if isinstance(maximum, bool) or maximum != int(maximum) or maximum < 1:
            raise ValueError(
                f"ee.ImageCollection.limit() got {maximum!r}, which is no number of images. "
                "Write 1 or more."
            )
        return ImageCollection(ordered.dataset.isel(time=slice(0, int(maximum))))

    def sort(self, property: str, ascending: bool = True) -> ImageCollection:
        """Order the images by a property; equal ones stay in their order."""
        values = property_of(self.dataset, property, "ee.ImageCollection.sort()").values
        places = _order(values, ascending)
        return ImageCollection(choose_images(self.dataset, places))

    def first(self) -> Image:
        """Give the first image."""
        return Image(self.dataset.isel(time=0))

    def size(self) -> Number:
        """Count the images."""
        return Number(self.dataset.sizes["time"])

    def aggregate_array(self, property: str) -> List:
        """List a property of all images."""
        found = property_of(self.dataset, property, "ee.ImageCollection.aggregate_array()")
        if found.dtype.kind == "M":
            return List(found.values.astype("M8[ms]").astype("int64").tolist())
        return List(found.values.tolist())

    # -- other bands, other images ---------------------------------------------------------------

    def map(self, algorithm: Callable[[Image], Any], dropNulls: Any = None) -> ImageCollection:
        """Apply a function to every image.

        It is called once, with an image that stands for all of them, as Earth Engine traces it
        once; see `qmosaic.map_images`. Values that it changes in place in numpy arrays behind an
        image are changed in the collection too.
        """

        def traced(images: xr.Dataset) -> Any:
            result = algorithm(Image(images))
            if not isinstance(result, Image):
                raise TypeError(
                    f"ee.ImageCollection.map(): the function returned a {type(result).__name__}; "
                    "it has to return an ee.Image, for instance img.addBands(...)."
                )
            return _along(result.dataset, images.sizes["time"])

        traced.__name__ = getattr(algorithm, "__name__", "the function")
        return ImageCollection(map_images(self.dataset, traced))

    def select(self, *selectors: Any, opt_names: Any = None) -> ImageCollection:
        """Choose bands by name, number or regular expression, and rename them."""
        if opt_names is not None:
            selectors = (selectors[0], opt_names)
        image = Image(self.dataset[bands_of(self.dataset, "time")]).select(*selectors)
        others = {
            name: variable
            for name, variable in self.dataset.data_vars.items()
            if "time" not in variable.dims and name not in image.dataset.variables
        }
        return ImageCollection(image.dataset.assign(others))

    def merge(self, collection2: Any) -> ImageCollection:
        """Append the images of another collection."""
        return ImageCollection(_joined([self.dataset, ImageCollection(collection2).dataset]))

    # -- one image of many -----------------------------------------------------------------------

    def qualityMosaic(
        self, qualityBand: str, *, ties: Any = "last", masked: Any = "fill", **rules: Any
    ) -> Image:
        """Take, for every pixel, all bands of the image with the highest quality.

        As Earth Engine has been seen to do it: of equally good images the last one wins, and a band
        that is masked in the winner comes from the next best image. Other rules are arguments:
        those of `qmosaic.quality_mosaic`, but for periods, which make more than one image.
        """
        if isinstance(qualityBand, Image) or not is_name(qualityBand):
            adding = "collection.map(lambda img: img.addBands(score_of(img).rename('quality')))"
            raise no_name(qualityBand, "qualityBand", adding)
        if rules.get("period") is not None:
            raise ValueError(
                f"qualityMosaic() got period={rules['period']!r}, which makes a mosaic for each "
                "period, and it gives one image. Write qmosaic.quality_mosaic(collection.dataset, "
                "..., period=...), and ee.ImageCollection(...) of what that gives."
            )
        band = variable_of(self.dataset, qualityBand)
        mosaic = quality_mosaic(self.dataset, band, ties=ties, masked=masked, **rules)
        mosaic.attrs["qmosaic_quality_band"] = qualityBand
        if rules.get("provenance", False) is not False:
            return Image(mosaic)
        # from which image a band is: `qmosaic.quality_mosaic` tells; Earth Engine does not
        seen = [f"{band}_source_index" for band in mosaic.data_vars]
        return Image(mosaic.drop_vars([name for name in seen if name in mosaic.coords]))

    def mosaic(self) -> Image:
        """Put the images on top of each other, the last on top; masked pixels show those below."""
        return Image(last_on_top(self.dataset))

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
        bands = {name: reduce(self.dataset, name) for name in bands_of(self.dataset, "time")}
        timeless = [n for n, v in self.dataset.variables.items() if "time" not in v.dims]
        return Image(self.dataset[timeless].assign(bands))


def _order(values: Array, ascending: bool) -> Array:
    order = np.argsort(values, kind="stable")
    if ascending:
        return order
    ranks = np.unique(values, return_inverse=True)[1]
    return np.argsort(-ranks, kind="stable")


def _stacked(images: list[Image]) -> xr.Dataset:
    """Stack single images along time; their properties become coordinates along time."""
    return _joined([_along_time(image.dataset) for image in images])


def _along_time(dataset: xr.Dataset) -> xr.Dataset:
    if "time" in dataset.dims:
        return dataset
    dataset = beside_time(dataset)
    known = {
        name: ("time", [c.values[()]])
        for name, c in dataset.coords.items()
        if c.ndim == 0 and name != "time" and not GRID_MAPPING & set(c.attrs)
    }
    return dataset.expand_dims("time").assign_coords(known)


def _along(dataset: xr.Dataset, images: int) -> xr.Dataset:
    """Repeat a band that is the same in all images (a constant) along time."""
    if "time" not in dataset.dims:
        return dataset
    still = {
        name: band.expand_dims(time=images) if band.ndim else ("time", np.full(images, band.values))
        for name, band in dataset.data_vars.items()
        if "time" not in band.dims and (band.ndim or isinstance(band.data, np.ndarray))
    }
    return dataset.assign(still)


def _joined(parts: list[xr.Dataset]) -> xr.Dataset:
    """Concatenate collections: bands get one nodata value, images the properties of all."""
    bands = [set(part.data_vars) for part in parts]
    for other in bands[1:]:
        if other != bands[0]:
            raise ValueError(
                "ee.ImageCollection: images with different bands cannot be put together; some lack "
                f"{', '.join(map(repr, sorted(map(str, bands[0] ^ other))))}. Select the bands "
                "that all have first."
            )
    masked = {name: refill([part[name] for part in parts]) for name in parts[0].data_vars}
    alike = [
        _with_properties(part, parts).assign({n: b[i].variable for n, b in masked.items()})
        for i, part in enumerate(parts)
    ]
    try:
        joined: xr.Dataset = xr.concat(
            alike,
            "time",
            data_vars="minimal",
            coords="minimal",
            compat="override",
            join="exact",
            combine_attrs="override",
        )
    except ValueError as error:
        raise ValueError(
            f"ee.ImageCollection: the images are not on one grid ({error}). Bring them onto one "
            "first, with open_collection(..., geobox=...) or odc-geo's reproject."
        ) from error
    return joined


def _with_properties(part: xr.Dataset, parts: list[xr.Dataset]) -> xr.Dataset:
    """Add the properties that only other images have, as NaN or an empty text."""
    missing = {}
    for other in parts:
        for name, c in other.coords.items():
            if name not in part.coords and c.dims == ("time",):
                nothing: Any = np.nan if c.dtype.kind in "iuf" else ""
                missing[name] = ("time", np.full(part.sizes["time"], nothing, dtype=None))
    shared = [set(p.coords) for p in parts]
    extra = [
        n
        for n, c in part.coords.items()
        if c.dims != ("time",) and not all(n in names for names in shared)
    ]
    return part.drop_vars(extra).assign_coords(missing)


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

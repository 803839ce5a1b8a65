"""Functions that choose the images and bands of a collection, or change its bands."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from qmosaic.collection.clipping import clip_to
from qmosaic.collection.geometry import as_geometry
from qmosaic.collection.location import FOOTPRINT, intersecting, whereabouts
from qmosaic.collection.masks import Array
from qmosaic.collection.model import bands_of
from qmosaic.collection.times import Instant, in_utc, moment

Images = TypeVar("Images", xr.Dataset, xr.DataArray)


def filter_date(
    collection: xr.Dataset, start: Instant, end: Instant | None = None, *, dim: Hashable = "time"
) -> xr.Dataset:
    """Keep the images of a period: `start` belongs to it, `end` does not.

    Parameters
    ----------
    collection : xarray.Dataset
        Images along `dim`, whose coordinate is a time: UTC, or with a zone.
    start, end : str, date, datetime or numpy.datetime64
        Instants in UTC ("2020-07-01", "2020-07-01T10:15:59Z"); those that tell another zone are
        converted. Without `end`: the one instant `start`, as wide as it is precise ("2020": that
        year, "2020-07-01": that day).
    dim : hashable, default: "time"
        The dimension of the images.

    Returns
    -------
    xarray.Dataset
        The same collection with fewer images, in the same order; no pixel is read. Times with a
        zone are UTC in it.

    Raises
    ------
    ValueError
        No image is left, `end` is not after `start`, or a text is no time.
    TypeError
        `dim` has no times.

    Notes
    -----
    Earth Engine's ``ImageCollection.filterDate``,
    https://developers.google.com/earth-engine/apidocs/ee-imagecollection-filterdate

    The dask graph of a collection that was cut in time grows with images × blocks × bands. Where
    that is too much, let `open_collection` open fewer files or items.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> days = np.array(["2020-07-01", "2020-07-31", "2020-08-01"], "datetime64[ns]")
    >>> collection = xr.Dataset({"red": (("time", "x"), np.ones((3, 2)))}, {"time": days})
    >>> qm.filter_date(collection, "2020-07-01", "2020-08-01").sizes["time"]
    2
    >>> qm.filter_date(collection, "2020-08").sizes["time"]
    1
    """
    collection = _checked(collection, dim, "filter_date()")
    keep = in_period(collection, start, end, dim=dim)
    period = f"from {start!r}" + ("" if end is None else f" to {end!r} (which is not in it)")
    if end is None:
        period = f"in {start!r}"
    times = _times(collection, dim)
    found = (
        f"its {len(times)} images are of {_day(times.min())} to {_day(times.max())}"
        if len(times)
        else "it had no images before"
    )
    return keep_images(collection, keep, dim, f"filter_date() {period}", found)


def in_period(
    collection: xr.Dataset, start: Instant, end: Instant | None, *, dim: Hashable = "time"
) -> Array:
    """Tell which images are of a period, see `filter_date`."""
    # microseconds reach far enough for "until 9999"; nanoseconds do not
    times = _times(collection, dim).astype("datetime64[us]")
    first = moment(start, "start")
    after: Any
    if end is None:
        after = first + np.ones((), f"m8[{np.datetime_data(first)[0]}]")[()]
    else:
        after = moment(end, "end")
        if after < first:
            raise ValueError(
                f"filter_date() got end={end!r}, which is before start={start!r}, so no image can "
                f"be between them. Swap start and end: {end!r}, {start!r}."
            )
        if after == first:
            raise ValueError(
                f"filter_date() got end={end!r}, which is not after start={start!r}: the end does "
                "not belong to the period, so no image can be in it. Leave end= out for the one "
                f"instant {start!r}."
            )
    kept: Array = (times >= first) & (times < after)
    return kept


def _times(collection: xr.Dataset, dim: Hashable) -> Any:
    collection = _checked(collection, dim, "filter_date()")
    times = collection[dim].values if dim in collection.coords else None
    if times is None or times.dtype.kind != "M":
        has = "no coordinate" if times is None else f"a coordinate of dtype {times.dtype}"
        instead = f"collection.assign_coords({dim}=pandas.to_datetime([...]))"
        if isinstance(collection.indexes.get(dim), xr.CFTimeIndex):
            has = "times of another calendar (cftime)"
            instead = f"collection.sel({dim}=slice(start, end)), which takes such times"
        raise TypeError(
            f"filter_date() needs times along {dim!r}, which has {has}. Write {instead}."
        )
    return times


def _day(moment: np.datetime64) -> str:
    return str(np.datetime_as_string(moment, unit="D"))


def filter_bounds(
    collection: xr.Dataset,
    geometry: Any,
    *,
    crs: Any = None,
    clip: bool = False,
    dim: Hashable = "time",
) -> xr.Dataset:
    """Keep the images that lie in a region, at least in part.

    Parameters
    ----------
    collection : xarray.Dataset
        Images along `dim`. Where an image lies is what its coordinate ``footprint`` says (WKT in
        longitude and latitude, as `open_collection` makes it for STAC and GeoTIFFs); without
        it, the extent of the grid, the same for all images.
    geometry : bounding box, shapely geometry, GeoJSON, path of GeoJSON or GeoDataFrame
        The region; a box is (west, south, east, north) and may cross the antimeridian.
    crs : any CRS, optional
        What the coordinates of `geometry` are in; by default its own where it has one, else
        longitude and latitude (EPSG:4326).
    clip : bool, default: False
        Cut the map to the region too, as `clip` does: rows and columns outside are dropped, and
        pixels whose centre lies outside are masked. A mosaic, which has no images any more, is
        cut by `clip`.
    dim : hashable, default: "time"
        The dimension of the images.

    Returns
    -------
    xarray.Dataset
        The same collection with fewer images, in the same order, its chunks and dtypes kept;
        no pixel is read.

    Raises
    ------
    ValueError
        No image or no pixel is left; the collection has no CRS; `geometry` is empty or not in
        the CRS that was assumed; or pixels of an integer band without nodata would be masked.
    TypeError
        `geometry` is no region.
    ModuleNotFoundError
        ``odc-geo`` is not installed (extra ``geo``).

    Notes
    -----
    Earth Engine's ``ImageCollection.filterBounds``, which does not clip either,
    https://developers.google.com/earth-engine/apidocs/ee-imagecollection-filterbounds

    A footprint that crosses the antimeridian has to be split there, as the rule of GeoJSON says.
    One that is not split is taken to go around the globe the other way.

    With ``clip=True`` the map is cut before the mosaic is made, which costs more than to cut it
    afterwards: see `clip`.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> collection = xr.Dataset(
    ...     {"red": (("time", "latitude", "longitude"), np.ones((2, 3, 3)))},
    ...     {
    ...         "latitude": [40.3, 40.2, 40.1],
    ...         "longitude": [-103.3, -103.2, -103.1],
    ...         "footprint": ("time", ["POINT (-103.2 40.2)", "POINT (7 50)"]),
    ...     },
    ... )
    >>> qm.filter_bounds(collection, (-103.25, 40.15, -103.0, 40.4)).sizes["time"]
    1
    """
    collection = _checked(collection, dim, "filter_bounds()")
    region = as_geometry(geometry, crs)
    box = tuple(round(number, 4) for number in region.boundingbox.bbox)
    has = FOOTPRINT in collection.coords
    found = (
        "no footprint intersects it"
        if has
        else "the extent of the collection's grid does not meet it"
    )
    found += whereabouts(collection)
    keep = intersecting(collection, region, dim)
    kept = keep_images(collection, keep, dim, f"filter_bounds() to {box} ({region.crs})", found)
    return clip_to(kept, region, "filter_bounds(..., clip=True)") if clip else kept


def keep_images(
    collection: xr.Dataset, keep: Any, dim: Hashable, caller: str, found: str
) -> xr.Dataset:
    """Keep some images; consecutive ones by a slice, which costs the dask graph nothing."""
    places = np.flatnonzero(keep)
    if len(places) == 0:
        raise ValueError(
            f"{caller} left none of {len(keep)} images: {found}. A mosaic needs one at "
            "least: write a wider condition."
        )
    return choose_images(collection, places, dim)


def choose_images(collection: Images, places: Array, dim: Hashable = "time") -> Images:
    """Give some images, in the order of their positions; consecutive ones by a slice."""
    together = len(places) > 0 and bool((np.diff(places) == 1).all())
    return collection.isel({dim: _span(places) if together else places})


def _span(places: Array) -> slice:
    return slice(int(places[0]), int(places[-1]) + 1)


def _checked(collection: Any, dim: Hashable, caller: str) -> xr.Dataset:
    """Check that it is a collection, and bring its times to UTC."""
    if not isinstance(collection, xr.Dataset):
        raise TypeError(
            f"{caller} got a {type(collection).__name__}; a collection is an xarray.Dataset with a "
            f"dimension {dim!r}. Write qmosaic.open_collection(...), or "
            f"array.to_dataset('band') for an array with bands.{_of_one_image(caller)}"
        )
    if dim not in collection.dims:
        raise ValueError(
            f"{caller}: the collection has no dimension {dim!r}; its dimensions are "
            f"{', '.join(map(repr, collection.dims)) or 'none'}. Name yours with dim=..."
            f"{_of_one_image(caller)}"
        )
    return in_utc(collection)


def _of_one_image(caller: str) -> str:
    if caller != "filter_bounds()":
        return ""
    return " A mosaic or a single image is cut to a region by qmosaic.clip(image, geometry)."


def map_images(
    collection: xr.Dataset,
    func: Callable[[xr.Dataset], xr.Dataset],
    *,
    dim: Hashable = "time",
) -> xr.Dataset:
    """Apply a function to every image.

    Parameters
    ----------
    collection : xarray.Dataset
        Images along `dim`.
    func : callable
        It gets the collection, once, and records work on it (as Earth Engine traces the function
        of its ``map`` once): what it writes as arithmetic on bands holds for each image. It
        returns the collection with bands added, changed or left out, over the same images.
    dim : hashable, default: "time"
        The dimension of the images.

    Returns
    -------
    xarray.Dataset
        What `func` returned, as lazy as that is.

    Raises
    ------
    TypeError
        `func` did not return a Dataset.
    ValueError
        What it returned is no collection over the same images.

    Notes
    -----
    Earth Engine's ``ImageCollection.map``,
    https://developers.google.com/earth-engine/apidocs/ee-imagecollection-map

    `func` gets a copy of the Dataset, but not of its arrays. Where they lie in memory as numpy
    arrays, values that it changes in place (``images["red"].values[...] = 0``) are changed in the
    input too. Write ``images["red"].where(...)`` instead.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> collection = xr.Dataset({"cloud": (("time", "x"), np.uint8([[0, 90], [50, 5]]))})
    >>> def add_quality(images):
    ...     return images.assign(quality=qm.scores.inverse(images["cloud"]))
    >>> list(qm.map_images(collection, add_quality))
    ['cloud', 'quality']
    """
    collection = _checked(collection, dim, "map_images()")
    if not callable(func):
        raise TypeError(
            f"map_images() got func={func!r} ({type(func).__name__}); it needs a function that "
            "takes the collection and returns it with its bands changed."
        )
    # a copy: what the function changes in place stays its own
    result = func(collection.copy(deep=False))
    name = getattr(func, "__name__", "the function")
    if not isinstance(result, xr.Dataset):
        raise TypeError(
            f"map_images(): {name} returned a {type(result).__name__}; it has to return the "
            "collection with its bands, an xarray.Dataset. Write return "
            "images.assign(quality=...)."
        )
    before, after = collection.sizes[dim], result.sizes.get(dim)
    if after is None:
        raise ValueError(
            f"map_images(): what {name} returned has no dimension {dim!r} any more: the images "
            "were reduced to one. It has to return the same images; reduce them afterwards."
        )
    if after != before:
        raise ValueError(
            f"map_images(): {name} made {after} images of {before}; it has to return the same "
            "images. Filter the collection before or after, with filter_date() or isel()."
        )
    if dim in collection.coords and not (
        dim in result.coords and collection[dim].variable.equals(result[dim].variable)  # type: ignore[no-untyped-call]
    ):
        raise ValueError(
            f"map_images(): {name} changed the coordinate {dim!r} of the images, so they are not "
            "the same images any more. Assign other times before or after map_images()."
        )
    if not bands_of(result, dim):
        raise ValueError(
            f"map_images(): what {name} returned has no band along {dim!r}, so nothing could be "
            "chosen from. It has to return the collection with its bands: write return "
            "images.assign(...)."
        )
    return result


def select(
    collection: xr.Dataset,
    bands: str | re.Pattern[str] | Sequence[str | re.Pattern[str]],
    *,
    dim: Hashable = "time",
) -> xr.Dataset:
    """Keep some bands, by name or by regular expression.

    Parameters
    ----------
    collection : xarray.Dataset
        Images along `dim`.
    bands : str, re.Pattern or sequence of these
        Names of bands, or regular expressions that have to match a whole name (``"B.*"``). A
        text that is a name is taken as one.
    dim : hashable, default: "time"
        The dimension of the images.

    Returns
    -------
    xarray.Dataset
        The bands in the order in which they were asked for, those of an expression in the
        collection's, with all variables that are no bands (CRS, elevation).

    Raises
    ------
    KeyError
        Nothing has such a name.
    ValueError
        No band was named, or a text is no regular expression.

    Notes
    -----
    Earth Engine's ``Image.select``,
    https://developers.google.com/earth-engine/apidocs/ee-image-select

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> band = ("time", "x"), np.ones((2, 3))
    >>> collection = xr.Dataset({"SCL": band, "B2": band, "B3": band})
    >>> list(qm.select(collection, ["B.", "SCL"]))
    ['B2', 'B3', 'SCL']
    """
    collection = _checked(collection, dim, "select()")
    if not isinstance(bands, str | re.Pattern | Iterable):
        raise TypeError(
            f"select() got {bands!r} ({type(bands).__name__}); it needs names of bands, or regular "
            "expressions. Write, for instance, ['B4', 'B3'] or 'B.*'."
        )
    asked = [bands] if isinstance(bands, str | re.Pattern) else list(bands)
    if not asked:
        raise ValueError("select() was given no band; name one at least, or write '.*' for all.")
    chosen: dict[Hashable, None] = {}
    for name in asked:
        chosen.update(dict.fromkeys(matching(name, bands_of(collection, dim))))
    others = [n for n in collection.data_vars if dim not in collection[n].dims]
    return collection[[*chosen, *others]]


def matching(name: Any, bands: list[Hashable]) -> list[Hashable]:
    """Find the bands that a name or a regular expression means."""
    if name in bands:
        return [name]
    if isinstance(name, str | re.Pattern):
        try:
            pattern = re.compile(name)
        except re.error as error:
            raise ValueError(
                f"select(): {name!r} is the name of no band and no regular expression ({error})."
            ) from error
        found = [b for b in bands if isinstance(b, str) and pattern.fullmatch(b)]
        if found:
            return list(found)
    close = difflib.get_close_matches(str(name), [str(b) for b in bands], n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise KeyError(
        f"select(): no band has the name {name!r}, nor a name that it matches as a regular "
        f"expression; the bands are {', '.join(map(repr, bands)) or 'none'}.{hint}"
    )

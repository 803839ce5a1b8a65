"""`quality_mosaic` for xarray: check the arguments, make the bands, add their attributes."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import xarray as xr

from qmosaic.collection.model import bands_of
from qmosaic.engine.arrays import bands_apart, bands_together
from qmosaic.engine.attributes import with_attributes
from qmosaic.engine.bands import make_bands
from qmosaic.engine.kernels import Ties
from qmosaic.engine.request import Collection, Masked, Rules, make_request


def quality_mosaic(
    collection: Collection,
    quality_band: Hashable,
    *,
    dim: Hashable = "time",
    ties: Ties = "first",
    masked: Masked = "keep",
    fill_value: float | int | bool | None = None,
    min_quality: float | int | None = None,
    upper_bound: float | int | None = None,
) -> Collection:
    """Take, for every pixel, all bands of the image with the highest quality.

    The image that wins a pixel gives all its bands there, the quality band included: one pixel is
    one image, unless ``masked="fill"`` is asked for.

    Parameters
    ----------
    collection : xarray.Dataset or xarray.DataArray
        Images along `dim`. In a Dataset every data variable with `dim` is a band, of any dtype,
        order of dimensions and chunks. Bands that have only `dim` (a date, a sun angle) are
        broadcast; variables without it pass through. In a DataArray the bands lie along a
        dimension ``band``. Arrays of numpy and dask; not of cupy, sparse or pint.
    quality_band : hashable
        The name of the band that orders the images; any unit, the highest value wins. A masked
        value is never a candidate.
    dim : hashable, default: "time"
        The dimension along which the images lie.
    ties : {"first", "last"}, default: "first"
        Which of several best images wins, in the order of the collection. Earth Engine has been
        seen to take the last.
    masked : {"keep", "skip", "fill"}, default: "keep"
        What becomes of a band that is masked in the winner.

        - "keep": it stays masked.
        - "skip": an image is a candidate only where all its bands are valid.
        - "fill": each band is taken from the best image in which that band is valid. A coordinate
          ``<band>_image`` says from which one: its position along `dim`, -1 for none.
    fill_value : scalar, optional
        What a pixel without candidate gets in an integer band that declares no nodata; 0 by
        default. It is declared as the band's nodata, so it counts as masked then. Other bands get
        NaN or their own nodata. Floats that xarray has decoded from integers without nodata are
        stored as such integers again: there it is the stored number that stands for NaN, 0 by
        default, so give one that no pixel has.
    min_quality : scalar, optional
        Only images with at least this quality are candidates. In the numbers of the band, as
        `upper_bound`: of a band of packed integers a packed one.
    upper_bound : scalar, optional
        The score that nothing can beat, such as 0 for a negated cloud probability. A block whose
        pixels all have it looks at no further image.

    Returns
    -------
    xarray.Dataset or xarray.DataArray
        The mosaic: what `collection` is, without `dim`. dtypes, attributes, coordinates and the
        chunks of the map are kept. Deferred if any band is backed by dask, else computed at once.
        Where no image is a candidate, every band is masked. Attributes ``qmosaic_...`` record the
        rules, the number of images, and the first and last time.

    Raises
    ------
    KeyError
        There is no such band.
    TypeError
        The quality is not numeric, or the collection is neither Dataset nor DataArray.
    ValueError
        The collection has no images; or an argument, a declared nodata (two of them in one band of
        integers, too) or the scale of the quality cannot be right. While computing: a score above
        `upper_bound` was met.
    UnexpectedChunkError
        While computing: a chunk is of another shape or dtype than its array promises.

    Notes
    -----
    Earth Engine's ``ImageCollection.qualityMosaic``,
    https://developers.google.com/earth-engine/apidocs/ee-imagecollection-qualitymosaic

    **What counts as masked.** A float is masked where it is NaN; any band where it equals the
    nodata that it declares: ``_FillValue``, ``nodata`` or ``missing_value`` among its attributes.
    ``-inf`` and the lowest integer are scores like any other.

    **Integers** are compared as integers, int64 and uint64 exactly, whatever packing they declare.
    Where the ``scale_factor`` among the attributes of the quality is negative, the lowest integer
    means the highest number and wins; `min_quality` is then the highest integer that makes a
    candidate, and `upper_bound` the lowest. Decoded floats, which declare no packing any more, are
    taken as they are. Floats with a negative scale among their attributes are refused:
    ``.where()`` makes such floats of integers, and they are packed still.

    **What is read.** The quality once; then, of each band, only the chunks of images that won a
    pixel there. What counts are the chunks that are stored, not those of dask: images that dask
    has in one chunk are read one by one, where they are stored so. ``masked="fill"`` reads the
    winners' chunks of a band twice where it has to look for substitutes. ``masked="skip"`` reads
    most of every band that can be masked: it cannot know before. Each chunk costs time, whatever it
    holds: larger chunks help.

    **How it is read.** Arrays of Zarr in local folders are read by ``tensorstore``, where that is
    installed (in the checkout of qmosaic, ``pip install ".[fast]"``). Everything else is sliced
    by the library that has opened it. `explain` says which band is read how, and why. The pixels
    are the same; a few kinds of damage (bytes cut off or added at the end of a chunk) are noticed
    by one library and not by the other. A process that was forked from one that has imported
    tensorstore cannot use it: start processes with "spawn", as dask does.

    **How much is read ahead** is settled by bytes, so that memory does not depend on the load of
    the machine. Through tensorstore a task asks for 4 MiB at a time, for two chunks at least and
    for 16 at most. Of a source that may keep it waiting it asks for 8 MiB, by threads. Small chunks
    that lie side by side in a source that answers at once come in one request. With `upper_bound`
    nothing is read ahead, so that no chunk too many is read.

    **Memory** does not grow with the number of images: a task holds the best scores so far, the
    positions of their images, and a few chunks.

    **Any chunks.** Zarr, ``odc.stac.load``, rioxarray, ``xarray.concat`` of single images, cuts
    (``isel``, ``clip``), ``.chunk()`` to any size, images in any order, arithmetic on any of these:
    a task reads the windows that it needs. Where blocks and stored chunks have other borders,
    blocks are put together until a stored chunk is read 1.6 times at most on average, as long as
    that keeps them small. Functions of which nothing is known (``map_blocks``, ``apply_ufunc``,
    ``rolling``) are called for the chunks that dask has made, each once or nearly so. What all
    blocks use and is small, a mean over y and x for each image, is made first, once.

    **What cannot be deferred.** Inputs that are persisted, Futures of a cluster, or cut out of an
    array of numpy; and functions of whole chunks whose results are cut otherwise afterwards, or
    looked at by their neighbours. They are reduced over time in ordinary tasks of dask. The pixels
    are the same, but every chunk is read, and the scheduler sees a task for every few chunks. The
    arguments ``retries`` and ``on_error`` of `to_zarr` and its count of bytes do not reach such
    reads. `explain` says of each band how it is read, why, and what to write instead.

    **A quality that looks at neighbouring pixels** is best made by `scores.smooth` or
    `scores.distance_to`: a task reads what lies around its block itself, once. xarray's ``rolling``
    costs much more for the same means.

    **Chunks are checked** against the shape and dtype that their dask array promises, and so is
    what is read from a source. What one function of yours hands to the next inside dask is not
    seen.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> collection = xr.Dataset(
    ...     {
    ...         "red": (("time", "y", "x"), np.array([[[10, 11]], [[20, 21]]], "uint16")),
    ...         "cloud": (("time", "y", "x"), np.array([[[0, 90]], [[50, 5]]], "uint8")),
    ...     }
    ... ).chunk(time=1)
    >>> collection["quality"] = qm.scores.inverse(collection["cloud"])
    >>> qm.quality_mosaic(collection, "quality")["red"].compute().values
    array([[10, 21]], dtype=uint16)

    Each band from the best image in which it is valid, and from which one:

    >>> collection["red"] = collection["red"].assign_attrs(_FillValue=21)
    >>> filled = qm.quality_mosaic(collection, "quality", masked="fill").compute()
    >>> filled["red"].values, filled["red_image"].values
    (array([[10, 11]], dtype=uint16), array([[0, 0]], dtype=int16))
    """
    rules = Rules(dim, ties, masked, fill_value, min_quality, upper_bound)
    return make_mosaic(collection, quality_band, rules)


def make_mosaic(
    collection: Collection, quality_band: Hashable, rules: Rules, *, among_empty: bool = False
) -> Collection:
    """Make a mosaic, see `quality_mosaic`.

    Parameters
    ----------
    collection, quality_band
        See there.
    rules : Rules
        Its other arguments.
    among_empty : bool, default: False
        Whether some of the mosaics beside it have no image at all, so that every band has to
        declare what stands for masked.
    """
    rules.check()
    if isinstance(collection, xr.DataArray):
        apart = bands_apart(collection, rules.dim)
        mosaic = make_mosaic(apart, quality_band, rules, among_empty=among_empty)
        return bands_together(mosaic, collection, rules.dim)
    request = make_request(collection, quality_band, rules, among_empty)
    return with_attributes(make_bands(request), request)


def last_on_top(collection: xr.Dataset, dim: Hashable = "time") -> xr.Dataset:
    """Put images on top of each other, the last on top; masked pixels show those below.

    Earth Engine's ``ImageCollection.mosaic``,
    https://developers.google.com/earth-engine/apidocs/ee-imagecollection-mosaic
    """
    order = xr.DataArray(np.arange(collection.sizes[dim]), dims=[dim])
    name = "order"
    while name in collection.variables:
        name += "_"
    mosaic = quality_mosaic(collection.assign({name: order}), name, masked="fill", dim=dim)
    seen = [f"{band}_image" for band in (*bands_of(collection, dim), name)]
    return mosaic.drop_vars([name, *(n for n in seen if n in mosaic.coords)])

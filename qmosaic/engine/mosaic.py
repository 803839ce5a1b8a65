"""The door for xarray: check what is asked for, make the bands, dress the result."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import xarray as xr

from qmosaic.collection.model import bands_of
from qmosaic.engine.arrays import bands_apart, bands_together
from qmosaic.engine.dressing import dress
from qmosaic.engine.kernels import Ties
from qmosaic.engine.making import make_bands
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

    Parameters
    ----------
    collection : xarray.Dataset or xarray.DataArray
        Images along `dim`. In a Dataset every data variable with `dim` is a band, of any dtype,
        dimension order and chunks; bands that have only `dim` (a date, a sun angle) are broadcast,
        variables without it pass through. In a DataArray the bands lie along a dimension ``band``.
    quality_band : hashable
        The name of the band that orders the images; any unit, the highest value wins. A masked
        value (NaN, or the declared nodata) is never a candidate.
    dim : hashable, default: "time"
        The dimension along which the images lie.
    ties : {"first", "last"}, default: "first"
        Which of several best images wins, in the order of the collection.
    masked : {"keep", "skip", "fill"}, default: "keep"
        What becomes of a band that is masked in the winner: it stays masked; or only images with
        all bands valid are candidates; or each band is taken from the best image in which
        that band is valid, and a coordinate ``<band>_image`` says from which one (its
        position along `dim`, -1 for none).
    fill_value : scalar, optional
        What a pixel without candidate gets in an integer band that declares no nodata; 0 by
        default. Other bands get NaN or their own nodata.
    min_quality : scalar, optional
        Only images with at least this quality are candidates. In the numbers of the band, as
        `upper_bound`: those of packed integers are the packed ones.
    upper_bound : scalar, optional
        The score that nothing can beat, such as 0 for a negated cloud probability: a block whose
        pixels all have it looks at no further image.

    Returns
    -------
    xarray.Dataset or xarray.DataArray
        The mosaic: what `collection` is, without `dim`. dtypes, attributes, coordinates and the
        chunks of the map are kept. Deferred if any band is backed by dask, else computed at once.
        Its attributes ``qmosaic_...`` record the rules, the number of images, the first and last
        time.

    Raises
    ------
    KeyError
        There is no such band.
    TypeError
        The quality is not numeric, or the collection is neither Dataset nor DataArray.
    ValueError
        The collection has no images, or an argument, a declared nodata or the scale of the quality
        cannot be right. While
        computing: a score above `upper_bound` was met, or a chunk is of another shape or dtype than
        its array promises (`qmosaic.engine.promises.UnexpectedChunkError`, which names it).

    Notes
    -----
    Earth Engine's ``ImageCollection.qualityMosaic``,
    https://developers.google.com/earth-engine/apidocs/ee-imagecollection-qualitymosaic

    Integers are compared as integers, whatever packing they declare. Where the ``scale_factor``
    among the attributes of the quality is negative, the lowest integer means the highest number and
    wins; `min_quality` is then the highest integer that makes a candidate, and `upper_bound` the
    lowest. What has been decoded (floats that declare no packing any more) is taken as it is;
    floats with a negative scale among their attributes are refused: `.where()` makes such ones of
    integers, and they are packed still.

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
        Whether it stands among mosaics of no image at all, so that every band has to say what
        stands for masked.
    """
    rules.check()
    if isinstance(collection, xr.DataArray):
        apart = bands_apart(collection, rules.dim)
        mosaic = make_mosaic(apart, quality_band, rules, among_empty=among_empty)
        return bands_together(mosaic, collection, rules.dim)
    request = make_request(collection, quality_band, rules, among_empty)
    return dress(make_bands(request), request)


def last_on_top(collection: xr.Dataset, dim: Hashable = "time") -> xr.Dataset:
    """Lay images over each other, the last on top; where a band is masked one sees further down.

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

"""`medoid` for xarray: the image closest to the median."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

from qmosaic.collection.model import check_choice
from qmosaic.engine.kernels import Ties
from qmosaic.engine.mosaic import make_mosaic
from qmosaic.engine.rules import Collection, Provenance, Rules


def medoid(
    collection: Collection,
    bands: Hashable | Sequence[Hashable] | None = None,
    *,
    dim: Hashable = "time",
    ties: Ties = "first",
    masked: Literal["keep", "skip"] = "keep",
    fill_value: float | int | bool | None = None,
    provenance: Provenance = False,
) -> Collection:
    """Take, for every pixel, all bands of the image that lies closest to the median of all images.

    A median of each band by itself may be a spectrum that nothing on the ground has. The medoid is
    one of the images: the one whose bands have the least sum of squared differences from the
    medians.

    Parameters
    ----------
    collection : xarray.Dataset or xarray.DataArray
        As for `quality_mosaic`.
    bands : hashable or list of hashable, optional
        The bands that are compared, each in its own numbers: bring them to one scale where they
        are of different kinds. By default all numeric ones that have a value for each pixel. An
        image is a candidate where all of them are valid.
    dim : hashable, default: "time"
        The dimension along which the images lie.
    ties : {"first", "last"}, default: "first"
        Which of several images at the same distance wins, in the order of the collection. Of two
        candidates both are as close to the median.
    masked : {"keep", "skip"}, default: "keep"
        What becomes of a band that is not compared, and masked in the winner: it stays masked, or
        an image is a candidate only where all its bands are valid.
    fill_value, provenance
        As for `quality_mosaic`; ``valid_count`` is the number of candidates.

    Returns
    -------
    xarray.Dataset or xarray.DataArray
        The mosaic, as `quality_mosaic` makes it. The attributes ``qmosaic_method`` ("medoid") and
        ``qmosaic_medoid_bands`` record how.

    Raises
    ------
    KeyError
        There is no such band.
    TypeError
        A band that is compared is not numeric, or the collection is neither Dataset nor DataArray.
    ValueError
        The collection has no images, no band is named, or one whose dimensions are not those of the
        others; or another argument cannot be right.
    UnexpectedChunkError
        While computing: a chunk is of another shape or dtype than its array promises.

    Notes
    -----
    The median is exact, in float64: of an even number of values the mean of the two in the middle.
    A difference that is no number, where values are infinite, counts as the largest.

    **What is read.** All images of the bands that are compared: once, where those of a block take
    no more than 32 MiB; else once to see where they are valid, if they can be masked, once for the
    median and once for the distances. Where the values of a band in a block take more than 32 MiB,
    it is worked on part by part, and chunks are read for each part that they lie in: smaller chunks
    are read less often then. Of the other bands only chunks of images that have won a pixel are
    read.

    **Memory** does not grow with the number of images.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> red = np.array([[[10, 90]], [[12, 20]], [[80, 22]]], "uint16")
    >>> nir = np.array([[[40, 95]], [[42, 50]], [[85, 56]]], "uint16")
    >>> dims = ("time", "y", "x")
    >>> collection = xr.Dataset({"red": (dims, red), "nir": (dims, nir)})
    >>> middle = qm.medoid(collection, ["red", "nir"], provenance=["source_index"])
    >>> middle["red"].values, middle["source_index"].values
    (array([[12, 22]], dtype=uint16), array([[1, 2]], dtype=int16))
    """
    check_choice("masked", masked, ("keep", "skip"))
    rules = Rules(dim, ties, masked, fill_value, provenance=provenance, medoid=True, compared=bands)
    return make_mosaic(collection, None, rules)

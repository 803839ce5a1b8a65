"""`quality_mosaic` for xarray: check the arguments, make the bands, add their attributes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import PREFIX, SOURCE_INDEX
from qmosaic.collection.model import bands_of, check_choice
from qmosaic.collection.times import in_utc
from qmosaic.engine.arrays import bands_apart, bands_together
from qmosaic.engine.attributes import with_attributes
from qmosaic.engine.bands import make_bands
from qmosaic.engine.kernels import Ties
from qmosaic.engine.periods import Empty, divide
from qmosaic.engine.request import make_request
from qmosaic.engine.rules import Collection, Masked, Provenance, Rules
from qmosaic.engine.takers import RANK


def quality_mosaic(
    collection: Collection,
    quality_band: Hashable | Sequence[Hashable],
    *,
    dim: Hashable = "time",
    ties: Ties = "first",
    masked: Masked = "keep",
    fill_value: float | int | bool | None = None,
    min_quality: float | int | None = None,
    upper_bound: float | int | None = None,
    provenance: Provenance = False,
    within: float | int | None = None,
    reducer: Literal["median", "mean"] | float | int = "median",
    period: Any = None,
    rolling: Any = None,
    empty: Empty = "mask",
    smooth: float | None = None,
    scene_bonus: float | None = None,
    scene_radius: float | None = None,
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
    quality_band : hashable or list of hashable
        The name of the band that orders the images; any unit, the highest value wins. A masked
        value is never a candidate. Of several bands the first tells the candidates, and each
        decides among images that are equal in those before it; there a masked value is behind all
        others.
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
          ``<band>_source_index`` says from which one: its position along `dim`, -1 for none.
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
    provenance : bool or sequence of hashable, default: False
        Coordinates that say of each pixel where it comes from; they are written with the mosaic.
        True for these three:

        - ``source_index``: the position of its image along `dim`, -1 for none.
        - ``source_time``: when that was taken, NaT for none; where `dim` has times.
        - ``valid_count``: how many candidates there were. Then every image is looked at, whatever
          `upper_bound` says; with ``masked="skip"`` all bands are read wherever the quality is
          valid.

        Or a list of names among these and the coordinates along `dim` ("id", "platform"). With
        ``masked="fill"`` there is one for each band, such as ``red_source_time``.
    within : scalar, optional
        Take several images a pixel: all candidates whose quality is at least the best one less
        this distance, in the numbers of the band. Where packing has turned the order round (a
        negative ``scale_factor``), at most the best one plus it. 0: those that share the best
        quality; `numpy.inf`: all candidates.
    reducer : {"median", "mean"} or scalar, default: "median"
        What is made of them with `within`, band by band, the quality too; a scalar from 0 to 100
        is a percentile. A value that is masked is left out; where none is valid, the pixel is
        masked. Bands have to be numeric; what was decoded from packed integers is stored packed
        again, rounded to their steps.

        - "median": of integers the lower of the two middle values, of floats their mean.
        - "mean": in float32 for bands of up to two bytes and of float32, else in float64; NaN where
          it is masked.
        - a percentile: of integers the value next below, of floats interpolated, see
          `numpy.percentile`, ``method="lower"`` and ``"linear"``.
    period : str, pandas offset, sequence of times or xarray resampler, optional
        Make a mosaic for each period: a frequency of pandas, "MS" (months), "QS-DEC" (seasons from
        December on), "YS" (years), "W" (weeks from Monday to Sunday), "10D" (ten days each, from
        midnight of the first image's day on); the edges of periods, each up to the next one, which
        it does not include; or a grouper of xarray, ``xarray.groupers.TimeResampler`` or
        ``SeasonResampler``. The images are in any order along `dim`, which has times.
    rolling : str, pandas offset or int, optional
        The length of a window of time, "3MS" or "90D", or a number of periods: the mosaic of each
        period is then made of the images of the window that begins with it.
    empty : {"mask", "drop"}, default: "mask"
        What becomes of a period without images between the first and the last image: it is masked
        in every band, or it is left out.
    smooth : float, optional
        Order the images by the mean of the quality over a window of so many metres, see
        `scores.smooth`, so that neighbours are rather from one image. Who is a candidate does not
        change, and bands, the quality too, are the images' own values. `upper_bound` ends nothing.
        Pixels below `min_quality` count in the means. A chunk that cannot be read is missing in
        every block that looks at it.
    scene_bonus : float, optional
        Prefer images that win more of what lies around a pixel, so that the mosaic is made of
        larger pieces. First every pixel has a winner as ever. Then the candidate wins whose quality
        (smoothed, where that is asked for) + `scene_bonus` × share is highest; the share is that of
        the pixels around that it has won, among those that have a winner. In the numbers of the
        quality, as `min_quality`; an image that is better by more than that still wins. Not with
        ``masked="fill"``, nor with `within`.
    scene_radius : float, optional
        How far around `scene_bonus` looks, in metres; ten pixels by default, whatever their size.

    Returns
    -------
    xarray.Dataset or xarray.DataArray
        The mosaic: what `collection` is, without `dim`. dtypes, attributes, coordinates and the
        chunks of the map are kept. Deferred if any band is backed by dask, else computed at once.
        Where no image is a candidate, every band is masked. Attributes ``qmosaic_...`` record the
        rules, the number of images, and the first and last time.

        With `period`, `dim` comes first: its coordinate is the start of each period, UTC, and
        coordinates along it say of each how many images it had (``qmosaic_images``) and when the
        first and the last were taken (``qmosaic_time_first``, ``qmosaic_time_last``, NaT for none).
        The attributes of the same names are those of all images; ``source_index`` is the position
        among all images. An integer band that declares no nodata gets `fill_value` (0 by default)
        in an empty period, and declares it for all periods.

    Raises
    ------
    KeyError
        There is no such band.
    TypeError
        The quality is not numeric, the collection is neither Dataset nor DataArray, or there are no
        times along `dim` for periods.
    ValueError
        The collection has no images; `period` is no period, has no start, or is far too short; or
        an argument, a declared nodata (two of them in one band of
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

    **Periods** are parts of one graph, and a block of a period is made of its images alone. Earth
    Engine has no such argument: there one maps ``qualityMosaic`` over a list of months. xarray's
    ``collection.resample(time="MS").map(qmosaic.quality_mosaic, ...)`` turns integers into floats
    as soon as a period is empty, and its attributes are those of the first period.

    **What lies around.** Where several images are nearly as good, neighbouring pixels come from
    different ones, and the mosaic looks like salt and pepper. `smooth` and `scene_bonus` keep
    pieces together; on a real series two thirds of the seams go for 0.2 % of the mean quality
    (``python -m benchmarks seams``). A bonus changes nothing where one image is clearly the best,
    and keeps the quality of each pixel; means also move the borders of narrow things. Begin with a
    tenth of the range of a quality, or with three to five pixels. Blocks read a margin as wide as
    what lies around, so that the mosaic is the same for all blocks. Raised qualities are compared
    as float64, which holds integers of up to 53 bits exactly; an image that has won nothing around
    never wins. A map in degrees has no size of pixels in metres: give a quality that you have
    smoothed, `scores.smooth` with ``resolution=``, and a bonus without radius.

    **What is read.** The quality once, once for each period that an image is in; then, of each
    band, only the chunks of images that won a pixel there. What counts are the chunks that are
    stored, not those of dask: images that dask has in one chunk are read one by one, where they are
    stored so. ``masked="fill"`` reads the winners' chunks of a band twice where it has to look for
    substitutes. ``masked="skip"`` reads most of every band that can be masked: it cannot know
    before. Of further quality bands only the images that are among the best of a block by the bands
    before them are read, and of those before them these images a second time. With `smooth` the
    quality of the winners is read once more; with `scene_bonus` that of images which have won
    anything in a block or its margin. Each chunk costs
    time, whatever it holds: larger chunks help.

    With `within` the images of each band are read that count anywhere in a block. The quality is
    read twice where its images of a block take more than 32 MiB. A median needs all values of a
    pixel at once: where those of a block take more than 32 MiB, it is made part by part, and a
    chunk is read for each part that it lies in.

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

    In larger pieces, and from which image each pixel is:

    >>> ndvi = np.array([[[0.8, 0.8, 0.8, 0.8]], [[0.7, 0.82, 0.7, 0.7]]], "float32")
    >>> green = xr.Dataset({"ndvi": (("time", "y", "x"), ndvi)})
    >>> asked = {"provenance": ["source_index"]}
    >>> qm.quality_mosaic(green, "ndvi", **asked)["source_index"].values
    array([[0, 1, 0, 0]], dtype=int16)
    >>> qm.quality_mosaic(green, "ndvi", scene_bonus=0.1, **asked)["source_index"].values
    array([[0, 0, 0, 0]], dtype=int16)

    Each band from the best image in which it is valid, and from which one:

    >>> collection["red"] = collection["red"].assign_attrs(_FillValue=21)
    >>> filled = qm.quality_mosaic(collection, "quality", masked="fill").compute()
    >>> filled["red"].values, filled["red_source_index"].values
    (array([[10, 11]], dtype=uint16), array([[0, 0]], dtype=int16))
    """
    rules = Rules(
        dim,
        ties,
        masked,
        fill_value,
        min_quality,
        upper_bound,
        provenance,
        within=within,
        reducer=reducer,
        smooth=smooth,
        scene_bonus=scene_bonus,
        scene_radius=scene_radius,
    )
    check_choice("empty", empty, ("mask", "drop"))
    if period is None and empty != "mask":
        raise ValueError(
            f"empty={empty!r} says what becomes of periods without images, and there are no "
            "periods: period= is left out. Write for instance period='MS', or leave empty= out."
        )
    return make_mosaic(collection, quality_band, rules, period, rolling, empty)


def mosaic_by_period(
    collection: Collection,
    quality_band: Hashable | Sequence[Hashable],
    period: Any = "MS",
    *,
    rolling: Any = None,
    empty: Empty = "mask",
    dim: Hashable = "time",
    ties: Ties = "first",
    masked: Masked = "keep",
    fill_value: float | int | bool | None = None,
    min_quality: float | int | None = None,
    upper_bound: float | int | None = None,
    provenance: Provenance = False,
    within: float | int | None = None,
    reducer: Literal["median", "mean"] | float | int = "median",
    smooth: float | None = None,
    scene_bonus: float | None = None,
    scene_radius: float | None = None,
) -> Collection:
    """Make a quality mosaic for each period: each month, each season, each week.

    The same as `quality_mosaic` with ``period=``.

    Parameters
    ----------
    collection : xarray.Dataset or xarray.DataArray
        As for `quality_mosaic`; along `dim` lie times, in any order.
    quality_band, period, rolling, empty, dim, ties, masked, fill_value, min_quality, upper_bound, \
provenance, within, reducer, smooth, scene_bonus, scene_radius
        As for `quality_mosaic`.

    Returns
    -------
    xarray.Dataset or xarray.DataArray
        What `collection` is, with a mosaic in place of the images of each period, see
        `quality_mosaic`.

    Raises
    ------
    KeyError, TypeError, ValueError
        As for `quality_mosaic`.

    Notes
    -----
    Further images, and months, go into a store of months with `update`.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> days = np.array(["2020-01-05", "2020-01-20", "2020-03-01"], "datetime64[ns]")
    >>> values = np.array([[[1, 2]], [[3, 1]], [[4, 5]]], "uint16")
    >>> collection = xr.Dataset({"quality": (("time", "y", "x"), values)}, {"time": days})
    >>> months = qm.mosaic_by_period(collection, "quality", "MS")
    >>> months["quality"].values
    array([[[3, 2]],
    <BLANKLINE>
           [[0, 0]],
    <BLANKLINE>
           [[4, 5]]], dtype=uint16)
    >>> months["qmosaic_images"].values
    array([2, 0, 1])
    >>> int(months["quality"].attrs["_FillValue"])
    0
    """
    if period is None:
        raise ValueError(
            "period=None is no period of time. Write it as pandas does: 'MS' (months), 'QS-DEC' "
            "(seasons), '10D' (ten days), or call quality_mosaic() for a single mosaic of all."
        )
    return quality_mosaic(
        collection,
        quality_band,
        dim=dim,
        ties=ties,
        masked=masked,
        fill_value=fill_value,
        min_quality=min_quality,
        upper_bound=upper_bound,
        provenance=provenance,
        within=within,
        reducer=reducer,
        period=period,
        rolling=rolling,
        empty=empty,
        smooth=smooth,
        scene_bonus=scene_bonus,
        scene_radius=scene_radius,
    )


def best_images(
    collection: Collection,
    quality_band: Hashable | Sequence[Hashable],
    n: int,
    *,
    dim: Hashable = "time",
    ties: Ties = "first",
    masked: Literal["keep", "skip"] = "keep",
    fill_value: float | int | bool | None = None,
    min_quality: float | int | None = None,
    provenance: Provenance = False,
) -> Collection:
    """Take, for every pixel, all bands of the `n` images with the highest quality.

    Parameters
    ----------
    collection : xarray.Dataset or xarray.DataArray
        As for `quality_mosaic`.
    quality_band : hashable or list of hashable
        As for `quality_mosaic`.
    n : int
        How many images; where there are fewer candidates, the ranks behind them are masked.
    dim, ties
        As for `quality_mosaic`.
    masked : {"keep", "skip"}, default: "keep"
        As for `quality_mosaic`.
    fill_value, min_quality, provenance
        As for `quality_mosaic`.

    Returns
    -------
    xarray.Dataset or xarray.DataArray
        What `collection` is, with a dimension ``rank`` of length `n` in place of `dim`; it comes
        first. Rank 0 is the quality mosaic; each further rank is the mosaic of what the ranks
        before it have left at each pixel. dtypes, attributes, coordinates and the chunks of the
        map are kept. Of the coordinates of `provenance`, ``valid_count`` has no ranks.

    Raises
    ------
    KeyError, TypeError, ValueError
        As for `quality_mosaic`; `n` is no whole number above 0, or there is a dimension ``rank``.

    Notes
    -----
    The quality is read once, and of each band the chunks of images that have a rank somewhere in
    them. A task holds `n` blocks of each band that it makes.

    A reduction over ``rank`` is deferred as well. Integers have no NaN, so xarray would reduce
    their nodata too where a pixel has fewer than `n` candidates: ``xarray.decode_cf(best)`` makes
    floats of them, with NaN.

    Examples
    --------
    The median of the two best:

    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> values = np.array([[[1.0, 7.0]], [[3.0, 5.0]], [[2.0, 6.0]]], "float32")
    >>> collection = xr.Dataset({"quality": (("time", "y", "x"), values)}).chunk(time=1)
    >>> best = qm.best_images(collection, "quality", 2)
    >>> best["quality"].values
    array([[[3., 7.]],
    <BLANKLINE>
           [[2., 6.]]], dtype=float32)
    >>> best.median("rank")["quality"].values
    array([[2.5, 6.5]], dtype=float32)
    """
    check_choice("masked", masked, ("keep", "skip"))
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(
            f"n={n!r} is no number of images: give a whole number above 0, such as n=5 for the "
            "five best of each pixel."
        )
    named: tuple[Any, ...] = (
        *getattr(collection, "variables", ()),
        *getattr(collection, "coords", ()),
    )
    if RANK in (*getattr(collection, "dims", ()), *named):
        raise ValueError(
            f"the collection has a dimension or a variable {RANK!r} already, and best_images() "
            f"puts the images along {RANK!r}. Rename it: collection.rename({RANK}=...)."
        )
    rules = Rules(dim, ties, masked, fill_value, min_quality, None, provenance, int(n))
    return make_mosaic(collection, quality_band, rules)


def make_mosaic(
    collection: Collection,
    quality_band: Hashable | Sequence[Hashable],
    rules: Rules,
    period: Any = None,
    rolling: Any = None,
    empty: Empty = "mask",
) -> Collection:
    """Make a mosaic, see `quality_mosaic`.

    Parameters
    ----------
    collection, quality_band, period, rolling, empty
        See there.
    rules : Rules
        Its other arguments.
    """
    rules.check()
    if isinstance(collection, xr.DataArray):
        apart = bands_apart(collection, rules.dim)
        mosaic = make_mosaic(apart, quality_band, rules, period, rolling, empty)
        return bands_together(mosaic, collection, rules.dim)
    division = None
    if (
        period is not None
        and isinstance(collection, xr.Dataset)
        and collection.sizes.get(rules.dim)
    ):
        collection = in_utc(collection)
        division = divide(collection, rules.dim, period, rolling, empty)
    elif rolling is not None:
        raise ValueError(
            f"rolling={rolling!r} is the length of windows that begin with periods, and there are "
            "none: period= is left out. Write for instance period='MS', rolling='3MS'."
        )
    periods = None if division is None else division.along(rules.dim)
    request = make_request(collection, quality_band, rules, periods)
    mosaic = with_attributes(make_bands(request), request)
    if division is None:
        return mosaic
    times = collection.indexes[rules.dim]
    mosaic = mosaic.assign_coords(division.coordinates(rules.dim, times))
    told = {"period": division.name} | ({"empty": empty} if empty != "mask" else {})
    return mosaic.assign_attrs({PREFIX + key: value for key, value in told.items()})


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
    seen = [f"{band}_{SOURCE_INDEX}" for band in (*bands_of(collection, dim), name)]
    return mosaic.drop_vars([name, *(n for n in seen if n in mosaic.coords)])

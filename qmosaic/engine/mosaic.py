"""The door for xarray: check the collection, call the engine, dress the result."""

from __future__ import annotations

import datetime
import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize

from qmosaic.collection.declarations import (
    NODATA_NAMES,
    check_decoded,
    declared_nodata,
    declared_packing,
    masked_value,
)
from qmosaic.collection.geometry import true_to_grid
from qmosaic.collection.masks import NO_IMAGE, Array, fits, has_nan
from qmosaic.collection.model import bands_of, check_choice, check_collection, sources_of
from qmosaic.collection.moments import in_utc
from qmosaic.engine import graph
from qmosaic.engine.blocks import ArrayReader, Demand, decide_block, take_block
from qmosaic.engine.graph import Decision, Stack
from qmosaic.engine.kernels import Order, Ties, best_scores, look_up
from qmosaic.engine.promises import UnexpectedChunkError, as_promised
from qmosaic.engine.reading import Origin, labels

Masked = Literal["keep", "skip", "fill"]
Collection = TypeVar("Collection", xr.Dataset, xr.DataArray)

PREFIX = "qmosaic_"
"""What the attributes that record a mosaic's making begin with."""

# What says how values are packed on disk; chunks, shards, codecs and file names fit the source
# alone.
KEPT_ENCODING = (
    "dtype",
    "_FillValue",
    "missing_value",
    "scale_factor",
    "add_offset",
    "units",
    "calendar",
    "grid_mapping",
)


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
    rules: dict[str, Any] = {
        "dim": dim,
        "ties": ties,
        "masked": masked,
        "fill_value": fill_value,
        "min_quality": min_quality,
        "upper_bound": upper_bound,
    }
    return make_mosaic(collection, quality_band, rules)


def make_mosaic(
    collection: Collection,
    quality_band: Hashable,
    rules: dict[str, Any],
    *,
    among_empty: bool = False,
) -> Collection:
    """Make a mosaic, see `quality_mosaic`.

    Parameters
    ----------
    collection, quality_band
        See there.
    rules : dict
        Its other parameters.
    among_empty : bool, default: False
        Whether it stands among mosaics of no image at all, so that every band has to say what
        stands for masked.
    """
    check_choice("ties", rules["ties"], ("first", "last"))
    check_choice("masked", rules["masked"], ("keep", "skip", "fill"))
    if isinstance(collection, xr.DataArray):
        return _mosaic_of_array(collection, quality_band, rules, among_empty)
    dim, asked = rules["dim"], {k: rules[k] for k in ("min_quality", "upper_bound")}
    if not isinstance(collection, xr.Dataset):
        raise TypeError(
            f"quality_mosaic() got a {type(collection).__name__}; a collection is an "
            f"xarray.Dataset with "
            f"a dimension {dim!r}, or a DataArray with a dimension 'band'. Write "
            f"xr.open_zarr(...) for a "
            "Zarr store, xr.concat(images, 'time') for a list of images, collection.dataset for "
            "an ImageCollection of qmosaic.ee."
        )
    collection = in_utc(collection)
    check_collection(collection, quality_band, dim)
    quality = collection[quality_band]
    check_decoded(quality, "quality_mosaic()", order_only=True)
    descending = declared_packing(quality)[0] < 0
    order = Order(
        ties=rules["ties"],
        nodata=declared_nodata(quality),
        min_quality=_threshold("min_quality", rules["min_quality"], quality.dtype, descending),
        upper_bound=_threshold("upper_bound", rules["upper_bound"], quality.dtype, descending),
        descending=descending,
    )
    _check_bound(order, quality)
    masked, fill_value = rules["masked"], rules["fill_value"]
    job = _Job(collection, quality_band, dim, order, masked, fill_value, asked, among_empty)
    job.check_fills()
    job.check_names()
    return job.dress(job.run())


def _threshold(name: str, value: Any, dtype: np.dtype[Any], descending: bool) -> Any:
    """Bring a bound into the dtype of the scores, so that integers are compared as integers.

    Where the lowest score wins, a bound is rounded and cut off the other way.
    """
    if value is None:
        return None
    if isinstance(value, complex | str | bytes) or np.ndim(value) or math.isnan(value):
        raise ValueError(
            f"{name}={value!r} cannot be compared with a quality of dtype {dtype}: give a single "
            f"number, "
            "or leave it out."
        )
    if dtype.kind == "f":
        return dtype.type(value)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    worst, best = (high, low) if descending else (low, high)
    if (value < best) if descending else (value > best):
        if name == "min_quality":
            side, other = ("below", "higher") if descending else ("above", "lower")
            why = ", whose scale_factor is negative," if descending else ""
            raise ValueError(
                f"min_quality={value!r} is {side} everything that the quality{why} of dtype "
                f"{dtype} can hold ({best}): no image would be a candidate anywhere. Give a "
                f"{other} one."
            )
        return None  # nothing can reach such a bound, so it never stops the search
    if not math.isfinite(value):
        return dtype.type(worst)
    return dtype.type(min(high, math.floor(value)) if descending else max(low, math.ceil(value)))


def _check_bound(order: Order, quality: xr.DataArray) -> None:
    """Refuse a best score that counts as masked."""
    if order.upper_bound is None or order.nodata is None or order.upper_bound != order.nodata:
        return
    raise ValueError(
        f"upper_bound={order.upper_bound} is also the nodata that the quality {quality.name!r} "
        "declares, so the best images would be masked. xarray keeps attributes in arithmetic, so "
        "a score that is made of a band may declare the nodata of that band: remove it from the "
        "score (_FillValue, nodata or missing_value in its attrs), or leave upper_bound= out."
    )


@dataclass
class _Job:
    """One mosaic of a Dataset: what was asked for."""

    collection: xr.Dataset
    quality_band: Hashable
    dim: Hashable
    order: Order
    masked: Masked
    fill_value: Any
    asked: dict[str, Any]
    among_empty: bool

    def __post_init__(self) -> None:
        self.bands = bands_of(self.collection, self.dim)
        self.nodata = {name: declared_nodata(self.collection[name]) for name in self.bands}
        self.lazy = any(
            isinstance(self.collection[name].variable.chunks, tuple) for name in self.bands
        )

    # -- what a pixel without candidate gets --------------------------------------------------

    def can_be_masked(self, name: Hashable) -> bool:
        """Whether a band has a value for "missing"."""
        return has_nan(self.collection[name].dtype) or self.nodata[name] is not None

    def can_lack_candidate(self) -> bool:
        """Whether there can be pixels without any candidate."""
        return (
            self.among_empty
            or self.can_be_masked(self.quality_band)
            or self.order.min_quality is not None
            or (self.masked == "skip" and any(self.can_be_masked(name) for name in self.bands))
        )

    def fill(self, name: Hashable) -> Any:
        """Give the value that stands for "masked" in the mosaic's band."""
        return masked_value(self.collection[name], self.fill_value)

    def check_fills(self) -> None:
        """Refuse a fill value that a band which needs it cannot hold."""
        if self.fill_value is None:
            return
        for name in self.bands:
            dtype = self.collection[name].dtype
            needs = dtype.kind in "iu" and self.nodata[name] is None
            if needs and not fits(self.fill_value, dtype):
                raise ValueError(
                    f"fill_value={self.fill_value!r} does not fit band {name!r} of dtype "
                    f"{dtype}, which would "
                    "get it where no image is a candidate; dtypes are kept. Give an integer in its "
                    f"range, or declare a nodata for the band: ds[{name!r}].attrs['_FillValue'] "
                    f"= ..."
                )

    def check_names(self) -> None:
        """Refuse a variable that stands where the provenance of a band has to."""
        for name in self.bands if self.masked == "fill" else []:
            taken = f"{name}_image"
            if self.can_be_masked(name) and taken in self.collection.variables:
                raise ValueError(
                    f"the collection has a variable {taken!r}, but masked='fill' writes there from "
                    f"which image each pixel of {name!r} is. Rename one of the two: "
                    f"ds.rename({{{taken!r}: ...}})."
                )

    # -- the engine, lazy or at once ----------------------------------------------------------

    def run(self) -> dict[Hashable, xr.DataArray]:
        """Make the bands of the mosaic, and the provenance where that is asked for."""
        engine: _Engine = _Lazy(self.collection, self.dim) if self.lazy else _Eager(self.dim)
        quality = self.collection[self.quality_band]
        demands = self._demands(quality) if self.masked == "skip" else []
        decision = engine.decide(quality, self.order, demands, None)
        made: dict[Hashable, xr.DataArray] = {}
        for name in self.bands:
            band, own, fill = self.collection[name], decision, self.fill(name)
            substitutes = self.masked == "fill" and self.can_be_masked(name)
            if substitutes and name != self.quality_band:
                own = self._refine(engine, quality, band, decision)
            if substitutes:
                made[f"{name}_image"] = self._provenance(engine.index(own), name)
            if name == self.quality_band:
                made[name] = engine.scores(decision, fill)
            else:
                made[name] = self._take(engine, band, own, fill)
        return made

    def _demands(self, quality: xr.DataArray) -> list[tuple[xr.DataArray, Any]]:
        demands = []
        for name in self.bands:
            if name != self.quality_band and self.can_be_masked(name):
                demands.append(self._on_quality(self.collection[name], quality))
        return demands

    def _on_quality(self, band: xr.DataArray, quality: xr.DataArray) -> tuple[xr.DataArray, Any]:
        """Bring a band to the dimensions of the quality: more are combined, fewer broadcast."""
        nodata = self.nodata[band.name]
        extra = [d for d in band.dims if d not in quality.dims]
        if extra:
            valid = band.notnull() if nodata is None else band.notnull() & (band != nodata)
            return _broadcast(valid.all(extra), quality), np.False_
        return _broadcast(band, quality), nodata

    def _refine(
        self, engine: _Engine, quality: xr.DataArray, band: xr.DataArray, decision: Any
    ) -> Any:
        """Decide anew, for one band, where it is masked in the winner."""
        nodata = self.nodata[band.name]
        if any(d not in quality.dims for d in band.dims if d != self.dim):
            wide = _broadcast(quality, band)
            return engine.decide(wide, self.order, [(_broadcast(band, wide), nodata)], None)
        return engine.decide(quality, self.order, [(_broadcast(band, quality), nodata)], decision)

    def _take(self, engine: _Engine, band: xr.DataArray, decision: Any, fill: Any) -> xr.DataArray:
        if band.dims == (self.dim,):
            return engine.look_up(band, decision, fill)
        band = _broadcast(band, self.collection[self.quality_band])
        return engine.take(band, decision, fill)

    def _provenance(self, index: xr.DataArray, name: Hashable) -> xr.DataArray:
        what = f"position along {self.dim} of the image that band {name} is from; {NO_IMAGE}: none"
        return index.assign_attrs(long_name=what)

    # -- the result ---------------------------------------------------------------------------

    def dress(self, made: dict[Hashable, xr.DataArray]) -> xr.Dataset:
        """Put coordinates, attributes and encodings back."""
        provenance = {n: a for n, a in made.items() if n not in self.bands}
        for name in self.bands:
            made[name].attrs = self._attrs(name)
            made[name].encoding = self._encoding(name)
        rest = self.collection.drop_dims([self.dim])
        kept = {
            n: (made[n].variable if n in made else rest[n].variable)
            for n in self.collection.data_vars
        }
        mosaic = xr.Dataset(kept, rest.coords, self.collection.attrs)
        mosaic = mosaic.assign_coords({n: a.variable for n, a in provenance.items()})
        mosaic.attrs.update(self._record())
        mosaic.encoding = {
            k: v for k, v in self.collection.encoding.items() if k != "unlimited_dims"
        }
        return true_to_grid(mosaic)

    def _declares_fill(self, name: Hashable) -> bool:
        return (
            self.collection[name].dtype.kind in "iu"
            and self.nodata[name] is None
            and self.can_lack_candidate()
        )

    def _attrs(self, name: Hashable) -> dict[str, Any]:
        attrs = dict(self.collection[name].attrs)
        if self._declares_fill(name):
            attrs["_FillValue"] = self.fill(name)
        return attrs

    def _encoding(self, name: Hashable) -> dict[str, Any]:
        source = self.collection[name]
        encoding = {k: v for k, v in source.encoding.items() if k in KEPT_ENCODING}
        for key in NODATA_NAMES:
            if key in self._attrs(name):
                encoding.pop(key, None)
        packed = np.dtype(encoding.get("dtype", source.dtype))
        if source.dtype.kind == "f" and packed.kind in "iu":
            if not any(key in encoding for key in NODATA_NAMES) and self.can_lack_candidate():
                encoding["_FillValue"] = packed.type(int(self.fill_value or 0))
        elif packed != source.dtype and source.dtype.kind in "biuf":
            encoding.pop("dtype", None)
        return encoding

    def _record(self) -> dict[str, Any]:
        record: dict[str, Any] = {
            "quality_band": str(self.quality_band),
            "ties": self.order.ties,
            "masked": self.masked,
            "images": int(self.collection.sizes[self.dim]),
        }
        # as they were given: an integer quality is compared with the next whole number
        record.update({k: np.asarray(v).item() for k, v in self.asked.items() if v is not None})
        record.update(time_span(self.collection, self.dim))
        return {PREFIX + key: value for key, value in record.items()}


def time_span(collection: xr.Dataset | xr.DataArray, dim: Hashable) -> dict[str, str]:
    """Say when the first and the last image of a collection were taken, where that is known."""
    if dim not in collection.indexes:
        return {}
    times = collection.indexes[dim]
    known = times[~times.isna()]
    if not len(known):
        return {}
    return {"time_first": _in_words(known.min()), "time_last": _in_words(known.max())}


def _in_words(moment: Any) -> str:
    if isinstance(moment, datetime.datetime) or hasattr(moment, "isoformat"):
        return str(moment.isoformat())
    return str(moment)


def _broadcast(band: xr.DataArray, like: xr.DataArray) -> xr.DataArray:
    """Add the dimensions that `band` lacks, lazily and in the chunks of `like`."""
    missing = [d for d in like.dims if d not in band.dims]
    if not missing:
        return band
    bare = xr.DataArray(band.variable, name=band.name)
    wide = bare.expand_dims({d: like.sizes[d] for d in missing})
    if isinstance(like.variable.chunks, tuple):
        chunks = dict(zip(like.dims, like.variable.chunks, strict=True))
        wide = wide.chunk({d: chunks[d] for d in missing})
    return wide


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


class _Engine(Protocol):
    """What both ways of making a mosaic offer; a decision is whatever `decide` gives."""

    def decide(
        self,
        quality: xr.DataArray,
        order: Order,
        demands: list[tuple[xr.DataArray, Any]],
        start: Any,
    ) -> Any:
        """Name the winners, see `qmosaic.engine.graph.decide`."""

    def index(self, decision: Any) -> xr.DataArray:
        """Give the positions of the winners."""

    def scores(self, decision: Any, fill: Any) -> xr.DataArray:
        """Give the quality of the winners."""

    def look_up(self, band: xr.DataArray, decision: Any, fill: Any) -> xr.DataArray:
        """Give the winners' values of a band that has nothing but time."""

    def take(self, band: xr.DataArray, decision: Any, fill: Any) -> xr.DataArray:
        """Give the winners' pixels of a band."""


class _Lazy:
    """The deferred way: layers of a dask graph."""

    def __init__(self, collection: xr.Dataset, dim: Hashable) -> None:
        self.dim = dim
        self.collection = collection
        arrays = [collection[name].data for name in bands_of(collection, dim)]
        names = [a.name for a in arrays if isinstance(a, da.Array)]
        self.token = tokenize(sorted(names))  # a store lists its bands in any order
        self.times = labels(collection.indexes[dim]) if dim in collection.indexes else None
        ids = collection.coords.get("id")
        self.ids = ids.values if ids is not None and ids.dims == (dim,) else None

    def _origin(self, band: xr.DataArray) -> Origin:
        sources = sources_of(band) or sources_of(self.collection)
        return Origin(self.token, str(band.name), self.times, ", ".join(sorted(sources)), self.ids)

    def _stack(self, band: xr.DataArray, nodata: Any, images_per_chunk: int = 1) -> Stack:
        """Give a band to the engine; one in memory is cut first."""
        # an index is never chunked
        variable = band.variable.to_base_variable()
        array = variable.data
        if not isinstance(array, da.Array):
            sizes = dict.fromkeys(variable.dims, -1) | {self.dim: images_per_chunk}
            array = variable.chunk(sizes).data
        return Stack(array, tuple(band.dims), self.dim, nodata, self._origin(band))

    def decide(
        self,
        quality: xr.DataArray,
        order: Order,
        demands: list[tuple[xr.DataArray, Any]],
        start: Decision | None,
    ) -> Decision:
        stacks = [self._stack(band, nodata) for band, nodata in demands]
        return graph.decide(self._stack(quality, order.nodata), order, stacks, start)

    def index(self, decision: Decision) -> xr.DataArray:
        return xr.DataArray(decision.index(), dims=decision.dims)

    def scores(self, decision: Decision, fill: Any) -> xr.DataArray:
        return xr.DataArray(decision.scores(fill), dims=decision.dims)

    def look_up(self, band: xr.DataArray, decision: Decision, fill: Any) -> xr.DataArray:
        stack = self._stack(band, declared_nodata(band), images_per_chunk=-1)
        return xr.DataArray(decision.look_up(stack, fill), dims=decision.dims)

    def take(self, band: xr.DataArray, decision: Decision, fill: Any) -> xr.DataArray:
        stack = self._stack(band, declared_nodata(band))
        return xr.DataArray(graph.take(stack, decision, fill), dims=stack.map_dims)


class _Eager:
    """The same blocks, run at once: the whole map is one block; a decision is scores and index."""

    def __init__(self, dim: Hashable) -> None:
        self.dim = dim

    def _reader(self, band: xr.DataArray) -> ArrayReader:
        return ArrayReader(_values_of(band), band.dims.index(self.dim))

    def _map_dims(self, band: xr.DataArray) -> tuple[Hashable, ...]:
        return tuple(d for d in band.dims if d != self.dim)

    def decide(
        self,
        quality: xr.DataArray,
        order: Order,
        demands: list[tuple[xr.DataArray, Any]],
        start: tuple[xr.DataArray, xr.DataArray] | None,
    ) -> tuple[xr.DataArray, xr.DataArray]:
        dims = self._map_dims(quality)
        needed = [
            Demand(self._reader(b), n, tuple(self._map_dims(b).index(d) for d in dims))
            for b, n in demands
        ]
        first = None if start is None else start[1].values
        best, index = decide_block(self._reader(quality), order, needed, first)
        return xr.DataArray(best, dims=dims), xr.DataArray(index, dims=dims)

    def index(self, decision: tuple[xr.DataArray, xr.DataArray]) -> xr.DataArray:
        return decision[1].copy()

    def scores(self, decision: tuple[xr.DataArray, xr.DataArray], fill: Any) -> xr.DataArray:
        best, index = decision
        return best.copy(data=best_scores(best.values, index.values, fill))

    def look_up(self, band: xr.DataArray, decision: Any, fill: Any) -> xr.DataArray:
        _, index = decision
        return xr.DataArray(look_up(index.values, _values_of(band), fill), dims=index.dims)

    def take(self, band: xr.DataArray, decision: Any, fill: Any) -> xr.DataArray:
        _, index = decision
        dims = self._map_dims(band)
        present = [d for d in dims if d in index.dims]
        spread: Array = np.expand_dims(
            index.transpose(*present).values,
            tuple(i for i, d in enumerate(dims) if d not in index.dims),
        )
        taken = take_block(self._reader(band), index.values, spread, fill)
        return xr.DataArray(taken, dims=dims)


def _values_of(band: xr.DataArray) -> Array:
    """Read a band; one that is opened without dask may give something else than it said."""
    values: Array = band.values
    dtype = band.dtype if isinstance(band.dtype, np.dtype) else values.dtype  # pandas has its own
    try:
        return as_promised(values, band.shape, dtype)
    except UnexpectedChunkError as error:
        raise UnexpectedChunkError(f"band {band.name!r}: {error}") from None


# ---------------------------------------------------------------------------------------------
# A DataArray with a band dimension
# ---------------------------------------------------------------------------------------------


def _mosaic_of_array(
    array: xr.DataArray, quality_band: Hashable, rules: dict[str, Any], among_empty: bool
) -> xr.DataArray:
    """Mosaic a DataArray whose bands lie along ``band``, as stackstac makes them."""
    dim = rules["dim"]
    for needed in ("band", dim):
        if needed not in array.dims:
            raise ValueError(
                f"the DataArray has dimensions {', '.join(map(repr, array.dims))} and no "
                f"{needed!r}: a collection in one array "
                f"has its images along {dim!r} and its bands along 'band'. Name the images' "
                f"dimension "
                "with dim=..., or pass a Dataset with one variable a band."
            )
    if "band" not in array.indexes:
        raise ValueError(
            "the dimension 'band' of the DataArray has no labels, so no band can be found by "
            "name. Write "
            "array.assign_coords(band=[...])."
        )
    labels = list(array.indexes["band"])
    if len(set(labels)) < len(labels):
        raise ValueError(
            f"the labels along 'band' are not unique: {', '.join(map(repr, labels))}. Rename them: "
            "array.assign_coords(band=[...])."
        )
    bands = {
        label: array.isel(band=i, drop=True).drop_vars(
            [n for n, c in array.coords.items() if "band" in c.dims], errors="ignore"
        )
        for i, label in enumerate(labels)
    }
    for band in bands.values():
        band.attrs, band.encoding = dict(array.attrs), dict(array.encoding)
    mosaic = make_mosaic(xr.Dataset(bands), quality_band, rules, among_empty=among_empty)
    joined = xr.Variable.concat(  # type: ignore[no-untyped-call]
        [mosaic[label].variable for label in labels], "band"
    )
    dims = tuple(d for d in array.dims if d != dim)
    coords = {n: c for n, c in array.coords.items() if dim not in c.dims}
    provenance = {n: mosaic[n].variable for n in mosaic.coords if str(n).endswith("_image")}
    result = xr.DataArray(joined.transpose(*dims), coords, dims, name=array.name)
    result = result.assign_coords({n: v for n, v in provenance.items() if n not in coords})
    first = mosaic[labels[0]]
    result.attrs, result.encoding = first.attrs | mosaic.attrs, dict(first.encoding)
    return true_to_grid(result)

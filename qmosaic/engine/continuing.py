"""A mosaic goes on: what it has is one more image, in front of the new ones.

Nothing of the images that it was made of is needed: the best score so far is its quality band, and
where that is from, and out of how many candidates, is its provenance.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from qmosaic.collection.declarations import PREFIX, SOURCE_INDEX, VALID_COUNT
from qmosaic.collection.masks import NO_IMAGE
from qmosaic.collection.model import bands_of
from qmosaic.collection.times import in_utc
from qmosaic.engine.arrays import bands_apart, bands_together
from qmosaic.engine.attributes import time_span, with_attributes
from qmosaic.engine.bands import axes_of, demands_on, make_bands, say_source, take_band
from qmosaic.engine.deciders import Best, Periods
from qmosaic.engine.kernels import index_dtype
from qmosaic.engine.lazy import Lazy
from qmosaic.engine.periods import Division, divide
from qmosaic.engine.request import Request, broadcast, make_request
from qmosaic.engine.rules import Rules
from qmosaic.engine.scheduling import rechunk

MET, WON = 1, 2
"""What becomes of a pixel: an image is a candidate there, or has won it."""

IMAGES, FIRST, LAST = PREFIX + "images", PREFIX + "time_first", PREFIX + "time_last"
"""Attributes, and coordinates of mosaics by period, that tell which images a mosaic is made of."""


@dataclass(frozen=True)
class Past:
    """What a mosaic says of the images that it was made of.

    Attributes
    ----------
    images : int
        How many there were.
    first, last : str or None
        When the first and the last were taken, as the attributes of the mosaic say it.
    periods : pandas.DataFrame or None
        For each period, by its start: ``images``, ``first`` and ``last``; None where there are no
        periods.
    period : str or None
        The frequency of the periods.
    drops_empty : bool
        Whether periods without images are left out.
    """

    images: int
    first: str | None = None
    last: str | None = None
    periods: pd.DataFrame | None = None
    period: str | None = None
    drops_empty: bool = False

    @property
    def mosaics(self) -> int:
        """How many mosaics there are: one for each period."""
        return 1 if self.periods is None else len(self.periods)


@dataclass(frozen=True)
class Continuation:
    """New images, and what a mosaic makes of them.

    Attributes
    ----------
    given : xarray.Dataset or xarray.DataArray
        The images as they were given.
    images : xarray.Dataset
        The same, its bands apart.
    quality_band : hashable or list of hashable
        What orders them.
    rules : Rules
        How the mosaic was made.
    past : Past
        What it says of itself.
    starts : pandas.DatetimeIndex or None
        When the periods begin: those of the mosaic, and further ones.
    places : tuple of tuple of int
        For each mosaic the positions of its new images.
    """

    given: xr.Dataset | xr.DataArray
    images: xr.Dataset
    quality_band: Any
    rules: Rules
    past: Past
    starts: pd.DatetimeIndex | None
    places: tuple[tuple[int, ...], ...]

    @property
    def dim(self) -> Hashable:
        """The dimension of the images."""
        return self.rules.dim

    @property
    def total(self) -> int:
        """How many images there are with the new ones."""
        return self.past.images + int(self.images.sizes[self.dim])

    def touched(self) -> list[bool]:
        """Tell which mosaics have new images, or are new."""
        known = self.past.mosaics
        return [bool(own) or number >= known for number, own in enumerate(self.places)]

    def outline(self) -> Any:
        """Give the mosaic without its pixels: with the dtypes, dimensions, attributes and
        coordinates that it has if it is made as these images say."""
        periods = None if self.starts is None else Periods(self.dim, self.places)
        request = make_request(self.images, self.quality_band, self.rules, periods)
        return self._finished(make_bands(request, Outline(request, self.total)), request)

    def after(self, mosaic: xr.Dataset) -> tuple[Any, xr.DataArray]:
        """Give the mosaic of all images, and what becomes of each pixel, deferred.

        Parameters
        ----------
        mosaic : xarray.Dataset
            The mosaic that is there, its bands apart, with its provenance as coordinates; in the
            dtypes and dimensions of `outline`.

        Returns
        -------
        mosaic : xarray.Dataset or xarray.DataArray
            What `given` is.
        change : xarray.DataArray of uint8
            `MET`, `WON`, or 0 for neither.
        """
        before = self.past.mosaics
        request = self._request(mosaic)
        engine = Lazy(request.collection, self.dim)
        demands = self._demands(request, mosaic)
        finer = [broadcast(request.collection[n], request.quality) for n in request.finer]
        decider = Best(
            request.order,
            tuple(request.finer.values()),
            tuple(nodata for _, nodata in demands),
            axes_of([request.quality, *finer, *(band for band, _ in demands)], self.dim),
            counted=True,
        )
        bands = [
            (request.quality, request.order.nodata),
            *zip(finer, (order.nodata for order in request.finer.values()), strict=True),
            *demands,
        ]
        decision = engine.decide(decider, bands, request.periods, None)
        index = engine.index(decision)
        won = index >= before
        there = self._lengthened(mosaic, [SOURCE_INDEX, VALID_COUNT], index)
        occupied = there[SOURCE_INDEX] != NO_IMAGE
        met = engine.count(decision) - occupied
        dtype = index_dtype(self.total)
        made: dict[Hashable, xr.DataArray] = {}
        for what in self.rules.provenance:  # type: ignore[union-attr]
            said = say_source(engine, request, what, decision, decision)
            if what == SOURCE_INDEX:
                number = index.astype(dtype) + dtype.type(self.past.images - before)
                data = _where(won, number, there[what].astype(dtype))
            elif what == VALID_COUNT:
                data = met.astype(dtype) + there[what].astype(dtype)
            else:
                none = said.attrs.get("_FillValue")
                held = self._lengthened(mosaic, [what], index, none)[what]
                data = _where(won, said, held.astype(said.dtype))
            made[what] = said.copy(data=data.transpose(*said.dims).data)
        for name in request.bands:
            if name == request.quality_band:
                made[name] = engine.scores(decision, request.fill(name))
            else:
                made[name] = take_band(engine, request, name, decision)
            made[name] = made[name].transpose(*mosaic[name].dims)
        change = _where(won, np.uint8(WON), (met > 0).astype("uint8"))
        return self._finished(made, request), change.transpose(*index.dims)

    # -- the images, with the mosaic in front of them -----------------------------------------

    def _request(self, mosaic: xr.Dataset) -> Request:
        """Ask for the mosaic of what is there, as images, and of the new images."""
        names = bands_of(self.images, self.dim)
        alone = make_request(self.images, self.quality_band, self.rules)
        bands = {}
        for name in names:
            new = broadcast(self.images[name], alone.quality)
            bands[name] = self._behind(self._as_images(mosaic[name]), new)
        rest = self.images.drop_dims([self.dim])
        collection = xr.Dataset({**rest.data_vars, **bands}, attrs=self.images.attrs)
        collection.encoding = dict(self.images.encoding)
        collection = collection.assign_coords(rest.coords).assign_coords(self._labels())
        periods = None
        if self.starts is not None:
            before = self.past.mosaics
            members = tuple(
                ((number,) if number < before else ()) + tuple(before + k for k in own)
                for number, own in enumerate(self.places)
            )
            periods = Periods(self.dim, members)
        return make_request(collection, self.quality_band, self.rules, periods)

    def _as_images(self, band: xr.DataArray) -> xr.DataArray:
        return band if self.starts is not None else band.expand_dims(self.dim)

    def _behind(self, there: xr.DataArray, new: xr.DataArray) -> xr.DataArray:
        """Put new images behind those that are there, in the dimensions and chunks of these."""
        dims = (self.dim, *(d for d in there.dims if d != self.dim))
        front = there.transpose(*dims).data
        back = new.transpose(*dims).data
        wanted = dict(enumerate(front.chunks[1:], 1))
        if any(back.chunks[axis] != sizes for axis, sizes in wanted.items()):
            back = rechunk(back, wanted)
        joined = xr.DataArray(da.concatenate([front, back]), dims=dims, name=new.name)
        joined.attrs, joined.encoding = dict(new.attrs), dict(new.encoding)
        return joined

    def _labels(self) -> dict[Hashable, Any]:
        """Give the coordinates along time that are looked at; what is in front of them is not."""
        asked = [n for n in self.rules.provenance if n in self.images.coords]  # type: ignore[union-attr]
        found: dict[Hashable, Any] = {}
        for name in (*asked, self.dim):
            if name not in self.images.coords:
                continue
            own = self.images[name].variable.to_base_variable()
            first = own.isel({self.dim: [0] * self.past.mosaics})
            both = xr.Variable.concat([first, own], self.dim)  # type: ignore[no-untyped-call]
            found[name] = (self.dim, both.data, own.attrs)
        return found

    def _demands(self, request: Request, mosaic: xr.Dataset) -> list[tuple[xr.DataArray, Any]]:
        """Give the bands that have to be valid in a candidate: the mosaic is one where it has an
        image."""
        found = []
        if request.rules.masked == "skip":
            lenient = {
                name: self._behind(self._valid(request, name, mosaic), self._alone(request, name))
                for name in request.bands
                if name != request.quality_band and request.can_be_masked(name)
            }
            collection = request.collection.assign(lenient)
            found = demands_on(replace(request, collection=collection))
        there = self._as_images(mosaic[SOURCE_INDEX])
        size = self.images.sizes[self.dim]
        shape = [size if d == self.dim else n for d, n in there.sizes.items()]
        chunks = [1 if d == self.dim else c for d, c in there.chunksizes.items()]
        none = da.zeros(shape, dtype=there.dtype, chunks=chunks)
        occupied = self._behind(there, xr.DataArray(none, dims=there.dims))
        wide = broadcast(occupied, request.quality)
        return [*found, (wide, there.dtype.type(NO_IMAGE))]

    def _alone(self, request: Request, name: Hashable) -> xr.DataArray:
        """Give the new images of a band, as they stand behind the mosaic."""
        band = request.collection[name]
        alone = band.isel({self.dim: slice(self.past.mosaics, None)})
        alone.encoding = dict(band.encoding)
        return alone

    def _valid(self, request: Request, name: Hashable, mosaic: xr.Dataset) -> xr.DataArray:
        """Give images of a band that are valid everywhere."""
        there, nodata = self._as_images(mosaic[name]), request.nodata[name]
        value = there.dtype.type(0 if there.dtype.kind not in "mM" else 1)
        if nodata is not None and nodata == value:
            value = there.dtype.type(1)
        data = da.full(there.shape, value, dtype=there.dtype, chunks=there.chunks)
        return xr.DataArray(data, dims=there.dims)

    def _lengthened(
        self, mosaic: xr.Dataset, names: Sequence[Hashable], like: xr.DataArray, none: Any = None
    ) -> dict[Hashable, xr.DataArray]:
        """Give what is there, with room for further periods, in which `none` stands for nothing."""
        found = {}
        for name in names:
            there = mosaic[name].transpose(*like.dims)
            more = 0 if self.starts is None else len(self.starts) - self.past.mosaics
            if more:
                shape = (more, *there.shape[1:])
                fill = _nothing(name, there.dtype) if none is None else there.dtype.type(none)
                chunks = (1, *(c for d, c in there.chunksizes.items() if d != self.dim))
                room = da.full(shape, fill, dtype=there.dtype, chunks=chunks)
                data = da.concatenate([there.data, room])
                there = xr.DataArray(data, dims=there.dims)
            found[name] = xr.DataArray(there.variable, name=name)
        return found

    # -- what is said of it -------------------------------------------------------------------

    def _finished(self, made: Mapping[Hashable, xr.DataArray], request: Request) -> Any:
        """Give bands their coordinates and attributes."""
        if self.starts is None:
            mosaic = with_attributes(made, request)
        else:
            mosaic = with_attributes(made, replace(request, periods=self._periods_of_all()))
            mosaic = mosaic.assign_coords(self._coordinates())
            mosaic.attrs[PREFIX + "period"] = self.past.period
            if self.past.drops_empty:
                mosaic.attrs[PREFIX + "empty"] = "drop"
        mosaic.attrs[IMAGES] = self.total
        mosaic.attrs.update({PREFIX + key: value for key, value in self._span().items()})
        if isinstance(self.given, xr.DataArray):
            return bands_together(mosaic, self.given, self.dim)
        return mosaic

    def _span(self) -> dict[str, str]:
        """Say when the first and the last of all images were taken."""
        if self.dim not in self.images.indexes:
            return {}
        own = self.images.indexes[self.dim]
        known = [as_label(text, own) for text in (self.past.first, self.past.last) if text]
        both = pd.Index(known, dtype=own.dtype).append(own) if known else own
        return time_span(xr.Dataset(coords={self.dim: (self.dim, both)}), self.dim)

    def _counts(self) -> np.ndarray[Any, Any]:
        counts = np.array([len(own) for own in self.places], "int64")
        if self.past.periods is not None:
            counts[: self.past.mosaics] += self.past.periods["images"].to_numpy()
        return counts

    def _periods_of_all(self) -> Periods:
        """Give the periods as declarations see them: with images, or without."""
        return Periods(self.dim, tuple((0,) if n else () for n in self._counts()))

    def _coordinates(self) -> dict[Hashable, Any]:
        """Give the start of each period, and the number and the times of all its images."""
        periods = self.past.periods
        assert self.starts is not None
        assert self.past.period is not None
        assert periods is not None
        places = [np.asarray(own, int) for own in self.places]
        division = Division(self.past.period, self.starts, places)
        times = pd.DatetimeIndex(self.images.indexes[self.dim])
        found = division.coordinates(self.dim, times)
        dim, _, attrs = found[IMAGES]
        found[IMAGES] = (dim, self._counts(), attrs)
        for key, column, earlier in ((FIRST, "first", np.fmin), (LAST, "last", np.fmax)):
            dim, values, attrs = found[key]
            values = values.copy()
            own = periods[column].to_numpy().astype(values.dtype)
            values[: len(own)] = earlier(values[: len(own)], own)
            found[key] = (dim, values, attrs)
        return found


class Outline:
    """Bands of a mosaic of which nothing is made; see `bands.Engine`."""

    def __init__(self, request: Request, total: int) -> None:
        self._dim, self._periods = request.dim, request.periods
        self._sizes = {d: n for d, n in request.quality.sizes.items() if d != request.dim}
        self._dtypes = (index_dtype(total), request.quality.dtype)

    def _bare(self, sizes: Mapping[Hashable, int], dtype: Any) -> xr.DataArray:
        front = {} if self._periods is None else {self._dim: len(self._periods.members)}
        whole = {**front, **sizes}
        shape = tuple(whole.values())
        return xr.DataArray(da.empty(shape, dtype=dtype, chunks=shape), dims=list(whole))

    def decide(self, *_: Any) -> None:
        """Decide nothing."""

    def index(self, _: Any) -> xr.DataArray:
        """See `bands.Engine`."""
        return self._bare(self._sizes, self._dtypes[0])

    def count(self, _: Any) -> xr.DataArray:
        """See `bands.Engine`."""
        return self._bare(self._sizes, self._dtypes[0])

    def scores(self, _: Any, fill: Any) -> xr.DataArray:
        """See `bands.Engine`."""
        return self._bare(self._sizes, self._dtypes[1])

    def look_up(self, band: xr.DataArray, _: Any, fill: Any) -> xr.DataArray:
        """See `bands.Engine`."""
        return self._bare(self._sizes, band.dtype)

    def take(self, band: xr.DataArray, _: Any, fill: Any) -> xr.DataArray:
        """See `bands.Engine`."""
        return self._bare({d: n for d, n in band.sizes.items() if d != self._dim}, band.dtype)

    def reduce(self, band: xr.DataArray, decision: Any, reducer: Any, fill: Any) -> xr.DataArray:
        """See `bands.Engine`."""
        return self.take(band, decision, fill)


def _where(condition: xr.DataArray, there: Any, elsewhere: Any) -> xr.DataArray:
    found: xr.DataArray = xr.where(condition, there, elsewhere)  # type: ignore[no-untyped-call]
    return found


def _nothing(name: Hashable, dtype: np.dtype[Any]) -> Any:
    """Give what stands in a period that was not there."""
    if name == SOURCE_INDEX:
        return dtype.type(NO_IMAGE)
    if dtype.kind in "mM":
        return np.array("NaT", dtype)[()]
    return "" if dtype.kind in "OUST" else dtype.type(0)


def as_label(text: str, index: pd.Index) -> Any:
    """Read what an attribute says of a label along time."""
    if isinstance(index, pd.DatetimeIndex):
        return pd.Timestamp(text)
    return index.dtype.type(text) if index.dtype.kind in "iuf" else text


def continue_with(
    images: xr.Dataset | xr.DataArray, quality_band: Any, rules: Rules, past: Past
) -> Continuation:
    """Lay new images beside a mosaic: which of them are of which period.

    Parameters
    ----------
    images : xarray.Dataset or xarray.DataArray
        The new images, of which each is deferred.
    quality_band : hashable or list of hashable
        The bands that order them.
    rules : Rules
        How the mosaic was made; the names of its provenance are among them.
    past : Past
        What it says of the images that it was made of.

    Raises
    ------
    ValueError
        An image is of a period before the first.
    """
    apart = bands_apart(images, rules.dim) if isinstance(images, xr.DataArray) else images
    apart = in_utc(apart)
    if past.periods is None:
        places = (tuple(range(apart.sizes[rules.dim])),)
        return Continuation(images, apart, quality_band, rules, past, None, places)
    starts, own = _periods(apart, rules.dim, past)
    return Continuation(images, apart, quality_band, rules, past, starts, own)


def _periods(
    images: xr.Dataset, dim: Hashable, past: Past
) -> tuple[pd.DatetimeIndex, tuple[tuple[int, ...], ...]]:
    """Divide new images into the periods of a mosaic, and into further ones."""
    assert past.periods is not None
    kept = past.periods["first"].dropna()
    division = divide(images, dim, past.period, None, "mask")  # says what is wrong with the times
    times = pd.DatetimeIndex(kept.to_numpy()).append(pd.DatetimeIndex(images.indexes[dim]))
    everything = xr.Dataset(coords={dim: (dim, times)})
    division = divide(everything, dim, past.period, None, "drop" if past.drops_empty else "mask")
    known = pd.DatetimeIndex(past.periods.index)
    if not division.starts[: len(known)].equals(known):
        first, new = known[0], division.starts[~division.starts.isin(known)]
        raise ValueError(
            f"update() got images of periods that the mosaic does not have, and which do not come "
            f"after its own: {', '.join(f'{t:%Y-%m-%d}' for t in new[:3])}; its periods are from "
            f"{first:%Y-%m-%d} to {known[-1]:%Y-%m-%d}. Only periods behind the last can be added. "
            "Leave these images out, new_images.qmosaic.filter_date(...), or make the mosaic anew."
        )
    own = tuple(
        tuple(int(n) - len(kept) for n in places if n >= len(kept)) for places in division.places
    )
    return division.starts, own

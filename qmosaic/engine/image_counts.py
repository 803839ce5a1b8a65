"""How many pixels of a mosaic each image gave: counted block by block, and added up."""

from __future__ import annotations

import functools
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import dask
import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from qmosaic.collection.declarations import SOURCE_INDEX, SOURCE_TIME
from qmosaic.collection.location import map_axes
from qmosaic.collection.masks import NO_IMAGE, Array
from qmosaic.collection.zones import Zones, zones_on
from qmosaic.engine.scheduling import compute, rechunk

CALLER = "contributions()"
BLOCK = 1024
"""Rows and columns that are counted at once of a map that has no chunks."""

PIXELS = 2**20
"""How many pixels of a chunk are counted at once, however large it is."""

TOGETHER = 8
"""Along each dimension, how many tables are put together at once."""


def contributions(mosaic: Any, zones: Any = None, *, band: Hashable | None = None) -> pd.DataFrame:
    """Count how many pixels of a mosaic each image gave, and their share.

    Parameters
    ----------
    mosaic : xarray.Dataset or xarray.DataArray
        A mosaic with the coordinate ``source_index``, as `quality_mosaic` makes it with
        ``provenance=True`` (or ``provenance=["source_index"]``): deferred, in memory, or opened
        with `open_mosaic`. With ``masked="fill"`` each band has an own, ``<band>_source_index``.
    zones : xarray.DataArray, GeoDataFrame, GeoSeries, GeoJSON, mapping or sequence, optional
        Count by zone. A raster of labels on the grid of the mosaic, lazy or not; NaN and its
        declared nodata are no zone. Or polygons: shapely geometries, GeoJSON, the path of GeoJSON.
        The index of geopandas or the keys of a mapping label them, else their positions do. Their
        own CRS counts; where they have none they are in longitude and latitude. A pixel belongs to
        the polygon in which its centre lies; where several overlap, to the last of them.
    band : hashable, optional
        Of a mosaic with ``masked="fill"`` this band alone; by default all of them.

    Returns
    -------
    pandas.DataFrame
        A row for each image that gave a pixel, in these columns:

        - ``band`` where each band has images of its own and none was chosen;
        - ``period``, ``rank``: one for each dimension that the map has beside y and x; ``time`` of
          a mosaic of periods is called ``period``;
        - ``zone``: a label, where there are zones; a zone without any pixel has no row;
        - ``source_index``: the position of the image in the collection; -1: pixels of no image;
        - ``time`` of the image, where the mosaic has ``source_time``;
        - ``pixels``: how many it gave;
        - ``share`` of all pixels of the map or the zone, those of no image included, 0 to 1.

        The images of each zone, period and so on are sorted by their pixels, most first.

    Raises
    ------
    KeyError
        The mosaic has no band of that name.
    TypeError
        `mosaic` is no mosaic, or `zones` are none.
    ValueError
        The mosaic does not tell from which image a pixel is; the zones are on another grid, or
        do not meet the map.
    ModuleNotFoundError
        Polygons need ``odc-geo``, which is not installed (extra ``geo``).

    Notes
    -----
    The index is read once, chunk by chunk, on the active scheduler of dask, and with it
    ``source_time`` and the raster of zones: no band is. A task holds a chunk of them, and gives a
    small table; the map is never there as a whole.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr, qmosaic as qm
    >>> mosaic = xr.Dataset(
    ...     {"red": (("y", "x"), np.uint16([[7, 7, 8], [0, 8, 8]]))},
    ...     {"source_index": (("y", "x"), np.int16([[4, 4, 9], [-1, 9, 9]]))},
    ... )
    >>> qm.contributions(mosaic)
       source_index  pixels     share
    0             9       3  0.500000
    1             4       2  0.333333
    2            -1       1  0.166667

    By zone, of which the raster has two:

    >>> fields = xr.DataArray(np.uint8([[1, 1, 2], [1, 2, 2]]), dims=("y", "x"))
    >>> qm.contributions(mosaic, fields)
       zone  source_index  pixels     share
    0     1             4       2  0.666667
    1     1            -1       1  0.333333
    2     2             9       3  1.000000
    """
    dataset, chosen = index_names(mosaic, band, "contributions()")
    counts = [_Count.of(dataset, name, zones) for name in chosen.values()]
    tables = [c.labelled(t) for c, t in zip(counts, _computed(counts), strict=True)]
    if list(chosen) == [None]:
        return tables[0]
    named = [t.assign(band=b)[["band", *t]] for b, t in zip(chosen, tables, strict=True)]
    return pd.concat(named, ignore_index=True)


# -- what is counted -----------------------------------------------------------------------------


def index_names(
    mosaic: Any, band: Hashable | None, caller: str
) -> tuple[xr.Dataset, dict[Hashable | None, Hashable]]:
    """Name the variables that tell from which image a pixel is.

    Parameters
    ----------
    mosaic : xarray.Dataset or xarray.DataArray
        A mosaic.
    band : hashable, optional
        The band that is meant, where each has an own.
    caller : str
        The function that asks, for errors.

    Returns
    -------
    (xarray.Dataset, dict)
        The coordinates of the mosaic (and the variables of a Dataset); and the names: by band, or
        one under None for all of them or the one that is meant.

    Raises
    ------
    KeyError, TypeError, ValueError
        There is no such band; it is no mosaic; nothing tells.
    """
    wrapped = getattr(mosaic, "dataset", None)
    if not isinstance(mosaic, xr.Dataset | xr.DataArray) and isinstance(wrapped, xr.Dataset):
        mosaic = wrapped  # of `qmosaic.ee`
    if not isinstance(mosaic, xr.Dataset | xr.DataArray):
        raise TypeError(
            f"{caller} got a {type(mosaic).__name__}; it takes a mosaic, an xarray.Dataset or "
            "DataArray: quality_mosaic(..., provenance=True)."
        )
    dataset = mosaic if isinstance(mosaic, xr.Dataset) else mosaic.coords.to_dataset()
    bands = _bands(mosaic)
    if band is not None and band not in bands:
        raise KeyError(
            f"{caller} found no band {band!r} in the mosaic; there are "
            f"{', '.join(map(repr, bands)) or 'none'}."
        )
    if SOURCE_INDEX in dataset.variables:
        return dataset, {None: SOURCE_INDEX}
    names = {b: f"{b}_{SOURCE_INDEX}" for b in bands}
    own: dict[Hashable | None, Hashable] = {
        b: n for b, n in names.items() if n in dataset.variables
    }
    if band in own:
        return dataset, {None: own[band]}
    if own and band is None:
        return dataset, own
    raise ValueError(
        f"{caller} got a mosaic without the coordinate {SOURCE_INDEX!r}, so nothing tells from "
        "which image its pixels are. Make the mosaic with provenance=True, "
        "quality_mosaic(collection, quality, provenance=True); pixels that are put together of "
        "several images (within=) have no such image."
    )


def _bands(mosaic: xr.Dataset | xr.DataArray) -> list[Hashable]:
    if isinstance(mosaic, xr.DataArray):
        return list(mosaic["band"].values.tolist()) if "band" in mosaic.coords else [mosaic.name]
    return [n for n in mosaic.data_vars if not str(n).endswith(SOURCE_INDEX)]


@dataclass(frozen=True)
class _Count:
    """Pixels to be counted.

    Attributes
    ----------
    index, time : xarray.Variable
        From which image each pixel is, and of what time that is, if it is known.
    coordinates : tuple of (hashable, numpy.ndarray)
        The dimensions of the index beside those of the map, and their labels.
    axes : (int, int)
        Which of its dimensions are those of the map.
    zones : Zones, optional
        Zones on that map.
    in_memory : bool
        Whether nothing of it is deferred.
    """

    index: xr.Variable
    time: xr.Variable | None
    coordinates: tuple[tuple[Hashable, Array], ...]
    axes: tuple[int, int]
    zones: Zones | None
    in_memory: bool

    @staticmethod
    def of(dataset: xr.Dataset, name: Hashable, zones: Any) -> _Count:
        """Settle what is counted; nothing is read."""
        index = dataset[name]
        axes = map_axes(index, CALLER)
        time = dataset.variables.get(str(name).removesuffix(SOURCE_INDEX) + SOURCE_TIME)
        if time is not None and set(time.dims) != set(index.dims):
            time = None  # a variable of that name, and another meaning
        in_memory = index.chunks is None
        whole = _in_chunks(index.variable, axes)
        chunks = dict(zip(whole.dims, whole.data.chunks, strict=True))
        placed = None
        if zones is not None:
            placed = zones_on(dataset, axes, zones, chunks, CALLER)
            in_memory &= placed.labels is not None or not isinstance(placed.codes, da.Array)
        return _Count(
            whole,
            None if time is None else _in_chunks(time.transpose(*index.dims), axes),
            tuple((d, dataset[d].values) for d in index.dims if d not in axes),
            (index.dims.index(axes[0]), index.dims.index(axes[1])),
            placed,
            in_memory,
        )

    def deferred(self) -> da.Array:
        """Count, deferred: one table, as an array without dimensions."""
        index = self.index.data
        places = [a for a in range(index.ndim) if a not in self.axes]
        arrays: list[Any] = [index, tuple(range(index.ndim))]
        for axis in places:
            numbers = da.arange(index.shape[axis], chunks=(index.chunks[axis],))
            arrays += [numbers, (axis,)]
        if self.zones is not None:
            on_map = tuple(index.chunks[axis] for axis in self.axes)
            arrays += [_as_chunked(self.zones.codes, on_map), self.axes]
        if self.time is not None:
            arrays += [_as_chunked(self.time.data, index.chunks), arrays[1]]
        counted = da.blockwise(
            functools.partial(
                _count_block,
                dims=self._columns,
                axes=self.axes,
                zoned=self.zones is not None,
                timed=self.time is not None,
                missing=None if self.zones is None else self.zones.missing,
            ),
            arrays[1],
            *arrays,
            adjust_chunks={axis: lambda size: 1 for axis in arrays[1]},
            dtype=object,
            meta=np.empty((0,) * index.ndim, object),
        )
        return da.reduction(
            counted,
            _as_it_is,
            _together,
            combine=_together,
            concatenate=False,
            split_every=TOGETHER,
            dtype=object,
            meta=np.empty((), object),
        )

    @property
    def _columns(self) -> tuple[str, ...]:
        """Name the columns of dimensions: a map for each time is one for each period."""
        return tuple("period" if d == "time" else str(d) for d, _ in self.coordinates)

    def labelled(self, table: pd.DataFrame) -> pd.DataFrame:
        """Sort a table, put labels in place of numbers, and add the shares."""
        groups = [c for c in (*self._columns, "zone") if c in table]
        order = [True] * len(groups) + [False, True]
        table = table.sort_values(
            [*groups, "pixels", SOURCE_INDEX], ascending=order, ignore_index=True
        )
        whole = (
            table.groupby(groups)["pixels"].transform("sum") if groups else table["pixels"].sum()
        )
        table["share"] = table["pixels"] / whole
        for column, (_, labels) in zip(self._columns, self.coordinates, strict=True):
            table[column] = labels[table[column].to_numpy()]
        if self.zones is not None and self.zones.labels is not None:
            table["zone"] = self.zones.labels.take(table["zone"].to_numpy())
        times = ["time"] if self.time is not None else []
        return table[[*groups, SOURCE_INDEX, *times, "pixels", "share"]]


def _in_chunks(variable: xr.Variable, axes: tuple[Hashable, Hashable]) -> xr.Variable:
    """Cut what has no chunks, so that never the whole of it is read or counted at once."""
    if variable.chunks is not None:
        return variable
    return variable.chunk({d: BLOCK if d in axes else 1 for d in variable.dims})


def _as_chunked(array: Any, chunks: Any) -> da.Array:
    if isinstance(array, da.Array):
        return rechunk(array, chunks)
    return da.from_array(array, chunks=chunks)


def _computed(counts: list[_Count]) -> tuple[pd.DataFrame, ...]:
    """Count everything in one pass; what is in memory needs no scheduler, and is sent nowhere."""
    deferred = [count.deferred() for count in counts]
    if all(count.in_memory for count in counts):
        tables: tuple[pd.DataFrame, ...] = dask.compute(*deferred, scheduler="synchronous")
        return tables
    return compute(*deferred)


# -- in tasks ------------------------------------------------------------------------------------


def _count_block(
    index: Array,
    *others: Array,
    dims: tuple[str, ...],
    axes: tuple[int, int],
    zoned: bool,
    timed: bool,
    missing: Any,
) -> Array:
    """Count a block: an array of one element, which is a table."""
    given = iter(others)
    aside = [axis for axis in range(index.ndim) if axis not in axes]
    views = {
        name: _along(next(given), (a,), index.shape) for name, a in zip(dims, aside, strict=True)
    }
    if zoned:
        views["zone"] = _along(next(given), axes, index.shape)
    views[SOURCE_INDEX] = index
    if timed:
        views["time"] = next(given)
    rows = index.shape[axes[0]]
    step = max(1, PIXELS * rows // max(1, index.size))
    tables = []
    for start in range(0, max(1, rows), step):
        part = [slice(None)] * index.ndim
        part[axes[0]] = slice(start, start + step)
        tables.append(_count_pixels({n: v[tuple(part)].ravel() for n, v in views.items()}, missing))
    block = np.empty((1,) * index.ndim, object)
    block[(0,) * index.ndim] = _together(tables)
    return block


def _along(values: Array, axes: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """Repeat values that lie along some axes: a view with a number for each pixel."""
    if list(axes) != sorted(axes):
        values, axes = values.T, axes[::-1]
    others = [axis for axis in range(len(shape)) if axis not in axes]
    return np.broadcast_to(np.expand_dims(values, others), shape)


def _count_pixels(pixels: dict[str, Array], missing: Any) -> pd.DataFrame:
    """Count pixels that are equal in everything but their time, which is that of the image."""
    pixels[SOURCE_INDEX] = _whole(pixels[SOURCE_INDEX])
    if "zone" in pixels:
        zone = pixels["zone"]
        inside = zone == zone  # NaN is no zone
        inside &= True if missing is None else zone != missing
        pixels = {name: values[inside] for name, values in pixels.items()}
    times = {"time": pixels.pop("time")} if "time" in pixels else {}
    firsts, counts = _groups(list(pixels.values()))
    kept = {name: values[firsts] for name, values in (pixels | times).items()}
    return pd.DataFrame(kept | {"pixels": counts})


def _whole(index: Array) -> Array:
    """Make integers of an index, which a reader may have decoded to floats with NaN."""
    if index.dtype.kind == "f":
        index = np.where(np.isnan(index), NO_IMAGE, index)
    return index.astype(np.int64)


def _groups(keys: list[Array]) -> tuple[Array, Array]:
    """Find the combinations that occur: where each is first, and how often it is there."""
    codes = np.zeros(keys[0].size, np.int64)
    for key in keys:
        own, labels = pd.factorize(key)
        codes, _ = pd.factorize(codes * len(labels) + own)
    counts = np.bincount(codes)
    firsts = np.zeros(len(counts), np.int64)
    firsts[codes[::-1]] = np.arange(codes.size)[::-1]
    return firsts, counts


def _as_it_is(block: Array, **_: Any) -> Array:
    return block


def _together(blocks: Any, **_: Any) -> Any:
    """Add up tables: nested lists of them, as dask gives what it does not put together itself."""
    tables = _flat(blocks)
    filled = [table for table in tables if len(table)]
    if not filled:
        return tables[0]
    whole = pd.concat(filled, ignore_index=True)
    keys = [c for c in whole if c not in ("pixels", "time")]
    how = {c: how for c, how in (("pixels", "sum"), ("time", "first")) if c in whole}
    return whole.groupby(keys, sort=False, as_index=False).agg(how)


def _flat(blocks: Any) -> list[pd.DataFrame]:
    if isinstance(blocks, pd.DataFrame):
        return [blocks]
    if isinstance(blocks, np.ndarray):
        return [table for block in blocks.ravel() for table in _flat(block)]
    return [table for block in blocks for table in _flat(block)]

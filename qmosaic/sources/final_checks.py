"""The last checks of every reader: bands are chosen, the result is a collection."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.model import bands_of
from qmosaic.sources.grids import IN_DEGREES, check_dimensions_of_chunks
from qmosaic.sources.nodata import check_one_nodata, declare, warn_of_legal_scores
from qmosaic.sources.request import DIM, NoTimeError, Request, check_known


def finish(collection: xr.Dataset, request: Request, what: str) -> xr.Dataset:
    """Choose bands, settle their nodata, and check that the result is a collection."""
    if DIM not in collection.dims and DIM in collection.coords:
        collection = collection.expand_dims(DIM)
    bands = bands_of(collection, DIM)
    if not bands:
        raise NoTimeError(
            f"{what} has dimensions {', '.join(map(repr, collection.dims)) or 'none'} and no band "
            f"along {DIM!r}: it is no collection of images. Open it with xarray and rename the "
            f"dimension of the images, ds.rename(date={DIM!r}), or add one, "
            f"ds.expand_dims({DIM}=[...])."
        )
    check_known(request.bands, bands, f"{what} has")
    request.check_nodata(bands, f"{what} has")
    _check_chunks(collection, request)
    _check_times(collection, what)
    chosen = list(request.bands or bands)
    check_one_nodata(collection, chosen, request, what)
    others = [n for n, v in collection.data_vars.items() if DIM not in v.dims]
    collection = collection[[*chosen, *others]]
    new = {n: declare(collection[n], request.nodata_of(n)) for n in chosen if request.overrides(n)}
    collection = with_crs(collection.assign(new))
    for name in chosen:
        warn_of_legal_scores(name, declared_nodata(collection[name]), name in new)
    return collection


def as_asked(opened: xr.Dataset, request: Request) -> xr.Dataset:
    """Lay a single image along time, if one is asked for and it has no time: readers read
    collections. The dimension has no coordinate, by which it is told from one with a time."""
    if not request.single or DIM in opened.dims or DIM in opened.coords:
        return opened
    bands = {name: v.expand_dims(DIM) for name, v in opened.data_vars.items() if v.ndim > 1}
    return opened.assign(bands)


def without_time(collection: xr.Dataset) -> xr.Dataset:
    """Give a single image without the dimension along which it was laid to be read."""
    lacking = DIM not in collection.coords and collection.sizes.get(DIM) == 1
    return collection.isel({DIM: 0}) if lacking else collection


def _check_times(collection: xr.Dataset, what: str) -> None:
    """Refuse images without a time among those that have one."""
    times = collection[DIM].values if DIM in collection.coords else np.array([])
    if times.dtype.kind == "M" and np.isnat(times).any():
        places = ", ".join(map(str, np.flatnonzero(np.isnat(times))[:5]))
        raise ValueError(
            f"{what} has images without a time (NaT), at {places} along {DIM!r}: they have no "
            "place among the others. Mend the coordinate, or leave them out. (Zarr format 2 takes "
            "a time that equals the fill value for none.)"
        )


def _check_chunks(collection: xr.Dataset, request: Request) -> None:
    """Refuse sizes of chunks for dimensions that are not there: they would do nothing."""
    in_degrees = [IN_DEGREES[str(dim)] for dim in collection.dims if dim in IN_DEGREES]
    check_dimensions_of_chunks(request, list(collection.dims), in_degrees)


def settled(request: Request, collection: xr.Dataset) -> Request:
    """Take the nodata that a reader has settled on for what was asked for."""
    given = [n for n in bands_of(collection, DIM) if request.overrides(n)]
    return replace(request, nodata={n: declared_nodata(collection[n]) for n in given})


def with_crs(collection: xr.Dataset) -> xr.Dataset:
    """Make the variables that hold the CRS coordinates, so that every band keeps its CRS."""
    named = {
        text
        for v in collection.data_vars.values()
        for text in (v.attrs.get("grid_mapping"), v.encoding.get("grid_mapping"))
        if isinstance(text, str)
    }
    return collection.set_coords([n for n in collection.data_vars if n in named])

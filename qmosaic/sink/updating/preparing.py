"""The mosaic of all images: what it is asked to be, how it lies in the store, and its jobs."""

from __future__ import annotations

import sys
from collections.abc import Hashable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
import zarr

from qmosaic.collection.declarations import (
    NODATA_NAMES,
    PREFIX,
    SOURCE_INDEX,
    VALID_COUNT,
    declared_nodata,
)
from qmosaic.collection.model import bands_of
from qmosaic.engine.continuing import Continuation, continue_with
from qmosaic.engine.graph import Sight, Web
from qmosaic.engine.rules import Rules
from qmosaic.sink.checking import as_dataset, declare_nodata
from qmosaic.sink.cutting import Plan, plan_together
from qmosaic.sink.identity import identify, token_of
from qmosaic.sink.layout import lay_out
from qmosaic.sink.multiscale import Pyramid, settle_pyramid
from qmosaic.sink.overwriting import check_sources
from qmosaic.sink.steps import Layout, Request, Work
from qmosaic.sink.updatable import check_units, quality_bands
from qmosaic.sink.updating.past import Stored
from qmosaic.sink.updating.rewriting import CHANGE, Updater


def read_rules(stored: Stored, images: Any) -> Continuation:
    """Lay new images beside a mosaic, by the rules by which it was made.

    Raises
    ------
    TypeError
        They are no collection.
    ValueError
        They lack what the rules need, or there are none.
    """
    if not isinstance(images, xr.Dataset | xr.DataArray):
        images = getattr(images, "dataset", images)
    if not isinstance(images, xr.Dataset | xr.DataArray):
        raise TypeError(
            f"update() got a {type(images).__name__} as new images; it takes a collection, an "
            "xarray.Dataset or DataArray, as quality_mosaic() does. For a list of images write "
            "xarray.concat(images, 'time')."
        )
    kinds = {True: "DataArray with a dimension 'band'", False: "Dataset with one variable a band"}
    one_array = isinstance(images, xr.DataArray)
    if one_array != (stored.array is not None):
        raise ValueError(
            f"update() got new images in a {kinds[one_array]}, and the mosaic in "
            f"{stored.place.name!r} was made of a {kinds[not one_array]}, so its bands are stored "
            "otherwise. Write "
            + (
                "new_images.to_dataset('band')."
                if one_array
                else "new_images.to_dataarray('band')."
            )
        )
    names = [images.indexes.get("band", [])] if one_array else [list(images.data_vars)]
    by_name = {str(name): name for name in names[0]}
    wanted = quality_bands(stored.rules)
    lacking = [name for name in wanted if name not in by_name]
    if lacking:
        raise ValueError(
            f"update() got new images without {', '.join(map(repr, lacking))}, the quality band "
            f"that orders the images of the mosaic in {stored.place.name!r}; they have "
            f"{', '.join(map(repr, by_name)) or 'no band'}. Add it as it was made for the others: "
            f"new_images[{lacking[0]!r}] = ..."
        )
    dim = _dim_of(stored, images, by_name[wanted[0]])
    if not images.sizes[dim]:
        raise ValueError(
            f"update() got a collection without images (length 0 along {dim!r}), so there is "
            "nothing to bring in. Give new images; nothing was changed."
        )
    images = _deferred(images, dim)
    rules = Rules(
        dim,
        ties=stored.rules[PREFIX + "ties"],
        masked=stored.rules[PREFIX + "masked"],
        fill_value=_fill_value(stored, images, dim),
        min_quality=stored.rules.get(PREFIX + "min_quality"),
        upper_bound=stored.rules.get(PREFIX + "upper_bound"),
        provenance=stored.provenance,
    )
    bands: Any = [by_name[name] for name in wanted]
    return continue_with(images, bands if len(bands) > 1 else bands[0], rules, stored.past)


def _dim_of(stored: Stored, images: Any, band: Hashable) -> Hashable:
    """Find out along which dimension the images lie."""
    there = stored.raw[SOURCE_INDEX].dims
    own = images.dims if isinstance(images, xr.DataArray) else images[band].dims
    if stored.past.periods is not None:
        found = [there[0]] if there[0] in own else []
    else:
        found = [d for d in own if d not in there and d != "band"]
    if len(found) != 1:
        raise ValueError(
            f"update() got new images with the dimensions {', '.join(map(repr, own))}, and the "
            f"mosaic in {stored.place.name!r} has {', '.join(map(repr, there))}: "
            f"{len(found)} of them can be that along which images lie, where one is needed. Give "
            "a collection as the mosaic was made of, images.expand_dims('time') for a single one."
        )
    return found[0]


def _deferred(images: Any, dim: Hashable) -> Any:
    """Give images whose bands are arrays of dask: what is made of them is deferred."""
    if isinstance(images, xr.DataArray):
        return images if images.chunks is not None else images.chunk({dim: 1})
    names = [n for n in bands_of(images, dim) if images[n].chunks is None]
    return images.assign({n: images[n].chunk({dim: 1}) for n in names})


def _fill_value(stored: Stored, images: Any, dim: Hashable) -> Any:
    """Find out what pixels without a candidate got, where the images declare no nodata: it is
    declared in the store then."""
    if isinstance(images, xr.DataArray):
        pairs = [(stored.array, images)]
    else:
        pairs = [(name, images[name]) for name in bands_of(images, dim)]
    for name, band in pairs:
        there = stored.raw.variables.get(name)
        packed = np.dtype(band.encoding.get("dtype", band.dtype)).newbyteorder("=")
        declares = declared_nodata(band) is not None or set(NODATA_NAMES) & set(band.encoding)
        # bands of another dtype are refused: what they get does not matter
        if there is None or packed.kind not in "iu" or packed != there.dtype.newbyteorder("="):
            continue
        if not declares and "_FillValue" in there.attrs:
            return int(there.attrs["_FillValue"]) or None  # 0 is what they get if nothing is said
    return None


def lay_out_as_stored(
    stored: Stored, mosaic: Any, options: dict[str, Any]
) -> tuple[Request, Layout]:
    """Lay a mosaic out as the one in the store lies."""
    dataset = declare_nodata(as_dataset(mosaic, "update"))
    group = zarr.open_group(
        stored.place.store, path=stored.place.arrays, mode="r", use_consolidated=False
    )
    encoding: dict[Hashable, dict[str, Any]] = {}
    for name, variable in dataset.variables.items():
        array: Any = group.get(str(name))
        if variable.chunks is not None and isinstance(array, zarr.Array):
            own = {"chunks": array.chunks} | ({"shards": array.shards} if array.shards else {})
            encoding[name] = own if array.ndim == variable.ndim else {}
    request = Request(
        dataset=dataset,
        place=stored.place,
        mode="resume",
        encoding=encoding,
        chunks=None,
        shards=None,
        zarr_format=stored.zarr_format,
        consolidated=_is_consolidated(stored),
        updatable=True,
        pyramid=_pyramid_of(stored, dataset),
        **options,
    )
    # chunks are those of the store, whatever their size
    layout = lay_out(dataset, encoding, None, None, stored.zarr_format, sys.maxsize)
    return request, layout


def _pyramid_of(stored: Stored, dataset: xr.Dataset) -> Pyramid | None:
    """Give the overviews that the mosaic in the store has."""
    told = stored.state["plan"]["format"]
    found = settle_pyramid(dataset, told.get("levels"), None)
    if found is None:
        return None
    by_name = told["overview resampling"]
    return replace(found, methods={n: by_name.get(str(n), m) for n, m in found.methods.items()})


def _is_consolidated(stored: Stored) -> bool:
    if stored.zarr_format == 2:
        return stored.place.read(stored.place.key(".zmetadata")) is not None
    group = zarr.open_group(stored.place.store, path=stored.place.path, mode="r")
    return group.metadata.consolidated_metadata is not None


def plan_update(
    stored: Stored,
    continuation: Continuation,
    outline: Layout,
    options: dict[str, Any],
) -> tuple[Layout, Work]:
    """Prepare the jobs that bring a mosaic up to date.

    Parameters
    ----------
    stored : Stored
        The mosaic in its store.
    continuation : Continuation
        The new images.
    outline : Layout
        What is stored, without its pixels.
    options : dict
        How jobs are to be run, see `Request`.

    Returns
    -------
    (Layout, Work)
        How the mosaic of all images lies in the store, and what is to be done.
    """
    images = continuation.images
    web = Web(images.variables)
    check_sources(stored.place, web, images.variables)
    mosaic, change = continuation.after(stored.decoded(outline.dataset))
    request, layout = lay_out_as_stored(stored, mosaic, options)
    check_units(layout.dataset, layout.units)
    decisive = [VALID_COUNT, SOURCE_INDEX, *_decisive_bands(stored)]
    rest = [n for n, v in layout.encoded.variables.items() if v.chunks is not None]
    order = [CHANGE, VALID_COUNT, *(n for n in rest if n not in decisive), *decisive[1:]]
    encoded = layout.encoded.assign({CHANGE: change.variable})
    units = {**layout.units, CHANGE: layout.units[SOURCE_INDEX]}
    sight = Sight([v.data for v in encoded.variables.values() if v.chunks is not None])
    plan = plan_together(encoded, units, sight, request.block_bytes, order)
    identity = _identify(request, outline, plan, web, continuation)
    writer = partial(
        Updater,
        mosaics=stored.past.mosaics,
        by_period=continuation.starts is not None,
        decisive=frozenset(decisive),
    )
    whole = replace(layout, encoded=encoded)
    return layout, Work(request, whole, plan, sight, identity, web, writer)


def _identify(
    request: Request, outline: Layout, plan: Plan, web: Web, continuation: Continuation
) -> dict[str, Any]:
    """Describe the mosaic of all images, by what is new of it."""
    identity = identify(
        outline.dataset, outline.encoding, request.zarr_format, "new images", web, plan, True
    )
    images = continuation.images
    lazy = [name for name in images.variables if images[name].chunks is not None]
    named = request.inputs
    identity["inputs"] = {str(name): named or web.inputs(name) for name in lazy}
    identity["expression"] = {str(name): named or web.token(name) for name in lazy}
    times = [name for name in images.indexes if name == continuation.dim]
    identity["grid"] |= {f"new {name}": token_of(images[name].variable) for name in times}
    return identity


def _decisive_bands(stored: Stored) -> list[Hashable]:
    """Name the arrays in which the scores are."""
    return quality_bands(stored.rules) if stored.array is None else [stored.array]  # type: ignore[return-value]

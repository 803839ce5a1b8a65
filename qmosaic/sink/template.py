"""A mosaic in its store without its pixels: how that is laid out, and what it says in the end."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import dask.array as da
import zarr
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from qmosaic.collection.declarations import PREFIX
from qmosaic.sink.fencing import put
from qmosaic.sink.multiscale import conventions
from qmosaic.sink.steps import Layout, Request, Work
from qmosaic.sink.storable import blank_texts

SKIPPED = PREFIX + "skipped"
INCOMPLETE = PREFIX + "incomplete"
OWN = (SKIPPED, INCOMPLETE)
"""Attributes that speak of one writing of a mosaic."""

Rehearsed = dict[str, Buffer] | None
"""The store as it is laid out, where that is known before anything is touched."""

REHEARSED = 2**20
"""The most bytes of a variable in memory whose numbers are written to see whether they can be."""


def rehearse(work: Work) -> Rehearsed:
    """Lay the store out in memory, so that what cannot be written is found before anything is
    touched.

    Returns
    -------
    dict or None
        What is to be put into the store, by its keys. None where it has to be laid out there: its
        numbers are too many to be held twice, or it is a group among others.
    """
    dataset = work.layout.dataset
    large = {
        name: variable
        for name, variable in dataset.variables.items()
        if name not in dataset.indexes
        and variable.chunks is None
        and variable.dtype.kind in "biufcmM"
        and variable.nbytes > REHEARSED
    }
    files: dict[str, Buffer] = {}
    write_template(work.layout, work.request, MemoryStore(files), blank=large)
    return None if large or work.place.arrays else files


def put_template(work: Work, store: Any, rehearsed: Rehearsed) -> None:
    """Lay the store out, with what `rehearse` has given where that is all."""
    if rehearsed is None:
        write_template(work.layout, work.request, store)
        return
    for key, content in rehearsed.items():
        put(store, key, content)


def write_template(
    layout: Layout, request: Request, store: Any, blank: Iterable[Hashable] = ()
) -> None:
    """Lay the store out, without the pixels of lazy variables and of those in `blank`."""
    replaced = {}
    for name in (*layout.encoded.variables, *blank):
        own = layout.dataset.variables[name]
        # as one block: nobody looks into it, and a graph of thousands would be for nothing
        data = (
            blank_texts(own.shape)
            if own.dtype.kind == "O"
            else da.empty(own.shape, dtype=own.dtype, chunks=own.shape)
        )
        replaced[name] = (own.dims, data, own.attrs, own.encoding)
    template = layout.dataset.assign(replaced)
    template.attrs[INCOMPLETE] = (
        "this mosaic is being written or was interrupted: blocks are missing. "
        "qmosaic.open_mosaic() says more."
    )
    write: Any = template.to_zarr  # its overloads cannot be told apart with options passed on
    write(
        store,
        mode="a",
        group=request.place.arrays or None,
        compute=False,
        encoding=layout.encoding,
        consolidated=False,
        zarr_format=request.zarr_format,
    )
    if request.pyramid is not None:
        about = {INCOMPLETE: template.attrs[INCOMPLETE]}
        _group_of_levels(request, store).attrs.put(about)


def documents(work: Work) -> dict[str, bytes | None]:
    """Read what the store says of its arrays."""
    place = work.place
    name = "zarr.json" if work.request.zarr_format == 3 else ".zarray"
    folder = f"{place.arrays}/" if place.arrays else ""
    return {
        variable: place.read(f"{folder}{variable}/{name}")
        for variable in map(str, work.layout.dataset.variables)
    }


def group_of(work: Work, store: Any) -> zarr.Group:
    """Open the group that is written."""
    return zarr.open_group(store, path=work.place.arrays, mode="r+", use_consolidated=False)


def _group_of_levels(request: Request, store: Any) -> zarr.Group:
    """Open the group that holds those of the levels of a mosaic."""
    path = request.place.path
    return zarr.open_group(
        store, path=path, mode="a", zarr_format=request.zarr_format, use_consolidated=False
    )


def settle_group(work: Work, store: Any, skipped: list[str]) -> None:
    """Give the group of a finished mosaic its attributes."""
    group = group_of(work, store)
    attributes = {k: v for k, v in group.attrs.asdict().items() if k not in OWN}
    if skipped:
        attributes[SKIPPED] = skipped
    group.attrs.put(attributes)
    request = work.request
    if request.pyramid is not None:
        told = conventions(work.layout.dataset, request.pyramid)
        _group_of_levels(request, store).attrs.put(told)


def arrays_changed(work: Work, names: list[str]) -> RuntimeError:
    """Say that arrays are not those that were laid out."""
    return RuntimeError(
        f"{', '.join(map(repr, names))} in {work.place.name!r} "
        f"{'is' if len(names) == 1 else 'are'} not what was laid out there: somebody has deleted "
        "or replaced the metadata. What was written of it is lost, or cannot be trusted. Write "
        "the mosaic anew with mode='w'."
    )

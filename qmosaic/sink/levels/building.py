"""The levels of a mosaic, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

import xarray as xr

from qmosaic.collection.readers import AS_STORED, ZarrReader
from qmosaic.sink.checking import check
from qmosaic.sink.finishing import settle
from qmosaic.sink.layout import lay_out
from qmosaic.sink.levels.halving import halved
from qmosaic.sink.multiscale import Pyramid
from qmosaic.sink.planning import plan
from qmosaic.sink.progress import Progress
from qmosaic.sink.running import run
from qmosaic.sink.steps import Mode, Request, Tell
from qmosaic.sink.store_group import Place
from qmosaic.sink.store_setup import check_what_is_there, open_journal

CODECS = ("compressors", "compressor", "filters", "serializer", "write_empty_chunks")
"""What of an encoding holds for an overview, too: how chunks are encoded."""


def build_levels(request: Request, pyramid: Pyramid, mode: Mode) -> None:
    """Write the overviews of a mosaic whose blocks are there.

    Parameters
    ----------
    request : Request
        How the mosaic was to be written.
    pyramid : Pyramid
        Which overviews.
    mode : {"resume", "w"}
        Whether those that are complete stay, or all are made anew.

    Raises
    ------
    Exception
        What `qmosaic.to_zarr` raises.
    KeyboardInterrupt
        With what is there.
    """
    for number in range(1, pyramid.count + 1):
        try:
            _build(request, pyramid, number, mode)
        except KeyboardInterrupt as interruption:
            done, *more = interruption.args or ("none of its blocks is there",)
            raise KeyboardInterrupt(
                f"all blocks are there; of overview {number} of {pyramid.count}, {done}", *more
            ) from None


def _build(request: Request, pyramid: Pyramid, number: int, mode: Mode) -> None:
    place = request.place
    finer = _open(place.level(str(number - 1)))
    # a store lists its members in any order
    finer = finer[[name for name in request.dataset.data_vars if name in finer]]
    sizes, shards = _stored_in(finer)
    overview = halved(finer, pyramid, sizes)
    encoding = {
        name: {"chunks": sizes[name]}
        | ({"shards": shards[name]} if name in shards else {})
        | {k: v for k, v in request.encoding.get(name, {}).items() if k in CODECS}
        for name in sizes
    }
    asked = check(
        overview,
        place.store,
        group=place.level(str(number)).path,
        mode=mode,
        retries=request.retries,
        progress=_of_level(request.progress, number),
        inputs=f"level {number - 1}",
        encoding=encoding,
        block_bytes=request.block_bytes,
        zarr_format=request.zarr_format,
        consolidated=False,
    )
    layout = lay_out(
        asked.dataset, asked.encoding, None, None, asked.zarr_format, asked.block_bytes
    )
    work = plan(asked, layout)
    rehearsed = check_what_is_there(work)
    with open_journal(work, rehearsed) as opened:
        settle(opened, run(opened))


def _open(place: Place) -> xr.Dataset:
    where: Any = place.store
    return xr.open_dataset(where, engine=ZarrReader, group=place.path, **AS_STORED)


def _stored_in(level: xr.Dataset) -> tuple[dict[Hashable, Any], dict[Hashable, Any]]:
    """Give the chunks and shards in which the lazy variables of a map are stored."""
    lazy = {name: v for name, v in level.variables.items() if v.chunks is not None}
    chunks = {name: tuple(v.encoding["chunks"]) for name, v in lazy.items()}
    shards = {n: tuple(v.encoding["shards"]) for n, v in lazy.items() if v.encoding.get("shards")}
    return chunks, shards


def _of_level(tell: Tell, number: int) -> Tell:
    """Say of the progress which overview it is of."""
    if not callable(tell):
        return tell
    function: Callable[[Progress], Any] = tell
    return lambda progress: function(replace(progress, level=number))

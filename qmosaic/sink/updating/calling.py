"""`update`: the steps, one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import xarray as xr

from qmosaic.sink.checking import check_block_bytes, check_run
from qmosaic.sink.levels import build_levels
from qmosaic.sink.overwriting import check_place
from qmosaic.sink.progress import Progress, logger
from qmosaic.sink.running import run
from qmosaic.sink.scheduler import check_workers
from qmosaic.sink.steps import OnError
from qmosaic.sink.store_group import Place, open_place
from qmosaic.sink.store_setup import NOTHING_YET, check_committed, hold
from qmosaic.sink.tasks import check_repeatable, check_sending, check_skipping
from qmosaic.sink.updating.beginning import Update, begin, begin_in_session, check_same
from qmosaic.sink.updating.comparing import check_fits, check_times
from qmosaic.sink.updating.past import read_stored
from qmosaic.sink.updating.preparing import lay_out_as_stored, plan_update, read_rules
from qmosaic.sink.updating.settling import settle


def update(
    store: Any,
    new_images: xr.Dataset | xr.DataArray,
    *,
    retries: int = 3,
    on_error: OnError = "raise",
    progress: bool | Callable[[Progress], Any] | None = None,
    inputs: str | None = None,
    same_times: bool = False,
    block_bytes: int | None = None,
    group: str | None = None,
    storage_options: dict[str, Any] | None = None,
) -> None:
    """Bring further images into a mosaic that `to_zarr` has written with ``updatable=True``.

    The result is the mosaic of all images together, byte for byte, and none of those that the
    mosaic was made of is looked at: of the new ones the quality is read, and of their other bands
    what wins. Only blocks that change are rewritten.

    Parameters
    ----------
    store : str, Path or zarr store
        Where the mosaic is: a path, a URL, a store object of zarr or Icechunk.
    new_images : xarray.Dataset or xarray.DataArray
        A collection of the images that the mosaic does not have yet, with the same bands, made in
        the same way; in any order along time.
    retries : int, default: 3
        How often a chunk that cannot be read is tried again, as for `to_zarr`.
    on_error : {"raise", "skip"}, default: "raise"
        What to do about a chunk of the new images that still cannot be read, as for `to_zarr`.
        Chunks of the mosaic itself are never left out.
    progress : bool or callable, optional
        As for `to_zarr`.
    inputs : str, optional
        A name for the new images, by which an update that was interrupted knows them again, as
        for `to_zarr`.
    same_times : bool, default: False
        Whether the new images are others, though the mosaic has images of the same times.
    block_bytes : int, optional
        The most bytes of a band that a task makes at once, as for `to_zarr`.
    group : str, optional
        The group of the store.
    storage_options : dict, optional
        For a URL, what `fsspec` needs.

    Raises
    ------
    FileNotFoundError
        There is no mosaic.
    IncompleteMosaicError
        The mosaic was not complete before any update; a ``RuntimeError``.
    ValueError
        The mosaic cannot be updated; the images do not fit it (another quality band, a quality of
        another expression, other bands, nodata, packing or grid), there are none, or it has them
        already; they are of periods that do not come after its own; or another update was begun
        and is not complete. Nothing was changed.
    TypeError
        `new_images` is no collection, or something that it is made from cannot be sent to the
        workers of a cluster.
    StoreInUseError, ChunkReadError, UnexpectedChunkError, UnfitWorkerError, DamagedJournalError, \
OSError, RuntimeError, KeyboardInterrupt
        As for `to_zarr`.

    Notes
    -----
    *Ties* go by the order "those in the store first, then the new ones": with ``ties="first"`` what
    is there stays, with ``ties="last"`` a new image of the same quality wins.

    *Provenance.* ``source_index`` counts on: the first new image has the number of images that the
    mosaic was made of.

    *Periods.* New images go into their periods, further periods are added behind the last one, and
    periods without new images are not touched. An image of a period before the first is refused, as
    are mosaics with ``rolling=``, explicit edges or seasons of xarray. Where a period would be
    empty, all integer bands need a nodata.

    *Interruptions.* After any error, a killed process or Ctrl-C the same call goes on; the result
    is that of a single run. Until then `open_mosaic` refuses the store, as some blocks have the
    new images and others do not, and so does any other update.

    *Overviews* of a mosaic that was written with ``levels=`` are made anew from the whole of it.

    *Transactions.* With the ``session.store`` of an Icechunk session nobody sees anything before
    you commit it: one commit for an update.

    *Which images are there.* The store knows the times of all images that updates brought in, and
    of its first and last one. New images of such times are refused (see `same_times`). Whether
    others are among those that the mosaic was made of cannot be known.

    *Scores* are compared as they are stored. A float quality that is packed into integers when it
    is written has to have come from such integers.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm, zarr
    >>> days = np.array(["2020-01-05", "2020-01-20", "2020-03-01"], "datetime64[ns]")
    >>> values = np.array([[[1, 2]], [[3, 1]], [[2, 5]]], "uint16")
    >>> collection = xr.Dataset({"quality": (("time", "y", "x"), values)}, {"time": days})
    >>> mosaic = qm.quality_mosaic(collection.isel(time=[0, 1]), "quality", provenance=True)
    >>> store = zarr.storage.MemoryStore()
    >>> qm.to_zarr(mosaic, store, updatable=True)
    >>> qm.update(store, collection.isel(time=[2]))
    >>> updated = qm.open_mosaic(store)
    >>> updated["quality"].values, updated["source_index"].values
    (array([[3, 5]], dtype=uint16), array([[1, 2]], dtype=int16))
    """
    check_run(retries, on_error, progress)
    options = {
        "retries": retries,
        "on_error": on_error,
        "progress": progress,
        "inputs": inputs,
        "block_bytes": check_block_bytes(block_bytes),
    }
    place = open_place(store, group, storage_options)
    check_place(place)
    with _interruptible_before():
        prepared = _prepare(place, new_images, options, same_times)
    work = prepared.work
    fork = None if place.session is None else place.session.fork()
    in_session = partial(begin_in_session, prepared, fork)
    with _interruptible(work.place), hold(work, partial(begin, prepared), in_session) as opened:
        skipped = run(opened)
        if work.request.pyramid is not None:
            build_levels(work.request, work.request.pyramid, "w")
        settle(prepared, opened, skipped)


def _prepare(place: Place, new_images: Any, options: dict[str, Any], same_times: bool) -> Update:
    """Check all that can be, before anything is computed or written."""
    if place.session is not None:
        check_committed(place)
    stored = read_stored(place)
    continuation = read_rules(stored, new_images)
    times = check_times(stored, continuation, same_times)
    request, outline = lay_out_as_stored(stored, continuation.outline(), options)
    check_fits(request, outline, stored)
    layout, work = plan_update(stored, continuation, outline, options)
    found = Update(stored, continuation, layout, work, times)
    check_same(found)
    check_skipping(work)
    check_repeatable(work)
    check_sending(work)
    check_workers(logger.warning)
    return found


@contextlib.contextmanager
def _interruptible_before() -> Iterator[None]:
    """Say what an interruption leaves that comes before anything is touched."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            "update() was interrupted while it prepared the mosaic: nothing was computed, and the "
            "store is as it was. Call it again with the same arguments."
        ) from None


@contextlib.contextmanager
def _interruptible(place: Place) -> Iterator[None]:
    """Say what an interruption leaves, and how to go on."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        said = [str(sentence) for sentence in interruption.args]
        if place.session is not None:
            how = "Nothing of it is in the session: call update() again in a new one."
        elif NOTHING_YET in said:
            how = f"{NOTHING_YET}. Call update() again with the same images."
        else:
            how = "What is written stays: update() with the same images goes on with the rest."
        more = "".join(f"; {s}" for s in said if s != NOTHING_YET)
        raise KeyboardInterrupt(
            f"the update of {place.name!r} was interrupted{more}. {how}"
        ) from None

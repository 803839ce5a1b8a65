"""A mosaic is computed while it is written to Zarr, in jobs that can be interrupted.

The store is laid out once, as a template without pixels; then every job computes a box of the
mosaic and writes it as whole chunks of the store, and marks it in the journal
(`qmosaic.sink.journal`). What one step hands to the next one is in `qmosaic.sink.steps`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Literal

import xarray as xr

from qmosaic.sink.beginning import check_what_is_there, open_journal
from qmosaic.sink.checking import check
from qmosaic.sink.layout import lay_out
from qmosaic.sink.planning import plan
from qmosaic.sink.progress import Progress
from qmosaic.sink.running import run
from qmosaic.sink.settling import settle
from qmosaic.sink.steps import Mode, Sizes, Work


def to_zarr(
    mosaic: xr.Dataset | xr.DataArray,
    store: Any,
    *,
    mode: Mode = "w-",
    chunks: Sizes | None = None,
    shards: Sizes | None = None,
    retries: int = 3,
    on_error: Literal["raise", "skip"] = "raise",
    progress: bool | Callable[[Progress], Any] | None = None,
    inputs: str | None = None,
    group: str | None = None,
    encoding: Mapping[Hashable, Mapping[str, Any]] | None = None,
    zarr_format: Literal[2, 3] | None = None,
    consolidated: bool | None = None,
    storage_options: dict[str, Any] | None = None,
    **others: Any,
) -> None:
    """Compute a mosaic and write it to a Zarr store, block by block, on the active scheduler.

    Parameters
    ----------
    mosaic : xarray.Dataset or xarray.DataArray
        The mosaic. Where the blocks of a dimension are of different sizes, which Zarr cannot
        store, the largest is taken for all.
    store : str, Path or zarr store
        Where to write: a path, a URL, a store object. The store of an Icechunk session takes part
        in its transaction: nothing is visible before you commit the session.
    mode : {"w-", "w", "resume"}, default: "w-"
        Refuse a store that exists, or replace it, or go on with what an interrupted run of the
        same mosaic has left there (and start where there is nothing). What is replaced is the
        group, with all that lies in it; that is refused where there are other files than Zarr's,
        and where the mosaic is made from them or it cannot be told from what it is made.
    chunks, shards : mapping of hashable to int, optional
        For some dimensions, the size in pixels of the chunks of the store and of its shards; the
        blocks of the mosaic are the chunks where nothing is said. A task always writes whole
        shards, or whole chunks where there are none.
    retries : int, default: 3
        How often a chunk of the collection that fails is read again, after 0.1, 0.2, 0.4 ... s.
    on_error : {"raise", "skip"}, default: "raise"
        What to do about one that fails for good: stop with an error that names it, or let the
        image count as masked in that block, and list it in the attribute ``qmosaic_skipped``.
    progress : bool or callable, optional
        True for a bar, False for nothing, or a function that gets a `qmosaic.Progress` after every
        block. By default a bar on a terminal, and elsewhere lines in the log ``qmosaic``
        (`logging`, level INFO), one every 30 s.
    inputs : str, optional
        A name for the inputs, for ``mode="resume"``. By default they are told apart by where they
        lie and what they say of themselves (never by keys or signatures); where a function of
        yours reads them, by that function and its arguments.
    group : str, optional
        The group of the store.
    encoding : mapping, optional
        For some variables, how they are stored, as ``xarray.Dataset.to_zarr`` takes it: dtype,
        scale_factor, compressors, chunks, shards ...
    zarr_format : {3, 2}, optional
        The format of the store; by default 3, or that of the store that is gone on with.
    consolidated : bool, optional
        Whether to consolidate the metadata in the end; by default in format 2 only. Format 3 has
        none in its specification: what zarr-python writes there (and warns of) other libraries pass
        over, and whatever changes the store later has to renew it. `xarray.open_zarr` looks for it
        in any format and warns where it is missing: write ``xarray.open_zarr(store,
        consolidated=False)``, open the mosaic with `open_mosaic`, or ask for it here.
    storage_options : dict, optional
        For a URL, what `fsspec` needs.
    **others
        Refused, with what to use instead.

    Raises
    ------
    FileExistsError
        The store exists and ``mode="w-"``, or what is there is not a Zarr store.
    ValueError
        An argument that cannot be right; a band that cannot be stored under its name; the group
        is or holds what the mosaic is made from, or may be; or, with ``mode="resume"``, it holds
        another mosaic.
    StoreInUseError
        Another job is writing there; or has taken the store over, as this one had shown no sign
        of life for a minute. In a folder, this job then writes and deletes nothing more. In S3,
        Google Cloud and Azure through obstore, it replaces nothing that the other job has written.
        In other stores, it may write one chunk more.
    RuntimeError
        Blocks or the metadata of a band are not there in the end, or the workers write elsewhere.
    ChunkReadError
        A chunk of the collection cannot be read; the error names image, band, chunk and store.
    UnexpectedChunkError
        A chunk is of another shape or dtype than its array promises: a ``ValueError`` that names
        image, band and chunk. It is neither read again nor left out.
    OSError
        The store cannot be written, for instance because the disk is full.
    UnfitWorkerError
        Workers of a cluster lack qmosaic, or have another version of it: a ``RuntimeError`` that
        names them, before anything is written.
    DamagedJournalError
        What the store knows of its own making cannot be read: a ``ValueError`` that says what is
        wrong and what to do.
    KeyboardInterrupt
        After Ctrl-C, with how to go on. Reads that hang are not waited for.

    Notes
    -----
    After any of these, and after an interruption, ``mode="resume"`` goes on: blocks that are
    complete are not computed again, and the result is byte for byte that of a single run.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm, zarr
    >>> mosaic = xr.Dataset({"red": (("y", "x"), np.ones((4, 4), "uint16"))})
    >>> store = zarr.storage.MemoryStore()
    >>> qm.to_zarr(mosaic, store)
    >>> qm.open_mosaic(store)["red"].dtype
    dtype('uint16')
    """
    with _interruptible_before():
        request = check(
            mosaic,
            store,
            mode=mode,
            retries=retries,
            on_error=on_error,
            progress=progress,
            inputs=inputs,
            group=group,
            encoding=encoding,
            chunks=chunks,
            shards=shards,
            zarr_format=zarr_format,
            consolidated=consolidated,
            storage_options=storage_options,
            others=others,
        )
        layout = lay_out(
            request.dataset, request.encoding, request.chunks, request.shards, request.zarr_format
        )
        work = plan(request, layout)
        check_what_is_there(work)
    with _interruptible(work), open_journal(work) as opened:
        skipped = run(opened)
        settle(opened, skipped)


@contextlib.contextmanager
def _interruptible_before() -> Iterator[None]:
    """Say what an interruption leaves that comes before anything is touched."""
    try:
        yield
    except KeyboardInterrupt:
        # raised anew, here and below: nobody wants to read where in the library it came
        raise KeyboardInterrupt(
            "to_zarr() was interrupted while it prepared the mosaic: nothing was computed, and "
            "the store is as it was. Call it again with the same arguments; "
            "qmosaic.explain(mosaic) says what the mosaic takes."
        ) from None


@contextlib.contextmanager
def _interruptible(work: Work) -> Iterator[None]:
    """Say what an interruption leaves, and how to go on."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        raise KeyboardInterrupt(_how_to_go_on(work, interruption)) from None


def _how_to_go_on(work: Work, interruption: KeyboardInterrupt) -> str:
    """Say what is left of an interrupted writing."""
    place = work.place
    done = f"; {interruption.args[0]}" if interruption.args else ""
    more = "".join(f" {sentence}" for sentence in interruption.args[1:])
    if place.session is not None:
        return (
            f"writing {place.name!r} was interrupted{done}, and none of them is in the session. "
            f"Write again, in a new session.{more}"
        )
    return (
        f"writing {place.name!r} was interrupted{done}. What is written stays: to_zarr(..., "
        f"mode='resume') goes on with the rest.{more}"
    )

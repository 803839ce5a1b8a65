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

from qmosaic.sink.checking import check
from qmosaic.sink.finishing import settle
from qmosaic.sink.layout import lay_out
from qmosaic.sink.levels import build_levels
from qmosaic.sink.planning import plan
from qmosaic.sink.progress import Progress
from qmosaic.sink.running import run
from qmosaic.sink.steps import Mode, Sizes, Work
from qmosaic.sink.store_setup import NOTHING_YET, check_what_is_there, open_journal


def to_zarr(
    mosaic: xr.Dataset | xr.DataArray,
    store: Any,
    *,
    mode: Mode = "w-",
    chunks: Sizes | None = None,
    shards: Sizes | None = None,
    block_bytes: int | None = None,
    retries: int = 3,
    on_error: Literal["raise", "skip"] = "raise",
    progress: bool | Callable[[Progress], Any] | None = None,
    inputs: str | None = None,
    group: str | None = None,
    encoding: Mapping[Hashable, Mapping[str, Any]] | None = None,
    zarr_format: Literal[2, 3] | None = None,
    consolidated: bool | None = None,
    storage_options: dict[str, Any] | None = None,
    updatable: bool = False,
    levels: Literal["auto"] | int | None = None,
    overview_resampling: str | Mapping[Any, str] | None = None,
    **others: Any,
) -> None:
    """Compute a mosaic and write it to a Zarr store, block by block, on the active scheduler.

    Made for jobs of hours: memory stays small, and a job that was interrupted can be continued.

    Parameters
    ----------
    mosaic : xarray.Dataset or xarray.DataArray
        The mosaic. Its blocks become the chunks of the store (see `block_bytes`); where the blocks
        of a dimension differ in size, which Zarr cannot store, the largest size is taken. Any other
        Dataset or DataArray is written as it is, too: a collection, for instance, with all its
        images, and not as a mosaic of them.
    store : str, Path or zarr store
        Where to write: a path, a URL, a store object of zarr or Icechunk.
    mode : {"w-", "w", "resume"}, default: "w-"
        What to do if the store exists. "w-" is an error. "w" replaces the group with all that lies
        in it; that is refused where there are files other than Zarr's, where the mosaic is made
        from what would be deleted, and where it is unknown what the mosaic is made from.
        "resume" continues what an interrupted run of the same mosaic has left there, or starts
        where there is nothing.
    chunks, shards : mapping of hashable to int, optional
        For some dimensions, the size in pixels of the chunks and of the shards of the store. A task
        always writes whole shards, or whole chunks where there are none.
    block_bytes : int, optional
        The most bytes of a band that a task makes at once, where it can make less; 4 MiB by
        default. Blocks of the mosaic that are larger (of a collection opened with
        ``chunks="auto"``, say) are stored in chunks that are not, cut where the chunks of the
        sources end.
    retries : int, default: 3
        How often a chunk of the collection that cannot be read is tried again, after 0.1, 0.2,
        0.4 ... s.
    on_error : {"raise", "skip"}, default: "raise"
        What to do about a chunk that still cannot be read: stop with an error that names it, or
        count the image as masked in that block, and list the chunk in the attribute
        ``qmosaic_skipped`` of the mosaic.
    progress : bool or callable, optional
        True for a bar, False for nothing, or a function that is called with a `qmosaic.Progress`
        after every block. By default a bar on a terminal; elsewhere lines in the log ``qmosaic``
        (`logging`, level INFO), one every 30 s.
    inputs : str, optional
        A name for the inputs and the functions that make the mosaic, for ``mode="resume"``. By
        default inputs are compared by where they lie and by their metadata (never by keys or
        signatures), and functions of yours by their code and arguments. Give a name where the
        addresses of inputs change from run to run, as signed URLs do.
    group : str, optional
        The group of the store.
    encoding : mapping, optional
        For some variables, how they are stored, as ``xarray.Dataset.to_zarr`` takes it: dtype,
        scale_factor, compressors, chunks, shards ...
    zarr_format : {3, 2}, optional
        The format of the store; by default 3, or that of the store that is continued.
    consolidated : bool, optional
        Whether to consolidate the metadata in the end; by default in format 2 only, as the
        specification of format 3 has no consolidated metadata. `open_mosaic` does not need them;
        `xarray.open_zarr` warns where they are missing: pass it ``consolidated=False``.
    storage_options : dict, optional
        For a URL, what `fsspec` needs.
    updatable : bool, default: False
        Whether `update` can bring further images in later. The mosaic has to be one of
        `quality_mosaic` with ``provenance=True``, its quality band has to be there still, and each
        pixel has to be of one image (not ``masked="fill"``, ``within=``, `best_images`).
    levels : "auto" or int, optional
        How many overviews are written, each with pixels twice as large as those of the one before:
        pictures and maps then read no more than they show. "auto" for as many as it takes until
        the longer side of the map has 512 pixels at most.
    overview_resampling : str or mapping of band to str, optional
        How pixels become those of an overview: "average" of the valid ones, "nearest" (one of
        four), "mode" (the value that most have); ``"*"`` stands for all bands that are not named.
        By default "average" for measurements and "nearest" for codes (bool, bands with CF's
        attributes of flags, bands called like ``SCL`` or ``QA_PIXEL``), times and provenance.
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
    TypeError
        Something that the mosaic is made from, an object or a function of yours, cannot be sent to
        the workers of a cluster; the error names it, before anything is written.
    StoreInUseError
        Another job is writing there; or another job has taken the store over, as this one had shown
        no sign of life for a minute (see Notes).
    RuntimeError
        Blocks or the metadata of a band are missing in the end, or the workers write elsewhere.
    ChunkReadError
        A chunk of the collection cannot be read; the error names image, band, chunk and store.
    UnexpectedChunkError
        A chunk has another shape or dtype than its dask array promises: a ``ValueError`` that names
        image, band and chunk. Such a chunk is neither read again nor left out.
    OSError
        The store cannot be written, for instance because the disk is full.
    UnfitWorkerError
        Workers of a cluster lack qmosaic, or have another version of it: a ``RuntimeError`` that
        names them, before anything is written.
    DamagedJournalError
        The group ``_qmosaic`` in the store cannot be read: a ``ValueError`` that says what is wrong
        and what to do.
    KeyboardInterrupt
        After Ctrl-C, with how to continue. Reads that hang are not waited for.

    Notes
    -----
    *Tasks.* A task makes one block: it finds the best images there, takes all bands, and writes
    whole chunks. While a band is encoded and written, the next one is taken; a block counts as
    there when all its chunks are. At most 256 blocks (or 8 for each thread) are known to the
    scheduler at a time, so graphs stay small. `explain` predicts the memory of a worker. Where the
    chunks of the store and those of the sources have other borders (a cut, a rechunk, `chunks`),
    several chunks become one task, of up to four times `block_bytes` a band, so that a chunk of a
    source is read 1.6 times at most on average, if that is enough. What all blocks use (a mean over
    the map) is made before them, once; `retries` reaches it, `on_error` does not. Where blocks
    share what is costly, or inputs lie in memory (`explain` says so, and why), chunks are read by
    ordinary tasks of dask, which `retries` and `on_error` do not reach, and whose bytes are not
    counted.

    *Continuing.* After any error, a killed process, a lost machine, a full disk or Ctrl-C,
    ``mode="resume"`` goes on, in the same process too. Blocks that are complete are not computed
    again, and the result is byte for byte that of a single run, its bands in the same order.
    Another mosaic (other inputs, arguments, grid, blocks or computation) is refused, with what
    differs.
    What is *not* noticed: chunks of the inputs that were rewritten in place without new metadata,
    a function in a module of yours that was edited meanwhile, and chunks of the mosaic that were
    deleted after they were written. Do not continue after such a change. After a power cut on the
    machine that holds the disk, blocks that count as complete may be lost, if the file system had
    not written them out yet.

    *State.* It lies in the group ``_qmosaic`` of the store, which other readers do not look into;
    its attribute ``state`` is "writing" or "complete".

    *One job at a time.* A second job on the same store is refused, with the host and the process of
    the first. The lock of a job that has ended ends too: at once on the same machine, else 60 s
    after its last sign of life, by the clocks of both machines. Where these differ by a minute or
    more, do not start a second job. A job that was stopped for longer (a laptop that sleeps) and
    whose store another one has taken over ends with `StoreInUseError`. What it may still do then
    depends on the store. In a folder: nothing. In S3, Google Cloud and Azure through obstore it
    replaces nothing that the other job has written; only if it was stopped at the very moment of
    deleting an old mosaic, it may delete objects when it wakes up. In other stores, such as those
    of fsspec (``s3://`` with s3fs, ``file://``), it may write one chunk more.

    *Replacing.* With ``mode="w"``, what the mosaic is made from is looked up in its graph, however
    it was opened and changed. A path that a function of yours takes from the environment (a
    variable, a configuration file) cannot be seen there.

    *Chunks that cannot be read* are tried again (`retries`), then named in the error or skipped
    (`on_error`). Chunks of sources and of the mosaic are checked against the shape and dtype that
    their dask arrays promise; what one function hands to the next inside dask is not.

    *Ctrl-C* ends the job within seconds, even where a source hangs. A source that hangs inside
    the threads of a library (a Zarr store on a dead mount) can keep Python itself from ending. On a
    cluster, tasks that hang keep their threads until ``client.restart()``.

    *Workers* of a cluster are asked for their versions before anything is written. One without
    qmosaic, or with another version, is an error; other versions of dask, distributed, zarr, numpy,
    xarray or Python are warnings. The log ``qmosaic`` also tells when there is no worker, when a
    worker was lost, and when no block was finished for ten minutes. All workers have to see the
    store: a folder that they share, or an object store. Dask's nanny sets
    ``MALLOC_TRIM_THRESHOLD_``, with which the C library gives memory back after every chunk, and
    jobs take longer. To leave it out, write this before the cluster is made::

        import dask
        dask.config.set({"distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1}})

    *Transactions.* With the ``session.store`` of an Icechunk session as `store`, all workers write
    into the session, and nothing is visible before you commit it. An interrupted job leaves nothing
    there, so there is no ``mode="resume"``. Icechunk's storage in memory cannot be shared with
    workers; use a folder or an object store.

    *Object stores.* `zarr.storage.ObjectStore` of obstore takes S3, Google Cloud and Azure, and
    locks a store in one step; with ``pip install ".[s3]"``. A URL such as ``s3://...`` goes
    through fsspec, which needs s3fs and cannot lock in one step. In object stores, chunks that are
    all nodata are stored too.

    *Overviews.* With `levels` the group of the mosaic holds a group for each level: "0", the full
    resolution, then "1", "2" ... Each is read by itself, too: ``xarray.open_zarr(store,
    group="1", consolidated=False)``. The attributes of the group say so by the conventions
    `multiscales <https://github.com/zarr-conventions/multiscales>`_, `spatial
    <https://github.com/zarr-conventions/spatial>`_ and `proj
    <https://github.com/zarr-conventions/proj>`_ of Zarr, on which GeoZarr builds. They are made
    from what is written, which takes reading it once; the mosaic is complete when they are.

    *What is stored.* The dtypes of the mosaic, with nodata declared in ``_FillValue``. A missing
    text is stored as an empty one. Months are appended to a store of months by `update`.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm, zarr
    >>> mosaic = xr.Dataset({"red": (("y", "x"), np.ones((4, 4), "uint16"))})
    >>> store = zarr.storage.MemoryStore()
    >>> qm.to_zarr(mosaic, store)
    >>> qm.open_mosaic(store)["red"].dtype
    dtype('uint16')

    Continue after an interruption; here everything is there already:

    >>> qm.to_zarr(mosaic, store, mode="resume")

    Larger chunks in the store, in shards:

    >>> sizes = {"chunks": {"y": 2, "x": 2}, "shards": {"y": 4, "x": 4}}
    >>> qm.to_zarr(mosaic.chunk(y=2), zarr.storage.MemoryStore(), progress=False, **sizes)

    With two overviews:

    >>> store = zarr.storage.MemoryStore()
    >>> qm.to_zarr(mosaic.chunk(y=2), store, levels=2)
    >>> [qm.open_mosaic(store, level=level)["red"].shape for level in (0, 1, 2)]
    [(4, 4), (2, 2), (1, 1)]
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
            block_bytes=block_bytes,
            zarr_format=zarr_format,
            consolidated=consolidated,
            storage_options=storage_options,
            updatable=updatable,
            levels=levels,
            overview_resampling=overview_resampling,
            others=others,
        )
        layout = lay_out(
            request.dataset,
            request.encoding,
            request.chunks,
            request.shards,
            request.zarr_format,
            request.block_bytes,
        )
        work = plan(request, layout)
        rehearsed = check_what_is_there(work)
    with _interruptible(work), open_journal(work, rehearsed) as opened:
        skipped = run(opened)
        if request.pyramid is not None and opened.todo is not None:
            build_levels(request, request.pyramid, "resume")
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
    if NOTHING_YET in interruption.args:
        session = " in a new session" if place.session is not None else ""
        mode = "resume" if work.request.mode == "w-" and not session else work.request.mode
        return (
            f"writing {place.name!r} was interrupted before the first block: {NOTHING_YET}. Call "
            f"to_zarr(..., mode={mode!r}) again{session}."
        )
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

"""The sink: a mosaic is computed while it is written to Zarr, in jobs that can be interrupted.

The store is laid out once, as a template without pixels; then every job computes a box of the
mosaic and writes it as whole chunks of the store, and marks it in the journal
(`qmosaic.sink.journal`).
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import re
import uuid
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import dask.array as da
import xarray as xr
import zarr
from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import MemoryStore

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.model import check_choice
from qmosaic.collection.moments import in_utc
from qmosaic.collection.transforms import true_to_grid
from qmosaic.engine.dressing import PREFIX
from qmosaic.engine.graph import Jobs, Web, make_jobs, survey
from qmosaic.sink.fencing import Fence, StoreInUseError
from qmosaic.sink.identity import check_format, differences, identify
from qmosaic.sink.journal import GROUP, DamagedJournalError, Journal
from qmosaic.sink.layout import lay_out
from qmosaic.sink.locking import Lock
from qmosaic.sink.progress import Meter, Progress, display_for, logger
from qmosaic.sink.running import check_workers, run_jobs
from qmosaic.sink.storable import blank_texts
from qmosaic.sink.target import (
    Place,
    check_clearable,
    check_place,
    check_sources,
    check_told,
    open_place,
)
from qmosaic.sink.writing import (
    Group,
    Outcome,
    Plan,
    Target,
    Transaction,
    Writer,
    arrays_of,
    explaining_full_disks,
    stopped,
)

Mode = Literal["w-", "w", "resume"]
Sizes = Mapping[Hashable, int]

SKIPPED = PREFIX + "skipped"
INCOMPLETE = PREFIX + "incomplete"
OWN = (SKIPPED, INCOMPLETE)
"""Attributes that speak of one writing of a mosaic."""


REHEARSED = 2**20
"""The most bytes of a variable in memory whose numbers are written to see whether they can be."""

NAME_OF_DASK = re.compile(r"-[0-9a-f]{32}$")
"""What dask calls an array ends like this, and xarray takes that for a name where none is given."""

BANDS_SHOWN = 4
"""The most bands that the name of a task tells."""


class IncompleteMosaicError(RuntimeError):
    """A mosaic has not been written to its end."""


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
    check_choice("mode", mode, ("w-", "w", "resume"))
    check_choice("on_error", on_error, ("raise", "skip"))
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise ValueError(f"retries={retries!r} is not a number of attempts: give 0, 1, 2 ...")
    if progress is not None and not isinstance(progress, bool) and not callable(progress):
        raise ValueError(f"progress={progress!r} is neither True, False nor a function.")
    _refuse_options(others)
    place = open_place(store, group, storage_options)
    dataset = as_dataset(mosaic)
    check_place(place)
    layout = {"encoding": encoding or {}, "chunks": chunks, "shards": shards}
    if zarr_format is None:
        zarr_format = (_format_there(place) if mode == "resume" else None) or 3
    writing = _prepare(dataset, place, layout, zarr_format, consolidated, inputs)
    rules = {"retries": retries, "on_error": on_error, "progress": progress}
    try:
        if place.session is not None:
            _write_in_transaction(writing, mode, rules)
        else:
            _write(writing, mode, rules)
    except KeyboardInterrupt as interruption:
        # raised anew: nobody wants to read where in the engine it came
        raise KeyboardInterrupt(_how_to_go_on(place, interruption)) from None


def _write(writing: _Writing, mode: Mode, rules: dict[str, Any]) -> None:
    """Write what is missing, as the only one who writes."""
    place = writing.place
    if mode == "w-":
        _refuse_existing(place)
    state = _refuse_others(writing) if mode == "resume" else None
    if state is None:
        check_clearable(place)
        writing.rehearse()
    if mode == "w":
        check_told(place, writing.web, writing.dataset.variables)
    if rules["on_error"] == "skip":  # refused here, before anything is touched
        _make_jobs(writing, Transaction(b"", ""), range(writing.plan.jobs), rules, "check")
    if state is None or state["state"] != "complete":
        check_workers(logger.warning)
    with explaining_full_disks(place.name), writing.journal.lock() as lock:
        with _explaining_takeovers(lock.fence):
            _write_locked(replace(writing, fence=lock.fence), lock, mode, rules)


def _write_locked(writing: _Writing, lock: Lock, mode: Mode, rules: dict[str, Any]) -> None:
    """Write what is missing, while the store is this job's."""
    todo = _open_for_writing(writing, mode)
    if todo is None:
        _say_that_it_is_complete(writing, rules["progress"])
    else:
        laid_out = writing.documents()
        target = _target_of(writing, lock.fence)
        try:
            _run(writing, target, todo, rules, lambda outcome: lock.check())
        except StoreInUseError as error:
            if lock.fence.holds():  # so what a worker sees there is another store
                raise _not_shared(writing.place) from error
            raise
        _complete(writing, laid_out)
    writing.consolidate()


@contextlib.contextmanager
def _explaining_takeovers(fence: Fence) -> Iterator[None]:
    """Say what is behind an error that comes as another job has changed the store meanwhile."""
    try:
        yield
    except StoreInUseError:
        raise
    except Exception as error:
        held = True
        with contextlib.suppress(Exception):  # a store that does not answer tells nothing
            held = fence.holds()
        if held:
            raise
        raise fence.lost() from error


def _how_to_go_on(place: Place, interruption: KeyboardInterrupt) -> str:
    """Say what is left of an interrupted writing."""
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


def _say_that_it_is_complete(
    writing: _Writing, progress: bool | Callable[[Progress], Any] | None
) -> None:
    blocks = writing.plan.jobs
    meter = Meter(display_for(progress, blocks, blocks), blocks, blocks)
    told = f"the mosaic in {writing.place.name!r} is complete already: nothing is left to do"
    meter.say(told, logging.INFO)
    meter.show()
    meter.close(finished=False)


@dataclass
class _Writing:
    """A mosaic ready to be written.

    Attributes
    ----------
    dataset : xarray.Dataset
        As it is given to xarray, in blocks that fit the chunks of the store.
    encoded : xarray.Dataset
        Its lazy variables in the values that are stored.
    encoding : dict
        How each variable is stored.
    plan : Plan
        The jobs.
    place : Place
        Where to.
    identity : dict
        What makes it the mosaic that it is.
    zarr_format : int
        2 or 3.
    consolidated : bool
        Whether metadata are consolidated in the end.
    web : Web
        What stands behind its variables.
    fence : Fence, optional
        The right to write there, once it is this job's.
    """

    dataset: xr.Dataset
    encoded: xr.Dataset
    encoding: dict[Hashable, dict[str, Any]]
    plan: Plan
    place: Place
    identity: dict[str, Any]
    zarr_format: Literal[2, 3]
    consolidated: bool
    web: Web
    fence: Fence | None = None

    @property
    def store(self) -> Store:
        """Where to write: through the fence, where there is one."""
        return self.place.store if self.fence is None else self.fence.writer()

    @property
    def journal(self) -> Journal:
        """The journal of the store."""
        return replace(self.place.journal(self.zarr_format), store=self.store)

    def group(self) -> zarr.Group:
        """Open the group that is written."""
        return zarr.open_group(self.store, path=self.place.path, mode="r+", use_consolidated=False)

    def documents(self) -> dict[str, bytes | None]:
        """Read what the store says of its arrays."""
        name = "zarr.json" if self.zarr_format == 3 else ".zarray"
        found = {}
        for variable in map(str, self.dataset.variables):
            key = "/".join(part for part in (self.place.path, variable, name) if part)
            content = sync(self.place.store.get(key, default_buffer_prototype()))
            found[variable] = None if content is None else content.to_bytes()
        return found

    def rehearse(self) -> None:
        """Lay the store out in memory, so that what cannot be written is found before anything is
        touched."""
        large = {
            name: variable
            for name, variable in self.dataset.variables.items()
            if name not in self.dataset.indexes
            and variable.chunks is None
            and variable.dtype.kind in "biufcmM"
            and variable.nbytes > REHEARSED
        }
        self.write_template(MemoryStore(), blank=large)

    def write_template(self, store: Any, blank: Iterable[Hashable] = ()) -> None:
        """Lay the store out, without the pixels of lazy variables and of those in `blank`."""
        template = self.dataset.copy()
        for name in (*self.encoded.variables, *blank):
            own = template.variables[name]
            # as one block: nobody looks into it, and a graph of thousands would be for nothing
            data = (
                blank_texts(own.shape)
                if own.dtype.kind == "O"
                else da.empty(own.shape, dtype=own.dtype, chunks=own.shape)
            )
            template[name] = (own.dims, data, own.attrs, own.encoding)
        template.attrs[INCOMPLETE] = (
            "this mosaic is being written or was interrupted: blocks are missing. "
            "qmosaic.open_mosaic() says more."
        )
        write: Any = template.to_zarr  # its overloads cannot be told apart with options passed on
        write(
            store,
            mode="a",
            group=self.place.path or None,
            compute=False,
            encoding=self.encoding,
            consolidated=False,
            zarr_format=self.zarr_format,
        )

    def settle_attributes(self, store: Any, skipped: list[str]) -> None:
        """Give the finished mosaic its attributes."""
        group = zarr.open_group(store, path=self.place.path, mode="r+", use_consolidated=False)
        attributes = {k: v for k, v in group.attrs.asdict().items() if k not in OWN}
        if skipped:
            attributes[SKIPPED] = skipped
        group.attrs.put(attributes)

    def consolidate(self) -> None:
        """Consolidate the metadata, where that was asked for."""
        if self.consolidated:
            zarr.consolidate_metadata(
                self.store, path=self.place.path, zarr_format=self.zarr_format
            )
            self.journal.sort_consolidated()


def _refuse_options(others: dict[str, Any]) -> None:
    for name, value in others.items():
        if name in ("compute", "append_dim", "region"):
            raise ValueError(
                f"to_zarr() got {name}={value!r}: it writes a whole mosaic to a store of its own. "
                f"Use xarray for that: xarray.decode_cf(mosaic).to_zarr(..., {name}=...), which "
                "keeps nodata and packing where xarray wants them."
            )
        raise TypeError(
            f"to_zarr() got an unexpected option {name}={value!r}; of xarray's options it takes "
            "encoding, zarr_format, consolidated, group and storage_options."
        )


def _prepare(
    dataset: xr.Dataset,
    place: Place,
    layout: dict[str, Any],
    zarr_format: Literal[2, 3] = 3,
    consolidated: bool | None = None,
    inputs: str | None = None,
) -> _Writing:
    if zarr_format not in (2, 3):
        raise ValueError(f"zarr_format={zarr_format!r} is not known; it takes 2 or 3.")
    for name in OWN:
        dataset.attrs.pop(name, None)
    # Readers other than zarr-python do not know consolidated metadata in format 3.
    consolidated = zarr_format == 2 if consolidated is None else consolidated
    laid = lay_out(_declare_nodata(dataset), **layout, zarr_format=zarr_format)
    web = Web(laid.dataset.variables)
    check_sources(place, web, laid.dataset.variables)  # before identifying reads what is in memory
    return _Writing(
        laid.dataset,
        laid.encoded,
        laid.encoding,
        laid.plan,
        place,
        identify(laid.dataset, laid.encoding, zarr_format, inputs, web),
        zarr_format,
        consolidated,
        web,
    )


def as_dataset(mosaic: xr.Dataset | xr.DataArray, verb: str = "to_zarr") -> xr.Dataset:
    """Copy a mosaic as a Dataset, to be written; an image of `qmosaic.ee` has one behind it.

    A DataArray without a name of its own (stackstac's has dask's, another one in every run) becomes
    the variable "mosaic".
    """
    if not isinstance(mosaic, xr.Dataset | xr.DataArray):
        mosaic = getattr(mosaic, "dataset", mosaic)
    if isinstance(mosaic, xr.DataArray):
        named = mosaic.name and not NAME_OF_DASK.search(str(mosaic.name))
        return true_to_grid(in_utc(mosaic.to_dataset(name=mosaic.name if named else "mosaic")))
    if not isinstance(mosaic, xr.Dataset):
        raise TypeError(
            f"{verb}() got a {type(mosaic).__name__}; it takes an xarray.Dataset or DataArray, as "
            "quality_mosaic() gives them."
        )
    return true_to_grid(in_utc(mosaic.copy()))


def _declare_nodata(dataset: xr.Dataset) -> xr.Dataset:
    """Write a nodata that only an attribute of odc or rioxarray names as ``_FillValue`` too."""
    for name, band in dataset.data_vars.items():
        nodata = declared_nodata(band)
        if nodata is not None and "_FillValue" not in band.attrs | band.encoding:
            dataset[name] = band.assign_attrs(_FillValue=nodata)
    return dataset


# -- what is there already ------------------------------------------------------------------------


def _refuse_existing(place: Place) -> None:
    found = place.zarr_format()
    if found is None:
        return
    journal = place.journal(found)
    unfinished, state = "", None
    with contextlib.suppress(DamagedJournalError):
        state = journal.read()
    if (state or {}).get("state") == "writing":
        unfinished = (
            " Another job is writing it at this moment."
            if journal.is_held()
            else " What is there is a mosaic whose writing was interrupted: mode='resume' goes on "
            "with it."
        )
    raise FileExistsError(
        f"the store {place.name!r} exists already and mode='w-' does not replace anything. Write "
        f"to another one, or pass mode='w' to replace it.{unfinished}"
    )


def _open_for_writing(writing: _Writing, mode: Mode) -> list[int] | None:
    """Lay out the store, or check what is there.

    Returns
    -------
    list of int or None
        The jobs that are left; None where the mosaic is whole.
    """
    place, journal, blocks = writing.place, writing.journal, writing.plan.jobs
    if mode == "w-":
        _refuse_existing(place)  # again: somebody may have been faster before the lock was taken
    state = _refuse_others(writing) if mode == "resume" else None
    if state is not None and state["state"] == "complete":
        journal.finish()  # the last run may have ended in the middle of that
        return None
    if state is not None:
        _check_arrays(writing)
        place.sweep()
        done = journal.done()
        journal.of_layout().forget_notes(done)
        return [job for job in range(blocks) if job not in done]
    # What is written first makes the store known as one whose writing was interrupted, and what
    # is written last makes marks count: from any point in between it is begun again.
    journal.begin(blocks, writing.identity)
    journal.clear()
    writing.write_template(writing.store)
    journal.settle_layout()
    return list(range(blocks))


def _target_of(writing: _Writing, fence: Fence) -> Target:
    """Say where jobs write."""
    store, path = fence.chunk_writer(), writing.place.path
    arrays = arrays_of(store, path, writing.plan, every_chunk=fence.every_chunk)
    return Target(arrays, writing.journal.of_layout(), fence)


def _format_there(place: Place) -> Literal[2, 3] | None:
    """Give the format of the mosaic that is there, or of what is there."""
    found = place.journal(3).format_there() or place.zarr_format()
    return None if found is None else 2 if found == 2 else 3


def _refuse_others(writing: _Writing) -> dict[str, Any] | None:
    """Refuse to go on with anything but the very mosaic; give the state of the store.

    None where there is nothing to go on with: where no run has got so far as to write a block, or
    where nothing tells any more which blocks are there.
    """
    place = writing.place
    journal = place.journal(_format_there(place) or writing.zarr_format)
    state = journal.read()
    if state is None:
        if place.zarr_format() is not None and _has_bands(writing):
            raise ValueError(
                f"the store {place.name!r} was not written by qmosaic.to_zarr, so nothing tells "
                "what of it is complete, and mode='resume' cannot go on with it. Write to another "
                "one, or pass mode='w' to replace it."
            )
        return None
    check_format(state, place.name)
    if state["state"] == "writing" and not journal.laid_out():
        return None
    _check_same(writing, state)
    return state


def _has_bands(writing: _Writing) -> bool:
    """Whether there is more than a run of ours whose journal somebody has removed."""
    return INCOMPLETE not in writing.group().attrs


def _check_arrays(writing: _Writing) -> None:
    """Make sure that the arrays that are gone on with are those of the mosaic."""
    group = writing.group()
    for variable in (v for g in writing.plan.groups for v in g.variables):
        found: Any = group.get(str(variable.name))
        wanted = writing.encoding[variable.name]
        same = (
            isinstance(found, zarr.Array)
            and found.shape == variable.shape
            and found.chunks == tuple(wanted["chunks"])
            and found.shards == (tuple(wanted["shards"]) if wanted.get("shards") else None)
        )
        if not same:
            raise _arrays_changed(writing, [str(variable.name)])


def _arrays_changed(writing: _Writing, names: list[str]) -> RuntimeError:
    return RuntimeError(
        f"{', '.join(map(repr, names))} in {writing.place.name!r} "
        f"{'is' if len(names) == 1 else 'are'} not what was laid out there: somebody has deleted "
        "or replaced the metadata. What was written of it is lost, or cannot be trusted. Write "
        "the mosaic anew with mode='w'."
    )


def _check_same(writing: _Writing, state: dict[str, Any]) -> None:
    found = differences(state["plan"], writing.identity)
    if found:
        raise ValueError(
            f"the store {writing.place.name!r} holds another mosaic, so mode='resume' cannot go on "
            f"with it: {'; '.join(found)}. Give the mosaic that was begun (inputs=... names "
            "inputs that are called otherwise from run to run), write to another store, or pass "
            "mode='w' to replace it."
        )


# -- writing --------------------------------------------------------------------------------------


def _run(
    writing: _Writing,
    target: Target | Transaction,
    todo: Sequence[int],
    rules: dict[str, Any],
    then: Callable[[Outcome], Any],
) -> None:
    """Run the jobs that are left, and tell of it; `then` is called with every outcome."""
    total = writing.plan.jobs
    name = uuid.uuid4().hex
    work = _make_jobs(writing, target, todo, rules, name)
    resumed = total - len(todo)
    meter = Meter(display_for(rules["progress"], total, resumed), total, resumed)

    def report(outcome: Outcome) -> None:
        if meter.progress.done == meter.progress.resumed:
            _check_visible(writing, target, outcome)
        then(outcome)
        for chunk in outcome.skipped:
            meter.say(f"{chunk} could not be read; the image counts as masked there")
        meter.add(outcome.read, outcome.written, len(outcome.skipped))

    finished = False
    try:
        for jobs, numbers in work:
            run_jobs(jobs, numbers, report, lambda: stopped.add(name), meter.say)
        finished = True
    except KeyboardInterrupt as interruption:
        done = meter.progress.done
        raise KeyboardInterrupt(f"{done} of {total} blocks are there", *interruption.args) from None
    finally:
        stopped.add(name)
        meter.close(finished=finished)


def _make_jobs(
    writing: _Writing,
    target: Target | Transaction,
    todo: Sequence[int],
    rules: dict[str, Any],
    name: str,
) -> list[tuple[Jobs, list[int]]]:
    """Prepare the jobs that are left, group by group: one may share work where others do not."""
    writer = Writer(name, writing.plan, target, rules["retries"], rules["on_error"])
    found = []
    for group, first in writing.plan.numbered():
        numbers = [job for job in todo if first <= job < first + group.jobs]
        if not numbers:
            continue
        arrays = [(writing.encoded.variables[n].data, a) for n, a in group.whole_axes().items()]
        jobs = make_jobs(arrays, writer, numbers, _name_in_dashboard(writing, group), name)
        unread = jobs.self_contained or not survey([array for array, _ in arrays])
        if rules["on_error"] == "skip" and not unread:
            raise ValueError(
                "on_error='skip' cannot leave an image out here: blocks of this mosaic share "
                "costly work (a rechunk, an overlap, persisted data, a cut that does not begin at "
                "a chunk border), which runs as ordinary tasks of dask. Open the collection in "
                "chunks that need no rechunk, cut it at chunk borders or cut the mosaic instead, "
                "or use on_error='raise'."
            )
        found.append((jobs, numbers))
    return found


def _name_in_dashboard(writing: _Writing, group: Group) -> str:
    """Name what jobs write, for dask's displays: these show a key up to its first hyphen."""
    bands = [str(variable.name) for variable in group.variables]
    shown = ",".join(bands[:BANDS_SHOWN]) + (",…" if len(bands) > BANDS_SHOWN else "")
    folder = writing.place.name.rstrip("/").rpartition("/")[2]
    return f"write {folder}: {shown}".replace("-", "_")


def _check_visible(writing: _Writing, target: Target | Transaction, outcome: Outcome) -> None:
    """Notice workers that write somewhere else: to memory or a disk of their own."""
    if isinstance(target, Target) and not target.journal.marked(outcome.job):
        raise _not_shared(writing.place)


def _not_shared(place: Place) -> RuntimeError:
    return RuntimeError(
        f"a worker has written a block, or wanted to, but not to {place.name!r} as seen from "
        "here: the store is in memory, or on a disk that the workers do not share. Write to "
        "a folder that all of them see, or to an object store."
    )


def _complete(writing: _Writing, laid_out: dict[str, bytes | None]) -> None:
    """Check that all blocks are there, in the arrays that were laid out, and say so in the
    store."""
    journal = writing.journal.of_layout()
    now = writing.documents()
    changed = [name for name, content in laid_out.items() if now[name] != content]
    if changed:
        raise _arrays_changed(writing, changed)
    missing = writing.plan.jobs - len(journal.done())
    if missing > 0:
        raise RuntimeError(
            f"{missing} of {writing.plan.jobs} blocks are not in {writing.place.name!r}, though "
            "all tasks have ended: the workers write to another place than the one that is seen "
            "from here. Write to a folder that all of them see, or to an object store."
        )
    writing.settle_attributes(writing.store, journal.notes())
    journal.finish()


def _write_in_transaction(writing: _Writing, mode: Mode, rules: dict[str, Any]) -> None:
    """Write into forks of a session of Icechunk, and let the session take them up at the end."""
    place = writing.place
    if mode == "resume":
        raise ValueError(
            "mode='resume' has nothing to go on with in a session of Icechunk: what an "
            "interrupted run has written was never committed. Write with mode='w-' or 'w' in a new "
            "session."
        )
    if mode == "w-":
        _refuse_existing(place)
    if place.session.has_uncommitted_changes:
        raise ValueError(
            "the session of Icechunk has changes that are not committed, so it cannot be forked "
            "for the workers. Commit them first, and write the mosaic in a new session."
        )
    check_workers(logger.warning)
    fork = place.session.fork()
    journal = Journal(fork.store, place.path, writing.zarr_format, place.name)
    if mode == "w" and place.zarr_format() is not None:  # Icechunk lists no group that is not there
        journal.clear()
    writing.write_template(fork.store)
    journal.begin(writing.plan.jobs, writing.identity)
    journal.finish()  # nobody sees it before the session is committed, and then it is true
    skipped: set[str] = set()

    def take_up(outcome: Outcome) -> None:
        fork.merge(outcome.changes)
        skipped.update(outcome.skipped)

    target = Transaction(pickle.dumps(fork), place.path)
    _run(writing, target, range(writing.plan.jobs), rules, take_up)
    writing.settle_attributes(fork.store, sorted(skipped))
    place.session.merge(fork)


# -- opening --------------------------------------------------------------------------------------


def open_mosaic(
    store: Any,
    *,
    group: str | None = None,
    allow_incomplete: bool = False,
    storage_options: dict[str, Any] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Open a mosaic that `to_zarr` has written, and refuse one that is not whole.

    Parameters
    ----------
    store : str, Path or zarr store
        Where it is.
    group : str, optional
        Its group in the store.
    allow_incomplete : bool, default: False
        Open a mosaic of which blocks are missing too; they are masked or 0.
    storage_options : dict, optional
        For a URL, what `fsspec` needs.
    **options
        Passed on to ``xarray.open_zarr``: ``chunks``, ``mask_and_scale`` ...

    Returns
    -------
    xarray.Dataset
        The mosaic, lazily, with its CRS as coordinate. As xarray decodes it: integers with nodata
        become floats with NaN; ``mask_and_scale=False`` leaves them integers.

    Raises
    ------
    FileNotFoundError
        There is no store.
    IncompleteMosaicError
        Blocks are missing.
    ValueError
        The store was written by something else, or its journal is damaged.

    Notes
    -----
    Without qmosaic the state of a store is the attribute ``state`` of its group ``_qmosaic``:
    "writing" or "complete".

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm, zarr
    >>> store = zarr.storage.MemoryStore()
    >>> qm.to_zarr(xr.Dataset({"red": ("x", np.ones(4))}), store)
    >>> qm.open_mosaic(store)["red"].values
    array([1., 1., 1., 1.])
    >>> zarr.open_group(store)["_qmosaic"].attrs["state"]
    'complete'
    """
    place = open_place(store, group, storage_options)
    found = _format_there(place)
    if found is None:
        raise FileNotFoundError(
            f"there is no mosaic at {place.name!r}"
            + (f" in group {place.path!r}" if place.path else "")
            + ": no Zarr group is there. Check the path."
        )
    journal = place.journal(found)
    state = _read_state(journal, place, allow_incomplete)
    if state is None and not allow_incomplete:
        raise ValueError(
            f"the store {place.name!r} has no group {GROUP!r}: it was not written by "
            "qmosaic.to_zarr, so nothing tells whether it is "
            "whole. Open it with xarray.open_zarr, or write it with qmosaic.to_zarr."
        )
    if state is not None and state["state"] != "complete" and not allow_incomplete:
        raise IncompleteMosaicError(
            f"the mosaic in {place.name!r} is not whole: {len(journal.done())} of "
            f"{state['blocks']} blocks are there. Go on with qmosaic.to_zarr(mosaic, store, "
            "mode='resume'), or open what is there with allow_incomplete=True."
        )
    options = {"consolidated": False, "decode_coords": "all", **options}
    opened: xr.Dataset = xr.open_zarr(place.store, group=place.path or None, **options)
    order = [] if state is None else [n for n in state["plan"].get("order", ()) if n in opened]
    return opened[[*order, *(n for n in opened.data_vars if n not in order)]]


def _read_state(journal: Journal, place: Place, allow_incomplete: bool) -> dict[str, Any] | None:
    """Read what a store says of itself; where it need not be whole, it need not say that either."""
    try:
        state = journal.read()
        if state is not None:
            check_format(state, place.name)
    except ValueError:
        if not (allow_incomplete and journal.is_node()):  # or no reader of Zarr opens the store
            raise
        return None
    return state

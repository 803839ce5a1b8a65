"""Opening a mosaic that was written, and refusing one that is not complete."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import xarray as xr

from qmosaic.collection.levels import Overviews, with_overviews
from qmosaic.sink.identity import check_format
from qmosaic.sink.journal import GROUP, Journal
from qmosaic.sink.multiscale import groups_in
from qmosaic.sink.store_group import Place, open_place


class IncompleteMosaicError(RuntimeError):
    """A mosaic of which blocks are missing was opened.

    Its writing was interrupted, or is going on. Continue it with ``to_zarr(..., mode="resume")``,
    an update with the same call of `update`, or open what is there with
    ``open_mosaic(..., allow_incomplete=True)``.

    Attributes
    ----------
    done, blocks : int
        How many blocks are there, of how many; of an update, how many it has done.
    updating : bool
        Whether it is an update that is not complete.
    """

    def __init__(
        self, text: str = "", *, done: int = 0, blocks: int = 0, updating: bool = False
    ) -> None:
        super().__init__(text)
        self.done = done
        self.blocks = blocks
        self.updating = updating


def open_mosaic(
    store: Any,
    *,
    group: str | None = None,
    level: int | None = None,
    allow_incomplete: bool = False,
    storage_options: dict[str, Any] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Open a mosaic that `to_zarr` has written, and refuse one that is not complete.

    Parameters
    ----------
    store : str, Path or zarr store
        Where the mosaic is: a path, a URL, a store object of zarr or Icechunk.
    group : str, optional
        Its group in the store.
    level : int, optional
        For a mosaic that was written with ``levels=``, which overview to open; by default, and for
        0, the full resolution. `qmosaic.quicklook` and `qmosaic.display.Map` choose the one that
        fits by themselves.
    allow_incomplete : bool, default: False
        Whether to open a mosaic of which blocks are missing; these are masked, or 0 in bands
        without nodata.
    storage_options : dict, optional
        For a URL, what `fsspec` needs.
    **options
        Passed on to ``xarray.open_zarr``: ``chunks``, ``mask_and_scale`` ...

    Returns
    -------
    xarray.Dataset
        The mosaic, lazily, with its CRS as a coordinate. xarray decodes it: integers with nodata
        become floats with NaN; pass ``mask_and_scale=False`` to keep the integers that are stored.

    Raises
    ------
    FileNotFoundError
        There is no Zarr group.
    IncompleteMosaicError
        Blocks are missing: a ``RuntimeError`` that says how many.
    ValueError
        The store was written by something else, or has no such level.
    TypeError
        `xarray.open_zarr` has no such option.
    DamagedJournalError
        The group ``_qmosaic`` in the store cannot be read; a ``ValueError``.

    Notes
    -----
    Without qmosaic, read the attribute ``state`` of the group ``_qmosaic`` in the store: "writing"
    or "complete". The mosaic itself is plain Zarr: ``xarray.open_zarr(store, consolidated=False)``
    opens it, too, complete or not; one with overviews needs ``group="0"``.

    That a mosaic is complete is what its writer has noted. Chunks that were deleted later are not
    noticed; like all missing chunks of Zarr, they are read as nodata or 0.

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
    _check_options(options)
    place = open_place(store, group, storage_options)
    found = place.format_there()
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
            "qmosaic.to_zarr, so nothing says whether it is "
            "complete. Open it with xarray.open_zarr, or write it with qmosaic.to_zarr."
        )
    if state is not None and "update" in state and not allow_incomplete:
        done = len(journal.done())
        raise IncompleteMosaicError(
            f"the mosaic in {place.name!r} is being updated, or its update was interrupted: "
            f"{done} blocks are done, so some may have the new images and others "
            "not. Go on with qmosaic.update(store, new_images), with the same images, or open what "
            "is there with allow_incomplete=True.",
            done=done,
            blocks=state["blocks"],
            updating=True,
        )
    if state is not None and state["state"] != "complete" and not allow_incomplete:
        done = len(journal.done())
        raise IncompleteMosaicError(
            f"the mosaic in {place.name!r} is not complete: {done} of "
            f"{state['blocks']} blocks are there. Go on with qmosaic.to_zarr(mosaic, store, "
            "mode='resume'), or open what is there with allow_incomplete=True.",
            done=done,
            blocks=state["blocks"],
        )
    options = {"consolidated": False, "decode_coords": "all", "chunks": {}, **options}
    groups = tuple(place.key(name).strip("/") for name in groups_in(state))
    number = _check_level(level, groups, place)
    # the overviews of an incomplete mosaic may not be there, or be those from before an update
    complete = state is not None and state["state"] == "complete"
    overviews = Overviews(
        place.store, groups[number:] if complete else groups[number : number + 1], options
    )
    opened = overviews.opened(0)
    if len(overviews.groups) > 1:
        opened = with_overviews(opened, overviews)
    order = [] if state is None else [n for n in state["plan"].get("order", ()) if n in opened]
    return opened[[*order, *(n for n in opened.data_vars if n not in order)]]


def is_mosaic(
    store: Any, group: str | None = None, storage_options: dict[str, Any] | None = None
) -> bool:
    """Tell whether a mosaic that `to_zarr` has written is there, complete or not."""
    place = open_place(store, group, storage_options)
    found = place.format_there()
    return found is not None and place.journal(found).is_node()


def _check_level(level: Any, groups: tuple[str, ...], place: Place) -> int:
    """Find the level that is asked for."""
    if level is None:
        return 0
    if isinstance(level, bool) or not isinstance(level, int) or not 0 <= level < len(groups):
        there = (
            "it has no overviews: write it with to_zarr(mosaic, store, levels='auto')"
            if len(groups) == 1
            else f"it has those from 0, the full resolution, to {len(groups) - 1}"
        )
        raise ValueError(f"level={level!r} is no level of the mosaic in {place.name!r}; {there}.")
    return level


def _check_options(options: Mapping[str, Any]) -> None:
    """Refuse what `xarray.open_zarr` does not know."""
    own = ("store", "group", "kwargs")
    known = [name for name in inspect.signature(xr.open_zarr).parameters if name not in own]
    for name, value in options.items():
        if name not in known:
            raise TypeError(
                f"open_mosaic() got an unexpected option {name}={value!r}; it takes those of "
                f"xarray.open_zarr: {', '.join(known)}."
            )


def _read_state(journal: Journal, place: Place, allow_incomplete: bool) -> dict[str, Any] | None:
    """Read what a store says of itself; an incomplete one may say nothing."""
    try:
        state = journal.read()
        if state is not None:
            check_format(state, place.name)
    except ValueError:
        if not (allow_incomplete and journal.is_node()):  # or no reader of Zarr opens the store
            raise
        return None
    return state

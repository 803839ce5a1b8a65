"""The last step: that all blocks are there is checked, and the store says that it is complete."""

from __future__ import annotations

import zarr

from qmosaic.sink.steps import Opened
from qmosaic.sink.template import arrays_changed, documents, settle_group


def settle(opened: Opened, skipped: list[str]) -> None:
    """Make a mosaic whose jobs have run a finished one.

    Parameters
    ----------
    opened : Opened
        Its store.
    skipped : list of str
        The chunks that this run has left out.

    Raises
    ------
    RuntimeError
        Blocks or the metadata of a band are not there.
    """
    if opened.fork is not None:
        settle_group(opened.work, opened.store, skipped)
        opened.work.place.session.merge(opened.fork)
        return
    try:
        if opened.todo is not None:
            _complete(opened)
        consolidate(opened)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"all {opened.work.plan.jobs} blocks are there") from None


def _complete(opened: Opened) -> None:
    """Check that all blocks are there, in the arrays that were laid out, and say so in the
    store."""
    work, journal = opened.work, opened.journal.of_layout()
    now = documents(work)
    changed = [name for name, content in opened.laid_out.items() if now[name] != content]
    if changed:
        raise arrays_changed(work, changed)
    missing = work.plan.jobs - len(journal.done())
    if missing > 0:
        raise RuntimeError(
            f"{missing} of {work.plan.jobs} blocks are not in {work.place.name!r}, though "
            "all tasks have ended: the workers write to another place than the one that is seen "
            "from here. Write to a folder that all of them see, or to an object store."
        )
    settle_group(work, opened.store, journal.notes())
    journal.finish()


def consolidate(opened: Opened) -> None:
    """Consolidate the metadata, where that was asked for."""
    request = opened.work.request
    if request.consolidated:
        path, zarr_format = request.place.path, request.zarr_format
        zarr.consolidate_metadata(opened.store, path=path, zarr_format=zarr_format)
        opened.journal.sort_consolidated()

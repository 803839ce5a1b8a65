"""The last step: the attributes of the mosaic are brought up to date, and it is complete."""

from __future__ import annotations

from typing import Any

from qmosaic.sink.finishing import consolidate
from qmosaic.sink.steps import Opened
from qmosaic.sink.template import SKIPPED, arrays_changed, documents, group_of
from qmosaic.sink.updatable import rules_of
from qmosaic.sink.updating.beginning import Update
from qmosaic.sink.updating.comparing import CHANGING


def settle(update: Update, opened: Opened, skipped: list[str]) -> None:
    """Make an update whose jobs have run a finished one.

    Parameters
    ----------
    update : Update
        The update.
    opened : Opened
        Its store.
    skipped : list of str
        The chunks that this run has left out.

    Raises
    ------
    RuntimeError
        Blocks or the metadata of a band are not there.
    """
    work = opened.work
    if opened.fork is not None:
        _say(update, opened, skipped)
        work.place.session.merge(opened.fork)
        return
    try:
        journal = opened.journal.of_layout()
        now = documents(work)
        changed = [name for name, content in opened.laid_out.items() if now[name] != content]
        if changed:
            raise arrays_changed(work, changed)
        missing = set(update.jobs()) - journal.done()
        if missing:
            raise RuntimeError(
                f"{len(missing)} blocks of the update are not in {work.place.name!r}, though all "
                "tasks have ended: the workers write to another place than the one that is seen "
                "from here. Write to a folder that all of them see, or to an object store."
            )
        _say(update, opened, journal.notes())
        consolidate(opened)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"all {len(update.jobs())} blocks are there") from None


def _say(update: Update, opened: Opened, skipped: list[str]) -> None:
    """Write what has changed of the attributes of the mosaic, then of its journal."""
    dataset = update.layout.dataset
    rules, array = rules_of(dataset)
    group: Any = group_of(opened.work, opened.store)
    holder = group if array is None else group[str(array)]
    attributes = holder.attrs.asdict() | {k: rules[k] for k in CHANGING if k in rules}
    if array is not None:
        holder.attrs.put(attributes)
        attributes = group.attrs.asdict()
    if skipped:
        attributes[SKIPPED] = sorted({*attributes.get(SKIPPED, ()), *skipped})
    if attributes != group.attrs.asdict():
        group.attrs.put(attributes)
    opened.journal.finish(_changes(update))


def _changes(update: Update) -> dict[str, Any]:
    """Say what the journal has to know of the mosaic that is there now."""
    state, identity = update.stored.state, update.work.identity
    plan = state["plan"] | {name: identity[name] for name in ("rules", "bands", "grid")}
    taken = list(dict.fromkeys([*state.get("taken", ()), *update.times]))
    return {"plan": plan, "blocks": update.said()["blocks"], "taken": taken}

"""Tasks on their way to the workers of a cluster, which are other processes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from qmosaic.engine.graph import find_unpicklable


def send(client: Any, graph: dict[Any, Any], keys: list[Any]) -> list[Any]:
    """Send tasks to a cluster.

    Returns
    -------
    list of distributed.Future
        The values of the keys to come.

    Raises
    ------
    TypeError
        The tasks cannot be sent.
    """
    try:
        return list(client.get(graph, keys, sync=False))
    except Exception as error:
        check_graph(graph)
        if type(error).__name__ == "TokenizationError":  # has a pickle, but each time another one
            raise _unsendable("a part of it", error) from error
        raise


def check_graph(graph: dict[Any, Any]) -> None:
    """Refuse tasks that cannot be sent to another process.

    Raises
    ------
    TypeError
        Something in them cannot be pickled; the error names it.
    """
    from distributed.protocol.pickle import dumps

    with _quiet("distributed.protocol.pickle"):  # it logs every error with its traceback
        found = find_unpicklable(graph, dumps)
    if found is not None:
        raise _unsendable(*found) from found[1]


def _unsendable(what: str, error: Exception) -> TypeError:
    return TypeError(
        f"this mosaic cannot be made on a cluster: {what} cannot be sent to the workers "
        f"({type(error).__name__}: {error}). Workers are other processes, so whatever their tasks "
        "use has to be pickled. Open files with qm.open_collection, which gives what can be sent; "
        "or give your class a __getstate__ and a __setstate__ that leave out locks and open files, "
        "and let a function open what it needs itself. Or write in this process: "
        'with dask.config.set(scheduler="threads"): qm.to_zarr(...).'
    )


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a log silent within the block."""
    log = logging.getLogger(name)
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before

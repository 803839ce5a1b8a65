"""A writing, prepared by hand up to the point where its tasks go to a scheduler."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import xarray as xr
from zarr.abc.store import Store

from qmosaic.sink.checking import check
from qmosaic.sink.fencing import Fence, document_of, fence_for
from qmosaic.sink.layout import lay_out
from qmosaic.sink.planning import plan
from qmosaic.sink.store_setup import begin
from qmosaic.sink.tasks import make_tasks

LOCKS = "_qmosaic/lock"
"""Where a mosaic in the root of a store has its locks."""


@contextlib.contextmanager
def claimed(store: Store, job: str, number: int = 1, **holder: Any) -> Iterator[Fence]:
    """Have the lock of a job."""
    fence = replace(fence_for(store, LOCKS, "here", job), number=number)
    assert fence.claim(document_of({"job": job} | holder))
    yield fence
    fence.leave()


def prepared(mosaic: xr.Dataset, store: Store, fence: Fence) -> tuple[Any, list[int]]:
    """Give the tasks of a mosaic all of whose bands are of one group, and their numbers."""
    request = check(mosaic, store, mode="w", retries=0)
    layout = lay_out(request.dataset, {}, None, None, request.zarr_format)
    opened = begin(plan(request, layout), fence, lambda outcome: None)
    assert opened.todo is not None
    assert opened.target is not None
    ((jobs, numbers),) = make_tasks(opened.work, opened.target, opened.todo, "test")
    return jobs, numbers

"""What each step of writing a mosaic hands to the next one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import xarray as xr
from zarr.abc.store import Store

from qmosaic.engine.graph import Sight, Web
from qmosaic.sink.cutting import Plan
from qmosaic.sink.fencing import Fence
from qmosaic.sink.journal import Journal
from qmosaic.sink.multiscale import Pyramid
from qmosaic.sink.progress import Progress
from qmosaic.sink.store_group import Place
from qmosaic.sink.writing import Outcome, Target, Transaction, Writer

Mode = Literal["w-", "w", "resume"]
OnError = Literal["raise", "skip"]
Sizes = Mapping[Hashable, int]
Encoding = dict[Hashable, dict[str, Any]]
Tell = bool | Callable[[Progress], Any] | None
"""How a user wants progress to be shown."""


@dataclass(frozen=True)
class Request:
    """What a user asks for, as far as it can be checked without looking into the mosaic.

    Attributes
    ----------
    dataset : xarray.Dataset
        A copy of the mosaic.
    place : Place
        Where to write.
    mode, retries, on_error, progress, inputs, encoding, chunks, shards, block_bytes, zarr_format, \
    consolidated, updatable
        As `qmosaic.to_zarr` takes them; format and consolidation are decided.
    pyramid : Pyramid, optional
        The overviews that the mosaic gets.
    """

    dataset: xr.Dataset
    place: Place
    mode: Mode
    retries: int
    on_error: OnError
    progress: Tell
    inputs: str | None
    encoding: Mapping[Hashable, Mapping[str, Any]]
    chunks: Sizes | None
    shards: Sizes | None
    block_bytes: int
    zarr_format: Literal[2, 3]
    consolidated: bool
    updatable: bool = False
    pyramid: Pyramid | None = None


@dataclass(frozen=True)
class Layout:
    """A mosaic as it is to be stored.

    Attributes
    ----------
    dataset : xarray.Dataset
        What is stored.
    encoded : xarray.Dataset
        Its lazy variables, in the values that are stored.
    encoding : dict
        How each variable is stored.
    units : dict
        For each lazy variable, what is written at once: the chunks of the store, or its shards.
    """

    dataset: xr.Dataset
    encoded: xr.Dataset
    encoding: Encoding
    units: dict[Hashable, tuple[int, ...]]


@dataclass(frozen=True)
class Work:
    """All that is to be done.

    Attributes
    ----------
    request : Request
        What was asked for.
    layout : Layout
        How the mosaic is stored.
    plan : Plan
        The jobs.
    sight : Sight
        Its lazy variables as they are read.
    identity : dict
        What makes the mosaic the one that it is.
    web : Web
        What stands behind its variables.
    writer : callable
        Makes what every job does, as `qmosaic.sink.writing.Writer`.
    """

    request: Request
    layout: Layout
    plan: Plan
    sight: Sight
    identity: dict[str, Any]
    web: Web
    writer: Callable[..., Writer] = Writer

    @property
    def place(self) -> Place:
        """Where to write."""
        return self.request.place

    def journal(self, store: Store | None = None) -> Journal:
        """Give the journal of the mosaic, in its store or in another form of that."""
        place, zarr_format = self.place, self.request.zarr_format
        return Journal(store or place.store, place.path, zarr_format, place.name)


@dataclass(frozen=True)
class Opened:
    """A store that is this job's to write.

    Attributes
    ----------
    work : Work
        What is to be done.
    store : zarr Store
        Through which metadata are written: behind a fence, or a fork of a session.
    todo : list of int, optional
        The jobs that are left; None where the mosaic is complete already.
    target : Target or Transaction, optional
        Where jobs write, where any may be left.
    hear : callable
        Called with the outcome of every job.
    laid_out : dict
        What the store says of its arrays.
    fence : Fence, optional
        The right to write there; None in a session of Icechunk.
    fork : Any, optional
        What collects the changes in a session of Icechunk.
    """

    work: Work
    store: Store
    todo: list[int] | None
    target: Target | Transaction | None
    hear: Callable[[Outcome], Any]
    laid_out: Mapping[str, bytes | None]
    fence: Fence | None = None
    fork: Any = None

    @property
    def journal(self) -> Journal:
        """The journal of the store."""
        return self.work.journal(self.store)

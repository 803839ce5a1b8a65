"""What a job has of a store: a lock of its own, and a way to write as long as that is there."""

from __future__ import annotations

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import WrapperStore

HOLDER = "zarr.json"
"""What of a lock says whose it is: a group of Zarr, so that nobody takes it for something else."""

ATTEMPTS = 20
"""How often a step is tried that others may have crossed."""


class StoreInUseError(RuntimeError):
    """Another job is writing the store, or has taken it over.

    Only one job at a time may write a store. A second one is refused, with the host and process of
    the first. A job that shows no sign of life for a minute loses the store to the next one that
    wants it; when it wakes up, it ends with this error. Wait for the other job, or continue with
    ``to_zarr(..., mode="resume")`` once nobody writes the store; see the notes of
    `qmosaic.to_zarr`.
    """


@dataclass(frozen=True)
class Fence(ABC):
    """The right of one job to write a group of a store.

    Attributes
    ----------
    store : zarr Store
        The store.
    folder : str
        Where its locks are, as a key.
    name : str
        What to call the store in errors.
    job : str
        The name of the job, which no other one has.
    number : int
        The number of its lock: one above all that there were.
    """

    store: Store
    folder: str
    name: str
    job: str
    number: int = 0

    @property
    def key(self) -> str:
        """Where the document of the lock is."""
        return f"{self.folder}/{self.number}/{HOLDER}"

    # -- the lock -----------------------------------------------------------------------------

    @abstractmethod
    def claim(self, document: bytes) -> bool:
        """Make the lock, unless there is one of that number; whether it was made."""

    @abstractmethod
    def renew(self, document: bytes) -> bool:
        """Write the document anew if the lock is there still; whether it is."""

    async def holds_now(self) -> bool:
        """Whether the lock is there."""
        found = await self.store.get(self.key, default_buffer_prototype())
        return found is not None and attributes_of(found.to_bytes()).get("job") == self.job

    def revoke(self, number: int) -> None:
        """Remove the lock of another job, so that it writes nothing any more."""
        sync(self.store.delete_dir(f"{self.folder}/{number}"))

    @abstractmethod
    def leave(self) -> None:
        """Remove the own lock, if it is there, and what belongs to it."""

    def tidy(self) -> None:
        """Remove what jobs have left that were killed while they made or removed a lock."""
        return

    def holds(self) -> bool:
        """Whether the lock is there."""
        return bool(sync(self.holds_now()))

    def check(self) -> None:
        """Make sure that the lock is there.

        Raises
        ------
        StoreInUseError
            It is not.
        """
        if not self.holds():
            raise self.lost()

    def confirm(self) -> None:
        """Make sure that what was just written was written in time, where only a look can tell.

        Raises
        ------
        StoreInUseError
            It was not.
        """
        return

    def lost(self) -> StoreInUseError:
        """Say that the lock is not there any more."""
        return StoreInUseError(
            f"this job does not write {self.name!r} any more: its lock is gone. Another job has "
            "taken the store over, as this one had shown no sign of life for too long, or the "
            "store was removed. Nothing more is written by this one. Look at what is there, and go "
            "on with mode='resume' once nobody writes it."
        )

    # -- writing ------------------------------------------------------------------------------

    @abstractmethod
    def writer(self) -> Store:
        """Give the store through which only the holder writes."""

    def chunk_writer(self) -> Store:
        """Give such a store for chunks: there, who writes calls `check` and `confirm`."""
        return self.writer()

    @property
    def every_chunk(self) -> bool:
        """Whether chunks that are all fill value have to be written too."""
        return False


class FencedStore(WrapperStore[Any]):
    """A store through which one job writes, as long as its lock is there."""

    def __init__(self, store: Any, fence: Fence) -> None:
        super().__init__(store)
        self._fence = fence

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._fence == other._fence

    __hash__ = None  # type: ignore[assignment]

    def with_read_only(self, read_only: bool = False) -> Any:
        """Give the store as it can be read; a fence is for writing."""
        return self._store.with_read_only(True) if read_only else self

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List a folder; locks are no part of a Zarr store."""
        journal, _, locks = self._fence.folder.rpartition("/")
        async for name in self._store.list_dir(prefix):
            if prefix.strip("/") != journal or name.strip("/") != locks:
                yield name

    async def _look(self) -> None:
        if not await self._fence.holds_now():
            raise self._fence.lost()


def document_of(attributes: dict[str, Any]) -> bytes:
    """Write the document of a lock: its attributes say whose it is."""
    node = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    # of one length: where a file is written anew in its place, nothing may be left over
    return json.dumps(node).encode().ljust(512)


def attributes_of(content: bytes) -> dict[str, Any]:
    """Read whose a lock is; nothing where the document is damaged."""
    with contextlib.suppress(ValueError):
        document = json.loads(content)
        found = document.get("attributes") if isinstance(document, dict) else None
        if isinstance(found, dict):
            return found
    return {}

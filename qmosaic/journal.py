"""What a store knows about its own making: which blocks are there, who is writing, whether it is
whole.

Beside the bands lies a group ``_qmosaic``, which xarray and other Zarr readers do not look into:

================== =================================================================
``_qmosaic``       attributes ``state`` ("writing" or "complete"), ``blocks``, ``plan``
``_qmosaic/done``  while writing: an array with one chunk for each block that is there
``_qmosaic/notes`` while writing: what blocks had to leave out
``_qmosaic/lock``  while writing: who writes, and the last sign of life
================== =================================================================

A block is marked by the task that wrote it, after the last of its chunks. A finished store keeps
the group with its attributes alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import zarr
from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

GROUP = "_qmosaic"

FORMAT = 1
"""The version of what this module writes."""

BEAT = 10.0
"""Seconds between two signs of life of a writer."""

LEASE = 60.0
"""Seconds without a sign of life after which a writer counts as gone."""

HURRY = 5.0
"""Seconds that letting go of a store may take where a person has interrupted the job: the store may
be what hangs."""


class StoreInUseError(RuntimeError):
    """Another job is writing the store."""


@dataclass(frozen=True)
class Journal:
    """The state of a mosaic in a store.

    Attributes
    ----------
    store : zarr Store
        Where the mosaic is.
    path : str
        Its group in the store, "" for the root.
    zarr_format : int
        2 or 3.
    """

    store: Store
    path: str
    zarr_format: int

    # -- what is read -------------------------------------------------------------------------

    def read(self) -> dict[str, Any] | None:
        """Give the attributes of the journal; None where there is none."""
        for name in ("zarr.json", ".zattrs"):
            document = self._get(self._key(name))
            if document is not None:
                found: dict[str, Any] = document if name == ".zattrs" else document["attributes"]
                return found or None
        return None

    def done(self) -> set[int]:
        """Number the blocks that are there."""
        folder = self._key("done/c" if self.zarr_format == 3 else "done")

        async def list_marks() -> list[str]:
            return [key async for key in self.store.list_prefix(folder + "/")]

        names = (key.rsplit("/", 1)[-1] for key in sync(list_marks()))
        return {int(name) for name in names if name.isdigit()}

    def marked(self, block: int) -> bool:
        """Whether a block is there."""
        return bool(sync(self.store.exists(self._mark_of(block))))

    def notes(self) -> list[str]:
        """Give what blocks have noted, sorted."""
        found: set[str] = set()
        with contextlib.suppress(FileNotFoundError, KeyError):
            group = zarr.open_group(self.store, path=self._key("notes"), mode="r")
            for _, noted in group.groups():
                found.update(str(chunk) for chunk in noted.attrs["skipped"])  # type: ignore[union-attr]
        return sorted(found)

    # -- what is written ----------------------------------------------------------------------

    def begin(self, blocks: int, plan: dict[str, Any]) -> None:
        """Say that a mosaic is being written here."""
        attributes = {"format": FORMAT, "state": "writing", "blocks": blocks, "plan": plan}
        self._create(GROUP, attributes)
        zarr.create_array(
            self.store,
            name=self._key("done"),
            shape=(max(blocks, 1),),
            chunks=(1,),
            dtype="uint8",
            fill_value=0,
            filters=None,
            compressors=None,
            zarr_format=self.zarr_format,  # type: ignore[arg-type]
            overwrite=True,
        )
        self._create(f"{GROUP}/notes", {})

    def mark(self, block: int, skipped: list[str]) -> None:
        """Say that a block is there; `skipped` says what it had to leave out."""
        if skipped:
            self._create(f"{GROUP}/notes/{block}", {"skipped": skipped})
        self._set(self._mark_of(block), b"\x01")

    def finish(self) -> None:
        """Say that the mosaic is whole, and let go of what is no longer needed."""
        attributes = self.read()
        if attributes is not None and attributes["state"] != "complete":
            self._create(GROUP, attributes | {"state": "complete"})
        for name in ("done", "notes"):
            sync(self.store.delete_dir(self._key(name)))

    def sort_consolidated(self) -> None:
        """Bring consolidated metadata into an order that does not depend on how a store lists."""
        path = f"{self.path}/" if self.path else ""
        key = path + (".zmetadata" if self.zarr_format == 2 else "zarr.json")
        document = self._get(key)
        holder = (
            document if self.zarr_format == 2 else (document or {}).get("consolidated_metadata")
        )
        if document is not None and holder:
            holder["metadata"] = dict(sorted(holder["metadata"].items()))
            self._set(key, _encode(document))

    def clear(self) -> None:
        """Remove all that is in the group of the mosaic but the lock."""

        async def remove() -> None:
            prefix = f"{self.path}/" if self.path else ""
            lock = self._key("lock") + "/"
            keys = [key async for key in self.store.list_prefix(prefix)]
            parts = [key.removeprefix(prefix).partition("/") for key in keys]
            for key, (name, _, _) in zip(keys, parts, strict=True):
                if name == GROUP and not key.startswith(lock):
                    await self.store.delete(key)
            for folder in {name for name, slash, _ in parts if slash and name != GROUP}:
                await self.store.delete_dir(prefix + folder)
            for file in (name for name, slash, _ in parts if not slash):
                await self.store.delete(prefix + file)

        sync(remove())
        self._create(GROUP, {})

    def _mark_of(self, block: int) -> str:
        return self._key(f"done/c/{block}" if self.zarr_format == 3 else f"done/{block}")

    def _create(self, name: str, attributes: dict[str, Any]) -> None:
        path = f"{self.path}/{name}" if self.path else name
        if self.zarr_format == 3:
            node = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
            self._set(f"{path}/zarr.json", _encode(node))
        else:
            self._set(f"{path}/.zgroup", _encode({"zarr_format": 2}))
            self._set(f"{path}/.zattrs", _encode(attributes))

    def _key(self, name: str) -> str:
        return "/".join(part for part in (self.path, GROUP, name) if part)

    def _set(self, key: str, content: bytes) -> None:
        sync(self.store.set(key, default_buffer_prototype().buffer.from_bytes(content)))

    def _get(self, key: str) -> dict[str, Any] | None:
        found = sync(self.store.get(key, default_buffer_prototype()))
        if found is None:
            return None
        try:
            document: dict[str, Any] = json.loads(found.to_bytes())
        except ValueError:  # torn by the end of its writer
            return None
        return document

    # -- who writes ---------------------------------------------------------------------------

    def holder(self) -> dict[str, Any] | None:
        """Say who holds the lock."""
        document = self._get(self._lock_key)
        if document is None:
            return None
        found: dict[str, Any] = document.get("attributes", document)
        return found if "job" in found else None

    def is_held(self) -> bool:
        """Whether somebody is writing, as far as signs of life tell."""
        holder = self.holder()
        return holder is not None and not _is_gone(holder)

    @property
    def _lock_key(self) -> str:
        return self._key("lock/zarr.json" if self.zarr_format == 3 else "lock/.zattrs")

    @contextlib.contextmanager
    def lock(self) -> Iterator[Lock]:
        """Be the only one who writes, within the block.

        Raises
        ------
        StoreInUseError
            Somebody else is writing.
        """
        lock = Lock(self)
        lock.take()
        try:
            yield lock
        except KeyboardInterrupt:
            with contextlib.suppress(TimeoutError):  # then the hold ends with the signs of life
                lock.release(HURRY)
            raise
        except BaseException:
            lock.release()
            raise
        lock.release()


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode()


class Lock:
    """The right to write a store, with a sign of life every few seconds."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._key = journal._lock_key
        self.job = uuid.uuid4().hex
        self._mine = {"job": self.job, "host": socket.gethostname(), "pid": os.getpid()}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="qmosaic-lock")
        self.lost = False

    def take(self) -> None:
        """Take the lock, from a writer that is gone if need be."""
        holder = self._journal.holder()
        if holder is not None and not _is_gone(holder):
            raise StoreInUseError(_in_use(self._journal, holder))
        if holder is not None or self._journal._get(self._key) is not None:
            sync(self._journal.store.delete(self._key))
        buffer = default_buffer_prototype().buffer
        content = buffer.from_bytes(self._document())
        sync(self._journal.store.set_if_not_exists(self._key, content))
        holder = self._journal.holder()
        if holder is None or holder["job"] != self.job:
            raise StoreInUseError(_in_use(self._journal, holder or {}))
        if self._journal.read() is None:
            self._journal._create(GROUP, {})  # a parent of the lock, as Zarr readers expect one
        self._thread.start()

    def check(self) -> None:
        """Make sure that nobody else has taken the store over, as far as the last beat knows."""
        if self.lost:
            raise StoreInUseError(_in_use(self._journal, self._journal.holder() or {}))

    def check_now(self) -> None:
        """Make sure that nobody else has taken the store over."""
        holder = self._journal.holder()
        self.lost = self.lost or (holder is not None and holder["job"] != self.job)
        self.check()

    def release(self, patience: float | None = None) -> None:
        """Let others write; with `patience`, give up after so many seconds.

        Raises
        ------
        TimeoutError
            The store does not answer.
        """
        self._over.set()
        self._thread.join(patience)
        if not self.lost:
            sync(self._journal.store.delete_dir(self._journal._key("lock")), timeout=patience)

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            try:
                holder = self._journal.holder()
                if holder is not None and holder["job"] != self.job:
                    self.lost = True
                    return
                self._journal._set(self._key, self._document())
            except Exception:  # a store that fails now may answer at the next beat
                continue

    def _document(self) -> bytes:
        attributes = self._mine | {"beat": time.time()}
        if self._journal.zarr_format == 2:
            return _encode(attributes)
        return _encode({"zarr_format": 3, "node_type": "group", "attributes": attributes})


def _is_gone(holder: dict[str, Any]) -> bool:
    """Whether a writer has shown no sign of life, or its process on this machine has ended."""
    if time.time() - holder["beat"] > LEASE:
        return True
    if holder["host"] != socket.gethostname():
        return False
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _in_use(journal: Journal, holder: dict[str, Any]) -> str:
    age = max(0.0, time.time() - holder.get("beat", time.time()))
    return (
        f"another job is writing {str(journal.store)!r}: process {holder.get('pid')} on "
        f"{holder.get('host')!r}, last sign of life {age:.0f} s ago. Two writers would spoil each "
        "other's blocks. Wait until it has finished, or write to another store; if that job is "
        f"gone, its hold on the store ends {LEASE:.0f} s after its last sign of life: then go on "
        "with mode='resume'."
    )

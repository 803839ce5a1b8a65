"""Object stores that write under conditions: nothing is replaced that came after the lock was
looked at."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

from zarr.abc.store import Store
from zarr.core.buffer import Buffer
from zarr.storage import ObjectStore

from qmosaic.sink.fencing.fence import ATTEMPTS, Fence, FencedStore, attributes_of

TOGETHER = 64
"""How many objects are deleted after one look at the lock."""


def keeps_conditions(store: ObjectStore[Any], key: str) -> bool:
    """Try whether an object store creates and replaces under conditions; some take no notice."""
    import obstore

    put: Any = obstore.put
    try:
        version = _version_of(put(store.store, key, b"1", mode="create"))
        with contextlib.suppress(obstore.exceptions.AlreadyExistsError):
            put(store.store, key, b"2", mode="create")
            return False
        put(store.store, key, b"3", mode=version)
        with contextlib.suppress(obstore.exceptions.PreconditionError):
            put(store.store, key, b"4", mode=version)
            return False
    except (NotImplementedError, obstore.exceptions.NotSupportedError):
        return False
    finally:
        with contextlib.suppress(Exception):  # what was wrong has been said by then
            obstore.delete(store.store, key)
    return True


def _version_of(found: Any) -> dict[str, str]:
    """Name a version of an object: by its ETag, its generation, or both."""
    return {k: found[k] for k in ("e_tag", "version") if found.get(k) is not None}


@dataclass(frozen=True)
class ConditionalFence(Fence):
    """Objects are created or replaced only in the state that they had when the lock was there."""

    @property
    def _objects(self) -> Any:
        return self.store.store  # type: ignore[attr-defined]

    def claim(self, document: bytes) -> bool:
        import obstore

        try:
            obstore.put(self._objects, self.key, document, mode="create")
        except obstore.exceptions.AlreadyExistsError:
            return self.holds()  # a request may have been sent twice
        return True

    def renew(self, document: bytes) -> bool:
        import obstore

        try:
            found = obstore.get(self._objects, self.key)
            mode: Any = _version_of(found.meta)  # before the content: older ones forget it then
            if attributes_of(bytes(found.bytes())).get("job") != self.job:
                return False
            obstore.put(self._objects, self.key, document, mode=mode)
        except (FileNotFoundError, obstore.exceptions.PreconditionError):
            return False
        return True

    def leave(self) -> None:
        if self.holds():
            self.revoke(self.number)

    def writer(self) -> Store:
        return ConditionalStore(self.store, self)

    def chunk_writer(self) -> Store:
        return ConditionalStore(self.store, self, looks_first=False)

    @property
    def every_chunk(self) -> bool:
        return True


class ConditionalStore(FencedStore):
    """An object store that replaces nothing that has come since the lock was looked at."""

    def __init__(self, store: Any, fence: Fence, looks_first: bool = True) -> None:
        super().__init__(store, fence)
        self._looks_first = looks_first

    async def set(self, key: str, value: Buffer) -> None:
        """Create an object; or replace the one that is there, and no later one."""
        import obstore

        content = value.as_buffer_like()
        if self._looks_first:
            await self._look()
        mode: Any = "create"
        for _ in range(ATTEMPTS):
            try:
                await _put(self._store.store, key, content, mode)
            except (
                obstore.exceptions.AlreadyExistsError,
                obstore.exceptions.PreconditionError,
            ):
                mode = await self._version(key)
                await self._look()  # after the version was read: what comes later is another one
            else:
                return
        raise RuntimeError(
            f"{key!r} in {self._fence.name!r} changes again and again while it is written: "
            "something else writes there. Let one job at a time write a store."
        )

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Create an object, if there is none."""
        await self._look()
        await self._store.set_if_not_exists(key, value)

    async def delete(self, key: str) -> None:
        """Delete an object."""
        await self._look()
        await _delete(self._store, key)

    async def delete_dir(self, prefix: str) -> None:
        """Delete the objects in a folder."""
        keys = [key async for key in self._store.list_prefix(prefix.rstrip("/") + "/")]
        for first in range(0, len(keys), TOGETHER):
            await self._look()
            batch = keys[first : first + TOGETHER]
            await asyncio.gather(*(_delete(self._store, key) for key in batch))

    async def _version(self, key: str) -> Any:
        import obstore

        try:
            return _version_of(await obstore.head_async(self._store.store, key))
        except FileNotFoundError:
            return "create"


async def _put(store: Any, key: str, content: Any, mode: Any) -> None:
    """Write an object in one step, if the condition holds."""
    import obstore

    await obstore.put_async(store, key, content, mode=mode)


async def _delete(store: Store, key: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # some object stores say so
        await store.delete(key)

"""Any other store: the lock is looked at before and after everything that is written."""

from __future__ import annotations

from dataclasses import dataclass

from zarr.abc.store import Store
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.core.sync import sync

from qmosaic.sink.fencing.fence import Fence, FencedStore, StoreInUseError
from qmosaic.sink.fencing.locks import numbers_of


@dataclass(frozen=True)
class CheckedFence(Fence):
    """The lock is looked at before and after everything that is written."""

    def claim(self, document: bytes) -> bool:
        sync(self.store.set_if_not_exists(self.key, _buffer(document)))
        return self.holds()

    def renew(self, document: bytes) -> bool:
        if not self.holds():
            return False
        sync(self.store.set(self.key, _buffer(document)))
        return True

    def leave(self) -> None:
        if self.holds():
            others = numbers_of(self.store, self.folder) - {self.number}
            sync(self.store.delete_dir(f"{self.folder}/{self.number}" if others else self.folder))

    def confirm(self) -> None:
        if not self.holds():
            raise self.too_late()

    def too_late(self) -> StoreInUseError:
        """Say that something was written when the lock was gone."""
        return StoreInUseError(
            f"{self.lost()} What was written last, a chunk perhaps, may have come after the "
            "takeover, which this kind of store cannot prevent: write that mosaic anew."
        )

    def writer(self) -> Store:
        return CheckedStore(self.store, self)

    def chunk_writer(self) -> Store:
        return self.store


class CheckedStore(FencedStore):
    """A store that looks at the lock before and after everything that it writes."""

    _fence: CheckedFence

    async def set(self, key: str, value: Buffer) -> None:
        """Write between two looks at the lock."""
        await self._look()
        await self._store.set(key, value)
        await self._look_again()

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write between two looks at the lock, if nothing is there."""
        await self._look()
        await self._store.set_if_not_exists(key, value)
        await self._look_again()

    async def delete(self, key: str) -> None:
        """Delete after a look at the lock."""
        await self._look()
        await self._store.delete(key)

    async def delete_dir(self, prefix: str) -> None:
        """Delete after a look at the lock."""
        await self._look()
        await self._store.delete_dir(prefix)

    async def _look_again(self) -> None:
        if not await self._fence.holds_now():
            raise self._fence.too_late()


def _buffer(content: bytes) -> Buffer:
    return default_buffer_prototype().buffer.from_bytes(content)

"""Which locks are in a store."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore

from qmosaic.sink.fencing.fence import HOLDER, attributes_of


def locks(store: Store, folder: str) -> dict[int, dict[str, Any]]:
    """List the locks of a store: what their documents say, by their numbers.

    A document that is damaged is an empty one: whose it was, nobody can tell.
    """
    found = {}
    for number in numbers_of(store, folder):
        read = sync(store.get(f"{folder}/{number}/{HOLDER}", default_buffer_prototype()))
        if read is not None:
            found[number] = attributes_of(read.to_bytes())
    return found


def numbers_of(store: Store, folder: str) -> set[int]:
    """Number the locks of a store."""
    if isinstance(store, LocalStore):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return {int(n) for n in os.listdir(store.root / folder) if _is_number(n)}
        return set()
    _forget_listings(store)

    async def list_keys() -> list[str]:
        return [key async for key in store.list_prefix(folder + "/")]

    names = (key.removeprefix(folder + "/").split("/") for key in sync(list_keys()))
    return {int(n[0]) for n in names if len(n) == 2 and n[1] == HOLDER and _is_number(n[0])}


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _forget_listings(store: Store) -> None:
    """Let a file system of fsspec look again: it may keep what it has listed."""
    forget = getattr(getattr(store, "fs", None), "invalidate_cache", None)
    if callable(forget):
        forget()

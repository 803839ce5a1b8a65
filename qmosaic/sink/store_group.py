"""Where a mosaic is written to, or read from: a group in a store."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore, MemoryStore, StorePath

from qmosaic.engine.graph import Location, locate_store
from qmosaic.sink.journal import Journal


@dataclass(frozen=True)
class Place:
    """A group in a store.

    Attributes
    ----------
    store : zarr Store
        The store.
    path : str
        The group, "" for the root.
    name : str
        What to call it in errors.
    inner : str
        The group below in which the arrays lie: that of the full resolution of a mosaic with
        levels, else "".
    """

    store: Store
    path: str
    name: str
    inner: str = ""

    @property
    def arrays(self) -> str:
        """The group in which the arrays lie."""
        return self.key(self.inner).strip("/")

    def level(self, name: str) -> Place:
        """Give the place of a level."""
        return Place(self.store, self.key(name), f"{self.name}/{name}")

    @property
    def session(self) -> Any:
        """The session of Icechunk that the store belongs to, or None."""
        return getattr(self.store, "session", None)

    def journal(self, zarr_format: int) -> Journal:
        """Give the journal of the mosaic."""
        return Journal(self.store, self.path, zarr_format, self.name)

    @property
    def folder(self) -> Path | None:
        """The folder of the group, where it is one on this machine."""
        root = getattr(self.store, "root", None)
        return root / self.path if isinstance(root, Path) else None

    def location(self) -> Location | None:
        """Say where the group lies, whatever the store was opened with."""
        found = locate_store(self.store)
        return None if found is None else found / self.path

    def key(self, name: str) -> str:
        """Give the key in the store of a file in the group."""
        return f"{self.path}/{name}" if self.path else name

    def keys(self) -> Iterator[str]:
        """Name the files in the group."""
        prefix = self.key("")
        return (key.removeprefix(prefix) for key in self._listed())

    def is_occupied(self) -> bool:
        """Whether there is anything in the group."""
        return bool(self._listed(most=1))

    def _listed(self, most: int | None = None) -> list[str]:
        """List the files in the group, so many at most.

        Raises
        ------
        OSError
            The store does not tell.
        """

        async def collect() -> list[str]:
            found: list[str] = []
            async for key in self.store.list_prefix(self.key("")):
                found.append(key)
                if len(found) == most:
                    break
            return found

        if not self._is_there():
            return []
        try:
            return list(sync(collect()))
        except OSError:
            raise
        except Exception as error:  # obstore's own
            self.read(self.key("zarr.json"))  # says more where it is forbidden
            raise FileNotFoundError(
                f"the store {self.name!r} does not say what is in it: {error}. Check its name "
                "(is there such a bucket?) and the keys that open it."
            ) from error

    def _is_there(self) -> bool:
        """Whether the store can be asked: zarr makes the folder of one that is opened."""
        root = getattr(self.store, "root", None)
        return not isinstance(root, Path) or root.is_dir()

    def read(self, key: str) -> bytes | None:
        """Read a file of the store, None where there is none."""
        if not self._is_there():
            return None
        found = sync(self.store.get(key, default_buffer_prototype()))
        return None if found is None else found.to_bytes()

    def sweep(self) -> None:
        """Remove the files that a killed writer has left half-written in a folder."""
        root = getattr(self.store, "root", None)
        if isinstance(root, Path):
            for left in (root / self.path).rglob("*.partial"):
                left.unlink(missing_ok=True)

    def zarr_format(self) -> Literal[2, 3] | None:
        """Give the format of the group that is there; None where there is none.

        Raises
        ------
        ValueError
            There is an array.
        """
        for name in ("zarr.json", ".zarray", ".zgroup"):
            content = self.read(self.key(name))
            found = None if content is None else node_of(name, content)
            if found == "array":
                raise ValueError(
                    f"{self.name!r} is an array of Zarr, and a mosaic is a group. Name the group "
                    "that the array is in, or another path."
                )
            if found == "group":
                return 3 if name == "zarr.json" else 2
        return None

    def format_there(self) -> Literal[2, 3] | None:
        """Give the format of the mosaic that is there, or of what is there.

        Raises
        ------
        ValueError
            There is a file in place of a folder.
        """
        root = getattr(self.store, "root", None)
        if isinstance(root, Path) and root.is_file():
            raise ValueError(
                f"{self.name!r} is a file, and a mosaic lies in a Zarr store, which is a folder. "
                "Open GeoTIFFs and NetCDF files with qmosaic.open_collection, or with rioxarray or "
                "xarray."
            )
        found = self.journal(3).format_there() or self.zarr_format()
        return None if found is None else 2 if found == 2 else 3


def open_place(store: Any, group: str | None, storage_options: dict[str, Any] | None) -> Place:
    """Open what a user names as store.

    Raises
    ------
    TypeError
        It is nothing that a Zarr store can be opened from.
    """
    if group is not None and not isinstance(group, str):
        raise TypeError(f"group={group!r} is not the name of a group: give a string.")
    if storage_options and not _is_url(store):
        raise ValueError(
            f"storage_options= are for URLs, and {store!r} is none. Give them to the store itself, "
            "or leave them out."
        )
    path = (group or "").strip("/")
    if isinstance(store, Store):
        return Place(store, path, _name(store))
    if isinstance(store, StorePath):
        return Place(store.store, "/".join(p for p in (store.path, path) if p), str(store))
    if isinstance(store, dict):
        return Place(MemoryStore(store), path, "a store in memory")
    if _is_url(store):
        return Place(_at_url(store, storage_options), path, store)
    if isinstance(store, str | os.PathLike):
        # a worker may have another working directory
        return Place(LocalStore(Path(store).expanduser().resolve()), path, str(store))
    raise TypeError(
        f"a {type(store).__name__} is no store; it has to be a path, a URL such as "
        "'s3://bucket/mosaic.zarr', or a store of zarr (zarr.storage.LocalStore, ObjectStore, "
        "the store of an Icechunk session ...)."
    )


def _at_url(url: str, storage_options: dict[str, Any] | None) -> Store:
    try:
        opened: Store = FsspecStore.from_url(url, storage_options=storage_options)
    except ImportError as error:
        raise ImportError(
            f"{url!r} is opened through fsspec, which lacks a library here ({error}). Install that "
            'library, or obstore (pip install ".[s3]" in the checkout of qmosaic) and give '
            f"zarr.storage.ObjectStore(obstore.store.from_url({url!r}))."
        ) from None
    return opened


def _is_url(store: Any) -> bool:
    return isinstance(store, str) and ("://" in store or "::" in store)


def _name(store: Store) -> str:
    root = getattr(store, "root", None) or getattr(store, "path", None)
    return str(root) if root else str(store)


def node_of(name: str, content: bytes) -> str | None:
    """Say what a document of Zarr describes, a group or an array; None for any other file."""
    try:
        document = json.loads(content)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    if name == "zarr.json":
        kind = document.get("node_type")
        return kind if document.get("zarr_format") == 3 and kind in ("group", "array") else None
    if name == ".zarray":
        return "array" if document.get("zarr_format") == 2 and "shape" in document else None
    return "group" if document.get("zarr_format") == 2 else None

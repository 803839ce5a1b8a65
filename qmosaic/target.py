"""Where a mosaic is written to: opening it, and refusing what would lose something."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import xarray as xr
import zarr
from zarr.abc.store import Store
from zarr.errors import ContainsArrayError
from zarr.storage import FsspecStore, LocalStore, MemoryStore, StorePath

from qmosaic.collection import sources_of
from qmosaic.journal import GROUP, Journal


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
    """

    store: Store
    path: str
    name: str

    @property
    def session(self) -> Any:
        """The session of Icechunk that the store belongs to, or None."""
        return getattr(self.store, "session", None)

    def journal(self, zarr_format: int) -> Journal:
        """Give the journal of the mosaic."""
        return Journal(self.store, self.path, zarr_format)

    def sweep(self) -> None:
        """Remove the files that a killed writer has left half-written in a folder."""
        root = getattr(self.store, "root", None)
        if isinstance(root, Path):
            for left in (root / self.path).rglob("*.partial"):
                left.unlink(missing_ok=True)

    def zarr_format(self) -> Literal[2, 3] | None:
        """Give the format of the group that is there; None where there is none."""
        try:
            group = zarr.open_group(self.store, path=self.path, mode="r", use_consolidated=False)
        except (FileNotFoundError, KeyError):
            return None
        except ContainsArrayError as error:
            raise ValueError(
                f"{self.name!r} is an array of Zarr, and a mosaic is a group. Name the group that "
                "the array is in, or another path."
            ) from error
        return 2 if group.metadata.zarr_format == 2 else 3


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
        opened: Store = FsspecStore.from_url(store, storage_options=storage_options)
        return Place(opened, path, store)
    if isinstance(store, str | os.PathLike):
        # a worker may have another working directory
        return Place(LocalStore(Path(store).expanduser().resolve()), path, str(store))
    raise TypeError(
        f"a {type(store).__name__} is no store; it has to be a path, a URL such as "
        "'s3://bucket/mosaic.zarr', or a store of zarr (zarr.storage.LocalStore, ObjectStore, "
        "the store of an Icechunk session ...)."
    )


def _is_url(store: Any) -> bool:
    return isinstance(store, str) and ("://" in store or "::" in store)


def _name(store: Store) -> str:
    root = getattr(store, "root", None) or getattr(store, "path", None)
    return str(root) if root else str(store)


def check_place(place: Place, dataset: xr.Dataset) -> None:
    """Refuse a target that cannot be written, or whose writing would lose something."""
    if place.store.read_only:
        raise ValueError(
            f"the store {place.name!r} was opened read-only, so no mosaic can be written there. "
            "Open it with read_only=False (or a writable session)."
        )
    if not (place.store.supports_deletes and place.store.supports_listing):
        raise ValueError(
            f"the store {place.name!r} ({type(place.store).__name__}) cannot delete or list what "
            "it holds, so a mosaic in it could be neither resumed nor told from a half-written "
            "one. Write to a folder or an object store, and pack that afterwards."
        )
    root = getattr(place.store, "root", None)
    if isinstance(root, Path):
        _check_folder(dataset, root / place.path, place.name)


def _check_folder(dataset: xr.Dataset, path: Path, name: str) -> None:
    if path.is_file():
        raise FileExistsError(
            f"{name!r} is a file, not a folder that a Zarr store could be in. Write to another "
            "path."
        )
    if path.is_dir() and any(path.iterdir()) and not _looks_like_zarr(path):
        raise FileExistsError(
            f"{name!r} is a folder with files in it that is no Zarr store; writing would mix "
            "with them or delete them. Write to a path of its own, for instance "
            f"{str(Path(name) / 'mosaic.zarr')!r}."
        )
    for source in sources_of(dataset):
        if "://" not in source and _nested(Path(source).resolve(), path.resolve()):
            raise ValueError(
                f"the mosaic is made from {source!r}, and writing to {name!r} would destroy it "
                "before it is read. Write to another path."
            )


def _nested(a: Path, b: Path) -> bool:
    return a == b or a in b.parents or b in a.parents


def _looks_like_zarr(path: Path) -> bool:
    # The journal comes first: where it is, a mosaic has been begun, perhaps a moment ago.
    names = (GROUP, "zarr.json", ".zgroup", ".zarray", ".zmetadata")
    return any((path / name).exists() for name in names)

"""What a store knows about its own making: which blocks are there, and whether it is complete.

Beside the bands lies a group ``_qmosaic``, which xarray and other Zarr readers do not look into:

================== =================================================================
``_qmosaic``       attributes ``state`` ("writing" or "complete"), ``blocks``, ``plan``
``_qmosaic/done``  while writing: a name for each block that is there
``_qmosaic/notes`` while writing: what blocks had to leave out
``_qmosaic/kept``  while a mosaic is updated: what its blocks were before
``_qmosaic/lock``  while writing: who writes (see `qmosaic.sink.locking`)
================== =================================================================

While a mosaic is updated the attribute ``update`` says with what; the state is "writing" then.

The group is written before anything else, so whatever a killed run leaves says whose it is. Once
the store is laid out, the attribute ``layout`` names the layout: marks of blocks that a task of an
earlier one sets too late bear another name. A block is marked by the task that wrote it, after the
last of its chunks. A finished store keeps the group with its attributes alone.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import zarr
from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from qmosaic.sink.fencing import put
from qmosaic.sink.locking import Lock, holder_of, is_gone, locked

GROUP = "_qmosaic"

FORMAT = 2
"""The version of what this module writes."""

PASSING = ("done", "notes", "kept")
"""What a finished store has no need of."""

ALL_OF_THEM = "all"
"""The file that is written once all files of a block are kept."""


class DamagedJournalError(ValueError):
    """The group ``_qmosaic``, in which a store keeps the state of its mosaic, cannot be read.

    So nothing says whether the mosaic is complete, or which of its blocks are there. The error
    says what is wrong. Write the mosaic again with ``mode="w"``; or, to look at what is there,
    remove that group and use `xarray.open_zarr`.
    """


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
    name : str
        What to call the store in errors.
    layout : str
        The layout that blocks are marked of.
    """

    store: Store
    path: str
    zarr_format: int
    name: str = ""
    layout: str = ""

    # -- what is read -------------------------------------------------------------------------

    def read(self) -> dict[str, Any] | None:
        """Give the attributes of the journal; None where there is none.

        Raises
        ------
        DamagedJournalError
            There is something else in its place.
        """
        for name in ("zarr.json", ".zattrs"):
            content = self._get(self._key(name))
            if content is not None:
                found = self._attributes(name, content)
                if found:
                    self._check(found)
                    return found
        return None

    def format_there(self) -> int | None:
        """Tell in which format of Zarr there is a journal; None where there is none."""
        for zarr_format, name in ((3, "zarr.json"), (2, ".zattrs")):
            if self._get(self._key(name)) is not None:
                return zarr_format
        return None

    def is_node(self) -> bool:
        """Whether the journal is a group of Zarr, whatever it says."""
        try:
            zarr.open_group(self.store, path=self._key(""), mode="r", use_consolidated=False)
        except (ValueError, TypeError, KeyError, FileNotFoundError):
            return False
        return True

    def _attributes(self, name: str, content: bytes) -> dict[str, Any]:
        try:
            document = json.loads(content, parse_constant=str)  # NaN is no JSON, and equals nothing
        except ValueError:
            raise self._damaged("is no JSON") from None
        if name == "zarr.json" and isinstance(document, dict):
            document = document.get("attributes", {})
        if not isinstance(document, dict):
            raise self._damaged("has no attributes")
        return document

    def _check(self, found: dict[str, Any]) -> None:
        """Refuse attributes that this version cannot have written; others are not judged."""
        if "format" not in found:
            raise self._damaged("does not say in which format it is")
        if found["format"] != FORMAT:
            return
        if found.get("state") not in ("writing", "complete"):
            raise self._damaged(f"is in the state {found.get('state')!r}")
        blocks = found.get("blocks")
        if isinstance(blocks, bool) or not isinstance(blocks, int) or blocks < 0:
            raise self._damaged(f"knows of {blocks!r} blocks")
        if not isinstance(found.get("plan"), dict):
            raise self._damaged("does not say which mosaic it is of")
        if not isinstance(found.get("layout", ""), str):
            raise self._damaged(f"names the layout {found['layout']!r}")
        if not isinstance(found.get("update", {}), dict):
            raise self._damaged("does not say what the mosaic is updated with")

    def _damaged(self, how: str) -> DamagedJournalError:
        return DamagedJournalError(
            f"the journal of {self.name!r} ({self._key('')}) is damaged: it {how}. So nothing "
            "says whether the mosaic is complete, or which of its blocks are there. Write it anew "
            "with mode='w'; to look at what is there, remove the journal and use xarray.open_zarr."
        )

    def laid_out(self) -> bool:
        """Whether a run has got so far that there can be blocks."""
        found = self.read()
        if found is None or not found.get("layout"):
            return False
        name = "done/zarr.json" if self.zarr_format == 3 else "done/.zarray"
        return self._get(self._key(name)) is not None

    def of_layout(self) -> Journal:
        """Give the journal of the layout that is there."""
        return replace(self, layout=(self.read() or {}).get("layout", ""))

    def done(self) -> set[int]:
        """Number the blocks that are there; what is no mark of this layout does not count."""
        found = self.read()
        if found is None or not found.get("layout"):
            return set()
        names = re.compile(rf"([0-9]+)\.{re.escape(found['layout'])}", re.ASCII)
        marks = (names.fullmatch(name) for name in self._names(self._marks))
        return {n for mark in marks if mark and (n := int(mark[1])) < found["blocks"]}

    def marked(self, block: int) -> bool:
        """Whether a block is there."""
        return bool(sync(self.store.exists(self._mark_of(block))))

    def notes(self) -> list[str]:
        """Give what blocks of this layout have noted, sorted."""
        found: set[str] = set()
        for name in self._noting():
            content = self._get(self._key(f"notes/{name}/{self._metadata}"))
            attributes = {} if content is None else self._attributes(self._metadata, content)
            found.update(str(chunk) for chunk in attributes.get("skipped", ()))
        return sorted(found)

    def _noting(self) -> list[str]:
        names = {name.split("/")[0] for name in self._names(self._key("notes"))}
        return sorted(name for name in names if name.endswith(f".{self.layout}"))

    def _names(self, folder: str) -> list[str]:
        async def list_names() -> list[str]:
            prefix = folder + "/"
            return [key.removeprefix(prefix) async for key in self.store.list_prefix(prefix)]

        return sync(list_names())

    # -- what is written ----------------------------------------------------------------------

    def begin(self, blocks: int, plan: dict[str, Any]) -> None:
        """Say that a mosaic is being written here; what was there before counts no more."""
        attributes = {"format": FORMAT, "state": "writing", "blocks": blocks, "plan": plan}
        self._create(GROUP, attributes)
        # that of the other format would be read too, and say something else
        for name in ("zarr.json",) if self.zarr_format == 2 else (".zattrs", ".zgroup"):
            if self._get(self._key(name)) is not None:
                sync(self.store.delete(self._key(name)))

    def begin_update(self, blocks: int, update: dict[str, Any]) -> None:
        """Say that the mosaic is being updated; the store holds it as it was until then."""
        attributes = self.read()
        if attributes is None:
            raise self._damaged("has gone while the update was prepared")
        before = {k: v for k, v in attributes.items() if k != "layout"}
        begun = {"state": "writing", "blocks": blocks, "update": update}
        self._create(GROUP, before | begun)
        for name in PASSING:
            sync(self.store.delete_dir(self._key(name)))

    def settle_layout(self) -> Journal:
        """Say that the store is laid out, so that blocks can be marked; give the journal of that
        layout."""
        attributes = self.read()
        if attributes is None:
            raise self._damaged("has gone while the store was laid out")
        zarr.create_array(
            self.store,
            name=self._key("done"),
            shape=(max(attributes["blocks"], 1),),
            chunks=(1,),
            dtype="uint8",
            fill_value=0,
            filters=None,
            compressors=None,
            zarr_format=self.zarr_format,  # type: ignore[arg-type]
            overwrite=True,
        )
        self._create(f"{GROUP}/notes", {})
        layout = uuid.uuid4().hex[:12]
        self._create(GROUP, attributes | {"layout": layout})
        return replace(self, layout=layout)

    def forget_notes(self, done: set[int]) -> None:
        """Remove what blocks have noted that were not finished: they are made again."""
        for name in self._noting():
            if name.split(".")[0] not in {str(block) for block in done}:
                sync(self.store.delete_dir(self._key(f"notes/{name}")))

    def mark(self, block: int, skipped: list[str]) -> None:
        """Say that a block is there; `skipped` says what it had to leave out."""
        if skipped:
            self._create(f"{GROUP}/notes/{block}.{self.layout}", {"skipped": skipped})
        self._set(self._mark_of(block), b"\x01")

    def finish(self, changes: dict[str, Any] | None = None) -> None:
        """Say that the mosaic is complete, and let go of what is no longer needed.

        Parameters
        ----------
        changes : dict, optional
            What an update has changed of the attributes of the journal.
        """
        attributes = self.read()
        if attributes is not None and (changes or attributes["state"] != "complete"):
            kept = {k: v for k, v in attributes.items() if k not in ("layout", "update")}
            self._create(GROUP, kept | (changes or {}) | {"state": "complete"})
        for name in PASSING:
            sync(self.store.delete_dir(self._key(name)))

    # -- what blocks were before an update ----------------------------------------------------

    def keep(self, block: int, keys: Iterable[str]) -> None:
        """Keep files of a block as they are; they count as kept once all of them are."""
        folder, listed = self._kept_of(block), []
        for number, key in enumerate(keys):
            content = self._get(key)
            listed.append([key, content is not None])
            if content is not None:
                self._set(f"{folder}/{number}", content)
        self._set(f"{folder}/{ALL_OF_THEM}", _encode({"files": listed}))

    def bring_back(self, block: int) -> None:
        """Put the files of a block back as they were before it was changed, if it was."""
        folder = self._kept_of(block)
        content = self._get(f"{folder}/{ALL_OF_THEM}")
        if content is None:
            return
        for number, (key, was_there) in enumerate(json.loads(content)["files"]):
            before = self._get(f"{folder}/{number}") if was_there else None
            if before is not None:
                self._set(key, before)
            elif not was_there:
                sync(self.store.delete(key))
            else:
                raise self._damaged(f"has lost what block {block} was before the update")

    def changed(self) -> set[int]:
        """Number the blocks of this layout of which something is kept."""
        names = re.compile(rf"([0-9]+)\.{re.escape(self.layout)}/{ALL_OF_THEM}", re.ASCII)
        found = (names.fullmatch(name) for name in self._names(self._key("kept")))
        return {int(one[1]) for one in found if one}

    def _kept_of(self, block: int) -> str:
        return self._key(f"kept/{block}.{self.layout}")

    def sort_consolidated(self) -> None:
        """Bring consolidated metadata into an order that does not depend on how a store lists."""
        path = f"{self.path}/" if self.path else ""
        key = path + (".zmetadata" if self.zarr_format == 2 else "zarr.json")
        content = self._get(key)
        document = None if content is None else json.loads(content)
        holder = (
            document if self.zarr_format == 2 else (document or {}).get("consolidated_metadata")
        )
        if document is not None and holder:
            holder["metadata"] = dict(sorted(holder["metadata"].items()))
            self._set(key, _encode(document))

    def clear(self) -> None:
        """Remove all that is in the group of the mosaic but the journal itself and the lock."""

        async def remove() -> None:
            prefix = f"{self.path}/" if self.path else ""
            kept = tuple(self._key(n) for n in ("lock/", "zarr.json", ".zattrs", ".zgroup"))
            keys = [key async for key in self.store.list_prefix(prefix)]
            parts = [key.removeprefix(prefix).partition("/") for key in keys]
            for key, (name, _, _) in zip(keys, parts, strict=True):
                if name == GROUP and not key.startswith(kept):
                    await self.store.delete(key)
            files = [name for name, slash, _ in parts if not slash]
            folders = {name for name, slash, _ in parts if slash}
            folders |= {name.strip("/") async for name in self.store.list_dir(self.path)}  # empty
            for folder in sorted(folders - {GROUP, *files}):
                await self.store.delete_dir(prefix + folder)
            for file in files:
                await self.store.delete(prefix + file)

        sync(remove())

    @property
    def _marks(self) -> str:
        return self._key("done/c" if self.zarr_format == 3 else "done")

    @property
    def _metadata(self) -> str:
        return "zarr.json" if self.zarr_format == 3 else ".zattrs"

    def _mark_of(self, block: int) -> str:
        return f"{self._marks}/{block}.{self.layout}"

    def _create(self, name: str, attributes: dict[str, Any]) -> None:
        path = f"{self.path}/{name}" if self.path else name
        if self.zarr_format == 3:
            node = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
            self._set(f"{path}/zarr.json", _encode(node))
        else:
            self._set(f"{path}/.zattrs", _encode(attributes))
            self._set(f"{path}/.zgroup", _encode({"zarr_format": 2}))

    def _key(self, name: str) -> str:
        return "/".join(part for part in (self.path, GROUP, name) if part)

    def _set(self, key: str, content: bytes) -> None:
        put(self.store, key, default_buffer_prototype().buffer.from_bytes(content))

    def _get(self, key: str) -> bytes | None:
        root = getattr(self.store, "root", None)
        if isinstance(root, Path) and not root.exists():
            return None  # zarr would make the folder that it is asked to read in
        found = sync(self.store.get(key, default_buffer_prototype()))
        return None if found is None else bytes(found.to_bytes())

    # -- who writes ---------------------------------------------------------------------------

    def holder(self) -> dict[str, Any] | None:
        """Say who holds the lock."""
        return holder_of(self.store, self._key("lock"))

    def is_held(self) -> bool:
        """Whether somebody is writing, as far as signs of life tell."""
        holder = self.holder()
        return holder is not None and not is_gone(holder)

    def lock(self) -> AbstractContextManager[Lock]:
        """Be the only one who writes, within the block.

        Raises
        ------
        StoreInUseError
            Somebody else is writing.
        """
        return locked(self.store, self._key("lock"), self.name)


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode()

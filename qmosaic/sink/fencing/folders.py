"""Folders: what is written is staged in a folder of the job, and moved to its place from there."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zarr.abc.store import Store
from zarr.core.buffer import Buffer

from qmosaic.sink.fencing.fence import ATTEMPTS, HOLDER, Fence, FencedStore

CROSSED = (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY)
"""How a file system says that somebody else was at work in a folder."""


@dataclass(frozen=True)
class FolderFence(Fence):
    """A folder of the job, in the folder of its lock: what is written goes through it."""

    @property
    def _locks(self) -> Path:
        return self.store.root / self.folder  # type: ignore[attr-defined, no-any-return]

    @property
    def staging(self) -> Path:
        """Where the job puts what it is about to move to its place."""
        return self._locks / str(self.number) / self.job

    def claim(self, document: bytes) -> bool:
        made = self._locks / f"new-{self.job}"
        self._make_folder(made / self.job)
        try:
            (made / HOLDER).write_bytes(document)
            os.rename(made, self._locks / str(self.number))
        except OSError as error:
            if error.errno not in CROSSED:
                raise
        finally:
            _remove(made)
            if not self.holds():
                self._remove_parents()
        return self.holds()

    def _make_folder(self, folder: Path) -> None:
        try:
            _try_again(lambda: folder.mkdir(parents=True))
        except OSError as error:
            raise OSError(
                error.errno,
                f"the store {self.name!r} cannot be made ({error.strerror}). Write to a path "
                "where you may make folders",
                error.filename,
            ) from None

    def renew(self, document: bytes) -> bool:
        # In place, which never makes a lock that is gone; and by way of the job's own folder,
        # which a lock of the same number that somebody else has made later does not have.
        path = os.path.join(self.staging, "..", HOLDER)
        try:
            with open(path, "r+b") as file:
                file.write(document)
        except FileNotFoundError:
            return False
        return True

    def holds(self) -> bool:
        return self.staging.is_dir()

    async def holds_now(self) -> bool:
        return self.holds()

    def revoke(self, number: int) -> None:
        # At once: from here on nothing is found any more under the name that the job knows. On a
        # network file system it may know the folder by another name, until that is empty and gone.
        gone = self._locks / f"old-{uuid.uuid4().hex}"
        with contextlib.suppress(FileNotFoundError):
            os.rename(self._locks / str(number), gone)
        _remove(gone)

    def tidy(self) -> None:
        for path in self._locks.iterdir():
            if path.name.startswith(("new-", "old-")):
                _remove(path)

    def leave(self) -> None:
        if self.holds():
            self.revoke(self.number)
            self._remove_parents()

    def _remove_parents(self) -> None:
        """Remove the folder of the locks and that of the journal, if they are empty."""
        with contextlib.suppress(OSError):
            self._locks.rmdir()
            self._locks.parent.rmdir()

    def writer(self) -> Store:
        return StagingStore(self.store, self)


def _remove(path: Path) -> None:
    """Remove a folder for good, though somebody may still be putting something into it."""

    def remove() -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    _try_again(remove)


def _try_again(step: Callable[[], None]) -> None:
    for attempt in range(ATTEMPTS):
        try:
            return step()
        except OSError as error:
            if error.errno not in CROSSED or attempt == ATTEMPTS - 1:
                raise


def _move(source: Path, target: Path) -> None:
    """Move a file or folder to its place, in one step."""
    os.replace(source, target)


def _link(source: Path, target: Path) -> None:
    """Put a file into its place, in one step, if nothing is there."""
    os.link(source, target)


class StagingStore(FencedStore):
    """A folder into which, and out of which, everything is moved through the folder of a job."""

    _fence: FolderFence

    async def set(self, key: str, value: Buffer) -> None:
        """Stage a file, and move it to its place."""
        await asyncio.to_thread(self.put, key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Stage a file, and move it to its place if nothing is there."""
        with contextlib.suppress(FileExistsError):
            await asyncio.to_thread(self._write, key, value, _link)

    async def delete(self, key: str) -> None:
        """Move something out of its place, and remove it."""
        await asyncio.to_thread(self.take_away, key)

    async def delete_dir(self, prefix: str) -> None:
        """Move a folder out of its place, and remove it."""
        await asyncio.to_thread(self.take_away, prefix)

    def put(self, key: str, value: Buffer) -> None:
        """Do the same as `set`, in the thread that calls."""
        self._write(key, value, _move)

    def _write(self, key: str, value: Buffer, move: Any) -> None:
        target = self._store.root / key
        with self._staged() as staged:
            with staged.open("xb") as file:
                file.write(value.as_buffer_like())
            try:
                try:
                    move(staged, target)
                except FileNotFoundError:
                    self._move_into_new(staged, target, move)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._write_across(staged, target, move)

    def _move_into_new(self, staged: Path, target: Path, move: Any) -> None:
        """Move a file into a folder that is not there yet; if that fails, leave no empty one."""
        for _ in range(ATTEMPTS):  # a job that leaves may just have removed the folder
            if not staged.exists():
                break
            with contextlib.suppress(FileNotFoundError):
                target.parent.mkdir(parents=True, exist_ok=True)
                move(staged, target)
                return
        self._remove_empty(target.parent)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target))

    def _remove_empty(self, folder: Path) -> None:
        with contextlib.suppress(OSError):
            while folder != self._store.root:
                folder.rmdir()
                folder = folder.parent

    def _write_across(self, staged: Path, target: Path, move: Any) -> None:
        """Write to another disk, where somebody has put a folder of the store: look, then move."""
        beside = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(staged, beside)
            self._fence.check()
            move(beside, target)
        finally:
            beside.unlink(missing_ok=True)

    def take_away(self, key: str) -> None:
        """Do the same as `delete`, in the thread that calls."""
        target = self._store.root / key
        with self._staged() as staged:
            try:
                _move(target, staged)
            except FileNotFoundError:
                self._fence.check()
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._fence.check()
                _remove(target)
            else:
                _remove(staged)

    @contextlib.contextmanager
    def _staged(self) -> Iterator[Path]:
        """Give a path in the folder of the job; what is left there in the end is removed."""
        staged = self._fence.staging / uuid.uuid4().hex
        try:
            yield staged
        except FileNotFoundError as error:
            if not self._fence.holds():
                raise self._fence.lost() from error
            raise
        finally:
            with contextlib.suppress(OSError):
                staged.unlink(missing_ok=True)

"""What a run asks for: the tasks that dask runs, and the chunk files that are opened.

Files are counted from outside, by what the kernel tells (inotify): routes read through Zarr, C++ or
Rust, and no library sees all of that. Only Linux tells.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.job import Job
from benchmarks.workloads import chunk_files


@contextmanager
def linked(store: Path) -> Iterator[Path]:
    """Give a store of the same files in folders of its own, so that nobody else reads in it."""
    with tempfile.TemporaryDirectory(dir=store.parent, prefix="counted-") as folder:
        yield Path(shutil.copytree(store, Path(folder) / store.name, copy_function=os.link))


@contextmanager
def counting(job: Job) -> Iterator[dict[str, Any]]:
    """Count tasks, chunks of bands that are read, and their bytes; None where it cannot be told."""
    counts: dict[str, Any] = {"tasks": 0, "chunks": None, "bytes": None}
    with ExitStack() as stack:
        stack.enter_context(_counted_tasks(counts))
        opened = stack.enter_context(opened_files(_folders(job)))
        yield counts
    if opened is not None:
        counts["chunks"] = len(opened)
        counts["bytes"] = sum(file.stat().st_size for file in opened)


def _folders(job: Job) -> set[Path]:
    """Name the folders in which there are chunks of the job's bands."""
    folders = {f.parent for f in chunk_files(job.workload, job.store)}
    for folder, below, _ in os.walk(job.relaid or os.devnull):
        if not below and set(job.workload.bands) & set(Path(folder).parts):
            folders.add(Path(folder))
    return folders


@contextmanager
def _counted_tasks(counts: dict[str, Any]) -> Iterator[None]:
    from dask.callbacks import Callback

    def task(key: Any, dsk: Any, state: Any) -> None:
        counts["tasks"] += 1

    with Callback(pretask=task):
        yield


@contextmanager
def opened_files(folders: Iterable[Path]) -> Iterator[list[Path] | None]:
    """List the files in these folders that are opened, each as often as it is opened.

    The list is complete when the context is left; it is None where inotify_simple is not installed.

    Raises
    ------
    RuntimeError
        The kernel had to drop what it wanted to tell.
    """
    try:
        from inotify_simple import INotify, flags
    except ImportError:
        yield None
        return
    opened: list[Path] = []
    over = threading.Event()
    lost = threading.Event()

    def listen() -> None:
        while (events := notes.read(timeout=50)) or not over.is_set():
            for event in events:
                if event.mask & flags.Q_OVERFLOW:
                    lost.set()
                elif not event.mask & flags.ISDIR:
                    opened.append(watched[event.wd] / event.name)

    with INotify() as notes:
        watched = {
            notes.add_watch(folder.resolve(), flags.OPEN): folder
            for folder in folders
            if folder.is_dir()
        }
        listener = threading.Thread(target=listen)
        listener.start()
        try:
            yield opened
        finally:
            over.set()
            listener.join()
    if lost.is_set():
        raise RuntimeError("more files were opened than the kernel could tell of")

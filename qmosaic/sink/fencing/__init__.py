"""Writing that is for one job alone: what a store does so that no job writes whose time is over.

A job may stop for a minute (a laptop that sleeps, a machine that swaps, a signal) and wake up when
another one has long taken its store over; a worker may be at work still when its client is gone. To
look whether one may write, and to write then, are two steps, and between them lies the time in
which all this happens. So every job has a `Fence`: a lock that is its own, and a store through
which it writes only as long as the lock is there. Whoever takes a store over removes the
fences of others first, and only then clears or writes anything. A fence that is gone never comes
back: it bears the name of its job, which no other job has.

What that is worth depends on the store:

A folder (`zarr.storage.LocalStore`)
    Whatever is written is staged in a folder of the job, and moved to its place from there;
    what is deleted is moved there first. Who takes over renames that folder and removes it; from
    then on nothing can be staged, moved or deleted by the other job any more. A move is one step
    of the file system and needs the folder, so *nothing* is written, deleted or marked after a
    takeover, however long a job was stopped and wherever. What it moved before lies there
    before the next job begins: that clears it (``mode="w"``), or it is the right chunk of the very
    mosaic (``mode="resume"``). Empty folders may be left over, which Zarr does not look at.
An object store with conditional writes (`zarr.storage.ObjectStore`: S3, Google, Azure, memory)
    An object is only created, or replaced in the version that was there before the
    lock was looked at. So no object that a later job has written is ever replaced. Chunks that are
    all fill value are written too: where each chunk has its object, none can be created
    later. Marks of blocks bear the name of the layout that they are of. What remains: a
    *deletion* cannot be made conditional, so a job that is stopped between a look at the lock and a
    deletion (only the clearing with ``mode="w"``, and the end) may delete when it wakes up; and an
    object that the later mosaic has no use for (a band that it lacks) may be left over.
Any other store (fsspec, memory of zarr, subclasses of these)
    The lock is looked at before and after everything that is written. A job that has lost it stops,
    with an error, before its next chunk; the one chunk that it was about to write when it was
    stopped may be written, and the error says so. Of two jobs that take over the lock of
    a third in the very same instant both may begin; one of them stops at its first look.

=========== ==========================================================
``others``  any other store
``objects`` object stores with conditional writes
``folders`` folders
``locks``   which locks are in a store
``fence``   what a job has of a store that it writes
=========== ==========================================================
"""

from __future__ import annotations

from zarr.abc.store import Store
from zarr.core.buffer import Buffer
from zarr.core.sync import sync
from zarr.storage import LocalStore, ObjectStore

from qmosaic.sink.fencing.fence import Fence, StoreInUseError, document_of
from qmosaic.sink.fencing.folders import FolderFence, StagingStore
from qmosaic.sink.fencing.locks import locks
from qmosaic.sink.fencing.objects import ConditionalFence, keeps_conditions
from qmosaic.sink.fencing.others import CheckedFence

__all__ = ["Fence", "StagingStore", "StoreInUseError", "document_of", "fence_for", "locks", "put"]


def fence_for(store: Store, folder: str, name: str, job: str) -> Fence:
    """Give the fence that suits a store.

    Parameters
    ----------
    store : zarr Store
        The store.
    folder : str
        Where its locks are, as a key.
    name : str
        What to call it in errors.
    job : str
        The name of the job.
    """
    # A subclass may do something else when something is written, which must not be passed by.
    if type(store) is LocalStore:
        return FolderFence(store, folder, name, job)
    if isinstance(store, ObjectStore) and keeps_conditions(store, f"{folder}/probe-{job}"):
        return ConditionalFence(store, folder, name, job)
    return CheckedFence(store, folder, name, job)


def put(store: Store, key: str, value: Buffer) -> None:
    """Write one object or file, and come back when it is there.

    A folder needs none of the hops between threads that a store has which answers later.
    """
    if isinstance(store, StagingStore):
        store.put(key, value)
    else:
        sync(store.set(key, value))


def __dir__() -> list[str]:
    return __all__

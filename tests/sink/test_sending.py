"""What cannot be sent to the workers of a cluster is named, before anything is written."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.tokenize import TokenizationError

import qmosaic as qm
from qmosaic.sink.sending import send
from tests.support.processes import local_cluster
from tests.support.sources import dates

pytest.importorskip("distributed", reason="distributed is in the extra [distributed]")

VALUES = np.arange(3 * 8 * 8, dtype="uint16").reshape(3, 8, 8)


class Locked:
    """An array behind a lock, as people write a class around a file."""

    def __init__(self) -> None:
        self.shape, self.dtype, self.ndim = VALUES.shape, VALUES.dtype, VALUES.ndim
        self._lock = threading.Lock()

    def __getitem__(self, index: Any) -> Any:
        with self._lock:
            return VALUES[index]


def locking() -> Callable[[Any], Any]:
    """Make a function that holds a lock."""
    lock = threading.Lock()

    def one_at_a_time(block: Any) -> Any:
        with lock:
            return block

    return one_at_a_time


def mosaic(band: da.Array, quality: da.Array) -> xr.Dataset:
    """Make a mosaic of the best of three images, which is the last."""
    dims = ("time", "y", "x")
    collection = xr.Dataset({"red": (dims, band), "quality": (dims, quality)}, {"time": dates(3)})
    return qm.quality_mosaic(collection, "quality")


def an_object() -> da.Array:
    return da.from_array(Locked(), chunks=(1, 4, 4), name="locked")


def a_function() -> da.Array:
    plain = da.from_array(VALUES, chunks=(1, 4, 4))
    return plain.map_blocks(locking(), dtype="uint16", name="locking")


@pytest.mark.filterwarnings("ignore:Running on a single-machine scheduler")  # which is advised
@pytest.mark.parametrize("place", ["band", "quality"])
@pytest.mark.parametrize("rechunked", [False, True])
@pytest.mark.parametrize(
    ("made", "what"),
    [
        (an_object, rf"an object of the class Locked of {__name__}"),
        (a_function, rf"the function locking\.<locals>\.one_at_a_time of {__name__}"),
    ],
)
def test_what_cannot_be_sent_is_named(
    made: Callable[[], da.Array], what: str, rechunked: bool, place: str, tmp_path: Path
) -> None:
    """An error says what cannot be sent, why it has to be, and what to write; nothing is written;
    what it advises works."""
    array = made().rechunk((1, 8, 8)) if rechunked else made()
    plain = da.from_array(VALUES, chunks=array.chunks)
    best = mosaic(*((array, plain) if place == "band" else (plain, array)))
    out = tmp_path / "out.zarr"
    told = rf"{what} cannot be sent .*_thread\.lock.*other processes.*qm\.open_collection.*threads"
    with local_cluster(n_workers=1, processes=False):
        with pytest.raises(TypeError, match=told):
            qm.to_zarr(best, out)
        assert not out.exists()
        with dask.config.set(scheduler="threads"):
            qm.to_zarr(best, out)
    np.testing.assert_array_equal(qm.open_mosaic(out, mask_and_scale=False)["red"], VALUES[-1])


class Client:
    """Stands for a client whose scheduler takes no tasks."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def get(self, graph: Any, keys: Any, sync: bool) -> Any:
        """Fail."""
        raise self._error


@pytest.mark.parametrize(
    ("held", "error", "raised", "told"),
    [
        (Locked(), TokenizationError("hash"), TypeError, "the class Locked .*cannot be sent"),
        (Locked(), pickle.PicklingError("lock"), TypeError, "the class Locked .*cannot be sent"),
        (1, TokenizationError("Object <x> cannot"), TypeError, "a part of it .*Object <x> cannot"),
        (1, OSError("connection lost"), OSError, "^connection lost$"),
    ],
)
def test_errors_while_tasks_are_sent(
    held: Any, error: Exception, raised: type[Exception], told: str
) -> None:
    """A later task that cannot be sent is named as the first ones are; other errors stay as they
    are."""
    with pytest.raises(raised, match=told):
        send(Client(error), {"a": held}, ["a"])

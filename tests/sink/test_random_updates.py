"""Random mosaics that go on: after any updates the store is that of all images together."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from typing import Any

import dask
import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import qmosaic as qm
from tests.support.sources import CountingArray

PACKING = {"dtype": "int16", "scale_factor": 0.5, "_FillValue": -99}


@dataclass
class Case:
    """Images, in the order in which they come, and the rules."""

    values: dict[str, np.ndarray]
    days: list[int]
    attrs: dict[str, dict[str, Any]]
    packed: bool
    parts: list[int]
    memory: bool
    one_array: bool
    chunks: tuple[int, int]
    options: dict[str, Any]
    quality: Any

    def images(self, start: int, stop: int) -> Any:
        """Make the collection of some of the images."""
        data = {}
        for name, values in self.values.items():
            own = values[start:stop]
            if not self.memory:
                own = da.from_array(CountingArray(own), chunks=(1, *self.chunks)[: own.ndim])
            data[name] = (("time", "y", "x")[: own.ndim], own, self.attrs[name])
        days = pd.Timestamp("2020-01-01") + pd.to_timedelta(self.days[start:stop], "D")
        coords = {"time": days, "y": [1.0, 2.0, 3.0], "x": [5.0, 6.0, 7.0, 8.0]}
        found = xr.Dataset(data, coords)
        if self.packed:
            found["red"].encoding = dict(PACKING)
        return found.to_dataarray("band").transpose("time", ...) if self.one_array else found

    def write(self, store: Any, start: int, stop: int) -> None:
        """Write the mosaic of some of the images."""
        mosaic = qm.quality_mosaic(
            self.images(start, stop), self.quality, provenance=True, **self.options
        )
        chunks = dict(zip(("y", "x"), self.chunks, strict=True))
        qm.to_zarr(mosaic, store, updatable=True, progress=False, chunks=chunks)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw images with many ties, and any rules by which a mosaic can go on."""
    parts = draw(st.lists(st.integers(1, 3), min_size=2, max_size=3))
    shape = (sum(parts), 3, 4)

    def numbers(dtype: str, few: list[Any], size: tuple[int, ...] = shape) -> np.ndarray:
        count = int(np.prod(size))
        drawn = draw(st.lists(st.sampled_from(few), min_size=count, max_size=count))
        return np.array(drawn, dtype).reshape(size)

    one_array = draw(st.booleans())
    floats = [np.nan, -1.0, 0.0, 2.5]
    dtypes = ["float32"] if one_array else ["int16", "uint8", "float32", "bool"]
    dtype = draw(st.sampled_from(dtypes))
    few = {"b": [False, True], "f": floats}.get(np.dtype(dtype).kind, [0, 1, 2])
    values = {"q": numbers(dtype, few), "red": numbers("float32", floats)}
    attrs: dict[str, dict[str, Any]] = {"q": {}, "red": {}}
    if np.dtype(dtype).kind in "iu":
        attrs["q"] |= draw(st.sampled_from([{}, {"_FillValue": 0}, {"nodata": 1}]))
        attrs["q"] |= draw(st.sampled_from([{}, {"scale_factor": -0.1}]))
    if not one_array:
        values["nir"] = numbers("uint16", [0, 1, 7])
        attrs["nir"] = draw(st.sampled_from([{}, {"_FillValue": 0}]))
        values["day"] = numbers("int16", [1, 2, 3], (shape[0],))
        attrs["day"] = {}
    period = draw(st.sampled_from([None, None, "MS"]))
    step = draw(st.sampled_from([3, 20]))
    days = [step * n for n in range(shape[0])]
    if period is None:
        days = draw(st.permutations(days))
    options = {
        "ties": draw(st.sampled_from(["first", "last"])),
        "masked": draw(st.sampled_from(["keep", "skip"])),
        "min_quality": draw(st.sampled_from([None, None, 1])),
        "fill_value": draw(st.sampled_from([None, 3])),
        "period": period,
    }
    return Case(
        values,
        list(days),
        attrs,
        not one_array and draw(st.booleans()),
        parts,
        draw(st.booleans()),
        one_array,
        draw(st.sampled_from([(2, 2), (3, 4), (1, 4)])),
        options,
        draw(st.sampled_from(["q", ["q", "red"], ["red", "q"]])),
    )


def content(store: MemoryStore) -> dict[str, bytes]:
    """Give all that is in a store but what it says of its making."""
    files = store._store_dict
    return {k: v.to_bytes() for k, v in files.items() if not k.startswith("_qmosaic/")}


@settings(max_examples=10, deadline=None)
@given(case=cases())
def test_updates_give_the_mosaic_of_all_images(case: Case) -> None:
    """The store after any number of updates is, byte for byte, the store of the mosaic of all
    images together, with its attributes; ties go by the order of the images."""
    updated, whole = MemoryStore(), MemoryStore()
    ends = [0, *itertools.accumulate(case.parts)]
    with dask.config.set(scheduler="synchronous"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        case.write(whole, 0, ends[-1])
        case.write(updated, 0, ends[1])
        for start, stop in itertools.pairwise(ends[1:]):
            qm.update(updated, case.images(start, stop), progress=False)
    got, want = content(updated), content(whole)
    assert sorted(got) == sorted(want)
    assert {k: v for k, v in got.items() if v != want[k]} == {}
    assert qm.open_mosaic(updated).identical(qm.open_mosaic(whole))

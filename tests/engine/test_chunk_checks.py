"""A chunk of another shape or dtype than its array promises is an error that names it, on every
input that a band can be; what means the same is taken."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from dask.array.core import getter

import qmosaic as qm
from qmosaic.engine.chunk_checks import UnexpectedChunkError, as_promised
from qmosaic.engine.graph import map_surroundings
from tests.support.sources import CountingArray, as_dataset, dates

IMAGES, SIDE = 3, 8
VALUES = np.arange(IMAGES * SIDE * SIDE, dtype="int32").reshape(IMAGES, SIDE, SIDE)

Change = Callable[[np.ndarray], Any]

# What a function may give in place of an int32 chunk of shape (1, 4, 4).
WRONG: dict[str, Change] = {
    "one row": lambda b: b[:, :1],
    "one pixel": lambda b: b[:, :1, :1],
    "no time": lambda b: b[0],
    "no image": lambda b: b[:0],
    "two images": lambda b: np.concatenate([b, b]),
    "a row more": lambda b: np.pad(b, ((0, 0), (0, 1), (0, 0))),
    "a dimension more": lambda b: b[None],
    "None": lambda b: None,
    "a list": lambda b: b.tolist(),
    "a text": lambda b: "x",
    "a number": lambda b: 5,
    "float64": lambda b: b + 0.5,
    "NaN": lambda b: np.where(b > 100, np.nan, b),
    "float32": lambda b: b.astype("float32"),
    "int64": lambda b: b.astype("int64"),
    "uint32": lambda b: b.astype("uint32"),
    "complex": lambda b: b + 1j,
    "object": lambda b: b.astype(object),
    "texts": lambda b: b.astype("U5"),
    "times": lambda b: b.astype("datetime64[D]"),
    "masked without nodata": lambda b: np.ma.masked_less(b, 1000),
}

# What means the same.
SAME: dict[str, Change] = {
    "as it is": lambda b: b,
    "read-only": lambda b: np.broadcast_to(b, b.shape),
    "another byte order": lambda b: b.astype(">i4"),
    "less bytes": lambda b: b.astype("int16"),
    "less bytes, unsigned": lambda b: b.astype("uint16"),
    "in another order in memory": np.asfortranarray,
    "masked, nothing of it": lambda b: np.ma.masked_less(b, -1),
    "of xarray": xr.DataArray,
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_what_is_refused(change: Change) -> None:
    """Another shape, another dtype, no array at all: an error that says what came and what was
    promised."""
    with pytest.raises(UnexpectedChunkError, match=r"(came, and .*\(1, 4, 4\) was promised|mask)"):
        as_promised(change(VALUES[:1, :4, :4]), (1, 4, 4), np.dtype("int32"))


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_means_the_same(change: Change) -> None:
    """Taken, in the promised dtype, with the same values."""
    chunk = VALUES[:1, :4, :4]
    got = as_promised(change(chunk), (1, 4, 4), np.dtype("int32"))
    assert type(got) is np.ndarray
    assert got.dtype == "int32"
    np.testing.assert_array_equal(got, chunk)


@pytest.mark.parametrize(
    ("came", "promised", "taken"),
    [
        ("uint8", "float32", True),
        ("float32", "float64", True),
        ("int32", "float64", True),
        ("int32", "float32", False),
        ("int64", "float64", False),
        ("uint64", "float64", False),
        ("uint64", "int64", False),
        ("float64", "float32", False),
        ("bool", "uint8", True),
        ("uint8", "bool", False),
        ("<U2", "<U3", True),
        ("<U3", "<U2", False),
        ("<U3", "O", True),
        ("O", "<U3", False),
        ("datetime64[s]", "datetime64[ns]", False),
        (">M8[ns]", "<M8[ns]", True),
    ],
)
def test_dtypes_that_hold_each_other(came: str, promised: str, taken: bool) -> None:
    """A cast that keeps every value and their order is made; no other."""
    values = np.ones(3, "int8").astype(came)
    if not taken:
        with pytest.raises(UnexpectedChunkError):
            as_promised(values, (3,), np.dtype(promised))
        return
    got = as_promised(values, (3,), np.dtype(promised))
    assert got.dtype == np.dtype(promised)
    assert got.tolist() == values.tolist()


def test_masked_arrays() -> None:
    """What numpy has masked is masked here: NaN, NaT, or the band's nodata."""
    masked = np.ma.masked_equal(np.array([1, 2, 3]), 2)
    floats = as_promised(masked.astype("float32"), (3,), np.dtype("float32"))
    np.testing.assert_array_equal(floats, np.float32([1, np.nan, 3]))
    np.testing.assert_array_equal(
        as_promised(masked.astype("int16"), (3,), np.dtype("int16"), np.int16(-9)), [1, -9, 3]
    )
    days = as_promised(masked.astype("M8[D]"), (3,), np.dtype("M8[D]"))
    assert np.isnat(days).tolist() == [False, True, False]
    with pytest.raises(UnexpectedChunkError, match="declares no nodata"):
        as_promised(masked.astype("int16"), (3,), np.dtype("int16"))


def test_the_error_travels() -> None:
    """Workers send it to the client."""
    error = pickle.loads(pickle.dumps(UnexpectedChunkError("band 'red' ...")))
    assert isinstance(error, UnexpectedChunkError)
    assert isinstance(error, ValueError)
    assert str(error) == "band 'red' ..."


# -- every input ----------------------------------------------------------------------------------


class Scored:
    """Gives the third of some chunks another form."""

    def __init__(self, change: Change) -> None:
        self.change = change

    def __call__(self, block: np.ndarray, block_id: tuple[int, ...] = ()) -> Any:
        return self.change(block) if block_id[0] == IMAGES - 1 else block


def changed(change: Change, chunks: Any = (1, 4, 4)) -> da.Array:
    """Give an array whose last image is not what it promises."""
    array = da.from_array(CountingArray(VALUES), chunks=chunks)
    return array.map_blocks(Scored(change), dtype="int32", meta=np.empty((0, 0, 0), "int32"))


def collection_of(quality: Any, red: Any, **more: Any) -> xr.Dataset:
    """Make a collection; the later an image the higher its scores."""
    bands = {"quality": quality, "red": red}
    variables = {name: (("time", "y", "x"), band) for name, band in bands.items()} | more
    return xr.Dataset(variables, {"time": dates(IMAGES)})


def good() -> da.Array:
    """Give an array that is as it says."""
    return da.from_array(CountingArray(VALUES), chunks=(1, 4, 4))


def beside_shared(array: da.Array) -> da.Array:
    """Put a rechunk beside an array, after which blocks share work; its chunks stay the same."""
    shared = da.from_array(CountingArray(VALUES * 0), chunks=(1, 3, 8)).rechunk((1, 4, 4))
    return da.blockwise(_first, "tyx", array, "tyx", shared, "tyx", dtype=array.dtype)


def _first(array: Any, other: Any) -> Any:
    return array


INPUTS: dict[str, Callable[[Change], xr.Dataset]] = {
    "quality": lambda f: collection_of(changed(f), good()),
    "band": lambda f: collection_of(good(), changed(f)),
    "quality as dependency": lambda f: collection_of(beside_shared(changed(f)), good()),
    "band as dependency": lambda f: collection_of(good(), beside_shared(changed(f))),
    "persisted": lambda f: collection_of(changed(f).persist(scheduler="synchronous"), good()),
}


@pytest.mark.parametrize("change", ["one row", "no time", "no image", "two images", "float64"])
@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("by", ["compute", "to_zarr"])
def test_chunks_are_checked_for_every_input(kind: str, change: str, by: str) -> None:
    """Deferred, as dependencies, persisted; computed and written: image, band and chunk are
    named."""
    mosaic = qm.quality_mosaic(INPUTS[kind](WRONG[change]), "quality")
    band = "red" if kind.startswith("band") else "quality"
    named = rf"band '{band}' of image 2020-07-03.*, chunk \(2, [01], [01]\).*map_blocks"
    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(UnexpectedChunkError, match=named),
    ):
        mosaic.compute() if by == "compute" else qm.to_zarr(mosaic, zarr.storage.MemoryStore())


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("change", ["another byte order", "less bytes", "masked, nothing of it"])
def test_chunks_that_mean_the_same_for_every_input(kind: str, change: str) -> None:
    """They give the mosaic that the right ones give, in the dtype that was promised."""
    mosaic = qm.quality_mosaic(INPUTS[kind](SAME[change]), "quality").compute(
        scheduler="synchronous"
    )
    for name in ("quality", "red"):
        assert mosaic[name].dtype == "int32"
        np.testing.assert_array_equal(mosaic[name].values, VALUES[-1])


@pytest.mark.parametrize("dependency", [False, True])
@pytest.mark.parametrize("masked", ["skip", "fill"])
def test_bands_that_have_to_be_valid_are_checked(masked: str, dependency: bool) -> None:
    """The mask rules read bands beside the quality."""
    band = changed(WRONG["one row"])
    collection = collection_of(good(), beside_shared(band) if dependency else band)
    collection["red"].attrs["_FillValue"] = -1
    mosaic = qm.quality_mosaic(collection, "quality", masked=masked)
    with pytest.raises(UnexpectedChunkError, match="band 'red' of image 2020-07-03"):
        mosaic["quality"].compute() if masked == "skip" else mosaic["red"].compute()


@pytest.mark.parametrize("change", [lambda b: b[:1], lambda b: b.astype("float64")])
@pytest.mark.parametrize("chunks", [(2, 1), (3,), (1, 1, 1)])
def test_bands_with_time_only_are_checked(change: Change, chunks: tuple[int, ...]) -> None:
    """A table that lacks an image, or is of another dtype; also where a chunk that is too short
    stands beside one that is too long."""
    table = da.from_array(CountingArray(np.arange(3)), chunks=(chunks,))
    doy = table.map_blocks(change, dtype=table.dtype, meta=np.empty(0, table.dtype))
    collection = collection_of(good(), good(), doy=("time", doy))
    if chunks == (1, 1, 1) and change(np.arange(1)).dtype == table.dtype:
        assert qm.quality_mosaic(collection, "quality")["doy"].compute().values[0, 0] == 2
        return
    with pytest.raises(UnexpectedChunkError, match=r"band 'doy' of image 2020-07-01"):
        qm.quality_mosaic(collection, "quality")["doy"].compute()


@pytest.mark.parametrize("dependency", [False, True])
def test_surroundings_are_checked(dependency: bool) -> None:
    """Chunks whose neighbours are looked at are checked before they are joined."""
    array = changed(WRONG["one row"])
    made = map_surroundings(
        beside_shared(array) if dependency else array, np.negative, {1: 1, 2: 1}, "int32"
    )
    with pytest.raises(UnexpectedChunkError, match=r"\(1, 1, 4\)"):
        qm.quality_mosaic(collection_of(made, good()), "quality").compute()


def test_a_function_of_surroundings_keeps_the_shape() -> None:
    """One that gives less is an error, not a shifted band."""
    made = map_surroundings(good(), _without_border, {1: 1, 2: 1}, "int32")
    with pytest.raises(UnexpectedChunkError, match="Let it return a value for each pixel"):
        qm.quality_mosaic(collection_of(made, good()), "quality").compute()


def _without_border(window: np.ndarray) -> np.ndarray:
    return window[:, 1:-1, 1:-1]


SAYS_WHAT_TO_WRITE = r"band 'quality' of image.*was read from a sou.* came.* promised\. .*declare"


class Broadcasting(CountingArray):
    """A source that gives one row in place of all, or another dtype."""

    def __init__(self, values: np.ndarray, change: Change) -> None:
        super().__init__(values)
        self.change = change

    def __getitem__(self, index: Any) -> Any:
        values = super().__getitem__(index)
        return self.change(values) if values.size else values


@pytest.mark.parametrize(
    "change",
    [
        WRONG["one row"],
        WRONG["float64"],
        lambda values: np.ma.masked_array(WRONG["one row"](values)),
    ],
    ids=["one row", "float64", "one row of a masked array"],
)
def test_sources_behind_arithmetic_are_checked(change: Change) -> None:
    """What is read is checked before it is computed with: a sum would hide its shape. The error
    says what came, what was promised, and what to write."""
    source = da.from_array(Broadcasting(VALUES, change), chunks=(1, 4, 4), asarray=False)
    quality = (source + good()).astype("int32")
    with pytest.raises(UnexpectedChunkError, match=SAYS_WHAT_TO_WRITE):
        qm.quality_mosaic(collection_of(quality, good()), "quality").compute()


@pytest.mark.parametrize(
    ("persisted", "where"),
    [(False, r"\[[04]:[48], [04]:[48]\]"), (True, r"chunk \([01], [01]\)")],
)
def test_a_mosaic_that_went_through_a_function_is_checked(persisted: bool, where: str) -> None:
    """Blocks are checked before they are written, too: the window that a job makes itself, the
    chunk that it is given."""
    mosaic = qm.quality_mosaic(collection_of(good(), good()), "quality")
    mosaic = mosaic.persist(scheduler="synchronous") if persisted else mosaic
    wrong = mosaic["red"].data.map_blocks(lambda b: b[:1], dtype="int32", chunks=((4, 4), (4, 4)))
    mosaic["red"] = (("y", "x"), wrong)
    with pytest.raises(UnexpectedChunkError, match=f"band 'red' of the mosaic, {where}"):
        qm.to_zarr(mosaic, zarr.storage.MemoryStore())


def test_it_is_neither_repeated_nor_left_out(tmp_path: Path) -> None:
    """Reading again would give the same, and a band that is not what it says is no missing
    image."""
    source = Broadcasting(VALUES, WRONG["one row"])
    quality = da.from_array(source, chunks=(1, 4, 4), asarray=False) * 2
    mosaic = qm.quality_mosaic(collection_of(quality, good()), "quality")
    calls = []
    for number, (retries, on_error) in enumerate(((0, "raise"), (3, "raise"), (3, "skip"))):
        source.calls.clear()
        with (
            dask.config.set(scheduler="synchronous"),
            pytest.raises(UnexpectedChunkError, match="band 'quality'"),
        ):
            qm.to_zarr(mosaic, tmp_path / f"{number}.zarr", retries=retries, on_error=on_error)
        calls.append(len(source.calls))
    assert len(set(calls)) == 1
    with pytest.raises(qm.IncompleteMosaicError):
        qm.open_mosaic(tmp_path / "2.zarr")


def test_a_source_without_dask_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection in memory: what its arrays give is what they say."""
    collection = as_dataset({"quality": VALUES, "red": VALUES})
    monkeypatch.setattr(
        xr.DataArray, "values", property(lambda band: np.asarray(band.variable.values)[:, :1])
    )
    with pytest.raises(UnexpectedChunkError, match=r"band 'quality'.*shape"):
        qm.quality_mosaic(collection, "quality")


def test_masked_arrays_of_dask() -> None:
    """``da.ma`` masks as NaN and nodata do, in the quality and in other bands."""
    values = VALUES.astype("float32")
    hidden = da.ma.masked_greater(da.from_array(CountingArray(values), chunks=(1, 4, 4)), 150)
    red = da.ma.masked_equal(good(), VALUES[1, 0, 0])
    collection = collection_of(hidden, red)
    collection["red"].attrs["_FillValue"] = np.int32(-7)
    mosaic = qm.quality_mosaic(collection, "quality").compute()
    want = np.where(VALUES[2] > 150, VALUES[1], VALUES[2])
    np.testing.assert_array_equal(mosaic["quality"].values, want)
    np.testing.assert_array_equal(mosaic["red"].values, np.where(want == VALUES[1, 0, 0], -7, want))


def test_the_functions_of_dask_that_read_are_known() -> None:
    """``getter(source, slices)`` is what is checked: dask still writes it for a source that is no
    numpy array."""
    array = good()
    assert array.__dask_graph__()[(array.name, 0, 0, 0)].func is getter

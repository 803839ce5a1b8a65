"""Views of arrays: at any window what dask makes of the same graph, and what the engine uses of
dask to make them."""

from __future__ import annotations

import functools
import itertools
import pickle
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask._task_spec import Alias, GraphNode, Task, _identity_cast
from dask.array import _shuffle
from dask.array.core import concatenate3, concatenate_shaped
from dask.blockwise import Blockwise, blockwise_token
from dask.layers import ArrayBlockIdDep, ArrayChunkShapeDep, ArraySliceDep

from qmosaic.collection.pixelwise import Placed
from qmosaic.engine.graph.asking import Asking
from qmosaic.engine.graph.making_views import Maker
from qmosaic.engine.graph.recipes import sort_graphs
from qmosaic.engine.graph.views import (
    Chunk,
    Chunkwise,
    Each,
    Pieces,
    Sliced,
    View,
    Window,
    Written,
    reached,
)
from tests.support.sources import CountingArray

VALUES = np.random.default_rng(0).normal(size=(6, 8, 8))


def source(values: np.ndarray = VALUES, chunks: Any = (1, 4, 4)) -> da.Array:
    """Chunk an array that is read."""
    return da.from_array(CountingArray(values), chunks=chunks)


def labelled() -> xr.DataArray:
    """Give images with coordinates."""
    coords = {"time": np.arange(6), "y": np.arange(8.0), "x": np.arange(8.0)}
    return xr.DataArray(source(), coords, ("time", "y", "x"))


def numbered(block: np.ndarray, block_info: Any = None, block_id: Any = ()) -> np.ndarray:
    """Use what dask tells a function of the block."""
    return block + sum(block_id) + block_info[0]["chunk-location"][0]


def made(block_id: Any = ()) -> np.ndarray:
    """Make a chunk of nothing."""
    return np.full((1, 4, 4), sum(block_id), "float64")


def deeper(block: np.ndarray) -> np.ndarray:
    """Add a dimension."""
    return block[..., None]


def ranked(block: np.ndarray) -> np.ndarray:
    """Make pixels of all that are in a chunk."""
    return block.ravel().argsort().argsort().reshape(block.shape)


def smoothed(block: np.ndarray) -> np.ndarray:
    """Look at neighbours."""
    padded = np.pad(block, ((0, 0), (1, 1), (1, 1)), mode="edge")
    return padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]


def middle(series: np.ndarray) -> np.ndarray:
    """Make a number of a pixel's series."""
    return np.median(series, axis=-1)


def ramp(values: np.ndarray, corner: tuple[int, ...]) -> np.ndarray:
    """Add to each pixel where it lies."""
    down, across = (np.arange(n) for n in values.shape[1:])
    return values + ((corner[0] + down)[:, None] * 100 + (corner[1] + across))


MASK = VALUES[0] > 0

ARRAYS: dict[str, Callable[[], da.Array]] = {
    # sources
    "a source": lambda: source(),
    "inlined": lambda: da.from_array(CountingArray(VALUES), chunks=(1, 4, 4), inline_array=True),
    "several images": lambda: source(chunks=(4, 8, 3)).astype("float32"),
    "in memory": lambda: da.from_array(VALUES, chunks=-1) + source(),
    "a plain graph": lambda: plain(source() + 1),
    # functions of single pixels
    "arithmetic": lambda: (source() - 2) / (source() + 3),
    "used twice": lambda: (lambda a: a * a + a)(source()),
    "an elevation": lambda: source() + source(VALUES[:1], (1, 4, 4)),
    "an elevation of two dimensions": lambda: source() + source(VALUES[0], (4, 4)),
    "a number an image": lambda: source() * source(VALUES[:, :1, :1], (1, 1, 1)),
    "a number an image, in memory": lambda: (
        source() * da.from_array(VALUES[:, 0, 0], chunks=2)[:, None, None]
    ),
    "where": lambda: da.where(source() > 0, source(), -1.0),
    "where with a mask in memory": lambda: da.where(MASK, source(), np.nan),
    "isin": lambda: da.isin(source().round(), [0, 1]),
    "clipped": lambda: da.clip(source(), -0.5, 0.5),
    "missing values filled": lambda: labelled().where(labelled() > 0).fillna(7).data,
    "knowing where": lambda: source().map_blocks(
        Placed(ramp, (1, 2), source().chunks), dtype="float64"
    ),
    # functions of chunks
    "numbers of blocks": lambda: da.map_blocks(numbered, source(), dtype="float64"),
    "ranks in a chunk": lambda: source().map_blocks(ranked, dtype="int64"),
    "made": lambda: da.map_blocks(made, chunks=((1,) * 6, (4, 4), (4, 4)), dtype="float64"),
    "full": lambda: da.full((6, 8, 8), 3, chunks=(1, 4, 4), dtype="int16") + source(),
    "zeros": lambda: da.zeros((6, 8, 8), chunks=(2, 3, 8)),
    "zeros like": lambda: da.zeros_like(source()) + source(),
    "counted up": lambda: da.arange(6, chunks=2)[:, None, None] + source(),
    "a dimension more": lambda: da.map_blocks(deeper, source(), new_axis=3, dtype="float64"),
    "a function of a series": lambda: da.apply_gufunc(
        middle, "(t)->()", source(chunks=(-1, 4, 4)), axes=[(0,), ()], output_dtypes="float64"
    ),
    "a function of two arrays": lambda: da.apply_gufunc(
        np.hypot, "(),()->()", source(), source(VALUES[0], (4, 4)), output_dtypes="float64"
    ),
    # cuts
    "cut": lambda: source()[:, 1:7, 3:],
    "steps": lambda: source()[::2, ::3, 1::2],
    "steps back": lambda: source()[::-1, ::-3, 6:1:-1],
    "one image": lambda: source()[3],
    "a row": lambda: source()[1:, 5],
    "a new axis": lambda: source()[:, None, 2:],
    "taken by a list": lambda: source()[[4, 0, 0, 5, 2]],
    "columns taken by a list": lambda: source()[:, :, [7, 1, 2, 6]],
    "taken": lambda: da.take(source(), [2, 1, 5], axis=1),
    "a boolean selection": lambda: source()[:, VALUES[0, :, 0] > 0],
    "sorted": lambda: labelled().sortby(xr.DataArray(-np.arange(8.0), dims="y")).data,
    "cut twice": lambda: source()[:, 1:][:, ::2, :5],
    # joins
    "rechunked": lambda: source().rechunk((4, 3, 5)),
    "rechunked twice": lambda: source().rechunk((1, 5, 8)).rechunk((3, 2, 3)),
    "cut and rechunked": lambda: (source()[:, 1:, 2:] * 2).rechunk((2, 4, 4)),
    "concatenated": lambda: da.concatenate([source()[3:], source(chunks=(2, 8, 8))]),
    "side by side": lambda: da.concatenate([source(), source() + 1], axis=2),
    "stacked": lambda: da.stack([source()[0], source()[4] * 2]),
    "one by one": lambda: (lambda a: da.concatenate([a[[t]] for t in (5, 3, 0)]))(source()),
    "a block matrix": lambda: da.block([[source(), source()], [source(), -source()]]),
    "padded": lambda: da.pad(source(), ((0, 0), (1, 2), (2, 0)), constant_values=-9),
    "padded with the edge": lambda: da.pad(source(), ((0, 0), (1, 2), (2, 3)), mode="edge"),
    "padded with a mirror": lambda: da.pad(source(), ((1, 1), (2, 2), (0, 3)), mode="reflect"),
    "rolled": lambda: da.roll(source(), 3, axis=1),
    "shifted": lambda: labelled().shift(time=1).data,
    "reindexed": lambda: labelled().reindex(x=[0.0, 2.0, 9.0, 3.0]).data,
    "differences": lambda: da.diff(source(), axis=0),
    "tiled": lambda: da.tile(source(), (1, 2, 1)),
    # axes
    "transposed": lambda: source().transpose(2, 0, 1),
    "with its transpose": lambda: (lambda a: a + a.transpose(0, 2, 1))(source()),
    "axes moved": lambda: da.moveaxis(source()[:, 1:], 0, -1),
    "an axis less": lambda: source()[:, :1].squeeze(1),
    "broadcast": lambda: da.broadcast_to(source(VALUES[0], (4, 4)), (6, 8, 8)),
    "broadcast in chunks": lambda: da.broadcast_to(
        source(VALUES[:1], (1, 4, 4)), (6, 8, 8), chunks=((2, 4), (4, 4), (4, 4))
    ),
    "repeated": lambda: da.repeat(source(), 2, axis=1),
    "reshaped": lambda: source(chunks=(1, 8, 8)).reshape(2, 3, 8, 8),
    # neighbours, reductions
    "overlapped": lambda: source().map_overlap(
        smoothed, depth={1: 1, 2: 1}, boundary="none", dtype="float64"
    ),
    "overlapped with a mirror": lambda: source().map_overlap(
        smoothed, depth={1: 1, 2: 2}, boundary="reflect", dtype="float64"
    ),
    "a mean over time": lambda: source().mean(axis=0),
    "an anomaly": lambda: source() - source().mean(axis=0),
    "a mean over the map": lambda: source() - source().mean(axis=(1, 2), keepdims=True),
    "a median": lambda: da.median(source(chunks=(-1, 4, 4)), axis=0),
    "a running sum": lambda: da.cumsum(source(), axis=0),
    "coarser": lambda: da.coarsen(np.mean, source(), {1: 2, 2: 2}),
    "rolling": lambda: labelled().rolling(y=3, center=True).mean().data,
    "a product of matrices": lambda: da.tensordot(source(), source(), axes=((1, 2), (1, 2))),
}


def plain(array: da.Array) -> da.Array:
    """Give an array a graph without layers."""
    return da.Array(dict(array.__dask_graph__()), array.name, array.chunks, meta=array._meta)


def view_of(array: da.Array) -> View:
    """Make a view of an array."""
    view = maker_of(array).of(array.name)
    assert view is not None
    return view


def maker_of(*arrays: da.Array) -> Maker:
    """Prepare views of arrays."""
    recipes = sort_graphs(*(array.__dask_graph__() for array in arrays))
    return Maker(recipes, {array.name: (array.chunks, array.dtype) for array in arrays})


def read(*targets: tuple[View, Any], together: int = 1) -> list[np.ndarray]:
    """Read views at places, each once."""
    asking = Asking(targets, together)
    return [asking.make(number) for number in range(len(targets))]


def some_windows(shape: tuple[int, ...], count: int) -> list[Window]:
    """Draw windows, with one of everything, one of nothing and one of a single pixel."""
    rng = np.random.default_rng(1)
    found = [tuple((0, n) for n in shape), tuple((n // 2, n // 2) for n in shape)]
    found.append(tuple((n - 1, n) for n in shape))
    for _ in range(count):
        ends = [np.sort(rng.choice(n + 1, 2, replace=False)) for n in shape]
        found.append(tuple((int(a), int(b)) for a, b in ends))
    return found


def cut_of(values: np.ndarray, window: Window) -> np.ndarray:
    """Cut a window out of an array."""
    return values[tuple(slice(a, b) for a, b in window)]


@pytest.mark.parametrize("name", ARRAYS)
def test_every_window_is_what_dask_makes(name: str) -> None:
    """Whatever the chunks, and whatever is made before: values, shape and dtype."""
    array = ARRAYS[name]()
    want = array.compute(scheduler="synchronous")
    view = view_of(array)
    assert view.shape == array.shape
    windows = some_windows(array.shape, 25)
    for window, got in zip(windows, read(*((view, w) for w in windows)), strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, cut_of(want, window))
    for ahead in (1, 3):
        asking = Asking([(view, window) for window in windows], together=2)
        asking.read_ahead(1, ahead)
        for number, window in enumerate(windows):
            np.testing.assert_array_equal(asking.make(number), cut_of(want, window))
        assert not asking._live
        asking.close()


@pytest.mark.parametrize("name", ARRAYS)
def test_every_chunk_is_what_dask_makes(name: str) -> None:
    """One by one: what a function of chunks is called for."""
    array = ARRAYS[name]()
    view = view_of(array)
    for numbers in itertools.product(*map(range, array.numblocks)):
        (got,) = read((view, Chunk(numbers)))
        want = array.blocks[numbers].compute(scheduler="synchronous")
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", ARRAYS)
def test_borders_are_those_of_the_array(name: str) -> None:
    """Along each axis in order, from the first pixel to behind the last; or anywhere."""
    view = view_of(ARRAYS[name]())
    for axis, size in enumerate(view.shape):
        borders = view.borders(axis)
        if borders is not None:
            assert borders[0] == 0
            assert borders[-1] == size
            assert (np.diff(borders) > 0).all()


SYMBOLIC: dict[str, Callable[[da.Array], da.Array]] = {
    "arithmetic": lambda a: (a - 2) / (a + 3),
    "where": lambda a: da.where(a > 0, a, -1.0),
    "numbers of blocks": lambda a: da.map_blocks(numbered, a, dtype="float64"),
    "cut": lambda a: a[:, 1:, 3:],
    "steps back": lambda a: a[::-1, ::-3],
    "a boolean selection": lambda a: a[:, np.arange(a.shape[1]) > 2],
    "rechunked": lambda a: a.rechunk((4, 3, 5)),
    "cut, computed with, rechunked": lambda a: (a[:, 1:] * 2).rechunk((2, 4, 4)),
    "transposed": lambda a: a.transpose(2, 0, 1),
    "joined": lambda a: da.concatenate([a, a + 1]),
    "broadcast": lambda a: da.broadcast_to(a[0], (9, *a.shape[1:])),
}


@pytest.mark.parametrize("name", SYMBOLIC)
def test_a_view_grows_neither_with_images_nor_with_blocks(name: str) -> None:
    """A view for each step, whose size is that of its numbers, however many chunks there are."""
    found = []
    for images, side in ((8, 16), (40, 80)):
        layout = np.broadcast_to(np.float64(0), (images, side, side))
        view = view_of(SYMBOLIC[name](source(layout, (1, 4, 4))))
        views = reached(view)
        assert sum(len(v.pieces) for v in views if isinstance(v, Pieces)) <= 4
        assert not any(isinstance(v, Written) for v in views)
        sizes = sum(len(pickle.dumps(vars(v).get("pieces"))) for v in views)
        found.append((len(views), sizes))
    assert found[0][0] == found[1][0]
    assert found[1][1] <= found[0][1] + 20


def test_a_cut_reads_only_its_window() -> None:
    """However an array was cut, regrouped and computed with, the pixels of a window are read and
    no others, each once."""
    counted = CountingArray(np.arange(6 * 32 * 32.0).reshape(6, 32, 32))
    array = (da.from_array(counted, chunks=(1, 8, 8))[:, 3:29, ::-1] * 2).rechunk((6, 7, 9))
    view = view_of(array)
    counted.calls.clear()
    (got,) = read((view, ((4, 5), (2, 9), (0, 5))))
    np.testing.assert_array_equal(got, 2 * counted.values[4:5, 5:12, 31:26:-1])
    assert counted.calls == [(slice(4, 5), slice(5, 12), slice(27, 32))]


def test_functions_of_single_pixels_are_known() -> None:
    """Arithmetic, ufuncs, casts, `where`, and what says of itself that it is one are called for
    windows; of what else is called no more is known than that it makes chunks."""
    a = source()
    for array in (
        *(a + 1, -a, abs(a), a > 0, a & 1 if a.dtype.kind == "i" else a == 1, a.astype("f4")),
        *(np.sqrt(a), np.isnan(a), np.maximum(a, 0), da.where(a > 0, a, 0), da.clip(a, 0, 1)),
        *(a.round(1), da.nan_to_num(a), ARRAYS["knowing where"]()),
    ):
        assert isinstance(view_of(array), Each), array.name
    for array in (
        a.map_blocks(ranked, dtype="int64"),
        a.map_blocks(functools.partial(ranked), dtype="int64"),
        da.map_blocks(numbered, a, dtype="float64"),
    ):
        assert isinstance(view_of(array), Chunkwise), array.name


def test_chunks_that_lie_in_memory_have_no_view() -> None:
    """They stay where they are: nothing of them travels with a task."""
    for array in (
        source().persist(scheduler="synchronous"),
        source().persist(scheduler="synchronous")[:, 1:] + 1,
        da.from_array(VALUES, chunks=(1, 4, 4)),
    ):
        assert maker_of(array).of(array.name) is None


def test_what_several_targets_use_is_made_once() -> None:
    """The bands of a block share its decision: made for the first, dropped after the last."""
    calls: list[Any] = []

    def dear(block: np.ndarray, block_id: Any = ()) -> np.ndarray:
        calls.append(block_id)
        return block * 2

    shared = da.map_blocks(dear, source(), dtype="float64")
    bands = [shared + 1, shared + 2, shared + 3]
    maker = maker_of(*bands)
    window = ((0, 1), (4, 8), (4, 8))
    targets = [(view, window) for band in bands if (view := maker.of(band.name)) is not None]
    asking = Asking(targets, together=3)
    calls.clear()
    for number in range(3):
        want = VALUES[:1, 4:, 4:] * 2 + (number + 1)
        np.testing.assert_array_equal(asking.make(number), want)
        assert len([v for v in asking._live.values() if v.made]) == (0 if number == 2 else 1)
    assert calls == [(0, 1, 1)]


def test_what_lasts_is_held_no_longer_than_it_is_used() -> None:
    """Of a walk over images only the values of the one that is made, and of what is known to be
    used by the next, are held."""
    view = view_of(source() * 2 + source().mean(axis=0))
    targets = [(view, ((t, t + 1), (0, 4), (0, 4))) for t in range(6)]
    asking = Asking(targets)
    for number in range(6):
        asking.make(number)
        held = [v for v in asking._live.values() if v.made]
        assert len(held) <= 3
    assert not asking._live


# -- what is used of dask -------------------------------------------------------------------------


def tasks_of(array: da.Array) -> list[Any]:
    """List the tasks of a graph."""
    return [v for v in dict(array.__dask_graph__()).values() if isinstance(v, GraphNode)]


def functions_of(array: da.Array) -> set[Any]:
    """Name the functions that the tasks of a graph call."""
    return {getattr(task, "func", None) for task in tasks_of(array)}


def test_tasks_of_dask_take_their_arguments_by_token() -> None:
    """What a view calls: ``Blockwise.task`` with a value for each of ``blockwise_token``."""
    array = source() + 1
    layer = array.__dask_graph__().layers[array.name]
    assert isinstance(layer, Blockwise)
    tokens = [blockwise_token(n) for n, (_, letters) in enumerate(layer.indices) if letters]
    assert tokens
    assert set(tokens) <= set(layer.task.dependencies)
    given = {t: np.ones((1, 2)) for t in tokens}
    literal = [(n, a) for n, (a, letters) in enumerate(layer.indices) if letters is None]
    given |= {blockwise_token(n): getattr(a, "value", a) for n, a in literal}
    np.testing.assert_array_equal(layer.task(given), np.full((1, 2), 2.0))


def test_dask_notes_what_an_array_is() -> None:
    """``Layer.collection_annotations`` says chunks and dtype of each array on the way."""
    first = source()
    array = (first[:, 1:].astype("float32") + 1).rechunk((3, 7, 5))
    arrays = sort_graphs(array.__dask_graph__()).arrays
    assert arrays[array.name] == (array.chunks, array.dtype)
    assert arrays[first.name] == (first.chunks, first.dtype)
    layers = array.__dask_graph__().layers
    assert {*layers} - {*arrays} <= {n for n in layers if n.startswith("original-")}


def test_dask_tells_slices_and_shapes_of_chunks() -> None:
    """``ArraySliceDep``, ``ArrayChunkShapeDep`` and ``ArrayBlockIdDep`` give for the numbers of a
    chunk its slices, its shape, and the numbers; what reads and fills is given them."""
    chunks = ((1, 2), (3, 4))
    assert ArraySliceDep(chunks)[1, 1] == (slice(1, 3, None), slice(3, 7, None))
    assert tuple(ArrayChunkShapeDep(chunks)[1, 0]) == (2, 3)
    assert ArrayBlockIdDep(chunks)[1, 0] == (1, 0)
    for array, kind in (
        (source(), ArraySliceDep),
        (da.zeros((4, 4), chunks=2), ArrayChunkShapeDep),
        (da.full((4, 4), 7, chunks=2), ArrayChunkShapeDep),
    ):
        layer = array.__dask_graph__().layers[array.name]
        assert isinstance(layer, Blockwise)
        assert kind in {type(values) for values in layer.io_deps.values()}
    assert isinstance(view_of(source()), Sliced)
    assert isinstance(view_of(da.full((4, 4), 7, chunks=2)), Each)


def test_dask_shuffles_with_functions_that_are_known() -> None:
    """``dask.array._shuffle`` takes items and joins them again, in an order that its tasks name:
    a list that goes to and fro between chunks."""
    array = source()[[5, 0, 3, 1, 4, 2]].rechunk((2, 4, 4))[[5, 0, 3, 1, 4, 2]]
    assert _shuffle._getitem in functions_of(array)
    assert _shuffle.concatenate_arrays in functions_of(array)
    values = np.arange(5)
    np.testing.assert_array_equal(_shuffle._getitem(values, (0, (slice(1, 3),))), [1, 2])
    sorter = (np.array([2, 0, 1]),)
    arrays = [np.array([7]), np.array([8, 9])]
    joined = _shuffle.concatenate_arrays(arrays, (0, sorter[0]), 0)
    np.testing.assert_array_equal(joined, np.concatenate(arrays)[np.argsort(sorter[0])])
    view = view_of(array)
    assert isinstance(view, Pieces)
    assert [type(v) for v in view.inputs] == [Sliced]


def test_dask_joins_chunks_with_functions_that_are_known() -> None:
    """What is joined stands in lists: nested for ``concatenate3``, flat and with the numbers along
    each axis for ``concatenate_shaped``."""
    values = [[[np.full((1, 2, 2), 10 * y + x) for x in range(2)] for y in range(2)]]
    flat = [values[0][y][x] for y in range(2) for x in range(2)]
    want = np.block([[list(row) for row in image] for image in values])
    np.testing.assert_array_equal(concatenate3(values), want)
    np.testing.assert_array_equal(concatenate_shaped(flat, (1, 2, 2)), want)
    for array in (source().rechunk((1, 8, 8)), source().rechunk((3, 8, 8))):
        tasks = [t for t in tasks_of(array) if getattr(t, "key", " ")[0] == array.name]
        assert {t.func for t in tasks if isinstance(t, Task)} <= {concatenate3, concatenate_shaped}
        assert isinstance(view_of(array), Pieces)


def test_lists_of_older_graphs_are_known() -> None:
    """Tasks that are written as tuples become task objects, in which ``_identity_cast`` makes the
    lists; what they hold is named in their order."""
    first = source()
    graph = dict(first.__dask_graph__())
    names = [[[(first.name, t, y, x) for x in range(2)] for y in range(2)] for t in (4, 1)]
    graph["old", 0, 0, 0] = (concatenate3, names)
    old = da.Array(graph, "old", ((2,), (8,), (8,)), meta=first._meta)
    task = sort_graphs(old.__dask_graph__()).tasks["old", 0, 0, 0]
    assert isinstance(task, Task)
    assert task.args[0].func is _identity_cast
    view = view_of(old)
    assert isinstance(view, Pieces)
    np.testing.assert_array_equal(read((view, ((0, 2), (0, 8), (0, 8))))[0], VALUES[[4, 1]])


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("cut", 1),
        ("steps back", 1),
        ("taken by a list", 1),
        ("a boolean selection", 1),
        ("sorted", 1),
        ("rechunked", 1),
        ("rechunked twice", 1),
        ("concatenated", 2),
        ("one by one", 1),
        ("broadcast in chunks", 1),
        ("rolled", 1),
    ],
)
def test_cuts_and_joins_are_known_by_what_their_tasks_do(name: str, kinds: int) -> None:
    """Nothing is computed for them, whatever they were made of: pieces of sources."""
    view = view_of(ARRAYS[name]())
    assert isinstance(view, Pieces)
    assert all(isinstance(v, Sliced) for v in view.inputs), [type(v) for v in view.inputs]
    assert len(view.inputs) == kinds


def test_an_alias_names_what_it_stands_for() -> None:
    """A chunk that another array has too is an alias, whose only dependency it is."""
    joined = da.concatenate([source()[3:], source() + 1])
    aliases = [task for task in tasks_of(joined) if isinstance(task, Alias)]
    assert aliases
    assert all(len(alias.dependencies) == 1 for alias in aliases)
    assert isinstance(view_of(joined), Pieces)

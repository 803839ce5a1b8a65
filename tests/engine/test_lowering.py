"""Symbolic layers as steps: chunk for chunk what dask makes of the same graph."""

from __future__ import annotations

import gc
import itertools
from typing import Any

import dask.array as da
import numpy as np
import pytest
from dask.blockwise import Blockwise, blockwise_token

from qmosaic.engine.graph import lowering
from qmosaic.engine.graph.lowering import View, view_of
from qmosaic.engine.graph.recipes import Recipes, sort_graphs
from qmosaic.engine.graph.viewing import ManyViews, ViewWalk, walk_over
from qmosaic.engine.graph.walking import Walk
from tests.support.sources import CountingArray

VALUES = np.random.default_rng(0).normal(size=(6, 8, 8))


def source(values: np.ndarray = VALUES, chunks: Any = (1, 4, 4)) -> da.Array:
    """Chunk an array that is read."""
    return da.from_array(CountingArray(values), chunks=chunks)


def numbered(block: np.ndarray, block_info: Any = None, block_id: Any = ()) -> np.ndarray:
    """Use what dask tells a function of the block."""
    return block + sum(block_id) + block_info[0]["chunk-location"][0]


ARRAYS = {
    "a source": lambda: source(),
    "inlined": lambda: da.from_array(CountingArray(VALUES), chunks=(1, 4, 4), inline_array=True),
    "arithmetic": lambda: (source() - 2) / (source() + 3),
    "used twice": lambda: (lambda a: a * a + a)(source()),
    "transposed": lambda: (lambda a: a + a.transpose(0, 2, 1))(source()),
    "several images": lambda: source(chunks=(4, 8, 3)).astype("float32"),
    "an elevation": lambda: source() + source(VALUES[:1], (1, 4, 4)),
    "a number an image": lambda: source() * source(VALUES[:, :1, :1], (1, 1, 1)),
    "numbers of blocks": lambda: da.map_blocks(numbered, source(), dtype="float64"),
    "where": lambda: da.where(source() > 0, source(), -1.0),
    "made": lambda: da.map_blocks(made, chunks=((1,) * 6, (4, 4), (4, 4)), dtype="float64"),
    "a dimension more": lambda: da.map_blocks(deeper, source(), new_axis=3, dtype="float64"),
}


def made(block_id: Any = ()) -> np.ndarray:
    """Make a chunk of nothing."""
    return np.full((1, 4, 4), sum(block_id), "float64")


def deeper(block: np.ndarray) -> np.ndarray:
    """Add a dimension."""
    return block[..., None]


def keys_of(array: da.Array) -> list[Any]:
    """Name all chunks."""
    return [(array.name, *n) for n in itertools.product(*map(range, array.numblocks))]


def lowered(array: da.Array) -> tuple[Recipes, View]:
    """Lower an array."""
    recipes = sort_graphs(array.__dask_graph__())
    view = view_of(recipes, array.name)
    assert view is not None
    return recipes, view


@pytest.mark.parametrize("name", ARRAYS)
def test_every_chunk_is_what_dask_makes(name: str) -> None:
    """One by one, in any order, with and without values that are kept for all of a block."""
    array = ARRAYS[name]()
    want = {key: array.blocks[key[1:]].compute(scheduler="synchronous") for key in keys_of(array)}
    recipes, view = lowered(array)
    for varying in (frozenset[int](), frozenset(range(array.ndim))):
        walk = ViewWalk(view, recipes, keys_of(array), varying)
        for number in (*range(len(want))[::2], *range(len(want))[1::2]):
            np.testing.assert_array_equal(walk.make(number), want[walk.targets[number]])
    along_time = [key for key in keys_of(array) if key[2:] == (1,) * len(key[2:4]) + key[4:]]
    walk = ViewWalk(view, recipes, along_time, frozenset({0}))
    for number, key in enumerate(along_time):
        np.testing.assert_array_equal(walk.make(number), want[key])


@pytest.mark.parametrize("name", ARRAYS)
def test_a_view_does_not_grow_with_the_images(name: str) -> None:
    """A step or two for each layer, however many chunks there are; and nothing of it travels with
    the recipes."""
    array = ARRAYS[name]()
    recipes, view = lowered(array)
    assert len(view.steps) <= 2 * len(array.__dask_graph__().layers)
    assert "View" not in {type(value).__name__ for value in vars(recipes).values()}
    assert set(vars(recipes)) == {"symbolic", "tasks", "futures"}


def test_what_is_not_symbolic_is_not_lowered() -> None:
    """A join and a cut have tasks for each chunk; a product of matrices rests on many: they are
    walked task by task."""
    joined = da.concatenate([source()[:3], source()[3:]])
    product = da.tensordot(source(), source(), axes=((1, 2), (1, 2)))
    for array in (joined, source()[:, 1:], product):
        recipes = sort_graphs(array.__dask_graph__())
        assert view_of(recipes, array.name) is None
        assert isinstance(walk_over(recipes, {}, array.name, [], frozenset()), Walk)


def test_a_recipe_is_lowered_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks share the view; it goes when the recipe goes."""
    calls: list[Any] = []
    lower = lowering._lower
    monkeypatch.setattr(lowering, "_lower", lambda *a: [calls.append(a[1]), lower(*a)][1])
    array = source() + 1
    recipes = sort_graphs(array.__dask_graph__())
    assert view_of(recipes, array.name) is view_of(recipes, array.name)
    assert calls == [array.name]
    held = len(lowering._views)
    calls.clear()
    del recipes
    gc.collect()
    assert len(lowering._views) < held


def test_what_several_arrays_use_is_made_once() -> None:
    """The bands of a block share its decision: made for the first, dropped after the last."""
    calls: list[Any] = []

    def dear(block: np.ndarray, block_id: Any = ()) -> np.ndarray:
        calls.append(block_id)
        return block * 2

    shared = da.map_blocks(dear, source(), dtype="float64")
    bands = [shared + 1, shared + 2, shared + 3]
    recipes = sort_graphs(*(band.__dask_graph__() for band in bands))
    views = {band.name: view_of(recipes, band.name) for band in bands}
    targets = [(band.name, 0, 1, 1) for band in bands]
    together = ManyViews({n: v for n, v in views.items() if v is not None}, recipes, targets)
    calls.clear()
    for number, band in enumerate(bands):
        want = VALUES[:1, 4:, 4:] * 2 + (number + 1)
        np.testing.assert_array_equal(together.make(number), want)
        together.drop(number)
        assert len(together._kept) == (1 if band is not bands[-1] else 0)
    assert calls == [(0, 1, 1)]


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

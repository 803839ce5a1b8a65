"""Functions that look at neighbouring chunks, in a form that can be deferred."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import dask.array as da
import numpy as np
from dask._task_spec import DataNode, TaskRef
from dask.base import tokenize
from dask.blockwise import blockwise
from dask.layers import ArrayBlockIdDep

from qmosaic.collection.masks import Array
from qmosaic.engine.chunk_checks import UnexpectedChunkError, as_promised
from qmosaic.engine.graph.assembling import assemble
from qmosaic.engine.graph.deferral import Parts, set_apart
from qmosaic.engine.graph.recipes import Key, Nodes, Recipes, empty_meta, sort_graphs
from qmosaic.engine.graph.windows import Around, make_with_surroundings
from qmosaic.engine.scheduling import rechunk

MOST_IN_RECIPE = 200_000
"""The most tasks that are written out in one recipe: about 50 MB, sent to each worker once."""


def map_surroundings(
    array: Any,
    func: Callable[[Array], Array],
    depth: Mapping[int, int],
    dtype: Any,
    *,
    scratch: int = 0,
) -> Any:
    """Apply a function to chunks and what lies around them; of the result the chunk is kept.

    What dask's ``map_overlap`` does, in a form that can be deferred: a task reads its neighbours
    itself. So chunks are read several times (nine, where they are not larger than `depth`), and in
    return there is one task for each, and none waits for others in memory. Where reading
    again would repeat costly work, or chunks lie in memory, it is ``map_overlap``.

    Parameters
    ----------
    array : dask.array.Array
        The input.
    func : callable
        Gets an array, gives one of the same shape; it can be pickled.
    depth : mapping of int to int
        By axis, how many pixels beyond the chunk it looks; at the edge of the map there are fewer.
    dtype : dtype
        That of the result.
    scratch : int, default: 0
        Bytes a pixel that `func` needs meanwhile, for `survey`.

    Returns
    -------
    dask.array.Array
        In the chunks of `array`.
    """
    recipes = sort_graphs(array.__dask_graph__())
    whole = {axis for axis in range(array.ndim) if not depth.get(axis)}
    apart = set_apart(recipes, [(array, whole)], _columns(array, whole))
    shared = None if apart is None else _join(*apart)
    meta = empty_meta(array.ndim, dtype)
    if shared is None:
        margins = {axis: depth.get(axis, 0) for axis in range(array.ndim)}
        overlapped = da.map_overlap(
            func, _checked(array), depth=margins, boundary="none", dtype=dtype, meta=meta
        )
        return rechunk(overlapped, array.chunks)
    around = Around(shared, array.name, array.chunks, dict(depth), array.dtype, func, scratch)
    token = tokenize(array.name, sorted(depth.items()), func, np.dtype(dtype))
    name, source = "qmosaic-around-" + token, "qmosaic-surroundings-" + token
    letters = tuple(range(array.ndim))
    layer = blockwise(
        make_with_surroundings,
        name,
        letters,
        ArrayBlockIdDep(array.chunks),
        letters,
        TaskRef(source),
        None,
        numblocks={},
    )
    graph = assemble(name, layer, {source: {source: DataNode(source, around)}}, [])
    return da.Array(graph, name, array.chunks, meta=meta)


def _checked(array: Any) -> Any:
    """Check chunks before they are cut and joined with their neighbours."""
    return array.map_blocks(
        _accept, sizes=array.chunks, promised=array.dtype, dtype=array.dtype, meta=array._meta
    )


def _accept(
    chunk: Any,
    sizes: tuple[tuple[int, ...], ...],
    promised: np.dtype[Any],
    block_id: tuple[int, ...] = (),
) -> Array:
    shape = tuple(c[n] for c, n in zip(sizes, block_id, strict=True))
    try:
        return as_promised(chunk, shape, promised)
    except UnexpectedChunkError as error:
        raise UnexpectedChunkError(
            f"of chunk {block_id} of an array whose neighbouring pixels are looked at, {error}"
        ) from None


def _columns(array: Any, whole: set[int]) -> Parts:
    """Cut an array into blocks of the map, with all chunks along the other axes."""
    counts = [range(n) for n in array.numblocks]

    def keys_of(block: tuple[int, ...]) -> list[Key]:
        places = [
            n if a in whole else (i,) for a, (n, i) in enumerate(zip(counts, block, strict=True))
        ]
        return [(array.name, *place) for place in itertools.product(*places)]

    blocks = [range(1) if axis in whole else n for axis, n in enumerate(counts)]
    return Parts(lambda: itertools.product(*blocks), keys_of)


def _join(shared: Recipes, extra: Mapping[Any, Nodes]) -> Recipes | None:
    """Put what each part has alone into the recipe of all; None where that is too much."""
    if sum(map(len, extra.values())) > MOST_IN_RECIPE:
        return None
    tasks = dict(shared.tasks)
    for own in extra.values():
        tasks.update(own)
    return Recipes(shared.symbolic, tasks)

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
from qmosaic.engine.graph.making_views import Maker
from qmosaic.engine.graph.recipes import empty_meta, sort_graphs
from qmosaic.engine.graph.sharing import Spans, shared_by
from qmosaic.engine.graph.views import View
from qmosaic.engine.graph.windows import Surroundings, make_with_surroundings
from qmosaic.engine.scheduling import rechunk


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
    view = Maker(recipes, {array.name: (array.chunks, array.dtype)}).of(array.name)
    meta = empty_meta(array.ndim, dtype)
    if view is None or not _blocks_share_nothing(view, depth):
        margins = {axis: depth.get(axis, 0) for axis in range(array.ndim)}
        overlapped = da.map_overlap(
            func, _checked(array), depth=margins, boundary="none", dtype=dtype, meta=meta
        )
        return rechunk(overlapped, array.chunks)
    around = Surroundings(view, dict(depth), np.dtype(dtype), func, scratch)
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


def _blocks_share_nothing(view: View, depth: Mapping[int, int]) -> bool:
    """Whether the blocks of the map can make what lies around them each by itself, without making
    again what is costly."""
    spans = []
    for axis, (sizes, starts) in enumerate(zip(view.chunks, view.starts, strict=True)):
        by, size = depth.get(axis, 0), sum(sizes)
        blocks = itertools.pairwise(starts) if by else [(0, size)]
        found = tuple((max(0, a - by), min(size, b + by)) for a, b in blocks)
        spans.append(Spans(axis if by else None, found))
    shares = shared_by([view], [tuple(spans)])
    return not isinstance(shares, str) and not shares.replaced


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

"""Decide and take as layers of a dask graph: the only subpackage that knows dask's graph types.

A task needs *some* of its inputs, and learns which only while it runs: which images win a block is
known once the quality has been read. Dask runs every dependency of a task before the task. So the
inputs of a block travel in a form that the task reads itself (`DeferredChunks`), window by window:

- A band is lowered once to a `View`: sources that are sliced, functions of single pixels, cuts and
  joins, functions that look at surroundings. A view can be read at any window, whatever chunks dask
  has made of it; it does not grow with blocks, and pickles small. Functions of which no more is
  known are called for whole chunks.
- Reads may be repeated: they are cheap, and `choose_box` keeps them below a stated factor.
  Computations are not. What all blocks share and is small (a mean over the map) is made first, once
  (`Given`); where blocks share what is large and costly, or where chunks lie in memory already
  (persisted, Futures), inputs stay ordinary dependencies: a reduction over time in a few steps, a
  few chunks to a task. `defer` decides which of the two it is; the pixels are the same.
- What looks at neighbouring pixels (a distance to clouds) reads them itself, `map_surroundings`.

What is used of dask beyond its documented interface: ``dask.blockwise.blockwise`` and
``Blockwise`` (``.indices``, ``.numblocks``, ``.output``, ``.output_indices``, ``.io_deps``,
``.task`` and ``blockwise_token``); ``dask.layers.ArrayBlockIdDep``, ``ArraySliceDep`` and
``ArrayChunkShapeDep``; ``dask._task_spec``; the ``getter`` functions, ``concatenate3`` and
``concatenate_shaped`` of ``dask.array.core``, ``dask.array.chunk``, ``dask.array._shuffle``; what
``Layer.collection_annotations`` says of chunks. ``tests/engine/test_graph.py`` and
``test_views.py`` have a test for each of them.

================ ===========================================================================
``tracing``      what stands behind variables: their sources, and names that last
``picklable``    which object of a graph cannot be pickled
``contents``     what an object in a graph holds
``locations``    where stores and files lie
``survey``       what a graph will do
``describing``   how chunks come, in words
``counting``     what is read to make chunks
``jobs``         a task for each part of a mosaic, in batches
``taking``       the layer that takes
``deciding``     the layer that decides
``surroundings`` functions that look at neighbouring pixels
``given``        bands of which the tasks are given the chunks
``assembling``   what layers have in common
``deferral``     whether a band can be deferred
``making_views`` a view of an array, made of its graph
``arguments``    the arguments of a symbolic layer
``pieces``       what tasks that cut and join do
``windows``      a function of pixels and of what lies around them
``chunks``       a band, and its images as a task reads them
``sharing``      what blocks of the map share, and what they read again
``asking``       making values of views, and reading ahead
``views``        arrays that can be read at any window
``lanes``        how windows come from a source: tensorstore, or slices
``stored``       which array of a Zarr store stands behind a source
``answering``    which sources answer at once
``recipes``      graphs, sorted into symbolic layers and tasks
================ ===========================================================================
"""

from qmosaic.engine.graph.chunks import BlockReader, DeferredChunks, Stack, overlaps
from qmosaic.engine.graph.deciding import Decision, decide
from qmosaic.engine.graph.deferral import Bands, defer
from qmosaic.engine.graph.jobs import Jobs, Sight, Work, choose_box, make_jobs, name_of
from qmosaic.engine.graph.locations import Location, locate_path, locate_store
from qmosaic.engine.graph.picklable import find_unpicklable
from qmosaic.engine.graph.sharing import Spans
from qmosaic.engine.graph.surroundings import map_surroundings
from qmosaic.engine.graph.survey import Reads, held_by_reductions, survey
from qmosaic.engine.graph.taking import reduce, take
from qmosaic.engine.graph.tracing import Behind, Web

__all__ = [
    "Bands",
    "Behind",
    "BlockReader",
    "Decision",
    "DeferredChunks",
    "Jobs",
    "Location",
    "Reads",
    "Sight",
    "Spans",
    "Stack",
    "Web",
    "Work",
    "choose_box",
    "decide",
    "defer",
    "find_unpicklable",
    "held_by_reductions",
    "locate_path",
    "locate_store",
    "make_jobs",
    "map_surroundings",
    "name_of",
    "overlaps",
    "reduce",
    "survey",
    "take",
]


def __dir__() -> list[str]:
    return __all__

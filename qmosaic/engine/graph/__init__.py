"""Decide and take as layers of a dask graph: the only subpackage that knows dask's graph types.

A task needs *some* of its inputs, and learns which only while it runs: which images win a block is
known once the quality has been read. Dask runs every dependency of a task before the task. So the
inputs of a block travel as a recipe (`DeferredChunks`) that the task runs itself, chunk by chunk:

- Symbolic layers (Blockwise: a store opened lazily, arithmetic on it) are small however many
  chunks they describe. They are shared by all blocks as one task of the graph, and written out
  inside a task, for the chunks that it reads; or rather, lowered once to a few steps that serve
  every block (`View`), so that no tasks are written at all.
- Layers that are written out (slices, concatenations, loaders that list their tasks) are cut into
  the parts that one block alone needs; each part travels with the tasks of its block.
- Where blocks of the map share costly work (a rechunk, an overlap), or where chunks lie in memory
  already (persisted, Futures), running a recipe would repeat the work or fail. Such inputs stay
  ordinary dependencies: a reduction over time in a few steps, a few chunks to a task. `defer`
  decides which of the two it is; the pixels are the same.
- What looks at neighbouring chunks (a distance to clouds) reads them itself, `map_surroundings`:
  the chunks are read several times, and none has to wait for its neighbours.

What is used of dask beyond its documented interface: ``dask.blockwise.blockwise`` and
``Blockwise`` (``.cull``, ``.indices``, ``.numblocks``, ``.output``, ``.output_indices``,
``.io_deps``, ``.task`` and ``blockwise_token``); ``dask.layers.ArrayBlockIdDep``;
``dask._task_spec``; the ``getter`` functions of ``dask.array.core``. ``tests/engine/test_graph.py``
and ``test_lowering.py`` have a test for each of them.

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
``surroundings`` functions that look at neighbouring chunks
``assembling``   what layers have in common
``deferral``     whether a band can be deferred
``windows``      chunks with what lies around them
``chunks``       a band, and its chunks as a task reads them
``viewing``      making a sequence of chunks
``walking``      running the tasks behind chunks
``lowering``     symbolic layers as steps, the same for every block
``lanes``        how chunks come from a source: tensorstore, or slices
``stored``       which array of a Zarr store stands behind a source
``answering``    which sources answer at once
``recipes``      how chunks are made
================ ===========================================================================
"""

from qmosaic.engine.graph.chunks import BlockReader, DeferredChunks, Stack, overlaps
from qmosaic.engine.graph.deciding import Decision, decide
from qmosaic.engine.graph.deferral import defer
from qmosaic.engine.graph.jobs import Jobs, Work, make_jobs
from qmosaic.engine.graph.locations import Location, locate_path, locate_store
from qmosaic.engine.graph.picklable import find_unpicklable
from qmosaic.engine.graph.surroundings import map_surroundings
from qmosaic.engine.graph.survey import Reads, survey
from qmosaic.engine.graph.taking import take
from qmosaic.engine.graph.tracing import Behind, Web

__all__ = [
    "Behind",
    "BlockReader",
    "Decision",
    "DeferredChunks",
    "Jobs",
    "Location",
    "Reads",
    "Stack",
    "Web",
    "Work",
    "decide",
    "defer",
    "find_unpicklable",
    "locate_path",
    "locate_store",
    "make_jobs",
    "map_surroundings",
    "overlaps",
    "survey",
    "take",
]


def __dir__() -> list[str]:
    return __all__

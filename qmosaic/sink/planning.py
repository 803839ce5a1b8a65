"""The third step: what is to be done, job by job, and what makes the mosaic the one that it is."""

from __future__ import annotations

from qmosaic.engine.graph import Sight, Web
from qmosaic.sink.cutting import make_plan
from qmosaic.sink.identity import identify
from qmosaic.sink.overwriting import check_sources
from qmosaic.sink.steps import Layout, Request, Work
from qmosaic.sink.updatable import check_units


def plan(request: Request, layout: Layout) -> Work:
    """Cut a mosaic into jobs, and look up what it is made from.

    Raises
    ------
    ValueError
        It is made from what it would be written over, or lies in chunks that cannot be updated.
    """
    if request.updatable:
        check_units(layout.dataset, layout.units)
    sight = Sight([v.data for v in layout.encoded.variables.values() if v.chunks is not None])
    jobs = make_plan(layout.encoded, layout.units, sight, request.block_bytes)
    variables = layout.dataset.variables
    web = Web(variables)
    check_sources(request.place, web, variables)  # before identifying reads what is in memory
    identity = identify(
        layout.dataset,
        layout.encoding,
        request.zarr_format,
        request.inputs,
        web,
        jobs,
        request.updatable,
        request.pyramid,
    )
    return Work(request, layout, jobs, sight, identity, web)

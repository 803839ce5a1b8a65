"""The command ``explain``."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

import qmosaic as qm
from qmosaic.cli import options as given
from qmosaic.cli.jobs import save
from qmosaic.cli.mosaic import described, written
from qmosaic.cli.reporting import report, say
from qmosaic.cli.requests import make_mosaic, tell_of_nodata
from qmosaic.cli.sections import Command, option
from qmosaic.cli.targets import is_there, kind_of
from qmosaic.cli.workers import expected


@click.command(cls=Command)
@described
@option(
    given.TARGET,
    "--out",
    "-o",
    metavar="OUT",
    help="Where `qmosaic mosaic` would write; nothing is written here.",
)
@written
@click.pass_context
def explain(context: click.Context, /, **options: Any) -> None:
    """Say what a mosaic will cost: images, blocks, bytes, memory. Nothing is computed.

    It takes the arguments of `qmosaic mosaic`; with --save-job it keeps them for it.

    \b
    Examples:
      qmosaic explain s2.zarr --quality -MSK_CLDPRB
      qmosaic explain s2.zarr --quality '(B8-B4)/(B8+B4)' --period MS --workers 4 --threads 2
      qmosaic explain s2.zarr --quality -MSK_CLDPRB --out best.zarr --save-job job.toml
    """
    save(context)
    _warn_of_what_is_there(context)
    with expected(context) as capacity:
        found = qm.explain(make_mosaic(options))
    if capacity is not None:
        found = dataclasses.replace(found, workers=capacity[0], threads=capacity[1])
    report(context, dataclasses.asdict(found), str(found))
    tell_of_nodata(context)


def _warn_of_what_is_there(context: click.Context) -> None:
    """Say that `qmosaic mosaic` would refuse to write."""
    options = context.params
    if options["out"] is None:
        return
    kind_of(context)
    if is_there(options["out"]) and not (options["overwrite"] or options["resume"]):
        say(
            f"Warning: {options['out']} exists already; `qmosaic mosaic` writes there with "
            "--overwrite or, where it was interrupted, with --resume alone."
        )

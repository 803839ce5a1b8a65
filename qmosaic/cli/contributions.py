"""The command ``contributions``."""

from __future__ import annotations

from typing import Any

import click

import qmosaic as qm
from qmosaic.cli import options as given
from qmosaic.cli.reporting import report
from qmosaic.cli.sections import Command, option
from qmosaic.cli.stores import store_at


@click.command(cls=Command)
@given.store
@option(
    "What is counted",
    "--zones",
    metavar="POLYGONS.GEOJSON",
    help="Count by zone: the polygons of this file.",
)
@option(
    "What is counted",
    "--band",
    metavar="NAME",
    help="Of a mosaic with --masked fill: this band alone.",
)
@option(given.TALK, "--csv", "as_csv", is_flag=True, help="Print the table as CSV.")
@given.answering
@click.pass_context
def contributions(context: click.Context, /, **options: Any) -> None:
    """Say how many pixels of a mosaic each image gave.

    The mosaic has to be made with --provenance.

    \b
    Examples:
      qmosaic contributions best.zarr
      qmosaic contributions best.zarr --zones fields.geojson --csv
    """
    mosaic = qm.open_mosaic(store_at(options["store"]))
    table = qm.contributions(mosaic, options["zones"], band=options["band"])
    text = table.to_csv(index=False).rstrip() if options["as_csv"] else table.to_string(index=False)
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    report(context, {"store": options["store"], "contributions": rows}, text)

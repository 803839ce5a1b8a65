"""The command ``info``."""

from __future__ import annotations

from typing import Any

import click

import qmosaic as qm
from qmosaic.cli import options as given
from qmosaic.cli.description import about, about_images, as_text, state_of
from qmosaic.cli.reporting import report
from qmosaic.cli.requests import open_images, whenever
from qmosaic.cli.sections import Command


@click.command(cls=Command)
@given.sources()
@given.reading
@given.answering
@click.pass_context
def info(context: click.Context, /, **options: Any) -> None:
    """Say what lies in a store or a source: grid, CRS, bands, images.

    Of a mosaic also whether it is complete, by what rules it was made, its levels, and how an
    interrupted one goes on.

    \b
    Examples:
      qmosaic info best.zarr
      qmosaic info best.zarr --json
      qmosaic info scenes/ --pattern '_(?P<time>\\d{8})_(?P<band>B\\d\\d)\\.tif'
    """
    text = " ".join(options["source"])
    found = _mosaic(options)
    if found is None:
        wanted = whenever(options)
        found = about_images(text, open_images(wanted), timeless=wanted is not options)
    report(context, found, as_text(found))


def _mosaic(options: dict[str, Any]) -> dict[str, Any] | None:
    """Describe a mosaic; None where there is none, and the source is to be opened as images."""
    if len(options["source"]) > 1:
        return None
    (text,) = options["source"]
    try:
        return about(text, state_of(text, options["group"]), options["group"])
    except qm.DamagedJournalError:
        raise
    except (OSError, ValueError):
        return None

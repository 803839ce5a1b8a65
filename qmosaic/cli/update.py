"""The command ``update``."""

from __future__ import annotations

import time
from typing import Any

import click
import xarray as xr

import qmosaic as qm
from qmosaic.cli import options as given
from qmosaic.cli.description import about, as_text, expression_of, quality_bands, state_of
from qmosaic.cli.jobs import save
from qmosaic.cli.reporting import report, rows, telling_progress
from qmosaic.cli.requests import scored
from qmosaic.cli.sections import Command, option
from qmosaic.cli.stores import store_at
from qmosaic.cli.targets import coping, interruptible
from qmosaic.cli.workers import scheduler


@click.command(cls=Command)
@given.store
@given.sources()
@given.scoring_again
@given.choosing
@given.reading
@given.coping
@option(
    given.TARGET,
    "--same-times",
    is_flag=True,
    help="The images are others, though the mosaic has images of the same times.",
)
@given.running
@given.job
@given.talking
@click.pass_context
def update(context: click.Context, /, **options: Any) -> None:
    """Bring new images into a mosaic, without those that it was made of.

    The mosaic has to be written with --updatable. --bbox and what else says how the images are
    opened are to be given as they were given then; the quality is what the store says that it was
    made of. The same command goes on where an update was interrupted.

    \b
    Examples:
      qmosaic mosaic s2.zarr --quality -MSK_CLDPRB --end 2020-07-01 --provenance --updatable \\
          --out best.zarr
      qmosaic update best.zarr s2.zarr --start 2020-07-01
    """
    save(context)
    store, started = options["store"], time.perf_counter()
    with telling_progress(options), interruptible(context, store), scheduler(context):
        images = _like(state_of(store).mosaic, options)
        qm.update(store_at(store), images, same_times=options["same_times"], **coping(options))
    seconds = round(time.perf_counter() - started, 1)
    found = about(store, state_of(store)) | {"seconds": seconds}
    report(context, found, as_text(found) + f"\n{rows({'time': f'{seconds} s'})}")


def _like(mosaic: xr.Dataset | None, options: dict[str, Any]) -> xr.Dataset:
    """Open the new images as the mosaic has them: the same bands, the quality under its name."""
    if mosaic is None:
        return scored(options).collection  # `update` says what is wrong with the store
    names = quality_bands(mosaic) or [options["quality_name"]]
    bands = [str(band) for band in mosaic.data_vars if band not in names]
    if options["quality"]:
        return scored({**options, "bands": bands}, names).collection
    texts = [expression_of(mosaic, name) or name for name in names]
    try:
        return scored({**options, "bands": bands, "quality": texts}, names).collection
    except (KeyError, ValueError) as error:
        unknown = [n for n in names if expression_of(mosaic, n) is None and repr(n) in str(error)]
        if not unknown:
            raise
        raise click.UsageError(
            f"the store does not say of what its quality {unknown[0]!r} was made, and the images "
            "have no band of that name. Write --quality EXPR, as it was given then."
        ) from error

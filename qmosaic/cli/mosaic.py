"""The command ``mosaic``."""

from __future__ import annotations

from typing import Any

import click

from qmosaic.cli import options as given
from qmosaic.cli.jobs import save
from qmosaic.cli.reporting import telling_progress
from qmosaic.cli.requests import make_mosaic, tell_of_nodata
from qmosaic.cli.sections import Command, option, together
from qmosaic.cli.targets import interruptible, kind_of, write
from qmosaic.cli.workers import scheduler

described = together(
    given.sources(),
    given.scoring,
    given.rules,
    given.choosing,
    given.clipping,
    given.bands,
    given.reading,
)
"""What a mosaic is made of and how: `explain` takes the same."""

written = together(given.writing, given.coping, given.running, given.job, given.talking)
"""How it is written and where that runs."""


@click.command(cls=Command)
@described
@option(
    given.TARGET,
    "--out",
    "-o",
    required=True,
    metavar="OUT",
    help="Where to write: best.zarr, best.tif (a Cloud Optimized GeoTIFF), s3://bucket/best.zarr.",
)
@written
@click.pass_context
def mosaic(context: click.Context, /, **options: Any) -> None:
    """Make a quality mosaic and write it, block by block.

    SOURCE is a Zarr store, NetCDF files, STAC items or GeoTIFFs: a path, a URL, a folder, a
    pattern, or several files. For every pixel, the mosaic has all bands of the image with the
    highest quality.

    A job that was interrupted goes on with --resume.

    \b
    Examples:
      qmosaic mosaic s2.zarr --quality -MSK_CLDPRB --out best.zarr
      qmosaic mosaic scenes/ --pattern '_(?P<time>\\d{8})_(?P<band>B\\d\\d)\\.tif' \\
          --quality '(B08-B04)/(B08+B04)' --start 2020-05-01 --end 2020-10-01 --out green.tif
      qmosaic mosaic items.json --crs EPSG:3035 --resolution 10 --bbox 23.5,46.1,23.9,46.4 \\
          --quality 'where(SCL in [4,5,6], ndvi, nan)' --bands red,nir --out s3://bucket/best.zarr
      qmosaic mosaic s2.zarr --quality -MSK_CLDPRB --out best.zarr --workers 4 --memory 4GB
      qmosaic mosaic --job job.toml --scheduler tcp://scheduler:8786 --resume
    """
    kind = kind_of(context)
    save(context)
    with telling_progress(options), interruptible(context, options["out"]), scheduler(context):
        write(context, make_mosaic(options), kind)
    tell_of_nodata(context)

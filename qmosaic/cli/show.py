"""The command ``show``."""

from __future__ import annotations

import contextlib
import time
from pathlib import PurePosixPath
from typing import Any

import click
import xarray as xr

import qmosaic as qm
from qmosaic.cli import options as given
from qmosaic.cli.kinds import Kind, Names, Number
from qmosaic.cli.reporting import report, rows, say
from qmosaic.cli.requests import open_images, whenever
from qmosaic.cli.sections import Command, option
from qmosaic.cli.stores import check_file, store_at
from qmosaic.cli.workers import ending_like_ctrl_c

LOOK = "Colours"
SHOWN = "What is shown, and where"

LOW, HIGH = "2%", "98%"
"""Where a map is stretched, where nothing is said: as a picture of `qmosaic.quicklook`."""

PAUSE = 0.2
"""Seconds between two looks at whether the server still runs."""


class Limit(Kind):
    """An end of a stretch: a number, a percentile such as 2%, or one for each band."""

    name = "limit"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Give a number, a text with a percent sign, or a list of these."""
        if isinstance(value, str) and "," in value:
            return [self.convert(part, param, ctx) for part in value.split(",")]
        if isinstance(value, list):
            return [self.convert(part, param, ctx) for part in value]
        if isinstance(value, str) and value.strip().endswith("%"):
            percentage = Number().convert(value.strip()[:-1], param, ctx)
            if not 0 <= percentage <= 100:
                self.fail(f"{value!r} is no percentile. Write 0% to 100%.", param, ctx)
            return value.strip()
        return Number().convert(value, param, ctx)


@click.command(cls=Command)
@given.sources()
@option(
    LOOK,
    "--bands",
    type=Names(),
    metavar="B4,B3,B2",
    help="One band, or three for red, green and blue. 'source_time' is a map of dates.",
)
@option(
    LOOK,
    "--min",
    type=Limit(),
    metavar="VALUE",
    help="What is black: a number or a percentile; without --min and --max 2%.",
)
@option(
    LOOK,
    "--max",
    type=Limit(),
    metavar="VALUE",
    help="What is white: a number or a percentile; without --min and --max 98%.",
)
@option(LOOK, "--gamma", type=Number(), metavar="VALUE", help="Brighter above 1, darker below.")
@option(
    LOOK, "--palette", type=Names(), metavar="COLOUR,...", help="For one band: black,yellow,green."
)
@option(
    SHOWN,
    "--image",
    type=int,
    default=0,
    show_default=True,
    metavar="NUMBER",
    help="Of a collection, or a mosaic of periods: which of them; -1 is the last.",
)
@option(
    SHOWN, "--level", type=int, metavar="NUMBER", help="Read this level of the store; 0 is full."
)
@option(SHOWN, "--png", metavar="PATH", help="Write a picture, in place of a map.")
@option(SHOWN, "--html", metavar="PATH", help="Write a map as a page that needs no server.")
@option(SHOWN, "--overwrite", is_flag=True, help="Replace the files of --png and --html.")
@option(SHOWN, "--port", type=int, default=0, help="The port of the map; by default a free one.")
@option(SHOWN, "--no-browser", is_flag=True, help="Print the map's address, open no browser.")
@given.reading
@given.answering
@click.pass_context
def show(context: click.Context, /, **options: Any) -> None:
    """Show a mosaic, or an image of a source: on a map that one can zoom, or as a picture.

    Without --png and --html a server on this machine gives the browser the tiles that it asks
    for, until Ctrl-C.

    \b
    Examples:
      qmosaic show best.zarr --bands B4,B3,B2 --max 3000
      qmosaic show best.zarr --bands B4,B3,B2 --min 2% --max 98% --png best.png
      qmosaic show best.zarr --bands quality --palette black,yellow,green --html map.html
      qmosaic show s2.zarr --image 3 --bands B4,B3,B2 --png day.png
    """
    for name in ("png", "html"):
        if options[name]:
            check_file(options[name], f"--{name}", options["overwrite"])
    image = _shown(options)
    look = {name: options[name] for name in ("bands", "min", "max", "gamma", "palette")}
    look = {name: value for name, value in look.items() if value is not None}
    if options["png"] or options["html"]:
        files = _write(image, look, options)
        report(context, {"files": files}, rows({"written": "\n".join(files)}))
    else:
        _serve(image, look, options)


def _shown(options: dict[str, Any]) -> xr.Dataset:
    """Open one image."""
    opened = _opened(options)
    dims = [str(dim) for dim in ("time", "rank") if dim in opened.dims]
    for dim in dims:
        size, number = opened.sizes[dim], options["image"]
        if not -size <= number < size:
            raise click.UsageError(
                f"--image {number}: there are {size} along {dim}, 0 to {size - 1}."
            )
        opened = opened.isel({dim: number})
    return opened


def _opened(options: dict[str, Any]) -> xr.Dataset:
    """Open a mosaic, complete or not, or else images."""
    source = options["source"]
    level = {} if options["level"] is None else {"level": options["level"]}
    if len(source) > 1:
        return open_images(options)
    store = store_at(source[0])
    try:
        return qm.open_mosaic(store, group=options["group"], **level)
    except qm.IncompleteMosaicError as error:
        say(f"Warning: {error.done} of {error.blocks} blocks are there; the others are empty.")
        return qm.open_mosaic(store, group=options["group"], allow_incomplete=True, **level)
    except (OSError, ValueError) as error:
        if level or isinstance(error, qm.DamagedJournalError):
            raise
        return xr.decode_cf(open_images(whenever(options)))


def _write(image: xr.Dataset, look: dict[str, Any], options: dict[str, Any]) -> list[str]:
    files = []
    if options["png"]:
        qm.quicklook(_coordinate(image, look), options["png"], **_without(look, image))
        files.append(options["png"])
    if options["html"]:
        shown = qm.display.Map()
        parameters = _stretched(look, image) or None
        shown.add_layer(_coordinate(image, look), parameters, _name_of(options))
        files.append(str(shown.save(options["html"])))
    return files


def _name_of(options: dict[str, Any]) -> str:
    """Name the layer of a map: as the source, without the folders above it."""
    return PurePosixPath(options["source"][0].rstrip("/")).name


def _coordinate(image: xr.Dataset, look: dict[str, Any]) -> Any:
    """Give what is drawn: the image, or one of its coordinates, such as a map of dates."""
    (name,) = look["bands"] if len(look.get("bands", [])) == 1 else [None]
    return image[name] if name in image.coords else image


def _without(look: dict[str, Any], image: xr.Dataset) -> dict[str, Any]:
    """Leave out the name of a coordinate, which is no band."""
    drawn = _coordinate(image, look)
    return look if drawn is image else {n: v for n, v in look.items() if n != "bands"}


def _stretched(look: dict[str, Any], image: xr.Dataset) -> dict[str, Any]:
    """Stretch a map as a picture is, where nothing is said of it; maps of dates have their own
    colours."""
    own = _coordinate(image, look) is not image
    look = _without(look, image)
    return look if own or {"min", "max"} & set(look) else {**look, "min": LOW, "max": HIGH}


def _serve(image: xr.Dataset, look: dict[str, Any], options: dict[str, Any]) -> None:
    """Serve tiles until Ctrl-C."""
    shown = _coordinate(image, look)
    name = _name_of(options)
    opening = {"port": options["port"], "open_browser": not options["no_browser"]}
    with qm.display.serve(shown, _stretched(look, image), name, **opening) as server:
        say(f"map         {server.url}\ntiles       {server.tiles}\nCtrl-C ends it.")
        with contextlib.suppress(KeyboardInterrupt), ending_like_ctrl_c():
            while server.running:
                time.sleep(PAUSE)

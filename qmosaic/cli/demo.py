"""The command ``demo``."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import xarray as xr

import qmosaic as qm
from qmosaic.cli.options import TARGET as WRITTEN
from qmosaic.cli.options import debug
from qmosaic.cli.sections import Command, option
from qmosaic.display import Panel, side_by_side
from qmosaic.sources import samples

Array = npt.NDArray[Any]

CLEAR = (4, 5, 6)
"""Scene classes without cloud, shadow, snow or doubt: vegetation, bare soil, water."""

CLOUD = (10, 8, 9)
"""Thin cirrus, cloud of medium and of high probability: from the least to the most sure."""

DARKEST = 100
"""The lowest red of a clear pixel that is trusted: a reflectance of 1 %."""

SCENE_BONUS = 0.1
"""What an NDVI is raised by where its image has won all that lies around: with it a third of the
seams are left, for a mean NDVI that is 0.002 lower (``python -m benchmarks seams``)."""

CREDIT = "Contains modified Copernicus Sentinel data 2015–2021; series from the package nrt 0.1.0."

TRUE_COLOUR = ("B4", "B3", "B2")
BANDS = ["B2", "B3", "B4", "B8", "SCL"]


@click.command(cls=Command)
@option(
    WRITTEN,
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default="qmosaic-demo",
    show_default=True,
    help="Folder for the two mosaics and the pictures.",
)
@option(
    WRITTEN, "--overwrite", is_flag=True, help="Replace what an earlier run left in the folder."
)
@debug
def demo(out: Path, overwrite: bool) -> None:
    """Make the best and the worst mosaic of a real Sentinel-2 series, a picture of them, and one of
    where the best pixels come from.

    \b
    Examples:
      qmosaic demo
      qmosaic demo --out pictures --overwrite
    """
    _check_matplotlib()
    collection, reads = samples.sentinel2_romania()
    stores = {"best": out / "best.zarr", "worst": out / "worst.zarr"}
    pictures = [out / "mosaic.png", out / "dates.png"]
    _refuse_existing([*stores.values(), *pictures], overwrite)
    _make_folder(out)

    started = time.perf_counter()
    for name, mosaic in (("best", best_pixels(collection)), ("worst", worst_pixels(collection))):
        qm.to_zarr(mosaic, stores[name], mode="w" if overwrite else "w-")
    seconds = time.perf_counter() - started
    read, read_bytes = len(reads.chunks), reads.bytes

    date = cloudy_date(collection)
    _draw(collection, stores, date, out / "mosaic.png")
    best = qm.open_mosaic(stores["best"])
    qm.display.provenance(best, out / "dates.png", credit=CREDIT)
    _report(collection, read, read_bytes, seconds, out)
    _report_images(best, out)


def _check_matplotlib() -> None:
    """Refuse before anything is written where the picture could not be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        raise click.ClickException(
            "the picture of the demo is drawn with matplotlib, which is not installed. Write, "
            'in the checkout of qmosaic: pip install ".[demo]"'
        )


def clear_ndvi(collection: xr.Dataset) -> xr.DataArray:
    """Score green: NDVI where the scene class is clear.

    Elsewhere the quality is NaN, so a cloud is no candidate, however green. Nor is a pixel with
    next to no red left: in overcorrected shadows the NDVI goes to 1 without anything green.
    """
    ndvi = qm.scores.normalized_difference(collection["B8"], collection["B4"])
    lit = collection["B4"] >= DARKEST
    return ndvi.where(collection["SCL"].isin(CLEAR) & lit)


def best_pixels(collection: xr.Dataset) -> xr.Dataset:
    """Take the greenest of the clear pixels, and rather those of images that win around them, too:
    where several are nearly as green, neighbours should not come from different days."""
    scored = collection.assign(quality=clear_ndvi(collection))
    return qm.quality_mosaic(scored, "quality", scene_bonus=SCENE_BONUS, provenance=True)


def worst_pixels(collection: xr.Dataset) -> xr.Dataset:
    """Take the surest of the clouds: high before medium probability before cirrus."""
    scene = collection["SCL"]
    quality: xr.DataArray = xr.zeros_like(scene, dtype=np.uint8).drop_attrs()
    for rank, value in enumerate(CLOUD, start=1):
        quality = quality.where(scene != value, np.uint8(rank))
    scored: xr.Dataset = collection.assign(quality=quality)
    return qm.quality_mosaic(scored, "quality")


def cloudy_date(collection: xr.Dataset) -> int:
    """Find the image that is cloudy over half of the map, as nearly as can be."""
    share = collection["SCL"].isin(CLOUD).mean(("y", "x"))
    return int(abs(share - 0.5).argmin("time"))


def _refuse_existing(paths: list[Path], overwrite: bool) -> None:
    existing = [str(path) for path in paths if path.exists()]
    if existing and not overwrite:
        raise click.ClickException(
            f"already there: {', '.join(existing)}; nothing was changed. Choose another folder "
            "with --out, or replace what is there with --overwrite."
        )


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(
            f"the folder {str(out)!r} cannot be made: {error.strerror}. Choose another one with "
            "--out."
        ) from error


def _draw(collection: xr.Dataset, stores: dict[str, Path], date: int, path: Path) -> None:
    best, worst = (qm.open_mosaic(stores[n], mask_and_scale=False) for n in ("best", "worst"))
    one = collection.isel(time=date)
    day = str(one["time"].values)[:10]
    images = collection.sizes["time"]
    stretch = stretch_of(best, worst)
    panels = [
        ("Best pixels", f"green, clear, in whole pieces: {images} images", best),
        ("One image", f"{day}, half of it under cloud", one),
        ("Worst pixels", f"the surest cloud of {images} images", worst),
    ]
    pixel = abs(float(collection["x"][1] - collection["x"][0]))
    credit = f"Sentinel-2, true colour (B4 B3 B2), one stretch for all. {CREDIT}"
    drawn = [
        Panel(true_colour(image, stretch), title, text, pixel) for title, text, image in panels
    ]
    side_by_side(drawn, credit).save(path)


def stretch_of(dark: xr.Dataset, bright: xr.Dataset) -> tuple[float, float]:
    """Give a stretch that shows both a dark and a bright image: its knee, and what becomes white.

    Returns
    -------
    (float, float)
        Half the median of the dark image and the 98th percentile of the bright one, over all bands.
    """
    knee = np.median(_rgb(dark)) / 2
    return float(knee), float(np.percentile(_rgb(bright), 98))


def true_colour(image: xr.Dataset, stretch: tuple[float, float]) -> Array:
    """Make a picture (y, x, 3) of 0 to 1: linear below the knee, logarithmic above it (asinh).

    Land reflects a tenth of what clouds reflect: a linear stretch shows one or the other.
    """
    knee, white = stretch
    picture: Array = np.clip(np.arcsinh(_rgb(image) / knee) / np.arcsinh(white / knee), 0, 1)
    return picture


def _rgb(image: xr.Dataset) -> Array:
    return np.stack([image[b].values for b in TRUE_COLOUR], axis=-1).astype("float32")


def _report(collection: xr.Dataset, read: int, read_bytes: int, seconds: float, out: Path) -> None:
    """Print what was done; reads are counted where the file is read."""
    images, height, width = (collection.sizes[d] for d in ("time", "y", "x"))
    first, last = (str(t)[:10] for t in collection["time"].values[[0, -1]])
    chunks = sum(int(np.prod(collection[b].data.numblocks)) for b in BANDS)
    size = sum(collection[b].nbytes for b in BANDS)
    lines = [
        f"collection  {images} Sentinel-2 images, {first} to {last}",
        f"map         {height} × {width} pixels of 10 m; bands {', '.join(BANDS)} (uint16)",
        f"read        {read} of {chunks} chunks, {chunks - read} never touched",
        f"            {read_bytes / 1e6:.1f} MB for two mosaics of a collection of "
        f"{size / 1e6:.1f} MB",
        f"time        {seconds:.1f} s",
        f"mosaics     {out / 'best.zarr'}, {out / 'worst.zarr'}",
        f"picture     {out / 'mosaic.png'}",
    ]
    click.echo("\n".join(lines))


def _report_images(best: xr.Dataset, out: Path) -> None:
    """Print which images the best pixels are from."""
    table = qm.contributions(best)
    first = table.iloc[0]
    images = int((table["source_index"] >= 0).sum())
    click.echo(
        f"images      the best pixels are from {images} images, {first['share']:.0%} of them from "
        f"{first['time']:%Y-%m-%d}\n"
        f"            {out / 'dates.png'}"
    )

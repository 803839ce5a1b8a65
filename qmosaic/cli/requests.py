"""From options to a collection, and from that to its mosaic; nothing is computed."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import click
import xarray as xr

import qmosaic as qm
from qmosaic.cli.reporting import say

Options = Mapping[str, Any]

READER = (
    "format",
    "pattern",
    "time",
    "group",
    "groupby",
    "crs",
    "resampling",
    "nodata",
    "missing",
    "harmonize",
    "chunks",
)
"""The options that `open_collection` takes as they are."""

RULES = (
    "ties",
    "masked",
    "fill_value",
    "min_quality",
    "upper_bound",
    "within",
    "reducer",
    "period",
    "empty",
    "smooth",
    "scene_bonus",
    "scene_radius",
)
"""The options that `quality_mosaic` takes as they are."""

DATE = re.compile(r"\b\d{4}-\d\d-\d\d\b")

NODATA = {"_FillValue", "nodata", "missing_value"}
"""Attributes that declare a nodata value."""

NEW_NODATA = "qmosaic.new_nodata"
"""Where in the context of a command such bands are kept until it has done its work."""

FIRST, LAST = "0001-01-01", "9999-12-31"
"""Before and after all images, where only one end of a period is given."""


@dataclass(frozen=True)
class Scored:
    """A collection with what orders its images.

    Attributes
    ----------
    collection : xarray.Dataset
        The bands that are delivered, and those that order the images.
    quality : list of str
        The bands that order the images, the first one first.
    """

    collection: xr.Dataset
    quality: list[str]


# -- opening -------------------------------------------------------------------------------------


def open_images(options: Options, bands: Sequence[str] | None = None) -> xr.Dataset:
    """Open the source and choose images: by time, by a box, by a region."""
    collection = _in_the_box(options, bands)
    start, end = options.get("start"), options.get("end")
    if start or end:
        collection = qm.filter_date(collection, start or FIRST, end or LAST)
    if options.get("clip"):
        collection = qm.filter_bounds(collection, options["clip"])
    return collection


def _in_the_box(options: Options, bands: Sequence[str] | None) -> xr.Dataset:
    """Open the images in a box; by the reader, where it knows boxes."""
    box = options.get("bbox")
    if box is None:
        return _opened(options, bands)
    # a reader that knows no boxes says so before it reads anything; whatever else is wrong, the
    # second call says again
    with contextlib.suppress(TypeError):
        return _opened(options, bands, bbox=box)
    return cut_to_box(qm.filter_bounds(_opened(options, bands), box), box)


def _opened(options: Options, bands: Sequence[str] | None, **more: Any) -> xr.Dataset:
    source = options["source"]
    given = {name: options[name] for name in READER if options.get(name) is not None}
    if options.get("allow"):
        given["allow"] = list(options["allow"])
    if options.get("resolution"):
        size = options["resolution"]
        given["resolution"] = size[0] if len(size) == 1 else size
    if bands is not None:
        given["bands"] = list(bands)
    return qm.open_collection(source[0] if len(source) == 1 else list(source), **given, **more)


def cut_to_box(collection: xr.Dataset, box: Sequence[float]) -> xr.Dataset:
    """Keep the rows and columns that a box in degrees reaches into; nothing is masked."""
    band = next(b for b in collection.data_vars.values() if b.ndim == 3)
    dims = [dim for dim in band.dims if dim != "time"]
    # a map of nothing is clipped: it says which rows and columns are left
    flat = xr.zeros_like(band.isel(time=0, drop=True), dtype="float32").drop_encoding()
    mapping = band.attrs.get("grid_mapping", band.encoding.get("grid_mapping"))
    flat.attrs = {} if mapping is None else {"grid_mapping": mapping}
    numbered = flat.to_dataset(name="flat").assign_coords(
        {f"number_of_{dim}": (dim, range(collection.sizes[dim])) for dim in dims}
    )
    left = qm.clip(numbered, tuple(box), all_touched=True)
    numbers = {dim: left[f"number_of_{dim}"].values for dim in dims}
    return collection.isel({dim: slice(n[0], n[-1] + 1) for dim, n in numbers.items()})


def whenever(options: Options) -> Options:
    """Let a single GeoTIFF, such as a mosaic that was written as one, be of any time."""
    (source,) = options["source"]
    one = PurePosixPath(source).suffix.lower() in (".tif", ".tiff")
    if not one or options["time"] or options["pattern"]:
        return options
    return {**options, "time": lambda path: "1970-01-01"}


# -- scores --------------------------------------------------------------------------------------


def scored(options: Options, names: Sequence[str] | None = None) -> Scored:
    """Open the bands that are delivered and those that the quality needs, and make the quality.

    Parameters
    ----------
    options : mapping
        Those of the command.
    names : sequence of str, optional
        What the bands are called that order the images; by default ``--quality-name``.
    """
    texts = list(options["quality"])
    opened, delivered = _with_bands(options, texts)
    quality = []
    for number, text in enumerate(texts):
        wanted = names[number] if names and number < len(names) else None
        name = wanted or (text if text in opened.data_vars else _free_name(options, number))
        if name != text:
            opened = _with_score(opened, name, text)
        quality.append(name)
    kept = [*delivered, *(name for name in quality if name not in delivered)]
    return Scored(qm.select(opened, kept), quality)


def _with_bands(options: Options, texts: Sequence[str]) -> tuple[xr.Dataset, list[str]]:
    """Open a source; give the names of the bands that are delivered, too."""
    asked = options.get("bands")
    if not asked:
        opened = open_images(options)
        return opened, [str(n) for n, b in opened.data_vars.items() if "time" in b.dims]
    needed = [name for text in texts for name in names_in(text) if name not in asked]
    # names in an expression need not be bands ("ndvi"): then all bands are opened
    with contextlib.suppress(KeyError):
        opened = open_images(options, [*asked, *dict.fromkeys(needed)])
        return opened, [str(name) for name in opened.data_vars if name not in needed]
    opened = open_images(options)
    return opened, [str(name) for name in qm.select(opened, list(asked)).data_vars]


def names_in(text: str) -> list[str]:
    """Name what an expression refers to that is no function: bands, as a rule, as they are or in
    quotation marks."""
    try:
        # a date stands as it is in an expression, and is no number of Python
        plain = DATE.sub("0", text.strip())
        nodes = list(ast.walk(ast.parse(plain, mode="eval")))
    except (SyntaxError, ValueError):
        return [text]  # whoever makes the score says what is wrong with it
    called = {node.func for node in nodes if isinstance(node, ast.Call)}
    found = [n.id for n in nodes if isinstance(n, ast.Name) and n not in called]
    found += [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return [name for name in dict.fromkeys(found) if name not in ("nan", "inf")]


def _free_name(options: Options, number: int) -> str:
    name: str = options["quality_name"]
    return name if number == 0 else f"{name}_{number + 1}"


def _with_score(opened: xr.Dataset, name: str, text: str) -> xr.Dataset:
    """Add a band that an expression makes."""
    if name in opened.variables:
        raise click.ClickException(
            f"the source has {name!r} already, so what {text!r} makes cannot be called so. Give "
            "another name with --quality-name."
        )
    return opened.assign({name: qm.expression(text, opened)})


# -- mosaics -------------------------------------------------------------------------------------


def make_mosaic(options: Options) -> xr.Dataset:
    """Make the mosaic that the options of a command describe, lazily."""
    given = scored(options)
    mosaic: xr.Dataset = qm.quality_mosaic(given.collection, given.quality, **_rules(options))
    if options.get("no_quality"):
        mosaic = mosaic.drop_vars(given.quality)
    new = _new_nodata(given.collection, mosaic, options)
    click.get_current_context().meta[NEW_NODATA] = new
    return _clipped(mosaic, options) if options.get("clip") else mosaic


def _new_nodata(collection: xr.Dataset, mosaic: xr.Dataset, options: Options) -> list[str]:
    """List the bands in which a value means "missing" that was data in the collection."""
    if options.get("fill_value") is not None:
        return []
    found = []
    for name, band in mosaic.data_vars.items():
        before = {**collection[name].attrs, **collection[name].encoding}
        if "_FillValue" in band.attrs and not NODATA & set(before):
            found.append(f"{name} ({band.attrs['_FillValue']})")
    return found


def tell_of_nodata(context: click.Context) -> None:
    """Say in which bands a value means "missing" that was data in the collection."""
    new = context.meta.get(NEW_NODATA)
    if new:
        say(
            "Note: a pixel without any image gets a value that was data so far, in "
            f"{', '.join(new)}. If that matters, choose a free one with --fill-value."
        )


def _clipped(mosaic: xr.Dataset, options: Options) -> xr.Dataset:
    value = options.get("fill_value")
    try:
        return qm.clip(mosaic, options["clip"], fill_value=value)
    except ValueError as error:
        if "fill_value=" not in str(error) or value is not None:
            raise
        raise ValueError(f"{error} As options: --fill-value 0, or --no-quality.") from error


def _rules(options: Options) -> dict[str, Any]:
    found = {name: options[name] for name in RULES if options.get(name) is not None}
    rolling = options.get("rolling")
    if rolling is not None:
        found["rolling"] = int(rolling) if re.fullmatch(r"\d+", rolling) else rolling
    if options.get("provenance_names"):
        found["provenance"] = options["provenance_names"]
    elif options.get("provenance"):
        found["provenance"] = True
    return found

"""Which mosaics can be updated: what they have to say of themselves, and how they have to lie."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
import xarray as xr

from qmosaic.collection.declarations import PREFIX, PROVENANCE, SOURCE_INDEX, VALID_COUNT
from qmosaic.engine.periods import follows_calendar
from qmosaic.engine.takers import RANK

QUALITY_BAND = PREFIX + "quality_band"

NEEDED = (SOURCE_INDEX, VALID_COUNT)
"""The coordinates without which nobody knows what a mosaic is made of."""

OTHER_RULES = {
    PREFIX + "within": "reduces several images to one value (within=)",
    PREFIX + "smooth": "has a quality that was smoothed (smooth=)",
    PREFIX + "scene_bonus": "prefers images that win more of their surroundings (scene_bonus=)",
    PREFIX + "method": "is no quality mosaic",
}
"""Attributes of mosaics that no single score of a pixel decides."""

PACKING = ("dtype", "scale_factor", "add_offset", "_FillValue", "missing_value", "units")


def rules_of(mosaic: xr.Dataset) -> tuple[Mapping[Any, Any], Hashable | None]:
    """Give the attributes that record how a mosaic was made; of one that is a single array also the
    name of that, as it has them."""
    if QUALITY_BAND in mosaic.attrs:
        return mosaic.attrs, None
    names = list(mosaic.data_vars)
    if len(names) == 1 and QUALITY_BAND in mosaic[names[0]].attrs:
        return mosaic[names[0]].attrs, names[0]
    return {}, None


def quality_bands(rules: Mapping[Any, Any]) -> list[str]:
    """Name the bands that order the images."""
    found = rules[QUALITY_BAND]
    return [found] if isinstance(found, str) else [str(name) for name in found]


def check_updatable(mosaic: xr.Dataset, encoding: Mapping[Hashable, Mapping[str, Any]]) -> None:
    """Refuse a mosaic that could not be updated later.

    Parameters
    ----------
    mosaic : xarray.Dataset
        What is to be written.
    encoding : mapping
        What was asked of how it is stored.

    Raises
    ------
    ValueError
        It says too little of itself, or is more than the best image of each pixel.
    """
    rules, array = rules_of(mosaic)
    if not rules:
        raise ValueError(
            "updatable=True is for mosaics of quality_mosaic(), whose attributes qmosaic_... say "
            "by which score images were chosen, and this one says nothing of that. Write "
            "quality_mosaic(collection, band, provenance=True), and keep its attributes; or leave "
            "updatable= out."
        )
    _check_rules(mosaic, rules)
    lost = [name for name in quality_bands(rules) if name not in _bands(mosaic, array)]
    if lost:
        raise ValueError(
            f"updatable=True needs the best score of each pixel, but the quality band "
            f"{', '.join(map(repr, lost))} is not in the mosaic any more. Keep it: write the "
            "mosaic as quality_mosaic() gives it; or leave updatable= out."
        )
    for name, asked in encoding.items():
        packing = [key for key in PACKING if key in asked]
        if packing:
            raise ValueError(
                f"encoding= asks for another {' and '.join(packing)} of {name!r}, and what is "
                "packed so could not be compared with new images. Declare it where the collection "
                f"has it, collection[{str(name)!r}].encoding, or leave updatable= out."
            )


def _check_rules(mosaic: xr.Dataset, rules: Mapping[Any, Any]) -> None:
    masked = rules.get(PREFIX + "masked")
    if masked == "fill":
        raise ValueError(
            "updatable=True cannot be with masked='fill': each band is from another image, and the "
            "score of that is not known. Make the mosaic with masked='keep' or 'skip', or leave "
            "updatable= out."
        )
    for key, what in OTHER_RULES.items():
        if key in rules:
            raise ValueError(
                f"updatable=True needs a mosaic in which each pixel has the image with the best "
                f"score, and this one {what}. Make it without, or leave updatable= out: such a "
                "mosaic is made anew from all images."
            )
    lacking = [name for name in NEEDED if name not in mosaic.coords]
    if RANK in mosaic.dims:
        raise ValueError(
            "updatable=True is for mosaics with one image a pixel, and this one has several ranks. "
            "Write quality_mosaic(collection, band, provenance=True), or leave updatable= out."
        )
    if lacking or PROVENANCE not in rules:
        raise ValueError(
            f"updatable=True needs to know where each pixel comes from, and the mosaic has no "
            f"{' and no '.join(map(repr, lacking)) or f'attribute {PROVENANCE!r}'}. Make it with "
            "provenance=True, or leave updatable= out."
        )
    period = rules.get(PREFIX + "period")
    if period is not None and not follows_calendar(period):
        raise ValueError(
            f"updatable=True needs periods that a frequency of pandas names ('MS', 'QS-DEC', "
            f"'10D'), so that new images find theirs, and these are {period!r}. Make the mosaic "
            "with such a period= and without rolling=, or leave updatable= out."
        )


def _bands(mosaic: xr.Dataset, array: Hashable | None) -> list[str]:
    if array is None:
        return [str(name) for name in mosaic.data_vars]
    index: pd.Index | None = mosaic.indexes.get("band")
    return [] if index is None else [str(label) for label in index]


def in_blocks(mosaic: xr.Dataset) -> xr.Dataset:
    """Give what lies in memory as arrays of dask, so that it is stored in the chunks of the
    rest."""
    rules, _ = rules_of(mosaic)
    names = [*mosaic.data_vars, *rules[PROVENANCE]]
    dims = mosaic[SOURCE_INDEX].dims
    sizes = {dims[0]: 1} if PREFIX + "period" in rules else {}
    changed = {
        name: mosaic[name].variable.chunk(sizes)
        for name in names
        if mosaic[name].chunks is None and set(dims) <= set(mosaic[name].dims)
    }
    bands = {n: v for n, v in changed.items() if n in mosaic.data_vars}
    rest = {n: v for n, v in changed.items() if n not in bands}
    return mosaic.assign(bands).assign_coords(rest)


def check_units(mosaic: xr.Dataset, units: Mapping[Hashable, tuple[int, ...]]) -> None:
    """Refuse chunks that do not fit into each other: what is written at once has to be whole chunks
    of all bands.

    Raises
    ------
    ValueError
        They do not.
    """
    dims = mosaic[SOURCE_INDEX].dims
    for dim in dims:
        sizes = {
            name: min(unit[mosaic[name].dims.index(dim)], mosaic.sizes[dim])
            for name, unit in units.items()
            if dim in mosaic[name].dims
        }
        largest = max(sizes, key=lambda name: sizes[name], default=None)
        for name, size in sizes.items():
            if largest is not None and sizes[largest] % max(size, 1):
                raise ValueError(
                    f"updatable=True needs chunks that fit into each other, and along {dim!r} "
                    f"those of {largest!r} have {sizes[largest]} pixels and those of {name!r} "
                    f"{size}. Ask for chunks= (and shards=) that are the same for all bands, or "
                    "leave updatable= out."
                )

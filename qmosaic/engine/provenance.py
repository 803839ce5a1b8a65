"""What a mosaic says of where its pixels come from: the names of its coordinates."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from qmosaic.collection.declarations import (
    SOURCE_INDEX,
    SOURCE_TIME,
    VALID_COUNT,
    can_be_masked,
)
from qmosaic.collection.model import bands_of
from qmosaic.engine.rules import Rules, counts_only


def asked_provenance(collection: xr.Dataset, rules: Rules) -> list[Hashable]:
    """Name what is to be said of where pixels come from.

    Raises
    ------
    ValueError
        There is no such coordinate along time.
    """
    asked, dim = rules.provenance, rules.dim
    timed = isinstance(collection.indexes.get(dim), pd.DatetimeIndex)
    if rules.within is not None:
        return counts_only(asked)
    if asked is True:
        return [SOURCE_INDEX, *([SOURCE_TIME] if timed else []), VALID_COUNT]
    if asked is False:
        return []
    coords = collection.coords
    known = [n for n, c in coords.items() if c.dims == (dim,) and n != dim]
    own = [SOURCE_INDEX, SOURCE_TIME, VALID_COUNT]
    names: list[Any] = [asked] if isinstance(asked, str) or not np.iterable(asked) else list(asked)
    for name in names:
        if name in own and (name != SOURCE_TIME or timed):
            continue
        if name == SOURCE_TIME:
            raise ValueError(
                f"provenance= asks for 'source_time', but there are no times along {dim!r}. Write "
                f"collection.assign_coords({dim}=pandas.to_datetime([...])), or ask for "
                "'source_index', the position of the image."
            )
        if name == dim and timed:
            raise ValueError(
                f"provenance= asks for {name!r}, which the mosaic has no more. Ask for "
                "'source_time': when the image of each pixel was taken."
            )
        if name not in known:
            raise ValueError(
                f"provenance= asks for {name!r}, which is none of {', '.join(map(repr, own))} and "
                f"no coordinate along {dim!r}; these are {', '.join(map(repr, known)) or 'none'}. "
                f"Add it, collection.assign_coords({{{name!r}: ({dim!r}, [...])}}), or leave it "
                "out."
            )
    return list(dict.fromkeys(names))


def source_coordinates(
    collection: xr.Dataset, rules: Rules, band: Hashable
) -> dict[Hashable, Hashable]:
    """Name the coordinates that say where the pixels of a band come from, and what each says.

    With ``masked="fill"`` each band has its own, and says at least from which image it is.
    """
    asked = asked_provenance(collection, rules)
    if rules.masked != "fill":
        return {name: name for name in asked}
    own = [name for name in asked if name != VALID_COUNT]
    if SOURCE_INDEX not in own and can_be_masked(collection[band]):
        own.insert(0, SOURCE_INDEX)
    found: dict[Hashable, Hashable] = {f"{band}_{name}": name for name in own}
    if VALID_COUNT in asked:
        found[VALID_COUNT] = VALID_COUNT
    return found


def check_names(collection: xr.Dataset, rules: Rules) -> None:
    """Refuse a variable that stands where it has to be written from which image pixels are."""
    taken = {
        coordinate: name
        for name in bands_of(collection, rules.dim)
        for coordinate in source_coordinates(collection, rules, name)
        if coordinate in collection.variables and not _goes(collection, coordinate, rules.dim)
    }
    for coordinate, name in taken.items():
        asked = "masked='fill'" if rules.masked == "fill" else "provenance="
        raise ValueError(
            f"the collection has a variable {coordinate!r}, but {asked} writes there from which "
            f"image each pixel of {name!r} is. Rename it: "
            f"ds.rename({{{coordinate!r}: ...}})."
        )


def _goes(collection: xr.Dataset, name: Hashable, dim: Hashable) -> bool:
    """Whether a variable is a coordinate that goes together with the images."""
    return name in collection.coords and dim in collection[name].dims

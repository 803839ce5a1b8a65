"""What filters and joins look at: the properties and outlines of images and of features.

Images are a Dataset along time, features a GeoDataFrame.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from qmosaic.collection.geometry import LON_LAT, projected
from qmosaic.collection.location import FOOTPRINT, extent_of
from qmosaic.collection.masks import Array
from qmosaic.ee.properties import property_of
from qmosaic.ee.values import Date, known, plain
from qmosaic.optional import needed

INDEX = "system:index"
GEOMETRY = ".geo"
"""What Earth Engine calls the id of an element, and its geometry."""


def count_of(elements: Any) -> int:
    """Count the images or features."""
    return int(elements.sizes["time"]) if isinstance(elements, xr.Dataset) else len(elements)


def column(elements: Any, name: str, caller: str) -> Array:
    """Give a property of all images or features.

    Returns
    -------
    array
        Floats, NaN where there is none; times, NaT where there is none; else objects, None where
        there is none.

    Raises
    ------
    KeyError
        None of them has it.
    """
    if not isinstance(elements, xr.Dataset):
        return _column_of_features(elements, name, caller)
    if name == GEOMETRY:
        return outlines(elements)
    values = property_of(elements, name, caller).values
    return settled_values(np.broadcast_to(values, count_of(elements)))


def _column_of_features(frame: Any, name: str, caller: str) -> Array:
    if name in frame.columns and name != frame.geometry.name:
        return settled_values(frame[name].to_numpy())
    if name == INDEX:
        return objects([str(label) for label in frame.index])
    if name == GEOMETRY:
        return outlines(frame)
    there = [str(one) for one in frame.columns if one != frame.geometry.name]
    raise KeyError(
        f"{caller}: the features have no property {name!r}; they have "
        f"{', '.join(map(repr, there)) or 'none'}. Name one of these, or set it before: "
        "features.map(lambda feature: feature.set(name, value))."
    )


def column_if_any(elements: Any, name: str, caller: str) -> Array | None:
    """Give a property of all images or features, as `column`; None, and a warning, if none has it.

    Earth Engine takes such a property for one that each of them lacks, and says nothing. A name
    that is misspelt would empty a collection unseen.
    """
    try:
        return column(elements, name, caller)
    except KeyError as lacking:
        if count_of(elements):
            reason = str(lacking.args[0]).removeprefix(f"{caller}: ").split(". ")[0]
            warnings.warn(
                f"{caller}: {reason}. So it is missing from each, and a missing property meets no "
                "condition but those that are opposites (neq, lte, gte, Not). Correct the name if "
                "it is misspelt.",
                UserWarning,
                stacklevel=2,
            )
        return None


def settled_values(values: Array) -> Array:
    """Bring values of a property to one form, see `column`."""
    if values.dtype.kind == "M":
        return values.astype("M8[ms]")
    if values.dtype.kind in "biuf":
        return values.astype("float64")
    made = objects(values.tolist())
    made[:] = [plain(one) for one in made]
    lacking = np.array([is_missing(one) for one in made], bool)
    numbers = [isinstance(one, int | float | np.number) for one in made[~lacking]]
    if numbers and all(numbers):
        made[lacking] = np.nan
        return made.astype("float64")
    made[lacking] = None
    return made


def is_missing(value: Any) -> bool:
    """Tell whether a value says that there is none: None, NaN, NaT."""
    return value is None or value is pd.NA or (np.isscalar(value) and bool(pd.isna(value)))


def objects(values: Any) -> Array:
    """Make an array of any objects, lists among them."""
    made = np.empty(len(values), object)
    for place, value in enumerate(values):
        made[place] = value
    return made


def operand(value: Any, caller: str) -> Array:
    """Give a value, that properties are compared with, as an array without dimensions."""
    given = known(value, caller)
    if isinstance(given, Date):
        return np.asarray(given.instant.astype("M8[ms]"))
    given = plain(given)
    if isinstance(given, bool | int | float | np.number):
        return np.asarray(float(given))
    made = np.empty((), object)
    made[()] = given
    return made


def random_numbers(
    elements: Any, seed: Any, distribution: Any, caller: str
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Give a random number for each element: the same ones for the same seed.

    Raises
    ------
    ValueError
        The distribution is not known.
    """
    kinds = {"uniform": "random", "normal": "standard_normal"}
    if distribution not in kinds:
        raise ValueError(
            f"{caller} got distribution={distribution!r}; it takes 'uniform', numbers from 0 to 1, "
            "and 'normal', around 0. Write one of them."
        )
    generator = np.random.default_rng(int(known(seed, caller)))
    made: np.ndarray[Any, np.dtype[np.float64]]
    made = getattr(generator, kinds[distribution])(count_of(elements))
    return made


def outlines(elements: Any) -> Array:
    """Give where images or features lie: geometries of shapely in longitude and latitude.

    An image that has no footprint lies anywhere on the grid.
    """
    shapely = needed("shapely", "geo", "regions and footprints")
    if not isinstance(elements, xr.Dataset):
        return objects(list(elements.geometry.to_crs(LON_LAT)))
    written = elements.coords.get(FOOTPRINT)
    texts = [None] * count_of(elements) if written is None else list(np.atleast_1d(written.values))
    known_ = [text if isinstance(text, str) and text else None for text in texts]
    found = objects(list(shapely.from_wkt(known_)))
    lacking = [place for place, text in enumerate(known_) if text is None]
    if lacking:
        grid = projected(extent_of(elements), LON_LAT).geom
        for place in lacking:
            found[place] = grid
    return found

"""Colours and a bar that explains them, for one band of numbers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import VALID_COUNT
from qmosaic.collection.masks import Array
from qmosaic.display.asides import Ramp
from qmosaic.display.colours import visualize
from qmosaic.display.drawing import MASKED
from qmosaic.display.thinning import bands_on_map, listed

COUNTS = {
    "min": "0%",
    "max": "100%",
    "palette": ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"],
}
"""How counts are shown where nothing is said: all of them, from dark to bright."""

STEPS = 256
"""Colours of a bar."""


def with_colours_of_counts(image: xr.Dataset, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Give counts of candidates their colours, where no visualisation parameter gives others."""
    bands = parameters.get("bands")
    names: list[Hashable] = list(image.data_vars) if bands is None else listed(bands)
    if set(parameters) <= {"bands"} and len(names) == 1 and str(names[0]).endswith(VALID_COUNT):
        return {**parameters, **COUNTS}
    return dict(parameters)


def ramp_of(image: xr.Dataset, parameters: Mapping[str, Any], *, masked: bool) -> Ramp | None:
    """Make the bar of a palette, with the highest value at the top.

    Parameters
    ----------
    image : xarray.Dataset
        What is shown.
    parameters : mapping
        Of `visualize`, with numbers.
    masked : bool
        Whether there are pixels without a value.

    Returns
    -------
    Ramp, optional
        None where there is no palette, or `min` and `max` do not say where it begins and ends.
    """
    low, high = (single_number(parameters.get(end)) for end in ("min", "max"))
    if parameters.get("palette") is None or low is None or high is None:
        return None
    name = next(iter(bands_on_map(image, "quicklook()")))
    whole = image[name].dtype.kind in "iu" and not {"scale_factor"} & set(image[name].attrs)
    return ramp_between(low, high, parameters["palette"], whole=whole, masked=masked)


def ramp_between(
    low: float, high: float, palette: Any, *, whole: bool = False, masked: bool = False
) -> Ramp:
    """Make the bar of a palette from one number to another; `whole` if these are integers.

    Raises
    ------
    ValueError, TypeError
        See `visualize`.
    """
    scale = xr.DataArray(np.linspace(high, low, STEPS)[:, None], dims=("y", "x"))
    colours = visualize(scale, min=low, max=high, palette=palette).values[:, 0, :3] / 255
    ticks = [
        (float(1 - (mark - low) / (high - low)), f"{mark:.6g}")
        for mark in _round_numbers(low, high, whole)
    ]
    return Ramp(colours, ticks, MASKED if masked else None, without="masked", ends=(low, high))


def _round_numbers(low: float, high: float, whole: bool) -> Array:
    """Give up to eight round numbers from one to another; without matplotlib, which maps do not
    need."""
    power = 10.0 ** np.floor(np.log10((high - low) / 7))
    step = next((s * power for s in (1, 2, 5) if (high - low) / (s * power) <= 7), 10 * power)
    step = max(step, 1.0) if whole else step
    numbers: Array = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    return numbers + 0.0  # no -0


def single_number(end: Any) -> float | None:
    if isinstance(end, list | tuple) and len(end) == 1:
        (end,) = end
    return None if end is None or np.ndim(end) else float(end)

"""Stretches by percentages of the values: `min` and `max` as texts such as "2%"."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata, declared_packing
from qmosaic.collection.masks import Array
from qmosaic.display.colours import visualize
from qmosaic.display.thinning import (
    bands_on_map,
    check_one_image,
    listed,
    only,
    shown,
    thin,
)
from qmosaic.engine.scheduling import compute
from qmosaic.scores.expressions import is_number

LOW, HIGH = "2%", "98%"
"""Where a picture is stretched, where nothing is said."""

End = float | str | Sequence[float | str | None] | None
"""Where a stretch begins or ends: a number, a percentage, or one for each band."""


def stretch(
    image: Any,
    min: End = LOW,
    max: End = HIGH,
    *,
    bands: str | Sequence[Hashable] | None = None,
    max_size: int = 512,
) -> dict[str, Any]:
    """Find the numbers between which an image is stretched, from percentages of its values.

    `quicklook` and `Map` take percentages themselves. This is for `visualize`, which computes
    nothing, and for layers that are to have one stretch.

    Parameters
    ----------
    image : xarray.Dataset, xarray.DataArray, str or Path
        One image, or the path of the store of a mosaic.
    min, max : float, str, or sequence of these
        Numbers stay as they are. A percentage such as ``"2%"`` or ``"99.5%"`` is that percentile of
        the valid pixels: of all `bands` together, which keeps their colours true to each other. In
        a list with one entry for each band, it is that of this band alone, as in QGIS.
    bands : str or sequence of str, optional
        As in `visualize`.
    max_size : int, default: 512
        The most pixels along each side that are looked at: the level that fits, or every k-th row
        and column.

    Returns
    -------
    dict
        ``{"min": ..., "max": ...}`` in the unit of the bands: numbers, or lists of them where `min`
        or `max` is a list.

    Raises
    ------
    KeyError
        There is no such band.
    TypeError
        It is no image.
    ValueError
        It is no percentage, or what `visualize` refuses.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> image = xr.Dataset({"red": (("y", "x"), np.arange(101.0).reshape(1, 101))})
    >>> qm.display.stretch(image, "2%", "98%")
    {'min': 2.0, 'max': 98.0}
    >>> qm.visualize(image, **qm.display.stretch(image, 0, "50%")).values[0, 10, :3]
    array([51, 51, 51], dtype=uint8)
    """
    dataset = shown(image, "stretch()")
    asked = {"min": min, "max": max, "bands": bands}
    parameters = {name: value for name, value in asked.items() if value is not None}
    visible = wanted(dataset, bands, "stretch()")
    visualize(visible, **provisional(parameters))  # refuses what is wrong before it computes
    (loaded,) = compute(thin(visible, max_size))
    found = settled(parameters, [loaded])
    return {name: found[name] for name in ("min", "max") if name in found}


def wanted(image: xr.Dataset, bands: Any, caller: str) -> xr.Dataset:
    """Leave out the bands that are not shown, and coordinates that tell of each pixel, so that they
    are not computed."""
    if bands is None:
        names = bands_on_map(image, caller)
        image = image[names[:3] if len(names) >= 3 else names[:1]]
    else:
        image = only(image, bands)
    return image.drop_vars([name for name, c in image.coords.items() if c.ndim >= 2])


def has_percentages(parameters: Mapping[str, Any]) -> bool:
    """Tell whether `min` or `max` is a percentage, or has one for a band."""
    return any(_is_text(n) for end in ("min", "max") for n in _entries(parameters.get(end)))


def provisional(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Put numbers in the place of percentages, with which the parameters can be checked before the
    values are known.

    Raises
    ------
    ValueError
        A text is no percentage.
    """
    if not has_percentages(parameters):
        return dict(parameters)
    low, high = _both(parameters)
    size = max(len(_entries(low)), len(_entries(high)))
    pairs = [
        _checked(_percentile(a), _percentile(b), a, b)
        for a, b in zip(_spread(low, size), _spread(high, size), strict=True)
    ]
    lows = [_stand_in(a, b, below=True) for a, b in pairs]
    highs = [_stand_in(b, a, below=False) for a, b in pairs]
    return {**parameters, "min": lows, "max": highs}


def settled(parameters: Mapping[str, Any], images: Sequence[xr.Dataset]) -> dict[str, Any]:
    """Put the values of percentages in their place.

    Parameters
    ----------
    parameters : mapping
        Of `visualize`; percentages have been checked by `provisional`.
    images : sequence of xarray.Dataset
        Samples of the images that are to have this stretch, in memory, with the bands shown.
    """
    if not has_percentages(parameters):
        return dict(parameters)
    low, high = _both(parameters)
    several = [end for end in (low, high) if _is_list(end)]
    if not several:
        pixels = _valid(images, None)
        pair = _apart(_value(low, pixels), _value(high, pixels), low, high)
        return {**parameters, "min": pair[0], "max": pair[1]}
    size = max(map(len, several))
    together = _valid(images, None)
    pairs = []
    for band, (a, b) in enumerate(zip(_spread(low, size), _spread(high, size), strict=True)):
        own = _valid(images, _name(parameters, images[0], band))
        ends = (
            _value(end, own if _is_list(given) else together)
            for end, given in ((a, low), (b, high))
        )
        pairs.append(_apart(*ends, a, b))
    return {**parameters, "min": [a for a, _ in pairs], "max": [b for _, b in pairs]}


def _is_list(end: Any) -> bool:
    return end is not None and not isinstance(end, str) and np.ndim(end) > 0


def _entries(end: Any) -> list[Any]:
    return list(end) if _is_list(end) else [end]


def _spread(end: Any, size: int) -> list[Any]:
    """Give one entry for each band; how many there have to be, `visualize` knows."""
    entries = _entries(end)
    return entries * size if len(entries) == 1 else entries + [None] * (size - len(entries))


def _is_text(number: Any) -> bool:
    return isinstance(number, str)


def _percentile(number: Any) -> Any:
    """Read a percentage: its number in a tuple; what is none stays."""
    if not _is_text(number):
        return number
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", number)
    if found is None or float(found[1]) > 100:
        raise ValueError(
            f"min= or max= is {number!r}, which is no number and no percentage of the values. "
            "Write a number, or a text from '0%' to '100%', such as '2%'."
        )
    return (float(found[1]),)


def _both(parameters: Mapping[str, Any]) -> tuple[Any, Any]:
    """Give both ends; one that is left out lies as far from its side as the other: 2 % and 98 %."""
    low, high = parameters.get("min"), parameters.get("max")
    if low is None:
        low = _opposite(high)
    if high is None:
        high = _opposite(low)
    return low, high


def _opposite(end: Any) -> Any:
    if _is_list(end):
        return [_opposite(one) for one in end]
    return f"{100 - _percentile(end)[0]:.12g}%" if _is_text(end) else None


def _checked(low: Any, high: Any, *given: Any) -> tuple[Any, Any]:
    if isinstance(low, tuple) and isinstance(high, tuple) and not low < high:
        raise ValueError(
            f"min={given[0]!r} is not below max={given[1]!r}. To reverse the colours, reverse the "
            "palette: palette=[...][::-1]."
        )
    return low, high


def _stand_in(end: Any, other: Any, *, below: bool) -> Any:
    """Put a number in the place of a percentage, on the right side of the other end."""
    if not isinstance(end, tuple):
        return end
    away = -1.0 if below else 1.0
    if is_number(other) and np.isfinite(other):
        return other + away
    return away * float(np.finfo("float32").max)


def _value(end: Any, pixels: Array) -> Any:
    found = _percentile(end)
    return float(np.percentile(pixels, found[0])) if isinstance(found, tuple) else end


def _apart(low: Any, high: Any, *given: Any) -> tuple[Any, Any]:
    """Keep the ends of a stretch apart, where all values are one."""
    if not (is_number(low) and is_number(high)) or low < high or not any(map(_is_text, given)):
        return low, high
    if all(map(_is_text, given)):
        return low - 1, high + 1
    return (low, low + 1) if _is_text(given[1]) else (high - 1, high)


def _name(parameters: Mapping[str, Any], image: xr.Dataset, number: int) -> Hashable:
    """Name the band that is shown as number `number`."""
    asked = parameters.get("bands")
    names: list[Hashable] = bands_on_map(image, "quicklook()") if asked is None else listed(asked)
    return names[min(number, len(names) - 1)]


def _valid(images: Sequence[xr.Dataset], name: Hashable | None) -> Array:
    """Give the valid values of all bands, or of one, of all images, in the unit of the bands."""
    bands = [
        band
        for image in images
        for own, band in image.data_vars.items()
        if band.ndim >= 2 and (name is None or own == name)
    ]
    for band in bands:
        check_one_image(band, "quicklook()")
    values = [v for v in map(_valid_of, bands) if v.size]
    return np.concatenate(values) if values else np.array([0.0, 1.0])


def _valid_of(band: xr.DataArray) -> Array:
    values, nodata = band.values, declared_nodata(band)
    keep = np.isfinite(values) if nodata is None else np.isfinite(values) & (values != nodata)
    scale, offset = declared_packing(band)
    valid: Array = values[keep].astype(float) * scale + offset
    return valid

"""Earth Engine's visualisation parameters: read, checked, and turned into what `painting` takes."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata, declared_packing
from qmosaic.collection.masks import Array
from qmosaic.display.thinning import listed
from qmosaic.optional import needed
from qmosaic.scores.expressions import is_number

Numbers = float | str | Sequence[float] | None

PARAMETERS = ("bands", "min", "max", "gain", "bias", "gamma", "palette", "opacity")

NUMBERS = ("min", "max", "gain", "bias", "gamma", "opacity")
"""Those that are numbers, which Earth Engine takes as texts, too."""

VISUALIZED = "vis-"
"""How the names of bands begin that are colours already, 0 to 255."""


def are_colours(bands: Iterable[Hashable]) -> bool:
    """Tell whether bands are colours already, as ``ee.Image.visualize`` makes them."""
    return all(str(name).startswith(VISUALIZED) for name in bands)


def plain(value: Any) -> Any:
    """Take a parameter as Python has it: numbers, texts and lists of `qmosaic.ee` are computed."""
    if hasattr(value, "getInfo"):
        value = value.getInfo()
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def plain_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Take parameters as Python has them; texts of numbers, ``"0, 3000"``, are read."""
    given = {name: plain(value) for name, value in parameters.items()}
    return {name: _read(one) if name in NUMBERS else one for name, one in given.items()}


def _read(given: Any) -> Any:
    """Read the numbers of a text; what is none, a percentage for instance, stays a text."""
    if isinstance(given, list):
        return [_read(one) for one in given]
    if not isinstance(given, str):
        return given
    read = [_number(part) for part in listed(given)]
    return read if len(read) > 1 else read[0]


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def check_parameters(parameters: Any, caller: str) -> dict[str, Any]:
    """Refuse visualisation parameters that are none.

    Raises
    ------
    TypeError
        It is no mapping, or has another key.
    """
    parameters = plain(parameters)
    if parameters is None:
        return {}
    if not isinstance(parameters, Mapping):
        raise TypeError(
            f"{caller} got vis_params={parameters!r:.60} ({type(parameters).__name__}); they are a "
            "mapping such as {'bands': ['B4', 'B3', 'B2'], 'min': 0, 'max': 3000}."
        )
    for name in parameters:
        if name not in PARAMETERS:
            raise TypeError(
                f"{caller} got the visualisation parameter {name!r}; there are "
                f"{', '.join(map(repr, PARAMETERS))}."
            )
    return plain_parameters(parameters)


def how_of(
    arrays: Sequence[xr.DataArray],
    *,
    min: Any = None,
    max: Any = None,
    gain: Any = None,
    bias: Any = None,
    gamma: Any = None,
    palette: Any = None,
) -> dict[str, Any]:
    """Tell how bands become colours: what the functions of `painting` take."""
    names = [array.name for array in arrays]
    if palette is not None and len(names) > 1:
        raise ValueError(
            f"visualize() got a palette and {len(names)} bands; a palette is for one band. Write "
            f"bands=[{names[0]!r}], or leave the palette out."
        )
    if palette is not None and gamma is not None:
        raise ValueError(
            "visualize() got palette= and gamma=; the palette gives each value its "
            "colour already. Leave one of them out."
        )
    lows, highs, gains, biases = (
        _each(given, name, names)
        for given, name in ((min, "min"), (max, "max"), (gain, "gain"), (bias, "bias"))
    )
    linear = [
        _line(array, *numbers)
        for array, *numbers in zip(arrays, lows, highs, gains, biases, strict=True)
    ]
    return {
        "linear": [_packed(line, array) for line, array in zip(linear, arrays, strict=True)],
        "gamma": [_gamma(g) for g in _each(gamma, "gamma", names)],
        "nodata": [declared_nodata(array) for array in arrays],
        "table": None if palette is None else _table(palette),
    }


def _each(given: Any, name: str, bands: Sequence[Hashable]) -> list[float | None]:
    """Give one number for each band."""
    numbers = [given] * len(bands) if given is None or np.ndim(given) == 0 else list(given)
    if len(numbers) == 1:
        numbers *= len(bands)
    if len(numbers) != len(bands):
        raise ValueError(
            f"visualize() got {len(numbers)} numbers for {name}= and {len(bands)} "
            f"band{'s' if len(bands) > 1 else ''}. Give one for all, or one a band."
        )
    for number in numbers:
        if number is not None and not (is_number(number) and np.isfinite(number)):
            raise ValueError(
                f"visualize() got {name}={given!r} ({type(number).__name__}); it has to be a "
                f"finite number.{_instead(number)}"
            )
    return numbers


def _instead(number: Any) -> str:
    """Say what to write in place of a percentage."""
    if not (isinstance(number, str) and number.strip().endswith("%")):
        return ""
    return (
        " Percentages of the values cannot be known before these are computed, and visualize() "
        "computes nothing: write visualize(image, **qmosaic.display.stretch(image, '2%', '98%'))."
    )


def _line(
    band: xr.DataArray,
    low: float | None,
    high: float | None,
    gain: float | None,
    bias: float | None,
) -> tuple[float, float]:
    """Give factor and offset that bring a band to 0 to 1."""
    if gain is not None or bias is not None:
        if low is not None or high is not None:
            raise ValueError(
                "visualize() got gain= or bias= beside min= or max=; both describe the stretch. "
                "Leave one pair out."
            )
        return (1.0 if gain is None else gain) / 255, (0.0 if bias is None else bias) / 255
    lowest, highest = _range_of(band)
    low, high = lowest if low is None else float(low), highest if high is None else float(high)
    if not low < high:
        raise ValueError(
            f"visualize() got min={low:g} and max={high:g} for band {band.name!r}; min has to be "
            "below max. To reverse the colours, reverse the palette: palette=[...][::-1]."
        )
    return 1 / (high - low), -low / (high - low)


def _packed(line: tuple[float, float], band: xr.DataArray) -> tuple[float, float]:
    """Let factor and offset work on the integers of a band that declares how it is packed."""
    scale, shift = declared_packing(band)
    factor, offset = line
    return factor * scale, factor * shift + offset


def _range_of(band: xr.DataArray) -> tuple[float, float]:
    if are_colours([band.name]):
        return 0.0, 255.0
    if band.dtype.kind in "iu":
        scale, offset = declared_packing(band)
        limits = np.iinfo(band.dtype)
        ends = sorted(float(end) * scale + offset for end in (limits.min, limits.max))
        return ends[0], ends[1]
    return 0.0, 1.0


def _gamma(number: float | None) -> float:
    if number is not None and number <= 0:
        raise ValueError(f"visualize() got gamma={number!r}; it has to be above 0.")
    return 1.0 if number is None else float(number)


def opacity_of(given: Any) -> float:
    if not (is_number(given) and 0 <= given <= 1):
        raise ValueError(f"visualize() got opacity={given!r}; it is a number of 0 to 1.")
    return float(given)


def _table(palette: Any) -> Array:
    """Give the colours of a palette, 0 to 255, a row each."""
    several = [listed(one) if isinstance(one, str) else [one] for one in listed(palette)]
    colours = [as_rgb(text) for one in several for text in one]
    if not colours:
        raise ValueError("visualize() got an empty palette; give one colour at least.")
    return np.array(colours if len(colours) > 1 else colours * 2, float)


def as_rgb(text: Any) -> tuple[int, ...]:
    if not isinstance(text, str):
        raise TypeError(
            f"visualize() got {text!r} ({type(text).__name__}) in the palette; a colour is a text "
            "such as 'red' or 'FF0000'."
        )
    plain = text.strip().lstrip("#")
    if re.fullmatch(r"[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8}", plain):  # opacity is last
        wide = plain if len(plain) >= 6 else "".join(2 * digit for digit in plain)
        return tuple(int(wide[i : i + 2], 16) for i in (0, 2, 4))
    named = needed("PIL.ImageColor", "plot", "colours with names")
    try:
        red, green, blue, *_ = named.getrgb(plain)
    except ValueError as error:
        raise ValueError(
            f"visualize() got the colour {text!r}, which is no name of CSS and not hexadecimal. "
            "Write, for instance, 'green' or '00FF00'."
        ) from error
    return red, green, blue

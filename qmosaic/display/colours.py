"""Visualisation parameters, as Earth Engine has them, to red, green, blue and opacity."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata, declared_packing
from qmosaic.collection.location import map_axes
from qmosaic.collection.masks import Array
from qmosaic.display.thinning import bands_on_map, listed, shown
from qmosaic.engine.scheduling import rechunk
from qmosaic.optional import needed
from qmosaic.scores.expressions import is_number

Numbers = float | Sequence[float] | None

Paint = Callable[[xr.Dataset], xr.DataArray]
"""Gives an image that is in memory its colours: uint8, (y, x, band)."""

PARAMETERS = ("bands", "min", "max", "gain", "bias", "gamma", "palette", "opacity")


def visualize(
    image: Any,
    *,
    bands: str | Sequence[Hashable] | None = None,
    min: Numbers = None,
    max: Numbers = None,
    gain: Numbers = None,
    bias: Numbers = None,
    gamma: Numbers = None,
    palette: str | Sequence[str] | None = None,
    opacity: float = 1.0,
) -> xr.DataArray:
    """Colour an image by Earth Engine's visualisation parameters.

    Parameters
    ----------
    image : xarray.Dataset or xarray.DataArray
        One image: bands along y and x.
    bands : str or sequence of str, optional
        Three bands for red, green and blue, or one; a text may list them, ``"B4,B3,B2"``. By
        default the first three; if there are fewer, the first.
    min, max : float or sequence of float, optional
        What becomes black and what becomes full colour, for all bands or one a band, in the unit of
        the bands; values beyond are clipped. By default 0 and 1 for floats, the range of the dtype
        for integers. Integers that declare ``scale_factor`` and ``add_offset`` among their
        attributes are unpacked first, so ``max=0.3`` is a reflectance; those of an image of
        `qmosaic.ee` are shown as stored. `quicklook` and `display.Map` also take percentages,
        ``"2%"``; for those here, `display.stretch` computes the numbers.
    gain, bias : float or sequence of float, optional
        In place of `min` and `max`: the value shown is ``value * gain + bias``, 0 to 255.
    gamma : float or sequence of float, optional
        The stretched value, 0 to 1, to the power of ``1 / gamma``: above 1 brightens.
    palette : sequence of str or str, optional
        Colours for one band, spread evenly from `min` to `max` and blended between: names of CSS or
        hexadecimal, with or without "#"; a text may list them, ``"blue,white,red"``.
    opacity : float, default: 1
        Of pixels that are not masked, 0 to 1.

    Returns
    -------
    xarray.DataArray
        uint8, the dimensions of the map and ``band`` ("r", "g", "b", "a"), lazy where `image` is.
        Pixels that are masked in one of the bands are transparent (a = 0).

    Raises
    ------
    KeyError
        There is no such band.
    TypeError
        It is no image, or a colour is no text.
    ValueError
        `min` is not below `max`, two or more than three bands are given, there is a palette for
        three, numbers are not one a band, or a colour has no meaning.

    Notes
    -----
    https://developers.google.com/earth-engine/guides/image_visualization

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> image = xr.Dataset({"red": (("y", "x"), np.uint16([[0, 1500, 3000]]))})
    >>> qm.visualize(image, min=0, max=3000).values[0, :, 0]
    array([  0, 128, 255], dtype=uint8)
    """
    dataset = shown(image, "visualize()")
    names = _chosen(dataset, bands)
    arrays = [dataset[name] for name in names]
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
    colour = functools.partial(
        _colour,
        linear=[_packed(line, array) for line, array in zip(linear, arrays, strict=True)],
        gamma=[_gamma(g) for g in _each(gamma, "gamma", names)],
        nodata=[declared_nodata(array) for array in arrays],
        table=None if palette is None else _table(palette),
        opacity=_opacity(opacity),
    )
    return _by_chunk(colour, arrays)


def check_parameters(parameters: Any, caller: str) -> dict[str, Any]:
    """Refuse visualisation parameters that are none.

    Raises
    ------
    TypeError
        It is no mapping, or has another key.
    """
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
    return dict(parameters)


def _chosen(dataset: xr.Dataset, bands: Any) -> list[Hashable]:
    """Name the bands to be shown: one or three."""
    known = bands_on_map(dataset if bands is None else _known(dataset, bands), "visualize()")
    if bands is None:
        return known[:3] if len(known) >= 3 else known[:1]
    names = listed(bands)
    if len(names) not in (1, 3):
        raise ValueError(
            f"visualize() got {len(names)} bands, {', '.join(map(repr, names))}; it shows one, or "
            "three as red, green and blue."
        )
    return names


def _known(dataset: xr.Dataset, bands: Any) -> xr.Dataset:
    for name in listed(bands):
        if name not in dataset.data_vars:
            raise KeyError(
                f"visualize() found no band {name!r}; there are "
                f"{', '.join(map(repr, dataset.data_vars)) or 'none'}."
            )
    return dataset[list(dict.fromkeys(listed(bands)))]


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


def _opacity(given: Any) -> float:
    if not (is_number(given) and 0 <= given <= 1):
        raise ValueError(f"visualize() got opacity={given!r}; it is a number of 0 to 1.")
    return float(given)


def _table(palette: Any) -> Array:
    """Give the colours of a palette, 0 to 255, a row each."""
    colours = [_rgb(text) for text in listed(palette)]
    if not colours:
        raise ValueError("visualize() got an empty palette; give one colour at least.")
    return np.array(colours if len(colours) > 1 else colours * 2, float)


def _rgb(text: Any) -> tuple[int, ...]:
    if not isinstance(text, str):
        raise TypeError(
            f"visualize() got {text!r} ({type(text).__name__}) in the palette; a colour is a text "
            "such as 'red' or 'FF0000'."
        )
    plain = text.strip().lstrip("#")
    if re.fullmatch(r"[0-9a-fA-F]{3}|[0-9a-fA-F]{6}", plain):
        wide = plain if len(plain) == 6 else "".join(2 * digit for digit in plain)
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


def _colour(
    *bands: Array,
    linear: list[tuple[float, float]],
    gamma: list[float],
    nodata: list[Any],
    table: Array | None,
    opacity: float,
) -> Array:
    """Give red, green, blue and opacity of a block, along a last axis."""
    valid = np.ones(np.broadcast_shapes(*(b.shape for b in bands)), bool)
    channels = []
    for band, (factor, offset), power, missing in zip(bands, linear, gamma, nodata, strict=True):
        if missing is not None:
            valid &= band != missing
        level = band.astype(float) * factor + offset
        valid &= ~np.isnan(level)
        level = np.clip(np.nan_to_num(level), 0, 1)
        channels.append(level if power == 1 else level ** (1 / power))
    if table is None:
        parts = [255 * channels[i if len(channels) == 3 else 0] for i in range(3)]
    else:
        stops = np.linspace(0, 1, len(table))
        parts = [np.interp(channels[0], stops, table[:, i]) for i in range(3)]
    parts.append(np.full(valid.shape, 255 * opacity))
    # half and more is rounded up, as 127.5 to 128
    rgba = np.floor(np.stack(np.broadcast_arrays(*parts), axis=-1) + 0.5).astype(np.uint8)
    rgba[~valid] = 0
    return rgba


def _by_chunk(colour: Any, bands: list[xr.DataArray]) -> xr.DataArray:
    """Apply a function of blocks to bands of one map, which adds an axis of colours."""
    first = bands[0]
    dims = map_axes(first, "visualize()")
    placed = [band.transpose(*dims) for band in bands]
    if any(band.sizes != placed[0].sizes for band in placed):
        raise ValueError(
            "visualize() got bands of different sizes, which lie on no one map. Bring them onto "
            "one grid first."
        )
    data = [band.data for band in placed]
    if any(isinstance(array, da.Array) for array in data):
        wholes = [a if isinstance(a, da.Array) else da.from_array(a) for a in data]
        wholes = [rechunk(a, wholes[0].chunks) for a in wholes]
        pixels = da.map_blocks(
            colour,
            *wholes,
            dtype=np.uint8,
            chunks=(*wholes[0].chunks, (4,)),
            new_axis=2,
            meta=np.empty((0, 0, 0), np.uint8),
        )
    else:
        pixels = colour(*data)
    coords = {n: c for n, c in first.coords.items() if set(c.dims) <= set(dims)}
    return xr.DataArray(pixels, {**coords, "band": list("rgba")}, (*dims, "band"), name="colours")

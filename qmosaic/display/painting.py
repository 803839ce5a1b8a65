"""Numbers to colours: functions of numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qmosaic.collection.masks import Array


def rgba(*bands: Array, table: Array | None, opacity: float, **how: Any) -> Array:
    """Give red, green, blue and opacity of a block, along a last axis: uint8.

    Parameters
    ----------
    *bands : array
        One band, or three for red, green and blue.
    table : array, optional
        The colours of a palette, 0 to 255, a row each.
    opacity : float
        Of pixels that are not masked, 0 to 1.
    **how
        See `levels`.
    """
    valid, channels = levels(*bands, **how)
    parts = [shade(channels, number, table) for number in range(3)]
    parts.append(np.full(valid.shape, 255 * opacity))
    colours = _whole(np.stack(np.broadcast_arrays(*parts), axis=-1)).astype(np.uint8)
    colours[~valid] = 0
    return colours


def one_of_rgb(
    *bands: Array, number: int, table: Array | None, result: Any, fill: Any, **how: Any
) -> Array:
    """Give red, green or blue of a block: 0 to 255, or `fill` where it is masked.

    Parameters
    ----------
    *bands, table, **how
        See `rgba`.
    number : int
        0 for red, 1 for green, 2 for blue.
    result : dtype
        Of what it gives.
    fill : scalar, optional
        What stands for masked; None where no pixel can be.
    """
    valid, channels = levels(*map(np.asarray, bands), **how)
    colour = np.broadcast_to(_whole(shade(channels, number, table)).astype(result), valid.shape)
    made: Array = np.asarray(colour if fill is None else np.where(valid, colour, fill), result)
    return np.ascontiguousarray(made) if made.ndim else made


def levels(
    *bands: Array,
    linear: Sequence[tuple[float, float]],
    gamma: Sequence[float],
    nodata: Sequence[Any],
) -> tuple[Array, list[Array]]:
    """Tell which pixels are valid in all bands, and stretch each band to 0 to 1.

    Parameters
    ----------
    *bands : array
        The bands.
    linear : sequence of (float, float)
        Factor and offset of each, which bring it to 0 to 1.
    gamma : sequence of float
        The level of each band to the power of 1 / gamma.
    nodata : sequence
        What stands for masked in each; None for nothing but NaN.
    """
    valid = np.ones(np.broadcast_shapes(*(b.shape for b in bands)), bool)
    channels = []
    for band, (factor, offset), power, missing in zip(bands, linear, gamma, nodata, strict=True):
        if missing is not None:
            valid &= band != missing
        level = band.astype(float) * factor + offset
        valid &= ~np.isnan(level)
        level = np.clip(np.nan_to_num(level), 0, 1)
        channels.append(level if power == 1 else level ** (1 / power))
    return valid, channels


def shade(channels: Sequence[Array], number: int, table: Array | None) -> Array:
    """Give red (0), green (1) or blue (2), 0 to 255, as floats."""
    if table is None:
        return 255 * channels[number if len(channels) == 3 else 0]
    shades: Array = np.interp(channels[0], np.linspace(0, 1, len(table)), table[:, number])
    return shades


def _whole(values: Array) -> Array:
    """Round half and more up, as 127.5 to 128, in place: a picture is large enough once."""
    rounded = np.asarray(values)
    rounded += 0.5
    whole: Array = np.floor(rounded, out=rounded)
    return whole

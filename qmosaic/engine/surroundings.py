"""What lies around a pixel has a say in who wins it: ``smooth=`` and ``scene_bonus=``, settled."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import xarray as xr

from qmosaic.collection.grid import metres_per_pixel
from qmosaic.collection.location import map_axes
from qmosaic.collection.means import TooNarrowError, scipy_is_there, weights_of
from qmosaic.engine.kernels import Order
from qmosaic.engine.neighbours import Disc, Favour
from qmosaic.engine.smoothing import smooth_array

RADIUS = 10
"""How many pixels around count where no radius is given. Of 3 to 30 pixels, 5 to 15 leave the
fewest seams on two real series of Sentinel-2, ``python -m benchmarks seams``."""


def check_surroundings(
    smooth: Any, bonus: Any, radius: Any, masked: str, names: Sequence[Hashable]
) -> None:
    """Refuse arguments that do not go together.

    Parameters
    ----------
    smooth, bonus, radius, masked
        ``smooth=``, ``scene_bonus=``, ``scene_radius=`` and ``masked=``, as they were given.
    names : sequence of hashable
        The bands that order the images.
    """
    if radius is not None and bonus is None:
        raise ValueError(
            f"scene_radius={radius!r} is how far scene_bonus= looks around, which is left out: "
            "nothing would be preferred. Write scene_bonus=0.1 for an NDVI, 5 for a cloud "
            "probability in %, or leave scene_radius= out."
        )
    asked = [n for n, v in {"smooth": smooth, "scene_bonus": bonus}.items() if v is not None]
    if asked and len(names) > 1:
        raise ValueError(
            f"quality_band={list(names)!r} are several, and {asked[0]}= needs one band: nothing is "
            "equal any more where a quality is averaged or raised, so that the others would never "
            "decide. Name one band, such as a sum of scores, scores.weighted(...), or leave "
            f"{asked[0]}= out."
        )
    if bonus is not None and masked == "fill":
        raise ValueError(
            "masked='fill' takes bands of a pixel from several images, and scene_bonus= prefers "
            "images that have whole pieces: who has won around would be another for each band. "
            "Write masked='skip', which has no holes either, or smooth= in place of scene_bonus=."
        )


def smoothed_quality(
    quality: xr.DataArray, dim: Hashable, metres: Any, order: Order, *, lazy: bool = False
) -> xr.DataArray:
    """Give what orders the images where ``smooth=`` is asked for: the means of a quality.

    Parameters
    ----------
    quality : xarray.DataArray
        The quality band, with coordinates and a CRS.
    dim : hashable
        The dimension of the images.
    metres : float
        How wide the window is.
    order : Order
        What makes a candidate: the quality's own nodata and bound, in its own numbers.
    lazy : bool, default: False
        Whether nothing is computed yet, though the quality lies in memory.

    Returns
    -------
    xarray.DataArray
        The means, in the numbers of the quality, packed ones where it is packed; NaN where an image
        is no candidate.

    Raises
    ------
    ValueError
        `metres` is no width above 0 or not that of a window, or the size of pixels is unknown.
    """
    caller = f"quality_mosaic(smooth={metres!r})"
    width = check_above_zero(
        metres,
        f"smooth={metres!r} is no width. It is that of the window, in metres, over which the "
        "quality is averaged: a number above 0. Write smooth=30, or leave it out.",
    )
    down, across = axes_of_map(quality, dim, f"smooth={width:g}")
    scipy_is_there()
    own = f"scores.smooth(collection[{quality.name!r}], {width:g}, resolution=10)"
    otherwise = f"order by a band that you have smoothed, {own}"
    sizes = metres_per_pixel(quality, None, caller, otherwise)
    try:
        weights = weights_of(width, "mean", sizes)
    except TooNarrowError:
        raise ValueError(
            f"smooth={width:g} is narrower than two pixels of {sizes[0]:g} × {sizes[1]:g} m, so a "
            "window is one pixel, and its mean is the quality as it is. Write "
            f"smooth={3 * max(sizes):g} or more, or leave it out."
        ) from None
    axes = quality.dims.index(down), quality.dims.index(across)
    variable = quality.variable.to_base_variable()
    if lazy and variable.chunks is None:
        variable = variable.chunk(dict.fromkeys(variable.dims, -1) | {dim: 1})
    made = smooth_array(
        variable.data,
        axes,
        weights,
        nodata=order.nodata,
        least=order.min_quality,
        descending=order.descending,
    )
    means = quality.copy(data=made)
    means.attrs, means.encoding = {}, {}
    return means


def favour_of(quality: xr.DataArray, dim: Hashable, bonus: Any, radius: Any) -> Favour:
    """Settle what ``scene_bonus=`` and ``scene_radius=`` ask for.

    Parameters
    ----------
    quality : xarray.DataArray
        The quality band, with coordinates and a CRS where a radius is given.
    dim : hashable
        The dimension of the images.
    bonus : float
        The bonus, in the numbers of the quality.
    radius : float or None
        The radius in metres; None for `RADIUS` pixels.

    Raises
    ------
    ValueError
        They are no numbers above 0, no other pixel lies within the radius, or the size of pixels is
        unknown.
    """
    more = check_above_zero(
        bonus,
        f"scene_bonus={bonus!r} is no bonus. It is what the quality of an image is raised by where "
        "that has won all that lies around, in the numbers of the quality: a number above 0. Write "
        "scene_bonus=0.1 for an NDVI, 5 for a cloud probability in %, or leave it out.",
    )
    down, across = axes_of_map(quality, dim, f"scene_bonus={more:g}")
    dims = [d for d in quality.dims if d != dim]
    axes = dims.index(down), dims.index(across)
    return Favour(more, _disc(quality, radius), axes)


def _disc(quality: xr.DataArray, radius: Any) -> Disc:
    if radius is None:
        return Disc.of(RADIUS, RADIUS)
    metres = check_above_zero(
        radius,
        f"scene_radius={radius!r} is no distance. It is how far scene_bonus= looks around, in "
        f"metres: a number above 0. Write scene_radius=100, or leave it out for {RADIUS} pixels.",
    )
    caller = f"quality_mosaic(scene_radius={metres:g})"
    otherwise = f"leave scene_radius= out, which is {RADIUS} pixels then"
    sizes = metres_per_pixel(quality, None, caller, otherwise)
    disc = Disc.of(*(metres / size for size in sizes))
    if disc.reach == (0, 0):
        raise ValueError(
            f"scene_radius={metres:g} is less than a pixel of {sizes[0]:g} × {sizes[1]:g} m, so "
            "that no other pixel lies within, and every winner would stay. Write "
            f"scene_radius={RADIUS * max(sizes):g}, or leave it out for {RADIUS} pixels."
        )
    return disc


def check_above_zero(value: Any, message: str) -> float:
    """Refuse what is no finite number above 0."""
    try:
        number = math.nan if isinstance(value, str | bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise ValueError(message)
    return number


def axes_of_map(quality: xr.DataArray, dim: Hashable, asked: str) -> tuple[Hashable, Hashable]:
    """Name the dimensions of a quality down and across; refuse one that is no map."""
    one = quality.isel({dim: 0}, drop=True)
    if one.ndim < 2:
        raise ValueError(
            f"{asked} looks at pixels beside each other, and the quality {quality.name!r} has "
            f"dimensions {', '.join(map(repr, quality.dims))}: no map. Give a quality with y and "
            f"x, or leave {asked.partition('=')[0]}= out."
        )
    return map_axes(one, "quality_mosaic()")

"""Scores of best-available-pixel composites, and several scores in one.

Griffiths et al. (2013), https://doi.org/10.1109/JSTARS.2012.2228167; White et al. (2014),
https://doi.org/10.1080/07038992.2014.945827; FORCE, Frantz (2019),
https://doi.org/10.3390/rs11091124, whose Level 3 module has the forms that are used here.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from qmosaic.collection.model import check_choice
from qmosaic.scores.expressions import (
    as_collection,
    check_finite,
    check_numeric,
    check_positive,
    of_band,
    of_bands,
    sigmoid,
)
from qmosaic.scores.reflectance import SENTINEL_2, reflectance_of

Combine = Literal["sum", "product"]


def cloud_distance(distance: xr.DataArray, *, sufficient: float = 3000.0) -> xr.DataArray:
    """Prefer pixels far from clouds: ``1 / (1 + exp(-10 / D * (d - D / 2)))``.

    Parameters
    ----------
    distance : xarray.DataArray
        The distance d to the nearest cloud or shadow, in metres, as `distance_to` measures it.
    sufficient : float, default: 3000
        D, the distance in metres from which on a pixel counts as clear: its score is 0.993, at
        half of it 0.5, in the cloud 0.007.

    Returns
    -------
    xarray.DataArray
        0 to 1, without unit; float32 for float32, NaN where `distance` is.

    Raises
    ------
    ValueError
        `sufficient` is not above 0.
    TypeError
        The distance has no numbers.

    Notes
    -----
    FORCE's cloud score with its DREQ of 3000 m. With D = 50 pixels, -10 / D is the -0.2 of
    Griffiths et al. (2013) and White et al. (2014), who measure in pixels of 30 m.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> metres = xr.DataArray(np.float32([0, 1500, 3000]))
    >>> qm.scores.cloud_distance(metres).values.round(3)
    array([0.007, 0.5  , 0.993], dtype=float32)
    """
    reach = check_positive(sufficient, "sufficient", "cloud_distance()")
    return of_band(distance, sigmoid, "cloud_distance()", slope=-10 / reach, centre=reach / 2)


def view_angle(zenith: xr.DataArray, *, sufficient: float = 7.5) -> xr.DataArray:
    """Prefer pixels seen from above: ``1 / (1 + exp(10 / V * (z - V / 2)))``.

    Parameters
    ----------
    zenith : xarray.DataArray
        The view zenith angle z in degrees, 0 to 180; of each pixel, or of each image.
    sufficient : float, default: 7.5
        V, the angle in degrees at which the score approaches 0 (0.007); at half of it, it is 0.5.

    Returns
    -------
    xarray.DataArray
        0 to 1, without unit. NaN where `zenith` is masked or no angle, so that such a pixel is no
        candidate (FORCE gives it 0).

    Raises
    ------
    ValueError
        `sufficient` is not above 0.
    TypeError
        The angle has no numbers.

    Notes
    -----
    FORCE's view zenith score with its VREQ of 7.5°, which is the edge of a Landsat scene.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> qm.scores.view_angle(xr.DataArray(np.float32([0, 3.75, 7.5]))).values.round(3)
    array([0.993, 0.5  , 0.007], dtype=float32)
    """
    widest = check_positive(sufficient, "sufficient", "view_angle()")
    return of_band(zenith, _of_angle, "view_angle()", slope=10 / widest, centre=widest / 2)


def _of_angle(zenith: Any, *, slope: float, centre: float) -> Any:
    angle = np.where((zenith >= 0) & (zenith <= 180), zenith, np.nan)
    return sigmoid(angle, slope, centre)


def haze(
    blue: xr.DataArray,
    red: xr.DataArray,
    *,
    threshold: float = 0.0,
    scale: float | None = None,
    offset: float | None = None,
) -> xr.DataArray:
    """Prefer pixels without haze: ``1 / (1 + exp(10 / 200 * (HOT - H)))``.

    HOT, the haze optimized transformation, is ``10000 * (blue - 0.5 * red - 0.08)``.

    Parameters
    ----------
    blue, red : xarray.DataArray
        Reflectance: floats of 0 to 1 (not digital numbers as floats: all of them would be haze),
        or integers.
    threshold : float, default: 0
        H, in units of 0.0001 reflectance: there the score is 0.5; 100 above it 0.007. At 0 begins
        what Zhu & Woodcock test for haze and thin cloud.
    scale, offset : float, optional
        Reflectance is ``band * scale + offset``. By default, for integers, what the band declares
        (``scale_factor``, ``add_offset``), else 0.0001 and 0 (Sentinel-2); floats are taken to be
        reflectance. Landsat Collection 2: 0.0000275 and -0.2.

    Returns
    -------
    xarray.DataArray
        0 to 1, without unit; NaN where a band is masked.

    Raises
    ------
    ValueError
        The bands are not on one grid, or a number is not one.
    TypeError
        A band has no numbers.

    Notes
    -----
    HOT: Zhang et al. (2002), https://doi.org/10.1016/S0034-4257(02)00034-2, in the form of Zhu &
    Woodcock (2012), https://doi.org/10.1016/j.rse.2011.10.028. The score is FORCE's.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> blue, red = (xr.DataArray(np.float32(v)) for v in ([0.05, 0.10, 0.11], [0.04, 0.04, 0.04]))
    >>> qm.scores.haze(blue, red).values.round(3)
    array([1.   , 0.5  , 0.007], dtype=float32)
    """
    for band in (blue, red):
        check_numeric(band, "haze()")
    return of_bands(
        [blue, red],
        _of_hot,
        "haze()",
        scaling=[reflectance_of(band, SENTINEL_2, scale, offset, "haze()") for band in (blue, red)],
        threshold=check_finite(threshold, "threshold", "haze()"),
    )


def _of_hot(blue: Any, red: Any, *, threshold: float) -> Any:
    return sigmoid(1e4 * (blue - 0.5 * red - 0.08), 10 / 200, threshold)


def weighted(
    weights: Mapping[Hashable, float] | Iterable[tuple[xr.DataArray, float]],
    collection: xr.Dataset | None = None,
    *,
    combine: Combine = "sum",
) -> xr.DataArray:
    """Combine scores into one.

    Parameters
    ----------
    weights : mapping of band name to weight, or pairs of score and weight
        How much each score counts; a weight of 0 leaves it out.
    collection : xarray.Dataset, optional
        The bands that a mapping names; also a mapping of names to scores.
    combine : {"sum", "product"}, default: "sum"
        The weighted mean ``Σ w s / Σ w``, or the product ``Π s ** w``, which one score near 0
        brings near 0. The product is for scores that are not negative.

    Returns
    -------
    xarray.DataArray
        In the unit of the scores (0 to 1 where they are), broadcast to the shape of all of them,
        lazy where they are. float32 where those with the most dimensions are, else float64. NaN
        where a score that counts is masked: such a pixel is no candidate.

    Raises
    ------
    KeyError
        There is no such band.
    ValueError
        A weight is negative or no number, none is above 0, or the scores are not on one grid.
    TypeError
        There is no collection for the names, or a score is no band.

    Notes
    -----
    The sum is that of Griffiths et al. (2013), White et al. (2014) and FORCE. FORCE's product is
    ``Π w s``, in which weights cannot change the order; with weights of 1 it is this one.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> scores = xr.Dataset({"clear": ("x", [1.0, 0.0]), "season": ("x", [0.5, 1.0])})
    >>> qm.scores.weighted({"clear": 3, "season": 1}, scores).values
    array([0.875, 0.25 ])
    """
    check_choice("combine", combine, ("sum", "product"))
    pairs = [
        (score, _weight(score.name if named is None else named, weight))
        for named, score, weight in _pairs(weights, collection)
    ]
    counting = [(score, weight) for score, weight in pairs if weight > 0]
    if not counting:
        raise ValueError(
            "weighted() got no weight above 0, so nothing counts. Write, for instance, "
            "{'cloud_distance': 1.0, 'season': 0.5}."
        )
    scores, numbers = zip(*counting, strict=True)
    return of_bands(list(scores), _combined, "weighted()", weights=list(numbers), combine=combine)


def _pairs(weights: Any, collection: Any) -> list[tuple[Hashable | None, xr.DataArray, float]]:
    """Give name, score and weight of each."""
    if not isinstance(weights, Mapping):
        pairs: list[tuple[Hashable | None, xr.DataArray, float]] = []
        for pair in weights:
            if not (isinstance(pair, tuple | list) and len(pair) == 2):
                got = "a score without weight" if isinstance(pair, xr.DataArray) else repr(pair)
                raise TypeError(
                    f"weighted() got {got} between its pairs of score and weight. Write "
                    "[(score, 1.0), (other, 0.5)], or {'name': 1.0} and the collection."
                )
            check_numeric(pair[0], "weighted()")
            pairs.append((None, pair[0], pair[1]))
        return pairs
    if collection is None:
        raise TypeError(
            "weighted() got names of bands, and no collection that has them. Write "
            "weighted({...}, collection), or pairs: weighted([(score, 1.0), (other, 0.5)])."
        )
    collection = as_collection(collection, "weighted()")
    for name in weights:
        if name not in collection:
            close = difflib.get_close_matches(str(name), [str(n) for n in collection], n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise KeyError(
                f"weighted() found no band {name!r}; there are "
                f"{', '.join(map(repr, collection)) or 'none'}.{hint}"
            )
    return [(name, collection[name], weight) for name, weight in weights.items()]


def _weight(name: Hashable, weight: Any) -> float:
    try:
        number = float(weight)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number) or number < 0:
        raise ValueError(
            f"weighted() got the weight {weight!r} for {name!r}; a weight is a number from 0 on. "
            "To prefer low values, negate the score: inverse(score), or 1 - score."
        )
    return number


def _combined(*scores: Any, weights: list[float], combine: Combine) -> Any:
    if combine == "product":
        product = scores[0] ** weights[0]
        for score, weight in zip(scores[1:], weights[1:], strict=True):
            product = product * score**weight
        return product
    total = scores[0] * weights[0]
    for score, weight in zip(scores[1:], weights[1:], strict=True):
        total = total + score * weight
    return total / sum(weights)

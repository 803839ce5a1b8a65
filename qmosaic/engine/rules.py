"""The arguments of a mosaic beside the collection and its quality, as they are given."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import VALID_COUNT
from qmosaic.collection.model import check_choice
from qmosaic.engine.kernels import Ties
from qmosaic.engine.reducing import Reducer

Masked = Literal["keep", "skip", "fill"]
Provenance = bool | Sequence[Hashable]
Collection = TypeVar("Collection", xr.Dataset, xr.DataArray)


@dataclass(frozen=True)
class Rules:
    """The arguments of `quality_mosaic` beside the collection and its quality, as they are given.

    Attributes
    ----------
    dim, ties, masked, fill_value, min_quality, upper_bound, provenance, smooth, scene_bonus, \
scene_radius
        See there.
    ranks : int or None
        How many images of each pixel are wanted; None for one, without a dimension of ranks.
    within : scalar or None
        How far behind the best a quality may be for its image to count; None for one image.
    reducer : {"median", "mean"} or number
        What is made of the images that count.
    medoid : bool
        Whether the image closest to the median wins, and no quality decides.
    compared : hashable, sequence of hashable or None
        The bands of which that is; None for all.
    """

    dim: Hashable = "time"
    ties: Ties = "first"
    masked: Masked = "keep"
    fill_value: Any = None
    min_quality: Any = None
    upper_bound: Any = None
    provenance: Provenance = False
    ranks: int | None = None
    within: Any = None
    reducer: Any = "median"
    medoid: bool = False
    compared: Any = None
    smooth: Any = None
    scene_bonus: Any = None
    scene_radius: Any = None

    def check(self) -> None:
        """Refuse choices that there are not."""
        check_choice("ties", self.ties, ("first", "last"))
        check_choice("masked", self.masked, ("keep", "skip", "fill"))
        check_reduction(self)


def counts_only(asked: Provenance) -> list[Hashable]:
    """Name what can be said of pixels that are made of several images."""
    names = [asked] if isinstance(asked, str | bool) or not np.iterable(asked) else list(asked)
    others = [name for name in names if name not in (True, False, VALID_COUNT)]
    if others:
        raise ValueError(
            f"provenance= asks for {', '.join(map(repr, others))}, but with within= a pixel is "
            "made of several images. Write provenance=['valid_count'] for how many candidates it "
            "had, or leave within= out."
        )
    return [VALID_COUNT] if any(names) else []


def check_reduction(rules: Rules) -> None:
    """Refuse a tolerance, or a reduction, that there is not.

    Raises
    ------
    ValueError
        `within` is no distance, `reducer` names none, or other arguments do not go with them.
    """
    within, reducer = rules.within, rules.reducer
    if within is None:
        if not (isinstance(reducer, str) and reducer == "median"):
            raise ValueError(
                f"reducer={reducer!r} says what becomes of several images, but one image wins "
                "each pixel: within= is left out. Write within=0.05, how far behind the best the "
                "quality of an image may be, or leave reducer= out."
            )
        return
    if not _is_number(within) or not within >= 0:
        raise ValueError(
            f"within={within!r} is no distance: it says how far behind the best the quality of an "
            "image may be. Give a number from 0 on, in the numbers of the quality band, such as "
            "within=0.05."
        )
    known = isinstance(reducer, str) and reducer in ("median", "mean")
    if not known and not (_is_number(reducer) and 0 <= reducer <= 100):
        raise ValueError(
            f"reducer={reducer!r} is none of 'median', 'mean' and a percentile. Write one of the "
            "two names, or the percentile as a number from 0 to 100, such as reducer=25."
        )
    if rules.scene_bonus is not None:
        raise ValueError(
            f"scene_bonus={rules.scene_bonus!r} prefers images that win pixels around, but with "
            "within= no single image wins: all whose quality is close to the best count. Leave "
            "scene_bonus= out, or write smooth= in its place, which averages the quality itself."
        )
    if rules.masked == "fill":
        raise ValueError(
            "masked='fill' takes a band from the best image in which it is valid, but with within= "
            "bands are reduced over several images, each over those in which it is valid. Leave "
            "masked= out, or write masked='skip' to count only images in which all are."
        )


def _is_number(given: Any) -> bool:
    kinds = int | float | np.integer | np.floating
    return isinstance(given, kinds) and not isinstance(given, bool | np.bool_)


def reducer_of(rules: Rules) -> Reducer | None:
    """Say what is made of the images that count; None where one image wins each pixel."""
    if rules.within is None:
        return None
    if _is_number(rules.reducer):
        return Reducer("percentile", float(rules.reducer))
    return Reducer(rules.reducer)

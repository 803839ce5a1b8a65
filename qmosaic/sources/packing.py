"""What the integers of images mean: a value is ``integer * scale + offset``."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from qmosaic.collection.model import check_choice

Harmonize = Literal["lossless", "wider", "earth_engine"]

Said = Mapping[str, Mapping[str, float] | None]

Given = Said | Callable[[Any], Said | None] | None

SAME_SCALE = 1e-6
"""How far scales may be apart, as a part of them, and count as one; float32 keeps 7 digits."""

SAME_OFFSET = 0.01
"""How far offsets may be from a whole number of steps, in steps, for the same reason."""


@dataclass(frozen=True)
class Packing:
    """What the integers of a band mean: ``integer * scale + offset``."""

    scale: float = 1.0
    offset: float = 0.0

    def __str__(self) -> str:
        """Write it as in a message."""
        return f"scale {self.scale:.9g}, offset {self.offset:.9g}"

    def is_like(self, other: Packing) -> bool:
        """Tell whether two packings are the same, but for what rounding does to them."""
        return self.has_scale_of(other) and abs(self.steps_to(other)) <= SAME_OFFSET

    def has_scale_of(self, other: Packing) -> bool:
        """Tell whether one step means the same in both."""
        return abs(self.scale - other.scale) <= SAME_SCALE * abs(self.scale)

    def steps_to(self, other: Packing) -> float:
        """Tell what has to be added to integers of this packing to make them of the other."""
        return (self.offset - other.offset) / other.scale

    @property
    def attrs(self) -> dict[str, float]:
        """The attributes that declare it; none where integers are what they mean."""
        if self == Packing():
            return {}
        return {"scale_factor": self.scale, "add_offset": self.offset}


NONE = Packing()
"""The packing of integers that are what they mean."""


def packing_in(attrs: Mapping[Any, Any]) -> Packing:
    """Read what attributes declare, as CF names them."""
    values = [(attrs.get(n), usual) for n, usual in (("scale_factor", 1), ("add_offset", 0))]
    return Packing(*(float(u if v is None else np.ravel(v)[0]) for v, u in values))


def declared(band: xr.DataArray, packing: Packing) -> xr.DataArray:
    """Let a band declare a packing, in place of its own."""
    band = band.copy(deep=False)
    kept = {k: v for k, v in band.attrs.items() if k not in ("scale_factor", "add_offset")}
    band.attrs = {**kept, **packing.attrs}
    return band


@dataclass(frozen=True)
class PackingRequest:
    """What a user says of packing.

    Attributes
    ----------
    given : mapping or callable, optional
        Scale and offset of bands, in place of what the source says; a callable gives them for one
        image.
    harmonize : {"lossless", "wider", "earth_engine"}
        Which packing all images are brought to.
    """

    given: Given = None
    harmonize: Harmonize = "lossless"

    def check_bands(self, bands: Sequence[Hashable], what: str) -> None:
        """Refuse a packing for a band that is not opened."""
        if isinstance(self.given, Mapping):
            _check_names(self.given, bands, f"packing= was given, but {what}")

    def of(
        self, image: Any, name: str, bands: Sequence[Hashable]
    ) -> Callable[[Hashable, Packing | None], Packing | None]:
        """Give the function that replaces what an image says of a band by what the user says.

        Parameters
        ----------
        image : STAC item, or path
            What a callable is called with, once.
        name : str
            What to call the image in errors.
        bands : sequence
            The bands that are opened.
        """
        given = self.given
        if callable(given):
            given = given(image)
            where = f"the function packing= gave for {name}"
            _check_given(given, where)
            _check_names(given or {}, bands, f"{where} speaks of a band, but there is")
        found: Said = given or {}

        def settle(band: Hashable, said: Packing | None) -> Packing | None:
            key = band if band in found else "*"
            if key not in found:
                return said
            return _replaced(said, found[str(key)])

        return settle


def make_packing_request(given: Any, harmonize: Any) -> PackingRequest:
    """Check what does not depend on the source."""
    check_choice("harmonize", harmonize, ("lossless", "wider", "earth_engine"))
    if not callable(given):
        _check_given(given, "packing=")
    return PackingRequest(given, harmonize)


def _check_given(given: Any, where: str) -> None:
    how = (
        "Write {'B04': {'scale': 0.0001, 'offset': -0.1}}; None for a band whose integers are "
        "what they mean, '*' for all other bands."
    )
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise TypeError(f"{where} is a {type(given).__name__}, no mapping of bands. {how}")
    for band, entry in given.items():
        if entry is None:
            continue
        if not isinstance(entry, Mapping) or not entry or set(entry) - {"scale", "offset"}:
            raise TypeError(f"{where} has {entry!r} for band {band!r}. {how}")
        for name, value in entry.items():
            number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if not number or not np.isfinite(value) or (name == "scale" and value == 0):
                raise ValueError(f"{where} has the {name} {value!r} for band {band!r}. {how}")


def _check_names(given: Mapping[Any, Any], bands: Sequence[Hashable], what: str) -> None:
    for name in given:
        if name != "*" and name not in bands:
            raise KeyError(
                f"{what} no band {name!r}; there are {', '.join(map(repr, bands))}. Correct the "
                "name in packing=."
            )


def _replaced(said: Packing | None, given: Mapping[str, float] | None) -> Packing:
    if given is None:
        return NONE
    own = said or NONE
    scale, offset = given.get("scale", own.scale), given.get("offset", own.offset)
    return Packing(float(scale), float(offset))

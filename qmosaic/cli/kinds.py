"""Kinds of values: lists, boxes, numbers, values by band.

Each takes what stands on a command line, and what TOML has for it: ``B4,B3`` or a list,
``B4=0,cloud=none`` or a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import xarray as xr

import qmosaic as qm

if TYPE_CHECKING:
    Kind = click.ParamType[Any]
else:  # a generic class for type checkers alone, in the oldest click that is supported
    Kind = click.ParamType


class Names(Kind):
    """Names with commas between them."""

    name = "names"

    def convert(self, value: Any, param: Any, ctx: Any) -> list[str]:
        """Give the names as a list."""
        entries = value.split(",") if isinstance(value, str) else list(value)
        found = [str(entry).strip() for entry in entries]
        if not all(found):
            self.fail(f"{value!r} has an empty name. Write names with commas between: B4,B3.")
        return found


class Number(Kind):
    """A number; one without a point stays an integer."""

    name = "number"

    def __init__(self, *words: str) -> None:
        self.words = words

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Give an int, a float, or one of the texts that are taken, too."""
        if value in self.words or (isinstance(value, int | float) and not isinstance(value, bool)):
            return value
        number = number_of(str(value))
        if number is None:
            others = "".join(f", or {word}" for word in self.words)
            self.fail(f"{value!r} is no number. Write one such as 12 or -0.5{others}.", param, ctx)
        return number


class Whole(Number):
    """A number without a fraction, from 0 on."""

    name = "whole number"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Give an int, or one of the texts that are taken, too."""
        number = super().convert(value, param, ctx)
        if not isinstance(number, str) and (not isinstance(number, int) or number < 0):
            others = "".join(f", or {word}" for word in self.words)
            self.fail(f"{value!r} counts nothing. Write 0, 1, 2 ...{others}.", param, ctx)
        return number


class Time(Kind):
    """A day or an instant, as `qmosaic.filter_date` takes it."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Give the text as it is; refuse what is no time."""
        day = np.datetime64("2000-01-01", "ns")
        try:
            qm.filter_date(xr.Dataset({"band": ("time", [0])}, {"time": [day]}), str(value))
        except ValueError as error:  # not a time; or no image is of it, which does not matter here
            if " is no time" in str(error):
                self.fail(str(error).removeprefix("start="), param, ctx)
        return str(value)


class Memory(Kind):
    """An amount of memory: 4GB."""

    name = "memory"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Give the text as it is; refuse what is no amount."""
        from dask.utils import parse_bytes

        try:
            amount = parse_bytes(str(value))
        except ValueError:
            amount = 0
        if amount <= 0 and value != "auto":
            self.fail(f"{value!r} is no amount of memory. Write 4GB or 512MiB.", param, ctx)
        return str(value)


class Numbers(Kind):
    """Numbers with commas between them."""

    name = "numbers"

    def __init__(self, *counts: int, shown: str, above: float | None = None) -> None:
        self.counts = counts
        self.shown = shown
        self.above = above

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        """Give the numbers as a tuple."""
        entries: Sequence[Any] = (
            value.split(",")
            if isinstance(value, str)
            else list(value)
            if isinstance(value, Sequence)
            else [value]
        )
        found = [number_of(str(entry)) for entry in entries]
        if None in found or (self.counts and len(found) not in self.counts):
            self.fail(f"{value!r} is not what it has to be. Write {self.shown}.", param, ctx)
        numbers = tuple(number for number in found if number is not None)
        if self.above is not None and not all(n > self.above for n in numbers):
            self.fail(f"{value!r} is not above {self.above:g}. Write {self.shown}.", param, ctx)
        return numbers


class Box(Numbers):
    """A box in degrees; it may cross the antimeridian."""

    def __init__(self) -> None:
        shown = "west,south,east,north in degrees, such as 23.5,46.1,23.9,46.4"
        super().__init__(4, shown=shown)

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        """Give the four numbers; refuse those that are nowhere on the globe."""
        box = super().convert(value, param, ctx)
        west, south, east, north = box
        on_globe = all(-360 <= x <= 360 for x in (west, east)) and -90 <= south <= north <= 90
        if not (np.isfinite(box).all() and on_globe):
            self.fail(
                f"{value!r} is no box on the globe: latitudes are -90 to 90, the southern one "
                f"first. Write {self.shown}.",
                param,
                ctx,
            )
        return box


class ByBand(Kind):
    """One value for all bands, or one for each: ``0`` or ``B4=0,cloud=none``."""

    name = "value"

    def __init__(self, number: bool, shown: str, always: bool = False) -> None:
        self.number = number
        self.shown = shown
        self.always = always

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Give a value, or a dict of them by their bands."""
        if isinstance(value, Mapping):
            return {str(band): self._one(entry, param, ctx) for band, entry in value.items()}
        if isinstance(value, str) and ("=" in value or self.always):
            pairs = [part.partition("=") for part in value.split(",")]
            if not all(band.strip() and text.strip() for band, _, text in pairs):
                self.fail(f"{value!r} cannot be read. Write {self.shown}.", param, ctx)
            return {band.strip(): self._one(text.strip(), param, ctx) for band, _, text in pairs}
        one = self._one(value, param, ctx)
        return {"*": None} if one is None else one  # alone, None would mean: not given

    def _one(self, value: Any, param: Any, ctx: Any) -> Any:
        if not self.number:
            return str(value)
        if str(value).lower() == "none":
            return None
        number = number_of(str(value))
        if number is None:
            self.fail(f"{value!r} is no number. Write {self.shown}.", param, ctx)
        return number


def number_of(text: str) -> int | float | None:
    """Read a number: an int where it can be one; None where it is no number."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None

"""Fields of items that cannot be what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qmosaic.sources.user_warnings import warn


@dataclass(frozen=True)
class Fault:
    """A field that cannot be what it says.

    Attributes
    ----------
    field : str
        Its name.
    value : object
        What stands there.
    why : str
        What is wrong with it.
    instead : str
        What is taken in its place; empty as long as nothing is.
    """

    field: str
    value: Any
    why: str
    instead: str = ""

    def __str__(self) -> str:
        return f"{self.field} = {self.value!r:.80}, {self.why}"


def warn_of_faults(found: Sequence[tuple[str, Fault]], items: int) -> None:
    """Say once what is damaged, by the first item that has it."""
    by_field: dict[str, list[tuple[str, Fault]]] = {}
    for name, fault in found:
        by_field.setdefault(fault.field, []).append((name, fault))
    for same in by_field.values():
        name, fault = same[0]
        count = len({item for item, _ in same})
        more = f" (so have {count} of {items} items)" if count > 1 else ""
        warn(
            f"the item {name!r} has {fault}{more}; {fault.instead} is taken in its place.",
        )

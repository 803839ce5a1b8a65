"""The bands to open, by the names that items have for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qmosaic.sources.request import Request, check_known
from qmosaic.sources.stac.parsing import key_of

if TYPE_CHECKING:
    from odc.stac import ParsedItem


PLACES = ("time", "x", "y", "longitude", "latitude", "spatial_ref")
"""Names that a band cannot have."""


def check_names(names: Sequence[str]) -> None:
    for name in names:
        if name in PLACES:
            raise ValueError(
                f"the items have an asset {name!r}, and a band cannot be called like a dimension "
                "or the CRS. Leave it out, bands=[...], or rename it: item.assets['band'] = "
                f"item.assets.pop({name!r})."
            )


def names_to_open(parsed: Sequence[ParsedItem], request: Request) -> list[str]:
    """Name the bands to open."""
    known = list(dict.fromkeys(name for item in parsed for name in item.collection.all_bands))
    if not known:
        raise ValueError(
            f"the item {parsed[0].id!r} has no asset with pixels: none has an image as media "
            "type, the role 'data' or the suffix of an image. Name the assets, bands=[...]."
        )
    if request.bands is None:
        return known
    aliases = [n for item in parsed for n in item.collection.aliases if key_of(item, n)]
    names = []
    for name in request.bands:
        if not any(key_of(item, name) for item in parsed):
            check_known([name], list(dict.fromkeys([*known, *aliases])), "the STAC items have")
        names += _names_in_asset(name, parsed) or [name]
    for item in parsed:
        keys = [key_of(item, name) for name in names]
        for i, key in enumerate(keys):
            if key is not None and key in keys[:i]:
                raise ValueError(
                    f"bands= names one band twice: {names[keys.index(key)]!r} and {names[i]!r} are "
                    f"the same asset of {item.id!r}. Leave one out."
                )
    return names


def _names_in_asset(name: str, parsed: Sequence[ParsedItem]) -> list[str]:
    """Name the bands of an asset that has several; it stands for all of them."""
    found: dict[str, None] = {}
    for item in parsed:
        numbers = [number for asset, number in item.bands if asset == name]
        if len(numbers) > 1:
            own = (item.collection.canonical_name(f"{name}.{number}") for number in numbers)
            found |= dict.fromkeys(own)
    return list(found)

"""The lists of bands that assets have, put right where they are damaged or missing."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from qmosaic.sources.user_warnings import warn

if TYPE_CHECKING:
    import pystac


BAND_LISTS = ("bands", "raster:bands", "eo:bands")
"""Where an asset lists its bands: STAC 1.1, and two extensions of STAC 1.0."""

NAMES = ("name", "eo:common_name", "common_name")
"""Where a band has its names, its own first."""


def lists_of(asset: pystac.Asset) -> dict[str, list[Any]]:
    """Give the lists of bands that an asset has."""
    found = {name: asset.extra_fields.get(name) for name in BAND_LISTS}
    return {name: bands for name, bands in found.items() if isinstance(bands, list) and bands}


def with_lists(item: pystac.Item) -> pystac.Item:
    """Put right what cannot be read as lists of bands: what is no list is left out and told, a
    band of ``eo:bands`` without a name, which that extension allows, gets one."""
    faults = [
        (key, name, value)
        for key, asset in item.assets.items()
        for name in BAND_LISTS
        if (value := asset.extra_fields.get(name)) is not None and not _is_list(value)
    ]
    nameless = [key for key, asset in item.assets.items() if _lacks_name(asset)]
    if not faults and not nameless:
        return item
    copy = item.clone()
    for key, name, value in faults:
        del copy.assets[key].extra_fields[name]
        warn(
            f"the asset {key!r} of the item {item.id!r} has {name} = {value!r:.80}, which is no "
            "list of bands; it is not used. Correct the item if the field matters.",
        )
    for key in nameless:
        bands = copy.assets[key].extra_fields.get("eo:bands", [])
        for number, band in enumerate(bands, start=1):
            usual = key if len(bands) == 1 else f"{key}.{number}"
            band.setdefault("name", band.get("common_name", usual))
    return copy


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, Mapping) for entry in value)


def _lacks_name(asset: pystac.Asset) -> bool:
    bands = asset.extra_fields.get("eo:bands")
    return _is_list(bands) and any("name" not in band for band in bands or ())


def tells_number(asset: pystac.Asset) -> bool:
    """Tell whether an asset says how many bands it has: nothing contradicts, and ``eo:bands``
    alone, which odc takes for one band, has one."""
    lists = lists_of(asset)
    lengths = {len(bands) for bands in lists.values()}
    return len(lengths) == 1 and (lengths == {1} or lists.keys() != {"eo:bands"})


def with_bands(item: pystac.Item, numbers: Mapping[str, int]) -> pystac.Item:
    """Copy an item whose assets list as many bands as their files have."""
    copy = item.clone()
    for key, count in numbers.items():
        fields = copy.assets[key].extra_fields
        lists = lists_of(copy.assets[key])
        name = "bands" if "bands" in lists or "raster:bands" not in lists else "raster:bands"
        for own in {name, *lists} - {"eo:bands"}:
            fields[own] = [*lists.get(own, ()), *({} for _ in range(count))][:count]
    return copy


def names_of_bands(items: Iterable[pystac.Item]) -> dict[str, tuple[str, int]]:
    """Find names and common names of bands, whether or not an item says that it uses ``eo``."""
    found: dict[str, tuple[str, int]] = {}
    for item in items:
        assets = [(name, list(_names(asset))) for name, asset in item.assets.items()]
        # of several assets with a band the one with the fewest: red before a picture of three
        for key, bands in sorted(assets, key=lambda pair: (len(pair[1]), pair[0])):
            for number, names in enumerate(bands, start=1):
                for name in names:
                    if name not in item.assets:
                        found.setdefault(name, (key, number))
    return found


def _names(asset: pystac.Asset) -> Iterator[list[str]]:
    for same in itertools.zip_longest(*lists_of(asset).values()):
        known = [band for band in same if isinstance(band, Mapping)]
        names = [band.get(field) for field in NAMES for band in known]
        yield [name for name in names if isinstance(name, str) and name]

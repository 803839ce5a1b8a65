"""What odc reads in items, and what it has to be told so that it reads what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qmosaic.optional import needed
from qmosaic.sources.stac.band_lists import names_of_bands
from qmosaic.sources.stac.projection import without_grid

if TYPE_CHECKING:
    import pystac
    from odc.stac import ParsedItem


Config = dict[str, Any]
"""What odc is told of the items of one collection."""

UNSAID = "unsaid"
"""Stands for the dtype of a band of which neither items nor configuration tell one."""


def configs_of(stac_cfg: Config | None, items: Sequence[pystac.Item]) -> dict[Any, Config]:
    """Settle what is configured for each collection that the items are of, as odc understands it:
    one configuration for all, or one by collection, ``"*"`` for the others."""
    given = stac_cfg or {}
    configs = {}
    for name in dict.fromkeys(item.collection_id for item in items):
        single = name is None or "assets" in given
        own = given if single else {**given.get("*", {}), **given.get(str(name), {})}
        shared = {k: v for k, v in given.items() if k == "with_properties"}
        configs[name] = {**shared, "assets": {}, "aliases": {}, **own}
    return configs


def parsed_by_odc(items: Sequence[pystac.Item], configs: Mapping[Any, Config]) -> list[ParsedItem]:
    """Let odc read what items say of their bands."""
    parse = needed("odc.stac", "stac", "STAC items").parse_item
    asking = {name: _asking(config) for name, config in configs.items()}
    try:
        # each on its own: what one item says of its bands need not hold for the next
        return [
            parse(item, _naming(asking[item.collection_id], item), asset_absolute_paths=False)
            for item in items
        ]
    except ValueError as error:
        raise ValueError(
            f"what the items say of their grids cannot be used ({error}). Correct them, or write "
            "stac_cfg={'*': {'ignore_proj': True}} and a grid: crs=, resolution=, or geobox=."
        ) from error


def _naming(config: Config, item: pystac.Item) -> Config:
    """Add the names that an item has for bands: odc-stac 0.5 knows those of ``eo:bands`` alone."""
    return {**config, "aliases": {**names_of_bands([item]), **config["aliases"]}}


def _asking(config: Config) -> Config:
    """Let odc tell what items do not say, which it would take for float32."""
    assets = config["assets"]
    return {**config, "assets": {**assets, "*": {"data_type": UNSAID, **assets.get("*", {})}}}


def pinned_places(
    items: Sequence[pystac.Item],
    parsed: Sequence[ParsedItem],
    names: Sequence[str],
    configs: Mapping[Any, Config],
) -> tuple[list[pystac.Item], Config]:
    """Let odc find each band where it was found, and not where the first item of its collection
    has it: items in which it stands elsewhere become a collection of their own."""
    kinds: dict[Any, list[dict[str, tuple[str, int]]]] = {}
    own: list[tuple[Any, int]] = []
    for item, known in zip(items, parsed, strict=True):
        places = {name: key for name in names if (key := key_of(known, name))}
        alike = kinds.setdefault(item.collection_id, [])
        number = next((n for n, kind in enumerate(alike) if _agree(kind, places)), len(alike))
        if number == len(alike):
            alike.append({})
        alike[number] |= places
        own.append((item.collection_id, number))
    pinned = {
        (name, number): {**configs[name], "aliases": {**configs[name]["aliases"], **kind}}
        for name, alike in kinds.items()
        for number, kind in enumerate(alike)
    }
    if len(pinned) == 1:
        return list(items), next(iter(pinned.values()))
    named = {place: f"{place[0] or '-'}#{place[1]}" for place in pinned}
    copies = []
    for item, place in zip(items, own, strict=True):
        copy = item.clone()
        copy.collection_id = named[place]
        copies.append(copy)
    return copies, {named[place]: config for place, config in pinned.items()}


def _agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(other.get(name, place) == place for name, place in one.items())


def telling_alike(
    items: Sequence[pystac.Item], parsed: Sequence[ParsedItem], names: Sequence[str]
) -> Sequence[pystac.Item]:
    """Let odc ask the files for their grids where not all items tell theirs: it wants all or
    none."""
    tell = [tells_grid(item, names) for item in parsed]
    if all(tell) or not any(tell):
        return items
    return [without_grid(item) for item in items]


def tells_grid(item: ParsedItem, names: Sequence[str]) -> bool:
    sources: list[Any] = [item.bands[key] for name in names if (key := key_of(item, name))]
    return all(source.geobox is not None for source in sources)


def place_of_band(item: ParsedItem, name: str) -> tuple[str, int] | None:
    """Find the asset and number that a name stands for, whether or not the file has as many."""
    try:
        key: tuple[str, int] = item.collection.band_key(name)
    except ValueError:
        return None
    return key


def key_of(item: ParsedItem, name: str) -> tuple[str, int] | None:
    """Find the asset and number of a band in an item, by its name or an alias; None without."""
    key = place_of_band(item, name)
    return key if key in item.bands else None

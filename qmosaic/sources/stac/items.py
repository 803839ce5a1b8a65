"""Items, wherever they come from, in the order of time."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qmosaic.optional import needed
from qmosaic.sources.stac.addresses import resolved
from qmosaic.sources.user_warnings import warn

if TYPE_CHECKING:
    import pystac


def items_of(source: Any) -> list[pystac.Item]:
    """Collect items: from a file or URL, pystac objects, GeoJSON, a search, or a list of these."""
    pystac = needed("pystac", "stac", "STAC items")
    if isinstance(source, list) and all(isinstance(entry, str) for entry in source):
        return [item for path in source for item in items_of(path)]
    if isinstance(source, str):
        source = _read(source)
    if hasattr(source, "item_collection"):  # a search of pystac_client
        source = source.item_collection()
    if isinstance(source, Mapping):
        source = _from_json(source, None)
    if isinstance(source, pystac.Item):
        source = [source]
    elif isinstance(source, pystac.Catalog):
        source = source.get_items(recursive=True)
    items = [_from_json(i, None)[0] if isinstance(i, Mapping) else i for i in source]
    if not items:
        raise ValueError(
            "the source has no STAC item: there is nothing to make a collection of. Check the "
            "search, or the file."
        )
    for item in items:
        if not isinstance(item, pystac.Item):
            raise TypeError(
                f"the list has a {type(item).__name__} between its STAC items. Give pystac Items, "
                "or dictionaries of GeoJSON."
            )
    return items


def _read(href: str) -> Any:
    pystac = needed("pystac", "stac", "STAC items")
    try:
        text = pystac.StacIO.default().read_text(href)
    except Exception as error:  # pystac raises Exception itself where a server says no
        raise FileNotFoundError(
            f"{href!r} cannot be read ({error}). Check the path or URL."
        ) from error
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(
            f"{href!r} is no JSON ({error}), so it holds no STAC items. Check the path or URL, or "
            "say with format=... what it is."
        ) from error
    if isinstance(content, list):
        return [item for entry in content for item in _from_json(entry, href)]
    if content.get("type") in ("FeatureCollection", "Feature"):
        _warn_of_pages(content, href)
        return _from_json(content, href)
    return pystac.read_file(href)


def _warn_of_pages(content: Mapping[str, Any], href: str) -> None:
    """Say that a search has more items than its first page."""
    if any(link.get("rel") == "next" for link in content.get("links") or ()):
        warn(
            f"{href!r} is one page of a search, {len(content.get('features', ()))} items, and has "
            "a link to the next: what follows is not opened. Let pystac_client collect all pages, "
            "open_collection(pystac_client.Client.open(url).search(...)).",
        )


def _from_json(content: Mapping[str, Any], href: str | None) -> list[pystac.Item]:
    features = content.get("features", [content])
    items = []
    for feature in features:
        if not isinstance(feature, Mapping) or "assets" not in feature:
            raise ValueError(
                f"a feature {str(dict(feature))[:80]!r} is no STAC item: it has no 'assets'. "
                "Geometries alone have no pixels; give the items of a STAC search."
            )
        item = _item(feature)
        for asset in item.assets.values():
            if href is not None:
                asset.href = resolved(asset.href, item.get_self_href(), href)
        items.append(item)
    return items


def _item(feature: Mapping[str, Any]) -> Any:
    pystac = needed("pystac", "stac", "STAC items")
    try:
        item = pystac.Item.from_dict(dict(feature), preserve_dict=True)
        if not item.id:
            raise KeyError("id")
    except (pystac.STACError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the feature {feature.get('id')!r} is no STAC item ({error}). An item needs an id, a "
            "datetime (or start_datetime and end_datetime) and assets: correct it, or leave it out."
        ) from error
    return item


def in_order(items: Sequence[pystac.Item]) -> list[pystac.Item]:
    """Sort items by time, then id, and refuse those without a time."""
    for item in items:
        if item.datetime is None and item.common_metadata.start_datetime is None:
            raise ValueError(
                f"the item {item.id!r} has no datetime (and no start_datetime), so it has no place "
                "in time. Set item.datetime, or leave the item out."
            )
    return sorted(items, key=lambda item: (utc(time_taken(item)), item.id))


def utc(moment: datetime.datetime) -> datetime.datetime:
    if moment.tzinfo is None:
        return moment
    return moment.astimezone(datetime.UTC).replace(tzinfo=None)


def time_taken(item: pystac.Item) -> datetime.datetime:
    moment = item.datetime or item.common_metadata.start_datetime
    assert moment is not None  # checked before
    return moment

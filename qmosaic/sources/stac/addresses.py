"""The addresses of files: which file is meant, and whether it may be opened."""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qmosaic.optional import needed
from qmosaic.sources.user_warnings import warn

if TYPE_CHECKING:
    import pystac


Allow = str | Sequence[str] | Callable[[str], Any] | None

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""How an address begins that is no path: ``https:``, ``s3:``, GDAL's ``NETCDF:``."""


def is_absolute(href: str) -> bool:
    """Tell whether an address says where it is on its own."""
    return bool(_SCHEME.match(href)) or os.path.isabs(href)


def _is_remote(href: str | None) -> bool:
    return href is not None and "://" in href and not href.lower().startswith("file://")


def resolved(href: str, own: str | None, read_from: str | None = None) -> str:
    """Find the file that an address of an item means.

    Parameters
    ----------
    href : str
        What the item says.
    own : str, optional
        Where the item says that it is itself; relative addresses are relative to that.
    read_from : str, optional
        Where it was read. A copy on disk of an item of the web still says that it is there, but
        the files beside the copy are meant.
    """
    if _SCHEME.match(href) or href.startswith("/vsi"):
        return href
    if os.path.isabs(href) and (os.path.exists(href) or not _is_remote(own or read_from)):
        return href
    join = needed("pystac.utils", "stac", "STAC items").make_absolute_href
    if read_from is not None and not _is_remote(read_from):
        beside: str = join(href, _from_root(read_from))
        if os.path.exists(beside):
            return beside
    base = own or read_from
    return href if base is None else str(join(href, _from_root(base)))


def _from_root(place: str) -> str:
    """Write out a path of this machine; pystac takes a bare ``items.json`` for one at the root."""
    return place if _SCHEME.match(place) else os.path.abspath(place)


def with_addresses(item: pystac.Item) -> pystac.Item:
    """Write out the addresses of assets, so that nothing takes them for others."""
    own = item.get_self_href()
    found = {key: resolved(asset.href, own) for key, asset in item.assets.items()}
    # pystac takes the path of a file for one on the host of the item
    unclear = _is_remote(own) and any(map(os.path.isabs, found.values()))
    if not unclear and all(item.assets[key].href == address for key, address in found.items()):
        return item
    copy = item.clone()
    copy.links = [link for link in copy.links if link.rel != "self"] if unclear else copy.links
    for key, address in found.items():
        if os.path.isabs(item.assets[key].href) and _is_remote(address):
            warn(
                f"the asset {key!r} of the item {item.id!r} has the address "
                f"{item.assets[key].href!r}, which is no file here; as the item says that it is "
                f"at {own!r}, {address!r} will be read. If a file is meant, correct its path.",
            )
        copy.assets[key].href = address
    return copy


def check_address(item: pystac.Item, key: str, allow: Allow) -> None:
    """Refuse a file that cannot be found, or that must not be opened."""
    href = item.assets[key].href
    if not is_absolute(href):
        raise ValueError(
            f"the asset {key!r} of the item {item.id!r} has the relative address {href!r}, and the "
            "item does not say where it is itself. Open the file that the item is from, or write "
            "item.make_asset_hrefs_absolute()."
        )
    if not _is_allowed(href, allow):
        raise ValueError(
            f"the asset {key!r} of the item {item.id!r} is at {href!r}, which allow= does not let "
            "be opened. If it may be, add the beginning of its address to allow=; if not, leave "
            "the item or the band out."
        )


def check_allow(allow: Allow) -> None:
    """Refuse what is no filter of addresses."""
    if allow is None or callable(allow):
        return
    prefixes = [allow] if isinstance(allow, str) else allow
    if not isinstance(prefixes, Sequence) or not all(isinstance(p, str) and p for p in prefixes):
        raise TypeError(
            f"allow={allow!r} is no filter of addresses. Write the beginnings of those that may be "
            "opened, allow=['https://example.org/data/', '/data/'], or a function of an address "
            "that tells whether it may."
        )


def _is_allowed(address: str, allow: Allow) -> bool:
    if allow is None:
        return True
    if callable(allow):
        return bool(allow(address))
    prefixes = [allow] if isinstance(allow, str) else allow
    return any(_is_below(address, prefix) for prefix in prefixes)


def _is_below(address: str, prefix: str) -> bool:
    """Tell whether an address begins with whole parts of another: no host ``good.org.evil``."""
    parts = urllib.parse.unquote(address).replace("\\", "/").split("/")
    if ".." in parts:  # leads out of what it begins with
        return False
    address, prefix = _lower_host(address), _lower_host(prefix)
    rest = address.removeprefix(prefix)
    whole = not rest or prefix.endswith("/") or rest[0] in "/?#"
    return address.startswith(prefix) and whole


def _lower_host(address: str) -> str:
    scheme, colon, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return scheme.lower() + colon + host.lower() + slash + path if colon else address


def without_lost(item: pystac.Item) -> pystac.Item:
    """Leave out assets that cannot be found, a thumbnail for instance."""
    lost = [name for name, asset in item.assets.items() if not is_absolute(asset.href)]
    if not lost:
        return item
    copy = item.clone()
    for name in lost:
        del copy.assets[name]
    return copy

"""What STAC items say of addresses, grids and bands, put right where it is damaged or missing.

Items are left alone: what is put right is a copy.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import os
import re
import urllib.parse
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qmosaic.optional import needed
from qmosaic.sources.assembly import HEADERS_AT_ONCE, SAME_PLACE
from qmosaic.sources.geotiff_files import listing_nothing
from qmosaic.sources.packing import Packing

if TYPE_CHECKING:
    import pystac

CRS_FIELDS = ("proj:code", "proj:epsg", "proj:wkt2", "proj:projjson")
"""Where an item tells its CRS; the first that is right holds."""

SHAPE, TRANSFORM, BOX = "proj:shape", "proj:transform", "proj:bbox"
PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
BAND_LISTS = ("bands", "raster:bands", "eo:bands")
"""Where an asset lists its bands: STAC 1.1, and two extensions of STAC 1.0."""

NAMES = ("name", "eo:common_name", "common_name")
"""Where a band has its names, its own first."""


Allow = str | Sequence[str] | Callable[[str], Any] | None

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""How an address begins that is no path: ``https:``, ``s3:``, GDAL's ``NETCDF:``."""


# ---------------------------------------------------------------------------------------------
# Addresses
# ---------------------------------------------------------------------------------------------


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
            warnings.warn(
                f"the asset {key!r} of the item {item.id!r} has the address "
                f"{item.assets[key].href!r}, which is no file here; as the item says that it is "
                f"at {own!r}, {address!r} will be read. If a file is meant, correct its path.",
                UserWarning,
                stacklevel=4,
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


# ---------------------------------------------------------------------------------------------
# Headers
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Header:
    """What the header of a file says.

    Attributes
    ----------
    dtypes, nodata, packing : tuple
        Of each band.
    crs : str, optional
        Its CRS as WKT.
    shape : (int, int)
        Rows and columns.
    transform : tuple of float
        Six numbers, in the order of STAC.
    """

    dtypes: tuple[str, ...]
    nodata: tuple[Any, ...]
    packing: tuple[Packing, ...]
    crs: str | None
    shape: tuple[int, int]
    transform: tuple[float, ...]


class Headers:
    """The headers of files, each of them read once and many at the same time.

    Parameters
    ----------
    patch_url : callable, optional
        Signs or changes an address before it is opened.
    """

    def __init__(self, patch_url: Callable[[str], str] | None = None) -> None:
        self._patch_url = patch_url
        self._known: dict[str, Header | Exception] = {}

    def ask(self, addresses: Iterable[str]) -> None:
        """Read the headers that are not known yet."""
        new = [a for a in dict.fromkeys(addresses) if a not in self._known]
        with ThreadPoolExecutor(HEADERS_AT_ONCE) as pool:
            self._known.update(zip(new, pool.map(self._read, new), strict=True))

    def get(self, address: str) -> Header | Exception:
        """Give a header, or the error that its file cannot be opened with."""
        self.ask([address])
        return self._known[address]

    def opened(self, address: str) -> str:
        """Give the address that is opened."""
        return self._patch_url(address) if self._patch_url else address

    def _read(self, address: str) -> Header | Exception:
        rasterio = needed("rasterio", "stac", "STAC items")
        opened = self.opened(address)
        unreadable: type[Exception] = rasterio.errors.RasterioIOError
        try:
            with listing_nothing(opened), rasterio.open(opened) as file:
                return Header(
                    tuple(file.dtypes),
                    tuple(file.nodatavals),
                    tuple(map(Packing, file.scales, file.offsets)),
                    None if file.crs is None else file.crs.to_wkt(),
                    tuple(file.shape),
                    tuple(file.transform)[:6],
                )
        except unreadable as error:
            return error


# ---------------------------------------------------------------------------------------------
# Grids
# ---------------------------------------------------------------------------------------------


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


@dataclass(frozen=True)
class Grid:
    """What an item says of the grid of an asset.

    Attributes
    ----------
    crs : (str, object), optional
        The field of the CRS that holds, and what it says.
    shape, transform : tuple, optional
        As STAC has them.
    faults : tuple of Fault
        What is damaged.
    is_plain : bool
        Whether it stands there in the form in which odc takes it.
    """

    crs: tuple[str, Any] | None
    shape: tuple[int, ...] | None
    transform: tuple[float, ...] | None
    faults: tuple[Fault, ...]
    is_plain: bool = True

    @property
    def is_whole(self) -> bool:
        """Tell whether nothing that is damaged lacks something in its place."""
        return all(fault.instead for fault in self.faults)

    @property
    def is_told(self) -> bool:
        """Tell whether nothing is missing."""
        return bool(self.crs and self.shape and self.transform)


def grid_of(item: pystac.Item, asset: pystac.Asset) -> Grid:
    """Read what an item says of the grid of an asset, and find out what of it can be so.

    A field of the asset stands for that of the item. Of the CRS the first field that is right
    holds; a shape or transform that is damaged is made of the other and the box of the grid.
    """
    faults: list[Fault] = []
    crs = _crs(item, asset, faults)
    shape = _checked(item, asset, SHAPE, _as_shape, faults)
    transform = _checked(item, asset, TRANSFORM, _as_transform, faults)
    box = _as_box(_field(item, asset, BOX))
    for i, fault in enumerate(faults):
        if fault.field == SHAPE and transform is not None and box is not None:
            shape = _shape_in(box, transform)
            faults[i] = fault if shape is None else replace(fault, instead=BOX)
        elif fault.field == TRANSFORM and shape is not None and box is not None:
            transform = _transform_in(box, shape)
            faults[i] = fault if transform is None else replace(fault, instead=BOX)
    return Grid(crs, shape, transform, tuple(faults), _is_plain(item, asset))


def _is_plain(item: pystac.Item, asset: pystac.Asset) -> bool:
    code, epsg, sides, numbers = (
        _field(item, asset, name) for name in ("proj:code", "proj:epsg", SHAPE, TRANSFORM)
    )
    return (
        ((code is None and epsg is None) or isinstance(code, str))
        and _are_all(sides, int)
        and _are_all(numbers, int | float)
    )


def _are_all(values: Any, kind: Any) -> bool:
    listed = isinstance(values, list) and all(isinstance(value, kind) for value in values)
    return values is None or listed


def _field(item: pystac.Item, asset: pystac.Asset, name: str) -> Any:
    own = asset.extra_fields
    return own[name] if name in own else item.properties.get(name)


def _crs(item: pystac.Item, asset: pystac.Asset, faults: list[Fault]) -> tuple[str, Any] | None:
    damaged: list[Fault] = []
    for name in CRS_FIELDS:
        value = _field(item, asset, name)
        if value is None:
            continue
        if _is_crs(_crs_text(name, value)):
            faults += [replace(fault, instead=name) for fault in damaged]
            return _with_code(name, value)
        damaged.append(Fault(name, value, "which is no CRS"))
    faults += damaged
    return None


def _with_code(name: str, value: Any) -> tuple[str, Any]:
    """Say a CRS by its code, where that says the same: so it is that of items with a code."""
    make = needed("odc.geo", "stac", "STAC items").CRS
    crs = make(_crs_text(name, value))
    code = crs.to_epsg()
    return ("proj:code", f"EPSG:{code}") if code and make(f"EPSG:{code}") == crs else (name, value)


def _crs_text(name: str, value: Any) -> str:
    if name == "proj:epsg":
        return f"EPSG:{value}"
    if name == "proj:code" and isinstance(value, int):
        return str(value)
    if name == "proj:projjson":
        return json.dumps(value, default=str)
    return value if isinstance(value, str) else ""


@functools.lru_cache(maxsize=1024)
def _is_crs(text: str) -> bool:
    make = needed("odc.geo", "stac", "STAC items").CRS
    try:
        make(text)
    except Exception:  # pyproj's, and those of what it is made of
        return False
    return bool(text)


def _checked(
    item: pystac.Item,
    asset: pystac.Asset,
    name: str,
    understand: Callable[[Any], Any],
    faults: list[Fault],
) -> Any:
    value = _field(item, asset, name)
    if value is None:
        return None
    try:
        return understand(value)
    except (ValueError, TypeError, OverflowError) as error:
        faults.append(Fault(name, value, f"which {error}"))
        return None


def _numbers(value: Any) -> tuple[float, ...]:
    """Read a list of numbers; written as texts they are numbers still."""
    if not isinstance(value, list | tuple):
        raise TypeError("is no list of numbers")
    try:
        numbers = tuple(float(number) for number in value)
    except (ValueError, TypeError):
        raise ValueError("is no list of numbers") from None
    if not all(map(math.isfinite, numbers)):
        raise ValueError("has numbers that are not finite")
    return numbers


def _as_shape(value: Any) -> tuple[int, ...]:
    sides = _numbers(value)
    if len(sides) != 2 or any(side < 1 or side != int(side) for side in sides):
        raise ValueError("is no shape: two whole numbers above 0, rows and columns")
    return tuple(map(int, sides))


def _as_transform(value: Any) -> tuple[float, ...]:
    numbers = _numbers(value)
    if len(numbers) not in (6, 9) or (len(numbers) == 9 and numbers[6:] != (0, 0, 1)):
        raise ValueError("is no transform: six numbers, or nine that end in 0, 0, 1")
    a, b, _, d, e, _ = numbers[:6]
    if a * e == b * d:
        raise ValueError("is no transform: its pixels have no area")
    return numbers[:6]


def _as_box(value: Any) -> tuple[float, ...] | None:
    try:
        box = _numbers(value)
    except (ValueError, TypeError):
        return None
    box = (*box[:2], *box[3:5]) if len(box) == 6 else box
    return box if len(box) == 4 and box[0] < box[2] and box[1] < box[3] else None


def _shape_in(box: Sequence[float], transform: Sequence[float]) -> tuple[int, ...] | None:
    """Count the pixels of a box; None where it does not hold whole pixels, or they lie askew."""
    a, b, _, d, e, _ = transform
    if b or d:
        return None
    sides = abs((box[3] - box[1]) / e), abs((box[2] - box[0]) / a)
    whole = tuple(map(round, sides))
    near = all(abs(s - w) < SAME_PLACE and w > 0 for s, w in zip(sides, whole, strict=True))
    return whole if near else None


def _transform_in(box: Sequence[float], shape: Sequence[int]) -> tuple[float, ...] | None:
    """Put a shape into a box; None where its pixels would not be squares."""
    across, down = (box[2] - box[0]) / shape[1], (box[3] - box[1]) / shape[0]
    if not math.isclose(across, down, rel_tol=SAME_PLACE / max(shape)):
        return None
    return across, 0.0, box[0], 0.0, -down, box[3]


def without_grid(item: pystac.Item) -> pystac.Item:
    """Copy an item, and leave out that it tells a grid."""
    copy = item.clone()
    copy.stac_extensions = [url for url in copy.stac_extensions if "/projection/" not in url]
    return copy


def with_grids(item: pystac.Item, grids: Mapping[str, Grid]) -> pystac.Item:
    """Copy an item with the grids of its assets as they were found out; others have none."""
    copy = item.clone()
    fields = (*CRS_FIELDS, SHAPE, TRANSFORM)
    for name in fields:
        copy.properties.pop(name, None)
    for key, asset in copy.assets.items():
        for name in fields:
            asset.extra_fields.pop(name, None)
        grid = grids.get(key)
        if grid and grid.crs and grid.shape and grid.transform:
            if not any("/projection/" in url for url in copy.stac_extensions):
                copy.stac_extensions.append(PROJECTION)
            name, value = grid.crs
            asset.extra_fields |= {
                name: value,
                SHAPE: list(grid.shape),
                TRANSFORM: list(grid.transform),
            }
    return copy


def completed(grid: Grid, header: Header) -> Grid:
    """Take what is damaged or missing from the header of the file."""
    faults = tuple(
        f if f.instead else replace(f, instead="the header of the file") for f in grid.faults
    )
    damaged = {fault.field for fault in grid.faults if not fault.instead}
    # shape and transform that are missing are of the file, and mean what its CRS says
    alone = not damaged and (grid.crs is None or grid.shape is None or grid.transform is None)
    told = (alone or grid.crs is None or damaged & set(CRS_FIELDS)) and header.crs
    crs = _with_code("proj:wkt2", header.crs) if told else grid.crs
    lacking = grid.shape is None or grid.transform is None
    if lacking or damaged & {SHAPE, TRANSFORM}:  # of one file, so that they fit each other
        return Grid(crs, header.shape, header.transform, faults)
    return replace(grid, crs=crs, faults=faults)


def warn_of_faults(found: Sequence[tuple[str, Fault]], items: int) -> None:
    """Say once what is damaged, by the first item that has it."""
    by_field: dict[str, list[tuple[str, Fault]]] = {}
    for name, fault in found:
        by_field.setdefault(fault.field, []).append((name, fault))
    for same in by_field.values():
        name, fault = same[0]
        count = len({item for item, _ in same})
        more = f" (so have {count} of {items} items)" if count > 1 else ""
        warnings.warn(
            f"the item {name!r} has {fault}{more}; {fault.instead} is taken in its place.",
            UserWarning,
            stacklevel=5,
        )


# ---------------------------------------------------------------------------------------------
# Bands
# ---------------------------------------------------------------------------------------------


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
        warnings.warn(
            f"the asset {key!r} of the item {item.id!r} has {name} = {value!r:.80}, which is no "
            "list of bands; it is left out.",
            UserWarning,
            stacklevel=4,
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

"""Collections from STAC items, through ``odc.stac``."""

from __future__ import annotations

import datetime
import itertools
import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.geometry import (
    FOOTPRINT,
    LON_LAT,
    as_crs,
    as_geometry,
    everywhere,
    footprints,
    in_words,
    projected,
    short_crs,
)
from qmosaic.collection.masks import free_value
from qmosaic.optional import needed
from qmosaic.sources.assembly import (
    DIM,
    TILE,
    Request,
    check_fits,
    check_holes,
    check_known,
    check_number_of_chunks,
    check_options,
    check_resampling,
    declare,
    finish,
    settled,
    sizes_of_chunks,
)
from qmosaic.sources.packing import NONE, Agreement, Packing, agree, brought_to
from qmosaic.sources.sentinel_2 import CHANGED
from qmosaic.sources.stac_items import (
    Allow,
    Fault,
    Grid,
    Header,
    Headers,
    check_address,
    check_allow,
    completed,
    grid_of,
    is_absolute,
    names_of_bands,
    resolved,
    tells_number,
    warn_of_faults,
    with_addresses,
    with_bands,
    with_grids,
    with_lists,
    without_grid,
)
from qmosaic.sources.stac_packing import (
    damaged_packing,
    is_doubtful,
    is_probably_packed,
    packing_said,
)

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox
    from odc.stac import ParsedItem


@dataclass(frozen=True)
class _Band:
    """What is known of a band before any pixel is read.

    Attributes
    ----------
    name : str
        Its name, as it was asked for.
    places : tuple of int
        The items that have it, by their places in the order of time.
    dtype : str
        From the items, else from the header of a file.
    nodata : scalar, optional
        What is masked, and what pixels get that no image covers.
    overridden : bool
        Whether that replaces what the files declare.
    agreement : Agreement
        The packing of the band, and what is added to the integers of each item.
    """

    name: str
    places: tuple[int, ...]
    dtype: str
    nodata: Any
    overridden: bool
    agreement: Agreement


def open_stac(
    source: Any,
    request: Request,
    *,
    groupby: str = "item",
    crs: Any = None,
    resolution: Any = None,
    bbox: Sequence[float] | None = None,
    geobox: GeoBox | None = None,
    resampling: str | Mapping[str, str] | None = None,
    allow: Allow = None,
    stac_cfg: dict[str, Any] | None = None,
    patch_url: Callable[[str], str] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Load items onto one grid: in the order of their times, then their ids.

    Parameters
    ----------
    source : items, or where they are
        Anything that `items_of` understands.
    request : Request
        Bands, chunks, nodata, missing bands.
    groupby : {"item", "solar_day"}
        What makes an image: an item, or all items of a day (local solar time), the first of
        them on top.
    crs, resolution, bbox, geobox : optional
        The grid: a CRS and a pixel size in its unit, cut to a box in longitude and latitude; or a
        whole grid. By default that which the items share.
    resampling : str or mapping, optional
        By band; "nearest" by default.
    allow : str, sequence of str or callable, optional
        What the addresses of files have to begin with, or a function that tells whether an
        address may be opened.
    stac_cfg, patch_url, **options
        For ``odc.stac.load``.
    """
    check_options(options, ALLOWED, "odc.stac.load as it is used here", OTHER_WORDS)
    check_allow(allow)
    items = list(map(with_lists, map(with_addresses, _in_order(items_of(source)))))
    if bbox is not None:
        items = _touching(items, bbox)
    configs = _configs(stac_cfg, items)
    survey = _Survey(request, configs, Headers(patch_url), allow)
    is_given = geobox is not None or (crs is not None and resolution is not None)
    items, parsed = survey.completed(items, is_given)
    names = _names(parsed, request)
    request = request if request.bands is None else replace(request, bands=tuple(names))
    _check_names(names)
    request.check_nodata(names, "the STAC items have")
    request.packing.check_bands(names, "the STAC items have")
    check_resampling(resampling, names)
    bands = _bands(names, items, parsed, request, survey.headers)
    check_holes(
        [(band.name, place) for band in bands for place in _lacking(band, len(items))],
        [f"the item {item.id!r}" for item in items],
        request,
    )
    grid = _grid(parsed, names, crs, resolution, bbox, geobox)
    _check_touched(items, grid)
    groups = _groups(parsed, groupby, grid)
    chunks = sizes_of_chunks(request, {"x": TILE, "y": TILE})
    check_number_of_chunks(grid, chunks)
    telling, config = _pinned(_telling_alike(items, parsed, names), parsed, names, configs)
    load = {
        "geobox": grid,
        "resampling": resampling,
        "chunks": chunks,
        "stac_cfg": config,
        "patch_url": patch_url,
        **options,
    }
    loaded: dict[Any, xr.DataArray] = {}
    for alike in _alike(bands, groups):
        loaded.update(_load(telling, groups, alike, load, request))
    collection = xr.Dataset({band.name: loaded[band.name] for band in bands})
    known = {n: c for n, c in _metadata(items, groups).items() if n not in collection}
    return finish(collection.assign_coords(known), settled(request, collection), "the STAC items")


ALLOWED = ("fail_on_error", "fuse_func", "use_overviews")
"""What `odc.stac.load` can do beside what the arguments of `open_collection` say."""

OTHER_WORDS = {
    "like": "geobox=",
    "geopolygon": "bbox=, and filter_bounds(collection, geometry, clip=True) afterwards",
    "lon": "bbox=(west, south, east, north)",
    "lat": "bbox=(west, south, east, north)",
    "x": "geobox=",
    "y": "geobox=",
    "measurements": "bands=",
    "product": "bands=",
    "dtype": "nothing: dtypes are kept; .astype() afterwards",
    "pool": "nothing: what is read is decided by dask's scheduler",
    "anchor": "geobox=",
    "align": "geobox=",
    "preserve_original_order": "nothing: the order is that of time, then id",
}
"""What words of odc-stac are called here."""

PLACES = ("time", "x", "y", "longitude", "latitude", "spatial_ref")
"""Names that a band cannot have."""


def _touching(items: Sequence[pystac.Item], bbox: Sequence[float]) -> list[pystac.Item]:
    """Keep the items that touch a box; of the others nothing would be on the map."""
    kept = _in_region(items, as_geometry(tuple(bbox)))
    if not kept:
        raise ValueError(
            f"bbox={tuple(bbox)} (west, south, east, north; degrees) left none of {len(items)} "
            "items: none of them touches it."
        )
    return kept


def _check_touched(items: Sequence[pystac.Item], grid: GeoBox) -> None:
    """Refuse a grid on which nothing would be."""
    if grid.crs is not None and not _in_region(items, projected(grid.extent, LON_LAT)):
        raise ValueError(
            f"none of {len(items)} items touches the grid ({in_words(grid)}), so every pixel would "
            "be masked. Check geobox= (or crs=, resolution=, bbox=): does it lie where the items "
            f"do, for instance {items[0].id!r} with the bbox {items[0].bbox}?"
        )


def _in_region(items: Sequence[pystac.Item], region: Any) -> list[pystac.Item]:
    """Choose the items whose footprint touches a region in degrees; without one they may."""
    region = everywhere(region)
    return [
        item
        for item, outline in zip(items, map(_outline, items), strict=True)
        if outline is None or outline.intersects(region)
    ]


def _outline(item: pystac.Item) -> Any:
    """Give the footprint of an item: its geometry, else its bbox; None where it has neither."""
    geom = needed("odc.geo.geom", "stac", "STAC items")
    if item.geometry is not None:
        return geom.Geometry(item.geometry, LON_LAT)
    if item.bbox is not None:
        flat = item.bbox if len(item.bbox) == 4 else (*item.bbox[:2], *item.bbox[3:5])
        return as_geometry(tuple(flat))
    return None


# ---------------------------------------------------------------------------------------------
# Items
# ---------------------------------------------------------------------------------------------


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
        raise ValueError(f"{href!r} is no JSON ({error}), so it holds no STAC items.") from error
    if isinstance(content, list):
        return [item for entry in content for item in _from_json(entry, href)]
    if content.get("type") in ("FeatureCollection", "Feature"):
        _warn_of_pages(content, href)
        return _from_json(content, href)
    return pystac.read_file(href)


def _warn_of_pages(content: Mapping[str, Any], href: str) -> None:
    """Say that a search has more items than its first page."""
    if any(link.get("rel") == "next" for link in content.get("links") or ()):
        warnings.warn(
            f"{href!r} is one page of a search, {len(content.get('features', ()))} items, and has "
            "a link to the next: what follows is not opened. Let pystac_client collect all pages, "
            "open_collection(pystac_client.Client.open(url).search(...)).",
            UserWarning,
            stacklevel=6,
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
            "datetime (or start_datetime and end_datetime) and assets."
        ) from error
    return item


def _utc(moment: datetime.datetime) -> datetime.datetime:
    if moment.tzinfo is None:
        return moment
    return moment.astimezone(datetime.UTC).replace(tzinfo=None)


def _in_order(items: Sequence[pystac.Item]) -> list[pystac.Item]:
    """Sort items by time, then id, and refuse those without a time."""
    for item in items:
        if item.datetime is None and item.common_metadata.start_datetime is None:
            raise ValueError(
                f"the item {item.id!r} has no datetime (and no start_datetime), so it has no place "
                "in time. Set item.datetime, or leave the item out."
            )
    return sorted(items, key=lambda item: (_utc(_taken(item)), item.id))


def _taken(item: pystac.Item) -> datetime.datetime:
    moment = item.datetime or item.common_metadata.start_datetime
    assert moment is not None  # checked before
    return moment


def _parse(items: Sequence[pystac.Item], configs: Mapping[Any, _Config]) -> list[ParsedItem]:
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


def _without_lost(item: pystac.Item) -> pystac.Item:
    """Leave out assets that cannot be found, a thumbnail for instance."""
    lost = [name for name, asset in item.assets.items() if not is_absolute(asset.href)]
    if not lost:
        return item
    copy = item.clone()
    for name in lost:
        del copy.assets[name]
    return copy


# ---------------------------------------------------------------------------------------------
# What items leave open
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Survey:
    """Finds out what items do not say, or say wrongly, of the files that will be opened.

    Attributes
    ----------
    request : Request
        Tells which bands are wanted.
    configs : mapping
        What is configured for the collections of the items.
    headers : Headers
        The files' own word.
    allow : optional
        Which addresses may be opened.
    """

    request: Request
    configs: Mapping[Any, _Config]
    headers: Headers
    allow: Allow

    def completed(
        self, items: Sequence[pystac.Item], grid_is_given: bool
    ) -> tuple[list[pystac.Item], list[ParsedItem]]:
        """Give items that say it, and what odc reads in them; headers are read all at once."""
        items = list(items)
        grids = [self._damaged(item) for item in items]
        bare = [without_grid(i) if g else i for i, g in zip(items, grids, strict=True)]
        parsed = _parse(bare, self.configs)
        wanted = [
            [key for key in self._wanted(known) if key in item.assets]
            for item, known in zip(items, parsed, strict=True)
        ]
        for item, keys in zip(items, wanted, strict=True):
            for key in keys:
                check_address(item, key, self.allow)
        unclear = [
            {k for k in keys if k in grid and not grid[k].is_whole and not grid_is_given}
            for keys, grid in zip(wanted, grids, strict=True)
        ]
        if not grid_is_given:
            for place, item in enumerate(items):
                lacking = self._lacking(item, grids[place], wanted[place], parsed[place])
                if lacking and not grids[place]:
                    grids[place] = {k: grid_of(item, asset) for k, asset in item.assets.items()}
                unclear[place] |= lacking
        untold = [
            {k for k in keys if self._is_untold(item, k)}
            for keys, item in zip(wanted, items, strict=True)
        ]
        asked = zip(items, untold, unclear, strict=True)
        self.headers.ask([item.assets[k].href for item, a, b in asked for k in sorted(a | b)])
        faults: list[tuple[str, Fault]] = []
        for place, item in enumerate(items):
            told = self._with_bands(item, untold[place])
            if grids[place]:
                asked_of = unclear[place]
                found = self._settled(told, grids[place], wanted[place], asked_of, grid_is_given)
                told = without_grid(told) if found is None else with_grids(told, found)
                used = (found or {}).items()
                faults += [(item.id, f) for k, g in used if k in wanted[place] for f in g.faults]
            items[place] = told
            if told is not item:
                (parsed[place],) = _parse([told], self.configs)
        warn_of_faults(faults, len(items))
        return [_without_lost(item) for item in items], parsed

    def _damaged(self, item: pystac.Item) -> dict[str, Grid]:
        """Give the grids of all assets where one of them is not as odc takes it, which wants a CRS
        beside shape and transform."""
        if not any("/projection/" in url for url in item.stac_extensions):
            return {}
        grids = {key: grid_of(item, asset) for key, asset in item.assets.items()}
        right = all(
            grid.is_plain and not grid.faults and (grid.crs or not (grid.shape and grid.transform))
            for grid in grids.values()
        )
        # beside assets that tell theirs, odc takes those without a grid for no maps
        left_out = any(g.is_told for g in grids.values()) and not all(
            grids[key].is_told for key in self._named(item)
        )
        return {} if right and not left_out else grids

    def _named(self, item: pystac.Item) -> list[str]:
        """Name the assets that are asked for by their own or another name."""
        others = names_of_bands([item])
        keys = [
            n if n in item.assets else others.get(n, ("",))[0] for n in self.request.bands or ()
        ]
        return [key for key in keys if key in item.assets]

    def _lacking(
        self, item: pystac.Item, grids: Mapping[str, Grid], wanted: Sequence[str], known: ParsedItem
    ) -> set[str]:
        """Name the assets whose grid the item does not tell, or not all of it."""
        if self.configs[item.collection_id].get("ignore_proj"):
            return set()
        if grids:
            return {key for key in wanted if not grids[key].is_told}
        sources: list[Any] = list(known.bands.items())
        silent = {key for (key, _), source in sources if source.geobox is None}
        return silent & set(wanted)

    def _wanted(self, known: ParsedItem) -> list[str]:
        """Name the assets that will be opened."""
        if self.request.bands is None:
            keys = list(known.bands)
        else:
            keys = [key for name in self.request.bands if (key := _place_of(known, name))]
        present = {key for key, _ in known.bands}
        return list(dict.fromkeys(asset for asset, _ in keys if asset in present))

    def _is_untold(self, item: pystac.Item, key: str) -> bool:
        """Tell whether a header has to say how many bands a file has."""
        configured = self.configs[item.collection_id]["assets"]
        return key not in configured and not tells_number(item.assets[key])

    def _with_bands(self, item: pystac.Item, keys: Iterable[str]) -> pystac.Item:
        found = {key: self.headers.get(item.assets[key].href) for key in keys}
        numbers = {k: len(h.dtypes) for k, h in found.items() if isinstance(h, Header)}
        return with_bands(item, numbers) if any(n > 1 for n in numbers.values()) else item

    def _settled(
        self,
        item: pystac.Item,
        grids: Mapping[str, Grid],
        wanted: Sequence[str],
        unclear: Iterable[str],
        grid_is_given: bool,
    ) -> dict[str, Grid] | None:
        """Complete the grids of an item by the headers of its files; None where one is given and
        the item has nothing to say."""
        if grid_is_given and any(
            not (grids[key].is_whole and grids[key].is_told) for key in wanted
        ):
            return None
        found = dict(grids)
        for key in unclear:
            header = self.headers.get(item.assets[key].href)
            if not isinstance(header, Header) or header.crs is None:
                raise _unknown_grid(item, key, found[key], header)
            found[key] = completed(found[key], header)
        return found


def _unknown_grid(item: pystac.Item, key: str, grid: Grid, header: Any) -> ValueError:
    faults = (f"has {fault}, and nothing else in it" for fault in grid.faults if not fault.instead)
    says = next(
        faults, "has no proj:code, proj:shape and proj:transform, or not all; nothing in it"
    )
    reason = "it has no CRS" if isinstance(header, Header) else f"it cannot be opened ({header})"
    return ValueError(
        f"the item {item.id!r} {says} tells the grid of the asset {key!r}, nor does the file "
        f"{item.assets[key].href!r}: {reason}. Correct the item, leave out what is no map "
        "(bands=[...]), or say which grid to take: crs='EPSG:32633', resolution=10 (in the unit "
        "of that CRS), or geobox=..."
    )


def _place_of(item: ParsedItem, name: str) -> tuple[str, int] | None:
    """Find the asset and number that a name stands for, whether or not the file has as many."""
    try:
        key: tuple[str, int] = item.collection.band_key(name)
    except ValueError:
        return None
    return key


# ---------------------------------------------------------------------------------------------
# Bands
# ---------------------------------------------------------------------------------------------

UNSAID = "unsaid"
"""Stands for the dtype of a band of which neither items nor configuration tell one."""


_Config = dict[str, Any]
"""What odc is told of the items of one collection."""


def _configs(stac_cfg: _Config | None, items: Sequence[pystac.Item]) -> dict[Any, _Config]:
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


def _naming(config: _Config, item: pystac.Item) -> _Config:
    """Add the names that an item has for bands: odc-stac 0.5 knows those of ``eo:bands`` alone."""
    return {**config, "aliases": {**names_of_bands([item]), **config["aliases"]}}


def _asking(config: _Config) -> _Config:
    """Let odc tell what items do not say, which it would take for float32."""
    assets = config["assets"]
    return {**config, "assets": {**assets, "*": {"data_type": UNSAID, **assets.get("*", {})}}}


def _pinned(
    items: Sequence[pystac.Item],
    parsed: Sequence[ParsedItem],
    names: Sequence[str],
    configs: Mapping[Any, _Config],
) -> tuple[list[pystac.Item], _Config]:
    """Let odc find each band where it was found, and not where the first item of its collection
    has it: items in which it stands elsewhere become a collection of their own."""
    kinds: dict[Any, list[dict[str, tuple[str, int]]]] = {}
    own: list[tuple[Any, int]] = []
    for item, known in zip(items, parsed, strict=True):
        places = {name: key for name in names if (key := _key(known, name))}
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


def _telling_alike(
    items: Sequence[pystac.Item], parsed: Sequence[ParsedItem], names: Sequence[str]
) -> Sequence[pystac.Item]:
    """Let odc ask the files for their grids where not all items tell theirs: it wants all or
    none."""
    tell = [_tells_grid(item, names) for item in parsed]
    if all(tell) or not any(tell):
        return items
    return [without_grid(item) for item in items]


def _tells_grid(item: ParsedItem, names: Sequence[str]) -> bool:
    sources: list[Any] = [item.bands[key] for name in names if (key := _key(item, name))]
    return all(source.geobox is not None for source in sources)


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if name in PLACES:
            raise ValueError(
                f"the items have an asset {name!r}, and a band cannot be called like a dimension "
                "or the CRS. Leave it out, bands=[...], or rename it: item.assets['band'] = "
                f"item.assets.pop({name!r})."
            )


def _names(parsed: Sequence[ParsedItem], request: Request) -> list[str]:
    """Name the bands to open."""
    known = list(dict.fromkeys(name for item in parsed for name in item.collection.all_bands))
    if not known:
        raise ValueError(
            f"the item {parsed[0].id!r} has no asset with pixels: none has an image as media "
            "type, the role 'data' or the suffix of an image. Name the assets, bands=[...]."
        )
    if request.bands is None:
        return known
    aliases = [n for item in parsed for n in item.collection.aliases if _key(item, n)]
    names = []
    for name in request.bands:
        if not any(_key(item, name) for item in parsed):
            check_known([name], list(dict.fromkeys([*known, *aliases])), "the STAC items have")
        names += _names_in_asset(name, parsed) or [name]
    for item in parsed:
        keys = [_key(item, name) for name in names]
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


def _key(item: ParsedItem, name: str) -> tuple[str, int] | None:
    """Find the asset and number of a band in an item, by its name or an alias; None without."""
    key = _place_of(item, name)
    return key if key in item.bands else None


def _bands(
    names: Sequence[str],
    items: Sequence[pystac.Item],
    parsed: Sequence[ParsedItem],
    request: Request,
    headers: Headers,
) -> list[_Band]:
    """Find dtype and nodata of the bands: in the items, else in the headers of files."""
    said = {name: _said(name, items, parsed) for name in names}
    silent = [s for name in names for s in said[name] if s.is_silent(request.overrides(name))]
    headers.ask([source.uri for source in silent])
    found = {source: _header(source, headers) for source in silent}
    for sources in said.values():
        sources[:] = [_completed(source, found.get(source)) for source in sources]
    told = {
        name: [replace(s, packing=_packing(s, name, items, parsed)) for s in own]
        for name, own in said.items()
    }
    warn_of_faults(_faults_of_packing(said, items, parsed), len(items))
    _warn_of_doubtful(told, items, parsed, request)
    packed = _packed(told, items, request, headers)
    _warn_of_unknown(told, packed, items, parsed)
    return [_band(name, said[name], packed[name], request) for name in names]


@dataclass(frozen=True, eq=False)
class _Said:
    """What is known of a band in one item."""

    place: int
    item: str
    uri: str
    number: int
    dtype: str | None
    nodata: float | None
    packing: Packing | None = None
    says_nodata: str = ""

    def is_silent(self, overridden: bool) -> bool:
        """Tell whether a header has to be asked."""
        return self.dtype is None or (self.nodata is None and not overridden)


def _said(name: str, items: Sequence[pystac.Item], parsed: Sequence[ParsedItem]) -> list[_Said]:
    found = []
    for place, (item, known) in enumerate(zip(items, parsed, strict=True)):
        if key := _key(known, name):
            source: Any = known.bands[key]
            dtype = None if source.meta is None else source.meta.data_type
            nodata = None if source.meta is None else source.meta.nodata
            dtype = None if dtype in (None, UNSAID) else str(dtype)
            told = "" if nodata is None else f"the item {item.id!r} (or stac_cfg=)"
            where = place, item.id, source.uri, source.band
            found.append(_Said(*where, dtype, nodata, says_nodata=told))
    return found


def _completed(said: _Said, header: tuple[str, Any, Packing | None] | None) -> _Said:
    if header is None:
        return said
    if said.nodata is None:
        said = replace(said, nodata=header[1], says_nodata=f"the file {said.uri!r}")
    return replace(said, dtype=said.dtype or header[0], packing=header[2])


def _packing(
    said: _Said, name: str, items: Sequence[pystac.Item], parsed: Sequence[ParsedItem]
) -> Packing | None:
    """Tell what the integers of a band mean: as the item says, else as the header does."""
    key = _key(parsed[said.place], name)
    assert key is not None  # the item has the band
    return packing_said(items[said.place], *key, said.dtype) or said.packing


def _faults_of_packing(
    said: Mapping[str, Sequence[_Said]],
    items: Sequence[pystac.Item],
    parsed: Sequence[ParsedItem],
) -> list[tuple[str, Fault]]:
    """Find scales and offsets that are none."""
    return [
        (source.item, Fault(field, value, why, "what else tells the packing, if anything does,"))
        for name, sources in said.items()
        for source in sources
        if (key := _key(parsed[source.place], name))
        for field, value, why in damaged_packing(items[source.place], *key)
    ]


def _packed(
    said: Mapping[str, Sequence[_Said]],
    items: Sequence[pystac.Item],
    request: Request,
    headers: Headers,
) -> dict[str, list[Packing | None]]:
    """Settle what the integers of bands mean in each item: the user's word counts first; where
    only some items say it, the files of the others are asked."""
    settle = [request.packing.of(i, f"the item {i.id!r}", list(said)) for i in items]
    packed = {n: [settle[s.place](n, s.packing) for s in own] for n, own in said.items()}
    silent = [
        (name, i)
        for name, own in packed.items()
        if any(packing not in (None, NONE) for packing in own)
        for i, packing in enumerate(own)
        if packing is None
    ]
    headers.ask([said[name][i].uri for name, i in silent])
    for name, i in silent:
        source = said[name][i]
        header = headers.get(source.uri)
        if isinstance(header, Header):  # else it says nothing
            packed[name][i] = _told(header.packing[source.number - 1])
    return packed


def _told(packing: Packing) -> Packing | None:
    """Take what a header says; that integers are what they mean, all say that say nothing."""
    return None if packing == NONE else packing


def _warn_of_doubtful(
    said: Mapping[str, Sequence[_Said]],
    items: Sequence[pystac.Item],
    parsed: Sequence[ParsedItem],
    request: Request,
) -> None:
    """Say of which items it is known that what they say of their packing can be wrong."""
    if request.packing.given is not None:
        return
    doubtful = {
        s.place: name
        for name, own in said.items()
        for s in own
        if (key := _key(parsed[s.place], name)) and is_doubtful(items[s.place], key[0], s.packing)
    }
    if doubtful:
        place, band = min(doubtful.items())
        warnings.warn(
            f"{len(doubtful)} of {len(items)} items, {items[place].id!r} first, say that the "
            "offset of processing baseline 04.00 is still in their pixels "
            "(earthsearch:boa_offset_applied = false). Of some items that is known to be wrong "
            "(https://github.com/Element84/earth-search/issues/71): integers far below 1000 show "
            f"it. Write packing=lambda item: {{{band!r}: {{'offset': 0}}}} if item.id in wrong "
            "else None, or packing=lambda item: None if all are right; the collection "
            "sentinel-2-c1-l2a has no such items.",
            UserWarning,
            stacklevel=5,
        )


def _warn_of_unknown(
    said: Mapping[str, Sequence[_Said]],
    packed: Mapping[str, Sequence[Packing | None]],
    items: Sequence[pystac.Item],
    parsed: Sequence[ParsedItem],
) -> None:
    """Say that nothing tells on which side of a change of baseline the integers of items are."""
    for name, own in said.items():
        silent = [s for s, packing in zip(own, packed[name], strict=True) if packing is None]
        sides: dict[bool, list[str]] = {True: [], False: []}
        for source in silent:
            item, key = items[source.place], _key(parsed[source.place], name)
            if key and is_probably_packed(item, key[0], source.dtype):
                sides[_utc(_taken(item)) >= CHANGED].append(item.id)
        if sides[True] and sides[False]:
            warnings.warn(
                f"nothing tells what the integers of band {name!r} mean in {len(silent)} items of "
                f"Sentinel-2, from before and after {CHANGED:%d %B %Y} ({sides[False][0]!r}, "
                f"{sides[True][0]!r}): processing baseline 04.00 added 1000 to them, and the "
                "items have no raster:bands and no s2:processing_baseline. They are taken as they "
                "are. Say it: packing=lambda item: {'B04': {'scale': 0.0001, 'offset': -0.1}} for "
                "those of baseline 04.00 or later, with the offset 0 for the others.",
                UserWarning,
                stacklevel=5,
            )
            return


def _band(
    name: str, said: Sequence[_Said], packed: Sequence[Packing | None], request: Request
) -> _Band:
    """Settle the dtype and the nodata of a band; what its items say has to agree."""
    _check_one(name, "is", [(s.item, s.dtype) for s in said])
    dtype = str(said[0].dtype)
    overridden = request.overrides(name)
    if overridden:
        nodata = request.nodata_of(name)
    else:
        values = [_value(s.nodata, dtype) for s in said]
        _check_one(
            name, "declares nodata", [(s.item, v) for s, v in zip(said, values, strict=True)]
        )
        nodata = said[0].nodata
    check_fits(nodata, name, dtype, "" if overridden else said[0].says_nodata)
    if nodata is None:
        nodata = free_value(dtype)
    items = [f"the item {s.item!r}" for s in said]
    agreement = agree(name, dtype, packed, items, request.packing.harmonize, OTHERWISE)
    return _Band(name, tuple(s.place for s in said), dtype, nodata, overridden, agreement)


OTHERWISE = (
    "Write packing=lambda item: {'name of the band': {'scale': ..., 'offset': ...}} (None for "
    "items that say it rightly), or open the items of each kind on their own."
)
"""What to write where items cannot be brought to one packing."""


def _value(nodata: Any, dtype: str) -> str:
    """Write a nodata so that it can be compared: NaN equals NaN, and for floats none."""
    if nodata is None and np.dtype(dtype).kind == "f":
        return "nan"
    return "none" if nodata is None else f"{nodata:g}" if nodata == nodata else "nan"


def _check_one(name: str, verb: str, found: Sequence[tuple[str, Any]]) -> None:
    first, value = found[0]
    for item, other in found:
        if other != value:
            nodata = "nodata" in verb
            why = "a collection has one" if nodata else "one dtype for both would change values"
            raise ValueError(
                f"band {name!r} {verb} {value} in {first!r} and {other} in {item!r}; {why}. Open "
                "the items of each kind on their own"
                + (f", or say which holds: nodata={{{name!r}: ...}}." if nodata else ".")
            )


def _lacking(band: _Band, images: int) -> list[int]:
    return [place for place in range(images) if place not in band.places]


def _header(source: _Said, headers: Headers) -> tuple[str, Any, Packing | None]:
    header = headers.get(source.uri)
    if not isinstance(header, Header):
        raise ValueError(
            f"the item {source.item!r} does not say the dtype and nodata of all bands "
            f"(raster:bands), and the file {headers.opened(source.uri)!r}, which would, cannot be "
            f"opened ({header}). Check its address (patch_url= signs or changes addresses), or "
            "leave out what is no image: bands=[...]."
        ) from header
    number = source.number - 1
    return header.dtypes[number], header.nodata[number], _told(header.packing[number])


# ---------------------------------------------------------------------------------------------
# Grid and images
# ---------------------------------------------------------------------------------------------


def _grid(
    parsed: Sequence[ParsedItem],
    names: Sequence[str],
    crs: Any,
    resolution: Any,
    bbox: Sequence[float] | None,
    geobox: Any,
) -> GeoBox:
    """Settle the grid of the collection."""
    output_geobox = needed("odc.stac", "stac", "STAC items").output_geobox
    if geobox is not None:
        if crs is not None or resolution is not None or bbox is not None:
            raise TypeError(
                "geobox= is a whole grid, so crs=, resolution= and bbox= have no say beside it. "
                "Give either that or these."
            )
        given: GeoBox = geobox
        return given
    if isinstance(resolution, str):
        raise TypeError(f"resolution={resolution!r} is no number. Write resolution=10.")
    shared = [name for name in names if all(_key(item, name) for item in parsed)] or None
    used = _different([own for item in parsed if (own := item.crs(shared)) is not None])
    if crs is None and len(used) != 1:
        found = (
            f"in several CRSs ({', '.join(map(short_crs, used))})"
            if used
            else "without a grid of their own (proj:code, proj:shape and proj:transform)"
        )
        raise ValueError(
            f"the items are {found}, and one grid has to hold them all. Say which: "
            f"crs={short_crs(used[0]) if used else 'EPSG:32633'!r}, resolution=10 (in the unit of "
            "that CRS), or geobox=... for a whole grid."
        )
    crs = None if crs is None else crs if crs == "utm" else as_crs(crs)
    if resolution is None and (crs is not None and crs not in used):
        names_used = ", ".join(map(short_crs, used)) or "unknown"
        raise ValueError(
            f"crs={str(crs)!r} is not that of the items ({names_used}), so their "
            "pixel size says nothing there. Give resolution=..., in the unit of that CRS."
        )
    told = all(_tells_grid(item, shared or ()) for item in parsed)
    # without a CRS, odc keeps to the pixels of the items
    crs = crs if crs is not None or told else used[0]
    size = _size(resolution)
    grid: GeoBox | None = output_geobox(parsed, shared, crs=crs, bbox=bbox)
    if size is not None and (crs is not None or grid is None or grid.resolution != size):
        grid = output_geobox(parsed, shared, crs=crs, resolution=size, bbox=bbox)
    if grid is None:
        raise ValueError(
            "the items do not tell their pixel size (proj:transform and proj:shape). Give "
            "resolution=..., in the unit of the CRS, or geobox=..."
        )
    return grid


def _different(crs: Sequence[Any]) -> list[Any]:
    """Leave of CRSs those that differ, however they are written; in the order of their names."""
    found: list[Any] = []
    for other in dict.fromkeys(crs):
        if other not in found:
            found.append(other)
    return sorted(found, key=str)


def _size(resolution: Any) -> Any:
    """Understand a pixel size: a number, or (down, across)."""
    if resolution is None or not isinstance(resolution, int | float | tuple | list):
        return resolution
    sizes = np.broadcast_to(np.asarray(resolution, float), 2)
    if not (np.isfinite(sizes).all() and (sizes != 0).all()):
        raise ValueError(f"resolution={resolution!r} is no pixel size: give a number above 0.")
    make = needed("odc.geo", "stac", "STAC items").resyx_
    return make(-abs(float(sizes[0])), abs(float(sizes[1])))


def _groups(parsed: Sequence[ParsedItem], groupby: str, grid: GeoBox) -> list[list[int]]:
    """Tell which items make an image, by their places in the order of time."""
    places = range(len(parsed))
    if groupby == "item":
        return [[place] for place in places]
    ((longitude, _),) = grid.extent.centroid.to_crs("EPSG:4326").points
    days = [parsed[place].solar_date_at(longitude).date() for place in places]
    return [list(group) for _, group in itertools.groupby(places, key=lambda i: days[i])]


def _alike(bands: Sequence[_Band], groups: Sequence[Sequence[int]]) -> Iterable[list[_Band]]:
    """Put bands together that one call of odc can load: it takes one dtype and nodata, finds
    bands in the first item, and lays the same items on each other."""
    alike: dict[Any, list[_Band]] = {}
    for band in bands:
        layers = tuple(_layers(band, groups))
        key = band.dtype, str(band.nodata), band.overridden, band.places, layers
        alike.setdefault(key, []).append(band)
    return alike.values()


def _layers(band: _Band, groups: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Tell in which image each item of a band is, and in which layer of it: items that are packed
    differently cannot be laid on each other before they are brought to one packing."""
    image_of = {place: image for image, group in enumerate(groups) for place in group}
    layers: list[tuple[int, int]] = []
    last = None
    for place, steps in zip(band.places, band.agreement.steps, strict=True):
        image, layer = image_of[place], 0
        if layers and layers[-1][0] == image:
            layer = layers[-1][1] + (steps != last)
        layers.append((image, layer))
        last = steps
    return layers


def _load(
    items: Sequence[pystac.Item],
    groups: Sequence[Sequence[int]],
    bands: list[_Band],
    load: dict[str, Any],
    request: Request,
) -> dict[str, xr.DataArray]:
    """Load bands that are alike, masked in images in which no item has them."""
    stac = needed("odc.stac", "stac", "STAC items")
    sample = bands[0]
    layers = _layers(sample, groups)
    distinct = list(dict.fromkeys(layers))
    place_of = {layer: number for number, layer in enumerate(distinct)}
    there = [place_of[layer] for layer in layers]
    options = {
        "bands": [band.name for band in bands],
        "dtype": sample.dtype,
        "nodata": sample.nodata,
        "driver": _driver(sample.overridden),
        "groupby": lambda _item, _parsed, index: there[index],
        **load,
    }
    if any(layer for _, layer in distinct) and options.get("fuse_func") is not None:
        raise ValueError(
            f"images are made of items whose band {sample.name!r} is packed differently, and "
            "fuse_func= would be given their raw integers. Leave it out, write groupby='item', or "
            "open the items of each kind on their own."
        )
    loaded = stac.load([items[place] for place in sample.places], **options)
    found = {}
    for band in bands:
        steps = dict(zip(layers, band.agreement.steps, strict=True))
        agreement = replace(band.agreement, steps=tuple(steps[layer] for layer in distinct))
        pixels = declare(loaded[band.name], band.nodata)
        pixels = brought_to(pixels, agreement, request.packing.harmonize, DIM)
        found[band.name] = _images(pixels, [image for image, _ in distinct], len(groups), band)
    return found


def _images(band: xr.DataArray, image_of: list[int], count: int, about: _Band) -> xr.DataArray:
    """Lay the layers of each image on each other, and put masked images where a band has none."""
    if image_of == list(range(count)):
        return band.drop_vars(DIM)
    chunks = (1, *band.data.chunks[1:])
    images = []
    layers_of: dict[int, list[int]] = {}
    for layer, image in enumerate(image_of):
        layers_of.setdefault(image, []).append(layer)
    for image in range(count):
        layers = [band.data[layer : layer + 1] for layer in layers_of.get(image, ())]
        if not layers:
            shape = (1, *band.shape[1:])
            layers = [da.full(shape, about.nodata, dtype=band.dtype, chunks=chunks)]
        top, *below = layers
        empty = np.empty((0,) * band.ndim, band.dtype)
        for layer in below:
            top = da.map_blocks(_on_top, top, layer, about.nodata, dtype=top.dtype, meta=empty)
        images.append(top)
    full = xr.DataArray(da.concatenate(images), band.drop_vars(DIM).coords, band.dims)
    full.attrs, full.encoding = band.attrs, band.encoding
    return full.rename(band.name)


def _on_top(top: Any, below: Any, nodata: Any) -> Any:
    """Lay an image on another; where it is masked, the other is seen."""
    masked = np.isnan(top) if nodata != nodata else top == nodata
    return np.where(masked, below, top)


def _driver(trusting: bool) -> Any:
    """Make a reader whose pixels do not depend on chunks; a trusting one takes the nodata that it
    is told for true, not the file's."""
    return needed("qmosaic.sources.odc_driver", "stac", "STAC items").SameForAllChunksDriver(
        trusting
    )


def _metadata(
    items: Sequence[pystac.Item], groups: Sequence[Sequence[int]]
) -> dict[str, tuple[Any, ...]]:
    """Make coordinates along time of what the items say; several values are joined, numbers
    averaged."""
    geom = needed("odc.geo.geom", "stac", "STAC items")
    images = [[items[i] for i in group] for group in groups]
    known = [[o for o in map(_outline, image) if o is not None] for image in images]
    outlines = [geom.unary_union(own) if own else None for own in known]
    times = [np.datetime64(_utc(_taken(image[0])), "ns") for image in images]
    return {
        DIM: (DIM, times),
        "id": (DIM, _texts([[i.id for i in image] for image in images])),
        "platform": (
            DIM,
            _texts([[i.properties.get("platform") or "" for i in image] for image in images]),
        ),
        "cloud_cover": (
            DIM,
            np.array([_mean([i.properties.get("eo:cloud_cover") for i in m]) for m in images]),
            {"long_name": "cloud cover", "units": "%"},
        ),
        FOOTPRINT: (
            DIM,
            footprints(outlines),
            {"long_name": "outline of the image, WKT", "crs": "EPSG:4326"},
        ),
    }


def _texts(groups: Sequence[Sequence[str]]) -> Any:
    return np.array([" ".join(dict.fromkeys(group)) for group in groups], dtype=object)


def _mean(values: Sequence[float | None]) -> float:
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else float("nan")

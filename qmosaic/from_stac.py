"""Collections from STAC items, through ``odc.stac``."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from qmosaic.assembly import (
    DIM,
    TILE,
    Request,
    check_fits,
    check_holes,
    check_known,
    declare,
    finish,
    free_value,
    settled,
)
from qmosaic.geometry import FOOTPRINT, as_geometry, footprints
from qmosaic.optional import needed

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
    asset : str
        The asset of an item that holds it.
    dtype : str
        From the items, else from the header of a file.
    nodata : scalar, optional
        What is masked, and what pixels get that no image covers.
    overridden : bool
        Whether that replaces what the files declare.
    """

    name: str
    asset: str
    dtype: str
    nodata: Any
    overridden: bool


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
    stac_cfg, patch_url, **options
        For ``odc.stac.load``.
    """
    stac = needed("odc.stac", "stac", "STAC items")
    items = _in_order(items_of(source))
    parsed = list(stac.parse_items(_richest_first(items), _asking(stac_cfg)))
    parsed = sorted(parsed, key=lambda item: (_utc(item.nominal_datetime), item.id))
    names = _names(parsed, request)
    bands = [_band(name, parsed, request, patch_url) for name in names]
    _check_assets(items, bands, request)
    grid = _grid(parsed, names, crs, resolution, bbox, geobox)
    groups = _groups(parsed, groupby, grid)
    position = {id(items[i]): rank for rank, group in enumerate(groups) for i in group}
    ready = _richest_first(items)
    load = {
        "geobox": grid,
        "groupby": lambda item, _parsed, _index: position[id(item)],
        "resampling": resampling,
        "chunks": dict(request.chunks or {"x": TILE, "y": TILE}),
        "stac_cfg": stac_cfg,
        "patch_url": patch_url,
        **options,
    }
    loaded = [_load(ready, list(alike), load) for alike in _alike(bands)]
    collection = xr.merge(loaded, compat="override", join="override")
    collection = collection[[band.name for band in bands]]
    for band in bands:
        collection[band.name] = declare(collection[band.name], band.nodata)
    collection = collection.assign_coords(_metadata(items, groups))
    return finish(collection, settled(request, collection), "the STAC items")


# ---------------------------------------------------------------------------------------------
# Items
# ---------------------------------------------------------------------------------------------


def items_of(source: Any) -> list[pystac.Item]:
    """Collect items: from a file or URL, pystac objects, GeoJSON, a search, or a list of these."""
    pystac = needed("pystac", "stac", "STAC items")
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
    content = pystac.StacIO.default().read_json(href)
    if content.get("type") in ("FeatureCollection", "Feature"):
        return _from_json(content, href)
    return pystac.read_file(href)


def _from_json(content: Mapping[str, Any], href: str | None) -> list[pystac.Item]:
    pystac = needed("pystac", "stac", "STAC items")
    features = content.get("features", [content])
    items = []
    for feature in features:
        if not isinstance(feature, Mapping) or "assets" not in feature:
            raise ValueError(
                f"a feature {str(dict(feature))[:80]!r} is no STAC item: it has no 'assets'. "
                "Geometries alone have no pixels; give the items of a STAC search."
            )
        item = pystac.Item.from_dict(dict(feature), preserve_dict=True)
        for asset in item.assets.values():
            if href is not None:
                asset.href = pystac.utils.make_absolute_href(
                    asset.href, item.get_self_href() or href
                )
        items.append(item)
    return items


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


def _richest_first(items: Sequence[pystac.Item]) -> list[pystac.Item]:
    """Put the item with most assets first: odc takes from the first one which bands there are."""
    richest = max(range(len(items)), key=lambda i: (len(items[i].assets), -i))
    return [items[richest], *items[:richest], *items[richest + 1 :]]


# ---------------------------------------------------------------------------------------------
# Bands
# ---------------------------------------------------------------------------------------------

UNSAID = "unsaid"
"""Stands for the dtype of a band of which neither items nor configuration tell one."""


def _asking(stac_cfg: Mapping[str, Any] | None) -> dict[str, Any]:
    """Let odc tell what items do not say, which it would take for float32."""

    def ask(one: Mapping[str, Any]) -> dict[str, Any]:
        assets = one.get("assets", {})
        every = {"data_type": UNSAID, **assets.get("*", {})}
        return {**one, "assets": {**assets, "*": every}}

    if not stac_cfg or "assets" in stac_cfg:
        return ask(stac_cfg or {})
    asked = {name: ask(one) if name != "with_properties" else one for name, one in stac_cfg.items()}
    return {"*": ask({}), **asked}


def _names(parsed: Sequence[ParsedItem], request: Request) -> list[str]:
    """Name the bands to open."""
    known = max((item.collection for item in parsed), key=len)
    if request.bands is None:
        names = list(known.all_bands)
        if not names:
            raise ValueError(
                f"the item {parsed[0].id!r} has no asset with pixels: none has an image as media "
                "type, the role 'data' or the suffix of an image. Name the assets, bands=[...]."
            )
        return names
    for name in request.bands:
        try:
            known.band_key(name)
        except ValueError:
            check_known([name], [*known.all_bands, *known.aliases], "the STAC items have")
    keys = [known.band_key(name) for name in request.bands]
    for i, key in enumerate(keys):
        if key in keys[:i]:
            raise ValueError(
                f"bands= names one band twice: {request.bands[keys.index(key)]!r} and "
                f"{request.bands[i]!r} are the same asset. Leave one out."
            )
    return list(request.bands)


def _band(
    name: str,
    parsed: Sequence[ParsedItem],
    request: Request,
    patch_url: Callable[[str], str] | None,
) -> _Band:
    """Find dtype and nodata of a band: in the items, else in the header of a file."""
    known = max((item.collection for item in parsed), key=len)
    key = known.band_key(name)
    sources = [item.bands[key] for item in parsed if key in item.bands]
    declared = [source.meta for source in sources if source.meta is not None]
    dtypes = sorted({str(m.data_type) for m in declared} - {UNSAID})
    if len(dtypes) > 1:
        raise ValueError(
            f"band {name!r} is {' in some items and '.join(dtypes)} in others; one dtype for both "
            "would change values. Open the items of each dtype on their own."
        )
    nodata = next((meta.nodata for meta in declared if meta.nodata is not None), None)
    dtype = dtypes[0] if dtypes else None
    if sources and (dtype is None or nodata is None):
        header = _header(sources[0], patch_url)
        dtype, nodata = dtype or header[0], header[1] if nodata is None else nodata
    if dtype is None:
        raise ValueError(f"band {name!r} is in none of the items. Leave it out of bands=.")
    overridden = request.overrides(name)
    if overridden:
        nodata = request.nodata_of(name)
    check_fits(nodata, name, dtype)
    if nodata is None:
        nodata = free_value(dtype)
    return _Band(name, key[0], dtype, nodata, overridden)


def _header(source: Any, patch_url: Callable[[str], str] | None) -> tuple[str, Any]:
    rasterio = needed("rasterio", "stac", "STAC items")
    href = patch_url(source.uri) if patch_url else source.uri
    try:
        with rasterio.open(href) as file:
            return file.dtypes[source.band - 1], file.nodatavals[source.band - 1]
    except rasterio.errors.RasterioIOError as error:
        raise ValueError(
            f"the items do not say the dtype or nodata of all bands (raster:bands), and the file "
            f"{href!r}, which would, cannot be opened ({error}). Check its address (patch_url= "
            "signs or changes addresses)."
        ) from error


def _check_assets(items: Sequence[pystac.Item], bands: Sequence[_Band], request: Request) -> None:
    """Refuse bands that some items lack, unless they are to be masked there."""
    holes = [
        (band.name, place)
        for band in bands
        for place, item in enumerate(items)
        if band.asset not in item.assets
    ]
    check_holes(holes, [f"the item {item.id!r}" for item in items], request)


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
    used = sorted({str(own) for item in parsed if (own := item.crs(names)) is not None})
    if crs is None and len(used) != 1:
        found = f"in several CRSs ({', '.join(used)})" if used else "without CRS (no proj:code)"
        raise ValueError(
            f"the items are {found}, and one grid has to hold them all. Say which: "
            f"crs={used[0] if used else 'EPSG:32633'!r}, resolution=10 (in the unit of that CRS), "
            "or geobox=... for a whole grid."
        )
    if bbox is not None:
        as_geometry(tuple(bbox))
    if resolution is None and (crs is not None and str(crs) not in used):
        raise ValueError(
            f"crs={str(crs)!r} is not that of the items ({', '.join(used) or 'unknown'}), so their "
            "pixel size says nothing there. Give resolution=..., in the unit of that CRS."
        )
    grid: GeoBox | None = output_geobox(
        parsed, names, crs=crs or used[0], resolution=resolution, bbox=bbox
    )
    if grid is None:
        raise ValueError(
            "the items do not tell their pixel size (proj:transform and proj:shape). Give "
            "resolution=..., in the unit of the CRS, or geobox=..."
        )
    return grid


def _groups(parsed: Sequence[ParsedItem], groupby: str, grid: GeoBox) -> list[list[int]]:
    """Tell which items make an image, by their places in the order of time."""
    places = range(len(parsed))
    if groupby == "item":
        return [[place] for place in places]
    ((longitude, _),) = grid.extent.centroid.to_crs("EPSG:4326").points
    days = [parsed[place].solar_date_at(longitude).date() for place in places]
    return [list(group) for _, group in itertools.groupby(places, key=lambda i: days[i])]


def _alike(bands: Sequence[_Band]) -> Iterable[list[_Band]]:
    """Put bands together that one call of odc can load: it takes one dtype and nodata."""
    alike: dict[Any, list[_Band]] = {}
    for band in bands:
        alike.setdefault((band.dtype, str(band.nodata), band.overridden), []).append(band)
    return alike.values()


def _load(items: Sequence[pystac.Item], bands: list[_Band], load: dict[str, Any]) -> xr.Dataset:
    stac = needed("odc.stac", "stac", "STAC items")
    options = {
        "bands": [band.name for band in bands],
        "dtype": bands[0].dtype,
        "nodata": bands[0].nodata,
        **load,
    }
    if bands[0].overridden:
        options["driver"] = _trusting_driver()
    loaded: xr.Dataset = stac.load(items, **options)
    return loaded


def _trusting_driver() -> Any:
    """Make a reader of files that takes the nodata it is told for true, not the file's."""
    return needed("qmosaic.odc_driver", "stac", "STAC items").TrustingDriver()


def _metadata(
    items: Sequence[pystac.Item], groups: Sequence[Sequence[int]]
) -> dict[str, tuple[Any, ...]]:
    """Make coordinates along time of what the items say; several values are joined, numbers
    averaged."""
    geom = needed("odc.geo.geom", "stac", "STAC items")
    images = [[items[i] for i in group] for group in groups]
    outlines = [
        geom.unary_union(
            [geom.Geometry(i.geometry, "EPSG:4326") for i in image if i.geometry is not None]
        )
        if any(i.geometry is not None for i in image)
        else None
        for image in images
    ]
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

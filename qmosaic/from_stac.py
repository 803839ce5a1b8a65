"""Collections from STAC items, through ``odc.stac``."""

from __future__ import annotations

import datetime
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.assembly import (
    DIM,
    TILE,
    Request,
    check_fits,
    check_holes,
    check_known,
    check_options,
    check_resampling,
    declare,
    finish,
    free_value,
    settled,
    sizes_of_chunks,
)
from qmosaic.geometry import FOOTPRINT, as_crs, as_geometry, everywhere, footprints
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
    places : tuple of int
        The items that have it, by their places in the order of time.
    dtype : str
        From the items, else from the header of a file.
    nodata : scalar, optional
        What is masked, and what pixels get that no image covers.
    overridden : bool
        Whether that replaces what the files declare.
    """

    name: str
    places: tuple[int, ...]
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
    check_options(options, ALLOWED, "odc.stac.load as it is used here")
    items = _in_order(items_of(source))
    if bbox is not None:
        items = _touching(items, bbox)
    parsed = _parse(items, stac_cfg)
    names = _names(parsed, request)
    request.check_nodata(names, "the STAC items have")
    check_resampling(resampling, names)
    bands = [_band(name, parsed, request, patch_url) for name in names]
    check_holes(
        [(band.name, place) for band in bands for place in _lacking(band, len(items))],
        [f"the item {item.id!r}" for item in items],
        request,
    )
    grid = _grid(parsed, names, crs, resolution, bbox, geobox)
    groups = _groups(parsed, groupby, grid)
    load = {
        "geobox": grid,
        "resampling": resampling,
        "chunks": sizes_of_chunks(request, {"x": TILE, "y": TILE}),
        "stac_cfg": stac_cfg,
        "patch_url": patch_url,
        **options,
    }
    loaded: dict[Any, xr.DataArray] = {}
    for alike in _alike(bands):
        loaded.update(_load(items, groups, alike, load))
    collection = xr.Dataset({band.name: loaded[band.name] for band in bands})
    collection = collection.assign_coords(_metadata(items, groups))
    return finish(collection, settled(request, collection), "the STAC items")


ALLOWED = ("fail_on_error", "fuse_func", "use_overviews")
"""What `odc.stac.load` can do beside what the arguments of `open_collection` say."""


def _touching(items: Sequence[pystac.Item], bbox: Sequence[float]) -> list[pystac.Item]:
    """Keep the items that touch a box; of the others nothing would be on the map."""
    region = everywhere(as_geometry(tuple(bbox)))
    geom = needed("odc.geo.geom", "stac", "STAC items")
    kept = [
        item
        for item in items
        if item.geometry is None or geom.Geometry(item.geometry, region.crs).intersects(region)
    ]
    if not kept:
        raise ValueError(
            f"bbox={tuple(bbox)} (west, south, east, north; degrees) left none of {len(items)} "
            "items: none of them touches it."
        )
    return kept


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
        content = json.loads(pystac.StacIO.default().read_text(href))
    except ValueError as error:
        raise ValueError(f"{href!r} is no JSON ({error}), so it holds no STAC items.") from error
    if isinstance(content, list):
        return [item for entry in content for item in _from_json(entry, href)]
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
        item = _item(feature)
        for asset in item.assets.values():
            if href is not None:
                asset.href = pystac.utils.make_absolute_href(
                    asset.href, item.get_self_href() or href
                )
        items.append(item)
    return items


def _item(feature: Mapping[str, Any]) -> Any:
    pystac = needed("pystac", "stac", "STAC items")
    try:
        item = pystac.Item.from_dict(dict(feature), preserve_dict=True)
        if not item.id:
            raise KeyError("id")
    except (pystac.STACError, KeyError, TypeError) as error:
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


def _parse(items: Sequence[pystac.Item], stac_cfg: dict[str, Any] | None) -> list[ParsedItem]:
    """Let odc read what items say of their bands."""
    for item in items:
        for name, asset in item.assets.items():
            if asset.get_absolute_href() is None:
                raise ValueError(
                    f"the asset {name!r} of the item {item.id!r} has the relative address "
                    f"{asset.href!r}, and the item does not say where it is itself. Open the file "
                    "that the item is from, or write item.make_asset_hrefs_absolute()."
                )
    parse = needed("odc.stac", "stac", "STAC items").parse_item
    asking = _asking(stac_cfg)
    try:
        # each on its own: what one item says of its bands need not hold for the next
        return [parse(item, asking) for item in items]
    except ValueError as error:
        raise ValueError(
            f"what the items say of their grids cannot be used ({error}). Correct them, or write "
            "stac_cfg={'*': {'ignore_proj': True}} and a grid: crs=, resolution=, or geobox=."
        ) from error


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
    known = list(dict.fromkeys(name for item in parsed for name in item.collection.all_bands))
    if not known:
        raise ValueError(
            f"the item {parsed[0].id!r} has no asset with pixels: none has an image as media "
            "type, the role 'data' or the suffix of an image. Name the assets, bands=[...]."
        )
    if request.bands is None:
        return known
    aliases = [name for item in parsed for name in item.collection.aliases]
    for name in request.bands:
        if not any(_key(item, name) for item in parsed):
            check_known([name], list(dict.fromkeys([*known, *aliases])), "the STAC items have")
    for item in parsed:
        keys = [_key(item, name) for name in request.bands]
        for i, key in enumerate(keys):
            if key is not None and key in keys[:i]:
                raise ValueError(
                    f"bands= names one band twice: {request.bands[keys.index(key)]!r} and "
                    f"{request.bands[i]!r} are the same asset of {item.id!r}. Leave one out."
                )
    return list(request.bands)


def _key(item: ParsedItem, name: str) -> tuple[str, int] | None:
    """Find the asset and number of a band in an item, by its name or an alias; None without."""
    try:
        key: tuple[str, int] = item.collection.band_key(name)
    except ValueError:
        return None
    return key if key in item.bands else None


def _band(
    name: str,
    parsed: Sequence[ParsedItem],
    request: Request,
    patch_url: Callable[[str], str] | None,
) -> _Band:
    """Find dtype and nodata of a band: in the items, else in the header of a file."""
    keys = {place: key for place, item in enumerate(parsed) if (key := _key(item, name))}
    sources: list[Any] = [parsed[place].bands[key] for place, key in keys.items()]
    declared = [source.meta for source in sources if source.meta is not None]
    dtypes = sorted({str(meta.data_type) for meta in declared} - {UNSAID})
    _check_one(name, "is", dtypes, "one dtype for both would change values")
    values = {meta.nodata for meta in declared if meta.nodata is not None}
    if not request.overrides(name):
        _check_one(name, "declares nodata", sorted(map(str, values)), "a collection has one")
    dtype = dtypes[0] if dtypes else None
    nodata = next(iter(values), None)
    if dtype is None or nodata is None:
        header = _header(sources[0], patch_url)
        dtype, nodata = dtype or header[0], header[1] if nodata is None else nodata
    overridden = request.overrides(name)
    if overridden:
        nodata = request.nodata_of(name)
    check_fits(nodata, name, dtype)
    if nodata is None:
        nodata = free_value(dtype)
    return _Band(name, tuple(keys), dtype, nodata, overridden)


def _check_one(name: str, verb: str, found: Sequence[str], why: str) -> None:
    if len(found) > 1:
        raise ValueError(
            f"band {name!r} {verb} {' in some items and '.join(found)} in others; {why}. Open the "
            "items of each kind on their own"
            + (f", or say which holds: nodata={{{name!r}: ...}}." if "nodata" in verb else ".")
        )


def _lacking(band: _Band, images: int) -> list[int]:
    return [place for place in range(images) if place not in band.places]


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
    shared = [name for name in names if all(_key(item, name) for item in parsed)] or None
    used = sorted({str(own) for item in parsed if (own := item.crs(shared)) is not None})
    if crs is None and len(used) != 1:
        found = f"in several CRSs ({', '.join(used)})" if used else "without CRS (no proj:code)"
        raise ValueError(
            f"the items are {found}, and one grid has to hold them all. Say which: "
            f"crs={used[0] if used else 'EPSG:32633'!r}, resolution=10 (in the unit of that CRS), "
            "or geobox=... for a whole grid."
        )
    crs = None if crs is None else crs if crs == "utm" else as_crs(crs)
    if resolution is None and (crs is not None and str(crs) not in used):
        raise ValueError(
            f"crs={str(crs)!r} is not that of the items ({', '.join(used) or 'unknown'}), so their "
            "pixel size says nothing there. Give resolution=..., in the unit of that CRS."
        )
    grid: GeoBox | None = output_geobox(
        parsed, shared, crs=crs or used[0], resolution=_size(resolution), bbox=bbox
    )
    if grid is None:
        raise ValueError(
            "the items do not tell their pixel size (proj:transform and proj:shape). Give "
            "resolution=..., in the unit of the CRS, or geobox=..."
        )
    return grid


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


def _alike(bands: Sequence[_Band]) -> Iterable[list[_Band]]:
    """Put bands together that one call of odc can load: it takes one dtype and nodata, and finds
    bands in the first item."""
    alike: dict[Any, list[_Band]] = {}
    for band in bands:
        key = band.dtype, str(band.nodata), band.overridden, band.places
        alike.setdefault(key, []).append(band)
    return alike.values()


def _load(
    items: Sequence[pystac.Item],
    groups: Sequence[Sequence[int]],
    bands: list[_Band],
    load: dict[str, Any],
) -> dict[str, xr.DataArray]:
    """Load bands that are alike, masked in images in which no item has them."""
    stac = needed("odc.stac", "stac", "STAC items")
    sample = bands[0]
    image_of = {place: image for image, group in enumerate(groups) for place in group}
    there = [image_of[place] for place in sample.places]
    options = {
        "bands": [band.name for band in bands],
        "dtype": sample.dtype,
        "nodata": sample.nodata,
        "groupby": lambda _item, _parsed, index: there[index],
        **load,
    }
    if sample.overridden:
        options["driver"] = _trusting_driver()
    loaded = stac.load([items[place] for place in sample.places], **options)
    images = sorted(set(there))
    return {
        band.name: declare(_with_gaps(loaded[band.name], images, len(groups), band), band.nodata)
        for band in bands
    }


def _with_gaps(band: xr.DataArray, images: list[int], count: int, about: _Band) -> xr.DataArray:
    """Put masked images where a band has none."""
    if len(images) == count:
        return band.drop_vars(DIM)
    runs, begin = [], 0
    chunks = (1, *band.data.chunks[1:])
    for image in range(count):
        if image in images:
            runs.append(band.data[begin : begin + 1])
            begin += 1
        else:
            shape = (1, *band.shape[1:])
            runs.append(da.full(shape, about.nodata, dtype=band.dtype, chunks=chunks))
    full = xr.DataArray(da.concatenate(runs), band.drop_vars(DIM).coords, band.dims)
    full.attrs, full.encoding = band.attrs, band.encoding
    return full


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

"""From STAC items to a collection, step by step; pixels are read by ``odc.stac``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import xarray as xr

from qmosaic.sources.final_checks import finish, settled
from qmosaic.sources.grids import TILE, check_number_of_chunks, sizes_of_chunks
from qmosaic.sources.joining import check_holes
from qmosaic.sources.request import Request, check_options, check_resampling
from qmosaic.sources.stac.addresses import Allow, check_allow, with_addresses
from qmosaic.sources.stac.band_lists import with_lists
from qmosaic.sources.stac.bands import places_without, settle_bands
from qmosaic.sources.stac.footprints import check_touched, touching
from qmosaic.sources.stac.grid import settle_grid
from qmosaic.sources.stac.headers import Headers
from qmosaic.sources.stac.images import check_properties, coordinates_of, groups_of
from qmosaic.sources.stac.items import in_order, items_of
from qmosaic.sources.stac.loading import bands_alike, load_bands
from qmosaic.sources.stac.names import check_names, names_to_open
from qmosaic.sources.stac.parsing import configs_of, pinned_places, telling_alike
from qmosaic.sources.stac.survey import Survey

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


ALLOWED = ("fail_on_error", "fuse_func", "use_overviews")
"""What `odc.stac.load` can do beside what the arguments of `open_collection` say."""

INSTEAD = {
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
"""What to write here in place of arguments of odc-stac."""


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
    properties: str | Sequence[str] | None = None,
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
    properties : str or sequence of str, optional
        Properties of the items that become coordinates along time.
    allow : str, sequence of str or callable, optional
        What the addresses of files have to begin with, or a function that tells whether an
        address may be opened.
    stac_cfg, patch_url, **options
        For ``odc.stac.load``.
    """
    allowed = (*ALLOWED, "stac_cfg", "patch_url")
    check_options(options, allowed, "odc.stac.load as it is used here", INSTEAD)
    check_allow(allow)
    items = list(map(with_lists, map(with_addresses, in_order(items_of(source)))))
    if bbox is not None:
        items = touching(items, bbox)
    properties = check_properties(properties, items)
    configs = configs_of(stac_cfg, items)
    survey = Survey(request, configs, Headers(patch_url), allow)
    is_given = geobox is not None or (crs is not None and resolution is not None)
    items, parsed = survey.completed(items, is_given)
    names = names_to_open(parsed, request)
    request = request if request.bands is None else replace(request, bands=tuple(names))
    check_names(names)
    request.check_nodata(names, "the STAC items have")
    request.packing.check_bands(names, "the STAC items have")
    check_resampling(resampling, names)
    bands = settle_bands(names, items, parsed, request, survey.headers)
    check_holes(
        [(band.name, place) for band in bands for place in places_without(band, len(items))],
        [f"the item {item.id!r}" for item in items],
        request,
    )
    grid = settle_grid(parsed, names, crs, resolution, bbox, geobox)
    check_touched(items, grid)
    groups = groups_of(parsed, groupby, grid)
    chunks = sizes_of_chunks(request, {"x": TILE, "y": TILE})
    check_number_of_chunks(grid, chunks)
    telling, config = pinned_places(telling_alike(items, parsed, names), parsed, names, configs)
    load = {
        "geobox": grid,
        "resampling": resampling,
        "chunks": chunks,
        "stac_cfg": config,
        "patch_url": patch_url,
        **options,
    }
    loaded: dict[Any, xr.DataArray] = {}
    for alike in bands_alike(bands, groups):
        loaded.update(load_bands(telling, groups, alike, load, request))
    collection = xr.Dataset({band.name: loaded[band.name] for band in bands})
    known = coordinates_of(items, groups, properties)
    known = {name: value for name, value in known.items() if name not in collection}
    return finish(collection.assign_coords(known), settled(request, collection), "the STAC items")

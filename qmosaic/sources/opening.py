"""`open_collection`: it finds out what kind a source is, and calls the reader for it."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, get_args

import xarray as xr
from zarr.abc.store import Store

from qmosaic.collection.model import check_choice
from qmosaic.optional import needed
from qmosaic.sources.final_checks import without_time
from qmosaic.sources.from_arrays import open_netcdf, open_zarr
from qmosaic.sources.packing import Given, Harmonize
from qmosaic.sources.request import Missing, Nodata, Request, make_request

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox

    from qmosaic.sources.geotiff import Time
    from qmosaic.sources.stac import Allow

Format = Literal["zarr", "netcdf", "stac", "geotiff"]
Groupby = Literal["item", "solar_day"]

SUFFIXES: dict[str, Format] = {
    ".zarr": "zarr",
    ".nc": "netcdf",
    ".nc4": "netcdf",
    ".cdf": "netcdf",
    ".h5": "netcdf",
    ".tif": "geotiff",
    ".tiff": "geotiff",
    ".jp2": "geotiff",
    ".vrt": "geotiff",
    ".json": "stac",
    ".geojson": "stac",
}

OWN: dict[Format, set[str]] = {
    "zarr": {"group", "storage_options"},
    "netcdf": {"group"},
    "stac": {"groupby", "crs", "resolution", "bbox", "geobox", "resampling", "properties", "allow"},
    "geotiff": {"crs", "resolution", "bbox", "geobox", "resampling", "time", "pattern"},
}
"""The arguments that only some readers know."""


def open_collection(
    source: Any,
    *,
    bands: str | Sequence[str] | None = None,
    chunks: Mapping[Any, Any] | None = None,
    nodata: Nodata = None,
    missing: Missing = "raise",
    packing: Given = None,
    harmonize: Harmonize = "lossless",
    format: Format | None = None,
    groupby: Groupby | None = None,
    crs: Any = None,
    resolution: Any = None,
    bbox: Sequence[float] | None = None,
    geobox: GeoBox | xr.Dataset | xr.DataArray | None = None,
    resampling: str | Mapping[str, str] | None = None,
    time: Time = None,
    pattern: str | None = None,
    properties: str | Sequence[str] | None = None,
    allow: Allow = None,
    group: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> xr.Dataset:
    r"""Open images as a collection: a Dataset with a dimension ``time``, read lazily.

    Opening reads headers and metadata, no pixels. Pixels are read later, chunk by chunk, when
    something needs them: of each band of a mosaic only the chunks of images that won, over HTTP
    too. xarray, ``odc.stac`` and rioxarray do the reading.

    Parameters
    ----------
    source : str, Path, store, pystac object, mapping or sequence
        One of

        - a Zarr store (format 2 or 3, consolidated or not): a path, a URL, a store of zarr,
          obstore or Icechunk, a group (extra ``s3`` for URLs);
        - a NetCDF file, or several with other times or other bands: a path, a list, a folder, a
          pattern such as ``"data/*.nc"`` (extra ``netcdf``);
        - STAC items: the path or URL of an ItemCollection, a pystac ItemCollection or Catalog, a
          search of pystac-client, a list of items, GeoJSON (extra ``stac``);
        - GeoTIFFs (and JPEG 2000, VRT), one file for each image or for each image and band: a
          folder, a list of paths or URLs, a pattern (extra ``geotiff``).
    bands : str or sequence of str, optional
        The bands to open, in this order; all by default. For STAC also other names that items
        have for them, such as the common names (``"red"``). The name of an asset with several
        bands stands for all of them, ``"image.2"`` for the second.
    chunks : mapping, optional
        Sizes of chunks in pixels, by dimension. By default the chunks of the store or NetCDF file;
        for GeoTIFFs whole tiles of the files, together up to 2048 × 2048 pixels; for STAC
        2048 × 2048 pixels. Images from GeoTIFFs and STAC are a chunk each along ``time``.
    nodata : number or mapping of band to number or None, optional
        The nodata value, in place of the one that the source declares: one for all bands, or by
        band, with ``"*"`` for all bands that are not named. None in a mapping means that every
        value of the band is data.
    missing : {"raise", "mask"}, default: "raise"
        What happens where some images lack a band: an error, or the band is masked there.
    packing : mapping of band to mapping, or callable, optional
        What integers mean (``integer * scale + offset``), in place of what the source says:
        ``{"B04": {"scale": 0.0001, "offset": -0.1}}``. ``"*"`` stands for all bands that are not
        named; None for a band means that its integers are the values themselves; scale or offset
        alone keeps the other as the source says it. Where images differ: a function that is called
        with each STAC item, or with the path of each file, and returns such a mapping or None.
    harmonize : {"lossless", "wider", "earth_engine"}, default: "lossless"
        How images whose packings differ by an offset are brought to one packing. "lossless": to
        the lowest offset among them (integers of Sentinel-2 before processing baseline 04.00 get
        1000 more); an integer that does not fit the dtype then is an error while reading. "wider":
        the same, in integers of twice the size. "earth_engine": to offset 0, as in Earth Engine's
        harmonized collections; integers below the lowest valid one are set to it. Nodata stays
        nodata in each.
    format : {"zarr", "netcdf", "stac", "geotiff"}, optional
        What the source is; by default recognised by its type, suffix or content.
    groupby : {"item", "solar_day"}, default: "item"
        STAC: whether an item is an image, or all items of a day (in local solar time) are one.
        Where items of a day overlap, the earliest is on top; its time (UTC) is that of the image.
    crs : any CRS, optional
        STAC and GeoTIFF: the CRS of the grid; by default that of the images, if they share one.
        "utm" stands for the zone in which they lie.
    resolution : float or (float, float), optional
        STAC and GeoTIFF: the pixel size, or (down, across), in the unit of `crs`; by default that
        of the band with the smallest pixels.
    bbox : (west, south, east, north), optional
        STAC and GeoTIFF: the box to open, in degrees; images that do not touch it are left out.
    geobox : odc.geo GeoBox, or Dataset or DataArray on a grid, optional
        STAC and GeoTIFF: the whole grid, in place of `crs`, `resolution` and `bbox`. GeoTIFFs are
        by default on that of the first image, of its band with the smallest pixels.
    resampling : str or mapping of band to str, optional
        STAC and GeoTIFF: how images are brought onto the grid: "nearest", "bilinear", "cubic",
        "average" and other methods of GDAL; in a mapping ``"*"`` stands for all bands that are not
        named. "nearest" by default for STAC, and for GeoTIFFs with `crs`, `resolution` or `bbox`;
        GeoTIFFs on different grids are refused where nothing is said. With nothing but
        `resampling` they are brought onto the grid of the first image.
    time : str or callable, optional
        GeoTIFF: the name of the tag with the time of an image, or a function that is called with
        the path of a file (a str) and returns the time. By default the tag
        ``ACQUISITIONDATETIME``, else the first date in the file's name, else TIFF's own DateTime.
    pattern : str, optional
        GeoTIFF: a regular expression that is searched for in the path of each file (below the
        folder that all share). Its groups: ``time`` (an ISO 8601 date, perhaps with a time of day,
        or a day of the year such as 2020183), ``band`` (for one file an image and band), and
        ``id``, what the files of one image have in common and other images of that time have not;
        by default the rest of the name.
    properties : str or sequence of str, optional
        STAC: properties of the items to keep as coordinates along time, by their names:
        ``["s2:mgrs_tile", "view:sun_elevation"]``. Numbers stay numbers, NaN where an item has
        none; texts of a list are joined by spaces. Of several items of an image, numbers are
        averaged, and different texts are joined.
    allow : str, sequence of str or callable, optional
        STAC: which files may be opened, for items of someone whom you do not trust: the beginnings
        of their addresses (``["https://example.org/data/", "/data/"]``), or a function that is
        called with the address that an item has, and tells whether it may. By default all, files
        of this machine included.
    group : str, optional
        Zarr and NetCDF: the group in the store or file.
    storage_options : mapping, optional
        Zarr: for URLs, what `fsspec` needs.
    **options
        Passed on to the reader: ``xarray.open_dataset`` (``mask_and_scale=True`` decodes to floats
        with NaN), ``odc.stac.load`` or ``rioxarray.open_rasterio``.

    Returns
    -------
    xarray.Dataset
        The collection, backed by dask: a variable for each band, along ``time`` (datetime64, UTC)
        and the two dimensions of the grid. dtypes are those of the source; integers stay integers.
        A band's nodata is declared in its attribute ``_FillValue``, what its integers mean in
        ``scale_factor`` and ``add_offset`` (``xarray.decode_cf(collection)`` decodes them). From
        STAC and GeoTIFFs there are coordinates along ``time``: ``id``, ``footprint`` (WKT,
        longitude and latitude), from STAC also ``platform``, ``cloud_cover`` (%) and `properties`,
        unless a band is called so.

    Raises
    ------
    FileNotFoundError
        There is nothing at the path.
    KeyError
        There is no such band, or no item has such a property.
    ValueError
        It is no collection; images differ in their grids, dtypes, nodata or scales; bands or times
        are missing in some of them. The message names the images and says what to write.
    TypeError
        Nothing can read such a source, or an argument belongs to another format.
    ModuleNotFoundError
        The reader's library is not installed; the message says which extra brings it.

    Warns
    -----
    UserWarning
        A band that looks like a quality declares a nodata value that is a legal score: Earth
        Search's band ``cloud`` declares 0, which is also "0 % cloud", so that the clearest pixels
        are masked. ``nodata={"cloud": None}`` makes data of them.
    UserWarning
        What Earth Search says of the packing of some items is known to be wrong at times; nothing
        tells the packing of Sentinel-2 items from before and after 25 January 2022.
    UserWarning
        A field of a STAC item about its grid cannot be right (``proj:code`` "EPSG:None"). The next
        field that is right is taken, else the header of the file.
    UserWarning
        A GeoTIFF has a mask or an alpha band, which is not read; images lie outside of the grid.

    Notes
    -----
    Order. Images from STAC and GeoTIFFs are in the order of their times, then of their ids or
    names; several NetCDF files in the order of their times, equal times in that of the list (for a
    folder or pattern: of the names). Images of a store or of a single file stay as they are. Ties
    between equally good pixels go by this order.

    Times of a calendar other than the usual one (years of 360 days, for instance) stay what xarray
    makes of them, cftime. ``collection.convert_calendar("standard", align_on="date")`` makes
    datetime64 of those days that the usual calendar has.

    Chunks are read whole. With one image a chunk a mosaic skips what cannot win; with all times in
    one chunk nothing can be skipped. Of STAC items and GeoTIFFs, more than 100 000 chunks for an
    image are refused.

    Grids. With `crs`, `resolution` or `bbox` the grid holds all images, or all of `bbox`, in whole
    pixels. Where images have the CRS and pixel size of the grid, its pixels lie where those of the
    most of them do, so that nothing but whole pixels moves; else edges lie at multiples of the
    pixel size. (STAC items are put at such multiples whenever `crs` and `resolution` are given.)

    Images that are brought onto another grid have the same pixels for every choice of
    chunks, each taken from where PROJ says, to a millionth of a pixel. That takes several times as
    long as GDAL's approximation. Exceptions are files with ground control points and, where STAC
    items do not tell their grid, the edges of images.

    Nodata. Where a band of integers declares none, or None was given, and images do not cover the
    grid, the highest value of an unsigned dtype (the lowest of a signed one) stands for "no image"
    and is declared; a pixel with that very value counts as masked. A band of integers that declares
    several nodata values is refused; ``mask_and_scale=True`` masks all of them.

    Packing. Images that differ in scale are refused, not rescaled. Where no STAC item says how a
    band is packed, all are taken to be packed alike. Collections that were opened one by one may be
    packed differently: ``xarray.concat(..., combine_attrs="no_conflicts")`` refuses to join such
    ones.

    GeoTIFFs without a CRS are refused. For files on the web set the environment variable
    ``GDAL_DISABLE_READDIR_ON_OPEN=EMPTY_DIR`` where they are read (on a cluster: on the workers);
    else GDAL looks for files beside each of them.

    STAC items. dtype, nodata and grid that an item does not tell are read from the headers of its
    files. What an allowed file refers to itself (a VRT, a redirect) is not checked by `allow`, nor
    are links between catalogs. A footprint that crosses the antimeridian in one piece, against the
    rule of GeoJSON, is taken to go around the globe the other way.

    Zarr stores on a plain web server, which cannot list what it has, need consolidated metadata:
    ``consolidated=True``.

    Examples
    --------
    >>> import numpy as np, xarray as xr, zarr, qmosaic as qm
    >>> store, days = {}, np.array(["2020-07-01", "2020-07-11"], "datetime64[ns]")
    >>> red = (("time", "y", "x"), np.uint16([[[1, 2]], [[3, 0]]]), {"_FillValue": 0})
    >>> _ = xr.Dataset({"red": red}, {"time": days}).to_zarr(store, consolidated=False)
    >>> collection = qm.open_collection(store)
    >>> collection["red"].dtype, int(collection["red"].attrs["_FillValue"])
    (dtype('uint16'), 0)

    What its integers mean can be said where the source does not say it:

    >>> packed = qm.open_collection(store, packing={"red": {"scale": 0.0001, "offset": -0.1}})
    >>> packed["red"].dtype, float(xr.decode_cf(packed)["red"][1, 0, 0].round(4))
    (dtype('uint16'), -0.0997)
    """
    request = make_request(bands, chunks, nodata, missing, packing, harmonize)
    given = {
        "groupby": groupby,
        "crs": crs,
        "resolution": resolution,
        "bbox": bbox,
        "geobox": geobox,
        "resampling": resampling,
        "time": time,
        "pattern": pattern,
        "properties": properties,
        "allow": allow,
        "group": group,
        "storage_options": storage_options,
    }
    return _opened(source, format, request, given, options)


def open_images(
    source: Any,
    *,
    bands: str | Sequence[str] | None = None,
    chunks: Mapping[Any, Any] | None = None,
    nodata: Nodata = None,
    missing: Missing = "raise",
    packing: Given = None,
    harmonize: Harmonize = "lossless",
    format: Format | None = None,
    **options: Any,
) -> xr.Dataset:
    """Open a source as `open_collection` does, with its arguments; one without times as an image.

    Returns
    -------
    xarray.Dataset
        A collection; or, where nothing tells a time (an elevation model in a GeoTIFF, a Zarr store
        without a dimension ``time``), the bands of a single image, without that dimension.
    """
    request = make_request(bands, chunks, nodata, missing, packing, harmonize)
    given = {n: v for n, v in options.items() if any(n in own for own in OWN.values())}
    others = {name: value for name, value in options.items() if name not in given}
    return without_time(_opened(source, format, replace(request, single=True), given, others))


def items_in(source: Any, format: Format | None = None) -> list[pystac.Item] | None:
    """Collect the items of a source; None where it is none of STAC."""
    found, place = _look(source, format)
    if found != "stac":
        return None
    from qmosaic.sources.stac.items import items_of

    return items_of(place)


def _opened(
    source: Any,
    format: Format | None,
    request: Request,
    given: Mapping[str, Any],
    options: Mapping[str, Any],
) -> xr.Dataset:
    """Find the reader, and let it read."""
    check_choice("missing", request.missing, get_args(Missing))
    if format is not None:
        check_choice("format", format, get_args(Format))
    if given.get("groupby") is not None:
        check_choice("groupby", given["groupby"], get_args(Groupby))
    found, place = _look(source, format)
    own = _own_arguments(found, given)
    if "geobox" in own:
        own["geobox"] = _grid_of(own["geobox"], found)
    return _reader(found)(place, request, **own, **options)


def _reader(found: Format) -> Callable[..., xr.Dataset]:
    """Give what opens a format; what few programs open is imported when it is opened."""
    if found == "stac":
        from qmosaic.sources.stac import open_stac

        return open_stac
    if found == "geotiff":
        from qmosaic.sources.geotiff import open_geotiffs

        return open_geotiffs
    return open_zarr if found == "zarr" else open_netcdf


def _own_arguments(found: Format, given: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the arguments that the reader knows; refuse the others by name."""
    used = {name: value for name, value in given.items() if value is not None}
    for name in used:
        if name not in OWN[found]:
            known = " and ".join(kind for kind, names in OWN.items() if name in names)
            raise TypeError(
                f"{name}= is for {known}, and the source was taken as {found}. Leave it out, or "
                "say with format=... what the source is."
            )
    return used


def _grid_of(given: Any, found: Format) -> Any:
    """Take a grid from an object of xarray that lies on one."""
    boxes = needed("odc.geo.geobox", found, "grids")  # the extra is called as the format
    if isinstance(given, xr.Dataset | xr.DataArray):
        needed("odc.geo.xr", found, "grids")  # registers .odc
        if given.odc.geobox is None:
            raise ValueError(
                "geobox= got an object of xarray without a CRS or regular coordinates, so it lies "
                "on no grid. Write given.odc.assign_crs(...), or make an odc.geo.geobox.GeoBox."
            )
        return given.odc.geobox
    if not isinstance(given, boxes.GeoBox):
        raise TypeError(
            f"geobox={given!r:.80} ({type(given).__name__}) is no grid. Give a GeoBox of "
            "odc.geo.geobox, or an object of xarray that lies on one."
        )
    return given


# ---------------------------------------------------------------------------------------------
# What a source is
# ---------------------------------------------------------------------------------------------


def _look(source: Any, format: Format | None) -> tuple[Format, Any]:
    """Tell the format of a source, and give it as its reader wants it."""
    if isinstance(source, xr.Dataset | xr.DataArray):
        raise TypeError(
            "open_collection() got an object of xarray, which is open already: use it as it is, "
            "with its images along 'time'."
        )
    if isinstance(source, os.PathLike):
        source = os.fspath(source)
    if isinstance(source, Iterable) and not isinstance(source, str | Mapping | Sequence | Store):
        known = _is_store(source) or _is_stac(source)
        source = source if known else list(source)
    if isinstance(source, str):
        return _look_at_path(source, format)
    if format == "zarr" or (format is None and _is_store(source)):
        return "zarr", source
    if format == "stac" or (format is None and _is_stac(source)):
        return "stac", source
    if isinstance(source, Sequence) and source and all(_is_path(entry) for entry in source):
        return _look_at_paths([os.fspath(entry) for entry in source], format)
    if isinstance(source, Sequence) and not source:
        raise ValueError("the source is an empty list; give one file or item at least.")
    raise TypeError(
        f"a {type(source).__module__}.{type(source).__name__} is nothing that images can be opened "
        "from. Give a path or URL, a store of zarr, STAC items, or a list of files."
    )


def _is_path(entry: Any) -> bool:
    return isinstance(entry, str | os.PathLike)


def _is_store(source: Any) -> bool:
    if isinstance(source, Mapping):
        return isinstance(source, MutableMapping) and "type" not in source
    known = type(source).__module__.split(".")[0] in ("zarr", "obstore", "icechunk", "fsspec")
    return known or isinstance(source, Store)


def _is_stac(source: Any) -> bool:
    if isinstance(source, Mapping):
        return source.get("type") in ("FeatureCollection", "Feature")
    if isinstance(source, Sequence) and len(source):
        return not _is_path(source[0]) and _is_stac(source[0])
    return type(source).__module__.split(".")[0] in ("pystac", "pystac_client")


def _look_at_path(path: str, format: Format | None) -> tuple[Format, Any]:
    if not path:
        raise FileNotFoundError("the source is an empty text; give a path or a URL.")
    if "://" not in path and not path.startswith("/vsi"):
        path = str(Path(path).expanduser())
        if glob.has_magic(path) and not os.path.exists(path):
            return _look_at_paths(_expanded(path), format)
        if os.path.isdir(path):
            return _look_at_folder(path, format)
        if not os.path.exists(path):
            raise FileNotFoundError(f"there is nothing at {path!r}. Check the path.")
    found = format or SUFFIXES.get(_suffix(path))
    if found is None:
        raise ValueError(
            f"nothing tells what {path!r} is: its suffix {_suffix(path)!r} is none of "
            f"{', '.join(SUFFIXES)}. Say it with format='zarr', 'netcdf', 'stac' or 'geotiff'."
        )
    return found, path if found in ("zarr", "stac") else [path]


def _suffix(path: str) -> str:
    return PurePosixPath(path.split("?")[0].rstrip("/")).suffix.lower()


def _expanded(pattern: str) -> list[str]:
    found = sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise FileNotFoundError(f"no file matches {pattern!r}. Check the pattern.")
    return found


def _look_at_folder(path: str, format: Format | None) -> tuple[Format, Any]:
    names = ("zarr.json", ".zgroup", ".zmetadata", ".zarray")
    if format == "zarr" or any(os.path.exists(os.path.join(path, name)) for name in names):
        return "zarr", path
    found_files = (file for file in Path(path).rglob("*") if file.is_file())
    files = sorted(str(file) for file in found_files if not file.name.startswith("."))
    by_format: dict[Format, list[str]] = {}
    for file in files:
        kind = SUFFIXES.get(_suffix(file))
        if kind in ("netcdf", "geotiff") and format in (None, kind):
            by_format.setdefault(kind, []).append(file)
    if len(by_format) != 1:
        found = ", ".join(f"{len(v)} of {k}" for k, v in by_format.items()) or "none of either"
        raise ValueError(
            f"the folder {path!r} is no Zarr store, and has to hold either NetCDF files or "
            f"GeoTIFFs; it has {found}. Say format=..., or give a pattern such as "
            f"{os.path.join(path, '*.tif')!r}."
        )
    ((kind, chosen),) = by_format.items()
    return kind, chosen


def _look_at_paths(paths: list[str], format: Format | None) -> tuple[Format, Any]:
    kinds = {format or SUFFIXES.get(_suffix(path)) for path in paths}
    if len(kinds) > 1 or None in kinds:
        raise ValueError(
            f"the files are not of one known kind: their suffixes are "
            f"{', '.join(sorted({_suffix(path) for path in paths}))}. Give files of one kind "
            "(.tif, .nc), or say format=..."
        )
    kind = kinds.pop()
    if kind == "zarr":
        if len(paths) > 1:
            raise ValueError(
                "several Zarr stores were given; open each and join them: "
                "xr.concat([qm.open_collection(path) for path in paths], 'time', "
                "combine_attrs='no_conflicts'), which refuses stores that are packed differently."
            )
        return "zarr", paths[0]
    assert kind is not None
    return kind, paths

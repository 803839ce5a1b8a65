"""The door to collections: it looks at what a source is and calls the right reader."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, get_args

import xarray as xr
from zarr.abc.store import Store

from qmosaic.collection.model import check_choice
from qmosaic.optional import needed
from qmosaic.sources.from_arrays import open_netcdf, open_zarr
from qmosaic.sources.geotiff import Time, open_geotiffs
from qmosaic.sources.packing import Given, Harmonize
from qmosaic.sources.request import Missing, Nodata, make_request
from qmosaic.sources.stac import Allow, open_stac

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

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
    "stac": {"groupby", "crs", "resolution", "bbox", "geobox", "resampling", "allow"},
    "geotiff": {"geobox", "resampling", "time", "pattern"},
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
    allow: Allow = None,
    group: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> xr.Dataset:
    r"""Open images as a collection: a Dataset with a dimension ``time``, read lazily.

    Parameters
    ----------
    source : str, Path, store, pystac object, mapping or sequence
        One of

        - a Zarr store (format 2 or 3, consolidated or not): a path, a URL, a store of zarr,
          obstore or Icechunk, a group;
        - a NetCDF file, or several with other times or other bands: a path, a list, a folder, a
          pattern such as ``"data/*.nc"``;
        - STAC items: the path or URL of an ItemCollection, a pystac ItemCollection or Catalog, a
          search of pystac-client, a list of items, GeoJSON (extra ``stac``);
        - GeoTIFFs (and JPEG 2000, VRT), one file an image or one file an image and band: a
          folder, a list of paths or URLs, a pattern (extra ``geotiff``).
    bands : str or sequence of str, optional
        The bands to open, in this order; by default all. For STAC also other names that items
        have for them, the common ones (``"red"``) for instance; of an asset with several bands its
        name stands for all, and ``"image.2"`` for the second.
    chunks : mapping, optional
        Sizes of chunks by dimension. By default those of the source: the chunks of a store, for
        GeoTIFFs whole tiles up to 2048 pixels, for STAC 2048 pixels; one image a chunk.
    nodata : number or mapping of band to number or None, optional
        What is masked, in place of what bands declare; ``"*"`` stands for all other bands. None in
        a mapping: every value of that band is data; where an image does not cover the grid, an
        integer band then gets the highest value of its dtype (the lowest, if signed) and declares
        that.
    missing : {"raise", "mask"}, default: "raise"
        What happens where some images lack a band: an error, or it is masked there.
    packing : mapping of band to mapping, or callable, optional
        What integers mean (``integer * scale + offset``), in place of what the source says:
        ``{"B04": {"scale": 0.0001, "offset": -0.1}}``; None for a band whose integers are what
        they mean, ``"*"`` for all other bands, scale or offset alone to keep the other. Where
        images differ, a function that is called with each STAC item, or the path of each file, and
        gives such a mapping, or None.
    harmonize : {"lossless", "wider", "earth_engine"}, default: "lossless"
        The packing that all images are brought to, where they differ by an offset. "lossless": the
        lowest offset there is (Sentinel-2 before baseline 04.00 gets 1000 more), an error while
        reading where an integer has no place in the dtype; "wider": the same, in integers of twice
        the size; "earth_engine": offset 0, as in Earth Engine's harmonized collections; what falls
        below the lowest valid integer becomes that. Nodata stays nodata in each.
    format : {"zarr", "netcdf", "stac", "geotiff"}, optional
        What the source is; by default told by its type, suffix or content.
    groupby : {"item", "solar_day"}, default: "item"
        STAC: one image an item, or one a day (local solar time; of overlapping items the first in
        time is on top, and its time, in UTC, is that of the image).
    crs : any CRS, optional
        STAC: the CRS of the grid; by default that of the items, if they have one.
    resolution : float or (float, float), optional
        STAC: the pixel size (down, across), in the unit of `crs`; by default that of the
        items' finest band.
    bbox : (west, south, east, north), optional
        STAC: what to open, in degrees; items that do not touch it are left out.
    geobox : odc.geo GeoBox, or Dataset or DataArray on a grid, optional
        STAC and GeoTIFF: the whole grid; for GeoTIFFs by default that of the first
        image, of its finest band.
    resampling : str or mapping of band to str, optional
        STAC and GeoTIFF: "nearest", "bilinear", "cubic", "average" ...; in a mapping ``"*"`` stands
        for all other bands. Nearest by default; GeoTIFFs on different grids are refused without it.
        Pixels are where PROJ says, to a millionth of a pixel, and do not depend on chunks.
    time : str or callable, optional
        GeoTIFF: the name of the tag that tells when an image was taken, or a function of a file's
        path (a text). By default the tag ``ACQUISITIONDATETIME``, else the first date in the name,
        else TIFF's own DateTime.
    pattern : str, optional
        GeoTIFF: a regular expression that is searched in the path of each file (below the folder
        that they share), with groups named ``time`` (ISO 8601: a date or a day of the year such as
        2020183, perhaps with a clock), ``band`` (one file an image and band) and
        ``id`` (what tells images of one time apart, and what the files of one image have in
        common; by default the rest of the name).
    allow : str, sequence of str or callable, optional
        STAC: which files may be opened, where items come from someone whom you do not trust: the
        beginnings of their addresses (``["https://example.org/data/", "/data/"]``), or a function
        that is given an address, as the item has it, and tells whether it may. By default all,
        files of this machine included. What an allowed file refers to itself (a VRT, a redirect)
        is not looked at.
    group : str, optional
        Zarr and NetCDF: the group in the store or file.
    storage_options : mapping, optional
        Zarr: for URLs, what `fsspec` needs.
    **options
        Passed on to the reader: ``xarray.open_dataset``, ``odc.stac.load`` or
        ``rioxarray.open_rasterio``.

    Returns
    -------
    xarray.Dataset
        The collection: bands along ``time`` (datetime64, UTC; times of another calendar than ours,
        of 360 days for instance, stay what xarray makes of them, cftime, and
        ``collection.convert_calendar("standard", align_on="date")`` makes datetime64 of those that
        ours has) and the map, backed by dask. Integers stay integers; nodata is declared in the
        attribute ``_FillValue``, what they mean in ``scale_factor`` and ``add_offset``
        (``xarray.decode_cf(collection)`` decodes them). Images from STAC and GeoTIFFs are in the
        order of their times (then of their ids or names: what ties go by) and have coordinates
        along time: ``id``, ``footprint`` (WKT, longitude and latitude), from STAC also ``platform``
        and ``cloud_cover`` (%), unless a band is called so. Several NetCDF files are in the order
        of their times, equal times in that of the list (of their names, for a folder or pattern).
        Images of a store or a single file stay as they are.

    Raises
    ------
    FileNotFoundError
        There is nothing at the path.
    KeyError
        There is no such band.
    ValueError
        It is no collection, images do not fit together, bands are missing in some, or times
        are, or images cannot be brought to one packing; the message says which and what to write.
    TypeError
        Nothing can read such a source, or an argument belongs to another format.
    ModuleNotFoundError
        The reader's library is not installed; the message says which extra brings it.

    Warns
    -----
    UserWarning
        A band that looks like a quality declares a nodata that is a legal score: Earth Search's
        ``cloud`` says 0, which is also "0 % cloud", so that the clearest pixels would be masked.
    UserWarning
        What Earth Search says of the packing of some items is known to be wrong at times; nothing
        tells the packing of Sentinel-2 items from before and after 25 January 2022.
    UserWarning
        A STAC item says something of its grid that cannot be: ``proj:code`` "EPSG:None" beside a
        right ``proj:wkt2``. The next field that is right holds, else the header of the file.

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
    check_choice("missing", missing, get_args(Missing))
    if format is not None:
        check_choice("format", format, get_args(Format))
    if groupby is not None:
        check_choice("groupby", groupby, get_args(Groupby))
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
        "allow": allow,
        "group": group,
        "storage_options": storage_options,
    }
    found, place = _look(source, format)
    own = _own_arguments(found, given)
    if "geobox" in own:
        own["geobox"] = _grid_of(geobox, found)
    readers: dict[Format, Callable[..., xr.Dataset]] = {
        "zarr": open_zarr,
        "netcdf": open_netcdf,
        "stac": open_stac,
        "geotiff": open_geotiffs,
    }
    return readers[found](place, request, **own, **options)


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

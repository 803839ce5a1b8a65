"""What the headers of files say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qmosaic.optional import needed
from qmosaic.sources.geotiff.files import File
from qmosaic.sources.headers import listing_nothing
from qmosaic.sources.request import check_unique


def header_of(path: str, name: str) -> File:
    rasterio = needed("rasterio", "geotiff", "GeoTIFFs")
    try:
        with listing_nothing(path), rasterio.open(path) as file:
            return _read(file, path, name)
    except rasterio.errors.RasterioIOError as error:
        local = "://" not in path and not path.startswith("/vsi")
        kind = FileNotFoundError if local and not Path(path).exists() else ValueError
        raise kind(
            f"{path!r} cannot be opened as a GeoTIFF ({error}). Check the path, or say what it is "
            "with format=..."
        ) from error


def _read(file: Any, path: str, name: str) -> File:
    grids = needed("odc.geo.converters", "geotiff", "GeoTIFFs")
    flags = needed("rasterio.enums", "geotiff", "GeoTIFFs").MaskFlags
    _check_place(file, path)
    names = tuple(text or f"band_{i}" for i, text in enumerate(file.descriptions, start=1))
    check_unique(names, f"the file {path!r} has")
    return File(
        path=path,
        name=name,
        grid=grids.rio_geobox(file),
        bands=names,
        dtypes=tuple(file.dtypes),
        nodata=tuple(file.nodatavals),
        packing=tuple(zip(file.scales, file.offsets, strict=True)),
        tile=file.block_shapes[0],
        tags={**file.tags(ns="IMAGERY"), **file.tags()},
        masked=any(flags.per_dataset in band for band in file.mask_flag_enums),
    )


def _check_place(file: Any, path: str) -> None:
    """Refuse a file whose pixels have no place on a map, and say what it lacks."""
    points, of_points = file.gcps
    warp = f"gdalwarp -t_srs EPSG:32633 {path} on_a_grid.tif"
    if file.crs is None and points:
        raise ValueError(
            f"the file {path!r} has {len(points)} ground control points "
            f"({of_points or 'of no CRS'}) in place of a CRS and a transform: its rows and columns "
            f"are those of no map. Bring it onto one first, for instance with {warp} (-tps to pass "
            "through all points)."
        )
    if file.crs is None and file.rpcs is not None:
        raise ValueError(
            f"the file {path!r} has rational polynomials (RPC) in place of a CRS and a transform: "
            "its rows and columns are those of no map. Bring it onto one first, for instance with "
            f"{warp} -rpc (-to RPC_DEM=... for the heights)."
        )
    if file.crs is None:
        raise ValueError(
            f"the file {path!r} has no CRS, so its pixels have no place. Give it one, for "
            "instance with gdal_edit.py -a_srs EPSG:32633."
        )
    if file.transform.is_identity:
        raise ValueError(
            f"the file {path!r} has a CRS, but no transform: nothing tells where its pixels are. "
            "Give it one, for instance with gdal_edit.py -a_ullr left top right bottom."
        )

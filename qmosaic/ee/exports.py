"""``ee.Export``: images as GeoTIFFs and as assets, tables, and what is not exported."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.location import map_dims
from qmosaic.collection.requests import on_grid_of
from qmosaic.ee.calls import as_called, check_description, check_free, free_path, target
from qmosaic.ee.catalog import register
from qmosaic.ee.folders import file_at, replaces
from qmosaic.ee.geometries import Geometry
from qmosaic.ee.images import Image
from qmosaic.ee.projections import grid_of
from qmosaic.ee.tables import TableExports
from qmosaic.ee.tasks import Task
from qmosaic.ee.unsupported import Hinting
from qmosaic.ee.values import known
from qmosaic.sink import to_cog, to_zarr

PYRAMIDS = {"mean": "average", "mode": "mode", "sample": "nearest"}
"""How Earth Engine makes overviews, and what `qmosaic.to_zarr` calls it."""

IMAGE, TASK = "Export.image", "myExportImageTask"


class ImageExports(Hinting):
    """Exports of images. `start` of the task that they give computes and writes.

    The image is cut to the bounding box of `region`; what lies in the box and outside the region is
    written too (``image.clip(region)`` masks it), as in Earth Engine,
    https://developers.google.com/earth-engine/apidocs/ee-image-cliptoboundsandscale. Without
    `scale` and `crs` the pixels are those of the image, else taken from it by nearest neighbour.
    Arguments come in Earth Engine's order, by name, or as one dict. Those that cut the work of a
    server into pieces (`maxPixels`, `shardSize`, `fileDimensions`, `skipEmptyTiles`, `priority`)
    are taken and do nothing.

    Examples
    --------
    >>> import tempfile, numpy as np, xarray as xr, odc.geo.xr
    >>> from pathlib import Path
    >>> from qmosaic import ee
    >>> places = {"y": [105.0, 95.0], "x": [5.0, 15.0]}
    >>> red = xr.DataArray(np.ones((2, 2)), places, ("y", "x"), name="red")
    >>> image = ee.Image(red.odc.assign_crs("EPSG:32633"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ee.export_to(folder)
    ...     task = ee.batch.Export.image.toDrive(image=image, description="best", scale=10)
    ...     task.start()
    ...     print(task.status()["state"], [path.name for path in Path(folder).iterdir()])
    ...     ee.export_to(None)
    COMPLETED ['best.tif']
    """

    _name = "ee.Export.image"

    @staticmethod
    @as_called(f"{IMAGE}.toDrive()")
    def toDrive(
        image: Any,
        description: str = TASK,
        folder: Any = None,
        fileNamePrefix: Any = None,
        dimensions: Any = None,
        region: Any = None,
        scale: Any = None,
        crs: Any = None,
        crsTransform: Any = None,
        maxPixels: Any = None,
        shardSize: Any = None,
        fileDimensions: Any = None,
        skipEmptyTiles: Any = None,
        fileFormat: Any = None,
        formatOptions: Any = None,
        priority: Any = None,
    ) -> Task:
        """Write a Cloud Optimized GeoTIFF, ``FOLDER/PREFIX.tif``, see `ee.export_to`.

        The prefix is the description by default. Where the file is there already, another one is
        written, ``PREFIX (1).tif``, and a warning names it. Bands of another dtype or nodata than
        most have go into files of their own, see `qmosaic.to_cog`.
        https://developers.google.com/earth-engine/apidocs/export-image-todrive
        """
        caller = f"{IMAGE}.toDrive()"
        grid = {"scale": scale, "crs": crs, "crsTransform": crsTransform, "dimensions": dimensions}
        path = target(folder, fileNamePrefix, check_description(description, caller), ".tif")
        return _to_file(image, description, path, region, grid, fileFormat, formatOptions, caller)

    @staticmethod
    @as_called(f"{IMAGE}.toCloudStorage()")
    def toCloudStorage(
        image: Any,
        description: str = TASK,
        bucket: Any = None,
        fileNamePrefix: Any = None,
        dimensions: Any = None,
        region: Any = None,
        scale: Any = None,
        crs: Any = None,
        crsTransform: Any = None,
        maxPixels: Any = None,
        shardSize: Any = None,
        fileDimensions: Any = None,
        skipEmptyTiles: Any = None,
        fileFormat: Any = None,
        formatOptions: Any = None,
        priority: Any = None,
    ) -> Task:
        """Write a Cloud Optimized GeoTIFF on this machine, ``BUCKET/PREFIX.tif``; as `toDrive`.

        https://developers.google.com/earth-engine/apidocs/export-image-tocloudstorage
        """
        caller = f"{IMAGE}.toCloudStorage()"
        grid = {"scale": scale, "crs": crs, "crsTransform": crsTransform, "dimensions": dimensions}
        path = target(bucket, fileNamePrefix, check_description(description, caller), ".tif")
        return _to_file(image, description, path, region, grid, fileFormat, formatOptions, caller)

    @staticmethod
    @as_called(f"{IMAGE}.toAsset()")
    def toAsset(
        image: Any,
        description: str = TASK,
        assetId: Any = None,
        pyramidingPolicy: Any = None,
        dimensions: Any = None,
        region: Any = None,
        scale: Any = None,
        crs: Any = None,
        crsTransform: Any = None,
        maxPixels: Any = None,
        shardSize: Any = None,
        priority: Any = None,
        overwrite: bool = False,
    ) -> Task:
        """Write a Zarr store with overviews, ``ASSET_ID.zarr``; ``ee.Image(assetId)`` opens it.

        `pyramidingPolicy` says how overviews are made: "mean", "mode" or "sample", by band, for all
        others by ``".default"``. https://developers.google.com/earth-engine/apidocs/export-image-toasset
        """
        caller = f"{IMAGE}.toAsset()"
        check_description(description, caller)
        asset_id = description if assetId is None else str(assetId)
        path = file_at(None, asset_id, ".zarr")
        grid = {"scale": scale, "crs": crs, "crsTransform": crsTransform, "dimensions": dimensions}
        dataset = _requested(image, region, grid, caller)
        policy = _policy(pyramidingPolicy, dataset, caller)

        def write() -> list[Path]:
            if not overwrite:
                check_free(path, caller)
            path.parent.mkdir(parents=True, exist_ok=True)
            to_zarr(dataset, path, mode="w", levels="auto", overview_resampling=policy)
            register(asset_id, path)
            return [path]

        return Task(description, Task.Type.EXPORT_IMAGE, write)

    def __new__(  # type: ignore[misc]
        cls, image: Any, description: str = TASK, config: Mapping[str, Any] | None = None
    ) -> Task:
        """Export as ``ee.batch.Export.image(image, description, config)`` did years ago."""
        options = dict(config or {})
        cloud = "outputBucket" in options
        return (cls.toCloudStorage if cloud else cls.toDrive)(image, description, **options)


class _Nothing:
    """What is not exported; each method of it is an error that says what to use."""

    def __init__(self, name: str, instead: str) -> None:
        self._name, self._instead = name, instead

    def __repr__(self) -> str:
        return f"{self._name}, which is not supported by qmosaic.ee: use {self._instead}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"{self._name}.{name} is not supported by qmosaic.ee. Use {self._instead}."
        )


class Export(Hinting):
    """Exports of images and tables: ``Export.image.toDrive``, ``Export.table.toDrive`` and others.

    Examples
    --------
    >>> from qmosaic import ee
    >>> [name for name in dir(ee.Export.image) if name.startswith("to")]
    ['toAsset', 'toCloudStorage', 'toDrive']
    >>> [name for name in dir(ee.Export.table) if name.startswith("to")]
    ['toAsset', 'toCloudStorage', 'toDrive']
    """

    _name = "ee.Export"
    image = ImageExports
    table = TableExports
    video = _Nothing("ee.Export.video", "qmosaic.quicklook(image.dataset, path) for each image")
    map = _Nothing(
        "ee.Export.map",
        "qmosaic.display.Map: add_layer(image) and save('map.html'), which has tiles in it",
    )


def _to_file(
    image: Any,
    description: str,
    path: Path,
    region: Any,
    grid: dict[str, Any],
    file_format: Any,
    options: Any,
    caller: str,
) -> Task:
    if file_format not in (None, "GeoTIFF", "GEO_TIFF"):
        raise ValueError(
            f"{caller} got fileFormat={file_format!r}; images are written as GeoTIFF. Leave it "
            "out. (For machine learning, read the pixels as arrays, image.dataset, or write Zarr, "
            "qmosaic.to_zarr(image.dataset, 'image.zarr').)"
        )
    nodata = _nodata(options, caller)
    dataset = _requested(image, region, grid, caller)

    def write() -> list[Path]:
        path.parent.mkdir(parents=True, exist_ok=True)
        return to_cog(dataset, free_path(path, caller), overwrite=replaces(), nodata=nodata)

    return Task(description, Task.Type.EXPORT_IMAGE, write)


def _nodata(options: Any, caller: str) -> Any:
    """Read the options of a GeoTIFF: what stands for masked. That it is cloud-optimized is sure."""
    given = dict(options or {})
    nodata = given.pop("noData", None)
    given.pop("cloudOptimized", None)
    if given:
        raise ValueError(
            f"{caller} got formatOptions={options!r}; of a GeoTIFF they are cloudOptimized and "
            "noData. Leave the others out."
        )
    return nodata


def _policy(given: Any, dataset: xr.Dataset, caller: str) -> dict[Any, str]:
    """Take Earth Engine's way of making overviews as that of `qmosaic.to_zarr`."""
    if given is None:
        return {}
    listed = {".default": given} if isinstance(given, str) else dict(given)
    found: dict[Any, str] = {}
    for band, name in listed.items():
        if name not in PYRAMIDS:
            raise ValueError(
                f"{caller} got pyramidingPolicy={given!r}; overviews are made by "
                f"{', '.join(map(repr, PYRAMIDS))}. Write {{'.default': 'mean', 'class': 'mode'}}."
            )
        if band != ".default" and band not in dataset.data_vars:
            raise ValueError(
                f"{caller} got pyramidingPolicy={given!r}, and the image has no band {band!r}; it "
                f"has {', '.join(map(repr, dataset.data_vars))}. Correct the name."
            )
        found["*" if band == ".default" else band] = PYRAMIDS[name]
    return found


# -- what is written -----------------------------------------------------------------------------


def _requested(image: Any, region: Any, grid: dict[str, Any], caller: str) -> xr.Dataset:
    """Give an image on the grid that is asked for; its numbers stay those that are stored."""
    if not isinstance(image, Image) and hasattr(image, "on"):  # a constant that was clipped
        image.dataset  # noqa: B018  (an error that says what to do)
    if not isinstance(image, Image):
        raise TypeError(
            f"{caller} got a {type(image).__name__}; it exports an ee.Image. Of a collection make "
            "one first: collection.qualityMosaic(...), median(), first() ..."
        )
    dataset = image.dataset
    image._check_bands(caller)
    if image._is_constant():
        raise ValueError(
            f"{caller} got a constant, which has no pixels. Combine it with an image first: "
            "image.multiply(0).add(constant)."
        )
    if "time" in dataset.dims:
        raise ValueError(
            f"{caller} was called inside map(), where the image stands for all images. Export them "
            "in a loop of Python: for i in range(n): ... ee.Image(collection.toList(n).get(i))."
        )
    asked = grid_of(grid["crs"], grid["crsTransform"], grid["scale"], caller)
    sizes = _dimensions(grid["dimensions"], caller)
    return on_grid_of(
        _whole(dataset), _region(region, caller), caller=caller, dimensions=sizes, **asked
    )


def _whole(dataset: xr.Dataset) -> xr.Dataset:
    """Lay bands that are constants on the grid of the others."""
    dims = map_dims(dataset)
    full = next(v for v in dataset.data_vars.values() if set(dims) <= set(v.dims))
    made: dict[Hashable, xr.Variable] = {}
    for name, band in dataset.data_vars.items():
        if not band.dims:
            chunks = full.chunks if full.chunks is not None else "auto"
            data = da.broadcast_to(da.asarray(band.data), full.shape, chunks=chunks)
            made[name] = xr.Variable(full.dims, data, band.attrs)
    return dataset.assign(made) if made else dataset


def _dimensions(given: Any, caller: str) -> Any:
    if not isinstance(given, str):
        return given
    try:
        sizes = [int(part) for part in given.lower().split("x")]
    except ValueError:
        sizes = []
    if len(sizes) not in (1, 2):
        raise ValueError(
            f"{caller} got dimensions={given!r}; write '1024x768', across and down, or 1024 for "
            "the longer side."
        )
    return sizes[0] if len(sizes) == 1 else tuple(sizes)


def _region(given: Any, caller: str) -> Any:
    """Take a region: a geometry, features, or coordinates in nested lists or as a text."""
    if callable(getattr(given, "geometry", None)):  # features, images, collections
        given = known(given.geometry(), caller)
    if isinstance(given, str) and given.lstrip().startswith(("[", "{")):
        given = json.loads(given)
    if not isinstance(given, list | tuple):
        return given
    try:
        points = np.asarray(_flat(given), float).reshape(-1, 2)
    except (TypeError, ValueError):
        points = np.empty((0, 2))
    if not len(points):
        raise ValueError(
            f"{caller} got region={given!r:.80}, which is no list of points. Write a geometry, "
            "ee.Geometry.Rectangle([west, south, east, north]), or [[lon, lat], [lon, lat], ...]."
        )
    kind = "Polygon" if len(points) > 2 else "MultiPoint"  # of two corners the box counts
    return Geometry({"type": kind, "coordinates": [points] if kind == "Polygon" else points})


def _flat(given: Any) -> list[Any]:
    return [n for one in given for n in _flat(one)] if isinstance(given, list | tuple) else [given]

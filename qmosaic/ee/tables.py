"""Exports of tables: features as CSV, GeoJSON, KML and shapefiles."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qmosaic.collection.geometry import LON_LAT
from qmosaic.ee.calls import as_called, check_description, check_free, free_path, target
from qmosaic.ee.folders import file_at
from qmosaic.ee.tasks import Task
from qmosaic.ee.unsupported import Hinting

TABLE, TASK = "Export.table", "myExportTableTask"

DRIVERS = {"GeoJSON": "GeoJSON", "KML": "KML", "SHP": "ESRI Shapefile"}
"""Formats, and what GDAL calls them."""

ENDINGS = {"CSV": ".csv", "GeoJSON": ".geojson", "KML": ".kml", "SHP": ".shp"}


class TableExports(Hinting):
    """Exports of features: geopandas writes them.

    Examples
    --------
    >>> import tempfile, geopandas, shapely
    >>> from pathlib import Path
    >>> from qmosaic import ee
    >>> fields = geopandas.GeoDataFrame({"ndvi": [0.5]}, geometry=[shapely.Point(1, 2)], crs=4326)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ee.export_to(folder)
    ...     ee.batch.Export.table.toDrive(fields, "fields").start()
    ...     print((Path(folder) / "fields.csv").read_text().splitlines())
    ...     ee.export_to(None)
    ['system:index,ndvi,.geo', '0,0.5,"{""type"": ""Point"", ""coordinates"": [1.0, 2.0]}"']
    """

    _name = "ee.Export.table"

    @staticmethod
    @as_called(f"{TABLE}.toDrive()")
    def toDrive(
        collection: Any,
        description: str = TASK,
        folder: Any = None,
        fileNamePrefix: Any = None,
        fileFormat: Any = None,
        selectors: Any = None,
        maxVertices: Any = None,
        priority: Any = None,
    ) -> Task:
        """Write a file, ``FOLDER/PREFIX.csv``; or "GeoJSON", "KML", "SHP" by `fileFormat`.

        Where the file is there already, another one is written, ``PREFIX (1).csv``.
        `selectors` are the properties to write, as a list or a text with commas; all by default.
        https://developers.google.com/earth-engine/apidocs/export-table-todrive
        """
        caller = f"{TABLE}.toDrive()"
        return _to_file(
            collection, description, folder, fileNamePrefix, fileFormat, selectors, caller
        )

    @staticmethod
    @as_called(f"{TABLE}.toCloudStorage()")
    def toCloudStorage(
        collection: Any,
        description: str = TASK,
        bucket: Any = None,
        fileNamePrefix: Any = None,
        fileFormat: Any = None,
        selectors: Any = None,
        maxVertices: Any = None,
        priority: Any = None,
    ) -> Task:
        """Write a file on this machine, ``BUCKET/PREFIX.csv``; as `toDrive`."""
        caller = f"{TABLE}.toCloudStorage()"
        return _to_file(
            collection, description, bucket, fileNamePrefix, fileFormat, selectors, caller
        )

    @staticmethod
    @as_called(f"{TABLE}.toAsset()")
    def toAsset(
        collection: Any,
        description: str = TASK,
        assetId: Any = None,
        maxVertices: Any = None,
        priority: Any = None,
        overwrite: bool = False,
    ) -> Task:
        """Write GeoJSON, ``ASSET_ID.geojson``, which ``ee.FeatureCollection(assetId)`` opens."""
        caller = f"{TABLE}.toAsset()"
        check_description(description, caller)
        path = file_at(None, description if assetId is None else str(assetId), ".geojson")
        return _task(collection, description, path, "GeoJSON", None, caller, overwrite)

    def __new__(  # type: ignore[misc]
        cls, collection: Any, description: str = TASK, config: Any = None
    ) -> Task:
        """Export as ``ee.batch.Export.table(collection, description, config)`` did years ago."""
        options = dict(config or {})
        cloud = "outputBucket" in options
        return (cls.toCloudStorage if cloud else cls.toDrive)(collection, description, **options)


def _to_file(
    collection: Any,
    description: Any,
    folder: Any,
    prefix: Any,
    file_format: Any,
    selectors: Any,
    caller: str,
) -> Task:
    known = {name.lower(): name for name in ENDINGS}
    form = known.get(str(file_format or "CSV").lower())
    if form is None:
        raise ValueError(
            f"{caller} got fileFormat={file_format!r}; tables are written as "
            f"{', '.join(ENDINGS)}. Choose one of them; geopandas writes others: "
            "collection.geodataframe.to_file(path, driver=...)."
        )
    path = target(folder, prefix, check_description(description, caller), ENDINGS[form])
    return _task(collection, description, path, form, selectors, caller)


def _task(
    collection: Any,
    description: str,
    path: Path,
    form: str,
    selectors: Any,
    caller: str,
    overwrite: bool | None = None,
) -> Task:
    """Make the task; `overwrite` is said of assets alone, other files get a number."""
    _check(collection, caller)
    names = [n.strip() for n in selectors.split(",")] if isinstance(selectors, str) else selectors

    def write() -> list[Path]:
        if overwrite is False:
            check_free(path, caller)
        frame = _selected(_frame(collection), names, caller)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = free_path(path, caller) if overwrite is None else path
        return _placed(file, lambda made: _write(frame, made, form))

    return Task(description, Task.Type.EXPORT_TABLE, write)


def _check(collection: Any, caller: str) -> None:
    if not hasattr(collection, "geodataframe") and not hasattr(collection, "to_file"):
        raise TypeError(
            f"{caller} got a {type(collection).__name__}; it exports an ee.FeatureCollection or a "
            "GeoDataFrame. Of numbers make one first: ee.FeatureCollection([ee.Feature(None, "
            "{'ndvi': number})]); of an image, image.reduceRegions(...)."
        )


def _frame(collection: Any) -> Any:
    """Give the features as a GeoDataFrame, in longitude and latitude."""
    frame = getattr(collection, "geodataframe", collection)
    frame = frame() if callable(frame) else frame
    return frame if frame.crs is None else frame.to_crs(LON_LAT)


def _selected(frame: Any, names: Any, caller: str) -> Any:
    if names is None:
        return frame
    lacking = [name for name in names if name not in (*frame.columns, "system:index", ".geo")]
    if lacking:
        raise KeyError(
            f"{caller} got selectors={names!r}, and no feature has {lacking[0]!r}; they have "
            f"{', '.join(map(repr, frame.columns.drop(frame.geometry.name)))}. Correct the name."
        )
    chosen = [name for name in names if name in frame.columns]
    whole = frame[[*dict.fromkeys([*chosen, frame.geometry.name])]]
    whole.attrs["selectors"] = list(names)
    return whole


def _write(frame: Any, path: Path, form: str) -> None:
    if form == "CSV":
        _table(frame).to_csv(path, index=False)
    else:
        # in KML pyogrio before 0.8 takes the latitude of EPSG:4326 first
        named = frame.to_crs("OGC:CRS84") if form == "KML" and frame.crs is not None else frame
        named.to_file(path, driver=DRIVERS[form])


def _table(frame: Any) -> Any:
    """Give features as Earth Engine's CSV has them: ids, properties, geometries as GeoJSON."""
    geometry = frame.geometry.name
    table = frame.drop(columns=geometry)
    if "system:index" not in table:
        table.insert(0, "system:index", frame.index)
    shapes = [None if g is None or g.is_empty else g.__geo_interface__ for g in frame.geometry]
    table[".geo"] = ["" if shape is None else json.dumps(shape) for shape in shapes]
    return table[frame.attrs.get("selectors", list(table.columns))]


def _placed(path: Path, write: Callable[[Path], None]) -> list[Path]:
    """Write beside a path, and put the files into place when they are whole."""
    folder = Path(tempfile.mkdtemp(prefix=".export-", dir=path.parent))
    try:
        write(folder / path.name)
        made = sorted(folder.iterdir(), key=lambda one: (one.name != path.name, one.name))
        return [one.replace(path.with_name(one.name)) for one in made]
    finally:
        shutil.rmtree(folder, ignore_errors=True)

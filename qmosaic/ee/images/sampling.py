"""Features of the pixels of an image: what a reducer gives of regions, and pixels themselves."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.location import crs_of
from qmosaic.collection.masks import Array
from qmosaic.collection.pixelwise import Placed
from qmosaic.ee.features import FeatureCollection
from qmosaic.ee.features.tables import geopandas
from qmosaic.ee.geometries import Geometry
from qmosaic.ee.images.reducing import Reducing
from qmosaic.ee.names import TIME
from qmosaic.ee.names import bands as bands_by_name
from qmosaic.ee.reducers import Reducer, outputs_of
from qmosaic.ee.regions import Pixels, check_count, count_of, reduce_region
from qmosaic.ee.values import EachImage, known
from qmosaic.optional import needed


class Sampling(Reducing):
    """Features made of pixels; they are computed when they are needed."""

    def reduceRegions(
        self,
        collection: Any,
        reducer: Any,
        scale: Any = None,
        crs: Any = None,
        crsTransform: Any = None,
        tileScale: Any = None,
        maxPixelsPerRegion: Any = None,
    ) -> FeatureCollection:
        """Reduce the pixels in each feature of a collection: the results are properties of it.

        Of an image of one band they are called as the outputs of the reducer, ``mean``; of one
        with more as in `reduceRegion`.

        Parameters
        ----------
        collection : FeatureCollection, or what makes one
            The regions, which keep their properties.
        reducer, scale, crs, crsTransform, tileScale
            As for `reduceRegion`.
        maxPixelsPerRegion : int, optional
            How many pixels a region may have; by default any number.

        Notes
        -----
        https://developers.google.com/earth-engine/apidocs/ee-image-reduceregions

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> places = {"latitude": [40.2, 40.1], "longitude": [-103.2, -103.1]}
        >>> red = (("latitude", "longitude"), np.uint8([[1, 3], [5, 8]]))
        >>> image = ee.Image(xr.Dataset({"B4": red}, places))
        >>> west = ee.Feature(ee.Geometry.BBox(-103.25, 40, -103.15, 41), {"name": "west"})
        >>> image.reduceRegions([west], ee.Reducer.mean()).first().toDictionary().getInfo()
        {'mean': 3.0, 'name': 'west'}
        """
        caller = "ee.Image.reduceRegions()"
        asked, features = Reducer(reducer), FeatureCollection(collection)
        self._check_single(caller)
        wanted = outputs_of(asked, list(self._bands()), "output", caller)
        image = self._for_regions(None, scale, crs, crsTransform, caller)
        assert image is not None
        most = math.inf if maxPixelsPerRegion is None else float(known(maxPixelsPerRegion))

        def table() -> Any:
            frame = features.geodataframe
            found = []
            for region in _regions(frame):
                check_count(image, region, most, caller)
                pixels = Pixels.of(image, region, caller)
                bands = bands_by_name(image if pixels is None else pixels.image)
                made = reduce_region(pixels, bands, asked, "output", None, caller)
                found.append(made.content)
            results = dask.compute(*found)
            columns = {name: [one[name] for one in results] for name, _, _ in wanted}
            return _with_columns(frame, columns)

        return FeatureCollection._later(table)

    def sample(
        self,
        region: Any = None,
        scale: Any = None,
        projection: Any = None,
        factor: Any = None,
        numPixels: Any = None,
        seed: Any = 0,
        dropNulls: Any = True,
        tileScale: Any = None,
        geometries: Any = False,
    ) -> FeatureCollection:
        """Give pixels as features, whose properties are the values of the bands.

        Parameters
        ----------
        region : Geometry, optional
            Where the pixels lie; by default anywhere.
        scale, projection : optional
            Another grid than that of the image, see `reduceRegion`.
        factor : float, optional
            The part of the pixels that is taken, up to 1.
        numPixels : int, optional
            How many pixels are taken at most; those that are masked are left out afterwards.
        seed : int, default: 0
            Another one takes other pixels. They are not those that Earth Engine takes.
        dropNulls : bool, default: True
            Leave out pixels that are masked in one of the bands.
        geometries : bool, default: False
            Whether features get the centres of the pixels as points.

        Notes
        -----
        https://developers.google.com/earth-engine/apidocs/ee-image-sample

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> places = {"latitude": [40.2, 40.1], "longitude": [-103.2, -103.1]}
        >>> red = (("latitude", "longitude"), np.uint8([[1, 3], [5, 8]]))
        >>> image = ee.Image(xr.Dataset({"B4": red}, places))
        >>> image.sample(numPixels=3, seed=1).size().getInfo()
        3
        >>> image.sample().aggregate_array("B4").getInfo()
        [1, 3, 5, 8]
        """
        caller = "ee.Image.sample()"
        self._check_single(caller)
        if factor is not None and numPixels is not None:
            raise ValueError(
                f"{caller} got factor and numPixels, and each says how many pixels are taken. Give "
                "one of them."
            )
        outline = None if region is None else Geometry(region).geometry
        image = self._for_regions(outline, scale, projection, None, caller)
        part = None if factor is None else float(known(factor))
        most = None if numPixels is None else int(known(numPixels))
        take = functools.partial(_chosen, part=part, most=most, seed=int(known(seed)))
        give = functools.partial(
            _samples, drop=bool(known(dropNulls)), points=bool(known(geometries)), caller=caller
        )
        return FeatureCollection._later(lambda: give(image, self._names(), [outline], [{}], take))

    def sampleRegions(
        self,
        collection: Any,
        properties: Any = None,
        scale: Any = None,
        projection: Any = None,
        tileScale: Any = None,
        geometries: Any = False,
    ) -> FeatureCollection:
        """Give the pixels in the features of a collection as features.

        Their properties are the values of the bands, and those of the feature in which they lie.

        Parameters
        ----------
        collection : FeatureCollection, or what makes one
            Pixels whose centre lies in a feature are given; those in which a point lies.
        properties : list of str, optional
            Which properties of the features are copied; by default all.
        scale, projection : optional
            Another grid than that of the image, see `reduceRegion`.
        geometries : bool, default: False
            Whether they get the centres of the pixels as points.

        Notes
        -----
        https://developers.google.com/earth-engine/apidocs/ee-image-sampleregions

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> places = {"latitude": [40.2, 40.1], "longitude": [-103.2, -103.1]}
        >>> red = (("latitude", "longitude"), np.uint8([[1, 3], [5, 8]]))
        >>> image = ee.Image(xr.Dataset({"B4": red}, places))
        >>> crops = [ee.Feature(ee.Geometry.Point(-103.19, 40.12), {"class": 2})]
        >>> image.sampleRegions(crops, ["class"]).first().toDictionary().getInfo()
        {'B4': 5, 'class': 2}
        """
        caller = "ee.Image.sampleRegions()"
        self._check_single(caller)
        features = FeatureCollection(collection)
        names = None if properties is None else [str(name) for name in known(properties)]
        image = self._for_regions(None, scale, projection, None, caller)
        points = bool(known(geometries))

        def table() -> Any:
            frame = features.geodataframe
            known_of = frame.drop(columns=frame.geometry.name).to_dict("records")
            known_of = known_of or [{}] * len(frame)  # without columns there are no records
            kept = [
                {n: v for n, v in one.items() if names is None or n in names} for one in known_of
            ]
            bands, regions = self._names(), list(_regions(frame))
            return _samples(image, bands, regions, kept, None, True, points, caller)

        return FeatureCollection._later(table)

    def _check_single(self, caller: str) -> None:
        """Refuse an image that stands for all: each of them gives features of its own."""
        if TIME in self.dataset.dims:
            raise EachImage(f"{caller} gives other features for each image")


def _regions(frame: Any) -> Any:
    """Give the geometries of a table, one by one."""
    geom = needed("odc.geo.geom", "geo", "regions")
    for shape in frame.geometry:
        yield geom.Geometry(shape, frame.crs)


def _with_columns(frame: Any, columns: dict[str, list[Any]]) -> Any:
    """Add columns to a table; lists and dictionaries stay what they are."""
    made = frame.copy(deep=False)
    for name, values in columns.items():
        column = np.empty(len(values), object)
        column[:] = values
        made[name] = column
    return made.infer_objects()


# -- pixels --------------------------------------------------------------------------------------

Take = Callable[[xr.Dataset, Any, Pixels, str], tuple[xr.DataArray, int | None]]


def _samples(
    image: xr.Dataset | None,
    names: Sequence[Any],
    regions: Sequence[Any],
    kept: Sequence[dict[str, Any]],
    take: Take | None,
    drop: bool,
    points: bool,
    caller: str,
) -> Any:
    """Make a table of the pixels in regions: places, values of the bands, properties."""
    lists: list[Any] = []
    most: int | None = None
    for region in regions:
        pixels = None if image is None else Pixels.of(image, region, caller)
        if pixels is None:
            lists.append({"list": []})
            continue
        bands = bands_by_name(pixels.image)
        order = xr.DataArray(0.0)
        if take is not None and image is not None:
            order, most = take(image, region, pixels, caller)
        down, across = (pixels.image[dim].astype(float) for dim in pixels.dims)
        read: dict[Any, xr.DataArray] = {"x": across, "y": down, "order": order}
        read |= {("band", name): bands[name] for name in names}
        reducer = Reducer.toList(len(read), len(names))
        made = reduce_region(pixels, read, reducer, "output", None, caller)
        lists.append(made.content)
    rows = []
    for (found,), own in zip(([one["list"]] for one in dask.compute(*lists)), kept, strict=True):
        chosen = found if most is None else _first(found, most)
        rows += [(x, y, values, own) for x, y, _, *values in chosen]
    if drop:
        rows = [row for row in rows if None not in row[2]]
    return _table(rows, names, None if image is None else image, points)


def _first(rows: list[Any], most: int) -> list[Any]:
    """Keep so many rows, those whose number is lowest, in the order in which they come."""
    places = sorted(range(len(rows)), key=lambda place: rows[place][2])[:most]
    return [rows[place] for place in sorted(places)]


def _table(rows: list[Any], names: Sequence[Any], image: xr.Dataset | None, points: bool) -> Any:
    columns: dict[str, list[Any]] = {
        name: [own.get(name) for *_, own in rows]
        for name in dict.fromkeys(name for *_, own in rows for name in own)
    }
    for place, name in enumerate(names):
        columns[str(name)] = [values[place] for _, _, values, _ in rows]
    crs = "EPSG:4326" if image is None else str(crs_of(image))
    table, shapely = geopandas(), needed("shapely", "geo", "regions")
    shapes = [shapely.Point(x, y) if points else None for x, y, *_ in rows]
    labels = [str(number) for number in range(len(rows))]
    series = table.GeoSeries(shapes, index=labels, crs=crs)
    frame = table.GeoDataFrame(geometry=series, index=labels)
    return _with_columns(frame, columns)


def _chosen(
    image: xr.Dataset,
    region: Any,
    pixels: Pixels,
    caller: str,
    *,
    part: float | None,
    most: int | None,
    seed: int,
) -> tuple[xr.DataArray, int | None]:
    """Give each pixel a random number, and NaN where it is not taken.

    Of the numbers that are left, which are a few more than asked for, the lowest are taken. They do
    not depend on chunks: each row of the map has its own.
    """
    share = 1.0 if part is None else part
    if most is not None:
        count = max(1.0, count_of(image, region, caller))
        share = min(1.0, (most + 5 * math.sqrt(most) + 10) / count)
    empty = da.zeros(pixels.shape, chunks=(1024, -1), dtype=bool)
    numbers = functools.partial(_random, share=share, seed=seed)
    made = empty.map_blocks(
        Placed(numbers, (0, 1), empty.chunks), dtype=float, meta=np.empty((0, 0))
    )
    return xr.DataArray(made, dims=pixels.dims), most


def _random(block: Array, *, corner: tuple[int, int], share: float, seed: int) -> Array:
    rows = range(corner[0], corner[0] + block.shape[0])
    numbers = np.stack([np.random.default_rng((seed, row)).random(block.shape[1]) for row in rows])
    return np.where(numbers < share, numbers, np.nan)

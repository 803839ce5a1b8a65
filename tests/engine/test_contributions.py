"""`contributions`: which image gave how many pixels, by zone, period and rank; in one pass over the
index, whatever its chunks and its scheduler.

The oracle looks at one pixel after another, and counts in a dict.
"""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import qmosaic as qm
from tests.support.sources import CountingStore, Forbidden

TIMES = pd.date_range("2020-07-01", periods=40, freq="36h").values
UTM = "EPSG:32633"
LEFT, TOP = 500_000.0, 5_000_000.0


def mosaic_of(
    index: np.ndarray, dims: tuple[str, ...] = ("y", "x"), *, times: bool = True
) -> xr.Dataset:
    """Make a mosaic whose pixels are from these images, on 10 m pixels of a zone of UTM."""
    coords: dict[Any, Any] = {
        "y": TOP - 10.0 * np.arange(index.shape[dims.index("y")]) - 5,
        "x": LEFT + 10.0 * np.arange(index.shape[dims.index("x")]) + 5,
        "spatial_ref": ((), 32633, {"spatial_ref": UTM}),
        "source_index": (dims, index),
    }
    if "time" in dims:
        coords["time"] = pd.date_range("2020-07-01", periods=index.shape[0], freq="MS")
    if times:
        found = np.where(index < 0, np.datetime64("NaT", "ns"), TIMES[index])
        coords["source_time"] = (dims, found)
    return xr.Dataset({"red": (dims, np.zeros(index.shape, "uint16"))}, coords)


def counted(
    mosaic: xr.Dataset, zones: np.ndarray | None = None, missing: Any = None
) -> pd.DataFrame:
    """Count one pixel after another: the oracle."""
    index = mosaic["source_index"].transpose(..., "y", "x").load()
    aside = [str(d) for d in index.dims[:-2]]
    found: Counter[tuple[Any, ...]] = Counter()
    for place in np.ndindex(index.shape):
        group = [index[d].values[i] for d, i in zip(aside, place, strict=False)]
        if zones is not None:
            zone = zones[place[-2:]]
            if zone != zone or (missing is not None and zone == missing):
                continue
            group.append(zone)
        found[(*group, int(index.values[place]))] += 1
    columns = ["period" if d == "time" else d for d in aside] + ["zone"] * (zones is not None)
    rows = []
    for (*group, image), pixels in found.items():
        whole = sum(n for key, n in found.items() if list(key[:-1]) == group)
        time = TIMES[image] if image >= 0 else np.datetime64("NaT")
        rows.append((*group, image, time, pixels, pixels / whole))
    table = pd.DataFrame(rows, columns=[*columns, "source_index", "time", "pixels", "share"])
    table = table.sort_values(
        [*columns, "pixels", "source_index"],
        ascending=[*[True] * len(columns), False, True],
        ignore_index=True,
    )
    return table if "source_time" in mosaic.coords else table.drop(columns="time")


def same(table: pd.DataFrame, wanted: pd.DataFrame) -> None:
    """Compare two tables: values, order of rows and of columns; sums of shares."""
    assert_frame_equal(table, wanted, check_dtype=False, check_exact=True)
    assert table["source_index"].dtype == table["pixels"].dtype == "int64"


# -- the count -----------------------------------------------------------------------------------

SHAPES = {("y", "x"): (7, 9), ("time", "y", "x"): (3, 5, 4), ("y", "x", "rank"): (4, 5, 2)}


@st.composite
def maps(draw: st.DrawFn) -> tuple[xr.Dataset, xr.DataArray | None, Any]:
    """Draw a mosaic, perhaps chunked, and perhaps zones with what means "no zone" in them."""
    dims = draw(st.sampled_from(list(SHAPES)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    dtype = draw(st.sampled_from(["int16", "int32"]))
    index = rng.integers(-1, draw(st.integers(1, 40)), SHAPES[dims]).astype(dtype)
    mosaic = mosaic_of(index, dims, times=draw(st.booleans()))
    size = mosaic.sizes["y"], mosaic.sizes["x"]
    kind = draw(st.sampled_from(["none", "uint8", "int64", "float32", "bool"]))
    zones, missing = None, None
    if kind != "none":
        labels = rng.integers(0, 3, size).astype(kind)
        zones = xr.DataArray(labels, {"y": mosaic["y"], "x": mosaic["x"]}, ("y", "x"))
        if kind == "float32":
            zones = zones.where(rng.random(size) < 0.7)
        elif kind != "bool" and draw(st.booleans()):
            missing = 2
            zones.attrs["_FillValue"] = missing
        if draw(st.booleans()):
            zones = zones.chunk(y=3, x=2)
    if draw(st.booleans()):
        mosaic = mosaic.chunk({d: draw(st.integers(1, 5)) for d in dims})
    return mosaic, zones, missing


@given(drawn=maps())
@settings(max_examples=15, deadline=None)
def test_every_pixel_is_counted_once(
    drawn: tuple[xr.Dataset, xr.DataArray | None, Any],
) -> None:
    """Pixels, shares and times as a loop over pixels finds them, with every dtype, chunking, order
    of dimensions and kind of zones; shares of a zone sum to 1."""
    mosaic, zones, missing = drawn
    with dask.config.set(scheduler="synchronous"):
        table = qm.contributions(mosaic, zones)
    wanted = counted(mosaic, None if zones is None else zones.values, missing)
    same(table, wanted)
    groups = [c for c in table if c in ("zone", "period", "rank")]
    shares = table.groupby(groups)["share"].sum() if groups else table["share"].sum()
    assert np.allclose(shares, 1)


def test_the_index_of_a_decoded_store_is_whole() -> None:
    """xarray decodes an integer that declares -1 as nodata to floats with NaN: -1 again."""
    index = np.int16([[0, 3, -1], [3, 3, -1]])
    mosaic = mosaic_of(index)
    decoded = mosaic.assign_coords(
        source_index=mosaic["source_index"].astype("float32").where(mosaic["source_index"] >= 0)
    )
    same(qm.contributions(decoded), counted(mosaic))


def test_large_chunks_are_counted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """However large a chunk is, a few of its rows are counted at a time."""
    monkeypatch.setattr("qmosaic.engine.image_counts.PIXELS", 6)
    mosaic = mosaic_of(np.random.default_rng(0).integers(-1, 5, (2, 11, 4)), ("time", "y", "x"))
    same(qm.contributions(mosaic.chunk()), counted(mosaic))


def test_bands_with_images_of_their_own() -> None:
    """``masked="fill"``: each band has its index; one, or all with a column of bands in front."""
    red, nir = np.int16([[0, 1], [1, 1]]), np.int16([[0, 0], [0, -1]])
    bands = {n: (("y", "x"), np.zeros((2, 2))) for n in ("nir", "red")}
    own = {"red_source_index": (("y", "x"), red), "nir_source_index": (("y", "x"), nir)}
    own["red_source_time"] = (("y", "x"), TIMES[red])
    mosaic = xr.Dataset(bands, own)
    wanted = counted(mosaic_of(red))
    same(qm.contributions(mosaic, band="red"), wanted)
    both = qm.contributions(mosaic)
    assert list(both) == ["band", "source_index", "pixels", "share", "time"]
    same(both[both["band"] == "red"][wanted.columns].reset_index(drop=True), wanted)
    assert both["band"].tolist() == ["nir", "nir", "red", "red"]
    assert both["pixels"].tolist() == [3, 1, 3, 1]
    with pytest.raises(KeyError, match="no band 'blue' in the mosaic; there are 'nir', 'red'"):
        qm.contributions(mosaic, band="blue")


def test_an_array_of_bands() -> None:
    """A mosaic in one DataArray has the index among its coordinates, and the method."""
    index = np.int16([[0, 1], [1, -1]])
    mosaic = mosaic_of(index)
    array = mosaic.assign(nir=mosaic["red"]).to_dataarray("band")
    same(array.qmosaic.contributions(), counted(mosaic))
    same(mosaic.qmosaic.contributions(band="red"), counted(mosaic))
    same(qm.contributions(mosaic["red"]), counted(mosaic))


# -- polygons ------------------------------------------------------------------------------------

# no edge on a centre of a pixel; the second overlaps the first, the third lies beside the map
POLYGONS = [
    shapely.Polygon([(LEFT + 3, TOP - 4), (LEFT + 163, TOP - 22), (LEFT + 81, TOP - 171)]),
    shapely.box(LEFT + 52, TOP - 233, LEFT + 144, TOP - 61),
    shapely.box(LEFT - 900, TOP - 90, LEFT - 800, TOP - 1),
    shapely.MultiPolygon(
        [
            shapely.box(LEFT + 201, TOP - 33, LEFT + 234, TOP - 2),
            shapely.Point(LEFT + 203, TOP - 201).buffer(26),
        ]
    ),
]


class Series(pd.Series):  # type: ignore[misc]
    """What a GeoSeries of geopandas has: rows of geometries with labels, and a CRS."""

    @property
    def geometry(self) -> Any:
        return self

    @property
    def crs(self) -> str:
        return UTM


def burned(polygons: dict[Any, Any]) -> np.ndarray:
    """Give the number of the last polygon in which the centre of a pixel lies, else NaN."""
    zones = np.full((24, 24), np.nan)
    for number, polygon in enumerate(polygons.values()):
        for row, column in np.ndindex(24, 24):
            centre = shapely.Point(LEFT + 10 * column + 5, TOP - 10 * row - 5)
            if polygon.contains(centre):
                zones[row, column] = number
    return zones


@pytest.fixture
def map_of_24() -> xr.Dataset:
    """A lazy mosaic of 24 × 24 pixels, in uneven chunks."""
    index = np.random.default_rng(3).integers(-1, 6, (24, 24)).astype("int16")
    return mosaic_of(index).chunk(y=10, x=7)


@pytest.mark.parametrize("way", ["geopandas", "frame", "GeoJSON", "file", "mapping", "list", "one"])
def test_polygons_are_burned_where_pixel_centres_lie(
    way: str, map_of_24: xr.Dataset, tmp_path: Path
) -> None:
    """In whatever form they come: labelled by index or key, else by position; where they overlap,
    the later wins; one beside the map has no row, nor has one without a geometry."""
    odc_geom = pytest.importorskip("odc.geo.geom", reason="it is in the extra [geo]")
    names: list[Any] = [0, 1, 2, 3]
    features = [{"type": "Feature", "geometry": shapely.geometry.mapping(p)} for p in POLYGONS]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    geojson = {"type": "FeatureCollection", "crs": crs, "features": [*features, {"geometry": None}]}
    zones: Any = geojson
    if way in ("geopandas", "frame"):
        names = ["wood", "field", "abroad", "lakes"]
        zones = Series([*POLYGONS, None], index=[*names, "nowhere"])
        zones = SimpleNamespace(geometry=zones) if way == "frame" else zones
    elif way == "file":
        zones = tmp_path / "zones.geojson"
        zones.write_text(json.dumps(geojson))
    elif way in ("mapping", "list", "one"):
        zones = [odc_geom.Geometry(polygon, UTM) for polygon in POLYGONS]
    if way == "mapping":
        names = ["wood", "field", "abroad", "lakes"]
        zones = dict(zip(names, zones, strict=True))
    if way == "one":
        names, zones = [0], zones[0]
    table = qm.contributions(map_of_24, zones)
    wanted = counted(map_of_24, burned(dict(zip(names, POLYGONS, strict=False))))
    wanted["zone"] = [names[int(number)] for number in wanted["zone"]]
    same(table, wanted)


def test_polygons_in_degrees_are_brought_to_the_map(map_of_24: xr.Dataset) -> None:
    """What tells no CRS is in longitude and latitude, as for `clip`; and they are burned for each
    period."""
    geom = pytest.importorskip("odc.geo.geom", reason="it is in the extra [geo]")
    inside = geom.Geometry(POLYGONS[1], UTM).to_crs("EPSG:4326").geom
    months = pd.date_range("2020-07-01", periods=2, freq="MS", name="time")
    periods = xr.concat([map_of_24, map_of_24], months)
    same(qm.contributions(periods, [inside]), counted(periods, burned({0: POLYGONS[1]})))
    with pytest.raises(ValueError, match=r"polygon 0: .*geopandas\.GeoSeries\(polygons, crs="):
        qm.contributions(periods, POLYGONS)


# -- how it is counted ---------------------------------------------------------------------------


def test_nothing_but_the_index_is_read(tmp_path: Path) -> None:
    """Of a mosaic in a store: each chunk of the index and of its times once, no band, no count of
    candidates; without times in it, the index alone."""
    index = np.random.default_rng(0).integers(-1, 9, (24, 24)).astype("int16")
    mosaic = mosaic_of(index)
    counts = (("y", "x"), np.ones((24, 24), "int16"))
    qm.to_zarr(mosaic.assign_coords(valid_count=counts).chunk(y=8, x=8), tmp_path / "m.zarr")
    store = CountingStore(tmp_path / "m.zarr")
    opened = qm.open_mosaic(store)
    store.reads.clear()
    same(qm.contributions(opened), counted(mosaic))
    chunks = {f"c/{y}/{x}" for y in range(3) for x in range(3)}
    wanted = {f"{name}/{c}" for name in ("source_index", "source_time") for c in chunks}
    read = {key: n for key, n in store.reads.items() if "/c/" in key}
    assert read == dict.fromkeys(wanted, 1)
    store.reads.clear()
    qm.contributions(opened.drop_vars("source_time"))
    assert {k for k in store.reads if "/c/" in k} == {f"source_index/{c}" for c in chunks}


def test_errors_come_before_anything_is_read(map_of_24: xr.Dataset) -> None:
    """Zones on another grid are refused without a look at the pixels."""
    lazy = da.from_array(Forbidden((24, 24), "int16"), chunks=8)
    mosaic = map_of_24.assign_coords(source_index=(("y", "x"), lazy)).drop_vars("source_time")
    with pytest.raises(ValueError, match="they are on another grid"):
        qm.contributions(mosaic, xr.zeros_like(mosaic["red"]).isel(x=slice(9)))


def test_memory_does_not_grow_with_the_map() -> None:
    """A map of 9 million pixels (18 MB) is counted in a quarter of that: chunk by chunk."""
    index = da.full((3000, 3000), 3, dtype="int16", chunks=(200, 200))
    mosaic = xr.Dataset(coords={"source_index": (("y", "x"), index)})
    tracemalloc.start()
    try:
        with dask.config.set(scheduler="synchronous"):
            table = qm.contributions(mosaic)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert table.values.tolist() == [[3, 9_000_000, 1]]
    assert peak < index.nbytes / 4


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", "processes"])
def test_any_scheduler(scheduler: str, map_of_24: xr.Dataset) -> None:
    """The active one counts, with the same result."""
    zones = [shapely.geometry.mapping(shapely.box(14.99, 45.0, 15.001, 45.2))]
    with dask.config.set(scheduler=scheduler, num_workers=2):
        table = qm.contributions(map_of_24, zones)
    assert table["pixels"].sum() > 0
    in_memory = map_of_24.compute()
    with dask.config.set(scheduler=lambda *_, **__: pytest.fail("a scheduler was asked")):
        same(table, qm.contributions(in_memory, zones))  # none is needed


def test_on_a_cluster(map_of_24: xr.Dataset) -> None:
    """Workers of dask.distributed count; tables come back, no pixel does."""
    distributed = pytest.importorskip("distributed", reason="distributed is in the extra [test]")
    zones = xr.zeros_like(map_of_24["red"]).where(map_of_24["x"] > LEFT + 50)
    in_memory = map_of_24.compute()
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster),
    ):
        same(qm.contributions(map_of_24), counted(in_memory))
        same(qm.contributions(map_of_24, zones), counted(in_memory, zones.values))
        assert len(qm.contributions(map_of_24.persist())) == 7


# -- what is refused -----------------------------------------------------------------------------

MOSAIC = mosaic_of(np.zeros((4, 4), "int16"))
ZONES = xr.zeros_like(MOSAIC["red"].drop_vars(["source_index", "source_time"]))


@pytest.mark.parametrize(
    ("zones", "error", "message"),
    [
        (ZONES.isel(y=slice(3)), ValueError, "3 pixels along 'y', and the map has 4.*reproject"),
        (ZONES[::-1], ValueError, r"goes from 4999965 to 4999995, and .*reindex_like\(mosaic\)"),
        (ZONES.assign_coords(x=ZONES["x"] + 1), ValueError, "'x' goes from 500006 .*another grid"),
        (ZONES.drop_vars("y"), ValueError, r"no coordinate 'y'\. Write zones\.assign_coords"),
        (
            ZONES.assign_coords(spatial_ref=((), 0, {"spatial_ref": "EPSG:32634"})),
            ValueError,
            r"zones in EPSG:32634, and the map is in EPSG:32633.*reproject",
        ),
        (ZONES.expand_dims(time=2), ValueError, r"dimensions 'time', 'y', 'x', .*isel"),
        (ZONES.astype(str), TypeError, r"labels on a map are numbers .*factorize"),
        (ZONES.to_dataset(name="soil"), TypeError, r"Choose one of its variables: zones\['soil'\]"),
        ([(0, 0, 1, 1)], ValueError, "none of the 1 meets the map; its grid lies between"),
        (["somewhere"], TypeError, r"polygon 0: 'somewhere' \(str\) is no region"),
        (
            Series([POLYGONS[0]] * 2, index=["a", "a"]),
            ValueError,
            r"two polygons have the label 'a'.*reset_index",
        ),
    ],
)
def test_zones_that_do_not_fit(zones: Any, error: type[Exception], message: str) -> None:
    """What came, why it cannot be counted, and what to write."""
    with pytest.raises(error, match=message):
        qm.contributions(MOSAIC, zones)


def test_a_raster_of_one_band_is_a_raster() -> None:
    """rioxarray opens a file with a dimension `band`; coordinates may be off by rounding."""
    zones = ZONES.assign_coords(x=ZONES["x"] + 1e-6).expand_dims("band")
    assert qm.contributions(MOSAIC, zones)["pixels"].tolist() == [16]


def test_a_mosaic_that_does_not_tell() -> None:
    """Without an index there is nothing to count."""
    bare = MOSAIC.drop_vars("source_index")
    with pytest.raises(ValueError, match=r"without the coordinate 'source_index'.*provenance=True"):
        qm.contributions(bare)
    with pytest.raises(TypeError, match=r"got a ndarray; it takes a mosaic"):
        qm.contributions(np.zeros((3, 3)))

"""Maps cut to a region: rows and columns outside are dropped, pixels outside are masked."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.declarations import (
    NODATA_NAMES,
    PROVENANCE,
    SOURCE_INDEX,
    SOURCE_TIME,
    VALID_COUNT,
    declared_nodata,
    masked_value,
)
from qmosaic.collection.geometry import as_geometry, everywhere, near, projected, short_crs
from qmosaic.collection.location import extent_of, map_dims, whereabouts
from qmosaic.collection.masks import NO_IMAGE, Array, fits, has_nan
from qmosaic.collection.pixelwise import Placed
from qmosaic.collection.rasterizing import Places
from qmosaic.collection.times import in_utc
from qmosaic.collection.transforms import true_to_grid
from qmosaic.optional import needed

if TYPE_CHECKING:
    from odc.geo.geom import Geometry

Image = TypeVar("Image")

NAMELESS = "values to be clipped"
"""What a DataArray is called among its coordinates, none of which has such a name."""

EDGE = 1e-6
"""The part of a pixel that a region has to reach into it to touch it: less is rounding."""


def clip(
    image: Image,
    geometry: Any,
    *,
    crs: Any = None,
    drop: bool = True,
    all_touched: bool = False,
    fill_value: float | int | None = None,
) -> Image:
    """Cut a mosaic, an image or a collection to a region.

    Parameters
    ----------
    image : xarray.Dataset or xarray.DataArray
        A map, with or without images along time; an image or a collection of `qmosaic.ee` too. All
        bands on the map are clipped, and so are the coordinates of a mosaic that tell from which
        image a band is.
    geometry : bounding box, shapely geometry, GeoJSON, path of GeoJSON or GeoDataFrame
        The region; a box is (west, south, east, north) and may cross the antimeridian. Holes are
        outside, all parts of several are inside.
    crs : any CRS, optional
        What the coordinates of `geometry` are in; by default its own where it has one, else
        longitude and latitude (EPSG:4326).
    drop : bool, default: True
        Leave out the rows and columns that lie outside altogether. With False the map keeps its
        size, and pixels outside are masked only.
    all_touched : bool, default: False
        Keep every pixel that the region reaches into; by default those whose centre lies in it.
    fill_value : scalar, optional
        What pixels outside get in bands that have no value for "masked": integers that declare no
        nodata, and floats that are packed as such on disk. It is declared as their nodata.
        Without it such bands are refused, since a value that means something would be masked.

    Returns
    -------
    xarray.Dataset or xarray.DataArray
        What `image` is, with the dtypes, attributes and order of dimensions that it had. No lazy
        pixel is read; blocks are masked one by one. A pixel outside is NaN, or the band's nodata.

    Raises
    ------
    ValueError
        The region does not meet the map or no pixel is left; the map has no CRS; `geometry` is
        empty or not in the CRS that was assumed; bands have no value for "masked", all of which
        the error names; or `fill_value` does not fit one of them.
    TypeError
        `geometry` is no region, or `image` is no image.
    FileNotFoundError
        There is no file of that name.
    ModuleNotFoundError
        ``odc-geo`` is not installed (extra ``geo``).

    Notes
    -----
    Earth Engine's ``Image.clip``,
    https://developers.google.com/earth-engine/apidocs/ee-image-clip

    Clip last: a mosaic rather than the collection of which it is made. `drop` cuts the map off its
    chunk borders, so that a chunk of the result has pixels of several blocks.

    - A clipped mosaic is written by tasks of up to 4 × 4 blocks that share nothing. The blocks on
      their borders are made twice: less than 1.6 times the work on average.
    - Of a clipped collection, up to 4 × 4 blocks of the mosaic become one task, too. Blocks near
      the edges are made twice, and a costly score up to three times. Where that would be too much,
      blocks share work as ordinary tasks of dask, which the arguments ``retries`` and ``on_error``
      of `to_zarr` do not reach.
    - With ``drop=False``, or where the region ends on chunk borders, clipping costs nothing.

    Examples
    --------
    >>> import numpy as np, shapely, xarray as xr, qmosaic as qm
    >>> mosaic = xr.Dataset(
    ...     {"red": (("latitude", "longitude"), np.ones((3, 3), "uint8"))},
    ...     {"latitude": [40.3, 40.2, 40.1], "longitude": [-103.3, -103.2, -103.1]},
    ... )
    >>> triangle = shapely.Polygon([(-103.35, 40.05), (-103.12, 40.05), (-103.35, 40.28)])
    >>> clipped = qm.clip(mosaic, triangle, fill_value=0)
    >>> clipped["red"].values
    array([[1, 0],
           [1, 1]], dtype=uint8)
    >>> int(clipped["red"].attrs["_FillValue"])
    0
    """
    rules: dict[str, Any] = {"drop": drop, "all_touched": all_touched, "fill_value": fill_value}
    wrapped = getattr(image, "dataset", None)
    if not isinstance(image, xr.Dataset | xr.DataArray) and isinstance(wrapped, xr.Dataset):
        kind: Any = type(image)  # of `qmosaic.ee`
        return cast(Image, kind(clip(wrapped, geometry, crs=crs, **rules)))
    if not isinstance(image, xr.Dataset | xr.DataArray):
        raise TypeError(
            f"clip() got a {type(image).__name__}; it cuts an xarray.Dataset or DataArray: a "
            "mosaic, an image, or a collection."
        )
    region = as_geometry(geometry, crs)
    if isinstance(image, xr.Dataset):
        return cast(Image, clip_to(in_utc(image), region, "clip()", **rules))
    whole = in_utc(image).to_dataset(name=NAMELESS).assign_attrs(image.attrs)
    return cast(Image, clip_to(whole, region, "clip()", **rules)[NAMELESS].rename(image.name))


def clip_to(
    image: xr.Dataset,
    region: Geometry,
    caller: str,
    *,
    drop: bool = True,
    all_touched: bool = False,
    fill_value: Any = None,
) -> xr.Dataset:
    """Cut a map to a region, see `clip`."""
    down, across = map_dims(image)
    extent = extent_of(image)
    outline = everywhere(projected(near(region, extent), extent.crs)) & extent
    if outline.is_empty:
        raise ValueError(
            f"{caller} keeps the pixels in the region, and the region does not meet the grid of "
            f"the map{whereabouts(image)}."
        )
    places = _places_of(image, down, across, outline, all_touched)
    rows, columns = places.within(outline.boundingbox.bbox)
    if not (len(rows) and len(columns) and _any_inside(places, outline, rows, columns)):
        left, bottom, right, top = outline.boundingbox.bbox
        raise ValueError(
            f"{caller} keeps the pixels whose centre lies in the region, and there is none in "
            f"({left:g}, {bottom:g}) to ({right:g}, {top:g}) ({short_crs(outline.crs)}). Give a "
            "larger region (a point or a line has to be buffered), take all pixels that it "
            "touches, qmosaic.clip(..., all_touched=True), or do not clip."
        )
    box = {down: _span(rows), across: _span(columns)}
    cut = image.isel(box) if drop else image
    clear = _is_box(outline) and (
        drop or all(image.sizes[d] == s.stop - s.start for d, s in box.items())
    )
    if not clear:
        mask = Mask(outline.geom.wkb, places.cut(*box.values()) if drop else places, down, across)
        cut = _masked(cut, mask, fill_value, caller)
    return true_to_grid(cut)


def cuts_to_a_box(image: xr.Dataset, region: Geometry) -> bool:
    """Tell whether `clip_to` leaves out rows and columns alone, and masks nothing."""
    extent = extent_of(image)
    return _is_box(everywhere(projected(near(region, extent), extent.crs)) & extent)


def _is_box(outline: Geometry) -> bool:
    return bool(outline.geom.equals(outline.geom.envelope))


def pixels_in(
    image: xr.Dataset, region: Geometry, *, all_touched: bool = False
) -> tuple[xr.Dataset, Mask] | None:
    """Cut a map to the rows and columns that a region reaches; tell which of their pixels lie in
    it, as `clip_to` would keep them. None where there is none."""
    down, across = map_dims(image)
    extent = extent_of(image)
    if all_touched:  # what misses the outermost edge by rounding lies on it
        extent = extent.buffer(EDGE * min(_step(image[dim].values) for dim in (down, across)))
    outline = everywhere(projected(near(region, extent), extent.crs)) & extent
    if outline.is_empty:
        return None
    places = _places_of(image, down, across, outline, all_touched)
    rows, columns = places.within(outline.boundingbox.bbox)
    if not (len(rows) and len(columns)):
        return None
    box = {down: _span(rows), across: _span(columns)}
    return image.isel(box), Mask(outline.geom.wkb, places.cut(*box.values()), down, across)


def _step(centres: Array) -> float:
    """Give the size of pixels; 0 of a single one."""
    return abs(float(centres[-1]) - float(centres[0])) / max(1, len(centres) - 1)


def _span(places: Array) -> slice:
    return slice(int(places[0]), int(places[-1]) + 1)


# -- which pixels --------------------------------------------------------------------------------


def _places_of(
    image: xr.Dataset, down: Hashable, across: Hashable, outline: Geometry, all_touched: bool
) -> Places:
    """Take the centres of pixels, or their boxes where it is enough to touch them."""
    centres = [np.ascontiguousarray(image[d].values, float) for d in (down, across)]
    if not all_touched:
        return Places.of_centres(*centres)
    shapely = needed("shapely", "geo", "regions and footprints")
    height, width = map(_step, centres)
    # areas have to reach into a pixel; a point or a line on an edge is in that below or to the
    # right, also where it misses the edge by rounding
    inner, other = 0.5 - EDGE, 0.5 - EDGE
    if shapely.get_dimensions(outline.geom) < 2:
        other = 0.5 + EDGE
    ys, xs = centres
    return Places(
        (ys - height * inner, ys + height * other), (xs - width * other, xs + width * inner)
    )


def _any_inside(places: Places, outline: Geometry, rows: Array, columns: Array) -> bool:
    """Tell whether any pixel is left; looked at row by row only for what is narrow."""
    if places.boxes:
        return True
    shapely = needed("shapely", "geo", "regions and footprints")
    shape, ys, xs = outline.geom, places.rows[0][rows], places.columns[0][columns]
    if len(ys) > 1 and len(xs) > 1:
        pixel = float(np.hypot(ys[1] - ys[0], xs[1] - xs[0]))
        if not shape.buffer(-pixel).is_empty:
            return True
    shapely.prepare(shape)
    return any(bool(shapely.intersects_xy(shape, xs, float(y)).any()) for y in ys)


@dataclass(frozen=True)
class Mask:
    """What lies inside: an outline (WKB) over pixels of two dimensions."""

    outline: bytes
    places: Places
    down: Hashable
    across: Hashable

    def inside(self, row: int, column: int, height: int, width: int) -> Array:
        """Tell which pixels of a block lie inside."""
        block = self.places.cut(slice(row, row + height), slice(column, column + width))
        bounds = (*block.rows, *block.columns)
        return _inside(self.outline, *(bound.tobytes() for bound in bounds), block.boxes)


@functools.lru_cache(maxsize=16)
def _inside(outline: bytes, *bounds: Any) -> Array:
    """Tell which pixels of a block lie inside; kept, as all images and bands of it ask."""
    shapely = needed("shapely", "geo", "regions and footprints")
    *edges, boxes = bounds
    low_y, high_y, low_x, high_x = (np.frombuffer(edge) for edge in edges)
    rows, columns = (low_y, high_y), (low_x, high_x)
    places = Places(rows, columns) if boxes else Places.of_centres(low_y, low_x)
    inside = places.inside(shapely.from_wkb(outline))
    inside.flags.writeable = False
    return inside


# -- masking bands -------------------------------------------------------------------------------


def _masked(image: xr.Dataset, mask: Mask, fill_value: Any, caller: str) -> xr.Dataset:
    """Mask all bands of a map outside, and what tells from which image a band is."""
    on_map = {mask.down, mask.across}
    bands = [n for n, v in image.data_vars.items() if on_map <= set(v.dims)]
    _check_fills(image, bands, fill_value, caller)
    changed: dict[Hashable, xr.DataArray] = {}
    for name in bands:
        fill = masked_value(image[name], fill_value)
        changed[name] = _masked_outside(image[name], mask, fill)
        if _lacks_value(image[name]):
            _declare(changed[name], fill_value)
    clipped = image.assign(changed)
    sources = {
        name: _masked_outside(image[name], mask, _no_source(image[name]))
        for name in image.coords
        if on_map <= set(image[name].dims) and _tells_source(image, name)
    }
    return clipped.assign_coords(sources) if sources else clipped


def _tells_source(image: xr.Dataset, name: Hashable) -> bool:
    """Tell whether a coordinate says where pixels come from: as the mosaic has recorded, or, for a
    band by itself, by its name."""
    recorded = np.ravel(image.attrs.get(PROVENANCE, [])).tolist()  # one alone may be no list
    return name in recorded or str(name).endswith((SOURCE_INDEX, SOURCE_TIME, VALID_COUNT))


def _no_source(coordinate: xr.DataArray) -> Any:
    """Give what a coordinate says of pixels that come from no image."""
    name, dtype = str(coordinate.name), coordinate.dtype
    if name.endswith(SOURCE_INDEX):
        return dtype.type(NO_IMAGE)
    if name == VALID_COUNT:
        return dtype.type(0)
    return "" if dtype.kind == "O" else masked_value(coordinate, None)


def _lacks_value(band: xr.DataArray) -> bool:
    """Tell whether a band, as it is or as it is packed on disk, has no value for "masked"."""
    if band.dtype.kind == "f":
        packed = np.dtype(band.encoding.get("dtype", band.dtype))
        declared = any(name in band.attrs or name in band.encoding for name in NODATA_NAMES)
        return packed.kind in "iu" and not declared
    return band.dtype.kind in "biu" and declared_nodata(band) is None


def _check_fills(
    image: xr.Dataset, bands: Sequence[Hashable], fill_value: Any, caller: str
) -> None:
    """Refuse all bands at once that have no value for what is masked, or cannot hold it."""
    lacking = [n for n in bands if _lacks_value(image[n])]
    if not lacking:
        return
    kinds = {n: np.dtype(image[n].encoding.get("dtype", image[n].dtype)) for n in lacking}
    kinds = {n: k if image[n].dtype.kind == "f" else image[n].dtype for n, k in kinds.items()}
    if fill_value is None:
        numbers = [n for n in lacking if kinds[n].kind != "b"]
        bools = "" if len(numbers) == len(lacking) else " (False for bools, which declare nothing)"
        declare = "Or "
        if numbers:
            example = f"image[{numbers[0]!r}].attrs['_FillValue'] = ..."
            declare = f"Or declare the nodata that they have, {example}; or "
        raise ValueError(
            f"{caller} has to mask pixels outside the region, and these bands have no value for "
            f"that, as they declare no nodata: {_listed(kinds)}. Write qmosaic.clip(image, "
            f"geometry, fill_value=0): they get that value there{bools} and declare it as their "
            f"nodata, so it has to be one that means nothing else. {declare}"
            "clip to a box in the CRS of the map, outside of which nothing is left."
        )
    wrong = {n: k for n, k in kinds.items() if k.kind != "b" and not fits(fill_value, k)}
    if wrong:
        raise ValueError(
            f"fill_value={fill_value!r} does not fit: {_listed(wrong)}. dtypes are kept; give an "
            "integer that all of them can hold, or declare a nodata for each, "
            f"image[{next(iter(wrong))!r}].attrs['_FillValue'] = ..."
        )


def _listed(kinds: dict[Hashable, np.dtype[Any]]) -> str:
    if list(kinds) == [NAMELESS]:
        return f"the array ({next(iter(kinds.values()))})"
    return ", ".join(f"{name!r} ({dtype})" for name, dtype in kinds.items())


def _declare(band: xr.DataArray, fill_value: Any) -> None:
    """Say in a band what stands for masked in it; bools have nothing that could."""
    if band.dtype.kind in "iu":
        band.attrs = {**band.attrs, "_FillValue": band.dtype.type(fill_value)}
    elif has_nan(band.dtype):
        packed = np.dtype(band.encoding["dtype"])
        band.encoding = {**band.encoding, "_FillValue": packed.type(fill_value)}


def _masked_outside(band: xr.DataArray, mask: Mask, fill: Any) -> xr.DataArray:
    axes = band.dims.index(mask.down), band.dims.index(mask.across)
    cut = functools.partial(_outside_to_fill, mask=mask, axes=axes, fill=fill)
    data = band.variable.data
    if not isinstance(data, da.Array):
        return band.copy(data=cut(data, corner=(0, 0)))
    clipped = data.map_blocks(
        Placed(cut, axes, data.chunks),
        dtype=band.dtype,
        meta=np.empty((0,) * band.ndim, band.dtype),
    )
    return band.copy(data=clipped)


def _outside_to_fill(
    values: Array, *, mask: Mask, axes: tuple[int, int], corner: tuple[int, int], fill: Any
) -> Array:
    """Mask the pixels outside, in a block that starts at a corner."""
    height, width = (values.shape[axis] for axis in axes)
    inside = mask.inside(*corner, height, width)
    others = [axis for axis in range(values.ndim) if axis not in axes]
    clipped: Array = np.where(
        np.expand_dims(inside if axes[0] < axes[1] else inside.T, others), values, fill
    )
    return clipped

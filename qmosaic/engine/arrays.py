"""A collection in one DataArray: its bands apart for the mosaic, and together again."""

from __future__ import annotations

from collections.abc import Hashable

import xarray as xr

from qmosaic.collection.transforms import true_to_grid


def bands_apart(array: xr.DataArray, dim: Hashable) -> xr.Dataset:
    """Make a Dataset of an array whose bands lie along ``band``, as stackstac makes them."""
    for needed in ("band", dim):
        if needed not in array.dims:
            raise ValueError(
                f"the DataArray has dimensions {', '.join(map(repr, array.dims))} and no "
                f"{needed!r}: a collection in one array has its images along {dim!r} and its bands "
                "along 'band'. Name the images' dimension with dim=..., or pass a Dataset with one "
                "variable a band."
            )
    if "band" not in array.indexes:
        raise ValueError(
            "the dimension 'band' of the DataArray has no labels, so no band can be found by "
            "name. Write array.assign_coords(band=[...])."
        )
    labels = list(array.indexes["band"])
    if len(set(labels)) < len(labels):
        raise ValueError(
            f"the labels along 'band' are not unique: {', '.join(map(repr, labels))}. Rename them: "
            "array.assign_coords(band=[...])."
        )
    bands = {
        label: array.isel(band=i, drop=True).drop_vars(
            [n for n, c in array.coords.items() if "band" in c.dims], errors="ignore"
        )
        for i, label in enumerate(labels)
    }
    for band in bands.values():
        band.attrs, band.encoding = dict(array.attrs), dict(array.encoding)
    return xr.Dataset(bands)


def bands_together(mosaic: xr.Dataset, array: xr.DataArray, dim: Hashable) -> xr.DataArray:
    """Put the bands of a mosaic along ``band`` again, as they lie in the array of the images; the
    ranks or the periods come first."""
    labels = list(array.indexes["band"])
    joined = xr.Variable.concat(  # type: ignore[no-untyped-call]
        [mosaic[label].variable for label in labels], "band"
    )
    own = tuple(d for d in array.dims if d != dim)
    dims = (*(d for d in joined.dims if d not in own), *own)
    coords = {n: c for n, c in array.coords.items() if dim not in c.dims}
    result = xr.DataArray(joined.transpose(*dims), coords, dims, name=array.name)
    further = {n: c.variable for n, c in mosaic.coords.items() if n not in coords}
    result = result.assign_coords(further)
    first = mosaic[labels[0]]
    result.attrs, result.encoding = first.attrs | mosaic.attrs, dict(first.encoding)
    return true_to_grid(result)

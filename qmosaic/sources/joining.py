"""Images of several files or stores become one collection, behind each other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.masks import free_value
from qmosaic.collection.model import bands_of
from qmosaic.sources.final_checks import with_crs
from qmosaic.sources.grids import SAME_PLACE
from qmosaic.sources.harmonizing import agree, brought_to
from qmosaic.sources.nodata import declare
from qmosaic.sources.packing import declared, packing_in
from qmosaic.sources.request import DIM, Request, check_known


def merge_parts(
    parts: Sequence[xr.Dataset], names: Sequence[str], describe: Callable[[int], str]
) -> list[xr.Dataset]:
    """Join parts of the same images: the same times, other bands."""
    _check_grids(parts, names, describe)
    merged: list[xr.Dataset] = []
    for part in parts:
        for place, other in enumerate(merged):
            if _same_images(part, other):
                more = {n: v.variable for n, v in part.data_vars.items() if n not in other}
                merged[place] = other.assign(more)
                break
        else:
            merged.append(part)
    return merged


def _same_images(a: xr.Dataset, b: xr.Dataset) -> bool:
    if set(bands_of(a, DIM)) & set(bands_of(b, DIM)):
        return False
    if np.array_equal(a[DIM].values, b[DIM].values):
        return True
    both = np.intersect1d(a[DIM].values, b[DIM].values)
    if len(both):
        raise ValueError(
            f"files with the bands {', '.join(map(repr, bands_of(a, DIM)))} and "
            f"{', '.join(map(repr, bands_of(b, DIM)))} have {len(both)} times in common and others "
            "not, so it is unknown which bands make an image. Open each kind on its own, and "
            "join them with xr.merge(..., join='inner')."
        )
    return False


def join_images(
    parts: Sequence[xr.Dataset],
    names: Sequence[str],
    request: Request,
    describe: Callable[[int], str],
    otherwise: str,
) -> xr.Dataset:
    """Put images behind each other, in the order of their times; equal times keep their order.

    Parameters
    ----------
    parts : sequence of xarray.Dataset
        One or several images each, along ``time``, on one grid.
    names : sequence of str
        What to call each part in errors.
    request : Request
        What to do with missing bands.
    describe : callable
        Describes the grid of a part.
    otherwise : str
        What to write where images cannot be brought to one packing.
    """
    parts = [with_crs(part) for part in parts]
    _check_grids(parts, names, describe)
    known = list(dict.fromkeys(name for part in parts for name in bands_of(part, DIM)))
    check_known(request.bands, known, f"{names[0]} and its neighbours have")
    bands = list(request.bands or known)
    samples = {n: next(p[n] for p in parts if n in p.data_vars) for n in bands}
    _check_dtypes(parts, names, samples)
    _check_nodata(parts, names, samples, request)
    holes = [(name, i) for name in bands for i, p in enumerate(parts) if name not in p.data_vars]
    check_holes(holes, names, request)
    nodata = {n: _nodata_of(samples[n], request, {b for b, _ in holes}) for n in bands}
    full = [
        part.assign(
            {
                n: part[n].variable if n in part.data_vars else _masked(samples[n], part, nodata[n])
                for n in bands
            }
        )[bands]
        for part in parts
    ]
    collection: xr.Dataset = xr.concat(
        full,
        DIM,
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    with_nodata = {n: declare(collection[n], v) for n, v in nodata.items() if v is not None}
    others = {
        n: v for part in reversed(parts) for n, v in part.data_vars.items() if DIM not in v.dims
    }
    collection = collection.assign(with_nodata)
    collection = in_one_packing(collection, parts, names, request, otherwise).assign(others)
    if len(parts) > 1:  # no single file is the source of all images
        encodings: list[dict[Any, Any]] = [v.encoding for v in collection.variables.values()]
        for encoding in (collection.encoding, *encodings):
            encoding.pop("source", None)
    order = np.argsort(collection[DIM].values, kind="stable")
    in_order = bool((order == np.arange(len(order))).all())
    return collection if in_order else collection.isel({DIM: order})


def _check_grids(
    parts: Sequence[xr.Dataset], names: Sequence[str], describe: Callable[[int], str]
) -> None:
    dims = [d for d in parts[0].dims if d != DIM]
    for place, part in enumerate(parts):
        same = set(part.dims) == set(parts[0].dims) and all(
            part.sizes[d] == parts[0].sizes[d]
            and (d not in parts[0].coords or _same_places(part[d], parts[0][d]))
            for d in dims
        )
        if same and _crs(part) != _crs(parts[0]):
            raise ValueError(
                f"{names[0]} and {names[place]} declare different CRSs, so a pixel of one is no "
                "pixel of the other. Bring them onto one grid first, with rioxarray's "
                "reproject_match, or correct the CRS of one."
            )
        if not same:
            raise ValueError(
                f"{names[0]} and {names[place]} are on different grids ({describe(0)}; "
                f"{describe(place)}), so a pixel of one is no pixel of the other. Bring them onto "
                "one grid first, with xarray's interp or rioxarray's reproject_match."
            )


def _same_places(a: xr.DataArray, b: xr.DataArray) -> bool:
    """Tell whether coordinates are the same, but for what rounding does to them."""
    if len(a) < 2 or a.dtype.kind != "f" or b.dtype.kind != "f":
        return bool(a.equals(b))
    pixel = abs(float(b[1] - b[0]))
    return bool(np.allclose(a.values, b.values, rtol=0, atol=SAME_PLACE * pixel))


def _crs(part: xr.Dataset) -> list[Any]:
    """Give what a part says of its CRS."""
    names = ("crs_wkt", "spatial_ref", "grid_mapping_name")
    found = [tuple(str(v.attrs.get(n)) for n in names) for v in part.variables.values()]
    return sorted({entry for entry in found if set(entry) != {"None"}})


def _check_dtypes(
    parts: Sequence[xr.Dataset], names: Sequence[str], samples: Mapping[Hashable, xr.DataArray]
) -> None:
    for part, name in zip(parts, names, strict=True):
        for band, sample in samples.items():
            if band in part.data_vars and part[band].dtype != sample.dtype:
                first = _first_with(band, parts, names)
                raise ValueError(
                    f"band {band!r} is {sample.dtype} in {first} and {part[band].dtype} in "
                    f"{name}; one dtype for both would change values. Open the files of each "
                    f"dtype on their own, convert one with .astype(), and join them with xr.concat."
                )


def _first_with(band: Hashable, parts: Sequence[xr.Dataset], names: Sequence[str]) -> str:
    return next(name for part, name in zip(parts, names, strict=True) if band in part.data_vars)


def in_one_packing(
    collection: xr.Dataset,
    parts: Sequence[xr.Dataset],
    names: Sequence[str],
    request: Request,
    otherwise: str,
) -> xr.Dataset:
    """Bring images that were joined to one packing; where nothing differs, nothing is changed.

    Parameters
    ----------
    collection : xarray.Dataset
        The parts, behind each other.
    parts : sequence of xarray.Dataset
        They declare what their integers mean; a part that lacks a band is masked there.
    names : sequence of str
        What to call each part in errors.
    request : Request
        Which packing is asked for.
    otherwise : str
        What to write where there is none for all.
    """
    harmonize = request.packing.harmonize
    sizes = [part.sizes[DIM] for part in parts]
    of_images = [name for name, size in zip(names, sizes, strict=True) for _ in range(size)]
    new = {}
    for band in bands_of(collection, DIM):
        said = [packing_in(p[band].attrs) if band in p.data_vars else None for p in parts]
        known = next(packing for packing in said if packing is not None)
        own = [packing or known for packing in said]
        if harmonize != "earth_engine" and len(set(own)) == 1:
            continue
        each = [packing for packing, size in zip(own, sizes, strict=True) for _ in range(size)]
        dtype = collection[band].dtype
        agreement = agree(band, dtype, each, of_images, harmonize, otherwise)
        new[band] = brought_to(collection[band], agreement, harmonize, DIM)
    return collection.assign(new)


def with_given_packing(
    part: xr.Dataset, image: Any, name: str, request: Request, opened: Sequence[Hashable]
) -> xr.Dataset:
    """Let the bands of a file or store declare the packing that the user gives for it.

    Parameters
    ----------
    part : xarray.Dataset
        What is in it.
    image : path or store
        What a function of the user's is called with.
    name : str
        What to call it in errors.
    request : Request
        What the user says.
    opened : sequence of hashable
        The bands that may be spoken of.
    """
    if request.packing.given is None:
        return part
    settle = request.packing.of(image, name, opened)
    new = {}
    for band in bands_of(part, DIM):
        own = packing_in(part[band].attrs)
        given = settle(band, own)
        if given is not None and given != own:
            new[band] = declared(part[band], given)
    return part.assign(new)


def _check_nodata(
    parts: Sequence[xr.Dataset],
    names: Sequence[str],
    samples: Mapping[Hashable, xr.DataArray],
    request: Request,
) -> None:
    for band, sample in samples.items():
        if request.overrides(band):
            continue
        for part, name in zip(parts, names, strict=True):
            if band not in part.data_vars:
                continue
            origin = _first_with(band, parts, names)
            first, own = declared_nodata(sample), declared_nodata(part[band])
            if first != own:
                raise ValueError(
                    f"band {band!r} declares nodata {first} in {origin} and {own} in {name}; a "
                    f"collection has one for all. If both hold, write mask_and_scale=True, which "
                    f"masks each by its own; if one holds for all, nodata={{{band!r}: ...}}."
                )


def check_holes(
    holes: Sequence[tuple[Hashable, int]], names: Sequence[str], request: Request
) -> None:
    """Refuse bands that are missing in some images, unless they are to be masked there."""
    if holes and request.missing == "raise":
        band, place = holes[0]
        more = f" (and {len(holes) - 1} more like that)" if len(holes) > 1 else ""
        raise ValueError(
            f"band {band!r} is missing in {names[place]}{more}. Write missing='mask' to have it "
            "masked there, bands=[...] to open only bands that all images have, or leave the image "
            "out."
        )


def _nodata_of(sample: xr.DataArray, request: Request, holey: set[Hashable]) -> Any:
    """Give the nodata of a band: the user's, its own, or a free value where it has holes."""
    name = sample.name
    value = request.nodata_of(name) if request.overrides(name) else declared_nodata(sample)
    if value is None and name in holey and sample.dtype.kind in "iu":
        return free_value(sample.dtype)
    return value


def _masked(sample: xr.DataArray, part: xr.Dataset, nodata: Any) -> xr.Variable:
    """Make a band that is masked everywhere, in the chunks of one that is not."""
    shape = tuple(part.sizes[d] for d in sample.dims)
    chunks: Any = sample.variable.chunks or tuple((n,) for n in shape)
    axis = sample.dims.index(DIM)
    chunks = tuple((1,) * shape[axis] if i == axis else c for i, c in enumerate(chunks))
    fill = free_value(sample.dtype) if nodata is None else nodata
    pixels = da.full(shape, fill, dtype=sample.dtype, chunks=chunks)
    return xr.Variable(sample.dims, pixels, sample.attrs, sample.encoding)

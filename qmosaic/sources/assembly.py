"""What all readers share: which bands, which nodata, and how images become a collection."""

from __future__ import annotations

import difflib
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.declarations import NODATA_NAMES, declared_nodata, nodata_values
from qmosaic.collection.masks import fits, free_value
from qmosaic.collection.model import bands_of
from qmosaic.optional import needed
from qmosaic.sources.packing import (
    PackingRequest,
    agree,
    brought_to,
    declared,
    make_packing_request,
    packing_in,
)

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

Missing = Literal["raise", "mask"]
Nodata = Mapping[Any, float | int | None] | float | int | None

DIM = "time"
HEADERS_AT_ONCE = 16
"""How many headers are read at the same time; over HTTP each of them waits for an answer."""

SAME_PLACE = 1e-3
"""How far grids may be apart, in pixels, and count as one."""

TILE = 2048
"""Pixels along each side of a chunk, where neither the user nor the source says anything."""

IN_DEGREES = {"latitude": "y", "longitude": "x"}
"""What the dimensions of a grid in degrees may be called as well."""

MAX_CHUNKS = 100_000
"""How many chunks an image may have: 4e11 pixels in chunks of 2048, the land of Africa at 10 m."""


@dataclass(frozen=True)
class Request:
    """What a user asked of a reader.

    Attributes
    ----------
    bands : tuple of str, optional
        The bands to open, in this order; all by default.
    chunks : mapping, optional
        Sizes of chunks; the source's own by default.
    nodata : mapping or number, optional
        What replaces the nodata that bands declare.
    missing : {"raise", "mask"}
        What to do with a band that is missing in some images.
    packing : PackingRequest
        What replaces the packing that images declare, and which one all are brought to.
    """

    bands: tuple[str, ...] | None
    chunks: Mapping[Hashable, Any] | None
    nodata: Nodata
    missing: Missing
    packing: PackingRequest = field(default_factory=PackingRequest)

    def overrides(self, band: Hashable) -> bool:
        """Tell whether the nodata of a band was given."""
        if isinstance(self.nodata, Mapping):
            return band in self.nodata or "*" in self.nodata
        return self.nodata is not None

    def check_nodata(self, bands: Sequence[Hashable], what: str) -> None:
        """Refuse a nodata for a band that is not opened."""
        if isinstance(self.nodata, Mapping):
            check_known(set(self.nodata) - {"*"}, bands, f"nodata= was given, but {what}")

    def nodata_of(self, band: Hashable) -> Any:
        """Give the nodata that was given for a band."""
        if not isinstance(self.nodata, Mapping):
            return self.nodata
        return self.nodata[band] if band in self.nodata else self.nodata["*"]


def make_request(
    bands: Any,
    chunks: Any,
    nodata: Any,
    missing: Any,
    packing: Any = None,
    harmonize: Any = "lossless",
) -> Request:
    """Check what does not depend on the source."""
    if chunks == "auto":
        chunks = None
    if chunks is not None and not isinstance(chunks, Mapping):
        raise TypeError(
            f"chunks={chunks!r} is no mapping. Write chunks={{'y': 2048, 'x': 2048}}, or leave it "
            "out."
        )
    for dim, size in (chunks or {}).items():
        if isinstance(size, int) and size < 1 and size != -1:
            raise ValueError(
                f"chunks= has {dim!r}: {size!r}; a chunk has one pixel at least (-1: all of them)."
            )
    names = None if bands is None else (bands,) if isinstance(bands, str) else tuple(bands)
    if names is not None:
        check_unique(names, "bands= names")
        if not names:
            raise ValueError("bands= is empty; name one band at least, or leave it out for all.")
    if isinstance(nodata, str) or isinstance(nodata, bool):
        raise TypeError(
            f"nodata={nodata!r} is no number. Write nodata=0 for all bands, or "
            "nodata={'cloud': None} for single ones (None: every value of the band is data)."
        )
    return Request(names, chunks, nodata, missing, make_packing_request(packing, harmonize))


def check_unique(names: Sequence[Hashable], where: str) -> None:
    """Refuse a band that is there twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(
            f"{where} the band {twice[0]!r} {names.count(twice[0])} times; the name of a band has "
            "to be unique, or one would hide the other."
        )


def check_known(asked: Iterable[Hashable] | None, known: Sequence[Hashable], what: str) -> None:
    """Refuse names of bands that the source does not have."""
    for name in asked or ():
        if name not in known:
            close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise KeyError(
                f"{what} no band {name!r}; there are {', '.join(map(repr, known)) or 'none'}.{hint}"
            )


def check_options(
    options: Mapping[str, Any],
    known: Iterable[str],
    reader: str,
    other_words: Mapping[str, str] | None = None,
) -> None:
    """Refuse options that a reader does not know; GDAL's are in capitals."""
    known = list(known)
    for name in options:
        if other_words and name in other_words:
            raise TypeError(f"open_collection() knows no {name}=. Write {other_words[name]}.")
        if name not in known and not name.isupper():
            close = difflib.get_close_matches(name, [*known, *COMMON_OPTIONS], n=1)
            hint = f" Did you mean {close[0]}=?" if close else ""
            raise TypeError(f"neither open_collection() nor {reader} knows {name}=.{hint}")


COMMON_OPTIONS = (
    "bands",
    "chunks",
    "nodata",
    "missing",
    "packing",
    "harmonize",
    "format",
    "groupby",
    "crs",
    "resolution",
    "bbox",
    "geobox",
    "resampling",
    "time",
    "pattern",
    "allow",
)


def check_resampling(resampling: Any, bands: Sequence[str]) -> None:
    """Refuse methods that GDAL does not have, and bands that are not opened."""
    if resampling is None:
        return
    by_band = resampling if isinstance(resampling, Mapping) else {"*": resampling}
    check_known(set(by_band) - {"*"}, bands, "resampling= was given, but there is")
    supported = needed("rasterio.warp", "geotiff", "other grids").SUPPORTED_RESAMPLING
    methods = [method.name for method in supported]
    for method in by_band.values():
        if method not in methods:
            raise ValueError(
                f"resampling={method!r} is not known; it takes {', '.join(map(repr, methods))}."
            )


def sizes_of_chunks(request: Request, usual: Mapping[str, int]) -> dict[Any, Any]:
    """Settle the sizes of chunks on the map; along time each image is one."""
    if request.chunks is None:
        return {**usual}
    chunks = _by_y_and_x(request.chunks)
    if chunks.pop(DIM, 1) not in (1, "auto", -1):
        raise ValueError(
            f"chunks= asks for {request.chunks[DIM]} images in a chunk; images that are read from "
            "files of their own are a chunk each. Leave 'time' out of chunks=."
        )
    return {**usual, **chunks}


def _by_y_and_x(chunks: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
    """Take latitude for y and longitude for x, as a grid in degrees may call them."""
    for degrees, name in IN_DEGREES.items():
        if degrees in chunks and name in chunks:
            raise ValueError(
                f"chunks= has {degrees!r} and {name!r}, which are one dimension. Write one of them."
            )
    return {IN_DEGREES.get(str(dim), dim): size for dim, size in chunks.items()}


def check_number_of_chunks(grid: GeoBox, chunks: Mapping[Any, Any]) -> None:
    """Refuse a grid of so many chunks that to list them alone takes minutes."""
    sides = {"y": grid.shape[0], "x": grid.shape[1]}
    sizes = {dim: chunks.get(dim) for dim in sides}
    number = math.prod(
        -(-side // size) if isinstance(size := sizes[dim], int) and size > 0 else 1
        for dim, side in sides.items()
    )
    if number > MAX_CHUNKS:
        raise ValueError(
            f"the grid has {sides['y']} × {sides['x']} pixels of {abs(grid.resolution.x):g}, which "
            f"is {number} chunks of {sizes['y']} × {sizes['x']} for each image and band; more than "
            f"{MAX_CHUNKS} are not opened. Check the pixel size and shape (resolution=, geobox=, "
            "proj:transform and proj:shape of the items); cut the grid, bbox=...; or take larger "
            "chunks, chunks={'y': 8192, 'x': 8192}."
        )


# ---------------------------------------------------------------------------------------------
# Nodata
# ---------------------------------------------------------------------------------------------

_QUALITY_LIKE = re.compile(
    r"cloud|cld|clp|clear|prob|snow|snw|haze|score|quality|conf|(^|_)cs(_|$)"
)
_CODES = re.compile(r"(^|_)(qa|qc|scl|class|mask|pixel|bits?|flags?)(_|\d|$)")


def check_fits(value: Any, band: Hashable, dtype: Any, said_by: str = "") -> None:
    """Refuse a nodata that no pixel of a band can have, whether the user or a source says it."""
    dtype = np.dtype(dtype)
    if value is not None and dtype.kind in "iu" and not fits(value, dtype):
        limits = np.iinfo(dtype)
        if said_by:
            raise ValueError(
                f"{said_by} says that nodata is {value:.17g} in band {band!r}, which its dtype "
                f"{dtype} ({limits.min} to {limits.max}) cannot hold, so no pixel could have it "
                f"and what is masked cannot be told. Correct it there, or say it: "
                f"nodata={{{band!r}: {limits.min}}}, for instance, or nodata={{{band!r}: None}} if "
                "every value is data."
            )
        raise ValueError(
            f"nodata={value!r} for band {band!r} does not fit its dtype {dtype} ({limits.min} to "
            f"{limits.max}), so no pixel could have it. Give an integer in that range, or None if "
            "every value is data."
        )


def declare(band: xr.DataArray, value: Any) -> xr.DataArray:
    """Let a band declare another nodata, or none."""
    check_fits(value, band.name, band.dtype)
    band = band.copy(deep=False)
    band.attrs = {k: v for k, v in band.attrs.items() if k not in NODATA_NAMES}
    band.encoding = {k: v for k, v in band.encoding.items() if k not in NODATA_NAMES}
    if value is not None:
        band.attrs["_FillValue"] = band.dtype.type(value)
    return band


def warn_of_legal_scores(name: Hashable, nodata: Any, given: bool, stacklevel: int) -> None:
    """Warn where a band that looks like a quality calls a legal score its nodata."""
    text = str(name).lower()
    if given or nodata is None or not _QUALITY_LIKE.search(text) or _CODES.search(text):
        return
    if 0 <= nodata <= 100:
        warnings.warn(
            f"band {name!r} declares nodata = {nodata}, which looks like a legal score: pixels "
            f"that have it count as masked and can never win (0 % cloud is the clearest there "
            f"is). If they are data, write open_collection(..., nodata={{{name!r}: None}}); if "
            f"they are not, nodata={{{name!r}: {nodata}}} says so.",
            UserWarning,
            stacklevel=stacklevel,
        )


# ---------------------------------------------------------------------------------------------
# Images to a collection
# ---------------------------------------------------------------------------------------------


def finish(collection: xr.Dataset, request: Request, what: str) -> xr.Dataset:
    """Choose bands, settle their nodata, and check that the result is a collection."""
    if DIM not in collection.dims and DIM in collection.coords:
        collection = collection.expand_dims(DIM)
    bands = bands_of(collection, DIM)
    if not bands:
        raise ValueError(
            f"{what} has dimensions {', '.join(map(repr, collection.dims)) or 'none'} and no band "
            f"along {DIM!r}: it is no collection of images. Open it with xarray and rename the "
            f"dimension of the images, ds.rename(date={DIM!r}), or add one, "
            f"ds.expand_dims({DIM}=[...])."
        )
    check_known(request.bands, bands, f"{what} has")
    request.check_nodata(bands, f"{what} has")
    _check_chunks(collection, request)
    _check_times(collection, what)
    chosen = list(request.bands or bands)
    _check_one_nodata(collection, chosen, request, what)
    others = [n for n, v in collection.data_vars.items() if DIM not in v.dims]
    collection = collection[[*chosen, *others]]
    new = {n: declare(collection[n], request.nodata_of(n)) for n in chosen if request.overrides(n)}
    collection = _with_crs(collection.assign(new))
    for name in chosen:
        warn_of_legal_scores(name, declared_nodata(collection[name]), name in new, stacklevel=5)
    return collection


def _check_times(collection: xr.Dataset, what: str) -> None:
    """Refuse images without a time among those that have one."""
    times = collection[DIM].values if DIM in collection.coords else np.array([])
    if times.dtype.kind == "M" and np.isnat(times).any():
        places = ", ".join(map(str, np.flatnonzero(np.isnat(times))[:5]))
        raise ValueError(
            f"{what} has images without a time (NaT), at {places} along {DIM!r}: they have no "
            "place among the others. Mend the coordinate, or leave them out. (Zarr format 2 takes "
            "a time that equals the fill value for none.)"
        )


def _check_chunks(collection: xr.Dataset, request: Request) -> None:
    """Refuse sizes of chunks for dimensions that are not there: they would do nothing."""
    in_degrees = [IN_DEGREES[str(dim)] for dim in collection.dims if dim in IN_DEGREES]
    check_dimensions_of_chunks(request, list(collection.dims), in_degrees)


def check_dimensions_of_chunks(
    request: Request, dims: Sequence[Hashable], others: Sequence[Hashable] = ()
) -> None:
    """Refuse sizes of chunks for dimensions that a collection will not have."""
    for dim in request.chunks or ():
        if dim not in dims and dim not in others:
            raise ValueError(
                f"chunks= has {dim!r}, which is no dimension of the collection; there are "
                f"{', '.join(map(repr, dims))}."
            )


def _check_one_nodata(
    collection: xr.Dataset, bands: Sequence[Hashable], request: Request, what: str
) -> None:
    """Refuse bands that declare text as nodata, or two values: only one would be masked."""
    for name in bands:
        text = next((n for n in NODATA_NAMES if is_text(collection[name].attrs.get(n))), None)
        if text is not None and not request.overrides(name):
            raise ValueError(
                f"band {name!r} of {what} declares {text} = "
                f"{str(collection[name].attrs[text])!r}, which is text and no number: what is "
                f"masked cannot be told. Say it, nodata={{{name!r}: 0}} for instance, or "
                f"nodata={{{name!r}: None}} if every value is data."
            )
        said = nodata_values(collection[name])
        if len(said) > 1 and not request.overrides(name):
            told = " and ".join(f"{n} = {v:.17g}" for v, n in said.items())
            raise ValueError(
                f"band {name!r} declares {told}: of several values only one can be masked in a "
                f"band of integers. Say which, nodata={{{name!r}: ...}}, or write "
                "mask_and_scale=True to have all decoded to NaN."
            )


def is_text(value: Any) -> bool:
    """Tell whether a text stands where a number should, and is none itself."""
    if not isinstance(value, str | bytes):
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False


def settled(request: Request, collection: xr.Dataset) -> Request:
    """Take the nodata that a reader has settled on for what was asked for."""
    given = [n for n in bands_of(collection, DIM) if request.overrides(n)]
    return replace(request, nodata={n: declared_nodata(collection[n]) for n in given})


def _with_crs(collection: xr.Dataset) -> xr.Dataset:
    """Make the variables that hold the CRS coordinates, so that every band keeps its CRS."""
    named = {
        text
        for v in collection.data_vars.values()
        for text in (v.attrs.get("grid_mapping"), v.encoding.get("grid_mapping"))
        if isinstance(text, str)
    }
    return collection.set_coords([n for n in collection.data_vars if n in named])


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
            "not, so it cannot be told which bands make an image. Open each kind on its own, and "
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
        The grid of a part, in words.
    otherwise : str
        What to write where images cannot be brought to one packing.
    """
    parts = [_with_crs(part) for part in parts]
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

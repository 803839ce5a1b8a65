"""The second step: how a mosaic lies in its store, its chunks, shards and packing."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from xarray.conventions import encode_cf_variable

from qmosaic.collection.declarations import AS_IT_LIES, NODATA_NAMES
from qmosaic.collection.masks import Array
from qmosaic.collection.pixelwise import of_single_pixels
from qmosaic.engine.attributes import KEPT_ENCODING
from qmosaic.engine.graph import Sight
from qmosaic.sink.cutting import BLOCK_BYTES, is_even
from qmosaic.sink.steps import Encoding, Layout, Sizes
from qmosaic.sink.storable import (
    check_dtypes,
    check_names,
    settle_attributes,
    settle_objects,
)

FREE_PART = 512
"""The side of a part of an array that can be cut anywhere, in pixels."""


def lay_out(
    dataset: xr.Dataset,
    encoding: Mapping[Hashable, Mapping[str, Any]],
    chunks: Sizes | None,
    shards: Sizes | None,
    zarr_format: int,
    block_bytes: int = BLOCK_BYTES,
) -> Layout:
    """Decide how a mosaic is stored.

    Raises
    ------
    ValueError
        Something was asked for that is not in the mosaic, or cannot be stored.
    """
    check_names(dataset)
    _check_encoding(dataset, encoding)
    check_dtypes(dataset, {name for name, given in encoding.items() if "dtype" in given})
    for argument, sizes in (("chunks", chunks), ("shards", shards)):
        _check_sizes(dataset, argument, sizes or {})
    full: Encoding = {}
    units: dict[Hashable, tuple[int, ...]] = {}
    dataset = settle_attributes(settle_objects(dataset))
    blocks = choose_blocks(dataset, block_bytes)
    for name, variable in list(dataset.variables.items()):
        asked = dict(encoding.get(name, {}))
        # Codecs and chunks of the store that a coordinate is from need not fit this one.
        dataset[name].encoding = packing(variable)
        if variable.chunks is None:
            if asked:
                full[name] = packing(variable) | asked
            continue
        own = {d: chunks.get(d, b) for d, b in blocks[name].items()} if chunks else blocks[name]
        units[name] = _choose_sizes(name, variable, asked, own, shards or {}, zarr_format)
        full[name] = packing(variable) | asked
    return Layout(dataset, encode(dataset, full), full, units)


def _check_encoding(dataset: xr.Dataset, encoding: Mapping[Hashable, Mapping[str, Any]]) -> None:
    """Refuse an encoding for what is not there, before a store is made."""
    for name in encoding:
        if name not in dataset.variables:
            known = ", ".join(repr(n) for n in dataset.variables)
            raise ValueError(
                f"to_zarr() got an encoding for {name!r}, which the mosaic does not have; it has "
                f"{known}. Correct the name, or leave it out."
            )


def _check_sizes(dataset: xr.Dataset, name: str, sizes: Sizes) -> None:
    if not isinstance(sizes, Mapping):
        raise ValueError(
            f"{name}={sizes!r} does not say which dimension is meant: write for instance "
            f"{name}={{'y': 1024, 'x': 1024}}."
        )
    for dim, size in sizes.items():
        if dim not in dataset.dims:
            known = ", ".join(repr(d) for d in dataset.dims)
            raise ValueError(
                f"{name}= names the dimension {dim!r}, which the mosaic does not have; it has "
                f"{known}. Correct the name, or leave it out."
            )
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(
                f"{name}={{{dim!r}: {size!r}}} is not a size in pixels: give a whole number above "
                f"0, for instance {name}={{{dim!r}: 1024}}."
            )


def choose_blocks(dataset: xr.Dataset, block_bytes: int) -> dict[Hashable, dict[Hashable, int]]:
    """Choose the chunks that are stored where none are asked for: the blocks of the mosaic. Of
    those that are too large, parts that end where chunks of the sources do; for a band in blocks of
    odd sizes, those of the others."""
    lazy = {name: v for name, v in dataset.variables.items() if v.chunks is not None}
    blocks = {
        name: {d: max(max(c), 1) for d, c in zip(v.dims, v.chunks or (), strict=True)}
        for name, v in lazy.items()
    }
    even = _sizes_of_even_blocks(lazy.values())
    for name, v in lazy.items():
        for dim, sizes in zip(v.dims, v.chunks or (), strict=True):
            if not is_even(sizes):
                blocks[name][dim] = even.get((dim, v.sizes[dim]), blocks[name][dim])
    for name, v in lazy.items():  # bands whose blocks do not fit into each other: as the others
        for dim, block in blocks[name].items():
            usual = even.get((dim, v.sizes[dim]), block)
            if block % usual and usual % block:
                blocks[name][dim] = usual
    large = [
        name
        for name, v in lazy.items()
        if v.dtype.kind != "O" and math.prod(blocks[name].values()) * v.dtype.itemsize > block_bytes
    ]
    if not large:
        return blocks
    dims = {d for name in large for d in lazy[name].dims}
    together = {name: v for name, v in lazy.items() if set(v.dims) <= dims}
    sight = Sight([v.data for v in together.values()])
    parts: dict[Hashable, int] = {}
    for v in together.values():  # bands of one mosaic are cut alike
        for dim, borders in zip(v.dims, sight.borders(v.data.name), strict=True):
            part = _regular(borders, v.sizes[dim])
            parts[dim] = max(part, parts.get(dim, 1))
    itemsize = max(4, *(v.dtype.itemsize for v in together.values()))
    for name in together:
        found = {d: min(parts[d], b) for d, b in blocks[name].items()}
        blocks[name] = _grown(found, blocks[name], block_bytes // itemsize)
    return blocks


def _sizes_of_even_blocks(variables: Iterable[xr.Variable]) -> dict[tuple[Hashable, int], int]:
    """Give the size that most bands have of blocks that are all alike, by dimension and its
    length."""
    found: dict[tuple[Hashable, int], Counter[int]] = defaultdict(Counter)
    for v in variables:
        for dim, sizes in zip(v.dims, v.chunks or (), strict=True):
            if is_even(sizes):
                found[dim, sum(sizes)][max(sizes[0], 1)] += 1
    return {key: max(sizes, key=lambda n: (sizes[n], n)) for key, sizes in found.items()}


def _regular(borders: Any, size: int) -> int:
    """Give the length of the parts between borders, where all but the last are alike; else the
    whole length. Without borders, any length will do."""
    if borders is None:
        return min(size, FREE_PART)
    lengths = np.diff(borders)
    inner = lengths[1:-1]
    part = int(inner[0]) if len(inner) else int(lengths.max(initial=1))
    alike = bool((inner == part).all()) and bool((lengths <= part).all())
    return max(1, part) if alike else max(1, size)


def _grown(
    parts: dict[Hashable, int], whole: dict[Hashable, int], pixels: int
) -> dict[Hashable, int]:
    """Double the sides of a part, the shorter one first, as long as it has no more than so many
    pixels."""
    found = dict(parts)
    while True:
        sides = [d for d in found if found[d] < whole[d]]
        sides = [d for d in sides if math.prod(found.values()) * 2 <= pixels]
        if not sides:
            return found
        shorter = min(sides, key=lambda d: found[d])
        found[shorter] = min(2 * found[shorter], whole[shorter])


def _choose_sizes(
    name: Hashable,
    variable: xr.Variable,
    asked: dict[str, Any],
    chunks: Sizes,
    shards: Sizes,
    zarr_format: int,
) -> tuple[int, ...]:
    """Complete what was asked for with the sizes of chunks and shards; give what is written at
    once."""
    for what in ("chunks", "shards"):
        if asked.get(what) and len(asked[what]) != len(variable.dims):
            raise ValueError(
                f"the encoding of {name!r} asks for {what} {asked[what]!r}, but it has the "
                f"dimensions {', '.join(map(repr, variable.dims))}: give one size for each."
            )
    asked.setdefault("chunks", tuple(chunks[d] for d in variable.dims))
    if shards and not asked.get("shards") and any(d in shards for d in variable.dims):
        asked["shards"] = tuple(
            shards.get(d, c) for d, c in zip(variable.dims, asked["chunks"], strict=True)
        )
    if not asked.get("shards"):
        return tuple(asked["chunks"])
    if zarr_format == 2:
        raise ValueError(
            "shards were asked for, which format 2 of Zarr does not have. Write format 3 "
            "(zarr_format=3), or larger chunks."
        )
    for dim, shard, chunk in zip(variable.dims, asked["shards"], asked["chunks"], strict=True):
        if shard % chunk:
            raise ValueError(
                f"{name!r} cannot have shards of {shard} along {dim!r} with chunks of {chunk}: a "
                f"shard holds whole chunks. Ask for shards of {max(1, shard // chunk) * chunk}, or "
                f"for chunks that divide {shard} (chunks={{{dim!r}: ...}})."
            )
    return tuple(asked["shards"])


def packing(variable: xr.Variable) -> dict[str, Any]:
    """Say again how values are packed: an encoding that xarray is given replaces the own one."""
    return {k: v for k, v in variable.encoding.items() if k in KEPT_ENCODING}


def encode(dataset: xr.Dataset, encoding: Encoding) -> xr.Dataset:
    """Bring lazy variables into the values that are stored, as xarray does it."""
    encoded = {}
    for name, variable in dataset.variables.items():
        if variable.chunks is not None:
            own = {k: v for k, v in encoding[name].items() if k not in ("chunks", "shards")}
            bare = xr.Variable(variable.dims, variable.data, variable.attrs, own)
            if variable.dtype.kind == "O":  # texts; xarray would compute one to be sure
                encoded[name] = bare
                continue
            if is_stored_as_it_lies(bare):
                data = bare.data.map_blocks(_as_numbers, dtype=np.int64)
                rest = {k: v for k, v in own.items() if k not in (*AS_IT_LIES, "dtype")}
                encoded[name] = xr.Variable(bare.dims, data, bare.attrs | AS_IT_LIES, rest)
                continue
            try:
                encoded[name] = encode_cf_variable(bare, name=name)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"band {name!r} cannot be stored as its attributes and its encoding say "
                    f"(dtype {variable.dtype}, {_in_words(bare)}): {error}. Correct them, or take "
                    f"them away: mosaic[{name!r}].attrs, mosaic[{name!r}].encoding."
                ) from error
    return xr.Dataset(encoded)


def is_stored_as_it_lies(variable: xr.Variable) -> bool:
    """Whether times are stored as the numbers that they are in memory."""
    encoding = variable.encoding
    return (
        variable.dtype == np.dtype("datetime64[ns]")
        and np.dtype(encoding.get("dtype", "float64")) == np.dtype("int64")
        and AS_IT_LIES.items() <= encoding.items()
        and not any(key in encoding or key in variable.attrs for key in NODATA_NAMES)
    )


@of_single_pixels
def times_of(numbers: Array) -> Array:
    """Give the times that are stored as such numbers."""
    return numbers.view("datetime64[ns]")


@of_single_pixels
def _as_numbers(times: Array) -> Array:
    return times.view(np.int64)


def _in_words(variable: xr.Variable) -> str:
    """Say how a variable is packed."""
    said = {k: v for k, v in {**variable.attrs, **variable.encoding}.items() if k in KEPT_ENCODING}
    return ", ".join(f"{k} {v!r}" for k, v in said.items()) or "not packed"

"""The second step: how a mosaic lies in its store, its chunks, shards and packing."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import xarray as xr
from xarray.conventions import encode_cf_variable

from qmosaic.engine.attributes import KEPT_ENCODING
from qmosaic.sink.steps import Encoding, Layout, Sizes
from qmosaic.sink.storable import check_dtypes, check_names, settle_attributes, settle_objects


def lay_out(
    dataset: xr.Dataset,
    encoding: Mapping[Hashable, Mapping[str, Any]],
    chunks: Sizes | None,
    shards: Sizes | None,
    zarr_format: int,
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
    for name, variable in list(dataset.variables.items()):
        asked = dict(encoding.get(name, {}))
        # Codecs and chunks of the store that a coordinate is from need not fit this one.
        dataset[name].encoding = _packing(variable)
        if variable.chunks is None:
            if asked:
                full[name] = _packing(variable) | asked
            continue
        units[name] = _choose_sizes(name, variable, asked, chunks or {}, shards or {}, zarr_format)
        full[name] = _packing(variable) | asked
    return Layout(dataset, _encode(dataset, full), full, units)


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
    blocks = [max(max(c), 1) for c in variable.chunks or ()]
    for what in ("chunks", "shards"):
        if asked.get(what) and len(asked[what]) != len(variable.dims):
            raise ValueError(
                f"the encoding of {name!r} asks for {what} {asked[what]!r}, but it has the "
                f"dimensions {', '.join(map(repr, variable.dims))}: give one size for each."
            )
    own = [chunks.get(d, b) for d, b in zip(variable.dims, blocks, strict=True)]
    asked.setdefault("chunks", tuple(own))
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


def _packing(variable: xr.Variable) -> dict[str, Any]:
    """Say again how values are packed: an encoding that xarray is given replaces the own one."""
    return {k: v for k, v in variable.encoding.items() if k in KEPT_ENCODING}


def _encode(dataset: xr.Dataset, encoding: Encoding) -> xr.Dataset:
    """Bring lazy variables into the values that are stored, as xarray does it."""
    encoded = {}
    for name, variable in dataset.variables.items():
        if variable.chunks is not None:
            own = {k: v for k, v in encoding[name].items() if k not in ("chunks", "shards")}
            bare = xr.Variable(variable.dims, variable.data, variable.attrs, own)
            if variable.dtype.kind == "O":  # texts; xarray would compute one to be sure
                encoded[name] = bare
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


def _in_words(variable: xr.Variable) -> str:
    """Say how a variable is packed."""
    said = {k: v for k, v in {**variable.attrs, **variable.encoding}.items() if k in KEPT_ENCODING}
    return ", ".join(f"{k} {v!r}" for k, v in said.items()) or "not packed"

"""What lies in a store or a source, as text and for programs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

import qmosaic as qm
from qmosaic.cli.reporting import rows
from qmosaic.cli.stores import store_at

PREFIX = "qmosaic_"
SOON_READ = 4_000_000
"""How many pixels are read again at most to see whether any of them has an image."""

ORIGINS = ("source_index", "source_time", "valid_count")


@dataclass(frozen=True)
class State:
    """A mosaic in a store, complete or not.

    Attributes
    ----------
    mosaic : xarray.Dataset or None
        It; the integers as they are stored. None where it was not opened.
    complete : bool
        Whether all blocks are there.
    done, blocks : int or None
        How many blocks are there, and of how many; None where it is complete.
    updating : bool
        Whether it is an update that is not complete.
    """

    mosaic: xr.Dataset | None
    complete: bool
    done: int | None = None
    blocks: int | None = None
    updating: bool = False


def state_of(text: str, group: str | None = None) -> State:
    """Open what lies in a store, and tell whether it is complete.

    Raises
    ------
    FileNotFoundError
        Nothing is there.
    ValueError
        It was not written by `to_zarr`.
    """
    store = store_at(text)
    options: dict[str, Any] = {"mask_and_scale": False, "group": group}
    try:
        return State(qm.open_mosaic(store, **options), True)
    except qm.IncompleteMosaicError as error:
        try:
            part = qm.open_mosaic(store, allow_incomplete=True, **options)
        except Exception:  # a layout of which not everything is there
            part = None
        return State(part, False, error.done, error.blocks, error.updating)


def about(text: str, state: State, group: str | None = None) -> dict[str, Any]:
    """Describe a mosaic for a program."""
    found: dict[str, Any] = {"store": text, "kind": "mosaic", "complete": state.complete}
    if not state.complete:
        found |= {"blocks": {"done": state.done, "total": state.blocks}}
        found |= {"updating": state.updating, "resume": how_to_resume(text, state)}
    if state.mosaic is not None:
        rules = _rules(state.mosaic)
        found |= _grid(state.mosaic) | {"bands": _bands(state.mosaic)}
        found |= {"levels": _levels(text, state)}
        found |= {"multiscale": is_multiscale(text, group)}
        found |= {"provenance": _provenance(state.mosaic)}
        found |= {"images": rules.pop("images", None), "rules": rules}
        found |= _periods(state.mosaic)
    return found


def quality_bands(mosaic: xr.Dataset) -> list[str]:
    """Name the bands that order the images of a mosaic, the first one first."""
    found = _rules(mosaic).get("quality_band", [])
    return [found] if isinstance(found, str) else [str(name) for name in found]


def expression_of(mosaic: xr.Dataset, name: str) -> str | None:
    """Give the expression that a band was made of; None where the store does not say."""
    text = mosaic[name].attrs.get("expression") if name in mosaic.data_vars else None
    return None if text is None else str(text)


def how_to_resume(text: str, state: State) -> str:
    """Say by which command an incomplete mosaic goes on."""
    text = shlex.quote(text)
    if state.updating:
        return f"qmosaic update {text} SOURCE{_quality_of(state)}, with the same images"
    quality = _quality_of(state)
    return f"qmosaic mosaic SOURCE{quality} --out {text} --resume, as it was called before"


def _quality_of(state: State) -> str:
    """Give the options that order the images as those of a store are ordered."""
    names = [] if state.mosaic is None else quality_bands(state.mosaic)
    texts = [expression_of(state.mosaic, name) for name in names if state.mosaic is not None]
    if not texts or None in texts:
        return " --quality EXPR"
    return "".join(f" --quality {shlex.quote(str(text))}" for text in texts)


def about_images(text: str, collection: xr.Dataset, timeless: bool = False) -> dict[str, Any]:
    """Describe a collection for a program; or an image that has no time."""
    images = collection.sizes["time"]
    found: dict[str, Any] = {"source": text, "kind": "collection", "images": images}
    if timeless:
        found = {"source": text, "kind": "image"}
        collection = collection.isel(time=0, drop=True)
        return found | _grid(collection) | {"bands": _bands(collection)}
    if collection["time"].dtype.kind == "M":
        found |= {"first": _time(collection["time"].min()), "last": _time(collection["time"].max())}
    return found | _grid(collection) | {"bands": _bands(collection)}


def _time(value: Any) -> str:
    return str(np.datetime_as_string(np.asarray(value).astype("M8[s]"), unit="auto"))


def _rules(mosaic: xr.Dataset) -> dict[str, Any]:
    holders = [mosaic.attrs, *(b.attrs for b in mosaic.data_vars.values())]
    attrs = next((a for a in holders if f"{PREFIX}quality_band" in a), mosaic.attrs)
    return {
        str(name).removeprefix(PREFIX): value
        for name, value in attrs.items()
        if str(name).startswith(PREFIX)
    }


def _map_of(data: xr.Dataset) -> xr.DataArray | None:
    """Give a band that lies on the map."""
    flat = [band for band in data.data_vars.values() if band.ndim >= 2]
    return max(flat, key=lambda band: band.ndim, default=None)


def _grid(data: xr.Dataset) -> dict[str, Any]:
    """Tell size, CRS, resolution and bounds of a map."""
    band = _map_of(data)
    found: dict[str, Any] = {"sizes": dict(data.sizes), "crs": crs_of(data)}
    if band is None:
        return found
    edges = []
    for dim in band.dims[-2:][::-1]:
        values = data[dim].values if dim in data.coords else np.arange(0)
        if values.size < 2 or values.dtype.kind not in "iuf":
            return found
        edges.append((float(values[0]), float(values[-1]), float(values[1] - values[0])))
    (left, right, across), (top, bottom, down) = edges
    box = [left - across / 2, bottom + down / 2, right + across / 2, top - down / 2]
    west, east = sorted((box[0], box[2]))
    south, north = sorted((box[1], box[3]))
    return found | {
        "resolution": [abs(down), abs(across)],
        "bounds": [west, south, east, north],
    }


def crs_of(data: xr.Dataset) -> str | None:
    """Name the CRS: its code, or what its WKT calls it."""
    holders = [data[name].attrs for name in data.variables if "crs_wkt" in data[name].attrs]
    holders += [v.attrs for v in data.variables.values() if "spatial_ref" in v.attrs]
    if not holders:
        return None
    text = str(holders[0].get("crs_wkt", holders[0].get("spatial_ref")))
    code = re.search(r'(?:ID|AUTHORITY)\["(\w+)",\s*"?(\w+)"?\]\]\s*$', text)
    if code:
        return f"{code[1]}:{code[2]}"
    name = re.match(r'\s*\w+\["([^"]+)"', text)
    return name[1] if name else text


def _bands(data: xr.Dataset) -> dict[str, Any]:
    found = {}
    for name, band in data.data_vars.items():
        both = {**band.encoding, **band.attrs}
        found[str(name)] = {
            key: value
            for key, value in {
                "dtype": str(band.dtype),
                "dims": list(band.dims),
                "nodata": both.get("_FillValue"),
                "scale": both.get("scale_factor"),
                "offset": both.get("add_offset"),
                "expression": band.attrs.get("expression"),
            }.items()
            if value is not None
        }
    return found


def _levels(text: str, state: State) -> list[dict[str, int]]:
    """Give the sizes of the levels of a store, the full resolution first."""
    assert state.mosaic is not None
    band = _map_of(state.mosaic)
    dims = [] if band is None else band.dims[-2:]
    return [{str(dim): level.sizes[dim] for dim in dims} for level in levels(text, state)]


def levels(text: str, state: State) -> list[xr.Dataset]:
    """Open the levels of a mosaic, the finest first."""
    assert state.mosaic is not None
    found = [state.mosaic]
    while state.complete:
        try:
            found.append(qm.open_mosaic(store_at(text), level=len(found), mask_and_scale=False))
        except (ValueError, KeyError, TypeError, IndexError, OSError):
            break
    return found


def is_multiscale(text: str, group: str | None = None) -> bool:
    """Tell whether the full resolution is in the group "0", where overviews have their place."""
    import zarr

    try:
        return "0" in zarr.open_group(store_at(text), path=group, mode="r")
    except Exception:  # it has no group there; that it can be opened was seen before
        return False


def _provenance(mosaic: xr.Dataset) -> list[str]:
    """Name the coordinates that say where pixels come from, those of bands too."""
    return sorted(str(n) for n in mosaic.coords if str(n).endswith(ORIGINS))


def _periods(mosaic: xr.Dataset) -> dict[str, Any]:
    if "time" not in mosaic.dims:
        return {}
    return {"periods": [_time(value) for value in mosaic["time"]]}


def is_empty(image: xr.Dataset) -> bool | None:
    """Tell whether no pixel has an image, as far as that is soon seen.

    Parameters
    ----------
    image : xarray.Dataset
        A mosaic, its integers as they are stored.

    Returns
    -------
    bool or None
        None where the map is large, or no nodata tells what is masked.
    """
    bands = [image[n] for n in quality_bands(image)[:1] if n in image.data_vars]
    if "valid_count" in image.coords:
        bands = [image["valid_count"].where(image["valid_count"] > 0)]
    bands = bands or list(image.data_vars.values())
    if sum(band.size for band in bands) > SOON_READ:
        return None
    known = [valid for valid in map(_valid, bands) if valid is not None]
    if any(bool(valid.any()) for valid in known):
        return False
    return True if known and len(known) == len(bands) else None


def _valid(band: xr.DataArray) -> xr.DataArray | None:
    """Tell where a band has a value; None where nothing declares what it has elsewhere."""
    nodata = {**band.encoding, **band.attrs}.get("_FillValue")
    if nodata is None and band.dtype.kind != "f":
        return None
    return band.notnull() if nodata is None else band.notnull() & (band != nodata)


# -- for people ----------------------------------------------------------------------------------


def as_text(found: Mapping[str, Any]) -> str:
    """Write a description for people."""
    return rows(
        {
            found["kind"]: found.get("store", found.get("source")),
            "state": _state_text(found),
            "go on with": found.get("resume"),
            "map": _map_text(found),
            "images": _images_text(found),
            "periods": _periods_text(found),
            "bands": "\n".join(_band_text(n, b) for n, b in found.get("bands", {}).items()),
            "levels": _levels_text(found),
            "provenance": ", ".join(found.get("provenance", [])),
            "rules": _rules_text(found),
        }
    )


def _state_text(found: Mapping[str, Any]) -> str:
    if "complete" not in found:
        return ""
    if found["complete"]:
        return "complete"
    blocks = found["blocks"]
    if found["updating"]:
        return (
            f"not complete: an update was interrupted or is going on, {blocks['done']} blocks done"
        )
    return f"not complete: {blocks['done']} of {blocks['total']} blocks are there"


def _map_text(found: Mapping[str, Any]) -> str:
    sizes = {n: s for n, s in found.get("sizes", {}).items() if n not in ("time", "rank", "band")}
    if not sizes:
        return ""
    text = " × ".join(str(size) for size in sizes.values()) + f" pixels ({', '.join(sizes)})"
    if "resolution" in found:
        down, across = found["resolution"]
        text += f" of {across:g}" if down == across else f" of {across:g} × {down:g}"
    text += f", {found['crs']}" if found.get("crs") else ", no CRS"
    if "bounds" in found:
        text += "\n" + "bounds " + ", ".join(f"{value:.10g}" for value in found["bounds"])
    return text


def _images_text(found: Mapping[str, Any]) -> str:
    if not found.get("images"):
        return ""
    rules = found.get("rules", {})
    first = found.get("first") or rules.get("time_first")
    last = found.get("last") or rules.get("time_last")
    text = f"{found['images']}" + (f", {first} to {last}" if first else "")
    return text.replace("T00:00:00", "")


def _periods_text(found: Mapping[str, Any]) -> str:
    periods = found.get("periods", [])
    return f"{len(periods)}, from {periods[0]} to {periods[-1]}" if periods else ""


def _band_text(name: str, band: Mapping[str, Any]) -> str:
    text = f"{name}  {band['dtype']}"
    nodata = band.get("nodata")
    text += "" if nodata is None or nodata != nodata else f", nodata {nodata}"
    text += f", scale {band['scale']}" if "scale" in band else ""
    text += f", offset {band['offset']}" if "offset" in band else ""
    return text + (f", made of {band['expression']}" if "expression" in band else "")


def _levels_text(found: Mapping[str, Any]) -> str:
    sizes = found.get("levels", [])
    texts = [" × ".join(str(size) for size in level.values()) for level in sizes]
    if not found.get("multiscale"):
        return f"{len(texts)}: {', '.join(texts)}" if len(texts) > 1 else ""
    groups = 'groups "0", "1", ...' if len(texts) > 1 else 'the group "0"'
    return f"{len(texts)}: {', '.join(texts)}\nfor xarray {groups}"


def _rules_text(found: Mapping[str, Any]) -> str:
    known = ("time_first", "time_last", "images", "skipped", "provenance", "incomplete")
    rules = {name: value for name, value in found.get("rules", {}).items() if name not in known}
    quality = rules.get("quality_band")
    if quality is not None:
        names = [quality] if isinstance(quality, str) else list(quality)
        made = {n: found.get("bands", {}).get(str(n), {}).get("expression") for n in names}
        texts = [f"{n}" if text is None else f"{n} = {text}" for n, text in made.items()]
        rules["quality_band"] = " then ".join(texts)
    return ", ".join(f"{name} {value}" for name, value in rules.items())

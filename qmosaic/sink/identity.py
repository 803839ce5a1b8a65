"""What makes a mosaic the mosaic that it is, and how two of them differ.

A run that goes on with a store has to make the very mosaic that is half written there.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import dask
import xarray as xr
from dask.base import tokenize

from qmosaic.collection.declarations import PREFIX
from qmosaic.engine.graph import Web
from qmosaic.sink.cutting import Plan
from qmosaic.sink.journal import FORMAT
from qmosaic.sink.multiscale import Pyramid

UPDATABLE = 1
"""The version of what a mosaic that can be updated knows of itself."""

SECTIONS = {
    "format": "storage",
    "rules": "rules",
    "grid": "grid",
    "bands": "bands",
    "static": "variables without images",
    "attributes": "attributes",
    "inputs": "inputs",
    "expression": "computation",
    "blocks": "blocks",
    "updatable": "updates",
}
"""What is compared, in the order in which differences are told, and what it is called."""


def identify(
    dataset: xr.Dataset,
    encoding: Mapping[Hashable, Mapping[str, Any]],
    zarr_format: int,
    inputs: str | None,
    web: Web,
    plan: Plan,
    updatable: bool = False,
    pyramid: Pyramid | None = None,
) -> dict[str, Any]:
    """Describe a mosaic.

    Parameters
    ----------
    dataset : xarray.Dataset
        What is to be written.
    encoding : mapping
        How each variable is stored.
    zarr_format : int
        2 or 3.
    inputs : str, optional
        A name for the inputs, in place of where they lie and what they say of themselves.
    web : Web
        What stands behind the variables of the dataset.
    plan : Plan
        How it is cut into jobs: the journal knows them by their numbers.
    updatable : bool, default: False
        Whether it can be updated later.
    pyramid : Pyramid, optional
        Its overviews.

    Returns
    -------
    dict
        Of strings and dicts of strings, as JSON keeps them.
    """
    lazy = {n: v for n, v in dataset.variables.items() if v.chunks is not None}
    memory = {n: v for n, v in dataset.variables.items() if v.chunks is None}
    on_grid = set(dataset.coords)
    names = {str(n): inputs or web.inputs(n) for n in lazy}
    made = {str(n): inputs or web.token(n) for n in lazy}
    found: dict[str, Any] = {
        "format": {"the format of Zarr": zarr_format} | (pyramid.said() if pyramid else {}),
        "rules": {k: v for k, v in dataset.attrs.items() if str(k).startswith(PREFIX)},
        "grid": {str(n): token_of(v) for n, v in memory.items() if n in on_grid},
        "bands": {
            str(n): f"{v.dtype} {dict(zip(map(str, v.dims), v.shape, strict=True))}, stored as "
            f"{_in_words(encoding.get(n, {}))}"
            for n, v in lazy.items()
        },
        "static": {str(n): token_of(v) for n, v in memory.items() if n not in on_grid},
        "attributes": _attributes(dataset, encoding),
        "inputs": names,
        "expression": made,
        "blocks": {
            ", ".join(str(v.name) for v in group.variables): {
                str(dim): length for dim, length in group.box.items()
            }
            for group in plan.groups
        },
        "updatable": {"version": UPDATABLE} if updatable else {},
        "dask": dask.__version__,
        # not compared: a store lists its members in any order, and is opened in this one
        "order": [str(name) for name in dataset.data_vars],
    }
    plain: dict[str, Any] = _as_json(found)
    return plain


def _attributes(dataset: xr.Dataset, encoding: Mapping[Hashable, Mapping[str, Any]]) -> Any:
    """Give all attributes but the rules, and how variables in memory are stored: "band.name"."""
    found = {str(k): v for k, v in dataset.attrs.items() if not str(k).startswith(PREFIX)}
    for name, variable in dataset.variables.items():
        found |= {f"{name}.{key}": value for key, value in variable.attrs.items()}
        if variable.chunks is None:
            stored = {**variable.encoding, **encoding.get(name, {})}
            found |= {f"{name}.{key} as stored": value for key, value in stored.items()}
    return {name: _as_text(value) for name, value in found.items()}


def _as_text(value: Any) -> Any:
    """Give what JSON keeps as it is, and texts for the rest."""
    return _as_json(value.tolist() if hasattr(value, "tolist") else value)


def _as_json(value: Any) -> Any:
    """Give what comes back when it is read again; NaN, unequal to itself, becomes a text."""
    return json.loads(json.dumps(value, default=str, sort_keys=True), parse_constant=str)


def token_of(variable: xr.Variable) -> str:
    """Name the values of a variable in memory."""
    return str(tokenize(variable.dims, variable.values, str(variable.dtype)))


def _in_words(encoding: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in sorted(encoding.items())) or "it is"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Tell how two descriptions differ, in words; nothing where they do not.

    What follows from another difference (other inputs make another computation) is left out.
    """
    for section, title in SECTIONS.items():
        found = list(_differing(title, old.get(section, {}), new[section]))
        if found and section in ("inputs", "expression") and old.get("dask") != new["dask"]:
            found.append(
                f"dask was {old.get('dask')}, is {new['dask']}, which may name the same inputs "
                "otherwise"
            )
        if found:
            return found
    return []


def _differing(title: str, old: Any, new: Any) -> Iterator[str]:
    opaque = title not in ("rules", "bands", "storage", "attributes", "blocks")
    both = [name for name in sorted(set(old) & set(new)) if old[name] != new[name]]
    if opaque and len(both) > 1:  # one cause, as a rule: the quality that chooses for all bands
        every = "all bands" if len(both) == len(new) else ", ".join(map(repr, both))
        yield f"{title}: those of {every} are others"
        old, new = ({n: v for n, v in said.items() if n not in both} for said in (old, new))
    for name in sorted(set(old) | set(new)):
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        if was is None or now is None:
            yield f"{title}: {name!r} is only in the {'mosaic' if was is None else 'store'}"
        elif opaque:
            yield f"{title}: those of {name!r} are others"
        else:
            yield f"{title}: {name} was {was!r}, is {now!r}"


def check_format(found: Mapping[str, Any], name: str) -> None:
    """Refuse a journal that another version has written.

    Raises
    ------
    ValueError
        It has another format.
    """
    if found.get("format") != FORMAT:
        raise ValueError(
            f"the store {name!r} was begun in version {found.get('format')!r} of the journal's "
            f"format, this is version {FORMAT}: its state cannot be understood. Go on with the "
            "version of qmosaic that began it, or write anew with mode='w'."
        )

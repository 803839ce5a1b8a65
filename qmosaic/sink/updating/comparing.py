"""What does not fit the mosaic is refused: other rules, bands, packing, grid; images twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import zarr
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from qmosaic.collection.declarations import SOURCE_INDEX
from qmosaic.engine.continuing import FIRST, IMAGES, LAST, Continuation, as_label
from qmosaic.sink.steps import Layout, Request
from qmosaic.sink.template import OWN, write_template
from qmosaic.sink.updating.past import Stored, dims_of

CHANGING = (IMAGES, FIRST, LAST, *OWN)
"""Attributes of a mosaic that an update changes, or that speak of one writing."""

SHOWN = 3
"""How many differences an error tells."""

WIDTH = 80
"""How many characters of an attribute an error shows at most."""

UNITS = ("units", "calendar")
"""Attributes of times that follow from their values, where these are written anew."""


def check_fits(request: Request, layout: Layout, stored: Stored) -> None:
    """Refuse new images whose mosaic would not be stored as the one that is there.

    Parameters
    ----------
    request, layout : Request, Layout
        The mosaic of the new images, as it would lie in the store.
    stored : Stored
        The one that is there.

    Raises
    ------
    ValueError
        Bands, packing, attributes or the grid differ; the error says how.
    """
    files: dict[str, Buffer] = {}
    write_template(layout, request, MemoryStore(files))
    path = stored.place.arrays
    new = zarr.open_group(MemoryStore(files), path=path, mode="r", use_consolidated=False)
    old = zarr.open_group(stored.place.store, path=path, mode="r", use_consolidated=False)
    lazy = {str(n) for n, v in layout.dataset.variables.items() if v.chunks is not None}
    growing = None if stored.past.periods is None else str(stored.raw[SOURCE_INDEX].dims[0])
    found = list(_differences(old, new, lazy, growing))
    if found:
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        listed = "; ".join(found[:SHOWN])
        raise ValueError(
            f"update() got images that do not fit the mosaic in {stored.place.name!r}, so they "
            f"could not have been among its images: {listed}{more}. Make the new images as those "
            "of the mosaic were made (the same bands, expressions, dtypes, nodata, packing and "
            "grid), or write the mosaic anew from all of them."
        )


def _differences(
    old: zarr.Group, new: zarr.Group, lazy: set[str], growing: str | None
) -> Iterator[str]:
    before, after = dict(old.arrays()), dict(new.arrays())
    for name in sorted(set(before) ^ set(after)):
        kind = "band" if name in lazy or name in before else "variable"
        yield f"{kind} {name!r} is only in the {'store' if name in before else 'new images'}"
    yield from _differing("attribute", old.attrs.asdict(), new.attrs.asdict())
    # the grid first: what differs there differs in all bands
    for name in sorted(set(before) & set(after), key=lambda name: (name in lazy, name)):
        yield from _differing_arrays(name, before[name], after[name], name in lazy, growing)


def _differing_arrays(
    name: str, old: Any, new: Any, lazy: bool, growing: str | None
) -> Iterator[str]:
    dims, wanted = dims_of(old), dims_of(new)
    if dims != wanted:
        yield f"{name!r} has the dimensions {dims} in the store and {wanted} now"
        return
    before, after = old.attrs.asdict(), new.attrs.asdict()
    # another expression is why the dtype differs
    yield from _differing(f"{name}.", _texts(before), _texts(after))
    if old.dtype != new.dtype:
        yield f"{name!r} is stored as {old.dtype}, and would be as {new.dtype}"
        return
    there, now = (
        {d: n for d, n in zip(dims, a.shape, strict=True) if d != growing} for a in (old, new)
    )
    if there != now:
        yield f"{name!r} has {there} pixels in the store, and {now} now"
        return
    if repr(old.fill_value) != repr(new.fill_value):
        yield f"{name!r} has {old.fill_value!r} where nothing is stored, and not {new.fill_value!r}"
    anew = not lazy and growing in dims
    left_out = {*(UNITS if anew else ()), *_texts(before), *_texts(after)}
    before, after = (
        {k: v for k, v in attrs.items() if k not in left_out} for attrs in (before, after)
    )
    yield from _differing(f"{name}.", before, after)
    if not lazy and not anew and not _same(old[...], new[...]):
        yield f"{name!r} has other values (another grid?)"


def _texts(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Pick what says how a band was made."""
    return {key: attrs[key] for key in ("expression",) if key in attrs}


def _same(old: Any, new: Any) -> bool:
    old, new = np.asarray(old), np.asarray(new)
    if old.dtype.kind in "fc":
        return bool(np.array_equal(old, new, equal_nan=True))
    return bool(np.array_equal(old, new))


def _differing(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(set(old) | set(new)):
        was, now = old.get(key), new.get(key)
        if key in CHANGING or repr(was) == repr(now):
            continue
        title = f"{what}{key}" if what.endswith(".") else f"{what} {key!r}"
        if key in old and key in new:
            was, now = _around_the_first_difference(repr(was), repr(now))
            yield f"{title} was {was}, is {now}"
        else:
            where, value = ("store", was) if key in old else ("new images", now)
            yield f"{title} is only in the {where} ({value!r:.{WIDTH}})"


def _around_the_first_difference(was: str, now: str) -> list[str]:
    """Cut long texts so that one can see what differs."""
    alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(was, now, strict=False))
    same = sum(1 for _ in alike)
    begin = max(0, same - WIDTH // 2) if max(len(was), len(now)) > WIDTH else 0
    return [
        f"{'…' * (begin > 0)}{text[begin : begin + WIDTH]}{'…' * (begin + WIDTH < len(text))}"
        for text in (was, now)
    ]


def check_times(stored: Stored, continuation: Continuation, again: bool) -> list[str]:
    """Refuse images that the mosaic has already, as far as their times tell.

    Parameters
    ----------
    stored : Stored
        The mosaic.
    continuation : Continuation
        The new images.
    again : bool
        Whether other images of known times are wanted.

    Returns
    -------
    list of str
        The times of the new images, as the journal keeps them.

    Raises
    ------
    ValueError
        The mosaic has an image of such a time.
    """
    dim = continuation.dim
    if dim not in continuation.images.indexes:
        return []
    index = continuation.images.indexes[dim]
    own = [str(label) for label in index]
    known = set(stored.state.get("taken", ()))
    known |= {str(as_label(t, index)) for t in (stored.past.first, stored.past.last) if t}
    twice = [label for label in dict.fromkeys(own) if label in known]
    if twice and not again:
        listed = ", ".join(twice[:3]) + (f" and {len(twice) - 3} more" if len(twice) > 3 else "")
        raise ValueError(
            f"update() got images of {listed} along {dim!r}, and the mosaic in "
            f"{stored.place.name!r} has images of the same times: they would be counted twice. "
            f"Leave them out, new_images.drop_sel({dim}=[...]); or, if they are others (further "
            "tiles of the same moment), write same_times=True."
        )
    return own

"""Which sources answer at once, as far as that can be told by their kind.

Arrays are wrapped by xarray, which keeps what it wraps in attributes that are not documented:
``array`` and ``_array``. ``tests/engine/test_reading_ahead.py`` would notice a change.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import zarr
from zarr.storage import LocalStore, MemoryStore, ZipStore

AT_ONCE = (LocalStore, MemoryStore, ZipStore)
"""Stores in files and in memory. Not what is derived from them: it may do as it likes."""

ONE_AT_A_TIME = ("NetCDF4ArrayWrapper", "H5NetCDFArrayWrapper", "ScipyArrayWrapper")
"""What xarray reads NetCDF with, under a lock: several threads would wait for each other."""

WRAPPED = 16
"""How often an array may be wrapped."""


def answers_at_once(source: Any) -> bool:
    """Whether chunks of a source come as fast as they can be decoded; False where that is not
    known."""
    for _ in range(WRAPPED):
        if isinstance(source, np.ndarray | np.generic) or type(source).__name__ in ONE_AT_A_TIME:
            return True
        if isinstance(source, zarr.Array):
            return type(source.store) in AT_ONCE
        inner = getattr(source, "array", None)
        source = getattr(source, "_array", None) if inner is None else inner
        if source is None:
            return False
    return False

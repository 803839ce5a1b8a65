"""Warnings that point at the user's own line, however deep in here they arise."""

from __future__ import annotations

import inspect
import warnings


def warn(text: str) -> None:
    """Warn, and name the line outside of this package from which it was called."""
    warnings.warn(text, UserWarning, stacklevel=_depth() + 1)


def _depth() -> int:
    """Count the frames of this package that lie upon the user's, from that of `warn` on."""
    package = __name__.split(".")[0]
    frame = inspect.currentframe()
    frame = frame.f_back if frame is not None else None  # that of `warn`
    depth = 0
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] == package:
        frame, depth = frame.f_back, depth + 1
    return depth

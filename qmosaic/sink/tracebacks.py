"""Errors without the frames of libraries in their traceback.

An error about a chunk names image, band, chunk and store. What lies between `qmosaic.to_zarr` and
the chunk (threads, dask, xarray, zarr) would be pages of frames that tell a reader nothing.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path
from types import TracebackType
from typing import TypeVar

Error = TypeVar("Error", bound=BaseException)

LIBRARIES = (str(Path(__file__).parents[1]), *sysconfig.get_paths().values())
"""Where the code of libraries lies, and our own."""


def without_insides(error: Error) -> Error:
    """Give an error without the frames inside the library.

    What it was raised from stays: a line for each, and the frames from the first one on that is
    in code of a user's.
    """
    cause = error.__cause__
    while cause is not None:
        cause.__traceback__ = _from_users_code(cause.__traceback__)
        cause.__suppress_context__ = True
        cause = cause.__cause__
    return error.with_traceback(None)


def _from_users_code(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and _is_library(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return frames


def _is_library(file: str) -> bool:
    compiled = file.endswith((".pyx", ".pxd"))
    installed = "site-packages" in file or "dist-packages" in file  # of a worker elsewhere, too
    return compiled or installed or file.startswith((*LIBRARIES, "<frozen "))

"""The overviews of a mosaic: written after it, each from the one before.

A level is a mosaic of its own in the group of the whole one, with jobs and a journal, so a writing
that was interrupted goes on with it. The whole mosaic is complete when all of them are.

============ ==============================================
``building`` the levels of a mosaic, one after the other
``halving``  a map in pixels twice as large
============ ==============================================
"""

from qmosaic.sink.levels.building import build_levels

__all__ = ["build_levels"]


def __dir__() -> list[str]:
    return __all__

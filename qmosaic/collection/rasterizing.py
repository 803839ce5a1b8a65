"""Which pixels of a block lie in a shape, without looking at each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qmosaic.collection.masks import Array
from qmosaic.optional import needed

LEAF = 32
"""Rows and columns of a part of a block that is looked at pixel by pixel."""


@dataclass(frozen=True)
class Places:
    """Where pixels lie that are to be looked at: points, or boxes.

    Attributes
    ----------
    rows, columns : (numpy.ndarray, numpy.ndarray)
        For each row and column its lower and upper bound: twice the centre, or the edges.
    """

    rows: tuple[Array, Array]
    columns: tuple[Array, Array]

    @staticmethod
    def of_centres(rows: Array, columns: Array) -> Places:
        """Take pixels as points."""
        return Places((rows, rows), (columns, columns))

    @property
    def boxes(self) -> bool:
        """Whether pixels have a size."""
        return self.rows[0] is not self.rows[1]

    def within(self, bounds: tuple[float, float, float, float]) -> tuple[Array, Array]:
        """Name the rows and columns that lie within a box: left, bottom, right, top."""
        left, bottom, right, top = bounds
        return (
            np.flatnonzero((self.rows[1] >= bottom) & (self.rows[0] <= top)),
            np.flatnonzero((self.columns[1] >= left) & (self.columns[0] <= right)),
        )

    def cut(self, rows: slice, columns: slice) -> Places:
        """Leave out rows and columns."""
        return Places(_part(self.rows, rows), _part(self.columns, columns))

    def inside(self, shape: Any) -> Array:
        """Tell which pixels a shape of shapely meets: a new array of bools, rows by columns."""
        shapely = needed("shapely", "geo", "regions and footprints")
        shapely.prepare(shape)
        (low_y, high_y), (low_x, high_x) = self.rows, self.columns
        inside = np.zeros((len(low_y), len(low_x)), bool)
        parts = [(slice(0, len(low_y)), slice(0, len(low_x)))] if inside.size else []
        while parts:  # quarters, until they lie inside or outside altogether, or are small
            rows, columns = parts.pop()
            around = shapely.box(
                low_x[columns].min(), low_y[rows].min(), high_x[columns].max(), high_y[rows].max()
            )
            if not shape.intersects(around):
                continue
            if shape.contains_properly(around):
                inside[rows, columns] = True
            elif max(rows.stop - rows.start, columns.stop - columns.start) > LEAF:
                parts += [(r, c) for r in _halves(rows) for c in _halves(columns)]
            elif self.boxes:
                pixels = shapely.box(
                    low_x[columns][np.newaxis, :],
                    low_y[rows][:, np.newaxis],
                    high_x[columns][np.newaxis, :],
                    high_y[rows][:, np.newaxis],
                )
                inside[rows, columns] = shapely.intersects(shape, pixels)
            else:
                inside[rows, columns] = shapely.intersects_xy(
                    shape, low_x[columns][np.newaxis, :], low_y[rows][:, np.newaxis]
                )
        return inside


def _part(bounds: tuple[Array, Array], kept: slice) -> tuple[Array, Array]:
    """Cut a lower and an upper bound, which are one array where pixels are points."""
    low = bounds[0][kept]
    return low, low if bounds[0] is bounds[1] else bounds[1][kept]


def _halves(span: slice) -> list[slice]:
    if span.stop - span.start <= LEAF:
        return [span]
    middle = (span.start + span.stop) // 2
    return [slice(span.start, middle), slice(middle, span.stop)]

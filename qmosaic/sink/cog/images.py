"""The table of the images that a mosaic is made of: it says which image a number stands for."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qmosaic.collection.declarations import SOURCE_INDEX
from qmosaic.collection.masks import NO_IMAGE, Array


@dataclass
class Images:
    """What is found out about images while their pixels are written.

    Attributes
    ----------
    index : hashable
        The variable that says from which image a pixel is.
    band : str
        The band whose images these are, "" for all.
    told : mapping
        Of the columns of the table, the variables that have them: times and texts.
    pixels : dict
        By image, how many pixels it gave.
    values : dict
        By image, what the columns say of it.
    """

    index: Hashable
    band: str
    told: Mapping[str, Hashable]
    pixels: dict[int, int] = field(default_factory=dict)
    values: dict[int, dict[str, Any]] = field(default_factory=dict)

    def add(self, made: Mapping[Hashable, Array]) -> None:
        """Look at parts of the mosaic that lie at the same place."""
        if self.index not in made:
            return
        index = made[self.index].ravel()
        if index.dtype.kind == "f":  # opened with masks as NaN
            index = np.where(np.isnan(index), NO_IMAGE, index)
        index = index.astype(np.int64)
        counts = np.bincount(index - NO_IMAGE)
        first = np.zeros(len(counts), np.int64)  # where a pixel of the image is
        first[index - NO_IMAGE] = np.arange(len(index))
        columns = {n: made[v].ravel() for n, v in self.told.items() if v in made}
        for number in np.flatnonzero(counts).tolist():
            image = number + NO_IMAGE
            self.pixels[image] = self.pixels.get(image, 0) + int(counts[number])
            if image != NO_IMAGE:
                own = self.values.setdefault(image, {})
                own.update({n: column[first[number]] for n, column in columns.items()})

    def table(self) -> pd.DataFrame:
        """Give the table: a row for each image."""
        images = sorted(self.pixels)
        total = sum(self.pixels.values())
        rows = [
            {SOURCE_INDEX: n}
            | {name: self.values.get(n, {}).get(name) for name in self.told}
            | {"pixels": self.pixels[n], "share": self.pixels[n] / total}
            for n in images
        ]
        columns = [SOURCE_INDEX, *self.told, "pixels", "share"]
        table = pd.DataFrame(rows, columns=columns)
        if self.band:
            table.insert(0, "band", self.band)
        return table


def write_tables(images: list[Images], path: Path) -> None:
    """Write tables below each other, as CSV."""
    table = pd.concat([one.table() for one in images], ignore_index=True)
    table.to_csv(path, index=False)

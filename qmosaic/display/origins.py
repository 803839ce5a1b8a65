"""Where pixels come from: a map of the images beside bars of their shares, or the bars alone."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qmosaic.collection.declarations import SOURCE_INDEX
from qmosaic.collection.masks import NO_IMAGE
from qmosaic.display.asides import Bars, Colour, Swatches
from qmosaic.display.dates import OTHERS, SEVERAL, Images, coloured, dated
from qmosaic.display.drawing import (
    MASKED,
    Aside,
    Panel,
    Picture,
    compose,
    require_matplotlib,
    rgb_of,
)
from qmosaic.display.quicklooks import load_thinned, pixel_of
from qmosaic.display.thinning import at_level, check_one_image, shown
from qmosaic.engine.image_counts import contributions, index_names

COUNTED = (SOURCE_INDEX, "time", "pixels", "share")
"""Columns of a table of contributions; others say of which part of the map a row is."""

MOST = 40
"""How many bars there can be below each other."""


def provenance(
    mosaic: Any,
    path: str | Path | None = None,
    *,
    band: Hashable | None = None,
    max_size: int = 1024,
    title: str = "Where each pixel comes from",
    credit: str = "",
) -> Picture:
    """Draw which image each pixel of a mosaic is from: a map, and bars of shares that explain it.

    Parameters
    ----------
    mosaic : xarray.Dataset, xarray.DataArray, str or Path
        One mosaic with the coordinate ``source_index``: made with ``provenance=True``; or the path
        of its store.
    path : str or Path, optional
        A PNG to write.
    band : hashable, optional
        With ``masked="fill"``, where each band has images of its own: which is meant.
    max_size : int, default: 1024
        The most pixels along each side that the map shows: every k-th row and column. The shares
        are those of all pixels.
    title, credit : str
        What stands above the map, and below it.

    Returns
    -------
    Picture
        Up to 12 images have colours of their own, in the order of their times; of more, the 11 that
        gave most pixels, and the others one together. Pixels without an image are light grey. Each
        bar has the colour of its image.

    Raises
    ------
    KeyError, TypeError
        See `contributions`.
    ValueError
        The mosaic does not tell from which image a pixel is; or it has periods, ranks or images by
        band, of which none is chosen.
    ModuleNotFoundError
        matplotlib is not installed (extra ``plot``).

    See Also
    --------
    shares : the bars alone, also by zone, period or rank.
    quicklook : a map of dates alone, ``quicklook(mosaic["source_time"])``.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> mosaic = xr.Dataset(coords={"source_index": (("y", "x"), np.arange(4).reshape(2, 2))})
    >>> qm.display.provenance(mosaic)
    Picture of 1048 × 588 pixels; a notebook shows it, .save('picture.png') writes it
    """
    require_matplotlib()
    if isinstance(mosaic, str | Path):
        mosaic = shown(mosaic, "provenance()")
    dataset, names = index_names(mosaic, band, "provenance()")
    if None not in names:
        raise ValueError(
            "provenance() draws one map, and each band of the mosaic has images of its own. Choose "
            f"one: band={next(iter(names))!r}."
        )
    check_one_image(dataset[names[None]], "provenance()")
    one = dated(at_level(dataset, max_size), names[None])
    (loaded,) = load_thinned({"": one}, max_size, "provenance()").values()
    legend = _Legend.of(contributions(mosaic, band=band))
    picture = coloured(loaded, legend.images, legend.colours, rgb_of(OTHERS))
    panel = Panel(picture.values, title, _how_many(legend, mosaic), *pixel_of(loaded))
    return _saved(compose([panel], credit, asides=[legend.bars("Share of the pixels", " ")]), path)


def shares(
    contributions: pd.DataFrame,
    path: str | Path | None = None,
    *,
    title: str = "Share of the pixels",
    credit: str = "",
) -> Picture:
    """Draw a table of contributions: a bar for each image, or for each zone, period or rank.

    Parameters
    ----------
    contributions : pandas.DataFrame
        As `qmosaic.contributions` gives it, or some of its rows.
    path : str or Path, optional
        A PNG to write.
    title, credit : str
        What stands above the bars, and below them.

    Returns
    -------
    Picture
        Of a table for the whole map, a bar for each of the 12 images that gave most. Of one by
        zone, period, rank or band, a bar for each of these, with parts in the colours of images.
        The colours are those of `provenance`.

    Raises
    ------
    TypeError
        It is no such table.
    ValueError
        It is empty, or there would be more than 40 bars.
    ModuleNotFoundError
        matplotlib is not installed (extra ``plot``).

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> mosaic = xr.Dataset(coords={"source_index": (("y", "x"), np.arange(4).reshape(2, 2))})
    >>> qm.display.shares(qm.contributions(mosaic))
    Picture of 537 × 187 pixels; a notebook shows it, .save('picture.png') writes it
    """
    require_matplotlib()
    if not isinstance(contributions, pd.DataFrame) or not {SOURCE_INDEX, "pixels"} <= {
        *contributions
    }:
        raise TypeError(
            f"shares() got a {type(contributions).__name__}, which is no table of contributions; "
            "write shares(qmosaic.contributions(mosaic))."
        )
    if not len(contributions):
        raise ValueError(
            "shares() got a table without rows, so there is nothing to draw. Choose others."
        )
    legend = _Legend.of(contributions)
    groups = [column for column in contributions if column not in COUNTED]
    if not groups:
        return _saved(compose([], credit, asides=[legend.bars(title)]), path)
    bars = legend.stacked(contributions, groups, title)
    asides: list[Aside] = [bars, legend.swatches(rows=max(4, len(bars.rows)))]
    return _saved(compose([], credit, asides=asides), path)


def _saved(picture: Picture, path: str | Path | None) -> Picture:
    if path is not None:
        picture.save(path)
    return picture


def _how_many(legend: _Legend, mosaic: Any) -> str:
    given = getattr(mosaic, "attrs", {}).get("qmosaic_images")
    own = getattr(mosaic, "coords", {}).get("qmosaic_images")
    if own is not None and own.ndim == 0:  # those of the period
        given = int(own)
    of_all = "" if given is None else f" of {given}"
    return f"{legend.given}{of_all} image{'' if legend.given == 1 and not of_all else 's'}"


@dataclass(frozen=True)
class _Legend:
    """Images, their colours and how many pixels each gave.

    Attributes
    ----------
    pixels : pandas.Series
        By position of the image; -1 for no image; most first.
    images : Images
        Those that have a colour of their own.
    given : int
        How many images gave pixels.
    """

    pixels: pd.Series
    images: Images
    given: int

    @staticmethod
    def of(table: pd.DataFrame) -> _Legend:
        """Choose the images that gave most."""
        pixels = (
            table.groupby(SOURCE_INDEX)["pixels"].sum().sort_values(ascending=False, kind="stable")
        )
        from_images = pixels.index[pixels.index != NO_IMAGE]
        own = from_images if len(from_images) <= SEVERAL else from_images[: SEVERAL - 1]
        times = None
        if "time" in table:
            times = (
                table.drop_duplicates(SOURCE_INDEX)
                .set_index(SOURCE_INDEX)["time"]
                .loc[own]
                .to_numpy()
            )
        return _Legend(pixels, Images.of(own.to_numpy(), times), len(from_images))

    @property
    def colours(self) -> Any:
        """Give the colours of those that have one, (n, 3)."""
        return self.images.colours

    def kinds(self) -> list[tuple[str, Colour, list[int]]]:
        """Name what has a colour, with it and the positions that it is for: images by their times,
        then the others, then none."""
        kinds: list[tuple[str, Colour, list[int]]] = [
            (label, tuple(colour), [int(key)])
            for label, colour, key in zip(
                self.images.labels, self.colours, self.images.keys, strict=True
            )
        ]
        own = {NO_IMAGE, *self.images.keys.tolist()}
        if others := [int(key) for key in self.pixels.index if key not in own]:
            kinds.append((f"{len(others)} others", OTHERS, others))
        if NO_IMAGE in self.pixels.index:
            kinds.append(("no image", MASKED, [NO_IMAGE]))
        return kinds

    def bars(self, title: str, subtitle: str = "") -> Bars:
        """Make a bar for each image, the longest first, then for the others and for none; with
        ``" "`` for a subtitle they begin as low as a picture that has one."""
        whole = self.pixels.sum()
        kinds = self.kinds()
        parts = [float(self.pixels.loc[keys].sum() / whole) for _, _, keys in kinds]
        order = sorted(range(len(kinds)), key=lambda i: (i >= len(self.images), -parts[i]))
        rows = [(kinds[i][0], [(kinds[i][1], parts[i])], _percent(parts[i])) for i in order]
        return Bars(rows, max(parts), title, subtitle)

    def stacked(self, table: pd.DataFrame, groups: list[str], title: str) -> Bars:
        """Make a bar for each zone, period, rank, of parts."""
        rows = []
        for labels, part in table.groupby(groups, sort=False):
            pixels = part.groupby(SOURCE_INDEX)["pixels"].sum()
            parts = [
                (colour, float(pixels.reindex(keys).sum() / pixels.sum()))
                for _, colour, keys in self.kinds()
            ]
            images = int((pixels.index != NO_IMAGE).sum())
            text = ", ".join(map(_named, groups, labels))
            rows.append((text, parts, f"{images} image{'' if images == 1 else 's'}"))
        if len(rows) > MOST:
            raise ValueError(
                f"shares() got a table of {len(rows)} parts ({', '.join(groups)}), and draws "
                f"{MOST} bars at most. Choose some of its rows: table[table[{groups[0]!r}] == ...]."
            )
        return Bars(rows, 1.0, title, wide=5.6)

    def swatches(self, rows: int) -> Swatches:
        """Make a legend that is no higher than so many bars."""
        return Swatches([(colour, text) for text, colour, _ in self.kinds()], rows=rows)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %"


def _named(column: str, label: Any) -> str:
    """Name a part of the map."""
    if isinstance(label, pd.Timestamp | np.datetime64):
        return str(label)[:10]
    text = f"{label:g}" if isinstance(label, float) else str(label)
    return text if isinstance(label, str) else f"{column} {text}"

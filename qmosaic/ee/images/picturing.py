"""Colours of images."""

from __future__ import annotations

from typing import Any, Self

from qmosaic.display.colours import visualized
from qmosaic.display.parameters import plain
from qmosaic.ee.images.base import Bands


class Picturing(Bands):
    """How an image looks."""

    def visualize(
        self,
        bands: Any = None,
        gain: Any = None,
        bias: Any = None,
        min: Any = None,
        max: Any = None,
        gamma: Any = None,
        opacity: Any = None,
        palette: Any = None,
        forceRgbOutput: bool = False,
    ) -> Self:
        """Colour the image: bands ``vis-red``, ``vis-green`` and ``vis-blue``, 0 to 255.

        One band without a palette gives ``vis-gray`` alone. Half and more is rounded up. A pixel is
        masked where one of the bands is: bands of which pixels can be masked give uint16, with a
        nodata that is no colour, others uint8.

        Parameters
        ----------
        bands : sequence of str, optional
            One band or three; by default the first three, or the first where there are fewer.
        gain, bias, min, max, gamma, palette
            See `qmosaic.visualize`.
        opacity : float, optional
            0 to 1: maps and pictures draw the bands with it. It is no part of their masks.
        forceRgbOutput : bool, default: False
            Whether one band gives three in any case.

        Raises
        ------
        ValueError
            There is no such band, or what `qmosaic.visualize` refuses.

        Notes
        -----
        https://developers.google.com/earth-engine/apidocs/ee-image-visualize

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> image = ee.Image(xr.Dataset({"B4": ("x", np.uint16([0, 1500, 3000]))}))
        >>> image.visualize(min=0, max=3000).dataset["vis-gray"].values
        array([  0, 128, 255], dtype=uint8)
        >>> image.visualize(min=0, max=3000, palette="white, green").bandNames()
        ['vis-red', 'vis-green', 'vis-blue']
        """
        own, asked = self._bands(), plain(bands)
        if not own:
            return self
        if isinstance(asked, str):
            asked = [name.strip() for name in asked.split(",")]
        names = [name for one in asked or () for name in self._find(one)] or list(own)[:3]
        if not asked and len(names) == 2:
            names = names[:1]
        if len(names) not in (1, 3):
            raise ValueError(
                f"ee.Image.visualize() got {len(names)} bands, "
                f"{', '.join(map(repr, names)) or 'none'}; it colours one, or three as red, green "
                "and blue. Write bands=['B4', 'B3', 'B2']."
            )
        made = visualized(
            [own[name].rename(name) for name in names],
            force_rgb=forceRgbOutput,
            opacity=opacity,
            palette=palette,
            **{"gain": gain, "bias": bias, "min": min, "max": max, "gamma": gamma},
        )
        return self._with(made)

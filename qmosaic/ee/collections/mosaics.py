"""Mosaics: from one image each pixel."""

from __future__ import annotations

from typing import Any

from qmosaic.collection.model import is_name, no_name
from qmosaic.ee.collections.base import Images
from qmosaic.ee.images import Image
from qmosaic.ee.names import variable_of
from qmosaic.engine.mosaic import last_on_top, quality_mosaic


class Mosaics(Images):
    """One image, each pixel of which is from one image of the collection."""

    def qualityMosaic(
        self, qualityBand: str, *, ties: Any = "last", masked: Any = "fill", **rules: Any
    ) -> Image:
        """Take, for every pixel, all bands of the image with the highest quality.

        As Earth Engine has been seen to do it: of equally good images the last one wins, and a band
        that is masked in the winner comes from the next best image. Other rules are arguments:
        those of `qmosaic.quality_mosaic`, but for periods, which make more than one image.
        """
        if isinstance(qualityBand, Image) or not is_name(qualityBand):
            adding = "collection.map(lambda img: img.addBands(score_of(img).rename('quality')))"
            raise no_name(qualityBand, "qualityBand", adding)
        if rules.get("period") is not None:
            raise ValueError(
                f"qualityMosaic() got period={rules['period']!r}, which makes a mosaic for each "
                "period, and it gives one image. Write qmosaic.quality_mosaic(collection.dataset, "
                "..., period=...), and ee.ImageCollection(...) of what that gives."
            )
        empty = self._without_bands()
        if empty is not None:
            return empty
        band = variable_of(self.dataset, qualityBand)
        mosaic = quality_mosaic(self.dataset, band, ties=ties, masked=masked, **rules)
        mosaic.attrs["qmosaic_quality_band"] = qualityBand
        if rules.get("provenance", False) is not False:
            return Image(mosaic)
        # from which image a band is: `qmosaic.quality_mosaic` tells; Earth Engine does not
        seen = [f"{band}_source_index" for band in mosaic.data_vars]
        return Image(mosaic.drop_vars([name for name in seen if name in mosaic.coords]))

    def mosaic(self) -> Image:
        """Put the images on top of each other, the last on top; masked pixels show those below."""
        return self._without_bands() or Image(last_on_top(self.dataset))

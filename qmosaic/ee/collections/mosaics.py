"""Mosaics: from one image each pixel."""

from __future__ import annotations

from typing import Any

import xarray as xr

from qmosaic.collection.declarations import can_be_masked
from qmosaic.collection.model import bands_of, is_name, no_name
from qmosaic.ee.collections.base import Images
from qmosaic.ee.images import Image
from qmosaic.ee.names import TIME, variable_of
from qmosaic.ee.pixels import maskable
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

        An integer band that declares no nodata gets the next larger dtype where the quality can be
        masked, as in `updateMask`; with ``fill_value=0`` it keeps its dtype, and 0 means masked.
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
        images = self.dataset if "fill_value" in rules else _maskable(self.dataset, band)
        mosaic = quality_mosaic(images, band, ties=ties, masked=masked, **rules)
        mosaic.attrs["qmosaic_quality_band"] = qualityBand
        if rules.get("provenance", False) is not False:
            return Image(mosaic)
        # from which image a band is: `qmosaic.quality_mosaic` tells; Earth Engine does not
        seen = [f"{band}_source_index" for band in mosaic.data_vars]
        return Image(mosaic.drop_vars([name for name in seen if name in mosaic.coords]))

    def mosaic(self) -> Image:
        """Put the images on top of each other, the last on top; masked pixels show those below."""
        return self._without_bands() or Image(last_on_top(self.dataset))


def _maskable(dataset: xr.Dataset, quality: Any) -> xr.Dataset:
    """Where the quality can be masked, so that no image may be left for a pixel, so can all bands.

    `qmosaic.quality_mosaic` fills such a pixel with 0 and declares that as nodata, though 0 may be
    a value of the band (clear, in a band of flags).
    """
    if quality not in dataset or not can_be_masked(dataset[quality]):
        return dataset
    whole = [name for name in bands_of(dataset, TIME) if dataset[name].dtype.kind in "iu"]
    return dataset.assign({name: maskable(dataset[name]).variable for name in whole})

"""A driver for ``odc.loader``; imported only where that is installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from odc.geo.converters import rio_geobox
from odc.geo.geobox import GeoBox
from odc.geo.overlap import compute_reproject_roi
from odc.loader import RioDriver, RioReader

from qmosaic.optional import needed
from qmosaic.sources.warping import how_to_warp

rasterio: Any = needed("rasterio", "stac", "STAC items")
Resampling: Any = needed("rasterio.enums", "stac", "STAC items").Resampling
WarpedVRT: Any = needed("rasterio.vrt", "stac", "STAC items").WarpedVRT

SHIFT = {"nearest": 0.9}
"""By how much of a pixel two grids of one pixel size may be apart and pixels are copied, as odc
has it: nearest takes the next pixel anyway."""

LITTLE_SHIFT = 0.05


@dataclass(frozen=True)
class _Context:
    """What the readers of a load share: odc's own context, and the whole grid."""

    of_odc: Any
    grid: GeoBox


class SameForAllChunksDriver(RioDriver):
    """Reads files so that no pixel depends on the chunk in which it is read.

    Parameters
    ----------
    trusting : bool
        Whether the nodata of the collection holds, whatever the files declare.
    """

    def __init__(self, trusting: bool) -> None:
        super().__init__()
        self._trusting = trusting

    def __dask_tokenize__(self) -> tuple[str, bool]:
        return type(self).__name__, self._trusting

    @contextmanager
    def restore_env(self, env: dict[str, Any], load_state: Any) -> Iterator[Any]:
        """Set GDAL up as it was for the client."""
        with super().restore_env(env, load_state) as context:
            yield _Context(context, load_state.geobox)

    def open(self, src: Any, ctx: Any) -> RioReader:
        """Open a source."""
        return _Reader(src, ctx, self._trusting)


class _Reader(RioReader):
    """Reads one source."""

    def __init__(self, source: Any, context: _Context, trusting: bool) -> None:
        super().__init__(source, context.of_odc)
        self._source, self._grid, self._trusting = source, context.grid, trusting

    def read(
        self, cfg: Any, dst_geobox: GeoBox, *, dst: Any = None, selection: Any = None
    ) -> tuple[tuple[slice, slice], Any]:
        """Read what lies on a piece of the grid: copied where the grids are one, else warped."""
        if self._trusting:
            cfg = replace(cfg, src_nodata_override=cfg.fill_value)
        said = np.dtype(cfg.dtype)
        try:
            pixels, cfg = self._warped(cfg, dst_geobox)
        except rasterio.errors.RasterioError:
            if cfg.fail_on_error:
                raise
            return np.s_[0:0, 0:0], np.empty((0, 0), cfg.dtype)
        if pixels is None:
            direct = None if cfg.dtype != said else dst
            roi, pixels = super().read(cfg, dst_geobox, dst=direct, selection=selection)
        else:
            roi = np.s_[: pixels.shape[0], : pixels.shape[1]]
        if cfg.dtype != said:
            pixels = _as_said(pixels, said, self._source)
        if dst is not None:
            np.copyto(dst[roi], pixels)
            pixels = dst[roi]
        return roi, pixels

    def _warped(self, cfg: Any, piece: GeoBox) -> tuple[Any, Any]:
        """Warp the source onto a piece of the grid; None where its pixels can be copied. Also tell
        how to read them: in a dtype that holds what the file has."""
        with rasterio.open(self._source.uri, sharing=False) as file:
            cfg = replace(cfg, dtype=_holding(cfg, file.dtypes[self._source.band - 1]))
            return self._placed(file, cfg, piece), cfg

    def _placed(self, file: Any, cfg: Any, piece: GeoBox) -> Any:
        source = self._source
        own = rio_geobox(file)
        if not isinstance(own, GeoBox):  # placed by points, which odc knows how to read
            return None
        shift = SHIFT.get(cfg.resampling, LITTLE_SHIFT)
        meeting = compute_reproject_roi(own, self._grid, ttol=shift)
        if meeting.paste_ok and meeting.read_shrink == 1:
            return None
        level = None
        if cfg.use_overviews:
            level = _level(meeting.read_shrink, file.overviews(source.band))
        if level is None:
            return self._warp(file, level, cfg, piece)
        with rasterio.open(source.uri, sharing=False, overview_level=level) as smaller:
            return self._warp(smaller, level, cfg, piece)

    def _warp(self, file: Any, level: int | None, cfg: Any, piece: GeoBox) -> Any:
        band = self._source.band
        dtype = np.dtype(cfg.dtype or file.dtypes[band - 1])
        nodata = _nodata(cfg, file.nodatavals[band - 1], dtype)
        options = {
            **how_to_warp(rio_geobox(file), self._grid),
            "resampling": Resampling[cfg.resampling],
            "dtype": None if dtype == file.dtypes[band - 1] else str(dtype),
            "crs": str(piece.crs),
            "transform": piece.transform,
            "height": piece.shape.y,
            "width": piece.shape.x,
            **nodata,
        }
        # what is warped is warped with all of its bands
        with rasterio.open(_single(file, band, level)) if file.count > 1 else file as single:
            with WarpedVRT(single, **options) as warped:
                return warped.read(1)


def _holding(cfg: Any, own: str) -> Any:
    """Give the dtype to read in: what items say, unless that are integers that do not hold what
    the file has. GDAL would cut values off at their ends silently."""
    said = np.dtype(cfg.dtype or own)
    if said.kind not in "iu" or np.can_cast(own, said):
        return cfg.dtype
    return str(np.promote_types(own, said))


def _as_said(pixels: Any, said: np.dtype[Any], source: Any) -> Any:
    """Bring pixels to the dtype that items say, which holds each of them."""
    with np.errstate(invalid="ignore"):
        same = pixels.astype(said)
    lost = same != pixels
    if lost.any():
        raise ValueError(
            f"the file {source.uri!r} has a value of {pixels[lost][0]} in its band {source.band}, "
            f"and its STAC item says that the pixels are {said}, which does not hold that. Correct "
            "the data_type of the asset (in 'raster:bands', 'bands' or the asset itself), or "
            "delete it there: then the file is asked."
        )
    return same


def _level(shrink: int, overviews: Sequence[int]) -> int | None:
    """Choose the coarsest overview that is not coarser than the grid."""
    fine = [place for place, factor in enumerate(overviews) if factor <= shrink]
    return fine[-1] if shrink > 1 and fine else None


def _nodata(cfg: Any, declared: Any, dtype: np.dtype[Any]) -> dict[str, Any]:
    """Settle what is masked in the file, and what is written where nothing is."""
    source = cfg.src_nodata_override
    if source is None:
        source = cfg.src_nodata_fallback if declared is None else declared
    nodata = cfg.fill_value
    if nodata is None:
        nodata = np.nan if dtype.kind == "f" else source
    return {"src_nodata": source, "nodata": nodata}


def _single(file: Any, band: int, level: int | None) -> str:
    """Describe one band of a file as a virtual dataset of GDAL.

    https://gdal.org/en/stable/drivers/raster/vrt.html
    """
    types = rasterio.dtypes
    nodata = file.nodatavals[band - 1]
    option = "" if level is None else f'<OOI key="OVERVIEW_LEVEL">{level}</OOI>'
    declared = "" if nodata is None else f"<NoDataValue>{nodata!r}</NoDataValue>"
    path = next(iter(file.files), file.name)  # as GDAL calls it: /vsicurl/https://...
    placed = ", ".join(map(repr, file.transform.to_gdal()))
    return (
        f'<VRTDataset rasterXSize="{file.width}" rasterYSize="{file.height}">'
        f"<SRS>{escape(file.crs.to_wkt())}</SRS><GeoTransform>{placed}</GeoTransform>"
        f'<VRTRasterBand dataType="{types.typename_fwd[types.dtype_rev[file.dtypes[band - 1]]]}" '
        f'band="1">{declared}<SimpleSource><SourceFilename relativeToVRT="0">'
        f"{escape(path)}</SourceFilename><OpenOptions>{option}</OpenOptions>"
        f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )

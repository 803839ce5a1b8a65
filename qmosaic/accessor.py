"""``ds.qmosaic.<name>()``: the functions as methods of what they work on, one line each.

The signatures are written out, so that editors and type checkers know them; the docstrings are
those of the functions.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import pandas as pd
import xarray as xr

from qmosaic.collection.clipping import clip
from qmosaic.collection.filters import filter_bounds, filter_date, map_images, select
from qmosaic.collection.times import Instant
from qmosaic.display import Picture, quicklook, visualize
from qmosaic.display.parameters import Numbers
from qmosaic.engine.image_counts import contributions
from qmosaic.engine.kernels import Ties
from qmosaic.engine.medoid import medoid
from qmosaic.engine.mosaic import best_images, mosaic_by_period, quality_mosaic
from qmosaic.engine.periods import Empty
from qmosaic.engine.rules import Collection, Masked, Provenance
from qmosaic.scores.formulas import expression
from qmosaic.sink.cog import to_cog
from qmosaic.sink.explanation import Explanation, explain
from qmosaic.sink.progress import Progress
from qmosaic.sink.saving import to_zarr
from qmosaic.sink.steps import Mode, Sizes

Method = TypeVar("Method", bound=Callable[..., Any])


def _documented_as(function: Callable[..., Any]) -> Callable[[Method], Method]:
    """Give a method the docstring of a function, without the parameter that is the object itself:
    the first, or the one called ``collection``."""
    names = list(inspect.signature(function).parameters)
    own = "collection" if "collection" in names else names[0]
    first = re.compile(rf"((?:^|\n)){own} : .*\n(?:(?: +.*)?\n)*?(?=\S)")

    def decorate(method: Method) -> Method:
        method.__doc__ = first.sub(r"\1", inspect.getdoc(function) or "", count=1)
        return method

    return decorate


class _Methods(Generic[Collection]):
    """The functions of `qmosaic` that take a Dataset or a DataArray, as methods of it."""

    def __init__(self, collection: Collection) -> None:
        self._collection: Collection = collection

    def __repr__(self) -> str:
        kind = type(self._collection).__name__
        names = ", ".join(f"{name}()" for name in sorted(dir(self)) if not name.startswith("_"))
        return f"Methods of qmosaic on this {kind}: {names}"

    @_documented_as(quality_mosaic)
    def quality_mosaic(
        self,
        quality_band: Hashable | Sequence[Hashable],
        *,
        dim: Hashable = "time",
        ties: Ties = "first",
        masked: Masked = "keep",
        fill_value: float | int | bool | None = None,
        min_quality: float | int | None = None,
        upper_bound: float | int | None = None,
        provenance: Provenance = False,
        within: float | int | None = None,
        reducer: Literal["median", "mean"] | float | int = "median",
        period: Any = None,
        rolling: Any = None,
        empty: Empty = "mask",
        smooth: float | None = None,
        scene_bonus: float | None = None,
        scene_radius: float | None = None,
    ) -> Collection:
        """Take, for every pixel, all bands of the image with the highest quality."""
        return quality_mosaic(
            self._collection,
            quality_band,
            dim=dim,
            ties=ties,
            masked=masked,
            fill_value=fill_value,
            min_quality=min_quality,
            upper_bound=upper_bound,
            provenance=provenance,
            within=within,
            reducer=reducer,
            period=period,
            rolling=rolling,
            empty=empty,
            smooth=smooth,
            scene_bonus=scene_bonus,
            scene_radius=scene_radius,
        )

    @_documented_as(mosaic_by_period)
    def mosaic_by_period(
        self,
        quality_band: Hashable | Sequence[Hashable],
        period: Any = "MS",
        *,
        rolling: Any = None,
        empty: Empty = "mask",
        dim: Hashable = "time",
        ties: Ties = "first",
        masked: Masked = "keep",
        fill_value: float | int | bool | None = None,
        min_quality: float | int | None = None,
        upper_bound: float | int | None = None,
        provenance: Provenance = False,
        within: float | int | None = None,
        reducer: Literal["median", "mean"] | float | int = "median",
        smooth: float | None = None,
        scene_bonus: float | None = None,
        scene_radius: float | None = None,
    ) -> Collection:
        """Make a quality mosaic for each period: each month, each season, each week."""
        return mosaic_by_period(
            self._collection,
            quality_band,
            period,
            rolling=rolling,
            empty=empty,
            dim=dim,
            ties=ties,
            masked=masked,
            fill_value=fill_value,
            min_quality=min_quality,
            upper_bound=upper_bound,
            provenance=provenance,
            within=within,
            reducer=reducer,
            smooth=smooth,
            scene_bonus=scene_bonus,
            scene_radius=scene_radius,
        )

    @_documented_as(best_images)
    def best_images(
        self,
        quality_band: Hashable | Sequence[Hashable],
        n: int,
        *,
        dim: Hashable = "time",
        ties: Ties = "first",
        masked: Literal["keep", "skip"] = "keep",
        fill_value: float | int | bool | None = None,
        min_quality: float | int | None = None,
        provenance: Provenance = False,
    ) -> Collection:
        """Take, for every pixel, all bands of the `n` images with the highest quality."""
        return best_images(
            self._collection,
            quality_band,
            n,
            dim=dim,
            ties=ties,
            masked=masked,
            fill_value=fill_value,
            min_quality=min_quality,
            provenance=provenance,
        )

    @_documented_as(contributions)
    def contributions(self, zones: Any = None, *, band: Hashable | None = None) -> pd.DataFrame:
        """Count how many pixels of a mosaic each image gave, and their share."""
        return contributions(self._collection, zones, band=band)

    @_documented_as(medoid)
    def medoid(
        self,
        bands: Hashable | Sequence[Hashable] | None = None,
        *,
        dim: Hashable = "time",
        ties: Ties = "first",
        masked: Literal["keep", "skip"] = "keep",
        fill_value: float | int | bool | None = None,
        provenance: Provenance = False,
    ) -> Collection:
        """Take, for every pixel, all bands of the image that lies closest to the median."""
        return medoid(
            self._collection,
            bands,
            dim=dim,
            ties=ties,
            masked=masked,
            fill_value=fill_value,
            provenance=provenance,
        )

    @_documented_as(expression)
    def expression(self, text: str) -> xr.DataArray:
        """Make a quality band of a text, such as ``"(B8 - B4) / (B8 + B4)"``."""
        return expression(text, self._collection)

    @_documented_as(clip)
    def clip(
        self,
        geometry: Any,
        *,
        crs: Any = None,
        drop: bool = True,
        all_touched: bool = False,
        fill_value: float | int | None = None,
    ) -> Collection:
        """Cut a mosaic, an image or a collection to a region."""
        return clip(
            self._collection,
            geometry,
            crs=crs,
            drop=drop,
            all_touched=all_touched,
            fill_value=fill_value,
        )

    @_documented_as(to_cog)
    def to_cog(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        bands: Sequence[Hashable] | None = None,
        nodata: float | Mapping[Hashable, float] | None = None,
        compress: Literal["deflate", "zstd", "lzw", "none"] = "deflate",
        blocksize: int = 512,
        overview_resampling: str | Mapping[Any, str] | None = None,
        provenance: Literal["file", "bands", False] = "file",
        retries: int = 3,
        on_error: Literal["raise", "skip"] = "raise",
        progress: bool | Callable[[Progress], Any] | None = None,
    ) -> list[Path]:
        """Compute a mosaic and write it as a Cloud Optimized GeoTIFF."""
        return to_cog(
            self._collection,
            path,
            overwrite=overwrite,
            bands=bands,
            nodata=nodata,
            compress=compress,
            blocksize=blocksize,
            overview_resampling=overview_resampling,
            provenance=provenance,
            retries=retries,
            on_error=on_error,
            progress=progress,
        )

    @_documented_as(to_zarr)
    def to_zarr(
        self,
        store: Any,
        *,
        mode: Mode = "w-",
        chunks: Sizes | None = None,
        shards: Sizes | None = None,
        block_bytes: int | None = None,
        retries: int = 3,
        on_error: Literal["raise", "skip"] = "raise",
        progress: bool | Callable[[Progress], Any] | None = None,
        inputs: str | None = None,
        group: str | None = None,
        encoding: Mapping[Hashable, Mapping[str, Any]] | None = None,
        zarr_format: Literal[2, 3] | None = None,
        consolidated: bool | None = None,
        storage_options: dict[str, Any] | None = None,
        updatable: bool = False,
        levels: Literal["auto"] | int | None = None,
        overview_resampling: str | Mapping[Any, str] | None = None,
        **others: Any,
    ) -> None:
        """Compute a mosaic and write it to a Zarr store, block by block."""
        return to_zarr(
            self._collection,
            store,
            mode=mode,
            chunks=chunks,
            shards=shards,
            block_bytes=block_bytes,
            retries=retries,
            on_error=on_error,
            progress=progress,
            inputs=inputs,
            group=group,
            encoding=encoding,
            zarr_format=zarr_format,
            consolidated=consolidated,
            storage_options=storage_options,
            updatable=updatable,
            levels=levels,
            overview_resampling=overview_resampling,
            **others,
        )

    @_documented_as(explain)
    def explain(
        self,
        *,
        chunks: Mapping[Hashable, int] | None = None,
        shards: Mapping[Hashable, int] | None = None,
        block_bytes: int | None = None,
    ) -> Explanation:
        """Say what a mosaic will read and cost, before anything runs."""
        return explain(self._collection, chunks=chunks, shards=shards, block_bytes=block_bytes)

    @_documented_as(visualize)
    def visualize(
        self,
        *,
        bands: str | Sequence[Hashable] | None = None,
        min: Numbers = None,
        max: Numbers = None,
        gain: Numbers = None,
        bias: Numbers = None,
        gamma: Numbers = None,
        palette: str | Sequence[str] | None = None,
        opacity: float = 1.0,
    ) -> xr.DataArray:
        """Colour an image by Earth Engine's visualisation parameters."""
        return visualize(
            self._collection,
            bands=bands,
            min=min,
            max=max,
            gain=gain,
            bias=bias,
            gamma=gamma,
            palette=palette,
            opacity=opacity,
        )

    @_documented_as(quicklook)
    def quicklook(
        self,
        path: str | Path | None = None,
        *,
        max_size: int = 1024,
        credit: str = "",
        **vis_params: Any,
    ) -> Picture:
        """Draw a picture of an image, or of several side by side with one stretch for all."""
        return quicklook(self._collection, path, max_size=max_size, credit=credit, **vis_params)


@xr.register_dataset_accessor("qmosaic")  # type: ignore[no-untyped-call]
class DatasetMethods(_Methods[xr.Dataset]):
    """``ds.qmosaic``: the functions of `qmosaic` as methods of a Dataset.

    Each has the arguments of the function of the same name, without the first:
    ``ds.qmosaic.quality_mosaic("quality")`` is ``qmosaic.quality_mosaic(ds, "quality")``.

    1. Of a collection: ``filter_date``, ``filter_bounds``, ``select``, ``map_images`` choose its
       images and bands; ``quality_mosaic``, ``mosaic_by_period`` make a mosaic of it.
    2. Of a mosaic: ``clip`` cuts it to a region, ``explain`` says what it will cost, ``to_zarr``
       computes and writes it, ``contributions`` counts the pixels of each image.
    3. Of an image in a store or in memory: ``quicklook``, ``visualize`` show it.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic
    >>> band = ("time", "y", "x"), np.array([[[1, 5]], [[3, 2]]])
    >>> xr.Dataset({"quality": band}).qmosaic.quality_mosaic("quality")["quality"].values
    array([[3, 5]])
    """

    @_documented_as(filter_date)
    def filter_date(
        self, start: Instant, end: Instant | None = None, *, dim: Hashable = "time"
    ) -> xr.Dataset:
        """Keep the images of a period: `start` belongs to it, `end` does not."""
        return filter_date(self._collection, start, end, dim=dim)

    @_documented_as(filter_bounds)
    def filter_bounds(
        self, geometry: Any, *, crs: Any = None, clip: bool = False, dim: Hashable = "time"
    ) -> xr.Dataset:
        """Keep the images that lie in a region, at least in part."""
        return filter_bounds(self._collection, geometry, crs=crs, clip=clip, dim=dim)

    @_documented_as(map_images)
    def map_images(
        self, func: Callable[[xr.Dataset], xr.Dataset], *, dim: Hashable = "time"
    ) -> xr.Dataset:
        """Apply a function to every image."""
        return map_images(self._collection, func, dim=dim)

    @_documented_as(select)
    def select(
        self,
        bands: str | re.Pattern[str] | Sequence[str | re.Pattern[str]],
        *,
        dim: Hashable = "time",
    ) -> xr.Dataset:
        """Keep some bands, by name or by regular expression."""
        return select(self._collection, bands, dim=dim)


@xr.register_dataarray_accessor("qmosaic")  # type: ignore[no-untyped-call]
class DataArrayMethods(_Methods[xr.DataArray]):
    """``array.qmosaic``: the functions of `qmosaic` as methods of an array of bands.

    The bands lie along a dimension ``band``, as stackstac makes them. Each method has the arguments
    of the function of the same name, without the first.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic
    >>> values, labels = np.array([[[1, 5]], [[3, 2]]]), {"band": ["quality"]}
    >>> array = xr.DataArray(values[:, np.newaxis], labels, ("time", "band", "y", "x"))
    >>> array.qmosaic.quality_mosaic("quality").values
    array([[[3, 5]]])
    """

"""`to_cog`: the order of the steps."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import xarray as xr

from qmosaic.sink.cog.checking import Request, check
from qmosaic.sink.cog.choosing import as_tag
from qmosaic.sink.cog.earlier import tags_of_set
from qmosaic.sink.cog.images import write_tables
from qmosaic.sink.cog.making import Part, by_place, make_all
from qmosaic.sink.cog.placing import explaining, put_into_place, workshop
from qmosaic.sink.cog.tiff import Draft
from qmosaic.sink.progress import Progress
from qmosaic.sink.template import SKIPPED


def to_cog(
    mosaic: xr.Dataset | xr.DataArray,
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
    """Compute a mosaic and write it as a Cloud Optimized GeoTIFF, block by block.

    Memory is that of a few blocks, however large the map is.

    Parameters
    ----------
    mosaic : xarray.Dataset or xarray.DataArray
        One map: a mosaic, deferred, in memory, or opened with `open_mosaic`; or any other Dataset
        on a regular grid with a CRS.
    path : str or Path
        The file, ``best.tif``. Further files are called after it: see Notes.
    overwrite : bool, default: False
        Whether to replace files that are there. What an earlier call has written beside `path`, and
        this one does not write, is removed; what others have put there or changed stays. What the
        mosaic is made from is never replaced.
    bands : sequence of hashable, optional
        The bands to write, in the order that they are to have in the file; by default all. QGIS
        shows the first three as red, green and blue: ``bands=["B4", "B3", "B2", "B8"]``.
    nodata : number or mapping of band to number, optional
        The value that stands for "missing" in the file, for all bands or by band. By default the
        one that a band declares, and NaN for floats.
    compress : {"deflate", "zstd", "lzw", "none"}, default: "deflate"
        How pixels are compressed; nothing is lost. All programs read deflate.
    blocksize : int, default: 512
        The side of a tile in pixels, a multiple of 16 from 128 on.
    overview_resampling : str or mapping of band to str, optional
        "average", "nearest" or "mode", for all bands or by band (``"*"``: all that are not named).
        By default the average for measurements, and the nearest pixel for classes, flags, dates and
        numbers of images. An average leaves out what is missing.
    provenance : {"file", "bands", False}, default: "file"
        Where to write what the mosaic tells of where its pixels come from, if it does
        (``provenance=True`` of `quality_mosaic`): in a file beside it, as further bands of the
        first file, or not at all.
    retries : int, default: 3
        How often a chunk of the collection that cannot be read is tried again.
    on_error : {"raise", "skip"}, default: "raise"
        What to do about a chunk that still cannot be read: stop with an error that names it, or
        count the image as masked in that block, and list the chunk in the tag ``qmosaic_skipped``.
    progress : bool or callable, optional
        As in `to_zarr`.

    Returns
    -------
    list of Path
        The files that were written; the first is `path`.

    Raises
    ------
    FileExistsError
        A file is there already, and `overwrite` is False.
    FileNotFoundError
        There is no such folder.
    KeyError
        There is no such band.
    ValueError
        Something that a GeoTIFF cannot hold: more dimensions than a map has, pixels that are not
        evenly spaced, no CRS, a dtype of another kind; a nodata that a pixel has that is not
        missing; a band that is named twice; or the mosaic is made from a file that it would
        replace.
    ChunkReadError
        A chunk of the collection cannot be read; the error names image, band, chunk and store.
    OSError
        The file cannot be written, for instance because the disk is full.
    KeyboardInterrupt
        After Ctrl-C.
    ModuleNotFoundError
        rasterio is not installed (extra ``geotiff``).

    See Also
    --------
    to_zarr : can be continued after an interruption, and writes to object stores.

    Notes
    -----
    *Files.* All bands of a GeoTIFF have one dtype and one nodata, and nothing is converted:
    integers stay integers. So the bands of the dtype and nodata that most of them have are in
    `path`, and each of the others has a file of its own: ``best.tif`` with the reflectances,
    ``best_SCL.tif``, ``best_quality.tif``; a name that is taken gets a number. The tag
    ``qmosaic_files`` lists the files that belong together. Bools are stored as 0 and 1 (uint8),
    half floats as float32, times as dates (int32, 20200731 for 31 July 2020; the time of day is
    lost).

    *What a file says.* The CRS and the place of its pixels, north up. Of each band its name (as
    description), nodata, scale and offset, unit and attributes; attributes of the mosaic are tags.
    What `open_mosaic` has decoded is packed again as it was.

    *Provenance.* ``best_provenance.tif`` has the bands ``source_index`` (-1: no image),
    ``source_time`` (as dates) and ``valid_count``, as int32. ``best_images.csv`` says of each
    ``source_index`` the time of the image, how many pixels it gave, and what the mosaic tells
    beside (``provenance=["source_index", "id"]``: the ids). With ``provenance="bands"``, all bands
    of the first file get a dtype and a nodata that suit these, too: int32 for uint16, float64 for
    float32.

    *How it is made.* The blocks of the mosaic are computed on the active scheduler, as `to_zarr`
    does it, so a chunk of a source is not read again because tiles of the file have other borders.
    This process writes them into a temporary GeoTIFF beside the target, in a hidden folder
    ``.best.….partial``; from a cluster they come over the network. GDAL makes the overviews and
    copies all in the order of a COG, which takes about as long again, and twice the room of the
    file. The files are read once more and compared, then moved into place. After any error nothing
    is left; a process that is killed leaves the folder, which can be deleted.

    Examples
    --------
    >>> import tempfile, numpy as np, xarray as xr, rasterio, qmosaic as qm
    >>> import odc.geo.xr
    >>> y, x = 5_000_005.0 - 10 * np.arange(4), 300_005.0 + 10 * np.arange(4)
    >>> red = xr.DataArray(np.ones((4, 4), "uint16"), {"y": y, "x": x}, ("y", "x"), name="red")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (file,) = qm.to_cog(red.odc.assign_crs("EPSG:32633"), f"{folder}/best.tif")
    ...     with rasterio.open(file) as cog:
    ...         print(cog.descriptions, cog.dtypes, cog.crs, cog.res)
    ('red',) ('uint16',) EPSG:32633 (10.0, 10.0)
    """
    with _interruptible(os.fspath(path)):
        request = check(
            mosaic,
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
        return _write(request)


@contextlib.contextmanager
def _interruptible(name: str) -> Iterator[None]:
    """Say what an interruption leaves."""
    try:
        yield
    except KeyboardInterrupt:
        # raised anew: nobody wants to read where in the library it came
        raise KeyboardInterrupt(
            f"to_cog() was interrupted: nothing of {name!r} is left, and a file that was there is "
            "as it was. Call it again; a mosaic that takes hours is better written with "
            "qmosaic.to_zarr(), which can be continued, and to_cog(qmosaic.open_mosaic(...)) after."
        ) from None


def _write(request: Request) -> list[Path]:
    with workshop(request.path) as folder:
        drafts, block = [], request.choice.block
        for number, file in enumerate(request.files):
            own = folder / str(number)
            own.mkdir()
            drafts.append(Draft(file, request.grid, own, request.tags, block))
        try:
            with explaining(request.path):
                for draft in drafts:
                    draft.open()
            skipped = make_all(
                request.choice.dataset,
                _writer(request, drafts),
                shown=request.path.stem,
                retries=request.retries,
                on_error=request.on_error,
                progress=request.progress,
            )
        finally:
            for draft in drafts:
                draft.close()
        return _finish(request, drafts, skipped, folder)


def _writer(request: Request, drafts: list[Draft]) -> Callable[[list[Part]], None]:
    """Give what writes the parts of a block to where they belong."""
    places: dict[Hashable, list[tuple[Draft, int]]] = {}
    for draft in drafts:
        for number, band in enumerate(draft.file.bands):
            places.setdefault(band.variable, []).append((draft, number))

    def write(parts: list[Part]) -> None:
        for images in request.choice.images:
            for made in by_place(parts):
                images.add(made)
        while parts:  # dask keeps the list until its batch is over
            name, window, values = parts.pop()
            for draft, number in places.get(name, ()):
                band = draft.file.bands[number]
                own = values
                if band.place is not None:
                    (first, behind), *_ = window
                    if not first <= band.place < behind:
                        continue
                    own = values[band.place - first]
                rows, columns, laid = request.grid.place(window[-2], window[-1], band.settle(own))
                with explaining(draft.file.path):
                    draft.write(number, rows, columns, laid)

    return write


def _finish(request: Request, drafts: list[Draft], skipped: list[str], folder: Path) -> list[Path]:
    """Make the files of their parts, and put them into place."""
    if skipped:
        request.tags[SKIPPED] = as_tag(skipped)
    tables: list[tuple[Path, Path]] = []
    if request.table is not None:
        with explaining(request.table):
            table = folder / "images.csv"
            write_tables(request.choice.images, table)
            tables.append((table, request.table))
    request.tags.update(tags_of_set(request.targets, tables[0][0] if tables else None))
    made = []
    for draft in drafts:
        with explaining(draft.file.path):
            made.append((draft.finish(request.compress, request.blocksize), draft.file.path))
    made += tables
    with explaining(request.path):
        return put_into_place(made)

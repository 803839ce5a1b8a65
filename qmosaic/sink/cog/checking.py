"""What a user gives is checked, and what is written is settled, before anything is computed."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qmosaic.collection.model import check_choice
from qmosaic.engine.graph import Web, locate_path
from qmosaic.optional import needed, serving
from qmosaic.sink.checking import as_dataset, check_run, declare_nodata
from qmosaic.sink.cog.choosing import Choice, Nodata, as_tag, choose
from qmosaic.sink.cog.earlier import FILES, TABLE, companions_of
from qmosaic.sink.cog.files import File, divide, promoted
from qmosaic.sink.cog.grids import Grid, grid_of
from qmosaic.sink.steps import OnError, Tell

CALLER = "to_cog"
ENDINGS = (".tif", ".tiff")
COMPRESSIONS = ("deflate", "zstd", "lzw", "none")
"""Those that lose nothing."""

SMALLEST_TILE = 128
"""GDAL's COG driver makes none that are smaller."""

Where = Literal["file", "bands", False]


@dataclass(frozen=True)
class Request:
    """What is to be written.

    Attributes
    ----------
    choice : Choice
        The variables, as bands.
    files : list of File
        How they lie in files; the first one is the one that was named.
    table : Path, optional
        Where the table of images goes.
    grid : Grid
        Where the pixels lie.
    tags : dict
        What the files say of themselves.
    overwrite, compress, blocksize, retries, on_error, progress
        As `qmosaic.to_cog` takes them.
    """

    choice: Choice
    files: list[File]
    table: Path | None
    grid: Grid
    tags: dict[str, str]
    overwrite: bool
    compress: str
    blocksize: int
    retries: int
    on_error: OnError
    progress: Tell

    @property
    def path(self) -> Path:
        """The file that was named."""
        return self.files[0].path

    @property
    def targets(self) -> list[Path]:
        """All files that are written."""
        return [file.path for file in self.files] + ([self.table] if self.table else [])


def check(
    mosaic: Any,
    path: str | os.PathLike[str],
    *,
    overwrite: bool,
    bands: Sequence[Hashable] | None,
    nodata: Nodata,
    compress: str,
    blocksize: int,
    overview_resampling: str | Mapping[Any, str] | None,
    provenance: Where,
    retries: int,
    on_error: OnError,
    progress: Tell,
) -> Request:
    """Check what `qmosaic.to_cog` was given.

    Raises
    ------
    FileExistsError, FileNotFoundError, KeyError, TypeError, ValueError
        An argument that cannot be right, or something that a GeoTIFF cannot hold.
    """
    check_run(retries, on_error, progress)
    target = _check_path(path)
    check_choice("compress", str(compress).lower(), COMPRESSIONS)
    _check_blocksize(blocksize)
    if provenance is not False:
        check_choice("provenance", provenance, ("file", "bands"))
    with serving("geotiff", "GeoTIFFs"):
        needed("rasterio", "geotiff", "GeoTIFFs")
        dataset = declare_nodata(as_dataset(mosaic, CALLER))
        grid = grid_of(dataset)
        choice = choose(dataset, bands, nodata, overview_resampling, provenance is not False)
    files = _files(choice, target, provenance)
    table = target.with_name(f"{target.stem}_images.csv") if choice.images else None
    request = Request(
        choice,
        files,
        table,
        grid,
        {
            str(k): as_tag(v)
            for k, v in dataset.attrs.items()
            if v is not None and k not in (FILES, TABLE)  # of the files that it was read from
        },
        overwrite,
        compress.lower(),
        blocksize,
        retries,
        on_error,
        progress,
    )
    _check_targets(request)
    return request


def _check_path(path: str | os.PathLike[str]) -> Path:
    text = os.fspath(path)
    if "://" in text or text.startswith("/vsi"):
        raise ValueError(
            f"to_cog() got the address {text!r}, and writes files on this machine: a COG is put "
            "together on disk. Write to a path here and copy the files, for instance with "
            "'aws s3 cp', or write Zarr there: qmosaic.to_zarr()."
        )
    target = Path(text).expanduser()
    if target.suffix.lower() not in ENDINGS:
        raise ValueError(
            f"{text!r} does not end like a GeoTIFF, so programs would not open it. Name it "
            f"{str(target.with_suffix('.tif'))!r}; for a Zarr store write qmosaic.to_zarr()."
        )
    if target.is_dir():
        raise FileExistsError(f"{text!r} is a folder. Write to a file in it, or to another path.")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"there is no folder {str(target.parent)!r} for {target.name!r}. Make it "
            "(Path(...).mkdir(parents=True)), or correct the path."
        )
    return target


def _check_blocksize(blocksize: int) -> None:
    good = isinstance(blocksize, int) and not isinstance(blocksize, bool)
    if not good or blocksize < SMALLEST_TILE or blocksize % 16:
        raise ValueError(
            f"blocksize={blocksize!r} cannot be the side of a tile of a COG: give a multiple of "
            f"16 from {SMALLEST_TILE} on, such as 512 (the default) or 256."
        )


def _files(choice: Choice, target: Path, provenance: Where) -> list[File]:
    """Divide all bands into files."""
    if provenance == "bands" or not choice.provenance:
        return promoted(divide(choice.bands, target), choice.provenance)
    beside = target.with_name(f"{target.stem}_provenance{target.suffix}")
    files = divide(choice.bands, target, [beside])
    return files + divide(choice.provenance, beside, [file.path for file in files])


def _check_targets(request: Request) -> None:
    """Refuse to replace what is to stay."""
    there = [path for path in request.targets if path.exists()]
    if there and not request.overwrite:
        listed = " and ".join(repr(str(path)) for path in there)
        raise FileExistsError(
            f"{listed} exist{'s' if len(there) == 1 else ''} already, and to_cog() replaces "
            "nothing unasked. Write to another path, or pass overwrite=True."
        )
    there += [path for path in companions_of(request.path) if path not in there]
    if not there:
        return
    variables = request.choice.dataset.variables
    web = Web(variables)
    for name in variables:
        for source in web.behind(name).sources:
            for path in there:
                if locate_path(path).holds(source):
                    raise ValueError(
                        f"the mosaic is made from {str(path)!r} (band {name!r}), which would be "
                        "lost. Write to another path, and move it afterwards."
                    )

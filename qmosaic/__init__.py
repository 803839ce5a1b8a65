"""Earth Engine's ``qualityMosaic`` for your own data: lazy, chunk by chunk, larger than memory.

For every pixel, a quality mosaic takes all bands of the image with the highest quality score.
What one does first, second, third:

1. **Open a collection**, a Dataset of images along ``time``, from Zarr, NetCDF, STAC items or
   GeoTIFFs: ``col = qm.open_collection("s2.zarr")``. Choose images, a region and bands:
   `filter_date`, `filter_bounds`, `select`, `map_images`.
2. **Add a quality band**, whose highest value wins the pixel. `scores` makes the usual ones:
   ``col["quality"] = qm.scores.inverse(col["cloud"])``. Any expression of xarray will do, and
   `expression` makes one of a text: ``qm.expression("-cloud", col)``.
3. **Make the mosaic**: ``best = qm.quality_mosaic(col, "quality")``, or one for each month with
   `mosaic_by_period`. Nothing is read yet. Cut it to a region: `clip`. Ask what it will read and
   how much memory it takes: ``print(qm.explain(best))``.
4. **Compute and write it**, block by block: ``qm.to_zarr(best, "best.zarr")``. Open what was
   written: ``best = qm.open_mosaic("best.zarr")``. For QGIS, write GeoTIFFs:
   ``qm.to_cog(best, "best.tif")``.
5. **Look at it**: ``qm.quicklook(best, "best.png")``, `visualize`, ``qm.display.Map()``; with all
   detail, ``qm.display.serve("best.zarr")``. Which image gave which pixels: ``provenance=True``,
   `contributions`.

Each step has its own help: ``help(qm.quality_mosaic)``, ``help(qm.scores)``,
``help(qm.display)``. All functions of a collection or a mosaic are methods too:
``col.qmosaic.quality_mosaic("quality")``. Most scripts around ``qualityMosaic`` that were written
for Earth Engine run with ``from qmosaic import ee`` in place of Google's: ``help(qm.ee)``.

>>> import numpy as np, xarray as xr
>>> import qmosaic as qm
>>> red = xr.DataArray(np.uint16([[[1, 2]], [[3, 4]]]), dims=("time", "y", "x"))
>>> cloud = xr.DataArray(np.uint8([[[10, 80]], [[60, 0]]]), dims=("time", "y", "x"))
>>> col = xr.Dataset({"red": red, "cloud": cloud})
>>> col["quality"] = qm.scores.inverse(col["cloud"])
>>> qm.quality_mosaic(col, "quality")["red"].values
array([[1, 4]], dtype=uint16)

Modules: subpackages in layers. Each imports only those below it, and lists its own modules in its
docstring.

============== ================================================================================
``cli``        the command line, over the public names alone
``accessor``   ``ds.qmosaic.<name>()``
``ee``         Earth Engine's vocabulary
``display``    pictures, an interactive map
``sources``    Zarr, NetCDF, STAC items, GeoTIFFs to a collection
``scores``     functions that make quality bands
``sink``       writing a mosaic to a store, opening it, what it will cost
``engine``     the mosaic itself
``collection`` what a collection is: its bands, masks, times, geometry; filters
``optional``   libraries that only some users need
============== ================================================================================
"""

import difflib
import importlib
import re
from typing import TYPE_CHECKING, Any

from qmosaic import accessor as _accessor  # noqa: F401  (registers ds.qmosaic)
from qmosaic import display, scores
from qmosaic.collection import clip, filter_bounds, filter_date, map_images, select
from qmosaic.display import quicklook, visualize
from qmosaic.engine import (
    ChunkReadError,
    UnexpectedChunkError,
    best_images,
    contributions,
    medoid,
    mosaic_by_period,
    quality_mosaic,
)
from qmosaic.scores.formulas import expression
from qmosaic.sink import (
    DamagedJournalError,
    IncompleteMosaicError,
    Progress,
    StoreInUseError,
    UnfitWorkerError,
    explain,
    open_mosaic,
    to_cog,
    to_zarr,
    update,
)
from qmosaic.sources import open_collection

if TYPE_CHECKING:
    from qmosaic import ee

__version__ = "0.1.0"

__all__ = [
    "ChunkReadError",
    "DamagedJournalError",
    "IncompleteMosaicError",
    "Progress",
    "StoreInUseError",
    "UnexpectedChunkError",
    "UnfitWorkerError",
    "best_images",
    "clip",
    "contributions",
    "display",
    "ee",
    "explain",
    "expression",
    "filter_bounds",
    "filter_date",
    "map_images",
    "medoid",
    "mosaic_by_period",
    "open_collection",
    "open_mosaic",
    "quality_mosaic",
    "quicklook",
    "scores",
    "select",
    "to_cog",
    "to_zarr",
    "update",
    "visualize",
]


def __dir__() -> list[str]:
    """List the public names; the modules stay importable, and out of an editor's list."""
    return [*__all__, "__version__"]


def _ee() -> Any:
    """Import Earth Engine's vocabulary when it is first used: most programs never do."""
    return importlib.import_module("qmosaic.ee")


def _meant(name: str) -> str | None:
    """Find the public name that was probably meant: by Earth Engine's spelling, in another
    department, or misspelt."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    if snake in __all__:
        return f"qm.{snake}"
    for department in (scores, display, _ee()):
        if name in department.__all__:
            return f"{department.__name__.replace('qmosaic', 'qm')}.{name}"
    close = difflib.get_close_matches(snake, __all__, n=1, cutoff=0.75)
    return f"qm.{close[0]}" if close else None


if not TYPE_CHECKING:  # type checkers would take every name for a public one

    def __getattr__(name: str) -> Any:
        """Import `ee`; refuse a name that is not there, and say which was probably meant."""
        if name == "ee":
            return _ee()
        meant = None if name.startswith("_") else _meant(name)
        hint = f". Did you mean {meant}?" if meant else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")

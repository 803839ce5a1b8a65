"""What the server answers: tiles through titiler, the values at a place, the page.

It is imported when a server starts, as it stands on libraries that only some users need.
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from fastapi import FastAPI, HTTPException
from PIL import Image
from rio_tiler.constants import WEB_MERCATOR_CRS
from rio_tiler.models import ImageData
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from titiler.core.dependencies import DefaultDependency
from titiler.core.factory import TilerFactory

from qmosaic.display.serving.detailed import Detailed

HOSTS = ("127.0.0.1", "localhost")
"""By which names a server may always be asked: not by one that a page has made point here."""

SIZE = 256
"""Pixels along each side of a tile, unless more are asked for."""


class LayerReader:
    """What titiler takes a tile of a layer from: it has what `rio_tiler.io.BaseReader` has, as far
    as tiles ask for it.

    Parameters
    ----------
    layer : Detailed
        The layer.
    **options
        Those of titiler, which say nothing here.
    """

    def __init__(self, layer: Detailed, **options: Any) -> None:
        self._layer = layer

    def __enter__(self) -> LayerReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the layer as it is: it is asked again."""

    def tile(
        self, x: int, y: int, z: int, tilesize: int | None = None, **options: Any
    ) -> ImageData:
        """Draw a tile."""
        with _until_the_end():
            colours = self._layer.tile(x, y, z, tilesize or SIZE)
        return ImageData(np.ma.MaskedArray(np.moveaxis(colours, -1, 0)), crs=WEB_MERCATOR_CRS)


def png_of(image: ImageData, **options: Any) -> tuple[bytes, str]:
    """Write a tile as PNG. GDAL would warn of a picture without a place, which `rio_tiler` can
    keep from being shown in one thread alone."""
    written = io.BytesIO()
    Image.fromarray(np.moveaxis(image.array.data, 0, -1)).save(written, "PNG")
    return written.getvalue(), "image/png"


class Tiles(TilerFactory):
    """Of all that titiler can answer, the tiles."""

    def register_routes(self) -> None:
        """Say what is answered."""
        answering: Any = self.tile
        answering()


def application(
    layers: Mapping[int, Detailed], page: Callable[[], str], hosts: Sequence[str] = ()
) -> FastAPI:
    """Make what answers the requests of a browser.

    Parameters
    ----------
    layers : mapping
        The layers by their numbers; later ones may be put in.
    page : callable
        Writes the page.
    hosts : sequence of str
        By which other names it may be asked.
    """

    def chosen(number: int) -> Detailed:
        if number not in layers:
            raise HTTPException(404, f"there is no layer {number}")
        return layers[number]

    reader: Any = LayerReader
    tiles = Tiles(
        reader=reader,
        path_dependency=chosen,
        router_prefix="/layers/{number}",
        layer_dependency=DefaultDependency,
        dataset_dependency=DefaultDependency,
        tile_dependency=DefaultDependency,
        render_dependency=DefaultDependency,
        process_dependency=_nothing,
        colormap_dependency=_nothing,
        render_func=png_of,
    )
    made = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    made.include_router(tiles.router, prefix="/layers/{number}")

    @made.get("/")
    def front() -> HTMLResponse:
        return HTMLResponse(page())

    @made.get("/layers/{number}/values/{lon},{lat}")
    def values(number: int, lon: float, lat: float) -> JSONResponse:
        with _until_the_end():
            return JSONResponse(chosen(number).values(lon, lat))

    made.add_exception_handler(Exception, _failed)
    made.add_middleware(TrustedHostMiddleware, allowed_hosts=[*HOSTS, *hosts])
    return made


@contextlib.contextmanager
def _until_the_end() -> Iterator[None]:
    """Take errors for the end of the program, once that has begun: nothing can be computed then,
    and nobody waits for an answer."""
    try:
        yield
    except Exception as error:
        if threading.main_thread().is_alive():
            raise
        raise HTTPException(503, "the program that made this map has ended") from error


def _nothing() -> None:
    """Take no parameter from an address: a layer has its colours."""


def _failed(request: Request, error: Exception) -> JSONResponse:
    """Tell the page what went wrong; the traceback is logged by the server."""
    return JSONResponse({"detail": str(error) or type(error).__name__}, 500)

"""A server in a thread of its own, that only programs on this machine reach."""

from __future__ import annotations

import atexit
import html
import importlib
import os
import socket
import threading
import webbrowser
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from qmosaic.display.beside import BaseMap, Beside
from qmosaic.display.features import Features, is_image
from qmosaic.display.layers import check_opacity
from qmosaic.display.page_shapes import shapes_of
from qmosaic.display.parameters import check_parameters
from qmosaic.display.serving.blocks import Kept
from qmosaic.display.serving.detailed import Detailed
from qmosaic.display.serving.page import Shown, page_of
from qmosaic.optional import needed, serving

PURPOSE = "maps with tiles"
MODULES = (
    "uvicorn",
    "cachetools",
    "folium",
    "xstatic.pkg.leaflet",
    "odc.geo.xr",
    "pyproj",
    "rasterio",
    "PIL.ImageColor",
    "matplotlib",
    "titiler.core.factory",
)
"""What a server needs, all of it asked for before the first layer is looked at; titiler last, which
imports others of them."""

LOOPBACK = "127.0.0.1"
"""The address of this machine for itself: no other machine reaches it."""

PATIENCE = 5
"""Seconds in which requests that are being answered may end, when a server is stopped."""


def serve(
    image: Any,
    vis_params: Any = None,
    name: str = "layer",
    *,
    port: int = 0,
    open_browser: bool = False,
    base_map: str | None = "OpenStreetMap",
    cache_bytes: int = 256 * 2**20,
    hosts: Sequence[str] = (),
) -> Server:
    """Show an image on a map in the browser, in more detail as one zooms.

    A tile is made when the browser asks for it, and computes the blocks of the image that it
    touches. Nothing is computed beforehand, but for percentages and maps of dates, which need a
    picture of the whole.

    Parameters
    ----------
    image : xarray.Dataset, xarray.DataArray, an image of `qmosaic.ee`, or str or Path
        What `Map.add_layer` takes, lazy as a rule; or the path of a mosaic that `to_zarr` has
        written. Geometries, too.
    vis_params : mapping, optional
        ``{"bands": ["B4", "B3", "B2"], "min": 0, "max": 3000}``: see `visualize`; `min` and `max`
        may be percentages, and maps of dates and of counts have colours, as in `Map.add_layer`.
    name : str, default: "layer"
        What the layer is called.
    port : int, default: 0
        Where the server listens; 0 for any port that is free.
    open_browser : bool, default: False
        Whether to open the page in the browser.
    base_map : str or None, default: "OpenStreetMap"
        The map below, as ``folium.TileLayer`` takes it; None for none.
    cache_bytes : int, default: 268435456
        The most memory for the colours of blocks that were looked at; a pixel takes 4 bytes.
    hosts : sequence of str, optional
        By which names the server may be asked, beside 127.0.0.1 and localhost: that of a Jupyter
        through which one sees it.

    Returns
    -------
    Server
        It runs when this returns, until ``.stop()``, the end of its ``with``, or that of the
        program. ``.url`` is the page, ``.tiles`` what QGIS takes: *Layer* → *Add Layer* → *Add XYZ
        Layer* → *New*, and this as URL. A notebook shows the page.

    Raises
    ------
    KeyError, TypeError
        See `visualize`.
    ValueError
        The image has no CRS; and see `visualize`.
    OSError
        The port is in use.
    ModuleNotFoundError
        titiler or uvicorn is not installed (extra ``serve``).
    FileNotFoundError, IncompleteMosaicError
        See `open_mosaic`.

    Notes
    -----
    A tile shows the image at the coarsest of its levels whose pixels are no larger than the tile's:
    those that ``to_zarr(..., levels="auto")`` has written. Zoomed further out, and for a mosaic
    that is not written yet, it shows every k-th row and column, at most 2048 along each side, which
    are computed once. A mosaic that is not written is made anew block by block where one looks
    closer: to look at much of it, write it first.

    A click on the map says the values of all bands at that pixel, as they are meant, and what the
    coordinates of a mosaic with ``provenance=True`` say of its image.

    The server listens at 127.0.0.1, which no other machine reaches; every user of this machine
    does. The notebook of another machine shows nothing, then. Forward the port, ``ssh -L
    8800:127.0.0.1:8800 host`` with ``port=8800``; or have ``jupyter-server-proxy`` show it at
    ``proxy/8800/`` below the address of Jupyter, with ``hosts=["jupyter.example.org"]``, the name
    in that address; or use `Map`, whose page needs no server.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> image = xr.Dataset(
    ...     {"red": (("latitude", "longitude"), np.eye(3))},
    ...     {"latitude": [40.3, 40.2, 40.1], "longitude": [-103.4, -103.3, -103.2]},
    ... )
    >>> with qm.display.serve(image, {"min": 0, "max": 1}, "diagonal") as server:
    ...     server.layers
    ['diagonal']
    """
    server = Server(port=port, base_map=base_map, cache_bytes=cache_bytes, hosts=hosts)
    try:
        server.add_layer(name, image, vis_params)
    except BaseException:
        server.stop()
        raise
    if open_browser:
        webbrowser.open(server.url)
    return server


class Server:
    """A map in the browser, with tiles that are made when they are looked at.

    `serve` makes one with a layer. One that is made by itself has none at first; it runs at once.

    Parameters
    ----------
    port, base_map, cache_bytes, hosts
        See `serve`.

    Attributes
    ----------
    url : str
        The address of the page.
    layers : list of str
        The names of the layers, the highest last.
    app : fastapi.FastAPI
        What answers; another server of ASGI can have it, too.
    beside : Beside
        Base maps and legends of the page; `Map.serve` puts its own there.

    Raises
    ------
    OSError
        The port is in use.
    ModuleNotFoundError
        titiler or uvicorn is not installed (extra ``serve``).

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> image = xr.Dataset(
    ...     {"red": (("latitude", "longitude"), np.eye(3))},
    ...     {"latitude": [40.3, 40.2, 40.1], "longitude": [-103.4, -103.3, -103.2]},
    ... )
    >>> server = qm.display.Server()
    >>> server.add_layer("red", image, {"palette": ["black", "red"]})
    >>> server.add_layer("grey", image, shown=False)
    >>> server.layers
    ['red', 'grey']
    >>> server.tiles.removeprefix(server.url)
    'layers/2/tiles/WebMercatorQuad/{z}/{x}/{y}.png'
    >>> server.running
    True
    >>> server.stop()
    >>> server
    Server that was stopped
    >>> server.wait()  # for a server that runs, until Ctrl-C
    """

    def __init__(
        self,
        *,
        port: int = 0,
        base_map: str | None = "OpenStreetMap",
        cache_bytes: int = 256 * 2**20,
        hosts: Sequence[str] = (),
    ) -> None:
        for module in MODULES:
            needed(module, "serve", PURPOSE)
        if isinstance(hosts, str):
            raise TypeError(f"hosts={hosts!r} is one text; it takes a list of names, [{hosts!r}].")
        routes = importlib.import_module("qmosaic.display.serving.routes")
        self.beside = Beside()
        if base_map is not None:
            self.beside.base_maps.append(BaseMap.of(base_map, "base_map"))
        self._kept = Kept(cache_bytes)
        self._layers: dict[int, Detailed] = {}
        self._shown: list[Shown] = []
        self.app = routes.application(self._layers, self._page, hosts)
        self._socket = _listening(port)
        self.url = f"http://{LOOPBACK}:{self._socket.getsockname()[1]}/"
        uvicorn = needed("uvicorn", "serve", PURPOSE)
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                self.app,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=PATIENCE,
            )
        )
        # a daemon, so that a program ends without it
        self._thread = threading.Thread(
            target=self._uvicorn.run,
            args=([self._socket],),
            name=f"tiles at {self.url}",
            daemon=True,
        )
        self._thread.start()  # what comes before it answers waits in the socket
        atexit.register(self.stop)

    def __repr__(self) -> str:
        if not self.running:
            return "Server that was stopped"
        names = ", ".join(map(repr, self.layers)) or "no layers yet"
        return f"Server of {names} at {self.url}; .tiles is for QGIS, .stop() ends it"

    def _repr_html_(self) -> str:
        if not self.running:
            return html.escape(repr(self))
        return frame(self.url)

    @property
    def running(self) -> bool:
        """Whether it answers: it was not stopped."""
        return self._thread.is_alive()

    @property
    def layers(self) -> list[str]:
        """The names of the layers, the highest last."""
        return [one.name for one in self._shown]

    @property
    def tiles(self) -> str:
        """The address of the tiles of the highest image, with ``{z}``, ``{x}`` and ``{y}``: what
        QGIS (XYZ), Leaflet and folium take.

        Raises
        ------
        ValueError
            There is no image yet.
        """
        images = [one for one in self._shown if one.shapes is None]
        if not images:
            raise ValueError(
                "the server has no image yet. Add one: server.add_layer('red', image)."
            )
        return self.url + str(images[-1].told()["tiles"])

    def add_layer(
        self,
        name: str,
        image: Any,
        vis_params: Any = None,
        *,
        shown: bool = True,
        opacity: float = 1.0,
    ) -> None:
        """Add a layer on top of the others; a page that is open shows it when it is loaded anew.

        Parameters
        ----------
        name : str
            What it is called. A name that is taken gets a number, "mosaic (2)".
        image, vis_params
            See `serve`.
        shown : bool, default: True
            Whether it is switched on.
        opacity : float, default: 1
            0 to 1.

        Raises
        ------
        KeyError, TypeError, ValueError
            See `serve`.
        """
        opacity = check_opacity(opacity)
        number, title = len(self._shown) + 1, self._free(str(name))
        with serving("serve", PURPOSE):
            if is_image(image):
                parameters = check_parameters(vis_params, "add_layer()")
                layer = self._layers[number] = Detailed(image, parameters, self._kept)
                one = Shown(number, title, layer.bounds, layer.legend, shown, opacity)
            else:
                drawn = Features.of(image, vis_params)
                shapes = shapes_of(drawn, opacity)
                one = Shown(number, title, drawn.bounds, None, shown, opacity, shapes)
        self._shown.append(one)

    def _free(self, name: str) -> str:
        """Find a name that no layer has."""
        number, free = 1, name
        while free in self.layers:
            number += 1
            free = f"{name} ({number})"
        return free

    def _page(self) -> str:
        return page_of(list(self._shown), self.beside)

    def wait(self) -> None:
        """Wait until the server is stopped, or until Ctrl-C, which stops it."""
        try:
            self._thread.join()
        except KeyboardInterrupt:
            self.stop()

    def stop(self) -> None:
        """Stop the server; one that was stopped already stays so."""
        self._uvicorn.should_exit = True
        self._thread.join(PATIENCE + 5)
        self._socket.close()  # uvicorn does not, where it is stopped before it has begun
        atexit.unregister(self.stop)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def frame(url: str, height: str = "500px", width: str = "100%") -> str:
    """Write a frame with a page in it, for a notebook."""
    return (
        f'<iframe src="{html.escape(url)}" '
        f'style="width: {width}; height: {height}; border: 0" allowfullscreen></iframe>'
    )


def _listening(port: int) -> socket.socket:
    """Listen at a port of this machine.

    Raises
    ------
    OSError
        It is in use, or may not be used.
    ValueError
        It is no port.
    """
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port < 2**16:
        raise ValueError(f"port={port!r} is no port; it is a number of 0 (any free one) to 65535.")
    made = socket.socket()
    try:
        if os.name == "posix":  # a port that was just used is free at once
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((LOOPBACK, port))
        made.listen(128)
    except OSError as error:
        made.close()
        raise OSError(
            error.errno,
            f"port {port} of this machine cannot be listened at ({error.strerror}): another "
            "program uses it, perhaps a server that was not stopped. Leave port= out for any port "
            "that is free, or write another number",
        ) from error
    return made

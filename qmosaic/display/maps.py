"""An interactive map in a notebook or a page of its own, through folium and odc-geo."""

from __future__ import annotations

import html as html_module
import json
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qmosaic.collection.geometry import LON_LAT, projected
from qmosaic.collection.location import extent_of
from qmosaic.display import page_tiles
from qmosaic.display.layers import Layer, check_layer, with_crs
from qmosaic.display.leaflet import STYLE, leaflet, leaflet_css
from qmosaic.display.page_legends import legend_of, switching
from qmosaic.display.pyramids import Pyramid
from qmosaic.display.serving import Server
from qmosaic.display.serving.server import frame
from qmosaic.display.thinning import shown
from qmosaic.optional import needed

PURPOSE = "maps"
MODULES = (
    "folium",
    "xstatic.pkg.leaflet",
    "odc.geo.xr",
    "rasterio",
    "PIL.ImageColor",
    "matplotlib",
)
"""What a map needs, all of it asked for before the first layer is computed."""

SCREEN = 1024
"""The most pixels along each side of the picture of a layer: a screen shows no more of them."""

DETAILS = 20_000_000
"""How many bytes of details a page holds, where nothing is said."""


class Map:
    """An interactive map: images as layers that can be switched.

    Its methods have the names of Earth Engine's and geemap's maps, in both spellings: ``add_layer``
    and ``addLayer``, ``set_center`` and ``setCenter``, ``center_object`` and ``centerObject``. A
    notebook shows a map where it is the last line of a cell.

    Parameters
    ----------
    center : (float, float), optional
        Latitude and longitude, degrees. By default the map shows all layers.
    zoom : int, optional
        Zoom level, 0 (the world) to about 18.
    tiles : str or None, default: "OpenStreetMap"
        The base map, as ``folium.Map`` takes it; None for none.
    max_size : int, default: 1024
        The most pixels along each side of an image that are computed for the picture of a layer.

    Attributes
    ----------
    layers : list of str
        The names of the layers.

    Raises
    ------
    ModuleNotFoundError
        folium, Leaflet, odc-geo or rasterio is not installed (extra ``map``).

    Notes
    -----
    In a notebook a layer is a picture of at most `max_size` pixels a side; the page that `save`
    writes shows more as one zooms in, and `serve` shows all.

    The map ends at 85° north and south, as web maps do. `quicklook` draws what lies beyond.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic.display as geemap
    >>> image = xr.Dataset(
    ...     {"red": (("latitude", "longitude"), np.ones((3, 4)))},
    ...     {"latitude": [40.3, 40.2, 40.1], "longitude": [-103.4, -103.3, -103.2, -103.1]},
    ... )
    >>> m = geemap.Map()
    >>> m.set_center(-103.19, 40.14, 9)
    >>> m.add_layer(image, {"min": 0, "max": 1}, "ones")
    >>> m.layers
    ['ones']
    >>> m.center_object(image)
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     m.save(f"{folder}/map.html").name
    'map.html'
    >>> m.to_html()[:15]
    '<!DOCTYPE html>'

    In Earth Engine's spelling:

    >>> m.setCenter(-103.19, 40.14)
    >>> m.centerObject(image, 9)
    >>> m.addLayer(image, {"min": 0, "max": 1}, "again")
    >>> m
    Map of 2 layers: 'ones', 'again'; a notebook shows it, .save('map.html') writes it
    """

    def __init__(
        self,
        center: tuple[float, float] | None = None,
        zoom: int | None = None,
        *,
        tiles: str | None = "OpenStreetMap",
        max_size: int = SCREEN,
    ) -> None:
        folium, *_ = (needed(module, "map", PURPOSE) for module in MODULES)
        if tiles is not None:
            folium.TileLayer(tiles)  # refuses what it does not know
        self._tiles = tiles
        self._max_size = max_size
        self._centre: tuple[float, float] | None = None
        self._zoom = _zoom(zoom)
        self._shown: list[_Shown] = []
        self._server: Server | None = None
        if center is not None:
            lat, lon = center
            self.set_center(lon, lat, zoom)

    def __repr__(self) -> str:
        if not self.layers:
            return "Map without layers; add_layer(image) adds one"
        count = f"{len(self.layers)} layer{'s' if len(self.layers) > 1 else ''}"
        names = ", ".join(map(repr, self.layers))
        return f"Map of {count}: {names}; a notebook shows it, .save('map.html') writes it"

    def set_center(self, lon: float, lat: float, zoom: int | None = None) -> None:
        """Center the map at a place.

        Parameters
        ----------
        lon, lat : float
            Degrees.
        zoom : int, optional
            Zoom level, 0 to about 18.

        Raises
        ------
        ValueError
            It is no place on the globe.
        """
        if not (-360 <= lon <= 360 and -90 <= lat <= 90):
            raise ValueError(
                f"longitude {lon!r}, latitude {lat!r} is no place on the globe. set_center() takes "
                "the longitude first, Map(center=...) the latitude; both are in degrees."
            )
        self._centre, self._zoom = (float(lat), float(lon)), _zoom(zoom)

    def add_layer(
        self,
        ee_object: Any,
        vis_params: Any = None,
        name: str | None = None,
        shown: bool = True,
        opacity: float = 1.0,
    ) -> None:
        """Add an image, or a collection, whose last image is on top.

        Parameters
        ----------
        ee_object : xarray.Dataset, xarray.DataArray, or an image or collection of `qmosaic.ee`
            Or a str or Path: that of a mosaic's store. Lazy ones are computed here, at the
            resolution of a screen: the level that fits, or every k-th row and column, at most
            `max_size` along each side.
        vis_params : mapping, optional
            ``{"bands": ["B4", "B3", "B2"], "min": 0, "max": 3000}``: see `visualize`; `min` and
            `max` may be percentages of the values in that picture, ``"2%"``, as in `quicklook`.
            Without them ``mosaic["source_time"]`` and ``mosaic["source_index"]`` become maps of
            dates, ``mosaic["valid_count"]`` one of counts. These and palettes have a legend.
        name : str, optional
            What the layer is called; by default "Layer 1" and so on. A name that is taken gets a
            number, "mosaic (2)".
        shown : bool, default: True
            Whether it is switched on.
        opacity : float, default: 1
            0 to 1.

        Raises
        ------
        KeyError, TypeError
            See `visualize`.
        ValueError
            The image has no CRS; and see `visualize`.
        """
        parameters = check_layer(vis_params, opacity)
        layer = Layer.of(ee_object, parameters, self._max_size)
        title = self._free(f"Layer {len(self.layers) + 1}" if not name else str(name))
        self._shown.append(_Shown(layer, title, bool(shown), opacity, ee_object, parameters))
        if self._server is not None:
            self._shown[-1].put_on(self._server)

    @property
    def layers(self) -> list[str]:
        """The names of the layers."""
        return [one.title for one in self._shown]

    def _free(self, name: str) -> str:
        """Find a name that no layer has: two layers of one name would be one."""
        number, free = 1, name
        while free in self.layers:
            number += 1
            free = f"{name} ({number})"
        return free

    def center_object(self, ee_object: Any, zoom: int | None = None) -> None:
        """Center the map at the middle of an image or a collection.

        Parameters
        ----------
        ee_object : xarray.Dataset, xarray.DataArray, or an image or collection of `qmosaic.ee`
            What is shown in the middle; nothing of it is computed.
        zoom : int, optional
            Zoom level, 0 to about 18.

        Raises
        ------
        ValueError
            It has no CRS.
        """
        dataset = with_crs(shown(ee_object, "center_object()"), "center_object()")
        middle = projected(extent_of(dataset), LON_LAT).centroid
        ((lon, lat),) = middle.points
        self.set_center(lon, lat, zoom)

    def to_html(self, *, max_bytes: int = 0) -> str:
        """Give the page: all that it needs is in it, but for the tiles of the base map.

        Parameters
        ----------
        max_bytes : int, default: 0
            How many bytes of details it may hold, see `save`; without any, each layer is one
            picture of at most `max_size` pixels a side, as in a notebook.

        Returns
        -------
        str
            HTML.
        """
        folium = needed("folium", "map", PURPOSE)
        drawn = self._drawn()
        page = folium.Figure()
        head = f"<style>{leaflet_css()}{STYLE}{page_tiles.STYLE}</style>"
        page.header.add_child(_element(head))
        page.header.add_child(_element(f"<script>{leaflet('leaflet.js').decode()}</script>"))
        page.header.add_child(_element(f"<script>{page_tiles.SCRIPT}</script>"))
        scripts, legends = [], []
        pyramids = self._pyramids(max_bytes) if max_bytes else {}
        for number, one in enumerate(self._shown):
            token, pyramid = _token(number), pyramids.get(number)
            layer = _of_picture(one, token) if pyramid is None else _of_tiles(one, pyramid, token)
            layer.add_to(drawn)
            name = layer.get_name()
            if pyramid is not None:
                scripts.append(page_tiles.answering(name, one.title, pyramid))
            if one.layer.legend is not None:
                legends.append(legend_of(name, one.title, one.layer.legend, shown=one.on))
                scripts.append(switching(drawn.get_name(), name))
        if max_bytes:
            scripts.append(page_tiles.asking(drawn.get_name()))
        if self._shown:
            folium.LayerControl(collapsed=False).add_to(drawn)
        drawn.add_to(page)
        page.html.add_child(_element(f'<div class="qmosaic-legends">{"".join(legends)}</div>'))
        for script in scripts:
            page.script.add_child(_element(script))
        html: str = page.render()
        for number, one in enumerate(self._shown):
            html = html.replace(_token(number), _label(one.title))
        return html

    def _pyramids(self, max_bytes: int) -> dict[int, Pyramid]:
        """Make the tiles of all layers: those that need least first, and the others share what is
        left."""
        made: dict[int, Pyramid] = {}
        numbers = sorted(range(len(self._shown)), key=lambda n: self._shown[n].layer.weight)
        for done, number in enumerate(numbers):
            share = max(0, max_bytes) // (len(numbers) - done)
            made[number] = self._shown[number].layer.pyramid(share)
            max_bytes -= made[number].nbytes
        return made

    def _drawn(self) -> Any:
        """Make the map of folium, turned to its centre or to all layers."""
        folium = needed("folium", "map", PURPOSE)
        drawn = folium.Map(tiles=None, control_scale=True)
        drawn.default_js, drawn.default_css = [], []
        if self._tiles is not None:
            folium.TileLayer(self._tiles, name=self._tiles).add_to(drawn)
        if self._centre is not None:
            drawn.location = list(self._centre)
            drawn.options["zoom"] = 10 if self._zoom is None else self._zoom
        elif self._shown:
            corners = np.array([one.layer.bounds for one in self._shown])
            drawn.fit_bounds(
                [corners[:, 0].min(axis=0).tolist(), corners[:, 1].max(axis=0).tolist()],
                max_zoom=self._zoom,
            )
        return drawn

    def save(self, path: str | Path, *, max_bytes: int = DETAILS) -> Path:
        """Write the map as a page that works from disk, without a server.

        The page shows more as one zooms in: it holds pictures of its layers, in tiles, up to the
        zoom level at which each pixel of an image is one of the screen, as far as `max_bytes`
        allows. A click on it says where that is, the values of the bands that are shown, and from
        which image they are, where the mosaic knows (``provenance=True``).

        Parameters
        ----------
        path : str or Path
            The page, ``map.html``; folders are made where they are missing.
        max_bytes : int, default: 20_000_000
            How many bytes of details it may hold, all layers together. Where they are not enough
            for all pixels of a layer, its finest zoom levels are left out, but for what a screen
            shows of the whole; and a click says the values of the nearest pixel that the page
            holds. 0 for no details: each layer is one picture of at most `max_size` pixels a side,
            and a click says nothing.

        Returns
        -------
        Path
            Where it is.

        Raises
        ------
        ValueError
            `max_bytes` is no number of bytes.

        Notes
        -----
        The images are read once more, block by block: from their levels, where they were written
        with ``levels=``, else all pixels, or every k-th row and column. A mosaic that was not
        written yet is decided once more; write it first.

        A click says the values of the pixel of the image that lies there; in the pictures, borders
        of pixels may lie off by half a pixel of a tile.

        Layers share the bytes; what one leaves, those after it may take. A third of those of a
        layer is kept for values, which have seven digits.
        """
        if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 0:
            raise ValueError(
                f"max_bytes={max_bytes!r} is no number of bytes; give a whole number, 0 for a page "
                "without details."
            )
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_html(max_bytes=max_bytes), encoding="utf-8")
        return path

    def serve(self, *, port: int = 0, open_browser: bool = False) -> Server:
        """Show more as one zooms: have a server on this machine make what one looks at.

        Parameters
        ----------
        port : int, default: 0
            Where it listens; 0 for any port that is free.
        open_browser : bool, default: False
            Whether to open its page in the browser.

        Returns
        -------
        Server
            With the layers of this map. From now on a notebook shows the map as the page of this
            server, and `add_layer` adds to both; `save` and `to_html` write the pictures, as
            before. See `qmosaic.display.serve`.

        Raises
        ------
        ModuleNotFoundError
            titiler or uvicorn is not installed (extra ``serve``).
        OSError
            The port is in use.

        Notes
        -----
        The browser has to run on the same machine as Python. The notebook of another machine
        shows an empty frame: forward the port, or leave the map as it is.

        Examples
        --------
        >>> import numpy as np, xarray as xr, qmosaic.display as geemap
        >>> image = xr.Dataset(
        ...     {"red": (("latitude", "longitude"), np.ones((3, 4)))},
        ...     {"latitude": [40.3, 40.2, 40.1], "longitude": [-103.4, -103.3, -103.2, -103.1]},
        ... )
        >>> m = geemap.Map(tiles=None)
        >>> m.add_layer(image, {"min": 0, "max": 1}, "ones")
        >>> with m.serve() as server:
        ...     server.layers
        ['ones']
        """
        server = Server(port=port, base_map=self._tiles)
        try:
            for one in self._shown:
                one.put_on(server)
        except BaseException:
            server.stop()
            raise
        self._server = server
        if open_browser:
            webbrowser.open(server.url + self._view())
        return server

    def _view(self) -> str:
        """Say in an address where the map looks."""
        if self._centre is None:
            return ""
        lat, lon = self._centre
        return f"#{10 if self._zoom is None else self._zoom}/{lat}/{lon}"

    def _repr_html_(self) -> str:
        if self._server is not None and self._server.running:
            return frame(self._server.url + self._view())
        # the page itself, not an address that holds it: Chromium opens none of more than 2 MB
        page = html_module.escape(self.to_html())
        return (
            f'<iframe srcdoc="{page}" '
            'style="width: 100%; height: 500px; border: 0" allowfullscreen></iframe>'
        )

    addLayer = add_layer
    setCenter = set_center
    centerObject = center_object


@dataclass(frozen=True)
class _Shown:
    """A layer on a map: what it is called, whether it is switched on, its opacity; and what was
    given for it."""

    layer: Layer
    title: str
    on: bool
    opacity: float
    image: Any
    parameters: Mapping[str, Any]

    def put_on(self, server: Server) -> None:
        """Show it on a server, too."""
        server.add_layer(
            self.title, self.image, self.parameters, shown=self.on, opacity=self.opacity
        )


def _of_picture(one: _Shown, name: str) -> Any:
    """Make a layer of folium of one picture."""
    return needed("folium", "map", PURPOSE).raster_layers.ImageOverlay(
        one.layer.png_address(), one.layer.bounds, name=name, show=one.on, opacity=one.opacity
    )


def _of_tiles(one: _Shown, pyramid: Pyramid, name: str) -> Any:
    """Make a layer of folium of tiles that are in the page."""
    layer = needed("folium", "map", PURPOSE).map.Layer(name, overlay=True, show=one.on)
    layer.made = page_tiles.layer_of(pyramid, one.opacity)
    layer._template = needed("folium.template", "map", PURPOSE).Template(
        "{% macro script(this, kwargs) %}var {{ this.get_name() }} = {{ this.made }};{% endmacro %}"
    )
    return layer


def _zoom(given: Any) -> int | None:
    if given is None or (
        isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= 24
    ):
        return given
    raise ValueError(f"zoom={given!r} is no zoom level; it is a whole number of 0 to 24.")


def _token(number: int) -> str:
    """Make a placeholder for the name of a layer, which the page's templates cannot change."""
    return f"qmosaic-layer-{number}-name"


def _label(name: str) -> str:
    """Write a name so that it is text on the page, and in its script, whatever is in it."""
    text = html_module.escape(name, quote=False)
    if text.isdigit():  # JavaScript puts such keys first
        text = "\u200b" + text
    return json.dumps(text)[1:-1].replace("</", "<\\/")


def _element(html: str) -> Any:
    """Put text into a page as it is; folium would take it for a template."""
    element = needed("branca.element", "map", PURPOSE).Element("{{ this.text }}")
    element.text = html
    return element

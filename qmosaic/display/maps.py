"""An interactive map in a notebook or a page of its own, through folium and odc-geo."""

from __future__ import annotations

import html as html_module
import re
import warnings
import webbrowser
from pathlib import Path
from typing import Any

from qmosaic.collection.geometry import LON_LAT, projected
from qmosaic.collection.location import extent_of
from qmosaic.display.beside import BaseMap, Beside
from qmosaic.display.features import around, in_degrees, in_one_piece, is_image, middle_of
from qmosaic.display.furnishing import Furnished
from qmosaic.display.hints import not_of_maps
from qmosaic.display.layers import check_opacity, layer_of, with_crs
from qmosaic.display.looking import extent, level, middle
from qmosaic.display.map_pages import Shown, View, page_of
from qmosaic.display.parameters import plain
from qmosaic.display.serving import Server
from qmosaic.display.serving.server import frame
from qmosaic.display.thinning import shown, why_nothing
from qmosaic.optional import needed
from qmosaic.scores.expressions import is_number

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

NOTHING = (
    "add_google_map",
    "attribution_control",
    "ee_initialize",
    "lite_mode",
    "locate_control",
    "scroll_wheel_zoom",
)
NOTHING_OF = (
    *("data_ctrl", "draw_c", "fullscreen_c", "layer_c", "layers_c", "measure_c", "plugin_"),
    *("scale_c", "search_c", "toolbar_c", "zoom_c"),
)
"""Options of geemap's maps that do nothing here, and how some of their names begin: buttons, and
what belongs to the account."""


class Map(Furnished):
    """An interactive map: images and geometries as layers that can be switched.

    Its methods have the names of Earth Engine's and geemap's maps, in both spellings: ``add_layer``
    and ``addLayer``, ``set_center`` and ``setCenter``, ``center_object`` and ``centerObject``.
    Those that are not there say what to use. A notebook shows a map where it is the last line of a
    cell.

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
    basemap : str, optional
        The base map by a name of geemap, see `add_basemap`.
    height, width : str or int, optional
        The size in a notebook, "600px" for instance.
    **options
        geemap's options of buttons and of the account, which do nothing here.

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
    >>> m.set_center(-103.19, 40.14)
    >>> m.set_zoom(9)
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
    >>> m.setZoom(8)
    >>> m.getZoom(), m.getCenter()["type"], len(m.getBounds())
    (8, 'Point', 4)
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
        basemap: str | None = None,
        height: str | int = "500px",
        width: str | int = "100%",
        **options: Any,
    ) -> None:
        for module in MODULES:
            needed(module, "map", PURPOSE)
        for name in options:
            if not (name in NOTHING or name.startswith(NOTHING_OF)):
                raise TypeError(
                    f"Map() got {name}=, which it does not know. It takes center, zoom, tiles (or "
                    "basemap), max_size, height and width."
                )
        self._beside = Beside()
        self._max_size = max_size
        self._size = {"height": _length(height, "height"), "width": _length(width, "width")}
        self._view = View(zoom=_zoom(zoom))
        self._shown: list[Shown] = []
        self._server: Server | None = None
        if basemap is not None:
            self.add_basemap(basemap)
        elif tiles is not None:
            self._beside.base_maps.append(BaseMap.of(tiles, "tiles"))
        if center is not None:
            lat, lon = plain(center)
            self.set_center(lon, lat, zoom)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # asked for by notebooks and by copying
            raise AttributeError(name)
        raise not_of_maps(name, dir(type(self)))

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
            Zoom level, 0 to about 18; by default it stays as it was set before, or is 10.

        Raises
        ------
        ValueError
            It is no place on the globe.
        """
        lon, lat = plain(lon), plain(lat)
        numbers = is_number(lon) and is_number(lat)
        if not (numbers and -360 <= lon <= 360 and -90 <= lat <= 90):
            raise ValueError(
                f"longitude {lon!r}, latitude {lat!r} is no place on the globe. set_center() takes "
                "the longitude first, Map(center=...) the latitude; both are in degrees."
            )
        level = self._view.zoom if zoom is None else _zoom(zoom)
        self._view = View((float(lat), float(lon)), level)

    def set_zoom(self, zoom: int) -> None:
        """Set the zoom level.

        Parameters
        ----------
        zoom : int
            0 to about 18.

        Raises
        ------
        ValueError
            It is no zoom level.
        """
        centre = self._view.centre
        if self._view.bounds is not None:
            (south, west), (north, east) = self._view.bounds
            centre = (south + north) / 2, (west + east) / 2
        self._view = View(centre, _zoom(zoom))

    def add_layer(
        self,
        ee_object: Any,
        vis_params: Any = None,
        name: str | None = None,
        shown: bool = True,
        opacity: float = 1.0,
    ) -> None:
        """Add an image, a collection, whose last image is on top, or geometries.

        Parameters
        ----------
        ee_object : xarray.Dataset, xarray.DataArray, or an image or collection of `qmosaic.ee`
            Or a str or Path: that of a mosaic's store. Lazy ones are computed here, at the
            resolution of a screen: the level that fits, or every k-th row and column, at most
            `max_size` along each side. Or geometries: GeoJSON or the path of it, of shapely or
            odc-geo, a GeoDataFrame, a geometry or features of `qmosaic.ee`.
        vis_params : mapping, optional
            ``{"bands": ["B4", "B3", "B2"], "min": 0, "max": 3000}``: see `visualize`; `min` and
            `max` may be percentages of the values in that picture, ``"2%"``, as in `quicklook`.
            Without them ``mosaic["source_time"]`` and ``mosaic["source_index"]`` become maps of
            dates, ``mosaic["valid_count"]`` one of counts. These and palettes have a legend. Of
            geometries a style: ``{"color": "FF0000"}``, ``width``, ``fillColor``, ``opacity``,
            ``fillOpacity``, ``pointSize``, ``lineType``; black by default, areas half transparent.
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
        opacity = check_opacity(opacity)
        reason = why_nothing(ee_object)
        if reason is not None:
            warnings.warn(
                f"the layer {name or 'that is added'!r} has no image, and nothing of it is shown. "
                f"{reason}",
                stacklevel=2,
            )
            return
        layer = layer_of(ee_object, vis_params, self._max_size)
        title = self._free(str(plain(name)) if name else f"Layer {len(self.layers) + 1}")
        self._shown.append(Shown(layer, title, bool(shown), opacity, ee_object, vis_params))
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
        """Center the map at the middle of an image, a collection or geometries.

        Parameters
        ----------
        ee_object : image, collection or geometry
            What `add_layer` takes; nothing of an image is computed.
        zoom : int, optional
            Zoom level, 0 to about 18; by default the one that shows all of it.

        Raises
        ------
        TypeError
            It is neither an image nor a geometry.
        ValueError
            It has no CRS, or is empty.
        """
        if is_image(ee_object):
            dataset = with_crs(shown(ee_object, "center_object()"), "center_object()")
            shapes = in_one_piece([projected(extent_of(dataset), LON_LAT).geom])
        else:
            shapes = in_degrees(ee_object, "center_object()")
        if zoom is None:
            self._view = View(bounds=around(shapes))
        else:
            self.set_center(*middle_of(shapes), zoom)

    def getCenter(self) -> dict[str, Any]:
        """Give the middle of the map as GeoJSON, which `qmosaic.ee.Geometry` takes."""
        return {"type": "Point", "coordinates": [*middle(self._view, self._bounds())]}

    def getZoom(self) -> int:
        """Give the zoom level: the one that was set, or that shows all of it."""
        return level(self._view, self._bounds())

    def getBounds(self, asGeoJSON: bool = False) -> Any:
        """Give what the map shows, in a window of usual size: 1000 by 500 pixels.

        Parameters
        ----------
        asGeoJSON : bool, default: False
            A rectangle as GeoJSON, in place of west, south, east and north.
        """
        west, south, east, north = extent(self._view, self._bounds())
        if not asGeoJSON:
            return [west, south, east, north]
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        return {"type": "Polygon", "coordinates": [ring]}

    def _bounds(self) -> list[Any]:
        return [one.layer.bounds for one in self._shown]

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
        return page_of(self._shown, self._beside, self._view, max_bytes)

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
        server = Server(port=port, base_map=None)
        server.beside = self._beside  # what is added later is seen there, too
        try:
            for one in self._shown:
                one.put_on(server)
        except BaseException:
            server.stop()
            raise
        self._server = server
        if open_browser:
            webbrowser.open(server.url + self._view.address)
        return server

    def _repr_html_(self) -> str:
        if self._server is not None and self._server.running:
            return frame(self._server.url + self._view.address, **self._size)
        # the page itself, not an address that holds it: Chromium opens none of more than 2 MB
        page = html_module.escape(self.to_html())
        return (
            f'<iframe srcdoc="{page}" style="width: {self._size["width"]}; '
            f'height: {self._size["height"]}; border: 0" allowfullscreen></iframe>'
        )

    addLayer = add_layer
    setCenter = set_center
    setZoom = set_zoom
    centerObject = center_object


def _zoom(given: Any) -> int | None:
    zoom = plain(given)
    if zoom is None:
        return None
    whole = is_number(zoom) and float(zoom) == int(zoom)
    if isinstance(zoom, bool) or not whole or not 0 <= zoom <= 24:
        raise ValueError(f"zoom={given!r} is no zoom level; it is a whole number of 0 to 24.")
    return int(zoom)


def _length(given: Any, name: str) -> str:
    """Take a length of CSS, or a number of pixels."""
    text = f"{given}px" if isinstance(given, int) else str(given)
    if not re.fullmatch(r"\d+(\.\d+)?(px|%|em|rem|vh|vw)?", text):
        raise ValueError(f"{name}={given!r} is no length. Write, for instance, {name}='600px'.")
    return text

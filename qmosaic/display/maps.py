"""An interactive map in a notebook or a page of its own, through folium and odc-geo."""

from __future__ import annotations

import base64
import functools
import html as html_module
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.geometry import LON_LAT, projected
from qmosaic.collection.location import crs_of, extent_of, map_axes
from qmosaic.display.asides import Ramp, Swatches
from qmosaic.display.colours import check_parameters, visualize
from qmosaic.display.dates import Images, coloured, dated, telling_images
from qmosaic.display.mercator import Bounds, on_web_map
from qmosaic.display.page_legends import legend_of, switching
from qmosaic.display.quicklooks import load_thinned
from qmosaic.display.thinning import bands_on_map, north_up, only, shown, thin
from qmosaic.engine.mosaic import last_on_top
from qmosaic.engine.scheduling import compute
from qmosaic.optional import needed

PURPOSE = "maps"
MODULES = ("folium", "xstatic.pkg.leaflet", "odc.geo.xr", "rasterio", "PIL.ImageColor")
"""What a map needs, all of it asked for before the first layer is computed."""

SCREEN = 1024
"""The most pixels along each side of a layer: more is not to be seen on a screen."""


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
        The most pixels along each side of an image that are computed and shown.

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
    A layer is a picture of at most `max_size` pixels a side: zooming in does not fetch more. To see
    details, add a part of the image: ``qmosaic.clip(image, region)``.

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
        self._map = folium.Map(tiles=None, control_scale=True)
        if tiles is not None:
            folium.TileLayer(tiles, name=tiles).add_to(self._map)
        self._max_size = max_size
        self._centre: tuple[float, float] | None = None
        self._zoom = _zoom(zoom)
        self._bounds: list[Bounds] = []
        self._legends: list[tuple[str, str, bool, Swatches | Ramp]] = []
        self.layers: list[str] = []
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
            Lazy ones are computed here, at the resolution of a screen: every k-th row and column,
            at most `max_size` along each side.
        vis_params : mapping, optional
            ``{"bands": ["B4", "B3", "B2"], "min": 0, "max": 3000}``: see `visualize`. Without them
            ``mosaic["source_time"]`` and ``mosaic["source_index"]`` become maps of dates, with a
            legend: see `quicklook`.
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
        parameters = check_parameters(vis_params, "add_layer()")
        if not 0 <= opacity <= 1:
            raise ValueError(f"add_layer() got opacity={opacity!r}; it is a number of 0 to 1.")
        picture, bounds, legend = self._coloured(ee_object, parameters)
        folium = needed("folium", "map", PURPOSE)
        title = self._free(f"Layer {len(self.layers) + 1}" if not name else str(name))
        overlay = folium.raster_layers.ImageOverlay(
            picture.odc.compress("png", as_data_url=True),
            bounds,
            name=_token(len(self.layers)),
            show=bool(shown),
            opacity=opacity,
        )
        overlay.add_to(self._map)
        if legend is not None:
            self._legends.append((overlay.get_name(), title, bool(shown), legend))
        self._bounds.append(bounds)
        self.layers.append(title)

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
        dataset = _with_crs(shown(ee_object, "center_object()"), "center_object()")
        middle = projected(extent_of(dataset), LON_LAT).centroid
        ((lon, lat),) = middle.points
        self.set_center(lon, lat, zoom)

    def _coloured(
        self, image: Any, parameters: dict[str, Any]
    ) -> tuple[xr.DataArray, Bounds, Swatches | Ramp | None]:
        """Colour the thinned image, and bring it onto the grid of the map; a map of dates has a
        legend."""
        dataset = _with_crs(shown(image, "add_layer()"), "add_layer()")
        crs = crs_of(dataset)
        telling = telling_images(dataset, parameters)
        if telling is not None:
            one = dated(dataset, telling)
            _check_size(next(iter(one.data_vars.values())))
            (loaded,) = load_thinned({"": one}, self._max_size, "add_layer()").values()
            images = Images.on([loaded])
            picture = coloured(loaded, images, images.colours)
            return *self._placed(picture, crs), images.legend(masked=False)
        if parameters.get("bands") is not None:
            dataset = only(dataset, parameters["bands"])
        thinned = north_up(thin(dataset, self._max_size), "add_layer()")
        if "time" in thinned.dims:
            thinned = last_on_top(thinned)
        bands_on_map(thinned, "add_layer()")
        deferred = visualize(thinned, **parameters)
        _check_size(deferred)
        (picture,) = compute(deferred)
        return *self._placed(picture, crs), None

    def _placed(self, picture: xr.DataArray, crs: Any) -> tuple[xr.DataArray, Bounds]:
        needed("odc.geo.xr", "map", PURPOSE)  # registers .odc
        return on_web_map(picture.odc.assign_crs(crs), crs, self._max_size)

    def to_html(self) -> str:
        """Give the page: all that it needs is in it, but for the tiles of the base map."""
        folium = needed("folium", "map", PURPOSE)
        page = folium.Figure()
        page.header.add_child(_element(f"<style>{_leaflet_css()}{STYLE}</style>"))
        page.header.add_child(_element(f"<script>{_leaflet('leaflet.js').decode()}</script>"))
        drawn = self._map
        drawn.default_js, drawn.default_css = [], []
        self._look(drawn)
        if self.layers:
            control = [c for c in drawn._children if c.startswith("layer_control")]
            for key in control:
                del drawn._children[key]
            folium.LayerControl(collapsed=False).add_to(drawn)
        drawn.add_to(page)
        legends = [legend_of(o, title, legend, shown=on) for o, title, on, legend in self._legends]
        page.html.add_child(_element(f'<div class="qmosaic-legends">{"".join(legends)}</div>'))
        for overlay, *_ in self._legends:
            page.script.add_child(_element(switching(drawn.get_name(), overlay)))
        html: str = page.render()
        for number, name in enumerate(self.layers):
            html = html.replace(_token(number), _label(name))
        return html

    def _look(self, drawn: Any) -> None:
        """Turn the map to its centre, or to all layers."""
        for key in [c for c in drawn._children if c.startswith("fit_bounds")]:
            del drawn._children[key]
        if self._centre is not None:
            drawn.location = list(self._centre)
            drawn.options["zoom"] = 10 if self._zoom is None else self._zoom
        elif self._bounds:
            corners = np.array(self._bounds)
            drawn.fit_bounds(
                [corners[:, 0].min(axis=0).tolist(), corners[:, 1].max(axis=0).tolist()],
                max_zoom=self._zoom,
            )

    def save(self, path: str | Path) -> Path:
        """Write the map as a page that works from disk, without a server.

        Parameters
        ----------
        path : str or Path
            The page, ``map.html``; folders are made where they are missing.

        Returns
        -------
        Path
            Where it is.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_html(), encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        # the page itself, not an address that holds it: Chromium opens none of more than 2 MB
        page = html_module.escape(self.to_html())
        return (
            f'<iframe srcdoc="{page}" '
            'style="width: 100%; height: 500px; border: 0" allowfullscreen></iframe>'
        )

    addLayer = add_layer
    setCenter = set_center
    centerObject = center_object


def _zoom(given: Any) -> int | None:
    if given is None or (
        isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= 24
    ):
        return given
    raise ValueError(f"zoom={given!r} is no zoom level; it is a whole number of 0 to 24.")


def _with_crs(image: xr.Dataset, caller: str) -> xr.Dataset:
    try:
        crs_of(image)
    except ValueError as error:
        raise ValueError(f"{caller} cannot put the image on a map: {error}") from error
    return image


def _check_size(picture: xr.DataArray) -> None:
    if any(picture.sizes[axis] < 2 for axis in map_axes(picture, "add_layer()")):
        raise ValueError(
            "add_layer() got an image of one row or column of pixels, which has no size on a map. "
            "Show a larger part."
        )


def _token(number: int) -> str:
    """Make a placeholder for the name of a layer, which the page's templates cannot change."""
    return f"qmosaic-layer-{number}-name"


def _label(name: str) -> str:
    """Write a name so that it is text on the page, and in its script, whatever is in it."""
    text = html_module.escape(name, quote=False)
    if text.isdigit():  # JavaScript puts such keys first
        text = "\u200b" + text
    return json.dumps(text)[1:-1].replace("</", "<\\/")


STYLE = """
html, body { width: 100%; height: 100%; margin: 0; padding: 0 }
.leaflet-image-layer { image-rendering: pixelated }
.leaflet-control-layers { font: 13px/1.5 system-ui, sans-serif }
.qmosaic-legends { position: absolute; right: 10px; bottom: 26px; z-index: 1000; display: flex;
  flex-direction: column; align-items: flex-end; gap: 8px; pointer-events: none }
.qmosaic-legend { padding: 8px 12px; background: white; border: 2px solid rgba(0, 0, 0, 0.2);
  border-radius: 5px; font: 12px/1.6 system-ui, sans-serif }
.qmosaic-legend[hidden] { display: none }
.qmosaic-legend b { display: block }
.qmosaic-legend i { display: inline-block; width: 14px; height: 11px; margin-right: 7px }
.qmosaic-legend .scale { position: relative; height: 150px; margin-left: 14px }
.qmosaic-legend .scale span { position: absolute; left: 8px; white-space: nowrap;
  transform: translateY(-50%) }
"""


def _element(html: str) -> Any:
    """Put text into a page as it is; folium would take it for a template."""
    element = needed("branca.element", "map", PURPOSE).Element("{{ this.text }}")
    element.text = html
    return element


def _leaflet(name: str) -> bytes:
    leaflet = needed("xstatic.pkg.leaflet", "map", PURPOSE)
    return (Path(leaflet.BASE_DIR) / name).read_bytes()


@functools.cache
def _leaflet_css() -> str:
    """Give Leaflet's style with its pictures in it."""

    def inline(found: re.Match[str]) -> str:
        encoded = base64.b64encode(_leaflet(found[1])).decode()
        return f"url(data:image/png;base64,{encoded})"

    return re.sub(r"url\((images/[\w.-]+\.png)\)", inline, _leaflet("leaflet.css").decode())

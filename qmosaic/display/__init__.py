"""Pictures of images: a quicklook, an interactive map, colours as an array.

1. `quicklook` draws one image, or several side by side, and writes a PNG.
2. `Map` shows images in a notebook as layers that can be switched, or writes a page.
3. `visualize` gives the colours as a lazy array, for what you draw yourself; `side_by_side` puts
   such pictures, each of them a `Panel`, beside each other under titles.

4. `provenance` draws from which image each pixel of a mosaic is, `shares` how many each gave.
5. `serve` shows an image of any size in the browser, with all its pixels as one zooms; in QGIS,
   too.
6. `stretch` finds the numbers between which an image is shown, from percentages of its values.
7. `ee_export_image`, `download_ee_image` and `ee_to_numpy` are geemap's functions: a script that
   has ``import geemap`` runs with ``import qmosaic.display as geemap``. Names of geemap that are
   not there raise an error that says what to use.

The first three take Earth Engine's visualisation parameters: ``bands``, ``min``, ``max``, ``gain``,
``bias``, ``gamma``, ``palette`` and ``opacity``. Masked pixels are transparent. `quicklook` and
`Map` compute no more pixels than a screen shows (1024 along each side), and never hold a large
image whole. Of the path of a mosaic's store they show the mosaic.

>>> import numpy as np, xarray as xr, qmosaic as qm
>>> image = xr.Dataset({"red": (("y", "x"), np.arange(12.0).reshape(3, 4))})
>>> qm.quicklook(image, bands=["red"], min=0, max=11)
Picture of 518 × 392 pixels; a notebook shows it, .save('picture.png') writes it

Pictures need ``pip install ".[plot]"`` in the checkout of qmosaic, `Map` needs
``pip install ".[map]"``, `serve` needs ``pip install ".[serve]"``.

Modules. Each imports only modules below it in this table.

================ ============================================================================
``extracting``   the pixels of an image as a GeoTIFF or an array
``maps``         an interactive map, with layers that can be switched
``looking``      where it looks, as numbers
``map_pages``    its page, with the layers in it
``furnishing``   methods that add base maps, bars and legends
``hints``        what to use in place of names of geemap that are not there
``serving``      the same map, with tiles that a server on this machine makes as one zooms
``page_shapes``  geometries in a web page, and the order of its layers
``page_tiles``   tiles that are in a web page, what it says where one clicks
``page_legends`` legends of web pages
``layers``       an image as a layer of a map
``features``     geometries as a layer of a map
``styles``       how geometries are drawn
``pyramids``     tiles of an image: more as one zooms in, and its values
``origins``      where pixels come from: a map of images, bars of their shares
``quicklooks``   a picture of one image, or of several side by side
``beside``       base maps, and legends that are put on a map by hand
``ramps``        colours and a bar that explains them, for one band of numbers
``stretches``    percentages of the values in place of `min` and `max`
``mercator``     pictures onto the grid of web maps
``placing``      which pixel of an image lies where
``dates``        colours for the images that pixels are from
``leaflet``      what draws maps in web pages
``asides``       legends and bars to the right of pictures
``drawing``      titles, scale bars and credits around pictures
``colours``      images to red, green, blue and opacity
``parameters``   visualisation parameters: read and checked
``painting``     numbers to colours
``thinning``     what is shown of a large image: its level that fits, every k-th pixel
================ ============================================================================

May import ``scores``, ``sink``, ``engine``, ``collection`` and ``optional``.
"""

from typing import Any

from qmosaic.display.colours import visualize
from qmosaic.display.drawing import Panel, Picture, side_by_side
from qmosaic.display.extracting import download_ee_image, ee_export_image, ee_to_numpy
from qmosaic.display.hints import not_there
from qmosaic.display.maps import Map
from qmosaic.display.origins import provenance, shares
from qmosaic.display.quicklooks import quicklook
from qmosaic.display.serving import Server, serve
from qmosaic.display.stretches import stretch

__all__ = [
    "Map",
    "Panel",
    "Picture",
    "Server",
    "download_ee_image",
    "ee_export_image",
    "ee_initialize",
    "ee_to_numpy",
    "provenance",
    "quicklook",
    "serve",
    "shares",
    "side_by_side",
    "stretch",
    "visualize",
]


def ee_initialize(*args: Any, **kwargs: Any) -> None:
    """Do nothing, whatever the arguments: there is no server to connect to.

    Parameters
    ----------
    *args, **kwargs
        Anything.

    Examples
    --------
    >>> import qmosaic.display as geemap
    >>> geemap.ee_initialize()
    """


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module 'qmosaic.display' has no attribute {name!r}", name=name)
    raise not_there(name, __all__)

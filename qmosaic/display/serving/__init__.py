"""A map on this machine that shows more as one zooms: tiles, made when they are looked at.

`serve` starts a server that only programs on this machine reach, `Server` is what it gives. A page
at its address shows the layers; QGIS and Leaflet take the tiles by themselves.

Which tile server, and why. ``titiler.core`` makes the tiles: it takes a reader of one's own, so
that colours are exactly those of `quicklook` and `Map`; it is well kept; and it brings little
beyond what an interactive map needs anyway. ``xpublish-tiles`` draws by itself, with numba and
datashader, and more than doubles what is installed. ``localtileserver`` reads files alone, no lazy
mosaic. ``XarrayReader`` of ``rio-tiler``, which comes with titiler, is not used: it refuses degrees
of 0 to 360, and reads all pixels below a tile before it thins them, however many. In its place
`placing` asks PROJ where each pixel of a tile lies, and `detailed` takes it from the level that
fits.

Modules. Each imports only modules below it in this table.

============ ================================================================================
``server``   a server in a thread of its own
``routes``   what it answers: tiles, values at a place, the page; imported when one starts
``page``     the page with the map
``detailed`` an image in all its levels: its colours, the values at a place
``blocks``   colours of an image, block by block, each computed once
============ ================================================================================

May import the modules of `qmosaic.display` below it in the table there.
"""

from qmosaic.display.serving.server import Server, serve

__all__ = ["Server", "serve"]


def __dir__() -> list[str]:
    return __all__

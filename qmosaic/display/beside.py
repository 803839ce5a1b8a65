"""What a map has beside its layers: base maps, and legends that are put there by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qmosaic.display.asides import Ramp, Swatches
from qmosaic.display.drawing import hex_of
from qmosaic.display.parameters import as_rgb, check_parameters, plain
from qmosaic.display.ramps import ramp_between, single_number
from qmosaic.optional import needed

BASE_MAPS = {
    "HYBRID": "Esri.WorldImagery",
    "SATELLITE": "Esri.WorldImagery",
    "ROADMAP": "Esri.WorldStreetMap",
    "TERRAIN": "Esri.WorldTopoMap",
    "Google Hybrid": "Esri.WorldImagery",
    "Google Satellite": "Esri.WorldImagery",
    "Google Maps": "Esri.WorldStreetMap",
    "Google Terrain": "Esri.WorldTopoMap",
}
"""Base maps of Earth Engine, whose tiles want a key: what is shown in their place."""

GREYS = ["000000", "FFFFFF"]
"""The colours of a band that has no palette."""

Legend = Swatches | Ramp


@dataclass(frozen=True)
class BaseMap:
    """A base map.

    Attributes
    ----------
    name : str
        What it is called.
    tiles : str
        What folium takes: a name, or an address with {z}, {x} and {y}.
    """

    name: str
    tiles: str

    @staticmethod
    def of(name: Any, argument: str) -> BaseMap:
        """Find a base map by its name; `argument` says what it was given as, for errors.

        Raises
        ------
        ValueError
            There is none of that name.
        """
        name = plain(name)
        tiles = {alias.upper(): tiles for alias, tiles in BASE_MAPS.items()}
        known = str(name).replace("Google.", "Google ").upper()
        made = BaseMap(str(name), tiles.get(known, str(name)))
        try:
            made.layer()
        except ValueError as error:
            raise ValueError(
                f"{argument}={name!r} is neither a map that folium knows, such as 'OpenStreetMap', "
                "'OpenTopoMap' or 'Esri.WorldImagery', nor the address of tiles with {z}, {x} and "
                "{y}. Write one, or None for no map below the image."
            ) from error
        return made

    def layer(self, **options: Any) -> Any:
        """Make a layer of folium."""
        attribution = " " if "{z}" in self.tiles else None
        tile_layer = needed("folium", "map", "maps").TileLayer
        return tile_layer(self.tiles, attr=attribution, name=self.name, **options)


@dataclass(frozen=True)
class Titled:
    """A legend that was put on a map by hand.

    Attributes
    ----------
    title : str
        What stands above it.
    legend : Swatches or Ramp
        What it says.
    layer : str, optional
        The layer whose legend it is; None where it belongs to none.
    """

    title: str
    legend: Legend
    layer: str | None = None


@dataclass
class Beside:
    """What a map has beside its layers.

    Attributes
    ----------
    base_maps : list of BaseMap
        The last of them is shown first.
    legends : list of Titled
        Those that were put there by hand.
    """

    base_maps: list[BaseMap] = field(default_factory=list)
    legends: list[Titled] = field(default_factory=list)

    def arranged(
        self, layers: Sequence[tuple[str, Legend | None]]
    ) -> tuple[list[Titled | None], list[Titled]]:
        """Give the legend of each layer, and those that belong to none.

        A layer has the latest that was put there for it, else its own. A bar that was put there for
        no layer, and says the same as the own one of a layer, is the title of that.

        Parameters
        ----------
        layers : sequence of (str, Swatches or Ramp or None)
            The names of the layers, and the legends that they have by themselves.
        """
        found: list[Titled | None] = []
        titling: list[Titled] = []
        for name, own in layers:
            given = [one for one in self.legends if one.layer == name]
            naming = [one for one in self._free if own is not None and _same(one.legend, own)]
            titling += [] if given else naming
            title = naming[-1].title if naming and naming[-1].title else name
            plain_one = None if own is None else Titled(title, own, name)
            found.append(given[-1] if given else plain_one)
        return found, [one for one in self._free if not any(one is other for other in titling)]

    @property
    def _free(self) -> list[Titled]:
        return [one for one in self.legends if one.layer is None]


def _same(a: Legend, b: Legend) -> bool:
    """Tell whether two bars say the same."""
    if not isinstance(a, Ramp) or not isinstance(b, Ramp):
        return False
    return a.ends is not None and a.ends == b.ends and np.array_equal(a.colours, b.colours)


def bar_of(vis_params: Any, colours: Any, cmap: Any, caller: str) -> Ramp:
    """Make a bar of colours from visualisation parameters.

    Parameters
    ----------
    vis_params : mapping
        `min`, `max` and a palette; others do not count.
    colours : sequence of str, optional
        A palette in place of that of the parameters.
    cmap : str, optional
        The name of a colour map of matplotlib, where there is no palette.
    caller : str
        What is called, for errors.

    Raises
    ------
    KeyError, TypeError, ValueError
        There are no such parameters, or colours.
    """
    given = check_parameters(vis_params, caller)
    low, high = (_end(given.get(end), default, caller) for end, default in (("min", 0), ("max", 1)))
    palette = given.get("palette") if colours is None else plain(colours)
    if palette is None:
        palette = GREYS if cmap in (None, "gray", "grey") else _colours_of(cmap, caller)
    whole = high - low > 1 and all(end == round(end) for end in (low, high))
    return ramp_between(low, high, palette, whole=whole)


def _end(given: Any, default: float, caller: str) -> float:
    if isinstance(given, str):
        raise ValueError(
            f"{caller} got {given!r} as an end of the bar, and knows no values of which that is a "
            "percentage. Write numbers; the bar of a layer is on the map without add_colorbar()."
        )
    found = single_number(given)
    return default if found is None else found


def _colours_of(cmap: Any, caller: str) -> list[str]:
    maps = needed("matplotlib", "map", "maps").colormaps
    if cmap not in list(maps):
        raise ValueError(
            f"{caller} got cmap={cmap!r}, which matplotlib does not know. Write a name such as "
            "'viridis', or give a palette in the visualisation parameters."
        )
    return [hex_of(colour) for colour in maps[cmap](np.linspace(0, 1, 33))]


def swatches_of(entries: Any, keys: Any, colours: Any, caller: str) -> Swatches:
    """Make a legend of colours, each with what it stands for.

    Parameters
    ----------
    entries : mapping, optional
        Texts and their colours: names, hexadecimal, or red, green and blue, 0 to 255.
    keys, colours : sequence, optional
        The same as two lists.
    caller : str
        What is called, for errors.

    Raises
    ------
    TypeError, ValueError
        There are no entries, or the lists do not pair up.
    """
    entries, keys, colours = plain(entries), plain(keys), plain(colours)
    if entries is None and keys is not None and colours is not None and len(keys) == len(colours):
        entries = dict(zip(keys, colours, strict=True))
    if not isinstance(entries, Mapping) or not entries:
        raise ValueError(
            f"{caller} needs texts and their colours, and got {entries!r:.60}, keys={keys!r:.60}, "
            f"colors={colours!r:.60}. Write legend_dict={{'water': '0000FF', 'forest': 'green'}}, "
            "or as many keys= as colors=."
        )
    return Swatches([(_swatch(colour), str(text)) for text, colour in entries.items()])


def _swatch(colour: Any) -> str:
    rgb = colour if isinstance(colour, list | tuple) and len(colour) >= 3 else as_rgb(colour)
    return hex_of(tuple(float(part) / 255 for part in rgb[:3]))

"""Base maps, bars of colours and legends of a map, by geemap's methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qmosaic.display.beside import BaseMap, Beside, Titled, bar_of, swatches_of
from qmosaic.display.parameters import plain


class Furnished:
    """What a map has beside its layers, and how one puts it there."""

    _beside: Beside

    @property
    def layers(self) -> list[str]:
        """The names of the layers."""
        raise NotImplementedError

    def add_basemap(self, basemap: str = "HYBRID", show: bool = True) -> None:
        """Add a map below all layers; where there are several, one chooses among them.

        Parameters
        ----------
        basemap : str, default: "HYBRID"
            A name that folium knows, "OpenTopoMap" or "Esri.WorldImagery", or the address of tiles
            with {z}, {x} and {y}. For "HYBRID", "SATELLITE", "ROADMAP" and "TERRAIN", whose tiles
            Google gives to nobody without a key, Esri's are shown.
        show : bool, default: True
            Whether it is the one that is shown first.

        Raises
        ------
        ValueError
            There is no such map.

        Examples
        --------
        >>> import qmosaic.display as geemap
        >>> m = geemap.Map()
        >>> m.add_basemap("SATELLITE")
        """
        given = BaseMap.of(basemap, "basemap")
        known = [one for one in self._beside.base_maps if one.name != given.name]
        self._beside.base_maps[:] = [*known, given] if show else [given, *known]

    def add_colorbar(
        self,
        vis_params: Mapping[str, Any] | None = None,
        cmap: str = "gray",
        label: str | None = None,
        layer_name: str | None = None,
        *,
        colors: Any = None,
        vmin: float | None = None,
        vmax: float | None = None,
        caption: str | None = None,
        **options: Any,
    ) -> None:
        """Add a bar that explains colours.

        A layer with a palette has one by itself: where it is this one, it gets the label.

        Parameters
        ----------
        vis_params : mapping, optional
            ``{"min": 0, "max": 1, "palette": ["white", "green"]}``.
        cmap : str, default: "gray"
            A colour map of matplotlib, where there is no palette.
        label : str, optional
            What stands above it.
        layer_name : str, optional
            The layer with which it is switched on and off.
        colors, vmin, vmax
            In place of those of `vis_params`.
        caption : str, optional
            The same as `label`.
        **options
            geemap's options of size and place, which do nothing here.

        Raises
        ------
        KeyError, TypeError, ValueError
            There is no such layer, parameter, colour or colour map.

        Examples
        --------
        >>> import qmosaic.display as geemap
        >>> m = geemap.Map()
        >>> m.add_colorbar({"min": -1, "max": 1, "palette": "white, green"}, label="NDVI")
        """
        ends = {"min": vmin, "max": vmax}
        given = {**(vis_params or {}), **{n: one for n, one in ends.items() if one is not None}}
        bar = bar_of(given, colors, cmap, "add_colorbar()")
        title = label if label is not None else caption
        self._add_legend(title if title is not None else layer_name or "", bar, layer_name)

    def add_legend(
        self,
        title: str = "Legend",
        legend_dict: Mapping[str, Any] | None = None,
        keys: Any = None,
        colors: Any = None,
        layer_name: str | None = None,
        **options: Any,
    ) -> None:
        """Add a legend: colours, and what they stand for.

        Parameters
        ----------
        title : str, default: "Legend"
            What stands above it.
        legend_dict : mapping
            Texts and their colours: names of CSS, hexadecimal, or red, green and blue, 0 to 255.
        keys, colors : sequence of str
            The same as two lists.
        layer_name : str, optional
            The layer with which it is switched on and off.
        **options
            geemap's options of size and place, which do nothing here.

        Raises
        ------
        KeyError, ValueError
            There is no such layer, or there are no colours.

        Examples
        --------
        >>> import qmosaic.display as geemap
        >>> m = geemap.Map()
        >>> m.add_legend("Land", {"water": "0000FF", "forest": "green"})
        """
        title = options.pop("legend_title", title)
        if options.get("builtin_legend") is not None:
            raise ValueError(
                f"add_legend() got builtin_legend={options['builtin_legend']!r}; there are no "
                "built-in legends. Write legend_dict={'water': '0000FF', 'forest': 'green'}."
            )
        entries = swatches_of(legend_dict, keys, colors, "add_legend()")
        self._add_legend(title, entries, layer_name)

    def _add_legend(self, title: Any, legend: Any, layer: str | None) -> None:
        if layer is not None and layer not in self.layers:
            raise KeyError(
                f"there is no layer {layer!r}; the map has "
                f"{', '.join(map(repr, self.layers)) or 'none yet'}. Add the layer first."
            )
        self._beside.legends.append(Titled(str(plain(title)), legend, layer))

    def add_layer_control(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing, whatever the arguments: each map has a list of its layers.

        Parameters
        ----------
        *args, **kwargs
            Anything.

        Examples
        --------
        >>> import qmosaic.display as geemap
        >>> geemap.Map().addLayerControl()
        """

    setOptions = add_basemap
    addLayerControl = add_layer_control
    add_colorbar_branca = add_colorbar

"""What items leave open, or say wrongly, is asked of the files: all headers at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qmosaic.sources.request import Request
from qmosaic.sources.stac.addresses import Allow, check_address, without_lost
from qmosaic.sources.stac.band_lists import names_of_bands, tells_number, with_bands
from qmosaic.sources.stac.faults import Fault, warn_of_faults
from qmosaic.sources.stac.headers import Header, Headers
from qmosaic.sources.stac.parsing import Config, parsed_by_odc, place_of_band
from qmosaic.sources.stac.projection import Grid, completed, grid_of, with_grids, without_grid

if TYPE_CHECKING:
    import pystac
    from odc.stac import ParsedItem


@dataclass(frozen=True)
class Survey:
    """Finds out what items do not say, or say wrongly, of the files that will be opened.

    Attributes
    ----------
    request : Request
        Tells which bands are wanted.
    configs : mapping
        What is configured for the collections of the items.
    headers : Headers
        What the files say.
    allow : optional
        Which addresses may be opened.
    """

    request: Request
    configs: Mapping[Any, Config]
    headers: Headers
    allow: Allow

    def completed(
        self, items: Sequence[pystac.Item], grid_is_given: bool
    ) -> tuple[list[pystac.Item], list[ParsedItem]]:
        """Give items that say it, and what odc reads in them; headers are read all at once."""
        items = list(items)
        grids = [self._damaged(item) for item in items]
        bare = [without_grid(i) if g else i for i, g in zip(items, grids, strict=True)]
        parsed = parsed_by_odc(bare, self.configs)
        wanted = [
            [key for key in self._wanted(known) if key in item.assets]
            for item, known in zip(items, parsed, strict=True)
        ]
        for item, keys in zip(items, wanted, strict=True):
            for key in keys:
                check_address(item, key, self.allow)
        unclear = [
            {k for k in keys if k in grid and not grid[k].is_whole and not grid_is_given}
            for keys, grid in zip(wanted, grids, strict=True)
        ]
        if not grid_is_given:
            for place, item in enumerate(items):
                lacking = self._lacking(item, grids[place], wanted[place], parsed[place])
                if lacking and not grids[place]:
                    grids[place] = {k: grid_of(item, asset) for k, asset in item.assets.items()}
                unclear[place] |= lacking
        untold = [
            {k for k in keys if self._is_untold(item, k)}
            for keys, item in zip(wanted, items, strict=True)
        ]
        asked = zip(items, untold, unclear, strict=True)
        self.headers.ask([item.assets[k].href for item, a, b in asked for k in sorted(a | b)])
        faults: list[tuple[str, Fault]] = []
        for place, item in enumerate(items):
            told = self._with_bands(item, untold[place])
            if grids[place]:
                asked_of = unclear[place]
                found = self._settled(told, grids[place], wanted[place], asked_of, grid_is_given)
                told = without_grid(told) if found is None else with_grids(told, found)
                used = (found or {}).items()
                faults += [(item.id, f) for k, g in used if k in wanted[place] for f in g.faults]
            items[place] = told
            if told is not item:
                (parsed[place],) = parsed_by_odc([told], self.configs)
        warn_of_faults(faults, len(items))
        return [without_lost(item) for item in items], parsed

    def _damaged(self, item: pystac.Item) -> dict[str, Grid]:
        """Give the grids of all assets where one of them is not as odc takes it, which wants a CRS
        beside shape and transform."""
        if not any("/projection/" in url for url in item.stac_extensions):
            return {}
        grids = {key: grid_of(item, asset) for key, asset in item.assets.items()}
        right = all(
            grid.is_plain and not grid.faults and (grid.crs or not (grid.shape and grid.transform))
            for grid in grids.values()
        )
        # beside assets that tell theirs, odc takes those without a grid for no maps
        left_out = any(g.is_told for g in grids.values()) and not all(
            grids[key].is_told for key in self._named(item)
        )
        return {} if right and not left_out else grids

    def _named(self, item: pystac.Item) -> list[str]:
        """Name the assets that are asked for by their own or another name."""
        others = names_of_bands([item])
        keys = [
            n if n in item.assets else others.get(n, ("",))[0] for n in self.request.bands or ()
        ]
        return [key for key in keys if key in item.assets]

    def _lacking(
        self, item: pystac.Item, grids: Mapping[str, Grid], wanted: Sequence[str], known: ParsedItem
    ) -> set[str]:
        """Name the assets whose grid the item does not tell, or not all of it."""
        if self.configs[item.collection_id].get("ignore_proj"):
            return set()
        if grids:
            return {key for key in wanted if not grids[key].is_told}
        sources: list[Any] = list(known.bands.items())
        silent = {key for (key, _), source in sources if source.geobox is None}
        return silent & set(wanted)

    def _wanted(self, known: ParsedItem) -> list[str]:
        """Name the assets that will be opened."""
        if self.request.bands is None:
            keys = list(known.bands)
        else:
            keys = [key for name in self.request.bands if (key := place_of_band(known, name))]
        present = {key for key, _ in known.bands}
        return list(dict.fromkeys(asset for asset, _ in keys if asset in present))

    def _is_untold(self, item: pystac.Item, key: str) -> bool:
        """Tell whether a header has to say how many bands a file has."""
        configured = self.configs[item.collection_id]["assets"]
        return key not in configured and not tells_number(item.assets[key])

    def _with_bands(self, item: pystac.Item, keys: Iterable[str]) -> pystac.Item:
        found = {key: self.headers.get(item.assets[key].href) for key in keys}
        numbers = {k: len(h.dtypes) for k, h in found.items() if isinstance(h, Header)}
        return with_bands(item, numbers) if any(n > 1 for n in numbers.values()) else item

    def _settled(
        self,
        item: pystac.Item,
        grids: Mapping[str, Grid],
        wanted: Sequence[str],
        unclear: Iterable[str],
        grid_is_given: bool,
    ) -> dict[str, Grid] | None:
        """Complete the grids of an item by the headers of its files; None where one is given and
        the item has nothing to say."""
        if grid_is_given and any(
            not (grids[key].is_whole and grids[key].is_told) for key in wanted
        ):
            return None
        found = dict(grids)
        for key in unclear:
            header = self.headers.get(item.assets[key].href)
            if not isinstance(header, Header) or header.crs is None:
                raise _unknown_grid(item, key, found[key], header)
            found[key] = completed(found[key], header)
        return found


def _unknown_grid(item: pystac.Item, key: str, grid: Grid, header: Any) -> ValueError:
    faults = (f"has {fault}, and nothing else in it" for fault in grid.faults if not fault.instead)
    says = next(
        faults, "has no proj:code, proj:shape and proj:transform, or not all; nothing in it"
    )
    reason = "it has no CRS" if isinstance(header, Header) else f"it cannot be opened ({header})"
    return ValueError(
        f"the item {item.id!r} {says} tells the grid of the asset {key!r}, nor does the file "
        f"{item.assets[key].href!r}: {reason}. Correct the item, leave out what is no map "
        "(bands=[...]), or say which grid to take: crs='EPSG:32633', resolution=10 (in the unit "
        "of that CRS), or geobox=..."
    )

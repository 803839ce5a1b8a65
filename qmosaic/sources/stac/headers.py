"""The headers of the files of items: each is read once, many at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from qmosaic.optional import needed
from qmosaic.sources.headers import HEADERS_AT_ONCE, listing_nothing
from qmosaic.sources.packing import Packing


@dataclass(frozen=True)
class Header:
    """What the header of a file says.

    Attributes
    ----------
    dtypes, nodata, packing : tuple
        Of each band.
    crs : str, optional
        Its CRS as WKT.
    shape : (int, int)
        Rows and columns.
    transform : tuple of float
        Six numbers, in the order of STAC.
    """

    dtypes: tuple[str, ...]
    nodata: tuple[Any, ...]
    packing: tuple[Packing, ...]
    crs: str | None
    shape: tuple[int, int]
    transform: tuple[float, ...]


class Headers:
    """The headers of files, each of them read once and many at the same time.

    Parameters
    ----------
    patch_url : callable, optional
        Signs or changes an address before it is opened.
    """

    def __init__(self, patch_url: Callable[[str], str] | None = None) -> None:
        self._patch_url = patch_url
        self._known: dict[str, Header | Exception] = {}

    def ask(self, addresses: Iterable[str]) -> None:
        """Read the headers that are not known yet."""
        new = [a for a in dict.fromkeys(addresses) if a not in self._known]
        with ThreadPoolExecutor(HEADERS_AT_ONCE) as pool:
            self._known.update(zip(new, pool.map(self._read, new), strict=True))

    def get(self, address: str) -> Header | Exception:
        """Give a header, or the error that its file cannot be opened with."""
        self.ask([address])
        return self._known[address]

    def opened(self, address: str) -> str:
        """Give the address that is opened."""
        return self._patch_url(address) if self._patch_url else address

    def _read(self, address: str) -> Header | Exception:
        rasterio = needed("rasterio", "stac", "STAC items")
        opened = self.opened(address)
        unreadable: type[Exception] = rasterio.errors.RasterioIOError
        try:
            with listing_nothing(opened), rasterio.open(opened) as file:
                return Header(
                    tuple(file.dtypes),
                    tuple(file.nodatavals),
                    tuple(map(Packing, file.scales, file.offsets)),
                    None if file.crs is None else file.crs.to_wkt(),
                    tuple(file.shape),
                    tuple(file.transform)[:6],
                )
        except unreadable as error:
            return error

"""Images without pixels of their own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qmosaic.ee.unsupported import Hinting

if TYPE_CHECKING:
    import xarray as xr

REDUCED = {
    "reduceRegion": ("geometry", "scale", "crs", "crsTransform"),
    "sample": ("region", "scale", "projection", "crsTransform"),
}
"""Methods that say themselves which pixels they look at, and the arguments that do."""


class ClippedConstant(Hinting):
    """An image that lies everywhere, and has no pixels before it is combined with another image: a
    constant that was clipped, the area of pixels.

    Methods that are called before are recorded: ``ee.Image(1).clip(region).mask()`` is computed on
    the grid of the image that it masks.

    Parameters
    ----------
    constant : Image
        A constant with its bands; inside the region the image itself.
    on : callable
        Makes it an image on the grid of another.
    """

    _name = "ee.Image"
    _without_pixels = ("bandNames", "get", "date", "id")

    def __init__(self, constant: Any, on: Callable[[Any], Any]) -> None:
        self._constant = constant
        self._on = on

    def __repr__(self) -> str:
        return f"{self._constant!r}, on the grid of the image that it is combined with"

    def on(self, image: Any) -> Any:
        """Make it an image on the grid of another."""
        if not _has_grid(image):
            raise ValueError(
                "an image that lies everywhere (a clipped constant, the area of pixels) was "
                "combined with a constant, and neither has pixels. Combine one with an image "
                "first, for instance image.updateMask(ee.Image(1).clip(region))."
            )
        return self._on(image)

    @property
    def dataset(self) -> xr.Dataset:
        """Refuse: there are no pixels yet."""
        raise ValueError(
            "an image that lies everywhere (a clipped constant, the area of pixels) has no pixels "
            "of its own: its grid is that of the image that it is combined with. Combine it with "
            "one, for instance image.updateMask(ee.Image(1).clip(region))."
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in dir(type(self._constant)):
            return super().__getattr__(name)
        if name in self._without_pixels:
            return getattr(self._constant, name)

        def recorded(*args: Any, **options: Any) -> Any:
            for one in (*args, *options.values()):
                if _has_grid(one):
                    return getattr(self.on(one), name)(*args, **options)
            if name in REDUCED:
                wanted = inspect.signature(getattr(self._constant, name)).bind(*args, **options)
                asked = [wanted.arguments.get(argument) for argument in REDUCED[name]]
                grid = self._constant._map_around(*asked, f"ee.Image.{name}()")
                return getattr(self.on(grid), name)(*args, **options)
            inside = [one._constant if isinstance(one, ClippedConstant) else one for one in args]
            return ClippedConstant(
                self._constant if name == "clip" else getattr(self._constant, name)(*inside),
                lambda grid: getattr(self.on(grid), name)(*args, **options),
            )

        return recorded


def _has_grid(image: Any) -> bool:
    if isinstance(image, ClippedConstant) or not isinstance(image, Hinting):
        return False
    dataset = getattr(image, "dataset", None)  # reducers and kernels have none
    return dataset is not None and bool(set(dataset.dims) - {"time"})

"""Libraries that only some users need: imported where they are used, missed by name."""

from __future__ import annotations

import importlib
from typing import Any

CALLED = {
    "PIL": "pillow",
    "branca": "folium",
    "odc.geo": "odc-geo",
    "odc.stac": "odc-stac",
    "xstatic": "xstatic-leaflet",
}
"""What packages are called where they are installed from, if not as their modules."""


def needed(module: str, extra: str, purpose: str) -> Any:
    """Import a module of an optional dependency.

    A function that needs several of them asks first for one that its own extra brings, so that one
    installation is enough.

    Parameters
    ----------
    module : str
        The module, ``odc.geo.geom``.
    extra : str
        The extra in pyproject.toml with everything that the purpose needs.
    purpose : str
        What it is needed for, in the plural: "distances".

    Raises
    ------
    ModuleNotFoundError
        It is not installed; the message says what it is needed for, and how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and not module.startswith(error.name.split(".")[0]):
            raise
        names = (name for start, name in CALLED.items() if f"{module}.".startswith(f"{start}."))
        package = next(names, module.split(".")[0])
        raise ModuleNotFoundError(
            f"{purpose} need the package {package!r}, which is not installed. "
            f'Write: pip install "qmosaic[{extra}]"',
            name=error.name,
        ) from error

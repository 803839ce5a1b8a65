"""Libraries that only some users need: imported where they are used, missed by name."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

CALLED = {
    "PIL": "pillow",
    "branca": "folium",
    "odc.geo": "odc-geo",
    "odc.stac": "odc-stac",
    "titiler": "titiler.core",
    "xstatic": "xstatic-leaflet",
}
"""What packages are called where they are installed from, if not as their modules."""

_SERVED: ContextVar[tuple[str, str] | None] = ContextVar("_SERVED", default=None)
"""The extra and the purpose of the function that a user called."""


def how_to_install(extra: str) -> str:
    """Say how to install an extra: the package is on no index, so it is done from its checkout."""
    return f'Write, in the checkout of qmosaic: pip install ".[{extra}]"'


@contextlib.contextmanager
def serving(extra: str, purpose: str) -> Iterator[None]:
    """Let what is called inside ask for one extra, whatever it would ask for by itself.

    A function calls others, which are there for more than one; what a user has to install is the
    extra of the function that was called. The outermost counts.

    Parameters
    ----------
    extra, purpose : str
        As for `needed`.
    """
    token = _SERVED.set(_SERVED.get() or (extra, purpose))
    try:
        yield
    finally:
        _SERVED.reset(token)


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
        extra, purpose = _SERVED.get() or (extra, purpose)
        raise ModuleNotFoundError(
            f"{purpose} need the package {package!r}, which is not installed. "
            f"{how_to_install(extra)}",
            name=error.name,
        ) from error

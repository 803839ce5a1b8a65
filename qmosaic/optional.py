"""Libraries that only some users need: imported where they are used, missed by name."""

from __future__ import annotations

import importlib
from typing import Any

CALLED = {"odc.geo": "odc-geo", "odc.stac": "odc-stac", "PIL": "pillow"}
"""What packages are called where they are installed from, if not as their modules."""


def needed(module: str, extra: str, purpose: str) -> Any:
    """Import a module of an optional dependency.

    Raises
    ------
    ModuleNotFoundError
        It is not installed; the message says what for, and how to install it.
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

"""What the path of a file says before the file is opened."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Place:
    """What a path says, before its file is opened.

    Attributes
    ----------
    path, name : str
        The path, and what of it is the file's own: without the folder that all share, without what
        a URL asks for.
    time, band, id : str, optional
        What a pattern finds in it.
    rest : str
        The name without the band.
    """

    path: str
    name: str
    time: str | None = None
    band: str | None = None
    id: str | None = None
    rest: str = ""

    @property
    def tells_image(self) -> bool:
        """Tell whether the pattern says what makes an image."""
        return self.band is not None or self.id is not None

    @property
    def image(self) -> str:
        """What the files of one image have in common."""
        return self.id or bare_name(self.rest)


def place_of(path: str, shared: str, pattern: re.Pattern[str] | None) -> Place:
    name = str(PurePosixPath(path).relative_to(shared)) if shared else path
    if "://" in path:
        name = name.split("?")[0]
    if pattern is None:
        return Place(path, name, rest=name)
    found = pattern.search(name) or pattern.search(path)
    if found is None:
        raise ValueError(
            f"pattern={pattern.pattern!r} does not match {name!r}. Correct it, or leave that file "
            "out: give a list of the others, or, in place of a folder, a glob that does not find "
            f"it, such as {(shared or 'images').rstrip('/') + '/S2*.tif'!r}."
        )
    groups = {key: text or None for key, text in found.groupdict().items()}
    rest = name
    if groups.get("band"):
        rest = found.string[: found.start("band")] + found.string[found.end("band") :]
        rest = rest.split("?")[0] if "://" in path else rest
    return Place(path, name, groups.get("time"), groups.get("band"), groups.get("id"), rest)


def compile_pattern(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    if not isinstance(pattern, str):
        raise TypeError(
            f"pattern= got a {type(pattern).__name__}; it has to be the text of a regular "
            r"expression. Write, for instance, pattern=r'_(?P<time>\d{8})_(?P<band>B\w+)\.tif'."
        )
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"pattern={pattern!r} is no regular expression ({error}). Correct it; Python's module "
            r"re describes them, for instance pattern=r'_(?P<time>\d{8})_(?P<band>B\w+)\.tif'."
        ) from error
    if not set(compiled.groupindex) & {"time", "band", "id"}:
        raise ValueError(
            f"pattern={pattern!r} has no group named time, band or id, so it tells nothing. Write, "
            r"for instance, pattern=r'_(?P<time>\d{8})_(?P<band>B\w+)\.tif'."
        )
    return compiled


def bare_name(name: str) -> str:
    """Leave of a name what the files of an image share: no suffix, no pixel size (_10m, R10m)."""
    name = re.sub(r"\.[A-Za-z]\w*$", "", name)
    name = re.sub(r"(?<![A-Za-z0-9])R?\d0m(?![A-Za-z0-9])", "", name)
    name = re.sub(r"([_./-])[_./-]+", r"\1", name)
    return name.strip("_-./")


def common_name(names: Sequence[str]) -> str:
    """Leave of several names the parts that all have in the same place; of names that have no such
    part, the first."""
    parts = [re.split(r"([_./-])", name) for name in names]
    if len({len(own) for own in parts}) > 1:
        return names[0]
    kept = ["" if len(set(own)) > 1 else own[0] for own in zip(*parts, strict=True)]
    return bare_name("".join(kept)) or names[0]


def shared_folder(paths: Sequence[str]) -> str:
    folders = [str(PurePosixPath(path).parent) for path in paths]
    absolute = {PurePosixPath(folder).is_absolute() for folder in folders}
    return os.path.commonpath(folders) if len(absolute) == 1 else ""

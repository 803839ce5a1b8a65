"""``ee.String``."""

from __future__ import annotations

import json
import re
from typing import Any

from qmosaic.ee.values.computed import Value, wrapped


class String(Value, str, of=(str,)):
    """A text; ``getInfo()`` gives a str.

    Examples
    --------
    >>> from qmosaic import ee
    >>> text = ee.String("S2A_MSIL2A_20200705")
    >>> text.slice(0, 3), text.slice(-8), text.length(), text.split("_").get(1)
    ('S2A', '20200705', 19, 'MSIL2A')
    >>> text.cat(".tif").replace("^S2(.)_", "$1-").toLowerCase()
    'a-msil2a_20200705.tif'
    >>> text.index("MSI"), text.match("[0-9]{8}"), ee.String(" a ").trim()
    (4, ['20200705'], 'a')
    >>> text.rindex("2"), text.equals("S2A"), text.compareTo("S2B"), text.toUpperCase().getInfo()
    (13, False, -1, 'S2A_MSIL2A_20200705')
    >>> ee.String.encodeJSON({"a": [1]}), ee.String('{"a": [1]}').decodeJSON()
    ('{"a": [1]}', {'a': [1]})
    """

    _name = "ee.String"

    def __new__(cls, string: Any) -> String:
        """Take a text, or an ``ee.Number`` as one; a number of Python is none."""
        if isinstance(string, float) and isinstance(string, Value):
            string = repr(string)
        if not isinstance(string, str):
            raise TypeError(
                f"ee.String() got a {type(string).__name__}, {str(string)[:40]}; it takes a text, "
                "or a computed value that is one. Of a number: ee.Number(n).format('%d')."
            )
        return str.__new__(cls, string)

    def getInfo(self) -> str:
        """Give a str."""
        return str(self)

    def cat(self, string2: str) -> String:
        """Append another text."""
        return String(f"{self}{string2}")

    def slice(self, start: float, end: float | None = None) -> String:
        """Cut out a part, from `start` on, before `end`; negative numbers count from the end."""
        return String(self[int(start) : None if end is None else int(end)])

    def replace(self, regex: str, replacement: str, flags: str = "") -> String:  # type: ignore[override]
        """Replace what a regular expression finds first; with the flag ``"g"``, all of it.

        ``$1`` in the replacement is the first group.
        """
        becomes = re.sub(r"\$(\d)", r"\\g<\1>", str(replacement).replace("\\", r"\\"))
        count = 0 if "g" in flags else 1
        return String(re.sub(str(regex), becomes, str(self), count=count, flags=_flags(flags)))

    def split(self, regex: str, flags: str = "") -> Any:  # type: ignore[override]
        """Split it where a regular expression matches; an empty one splits between characters."""
        if regex == "":
            return wrapped(list(str(self)))
        return wrapped(re.split(str(regex), str(self), flags=_flags(flags)))

    def match(self, regex: str, flags: str = "") -> Any:
        """List what a regular expression finds first, and its groups; with "g", all of it."""
        if "g" in flags:
            found = re.finditer(str(regex), str(self), _flags(flags))
            return wrapped([one.group() for one in found])
        one = re.search(str(regex), str(self), _flags(flags))
        return wrapped([] if one is None else [one.group(), *one.groups()])

    def length(self) -> Any:
        """Count its characters."""
        return wrapped(len(self))

    def index(self, target: str) -> Any:  # type: ignore[override]
        """Give where another text begins in it, -1 where it is not there."""
        return wrapped(str(self).find(target))

    def rindex(self, target: str) -> Any:  # type: ignore[override]
        """Give where another text begins in it for the last time, -1 where it is not there."""
        return wrapped(str(self).rfind(target))

    def compareTo(self, string2: str) -> Any:
        """Give -1, 0 or 1 where it comes before another text in order, is the same, or after."""
        return wrapped((str(self) > str(string2)) - (str(self) < str(string2)))

    def equals(self, target: str) -> Any:
        """Tell whether it is the same as another text."""
        return wrapped(str(self) == str(target))

    def toLowerCase(self) -> String:
        """Give it in small letters."""
        return String(str(self).lower())

    def toUpperCase(self) -> String:
        """Give it in capital letters."""
        return String(str(self).upper())

    def trim(self) -> String:
        """Leave out white space at both ends."""
        return String(str(self).strip())

    def decodeJSON(self) -> Any:
        """Read the value that it is in JSON."""
        return wrapped(json.loads(self))

    @staticmethod
    def encodeJSON(object: Any) -> String:
        """Write a value as JSON."""
        return String(json.dumps(object.getInfo() if hasattr(object, "getInfo") else object))


def _flags(flags: str) -> re.RegexFlag:
    return (re.I if "i" in flags else re.NOFLAG) | (re.M if "m" in flags else re.NOFLAG)

"""Small tables for notebooks."""

from __future__ import annotations

import html
from collections.abc import Mapping

LEFT = "text-align: left; vertical-align: top"
"""Notebooks set the cells of a table to the right, as if they were numbers."""


def as_table(title: str, rows: Mapping[str, str]) -> str:
    """Write rows of a name and a text as HTML.

    Parameters
    ----------
    title : str
        What stands above.
    rows : mapping of str to str
        Plain text; what HTML would take for its own is escaped.
    """
    body = "".join(
        f'<tr><th scope="row" style="{LEFT}">{html.escape(name)}</th>'
        f'<td style="{LEFT}">{html.escape(text)}</td></tr>'
        for name, text in rows.items()
    )
    caption = f'<caption style="{LEFT}">{html.escape(title)}</caption>'
    return f"<table>{caption}<tbody>{body}</tbody></table>"

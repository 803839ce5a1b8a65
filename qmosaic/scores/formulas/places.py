"""Errors that point at a place in the text of an expression."""

from __future__ import annotations

import ast
import copy
import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

WIDTH = 72
"""How many characters of a text an error shows at most, around the place."""


class ExpressionError(ValueError):
    """An expression cannot be understood, or not computed; the text points at the place."""


class UnknownNameError(ExpressionError, KeyError):
    """A name stands for nothing; a `KeyError`, whose text is shown as it is."""

    __str__ = Exception.__str__


@dataclass
class Text:
    """The text of an expression.

    Attributes
    ----------
    written : str
        As the user wrote it, every kind of white space as a blank.
    code : str
        The same for Python's parser: as long, but for what stands before the first character.
    dates : dict of int to str
        Dates without quotation marks, by where they begin in `written`; in `code` texts stand there
        in their place.
    lead : int
        How many blanks stand before the first character.
    """

    written: str
    code: str = ""
    dates: dict[int, str] = field(default_factory=dict)
    lead: int = 0

    def span(self, node: ast.expr | ast.keyword) -> tuple[int, int]:
        """Give where a part of the syntax tree begins and ends in `written`."""
        raw = self.code.encode()
        end = node.end_col_offset if node.end_col_offset is not None else node.col_offset + 1
        columns = (node.col_offset, end)
        first, last = (self.lead + len(raw[:c].decode(errors="ignore")) for c in columns)
        return first, last

    def part(self, node: ast.expr | ast.keyword) -> str:
        """Give the text of a part of the syntax tree."""
        first, last = self.span(node)
        return self.written[first:last]

    def plain(self, node: ast.expr) -> str:
        """Write a part of the syntax tree anew: however it was spaced, as one text."""
        return ast.unparse(_WithDates(self).visit(copy.deepcopy(node)))

    def pointing_at(self, span: tuple[int, int], what: str, instead: str) -> str:
        """Write what is wrong, where, and what to write instead."""
        first = min(span[0], len(self.written))
        last = max(first + 1, span[1])
        begin = max(0, min(first - WIDTH // 4, len(self.written) - WIDTH))
        shown = self.written[begin : begin + WIDTH]
        before, behind = "… " * (begin > 0), " …" * (begin + WIDTH < len(self.written))
        carets = "^" * max(1, min(last - begin, WIDTH) - (first - begin))
        indent = " " * (len(before) + first - begin)
        return f"{what}:\n    {before}{shown}{behind}\n    {indent}{carets}\n{instead}"

    def error(
        self, where: ast.expr | ast.keyword | tuple[int, int], what: str, instead: str
    ) -> ExpressionError:
        """Make the error for a place."""
        span = where if isinstance(where, tuple) else self.span(where)
        return ExpressionError(self.pointing_at(span, what, instead))

    def unknown(self, node: ast.expr, what: str, instead: str) -> UnknownNameError:
        """Make the error for a name that stands for nothing."""
        return UnknownNameError(self.pointing_at(self.span(node), what, instead))


class _WithDates(ast.NodeTransformer):
    """Puts dates without quotation marks back into a syntax tree, to be written."""

    def __init__(self, text: Text) -> None:
        self.text = text

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        date = self.text.dates.get(self.text.span(node)[0])
        return node if date is None else ast.Name(date)


def closest(name: str, *groups: Iterable[str], rarely: Iterable[str] = ()) -> str | None:
    """Find what is meant by a misspelt name: what has the same letters, else what is alike, in the
    first group that has it; `rarely` where it is much alike."""
    known = [{one.lower(): one for one in group} for group in (*groups, rarely)]
    plain = name.lower()
    for group in known:
        turned = [one for lower, one in group.items() if sorted(lower) == sorted(plain)]
        if turned:
            return turned[0]
    for cutoff, tried in ((0.7, known), (0.6, known[:-1])):
        for group in tried:
            close = difflib.get_close_matches(plain, group, n=1, cutoff=cutoff)
            if close:
                return group[close[0]]
    return None

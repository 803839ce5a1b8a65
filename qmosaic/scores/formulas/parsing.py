"""From a text to Python's syntax tree; nothing of the text is run."""

from __future__ import annotations

import ast
import re
import warnings

from qmosaic.scores.formulas.places import ExpressionError, Text

LONGEST = 4000
"""How many characters an expression may have."""

DEEPEST = 100
"""How many parts of an expression may lie in each other."""

PART_OF_IT = "Make a band of a part of it first: collection.assign(part=qm.expression(...))."

TOKENS = re.compile(
    r"""
    (?P<quoted> "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' )
    | (?<=target_day_of_year\()(?P<blanks>\s*)(?P<day>\d\d-\d\d)(?![\w.-])
    | (?<![\w.])(?P<date>\d{4}-\d\d-\d\d)(?![\w.]|-\d)
    | (?<![\w.])(?P<odd_date>\d{4}(?P<s>[-/.])\d\d?(?P=s)\d\d?|\d\d?(?P<t>[-/.])\d\d?(?P=t)\d{4})
      (?![\w.]|-\d)
    | (?<=target_day_of_year\()(?P<before>\s*)(?P<odd_day>\d\d?-\d\d?)(?![\w.-])
    | (?P<comment>\#)
    | (?P<blank>\s)
    """,
    re.X,
)
"""What is not left to Python's parser: it takes the 08 of a date for a damaged number."""

ODD_DATES = ("odd_date", "odd_day")
"""Which of these are dates that are written otherwise."""

LOOKALIKES = (
    (r"[−–—]", "Write the minus sign of the keyboard, -."),
    (r"[×·]", "Write *."),
    (r"[÷]", "Write /."),
    (r"[“”„‘’«»]", "Write straight quotation marks, \"...\" or '...'."),
)
"""Characters that a text processor or a printed formula has in place of those of a keyboard."""

INSTEAD = (
    (r"=", "To compare, write == (a single = only names an option of a function)."),
    (r"&&?", "Write and, between two conditions."),
    (r"\|\|?", "Write or, between two conditions."),
    (r"!", "Write not (in front of a condition), or != (between two values)."),
    *LOOKALIKES,
    (r"\d+\w", 'Write names that begin with a digit in quotation marks: "8A".'),
    (r"[:$@?`]", 'Write names with other characters in quotation marks: "eo:cloud_cover".'),
)
"""By what stands where Python's parser stops: what to write instead."""


def parse(given: str) -> tuple[Text, ast.expr]:
    """Parse a text.

    Raises
    ------
    ExpressionError
        It is empty, too long or nested too deeply, or no expression.
    """
    text = _text_of(given)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Warning)  # of odd escapes, which are refused by name
            tree = ast.parse(text.code, mode="eval").body
    except SyntaxError as error:
        raise _syntax_error(text, error) from None
    except (RecursionError, MemoryError, ValueError):
        raise too_deep(text, (0, len(text.written)), PART_OF_IT) from None
    check_depth(text, tree, PART_OF_IT)
    return text, tree


def _text_of(given: str) -> Text:
    if not given.strip():
        raise ExpressionError(
            "the expression is empty, so nothing orders the images. Write the name of a band, or "
            "what to compute of bands: '(B8 - B4) / (B8 + B4)'."
        )
    if len(given) > LONGEST:
        raise ExpressionError(
            f"the expression has {len(given)} characters; it may have {LONGEST}. Make a band of a "
            "part of it first: collection.assign(part=qm.expression(...))."
        )
    text = Text(re.sub(r"\s", " ", given))
    odd = next((i for i, c in enumerate(given) if not c.isprintable() and not c.isspace()), None)
    if odd is not None:
        what = f"the expression has the character {given[odd]!r}, which cannot be printed"
        raise text.error((odd, odd + 1), what, "Leave it out.")
    pieces, end = [], 0
    for found in TOKENS.finditer(given):
        kind = str(found.lastgroup)
        begin = found.start(kind)
        if kind == "comment":
            what = "a # begins a comment in Python, and an expression has none"
            raise text.error((begin, begin + 1), what, "Leave it out, and what follows it.")
        if kind in ODD_DATES:
            _check_date(text, found[kind], begin)
        pieces.append(given[end:begin])
        end = found.end(kind)
        if kind in ("date", "day"):
            text.dates[begin] = found[kind]
            pieces.append("'" + "-" * (end - begin - 2) + "'")
        else:
            pieces.append(" " if kind == "blank" else found[kind])
    code = re.sub(r"\s", " ", "".join([*pieces, given[end:]]))
    text.code = code.lstrip()
    text.lead = len(code) - len(text.code)
    return text


def _check_date(text: Text, written: str, begin: int) -> None:
    """Refuse dates that are written otherwise: to Python 2020-8-1 is 2011, and 08 a mistake."""
    parts = re.split(r"[-/.]", written)
    division = "/" in written and not any(part.startswith("0") for part in parts)
    year = next((part for part in parts if len(part) == 4), None)
    days = [int(part) for part in parts if part is not year]
    if division or not (1 <= min(days) <= 12 and max(days) <= 31):
        return
    first, second = (f"{day:02}" for day in days)
    if year is None:
        meant = [f"{first}-{second}"]
    elif parts[0] == year:
        meant = [f"{year}-{first}-{second}"]
    else:
        pairs = [(second, first), (first, second)]
        meant = list(dict.fromkeys(f"{year}-{m}-{d}" for m, d in pairs if int(m) <= 12))
    order = (
        "month and day, with two digits each"
        if year is None
        else ("year, month and day, with four and two digits")
    )
    raise text.error(
        (begin, begin + len(written)),
        f"this looks like a date, and dates are {order}",
        f"Write {' or '.join(meant)}; or, to compute with numbers, blanks around each sign.",
    )


def _syntax_error(text: Text, error: SyntaxError) -> ExpressionError:
    first = text.lead + max(0, (error.offset or 1) - 1)
    last = text.lead + (error.end_offset or 0) - 1
    if "nested" in error.msg or "recursion" in error.msg:
        return too_deep(text, (first, last), PART_OF_IT)
    rest = text.written[first:]
    fitting = (advice for pattern, advice in INSTEAD if re.match(pattern, rest))
    advice = next(
        fitting,
        "Write an expression of Python: bands, numbers, + - * / **, comparisons, and, or, not, "
        "functions such as inverse(band). Names of bands that are no names in Python stand in "
        'quotation marks: "B 4".',
    )
    return text.error(
        (first, last), f"the expression stops making sense here ({error.msg})", advice
    )


def too_deep(text: Text, span: tuple[int, int], instead: str) -> ExpressionError:
    """Make the error for a text whose parts lie too deeply in each other."""
    what = f"the expression has more than {DEEPEST} parts that lie in each other"
    return text.error(span, what, instead)


def check_depth(text: Text, tree: ast.expr, instead: str) -> None:
    """Refuse a syntax tree that is too deep; the error says what to write instead.

    Raises
    ------
    ExpressionError
        It has more than `DEEPEST` levels.
    """
    level: list[ast.AST] = [tree]
    for _ in range(DEEPEST):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
    raise too_deep(text, text.span(tree), instead)

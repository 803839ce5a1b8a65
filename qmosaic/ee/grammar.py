"""The operators of Earth Engine's expressions: from a text to a syntax tree.

The tree is that of `qmosaic.scores.formulas`, Python's ``ast``, so errors point at their place in
the same way. Only what stands between operands differs: ``&&``, ``||``, ``!``, ``^``, ``? :`` and
the precedence, which are those of JavaScript,
https://developers.google.com/earth-engine/apidocs/ee-image-expression
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any

from qmosaic.scores.formulas.parsing import DEEPEST, LOOKALIKES, check_depth, too_deep
from qmosaic.scores.formulas.places import ExpressionError, Text

TOKENS = re.compile(
    r"""
    (?P<blank> \s+)
    | (?P<number> (?: \d+ \.? \d* | \. \d+ ) (?: [eE] [+-]? \d+ )? (?! [\w.]) )
    | (?P<name> [A-Za-z_$] [\w$]* )
    | (?P<text> "[^"\\\n]*" | '[^'\\\n]*' )
    | (?P<sign> \*\* | && | \|\| | ==(?!=) | !=(?!=) | <= | >= | <(?!<) | >(?!>)
        | =(?!=) | !(?!=) | /(?![/*]) | [-+*%^?:()\[\].,] )
    """,
    re.X,
)

LEVELS: tuple[dict[str, Any], ...] = (
    {"||": ast.Or},
    {"&&": ast.And},
    {"^": ast.BitXor},
    {"==": ast.Eq, "!=": ast.NotEq},
    {"<": ast.Lt, "<=": ast.LtE, ">": ast.Gt, ">=": ast.GtE},
    {"+": ast.Add, "-": ast.Sub},
    {"*": ast.Mult, "/": ast.Div, "%": ast.Mod},
)
"""Operators between two operands, from those that bind the least to those that bind the most."""

BINARY = {sign: (level, made) for level, row in enumerate(LEVELS) for sign, made in row.items()}

UNARY: dict[str, Any] = {"-": ast.USub, "+": ast.UAdd, "!": ast.Not}

PART_OF_IT = "Compute a part of it first, as an image, and give that a name in the map."

INSTEAD = (
    *LOOKALIKES,
    (r"===|!==", "Write == or !=."),
    (r"&", "Write && between two conditions; for bits there is img.bitwiseAnd(...)."),
    (r"\|", "Write || between two conditions; for bits there is img.bitwiseOr(...)."),
    (r"~", "Write ! in front of a condition; for bits there is img.bitwiseNot()."),
    (r"<<|>>", "There are img.leftShift(...) and img.rightShift(...)."),
    (r"//|/\*|\#", "Leave comments out; to round a quotient down, write floor(a / b)."),
    (r"\d\w*[A-Za-z_]", "Write names that begin with a digit in quotation marks: b('8A')."),
    (r"['\"]", "Close the text with the same quotation mark."),
    (r"[;{}]", "Write one expression; its result can be named: ndvi = (nir - red) / (nir + red)."),
    (r"=", "To compare, write ==; a name for the result stands at the beginning: x = a + b."),
    (r"and\b", "Write && between two conditions."),
    (r"or\b", "Write || between two conditions."),
    (r"not\b", "Write ! in front of a condition."),
    (r"if\b|else\b", "Write condition ? a : b."),
)
"""By what stands where a text stops making sense: what to write instead."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    begin: int

    @property
    def end(self) -> int:
        return self.begin + len(self.text)


def parse(given: str) -> tuple[Text, str | None, ast.expr]:
    """Parse the text of an expression; nothing of it is run.

    Parameters
    ----------
    given : str
        The text: ``"ndvi = (NIR - b('B4')) / (NIR + b('B4'))"``.

    Returns
    -------
    tuple
        The text, with which errors are made; the name before ``=``, None where there is none; the
        syntax tree.

    Raises
    ------
    ExpressionError
        The text is empty, or no expression, or its parts lie too deeply in each other.

    Examples
    --------
    >>> import ast
    >>> text, name, tree = parse("x = !a && b ? 2 * c : 0")
    >>> name, ast.unparse(tree)
    ('x', '2 * c if not a and b else 0')
    """
    if not given.strip():
        raise ExpressionError(
            "the expression is empty, so there is nothing to compute. Write for instance "
            "\"(b('B8') - b('B4')) / (b('B8') + b('B4'))\"."
        )
    written = re.sub(r"\s", " ", given)
    text = Text(written, code=written)
    parser = _Parser(text, _tokens(text))
    name = parser.result_name()
    tree = parser.expression()
    parser.expect("end")
    check_depth(text, tree, PART_OF_IT)
    return text, name, tree


def _tokens(text: Text) -> list[_Token]:
    tokens, place = [], 0
    while place < len(text.written):
        found = TOKENS.match(text.written, place)
        if found is None:
            raise _nonsense(text, place, place + 1)
        if found.lastgroup != "blank":
            tokens.append(_Token(str(found.lastgroup), found[0], place))
        place = found.end()
    return [*tokens, _Token("end", "", len(text.written.rstrip()))]


def _nonsense(text: Text, begin: int, end: int, wanted: str | None = None) -> ExpressionError:
    rest = text.written[begin:]
    advice = next((advice for pattern, advice in INSTEAD if re.match(pattern, rest)), wanted)
    return text.error(
        (begin, end),
        "the expression stops making sense here",
        advice
        or "Write bands (b('B8'), a name of the map), numbers, + - * / % **, comparisons, && || ! "
        "^, condition ? a : b, and functions such as sqrt(x).",
    )


class _Parser:
    """Reads tokens from left to right; each method reads one kind of part, and returns its tree."""

    def __init__(self, text: Text, tokens: list[_Token]) -> None:
        self.text, self.tokens = text, tokens
        self.place = self.depth = 0

    # -- tokens -------------------------------------------------------------------------------

    @property
    def token(self) -> _Token:
        return self.tokens[self.place]

    def take(self, *signs: str) -> _Token | None:
        """Take the next token if it is one of some signs."""
        token = self.token
        if token.kind != "sign" or token.text not in signs:
            return None
        self.place += 1
        return token

    def expect(self, wanted: str, said: str | None = None) -> _Token:
        """Take a sign, or a token of a kind; anything else is an error."""
        token = self.token
        if wanted not in (token.kind, token.text if token.kind == "sign" else None):
            raise _nonsense(self.text, token.begin, token.end, said)
        self.place += 1
        return token

    # -- parts --------------------------------------------------------------------------------

    def result_name(self) -> str | None:
        """Read ``x =`` at the beginning of a text."""
        first, second = self.tokens[0], self.tokens[min(1, len(self.tokens) - 1)]
        if first.kind != "name" or (second.kind, second.text) != ("sign", "="):
            return None
        self.place = 2
        return first.text

    def expression(self) -> ast.expr:
        begin = self.token.begin
        self.deeper(begin)
        node = self.binary(0)
        if self.take("?"):
            first = self.expression()
            self.expect(":", "Write both sides: condition ? a : b.")
            other = self.expression()
            node = self.placed(ast.IfExp(node, first, other), begin)
        self.depth -= 1
        return node

    def binary(self, least: int) -> ast.expr:
        """Read operands, and the operators between them that bind as much as a level or more."""
        begin = self.token.begin
        node = self.unary()
        while sign := self.take(*(sign for sign in BINARY if BINARY[sign][0] >= least)):
            level, kind = BINARY[sign.text]
            right, operator = self.binary(level + 1), kind()
            made: ast.expr
            if isinstance(operator, ast.boolop):
                made = ast.BoolOp(operator, [node, right])
            elif isinstance(operator, ast.cmpop):
                made = ast.Compare(node, [operator], [right])
            else:
                made = ast.BinOp(node, operator, right)
            node = self.placed(made, begin)
        return node

    def unary(self) -> ast.expr:
        """Read an operand, the signs in front of it, and the power to which it is raised, which
        binds more than they do."""
        begin, signs = self.token.begin, []
        while sign := self.take(*UNARY):
            signs.append(sign)
        inner = self.token.begin
        node = self.postfix()
        if self.take("**"):
            self.deeper(inner)
            node = self.placed(ast.BinOp(node, ast.Pow(), self.unary()), inner)
            self.depth -= 1
        for sign in reversed(signs):
            node = self.placed(ast.UnaryOp(UNARY[sign.text](), node), sign.begin)
        return node if signs else self.placed(node, begin)

    def deeper(self, begin: int) -> None:
        """Count parts that lie in each other, before they are more than Python can follow."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise too_deep(self.text, (begin, self.token.end), PART_OF_IT)

    def postfix(self) -> ast.expr:
        """Read an operand: ``image.band``, ``image[0]``, ``function(x, y)``."""
        begin = self.token.begin
        node = self.operand()
        while sign := self.take(".", "[", "("):
            if sign.text == ".":
                name = self.expect("name", "Write the name of a band behind the point: image.B8.")
                made: ast.expr = ast.Attribute(node, name.text)
            elif sign.text == "[":
                made = ast.Subscript(node, self.tuple_of(self.arguments("]"), sign.end))
            else:
                made = ast.Call(node, self.arguments(")"), [])
            node = self.placed(made, begin)
        return node

    def arguments(self, closing: str) -> list[ast.expr]:
        found: list[ast.expr] = []
        if self.take(closing):
            return found
        while True:
            found.append(self.expression())
            if self.take(closing):
                return found
            self.expect(",", f"Write a comma, or {closing} at the end.")

    def tuple_of(self, parts: list[ast.expr], begin: int) -> ast.expr:
        return self.placed(ast.Tuple(parts), begin)

    def operand(self) -> ast.expr:
        token = self.token
        if token.kind == "name" and token.text not in ("and", "or", "not", "if", "else"):
            self.place += 1
            return self.placed(ast.Name(token.text), token.begin)
        if token.kind == "number":
            self.place += 1
            whole = token.text.isdecimal()
            number = int(token.text) if whole else float(token.text)
            return self.placed(ast.Constant(number), token.begin)
        if token.kind == "text":
            self.place += 1
            return self.placed(ast.Constant(token.text[1:-1]), token.begin)
        if self.take("("):
            node = self.expression()
            self.expect(")", "Close the parenthesis.")
            return node
        raise _nonsense(
            self.text, token.begin, token.end, "A band, a number or a function is missing."
        )

    def placed(self, node: ast.expr, begin: int) -> ast.expr:
        """Say where a part stands: from a place to the last token that was read."""
        end = self.tokens[self.place - 1].end if self.place else begin
        node.lineno = node.end_lineno = 1
        node.col_offset = len(self.text.written[:begin].encode())
        node.end_col_offset = len(self.text.written[:end].encode())
        return node

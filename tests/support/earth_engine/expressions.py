"""Expressions: a parser that computes as it reads.

https://developers.google.com/earth-engine/guides/image_math#expressions
"""

from __future__ import annotations

import re
from typing import Any

from tests.support.earth_engine.bands import pixelwise
from tests.support.earth_engine.images import Image

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")|(?P<sign>\*\*|==|!=|<=|>=|&&|\|\||[-+*/%<>=!?:()\[\],.^]))"
)
LEVELS: list[dict[str, str]] = [
    {"||": "Or"},
    {"&&": "And"},
    {"^": "differ"},
    {"==": "eq", "!=": "neq"},
    {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"},
    {"+": "add", "-": "subtract"},
    {"*": "multiply", "/": "divide", "%": "mod"},
]
"""Signs and methods, from what binds least to what binds most."""


class Parser:
    """Reads an expression from left to right."""

    def __init__(self, text: str, image: Image, names: dict[str, Any]) -> None:
        self.tokens = [found.group(found.lastgroup) for found in TOKEN.finditer(text.strip())]
        assert "".join(self.tokens) == re.sub(r"\s", "", text)
        self.image = image
        self.names = names
        self.place = 0

    def peek(self) -> str:
        """Give the next token."""
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def take(self, *wanted: str) -> str:
        """Go on if the next token is one of these, or whatever it is."""
        token = self.peek()
        if wanted and token not in wanted:
            return ""
        self.place += 1
        return token

    def whole(self) -> Image:
        """Read ``name = expression`` or an expression."""
        if self.tokens[1:2] == ["="]:
            name = self.take()
            self.take("=")
            return self.choice().rename(name)
        return self.choice()

    def choice(self) -> Image:
        """Read ``test ? a : b``."""
        test = self.level(0)
        if not self.take("?"):
            return test
        first = self.choice()
        self.take(":")
        return chosen(test, first, self.choice())

    def level(self, number: int) -> Image:
        """Read operands of one level, from left to right."""
        if number == len(LEVELS):
            return self.signed()
        made = self.level(number + 1)
        while sign := self.take(*LEVELS[number]):
            other = self.level(number + 1)
            if sign == "^":  # one of the two, not both
                made = made.neq(0).neq(other.neq(0))
            else:
                made = getattr(made, LEVELS[number][sign])(other)
        return made

    def signed(self) -> Image:
        """Read ``-a``, ``!a``; a power binds more."""
        if self.take("-"):
            return self.signed().multiply(-1)
        if self.take("!"):
            return self.signed().Not()
        base = self.operand()
        return base.pow(self.signed()) if self.take("**") else base

    def operand(self) -> Image:
        """Read a number, a name, a function, something in brackets."""
        if self.take("("):
            made = self.choice()
            self.take(")")
            return made
        token = self.take()
        if re.match(r"[\d.]", token):
            return Image(float(token) if re.search(r"[.eE]", token) else int(token))
        if self.take("("):
            return self.function(token)
        made = Image(self.names[token])
        if self.take("."):
            return made.select(self.take())
        if self.take("["):
            made = made.select(self.selector())
            self.take("]")
        return made

    def selector(self) -> Any:
        """Read a number or a text in quotes."""
        token = self.take()
        return int(token) if token.isdigit() else token[1:-1]

    def function(self, name: str) -> Image:
        """Read the arguments of a function; ``b`` takes bands of the image."""
        if name == "b":
            made = self.image.select(self.selector())
            self.take(")")
            return made
        arguments = [self.choice()]
        while self.take(","):
            arguments.append(self.choice())
        self.take(")")
        return getattr(arguments[0], name)(*arguments[1:])


def chosen(test: Image, first: Image, second: Image) -> Image:
    """Take one of two images by a test; masked where the test is, or what it chooses."""
    (name, condition), *_ = test.bands.items()
    (a,), (b,) = first.bands.values(), second.bands.values()

    def choose(t: Any, x: Any, y: Any) -> Any:
        return None if t is None else x if t != 0 else y

    return Image({name: pixelwise(choose, [condition, a, b], None, masked_too=True)})


def expression(image: Image, text: str, names: dict[str, Any] | None = None) -> Image:
    """Compute an expression on bands of an image and on other images."""
    return image._with(Parser(text, image, names or {}).whole().bands)

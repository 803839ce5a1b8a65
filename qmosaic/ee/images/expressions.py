"""`Image.expression`: arithmetic as text, evaluated with the methods of images."""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

from qmosaic.ee import pixels
from qmosaic.ee.grammar import parse
from qmosaic.ee.images.base import Bands, as_many
from qmosaic.ee.values import known
from qmosaic.scores.formulas.places import ExpressionError, Text, closest

OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Mod: "mod",
    ast.Pow: "pow",
    ast.Eq: "eq",
    ast.NotEq: "neq",
    ast.Lt: "lt",
    ast.LtE: "lte",
    ast.Gt: "gt",
    ast.GtE: "gte",
    ast.And: "And",
    ast.Or: "Or",
}
"""Operators, and the methods that they call."""

OF_ONE = (
    *("abs", "acos", "asin", "atan", "cbrt", "ceil", "cos", "cosh", "exp", "floor", "log"),
    *("log10", "round", "signum", "sin", "sinh", "sqrt", "tan", "tanh"),
    *("byte", "double", "float", "int", "int8", "int16", "int32", "int64", "long", "short"),
    *("uint8", "uint16", "uint32"),
)
OF_TWO = ("atan2", "hypot", "mod", "pow")
OF_MANY = ("max", "min")
"""Functions, which are methods of the same name, by how many values they take."""

CONSTANTS = {"PI": math.pi, "E": math.e}

OTHERWISE = {
    "ln": "log(x)",
    "sign": "signum(x)",
    "power": "pow(x, y)",
    "fabs": "abs(x)",
    "where": "condition ? a : b",
    "if": "condition ? a : b",
    "clamp": "min(max(x, low), high)",
    "sqr": "x ** 2",
    "log2": "log(x) / log(2)",
}
"""What to write in place of functions that people expect."""


class Expressions(Bands):
    """Arithmetic as text."""

    def expression(
        self,
        expression: Any,
        map_: Mapping[str, Any] | None = None,
        *,
        opt_map: Mapping[str, Any] | None = None,
        map: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute an expression, a text, of the bands of this image and of others.

        https://developers.google.com/earth-engine/apidocs/ee-image-expression

        Parameters
        ----------
        expression : str
            What to compute:

            - bands of this image: ``b('B8')``, ``b(0)``, ``b('B8', 'B4')``, all of them: ``b()``;
            - names of the map: all bands of that image (of most, its only one); ``img.B8``,
              ``img[0]``, ``img['B8', 'B4']`` for some of them;
            - numbers, ``Math.PI``, ``Math.E``;
            - ``+ - * / % **``; ``== != < > <= >=``; ``&& || ! ^`` (and, or, not, exclusive or);
              ``condition ? a : b``; in the precedence of JavaScript, with ``-x ** 2`` as
              ``-(x ** 2)``;
            - ``abs``, ``sqrt``, ``cbrt``, ``exp``, ``log``, ``log10``, ``sin``, ``cos``, ``tan``,
              ``asin``, ``acos``, ``atan``, ``sinh``, ``cosh``, ``tanh``, ``floor``, ``ceil``,
              ``round``, ``signum``, ``min``, ``max``, ``pow``, ``mod``, ``hypot``,
              ``atan2(x, y)``, and casts: ``float``, ``int``, ``uint8`` and their like;
            - a name for a result of one band: ``ndvi = (nir - red) / (nir + red)``.
        map_ : mapping of str to Image or number, optional
            The names in the text. In a function that `ImageCollection.map` calls, a number may be
            another one for each image. ``opt_map`` and ``map`` are other names of this argument.

        Returns
        -------
        Image
            What the methods of images give that the operators stand for: ``a / b`` is
            ``a.divide(b)``, so a division by 0 gives 0, a pixel is masked where it is masked in one
            of the operands, images of one band go with all bands of another, and the result is
            called like the first operand with most bands (``2 * NIR``: "constant"). With
            ``condition ? a : b`` a pixel is masked where the condition is, and where that side is
            which it comes from.

        Raises
        ------
        ValueError
            The text cannot be understood, or a part of it not computed: the message has the place
            in it, and what to write instead. Of names that are not there a `KeyError`, too.
        TypeError
            The expression is no text, or the map none.

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> bands = {"B4": ("x", np.uint16([10, 40, 0])), "B8": ("x", np.uint16([30, 120, 0]))}
        >>> image = ee.Image(xr.Dataset(bands))
        >>> ndvi = image.expression(
        ...     "ndvi = (NIR - b('B4')) / (NIR + b('B4'))", {"NIR": image.select("B8")}
        ... )
        >>> ndvi.dataset["ndvi"].values
        array([0.5, 0.5, 0. ])
        >>> image.expression("img.B4 > 5 && img.B8 < 100 ? 1 : 2", {"img": image}).bandNames()
        ['B4']
        >>> try:
        ...     image.expression("(NIR - b('B44')) / NIR", {"NIR": image.select("B8")})
        ... except KeyError as error:
        ...     print(error)
        the image has no band 'B44':
            (NIR - b('B44')) / NIR
                     ^^^^^
        The bands are B4, B8. Did you mean B4?
        """
        given = next((one for one in (map_, opt_map, map) if one is not None), {})
        text = known(expression, "ee.Image.expression()")
        if not isinstance(text, str):
            raise TypeError(
                f"ee.Image.expression() got a {type(text).__name__} as its expression; it takes a "
                "text, then the images by their names in it: "
                "img.expression('a / b', {'a': img.select('B8'), 'b': img.select('B4')})."
            )
        if not isinstance(given, Mapping):
            raise TypeError(
                f"ee.Image.expression() got a {type(given).__name__} as its map; it takes the "
                "images by their names in the text: {'NIR': img.select('B8')}."
            )
        written, name, tree = parse(str(text))
        made = _Evaluation(written, self, dict(given)).value(tree)
        return made if name is None else _named(made, name, written)


def _named(made: Any, name: str, text: Text) -> Any:
    count = len(list(made.bandNames()))
    if count != 1:
        begin = text.written.index(name)
        raise text.error(
            (begin, begin + len(name)),
            f"one name is given to a result of {count} bands",
            "Leave it out and write rename([...]) behind expression(...), or compute of one band: "
            "b('B8').",
        )
    return made.rename(name)


class _Evaluation:
    """Evaluates a syntax tree: each part of it is an image."""

    def __init__(self, text: Text, image: Any, named: dict[str, Any]) -> None:
        self.text, self.image, self.named = text, image, named

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant():
                return self.constant(node, node.value)
            case ast.Name():
                return self.variable(node)
            case ast.Attribute() | ast.Subscript():
                return self.some_bands(node)
            case ast.Call(func=ast.Name(id="b")):
                return self.selected(node, self.image, node.args, "the image")
            case ast.Call():
                return self.function(node)
            case ast.UnaryOp():
                return self.signed(node)
            case ast.BinOp():
                return self.combined(node, node.op, node.left, node.right)
            case ast.Compare():
                return self.combined(node, node.ops[0], node.left, node.comparators[0])
            case ast.BoolOp():
                return self.combined(node, node.op, *node.values)
            case ast.IfExp():
                parts = [self.value(part) for part in (node.test, node.body, node.orelse)]
                return self.at(node, lambda: _choose(*parts))
        raise self.text.error(node, "this is no part of an expression", "Leave it out.")

    def at(self, node: ast.expr, make: Callable[[], Any]) -> Any:
        """Compute a part; what is wrong with it is said at its place."""
        try:
            return make()
        except ExpressionError:
            raise
        except (ValueError, TypeError) as error:
            raise self.text.error(node, "this cannot be computed", str(error)) from error

    # -- operands -----------------------------------------------------------------------------

    def constant(self, node: ast.expr, value: Any) -> Any:
        if isinstance(value, str):
            raise self.text.error(
                node,
                "a text stands where a band or a number is needed",
                f"Write b({value!r}) for a band of the image.",
            )
        return self.at(node, lambda: type(self.image).constant(value))

    def variable(self, node: ast.Name) -> Any:
        if node.id not in self.named:
            raise self.unknown(node)
        value = self.named[node.id]
        if isinstance(value, Bands):
            return value
        made = self.at(node, lambda: self.image._as_image(value))
        self.named[node.id] = made
        return made

    def unknown(self, node: ast.Name) -> ExpressionError:
        names, bands = list(self.named), [str(name) for name in self.image._names()]
        if node.id in bands:
            hint = f"For the band of the image write b('{node.id}')."
        elif node.id in (*OF_ONE, *OF_TWO, *OF_MANY, "b"):
            hint = f"{node.id} is a function: write {node.id}(...)."
        elif (meant := closest(node.id, names)) is not None:
            hint = f"Did you mean {meant}?"
        elif (meant := closest(node.id, bands)) is not None:
            hint = f"Did you mean b('{meant}')?"
        else:
            hint = "Give it in the map, or write b('name') for a band of the image."
        there = f"The map has {', '.join(names)}." if names else "There is no map."
        return self.text.unknown(node, f"the map has no {node.id!r}", f"{there} {hint}")

    def some_bands(self, node: ast.Attribute | ast.Subscript) -> Any:
        """Select bands of an image of the map: ``img.B8``, ``img[0]``."""
        owner = node.value
        if not isinstance(owner, ast.Name):
            raise self.text.error(
                node,
                "bands are taken from a part that is computed",
                "Write the name of an image of the map in front of it: img.B8, img[0].",
            )
        if owner.id == "Math" and "Math" not in self.named and isinstance(node, ast.Attribute):
            if node.attr in CONSTANTS:
                return self.constant(node, CONSTANTS[node.attr])
            said = f"Write {node.attr}(...): functions stand without Math."
            raise self.text.error(node, f"there is no number Math.{node.attr}", said)
        image = self.variable(owner)
        if isinstance(node, ast.Subscript):
            asked = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return self.selected(node, image, asked, owner.id)
        return self.selected(
            node, image, [ast.copy_location(ast.Constant(node.attr), node)], owner.id
        )

    def selected(self, node: ast.expr, image: Any, asked: list[ast.expr], owner: str) -> Any:
        """Select bands by names and numbers; without any, all."""
        bands = list(image.bandNames())
        for one in asked:
            selector = one.value if isinstance(one, ast.Constant) else None
            if isinstance(selector, str) and selector in bands:
                continue
            if isinstance(selector, int) and selector < len(bands):
                continue
            raise self.no_band(one, selector, [str(band) for band in bands], owner)
        chosen = [one.value for one in asked if isinstance(one, ast.Constant)]
        return self.at(node, lambda: image.select(chosen)) if chosen else image

    def no_band(
        self, node: ast.expr, selector: Any, bands: list[str], owner: str
    ) -> ExpressionError:
        listed = f"The bands are {', '.join(bands) or 'none'}."
        if isinstance(selector, str):
            meant = closest(selector, bands)
            hint = "" if meant is None else f" Did you mean {meant}?"
            return self.text.unknown(node, f"{owner} has no band {selector!r}", listed + hint)
        if isinstance(selector, int):
            what = f"{owner} has {len(bands)} bands, numbered from 0"
            return self.text.unknown(node, what, listed)
        what = "a band is named or numbered here"
        return self.text.error(node, what, f"Write b('B8') or b(0). {listed}")

    # -- operators ----------------------------------------------------------------------------

    def signed(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.UAdd):
            return value
        if isinstance(node.op, ast.Not):
            return self.at(node, value.Not)
        return self.at(node, lambda: value.multiply(-1))

    def combined(self, node: ast.expr, operator: ast.AST, *operands: ast.expr) -> Any:
        left, right = (self.value(operand) for operand in operands)
        if isinstance(operator, ast.BitXor):
            return self.at(node, lambda: left.Not().neq(right.Not()))
        method = OPERATORS[type(operator)]
        return self.at(node, lambda: getattr(left, method)(right))

    def function(self, node: ast.Call) -> Any:
        """Call a function: the method of the same name of its first argument."""
        called = node.func
        if isinstance(called, ast.Attribute):
            raise self.text.error(
                called,
                f"{self.text.part(called)} is no function",
                f"Write functions by their names alone: {called.attr}(x).",
            )
        name = called.id if isinstance(called, ast.Name) else ""
        count = {**dict.fromkeys(OF_ONE, 1), **dict.fromkeys(OF_TWO, 2)}.get(name)
        if count is None and name not in OF_MANY:
            raise self.no_function(called, name)
        if len(node.args) != count and (count is not None or len(node.args) < 2):
            raise self.text.error(
                node,
                f"{name} takes {count or 'two or more'} value{'s' * (count != 1)}, "
                f"not {len(node.args)}",
                f"Write {name}({', '.join('xyz'[: count or 2])}).",
            )
        first, *others = (self.value(one) for one in node.args)
        if not others:
            return self.at(node, getattr(first, name))
        for other in others:
            first = self.at(node, functools.partial(getattr(first, name), other))
        return first

    def no_function(self, node: ast.expr, name: str) -> ExpressionError:
        every = (*OF_ONE, *OF_TWO, *OF_MANY)
        meant = OTHERWISE.get(name) or closest(name, every)
        hint = f"Write {meant}." if name in OTHERWISE else f"Did you mean {meant}?"
        if meant is None:
            hint = f"There are {', '.join(every)}."
        return self.text.unknown(node, f"there is no function {self.text.part(node)!r}", hint)


def _choose(test: Any, yes: Any, no: Any) -> Any:
    """Give the bands of one image where a test is not 0, and those of another where it is."""
    grid = next(
        (one for one in (test, yes, no) if isinstance(one, Bands) and not one._is_constant()), no
    )
    test, yes, no = (grid._as_image(one) for one in (test, yes, no))
    test, yes = test._aligned(yes)
    yes, no = yes._aligned(no)
    test, yes = test._aligned(yes)
    parts = [one._bands() for one in (test, yes, no)]
    count = max(map(len, parts))
    if any(len(bands) not in (1, count) for bands in parts):
        counts = " : ".join(str(len(bands)) for bands in parts[1:])
        raise ValueError(
            f"The condition and both sides have {len(parts[0])} ? {counts} bands, which do not "
            "pair up: each has one band, or as many as the others. Select the bands first."
        )
    names = next(bands for bands in parts if len(bands) == count)
    parts = [{n: bands[n] for n in names} if set(bands) == set(names) else bands for bands in parts]
    rows = zip(*(as_many(bands, count) for bands in parts), strict=True)
    made = {name: pixels.choose(*row) for name, row in zip(names, rows, strict=True)}
    placed = next((one for one in (test, yes, no) if not one._is_constant()), test)
    return placed._with(made)

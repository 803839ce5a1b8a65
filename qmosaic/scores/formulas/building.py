"""From Python's syntax tree to steps: what is not listed here is refused."""

from __future__ import annotations

import ast
import functools
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import check_decoded
from qmosaic.scores.expressions import NUMERIC
from qmosaic.scores.formulas.calls import CALLS, Call
from qmosaic.scores.formulas.grammar import (
    ARITHMETIC,
    COMPARISONS,
    FUNCTIONS,
    OTHERWISE,
    REFUSED,
    TURNED,
)
from qmosaic.scores.formulas.kinds import (
    SAFE_POWER,
    UNKNOWN,
    Kind,
    condition,
    ends_of,
    integer_dtype,
    of_numbers,
    real,
    whole,
    within,
)
from qmosaic.scores.formulas.places import ExpressionError, Text, closest
from qmosaic.scores.formulas.program import Part, Program, part_of_number
from qmosaic.scores.formulas.spans import overflows, span_of
from qmosaic.scores.indices import USUAL, index, names_of_indices

USUAL_NAMES = [name.lower() for name in USUAL]
"""Spectral indices, as they are suggested."""

TIME = "time"
"""The dimension of the images."""


class Builder:
    """Builds the steps of an expression.

    Parameters
    ----------
    text : Text
        The text.
    collection : xarray.Dataset or mapping
        The bands, by their names.
    original : xarray.Dataset or xarray.DataArray
        The collection as it was given, for its times.
    """

    def __init__(self, text: Text, collection: Mapping[Any, Any], original: Any) -> None:
        self.text, self.collection, self.original = text, collection, original
        self._known: dict[str, Part] = {}
        names = list(getattr(collection, "data_vars", collection))
        self.bands: dict[str, Any] = {str(name): name for name in names}
        every = [tuple(collection[name].dims) for name in names]
        self._program = Program(max(map(len, every), default=0))
        self._dims = max((dims for dims in every if TIME in dims), key=len, default=None)

    # -- results ------------------------------------------------------------------------------

    def quality(self, node: ast.expr) -> xr.DataArray:
        """Give what the whole text stands for; what it makes says so in its attribute
        ``expression``."""
        array = self.array(node)
        if self._dims is not None and TIME not in array.dims:
            raise self.text.error(
                node,
                f"this has no dimension {TIME!r}, so it is the same in all images",
                f"Write a band, or what to compute of bands. {self._listed()}",
            )
        if self.part(node).given:
            return array
        return array.assign_attrs(expression=self.text.plain(node))

    def array(self, node: ast.expr) -> xr.DataArray:
        """Give what a part of the text stands for: a band or score as it is, else computed."""
        part = self.part(node)
        if part.array is not None:
            return part.array
        if part.number is not None:
            raise self.text.error(
                node,
                "no band stands in this, so it is the same in all images",
                f"Write a band, or what to compute of bands. {self._listed()}",
            )
        return self._program.computed(part)

    # -- parts --------------------------------------------------------------------------------

    def part(self, node: ast.expr) -> Part:
        """Build a part of the text."""
        allowed: dict[type[ast.expr], Callable[[Any], Part]] = {
            ast.Name: self._name,
            ast.Constant: self._constant,
            ast.BinOp: self._binop,
            ast.UnaryOp: self._unaryop,
            ast.BoolOp: self._boolop,
            ast.Compare: self._compare,
            ast.Call: self._call,
        }
        if type(node) not in allowed:
            raise self._refused(node, node)
        return allowed[type(node)](node)

    def _refused(self, what: ast.AST, node: ast.expr) -> ExpressionError:
        found, instead = REFUSED.get(
            type(what),
            (
                f"{type(what).__name__} of Python is no part of an expression",
                "Write bands, numbers, + - * / **, comparisons, and, or, not, and functions.",
            ),
        )
        return self.text.error(node, found, instead)

    def _name(self, node: ast.Name) -> Part:
        if node.id == "nan":  # a band of that name is quoted
            return part_of_number(math.nan)
        found = self._find(node.id, node)
        if found is not None:
            return found
        if node.id in FUNCTIONS or node.id in CALLS:
            usage = FUNCTIONS.get(node.id) or CALLS[node.id].usage
            raise self.text.error(node, f"{node.id} is a function", f"Write {usage}.")
        if node.id.lower() in names_of_indices():
            return self._kept(node, lambda: self._index(node.id))
        raise self._unknown_band(node, node.id)

    def _index(self, name: str) -> xr.DataArray:
        collection: Any = self.collection
        return index(collection, name)

    def _find(self, name: str, node: ast.expr) -> Part | None:
        """Find a band, or another variable with numbers, by its name."""
        key = self.bands.get(name)
        if key is None:
            extra = getattr(self.collection, "coords", {})
            if name not in extra:
                return None
            if name in getattr(self.collection, "dims", ()):
                raise self.text.error(
                    node,
                    f"{name!r} is a dimension, and no band",
                    f"Write a band, or target_date(2020-07-15) for times. {self._listed()}",
                )
            key = name
        if not self._is_band(key):
            raise self.text.error(
                node,
                f"{name!r} is no band: a variable with the dimensions "
                f"{tuple(self.collection[key].dims)}",
                f"Write a band, or what to compute of bands. {self._listed()}",
            )
        part = self._kept(node, lambda: self.collection[key], name=f"band {name!r}")
        return replace(part, given=True)

    def _is_band(self, key: Any) -> bool:
        """Tell whether a variable has values for images or pixels, so that one can compute with it
        and bands."""
        dims = self.collection[key].dims
        return self._dims is None or (len(dims) > 0 and set(dims) <= set(self._dims))

    def _kept(
        self, node: ast.expr, make: Callable[[], xr.DataArray], name: str | None = None
    ) -> Part:
        """Make an array at its first use; what is wrong with it is said at its place."""
        name = name or self.text.part(node)
        if name not in self._known:
            self._known[name] = self._at_place(node, lambda: self._taken(make(), node))
        return self._known[name]

    def _at_place(self, node: ast.expr, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except ExpressionError:
            raise
        except (ValueError, TypeError, KeyError) as error:
            unknown = isinstance(error, KeyError)
            said = str(error.args[0]) if unknown and error.args else str(error)
            fault = self.text.unknown if unknown else self.text.error
            raise fault(node, "this cannot be computed", said) from error

    def _taken(self, array: xr.DataArray, node: ast.expr) -> Part:
        if array.dtype.kind in NUMERIC:
            return self._program.of_array(array)
        raise self.text.error(
            node,
            f"{array.name!r} is of dtype {array.dtype}, which has no numbers to compute with",
            "For times write target_date(2020-07-15); leave others out.",
        )

    def _listed(self) -> str:
        names = [name for name, key in self.bands.items() if self._is_band(key)]
        shown = [name if name.isidentifier() else f'"{name}"' for name in names]
        return f"The bands are {', '.join(shown) or 'none'}."

    def _unknown_band(self, node: ast.expr, name: str) -> ExpressionError:
        usage = FUNCTIONS | {function: call.usage for function, call in CALLS.items()}
        meant = closest(name, self.bands, USUAL_NAMES, usage, rarely=names_of_indices())
        hint = ""
        if meant is not None:
            written = meant if meant.isidentifier() else f'"{meant}"'
            hint = f" Did you mean {usage.get(meant, written)}?"
        what = f"there is no band {name!r}, nor a spectral index of that name"
        return self.text.unknown(node, what, f"{self._listed()}{hint}")

    def _constant(self, node: ast.Constant) -> Part:
        value = node.value
        if isinstance(value, str):
            date = self._date_at(node)
            if date is not None:
                raise self.text.error(
                    node,
                    f"the date {date} stands where a band or a number is needed",
                    f"Write target_date({date}), or blanks around each - to subtract.",
                )
            found = self._find(value, node)
            if found is None:
                raise self._unknown_band(node, value)
            return found
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.text.error(
                node, f"{value!r} is no number", "Write a number, a band or a condition."
            )
        if isinstance(value, float) and math.isinf(value):
            raise self.text.error(node, "this is no finite number", "Write a smaller one.")
        return self._of_numbers(node, "add", value, 0)

    def _date_at(self, node: ast.expr) -> str | None:
        return self.text.dates.get(self.text.span(node)[0])

    # -- operators ----------------------------------------------------------------------------

    def _binop(self, node: ast.BinOp) -> Part:
        name = ARITHMETIC.get(type(node.op))
        if name is None:
            raise self._refused(node.op, node)
        a, b = self.part(node.left), self.part(node.right)
        if name in ("and", "or"):
            return self._both(node, name, a, b)
        return self._arithmetic(node, name, a, b)

    def _arithmetic(self, node: ast.expr, name: str, a: Part, b: Part) -> Part:
        if a.number is not None and b.number is not None:
            return self._of_numbers(node, name, a.number, b.number)
        for part in (a, b):
            self._decoded(part, node)
        kind, double = real(a.kind, b.kind), np.dtype("float64")
        if a.kind.is_whole and b.kind.is_whole:
            ends = ends_of(name, a.kind, b.kind, b.number)
            exact = ends and whole(*ends, (a.kind, b.kind))
            if exact:
                return self._program.emit(name, (a, b), exact)
            kind = replace(kind, dtype=double) if ends else kind
        elif name == "power" and b.number is not None and abs(b.number) > SAFE_POWER:
            kind = replace(kind, dtype=double)
        return self._program.emit(name, (a, b), self._within(node, name, kind, a, b))

    def _within(self, node: ast.expr, name: str, kind: Kind, *operands: Part) -> Kind:
        """Give the kind of floats that a step makes; refuse more than a float holds: infinite, such
        pixels would be masked."""
        kinds = [part.kind for part in operands]
        span = span_of(name, *kinds)
        if span is not None and overflows(span, *kinds):
            raise self.text.error(
                node,
                "the bands may have values of which this is more than a float holds (1.8e308)",
                "Compute with smaller numbers, or limit the band first, for instance "
                "clip(B4, 0, 10000).",
            )
        return within(kind, span or UNKNOWN)

    def _of_numbers(self, node: ast.expr, name: str, *numbers: float | int) -> Part:
        """Compute with numbers alone."""
        result = of_numbers(name, *numbers)
        if result is None:
            raise self.text.error(node, "this is no finite number", "Write other numbers.")
        return part_of_number(result)

    def _decoded(self, part: Part, node: ast.expr) -> None:
        """Refuse floats of which nothing tells whether they are decoded."""
        if part.array is not None:
            array = part.array
            self._at_place(node, lambda: check_decoded(array, "the expression"))

    def _unaryop(self, node: ast.UnaryOp) -> Part:
        part = self.part(node.operand)
        if isinstance(node.op, ast.UAdd):
            return self._with_numbers(node, part)
        if isinstance(node.op, ast.USub):
            return self._signed(node, "negative", part)
        if not part.kind.is_condition:
            sign = "not" if isinstance(node.op, ast.Not) else "~"
            raise self.text.error(
                node,
                f"{sign} takes a condition, and this has numbers",
                f"Write a comparison, for instance {sign} ({self.text.part(node.operand)} > 0).",
            )
        return self._program.emit("not", (part,), condition(part.kind))

    def _with_numbers(self, node: ast.expr, part: Part) -> Part:
        self._decoded(part, node)
        return replace(part, array=None)

    def _signed(self, node: ast.expr, name: str, part: Part) -> Part:
        """Negate, or drop the sign."""
        if part.number is not None:
            return self._of_numbers(node, name, part.number)
        self._decoded(part, node)
        kind, own = real(part.kind), part.kind
        if own.is_whole:
            low, high = (-own.high, -own.low)
            if name == "abs":
                low, high = max(0, own.low, -own.high), max(abs(own.low), abs(own.high))
            limits = np.iinfo(np.int64)
            if own.dtype == np.int64:  # its lowest value has no positive one
                kind = replace(own, low=low, high=min(high, int(limits.max)))
            else:
                kind = whole(low, high, (own,)) or kind
        if not kind.is_whole:
            kind = self._within(node, name, kind, part)
        return self._program.emit(name, (part,), kind)

    def _boolop(self, node: ast.BoolOp) -> Part:
        name = "and" if isinstance(node.op, ast.And) else "or"
        parts = []
        for value in node.values:
            part = self.part(value)
            if not part.kind.is_condition:
                raise self.text.error(
                    value,
                    f"{name} takes conditions, and this has numbers",
                    f"Write a comparison, for instance {self.text.part(value)} > 0.",
                )
            parts.append(part)
        return functools.reduce(self._together(name), parts)

    def _together(self, name: str) -> Callable[[Part, Part], Part]:
        return lambda a, b: self._program.emit(name, (a, b), condition(a.kind, b.kind))

    def _both(self, node: ast.BinOp, name: str, a: Part, b: Part) -> Part:
        """Join conditions by & or |; of integers, their bits."""
        if a.kind.is_condition and b.kind.is_condition:
            return self._together(name)(a, b)
        sign = "&" if name == "and" else "|"
        numbers = a.number is not None and b.number is not None
        either = a.kind.is_condition or b.kind.is_condition
        if numbers or either or not (a.kind.is_whole and b.kind.is_whole):
            raise self.text.error(
                node,
                f"{sign} takes two conditions, or the bits of two integers, and it binds tighter "
                "than comparisons",
                f"Write {name} between conditions: B4 > 100 {name} B8 > 200.",
            )
        dtype = integer_dtype(min(a.kind.low, b.kind.low), max(a.kind.high, b.kind.high))
        if dtype is None:
            raise self.text.error(
                node, "these integers have no dtype in common", "Leave negative numbers out."
            )
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
        if name == "and" and low == 0:
            high = min(a.kind.high, b.kind.high)
        bits = "bits_in_both" if name == "and" else "bits_in_one"
        kind = Kind(dtype, low, high, a.kind.masked or b.kind.masked, a.kind.weak and b.kind.weak)
        return self._program.emit(bits, (a, b), kind)

    def _compare(self, node: ast.Compare) -> Part:
        nodes = [node.left, *node.comparators]
        if len(node.ops) > 1:
            self._check_chain(nodes[1:-1])
        found, left = [], self.part(node.left)
        for op, (before, behind) in zip(node.ops, itertools.pairwise(nodes), strict=True):
            if isinstance(op, ast.In | ast.NotIn):
                found.append(self._is_in(left, before, behind, isinstance(op, ast.NotIn)))
                continue
            name = COMPARISONS.get(type(op))
            if name is None:
                raise self._refused(op, node)
            right = self.part(behind)  # once, though it stands on the left of the next one, too
            found.append(self._compared(name, (left, before), (right, behind)))
            left = right
        return functools.reduce(self._together("and"), found)

    def _check_chain(self, between: list[ast.expr]) -> None:
        """Refuse ``B4 > 5 & B8 < 9``, which Python takes for ``B4 > (5 & B8) < 9``, and lists on
        the left of a comparison."""
        for node in between:
            if isinstance(node, ast.List | ast.Tuple | ast.Set):
                raise self.text.error(
                    node,
                    "a list stands between two comparisons",
                    "Write and between them: SCL in [4, 5] and B4 > 100.",
                )
            first, last = self.text.span(node)
            around = self.text.written[:first].rstrip()[-1:], self.text.written[last:].lstrip()[:1]
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr):
                if around != ("(", ")"):
                    sign, name = ("&", "and") if isinstance(node.op, ast.BitAnd) else ("|", "or")
                    raise self.text.error(
                        node,
                        f"{sign} binds tighter than comparisons, so this comes first",
                        f"Write {name} between two comparisons, or put each in parentheses.",
                    )

    def _compared(self, name: str, *sides: tuple[Part, ast.expr]) -> Part:
        (a, left), (b, right) = sides
        span = self.text.span(left)[0], self.text.span(right)[1]
        if a.is_nan or b.is_nan:
            raise self.text.error(
                span,
                "nothing is equal to nan, nor above or below it",
                "Write valid(band), or not valid(band) for masked pixels.",
            )
        if a.number is not None and b.number is not None:
            raise self.text.error(
                span,
                "no band stands in this comparison, so it is the same everywhere",
                f"Write a band on one side. {self._listed()}",
            )
        for part, node in sides:
            self._decoded(part, node)
        if a.kind.is_whole and b.number is not None:
            return self._with_number(name, a, b.number)
        if b.kind.is_whole and a.number is not None:
            return self._with_number(TURNED.get(name, name), b, a.number)
        dtype: np.dtype[Any] | None = real(a.kind, b.kind).dtype
        if a.kind.is_whole and b.kind.is_whole:
            dtype = integer_dtype(min(a.kind.low, b.kind.low), max(a.kind.high, b.kind.high))
        return self._program.emit(name, (a, b), condition(a.kind, b.kind), dtype)

    def _with_number(self, name: str, part: Part, number: float | int) -> Part:
        """Compare integers with a number exactly: with the integer beside it."""
        kind, low, high = condition(part.kind), part.kind.low, part.kind.high
        below, above = math.floor(number), math.ceil(number)
        equal = below == above
        sides = {
            "<": ("<=", above - 1),
            "<=": ("<=", below),
            ">": (">=", below + 1),
            ">=": (">=", above),
        }
        name, limit = sides.get(name, (name, below))
        if low <= limit <= high and (equal or name in ("<=", ">=")):
            dtype = integer_dtype(low, high)
            return self._program.emit(name, (part, part_of_number(limit)), kind, dtype)
        never = self._program.emit("in", (part,), kind, ())
        always = {"<=": limit > high, ">=": limit < low, "!=": True}.get(name, False)
        return self._program.emit("not", (never,), kind) if always else never

    def _is_in(self, part: Part, left: ast.expr, right: ast.expr, negated: bool) -> Part:
        if not isinstance(right, ast.List | ast.Tuple | ast.Set):
            raise self.text.error(
                right, "in takes a list of numbers", "Write, for instance, SCL in [4, 5, 6]."
            )
        numbers = [self._literal_number(node, "in takes numbers") for node in right.elts]
        if part.number is not None:
            raise self.text.error(
                left, "a number is in a list or not, everywhere", f"Write a band. {self._listed()}"
            )
        self._decoded(part, left)
        if part.kind.is_whole:
            table = {int(n) for n in numbers if n == int(n)}
            limits = (0, 1) if part.kind.is_condition else (part.kind.low, part.kind.high)
            kept: tuple[Any, ...] = tuple(sorted(n for n in table if limits[0] <= n <= limits[1]))
        else:
            kept = tuple(sorted(map(float, numbers)))
        found = self._program.emit("in", (part,), condition(part.kind), kept)
        return self._program.emit("not", (found,), found.kind) if negated else found

    def _literal_number(self, node: ast.expr, what: str) -> float | int:
        part = None
        if isinstance(node, ast.Constant | ast.UnaryOp | ast.BinOp):
            part = self.part(node)
        if part is None or part.number is None or part.is_nan:
            raise self.text.error(node, f"{what}, and this is none", "Write a number.")
        return part.number

    # -- calls --------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> Part:
        if not isinstance(node.func, ast.Name):
            raise self.text.error(
                node, "functions are called by their names alone", "Write, say, inverse(band)."
            )
        self._check_arguments(node)
        name = node.func.id
        if name in CALLS:
            return self._kept(node, lambda: self._score(CALLS[name], node), name=ast.dump(node))
        if name not in FUNCTIONS:
            raise self._unknown_function(node, name)
        if node.keywords:
            raise self.text.error(
                node.keywords[0], f"{name}() has no options", f"Write {FUNCTIONS[name]}."
            )
        made: Part = getattr(self, f"_call_{name}", functools.partial(self._math, name))(node)
        return made

    def _check_arguments(self, node: ast.Call) -> None:
        for given in (*node.args, *(k for k in node.keywords if k.arg is None)):
            if isinstance(given, ast.Starred | ast.keyword):
                raise self.text.error(given, "a * spreads arguments", "Write each of them.")

    def _unknown_function(self, node: ast.Call, name: str) -> ExpressionError:
        known = [*FUNCTIONS, *CALLS]
        close = closest(name, known)
        of_index = closest(name, USUAL_NAMES, rarely=names_of_indices())
        if name in OTHERWISE:
            hint = f"Write {OTHERWISE[name]}."
        elif name in self.bands:
            hint = f"{name} is a band; write * between values that are multiplied."
        elif name.lower() in names_of_indices():
            hint = f'Write {name} alone, or index("{name}", platform="sentinel-2").'
        elif close:
            hint = f"Did you mean {FUNCTIONS.get(close) or CALLS[close].usage}?"
        elif of_index:
            hint = f"Did you mean {of_index}, without parentheses?"
        else:
            hint = f"The functions are {', '.join(known)}; spectral indices go by name: ndvi."
        return self.text.unknown(node.func, f"there is no function {name!r}", hint)

    def _arguments(self, node: ast.Call, least: int, most: int | None = None) -> list[Part]:
        most = least if most is None else most
        if not least <= len(node.args) <= most:
            name = self.text.part(node.func)
            raise self.text.error(
                node, f"{name}() got {len(node.args)} argument(s)", f"Write {FUNCTIONS[name]}."
            )
        parts = [self.part(argument) for argument in node.args]
        for part, argument in zip(parts, node.args, strict=True):
            self._decoded(part, argument)
        return parts

    def _call_band(self, node: ast.Call) -> Part:
        if len(node.args) != 1 or not isinstance(node.args[0], ast.Constant):
            raise self.text.error(node, "band() takes a name", f"Write {FUNCTIONS['band']}.")
        name = node.args[0].value
        found = self._find(name, node) if isinstance(name, str) else None
        if found is None:
            raise self._unknown_band(node.args[0], str(name))
        return found

    def _call_where(self, node: ast.Call) -> Part:
        choice, a, b = self._arguments(node, 3)
        if not choice.kind.is_condition:
            raise self.text.error(
                node.args[0],
                "where() takes a condition first, and this has numbers",
                f"Write {FUNCTIONS['where']}, for instance where(SCL in [4, 5, 6], ndvi, nan).",
            )
        kinds = [part.kind for part in (a, b) if not part.is_nan]
        if not kinds:
            raise self.text.error(node, "this is masked everywhere", "Write a band on one side.")
        kind: Kind | None = None
        if all(k.is_condition for k in kinds):
            kind = kinds[0]
        elif all(k.is_whole for k in kinds):
            kind = whole(min(k.low for k in kinds), max(k.high for k in kinds), kinds)
        if kind is not None:
            masked = choice.kind.masked or a.is_nan or b.is_nan or any(k.masked for k in kinds)
            kind = replace(kind, masked=masked)
            nothing = replace(kind, masked=True)
            a, b = (self._program.emit("nothing", (), nothing) if p.is_nan else p for p in (a, b))
        return self._program.emit("where", (choice, a, b), kind or real(*kinds))

    def _call_valid(self, node: ast.Call) -> Part:
        (part,) = self._arguments(node, 1)
        if part.number is not None:
            raise self.text.error(node, "a number is never masked", f"Write {FUNCTIONS['valid']}.")
        return self._program.emit("valid", (part,), Kind(np.dtype(bool), masked=False))

    def _call_abs(self, node: ast.Call) -> Part:
        (part,) = self._arguments(node, 1)
        return self._signed(node, "abs", part)

    def _call_minimum(self, node: ast.Call) -> Part:
        first, *others = self._arguments(node, 2, 100)
        return functools.reduce(functools.partial(self._extreme, node, "minimum"), others, first)

    def _call_maximum(self, node: ast.Call) -> Part:
        first, *others = self._arguments(node, 2, 100)
        return functools.reduce(functools.partial(self._extreme, node, "maximum"), others, first)

    def _call_clip(self, node: ast.Call) -> Part:
        part, lowest, highest = self._arguments(node, 3)
        low, high = lowest.number, highest.number
        if low is not None and high is not None and low > high:
            raise self.text.error(
                node,
                f"clip() got {low} as the lowest and {high} as the highest value, so all pixels "
                "would be the same",
                f"Write clip({', '.join(map(self.text.part, (node.args[n] for n in (0, 2, 1))))}).",
            )
        return self._extreme(node, "minimum", self._extreme(node, "maximum", part, lowest), highest)

    def _extreme(self, node: ast.expr, name: str, a: Part, b: Part) -> Part:
        if a.number is not None and b.number is not None:
            return self._of_numbers(node, name, a.number, b.number)
        kind = real(a.kind, b.kind)
        if a.kind.is_whole and b.kind.is_whole:
            choose = min if name == "minimum" else max
            ends = choose(a.kind.low, b.kind.low), choose(a.kind.high, b.kind.high)
            kind = whole(*ends, (a.kind, b.kind)) or kind
        if not kind.is_whole:
            kind = self._within(node, name, kind, a, b)
        return self._program.emit(name, (a, b), kind)

    def _math(self, name: str, node: ast.Call) -> Part:
        (part,) = self._arguments(node, 1)
        if part.number is not None:
            return self._of_numbers(node, name, part.number)
        return self._program.emit(name, (part,), self._within(node, name, real(part.kind), part))

    # -- functions of qmosaic.scores ------------------------------------------------------------

    def _score(self, call: Call, node: ast.Call) -> xr.DataArray:
        bound = call.bind(self.text, node)
        given: dict[str, Any] = dict(call.usual)
        for name, value in bound.items():
            if name in call.bands:
                given[name] = self.array(value)
            elif name == call.pairs:
                given[name] = self._pairs(value)
            elif name not in call.conditions:
                given[name] = self._literal(value)
        given |= self._conditions({n: bound[n] for n in call.conditions if n in bound})
        implicit = (self._times_or_bands(call),) if call.collection else ()
        made: xr.DataArray = call.function(*implicit, **given)
        return made

    def _times_or_bands(self, call: Call) -> Any:
        return self.collection if call.function is index else self.original

    def _conditions(self, nodes: Mapping[str, ast.expr]) -> dict[str, xr.DataArray]:
        """Give conditions as arrays of bools: false where they are masked; a mask whose bands are
        masked is not valid there."""
        given, valid = {}, []
        for name, node in nodes.items():
            part = self.part(node)
            if not part.kind.is_condition:
                raise self.text.error(
                    node,
                    f"{name} takes a condition, and this has numbers",
                    "Write a comparison, for instance SCL in [3, 8, 9, 10].",
                )
            kind = Kind(np.dtype(bool), masked=False)
            certain = self._program.emit("certain", (part,), kind) if part.kind.masked else part
            if name == "valid":
                valid.append(certain)
                continue
            given[name] = self._program.computed(certain) if part.array is None else part.array
            if part.kind.masked:
                valid.append(self._program.emit("valid", (part,), kind))
        if valid:
            given["valid"] = self._program.computed(functools.reduce(self._together("and"), valid))
        return given

    def _pairs(self, node: ast.expr) -> list[tuple[xr.DataArray, Any]]:
        """Give the scores and weights of `weighted`."""
        pairs: list[tuple[ast.expr | None, ast.expr]] = []
        if isinstance(node, ast.Dict):
            pairs = list(zip(node.keys, node.values, strict=True))
        elif isinstance(node, ast.List | ast.Tuple):
            two = [p for p in node.elts if isinstance(p, ast.Tuple) and len(p.elts) == 2]
            pairs = [(p.elts[0], p.elts[1]) for p in two] if len(two) == len(node.elts) else []
        if not pairs or any(score is None for score, _ in pairs):
            raise self.text.error(
                node,
                "weighted() takes pairs of score and weight",
                "Write weighted([(ndvi, 1.0), (target_date(2020-07-15), 0.5)]).",
            )
        return [(self.array(s), self._literal(weight)) for s, weight in pairs if s is not None]

    def _literal(self, node: ast.expr) -> Any:
        """Give the value of an option: a number, a text, a date, lists and mappings of them."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self._date_at(node) or node.value
        if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool)):
            return node.value
        if isinstance(node, ast.List):
            return [self._literal(value) for value in node.elts]
        if isinstance(node, ast.Tuple):
            return tuple(self._literal(value) for value in node.elts)
        if isinstance(node, ast.Dict) and None not in node.keys:
            keys = [self._literal(key) for key in node.keys if key is not None]
            for key, where in zip(keys, node.keys, strict=True):
                if isinstance(key, list | dict) and where is not None:
                    raise self.text.error(where, "this is no key", "Write a number or a name.")
            return dict(zip(keys, map(self._literal, node.values), strict=True))
        if isinstance(node, ast.Name) and node.id != "nan":
            raise self.text.error(
                node,
                f"{node.id} is no number and no text",
                f'Write a number, or a text in quotation marks: "{node.id}".',
            )
        part = self.part(node)
        if part.number is None:
            raise self.text.error(node, "an option takes a number or a text", "Write one.")
        return part.number

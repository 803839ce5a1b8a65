"""The functions of `qmosaic.scores`, called with parts of an expression."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qmosaic.scores import basic, best_pixel, categories, dates, distance, indices, smoothing
from qmosaic.scores.formulas.places import Text


@dataclass(frozen=True)
class Call:
    """How a function is called.

    Attributes
    ----------
    function : callable
        The function of `qmosaic.scores`.
    bands : tuple of str
        The arguments that are bands or scores.
    conditions : tuple of str
        Those that are true or false at each pixel.
    pairs : str, optional
        The argument with pairs of score and weight.
    collection : bool
        Whether the first argument is the collection, which an expression leaves out.
    usual : mapping
        Arguments that the function asks for, and an expression need not give.
    """

    function: Callable[..., Any]
    bands: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    pairs: str | None = None
    collection: bool = False
    usual: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.function.__name__

    @property
    def parameters(self) -> list[inspect.Parameter]:
        """What an expression may give, in this order."""
        known = list(inspect.signature(self.function).parameters.values())
        left_out = {"collection"} if self.pairs else set()
        known = [p for p in known[int(self.collection) :] if p.name not in left_out]
        return [p.replace(default=self.usual[p.name]) if p.name in self.usual else p for p in known]

    @property
    def usage(self) -> str:
        """How it is written: its arguments, those in brackets that can be left out."""
        texts = [
            p.name if p.default is p.empty else f"{p.name}={p.default!r}"
            for p in self.parameters
            if p.kind is not p.VAR_KEYWORD
        ]
        return f"{self.name}({', '.join(texts)})"

    def bind(self, text: Text, node: ast.Call) -> dict[str, ast.expr]:
        """Sort the arguments of a call by the names of the function's."""
        positional = [p for p in self.parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        if len(node.args) > len(positional):
            raise text.error(
                node.args[len(positional)],
                f"{self.name}() takes {len(positional)} argument(s) without a name, and this is "
                f"number {len(positional) + 1}",
                f"Write {self.usage}.",
            )
        bound = {p.name: n for p, n in zip(positional, node.args, strict=False)}
        names = {p.name for p in self.parameters if p.kind is not p.VAR_KEYWORD}
        takes_more = any(p.kind is p.VAR_KEYWORD for p in self.parameters)
        for given in node.keywords:
            name = str(given.arg)
            if name not in names and not takes_more:
                raise text.error(given, f"{self.name}() has no {name}=", f"Write {self.usage}.")
            if name in bound:
                raise text.error(given, f"{self.name}() got {name} twice", f"Write {self.usage}.")
            bound[name] = given.value
        for parameter in self.parameters:
            optional = parameter.default is not parameter.empty
            if parameter.name in names - set(bound) and not optional:
                raise text.error(
                    node, f"{self.name}() lacks {parameter.name}", f"Write {self.usage}."
                )
        return bound


NEAR_A_DATE = {"sigma": 30.0}
"""The width in days of `target_date` and `target_day_of_year` where an expression gives none."""

CALLS: dict[str, Call] = {
    call.name: call
    for call in (
        Call(basic.inverse, bands=("band",)),
        Call(basic.normalized_difference, bands=("a", "b")),
        Call(indices.index, collection=True),
        Call(categories.classes, bands=("band",)),
        Call(categories.bits, bands=("band",)),
        Call(dates.target_date, collection=True, usual=NEAR_A_DATE),
        Call(dates.target_day_of_year, collection=True, usual=NEAR_A_DATE),
        Call(smoothing.smooth, bands=("score",)),
        Call(distance.distance_to, conditions=("mask", "valid")),
        Call(best_pixel.cloud_distance, bands=("distance",)),
        Call(best_pixel.haze, bands=("blue", "red")),
        Call(best_pixel.view_angle, bands=("zenith",)),
        Call(best_pixel.weighted, pairs="weights"),
    )
}
"""The functions of `qmosaic.scores`, by their names."""

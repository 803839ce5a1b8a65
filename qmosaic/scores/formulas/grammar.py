"""What an expression may have, and what to write in place of what it has not."""

from __future__ import annotations

import ast

ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Pow: "power",
    ast.BitAnd: "and",
    ast.BitOr: "or",
}

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}

TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""What a comparison is with its sides exchanged; others are what they are."""

FUNCTIONS = {
    "where": "where(condition, value, other)",
    "valid": "valid(band)",
    "abs": "abs(x)",
    "sqrt": "sqrt(x)",
    "exp": "exp(x)",
    "log": "log(x)",
    "minimum": "minimum(x, y)",
    "maximum": "maximum(x, y)",
    "clip": "clip(x, lowest, highest)",
    "band": 'band("name of the band")',
}
"""The functions of the language itself, and how they are written."""

OTHERWISE = {
    "min": "minimum(x, y)",
    "max": "maximum(x, y)",
    "pow": "x ** y",
    "power": "x ** y",
    "ln": "log(x)",
    "log10": "log(x) / log(10)",
    "isin": "SCL in [4, 5, 6]",
    "isnan": "not valid(x)",
    "isnull": "not valid(x)",
    "notnull": "valid(x)",
    "absolute": "abs(x)",
    "float": "the band alone: integers never overflow",
    "int": "the band alone: integers never overflow",
}
"""What to write in place of functions that people expect."""

REFUSED: dict[type[ast.AST], tuple[str, str]] = {
    ast.Attribute: ("a point takes something out of an object", "Write bands and numbers."),
    ast.Subscript: ("brackets take something out of an object", "Write the band as a whole."),
    ast.IfExp: ("if and else choose one of two for all pixels", "Write where(condition, a, b)."),
    ast.Tuple: ("a comma stands between two values", "Write decimals with a point: 0.7."),
    ast.List: ("a list stands where a value is needed", "Write lists behind in: SCL in [4, 5, 6]."),
    ast.Set: ("a set stands where a value is needed", "Write lists behind in: SCL in [4, 5, 6]."),
    ast.Dict: ("a mapping stands where a value is needed", "Write bands and numbers."),
    ast.JoinedStr: ("an f-string is code", 'Write the name alone: "B 4".'),
    ast.Mod: ("% is not known", "Write +, -, *, / or **."),
    ast.FloorDiv: ("// is not known", "Write /."),
    ast.MatMult: ("@ is not known", "Write *."),
    ast.BitXor: ("^ is not known", "Write ** for a power."),
    ast.LShift: ("<< is not known", "Write *, or bits(band, {bit: score}) for bit flags."),
    ast.RShift: (">> is not known", "Write /, or bits(band, {bit: score}) for bit flags."),
    ast.Is: ("is compares objects", "Write ==."),
    ast.IsNot: ("is not compares objects", "Write !=."),
}
"""What Python has and an expression has not, and what to write instead."""

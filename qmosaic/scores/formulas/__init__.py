"""Expressions as text: `expression` makes a score of what a user writes on the command line.

The text is parsed by Python's ``ast``, never run: what is not on the list of what is allowed is
refused, at its place in the text. An expression becomes a short list of steps, which a function of
single pixels computes chunk by chunk.

A module imports only modules below it in this table.

============== ====================================================================
``evaluation`` `expression`: a text and a collection to a band
``building``   from Python's syntax tree to steps
``grammar``    what an expression may have, and what to write in place of the rest
``calls``      the functions of `qmosaic.scores`, called with parts of a text
``program``    the steps as they are collected, and the bands that they read
``steps``      what a step computes, on numpy arrays
``spans``      between which numbers floats lie
``kinds``      what is known of values before they are computed
``parsing``    from a text to Python's syntax tree
``places``     errors that point at a place in the text
============== ====================================================================
"""

from qmosaic.scores.formulas.evaluation import expression

__all__ = [
    "expression",
]


def __dir__() -> list[str]:
    return __all__

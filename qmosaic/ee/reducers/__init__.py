"""Reducers: how many values become one.

Modules. Each imports only modules below it in this table.

============= ================================================================
``reducer``   ``Reducer``
``outputs``   what outputs are called, of which inputs they are made
``rules``     what is computed, and what is kept of values that come in parts
``functions`` functions of many values, on numpy arrays
``moments``   what is kept of values for sums, means and variances
============= ================================================================

May import ``values`` and ``unsupported`` of ``ee``; ``scores`` and ``collection``.
"""

from qmosaic.ee.reducers.moments import Moments
from qmosaic.ee.reducers.outputs import AnyOutput, Grouped, Naming, Output, Repeated
from qmosaic.ee.reducers.reducer import Reducer, outputs_of
from qmosaic.ee.reducers.rules import RULES, Rule, counting, with_none

__all__ = [
    "RULES",
    "AnyOutput",
    "Grouped",
    "Moments",
    "Naming",
    "Output",
    "Reducer",
    "Repeated",
    "Rule",
    "counting",
    "outputs_of",
    "with_none",
]


def __dir__() -> list[str]:
    return __all__

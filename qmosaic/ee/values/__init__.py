"""Numbers, texts, dates, lists and dictionaries of Earth Engine.

They are numbers, texts, lists and dictionaries of Python with the methods that they have in Earth
Engine. One for each image, or one that is not computed yet, is a `Computed`: the same methods can
be called on it.

Modules. Each imports only modules below it in this table.

================ ============================================================
``dates``        ``Date``, ``DateRange``
``dictionaries`` ``Dictionary``
``lists``        ``List``
``numbers``      ``Number``, ``Boolean``
``texts``        ``String``
``computed``     values for each image, and those that are not computed yet
================ ============================================================

May import ``unsupported`` and ``collection``.
"""

from qmosaic.ee.values.computed import (
    Computed,
    EachImage,
    Value,
    check_function,
    check_returned,
    known,
    known_name,
    later,
    lift,
    plain,
    values_of,
    wrapped,
)
from qmosaic.ee.values.dates import EPOCH, Date, DateRange
from qmosaic.ee.values.dictionaries import Dictionary
from qmosaic.ee.values.lists import List
from qmosaic.ee.values.numbers import Boolean, Number
from qmosaic.ee.values.texts import String

__all__ = [
    "EPOCH",
    "Boolean",
    "Computed",
    "Date",
    "DateRange",
    "Dictionary",
    "EachImage",
    "List",
    "Number",
    "String",
    "Value",
    "check_function",
    "check_returned",
    "known",
    "known_name",
    "later",
    "lift",
    "plain",
    "values_of",
    "wrapped",
]


def __dir__() -> list[str]:
    return __all__

"""Other dtypes."""

from __future__ import annotations

from qmosaic.ee.images.base import Bands
from qmosaic.ee.images.making import cast


class Casts(Bands):
    """Casts of all bands."""

    toByte = cast("toByte", "uint8", 255)
    toUint8 = cast("toUint8", "uint8", 255)
    toInt8 = cast("toInt8", "int8", 127)
    toUint16 = cast("toUint16", "uint16", 300)
    toInt16 = cast("toInt16", "int16", 300)
    toShort = cast("toShort", "int16", 300)
    toUint32 = cast("toUint32", "uint32", 300)
    toInt32 = cast("toInt32", "int32", 300)
    toInt = cast("toInt", "int32", 300)
    toInt64 = cast("toInt64", "int64", 300)
    toLong = cast("toLong", "int64", 300)
    toFloat = cast("toFloat", "float32", 300.5)
    toDouble = cast("toDouble", "float64", 300.5)
    byte = cast("byte", "uint8", 255)
    uint8 = cast("uint8", "uint8", 255)
    int8 = cast("int8", "int8", 127)
    uint16 = cast("uint16", "uint16", 300)
    int16 = cast("int16", "int16", 300)
    short = cast("short", "int16", 300)
    uint32 = cast("uint32", "uint32", 300)
    int32 = cast("int32", "int32", 300)
    int64 = cast("int64", "int64", 300)
    long = cast("long", "int64", 300)
    double = cast("double", "float64", 300.5)
    float = cast("float", "float32", 300.5)
    int = cast("int", "int32", 300)

"""Other dtypes."""

from __future__ import annotations

from typing import Any, Self

from qmosaic.ee import pixels
from qmosaic.ee.images.base import Bands
from qmosaic.ee.images.making import cast as _cast
from qmosaic.ee.values import known

DTYPES = {
    "byte": "uint8",
    "short": "int16",
    "int": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    **{n: n for n in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")},
}
"""Earth Engine's names of types."""


class Casts(Bands):
    """Casts of all bands, or of some."""

    def cast(self, bandTypes: Any, bandOrder: Any = None) -> Self:
        """Cast bands to dtypes: ``cast({"B4": "float", "QA60": "uint16"})``.

        The names are those of Earth Engine: int8, uint8 (or byte), int16 (short), uint16, int32
        (int), uint32, int64 (long), float, double. With `bandOrder` the bands are put into that
        order. https://developers.google.com/earth-engine/apidocs/ee-image-cast

        Raises
        ------
        ValueError
            There is no such band, or no such type.
        """
        bands = self._bands()
        for name, given in dict(known(bandTypes, "ee.Image.cast()")).items():
            if name not in bands or str(given) not in DTYPES:
                raise ValueError(
                    f"ee.Image.cast() got {name!r} as {given!r}; the bands are "
                    f"{', '.join(map(repr, bands))}, and the types {', '.join(DTYPES)}. Write "
                    "cast({'B4': 'float'})."
                )
            bands[name] = pixels.cast(bands[name], DTYPES[str(given)])
        order = list(bands) if bandOrder is None else list(known(bandOrder, "ee.Image.cast()"))
        return self._with({name: bands[name] for name in order})

    toByte = _cast("toByte", "uint8", 255)
    toUint8 = _cast("toUint8", "uint8", 255)
    toInt8 = _cast("toInt8", "int8", 127)
    toUint16 = _cast("toUint16", "uint16", 300)
    toInt16 = _cast("toInt16", "int16", 300)
    toShort = _cast("toShort", "int16", 300)
    toUint32 = _cast("toUint32", "uint32", 300)
    toInt32 = _cast("toInt32", "int32", 300)
    toInt = _cast("toInt", "int32", 300)
    toInt64 = _cast("toInt64", "int64", 300)
    toLong = _cast("toLong", "int64", 300)
    toFloat = _cast("toFloat", "float32", 300.5)
    toDouble = _cast("toDouble", "float64", 300.5)
    byte = _cast("byte", "uint8", 255)
    uint8 = _cast("uint8", "uint8", 255)
    int8 = _cast("int8", "int8", 127)
    uint16 = _cast("uint16", "uint16", 300)
    int16 = _cast("int16", "int16", 300)
    short = _cast("short", "int16", 300)
    uint32 = _cast("uint32", "uint32", 300)
    int32 = _cast("int32", "int32", 300)
    int64 = _cast("int64", "int64", 300)
    long = _cast("long", "int64", 300)
    double = _cast("double", "float64", 300.5)
    float = _cast("float", "float32", 300.5)
    int = _cast("int", "int32", 300)

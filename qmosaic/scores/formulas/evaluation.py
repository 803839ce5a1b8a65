"""`expression`: a text and a collection to a band that orders the images."""

from __future__ import annotations

from typing import Any

import xarray as xr

from qmosaic.scores.expressions import as_collection
from qmosaic.scores.formulas.building import Builder
from qmosaic.scores.formulas.parsing import parse


def expression(text: str, collection: xr.Dataset | xr.DataArray) -> xr.DataArray:
    """Make a quality band of a text, such as ``"(B8 - B4) / (B8 + B4)"``.

    The text is parsed, never run as Python: it can compute with bands and numbers, and nothing
    else. So it may come from a file or from the command line.

    Parameters
    ----------
    text : str
        What to compute, in the syntax of Python:

        - bands by their names; a name that is none in Python, or that means something here, stands
          in quotation marks: ``-"cloud probability"``, ``band("nan")``; coordinates along time,
          too: ``-cloud_cover``;
        - numbers, and ``nan`` for "masked";
        - ``+ - * / **``, comparisons (``0.2 < ndvi <= 0.8``), ``SCL in [4, 5, 6]``, ``not in``;
        - ``and``, ``or``, ``not`` (``&``, ``|``, ``~``) of conditions, pixel by pixel; ``&`` and
          ``|`` of integers are those of their bits: ``(QA_PIXEL & 8) == 0``;
        - ``where(condition, value, other)``, ``valid(band)`` (false where it is masked), ``abs``,
          ``sqrt``, ``exp``, ``log`` (natural), ``minimum``, ``maximum``, ``clip(x, low, high)``;
        - spectral indices by name, ``ndvi``, in any case, where no band is called so; with options
          ``index("EVI", platform="landsat-8")``;
        - the functions of `qmosaic.scores`, with their arguments: ``inverse(cloud)``,
          ``weighted([(ndvi, 1), (inverse(cloud), 0.5)])``. The collection is left out,
          dates need no quotation marks, and a width is 30 days unless it is given:
          ``target_date(2020-08-01, sigma=20)``, ``target_day_of_year(07-15)``. The pixels that
          are masked in what ``distance_to(SCL in [3, 8, 9], max_distance=3000)`` looks at
          are not valid.

        Scores that are added up should have the same range: in
        ``0.7 * target_date(2020-08-01) + 0.3 * inverse(MSK_CLDPRB) / 100`` clouds of 0 to 100
        count from 0 to -1, as dates do from 0 to 1.
    collection : xarray.Dataset or xarray.DataArray
        Images along ``time``, or an array with a dimension ``band``.

    Returns
    -------
    xarray.DataArray
        The score of each pixel; lazy where the bands are, in their chunks. A band alone is that
        band, as it is. What is made has the text in its attribute ``expression``, with blanks
        where Python's style wants them: so `update` can tell another quality from that of the
        mosaic. A function alone is what the function returns. Else:

        - Integers stay integers where 64 bits hold every possible result, in a dtype that holds
          all of them: ``-cloud`` of uint8 is int16. They are compared exactly, with each other
          and with numbers in the text. A result that 64 bits do not hold, such as the negative of
          uint64 or ``B4 ** 5`` of uint16, is float64.
        - Other numbers are float32 where that holds the bands exactly (float32, integers up to
          2²⁴), else float64. Numbers in the text, and bands with one number an image, take the
          precision of what they meet. Powers above the fourth, and what may be more than float32
          holds (3.4e38), as ``exp(cloud)`` of uint8, are float64. What may be more than float64
          holds by the dtypes of the bands (1.8e308), as ``B4 ** 70`` of uint16, is refused: as
          infinite it would be masked.
        - A condition is bool; uint8, where it can be masked.

        A pixel is masked where a band is masked (NaN, or its declared nodata) that the result
        needs, and where the result is no finite number: ``1 / 0``, ``log(0)``. Of ``where`` only
        the side counts that is chosen. Masked floats are NaN; masked integers have a value
        that no other pixel can have, declared as ``_FillValue`` (where 64 bits leave none, the
        lowest int64 or highest uint64, which becomes its neighbour in other pixels). Integers that
        declare ``scale_factor`` and ``add_offset`` are unpacked.

    Raises
    ------
    ValueError
        The text cannot be understood: the message has the place in it, and what to write instead.
        Or a function refuses what it was given. Or the result has no dimension ``time``, though
        bands have it: it would be the same in all images.
    KeyError
        There is no such band, function or index; a `ValueError`, too. The message says which
        name may be meant.
    TypeError
        `text` is no text, or `collection` no collection.
    ModuleNotFoundError
        What a function needs is not installed (extra ``scores``).

    Notes
    -----
    A text has at most 4000 characters, and 100 parts that lie in each other.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> bands = {"B4": [[[10, 30]], [[20, 90]]], "B8": [[[90, 60]], [[30, 90]]]}
    >>> cloud = {"cloud": [[[7, 0]], [[1, 99]]], "SCL": [[[4, 4]], [[9, 5]]]}
    >>> dims = ("time", "y", "x")
    >>> col = xr.Dataset({n: (dims, np.uint8(v)) for n, v in (bands | cloud).items()})
    >>> qm.expression("-cloud", col).values
    array([[[ -7,   0]],
    <BLANKLINE>
           [[ -1, -99]]], dtype=int16)
    >>> text = "where(SCL in [4, 5, 6], (B8 - B4) / (B8 + B4), nan)"
    >>> qm.expression(text, col).values.round(2)
    array([[[0.8 , 0.33]],
    <BLANKLINE>
           [[ nan, 0.  ]]], dtype=float32)
    >>> best = qm.quality_mosaic(col.assign(quality=qm.expression(text, col)), "quality")
    >>> best["B8"].values
    array([[90, 60]], dtype=uint8)
    >>> try:
    ...     qm.expression("(B8 - B44) / (B8 + B4)", col)
    ... except KeyError as error:
    ...     print(error)
    there is no band 'B44', nor a spectral index of that name:
        (B8 - B44) / (B8 + B4)
              ^^^
    The bands are B4, B8, cloud, SCL. Did you mean B4?
    """
    if not isinstance(text, str):
        raise TypeError(
            f"expression() got a {type(text).__name__} as its text; it takes the text first, then "
            "the collection: qm.expression('(B8 - B4) / (B8 + B4)', collection)."
        )
    bands: Any = as_collection(collection, "expression()")
    parsed, tree = parse(text)
    return Builder(parsed, bands, collection).quality(tree)

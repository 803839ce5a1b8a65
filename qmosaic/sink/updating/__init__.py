"""A mosaic in a store is brought up to date: further images, without those that it was made of.

The store is one more image, in front of the new ones (`qmosaic.engine.continuing`). Each job first
learns what becomes of its box of the map. Where no new image is a candidate, it writes nothing;
where none wins, the number of candidates alone; else the chunks in which one wins.

What decides (the scores, and from which image they are) is rewritten too, so a job that was
interrupted could not decide again. It makes everything before it touches these chunks, keeps them
as they were in the group ``_qmosaic``, and rewrites them last; who goes on with its box puts them
back first. Other bands follow from them, however often they are rewritten.

============== =====================================================================
``calling``    `update`: the order of the steps
``settling``   in the end: the attributes, and that the mosaic is complete
``beginning``  the store is locked, and prepared for the first block
``comparing``  what does not fit the mosaic is refused
``preparing``  the mosaic of all images, its layout and its jobs
``rewriting``  what a job does
``past``       what a store says of its mosaic
============== =====================================================================
"""

from qmosaic.sink.updating.calling import update

__all__ = ["update"]


def __dir__() -> list[str]:
    return __all__

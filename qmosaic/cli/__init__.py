"""The command line: ``qmosaic mosaic``, ``explain``, ``info``, ``show``, ``contributions``,
``update``, ``demo``.

It does what its users can do in Python, over the public names alone. Every expected error is one
line and an exit code; a job can be read from TOML and written to it; an interrupted job says by
which command it goes on.

A module imports only modules below it in this table.

================= ================================================================
``__main__``      ``python -m qmosaic.cli``
``program``       `main`: all commands, and how they end
``explain``       the command ``explain``
``mosaic``        the command ``mosaic``
``update``        the command ``update``
``info``          the command ``info``
``show``          the command ``show``
``contributions`` the command ``contributions``
``demo``          the command ``demo``
``completion``    the command ``completion``
``targets``       where a mosaic is written, as what, and how an interrupted job goes on
``description``   what lies in a store or a source, as text and for programs
``requests``      from options to a collection and its mosaic
``options``       the options that commands share
``jobs``          options read from TOML and written to it
``workers``       the scheduler that a command runs on
``stores``        from the text of a path or URL to a store
``kinds``         kinds of values: lists, boxes, numbers, values by band
``sections``      help in sections
``reporting``     results on stdout, for people or programs; messages on stderr
``errors``        one line for an error, and the code that a command ends with
``speech``        what errors call arguments and functions, as the shell says it
================= ================================================================

May import ``display`` and ``sources``.
"""

from qmosaic.cli.program import main

__all__ = [
    "main",
]


def __dir__() -> list[str]:
    return __all__

"""Commands as a shell runs them, in this very process."""

from __future__ import annotations

import contextlib
import io
import json
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from qmosaic.cli import main


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what it printed.

    Attributes
    ----------
    code : int
        0 for done.
    out, err : str
        What it printed to stdout and stderr.
    """

    code: int
    out: str
    err: str

    @property
    def told(self) -> Any:
        """The one JSON object on stdout."""
        return json.loads(self.out)


def run(*arguments: object) -> Ended:
    """Run a command."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default", UserWarning)  # shown to the user, as in a shell
        try:
            main([str(argument) for argument in arguments], prog_name="qmosaic")
        except SystemExit as end:
            code = end.code or 0
    return Ended(code, out.getvalue(), err.getvalue())


def done(*arguments: object) -> Ended:
    """Run a command that has to succeed."""
    ended = run(*arguments)
    assert ended.code == 0, ended.err
    return ended


def best(values: dict[str, np.ndarray], score: np.ndarray, band: str) -> np.ndarray:
    """Give a band of the mosaic by a loop over pixels: of equal scores the first image's, 0 where
    all are NaN."""
    made = np.zeros(score.shape[1:], values[band].dtype)
    for y, x in np.ndindex(*made.shape):
        scores = [(float(score[t, y, x]), -t) for t in range(len(score))]
        scores = [pair for pair in scores if not math.isnan(pair[0])]
        if scores:
            made[y, x] = values[band][-max(scores)[1], y, x]
    return made

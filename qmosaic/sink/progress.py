"""Progress of a writing, shown to a person, a log or a program."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from qmosaic.sink.tables import as_table

BAR = "{percentage:3.0f}%|{bar}| "
"""How a bar begins, for tqdm; figures follow."""

BAR_COLUMNS = 4 + 12 + 1
"""What a bar takes on a terminal, if it is short; tqdm gives it all that figures leave."""

LOG_EVERY = 30.0
"""Seconds between two lines in the log."""

logger = logging.getLogger("qmosaic")


@dataclass(frozen=True)
class Progress:
    """How far the writing of a mosaic is: what ``to_zarr(..., progress=function)`` passes on.

    The numbers are the same on threads and on a cluster. Printing it gives one line.

    Attributes
    ----------
    done, total : int
        Number of blocks that are in the store, and of all blocks.
    resumed : int
        How many of the finished blocks are from an earlier run.
    bytes_read, bytes_written : int
        Decoded size of the source chunks that this run has read, and of the blocks that it has
        written. What ordinary tasks of dask read, where blocks share costly work, is not counted.
    seconds : float
        Seconds since this run began.
    skipped : int
        How often an image was left out of a block because a chunk could not be read.
    level : int
        0 for the mosaic itself, 1, 2 ... for its overviews, which are counted each by itself.

    Examples
    --------
    >>> import qmosaic as qm
    >>> print(qm.Progress(done=3, total=12, bytes_read=4_000_000, bytes_written=500_000, seconds=2))
    3 / 12 blocks, 4.00MB read, 500kB written, 1.5 blocks/s, 00:06 left
    """

    done: int
    total: int
    resumed: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    seconds: float = 0.0
    skipped: int = 0
    level: int = 0

    @property
    def rate(self) -> float:
        """Blocks per second, of this run."""
        return (self.done - self.resumed) / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float:
        """Seconds that are left at the rate so far; infinite before the first block."""
        return (self.total - self.done) / self.rate if self.rate else float("inf")

    def _repr_html_(self) -> str:
        left = "not known yet" if self.rate == 0 else _duration(self.seconds_left)
        share = self.done / self.total if self.total else 1.0
        rows = {
            "blocks": f"{self.done} of {self.total}, {share:.0%}",
            "resumed": f"{self.resumed} of an earlier run" if self.resumed else "none",
            "read": _size(self.bytes_read),
            "written": _size(self.bytes_written),
            "time": f"{_duration(self.seconds)}, {left} left; {self.rate:.1f} blocks/s",
            "skipped": _images(self.skipped) if self.skipped else "none",
        }
        return as_table("Writing a mosaic", rows)

    def __str__(self) -> str:
        left = "?" if self.rate == 0 else _duration(self.seconds_left)
        skipped = f", {_images(self.skipped)} skipped" if self.skipped else ""
        return (
            f"{self.done} / {self.total} blocks, {_size(self.bytes_read)} read, "
            f"{_size(self.bytes_written)} written, {self.rate:.1f} blocks/s, {left} left{skipped}"
        )


def _duration(seconds: float) -> str:
    from tqdm import tqdm  # brings email along, and is needed where progress is shown

    return str(tqdm.format_interval(seconds))


def _images(number: int) -> str:
    return f"{number} image{'' if number == 1 else 's'}"


def _size(number: float) -> str:
    from tqdm import tqdm

    return f"{tqdm.format_sizeof(number, 'B', 1000)}"


def figures(progress: Progress, columns: int | None) -> str:
    """Say how far a writing is in one line; what matters least is left out where there is no room.

    Parameters
    ----------
    progress : Progress
        How far it is.
    columns : int, optional
        The most characters; None for all figures.
    """
    left = "?" if progress.rate == 0 else _duration(progress.seconds_left)
    by_weight = [
        f"{progress.done}/{progress.total} blocks",
        f"{left} left",
        f"{_images(progress.skipped)} skipped" if progress.skipped else "",
        f"{progress.rate:.1f} blocks/s",
        f"{_size(progress.bytes_written)} written",
        f"{_size(progress.bytes_read)} read",
    ]
    told = ""
    for figure in filter(None, by_weight):
        longer = f"{told}, {figure}" if told else figure
        if told and columns is not None and len(longer) > columns:
            break
        told = longer
    return told


class Display(Protocol):
    """Something that shows progress."""

    def show(self, progress: Progress) -> None:
        """Tell of progress."""

    def say(self, text: str, level: int) -> None:
        """Write a sentence into the log."""

    def close(self, progress: Progress | None) -> None:
        """Tell that this was all."""


class _Logging:
    def say(self, text: str, level: int) -> None:
        logger.log(level, "%s", text)


class _Nothing(_Logging):
    def show(self, progress: Progress) -> None:
        pass

    def close(self, progress: Progress | None) -> None:
        pass


class _Bar:
    """A bar of tqdm, in a terminal or a notebook."""

    def __init__(self, total: int, resumed: int) -> None:
        from tqdm import TqdmWarning

        with warnings.catch_warnings():
            # a notebook without ipywidgets gets a bar of text, which needs no warning
            warnings.simplefilter("ignore", TqdmWarning)
            from tqdm.auto import tqdm

        self._bar = tqdm(
            total=total,
            initial=resumed,
            file=sys.stderr,
            dynamic_ncols=True,
            bar_format=f"{BAR}{resumed}/{total} blocks, ? left",
        )

    def show(self, progress: Progress) -> None:
        columns = self._bar.format_dict["ncols"]  # None in a notebook, and where nobody knows
        self._bar.bar_format = BAR + figures(progress, columns and columns - BAR_COLUMNS)
        self._bar.update(progress.done - self._bar.n)

    def say(self, text: str, level: int) -> None:
        with self._bar.external_write_mode():  # the bar makes room for a line
            logger.log(level, "%s", text)

    def close(self, progress: Progress | None) -> None:
        self._bar.close()


class _Log(_Logging):
    """A line now and then in the log "qmosaic", at level INFO."""

    def __init__(self) -> None:
        self._next = time.monotonic() + LOG_EVERY

    def show(self, progress: Progress) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LOG_EVERY
            logger.info("%s", progress)

    def close(self, progress: Progress | None) -> None:
        if progress is not None:
            logger.info("%s", progress)


class _Callback(_Logging):
    """A function of the caller."""

    def __init__(self, function: Callable[[Progress], Any]) -> None:
        self._function = function

    def show(self, progress: Progress) -> None:
        self._function(progress)

    def close(self, progress: Progress | None) -> None:
        pass


def display_for(
    wanted: bool | Callable[[Progress], Any] | None, total: int, resumed: int
) -> Display:
    """Choose how progress is shown.

    Parameters
    ----------
    wanted : bool or callable, optional
        True for a bar, False for nothing, a function that gets every `Progress`; by default
        a bar on a terminal and lines in the log where there is none.
    total, resumed : int
        Blocks in all, and blocks that are there.
    """
    if callable(wanted):
        return _Callback(wanted)
    if wanted or (wanted is None and sys.stderr.isatty()):
        return _Bar(total, resumed)
    return _Nothing() if wanted is False else _Log()


class Meter:
    """Adds up what the blocks report, and tells of it."""

    def __init__(self, display: Display, total: int, resumed: int) -> None:
        self._display = display
        self._started = time.monotonic()
        self.progress = Progress(done=resumed, total=total, resumed=resumed)
        self.skipped: set[str] = set()

    def add(self, read: int, written: int, skipped: Sequence[str]) -> None:
        """Count one more block; `skipped` are the chunks that it had to leave out."""
        self.skipped.update(skipped)
        for chunk in skipped:
            self.say(f"{chunk} could not be read; the image counts as masked there")
        last = self.progress
        self.progress = Progress(
            last.done + 1,
            last.total,
            last.resumed,
            last.bytes_read + read,
            last.bytes_written + written,
            time.monotonic() - self._started,
            last.skipped + len(skipped),
        )
        self._display.show(self.progress)

    def say(self, text: str, level: int = logging.WARNING) -> None:
        """Tell what a person who waits has to hear."""
        self._display.say(text, level)

    def show(self) -> None:
        """Tell how far the writing is, without a further block."""
        self._display.show(self.progress)

    def close(self, *, finished: bool) -> None:
        """Tell that this was all."""
        self._display.close(self.progress if finished else None)

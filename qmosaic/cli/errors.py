"""One line for an error, and the code that a command ends with."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import click

import qmosaic as qm

FAILED = 1
"""What a command ends with that could not do what it was asked; 2 is a wrong use, as click has
it."""

INTERRUPTED = 130
"""What a program ends with after Ctrl-C: 128 and the number of the signal."""

EXPECTED = (
    ValueError,
    TypeError,
    KeyError,
    OSError,
    ModuleNotFoundError,
    ImportError,
    qm.IncompleteMosaicError,
    qm.StoreInUseError,
    qm.ChunkReadError,
    qm.UnfitWorkerError,
)
"""What a user, a file or a disk can be the cause of: such an error says by itself what to do.
`DamagedJournalError` and `UnexpectedChunkError` are ValueErrors."""

MODES = {"resume": "--resume", "w": "--overwrite", "w-": "a run without --overwrite"}
"""The argument ``mode`` of `to_zarr`, as options say it."""

ARGUMENTS = "qmosaic.arguments"
"""Where a context keeps what was typed. Whether --json and --debug are in it matters also where the
rest of the command cannot be understood, so it is asked for here."""


class Interrupted(KeyboardInterrupt):
    """A command was interrupted.

    Attributes
    ----------
    resume : str or None
        The command that goes on; None where there is nothing to go on with.
    """

    def __init__(self, text: str, resume: str | None = None) -> None:
        super().__init__(text)
        self.resume = resume


def debugging(context: click.Context) -> bool:
    """Tell whether tracebacks were asked for."""
    return "--debug" in context.meta.get(ARGUMENTS, [])


def for_programs(context: click.Context) -> bool:
    """Tell whether a program reads what the command prints."""
    return "--json" in context.meta.get(ARGUMENTS, [])


@contextlib.contextmanager
def ending_in_one_line(context: click.Context) -> Iterator[None]:
    """Print an error in one line and end with 1; after an interruption end with 130.

    With ``--debug`` the traceback comes first. With ``--json`` the error is an object on stdout,
    too.
    """
    try:
        yield
    except (click.exceptions.Exit, click.Abort, BrokenPipeError):
        raise
    except click.ClickException as error:
        _for_a_program(context, error.format_message(), type(error).__name__)
        raise
    except KeyboardInterrupt as interruption:
        raise _after_an_interruption(context, interruption) from None
    except Exception as error:
        raise _after_an_error(context, error) from error


def _after_an_interruption(
    context: click.Context, interruption: KeyboardInterrupt
) -> click.exceptions.Exit:
    """Say what an interruption has left."""
    text = f"Interrupted. {interruption}".rstrip()
    click.echo(text, err=True)
    resume = getattr(interruption, "resume", None)
    if resume:
        click.echo(f"Go on with:\n  {resume}", err=True)
    _for_a_program(context, text, "KeyboardInterrupt", resume=resume)
    return click.exceptions.Exit(INTERRUPTED)


def _after_an_error(context: click.Context, error: Exception) -> click.ClickException:
    """Say what an error was."""
    if debugging(context):
        import traceback

        click.echo("".join(traceback.format_exception(error)).rstrip(), err=True)
    text = in_the_shell(message_of(error), _commands(context))
    if not isinstance(error, EXPECTED):
        text = (
            f"{type(error).__name__}: {text}. This was not expected; the same command with --debug "
            "shows where it came from."
        )
    _for_a_program(context, text, type(error).__name__)
    return click.ClickException(text)


def message_of(error: BaseException) -> str:
    """Give the text of an error; that of a KeyError without the quotes around it."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return text or type(error).__name__


def _commands(context: click.Context) -> list[click.Command]:
    """Give the command that was called, as far as it is known."""
    group = context.command
    name = context.invoked_subcommand
    found = group.get_command(context, name) if isinstance(group, click.Group) and name else None
    return [found] if found else []


def in_the_shell(text: str, commands: list[click.Command]) -> str:
    """Write the arguments of Python that an error names as the options of a command.

    ``mode='resume'`` becomes ``--resume``, ``min_quality=`` becomes ``--min-quality``. What stands
    in a call of a function stays as it is: it is Python as a whole.
    """
    options = {
        parameter.name: parameter
        for command in commands
        for parameter in command.params
        if isinstance(parameter, click.Option) and parameter.name
    }

    def option(match: re.Match[str]) -> str:
        value = (match["value"] or "").strip("'\"")
        if match["name"] == "mode":
            return MODES.get(value, match[0])
        known = options.get(match["name"] or "")
        if known is None or value == "lambda":  # a function can only be given in Python
            return match[0]
        long = next(name for name in known.opts if name.startswith("--"))
        return long if known.is_flag or not value else f"{long} {value}"

    call = r"\w\([^()]*(?:\([^()]*\)[^()]*)*\)"
    pattern = (
        rf"{call}|(?<![\w.])(?P<name>[a-z_]+)=(?P<value>\.\.\.|'[^']*'|\"[^\"]*\"|[\w.+-]*\w)?"
    )
    return re.sub(pattern, option, text)


def _for_a_program(context: click.Context, text: str, kind: str, **more: Any) -> None:
    if for_programs(context):
        found = {"error": text, "kind": kind}
        found |= {name: value for name, value in more.items() if value}
        click.echo(json.dumps(found, ensure_ascii=False))

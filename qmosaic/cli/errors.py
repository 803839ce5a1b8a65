"""One line for an error, and the code that a command ends with."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import click

import qmosaic as qm
from qmosaic.cli.speech import in_the_shell

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

DETAILS = "\n\nDebug source:"
"""After it, an error of obstore shows the structures of Rust that it was made of."""

ENDPOINT = (
    "Check the address, the network and the environment: AWS_ENDPOINT_URL, AWS_REGION and the keys."
)

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
    typed = context.meta.get(ARGUMENTS, [])
    text = in_the_shell(message_of(error), _commands(context), typed)
    if not (isinstance(error, EXPECTED) or _is_of_an_object_store(error)):
        text = (
            f"{type(error).__name__}: {text}. This was not expected; the same command with --debug "
            "shows where it came from."
        )
    _for_a_program(context, text, type(error).__name__)
    return click.ClickException(text)


def message_of(error: BaseException) -> str:
    """Give the text of an error; that of a KeyError without the quotes around it."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    text, details, _ = text.partition(DETAILS)
    if details:
        text = f"{text.rstrip()}. {ENDPOINT}"
    return text or type(error).__name__


def _is_of_an_object_store(error: BaseException) -> bool:
    """Tell whether the network or a server is the cause."""
    return type(error).__module__.partition(".")[0] in ("obstore", "_obstore")


def _commands(context: click.Context) -> list[click.Command]:
    """Give all commands, the one that was called first."""
    group = context.command
    if not isinstance(group, click.Group):
        return []
    called = context.invoked_subcommand
    return [group.commands[n] for n in sorted(group.commands, key=lambda name: name != called)]


def _for_a_program(context: click.Context, text: str, kind: str, **more: Any) -> None:
    if for_programs(context):
        found = {"error": text, "kind": kind}
        found |= {name: value for name, value in more.items() if value}
        click.echo(json.dumps(found, ensure_ascii=False))

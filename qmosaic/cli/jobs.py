"""Options read from TOML and written to it: the same job on a laptop and on a cluster.

A key is the name of an option without its dashes (``min-quality``), ``source`` and ``store`` are
arguments. What stands on the command line wins. Paths are those of the folder in which the command
runs, as they are on the command line.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from qmosaic.cli.sections import option

PASSING = {"job", "save_job", "resume", "overwrite", "quiet"}
"""What is said of one run, and is no part of a job."""


class Argument(click.Argument):
    """An argument that a job can give: without values, click does not look for them elsewhere."""

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> Any:
        """Take the values of the command line, or else those of the job."""
        given = {name: value for name, value in opts.items() if name != self.name or value}
        return super().consume_value(ctx, given)


def key_of(parameter: click.Parameter) -> str:
    """Give the name that a parameter has in a job."""
    if isinstance(parameter, click.Option):
        return next(name for name in parameter.opts if name.startswith("--")).removeprefix("--")
    return str(parameter.name)


def parts_of(command: click.Command) -> dict[str, click.Parameter]:
    """Give the parameters of a command that a job can have, by their keys."""
    return {
        key_of(parameter): parameter
        for parameter in command.params
        if parameter.name not in PASSING and parameter.expose_value
    }


# -- reading -------------------------------------------------------------------------------------


def read(context: click.Context, parameter: click.Parameter, path: str | None) -> str | None:
    """Let a job give what the command line does not."""
    if path is not None:
        found = parsed(path)
        known = parts_of(context.command)
        check_keys(found, known, path)
        context.default_map = {
            str(known[key].name): as_given(known[key], value) for key, value in _dashed(found)
        }
    return path


def _dashed(found: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(key.replace("_", "-"), value) for key, value in found.items()]


def parsed(path: str) -> dict[str, Any]:
    """Read a file of TOML."""
    import tomllib

    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise click.UsageError(f"there is no job at {path!r}. Check the path.") from error
    except OSError as error:
        raise click.UsageError(f"the job {path!r} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # of TOML, or of UTF-8
        raise click.UsageError(
            f'the job {path!r} is no TOML: {error}. Lines are such as: quality = "-MSK_CLDPRB"'
        ) from error


def check_keys(found: Mapping[str, Any], known: Mapping[str, Any], path: str) -> None:
    """Refuse a key that is no option, and say which was probably meant; and one that stands there
    in two spellings."""
    names = [key for key, _ in _dashed(found)]
    twice = next((key for key in names if names.count(key) > 1), None)
    if twice:
        raise click.UsageError(
            f"the job {path!r} has both {twice!r} and {twice.replace('-', '_')!r}, which are one "
            "option. Remove one of them."
        )
    for key, _ in _dashed(found):
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
            hint = f"Did you mean {close[0]!r}?" if close else f"Known are {', '.join(known)}."
            raise click.UsageError(f"the job {path!r} has {key!r}, which is no option. {hint}")


def as_given(parameter: click.Parameter, value: Any) -> Any:
    """Make of a value of TOML what click takes: a list where an option can be given several
    times, a text where it is a time."""
    value = _plain(value)
    return [value] if _is_several(parameter) and not isinstance(value, list) else value


def _is_several(parameter: click.Parameter) -> bool:
    return parameter.nargs == -1 or bool(getattr(parameter, "multiple", False))


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


# -- writing -------------------------------------------------------------------------------------


def save(context: click.Context) -> None:
    """Write what a command was given, by its command line and its job, where ``--save-job``
    says."""
    path = context.params.get("save_job")
    if path is None:
        return
    import tomli_w

    text = tomli_w.dumps(given(context))
    target = Path(path)
    same = context.params.get("job") and target.exists() and target.samefile(context.params["job"])
    try:
        there = None if same or not target.exists() else target.read_bytes()
        if there in (None, text.encode()):
            target.write_bytes(text.encode())
            return
    except OSError as error:
        raise click.UsageError(
            f"the job {path!r} cannot be written: {error.strerror}. Give another path after "
            "--save-job."
        ) from error
    raise FileExistsError(
        f"there is another job, or another file, at {path!r}; nothing was changed. Remove it, or "
        "give another name after --save-job."
    )


def given(context: click.Context) -> dict[str, Any]:
    """Give what a command was given, by the keys of a job."""
    default = click.core.ParameterSource.DEFAULT
    return {
        key: _as_toml(context.params[str(parameter.name)], _is_several(parameter))
        for key, parameter in parts_of(context.command).items()
        if context.get_parameter_source(str(parameter.name)) is not default
    }


def _as_toml(value: Any, one: bool = False) -> Any:
    """Make of a value what TOML has; of an option that was given once, its value alone."""
    if one and isinstance(value, list | tuple) and len(value) == 1:
        return _as_toml(value[0])
    if isinstance(value, Mapping):
        return {name: _as_toml(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_as_toml(entry) for entry in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return "none" if value is None else value


JOB = [
    option(
        "Job and messages",
        "--job",
        metavar="JOB.TOML",
        is_eager=True,
        callback=read,
        help="Read arguments and options from this file; the command line wins.",
    ),
    option(
        "Job and messages",
        "--save-job",
        metavar="JOB.TOML",
        help="Write all that is given here to this file, for --job.",
    ),
]
"""The two options of a command that has jobs."""

"""Help in sections: a command with forty options is read by its headings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

REST = "Options"
"""The heading of options that have none."""


class Option(click.Option):
    """An option that stands under a heading in the help of its command."""

    def __init__(self, *args: Any, section: str = REST, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.section = section


class Command(click.Command):
    """A command whose options stand under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options section by section, in the order in which sections first appear."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                heading = getattr(parameter, "section", REST)
                sections.setdefault(heading, []).append(record)
        for heading in sorted(sections, key=lambda name: name == REST):  # --help at the end
            with formatter.section(heading):
                formatter.write_dl(sections[heading])


def option(section: str, *names: str, **attributes: Any) -> Callable[[Any], Any]:
    """Make an option of a section; as `click.option`."""
    return click.option(*names, cls=Option, section=section, **attributes)


def together(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Put several options onto a command, in this order."""

    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate

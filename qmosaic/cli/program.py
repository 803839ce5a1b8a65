"""`main`: all commands, and how they end."""

from __future__ import annotations

from typing import Any

import click

import qmosaic as qm
from qmosaic.cli.completion import completion
from qmosaic.cli.contributions import contributions
from qmosaic.cli.demo import demo
from qmosaic.cli.errors import ARGUMENTS, ending_in_one_line
from qmosaic.cli.explain import explain
from qmosaic.cli.info import info
from qmosaic.cli.mosaic import mosaic
from qmosaic.cli.reporting import on_stderr
from qmosaic.cli.show import show
from qmosaic.cli.update import update


class Program(click.Group):
    """Commands that end with one line where something is wrong."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> click.Context:
        """Keep what was typed, for the command that goes on after an interruption."""
        typed = list(args)
        context = super().make_context(info_name, args, parent, **extra)
        context.meta[ARGUMENTS] = typed
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was called."""
        with ending_in_one_line(ctx), on_stderr():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order in which one needs them."""
        return list(self.commands)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(qm.__version__, prog_name="qmosaic")
def main() -> None:
    """Quality mosaics: for every pixel the image with the highest score.

    \b
    Examples:
      qmosaic demo
      qmosaic info s2.zarr
      qmosaic explain s2.zarr --quality -MSK_CLDPRB
      qmosaic mosaic s2.zarr --quality -MSK_CLDPRB --out best.zarr
      qmosaic show best.zarr --bands B4,B3,B2 --max 3000

    \b
    Exit codes:
      0    done
      1    it could not be done; one line says why, --debug where
      2    the command was not understood
      130  interrupted by Ctrl-C or SIGTERM; a line says how to go on

    Each command has its own help: qmosaic mosaic --help.
    """


for command in (mosaic, explain, info, show, contributions, update, demo, completion):
    main.add_command(command)

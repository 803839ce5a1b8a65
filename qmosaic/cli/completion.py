"""The command ``completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from qmosaic.cli.sections import Command


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, /, shell: str) -> None:
    """Print what makes a shell complete commands and options.

    It is what _QMOSAIC_COMPLETE=bash_source qmosaic prints, too.

    \b
    Examples:
      qmosaic completion bash >> ~/.bashrc
      qmosaic completion zsh >> ~/.zshrc
      qmosaic completion fish > ~/.config/fish/completions/qmosaic.fish
    """
    found = get_completion_class(shell)
    assert found is not None  # these three are click's own
    program = context.find_root().command
    click.echo(found(program, {}, "qmosaic", "_QMOSAIC_COMPLETE").source())

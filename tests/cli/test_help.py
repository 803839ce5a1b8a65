"""The help: its examples are commands, its options cover what Python has."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

import qmosaic as qm
from qmosaic.cli import main
from qmosaic.cli.options import LEFT_OUT
from tests.support.shell import done, run


def examples(text: str) -> list[list[str]]:
    """Find the commands among indented lines; one that ends with a backslash goes on."""
    joined = re.sub(r"\\\n\s+", "", text)
    lines = [line.strip() for line in joined.splitlines() if line.startswith("    qmosaic ")]
    return [shlex.split(re.split(r" >+ ", line)[0])[1:] for line in lines]


@pytest.mark.parametrize("name", ["", *main.commands])
def test_examples_are_commands(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    """The help of each command has examples; click understands every one of them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.toml").write_text('source = "a"\nquality = "b"\nout = "c.zarr"\n')
    text = done(*[name] * bool(name), "--help").out
    found = examples(text)
    assert found
    for first, *others in found:
        context = main.commands[first].make_context(first, others)
        assert context.params
        assert not name or any(command == name for command, *_ in found)
    assert not name or "Examples:" in text


def test_every_command_is_named() -> None:
    """The commands in the order in which one needs them, the exit codes."""
    text = done("--help").out
    listed = re.findall(r"^  (\w+)  ", text[text.index("Commands:") :], re.M)
    assert listed == "mosaic explain info show contributions update demo completion".split()
    assert re.findall(r"^    (\d+) ", text, re.M) == ["0", "1", "2", "130"]


@pytest.mark.parametrize("name", ["open_collection", "quality_mosaic"])
def test_options_cover_the_parameters(name: str) -> None:
    """Every parameter is an option of `mosaic`, or is left out for a reason; so an argument that is
    new in Python has to be put here, too."""
    options = {parameter.name for parameter in main.commands["mosaic"].params}
    parameters = set(inspect.signature(getattr(qm, name)).parameters)
    left_out = LEFT_OUT[name]
    assert parameters - options == set(left_out)
    assert all(left_out.values())


def test_explain_takes_what_mosaic_takes() -> None:
    """The same options in the same order; only --out is not required."""
    one, other = (main.commands[name].params for name in ("mosaic", "explain"))
    assert [p.name for p in one] == [p.name for p in other]
    required = {p.name for p in one if p.required} - {p.name for p in other if p.required}
    assert required == {"out"}


def test_every_option_has_its_help() -> None:
    """And a heading above it, but for what every command has."""
    for name, command in main.commands.items():
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{name} {option.name}"
                assert getattr(option, "section", None) != "Options", f"{name} {option.name}"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion(shell: str) -> None:
    """A shell gets a script that asks qmosaic what fits."""
    assert f"_QMOSAIC_COMPLETE={shell}_complete" in done("completion", shell).out
    assert run("completion", "cmd").code == 2

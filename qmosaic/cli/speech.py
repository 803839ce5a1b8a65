"""What Python calls an argument or a function, as the shell says it: the texts of errors.

Facts stay. Advice becomes options and commands where there are such, and is left out where there
are none.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

import click

MODES = {"resume": "--resume", "w": "--overwrite", "w-": "a run without --overwrite"}
"""The argument ``mode`` of `to_zarr`, as options say it."""

COMMANDS = {
    "to_zarr": "qmosaic mosaic",
    "to_cog": "qmosaic mosaic",
    "quality_mosaic": "qmosaic mosaic",
    "update": "qmosaic update",
    "open_mosaic": "qmosaic info",
    "quicklook": "qmosaic show",
    "visualize": "qmosaic show",
    "serve": "qmosaic show",
    "explain": "qmosaic explain",
    "contributions": "qmosaic contributions",
}
"""Functions that commands stand for."""

OPTIONS = {
    "filter_bounds": ("--bbox", "--clip"),
    "filter_date": ("the period",),
    "clip": ("--clip",),
    "select": ("--bands",),
    "expression": ("--quality",),
    "open_collection": ("SOURCE",),
}
"""Functions that options stand for; of several those that were given."""

RENAMED = {"quality_band": "--quality", "zones": "--zones"}
"""Arguments whose options are called otherwise, or that an error names though the command at hand
does not have them."""

PHRASES = {
    r"\\\\": r"\\",
    r": [a-z_]+=\[\.\.\.\]\[::-1\]": "",
    r", \w+\.drop_sel\([^)]*\)": " with --start and --end",
}
"""What is said otherwise as a whole: a backslash that `repr` has doubled, a list the other way
round, images that are left out."""

INSIDE = r"\([^()]*(?:\([^()]*(?:\([^()]*\)[^()]*)*\)[^()]*)*\)"
"""What stands in parentheses, which may have others in them."""

FUNCTION = re.compile(
    r"(?<![\w.'`])(?P<home>(?:qm|qmosaic)\.)?"
    rf"(?P<name>{'|'.join([*COMMANDS, *OPTIONS])})\b(?P<call>{INSIDE})?"
)

CALL = rf"[\w\]]{INSIDE}"

VALUE = r"\.\.\.|r'[^']*'|'[^']*'|\"[^\"]*\"|\[[^\[\]]*\]|\([^()]*\)|[\w.+-]*\w"

ARGUMENT = rf"(?<![\w.'])(?P<name>[a-z_]+)=(?!=)(?P<value>{VALUE})?"

QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")

PYTHON = re.compile(
    rf"(?<![\w/'])(?:[A-Za-z_]\w*\.)+[a-z_]\w*(?:\(|\b(?=.*\]))|\b(?:xarray|xr|np|numpy|pandas|dask)"
    rf"\.[a-z_]|(?<![\w.])[A-Za-z_]\w*{INSIDE[:2]}[^()]*[=.]|(?<![\w'-])[a-z_]{{2,}}=(?![=\s])"
    r"|\blambda\b|\w\[[^\]]*\]\.\w|\w\[\.\.\.\]|\]\[::"
)
"""What is Python, and neither a name nor a number."""

ADVICE = re.compile(
    r"(?:or,? |and |then |to |if [^,]+, )*(?:add|ask|call|cast|choose|convert|correct|declare|"
    r"do not|drop|give|go on|join|keep|leave|make|name|open|pass|put|read|rechunk|rename|reverse|"
    r"say|set|swap|take|use|write)\b",
    re.IGNORECASE,
)
"""How a sentence, or a part of one, begins that says what to write."""

FACT = re.compile(r"(?:which|because|as|since|so|for(?! instance))\b")
"""How a part of a sentence begins that gives the reason for what was said before it."""


def in_the_shell(text: str, commands: Sequence[click.Command], typed: Sequence[str] = ()) -> str:
    """Write an error of Python for those who typed a command.

    Parameters
    ----------
    text : str
        What the error says.
    commands : sequence of click.Command
        Those whose options are known, the one that was called first.
    typed : sequence of str
        What was typed.
    """
    options = _options(commands)
    text = _as_typed(text, typed)
    for python, shell in PHRASES.items():
        text = re.sub(python, shell, text)
    text = FUNCTION.sub(lambda found: _function(found, options, typed), text)
    text = re.sub(
        rf"{CALL}|`[^`]*`|{ARGUMENT}",
        lambda found: _argument(found, options) if found["name"] else found[0],
        text,
    )
    return _without_python(text)


def _as_typed(text: str, typed: Sequence[str]) -> str:
    """Show numbers that were typed with commas between them so, and not as a tuple of Python."""
    for word in typed:
        numbers = word.rpartition("=")[2]
        try:
            floats = tuple(float(part) for part in numbers.split(","))
        except ValueError:
            continue
        for one in (floats, tuple(int(n) if n.is_integer() else n for n in floats)):
            text = text.replace(repr(one), numbers)
    return text


def _options(commands: Sequence[click.Command]) -> dict[str, click.Option]:
    """Find the options by the names of their arguments; those of the first command win."""
    found: dict[str, click.Option] = {}
    for command in commands:
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name:
                found.setdefault(parameter.name, parameter)
    return found


# -- functions and arguments ---------------------------------------------------------------------


def _function(
    found: re.Match[str], options: Mapping[str, click.Option], typed: Sequence[str]
) -> str:
    """Give the command, or the options, that stand for a function."""
    name, call = found["name"], found["call"]
    bare = call == "()" or (found["home"] and not call)
    if not (found["home"] or bare or (call and name in ("to_zarr", "to_cog", "quality_mosaic"))):
        return found[0]  # a word of the sentence, or a function of an expression
    inner = re.sub(INSIDE, "()", (call or "()")[1:-1])
    said = [_argument(one, options) for one in re.finditer(ARGUMENT, inner)]
    known = [entry for entry in said if entry.startswith("--")]
    if not known and re.search(r"\w\.\w+\(|\]\.|\[", inner):
        return found[0]  # what it does with its arguments, no option does
    if name in COMMANDS:
        return f"`{' '.join([COMMANDS[name], *(['...'] if known else []), *known])}`"
    given = [e for e in OPTIONS[name] if any(t.partition("=")[0] == e for t in typed)]
    if call in (None, "()"):
        return " or ".join(given or OPTIONS[name])
    return " ".join(known) or found[0]


def _argument(found: re.Match[str], options: Mapping[str, click.Option]) -> str:
    """Give the option that an argument is here; it as it is, where there is none."""
    name, value = found["name"], (found["value"] or "").removeprefix("r'").strip("'\"")
    if name == "mode":
        return MODES.get(value, found[0])
    if name == "provenance" and value.startswith("["):
        name = "provenance_names"
    known = options.get(name)
    if known is None:
        return RENAMED.get(name, found[0])
    if value == "lambda":  # a function can only be given in Python
        return found[0]
    long = next(entry for entry in known.opts if entry.startswith("--"))
    if known.is_flag:
        return long
    if (found["value"] or "").startswith(("[", "(")):
        value = re.sub(r",\s*", ",", value[1:-1].replace("'", "").replace('"', "")).strip(",")
        value = "" if "..." in value else value
    if not value:
        return long
    return f"{long} {'none' if value == 'None' else shlex.quote(value)}"


# -- what is left of Python ----------------------------------------------------------------------


def _without_python(text: str) -> str:
    """Leave out advice that is Python; of a text that is nothing else, keep it."""
    sentences = re.split(r"(?<=[.!?])(?<!\.\.\.)[ ](?=[A-Z'\"`])", text)
    kept = [_said(sentence) for sentence in sentences]
    return " ".join(sentence for sentence in kept if sentence) or text


def _is_python(text: str) -> bool:
    return PYTHON.search(QUOTED.sub("''", text)) is not None


def _said(sentence: str) -> str:
    """Leave out what is Python in a sentence."""
    if not _is_python(sentence):
        return sentence
    sentence = re.sub(
        rf"\s{INSIDE}", lambda found: "" if _is_python(found[0]) else found[0], sentence
    )
    if not _is_python(sentence):
        return sentence
    parts = re.split(rf"((?:{CALL}|lambda \w*: |[^;:,(]|\((?=[^)]*\)))*?(?:; |: |, |$))", sentence)
    parts = [part for part in parts if part]
    kept: list[str] = []
    dropped = advising = False
    for part in parts:
        advising = FACT.match(part) is None and (advising or ADVICE.match(part) is not None)
        if _is_python(part) and advising:
            dropped = True
        else:
            kept.append(part)
    if not dropped:
        return sentence
    left = "".join(kept).rstrip(" ,;:")
    left = re.sub(r"^(?:or|and|then),? ", "", left)
    if not left:
        return ""
    left = left[0].upper() + left[1:] if sentence[0].isupper() else left
    return left if left[-1] in ".!?" else f"{left}."

"""Where the time of a route goes: `py-spy` looks at the stacks of all threads of a run.

``python -m benchmarks profile --workload NAME`` prints modules and functions with their seconds a
run. What C does counts for the function that called it, and what the standard library does for the
code that called that. Busy: on a core, or ready for one; in all: with everything that it calls;
waiting: for a reply or another thread. Threads without Python (those of tensorstore, of Blosc, of
zarrs) are seen by no profiler of Python; the CPU time has them.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.compare import ROOT, Record, prepare, run_once
from benchmarks.report import aligned
from benchmarks.workloads import workloads

RATE = 200
"""Looks a second."""

Frame = tuple[str, str]
"""A module and a function of it; the module is "" for the standard library."""

WORK = ("benchmarks._worker", "work")
"""What the clock sees of the main thread."""

Stacks = Counter[tuple[Frame, ...]]


def profile(name: str, route: str, size: str, rounds: int, data: Path, out: Path) -> str:
    """Run a route twice a round, and look at the threads that are busy, then at all of them.

    Raises
    ------
    SystemExit
        py-spy is not installed, may not look into processes here, or the run failed.
    """
    spy = shutil.which("py-spy", path=Path(sys.executable).parent) or shutil.which("py-spy")
    if spy is None:
        raise SystemExit("py-spy is not installed: pip install --group bench")
    out.mkdir(parents=True, exist_ok=True)
    request, _ = prepare(workloads(size)[name], size, data, out)
    request |= {"route": route, "count": False, "check": False}
    raw = out.resolve() / "stacks.txt"
    look = [spy, "record", "--format", "raw", "--rate", str(RATE), "--function"]
    # nonblocking: a process that is stopped to be looked at has its threads look busy
    look += ["--nonblocking", "--full-filenames", "--output", str(raw)]
    busy, everything = Stacks(), Stacks()
    runs: list[Record] = []
    for _ in range(rounds):
        for stacks, idle in ((busy, []), (everything, ["--idle"])):
            record = run_once(request, 900.0, before=[*look, *idle, "--"])
            if "error" in record:
                raise SystemExit(record["error"])
            runs.append(record)
            stacks.update(read_stacks(raw.read_text()))
    text = table(busy, everything, runs)
    print(f"{name} by {route}: {text}")
    return text


def read_stacks(raw: str) -> Stacks:
    """Read what py-spy wrote; of the main thread nothing but what the clock sees."""
    found = Stacks()
    for line in raw.splitlines():
        stack, count = line.rsplit(" ", 1)
        places = [re.fullmatch(r"(.*) \((.*):\d+\)", frame) for frame in stack.split(";")]
        frames = [(module(place[2]), place[1]) for place in places if place]
        if any(name == "benchmarks._worker" for name, _ in frames):
            if WORK not in frames:
                continue
            frames = frames[frames.index(WORK) + 1 :]
        found[tuple(frames)] += int(count)
    return found


def module(file: str) -> str:
    """Name a module of this repository, or a library by its top; "" for Python's own."""
    if "site-packages" in Path(file).parts:
        parts = Path(file).parts
        return parts[len(parts) - parts[::-1].index("site-packages")].removesuffix(".py")
    if Path(file).is_relative_to(ROOT):
        return ".".join(Path(file).relative_to(ROOT).with_suffix("").parts)
    return ""


def own(stack: tuple[Frame, ...]) -> Frame | None:
    """Give the innermost frame outside the standard library: none in threads that have no work."""
    return next((frame for frame in reversed(stack) if frame[0]), None)


def table(busy: Stacks, everything: Stacks, runs: list[Record], top: int = 12) -> str:
    """Write what was seen, in seconds a run: by module, then the functions that are most busy."""
    seconds = 2 / (RATE * len(runs))
    total = sum(count for stack, count in busy.items() if own(stack)) * seconds
    wall, cpu = (sum(run[field] for run in runs) / len(runs) for field in ("wall", "cpu"))
    head = f"{wall:.2f} s, {cpu:.2f} s of CPU; Python's threads were busy for {total:.2f} s"
    rows = [["a run, seconds", "busy", "in all", "waiting"]]
    for name, shown in ((_module, None), (_function, top)):
        inner, outer = tally(busy, name), tally(busy, name, whole=True)
        waiting = tally(everything, name) - inner
        order = sorted({*outer, *waiting}, key=lambda k: (-inner[k], -outer[k], -waiting[k]))
        for key in order[:shown]:
            cells = [counts[key] * seconds for counts in (inner, outer, waiting)]
            if max(cells) >= 0.01:
                rows.append([key, *(f"{cell:.2f}" for cell in cells)])
        rows.append(["", "", "", ""])
    return "\n".join([head, *aligned(rows[:-1])])


def _module(frame: Frame) -> str:
    return frame[0]


def _function(frame: Frame) -> str:
    return f"{frame[0]}: {frame[1]}"


def tally(stacks: Stacks, name: Callable[[Frame], str], *, whole: bool = False) -> Counter[str]:
    """Count the looks that found a name innermost, or anywhere in the stack."""
    found: Counter[str] = Counter()
    for stack, count in stacks.items():
        for key in set(_names(stack, name, whole)):
            found[key] += count
    return found


def _names(stack: tuple[Frame, ...], name: Callable[[Frame], str], whole: bool) -> Iterator[str]:
    frames = stack if whole else [own(stack)]
    return (name(frame) for frame in frames if frame and frame[0])

"""What is asked beyond the plain mosaic, and what it costs: each beside the plain mosaic, which is
made in the same rounds, beside the same by hand, and beside writing alone.

``python -m benchmarks beyond`` prints a table. Of each of the rounds a ratio is taken, and of these
the median; CPU seconds tell more than the clock where other programs run.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import answers
from benchmarks.compare import machine, prepare, run_once, versions
from benchmarks.counting import linked
from benchmarks.questions import BY_HAND, QUESTIONS, US, WRITING, asked, ways_of, workload_of
from benchmarks.report import aligned, column, wrong_pixels
from benchmarks.workloads import workloads

WORKLOADS = ("cloudy", "random")
PLAIN = "plain"
COLUMNS = "asked|way|wall s|CPU s|grown MB|chunks|read MB|wrong|× plain|× plain, CPU"
FIELDS = ("wall", "cpu")

Record = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """What is to be run.

    Attributes
    ----------
    by_hand : int
        How many rounds are enough for what is written by hand; 0 leaves it out.
    """

    rows: Sequence[str]
    workloads: Sequence[str]
    rounds: int
    size: str
    out: Path
    data: Path
    timeout: float
    by_hand: int = 1


def compare_beyond(run: Run) -> Record:
    """Run all rows; gives (and writes, after each workload) everything as one record."""
    run.out.mkdir(parents=True, exist_ok=True)
    found: Record = {
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "settings": {"rounds": run.rounds, "size": run.size, "timeout": run.timeout},
        "workloads": {},
    }
    for name in run.workloads:
        found["workloads"][name] = _compare_workload(name, run)
        (run.out / "beyond.json").write_text(json.dumps(found, indent=1))
    return found


def _compare_workload(name: str, run: Run) -> Record:
    """Run the rounds of a workload, all rows in turn, then one of ours each that is counted."""
    workload = workloads(run.size)[name]
    request, _ = prepare(workload, run.size, run.data, run.out)
    store = Path(request["store"])
    rows = with_bases([row for row in run.rows if QUESTIONS[row].fits(workload)])
    entries: dict[str, dict[str, Record]] = {}
    wanted: dict[str, Record] = {}
    for row in rows:
        question = QUESTIONS[row]
        wanted[row] = {**request, "question": row, "check": question.answer is not None}
        if question.answer is not None:
            own = workload_of(question, workload)
            right = answers.ensure(question.answer, own, store, store.parent / "answers")
            wanted[row]["oracle"] = str(right)
        entries[row] = {
            way: {"skipped": asked(row, way).missing(), "error": None, "counts": None, "rounds": []}
            for way in ways_of(question)
            if run.by_hand or way != BY_HAND
        }
    for number in range(run.rounds):
        for row, ways in entries.items():
            for way, entry in ways.items():
                if way == BY_HAND and number >= run.by_hand:
                    continue
                _round(entry, {**wanted[row], "route": way, "count": False}, run)
            print(f"{name}: {spoken(row, ways)}", flush=True)
    for row, ways in entries.items():
        ours = ways[US]
        if not ours["skipped"] and not ours["error"]:
            with linked(store) as apart:
                counted = {**wanted[row], "route": US, "count": True, "store": str(apart)}
                ours["counts"] = run_once(counted, run.timeout)
            ours["error"] = ours["counts"].get("error")
    return {row: {"about": QUESTIONS[row].about, "ways": ways} for row, ways in entries.items()}


def with_bases(rows: Sequence[str]) -> list[str]:
    """Add what the rows are compared with, in the order of all questions."""
    needed = {PLAIN, *rows, *(QUESTIONS[row].base for row in rows)}
    return [row for row in QUESTIONS if row in needed]


def _round(entry: Record, request: Record, run: Run) -> None:
    if entry["skipped"] or entry["error"]:
        return
    record = run_once(request, run.timeout)
    entry["error"] = record.get("error")
    entry["rounds"] += [] if entry["error"] else [record]


def spoken(row: str, ways: Record) -> str:
    """Say in a line what came of the last round of a row."""
    said = []
    for way, entry in ways.items():
        if entry["skipped"] or entry["error"]:
            said.append(f"{way}: {entry['skipped'] or entry['error']}")
        elif entry["rounds"]:
            last = entry["rounds"][-1]
            wrong = f", {last['wrong_pixels']} WRONG PIXELS" if last.get("wrong_pixels") else ""
            said.append(f"{way} {last['wall']:.2f} s, {last['cpu']:.2f} s of CPU{wrong}")
    return f"{row}: " + "; ".join(said)


# --- ratios -------------------------------------------------------------------------------------


def ratio(rows: Record, row: str, way: str, field: str, base: str = PLAIN) -> float | None:
    """Divide a row by ours of another one, round by round; gives the median."""
    over, under = (_rounds(rows, *which, field) for which in ((row, way), (base, US)))
    quotients = [a / b for a, b in zip(over, under, strict=False) if b]
    return median(quotients) if quotients else None


def cost(rows: Record, row: str, field: str) -> float | None:
    """Give what was aimed at: ours against the base; less what writing further arrays takes, where
    that is no part of it."""
    question = QUESTIONS[row]
    if not question.less_writing:
        return ratio(rows, row, US, field, question.base)
    ours = _rounds(rows, row, US, field), _rounds(rows, question.base, US, field)
    writing = [_rounds(rows, name, WRITING, field) for name in (row, question.base)]
    found = [
        (made - (written - plainly)) / plain
        for made, plain, written, plainly in zip(*ours, *writing, strict=False)
    ]
    return median(found) if found else None


def _rounds(rows: Record, row: str, way: str, field: str) -> list[float]:
    entry = rows.get(row, {}).get("ways", {}).get(way)
    return column(entry, field) if entry else []


# --- tables -------------------------------------------------------------------------------------


def table(found: Record) -> str:
    """Write a line for each row and way of each workload, then the summary."""
    lines = []
    for name, rows in found["workloads"].items():
        cells = [COLUMNS.split("|")]
        for row, told in rows.items():
            for way, entry in told["ways"].items():
                if entry["rounds"]:
                    cells.append(_cells(rows, row, way))
        lines += [f"{name}:", *aligned(cells)]
        for row, told in rows.items():
            failed = {w: e["skipped"] or e["error"] for w, e in told["ways"].items()}
            lines += [f"  {row}, {way}: {why}" for way, why in failed.items() if why]
        lines.append("")
    return "\n".join([*lines, summary(found)])


def _cells(rows: Record, row: str, way: str) -> list[str]:
    entry = rows[row]["ways"][way]
    counts = entry["counts"] or {}
    read = counts.get("bytes")
    ratios = [ratio(rows, row, way, field) for field in FIELDS]
    return [
        row,
        way,
        *(f"{median(column(entry, field)):.2f}" for field in FIELDS),
        f"{median(column(entry, 'grown')) / 1e6:.0f}",
        "" if counts.get("chunks") is None else str(counts["chunks"]),
        "" if read is None else f"{read / 1e6:.0f}",
        _wrong(entry),
        *(_spelled(value) for value in ratios),
    ]


def _wrong(entry: Record) -> str:
    missing = {band for record in entry["rounds"] for band in record.get("missing", ())}
    wrong = wrong_pixels(entry)
    return ", ".join(sorted(missing)) or ("" if wrong is None else str(wrong))


def _spelled(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def summary(found: Record) -> str:
    """Write of each workload what was aimed at, the medians of the ratios beside the aims."""
    cells = [["workload, asked", "× time", "× CPU", "aim", "of", "by hand", "its CPU"]]
    for name, rows in found["workloads"].items():
        for row in rows:
            if row == PLAIN or not _rounds(rows, row, US, "wall"):
                continue
            question = QUESTIONS[row]
            cells.append(
                [
                    f"{name}, {rows[row]['about']}",
                    *(_spelled(cost(rows, row, field)) for field in FIELDS),
                    "" if question.at_most is None else f"≤ {question.at_most:g}",
                    question.base + (" + writing" if question.less_writing else ""),
                    *(_spelled(_by_hand(rows, row, field)) for field in FIELDS),
                ]
            )
    return "\n".join(line.rstrip() for line in aligned(cells))


def _by_hand(rows: Record, row: str, field: str) -> float | None:
    return ratio(rows, row, BY_HAND, field, row)

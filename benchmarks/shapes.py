"""The same mosaic of the same images, from a collection that comes in many shapes.

For each shape `qmosaic` and the hand-written route stand side by side, each in a process of its
own, in turn; every pixel is compared with plain numpy. ``python -m benchmarks shapes`` prints what
each takes, and what `qmosaic` takes in place of that for the collection as stored.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import relaid, truths
from benchmarks.compare import machine, prepare, run_once, versions
from benchmarks.counting import linked
from benchmarks.forms import FORMS, WAYS, shaped
from benchmarks.report import aligned, column, wrong_pixels
from benchmarks.workloads import workloads

WORKLOAD = "cloudy"
BASE = "stored"
COLUMNS = "shape|way|wall s|CPU s|grown MB|reads|tasks|wrong|× faster|× CPU|× as stored"

Record = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """What is to be run.

    Attributes
    ----------
    quick : bool
        Whether the hand-written route is left out.
    """

    rows: Sequence[str]
    rounds: int
    size: str
    out: Path
    data: Path
    timeout: float
    quick: bool = False


def compare_shapes(run: Run) -> Record:
    """Run all rows; gives (and writes, after each row) everything as one record."""
    workload = workloads(run.size)[WORKLOAD]
    run.out.mkdir(parents=True, exist_ok=True)
    request, _ = prepare(workload, run.size, run.data, run.out)
    store = Path(request["store"])
    folder = store.parent / "shapes"
    relaid.single_images(workload.scene, store, folder)
    relaid.coarse(workload.scene, store, folder)
    found: Record = {
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "settings": {"rounds": run.rounds, "size": run.size, "timeout": run.timeout},
        "rows": {},
    }
    for name in run.rows:
        right = truths.ensure(FORMS[name].truth, workload, store, folder)
        asked = {**request, "shape": name, "oracle": str(right), "relaid": str(folder)}
        found["rows"][name] = _row(name, asked, run)
        (run.out / "shapes.json").write_text(json.dumps(found, indent=1))
        for line in spoken(name, found["rows"][name]):
            print(line, flush=True)
    return found


def _row(name: str, asked: Record, run: Run) -> Record:
    """Run one row: the rounds of both ways in turn, then one run of ours that is counted."""
    ways = WAYS[:1] if run.quick else WAYS
    entries: dict[str, Record] = {
        way: {"skipped": shaped(name, way).missing(), "error": None, "counts": None, "rounds": []}
        for way in ways
    }
    for _ in range(run.rounds):
        for way, entry in entries.items():
            if not entry["skipped"] and not entry["error"]:
                record = run_once({**asked, "route": way, "count": False}, run.timeout)
                entry["error"] = record.get("error")
                entry["rounds"] += [] if entry["error"] else [record]
    ours = entries[WAYS[0]]
    if not ours["skipped"] and not ours["error"]:
        ours["counts"] = _counted({**asked, "route": WAYS[0], "count": True}, run.timeout)
        ours["error"] = ours["counts"].get("error")
    return {"about": FORMS[name].about, "routes": entries}


def _counted(asked: Record, timeout: float) -> Record:
    """Count in folders of the run's own, where nobody else reads."""
    with linked(Path(asked["store"])) as store:
        again = store.parent / "shapes"
        for part in ("images", "coarse.zarr"):
            shutil.copytree(Path(asked["relaid"]) / part, again / part, copy_function=os.link)
        return run_once({**asked, "store": str(store), "relaid": str(again)}, timeout)


def spoken(name: str, row: Record) -> list[str]:
    """Say in a few words what came of a row."""
    lines = []
    for way, entry in row["routes"].items():
        if entry["skipped"] or entry["error"]:
            lines.append(f"{name}, {way}: {entry['skipped'] or entry['error']}")
        else:
            wrong = wrong_pixels(entry)
            wall, cpu = (median(column(entry, field)) for field in ("wall", "cpu"))
            right = f"{wrong} WRONG PIXELS" if wrong else "all pixels right"
            lines.append(f"{name}, {way}: {wall:.2f} s, {cpu:.2f} s of CPU, {right}")
    return lines


def table(found: Record) -> str:
    """Write a line for each row and way, and how blocks and bands come.

    "× faster" and "× CPU" are the seconds of the hand-written route over ours, "× as stored" our
    seconds over those that the collection takes as it is stored.
    """
    base = found["rows"].get(BASE, {}).get("routes", {}).get(WAYS[0])
    rows, ways = [COLUMNS.split("|")], []
    for name, row in found["rows"].items():
        for way, entry in row["routes"].items():
            if entry["rounds"]:
                rows.append(_cells(name, way, row["routes"], base))
        ways.append(f"{name}: {row['about']}. {_way(row['routes'][WAYS[0]])}")
    return "\n".join([*aligned(rows), "", *ways])


def _cells(name: str, way: str, routes: Record, base: Record | None) -> list[str]:
    entry, ours, theirs = routes[way], routes[WAYS[0]], routes.get(WAYS[1])
    counts = entry["counts"] or {}
    cells = [name, way]
    cells += [f"{median(column(entry, field)):.2f}" for field in ("wall", "cpu")]
    cells.append(f"{median(column(entry, 'grown')) / 1e6:.0f}")
    cells += ["" if counts.get(n) is None else str(counts[n]) for n in ("chunks", "tasks")]
    cells.append(_wrong(entry))
    if way == WAYS[0]:
        cells += [_quotient(theirs, ours, "wall"), _quotient(theirs, ours, "cpu")]
        return [*cells, _quotient(ours, base, "wall")]
    return [*cells, "", "", ""]


def _wrong(entry: Record) -> str:
    missing = {band for record in entry["rounds"] for band in record["missing"]}
    return ", ".join(sorted(missing)) or str(wrong_pixels(entry))


def _quotient(over: Record | None, under: Record | None, field: str) -> str:
    """Divide round by round; empty where one of both was not run."""
    if not over or not under:
        return ""
    pairs = zip(column(over, field), column(under, field), strict=False)
    quotients = [a / b for a, b in pairs]
    return f"{median(quotients):.2f}" if quotients else ""


def _way(entry: Record) -> str:
    """Say in the words of `qmosaic.explain` how blocks and bands come."""
    if entry["skipped"] or entry["error"]:
        return str(entry["skipped"] or entry["error"])
    # a name of a line of an explanation takes up to 12 letters
    told = {line[:12].strip(): line[12:] for line in entry["counts"]["text"].splitlines()}
    named = [name for name in ("blocks", "read by", "read again", "made first") if name in told]
    return "; ".join(f"{name}: {told[name]}" for name in named)

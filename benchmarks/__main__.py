"""The command line: ``python -m benchmarks compare``, ``report``, ``cluster``, ``survive``, ..."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks import beyond, figures, report
from benchmarks.cluster import CLUSTERS, speed_up
from benchmarks.compare import Plan, compare
from benchmarks.forms import FORMS
from benchmarks.imports import measure_imports
from benchmarks.profiling import profile
from benchmarks.questions import QUESTIONS
from benchmarks.routes import ROUTES
from benchmarks.scripts import count_scripts
from benchmarks.scripts import table as table_of_scripts
from benchmarks.seams import count_seams
from benchmarks.shapes import Run, compare_shapes, table
from benchmarks.stores import compare_stores
from benchmarks.survive import survive
from benchmarks.workloads import workloads

HERE = Path(__file__).resolve().parent


def parser() -> argparse.ArgumentParser:
    """Describe the commands."""
    root = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="The same mosaic by qmosaic and by other routes, and figures of their own.",
        epilog="What is compared, and what came of it: python -m pydoc benchmarks",
    )
    commands = root.add_subparsers(dest="command", required=True)
    run = commands.add_parser("compare", help="run the routes side by side")
    run.add_argument("--workload", nargs="+", choices=list(workloads()), metavar="NAME")
    run.add_argument("--route", nargs="+", choices=list(ROUTES), metavar="NAME")
    run.add_argument("--rounds", type=int, default=5)
    run.add_argument("--few", type=int, help="rounds of routes that are far from the fastest peer")
    run.add_argument("--size", choices=["full", "tiny"], default="full")
    run.add_argument("--out", type=Path, default=HERE / "out" / "results")
    run.add_argument("--data", type=Path, default=HERE / "out" / "data")
    run.add_argument("--timeout", type=float, default=900.0, help="seconds for one run")
    again = commands.add_parser("report", help="draw the table and the figure again")
    again.add_argument("results", type=Path, nargs="+", help="several runs are put together")
    again.add_argument("--out", type=Path, help="where to, beside the first of them otherwise")
    again.add_argument(
        "--markdown",
        nargs="+",
        choices=list(ROUTES),
        metavar="NAME",
        help="README's table of these",
    )
    cluster = commands.add_parser("cluster", help="processes and threads of workers")
    cluster.add_argument("--workload", choices=list(workloads()), default="cloudy", metavar="NAME")
    cluster.add_argument("--rounds", type=int, default=5)
    cluster.add_argument("--size", choices=["full", "tiny"], default="full")
    cluster.add_argument(
        "--cluster", nargs="+", default=CLUSTERS, choices=CLUSTERS, help="processes x threads"
    )
    cluster.add_argument("--out", type=Path, default=HERE / "out" / "cluster")
    cluster.add_argument("--data", type=Path, default=HERE / "out" / "data")
    where = commands.add_parser("profile", help="where the time of a route goes")
    where.add_argument("--workload", choices=list(workloads()), default="cloudy", metavar="NAME")
    where.add_argument("--route", choices=list(ROUTES), default="qmosaic", metavar="NAME")
    where.add_argument("--rounds", type=int, default=3)
    where.add_argument("--size", choices=["full", "tiny"], default="full")
    where.add_argument("--out", type=Path, default=HERE / "out" / "profile")
    where.add_argument("--data", type=Path, default=HERE / "out" / "data")
    shapes = commands.add_parser("shapes", help="a collection that comes in many shapes")
    shapes.add_argument("--rows", nargs="+", default=list(FORMS), choices=list(FORMS))
    shapes.add_argument("--rounds", type=int, default=1)
    shapes.add_argument("--quick", action="store_true", help="without the hand-written route")
    shapes.add_argument("--size", choices=["full", "tiny"], default="full")
    shapes.add_argument("--out", type=Path, default=HERE / "out" / "shapes")
    shapes.add_argument("--data", type=Path, default=HERE / "out" / "data")
    shapes.add_argument("--timeout", type=float, default=900.0, help="seconds for one run")
    more = commands.add_parser("beyond", help="what is asked beyond the plain mosaic")
    more.add_argument("--rows", nargs="+", default=list(QUESTIONS), choices=list(QUESTIONS))
    more.add_argument(
        "--workload",
        nargs="+",
        default=list(beyond.WORKLOADS),
        choices=["cloudy", "greenest", "random"],
        metavar="NAME",
    )
    more.add_argument("--rounds", type=int, default=5)
    more.add_argument("--by-hand", type=int, default=1, help="rounds of what is written by hand")
    more.add_argument("--size", choices=["full", "tiny"], default="full")
    more.add_argument("--out", type=Path, default=HERE / "out" / "beyond")
    more.add_argument("--data", type=Path, default=HERE / "out" / "data")
    more.add_argument("--timeout", type=float, default=900.0, help="seconds for one run")
    more.add_argument("--record", type=Path, help='results to put these among, as "beyond"')
    hurt = commands.add_parser("survive", help="a worker and the client killed, the same bytes")
    hurt.add_argument("--out", type=Path, default=HERE / "out" / "survive")
    for name in ("graph", "latency"):
        figure = commands.add_parser(name, help=f"print figures of the {name}")
        figure.add_argument("--out", type=Path, default=HERE / "out" / name)
    commands.add_parser("stores", help="obstore against s3fs")
    salt = commands.add_parser("seams", help="neighbours that come from different images")
    salt.add_argument("--out", type=Path, default=HERE / "out" / "seams")
    commands.add_parser("scripts", help="tasks and reads of scripts for Earth Engine")
    importing = commands.add_parser("imports", help="memory of imports and of opening a store")
    importing.add_argument("--rounds", type=int, default=5)
    importing.add_argument("--out", type=Path, default=HERE / "out" / "imports")
    importing.add_argument("--data", type=Path, default=HERE / "out" / "data")
    return root


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command."""
    asked = parser().parse_args(arguments)
    if asked.command == "compare":
        plan = Plan(
            asked.workload or list(workloads()),
            asked.route or list(ROUTES),
            asked.rounds,
            asked.size,
            asked.out,
            asked.data,
            asked.timeout,
            asked.few,
            say=lambda line: print(line, flush=True),
        )
        show(compare(plan), asked.out)
    elif asked.command == "cluster":
        data = asked.data / asked.size
        speed_up(asked.workload, asked.size, asked.rounds, data, asked.out, asked.cluster)
    elif asked.command == "shapes":
        run = Run(
            asked.rows,
            asked.rounds,
            asked.size,
            asked.out,
            asked.data,
            asked.timeout,
            asked.quick,
        )
        print(f"\n{table(compare_shapes(run))}")
    elif asked.command == "beyond":
        found = beyond.compare_beyond(
            beyond.Run(
                asked.rows,
                asked.workload,
                asked.rounds,
                asked.size,
                asked.out,
                asked.data,
                asked.timeout,
                asked.by_hand,
            )
        )
        print(f"\n{beyond.table(found)}")
        if asked.record:
            results = json.loads(asked.record.read_text())
            asked.record.write_text(json.dumps({**results, "beyond": found}, indent=1))
    elif asked.command == "profile":
        profile(asked.workload, asked.route, asked.size, asked.rounds, asked.data, asked.out)
    elif asked.command in ("graph", "latency"):
        asked.out.mkdir(parents=True, exist_ok=True)
        {"graph": figures.graph, "latency": figures.latency}[asked.command](asked.out)
    elif asked.command == "imports":
        measure_imports(asked.rounds, asked.data / "tiny", asked.out)
    elif asked.command == "scripts":
        print(table_of_scripts(count_scripts()))
    elif asked.command == "seams":
        count_seams(asked.out)
    elif asked.command == "stores":
        compare_stores()
    elif asked.command == "survive":
        asked.out.mkdir(parents=True, exist_ok=True)
        survive(asked.out)
    else:
        out = asked.out or asked.results[0].parent
        together = join([json.loads(path.read_text()) for path in asked.results])
        out.mkdir(parents=True, exist_ok=True)
        (out / "results.json").write_text(json.dumps(together, indent=1))
        show(together, out)
        if asked.markdown:
            print(f"\n{report.markdown(together, asked.markdown)}")


def join(runs: Sequence[report.Record]) -> report.Record:
    """Put the workloads of several runs together; all were made with the same settings.

    Raises
    ------
    SystemExit
        Runs on other machines, versions or settings cannot stand in one table.
    """
    first = runs[0]
    for run in runs[1:]:
        for field in ("machine", "versions", "settings"):
            if run[field] != first[field]:
                raise SystemExit(
                    f"the runs differ in their {field}: {first[field]} and {run[field]}"
                )
        first["workloads"].update(run["workloads"])
    return first


def show(results: report.Record, out: Path) -> None:
    """Print the table and draw the figure beside the JSON."""
    print()
    print(report.table(results))
    report.figure(results, out / "results.png")
    print(f"\nwritten: {out / 'results.json'}, {out / 'results.png'}")


if __name__ == "__main__":
    main()

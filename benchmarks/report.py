"""What a comparison says: ratios, a table, a figure. Drawn from the JSON alone."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

Record = dict[str, Any]
Spread = tuple[float, float, float]

SUBJECT = "qmosaic"
VARIANT = "+"
COLUMNS = (
    "route|rounds|wall s|CPU s|peak MB|grown MB|tasks|chunks|read MB|wrong pixels|time / qmosaic's"
)
AIMS = {
    "cloudy": {"speed": 12, "growth": 4, "limit": 1.7},
    "footprints": {"speed": 9, "growth": 4, "limit": 2},
    "greenest": {"speed": 4, "growth": 4, "limit": 2},
    "random": {"speed": 4, "growth": 4, "limit": 2},
    "tall": {"speed": 25, "growth": 4, "limit": 2},
}
"""To be reached: at least so many times faster than the fastest correct peer, and leaner on top of
the imports than the leanest; at most so many times as long as the limit."""


def spread(values: list[float]) -> Spread:
    """Give the lowest, the median and the highest value."""
    return min(values), median(values), max(values)


def column(entry: Record, field: str) -> list[float]:
    """Give a field of all rounds of a route; "grown" is the peak less what the imports took."""
    if field == "grown":
        return [record["peak"] - record["rss_before"] for record in entry["rounds"]]
    return [record[field] for record in entry["rounds"]]


def wrong_pixels(entry: Record) -> int | None:
    """Give the most pixels that a round had wrong; None where nothing was written."""
    counts = [r["wrong_pixels"] for r in entry["rounds"] if "wrong_pixels" in r]
    return max(counts) if counts else None


def correct(entry: Record) -> bool:
    """Tell whether every round gave the right pixels in all bands."""
    complete = all(not r.get("missing") for r in entry["rounds"])
    return bool(entry["rounds"]) and wrong_pixels(entry) == 0 and complete


def ratios(over: Record, under: Record, field: str) -> Spread | None:
    """Divide two routes round by round: both sides saw the same minute of the machine."""
    pairs = zip(column(over, field), column(under, field), strict=False)
    quotients = [a / b for a, b in pairs if b]
    return spread(quotients) if quotients else None


def best_peer(routes: dict[str, Record], field: str, *, as_stored: bool = False) -> str | None:
    """Name the peer with right pixels whose median is the lowest: of all peers, or of those that
    open the collection as it is stored, as the subject does."""
    peers = [n for n, e in routes.items() if e["role"] == "peer" and correct(e)]
    peers = [n for n in peers if not (as_stored and VARIANT in n)]
    return min(peers, key=lambda n: median(column(routes[n], field)), default=None)


def summarise(workload: Record) -> Record:
    """Compare the subject with the fastest and the leanest correct peer, and with the limit."""
    routes = workload["routes"]
    subject = routes.get(SUBJECT)
    if subject is None or not correct(subject):
        return {}
    found: Record = {}
    best = {
        "speed": ("wall", best_peer(routes, "wall")),
        "stored": ("wall", best_peer(routes, "wall", as_stored=True)),
        "memory": ("peak", best_peer(routes, "peak")),
        "growth": ("grown", best_peer(routes, "grown")),
    }
    for key, (field, peer) in best.items():
        if peer is not None:
            found[key] = {"peer": peer, "ratio": ratios(routes[peer], subject, field)}
    for key in ("limit", "bare-loop"):
        if routes.get(key, {}).get("rounds"):
            found[key] = {"ratio": ratios(subject, routes[key], "wall")}
    return found


def flatness(results: Record, field: str = "peak") -> dict[str, Spread]:
    """Compare, for each route, the memory of the long series with that of the short one."""
    pair = [results["workloads"].get(name) for name in ("tall", "tall60")]
    if None in pair:
        return {}
    tall, short = (workload["routes"] for workload in pair)
    both = [n for n in tall if n in short and tall[n]["rounds"] and short[n]["rounds"]]
    found = {n: ratios(tall[n], short[n], field) for n in both if n != "limit"}
    return {n: r for n, r in found.items() if r is not None}


# --- the table ----------------------------------------------------------------------------------


def table(results: Record) -> str:
    """Write everything that was found as text."""
    machine = results["machine"]
    lines = [
        f"{machine['cores']} cores, {machine['system']} {machine['machine']}, "
        f"Python {machine['python']}, {results['settings']['rounds']} rounds, warm file cache",
        ", ".join(f"{name} {version}" for name, version in results["versions"].items()),
    ]
    for name, workload in results["workloads"].items():
        lines += ["", *_workload_lines(name, workload)]
    flat, grown = flatness(results), flatness(results, "grown")
    if flat:
        lines += [
            "",
            "peak memory, tall / tall60 (the same map, more images), and less the imports:",
        ]
        lines += [f"  {name}: {spelled(flat[name])}, {spelled(grown.get(name))}" for name in flat]
    return "\n".join([*lines, "", summary(results)])


def summary(results: Record) -> str:
    """Write the medians of what was aimed at beside the aims, a line for each workload."""
    heads = {
        "speed": "times faster",
        "stored": "as stored",
        "growth": "times less memory",
        "limit": "× the limit",
        "bare-loop": "× the bare loop",
    }
    rows = [["workload", *heads.values()]]
    for name, workload in results["workloads"].items():
        found, aims = summarise(workload), AIMS.get(name, {})
        cells = [_reached(found.get(key), aims.get(key), key == "limit") for key in heads]
        rows.append([name, *cells])
    lines = aligned(rows)
    flat, grown = (flatness(results, field).get(SUBJECT) for field in ("peak", "grown"))
    if flat and grown:
        told = f"peak memory {flat[1]:.2f}, less the imports {grown[1]:.2f}"
        lines.append(f"tall / tall60: {told} (aim: 1)")
    return "\n".join(lines)


def _reached(found: Record | None, aim: float | None, at_most: bool) -> str:
    """Write a ratio with its aim: ``5.30 (≥ 12)``."""
    if not found or not found["ratio"]:
        return "–"
    aimed = "" if aim is None else f" ({'≤' if at_most else '≥'} {aim:g})"
    return f"{found['ratio'][1]:.2f}{aimed}"


def aligned(rows: list[list[str]]) -> list[str]:
    """Write cells as lines, the first column to the left and the others to the right."""
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    return [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]


def _workload_lines(name: str, workload: Record) -> list[str]:
    y, x = workload["map"]
    head = (
        f"{name}: {workload['about']} ({workload['images']} images of {y} × {x}, "
        f"{workload['stored_chunks']} chunks, {workload['stored_bytes'] / 1e6:.0f} MB stored)"
    )
    subject = workload["routes"].get(SUBJECT)
    rows = [COLUMNS.split("|")]
    for route, entry in workload["routes"].items():
        if entry["rounds"]:
            rows.append(_row(route, entry, subject))
    lines = [head, *(f"  {line}" for line in aligned(rows))]
    for route, entry in workload["routes"].items():
        reason = entry["skipped"] or entry["error"]
        if reason:
            lines.append(f"  {route} {'skipped' if entry['skipped'] else 'failed'}: {reason}")
    return lines + _verdicts(name, workload)


def _row(route: str, entry: Record, subject: Record | None) -> list[str]:
    counts = entry["counts"] or {}
    wrong = wrong_pixels(entry)
    grown = median(column(entry, "grown"))
    faster = None
    if subject and subject["rounds"] and route != SUBJECT:
        faster = ratios(entry, subject, "wall")
    mark = "" if entry["role"] != "info" else " (info)"
    return [
        route + mark,
        str(len(entry["rounds"])),
        spelled(spread(column(entry, "wall"))),
        f"{median(column(entry, 'cpu')):.1f}",
        f"{median(column(entry, 'peak')) / 1e6:.0f}",
        f"{grown / 1e6:.0f}",
        _number(counts.get("tasks")),
        _number(counts.get("chunks")),
        f"{counts['bytes'] / 1e6:.0f}" if counts.get("bytes") is not None else "",
        _number(wrong) + (" (bands missing)" if wrong is not None and _lacks(entry) else ""),
        spelled(faster),
    ]


def _lacks(entry: Record) -> bool:
    return any(record.get("missing") for record in entry["rounds"])


def _verdicts(name: str, workload: Record) -> list[str]:
    found, aims = summarise(workload), AIMS.get(name, {})
    sentences = {
        "speed": "faster than {peer}, the fastest correct peer",
        "stored": "faster than {peer}, the fastest correct peer on the collection as stored",
        "memory": "leaner than {peer}, the leanest correct peer",
        "growth": "less memory than {peer} on top of the imports",
        "limit": "the time of the limit",
        "bare-loop": "the time of the bare loop",
    }
    lines = []
    for key, sentence in sentences.items():
        if found.get(key, {}).get("ratio"):
            bound = "at most" if key == "limit" else "at least"
            aim = f" (aim: {bound} {aims[key]:g})" if key in aims else ""
            words = sentence.format(peer=found[key].get("peer"))
            lines.append(f"  → {spelled(found[key]['ratio'])} × {words}{aim}")
    return lines


def markdown(results: Record, routes: list[str]) -> str:
    """Write the table of README.md, with a column for each of the routes."""
    heads = ["workload", *(label(route) for route in routes)]
    rows = [heads, ["---"] * len(heads)]
    for name, workload in results["workloads"].items():
        cells = [cell(workload["routes"], route) for route in routes]
        rows.append([f"*{name}*: {workload['about']}", *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cell(routes: dict[str, Record], route: str) -> str:
    """Write the median time of a route, and how many times the subject's that is."""
    if route not in routes or not routes[route]["rounds"]:
        return ""
    seconds = f"{median(column(routes[route], 'wall')):.1f} s"
    if route == SUBJECT:
        return f"**{seconds}**"
    found = ratios(routes[route], routes[SUBJECT], "wall")
    return f"{seconds} ({found[0]:.1f}–{found[2]:.1f})" if found else seconds


def spelled(values: Spread | None) -> str:
    """Write a spread as median [lowest to highest]."""
    if values is None:
        return ""
    low, middle, high = values
    return f"{middle:.2f} [{low:.2f} to {high:.2f}]"


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}".replace(",", " ")


# --- the figure ---------------------------------------------------------------------------------

COLOURS = {"subject": "#d1495b", "peer": "#8d99ae", "info": "#cfd6df"}
ROLES = {"subject": SUBJECT, "peer": "other routes", "info": "for information"}
LABELS = {
    "apply_ufunc": "argmax + take_along_axis",
    "apply_ufunc+whole": "argmax + take_along_axis, whole series",
    "stackstac+whole": "stackstac, whole series",
    "apply_ufunc+zarrs": "argmax + take_along_axis, zarrs",
    "stackstac+zarrs": "stackstac, zarrs",
    "bare-loop": "bare loop",
}


def label(route: str) -> str:
    """Give the name of a route in the figure and in README.md."""
    return LABELS.get(route, route)


def figure(results: Record, path: Path) -> None:
    """Draw wall time and peak memory of each route, a row for each workload."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = {n: w for n, w in results["workloads"].items() if _bars(w)}
    if not shown:
        return
    heights = [len(_bars(workload)) + 1.2 for workload in shown.values()]
    fig, axes = plt.subplots(
        len(shown),
        2,
        figsize=(11, 0.34 * sum(heights) + 1),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
        sharey="row",
    )
    for (left, right), (name, workload) in zip(axes, shown.items(), strict=True):
        _draw(left, workload, "wall", 1.0)
        _draw(right, workload, "peak", 1e6)
        y, _ = workload["map"]
        left.set_title(
            f"{name}: {workload['about']}\n{workload['images']} images, {y} × {y} pixels",
            loc="left",
            fontsize=9,
        )
    axes[0, 1].set_title("peak memory", loc="left", fontsize=9)
    axes[-1, 0].set_xlabel("wall time, s (bar: median, whisker: lowest to highest)", fontsize=9)
    axes[-1, 1].set_xlabel("peak resident memory, MB", fontsize=9)
    _legend(fig, list(shown.values()))
    fig.savefig(path, dpi=150)
    plt.close(fig)


def _bars(workload: Record) -> dict[str, Record]:
    """Give the routes to be drawn, the fastest on top; the limit is a line instead."""
    run = {n: e for n, e in workload["routes"].items() if e["rounds"] and n != "limit"}
    return dict(sorted(run.items(), key=lambda item: median(column(item[1], "wall"))))


def _draw(ax: Any, workload: Record, field: str, unit: float) -> None:
    bars = _bars(workload)
    top = max(max(column(entry, field)) for entry in bars.values()) / unit
    for row, entry in enumerate(bars.values()):
        low, middle, high = (value / unit for value in spread(column(entry, field)))
        wrong = wrong_pixels(entry)
        ax.barh(
            row,
            middle,
            color=COLOURS[entry["role"]],
            hatch="////" if wrong else None,
            edgecolor="white" if wrong else "none",
            linewidth=0,
            height=0.72,
        )
        if high > low:
            ax.hlines(row, low, high, color="#22223b", linewidth=1.1)
            ax.vlines([low, high], row - 0.14, row + 0.14, color="#22223b", linewidth=1.1)
        told = f"{middle:.1f}" if field == "wall" else f"{middle:.0f}"
        note = f"  ({_number(wrong)} pixels wrong)" if wrong and field == "wall" else ""
        ax.text(high + top * 0.012, row, told + note, va="center", fontsize=8)
    if field == "wall" and _has_limit(workload):
        bare = median(column(workload["routes"]["limit"], "wall"))
        ax.axvline(bare, color="#22223b", linestyle="--", linewidth=1)
    if field == "wall":
        ax.set_yticks(range(len(bars)), [label(name) for name in bars], fontsize=8)
        for tick, name in zip(ax.get_yticklabels(), bars, strict=True):
            tick.set_fontweight("bold" if name == SUBJECT else "normal")
    ax.set_ylim(len(bars) - 0.4, -0.6)
    ax.set_xlim(0, top * 1.18)
    ax.tick_params(axis="x", labelsize=8)
    ax.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)


def _has_limit(workload: Record) -> bool:
    return bool(workload["routes"].get("limit", {}).get("rounds"))


def _legend(fig: Any, shown: list[Record]) -> None:
    """Explain what is drawn, and nothing else."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    bars = [entry for workload in shown for entry in _bars(workload).values()]
    drawn = {entry["role"] for entry in bars}
    handles: list[Any] = [Patch(color=COLOURS[r], label=ROLES[r]) for r in ROLES if r in drawn]
    if any(wrong_pixels(entry) for entry in bars):
        wrong = {"facecolor": COLOURS["peer"], "hatch": "////", "edgecolor": "white"}
        handles.append(Patch(**wrong, label="wrong pixels"))
    limits = [_has_limit(workload) for workload in shown]
    if any(limits):
        told = "bare reads and writes" + ("" if all(limits) else ", where measured")
        line = Line2D([], [], color="#22223b", linestyle="--", linewidth=1, label=told)
        handles.append(line)
    fig.legend(
        handles=handles, loc="outside upper center", ncols=len(handles), fontsize=8, frameon=False
    )

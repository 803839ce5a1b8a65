"""The benchmark at a tiny size, so that it does not rot. Nothing here is a matter of time."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import zarr

import benchmarks
from benchmarks import (
    _worker,
    answers,
    bare,
    beyond,
    cluster,
    compare,
    counting,
    imports,
    oracle,
    profiling,
    relaid,
    report,
    seams,
    shapes,
    survive,
    truths,
)
from benchmarks import workloads as bench
from benchmarks.__main__ import join, parser
from benchmarks.compare import ROOT
from benchmarks.forms import FORMS, WAYS, shaped
from benchmarks.job import Job
from benchmarks.questions import QUESTIONS, US, WRITING, asked, ways_of, workload_of
from benchmarks.routes import Route
from tests.support.printed import without_figures
from tests.test_house import imports_of, tables_in

WORKLOADS = ("cloudy", "footprints")
WITHOUT_PEERS = ("qmosaic", "qmosaic-bound", "apply_ufunc", "eager", "limit")
IF_INSTALLED = (
    *("odc-algo", "stackstac", "satpy", "rio-tiler"),
    *("stackstac+whole", "apply_ufunc+zarrs", "stackstac+zarrs", "bare-loop"),
)


def command_line(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONIOENCODING": "utf-8"},
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmarks")


@pytest.fixture(scope="module")
def printed(out: Path) -> str:
    routes = [*WITHOUT_PEERS, *IF_INSTALLED]
    folders = ["--out", str(out), "--data", str(out / "data")]
    tiny = ["--size", "tiny", "--rounds", "1"]
    return command_line("compare", *tiny, *folders, "--workload", *WORKLOADS, "--route", *routes)


@pytest.fixture(scope="module")
def results(printed: str, out: Path) -> report.Record:
    return json.loads((out / "results.json").read_text())


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("route", WITHOUT_PEERS)
def test_a_route_that_needs_no_peer_gives_the_right_pixels(
    results: report.Record, workload: str, route: str
) -> None:
    entry = results["workloads"][workload]["routes"][route]
    assert entry["error"] is None
    assert len(entry["rounds"]) == 1
    assert report.wrong_pixels(entry) == (None if route == "limit" else 0)
    assert all(entry["rounds"][0][field] > 0 for field in ("wall", "cpu", "peak"))


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("route", IF_INSTALLED)
def test_a_route_of_another_library_is_run_or_skipped_with_a_reason(
    results: report.Record, workload: str, route: str
) -> None:
    """Where its library is installed its pixels are right; else the table says what is missing."""
    entry = results["workloads"][workload]["routes"][route]
    if entry["skipped"]:
        assert "not installed" in entry["skipped"]
    else:
        assert entry["error"] is None
        assert report.wrong_pixels(entry) == 0


@pytest.mark.parametrize("workload", WORKLOADS)
def test_chunks_are_counted(results: report.Record, workload: str) -> None:
    """Whatever reads them, through Zarr, C++ or Rust: who needs every chunk opens every one, once;
    the engine opens no fewer than must be read."""
    pytest.importorskip("inotify_simple")
    found = results["workloads"][workload]
    chunks = {n: e["counts"]["chunks"] for n, e in found["routes"].items() if e["counts"]}
    everything = {"apply_ufunc", "stackstac+whole", "stackstac+zarrs", "rio-tiler"}
    assert {chunks[n] for n in everything & set(chunks)} == {found["stored_chunks"]}
    for route in {"qmosaic", "bare-loop"} & set(chunks):
        assert 0 < chunks["limit"] <= chunks[route]
    assert found["routes"]["qmosaic"]["counts"]["tasks"] > 0


def test_opened_files_are_told_by_the_kernel(tmp_path: Path) -> None:
    """Each opening counts, by whatever means; a look at the folder or at a size does not."""
    pytest.importorskip("inotify_simple")
    files = [tmp_path / "a", tmp_path / "b"]
    for file in files:
        file.write_bytes(b"chunk")
    with counting.opened_files([tmp_path]) as opened:
        files[0].read_bytes()
        os.close(os.open(files[1], os.O_RDONLY))
        files[0].read_bytes()
        assert files[1].stat().st_size == 5
        assert not (tmp_path / "c").exists()
        os.listdir(tmp_path)
    assert opened == [files[0], files[1], files[0]]


def test_others_that_read_the_store_are_not_counted(tmp_path: Path) -> None:
    """The counted run reads the same files in folders of its own."""
    pytest.importorskip("inotify_simple")
    store = tmp_path / "scene.zarr"
    store.mkdir()
    (store / "chunk").write_bytes(b"chunk")
    with counting.linked(store) as own, counting.opened_files([own]) as opened:
        (store / "chunk").read_bytes()
        assert (own / "chunk").read_bytes() == b"chunk"
    assert opened == [own / "chunk"]


@pytest.mark.parametrize("name", bench.workloads("tiny"))
def test_the_bare_loop_gives_the_right_pixels(name: str, tmp_path: Path) -> None:
    """Nodata, ties, 0 / 0 as a quality, every dtype; encoded as the other routes' mosaics are."""
    pytest.importorskip("tensorstore")
    workload = bench.workloads("tiny")[name]
    if (longer := bench.parent(workload.scene, "tiny")) is not None:
        bench.ensure(longer, tmp_path)
    store = bench.ensure(workload.scene, tmp_path)
    if name == "greenest":
        group = zarr.open_group(store)
        for band in workload.quality_sources:
            group[band][:, 3:5, 7] = 0  # no image is a candidate
            group[band][2:4, 9, 9] = 0
    job = Job(workload, store, tmp_path / "m.zarr", oracle.ensure(workload, store, tmp_path))
    bare.run(job)
    found = oracle.check(workload, job.oracle, job.output)
    assert found == {"wrong_by_band": {}, "missing": [], "dtypes": {}, "wrong_pixels": 0}
    right = np.load(job.oracle / "quality.npy")
    assert np.isnan(right).any() == (name == "greenest")
    written = zarr.open_group(job.output)
    for band, array in written.arrays():
        plain = zarr.create_array({}, shape=array.shape, chunks=array.chunks, dtype=array.dtype)
        assert array.compressors == plain.compressors, band
        assert array.filters == plain.filters, band


def test_table_and_figure_are_there_and_can_be_made_again(printed: str, out: Path) -> None:
    assert "fastest correct peer" in printed
    assert ("the time of the bare loop" in printed) == ("bare-loop skipped" not in printed)
    (out / "results.png").unlink()
    again = command_line("report", str(out / "results.json"))
    assert again.strip() in printed
    assert (out / "results.png").read_bytes().startswith(b"\x89PNG")


def test_runs_are_put_together_or_refused(results: report.Record) -> None:
    one, two = ({**results, "workloads": {name: {}}} for name in WORKLOADS)
    assert set(join([one, two])["workloads"]) == set(WORKLOADS)
    with pytest.raises(SystemExit, match="differ in their settings"):
        join([one, {**two, "settings": {}}])


@pytest.fixture
def prepared(printed: str, out: Path) -> tuple[bench.Workload, Path]:
    workload = bench.workloads("tiny")["footprints"]
    return workload, out / "data" / "tiny" / "footprints.oracle"


def write_right_mosaic(workload: bench.Workload, folder: Path, store: Path) -> zarr.Group:
    group = zarr.open_group(store, mode="w")
    for band in (*workload.bands, "quality"):
        values = np.load(folder / f"{band}.npy")
        group.create_array(band, shape=values.shape, dtype=values.dtype)[...] = values
    return group


def test_the_oracle_accepts_its_own_pixels(
    prepared: tuple[bench.Workload, Path], tmp_path: Path
) -> None:
    write_right_mosaic(*prepared, tmp_path / "m.zarr")
    found = oracle.check(*prepared, tmp_path / "m.zarr")
    assert found == {"wrong_by_band": {}, "missing": [], "dtypes": {}, "wrong_pixels": 0}


def test_the_oracle_notices_wrong_pixels(
    prepared: tuple[bench.Workload, Path], tmp_path: Path
) -> None:
    group = write_right_mosaic(*prepared, tmp_path / "m.zarr")
    group["B03"][5, 6:9] += 1
    group["quality"][5, 8:10] += 1
    found = oracle.check(*prepared, tmp_path / "m.zarr")
    assert found["wrong_by_band"] == {"B03": 3, "quality": 2}
    assert found["wrong_pixels"] == 4


def test_the_oracle_notices_a_missing_band_and_a_changed_dtype(
    prepared: tuple[bench.Workload, Path], tmp_path: Path
) -> None:
    group = write_right_mosaic(*prepared, tmp_path / "m.zarr")
    values = group["B02"][...]
    del group["B08"], group["B02"]
    group.create_array("B02", shape=values.shape, dtype="float64")[...] = values
    found = oracle.check(*prepared, tmp_path / "m.zarr")
    assert (found["missing"], found["dtypes"]) == (["B08"], {"B02": "float64"})


def test_a_route_with_wrong_pixels_is_not_the_fastest_peer(results: report.Record) -> None:
    def entry(wall: float, wrong: int) -> report.Record:
        return {"role": "peer", "rounds": [{"wall": wall, "wrong_pixels": wrong}]}

    routes = {"quick but wrong": entry(1.0, 7), "right": entry(3.0, 0), "slow": entry(4.0, 0)}
    assert report.best_peer(routes, "wall") == "right"


def test_the_fastest_peer_is_named_of_all_and_as_stored() -> None:
    """Routes that open the collection otherwise, or with zarrs, are peers like any other; the table
    also says what is the fastest on the collection as it is stored."""

    def entry(role: str, wall: float) -> report.Record:
        return {
            "role": role,
            "rounds": [{"wall": wall, "peak": 9e6, "rss_before": 5e6, "wrong_pixels": 0}],
        }

    routes = {
        "qmosaic": entry("subject", 1.0),
        "stackstac": entry("peer", 6.0),
        "stackstac+zarrs": entry("peer", 3.0),
        "bare-loop": entry("info", 0.5),
    }
    found = report.summarise({"routes": routes})
    assert (found["speed"]["peer"], found["speed"]["ratio"][1]) == ("stackstac+zarrs", 3.0)
    assert (found["stored"]["peer"], found["stored"]["ratio"][1]) == ("stackstac", 6.0)
    assert found["bare-loop"]["ratio"][1] == 2.0
    line = report.summary({"workloads": {"cloudy": {"routes": routes}}}).splitlines()[1]
    assert line.split() == "cloudy 3.00 (≥ 12) 6.00 1.00 (≥ 4) – 2.00".split()


def test_the_table_of_the_readme_is_made_of_the_results() -> None:
    """A median, and quotients of rounds; empty where a route was not run."""

    def entry(*walls: float) -> report.Record:
        return {"rounds": [{"wall": wall} for wall in walls]}

    routes = {"qmosaic": entry(1.0, 2.0, 1.5), "stackstac": entry(3.0, 9.0), "eager": entry()}
    made = {"workloads": {"cloudy": {"about": "clouds", "routes": routes}}}
    assert report.markdown(made, ["qmosaic", "stackstac", "eager", "satpy"]).splitlines() == [
        "| workload | qmosaic | stackstac | eager | satpy |",
        "| --- | --- | --- | --- | --- |",
        "| *cloudy*: clouds | **1.5 s** | 6.0 s (3.0–4.5) |  |  |",
    ]


def test_routes_far_from_the_fastest_peer_may_have_fewer_rounds(
    prepared: tuple[bench.Workload, Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never the subject, nor a peer that may be the fastest one; a wrong route is no measure."""
    seconds = {"qmosaic": 1.0, "apply_ufunc": 4.0, "stackstac": 5.0, "eager": 9.0, "satpy": 0.1}

    def run_once(request: report.Record, timeout: float) -> report.Record:
        wrong = int(request["route"] == "satpy")
        return {"wall": seconds[request["route"]], "peak": 1e6, "wrong_pixels": wrong}

    monkeypatch.setattr(compare, "run_once", run_once)
    monkeypatch.setattr(Route, "missing", lambda self: None)
    quiet = [[prepared[0].name], list(seconds), 3, "tiny", out / "few", out / "data"]
    found = compare.compare(compare.Plan(*quiet, few=1, say=lambda line: None))
    entries = found["workloads"]["footprints"]["routes"]
    rounds = {name: len(entry["rounds"]) for name, entry in entries.items()}
    assert rounds == {"qmosaic": 3, "apply_ufunc": 3, "stackstac": 3, "eager": 1, "satpy": 3}
    assert [name for name, entry in entries.items() if not entry["counts"]] == ["eager"]


def test_ratios_are_taken_round_by_round() -> None:
    peer = {"rounds": [{"wall": 2.0}, {"wall": 40.0}, {"wall": 9.0}]}
    subject = {"rounds": [{"wall": 1.0}, {"wall": 10.0}, {"wall": 3.0}]}
    assert report.ratios(peer, subject, "wall") == (2.0, 3.0, 4.0)


def test_a_job_that_is_hurt_finishes(tmp_path: Path) -> None:
    """A worker killed, the client killed, gone on with: the same bytes, as a person sees it."""
    story = command_line("survive", "--out", str(tmp_path))
    assert story.count("killed with SIGKILL") == 2
    assert "of 64 blocks are there" in story
    assert "the same bytes" in story.splitlines()[-1]
    # and as the docstring shows it, but for times, sizes and numbers
    told = story.splitlines()
    shown = textwrap.dedent(str(survive.__doc__).split("::\n")[1]).strip().splitlines()
    assert len(shown) == 8
    for line, wanted in zip(told[-len(shown) :], shown, strict=True):
        assert without_figures(line).startswith(without_figures(wanted).rstrip("…"))


def test_a_cluster_with_and_without_the_threshold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers have ``MALLOC_TRIM_THRESHOLD_`` or do not, as the command itself makes sure of,
    whatever was in the environment before, and every pixel is checked; what else dask gives them
    stays."""
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")  # as any nanny before leaves it
    folder = ("--out", str(tmp_path / "out"), "--data", str(tmp_path / "data"))
    said = command_line("cluster", "--size", "tiny", "--rounds", "1", "--cluster", "1x1", *folder)
    assert said.splitlines()[-1].startswith("1x1")
    found = json.loads((tmp_path / "out" / "cluster.json").read_text())
    assert {trim: len(seconds) for trim, seconds in found["1x1"].items()} == {
        "with": 1,
        "without": 1,
    }
    given, kept = cluster.environment(True), cluster.environment(False)
    assert set(given) - set(kept) == {cluster.TRIM}
    assert kept.items() <= given.items()


@pytest.fixture(scope="module")
def in_shapes(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("shapes")
    workload = bench.workloads("tiny")["cloudy"]
    store = bench.ensure(workload.scene, folder)
    relaid.single_images(workload.scene, store, folder)
    relaid.coarse(workload.scene, store, folder)
    return Job(workload, store, folder / "m.zarr", folder, relaid=folder)


@pytest.mark.filterwarnings("ignore:The specified chunks separate the stored chunks")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FORMS)
def test_every_shape_of_a_collection_gives_the_right_pixels(
    in_shapes: Job, name: str, way: str
) -> None:
    """Both ways agree with plain numpy in every band and its dtype, whatever the shape."""
    route = shaped(name, way)
    if reason := route.missing():
        pytest.skip(reason)
    workload, store = in_shapes.workload, in_shapes.store
    right = truths.ensure(FORMS[name].truth, workload, store, in_shapes.oracle)
    assert route.prepare is not None
    route.prepare(in_shapes)
    route.run(in_shapes)
    found = oracle.check(workload, right, in_shapes.output)
    assert found == {"wrong_by_band": {}, "missing": [], "dtypes": {}, "wrong_pixels": 0}


def test_shapes_are_run_side_by_side(tmp_path: Path) -> None:
    """A line for each way: what a shape takes, what is read of all its stores, how its bands come,
    and ratios within a round."""
    folder = ("--out", str(tmp_path / "out"), "--data", str(tmp_path / "data"))
    said = command_line("shapes", "--size", "tiny", "--rounds", "1", "--rows", "concat", *folder)
    assert said.count("all pixels right") == 2
    found = json.loads((tmp_path / "out" / "shapes.json").read_text())
    assert shapes.table(found) in said
    ours, theirs = (found["rows"]["concat"]["routes"][way] for way in WAYS)
    assert ours["counts"]["blocks"] == 4
    if importlib.util.find_spec("inotify_simple"):
        assert 32 <= ours["counts"]["chunks"] <= 32 + 5 * 32  # of 8 images, 4 blocks, 5 bands
    quotient = theirs["rounds"][0]["wall"] / ours["rounds"][0]["wall"]
    assert f"{quotient:.2f}" in said
    assert f"\nconcat: {FORMS['concat'].about}. blocks: 4 " in said


def test_a_shape_with_wrong_pixels_is_told() -> None:
    """In the line of the row and in the table; what failed says why."""
    record = {"wall": 1.0, "cpu": 2.0, "peak": 9e6, "rss_before": 5e6, "missing": []}
    entry = {"skipped": None, "error": None, "counts": {"tasks": 4, "chunks": 7, "text": ""}}
    wrong = {**entry, "rounds": [{**record, "wrong_pixels": 3}]}
    failed = {**entry, "rounds": [], "counts": None, "error": "ValueError: no"}
    row = {"about": "cut", "routes": {"qmosaic": failed, "by hand": wrong}}
    assert shapes.spoken("cut", row) == [
        "cut, qmosaic: ValueError: no",
        "cut, by hand: 1.00 s, 2.00 s of CPU, 3 WRONG PIXELS",
    ]
    lines = shapes.table({"rows": {"cut": row}}).splitlines()
    assert lines[1].split() == ["cut", "by", "hand", "1.00", "2.00", "4", "7", "4", "3"]
    assert lines[-1] == "cut: cut. ValueError: no"


@pytest.mark.parametrize(
    ("name", "way"),
    [(name, way) for name, q in QUESTIONS.items() for way in ways_of(q) if way != WRITING],
)
def test_every_question_beyond_the_plain_mosaic_gets_the_right_answer(
    in_shapes: Job, name: str, way: str
) -> None:
    """Both ways agree with plain numpy in every array and its dtype; where there is no answer but
    ours, a mosaic of all bands is written."""
    question = QUESTIONS[name]
    route = asked(name, way)
    if reason := route.missing():
        pytest.skip(reason)
    job = dataclasses.replace(
        in_shapes,
        workload=workload_of(question, in_shapes.workload),
        output=in_shapes.output.with_name(f"{name}.zarr"),
    )
    assert route.prepare is not None
    route.prepare(job)
    route.run(job)
    if question.answer is None:
        assert {*job.workload.bands, "quality"} <= set(zarr.open_group(job.output, mode="r"))
        return
    right = answers.ensure(question.answer, job.workload, job.store, job.oracle)
    found = oracle.check(job.workload, right, job.output)
    assert found == {"wrong_by_band": {}, "missing": [], "dtypes": {}, "wrong_pixels": 0}


def test_questions_are_asked_and_recorded(tmp_path: Path) -> None:
    """Writing is measured apart; what is read is counted; the record can be put among other
    results."""
    folder = ("--out", str(tmp_path / "out"), "--data", str(tmp_path / "data"))
    results = tmp_path / "results.json"
    results.write_text('{"made": "before"}')
    tiny = ("--size", "tiny", "--rounds", "1", "--by-hand", "0", "--workload", "random")
    said = command_line("beyond", *tiny, "--rows", "plain", *folder, "--record", str(results))
    found = json.loads((tmp_path / "out" / "beyond.json").read_text())
    assert beyond.table(found) in said
    assert json.loads(results.read_text()) == {"made": "before", "beyond": found}
    (row,) = found["workloads"]["random"].values()
    assert set(row["ways"]) == {US, WRITING}
    ours = row["ways"][US]
    assert report.wrong_pixels(ours) == 0
    if importlib.util.find_spec("inotify_simple"):
        assert ours["counts"]["chunks"] == 8 * 4 * 5  # every image wins somewhere
    assert re.search(r"\nplain +qmosaic .* 1.00 +1.00\n", said)


def test_what_a_question_is_compared_with_is_asked_too() -> None:
    """In the same rounds, in the order of all questions."""
    assert beyond.with_bases(["update", "best"]) == ["plain", "best", "anew", "update"]


def test_costs_are_ratios_of_rounds_and_may_leave_writing_out() -> None:
    """Medians of quotients within a round; of months, writing eleven further maps is no part."""

    def ways(ours: list[float], writing: list[float]) -> report.Record:
        rounds = ({"rounds": [{"wall": s, "cpu": s} for s in found]} for found in (ours, writing))
        return {"about": "", "ways": dict(zip((US, WRITING), rounds, strict=True))}

    rows = {
        "plain": ways([1.0, 2.0, 4.0], [0.5, 0.5, 1.0]),
        "provenance": ways([1.5, 2.0, 8.0], [1.0, 1.0, 1.0]),
        "months": ways([7.0, 8.0, 9.0], [6.5, 5.5, 5.0]),
        "anew": ways([2.0, 4.0, 8.0], []),
        "update": ways([1.0, 1.0, 1.0], []),
    }
    assert beyond.cost(rows, "provenance", "wall") == 1.5
    assert beyond.cost(rows, "months", "wall") == 1.25  # 1.0, 1.5, 1.25
    assert beyond.cost(rows, "update", "cpu") == 0.25
    assert beyond.cost(rows, "best", "cpu") is None
    lines = beyond.summary({"workloads": {"cloudy": rows}}).splitlines()
    assert lines[2].split() == "cloudy, 1.25 1.25 ≤ 1.3 plain + writing".split()
    assert lines[4].split() == "cloudy, 0.25 0.25 ≤ 0.15 anew".split()


def test_wrong_sources_of_pixels_are_noticed(in_shapes: Job, tmp_path: Path) -> None:
    """Whatever lies beside the bands of an answer is compared, times as times."""
    right = answers.ensure("sourced", in_shapes.workload, in_shapes.store, in_shapes.oracle)
    group = write_right_mosaic(in_shapes.workload, right, tmp_path / "m.zarr")
    for name, unit in (("source_index", None), ("valid_count", None), ("source_time", "days")):
        values = np.load(right / f"{name}.npy")
        values = values if unit is None else values.astype("datetime64[D]").astype("int32")
        array = group.create_array(name, shape=values.shape, dtype=values.dtype)
        array[...] = values
        if unit:
            array.attrs["units"] = f"{unit} since 1970-01-01 00:00:00"
    assert oracle.check(in_shapes.workload, right, tmp_path / "m.zarr")["wrong_pixels"] == 0
    group["source_time"][3, 4] += 1
    del group["valid_count"]
    found = oracle.check(in_shapes.workload, right, tmp_path / "m.zarr")
    assert found["wrong_by_band"] == {"source_time": 1}
    assert found["missing"] == ["valid_count"]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux can")
def test_what_was_prepared_is_no_part_of_the_peak() -> None:
    """The peak of a run begins with the clock."""
    held = np.ones(2**27, "uint8")
    assert _worker.memory("VmHWM") > held.nbytes
    del held
    before = _worker.memory("VmHWM")
    _worker.forget_peak()
    assert _worker.memory("VmHWM") <= before - 2**26


def frames_of(*frames: tuple[str, str]) -> str:
    return ";".join(f"{function} ({file}:1)" for function, file in frames)


def test_a_profile_tells_who_is_busy_and_who_waits() -> None:
    """What C and the standard library do counts for who called them; threads without work, imports
    and what is before the clock do not count."""
    packages, standard = "/v/lib/python3.12/site-packages", "/usr/lib/python3.12"
    worker, engine = (str(ROOT / part) for part in ("benchmarks/_worker.py", "qmosaic/engine/a.py"))
    begun = [("main", worker), ("measure", worker)]
    raw = [
        frames_of(*begun, ("_get_ready", worker), ("<module>", f"{packages}/zarr/__init__.py")),
        frames_of(*begun, ("work", worker), ("decide", engine), ("run", f"{packages}/zarr/x.py")),
        frames_of(("run", f"{standard}/threading.py"), ("decide", engine)),
        frames_of(("run", f"{standard}/threading.py"), ("get", f"{standard}/queue.py")),
    ]
    waits = frames_of(("decide", engine), ("wait", f"{standard}/threading.py"))
    busy = profiling.read_stacks("\n".join(f"{line} 200" for line in raw))
    everything = profiling.read_stacks("\n".join(f"{line} 200" for line in [*raw, waits]))
    runs = [{"wall": 2.0, "cpu": 3.0}] * 2
    lines = profiling.table(busy, everything, runs).splitlines()
    assert lines[0] == "2.00 s, 3.00 s of CPU; Python's threads were busy for 2.00 s"
    cells = [re.split(r"\s{2,}", line.strip()) for line in lines[2:]]
    assert ["qmosaic.engine.a", "1.00", "2.00", "1.00"] in cells
    assert ["zarr", "1.00", "1.00", "0.00"] in cells
    assert ["qmosaic.engine.a: decide", "1.00", "2.00", "1.00"] in cells
    assert len([cell for cell in cells if cell != [""]]) == 4


def test_a_route_is_profiled(tmp_path: Path) -> None:
    """From outside, in a process of its own, as the comparison runs it."""
    if not (shutil.which("py-spy") or Path(sys.executable).with_name("py-spy").exists()):
        pytest.skip("py-spy is not installed")
    folder = ("--out", str(tmp_path / "out"), "--data", str(tmp_path / "data"))
    said = command_line("profile", "--size", "tiny", "--rounds", "1", "--route", "eager", *folder)
    assert said.startswith("cloudy by eager: ")
    assert "benchmarks.routes" in said


def test_ratios_of_clusters_are_taken_round_by_round() -> None:
    """With against without, and against the first cluster."""
    found = {
        "1x1": {"with": [4.0, 8.0], "without": [2.0, 2.0]},
        "2x1": {"with": [2.0, 8.0], "without": [1.0, 2.0]},
    }
    one, two = cluster.table(found).splitlines()[1:]
    assert one.split("  ")[0] == "1x1"
    assert "3.00 [2.00 to 4.00]" in one
    assert re.findall("  1.50 .1.00 to 2.00.  3.00 .2.00 to 4.00.(  1.50 .1.00 to 2.00.){2}$", two)


def test_figures_of_graph_and_latency(tmp_path: Path) -> None:
    """A graph of at most 2 kB and 1 ms a block; every request counted."""
    said = command_line("graph", "--out", str(tmp_path))
    assert "20000 blocks × 100 images × 4 bands" in said
    assert int(said.split(" bytes a block")[0].split()[-1]) < 2000
    said = command_line("latency", "--out", str(tmp_path))
    assert said.count(": 60 requests") == 4
    assert "5 bands on 16 blocks, two threads: 4800 requests" in said


def test_memory_of_imports(tmp_path: Path) -> None:
    """Each program is run step by step and shown line by line; `qmosaic` brings no package along,
    neither imported nor when it opens a store, and no distributed when it writes one."""
    folders = ("--out", str(tmp_path), "--data", str(tmp_path / "data"))
    said = command_line("imports", "--rounds", "1", *folders)
    found = json.loads((tmp_path / "imports.json").read_text())
    assert {"xarray", "qmosaic", "qmosaic, store opened by xarray"} <= set(found)
    for name, steps in imports.PROGRAMS.items():
        part = said.split(f"{name}:\n")[1]
        if name not in found:
            assert part.startswith("  skipped: tensorstore is not installed")
            continue
        (run,) = found[name]
        taken = dict(zip(steps, run, strict=True))
        for line, step in zip(part.splitlines(), steps, strict=False):
            assert line.strip().startswith(imports.SHOWN[step])
        assert taken["xarray"]["resident"] > 0
        if "qmosaic" in taken:
            assert taken["qmosaic"]["packages"] == ["qmosaic"]
            assert taken["qmosaic"]["resident"] > taken["xarray"]["resident"]
            assert "distributed" not in taken["to_zarr"]["packages"]
        if "open_collection" in taken:
            assert taken["open_collection"]["packages"] == []
    assert "are what xarray.open_zarr takes without qmosaic" in said


def test_modules_import_downwards() -> None:
    """The docstring of `benchmarks` lists its modules; each imports only modules below it, so that
    none of them stands in a circle, not for type checking either."""
    folder = ROOT / "benchmarks"
    (listed,) = tables_in(str(benchmarks.__doc__))
    assert set(listed) == {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    for floor, module in enumerate(listed):
        imported = imports_of(folder / f"{module}.py")
        for other in listed[: floor + 1]:
            assert f"benchmarks.{other}" not in imported, f"{module} imports {other}"


def test_each_figure_has_its_command() -> None:
    """What the docstring of `benchmarks` names as a command is one, with those options."""
    text = " ".join(str(benchmarks.__doc__).split())
    named = re.findall(
        r"``(?:python -m benchmarks )?((?:beyond|compare|cluster|profile|report|shapes) [^`]*)``",
        text,
    )
    assert len(named) >= 3
    for command in named:
        parts = command.replace(" NAME", " cloudy", 1).replace(" NAME", " qmosaic").split()
        assert parser().parse_args(parts).command == parts[0]
    commands = set(re.findall(r"``(?:python -m benchmarks )?([a-z]+)``", text)) - {"benchmarks"}
    offered = {
        "compare",
        "report",
        "cluster",
        "survive",
        "graph",
        "latency",
        "stores",
        "imports",
        "profile",
        "shapes",
        "seams",
    }
    assert commands & offered == offered
    assert "python -m pydoc benchmarks" in parser().format_help()


def test_ratios_of_the_docstring_are_those_of_the_results() -> None:
    """What is said to be reached is what ``report`` makes of the results beside it."""
    stored = json.loads((ROOT / "benchmarks" / "results.json").read_text())
    assert textwrap.indent(report.summary(stored), "    ") in str(benchmarks.__doc__)
    assert textwrap.indent(beyond.summary(stored["beyond"]), "    ") in str(benchmarks.__doc__)


def test_seams_are_counted(tmp_path: Path) -> None:
    """Neighbours below and to the right that come from different images, by a loop; each choice has
    fewer of them than none, for hardly any quality, and the docstring says what came of it."""
    index = np.random.default_rng(0).integers(0, 3, (5, 7))
    pairs = [
        index[y, x] != index[v, u]
        for y, x in np.ndindex(index.shape)
        for v, u in ((y + 1, x), (y, x + 1))
        if v < 5 and u < 7
    ]
    assert seams.seams(index) == np.mean(pairs)
    assert seams.alone(np.array([[1, 1, 2], [3, 1, 1]])) == 2 / 6
    said = command_line("seams", "--out", str(tmp_path))
    assert (tmp_path / "seams.png").stat().st_size > 50_000
    found = json.loads((tmp_path / "seams.json").read_text())
    plain = found["choices"].pop("as it is")
    for name, one in (found["choices"] | found["radii"]).items():
        assert name in said
        assert one["seams"] < 0.6 * plain["seams"]
        assert plain["quality"] - 0.005 < one["quality"] < plain["quality"]
    text = " ".join(str(benchmarks.__doc__).split())
    smooth, bonus = (found["choices"][n] for n in ("smooth=50", "scene_bonus=0.1"))
    assert f"{plain['seams']:.0%}".replace("%", " % of all pairs") in text
    assert f"{smooth['seams']:.0%}".replace("%", " % with ``smooth=50``") in text
    assert f"{bonus['seams']:.0%}".replace("%", " % with ``scene_bonus=0.1``") in text
    assert f"is {bonus['quality']:.3f} in place of {plain['quality']:.3f}" in text
    nearest = min(found["radii"].values(), key=lambda one: one["seams"])
    assert found["choices"]["scene_bonus=0.1"]["seams"] < 1.05 * nearest["seams"]  # ten pixels

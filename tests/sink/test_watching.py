"""What a person who waits has to hear: unfit workers, lost workers, none at all, no progress."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import dask.array as da
import pytest
from dask.utils import key_split

import qmosaic as qm
from qmosaic.sink import scheduler, submitting, watching
from qmosaic.sink.watching import UnfitWorkerError, Watch, check_versions, own_versions, probe
from tests.support.job import mosaic_of
from tests.support.processes import MAY_LEAVE_THINGS_BEHIND, local_cluster, process, wait_for

distributed = pytest.importorskip("distributed", reason="distributed is in the extra [distributed]")

pytestmark = MAY_LEAVE_THINGS_BEHIND


@pytest.fixture
def side() -> int:
    """36 blocks."""
    return 48


class Clock:
    """A clock that stands still until it is put forward."""

    now = 1000.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


# -- time -----------------------------------------------------------------------------------------


def test_a_job_without_progress_is_told_of() -> None:
    """After ten minutes without a block, and later again; a block starts the count anew."""
    said: list[str] = []
    clock = Clock()
    watch = Watch(said.append, clock)
    for minutes, told in ((9, 0), (10, 1), (11, 1), (20, 2)):
        clock.now = 1000 + 60 * minutes
        watch.look()
        assert len(said) == told
    assert "for 10 min" in said[0]
    assert "for 20 min" in said[1]
    assert "mode='resume'" in said[0]
    watch.moved()
    clock.now += 599
    watch.look({"tcp://a"})
    assert len(said) == 2
    clock.now += 1
    watch.look({"tcp://a"})
    assert "for 10 min" in said[2]


def test_a_cluster_without_workers_is_told_of() -> None:
    """After some seconds, and again after longer and longer ones; not of one that has some."""
    said: list[str] = []
    clock = Clock()
    watch = Watch(said.append, clock)
    watch.look(set())
    for seconds, told in ((9, 0), (10, 1), (29, 1), (30, 2), (69, 2), (70, 3)):
        clock.now = 1000 + seconds
        watch.look(set())
        assert len(said) == told
    assert "no worker for 10 s" in said[0]
    assert "no worker for 70 s" in said[2]
    watch.look({"tcp://a"})
    clock.now += 100
    watch.look({"tcp://a"})
    assert len(said) == 3


def test_workers_that_are_gone_are_named_once() -> None:
    """Each by its address, many as a number."""
    said: list[str] = []
    watch = Watch(said.append, Clock())
    watch.look({"a", "b", "c", "d", "e", "f"})
    for _ in range(2):
        watch.look({"a", "c", "d", "e", "f"})
    assert len(said) == 1
    assert "worker b is gone" in said[0]
    watch.look({"a"})
    assert "workers c, d, e and 1 more are gone" in said[1]


# -- versions -------------------------------------------------------------------------------------


def test_workers_that_miss_something_or_differ() -> None:
    """Missing packages and another qmosaic are errors that name the workers; other packages in
    other versions are warnings; what is the same is not spoken of."""
    own = own_versions()
    said: list[str] = []
    check_versions({"a": own, "b": own}, own, said.append)
    assert not said
    check_versions({"a": own, "b": own | {"zarr": "2.0"}}, own, said.append)
    assert len(said) == 1
    for part in ("worker b, 1 of 2", "zarr 2.0", own["zarr"]):
        assert part in said[0]
    found: dict[str, Any] = {"a": own, "b": own | {"qmosaic": None}}
    with pytest.raises(UnfitWorkerError, match=r"worker b .*not installed: qmosaic.*Install"):
        check_versions(found, own, said.append)
    with pytest.raises(UnfitWorkerError, match=r"worker a.*qmosaic 0\.0\.1; here it is"):
        check_versions({"a": own | {"qmosaic": "0.0.1"}}, own, said.append)
    with pytest.raises(UnfitWorkerError, match="ImportError: libhdf5 is broken"):
        check_versions({"a": ImportError("libhdf5 is broken")}, own, said.append)
    assert len(said) == 1


def test_a_worker_without_qmosaic(source: Path, tmp_path: Path) -> None:
    """It is named before anything is written; the question is no part of qmosaic."""
    code = "import sys; sys.modules['qmosaic'] = None;"
    code += "from distributed.cli.dask_worker import main; main()"
    with local_cluster(n_workers=0) as client:
        address = client.cluster.scheduler_address
        arguments = (address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
        with process("-c", code, *arguments):
            wait_for(client.nthreads)
            (worker,) = client.nthreads()
            with pytest.raises(UnfitWorkerError, match="not installed: qmosaic") as caught:
                qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr")
            assert worker in str(caught.value)
            assert not (tmp_path / "out.zarr").exists()
            # the stub stands for a package that is missing, and is found to be no other thing
            assert probe(client, [worker])[worker] == own_versions() | {"qmosaic": None}


class FakeClient:
    """A cluster of which one only knows the addresses, and what its workers answer."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[list[str]] = []

    def nthreads(self) -> dict[str, int]:
        """Say who is there."""
        return dict.fromkeys(self.answers, 1)

    def run(self, function: Any, *args: Any, workers: list[str], on_error: str) -> dict[str, Any]:
        """Answer for the workers."""
        assert function.__module__ == "builtins"
        assert on_error == "return"
        self.asked.append(workers)
        return {worker: self.answers[worker] for worker in workers}


def test_workers_that_come_later_are_asked() -> None:
    """Each until it has answered; one that is unfit ends the job, one that cannot be reached does
    not."""
    own = own_versions()
    said: list[str] = []
    given_up: list[bool] = []
    client = FakeClient(a=own)
    crew = submitting._Crew(client, Watch(said.append), said.append, lambda: given_up.append(True))
    crew.look()
    client.answers |= {"b": own | {"numpy": "1.0"}, "c": OSError("the connection is lost")}
    crew.look()
    client.answers["c"] = own
    for _ in range(2):
        crew.look()
    assert [sorted(asked) for asked in client.asked] == [["a"], ["b", "c"], ["c"]]
    assert len(said) == 1
    assert "numpy 1.0" in said[0]
    crew.raise_if_unfit()
    client.answers["d"] = own | {"qmosaic": "9"}
    crew.look()
    assert given_up == [True]
    with pytest.raises(UnfitWorkerError, match=r"worker d.*qmosaic 9"):
        crew.raise_if_unfit()


class Answering(logging.Handler):
    """Does something when a word is in the log."""

    def __init__(self, word: str, answer: Any) -> None:
        super().__init__()
        self.word, self.answer, self.heard = word, answer, 0

    def emit(self, record: logging.LogRecord) -> None:
        """Look for the word; answer once."""
        if self.word in record.getMessage():
            self.heard += 1
            if self.heard == 1:
                self.answer()


def test_a_worker_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first block, one that has just come is not passed over."""
    client = FakeClient(a=own_versions() | {"qmosaic": None})
    answers = iter([{"a": OSError("the connection is lost")}, client.answers])
    monkeypatch.setattr(FakeClient, "run", lambda *args, **options: next(answers))
    monkeypatch.setattr(scheduler, "active_client", lambda: client)
    with pytest.raises(UnfitWorkerError, match="worker a"):
        scheduler.check_workers(lambda text: None)


def test_a_cluster_that_has_no_worker_yet(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said that none is there, and waited for the first; a worker that comes then does the
    work."""
    monkeypatch.setattr(watching, "EVERY", 0.01)
    monkeypatch.setattr(watching, "ALONE", 0.02)
    with local_cluster(n_workers=0, processes=False) as client:
        handler = Answering("no worker", lambda: client.cluster.scale(1))
        logging.getLogger("qmosaic").addHandler(handler)
        try:
            qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr")
        finally:
            logging.getLogger("qmosaic").removeHandler(handler)
    assert handler.heard
    assert qm.open_mosaic(tmp_path / "out.zarr").sizes == {"y": 48, "x": 48}


# -- what a dashboard shows -----------------------------------------------------------------------


def test_tasks_have_telling_names(source: Path, tmp_path: Path) -> None:
    """Dask's displays show what is written where, and keep the work apart from what it shares."""
    seen: set[str] = set()
    mosaic = mosaic_of(source).assign(mean=("y", da.ones(48, chunks=48)))
    with local_cluster(n_workers=1, processes=False) as client:
        scheduler = client.cluster.scheduler

        def callback(progress: qm.Progress) -> None:
            seen.update(key_split(key) for key in list(scheduler.tasks))

        qm.to_zarr(mosaic, tmp_path / "best-of-may.zarr", progress=callback)
    assert "write best_of_may.zarr: nir,quality,red" in seen
    assert "plan of write best_of_may.zarr: nir,quality,red" in seen
    assert "views of write best_of_may.zarr: nir,quality,red" in seen
    assert "write best_of_may.zarr: mean" in seen

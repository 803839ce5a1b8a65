"""Where a command runs: threads, worker processes, a cluster; closed in the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import pytest

import qmosaic as qm
from qmosaic.cli.workers import environment
from tests.support.shell import done, run

distributed = pytest.importorskip("distributed", reason="it is in the extra [distributed]")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What each writing finds: the number of threads that dask is told of, the active client."""
    found: list[Any] = []
    write = qm.to_zarr

    def noted(*arguments: Any, **options: Any) -> None:
        clients = list(distributed.client._global_clients.values())
        found.append((dask.config.get("num_workers", None), len(clients)))
        write(*arguments, **options)

    monkeypatch.setattr(qm, "to_zarr", noted)
    return found


def test_threads_of_this_process(series: Path, tmp_path: Path, seen: list[Any]) -> None:
    """As many as are asked for; dask's own number otherwise."""
    command = ["mosaic", series, "--quality", "cloud", "-q", "--overwrite"]
    done(*command, "--out", tmp_path / "a.zarr", "--threads", 1)
    done(*command, "--out", tmp_path / "a.zarr")
    assert seen == [(1, 0), (None, 0)]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_cluster(series: Path, tmp_path: Path, seen: list[Any], monkeypatch: Any) -> None:
    """One that is there by its address, which is left as it was; one that is started, with what was
    asked for, and closed. An address typed wins over the workers of a job."""
    local = distributed.LocalCluster
    started: list[Any] = []

    def in_this_process(**options: Any) -> Any:
        started.append(local(**options | {"processes": False, "memory_limit": 0}))
        started.append(options)
        return started[-2]

    monkeypatch.setattr(distributed, "LocalCluster", in_this_process)
    out = ["--out", tmp_path / "a.zarr", "--overwrite", "-q"]
    workers = ["--workers", 1, "--threads", 2, "--memory", "1GB"]
    job = tmp_path / "job.toml"
    ended = done("mosaic", series, "--quality", "cloud", *out, *workers, "--save-job", job)
    assert "dashboard   http" in ended.err
    cluster, options = started
    assert cluster.status.name == "closed"
    assert (options["n_workers"], options["threads_per_worker"]) == (1, 2)
    assert options["memory_limit"] == "1GB"
    with local(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as there:
        done("mosaic", "--job", job, *out[2:], "--scheduler", there.scheduler_address)
        assert there.status.name == "running"
    assert len(started) == 2
    assert seen == [(None, 1), (None, 1)]
    assert qm.open_mosaic(tmp_path / "a.zarr").sizes == {"y": 32, "x": 32}


def test_a_cluster_that_is_not_there(series: Path, tmp_path: Path) -> None:
    """One line that names the address."""
    with dask.config.set({"distributed.comm.timeouts.connect": "100ms"}):
        command = ["mosaic", series, "--quality", "cloud", "--out", tmp_path / "a.zarr"]
        ended = run(*command, "--scheduler", "tcp://127.0.0.1:1")
    assert ended.code == 1
    assert ended.err.startswith("Error: no scheduler answers at 'tcp://127.0.0.1:1'")
    assert not (tmp_path / "a.zarr").exists()


def test_workers_end_in_silence() -> None:
    """Workers that are closed in the midst of tasks say nothing of each; what the user has set of
    dask's messages stays."""
    key = "distributed.nanny.pre-spawn-environ"
    told = environment()[key]["DASK_LOGGING"]
    found = dask.config.collect_env({"DASK_LOGGING": told})["logging"]
    assert found == {"distributed.worker.state_machine": "error"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DASK_LOGGING", "{}")
        assert environment()[key]["DASK_LOGGING"] == "{}"

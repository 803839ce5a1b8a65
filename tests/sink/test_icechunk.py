"""Icechunk: a mosaic is in a session whole, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
import zarr

import qmosaic as qm
from tests.support.job import mosaic_of
from tests.support.sources import chunked, dates, expected, random_stack
from tests.support.updates import images, update, write

icechunk = pytest.importorskip("icechunk", reason="icechunk is in the extra [icechunk]")
distributed = pytest.importorskip("distributed", reason="distributed is in the extra [distributed]")


@pytest.fixture
def repository(tmp_path: Path) -> Any:
    """An empty repository."""
    return icechunk.Repository.create(icechunk.local_filesystem_storage(str(tmp_path / "repo")))


def visible(repository: Any) -> list[str]:
    """Name what somebody else sees."""
    with_root = zarr.open_group(repository.readonly_session("main").store, mode="r")
    return sorted(name for name, _ in with_root.members())


def check(repository: Any, values: dict[str, np.ndarray]) -> None:
    """Compare what is committed with the oracle."""
    store = repository.readonly_session("main").store
    opened = qm.open_mosaic(store, mask_and_scale=False)
    for name, want in expected(values).items():
        np.testing.assert_array_equal(opened[name].values, want)


def test_nothing_is_visible_before_the_commit(
    source: Path, repository: Any, values: dict[str, np.ndarray]
) -> None:
    """One commit, by the user; before it the repository is empty."""
    session = repository.writable_session("main")
    qm.to_zarr(mosaic_of(source), session.store)
    with pytest.raises(FileNotFoundError):
        visible(repository)
    session.commit("mosaic")
    check(repository, values)
    assert len(list(repository.ancestry(branch="main"))) == 2


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_distributed_writers(source: Path, repository: Any, values: dict[str, np.ndarray]) -> None:
    """Worker processes write into forks of the session, which takes them up at the end."""
    session = repository.writable_session("main")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster),
    ):
        qm.to_zarr(mosaic_of(source), session.store)
    session.commit("mosaic")
    check(repository, values)


def test_a_failure_leaves_the_session_as_it_was(source: Path, repository: Any) -> None:
    """An interrupted run has changed nothing in the session."""
    session = repository.writable_session("main")

    def fail(progress: qm.Progress) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"), dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic_of(source), session.store, progress=fail)
    assert not session.has_uncommitted_changes


def test_a_mosaic_is_replaced_in_one_commit(
    source: Path, repository: Any, values: dict[str, np.ndarray]
) -> None:
    """mode="w" replaces, mode="w-" refuses; readers see the old one until the commit."""
    session = repository.writable_session("main")
    qm.to_zarr(mosaic_of(source, ties="last").drop_vars("nir"), session.store)
    session.commit("first")
    session = repository.writable_session("main")
    with pytest.raises(FileExistsError):
        qm.to_zarr(mosaic_of(source), session.store)
    qm.to_zarr(mosaic_of(source), session.store, mode="w")
    assert "nir" not in visible(repository)
    session.commit("second")
    check(repository, values)


def test_what_a_session_cannot_do_is_said(source: Path, repository: Any) -> None:
    """No resume; no changes that are not committed; no read-only session."""
    session = repository.writable_session("main")
    with pytest.raises(ValueError, match="nothing to go on with"):
        qm.to_zarr(mosaic_of(source), session.store, mode="resume")
    xr.Dataset({"a": ("x", [1.0])}).to_zarr(session.store, consolidated=False)
    with pytest.raises(ValueError, match="not committed"):
        qm.to_zarr(mosaic_of(source), session.store, group="best")
    with pytest.raises(ValueError, match="read-only"):
        qm.to_zarr(mosaic_of(source), repository.readonly_session("main").store)


@pytest.mark.parametrize("mode", ["w-", "w"])
def test_a_group_beside_the_source(
    repository: Any, values: dict[str, np.ndarray], mode: Any
) -> None:
    """A mosaic of a repository goes into a group of its own there, new or not; what it is made
    from stays."""
    session = repository.writable_session("main")
    chunked(values).to_zarr(session.store, consolidated=False)
    session.commit("images")
    for _ in range(2 if mode == "w" else 1):
        session = repository.writable_session("main")
        collection = xr.open_zarr(session.store, consolidated=False, mask_and_scale=False)
        mosaic = qm.quality_mosaic(collection, "quality")
        qm.to_zarr(mosaic, session.store, group="best/2020", mode=mode)
        session.commit("mosaic")
    store = repository.readonly_session("main").store
    found = qm.open_mosaic(store, group="best/2020", mask_and_scale=False)
    for name, want in expected(values).items():
        np.testing.assert_array_equal(found[name].values, want)
    images = xr.open_zarr(store, consolidated=False, mask_and_scale=False)
    np.testing.assert_array_equal(images["quality"].values, values["quality"])


def test_an_update_is_a_commit(tmp_path: Path, repository: Any) -> None:
    """An update is in the session whole, and visible with one commit; nothing else is changed."""
    stack = {name: band for name, band in random_stack(images=4, side=24).items()}
    collection, _ = images(stack, tmp_path / "in.zarr", dates(4))
    session = repository.writable_session("main")
    write(collection.isel(time=slice(2)), session.store, period="MS")
    with pytest.raises(ValueError, match=r"not committed.*Commit them first"):
        update(session.store, collection.isel(time=slice(2, 4)))
    session.commit("mosaic")
    session = repository.writable_session("main")
    update(session.store, collection.isel(time=slice(2, 4)))
    before = qm.open_mosaic(repository.readonly_session("main").store)
    assert before.attrs["qmosaic_images"] == 2
    session.commit("update")
    whole = tmp_path / "whole.zarr"
    write(collection, whole, period="MS")
    store = repository.readonly_session("main").store
    assert qm.open_mosaic(store).identical(qm.open_mosaic(whole))
    assert len(list(repository.ancestry(branch="main"))) == 3

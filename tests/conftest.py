"""What holds for all tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# A cluster on a machine that is busy with other things may take long to start; dask reads this
# when it is imported.
os.environ.setdefault("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "180s")
os.environ.setdefault("DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT", "180s")

# Where no terminal is, there is no width of one; the processes of pytest-xdist inherit one.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)

# No example of hypothesis may be too slow: how long one takes is a matter of the machine.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Say how many processes share the tests, where the command line does not (``-n 2``).

    Files that are named one by one are tested in pytest's own process, which starts sooner, and
    where ``-s`` and debuggers work. For all else pytest-xdist takes as many as there are cores.
    """
    return 0 if all(".py" in name for name in config.args) else None

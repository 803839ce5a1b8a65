"""What holds for all tests."""

from __future__ import annotations

import os

# A cluster on a machine that is busy with other things may take long to start; dask reads this
# when it is imported.
os.environ.setdefault("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "180s")
os.environ.setdefault("DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT", "180s")

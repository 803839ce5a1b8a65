"""`s3://…` is a place to write to and to look at, with the keys of the environment."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.shell import done, run

pytest.importorskip("obstore", reason="obstore is in the extra [s3]")
moto = pytest.importorskip("moto.server", reason="moto is in the extra [test]")

pytestmark = [
    # moto and botocore, in this very process, may use what newer Pythons have given up
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(moto|botocore|werkzeug|flask).*"),
]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket on a server of S3 on this machine, which the environment tells of."""
    import boto3

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
    client.create_bucket(Bucket="maps")
    client.close()
    yield "s3://maps"
    server.stop()


def test_a_mosaic_in_a_bucket(series: Path, bucket: str) -> None:
    """Written, described, and not replaced unasked, as in a folder."""
    out = f"{bucket}/2020/best.zarr"
    command = ["mosaic", series, "--quality", "-cloud", "--provenance", "-q", "--out", out]
    assert done(*command, "--json").told["complete"]
    told = done("info", out, "--json").told
    assert (told["images"], told["sizes"]) == (5, {"y": 32, "x": 32})
    assert len(done("contributions", out).out.splitlines()) == 6
    ended = run(*command)
    assert ended.code == 1
    assert "exists already" in ended.err

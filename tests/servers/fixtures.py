"""The fixtures for tests of data that is far away.

    def test_something(s3_bucket, monkeypatch):
        s3_bucket.put("train/000.npy", content)            # no client library needed
        for name, value in s3_bucket.environment.items():  # endpoint and credentials, as users set them
            monkeypatch.setenv(name, value)
        NpyFiles(f"{s3_bucket.url}/train/*.npy")

`gcs_bucket` is the same for `gs://`. Scripts get `env=s3_bucket.environment`. With a front, S3 has latency and faults, and requests are counted:

    def test_faults(s3_bucket, front):
        proxy = front(s3_bucket, latency_s=0.05, unavailable=0.05, short=0.02, seed=1)   # all of `Faults`
        environment = {**s3_bucket.environment, "AWS_ENDPOINT_URL": proxy.endpoint}
        ...
        proxy.set_faults(Faults(hang=0.05))
        counts = proxy.counts()    # .requests, .failed, .fates, .most_in_flight, .asked["GET /bucket/key bytes=0-99"], .body_bytes
        proxy.forget()

`front(folder, **faults)` serves the files of a folder, with ranges, ETags and `If-Match`: `proxy.endpoint + "/name"` is an `http://` source. It also
does for S3, if nothing is listed: a sub-folder is a bucket. It takes a twentieth of a second to start, SeaweedFS takes four, once for a test run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.faults import Faults
from tests.servers.fronts import Front
from tests.servers.shared import Bucket, Keeper, common_folder


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeper]:
    keeper = Keeper(common_folder(tmp_path_factory.getbasetemp()))
    yield keeper
    keeper.close()


@pytest.fixture(scope="session")
def what_obstore_keeps() -> None:
    """Start its threads, and open their descriptors, which stay for the whole life of the process, before tests that ask for this are looked at."""
    from obstore.store import MemoryStore

    MemoryStore().put("x", b"")


@pytest.fixture
def s3_bucket(servers: Keeper) -> Bucket:
    """An empty bucket in SeaweedFS."""
    return servers.s3_bucket()


@pytest.fixture
def gcs_bucket(servers: Keeper) -> Bucket:
    """An empty bucket in fake-gcs-server."""
    return servers.gcs_bucket()


@pytest.fixture
def front() -> Iterator[Callable[..., Front]]:
    """Return `front(origin, **faults)`: a server before a bucket, or one that serves a folder, with latency and faults. See above."""
    started: list[Front] = []

    def start(origin: Bucket | Path, **faults: Any) -> Front:
        where = origin.endpoint.removeprefix("http://") if isinstance(origin, Bucket) else origin.absolute()
        started.append(Front(where, Faults(**faults)))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def behind(s3_bucket: Bucket, front: Callable[..., Front], monkeypatch: pytest.MonkeyPatch) -> Front:
    """A front before a bucket, and the environment that leads there."""
    proxy = front(s3_bucket)
    for name, value in (s3_bucket.environment | {"AWS_ENDPOINT_URL": proxy.endpoint}).items():
        monkeypatch.setenv(name, value)
    return proxy

"""The servers of the tests do what tests of data that is far away rely on."""

from __future__ import annotations

import concurrent.futures
import http.client
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT
from tests.processes import alive, wait_until
from tests.servers.faults import Fate, Faults
from tests.servers.fronts import Front
from tests.servers.shared import Bucket, Keeper

CONTENT = bytes(range(256)) * 40


def get(url: str, **headers: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
        content: bytes = answer.read()
        return content


def test_the_same_request_meets_the_same_faults_and_the_shares_hold() -> None:
    faults = Faults(seed=3, unavailable=0.05, hang=0.1)
    fates = [faults.fate(f"GET /{i}", 0) for i in range(4000)]
    assert fates == [faults.fate(f"GET /{i}", 0) for i in range(4000)]
    assert 150 < fates.count(Fate.UNAVAILABLE) < 250
    assert 340 < fates.count(Fate.HANG) < 460
    assert Faults(reset=1.0, attempts=2).fate("GET /x", 2) is Fate.OK
    assert Faults(reset=1.0, only="train/").fate("GET /val/x", 0) is Fate.OK


def test_a_front_serves_a_folder_with_ranges_and_etags(tmp_path: Path, front: Callable[..., Front]) -> None:
    (tmp_path / "a b.bin").write_bytes(CONTENT)
    served = front(tmp_path)
    url = f"{served.endpoint}/a%20b.bin"
    assert get(url) == CONTENT
    assert get(url, Range="bytes=5-9") == CONTENT[5:10]
    assert get(url, Range="bytes=-3") == CONTENT[-3:]
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD")) as answer:
        etag = answer.headers["ETag"]
    assert get(url, **{"If-Match": etag}) == CONTENT
    for wanted, status in (({"If-Match": '"other"'}, 412), ({"Range": "bytes=99999-"}, 416)):
        with pytest.raises(urllib.error.HTTPError, match=str(status)):
            get(url, **wanted)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(f"{served.endpoint}/none")
    assert served.counts().asked["GET /a%20b.bin bytes=5-9"] == 1


def test_a_front_does_what_its_faults_say(tmp_path: Path, front: Callable[..., Front]) -> None:
    (tmp_path / "x").write_bytes(CONTENT)
    served = front(tmp_path, unavailable=1.0)
    url = f"{served.endpoint}/x"
    for fault, status in (("unavailable", 503), ("slow_down", 503), ("too_many", 429), ("server_error", 500)):
        served.set_faults(Faults(**{fault: 1.0}))
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(url)
        assert caught.value.code == status
        assert (b"SlowDown" in caught.value.read()) == (fault == "slow_down")
    served.set_faults(Faults(reset=1.0))
    with pytest.raises(ConnectionResetError):
        get(url)
    served.set_faults(Faults(short=1.0))
    with pytest.raises(http.client.IncompleteRead):
        get(url)
    served.set_faults(Faults(hang=1.0))
    with pytest.raises(TimeoutError):
        urllib.request.urlopen(url, timeout=1.0)
    served.set_faults(Faults(slow=1.0, slow_bytes_per_s=len(CONTENT) * 10))
    before = time.monotonic()
    assert get(url) == CONTENT
    assert time.monotonic() - before > 0.04  # two pieces, 0.05 s between them
    assert served.counts().failed == 8
    assert served.counts().fates[Fate.HANG] == 1


def test_a_front_counts_how_many_requests_are_under_way(tmp_path: Path, front: Callable[..., Front]) -> None:
    for i in range(8):
        (tmp_path / str(i)).write_bytes(CONTENT)
    served = front(tmp_path, latency_s=0.3)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(get, (f"{served.endpoint}/{i}" for i in range(8)))) == {CONTENT}
    assert 2 <= served.counts().most_in_flight <= 8
    served.forget()
    assert served.counts().requests == 0


def test_a_front_ends_with_whoever_started_it(tmp_path: Path) -> None:
    script = (
        f"import os, tests.servers.fronts as f; front = f.Front({str(tmp_path)!r}); print(front._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    wait_until(lambda: not alive(int(done.stdout)), "the front is gone")


def test_s3_holds_objects_also_behind_a_front(s3_bucket: Bucket, front: Callable[..., Front], monkeypatch: pytest.MonkeyPatch) -> None:
    obstore = pytest.importorskip("obstore")
    s3_bucket.put("train/a b.bin", CONTENT)
    for name, value in s3_bucket.environment.items():
        monkeypatch.setenv(name, value)
    proxy = front(s3_bucket, unavailable=1.0, attempts=1, only="a%20b")
    script = f"""
import obstore
store = obstore.store.from_url({s3_bucket.url!r}, endpoint={proxy.endpoint!r})
print([each["path"] for each in obstore.list(store).collect()], bytes(obstore.get_range(store, "train/a b.bin", start=1, length=3)))
"""
    assert obstore
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "['train/a b.bin'] b'\\x01\\x02\\x03'\n"
    assert proxy.counts().fates == {Fate.OK: 2, Fate.UNAVAILABLE: 1}


def test_gcs_holds_objects(gcs_bucket: Bucket) -> None:
    pytest.importorskip("obstore")
    gcs_bucket.put("train/x.bin", CONTENT)
    script = f"""
import obstore
store = obstore.store.from_url({gcs_bucket.url!r}, client_options={{"allow_http": True}})
print([each["path"] for each in obstore.list(store).collect()], bytes(obstore.get_range(store, "train/x.bin", start=1, length=3)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={**os.environ, **gcs_bucket.environment})
    assert done.stdout == "['train/x.bin'] b'\\x01\\x02\\x03'\n"


def test_the_shared_servers_end_when_the_last_who_uses_them_is_killed(tmp_path: Path) -> None:
    script = f"""
import os, pathlib, tests.servers.shared as s
keepers = [s.Keeper(pathlib.Path({str(tmp_path)!r})) for _ in range(2)]
print(keepers[0].gcs_bucket().endpoint, keepers[1].gcs_bucket().endpoint, flush=True)
os.kill(os.getpid(), 9)
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, env=environment)
    one, other = done.stdout.split()
    assert one == other
    port = one.rpartition(":")[2]

    def serving() -> bool:
        return any(f"-port={port}" in (process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))

    wait_until(lambda: not serving() and not list(tmp_path.glob("loader-servers-*")), "the server and its folder are gone")
    again = Keeper(tmp_path)  # the socket of the first one is still there
    assert again.gcs_bucket().endpoint != one
    again.close()

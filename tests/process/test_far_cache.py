"""A cache of what was fetched: fewer requests, the same batches, whoever is killed while it is filled."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ByteFiles, ConfigError, Loader, NpyFiles, decode
from loader.data.remote.fetch_cache.cache_choice import CacheChoice
from loader.data.remote.fetch_cache.cache_folder import CLAIMS, LOG
from loader.data.remote.fetch_cache.fetch_cache import HEADER_BYTES
from loader.data.remote.gathering.gather import Gather
from loader.data.remote.objects import Span
from loader.data.remote.options import StorageOptions
from tests.batches import assert_same, copied, inline, inline_first, take, take_until_replaced
from tests.processes import supervisor_of, wait_until, wait_until_gone, workers_of
from tests.servers.faults import Faults
from tests.servers.fronts import Front

pytestmark = pytest.mark.usefixtures("what_obstore_keeps")

StartFront = Callable[..., Front]


def urls_of(served: Front, folder: Path) -> list[str]:
    return [f"{served.endpoint}/{path.name}" for path in sorted(folder.glob("*.npy"))]


def fetched(served: Front) -> int:
    """Return how many objects were asked for; of the first one, the header also is, to find out what samples are."""
    return sum(count for asked, count in served.counts().asked.items() if "bytes=" not in asked)


def files_in(cache: Path) -> list[Path]:
    return [path for path in (cache / "files").rglob("*") if path.is_file()]


def asked_twice(loader: Loader) -> int:
    """Return how many objects a loader has asked for once more: some, where the machine is slow."""
    network = loader.stats().network
    assert network is not None
    return network.retries


def test_a_cache_of_half_the_data_saves_half_of_the_requests(npy_folder: Any, front: StartFront, tmp_path: Path) -> None:
    folder = npy_folder(200)
    served = front(folder)
    kept_bytes = 100 * (HEADER_BYTES + (folder / "000000.npy").stat().st_size)
    far = NpyFiles(urls_of(served, folder), cache=tmp_path / "cache", cache_bytes=kept_bytes)
    expected = inline(NpyFiles(folder), 10, 3, shuffle=True)
    with Loader(far, 10, workers=2, shuffle=True) as loader:
        assert_same(take(loader, 3), expected)
    kept = len(files_in(tmp_path / "cache"))
    assert 100 <= kept <= 101  # the two workers may have looked at the same moment for what room there is
    served.forget()
    with Loader(far, 10, workers=2, shuffle=True) as loader:
        assert_same(take(loader, 1), expected[:20])
    assert len([asked for asked in served.counts().asked if "bytes=" not in asked]) == 200 - kept  # some of them also for the next epoch


def test_two_runs_that_fill_one_cache_fetch_each_object_once(npy_folder: Any, front: StartFront, tmp_path: Path) -> None:
    """They are in step, so both want the same objects at the same time."""
    folder = npy_folder(300)
    served = front(folder)
    sources = [NpyFiles(urls_of(served, folder), cache=tmp_path / "cache") for _ in range(2)]
    served.forget()
    served.set_faults(Faults(latency_s=0.05))
    with Loader(sources[0], 10, workers=1, shuffle=True) as one, Loader(sources[1], 10, workers=1, shuffle=True) as other:
        for (x,), (y,) in zip(one, other, strict=True):
            np.testing.assert_array_equal(x, y)
        wait_until(lambda: fetched(served) <= 306 + asked_twice(one) + asked_twice(other), "what was asked for twice is counted")


def test_whoever_fetches_closes_the_cache(npy_folder: Any, front: StartFront, tmp_path: Path) -> None:
    """Claims of what hangs are taken back, and no descriptor of the log stays open."""
    served = front(npy_folder(3), hang=1.0)
    choice = CacheChoice.of(tmp_path / "cache", None, far=True)
    assert choice is not None
    log = (tmp_path / "cache" / LOG).resolve()
    options = StorageOptions()
    gather = Gather(options, 60.0, 4, 8, choice.open(options))
    gather.begin(Span(f"{served.endpoint}/00000{number}.npy") for number in range(3))
    wait_until(lambda: len(os.listdir(tmp_path / "cache" / CLAIMS)) == 3, "all are claimed", 30)
    gather.close()
    assert os.listdir(tmp_path / "cache" / CLAIMS) == []
    assert log not in {path.resolve() for path in Path("/proc/self/fd").iterdir()}


def test_while_nobody_takes_batches_the_cache_is_filled_for_the_next_epoch(npy_folder: Any, front: StartFront, tmp_path: Path) -> None:
    folder = npy_folder(200)
    served = front(folder)
    far = NpyFiles(urls_of(served, folder), cache=tmp_path / "cache")
    expected = inline(NpyFiles(folder), 10, 2, shuffle=True)
    served.forget()
    with Loader(far, 10, workers=2, shuffle=True, slots=3) as loader:
        batches = loader.batches()
        found = [copied(next(batches))]
        wait_until(lambda: len(files_in(tmp_path / "cache")) == 200, "all is in the cache, although slots have room for 30 samples")
        found += [copied(next(batches)) for _ in expected[1:]]
        network = loader.stats().network
    assert_same(found, expected)
    assert network is not None
    assert fetched(served) <= 204 + network.retries
    assert network.hits > 300


def test_what_is_fetched_ahead_keeps_to_the_limit_and_to_the_samples_of_the_source(npy_folder: Any, front: StartFront, tmp_path: Path) -> None:
    folder = npy_folder(200)
    served = front(folder)
    kept_bytes = 100 * (HEADER_BYTES + (folder / "000000.npy").stat().st_size)
    far = NpyFiles(urls_of(served, folder), cache=tmp_path / "cache", cache_bytes=kept_bytes).subset(range(150))
    with Loader(far, 10, workers=2, shuffle=True, slots=3) as loader:
        next(loader.batches())
        wait_until(lambda: len(files_in(tmp_path / "cache")) >= 100, "the cache is full")
        assert len(files_in(tmp_path / "cache")) <= 101
    assert not [asked for asked in served.counts().asked if any(f"/{number:06d}.npy" in asked for number in range(150, 200)) and "GET" in asked]


def test_what_is_fetched_ahead_and_fails_is_left_to_whoever_needs_it(npy_folder: Any, front: StartFront, tmp_path: Path) -> None:
    folder = npy_folder(8)
    served = front(folder, unavailable=1.0, only="000003", attempts=1)
    choice = CacheChoice.of(tmp_path / "cache", None, far=True)
    assert choice is not None
    gather = Gather(StorageOptions(), 60.0, 4, 8, choice.open(StorageOptions()))
    spans = [Span(url) for url in [*urls_of(served, folder), f"{served.endpoint}/none.npy"]]
    gather.fill(spans)
    wait_until(lambda: gather.idle, "all have come, or have failed")
    assert len(files_in(tmp_path / "cache")) == 7
    assert os.listdir(tmp_path / "cache" / CLAIMS) == []
    gather.fill(spans[:3])
    gather.begin(spans[:8])
    for number, span in enumerate(spans[:8]):
        assert bytes(gather.take(span).content) == (folder / f"{number:06d}.npy").read_bytes()
    assert (gather.counts.hits, gather.counts.fetched) == (7, 8)
    gather.close()


@pytest.mark.parametrize("victim", [pytest.param("worker", marks=pytest.mark.thorough), "supervisor"])
def test_whoever_is_killed_while_a_cache_is_filled_leaves_it_whole(npy_folder: Any, front: StartFront, tmp_path: Path, victim: str) -> None:
    folder = npy_folder(300, (40, 30))
    served = front(folder)
    far = NpyFiles(urls_of(served, folder), cache=tmp_path / "cache")
    served.set_faults(Faults(latency_s=0.05, only=".npy"))
    loader = Loader(far, 10, workers=2, shuffle=True)
    pids = workers_of(loader, 2) if victim == "worker" else [supervisor_of(loader)]
    wait_until(lambda: len(files_in(tmp_path / "cache")) > 20, "some files are there")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until_gone(pids)
    batches, found = loader.batches(), []
    if victim == "supervisor":
        with pytest.warns(RuntimeWarning, match="killed by SIGKILL"):
            found += take_until_replaced(loader, batches)
    found += [copied(next(batches)) for _ in range(len(found), len(loader))]
    assert_same(found, inline_first(NpyFiles(folder), 10, len(found), shuffle=True))
    loader.close()
    served.set_faults(Faults())
    served.forget()
    with Loader(far, 10, workers=2, shuffle=True) as again:
        assert_same(take(again), inline(NpyFiles(folder), 10, shuffle=True))
    assert fetched(served) == 0


def test_a_script_that_is_killed_leaves_what_it_has_fetched(npy_folder: Any, front: StartFront, tmp_path: Path, run_script: Any) -> None:
    folder = npy_folder(300)
    served = front(folder)
    urls = urls_of(served, folder)
    script = f"""
import os
from loader import Loader, NpyFiles
loader = Loader(NpyFiles({urls!r}, cache="cache"), 10, workers=2, shuffle=True)
for number, _ in enumerate(loader):
    if number == 8:
        os.kill(os.getpid(), 9)
"""
    assert run_script(script).returncode == -signal.SIGKILL
    kept = len(files_in(tmp_path / "cache"))
    assert kept >= 80
    far = NpyFiles(urls, cache=tmp_path / "cache")
    served.forget()
    with Loader(far, 10, shuffle=True, workers=1) as loader:
        assert_same(take(loader), inline(NpyFiles(folder), 10, shuffle=True))
        # Its workers may have added some more, before they noticed.
        wait_until(lambda: fetched(served) <= 300 - kept + asked_twice(loader), "what was asked for twice is counted")


def test_a_damaged_file_is_fetched_again(npy_folder: Any, front: StartFront, tmp_path: Path) -> None:
    folder = npy_folder(20)
    served = front(folder)
    far = NpyFiles(urls_of(served, folder), cache=tmp_path / "cache")
    expected = inline(NpyFiles(folder), 5)
    for _ in range(3):
        with Loader(far, 5, workers=0) as loader:
            assert_same(take(loader), expected)
        for number, path in enumerate(sorted(files_in(tmp_path / "cache"))[:4]):
            path.write_bytes([b"", path.read_bytes()[:-3], path.read_bytes()[:-1] + b"\xff", b"x" * 10_000][number])


def test_an_object_that_has_changed_is_not_taken_from_the_cache(npy_folder: Any, front: StartFront, tmp_path: Path) -> None:
    folder = npy_folder(6)
    urls = urls_of(served := front(folder), folder)
    for value in (0, 1, 2):
        np.save(folder / "000003.npy", np.full((4, 3), value, np.float32))
        with Loader(NpyFiles(urls, cache=tmp_path / "cache"), 6, workers=0) as loader:
            assert_same(take(loader), inline(NpyFiles(folder), 6))
    assert served.counts().asked["GET /000002.npy"] == 1


def test_files_of_any_kind_are_kept_as_they_came(npy_folder: Any, front: StartFront, tmp_path: Path) -> None:
    folder = npy_folder(6)
    urls = urls_of(served := front(folder), folder)
    far = ByteFiles(urls, decode=decode.npy(), cache=tmp_path / "cache")
    for _ in range(2):
        with Loader(far, 6, workers=0) as loader:
            assert_same(take(loader), inline(NpyFiles(folder), 6))
    assert served.counts().asked["GET /000002.npy"] == 1


def test_a_cache_that_can_not_be_is_refused(npy_folder: Any, front: StartFront, tmp_path: Path) -> None:
    folder = npy_folder(2)
    urls = urls_of(front(folder), folder)
    with pytest.raises(ConfigError, match=r"these files are on this machine\. source\.cache\(folder\) keeps decoded samples"):
        NpyFiles(folder, cache=tmp_path / "cache")
    with pytest.raises(ConfigError, match="give cache=, its folder, too"):
        NpyFiles(urls, cache_bytes=5)
    with pytest.raises(ConfigError, match="cache_bytes must be a number of bytes"):
        NpyFiles(urls, cache=tmp_path / "cache", cache_bytes="much")
    with pytest.raises(ConfigError, match="holds other files, such as"):
        NpyFiles(urls, cache=folder)

"""What was fetched is kept in files: whole or not at all, within a limit, by any number of processes."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from loader.data.remote.fetch_cache import fetch_cache
from loader.data.remote.fetch_cache.cache_folder import prepare_folder
from loader.data.remote.fetch_cache.fetch_cache import CLAIM_S, FetchCache
from loader.data.remote.objects import Fetched, Span
from loader.errors import ConfigError

OneMore = Callable[..., FetchCache]


@pytest.fixture
def one_more(tmp_path: Path) -> OneMore:
    """Return a function that makes one more cache over the same folder, as another process would."""

    def make(max_bytes: int | None = None, place: str = "") -> FetchCache:
        prepare_folder(str(tmp_path / "cache"))
        return FetchCache(str(tmp_path / "cache"), max_bytes, place)

    return make


def span(number: int = 0, version: int = 7, start: int = 0, end: int | None = None) -> Span:
    return Span(f"s3://bucket/{number}", start, end, version, 100)


def content_of(number: int) -> bytes:
    return bytes([number]) * 100


def fill(cache: FetchCache, *numbers: int) -> None:
    for number in numbers:
        assert cache.claim(span(number))
        cache.add(span(number), Fetched(content_of(number), 100, 7))


def forked(function: Callable[[], None]) -> int:
    pid = os.fork()
    if not pid:
        try:
            function()
        finally:
            os._exit(1)
    return pid


def files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "cache" / "files").rglob("*") if path.is_file())


def test_what_was_added_is_there_for_every_process(one_more: OneMore) -> None:
    one, other = one_more(), one_more()
    fill(one, 1)
    assert other.has(span(1))
    assert other.read(span(1)) == Fetched(content_of(1), 100, 7)
    assert not other.has(span(2))
    assert other.read(span(2)) is None


def test_another_version_range_or_place_is_another_span(one_more: OneMore) -> None:
    cache = one_more()
    fill(cache, 1)
    for differing in (span(1, version=8), span(1, start=5), span(1, end=50)):
        assert cache.read(differing) is None
    assert one_more(place="http://127.0.0.1:1").read(span(1)) is None


def test_of_an_object_of_unknown_version_only_all_of_it_is_kept(one_more: OneMore) -> None:
    """The first bytes are asked for to find out what the object is now."""
    cache = one_more()
    for wanted, kept in ((span(1, 0), True), (span(1, 0, 0, 50), False)):
        cache.add(wanted, Fetched(content_of(1), 100, 7))
        assert cache.has(wanted) == kept


@pytest.mark.parametrize("damage", ["cut", "empty", "longer", "a bit", "another's", "header"])
def test_a_damaged_file_is_noticed_and_removed(one_more: OneMore, tmp_path: Path, damage: str) -> None:
    cache = one_more(1000)
    fill(cache, 1)
    (path,) = files(tmp_path)
    raw = path.read_bytes()
    fill(cache, 2)
    (other,) = set(files(tmp_path)) - {path}
    damaged = {
        "cut": raw[:-1],
        "empty": b"",
        "longer": raw + b"x",
        "a bit": raw[:-1] + bytes([raw[-1] ^ 1]),
        "another's": other.read_bytes(),
        "header": raw[:40] + bytes([raw[40] ^ 1]) + raw[41:],
    }
    path.write_bytes(damaged[damage])
    assert cache.read(span(1)) is None
    assert files(tmp_path) == [other]
    fill(cache, 1)
    assert cache.read(span(1)) == Fetched(content_of(1), 100, 7)


def test_a_limit_holds_over_all_processes_and_what_is_there_stays(one_more: OneMore, tmp_path: Path) -> None:
    one, other = one_more(500), one_more(500)
    for number in range(0, 8, 2):
        fill(one, number)
        fill(other, number + 1)
    assert len(files(tmp_path)) == 3  # of 156 bytes each
    assert [number for number in range(8) if one.has(span(number))] == [0, 1, 2]
    fill(one_more(700), *range(8))
    assert len(files(tmp_path)) == 4


def test_what_another_process_fetches_is_not_fetched_twice(one_more: OneMore, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = one_more(), one_more()
    assert one.claim(span(1))
    assert not other.claim(span(1))
    one.add(span(1), Fetched(content_of(1), 100, 7))
    assert other.has(span(1))
    assert one.claim(span(2))
    one.drop(span(2))
    assert other.claim(span(2))
    other.close()
    assert one.claim(span(2))
    third = one_more()
    now = time.time()
    monkeypatch.setattr(fetch_cache.time, "time", lambda: now + CLAIM_S + 1)
    assert third.claim(span(2))  # whoever has claimed it was killed, as it seems


def test_nobody_waits_for_what_will_not_be_there(one_more: OneMore) -> None:
    one, other = one_more(100), one_more(100)
    assert one.claim(span(1))
    assert other.claim(span(1))


def test_a_full_disk_is_one_warning(one_more: OneMore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    cache = one_more()

    def full(*given: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "writev", full)
    fill(cache, 1, 2)
    assert [record.message for record in caplog.records] == [f"the disk of the cache {tmp_path / 'cache'} is full; nothing more is added to it"]
    assert files(tmp_path) == []
    assert list((tmp_path / "cache" / "new").iterdir()) == []


def test_a_folder_that_is_deleted_while_it_is_used_is_done_without(one_more: OneMore, tmp_path: Path) -> None:
    cache = one_more()
    fill(cache, 1)
    (tmp_path / "cache").rename(tmp_path / "away")
    assert cache.read(span(1)) is None
    fill(cache, 2, 3)
    assert not cache.has(span(2))


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_folder_that_can_only_be_read_is_read(one_more: OneMore, tmp_path: Path) -> None:
    fill(one_more(), 1)
    for path in (tmp_path / "cache" / "new", tmp_path / "cache"):
        path.chmod(0o500)
    cache = one_more()
    fill(cache, 2)
    assert cache.read(span(1)) == Fetched(content_of(1), 100, 7)
    assert not cache.has(span(2))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("")
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "cache.json").write_text("{}")
    for name, words in (("file", "is a file"), ("photos", r"other files, such as 'cat.jpg'"), ("samples", r"the samples of source.cache\(\)")):
        with pytest.raises(ConfigError, match=words):
            prepare_folder(str(tmp_path / name))


def test_what_killed_runs_have_left_is_removed_later(one_more: OneMore, tmp_path: Path) -> None:
    assert one_more().claim(span(1))
    (tmp_path / "cache" / "new" / "half").write_text("")
    one_more()
    left = [*(tmp_path / "cache" / "new").iterdir(), *(tmp_path / "cache" / "claims").iterdir()]
    assert len(left) == 2
    for path in left:
        os.utime(path, (0, 0))
    one_more()
    assert not any(path.exists() for path in left)


def test_whoever_is_killed_leaves_whole_files_only(one_more: OneMore, tmp_path: Path) -> None:
    """Two processes fill the same cache and are killed at any moment; what is there is right, and the count is not below it."""
    cache = one_more()

    def fill_until_killed() -> None:
        mine = one_more()
        for number in range(10**6):
            wanted = Span(f"s3://bucket/{number}", 0, None, 7, 30_000)
            if mine.claim(wanted):
                mine.add(wanted, Fetched(number.to_bytes(4, "little") * 7500, 30_000, 7))

    for _ in range(3):
        before, fillers = len(files(tmp_path)), [forked(fill_until_killed) for _ in range(2)]
        while len(files(tmp_path)) < before + 20:
            time.sleep(0.001)
        for pid in fillers:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    kept = files(tmp_path)
    read = [cache.read(Span(f"s3://bucket/{number}", 0, None, 7, 30_000)) for number in range(len(kept) + 100)]
    assert sum(fetched is not None for fetched in read) == len(kept)
    assert all(fetched is None or bytes(fetched.content) == number.to_bytes(4, "little") * 7500 for number, fetched in enumerate(read))
    assert cache._budget.used() >= sum(path.stat().st_size for path in kept)

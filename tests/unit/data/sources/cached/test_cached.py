"""A source that keeps its samples: what is read once, what is read again, and which caches are refused."""

from __future__ import annotations

import errno
import os
import pickle
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ByteFiles, ConfigError, IterSource, Loader, MapSource, NpyArrays, NpyFiles, SampleError, Source, Zip
from loader.data.sources.cached.column_files import HEADER_BYTES
from loader.data.spec import Sample
from loader.train.state import fingerprint
from tests.batches import assert_same, inline

Places = Callable[[], Path | None]


class Counted:
    """Samples that tell when they are made."""

    def __init__(self, n: int = 20, bad: int = -1) -> None:
        self.n = n
        self.bad = bad

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Sample:
        MADE.append(i)
        if i == self.bad:
            raise ValueError("bad")
        return {"a": np.full((3, 2), i, np.float32), "b": np.int8(i)}, np.int64(i)


MADE: list[int] = []


def epochs(source: Source, count: int = 1, **settings: Any) -> list[list[int]]:
    """Return which samples were made in each of some epochs."""
    made = []
    with Loader(source, 4, workers=0, shuffle=True, **settings) as loader:
        loader.spec  # noqa: B018  # the first sample is made for it, too
        for _ in range(count):
            MADE.clear()
            for x, y in loader:
                np.testing.assert_array_equal(x["a"], np.broadcast_to(y[:, None, None], (4, 3, 2)))
                np.testing.assert_array_equal(x["b"], y)
            made.append(sorted(MADE))
    return made


@pytest.fixture(params=["in memory", "in a folder"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return None if request.param == "in memory" else tmp_path / "cache"


def test_a_sample_is_made_once(place: Path | None) -> None:
    assert epochs(MapSource(Counted()).cache(place), 3) == [[*range(20)], [], []]


def test_a_cache_in_a_folder_is_there_in_the_next_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "loader.cache")
    assert epochs(MapSource(Counted()).cache(tmp_path / "cache")) == [[*range(20)]]
    assert not caplog.messages
    assert epochs(MapSource(Counted()).cache(str(tmp_path / "cache"))) == [[]]
    assert caplog.messages == [f"cache {tmp_path}/cache: 20 of 20 samples are in it"]


def test_no_more_than_max_bytes_are_kept(place: Path | None) -> None:
    source = MapSource(Counted()).cache(place, max_bytes=300)
    assert all(made == [*range(len(range(20)) - len(made), 20)] and len(made) >= 9 for made in epochs(source, 2)[1:])
    if place is not None:
        assert sum(os.stat(file).st_size - HEADER_BYTES for file in place.glob("[xy]*.npy")) <= 300


def test_a_cache_without_room_for_one_sample_reads_them_all(place: Path | None) -> None:
    assert epochs(MapSource(Counted()).cache(place, 1), 2) == [[*range(20)]] * 2


def test_a_larger_max_bytes_makes_room(tmp_path: Path) -> None:
    assert epochs(MapSource(Counted()).cache(tmp_path, 370), 2)[1] == [*range(10, 20)]
    assert epochs(MapSource(Counted()).cache(tmp_path), 2) == [[*range(10, 20)], []]
    assert epochs(MapSource(Counted()).cache(tmp_path, "100"), 1) == [[]]


def test_parts_of_a_cached_source_share_what_it_keeps(place: Path | None) -> None:
    source = MapSource(Counted(), labels=range(20), ids=lambda i: f"s{i:02d}").cache(place)
    first, second = source.subset(range(8)), source.subset(range(4, 20))
    assert epochs(first) == [[*range(8)]]
    assert epochs(second) == [[*range(8, 20)]]
    assert epochs(source) == [[]]
    left, right = source.split(0.3)
    assert len(left) + len(right) == 20


def test_a_cached_source_is_the_source_in_all_else(npy_folder: Any, place: Path | None) -> None:
    plain = NpyFiles.from_folder(npy_folder(6, classes=2))
    cached = plain.cache(place)
    assert (cached.ids(), cached.paths, cached.name_of(3), cached.spec, len(cached)) == (
        plain.ids(),
        plain.paths,
        plain.name_of(3),
        plain.spec,
        6,
    )
    assert cached.classes == ("c0", "c1")
    np.testing.assert_array_equal(cached.labels(), plain.labels())
    assert cached.header_spec() == plain.spec
    assert fingerprint(cached) == fingerprint(plain)
    assert repr(cached) == f"{plain!r}.cache({place or 'memory'})"
    np.testing.assert_array_equal(cached[-1][0], plain[-1][0])
    assert cached.statistics(workers=0).as_dict() == plain.statistics(workers=0).as_dict()


@pytest.mark.parametrize("made", ["whole", "part"])
def test_a_cache_gives_the_same_batches(npy_folder: Any, place: Path | None, made: str) -> None:
    def plain() -> Source:
        pictures = NpyFiles(npy_folder(12))
        return Zip({"i": pictures, "j": pictures}, y=NpyArrays(np.arange(12)))

    def shift(sample: Sample, rng: np.random.Generator) -> Sample:
        return {**sample[0], "i": sample[0]["i"] + rng.normal()}, sample[1]

    settings = {"shuffle": True, "transforms": [shift], "seed": 3}
    source = plain()
    cached = source.cache(place, None if made == "whole" else 500)
    assert_same(inline(cached, 4, 3, **settings), inline(source, 4, 3, **settings))


def test_a_bad_sample_is_not_kept_and_those_before_it_are(place: Path | None) -> None:
    source = MapSource(Counted(bad=5)).cache(place)
    with Loader(source, 10, workers=0) as loader, pytest.raises(SampleError, match="sample 5: ValueError: bad"):
        next(iter(loader))
    out = [np.empty((20, *leaf.shape), leaf.dtype) for leaf in source.spec.leaves]
    MADE.clear()
    source.read(np.arange(5), [array[:5] for array in out])
    assert MADE == []


def test_a_subset_with_a_bad_sample_names_it(place: Path | None) -> None:
    source = MapSource(Counted(bad=5)).cache(place).subset([3, 5, 4])
    with Loader(source, 3, workers=0) as loader, pytest.raises(SampleError, match="sample 1: "):
        next(iter(loader))


def test_what_draws_random_numbers_is_not_cached(place: Path | None) -> None:
    class Noisy(Counted):
        def __getitem__(self, i: int) -> Sample:
            return (np.random.normal(size=3),)

    for _ in range(2):
        with Loader(MapSource(Noisy()).cache(place), 4, workers=0) as loader, pytest.raises(ConfigError, match="keep the first draw for ever"):
            loader.spec  # noqa: B018


def test_what_can_not_be_cached_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="read from start to end"):
        IterSource(lambda: iter([1, 2])).cache()
    source = MapSource(Counted())
    with pytest.raises(ConfigError, match="max_bytes='much'"):
        source.cache(max_bytes="much")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="is a file"):
        source.cache(tmp_path / "file")
    with pytest.raises(ConfigError, match="holds other files, such as 'file'"):
        source.cache(tmp_path)


def test_a_folder_of_somebody_elses_arrays_is_not_written_to(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(3))
    with pytest.raises(ConfigError, match=r"holds other files, such as 'x.npy'"):
        MapSource(Counted()).cache(tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), np.arange(3))


def test_a_cache_that_was_killed_while_it_was_made_is_made_again(tmp_path: Path) -> None:
    epochs(MapSource(Counted()).cache(tmp_path))
    (tmp_path / "cache.json").rename(tmp_path / "cache.json.new")
    os.truncate(tmp_path / "cache.json.new", 5)
    assert epochs(MapSource(Counted()).cache(tmp_path), 2) == [[*range(20)], []]


@pytest.mark.filterwarnings("ignore:sample 0 is bad")
def test_with_a_bad_first_sample_another_one_shows_what_all_are_like(place: Path | None) -> None:
    source = MapSource(Counted(bad=0)).cache(place)
    for _ in range(2):
        with Loader(source, 4, workers=0, on_error="substitute") as loader:
            MADE.clear()
            assert [len(y) for _, y in loader] == [4] * 5
    assert set(MADE) <= {0, 1}  # memory can't tell what a sample looks like


def decoded(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)


def scaled(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8) * np.uint8(1)


def files(folder: Path, decode: Any = decoded) -> ByteFiles:
    return ByteFiles(folder, decode=decode)


def test_a_cache_of_another_source_is_refused(tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    data.mkdir()
    for number in range(4):
        (data / f"{number}.bin").write_bytes(bytes([number] * 8))
    inline(files(data).cache(cache), 2)
    assert inline(files(data).cache(cache), 2)
    with pytest.raises(ConfigError, match=r"the code of source.decoder.function has changed.*delete the folder"):
        files(data, scaled).cache(cache)
    with pytest.raises(ConfigError, match="version was '', and now is '2'"):
        files(data).cache(cache, version="2")
    (data / "2.bin").write_bytes(bytes(8))
    with pytest.raises(ConfigError, match=r"2.bin has changed: it was written again"):
        files(data).cache(cache)
    (data / "1.bin").write_bytes(bytes(9))
    with pytest.raises(ConfigError, match=r"2 files have changed, such as .*1.bin: it had 8 bytes, now it has 9"):
        files(data).cache(cache)
    (data / "4.bin").write_bytes(bytes(8))
    with pytest.raises(ConfigError, match="samples was 4, and now is 5"):
        files(data).cache(cache)


def test_a_cache_that_another_source_has_filled_meanwhile_is_refused_by_the_loader(tmp_path: Path) -> None:
    one, other = MapSource(Counted(8)).cache(tmp_path), MapSource(Counted(9)).cache(tmp_path)
    epochs(one)
    with Loader(other, 4, workers=0) as loader, pytest.raises(ConfigError, match="another source"):
        loader.spec  # noqa: B018


def test_another_version_of_what_decodes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    from loader import decode

    assert cv2.imwrite(str(tmp_path / "0.png"), np.zeros((4, 4, 3), np.uint8))
    source = ByteFiles(tmp_path / "0.png", decode=decode.image())
    inline(source.cache(tmp_path / "cache"), 1)
    monkeypatch.setattr(cv2, "__version__", "0.1")
    with Loader(source.cache(tmp_path / "cache"), 1, workers=0) as loader, pytest.raises(ConfigError, match=r"cv2 .* has decoded; now it is 0.1"):
        loader.spec  # noqa: B018


def damage(folder: Path, how: str) -> None:
    if how == "a byte":
        with open(folder / "x-a.npy", "r+b") as file:
            file.seek(HEADER_BYTES + 24 * 7)
            file.write(b"\xff")
    elif how == "truncated":
        os.truncate(folder / "x-a.npy", HEADER_BYTES + 24 * 7)
    elif how == "no checksums":
        (folder / "checksums.bin").unlink()
    else:
        (folder / "cache.json").unlink()


@pytest.mark.parametrize(
    ("how", "again"), [("a byte", [7]), ("truncated", [*range(7, 20)]), ("no checksums", [*range(20)]), ("no description", [*range(20)])]
)
def test_a_damaged_cache_is_filled_again(tmp_path: Path, how: str, again: list[int]) -> None:
    epochs(MapSource(Counted()).cache(tmp_path))
    damage(tmp_path, how)
    assert epochs(MapSource(Counted()).cache(tmp_path), 2) == [again, []]


def test_a_description_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    epochs(MapSource(Counted()).cache(tmp_path))
    os.truncate(tmp_path / "cache.json", 9)
    with pytest.raises(ConfigError, match=r"can't be used: .*delete the folder"):
        MapSource(Counted()).cache(tmp_path)


def test_a_disk_that_is_too_small_is_told_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs
    monkeypatch.setattr(os, "statvfs", lambda path: type("Free", (), {"f_bavail": 1, "f_frsize": 400, "real": real(path)}))
    with Loader(MapSource(Counted()).cache(tmp_path), 4, workers=0) as loader, pytest.raises(ConfigError, match="max_bytes=360 would fit"):
        loader.spec  # noqa: B018
    assert epochs(MapSource(Counted()).cache(tmp_path, 300))


def test_a_disk_that_gets_full_ends_the_filling_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = MapSource(Counted()).cache(tmp_path)
    source[0]  # makes the files
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HEADER_BYTES + 24 * 10, before[1]))
    try:
        made = epochs(source, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert 0 < len(made[1]) < 20 or made[1] == [*range(20)]
    assert len([message for message in caplog.messages if "no more samples are added" in message]) == 1


def test_a_cache_that_can_not_be_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs(MapSource(Counted()).cache(tmp_path / "cache").subset(range(8)))
    real = os.open

    def read_only(path: Any, flags: int, *rest: Any) -> int:
        if str(path).startswith(str(tmp_path)) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, "Read-only file system", path)
        return real(path, flags, *rest)

    monkeypatch.setattr(os, "open", read_only)
    assert epochs(MapSource(Counted()).cache(tmp_path / "cache"), 2) == [[*range(8, 20)]] * 2
    with Loader(MapSource(Counted()).cache(tmp_path / "other"), 4, workers=0) as loader, pytest.raises(ConfigError, match="can't be written"):
        loader.spec  # noqa: B018


def test_memory_of_a_source_that_is_gone_is_made_anew() -> None:
    source = MapSource(Counted()).cache()
    pickled = pickle.dumps(source)
    assert epochs(pickle.loads(pickled)) == [[*range(20)]]
    assert epochs(source) == [[]]  # it was shared
    del source
    assert epochs(pickle.loads(pickled)) == [[*range(20)]]


def test_samples_without_bytes_and_of_bfloat16_are_kept(place: Path | None) -> None:
    bfloat16 = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    source = MapSource([(np.full((2, 2), n, bfloat16), np.zeros((0, 3), np.float32)) for n in range(6)])
    assert_same(inline(source.cache(place), 3, 2), inline(source, 3, 2))

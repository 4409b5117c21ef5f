"""Large arrays in object stores: their rows are ranges of one object."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ConfigError, FetchError, Loader, NpyArrays, NpyError, RawArray, SampleError, Source, Windows
from loader import transforms as T
from loader.data.sources.arrays import far_array
from tests.batches import assert_same, inline, take
from tests.servers.faults import Faults
from tests.servers.fronts import Front
from tests.servers.shared import Bucket

pytestmark = pytest.mark.usefixtures("what_obstore_keeps")

ROWS = 90

StartFront = Callable[..., Front]


@pytest.fixture(autouse=True)
def no_array_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(far_array, "_AT_ONCE_BYTES", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    made = tmp_path / "arrays"
    made.mkdir()
    for number, rows in enumerate((40, 50)):
        np.save(made / f"x{number}.npy", rng.integers(0, 256, (rows, 9, 7, 3), np.uint8))
        np.save(made / f"big{number}.npy", rng.normal(size=(rows, 5)).astype(">f4"))
    np.save(made / "y.npy", np.arange(ROWS, dtype=np.int32))
    rng.integers(0, 256, 10 + ROWS * 12, np.uint8).tofile(made / "records.bin")
    return made


def arrays_in(place: str, **options: Any) -> dict[str, Callable[[], Source]]:
    both = [f"{place}/x0.npy", f"{place}/x1.npy"]
    other = [f"{place}/big0.npy", f"{place}/big1.npy"]

    def records() -> RawArray:
        return RawArray(f"{place}/records.bin", "float32", 3, offset=10, **options)

    return {
        "one": lambda: NpyArrays(both[0], **options),
        "two, and labels": lambda: NpyArrays(both, y=f"{place}/y.npy", **options),
        "of the other byte order": lambda: NpyArrays({"a": other, "b": both}, **options),
        "records": lambda: NpyArrays(records()),
        "a sum": lambda: NpyArrays(both[0], **options) + NpyArrays(both[1], **options),
        "windows": lambda: Windows(other, length=6, stride=4, horizon=3, **options),
        "windows that do not overlap": lambda: Windows(both[0], length=4, stride=5, **options),
        "windows of records": lambda: Windows(records(), length=3),
    }


@pytest.mark.parametrize("shuffle", [False, True])
def test_rows_of_objects_make_the_batches_of_files(folder: Path, front: StartFront, shuffle: bool) -> None:
    far, near = arrays_in(front(folder, latency_s=0.01).endpoint), arrays_in(str(folder))
    for number, (what, make) in enumerate(far.items()):
        if number % 2 == shuffle and what != "two, and labels":
            continue
        source = make()
        with Loader(source, 8, workers=2 if what == "two, and labels" else 0, shuffle=shuffle, seed=2) as loader:
            assert_same(take(loader, 2), inline(near[what](), 8, 2, shuffle=shuffle, seed=2))
            assert_same([source[7]], [near[what]()[7]])


def test_rows_that_follow_one_another_come_together(folder: Path, front: StartFront) -> None:
    served = front(folder)
    source = NpyArrays([f"{served.endpoint}/x0.npy", f"{served.endpoint}/x1.npy"])
    served.forget()
    with Loader(source, ROWS, workers=0) as loader:
        take(loader)
    assert sum(asked.startswith("GET") for asked in served.counts().asked) <= 6  # the first row by itself, and a transform may cut batches


def test_one_request_brings_what_a_window_shows_and_what_follows_it(folder: Path, front: StartFront) -> None:
    served = front(folder)
    source = Windows(f"{served.endpoint}/big1.npy", length=6, stride=4, horizon=3)
    served.forget()
    x, y = source[3]
    assert (x.shape, y.shape, len(source.fetchers())) == ((6, 5), (3, 5), 1)
    assert len(served.counts().asked) == 1


@pytest.mark.parametrize("what", ["two, and labels", "records", "windows"])
def test_rows_that_were_fetched_once_are_kept(folder: Path, front: StartFront, tmp_path: Path, what: str) -> None:
    served = front(folder)
    far, near = arrays_in(served.endpoint, cache=tmp_path / "cache")[what](), arrays_in(str(folder))[what]()
    served.forget()
    with Loader(far, 8, workers=1 if what == "records" else 0, shuffle=True) as loader:
        assert_same(take(loader), inline(near, 8, shuffle=True))
    assert max(served.counts().asked.values()) == 1
    again = arrays_in(served.endpoint, cache=tmp_path / "cache")[what]()
    served.forget()
    with Loader(again, 7, workers=0, shuffle=True, seed=5) as loader:
        assert_same(take(loader), inline(near, 7, shuffle=True, seed=5))
    assert served.counts().asked == {}


def test_small_rows_are_kept_in_blocks_and_of_those_that_a_full_cache_lacks_only_the_rows_come(
    folder: Path, front: StartFront, tmp_path: Path
) -> None:
    np.save(folder / "many.npy", np.arange(40_000, dtype=np.int32))  # ten blocks of 4,096 rows
    served = front(folder)
    far = NpyArrays(f"{served.endpoint}/many.npy", cache=tmp_path / "cache", cache_bytes=5 * 17_000)
    near = NpyArrays(folder / "many.npy")
    for epoch in range(2):
        served.forget()
        with Loader(far, 1000, workers=0, drop_last=True) as loader:
            assert_same(take(loader), inline(near, 1000))
        counts = served.counts()
        if epoch:
            assert counts.body_bytes <= 4 * (40_000 - 4 * 4096)  # one of the blocks that were kept may be the last one, which is short
    assert sum(path.stat().st_size for path in (tmp_path / "cache" / "files").rglob("*") if path.is_file()) <= 5 * 17_000


def test_a_cache_that_is_deleted_before_it_is_opened_is_made_anew(folder: Path, front: StartFront, tmp_path: Path) -> None:
    source = arrays_in(front(folder).endpoint, cache=tmp_path / "cache")["one"]()
    shutil.rmtree(tmp_path / "cache")
    with Loader(source, 8, workers=0) as loader:
        assert_same(take(loader), inline(arrays_in(str(folder))["one"](), 8))
    assert any((tmp_path / "cache" / "files").iterdir())


def test_arrays_that_come_by_other_options_can_not_be_joined(folder: Path, front: StartFront, tmp_path: Path) -> None:
    place = f"{front(folder).endpoint}/records.bin"
    with pytest.raises(ConfigError, match="different storage_options= or cache="):
        NpyArrays([RawArray(place, "uint8", 2), RawArray(place, "uint8", 2, cache=tmp_path / "cache")])
    with pytest.raises(ConfigError, match="these files are on this machine"):
        NpyArrays(folder / "x0.npy", cache=tmp_path / "cache")
    with pytest.raises(ConfigError, match="these files are on this machine"):
        Windows(np.arange(10), length=3, cache=tmp_path / "cache")


def test_faults_change_no_bit_of_them(folder: Path, front: StartFront) -> None:
    served = front(folder)
    source = NpyArrays([f"{served.endpoint}/x0.npy", f"{served.endpoint}/x1.npy"])
    served.set_faults(Faults(seed=2, unavailable=0.1, reset=0.1, short=0.1, hang=0.05, attempts=2))
    settings: dict[str, Any] = {"shuffle": True, "transforms": [T.Rescale(1 / 255), T.Flip("horizontal")]}
    with Loader(source, 8, workers=2, **settings) as loader:
        assert_same(take(loader, 2), inline(NpyArrays([folder / "x0.npy", folder / "x1.npy"]), 8, 2, **settings))
        assert loader.stats().errors == 0


def test_an_object_that_changes_is_an_error_that_names_the_row(folder: Path, front: StartFront) -> None:
    served = front(folder)
    source = NpyArrays(f"{served.endpoint}/x0.npy")
    with Loader(source, 8, workers=0) as loader:
        next(iter(loader))
        np.save(folder / "x0.npy", np.zeros((40, 9, 7, 3), np.uint8))
        with pytest.raises(SampleError, match=r"x0\.npy, row \d+\).*has changed since"):
            take(loader, 2)


def test_a_pattern_in_a_bucket_is_joined(folder: Path, s3_bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    s3_bucket.put_folder(folder, "data/")
    for name, value in s3_bucket.environment.items():
        monkeypatch.setenv(name, value)
    source = NpyArrays(f"{s3_bucket.url}/data/x*.npy", y=f"{s3_bucket.url}/data/y.npy")
    with Loader(source, 8, workers=1, shuffle=True) as loader:
        assert_same(take(loader), inline(NpyArrays(f"{folder}/x*.npy", y=folder / "y.npy"), 8, shuffle=True))


def test_small_arrays_come_at_once_and_need_the_store_no_more(folder: Path, front: StartFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    served = front(folder)
    source = NpyArrays(f"{served.endpoint}/x0.npy")
    served.set_faults(Faults(unavailable=1.0))
    with Loader(source, 8, workers=0) as loader:
        assert_same(take(loader), inline(NpyArrays(folder / "x0.npy"), 8))
    assert source.rows_at_once == 0


def test_arrays_without_numbers_are_arrays_like_any_other(folder: Path, front: StartFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    np.save(folder / "none.npy", np.zeros((0, 5), np.float32))
    np.save(folder / "narrow.npy", np.zeros((4, 0), ">f4"))
    served = front(folder)
    assert len(NpyArrays(f"{served.endpoint}/none.npy")) == 0
    assert_same([NpyArrays(f"{served.endpoint}/narrow.npy")[3]], [NpyArrays(folder / "narrow.npy")[3]])
    joined = NpyArrays([f"{served.endpoint}/none.npy", f"{served.endpoint}/big1.npy"])
    assert_same([joined[49]], [NpyArrays(folder / "big1.npy")[49]])


def test_what_can_not_be_read_by_rows_says_why(folder: Path, front: StartFront) -> None:
    np.save(folder / "f.npy", np.asfortranarray(np.ones((4, 5))))
    (folder / "cut.npy").write_bytes((folder / "x0.npy").read_bytes()[:-1])
    (folder / "empty.npy").write_bytes(b"")
    served = front(folder)
    with pytest.raises(FetchError, match="is empty"):
        NpyArrays(f"{served.endpoint}/empty.npy")
    with pytest.raises(NpyError, match="is in Fortran order"):
        NpyArrays(f"{served.endpoint}/f.npy")
    with pytest.raises(NpyError, match="truncated"):
        NpyArrays(f"{served.endpoint}/cut.npy")

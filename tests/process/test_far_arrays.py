"""Large arrays in object stores: their rows are ranges of one object."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays, NpyError, RawArray, SampleError, Source
from loader import transforms as T
from loader.data.sources.arrays import far_array
from tests.batches import assert_same, inline, take
from tests.servers.faults import Faults
from tests.servers.fronts import Front
from tests.servers.shared import Bucket

ROWS = 90

StartFront = Callable[..., Front]


@pytest.fixture(scope="module", autouse=True)
def what_obstore_keeps() -> None:
    """Start its threads, and open their descriptors, which stay for the whole life of the process: before the first test is looked at."""
    from obstore.store import MemoryStore

    MemoryStore().put("x", b"")


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


def arrays_in(place: str) -> dict[str, Source]:
    both = [f"{place}/x0.npy", f"{place}/x1.npy"]
    return {
        "one": NpyArrays(f"{place}/x0.npy"),
        "two, and labels": NpyArrays(both, y=f"{place}/y.npy"),
        "of the other byte order": NpyArrays({"a": [f"{place}/big0.npy", f"{place}/big1.npy"], "b": both}),
        "records": NpyArrays(RawArray(f"{place}/records.bin", "float32", 3, offset=10)),
        "a sum": NpyArrays(both[0]) + NpyArrays(both[1]),
    }


@pytest.mark.parametrize("shuffle", [False, True])
def test_rows_of_objects_make_the_batches_of_files(folder: Path, front: StartFront, shuffle: bool) -> None:
    far, near = arrays_in(front(folder, latency_s=0.01).endpoint), arrays_in(str(folder))
    for what, source in far.items():
        with Loader(source, 8, workers=2 if what == "two, and labels" else 0, shuffle=shuffle, seed=2) as loader:
            assert_same(take(loader, 2), inline(near[what], 8, 2, shuffle=shuffle, seed=2))
            assert_same([source[7]], [near[what][7]])


def test_rows_that_follow_one_another_come_together(folder: Path, front: StartFront) -> None:
    served = front(folder)
    source = NpyArrays([f"{served.endpoint}/x0.npy", f"{served.endpoint}/x1.npy"])
    served.forget()
    with Loader(source, ROWS, workers=0) as loader:
        take(loader)
    assert sum(asked.startswith("GET") for asked in served.counts().asked) <= 6  # the first row by itself, and a transform may cut batches


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


def test_what_can_not_be_read_by_rows_says_why(folder: Path, front: StartFront) -> None:
    np.save(folder / "f.npy", np.asfortranarray(np.ones((4, 5))))
    (folder / "cut.npy").write_bytes((folder / "x0.npy").read_bytes()[:-1])
    served = front(folder)
    with pytest.raises(NpyError, match="is in Fortran order"):
        NpyArrays(f"{served.endpoint}/f.npy")
    with pytest.raises(NpyError, match="truncated"):
        NpyArrays(f"{served.endpoint}/cut.npy")

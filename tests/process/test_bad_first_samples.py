"""`on_error="substitute"` where the first samples are bad: others show shapes and dtypes, and batches are the same for any number of workers."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ByteFiles, Loader, MapSource, NpyFiles, SampleError, Source, Zip
from loader import transforms as T
from loader.data.pipeline.substitution import substitute
from tests.batches import Batch, assert_same, copied, first_numbers, take, take_until_replaced
from tests.processes import supervisor_of

pytestmark = pytest.mark.filterwarnings("ignore:sample .* is bad, and another one takes its place:RuntimeWarning")
N, SEED = 40, 3

BAD = frozenset(range(6))
"""As many as the first folder of a data set may have; the other places that are tried are spread over the source."""


def wanted() -> list[int]:
    stand_ins = {bad: next(other for attempt in range(1, 17) if (other := substitute(SEED, 0, bad, attempt, N)) not in BAD) for bad in BAD}
    return [stand_ins.get(number, number) for number in range(N)]


def number_in(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.float32, 12, 128).reshape(4, 3)


def truncated(path: Path) -> None:
    os.truncate(path, 150)


def without_header(path: Path) -> None:
    path.write_bytes(b"")


class Items:
    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> Any:
        if index in BAD:
            raise OSError(f"item {index} can't be read")
        return np.full((4, 3), index, np.float32)


def files(folder: Path, damage: Callable[[Path], None]) -> Path:
    for number in BAD:
        damage(folder / f"{number:06d}.npy")
    return folder


SOURCES: dict[str, Callable[[Any], Source]] = {
    "cut files": lambda write: NpyFiles(files(write(N), truncated)),
    "no headers": lambda write: NpyFiles(files(write(N), without_header)),
    "files for a function": lambda write: ByteFiles(files(write(N), truncated), decode=number_in),
    "a part": lambda write: Zip(NpyFiles(write(N)), y=ByteFiles(files(write(N), truncated), decode=number_in)),
    "a subset": lambda write: NpyFiles(files(write(N), without_header)).subset(range(N)),
    "a sum": lambda write: NpyFiles(files(write(10), truncated)) + ByteFiles(write(N), decode=number_in).subset(range(10, N)),
    "a cache": lambda write: ByteFiles(files(write(N), truncated), decode=number_in).cache(),
    "an object": lambda write: MapSource(Items()),
}


def found(source: Source, workers: int, **settings: Any) -> list[Batch]:
    with Loader(source, 7, seed=SEED, io_retries=0, workers=workers, on_error="substitute", **settings) as loader:
        return take(loader)


@pytest.mark.parametrize("kind", SOURCES)
def test_others_show_what_samples_are_like_and_the_bad_ones_are_substituted(kind: str, npy_folder: Any) -> None:
    source = SOURCES[kind](npy_folder)
    expected = found(source, 0)
    assert first_numbers(expected) == wanted()
    assert_same(found(source, 2), expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_function_that_fails_on_the_first_samples_is_tried_on_others(workers: int, npy_folder: Any) -> None:
    def step(sample: Any, rng: np.random.Generator) -> Any:
        if int(sample[0][0, 0]) in BAD:
            raise ZeroDivisionError("by hand")
        return (sample[0][:2],)

    assert first_numbers(found(NpyFiles(npy_folder(N)), workers, transforms=[step, T.Cast("int16")])) == wanted()


@pytest.mark.parametrize("workers", [0, 2])
def test_each_of_them_is_counted_once_where_it_is_met(workers: int, npy_folder: Any, tmp_path: Path) -> None:
    source, report = NpyFiles(files(npy_folder(N), truncated)), tmp_path / "bad.jsonl"
    with Loader(source, N, workers=workers, on_error="substitute", seed=SEED, quarantine=report) as loader:
        next(iter(loader))
        assert loader.stats().quarantined == len(BAD)
    entries = [json.loads(line) for line in report.read_text().splitlines()]
    assert {entry["index"] for entry in entries} == BAD
    assert all("truncated" in entry["reason"] and "first sample" not in entry["reason"] for entry in entries)


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_samples_at_the_start_of_what_is_added_are_bad_alone(workers: int, npy_folder: Any) -> None:
    """Otherwise the first one would be told for any of them."""
    source = ByteFiles(npy_folder(N), decode=number_in) + ByteFiles(files(npy_folder(N), truncated), decode=number_in)
    with Loader(source, N, workers=workers, on_error="substitute", seed=SEED) as loader:
        _, second = take(loader)
        assert loader.stats().quarantined == len(BAD)
    assert first_numbers([second])[len(BAD) :] == list(range(len(BAD), N))
    with Loader(source.subset(range(N + len(BAD), 2 * N)), N, workers=workers) as loader:
        assert first_numbers(take(loader)) == list(range(len(BAD), N))


@pytest.mark.parametrize("workers", [0, 2])
def test_windows_of_blocks_are_those_of_every_process(workers: int, npy_folder: Any) -> None:
    source = NpyFiles(files(npy_folder(N), without_header))
    assert_same(found(source, workers, shuffle="blocks"), found(NpyFiles(source.paths), 0, shuffle="blocks"))


@pytest.mark.filterwarnings("ignore:.*supervisor:RuntimeWarning")
def test_the_next_supervisor_learns_from_the_same_sample(npy_folder: Any) -> None:
    source = Zip(NpyFiles(npy_folder(N)), y=ByteFiles(files(npy_folder(N), truncated), decode=number_in))
    with Loader(source, 7, seed=SEED, workers=2, on_error="substitute") as loader:
        assert first_numbers(take(loader)) == wanted()
        os.kill(supervisor_of(loader), signal.SIGKILL)
        batches = loader.batches()
        found = first_numbers([*take_until_replaced(loader, batches), *(copied(next(batches)) for _ in range(len(loader)))])
        assert all(number == place % N for place, number in enumerate(found) if place % N >= len(BAD))


@pytest.mark.parametrize("workers", [0, 1])
def test_where_none_is_good_the_error_is_that_of_the_first_one(workers: int, npy_folder: Any) -> None:
    folder = npy_folder(N)
    for path in folder.iterdir():
        truncated(path)
    with Loader(NpyFiles(folder), 7, workers=workers, on_error="substitute") as loader:
        for _ in range(2):
            with pytest.raises(SampleError, match=r"sample 0 .*truncated.* and 16 others that were tried, spread over the source, are bad, too"):
                take(loader)


def test_without_substitution_the_first_bad_sample_is_an_error() -> None:
    words = r"sample 0: .*The first sample must be good"
    with Loader(MapSource(Items()), 7, workers=0, io_retries=0) as loader, pytest.raises(SampleError, match=words):
        take(loader)


def test_a_source_whose_first_sample_is_good_is_asked_for_no_other_one() -> None:
    asked = []

    class Counting:
        def __len__(self) -> int:
            return N

        def __getitem__(self, index: int) -> Any:
            asked.append(index)
            return np.float32(index)

    with Loader(MapSource(Counting()), 7, workers=0, on_error="substitute") as loader:
        assert loader.spec
    assert set(asked) == {0}

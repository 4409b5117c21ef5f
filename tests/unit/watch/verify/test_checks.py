"""What the workers of `loader inspect --verify` do with an item, and what they leave to the pool."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loader import MapSource, NpyFiles
from loader.data.transforms import OneHot
from loader.produce.failures import exhaustion
from loader.watch.verify.checks import BadItem, Column, Examine, FileCheck, Results, SampleCheck
from loader.watch.verify.file_check import Usual, usual_form

RNG = np.random.default_rng(0)


class Items:
    """Three items, of which the last one is bad; remembers which were looked at."""

    noun = "items"
    timeout_s = 1.0

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __len__(self) -> int:
        return 3

    def name_of(self, index: int) -> str | None:
        return None

    def check(self, index: int, advance: Callable[[int], None]) -> tuple[int, int]:
        self.seen.append(index)
        advance(10)
        advance(index)
        if index == 2:
            raise BadItem("for a test")
        return 1, index


@pytest.fixture
def results(tmp_path: Path) -> Results:
    (tmp_path / "table").write_bytes(bytes(8 * len(Column) * 3))
    return Results(str(tmp_path / "table"), str(tmp_path / "report"))


def test_each_item_is_noted_once_and_samples_that_stand_for_none_are_left_alone(results: Results, tmp_path: Path) -> None:
    items = Items()
    examine = Examine(items, results)
    for number in [0, 1, 2, 3, 4, 12, 3, 1]:
        assert examine((np.int32(number),), RNG) == (number,)
    assert items.seen == [0, 1, 2]
    assert results.columns.tolist() == [[1, 1, 1], [10, 11, 12], [1, 1, 0], [0, 1, 0]]
    assert (tmp_path / "report").read_text().count("for a test") == 1


def test_an_item_at_which_a_worker_died_is_looked_at_again(results: Results) -> None:
    items = Items()
    results.columns[Column.BYTES, 1] = 7  # so far it came
    Examine(items, results)((np.int32(2),), RNG)
    assert results.columns[:, 1].tolist() == [1, 11, 1, 1]


def test_a_file_may_take_longer_the_larger_it_is(npy_folder) -> None:
    files = NpyFiles(npy_folder(2))
    small = FileCheck(files, usual_form(files))
    large = FileCheck(files, Usual((10**9,), "<f4", "x.npy"))
    assert 60 <= small.timeout_s < 61
    assert large.timeout_s == 60 + 1000


def translated() -> RuntimeError:
    error = RuntimeError("a library's own words")
    error.__cause__ = MemoryError()
    return error


@pytest.mark.parametrize("error", [MemoryError(), translated(), OSError(errno.EMFILE, "Too many open files")], ids=["memory", "words", "descriptors"])
def test_what_a_worker_lacks_is_left_to_the_pool(error: Exception) -> None:
    class Lacking:
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> np.ndarray:
            if index:
                raise error
            return np.zeros(2)

    check = SampleCheck(MapSource(Lacking()), transforms=(), seed=0)
    check.check(0, lambda nbytes: None)
    with pytest.raises(type(error)) as raised:
        check.check(1, lambda nbytes: None)
    assert exhaustion(raised.value) is not None


def test_transforms_that_do_not_fit_make_a_sample_bad() -> None:
    check = SampleCheck(MapSource([(np.zeros(2), np.float32(0.5))]), transforms=[OneHot(3)], seed=0)
    with pytest.raises(BadItem, match="OneHot"):
        check.check(0, lambda nbytes: None)

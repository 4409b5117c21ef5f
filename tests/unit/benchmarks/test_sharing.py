"""The comparison of shared pools: what can be checked without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.sharing.compare import SETTINGS, Pool
from benchmarks.peers.sharing.pool import COMPARED, WHO, read


class Tensor:
    def __init__(self, value: int) -> None:
        self._value = value

    def numpy(self) -> Any:
        return np.full(3, self._value)


def test_a_reader_tells_how_many_batches_it_has_taken_and_the_fingerprints_of_the_first_ones(tmp_path: Path) -> None:
    pool = Pool("loader", {}, tmp_path, [0.0, 0.0])
    pool.reports = [tmp_path / "first", tmp_path / "second", tmp_path / "nobody"]
    for report, count in zip(pool.reports, (COMPARED + 5, 2), strict=False):
        read(((Tensor(number), Tensor(0)) for number in range(count)), report, 0.0)
    assert pool.taken() == [COMPARED + 5, 2, 0]
    first, second = (report.read_text().split()[1:] for report in pool.reports[:2])
    assert (len(set(first)), second) == (COMPARED, first[:2])


def test_each_of_those_that_are_compared_has_settings() -> None:
    assert list(SETTINGS) == list(WHO)

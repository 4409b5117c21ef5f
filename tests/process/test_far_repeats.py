"""Samples of far data that are wanted more than once within what is begun beforehand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays, NpyFiles
from loader.data.pipeline.segments import read_rows
from loader.data.remote.gathering.gather import Gather
from loader.data.remote.objects import Span
from loader.data.remote.options import StorageOptions
from loader.data.rows import RowGauge
from loader.errors import DataNotFoundError
from tests.batches import assert_same, inline, take
from tests.servers.fronts import Front

pytestmark = pytest.mark.usefixtures("what_obstore_keeps")

StartFront = Callable[..., Front]


def test_an_object_that_is_wanted_again_before_it_was_taken_comes_once(npy_folder: Any, front: StartFront) -> None:
    folder = npy_folder(3)
    server = front(folder)
    names = sorted(path.name for path in folder.glob("*.npy"))
    source = NpyFiles([f"{server.endpoint}/{name}" for name in names])
    (fetcher,), leaf = source.fetchers(), source.spec.leaves[0]
    assert fetcher.counts is not None
    before = fetcher.counts.fetched
    fetcher.expecting = True
    source.will_read(np.array([0, 1, 0]))
    source.will_read(np.array([2, 0]))
    fetcher.expecting = False
    for indices in ([0, 1, 0], [2, 0]):
        source.will_read(np.array(indices))  # as who reads them says once more
        out = np.empty((len(indices), *leaf.shape), leaf.dtype)
        read_rows(source, np.array(indices), [out], RowGauge(memoryview(bytearray(8)).cast("q"), 0))
        np.testing.assert_array_equal(out, np.stack([np.load(folder / names[index]) for index in indices]))
    assert fetcher.counts.fetched - before == 3
    gather = fetcher._gather
    assert gather is not None
    assert not gather._flights
    gather.close()


def test_a_row_that_is_wanted_again_before_it_was_taken_comes_once(tmp_path: Path, front: StartFront) -> None:
    rows = np.random.default_rng(0).random((5000, 600))  # more than what comes whole
    np.save(tmp_path / "x.npy", rows)
    server = front(tmp_path)
    source = NpyArrays(f"{server.endpoint}/x.npy")
    (fetcher,) = source.fetchers()
    assert fetcher.counts is None
    fetcher.expecting = True
    source.will_read(np.array([7, 3000, 7]))
    source.will_read(np.array([7]))
    fetcher.expecting = False
    for indices in ([7, 3000, 7], [7]):
        source.will_read(np.array(indices))
        out = np.empty((len(indices), 600))
        read_rows(source, np.array(indices), [out], RowGauge(memoryview(bytearray(8)).cast("q"), 0))
        np.testing.assert_array_equal(out, rows[indices])
    assert fetcher._gather is not None
    assert fetcher._gather.counts.fetched == 2
    assert not fetcher._gather._flights
    fetcher._gather.close()


def test_what_failed_is_asked_for_anew_by_the_next_one_who_wants_it(tmp_path: Path, front: StartFront) -> None:
    span = Span(f"{front(tmp_path).endpoint}/late.bin")
    gather = Gather(StorageOptions(), 60.0, 4, 4)
    for _ in range(2):
        gather.begin([span], again=True)
    with pytest.raises(DataNotFoundError):
        gather.take(span)
    (tmp_path / "late.bin").write_bytes(b"there by now")
    assert bytes(gather.take(span).content) == b"there by now"
    gather.close()


def test_few_samples_are_read_again_and_again(npy_folder: Any, front: StartFront) -> None:
    folder = npy_folder(20)
    server = front(folder)
    names = sorted(path.name for path in folder.glob("*.npy"))
    far, near = NpyFiles([f"{server.endpoint}/{name}" for name in names]), NpyFiles([folder / name for name in names])
    with Loader(far, 3, shuffle=True, workers=2) as loader:
        assert_same(take(loader, 4), inline(near, 3, 4, shuffle=True))

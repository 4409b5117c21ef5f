"""`source.shapes()` with a pool: the same for any number of workers, all bad samples at once, a bar on a terminal."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import loader.train.shapes as pooled
from loader import MapSource, NpyFiles, SampleError
from tests.process.test_progress import lines, on_a_terminal


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave all but the first sample to the pool, and remember nothing."""
    monkeypatch.setattr(pooled, "_BEGIN_S", 0.0001)
    monkeypatch.setattr(pooled, "_POOL_S", 0.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def files(folder: Path, count: int = 600) -> NpyFiles:
    for number in range(count):
        np.save(folder / f"{number:03}.npy", np.zeros((1 + number % 7, 2), np.float32))
    return NpyFiles(folder, labels=np.arange(count))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_shapes_are_the_same_for_any_number_of_workers(workers: int, tmp_path: Path) -> None:
    found = files(tmp_path).shapes(workers=workers)
    assert found["x"].tolist() == [[1 + number % 7, 2] for number in range(600)]
    assert found["y"].shape == (600, 0)


def test_all_bad_files_are_named_with_workers_too(tmp_path: Path) -> None:
    source = files(tmp_path)
    for number in (5, 599):
        (tmp_path / f"{number:03}.npy").write_bytes(b"")
    with pytest.raises(SampleError, match=r"(?s)sample 5 \(.*005\.npy\).*2 samples of 600 are bad; the others:.*sample 599 "):
        source.shapes(workers=2)


class KillsOnce:
    """Samples of different lengths; the first process that reads number 300 dies."""

    def __init__(self, mark: str, me: int) -> None:
        self.mark, self.me = mark, me

    def __len__(self) -> int:
        return 600

    def __getitem__(self, index: int) -> Any:
        if index == 300 and os.getpid() != self.me and not os.path.exists(self.mark):
            open(self.mark, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return np.zeros(1 + index % 5)


def test_a_worker_that_is_killed_changes_nothing(tmp_path: Path) -> None:
    source = MapSource(KillsOnce(str(tmp_path / "mark"), os.getpid()))
    assert source.shapes(workers=2)["x"].ravel().tolist() == [1 + number % 5 for number in range(600)]
    assert (tmp_path / "mark").exists()


SCRIPT = """
import loader.train.shapes as pooled
from loader import MapSource
pooled._BEGIN_S, pooled._POOL_S = 0.0001, 0.0
found = MapSource([np.zeros(1 + n % 3) for n in range(2000)]).shapes(workers=1, progress={progress})
print(found["x"].sum())
"""


def test_a_bar_is_drawn_on_a_terminal(tmp_path: Path) -> None:
    status, out, shown = on_a_terminal(tmp_path, SCRIPT.format(progress=True))
    assert (status, out.split()) == (0, ["3999"])
    assert "shapes" in lines(shown)[-1]
    assert "8/8" in lines(shown)[-1]
    assert on_a_terminal(tmp_path, SCRIPT.format(progress=False)) == (0, "3999\n", "")

"""Workers ask for what comes next while it has to come from storage, and leave it while it is in memory."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.cold import put_files_out_of_memory
from loader import Loader, NpyArrays, PipelineError
from tests.batches import assert_same, inline, take

ROWS, WIDTH = 300, 100_000


class Noted(NpyArrays):
    """Counts in a file, a byte for each, the samples that are asked for."""

    def __init__(self, path: Path, notes: Path) -> None:
        super().__init__(path)
        self.notes = str(notes)

    def will_read(self, indices: Any) -> None:
        fd = os.open(self.notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, bytes(len(indices)))
        os.close(fd)
        super().will_read(indices)


@pytest.fixture
def source(tmp_path: Path) -> Noted:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.integers(0, 256, (ROWS, WIDTH), np.uint8))
    return Noted(tmp_path / "x.npy", tmp_path / "notes")


def is_cold(path: Path) -> bool:
    """Put a file out of the page cache; return whether that could be done."""
    try:
        put_files_out_of_memory([path])
    except (OSError, RuntimeError):
        return False
    return True


@pytest.mark.parametrize("shuffle", [True, 100, False])
def test_what_comes_from_storage_is_asked_for_and_makes_the_same_batches(source: Noted, tmp_path: Path, shuffle: bool | int) -> None:
    expected = inline(NpyArrays(tmp_path / "x.npy"), 16, 1, shuffle=shuffle)  # a source that is gone: what is mapped stays in memory
    if not is_cold(tmp_path / "x.npy"):
        pytest.skip("the files of this test can't be put out of memory")
    with Loader(source, 16, shuffle=shuffle, workers=2) as loader:
        assert_same(take(loader, 1), expected)
    assert (tmp_path / "notes").stat().st_size > ROWS // 2


def test_what_is_in_memory_is_not_asked_for(source: Noted, tmp_path: Path) -> None:
    (tmp_path / "x.npy").read_bytes()
    with Loader(source, 16, shuffle=True, workers=2) as loader:
        for _ in range(10):
            for _ in loader:
                pass
    asked = (tmp_path / "notes").stat().st_size if (tmp_path / "notes").exists() else 0
    assert asked < 10 * ROWS // 4


class Stuck(NpyArrays):
    def will_read(self, indices: Any) -> None:
        time.sleep(1000)


def test_a_will_read_that_hangs_is_named_after_three_time_outs_and_no_sample_is() -> None:
    with Loader(Stuck(np.arange(64)), 32, workers=1, sample_timeout_s=1.0, on_error="substitute") as loader:
        with pytest.raises(PipelineError, match=r"will_read\(\) of the source made no progress for 1 s .* 3 times in a row") as caught:
            take(loader)
        assert "in will_read" in str(caught.value)
        assert "sample 0" not in str(caught.value)

"""What the script has mapped is not copied, wherever it hides; what would be copied is said, and compared with the memory there is."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from loader import Loader, MapSource, MemoryLimitError, NpyArrays, PipelineError
from tests.batches import take, take_until_replaced
from tests.processes import supervisor_of

MIB = 2**20
ROWS = 2_500_000  # of 4 KiB: 10 GB, of which the disk has next to nothing


class Rows:
    """A dataset that has mapped its file."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return np.array(self.rows[index])


@pytest.fixture
def large(tmp_path: Path) -> Any:
    """Return a map of a file of 10 GB with some numbers at its ends."""
    rows = np.lib.format.open_memmap(tmp_path / "large.npy", "w+", np.float32, (ROWS, 1024))
    rows[0], rows[-1] = 1, 2
    rows.flush()
    return np.load(tmp_path / "large.npy", mmap_mode="r")


def adding(table: Any) -> Any:
    def add(sample: Any, rng: np.random.Generator) -> Any:
        return (sample[0] + np.ravel(table[-1, 0])[-1],)

    return add


PLACES: dict[str, Callable[[Any], tuple[Any, list[Any]]]] = {
    "an attribute": lambda large: (MapSource(Rows(large)), []),
    "a closure": lambda large: (NpyArrays(np.zeros(4)), [adding(large)]),
    "a closure over windows": lambda large: (NpyArrays(np.zeros(4)), [adding(sliding_window_view(large, 8, axis=0))]),
    "windows": lambda large: (NpyArrays(sliding_window_view(large, 8, axis=0)), []),
    "an attribute with windows": lambda large: (MapSource(Rows(sliding_window_view(large, 8, axis=0))), []),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.filterwarnings("error")
def test_a_mapped_file_of_10_gb_takes_no_memory_in(place: str, large: Any) -> None:
    before = psutil.Process().memory_full_info().uss
    source, transforms = PLACES[place](large)
    with Loader(source.subset([0, -1]), 2, workers=2, transforms=transforms) as loader:
        ((x,),) = take(loader)
        assert loader.stats().memory.arena_bytes < 100 * MIB  # with what travelled
        assert psutil.Process().memory_full_info().uss - before < 100 * MIB
    first, last = (0, 0) if "closure" in place else (x[0].flat[0], x[1].flat[-1])
    assert (first, last) == ((0, 0) if "closure" in place else (1, 2))
    assert "closure" not in place or x.tolist() == [2, 2]


def test_a_mapped_file_that_is_deleted_while_its_supervisor_starts_again_is_an_error_that_names_it(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(100_000).reshape(1000, 100))
    with Loader(MapSource(Rows(np.load(tmp_path / "x.npy", mmap_mode="r"))), 4, workers=1) as loader:
        next(iter(loader))
        (tmp_path / "x.npy").unlink()
        os.kill(supervisor_of(loader), signal.SIGKILL)
        with pytest.warns(RuntimeWarning, match="died"), pytest.raises(PipelineError) as caught:
            take_until_replaced(loader, loader.batches())
    assert f"a file that the script has mapped can't be mapped there: [Errno 2] No such file or directory: '{tmp_path}/x.npy'" in str(caught.value)


def test_what_is_copied_is_a_warning_and_what_does_not_fit_an_error_before_it_is_copied(tmp_path: Path) -> None:
    table = np.zeros(20 * MIB, np.uint8)
    with pytest.warns(RuntimeWarning, match="the source has the attribute rows, which takes 20 MiB and is copied") as caught:
        Loader(MapSource(Rows(table)), 4, workers=1).close()
    assert caught[0].filename == __file__
    with pytest.raises(
        MemoryLimitError, match=r"memory_limit is 16.0 MiB, but arrays and other data of the script take 20.0 MiB with them"
    ) as refused:
        Loader(NpyArrays(table), 4, workers=1, memory_limit=16 * MIB)
    assert "What to do: " in str(refused.value)
    np.save(tmp_path / "x.npy", table)
    with Loader(NpyArrays(np.load(tmp_path / "x.npy", mmap_mode="r")), 4, workers=1, memory_limit="100MiB") as loader:
        next(iter(loader))

"""Very many, very small and very large: each test checks contents, not only that it runs."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from loader import Loader, NpyArrays, NpyFiles
from loader.data.npy.reader import NpyReader
from loader.data.order import Order
from tests.batches import assert_same, first_numbers, inline, take
from tests.processes import anonymous_bytes, supervisor_of, wait_until_gone, workers_of

pytestmark = pytest.mark.cold

SEED = 5
MIB = 2**20
GIB = 2**30


def order_of(samples: int, rows: int, epoch: int = 0) -> np.ndarray:
    """Return the samples in the first `rows` rows of a shuffled epoch."""
    return Order(samples, SEED, shuffle=True).indices(epoch, np.arange(rows))


def write_sparse(path: Path, shape: tuple[int, ...], places: Sequence[int], values: Sequence[int]) -> str:
    """Write a `.npy` file of uint8 that takes no disk: zeros, but for `values` at `places`, counted in bytes of data."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        start = file.tell()
        file.truncate(start + int(np.prod(shape, dtype=np.int64)))
        for place, value in zip(places, values, strict=True):
            os.pwrite(file.fileno(), bytes([value]), start + place)
    return str(path)


def need_memory(nbytes: int) -> None:
    available = psutil.virtual_memory().available
    if available < nbytes:
        pytest.skip(f"needs {nbytes / GIB:.0f} GiB of memory, {available / GIB:.1f} GiB are available")


# --- very many ------------------------------------------------------------------------------------------------------------------------


def test_a_million_paths_lie_in_memory_once_for_eight_workers(npy_folder: Callable[..., Path], tmp_path: Path) -> None:
    different, folders, rows = 1_000, 1_000, 64 * 30
    folder = npy_folder(different)
    files = sorted(os.listdir(folder))
    links = [tmp_path / f"link{number}" for number in range(folders)]
    for link in links:
        link.symlink_to(folder)
    paths = [f"{link}/{file}" for link in links for file in files]
    with Loader(NpyFiles(paths), 64, shuffle=True, seed=SEED, workers=8) as loader:
        batches = loader.batches()
        assert first_numbers(next(batches) for _ in range(rows // 64)) == (order_of(len(paths), rows) % different).tolist()
        found = [anonymous_bytes(pid) for pid in workers_of(loader, 8)]
        assert max(found) < 8 * MIB < sum(map(len, paths)), found


def test_a_billion_rows_take_no_more_memory_than_a_thousand(tmp_path: Path) -> None:
    batch_size, batches = 64, 40
    found = {}
    for samples in (1_000, 1_000_000_000):
        rows = min(samples, batch_size * batches)
        # Each value tells the place in the order, and rows that are not due are 0: any wrong row is seen.
        values = np.arange(rows) % 251 + 1
        path = write_sparse(tmp_path / f"{samples}.npy", (samples,), order_of(samples, rows).tolist(), values.tolist())
        with Loader(NpyArrays(path), batch_size, shuffle=True, seed=SEED, workers=2) as loader:
            taken = loader.batches()
            x = np.concatenate([np.array(next(taken)[0]) for _ in range(-(-rows // batch_size))])
            assert x.tolist() == values.tolist()
            found[samples] = sum(map(anonymous_bytes, [supervisor_of(loader), *workers_of(loader, 2)]))
    assert found[1_000_000_000] < found[1_000] + 4 * MIB, found


def test_thousands_of_epochs_of_three_samples_come_in_their_order() -> None:
    first, epochs = 2**16 - 1_000, 2_000
    order = Order(3, SEED, shuffle=True)
    positions = np.arange(3)
    with Loader(NpyArrays(np.arange(3)), 3, shuffle=True, seed=SEED, workers=2) as loader:
        loader.load_state_dict({**loader.state_dict(), "epoch": first})
        for epoch in range(first, first + epochs):
            (batch,) = loader
            assert batch[0].tobytes() == order.indices(epoch, positions).astype(batch[0].dtype).tobytes(), epoch


def test_sixty_four_workers_make_the_same_batches_and_are_gone_afterwards(npy_folder: Callable[..., Path]) -> None:
    source = NpyFiles(npy_folder(300))
    with Loader(source, 5, shuffle=True, seed=SEED, workers=64) as loader:
        assert_same(take(loader, 2), inline(source, 5, 2, shuffle=True, seed=SEED))
        pids = [supervisor_of(loader), *workers_of(loader, 64)]
        assert len(set(pids)) == 65
    wait_until_gone(pids)


@pytest.mark.thorough
@pytest.mark.time_limit(200)
def test_many_loaders_one_after_the_other_leave_nothing() -> None:
    x = np.arange(12)
    held = {}
    for count in range(1, 61):
        with Loader(NpyArrays(x), 4, workers=1, slots=2) as loader:
            if count % 5 == 0:  # the others are closed while they boot
                assert np.concatenate(take(loader), axis=1).tolist() == [x.tolist()]
        del loader
        if count in (20, 60):
            gc.collect()
            held[count] = held_by_this_process()
    (descriptors, mappings, rss), (later_descriptors, later_mappings, later_rss) = held[20], held[60]
    assert later_descriptors <= descriptors
    assert later_mappings <= mappings + 4, held  # the allocator's own
    assert later_rss < rss + 2 * MIB, held


def held_by_this_process() -> tuple[int, int, int]:
    """Return descriptors, mappings, bytes of resident memory."""
    return len(os.listdir("/proc/self/fd")), len(Path("/proc/self/maps").read_text().splitlines()), psutil.Process().memory_info().rss


# --- very small and very large --------------------------------------------------------------------------------------------------------


def test_batches_of_one_sample_of_one_byte(npy_folder: Callable[..., Path]) -> None:
    for source in (NpyFiles(npy_folder(150, (), "uint8")), NpyArrays(np.arange(150, dtype=np.uint8))):
        with Loader(source, 1, shuffle=True, seed=SEED, workers=2) as loader:
            assert (loader.spec.nbytes, len(loader)) == (1, 150)
            assert first_numbers(take(loader, 2)) == [*order_of(150, 150), *order_of(150, 150, epoch=1)]


@pytest.mark.large
@pytest.mark.time_limit(200)
def test_a_batch_of_more_than_four_gigabytes(tmp_path: Path) -> None:
    need_memory(12 * GIB)
    row, different, rows = 64 * MIB, 4, 65
    ends = [place for number in range(different) for place in (number * row, number * row + row // 2, (number + 1) * row - 1)]
    path = write_sparse(tmp_path / "rows.npy", (different, row), ends, [1 + place // row for place in ends])
    chosen = np.arange(rows) % different  # a few rows again and again, so that the page cache stays small
    with Loader(NpyArrays(path).subset(chosen), rows, slots=2, workers=2) as loader:
        (x,) = next(iter(loader))
        assert x.shape == (rows, row)
        assert x.nbytes > 4 * GIB
        for place in (0, row // 2, row - 1):
            assert x[:, place].tolist() == (1 + chosen).tolist()
        assert not x[-different:, 1 : row // 2 : 4096].any()
        del x


@pytest.mark.large
@pytest.mark.parametrize("kind", [NpyFiles, NpyArrays])
def test_a_sample_of_one_gigabyte(kind: Any, tmp_path: Path) -> None:
    need_memory(6 * GIB)
    places = [0, GIB // 2, GIB - 1]
    shape = (GIB // MIB, MIB) if kind is NpyFiles else (1, GIB // MIB, MIB)
    path = write_sparse(tmp_path / "one.npy", shape, places, [1, 2, 3])
    with Loader(kind([path]), 1, slots=2, workers=1) as loader:
        ((x,),) = loader
        flat = x.reshape(-1)
        assert x.shape == (1, GIB // MIB, MIB)
        assert flat[places].tolist() == [1, 2, 3]
        assert np.flatnonzero(flat[::4096]).tolist() == [0, GIB // 2 // 4096]


@pytest.mark.large
def test_a_file_of_more_than_one_read_of_linux_is_whole_and_read_once(tmp_path: Path) -> None:
    """`preadv` moves at most 2 GiB less a page (read(2)). The file is read first as one of a new kind, then as one like the first."""
    edge = 0x7FFFF000
    nbytes = edge + 16 * MIB
    need_memory(2 * nbytes)
    places = [0, edge - 129, edge - 128, edge - 1, edge, nbytes - 1]
    out = np.zeros((1, nbytes), np.uint8)
    reader = NpyReader((nbytes,), np.dtype(np.uint8), "the first file")
    values = list(range(1, 7))
    path = write_sparse(tmp_path / "0.npy", (nbytes,), places, values)
    for number in range(2):
        out[0, ::1024] = 9
        out[0, places] = 9
        before = bytes_read()
        reader.read(np.array([number]), [os.fsencode(path)], out)
        assert nbytes < bytes_read() - before < nbytes + 64 * 1024
        assert out[0, places].tolist() == values
        assert np.flatnonzero(out[0, ::1024]).tolist() == [0, edge // 1024]


def bytes_read() -> int:
    """Return the bytes that this process has read so far, from the page cache or not."""
    return int(re.findall(r"^rchar: (\d+)", Path("/proc/self/io").read_text())[0])

"""Arrays travel without a copy where they can: what is mapped by its path, windows as the memory that they look at."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from loader.errors import PipelineError
from loader.ipc.payload import arrival, payload

X = np.arange(30_000, dtype=np.float32).reshape(100, 100, 3)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.save(tmp_path / "x y.npy", X)
    return tmp_path / "x y.npy"


def sent(value: Any) -> tuple[Any, int]:
    """Return `value` as it arrives, and the bytes that it took."""
    fd = payload.dump(value)
    try:
        return arrival.load(fd), os.fstat(fd).st_size
    finally:
        os.close(fd)


def buffer(path: Path) -> Any:
    with path.open("rb") as opened:
        return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)


VIEWS: dict[str, Callable[[Path], Any]] = {
    "whole": lambda path: np.load(path, mmap_mode="r"),
    "writable": lambda path: np.load(path, mmap_mode="r+"),
    "part": lambda path: np.load(path, mmap_mode="r")[20:90, ::2, 1:],
    "reversed": lambda path: np.load(path, mmap_mode="r")[::-1, ::-3],
    "transposed": lambda path: np.load(path, mmap_mode="r").transpose(2, 0, 1),
    "windows": lambda path: sliding_window_view(np.load(path, mmap_mode="r"), 7, axis=0),
    "plain": lambda path: np.asarray(np.load(path, mmap_mode="r"))[3:],
    "of another type": lambda path: np.load(path, mmap_mode="r").view(np.uint8),
    "at an odd place": lambda path: np.memmap(path, np.uint8, "r", 4097)[2:9000].view("<u2"),
    "of mmap": lambda path: np.frombuffer(buffer(path), np.uint8)[5:],
    "broadcast": lambda path: np.broadcast_to(np.load(path, mmap_mode="r"), (50, *X.shape)),
}


@pytest.mark.parametrize("view", VIEWS)
def test_what_looks_into_a_mapped_file_travels_by_its_path(view: str, file: Path) -> None:
    array = VIEWS[view](file)
    (back, other), nbytes = sent([array, lambda: array])
    assert nbytes < 8192
    assert other() is back
    assert (type(back), back.dtype, back.shape, back.flags.writeable) == (type(array), array.dtype, array.shape, False)
    np.testing.assert_array_equal(back, array)
    assert str(getattr(back, "filename", None)) == str(getattr(array, "filename", None))


def test_a_file_is_mapped_once_for_all_that_look_into_it(file: Path) -> None:
    whole = np.load(file, mmap_mode="r")
    back, nbytes = sent([np.asarray(whole[start:]) for start in range(90)] + [whole])
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(file))]
    assert len(mapped) == 2  # ours, and that of all that arrived
    assert nbytes < 30_000
    assert all(np.shares_memory(part, back[-1]) for part in back)


def test_a_mapped_file_that_has_another_name_now_is_found(file: Path) -> None:
    array = np.load(file, mmap_mode="r")
    file.rename(file.with_name("moved.npy"))
    back, nbytes = sent(array)
    assert nbytes < 8192
    np.testing.assert_array_equal(back, X)


def deleted(path: Path) -> Any:
    array = np.load(path, mmap_mode="r")
    path.unlink()
    return array


def changed_privately(path: Path) -> Any:
    array = np.load(path, mmap_mode="c")
    array[0] = -1
    return array


def anonymous(path: Path) -> Any:
    array = np.frombuffer(mmap.mmap(-1, X.nbytes), X.dtype)
    array[:] = X.ravel()
    return array


@pytest.mark.parametrize("make", [deleted, changed_privately, anonymous])
def test_what_no_file_holds_travels_by_its_content(make: Callable[[Path], Any], file: Path) -> None:
    array = make(file)
    back, nbytes = sent(array)
    assert X.nbytes < nbytes < X.nbytes + 8192
    np.testing.assert_array_equal(back, array)


def test_a_mapped_file_that_is_gone_or_cut_when_it_is_wanted_is_an_error_that_names_it(file: Path) -> None:
    fd = payload.dump(np.load(file, mmap_mode="r"))
    os.truncate(file, 50_000)
    for said in (f"{file}: truncated: it had {file.stat().st_size + 70_128:,} bytes", f"No such file or directory: '{file}'"):
        with pytest.raises(PipelineError, match="a file that the script has mapped") as caught:
            arrival.load(fd)
        assert said in str(caught.value)
        file.unlink(missing_ok=True)
    os.close(fd)


IN_MEMORY: dict[str, Callable[[], Any]] = {
    "windows": lambda: sliding_window_view(X, 50, axis=0),
    "reversed windows": lambda: sliding_window_view(X, 50, axis=0)[::-1, :, ::-1],
    "broadcast": lambda: np.broadcast_to(X, (50, *X.shape)),
    "transposed": lambda: X.transpose(1, 0, 2),
    "reversed": lambda: X[::-1],
    "some columns": lambda: X[:, 7:40],
    "rows with gaps": lambda: X[::5],
}


@pytest.mark.parametrize("view", IN_MEMORY)
def test_an_array_in_memory_takes_no_more_than_the_memory_it_looks_at(view: str) -> None:
    array = IN_MEMORY[view]()
    (back, *_), nbytes = sent([array, array])
    assert nbytes < min(X.nbytes, array.nbytes) + 8192
    np.testing.assert_array_equal(back, array)
    assert not back.flags.writeable


def test_arrays_of_objects_travel_as_ever() -> None:
    array = np.array([{"a": 1}, None] * 1000, object)
    assert sent(array)[0].tolist() == array.tolist()


def test_what_is_admitted_is_told_before_it_is_allocated() -> None:
    def refuse(nbytes: int) -> None:
        raise MemoryError(nbytes)

    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(MemoryError) as caught:
        payload.dump([X, "text"], refuse)
    assert X.nbytes < caught.value.args[0] < X.nbytes + 8192
    assert len(os.listdir("/proc/self/fd")) == before

"""Files and labels that are not what they should be: named, when their batch is due, with and without a pool."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ConfigError, DataNotFoundError, LabelError, Loader, LoaderError, NpyArrays, NpyError, NpyFiles, SampleError
from loader import transforms as T
from tests.batches import assert_same, copied, inline, take

with_and_without_a_pool = pytest.mark.parametrize("workers", [0, 2])
BAD = 13  # of 20, in batches of 4: the second one of batch 3
NAME = f"{BAD:06d}.npy"


def cut(to: int) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, to)


def not_npy(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def become_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def become_a_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def become_a_socket(path: Path) -> None:
    path.unlink()
    here = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{here}/{path.name}")  # its own path may be too long for a socket
    finally:
        os.close(here)


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (Path.unlink, "No such file"),
    "a folder": (become_a_folder, "Is a directory"),
    "a FIFO": (become_a_fifo, "no regular file but a FIFO"),
    "a device": (become_a_device, "not a .npy file"),
    "a socket": (become_a_socket, "no regular file but a socket"),
    "empty": (cut(0), "empty"),
    "cut in its header": (cut(40), "header"),
    "cut in its data": (cut(150), "truncated"),
    "over-long": (append, "over-long"),
    "a picture": (not_npy, "PNG"),
    "zeros": (lambda path: path.write_bytes(bytes(4096)), "npy"),
    "objects": (lambda path: np.save(path, np.array([{}, 1], object), allow_pickle=True), "object"),
    "strings": (lambda path: np.save(path, np.array(["a", "b"])), "class numbers"),
    "records": (lambda path: np.save(path, np.zeros(3, [("a", "i4"), ("b", "f8")])), "field"),
    "another shape": (lambda path: np.save(path, np.zeros((4, 4), np.float32)), "(4, 4)"),
    "another dtype": (lambda path: np.save(path, np.zeros((4, 3), np.int16)), "int16"),
}


# What a reader finds is the same in a worker; how it comes from there is shown by one of each kind.
@pytest.mark.parametrize(
    ("damage", "workers"),
    [*((damage, 0) for damage in DAMAGE), ("missing", 2), ("a FIFO", 2), ("cut in its data", 2), ("objects", 2), ("another shape", 2)],
)
def test_a_damaged_file_is_named_when_its_batch_is_due(damage: str, workers: int, npy_folder: Any) -> None:
    folder = npy_folder(20)
    source = NpyFiles(folder)
    expected = inline(source, 4)
    change, said = DAMAGE[damage]
    change(folder / NAME)
    with Loader(source, 4, workers=workers, io_retries=0) as loader:
        for _ in range(2):
            found = []
            with pytest.raises(SampleError) as caught:
                found.extend(copied(batch) for batch in loader)
            assert_same(found, expected[:3])
        error = caught.value
    assert error.index == BAD
    assert error.name == str(folder / NAME)
    assert error.worker is None if workers == 0 else error.worker in (0, 1)
    assert error.name in str(error)
    assert said.lower() in str(error).lower()
    assert "BadSample" not in error.reason


@with_and_without_a_pool
@pytest.mark.parametrize("damage", ["missing", "empty", "a picture", "objects"])
def test_a_damaged_first_file_is_named_at_the_first_use(damage: str, workers: int, npy_folder: Any) -> None:
    folder = npy_folder(5)
    source = NpyFiles([folder / f"{i:06d}" for i in range(5)], root=folder)
    DAMAGE[damage][0](folder / "000000.npy")
    with Loader(source, 4, workers=workers, io_retries=0) as loader:
        for use in (lambda: loader.spec, lambda: next(iter(loader)), lambda: next(iter(loader))):
            with pytest.raises(LoaderError, match=r"000000\.npy") as caught:
                use()
            assert DAMAGE[damage][1].lower() in str(caught.value).lower()


@pytest.mark.parametrize("batch", [0, 3, 5])
def test_in_a_slot_of_many_batches_those_before_the_bad_one_arrive(batch: int) -> None:
    class Mostly:
        def __len__(self) -> int:
            return 24

        def __getitem__(self, index: int) -> Any:
            if index == 4 * batch + 2:
                raise ValueError("this one not")
            return np.full(3000, index, np.float32)

    from loader import MapSource

    with Loader(MapSource(Mostly()), 4, workers=2) as loader:
        for _ in range(2):
            seen = []
            with pytest.raises(SampleError, match="this one not") as caught:
                seen.extend(x[:, 0].tolist() for (x,) in loader)
            assert seen == [list(range(4 * number, 4 * number + 4)) for number in range(batch)]
            assert caught.value.index == 4 * batch + 2


@with_and_without_a_pool
def test_after_an_error_the_next_epoch_is_the_next_one(workers: int, npy_folder: Any) -> None:
    folder = npy_folder(20)
    expected = inline(NpyFiles(folder), 4, 3, shuffle=True)
    kept = folder.parent / "kept"
    source = NpyFiles(folder)
    shutil.move(folder / NAME, kept)
    with Loader(source, 4, shuffle=True, workers=workers, io_retries=0) as loader:
        with pytest.raises(SampleError, match=NAME):
            take(loader)
        with pytest.raises(SampleError, match=NAME):  # it has been tried already, or is tried now
            take(loader)
        shutil.move(kept, folder / NAME)
        found = []
        for _ in range(3):  # epochs that were filled while the file was missing have its error
            try:
                found.append(take(loader))
            except SampleError:
                found.append([])
        assert found[-1]
        assert_same(found[0] or expected[10:15], expected[10:15])


@with_and_without_a_pool
def test_a_read_that_fails_for_a_while_is_tried_again(workers: int, tmp_path: Path) -> None:
    marks = tmp_path / "tries"
    marks.mkdir()

    class Flaky:
        def __len__(self) -> int:
            return 8

        def __getitem__(self, index: int) -> Any:
            if index == 5 and len(list(marks.iterdir())) < 2:
                (marks / str(len(list(marks.iterdir())))).touch()
                raise OSError(5, "Input/output error")
            return np.float32(index)

    from loader import MapSource

    with Loader(MapSource(Flaky()), 4, workers=workers) as loader:
        assert [x.tolist() for (x,) in loader] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(list(marks.iterdir())) == 2


@with_and_without_a_pool
def test_several_bad_files_are_reported_one_an_epoch_the_first_one_first(workers: int, npy_folder: Any) -> None:
    folder = npy_folder(20)
    for number in (17, 6, 11):
        (folder / f"{number:06d}.npy").write_bytes(b"")
    with Loader(NpyFiles(folder), 4, workers=workers) as loader:
        for _ in range(3):
            with pytest.raises(SampleError) as caught:
                take(loader)
            assert caught.value.index == 6


@with_and_without_a_pool
def test_rows_of_a_large_file_that_shrinks_are_errors_and_no_crash(workers: int, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1000, 100)))
    source = NpyArrays(tmp_path / "x.npy")
    os.truncate(tmp_path / "x.npy", 400_000)
    with Loader(source, 10, workers=workers) as loader, pytest.raises(LoaderError, match=r"x\.npy"):
        take(loader)


def test_what_is_missing_at_once_is_said_at_once(tmp_path: Path, npy_folder: Any) -> None:
    (tmp_path / "empty").mkdir()
    for attempt in (
        lambda: NpyFiles(tmp_path / "nowhere"),
        lambda: NpyFiles(tmp_path / "empty"),
        lambda: NpyFiles(str(tmp_path / "*.npy")),
        lambda: NpyFiles.from_folder(tmp_path / "empty"),
        lambda: NpyArrays(tmp_path / "nowhere.npy"),
    ):
        with pytest.raises(DataNotFoundError, match=str(tmp_path)) as caught:
            attempt()
        assert isinstance(caught.value, (ValueError, FileNotFoundError))
    with pytest.raises(LabelError, match="000002"):
        NpyFiles(npy_folder(3), labels={"000000": 1, "000001": 0})
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(NpyError, match="object"):
        NpyArrays(tmp_path / "objects.npy")


@with_and_without_a_pool
def test_a_label_that_is_no_class_names_its_sample(workers: int, npy_folder: Any) -> None:
    folder = npy_folder(12)
    for value, step, said in ((np.nan, [T.OneHot(3)], "nan"), (3.0, [T.OneHot(3)], "3.0"), (0.5, [], "0.5")):
        labels = np.arange(12.0) % 3
        labels[7] = value
        weights = {} if step else {"class_weight": {0: 1, 1: 1, 2: 1}}
        with Loader(NpyFiles(folder, labels=labels), 4, transforms=step, workers=workers, **weights) as loader:
            seen = []
            with pytest.raises(SampleError, match=r"000007\.npy") as caught:
                seen.extend(len(batch) for batch in loader)
            assert caught.value.index == 7
            assert said in caught.value.reason
            assert len(seen) == 1


WRONG = {
    "batch_size": [0, -1, 2.5, None, "8", True],
    "workers": [-1, 1.5, "many", None],
    "slots": [0, 1, "2"],
    "max_workers": [0],
    "seed": [-1, 2**64, 1.0],
    "shuffle": [1, "yes"],
    "memory_limit": [0, "much", -5],
    "sample_timeout_s": [0, -1, float("nan"), "1"],
    "io_retries": [-1],
    "shard": [(2, 2), (0, 0), 3, (-1, 2)],
    "on_error": ["ignore"],
    "name": ["", "a b", 5],
    "class_weight": [[1, 2]],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_setting_out_of_range_is_refused_by_name(name: str) -> None:
    for value in WRONG[name]:
        with pytest.raises(ConfigError, match=name):
            Loader(NpyArrays(np.zeros(10)), **{"batch_size": 2, "workers": 0, name: value})


def test_all_wrong_settings_are_told_together() -> None:
    with pytest.raises(ConfigError) as caught:
        Loader(NpyArrays(np.zeros(10)), 0, workers=-1, slots=1, seed=-3)
    assert all(name in str(caught.value) for name in ("batch_size", "workers", "slots", "seed"))


@with_and_without_a_pool
def test_a_batch_larger_than_the_data_is_one_smaller_batch(workers: int) -> None:
    with Loader(NpyArrays(np.arange(5)), 100, workers=workers) as loader:
        for _ in range(2):
            assert [x.tolist() for (x,) in loader] == [[0, 1, 2, 3, 4]]
    with pytest.raises(ConfigError, match="no batch of 5 samples"):
        Loader(NpyArrays(np.arange(5)), 100, workers=workers, drop_last=True)


@pytest.mark.parametrize("source", [None, "folder", [1, 2], np.zeros(3), NpyFiles])
def test_what_is_no_source_is_refused(source: Any) -> None:
    with pytest.raises(ConfigError, match=r"^source is .*give|^source is .*make"):
        Loader(source, 2)


@pytest.mark.parametrize("of", [NpyFiles, NpyArrays])
def test_a_fifo_as_the_first_file_is_an_error_at_once(of: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.npy")
    with pytest.raises(LoaderError, match=r"x\.npy: is no regular file but a FIFO"):
        list(Loader(of(str(tmp_path / "x.npy")), 4, workers=0))


def test_a_mapped_file_that_becomes_shorter_is_named_at_the_first_death(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(64 * 1024).reshape(64, 1024))
    with Loader(NpyArrays(path), 4, workers=1, slots=2) as loader:
        take(loader)
        os.truncate(path, 4096)
        with pytest.raises(SampleError, match=r"killed by SIGBUS \(.*x\.npy has 4,096 bytes, of which 5\d\d,\d\d\d are mapped"):
            take(loader, 3)
    deaths = [record.getMessage() for record in caplog.records if "SIGBUS" in record.getMessage()]
    assert deaths
    assert all("x.npy has 4,096 bytes" in death for death in deaths)

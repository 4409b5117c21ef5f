"""Files as batches, each with its own number of rows (`batch_size=None`)."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from loader import ConfigError, LabelError, Loader, MapSource, MemoryLimitError, NpyArrays, StateError
from loader import transforms as T
from tests.batches import assert_same, copied, take
from tests.processes import workers_of

ROWS = (5, 1, 8, 3, 8, 2, 6)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Files `x0.npy` to `x6.npy` and `y0.npy` to `y6.npy`; the rows of both are numbered through."""
    first = 0
    for number, rows in enumerate(ROWS):
        values = np.arange(first, first + rows, dtype=np.float32)
        np.save(tmp_path / f"x{number}.npy", np.repeat(values[:, None], 4, axis=1))
        np.save(tmp_path / f"y{number}.npy", values.astype(np.int32))
        first += rows
    return tmp_path


def source(files: Path) -> NpyArrays:
    return NpyArrays(str(files / "x*.npy"), str(files / "y*.npy"))


@pytest.mark.parametrize("workers", [0, 2])
def test_each_file_is_a_batch_in_their_order(files: Path, workers: int) -> None:
    with Loader(source(files), None, workers=workers) as loader:
        assert len(loader) == len(ROWS)
        for _ in range(2):
            got = [copied(batch) for batch in loader]
            assert [len(x) for x, _ in got] == list(ROWS)
            assert np.concatenate([y for _, y in got]).tolist() == list(range(sum(ROWS)))
            assert all((x[:, 0] == y).all() for x, y in got)


def test_files_are_shuffled_and_batches_are_the_same_for_any_number_of_workers(files: Path) -> None:
    def batches(workers: int) -> list:
        with Loader(source(files), None, shuffle=True, seed=3, transforms=[T.Flip(0), T.Rescale(0.5)], workers=workers) as loader:
            return take(loader, epochs=3)

    expected = batches(0)
    assert_same(batches(1), expected)
    assert_same(batches(3), expected)
    firsts = [tuple(int(y[0]) for _, y in expected[epoch * len(ROWS) : (epoch + 1) * len(ROWS)]) for epoch in range(3)]
    assert len(set(firsts)) == 3
    assert all(sorted(epoch) == [0, 5, 6, 14, 17, 25, 27] for epoch in firsts)


def test_a_killed_workers_rows_are_written_again(files: Path) -> None:
    with Loader(source(files), None, shuffle=True, seed=3, workers=0) as loader:
        expected = take(loader, epochs=6)
    got = []
    with Loader(source(files), None, shuffle=True, seed=3, workers=2) as loader:
        for _ in range(6):
            os.kill(workers_of(loader)[0], signal.SIGKILL)
            got += take(loader)
    assert_same(got, expected)


def test_an_epoch_goes_on_where_it_was_left(files: Path) -> None:
    with Loader(source(files), None, shuffle=True, workers=0) as loader:
        expected = take(loader, epochs=2)
    with Loader(source(files), None, shuffle=True, workers=0) as loader:
        batches = iter(loader)
        for _ in range(3):
            next(batches)
        state = loader.state_dict()
    with Loader(source(files), None, shuffle=True, workers=2) as loader:
        loader.load_state_dict(state)
        assert_same(take(loader, epochs=2), expected[3:])


def cut(folder: Path, *rows: int) -> NpyArrays:
    """The same rows, cut into files of these sizes."""
    folder.mkdir()
    for number, part in enumerate(np.split(np.arange(sum(rows)), np.cumsum(rows)[:-1])):
        np.save(folder / f"{number}.npy", part)
    return NpyArrays(str(folder / "*.npy"))


def test_a_state_of_the_same_rows_in_other_files_is_refused(tmp_path: Path) -> None:
    with Loader(cut(tmp_path / "a", 3, 5, 2), None, workers=0) as loader:
        state = {**loader.state_dict(), "batch": 1}
    for number, rows in enumerate([(5, 3, 2), (5, 5), (5, 2, 2, 1)]):
        with Loader(cut(tmp_path / str(number), *rows), None, workers=0) as loader:
            with pytest.raises(StateError, match=rf"files: '3 of 2 to 5 rows, \w+', here '{len(rows)} of {min(rows)} to 5 rows, \w+'") as refusal:
                loader.load_state_dict(state)
            assert str(refusal.value).count("\n") == 1
            with pytest.raises(StateError, match="files: None, here"), Loader(loader.source, 5, workers=0) as other:
                loader.load_state_dict(other.state_dict())
            loader.load_state_dict({**loader.state_dict(), "batch": 1})
    with Loader(cut(tmp_path / "again", 3, 5, 2), None, workers=0) as loader:
        loader.load_state_dict(json.loads(json.dumps(state)))
        assert [len(x) for (x,) in loader] == [5, 2]


def test_a_state_of_before_that_says_nothing_of_files_is_taken(tmp_path: Path) -> None:
    with Loader(cut(tmp_path / "a", 3, 5, 2), None, workers=0) as loader:
        state = loader.state_dict()
        del state["files"]
        loader.load_state_dict({**state, "batch": 2})
        assert [len(x) for (x,) in loader] == [2]


def test_ranks_share_the_files_and_are_told_what_is_left_out(files: Path) -> None:
    seen = []
    for rank in range(2):
        with (
            pytest.warns(RuntimeWarning, match="the last 1 of 7 files can't be shared equally by 2 ranks"),
            Loader(source(files), None, shard=(rank, 2), workers=0) as loader,
        ):
            seen.append([int(y[0]) for _, y in loader])
    assert seen == [[0, 6, 17], [5, 14, 25]]


def test_labels_in_one_file_are_matched_by_row(files: Path) -> None:
    np.save(files / "all.npy", np.arange(sum(ROWS)))
    with Loader(NpyArrays(str(files / "x*.npy"), str(files / "all.npy")), None, workers=0) as loader:
        assert [(x[:, 0] == y).all() for x, y in loader] == [True] * len(ROWS)


def test_files_that_belong_together_must_have_as_many_rows(files: Path) -> None:
    np.save(files / "y2.npy", np.arange(7, dtype=np.int32))
    np.save(files / "y3.npy", np.arange(4, dtype=np.int32))
    with pytest.raises(LabelError, match=r"y2\.npy has 7 rows, but .*x2\.npy, which it belongs to, has 8"):
        Loader(source(files), None)


def test_what_has_no_files_is_refused(files: Path) -> None:
    with pytest.raises(ConfigError, match=r"batch_size=None makes a batch of each file of NpyArrays; MapSource\(range of 3\) has no such files"):
        Loader(MapSource(range(3)), None)
    with pytest.raises(ConfigError, match=r"NpyArrays\(3 rows, .*\) has no such files\. What to do: .* NpyArrays\(list of files\)"):
        Loader(NpyArrays(np.zeros((3, 2))), None)
    with pytest.raises(ConfigError, match="no batch is partial"):
        Loader(source(files), None, drop_last=True)
    np.save(files / "x0.npy", np.zeros((0, 4), np.float32))
    with pytest.raises(ConfigError, match="1 of the 7 files have no rows"):
        Loader(NpyArrays(str(files / "x*.npy")), None)


def test_a_file_that_does_not_fit_the_limit_is_told_at_the_start(tmp_path: Path) -> None:
    for number, rows in enumerate((10, 30_000)):
        np.save(tmp_path / f"{number}.npy", np.zeros((rows, 4096), np.uint8))
    too_large = pytest.raises(MemoryLimitError, match="a slot holds the largest file; split it, or allow")
    with Loader(NpyArrays(str(tmp_path / "*.npy")), None, memory_limit="120MiB", workers=1) as loader, too_large:
        next(iter(loader))


def test_a_loader_of_files_says_that_its_batches_differ(files: Path) -> None:
    x = sorted(files.glob("x*.npy"))
    with Loader(NpyArrays(x), None, workers=0) as loader, Loader(NpyArrays(x[:1]), 2000, workers=0) as one:
        assert f"{len(x)} batches of up to " in repr(loader)
        assert "1 batch of 2000" in repr(one)

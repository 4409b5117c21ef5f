"""A saved position: what it holds, who may go on from it, and that what comes then is what a quiet run would have had."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import IterationError, Loader, LoaderClosed, NpyArrays, NpyFiles, SampleError, StateError
from tests.batches import Batch, assert_same, copied, inline

ROWS, BATCH, BATCHES = 50, 8, 7
SOURCE = NpyArrays(np.arange(ROWS * 400, dtype=np.float32).reshape(ROWS, 400) // 400)
SETTINGS: dict[str, Any] = {"shuffle": True, "seed": 5}


def noise(sample: Any, rng: np.random.Generator) -> Any:
    return (sample[0] + rng.integers(0, 100, dtype=np.int32).astype(np.float32),)


def make(workers: int = 0, batch_size: int = BATCH, source: Any = SOURCE, **more: Any) -> Loader:
    return Loader(source, batch_size, workers=workers, transforms=[noise], **{**SETTINGS, **more})


def through_json(state: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(state)
    assert len(text) < 500
    loaded: dict[str, Any] = json.loads(text)
    assert loaded == state
    return loaded


def some(loader: Loader, count: int) -> list[Batch]:
    return [copied(batch) for batch in itertools.islice(loader.batches(), count)]


@pytest.fixture(scope="module")
def quiet() -> list[Batch]:
    """Return the batches of four epochs of a run that nothing disturbs."""
    return inline(SOURCE, BATCH, 4, transforms=[noise], **SETTINGS)


@pytest.fixture(params=[0, 2], ids=["inline", "pool"])
def workers(request: Any) -> int:
    number: int = request.param
    return number


@pytest.mark.parametrize("taken", [0, 1, BATCHES - 1, BATCHES, 2 * BATCHES + 3])
def test_another_loader_goes_on_where_the_first_one_was(taken: int, workers: int, quiet: list[Batch]) -> None:
    with make(workers) as first:
        stream = first.batches()
        assert_same([copied(next(stream)) for _ in range(taken)], quiet[:taken])
        state = through_json(first.state_dict())
    assert (state["epoch"], state["batch"]) == divmod(taken, BATCHES)
    for others in (0, 3):
        with make(others) as second:
            second.load_state_dict(state)
            assert second.state_dict() == state
            assert_same(some(second, 4 * BATCHES - taken), quiet[taken:])


def test_the_first_epoch_has_what_was_left_and_the_next_ones_all(workers: int, quiet: list[Batch]) -> None:
    with make(workers) as loader:
        some(loader, 3)
        loader.load_state_dict({**loader.state_dict(), "epoch": 1, "batch": 5})
        assert len(loader) == BATCHES
        assert_same([copied(batch) for batch in loader], quiet[12:14])
        assert_same([copied(batch) for batch in loader], quiet[14:21])


def test_a_state_that_is_loaded_in_the_middle_moves_the_loader(workers: int, quiet: list[Batch]) -> None:
    with make(workers) as loader:
        older = iter(loader)
        kept = [next(older), next(older)]
        state = loader.state_dict()
        more = [copied(next(older)) for _ in range(3)]
        for _ in range(3):
            loader.load_state_dict(state)
            with pytest.raises(IterationError, match="state was loaded"):
                next(older)
            older = iter(loader)
            assert_same([copied(next(older)) for _ in range(3)], more)
        assert_same(kept, quiet[:2])
        del kept
        unused = iter(loader)
        loader.load_state_dict(state)
        assert_same([copied(batch) for batch in unused], quiet[2:BATCHES])


def test_a_break_after_resuming_ends_the_epoch(workers: int, quiet: list[Batch]) -> None:
    with make(workers) as loader:
        loader.load_state_dict({**loader.state_dict(), "batch": 3})
        for batch in loader:
            assert_same([batch], quiet[3:4])
            break
        del batch
        assert_same([copied(batch) for batch in loader], quiet[7:14])


def test_a_loop_that_is_left_is_saved_with_the_rest_of_its_epoch(workers: int, quiet: list[Batch]) -> None:
    """The natural loop that stops when it is told to: the position is saved after `break`."""
    with make(workers) as loader:
        for taken in (0, BATCHES - 2):  # the second loop begins the second epoch
            for number, _ in enumerate(loader):
                if number == taken:
                    break
        state = through_json(loader.state_dict())
        assert (state["epoch"], state["batch"]) == (1, BATCHES - 1)
        unused = iter(loader)
        assert loader.state_dict() == state
        next(unused)
        assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (2, 1)
    with make(workers) as second:
        second.load_state_dict(state)
        assert_same(some(second, 3), quiet[2 * BATCHES - 1 : 2 * BATCHES + 2])


def test_an_epoch_that_was_left_goes_on_where_its_own_position_is_loaded(workers: int, quiet: list[Batch]) -> None:
    with make(workers) as loader:
        next(iter(loader))
        loader.load_state_dict(loader.state_dict())
        assert_same([copied(batch) for batch in loader], quiet[1:BATCHES])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_exception_in_the_loop_the_batch_after_it_comes_next(error: type[BaseException], workers: int) -> None:
    with make(workers) as loader:

        def run() -> None:
            for number, _ in enumerate(loader):
                if number == 2:
                    raise error

        with pytest.raises(error):
            run()
        assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (0, 3)


def test_a_batch_that_failed_is_the_one_that_comes_next(workers: int) -> None:
    def fail(sample: Any, rng: Any) -> Any:
        if sample[0][0] == 20:
            raise OverflowError("mine")
        return sample

    with make(workers, shuffle=False) as plain, Loader(SOURCE, BATCH, transforms=[fail], seed=5, workers=workers) as loader:
        with pytest.raises(SampleError, match="mine"):
            list(loader)
        state = loader.state_dict()
        assert (state["epoch"], state["batch"]) == (0, 2)
        plain.load_state_dict(state)
        assert len(list(plain)) == BATCHES - 2


def test_a_ctrl_c_in_the_middle_of_a_batch_has_handed_none_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with make() as loader:
        stream = iter(loader)
        next(stream)

        class Interrupting(list[int]):
            def __setitem__(self, *given: Any) -> None:
                raise KeyboardInterrupt

        monkeypatch.setattr(loader._position, "_cells", Interrupting([0] * 64))
        with pytest.raises(KeyboardInterrupt):
            next(stream)
        assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (0, 1)


def test_looking_at_a_batch_asks_for_the_next_epoch(workers: int, quiet: list[Batch]) -> None:
    with make(workers) as loader:
        next(iter(loader))
        peek = loader.epoch_iterator(leased=True, peek=True)
        next(peek)
        peek.close()
        assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (1, 0)
        assert_same(some(loader, 2), quiet[BATCHES : BATCHES + 2])


def test_the_last_batch_of_an_epoch_may_be_all_that_is_left(workers: int, quiet: list[Batch]) -> None:
    with make(workers) as loader:
        loader.load_state_dict({**loader.state_dict(), "epoch": 1, "batch": BATCHES - 1})
        assert_same([copied(batch) for batch in loader], quiet[13:14])
        loader.load_state_dict({**loader.state_dict(), "epoch": 1, "batch": BATCHES})
        assert loader.state_dict()["epoch"] == 2
        assert_same([copied(batch) for batch in loader], quiet[14:21])


def test_batches_that_were_only_looked_at_are_still_to_come(workers: int, quiet: list[Batch]) -> None:
    with make(workers) as loader:
        loader.load_state_dict({**loader.state_dict(), "batch": 4})
        state = loader.state_dict()
        for looked in (1, 3, 2):
            peek = loader.epoch_iterator(leased=True, peek=True)
            assert_same([copied(next(peek)) for _ in range(looked)], quiet[4 : 4 + looked])
            assert loader.state_dict() == state
            peek.close()
            assert loader.state_dict() == state
        assert_same([copied(batch) for batch in loader], quiet[4:BATCHES])
        peek = loader.epoch_iterator(leased=True, peek=True)
        next(peek)
        loader.load_state_dict(state)
        assert_same([copied(batch) for batch in loader], quiet[4:BATCHES])


@pytest.mark.parametrize("world", [2, 4])
def test_other_ranks_with_the_same_global_batch_go_on_with_the_same_batches(world: int, workers: int) -> None:
    whole = inline(SOURCE, 8, 2, drop_last=True, transforms=[noise], **SETTINGS)
    with make(drop_last=True) as single:
        state = through_json({**single.state_dict(), "epoch": 1, "batch": 2})
    shares = []
    for rank in range(world):
        with make(workers, 8 // world, shard=(rank, world), drop_last=True) as loader:
            loader.load_state_dict(state)
            shares.append(some(loader, 4))
            assert loader.state_dict() == {**state, "epoch": 2, "batch": 0}
    together = [(np.concatenate([share[number][0] for share in shares]),) for number in range(4)]
    assert_same(together, whole[8:12])


def test_an_epoch_mixed_within_windows_goes_on_in_the_middle_of_one() -> None:
    with make(0, shuffle=9) as plain, make(shuffle=9) as first, make(shuffle=9) as second:
        expected = [copied(batch) for _ in range(2) for batch in plain]
        batches = iter(first)
        for _ in range(3):
            next(batches)
        second.load_state_dict(first.state_dict())
        assert_same([copied(batch) for _ in range(2) for batch in second], expected[3:])


def test_large_shuffled_epochs_go_on_in_the_middle_of_a_block_of_the_order(quiet: list[Batch]) -> None:
    source = NpyArrays(np.arange(300_000, dtype=np.int32))
    with Loader(source, 100, shuffle=True, workers=0) as plain, Loader(source, 100, shuffle=True, workers=2) as loader:
        for batch in (0, 1, 1501, 2990):
            state = {**plain.state_dict(), "epoch": 1, "batch": batch}
            plain.load_state_dict(state)
            loader.load_state_dict(state)
            assert_same(some(loader, 30), some(plain, 30))


def files(folder: Path, names: list[str]) -> NpyFiles:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        np.save(folder / f"{name}.npy", np.full(3, number, np.float32))
    return NpyFiles([folder / f"{name}.npy" for name in names], root=folder)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"seed": 6}, ["seed: 5, here 6"]),
        ({"shuffle": False, "drop_last": True}, ["shuffle: True, here False", "drop_last: False, here True"]),
        ({"shuffle": "blocks"}, ["shuffle: True, here 'blocks'"]),
        ({"shuffle": 20}, ["shuffle: True, here 20"]),
        ({"batch_size": 4}, ["global_batch: 8, here 4"]),
        ({"shard": (0, 2)}, ["global_batch: 8, here 16"]),
        ({"source": NpyArrays(np.zeros((51, 400), np.float32))}, ["samples: 50, here 51"]),
        ({"source": NpyArrays(np.zeros((50, 4), np.float32))}, ["spec: '(x: (400,) float32)', here '(x: (4,) float32)'"]),
        ({"source": (SOURCE + SOURCE).subset(range(50))}, ["ids: None, here"]),
    ],
    ids=str,
)
def test_a_state_of_other_data_or_settings_is_refused_with_every_difference(more: dict[str, Any], named: list[str]) -> None:
    with make() as first, make(**more) as other:
        before = other.state_dict()
        with pytest.raises(StateError) as refusal:
            other.load_state_dict(first.state_dict())
        assert all(text in str(refusal.value) for text in named), refusal.value
        assert str(refusal.value).count("\n") == len(named)
        assert other.state_dict() == before


def test_ids_tell_files_apart_wherever_they_lie(tmp_path: Path) -> None:
    def at(folder: str, names: list[str]) -> dict[str, Any]:
        with Loader(files(tmp_path / folder, names), 2, workers=0) as loader:
            return through_json(loader.state_dict())

    state = at("here", ["a", "b", "c"])
    assert at("there", ["a", "b", "c"]) == state
    assert at("here", ["a", "c", "b"])["ids"] != state["ids"]
    assert at("here", ["a", "b", "d"])["ids"] != state["ids"]
    whole = files(tmp_path / "here", ["a", "b", "c", "d"])
    with Loader(whole.subset([0, 1, 2]), 2, workers=0) as loader:
        loader.load_state_dict(state)
    rows = NpyArrays(np.zeros((9, 3), np.float32))
    with Loader(rows.subset([0, 1, 2]), 2, workers=0) as loader:
        state = loader.state_dict()
    with Loader(rows.subset([0, 2, 1]), 2, workers=0) as loader, pytest.raises(StateError, match="ids"):
        loader.load_state_dict(state)
    with Loader(rows.subset([0, 1]) + whole, 2, workers=0) as loader:
        assert loader.state_dict()["ids"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (None, "not a NoneType"),
        ([], "not a list"),
        ({}, "it has no version, epoch"),
        ({"version": 2}, "version 2, but the newest one known here is 1"),
        ({"version": 0}, "version=0"),
        ({"version": "1"}, "version='1'"),
        ({"epoch": -1}, "epoch=-1"),
        ({"epoch": 2**48}, f"epoch={2**48}"),
        ({"epoch": 1.0, "batch": True}, "epoch=1.0, batch=True"),
        ({"batch": None}, "batch=None"),
        ({"batch": BATCHES + 1}, "batch: 8, but here an epoch has 7"),
        ({"ids": 3, "spec": b"x"}, "ids=3, spec=b'x'"),
        ({"shuffle": 1}, "shuffle=1"),
        ({"shuffle": "block"}, "shuffle='block'"),
    ],
    ids=str,
)
def test_nonsense_is_refused_and_changes_nothing(change: Any, said: str, quiet: list[Batch]) -> None:
    with make() as loader:
        taken = iter(loader)
        next(taken)
        state = {**loader.state_dict(), **change} if change else change
        with pytest.raises(StateError) as refusal:
            loader.load_state_dict(state)
        assert said in str(refusal.value)
        assert_same([copied(batch) for batch in taken], quiet[1:BATCHES])


def test_more_in_a_state_than_is_known_does_no_harm(quiet: list[Batch]) -> None:
    with make() as loader:
        loader.load_state_dict({**loader.state_dict(), "batch": 6, "mine": [1, 2]})
        assert_same([copied(batch) for batch in loader], quiet[6:7])


def test_a_closed_loader_has_no_position(workers: int) -> None:
    with make(workers) as loader:
        state = loader.state_dict()
    for use in (loader.state_dict, lambda: loader.load_state_dict(state)):
        with pytest.raises(LoaderClosed):
            use()


def test_what_fails_while_booting_is_raised_by_the_first_state() -> None:
    def broken(sample: Any, rng: Any) -> Any:
        raise ValueError("mine")

    for number in (0, 1):
        with Loader(SOURCE, 8, transforms=[broken], workers=number) as loader, pytest.raises(Exception, match="mine"):
            loader.state_dict()


def test_a_resize_does_not_move_the_position(quiet: list[Batch]) -> None:
    with make(1) as loader:
        loader.load_state_dict({**loader.state_dict(), "batch": 2})
        loader.resize(2)
        stream: Iterator[Batch] = loader.batches()
        assert_same([copied(next(stream)) for _ in range(2)], quiet[2:4])
        assert loader.state_dict()["batch"] == 4

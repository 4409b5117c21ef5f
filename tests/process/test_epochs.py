"""What an epoch is: when it begins, when it ends, and what comes after it."""

from __future__ import annotations

import copy
import itertools
import pickle
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from loader import IterationError, Loader, LoaderClosed, NpyArrays, PipelineError, SampleError
from tests.batches import Batch, assert_same, assert_same_batch, copied, first_numbers, inline, take

ROWS, BATCH, BATCHES = 50, 8, 7
SOURCE = NpyArrays(np.arange(ROWS * 400, dtype=np.float32).reshape(ROWS, 400) // 400)  # 12,800 bytes a batch: not copied out of the slot


@pytest.fixture(params=[0, 2], ids=["inline", "pool"])
def loader(request: Any) -> Iterator[Loader]:
    with Loader(SOURCE, BATCH, shuffle=True, workers=request.param) as loader:
        yield loader


@pytest.fixture(scope="module")
def epochs() -> list[list[Batch]]:
    """Return the first eight epochs."""
    batches = inline(SOURCE, BATCH, 8, shuffle=True)
    return [batches[start : start + BATCHES] for start in range(0, len(batches), BATCHES)]


class Accident(Exception):
    pass


def test_every_sample_comes_once_in_each_epoch_and_in_another_order(loader: Loader) -> None:
    orders = [first_numbers(take(loader)) for _ in range(4)]
    assert len(loader) == BATCHES
    assert all(sorted(order) == list(range(ROWS)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4


def test_the_last_batch_is_smaller_or_left_out() -> None:
    for drop_last, sizes in ((False, [8] * 6 + [2]), (True, [8] * 6)):
        with Loader(SOURCE, BATCH, drop_last=drop_last, workers=1) as loader:
            assert [len(x) for (x,) in loader] == sizes
            assert len(loader) == len(sizes)


@pytest.mark.parametrize("batches", [1, 3, BATCHES - 1])
def test_a_break_ends_the_epoch(loader: Loader, epochs: list[list[Batch]], batches: int) -> None:
    for number, batch in enumerate(loader, 1):
        assert_same_batch(batch, epochs[0][number - 1])
        if number == batches:
            break
    del batch
    assert_same(take(loader), epochs[1])
    assert_same(take(loader), epochs[2])


@pytest.mark.parametrize("error", [Accident, KeyboardInterrupt])
def test_an_exception_in_the_loop_ends_the_epoch(loader: Loader, epochs: list[list[Batch]], error: type[BaseException]) -> None:
    def run() -> None:
        for number, _ in enumerate(loader):
            if number == 2:
                raise error

    with pytest.raises(error):
        run()
    assert_same(take(loader), epochs[1])


def test_an_exception_whose_traceback_is_kept_ends_the_epoch_all_the_same(loader: Loader, epochs: list[list[Batch]]) -> None:
    iterator = iter(loader)
    next(iterator)
    kept = iterator  # as a traceback or a notebook keeps it
    assert_same(take(loader), epochs[1])
    with pytest.raises(IterationError):
        next(kept)
    assert_same(take(loader), epochs[2])


def test_a_closed_generator_over_the_loader_ends_the_epoch(loader: Loader, epochs: list[list[Batch]]) -> None:
    def augmented() -> Iterator[Batch]:
        for (x,) in loader:
            yield (x + 1,)

    generator = augmented()
    next(generator)
    generator.close()
    assert_same(take(loader), epochs[1])


def test_a_closed_iterator_ends_the_epoch_once(loader: Loader, epochs: list[list[Batch]]) -> None:
    iterator: Any = iter(loader)
    next(iterator)
    iterator.close()
    iterator.close()
    assert next(iterator, None) is None
    del iterator
    assert_same(take(loader), epochs[1])


def test_making_an_iterator_does_nothing(loader: Loader, epochs: list[list[Batch]]) -> None:
    unused = [iter(loader) for _ in range(3)]
    first = iter(loader)
    assert_same_batch(next(first), epochs[0][0])
    later = iter(loader)
    assert_same_batch(next(first), epochs[0][1])
    del unused, later
    assert_same([copied(batch) for batch in first], epochs[0][2:])
    assert_same(take(loader), epochs[1])


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_an_iterator_is_not_copied_which_would_end_its_epoch(duplicate: Any, loader: Loader, epochs: list[list[Batch]]) -> None:
    iterator = iter(loader)
    next(iterator)
    with pytest.raises(PipelineError, match="pickled or copied"):
        duplicate(iterator)
    assert_same([copied(batch) for batch in iterator], epochs[0][1:])


def test_an_unused_iterator_may_be_closed(loader: Loader, epochs: list[list[Batch]]) -> None:
    iterator: Any = iter(loader)
    iterator.close()
    assert_same(take(loader), epochs[0])


def test_the_first_next_of_a_newer_iterator_ends_the_epoch_of_the_older_one(loader: Loader, epochs: list[list[Batch]]) -> None:
    older, newer = iter(loader), iter(loader)
    assert_same_batch(next(older), epochs[0][0])
    assert_same_batch(next(newer), epochs[1][0])
    for _ in range(2):
        with pytest.raises(IterationError, match="newer iterator"):
            next(older)
    del older
    assert_same([copied(batch) for batch in newer], epochs[1][1:])


def test_an_older_iterator_that_is_through_disturbs_no_one(loader: Loader, epochs: list[list[Batch]]) -> None:
    older = iter(loader)
    assert_same([copied(batch) for batch in older], epochs[0])
    newer = iter(loader)
    next(newer)
    assert next(older, None) is None
    del older
    assert_same([copied(batch) for batch in newer], epochs[1][1:])


def test_the_end_of_an_epoch_stays_the_end(loader: Loader, epochs: list[list[Batch]]) -> None:
    iterator = iter(loader)
    assert len(list(iterator)) == BATCHES
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(iterator)
    assert list(iterator) == []
    assert_same(take(loader), epochs[1])


def test_batches_never_ends(loader: Loader, epochs: list[list[Batch]]) -> None:
    stream = loader.batches()
    assert_same([copied(batch) for batch in itertools.islice(stream, 3 * BATCHES + 2)], [*itertools.chain(*epochs[:3]), *epochs[3][:2]])
    stream.close()  # type: ignore[attr-defined]
    assert_same(take(loader), epochs[4])


def test_many_epochs_may_be_left_in_a_row(loader: Loader, epochs: list[list[Batch]]) -> None:
    for epoch in range(6):
        assert_same_batch(next(iter(loader)), epochs[epoch][0])
    assert_same(take(loader), epochs[6])


def test_a_batch_that_is_held_while_its_epoch_is_left_stays_as_it_is(loader: Loader, epochs: list[list[Batch]]) -> None:
    kept = []
    for epoch in range(3):
        for batch in loader:
            kept.append(batch)
            break
        assert_same(kept, [epochs[number][0] for number in range(epoch + 1)])
    del batch, kept
    assert_same(take(loader), epochs[3])


def test_a_thread_other_than_the_main_one_may_iterate(epochs: list[list[Batch]]) -> None:
    found: list[list[Batch]] = []

    def run() -> None:
        with Loader(SOURCE, BATCH, shuffle=True, workers=1) as loader:
            found.extend([take(loader), take(loader)])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert_same(found[0] + found[1], epochs[0] + epochs[1])


@pytest.mark.parametrize("used", [False, True])
def test_a_closed_loader_says_so(loader: Loader, used: bool) -> None:
    before, started = iter(loader), iter(loader)
    if used:
        next(started)
    loader.close()
    loader.close()
    uses = [
        lambda: next(before),
        lambda: next(iter(loader)),
        lambda: next(loader.batches()),
        lambda: loader.spec,
        loader.stats,
        lambda: loader.resize(1),
    ]
    for use in [*uses, *([lambda: next(started)] if used else [])]:
        with pytest.raises(LoaderClosed, match="closed"):
            use()
    assert len(loader) == BATCHES
    assert "closed" in repr(loader)


def test_a_loader_that_is_closed_at_once_has_started_nothing_that_stays() -> None:
    for _ in range(3):
        Loader(SOURCE, BATCH, workers=2).close()


def test_an_epoch_that_is_only_looked_at_starts_again(loader: Loader, epochs: list[list[Batch]]) -> None:
    """As Keras does to build a model: any number of batches, several times, closed or dropped or left behind by the next iterator."""
    for looked in (1, 3, BATCHES, 2):
        peek = loader.epoch_iterator(leased=True, peek=True)
        assert_same([copied(next(peek)) for _ in range(looked)], epochs[0][:looked])
        if looked == 3:
            peek.close()
    assert loader.stats().batches_delivered == 0
    assert_same(take(loader), epochs[0])
    del peek
    assert_same(take(loader), epochs[1])
    peek = loader.epoch_iterator(leased=True, peek=True)
    next(peek)
    peek.close()
    next(iter(loader))  # ends its epoch, with what was to come again
    assert_same(take(loader), epochs[3])


@pytest.mark.parametrize("workers", [0, 2])
def test_looking_at_a_bad_sample_fails_as_often_as_it_is_tried(workers: int) -> None:
    def fail(sample: Any, rng: Any) -> Any:
        if sample[0][0] == 9:
            raise ValueError("mine")
        return sample

    with Loader(SOURCE, BATCH, transforms=[fail], workers=workers) as loader:
        for _ in range(3):
            peek = loader.epoch_iterator(leased=True, peek=True)
            assert first_numbers([next(peek)]) == list(range(8))
            with pytest.raises(SampleError, match="mine"):
                next(peek)
        iterator = iter(loader)
        assert first_numbers([next(iterator)]) == list(range(8))


@pytest.mark.parametrize("pause_s", [pytest.param(0.0, marks=pytest.mark.thorough), 0.001])
def test_of_two_threads_that_take_batches_at_once_one_is_told_what_is_allowed_and_the_next_epoch_is_whole(pause_s: float) -> None:
    def slowly(sample: Any, rng: np.random.Generator) -> Any:
        time.sleep(pause_s)
        return sample

    ends: list[BaseException | None] = []

    def run(batches: Iterator[Any]) -> None:
        try:
            for _ in batches:
                pass
        except Exception as error:
            ends.append(error)
        else:
            ends.append(None)

    source = NpyArrays(np.arange(1000))
    with Loader(source, 5, workers=2, transforms=[slowly]) as loader:
        for _ in range(3):
            batches = iter(loader)
            threads = [threading.Thread(target=run, args=[batches]) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            batches.close()
            assert_same(take(loader), inline(source, 5))
    errors = [error for error in ends if error is not None]
    assert all(isinstance(error, IterationError) and "two threads take batches" in str(error) for error in errors), errors
    assert errors or not pause_s


def test_a_batch_costs_the_trainer_at_most_25_calls_of_python() -> None:
    """Also one that has to be waited for, and with that which lets go of the one before. docs/design.md lists them."""
    events: list[str] = []
    counts = []
    with Loader(NpyArrays(np.zeros((96, 1 << 18), np.float32), np.arange(96)), 8, workers=1) as loader:
        stream = itertools.chain.from_iterable(itertools.repeat(loader))
        batch = next(stream)
        while len(counts) < 300 and sum(count <= 25 for count in counts) < 6:  # one that is long in coming is looked for more than once
            sys.setprofile(lambda frame, event, argument: events.append(event))
            batch = next(stream)
            sys.setprofile(None)
            counts.append(events.count("call"))
            events.clear()
        del batch
    assert sorted(counts)[5] <= 25, counts

"""Generators as sources: samples come in their order, and a run begins anew where it has to."""

from __future__ import annotations

import functools
import itertools
import logging
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import numpy as np
import pytest

from loader import ConfigError, IterSource, Loader, NpyArrays, PipelineError, SampleError, Zip
from loader.data.pipeline.pipeline import Pipeline
from loader.data.sources.objects import iter_source
from tests.batches import assert_same, inline, take


def squares(count: int = 10) -> Iterator[Any]:
    for number in range(count):
        yield np.full(2, number, np.float32), number**2


def batches() -> Iterator[Any]:
    for rows in (np.arange(4), np.arange(4, 5), np.arange(5, 10)):
        yield {"a": rows.astype(np.float32), "b": np.stack([rows] * 2, axis=1)}, rows**2


class Counted:
    """Counts how often the generator was begun, and how many samples it yielded."""

    def __init__(self) -> None:
        self.runs = self.samples = 0

    def __call__(self) -> Iterator[int]:
        self.runs += 1
        for number in range(10):
            self.samples += 1
            yield number


def read(source: IterSource, indices: list[int]) -> list[int]:
    out = np.empty(len(indices), np.int32)
    source.read(np.array(indices), [out])
    return out.tolist()


def test_samples_are_what_the_generator_yields() -> None:
    source = IterSource(squares, 10)
    assert (len(source), repr(source)) == (10, "IterSource(squares, 10 samples)")
    assert str(source.spec) == "(x: (2,) float32, y: () int32)"
    assert [int(source[index][1]) for index in (0, 1, 5, 9, 3)] == [0, 1, 25, 81, 9]


def test_a_generator_is_run_once_for_samples_in_order_and_anew_for_those_before() -> None:
    function = Counted()
    source = IterSource(function, 10)
    assert (str(source.spec), function.runs, function.samples) == ("(x: () int32)", 1, 1)
    assert read(source, [0, 1, 2]) + read(source, [3, 4]) + read(source, [7]) == [0, 1, 2, 3, 4, 7]
    assert (function.runs, function.samples) == (1, 8)
    assert read(source, [7]) == [7]
    assert (function.runs, function.samples) == (2, 16)


def test_batches_become_samples() -> None:
    source = IterSource(batches, batched=True)
    assert len(source) == 10
    assert str(source.spec) == "(x['a']: () float32, x['b']: (2,) int64, y: () int64)"
    ((x, y),) = inline(source, 10)
    assert (x["b"][:, 1].tolist(), y.tolist()) == (list(range(10)), [number**2 for number in range(10)])


def test_what_is_iterable_is_run_as_a_generator_is() -> None:
    assert inline(IterSource(lambda: [1, 2, 3]), 3)[0][0].tolist() == [1, 2, 3]
    assert inline(IterSource(functools.partial(squares, 4)), 4)[0][1].tolist() == [0, 1, 4, 9]


def test_samples_are_counted_where_no_length_is_given(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "loader"):
        assert len(IterSource(squares)) == 10
    assert re.search(r"squares was run once, in \d+\.\d s, to count its samples; length=10 would save that", caplog.text)


def test_a_generator_without_an_end_is_not_counted_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iter_source, "_LONGEST_COUNT_S", 0.01)
    with pytest.raises(ConfigError, match=r"count has yielded [\d,]+ samples in 0 s of being counted, and has not ended.*give length="):
        IterSource(itertools.count)
    assert inline(IterSource(itertools.count, 3), 3, 2)[1][0].tolist() == [0, 1, 2]


def test_a_run_does_not_travel() -> None:
    source = IterSource(squares, 10)
    assert source[4][1] == 16
    assert pickle.loads(cloudpickle.dumps(source))[5][1] == 25


def returns_nothing() -> Any:
    pass


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: IterSource(squares()), r"got a generator, which can be run once only.*IterSource\(function\)"),  # type: ignore[arg-type]
        (lambda: IterSource([1, 2]), r"IterSource\(lambda: data\); it got a list"),  # type: ignore[arg-type]
        (lambda: IterSource(3), "needs a function.*it got a int"),  # type: ignore[arg-type]
        (lambda: IterSource(squares, 0), "length=0: must be the number of samples"),
        (lambda: IterSource(squares, "all"), "length='all'"),  # type: ignore[arg-type]
        (lambda: IterSource(squares, 10, batched=4), "batched=4: must be True or False"),  # type: ignore[arg-type]
        (lambda: IterSource(functools.partial(squares, 0)), "partial yields nothing"),
        (lambda: IterSource(squares, 10).subset([1]), "has no subsets and no split"),
        (lambda: Zip(IterSource(squares, 10)).split(), "has no subsets and no split"),
    ],
)
def test_what_cant_be_is_refused(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shuffle": True}, "can't be used with shuffle=True. What to do: leave that out.*MapSource"),
        ({"workers": 2, "shard": (0, 2)}, r"workers=2, shard=\(0, 2\)"),
        ({"on_error": "substitute"}, "on_error='substitute'"),
    ],
)
def test_a_loader_that_asks_for_another_order_or_more_processes_is_refused(settings: Any, words: str) -> None:
    for source in (IterSource(squares, 10), NpyArrays(np.zeros(2)) + IterSource(squares, 10), Zip(IterSource(Counted(), 10))):
        with pytest.raises(ConfigError, match=words):
            Loader(source, 2, **settings)


def test_a_generator_that_ends_early_says_after_how_many_samples() -> None:
    with Loader(IterSource(squares, 12), 4, workers=0) as loader:
        stream = iter(loader)
        assert [next(stream)[1].tolist() for _ in range(2)] == [[0, 1, 4, 9], [16, 25, 36, 49]]
        with pytest.raises(PipelineError, match=r"ended after 10 samples. What to do: give length=10.*\n  at sample 10"):
            next(stream)


@pytest.mark.parametrize(
    ("function", "batched", "words"),
    [
        (returns_nothing, False, "returns_nothing returned None, not something to iterate over. What to do: yield"),
        (list, False, "the generator yields nothing"),
        (lambda: [None], False, "None is not a sample"),
        (squares, True, r"with batched=True, .* it yielded an array \(2,\), 0"),
        (lambda: [(np.zeros(2), np.zeros(3))], True, r"it yielded an array \(2,\), an array \(3,\)"),
    ],
)
def test_a_first_item_that_cant_be_is_an_error_in_words(function: Any, batched: bool, words: str) -> None:
    with Loader(IterSource(function, 10, batched=batched), 2, workers=0) as loader, pytest.raises((PipelineError, SampleError), match=words):
        take(loader)


def failing() -> Iterator[int]:
    yield from range(5)
    raise ValueError("no more")


def test_an_error_of_the_generator_names_the_sample_that_it_was_at() -> None:
    with Loader(IterSource(failing, 10), 2, workers=0) as loader:
        for _ in range(2):
            with pytest.raises(SampleError, match="no more") as caught:
                take(loader)
            assert caught.value.index == 5


def test_a_generator_goes_together_with_other_sources() -> None:
    zipped = Zip({"image": NpyArrays(np.arange(10.0)), "number": IterSource(Counted(), 10)})
    assert_same(inline(zipped, 5), inline(NpyArrays({"image": np.arange(10.0), "number": np.arange(10, dtype=np.int32)}), 5))
    joined = IterSource(lambda: iter(np.arange(3)), 3) + NpyArrays(np.arange(3, 6))
    assert inline(joined, 6)[0][0].tolist() == list(range(6))


def test_a_generator_begins_once_for_the_first_sample_and_what_it_is_like() -> None:
    function = Counted()
    source = IterSource(function, 10)
    assert Pipeline(source, [], 0).probe().draws == {}
    assert (function.runs, function.samples) == (1, 1)
    assert read(source, [1, 2, 0]) == [1, 2, 0]
    assert function.runs == 2


def test_a_first_sample_that_is_kept_is_handed_out_once_and_does_not_travel() -> None:
    source = IterSource(squares, 10)
    assert source.spec
    assert pickle.loads(cloudpickle.dumps(source))._first is None
    source[0][0][:] = 7
    assert source[0][0].tolist() == [0, 0]


def test_a_generator_that_draws_from_a_global_one_begins_again_so_that_this_is_seen() -> None:
    source = IterSource(lambda: iter([np.random.rand() for _ in range(3)]), 3)
    assert Pipeline(source, [], 0).probe().draws

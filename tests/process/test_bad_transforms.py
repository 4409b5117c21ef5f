"""Functions of the user that fail, change their mind, print or exit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loader import ConfigError, Loader, LoaderError, MapSource, NpyArrays, PipelineError, SampleError
from loader import transforms as T
from tests.batches import take

with_and_without_a_pool = pytest.mark.parametrize("workers", [0, 2])
SOURCE = NpyArrays(np.arange(40))
BAD = 17  # in batches of 4: the second one of batch 4


def only(index: int, act: Any) -> Any:
    """Return a transform that does `act` with one sample, and nothing with the others."""

    def transform(sample: Any, rng: np.random.Generator) -> Any:
        return act(sample) if sample[0] == index else sample

    return transform


def fail(sample: Any) -> Any:
    return 1 / (sample[0] - sample[0].item())


def call_exit(sample: Any) -> Any:
    import sys

    sys.exit("the user wants to leave")


def divide(sample: Any) -> Any:
    raise ZeroDivisionError("by hand")


ACTS = {
    "raises": (divide, SampleError, "ZeroDivisionError: by hand"),
    "exits": (call_exit, SampleError, "SystemExit: the user wants to leave"),
    "returns None": (lambda sample: None, PipelineError, "returned None"),
    "returns another shape": (lambda sample: sample[0].reshape(1, 1), PipelineError, "(1, 1)"),
    "returns another dtype": (lambda sample: sample[0].astype("int8"), PipelineError, "int8"),
    "returns another number of parts": (lambda sample: (sample[0], 1), PipelineError, "parts"),
    "returns a dict": (lambda sample: {"a": sample[0]}, PipelineError, "dict"),
    "returns text": (lambda sample: "text", PipelineError, "x"),
    "fails without a message": (lambda sample: [][0] if sample else sample, SampleError, "IndexError"),
}


# What is wrong is found by the same code in a worker; how it comes from there is shown by some.
@pytest.mark.parametrize(
    ("act", "workers"), [*((act, 0) for act in ACTS), *((act, 2) for act in ("raises", "exits", "returns another shape", "fails without a message"))]
)
def test_a_transform_that_fails_later_names_the_sample(act: str, workers: int) -> None:
    function, kind, said = ACTS[act]
    with Loader(SOURCE, 4, workers=workers, transforms=[only(BAD, function)]) as loader:
        for _ in range(2):
            seen: list[int] = []
            with pytest.raises(kind) as caught:
                seen.extend(number for (x,) in loader for number in x.tolist())
            assert seen == list(range(16))
            assert f"sample {BAD}" in str(caught.value)
            assert said in str(caught.value)
    if kind is SampleError:
        assert caught.value.index == BAD
        assert ("Traceback" in caught.value.remote_traceback) == bool(workers)


@with_and_without_a_pool
@pytest.mark.parametrize("act", ["raises", "exits", "returns None", "returns text"])
def test_a_transform_that_fails_at_once_says_so_at_the_first_use(act: str, workers: int) -> None:
    function, kind, said = ACTS[act]
    with Loader(SOURCE, 4, workers=workers, transforms=[only(0, function)]) as loader:
        for use in (lambda: loader.spec, lambda: take(loader)):
            with pytest.raises(kind) as caught:
                use()
            assert said in str(caught.value)


@with_and_without_a_pool
def test_a_transform_written_for_one_array_is_to_blame_itself_and_shows_its_line(workers: int) -> None:
    def divides(sample: Any, rng: Any) -> Any:
        return sample / 255

    with Loader(SOURCE, 4, workers=workers, transforms=[divides]) as loader, pytest.raises(PipelineError) as caught:
        _ = loader.spec
    assert str(caught.value).startswith("transform 0, ")
    assert "treats the sample as an array, but that is a tuple, (x,)" in str(caught.value)
    assert not workers or ", in divides" in str(caught.value)


@with_and_without_a_pool
def test_a_source_whose_items_are_no_samples_is_to_blame_itself(workers: int) -> None:
    with Loader(MapSource([[np.zeros(2), 1]] * 4), 2, workers=workers) as loader, pytest.raises(PipelineError) as caught:
        _ = loader.spec
    assert "MapSource(list of 4) returns something that is not a sample: x is a list" in str(caught.value)


@with_and_without_a_pool
def test_what_a_transform_changes_in_its_arguments_changes_nothing_else(workers: int) -> None:
    kept = []

    def spoil(sample: Any, rng: np.random.Generator) -> Any:
        kept.append(sample[0])
        for old in kept:
            old *= 0
        return sample[0] + 1

    with Loader(NpyArrays(np.arange(40).reshape(20, 2)), 4, workers=workers, transforms=[T.Cast("float64"), spoil]) as loader:
        for _ in range(2):
            assert [x.tolist() for (x,) in loader] == [[[1.0, 1.0]] * 4] * 5


def test_what_a_transform_prints_appears(run_script: Any) -> None:
    result = run_script(
        """
import sys
import numpy as np
from loader import Loader, NpyArrays

def talk(sample, rng):
    if sample[0] > 0:
        print("saw", sample[0])
        print("complained about", sample[0], file=sys.stderr)
    return sample

with Loader(NpyArrays(np.arange(6)), 3, workers=2, transforms=[talk]) as loader:
    print([x.tolist() for (x,) in loader])
"""
    )
    assert result.returncode == 0, result.stderr
    for number in range(1, 6):
        assert f"saw {number}" in result.stdout.splitlines()
        assert f"complained about {number}" in result.stderr.splitlines()


def test_an_error_in_a_worker_is_one_traceback_for_the_user(run_script: Any) -> None:
    result = run_script(
        """
import numpy as np
from loader import Loader, NpyArrays

def broken(sample, rng):
    if sample[0] == 4:
        raise ValueError("number four")
    return sample

for batch in Loader(NpyArrays(np.arange(6)), 3, workers=2, transforms=[broken]):
    pass
"""
    )
    assert result.returncode == 1
    assert result.stderr.count("Traceback") == 2, result.stderr  # the user's own, and in its message the worker's
    assert "in broken" in result.stderr
    assert result.stderr.count("number four") == 3


@with_and_without_a_pool
@pytest.mark.parametrize(
    ("transforms", "said"),
    [([T.Flip(fields="mask")], "mask"), ([T.Normalize([1, 2, 3], 1)], "Normalize"), ([T.Flip("horizontal")], "not an image")],
)
def test_a_transform_that_does_not_fit_the_samples_is_no_sample_s_fault(transforms: Any, said: str, workers: int) -> None:
    with Loader(NpyArrays(np.zeros((8, 2))), 4, workers=workers, transforms=transforms) as loader, pytest.raises(LoaderError, match=said) as caught:
        take(loader)
    assert not isinstance(caught.value, SampleError)


@with_and_without_a_pool
def test_class_weights_need_class_numbers(workers: int) -> None:
    with Loader(SOURCE, 4, workers=workers, class_weight={0: 1.0}) as loader, pytest.raises(ConfigError, match="class_weight"):
        take(loader)


@pytest.mark.parametrize("transforms", [T.Rescale(2), [T.Rescale], ["flip"], [None], None])
def test_what_is_no_list_of_transforms_is_refused(transforms: Any) -> None:
    with pytest.raises(ConfigError, match="transform"):
        Loader(SOURCE, 4, workers=0, transforms=transforms)


@with_and_without_a_pool
def test_samples_of_a_list_that_differ_are_named(workers: int) -> None:
    samples = [np.zeros(3), np.zeros(3), np.zeros(4), np.zeros(3)]
    with Loader(MapSource(samples), 2, workers=workers) as loader:
        with pytest.raises(SampleError, match=r"\(4,\)") as caught:
            take(loader)
        assert caught.value.index == 2


def test_a_number_keeps_its_precision() -> None:
    with Loader(MapSource([np.float64(0.1), np.float64(0.2)]), 2, workers=1) as loader:
        ((x,),) = take(loader)
    assert x.dtype == np.float64
    assert x.tolist() == [0.1, 0.2]

"""Functions that were written for something else than a sample: the error blames the function, not the first file."""

from __future__ import annotations

import functools
from typing import Any
from unittest import mock

import numpy as np
import pytest

from loader.data.pipeline.pipeline import Pipeline
from loader.data.rows import BadSample
from loader.data.sources.objects.map_source import MapSource
from loader.errors import LoaderError, PipelineError, SampleError


class Pairs:
    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return np.full((2, 3), index, np.float32), index


class Alone(Pairs):
    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return (np.full((2, 3), index, np.float32),)


def error_of(*transforms: Any, obj: Any = None) -> LoaderError:
    pipeline = Pipeline(MapSource(obj or Pairs()), transforms, 7)
    with pytest.raises(BadSample) as caught:
        pipeline.probe()
    return pipeline.error(caught.value)


def takes_one(x: Any) -> Any:
    return x / 255


def divides(sample: Any, rng: Any) -> Any:
    return sample / 255


def preprocess(x: Any, data_format: Any = None) -> Any:
    if data_format is not None:
        raise ValueError(f"Expected one of `channels_first` or `channels_last`. Received: data_format={data_format}")
    return x


def expects_two(sample: Any, rng: Any) -> Any:
    x, y = sample
    return x, y


def in_place(sample: Any, rng: Any) -> Any:
    x = sample[0].astype(np.uint8)
    x /= 255
    return x, sample[1]


class Callable:
    def __call__(self, sample: Any, rng: Any) -> Any:
        return sample.astype("float32")


AS_AN_ARRAY = r"treats the sample as an array, but that is a tuple, \(x, y\); take its parts"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (takes_one, r"takes_one, can't be called: .*A transform is called as f\(sample, rng\)"),
        (lambda x, y, rng: (x, y), r"can't be called: .*f\(sample, rng\)"),
        (divides, AS_AN_ARRAY),
        (functools.partial(divides), AS_AN_ARRAY),
        (Callable(), AS_AN_ARRAY),
        (lambda sample, rng: sample + 1, AS_AN_ARRAY),
        (lambda sample, rng: sample * 0.5, AS_AN_ARRAY),
        (lambda sample, rng: -sample, AS_AN_ARRAY),
        (lambda sample, rng: sample > 0, AS_AN_ARRAY),
        (lambda sample, rng: 1 - sample, AS_AN_ARRAY),
        (lambda sample, rng: sample[:, ::-1], AS_AN_ARRAY),
        (lambda sample, rng: sample["image"], AS_AN_ARRAY),
        (lambda sample, rng: sample.reshape(-1), AS_AN_ARRAY),
        (lambda sample, rng: np.flip(sample, 1), AS_AN_ARRAY),
        (preprocess, "second argument is not an `rng`"),
        (lambda sample, rng: (rng.rand(2), 1), r"`rng` is a numpy\.random\.Generator, .*instead of rand, rng\.random\("),
        (lambda sample, rng: (rng.randint(2), 1), r"instead of randint, rng\.integers\("),
        (in_place, r"an array of integers, as x /= 255 does; write x = x / 255"),
        (lambda sample, rng: sample[2], r"another number of parts; here a sample is \(x, y\), 2 of them"),
    ],
)
def test_a_function_written_for_one_array_is_to_blame_itself(function: Any, words: str) -> None:
    error = error_of(function)
    assert isinstance(error, PipelineError)
    assert str(error).startswith("transform 0, ")
    assert str(error).endswith("at sample 0")
    with pytest.raises(PipelineError, match=f"(?s){words}"):
        raise error


def test_a_function_that_expects_labels_where_there_are_none_is_told_so() -> None:
    assert "here a sample is (x,), 1 of them" in str(error_of(expects_two, obj=Alone()))


def test_a_function_behind_one_that_returned_x_alone_is_told_so() -> None:
    error = str(error_of(lambda sample, rng: sample[0].T, expects_two))
    assert error.startswith("transform 1, expects_two, raised ValueError: too many values")
    assert "the transform before it returned x alone" in error


def test_a_function_that_takes_a_dict_for_an_array_is_told_its_keys() -> None:
    class Inputs(Pairs):
        def __getitem__(self, index: int) -> tuple[Any, ...]:
            return {"image": np.zeros(3), "age": 1.0}, index

    error = error_of(lambda sample, rng: (sample[0] / 255, sample[1]), obj=Inputs())
    assert isinstance(error, PipelineError)
    assert "x is a dict with the keys ['image', 'age']; handle each of its arrays" in str(error)


def helper(x: Any) -> Any:
    return x


@pytest.mark.parametrize(
    "function",
    [
        lambda sample, rng: (helper(*sample), 1),  # a call that does not fit, but not ours
        lambda sample, rng: ({}["gone"], 1),
        lambda sample, rng: (np.array([[1, 2], [3], [4]]), 1),  # not the sample's number of parts
        lambda sample, rng: (sample[0] + "a", 1),
    ],
    ids=["helper", "key", "ragged", "text"],
)
def test_other_errors_name_the_sample(function: Any) -> None:
    assert isinstance(error_of(function), SampleError)


def test_a_callable_that_has_every_attribute_and_an_error_without_words_are_no_trouble() -> None:
    class Wordless(TypeError):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert isinstance(error_of(mock.Mock(side_effect=Wordless())), SampleError)


def test_the_error_from_a_worker_has_the_line_of_the_user() -> None:
    pipeline = Pipeline(MapSource(Pairs()), [divides], 7)
    with pytest.raises(BadSample) as caught:
        pipeline.probe()
    assert "return sample / 255" in str(pipeline.error(caught.value, worker=0))

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from loader.data.sources.arrays.npy_arrays import NpyArrays
from loader.data.transforms import Map
from loader.errors import ConfigError, PipelineError
from tests.unit.data.pictures import compiled, filled

X = np.arange(20, dtype=np.float32)
RNG = np.random.default_rng(0)


def noisy(x: Any, rng: np.random.Generator, much: float = 1.0) -> Any:
    return x + much * rng.random()


def test_a_function_of_one_array_is_applied_to_x_alone() -> None:
    assert Map(lambda x: x + 1)((3, 5), RNG) == (4, 5)


def test_the_named_arrays_are_changed_and_the_sample_that_came_in_is_not() -> None:
    sample = ({"image": 1, "mask": 2, "age": 3}, 4)
    assert Map(lambda x: x * 10, fields=("mask", "y"))(sample, RNG) == ({"image": 1, "mask": 20, "age": 3}, 40)
    assert sample == ({"image": 1, "mask": 2, "age": 3}, 4)
    assert Map(lambda x: x * 10)(sample, RNG) == ({"image": 10, "mask": 20, "age": 30}, 4)
    assert Map(lambda x: x * 10, fields="x['age']")(sample, RNG) == ({"image": 1, "mask": 2, "age": 30}, 4)


def test_samples_of_several_structures_may_come_one_after_another() -> None:
    double = Map(lambda x: x * 2)
    assert [double(sample, RNG) for sample in [(1,), (1, 2), ({"a": 1},), ({"a": 1, "b": 2}, 3), (1, 2)]] == [
        (2,),
        (2, 2),
        ({"a": 2},),
        ({"a": 2, "b": 4}, 3),
        (2, 2),
    ]


def test_a_function_gets_the_generator_if_it_has_a_parameter_of_that_name_only() -> None:
    for function in (noisy, functools.partial(noisy, much=2.0), lambda x, *, rng: x + rng.random()):
        assert Map(function)((1.0,), np.random.default_rng(1))[0] != 1.0
    assert Map(np.sqrt)((4.0,), RNG) == (2.0,)  # its second parameter is `out`
    assert Map(lambda x, base=10: x + base)((1,), RNG) == (11,)


def test_the_draws_for_one_array_follow_those_for_the_one_before() -> None:
    made = Map(noisy, fields=("x", "y"))((0.0, 0.0), np.random.default_rng(1))
    assert list(made) == np.random.default_rng(1).random(2).tolist()


def test_a_row_draws_the_same_in_any_company() -> None:
    pipeline = compiled(NpyArrays(X), [Map(noisy)])
    (whole,) = filled(pipeline, range(20))
    assert whole.tolist() == [filled(pipeline, [row])[0][0] for row in range(20)]
    assert len(set((whole - X).tolist())) > 18


def test_a_field_that_does_not_exist_is_an_error_that_lists_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"no field 'mask'; there are \['x'\]"):
        compiled(NpyArrays(X), [Map(np.sqrt, fields="mask")])


def test_a_function_that_returns_nothing_is_named() -> None:
    def forgets(x: Any) -> None:
        pass

    with pytest.raises(PipelineError, match=r"Map\(forgets\) got None"):
        Map(forgets)((1,), RNG)


@pytest.mark.parametrize("wrong", [{"function": 3}, {"function": np.sqrt, "fields": 3}, {"function": np.sqrt, "fields": ()}, {"f": np.sqrt}])
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Map(**wrong)

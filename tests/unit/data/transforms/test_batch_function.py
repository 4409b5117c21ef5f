from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loader.data.pipeline.pipeline import Pipeline
from loader.data.rows import BadSample
from loader.data.sources.arrays.npy_arrays import NpyArrays
from loader.data.sources.objects.map_source import MapSource
from loader.data.transforms import Batch, Rescale
from loader.errors import ConfigError, PipelineError
from tests.unit.data.pictures import EPOCH, SEED, compiled, filled

X = np.arange(60, dtype=np.float32).reshape(20, 3)
Y = np.arange(20, dtype=np.int32)
SOURCE = NpyArrays(X, Y)


def noisy(samples: Any, rngs: Any) -> Any:
    x, y = samples
    return x + np.array([[rng.random()] for rng in rngs], np.float32), y


def centred(samples: Any, rngs: Any) -> Any:
    x, y = samples
    return x - x.mean(), y


def cause_of(pipeline: Pipeline, indices: Any) -> tuple[int, str]:
    with pytest.raises(BadSample) as caught:
        filled(pipeline, indices)
    return caught.value.index, str(caught.value.__cause__)


def test_a_function_gets_all_rows_of_a_call_at_once() -> None:
    counts = []

    def counting(samples: Any, rngs: Any) -> Any:
        x, y = samples
        counts.append((x.shape, y.shape, len(rngs)))
        return x * 2, y

    x, y = filled(compiled(SOURCE, [Rescale(1.0), Batch(counting), Rescale(0.5)]), range(12))
    assert counts == [((1, 3), (1,), 1), ((12, 3), (12,), 12)]  # the first is the first sample
    assert np.array_equal(x, X[:12])
    assert np.array_equal(y, Y[:12])


@pytest.mark.parametrize("before", [[], [Rescale(1.0)], [lambda sample, rng: sample], [Batch(noisy)]])
def test_a_row_is_the_same_in_any_company(before: list[Any]) -> None:
    pipeline = compiled(SOURCE, [*before, Batch(noisy)])
    whole, _ = filled(pipeline, range(20))
    for rows in ([3], [19, 3], range(2, 20, 3)):
        assert np.array_equal(filled(pipeline, rows)[0], whole[list(rows)])
    assert len(np.unique(whole[:, 0] - X[:, 0])) > 18


def test_it_draws_what_a_function_of_one_sample_at_its_place_draws() -> None:
    def alone(sample: Any, rng: np.random.Generator) -> Any:
        return sample[0] + np.float32(rng.random()), sample[1]

    assert np.array_equal(filled(compiled(SOURCE, [Batch(noisy)]), range(20))[0], filled(compiled(SOURCE, [alone]), range(20))[0])


def test_parts_that_are_dicts_are_dicts_of_many_rows() -> None:
    def swapped(samples: Any, rngs: Any) -> Any:
        (x,) = samples
        return {"a": x["b"], "b": x["a"][:, :2]}, np.zeros(len(rngs), np.int8)

    made = filled(compiled(NpyArrays({"a": X, "b": Y}), [Batch(swapped)]), range(5))
    assert [(array.shape, array.dtype.name) for array in made] == [((5,), "int32"), ((5, 2), "float32"), ((5,), "int8")]


def test_a_function_may_change_its_arguments() -> None:
    def in_place(samples: Any, rngs: Any) -> Any:
        x, y = samples
        x += 1
        if len(x) > 1:
            raise ValueError("takes one only")
        return x, y

    for before in ([], [Rescale(1.0)]):
        assert np.array_equal(filled(compiled(SOURCE, [*before, Batch(in_place)]), range(5))[0], X[:5] + 1)


def test_the_sample_that_fails_alone_is_to_blame() -> None:
    def picky(samples: Any, rngs: Any) -> Any:
        if 7 in samples[1]:
            raise ValueError("seven is bad")
        return samples

    assert cause_of(compiled(SOURCE, [Batch(picky)]), range(12)) == (7, "seven is bad")


def test_a_function_that_fails_on_several_and_on_none_alone_is_given_them_one_by_one() -> None:
    def single(samples: Any, rngs: Any) -> Any:
        if len(rngs) > 1:
            raise ValueError("too many")
        return samples

    assert np.array_equal(filled(compiled(SOURCE, [Batch(single)]), range(12))[0], X[:12])


@pytest.mark.parametrize("rows", [range(5, 12), [5]])
def test_check_names_the_first_sample_that_depends_on_its_company(rows: Any) -> None:
    filled(compiled(SOURCE, [Batch(centred)]), rows)  # without it nobody notices
    good = compiled(SOURCE, [Batch(noisy, check=True)])
    expected = filled(compiled(SOURCE, [Batch(noisy)]), range(12))[0]
    assert [filled(good, [row])[0].tolist() for row in range(12)] == expected[:, None].tolist()
    assert np.array_equal(filled(good, range(12))[0], expected)
    bad = compiled(SOURCE, [Batch(centred, check=True)])
    filled(bad, [4])  # alone, and nothing came before
    index, words = cause_of(bad, rows)
    assert index == 5
    assert "Batch(centred) makes something else of this sample's x" in words
    assert "rngs[i]" in words


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda samples, rngs: None, "got None"),
        (lambda samples, rngs: (samples[0][:0], samples[1]), "has no row"),
        (lambda samples, rngs: (np.zeros((7, 3)), samples[1]), "got 7 rows of x from the function, for 1 samples"),
        (lambda samples, rngs: (samples[0].astype("U"), samples[1]), "not several samples"),
        (lambda samples, rngs: 3.0, "has no row"),
    ],
)
def test_what_is_not_the_samples_is_refused(made: Any, words: str) -> None:
    with pytest.raises(BadSample) as caught:
        compiled(SOURCE, [Batch(made)])
    assert isinstance(caught.value.__cause__, PipelineError)
    assert words in str(caught.value.__cause__)


def test_samples_that_differ_from_the_first_are_refused() -> None:
    def changing(samples: Any, rngs: Any) -> Any:
        x, y = samples
        return (x[:, :2], y) if 7 in y else (x, y)

    index, words = cause_of(compiled(SOURCE, [Batch(changing)]), range(12))
    assert index == 7
    assert "for the first sample (x: (3,) float32" in words


def test_a_function_that_draws_from_a_global_generator_is_refused() -> None:
    def drawing(samples: Any, rngs: Any) -> Any:
        return samples[0] + np.random.rand(), samples[1]

    with pytest.raises(BadSample) as caught:
        compiled(SOURCE, [Rescale(1.0), Batch(drawing)])
    assert "transform 1, Batch(drawing), draws from the global generator of numpy.random" in str(caught.value.__cause__)


def test_samples_that_differ_in_size_are_the_source_s_error() -> None:
    with pytest.raises(BadSample):
        filled(compiled(MapSource([np.zeros(3), np.zeros(4)]), [Batch(lambda samples, rngs: samples)]), range(2))


def test_it_is_an_ordinary_transform_as_well() -> None:
    x, y = Batch(noisy)((X[3], Y[3]), np.random.default_rng(0))
    assert np.array_equal(x, X[3] + np.float32(np.random.default_rng(0).random()))
    assert (x.shape, y) == ((3,), 3)


def test_rows_are_given_in_groups_that_fit_the_memory() -> None:
    counts = []

    def counting(samples: Any, rngs: Any) -> Any:
        counts.append(len(rngs))
        return (samples[0][:, :1],)

    filled(compiled(NpyArrays(np.zeros((9, 1024, 1024), np.float32)), [Batch(counting)]), range(9))
    assert counts == [1, 4, 4, 1]


@pytest.mark.parametrize("wrong", [{"function": 3}, {"function": noisy, "check": 1}, {"f": noisy}])
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Batch(**wrong)


def test_the_seed_and_epoch_change_what_is_drawn() -> None:
    def of(seed: int, epoch: int) -> Any:
        pipeline = Pipeline(SOURCE, [Batch(noisy)], seed)
        pipeline.compile(pipeline.probe())
        return filled(pipeline, range(4), epoch=epoch)[0].tolist()

    assert of(SEED, EPOCH) == of(SEED, EPOCH)
    assert len({str(of(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4

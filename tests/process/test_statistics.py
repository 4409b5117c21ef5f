"""`source.statistics()`: one pass by the pool, the same bits for any number of workers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from loader import ConfigError, IterSource, Loader, MapSource, NpyArrays, NpyFiles, SampleError, Source, Statistics
from loader import transforms as T

RNG = np.random.default_rng(0)
FLOATS = RNG.normal(3, 2, (70, 6, 5, 3)).astype(np.float32)
FLOATS[3, 1, 1, 0], FLOATS[60, 2, 2, 1] = np.nan, -np.inf
LABELS = np.arange(70) % 3


def different_sizes() -> Source:
    return MapSource([({"image": FLOATS[n, : 1 + n % 4].astype(np.float64), "age": np.float32(n)}, LABELS[n]) for n in range(70)])


SOURCES = {
    "arrays": lambda folder: NpyArrays(FLOATS, LABELS),
    "files": lambda folder: NpyFiles.from_folder(folder(60, (6, 5, 3), "float32", classes=3)),
    "different sizes": lambda folder: different_sizes(),
    "a generator": lambda folder: IterSource(lambda: iter([(row,) for row in FLOATS])),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_statistics_are_the_same_for_any_number_of_workers(kind: str, npy_folder: Any) -> None:
    source = SOURCES[kind](npy_folder)
    expected, *others = [json.dumps(source.statistics(workers=workers).as_dict()) for workers in ((0, 1) if "gen" in kind else (0, 1, 3))]
    assert others == [expected] * len(others)
    assert json.dumps(Statistics.from_dict(json.loads(expected)).as_dict()) == expected


def test_values_that_are_not_finite_are_counted_and_left_out() -> None:
    found = NpyArrays(FLOATS, LABELS).statistics(workers=0)
    x = found["x"]
    assert (x.nan.tolist(), x.infinite.tolist(), x.count.tolist()) == ([1, 0, 0], [0, 1, 0], [2100] * 3)
    values = np.where(np.isfinite(FLOATS), FLOATS, np.nan).astype(np.float64).reshape(-1, 3)
    np.testing.assert_allclose(x.mean, np.nanmean(values, 0), rtol=1e-14)
    np.testing.assert_allclose(x.std, np.nanstd(values, 0), rtol=1e-13)
    assert found["y"].labels == {0: 24, 1: 23, 2: 23}
    assert FLOATS[5, 0, 0, 0] == NpyArrays(FLOATS)[5][0][0, 0, 0]


def test_samples_in_dicts_that_differ_in_size_have_statistics_by_key() -> None:
    found = different_sizes().statistics(workers=0)
    assert found["image"].shapes == {(1, 5, 3): 18, (2, 5, 3): 18, (3, 5, 3): 17, (4, 5, 3): 17}
    assert found["x['age']"].mean.tolist() == [34.5]
    with pytest.raises(ConfigError, match=r"no single array is called 'x'; there are"):
        found["x"]


def test_statistics_are_of_what_the_transforms_make() -> None:
    found = NpyArrays(LABELS.astype(np.uint8)).statistics([T.Rescale(10)], workers=0)
    assert (found["x"].dtype, found["x"].maximum.tolist()) == ("float32", [20.0])


def test_normalizing_by_statistics_gives_mean_0_and_deviation_1_in_each_channel() -> None:
    source = NpyArrays(np.where(np.isfinite(FLOATS), FLOATS, 0) * [1, 10, 100])
    step = T.Normalize.from_statistics(source.statistics(workers=0))
    with Loader(source, 70, transforms=[step], workers=0) as loader:
        ((x,),) = loader
    np.testing.assert_allclose(x.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(x.std((0, 1, 2)), 1, rtol=1e-6)


def test_normalizing_a_vector_takes_one_mean_for_all_of_it() -> None:
    step = T.Normalize.from_statistics(NpyArrays(np.array([[1.0, 2.0], [3.0, 4.0]])).statistics(workers=0))
    assert (step.mean.tolist(), step.std.shape) == (2.5, ())


def test_what_has_no_deviation_can_not_be_normalized() -> None:
    constant = FLOATS[:4].copy()
    constant[..., 1] = 0.1
    with pytest.raises(ConfigError, match=r"all values of channel 1 of x are 0\.1, so there is no deviation"):
        T.Normalize.from_statistics(NpyArrays(constant).statistics(workers=0))
    with pytest.raises(ConfigError, match=r"give what source\.statistics"):
        T.Normalize.from_statistics({"mean": 3})  # type: ignore[arg-type]


@pytest.mark.parametrize("second", [np.zeros(4), np.zeros((2, 3), np.float32), np.zeros((2, 3, 3)), (np.zeros((2, 3)), 1)])
def test_a_sample_that_differs_in_more_than_its_size_is_named(second: Any) -> None:
    with pytest.raises(SampleError, match=r"sample 1: .*but the first sample is \(x: \(2, 3\) float64\)"):
        MapSource([(np.zeros((2, 3)),), second if isinstance(second, tuple) else (second,)]).statistics(workers=0)


def test_sums_of_sources_may_differ_in_size_as_well() -> None:
    found = (MapSource([np.zeros(2)] * 3) + MapSource([np.ones(3)] * 2)).statistics(workers=0)
    assert (found["x"].shapes, found["x"].mean.tolist()) == ({(2,): 3, (3,): 2}, [0.5])


def test_complex_values_have_no_statistics() -> None:
    with pytest.raises(ConfigError, match="complex; split it in a transform"):
        NpyArrays(np.zeros((3, 2), complex)).statistics(workers=0)


@pytest.mark.parametrize("told", [None, 3, {}, {"samples": 1}, {"samples": 1, "fields": [{}]}])
def test_what_are_no_statistics_is_told(told: Any) -> None:
    with pytest.raises(ConfigError, match="these are no statistics"):
        Statistics.from_dict(told)


def test_statistics_are_printed_as_a_table() -> None:
    print_of = str(NpyArrays(FLOATS, LABELS).statistics(workers=0))
    assert print_of.startswith("70 samples\nx: float32 (6, 5, 3)\n  channel  values")
    assert print_of.endswith("3 labels: 0 × 24, 1 × 23, 2 × 23")

from __future__ import annotations

import random
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from loader.data.global_rng import NUMPY, PYTHON, TORCH, kept, restore, states
from loader.data.pipeline.global_rng_seeding import Detector, GlobalGenerators, SeededSource, _scattered
from loader.data.pipeline.pipeline import Pipeline
from loader.data.pipeline.told_specs import FirstSample
from loader.data.rng import SOURCE_PLACE, SampleGenerator
from loader.data.sources.arrays.npy_arrays import NpyArrays
from loader.data.sources.objects.map_source import MapSource
from loader.data.transforms import Flip
from tests.unit.data.pictures import EPOCH, SEED, compiled, filled

X = np.arange(20, dtype=np.float32)


def from_numpy(sample: Any, rng: np.random.Generator) -> Any:
    return (sample[0] + np.random.rand(),)


def from_random(sample: Any, rng: np.random.Generator) -> Any:
    return (sample[0] + random.gauss(0, 1),)


def from_rng(sample: Any, rng: np.random.Generator) -> Any:
    return (sample[0] + rng.random(),)


class Drawing:
    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> Any:
        return X[index] + np.random.rand() + random.random()


@pytest.fixture(autouse=True)
def own_states() -> Any:
    with kept(True):
        yield


def test_who_draws_from_what_is_found_out_with_the_first_sample() -> None:
    found = Pipeline(NpyArrays(X), [Flip(0, p=0.5), from_rng, from_numpy, from_random, from_rng][1:], SEED).probe()
    assert found.draws == {1: [NUMPY], 2: [PYTHON]}
    found = Pipeline(MapSource(Drawing()), [from_rng], SEED).probe()
    assert {place: sorted(names) for place, names in found.draws.items()} == {SOURCE_PLACE: [NUMPY, PYTHON]}
    assert FirstSample.from_json(found.to_json()) == found


def test_a_pipeline_that_draws_from_none_pays_nothing() -> None:
    pipeline = compiled(NpyArrays(X), [from_rng])
    assert pipeline.draws == {}
    assert type(pipeline._generator) is SampleGenerator
    assert pipeline.draws_in_words(pipeline.draws) is None
    before = states()
    filled(pipeline, range(20))
    assert states() == before


def test_who_draws_is_said_by_name() -> None:
    pipeline = compiled(MapSource(Drawing()), [from_rng, from_numpy])
    words = pipeline.draws_in_words(pipeline.draws) or ""
    assert "the source draws from" in words
    assert "transform 1, from_numpy draws from NumPy's global generator" in words
    assert "from_rng" not in words


@pytest.mark.parametrize("transforms", [[from_numpy], [from_random, from_numpy, from_numpy], [from_rng, from_random]])
@pytest.mark.parametrize("source", [NpyArrays(X), MapSource(Drawing())], ids=["arrays", "drawing"])
def test_a_row_draws_the_same_in_any_company_and_no_two_rows_draw_alike(source: Any, transforms: list[Any]) -> None:
    pipeline = compiled(source, transforms)
    (whole,) = filled(pipeline, range(20))
    np.random.seed(1)
    random.seed(1)
    single = [filled(pipeline, [row])[0][0] for row in range(19, -1, -1)]
    assert whole.tolist() == single[::-1]
    assert len({float(x) for x in whole - X}) > 18  # float32: two may be rounded alike
    assert filled(pipeline, range(20), epoch=1)[0].tolist() != whole.tolist()


def test_what_is_drawn_from_rng_is_the_same_beside_global_draws() -> None:
    (both,) = filled(compiled(NpyArrays(X), [from_rng, from_numpy]), range(20))
    (alone,) = filled(compiled(NpyArrays(X), [from_rng]), range(20))
    assert not np.array_equal(both, alone)
    generators = GlobalGenerators(SEED, 20, {1: [NUMPY]})
    for index in range(20):
        generators.at(EPOCH, index, 1)
        alone[index] += np.random.rand()
    np.testing.assert_allclose(both, alone, rtol=1e-6)


def test_a_drawing_source_is_read_sample_by_sample() -> None:
    generators = GlobalGenerators(SEED, 20, {SOURCE_PLACE: [NUMPY, PYTHON]})
    source = SeededSource(MapSource(Drawing()), generators, epoch=3)
    out = [np.zeros(3)]
    source.read(np.array([4, 2, 4]), out)
    assert out[0][0] == out[0][2] == source.sample(4)[0] == source.fetch(4)[0]
    assert out[0][1] == source.sample(2)[0]


def test_states_are_restored() -> None:
    np.random.normal()  # leaves a second one for the next call
    before = states()
    expected = [np.random.normal(), np.random.rand(), random.gauss(0, 1)]
    restore(before)
    assert [np.random.normal(), np.random.rand(), random.gauss(0, 1)] == expected


def test_another_bit_generator_of_the_users_is_left_alone() -> None:
    ours = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(1))
    try:
        assert NUMPY not in states()
        assert Pipeline(NpyArrays(X), [from_numpy], SEED).probe().draws == {}
    finally:
        np.random.set_bit_generator(ours)


class Tensor(bytes):
    """As much of a tensor of bytes as a state needs."""

    def numpy(self) -> Any:
        return np.frombuffer(self, np.uint8)


def test_pytorchs_generator_is_one_of_them_where_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = random.Random(3)
    torch = SimpleNamespace(
        default_generator=SimpleNamespace(manual_seed=inner.seed),
        get_rng_state=lambda: Tensor(str(hash(inner.getstate())).encode()),
    )
    monkeypatch.setitem(sys.modules, "torch", torch)  # type: ignore[arg-type]
    detector = Detector(SEED)
    detector.at(0, 0, 0)
    inner.random()
    detector.finish()
    assert detector.draws == {0: [TORCH]}
    generators = GlobalGenerators(SEED, 1000, {0: [TORCH]})
    drawn = []
    for epoch, index in [(0, 5), (0, 6), (1, 5), (0, 5)]:
        generators.at(epoch, index, 0)
        drawn.append(inner.random())
    assert len(set(drawn)) == 3
    assert drawn[0] == drawn[3]


def test_seeds_of_32_bits_never_repeat_themselves() -> None:
    assert len({_scattered(number) for number in range(200_000)}) == 200_000
    assert _scattered(2**32 + 7) == _scattered(7)

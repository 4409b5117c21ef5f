from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any
from unittest import mock

import cloudpickle
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.data.pipeline import pipeline as pipeline_module
from loader.data.pipeline.pipeline import Pipeline
from loader.data.pipeline.segments import Transform
from loader.data.rng import SampleGenerator
from loader.data.sources.source import Source
from loader.data.spec import Array, Sample, SampleSpec
from loader.data.transforms import Cast, Flip, Normalize, OneHot, Rescale
from tests.examples import examples
from tests.unit.data.pictures import EPOCH, SEED, Pictures, add_noise, compiled, filled


def crop(sample: Sample, rng: np.random.Generator) -> Sample:
    x, *rest = sample
    top = int(rng.integers(0, x["image"].shape[0] - 1))
    return ({**x, "image": x["image"][top : top + 2]}, *rest)


def change_in_place(sample: Sample, rng: np.random.Generator) -> Sample:
    sample[0]["mask"][...] = rng.integers(0, 2)
    sample[0]["image"][0] = 0
    return sample


def only_image(sample: Sample, rng: np.random.Generator) -> Sample:
    return ({"image": sample[0]["image"], "mask": sample[0]["image"][..., 0] > 0.5}, sample[1])


def label_noise(sample: Sample, rng: np.random.Generator) -> Sample:
    return (sample[0], np.clip(sample[1] + rng.integers(0, 2), 0, 4).astype(np.asarray(sample[1]).dtype), *sample[2:])


TRANSFORMS: list[Transform] = [
    Rescale(1 / 255, fields="image"),
    Rescale(0.5, 1.0, fields=("mask",)),
    Normalize([100, 110, 120], [50, 60, 70], fields="image"),
    Flip("horizontal", fields=("image", "mask")),
    Flip("vertical", 0.7, fields="mask"),
    Flip(1, fields="image"),
    Cast("float64", fields=("mask", "y")),
    Cast("uint8", fields="mask"),
    OneHot(5),
    add_noise,
    crop,
    change_in_place,
    only_image,
    label_noise,
]
CHAINS = st.lists(st.sampled_from(TRANSFORMS), max_size=6, unique_by=id)


def one_by_one(source: Source, transforms: Sequence[Transform], indices: Sequence[int], epoch: int = EPOCH, seed: int = SEED) -> list[list[Array]]:
    """Return the leaves of each sample, made in the plainest way there is."""
    made = []
    for index in indices:
        sample = source.sample(index)
        for place, transform in enumerate(transforms):
            sample = transform(sample, SampleGenerator(seed).at(epoch, index, place))
        made.append(SampleSpec.of(sample).flatten(sample))
    return made


# Same bits, however it is done.


@examples(200)
@given(
    transforms=CHAINS,
    indices=st.lists(st.integers(0, 11), min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 11), max_size=3),
    chunk_bytes=st.sampled_from([1, 150, 400, 2**20]),
)
def test_any_pipeline_gives_the_same_bits_as_its_transforms_sample_by_sample(
    transforms: list[Transform], indices: list[int], cuts: list[int], chunk_bytes: int
) -> None:
    source = Pictures()
    with mock.patch.object(pipeline_module, "_CHUNK_BYTES", chunk_bytes):
        pipeline = compiled(source, transforms)
    batch = filled(pipeline, indices, cuts)
    for row, leaves in enumerate(one_by_one(source, transforms, indices)):
        assert [leaf.dtype for leaf in leaves] == [leaf.dtype for leaf in batch]
        assert [leaf.tobytes() for leaf in leaves] == [leaf[row].tobytes() for leaf in batch]


def test_chunks_are_small_where_the_scratch_memory_of_a_row_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "_CHUNK_BYTES", 130)  # two rows of an image of 60 bytes
    source = Pictures()
    reads: list[list[int]] = []
    plain = source.read
    monkeypatch.setattr(source, "read", lambda indices, out: (reads.append(indices.tolist()), plain(indices, out)))
    filled(compiled(source, [Rescale(0.5, fields="image")]), range(5))
    assert reads == [[0, 1], [2, 3], [4]]


def test_the_specs_of_a_probe_elsewhere_are_enough_to_compile() -> None:
    transforms = [Rescale(1 / 255, fields="image"), crop, OneHot(5), label_noise]
    there = cloudpickle.loads(cloudpickle.dumps(Pipeline(Pictures(), transforms, SEED)))
    calls: list[int] = []

    def counted(sample: Sample, rng: np.random.Generator) -> Sample:
        calls.append(1)
        return crop(sample, rng)

    here = Pipeline(Pictures(), [transforms[0], counted, *transforms[2:]], SEED)
    spec = here.compile(there.probe())
    assert not calls
    assert [leaf.shape for leaf in spec.leaves] == [(2, 5, 3), (4, 5), (5,)]
    one, other = filled(here, range(12)), filled(compiled(Pictures(), transforms), range(12))
    assert [leaf.tobytes() for leaf in one] == [leaf.tobytes() for leaf in other]


@pytest.mark.parametrize("transforms", [[add_noise], [Flip("horizontal", fields=("image", "mask"))]], ids=["function", "built-in"])
def test_epochs_and_seeds_draw_differently_and_each_the_same_again(transforms: list[Transform]) -> None:
    batches = [filled(compiled(Pictures(), transforms), range(12), epoch=epoch)[0].tobytes() for epoch in (0, 1, 0)]
    assert batches[0] == batches[2] != batches[1]
    other = Pipeline(Pictures(), transforms, SEED + 1)
    other.compile(other.probe())
    assert filled(other, range(12), epoch=0)[0].tobytes() != batches[0]


def test_equal_transforms_at_different_places_draw_differently() -> None:
    once, twice = (compiled(Pictures(), [Flip("horizontal", fields=("image", "mask"))] * count) for count in (1, 2))
    plain = compiled(Pictures())
    assert len({filled(pipeline, range(12))[0].tobytes() for pipeline in (once, twice, plain)}) == 3


# Functions that misbehave without harm.


@pytest.mark.parametrize(
    "before", [[], [Rescale(1 / 255, fields="image")], [add_noise, Cast("float64", fields="mask")]], ids=["first", "built-in", "both"]
)
def test_a_function_that_keeps_and_changes_its_arguments_harms_nothing(before: list[Transform]) -> None:
    kept: list[Any] = []

    def keep(sample: Sample, rng: np.random.Generator) -> Sample:
        for x, *_ in kept:
            x["image"][...] = 99
            x["mask"][...] = 99
        kept.append(sample)
        return copy.deepcopy(sample)

    batch = filled(compiled(Pictures(), [*before, keep]), range(12))
    expected = filled(compiled(Pictures(), [*before, lambda sample, rng: sample]), range(12))
    assert len(kept) == 13
    assert [leaf.tobytes() for leaf in batch] == [leaf.tobytes() for leaf in expected]


def test_a_function_may_return_the_same_memory_each_time() -> None:
    memory = np.zeros((), np.int64)

    def reuse(sample: Sample, rng: np.random.Generator) -> Sample:
        memory[...] = sample[1] * 10
        return (memory,)

    assert filled(compiled(Pictures(), [reuse]), range(7))[0].tolist() == [0, 10, 20, 30, 40, 0, 10]


def test_a_function_that_draws_more_or_less_changes_no_other_sample() -> None:
    def uneven(sample: Sample, rng: np.random.Generator) -> Sample:
        rng.random(int(sample[1]) * 3)
        return add_noise(sample, rng)

    pipeline = compiled(Pictures(), [uneven])
    whole = filled(pipeline, range(12))[0]
    assert all(filled(pipeline, [index])[0][0].tobytes() == whole[index].tobytes() for index in (11, 3, 7))


# Progress: where a function is, so that a death names its row.


def test_progress_tells_the_row_while_a_function_runs_and_nothing_else() -> None:
    progress = memoryview(bytearray(8)).cast("q")
    seen: list[int] = []

    class Watched(Pictures):
        def read(self, indices: Any, out: Any) -> None:
            seen.append(progress[0])
            super().read(indices, out)

    def look(sample: Sample, rng: np.random.Generator) -> Sample:
        seen.append(progress[0])
        return sample

    with mock.patch.object(pipeline_module, "_CHUNK_BYTES", 130):
        pipeline = compiled(Watched(), [Rescale(0.5, fields="image"), look])
    seen.clear()
    progress[0] = 77
    out = [np.zeros((5, *leaf.shape), leaf.dtype) for leaf in pipeline.spec.leaves]
    pipeline.fill(np.arange(5), 0, out, progress, first=10)
    assert seen == [-1, 10, 11, -1, 12, 13, -1, 14]
    assert progress[0] == -1


def test_the_source_is_opened_where_the_pipeline_is_compiled() -> None:
    opened: list[Pictures] = []

    class Opening(Pictures):
        def open(self) -> None:
            opened.append(self)

    Pipeline(source := Opening(), [], SEED).compile(Pipeline(Pictures(), [], SEED).probe())
    assert opened == [source]

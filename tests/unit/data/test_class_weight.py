from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loader import Loader, MapSource, NpyArrays
from loader.data.class_weight import ClassWeight
from loader.data.pipeline.segments import Transform
from loader.data.rows import BadSample
from loader.data.spec import Sample, SampleSpec
from loader.data.transforms import Cast, OneHot
from loader.errors import ConfigError
from tests.unit.data.pictures import Pictures, compiled, filled


def test_class_weight_adds_the_weight_of_each_label() -> None:
    pipeline = compiled(Pictures(), class_weight=ClassWeight({0: 1.0, 1: 2.0, 2: 0.5, 3: 3.0, 4: 0.0}))
    assert str(pipeline.spec.leaves[-1]) == "sample_weight: () float32"
    assert filled(pipeline, range(6))[-1].tolist() == [1.0, 2.0, 0.5, 3.0, 0.0, 1.0]


@pytest.mark.parametrize("transforms", [[OneHot(5)], [lambda sample, rng: (sample[0], np.array([sample[1]]))], [Cast("float32", fields="y")]])
def test_class_weight_takes_one_hot_vectors_single_columns_and_whole_floats(transforms: list[Transform]) -> None:
    weights = ClassWeight({0: 1.0, 1: 2.0, 2: 0.5, 3: 3.0, 4: 0.25})
    assert filled(compiled(Pictures(), transforms, class_weight=weights), range(5))[-1].tolist() == [1.0, 2.0, 0.5, 3.0, 0.25]


def test_class_weight_multiplies_the_weight_that_a_sample_has() -> None:
    source = Pictures(extra=lambda index: (float(index),))
    pipeline = compiled(source, class_weight=ClassWeight(dict.fromkeys(range(5), 2.0)))
    batch = filled(pipeline, range(6))
    assert len(batch) == 4
    assert batch[-1].tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("label", [9, -1, 0.5, np.nan, np.inf, 3])
def test_a_label_without_a_weight_names_its_sample(label: float) -> None:
    def relabel(sample: Sample, rng: np.random.Generator) -> Sample:
        return (sample[0], np.float64(label if sample[1] == 3 else sample[1]))

    pipeline = compiled(Pictures(), [relabel], class_weight=ClassWeight({0: 1.0, 1: 1.0, 2: 1.0, 4: 1.0}))
    with pytest.raises(BadSample, match="8") as caught:
        filled(pipeline, [1, 2, 8, 4])
    assert f"class_weight has no entry for the label {np.float64(label)}" in str(caught.value.__cause__)


@pytest.mark.parametrize("weights", [{}, {-1: 1.0}, {0.5: 1.0}, {True: 1.0}, {"cat": 1.0}])
def test_class_weight_refuses_what_is_no_class_number(weights: Any) -> None:
    with pytest.raises(ConfigError, match="class_weight maps class numbers"):
        ClassWeight(weights)


@pytest.mark.parametrize(
    ("sample", "problem"),
    [
        ((np.zeros(3),), "class_weight needs samples"),
        ((np.zeros(3), {"a": 1, "b": 2}), "class_weight needs samples"),
        ((np.zeros(3), np.zeros((2, 2))), "class_weight needs samples"),
        ((np.zeros(3), 1j), "class_weight needs samples"),
        ((np.zeros(3), 1, np.float64(1.0)), "one float32 number; here it is sample_weight: .* float64. What to do: .*astype"),
        ((np.zeros(3), 1, np.zeros(2, "f4")), "one float32 number"),
    ],
)
def test_class_weight_refuses_samples_that_it_does_not_understand(sample: Sample, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        ClassWeight({0: 1.0}).result(SampleSpec.of(sample))


def test_balanced_weights_give_each_class_of_the_source_the_same_weight_in_all() -> None:
    labels = np.array([0, 3, 0, 0, 3, 7])
    with Loader(NpyArrays(np.zeros((6, 2)), labels), 6, workers=0, class_weight="balanced") as loader:
        ((_, _, weights),) = loader
    assert weights.tolist() == np.array([6 / 9, 1, 6 / 9, 6 / 9, 1, 2], np.float32).tolist()


def test_balanced_weights_are_those_of_a_subset_whose_labels_are_known() -> None:
    source = NpyArrays(np.zeros((6, 2)), np.array([0, 1, 0, 1, 1, 1])).subset([0, 1])
    with Loader(source, 2, workers=0, class_weight="balanced") as loader:
        assert next(iter(loader))[2].tolist() == [1, 1]


@pytest.mark.parametrize("labels", [None, np.zeros((4, 2), int), np.zeros(4)])
def test_balanced_weights_need_class_numbers_that_are_known(labels: Any) -> None:
    source = MapSource([(np.zeros(3), 0)] * 4) if labels is None else NpyArrays(np.zeros((4, 3)), labels)
    with pytest.raises(ConfigError, match=r"What to do: give labels= to the source; or give a dict"):
        Loader(source, 2, workers=0, class_weight="balanced")

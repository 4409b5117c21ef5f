"""A sample of more arrays than anybody has: it crosses like any other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loader import Loader, MapSource, PipelineError
from tests.batches import assert_same, inline, take

ARRAYS = 1_500


class Measurements:
    """Samples of many arrays, with names that are not short."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Any:
        return ({f"measurement number {number}": np.full(3, index + number, np.float32) for number in range(ARRAYS)},)


def test_a_sample_of_a_thousand_arrays_arrives() -> None:
    source = MapSource(Measurements())
    with Loader(source, 4, workers=2) as loader:
        assert len(loader.spec.leaves) == ARRAYS
        assert_same(take(loader, 2), inline(source, 4, epochs=2))


def test_what_is_wrong_with_one_of_its_arrays_is_said() -> None:
    def spoil(sample: Any, rng: np.random.Generator) -> Any:
        (x,) = sample
        return ({**x, f"measurement number {ARRAYS - 1}": np.zeros(4 if x["measurement number 0"][0] == 5 else 3, np.float32)},)

    wrong = rf"x\['measurement number {ARRAYS - 1}'\] has shape \(4,\)(.|\n)*at sample 5"
    with Loader(MapSource(Measurements()), 4, workers=2, transforms=[spoil]) as loader, pytest.raises(PipelineError, match=wrong):
        take(loader)

"""How long a row takes, as far as the first sample tells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from loader import NpyArrays
from loader.data.pipeline.pipeline import Pipeline
from loader.supervise import first_sample


@pytest.mark.parametrize(
    ("took_ms", "row_ms"),
    [
        ([300], 300),  # is not run again
        ([60, 6], 6),  # has waited for a core
        ([6, 60], 6),
        ([60, 2, 8], 1),  # a fast one, eight at a time the third time
        ([1, 2, 80], 1),
    ],
)
def test_a_row_is_timed_again_unless_it_is_slow(took_ms: Sequence[float], row_ms: float, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(took_ms)
    monkeypatch.setattr(first_sample, "_time", lambda *_: next(times) * 1e6)
    assert first_sample._time_row(Pipeline(NpyArrays(np.zeros((20, 3))), (), 0)) == row_ms * 1e6
    assert not [*times]

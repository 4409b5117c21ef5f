from __future__ import annotations

import pytest

from loader.data.stopwatch import TIMING_CELLS, Timing
from loader.measure.measurements import StageStats, in_words, stages

NAMES = ["read", "write", "decode", "blur", "tint"]


def timing(samples: int, order_ns: int, *given: int) -> list[int]:
    cells = [0] * TIMING_CELLS
    cells[Timing.SAMPLES], cells[Timing.ORDER_NS] = samples, order_ns
    cells[len(Timing) : len(Timing) + len(given)] = given
    return cells


def test_shares_are_those_of_all_samples_though_few_were_timed() -> None:
    found = stages(timing(10, 2_000_000, 10_000_000, 10_000_000, 0, 70_000_000, 0), NAMES, samples=2)
    assert [stage.name for stage in found] == ["read", "blur", "write", "order"]
    assert [stage.ms_per_sample for stage in found] == pytest.approx([1.0, 7.0, 1.0, 0.2])
    found = stages(timing(10, 100_000_000, 10_000_000, 10_000_000, 0, 70_000_000, 0), NAMES, samples=100)
    assert [stage.share for stage in found] == pytest.approx([0.1, 0.7, 0.1, 0.1])


def test_decoding_stands_between_reading_and_transforming() -> None:
    found = stages(timing(10, 0, 10_000_000, 10_000_000, 60_000_000, 20_000_000), NAMES, samples=10)
    assert [stage.name for stage in found] == ["read", "decode", "blur", "write"]


def test_batch_transforms_are_told_by_the_batch() -> None:
    cells = timing(10, 0, 10_000_000, 10_000_000, 0, 70_000_000)
    cells[Timing.BATCH_NS], cells[Timing.BATCHES] = 100_000_000, 4
    found = stages(cells, NAMES, samples=100, batch_name="mixup")
    assert found[-1] == StageStats("mixup", 0.1, 1.0, 25.0)
    assert in_words(found) == "read 10% (1 ms), blur 70% (7 ms), write 10% (1 ms), mixup 10% (25 ms per batch)"


def test_without_a_timed_sample_there_are_no_stages() -> None:
    assert stages(timing(0, 5), NAMES, 100) == []


def test_stages_of_next_to_no_time_are_not_shown() -> None:
    assert in_words([StageStats("read", 0.293, 0.41), StageStats("blur", 0.7, 1.0), StageStats("order", 0.007, 0.01)]) == (
        "read 29% (0.41 ms), blur 70% (1 ms)"
    )

"""What is known of bad samples belongs to the loader: it outlives the supervisor that has found it out."""

from __future__ import annotations

import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays, SampleError
from tests.batches import assert_same, copied, first_numbers, inline, take, take_until_replaced
from tests.faults.test_dying_supervisor import kill
from tests.processes import wait_until

N, BATCH = 40, 4
SOURCE = NpyArrays(np.arange(N))
RAISE, KILL = {5, 17}, 30


def bad(marks: Path, kills: bool = True) -> Any:
    """Return a function that raises for some samples, and ends the worker for another one, after a mark."""

    def step(sample: Any, rng: np.random.Generator) -> Any:
        index = int(sample[0])
        if index in RAISE or (index == KILL and not kills):
            raise ValueError("no")
        if index == KILL:
            (marks / str(time.monotonic_ns())).touch()
            os._exit(3)
        return sample

    return step


def test_bad_samples_are_counted_reported_and_tried_once_per_loader_not_per_supervisor(tmp_path: Path) -> None:
    marks, report = tmp_path / "marks", tmp_path / "bad.jsonl"
    marks.mkdir()
    settings: dict[str, Any] = {"on_error": "substitute", "max_errors": 3}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        expected = inline(SOURCE, BATCH, 80, transforms=[bad(marks, kills=False)], **settings)
        found, tries = [], []
        with Loader(SOURCE, BATCH, workers=1, quarantine=report, transforms=[bad(marks)], **settings) as loader:
            batches = loader.batches()
            for restarts in range(4):
                while loader.stats().supervisor_restarts < restarts:
                    found.append(copied(next(batches)))
                found += [copied(next(batches)) for _ in range(12)]
                assert loader.stats().quarantined == 3
                tries.append(len(list(marks.iterdir())))
                if restarts < 3:
                    kill(loader)
    assert_same(found, expected[: len(found)])
    assert sorted(json.loads(line)["index"] for line in report.read_text().splitlines()) == sorted({*RAISE, KILL})
    assert tries == [tries[0]] * 4
    assert sum("another one takes its place" in str(warning.message) for warning in caught) == 2  # one for each loader


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_restart_gives_no_new_allowance(tmp_path: Path) -> None:
    arm = tmp_path / "arm"

    def step(sample: Any, rng: np.random.Generator) -> Any:
        if sample[0] in ({KILL} if arm.exists() else RAISE):
            raise ValueError("no")
        return sample

    with Loader(SOURCE, BATCH, workers=2, on_error="substitute", max_errors=2, transforms=[step]) as loader:
        take(loader)
        arm.touch()
        kill(loader)
        with pytest.raises(SampleError, match=r"3 different samples have been bad, and max_errors=2 allows 2"):
            take_until_replaced(loader, loader.batches(), times=2)  # what was ready when the supervisor died comes first; it dies only once
        assert loader.stats().quarantined == 3


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_first_sample_that_has_become_bad_does_not_keep_another_supervisor_from_following(tmp_path: Path) -> None:
    arm = tmp_path / "arm"

    def step(sample: Any, rng: np.random.Generator) -> Any:
        if sample[0] == 0 and arm.exists():
            os._exit(3)
        return sample

    with Loader(SOURCE, BATCH, workers=2, on_error="substitute", transforms=[step]) as loader:
        take(loader)
        arm.touch()
        kill(loader)
        wait_until(lambda: 0 not in first_numbers(take(loader)), "what was filled before is taken")
        assert 0 not in first_numbers(take(loader, epochs=2))
        assert loader.stats().supervisor_restarts == 1

"""Eleven loaders, each held up by something else: the verdict names it.

What is slow sleeps, so that the machine's other work changes little. A verdict looks at the last ten seconds, so what it does at one moment is
forgotten.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from loader import ByteFiles, Loader, MapSource, NpyArrays, Stats, decode
from tests.processes import wait_until

_FIRST_S = 0.9
_LOOK_S = 0.2
_LOOKS = 3
_DEADLINE_S = 40.0

SOURCE = NpyArrays(np.zeros((2_000, 16), np.float32))


class Slow:
    """Samples that take their time; some of them more."""

    def __init__(self, seconds: float, slow: float = 0.0, every: int = 1) -> None:
        self.seconds, self.slow, self.every = seconds, slow, every

    def __len__(self) -> int:
        return 2_000

    def __getitem__(self, index: int) -> tuple[Any]:
        time.sleep(self.slow if self.slow and index % self.every == self.every // 2 else self.seconds)
        return (np.full(16, index, np.float32),)


def sleeping(seconds: float, name: str) -> Any:
    def function(sample: Any, rng: np.random.Generator) -> Any:
        time.sleep(seconds)
        return sample

    function.__name__ = name
    return function


def watch(loader: Loader, kind: str, step_s: float = 0.0) -> Stats:
    """Train with a model that takes `step_s` for a step, until the verdict is of that kind and stays so; return what the loader says then."""
    batches = loader.batches()
    next(batches)
    begun = time.monotonic()
    right = 0
    while right < _LOOKS and time.monotonic() < begun + _DEADLINE_S:
        end = time.monotonic() + (_LOOK_S if right else _FIRST_S)
        while time.monotonic() < end:
            next(batches)
            time.sleep(step_s)
        stats = loader.stats()
        right = right + 1 if stats.verdict_kind == kind else 0
    assert stats.verdict_kind == kind, stats
    return stats


def test_slow_reads() -> None:
    with Loader(MapSource(Slow(0.004)), 8, workers=2, transforms=[sleeping(0.0005, "light")]) as loader:
        stats = watch(loader, "reading")
    assert "reading takes" in stats.verdict
    assert "storage" in stats.verdict
    assert stats.verdict_gain > 1.5
    assert stats.stages[0].name == "read"
    assert stats.stages[0].ms_per_sample > 3.5


def test_slow_decoding(tmp_path: Path) -> None:
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8), (9, 9), 0)
    for number in range(6):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), picture)
    with Loader(ByteFiles(tmp_path, decode=decode.image(size=900)), 2, shuffle=True, workers=2) as loader:
        stats = watch(loader, "decoding")
    assert "decoding takes" in stats.verdict
    assert "storage" not in stats.verdict
    shares = {stage.name: stage.share for stage in stats.stages}
    assert [*shares][:2] == ["read", "decode"]
    assert shares["decode"] > 0.8


def test_a_slow_transform() -> None:
    with Loader(SOURCE, 8, workers=2, transforms=[sleeping(0.004, "blur")]) as loader:
        stats = watch(loader, "transforming")
    assert "`blur` takes" in stats.verdict


def test_one_slow_transform_among_five() -> None:
    names = ["crop", "turn", "noise", "tint", "norm"]
    functions = [sleeping(0.005 if name == "noise" else 0.0003, name) for name in names]
    with Loader(SOURCE, 8, workers=2, transforms=functions) as loader:
        stats = watch(loader, "transforming")
    assert "`noise` takes" in stats.verdict
    assert [stage.name for stage in stats.stages if stage.name in names] == names
    assert "noise" in dict(stats.rows())["stages"]


def test_a_slow_model() -> None:
    with Loader(SOURCE, 4, workers=1, transforms=[sleeping(0.002, "light")]) as loader:
        stats = watch(loader, "model", step_s=0.06)
    assert stats.verdict_gain == 1.0


def test_too_little_memory() -> None:
    def large(sample: Any, rng: np.random.Generator) -> Any:
        taken = np.ones(200 * 2**20, np.uint8)
        time.sleep(0.02)
        del taken
        return sample

    with Loader(SOURCE, 2, workers=4, transforms=[large], memory_limit="300MiB") as loader:
        batches = loader.batches()
        wait_until(lambda: bool(next(batches)) and loader.stats().memory.reduced_to is not None, "memory has reduced the workers")
        stats = watch(loader, "memory")
    assert "of 4 workers" in stats.verdict


def test_too_few_workers() -> None:
    functions = [sleeping(0.002, name) for name in ("crop", "turn", "tint")]
    with Loader(MapSource(Slow(0.002)), 8, workers=1, max_workers=8, transforms=functions) as loader:
        stats = watch(loader, "workers", step_s=0.03)
    assert "use" in stats.verdict
    assert stats.verdict_gain > 1.3


def test_too_many_workers() -> None:
    with Loader(SOURCE, 4, workers=6, transforms=[sleeping(0.002, "light")]) as loader:
        stats = watch(loader, "too_many_workers", step_s=0.06)
    assert "of 6 workers would do" in stats.verdict


def test_one_straggling_sample_in_a_hundred() -> None:
    with Loader(MapSource(Slow(0.002, slow=0.6, every=100)), 10, workers=2, shuffle=True) as loader:
        stats = watch(loader, "straggler")
    assert "longer than usual" in stats.verdict


def test_tiny_batches() -> None:
    with Loader(SOURCE, 1, workers=2) as loader:
        stats = watch(loader, "overhead")
    assert "batch_size" in stats.verdict


def test_a_balanced_pair() -> None:
    with Loader(SOURCE, 1, workers=1, slots=8, transforms=[sleeping(0.04, "work")]) as loader:
        assert watch(loader, "balanced", step_s=0.042).verdict_gain == 1.0


def test_without_a_pool_the_stages_are_measured_as_well() -> None:
    with Loader(SOURCE, 8, workers=0, transforms=[sleeping(0.002, "blur")]) as loader:
        stats = watch(loader, "inline")
    assert {stage.name for stage in stats.stages} == {"read", "blur", "write"}
    assert max(stats.stages, key=lambda stage: stage.share).name == "blur"
    assert sum(stage.share for stage in stats.stages) == pytest.approx(1)

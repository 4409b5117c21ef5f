from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ByteFiles
from loader import transforms as T
from loader.data.pipeline.pipeline import Pipeline
from loader.data.sources.objects.map_source import MapSource
from loader.data.stopwatch import DECODE, READ, STAGES, TIMING_CELLS, WRITE, Stopwatch, Timing, stage_names, stage_of

MS = 1_000_000


def cells() -> memoryview:
    return memoryview(bytearray(8 * TIMING_CELLS)).cast("q")


def test_a_few_in_a_second_are_timed_however_short_they_are() -> None:
    watch = Stopwatch(cells(), clocks=False)
    assert sum(watch.begin(number * MS, 1) is not None for number in range(10_000)) == 200


def test_long_ones_are_all_timed() -> None:
    watch = Stopwatch(cells(), clocks=False)
    assert all(watch.begin(number * 60 * MS, 1) for number in range(1, 100))


def test_slow_rows_are_told_from_the_usual_ones() -> None:
    found = cells()
    watch = Stopwatch(found, clocks=False)
    for number in range(20):
        watch.begin(number * 60 * MS, 4)
        watch.end(8 * MS, 4)
    assert watch.limit_ns == 6 * MS
    watch.slow(40 * MS, 4, lambda: 7)
    assert (found[Timing.SLOW_TICKETS], found[Timing.SLOW_NS], found[Timing.SLOW_SAMPLE_GAUGE]) == (1, 32 * MS, 0)
    watch.slow(40 * MS, 1, lambda: 7)
    watch.slow(10 * MS, 1, lambda: 8)
    assert (found[Timing.SLOW_TICKETS], found[Timing.SLOW_SAMPLE_GAUGE]) == (3, 8)


def test_after_ten_seconds_a_less_slow_sample_is_named_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [20_000 * MS]
    monkeypatch.setattr("loader.data.stopwatch.time.monotonic_ns", lambda: now[0])
    found = cells()
    watch = Stopwatch(found, clocks=False)
    for index, (later_s, excess_ms, named) in enumerate([(0, 900, 0), (9, 100, 0), (2, 100, 2), (0, 60, 3), (0, 20, 3)]):
        now[0] += later_s * 1000 * MS
        watch.slow(excess_ms * MS, 1, partial(int, index))
        assert found[Timing.SLOW_SAMPLE_GAUGE] == named + 1
    assert found[Timing.SLOW_AT_NS_GAUGE] == now[0]


def test_a_few_slow_rows_do_not_move_what_is_usual() -> None:
    watch = Stopwatch(cells(), clocks=False)
    for number in range(100):
        watch.end((500 if number % 5 == 0 else 1) * MS, 1)
    assert watch.limit_ns == 3 * MS


def test_the_clocks_of_the_process_are_noted() -> None:
    found = cells()
    watch = Stopwatch(found, clocks=True)
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    watch.end(20 * MS, 1)
    assert found[Timing.CPU_NS] >= 20 * MS
    assert found[Timing.QUEUE_NS] >= 0


def blur(sample: Any, rng: np.random.Generator) -> Any:
    time.sleep(0.002)
    return sample


class Tint:
    def __call__(self, sample: Any, rng: np.random.Generator) -> Any:
        return sample


def test_stages_are_called_what_the_user_calls_them() -> None:
    transforms = [T.Rescale(2.0), blur, partial(blur), Tint(), lambda sample, rng: sample]
    assert stage_names(transforms) == ["read", "write", "decode", "Rescale", "blur (1)", "blur (2)", "Tint", "lambda"]


@pytest.mark.parametrize("count", [0, STAGES - 3, STAGES - 2, 100])
def test_every_place_has_a_stage_and_every_stage_a_name(count: int) -> None:
    names = stage_names([T.Rescale(float(number)) for number in range(count)])
    assert len(names) <= STAGES
    assert all(stage_of(place) < len(names) for place in range(count))
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("chain", [[], [T.Rescale(2.0)], [blur], [T.Rescale(2.0), blur], [blur, T.Rescale(2.0), T.Flip("horizontal"), blur]])
def test_all_the_time_goes_to_some_stage_and_the_rows_stay_the_same(chain: list[Any]) -> None:
    pipeline = Pipeline(MapSource([(np.full((4, 4, 1), number, np.float32),) for number in range(8)]), chain, seed=3)
    spec = pipeline.compile(pipeline.probe())
    filled = []
    found = cells()
    for watch in (None, Stopwatch(found, clocks=False)):
        out = [np.empty((8, *leaf.shape), leaf.dtype) for leaf in spec.leaves]
        started = time.monotonic_ns()
        pipeline.watch = watch and watch.begin(started, 8)
        pipeline.fill(np.arange(8), 1, out, memoryview(bytearray(8)).cast("q"))
        filled.append(out[0])
    elapsed = time.monotonic_ns() - started
    stages = found[len(Timing) :].tolist()
    assert filled[0].tobytes() == filled[1].tobytes()
    assert found[Timing.SAMPLES] == 8
    assert 0 < sum(stages) <= elapsed
    assert stages[READ] > 0
    for place, transform in enumerate(chain):
        assert stages[stage_of(place)] > (8 * 2 * MS if transform is blur else 0)
    assert (stages[WRITE] > 0) == (blur in chain)


def slow_decode(content: bytes) -> Any:
    time.sleep(0.05)
    return np.frombuffer(content, np.uint8)


@pytest.mark.parametrize("chain", [[], [T.Rescale(2.0)], [blur]])
def test_what_a_source_decodes_is_told_from_what_it_reads(tmp_path: Path, chain: list[Any]) -> None:
    for number in range(4):
        (tmp_path / f"{number}.bin").write_bytes(bytes([number] * 16))
    files = ByteFiles(tmp_path, decode=slow_decode)
    pipeline = Pipeline(files.subset([1, 0]) + files.subset([2, 3]), chain, seed=3)
    spec = pipeline.compile(pipeline.probe())
    found = cells()
    pipeline.watch = Stopwatch(found, clocks=False).begin(time.monotonic_ns(), 4)
    pipeline.fill(np.arange(4), 1, [np.empty((4, *leaf.shape), leaf.dtype) for leaf in spec.leaves], memoryview(bytearray(8)).cast("q"))
    stages = found[len(Timing) :].tolist()
    assert stages[DECODE] > 4 * 50 * MS
    assert 0 < stages[READ] < 4 * 50 * MS
    assert files.watch is None

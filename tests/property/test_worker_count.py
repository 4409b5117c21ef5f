"""One law for the number of workers: what the verdict tells people is what `workers="auto"` would try."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from loader.data.stopwatch import TIMING_CELLS, Timing
from loader.ipc.board import Board
from loader.measure.moments import Moment
from loader.measure.verdict import judge
from loader.measure.window import Window
from loader.measure.worker_count import busy_at_most, enough
from loader.supervise.tuning.tuner import Advice, Tuner

SHARE = st.floats(0, 1)
JUMP = 4
"""As many times as many workers as there are may be tried at once; the rest after another look."""


def moments(workers: int, wait: float, busy: float, computing: float, queueing: float, full: float) -> list[Moment]:
    """Return what the counters say of a steady load, twice a second for four seconds."""
    found = []
    for half in range(9):
        at_s, work_ns = half / 2, half / 2 * busy * 1e9
        timing = [0] * TIMING_CELLS
        timing[Timing.CPU_NS], timing[Timing.QUEUE_NS] = int(workers * work_ns * computing), int(workers * work_ns * queueing)
        found.append(
            Moment(
                at_s=at_s,
                wait_ns=int(at_s * wait * 1e9),
                samples=80 * half,
                batches=10 * half,
                made=80 * half,
                busy_ns=(int(work_ns),) * workers,
                running=(True,) * workers,
                nothing_to_fill_ns=int(at_s * full * 1e9),
                wanted=workers,
                timing=tuple(timing),
            )
        )
    return found


def said(seen: list[Moment], workers: int, ceiling: int, cores: int) -> str:
    """Return the verdict."""
    return judge(Window(Board(None, ceiling), seen, cores).measurements(range(workers), [])).sentence


def advised(seen: list[Moment], workers: int, ceiling: int, cores: int) -> Advice | None:
    """Return what auto does first, if anything."""
    tuner = Tuner(cores)
    advice = (tuner.observe(moment, workers, ceiling) for moment in seen)
    return next((one for one in advice if one is not None), None)


@given(
    workers=st.integers(1, 16),
    more=st.integers(0, 32),
    cores=st.integers(1, 64),
    wait=SHARE,
    busy=SHARE,
    computing=SHARE,
    queueing=SHARE,
    full=SHARE,
)
def test_the_verdict_never_proposes_more_workers_than_auto_would_try(
    workers: int, more: int, cores: int, wait: float, busy: float, computing: float, queueing: float, full: float
) -> None:
    seen = moments(workers, wait, busy, computing, queueing * (1 - computing), full)
    words = said(seen, workers, workers + more, cores)
    if found := re.search(r"use (\d+) workers", words):
        advice = advised(seen, workers, workers + more, cores)
        assert advice is not None, words
        assert advice.workers >= min(int(found[1]), JUMP * workers), (advice, words)


@example(workers=2, busy=0.5, computing=0.0, queueing=1.0)
@given(workers=st.integers(2, 16), busy=st.floats(0.01, 1), computing=SHARE, queueing=SHARE)
def test_the_workers_that_would_do_are_those_that_auto_goes_down_to(workers: int, busy: float, computing: float, queueing: float) -> None:
    seen = moments(workers, 0.0, busy, computing, queueing * (1 - computing), 0.5)
    words = said(seen, workers, workers, 64)
    if found := re.search(r"(\d+) of \d+ workers would do", words):
        advice = advised(seen, workers, workers, 64)
        assert advice is not None, words
        assert abs(advice.workers - int(found[1])) <= (1 if busy * workers % 0.9 < 1e-3 else 0), (advice, words)


@given(busy=st.floats(0, 1000))
def test_the_fewest_that_are_enough_are_enough_and_one_fewer_are_not(busy: float) -> None:
    workers = enough(busy)
    assert busy_at_most(workers) >= busy - 1e-5
    assert workers == 1 or busy_at_most(workers - 1) < busy

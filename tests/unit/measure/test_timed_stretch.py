from __future__ import annotations

import pytest

from loader.measure.moments import Moment, Pace, Span
from loader.measure.timed_stretch import TimedStretch


class Counters:
    """A probe whose counters and clock the test moves."""

    def __init__(self) -> None:
        self.at_s, self.waited_s, self.samples = 100.0, 0.0, 0

    def moment(self) -> Moment:
        return Moment(self.at_s, round(self.waited_s * 1e9), self.samples)

    def pass_by(self, seconds: float, waited_s: float = 0.0, samples: int = 0) -> None:
        self.at_s += seconds
        self.waited_s += waited_s
        self.samples += samples

    def train(self, stretch: TimedStretch, steps: int, seconds: float = 1.0, waited_s: float = 0.25, prefetched: bool = False) -> None:
        """Make steps whose batch is taken after the step has begun, or before."""
        for _ in range(steps):
            if prefetched:
                self.pass_by(waited_s, waited_s, 8)
            stretch.step()
            if not prefetched:
                self.pass_by(waited_s, waited_s, 8)
            self.pass_by(seconds - waited_s)


def test_ratio_and_rate_are_those_between_two_moments() -> None:
    pace = Span(Moment(10.0, 1_000_000_000, 100), Moment(14.0, 2_000_000_000, 300)).pace
    assert (pace.wait_ratio, pace.samples_per_s) == (0.25, 50.0)


def test_no_time_and_waits_that_were_counted_late_give_shares_all_the_same() -> None:
    assert (Pace(0.0, 0.0, 0).wait_ratio, Pace(0.0, 0.0, 8).samples_per_s) == (0.0, 0.0)
    assert Pace(1.0, 1.001, 8).wait_ratio == 1.0


def test_the_first_two_steps_are_left_out_once() -> None:
    counters = Counters()
    stretch = TimedStretch(counters)  # type: ignore[arg-type]
    stretch.begin()
    counters.train(stretch, 2, seconds=60, waited_s=30)
    assert not stretch.warm
    counters.train(stretch, 10)
    assert stretch.warm
    assert stretch.end() == pytest.approx((10.0, 2.5, 80))
    stretch.begin()
    counters.train(stretch, 4)
    assert stretch.end() == pytest.approx((4.0, 1.0, 32))


@pytest.mark.parametrize("prefetched", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_short_stretches_have_figures_too(steps: int, prefetched: bool) -> None:
    counters = Counters()
    stretch = TimedStretch(counters)  # type: ignore[arg-type]
    for _ in range(3):
        stretch.begin()
        counters.train(stretch, steps, prefetched=prefetched)
        pace = stretch.end()
        assert pace.samples
        assert 0 < pace.samples_per_s <= 16


def test_what_comes_after_the_end_does_not_count() -> None:
    counters = Counters()
    stretch = TimedStretch(counters)  # type: ignore[arg-type]
    stretch.begin()
    assert stretch.running
    counters.train(stretch, 8)
    ended = stretch.end()
    counters.pass_by(100.0, 100.0, 1000)
    assert not stretch.running
    assert stretch.pace == ended

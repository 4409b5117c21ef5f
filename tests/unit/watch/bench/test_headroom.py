"""What `loader bench` makes of three speeds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.watch.bench.headroom import Speed, Stamp, verdict


def speed(rate: float, wait: float | None = None) -> Speed:
    return Speed([rate], wait=wait)


def test_the_loaders_headroom_is_said_with_all_three_speeds() -> None:
    assert verdict(speed(5100), speed(1200), speed(1190, 0.01)) == [
        "the model alone makes 1,200 samples/s, the loader alone 5,100: the model is the limit, and the loader could deliver 4.2 times as much; "
        "together 1,190: training waits 1% of the time"
    ]


@pytest.mark.parametrize(
    ("loader", "words"), [(500, "the loader is the limit, and the model could take 2.0 times as much"), (1050, "both are about equally fast")]
)
def test_a_loader_that_is_not_faster_is_named(loader: float, words: str) -> None:
    assert words in verdict(speed(loader), speed(1000), None)[0]


def test_sides_that_hinder_each_other_are_told() -> None:
    assert len(verdict(speed(2000), speed(1000), speed(950, 0.0))) == 1
    assert "60%" in verdict(speed(2000), speed(1000), speed(600, 0.0))[1]


def test_what_was_not_measured_is_not_talked_about() -> None:
    assert verdict(None, None, None) == []
    assert "--model" in verdict(speed(10), None, None)[0]
    assert "together" not in verdict(speed(10), speed(5), None)[0]


def test_a_number_of_workers_that_changed_meanwhile_is_said() -> None:
    climbing = Speed([500], resized=True)
    for lines in (verdict(climbing, None, None), verdict(climbing, speed(10), None), verdict(speed(500), speed(10), climbing)):
        assert "still changed the number of workers" in lines[-1]


@given(st.floats(0.001, 1e9), st.floats(0.001, 1e9), st.floats(0.001, 1e9))
def test_exactly_one_side_limits(loader: float, model: float, together: float) -> None:
    (first, *_) = verdict(speed(loader), speed(model), speed(together, 0.5))
    assert sum(words in first for words in ("the model is the limit", "the loader is the limit", "both are about equally fast")) == 1


def test_a_speed_is_the_median_of_its_stretches() -> None:
    stamps = [Stamp(10.0, 4, 400), Stamp(11.0, 8, 800, 0.5), Stamp(13.0, 12, 1200, 1.0), Stamp(14.0, 15, 1500, 2.0)]
    found = Speed.of(stamps, bytes_per_sample=8, wait=True)
    assert (found.rates, found.rate, found.wait) == ([400, 200, 300], 300, 0.5)
    assert (found.batches, found.batches_per_s, found.bytes_per_s) == (11, 3.0, 2400)
    assert found.spread == pytest.approx(2 / 3)
    assert Speed.of(stamps).wait is None

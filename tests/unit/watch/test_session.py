"""The progress bar of commands that wait for something."""

from __future__ import annotations

import signal

from loader.watch.session import MeasurementSession


def test_an_alarm_that_comes_while_the_bar_is_drawn_draws_nothing() -> None:
    drawn: list[int] = []

    def look() -> tuple[int, str]:
        drawn.append(len(drawn))
        if len(drawn) < 3:
            signal.raise_signal(signal.SIGALRM)
        return 0, ""

    with MeasurementSession("test").following(1, look):
        signal.raise_signal(signal.SIGALRM)
        signal.raise_signal(signal.SIGALRM)
    assert drawn == [0, 1]

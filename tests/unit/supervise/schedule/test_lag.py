"""Readers of different speed, in simulated time: what they get, and what it costs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import pytest

from loader.ipc.records import Done, Ready, Released, Ticket
from loader.supervise.schedule.assignments import SendTicket
from loader.supervise.schedule.lag import HoldUp, Lag, LagMode
from loader.supervise.schedule.schedule import Schedule
from tests.plans import sample_batches

BATCHES = 1_000
STEP_S = 0.001


@dataclass
class Model:
    """A trainer whose steps take `step_s`, and that does nothing between two moments."""

    step_s: float
    paused: tuple[float, float] = (0.0, 0.0)
    ready: deque[Ready] = field(default_factory=deque)
    current: Ready | None = None
    until: float = 0.0
    got: list[int] = field(default_factory=list)

    def wants(self, now: float) -> bool:
        return self.until <= now and not self.paused[0] <= now < self.paused[1]

    def waits(self, now: float) -> bool:
        return self.wants(now) and not self.ready


def run(models: list[Model], seconds: float, mode: LagMode = "split", slots: int = 12) -> int:
    """Let them train; return how many rows the workers were asked for."""
    schedule, lag = Schedule(sample_batches(4 * BATCHES, 4), slots, 1, None, 1e5, 2, shared=True), Lag(mode)
    for worker in range(2):
        schedule.worker_joined(worker)
    for number in range(1, len(models)):
        schedule.reader_joined(number, 0, 0)
    rows, now = 0, 0.0
    busy: deque[tuple[float, int, Ticket]] = deque()
    while now < seconds:
        now += STEP_S
        while busy and busy[0][0] <= now:
            _, worker, ticket = busy.popleft()
            schedule.done(Done(worker, ticket.number, 100_000 * ticket.rows))
        for number, model in enumerate(models):
            if model.wants(now) and model.ready:
                if model.current is not None:
                    schedule.released(Released(model.current.slot, model.current.delivery, number))
                model.current = model.ready.popleft()
                model.got.append(model.current.epoch * BATCHES + model.current.first)
                model.until = max(model.until, now - STEP_S) + model.step_s
        hold_up = schedule.hold_up([number for number, model in enumerate(models) if model.waits(now)])
        if lag.ends(hold_up, now) and hold_up is not None:
            schedule.set_apart(hold_up.reader)
        for command in schedule.commands():
            if isinstance(command, SendTicket):
                rows += command.ticket.rows
                busy.append((now + STEP_S, *command))
            elif isinstance(command, Ready):
                models[command.reader].ready.append(command)
    for model in models:
        assert model.got == list(range(len(model.got)))
    return rows


def test_readers_of_almost_the_same_speed_stay_together() -> None:
    models = [Model(0.0200), Model(0.0202), Model(0.0201), Model(0.0200)]
    rows = run(models, 60)
    assert rows <= 1.05 * 4 * (len(models[0].got) + 12)
    assert all(len(model.got) >= 0.97 * 60 / 0.02 for model in models)


def test_a_reader_that_is_ten_times_slower_costs_the_others_nothing_but_its_own_work() -> None:
    models = [Model(0.02), Model(0.2), Model(0.02)]
    rows = run(models, 30)
    assert len(models[0].got) >= 0.97 * 30 / 0.02
    assert len(models[1].got) >= 0.97 * 30 / 0.2
    assert rows <= 1.05 * 4 * (len(models[0].got) + len(models[1].got) + 24)


def test_a_reader_that_pauses_holds_up_the_others_for_a_moment_and_joins_them_when_they_pause() -> None:
    models = [Model(0.02, paused=(20.0, 30.0)), Model(0.02, paused=(10.0, 20.0))]
    rows = run(models, 60)
    assert all(len(model.got) >= 0.97 * 50 / 0.02 - 5 for model in models)
    assert rows <= 1.4 * 4 * len(models[0].got)  # apart for ten seconds of fifty


def test_readers_that_wait_go_in_step_except_with_one_that_pauses() -> None:
    models = [Model(0.02), Model(0.06)]
    rows = run(models, 30, "wait")
    assert abs(len(models[0].got) - len(models[1].got)) <= 12
    assert rows <= 4 * (len(models[0].got) + 24)
    models = [Model(0.02), Model(0.06, paused=(10.0, 100.0))]
    run(models, 30, "wait")
    assert len(models[0].got) >= 10 / 0.06 + 18 / 0.02


@pytest.mark.parametrize("mode", ["split", "wait"])
def test_nobody_is_set_apart_while_nobody_is_held_up(mode: LagMode) -> None:
    lag = Lag(mode)
    assert not any(lag.ends(None, now) for now in range(1, 100))
    assert not lag.ends(HoldUp(1, 5), 100.0)

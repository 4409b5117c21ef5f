"""Two meters of one board tell the same, wherever they run."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from loader.data.stopwatch import Timing
from loader.ipc.board import Board, SupervisorCell, TrainerCell, WorkerCell, WorkerState
from loader.measure import meter as module
from loader.measure.measurements import StageStats
from loader.measure.meter import Meter
from loader.measure.stats import Stats, WorkerStats
from loader.train.position import Position
from loader.train.producer import Cursor
from tests.plans import sample_batches

ROWS = 8


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


class Rows:
    """A producer whose batches are rows and nothing else."""

    def __init__(self, board: Board) -> None:
        self.board, self.cells, self.cursor = board, board.trainer, Cursor()

    def take(self, leased: bool) -> tuple[Any, ...]:
        return (range(ROWS),)


class Trainer:
    """Takes batches, and looks at what it has taken."""

    def __init__(self, board: Board, batches: int = 10**6) -> None:
        self._meter = Meter(board)
        self._position = Position(Rows(board), sample_batches(batches * ROWS, ROWS), self._meter)  # type: ignore[arg-type]

    def take(self) -> None:
        self._position.take(leased=False)

    def stats(self, name: str) -> Stats:
        return self._meter.stats(name)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr("loader.train.position.time", clock)
    return clock


@pytest.fixture
def boards() -> Any:
    fd = Board.create(2)
    yield Board(fd, 2), Board(fd, 2)
    os.close(fd)


def test_the_supervisor_sees_what_the_trainer_sees(boards: tuple[Board, Board], clock: Clock) -> None:
    trainer, supervisor = boards
    taker, meter = Trainer(trainer, batches=40), Meter(supervisor)
    supervisor.workers[1][WorkerCell.STATE_GAUGE] = WorkerState.BUSY
    supervisor.supervisor[SupervisorCell.SLOTS_FILLED_GAUGE] = 3
    trainer.trainer[TrainerCell.LENT_GAUGE] = 1
    for _ in range(100):
        clock.now += 0.25
        trainer.trainer.add(TrainerCell.WAIT_NS, 50_000_000)
        supervisor.workers[1].add(WorkerCell.BUSY_NS, 125_000_000)
        taker.take()
        meter.look(clock.now)
    mine, other = taker.stats("a"), meter.stats("a")
    assert mine == other
    assert (mine.epoch, mine.batches_delivered, mine.slots.ready, mine.slots.lent) == (2, 100, 2, 1)
    assert mine.samples_per_s == pytest.approx(32, rel=0.1)
    assert mine.trainer_wait_ratio == pytest.approx(0.2, rel=0.1)
    assert mine.workers[0].busy_ratio == pytest.approx(0.5, rel=0.1)


def test_while_the_trainer_hangs_the_window_moves_on(boards: tuple[Board, Board], clock: Clock) -> None:
    taker, meter = Trainer(boards[0]), Meter(boards[1])
    for _ in range(20):
        clock.now += 0.5
        taker.take()
        meter.look(clock.now)
    assert meter.stats("a").samples_per_s == pytest.approx(16, rel=0.1)
    for _ in range(30):
        clock.now += 0.5
        meter.look(clock.now)
    assert meter.stats("a").samples_per_s == 0
    assert meter.stats("a").verdict == "no batch was taken from the loader in the last 10 s"


def test_a_worker_that_has_just_started_is_not_one_that_was_idle(boards: tuple[Board, Board], clock: Clock) -> None:
    taker, meter, workers = Trainer(boards[0]), Meter(boards[1]), boards[1].workers
    workers[0][WorkerCell.STATE_GAUGE] = WorkerState.BUSY
    for step in range(20):
        clock.now += 0.5
        if step == 12:
            workers[1][WorkerCell.STATE_GAUGE] = WorkerState.BUSY
        for cells in workers[: 2 if step > 12 else 1]:
            cells.add(WorkerCell.BUSY_NS, 450_000_000)
        boards[0].trainer.add(TrainerCell.WAIT_NS, 250_000_000)
        taker.take()
        meter.look(clock.now)
    found = meter.stats("a")
    assert [worker.busy_ratio for worker in found.workers] == pytest.approx([0.9, 0.9])
    assert found.verdict_kind == "workers"  # "unclear" if half of them seemed to be idle


def test_a_resize_begins_the_evidence_anew(boards: tuple[Board, Board], clock: Clock) -> None:
    """What was before says nothing about what is now; the rates of the last ten seconds go on."""
    trainer, supervisor = boards
    taker, meter, workers = Trainer(trainer), Meter(supervisor), supervisor.workers
    workers[0][WorkerCell.STATE_GAUGE] = WorkerState.BUSY
    supervisor.supervisor[SupervisorCell.WORKERS_GAUGE] = 1
    for tenth in range(80):
        clock.now += 0.1
        if tenth == 50:
            supervisor.supervisor[SupervisorCell.WORKERS_GAUGE], workers[1][WorkerCell.STATE_GAUGE] = 2, WorkerState.BUSY
        waits, load = (95_000_000, 100_000_000) if tenth < 50 else (0, 20_000_000)
        trainer.trainer.add(TrainerCell.WAIT_NS, waits)
        for cells in workers[: 1 if tenth < 50 else 2]:
            cells.add(WorkerCell.BUSY_NS, load)
        taker.take()
        meter.look(clock.now)
        if tenth in (49, 56):
            kind = "workers" if tenth == 49 else "measuring"
            assert (meter.stats("a").verdict_kind, taker.stats("a").verdict_kind) == (kind, kind)
    for found in (meter.stats("a"), taker.stats("a")):
        assert found.verdict_kind == "too_many_workers"
        assert found.trainer_wait_ratio > 0.5


@pytest.mark.parametrize("looks", [True, False], ids=["supervisor", "trainer"])
def test_a_pause_of_the_trainer_is_no_evidence(looks: bool, boards: tuple[Board, Board], clock: Clock) -> None:
    """Training that waits for a worker 90 % of its time, and is stopped for five seconds: all that it says is of the time before and after."""
    trainer, supervisor = boards
    taker, meter = Trainer(trainer), Meter(supervisor)
    supervisor.workers[0][WorkerCell.STATE_GAUGE] = WorkerState.BUSY
    for tenth in range(110):
        clock.now += 0.1
        if not 40 <= tenth < 90:
            trainer.trainer.add(TrainerCell.WAIT_NS, 90_000_000)
            supervisor.workers[0].add(WorkerCell.BUSY_NS, 95_000_000)
            taker.take()
        else:
            supervisor.supervisor.add(SupervisorCell.NOTHING_TO_FILL_NS, 100_000_000)
        if looks:
            meter.look(clock.now)
    found = meter.stats("a") if looks else taker.stats("a")
    assert found.verdict_kind == "workers"
    assert "waits for data 90% of its time" in found.verdict


def test_looks_that_are_more_than_a_second_apart_are_no_pauses_of_the_trainer(boards: tuple[Board, Board], clock: Clock) -> None:
    """As those of a supervisor that nobody asks anything."""
    trainer, supervisor = boards
    taker, meter = Trainer(trainer), Meter(supervisor)
    for cells in supervisor.workers:
        cells[WorkerCell.STATE_GAUGE] = WorkerState.BUSY
    for tenth in range(150):
        clock.now += 0.1003
        trainer.trainer.add(TrainerCell.WAIT_NS, 20_000_000)
        for cells in supervisor.workers:
            cells.add(WorkerCell.BUSY_NS, 95_000_000)
        taker.take()
        if tenth % 10 == 0:
            meter.look(clock.now)
    assert (meter.stats("a").verdict_kind, taker.stats("a").verdict_kind) == ("workers", "workers")


def test_a_slow_sample_is_named_for_ten_seconds(boards: tuple[Board, Board], clock: Clock) -> None:
    trainer, supervisor = boards
    taker, meter = Trainer(trainer), Meter(supervisor)
    for number, cells in enumerate(supervisor.workers):
        cells[WorkerCell.STATE_GAUGE] = WorkerState.BUSY
        cells.timing()[Timing.SLOW_SAMPLE_GAUGE] = 38 + number
        cells.timing()[Timing.SLOW_AT_NS_GAUGE] = int((clock.now + 5 * number) * 1e9)
    for tenth in range(200):
        clock.now += 0.1
        trainer.trainer.add(TrainerCell.WAIT_NS, 90_000_000)
        for cells in supervisor.workers:
            cells.add(WorkerCell.BUSY_NS, 95_000_000)
            cells.add(WorkerCell.SAMPLES, 4)
            cells.timing()[Timing.SLOW_NS] += 60_000_000
            cells.timing()[Timing.SLOW_TICKETS] += tenth % 5 == 0
        taker.take()
        meter.look(clock.now)
        if tenth in (90, 140, 160):
            found = meter.stats("a")
            assert found.verdict_kind == "straggler"
            assert ("(sample 38 is one)" in found.verdict) == (tenth < 150), found.verdict
    assert "sample 37" not in found.verdict


def test_until_there_is_enough_it_is_measuring(boards: tuple[Board, Board], clock: Clock) -> None:
    taker = Trainer(boards[0])
    assert taker.stats("a").verdict == "no batch was taken from the loader yet"
    taker.take()
    assert taker.stats("a").verdict_kind == "measuring"
    clock.now += 0.4
    taker.take()
    assert taker.stats("a").verdict == ("still measuring: 1 batch in 0.4 s since the first one, or since the number of workers changed")


def test_slots_that_are_full_while_the_trainer_pauses_are_not_kept_by_it(boards: tuple[Board, Board], clock: Clock) -> None:
    """Training that waits for slow workers, with a validation of two seconds now and then: it holds two of three slots all the time."""
    trainer, supervisor = boards
    taker, meter = Trainer(trainer), Meter(supervisor)
    trainer.trainer[TrainerCell.LENT_GAUGE], supervisor.supervisor[SupervisorCell.SLOTS_FILLED_GAUGE] = 2, 3
    supervisor.workers[0][WorkerCell.STATE_GAUGE] = WorkerState.BUSY
    for tenth in range(120):
        clock.now += 0.1
        if tenth % 40 < 20:
            trainer.trainer.add(TrainerCell.WAIT_NS, 90_000_000)
            supervisor.workers[0].add(WorkerCell.BUSY_NS, 100_000_000)
            taker.take()
        else:
            supervisor.supervisor.add(SupervisorCell.NOTHING_TO_FILL_NS, 100_000_000)
        meter.look(clock.now)
    assert (meter.stats("a").verdict_kind, taker.stats("a").verdict_kind) == ("workers", "workers")


def test_slots_that_the_trainer_keeps_are_told_also_where_steps_are_slow(boards: tuple[Board, Board], clock: Clock) -> None:
    trainer, supervisor = boards
    taker, meter = Trainer(trainer), Meter(supervisor)
    trainer.trainer[TrainerCell.LENT_GAUGE], supervisor.supervisor[SupervisorCell.SLOTS_FILLED_GAUGE] = 2, 3
    supervisor.workers[0][WorkerCell.STATE_GAUGE] = WorkerState.BUSY
    for tenth in range(180):
        clock.now += 0.1
        if tenth % 15 < 5:
            trainer.trainer.add(TrainerCell.WAIT_NS, 100_000_000)
            supervisor.workers[0].add(WorkerCell.BUSY_NS, 100_000_000)
        else:
            supervisor.supervisor.add(SupervisorCell.NOTHING_TO_FILL_NS, 100_000_000)
        if tenth % 15 == 4:
            taker.take()
        meter.look(clock.now)
    assert (meter.stats("a").verdict_kind, taker.stats("a").verdict_kind) == ("slots", "slots")


def test_the_wait_for_the_first_batch_is_not_counted(boards: tuple[Board, Board], clock: Clock) -> None:
    taker, meter = Trainer(boards[0]), Meter(boards[1])
    clock.now += 60
    boards[0].trainer.add(TrainerCell.WAIT_NS, 60_000_000_000)
    taker.take()
    for _ in range(4):
        meter.look(clock.now)
        clock.now += 1
        taker.take()
    assert taker.stats("a").trainer_wait_ratio == meter.stats("a").trainer_wait_ratio == 0
    assert taker.stats("a").samples_per_s == pytest.approx(8)


def test_a_snapshot_survives_json_and_fields_of_another_version() -> None:
    stats = Meter(Board(None, 0)).stats("a")
    text = json.loads(json.dumps(stats.as_dict()))
    assert Stats.from_dict(text) == stats
    assert Stats.from_dict({**text, "new": 1, "slots": {**text["slots"], "lost": 0}}) == stats


def test_a_notebook_shows_the_same_as_print() -> None:
    """A table of what `print` says, and nothing that a name or a transform could put into the page."""
    evil = "<script>alert('&')</script>"
    plain = Meter(Board(None, 0)).stats("a")
    stats = replace(plain, name=evil, stages=[StageStats(evil, 0.5, 1.0)], verdict=f"`{evil}` is slow", workers=[WorkerStats(7, "busy", 12, 0.5)])
    table = ElementTree.fromstring(stats._repr_html_())
    assert [tuple(cell.text for cell in row) for row in table] == stats.rows()
    assert "<script" not in stats._repr_html_()


@pytest.mark.parametrize("given", [{}, {"name": 1}, {"slots": 3}, {"slots": [], "workers": {}, "memory": ""}])
def test_what_is_no_snapshot_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, AttributeError)):
        Stats.from_dict(given)

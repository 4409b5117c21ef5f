"""Several readers as one trainer, for which the workers are tuned."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from loader.ipc.board import Board, TrainerCell
from loader.measure.moments import Moment
from loader.supervise.tuning.demand import Demand

LOOK_S = 0.5


class Readers:
    """Readers that take so many samples per second, and wait for a share of their time."""

    def __init__(self) -> None:
        self.board = Board(Board.create(1), 1)
        self.demand = Demand()
        self.now = 100.0

    def moment(self, company: Mapping[int, int]) -> Moment:
        return self.demand.moment(self.board, self.now, company)

    def go_on(self, rates: Mapping[int, float], waits: Mapping[int, float]) -> None:
        self.now += LOOK_S
        for reader in {*rates, *waits}:
            row, rate = self.board.reader(reader), rates.get(reader, 0.0)
            row[TrainerCell.SAMPLES] += round(rate * LOOK_S)
            row[TrainerCell.BATCHES] += round(rate * LOOK_S / 10)
            row[TrainerCell.WAIT_NS] += round(waits.get(reader, 0.0) * LOOK_S * 1e9)

    def demanded(self, company: Mapping[int, int], rates: Mapping[int, float], waits: Mapping[int, float]) -> tuple[int, float]:
        """Return samples per second and share of waiting of the one trainer."""
        before = self.moment(company)
        self.go_on(rates, waits)
        after = self.moment(company)
        return round((after.samples - before.samples) / LOOK_S), round((after.wait_ns - before.wait_ns) / LOOK_S / 1e9, 3)


def test_one_reader_is_what_it_is() -> None:
    readers = Readers()
    readers.go_on({0: 700}, {0: 0.3})
    assert readers.moment({0: 0}) == Moment.of(readers.board, readers.now)
    readers.go_on({0: 700}, {0: 0.3})
    assert readers.moment({0: 0}) == Moment.of(readers.board, readers.now)


@pytest.mark.parametrize(
    ("company", "rates", "waits", "wanted"),
    [
        ({1: 1}, {1: 1000}, {1: 0.5}, (1000, 0.5)),
        ({0: 0, 1: 0, 2: 0}, {0: 1000, 1: 990, 2: 1000}, {0: 0.2, 1: 0.2, 2: 0.2}, (1000, 0.2)),
        ({0: 0, 1: 1}, {0: 1000, 1: 100}, {}, (1100, 0.0)),
        ({0: 0, 1: 1}, {0: 1000, 1: 1000}, {0: 0.5, 1: 0.5}, (2000, 0.5)),
        ({0: 0, 1: 1}, {0: 1000, 1: 1000}, {1: 0.5}, (2000, 0.333)),
        ({0: 0, 1: 1, 2: 1}, {0: 1000, 1: 500, 2: 400}, {}, (1500, 0.0)),
        ({0: 0, 1: 1}, {0: 1000}, {}, (1000, 0.0)),
        ({}, {0: 1000}, {}, (0, 0.0)),
    ],
)
def test_those_that_go_apart_need_the_sum(
    company: dict[int, int], rates: dict[int, float], waits: dict[int, float], wanted: tuple[int, float]
) -> None:
    assert Readers().demanded(company, rates, waits) == wanted


def test_one_that_gets_nothing_and_waits_lacks_what_it_took_before_and_one_that_pauses_lacks_nothing() -> None:
    readers, apart = Readers(), {0: 0, 1: 1}
    readers.demanded(apart, {0: 1000, 1: 1000}, {})
    assert readers.demanded(apart, {0: 1000}, {1: 1.0}) == (1000, 0.5)
    assert readers.demanded(apart, {0: 1000}, {}) == (1000, 0.0)


def test_readers_that_come_and_go_change_no_counter_at_once() -> None:
    readers = Readers()
    readers.go_on({0: 1000, 1: 1000}, {})
    readers.moment({0: 0})
    readers.moment({0: 0, 1: 1})
    assert readers.moment({1: 1}).samples == readers.moment({0: 0}).samples == 500

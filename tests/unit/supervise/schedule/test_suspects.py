from __future__ import annotations

from itertools import count

import pytest

from loader.data.rows import READING_AHEAD, UNKNOWN_ROW
from loader.ipc.records import Ticket, TicketKind
from loader.supervise.schedule.suspects import Accused, Deaths, DiedAt, Suspects

TICKET = Ticket(1, TicketKind.ROWS, place=2, epoch=3, first=100, rows=8, slot_row=16)
SINGLE = TICKET._replace(rows=1)


@pytest.fixture
def suspects() -> Suspects:
    return Suspects(count(10))


def cuts(found: list[Ticket] | Accused) -> list[tuple[int, int, int]]:
    assert isinstance(found, list)
    assert all(ticket.first - ticket.slot_row == TICKET.first - TICKET.slot_row for ticket in found)
    return [(ticket.number, ticket.first - TICKET.first, ticket.rows) for ticket in found]


def test_the_row_that_a_worker_was_at_gets_a_ticket_of_its_own(suspects: Suspects) -> None:
    assert cuts(suspects.after_death(TICKET, DiedAt(3))) == [(10, 0, 3), (11, 3, 1), (12, 4, 4)]
    assert cuts(suspects.after_death(TICKET, DiedAt(0))) == [(13, 0, 1), (14, 1, 7)]


@pytest.mark.parametrize("row", [UNKNOWN_ROW, 8, 2**40])
def test_a_ticket_whose_row_is_not_known_is_cut_in_two(suspects: Suspects, row: int) -> None:
    assert cuts(suspects.after_death(TICKET, DiedAt(row))) == [(10, 0, 4), (11, 4, 4)]


def test_after_a_timeout_at_an_unknown_row_each_row_has_its_own_time(suspects: Suspects) -> None:
    assert [rows for _, _, rows in cuts(suspects.after_death(TICKET, DiedAt(timed_out=True)))] == [1] * 8


def test_the_third_death_alone_accuses_a_row(suspects: Suspects) -> None:
    for _ in range(2):
        assert suspects.after_death(SINGLE, DiedAt(0, timed_out=True)) == [SINGLE]
    assert suspects.after_death(SINGLE, DiedAt(0)) == Accused(SINGLE, timed_out=False)
    assert suspects.deaths == {}


def test_one_death_is_enough_where_nothing_else_can_be_to_blame(suspects: Suspects) -> None:
    assert suspects.after_death(SINGLE, DiedAt(0, certain=True)) == Accused(SINGLE, timed_out=False)


def test_another_sample_in_the_rows_place_is_counted_anew(suspects: Suspects) -> None:
    for _ in range(2):
        suspects.after_death(SINGLE, DiedAt(0))
    assert suspects.after_death(SINGLE, DiedAt(0, attempt=2)) == [SINGLE._replace(number=10, attempt=2)]
    assert suspects.deaths == {10: Deaths(1, 0, ahead=False)}


def test_three_deaths_in_will_read_accuse_it_and_cut_nothing(suspects: Suspects) -> None:
    ahead = DiedAt(READING_AHEAD, timed_out=True)
    for _ in range(2):
        assert suspects.after_death(TICKET, ahead) == [TICKET]
    assert suspects.after_death(TICKET, ahead) == Accused(TICKET, timed_out=True, reading_ahead=True)
    assert suspects.deaths == {}


def test_deaths_in_will_read_do_not_count_against_the_row_that_follows(suspects: Suspects) -> None:
    for _ in range(2):
        assert suspects.after_death(SINGLE, DiedAt(READING_AHEAD)) == [SINGLE]
    for _ in range(2):
        assert suspects.after_death(SINGLE, DiedAt(0)) == [SINGLE]
    assert suspects.after_death(SINGLE, DiedAt(0)) == Accused(SINGLE, timed_out=False)

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.errors import SampleError, from_record
from loader.ipc.board import MOST_TICKETS, Board, Cells, SupervisorCell, TrainerCell, WorkerCell
from loader.ipc.text_area import read_text, write_text


@pytest.fixture
def board_fd() -> Iterator[int]:
    fd = Board.create(3)
    yield fd
    os.close(fd)


def area_of(nbytes: int) -> memoryview:
    return memoryview(bytearray(nbytes))


# Cells.


def test_what_one_mapping_writes_another_reads(board_fd: int) -> None:
    mine, other = Board(board_fd, 3), Board(board_fd, 3)
    mine.workers[1][WorkerCell.SAMPLES] = 2**62
    mine.workers[1][WorkerCell.ROW_GAUGE] = -1
    mine.trainer.add(TrainerCell.BATCHES, 2)
    mine.trainer.add(TrainerCell.BATCHES, 3)
    assert other.workers[1][WorkerCell.SAMPLES] == 2**62
    assert other.workers[1][WorkerCell.ROW_GAUGE] == -1
    assert other.trainer[TrainerCell.BATCHES] == 5


def test_all_cells_and_texts_are_apart(board_fd: int) -> None:
    board = Board(board_fd, 3)
    rows = [(board.trainer, TrainerCell), (board.supervisor, SupervisorCell), *((worker, WorkerCell) for worker in board.workers)]
    for number, (cells, names) in enumerate(rows):
        cells.write_text({"row": number, "filler": "x" * 60_000})
        for cell in names:
            cells[cell] = 1000 * number + cell
    again = Board(board_fd, 3)
    for number, cells in enumerate([again.trainer, again.supervisor, *again.workers]):
        assert cells.read_text()["row"] == number
        assert [cells[cell] for cell in rows[number][1]] == [1000 * number + cell for cell in rows[number][1]]


def test_a_new_board_is_zero(board_fd: int) -> None:
    board = Board(board_fd, 3)
    assert all(cells[cell] == 0 for cells in (board.trainer, board.supervisor, *board.workers) for cell in range(64))


def test_one_cell_can_be_handed_out_to_be_written(board_fd: int) -> None:
    board = Board(board_fd, 3)
    cell = board.workers[2].cell(WorkerCell.ROW_GAUGE)
    cell[0] = 41
    assert len(cell) == 1
    assert board.workers[2][WorkerCell.ROW_GAUGE] == 41
    assert board.workers[2][WorkerCell.ROW_GAUGE + 1] == 0


def test_private_cells_are_seen_by_nobody_else() -> None:
    one, other = Cells.private(), Cells.private()
    one[3] = 7
    one.write_text({"a": 1})
    assert other[3] == 0
    assert one.read_text() == {"a": 1}


def test_a_reader_never_sees_half_a_word(board_fd: int) -> None:
    mine, other = Board(board_fd, 3).trainer, Board(board_fd, 3).trainer
    words = [0, -1, 2**62, 0x0123456789ABCDEF]
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for word in words:
                mine[5] = word

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert {other[5] for _ in range(20_000)} <= set(words)
    finally:
        stop.set()
        writer.join()


# Texts.

TEXT = st.text(max_size=30) | st.text(st.characters(min_codepoint=0x1F300, max_codepoint=0x1F6FF), max_size=30)
KEYS = st.sampled_from(["error", "message", "index", "name", "reason", "remote_traceback"])
VALUES = st.dictionaries(KEYS, TEXT | st.none() | st.integers(), min_size=1)


@given(value=VALUES)
def test_a_text_that_fits_comes_back_as_it_is(value: dict[str, Any]) -> None:
    area = area_of(64 * 1024)
    write_text(area, value)
    assert read_text(area) == value


@given(value=VALUES, times=st.sampled_from([1, 50, 2_000]), nbytes=st.sampled_from([2_048, 16 * 1024, 64 * 1024]))
def test_a_text_that_is_too_long_is_cut_from_the_front_and_still_fits(value: dict[str, Any], times: int, nbytes: int) -> None:
    long = {key: item * times if isinstance(item, str) else item for key, item in value.items()}
    area = area_of(nbytes)
    write_text(area, long)
    back = read_text(area)
    assert list(back) == list(long)
    assert back == long or len(json.dumps(back)) > nbytes // 4, "more was cut than needed"
    for key, item in long.items():
        assert item.endswith(back[key]) if isinstance(item, str) else back[key] == item


def test_the_last_lines_of_a_long_traceback_survive() -> None:
    area = area_of(16 * 1024)
    trace = "frame\n" * 50_000 + "ValueError: the cause"
    error = SampleError(index=7, name="a.npy", reason="ValueError: the cause", worker=1, remote_traceback=trace)
    write_text(area, error.to_record())
    back = from_record(read_text(area))
    assert isinstance(back, SampleError)
    assert back.remote_traceback.endswith("frame\nValueError: the cause")
    assert len(back.remote_traceback) > 4_000
    assert back.fields() | {"remote_traceback": trace} == error.fields()


def test_a_short_text_leaves_nothing_of_a_longer_one() -> None:
    area = area_of(2_048)
    write_text(area, {"a": "x" * 1_000})
    write_text(area, {"a": "y"})
    assert read_text(area) == {"a": "y"}


def test_a_failure_of_each_ticket_that_a_worker_may_hold_is_kept_until_it_is_read() -> None:
    cells = Cells.private()
    for first in range(1, 6):
        tickets = range(first, first + MOST_TICKETS)
        for ticket in tickets:
            cells.write_failure(ticket, {"error": f"the {ticket}th"})
        assert [cells.read_failure(ticket) for ticket in tickets] == [{"error": f"the {ticket}th"} for ticket in tickets]


@pytest.mark.parametrize("torn", [b"\xff" * 8, b"\x08\x00\x00\x00\x00\x00\x00\x00{}", b"\x01", b"\x00" * 4 + b"\x01"])
@pytest.mark.parametrize("failures", [1, MOST_TICKETS - 1, MOST_TICKETS])
def test_a_failure_is_read_while_the_next_one_is_being_written(torn: bytes, failures: int) -> None:
    cells = Cells.private()
    for ticket in range(1, failures + 1):
        cells.write_failure(ticket, {"error": "mine"})
    cells._place(failures + 1)[: len(torn)] = torn  # where the next failure goes to
    assert cells.read_failure(failures) == {"error": "mine"}


@pytest.mark.parametrize("seen", range(0, 60, 7))
def test_a_text_that_is_not_whole_yet_is_none(seen: int) -> None:
    whole, area = area_of(2_048), area_of(2_048)
    write_text(whole, {"first": "bad", "index": 7, "name": "x" * 40})
    write_text(area, {"other": "an earlier text"} if seen % 2 else {})
    area[:8] = whole[:8]  # in whatever order the bytes arrive
    area[8 + seen : 2_048] = whole[8 + seen : 2_048]
    assert read_text(area) == ({} if seen else read_text(whole))


def test_what_no_cutting_makes_short_enough_is_refused() -> None:
    with pytest.raises(ValueError, match="no text in it to cut"):
        write_text(area_of(1_024), {"text": "a" * 1_000, "numbers": list(range(1_000))})

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.supervise.schedule import sizing

ROWS = st.integers(1, 5_000)
ROW_NS = st.floats(1, 1e10)
WORKERS = st.integers(1, 64)
SLOTS = st.integers(2, 130)
CORES = st.integers(1, 64)


def tickets(slot_rows: int, rows: int) -> int:
    return -(-slot_rows // rows)


@given(slot_rows=ROWS, row_ns=ROW_NS, workers=WORKERS, slots=SLOTS, cores=CORES)
def test_tickets_cover_the_slot_and_none_is_empty(slot_rows: int, row_ns: float, workers: int, slots: int, cores: int) -> None:
    assert 1 <= sizing.ticket_rows(slot_rows, row_ns, workers, slots, cores) <= slot_rows


@given(slot_rows=ROWS, row_ns=ROW_NS, workers=WORKERS, slots=SLOTS, cores=CORES)
def test_a_ticket_is_worth_its_way_unless_it_is_a_whole_slot(slot_rows: int, row_ns: float, workers: int, slots: int, cores: int) -> None:
    rows = sizing.ticket_rows(slot_rows, row_ns, workers, slots, cores)
    assert rows == slot_rows or rows * row_ns >= sizing.SHORTEST_TICKET_NS * 0.99


@given(slot_rows=ROWS, row_ns=ROW_NS, workers=WORKERS, slots=SLOTS, cores=CORES)
def test_a_ticket_grows_with_the_workers_for_each_core_and_ends(slot_rows: int, row_ns: float, workers: int, slots: int, cores: int) -> None:
    rows = sizing.ticket_rows(slot_rows, row_ns, workers, slots, cores)
    longest = min(sizing.LONG_TICKET_NS * max(1, workers / cores), sizing.LONGEST_TICKET_NS)
    assert (rows - 1) * row_ns <= 1.5 * longest


@given(slot_rows=ROWS, workers=WORKERS)
def test_everyone_gets_a_part_of_the_very_first_slot_and_half_of_them_one_of_the_second(slot_rows: int, workers: int) -> None:
    parts = [tickets(slot_rows, sizing.first_ticket_rows(slot_rows, workers, filled)) for filled in range(2)]
    assert parts[0] >= min(workers, slot_rows) / 2
    assert parts[1] <= -(-parts[0] // 2)


@pytest.mark.parametrize(
    ("slot_rows", "row_ns", "workers", "slots", "rows"),
    [
        (64, 100_000, 4, 4, 16),  # 6.4 ms of work: four tickets, since all must work on two slots
        (64, 1_000_000, 2, 3, 8),  # 64 ms: 8 ms each
        (64, 1_000_000, 4, 3, 8),  # the same, since all must work on one slot
        (64, 1_000_000, 4, 5, 16),  # the same with slots for longer ones
        (64, 5_000_000, 128, 34, 8),  # workers that wait: 8 rows of 5 ms each, two for each of them in 32 slots
        (64, 5_000_000, 128, 100, 13),  # the longest ones
        (64, 20_000, 2, 6, 64),  # 1.3 ms: one, since there are slots for everyone
        (64, 20_000, 2, 3, 32),  # 1.3 ms: two of more than 0.5 ms, since all must work on one slot
        (128, 1_000, 4, 3, 128),  # 0.1 ms: not worth cutting
        (8, 70_000_000, 2, 3, 1),  # a row is more than a ticket
    ],
)
def test_tickets_of_ordinary_batches_on_two_cores(slot_rows: int, row_ns: float, workers: int, slots: int, rows: int) -> None:
    assert sizing.ticket_rows(slot_rows, row_ns, workers, slots, cores=2) == rows


@given(capacity=st.integers(1, 64), batch_rows=ROWS, row_ns=ROW_NS)
def test_batches_share_a_slot_only_while_filling_it_is_about_one_ticket(capacity: int, batch_rows: int, row_ns: float) -> None:
    batches = sizing.batches_per_slot(capacity, batch_rows, row_ns)
    assert 1 <= batches <= capacity
    assert batches == 1 or batches * batch_rows * row_ns <= 1.5 * sizing.TICKET_NS
    assert batches == capacity or (batches + 1) * batch_rows * row_ns >= sizing.TICKET_NS


@given(batch_bytes=st.integers(0, 2**40), batches=st.integers(1, 10**6), batch_rows=ROWS, row_ns=ROW_NS)
def test_only_small_batches_that_are_filled_quickly_share_a_slot(batch_bytes: int, batches: int, batch_rows: int, row_ns: float) -> None:
    capacity = sizing.slot_capacity(batch_bytes, batches, batch_rows * row_ns)
    unlimited = sizing.slot_capacity(batch_bytes, batches, 0.0)
    assert 1 <= capacity <= unlimited <= min(64, batches)
    assert unlimited == 1 or unlimited * batch_bytes <= 4 * 2**20
    assert capacity >= sizing.batches_per_slot(unlimited, batch_rows, row_ns)  # all that a slot will be asked to hold
    assert batch_rows * row_ns < 30e6 or capacity == 1


@pytest.mark.parametrize(
    ("batch_bytes", "batches", "batch_ms", "capacity"),
    [
        (64 * 784 * 4, 1_000, 0.1, 20),
        (64 * 784 * 4, 3, 0.1, 3),
        (10**8, 1_000, 0.1, 1),
        (100, 1_000, 0.1, 64),
        (100, 1_000, 3, 8),  # may take a sixteenth of that: 0.19 ms, of which eight are 1.5 ms
        (100, 1_000, 320, 1),  # 64 rows that wait 5 ms each
    ],
)
def test_the_capacity_of_ordinary_slots(batch_bytes: int, batches: int, batch_ms: float, capacity: int) -> None:
    assert sizing.slot_capacity(batch_bytes, batches, batch_ms * 1e6) == capacity


@given(batch_rows=ROWS, row_ns=st.integers(1, 10**10), workers=WORKERS, cores=CORES, slot_bytes=st.integers(1, 10**9))
def test_the_slots_hold_two_tickets_for_each_worker_or_four_short_ones_and_two_batches_more(
    batch_rows: int, row_ns: int, workers: int, cores: int, slot_bytes: int
) -> None:
    slots = sizing.slots(batch_rows, row_ns, workers, workers, cores, slot_bytes)
    per_slot = tickets(batch_rows, sizing.ticket_rows(batch_rows, row_ns, workers, slots, cores))
    assert 3 <= slots <= 4 * workers + 2
    assert (slots - 2) * per_slot >= 2 * workers * 0.6  # two estimates of the same number, each rounded its own way


@pytest.mark.parametrize(("ticket_ms", "each"), [(0, 4), (1.5, 4), (2.5, 3), (4.9, 3), (5.0, 2), (8, 2), (64, 2)])
def test_a_worker_may_hold_more_tickets_if_they_are_short(ticket_ms: float, each: int) -> None:
    assert sizing.tickets_each(ticket_ms * 1e6) == each
    assert sizing.tickets_each(ticket_ms * 1e6, full=True) == 2


@given(batch_size=st.integers(1, 100_000), capacity=st.integers(1, 64), rows=st.integers(1, 10**9))
def test_a_block_of_the_order_is_whole_batches_about_8192_rows_and_at_most_an_epoch(batch_size: int, capacity: int, rows: int) -> None:
    block = sizing.block_rows(batch_size, capacity, rows)
    assert block % batch_size == 0
    assert 1 <= block < rows + batch_size
    assert block <= max(16_384, batch_size)
    assert block > 4_096 or block >= rows


@given(batch_size=st.integers(1, 16_384), capacity=st.integers(1, 64))
def test_no_slot_is_left_half_empty_at_the_end_of_a_block(batch_size: int, capacity: int) -> None:
    if batch_size * capacity <= 16_384:
        assert sizing.block_rows(batch_size, capacity, 10**9) % (batch_size * capacity) == 0


@given(slots=st.integers(2, 100), capacity=st.integers(1, 64), batch_size=st.integers(1, 10_000), blocks=st.integers(1, 50))
def test_there_are_places_for_the_blocks_of_all_slots_and_one_ahead(slots: int, capacity: int, batch_size: int, blocks: int) -> None:
    rows = blocks * batch_size
    places = sizing.block_places(slots, capacity, batch_size, rows)
    assert 2 <= places <= slots + 1
    consecutive = slots * min(capacity, blocks) * batch_size  # rows of all slots, which lie one after the other
    touched = min(slots, -(-consecutive // rows) + 1)
    assert places >= touched + 1


@pytest.mark.parametrize(
    ("batch_rows", "row_ns", "workers", "most", "slot_bytes", "slots"),
    [
        (64, 100_000, 2, 2, 38_000_000, 3),  # 6.4 ms of work: four tickets in one batch, since two more slots would take 76 MB
        (64, 100_000, 2, 2, 1_000_000, 6),  # a batch is a ticket
        (64, 600_000, 2, 2, 1_000_000, 3),  # 38 ms: tickets for all in one batch
        (64, 5_000_000, 128, 128, 64_000, 258),  # workers that wait: two tickets for each, whose rows may take a quarter of that
        (64, 5_000_000, 128, 128, 2_000_000, 33),  # as far as 64 MiB do
        (64, 600_000, 2, 16, 38_000_000, 3),
        (64, 100_000, 2, 16, 1_000_000, 34),  # two for each worker that may come
        (64, 100_000, 2, 16, 10_000_000, 6),  # as many of them as 64 MiB hold
        (128, 1_000, 2, 16, 400_000, 66),  # four, since they are short
        (1, 50_000_000, 8, 16, 38_000_000, 18),  # one row a batch: two for each of the first workers, and no more
    ],
)
def test_slots_for_workers_that_are_there_or_may_come_on_two_cores(
    batch_rows: int, row_ns: int, workers: int, most: int, slot_bytes: int, slots: int
) -> None:
    assert sizing.slots(batch_rows, row_ns, workers, most, 2, slot_bytes) == slots


@pytest.mark.parametrize(
    ("slots", "readers", "expected", "quota"),
    [(12, 2, 4, 3), (12, 5, 4, 2), (12, 2, 1, 3), (4, 3, 1, 2), (9, 1, 3, 3), (14, 4, 1, 3), (12, 4, 1, 2), (12, 0, 1, 10)],
)
def test_ranks_have_their_share_of_the_slots_and_other_readers_leave_room_for_one_more(slots: int, readers: int, expected: int, quota: int) -> None:
    assert sizing.quota(slots, readers, expected) == quota


HANDS = st.builds(sizing.Hands, local=st.integers(1, 64), row_ns=ROW_NS, remote=st.integers(1, 64), remote_row_ns=ROW_NS)


@given(slot_rows=ROWS, hands=HANDS, slots=SLOTS, cores=CORES, row_bytes=st.integers(1, 10**8))
def test_a_ticket_for_another_machine_is_23_to_45_ms_or_1_mib_unless_there_is_no_room(
    slot_rows: int, hands: sizing.Hands, slots: int, cores: int, row_bytes: int
) -> None:
    local, remote = sizing.TicketSizes(cores, row_bytes=row_bytes).rows(slot_rows, hands, slots)
    assert 1 <= remote <= slot_rows
    assert remote in (1, local) or remote * hands.remote_row_ns <= 45_000_000
    assert (remote - 1) * row_bytes <= sizing.REMOTE_TICKET_BYTES
    filled = 2 * (hands.local * local + hands.remote * remote)
    full = remote == slot_rows or (2 * remote + 1) * hands.remote_row_ns >= 45_000_000 or 2 * remote * row_bytes >= sizing.REMOTE_TICKET_BYTES
    assert full or remote == local or filled + 2 * hands.remote > (slots - 2) * slot_rows


@given(slot_rows=ROWS, hands=HANDS, slots=SLOTS, cores=CORES)
def test_local_tickets_are_as_if_there_were_no_other_machines(slot_rows: int, hands: sizing.Hands, slots: int, cores: int) -> None:
    sizes = sizing.TicketSizes(cores)
    alone = hands._replace(remote=0)
    assert sizes.rows(slot_rows, hands, slots)[0] == sizes.rows(slot_rows, alone, slots)[0]
    assert sizes.rows(slot_rows, alone, slots)[0] == sizing.ticket_rows(slot_rows, hands.row_ns, hands.local, slots, cores)


@pytest.mark.parametrize(
    ("slot_rows", "remote_row_ns", "row_bytes", "slots", "rows"),
    [
        (64, 20_000_000, 150_000, 34, 2),  # pictures of 20 ms: 40 ms
        (64, 1_000_000, 150_000, 34, 7),  # of 1 ms: 1 MiB
        (64, 1_000_000, 3_000, 34, 32),  # small ones of 1 ms: 32 ms, half of them
        (64, 1_000_000, 3_000, 4, 8),  # the same where there are few slots: as many as a local worker gets
        (4, 1_000, 30_000_000, 34, 1),  # volumes: one is more than 1 MiB
    ],
)
def test_tickets_of_ordinary_batches_for_16_workers_on_other_machines(
    slot_rows: int, remote_row_ns: float, row_bytes: int, slots: int, rows: int
) -> None:
    hands = sizing.Hands(2, 1_000_000.0, 16, remote_row_ns)
    assert sizing.TicketSizes(2, row_bytes=row_bytes).rows(slot_rows, hands, slots)[1] == rows


@pytest.mark.parametrize(
    ("batch_rows", "row_ns", "row_bytes", "slots"),
    [
        (64, 20_000_000, 150_000, 1),  # 16 workers, two tickets each of 2 rows
        (64, 1_000_000, 3_000, 32),  # of 45 rows
        (1, 50_000_000, 30_000_000, 8),  # a row a batch: as many as 256 MiB hold
        (16, 10_000, 3_000, 32),  # a ticket has several batches, which share a slot
    ],
)
def test_slots_for_16_workers_on_other_machines(batch_rows: int, row_ns: int, row_bytes: int, slots: int) -> None:
    assert sizing.remote_slots(batch_rows, row_ns, row_bytes, 16, batch_rows * row_bytes) == slots
    assert sizing.remote_slots(batch_rows, row_ns, row_bytes, 0, batch_rows * row_bytes) == 0


def test_small_batches_share_a_slot_that_is_a_ticket_for_another_machine() -> None:
    sizes, alone = sizing.TicketSizes(2, row_bytes=3_000), sizing.Hands(2, 10_000.0)
    assert sizes.batches(64, 16, alone) == sizing.batches_per_slot(64, 16, 10_000.0) == 9
    assert sizes.batches(64, 16, alone._replace(remote=4, remote_row_ns=10_000.0)) == 21
    assert sizes.batches(12, 16, alone._replace(remote=4, remote_row_ns=10_000.0)) == 12

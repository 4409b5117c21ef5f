from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.data.rows import UNKNOWN_ROW
from loader.errors import ProtocolError
from loader.ipc import records as r

WORD = st.integers(0, 2**64 - 1)
HALF = st.integers(0, 2**32 - 1)

TICKETS = st.builds(
    r.Ticket,
    number=WORD,
    kind=st.sampled_from(r.TicketKind),
    place=HALF,
    epoch=WORD,
    first=WORD,
    rows=HALF,
    slot_row=HALF,
    block=WORD,
    block_first=WORD,
    attempt=WORD,
    layout=HALF,
)
INBOX: dict[type[Any], st.SearchStrategy[Any]] = {
    r.Done: st.builds(r.Done, worker=HALF, ticket=WORD, busy_ns=WORD, substituted=WORD),
    r.Failed: st.builds(r.Failed, worker=HALF, ticket=WORD, good_rows=WORD),
    r.Exhausted: st.builds(r.Exhausted, worker=HALF, row=HALF | st.just(UNKNOWN_ROW), fresh=st.booleans(), resource=st.sampled_from(r.Resource)),
    r.Released: st.builds(r.Released, slot=HALF, delivery=WORD, reader=WORD),
    r.Skip: st.builds(r.Skip, term=HALF, epoch=WORD, batch=WORD, reader=WORD),
    r.Resize: st.builds(r.Resize, workers=HALF, number=WORD),
    r.Packed: st.builds(r.Packed),
    r.Leave: st.builds(r.Leave),
    r.Close: st.builds(r.Close),
    r.Joined: st.builds(r.Joined, worker=HALF),
    r.Lost: st.builds(r.Lost, worker=HALF, fate=st.sampled_from(r.Fate), row=HALF | st.just(UNKNOWN_ROW), ticket=WORD),
}
READY: dict[type[Any], st.SearchStrategy[Any]] = {
    r.Ready: st.builds(
        r.Ready,
        slot=HALF,
        delivery=WORD,
        term=WORD,
        epoch=WORD,
        first=WORD,
        batches=HALF,
        failed=st.booleans(),
        last_rows=HALF,
        layout=HALF,
        reader=HALF,
    ),
    r.Look: st.builds(r.Look),
}


def fields(records: list[Any]) -> list[tuple[Any, ...]]:
    """Return kinds and values: records are named tuples, and those of two kinds can be equal."""
    return [(type(record), *record) for record in records]


@given(tickets=st.lists(TICKETS, max_size=20))
def test_tickets_survive_their_pipe(tickets: list[r.Ticket]) -> None:
    raw = b"".join(ticket.pack() for ticket in tickets)
    assert len(raw) == r.TICKET_BYTES * len(tickets)
    back = list(r.unpack_tickets(raw))
    assert fields(back) == fields(tickets)
    assert all(ticket.kind == expected.kind for ticket, expected in zip(back, tickets, strict=True))


@given(errands=st.lists(st.builds(r.Errand, worker=HALF, verb=st.sampled_from(r.Verb), ticket=TICKETS), max_size=20))
def test_errands_survive_their_pipe(errands: list[r.Errand]) -> None:
    raw = b"".join(errand.pack() for errand in errands)
    assert len(raw) == r.ERRAND_BYTES * len(errands)
    assert fields(list(r.unpack_errands(raw))) == fields(errands)


@given(records=st.lists(st.one_of(*INBOX.values()), max_size=20))
def test_records_for_the_supervisor_survive_the_inbox(records: list[r.InboxRecord]) -> None:
    raw = b"".join(record.pack() for record in records)
    assert len(raw) == r.INBOX_BYTES * len(records)
    assert fields(r.unpack_inbox(raw)) == fields(records)


@given(records=st.lists(st.one_of(*READY.values()), max_size=20))
def test_records_for_the_trainer_survive_the_ready_pipe(records: list[r.ReadyRecord]) -> None:
    raw = b"".join(record.pack() for record in records)
    assert len(raw) == r.READY_BYTES * len(records)
    assert fields(list(r.unpack_ready(raw))) == fields(records)


def test_every_record_is_tested_here() -> None:
    assert set(INBOX) == set(r.InboxRecord.__args__)
    assert set(READY) == set(r.ReadyRecord.__args__)


@pytest.mark.parametrize("nbytes", [r.TICKET_BYTES, r.ERRAND_BYTES, r.INBOX_BYTES, r.READY_BYTES])
def test_a_record_is_written_as_a_whole(nbytes: int) -> None:
    """A write of at most PIPE_BUF bytes is atomic; pipe(7) promises 4,096 on Linux, POSIX 512."""
    assert nbytes <= 512 <= os.pathconf("/", "PC_PIPE_BUF")


def test_no_delivery_has_the_number_that_means_any() -> None:
    from loader.supervise.schedule.sizing import Hands, TicketSizes
    from loader.supervise.schedule.slot_contents import SlotContents
    from loader.supervise.schedule.slot_pool import SlotPool
    from loader.supervise.schedule.stream import Stream
    from tests.plans import sample_batches

    slot = SlotContents(sample_batches(4, 4), SlotPool(2, 4), 1, None, TicketSizes(1)).begin(Stream(0, 0), Hands(1, 1e9))
    assert slot is not None
    assert slot.delivery != r.ANY_BEFORE_TERM


@pytest.mark.parametrize(("unpack", "nbytes"), [(r.unpack_ready, r.READY_BYTES), (r.unpack_inbox, r.INBOX_BYTES)])
def test_a_record_of_no_kind_is_an_error_of_the_protocol(unpack: Any, nbytes: int) -> None:
    with pytest.raises(ProtocolError, match="kind 4294967295 that does not exist"):
        unpack(b"\xff" * nbytes)


def test_a_worker_that_lacks_what_there_is_not_is_an_error_of_the_protocol() -> None:
    raw = r.Exhausted(0, UNKNOWN_ROW, False, r.Resource.MEMORY).pack()
    with pytest.raises(ProtocolError, match="kind 2 that does not exist"):
        r.unpack_inbox(raw[:-8] + (99).to_bytes(8, "little"))

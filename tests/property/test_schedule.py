"""The schedule keeps its promises under everything that can happen to it. The promises themselves are asserted by `schedule_world`."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from loader.data.pipeline.substitution import LAST_ATTEMPT
from loader.data.rows import UNKNOWN_ROW
from loader.errors import ProtocolError
from loader.ipc.records import Done, Ready, Released, TicketKind
from loader.supervise.schedule import sizing
from loader.supervise.schedule.assignments import SendTicket
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.schedule.suspects import DiedAt
from tests.examples import examples
from tests.plans import bucket_batches, file_batches, sample_batches
from tests.property.schedule_world import World, happen

ROW_NS = [10.0, 60_000.0, 200_000.0, 1_000_000.0, 100_000_000.0]


def make_world(
    samples: int = 20,
    size: int = 4,
    slots: int = 3,
    capacity: int = 1,
    row_ns: float = 200_000.0,
    block_batches: int = 0,
    workers: int = 2,
    drop_last: bool = False,
    tight: bool = False,
    start: int = 0,
    substitute: bool = False,
    files: bool = False,
    buckets: bool = False,
    local: int | None = None,
) -> World:
    """Return a world.

    With `files`, the batches are files of 1 to `size` rows; with `buckets`, they are of three lengths, in a new order in each epoch.

    `block_batches` is the size of a block of the order, 0 for none; `tight` gives them the fewest places that may be; `start` is the batch to begin
    with, counted from the first one of epoch 0.
    """
    if files:
        of_files = file_batches([1 + 7 * number % size for number in range(-(-samples // size))])
        return World(of_files, slots, 1, row_ns, 0, 0, workers, divmod(start, of_files.batches), substitute, local)
    if buckets:
        of_lengths = bucket_batches([number % 5 for number in range(samples)], [1, 2, 4], [size, max(1, size // 2), 1], shuffle=True)
        return World(of_lengths, slots, 1, row_ns, 0, 0, workers, divmod(start, of_lengths.batches), substitute, local)
    plan = sample_batches(samples, size, drop_last and samples >= size)
    rows = min(block_batches, plan.batches) * size
    places = 2 if tight else sizing.block_places(slots, capacity, size, rows) if rows else 0
    return World(plan, slots, capacity, row_ns, rows, places, workers, divmod(start, plan.batches), substitute, local)


WORLD: dict[str, Any] = {
    "samples": st.one_of(st.integers(1, 3), st.integers(4, 40)),
    "size": st.integers(1, 7),
    "slots": st.integers(2, 4),
    "capacity": st.integers(1, 4),
    "row_ns": st.sampled_from(ROW_NS),
    "block_batches": st.integers(0, 3),
    "workers": st.integers(1, 4),
    "drop_last": st.booleans(),
    "files": st.booleans(),
    "buckets": st.booleans(),
    "tight": st.booleans(),
    "substitute": st.booleans(),
    "local": st.none() | st.integers(0, 2),
}
worlds = st.builds(make_world, **WORLD)
worlds_that_go_on = st.builds(make_world, **WORLD, start=st.integers(0, 100))


PLACES = st.builds(
    DiedAt,
    row=st.just(UNKNOWN_ROW) | st.integers(0, 10),
    attempt=st.integers(0, LAST_ATTEMPT),
    timed_out=st.booleans(),
    certain=st.sampled_from([False, False, False, True]),
    ticket=st.just(0),
)


class SupervisorProcess(RuleBasedStateMachine):
    """Everything that can happen, in any order; what fails is shrunk to the shortest story."""

    world: World

    @initialize(world=worlds)
    def begin(self, world: World) -> None:
        self.world = world

    @rule()
    def the_commands_are_carried_out(self) -> None:
        self.world.carry_out()

    @precondition(lambda self: self.world.busy())
    @rule(which=st.integers(0, 3), busy_ns=st.sampled_from([100, 100_000, 10_000_000]), place=st.integers(0, 2))
    def a_ticket_is_done(self, which: int, busy_ns: int, place: int) -> None:
        busy = self.world.busy()
        self.world.complete(busy[which % len(busy)], busy_ns, place)

    @precondition(lambda self: self.world.fillers())
    @rule(which=st.integers(0, 3), offset=st.integers(0, 10), again=st.booleans())
    def a_ticket_fails(self, which: int, offset: int, again: bool) -> None:
        fillers = self.world.fillers()
        self.world.fail(fillers[which % len(fillers)], offset, again)

    @precondition(lambda self: self.world.held)
    @rule(which=st.integers(0, 3), at=st.none() | PLACES, replaced=st.booleans(), place=st.integers(0, 2))
    def a_worker_dies(self, which: int, at: DiedAt | None, replaced: bool, place: int) -> None:
        workers = list(self.world.held)
        self.world.die(workers[which % len(workers)], at if at is None or self.world.substitute else at._replace(attempt=0), place)
        if replaced:
            self.world.join()

    @precondition(lambda self: self.world.handed)
    @rule(which=st.integers(0, 3), twice=st.booleans())
    def a_slot_is_released(self, which: int, twice: bool) -> None:
        slot, ready = list(self.world.handed.items())[which % len(self.world.handed)]
        for _ in range(1 + twice):
            self.world.release(slot, ready.delivery)

    @precondition(lambda self: self.world.past)
    @rule(which=st.integers(0, 20))
    def a_slot_is_released_once_more(self, which: int) -> None:
        ready = self.world.past[which % len(self.world.past)]
        self.world.release(ready.slot, ready.delivery)

    @rule(slot=st.integers(0, 3))
    def whatever_was_handed_over_before_is_released(self, slot: int) -> None:
        self.world.release_before_term(slot % self.world.slots)

    @rule(by=st.integers(-1, 1))
    def the_epoch_is_left(self, by: int) -> None:
        self.world.skip(max(0, self.world.next_batch[0] + by))

    @rule(epoch=st.integers(0, 2), batch=st.integers(0, 50))
    def a_position_is_loaded(self, epoch: int, batch: int) -> None:
        self.world.skip(epoch, batch % self.world.plan.batches)

    @precondition(lambda self: len(self.world.held) < 5)
    @rule()
    def a_worker_joins(self) -> None:
        self.world.join()

    @rule(count=st.integers(0, 3))
    def workers_are_to_join(self, count: int) -> None:
        """They may never come."""
        self.world.schedule.expect_workers(count)

    @precondition(lambda self: self.world.held.keys() - self.world.leaving)
    @rule(which=st.integers(0, 3))
    def a_worker_leaves(self, which: int) -> None:
        staying = sorted(self.world.held.keys() - self.world.leaving)
        self.world.leave(staying[which % len(staying)])

    @invariant()
    def every_slot_is_somewhere(self) -> None:
        assert sum(self.world.schedule.counts()) == self.world.slots

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.go_on(deliveries=4)


TestLife = SupervisorProcess.TestCase
TestLife.settings = examples(
    200,
    stateful_step_count=50,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(5, 20))])
def test_promises_hold_and_nothing_gets_stuck_in_a_long_and_eventful_life(seed: int) -> None:
    random = Random(seed)
    for _ in range(5):
        world = make_world(
            samples=random.choice([1, 2, 3, *range(4, 80)]),
            size=random.randint(1, 9),
            slots=random.randint(2, 5),
            capacity=random.randint(1, 5),
            row_ns=random.choice(ROW_NS),
            block_batches=random.randint(0, 4),
            workers=random.randint(1, 5),
            drop_last=random.random() < 0.3,
            tight=random.random() < 0.5,
            substitute=random.random() < 0.5,
            local=random.choice([None, 0, 1, 3]),
        )
        for _ in range(800):
            happen(world, random)
        world.go_on(deliveries=10)


@examples(60)
@given(world=worlds, epochs=st.integers(1, 4))
def test_each_batch_of_each_epoch_comes_once_and_in_order(world: World, epochs: int) -> None:
    plan = world.plan
    expected = [(epoch, batch) for epoch in range(epochs) for batch in range(plan.batches)]
    got = [(ready.epoch, ready.first + number) for ready in world.go_on(deliveries=len(expected)) for number in range(ready.batches)]
    assert got[: len(expected)] == expected


@given(world=worlds_that_go_on, count=st.integers(1, 40))
def test_a_schedule_that_follows_another_goes_on_with_the_batch_that_it_is_given(world: World, count: int) -> None:
    plan = world.plan
    first = world.next_batch[0] * plan.batches + world.next_batch[1]
    got = [ready.epoch * plan.batches + ready.first + number for ready in world.go_on(deliveries=count) for number in range(ready.batches)]
    assert got[:count] == list(range(first, first + count))


@examples(100)
@given(world=worlds, data=st.data(), known=st.booleans(), timed_out=st.booleans())
def test_a_sample_that_always_kills_its_worker_is_accused_after_three_deaths_alone(
    world: World, data: st.DataObject, known: bool, timed_out: bool
) -> None:
    world.substitute = False
    killer = data.draw(st.sampled_from(world.rows_of_epoch(0)), label="killer")
    deaths: list[int] = []
    for _ in range(2_000):
        got = world.carry_out()
        if any(ready.failed for ready in got):
            break
        for slot, ready in list(world.handed.items()):
            world.release(slot, ready.delivery)
        for worker in world.busy():
            ticket = world.held[worker][0]
            row = killer - ticket.first
            if ticket.kind is TicketKind.ROWS and ticket.epoch == 0 and 0 <= row < ticket.rows:
                deaths.append(ticket.rows)
                world.die(worker, DiedAt(row if known else UNKNOWN_ROW, timed_out=timed_out))
                world.join()
            else:
                world.complete(worker)
    assert [(accused.ticket.epoch, accused.ticket.first, accused.timed_out) for accused in world.accused] == [(0, killer, timed_out)]
    assert deaths.count(1) == 3
    assert len(deaths) <= 3 + (1 if known else math.ceil(math.log2(deaths[0])))
    (failed,) = (ready for ready in got if ready.failed)
    assert failed.first + failed.batches == killer // world.plan.batch_size


@examples(60)
@given(world=worlds, data=st.data(), deadly=st.integers(1, 17), published=st.booleans())
def test_where_samples_are_substituted_each_one_that_kills_is_found_in_turn(world: World, data: st.DataObject, deadly: int, published: bool) -> None:
    """The row's own sample kills, and so do those that are tried in its place before attempt `deadly`; 17 is beyond the last one."""
    world.substitute = True
    killer = data.draw(st.sampled_from(world.rows_of_epoch(0)), label="killer")
    got: list[Ready] = []
    for _ in range(2_000):
        got += world.carry_out()
        if (got and got[-1].epoch) or any(ready.failed for ready in got):
            break
        for slot, ready in list(world.handed.items()):
            world.release(slot, ready.delivery)
        for worker in world.busy():
            ticket = world.held[worker][0]
            row = killer - ticket.first
            mined = ticket.kind is TicketKind.ROWS and ticket.epoch == 0 and 0 <= row < ticket.rows
            if mined and ticket.attempt < deadly:
                world.die(worker, DiedAt(row, ticket.attempt if published else 0))
                world.join()
            else:
                world.complete(worker)
    assert [accused.ticket.attempt for accused in world.accused] == list(range(min(deadly, 17)))
    assert any(ready.failed for ready in got) == (deadly == 17)


@examples(60)
@given(world=worlds, seed=st.integers(0, 2**32))
def test_an_innocent_sample_is_never_accused_however_its_workers_die(world: World, seed: int) -> None:
    random = Random(seed)
    deaths: dict[tuple[int, int], int] = {}
    for _ in range(300):
        world.carry_out()
        for slot, ready in list(world.handed.items()):
            world.release(slot, ready.delivery)
        for worker in world.busy():
            ticket = world.held[worker][0]
            key = (ticket.epoch, ticket.first)
            if random.random() < 0.4 and deaths.get(key, 0) < 2:
                if ticket.kind is TicketKind.ROWS and ticket.rows == 1:
                    deaths[key] = deaths.get(key, 0) + 1
                world.die(worker, DiedAt(random.choice([UNKNOWN_ROW, *range(ticket.rows)])))
                world.join()
            else:
                world.complete(worker)
    assert not world.accused
    assert not any(ready.failed for ready in world.past)


# Stories: each of these went wrong, or would be hard to see in a random life.


def test_leaving_an_epoch_frees_the_slot_whose_last_tickets_wait_for_a_worker() -> None:
    world = make_world(samples=20, size=4, workers=1, row_ns=100_000_000.0)
    world.carry_out()
    world.die(0)
    world.skip(1)
    assert world.schedule.counts() == (3, 0, 0)
    world.join()
    assert world.go_on(deliveries=1)[0].epoch == 1


def test_a_second_ticket_comes_only_when_everyone_has_one() -> None:
    world = make_world(samples=40, size=4, workers=3, row_ns=100_000_000.0)
    issued = [command.worker for command in world.schedule.commands() if isinstance(command, SendTicket)]
    assert issued == [0, 1, 2, 0, 1, 2]


def test_everyone_works_on_the_first_slot() -> None:
    schedule = Schedule(sample_batches(64, 16), 3, 1, None, row_ns=10.0, cores=2)
    for worker in range(4):
        schedule.worker_joined(worker)
    tickets = [command.ticket for command in schedule.commands() if isinstance(command, SendTicket)]
    assert [(ticket.slot_row, ticket.rows) for ticket in tickets[:4]] == [(0, 4), (4, 4), (8, 4), (12, 4)]
    assert len({ticket.place for ticket in tickets[:4]}) == 1


def test_the_slot_that_was_released_last_is_filled_next() -> None:
    world = make_world(samples=80, size=4, slots=4, workers=1)
    world.go_on(deliveries=3)
    while world.busy():
        world.complete(world.busy()[0])
        world.carry_out()
    slots = list(world.handed)
    assert len(slots) == 4
    for slot in slots:
        world.release(slot, world.handed[slot].delivery)
    world.carry_out()
    assert next(ticket.place for ticket in world.tickets()) == slots[-1]


def test_the_time_per_row_follows_what_is_measured() -> None:
    schedule = Schedule(sample_batches(1_000, 10), 3, 1, None, row_ns=1_000_000.0, cores=2)
    schedule.worker_joined(0)
    for _ in range(100):
        for command in schedule.commands():
            if isinstance(command, SendTicket):
                schedule.done(Done(0, command.ticket.number, 5_000 * command.ticket.rows))
            elif isinstance(command, Ready):
                schedule.released(Released(command.slot, command.delivery))
    assert schedule.row_ns == pytest.approx(5_000, rel=0.1)


def test_workers_on_other_machines_have_a_time_per_row_and_longer_tickets_of_their_own() -> None:
    schedule = Schedule(sample_batches(100_000, 1_000), 12, 1, None, row_ns=100_000.0, cores=2, local=2, row_bytes=100)
    for worker in range(4):
        schedule.worker_joined(worker)
    sizes: dict[int, list[int]] = {0: [], 2: []}
    for _ in range(200):
        for command in schedule.commands():
            if isinstance(command, SendTicket):
                sizes.setdefault(command.worker, []).append(command.ticket.rows)
                schedule.done(Done(command.worker, command.ticket.number, (100_000 if command.worker < 2 else 60_000) * command.ticket.rows))
            elif isinstance(command, Ready):
                schedule.released(Released(command.slot, command.delivery))
    assert schedule.row_ns == pytest.approx(100_000)
    assert max(sizes[0][20:] + sizes[1][20:]) == 84  # 8 ms at 0.1 ms a row, in equal parts of a slot
    assert max(sizes[2][20:] + sizes[3][20:]) == 500  # half a slot, as all of it would be 60 ms


def test_a_leaving_worker_finishes_what_it_holds_and_gets_nothing_more() -> None:
    world = make_world(samples=40, size=4, workers=2, row_ns=100_000_000.0)
    world.carry_out()
    world.leave(0)
    while world.held.get(0):
        world.complete(0)
        world.carry_out()
    assert not world.schedule.has(0)
    assert world.schedule.has(1)


def test_a_worker_that_dies_between_two_tickets_accuses_nothing() -> None:
    world = make_world(samples=4, size=1, workers=1, row_ns=100_000_000.0)
    world.carry_out()
    first = world.tickets()[0]
    for worker in range(10):
        world.die(worker, None)
        world.join()
        world.carry_out()
        assert world.tickets()[0] == first
    assert not world.accused


def test_the_first_ticket_is_the_one_that_a_worker_got_first() -> None:
    world = make_world(samples=40, size=4, workers=1)
    assert world.schedule.tickets(0) == []
    world.carry_out()
    first, *others = world.tickets()
    assert world.schedule.tickets(0) == [first, *others]
    world.complete(0)
    assert world.schedule.tickets(0) == others
    assert world.schedule.tickets(7) == []


def test_what_a_dead_worker_held_is_issued_before_anything_else_and_in_order() -> None:
    world = make_world(samples=40, size=4, workers=2, row_ns=1_000_000.0)
    world.carry_out()
    held = [(ticket.place, ticket.slot_row + row) for ticket in world.held[0] for row in range(ticket.rows)]
    world.die(0)
    world.join()
    again: list[tuple[int, int]] = []
    while len(again) < len(held):
        world.carry_out()
        again += [(ticket.place, ticket.slot_row + row) for ticket in world.held[2] for row in range(ticket.rows)]
        while world.held[2]:
            world.complete(2)
    assert again[: len(held)] == held


@pytest.mark.parametrize("expected", [0, 3])
def test_what_a_lost_node_held_goes_at_once_to_the_remote_workers_that_are_left_in_the_order_in_which_it_is_due(expected: int) -> None:
    world = make_world(samples=80, size=4, slots=8, workers=7, row_ns=100_000_000.0, local=1)
    world.carry_out()
    world.schedule.expect_workers(expected)  # here; the others need not wait for them
    assert [len(held) for held in world.held.values()] == [2] * 7
    lost = sorted((ticket for worker in (4, 5, 6) for ticket in world.held[worker]), key=lambda ticket: ticket.first)
    for worker in (6, 4, 5):
        world.die(worker, None)
    issued = [(command.worker, command.ticket) for command in world.schedule.commands() if isinstance(command, SendTicket)]
    assert issued == [(1, lost[0]), (2, lost[1]), (3, lost[2])]
    world.schedule.done(Done(2, world.held[2][1].number, 1_000_000))  # its second one before its first
    assert world.schedule.commands() == [SendTicket(2, lost[3])]
    world.schedule.done(Done(0, world.held[0][0].number, 1_000_000))
    assert world.schedule.commands() == [SendTicket(0, lost[4])]


def test_rows_that_may_have_ended_actors_are_made_on_this_machine_whatever_becomes_of_them_there() -> None:
    world = make_world(samples=80, size=4, slots=8, workers=5, row_ns=100_000_000.0, local=2)
    world.carry_out()
    suspected = world.held[2][1]
    world.die(2, None, place=1)
    world.carry_out()
    while not (at_it := [worker for worker in (0, 1) if world.held[worker][0] == suspected]):
        for worker in (0, 1):
            world.complete(worker)
        world.carry_out()
    world.die(at_it[0], DiedAt(UNKNOWN_ROW))
    left = set(range(suspected.first, suspected.first + suspected.rows))
    while left:
        world.carry_out()
        held = [(worker, ticket) for worker in world.held for ticket in world.held[worker]]
        assert {worker for worker, ticket in held if left & set(range(ticket.first, ticket.first + ticket.rows))} <= {1 - at_it[0]}
        left -= {row for row in left if any(row == ticket.first for ticket in world.held[1 - at_it[0]])}
        for worker in world.busy():
            world.complete(worker)


def test_only_workers_on_other_machines_may_report_in_another_order() -> None:
    world = make_world(samples=40, size=4, workers=2, row_ns=100_000_000.0, local=1)
    world.carry_out()
    with pytest.raises(ProtocolError, match="not what it has to do first"):
        world.schedule.done(Done(0, world.held[0][1].number, 1_000_000))
    world.schedule.done(Done(1, world.held[1][1].number, 1_000_000))
    assert world.schedule.tickets(1) == [world.held[1][0]]


def test_the_next_block_of_the_order_is_made_while_the_one_before_is_read() -> None:
    world = make_world(samples=40, size=4, slots=6, workers=2, row_ns=100_000_000.0, block_batches=1)
    world.carry_out()
    assert [(ticket.kind, ticket.first) for ticket in world.tickets()] == [(TicketKind.ORDER, 0), (TicketKind.ORDER, 4)]
    for worker in (0, 1):
        world.complete(worker)
    issued = [command.ticket for command in world.schedule.commands() if isinstance(command, SendTicket)]
    assert (TicketKind.ORDER, 8) in [(ticket.kind, ticket.first) for ticket in issued]


@pytest.mark.parametrize(("row_ns", "tickets"), [(100_000.0, 4), (600_000.0, 4), (800_000.0, 3), (2_000_000.0, 2)])
def test_a_worker_holds_more_tickets_if_they_are_short(row_ns: float, tickets: int) -> None:
    world = make_world(samples=40, size=4, slots=10, workers=2, row_ns=row_ns)
    world.carry_out()
    assert [len(held) for held in world.held.values()] == [tickets, tickets]


def test_a_worker_holds_two_tickets_if_a_slot_is_full_of_small_batches() -> None:
    world = make_world(samples=400, size=4, slots=10, workers=2, capacity=3, row_ns=10_000.0)
    world.go_on(deliveries=3)
    assert [ticket.rows for ticket in world.tickets()] == [12] * 4


def test_there_is_slack_only_while_each_worker_has_a_second_ticket_and_then_as_much_as_all_but_the_first_take() -> None:
    world = make_world(samples=20, size=4, slots=6, workers=0, row_ns=400_000.0)
    assert world.schedule.slack_ns() == 0
    for _ in range(2):
        world.join()
    assert world.schedule.slack_ns() == 0
    world.carry_out()
    assert world.schedule.slack_ns() == min(sum(ticket.rows for ticket in list(held)[1:]) for held in world.held.values()) * 400_000.0
    while len(world.held[1]) > 1:
        world.complete(1)
    assert world.schedule.slack_ns() == 0


def test_there_is_no_slack_while_others_wait_for_a_block_of_the_order() -> None:
    world = make_world(samples=40, size=4, workers=1, block_batches=1)
    world.carry_out()
    assert [ticket.kind for ticket in world.tickets()] == [TicketKind.ORDER, TicketKind.ORDER]
    assert world.schedule.slack_ns() == 0

"""The world around a schedule that serves several readers: workers and trainers that do only what they are told, and complain when told wrong.

As simple a model as can be, of rows and of batches: what is in each row of each slot, who holds which slot, and which batch is due to whom.
`test_readers.py` drives it. What one reader sees in detail is in `schedule_world`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random

from loader.data.plans.epoch_plan import EpochPlan
from loader.data.rows import UNKNOWN_ROW
from loader.ipc.records import ANY_BEFORE_TERM, Done, Failed, Ready, Released, Skip, Ticket, TicketKind
from loader.supervise.schedule.assignments import Dismiss, SendTicket
from loader.supervise.schedule.blocks import Blocks
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.schedule.sizing import SHORT_TICKETS
from loader.supervise.schedule.suspects import DiedAt


@dataclass
class Trainer:
    """A reader.

    Attributes:
        due: epoch and batch that it must be handed next.
        held: what it was handed and has not released, by slot.
        past: what it has released.
        failed: whether a batch of its epoch failed, so that it will go elsewhere.
        got: how many batches it was handed.
        stopped: whether it does nothing.
        retired: whether it only releases.
        first: number of the first batch of its rank.
    """

    number: int
    due: tuple[int, int]
    term: int = 0
    held: dict[int, Ready] = field(default_factory=dict)
    past: list[Ready] = field(default_factory=list)
    failed: bool = False
    got: int = 0
    stopped: bool = False
    retired: bool = False
    first: int = 0


@dataclass
class Contents:
    """What is, or is to be, in a slot.

    Attributes:
        filling: number of it.
        epoch, base: the epoch's row that the slot's row 0 is.
        written: whether a worker has written it, for each row that was put into a ticket.
        failed: first batch that failed.
    """

    filling: int
    epoch: int
    base: int
    written: dict[int, bool] = field(default_factory=dict)
    failed: int | None = None


class World:
    """A schedule and everything around it.

    Args:
        plan, slots, capacity, row_ns: as the schedule takes them.
        block_rows: rows of a block of the order; 0 where it is sequential.
        places: for blocks.
        workers: to begin with.
        batch_work: whether there are batch transforms.
    """

    def __init__(
        self, plan: EpochPlan, slots: int, capacity: int, row_ns: float, block_rows: int, places: int, workers: int, batch_work: bool = False
    ) -> None:
        self.plan = plan
        self.slots = slots
        self.batch_work = batch_work
        blocks = Blocks(plan, block_rows, places) if block_rows else None
        self.schedule = Schedule(plan, slots, capacity, blocks, row_ns, 2, batch_work=batch_work, shared=True)
        self.trainers = {0: Trainer(0, (0, 0))}
        self.workers: dict[int, deque[Ticket]] = {}
        self.contents: dict[int, Contents] = {}
        self.places: dict[int, tuple[int, range]] = {}
        self.names = self.joined = 0
        for _ in range(workers):
            self.add_worker()

    # Workers.

    def add_worker(self) -> None:
        self.schedule.worker_joined(self.joined)
        self.workers[self.joined] = deque()
        self.joined += 1

    def busy(self) -> list[int]:
        return [worker for worker, held in self.workers.items() if held]

    def tickets(self, place: int) -> list[Ticket]:
        """Return the tickets for a slot that living workers hold."""
        return [ticket for held in self.workers.values() for ticket in held if ticket.kind is not TicketKind.ORDER and ticket.place == place]

    def work(self, worker: int) -> None:
        ticket = self.workers[worker].popleft()
        rows = range(ticket.slot_row, ticket.slot_row + ticket.rows)
        if ticket.kind is TicketKind.ORDER:
            self.places[ticket.place] = ticket.epoch, range(ticket.first, ticket.first + ticket.rows)
        elif ticket.kind is TicketKind.ROWS:
            self.contents[ticket.place].written.update(dict.fromkeys(rows, True))
        self.schedule.done(Done(worker, ticket.number, 1_000_000))

    def fail(self, worker: int, offset: int) -> None:
        ticket = self.workers[worker].popleft()
        batch = (ticket.slot_row + offset % ticket.rows) // self.plan.batch_size
        good = max(ticket.slot_row, batch * self.plan.batch_size)
        contents = self.contents[ticket.place]
        contents.written.update(dict.fromkeys(range(ticket.slot_row, good), True))
        batch = good // self.plan.batch_size
        contents.failed = batch if contents.failed is None else min(batch, contents.failed)
        self.schedule.failed(Failed(worker, ticket.number, good))

    def die(self, worker: int, at: DiedAt | None) -> None:
        del self.workers[worker]
        accused = self.schedule.worker_died(worker, at)
        if accused is not None:
            self.schedule.substitute(accused)
        self.add_worker()

    # Trainers.

    def enter(self, epoch: int, batch: int, rank: int = 0) -> Trainer:
        self.names += 1
        first = rank * self.plan.batches
        self.schedule.reader_joined(self.names, epoch, first + batch)
        trainer = self.trainers[self.names] = Trainer(self.names, (epoch, first + batch), first=first)
        return trainer

    def leave(self, trainer: Trainer) -> None:
        del self.trainers[trainer.number]
        self.schedule.reader_left(trainer.number)

    def retire(self, trainer: Trainer, keep: bool) -> None:
        """Close the loader of a trainer, which may keep what it has been handed."""
        trainer.retired = True
        assert self.schedule.reader_retires(trainer.number) == bool(trainer.held)
        if not keep:
            for slot in range(self.slots):
                self.schedule.released(Released(slot, ANY_BEFORE_TERM, trainer.number))
            trainer.held.clear()
        assert self.schedule.reader_retires(trainer.number) == bool(trainer.held)

    def release(self, trainer: Trainer, slot: int) -> None:
        ready = trainer.held.pop(slot)
        trainer.past.append(ready)
        self.schedule.released(Released(slot, ready.delivery, trainer.number))

    def lie(self, trainer: Trainer, slot: int, delivery: int) -> None:
        """Release what the trainer does not hold."""
        if slot not in trainer.held or trainer.held[slot].delivery != delivery:
            self.schedule.released(Released(slot, delivery, trainer.number))

    def skip(self, trainer: Trainer, epoch: int, batch: int, keep: bool) -> None:
        trainer.term += 1
        batch += trainer.first
        trainer.due = epoch, batch
        trainer.failed = False
        self.schedule.skip(Skip(trainer.term, epoch, batch, trainer.number))
        if not keep:
            trainer.past += trainer.held.values()
            trainer.held.clear()
            for slot in range(self.slots):
                self.schedule.released(Released(slot, ANY_BEFORE_TERM, trainer.number))

    def next_epoch(self, trainer: Trainer) -> None:
        self.skip(trainer, trainer.due[0] + 1, 0, keep=False)

    # What the schedule says.

    def carry_out(self) -> None:
        for command in self.schedule.commands():
            match command:
                case SendTicket(worker, ticket):
                    self._issue(worker, ticket)
                case Ready():
                    self._hand(self.trainers[command.reader], command)
                case Dismiss():
                    raise AssertionError("no worker was to leave")
        handed = {slot for trainer in self.trainers.values() for slot in trainer.held}
        free, filling, filled = self.schedule.counts()
        assert free + filling + filled == self.slots
        assert handed <= {slot for slot in range(self.slots) if slot in self.contents}
        assert filled >= len(handed)

    def _issue(self, worker: int, ticket: Ticket) -> None:
        assert len(self.workers[worker]) < SHORT_TICKETS
        if ticket.kind is TicketKind.ORDER:
            assert not any(other.block == ticket.place for held in self.workers.values() for other in held if other.kind is not TicketKind.ORDER)
            self.places.pop(ticket.place, None)
        elif ticket.kind is TicketKind.ROWS:
            self._issue_rows(ticket)
        else:
            assert all(self.contents[ticket.place].written[row] for row in range(ticket.slot_row, ticket.slot_row + ticket.rows))
        self.workers[worker].append(ticket)

    def _issue_rows(self, ticket: Ticket) -> None:
        for trainer in self.trainers.values():
            assert ticket.place not in trainer.held, f"{ticket} writes what trainer {trainer.number} holds"
        contents, base = self.contents.get(ticket.place), ticket.first - ticket.slot_row
        rows = range(ticket.slot_row, ticket.slot_row + ticket.rows)
        filling = self.schedule._slots.slots[ticket.place].delivery
        if contents is None or contents.filling != filling:
            assert not self.tickets(ticket.place), "in two hands"
            contents = self.contents[ticket.place] = Contents(filling, ticket.epoch, base)
        assert (contents.epoch, contents.base) == (ticket.epoch, base)
        assert not any(map(contents.written.get, rows)), "written twice"
        if self.places:
            epoch, block = self.places[ticket.block]
            assert (epoch, block.start) == (ticket.epoch, ticket.block_first)
            assert ticket.first in block
            assert ticket.first + ticket.rows - 1 in block
        contents.written.update(dict.fromkeys(rows, False))

    def _hand(self, trainer: Trainer, ready: Ready) -> None:
        size, contents = self.plan.batch_size, self.contents[ready.slot]
        epoch, batch = trainer.due
        assert not trainer.retired
        assert ready.term == trainer.term
        assert not self.tickets(ready.slot), "handed over while it is written"
        assert ready.slot not in trainer.held
        assert (contents.epoch, contents.base) == (ready.epoch, ready.first * size)
        assert contents.failed == (ready.batches if ready.failed else None)
        rows = ready.batches * size if ready.failed else (ready.batches - 1) * size + ready.last_rows
        assert all(contents.written[row] for row in range(rows)), "not all of it is written"
        assert ready.last_rows == (size if ready.failed else self.plan.rows_of(ready.epoch, ready.first + ready.batches - 1))
        trainer.held[ready.slot] = ready
        if trainer.failed:  # it has an error to raise, and will go elsewhere
            return
        assert ready.epoch == epoch
        assert ready.first <= batch < ready.first + ready.batches + ready.failed
        trainer.got += ready.first + ready.batches - batch
        trainer.failed = ready.failed
        end = ready.first + ready.batches
        trainer.due = (epoch + 1, trainer.first) if end == trainer.first + self.plan.batches else (epoch, end)

    # Going on.

    def go_on(self, batches: int, rounds: int = 3_000) -> None:
        """Let everybody work until every trainer that is not stopped has got so many batches more. Fails when one does not."""
        self.schedule.give_way((), ())  # nobody waits for ever
        wanted = {number: trainer.got + batches for number, trainer in self.trainers.items() if not (trainer.stopped or trainer.retired)}
        for _ in range(rounds):
            self.carry_out()
            if all(self.trainers[number].got >= least for number, least in wanted.items()):
                return
            if (slow := self.schedule.hold_up(wanted)) is not None:
                self.schedule.set_apart(slow.reader)
            for trainer in [self.trainers[number] for number in wanted]:
                for slot in list(trainer.held):
                    self.release(trainer, slot)
                if trainer.failed:
                    self.next_epoch(trainer)
            for worker in self.busy():
                while self.workers[worker]:
                    self.work(worker)
        got = {number: trainer.got for number, trainer in self.trainers.items()}
        raise AssertionError(f"stuck: {got}, wanted {wanted}")


def happen(world: World, random: Random, most: int) -> None:
    """Let one random thing happen in the world, in which at most `most` trainers are to be."""
    trainers = list(world.trainers.values())
    trainer = random.choice(trainers) if trainers else None
    kind = random.choices(
        ["work", "die", "fail", "release", "lie", "skip", "enter", "leave", "part", "way", "deal", "retire"], [40, 6, 2, 30, 3, 2, 3, 1, 2, 2, 40, 1]
    )[0]
    if kind == "work" and world.busy():
        world.work(random.choice(world.busy()))
    elif kind == "die":
        world.die(random.choice(list(world.workers)), random.choice([None, DiedAt(UNKNOWN_ROW), DiedAt(0), DiedAt(3)]))
    elif kind == "fail":
        filling = [worker for worker in world.busy() if world.workers[worker][0].kind is TicketKind.ROWS]
        if filling:
            world.fail(random.choice(filling), random.randrange(20))
    elif kind == "enter" and len(trainers) < most and world.schedule.has_room():
        world.enter(random.randrange(3), random.randrange(world.plan.batches), random.randrange(world.plan.world))
    elif kind == "part" and (slow := world.schedule.hold_up(world.trainers)) is not None:
        world.schedule.set_apart(slow.reader)
    elif kind == "way":
        ahead = [reader for gap in world.schedule.gaps() for reader in gap.ahead]
        world.schedule.give_way(ahead, [reader for reader in ahead if random.random() < 0.7])
    elif kind == "deal":
        world.carry_out()
    elif trainer is not None:
        _trainer_does(world, trainer, kind, random)


def _trainer_does(world: World, trainer: Trainer, kind: str, random: Random) -> None:
    if kind == "release" and trainer.held:
        world.release(trainer, random.choice(list(trainer.held)))
    elif kind == "lie":
        past = random.choice(trainer.past) if trainer.past else None
        world.lie(trainer, random.randrange(world.slots), past.delivery if past is not None else random.randrange(50))
    elif (kind == "skip" or (kind == "release" and trainer.failed)) and not trainer.retired:
        world.skip(trainer, max(0, trainer.due[0] + random.randint(-1, 1)), random.randrange(world.plan.batches), random.random() < 0.3)
    elif kind == "leave":
        world.leave(trainer)
    elif kind == "retire":
        world.retire(trainer, random.random() < 0.7)

"""Lives of remote workers, with a gateway that is a list."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from loader.ipc import last_words
from loader.ipc.board import Board, GatewayCell, WorkerCell
from loader.ipc.channels import Outlet
from loader.ipc.records import Done, Failed, Fate, Joined, Lost, Ticket, TicketKind, Verb, unpack_errands
from loader.produce.remote.context import NO_CLUSTER
from loader.supervise.pool import Death
from loader.supervise.remote.remote_workers import RemoteWorkers
from loader.supervise.schedule.schedule import Schedule
from tests.plans import sample_batches

LOCAL, REMOTE = 2, 3


class Pipe(Outlet):
    def __init__(self) -> None:
        self.errands: list[Any] = []

    def send(self, record: bytes) -> None:
        self.errands += [(errand.worker, errand.verb) for errand in unpack_errands(record)]


class Gateways:
    """A pool of one child, which does nothing."""

    def __init__(self) -> None:
        self.children: dict[int, Any] = {}
        self.started = 0
        self.status = 9
        self.pid = 1

    def start(self, number: int) -> Any:
        self.started += 1
        child = self.children[number] = SimpleNamespace(pid=self.pid, pidfd=99, tickets=Pipe())
        return child

    def bury(self, number: int) -> Death:
        del self.children[number]
        return Death(self.status, "")


class World:
    def __init__(self) -> None:
        self.schedule = Schedule(sample_batches(1000, 10), 6, 1, None, 1e6, 2)
        self.board = Board(None, LOCAL, REMOTE)
        self.gateways = Gateways()
        self.pool = SimpleNamespace(outlets={})
        self.lost: list[Lost] = []
        self.workers = RemoteWorkers(
            schedule=self.schedule,
            board=self.board,
            deaths=SimpleNamespace(lost=self._lost),  # type: ignore[arg-type]
            pool=self.pool,  # type: ignore[arg-type]
            gateways=self.gateways,  # type: ignore[arg-type]
            memory=SimpleNamespace(gateway=None),  # type: ignore[arg-type]
            timeout_s=10.0,
        )

    def _lost(self, report: Lost) -> None:
        self.lost.append(report)
        if self.schedule.has(report.worker):
            self.schedule.worker_died(report.worker, None)

    def errands(self) -> list[Any]:
        pipe = self.gateways.children[0].tickets
        found, pipe.errands = pipe.errands, []
        return found


@pytest.fixture
def world() -> World:
    return World()


def test_nobody_forks_a_gateway_while_no_remote_worker_is_wanted(world: World) -> None:
    world.workers.adjust(0, 0.0)
    assert world.gateways.started == 0


def test_a_worker_gets_tickets_when_it_has_joined_and_not_before(world: World) -> None:
    world.workers.adjust(2, 0.0)
    assert world.errands() == [(2, Verb.OPEN), (3, Verb.OPEN)]
    assert not world.schedule.has(2)
    world.workers.joined(Joined(2))
    assert world.schedule.has(2)
    assert not world.schedule.has(3)
    assert world.workers.working == 1
    world.pool.outlets[2].send(Ticket(1, TicketKind.ROWS, 0, 0, 0, 4).pack())
    assert world.errands() == [(2, Verb.WORK)]


def test_one_that_is_let_go_before_it_has_joined_never_does(world: World) -> None:
    world.workers.adjust(1, 0.0)
    world.workers.adjust(0, 0.0)
    assert world.errands() == [(2, Verb.OPEN), (2, Verb.CLOSE)]
    world.workers.joined(Joined(2))
    assert not world.schedule.has(2)
    world.workers.adjust(2, 0.0)  # another number: the first one has its place until its life has ended
    assert world.errands() == [(3, Verb.OPEN)]
    world.workers.lost(Lost(2, Fate.PARTED))
    world.workers.adjust(2, 0.0)
    assert world.errands() == [(2, Verb.OPEN)]


def test_one_that_works_is_let_go_after_what_it_holds(world: World) -> None:
    world.workers.adjust(1, 0.0)
    world.workers.joined(Joined(2))
    world.errands()
    world.workers.adjust(0, 0.0)
    assert world.errands() == []
    world.pool.outlets[2].close()  # the schedule has dismissed it
    assert world.errands() == [(2, Verb.CLOSE)]


def test_those_that_do_not_work_are_let_go_first(world: World) -> None:
    world.workers.adjust(3, 0.0)
    world.workers.joined(Joined(3))
    world.workers.joined(Joined(4))
    world.errands()
    world.workers.adjust(2, 0.0)
    assert world.errands() == [(2, Verb.CLOSE)]
    world.workers.lost(Lost(3, Fate.PARTED))  # its actor was set aside
    world.workers.adjust(3, 0.0)
    assert world.errands() == [(3, Verb.OPEN)]
    world.workers.adjust(1, 0.0)
    assert world.errands() == [(3, Verb.CLOSE)]


def test_one_that_was_lost_is_asked_for_again(world: World) -> None:
    world.workers.adjust(3, 0.0)
    for number in (2, 3, 4):
        world.workers.joined(Joined(number))
    world.errands()
    world.workers.lost(Lost(3, Fate.DIED))
    assert not world.schedule.has(3)
    world.workers.adjust(3, 0.0)
    assert world.errands() == [(3, Verb.OPEN)]


def test_with_the_gateway_all_lives_end_and_another_one_begins_them_anew(world: World) -> None:
    world.workers.adjust(3, 0.0)
    world.workers.joined(Joined(2))
    world.workers.gateway_died(0.0)
    assert [report.worker for report in world.lost] == [2, 3, 4]
    assert {report.fate for report in world.lost} == {Fate.PARTED}
    assert not world.schedule.has(2)
    assert not world.pool.outlets
    world.workers.adjust(3, 0.5)
    assert world.gateways.started == 1
    world.workers.adjust(3, 1.5)
    assert world.gateways.started == 2
    assert len(world.errands()) == 3


@pytest.fixture
def gateway(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for it."""
    with subprocess.Popen(["sleep", "60"]) as process:
        world.gateways.pid = process.pid
        yield process
        process.kill()


def test_a_gateway_that_gets_nowhere_while_its_workers_hold_tickets_is_ended(world: World, gateway: subprocess.Popen[bytes]) -> None:
    world.workers.adjust(1, 0.0)
    world.workers.joined(Joined(2))
    for now in (0.0, 100.0):  # they hold nothing
        world.workers.end_if_stuck(now)
    assert world.schedule.commands()
    for now in range(100, 150, 5):  # it shows that it lives
        world.board.gateway.add(GatewayCell.CPU_NS, 1000)
        world.workers.end_if_stuck(now)
    world.workers.end_if_stuck(154.0)
    assert gateway.poll() is None
    world.workers.end_if_stuck(156.0)  # asks for stacks, of which this process knows nothing
    assert gateway.wait(10) == -last_words.ASK


def test_an_outdated_report_is_ignored_and_nonsense_ends_the_gateway_and_never_the_supervisor(world: World, gateway: subprocess.Popen[bytes]) -> None:
    world.workers.adjust(2, 0.0)
    world.workers.joined(Joined(2))
    world.schedule.commands()
    (number, *_) = [ticket.number for ticket in world.schedule.tickets(2)]
    assert not world.workers.is_wrong(Done(2, number, 1))
    assert world.workers.is_wrong(Done(3, number, 1))
    assert gateway.poll() is None
    assert world.workers.is_wrong(Failed(2, 99, 0))
    assert gateway.wait(10) == -signal.SIGKILL


def test_batch_transforms_that_end_the_gateway_are_to_blame(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.workers.adjust(2, 0.0)
    for number in (2, 3):
        world.workers.joined(Joined(number))
    held = {number: [Ticket(10 + number, TicketKind.BATCH, 0, 0, 0, 10), Ticket(20 + number, TicketKind.ROWS, 0, 0, 0, 10)] for number in (2, 3)}
    monkeypatch.setattr(world.schedule, "tickets", held.__getitem__)
    world.board.workers[3][WorkerCell.TICKET_GAUGE] = 13  # it was at that
    world.board.workers[2][WorkerCell.TICKET_GAUGE] = 22  # its actor was at that
    world.workers.gateway_died(0.0)
    assert [(report.worker, report.fate) for report in world.lost] == [(2, Fate.PARTED), (3, Fate.DIED)]
    assert world.board.workers[3].read_failure(13)["how"].startswith("killed by SIGKILL")


def test_a_gateway_that_found_no_cluster_is_forked_again_later_and_not_blamed(world: World) -> None:
    world.gateways.status = NO_CLUSTER << 8
    for now in (0.0, 11.0, 100.0, 200.0, 400.0):
        world.workers.adjust(1, now)
        assert world.gateways.children
        world.workers.gateway_died(now)
    assert world.gateways.started == 5

"""What is counted of other machines, and what follows from it."""

from __future__ import annotations

import pytest

from loader.ipc.board import Board, GatewayCell, SupervisorCell, TrainerCell, WorkerCell, WorkerState
from loader.measure import meter as module
from loader.measure.meter import Meter
from loader.measure.remote.counts import NodeCounts
from loader.measure.remote.nodes import NodeStats, remote_stats
from loader.measure.stats import Stats

REFUSED = {"node": "10.0.0.9", "refused": "it has NumPy 2.1.0, this machine 2.4.6"}


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Stats:
    """Return what is told of one local worker and two on another machine, which made as much together, and waited for the way half of their time."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    board = Board(Board.create(6), 2, 4)
    meter = Meter(board)
    board.supervisor[SupervisorCell.REMOTE_GAUGE] = 3
    board.supervisor[SupervisorCell.WORKERS_GAUGE] = 1
    local, *remote = board.workers[0], *board.workers[2:4]
    for cells in (local, *remote):
        cells[WorkerCell.STATE_GAUGE], cells[WorkerCell.PID_GAUGE] = WorkerState.BUSY, 4711
    for cells in remote:
        cells[WorkerCell.NODE_GAUGE] = 1
    for half in range(25):
        clock.now += 0.5
        board.trainer.add(TrainerCell.BATCHES, 10)
        board.trainer.add(TrainerCell.SAMPLES, 100)
        board.trainer.add(TrainerCell.WAIT_NS, 250_000_000)
        for cells in (local, *remote):
            cells.add(WorkerCell.BUSY_NS, 500_000_000)
            cells.add(WorkerCell.SAMPLES, 50 if cells is local else 25)
        board.gateway.add(GatewayCell.CPU_NS, 100_000_000)
        made = {"samples": 50 * half, "tickets": 10 * half, "took_ns": 10 * half * 80_000_000, "made_ns": half * 500_000_000, "bytes": half * 10**7}
        board.gateway.write_text({"nodes": [{"node": "10.0.0.7", **made, "hedges": 3, "deaths": 1, "refused": None}, REFUSED]})
        meter.look(clock.now)
    return meter.stats("train")


def test_remote_workers_are_told_by_machine(found: Stats) -> None:
    assert [(worker.number, worker.node) for worker in found.workers] == [(0, None), (2, "10.0.0.7"), (3, "10.0.0.7")]
    remote = found.remote
    assert remote is not None
    assert (remote.workers, remote.wanted, remote.most) == (2, 3, 4)
    assert (remote.samples_per_s, remote.bytes_per_s) == (pytest.approx(100, rel=0.1), pytest.approx(20e6, rel=0.1))
    assert (remote.brings, remote.busy_ratio, remote.work_ratio) == (pytest.approx(2, rel=0.05), pytest.approx(1), pytest.approx(0.5, rel=0.05))
    assert remote.gateway_ratio == pytest.approx(0.2)
    used, refused = remote.nodes
    assert (used.workers, used.hedges, used.deaths, used.refused) == (2, 3, 1, None)
    assert (used.latency_ms, used.work_ms) == (pytest.approx(80), pytest.approx(50))
    assert refused == NodeStats("10.0.0.9", 0, 0.0, 0.0, 0.0, 0.0, 0, 0, REFUSED["refused"])


def test_a_verdict_is_about_both(found: Stats) -> None:
    assert found.verdict_kind == "remote"
    assert "remote workers bring 2.0 ×; 2 of the 3 remote workers that are wanted are there; 10.0.0.9 is not used" in found.verdict


def test_they_are_shown_by_machine_and_survive_the_way_to_another_process(found: Stats) -> None:
    shown = dict(found.rows())
    assert list(shown) == [*(name for name in shown if not name.startswith(("worker", "remote", "node")))][:5] + list(shown)[5:]
    assert shown["remote"] == "2 of 3 workers, 100 samples/s, 20.0 MB/s, bring 2.0 ×"
    assert shown["node 10.0.0.7"] == "2 workers, 100 samples/s, 20.0 MB/s, 80 ms a ticket, 50 of them work, 3 hedged, 1 died"
    assert shown["node 10.0.0.9"] == "not used: it has NumPy 2.1.0, this machine 2.4.6"
    assert sum(name.startswith("worker") for name in shown) == 1
    assert Stats.from_dict(found.as_dict()) == found


def test_a_loader_that_has_none_tells_nothing_of_them() -> None:
    assert Meter(Board(Board.create(2), 2)).stats("train").remote is None
    board = Board(Board.create(3), 2, 1)
    remote = Meter(board).stats("train").remote
    assert remote is not None
    assert (remote.workers, remote.nodes, f"{remote}") == (0, [], "0 workers, 0 samples/s, 0.0 MB/s, bring 1.0 ×")


def test_a_machine_that_has_come_and_a_gateway_that_has_lost_count_make_no_nonsense() -> None:
    then = [NodeCounts("a", samples=500, tickets=50, bytes=10**6)]
    now = [NodeCounts("a", samples=400, tickets=40), NodeCounts("b", 1, samples=100, tickets=10, bytes=10**6, took_ns=10**9)]
    found = remote_stats(then, now, 10.0, wanted=1, most=4, busy_s=10.0, gateway_s=0.1, rate=100.0, local_rate=0.0)
    assert [(node.samples_per_s, node.bytes_per_s) for node in found.nodes] == [(0.0, 0.0), (10.0, 1e5)]
    assert found.nodes[1].latency_ms == 100.0
    assert found.brings == 1.0

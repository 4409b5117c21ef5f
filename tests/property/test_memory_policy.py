"""The memory policy against simulated workers: the sum stays below the room, one worker always runs, and nothing swings."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.supervise.memory.policy import Decision, MemoryPolicy, Replace, Run, allowances
from tests.examples import examples

MIB = 2**20
COPIED = 2 * MIB


class World:
    """Workers that grow: each begins at `young` and takes `rate` bytes a second more, up to `most`. One that leaves goes after `ticket_s`."""

    def __init__(self, wanted: int, room: int, young: int, rate: float, most: float = math.inf, ticket_s: float = 0.05) -> None:
        self.policy = MemoryPolicy()
        self.wanted, self.room, self.young, self.rate, self.most, self.ticket_s = wanted, room, young, rate, most, ticket_s
        self.now = 100.0
        self.born: dict[int, float] = {}
        self.leaving: dict[int, float] = {}
        self.decisions: list[tuple[float, Decision]] = []
        self.peak = 0
        self.adjust()

    def adjust(self) -> None:
        count = self.policy.count(self.wanted)
        for worker in [worker for worker, end in self.leaving.items() if end <= self.now]:
            del self.leaving[worker], self.born[worker]
        for worker in sorted(set(self.born) - set(self.leaving))[count:]:
            self.leaving[worker] = self.now + self.ticket_s
        for worker in [n for n in range(self.wanted) if n not in self.born][: max(0, count - len(self.born))]:
            self.born[worker] = self.now
            self.policy.born(worker)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            sizes = {n: int(min(self.most, self.young + (self.now - born) * self.rate)) for n, born in self.born.items()}
            self.peak = max(self.peak, sum(sizes.values()))
            for decision in self.policy.look(self.now, self.room, sizes, set(self.leaving), self.wanted):
                self.decisions.append((self.now, decision))
                if isinstance(decision, Replace):
                    assert decision.worker in self.born
                    assert decision.worker not in self.leaving
                    self.leaving[decision.worker] = self.now + self.ticket_s
            assert 1 <= self.policy.count(self.wanted) <= self.wanted
            self.adjust()
            self.now += 0.05 if self.policy.tense else 1.0

    def count_of(self, kind: type[Decision]) -> int:
        return sum(isinstance(decision, kind) for _, decision in self.decisions)


@examples(25)
@given(wanted=st.integers(1, 12), young=st.integers(1, 20), room=st.integers(1000, 4000), rate=st.floats(0.004, 0.05))
def test_leaking_workers_are_replaced_before_the_sum_passes_the_room(wanted: int, young: int, room: int, rate: float) -> None:
    world = World(wanted, room * MIB, young * MIB, rate * room * MIB / wanted)
    world.run(3 / rate)
    assert world.peak <= world.room
    assert world.count_of(Replace) > 0
    assert world.count_of(Run) == 0  # the leak is slow: nobody has to stop


@examples(15)
@given(wanted=st.integers(2, 16), share=st.floats(1.0, 2.0))
def test_workers_that_need_more_than_their_share_become_fewer_and_do_not_swing(wanted: int, share: float) -> None:
    room, most = 1000 * MIB, share * 1000 * MIB / wanted
    world = World(wanted, room, young=5 * MIB, rate=200 * MIB, most=most)
    world.run(3600)
    assert world.count_of(Run) <= 4 * wanted + 40
    late = [decision for moment, decision in world.decisions if moment > world.now - 300]
    assert sum(isinstance(decision, Run) for decision in late) <= 3
    # One that nears the room alone can't be told from a leak, and is replaced again and again.
    assert most > 0.7 * room or sum(isinstance(decision, Replace) for decision in late) <= 9


def test_when_there_is_room_again_all_workers_run_again() -> None:
    world = World(4, 1000 * MIB, young=5 * MIB, rate=1000 * MIB, most=400 * MIB)
    world.run(60)
    assert world.policy.count(4) < 4
    world.most = 50 * MIB
    world.run(3000)
    assert world.policy.cap is None
    assert world.policy.count(4) == 4


@pytest.mark.parametrize("wanted", [1, 2, 5, 16, 64])
def test_samples_that_never_fit_end_at_one_worker_with_the_whole_room(wanted: int) -> None:
    policy, room = MemoryPolicy(), 1000 * MIB
    for _ in range(10):
        policy.exhausted(0.0, room, room // policy.count(wanted), True, wanted, False)
    assert policy.count(wanted) == 1


def test_a_worker_that_had_grown_before_is_only_replaced() -> None:
    policy = MemoryPolicy()
    assert policy.exhausted(0.0, 1000 * MIB, 100 * MIB, False, 4, False) == []
    assert policy.count(4) == 4


def test_one_reduction_is_enough_for_all_who_had_the_old_share() -> None:
    policy, room = MemoryPolicy(), 1000 * MIB
    policy.exhausted(0.0, room, room // 4, True, 4, False)
    for _ in range(3):
        policy.exhausted(0.0, room, room // 4, True, 4, waiting=True)
    assert policy.count(4) == 2


def test_a_kill_by_the_system_leaves_one_worker_less() -> None:
    policy = MemoryPolicy()
    assert [type(decision) for decision in policy.killed(0.0, 2)] == [Run]
    assert policy.killed(0.0, 2) == []
    assert policy.count(2) == 1


@given(room=st.integers(0, 10_000), grown=st.lists(st.integers(0, 4_000), max_size=12), more=st.integers(0, 8))
def test_allowances_stay_within_the_room_and_take_back_nothing(room: int, grown: list[int], more: int) -> None:
    had = {worker: nbytes * MIB for worker, nbytes in enumerate(grown)}
    given_out = allowances(room * MIB, had, len(had) + more)
    assert given_out.keys() == had.keys()
    assert all(allowance >= 0 for allowance in given_out.values())
    over = [worker for worker in had if given_out[worker] == had[worker]]
    if not over and had:
        assert len(set(given_out.values())) == 1
    if sum(had.values()) + len(had) * COPIED <= room * MIB:
        assert sum(given_out.values()) <= room * MIB
        assert all(given_out[worker] >= nbytes or given_out[worker] >= room * MIB / (len(had) + more) - COPIED for worker, nbytes in had.items())

"""Remote workers on pipelines in small: none where local ones are enough, as many as it takes where they are not, within bounds whatever happens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.supervise.tuning.tuner import Tuner
from tests.property.pipeline_world import Load
from tests.property.remote_world import Cluster, WiderRun, best, simulate
from tests.property.test_tuner import some_loads

COMPUTING = Load(cpu_s=0.02, cores=2, slots=24, step_s=0.02)
"""Two local workers make 100 tickets/s of the 400 that the model takes."""

HALF = replace(COMPUTING, step_s=0.04)

CASES = {
    "three times as many are missing": (COMPUTING, Cluster(ticket_s=0.02)),
    "remote workers are faster": (COMPUTING, Cluster(ticket_s=0.005)),
}
CASES_LIKE_THESE = {
    "remote workers are slower than local ones": (COMPUTING, Cluster(ticket_s=0.04, wire_s=0.004)),
    "noise": (replace(COMPUTING, noise=0.5), Cluster(ticket_s=0.02)),
    "no model": (replace(COMPUTING, step_s=0.0, slots=80), Cluster(ticket_s=0.02)),
}


@pytest.mark.parametrize(
    ("load", "cluster"),
    [
        *(pytest.param(*given, id=name) for name, given in CASES.items()),
        *(pytest.param(*given, id=name, marks=pytest.mark.thorough) for name, given in CASES_LIKE_THESE.items()),
    ],
)
def test_as_many_are_used_as_it_takes(load: Load, cluster: Cluster) -> None:
    fastest, needed = best(load, cluster)
    run = simulate(load, cluster).go(40)
    assert run.rate(20, 40) >= 0.93 * fastest, run.changes  # 7 % more is worth a worker, 6 % is not
    assert run.usual(20, 40).remote <= 1.25 * needed + 1, run.changes
    assert len([at for at, *_ in run.changes if at > 20]) <= 3, run.changes


@pytest.mark.parametrize(
    "load",
    [Load(io_s=0.01, step_s=0.08, cores=2), Load(cpu_s=0.001, step_s=0.02, cores=2), Load(io_s=0.02, step_s=0.09, cores=2, noise=0.4)],
    ids=["half of what they can", "a tenth", "nearly all"],
)
def test_none_are_used_where_local_workers_are_enough(load: Load) -> None:
    assert not simulate(load, Cluster()).go(60).changes


def test_local_workers_are_found_first() -> None:
    """Eight that wait for storage are enough, and there may be eight."""
    run = simulate(Load(io_s=0.04, step_s=0.06, cores=2, slots=8), Cluster(), auto=True).go(60)
    assert all(crew.remote == 0 for _, crew, _ in run.changes), run.changes
    assert run.usual(30, 60).local <= 8


def test_remote_workers_make_what_the_most_local_ones_leave() -> None:
    load = Load(io_s=0.04, step_s=0.02, cores=2, slots=24)
    run = simulate(load, Cluster(), auto=True, most_local=4).go(60)
    fastest, needed = best(load, Cluster(), local=4)
    crew = run.usual(40, 60)
    assert crew.local == 4
    assert needed <= crew.remote + 1 <= 1.25 * needed + 2, run.changes
    assert run.rate(40, 60) >= 0.95 * fastest


def test_local_workers_that_are_searched_for_again_and_again_do_not_keep_remote_ones_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tuner, "rests", False)
    run = simulate(Load(io_s=0.02, step_s=0.1, tickets=32, cores=2, slots=8), Cluster(), auto=True, most_local=2).go(50)
    assert run.crew.remote > 0, run.changes


@pytest.mark.thorough
def test_a_full_network_is_not_crowded() -> None:
    """It carries 200 tickets a second, as many as four workers make. More of them bring nothing."""
    load, cluster = replace(COMPUTING, step_s=0.0, slots=80), Cluster(ticket_s=0.02, wire_s=0.005, wires=1)
    run = simulate(load, cluster).go(90)
    fastest, needed = best(load, cluster)
    assert run.rate(40, 90) >= 0.93 * fastest, run.changes
    assert run.usual(40, 90).remote <= 1.5 * needed + 1, run.changes


def test_a_network_that_carries_nothing_gets_nobody() -> None:
    run = simulate(replace(COMPUTING, step_s=0.0), Cluster(wire_s=0.5, wires=0.5)).go(60)
    assert run.usual(20, 60).remote == 0, run.changes


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (COMPUTING, replace(COMPUTING, step_s=0.1)),
        (replace(COMPUTING, step_s=0.1), COMPUTING),
        (COMPUTING, HALF),
        pytest.param(HALF, COMPUTING, marks=pytest.mark.thorough),
    ],
    ids=["local workers are enough", "they are not any more", "half as fast a model", "twice as fast a model"],
)
def test_it_follows_what_the_model_takes(before: Load, after: Load) -> None:
    run = simulate(before, Cluster()).go(30)
    run.world.load = after
    run.go(30)
    fastest, needed = best(after, Cluster())
    assert run.rate(45, 60) >= 0.95 * fastest, run.changes
    assert run.usual(45, 60).remote <= 1.25 * needed + 1, run.changes


def test_workers_that_the_cluster_has_no_place_for_are_not_waited_for_and_not_asked_for_again() -> None:
    run = simulate(COMPUTING, Cluster(places=3)).go(70)
    assert run.world.there == 3
    assert len(run.changes) <= 4, run.changes


@pytest.mark.thorough
def test_workers_that_take_long_to_start_are_not_found_useless() -> None:
    run = simulate(COMPUTING, Cluster(start_s=15.0)).go(80)
    assert run.rate(60, 80) >= 0.95 * best(COMPUTING, Cluster())[0], run.changes


def test_workers_that_go_by_themselves_cost_no_decision() -> None:
    """A node is gone. Who decides about others is the gateway, which asks the cluster for them."""
    run = simulate(HALF, Cluster()).go(30)
    asked, changes = run.crew.remote, len(run.changes)
    run.world.there -= 2
    run.world.coming = [run.world.now + 5] * 2
    run.go(30)
    assert run.world.there == run.crew.remote == asked
    assert len(run.changes) == changes, run.changes


def test_a_trainer_that_pauses_changes_nothing() -> None:
    run = simulate(HALF, Cluster()).go(30)
    crew, changes = run.crew, len(run.changes)
    for _ in range(3):
        run.world.asleep = True
        run.go(12)
        run.world.asleep = False
        run.go(4)
    assert (run.crew, len(run.changes)) == (crew, changes), run.changes


def test_the_fewest_that_are_to_run_are_there_whatever_happens() -> None:
    run = simulate(Load(io_s=0.01, step_s=0.2, cores=2), Cluster(), fewest=2).go(30)
    assert not run.changes
    assert run.world.there == 2


def test_the_reason_names_what_was_measured() -> None:
    (_, _, reason), *_ = simulate(COMPUTING, Cluster()).go(6).changes
    assert reason.startswith("the trainer waits ")
    assert "would take" in reason
    assert "local workers make 10" in reason or "local workers make 9" in reason
    assert "a remote one perhaps " in reason


LOAD = st.builds(
    Load,
    io_s=st.floats(0, 0.05),
    cpu_s=st.floats(0.001, 0.05),
    step_s=st.floats(0, 0.1),
    tickets=st.integers(1, 16),
    slots=st.integers(2, 40),
    cores=st.integers(1, 8),
    disk=st.integers(1, 40),
    noise=st.floats(0, 1),
)
CLUSTER = st.builds(
    Cluster,
    ticket_s=st.floats(0.002, 0.2),
    wire_s=st.floats(0, 0.05),
    wires=st.integers(1, 40),
    start_s=st.floats(0, 20),
    places=st.integers(0, 40),
)


@settings(some_loads, max_examples=2)
@given(
    load=LOAD, cluster=CLUSTER, local=st.integers(1, 8), fewest=st.integers(0, 2), most=st.integers(2, 32), auto=st.booleans(), seed=st.integers(0, 9)
)
def test_under_any_load_it_stays_within_bounds_and_comes_to_rest(
    load: Load, cluster: Cluster, local: int, fewest: int, most: int, auto: bool, seed: int
) -> None:
    """That each change is within bounds is asserted by the run itself."""
    run = simulate(load, cluster, local=local, fewest=fewest, most=most, auto=auto, seed=seed).go(100)
    assert len([at for at, *_ in run.changes if at > 50]) <= 6, run.changes


@pytest.mark.thorough
@some_loads
@given(load=LOAD, cluster=CLUSTER, factors=st.lists(st.floats(0.3, 3), min_size=6, max_size=6), seed=st.integers(0, 9))
def test_a_load_that_never_rests_costs_a_few_changes_a_minute(load: Load, cluster: Cluster, factors: list[float], seed: int) -> None:
    run: WiderRun = simulate(load, cluster, seed=seed)
    for factor in factors:
        run.world.load = replace(load, io_s=load.io_s * factor, step_s=load.step_s / factor)
        run.go(20)
    assert len(run.changes) <= 10 + 120 / 20
